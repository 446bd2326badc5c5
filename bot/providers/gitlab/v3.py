"""GitLab's REST API v3, for servers before 9.0: a build is what v4 calls a job, and is acted on by itself.

Pages: the Builds API of GitLab 8.x, and `doc/api/v3_to_v4` (removed after 9.5).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import ClassVar, Final

from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import NotFound, ProviderError, Rejected, Unavailable, Unsupported
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
    IssueKind,
    Job,
    Log,
    Page,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Watched,
    WebhookEvent,
)
from bot.core.text import holds_name
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import matching, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.gitlab import convert, errors, start, urls, webhook, wire
from bot.providers.gitlab.client import REMEMBERED
from bot.providers.gitlab.options import GitLabOptions
from bot.providers.gitlab.poll import NewestPagePoll
from bot.providers.gitlab.server import GitLabServer

OPEN: Final = frozenset({"created", "pending", "running"})
ENDED: Final = frozenset({"success", "failed", "canceled", "skipped"})
LOOK_AFTER_SECONDS: Final = (0.0, 0.5, 1.5, 3.0)
CANNOT: Final = frozenset(
    {
        Capability.PARAMETERS,
        Capability.RETRY_ALL,
        Capability.TESTS,
        Capability.COMMITS,
        Capability.REJECT,
        Capability.PIPELINE_ADMIN,
        Capability.UPLOADS,
        Capability.ACCOUNT_POLL,
    }
)


class GitLabV3(GitLabServer):
    """A GitLab of before 9.0; its builds are our builds, one at a time."""

    capabilities = frozenset(Capability) - CANNOT
    list_filters = convert.OLD_LIST_FILTERS
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.OLD_REFUSALS

    def __init__(
        self, api: ApiClient, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._projects: LRUCache[str, Pipeline] = LRUCache(REMEMBERED)
        self._poll = NewestPagePoll(self._client, self._read)

    # what every system can do

    @override
    async def check(self) -> Account:
        """Costs two requests."""
        user = await self._client.user("v3", "A server of 9.0 or later speaks v4: leave `api_version` out.")
        version = await self._client.version()
        return Account(
            name=user.username or user.name or "unknown",
            detail=f"GitLab {version} (API v3)" if version else "GitLab before 8.13 (API v3)",
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        group = f"{self.options.group.lower()}/" if self.options.group else ""
        async for page in self._client.old_pages("projects", {"order_by": "id", "sort": "asc"}):
            for raw in parse_items(page, wire.Project.of):
                pipeline = convert.project(raw)
                named = holds_name(pipeline.path, query or "") or holds_name(pipeline.name, query or "")
                if pipeline.path.lower().startswith(group) and named:
                    yield pipeline

    @override
    async def pipeline(self, path: str) -> Pipeline:
        pipeline = convert.project(await self._client.project(path))
        self._projects[pipeline.id] = pipeline
        return pipeline

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds, newest first, of the project or of one commit. A request for each hundred.

        `scope` narrows the list where v3 knows all the states; the branch is looked for here.
        """
        project = await self._project(pipeline)
        query: Query = {**convert.old_scope(build_filter.states)}
        if build_filter.commit is None:
            route = urls.project_route(project.id, "builds")
        else:
            route = urls.commit_route(project.id, build_filter.commit, "builds")
        try:
            builds = matching(
                self._client.old_pages(route, query),
                lambda item: self._build(wire.OldBuild.of(item), project),
                build_filter,
            )
            async for build in builds:
                yield build
        except NotFound:
            if build_filter.commit is None:
                raise

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build. One request, one more for a project not seen before."""
        project = await self._project(pipeline)
        return self._build(await self._client.old_build(project.id, build_number(build)), project)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self.build(pipeline, str(number))

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        return await self.build(pipeline, job)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One request a tick for each project; see `NewestPagePoll.changes`."""
        return await self._poll.changes(cursor, watched, self.build_or_none)

    # what this one can do

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches and tags, in two requests."""
        for kind, what in ((RefKind.BRANCH, "branches"), (RefKind.TAG, "tags")):
            reply = await self._api.get(urls.project_route(pipeline, "repository", what))
            for named in parse_items(reply.items(), wire.Named.of):
                if holds_name(named.name, query or ""):
                    yield Ref(kind=kind, name=named.name)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        self._check(request)
        project = await (self._project_if_readable(pipeline) if request.ref else self._project(pipeline))
        return start.target(request.ref, start.ref_name(request.ref, project.default_branch))

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a branch or a tag: as a pipeline where the server has that call (8.14), else with the trigger token.

        Returns the first of the builds that it makes. Costs four requests or more: they appear shortly after.
        """
        self._check(request)
        project = await (self._project_if_readable(pipeline) if request.ref else self._project(pipeline))
        ref = start.ref_name(request.ref, project.default_branch)
        if not request.parameters:
            build = await self._started(project, ref, lambda: self._create(project, ref))
            if build is not None:
                return build
        token = self.options.trigger_token
        if token is None:
            raise Unsupported(
                "This GitLab starts builds (or takes variables) only with a trigger token.",
                provider=self.label,
                hint="Make one on the project's Triggers page and set `trigger_token` for the connection.",
            )
        form = start.trigger_form(token.get_secret_value(), ref, request.parameters)
        build = await self._started(project, ref, lambda: self._trigger(project, form))
        if build is None:
            raise self.unsupported(Capability.START)
        return build

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop one build."""
        return await self._act(pipeline, build, "cancel", lambda raw: _word(raw) in ENDED)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Run the build again: v3 then keeps its commit and its values, and reports neither."""
        self.check_options(request)
        start.refuse_message_and_commit(request)
        if request.parameters:
            raise Unsupported(
                "A GitLab this old does not tell the values of a build, so I can't replace some of them.",
                provider=self.label,
                hint="`/build run` starts the ref with variables of your own.",
            )
        return await self._act(pipeline, build, "retry", lambda raw: _word(raw) in OPEN)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run one build again and return it, under its new id where the server gives it one."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL)
        return await self._act(pipeline, build if job is None else job, "retry", lambda raw: _word(raw) in OPEN)

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete one build's log and artifacts."""
        return await self._act(pipeline, build, "erase", lambda raw: raw.erased_at is not None)

    @override
    async def erase_job(self, pipeline: str, job: str) -> Build:
        return await self.erase(pipeline, job)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return the build as its own only job."""
        project = await self._project(pipeline)
        return (convert.old_job(await self._client.old_build(project.id, build_number(build)), project=project),)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        return await self.tail(urls.old_build_route(job.pipeline, build_number(job.id), "trace"), job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return the one archive a build may have left."""
        project = await self._project(pipeline)
        return tuple(convert.old_files(await self._client.old_build(project.id, build_number(build)), project=project))

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        build = build_number(artifact.id.partition("/")[0])
        route = urls.old_build_route(artifact.pipeline, build, "artifacts")
        try:
            async for chunk in self._api.download(route, headers={"Accept": "*/*"}):
                yield chunk
        except NotFound as exc:
            raise NotFound(
                "This build has no artifacts.",
                provider=self.label,
                status=exc.status,
                hint="They may have been erased.",
            ) from exc

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return a failed build as an error. v3 does not say whether it was allowed to fail."""
        now = await self.build(pipeline, build)
        if now.conclusion is not Conclusion.FAILED:
            return ()
        return (Issue(kind=IssueKind.ERROR, message="failed", job=now.name, url=now.web_url),)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return one error for a failed build; the rest v3 does not report. Costs no request."""
        return IssueCounts(errors=int(build.conclusion is Conclusion.FAILED) if build.completed else None)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        return tuple(
            Approval(id=f"job/{job.id}", build=build, pipeline=pipeline, name=job.name, url=job.web_url)
            for job in await self.jobs(pipeline, build)
            if job.raw_state == "manual"
        )

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Play a manual build."""
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        if fields:
            raise Unsupported("A GitLab this old takes no variables for a manual job.", provider=self.label)
        build = approval.id.partition("/")[2] or approval.build
        return await self._act(approval.pipeline, build, "play", lambda raw: _word(raw) in OPEN | ENDED)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.root, builds_are_jobs=True)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        delivery = webhook.check_signature(headers, body, self.webhook_secret(), self._clock())
        return webhook.read_event(body, delivery, builds_are_jobs=True)

    # private

    def _build(self, raw: wire.OldBuild, project: Pipeline) -> Build:
        return convert.old_build(raw, connection=self.connection, project=project)

    async def _read(self, raw: wire.OldBuild, pipeline: str) -> Build:
        return self._build(raw, await self._project(pipeline))

    async def _project(self, pipeline: str) -> Pipeline:
        """Return a project, asked for once: every address of a build needs its path."""
        known = self._projects.get(pipeline)
        return known if known is not None else await self.pipeline(pipeline)

    async def _project_if_readable(self, pipeline: str) -> Pipeline:
        """Return a project for an act, which needs no more than its id: where it can't be read, builds have no address."""
        try:
            return await self._project(pipeline)
        except ProviderError:
            return Pipeline(id=pipeline, path="", name="")

    def _check(self, request: StartRequest) -> None:
        """Raise UsageError or Unsupported for what v3 cannot start, by name."""
        self.check_options(request)
        start.refuse_message_and_commit(request)
        if request.ref is not None and request.ref.kind is RefKind.PULL_REQUEST:
            raise Unsupported(
                "A GitLab this old builds only branches and tags.", provider=self.label, hint="Name a branch or a tag."
            )

    async def _act(self, pipeline: str, build: str, verb: str, done: Callable[[wire.OldBuild], bool]) -> Build:
        """Do a thing to a single build and return it; where no answer came, `done` returns whether it took effect."""
        project = await self._project_if_readable(pipeline)
        number = build_number(build)

        async def send() -> Build:
            reply = await self._client.post(project.id, "builds", number, verb)
            return self._build(wire.OldBuild.of(reply.raw), project)

        async def confirm() -> Build | None:
            raw = await self._client.old_build(project.id, number)
            return self._build(raw, project) if done(raw) else None

        return await self.send_once(send, confirm)

    async def _started(self, project: Pipeline, ref: str, send: Callable[[], Awaitable[int | None]]) -> Build | None:
        """Start by `send`, which returns a pipeline's id or None, and return the first build that it made.

        None where the server has no such call. Raises Unavailable where the builds do not show: nothing is sent twice.
        """
        newest = await self._newest(project)

        async def begin() -> Build | bool:
            run = await send()
            for pause in LOOK_AFTER_SECONDS if run != NO_SUCH_CALL else ():
                if pause:
                    await self._sleep(pause)
                build = await self.read_back(self._since(project, ref, newest, run))
                if build is not None:
                    return build
            return run != NO_SUCH_CALL

        async def confirm() -> Build | bool | None:
            return await self._since(project, ref, newest, None)

        started = await self.send_once(begin, confirm)
        if started is True:
            raise Unavailable(
                "GitLab took the start, but I can't tell which build it made.",
                provider=self.label,
                hint="Look at the project's page before you repeat this.",
                acted=True,
            )
        return started or None

    async def _newest(self, project: Pipeline) -> int | None:
        """Return the newest build's id before a start; None where it can't be read, which stops no start."""
        try:
            return max((raw.id for raw in await self._client.newest_old_builds(project.id, 1)), default=0)
        except ProviderError:
            return None

    async def _create(self, project: Pipeline, ref: str) -> int | None:
        """Return the id of the pipeline created on a ref."""
        try:
            reply: Reply = await self._client.post(project.id, "pipeline", form={"ref": ref})
        except ProviderError as exc:
            if exc.status not in {404, 405}:
                raise
            return NO_SUCH_CALL  # before 8.14
        return wire.PipelineRun.of(reply.raw).id

    async def _trigger(self, project: Pipeline, form: Mapping[str, str]) -> None:
        """Pull the trigger. Its answer names the trigger's request, not the build."""
        try:
            await self._client.post(project.id, "trigger", "builds", form=form)
        except NotFound as exc:
            raise Rejected(
                "GitLab does not know the trigger token for this project.",
                provider=self.label,
                status=exc.status,
                hint="A trigger token belongs to one project; its Triggers page shows it.",
            ) from exc

    async def _since(self, project: Pipeline, ref: str, newest: int | None, run: int | None) -> Build | None:
        """Return the first build of a ref that is younger than `newest`, of the pipeline `run` where that is known.

        Where builds of several starts are younger nobody can say which is ours.
        """
        if newest is None and run is None:
            return None
        listed = await self._client.newest_old_builds(project.id)
        young = [raw for raw in listed if raw.id > (newest or 0) and raw.ref == ref]
        if run is not None:
            young = [raw for raw in young if raw.pipeline is not None and raw.pipeline.id == run]
        starts = {raw.pipeline.id if raw.pipeline else raw.commit.id if raw.commit else raw.id for raw in young}
        return self._build(min(young, key=lambda raw: raw.id), project) if len(starts) == 1 else None


NO_SUCH_CALL: Final = -1
"""What `_create` returns where the server cannot make pipelines."""


def build_number(build: str) -> str:
    """Return a build's id. Raises NotFound for what is none, the page of a whole pipeline among them."""
    if not build.isdecimal():
        is_page = build.startswith(urls.WHOLE_PIPELINE)
        what = f"The page of {build} shows several builds" if is_page else f"`{build}` is no build's number"
        raise NotFound(
            f"{what}; a GitLab this old runs, retries and cancels each one by itself.",
            provider=errors.LABEL,
            hint="Paste the page of one build, or name its number: `#N`.",
        )
    return build


def _word(raw: wire.OldBuild) -> str:
    return (raw.status or "").lower()
