"""The parameters that people last used, which a form begins with."""

import json
from collections.abc import Mapping

from sqlalchemy import select

from bot.security.redaction import without_secrets
from bot.store import retention
from bot.store.database import Repository, put
from bot.store.tables import table

LAST_VALUE = table("last_value")
PUT_LAST_VALUE = put("last_value", key=("team", "user", "connection", "pipeline"))


class LastValues(Repository):
    """The parameters that people last used, which a form begins with."""

    async def get(self, team: str, user: str, connection: str, pipeline: str) -> dict[str, str]:
        """Return the parameters that somebody last used for a pipeline, {} where none are kept from the last month."""
        kept = select(LAST_VALUE.c.parameters).where(
            LAST_VALUE.c.team == team,
            LAST_VALUE.c.user == user,
            LAST_VALUE.c.connection == connection,
            LAST_VALUE.c.pipeline == pipeline,
            LAST_VALUE.c.used_at > self._clock() - retention.LAST_VALUES,
        )
        async with self._read() as db:
            parameters: str | None = await db.scalar(kept)
        values: dict[str, str] = json.loads(parameters or "{}")
        return values

    async def save(self, team: str, user: str, connection: str, pipeline: str, parameters: Mapping[str, str]) -> None:
        """Keep the parameters that somebody has just used; those that hold secrets are left out.

        What only the CI system knows to be a secret, the caller leaves out.
        """
        row = {
            "team": team,
            "user": user,
            "connection": connection,
            "pipeline": pipeline,
            "parameters": json.dumps(without_secrets(parameters)),
            "used_at": self._clock(),
        }
        async with self._write() as db:
            await self._put(db, PUT_LAST_VALUE, [row])
