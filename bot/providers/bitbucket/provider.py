"""Bitbucket Cloud Pipelines, REST API 2.0.

Pages: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/ and
https://support.atlassian.com/bitbucket-cloud/docs/api-request-limits/, read in August 2026. A pipeline's id is the
repository's UUID, a build's id the UUID of what Bitbucket calls a pipeline and these modules a run. Limits: 1,000
requests an hour for repositories, more for access tokens of large workspaces; 100 items a page. Bitbucket Data Center
has no Pipelines.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import ClassVar

import httpx
from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, Rejected
from bot.core.models import (
    Account,
    Approval,
    Build,
    BuildFilter,
    Changes,
    Commit,
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
    StartTarget,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.workers import in_worker
from bot.http.client import ApiClient
from bot.http.quota import Quota
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import total
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.bitbucket import client, convert, parameters, start, urls, webhook
from bot.providers.bitbucket.auth import TokenAuth
from bot.providers.bitbucket.client import Client, RequestMeter
from bot.providers.bitbucket.options import LABEL, NO_ARTIFACTS, SCOPES, BitbucketOptions
from bot.providers.bitbucket.poll import Poll
from bot.providers.bitbucket.start import Body

STARTS_KEPT = 500


class Bitbucket(Provider[BitbucketOptions]):
    """One workspace at Bitbucket Cloud."""

    kind = "bitbucket"
    label = LABEL
    starts_commits = True
    takes_message = False
    default_url = "https://api.bitbucket.org/2.0"
    default_site = urls.SITE
    other_sites = urls.OTHER_SITES
    api_suffix = urls.API_VERSION
    page = "https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/"
    states = convert.STATES
    options_type = BitbucketOptions
    scopes = SCOPES
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
        Capability.ARTIFACTS: NO_ARTIFACTS,
        Capability.DOWNLOAD: NO_ARTIFACTS,
        Capability.ERASE: ("Bitbucket's API cannot delete logs.", "They are deleted with their repository."),
        Capability.PIPELINE_ADMIN: (
            "Bitbucket's pipelines are managed in the repository's bitbucket-pipelines.yml and its settings.",
            "Open the repository's settings.",
        ),
        Capability.ACCOUNT_POLL: (
            "Bitbucket has no list of a whole workspace's builds.",
            "A webhook of the workspace makes up for it.",
        ),
    }
    capabilities = frozenset(Capability) - refusals.keys() - {Capability.ERASE_JOB, Capability.UPLOADS}
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS

    def __init__(
        self, api: ApiClient, options: BitbucketOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._client = Client(api, options, connection, clock)
        self._poll = Poll(self._client)
        self._meter = RequestMeter()
        self._started: LRUCache[str, bool] = LRUCache(STARTS_KEPT)

    @override
    @classmethod
    def auth(cls, options: BitbucketOptions, clock: Clock) -> httpx.Auth:
        return TokenAuth(options.email, options.token)

    map_error = staticmethod(client.over_limit)
    read_quota = staticmethod(client.read_quota)

    @property
    @override
    def quota(self) -> Quota:
        """Return what is left of the hour's requests, as Bitbucket reports or else as counted here."""
        return self._meter.quota(self._api.requests, self._api.quota, self._clock())

    @override
    async def check(self) -> Account:
        """Return whose an API token is (an access token is nobody's) and whether the workspace can be seen.

        Costs one request, with an API token two.
        """
        return await self._client.account()

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield repositories, the last changed first. Costs one request for each hundred."""
        async for pipeline in self._client.pipelines((query or "").strip()):
            yield pipeline

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a repository by slug, `workspace/slug` or UUID. Costs one request."""
        workspace, slash, slug = path.partition("/")
        is_own = bool(slash) and workspace.lower() == self.options.workspace.lower()
        return await self._client.pipeline(slug if is_own else path)

    @override
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds. Costs one request for each hundred; a finished one's start is its end less its duration."""
        return self._client.builds(pipeline, build_filter)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build. Costs a request; one more for the steps once it runs, and one for a commit not met before."""
        return await self._client.whole(await self._client.run(pipeline, build), pipeline)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build with a number. Costs up to six requests.

        Bitbucket takes a number in the UUID's place, though it does not say so; else the newest 300 are looked through.
        """
        try:
            build = await self.build(pipeline, str(number))
        except (NotFound, Rejected):
            build = None
        if build is None or build.number != number:
            build = await super().build_by_number(pipeline, number)
            return await self.build(pipeline, build.id)
        return build

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the repository: each has a list of its own."""
        return pipeline

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return changed builds. One request for a watched repository; after a long absence up to ten.

        Besides, one for the steps of a build that is new, starts, waits or ends, one for a commit not met before, and
        two or three for each unfinished build that is further down than the newest thirty.
        """
        return await self._poll.changes(cursor, watched)

    @override
    def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, the last changed first, then tags; pull requests are not listed. Two requests or more."""
        return self._client.refs(pipeline, query)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the custom pipelines of the ref's yml and their variables; none without a yml. Two or three requests."""
        text = await self._client.yml(pipeline, await self._client.commit_of(pipeline, ref))
        return () if text is None else await in_worker(parameters.parameters, text, grows=True)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what will be built. Costs a request for a pull request, a short commit or the main branch."""
        start.check_source(request)
        also = start.selected_refs(request)
        if request.ref is not None and request.ref.kind is RefKind.PULL_REQUEST:
            pull_request = await self._client.pull_request(pipeline, request.ref.name)
            target = start.start_target(start.pull_request_target(request.ref.name, pull_request), pull_request)
            return replace(target, also=also)
        target = replace(start.start_target(await self._target(pipeline, request)), also=also)
        if (
            target.branch is None and target.tag is None
        ):  # a commit alone may be any branch's: it counts as the main one
            return replace(target, branch=(await self._client.pipeline(pipeline)).default_branch)
        return target

    @override
    async def rebuild_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        return StartTarget(also=start.selected_refs(request))

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and return it. Costs up to three requests.

        Bitbucket takes no message, and records the token's owner as the one who started.
        """
        start.check(request)
        start.check_source(request)
        return await self._create(pipeline, start.start_body(await self._target(pipeline, request), request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build, also one that waits. Costs up to four requests."""

        async def send() -> bool:
            await self._client.stop(pipeline, build)
            return True

        async def confirm() -> bool | None:
            run = await self._client.run(pipeline, build)
            return True if self._client.read(run, pipeline).completed else None

        await self.send_once(send, confirm)
        return await self.read_back(self.build(pipeline, build))

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a build of the same target at the same commit, with the same variables. Costs two requests.

        Raises Rejected where Bitbucket keeps a variable to itself that the request does not give.
        """
        start.check(request)
        start.check_rebuild(request)
        run = await self._client.run(pipeline, build, with_variables=True)
        return await self._create(pipeline, start.rebuild_body(run, request))

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's steps. Costs two requests."""
        run = await self._client.run(pipeline, build)
        whole = self._client.read(run, pipeline)
        steps = await self._client.steps_of(run, pipeline)
        jobs = convert.marked_attempts(convert.job(step, whole, whole.web_url) for step in steps)
        return tuple(job for job in jobs if all_attempts or not job.retried)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a step's log.

        Costs a request, and one at the storage where ended steps keep theirs; that one carries no token.
        """
        data, cut = await self._client.log_tail(job, tail_bytes)
        truncated = cut or len(data) >= tail_bytes
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def commits(self, pipeline: str, base: str, head: str) -> tuple[Commit, ...]:
        """Costs one request."""
        return tuple(map(convert.commit, await self._client.commits_between(pipeline, base, head)))

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return tests, failed ones first. A request for the steps, one for each hundred tests of each ended step."""
        done = [step for step in await self._client.steps(pipeline, build) if convert.is_done(step)]
        cases = [case for step in done for case in await self._client.test_cases(pipeline, build, step)]
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed steps and their failed tests, the build's own error, findings of Code Insights for the commit.

        Costs three requests, and for each failed step and each report (five at most) as many as it has pages.
        """
        run = await self._client.run(pipeline, build)
        failed = [step for step in await self._client.steps_of(run, pipeline) if convert.has_failed(step)]
        page = convert.page(run, self.site(self.options))
        issues = [convert.step_issue(step, page) for step in failed]
        if why := convert.reason(run.state):
            issues.append(Issue(kind=IssueKind.ERROR, message=why, url=page))
        for step in filter(convert.is_done, failed):
            issues += [
                Issue(kind=IssueKind.TEST_FAILURE, message=case.name, job=case.detail, url=page)
                for case in await self._client.test_cases(pipeline, build, step)
                if case.outcome is Outcome.FAILED
            ]
        commit = run.target.commit.hash if run.target and run.target.commit else None
        issues += await self._client.findings(pipeline, commit) or ()
        return tuple(sorted(issues, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return issue counts. One request for the steps, one for each ended step, one for the commit's reports and more.

        Errors are failed steps, the build's own error and severe findings. Warnings are unknown; so are failed tests
        where no step reports any, findings where the commit has no report, and errors where no step is reported.
        """
        steps = await self._client.steps(build.pipeline, build.id)
        tested = await self._client.test_summaries(build.pipeline, build.id, steps)
        findings = await self._client.findings(build.pipeline, build.commit)
        severe = sum(issue.kind is IssueKind.ERROR for issue in findings or ())
        return IssueCounts(
            errors=convert.errors(build, steps, severe),
            analyzer_warnings=None if findings is None else len(findings) - severe,
            test_failures=total(
                count
                for summary in tested
                for count in (summary.number_of_failed_test_cases, summary.number_of_error_test_cases)
            ),
            tests_total=total(summary.number_of_test_cases for summary in tested),
        )

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the step that waits; it can be run on its page only. Costs two requests."""
        run = await self._client.run(pipeline, build)
        approval = convert.approval(await self._client.steps_of(run, pipeline), self._client.read(run, pipeline))
        return (approval,) if approval else ()

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.options, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return the repository that a commit's status names, or the run whose trace ended."""
        if not webhook.is_signed(headers, body, self.webhook_secret()):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        return webhook.parse_event(headers, body, self.options.workspace, self.site(self.options))

    # helpers

    async def _target(self, pipeline: str, request: StartRequest) -> Body:
        """Return what a request asks to be built, as it will be sent. Costs up to two requests."""
        ref, branch = request.ref, request.options.get("branch")
        if ref is not None and ref.kind is RefKind.PULL_REQUEST:
            return start.pull_request_target(ref.name, await self._client.pull_request(pipeline, ref.name))
        named = [request.commit or "", ref.name if ref is not None and ref.kind is RefKind.COMMIT else ""]
        commit = await self._client.full_commit(pipeline, max(named, key=len)) if any(named) else None
        if ref is not None and ref.kind is not RefKind.COMMIT:
            return start.ref_target(ref.kind.value, start.plain_ref(ref), commit)
        if ref is not None and commit and branch is None:
            return start.commit_target(commit)
        under = start.plain_branch(branch) if branch else await self._client.default_branch(pipeline)
        return start.ref_target("branch", under, commit)

    async def _create(self, pipeline: str, body: Body) -> Build:
        """Start a run once; without an answer it is looked for among the newest that nobody was given."""
        since = self._clock()

        async def send() -> Build:
            return self._client.read(await self._client.start(pipeline, body), pipeline)

        async def confirm() -> Build | None:
            owner = await self._client.own_uuid()
            candidates = [
                build
                for run in await self._client.newest(pipeline)
                if run.uuid not in self._started
                and start.is_own_start(run, build := self._client.read(run, pipeline), body, owner, since)
            ]
            return candidates[0] if len(candidates) == 1 else None

        build = await self.send_once(send, confirm)
        self._started[build.id] = True
        return build
