"""Requests of the systems' own that Truto passes on: what cancels, runs again, reads logs.

Paths start where Truto's integration has its base address: `repos/…` at GitHub, `repositories/…` at Bitbucket's 2.0,
`project/…` at CircleCI's v2, the project at Azure DevOps, the server's root at Jenkins and Travis CI.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import msgspec

from bot.core.clock import Clock, Sleep
from bot.core.errors import AuthFailed, NotFound, Rejected, Unavailable, UnexpectedResponse, Unsupported
from bot.core.models import Conclusion, Status
from bot.http.client import ApiClient, Query
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import state_from
from bot.providers.base.listing import parse_items
from bot.providers.base.memory import AbsentOperations
from bot.providers.base.send_once import read_back
from bot.providers.base.urls import path
from bot.providers.truto import wire
from bot.providers.truto.convert import STATES
from bot.providers.truto.options import LABEL, Integration
from bot.providers.truto.urls import Place, jenkins_job

AZURE_VERSION = "7.1"
BETWEEN_ACTS_SECONDS = 1.0
TRAVIS_SECONDS = (1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0)
_ENVELOPE = frozenset({"result", "next_cursor", "prev_cursor", "result_count", "is_partial_response"})
_SAY_NOTHING = frozenset({Integration.BITBUCKET, Integration.JENKINS})
"""The systems that answer a cancel with an empty body or a page."""

PASSED_ON: Mapping[Integration, frozenset[Capability]] = {
    Integration.AZURE: frozenset({Capability.START, Capability.CANCEL, Capability.REBUILD, Capability.RETRY_FAILED}),
    Integration.BITBUCKET: frozenset(
        {Capability.START, Capability.CANCEL, Capability.REBUILD, Capability.LOG, Capability.LIVE_LOG}
    ),
    Integration.CIRCLECI: frozenset(
        {Capability.START, Capability.CANCEL, Capability.RETRY_ALL, Capability.RETRY_FAILED}
    ),
    Integration.GITHUB: frozenset(
        {
            Capability.START,
            Capability.CANCEL,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.LOG,
            Capability.DOWNLOAD,
        }
    ),
    Integration.JENKINS: frozenset({Capability.CANCEL}),
    Integration.TRAVIS: frozenset(
        {
            Capability.START,
            Capability.CANCEL,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.LOG,
        }
    ),
}
"""What is done by a request of the system's own that Truto passes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to pass on."""

    method: str = "POST"
    path: str
    body: Mapping[str, object] | None = None
    query: Query = field(default_factory=dict)


# paths


def github_path(place: Place, *segments: str) -> str:
    """Return the path of a repository at GitHub, or of something in it."""
    return path("repos", place.owner, place.pipeline, *segments)


def bitbucket_path(place: Place, *segments: str) -> str:
    """Return the path of a repository at Bitbucket, or of something in it."""
    return path("repositories", place.owner, place.pipeline, *segments)


def azure_path(place: Place, *segments: str) -> str:
    """Return the path of a project's builds at Azure DevOps, or of one of them."""
    return path(place.owner, "_apis", "build", "builds", *segments)


def travis_path(place: Place, *segments: str) -> str:
    """Return the path of a repository at Travis CI (`owner/name` is one segment), or of something in it."""
    return path("repo", place.pipeline, *segments)


def circleci_path(place: Place, *segments: str) -> str:
    """Return the path of a project at CircleCI, or of something in it."""
    return path("project", *place.pipeline.split("/"), *segments)


# what acts on a build


def cancel_call(place: Place, build: str) -> Call:
    """Return what stops a build; at CircleCI `build` is a workflow."""
    match place.integration:
        case Integration.AZURE:
            return Call(
                method="PATCH",
                path=azure_path(place, build),
                body={"status": "cancelling"},
                query={"api-version": AZURE_VERSION},
            )
        case Integration.BITBUCKET:
            return Call(path=bitbucket_path(place, "pipelines", build, "stopPipeline"))
        case Integration.CIRCLECI:
            return Call(path=path("workflow", build, "cancel"))
        case Integration.GITHUB:
            return Call(path=github_path(place, "actions", "runs", build, "cancel"))
        case Integration.JENKINS:
            return Call(path=path(*jenkins_job(place.pipeline), build, "stop"))
        case _:
            return Call(path=path("build", build, "cancel"))


