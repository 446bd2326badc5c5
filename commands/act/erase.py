"""Erase a build's logs and artifacts: /build erase <build>."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.providers.base.capabilities import Capability
from bot.store.tables import NoteKind
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.permissions import Requirement, refs_of_build
from commands.core.registry import Command
from commands.core.resolve import BuildMatch, resolve_build, resolve_named_build

USAGE = "erase <build>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build; `confirmed` once the person has been asked."""

    target: Target
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `erase`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    target = parsed.only_target(USAGE)
    if not target.names_build:
        raise UsageError("Which build? Its logs and artifacts will be gone.", usage=USAGE)
    return Args(target=target, confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named."""
    if args.target.build is None and args.target.id is None:
        match = await _of_page(args.target, context)
    else:
        match = await resolve_build(args.target, context, acting=True, verb="erase")
    actions.must_be_able(match.pipeline, Capability.ERASE, match.build)
    return match


async def _of_page(target: Target, context: Context) -> BuildMatch:
    """Return the build of a page; a pipeline's page names none, and nothing is erased on a guess."""
    match = await resolve_named_build(target, context, acting=True, verb="erase")
    if match is None:
        raise UsageError("That page shows no build. Which build? Its logs and artifacts will be gone.", usage=USAGE)
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
    if not args.confirmed:
        return actions.asks_first(
            f"Erase {match.name}?",
            "Its logs and artifacts will be gone for good.",
            f"erase {match.spoken}",
            yes="Erase",
        )
    if not await memory.first_click(f"erase {match.build.key}", context):
        return Answer(silent=True)
    after = await match.provider.erase(match.build.pipeline, match.build.id)
    await actions.poll_again(after, match.pipeline, context)
    await actions.note_on_cards(match, context, did="erased its logs and artifacts", kind=NoteKind.REPLACED)
    line = f"{actions.actor(context)} erased the logs and artifacts of {escape(match.name)}"
    return await actions.answered(match, context, line=line)


COMMAND = Command(
    verb="erase",
    usage=USAGE,
    summary="Delete a build's logs and artifacts",
    role=Role.APPROVE,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("erase #412", "erase backend#412"),
    is_dangerous=True,
)
