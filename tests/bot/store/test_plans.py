"""The queries that are asked often find their rows by an index, among thousands of others, on both databases."""

import sqlite3
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Boolean, Float, Integer, text

from bot.app import App
from bot.core.models import Pipeline, Ref, RefKind
from bot.http.transport import Network
from bot.metrics import Metrics
from bot.security.vault import Vault
from bot.settings import Settings
from bot.slack.installs import Installs
from bot.slack.people import People
from bot.slack.sender import Sender
from bot.store import Store
from bot.store.steps import pack
from bot.store.tables import UtcDateTime, table
from commands.core.catalogue import Catalogue
from commands.core.context import Context, Services
from commands.core.executor import execute
from commands.follow.digest import digest_message
from commands.registry import REGISTRY
from commands.slack.home import home
from tests.bot.monitoring.test_poller import Harness as PollerHarness
from tests.bot.store.conftest import BOTH
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, TEAM, ended, key, link, notification
from tests.bot.store.statements import Statement, watched_statements
from tests.commands.fakes import FakeConnections, FakeProvider, RecordingSender
from tests.postgres import PostgresServer
from tests.set_clock import SetClock

Ask = Callable[[Store], Awaitable[object]]
SINCE = NOW - timedelta(days=7)
ROWS = {"sqlite": 20_000, "postgresql": 60_000}
"""How many rows a large table holds. PostgreSQL's planner reads the whole of a table with fewer, SQLite's has one plan."""
PIPELINE = "p7"
LARGE: dict[str, dict[str, str]] = {
    "build": {
        "pipeline": "'p' || n % 500",
        "build": "'b' || n",
        "number": "n",
        "branch": "'br' || n % 7",
        "commit_sha": "'c' || n",
        "completed": "n % 1000 <> 0",
        "started_team": "CASE n % 50 WHEN 0 THEN 'T1' ELSE '' END",
        "started_by": "CASE n % 50 WHEN 0 THEN 'U' || n % 20 ELSE '' END",
    },
    "attempt": {"pipeline": "'p' || n % 500", "build": "'b' || n", "attempt_no": "1", "ref_name": "'br' || n % 7"},
    "notification": {
        "pipeline": "'p' || n % 500",
        "build": "'b' || n",
        "event": "'finished'",
        "state": "'sent'",
        "channel": "'C' || n % 300",
    },
    "card": {"pipeline": "'p' || n % 500", "build": "'b' || n", "ts": "'t' || n", "notification": "n"},
    "watch": {"pipeline": "'p' || n % 500", "build": "'b' || n", "user": "'U' || n % 900"},
    "audit": {"team": "'T' || n % 900"},
    "identity": {"value": "'v' || n", "user": "'U' || n % 900"},
    "link": {"pipeline": "'p' || n", "channel": "'C' || n % 3000"},
    "inbox": {"key": "'k' || n"},
    "failure": {
        "pipeline": "'p' || n % 500",
        "build": "'b' || n",
        "signature": "'s' || n % 9000",
        "ref_name": "'br' || n % 7",
    },
    "card_note": {"pipeline": "'p' || n % 500", "build": "'b' || n"},
}
QUERIES: dict[str, Ask] = {
    "builds somebody started": lambda store: store.builds.started_by(TEAM, "U1", 10),
    "builds of a pipeline": lambda store: store.builds.of_pipeline(CONNECTION, PIPELINE),
    "builds of a pipeline's branch": lambda store: store.builds.of_pipeline(CONNECTION, PIPELINE, branch="main"),
    "a build": lambda store: store.builds.get(key()),
    "a build by number": lambda store: store.builds.by_number(CONNECTION, PIPELINE, 7),
    "builds of a commit": lambda store: store.builds.of_commit("abc1234", [CONNECTION]),
    "unfinished builds": lambda store: store.builds.unfinished([CONNECTION]),
    "a poll's builds": lambda store: store.recording.has_news([ended(f"b{number}") for number in range(20)]),
    "what is watched": lambda store: store.polling.watched(CONNECTION),
    "a build's end": lambda store: store.recording.record([ended("new", pipeline=PIPELINE)], now=NOW),
    "attempts for a digest": lambda store: store.attempts.since(CONNECTION, PIPELINE, SINCE),
    "attempts of a ref": lambda store: store.attempts.of_ref(
        CONNECTION, PIPELINE, Ref(kind=RefKind.BRANCH, name="br1")
    ),
    "attempts to count": lambda store: store.attempts.claim_uncounted(NOW, 10),
    "links of a channel": lambda store: store.links.of_channel(TEAM, CHANNEL),
    "links of a pipeline": lambda store: store.links.of_pipeline(CONNECTION, PIPELINE),
    "unlinking": lambda store: store.links.delete(7),
    "cards of a build": lambda store: store.cards.of_build(key()),
    "due cards": lambda store: store.cards.claim(now=NOW, lease_seconds=1, limit=10),
    "cards of a notification": lambda store: store.notifications.revise(7, "{}", NOW),
    "notifications of a build": lambda store: store.notifications.of_build(key()),
    "due notifications": lambda store: store.notifications.claim("me", now=NOW, lease_seconds=1, limit=10),
    "held notifications": lambda store: store.notifications.held_channels(),
    "the audit": lambda store: store.audit.since(TEAM, since=SINCE),
    "due schedules": lambda store: store.schedules.claim(NOW, 1, lambda _row: NOW),
    "due digests": lambda store: store.digests.claim(NOW, 1, lambda _row: NOW),
    "abandoned deliveries": lambda store: store.inbox.is_waiting(NOW),
    "claimed deliveries": lambda store: store.inbox.claim_abandoned("me", now=NOW, lease_until=NOW, limit=10),
    "presets": lambda store: store.presets.of_pipeline(TEAM, CHANNEL, CONNECTION, PIPELINE),
    "a claim": lambda store: store.claims.holder(TEAM, key()),
    "a person": lambda store: store.people.get(TEAM, "U1"),
    "a person's addresses": lambda store: store.people.identities(TEAM, "U1"),
    "a person's watches": lambda store: store.watches.of_user(TEAM, "U1"),
    "pruning": lambda store: store.prune(NOW),
}