def retry_call(place: Place, build: str, *, failed_only: bool) -> Call:
    """Return what runs a build again under its number; at CircleCI `build` is a workflow, at Travis CI all jobs run."""
    match place.integration:
        case Integration.GITHUB:
            return Call(
                path=github_path(place, "actions", "runs", build, "rerun-failed-jobs" if failed_only else "rerun")
            )
        case Integration.CIRCLECI:
            return Call(path=path("workflow", build, "rerun"), body={"from_failed": True} if failed_only else {})
        case Integration.TRAVIS:
            return Call(path=path("build", build, "restart"))
        case _:
            return Call(
                method="PATCH",
                path=azure_path(place, build),
                body={},
                query={"retry": True, "api-version": AZURE_VERSION},
            )


def job_retry_call(place: Place, job: str) -> Call:
    """Return what runs one job again."""
    if place.integration is Integration.GITHUB:
        return Call(path=github_path(place, "actions", "jobs", job, "rerun"))
    return Call(path=path("job", job, "restart"))


# what is read


def log_path(place: Place, build: str, job: str) -> str:
    """Return the path of a job's log."""
    match place.integration:
        case Integration.BITBUCKET:
            return bitbucket_path(place, "pipelines", build, "steps", job, "log")
        case Integration.GITHUB:
            return github_path(place, "actions", "jobs", job, "logs")
        case _:
            return path("job", job, "log.txt")


def archive_path(place: Place, artifact: str) -> str:
    """Return the path of GitHub's artifact, a zip."""
    return github_path(place, "actions", "artifacts", artifact, "zip")


