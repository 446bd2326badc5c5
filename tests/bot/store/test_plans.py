"""The queries that are asked often find their rows by an index (SQLite tells how)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from bot.core.models import BuildKey
from bot.store import Store
from bot.store.tables import Row
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, key

Ask = Callable[[Store], Awaitable[object]]
SINCE = NOW - timedelta(days=7)
QUERIES: dict[str, Ask] = {
    "builds somebody started": lambda store: store.builds.started_by(TEAM, "U1", 10),
    "builds of a pipeline": lambda store: store.builds.of_pipeline(CONNECTION, PIPELINE),
    "builds of a pipeline's branch": lambda store: store.builds.of_pipeline(CONNECTION, PIPELINE, branch="main"),
    "a build": lambda store: store.builds.get(key()),
    "a build by number": lambda store: store.builds.by_number(CONNECTION, PIPELINE, 7),
    "builds of a commit": lambda store: store.builds.of_commit("abc1234", [CONNECTION]),
    "unfinished builds": lambda store: store.builds.unfinished([CONNECTION]),
    "attempts for a digest": lambda store: store.attempts.since(CONNECTION, PIPELINE, SINCE),
    "links of a channel": lambda store: store.links.of_channel(TEAM, CHANNEL),
    "links of a pipeline": lambda store: store.links.of_pipeline(CONNECTION, PIPELINE),
    "cards of a build": lambda store: store.cards.of_build(key()),
    "notifications of a build": lambda store: store.notifications.of_build(key()),
    "the audit": lambda store: store.audit.since(TEAM, since=SINCE),
    "due schedules": lambda store: store.schedules.claim(NOW, 1, lambda _row: NOW),
    "due digests": lambda store: store.digests.claim(NOW, 1, lambda _row: NOW),
    "abandoned deliveries": lambda store: store.inbox.is_waiting(NOW),
    "presets": lambda store: store.presets.of_pipeline(TEAM, CHANNEL, CONNECTION, PIPELINE),
    "a claim": lambda store: store.claims.holder(TEAM, BuildKey(connection=CONNECTION, pipeline=PIPELINE, id="b1")),
    "a person": lambda store: store.people.get(TEAM, "U1"),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_reads_no_whole_table(tmp_path: Path, name: str) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=lambda: NOW)
    await store.migrate()
    asked: list[tuple[str, object]] = []

    def remember(_connection: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        asked.append((statement, parameters))

    event.listen(store._engine.sync_engine, "before_cursor_execute", remember)
    await QUERIES[name](store)
    event.remove(store._engine.sync_engine, "before_cursor_execute", remember)
    plans: list[str] = []
    async with store.read() as db:
        connection = await db.connection()
        for statement, parameters in asked:
            if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
                plans += [str(row.detail) for row in plan.all()]
    await store.close()
    assert plans
    assert [step for step in plans if step.startswith("SCAN") and step.split()[1] in Row.metadata.tables] == []


async def test_many_builds_are_found_by_their_starter_without_reading_the_others(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=lambda: NOW)
    await store.migrate()
    async with store.read() as db:
        plan = await db.exec(  # type: ignore[call-overload]
            text("EXPLAIN QUERY PLAN SELECT data FROM build WHERE started_team = 'T1' AND started_by = 'U1'")
        )
        assert "ix_build_started_by" in str(plan.all())
    await store.close()
