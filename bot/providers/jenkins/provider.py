"""Jenkins: one server, always self-hosted.

Pages: https://www.jenkins.io/doc/book/using/remote-access-api/ and the pages and sources of core 2.541 and of the
plugins (Pipeline: Stage View, Pipeline Graph View, Blue Ocean, Input Step, JUnit, Warnings, Rebuilder, Notification),
read in August 2026. A pipeline is a job, its id the full name; a branch of a multibranch project is a job, too. A
build's id is its number, or `queue-912` while it waits. No rate limits, no conditional requests; what plugins add may
be missing.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import ClassVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected
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
    IssueKind,
    Job,
    Log,
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
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.jenkins import annotations, convert, errors, parameters, stages, start, urls, webhook, wire
from bot.providers.jenkins.client import Catalogue, Server, Stops, data
from bot.providers.jenkins.logs import Logs
from bot.providers.jenkins.options import SCOPES, JenkinsOptions
from bot.providers.jenkins.poll import Poll
from bot.providers.jenkins.stages import Stages
from bot.providers.jenkins.start import Again, Queue

WORST_FIRST = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING, IssueKind.ANALYZER_WARNING)


class Jenkins(Provider[JenkinsOptions]):
    """One Jenkins server. Jobs are our pipelines, stages our jobs."""

    kind = "jenkins"
    label = errors.LABEL
    starts_commits = True
    page = "https://www.jenkins.io/doc/book/using/remote-access-api/"
    states = convert.STATES
    options_type = JenkinsOptions
    scopes = SCOPES
    capabilities = frozenset(Capability) - errors.CANNOT
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    def __init__(
        self, api: ApiClient, options: JenkinsOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._server = Server(api, connection=connection, user=options.user, site=self.site(options))
        self._catalogue = Catalogue(self._server)
        self._queue = Queue(self._server, clock=clock, sleep=sleep)
        self._stages = Stages(api, clock)
        self._logs = Logs(api, self._stages)
        self._reports = annotations.Reports(self._server)
        self._poll = Poll(self._server, read=self.build, convert=self._server.build, clock=clock)
        self._stops = Stops(self._server, clock=clock, sleep=sleep)

    @override
    @classmethod
    def auth(cls, options: JenkinsOptions, clock: Clock) -> httpx.Auth:
        return httpx.BasicAuth(options.user, options.token.get_secret_value())

    map_error = staticmethod(errors.map_error)

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        """Jenkins starts from a stage only once a build has ended; what left the queue without a number is nothing."""
        accepted = super().accepts(build)
        if not build.completed or build.number is None:
            accepted -= {Capability.RETRY_FAILED, Capability.RETRY_JOB}
        return accepted if build.number is not None else accepted - {Capability.REBUILD}

    @override
    async def check(self) -> Account:
        """Return the user. A server that lets strangers read answers without credentials, too: that is no success."""
        reply = await self._api.get(urls.WHO_AM_I)
        me = wire.WhoAmI.of(data(reply))
        if me.anonymous or me.authenticated is False:
            raise AuthFailed(
                f"{self.label} takes this connection for a stranger.",
                provider=self.label,
                hint="Check `user` and `token`.",
            )
        version = reply.headers.get("x-jenkins")
        return Account(name=me.name, detail=f"{self.label} {version}" if version else None)

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Pull requests' jobs come only where `query` asks for them. One request for four levels of folders."""
        return self._catalogue.jobs(query)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """A multibranch project stands for its main branch; a branch may be typed with its slashes."""
        return await self._catalogue.find(path)

    @override
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield the job's first waiting build, then its builds; another branch's from the branch's own job."""
        return self._catalogue.builds(pipeline, build_filter)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build by its number, or by the queue item it was: that id stays the build's to its end.

        Costs one request; one more for a running pipeline where only the stage view reports its input steps.
        """
        run = await self._find(pipeline, build)
        return run if isinstance(run, Build) else await self._with_inputs(run, pipeline)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self.build(pipeline, str(number))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for the whole server; see `Poll.changes`."""
        return await self._poll.changes(cursor, watched, self.build_or_none)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield a multibranch project's branches and pull requests; for other jobs what their newest builds built."""
        for ref in await self._catalogue.refs(pipeline) or await self._catalogue.built(pipeline):
            if holds_name(ref.name, query or ""):
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        builder = await self._catalogue.builder(pipeline, ref)
        declared = parameters.definitions(builder.job)
        return tuple(parameters.parameter(each) for each in declared if not parameters.is_file(each))

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Costs a request for the job, two where another branch's job builds the ref."""
        try:
            return start.target(await start.prepare(self._catalogue, pipeline, request), request)
        except NotFound:
            if request.ref is None:
                raise
            return start.target_of_ref(request.ref)

    @override
    async def rebuild_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        return await start.rebuild_target(self._server, pipeline, request)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and follow its queue item until it has a number, for some ten seconds.

        Costs a request for the job, the start, and the polls of the queue item.
        """
        return await self._queue.submit(await start.prepare(self._catalogue, pipeline, request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Take it out of the queue, or stop it. Asked again later: end its steps, then the whole pipeline, by force."""
        item = urls.waiting_item(build)
        if item is None:
            return await self._stops.stop(pipeline, build)
        run = await self._find(pipeline, build)
        if isinstance(run, Build) and not run.completed:
            try:
                await self._server.post(urls.CANCEL_ITEM, query={"id": item})
            except (NotFound, Rejected):
                run = await self._find(pipeline, build)  # it left the queue meanwhile
                if isinstance(run, Build):
                    raise
            else:
                return replace(run, status=Status.COMPLETED, conclusion=Conclusion.CANCELLED, raw_state="CANCELLED")
        now = run if isinstance(run, Build) else self._server.read(run, pipeline)
        return now if now.completed else await self._stops.stop(pipeline, str(now.number))

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Replay a pipeline: the same script, parameters and, where the source can, commit.

        Other jobs, and pipelines with new values, are started with the recorded parameters: then Jenkins builds the
        newest commit. Secret values are not reported, so such a build needs the Rebuilder plugin, or the values anew.
        """
        start.delay_seconds(request.options)
        number = await self._number(pipeline, build)
        run = await self._server.run(pipeline, number)
        job = await self._server.job(pipeline)
        again = Again(job=pipeline, number=number, next_number=job.next_build_number)
        has_news = request.parameters or request.message or request.commit or request.options or request.ref
        if parameters.kind(run.class_) == "WorkflowRun" and not has_news:
            replayed = await self._queue.replay(again)
            if replayed is not None:
                return replayed
        return await self._queue.resubmit(again, run, job, request)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Start a new build of a declarative pipeline from its first failed stage, or from the one named, onwards."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, f"{urls.below(self._server.page(pipeline), build)}/")
        number = await self._number(pipeline, build)
        page = self._server.build_page(pipeline, number)
        payload = await self._server.recorded(pipeline, number, "restart", "restartEnabled,restartableStages")
        restart = wire.Restart.of(payload) if payload is not None else wire.Restart()
        names = restart.restartable_stages or []
        if not restart.restart_enabled or not names:
            raise self.unsupported(Capability.RETRY_JOB if job else Capability.RETRY_FAILED, page)
        stage = stages.to_restart(await self.jobs(pipeline, number), names, job, page)
        next_number = (await self._server.job(pipeline)).next_build_number
        again = Again(job=pipeline, number=number, next_number=next_number)
        return await self._queue.restart(again, stage, page)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a pipeline's stages, a matrix' combinations, or the build itself as its one job. Costs two requests."""
        try:
            number = await self._number(pipeline, build)
        except _Waiting:
            return ()
        raw = wire.Run.of(await self._server.of_build(pipeline, number, wire.SHAPE))
        page = self._server.build_page(pipeline, number)
        jobs: list[Job] = []
        if parameters.kind(raw.class_) == "WorkflowRun":
            jobs += await self._stages.jobs(pipeline, number, page)
        jobs += stages.cell_jobs(raw, build=number, pipeline=pipeline, page=page)
        return tuple(jobs) or (stages.whole_job(raw, build=number, pipeline=pipeline, page=page),)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a stage's log where a plugin reports it, else of the build's, from where it last ended."""
        return await self._logs.log(job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return what was archived; sizes where the stage view reports them. Costs two requests."""
        number = await self._number(pipeline, build)
        raw = wire.Files.of(await self._server.of_build(pipeline, number, "artifacts[relativePath,fileName]"))
        files = convert.members(raw.artifacts, wire.FileWire.of)
        sizes = await self._server.artifact_sizes(pipeline, number) if files else {}
        page = self._server.build_page(pipeline, number)
        return tuple(convert.artifact(file, number, pipeline, sizes.get(file.relative_path), page) for file in files)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        return self._api.download(urls.artifact_path(artifact.pipeline, artifact.build, artifact.id))

    @override
    async def commits_of(self, pipeline: str, build: str) -> tuple[Commit, ...]:
        return convert.commits(wire.Run.of(await self._server.of_build(pipeline, build, wire.RUN)))

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the recorded tests, failed ones first, without their stack traces; none where none were recorded."""
        return await self._reports.tests(pipeline, await self._number(pipeline, build))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return recorded warnings and failed tests; where that shows no error, the stages that failed.

        Costs a request for the tools, one for each that run something (ten at most), one for the tests, and two for
        the stages.
        """
        number = await self._number(pipeline, build)
        issues = await self._reports.findings(pipeline, number)
        page = self._server.build_page(pipeline, number)
        issues += annotations.test_issues(await self._reports.tests(pipeline, number), page)
        if not any(issue.kind in {IssueKind.ERROR, IssueKind.TEST_FAILURE} for issue in issues):
            issues += stages.stage_issues(await self.jobs(pipeline, number))
        return tuple(sorted(issues, key=lambda issue: WORST_FIRST.index(issue.kind)))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """One request for the recorded warnings, one more where the build does not carry its tests.

        Compilers' warnings are warnings, those of other tools analyzer warnings; nothing is counted twice.
        """
        number = await self._number(build.pipeline, build.id)
        counts = annotations.warning_counts(await self._reports.tools(build.pipeline, number))
        if build.issues.test_failures is None:
            counts = counts.filled(await self._reports.test_counts(build.pipeline, number))
        return counts.filled(build.issues)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the input steps that wait. Costs one request, two where the build's actions do not report them."""
        try:
            number = await self._number(pipeline, build)
        except _Waiting:
            return ()
        raw = wire.RunInputs.of(await self._server.of_build(pipeline, number, wire.INPUTS))
        build_actions = convert.actions(raw.actions)
        page = self._server.build_page(pipeline, number)
        steps = tuple(convert.approvals(build_actions, build=number, pipeline=pipeline, page=page))
        is_waiting = any(action.waiting_for_input for action in build_actions)
        self._stages.learn(build_actions)
        if steps or not (is_waiting or (raw.building and not self._stages.server_tells_inputs)):
            return steps
        return await self._stages.inputs(pipeline, number, page)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Jenkins takes no comment, and records the connection's user as the one who decided."""
        sent = parameters.input_form(approval, fields or {}) if approve else None
        verb = ("submit" if sent else "proceedEmpty") if approve else "abort"
        route = urls.build_path(approval.pipeline, approval.build, "input", approval.id, verb)

        async def send() -> Build:
            try:
                await self._server.post(route, form=sent)
            except Rejected as exc:
                exc.hint = f"Its page says more: {approval.url}" if approval.url else None
                raise
            return await self.read_back(self.build(approval.pipeline, approval.build))

        async def confirm() -> Build | None:
            if any(left.id == approval.id for left in await self.approvals(approval.pipeline, approval.build)):
                return None
            return await self.build(approval.pipeline, approval.build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse(url, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        self.check_path_secret(path_secret)
        return webhook.read_event(body)

    async def _with_inputs(self, raw: wire.Run, pipeline: str) -> Build:
        """Return a build; where a running pipeline does not say whether an input step waits, the stage view is asked."""
        build = self._server.read(raw, pipeline)
        self._stages.learn(convert.actions(raw.actions))
        if build.completed or parameters.kind(raw.class_) != "WorkflowRun" or self._stages.server_tells_inputs:
            return build
        number = str(raw.number)
        try:
            waiting = await self._stages.inputs(pipeline, number, self._server.build_page(pipeline, number))
        except ProviderError:  # a side question: the build is known without it
            return build
        return replace(build, waiting=bool(waiting))

    async def _number(self, pipeline: str, build: str) -> str:
        """Return the number that the build's id stands for. Raises a NotFound while it has none."""
        if urls.waiting_item(build) is None:
            return build
        run = await self._find(pipeline, build)
        if isinstance(run, Build):
            raise _Waiting("The build waits in the queue and has nothing to show yet.", provider=self.label)
        return str(run.number)

    async def _find(self, pipeline: str, build: str) -> wire.Run | Build:
        """Return the build that an id names; an item that is no build yet, or never became one, as the bot's model."""
        item = urls.waiting_item(build)
        if item is None:
            return await self._server.run(pipeline, build)
        number = self._server.aliases.get((pipeline, item))
        became = number if number is not None else await self._queue.confirm(pipeline, item)
        if isinstance(became, Build):
            return became
        self._server.aliases[pipeline, item] = became
        return await self._server.run(pipeline, str(became))


class _Waiting(NotFound):
    """The build has no number yet."""
