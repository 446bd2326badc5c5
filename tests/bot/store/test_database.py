import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError, OperationalError

from bot.core import clock
from bot.core.errors import StoreError
from bot.store import Store
from bot.store.engine import postgres_arguments, read_url
from bot.store.errors import translate_errors
from bot.store.tables import metadata, table
from tests.bot.store.rows import CONNECTION, NOW, ended, link, record_told

ROOT = Path(__file__).parents[3]
TAPPER = """
import asyncio, sys
from datetime import UTC, datetime
from bot.core import clock
from bot.store import Store

async def main(url, name, count):
    store = await Store.open(url, clock=clock.now)
    now = datetime(2026, 3, 4, tzinfo=UTC)
    await asyncio.gather(
        *(store.polling.request("works", "", [(name, str(number))], full=False, now=now) for number in range(count))
    )
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_two_processes_and_many_tasks_lose_no_update(store: Store, database_url: str) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    # Each webhook event reads the hints, adds one and writes them: what SQLite's default transactions lose without a word.
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", TAPPER, database_url, name, "60", cwd=ROOT)
        for name in ("one", "two")
    ]
    await asyncio.gather(
        *(store.polling.request(CONNECTION, "", [("three", str(number))], full=False, now=NOW) for number in range(60))
    )
    assert [await process.wait() for process in processes] == [0, 0]
    (poll_target,) = await store.polling.targets()
    hints = await store.polling.take_hints(poll_target)
    assert len(hints) == 180
    assert {name for name, _ in hints} == {"one", "two", "three"}


async def test_two_stores_write_the_same_build_once(store: Store, other: Store) -> None:
    builds = [ended(f"b{number}") for number in range(5)]
    found = await asyncio.gather(*(record_told(one, builds, now=NOW) for one in (store, other) * 6))
    assert sum(len(items) for items in found) == 5


async def test_migrations_lead_from_nothing_to_the_models(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=clock.now)
    assert await store.revision() is None
    await asyncio.gather(store.migrate(), store.migrate())
    assert await store.revision() == store.head() != ""

    def drift(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata()))

    async with store._engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    await store.close()


async def test_processes_may_migrate_at_the_same_time(bare_url: str) -> None:
    stores = [await Store.open(bare_url, clock=clock.now) for _ in range(3)]
    await asyncio.gather(*(store.migrate() for store in stores))
    assert {await store.revision() for store in stores} == {stores[0].head()}
    for store in stores:
        await store.close()


async def test_without_tables_the_operator_is_asked_to_migrate(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=clock.now)
    for question in (store.polling.targets(), store.links.save(link()), store.tokens.add("k", seconds=1)):
        with pytest.raises(StoreError, match="no tables") as caught:
            await question
        assert caught.value.hint == "Run `buildbell migrate`."
    await store.close()


async def test_other_faults_of_the_database_are_not_hidden_and_undo_what_was_done(store: Store) -> None:
    async def twice() -> None:
        async with store.write() as db:
            for _ in range(2):
                await db.execute(insert(table("poll_target")).values(connection="a", due_at=NOW, poll_at=NOW))

    with pytest.raises(IntegrityError):
        await twice()
    assert await store.polling.targets() == []


async def test_a_store_in_memory_serves_many_tasks() -> None:
    store = await Store.open("sqlite://", clock=clock.now)
    await store.migrate()
    await asyncio.gather(*(store.polling.ensure(CONNECTION, str(part), now=NOW) for part in range(20)))
    counts = await asyncio.gather(*(store.polling.targets() for _ in range(20)))
    assert {len(poll_targets) for poll_targets in counts} == {20}
    await store.close()


async def test_sqlite_is_set_up_for_two_processes(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=clock.now)
    async with store._engine.connect() as connection:
        said = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        ]
    assert said == ["wal", 10000, 1, 1]
    await store.close()


async def test_only_one_holds_a_lock_of_a_name(store: Store, other: Store) -> None:
    holders: list[int] = []
    most: list[int] = []

    async def hold(where: Store) -> None:
        async with where.lock("tokens"):
            holders.append(1)
            most.append(len(holders))
            await where.polling.targets()
            holders.pop()

    stores = [store, other] if store.dialect == "postgresql" else [store]
    await asyncio.gather(*(hold(one) for one in stores * 10))
    assert set(most) == {1}


async def test_locks_of_different_names_are_held_together_and_let_go_after_an_error(store: Store) -> None:
    async with store.lock("one"), store.lock("two"):
        await store.polling.targets()
    with pytest.raises(RuntimeError):
        async with store.lock("one"):
            raise RuntimeError
    async with store.lock("one"):
        await store.polling.targets()


async def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        await Store.open(f"postgresql://bell:s3cret@/bell?host={tmp_path}", clock=clock.now)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("url", ["mysql://host/name", "not a url", ""])
async def test_a_url_of_no_known_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        await Store.open(url, clock=clock.now)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("sqlite:///data/bell.db", "sqlite+aiosqlite:///data/bell.db"),
        ("sqlite:////data/bell.db", "sqlite+aiosqlite:////data/bell.db"),
        ("sqlite://", "sqlite+aiosqlite://"),
    ],
)
def test_urls_are_taken_as_hosts_give_them(url: str, expected: str) -> None:
    assert read_url(url).render_as_string(hide_password=False) == expected


def test_what_a_postgres_url_asks_for_reaches_the_driver_in_its_own_words() -> None:
    host, arguments = postgres_arguments(
        {
            "host": "/run",
            "sslmode": "require",
            "connect_timeout": "7",
            "statement_cache_size": "0",
            "application_name": "bell",
            "channel_binding": "require",
        }
    )
    assert host == {"host": "/run"}
    assert arguments == {
        "ssl": "require",
        "timeout": 7.0,
        "statement_cache_size": 0,
        "server_settings": {"application_name": "bell"},
    }


@pytest.mark.parametrize(("mode", "checks"), [("verify-full", True), ("verify-ca", False)])
def test_a_root_certificate_is_used_to_verify(mode: str, *, checks: bool) -> None:
    _, arguments = postgres_arguments({"sslmode": mode, "sslrootcert": "system"})
    context = arguments["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname is checks
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.postgres
async def test_a_server_that_ends_a_connection_is_an_error_in_words_and_the_next_question_works(
    postgres_url: str,
) -> None:
    store = await Store.open(postgres_url, clock=clock.now)

    async def interrupted() -> None:
        async with store.write() as db:
            await db.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreError, match="broke"):
        await interrupted()
    assert await store.polling.targets() == []
    await store.close()


def test_the_wheel_holds_the_migrations() -> None:
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            "from bot.store.schema import config as c; print(c().get_main_option('script_location'))",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (Path(listed.stdout.strip()) / "versions" / "0001_first_tables.py").exists()


async def test_a_database_that_is_locked_or_full_is_reported_in_words() -> None:
    with pytest.raises(StoreError, match="can't be used now"):
        async with translate_errors():
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
