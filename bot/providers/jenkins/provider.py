"""Jenkins: one server, always self-hosted.

Pages: https://www.jenkins.io/doc/book/using/remote-access-api/ and the pages and sources of core 2.541 and of the
plugins (Pipeline: Stage View, Pipeline Graph View, Blue Ocean, Input Step, JUnit, Warnings, Rebuilder, Notification),
read in August 2026. A pipeline is a job, its id the job's full name; a branch of a multibranch project is a job of its
own. A build's id is its number, or `queue-912` while it waits. No rate limits, no conditional requests; what goes beyond
core may be missing with its plugin.
"""

import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse, UsageError
from bot.core.models import (
    Account,
    Approval,
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
    Outcome,
    Page,
    Parameter,
    ParameterType,
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
from bot.http.client import Api, Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.jenkins import convert, parameters, parts, poll, urls, wire
from bot.providers.jenkins.annotations import Reports
from bot.providers.jenkins.catalogue import Catalogue, sibling
from bot.providers.jenkins.client import Server, data, keep, map_error
from bot.providers.jenkins.stages import Stages
from bot.providers.jenkins.start import Again, Queue

log = logging.getLogger(__name__)

PAGE_SIZE = 50
NEWEST = 100
"""How many builds `builds` holds; older ones stand in `allBuilds`."""
GAP = 100
CELLS = 200
FINISHED_LATELY = timedelta(minutes=3)
ESCALATE_AFTER = timedelta(seconds=10)
STOPS = ("stop", "term", "kill")
STOPPING_SECONDS = (0.5, 1.0, 1.5)
WORST_FIRST = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING, IssueKind.ANALYZER_WARNING)


class JenkinsOptions(Options):
    """What a connection to a Jenkins server needs."""

    url: str = Field(
        min_length=1, pattern=r"^https?://[^/\s]+", description="Address of the server, as in the browser."
    )
    user: str = Field(min_length=1, pattern=r"^[^:\s]+$", description="Id of the user whose token it is.")
    token: SecretStr = Field(min_length=1, description="API token of that user (user menu, Security, API Token).")


