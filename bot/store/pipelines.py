"""What can be built, as last listed."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import Pipeline
from bot.store.database import Repository, pages, put
from bot.store.recording import ADD_NOTIFICATION
from bot.store.tables import LinkRow, NotificationEvent, NotificationRow, PipelineRow

PUT_PIPELINE = put("pipeline", key=("connection", "pipeline"))


class Pipelines(Repository):
    """What can be built, as last listed."""

    async def save(
        self, connection: str, pipelines: Sequence[Pipeline], now: datetime, *, complete: bool = False
    ) -> list[LinkRow]:
        """Write what a listing found, and return the links that changed with it.

        Links follow the names, paths and default branches of their pipelines; a channel whose default branch changed is
        notified of it in the same transaction. After a `complete` listing, pipelines that it does not name are forgotten.
        """
        rows = {pipeline.id: _pipeline(connection, pipeline, now) for pipeline in pipelines}
        known = select(PipelineRow.pipeline).where(PipelineRow.connection == connection)
        async with self._write() as db:
            await self._put(db, PUT_PIPELINE, list(rows.values()))
            changed = await self._follow(db, rows, now)
            if not complete:
                return changed
            for page in pages(sorted(set(await db.exec(known)) - rows.keys())):
                gone = delete(PipelineRow).where(
                    col(PipelineRow.connection) == connection, col(PipelineRow.pipeline).in_(page)
                )
                await db.exec(gone.execution_options(synchronize_session=False))
        return changed

    async def _follow(self, db: AsyncSession, rows: Mapping[str, PipelineRow], now: datetime) -> list[LinkRow]:
        """Give links what they copied of these pipelines as it is now, and return those that changed."""
        connection = next((row.connection for row in rows.values()), "")
        asked = select(LinkRow).where(LinkRow.connection == connection).order_by(col(LinkRow.id))
        changed = []
        for link in list(await db.exec(asked)):
            row = rows.get(link.pipeline)
            before = (link.path, link.name, link.default_branch)
            if row is None or before == (row.path, row.name, row.default_branch or link.default_branch):
                continue
            moved = bool(row.default_branch and link.default_branch and row.default_branch != link.default_branch)
            if moved and not link.branch and link.subscribed and not link.paused_reason:
                await self._put(db, ADD_NOTIFICATION, [_branch_changed(link, row, now)])
            link.path, link.name = row.path, row.name
            link.default_branch = row.default_branch or link.default_branch
            db.add(link)
            changed.append(link)
        return changed

    async def claim_stale(self, now: datetime, after: timedelta, limit: int) -> list[tuple[str, str]]:
        """Return linked pipelines, as (connection, pipeline), that were not read for a while, and count them as read."""
        asked = (
            select(PipelineRow)
            .where(
                col(PipelineRow.seen_at) <= now - after,
                select(LinkRow.id)
                .where(
                    LinkRow.connection == PipelineRow.connection,
                    LinkRow.pipeline == PipelineRow.pipeline,
                    LinkRow.paused_reason == "",
                )
                .exists(),
            )
            .order_by(col(PipelineRow.seen_at), col(PipelineRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._write() as db:
            rows = list(await db.exec(asked))
            for row in rows:
                row.seen_at = now
                db.add(row)
            return [(row.connection, row.pipeline) for row in rows]

    async def delete(self, connection: str, pipeline_id: str) -> None:
        """Forget a pipeline that is no more."""
        gone = delete(PipelineRow).where(
            col(PipelineRow.connection) == connection, col(PipelineRow.pipeline) == pipeline_id
        )
        async with self._write() as db:
            await db.exec(gone.execution_options(synchronize_session=False))

    async def all(self, connection: str | None = None, connections: Sequence[str] | None = None) -> list[PipelineRow]:
        """Return the pipelines of one, of some or of all connections, by connection and path."""
        asked = select(PipelineRow).order_by(col(PipelineRow.connection), col(PipelineRow.path))
        if connection is not None:
            asked = asked.where(PipelineRow.connection == connection)
        if connections is not None:
            asked = asked.where(col(PipelineRow.connection).in_(connections))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def get(self, connection: str, pipeline_id: str) -> PipelineRow | None:
        """Return a pipeline as last listed, or None."""
        asked = select(PipelineRow).where(PipelineRow.connection == connection, PipelineRow.pipeline == pipeline_id)
        async with self._read() as db:
            return (await db.exec(asked)).first()


def _pipeline(connection: str, pipeline: Pipeline, now: datetime) -> PipelineRow:
    return PipelineRow(
        connection=connection,
        pipeline=pipeline.id,
        path=pipeline.path,
        name=pipeline.name,
        group=pipeline.group or "",
        default_branch=pipeline.default_branch or "",
        repository=pipeline.repository or "",
        web_url=pipeline.web_url or "",
        enabled=pipeline.enabled,
        seen_at=now,
    )


def _branch_changed(link: LinkRow, row: PipelineRow, now: datetime) -> NotificationRow:
    """Return the notification that a channel's link follows another default branch from now on."""
    return NotificationRow(
        team=link.team,
        channel=link.channel,
        link=link.id or 0,
        connection=link.connection,
        pipeline=link.pipeline,
        build=now.isoformat(),
        attempt_no=1,
        event=NotificationEvent.BRANCH_CHANGED.value,
        reason="the default branch of a linked pipeline changed",
        extra=json.dumps({"text": row.default_branch, "headline": link.default_branch}),
        due_at=now,
        created_at=now,
    )
