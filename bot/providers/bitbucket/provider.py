"""Bitbucket Cloud Pipelines, REST API 2.0.

Pages: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/ and
https://support.atlassian.com/bitbucket-cloud/docs/api-request-limits/, read in August 2026. A build's id in the bot is
the pipeline's UUID, a pipeline's id the repository's: Bitbucket's "pipeline" is our build. Limits: 1,000 requests an
hour for repositories, more for access tokens of large workspaces; 100 items a page. Bitbucket Data Center has none.
"""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, unquote

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited, Rejected, UsageError
from bot.core.models import (
    Account,
    Approval,
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
    Parameter,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.text import folded
from bot.http.client import Api, Query, Quota, Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.urls import page_below
from bot.providers.base.webhooks import same_secret
from bot.providers.bitbucket import client, convert, parameters, start, wire
from bot.providers.bitbucket.cursor import Cursor, mark
from bot.providers.bitbucket.start import Body

WEB_PAGES = ("https://bitbucket.org", "https://www.bitbucket.org")
PER_PAGE = 100
POLL_PAGE = 30
POLL_PAGES = 10
STEP_PAGES = 5
TEST_PAGES = 10
REPORTS = 5
ANNOTATION_PAGES = 3
COMMITS_KEPT = 500
SKEW = timedelta(minutes=1)
OVER_LIMIT_SECONDS = 300.0
NEWEST_FIRST: Query = {"sort": "-created_on"}  # the oldest come first without it
NEEDED_SCOPES: Mapping[str, frozenset[str]] = {
    "read repositories": frozenset({"read:repository:bitbucket", "repository", "repository:write", "repository:admin"}),
    "read pipelines": frozenset({"read:pipeline:bitbucket", "pipeline", "pipeline:write"}),
    "write pipelines": frozenset({"write:pipeline:bitbucket", "pipeline:write"}),
}
"""What is needed, and the scopes that grant it: API tokens and access tokens spell them differently."""


class BitbucketOptions(Options):
    """What a connection to Bitbucket needs."""

    workspace: str = Field(
        min_length=1, description="The workspace's slug, as in bitbucket.org/SLUG.", pattern=r"^[^/\s]+$"
    )
    email: str = Field(
        default="",
        description="E-mail address of the Atlassian account, where the token is an API token.",
        pattern=r"^([^@\s:]+@[^@\s]+)?$",
    )
    token: SecretStr = Field(
        min_length=1,
        description="Access token of a workspace, project or repository; or, with `email`, a person's API token.",
    )


class Bitbucket(Provider[BitbucketOptions]):
    """One workspace at Bitbucket Cloud."""

    kind = "bitbucket"
    label = "Bitbucket"
    default_url = "https://api.bitbucket.org/2.0"
    page = "https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/"
    states = convert.STATES
    options_type = BitbucketOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.PARAMETERS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.JOBS,
            Capability.LOG,
            Capability.LIVE_LOG,
            Capability.TESTS,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.APPROVALS,
            Capability.WEBHOOK,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.RETRY_FAILED: (
            "Bitbucket's API cannot run the failed steps again.",
            "Open the build and press Rerun there, or build the same again: `/build rebuild`.",
        ),
        Capability.RETRY_ALL: (
            "Bitbucket's API cannot run a build again.",
            "Build the same again, as a new build: `/build rebuild`.",
        ),
        Capability.RETRY_JOB: (
            "Bitbucket's API cannot run a step again.",
            "Open the build and press Rerun there, or build the same again: `/build rebuild`.",
        ),
        Capability.DECIDE: (
            "Bitbucket's API cannot run a manual step.",
            "Open the build and run the step there. A custom pipeline in its place can be started from here.",
        ),
        Capability.REJECT: (
            "Bitbucket's manual steps cannot be rejected.",
            "Leave it waiting, or cancel the build.",
        ),
        Capability.ARTIFACTS: (
            "Bitbucket's API does not hand out the artifacts of steps.",
            "Open the build: they are kept there for 14 days.",
        ),
        Capability.DOWNLOAD: (
            "Bitbucket's API does not hand out the artifacts of steps.",
            "Open the build: they are kept there for 14 days.",
        ),
        Capability.ERASE: (
            "Bitbucket's API cannot delete logs.",
            "They are deleted with their repository.",
        ),
        Capability.PIPELINE_ADMIN: (
            "Bitbucket's pipelines are managed in the repository's bitbucket-pipelines.yml and its settings.",
            "Open the repository's settings.",
        ),
        Capability.ACCOUNT_POLL: (
            "Bitbucket has no list of a whole workspace's builds.",
            "A webhook of the workspace makes up for it.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS

    def __init__(
        self, api: Api, options: BitbucketOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._meter = client.Meter()
        self._commits: dict[str, wire.Commit | None] = {}

    @override
    @classmethod
    def auth(cls, options: BitbucketOptions, clock: Clock) -> httpx.Auth:
        return _Credentials(options.email, options.token)

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        if reply.status != httpx.codes.TOO_MANY_REQUESTS or "retry-after" in reply.headers:
            return None
        return RateLimited(
            f"{cls.label}'s hourly limit is used up.",
            provider=cls.label,
            status=reply.status,
            retry_after=OVER_LIMIT_SECONDS,
        )

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return client.told(headers)

    @property
    @override
    def quota(self) -> Quota:
        """Return what is left of the hour's requests, as counted here: Bitbucket does not tell."""
        return self._meter.quota(self._api.requests, self._api.quota, self._clock())

    @override
    async def check(self) -> Account:
        """With an API token whose it is; an access token is nobody's. Then whether the workspace can be seen."""
        name = "an access token"
        if self.options.email:
            it = wire.Account.of((await self._api.get("user")).raw)
            name = it.display_name or it.nickname or self.options.email
        try:
            reply = await self._api.get(self._workspace, {"pagelen": 1})
        except NotFound as exc:
            raise NotFound(
                f"This token sees no workspace {self.options.workspace} at Bitbucket.",
                provider=self.label,
                status=exc.status,
                hint="`workspace` is the slug in bitbucket.org/SLUG; the token must be made for it.",
            ) from exc
        seen = reply.items("values")
        granted = frozenset(scope.strip() for scope in reply.headers.get("x-oauth-scopes", "").split(",")) - {""}
        return Account(
            name=name,
            detail=self.options.workspace,
            missing=tuple(need for need, scopes in NEEDED_SCOPES.items() if granted and not granted & scopes),
            warnings=() if seen else ("The token sees no repository in this workspace.",),
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        wanted = folded((query or "").strip())
        word = max(re.findall(r"\w+", query or ""), key=len, default="")  # a slug's hyphens may be spaces in the name
        asked: Query = {
            "role": "member" if self.options.email else None,
            "q": f'name ~ "{word}"' if word else None,
            "sort": "-updated_on",
            "pagelen": PER_PAGE,
        }
        async for page in self._pages(self._workspace, asked):
            for it in parse_items(page, wire.Repository.of):
                found = convert.pipeline(it)
                if wanted in folded(found.path) or wanted in folded(found.name):
                    yield found

    @override
    async def pipeline(self, path: str) -> Pipeline:
        workspace, slash, slug = path.partition("/")
        mine = bool(slash) and workspace.lower() == self.options.workspace.lower()
        return convert.pipeline(wire.Repository.of((await self._api.get(self._at(slug if mine else path))).raw))

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        commit = (wanted.commit or "").lower()
        is_whole = len(commit) == 40
        states = {convert.LISTED_STATES.get(word) for word in wanted.states}
        filtered = bool((commit and not is_whole) or wanted.states)
        query: Query = {
            **NEWEST_FIRST,
            "pagelen": PER_PAGE if filtered else min(max(wanted.limit, 1), PER_PAGE),
            "target.branch": wanted.branch,
            "target.commit.hash": commit if is_whole else None,
            "status": next(iter(states)) if len(states) == 1 else None,
        }
        left = wanted.limit
        async for page in self._pages(f"{self._at(pipeline)}/pipelines", query, ceiling=SEARCH_PAGES):
            for it in parse_items(page, wire.PipelineRun.of):
                build = self._build(it, pipeline)
                if left > 0 and wanted.admits(build):
                    left -= 1
                    yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Costs a request; one more for the steps once it runs, and one for a commit not met before."""
        return (await self._whole(pipeline, build))[0]

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Bitbucket takes a number in the UUID's place, though it does not say so; else the newest 300 are looked at."""
        try:
            build = await self.build(pipeline, str(number))
        except (NotFound, Rejected):
            return await super().build_by_number(pipeline, number)
        return build if build.number == number else await super().build_by_number(pipeline, number)

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the repository: each has a list of its own."""
        return pipeline

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for a watched repository; after a long absence up to ten.

        Besides, one for the steps of a build that is new, starts, waits or ends, one for a commit not met before, and
        two or three for each unfinished build that is further down than the newest thirty.
        """
        at = Cursor.read(cursor)
        found: dict[BuildKey, Build] = {}
        reached: dict[str, str] = {}
        seen: dict[str, str] = {}
        for pipeline in sorted(watched.pipelines):
            newest = at.newest.get(pipeline)
            for it in await self._newest(pipeline, newest):
                build = self._build(it, pipeline)
                news = at.seen.get(it.uuid) != mark(build)
                seen[it.uuid] = mark(build)
                reached[pipeline] = max(reached.get(pipeline, newest or ""), it.created_on or "")
                is_first_look = newest is None and build.key not in watched.unfinished
                found[build.key] = await self._detailed(it, pipeline) if news and not is_first_look else build
            reached.setdefault(pipeline, newest or "")
        for key in sorted(watched.unfinished - found.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[key] = straggler
        return Changes(builds=tuple(found.values()), cursor=Cursor(newest=reached, seen=seen).text())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, the last changed first, then tags. Pull requests are not listed."""
        at = f"{self._at(pipeline)}/refs"
        text = (query or "").replace("\\", "\\\\").replace('"', '\\"')
        asked: Query = {"q": f'name ~ "{text}"' if text else None, "sort": "-target.date", "pagelen": PER_PAGE}
        for kind, path in ((RefKind.BRANCH, "branches"), (RefKind.TAG, "tags")):
            async for page in self._pages(f"{at}/{path}", asked, ceiling=SEARCH_PAGES):
                for it in parse_items(page, wire.Ref.of):
                    yield Ref(kind=kind, name=it.name)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """The custom pipelines of the ref's yml and their variables; none without a yml. Costs two or three requests."""
        commit = await self._commit_of(pipeline, ref)
        try:
            reply = await self._api.get(
                f"{self._at(pipeline)}/src/{quote(commit, safe='')}/{parameters.FILE}", headers={"Accept": "*/*"}
            )
        except NotFound:
            return ()
        return await asyncio.to_thread(parameters.parameters, reply.text)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Bitbucket takes no message, and records the token's owner as the one who started."""
        start.check_options(request.options)
        commit = await self._full_commit(pipeline, request.commit) if request.commit else None
        match request.ref:
            case Ref(kind=RefKind.BRANCH, name=name):
                target = start.ref_target("branch", name, commit)
            case Ref(kind=RefKind.TAG, name=name):
                target = start.ref_target("tag", name, commit)
            case Ref(kind=RefKind.PULL_REQUEST, name=name):
                target = await self._pull_request(pipeline, name)
            case Ref(kind=RefKind.COMMIT, name=name):
                whole = commit or await self._full_commit(pipeline, name)
                branch = request.options.get("branch")
                target = start.ref_target("branch", branch, whole) if branch else start.commit_target(whole)
            case _:
                branch = request.options.get("branch") or await self._default_branch(pipeline)
                target = start.ref_target("branch", branch, commit)
        return await self._create(pipeline, start.start_body(target, request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        async def send() -> Build:
            await self._api.send("POST", f"{self._at(pipeline, build)}/stopPipeline")
            return await self.build(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """A new build of the same target at the same commit, with the same variables.

        Raises Rejected where Bitbucket keeps a variable to itself that the request does not give.
        """
        start.check_options(request.options)
        it = await self._run(pipeline, build, with_variables=True)
        return await self._create(pipeline, start.again_body(it, request))

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        whole, steps = await self._with_steps(pipeline, build)
        return tuple(convert.job(step, whole, whole.web_url) for step in steps)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Costs a request, and one at the storage where ended steps keep theirs; that one carries no token."""
        path = f"{self._at(job.pipeline, job.build)}/steps/{quote(job.id, safe='')}/log"
        headers = {"Accept": "application/octet-stream", "Range": f"bytes=-{tail_bytes}"}
        try:
            data, cut = await self._api.tail(path, keep=tail_bytes, headers=headers)
        except Rejected as exc:
            if exc.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            data, cut = b"", False  # the log is empty as yet
        except NotFound as exc:
            raise NotFound("This step has no log, or none yet.", provider=self.label, status=exc.status) from exc
        truncated = cut or len(data) >= tail_bytes
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs a request for the steps and one for each hundred tests of each ended step."""
        steps = await self._steps(pipeline, build)
        cases = [case for step in steps if convert.is_done(step) for case in await self._tests(pipeline, build, step)]
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Failed steps and their failed tests, the build's own error, findings of Code Insights for the commit.

        Costs three requests, and for each failed step and each report (five at most) as many as it has pages.
        """
        it = await self._run(pipeline, build)
        steps = await self._steps(pipeline, build)
        page = convert.page(it)
        found = [convert.step_issue(step, page) for step in steps if convert.has_failed(step)]
        if said := convert.reason(it.state):
            found.append(Issue(kind=IssueKind.ERROR, message=said, url=page))
        for step in steps:
            if convert.has_failed(step) and convert.is_done(step):
                found += [
                    Issue(kind=IssueKind.TEST_FAILURE, message=case.name, job=case.detail, url=page)
                    for case in await self._tests(pipeline, build, step)
                    if case.outcome is Outcome.FAILED
                ]
        commit = it.target.commit.hash if it.target and it.target.commit else None
        found += await self._findings(pipeline, commit) or ()
        return tuple(sorted(found, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """One request for the steps, one for each ended step, one for the commit's reports and those they need.

        Errors are failed steps, the build's own error and severe findings. Warnings are unknown; so are failed tests
        where no step reports any, and findings where the commit has no report.
        """
        steps = await self._steps(build.pipeline, build.id)
        reports = [
            report
            for step in steps
            if convert.is_done(step) and (report := await self._summary(build, step)) is not None
        ]
        findings = await self._findings(build.pipeline, build.commit)
        severe = sum(issue.kind is IssueKind.ERROR for issue in findings or ())
        return IssueCounts(
            errors=sum(map(convert.has_failed, steps)) + (build.raw_state == "ERROR") + severe,
            analyzer_warnings=None if findings is None else len(findings) - severe,
            test_failures=_sum(
                count for it in reports for count in (it.number_of_failed_test_cases, it.number_of_error_test_cases)
            ),
            tests_total=_sum(it.number_of_test_cases for it in reports),
        )

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """The step that waits; it can be run on its page only."""
        whole, steps = await self._with_steps(pipeline, build)
        approval = convert.approval(steps, whole)
        return (approval,) if approval else ()

    @override
    def parse_url(self, url: str) -> Page | None:
        address = page_below(url, *WEB_PAGES, self.options.url)
        parts = [unquote(part) for part in address.path.split("/") if part] if address else []
        if address is None or len(parts) < 2:
            return None
        if parts[0].lower() != self.options.workspace.lower() or parts[1] == "workspace":
            return None
        found = _RESULT_IN_URL.search(unquote(f"{address.path}#{address.fragment}"))
        if found is None:
            return Page(pipeline=parts[1])
        return Page(pipeline=parts[1], number=int(found[1]), job=found[2].lower() if found[2] else None)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """A commit's status names the repository only (its number is no id); the trace of a run names the run."""
        signed = hmac.new(self.webhook_secret().encode(), body, hashlib.sha256).hexdigest()
        if not same_secret(headers.get("x-hub-signature", ""), f"sha256={signed}"):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        webhook = wire.Hook.of(body)
        run = _run_of(webhook)
        is_ours = (
            webhook.commit_status is not None and _PIPELINES_PAGE.match(webhook.commit_status.url or "") is not None
        )
        if run is None and not is_ours:
            return None
        repository = webhook.repository or wire.RepositoryName()
        workspace = (repository.full_name or "").partition("/")[0].lower()
        if workspace and not self.options.workspace.startswith("{") and workspace != self.options.workspace.lower():
            return None
        return WebhookEvent(
            delivery=headers.get("x-request-uuid") or signed,
            pipeline=repository.uuid or None,
            build=run if repository.uuid else None,
        )

    # where things are

    @property
    def _workspace(self) -> str:
        return f"repositories/{quote(self.options.workspace, safe='')}"

    def _at(self, pipeline: str, build: str | None = None) -> str:
        at = f"{self._workspace}/{quote(pipeline, safe='')}"
        return at if build is None else f"{at}/pipelines/{quote(build, safe='')}"

    # lists

    def _pages(self, path: str, query: Query, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        return self._api.pages(path, query, member="values", next_page=convert.next_page, ceiling=ceiling)

    async def _newest(self, pipeline: str, since: str | None) -> list[wire.PipelineRun]:
        """Return the newest thirty runs, and those before them down to `since` if that is further."""
        found: list[wire.PipelineRun] = []
        query: Query = {**NEWEST_FIRST, "pagelen": POLL_PAGE}
        async for page in self._pages(f"{self._at(pipeline)}/pipelines", query, ceiling=POLL_PAGES):
            found += parse_items(page, wire.PipelineRun.of)
            if not since or any((it.created_on or "") <= since for it in found):
                break
        return found

    def _build(self, it: wire.PipelineRun, pipeline: str) -> Build:
        commit = it.target.commit.hash if it.target and it.target.commit else None
        return convert.build(it, self.connection, pipeline, self._commits.get(commit or ""))

    async def _run(self, pipeline: str, build: str, *, with_variables: bool = False) -> wire.PipelineRun:
        query: Query = {"fields": "+variables"} if with_variables else {}
        return wire.PipelineRun.of((await self._api.get(self._at(pipeline, build), query)).raw)

    async def _whole(self, pipeline: str, build: str) -> tuple[Build, list[wire.Step]]:
        it = await self._run(pipeline, build)
        return await self._detail(it, pipeline)

    async def _with_steps(self, pipeline: str, build: str) -> tuple[Build, list[wire.Step]]:
        it = await self._run(pipeline, build)
        return self._build(it, pipeline), await self._steps(pipeline, build)

    async def _detailed(self, it: wire.PipelineRun, pipeline: str) -> Build:
        return (await self._detail(it, pipeline))[0]

    async def _detail(self, it: wire.PipelineRun, pipeline: str) -> tuple[Build, list[wire.Step]]:
        """Return a run with its commit and, once it runs, its steps."""
        await self._learn(pipeline, it.target.commit.hash if it.target and it.target.commit else None)
        build = self._build(it, pipeline)
        if build.status is Status.QUEUED:
            return build, []
        try:
            steps = await self._steps(pipeline, it.uuid)
        except NotFound:  # a run that did not get through its yml has none
            steps = []
        return convert.with_steps(build, steps), steps

    async def _steps(self, pipeline: str, build: str) -> list[wire.Step]:
        pages = self._pages(f"{self._at(pipeline, build)}/steps", {"pagelen": PER_PAGE}, ceiling=STEP_PAGES)
        return [wire.Step.of(step) async for page in pages for step in page]

    # commits and refs

    async def _learn(self, pipeline: str, commit: str | None) -> None:
        """Read a commit's message and author once; a run names only its hash."""
        if not commit or commit in self._commits:
            return
        try:
            known: wire.Commit | None = await self._commit(pipeline, commit)
        except (NotFound, AuthFailed):
            known = None
        while len(self._commits) >= COMMITS_KEPT:
            del self._commits[next(iter(self._commits))]
        self._commits[commit] = known

    async def _commit(self, pipeline: str, commit: str) -> wire.Commit:
        return wire.Commit.of((await self._api.get(f"{self._at(pipeline)}/commit/{quote(commit, safe='')}")).raw)

    async def _full_commit(self, pipeline: str, commit: str) -> str:
        """Return a commit's whole hash: Bitbucket starts no other."""
        if len(commit) == 40:
            return commit.lower()
        whole = (await self._commit(pipeline, commit)).hash
        if not whole:
            raise NotFound(f"There is no commit {commit[:12]} in this repository.", provider=self.label)
        return whole

    async def _commit_of(self, pipeline: str, ref: Ref | None) -> str:
        """Return the commit a ref stands at."""
        match ref:
            case Ref(kind=RefKind.COMMIT, name=name):
                return name
            case Ref(kind=RefKind.PULL_REQUEST, name=name):
                it = await self._pull_request(pipeline, name)
                commit = it["commit"]
                return str(commit["hash"]) if isinstance(commit, dict) else ""
            case _:
                name = ref.name if ref else await self._default_branch(pipeline)
                kind = "tags" if ref and ref.kind is RefKind.TAG else "branches"
                path = f"{self._at(pipeline)}/refs/{kind}/{quote(name, safe='')}"
                found = wire.Ref.of((await self._api.get(path)).raw).target
                if found is None or not found.hash:
                    raise NotFound(f"Bitbucket does not tell where {name} stands.", provider=self.label)
                return found.hash

    async def _default_branch(self, pipeline: str) -> str:
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError("This repository has no main branch.", hint="Name one: `@BRANCH`.")
        return branch

    async def _pull_request(self, pipeline: str, number: str) -> Body:
        if not number.isdecimal() or len(number) > 12:
            raise UsageError(f"A pull request has a number; `{number[:40]}` is none.")
        reply = await self._api.get(f"{self._at(pipeline)}/pullrequests/{number}")
        target = start.pull_request_target(number, wire.PullRequest.of(reply.raw))
        if target is None:
            raise Rejected(
                f"Pull request {number} has lost its source or its destination, so it cannot be built.",
                provider=self.label,
                hint="Build its branch instead: `@BRANCH`.",
            )
        return target

    # tests and findings

    async def _summary(self, build: Build, step: wire.Step) -> wire.Summary | None:
        path = f"{self._at(build.pipeline, build.id)}/steps/{quote(step.uuid, safe='')}/test_reports"
        try:
            return wire.Summary.of((await self._api.get(path)).raw)
        except NotFound:
            return None

    async def _tests(self, pipeline: str, build: str, step: wire.Step) -> list[TestCase]:
        path = f"{self._at(pipeline, build)}/steps/{quote(step.uuid, safe='')}/test_reports/test_cases"
        pages = self._pages(path, {"pagelen": PER_PAGE}, ceiling=TEST_PAGES)
        try:
            return [convert.test(wire.Case.of(case), convert.step_name(step)) async for page in pages for case in page]
        except NotFound:
            return []

    async def _findings(self, pipeline: str, commit: str | None) -> list[Issue] | None:
        """Return what Code Insights says of a commit, None where it has no report or may not be read."""
        if not commit:
            return None
        at = f"{self._at(pipeline)}/commit/{quote(commit, safe='')}/reports"
        found: list[Issue] = []
        try:
            reports = [wire.Report.of(it) for it in (await self._api.get(at)).items("values")][:REPORTS]
            for report in reports:
                path = f"{at}/{quote(report.uuid, safe='')}/annotations"
                async for page in self._pages(path, {"pagelen": PER_PAGE}, ceiling=ANNOTATION_PAGES):
                    notes = filter(convert.is_annotation, map(wire.Annotation.of, page))
                    found += [convert.annotation_issue(note, report) for note in notes]
        except (AuthFailed, NotFound):
            return None
        return found if reports else None

    # starting

    async def _create(self, pipeline: str, body: Body) -> Build:
        """Start a run once. After a time-out it is looked for by its target, its time and whose token made it."""
        since = self._clock()
        path = f"{self._at(pipeline)}/pipelines"

        async def send() -> Build:
            return self._build(wire.PipelineRun.of((await self._api.post(path, json=body)).raw), pipeline)

        async def confirm() -> Build | None:
            me = await self._me()
            reply = await self._api.get(path, {**NEWEST_FIRST, "pagelen": POLL_PAGE})
            found = [
                build
                for it in parse_items(reply.items("values"), wire.PipelineRun.of)
                if (build := self._build(it, pipeline)).created_at
                and build.created_at >= since - SKEW
                and (not me or (it.creator and it.creator.uuid == me))
                and start.fits(it, body)
            ]
            return found[0] if len(found) == 1 else None

        return await self.send_once(send, confirm)

    async def _me(self) -> str | None:
        """Return the UUID of the API token's owner; an access token does not tell."""
        return wire.Account.of((await self._api.get("user")).raw).uuid if self.options.email else None


_RESULT_IN_URL = re.compile(
    r"(?:/pipelines|#!)/results/(\d{1,12})(?:/steps/(\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}))?", re.IGNORECASE
)
_PIPELINES_PAGE = re.compile(r"https://bitbucket\.org/[^/]+/[^/]+/(?:addon/pipelines/home#!|pipelines)/results/\d+")


def _run_of(webhook: wire.Hook) -> str | None:
    """Return the run whose end a trace tells; the spans of its steps are left alone."""
    for resource in webhook.resourceSpans or ():
        for scope in resource.scopeSpans or ():
            for span in scope.spans or ():
                told = {it.key: it.value.stringValue for it in span.attributes or () if it.value}
                if told.get("pipeline.uuid") and told.get("pipeline.state.result.name"):
                    return told["pipeline.uuid"]
    return None


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the known counts, None where none is known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


class _Credentials(httpx.Auth):
    """An API token with its owner's address, or an access token alone."""

    def __init__(self, email: str, token: SecretStr) -> None:
        self._email = email
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token.get_secret_value()
        pair = base64.b64encode(f"{self._email}:{token}".encode()).decode()
        request.headers["Authorization"] = f"Basic {pair}" if self._email else f"Bearer {token}"
        yield request
