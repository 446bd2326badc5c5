"""GitLab: GitLab.com or a self-managed server, REST API v4, GraphQL where it saves requests; API v3 is `v3.py`.

Pages: https://docs.gitlab.com/api/pipelines/ , /api/jobs/ , /api/rest/ ; webhooks:
https://docs.gitlab.com/user/project/integrations/webhook_events/ . Checked 2026-11. Limits on GitLab.com: 2,000 calls a
minute for a user, 400 for single projects, 25 new pipelines a minute for a project, user and commit.
"""

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar, Final

from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, Rejected, UnexpectedResponse, Unsupported
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Commit,
    Conclusion,
    Issue,
    IssueCounts,
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
    Status,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.text import holds_name
from bot.http.client import ApiClient
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, matching
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.gitlab import convert, errors, parameters, start, urls, webhook, wire
from bot.providers.gitlab.graphql import Graph
from bot.providers.gitlab.options import GitLabOptions
from bot.providers.gitlab.poll import Poll
from bot.providers.gitlab.server import GitLabServer
from bot.providers.gitlab.v3 import GitLabV3

REPORT_BYTES: Final = 8 * 1024 * 1024
SETTLE_AFTER_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)


class GitLab(GitLabServer):
    """A GitLab of today; its pipelines are our builds, its projects our pipelines."""

    capabilities = frozenset(Capability) - {Capability.RETRY_ALL, Capability.PIPELINE_ADMIN, Capability.UPLOADS}
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS

    def __init__(
        self, api: ApiClient, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._graph = Graph(api, self.root)
        self._poll = Poll(self._client, api, self._graph, clock, self.whole, self.build, self.build_or_none)
        self._starts = start.Starts(self._client, self._graph, self._lean, self.send_once, options.trigger_token)

    @classmethod
    @override
    def variant(cls, options: GitLabOptions) -> type[Provider[GitLabOptions]]:
        return GitLabV3 if options.api_version == "v3" else cls

    # what every system can do

    @override
    async def check(self) -> Account:
        """Return whose token this is. Costs three requests; a server without one of the pages does without."""
        reply = await self._client.or_none(self._api.get("personal_access_tokens/self"))
        token = wire.Token.of(reply.raw) if reply else wire.Token()
        user = await self._client.user("v4", 'An older server than 9.0 needs `api_version = "v3"`.')
        return convert.account(token, user, await self._client.version(), self._clock())

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        async for raw in self._client.projects(self.options.group, query):
            pipeline = convert.project(raw)
            if holds_name(pipeline.path, query or "") or holds_name(pipeline.name, query or ""):
                yield pipeline

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return convert.project(await self._client.project(path))

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds from the list, which names neither users nor end times. One request for a hundred."""
        commit = build_filter.commit
        if commit is not None and len(commit) < 40:
            whole = await self._client.commit(pipeline, commit)
            if whole is None:
                return
            commit = whole.id
        route, query = urls.project_route(pipeline, "pipelines"), convert.list_query(build_filter, commit)
        builds = matching(
            self._api.pages(route, query, next_page=urls.next_page, ceiling=SEARCH_PAGES),
            lambda item: self._lean(wire.PipelineRun.of(item), pipeline),
            build_filter,
            whole=lambda listed: self.build(pipeline, listed.id),
        )
        async for build in builds:
            yield build

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Costs one request, one more for a commit or merge request not yet known, and one for a failed build's jobs."""
        return await self.whole(await self._client.run(pipeline, build), pipeline)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build whose number in its project is `number`, else the one whose id it is.

        GitLab's pages show the id after `#`, its variables and hooks the number; people write either.
        """
        async for build in self.builds(pipeline, BuildFilter(limit=300)):
            if build.number == number:
                return await self.build(pipeline, build.id)
            if build.number is not None and build.number < number:
                break
        try:
            return await self.build(pipeline, str(number))
        except NotFound as exc:
            raise NotFound(f"There is no build #{number} in this project.", provider=self.label) from exc

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Costs a request and a read of the build. Trigger jobs have no page of their own at the API."""
        raw = await self._client.job(pipeline, job)
        if raw.pipeline is None:
            raise NotFound("GitLab does not say which pipeline this job belongs to.", provider=self.label)
        return await self.build(str(raw.pipeline.project_id or pipeline), str(raw.pipeline.id))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for fifty projects where GraphQL answers, else one for each; see `Poll.changes`."""
        return await self._poll.changes(cursor, watched)

    # what some can do

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        for kind, what in ((RefKind.BRANCH, "branches"), (RefKind.TAG, "tags")):
            async for name in self._client.names(pipeline, what, query or None):
                yield Ref(kind=kind, name=name)
        for raw in await self._client.open_merge_requests(pipeline, query or None):
            yield Ref(kind=RefKind.PULL_REQUEST, name=str(raw.iid), title=raw.title)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Costs two requests, two more for a project not yet known, and up to two while GitLab computes the variables."""
        path = await self._client.path(pipeline)
        name = ref.name if ref else (await self.pipeline(pipeline)).default_branch or "HEAD"
        declarations = await parameters.described(self._graph, path, name, self._sleep)
        if declarations is None:  # say so rather than "there are none"
            raise self.unsupported(Capability.PARAMETERS)
        return declarations

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Costs a request for the default branch, or for a merge request's source branch."""
        return await self._starts.target(pipeline, request)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a pipeline on a branch, a tag or a merge request. Costs two requests: the newest id, and the start."""
        return await self._starts.start(pipeline, request)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build and read it until that shows, at most five times: GitLab answers 200 whatever it did."""

        async def send() -> Build:
            await self._client.post(pipeline, "pipelines", build, "cancel")
            return await self._settled(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed or now.raw_state == "canceling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new pipeline on the same ref with the old variables; GitLab has no call of its own for that.

        It builds the ref's present head: the `commit` of what comes back says which. Costs four requests.
        """
        return await self._starts.again(pipeline, build, request)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again within the same pipeline, which keeps its id and number. Costs one request and a read."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL)

        async def send() -> Build:
            if job is None:
                reply = await self._client.post(pipeline, "pipelines", build, "retry")
                return await self.read_back(self.whole(wire.PipelineRun.of(reply.raw), pipeline))
            raw = wire.JobRun.of((await self._client.post(pipeline, "jobs", job, "retry")).raw)
            return await self.read_back(self.build(pipeline, str(raw.pipeline.id) if raw.pipeline else build))

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return None if now.completed else now

        return await self.send_once(send, confirm)

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete the logs and artifacts of each completed job. Costs a request for each, and two reads."""
        jobs = [
            str(raw.id)
            for raw in await self._client.jobs(pipeline, build)
            if raw.erased_at is None and convert.job(raw, build_id=build, pipeline=pipeline).status is Status.COMPLETED
        ]
        await self._client.erase_jobs(pipeline, jobs)
        return await self.build(pipeline, build)

    @override
    async def erase_job(self, pipeline: str, job: str) -> Build:
        """Costs a request and a read of the job's own build."""
        await self._client.post(pipeline, "jobs", job, "erase")
        return await self.read_back(self.build_of_job(pipeline, job))

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return the latest try of each job, trigger jobs included, in the order GitLab made them. Two requests."""
        listed = await self._client.jobs(pipeline, build, retried=all_attempts)
        jobs = convert.jobs([*listed, *await self._client.trigger_jobs(pipeline, build)], build, pipeline)
        return tuple(job for job in jobs if all_attempts or not job.retried)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        return await self.tail(urls.job_route(job.pipeline, job.id, "trace"), job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        raws = convert.current(await self._client.jobs(pipeline, build))
        return tuple(file for raw in raws for file in convert.files(raw, build_id=build, pipeline=pipeline))

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an archive or a trace; reports GitLab hands out on its page only."""
        job, _, kind = artifact.id.partition("/")
        if kind not in {"archive", "trace"}:
            raise Unsupported(
                f"GitLab's API does not hand out {kind or 'such'} reports.",
                provider=self.label,
                hint=f"Download it on its page: {artifact.url}" if artifact.url else None,
            )
        route = urls.job_route(artifact.pipeline, job, "artifacts" if kind == "archive" else "trace")
        async for chunk in self._api.download(route, headers={"Accept": "*/*"}):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return a build's tests, failed ones first. One request; a report above 8 MiB is refused."""
        route = urls.run_route(pipeline, build, "test_report")
        return convert.cases((await self._api.get(route, cap=REPORT_BYTES)).raw)

    @override
    async def commits(self, pipeline: str, base: str, head: str) -> tuple[Commit, ...]:
        """Return the commits between, newest first. One request."""
        return tuple(map(convert.commit, await self._client.commits(pipeline, base, head)))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed jobs as errors (tolerated ones as warnings), then failed tests. Two or three requests."""
        red = [job for job in await self.jobs(pipeline, build) if convert.is_red(job)]
        if not red:
            raw = await self._client.run(pipeline, build)
            if raw.yaml_errors:
                return (convert.file_issue(raw),)
        try:
            failed = [test for test in await self.tests(pipeline, build) if test.outcome is Outcome.FAILED]
        except (NotFound, AuthFailed, UnexpectedResponse):  # the report is a bonus: jobs alone are an answer
            failed = []
        jobs = sorted(red, key=lambda job: job.tolerated)
        return (*map(convert.job_issue, jobs), *map(convert.test_issue, failed))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return a build's counts.

        Costs one request for the jobs; one more where they left a test report, one where they left a code quality
        report, and one where no job says why the build failed (a trigger job then does).
        """
        pipeline, number = build.pipeline, build.id
        raws = convert.current(await self._client.jobs(pipeline, number))
        jobs = [convert.job(raw, build_id=number, pipeline=pipeline) for raw in raws]
        if build.conclusion is Conclusion.FAILED and not convert.failures(jobs)[0]:
            triggers = convert.current(await self._client.trigger_jobs(pipeline, number))
            jobs += [convert.job(raw, build_id=number, pipeline=pipeline) for raw in triggers]
        failed, tolerated = convert.failures(jobs)
        reports = {file.file_type for raw in raws for file in raw.artifacts or ()}
        counts = IssueCounts(errors=failed, warnings=tolerated)
        if "junit" in reports:
            route = urls.run_route(pipeline, number, "test_report_summary")
            summary = await self._client.or_none(self._api.get(route))
            counts = counts.filled(convert.test_counts(summary.raw)) if summary is not None else counts
        if "codequality" in reports and build.number is not None:
            counts = counts.filled(IssueCounts(analyzer_warnings=await self._quality(pipeline, build.number)))
        return counts

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the manual jobs and the deployments that wait for approval. One request, two where there are some."""
        raws = convert.current(await self._client.jobs(pipeline, build, scope="manual"))
        waiting = await self._client.blocked_deployments(pipeline) if raws else {}
        return tuple(convert.approval(raw, waiting.get(raw.id), build=build, pipeline=pipeline) for raw in raws)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Play a manual job, `fields` being its variables, or approve or reject a deployment. A request and a read."""
        kind, _, number = approval.id.partition("/")
        pipeline, build = approval.pipeline, approval.build
        if kind == "deployment":
            body = {"status": "approved" if approve else "rejected"} | ({"comment": comment} if comment else {})
            await self._client.post(pipeline, "deployments", number, "approval", json=body)
            return await self.read_back(self.build(pipeline, build))
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        variables = [{"key": key, "value": value} for key, value in (fields or {}).items()]

        async def send() -> Build:
            body = {"job_variables_attributes": variables} if variables else None
            await self._client.post(pipeline, "jobs", number, "play", json=body)
            return await self.read_back(self.build(pipeline, build))

        async def confirm() -> Build | None:
            is_waiting = (await self._client.job(pipeline, number)).status == "manual"
            return None if is_waiting else await self.build(pipeline, build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.root)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        return webhook.read_event(body, webhook.check_signature(headers, body, self.webhook_secret(), self._clock()))

    # for the poll and private

    async def whole(self, raw: wire.PipelineRun, pipeline: str, commit: wire.Commit | None = None) -> Build:
        """Return a build with its commit, its merge request's branches and, when failed, why: see `build`."""
        build = self._lean(raw, pipeline)
        if build.conclusion is Conclusion.FAILED:
            raws = convert.current(await self._client.jobs(pipeline, build.id, scope="failed"))
            build = convert.with_failed_jobs(
                build, [convert.job(each, build_id=build.id, pipeline=pipeline) for each in raws]
            )
        commit = commit or (await self._client.commit(pipeline, build.commit) if build.commit else None)
        if commit is not None and build.commit:
            build = convert.with_commit(build, commit)
        if build.pull_request and (opened := await self._client.merge_request(pipeline, build.pull_request)):
            build = convert.with_merge_request(build, opened)
        return build

    def _lean(self, raw: wire.PipelineRun, pipeline: str) -> Build:
        return convert.build(raw, connection=self.connection, pipeline=pipeline, root=self.root)

    async def _settled(self, pipeline: str, build: str) -> Build:
        for pause in SETTLE_AFTER_SECONDS:
            if pause:
                await self._sleep(pause)
            now = await self.read_back(self.build(pipeline, build))
            if now.completed or now.raw_state == "canceling":
                return now
        raise errors.still_running()

    async def _quality(self, pipeline: str, number: int) -> int | None:
        try:
            return await self._graph.quality(await self._client.path(pipeline), number)
        except (Rejected, NotFound, AuthFailed, UnexpectedResponse):  # only paid editions know this field
            return None
