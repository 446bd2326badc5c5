"""Take the steps of searches for a commit: read the build that runs, start the next one, edit the card, name the end.

A row says how far each has come, so a restart loses nothing. A step is written before its build is started: a process
that takes over looks for a build of that commit before it starts another.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from bot.blocks.text import plural
from bot.core.acting import is_presumed
from bot.core.bisection import Bisection, Result, Step
from bot.core.causes import Cause, diagnose
from bot.core.errors import BotError, ProviderError, RateLimited, StoreError, Unavailable
from bot.core.models import Build, BuildFilter, BuildKey, Status, Trigger, spoken
from bot.providers.base.capabilities import Capability
from bot.slack.sender import SlackError, SlackPassing
from bot.store.recorded import AlreadyStarted
from bot.store.rows import BisectionRow
from bot.store.states import BisectionState, BuildPurpose
from commands.act.bisect import card_of, known_results, placed, requirement, result_of, start_request
from commands.core.actions import poll_again, started_by_another
from commands.core.context import Context, Services, Source
from commands.core.failures import failures_of, first_failure, red_jobs_of
from commands.core.matches import BuildMatch, PipelineMatch, number_of
from commands.core.permissions import check
from commands.core.resolve import pipeline_by_key

log = logging.getLogger(__name__)

BATCH = 10
LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0
PAUSE = timedelta(seconds=2)
"""How often the stored build of a step is read."""
UNSEEN = timedelta(seconds=20)
"""After how long a build that no poll has shown is asked about."""
AGAIN = timedelta(seconds=30)
MOST_TRIES = 10
LONGEST_BUILD = timedelta(hours=6)
SECONDS = 60.0
MARGIN = timedelta(minutes=1)


class TakenOverError(Exception):
    """Another process has claimed this search since: whatever would follow is that one's to do."""


class BisectionSteps:
    """Takes each step that is due, once, whichever process claims it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def tick(self) -> None:
        """Take what is due."""
        rows = await self._services.store.bisections.claim(self._services.clock(), again=LEASE, limit=BATCH)
        await asyncio.gather(*(self._guarded(row) for row in rows))

    async def _guarded(self, row: BisectionRow) -> None:
        renewing = asyncio.ensure_future(self._renew(row))
        try:
            async with asyncio.timeout(SECONDS):
                await _Run(row, self._services).step()
        except TakenOverError:
            log.warning("another process has taken over a search for a commit", extra={"bisection": row.id})
        except (SlackPassing, TimeoutError) as exc:
            log.info("a search for a commit waits", extra={"bisection": row.id, "why": str(exc)})
        except SlackError as exc:
            log.info("a search for a commit has no card any more", extra={"bisection": row.id, "code": exc.code})
            await self._services.store.bisections.end(row, data=row.data)
        except Exception:
            log.exception("a search for a commit broke", extra={"bisection": row.id})
        finally:
            renewing.cancel()

    async def _renew(self, row: BisectionRow) -> None:
        """Keep a step from other processes as long as it lasts."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(StoreError):
                await self._services.store.bisections.renew(row, self._services.clock() + LEASE)


