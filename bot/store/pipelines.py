"""What can be built, as last listed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col, select

from bot.core.models import Pipeline
from bot.store.database import Repository, pages, put
from bot.store.tables import PipelineRow

PUT_PIPELINE = put("pipeline", key=("connection", "pipeline"))


class Pipelines(Repository):
    """What can be built, as last listed."""

    async def save(
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
