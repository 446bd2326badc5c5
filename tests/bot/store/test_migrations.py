"""People's data survive each change of the schema."""

import json
from datetime import timedelta
from typing import Any

from alembic import command
from sqlalchemy import Connection, text

from bot.core import clock
from bot.core.models import BuildKey
from bot.store import Store
from bot.store.database import _config
from bot.store.switches import Switch
from tests.bot.store.rows import NOW

LATER = NOW + timedelta(days=20)


def _to(connection: Connection, revision: str) -> None:
    config = _config()
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
