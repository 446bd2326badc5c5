"""Take back what was removed here within a day: /build undo TOKEN, as the Undo button types it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.blocks.text import escape, when
from bot.core.errors import UsageError
from bot.store.rows import NewLink
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import read
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "undo TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """The token that the button carries."""

    token: str


def parse(words: str) -> Args:
    """Read the words after `undo`. Raises UsageError."""
    parsed = read(words, values=("token",))
    token = parsed.flag("token") or (parsed.words[0] if len(parsed.words) == 1 else "")
    if not token:
        raise UsageError("Press the Undo button under what was removed.", usage=USAGE)
    return Args(token=token)


async def resolve(args: Args, context: Context) -> dict[str, Any]:
    """Return what the token brings back. Raises UsageError where it is gone."""
    kept = await memory.kept_for_undo(args.token, context)
    if kept is None:
        raise UsageError("That can't be undone any more.", hint="What is removed is kept for a day.")
    if kept["kind"] == "unlink":
        await _must_be_unlinked(dict(kept["fields"]), context)
    return dict(kept)


async def _must_be_unlinked(fields: dict[str, Any], context: Context) -> None:
    """Raise UsageError where somebody has linked the pipeline anew: the newer link stays as it is."""
    for link in await context.store.links.of_channel(context.team, str(fields["channel"])):
        if (link.connection, link.pipeline) == (fields["connection"], fields["pipeline"]):
            raise UsageError(
                f"{link.alias or link.name} is already linked again by <@{link.created_by}>, {when(link.created_at)}.",
                hint="Nothing was changed.",
            )


def authorize(_args: Args, _kept: dict[str, Any], _context: Context) -> Sequence[Requirement]:
    """Require the role that removing asked for."""
    return (Requirement(role=Role.RUN, doing="Taking that back"),)


async def run(args: Args, kept: dict[str, Any], context: Context) -> Answer:
    """Bring back what was removed, once."""
    if not await memory.forget_undo(args.token, context):
        raise UsageError("Somebody has taken that back already.")
    fields = dict(kept["fields"])
    if kept["kind"] == "unsubscribe":
        link = await context.store.links.update(int(fields["link"]), subscribed=True)
        return actions.public_line(
            f"{actions.actor(context)} subscribed this channel to {escape(link.alias or link.name)} again"
        )
    others = await context.store.links.of_channel(context.team, str(fields["channel"]))
    fields["is_default"] = bool(fields["is_default"]) and not any(link.is_default for link in others)
    fields["created_at"] = datetime.fromisoformat(str(fields["created_at"]))
    row = await context.store.links.save(NewLink(**fields))
    provider = context.provider(row.connection)
    await context.store.polling.ensure(row.connection, provider.poll_target(row.pipeline), now=context.now)
    context.services.wake_poller()
    return actions.public_line(
        f"{actions.actor(context)} linked {escape(row.alias or row.name)} to this channel again, as it was"
    )


COMMAND = Command(
    verb="undo",
    usage=USAGE,
    summary="Take back what was unlinked or unsubscribed",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("undo 5f0c2a9be41d7c36",),
    inferred="nothing: the Undo button carries the token",
    is_dangerous=True,
)
