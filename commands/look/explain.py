"""Why something was posted or not: /build explain [build]; and why it failed: /build why [build]."""

from collections import Counter
from dataclasses import dataclass

from bot.blocks.message import Message, actions, button, context, section, sections
from bot.blocks.text import bold, code, escape, harmless, when
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Build, BuildFilter, Conclusion, Issue, IssueKind
from bot.providers.base.capabilities import Capability
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import Target, read
from commands.core.resolve import BuildMatch, build
from commands.look.builds import verbs_of, with_counts

EVENTS = {
    "started": "the live card",
    "finished": "its end",
    "blocked": "its open gate",
    "summary": "a summary",
    "digest": "a digest",
}
INFRASTRUCTURE = (
    "timed out",
    "timeout",
    "connection",
    "network",
    "no space left",
    "runner",
    "agent lost",
    "503",
    "502",
    "oom",
    "killed",
)
CONFIGURATION = (
    "yaml",
    "configuration",
    "not found: ",
    "permission denied",
    "unauthorized",
    "credential",
    "secret",
    "no such file",
)
FLAKY_IN = 20


@dataclass(frozen=True, slots=True)
class Explain:
    """Which build."""

    target: Target


def parse(words: str) -> Explain:
    """Read the words after `explain` or `why`. Raises UsageError."""
    ask = read(words, switches=("public",))
    if len(ask.words) > 1:
        raise UsageError("I explain one build at a time.")
    return Explain(target=ask.target())


async def explain(ask: Explain, request: Request, services: Services) -> Answer:
    """Return every decision that was made about a build in this workspace, with its reason."""
    found = await build(ask.target, request, services, acting=False, verb="explain")
    rows = [
        row
        for row in await services.store.notifications.of_build(found.build.key, request.team)
        if row.channel in {request.channel, request.user} or not row.channel.startswith(("D", "U", "W"))
    ]
    lines: list[str] = []
    for row in rows:
        what = EVENTS.get(row.event, row.event)
        where = (
            "here"
            if row.channel == request.channel
            else f"in <#{row.channel}>"
            if row.channel.startswith(("C", "G"))
            else "by direct message"
        )
        match row.state:
            case "sent":
                fate = f"posted {when(row.sent_at)}" if row.sent_at else "posted"
            case "silent":
                fate = "not posted"
            case "held":
                fate = "held back"
            case "failed":
                fate = "could not be posted"
            case _:
                fate = "about to be posted"
        lines.append(
            f"• {what} (attempt {row.attempt_no}) {where}: {fate}, because {harmless(row.reason, styles=False)}"
        )
    if not lines:
        known = await services.store.builds.get(found.build.key)
        links = await services.store.links.of_pipeline(found.build.connection, found.build.pipeline)
        if not any(link.team == request.team for link in links):
            lines = ["Nothing was decided: no channel of this workspace follows the pipeline."]
        elif known is None or not known[0].completed:
            lines = ["Nothing has been decided yet: I have not seen its end."]
        else:
            lines = ["Nothing was decided: it ended before the pipeline was linked."]
    text = f"{found.place.label} #{found.build.number or found.build.id}"
    return Answer(message=Message(text=f"Why {text} was (not) posted", blocks=(section(bold(text)), *sections(lines))))


async def why(ask: Explain, request: Request, services: Services) -> Answer:
    """Return what is known of a failure: what broke, since when, who changed what, and the likely kind of trouble."""
    found = await build(ask.target, request, services, acting=False, verb="why", default="failed")
    now = await with_counts(found)
    if now.conclusion is None or not now.conclusion.is_red:
        raise UsageError(f"{found.place.label} #{now.number or now.id} did not fail.")
    issues = await _issues(found)
    offered = verbs_of(found.provider, now)
    streak, green = await _streak(found)
    lines = [f"*Likely:* {likely(now, issues)}"]
    if issues:
        first = issues[0]
        lines.append(
            f"*First:* {escape(first.message.splitlines()[0][:250])}{f' ({code(first.job)})' if first.job else ''}"
        )
    if green is not None:
        lines.append(
            f"*Last green:* #{green.number or green.id} · {escape(green.subject or '')} · {when(green.completed_at) if green.completed_at else '?'}"
        )
    suspects = [one for one in streak if one.commit and (green is None or one.commit != green.commit)]
    named = Counter(one.author.name for one in suspects if one.author and one.author.name)
    if named:
        lines.append(f"*Changed by:* {', '.join(escape(name) for name, _count in named.most_common(5))}")
    if len(streak) > 1:
        lines.append(f"*Red builds in a row:* {len(streak)}, since #{streak[-1].number or streak[-1].id}")
    title = f"Why {found.place.label} #{now.number or now.id} failed"
    return Answer(
        message=Message(
            text=f"{title}: {lines[0].removeprefix('*Likely:* ')}",
            blocks=(
                section(bold(title)),
                *sections(lines),
                actions(
                    *(
                        button(verb.capitalize(), f"{verb} {found.spoken}")
                        for verb in ("logs", "tests")
                        if verb in offered
                    )
                ),
                context("Read from the build, its issues and the builds before it; a guess, not a verdict."),
            ),
        )
    )


def likely(build_: Build, issues: tuple[Issue, ...]) -> str:
    """Return what kind of trouble it looks like, in words."""
    said = " ".join(issue.message.lower() for issue in issues[:20])
    if build_.conclusion is Conclusion.TIMEOUT:
        return "a time-out"
    tests = [issue for issue in issues if issue.kind is IssueKind.TEST_FAILURE]
    if tests or (build_.issues.test_failures or 0) > 0:
        count = max(len(tests), build_.issues.test_failures or 0)
        return f"failing tests ({count})"
    if any(word in said for word in INFRASTRUCTURE):
        return "infrastructure: the words speak of machines or the network rather than code"
    if any(word in said for word in CONFIGURATION):
        return "configuration or credentials"
    return "the code or its build" if issues else "unknown: the CI system tells no issues"


async def _issues(found: BuildMatch) -> tuple[Issue, ...]:
    if not found.provider.can(Capability.ISSUES):
        return ()
    try:
        issues = await found.provider.issues(found.build.pipeline, found.build.id)
    except ProviderError:
        return ()
    order = (IssueKind.TEST_FAILURE, IssueKind.ERROR)
    return tuple(sorted((issue for issue in issues if issue.kind in order), key=lambda issue: order.index(issue.kind)))


async def _streak(found: BuildMatch) -> tuple[list[Build], Build | None]:
    """Return the red builds in a row that end with this one, newest first, and the green one before them."""
    streak: list[Build] = []
    reached = False
    async for one in found.provider.builds(
        found.build.pipeline, BuildFilter(branch=found.build.branch, limit=FLAKY_IN)
    ):
        reached = reached or one.id == found.build.id
        if not reached or not one.completed or one.conclusion is None:
            continue
        if one.conclusion is Conclusion.PASSED:
            return streak, one
        if one.conclusion.is_red:
            streak.append(one)
    return streak, None


EXPLAIN = Command(
    verb="explain",
    usage="explain [build]",
    summary="Why something was posted, or not",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=explain,
    examples=("explain #412", "explain web#last"),
    inferred="the last build",
)
WHY = Command(
    verb="why",
    usage="why [build]",
    summary="Why a build failed",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=why,
    examples=("why", "why web#412"),
    inferred="the last failed build",
)
