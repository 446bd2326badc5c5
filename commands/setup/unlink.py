"""A channel stops following a pipeline: /build unlink [pipeline]."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bot.blocks.text import Markup, escape, when
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement, is_admin
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline

USAGE = "unlink [pipeline]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline; `confirmed` once the person has been asked."""

    target: Target
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `unlink`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    return Args(target=parsed.only_target(USAGE).of_pipeline("unlink"), confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the linked pipeline. Raises UsageError where it is not linked."""
    pipeline = await resolve_pipeline(args.target, context, acting=True, verb="unlink")
    if pipeline.link is None:
        raise UsageError(f"{pipeline.name} is not linked to {context.here}.")
    return pipeline


def authorize(_args: Args, pipeline: PipelineMatch, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role; an admin where protected refs would lose their protection."""
    required = [Requirement(role=Role.RUN, doing="Unlinking pipelines")]
    if pipeline.link is not None and pipeline.link.protected:
        doing = "Unlinking a pipeline with protected refs"
        required.append(Requirement(role=Role.ADMIN, doing=doing, pipeline=pipeline))
    return required


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Stop following; the pipeline itself is not touched. Asks where somebody else linked it."""
    link = pipeline.link
    if link is None:  # resolve has raised
        raise UsageError("Which pipeline?", usage=USAGE)
    if link.created_by != context.user and not args.confirmed and not await is_admin(context):
        return actions.asks_first(
            f"Unlink {pipeline.name} from {context.here}?",
            Markup(f"<@{link.created_by}> linked it {when(link.created_at)}."),
            f"unlink {pipeline.spoken()}",
            yes="Unlink",
        )
    fields = {name: value for name, value in msgspec.to_builtins(link).items() if name != "id"}
    token = await actions.undo_token("unlink", fields, context)
    await context.store.links.delete(link.id)
    return actions.public_line(
        f"{actions.actor(context)} unlinked {escape(pipeline.name)} from this channel", pipeline=pipeline, undo=token
    )


COMMAND = Command(
    verb="unlink",
    names_target=True,
    usage=USAGE,
    summary="Stop following a pipeline",
    role=Role.RUN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("unlink web",),
    is_dangerous=True,
)
