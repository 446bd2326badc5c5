"""Forget a person on request: what is theirs is deleted, and where others' rows name them they become nobody."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, Table, TypeDecorator, and_, delete, or_, select, update

from bot.store.database import Repository, table
from bot.store.mapping import CARD, GRANT, IDENTITY, NOTIFICATION, PERSON
from bot.store.tables import TableBase

NOBODY = "UFORGOTTEN"
SOMEBODY = "somebody"
BATCH = 200
THEIRS = ("last_value", "watch", "schedule", "claim")
"""Tables whose rows belong to the person in `user`."""


class Forgetting(Repository):
    """People who asked to be forgotten."""

    async def person(self, team: str, user: str) -> int:
        """Leave nothing of a person in the database, and return how many rows were deleted or changed.

        Their grants, watches, schedules, values and direct messages go. In other rows their Slack id becomes NOBODY,
        their name and addresses `somebody`. Reads every text once, in batches. Sealed texts hold nothing of people
        but what Slack delivered in the last minutes.
        """
        words = await self._words(team, user)
        theirs: list[tuple[Table, ColumnElement[bool]]] = [
            (PERSON.table, and_(PERSON.c.team == team, PERSON.c.user == user)),
            (IDENTITY.table, and_(IDENTITY.c.team == team, IDENTITY.c.user == user)),
            (GRANT.table, and_(GRANT.c.team == team, GRANT.c.subject == f"user:{user}")),
            (CARD.table, and_(CARD.c.team == team, CARD.c.channel == user)),
            (NOTIFICATION.table, and_(NOTIFICATION.c.team == team, NOTIFICATION.c.channel == user)),
            *((rows, and_(rows.c.team == team, rows.c.user == user)) for rows in map(table, THEIRS)),
        ]
        count = 0
        async with self._write() as db:
            for rows, condition in theirs:
                count += (await db.execute(delete(rows).where(condition))).rowcount
        for rows in TableBase.metadata.sorted_tables:
            count += await self._rename(rows, words)
        return count

    async def _words(self, team: str, user: str) -> dict[str, str]:
        """Return what names the person, with what stands there afterwards."""
        words = {user: NOBODY}
        async with self._read() as db:
            person = await PERSON.first(db, PERSON.select().where(PERSON.c.team == team, PERSON.c.user == user))
            identities = await IDENTITY.all(
                db, IDENTITY.select().where(IDENTITY.c.team == team, IDENTITY.c.user == user)
            )
        names = [person.name, person.email] if person is not None else []
        names += [identity.value for identity in identities]
        return words | dict.fromkeys(filter(None, names), SOMEBODY)

    async def _rename(self, rows: Table, words: Mapping[str, str]) -> int:
        (key,) = rows.primary_key
        columns = [column for column in rows.columns if _is_text(column) and column is not key]
        if not columns:
            return 0
        naming = or_(*(column.contains(word, autoescape=True) for column in columns for word in words))
        pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words, key=len, reverse=True))
        )
        count, last = 0, None
        while True:
            query = select(key, *columns).where(naming).order_by(key).limit(BATCH)
            async with self._write() as db:
                batch = (await db.execute(query if last is None else query.where(key > last))).all()
                for number, *texts in batch:
                    changed = dict(_changed(columns, texts, pattern, words))
                    if changed:
                        await db.execute(update(rows).where(key == number).values(**changed))
                        count += 1
            if len(batch) < BATCH:
                return count
            last = batch[-1][0]


def _is_text(column: ColumnElement[Any]) -> bool:
    """Return whether a column holds texts; SQLModel's are decorated ones."""
    kind = column.type
    return isinstance(kind.impl_instance if isinstance(kind, TypeDecorator) else kind, String)


def _changed(
    columns: list[Any], texts: list[str | None], pattern: re.Pattern[str], words: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for column, text in zip(columns, texts, strict=True):
        after = pattern.sub(lambda match: words[match[0]], text) if text else text
        if after is not None and after != text:
            yield column.name, after
