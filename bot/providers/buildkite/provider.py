"""Buildkite, REST API v2.

Pages: https://buildkite.com/docs/apis/rest-api and https://buildkite.com/docs/apis/webhooks, read in August 2026.
A build's id in the bot is its number, a pipeline's id its slug: Buildkite's routes take both. Limits: 200 requests a
minute for the organization and 50 for the token's user; 100 items a page; logs up to 1 GiB.
"""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, unquote

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited, Rejected, UsageError
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Log,
    Outcome,
    Page,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    TestCase,
    Watched,
    WebhookEvent,
    is_sha,
)
from bot.core.text import folded
from bot.http.client import Query, Quota, Reply, message_of
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.times import parse_time
from bot.providers.base.urls import page_below
from bot.providers.base.webhooks import same_secret, within_window
from bot.providers.buildkite import convert, limits, wire
from bot.providers.buildkite.cursor import Cursor, short
from bot.providers.buildkite.start import START_OPTIONS, again_body, pull_request_number, start_body

ACTIVE = ("creating", "scheduled", "running", "failing", "canceling")
BROKEN_JOBS: Query = {"state[]": convert.BROKEN, "include_retried_jobs": False}
NEEDED_SCOPES = ("read_pipelines", "read_builds", "write_builds", "read_build_logs", "read_artifacts")
LEAN: Query = {"exclude_jobs": True, "exclude_pipeline": True}

WEB_PAGES = ("https://buildkite.com", "https://www.buildkite.com")
PER_PAGE = 100
JOB_PAGES = 40
ARTIFACT_PAGES = 10
ANNOTATION_PAGES = 5
TEST_PAGES = 10
TEST_RUNS = 5
WAITING_PAGES = 3
OVERLAP = timedelta(minutes=3)
SKEW = timedelta(minutes=1)
BACKLOG = timedelta(days=30)
WAITING_EVERY = 5
"""Every how many ticks the waiting builds are listed: they never end by themselves and change rarely."""


class BuildkiteOptions(Options):
    """What a connection to Buildkite needs."""

    organization: str = Field(
        min_length=1, description="The organization's slug, as in buildkite.com/SLUG.", pattern=r"^[^/\s]+$"
    )
    token: SecretStr = Field(
        min_length=1, description=f"API access token with the scopes {', '.join(NEEDED_SCOPES)}; read_suites for tests."
    )


