"""Links: which channel follows which pipeline."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import NotLinked, UsageError
from bot.core.text import same_name
from bot.store.database import Repository, put
from bot.store.mapping import LINK, NOTIFICATION
from bot.store.rows import LinkRow, NewLink
from bot.store.statements import Statement
from bot.store.states import NotificationState

REMOVED = "the bot was removed from this workspace"
UNLINKED = "the pipeline was unlinked from this channel"
KEY = ("team", "channel", "connection", "pipeline")
FIELDS = frozenset(LINK.c.keys()) - {"id", *KEY, "created_by", "created_at"}

PUT_LINK = put("link", key=KEY, keep=("created_by", "created_at"))

OF_CHANNEL = Statement(
    LINK.select().where(LINK.c.team == bindparam("team"), LINK.c.channel == bindparam("channel")).order_by(LINK.c.id)
)

LinkValue = str | bool | datetime


class Links(Repository):
    """Which channels follow which pipelines."""

    async def of_channel(self, team: str, channel: str) -> list[LinkRow]:
        """Return what a channel follows, oldest first."""
        return LINK.made(await self._fetch(OF_CHANNEL, team=team, channel=channel))

    async def of_pipeline(self, connection: str, pipeline: str) -> list[LinkRow]:
        """Return the links of a pipeline in every channel of every workspace, oldest first."""
        query = LINK.select().where(LINK.c.connection == connection, LINK.c.pipeline == pipeline)
        async with self._read() as db:
            return await LINK.all(db, query.order_by(LINK.c.id))

    async def all(self, team: str | None = None) -> list[LinkRow]:
        """Return the links of a workspace, or of all, oldest first."""
        query = LINK.select().order_by(LINK.c.id)
        if team is not None:
            query = query.where(LINK.c.team == team)
        async with self._read() as db:
            return await LINK.all(db, query)

    async def get(self, link_id: int) -> LinkRow | None:
        """Return a link, or None when it is gone."""
        async with self._read() as db:
            return await _get(db, link_id)

    async def save(self, row: NewLink) -> LinkRow:
        """Write a link and return it as it stands then; a channel has one link for a pipeline, and one default.

        Raises UsageError when another of the channel's links has that alias.
        """
        async with self._write() as db:
            await self._own(db, [f"{row.team} {row.channel}"])
            number = (await self._put(db, PUT_LINK, [row]))[0][0]
            return await self._settle(db, number)

    async def update(self, link_id: int, **fields: LinkValue) -> LinkRow:
        """Change some fields of a link and return it. Raises NotLinked when it is gone, UsageError as `save_link`."""
        unknown = fields.keys() - FIELDS
        if unknown:
            raise ValueError(f"a link has no field {', '.join(sorted(unknown))} that may be set")
        async with self._write() as db:
            row = await _get(db, link_id)
            if row is not None:
                await self._own(db, [f"{row.team} {row.channel}"])
            if fields:
                changed = LINK.update().where(LINK.c.id == link_id).values(**fields)
                await db.execute(changed)
            return await self._settle(db, link_id)

    async def delete(self, link_id: int) -> None:
        """Forget a link; what it had still to say stays unsaid."""
        async with self._write() as db:
            link = await LINK.first(db, LINK.delete().where(LINK.c.id == link_id).returning(*LINK.columns))
            if link is None:
                return
            unsaid = NOTIFICATION.update().where(
                NOTIFICATION.c.team == link.team,
                NOTIFICATION.c.channel == link.channel,
                NOTIFICATION.c.link == link_id,
                NOTIFICATION.c.state.in_([NotificationState.PENDING, NotificationState.HELD]),
            )
            await db.execute(unsaid.values(state=NotificationState.SILENT, reason=UNLINKED))

    async def pause(self, team: str, channel: str, reason: str) -> list[LinkRow]:
        """Pause a channel's links, and return those that were not paused before."""
        async with self._write() as db:
            speaking = (LINK.c.team == team, LINK.c.channel == channel, LINK.c.paused_reason == "")
            return await _set_paused(db, speaking, reason)

    async def resume(self, team: str, channel: str) -> list[LinkRow]:
        """Let a channel's links speak again, and return those that were paused."""
        paused = (LINK.c.team == team, LINK.c.channel == channel, LINK.c.paused_reason != "")
        async with self._write() as db:
            return await _set_paused(db, paused, "")

    async def _settle(self, db: AsyncConnection, link_id: int) -> LinkRow:
        """Hold a channel to one default and to distinct aliases, now that one of its links was written."""
        row = await _get(db, link_id)
        if row is None:
            raise NotLinked("That pipeline is not linked any more.", hint="`/build list links` shows what is.")
        others = (LINK.c.team == row.team, LINK.c.channel == row.channel, LINK.c.id != link_id)
        if row.alias:
            named = await db.execute(select(LINK.c.path, LINK.c.alias).where(*others, LINK.c.alias != ""))
            path = next((path for path, alias in named if same_name(alias, row.alias)), None)
            if path is not None:
                raise UsageError(
                    f"`{row.alias}` already stands for {path} in this channel.", hint="Choose another alias."
                )
        if row.is_default:
            unmade = LINK.update().where(*others, LINK.c.is_default.is_(True)).values(is_default=False)
            await db.execute(unmade)
        return row


async def pause_team(db: AsyncConnection, team: str) -> list[LinkRow]:
    """Pause the links of a workspace that removed the bot."""
    return await _set_paused(db, (LINK.c.team == team, LINK.c.paused_reason == ""), REMOVED)


async def resume_team(db: AsyncConnection, team: str) -> list[LinkRow]:
    """Let the links of a workspace speak again that were paused because it had removed the bot."""
    return await _set_paused(db, (LINK.c.team == team, LINK.c.paused_reason == REMOVED), "")


async def _set_paused(db: AsyncConnection, links: Iterable[ColumnElement[bool]], reason: str) -> list[LinkRow]:
    changed = LINK.update().where(*links).values(paused_reason=reason).returning(*LINK.columns)
    return sorted(await LINK.all(db, changed), key=lambda link: link.id)


async def _get(db: AsyncConnection, link_id: int) -> LinkRow | None:
    return await LINK.first(db, LINK.select().where(LINK.c.id == link_id))
