"""CircleCI, API v2, with three reads of v1.1 for what v2 lacks: followed projects, recent jobs, steps and their output.

Pages: https://circleci.com/docs/api/v2 and https://circleci.com/docs/outbound-webhooks-reference, read in August 2026.
A pipeline with its workflows is one build, whose id is the pipeline's; the newest workflow of each name gives the
result, so a rerun is another attempt of the same build. A project's short slug (`gh/acme/web`) is the pipeline's id.
Limits are not published; a page holds some 20 items.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse, UsageError
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
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
    Status,
    TestCase,
    Trigger,
    Watched,
    WebhookEvent,
)
from bot.core.text import folded, same_name
from bot.http.client import Query, Quota, Reply, message_of
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.times import parse_time
from bot.providers.base.webhooks import same_secret
from bot.providers.circleci import convert, start, urls, wire
from bot.providers.circleci.poll import Cursor
from bot.providers.circleci.parameters import declared, typed

V2 = "api/v2"
V1 = "api/v1.1"
FILES = "https://output.circle-artifacts.com"
AT_ONCE = 8
PROJECT_PAGES = 3
MOST_PROJECTS = 50
CHANGE_PAGES = 10
RECENT_JOBS = 100
MOST_RERUNS = 20
WORKFLOW_PAGES = 10
JOB_PAGES = 10
MOST_JOBS = 40
"""Of how many jobs the tests and artifacts are read; broken jobs come first."""
FILE_PAGES = 20
LOG_STEPS = 3

T = TypeVar("T")


class CircleCIOptions(Options):
    """What a connection to CircleCI needs."""

    organization: str = Field(
        pattern=r"^(?:gh|github|bb|bitbucket|circleci)/[^/\s]+$",
        description="The organization's slug: gh/NAME, bb/NAME, or circleci/ID for the GitHub App and GitLab.",
    )
    token: SecretStr = Field(min_length=1, description="Personal API token; project tokens can't use API v2.")


class CircleCI(Provider[CircleCIOptions]):
    """One organization at CircleCI, or on a CircleCI Server."""

    kind = "circleci"
    label = "CircleCI"
    default_url = urls.CLOUD
    page = "https://circleci.com/docs/api/v2"
    states = convert.STATES
    options_type = CircleCIOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.PARAMETERS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_ALL,
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
        Capability.REJECT: (
            "CircleCI can approve a waiting job, but not reject it.",
            "Leave it waiting, or cancel the build.",
        ),
        Capability.LIVE_LOG: (
            "CircleCI hands out a step's output only when the step is over.",
            "Watch it on the job's page.",
        ),
        Capability.ERASE: (
            "CircleCI's API deletes no logs or artifacts.",
            "They go when the organization's retention time ends.",
        ),
        Capability.PIPELINE_ADMIN: (
            "CircleCI's projects are managed on their own pages.",
            "Open the project's settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    @override
    @classmethod
    def auth(cls, options: CircleCIOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    @override
    @classmethod
    def credential_origins(cls, options: CircleCIOptions) -> tuple[str, ...]:
        return (FILES,) if urls.is_cloud(cls.base_url(options)) else ()

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        if reply.status != httpx.codes.NOT_FOUND:
            return None
        said = message_of(reply)
        return NotFound(
            f"{cls.label} has no such thing, or this connection may not see it{f': {said}' if said else '.'}",
            provider=cls.label,
            status=reply.status,
            hint="It answers so for the wrong kind of token, too: only a personal token of somebody with access works.",
        )

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return convert.quota(headers, now)

    @override
    async def check(self) -> Account:
        me = wire.Me.of((await self._api.get(f"{V2}/me")).raw)
        organizations = parse_items((await self._api.get(f"{V2}/me/collaborations")).items(), wire.Organization.of)
        if not any(urls.fold(it.slug or "") == urls.fold(self._organization) for it in organizations):
            raise NotFound(
                f"This token's owner belongs to no organization {self._organization} at CircleCI.",
                provider=self.label,
                hint="`organization` is the slug on the organization's settings page.",
            )
        return Account(name=me.name or me.login or me.id, detail=self._organization)

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield followed projects, then others that built of late: v1.1 may leave out those of the GitHub App and GitLab.

        Costs two to four requests, and one for each project of the second kind.
        """
        wanted = folded(query or "")
        seen: set[str] = set()
        for it in parse_items((await self._api.get(f"{V1}/projects")).items(), wire.V1Project.of):
            found = convert.followed(it, self._pages_at)
            if found is not None and self._is_ours(found.id) and urls.fold(found.id) not in seen:
                seen.add(urls.fold(found.id))
                if wanted in folded(f"{found.path} {found.name}"):
                    yield found
        others: dict[str, str] = {}
        async for page in self._listed(f"{V2}/pipeline", {"org-slug": self._organization}, PROJECT_PAGES):
            for build in page:
                if self._is_ours(build.project_slug) and urls.fold(build.project_slug) not in seen:
                    others.setdefault(urls.fold(build.project_slug), build.project_slug)
        for found in await _all(self._project_or_none(slug) for slug in list(others.values())[:MOST_PROJECTS]):
            if found is not None and wanted in folded(f"{found.path} {found.name}"):
                yield found

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return convert.project(await self._project(self._slug(path)), self._pages_at)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Each build costs one request more, for its workflows; eight are asked for at once."""
        path = f"{self._at(pipeline)}/pipeline"
        left = wanted.limit
        async for page in self._listed(path, {"branch": wanted.branch}, SEARCH_PAGES):
            short = (wanted.commit or "").lower()
            hits = [it for it in page if (convert.commit(it) or "").startswith(short)]
            while hits and left > 0:
                batch, hits = hits[: min(AT_ONCE, left)], hits[min(AT_ONCE, left) :]
                for build in await _all(self._whole(it) for it in batch):
                    if wanted.admits(build):
                        left -= 1
                        yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Costs two requests, and one more for each workflow that is failing: a job of it may wait for a person."""
        return await self._whole(await self._recorded(pipeline, build), thorough=True)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        reply = await self._api.get(f"{self._at(pipeline)}/pipeline/{number}")
        return await self._whole(wire.PipelineWire.of(reply.raw), thorough=True)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for the whole organization, and one for each watched build that is new or unfinished.

        An unfinished build that has left the list of the newest costs one more. A rerun of a finished one does not
        move it in that list: it shows as a workflow not known yet among the recent jobs, and costs three requests once.
        """
        if not watched.pipelines and not watched.unfinished:
            return Changes(builds=(), cursor=cursor)
        at = Cursor.read(cursor, self._clock())
        names = {urls.fold(pipeline) for pipeline in watched.pipelines | {it.pipeline for it in watched.unfinished}}
        listed = await self._newest(at)
        open_ids = {key.id for key in watched.unfinished}
        due = [
            it for it in listed if urls.fold(it.project_slug) in names and (it.id in open_ids or self._is_new(it, at))
        ]
        found: dict[str, Build] = {}
        runs: set[str] = set()
        for it, workflows in zip(due, await _all(self._workflows(it.id) for it in due), strict=True):
            found[it.id] = await self._told(it, workflows, thorough=True)
            runs.update(one.id for one in workflows)
        missing = sorted(key for key in watched.unfinished if key.id not in found)
        for straggler in await _all(self.build_or_none(key) for key in missing):
            if straggler is not None:
                found[straggler.id] = straggler
        recent = await self._recent_runs(names)
        reruns = sorted(recent - runs - at.runs)[:MOST_RERUNS] if at.runs is not None else []
        for build in await _all(self._of_run(run, names, frozenset(found)) for run in reruns):
            if build is not None:
                found[build.id] = build
        left_over = (recent - runs - at.runs) - set(reruns) if at.runs is not None else set()
        created = [when for it in listed if (when := parse_time(it.created_at)) is not None]
        moved = Cursor(since=max([at.since, *created]), runs=frozenset((recent | runs) - left_over))
        seen = frozenset(it.id for it in listed if (parse_time(it.created_at) or moved.since) >= moved.oldest)
        builds = tuple(self._as_watched(build, watched) for build in found.values())
        return Changes(builds=builds, cursor=msgspec.structs.replace(moved, seen=seen).text)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, the branches that ran of late, and what the newest page of builds was made of.

        CircleCI has no list of branches or tags.
        """
        wanted = folded(query or "")
        seen: set[Ref] = set()
        async for ref in self._refs(pipeline):
            if ref not in seen and wanted in folded(ref.name):
                seen.add(ref)
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return what the configuration of the newest build of `ref` declares. Costs two requests."""
        branch = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
        tag = ref.name if ref is not None and ref.kind is RefKind.TAG else None
        async for page in self._listed(f"{self._at(pipeline)}/pipeline", {"branch": branch}, 1):
            for it in page:
                if it.state != "errored" and tag in {None, convert.tag(it)}:
                    path = f"{V2}/pipeline/{quote(it.id, safe='')}/config"
                    config = wire.Config.of((await self._api.get(path)).raw)
                    return declared(config.setup_config or config.source or "")
        return ()

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Costs three requests, and those that a missing ref, parameters or a definition's name make necessary."""
        start.check(request)
        ref = request.ref or await self._default_branch(pipeline)
        wanted = start.source(ref, self._slug(pipeline), request.options)
        values = await self._typed(pipeline, ref, request.parameters)
        return await self._start(pipeline, wanted, values, request.options)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop every workflow that is not over. Costs one request for each, and four."""
        it = await self._recorded(pipeline, build)
        going = [one for one in convert.newest(await self._workflows(build)) if convert.is_open(one)]
        if not going:
            raise Rejected(
                f"No workflow of build {_called(it)} is running.",
                provider=self.label,
                hint="If it has only just begun, its workflows are still to come: try again in a moment.",
            )
        refused: list[Rejected] = []
        for one in going:
            try:
                await self._act(f"{V2}/workflow/{quote(one.id, safe='')}/cancel", None, self._has_ended(one.id))
            except Rejected as exc:  # it may have ended by itself in between
                refused.append(exc)
        if len(refused) == len(going):
            raise refused[0]
        return await self.build(pipeline, build)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """A new pipeline of the same branch or tag, with the parameters of the old one: it builds the newest commit.

        The same commit runs again with `retry`; a configuration that did not read has nothing to retry.
        """
        start.check(request)
        it = await self._recorded(pipeline, build)
        ref = request.ref or start.again(it)
        if ref is None:
            raise Rejected(
                f"CircleCI does not say of which branch build {_called(it)} was.",
                provider=self.label,
                hint="Start one: `/build run` with a branch.",
            )
        given = await self._typed(pipeline, ref, request.parameters)
        values = {**await self._values(build), **given}
        return await self._start(
            pipeline, start.source(ref, self._slug(pipeline), request.options), values, request.options
        )

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """A rerun is a new workflow in the same build, on the same commit. One job brings those that depend on it."""
        it = await self._recorded(pipeline, build)
        workflows = await self._workflows(build)
        listed = convert.current(workflows)
        if not listed:
            raise Rejected(
                f"Build {_called(it)} has no workflow to run again.",
                provider=self.label,
                hint="Build the same again: `/build rebuild`.",
            )
        body: dict[str, object]
        if job is not None:
            workflow, one = await self._find_job(listed, job)
            chosen, body = [workflow], {"jobs": [one.id]}
        elif failed_only:
            ended = {
                word: [one for one in listed if convert.STATES.get(one.status or "") == (Status.COMPLETED, word)]
                for word in (Conclusion.FAILED, Conclusion.CANCELLED)
            }
            chosen, body = ended[Conclusion.FAILED] or ended[Conclusion.CANCELLED], {"from_failed": True}
        else:
            chosen, body = [one for one in listed if not convert.is_open(one)], {}
        if not chosen:
            why = "has failed" if failed_only else "is over"
            raise Rejected(f"No workflow of build {_called(it)} {why}, so there is none to run.", provider=self.label)
        known = frozenset(one.id for one in workflows)
        for one_workflow in chosen:
            path = f"{V2}/workflow/{quote(one_workflow.id, safe='')}/rerun"
            await self._act(path, body, self._runs_again(build, one_workflow.name, known))
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Costs two requests, and one for each workflow. Jobs of workflows that ran again are left out."""
        it = await self._recorded(pipeline, build)
        return await self._jobs(it, await self._workflows(build))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the output of the step that failed, else of the last three. Costs one request and one for each."""
        if not convert.is_number(job.id):
            raise NotFound(f"{job.name} has not started, so it has no log.", provider=self.label)
        at = f"{V1}/project/{urls.encoded(self._slug(job.pipeline))}/{job.id}"
        steps = wire.V1Job.of((await self._api.get(at)).raw).steps or []
        actions, is_more = convert.telling(steps, LOG_STEPS)
        if not actions:
            raise NotFound(f"{job.name} has no log yet.", provider=self.label)
        parts = [
            f"== {it.name or 'a step without a name'} ==\n{await self._output(at, it, tail_bytes)}".rstrip()
            for it in actions
        ]
        whole = "\n\n".join(parts).encode()
        text = whole[-tail_bytes:].decode("utf-8", "ignore")
        is_cut = len(whole) > tail_bytes
        return Log(
            text=text.partition("\n")[2] if is_cut and "\n" in text else text,
            truncated=is_cut or is_more,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Costs one request for each job that ran, forty at most, beside those for the jobs."""
        ran = _ran(await self.jobs(pipeline, build))[:MOST_JOBS]
        listed = await _all(self._artifacts(pipeline, job.id) for job in ran)
        return tuple(convert.artifact(it, job) for job, files in zip(ran, listed, strict=True) for it in files)

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Ask where the file lies, then fetch it: two requests. Its address alone is never taken from outside."""
        job = artifact.id.partition("/")[0]
        files = await self._artifacts(artifact.pipeline, job) if convert.is_number(job) else []
        url = next((it.url for it in files if convert.artifact_id(job, it) == artifact.id), None)
        if url is None:
            raise NotFound(f"There is no artifact {artifact.name} any more.", provider=self.label)
        async for chunk in self._api.download(url):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs a request for each job that ran and each page, beside those for the jobs."""
        found = await self._tests(_ran(await self.jobs(pipeline, build))[:MOST_JOBS])
        return tuple(sorted(found, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Jobs that ended badly, what kept the pipeline from being set up, and the tests that failed."""
        it = await self._recorded(pipeline, build)
        faults = [convert.fault(one, _page_of(it, self._pages_at)) for one in it.errors or ()]
        broken = [job for job in await self._jobs(it, await self._workflows(build)) if _is_broken(job)]
        failed = [one for one in await self._tests(_ran(broken)[:MOST_JOBS]) if one.outcome is Outcome.FAILED]
        return (*faults, *map(convert.job_issue, broken), *map(convert.test_issue, failed))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Errors are jobs that ended badly and faults of the configuration; CircleCI knows no warnings.

        Failed tests are unknown, not none, where no job stored its results.
        """
        it = await self._recorded(build.pipeline, build.id)
        jobs = await self._jobs(it, await self._workflows(build.id))
        ran = _ran(jobs)
        tests = await self._tests(ran[:MOST_JOBS])
        return IssueCounts(
            errors=sum(map(_is_broken, jobs)) + len(it.errors or ()),
            test_failures=sum(one.outcome is Outcome.FAILED for one in tests) if tests else None,
            tests_total=len(tests) if tests and len(ran) <= MOST_JOBS else None,
        )

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        it = await self._recorded(pipeline, build)
        return tuple(convert.approval(job, workflow, it, self._pages_at) for workflow, job in await self._held(build))

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """CircleCI takes no comment, and records the token's owner as the one who approved."""
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        await self._recorded(approval.pipeline, approval.build)
        held = await self._held(approval.build)
        workflow = next((one for one, job in held if (job.approval_request_id or job.id) == approval.id), None)
        if workflow is None:
            raise Rejected(f"{approval.name} does not wait for anybody any more.", provider=self.label)

        async def is_let_go() -> bool:
            left = await self._held(approval.build)
            return all((job.approval_request_id or job.id) != approval.id for _, job in left)

        await self._act(
            f"{V2}/workflow/{quote(workflow.id, safe='')}/approve/{quote(approval.id, safe='')}", None, is_let_go
        )
        return await self.build(approval.pipeline, approval.build)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.read_page(url, self._organization, self.base_url(self.options))

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """The header may hold signatures of several schemes; `v1` is HMAC-SHA256 of the body. It holds no time."""
        signed = hmac.new(self.webhook_secret().encode(), body, hashlib.sha256).hexdigest()
        given = [part.strip().partition("=") for part in headers.get("circleci-signature", "").split(",")]
        if not any(scheme == "v1" and same_secret(value, signed) for scheme, _, value in given):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        webhook = wire.Hook.of(body)
        if (
            webhook.type not in {"workflow-completed", "job-completed"}
            or webhook.pipeline is None
            or webhook.project is None
        ):
            return None
        if not self._is_ours(webhook.project.slug):
            return None
        return WebhookEvent(
            delivery=webhook.id or signed, pipeline=urls.short(webhook.project.slug), build=webhook.pipeline.id
        )

    # where things are

    @property
    def _organization(self) -> str:
        return urls.short(self.options.organization)

    @property
    def _pages_at(self) -> str:
        return urls.pages(self.base_url(self.options))

    def _is_ours(self, slug: str) -> bool:
        return urls.is_within(slug, self._organization)

    def _slug(self, path: str) -> str:
        """Return the slug that a path means; a bare name is one of the organization's. Raises NotFound for others'."""
        text = path.strip().strip("/")
        slug = text if "/" in text else f"{self._organization}/{text}"
        if not self._is_ours(slug):
            raise NotFound(
                f"{path} is no project of {self._organization}.",
                provider=self.label,
                hint=f"Write `{self._organization}/NAME`.",
            )
        return urls.short(slug)

    def _at(self, pipeline: str) -> str:
        return f"{V2}/project/{urls.encoded(self._slug(pipeline))}"

    async def _project(self, slug: str) -> wire.Project:
        return wire.Project.of((await self._api.get(f"{V2}/project/{urls.encoded(slug)}")).raw)

    async def _project_or_none(self, slug: str) -> Pipeline | None:
        try:
            return convert.project(await self._project(slug), self._pages_at)
        except NotFound:
            return None

    # lists

    async def _pages(self, path: str, query: Query, ceiling: int) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a listing page by page. A token that comes again ends it."""
        token: str | None = None
        seen: set[str | None] = set()
        while token not in seen and len(seen) < ceiling:
            seen.add(token)
            reply = await self._api.get(path, {**query, "page-token": token})
            yield reply.items("items")
            token = wire.NextPage.of(reply.raw).next_page_token or None

    async def _listed(self, path: str, query: Query, ceiling: int) -> AsyncIterator[list[wire.PipelineWire]]:
        async for page in self._pages(path, query, ceiling):
            yield list(parse_items(page, wire.PipelineWire.of))

    async def _workflows(self, build: str) -> list[wire.Workflow]:
        path = f"{V2}/pipeline/{quote(build, safe='')}/workflow"
        return [wire.Workflow.of(it) async for page in self._pages(path, {}, WORKFLOW_PAGES) for it in page]

    async def _jobs_of(self, workflow: wire.Workflow) -> list[wire.JobWire]:
        path = f"{V2}/workflow/{quote(workflow.id, safe='')}/job"
        return [wire.JobWire.of(it) async for page in self._pages(path, {}, JOB_PAGES) for it in page]

    async def _jobs(self, it: wire.PipelineWire, workflows: Sequence[wire.Workflow]) -> tuple[Job, ...]:
        listed = convert.newest(workflows)
        jobs = await _all(self._jobs_of(one) for one in listed)
        return tuple(
            convert.job(job, one, it, self._pages_at) for one, its in zip(listed, jobs, strict=True) for job in its
        )

    async def _find_job(self, workflows: Sequence[wire.Workflow], wanted: str) -> tuple[wire.Workflow, wire.JobWire]:
        for workflow, jobs in zip(workflows, await _all(self._jobs_of(one) for one in workflows), strict=True):
            for job in jobs:
                if wanted in {convert.job_id(job), job.id}:
                    return workflow, job
        raise NotFound("This build has no such job any more.", provider=self.label)

    async def _held(self, build: str) -> list[tuple[wire.Workflow, wire.JobWire]]:
        """Return the jobs that wait for a person, with their workflows. A failing workflow may have some, too."""
        going = [one for one in convert.current(await self._workflows(build)) if convert.is_open(one)]
        jobs = await _all(self._jobs_of(one) for one in going)
        return [(one, job) for one, its in zip(going, jobs, strict=True) for job in its if convert.is_approval(job)]

    async def _artifacts(self, pipeline: str, job: str) -> list[wire.ArtifactWire]:
        path = f"{self._at(pipeline)}/{job}/artifacts"
        return [
            it async for page in self._pages(path, {}, FILE_PAGES) for it in parse_items(page, wire.ArtifactWire.of)
        ]

    async def _tests(self, jobs: Sequence[Job]) -> list[TestCase]:
        async def of(job: Job) -> list[TestCase]:
            path = f"{self._at(job.pipeline)}/{job.id}/tests"
            return [
                convert.test(it, job)
                async for page in self._pages(path, {}, FILE_PAGES)
                for it in parse_items(page, wire.TestWire.of)
            ]

        return [test for found in await _all(of(job) for job in jobs) for test in found]

    async def _output(self, at: str, it: wire.V1Action, keep: int) -> str:
        """Return a step's output. Its signed address needs no token; what does not read there is asked for as text."""
        if it.output_url:
            try:
                reply = await self._api.get(it.output_url)
                return await cleaned_log("".join(wire.Output.of(piece).message or "" for piece in reply.items()))
            except (NotFound, UnexpectedResponse):
                if it.step is None:
                    raise
        if it.step is None:
            return ""
        data, _ = await self._api.tail(f"{at}/output/{it.step}/{it.index or 0}", {"file": True}, keep=keep)
        return await cleaned_log(data)

    # builds

    async def _recorded(self, pipeline: str, build: str) -> wire.PipelineWire:
        """Return a build without its workflows. Raises NotFound for another project's: an id alone names any."""
        slug = self._slug(pipeline)
        it = wire.PipelineWire.of((await self._api.get(f"{V2}/pipeline/{quote(build, safe='')}")).raw)
        if urls.fold(it.project_slug) != urls.fold(slug):
            raise NotFound(f"{slug} has no such build.", provider=self.label)
        return it

    async def _whole(self, it: wire.PipelineWire, *, thorough: bool = False) -> Build:
        return await self._told(it, await self._workflows(it.id), thorough=thorough)

    async def _told(self, it: wire.PipelineWire, workflows: Sequence[wire.Workflow], *, thorough: bool) -> Build:
        failing = [one for one in convert.current(workflows) if one.status == "failing"] if thorough else []
        held = any(convert.is_approval(job) for jobs in await _all(map(self._jobs_of, failing)) for job in jobs)
        return convert.build(
            it, workflows, connection=self.connection, page=self._pages_at, now=self._clock(), held=held
        )

    # the poll

    async def _newest(self, at: Cursor) -> list[wire.PipelineWire]:
        """Return the organization's newest builds, back to those that cannot be news any more."""
        found: list[wire.PipelineWire] = []
        async for page in self._listed(f"{V2}/pipeline", {"org-slug": self._organization}, CHANGE_PAGES):
            found += page
            created = [when for it in page if (when := parse_time(it.created_at)) is not None]
            if not created or min(created) < at.oldest:
                break
        return found

    def _is_new(self, it: wire.PipelineWire, at: Cursor) -> bool:
        return it.id not in at.seen and (parse_time(it.created_at) or at.since) >= at.oldest

    async def _recent_runs(self, names: set[str]) -> set[str]:
        """Return the workflows of the recent jobs of watched projects, and of projects that v1.1 does not tell by id."""
        try:
            reply = await self._api.get(f"{V1}/recent-builds", {"limit": RECENT_JOBS, "shallow": True})
        except NotFound:  # a server may not have it: then reruns are known by webhook only
            return set()
        found: set[str] = set()
        for it in parse_items(reply.items(), wire.V1Recent.of):
            slug = urls.v1_slug(it.vcs_type, it.username, it.reponame, it.vcs_url)
            if it.workflows and it.workflows.workflow_id and (slug is None or urls.fold(slug) in names):
                found.add(it.workflows.workflow_id)
        return found

    async def _of_run(self, run: str, names: set[str], known: frozenset[str]) -> Build | None:
        """Return the build that a workflow belongs to, unless it is no watched project's or known already."""
        try:
            it = wire.Workflow.of((await self._api.get(f"{V2}/workflow/{quote(run, safe='')}")).raw)
            if not it.pipeline_id or it.pipeline_id in known or urls.fold(it.project_slug or "") not in names:
                return None
            return await self.build(it.project_slug or "", it.pipeline_id)
        except NotFound:
            return None

    def _as_watched(self, build: Build, watched: Watched) -> Build:
        """Return the build under the name by which its project is watched: its case may differ."""
        names = {urls.fold(key): key for key in {it.pipeline for it in watched.unfinished} | watched.pipelines}
        return replace(build, pipeline=names.get(urls.fold(build.pipeline), build.pipeline))

    # starting

    async def _refs(self, pipeline: str) -> AsyncIterator[Ref]:
        default = (await self.pipeline(pipeline)).default_branch
        if default:
            yield Ref(kind=RefKind.BRANCH, name=default)
        try:
            path = f"{V2}/insights/{urls.encoded(self._slug(pipeline))}/branches"
            names = wire.Branches.of((await self._api.get(path)).raw).branches or []
        except NotFound:
            names = []
        for name in names:
            yield Ref(kind=RefKind.BRANCH, name=name)
        async for page in self._listed(f"{self._at(pipeline)}/pipeline", {}, 1):
            for it in page:
                ref = start.again(it)
                if ref is not None:
                    yield ref

    async def _default_branch(self, pipeline: str) -> Ref:
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError(f"{pipeline} has no default branch.", hint="Name one: `@BRANCH`.")
        return Ref(kind=RefKind.BRANCH, name=branch)

    async def _definition(self, pipeline: str, wanted: str) -> str:
        """Return the id of the pipeline definition that a name means."""
        if start.is_uuid(wanted):
            return wanted
        project = await self._project(self._slug(pipeline))
        reply = await self._api.get(f"{V2}/projects/{quote(project.id or '', safe='')}/pipeline-definitions")
        listed = list(parse_items(reply.items("items"), wire.Definition.of))
        fits = [it.id for it in listed if same_name(it.name, wanted.strip())]
        if len(fits) != 1:
            known = ", ".join(f"`{it.name}`" for it in listed if it.name) or "none"
            raise UsageError(f"No one pipeline definition is called `{wanted[:80]}`.", hint=f"There are: {known}.")
        return fits[0]

    async def _typed(self, pipeline: str, ref: Ref, given: Mapping[str, str]) -> dict[str, str | int | bool]:
        """Return parameters in the types that the newest configuration declares, as far as it is known."""
        try:
            known = await self.parameters(pipeline, ref) if given else ()
        except NotFound:
            known = ()
        return typed(given, {it.name: it.type for it in known})

    async def _values(self, build: str) -> dict[str, str | int | bool]:
        """Return the parameters that a build was given; they go back to CircleCI and are shown to nobody."""
        reply = await self._api.get(f"{V2}/pipeline/{quote(build, safe='')}/values")
        prefix = "pipeline.parameters."
        values = reply.decode(dict[str, object])
        return {
            name.removeprefix(prefix): value
            for name, value in values.items()
            if name.startswith(prefix) and isinstance(value, str | int | bool)
        }

    async def _start(
        self,
        pipeline: str,
        wanted: Mapping[str, str],
        values: Mapping[str, str | int | bool],
        options: Mapping[str, str],
    ) -> Build:
        """Start a pipeline once; after a time-out it is looked for among the owner's own that were not there before."""
        config = {"branch": options["config_branch"]} if options.get("config_branch") else wanted
        body: dict[str, object] = {"config": config, "checkout": wanted}
        if options.get("definition"):
            body["definition_id"] = await self._definition(pipeline, options["definition"])
        if values:
            body["parameters"] = dict(values)
        mine = f"{self._at(pipeline)}/pipeline/mine"
        before = {it.id async for page in self._listed(mine, {}, 1) for it in page}

        async def send() -> Build:
            it = wire.Started.of((await self._run(pipeline, body, wanted, is_plain=not options)).raw)
            if not it.id:
                raise Rejected(
                    f"CircleCI started nothing: {it.message or 'it does not say why'}",
                    provider=self.label,
                    hint="A commit whose message says so is skipped.",
                )
            return self._begun(pipeline, it, wanted)

        async def confirm() -> Build | None:
            found = [
                it
                async for page in self._listed(mine, {}, 1)
                for it in page
                if it.id not in before and start.fits(it, wanted)
            ]
            return await self._whole(found[0]) if len(found) == 1 else None

        return await self.send_once(send, confirm)

    async def _run(
        self, pipeline: str, body: Mapping[str, object], wanted: Mapping[str, str], *, is_plain: bool
    ) -> Reply:
        """Send the start. Where the newer call is not there (older servers), nothing began and the older one is asked."""
        try:
            return await self._api.post(f"{self._at(pipeline)}/pipeline/run", json=body)
        except NotFound:
            if not is_plain or self._slug(pipeline).startswith("circleci/"):
                raise
        values = {"parameters": body["parameters"]} if "parameters" in body else {}
        return await self._api.post(f"{self._at(pipeline)}/pipeline", json={**wanted, **values})

    def _begun(self, pipeline: str, it: wire.Started, wanted: Mapping[str, str]) -> Build:
        """Return a pipeline as its start tells it: no look afterwards can make a start that worked seem to fail."""
        recorded = wire.PipelineWire(
            id=it.id or "",
            project_slug=self._slug(pipeline),
            number=it.number,
            state=it.state,
            created_at=it.created_at,
            trigger=wire.TriggerWire(type=Trigger.API.value),
            vcs=wire.Vcs(branch=wanted.get("branch"), tag=wanted.get("tag")),
        )
        return convert.build(recorded, (), connection=self.connection, page=self._pages_at, now=self._clock())

    # acting

    async def _act(self, path: str, body: object, has_happened: Callable[[], Awaitable[bool]]) -> None:
        """Send an act once; after a time-out look whether it has happened."""

        async def send() -> bool:
            await self._api.post(path, json=body)
            return True

        async def confirm() -> bool | None:
            return await has_happened() or None

        await self.send_once(send, confirm)

    def _has_ended(self, workflow: str) -> Callable[[], Awaitable[bool]]:
        async def has_ended() -> bool:
            return not convert.is_open(
                wire.Workflow.of((await self._api.get(f"{V2}/workflow/{quote(workflow, safe='')}")).raw)
            )

        return has_ended

    def _runs_again(self, build: str, name: str | None, known: frozenset[str]) -> Callable[[], Awaitable[bool]]:
        async def runs_again() -> bool:
            return any(it.id not in known and it.name == name for it in await self._workflows(build))

        return runs_again


def _called(it: wire.PipelineWire) -> str:
    return it.id if it.number is None else f"#{it.number}"


def _page_of(it: wire.PipelineWire, at: str) -> str | None:
    return None if it.number is None else f"{urls.project_page(at, it.project_slug)}/{it.number}"


def _is_broken(job: Job) -> bool:
    return job.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}


def _ran(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that may have left something, broken ones first."""
    ran = [job for job in jobs if convert.is_number(job.id) and job.conclusion is not Conclusion.SKIPPED]
    return sorted(ran, key=lambda job: not _is_broken(job))


async def _all(asked: Iterable[Awaitable[T]]) -> list[T]:
    """Return all answers in order. The first error is raised only when the others are in: none goes on unseen."""
    found: list[T] = []
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found