def filled(name: str, dialect: str, count: int) -> str:
    """Return the statement that fills a table with rows, by the number `n` of each; one in 200 is of our connection."""
    lite = dialect == "sqlite"
    at = NOW.strftime("%Y-%m-%d %H:%M:%S")
    usual = {
        "team": f"CASE n % 200 WHEN 0 THEN '{TEAM}' ELSE 'T' || n % 200 END",
        "connection": f"CASE n % 200 WHEN 0 THEN '{CONNECTION}' ELSE 'w' || n % 200 END",
        "data": f"'{pack(ended())}'",
        **dict.fromkeys(("edit_due_at", "lease_until", "counts_due_at"), "NULL"),
    }
    columns = {}
    for column in table(name).columns:
        expression = LARGE[name].get(column.name) or usual.get(column.name)
        if column.name == "id":
            continue
        if expression is None or (expression == "NULL" and not column.nullable):
            if isinstance(column.type, Boolean):
                expression = "false"
            elif isinstance(column.type, Integer | Float):
                expression = "0"
            elif isinstance(column.type, UtcDateTime):
                expression = (
                    f"datetime('{at}', '-' || n || ' seconds') || '.000000'"
                    if lite
                    else f"TIMESTAMPTZ '{at}+00' - n * INTERVAL '1 second'"
                )
            else:
                expression = "''"
        columns[column.name] = expression
    names = ", ".join(f'"{column}"' for column in columns)
    numbers = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) SELECT n FROM c)"  # noqa: S608 - texts of this module
    if not lite:
        numbers = f"generate_series(1, {count}) AS c(n)"
    return f'INSERT INTO "{name}" ({names}) SELECT {", ".join(columns.values())} FROM {numbers}'  # noqa: S608 - texts of this module


