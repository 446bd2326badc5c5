"""Truto, the unified CI/CD API: one API before six CI systems.

Pages: https://truto.one/docs/api-reference/unified-ci-cd-api/ and Truto's pages on the proxy and custom APIs, errors and
webhooks, read in August 2026. A connection is one integrated account: one tenant's connection to one CI system. Reading
goes through the unified model; what acts is a request of the system's own that Truto passes on. Limits: 50 requests in
10 seconds for an account, 500 for a token, and those of the system beneath.
"""

import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    Account,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Log,
    Page,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Trigger,
    Watched,
    WebhookEvent,
)
from bot.core.text import among_names, folded
from bot.http.client import Api, Query, Quota, Reply, message_of
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.base.webhooks import same_secret
from bot.providers.truto import client, convert, errors, proxy, urls, wire
from bot.providers.truto.client import BuildQuery, ResponseFormat
from bot.providers.truto.integrations import (
    BRANCH_QUERY,
    COMMIT_QUERY,
    LABELS,
    NEVER,
    PASSED_ON,
    READS,
    TAKES_CONCLUSION,
    TAKES_STATUS,
    WHY_NOT,
    Integration,
    integration_of,
)
from bot.providers.truto.options import TrutoOptions
from bot.providers.truto.poll import Cursor, ids, moved_on
from bot.providers.truto.states import SET_UP, STATES

PER_PAGE = 50
POLL_PAGE = 10
POLL_PAGES = 5
JOB_PAGES = 20
ARTIFACT_PAGES = 10
ARTIFACT_JOBS = 20
REMEMBERED = 30
SKEW = timedelta(minutes=1)
ASK_AGAIN_AFTER = timedelta(minutes=1)
SETTLING_SECONDS = (0.0, 1.0, 2.0)
TRAVIS_SECONDS = (1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0)
RECONNECT = "Whoever owns the connection has to reconnect it at Truto; until then I stop asking."