def inner(content: bytes) -> msgspec.Raw:
    """Return an answer without the envelope that Truto may put around the system's own."""
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(content)
    if "result" in members and members.keys() <= _ENVELOPE and bytes(members["result"])[:1] in b"[{":
        return members["result"]
    return msgspec.Raw(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a start made: a build, or at Travis CI a request that makes one."""

    id: str
    is_request: bool = False


def started_id(integration: Integration, started: wire.StartedWire) -> str | None:
    """Return the id of what was started (at Travis CI a request), None where the answer does not name it."""
    match integration:
        case Integration.BITBUCKET:
            return started.uuid or None
        case Integration.GITHUB:
            number = started.workflow_run_id
        case Integration.TRAVIS:
            number = started.request.id if started.request else None
        case _:
            number = started.id
    return str(number) if number is not None and number != "" else None


class Proxy:
    """Sends requests that Truto passes on, and remembers for half an hour which operations it did not pass on."""

    def __init__(self, api: ApiClient, account: Mapping[str, str], system: str, clock: Clock) -> None:
        self._api = api
        self._account = account
        self._system = system
        self._absent = AbsentOperations(clock)

    def lacks(self, operation: str) -> bool:
        """Return whether Truto did not pass an operation on within the last half hour."""
        return operation in self._absent

    async def send(self, operation: str, call: Call) -> msgspec.Raw:
        """Return the answer to a request that acts, never repeated. Raises Unsupported where it is not passed on."""
        with self._noting(operation):
            query = {**call.query, **self._account}
            reply = await self._api.send(call.method, path_below(call.path), json=call.body, query=query)
        return inner(reply.content)

    async def act(self, operation: str, integration: Integration, calls: Sequence[Call], sleep: Sleep) -> None:
        """Send requests, a second apart, whose answers say no more than that they were taken.

        Raises UnexpectedResponse for a success that is no JSON object, where the system answers with one.
        """
        for position, call in enumerate(calls):
            if position:
                await sleep(BETWEEN_ACTS_SECONDS)
            answer = await self.send(operation, call)
            if integration not in _SAY_NOTHING:
                wire.ErrorWire.of(answer)

    async def start(self, operation: str, integration: Integration, call: Call) -> Started:
        """Return what a request started. Costs one request.

        Raises UnexpectedResponse where the answer does not name it: it may have started.
        """
        answer = await self.send(operation, call)
        started = wire.StartedWire.of(answer if bytes(answer) else b"{}")
        if (name := started_id(integration, started)) is not None:
            return Started(id=name, is_request=integration is Integration.TRAVIS)
        if integration is Integration.CIRCLECI and started.message:
            raise Rejected(f"{self._system} started nothing: {started.message}", provider=LABEL)
        raise UnexpectedResponse(
            f"{self._system} took the request and did not say which build it started.",
            provider=LABEL,
            hint="Look at its page before you repeat this.",
        )

    async def build_of_request(self, place: Place, request: str, sleep: Sleep) -> str:
        """Return the id of the build that a request to Travis CI made; looked for during 22 seconds.

        Raises Unavailable with `acted` set where none is seen, Rejected where Travis CI refuses the request.
        """
        for pause in TRAVIS_SECONDS:
            await sleep(pause)
            route = travis_path(place, "request", request)
            raw = wire.TravisRequestWire.of(await read_back(self.read("request", route), label=LABEL))
            made = [str(build.id) for build in raw.builds or () if build.id is not None]
            if made:
                return made[0]
            if raw.result == "rejected":
                raise Rejected(f"Travis CI rejected the build: {raw.message or 'no reason given'}.", provider=LABEL)
        raise Unavailable(
            "Travis CI took the request and has not made a build of it yet.",
            provider=LABEL,
            hint="Look at its page before you repeat this.",
            acted=True,
        )

    async def bitbucket_run(self, operation: str, place: Place, build: str) -> wire.BitbucketRun | None:
        """Return a Bitbucket pipeline's variables, None where they can't be had. Costs one request."""
        route = bitbucket_path(place, "pipelines", build)
        try:
            return wire.BitbucketRun.of(await self.read(operation, route, {"fields": "+variables"}))
        except (AuthFailed, NotFound, Unsupported):
            return None

    async def travis_build_of(self, job: str) -> str | None:
        """Return the id of the build that a job of Travis CI names, None where it can't be had. Costs one request."""
        try:
            raw = wire.TravisJobWire.of(await self.read("build of a job", path("job", job)))
        except Unsupported:
            return None
        return str(raw.build.id) if raw.build and raw.build.id is not None else None

    async def workflows(self, operation: str, build: str) -> list[wire.WorkflowWire]:
        """Return the newest workflow of each name of a CircleCI pipeline. Costs one request."""
        return newest_workflows(await self.read(operation, workflows_path(build)))

    async def read(self, operation: str, route: str, query: Query | None = None) -> msgspec.Raw:
        """Return the answer to a read that an operation needs. Raises Unsupported where it is not passed on."""
        with self._noting(operation):
            reply = await self._api.get(path_below(route), {**(query or {}), **self._account})
        return inner(reply.content)

    async def tail(self, operation: str, route: str, keep: int) -> tuple[bytes, bool]:
        """Return the last `keep` bytes of a text and whether there is more above."""
        with self._noting(operation):
            accept = {"Accept": "text/plain, */*"}
            return await self._api.tail(path_below(route), self._account, keep=keep, headers=accept)

    async def download(self, operation: str, route: str) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes."""
        with self._noting(operation):
            chunks = self._api.download(path_below(route), self._account, headers={"Accept": "*/*"})
            async with aclosing(chunks) as pieces:
                async for piece in pieces:
                    yield piece

    @contextmanager
    def _noting(self, operation: str) -> Iterator[None]:
        """Remember an operation that is not passed on, and name the system in its error."""
        try:
            yield
        except Unsupported as exc:
            self._absent.add(operation)
            words = str(exc).replace("the CI system", self._system, 1)
            raise Unsupported(words, provider=LABEL, status=exc.status, hint=exc.hint) from exc


def path_below(route: str) -> str:
    """Return the path at Truto of a path at the system behind it."""
    return f"custom/{route}"


# CircleCI's workflows, by which its builds are cancelled and run again


def workflows_path(build: str) -> str:
    """Return the path of a CircleCI pipeline's workflows."""
    return path("pipeline", build, "workflow")


def newest_workflows(answer: msgspec.Raw) -> list[wire.WorkflowWire]:
    """Return CircleCI's workflows of a pipeline, of each name the newest: older ones were run again."""
    try:
        items = msgspec.json.decode(answer, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        items = wire.WorkflowPage.of(answer).items
    newest: dict[str, wire.WorkflowWire] = {}
    for raw in sorted(parse_items(items, wire.WorkflowWire.of), key=lambda flow: flow.created_at or ""):
        if raw.tag != "setup":
            newest[raw.name or raw.id] = raw
    return list(newest.values())


def is_open(state: str | None) -> bool:
    """Return whether a workflow is not at its end."""
    return state_from(state, STATES)[0] is not Status.COMPLETED


def workflow_failed(state: str | None) -> bool:
    """Return whether a workflow failed."""
    return state_from(state, STATES)[1] is Conclusion.FAILED


def flow_retry_calls(place: Place, flows: Iterable[wire.WorkflowWire], *, failed_only: bool) -> list[Call]:
    """Return what runs workflows again: all of them, or those that failed."""
    return [
        retry_call(place, flow.id, failed_only=failed_only)
        for flow in flows
        if not failed_only or workflow_failed(flow.status)
    ]


def open_flows(flows: Iterable[wire.WorkflowWire]) -> list[str]:
    """Return the ids of workflows that are not at their ends. Raises Rejected where all are."""
    flow_ids = [flow.id for flow in flows if is_open(flow.status)]
    if not flow_ids:
        raise Rejected("No workflow of this build is running.", provider=LABEL)
    return flow_ids