@pytest.fixture(scope="module", params=BOTH)
async def large_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Store]:
    """Return a store whose large tables hold thousands of rows each."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.url(await server.create())
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('large')}/store.db"
    store = await Store.open(url, clock=lambda: NOW)
    await store.migrate()
    async with store.write() as db:
        for name in LARGE:
            await db.exec_driver_sql(filled(name, store.dialect, ROWS[store.dialect]))
        if store.dialect == "postgresql":
            await db.execute(text("ANALYZE"))  # as its autovacuum does; nobody does so for SQLite
    yield store
    await store.close()


async def steps(store: Store, statement: Statement) -> list[str]:
    """Return the steps by which a database runs a statement."""
    if store.dialect == "sqlite":
        connection = sqlite3.connect(str(store._engine.url.database))
        try:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.parameters).fetchall()
        finally:
            connection.close()
        return [str(step[3]) for step in plan]
    assert store._single is not None
    pool = store._single._pool or await store._single._open()
    return [str(step[0]).strip() for step in await pool.fetch(f"EXPLAIN {statement.text}", *statement.parameters)]


def is_whole_table(step: str) -> bool:
    """Whether a step reads the whole of a large table."""
    words = step.replace("->", " ").split()
    if words[0] == "SCAN":
        return words[1] in LARGE and "INDEX" not in words
    return words[:3] == ["Seq", "Scan", "on"] and words[3] in LARGE


async def whole_tables(store: Store, statements: Sequence[Statement]) -> list[tuple[str, str]]:
    """Return the steps that read the whole of a large table, each with its statement."""
    asked = {
        statement.text: statement
        for statement in statements
        if statement.text.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH"))
        and "advisory" not in statement.text
    }
    assert asked
    return [
        (step, sql)
        for sql, statement in asked.items()
        for step in await steps(store, statement)
        if is_whole_table(step)
    ]


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_reads_no_whole_table(large_store: Store, name: str) -> None:
    with watched_statements(large_store) as statements:
        await QUERIES[name](large_store)
    assert await whole_tables(large_store, statements) == []


async def app_on(store: Store, stack: AsyncExitStack) -> App:
    """Return the whole bot on a store, with no way to Slack."""
    settings = Settings.model_validate(
        {
            "slack_bot_token": "xoxb-plans",
            "slack_signing_secret": "plans",
            "slack_api_url": "http://127.0.0.1:9/api/",
            "connections": {},
        }
    )
    network = await stack.enter_async_context(Network())
    installs = Installs(
        store,
        session=network.session,
        api_url=settings.slack_api_url,
        clock=store.clock,
        vault=Vault.empty,
        single_token="xoxb-plans",
        client_id="",
        client_secret="",
    )
    sender = Sender(installs.token, session=network.session, api_url=settings.slack_api_url, clock=store.clock)
    app = App(
        settings,
        store=store,
        network=network,
        vault=Vault.empty,
        installs=installs,
        sender=sender,
        metrics=Metrics.make(),
        now=store.clock,
    )
    stack.push_async_callback(app.close)
    return app


async def test_what_a_worker_does_by_itself_reads_no_whole_table(large_store: Store) -> None:
    """All periodic work, whatever its statements are: a new one cannot be forgotten here."""
    await large_store.notifications.add([notification("b7", pipeline=PIPELINE, channel="C-plans")])
    await large_store.polling.ensure(CONNECTION, "", now=NOW)
    async with AsyncExitStack() as stack:
        app = await app_on(large_store, stack)
        with watched_statements(large_store) as statements:
            for _seconds, tick in app.schedule._ticks.values():
                await tick()
            app.poller._ensure_at = NOW + timedelta(hours=1)  # once in five minutes all links are read
            await app.poller.tick()
            await app.poller.settle()
            await app.outbox.tick()
            await app.outbox.settle()
            await app.inbox.tick()
            await app.inbox.settle()
            await app.budgets.share()
            await app.measure_waiting()
    assert len({statement.text for statement in statements}) > 40
    plans = await whole_tables(large_store, statements)
    # Every quarter of a minute the stopwatch reads which links want its signals.
    assert [plan for plan in plans if not plan[1].endswith("FROM link ORDER BY link.id")] == []


async def shown(store: Store, words: str) -> None:
    """Show what a person asked for, or App Home (""), where a pipeline with many builds is linked."""
    works, sender = FakeProvider(CONNECTION), RecordingSender()
    works.put(works.running(works.add(PIPELINE, id=PIPELINE), 7))
    sender.person("U1", "Ana")
    services = Services(
        store=store,
        connections=cast("Any", FakeConnections(works)),
        people=People(store, cast("Any", sender), store.clock),
        sender=cast("Any", sender),
        clock=store.clock,
        registry=REGISTRY,
        catalogue=Catalogue(store, store.clock),
    )
    context = Context(services=services, team=TEAM, channel="C-plans", user="U1", now=NOW)
    if words == "digest":
        await digest_message(context, timedelta(days=7))
    elif words:
        assert (await execute(words, context)).outcome == "ok"
    else:
        await home(context)
    await services.catalogue.close()


@pytest.mark.parametrize("words", ["status", "status p7", "last", "digest", "explain", ""])
async def test_what_people_look_at_reads_no_whole_table(large_store: Store, words: str) -> None:
    await large_store.pipelines.save(CONNECTION, [Pipeline(id=PIPELINE, path=PIPELINE, name=PIPELINE)], NOW)
    await large_store.links.save(link(channel="C-plans", pipeline=PIPELINE, path=PIPELINE, name=PIPELINE))
    with watched_statements(large_store) as statements:
        await shown(large_store, words)
    assert await whole_tables(large_store, statements) == []


async def test_a_poll_that_finds_news_reads_no_whole_table(large_store: Store) -> None:
    clock = SetClock()
    harness = PollerHarness(large_store, clock)
    harness.works.history = defaultdict(list)
    await large_store.links.save(link(channel="C-polls", pipeline=PIPELINE, path=PIPELINE, name=PIPELINE))
    await large_store.polling.ensure(CONNECTION, "", now=NOW)
    harness.works.put(ended("news", pipeline=PIPELINE, number=200_001))
    harness.poller._ensure_at = NOW + timedelta(hours=1)
    with watched_statements(large_store) as statements:
        await large_store.polling.request(CONNECTION, "", [(PIPELINE, "news")], full=True, now=NOW)
        for _turn in range(3):
            await harness.tick(seconds=10)
    assert len(await large_store.notifications.of_build(key("news"))) <= 1
    assert await large_store.builds.by_number(CONNECTION, PIPELINE, 200_001) is not None
    assert await whole_tables(large_store, statements) == []


async def test_builds_are_listed_without_sorting_all_of_a_pipeline(large_store: Store) -> None:
    with watched_statements(large_store) as statements:
        await large_store.builds.of_pipeline(CONNECTION, PIPELINE)
        await large_store.builds.of_pipeline(CONNECTION, PIPELINE, branch="br1")
        await large_store.builds.started_by(TEAM, "U0", 10)
    plans = [step for each in statements if each.text.startswith("SELECT") for step in await steps(large_store, each)]
    assert len([step for step in plans if "ix_build_" in step]) >= 3
    assert "USE TEMP B-TREE FOR ORDER BY" not in plans  # PostgreSQL sorts what it takes for a few rows


async def test_posts_of_a_week_are_counted_by_their_channel_and_not_among_all_that_was_sent(large_store: Store) -> None:
    row = await large_store.links.save(link(channel="C-plans", pipeline=PIPELINE, path=PIPELINE, name=PIPELINE))
    with watched_statements(large_store) as statements:
        assert await large_store.notifications.sent_by_link(TEAM, [row], SINCE) == {}
    (counting,) = [each for each in statements if "GROUP BY" in each.text]
    plan = " ".join(await steps(large_store, counting))
    assert "ix_notification_channel_order" in plan or "uq_notification_once" in plan  # both begin with the channel
    assert "ix_notification_due" not in plan
