"""The parameters that people last used, which a form begins with."""

import json
from collections.abc import Mapping
from datetime import timedelta

from sqlmodel import select

from bot.security.redaction import without_secrets
from bot.store.database import Repository, put
from bot.store.tables import LastValueRow

KEPT_FOR = timedelta(days=30)
PUT_LAST_VALUE = put("last_value", key=("team", "user", "connection", "pipeline"))


class LastValues(Repository):
    """The parameters that people last used, which a form begins with."""

    async def get(self, team: str, user: str, connection: str, pipeline: str) -> dict[str, str]:
        """Return the parameters that somebody last used for a pipeline, {} where none are kept from the last month."""
        kept = select(LastValueRow.parameters).where(
            LastValueRow.team == team,
            LastValueRow.user == user,
            LastValueRow.connection == connection,
            LastValueRow.pipeline == pipeline,
            LastValueRow.used_at > self._clock() - KEPT_FOR,
        )
        async with self._read() as db:
            parameters = (await db.exec(kept)).first()
        values: dict[str, str] = json.loads(parameters or "{}")
        return values

    async def save(self, team: str, user: str, connection: str, pipeline: str, parameters: Mapping[str, str]) -> None:
        """Keep the parameters that somebody has just used; those that hold secrets are left out.

        What only the CI system knows to be a secret, the caller leaves out.
        """
        row = LastValueRow(
            team=team,
            user=user,
            connection=connection,
            pipeline=pipeline,
            parameters=json.dumps(without_secrets(parameters)),
            used_at=self._clock(),
        )
        async with self._write() as db:
            await self._put(db, PUT_LAST_VALUE, [row])
