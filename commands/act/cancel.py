"""Stop builds that have not completed: /build cancel [build|mine]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import Markup, escape, harmless
from bot.core.errors import Ambiguous, NotFound, NotLinked, ProviderError, UsageError
from bot.core.models import Build
from bot.core.refs import refs_of_build
from bot.notifications.cards import CANCELLED_IT
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store.states import NoteKind
from commands.core import actions, memory
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import Target, read, unexpected
from commands.core.listings import is_built_from, unfinished_builds
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.permissions import Requirement
from commands.core.phrases import reason_in
from commands.core.registry import Command, looks_like_a_target
from commands.core.resolve import match_of_build, pipelines_here, resolve_build, resolve_named_build, resolve_pipeline
from commands.core.words import choice_label

USAGE = "cancel [target|mine] [reason…] [--reason TEXT]"
MOST_OWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which builds to stop: those named, the person's own, or the one that is clearly meant."""

    targets: tuple[Target, ...] = ()
    mine: bool = False
    reason: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The builds to stop."""

    matches: tuple[BuildMatch, ...]

    @property
    def match(self) -> BuildMatch | None:
        """Return the build where it is one."""
        return self.matches[0] if len(self.matches) == 1 else None


def parse(words: str) -> Args:
    """Read the words after `cancel`. Raises UsageError."""
    parsed = read(words, values=("reason",), switches=("yes",))
    more = parsed.words[1:]
    if more and (parsed.has("reason") or more[0].isdigit() or looks_like_a_target(more[0])):
        raise unexpected(more[0], parsed.words[0], USAGE)
    target = parsed.target()
    is_mine = target.scope == "mine"
    return Args(
        targets=() if is_mine or target.empty else (target,),
        mine=is_mine,
        reason=parsed.flag("reason") or reason_in(more),
        confirmed=parsed.has("yes"),
    )


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    named = [f"{target.pipeline} --id {target.id}" for target in args.targets]
    return f"{'mine' if args.mine else ', '.join(named)}{_because(args.reason)}"


def form(args: Args, context: Context) -> Opening:
    """Return the form, which lists what runs. Raises UsageError where a build was named."""
    if args.targets:
        raise UsageError("The form lists every build that runs here: name none, or leave `--form` out.", usage=USAGE)
    return opening("cancel", context, reason=args.reason)


async def resolve(args: Args, context: Context) -> Stop | Answer:
    """Return the builds to stop. Where it is not clear which, return the form or raise Ambiguous."""
    if args.mine:
        return await _mine(context)
    if len(args.targets) > 1:
        named = [await _named(target, context) for target in args.targets]
        return Stop(matches=tuple(match for match in named if match is not None))
    target = args.targets[0] if args.targets else Target()
    match = await _named(target, context)
    if match is not None:
        return Stop(matches=(match,))
    return await _meant(target, args, context)


async def _named(target: Target, context: Context) -> BuildMatch | None:
    match = await resolve_named_build(target, context, acting=True, verb="cancel")
    if match is None and target.build not in {None, "running"}:
        match = await resolve_build(target, context, acting=True, verb="cancel")
    if match is not None:
        actions.check_attempt(match, target.attempt)
    return match


async def _meant(target: Target, args: Args, context: Context) -> Stop | Answer:
    """Return the person's own only running build, else the only running one; ask where there are several."""
    if target.pipeline is not None or target.url is not None:
        pipelines = [await resolve_pipeline(target, context, acting=True, verb="cancel")]
        if not pipelines[0].provider.can(Capability.CANCEL):
            unfinished = await unfinished_builds(pipelines[0], context, ref=target.ref)
            actions.must_be_able(pipelines[0], Capability.CANCEL, unfinished[0] if unfinished else None)
    else:
        pipelines = [match for match in await pipelines_here(context) if match.provider.can(Capability.CANCEL)]
    own = await _own_running(pipelines if target.pipeline or target.url else None, target, context)
    if len(own) == 1:
        return Stop(matches=(own[0],))
    running = {match.build.key: match for match in own}
    waiting: list[BuildMatch] = []
    for pipeline in pipelines:
        for build in await unfinished_builds(pipeline, context, ref=target.ref):
            if not _can_stop(build, pipeline.provider):
                waiting.append(BuildMatch(pipeline=pipeline, build=build))
            else:
                running.setdefault(build.key, BuildMatch(pipeline=pipeline, build=build))
    candidates = list(running.values())
    if not candidates:
        await _refuse_own(target, context)
    if not candidates and len(waiting) == 1:
        _must_not_wait(waiting[0])
    if not candidates and not pipelines and not await context.store.links.of_channel(context.team, context.channel):
        raise NotLinked("No pipeline is linked to this channel, and none of your builds is running.")
    if not candidates:
        label = pipelines[0].provider.label if pipelines else context.here
        names = pipelines[0].name if len(pipelines) == 1 else context.here
        on = f" on {target.ref}" if target.ref else ""
        raise NotFound(f"Nothing is running in {names}{on} that I could stop.", provider=label)
    if len(candidates) == 1:
        return Stop(matches=(await match_of_build(candidates[0].build, context, verb="cancel"),))
    if context.can_open_form and target.empty:
        return Answer(form=opening("cancel", context, reason=args.reason))
    raise Ambiguous(
        f"{len(candidates)} builds are running. Which one shall be stopped?",
        choices=tuple(
            (choice_label(match, context), f"cancel {match.spoken}{_because(args.reason)}") for match in candidates
        ),
    )


