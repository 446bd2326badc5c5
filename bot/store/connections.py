"""Connections and what can be built through them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from bot.core.models import Pipeline
from bot.store.database import Database, pages, put
from bot.store.tables import ConnectionRow, LaneRow, PipelineRow

PUT_CONNECTION = put("connection", key=("name",), keep=("down_since", "told_at", "last_error"), returning=("name",))
ADD_CONNECTION = put("connection", key=("name",), replace=False, returning=("name",))
PUT_PIPELINE = put("pipeline", key=("connection", "pipeline"))


class Connections(Database):
    """Accounts at CI systems: those made in Slack, and how all of them are."""

    async def connections(self) -> list[ConnectionRow]:
        """Return every row by name. One without `settings` is the health of a connection from the configuration."""
        async with self._read() as db:
            return list(await db.exec(select(ConnectionRow).order_by(col(ConnectionRow.name))))

    async def save_connection(self, row: ConnectionRow) -> None:
        """Write a connection made in Slack; its health stays as it is known."""
        async with self._write() as db:
            await self._put(db, PUT_CONNECTION, [row])

    async def delete_connection(self, name: str) -> None:
        """Forget a connection, its pipelines and its lanes."""
        gone = (
            delete(ConnectionRow).where(col(ConnectionRow.name) == name),
            delete(PipelineRow).where(col(PipelineRow.connection) == name),
            delete(LaneRow).where(col(LaneRow.connection) == name),
        )
        async with self._write() as db:
            for statement in gone:
                await db.exec(statement.execution_options(synchronize_session=False))

    async def connection_down(self, name: str, error: str, now: datetime) -> None:
        """Remember that a connection does not answer, and since when."""
        async with self._write() as db:
            await self._put(db, ADD_CONNECTION, [ConnectionRow(name=name, kind="", created_at=now)])
            row = await db.get(ConnectionRow, name)
            if row is not None:
                row.down_since = row.down_since or now
                row.last_error = error
                db.add(row)

    async def connection_up(self, name: str) -> None:
        """Remember that a connection answers."""
        well = (
            update(ConnectionRow)
            .where(col(ConnectionRow.name) == name, col(ConnectionRow.down_since).is_not(None))
            .values(down_since=None, told_at=None, last_error="")
        )
        async with self._write() as db:
            await db.exec(well.execution_options(synchronize_session=False))

    async def save_pipelines(
        self, connection: str, pipelines: Sequence[Pipeline], now: datetime, *, complete: bool = False
    ) -> None:
        """Write what a listing found. After a `complete` one, pipelines that it does not name are forgotten."""
        rows = {pipeline.id: _pipeline(connection, pipeline, now) for pipeline in pipelines}
        known = select(PipelineRow.pipeline).where(PipelineRow.connection == connection)
        async with self._write() as db:
            await self._put(db, PUT_PIPELINE, list(rows.values()))
            if not complete:
                return
            for page in pages(sorted(set(await db.exec(known)) - rows.keys())):
                gone = delete(PipelineRow).where(
                    col(PipelineRow.connection) == connection, col(PipelineRow.pipeline).in_(page)
                )
                await db.exec(gone.execution_options(synchronize_session=False))

    async def forget_pipeline(self, connection: str, pipeline_id: str) -> None:
        """Forget a pipeline that is no more."""
        gone = delete(PipelineRow).where(
            col(PipelineRow.connection) == connection, col(PipelineRow.pipeline) == pipeline_id
        )
        async with self._write() as db:
            await db.exec(gone.execution_options(synchronize_session=False))

    async def pipelines(
        self, connection: str | None = None, connections: Sequence[str] | None = None
    ) -> list[PipelineRow]:
        """Return the pipelines of one, of some or of all connections, by connection and path."""
        asked = select(PipelineRow).order_by(col(PipelineRow.connection), col(PipelineRow.path))
        if connection is not None:
            asked = asked.where(PipelineRow.connection == connection)
        if connections is not None:
            asked = asked.where(col(PipelineRow.connection).in_(connections))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def pipeline(self, connection: str, pipeline_id: str) -> PipelineRow | None:
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
