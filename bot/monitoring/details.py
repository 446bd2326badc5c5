"""Read what a finished attempt's notification shows beside its result: issue counts, first failures, earlier builds."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from bot.blocks.text import clip
from bot.core.clock import Clock
from bot.core.errors import NotFound, ProviderError, RateLimited
from bot.core.models import (
    NO_RESULT,
    Build,
    BuildFilter,
    BuildKey,
    Change,
    Issue,
    IssueCounts,
    IssueKind,
    RefKind,
)
from bot.core.signatures import signature
from bot.core.workflows import UploadState, upload_details
from bot.http.budget import Purpose
from bot.monitoring.recorder import Recorder
from bot.notifications.failures import failing_tests, in_order, known_before, pack_failures
from bot.notifications.notification import Extra
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.security.redaction import redact
from bot.store import Store
from bot.store.rows import AttemptRow, NewFailure

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
DETAILS_SECONDS = 20.0
HISTORY_SECONDS = 8.0
"""Both end before the lease of the attempt does."""
MOST_TRIES = 3
SIGNATURES_KEPT = 20
SIGNATURE_MESSAGE = 300
EARLIER_BUILDS = 20
RECENT = timedelta(minutes=10)
SHARE_LEFT = 0.2
LATER = timedelta(seconds=20)
MOST_UPLOAD_READS = 30
LONGEST_UPLOAD_WAIT = timedelta(minutes=15)
WANTED_FOR = timedelta(minutes=15)
"""How long after its end a build's details are waited for where requests are short."""


