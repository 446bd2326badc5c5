"""Erase the logs and artifacts of a build, or of one job: /build erase <build> [--job ID]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.core.refs import refs_of_build
from bot.providers.base.capabilities import Capability
from bot.store.states import NoteKind
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import resolve_build, resolve_named_build

USAGE = "erase <build> [--job ID]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build, or which one job of it; `confirmed` once the person has been asked."""

    target: Target
    job: str = ""
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `erase`. Raises UsageError."""
    parsed = read(words, values=("job",), switches=("yes",))
    target = parsed.only_target(USAGE)
    return Args(target=target, job=parsed.flag("job") or "", confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, or that of the thread's card. Raises UsageError where none is."""
    if args.target.build is not None:
        match = await resolve_build(args.target, context, acting=True, verb="erase")
    else:
        match = await _exactly(args.target, context)
    match = replace(match, job=args.job or match.job)
    erases_job = match.job and match.provider.can(Capability.ERASE_JOB)
    if (
        args.job
        and erases_job
        and (await match.provider.build_of_job(match.pipeline.id, args.job)).key != match.build.key
    ):
        raise UsageError(f"That job is not one of {match.name}.", hint="Paste the job's own page.")
    actions.must_be_able(match.pipeline, Capability.ERASE_JOB if erases_job else Capability.ERASE, match.build)
    return match


async def _exactly(target: Target, context: Context) -> BuildMatch:
    """Return the build that is named exactly: nothing is erased on a guess, and a pipeline's page names no build."""
    match = await resolve_named_build(target, context, acting=True, verb="erase")
    if match is None:
        page = "That page shows no build. " if target.url is not None else ""
        raise UsageError(f"{page}Which build? Its logs and artifacts will be gone.", usage=USAGE)
    return match


def authorize(_args: Args, match: BuildMatch, _context: Context) -> Sequence[Requirement]:
    """Require the approver's role on the build's own pipeline and refs."""
    return (
        Requirement(
            role=Role.APPROVE,
            doing=f"Erasing builds of *{escape(match.pipeline.name)}*",
            pipeline=match.pipeline,
            refs=refs_of_build(match.build),
        ),
    )


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Erase after asking; there is no way back."""
    job = match.job if match.provider.can(Capability.ERASE_JOB) else ""
    subject, lost = (f"one job of {match.name}", "log") if job else (match.name, "logs")
    if not args.confirmed:
        return actions.asks_first(
            f"Erase {subject}?",
            f"Its {lost} and artifacts will be gone for good.",
            f"erase {match.spoken}" + (f" --job {shlex.quote(job)}" if job else ""),
            yes="Erase",
        )
    if not await memory.first_click(f"erase {match.build.key} {job}", context):
        return Answer(silent=True)
    key = match.build.key
    after = await (match.provider.erase_job(key.pipeline, job) if job else match.provider.erase(key.pipeline, key.id))
    await actions.poll_again(after, match.pipeline, context)
    did = "erased the log and artifacts of one job" if job else "erased its logs and artifacts"
    kind = NoteKind.ACT if job else NoteKind.REPLACED
    await actions.note_on_cards(match, context, did=did, kind=kind)
    line = f"{actions.actor(context)} erased the {lost} and artifacts of {escape(subject)}"
    return await actions.answered(match, context, line=line)


COMMAND = Command(
    verb="erase",
    names_target=True,
    usage=USAGE,
    summary="Delete a build's logs and artifacts",
    role=Role.APPROVE,
    group="Act",
    flags=(("--job ID", "erase only this job, where the system can (a job's page names it, too)"),),
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("erase #412", "erase backend#412"),
    is_dangerous=True,
)
