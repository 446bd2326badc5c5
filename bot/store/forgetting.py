"""Forget a person, a connection or a workspace: what is theirs is deleted, and where others' rows name them they become nobody.

Everything is done in small transactions, so that nobody else waits, and can be done again after it was interrupted.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, Table, TypeDecorator, and_, delete, false, func, or_, select, update

from bot.store.database import Repository
from bot.store.mapping import GRANT, IDENTITY, PERSON
from bot.store.tables import metadata, table

NOBODY = "UFORGOTTEN"
SOMEBODY = "somebody"
BATCH = 200
THEIRS = frozenset(
    {"person", "identity", "last_value", "watch", "schedule", "claim", "chain", "log_follow", "personal_token", "vote"}
)
"""Tables whose rows belong to the person in `user`."""
KEPT_TRACES = frozenset({"audit", "binding"})
"""Tables that outlive a connection and a workspace: what was done, without people, and whose a connection is for ever."""


class Forgetting(Repository):
    """People, connections and workspaces that are to leave nothing behind."""

    async def belongings(self, team: str, user: str) -> Counter[str]:
        """Return how many rows of each table `person` would delete."""
        counts: Counter[str] = Counter()
        async with self._read() as db:
            for rows, condition in _theirs(team, user):
                count = await db.scalar(select(func.count()).select_from(rows).where(condition))
                counts[rows.name] += count or 0
        return +counts

    async def person(self, team: str, user: str) -> int:
        """Leave nothing of a person in the database, and return how many rows were deleted or changed.

        Their grants, watches, schedules, votes, values, tokens and direct messages go. In other rows their Slack id
        becomes NOBODY, their name and addresses `somebody`. Reads every text once. Sealed texts hold nothing of
        people but what Slack delivered in the last minutes.
        """
        words = await self._words(team, user)
        count = await self._delete_all(list(_theirs(team, user)))
        for rows in metadata().sorted_tables:
            count += await self._rename(rows, words)
        return count

    async def connection(self, name: str) -> int:
        """Leave nothing of a connection but the audit, and return how many rows were deleted.

        Its sealed settings go first, then what polls claim: one that is under way writes nothing any more. Grants, policies, mutes and schedules that name it go as well: a later
        connection of this name inherits nothing.
        """
        named = f"{name}:"
        tables = metadata().tables
        conditions: list[tuple[Table, ColumnElement[bool]]] = [
            (tables["connection"], tables["connection"].c.name == name),
            (tables["poll_target"], tables["poll_target"].c.connection == name),
            *(
                (rows, rows.c.connection == name)
                for rows in metadata().sorted_tables
                if "connection" in rows.c and rows.name not in KEPT_TRACES
            ),
            (tables["budget"], tables["budget"].c.subject == name),
            (tables["grant"], tables["grant"].c.pipelines.startswith(named, autoescape=True)),
            (tables["approval_policy"], tables["approval_policy"].c.pipelines.startswith(named, autoescape=True)),
            (tables["mute"], tables["mute"].c.target.startswith(named, autoescape=True)),
            (tables["schedule"], _commands(tables["schedule"], named)),
            (tables["chain"], _commands(tables["chain"], named)),
            (tables["token"], tables["token"].c.key == f"credentials:{name}"),
        ]
        return await self._delete_all(conditions)

    async def workspace(self, team: str, *, connections: Collection[str] = ()) -> int:
        """Leave nothing of a workspace, and return how many rows were deleted or changed.

        `connections` are those of the configuration that no other workspace sees; those made in Slack go with it.
        The audit is kept for its time without people, channels and words. A connection stays bound to its workspace,
        so that no other one inherits it.
        """
        tables = metadata().tables
        async with self._read() as db:
            query = select(tables["connection"].c.name).where(tables["connection"].c.team == team)
            names = [*connections, *(await db.scalars(query))]
        count = 0
        for name in names:
            count += await self.connection(name)
        conditions: list[tuple[Table, ColumnElement[bool]]] = [
            (rows, rows.c.team == team)
            for rows in metadata().sorted_tables
            if "team" in rows.c and rows.name not in KEPT_TRACES
        ]
        conditions += [
            (tables["budget"], _names(tables["budget"].c.subject, team)),
            (tables["token"], _names(tables["token"].c.key, team)),
        ]
        count += await self._delete_all(conditions)
        audit, build = tables["audit"], tables["build"]
        nobody = {"user": NOBODY, "channel": "", "words": "", "detail": ""}
        count += await self._change(audit, and_(audit.c.team == team, audit.c.user != NOBODY), nobody)
        started = {"started_by": "", "started_team": "", "started_channel": ""}
        return count + await self._change(build, build.c.started_team == team, started)

    async def _delete_all(self, conditions: Sequence[tuple[Table, ColumnElement[bool]]]) -> int:
        """Delete what fits the conditions, again until nothing does: what is under way may write meanwhile."""
        count = 0
        while deleted := await self._delete_once(conditions):
            count += deleted
        return count

    async def _delete_once(self, conditions: Iterable[tuple[Table, ColumnElement[bool]]]) -> int:
        count = 0
        for rows, condition in conditions:
            (key,) = rows.primary_key
            batch = delete(rows).where(key.in_(select(key).where(condition).limit(BATCH)))
            while True:
                async with self._write() as db:
                    deleted = (await db.execute(batch)).rowcount
                count += deleted
                if deleted < BATCH:
                    break
        return count

    async def _change(self, rows: Table, condition: ColumnElement[bool], values: Mapping[str, str]) -> int:
        (key,) = rows.primary_key
        batch = update(rows).where(key.in_(select(key).where(condition).limit(BATCH))).values(**values)
        count = 0
        while True:
            async with self._write() as db:
                changed = (await db.execute(batch)).rowcount
            count += changed
            if changed < BATCH:
                return count

    async def _words(self, team: str, user: str) -> dict[str, str]:
        """Return what names the person in lower case, with what stands there afterwards."""
        words = {user.lower(): NOBODY}
        async with self._read() as db:
            person = await PERSON.first(db, PERSON.select().where(PERSON.c.team == team, PERSON.c.user == user))
            identities = await IDENTITY.all(
                db, IDENTITY.select().where(IDENTITY.c.team == team, IDENTITY.c.user == user)
            )
        names = [person.name, person.email] if person is not None else []
        names += [identity.value for identity in identities]
        spelled = {spelling.lower() for name in names if name for spelling in (name, json.dumps(name)[1:-1])}
        return words | dict.fromkeys(spelled, SOMEBODY)

    async def _rename(self, rows: Table, words: Mapping[str, str]) -> int:
        (key,) = rows.primary_key
        columns = [column for column in rows.columns if _is_text(column) and column is not key]
        if not columns:
            return 0
        naming = or_(*(func.lower(column).contains(word, autoescape=True) for column in columns for word in words))
        if any(not word.isascii() for word in words):  # SQLite knows the small letters of ASCII only
            naming = or_(naming, *(_holds(column, word) for column in columns for word in words))
        pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words, key=len, reverse=True)), re.IGNORECASE
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


def _theirs(team: str, user: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield what is a person's own: their rows, and what stands in their direct messages."""
    for rows in metadata().sorted_tables:
        if "team" not in rows.c or rows.name in KEPT_TRACES:
            continue
        own: list[ColumnElement[bool]] = []
        if rows.name in THEIRS:
            own.append(rows.c.user == user)
        if "channel" in rows.c:
            own.append(rows.c.channel == user)
        if own:
            yield rows, and_(rows.c.team == team, or_(false(), *own))
    yield GRANT.table, and_(GRANT.c.team == team, GRANT.c.subject == f"user:{user}")
    tokens = table("token")
    yield tokens, and_(_names(tokens.c.key, team), _names(tokens.c.key, user))


def _names(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Return the condition that a key names an id between its colons."""
    return or_(column.contains(f":{part}:", autoescape=True), column.endswith(f":{part}", autoescape=True))


def _commands(rows: Table, named: str) -> ColumnElement[bool]:
    """Return the condition for commands that name a connection as the first part of a path."""
    return or_(*(rows.c.command.contains(f"{sign}{named}", autoescape=True) for sign in (" ", "'", '"')))


def _holds(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Return the condition that a text holds the first plain letters of a word, or none of it is plain."""
    plain = re.search(r"[ -~]{3,}", word)
    return func.lower(column).contains(plain[0], autoescape=True) if plain else column.contains(word, autoescape=True)


def _is_text(column: ColumnElement[Any]) -> bool:
    """Return whether a column holds texts; SQLModel's are decorated ones."""
    kind = column.type
    return isinstance(kind.impl_instance if isinstance(kind, TypeDecorator) else kind, String)


def _changed(
    columns: list[Any], texts: list[str | None], pattern: re.Pattern[str], words: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for column, text in zip(columns, texts, strict=True):
        after = pattern.sub(lambda match: words[match[0].lower()], text) if text else text
        if after is not None and after != text:
            yield column.name, after
