"""Parameter values that channels keep under names."""

import json
from collections.abc import Mapping

from sqlalchemy import delete, select

from bot.core.errors import UsageError
from bot.security.redaction import without_secrets
from bot.store.database import Repository, put
from bot.store.tables import table

KEY = ("team", "channel", "connection", "pipeline", "name")
PRESET = table("preset")
PUT_PRESET = put("preset", key=KEY)


class Presets(Repository):
    """Parameter values that channels keep under names."""

    async def of_pipeline(self, team: str, channel: str, connection: str, pipeline: str) -> dict[str, dict[str, str]]:
        """Return a channel's presets of a pipeline: parameters by preset name, the names in alphabetical order."""
        kept = select(PRESET.c.name, PRESET.c.parameters).where(
            PRESET.c.team == team,
            PRESET.c.channel == channel,
            PRESET.c.connection == connection,
            PRESET.c.pipeline == pipeline,
        )
        async with self._read() as db:
            return {name: json.loads(parameters) for name, parameters in await db.execute(kept.order_by(PRESET.c.name))}

    async def save(
        self,
        team: str,
        channel: str,
        connection: str,
        pipeline: str,
        *,
        name: str,
        parameters: Mapping[str, str],
        most: int,
    ) -> None:
        """Keep parameters under a name, instead of what stood there; those that hold secrets are left out.

        Raises UsageError where that would be more than `most` presets of the pipeline in the channel.
        """
        row = {
            "team": team,
            "channel": channel,
            "connection": connection,
            "pipeline": pipeline,
            "name": name,
            "parameters": json.dumps(without_secrets(parameters)),
            "made_at": self._clock(),
        }
        names = select(PRESET.c.name).where(
            PRESET.c.team == team,
            PRESET.c.channel == channel,
            PRESET.c.connection == connection,
            PRESET.c.pipeline == pipeline,
        )
        async with self._write() as db:
            await self._own(db, [f"presets {team} {channel} {connection} {pipeline}"])
            kept = set(await db.scalars(names))
            if name not in kept and len(kept) >= most:
                raise UsageError(f"There are {most} presets of this pipeline in this channel already.")
            await self._put(db, PUT_PRESET, [row])

    async def remove(self, team: str, channel: str, connection: str, pipeline: str, name: str) -> bool:
        """Forget a preset, and return whether it was there."""
        deletion = delete(PRESET).where(
            PRESET.c.team == team,
            PRESET.c.channel == channel,
            PRESET.c.connection == connection,
            PRESET.c.pipeline == pipeline,
            PRESET.c.name == name,
        )
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
