"""GitLab's REST API v3, for servers before 9.0. What v4 calls a job is a build here, and it is all there is before 8.11.

From 8.11 on a pipeline is our build and its builds are our jobs. Before that, builds of one commit and ref are one of
ours (see `groups`). Pages: the Builds API of GitLab 8.x, and `doc/api/v3_to_v4` (removed after 9.5).
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

import msgspec
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unavailable, Unsupported
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
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
)
from bot.core.text import folded
from bot.http.client import Api, Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.gitlab import groups, wire
from bot.providers.gitlab.client import PER_PAGE, GitLabOptions, GitLabServer

OPEN: Final = frozenset({"created", "pending", "running"})
ENDED: Final = frozenset({"success", "failed", "canceled", "skipped"})
PIPELINES_SINCE: Final = (8, 11)
CAPABILITIES: Final = frozenset(
    {
        Capability.REFS,
        Capability.START,
        Capability.CANCEL,
        Capability.REBUILD,
        Capability.RETRY_FAILED,
        Capability.RETRY_JOB,
        Capability.ERASE,
        Capability.JOBS,
        Capability.LOG,
        Capability.LIVE_LOG,
        Capability.ARTIFACTS,
        Capability.DOWNLOAD,
        Capability.ISSUES,
        Capability.COUNTS,
        Capability.APPROVALS,
        Capability.DECIDE,
        Capability.WEBHOOK,
    }
)


class Seen(msgspec.Struct):
    """The poll's cursor: for each project the state of each build on its newest page."""

    at: dict[str, dict[str, str]] = {}

    @classmethod
    def read(cls, text: str | None) -> "Seen":
        """Return a cursor; a missing or unreadable one begins anew."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls()


class GitLabV3(GitLabServer):
    """A GitLab of before 9.0."""

    capabilities = CAPABILITIES
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        **GitLabServer.refusals,
        Capability.PARAMETERS: (
            "A GitLab this old does not tell which variables a build takes.",
            "Give them by name: `KEY=VALUE`. They need a trigger token.",
        ),
        Capability.TESTS: ("A GitLab this old reports no tests.", "The job's log has them."),
    }
    start_options: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, api: Api, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._with_pipelines: bool | None = None
        self._projects: dict[str, Pipeline] = {}

    # what every system can do

    @override
    async def check(self) -> Account:
        user = await self.whose("A server of 9.0 or later speaks v4: leave `api_version` out.")
        version = await self._version()
        return Account(
            name=user.username or user.name or "unknown",
            detail=f"GitLab {version} (API v3)" if version else "GitLab before 8.13 (API v3)",
        )

    async def _version(self) -> str | None:
        """Return the server's version; before 8.13 there is no page that tells."""
        try:
            return wire.Server.of((await self._api.get("version")).raw).version
        except NotFound:
            return None

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        needle, group = folded(query or ""), f"{self.options.group.lower()}/" if self.options.group else ""
        async for item in self._all("projects", {"order_by": "id", "sort": "asc"}):
            it = wire.project(item)
            if it.path.lower().startswith(group) and (needle in folded(it.path) or needle in folded(it.name)):
                yield it

    @override
    async def pipeline(self, path: str) -> Pipeline:
        it = wire.project((await self._api.get(self.at(path))).raw)
        self._projects[it.id] = it
        return it

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds, newest first.

        Costs one request for a hundred pipelines and one for each commit; before 8.11 each commit on a page of builds
        is read by itself, since a page may show only some of a commit's builds.
        """
        left = wanted.limit
        async for it in self._candidates(pipeline, wanted):
            if wanted.admits(it):
                yield it
                left -= 1
                if left <= 0:
                    return

    async def _candidates(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        project = await self._project(pipeline)
        if wanted.commit is not None:
            for it in await self._of_commit(project, wanted.commit):
                yield it
        elif await self._has_pipelines(project):
            async for item in self._all(self.at(project.id, "pipelines"), {}):
                yield self._run(wire.PipelineRun.of(item), project)
        else:
            done: set[str] = set()
            async for item in self._all(self.at(project.id, "builds"), {}):
                sha = groups.BuildRun.of(item).sha
                if sha is not None and sha not in done:
                    done.add(sha)
                    for it in await self._of_commit(project, sha):
                        yield it

    async def _of_commit(self, project: Pipeline, sha: str) -> list[Build]:
        """Return the builds of one commit, newest first."""
        try:
            runs = await self._runs(project.id, sha)
        except NotFound:
            return []
        if not await self._has_pipelines(project):
            return [self._group(each, project) for each in groups.grouped(runs)]
        numbers = sorted({run.pipeline.id for run in runs if run.pipeline is not None}, reverse=True)
        return await self.each(lambda number: self.build(project.id, str(number)), numbers)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        project = await self._project(pipeline)
        if "@" in build:
            return self._group(await self._group_of(project.id, build), project)
        reply = await self._api.get(self.at(project.id, "pipelines", quote(build, safe="")))
        it = self._run(wire.PipelineRun.of(reply.raw), project)
        if not it.commit:
            return it
        try:
            known = wire.Commit.of(
                (await self._api.get(self.at(project.id, "repository/commits", quote(it.commit, safe="")))).raw
            )
        except NotFound:
            return it
        return replace(it, message=known.message or known.title, author=wire.author(known))

    async def _group_of(self, pipeline: str, build: str) -> groups.Group:
        sha = build.partition("@")[0]
        for each in groups.grouped(await self._runs(pipeline, sha)):
            if each.id == build:
                return each
        raise NotFound("There are no builds of that commit and ref.", provider=self.label)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build that holds a pipeline or a build of that number; v3 has no other numbers."""
        project = await self._project(pipeline)
        has_pipelines = await self._has_pipelines(project)
        if has_pipelines:
            found = await self.build_or_none(BuildKey(connection=self.connection, pipeline=project.id, id=str(number)))
            if found is not None:
                return found
        try:
            run = await self._single(project.id, str(number))
        except NotFound as exc:
            raise NotFound(f"There is no build #{number} in this project.", provider=self.label) from exc
        if has_pipelines and run.pipeline is not None:
            return await self.build(project.id, str(run.pipeline.id))
        for each in groups.grouped([run]):
            return await self.build(project.id, each.id)
        raise NotFound(f"GitLab does not say what build #{number} was made from.", provider=self.label)

    async def _single(self, pipeline: str, job: str) -> groups.BuildRun:
        return groups.BuildRun.of((await self._api.get(self.at(pipeline, "builds", quote(job, safe="")))).raw)

    async def _on_job(self, pipeline: str, job: str, word: str, done: Callable[[str], bool]) -> None:
        """Do a thing to a single build; where no answer came, its state tells whether it took effect."""

        async def send() -> bool | None:
            await self.post(pipeline, "builds", quote(job, safe=""), word)
            return True

        async def confirm() -> bool | None:
            return True if done((await self._single(pipeline, job)).word) else None

        await self.send_once(send, confirm)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return what the newest page of each project shows anew, and unfinished builds that are not on it.

        v3 cannot be asked what changed since a time. Requests per tick: one for each project, and for each build that
        changed or is unfinished and off the page one or two more.
        """
        known = Seen.read(cursor).at
        projects = sorted(watched.pipelines)
        looks = await self.each(lambda each: self._look(each, known.get(each, {})), projects)
        errors = [error for _, _, error in looks if error is not None]
        if errors and len(errors) == len(looks):
            raise errors[0]
        found = {
            f"{project} {build.id}": build
            for project, (_, news, _) in zip(projects, looks, strict=True)
            for build in news
        }
        after = {project: marks for project, (marks, _, _) in zip(projects, looks, strict=True)}
        missing = [
            key
            for key in sorted(watched.unfinished)
            if f"{key.pipeline} {key.id}" not in found and key.id not in after.get(key.pipeline, {})
        ]
        found.update(
            {
                f"{build.pipeline} {build.id}": build
                for build in await self.each(self.build_or_none, missing)
                if build is not None
            }
        )
        return Changes(builds=tuple(found.values()), cursor=msgspec.json.encode(Seen(at=after)).decode())

    async def _look(
        self, pipeline: str, known: dict[str, str]
    ) -> tuple[dict[str, str], list[Build], ProviderError | None]:
        """Return what a project's newest page marks and what is new on it, or why it could not be seen."""
        try:
            project = await self._project(pipeline)
            if await self._has_pipelines(project):
                reply = await self._api.get(self.at(project.id, "pipelines"), {"per_page": 30})
                runs = [wire.PipelineRun.of(item) for item in reply.items()]
                marks = {str(it.id): f"{it.status} {it.updated_at or it.finished_at}" for it in runs}
            else:
                reply = await self._api.get(self.at(project.id, "builds"), {"per_page": PER_PAGE})
                page = [groups.BuildRun.of(item) for item in reply.items()]
                marks = {each.id: each.mark for each in groups.grouped(page)}
            changed = [build for build, mark in marks.items() if known.get(build) != mark]
            keys = [BuildKey(connection=self.connection, pipeline=project.id, id=build) for build in changed]
            builds = await self.each(self.build_or_none, keys)
            return marks, [build for build in builds if build is not None], None
        except NotFound as exc:
            return known, [], exc
        except AuthFailed as exc:
            if exc.status != 403:
                raise
            return known, [], exc

    # what this one can do

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        needle = folded(query or "")
        for kind, path in ((RefKind.BRANCH, "repository/branches"), (RefKind.TAG, "repository/tags")):
            for item in (await self._api.get(self.at(pipeline, path))).items():
                name = wire.Named.of(item).name
                if needle in folded(name):
                    yield Ref(kind=kind, name=name)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a branch or a tag: as a pipeline where the server has that call (8.14), else with the trigger token."""
        if request.message or request.options:
            what = "a message" if request.message else f"the option `{next(iter(request.options))}`"
            raise Unsupported(f"A GitLab this old takes no {what.removeprefix('a ')}.", provider=self.label)
        if request.commit or (request.ref is not None and request.ref.kind in {RefKind.COMMIT, RefKind.PULL_REQUEST}):
            raise Unsupported(
                "A GitLab this old builds only branches and tags.",
                provider=self.label,
                hint="Name a branch or a tag that stands at the commit.",
            )
        project = await self._project(pipeline)
        ref = request.ref.name if request.ref else project.default_branch
        if not ref:
            raise Rejected("The project has no default branch yet.", provider=self.label, hint="Name a branch.")
        if not request.parameters and await self._has_pipelines(project):
            created = await self._create(project, ref)
            if created is not None:
                return created
        return await self._trigger(project, ref, request.parameters)

    async def _create(self, project: Pipeline, ref: str) -> Build | None:
        """Return the pipeline created on a ref, or None where the server has no such call (before 8.14)."""
        newest = await self._newest(project)

        async def send() -> Build | None:
            try:
                reply = await self.post(project.id, "pipeline", form={"ref": ref})
            except NotFound:
                return None
            except Rejected as exc:
                if exc.status != 405:
                    raise
                return None
            return self._run(wire.PipelineRun.of(reply.raw), project)

        return await self.send_once(send, lambda: self._since(project, ref, newest))

    async def _trigger(self, project: Pipeline, ref: str, variables: Mapping[str, str]) -> Build:
        token = self.options.trigger_token
        if token is None:
            raise Unsupported(
                "This GitLab starts builds (or takes variables) only with a trigger token.",
                provider=self.label,
                hint="Make one on the project's Triggers page and set `trigger_token` for the connection.",
            )
        newest = await self._newest(project)
        form = {"token": token.get_secret_value(), "ref": ref}
        form |= {f"variables[{key}]": value for key, value in variables.items()}

        async def send() -> Build | None:
            try:
                await self.post(project.id, "trigger/builds", form=form)
            except NotFound as exc:
                raise Rejected(
                    "GitLab does not know the trigger token for this project.",
                    provider=self.label,
                    status=exc.status,
                    hint="A trigger token belongs to one project; its Triggers page shows it.",
                ) from exc
            return None

        async def confirm() -> Build | None:
            return await self._since(project, ref, newest)

        # the answer names the trigger's request, not the build: what is new on the ref since then is ours
        started = await self.send_once(send, confirm)
        for pause in (0.0, 0.5, 1.5, 3.0):
            if started is not None:
                return started
            if pause:
                await self._sleep(pause)
            started = await confirm()
        raise Unavailable(
            "GitLab took the trigger, but I can't tell which build it started.",
            provider=self.label,
            hint="Look at the project's page before you repeat this.",
            acted=True,
        )

    async def _newest(self, project: Pipeline) -> int:
        what = "pipelines" if await self._has_pipelines(project) else "builds"
        reply = await self._api.get(self.at(project.id, what), {"per_page": 1})
        return max((wire.PipelineId.of(item).id for item in reply.items()), default=0)

    async def _since(self, project: Pipeline, ref: str, newest: int) -> Build | None:
        """Return the one build of a ref that is younger than `newest`; with several nobody can say which is ours."""
        if await self._has_pipelines(project):
            reply = await self._api.get(self.at(project.id, "pipelines"), {"per_page": 30})
            runs = [wire.PipelineRun.of(item) for item in reply.items()]
            young = [self._run(it, project) for it in runs if it.id > newest and it.ref == ref]
        else:
            reply = await self._api.get(self.at(project.id, "builds"), {"per_page": PER_PAGE})
            page = [groups.BuildRun.of(item) for item in reply.items()]
            within_window = [run for run in page if run.id > newest and run.ref == ref]
            young = [self._group(each, project) for each in groups.grouped(within_window)]
        return young[0] if len(young) == 1 else None

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build: its pipeline, or before 8.11 each open build of the group. Then reads until that shows."""
        if "@" not in build:

            async def send() -> Build:
                await self.post(pipeline, "pipelines", quote(build, safe=""), "cancel")
                return await self.settled(pipeline, build)

            async def confirm() -> Build | None:
                now = await self.build(pipeline, build)
                return now if now.completed else None

            return await self.send_once(send, confirm)
        is_open = {Status.QUEUED, Status.IN_PROGRESS}
        jobs = [each.id for each in await self.jobs(pipeline, build) if each.status in is_open]
        await self.on_jobs(lambda job: self._on_job(pipeline, job, "cancel", ENDED.__contains__), jobs, "cancelled")
        return await self.settled(pipeline, build)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start the same ref again, at its present head: the `commit` of what comes back tells."""
        old = await self.build(pipeline, build)
        kind, name = (RefKind.TAG, old.tag) if old.tag else (RefKind.BRANCH, old.branch)
        if not name:
            raise Rejected("GitLab does not say what that build was made from.", provider=self.label)
        return await self.start(pipeline, replace(request, ref=Ref(kind=kind, name=name), commit=None))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again: one, or those that failed or were cancelled."""
        if job is not None:
            await self._on_job(pipeline, job, "retry", OPEN.__contains__)
        elif not failed_only:
            raise self.unsupported(Capability.RETRY_ALL)
        elif "@" not in build:
            await self.post(pipeline, "pipelines", quote(build, safe=""), "retry")
        else:
            lost = {Conclusion.FAILED, Conclusion.CANCELLED}
            jobs = [
                each.id for each in await self.jobs(pipeline, build) if each.conclusion in lost and not each.retried
            ]
            if not jobs:
                raise Rejected("No job of that build has failed.", provider=self.label)
            await self.on_jobs(lambda each: self._on_job(pipeline, each, "retry", OPEN.__contains__), jobs, "restarted")
        return await self.build(pipeline, build)

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete the logs and artifacts of each completed job."""
        jobs = [each.id for each in await self.jobs(pipeline, build) if each.status is Status.COMPLETED]
        await self.on_jobs(lambda job: self.post(pipeline, "builds", job, "erase"), jobs, "erased")
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a build's jobs in the order they were made; tries superseded by a later one are marked."""
        project = await self._project(pipeline)
        return groups.jobs(await self._members(project, build), build_id=build, project=project)

    async def _members(self, project: Pipeline, build: str) -> list[groups.BuildRun]:
        if "@" in build:
            return list((await self._group_of(project.id, build)).runs)
        reply = await self._api.get(self.at(project.id, "pipelines", quote(build, safe="")))
        it = wire.PipelineRun.of(reply.raw)
        if not it.sha:
            return []
        runs = await self._runs(project.id, it.sha)
        return [run for run in runs if run.pipeline is not None and run.pipeline.id == it.id]

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        return await self.tail(self.at(job.pipeline, "builds", quote(job.id, safe=""), "trace"), job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        project = await self._project(pipeline)
        members = groups.newest(await self._members(project, build))
        return tuple(each for run in members for each in groups.files(run, build_id=build, project=project))

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        path = self.at(artifact.pipeline, "builds", quote(artifact.id.partition("/")[0], safe=""), "artifacts")
        async for chunk in self._api.download(path, headers={"Accept": "*/*"}):
            yield chunk

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed jobs. v3 does not say which of them were allowed to fail."""
        return tuple(
            Issue(kind=IssueKind.ERROR, message=f"Job {each.name}: failed", job=each.name, url=each.web_url)
            for each in await self.jobs(pipeline, build)
            if each.conclusion is Conclusion.FAILED and not each.retried
        )

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return how many jobs failed; the rest v3 does not tell."""
        return IssueCounts(errors=len(await self.issues(build.pipeline, build.id)))

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        return tuple(
            Approval(id=f"job/{each.id}", build=build, pipeline=pipeline, name=each.name, job=each.id, url=each.web_url)
            for each in await self.jobs(pipeline, build)
            if each.raw_state == "manual" and not each.retried
        )

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        if fields:
            raise Unsupported("A GitLab this old takes no variables for a manual job.", provider=self.label)
        await self._on_job(approval.pipeline, approval.id.partition("/")[2], "play", (OPEN | ENDED).__contains__)
        return await self.build(approval.pipeline, approval.build)

    # for ourselves

    async def _project(self, pipeline: str) -> Pipeline:
        """Return a project, asked for once: every address of a build needs its path."""
        known = self._projects.get(pipeline)
        return known if known is not None else await self.pipeline(pipeline)

    async def _has_pipelines(self, project: Pipeline) -> bool:
        """Return whether the server has pipelines (8.11 and later), found out once.

        8.13 and later tell their version. Between, a project we can see whose pipelines are not there has none.
        """
        if self._with_pipelines is None:
            version = re.match(r"(\d+)\.(\d+)", await self._version() or "")
            if version:
                self._with_pipelines = (int(version[1]), int(version[2])) >= PIPELINES_SINCE
            else:
                try:
                    await self._api.get(self.at(project.id, "pipelines"), {"per_page": 1})
                    self._with_pipelines = True
                except NotFound:
                    self._with_pipelines = False
        return self._with_pipelines

    async def _runs(self, pipeline: str, sha: str) -> list[groups.BuildRun]:
        path = self.at(pipeline, "repository/commits", quote(sha, safe=""), "builds")
        return [groups.BuildRun.of(item) async for item in self._all(path, {})]

    async def _all(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[msgspec.Raw]:
        """Yield a list's items. Some v3 lists have no paging headers, so a full page without them means another."""
        pages = self._api.pages(path, {**query, "per_page": PER_PAGE}, next_page=next_or_more, ceiling=SEARCH_PAGES)
        async for page in pages:
            for item in page:
                yield item

    def _run(self, it: wire.PipelineRun, project: Pipeline) -> Build:
        build = wire.build(it, connection=self.connection, pipeline=project.id, root=self.root)
        page = f"{self.root}/{project.path}/pipelines/{it.id}"
        return replace(build, number=it.id, pipeline=project.id, repo=project.path, web_url=page)

    def _group(self, it: groups.Group, project: Pipeline) -> Build:
        return groups.build(it, connection=self.connection, project=project, root=self.root)


def next_or_more(reply: Reply) -> str | None:
    """Return the next page as the headers have it; where there are none, the next number after a full page."""
    if "x-next-page" in reply.headers or "link" in reply.headers:
        return wire.next_page(reply)
    if len(reply.items()) < PER_PAGE:
        return None
    at = re.search(r"[?&]page=(\d+)", reply.url)
    return wire.with_page(reply.url, int(at[1]) + 1 if at else 2)