class Details:
    """The reader of details. `provider_of` returns a connection by name, None where it is gone."""

    def __init__(
        self, store: Store, recorder: Recorder, *, provider_of: Callable[[str], AnyProvider | None], clock: Clock
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._provider_of = provider_of
        self._clock = clock

    async def read(self, attempt: AttemptRow) -> None:
        """Read and store the details of a claimed attempt; what fails is tried again twice, then given up.

        Costs what the provider's `counts` and `issues` cost, and one listing where the ref has no history yet. Where
        the connection's budget is nearly spent, the attempt waits, and is given up a quarter of an hour after its end.
        """
        provider = self._provider_of(attempt.connection)
        key = BuildKey(connection=attempt.connection, pipeline=attempt.pipeline, id=attempt.build)
        entry = await self._store.builds.get(key)
        if provider is None or entry is None or entry[1].attempt_no != attempt.attempt_no:
            await self._store.attempts.give_up_counts(attempt)
            return
        build = entry[0]
        if attempt.upload_reads:
            await self._read_uploads(provider, build, attempt)
            return
        wait = self._wait(provider)
        if wait > 0:
            await self._postpone(attempt, wait)
            return
        if attempt.counts_tries <= 1:
            await self._read_history(provider, build, attempt)
        try:
            async with asyncio.timeout(DETAILS_SECONDS):
                counts = await self._counts(provider, build)
                failures = await self._failures(provider, build, counts, attempt)
        except RateLimited as exc:
            await self._postpone(attempt, exc.retry_after)
            return
        except (ProviderError, TimeoutError) as exc:
            await self._try_later(attempt, str(exc), final=isinstance(exc, NotFound))
            return
        async with self._store.transaction() as tx:
            is_ours = await tx.attempts.set_counts(
                key,
                attempt.attempt_no,
                counts,
                self._clock(),
                failures=pack_failures(failures),
                failures_total=len(failures),
                claimed=attempt,
            )
            if is_ours:
                await tx.failures.add(failure_rows(attempt, failures))
        if not is_ours:
            log.warning("another process has taken over the details of a build", extra={"attempt": attempt.id})
            return
        await self._recorder.recount(key, attempt.attempt_no, build.issues)
        await self._read_uploads(provider, build, attempt)

    async def _read_uploads(self, provider: AnyProvider, build: Build, attempt: AttemptRow) -> None:
        """Read what a build handed to an app store, after its notification was released; a failure is only logged.

        While the store still processes it, it is read again after one minute, two, four, up to a quarter of an hour, for
        some hours at most; each change is written onto the build's cards. Costs what the provider's `uploads` costs.
        """
        if not provider.can(Capability.UPLOADS) or build.conclusion in NO_RESULT:
            return
        reads, is_open = attempt.upload_reads, attempt.upload_reads > 0
        try:
            async with asyncio.timeout(DETAILS_SECONDS):
                uploads = await provider.uploads(build.pipeline, build.id)
        except (ProviderError, TimeoutError) as exc:
            log.info("uploads of a build could not be read", extra={"connection": build.connection, "why": str(exc)})
        else:
            is_open = any(upload.state is UploadState.PROCESSING and not upload.is_expired for upload in uploads)
            details = upload_details(uploads)
            if uploads and any(build.details.get(name) != text for name, text in details.items()):
                await self._store.attempts.set_details(build.key, attempt.attempt_no, details, self._clock())
        if is_open and reads < MOST_UPLOAD_READS:
            due_at = self._clock() + min(timedelta(minutes=2**reads), LONGEST_UPLOAD_WAIT)
            await self._store.attempts.read_uploads_later(attempt, due_at)
        elif reads:
            await self._store.attempts.end_uploads(attempt)

    def _wait(self, provider: AnyProvider) -> float:
        """Return the seconds until details may be read: nothing of the last fifth of a quota is spent on them."""
        quota = provider.quota
        left = 0.0
        if quota is not None and quota.limit > 0 and quota.remaining < quota.limit * SHARE_LEFT:
            until = quota.resets_at - self._clock() if quota.resets_at else LATER
            left = until / timedelta(seconds=1)
        return max(provider.wait(Purpose.COUNTS), left, 0.0)

    async def _postpone(self, attempt: AttemptRow, seconds: float) -> None:
        """Wait for the connection's budget, which is no try; what would be read too late to be news is given up."""
        now = self._clock()
        due_at = now + max(timedelta(seconds=seconds), LATER)
        if due_at > attempt.seen_at + WANTED_FOR:
            log.info(
                "details of a build are not read: too few requests are left", extra={"connection": attempt.connection}
            )
            await self._store.attempts.give_up_counts(attempt)
            return
        await self._store.attempts.postpone_counts(attempt, due_at)

    async def _try_later(self, attempt: AttemptRow, reason: str, *, final: bool = False) -> None:
        log.info("details of a build could not be read", extra={"connection": attempt.connection, "why": reason})
        if final or attempt.counts_tries >= MOST_TRIES:
            await self._store.attempts.give_up_counts(attempt)

    async def _counts(self, provider: AnyProvider, build: Build) -> IssueCounts:
        if build.issues.known or not provider.can(Capability.COUNTS):
            return build.issues
        return await provider.counts(build)

    async def _failures(
        self, provider: AnyProvider, build: Build, counts: IssueCounts, attempt: AttemptRow
    ) -> Sequence[Issue]:
        """Return what failed, tests first, new failures before those of the result before.

        A failing test says more than the exit status of the job that ran it. Costs what `issues` costs, and what `tests`
        costs where the issues name no test and some may have failed.
        """
        if build.conclusion is None or not build.conclusion.is_red:
            return ()
        issues: Sequence[Issue] = ()
        if provider.can(Capability.ISSUES):
            try:
                issues = await provider.issues(build.pipeline, build.id)
            except RateLimited:
                raise
            except ProviderError as exc:
                log.info("issues could not be read", extra={"connection": build.connection, "why": str(exc)})
        if not any(issue.kind is IssueKind.TEST_FAILURE for issue in issues) and counts.test_failures != 0:
            issues = (*await self._failed_tests(provider, build), *issues)
        ref = build.history_ref
        history = await self._store.attempts.of_ref(build.connection, build.pipeline, ref) if ref is not None else []
        return in_order(issues, known_before(attempt, history))

    async def _failed_tests(self, provider: AnyProvider, build: Build) -> Sequence[Issue]:
        if not provider.can(Capability.TESTS):
            return ()
        try:
            tests = await provider.tests(build.pipeline, build.id)
        except RateLimited:
            raise
        except ProviderError:
            return ()
        return failing_tests(tests)

    async def _read_history(self, provider: AnyProvider, build: Build, attempt: AttemptRow) -> None:
        """List earlier builds of a ref that has no history in the store, so that its first notification is right.

        Builds that ended minutes ago are left to the poll, which notifies of them.
        """
        ref = build.history_ref
        if ref is None:
            return
        stored = await self._store.attempts.of_ref(build.connection, build.pipeline, ref, limit=20)
        if any(row.build != build.id for row in stored):
            return
        branch = ref.name if ref.kind is RefKind.BRANCH else None
        build_filter = BuildFilter(branch=branch, limit=EARLIER_BUILDS)
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                listed = [other async for other in provider.builds(build.pipeline, build_filter)]
        except (ProviderError, TimeoutError) as exc:
            log.info("earlier builds could not be listed", extra={"connection": build.connection, "why": str(exc)})
            return
        same = [other for other in listed if other.history_ref == ref and other.id != build.id and other.completed]
        before = self._clock() - RECENT
        earlier = [other for other in same if other.completed_at is not None and other.completed_at < before]
        if earlier:
            await self._recorder.record_history(earlier, build)
        elif not same and branch is not None:
            await self._set_first(build, attempt)

    async def _set_first(self, build: Build, attempt: AttemptRow) -> None:
        """Let the notifications of an attempt say that it is the first of its ref."""
        extras: dict[int, str] = {}
        for row in await self._store.notifications.finished([(build.key, attempt.attempt_no)]):
            extra = Extra.of(row.extra)
            if row.id is not None and extra.transition.change is Change.FIRST:
                extras[row.id] = replace(extra, transition=replace(extra.transition, is_surely_first=True)).as_json()
        await self._store.notifications.correct(extras, self._clock())


def failure_rows(attempt: AttemptRow, failures: Sequence[Issue]) -> list[NewFailure]:
    """Return what is remembered of how an attempt failed: each signature once, the first twenty."""
    rows: dict[str, NewFailure] = {}
    for issue in failures:
        if len(rows) < SIGNATURES_KEPT:
            recognised = signature(issue)
            rows.setdefault(
                recognised,
                NewFailure(
                    connection=attempt.connection,
                    pipeline=attempt.pipeline,
                    build=attempt.build,
                    attempt_no=attempt.attempt_no,
                    number=attempt.number,
                    commit_sha=attempt.commit_sha,
                    ref_kind=attempt.ref_kind,
                    ref_name=attempt.ref_name,
                    signature=recognised,
                    message=clip(redact(issue.message), SIGNATURE_MESSAGE),
                    job=issue.job or "",
                    at=attempt.completed_at,
                ),
            )
    return list(rows.values())
