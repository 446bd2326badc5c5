"""Requests to Azure DevOps: versions, pages, sign-in pages, limits, and the answers that several operations need."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta

import httpx
import msgspec

from bot.core.clock import Clock
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    UsageError,
)
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    IssueCounts,
    Job,
    Outcome,
    Pipeline,
    Ref,
    RefKind,
    Scope,
    TestCase,
)
from bot.core.text import holds_name, same_name
from bot.http.client import ApiClient, Query
from bot.http.quota import Quota, retry_after
from bot.http.reply import Reply
from bot.providers.azure_devops import convert, stages, start, urls, wire
from bot.providers.azure_devops.convert import HEADS, TAGS
from bot.providers.azure_devops.options import BUILD, LABEL, AzureOptions
from bot.providers.azure_devops.stages import TimelineTree
from bot.providers.azure_devops.start import StartBody
from bot.providers.azure_devops.urls import PipelinePath, build_path, project_path
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.memory import AbsentOperations
from bot.providers.base.times import parse_time

log = logging.getLogger(__name__)

PER_PAGE = 100
EARLIER_TIMELINES = 5
NAMESAKES = 5
"""How many builds of one number are compared."""
TEST_RUNS = 10
TEST_SUMMARY = "resultsummarybybuild"
TEST_RESULTS = 1000
FAILED_OUTCOMES = "Failed,Error,Timeout,Aborted"
UNITS = 200
"""Throughput units that an identity has in any five minutes."""
GONE = (NotFound, Rejected, UnexpectedResponse)
"""How a server answers that it has no such thing; what only adds to a build is then left out."""
REFUSED = (AuthFailed, *GONE)


class Client:
    """One organization or collection, as the operations ask it."""

    def __init__(self, api: ApiClient, options: AzureOptions, connection: str, clock: Clock) -> None:
        self._api = api
        self._options = options
        self._connection = connection
        self._me = ""
        self.absent = AbsentOperations(clock)

    # requests

    def versioned(self, query: Query, *, preview: bool = False) -> Query:
        """Return a query with the API's version, which no request goes without."""
        version = self._options.api_version
        return {**query, "api-version": f"{version}-preview.1" if preview else version}

    async def get(self, path: str, query: Query | None = None, *, preview: bool = False) -> Reply:
        """Return the answer to a read. Raises AuthFailed for a sign-in page."""
        return _data(await self._api.get(path, self.versioned(query or {}, preview=preview)))

    async def send(self, method: str, path: str, body: object, query: Query | None = None) -> Reply:
        """Return the answer to a write, never repeated. Raises Unavailable for a page: it may have acted."""
        reply = await self._api.send(method, path, json=body, query=self.versioned(query or {}))
        if reply.is_page:
            raise Unavailable(f"{LABEL} answered with a web page.", provider=LABEL, status=reply.status, acted=True)
        return reply

    async def pages(self, path: str, query: Query, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a list's items page by page, at most `ceiling` pages."""
        listing = self._api.replies(path, self.versioned(query), next_page=_next_page, ceiling=ceiling)
        async with aclosing(listing) as replies:
            async for reply in replies:
                yield _data(reply).items("value")

    async def user(self) -> wire.AuthenticatedUser:
        """Return whose credentials these are, as a call outside the published API reports."""
        reply = await self.get(urls.connection_path(), preview=True)
        return wire.ConnectionData.of(reply.raw).authenticated_user

    async def own_id(self) -> str:
        """Return the id of whose credentials these are; asked once. Raises UnexpectedResponse where none is reported."""
        self._me = self._me or (await self.user()).id or ""
        if not self._me:
            raise UnexpectedResponse(f"{LABEL} does not say whose credentials these are.", provider=LABEL)
        return self._me

    async def account(self) -> Account:
        """Return whose credentials these are and what they lack. Costs three requests. Raises NotFound."""
        project = self._options.project
        if project:
            await self._find_project(project)
        else:
            listed = await self.get(urls.projects_path(), {"$top": 1})
            project = next((item.id for item in parse_items(listed.items("value"), wire.Project.of)), "")
        missing: tuple[Scope, ...] = ()
        if project:
            try:
                await self.get(project_path(project, "build", "definitions"), {"$top": 1})
            except (AuthFailed, NotFound):
                missing = (BUILD,)
        try:
            user = await self.user()
        except REFUSED:
            user = wire.AuthenticatedUser()
        return Account(
            name=user.custom_display_name or user.provider_display_name or "a token",
            detail="/".join(filter(None, (self._options.organization, self._options.project))),
            missing=missing,
            warnings=() if project else ("These credentials see no project of the organization.",),
        )

    # pipelines

    def split(self, pipeline: str) -> tuple[str, str]:
        """Return the project and the definition's number in a pipeline's id. Raises NotFound for what is none."""
        project, slash, definition = pipeline.partition("/")
        if not slash or not project or not urls.is_number(definition):
            raise self.no_pipeline(pipeline)
        return project, definition

    def no_pipeline(self, path: str) -> NotFound:
        """Return the error for words that name no pipeline."""
        form = "`name`" if self._options.project else "`project/name`"
        return NotFound(
            f"There is no pipeline {path[:80]!r} at {LABEL}.",
            provider=LABEL,
            hint=f"A pipeline is called {form} here; its page's address does as well.",
        )

    async def _find_project(self, project: str) -> None:
        """Raise NotFound where these credentials see no such project. Costs one request."""
        try:
            wire.Project.of((await self.get(urls.projects_path(project))).raw)
        except NotFound as exc:
            raise NotFound(
                f"These credentials see no project {project} in {self._options.organization}.",
                provider=LABEL,
                status=exc.status,
                hint="`project` is the name in dev.azure.com/ORGANIZATION/PROJECT; the user must be a member.",
            ) from exc

    async def definition(self, project: str, number: str) -> wire.Definition:
        """Return a definition with its repository, variables and process. Costs one request."""
        return wire.Definition.of((await self.get(project_path(project, "build", "definitions", number))).raw)

    async def definition_for_start(self, project: str, number: str) -> wire.Definition:
        """Return a definition, or a bare one where it can't be read: that alone blocks no start. Costs one request."""
        try:
            return await self.definition(project, number)
        except RateLimited:
            raise
        except ProviderError as exc:
            if exc.status == httpx.codes.UNAUTHORIZED:
                raise
            log.warning("a pipeline's definition can't be read before a start", extra={"error": str(exc)})
            return wire.Definition(id=int(number))

    def pipeline(self, definition: wire.Definition, project: str, *, with_folder: bool = False) -> Pipeline:
        """Return a definition as a pipeline."""
        return convert.pipeline(
            definition,
            urls.pipeline_page(urls.site(self._options), project, definition.id),
            project=project,
            single_project=bool(self._options.project),
            with_folder=with_folder,
        )

    async def pipelines(self, project: str, name: str | None) -> list[Pipeline]:
        """Return a project's pipelines, those of one name in several folders with their folders. One request a page.

        `name` may hold `*`.
        """
        query: Query = {
            "name": name,
            "includeAllProperties": True,  # the short form has no default branch
            "queryOrder": "definitionNameAscending",
            "$top": PER_PAGE,
        }
        definitions: list[wire.Definition] = []
        async for page in self.pages(project_path(project, "build", "definitions"), query):
            definitions += parse_items(page, wire.Definition.of)
        names = Counter((definition.name or "").lower() for definition in definitions)
        return [
            self.pipeline(definition, project, with_folder=names[(definition.name or "").lower()] > 1)
            for definition in definitions
        ]

    async def all_pipelines(self, name: str | None) -> AsyncIterator[Pipeline]:
        """Yield the pipelines of the connection's project, or of all. A project that refuses is left out, not all."""
        if self._options.project:
            for pipeline in await self.pipelines(self._options.project, name):
                yield pipeline
            return
        refusal: ProviderError | None = None
        any_project = False
        async for page in self.pages(urls.projects_path(), {"$top": PER_PAGE}):
            for project in parse_items(page, wire.Project.of):
                try:
                    of_project = await self.pipelines(project.id, name)
                except (AuthFailed, NotFound) as exc:
                    refusal = exc
                    continue
                any_project = True
                for pipeline in of_project:
                    yield pipeline
        if refusal is not None and not any_project:
            raise refusal

    async def find_pipeline(self, named: PipelinePath) -> Pipeline:
        """Return the pipeline that a path names. One request; by name one a page, by a build's number two."""
        if named.build is not None:
            payload = (await self.get(build_path(named.project, named.build))).raw
            project, definition = self.split(self.read(payload, named.project).pipeline)
            named = PipelinePath(project=project, definition=definition)
        if named.definition is not None:
            try:
                return self.pipeline(await self.definition(named.project, named.definition), named.project)
            except NotFound:
                if not named.names:
                    raise
        return await self._named_pipeline(named)

    async def _named_pipeline(self, path: PipelinePath) -> Pipeline:
        """Return the pipeline of that name, in that folder. Raises NotFound, or UsageError where several are."""
        *folders, name = path.names or ("",)
        if not name or "*" in name:
            raise self.no_pipeline("/".join(path.names))
        matches = [match for match in await self.pipelines(path.project, name) if same_name(match.name, name)]
        if folders:
            tail = "/".join(("", *folders)).lower()
            matches = [match for match in matches if f"/{match.group or ''}".lower().endswith(tail)]
        if not matches:
            raise self.no_pipeline("/".join(path.names))
        if len(matches) > 1:
            choices = ", ".join(f"`{match.path}`" for match in matches[:5])
            raise UsageError(f"{len(matches)} pipelines are called {name}.", hint=f"Name the folder, too: {choices}.")
        return matches[0]

    async def refs(self, pipeline: str, query: str | None) -> AsyncIterator[Ref]:
        """Yield the default branch, then those of the pipeline's repository whose name holds `query`."""
        project, number = self.split(pipeline)
        definition = await self.definition(project, number)
        default = convert.default_branch(definition)
        if default and holds_name(default, query or ""):
            yield Ref(kind=RefKind.BRANCH, name=default)
        async for ref in self._repository_refs(project, definition.repository or wire.Repository(), query):
            if holds_name(ref.name, query or "") and (ref.kind, ref.name) != (RefKind.BRANCH, default):
                yield ref

    async def _repository_refs(
        self, project: str, repository: wire.Repository, query: str | None
    ) -> AsyncIterator[Ref]:
        kind, number = (repository.type or "").lower(), repository.id or ""
        if kind in {"tfsgit", "azurereposgit"} and number:
            path = project_path(project, "git", "repositories", number, "refs")
            for prefix, ref_kind in ((HEADS, RefKind.BRANCH), (TAGS, RefKind.TAG)):
                parameters: Query = {
                    "filter": prefix.removeprefix("refs/"),
                    "filterContains": query or None,
                    "$top": PER_PAGE,
                }
                async for page in self.pages(path, parameters, ceiling=SEARCH_PAGES):
                    for ref in parse_items(page, wire.GitRef.of):
                        yield Ref(kind=ref_kind, name=ref.name.removeprefix(prefix))
        elif kind and number:
            endpoint = (repository.properties or {}).get("connectedServiceId")
            parameters = {"serviceEndpointId": endpoint if isinstance(endpoint, str) else None, "repository": number}
            reply = await self.get(project_path(project, "sourceProviders", kind, "branches"), parameters)
            for item in reply.items("value"):
                if isinstance(name := msgspec.json.decode(item), str):
                    yield Ref(kind=RefKind.BRANCH, name=name.removeprefix(HEADS))

    # builds

    def page(self, project: str, build: str, **view: str) -> str:
        """Return the address of a build's page; see `urls.build_page`."""
        return urls.build_page(urls.site(self._options), project, build, **view)

    def read(self, payload: msgspec.Raw, project: str, pipeline: str | None = None) -> Build:
        """Return a build from JSON. Raises UnexpectedResponse for what does not read."""
        run = wire.BuildWire.of(payload)
        page = self.page(project, str(run.id))
        return convert.build(run, self._connection, project=project, pipeline=pipeline, page=page)

    async def changes_of(self, pipeline: str, build: str) -> list[wire.ChangeWire]:
        """Return the first hundred commits that are new in a build, newest first. Costs one request."""
        named = urls.parse_pipeline(pipeline, "")
        if named is None:
            raise self.no_pipeline(pipeline)
        reply = await self.get(build_path(named.project, build, "changes"), {"$top": 100})
        return list(parse_items(reply.items("value"), wire.ChangeWire.of))

    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build without what only its timeline reports. Costs one request.

        `pipeline` may also be what `parse_url` makes of a build's page, which names only the project.
        """
        named = urls.parse_pipeline(pipeline, "")
        if named is None or (named.definition is None and named.build is None):
            raise self.no_pipeline(pipeline)
        return self.read((await self.get(build_path(named.project, build))).raw, named.project)

    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a pipeline's builds that `build_filter` admits, each once, newest first. See `AzureDevOps.builds`."""
        if build_filter.limit <= 0:
            return
        project, definition = self.split(pipeline)
        is_filtered_here = bool(build_filter.fields - convert.LIST_FILTERS)
        branch = build_filter.branch
        query: Query = {
            "definitions": definition,
            "branchName": branch if branch is None or branch.startswith("refs/") else f"{HEADS}{branch}",
            "queryOrder": "queueTimeDescending",
            "minTime": build_filter.since.isoformat() if build_filter.since else None,
            "maxTime": build_filter.until.isoformat() if build_filter.until else None,
            "$top": PER_PAGE if is_filtered_here else min(build_filter.limit, PER_PAGE),
        }
        yielded: set[str] = set()
        async for page in self.pages(project_path(project, "build", "builds"), query, ceiling=SEARCH_PAGES):
            for listed in parse_items(page, lambda payload: self.read(payload, project, pipeline)):
                if build_filter.is_past(listed):
                    return
                is_told_later = stages.may_change(listed, build_filter.states)
                build = await self.with_timeline(listed) if is_told_later else listed
                if build.id in yielded or not build_filter.admits(build):
                    continue
                yielded.add(build.id)
                yield build
                if len(yielded) == build_filter.limit:
                    return

    async def build_called(self, pipeline: str, label: str) -> Build | None:
        """Return the pipeline's build of exactly that `buildNumber`, None where none is. Costs one request.

        Raises UsageError where several are called so: the format of the numbers is the pipeline's.
        """
        project, definition = self.split(pipeline)
        if "*" in label:  # the service takes it for a pattern
            return None
        query: Query = {
            "definitions": definition,
            "buildNumber": label,
            "queryOrder": "queueTimeDescending",
            "$top": NAMESAKES,
        }
        listed = await self.get(project_path(project, "build", "builds"), query)
        builds = parse_items(listed.items("value"), lambda payload: self.read(payload, project, pipeline))
        own = [build for build in builds if build.pipeline.lower() == pipeline.lower()]
        namesakes = [build for build in own if label in {build.label, str(build.number)}]
        if len(namesakes) > 1:
            ids = ", ".join(f"`--id {build.id}`" for build in namesakes)
            raise UsageError(f"Several builds are called #{label[:80]}.", hint=f"Say which, newest first: {ids}.")
        return namesakes[0] if namesakes else None

    async def recorded(self, project: str, build: str) -> wire.BuildWire:
        """Return a build as it was recorded, with the values that it was started with. Costs one request."""
        return wire.BuildWire.of((await self.get(build_path(project, build))).raw)

    async def with_timeline(self, build: Build) -> Build:
        """Return a build with what its timeline reports. Costs one request; without a timeline it stays as it is."""
        try:
            tree = await self.timeline(build.pipeline.partition("/")[0], build.id)
        except REFUSED:
            return build
        return stages.with_timeline(build, tree)

    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool) -> tuple[Job, ...]:
        """Return a build's jobs; with `all_attempts` those that a retry replaced before them. One request.

        One more for each timeline of earlier attempts, five at most.
        """
        project, _ = self.split(pipeline)
        named, page = Build(connection=self._connection, pipeline=pipeline, id=build), self.page(project, build)
        tree = await self.timeline(project, build)
        earlier: list[Job] = []
        for timeline in stages.earlier_timelines(tree)[:EARLIER_TIMELINES] if all_attempts else ():
            replaced = await self.timeline(project, build, timeline)
            earlier += stages.earlier_jobs(replaced, stages.replaced_in(tree, timeline), named, page, timeline)
        return (*earlier, *stages.jobs(tree, named, page))

    async def timeline(self, project: str, build: str, timeline: str = "") -> TimelineTree:
        """Return a build's timeline, empty where there is none yet: shown by 404, by no body, or by null.

        `timeline` is the id of one of an earlier attempt.
        """
        path = build_path(project, build, "timeline", *((timeline,) if timeline else ()))
        try:
            reply = await self.get(path)
        except NotFound:
            return TimelineTree({})
        if reply.content.strip() in {b"", b"null"}:
            return TimelineTree({})
        return TimelineTree.of(parse_items(wire.Timeline.of(reply.raw).records or (), wire.Record.of))

    async def approval_details(self, project: str, ids: list[str]) -> dict[str, wire.Approval]:
        """Return what the approvals' own API reports of some, by id in lower case; nothing where it is refused."""
        query: Query = {"approvalIds": ",".join(ids), "$expand": "steps"}
        try:
            listed = await self.get(project_path(project, "pipelines", "approvals"), query)
            return {item.id.lower(): item for item in parse_items(listed.items("value"), wire.Approval.of)}
        except REFUSED:
            return {}

    # starting and deciding

    async def send_start(self, project: str, number: str, definition: wire.Definition, body: StartBody) -> str:
        """Start a build, once, and return its id: a classic pipeline's by the Build API, others by the Pipelines API."""
        if definition.is_classic:
            reply = await self.send("POST", project_path(project, "build", "builds"), body.queue_body(definition))
            return str(start.queued_build(reply).id)
        reply = await self.send("POST", project_path(project, "pipelines", number, "runs"), body.run_body())
        return str(wire.Run.of(reply.raw).id)

    async def own_starts(self, project: str, number: str, body: StartBody, since: datetime) -> list[str]:
        """Return the ids of builds that these credentials may have started with `body`. Costs one request, at first two."""
        me = await self.own_id()
        query: Query = {
            "definitions": number,
            "branchName": body.source.ref,
            "queryOrder": "queueTimeDescending",
            "minTime": f"{since - start.CLOCK_SKEW:%Y-%m-%dT%H:%M:%SZ}",
            "$top": PER_PAGE,
        }
        listed = await self.get(project_path(project, "build", "builds"), query)
        runs = parse_items(listed.items("value"), wire.BuildWire.of)
        return [str(run.id) for run in runs if start.is_own_start(run, body, me, since)]

    async def retry_request(self, project: str, build: str, job: str | None) -> tuple[str, Query, Mapping[str, object]]:
        """Return path, query and body that run a build's failed jobs again, or the stage of one job.

        Costs one request for a job. Raises NotFound and Rejected.
        """
        if job is None:
            return build_path(project, build), {"retry": True}, {}
        tree = await self.timeline(project, build)
        record = tree.records.get(job)
        if record is None:
            raise NotFound("This build has no such job.", provider=LABEL)
        stage, body = start.stage_retry(tree, record, self.page(project, build))
        return build_path(project, build, "stages", stage), {}, body

    async def decide(self, approval: Approval, status: str, comment: str | None) -> bool:
        """Send a decision, once, and return True. Raises Rejected or AuthFailed, which say who may decide."""
        project, _ = self.split(approval.pipeline)
        decision = {"approvalId": approval.id, "status": status} | ({"comment": comment} if comment else {})
        try:
            await self.send("PATCH", project_path(project, "pipelines", "approvals"), [decision])
        except (Rejected, AuthFailed) as exc:
            if exc.status == httpx.codes.UNAUTHORIZED:
                raise
            hint = f"This connection must be one of the approvers; others decide on the page: {approval.url}"
            raise type(exc)(exc.message, provider=LABEL, status=exc.status, hint=hint) from exc
        return True

    async def is_decided(self, approval: Approval, status: str) -> bool:
        """Return whether an approval, or the part of one of its approvers, has that status. Costs one request."""
        project, _ = self.split(approval.pipeline)
        path = project_path(project, "pipelines", "approvals", approval.id)
        now = wire.Approval.of((await self.get(path, {"$expand": "steps"})).raw)
        return status in {convert.raw_word(word) for word in (now.status, *(step.status for step in now.steps or ()))}

    # what a build leaves

    async def log_tail(self, job: Job, size: int) -> tuple[bytes, bool]:
        """Return the last bytes of a job's log, of its latest task's while it runs, and whether there is more above.

        Costs two requests. Raises NotFound while there is none.
        """
        project, _ = self.split(job.pipeline)
        timeline, _, name = job.id.rpartition("/")
        tree = await self.timeline(project, job.build, timeline)
        record = tree.records.get(name)
        sources = [*tree.tasks(record), record] if record else []
        logs = [source.log.id for source in sources if source.log and source.log.id is not None]
        if not logs:
            raise NotFound(
                f"{job.name} has no log yet.", provider=LABEL, hint="Its first step has not written anything."
            )
        path = build_path(project, job.build, "logs", logs[-1])
        return await self._api.tail(path, self.versioned({}), keep=size, headers={"Accept": "text/plain"})

    async def artifacts(self, project: str, build: str) -> list[wire.ArtifactWire]:
        """Return a build's artifacts. Costs one request."""
        listed = await self.get(build_path(project, build, "artifacts"))
        return list(parse_items(listed.items("value"), wire.ArtifactWire.of))

    async def signed_address(self, artifact: Artifact) -> str:
        """Return an address of a pipeline artifact that needs no token. Costs one request. Raises NotFound."""
        project, definition = self.split(artifact.pipeline)
        query: Query = {"artifactName": artifact.name, "$expand": "signedContent"}
        path = project_path(project, "pipelines", definition, "runs", urls.check_build(artifact.build), "artifacts")
        content = wire.SignedArtifact.of((await self.get(path, query)).raw).signed_content
        if content is None or not content.url:
            raise self._no_address(project, artifact)
        return content.url

    async def zip_address(self, artifact: Artifact) -> str:
        """Return the address of an artifact as a zip. Costs one request. Raises NotFound where there is no copy."""
        project, _ = self.split(artifact.pipeline)
        listed = await self.artifacts(project, artifact.build)
        resource = next((item.resource for item in listed if item.name == artifact.name), None)
        address = resource.download_url if resource else None
        if not address or not address.startswith(("http://", "https://")):
            raise self._no_address(project, artifact)
        return address if "format=zip" in address else self._api.url(address, {"$format": "zip"})

    def _no_address(self, project: str, artifact: Artifact) -> NotFound:
        return NotFound(
            f"{LABEL} gives no address for {artifact.name}.",
            provider=LABEL,
            hint=f"It may lie on a file share; see {self.page(project, artifact.build, view='artifacts')}",
        )

    # tests

    async def test_counts(self, project: str, build: str) -> IssueCounts:
        """Return the tests as counted for the whole build, by a preview; older servers have only the runs.

        Costs one request, or two.
        """
        if TEST_SUMMARY in self.absent:
            return convert.run_counts(await self.test_runs(project, build))
        path = urls.test_results_path(self._options, project, TEST_SUMMARY)
        try:
            summary = wire.TestSummary.of((await self.get(path, {"buildId": build}, preview=True)).raw)
        except GONE as exc:
            if isinstance(exc, NotFound):
                self.absent.add(TEST_SUMMARY)
            return convert.run_counts(await self.test_runs(project, build))
        return convert.summary_counts(summary)

    async def test_cases(self, project: str, build: str) -> list[TestCase]:
        """Return the tests of the first ten runs. One request, and one or two for each run."""
        cases: list[TestCase] = []
        for run in (await self.test_runs(project, build))[:TEST_RUNS]:
            cases += await self._failed_tests(project, run)  # asked for apart: the list of all may end before them
            rest = [convert.test(result, run) for result in await self.test_results(project, run)]
            cases += [case for case in rest if case.outcome is not Outcome.FAILED]
        return cases

    async def failed_tests(self, project: str, build: str) -> list[TestCase]:
        """Return the failed tests of the first ten runs. One request, and one for each red run."""
        runs = (await self.test_runs(project, build))[:TEST_RUNS]
        return [case for run in runs for case in await self._failed_tests(project, run)]

    async def _failed_tests(self, project: str, run: wire.TestRun) -> list[TestCase]:
        if convert.failures(run) == 0:
            return []
        return [convert.test(result, run) for result in await self.test_results(project, run, FAILED_OUTCOMES)]

    async def test_runs(self, project: str, build: str) -> list[wire.TestRun]:
        """Return the runs that a build published, with their statistics. Costs one request."""
        query: Query = {"buildUri": urls.build_uri(build), "includeRunDetails": True}
        listed = await self.get(project_path(project, "test", "runs"), query)
        return list(parse_items(listed.items("value"), wire.TestRun.of))

    async def test_results(self, project: str, run: wire.TestRun, outcomes: str | None = None) -> list[wire.TestResult]:
        """Return a run's tests, the first thousand, or those that ended in some ways. Costs one request."""
        path = project_path(project, "test", "Runs", run.id, "results")
        listed = await self.get(path, {"outcomes": outcomes, "$top": TEST_RESULTS})
        return list(parse_items(listed.items("value"), wire.TestResult.of))