async def _refuse_own(target: Target, context: Context) -> None:
    """Raise why a running build of the person's cannot be stopped, where no pipeline was named and there is one."""
    if not target.empty:
        return
    for known in await _started_unfinished(context):
        provider = context.services.connections.get(context.team, known.connection)
        build = await provider.build_or_none(known.key) if provider is not None else None
        if build is None or build.completed:
            continue
        match = await match_of_build(build, context, verb="cancel")
        actions.must_be_able(match.pipeline, Capability.CANCEL, build)
        _must_not_wait(match)


async def _own_running(pipelines: Sequence[PipelineMatch] | None, target: Target, context: Context) -> list[BuildMatch]:
    """Return the person's own builds that run now, in some pipelines or in all the workspace may see."""
    keys = None if pipelines is None else {(pipeline.connection, pipeline.id) for pipeline in pipelines}
    own: list[BuildMatch] = []
    for candidate in await _started_unfinished(context):
        if keys is not None and (candidate.connection, candidate.pipeline) not in keys:
            continue
        provider = context.services.connections.get(context.team, candidate.connection)
        if provider is None or not provider.can(Capability.CANCEL):
            continue
        build = await provider.build_or_none(candidate.key)
        if build is None or build.completed or (target.ref is not None and not is_built_from(build, target.ref)):
            continue
        if not _can_stop(build, provider):
            continue
        own.append(await match_of_build(build, context, verb="cancel"))
    return own


def _can_stop(build: Build, provider: AnyProvider) -> bool:
    return provider.cancels_waiting or not build.waiting


def _must_not_wait(match: BuildMatch) -> None:
    if _can_stop(match.build, match.provider):
        return
    url = f" Open it: {match.build.web_url}" if match.build.web_url else ""
    raise UsageError(
        f"{match.name} waits for approval, and {match.provider.label} cannot cancel a build that waits.",
        hint=f"Decide the step, or cancel the build on its page.{url}",
    )


async def _started_unfinished(context: Context) -> list[Build]:
    started = await context.store.builds.started_by(context.team, context.user, MOST_OWN)
    return [build for build in started if not build.completed]


async def _mine(context: Context) -> Stop:
    """Return the person's own running builds. Raises UsageError for none, ProviderError where none could be read."""
    own: list[BuildMatch] = []
    trouble: ProviderError | None = None
    for candidate in await _started_unfinished(context):
        provider = context.services.connections.get(context.team, candidate.connection)
        if provider is None or not provider.can(Capability.CANCEL):
            continue
        try:
            build = await provider.build(candidate.pipeline, candidate.id)
            if not build.completed and _can_stop(build, provider):
                own.append(await match_of_build(build, context, verb="cancel"))
        except ProviderError as exc:
            trouble = exc
    if not own:
        raise trouble or UsageError("None of your builds is running.")
    return Stop(matches=tuple(own))