class Truto(Provider[TrutoOptions]):
    """One integrated account at Truto. Repositories (at Jenkins: jobs) are our pipelines."""

    kind = "truto"
    label = "Truto"
    default_url = "https://api.truto.one"
    page = "https://truto.one/docs/api-reference/unified-ci-cd-api/"
    states = STATES
    options_type = TrutoOptions
    capabilities = frozenset({Capability.WEBHOOK}).union(*READS.values(), *PASSED_ON.values())
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = NEVER
    start_options: ClassVar[Mapping[str, str]] = proxy.START_OPTIONS
    lists_all_refs = frozenset({RefKind.BRANCH})

    def __init__(self, api: Api, options: TrutoOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self.integration = options.integration
        self.capabilities = READS[self.integration] | PASSED_ON[self.integration] | {Capability.WEBHOOK}
        if self.integration is Integration.TRAVIS:
            self.lists_all_refs = frozenset()
        self._passes_on = True
        self._refused_at: datetime | None = None

    @override
    @classmethod
    def auth(cls, options: TrutoOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        said = message_of(reply)
        tail = f": {said}." if said else "."
        is_remote, is_passed_on = errors.is_remote(reply), "/custom/" in urlsplit(reply.url).path
        match reply.status:
            case 401 if is_remote:
                return AuthFailed(
                    f"The CI system behind Truto refused the connection's credentials{tail}",
                    provider=cls.label,
                    status=401,
                    hint=RECONNECT,
                )
            case 403 if is_remote and reply.headers.get("ratelimit-remaining") != "0":
                return AuthFailed(
                    f"The CI system behind Truto does not let the connection do that{tail}",
                    provider=cls.label,
                    status=403,
                    hint="The connection at Truto lacks a right; reconnect it with the scopes for builds.",
                )
            case 403 | 429 if is_remote or reply.status == 429:
                return RateLimited(
                    "Truto asks me to slow down.",
                    provider=cls.label,
                    status=reply.status,
                    retry_after=errors.wait_seconds(reply.headers),
                )
            case 404 | 405 | 501 if is_passed_on and not is_remote:
                return Unsupported(
                    f"Truto does not pass this request on to the CI system{tail}",
                    provider=cls.label,
                    status=reply.status,
                    hint="Do it on the system's own page, or connect the system directly.",
                )
            case _:
                return None

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return errors.quota(headers, now)

    @override
    async def check(self) -> Account:
        """Three requests: the account, what it offers, and one build of the pipeline that the options name."""
        account = await self._account()
        self._refuse_disconnected(account)
        named = account.integration.name if account.integration else None
        behind = integration_of(named or "")
        if named and behind is not self.integration:
            raise Rejected(
                f"This account at Truto is connected to {LABELS.get(behind, named) if behind else named},"
                f" not to {self._system}.",
                provider=self.label,
                hint="Set the connection's `integration`.",
            )
        offered = wire.CapabilitiesWire.of(
            (await self._api.get(f"{self._account_path}/capabilities", {"type": "unified"})).raw
        )
        builds = next((one for one in offered.unified or () if (one.model, one.resource) == ("ci-cd", "builds")), None)
        missing = [
            f"builds: {way}" for way in ("list", "get") if way not in ((builds.methods if builds else None) or ())
        ]
        forbidden = account.last_forbidden_error
        missing += (forbidden.missing_scopes if forbidden else None) or ()
        first: BuildQuery = BuildQuery(limit=1, ignore_remote_data=True)
        await self._api.get("unified/ci-cd/builds", {**self._context(self.options.home), **first.pairs()})
        warnings = ["A sandbox account takes no changes: I can only read."] if account.is_sandbox else []
        if account.status not in {"active", None}:
            warnings.append(f"Truto calls the connection `{account.status}`.")
        return Account(
            name=f"{self._system} by Truto",
            detail=account.tenant_id,
            missing=tuple(missing),
            warnings=tuple(warnings),
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield what the options name, then what Truto lists beside it; of CircleCI it lists nothing."""
        wanted, home = folded(query or ""), await self._named(self.options.home)
        if wanted in folded(f"{home.path} {home.name}"):
            yield home
        async for found in self._others():
            is_other = home.id != found.id and home.path != found.path
            if is_other and wanted in folded(f"{found.path} {found.name}"):
                yield found

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """One request where `path` is an id as the integration takes it, else a search of the list."""
        try:
            return await self._named(path)
        except NotFound:
            async for found in self._others():
                if among_names(path, (found.path, found.name)):
                    return found
            raise

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """One request a page; one more for each build of which the list tells no state (Jenkins, CircleCI)."""
        left = wanted.limit
        async with aclosing(self.list_builds(pipeline, self._asked(wanted))) as builds:
            async for listed in builds:
                build = await self._settled(listed)
                if left > 0 and wanted.admits(build):
                    left -= 1
                    yield build
                if left <= 0:
                    return

    async def list_builds(self, pipeline: str, query: BuildQuery) -> AsyncGenerator[Build, None]:
        """Yield builds as the list has them, with every parameter that Truto's list takes.

        Raises UsageError for formats in which no unified builds come.
        """
        if query.response_format in {ResponseFormat.RAW, ResponseFormat.STREAM}:
            raise UsageError(f"Builds can't be read from the format `{query.response_format}`.")
        asked = {**self._context(pipeline), **query.pairs()}
        async for page in self._pages("unified/ci-cd/builds", asked, ceiling=SEARCH_PAGES):
            for it in parse_items(page, wire.BuildWire.of):
                yield convert.build(it, self._place(pipeline))

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        return await self._jobs_tell(convert.build(await self._one(pipeline, build), self._place(pipeline)))

    @override
    def poll_target(self, pipeline: str) -> str:
        return pipeline

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for each watched pipeline: there is no list for the whole account.

        One more for every ten builds that began since, for each unfinished build that the list no longer shows, and
        for each unfinished one that it shows without a state (Jenkins, CircleCI). After a refusal by the system beneath
        nothing is sent for a minute, then one request to Truto, until somebody has reconnected the connection.
        """
        await self._still_connected()
        at = Cursor.read(cursor)
        found: dict[BuildKey, Build] = {}
        seen: dict[str, dict[str, bool]] = {}
        try:
            for pipeline in sorted(watched.pipelines):
                recent = await self._recent(pipeline, at)
                seen[pipeline] = ids(recent, REMEMBERED)
                found |= {build.key: build for build in recent if build.raw_state is not None}
            for key in sorted(watched.unfinished - found.keys()):
                straggler = await self.build_or_none(key)
                if straggler is not None:
                    found[key] = straggler
        except AuthFailed as exc:
            if exc.hint == RECONNECT:
                self._refused_at = self._clock()
            raise
        return Changes(builds=tuple(found.values()), cursor=moved_on(seen))

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        self._need(Capability.REFS)
        if self.integration is Integration.AZURE and pipeline == self.options.workspace_id:
            raise UsageError("A whole workspace has no branches.", hint="Name one of its repositories.")
        wanted = folded(query or "")
        asked: Query = {**self._context(pipeline), "limit": PER_PAGE}
        if self.integration is Integration.AZURE:
            asked = {**asked, "repo_id": pipeline}
        async for page in self._pages("unified/ci-cd/branches", asked):
            for it in parse_items(page, wire.NamedWire.of):
                name = (it.name or str(it.id or "")).removeprefix("refs/heads/")
                if name and wanted in folded(name):
                    yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        self._need(Capability.START)
        ref = request.ref or Ref(kind=RefKind.BRANCH, name=await self._default_branch(pipeline))
        return await self._begin(pipeline, proxy.starting(self._place(pipeline), request, ref), ref)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        self._need(Capability.CANCEL)
        place = self._place(pipeline)
        targets = [build]
        if self.integration is Integration.CIRCLECI:
            targets = [it.id for it in await self._workflows(build) if convert.is_open(it.status)]
            if not targets:
                raise Rejected("No workflow of this build is running.", provider=self.label)

        async def send() -> Build:
            for target in targets:
                await self._pass_on(proxy.cancelling(place, target))
            return await self.build(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed or now.raw_state == "cancelling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        self._need(Capability.REBUILD)
        it = await self._one(pipeline, build)
        before = convert.build(it, self._place(pipeline))
        call = proxy.same_again(self._place(pipeline), it, before, request)
        name = before.branch or before.tag or ""
        return await self._begin(pipeline, call, Ref(kind=RefKind.BRANCH, name=name))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """At CircleCI each of the newest workflows runs again, at Travis CI each failed job, a second apart."""
        wanted = Capability.RETRY_JOB if job else Capability.RETRY_FAILED if failed_only else Capability.RETRY_ALL
        self._need(wanted)
        calls = await self._retries(pipeline, build, failed_only=failed_only, job=job)

        async def send() -> Build:
            for number, call in enumerate(calls):
                if number:
                    await self._sleep(1.0)
                await self._pass_on(call)
            return await self.build(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return None if now.completed else now

        return await self.send_once(send, confirm)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        self._need(Capability.JOBS)
        return tuple(convert.job(it, self._place(pipeline), build) for it in await self._jobs(pipeline, build))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        self._need(Capability.LOG)
        path = proxy.log_path(self._place(job.pipeline), job.build, job.id)
        data, cut = await self._api.tail(
            f"custom/{path}", self._only_account, keep=tail_bytes, headers={"Accept": "text/plain, */*"}
        )
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if cut and "\n" in text else text, truncated=cut, job=job.name, url=job.web_url
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """One request a page; at CircleCI one for each of the build's first twenty jobs, whose artifacts they are."""
        self._need(Capability.ARTIFACTS)
        context = self._context(pipeline)
        asked: list[Query] = [{**context, "build_id": build}]
        if self.integration is Integration.CIRCLECI:
            numbers = [convert.circleci_number(it) for it in await self._jobs(pipeline, build)]
            known = [number for number in numbers if number is not None][:ARTIFACT_JOBS]
            asked = [{**self._only_account, "project_slug": pipeline, "job_number": number} for number in known]
        found: list[Artifact] = []
        for query in asked:
            whole = {**query, "limit": PER_PAGE}
            async for page in self._pages("unified/ci-cd/artifacts", whole, ceiling=ARTIFACT_PAGES):
                kept = [it for it in parse_items(page, wire.ArtifactWire.of) if not it.expired]
                found += [convert.artifact(it, self._place(pipeline), build) for it in kept]
        return tuple(found)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        self._need(Capability.DOWNLOAD)
        path = proxy.archive_path(self._place(artifact.pipeline), artifact.id)
        return self._api.download(f"custom/{path}", self._only_account, headers={"Accept": "*/*"})

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Failed jobs: Truto knows no single errors."""
        self._need(Capability.ISSUES)
        found = [convert.issue(job) for job in await self.jobs(pipeline, build) if convert.ended_badly(job)]
        return tuple(sorted(found, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """One request. Errors are failed jobs, warnings failures that were allowed; tests are unknown."""
        self._need(Capability.COUNTS)
        failed = [job for job in await self.jobs(build.pipeline, build.id) if convert.ended_badly(job)]
        tolerated = sum(job.tolerated for job in failed)
        tells = self.integration is Integration.TRAVIS  # the others don't say what was allowed to fail
        return IssueCounts(errors=len(failed) - tolerated, warnings=tolerated if tells else None)

    @override
    def parse_url(self, url: str) -> Page | None:
        """Read the pages of the system beneath: Truto has none. Of a Jenkins the address is not known."""
        return urls.read(url, self._place(self.options.home))

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Truto tells when a connection changes and when it has fetched data, not which build: a webhook event says look again."""
        secret = self.webhook_secret()
        named = (part.partition("=") for part in headers.get("x-truto-signature", "").split(","))
        parts = {name.strip(): value.strip() for name, _, value in named}
        signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if parts.get("format") != "sha256" or not same_secret(parts.get("v", ""), signed):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        webhook = wire.HookWire.of(body)
        payload = webhook.payload if isinstance(webhook.payload, dict) else {}
        kind, _, _ = webhook.event.partition(":")
        match kind:
            case "integrated_account":
                account = payload.get("id")
            case "sync_job_run" | "record":
                account = payload.get("integrated_account_id")
            case _:
                return None
        if account != self.options.integrated_account_id:
            return None
        return WebhookEvent(delivery=webhook.id or signed)

    @override
    def unsupported(self, capability: Capability, url: str | None = None) -> Unsupported:
        if not self._passes_on and capability in PASSED_ON[self.integration]:
            return Unsupported(
                f"Truto does not pass requests of this kind on to {self._system}.",
                provider=self.label,
                hint="Do it on the build's page, or connect the system directly.",
            )
        said = WHY_NOT[self.integration].get(capability)
        return Unsupported(said[0], provider=self.label, hint=said[1]) if said else super().unsupported(capability, url)

    # where things are

    @property
    def _system(self) -> str:
        return LABELS[self.integration]

    @property
    def _account_path(self) -> str:
        return f"integrated-account/{quote(self.options.integrated_account_id, safe='')}"

    @property
    def _only_account(self) -> Mapping[str, str]:
        return {"integrated_account_id": self.options.integrated_account_id}

    @property
    def _group(self) -> str:
        return self.options.owner or self.options.workspace_id

    @property
    def _resource(self) -> str:
        return "workflow" if self.integration is Integration.JENKINS else "repos"

    @property
    def _scope(self) -> Mapping[str, str]:
        """Return what narrows lists of repositories."""
        match self.integration:
            case Integration.AZURE | Integration.BITBUCKET:
                return {**self._only_account, "workspace_id": self.options.workspace_id}
            case Integration.GITHUB:
                return {**self._only_account, "owner": self.options.owner}
            case _:
                return self._only_account

    def _context(self, pipeline: str) -> Mapping[str, str]:
        """Return what names a pipeline in every call."""
        match self.integration:
            case Integration.AZURE:
                own = {} if pipeline == self.options.workspace_id else {"repo": pipeline}
            case Integration.BITBUCKET:
                own = {"repo": pipeline}
            case Integration.JENKINS:
                own = {"workflow_id": pipeline}
            case _:
                own = {"repo_id": pipeline}
                if self.options.repo and pipeline == self.options.home:
                    own["repo"] = self.options.repo
        return {**self._scope, **own}

    def _place(self, pipeline: str) -> convert.Place:
        return convert.Place(
            connection=self.connection, integration=self.integration, pipeline=pipeline, owner=self._group
        )

    def _need(self, capability: Capability) -> None:
        if not self.can(capability):
            raise self.unsupported(capability)

    # reading

    async def _named(self, path: str) -> Pipeline:
        if self.integration is Integration.AZURE and path == self.options.workspace_id:
            await self._api.get("unified/ci-cd/repos", {**self._scope, "limit": 1})
            return Pipeline(id=path, path=path, name=f"all of {path}")
        name = path.removeprefix(f"{self.options.owner}/") if self.integration is Integration.GITHUB else path
        reply = await self._api.get(f"unified/ci-cd/{self._resource}/{quote(name, safe='')}", self._scope)
        found = convert.pipeline(wire.NamedWire.of(reply.raw), self.integration, self._group)
        if found is None:
            raise UnexpectedResponse(f"Truto sent {name} without id and name.", provider=self.label)
        # what was asked for is what the list of builds takes, whatever other name the object has
        return replace(found, id=name)

    async def _others(self) -> AsyncIterator[Pipeline]:
        """Yield the pipelines that Truto lists."""
        if self.integration is Integration.CIRCLECI:
            return
        async for page in self._pages(f"unified/ci-cd/{self._resource}", {**self._scope, "limit": PER_PAGE}):
            for it in parse_items(page, wire.NamedWire.of):
                found = convert.pipeline(it, self.integration, self._group)
                if found:
                    yield found

    def _pages(self, path: str, query: Query, *, ceiling: int = 100) -> AsyncGenerator[list[msgspec.Raw], None]:
        return _items(self._api.replies(path, query, next_page=client.next_page, ceiling=ceiling))

    def _asked(self, wanted: BuildFilter) -> BuildQuery:
        """Return what the list is asked for; the rest of the filter is applied here."""
        remote: dict[str, str] = {}
        if wanted.branch and self.integration in BRANCH_QUERY:
            name, before = BRANCH_QUERY[self.integration]
            remote[name] = f"{before}{wanted.branch}"
        if wanted.commit and len(wanted.commit) == 40 and self.integration in COMMIT_QUERY:
            remote[COMMIT_QUERY[self.integration]] = wanted.commit.lower()
        only = next(iter(wanted.states)) if len(wanted.states) == 1 else None
        if self.integration is Integration.CIRCLECI:
            only = None  # its builds come without their ends, and Truto can't narrow by what it does not know
        narrows_here = wanted.branch or wanted.commit or wanted.states
        return BuildQuery(
            status=only if only in set(Status) and self.integration in TAKES_STATUS else None,
            conclusion=only if only in set(Conclusion) and self.integration in TAKES_CONCLUSION else None,
            limit=PER_PAGE if narrows_here else min(max(wanted.limit, 1), PER_PAGE),
            remote=remote,
        )

    async def _one(self, pipeline: str, build: str) -> wire.BuildWire:
        reply = await self._api.get(f"unified/ci-cd/builds/{quote(build, safe='')}", self._context(pipeline))
        return wire.BuildWire.of(reply.raw)

    async def _settled(self, listed: Build) -> Build:
        """Return a build of a list with its state, asked for singly where the list has none."""
        return (
            await self.build(listed.pipeline, listed.id) if listed.raw_state is None else await self._jobs_tell(listed)
        )

    async def _jobs_tell(self, build: Build) -> Build:
        """Return a build with its end from its jobs, where the system's builds tell only that they were set up."""
        if self.integration is not Integration.CIRCLECI or build.raw_state != SET_UP:
            return build
        return convert.from_jobs(build, await self.jobs(build.pipeline, build.id))

    async def _recent(self, pipeline: str, at: Cursor) -> list[Build]:
        """Return the newest builds, back to the first page that shows one seen before."""
        known, completed = at.knows(pipeline), at.completed(pipeline)
        found: list[Build] = []
        asked: Query = {**self._context(pipeline), **BuildQuery(limit=POLL_PAGE).pairs()}
        async for page in self._pages("unified/ci-cd/builds", asked, ceiling=POLL_PAGES if known else 1):
            for it in parse_items(page, wire.BuildWire.of):
                build = convert.build(it, self._place(pipeline))
                if build.raw_state in {None, SET_UP} and build.id in completed:
                    # seen to its end before, and the list could not tell of another
                    build = replace(build, raw_state=None, status=Status.COMPLETED)
                else:
                    build = await self._settled(build)
                found.append(build)
            if known & {build.id for build in found}:
                break
        return found

    async def _jobs(self, pipeline: str, build: str) -> list[wire.JobWire]:
        own = {"build": build} if self.integration is Integration.BITBUCKET else {"build_id": build}
        if self.integration is Integration.CIRCLECI:
            own["project_slug"] = pipeline
        asked: Query = {**self._context(pipeline), **own, "limit": PER_PAGE}
        pages = self._pages("unified/ci-cd/jobs", asked, ceiling=JOB_PAGES)
        return [it async for page in pages for it in parse_items(page, wire.JobWire.of)]

    async def _account(self) -> wire.AccountWire:
        return wire.AccountWire.of((await self._api.get(self._account_path)).raw)

    def _refuse_disconnected(self, account: wire.AccountWire) -> None:
        if account.status == "needs_reauth" or account.is_blocked:
            raise AuthFailed(
                f"Truto's connection to {self._system} is {'blocked' if account.is_blocked else 'no longer authorized'}.",
                provider=self.label,
                status=401,
                hint=RECONNECT,
            )

    async def _still_connected(self) -> None:
        """Raise AuthFailed while the connection waits for somebody to reconnect it; Truto itself is asked, no more."""
        if self._refused_at is None:
            return
        now = self._clock()
        if now - self._refused_at < ASK_AGAIN_AFTER:
            raise AuthFailed(
                f"{self._system} refused the credentials of Truto's connection.",
                provider=self.label,
                status=401,
                hint=RECONNECT,
            )
        self._refused_at = now
        self._refuse_disconnected(await self._account())
        self._refused_at = None

    # acting

    async def _pass_on(self, call: proxy.Call) -> Reply:
        """Send a request of the system's own. Where Truto passes none on, the connection can do no such thing."""
        try:
            return await self._api.send(
                call.method, f"custom/{call.path}", json=call.body, query={**call.query, **self._only_account}
            )
        except Unsupported as exc:
            self._passes_on = False
            self.capabilities -= PASSED_ON[self.integration]
            raise Unsupported(
                str(exc).replace("the CI system", self._system, 1),
                provider=self.label,
                status=exc.status,
                hint=exc.hint,
            ) from exc

    async def _begin(self, pipeline: str, call: proxy.Call, ref: Ref) -> Build:
        """Start a build once and return it. After a time-out it is looked for by its branch and time."""
        since = self._clock()

        async def send() -> str:
            reply = await self._pass_on(call)
            named = proxy.started_id(self.integration, wire.StartedWire.of(proxy.inner(reply.content or b"{}")))
            if named is None:
                raise UnexpectedResponse(
                    f"{self._system} took the request and did not say which build it started"
                    f"{f': {said}' if (said := message_of(reply)) else ''}.",
                    provider=self.label,
                    hint="Look at its page before you repeat this.",
                )
            return await self._made_of(pipeline, named) if self.integration is Integration.TRAVIS else named

        async def confirm() -> str | None:
            found = [
                build
                async for build in self.list_builds(pipeline, BuildQuery(limit=POLL_PAGE))
                if (build.created_at or build.started_at or since) >= since - SKEW
                and ref.name in {build.branch, build.tag}
                and build.trigger in {Trigger.API, Trigger.WEB}
            ]
            return found[0].id if len(found) == 1 else None

        return await self._begun(pipeline, await self.send_once(send, confirm), ref)

    async def _begun(self, pipeline: str, build: str, ref: Ref) -> Build:
        """Return what was started; where it can't be read yet, what is known of it."""
        for pause in SETTLING_SECONDS:
            await self._sleep(pause)
            try:
                return await self.build(pipeline, build)
            except (NotFound, Unavailable):
                continue
        branch = ref.name if ref.kind is RefKind.BRANCH else None
        return Build(connection=self.connection, pipeline=pipeline, id=build, branch=branch)

    async def _made_of(self, pipeline: str, request: str) -> str:
        """Return the id of the build that a request to Travis CI came to."""
        path = proxy.travis_request_path(self._place(pipeline), request)
        for pause in TRAVIS_SECONDS:
            await self._sleep(pause)
            reply = await self._api.get(f"custom/{path}", self._only_account)
            it = wire.TravisRequestWire.of(proxy.inner(reply.content))
            made = [str(one.id) for one in it.builds or () if one.id is not None]
            if made:
                return made[0]
            if it.result == "rejected":
                raise Rejected(f"Travis CI rejected the build: {it.message or 'no reason given'}.", provider=self.label)
        raise Unavailable(
            "Travis CI took the request and has not made a build of it yet.",
            provider=self.label,
            hint="Look at its page before you repeat this.",
        )

    async def _workflows(self, build: str) -> list[wire.WorkflowWire]:
        """Return the newest workflow of each name of a CircleCI pipeline."""
        reply = await self._api.get(f"custom/{proxy.workflows_path(build)}", self._only_account)
        return convert.newest_workflows(proxy.inner(reply.content))

    async def _retries(self, pipeline: str, build: str, *, failed_only: bool, job: str | None) -> list[proxy.Call]:
        place = self._place(pipeline)
        if job:
            return [proxy.job_again(place, job)]
        if self.integration is Integration.CIRCLECI:
            workflows = [it for it in await self._workflows(build) if not failed_only or convert.has_failed(it.status)]
            calls = [proxy.again(place, it.id, failed_only=failed_only) for it in workflows]
        elif self.integration is Integration.TRAVIS and failed_only:
            failed = [one for one in await self.jobs(pipeline, build) if convert.may_run_again(one)]
            calls = [proxy.job_again(place, one.id) for one in failed]
        else:
            calls = [proxy.again(place, build, failed_only=failed_only)]
        if not calls:
            raise Rejected("Nothing in this build can be run again.", provider=self.label)
        return calls

    async def _default_branch(self, pipeline: str) -> str:
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError(f"Truto does not tell the default branch of {pipeline}.", hint="Name one: `@BRANCH`.")
        return branch


async def _items(replies: AsyncGenerator[Reply, None]) -> AsyncGenerator[list[msgspec.Raw], None]:
    async with aclosing(replies):
        async for reply in replies:
            yield client.items(reply)
