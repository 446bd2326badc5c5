"""Azure DevOps Pipelines, REST API 7.1: Azure DevOps Services, or a server of one's own.

Pages: https://learn.microsoft.com/rest/api/azure/devops and .../azure/devops/service-hooks, read in August 2026. A
pipeline's id in the bot is `PROJECT-GUID/DEFINITION`, which survives renames; a YAML pipeline's run and a build are the
same thing under the same id. Limits: 200 throughput units for an identity in any five minutes; then answers come late.
"""

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote

import httpx
import msgspec
from pydantic import SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    Rejected,
    UnexpectedResponse,
    UsageError,
)
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
from bot.core.text import folded, same_name
from bot.http.client import Api, Query, Quota, Reply
from bot.providers.azure_devops import convert, limits, urls, wire
from bot.providers.azure_devops.auth import LABEL, AzureOptions, EntraAuth, TokenAuth
from bot.providers.azure_devops.client import GONE, PER_PAGE, SERVICES, TEST_RESULTS, Service, is_services, signed_out
from bot.providers.azure_devops.convert import HEADS, TAGS
from bot.providers.azure_devops.poll import Poll
from bot.providers.azure_devops.results import FAILED_OUTCOMES, Tests
from bot.providers.azure_devops.start import START_OPTIONS, Wish, again, wish
from bot.providers.azure_devops.urls import Place
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.base.times import parse_time
from bot.providers.base.webhooks import same_secret

ARTIFACT_KIND = "pipelineartifact"
TEST_RUNS = 10
SKEW = timedelta(minutes=1)