def authorize(_args: Args, stop: Stop, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role for each build; the approver's for several at once."""
    required = [
        Requirement(
            role=Role.RUN,
            doing=f"Stopping builds of *{escape(match.pipeline.name)}*",
            pipeline=match.pipeline,
            refs=refs_of_build(match.build),
        )
        for match in stop.matches
    ]
    if len(stop.matches) > 1:
        required += [
            Requirement(role=Role.APPROVE, doing="Stopping several builds at once", pipeline=match.pipeline)
            for match in stop.matches
        ]
    return required


async def run(args: Args, stop: Stop, context: Context) -> Answer:
    """Stop the builds and say so in public; builds of others, and several at once, are asked about first."""
    running = [match for match in stop.matches if not match.build.completed]
    if not running:
        if len(stop.matches) == 1:
            conclusion = stop.matches[0].build.conclusion
            how = f": {conclusion.value}" if conclusion else ""
            raise UsageError(f"{stop.matches[0].name} has ended already{how}.")
        raise UsageError("They are all over already.")
    for match in running:
        actions.must_be_able(match.pipeline, Capability.CANCEL, match.build)
        _must_not_wait(match)
    if not args.confirmed and (question := await _question(args, running, context)) is not None:
        return question
    if not await memory.first_click(f"cancel {[match.build.key for match in running]}", context):
        return Answer(silent=True)
    return await _stopped(running, args.reason, context)


async def _question(args: Args, running: Sequence[BuildMatch], context: Context) -> Answer | None:
    if len(running) > 1:
        names = ", ".join(match.name for match in running)
        words = f"cancel mine{_because(args.reason)}"
        return actions.asks_first(f"Stop {len(running)} builds?", names, words, yes="Stop them all")
    match = running[0]
    if await actions.is_own(match.build, context):
        return None
    return actions.asks_first(
        f"Stop {match.name} on {match.build.ref or 'its branch'}?",
        Markup(f"It was started by {await actions.starter_of(match.build, context)}."),
        f"cancel {match.spoken} --attempt {match.attempt_no}{_because(args.reason)}",
        yes="Stop it",
    )


async def _stopped(running: Sequence[BuildMatch], reason: str, context: Context) -> Answer:
    """Stop builds and return one public line; what failed is said there too. Raises ProviderError where all failed."""
    stopped: list[str] = []
    failed: list[str] = []
    last: ProviderError | None = None
    why = f" ({escape(reason)})" if reason else ""
    for match in running:
        try:
            after = await match.provider.cancel(match.build.pipeline, match.build.id)
        except ProviderError as exc:
            last = exc
            failed.append(f"{escape(match.name)}: {harmless(str(exc), styles=False)}")
            continue
        await actions.note_on_cards(match, context, did=f"{CANCELLED_IT}{why}", kind=NoteKind.CANCELLED)
        await actions.poll_again(after, match.pipeline, context)
        stopped.append(escape(match.name))
    if last is not None and not stopped:
        raise last
    trouble = "".join(f"\n✕ {line}" for line in failed)
    line = f"{actions.actor(context)} stopped {', '.join(stopped)}{why}{trouble}"
    if len(running) > 1:
        return actions.public_line(line)
    return await actions.answered(running[0], context, line=line)


def _because(reason: str) -> str:
    return f" --reason={shlex.quote(reason)}" if reason else ""


COMMAND = Command(
    verb="cancel",
    names_target=True,
    usage=USAGE,
    summary="Stop a running build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    aliases=("stop", "abort"),
    flags=(("--reason TEXT", "why, for the public line"), ("--form", "choose among the running builds in a form")),
    examples=("cancel", "cancel #412", "cancel mine"),
    inferred="your own running build if it is the only one, else a list to choose from",
    is_dangerous=True,
)
