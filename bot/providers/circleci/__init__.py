"""CircleCI, API v2, with v1.1 for what v2 lacks (logs, followed projects).

Pages: https://circleci.com/docs/api/v2 and https://circleci.com/docs/webhooks, read in August 2026. A pipeline with its
workflows is one build: the newest workflow of each name gives the result, so a rerun is another round of the same build.
A project's slug (`gh/acme/web`) is the pipeline's id. Limits are not published; pages hold some 20 items.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.clock import Clock
from bot.errors import AuthFailed, NotFound, ProviderError, Rejected, UsageError
from bot.http import Query, Quota, Reply
from bot.models import (
    Account,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Gate,
    Issue,
    IssueCounts,
    Job,
    Log,
    Outcome,
    Page,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Tap,
    TestCase,
    Watched,
)
from bot.providers.base import (
    LOG_TAIL_BYTES,
    SEARCH_PAGES,
    Capability,
    Options,
    Provider,
    clean_log,
    moment,
    readable,
    same_secret,
)
from bot.providers.circleci import read, wire

V2 = "api/v2"
V1 = "api/v1.1"
PER_READ = 8
"""How many pipelines' workflows are asked for at once."""
TEST_PAGES = 20
TEST_JOBS = 20
ARTIFACT_JOBS = 30
CHANGE_PAGES = 5
OVERLAP = timedelta(minutes=5)
REST_EVERY = 10
"""Every how many ticks finished builds on the newest page are read again: a rerun adds a workflow to an old pipeline."""
FILES = "https://output.circle-artifacts.com"


class CircleCIOptions(Options):
    """What a connection to CircleCI needs."""

    organization: str = Field(
        min_length=1,
        pattern=r"^[^/\s]+/[^/\s]+$",
        description="The organization's slug, such as gh/acme, bb/acme or circleci/ID.",
    )
    token: SecretStr = Field(min_length=1, description="Personal API token; project tokens can't use API v2.")


