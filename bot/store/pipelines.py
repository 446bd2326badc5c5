"""What can be built, as last listed."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import Pipeline
from bot.store.database import Repository, chosen, pages, put
from bot.store.mapping import LINK, PIPELINE
from bot.store.recording import ADD_NOTIFICATION
from bot.store.rows import LinkRow, NewNotification, PipelineRow
from bot.store.states import NotificationEvent

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
        rows = {pipeline.id: _columns(connection, pipeline, now) for pipeline in pipelines}
        by_id = {pipeline.id: pipeline for pipeline in pipelines}
        listed = select(PIPELINE.c.pipeline).where(PIPELINE.c.connection == connection)
        async with self._write() as db:
            await self._put(db, PUT_PIPELINE, list(rows.values()))
            changed = await self._follow(db, connection, by_id, now)
            if not complete:
                return changed
            for page in pages(sorted(set(await db.scalars(listed)) - rows.keys())):
                deletion = PIPELINE.delete().where(PIPELINE.c.connection == connection, PIPELINE.c.pipeline.in_(page))
                await db.execute(deletion)
        return changed

    async def _follow(
        self, db: AsyncConnection, connection: str, pipelines: Mapping[str, Pipeline], now: datetime
    ) -> list[LinkRow]:
        """Give links what they copied of these pipelines as it is now, and return those that changed."""
        query = LINK.select().where(LINK.c.connection == connection).order_by(LINK.c.id)
        changed: list[LinkRow] = []
        for link in await LINK.all(db, query):
            pipeline = pipelines.get(link.pipeline)
            if pipeline is None:
                continue
            branch = pipeline.default_branch or link.default_branch
            copied = {"path": pipeline.path, "name": pipeline.full_name, "default_branch": branch}
            if copied == {name: getattr(link, name) for name in copied}:
                continue
            moved = bool(link.default_branch) and branch != link.default_branch
            if moved and not link.branch and link.subscribed and not link.paused_reason:
                await self._put(db, ADD_NOTIFICATION, [_branch_changed(link, branch, now)])
            changed += await LINK.all(
                db, LINK.update().where(LINK.c.id == link.id).values(**copied).returning(*LINK.columns)
            )
        return changed

    async def claim_stale(self, now: datetime, after: timedelta, limit: int) -> list[tuple[str, str]]:
        """Return linked pipelines, as (connection, pipeline), that were not read for a while, and count them as read."""
        stale = (
            select(PIPELINE.c.id)
            .where(
                PIPELINE.c.seen_at <= now - after,
                select(LINK.c.id)
                .where(
                    LINK.c.connection == PIPELINE.c.connection,
                    LINK.c.pipeline == PIPELINE.c.pipeline,
                    LINK.c.paused_reason == "",
                )
                .exists(),
            )
            .order_by(PIPELINE.c.seen_at, PIPELINE.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = PIPELINE.update().where(PIPELINE.c.id.in_(chosen(stale))).values(seen_at=now)
        async with self._write() as db:
            rows = await db.execute(claimed.returning(PIPELINE.c.connection, PIPELINE.c.pipeline))
            return [(connection, pipeline) for connection, pipeline in rows]

    async def delete(self, connection: str, pipeline_id: str) -> None:
        """Forget a pipeline that is no more."""
        deletion = PIPELINE.delete().where(PIPELINE.c.connection == connection, PIPELINE.c.pipeline == pipeline_id)
        async with self._write() as db:
            await db.execute(deletion)

    async def all(self, connection: str | None = None, connections: Sequence[str] | None = None) -> list[PipelineRow]:
        """Return the pipelines of one, of some or of all connections, by connection and path."""
        query = PIPELINE.select().order_by(PIPELINE.c.connection, PIPELINE.c.path)
        if connection is not None:
            query = query.where(PIPELINE.c.connection == connection)
        if connections is not None:
            query = query.where(PIPELINE.c.connection.in_(connections))
        async with self._read() as db:
            return await PIPELINE.all(db, query)

    async def get(self, connection: str, pipeline_id: str) -> PipelineRow | None:
        """Return a pipeline as last listed, or None."""
        query = PIPELINE.select().where(PIPELINE.c.connection == connection, PIPELINE.c.pipeline == pipeline_id)
        async with self._read() as db:
            return await PIPELINE.first(db, query)


def _columns(connection: str, pipeline: Pipeline, now: datetime) -> dict[str, Any]:
    return {
        "connection": connection,
        "pipeline": pipeline.id,
        "path": pipeline.path,
        "name": pipeline.name,
        "group": pipeline.group or "",
        "default_branch": pipeline.default_branch or "",
        "repository": pipeline.repository or "",
        "web_url": pipeline.web_url or "",
        "enabled": pipeline.enabled,
        "seen_at": now,
    }


def _branch_changed(link: LinkRow, branch: str, now: datetime) -> NewNotification:
    """Return the notification that a channel's link follows another default branch from now on."""
    return NewNotification(
        team=link.team,
        channel=link.channel,
        link=link.id,
        connection=link.connection,
        pipeline=link.pipeline,
        build=now.isoformat(),
        attempt_no=1,
        event=NotificationEvent.BRANCH_CHANGED,
        reason="the default branch of a linked pipeline changed",
        extra=json.dumps({"text": branch, "headline": link.default_branch}),
        due_at=now,
        created_at=now,
    )
