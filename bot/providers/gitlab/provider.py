"""GitLab's REST API v4: what a server from 9.0 on can do. `poll.py` holds its account-wide poll."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import quote

from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse, Unsupported
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
    Outcome,
    Parameter,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    TestCase,
    Watched,
)
from bot.core.text import folded
from bot.http.client import Api, Query, Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.times import parse_time
from bot.providers.gitlab import wire
from bot.providers.gitlab.client import PER_PAGE, GitLabOptions, GitLabServer
from bot.providers.gitlab.graphql import Graph
from bot.providers.gitlab.poll import Poll

K = TypeVar("K")
V = TypeVar("V")

EXPIRY_WARNING: Final = timedelta(days=14)
REPORT_BYTES: Final = 8 * 1024 * 1024
REMEMBERED: Final = 512
NARROWED: Final[Mapping[frozenset[str], str]] = {
    frozenset({"passed"}): "success",
    frozenset({"failed"}): "failed",
    frozenset({"cancelled"}): "canceled",
    frozenset({"skipped"}): "skipped",
    frozenset({"blocked"}): "manual",
}
PLAIN_SOURCES: Final = frozenset({"push", "merge_request_event"})
CAPABILITIES: Final = frozenset(Capability) - {Capability.RETRY_ALL, Capability.PIPELINE_ADMIN}


class GitLabV4(GitLabServer):
    """A GitLab of today; its pipelines are our builds, its projects our pipelines."""

    capabilities = CAPABILITIES

    def __init__(
        self, api: Api, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._graph = Graph(api, self.root)
        self._poll = Poll(self, api, self._graph, clock)
        self._commits: dict[tuple[str, str], wire.Commit] = {}
        self._merges: dict[tuple[str, str], wire.MergeRequest] = {}
        self._paths: dict[str, str] = {}

    # what every system can do

    @override
    async def check(self) -> Account:
        """Return whose token this is. Costs three requests; a server without one of the pages does without."""
        token = await self._or_none(self._api.get("personal_access_tokens/self"))
        about = wire.Token.of(token.raw) if token else wire.Token()
        user = await self.whose('An older server than 9.0 needs `api_version = "v3"`.')
        version = await self._or_none(self._api.get("version"))
        server = wire.Server.of(version.raw).version if version else None
        scopes = about.scopes or []
        missing = () if not scopes or "api" in scopes else ("api (start, cancel, retry, approve)",)
        if scopes and not {"api", "read_api"} & set(scopes):
            missing = ("read_api (watch)", *missing)
        expires = parse_time(about.expires_at)
        warnings = (
            (f"The token ends on {expires:%d %B %Y}.",) if expires and expires - self._clock() < EXPIRY_WARNING else ()
        )
        return Account(
            name=user.username or user.name or about.name or "unknown",
            detail=f"GitLab {server}" if server else None,
            missing=missing,
            warnings=warnings,
            expires_at=expires,
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        needle = folded(query or "")
        # GitLab matches words of less than three letters only whole
        search = query if query and len(query) >= 3 else None
        if self.options.group:
            path = f"groups/{quote(self.options.group, safe='')}/projects"
            wanted: Query = {
                "include_subgroups": True,
                "archived": False,
                "simple": True,
                "order_by": "id",
                "search": search and search.rpartition("/")[2],
                "per_page": PER_PAGE,
            }
        else:
            path = "projects"
            wanted = {
                "membership": True,
                "archived": False,
                "simple": True,
                "order_by": "id",
                "pagination": "keyset",
                "search": search,
                "search_namespaces": True if search else None,
                "per_page": PER_PAGE,
            }
        async for page in self._api.pages(path, wanted, next_page=wire.next_page):
            for item in page:
                it = wire.project(item)
                if needle in folded(it.path) or needle in folded(it.name):
                    yield it

    @override
    async def pipeline(self, path: str) -> Pipeline:
        it = wire.project((await self._api.get(self.at(path))).raw)
        self._keep(self._paths, it.id, it.path)
        return it

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds from the list, which names neither users nor end times. One request for a hundred."""
        commit = wanted.commit
        if commit is not None and len(commit) < 40:
            known = await self._or_none(self._api.get(self.at(pipeline, "repository/commits", quote(commit, safe=""))))
            if known is None:
                return
            commit = wire.Commit.of(known.raw).id
        status = NARROWED.get(wanted.states)
        narrowed = not wanted.states or status is not None
        query = {
            "ref": wanted.branch,
            "sha": commit,
            "status": status,
            "per_page": min(wanted.limit, PER_PAGE) if narrowed else PER_PAGE,
        }
        left = wanted.limit
        pages = self._api.pages(self.at(pipeline, "pipelines"), query, next_page=wire.next_page, ceiling=SEARCH_PAGES)
        async for page in pages:
            for item in page:
                it = self._build(wire.PipelineRun.of(item), pipeline)
                if wanted.admits(it):
                    yield it
                    left -= 1
                    if left <= 0:
                        return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build with its commit.

        Costs one request, one more for a commit or a merge request not yet known, and one for a failed build's jobs.
        """
        reply = await self._api.get(self.at(pipeline, "pipelines", quote(build, safe="")))
        return await self.whole(wire.PipelineRun.of(reply.raw), pipeline)

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
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        return await self._poll.changes(cursor, watched)

    # what this one can do

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        wanted: Query = {"search": query or None, "per_page": PER_PAGE}
        for kind, path in ((RefKind.BRANCH, "repository/branches"), (RefKind.TAG, "repository/tags")):
            pages = self._api.pages(self.at(pipeline, path), wanted, next_page=wire.next_page, ceiling=SEARCH_PAGES)
            async for page in pages:
                for item in page:
                    yield Ref(kind=kind, name=wire.Named.of(item).name)
        opened = await self._or_none(self._api.get(self.at(pipeline, "merge_requests"), {"state": "opened", **wanted}))
        for item in opened.items() if opened else ():
            it = wire.MergeRequest.of(item)
            yield Ref(kind=RefKind.PULL_REQUEST, name=str(it.iid), title=it.title)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the inputs and described variables of a ref's pipeline, as GraphQL tells them.

        Costs two requests, two more for a project not yet known, and up to two while GitLab computes the variables.
        """
        path = await self._path(pipeline)
        name = ref.name if ref else (await self.pipeline(pipeline)).default_branch or "HEAD"
        found: list[Parameter] = []
        refused: ProviderError | None = None
        try:
            found += [wire.input_field(each) for each in await self._graph.inputs(path, name)]
        except (Rejected, NotFound, AuthFailed, UnexpectedResponse) as exc:
            refused = exc
        try:
            variables = await self._variables(path, name)
        except (Rejected, NotFound, AuthFailed, UnexpectedResponse):
            if refused is not None:  # neither is known here: say so rather than "there are none"
                raise self.unsupported(Capability.PARAMETERS) from refused
            variables = []
        return (*found, *variables)

    async def _variables(self, path: str, ref: str) -> list[Parameter]:
        for pause in (0.0, 1.0, 2.0):
            if pause:
                await self._sleep(pause)
            listed = await self._graph.variables(path, ref)
            if listed is not None:
                return [each for item in listed if (each := wire.prefilled(item)) is not None]
        return []

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a pipeline on a branch, a tag or a merge request. Costs two requests: the newest id, and the start."""
        variables, inputs = self._given(request)
        ref = request.ref
        if ref is not None and ref.kind is RefKind.PULL_REQUEST:
            if variables or inputs:
                raise Unsupported(
                    "GitLab takes no variables or inputs for a merge request's pipeline.",
                    provider=self.label,
                    hint="Start its source branch instead.",
                )
            return await self._start_merge(pipeline, ref.name)
        name = ref.name if ref else (await self.pipeline(pipeline)).default_branch
        if not name:
            raise Rejected("The project has no default branch yet.", provider=self.label, hint="Name a branch.")
        listed = [{"key": key, "value": value} for key, value in variables.items()]
        values = await self._typed(pipeline, name, inputs) if inputs else {}
        return await self._start_ref(pipeline, name, listed, values)

    async def _start_ref(
        self, pipeline: str, ref: str, variables: list[dict[str, str]], inputs: Mapping[str, object]
    ) -> Build:
        newest = await self._newest(pipeline)
        body: dict[str, object] = {"ref": ref}
        if variables:
            body["variables"] = variables
        if inputs:
            body["inputs"] = inputs

        async def send() -> Build:
            return self._build(wire.PipelineRun.of((await self._create(pipeline, body)).raw), pipeline)

        async def confirm() -> Build | None:
            query: Query = {"ref": ref, "per_page": 20}
            return await self._only_new(pipeline, self.at(pipeline, "pipelines"), query, newest, {"api", "trigger"})

        return await self.send_once(send, confirm)

    async def _create(self, pipeline: str, body: Mapping[str, object]) -> Reply:
        trigger = self.options.trigger_token
        if trigger is None:
            return await self.post(pipeline, "pipeline", json=body)
        variables = body.get("variables")
        flat = {each["key"]: each["value"] for each in variables} if isinstance(variables, list) else {}
        mine = {**body, "token": trigger.get_secret_value(), "variables": flat}
        try:
            return await self.post(pipeline, "trigger/pipeline", json=mine)
        except NotFound:
            # the token belongs to another project; nothing was started
            return await self.post(pipeline, "pipeline", json=body)

    async def _start_merge(self, pipeline: str, iid: str) -> Build:
        path = self.at(pipeline, "merge_requests", quote(iid, safe=""), "pipelines")
        newest = await self._newest(pipeline)

        async def send() -> Build:
            reply = await self.post(pipeline, "merge_requests", quote(iid, safe=""), "pipelines")
            return self._build(wire.PipelineRun.of(reply.raw), pipeline)

        async def confirm() -> Build | None:
            return await self._only_new(pipeline, path, None, newest, {"merge_request_event"})

        return await self.send_once(send, confirm)

    async def _newest(self, pipeline: str) -> int:
        """Return the newest pipeline's id, so that after a time-out ours is told from older ones. One request."""
        reply = await self._api.get(self.at(pipeline, "pipelines"), {"per_page": 1})
        return max((wire.PipelineRun.of(item).id for item in reply.items()), default=0)

    async def _only_new(
        self, pipeline: str, path: str, query: Query | None, newest: int, sources: set[str]
    ) -> Build | None:
        """Return the one build younger than `newest` of these sources; with several nobody can say which is ours."""
        runs = [wire.PipelineRun.of(item) for item in (await self._api.get(path, query)).items()]
        ours = [each for each in runs if each.id > newest and each.source in sources]
        return self._build(ours[0], pipeline) if len(ours) == 1 else None

    def _given(self, request: StartRequest) -> tuple[dict[str, str], dict[str, str]]:
        """Return a request's variables and inputs. Raises Unsupported by name for what GitLab does not take."""
        if request.message:
            raise Unsupported("GitLab takes no message for a build.", provider=self.label, hint="Leave it out.")
        if request.commit or (request.ref is not None and request.ref.kind is RefKind.COMMIT):
            raise Unsupported(
                "GitLab builds branches and tags, not single commits.",
                provider=self.label,
                hint="Name a branch or a tag that stands at the commit.",
            )
        inputs: dict[str, str] = {}
        for name, value in request.options.items():
            if not name.startswith("input.") or name == "input.":
                raise Unsupported(
                    f"GitLab has no option `{name}`.",
                    provider=self.label,
                    hint="It takes `input.NAME=VALUE` for pipeline inputs.",
                )
            inputs[name.removeprefix("input.")] = value
        variables: dict[str, str] = {}
        for name, value in request.parameters.items():  # a variable's name never holds a dot
            if name.startswith("input."):
                inputs[name.removeprefix("input.")] = value
            else:
                variables[name] = value
        return variables, inputs

    async def _typed(self, pipeline: str, ref: str, inputs: Mapping[str, str]) -> dict[str, object]:
        """Return inputs as their types want them; where GraphQL does not tell the types, as the texts they are."""
        try:
            kinds = {each.name: each.type for each in await self._graph.inputs(await self._path(pipeline), ref)}
        except (Rejected, NotFound, AuthFailed, UnexpectedResponse):
            kinds = {}
        return {name: wire.typed(value, kinds.get(name)) for name, value in inputs.items()}

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build and read it until that shows, at most five times: GitLab answers 200 whatever it did."""

        async def send() -> Build:
            await self.post(pipeline, "pipelines", quote(build, safe=""), "cancel")
            return await self.settled(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed or now.raw_state == "canceling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new pipeline on the same ref with the old variables; GitLab has no call of its own for that.

        It builds the ref's present head: the `commit` of what comes back tells. Costs four requests.
        """
        reply = await self._api.get(self.at(pipeline, "pipelines", quote(build, safe="")))
        old = wire.PipelineRun.of(reply.raw)
        before = self._build(old, pipeline)
        changed, inputs = self._given(replace(request, ref=None, commit=None))
        if old.source == "parent_pipeline":
            raise Unsupported(
                "A child pipeline can't be built again by itself.",
                provider=self.label,
                hint="Rebuild its parent, or retry its failed jobs.",
            )
        if before.pull_request:
            return await self.start(
                pipeline,
                replace(
                    request, ref=Ref(kind=RefKind.PULL_REQUEST, name=before.pull_request), commit=None, message=None
                ),
            )
        if not old.ref:
            raise Rejected("GitLab does not say what that build was made from.", provider=self.label)
        variables = {each.key: each for each in await self._old_variables(pipeline, build, old.source)}
        listed = [
            {"key": key, "value": value, "variable_type": "env_var"}
            if (value := changed.get(key)) is not None
            else {"key": key, "value": each.value or "", "variable_type": each.variable_type or "env_var"}
            for key, each in variables.items()
        ]
        listed += [{"key": key, "value": value} for key, value in changed.items() if key not in variables]
        values = await self._typed(pipeline, old.ref, inputs) if inputs else {}
        return await self._start_ref(pipeline, old.ref, listed, values)

    async def _old_variables(self, pipeline: str, build: str, source: str | None) -> list[wire.Variable]:
        try:
            reply = await self._api.get(self.at(pipeline, "pipelines", quote(build, safe=""), "variables"))
        except AuthFailed as exc:
            if exc.status == 403 and source in PLAIN_SOURCES:  # such pipelines are given none
                return []
            raise AuthFailed(
                "I may not read that build's variables, so I can't build the same again.",
                provider=self.label,
                status=exc.status,
                hint="`/build run` starts the ref with variables of your own.",
            ) from exc
        return [wire.Variable.of(item) for item in reply.items()]

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again within the same pipeline, which keeps its id and number. Costs one request and a read."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL)

        async def send() -> Build:
            if job is not None:
                await self.post(pipeline, "jobs", quote(job, safe=""), "retry")
                return await self.build(pipeline, build)
            reply = await self.post(pipeline, "pipelines", quote(build, safe=""), "retry")
            return await self.whole(wire.PipelineRun.of(reply.raw), pipeline)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return None if now.completed else now

        return await self.send_once(send, confirm)

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete the logs and artifacts of each completed job. Costs a request for each, and two reads."""
        jobs = [
            str(it.id)
            for it in await self._runs(pipeline, build)
            if it.erased_at is None and wire.job(it, build_id=build, pipeline=pipeline).status is Status.COMPLETED
        ]
        await self.on_jobs(lambda job: self.post(pipeline, "jobs", job, "erase"), jobs, "erased")
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return the latest try of each job, trigger jobs included, in the order GitLab made them. Two requests."""
        runs = [*await self._runs(pipeline, build), *await self._bridges(pipeline, build)]
        return tuple(wire.job(it, build_id=build, pipeline=pipeline) for it in wire.current(runs))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        return await self.tail(self.at(job.pipeline, "jobs", quote(job.id, safe=""), "trace"), job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        runs = wire.current(await self._runs(pipeline, build))
        return tuple(each for it in runs for each in wire.files(it, build_id=build, pipeline=pipeline))

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
        path = self.at(artifact.pipeline, "jobs", quote(job, safe=""), "artifacts" if kind == "archive" else "trace")
        async for chunk in self._api.download(path, headers={"Accept": "*/*"}):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return a build's tests, failed ones first. One request; a report above 8 MiB is refused."""
        path = self.at(pipeline, "pipelines", quote(build, safe=""), "test_report")
        return wire.cases((await self._api.get(path, cap=REPORT_BYTES)).raw)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed jobs as errors (tolerated ones as warnings), then failed tests. Two or three requests."""
        red = [
            each
            for each in await self.jobs(pipeline, build)
            if each.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}
        ]
        found = sorted((_issue(each) for each in red), key=lambda each: each.kind is IssueKind.WARNING)
        if not red:
            reply = await self._api.get(self.at(pipeline, "pipelines", quote(build, safe="")))
            it = wire.PipelineRun.of(reply.raw)
            if it.yaml_errors:
                return (Issue(kind=IssueKind.ERROR, message=it.yaml_errors, file=".gitlab-ci.yml", url=it.web_url),)
        try:
            failed = [each for each in await self.tests(pipeline, build) if each.outcome is Outcome.FAILED]
        except (NotFound, AuthFailed, UnexpectedResponse):  # the report is a bonus: jobs alone are an answer
            failed = []
        found += [
            Issue(
                kind=IssueKind.TEST_FAILURE,
                message=f"{each.name}: {each.message}" if each.message else each.name,
                job=each.detail,
                file=each.file,
            )
            for each in failed
        ]
        return tuple(found)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return a build's counts.

        Costs one request for the jobs; one more where they left a test report, one where they left a code quality
        report, and one where no job says why the build failed (a trigger job then does).
        """
        pipeline, number = build.pipeline, build.id
        runs = wire.current(await self._runs(pipeline, number))
        jobs = [wire.job(it, build_id=number, pipeline=pipeline) for it in runs]
        if build.conclusion is Conclusion.FAILED and not wire.failures(jobs)[0]:
            bridges = wire.current(await self._bridges(pipeline, number))
            jobs += [wire.job(it, build_id=number, pipeline=pipeline) for it in bridges]
        errors, warnings = wire.failures(jobs)
        reports = {file.file_type for it in runs for file in it.artifacts or ()}
        counted = IssueCounts(errors=errors, warnings=warnings)
        if "junit" in reports:
            path = self.at(pipeline, "pipelines", quote(number, safe=""), "test_report_summary")
            summary = await self._or_none(self._api.get(path))
            if summary is not None:
                counted = counted.filled(wire.test_counts(summary.raw))
        if "codequality" in reports and build.number is not None:
            counted = counted.filled(IssueCounts(analyzer_warnings=await self._quality(pipeline, build.number)))
        return counted

    async def _quality(self, pipeline: str, number: int) -> int | None:
        try:
            return await self._graph.quality(await self._path(pipeline), number)
        except (Rejected, NotFound, AuthFailed, UnexpectedResponse):  # only paid editions know this field
            return None

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the manual jobs and the deployments that wait for approval. One request, two where there are some."""
        runs = wire.current(await self._runs(pipeline, build, scope="manual"))
        if not runs:
            return ()
        waiting: dict[int, wire.Deployment] = {}
        query: Query = {"status": "blocked", "order_by": "id", "sort": "desc", "per_page": PER_PAGE}
        blocked = await self._or_none(self._api.get(self.at(pipeline, "deployments"), query))
        for item in blocked.items() if blocked else ():
            it = wire.Deployment.of(item)
            if it.deployable is not None:
                waiting[it.deployable.id] = it
        return tuple(_gate(it, waiting.get(it.id), build=build, pipeline=pipeline) for it in runs)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Play a manual job, `fields` being its variables, or approve or reject a deployment. A request and a read."""
        kind, _, number = approval.id.partition("/")
        if kind == "deployment":
            body = {"status": "approved" if approve else "rejected"} | ({"comment": comment} if comment else {})
            await self.post(approval.pipeline, "deployments", quote(number, safe=""), "approval", json=body)
            return await self.build(approval.pipeline, approval.build)
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        given = [{"key": key, "value": value} for key, value in (fields or {}).items()]
        job = quote(number, safe="")

        async def send() -> Build:
            await self.post(
                approval.pipeline, "jobs", job, "play", json={"job_variables_attributes": given} if given else None
            )
            return await self.build(approval.pipeline, approval.build)

        async def confirm() -> Build | None:
            reply = await self._api.get(self.at(approval.pipeline, "jobs", job))
            if wire.JobRun.of(reply.raw).status == "manual":
                return None
            return await self.build(approval.pipeline, approval.build)

        return await self.send_once(send, confirm)

    # for the poll and for ourselves

    async def whole(self, it: wire.PipelineRun, pipeline: str, commit: wire.Commit | None = None) -> Build:
        """Return a build with its commit, its merge request's branches and, when failed, why: see `build`."""
        build = self._build(it, pipeline)
        if build.conclusion is Conclusion.FAILED:
            runs = wire.current(await self._runs(pipeline, build.id, scope="failed"))
            jobs = [wire.job(each, build_id=build.id, pipeline=pipeline) for each in runs]
            errors, warnings = wire.failures(jobs)
            if errors:
                build = replace(build, issues=replace(build.issues, errors=errors, warnings=warnings))
            if wire.timed_out(jobs):
                build = replace(build, conclusion=Conclusion.TIMEOUT)
        if build.commit:
            known = commit or await self._commit(pipeline, build.commit)
            if known is not None:
                build = replace(build, message=known.message or known.title, author=wire.author(known))
        if build.pull_request:
            build = await self._with_branches(build, pipeline, build.pull_request)
        return build

    async def _with_branches(self, build: Build, pipeline: str, iid: str) -> Build:
        key = (pipeline, iid)
        if key not in self._merges:
            reply = await self._or_none(self._api.get(self.at(pipeline, "merge_requests", iid)))
            if reply is None:
                return build
            self._keep(self._merges, key, wire.MergeRequest.of(reply.raw))
        it = self._merges[key]
        # a fork's `main` is not ours: its branch stays unknown, the number of the merge request says enough
        ours = it.source_project_id is not None and it.source_project_id == it.target_project_id
        return replace(build, branch=it.source_branch if ours else None, target_branch=it.target_branch)

    async def _commit(self, pipeline: str, sha: str) -> wire.Commit | None:
        key = (pipeline, sha)
        if key not in self._commits:
            reply = await self._or_none(self._api.get(self.at(pipeline, "repository/commits", quote(sha, safe=""))))
            if reply is None:
                return None
            self._keep(self._commits, key, wire.Commit.of(reply.raw))
        return self._commits[key]

    async def _path(self, pipeline: str) -> str:
        if pipeline not in self._paths:
            self._keep(self._paths, pipeline, (await self.pipeline(pipeline)).path)
        return self._paths[pipeline]

    async def _runs(self, pipeline: str, build: str, scope: str | None = None) -> list[wire.JobRun]:
        path = self.at(pipeline, "pipelines", quote(build, safe=""), "jobs")
        return await self._listed(path, {"scope": scope, "per_page": PER_PAGE})

    async def _bridges(self, pipeline: str, build: str) -> list[wire.JobRun]:
        """Return the trigger jobs: `bridges`, or what GitLab 19.2 calls them."""
        for name in ("bridges", "trigger_jobs"):
            path = self.at(pipeline, "pipelines", quote(build, safe=""), name)
            try:
                return await self._listed(path, {"per_page": PER_PAGE} if name == "bridges" else {})
            except NotFound:
                continue
            except AuthFailed as exc:
                if exc.status != 403:
                    raise
                break
        return []

    async def _listed(self, path: str, query: Query) -> list[wire.JobRun]:
        pages = self._api.pages(path, query, next_page=wire.next_page, ceiling=SEARCH_PAGES)
        return [wire.JobRun.of(item) async for page in pages for item in page]

    def _build(self, it: wire.PipelineRun, pipeline: str) -> Build:
        return wire.build(it, connection=self.connection, pipeline=pipeline, root=self.root)

    async def _or_none(self, asked: Awaitable[Reply]) -> Reply | None:
        """Return an answer we can do without: None where it is not there or not for this token."""
        try:
            return await asked
        except NotFound:
            return None
        except AuthFailed as exc:
            if exc.status == 401:
                raise
            return None

    @staticmethod
    def _keep(memory: dict[K, V], key: K, value: V) -> None:
        """Remember a thing that does not change, the oldest giving way."""
        memory[key] = value
        if len(memory) > REMEMBERED:
            del memory[next(iter(memory))]


def _issue(job: Job) -> Issue:
    why = (job.reason or "failed").replace("_", " ")
    return Issue(
        kind=IssueKind.WARNING if job.tolerated else IssueKind.ERROR,
        message=f"Job {job.name}: {why}",
        job=job.name,
        url=job.web_url,
    )


def _gate(it: wire.JobRun, deployment: wire.Deployment | None, *, build: str, pipeline: str) -> Approval:
    name = it.name or str(it.id)
    place = deployment.environment.name if deployment and deployment.environment else None
    return Approval(
        id=f"deployment/{deployment.id}" if deployment else f"job/{it.id}",
        build=build,
        pipeline=pipeline,
        name=name,
        job=str(it.id),
        can_reject=deployment is not None,
        instructions=f"Deployment to {place}" if place else None,
        url=it.web_url,
    )
