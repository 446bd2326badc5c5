"""Run jobs of a build again: /build retry [target] [--failed|--all|--job NAME]."""

from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import NotFound, UsageError
from bot.core.models import Conclusion, Job, StartRequest
from bot.core.text import among_names, holds_name, without_short_codes
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build

USAGE = "retry [target] [--failed|--all|--job NAME]"
_ENDED = {Conclusion.SKIPPED: "was skipped", Conclusion.RETRIED: "was retried"}


@dataclass(frozen=True, slots=True)
class Retry:
    """Which jobs of which build."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Retry:
    """Read the words after `retry`. Raises UsageError."""
    ask = read(words, values=("job",), switches=("failed", "all", "yes"))
    if len(ask.words) > 1:
        raise UsageError(f"I don't know what `{ask.words[1]}` should be.", usage=USAGE)
    if sum((ask.has("failed"), ask.has("all"), ask.has("job"))) > 1:
        raise UsageError("`--failed`, `--all` and `--job` exclude each other.", usage=USAGE)
    return Retry(target=ask.target(), ask=ask)


async def run(ask: Retry, request: Request, services: Services) -> Answer:
    """Retry in the same build where the system can; else offer to rebuild."""
    found = await build(ask.target, request, services, acting=True, verb="retry", default="failed")
    acting.check_attempt(found, ask.ask)
    await acting.may_act_on(found, f"Retrying builds of *{escape(found.place.label)}*", request, services)
    provider, place = found.provider, found.place
    number = f"#{found.build.number}" if found.build.number is not None else "a build"
    wanted = ask.ask.flag("job")
    if wanted is None and not ask.ask.has("all") and provider.can(Capability.RETRY_FAILED):
        _must_have_failed(found, services)
    if not await acting.first_click(f"retry {found.build.key} {wanted}", request, services):
        return Answer(silent=True)
    if wanted is not None:
        acting.must_be_able(place, Capability.RETRY_JOB, found.build)
        job = await job_named(found, wanted)
        after = await provider.retry(found.build.pipeline, found.build.id, failed_only=False, job=job.id)
        what = f"{escape(job.name)} of {number}"
    elif ask.ask.has("all"):
        acting.must_be_able(place, Capability.RETRY_ALL, found.build)
        after = await provider.retry(found.build.pipeline, found.build.id, failed_only=False)
        what = f"all jobs of {number}"
    elif provider.can(Capability.RETRY_FAILED):
        after = await provider.retry(found.build.pipeline, found.build.id, failed_only=True)
        what = f"the failed jobs of {number}"
    else:
        acting.must_be_able(place, Capability.REBUILD, found.build)
        if not ask.ask.has("yes"):
            refusal = provider.unsupported(Capability.RETRY_FAILED)
            return acting.asks_first(
                f"{refusal} Rebuild all of {number} instead?",
                "",
                f"rebuild {found.spoken}",
                yes="Rebuild",
                danger=False,
            )
        name = await services.people.name(request.team, request.user)
        after = await provider.rebuild(found.build.pipeline, found.build.id, StartRequest(requested_by=name))
        headline = f"{acting.who(request)} rebuilt {number} of {escape(place.label)}"
        return await acting.announce(after, place, request, services, headline=headline)
    headline = f"{acting.who(request)} retried {what} ({escape(place.label)})"
    same = after.id == found.build.id
    shown = acting.reopened(after) if same else after
    return await acting.announce(shown, place, request, services, headline=headline, reopened=same)


def _must_have_failed(found: BuildMatch, services: Services) -> None:
    ended = found.build.conclusion
    if found.build.completed and not (ended is None or ended.is_red or ended is Conclusion.CANCELLED):
        raise UsageError(
            f"{found.name} {_ENDED.get(ended, ended.value)}: there is nothing to retry.",
            hint=f"To build it once more: `{services.command} rebuild {found.spoken}`.",
        )


async def job_named(found: BuildMatch, wanted: str) -> Job:
    """Return the one job of a build that fits a name. Raises NotFound, UsageError."""
    jobs = [job for job in await found.provider.jobs(found.build.pipeline, found.build.id) if not job.retried]
    called = without_short_codes(wanted)
    exact = [job for job in jobs if among_names(called, (job.name, job.id))]
    fits = exact or [job for job in jobs if holds_name(job.name, called)]
    if not fits:
        known = ", ".join(f"`{job.name}`" for job in jobs[:15]) or "none"
        raise NotFound(
            f"No job of this build is called `{wanted}`.", provider=found.provider.label, hint=f"Its jobs: {known}."
        )
    if len(fits) > 1:
        red = [job for job in fits if job.conclusion is not None and job.conclusion.is_red]
        if len(red) != 1:
            raise UsageError(
                f"`{wanted}` fits {len(fits)} jobs.",
                hint=f"Say which: {', '.join(f'`{job.name}`' for job in fits[:10])}.",
            )
        return red[0]
    return fits[0]


COMMAND = Command(
    verb="retry",
    usage=USAGE,
    summary="Run the failed jobs of a build again",
    role=Role.RUN,
    group="Act",
    parse=parse,
    run=run,
    flags=(
        ("--failed", "only the failed jobs (the default)"),
        ("--all", "all jobs, where the CI system can"),
        ("--job NAME", "one job"),
    ),
    examples=("retry", "retry #412 --job test", "retry web@main"),
    inferred="the last failed build",
)
