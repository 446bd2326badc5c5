"""Old processes go on while new ones migrate: what the schema before had is still there and still works."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.store import Store, schema
from tests.bot.store.rows import NOW

FIRST = "0006"
"""The oldest schema whose processes may still run. A migration that takes something away comes a release after nothing
uses it any more, and moves this on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNeed:
    """What an old process relies on, or what a new schema demands of it."""

    type: str
    is_nullable: bool
    has_default: bool


Schema = Mapping[str, Mapping[str, ColumnNeed]]


def read(connection: Connection) -> Schema:
    """Return the tables and their columns as the database has them."""
    inspector = sa.inspect(connection)
    return {
        table: {
            column["name"]: ColumnNeed(
                type=str(column["type"]),
                is_nullable=bool(column["nullable"]),
                has_default=column.get("default") is not None or column["name"] == "id",
            )
            for column in inspector.get_columns(table)
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what a process of the old schema can't do with the new one: its statements name its own columns only."""
    problems = [f"{table} is gone" for table in old if table not in new]
    for table in old.keys() & new.keys():
        before, after = old[table], new[table]
        problems += [f"{table}.{name} is gone" for name in before if name not in after]
        problems += [
            f"{table}.{name} must be given, and an old process does not know it"
            for name, column in after.items()
            if name not in before and not column.is_nullable and not column.has_default
        ]
        problems += [
            f"{table}.{name} has become {after[name].type}"
            for name in before.keys() & after.keys()
            if before[name].type != after[name].type or (before[name].is_nullable and not after[name].is_nullable)
        ]
    return sorted(problems)


def revisions() -> list[str]:
    """Return all revisions, the oldest first."""
    script = ScriptDirectory.from_config(schema.config())
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


async def schema_at(store: Store, revision: str) -> Schema:
    def upgraded(connection: Connection) -> Schema:
        config = schema.config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        return read(connection)

    async with store._writing.begin() as connection:
        return await connection.run_sync(upgraded)


async def test_no_migration_takes_from_old_processes_what_they_use(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=lambda: NOW)
    kept = revisions()
    before = await schema_at(store, FIRST)
    for revision in kept[kept.index(FIRST) + 1 :]:
        after = await schema_at(store, revision)
        assert breaks(before, after) == [], f"migration {revision} is not additive"
        before = after
    await store.close()


def test_the_rule_finds_what_old_processes_would_miss() -> None:
    text = ColumnNeed(type="VARCHAR", is_nullable=True, has_default=False)
    needed = ColumnNeed(type="VARCHAR", is_nullable=False, has_default=False)
    filled = ColumnNeed(type="VARCHAR", is_nullable=False, has_default=True)
    number = ColumnNeed(type="INTEGER", is_nullable=True, has_default=False)
    old = {"card": {"a": text, "b": text, "c": text}, "seen": {"a": text}}
    new = {"card": {"a": number, "b": needed, "new": needed, "filled": filled, "free": text}, "more": {"x": needed}}
    assert breaks(old, new) == [
        "card.a has become INTEGER",
        "card.b has become VARCHAR",
        "card.c is gone",
        "card.new must be given, and an old process does not know it",
        "seen is gone",
    ]


async def test_a_process_of_the_oldest_schema_works_on_after_the_newest_migration(bare_url: str) -> None:
    """An old process is played by its statements: they insert, read and change by the columns that it knows."""
    store = await Store.open(bare_url, clock=lambda: NOW)
    await schema_at(store, FIRST)
    old = sa.MetaData()
    async with store._writing.begin() as connection:
        await connection.run_sync(old.reflect)
        for table in old.sorted_tables:
            if table.name != "alembic_version":
                await connection.execute(table.insert().values(_row(table, 1)))
    await store.migrate()
    async with store._writing.begin() as connection:
        for table in old.sorted_tables:
            if table.name == "alembic_version":
                continue
            before = (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            await connection.execute(table.insert().values(_row(table, 2)))
            changed = await connection.execute(table.update().values({column.name: column for column in table.columns}))
            rows = (await connection.execute(sa.select(table))).all()
            assert changed.rowcount == len(rows) == before + 1, table.name
    await store.close()


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns if column.name != "id"}


def _kind(column: sa.Column[Any]) -> type:
    return column.type.python_type


def _value(column: sa.Column[Any], number: int) -> Any:
    kind = _kind(column)
    if kind is datetime:
        return datetime(2026, 3, number, tzinfo=UTC)
    if kind is str:
        return f'{{"n": {number}}}' if column.name in {"extra", "data", "hints"} else f"{column.name}{number}"
    return kind(number)
