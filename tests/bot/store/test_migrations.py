"""People's data survive each change of the schema."""

import json
from datetime import datetime, timedelta
from typing import Any

from alembic import command
from sqlalchemy import Connection, text

from bot.core import clock
from bot.core.models import BuildKey, Ref, RefKind
from bot.store import Store
from bot.store.schema import config as alembic_config
from bot.store.states import Switch
from bot.store.steps import pack
from tests.bot.store.rows import NOW, ago, running

LATER = NOW + timedelta(days=20)


def _to(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_presets_values_switches_claims_and_tokens_move_to_tables_of_their_own(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=lambda: NOW)
    seen = [
        ("presets:T1:C1:works:group/a:b", json.dumps({"nightly": {"A": "1"}, "beta": {}})),
        ("presets:T1:C2:works:app", "{}"),
        ("used:T1:U1:works:group/a:b", json.dumps({"A": "ü"})),
        ("reactions:T1:C1", "on"),
        ("claim:T1:works:group/a:b:build:7", "U1"),
        ("claim:T1:works:app:9", "U2"),
        ("organization:T1", "E1"),
        ("oauth:state", "1"),
        ("click:T1:U1:C1:cancel", ""),
    ]
    async with store._writing.begin() as connection:
        await connection.run_sync(_to, "0002")
        lite = store.dialect == "sqlite"
        row: dict[str, Any] = {"until": LATER.strftime("%Y-%m-%d %H:%M:%S.%f") if lite else LATER}
        for key, value in seen:
            await connection.execute(
                text('INSERT INTO seen (key, until, "value") VALUES (:key, :until, :value)'),
                {**row, "key": key, "value": value},
            )
        await connection.execute(
            text(
                "INSERT INTO build (connection, pipeline, build, branch, commit_sha, completed, attempt_no, data,"
                " started_by, started_team, started_channel, seen_at)"
                " VALUES ('works', 'group/a:b', 'build:7', '', '', :completed, 1, '{}', '', '', '', :until)"
            ),
            {**row, "completed": True},
        )
    await store.migrate()
    assert await store.presets.of_pipeline("T1", "C1", "works", "group/a:b") == {"beta": {}, "nightly": {"A": "1"}}
    assert await store.presets.of_pipeline("T1", "C2", "works", "app") == {}
    assert await store.last_values.get("T1", "U1", "works", "group/a:b") == {"A": "ü"}
    assert await store.switches.is_on("T1", "C1", Switch.REACTIONS)
    first = BuildKey(connection="works", pipeline="group/a:b", id="build:7")
    assert await store.claims.holder("T1", first) == "U1"
    assert await store.claims.holder("T1", BuildKey(connection="works", pipeline="app", id="9")) == "U2"
    assert await store.workspaces.enterprise_of("T1") == "E1"
    assert await store.tokens.take("oauth:state") == "1"
    assert not await store.tokens.add("click:T1:U1:C1:cancel", seconds=1)
    # New rows get ids of their own beside those that were moved.
    await store.presets.save("T1", "C9", "works", "app", name="n", parameters={}, most=5)
    await store.claims.add("T1", BuildKey(connection="works", pipeline="app", id="10"), "U3")
    await store.close()


async def test_a_database_without_any_of_that_migrates_too(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=clock.now)
    async with store._writing.begin() as connection:
        await connection.run_sync(_to, "0002")
    await store.migrate()
    assert await store.revision() == store.head()
    await store.close()


async def test_attempts_get_the_history_that_their_stored_builds_tell(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=lambda: NOW)
    builds = [
        running("b1", commit="AA", created_at=ago(hours=3)),
        running("b2", commit="bb", created_at=ago(hours=2)),
        running("b3", commit="aa", created_at=ago(hours=1)),
        running("pull", pull_request="7", created_at=ago(hours=1)),
        running("fork", from_fork=True, created_at=ago(hours=1)),
        running("tag", branch=None, tag="v1", created_at=None, started_at=ago(minutes=9)),
    ]
    async with store._writing.begin() as connection:
        await connection.run_sync(_to, "0002")
        lite = store.dialect == "sqlite"

        def stored(moment: datetime | None) -> Any:
            return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if lite and moment else moment

        for build in builds:
            row = {"build": build.id, "data": pack(build), "created": stored(build.created_at), "now": stored(NOW)}
            await connection.execute(
                text(
                    "INSERT INTO build (connection, pipeline, build, branch, commit_sha, completed, attempt_no, data,"
                    " started_by, started_team, started_channel, created_at, seen_at)"
                    " VALUES ('works', 'p-app', :build, '', '', :completed, 1, :data, '', '', '', :created, :now)"
                ),
                {**row, "completed": True},
            )
        for name in (*(build.id for build in builds), "forgotten"):
            await connection.execute(
                text(
                    "INSERT INTO attempt (connection, pipeline, build, attempt_no, branch, commit_sha, author,"
                    " conclusion, counts, counts_tries, failures, failures_total, completed_at, seen_at)"
                    " VALUES ('works', 'p-app', :build, 1, 'main', '', '', 'passed', '', 0, '', 0, :now, :now)"
                ),
                {"build": name, "now": stored(NOW)},
            )
    await store.migrate()
    rows = {row.build: row for row in await store.attempts.since("works", "p-app", ago(days=1))}
    assert {name: (row.ref_kind, row.ref_name) for name, row in rows.items()} == {
        "b1": ("branch", "main"),
        "b2": ("branch", "main"),
        "b3": ("branch", "main"),
        "pull": ("pull_request", "7"),
        "fork": ("", ""),
        "tag": ("tag", "v1"),
        "forgotten": ("", ""),
    }
    main = Ref(kind=RefKind.BRANCH, name="main")
    assert [row.build for row in await store.attempts.of_ref("works", "p-app", main)] == ["b2", "b3", "b1"]
    assert rows["tag"].built_at == ago(minutes=9)
    await store.close()