class Buildkite(Provider[BuildkiteOptions]):
    """One organization at Buildkite."""

    kind = "buildkite"
    label = "Buildkite"
    default_url = "https://api.buildkite.com"
    page = "https://buildkite.com/docs/apis/rest-api"
    states = convert.STATES
    options_type = BuildkiteOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.JOBS,
            Capability.LOG,
            Capability.ARTIFACTS,
            Capability.DOWNLOAD,
            Capability.TESTS,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.APPROVALS,
            Capability.DECIDE,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.PARAMETERS: (
            "Buildkite does not tell which variables a pipeline reads.",
            "Give them as KEY=VALUE; they become environment variables of the build.",
        ),
        Capability.RETRY_ALL: (
            "Buildkite can run a job again only if it did not pass.",
            "To run all of them, build the same again: `/build rebuild`.",
        ),
        Capability.REJECT: (
            "Buildkite can unblock a step, but not reject it.",
            "Leave it waiting, or cancel the build.",
        ),
        Capability.TESTS: (
            "Buildkite's Test Engine has no tests of this build for me.",
            "It needs Test Engine in the organization and a token with the scope `read_suites`.",
        ),
        Capability.ERASE: (
            "Buildkite deletes logs and artifacts one by one, and I don't do that.",
            "Delete them on the build's page.",
        ),
        Capability.PIPELINE_ADMIN: (
            "Buildkite's pipelines are managed on their own pages.",
            "Open the pipeline's settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = START_OPTIONS
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    @override
    @classmethod
    def auth(cls, options: BuildkiteOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        match reply.status:
            case 429:
                return RateLimited(
                    f"{cls.label} asks me to slow down.",
                    provider=cls.label,
                    status=429,
                    retry_after=limits.wait_seconds(reply),
                )
            case 403:
                said = message_of(reply)
                return AuthFailed(
                    f"{cls.label} does not let this connection do that{f': {said}' if said else ''}.",
                    provider=cls.label,
                    status=403,
                    hint=f"The token may lack the scope {limits.scope_of(reply.url)}. An admin can replace it in App Home.",
                )
            case _:
                return None

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        sets = [quota for prefix in limits.QUOTAS if (quota := limits.quota(headers, prefix, now)) is not None]
        return min(sets, key=lambda quota: quota.remaining / max(quota.limit, 1), default=None)

    @override
    async def check(self) -> Account:
        token = wire.Token.of((await self._api.get("v2/access-token")).raw)
        granted = frozenset(token.scopes)
        if "read_pipelines" in granted:
            await self._find_organization()
        warnings = []
        if "read_suites" not in granted:
            warnings.append("Without the scope read_suites I can't count test failures.")
        ends = parse_time(token.expires_at)
        if ends is not None and ends - self._clock() < timedelta(days=14):
            warnings.append(f"The token ends on {ends:%Y-%m-%d}.")
        return Account(
            name=(token.user.name or token.user.email if token.user else None) or "a token",
            detail=self.options.organization,
            missing=tuple(scope for scope in NEEDED_SCOPES if scope not in granted),
            warnings=tuple(warnings),
            expires_at=ends,
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        async for page in self._api.pages(f"{self._org}/pipelines", {"name": query or None, "per_page": PER_PAGE}):
            for pipeline in parse_items(page, wire.PipelineWire.of):
                if pipeline.archived_at is None:
                    yield convert.pipeline(pipeline)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return convert.pipeline(wire.PipelineWire.of((await self._api.get(self._at(path))).raw))

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        commit = (wanted.commit or "").lower()
        is_whole = len(commit) == 40  # the list takes only whole ones; short ones are looked for here
        query: Query = {
            **LEAN,
            "per_page": min(max(wanted.limit, 1), PER_PAGE) if is_whole or not commit else PER_PAGE,
            "branch": wanted.branch,
            "commit": commit if is_whole else None,
            "state[]": sorted(convert.raw_states(wanted.states)),
        }
        left = wanted.limit
        async for page in self._api.pages(f"{self._at(pipeline)}/builds", query, ceiling=SEARCH_PAGES):
            for build in parse_items(page, self._build):
                if left > 0 and wanted.admits(build):
                    left -= 1
                    yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        return self._build((await self._api.get(self._at(pipeline, build), LEAN)).raw)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self.build(pipeline, str(number))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for the whole organization; every fifth tick one more for builds that wait for a person.

        More only for long lists, and one for each unfinished build that no list shows (skipped, or waiting since).
        """
        now = self._clock()
        at = Cursor.read(cursor, now)
        found: dict[BuildKey, Build] = {}
        async for build in self._finished_since(at.since - OVERLAP):
            found[build.key] = build
        async for build in self._listed({"state[]": ACTIVE}):
            found[build.key] = build  # read later, so it knows better
        if at.tick % WAITING_EVERY == 0:
            recent: Query = {"state[]": ("blocked",), "created_from": (now - BACKLOG).isoformat()}
            async for build in self._listed(recent, ceiling=WAITING_PAGES):
                found[build.key] = build
        still_waiting = {key for key in watched.unfinished - found.keys() if short(key) in at.waiting}
        for key in sorted(watched.unfinished - found.keys() - still_waiting):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[key] = straggler
        builds = tuple(
            build for build in found.values() if build.pipeline in watched.pipelines or build.key in watched.unfinished
        )
        waiting = {short(key) for key in still_waiting} | {
            short(build.key) for build in builds if build.waiting and not build.completed
        }
        return Changes(builds=builds, cursor=at.moved_on(now, waiting))

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, then the branches of the newest 100 builds: Buildkite has no list of branches."""
        wanted = folded(query or "")
        seen: set[str] = set()
        default = (await self.pipeline(pipeline)).default_branch
        names = [default] if default else []
        names += [build.branch async for build in self.builds(pipeline, BuildFilter(limit=PER_PAGE)) if build.branch]
        for name in names:
            if name not in seen and wanted in folded(name):
                seen.add(name)
                yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        body = start_body(request)
        body["commit"] = request.commit or "HEAD"
        match request.ref:
            case Ref(kind=RefKind.BRANCH, name=name):
                body["branch"] = name
            case Ref(kind=RefKind.TAG, name=name):
                # Buildkite wants a branch even so: step filters read it, and its own tag builds carry the tag there
                body |= {"commit": request.commit or name, "branch": request.options.get("branch") or name}
            case Ref(kind=RefKind.PULL_REQUEST, name=name):
                body |= await self._pull_request(pipeline, name, request.options.get("branch"))
                body |= start_body(request)
            case ref:
                if ref is not None:
                    body["commit"] = ref.name
                body["branch"] = request.options.get("branch") or await self._default_branch(pipeline)
        return await self._create(pipeline, body)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        async def send() -> Build:
            return self._build((await self._api.send("PUT", f"{self._at(pipeline, build)}/cancel")).raw)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed or now.raw_state == "canceling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Buildkite copies a build as it was recorded; with other values a new one is made from what was recorded."""
        if request.parameters or request.options or request.message:
            recorded = wire.BuildWire.of((await self._api.get(self._at(pipeline, build), LEAN)).raw)
            return await self._create(pipeline, again_body(recorded, request))
        since = self._clock()

        async def send() -> Build:
            return self._build((await self._api.send("PUT", f"{self._at(pipeline, build)}/rebuild")).raw)

        async def confirm() -> Build | None:
            return await self._only(
                pipeline, since, lambda it: it.rebuilt_from is not None and it.rebuilt_from.number == int(build)
            )

        return await self.send_once(send, confirm)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """A job can be retried once: the retried job has a new id. Raises Rejected where no job can be retried."""
        at = self._at(pipeline, build)
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, self._page(pipeline, build))

        async def send() -> Build:
            if job is not None:
                await self._api.send("PUT", f"{at}/jobs/{quote(job, safe='')}/retry")
                return await self.build(pipeline, build)
            reply = await self._api.send("PUT", f"{at}/retry_failed_jobs")
            if wire.Retried.of(reply.raw).retried_jobs_count == 0:
                raise Rejected("No job of this build can be run again.", provider=self.label)
            return self._build(reply.raw)

        async def confirm() -> Build | None:
            if job is not None and not any(it.id == job and it.retried for it in await self.jobs(pipeline, build)):
                return None
            now = await self.build(pipeline, build)
            return None if now.completed and job is None else now

        return await self.send_once(send, confirm)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        found = await self._jobs(pipeline, build, {})
        return tuple(convert.job(it, pipeline, build) for it in found if it.type != "waiter")

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log; an empty log is empty. Costs one request."""
        path = f"{self._at(job.pipeline, job.build)}/jobs/{quote(job.id, safe='')}/log"
        # only the suffix form is served, and only as plain text
        headers = {"Accept": "text/plain", "Range": f"bytes=-{tail_bytes}"}
        try:
            data, cut = await self._api.tail(path, keep=tail_bytes, headers=headers)
        except Rejected as exc:
            if exc.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            data, cut = b"", False
        truncated = cut or len(data) >= tail_bytes
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        found: list[Artifact] = []
        path = f"{self._at(pipeline, build)}/artifacts"
        async for page in self._api.pages(path, {"per_page": PER_PAGE}, ceiling=ARTIFACT_PAGES):
            found += [
                convert.artifact(it, pipeline, build)
                for it in map(wire.ArtifactWire.of, page)
                if it.state not in {"deleted", "expired", "error"}
            ]
        return tuple(found)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        job = quote(artifact.job or "", safe="")
        at = f"{self._at(artifact.pipeline, artifact.build)}/jobs/{job}/artifacts/{quote(artifact.id, safe='')}"
        return self._api.download(f"{at}/download")

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs a request for the build, one for each hundred tests, one for each run with failures (five at most)."""
        it = await self._with_test_engine(pipeline, build)
        try:
            found = [test async for test in self._tests(it.id, None)]
            reasons = await self._reasons(it)
        except (AuthFailed, NotFound) as exc:
            raise self.unsupported(Capability.TESTS) from exc
        cases = (convert.test(test, reasons.get(test.name or "")) for test in found)
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Failed jobs and annotations: Buildkite knows no single errors. Costs two requests."""
        jobs = await self._jobs(pipeline, build, BROKEN_JOBS)
        page = self._page(pipeline, build)
        found = [convert.job_issue(it, page) for it in jobs if convert.ended_badly(it)]
        for note in await self._annotations(pipeline, build):
            if note.style in {"error", "warning"}:
                kind = IssueKind.ERROR if note.style == "error" else IssueKind.WARNING
                found.append(Issue(kind=kind, message=note.context or "an annotation without a name", url=page))
        return tuple(sorted(found, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Two requests for a build whose jobs all passed; one more for failed jobs, one more for failed tests.

        Errors are failed jobs, warnings are soft failures and warning annotations. Analyzer warnings are unknown.
        """
        it = await self._with_test_engine(build.pipeline, build.id)
        states = it.job_state_counts.states if it.job_state_counts else None
        jobs: list[wire.JobWire] = []
        if states is None or any(states.get(state) for state in convert.BROKEN):
            jobs = [job for job in await self._jobs(build.pipeline, build.id, BROKEN_JOBS) if convert.ended_badly(job)]
        notes = await self._annotations(build.pipeline, build.id)
        return IssueCounts(
            errors=sum(not job.soft_failed for job in jobs),
            warnings=sum(bool(job.soft_failed) for job in jobs) + sum(note.style == "warning" for note in notes),
            test_failures=await self._test_failures(it),
        )

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        found = await self._jobs(pipeline, build, {"state[]": ("blocked",), "include_retried_jobs": False})
        page = self._page(pipeline, build)
        return tuple(
            convert.approval(it, pipeline, build, page) for it in found if it.type == "manual" and it.unblockable
        )

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Buildkite takes no comment, and records the token's owner as the one who unblocked."""
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        path = f"{self._at(approval.pipeline, approval.build)}/jobs/{quote(approval.id, safe='')}/unblock"

        async def send() -> Build:
            try:
                await self._api.send("PUT", path, json={"fields": dict(fields)} if fields else None)
            except Rejected as exc:
                hint = f"The step may ask for values that only its page shows: {approval.url}"
                raise Rejected(str(exc), provider=self.label, status=exc.status, hint=hint) from exc
            return await self.build(approval.pipeline, approval.build)

        async def confirm() -> Build | None:
            if any(left.id == approval.id for left in await self.approvals(approval.pipeline, approval.build)):
                return None
            return await self.build(approval.pipeline, approval.build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        address = page_below(url, *WEB_PAGES, self.options.url)
        parts = [unquote(part) for part in address.path.split("/") if part] if address else []
        if address is None or len(parts) < 2 or parts[0].lower() != self.options.organization.lower():
            return None
        if len(parts) < 4 or parts[2] != "builds" or not parts[3].isdecimal():
            return Page(pipeline=parts[1])
        job = _JOB_IN_URL.search(f"{address.query}#{address.fragment}")
        return Page(pipeline=parts[1], build=parts[3], number=int(parts[3]), job=job[1].lower() if job else None)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        delivery = self._check_webhook(headers, body)
        webhook = wire.Hook.of(body)
        if webhook.build is None or not webhook.event.startswith(("build.", "job.")):
            return None
        place = convert.place(webhook.build.url)
        if place is not None and place.organization.lower() != self.options.organization.lower():
            return None
        pipeline = (webhook.pipeline.slug if webhook.pipeline else None) or (place.pipeline if place else None)
        if not pipeline:
            return None
        return WebhookEvent(delivery=delivery, pipeline=pipeline, build=str(webhook.build.number))

    # where things are

    @property
    def _org(self) -> str:
        return f"v2/organizations/{quote(self.options.organization, safe='')}"

    def _at(self, pipeline: str, build: str | None = None) -> str:
        at = f"{self._org}/pipelines/{quote(pipeline, safe='')}"
        return at if build is None else f"{at}/builds/{quote(build, safe='')}"

    def _page(self, pipeline: str, build: str) -> str:
        organization = quote(self.options.organization, safe="")
        return f"https://buildkite.com/{organization}/{quote(pipeline, safe='')}/builds/{quote(build, safe='')}"

    async def _find_organization(self) -> None:
        try:
            await self._api.get(f"{self._org}/pipelines", {"per_page": 1})
        except NotFound as exc:
            raise NotFound(
                f"This token sees no organization {self.options.organization} at Buildkite.",
                provider=self.label,
                status=exc.status,
                hint="`organization` is the slug in buildkite.com/SLUG; the token must be allowed for it.",
            ) from exc

    # lists

    def _build(self, payload: msgspec.Raw) -> Build:
        return convert.build(wire.BuildWire.of(payload), self.connection)

    async def _listed(self, query: Query, *, ceiling: int = 100) -> AsyncIterator[Build]:
        whole: Query = {**LEAN, "per_page": PER_PAGE, **query}
        async for page in self._api.pages(f"{self._org}/builds", whole, ceiling=ceiling):
            for build in parse_items(page, self._build):
                yield build

    async def _finished_since(self, since: datetime) -> AsyncIterator[Build]:
        """Yield what finished. The list is sorted by creation, so all of it is read.

        Deep pages are refused with 400: then the list goes on with what was created up to the oldest build seen.
        """
        narrowed: Query = {}
        oldest: datetime | None = None
        while True:
            asked_to = oldest
            try:
                async for build in self._listed({"finished_from": since.isoformat(), **narrowed}):
                    oldest = min(filter(None, (oldest, build.created_at)), default=None)
                    yield build
            except Rejected as exc:
                if exc.status != httpx.codes.BAD_REQUEST or oldest is None or oldest == asked_to:
                    raise
                narrowed = {"created_from": (since - BACKLOG).isoformat(), "created_to": oldest.isoformat()}
            else:
                return

    async def _jobs(self, pipeline: str, build: str, query: Query) -> list[wire.JobWire]:
        found: list[wire.JobWire] = []
        path = f"{self._at(pipeline, build)}/jobs"
        whole: Query = {"per_page": PER_PAGE, **query}
        async for page in self._api.pages(path, whole, member="items", next_page=convert.next_jobs, ceiling=JOB_PAGES):
            found += map(wire.JobWire.of, page)
        return found

    async def _annotations(self, pipeline: str, build: str) -> list[wire.Annotation]:
        path = f"{self._at(pipeline, build)}/annotations"
        query: Query = {"scope": "all", "omit_body": True, "per_page": PER_PAGE}
        pages = self._api.pages(path, query, ceiling=ANNOTATION_PAGES)
        return [wire.Annotation.of(note) async for page in pages for note in page]

    # Test Engine

    async def _with_test_engine(self, pipeline: str, build: str) -> wire.BuildWire:
        """Return a build with its UUID, its job counts and, where the token may see them, its test runs."""
        path = self._at(pipeline, build)
        try:
            reply = await self._api.get(path, {**LEAN, "include_test_engine": True})
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            reply = await self._api.get(path, LEAN)
        return wire.BuildWire.of(reply.raw)

    async def _tests(self, uuid: str, tags: str | None) -> AsyncIterator[wire.BuildTest]:
        organization = quote(self.options.organization, safe="")
        path = f"v2/analytics/organizations/{organization}/builds/{quote(uuid, safe='')}/tests"
        async for page in self._api.pages(path, {"tags": tags, "per_page": PER_PAGE}, ceiling=TEST_PAGES):
            for test in page:
                yield wire.BuildTest.of(test)

    async def _test_failures(self, it: wire.BuildWire) -> int | None:
        if it.test_engine is None or not it.test_engine.runs:
            return None
        try:
            return len([test async for test in self._tests(it.id, "result:^failed")])
        except (AuthFailed, NotFound):
            return None

    async def _reasons(self, it: wire.BuildWire) -> dict[str, str]:
        """Return why tests failed, by name, from the build's newest runs."""
        reasons: dict[str, str] = {}
        organization = quote(self.options.organization, safe="")
        for run in (it.test_engine.runs or [] if it.test_engine else [])[:TEST_RUNS]:
            if not run.id or run.suite is None or not run.suite.slug:
                continue
            at = f"v2/analytics/organizations/{organization}/suites/{quote(run.suite.slug, safe='')}"
            reply = await self._api.get(f"{at}/runs/{quote(run.id, safe='')}/failed_executions")
            for failure in map(wire.FailedExecution.of, reply.items()):
                if failure.test_name and failure.failure_reason:
                    reasons.setdefault(failure.test_name, failure.failure_reason)
        return reasons

    # starting

    async def _create(self, pipeline: str, body: Mapping[str, object]) -> Build:
        """Start a build once. After a time-out it is looked for by commit, branch, message and whose token made it."""
        since = self._clock()

        async def send() -> Build:
            return self._build((await self._api.post(f"{self._at(pipeline)}/builds", json=body)).raw)

        async def confirm() -> Build | None:
            return await self._only(
                pipeline,
                since,
                lambda it: (
                    it.branch == body["branch"]
                    and body.get("message") in {None, it.message}
                    and (not is_sha(str(body["commit"])) or (it.commit or "").startswith(str(body["commit"])))
                ),
            )

        return await self.send_once(send, confirm)

    async def _only(self, pipeline: str, since: datetime, fits: Callable[[wire.BuildWire], bool]) -> Build | None:
        """Return the one build that this token's user made by API since then and that fits; None where two do."""
        user = wire.Token.of((await self._api.get("v2/access-token")).raw).user
        email = user.email if user else None
        query: Query = {**LEAN, "per_page": PER_PAGE, "created_from": (since - SKEW).isoformat()}
        reply = await self._api.get(f"{self._at(pipeline)}/builds", query)
        found = [
            it
            for it in parse_items(reply.items(), wire.BuildWire.of)
            if it.source == "api" and (not email or (it.creator and it.creator.email == email)) and fits(it)
        ]
        return convert.build(found[0], self.connection) if len(found) == 1 else None

    async def _default_branch(self, pipeline: str) -> str:
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError(f"{pipeline} has no default branch.", hint="Name one: `@BRANCH`.")
        return branch

    async def _pull_request(self, pipeline: str, number: str, branch: str | None) -> dict[str, object]:
        """Return what a build of a pull request is given, from the newest of its builds where no branch is named."""
        body: dict[str, object] = {"pull_request_id": pull_request_number(number)}
        if branch:
            return {**body, "branch": branch}
        reply = await self._api.get(f"{self._at(pipeline)}/builds", {**LEAN, "per_page": PER_PAGE})
        for it in parse_items(reply.items(), wire.BuildWire.of):
            if it.branch and it.pull_request and str(it.pull_request.id) == number:
                body["branch"] = it.branch
                if it.pull_request.base:
                    body["pull_request_base_branch"] = it.pull_request.base
                if it.pull_request.repository:
                    body["pull_request_repository"] = it.pull_request.repository
                return body
        raise UsageError(
            f"Buildkite does not tell the branch of pull request {number}, and none of its builds is recent.",
            hint="Name it: `--option branch=NAME`.",
        )

    # webhooks

    def _check_webhook(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return a name for the delivery. A signature that is there must fit: the token alone is then not enough."""
        secret = self.webhook_secret()
        signature = headers.get("x-buildkite-signature")
        if signature is None:
            if not same_secret(headers.get("x-buildkite-token", ""), secret):
                raise AuthFailed("The webhook's token does not fit.", provider=self.label, status=401)
            return hashlib.sha256(body).hexdigest()
        found = _SIGNATURE.fullmatch(signature.replace(" ", ""))
        if found is None:
            raise AuthFailed("The webhook's signature does not read.", provider=self.label, status=401)
        signed = hmac.new(secret.encode(), found[1].encode() + b"." + body, hashlib.sha256).hexdigest()
        if not same_secret(found[2], signed):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        if not within_window(found[1], self._clock()):
            raise AuthFailed("The webhook is too old, or a clock is wrong.", provider=self.label, status=401)
        return signed


_SIGNATURE = re.compile(r"timestamp=(\d{1,12}),signature=([0-9a-f]{64})")
_JOB_IN_URL = re.compile(r"(?:#|jid=)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
