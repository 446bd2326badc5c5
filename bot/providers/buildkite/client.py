"""Buildkite's lists and single reads as wire objects; nothing here knows the bot's models but through a reader."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import TypeVar

import httpx
import msgspec

from bot.core.errors import AuthFailed, NotFound, Rejected, UnexpectedResponse
from bot.core.models import Build
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.listing import parse_items
from bot.providers.buildkite import wire
from bot.providers.buildkite.errors import LABEL
from bot.providers.buildkite.urls import TOKEN, Urls

T = TypeVar("T")

LEAN: Query = {"exclude_jobs": True, "exclude_pipeline": True}
PER_PAGE = 100
JOB_PAGES = 40
ARTIFACT_PAGES = 10
ANNOTATION_PAGES = 5
TEST_PAGES = 10
TEST_RUNS = 5
UUID_PAGES = 3


def next_jobs(reply: Reply) -> str | None:
    """Return where the job list goes on: a link in the body, unlike all other lists."""
    links = wire.JobPage.of(reply.raw).links
    return links.next if links else None


class BuildkiteClient:
    """Reads of one organization."""

    def __init__(self, api: ApiClient, urls: Urls) -> None:
        self._api = api
        self._urls = urls

    async def token(self) -> wire.Token:
        """Return the token's own page."""
        return wire.Token.of((await self._api.get(TOKEN)).raw)

    async def find_organization(self) -> None:
        """Raise NotFound in words unless the token sees the organization. Costs one request."""
        try:
            await self._api.get(self._urls.pipelines(), {"per_page": 1})
        except NotFound as exc:
            slug = self._urls.organization
            raise NotFound(
                f"This token sees no organization {slug} at {LABEL}.",
                provider=LABEL,
                status=exc.status,
                hint="`organization` is the slug in buildkite.com/SLUG; the token must be allowed for it.",
            ) from exc

    async def build(self, pipeline: str, build: str, *, test_engine: bool = False) -> wire.BuildWire:
        """Return a build without its jobs, with its test runs where asked for."""
        more: Query = {"include_test_engine": True} if test_engine else {}
        return wire.BuildWire.of((await self._api.get(self._urls.build(pipeline, build), {**LEAN, **more})).raw)

    async def with_test_engine(self, pipeline: str, build: str) -> wire.BuildWire:
        """Return a build with its UUID, its job counts and, where the token may see them, its test runs."""
        try:
            return await self.build(pipeline, build, test_engine=True)
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            return await self.build(pipeline, build)

    async def build_of_uuid(self, pipeline: str | None, uuid: str) -> wire.BuildWire:
        """Return the build of a UUID, which no route takes: looked for among the newest of pipeline and organization.

        Costs up to six requests, three where no pipeline is named. Raises NotFound.
        """
        of_pipeline = [self._urls.builds(pipeline)] if pipeline is not None else []
        for route in (*of_pipeline, self._urls.all_builds()):
            async for page in self._api.pages(route, {**LEAN, "per_page": PER_PAGE}, ceiling=UUID_PAGES):
                for raw in parse_items(page, wire.BuildWire.of):
                    if raw.id.lower() == uuid:
                        return raw
        raise NotFound("None of the newest builds has that id.", provider=LABEL, hint="Name the build by its number.")

    async def own_builds(self, pipeline: str, since: datetime) -> list[wire.BuildWire]:
        """Return the builds that this token's user made by API since a time. Costs two requests."""
        user = (await self.token()).user
        email = user.email if user else None
        recent = await self.recent_builds(pipeline, {"created_from": since.isoformat()})
        return [
            raw for raw in recent if raw.source == "api" and (not email or (raw.creator and raw.creator.email == email))
        ]

    async def recent_builds(self, pipeline: str, query: Query | None = None) -> list[wire.BuildWire]:
        """Return the newest hundred builds of a pipeline."""
        reply = await self._api.get(self._urls.builds(pipeline), {**LEAN, "per_page": PER_PAGE, **(query or {})})
        return list(parse_items(reply.items(), wire.BuildWire.of))

    async def all_builds(
        self, read: Callable[[msgspec.Raw], Build], query: Query | None = None, *, ceiling: int = 100
    ) -> AsyncIterator[Build]:
        """Yield the organization's builds, newest first, a request for each hundred."""
        whole: Query = {**LEAN, "per_page": PER_PAGE, **(query or {})}
        async for page in self._api.pages(self._urls.all_builds(), whole, ceiling=ceiling):
            for build in parse_items(page, read):
                yield build

    async def jobs(self, pipeline: str, build: str, query: Query) -> list[wire.JobWire]:
        """Return a build's jobs, a request for each hundred."""
        whole: Query = {"per_page": PER_PAGE, **query}
        return await self._all(
            self._urls.build(pipeline, build, "jobs"), whole, wire.JobWire.of, JOB_PAGES, member="items"
        )

    async def jobs_or_none(self, pipeline: str, build: str) -> list[wire.JobWire]:
        """Return a build's jobs, those that a retry replaced among them; none where they can't be had."""
        try:
            return await self.jobs(pipeline, build, {"include_retried_jobs": True})
        except (AuthFailed, NotFound, UnexpectedResponse):
            return []

    async def log_tail(self, pipeline: str, build: str, job: str, keep: int) -> tuple[bytes, bool]:
        """Return the last `keep` bytes of a job's log and whether there is more above. An empty log is empty."""
        # only the suffix form of a range is served, and only as plain text
        headers = {"Accept": "text/plain", "Range": f"bytes=-{keep}"}
        try:
            data, cut = await self._api.tail(self._urls.job_of(pipeline, build, job, "log"), keep=keep, headers=headers)
        except Rejected as exc:
            if exc.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return b"", False
        return data, cut or len(data) >= keep

    async def artifacts(self, pipeline: str, build: str) -> list[wire.ArtifactWire]:
        """Return the first thousand of a build's artifacts, a request for each hundred."""
        route = self._urls.build(pipeline, build, "artifacts")
        return await self._all(route, {"per_page": PER_PAGE}, wire.ArtifactWire.of, ARTIFACT_PAGES)

    async def annotations(self, pipeline: str, build: str) -> list[wire.Annotation]:
        """Return a build's annotations without their bodies, those of its jobs included."""
        query: Query = {"scope": "all", "omit_body": True, "per_page": PER_PAGE}
        route = self._urls.build(pipeline, build, "annotations")
        return await self._all(route, query, wire.Annotation.of, ANNOTATION_PAGES)

    async def tests(self, build_uuid: str, *, failed_only: bool = False) -> list[wire.BuildTest]:
        """Return the first thousand of a build's tests from Test Engine, a request for each hundred.

        A test without a name and a place is left out.
        """
        query: Query = {"tags": "result:^failed" if failed_only else None, "per_page": PER_PAGE}
        tests = await self._all(self._urls.tests(build_uuid), query, wire.BuildTest.of, TEST_PAGES)
        return [test for test in tests if test.name or test.location]

    async def failed_tests(self, build: wire.BuildWire) -> int | None:
        """Return how many tests failed, None where there is no test run or the token may not see it."""
        if build.test_engine is None or not build.test_engine.runs:
            return None
        try:
            return len(await self.tests(build.id, failed_only=True))
        except (AuthFailed, NotFound):
            return None

    async def failure_reasons(self, build: wire.BuildWire) -> Mapping[str, str]:
        """Return why tests failed, by the test's name. A request for each of the build's first five test runs."""
        reasons: dict[str, str] = {}
        runs = build.test_engine.runs or [] if build.test_engine else []
        for run in runs[:TEST_RUNS]:
            if not run.id or run.suite is None or not run.suite.slug:
                continue
            reply = await self._api.get(self._urls.failed_executions(run.suite.slug, run.id))
            for failure in parse_items(reply.items(), wire.FailedExecution.of):
                if failure.test_name and failure.failure_reason:
                    reasons.setdefault(failure.test_name, failure.failure_reason)
        return reasons

    async def _all(
        self, route: str, query: Query, read: Callable[[msgspec.Raw], T], ceiling: int, member: str | None = None
    ) -> list[T]:
        if member is None:
            pages = self._api.pages(route, query, ceiling=ceiling)
        else:
            pages = self._api.pages(route, query, member=member, next_page=next_jobs, ceiling=ceiling)
        return [item async for page in pages for item in parse_items(page, read)]