def read_quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what is left of the throughput units. A delayed answer carries `Retry-After`: then nothing is left."""
    limit = _header_number(headers, "limit") or UNITS
    wait = retry_after(headers, now)
    if wait is not None:
        return Quota(limit=limit, remaining=0, resets_at=now + timedelta(seconds=wait))
    remaining = _header_number(headers, "remaining")
    if remaining is None:
        return None
    return Quota(limit=limit, remaining=remaining, resets_at=parse_time(_header_number(headers, "reset")))


def _header_number(headers: httpx.Headers, name: str) -> int | None:
    return convert.whole_number(headers.get(f"x-ratelimit-{name}"))


def signed_out(reply: Reply) -> AuthFailed:
    """Return the error for a sign-in page, which is how the service refuses most bad credentials."""
    return AuthFailed(
        f"{LABEL} sent me to a sign-in page instead of answering.",
        provider=LABEL,
        status=reply.status,
        hint="The token is wrong, expired or made for another organization. An admin can replace it in App Home.",
    )


def _data(reply: Reply) -> Reply:
    """Return an answer unless it is a sign-in page."""
    if reply.is_page:
        raise signed_out(reply)
    return reply


def _next_page(reply: Reply) -> str | None:
    token = reply.headers.get("x-ms-continuationtoken")
    return str(httpx.URL(reply.url).copy_set_param("continuationToken", token)) if token else None