class Jenkins(Provider[JenkinsOptions]):
    """One Jenkins server. Jobs are our pipelines, stages our jobs."""

    kind = "jenkins"
    label = urls.LABEL
    page = "https://www.jenkins.io/doc/book/using/remote-access-api/"
    states = convert.STATES
    options_type = JenkinsOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.PARAMETERS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.JOBS,
            Capability.LOG,
            Capability.LIVE_LOG,
            Capability.ARTIFACTS,
            Capability.DOWNLOAD,
            Capability.TESTS,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.APPROVALS,
            Capability.DECIDE,
            Capability.REJECT,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.RETRY_ALL: (
            "Jenkins can't run a build again under the same number.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.RETRY_FAILED: (
            "Jenkins can go on from a failed stage only in a finished declarative pipeline.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.RETRY_JOB: (
            "Jenkins can start from a stage only in a finished declarative pipeline.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.ERASE: ("Jenkins can only delete a whole build, and I don't do that.", "Delete it on its page."),
        Capability.PIPELINE_ADMIN: ("Jenkins' jobs are managed on their own pages.", "Open the job's configuration."),
    }
    start_options: ClassVar[Mapping[str, str]] = parameters.START_OPTIONS
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    def __init__(
        self, api: Api, options: JenkinsOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._server = Server(api, connection=connection, user=options.user)
        self._catalogue = Catalogue(self._server)
        self._queue = Queue(self._server, send_once=self.send_once, clock=clock, sleep=sleep)
        self._stages = Stages(api, clock)
        self._reports = Reports(self._server)
        self._stopped: dict[tuple[str, str], tuple[int, datetime]] = {}

    @override
    @classmethod
    def auth(cls, options: JenkinsOptions, clock: Clock) -> httpx.Auth:
        return httpx.BasicAuth(options.user, options.token.get_secret_value())

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        return map_error(reply)

    @override
    async def check(self) -> Account:
        """Return the user. A server that lets strangers read answers without credentials, too: that is no success."""
        reply = await self._api.get("whoAmI/api/json")
        it = wire.WhoAmI.of(data(reply))
        if it.anonymous or it.authenticated is False:
            raise AuthFailed(
                f"{self.label} takes this connection for a stranger.",
                provider=self.label,
                hint="Check `user` and `token`.",
            )
        version = reply.headers.get("x-jenkins")
        return Account(name=it.name, detail=f"{self.label} {version}" if version else None)

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Pull requests' jobs come only where `query` asks for them. One request for four levels of folders."""
        return self._catalogue.all(query)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """A multibranch project stands for its main branch; a branch may be typed with its slashes."""
        return await self._catalogue.one(path)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield the job's first waiting build, then its builds; another branch's from the branch's own job."""
        at = urls.job_path(pipeline)
        narrow = wanted.branch or wanted.commit or wanted.states
        size = PAGE_SIZE if narrow else min(max(wanted.limit, 1), PAGE_SIZE)
        left = wanted.limit
        for page in range(SEARCH_PAGES * 2):
            start, end = page * size, (page + 1) * size
            member = "builds" if end <= NEWEST else "allBuilds"
            first = f"_class,property[_class],queueItem[{wire.ITEM}]," if page == 0 else ""
            it = wire.Builds.of(await self._server.json(at, f"{first}{member}[{wire.RUN}]{{{start},{end}}}"))
            self._server.learn(pipeline, it.property)
            if page == 0 and (other := sibling(pipeline, it, wanted.branch)) is not None:
                async for build in self._builds_or_none(other, wanted):
                    yield build
                return
            waiting = [convert.queued(it.queue_item, self._server.around(pipeline))] if it.queue_item else []
            listed = it.builds if member == "builds" else it.all_builds
            for build in (*waiting, *parse_items(listed or (), lambda raw: self._build(raw, pipeline))):
                if left > 0 and wanted.admits(build):
                    left -= 1
                    yield build
            if left <= 0 or len(listed or ()) < size:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build by its number, or by the queue item it was: that id stays the build's to its end."""
        item = urls.waiting_item(build)
        if item is None:
            return self._build(await self._server.json(urls.build_path(pipeline, build), wire.RUN), pipeline)
        known = self._server.aliases.get((pipeline, item))
        found = known if known is not None else await self._queue.confirm(pipeline, item)
        if isinstance(found, Build):
            return found
        keep(self._server.aliases, (pipeline, item), found)
        return await self.build(pipeline, str(found))

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self.build(pipeline, str(number))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for the whole server, from the narrowest folder that holds all watched jobs.

        One more for each job whose newest build moved (it reads all builds since), and one for each unfinished build.
        """
        for key in watched.unfinished:
            item = urls.waiting_item(key.id)
            if item is not None:
                keep(self._server.aliases, (key.pipeline, item), self._server.aliases.get((key.pipeline, item)))
        before = poll.read_cursor(cursor)
        marks = {job: mark for job, mark in before.items() if job in watched.pipelines}
        found: dict[BuildKey, Build] = {}
        newest = await self._newest(watched.pipelines)
        for job in sorted(newest):
            last = newest[job]
            mark = poll.Mark.of(last)
            if marks.get(job) == mark:
                continue
            try:
                moved = await self._moved(job, last, marks.get(job)) if last is not None else []
            except (NotFound, UnexpectedResponse) as exc:
                log.warning("a job's builds can't be read", extra={"job": job, "why": str(exc)})
                continue
            marks[job] = mark
            found.update((build.key, build) for build in moved)
        for key in sorted(watched.unfinished - found.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[straggler.key] = straggler
        return Changes(builds=tuple(found.values()), cursor=poll.write_cursor(marks))

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield a multibranch project's branches and pull requests; for other jobs what their newest builds built."""
        wanted = folded(query or "")
        for ref in await self._catalogue.refs(pipeline) or await self._built(pipeline):
            if wanted in folded(ref.name):
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        job, _full_name, _rest = await self._catalogue.builder(pipeline, ref)
        return tuple(convert.parameter(it) for it in convert.definitions(job) if not convert.is_file(it))

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and follow its queue item until it has a number, for some ten seconds.

        Costs a request for the job, the start, and the looks at the queue. Undeclared parameters are refused here.
        """
        delay = parameters.delay_seconds(request.options)
        job, full_name, ref = await self._catalogue.builder(pipeline, request.ref)
        declared = convert.definitions(job)
        sent = parameters.form(declared, parameters.placed(declared, request, ref))
        return await self._queue.submit(full_name, job, sent, delay)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Take it out of the queue, or stop it. Asked again later: end its steps, then the whole pipeline, by force."""
        item = urls.waiting_item(build)
        if item is None:
            return await self._stop(pipeline, build)
        now = await self.build(pipeline, build)
        if now.completed:
            return now
        if now.number is not None:
            return await self._stop(pipeline, str(now.number))
        try:
            await self._server.post("queue/cancelItem", query={"id": item})
        except (NotFound, Rejected):
            now = await self.build(pipeline, build)  # it left the queue meanwhile
            if now.number is None:
                raise
            return await self._stop(pipeline, str(now.number))
        return replace(now, status=Status.COMPLETED, conclusion=Conclusion.CANCELLED, raw_state="CANCELLED")

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Replay a pipeline: the same script, parameters and, where the source can, commit.

        Other jobs, and pipelines with new values, are started with the recorded parameters: then Jenkins builds the
        newest commit. Secret values are not told, so such a build needs the Rebuilder plugin, or the values anew.
        """
        number = await self._number(pipeline, build)
        run = wire.Run.of(await self._server.json(urls.build_path(pipeline, number), wire.RUN))
        job = await self._server.job(pipeline)
        again = Again(job=pipeline, number=number, next_number=job.next_build_number)
        has_news = request.parameters or request.message or request.commit or request.options
        if convert.kind(run.class_) == "WorkflowRun" and not has_news:
            replayed = await self._queue.replay(again)
            if replayed is not None:
                return replayed
        return await self._queue.resubmit(again, run, job, request)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Start a new build of a declarative pipeline from its first failed stage, or from the one named, onwards."""
        asked = Capability.RETRY_JOB if job else Capability.RETRY_FAILED
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, f"{self._server.page(pipeline)}{build}/")
        number = await self._number(pipeline, build)
        at, page = urls.build_path(pipeline, number), f"{self._server.page(pipeline)}{number}/"
        raw = await self._server.recorded(pipeline, number, "restart", "restartEnabled,restartableStages")
        restart = wire.Restart.of(raw) if raw is not None else wire.Restart()
        stages = restart.restartable_stages or []
        if not restart.restart_enabled or not stages:
            raise self.unsupported(asked, page)
        stage = await self._stage_to_restart(pipeline, number, stages, job)
        next_number = (await self._server.job(pipeline)).next_build_number

        async def send() -> None:
            reply = await self._server.post(f"{at}/restart/restartPipeline", query={"stageName": stage})
            outcome = wire.Restarted.of(reply.raw).data or wire.RestartOutcome()
            if outcome.success in {False, "false"}:
                said = convert.plain(outcome.message)
                raise Rejected(
                    f"{self.label} did not restart it{f': {said}' if said else '.'}",
                    provider=self.label,
                    hint=f"Its page: {page}",
                )

        again = Again(job=pipeline, number=number, next_number=next_number)
        return await self._queue.again(again, send, "RestartDeclarativePipelineCause")

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a pipeline's stages, a matrix' combinations, or the build itself as its one job. Costs two requests."""
        try:
            number = await self._number(pipeline, build)
        except _Waiting:
            return ()
        it = wire.Run.of(await self._server.json(urls.build_path(pipeline, number), wire.SHAPE))
        page = f"{self._server.page(pipeline)}{number}/"
        found: list[Job | None] = []
        if convert.kind(it.class_) == "WorkflowRun":
            found += await self._stages.jobs(pipeline, number, page)
        cells = [cell for cell in it.runs or () if cell.number == it.number][:CELLS]
        found += [parts.cell_job(cell, build=number, pipeline=pipeline, page=page) for cell in cells]
        jobs = tuple(job for job in found if job is not None)
        return jobs or (parts.whole_job(it, build=number, pipeline=pipeline, page=page),)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a stage's log where a plugin tells it, else of the build's, from where it last ended."""
        at = urls.build_path(job.pipeline, job.build)
        found: tuple[bytes | str, bool] | None = None
        if "=" in job.id:
            at = f"{urls.job_path(job.pipeline)}/{quote(job.id, safe='')}/{job.build}"
        elif job.id != parts.WHOLE:
            found = await self._stages.log(job, tail_bytes)
        is_whole = found is None
        data, cut = found if found is not None else await self._reports.console(at, tail_bytes)
        kept = data[-tail_bytes:]
        truncated = cut or len(kept) < len(data)
        text = await cleaned_log(kept)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=None if is_whole and job.id != parts.WHOLE and "=" not in job.id else job.name,
            url=job.web_url,
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return what was archived; sizes where the stage view tells them. Costs two requests."""
        number = await self._number(pipeline, build)
        at = urls.build_path(pipeline, number)
        files = wire.Files.of(await self._server.json(at, "artifacts[relativePath,fileName]")).artifacts or ()
        sizes: dict[str, int | None] = {}
        if files:
            try:
                sized = map(wire.SizedFile.of, (await self._api.get(f"{at}/wfapi/artifacts")).items())
                sizes = {it.path: it.size for it in sized}
            except (NotFound, UnexpectedResponse):
                sizes = {}
        return tuple(
            Artifact(
                id=it.relative_path,
                build=number,
                pipeline=pipeline,
                name=it.relative_path,
                size_bytes=sizes.get(it.relative_path),
                url=f"{self._server.page(pipeline)}{number}/artifact/{quote(it.relative_path)}",
            )
            for it in files
        )

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        at = urls.build_path(artifact.pipeline, artifact.build)
        return self._api.download(f"{at}/artifact/{urls.file_path(artifact.id)}")

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the recorded tests, failed ones first, without their stack traces; none where none were recorded."""
        number = await self._number(pipeline, build)
        return await self._reports.tests(pipeline, number)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return recorded warnings and failed tests; where that shows no error, the stages that failed.

        Costs a request for the tools, one for each that found something (ten at most), one for the tests, and two for
        the stages.
        """
        number = await self._number(pipeline, build)
        found = await self._reports.findings(pipeline, number)
        cases = await self._reports.tests(pipeline, number)
        failed = [case for case in cases if case.outcome is Outcome.FAILED]
        page = f"{self._server.page(pipeline)}{number}/"
        found += [
            Issue(
                kind=IssueKind.TEST_FAILURE,
                message=f"{case.name}: {case.message}" if case.message else case.name,
                job=case.class_name,
                url=f"{page}testReport/",
            )
            for case in failed
        ]
        if not any(issue.kind in {IssueKind.ERROR, IssueKind.TEST_FAILURE} for issue in found):
            found += [
                Issue(
                    kind=IssueKind.ERROR, message=f"{job.name}: {job.reason or 'failed'}", job=job.name, url=job.web_url
                )
                for job in await self.jobs(pipeline, number)
                if job.conclusion is Conclusion.FAILED
            ]
        return tuple(sorted(found, key=lambda issue: WORST_FIRST.index(issue.kind)))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """One request for the recorded warnings, one more where the build does not carry its tests.

        Compilers' warnings are warnings, those of other tools analyzer warnings; nothing is counted twice.
        """
        number = await self._number(build.pipeline, build.id)
        counts = parts.warning_counts(await self._reports.tools(build.pipeline, number))
        if build.issues.test_failures is None:
            counts = counts.filled(await self._reports.test_counts(build.pipeline, number))
        return counts.filled(build.issues)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the input steps that wait. Costs one request, two where only the stage view tells their fields."""
        try:
            number = await self._number(pipeline, build)
        except _Waiting:
            return ()
        at, page = urls.build_path(pipeline, number), f"{self._server.page(pipeline)}{number}/"
        found = convert.actions(wire.RunActions.of(await self._server.json(at, wire.INPUTS)).actions)
        told = tuple(parts.approvals(found, build=number, pipeline=pipeline, page=page))
        if told or not any(action.waiting_for_input for action in found):
            return told
        try:
            pending = (await self._api.get(f"{at}/wfapi/pendingInputActions")).items()
        except NotFound:
            return ()
        each = map(wire.PendingInput.of, pending)
        return tuple(parts.pending_approval(it, build=number, pipeline=pipeline, page=page) for it in each)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Jenkins takes no comment, and records the connection's user as the one who decided."""
        at = f"{urls.build_path(approval.pipeline, approval.build)}/input/{quote(approval.id, safe='')}"
        sent = _input_form(approval, fields or {}) if approve else None
        verb = ("submit" if sent else "proceedEmpty") if approve else "abort"

        async def send() -> Build:
            try:
                await self._server.post(f"{at}/{verb}", form=sent)
            except Rejected as exc:
                exc.hint = f"Its page says more: {approval.url}" if approval.url else None
                raise
            return await self.build(approval.pipeline, approval.build)

        async def confirm() -> Build | None:
            if any(left.id == approval.id for left in await self.approvals(approval.pipeline, approval.build)):
                return None
            return await self.build(approval.pipeline, approval.build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.page(url, self._api.base_url)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Jenkins signs nothing: the secret stands in the path, and the body only says where to look."""
        self.check_path_secret(path_secret)
        webhook = wire.Hook.of(body)
        at = urls.place((webhook.build.url or webhook.build.full_url or "") if webhook.build else "")
        at = at or urls.place(webhook.url or "")
        number = (webhook.build.number if webhook.build else None) or webhook.number
        if at is None and webhook.job:
            at = urls.place("/".join(f"job/{quote(part, safe='')}" for part in webhook.job.split("/")))
        if at is None:
            return None
        if at.number is None and number is not None and number > 0:
            at = replace(at, number=number)
        return WebhookEvent(delivery=hashlib.sha256(body).hexdigest(), pipeline=at.job, build=at.build)

    # builds and refs

    def _build(self, payload: msgspec.Raw, pipeline: str) -> Build:
        it = wire.Run.of(payload)
        return convert.build(it, self._server.around(pipeline, it.queue_id))

    async def _builds_or_none(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        try:
            async for build in self.builds(pipeline, wanted):
                yield build
        except NotFound:
            return

    async def _built(self, pipeline: str) -> list[Ref]:
        """Return the branches and tags of a job's newest builds, and the default of its branch parameter."""
        job = await self._server.job(pipeline)
        default = parameters.branch_default(convert.definitions(job))
        found = {default: Ref(kind=RefKind.BRANCH, name=default)} if default else {}
        async for build in self.builds(pipeline, BuildFilter(limit=PAGE_SIZE)):
            if build.branch:
                found.setdefault(build.branch, Ref(kind=RefKind.BRANCH, name=build.branch))
            elif build.tag:
                found.setdefault(f"tags/{build.tag}", Ref(kind=RefKind.TAG, name=build.tag))
        return list(found.values())

    # the poll

    async def _newest(self, jobs: frozenset[str]) -> Mapping[str, wire.LastBuild | None]:
        if not jobs:
            return {}
        folder = poll.common_folder(jobs)
        try:
            root = await self._server.json(urls.job_path(folder) if folder else "", poll.tree(folder, jobs))
        except NotFound:
            if not folder:
                raise
            folder = ""  # it was deleted or renamed: what else is watched must not suffer
            root = await self._server.json("", poll.tree(folder, jobs))
        found = dict(poll.jobs_in(wire.Item.of(root), folder))
        for job in jobs & found.keys():
            self._server.learn(job, found[job].property)
        return {job: found[job].last_build for job in jobs & found.keys()}

    async def _moved(self, job: str, last: wire.LastBuild, before: poll.Mark | None) -> list[Build]:
        """Return a job's builds since the mark. A job seen for the first time tells what runs or has just ended."""
        if before is None:
            ended = convert.ended_at(last)
            is_old = not last.building and (ended is None or ended < self._clock() - FINISHED_LATELY)
            return [] if is_old else [await self.build(job, str(last.number))]
        gap = last.number - before.number + before.is_running
        if gap <= 1:
            return [await self.build(job, str(last.number))]
        it = wire.Builds.of(await self._server.json(urls.job_path(job), f"builds[{wire.RUN}]{{0,{min(gap, GAP)}}}"))
        return list(parse_items(it.builds or (), lambda raw: self._build(raw, job)))

    async def _number(self, pipeline: str, build: str) -> str:
        """Return the number that the build's id stands for. Raises a NotFound while it has none."""
        if urls.waiting_item(build) is None:
            return build
        found = await self.build(pipeline, build)
        if found.number is None:
            raise _Waiting("The build waits in the queue and has nothing to show yet.", provider=self.label)
        return str(found.number)

    async def _stage_to_restart(self, pipeline: str, number: str, stages: Sequence[str], job: str | None) -> str:
        page = f"{self._server.page(pipeline)}{number}/"
        jobs = await self.jobs(pipeline, number)
        if job is not None:
            wanted = [it.stage or it.name for it in jobs if it.id == job]
        else:
            wanted = [it.stage or it.name for it in jobs if it.conclusion in {Conclusion.FAILED, Conclusion.CANCELLED}]
        stage = next((name for name in wanted if name in stages), None)
        if stage is None:
            what = "That stage can't be started from" if job is not None else "No stage of this build failed"
            shown = ", ".join(f"`{name}`" for name in stages[:10])
            raise Rejected(f"{what}.", provider=self.label, hint=f"It can start from {shown}, on its page: {page}")
        return stage

    async def _stop(self, pipeline: str, number: str) -> Build:
        """Stop a running build and look whether it ends; a pipeline that was asked before is ended more firmly."""
        at = urls.build_path(pipeline, number)
        run = wire.Run.of(await self._server.json(at, wire.SHAPE))
        if convert.state(run)[0] is Status.COMPLETED:
            return await self.build(pipeline, number)
        now, key = self._clock(), (pipeline, number)
        before = self._stopped.get(key)
        level = 0
        if before is not None and convert.kind(run.class_) == "WorkflowRun":
            level = min(before[0] + (now - before[1] >= ESCALATE_AFTER), len(STOPS) - 1)

        async def send() -> Build:
            await self._server.post(f"{at}/{STOPS[level]}")
            keep(self._stopped, key, (level, now))
            stopped = await self.build(pipeline, number)
            for pause in STOPPING_SECONDS:
                if stopped.completed:
                    break
                await self._sleep(pause)
                stopped = await self.build(pipeline, number)
            return stopped

        async def confirm() -> Build | None:
            found = await self.build(pipeline, number)
            return found if found.completed else None

        return await self.send_once(send, confirm)


class _Waiting(NotFound):
    """The build has no number yet."""


def _input_form(approval: Approval, given: Mapping[str, str]) -> dict[str, str] | None:
    """Return what an input step takes, None where it asks for nothing. Raises UsageError for unknown fields."""
    unknown = given.keys() - {field.name for field in approval.fields}
    if unknown:
        shown = ", ".join(f"`{field.name}`" for field in approval.fields)
        raise UsageError(
            f"{approval.name} does not ask for {', '.join(f'`{name}`' for name in sorted(unknown))}.",
            hint=f"It asks for {shown}." if shown else "It asks for nothing.",
        )
    if not approval.fields:
        return None
    values = []
    for field in approval.fields:
        value = given.get(field.name, field.default)
        if value is not None:
            is_flag = field.type is ParameterType.BOOLEAN
            values.append({"name": field.name, "value": convert.is_yes(value) if is_flag else value})
    return {"proceed": "Proceed", "json": msgspec.json.encode({"parameter": values}).decode()}