class AzureDevOps(Provider[AzureOptions]):
    """One organization at Azure DevOps Services, or one collection of an Azure DevOps Server."""

    kind = "azure_devops"
    label = LABEL
    default_url = SERVICES
    page = "https://learn.microsoft.com/rest/api/azure/devops"
    states = convert.STATES
    options_type = AzureOptions
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
            "Azure DevOps runs only failed jobs of a completed build again.",
            "To run all of them, build the same again: `/build rebuild`.",
        ),
        Capability.ERASE: (
            "Azure DevOps deletes a build as a whole and keeps or drops logs by its retention rules.",
            "Delete the build on its page.",
        ),
        Capability.PIPELINE_ADMIN: (
            "Azure DevOps' pipelines are managed on their own pages.",
            "Open the pipeline there and choose Edit or Settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = START_OPTIONS
    lists_all_refs = frozenset({RefKind.BRANCH})

    def __init__(self, api: Api, options: AzureOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._service = Service(api, options, connection)
        self._tests = Tests(self._service)
        self._poll = Poll(self._service)
        self._me: str | None = None

    @override
    @classmethod
    def auth(cls, options: AzureOptions, clock: Clock) -> httpx.Auth:
        if options.token is not None:
            return TokenAuth(options.token)
        return EntraAuth(
            tenant_id=options.tenant_id,
            client_id=options.client_id,
            client_secret=options.client_secret or SecretStr(""),
            clock=clock,
        )

    @override
    @classmethod
    def base_url(cls, options: AzureOptions) -> str:
        return f"{(options.url or cls.default_url).rstrip('/')}/{quote(options.organization, safe='')}"

    @override
    @classmethod
    def credential_origins(cls, options: AzureOptions) -> tuple[str, ...]:
        return (TEST_RESULTS,) if is_services(options) else ()

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        if reply.status == httpx.codes.NON_AUTHORITATIVE_INFORMATION or 300 <= reply.status < 400:
            return signed_out(reply)
        return None

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return limits.quota(headers, now)

    @override
    async def check(self) -> Account:
        """Whose credentials they are is told by a call outside the published API; where it is refused, nobody's name."""
        project = self.options.project
        if project:
            await self._find_project(project)
        else:
            listed = await self._service.get("_apis/projects", {"$top": 1})
            project = next((it.id for it in parse_items(listed.items("value"), wire.Project.of)), "")
        missing: tuple[str, ...] = ()
        if project:
            try:
                await self._service.get(self._service.at(project, "build/definitions"), {"$top": 1})
            except (AuthFailed, NotFound):
                missing = ("Build (read & execute)",)
        try:
            user = await self._service.user()
        except (AuthFailed, *GONE):
            user = wire.AuthenticatedUser()
        return Account(
            name=user.custom_display_name or user.provider_display_name or "a token",
            detail="/".join(filter(None, (self.options.organization, self.options.project))),
            missing=missing,
            warnings=() if project else ("These credentials see no project of the organization.",),
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield what can be built; one request for each project, and one for the projects. One out of reach is skipped."""
        if self.options.project:
            for pipeline in await self._definitions(self.options.project, f"*{query}*" if query else None):
                yield pipeline
            return
        refused: ProviderError | None = None
        good = False
        async for page in self._service.pages("_apis/projects", {"$top": PER_PAGE}):
            for project in parse_items(page, wire.Project.of):
                try:
                    found = await self._definitions(project.id, f"*{query}*" if query else None)
                except (AuthFailed, NotFound) as exc:
                    refused = exc
                    continue
                good = True
                for pipeline in found:
                    yield pipeline
        if refused is not None and not good:
            raise refused

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return what `project/name`, `project/folder/name` or an id names; a build's page costs one request more."""
        at = urls.place(path, self.options.project)
        if at is None:
            raise self._service.no_pipeline(path)
        if at.build is not None:
            build = self._service.read(
                (await self._service.get(self._service.at(at.project, "build/builds", at.build))).raw, at.project
            )
            project, _, definition = build.pipeline.partition("/")
            at = Place(project=project, definition=definition)
        if at.definition is not None:
            try:
                return self._pipeline(await self._service.definition(at.project, at.definition), at.project)
            except NotFound:
                if not at.names:
                    raise
        return await self._named(at, path)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds; only where timeouts or open approvals are wanted, one request more for each that may be one."""
        project, definition = self._service.split(pipeline)
        sifts = wanted.commit is not None or bool(wanted.states)
        query: Query = {
            "definitions": definition,
            "branchName": _whole_branch(wanted.branch),
            "queryOrder": "queueTimeDescending",
            "$top": PER_PAGE if sifts else min(max(wanted.limit, 1), PER_PAGE),
        }
        left = wanted.limit
        async for page in self._service.pages(self._service.at(project, "build/builds"), query, ceiling=SEARCH_PAGES):
            for build in parse_items(page, lambda it: self._service.read(it, project, pipeline)):
                looked = await self._service.judged(build) if _may_be(build, wanted.states) else build
                if left > 0 and wanted.admits(looked):
                    left -= 1
                    yield looked
                if left <= 0:
                    return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build with its jobs. Costs two requests: open approvals and timeouts stand in the timeline."""
        return await self._service.judged(await self._service.build(pipeline, build))

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build whose number is a number and this one, else the one with this id. One or two requests."""
        project, definition = self._service.split(pipeline)
        query: Query = {"definitions": definition, "buildNumber": str(number), "$top": 1}
        listed = await self._service.get(self._service.at(project, "build/builds"), query)
        for it in listed.items("value"):
            return self._service.read(it, project, pipeline)
        found = await self._service.build(pipeline, str(number))
        if found.pipeline != pipeline:
            raise NotFound(f"There is no build #{number} in this pipeline.", provider=self.label)
        return found

    @override
    def poll_target(self, pipeline: str) -> str:
        return pipeline.partition("/")[0]

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for a project of any size, and every third tick one more for the queue.

        Besides: one while watched builds run (open approvals), one for unfinished builds that no list shows, one for
        each watched build that has just ended (its jobs) and, while approvals are open whose build is not told, one
        for each running watched build; fifty of these at most.
        """
        return await self._poll.changes(cursor, watched, self._clock())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, then branches and, in Azure Repos, tags. Costs two requests, or three."""
        project, number = self._service.split(pipeline)
        definition = await self._service.definition(project, number)
        wanted = folded(query or "")
        repository = definition.repository or wire.Repository()
        default = convert.without(HEADS, repository.default_branch)
        if default and wanted in folded(default):
            yield Ref(kind=RefKind.BRANCH, name=default)
        async for ref in self._refs(project, repository, query):
            if wanted in folded(ref.name) and (ref.kind, ref.name) != (RefKind.BRANCH, default):
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the variables that may be set when a build is queued. Template parameters are told by no call."""
        definition = await self._service.definition(*self._service.split(pipeline))
        return tuple(
            Parameter(
                name=name,
                type=ParameterType.SECRET if it.is_secret else ParameterType.TEXT,
                default=None if it.is_secret else it.value or None,
            )
            for name, it in (definition.variables or {}).items()
            if it is not None and it.allow_override
        )

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        project, number = self._service.split(pipeline)
        definition = await self._service.definition(project, number)
        return await self._create(pipeline, definition, wish(request, definition))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        project, _ = self._service.split(pipeline)
        path = self._service.at(project, "build/builds", build)

        async def send() -> Build:
            return self._service.read(
                (await self._service.send("PATCH", path, {"status": "cancelling"})).raw, project, pipeline
            )

        async def confirm() -> Build | None:
            now = await self._service.build(pipeline, build)
            return now if now.completed or now.raw_state == "cancelling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build from what was recorded: there is no such call. Costs four requests."""
        project, number = self._service.split(pipeline)
        recorded = wire.BuildWire.of((await self._service.get(self._service.at(project, "build/builds", build))).raw)
        definition = await self._service.definition(project, number)
        return await self._create(pipeline, definition, again(recorded, request, definition))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run failed jobs again, under the same id. For a job it is the failed jobs of its stage, or that stage's only."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, self._service.page(self.poll_target(pipeline), build))
        project, _ = self._service.split(pipeline)
        path = self._service.at(project, "build/builds", build)
        query: Query = {"retry": True}
        body: dict[str, object] = {}
        if job is not None:
            stage, body = await self._stage_to_retry(project, build, job)
            path, query = f"{path}/stages/{quote(stage, safe='')}", {}

        async def send() -> Build:
            await self._service.send("PATCH", path, body, query)
            return await self._service.judged(await self._service.build(pipeline, build))

        async def confirm() -> Build | None:
            now = await self._service.judged(await self._service.build(pipeline, build))
            return None if now.completed else now

        return await self.send_once(send, confirm)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        project, _ = self._service.split(pipeline)
        whole = Build(connection=self.connection, pipeline=pipeline, id=build)
        return convert.jobs(await self._service.timeline(project, build), whole, self._service.page(project, build))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log, of its latest task's while it runs. Costs two requests."""
        project, _ = self._service.split(job.pipeline)
        tree = await self._service.timeline(project, job.build)
        record = tree.records.get(job.id)
        logs = [it.log.id for it in (*tree.tasks(record), record) if it.log and it.log.id is not None] if record else []
        if not logs:
            raise NotFound(
                f"{job.name} has no log yet.", provider=self.label, hint="Its first step has not written anything."
            )
        path = self._service.at(project, "build/builds", job.build, "logs", str(logs[-1]))
        data, cut = await self._api.tail(
            path, self._service.versioned({}), keep=tail_bytes, headers={"Accept": "text/plain"}
        )
        text = await cleaned_log(data.partition(b"\n")[2] if cut and b"\n" in data else data)
        page = f"{self._service.page(project, job.build)}&view=logs&j={quote(job.id, safe='')}"
        return Log(text=_STAMP.sub("", text), truncated=cut, job=job.name, url=page)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        return tuple(convert.artifact(it, pipeline, build) for it in await self._artifacts(pipeline, build))

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact as a zip; pipeline artifacts by an address that is signed for it, without the token."""
        if (artifact.kind or "").lower() == ARTIFACT_KIND:
            address, signed = await self._signed(artifact), True
        else:
            address, signed = await self._zipped(artifact), False
        async for chunk in self._api.download(address, credentials=not signed):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the tests of the first ten runs, failed ones first. One request, and one or two for each run."""
        project, _ = self._service.split(pipeline)
        found: list[TestCase] = []
        for run in (await self._tests.runs(project, build))[:TEST_RUNS]:
            if convert.failures(run) != 0:  # asked for apart: the list of all may end before them
                found += [convert.test(it, run) for it in await self._tests.results(project, run, FAILED_OUTCOMES)]
            rest = [convert.test(it, run) for it in await self._tests.results(project, run)]
            found += [it for it in rest if it.outcome is not Outcome.FAILED]
        return tuple(sorted(found, key=lambda it: it.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return what tasks complain of and failed tests, errors first. Two requests, and one for each red test run."""
        project, _ = self._service.split(pipeline)
        page = self._service.page(project, build)
        found = convert.issues(await self._service.timeline(project, build), page)
        try:
            for run in (await self._tests.runs(project, build))[:TEST_RUNS]:
                if convert.failures(run) != 0:
                    for test in await self._tests.results(project, run, FAILED_OUTCOMES):
                        found.append(_test_issue(convert.test(test, run), page))
        except (AuthFailed, *GONE):
            pass  # a token without Test (read) still tells the rest
        order = list(_ISSUE_ORDER)
        return tuple(sorted(found, key=lambda it: order.index(it.kind)))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Two requests; one more where the server has no summary of a build's tests."""
        project, _ = self._service.split(build.pipeline)
        counts = convert.counts(await self._service.timeline(project, build.id))
        try:
            return counts.filled(await self._tests.counts(project, build.id))
        except (AuthFailed, *GONE):
            return counts

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the open approvals; a second request tells who may approve. Other checks are decided by nobody."""
        project, _ = self._service.split(pipeline)
        tree = await self._service.timeline(project, build)
        records = convert.open_approvals(tree)
        about: dict[str, wire.Approval] = {}
        if records:
            query: Query = {"approvalIds": ",".join(it.id for it in records), "$expand": "steps"}
            try:
                listed = await self._service.get(self._service.at(project, "pipelines/approvals"), query)
                about = {it.id.lower(): it for it in parse_items(listed.items("value"), wire.Approval.of)}
            except (AuthFailed, *GONE):
                pass  # the approval is there, whoever may open it
        page = self._service.page(project, build)
        return tuple(
            convert.approval(tree, it, about.get(it.id.lower()), pipeline=pipeline, build=build, page=page)
            for it in records
        )

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Azure DevOps records the credentials' owner, who must be one of the approvers; more may be asked for."""
        if fields:
            raise UsageError("An approval at Azure DevOps takes a comment and no values.")
        project, _ = self._service.split(approval.pipeline)
        path = self._service.at(project, "pipelines/approvals")
        status = "approved" if approve else "rejected"
        decision = {"approvalId": approval.id, "status": status} | ({"comment": comment} if comment else {})

        async def send() -> None:
            try:
                await self._service.send("PATCH", path, [decision])
            except (Rejected, AuthFailed) as exc:
                if exc.status == httpx.codes.UNAUTHORIZED:
                    raise
                hint = f"This connection must be one of the approvers; others decide on the page: {approval.url}"
                raise type(exc)(exc.message, provider=self.label, status=exc.status, hint=hint) from exc

        async def confirm() -> bool | None:
            query: Query = {"$expand": "steps"}
            now = wire.Approval.of((await self._service.get(f"{path}/{quote(approval.id, safe='')}", query)).raw)
            words = {now.status, *(step.status for step in now.steps or ())}
            return True if status in map(convert.raw_word, words) else None

        async def done() -> bool:
            await send()
            return True

        await self.send_once(done, confirm)
        return await self.build(approval.pipeline, approval.build)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.page(
            url,
            base_url=self.base_url(self.options),
            organization=self.options.organization,
            project=self.options.project,
        )

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        secret = self.webhook_secret()
        carried = urls.carried_secrets(headers)
        if not carried:
            self.check_path_secret(path_secret)
        elif not all(same_secret(one, secret) for one in carried):  # whatever the address holds
            raise AuthFailed("The webhook's secret does not fit.", provider=self.label, status=401)
        webhook = wire.Hook.of(body)
        return urls.tap(webhook, webhook.id or hashlib.sha256(body).hexdigest())

    # where things are

    async def _find_project(self, project: str) -> None:
        try:
            wire.Project.of((await self._service.get(f"_apis/projects/{quote(project, safe='')}")).raw)
        except NotFound as exc:
            raise NotFound(
                f"These credentials see no project {project} in {self.options.organization}.",
                provider=self.label,
                status=exc.status,
                hint="`project` is the name in dev.azure.com/ORGANIZATION/PROJECT; the user must be a member.",
            ) from exc

    # pipelines

    def _pipeline(self, it: wire.Definition, project: str, *, folder: bool = False) -> Pipeline:
        page = f"{self._api.base_url}/{quote(project, safe='')}/_build?definitionId={it.id}"
        return convert.pipeline(it, page, project=project, alone=bool(self.options.project), folder=folder)

    async def _definitions(self, project: str, name: str | None) -> list[Pipeline]:
        """Return a project's pipelines; those of one name in several folders are told apart by these."""
        query: Query = {
            "name": name,
            "includeAllProperties": True,  # the short form has no default branch
            "queryOrder": "definitionNameAscending",
            "$top": PER_PAGE,
        }
        found: list[wire.Definition] = []
        async for page in self._service.pages(self._service.at(project, "build/definitions"), query):
            found += parse_items(page, wire.Definition.of)
        names = Counter((it.name or "").lower() for it in found)
        return [self._pipeline(it, project, folder=names[(it.name or "").lower()] > 1) for it in found]

    async def _named(self, at: Place, path: str) -> Pipeline:
        *folders, name = at.names or ("",)
        if not name or "*" in name:
            raise self._service.no_pipeline(path)
        found = [it for it in await self._definitions(at.project, name) if same_name(it.name, name)]
        if folders:
            tail = "/".join(("", *folders)).lower()
            found = [it for it in found if f"/{it.group or ''}".lower().endswith(tail)]
        if not found:
            raise self._service.no_pipeline(path)
        if len(found) > 1:
            choices = ", ".join(f"`{it.path}`" for it in found[:5])
            raise UsageError(f"{len(found)} pipelines are called {name}.", hint=f"Name the folder, too: {choices}.")
        return found[0]

    # branches

    async def _refs(self, project: str, repository: wire.Repository, query: str | None) -> AsyncIterator[Ref]:
        kind, number = (repository.type or "").lower(), repository.id or ""
        if kind in {"tfsgit", "azurereposgit"} and number:
            path = self._service.at(project, "git/repositories", number, "refs")
            for prefix, of_kind in ((HEADS, RefKind.BRANCH), (TAGS, RefKind.TAG)):
                asked: Query = {
                    "filter": prefix.removeprefix("refs/"),
                    "filterContains": query or None,
                    "$top": PER_PAGE,
                }
                async for page in self._service.pages(path, asked, ceiling=SEARCH_PAGES):
                    for ref in parse_items(page, wire.GitRef.of):
                        yield Ref(kind=of_kind, name=ref.name.removeprefix(prefix))
        elif kind and number:
            endpoint = (repository.properties or {}).get("connectedServiceId")
            asked = {
                "serviceEndpointId": endpoint if isinstance(endpoint, str) else None,
                "repository": number,
            }
            reply = await self._service.get(self._service.at(project, "sourceProviders", kind, "branches"), asked)
            for name in reply.items("value"):
                if isinstance(found := msgspec.json.decode(name), str):
                    yield Ref(kind=RefKind.BRANCH, name=found.removeprefix(HEADS))

    # starting

    async def _create(self, pipeline: str, definition: wire.Definition, wanted: Wish) -> Build:
        """Start a build once and return it. After a time-out it is looked for among those that these credentials made."""
        project, number = self._service.split(pipeline)
        since = self._clock()

        async def send() -> str:
            if definition.is_classic:
                reply = await self._service.send(
                    "POST", self._service.at(project, "build/builds"), wanted.queue_body(definition)
                )
                return str(self._queued(reply).id)
            reply = await self._service.send(
                "POST", self._service.at(project, "pipelines", number, "runs"), wanted.run_body()
            )
            return str(wire.Run.of(reply.raw).id)

        async def confirm() -> str | None:
            me = await self._own_id()
            asked: Query = {
                "definitions": number,
                "branchName": wanted.ref,
                "queryOrder": "queueTimeDescending",
                "minTime": f"{since - SKEW:%Y-%m-%dT%H:%M:%SZ}",
                "$top": PER_PAGE,
            }
            listed = await self._service.get(self._service.at(project, "build/builds"), asked)
            found = [
                it
                for it in parse_items(listed.items("value"), wire.BuildWire.of)
                if _is_made_by(it, me) and _fits(it, wanted, since)
            ]
            return str(found[0].id) if len(found) == 1 else None

        started = await self.send_once(send, confirm)
        try:
            return await self._service.build(pipeline, started)
        except ProviderError:  # it is started, whatever keeps us from reading it
            return Build(
                connection=self.connection, pipeline=pipeline, id=started, web_url=self._service.page(project, started)
            )

    def _queued(self, reply: Reply) -> wire.BuildWire:
        it = wire.BuildWire.of(reply.raw)
        wrong = [one.message for one in it.validation_results or () if convert.raw_word(one.result) == "error"]
        if wrong:
            said = "; ".join(filter(None, wrong)) or "it gives no reason"
            raise Rejected(f"{self.label} refused: {said[:300]}", provider=self.label, status=reply.status)
        return it

    async def _own_id(self) -> str:
        """Return whose credentials these are; the answer does not change. Raises UnexpectedResponse without one."""
        if self._me is None:
            self._me = (await self._service.user()).id
        if not self._me:
            raise UnexpectedResponse(f"{self.label} does not say whose credentials these are.", provider=self.label)
        return self._me

    async def _stage_to_retry(self, project: str, build: str, job: str) -> tuple[str, dict[str, object]]:
        """Return the stage of a job, by the name the API takes, and how to run it again."""
        tree = await self._service.timeline(project, build)
        record = tree.records.get(job)
        stage = tree.within(record, "Stage") if record else None
        page = self._service.page(project, build)
        if record is None:
            raise NotFound("This build has no such job.", provider=self.label)
        if stage is None or not stage.identifier:
            raise Rejected(
                f"{record.name or 'This job'} stands in no stage, and Azure DevOps runs only stages again.",
                provider=self.label,
                hint=f"Run all failed jobs again: `/build retry`, or see {page}",
            )
        is_red = convert.state_of(record)[2] in {*convert.RAN_OUT, Conclusion.PARTIAL}
        beside = [it for it in tree.kind("Job") if tree.within(it, "Stage") is stage]
        if record.type == "Job" and not is_red and len(beside) > 1:
            raise Rejected(
                f"{record.name or 'This job'} did not fail, and Azure DevOps runs it again only with its whole stage.",
                provider=self.label,
                hint=f"Run the stage again on its page: {page}",
            )
        return stage.identifier, {"state": "retry", "forceRetryAllJobs": not is_red}

    # what a build leaves

    async def _artifacts(self, pipeline: str, build: str) -> list[wire.ArtifactWire]:
        project, _ = self._service.split(pipeline)
        listed = await self._service.get(self._service.at(project, "build/builds", build, "artifacts"))
        return list(parse_items(listed.items("value"), wire.ArtifactWire.of))

    async def _signed(self, artifact: Artifact) -> str:
        project, number = self._service.split(artifact.pipeline)
        query: Query = {"artifactName": artifact.name, "$expand": "signedContent"}
        path = self._service.at(project, "pipelines", number, "runs", artifact.build, "artifacts")
        content = wire.SignedArtifact.of((await self._service.get(path, query)).raw).signed_content
        if content is None or not content.url:
            raise self._no_content(artifact)
        return content.url

    async def _zipped(self, artifact: Artifact) -> str:
        listed = await self._artifacts(artifact.pipeline, artifact.build)
        resource = next((it.resource for it in listed if it.name == artifact.name), None)
        address = resource.download_url if resource else None
        if not address or not address.startswith(("http://", "https://")):
            raise self._no_content(artifact)
        return address if "format=zip" in address else self._api.url(address, {"$format": "zip"})

    def _no_content(self, artifact: Artifact) -> NotFound:
        project, _ = self._service.split(artifact.pipeline)
        return NotFound(
            f"{self.label} gives no address for {artifact.name}.",
            provider=self.label,
            hint=f"It may lie on a file share; see {self._service.page(project, artifact.build)}&view=artifacts",
        )


_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", re.MULTILINE)
_ISSUE_ORDER = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING, IssueKind.ANALYZER_WARNING)


def _whole_branch(name: str | None) -> str | None:
    return None if name is None else name if name.startswith("refs/") else f"{HEADS}{name}"


def _may_be(build: Build, states: Collection[str]) -> bool:
    """Return whether only the timeline tells if a build is among those wanted."""
    return ("timeout" in states and build.conclusion in convert.RAN_OUT) or (
        "blocked" in states and build.status is Status.IN_PROGRESS
    )


def _is_made_by(it: wire.BuildWire, me: str) -> bool:
    who = {person.id.lower() for person in (it.requested_by, it.requested_for) if person and person.id}
    return me.lower() in who and convert.raw_word(it.reason) == "manual"


def _fits(it: wire.BuildWire, wanted: Wish, since: datetime) -> bool:
    queued = parse_time(it.queue_time)
    return (
        (queued is None or queued >= since - SKEW)
        and (wanted.ref is None or it.source_branch == wanted.ref)
        and (wanted.commit is None or (it.source_version or "").startswith(wanted.commit))
    )


def _test_issue(it: TestCase, page: str) -> Issue:
    said = (it.message or "").strip().partition("\n")[0]
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{it.name}: {said}" if said else it.name,
        job=it.detail,
        url=f"{page}&view=ms.vss-test-web.build-test-results-tab",
    )