class _Run:
    """One turn of one search."""

    def __init__(self, row: BisectionRow, services: Services) -> None:
        self._row = row
        self._services = services
        self._store = services.store
        self._bisection = msgspec.json.decode(row.data, type=Bisection)
        self._context = Context(
            services=services,
            team=row.team,
            channel=row.channel,
            user=row.user,
            source=Source.SCHEDULE,
            now=services.clock(),
        )

    async def step(self) -> None:
        """Take one step: each ends with the search written and the card edited."""
        row = self._row
        if row.state is BisectionState.STOPPING:
            await self._stop()
            return
        try:
            match = await pipeline_by_key(row.connection, row.pipeline, self._context)
            open_step = self._bisection.open_step
            if open_step is not None and open_step.build:
                if not await self._read(open_step, match):
                    return
            elif open_step is not None and not await self._take_over(open_step, match):
                return
            await self._go_on(match)
        except (Unavailable, RateLimited) as exc:
            await self._try_again(exc)
        except BotError as exc:
            await self._end(outcome=f"{exc}")

    async def _read(self, step: Step, match: PipelineMatch) -> bool:
        """Read the build that runs; return whether it has ended and its result is written."""
        key = BuildKey(connection=match.connection, pipeline=match.id, id=step.build)
        stored = await self._store.builds.get(key)
        build = stored[0] if stored is not None else None
        if stored is None or (not stored[1].completed and self._context.now - stored[1].seen_at > UNSEEN):
            build = await match.provider.build_or_none(key)
        elif stored[1].completed and not stored[0].completed:
            build = None  # the poller found out that it is gone
        if build is None:
            self._bisection = self._bisection.with_step(
                replace(step, result=Result.SKIPPED, note="the CI system no longer has the build", is_running=False)
            )
            return True
        if not build.completed and self._context.now - step.at > LONGEST_BUILD:
            note = f"not over after {LONGEST_BUILD // timedelta(hours=1)} h"
            self._bisection = self._bisection.with_step(replace(step, result=Result.SKIPPED, note=note))
            return True
        if build.waiting and not build.completed:
            await self._cancel(step, match)
            self._bisection = self._bisection.with_step(
                replace(step, result=Result.SKIPPED, note="it waits for an approval", is_running=False)
            )
            return True
        if not build.completed:
            is_running = build.status is Status.IN_PROGRESS
            moved = replace(step, is_running=is_running, name=number_of(build), url=build.web_url or step.url)
            await self._keep(self._bisection.with_step(moved), edit=moved != step)
            return False
        self._bisection = self._bisection.with_step(await self._judged(step, build, match))
        return True

    async def _judged(self, step: Step, build: Build, match: PipelineMatch) -> Step:
        """Return a step with what its build says; infrastructure says nothing about the commit."""
        step = replace(step, result=result_of(build), name=number_of(build), url=build.web_url or "", is_running=False)
        if step.result is Result.SKIPPED:
            word = build.conclusion.value if build.conclusion is not None else "an unknown result"
            return replace(step, note=f"it ended as {word}")
        if step.result is Result.GOOD:
            return step
        failed = BuildMatch(pipeline=match, build=build)
        issues, jobs = await failures_of(failed), await red_jobs_of(failed)
        diagnosis = diagnose(build, issues, jobs)
        if diagnosis.cause is Cause.INFRASTRUCTURE:
            return replace(step, result=Result.SKIPPED, note=diagnosis.because or "the infrastructure failed")
        return replace(step, note=first_failure(issues, jobs))

    async def _take_over(self, step: Step, match: PipelineMatch) -> bool:
        """Look for the build of a step that a process began and never wrote; return whether one is to be started now."""
        sha = self._bisection.commits[step.commit].sha
        async for build in match.provider.builds(match.id, BuildFilter(commit=sha, limit=20)):
            stored = await self._store.builds.get(build.key)
            is_own = build.trigger is Trigger.API and (stored is None or not stored[1].started_by)
            if is_own and build.created_at is not None and build.created_at >= step.at - MARGIN:
                await self._started(build, step, match)
                return False
        self._bisection = replace(
            self._bisection, steps=tuple(other for other in self._bisection.steps if other != step)
        )
        return True

    async def _go_on(self, match: PipelineMatch) -> None:
        """Use what has become known meanwhile, then start the next build, or end the search."""
        if not self._bisection.parameters:
            results = await known_results(match, self._context)
            built = {step.commit for step in self._bisection.steps}
            for number, commit in enumerate(self._bisection.commits):
                step = results.get(commit.sha.lower())
                if step is not None and number not in built:
                    self._bisection = self._bisection.with_step(replace(step, commit=number, at=self._context.now))
        following = self._bisection.progress.next
        if following is None:
            await self._end()
            return
        if self._bisection.started >= self._bisection.most:
            await self._end(outcome=f"The limit of {plural(self._bisection.most, 'build')} is reached.")
            return
        sha = self._bisection.commits[following].sha
        self._bisection, target = await placed(self._bisection, sha, match, self._context)
        await check(requirement(match, self._bisection, target), self._context)
        step = Step(commit=following, at=self._context.now)
        await self._keep(self._bisection.with_step(step), edit=False, due=LEASE)
        request = start_request(self._bisection, sha, by=await self._context.name())
        try:
            build = await match.provider.start(match.id, request)
        except (Unavailable, RateLimited) as exc:
            if not (isinstance(exc, Unavailable) and exc.acted):
                self._bisection = replace(
                    self._bisection, steps=tuple(other for other in self._bisection.steps if other != step)
                )
            raise
        await self._started(build, step, match)

    async def _started(self, build: Build, step: Step, match: PipelineMatch) -> None:
        try:
            await self._store.recording.record_start(
                build,
                team=self._row.team,
                channel=self._row.channel,
                user=self._row.user,
                notifications=[],
                watches=[],
                now=self._context.now,
                purpose=BuildPurpose.BISECTION,
                is_presumed=is_presumed(),
            )
        except AlreadyStarted:
            raise started_by_another(build, match) from None
        target = match.provider.poll_target(build.pipeline)
        await self._store.polling.ensure(match.connection, target, now=self._context.now)
        await poll_again(build, match, self._context)
        started = replace(
            step,
            build=build.id,
            name=number_of(build),
            url=build.web_url or "",
            is_running=build.status is Status.IN_PROGRESS,
        )
        await self._keep(self._bisection.with_step(started), edit=True)

    async def _stop(self) -> None:
        """End a search that a person stopped; its own running build is cancelled, no other."""
        step = self._bisection.open_step
        if step is not None and step.build:
            try:
                match = await pipeline_by_key(self._row.connection, self._row.pipeline, self._context)
                await self._cancel(step, match)
            except BotError as exc:
                log.info("a build of a stopped search goes on", extra={"bisection": self._row.id, "why": str(exc)})
        if step is not None:
            self._bisection = self._bisection.with_step(
                replace(step, result=Result.SKIPPED, note="stopped", is_running=False)
            )
        await self._end(outcome="Stopped.")

    async def _cancel(self, step: Step, match: PipelineMatch) -> None:
        if match.provider.can(Capability.CANCEL):
            try:
                await match.provider.cancel(match.id, step.build)
            except ProviderError as exc:
                log.info("a build of a search could not be cancelled", extra={"why": str(exc)})

    async def _try_again(self, exc: BotError) -> None:
        tries = self._bisection.tries + 1
        if tries >= MOST_TRIES:
            await self._end(outcome=f"{exc}")
            return
        await self._keep(replace(self._bisection, tries=tries), edit=False, due=AGAIN)

    async def _keep(self, bisection: Bisection, *, edit: bool, due: timedelta = PAUSE) -> None:
        """Write how far the search has come, then show it."""
        self._bisection = bisection
        data = msgspec.json.encode(bisection).decode()
        due_at = self._services.clock() + due
        await self._save(data, due_at)
        if edit or not self._row.ts:
            ts = await self._show()
            if ts != self._row.ts:
                self._row = replace(self._row, ts=ts)
                await self._save(data, due_at)

    async def _save(self, data: str, due_at: datetime) -> None:
        if not await self._store.bisections.save(self._row, data=data, ts=self._row.ts, due_at=due_at):
            raise TakenOverError

    async def _end(self, outcome: str = "") -> None:
        """Show the end, then write it: where Slack does not take it now, the next turn shows it."""
        if not outcome:
            await self._name_failure()
        self._bisection = replace(self._bisection, outcome=outcome)
        await self._show()
        await self._store.bisections.end(self._row, data=msgspec.json.encode(self._bisection).decode())

    async def _name_failure(self) -> None:
        """Note what failed in the build of the first bad commit where that is not known yet."""
        progress = self._bisection.progress
        step = next((step for step in self._bisection.steps if step.commit == progress.high), None)
        if step is None or step.note or not step.build or step.result is not Result.BAD:
            return
        try:
            match = await pipeline_by_key(self._row.connection, self._row.pipeline, self._context)
            failed = BuildMatch(pipeline=match, build=await match.provider.build(match.id, step.build))
            note = first_failure(await failures_of(failed), await red_jobs_of(failed))
        except BotError:
            return
        self._bisection = self._bisection.with_step(replace(step, note=note))

    async def _show(self) -> str:
        """Edit the card, or post it where it is not there yet, and return its ts."""
        message = card_of(self._row, self._bisection, self._spoken)
        if self._row.ts:
            await self._services.sender.update(self._row.team, self._row.channel, self._row.ts, message)
            return self._row.ts
        key = f"bisect {self._row.id}"
        seen = await self._services.sender.find(self._row.team, self._row.channel, key, self._row.made_at)
        if seen.ts:
            await self._services.sender.update(self._row.team, self._row.channel, seen.ts, message)
            return seen.ts
        _channel, ts = await self._services.sender.post(self._row.team, self._row.channel, message, key=key)
        return ts

    @property
    def _spoken(self) -> str:
        return spoken(self._row.connection, self._row.pipeline)
