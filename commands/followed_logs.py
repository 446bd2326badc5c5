"""Edit the messages that follow the log of a running job, until the job ends; rows say which, so restarts lose none."""

import asyncio
import logging
from datetime import datetime

from bot.core.errors import NotFound, ProviderError
from bot.core.models import BuildKey, Job, Status
from bot.slack.sender import SlackError, SlackPassing
from bot.store.rows import LogFollowRow
from commands.core.context import Services
from commands.look.logs import FOLLOW_EVERY, followed

log = logging.getLogger(__name__)

BATCH = 20
SECONDS = 10.0


class FollowedLogs:
    """Edits each followed log at most every 15 seconds; the end of the job, or of the patience, is the last edit."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def tick(self) -> None:
        """Edit what is due."""
        rows = await self._services.store.log_follows.claim(self._services.clock(), again=FOLLOW_EVERY, limit=BATCH)
        await asyncio.gather(*(self._guarded(row) for row in rows))

    async def _guarded(self, row: LogFollowRow) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await self._edit(row)
        except (ProviderError, SlackPassing, TimeoutError) as exc:
            log.info("a followed log waits", extra={"follow": row.id, "why": str(exc)})
            if self._services.clock() >= row.until:
                await self._services.store.log_follows.remove(row)
        except SlackError as exc:
            log.info("a followed log is not followed any more", extra={"follow": row.id, "code": exc.code})
            await self._services.store.log_follows.remove(row)
        except Exception:
            log.exception("a followed log could not be edited", extra={"follow": row.id})
            await self._services.store.log_follows.remove(row)

    async def _edit(self, row: LogFollowRow) -> None:
        now = self._services.clock()
        provider = self._services.connections.get(row.team, row.connection)
        key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
        build = await provider.build_or_none(key) if provider is not None else None
        if provider is None or build is None:
            await self._services.store.log_follows.remove(row)
            return
        jobs = await provider.jobs(row.pipeline, row.build)
        job = next((job for job in jobs if job.id == row.job), None)
        ends = _ends(job, row.until, now)
        if job is not None:
            try:
                text = await provider.log(job)
            except NotFound:
                if not ends:
                    return  # it has written nothing yet
                text = None
            if self._services.clock() >= row.due_at:
                return  # this process was away for a while: whoever claims it now edits it
            if text is not None:
                message = followed(text, job, build, label=row.label, now=now, ends=ends)
                await self._services.sender.update(row.team, row.channel, row.ts, message)
        if ends:
            await self._services.store.log_follows.remove(row)


def _ends(job: Job | None, until: datetime, now: datetime) -> bool:
    return job is None or job.status is Status.COMPLETED or now >= until