class CircleCI(Provider[CircleCIOptions]):
    """One organization at CircleCI."""

    kind = "circleci"
    label = "CircleCI"
    default_url = "https://circleci.com"
    page = "https://circleci.com/docs/api/v2"
    states = read.STATES
    options_type = CircleCIOptions
    capabilities = frozenset(
        {
            Capability.REFS,
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
            Capability.GATES,
            Capability.DECIDE,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.PARAMETERS: (
            "CircleCI does not tell which parameters a pipeline declares.",
            "Give them as KEY=VALUE; undeclared ones are refused.",
        ),
        Capability.REJECT: (
            "CircleCI can approve a waiting job, but not reject it.",
            "Leave it waiting, or cancel the build.",
        ),
        Capability.LIVE_LOG: ("CircleCI hands out a step's log only when the step is over.", "Open it on its page"),
        Capability.ERASE: ("CircleCI's API deletes no logs or artifacts.", "They go when their retention ends."),
        Capability.PIPELINE_ADMIN: (
            "CircleCI's projects are managed on their own pages.",
            "Open the project's settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = {"definition_id": "another pipeline definition than the default one"}

    @override
    @classmethod
    def auth(cls, options: CircleCIOptions, clock: Clock) -> httpx.Auth:
        return _Bearer(options.token)

    @override
    @classmethod
    def trusted(cls, options: CircleCIOptions) -> tuple[str, ...]:
        return (FILES,)

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        limit, remaining = headers.get("ratelimit-limit", ""), headers.get("ratelimit-remaining", "")
        reset = headers.get("ratelimit-reset", "")
        if not (limit.isdigit() and remaining.isdigit()):
            return None
        resets_at = now + timedelta(seconds=int(reset)) if reset.isdigit() and int(reset) < 86_400 else None
        return Quota(limit=int(limit), remaining=int(remaining), resets_at=resets_at)

    @override
    async def check(self) -> Account:
        me = wire.Me.of((await self._api.get(f"{V2}/me")).raw)
        return Account(name=me.name or me.login or me.id, detail=self._organization)

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield the projects that the token's owner follows: CircleCI lists no others. Costs one request."""
        wanted = (query or "").lower()
        for it in await self._followed():
            found = read.followed(it)
            if found.path.startswith(f"{self._organization}/") and wanted in found.path.lower():
                yield found

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return read.project(wire.Project.of((await self._api.get(f"{V2}/project/{self._slug(path)}")).raw))

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Each build costs one request more for its workflows; eight are asked for at once."""
        path = f"{V2}/project/{self._slug(pipeline)}/pipeline"
        left = wanted.limit
        async for page in self._listed(path, {"branch": wanted.branch}, ceiling=SEARCH_PAGES):
            hits = [it for it in page if not wanted.commit or self._of_commit(it, wanted.commit)]
            for start in range(0, len(hits), PER_READ):
                if left <= 0:
                    return
                for build in await asyncio.gather(
                    *(self._whole(it, pipeline) for it in hits[start : start + PER_READ])
                ):
                    if left > 0 and wanted.admits(build):
                        left -= 1
                        yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        reply = await self._api.get(f"{V2}/pipeline/{quote(build, safe='')}")
        return await self._whole(wire.PipelineWire.of(reply.raw), pipeline)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        reply = await self._api.get(f"{V2}/project/{self._slug(pipeline)}/pipeline/{number}")
        return await self._whole(wire.PipelineWire.of(reply.raw), pipeline)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for the organization's newest builds, and one for each new or unfinished one.

        Every tenth tick the finished builds of that page are read again, because a rerun adds to an old one.
        """
        at = _Cursor.read(cursor, self._clock())
        listed: dict[str, wire.PipelineWire] = {}
        query: Query = {"org-slug": self._organization}
        async for page in self._listed(f"{V2}/pipeline", query, ceiling=CHANGE_PAGES):
            for it in page:
                listed[it.id] = it
            ages = [created for it in page if (created := moment(it.created_at)) is not None]
            if not ages or min(ages) < at.since - OVERLAP:
                break
        found: dict[BuildKey, Build] = {}
        open_ids = {key.id for key in watched.unfinished}
        everything = at.tick % REST_EVERY == 0
        for it in listed.values():
            slug = read.short_slug(it.project_slug or "")
            created = moment(it.created_at)
            is_new = created is None or created >= at.since - OVERLAP
            if slug in watched.pipelines and (is_new or everything or it.id in open_ids):
                build = await self._whole(it, slug)
                found[build.key] = build
        for key in sorted(watched.unfinished - found.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[key] = straggler
        seen = [created for it in listed.values() if (created := moment(it.created_at)) is not None]
        return Changes(builds=tuple(found.values()), cursor=at.moved_on(max(seen, default=at.since)))

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the branches that CircleCI has built; it has no other list."""
        wanted = (query or "").lower()
        slug = read.short_slug(unquote(self._slug(pipeline)))
        for it in await self._followed():
            found = read.followed(it)
            if found.id != slug:
                continue
            names = [found.default_branch, *(unquote(name) for name in it.branches or {})]
            for name in dict.fromkeys(name for name in names if name):
                if wanted in name.lower():
                    yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        if request.commit or request.message:
            what = "an exact commit" if request.commit else "a message"
            raise UsageError(f"CircleCI can't take {what} for a build.", hint="Name a branch, or `tag:NAME`.")
        source = await self._source(pipeline, request.ref)
        body: dict[str, Any] = {"config": source, "checkout": source}
        if request.parameters:
            body["parameters"] = {name: _typed(value) for name, value in request.parameters.items()}
        if request.options.get("definition_id"):
            body["definition_id"] = request.options["definition_id"]
        known = {it.id async for page in self._mine(pipeline) for it in page}

        async def act() -> Build:
            reply = await self._post_run(pipeline, body, source)
            created = wire.Created.of(reply.raw)
            if created.id is None:
                raise Rejected(
                    f"CircleCI started nothing: {created.message or 'it gave no reason'}",
                    provider=self.label,
                    status=200,
                )
            return await self.build(pipeline, created.id)

        async def look() -> Build | None:
            fresh = [it async for page in self._mine(pipeline) for it in page if it.id not in known]
            return await self._whole(fresh[0], pipeline) if len(fresh) == 1 else None

        return await self.once(act, look)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop every workflow of the build that is not over. Costs one request each, and two to look."""
        workflows = read.newest(await self._workflows(build))
        open_ = [it for it in workflows if read.STATES.get(it.status or "", (None, None))[1] is None]
        if not open_:
            raise Rejected("No workflow of this build is running.", provider=self.label)
        for it in open_:
            await self._acts(f"{V2}/workflow/{it.id}/cancel", None, build, pipeline)
        return await self.build(pipeline, build)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """CircleCI has no such call: a new pipeline of the same branch or tag builds its present head."""
        old = await self.build(pipeline, build)
        if old.tag is None and old.branch is None:
            raise Rejected("I don't know which branch this build was of.", provider=self.label)
        ref = Ref(kind=RefKind.TAG, name=old.tag) if old.tag else Ref(kind=RefKind.BRANCH, name=old.branch or "")
        return await self.start(pipeline, StartRequest(ref=ref, parameters=request.parameters, options=request.options))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Rerun workflows of the build: failed jobs, all jobs, or one job and what depends on it."""
        if job is not None:
            workflow, own, *_rest = [*job.split("/"), "", ""]
            await self._acts(f"{V2}/workflow/{workflow}/rerun", {"jobs": [own]}, build, pipeline)
            return await self.build(pipeline, build)
        workflows = read.newest(await self._workflows(build))
        again = [it for it in workflows if not failed_only or it.status in {"failed", "error", "unauthorized"}]
        if not again:
            raise Rejected("No workflow of this build failed, so there is nothing to retry.", provider=self.label)
        for it in again:
            await self._acts(
                f"{V2}/workflow/{it.id}/rerun", {"from_failed": True} if failed_only else {}, build, pipeline
            )
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        number, pairs = await self._jobs(pipeline, build)
        return tuple(
            read.job(it, workflow, pipeline=pipeline, build_id=build, number=number)
            for workflow, it in pairs
            if it.type != "approval"
        )

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the output of the step that failed, else of the last one that said something. Costs two requests."""
        number = read.job_number(job.id)
        if not number:
            raise NotFound(f"{job.name} has not started, so it has no log.", provider=self.label)
        slug = read.long_slug(read.short_slug(job.pipeline))
        steps = wire.Steps.of((await self._api.get(f"{V1}/project/{quote(slug)}/{number}")).raw)
        actions = [it for step in steps.steps or [] for it in step.actions if it.output_url]
        failed = sorted((it for it in actions if it.failed), key=lambda it: it.index or 0)
        told = failed[:1] or actions[-1:]
        if not told:
            raise NotFound(f"{job.name} has no log yet.", provider=self.label)
        # The address is signed and on another host: it gets no token.
        data = b"".join([chunk async for chunk in self._api.download(told[0].output_url or "", credentials=False)])
        try:
            pieces = [wire.Output.of(it).message for it in msgspec.json.decode(data, type=list[msgspec.Raw])]
            text = "".join(pieces)
        except msgspec.MsgspecError:
            text = data.decode("utf-8", "replace")
        cleaned = clean_log(text)
        return Log(text=cleaned[-tail_bytes:], truncated=len(cleaned) > tail_bytes, job=job.name, url=job.web_url)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Costs one request for each job, thirty at most, beside those for the jobs."""
        found: list[Artifact] = []
        for job in [it for it in await self.jobs(pipeline, build) if read.job_number(it.id)][:ARTIFACT_JOBS]:
            path = f"{V2}/project/{self._slug(pipeline)}/{read.job_number(job.id)}/artifacts"
            async for items in self._pages(path, {}, ceiling=TEST_PAGES):
                found += [read.artifact(it, job) for it in readable(items, wire.ArtifactWire.of)]
        return tuple(found)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        return self._api.download(artifact.id)

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs one request for each job and page, twenty jobs at most, beside those for the jobs."""
        found = await self._tests(await self.jobs(pipeline, build))
        return tuple(sorted(found, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        jobs = await self.jobs(pipeline, build)
        broken = [read.job_issue(it) for it in jobs if it.raw_state in read.BROKEN]
        failed = [it for it in await self._tests(jobs) if it.outcome is Outcome.FAILED]
        return (*broken, *(read.test_issue(it) for it in failed))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Errors are broken jobs; failed tests are unknown, not none, where no job stored any results."""
        jobs = await self.jobs(build.pipeline, build.id)
        tests = await self._tests(jobs)
        return IssueCounts(
            errors=sum(1 for it in jobs if it.raw_state in read.BROKEN),
            test_failures=sum(1 for it in tests if it.outcome is Outcome.FAILED) if tests else None,
            tests_total=len(tests) or None,
        )

    @override
    async def gates(self, pipeline: str, build: str) -> tuple[Gate, ...]:
        number, pairs = await self._jobs(pipeline, build)
        page = f"https://app.circleci.com/pipelines/{read.long_slug(pipeline)}/{number}" if number else None
        return tuple(
            read.gate(it, workflow, pipeline=pipeline, build_id=build, page=page)
            for workflow, it in pairs
            if it.type == "approval" and it.status == "on_hold"
        )

    @override
    async def decide(
        self, gate: Gate, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        if not approve:
            raise self.unsupported(Capability.REJECT, gate.url)
        workflow, _, request = gate.id.partition("/")
        path = f"{V2}/workflow/{quote(workflow, safe='')}/approve/{quote(request, safe='')}"
        await self._acts(path, None, gate.build, gate.pipeline)
        return await self.build(gate.pipeline, gate.build)

    @override
    def read_url(self, url: str) -> Page | None:
        parts = urlsplit(url)
        own = urlsplit(self.base_url(self.options)).netloc
        if parts.netloc not in {"app.circleci.com", "circleci.com", own}:
            return None
        path = [unquote(part) for part in parts.path.split("/") if part]
        if path and path[0] == "pipelines":
            path = path[1:]
            if len(path) < 3:
                return None
            number = int(path[3]) if len(path) > 3 and path[3].isdigit() else None
            job = path[7] if len(path) > 7 and path[6] == "jobs" else None
            slug = read.short_slug("/".join(path[:3]))
        elif len(path) >= 3 and path[0] in {"gh", "bb", "github", "bitbucket", "circleci"}:
            number, job = None, path[3] if len(path) > 3 else None
            slug = read.short_slug("/".join(path[:3]))
        else:
            return None
        return Page(pipeline=slug, number=number, job=job) if slug.startswith(f"{self._organization}/") else None

    @override
    def read_hook(self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None) -> Tap | None:
        """Verify `circleci-signature` (HMAC-SHA256 of the body, version v1 among others) before anything is read."""
        secret = self.webhook_secret()
        wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        given = [part.strip().partition("=") for part in headers.get("circleci-signature", "").split(",")]
        if not any(version == "v1" and same_secret(value, wanted) for version, _, value in given):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        hook = wire.Hook.of(body)
        if hook.type not in {"workflow-completed", "job-completed"} or hook.pipeline is None or hook.project is None:
            return None
        slug = read.short_slug(hook.project.slug) if hook.project.slug else None
        return Tap(delivery=hook.id or f"{hook.pipeline.id} {hook.type}", pipeline=slug, build=hook.pipeline.id)

    @property
    def _organization(self) -> str:
        return read.short_slug(self.options.organization)

    def _slug(self, path: str) -> str:
        """Return a project's slug for a path, its parts percent-encoded. A bare name is one of the organization's."""
        text = path.strip("/")
        whole = text if text.count("/") >= 2 else f"{self._organization}/{text.rsplit('/', 1)[-1]}"
        return "/".join(quote(part, safe="") for part in read.short_slug(whole).split("/"))

    async def _followed(self) -> list[wire.Followed]:
        reply = await self._api.get(f"{V1}/projects")
        return list(readable(reply.items(), wire.Followed.of))

    async def _pages(self, path: str, query: Query, *, ceiling: int) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a v2 listing page by page; the token of the next page goes into the query. A repeated one ends it."""
        token: str | None = None
        seen: set[str] = set()
        for _page in range(ceiling):
            reply = await self._api.get(path, {**query, "page-token": token})
            yield reply.items("items")
            following = reply.decode(_NextPage).next_page_token
            if not following or following in seen:
                return
            seen.add(following)
            token = following

    async def _listed(self, path: str, query: Query, *, ceiling: int) -> AsyncIterator[list[wire.PipelineWire]]:
        async for items in self._pages(path, query, ceiling=ceiling):
            yield list(readable(items, wire.PipelineWire.of))

    def _mine(self, pipeline: str) -> AsyncIterator[list[wire.PipelineWire]]:
        return self._listed(f"{V2}/project/{self._slug(pipeline)}/pipeline/mine", {}, ceiling=1)

    async def _workflows(self, build: str) -> list[wire.Workflow]:
        found: list[wire.Workflow] = []
        async for items in self._pages(f"{V2}/pipeline/{quote(build, safe='')}/workflow", {}, ceiling=SEARCH_PAGES):
            found += readable(items, wire.Workflow.of)
        return found

    async def _whole(self, it: wire.PipelineWire, pipeline: str) -> Build:
        workflows = [] if it.state == "errored" else await self._workflows(it.id)
        return read.build(
            it, workflows, connection=self.connection, pipeline=read.short_slug(pipeline), now=self._clock()
        )

    async def _jobs(self, pipeline: str, build: str) -> tuple[int | None, list[tuple[wire.Workflow, wire.JobWire]]]:
        workflows = await self._workflows(build)
        number = wire.PipelineWire.of((await self._api.get(f"{V2}/pipeline/{quote(build, safe='')}")).raw).number
        found: list[tuple[wire.Workflow, wire.JobWire]] = []
        for workflow in read.newest(workflows):
            path = f"{V2}/workflow/{quote(workflow.id, safe='')}/job"
            async for items in self._pages(path, {}, ceiling=SEARCH_PAGES):
                found += [(workflow, it) for it in readable(items, wire.JobWire.of)]
        return number, found

    async def _tests(self, jobs: Sequence[Job]) -> list[TestCase]:
        found: list[TestCase] = []
        for job in [it for it in jobs if read.job_number(it.id)][:TEST_JOBS]:
            path = f"{V2}/project/{self._slug(job.pipeline)}/{read.job_number(job.id)}/tests"
            async for items in self._pages(path, {}, ceiling=TEST_PAGES):
                found += [read.test(it, job) for it in readable(items, wire.TestWire.of)]
        return found

    async def _source(self, pipeline: str, ref: Ref | None) -> dict[str, str]:
        match ref:
            case Ref(kind=RefKind.TAG, name=name):
                return {"tag": name}
            case Ref(kind=RefKind.BRANCH, name=name):
                return {"branch": name}
            case Ref(kind=RefKind.PULL_REQUEST, name=name):
                return {"branch": f"pull/{name}/head"}
            case Ref():
                raise UsageError("CircleCI can't build a commit.", hint="Name a branch, or `tag:NAME`.")
            case None:
                default = (await self.pipeline(pipeline)).default_branch
                if not default:
                    raise UsageError("Which branch? CircleCI does not tell the project's default.")
                return {"branch": default}

    async def _post_run(self, pipeline: str, body: Mapping[str, Any], source: Mapping[str, str]) -> Reply:
        """Send the start; projects that the newer call does not know are started by the older one (nothing began yet)."""
        slug = self._slug(pipeline)
        try:
            return await self._api.post(f"{V2}/project/{slug}/pipeline/run", json=body)
        except NotFound:
            if slug.startswith("circleci/"):
                raise
            older = {**source, **({"parameters": body["parameters"]} if "parameters" in body else {})}
            return await self._api.post(f"{V2}/project/{slug}/pipeline", json=older)

    async def _acts(self, path: str, body: object, build: str, pipeline: str) -> None:
        """Send an act on a workflow once; where no answer came, look whether the build moved."""
        before = await self.build(pipeline, build)

        async def act() -> None:
            await self._api.send("POST", path, json=body)

        async def look() -> None:
            after = await self.build(pipeline, build)
            if (after.raw_state, after.attempt, after.updated_at) == (
                before.raw_state,
                before.attempt,
                before.updated_at,
            ):
                raise NotFound("nothing moved", provider=self.label)

        await self._once_seen(act, look)

    async def _once_seen(self, act: Callable[[], Awaitable[None]], look: Callable[[], Awaitable[None]]) -> None:
        async def done() -> bool:
            await act()
            return True

        async def moved() -> bool | None:
            try:
                await look()
            except ProviderError:
                return None
            return True

        await self.once(done, moved)

    def _of_commit(self, it: wire.PipelineWire, commit: str) -> bool:
        revision = it.vcs.revision if it.vcs else None
        return (revision or "").startswith(commit.lower())


class _NextPage(msgspec.Struct):
    next_page_token: str | None = None


class _Cursor(msgspec.Struct):
    """Where the poll stands: the newest build's creation, and how many ticks there were."""

    since: datetime
    tick: int = 0

    @classmethod
    def read(cls, text: str | None, now: datetime) -> "_Cursor":
        """Return the cursor from its text; without one, from an hour ago."""
        if text:
            try:
                return msgspec.json.decode(text, type=cls)
            except msgspec.MsgspecError:
                pass
        return cls(since=now - timedelta(hours=1))

    def moved_on(self, since: datetime) -> str:
        """Return the text of the next cursor."""
        return msgspec.json.encode(_Cursor(since=max(since, self.since), tick=self.tick + 1)).decode()


class _Bearer(httpx.Auth):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


def _typed(value: str) -> str | int | bool:
    """Return a parameter as CircleCI's declared types want it: true and false are booleans, whole numbers integers."""
    if value in {"true", "false"}:
        return value == "true"
    return int(value) if re.fullmatch(r"-?\d{1,15}", value) else value
