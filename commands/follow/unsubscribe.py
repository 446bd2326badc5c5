"""End a channel's notifications of a pipeline: /build unsubscribe [target]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import Markup, escape, when
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement, is_admin
from commands.core.registry import Command
from commands.follow.subscribe import linked_pipeline

USAGE = "unsubscribe [target]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline; `confirmed` once the person has been asked."""

    target: Target
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `unsubscribe`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    return Args(target=parsed.only_target(USAGE), confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the linked pipeline. Raises UsageError where it is not linked."""
    return await linked_pipeline(args.target, context, "unsubscribe")


def authorize(_args: Args, pipeline: PipelineMatch, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role on the pipeline."""
    return (Requirement(role=Role.RUN, doing="Choosing this channel's notifications", pipeline=pipeline),)


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """End the notifications; the link stays, so that commands still find it. Asks where somebody else made it."""
    link = pipeline.link
    if link is None or link.id is None:  # resolve has raised
        raise UsageError("Which pipeline?", usage=USAGE)
    if not link.subscribed:
        raise UsageError(f"This channel gets no notifications of {pipeline.name} already.")
    if link.created_by != context.user and not args.confirmed and not await is_admin(context):
        return actions.asks_first(
            f"End the notifications of {pipeline.name} in {context.here}?",
            Markup(f"<@{link.created_by}> linked it {when(link.created_at)}."),
            f"unsubscribe {pipeline.spoken()}",
            yes="End them",
        )
    token = await actions.undo_token("unsubscribe", {"link": link.id}, context)
    await context.store.links.update(link.id, subscribed=False)
    return actions.public_line(
        f"{actions.actor(context)} unsubscribed this channel from {escape(pipeline.name)}. It is still linked.",
        pipeline=pipeline,
        undo=token,
    )


COMMAND = Command(
    verb="unsubscribe",
    names_target=True,
    usage=USAGE,
    summary="End the notifications of a pipeline",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("unsubscribe web",),
    is_dangerous=True,
)
