"""Prepared statements about the rows of some builds, pipelines or channels: one question for all of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import BuildKey
from bot.store.database import among, terms
from bot.store.mapping import ATTEMPT, BUILD, CARD, LINK, MUTE, NOTIFICATION, WATCH, RowMap
from bot.store.statements import Core, Statement, Values
from bot.store.states import NotificationState


def by_keys(of: RowMap[Any], names: Sequence[str], make: Callable[[ColumnElement[bool]], Core]) -> Statement:
    """Return a statement about the rows of which some columns hold one of the tuples in its parameter `keys`."""
    return Statement(lambda dialect: make(among(dialect, [of.c[name] for name in names], "keys")))


def _rows_by_keys(of: RowMap[Any], *names: str) -> Statement:
    return by_keys(of, names, lambda condition: of.select().where(condition).order_by(of.c.id))


BUILD_KEY = ("connection", "pipeline", "build")
BUILDS = _rows_by_keys(BUILD, *BUILD_KEY)
CARDS = _rows_by_keys(CARD, *BUILD_KEY)
LINKS = _rows_by_keys(LINK, "connection", "pipeline")
WATCHES = _rows_by_keys(WATCH, "connection", "pipeline")
MUTES = _rows_by_keys(MUTE, "team", "channel")
STATES = by_keys(
    BUILD,
    BUILD_KEY,
    select(
        BUILD.c.connection, BUILD.c.pipeline, BUILD.c.build, BUILD.c.data, BUILD.c.attempt_no, BUILD.c.completed
    ).where,
)
LAST_ENDS = by_keys(
    ATTEMPT,
    BUILD_KEY,
    lambda condition: (
        select(ATTEMPT.c.connection, ATTEMPT.c.pipeline, ATTEMPT.c.build, func.max(ATTEMPT.c.completed_at))
        .where(condition)
        .group_by(ATTEMPT.c.connection, ATTEMPT.c.pipeline, ATTEMPT.c.build)
    ),
)
MARK_MOVED = by_keys(
    NOTIFICATION,
    BUILD_KEY,
    lambda condition: (
        NOTIFICATION.update().where(condition, NOTIFICATION.c.state == NotificationState.LEASED).values(moved=True)
    ),
)


def of_build(columns: Any, key: BuildKey) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a row is about a build."""
    return (columns.connection == key.connection, columns.pipeline == key.pipeline, columns.build == key.id)


async def run(db: AsyncConnection, statement: Statement, **parameters: Any) -> list[Values]:
    """Run a prepared query in a transaction that has begun, and return its rows."""
    return [tuple(row) for row in await db.execute(statement.core(db.dialect.name), parameters)]


def keys_of(keys: Iterable[BuildKey]) -> str:
    """Return the value of the parameter of `by_keys`."""
    return terms((key.connection, key.pipeline, key.id) for key in keys)
