"""Links: which channel follows which pipeline."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.errors import NotLinked, UsageError
from bot.core.text import same_name
from bot.store.database import Repository, put
from bot.store.tables import LinkRow, NotificationRow

REMOVED = "the bot was removed from this workspace"
UNLINKED = "the pipeline was unlinked from this channel"
KEY = ("team", "channel", "connection", "pipeline")
FIELDS = frozenset(LinkRow.model_fields) - {"id", *KEY, "created_by", "created_at"}

PUT_LINK = put("link", key=KEY, keep=("created_by", "created_at"))

LinkValue = str | bool | datetime


class Links(Repository):
    """Which channels follow which pipelines."""

    async def of_channel(self, team: str, channel: str) -> list[LinkRow]:
        """Return what a channel follows, oldest first."""
        asked = select(LinkRow).where(LinkRow.team == team, LinkRow.channel == channel).order_by(col(LinkRow.id))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def of_pipeline(self, connection: str, pipeline: str) -> list[LinkRow]:
        """Return the links of a pipeline in every channel of every workspace, oldest first."""
        asked = select(LinkRow).where(LinkRow.connection == connection, LinkRow.pipeline == pipeline)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(LinkRow.id))))

    async def all(self, team: str | None = None) -> list[LinkRow]:
        """Return the links of a workspace, or of all, oldest first."""
        asked = select(LinkRow).order_by(col(LinkRow.id))
        if team is not None:
            asked = asked.where(LinkRow.team == team)
        async with self._read() as db:
            return list(await db.exec(asked))

    async def get(self, link_id: int) -> LinkRow | None:
        """Return a link, or None when it is gone."""
        async with self._read() as db:
            return await db.get(LinkRow, link_id)

    async def save(self, row: LinkRow) -> LinkRow:
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
            row = await db.get(LinkRow, link_id)
            if row is not None:
                await self._own(db, [f"{row.team} {row.channel}"])
            if fields:
                changed = update(LinkRow).where(col(LinkRow.id) == link_id).values(**fields)
                await db.exec(changed.execution_options(synchronize_session=False))
            return await self._settle(db, link_id)

    async def delete(self, link_id: int) -> None:
        """Forget a link; what it had still to say stays unsaid."""
        async with self._write() as db:
            row = await db.get(LinkRow, link_id)
            if row is None:
                return
            await db.delete(row)
            unsaid = update(NotificationRow).where(
                col(NotificationRow.link) == link_id, col(NotificationRow.state).in_(["pending", "held"])
            )
            await db.exec(unsaid.values(state="silent", reason=UNLINKED).execution_options(synchronize_session=False))

    async def pause(self, team: str, channel: str, reason: str) -> list[LinkRow]:
        """Pause a channel's links, and return those that were not paused before."""
        async with self._write() as db:
            return await _paused(db, team, channel, "", reason)

    async def resume(self, team: str, channel: str) -> list[LinkRow]:
        """Let a channel's links speak again, and return those that were paused."""
        asked = select(LinkRow).where(LinkRow.team == team, LinkRow.channel == channel, LinkRow.paused_reason != "")
        async with self._write() as db:
            rows = list(await db.exec(asked.order_by(col(LinkRow.id)).with_for_update()))
            for row in rows:
                row.paused_reason = ""
                db.add(row)
        return rows

    async def _settle(self, db: AsyncSession, link_id: int) -> LinkRow:
        """Hold a channel to one default and to distinct aliases, now that one of its links was written."""
        row = await db.get(LinkRow, link_id, populate_existing=True)
        if row is None:
            raise NotLinked("That pipeline is not linked any more.", hint="`/build list links` shows what is.")
        others = (col(LinkRow.team) == row.team, col(LinkRow.channel) == row.channel, col(LinkRow.id) != link_id)
        if row.alias:
            named = await db.exec(select(LinkRow.path, LinkRow.alias).where(*others, col(LinkRow.alias) != ""))
            path = next((path for path, alias in named if same_name(alias, row.alias)), None)
            if path is not None:
                raise UsageError(
                    f"`{row.alias}` already stands for {path} in this channel.", hint="Choose another alias."
                )
        if row.is_default:
            unmade = update(LinkRow).where(*others, col(LinkRow.is_default).is_(True)).values(is_default=False)
            await db.exec(unmade.execution_options(synchronize_session=False))
        return row


async def pause_team(db: AsyncSession, team: str) -> list[LinkRow]:
    """Pause the links of a workspace that removed the bot."""
    return await _paused(db, team, None, "", REMOVED)


async def resume_team(db: AsyncSession, team: str) -> list[LinkRow]:
    """Let the links of a workspace speak again that were paused because it had removed the bot."""
    return await _paused(db, team, None, REMOVED, "")


async def _paused(db: AsyncSession, team: str, channel: str | None, before: str, after: str) -> list[LinkRow]:
    asked = select(LinkRow).where(LinkRow.team == team, LinkRow.paused_reason == before)
    if channel is not None:
        asked = asked.where(LinkRow.channel == channel)
    rows = list(await db.exec(asked.order_by(col(LinkRow.id)).with_for_update()))
    for row in rows:
        row.paused_reason = after
        db.add(row)
    return rows
