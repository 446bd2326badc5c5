"""The base of every local CI system: how a request is served (clock, faults, token, rate limit, log), pages, downloads."""

import asyncio
import hashlib
import hmac
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from playground.ci import web_pages
from playground.ci.model import Artifact, Build, Job, Pipeline, stamp
from playground.ci.simulation import Simulation
from playground.dropped import Dropped

JSON = dict[str, Any]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
DOWNLOAD_SECONDS = 60
FAULTS = ("off", "429", "401", "500", "slow", "malformed", "drop")


class Refusal(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its body read."""

    request: Request
    body: bytes

    @property
    def query(self) -> Mapping[str, str]:
        """Return the query, the last value of each name."""
        return self.request.query_params

    def all(self, name: str) -> list[str]:
        """Return every value of a query's name."""
        return self.request.query_params.getlist(name)

    def at(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    @property
    def origin(self) -> str:
        """Return scheme and host as the client wrote them."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    @property
    def url(self) -> str:
        """Return the address asked for, without its query."""
        return f"{self.origin}{self.raw_path}"

    @property
    def raw_path(self) -> str:
        """Return the path as sent, its percent signs kept."""
        raw: bytes | None = self.request.scope.get("raw_path")
        return raw.decode("latin-1").partition("?")[0] if raw else quote(self.request.scope["path"])

    def header(self, name: str) -> str:
        """Return a header, empty when absent."""
        return self.request.headers.get(name, "")


Handler = Callable[[Call], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """A webhook ready to be sent: what follows `/hooks/<connection>`, its headers, its bytes."""

    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Fault:
    """A fault that was switched on; `count` None: until it is switched off."""

    kind: str
    count: int | None = None
    retry_after: float | None = None
    seconds: float = 5.0

    def as_json(self) -> JSON:
        """Return the fault as the control interface shows it."""
        return {"kind": self.kind, "count": self.count, "retry_after": self.retry_after, "seconds": self.seconds}


class Meter:
    """Counts requests in windows of fixed length."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.used = 0
        self._until = 0.0

    def hit(self, now: float) -> bool:
        """Count a request; return whether it is within the limit."""
        if now >= self._until:
            self.used, self._until = 0, now + self.seconds
        self.used += 1
        return self.used <= self.limit

    def left(self) -> int:
        """Return how many requests the window still has."""
        return max(self.limit - self.used, 0)

    def reset_in(self, now: float) -> int:
        """Return the whole seconds until the window ends."""
        return max(ceil(self._until - now), 0)

    @property
    def resets_at(self) -> int:
        """Return when the window ends, in seconds since the epoch."""
        return ceil(self._until)


class System(ABC):
    """One vendor's API, one server."""

    name: ClassVar[str]
    label: ClassVar[str]
    connection: ClassVar[str]

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.fault: Fault | None = None
        self.requests = 0
        self.webhook_secret = self.secret("hook")[:32]

    def secret(self, purpose: str) -> str:
        """Return a secret of this server, 64 hexadecimal digits; the same for the same seed and purpose."""
        return hashlib.sha256(f"{self.simulation.seed}/{self.name}/{purpose}".encode()).hexdigest()

    # what differs between vendors

    @abstractmethod
    def options(self, base: str) -> dict[str, object]:
        """Return the bot's connection options for this server."""

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """Return the API's routes, paths below the mount."""

    @abstractmethod
    def authenticate(self, call: Call) -> Response | None:
        """Return the refusal of a request with bad credentials, or None."""

    @abstractmethod
    def meters(self) -> list[Meter]:
        """Return the rate limits that every request counts against."""

    @abstractmethod
    def failure(self, status: int, message: str) -> Response:
        """Return an error in the vendor's words."""

    @abstractmethod
    def rate_headers(self, now: float) -> dict[str, str]:
        """Return the rate-limit headers of an answer."""

    @abstractmethod
    def web_path(self, build: Build) -> str:
        """Return the path of a build's page below the mount."""

    @abstractmethod
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        """Return the path of a pipeline's page below the mount."""

    @abstractmethod
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        """Return the webhooks that an event makes."""

    def limited(self, retry_after: float) -> Response:
        """Return the refusal of one request too many."""
        response = self.failure(429, "Too many requests")
        response.headers["Retry-After"] = str(ceil(retry_after))
        return response

    @property
    def pipelines(self) -> list[Pipeline]:
        """Return this system's pipelines."""
        return self.simulation.of_system(self.name)

    def hears_of(self, build: Build) -> bool:
        """Return whether the events of a build make webhooks of this system."""
        return build.pipeline.system == self.name

    # addresses

    @property
    def mount(self) -> str:
        """Return the path below which this server is mounted."""
        return f"/ci/{self.name}"

    def root(self, call: Call | None = None) -> str:
        """Return this server's address as the client wrote it, or as `connections` was told."""
        return f"{call.origin if call else self.simulation.base or 'http://localhost'}{self.mount}"

    def web_url(self, build: Build, call: Call | None = None) -> str:
        """Return the address of a build's page."""
        return f"{self.root(call)}{self.web_path(build)}"

    # serving a request

    def api(self, path: str, handler: Handler, *methods: str, open_to_all: bool = False) -> Route:
        """Return a route of the API. `open_to_all`: no credentials needed."""

        async def endpoint(request: Request) -> Response:
            return await self._serve(Call(request, await request.body()), handler, open_to_all=open_to_all)

        return Route(path, endpoint, methods=list(methods or ("GET",)))

    async def _serve(self, call: Call, handler: Handler, *, open_to_all: bool) -> Response:
        self.simulation.settle()
        self.requests += 1
        entry = {
            "at": stamp(self.simulation.now),
            "system": self.name,
            "method": call.request.method,
            "path": call.raw_path,
            "query": call.request.url.query,
            "status": 0,
        }
        self.simulation.requests.append(entry)
        self.simulation.requests_total += 1
        fault = self._spend_fault()
        response = await self._answer(call, handler, fault, open_to_all=open_to_all)
        entry["status"] = response.status_code
        if fault is not None and fault.kind == "malformed" and response.body:
            response.body = bytes(response.body)[: max(len(response.body) // 2, 1)]
            response.headers["content-length"] = str(len(response.body))
        if call.request.method == "HEAD":
            response.body = b""
        return response

    async def _answer(self, call: Call, handler: Handler, fault: Fault | None, *, open_to_all: bool) -> Response:
        match fault.kind if fault else "":
            case "slow":
                await asyncio.sleep(fault.seconds if fault else 0)
            case "drop":
                return Dropped()
            case "500":
                return self.failure(500, "Something went wrong on our side")
            case "401":
                return self.failure(401, "Authentication required")
            case "429":
                return self.limited(fault.retry_after if fault and fault.retry_after is not None else 30)
            case _:
                pass
        if not open_to_all and (refused := self.authenticate(call)) is not None:
            return refused
        now = self.simulation.now
        if not all([meter.hit(now) for meter in self.meters()]):  # noqa: C419 - each meter counts, whatever another says
            response = self.limited(max(meter.reset_in(now) for meter in self.meters() if not meter.left()))
        else:
            try:
                made = handler(call)
                response = await made if isinstance(made, Awaitable) else made
            except Refusal as refusal:
                response = refusal.response
        response.headers.update(self.rate_headers(now))
        return response

    def _spend_fault(self) -> Fault | None:
        fault = self.fault
        if fault is not None and fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self.fault = None
        return fault

    def body(self, call: Call) -> JSON:
        """Return a request's JSON object, an empty one where there is no body. Refuses anything else with 400."""
        if not call.body.strip():
            return {}
        try:
            read = json.loads(call.body)
        except ValueError as exc:
            raise Refusal(self.failure(400, "The body is not JSON")) from exc
        if not isinstance(read, dict):
            raise Refusal(self.failure(400, "The body is not a JSON object"))
        return read

    # pages for people

    def shows(self, rest: str) -> bool:
        """Return whether a build has a page at `rest` below its own, such as a job's or its console's."""
        return True

    def web_page(self, path: str) -> str | None:
        """Return the HTML of the page at a path below the mount, None where there is none."""
        page_path = path.strip("/")
        pipelines = self.simulation.of_system(self.name)
        if not page_path:
            return web_pages.overview(
                self.label, [(it, f"{self.mount}{_in_page(self.pipeline_web_path(it))}") for it in pipelines]
            )
        for pipeline in pipelines:
            home = self.pipeline_web_path(pipeline).strip("/")
            if page_path == home:
                builds = [(it, f"{self.mount}{_in_page(self.web_path(it))}") for it in web_pages.latest(pipeline)]
                return web_pages.pipeline_page(self.label, pipeline, f"{self.mount}/", builds)
            for build in pipeline.builds:
                if self._is_page_of(build, page_path):
                    return web_pages.build_page(self.label, build, f"{self.mount}/{_in_page(home)}")
        return None

    def _is_page_of(self, build: Build, page_path: str) -> bool:
        own = self.web_path(build).strip("/")
        if page_path == own or (page_path.startswith(f"{own}/") and self.shows(page_path.removeprefix(f"{own}/"))):
            return True
        return any(page_path == self.job_web_path(build, job).strip("/") for job in build.jobs)

    def job_web_path(self, build: Build, job: Job) -> str:
        """Return the path of a job's page below the mount; the build's own where the vendor has none."""
        return self.web_path(build)

    def other_paths(self) -> Route:
        """Return the last route: a page for people, else the API's refusal of an unknown path."""

        async def endpoint(request: Request) -> Response:
            self.simulation.settle()
            page = self.web_page(self.page_of(request)) if request.method == "GET" else None
            if page is not None:
                return HTMLResponse(page)
            call = Call(request, await request.body())
            return await self._serve(call, lambda _call: self.unknown_path(call), open_to_all=False)

        return Route("/{rest:path}", endpoint, methods=list(METHODS))

    def page_of(self, request: Request) -> str:
        """Return the path below the mount by which `web_page` knows what was asked for."""
        return str(request.path_params["rest"])

    def unknown_path(self, call: Call) -> Response:
        """Return the API's refusal of a path that it does not have."""
        return self.failure(404, "Not Found")

    # downloads

    def presigned(self, call: Call, artifact: Artifact) -> str:
        """Return an address that hands out a file without a token for a minute, on another origin where there is one."""
        until = int(self.simulation.now) + DOWNLOAD_SECONDS
        path = f"/ci/storage/{self.name}/{artifact.uid}/{quote(artifact.path.rpartition('/')[2])}"
        signed = urlencode({"expires": until, "signature": sign(self.simulation, path, until)})
        return f"{other_origin(call)}{path}?{signed}"

    def artifact(self, uid: str) -> Artifact | None:
        """Return a file of this system by its UUID."""
        for pipeline in self.simulation.of_system(self.name):
            for build in pipeline.builds:
                for job in build.jobs:
                    for artifact in job.artifacts:
                        if uid == artifact.uid and job.erased_at is None:
                            return artifact
        return None


def _in_page(path: str) -> str:
    """Return a page's path, with its query where it has one, as a link holds it."""
    return quote(path, safe="/?=")


def other_origin(call: Call) -> str:
    """Return the same server under its other loopback name, so that a download stands on another origin."""
    url = call.request.url
    other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}.get(url.hostname or "")
    return f"{url.scheme}://{other}{f':{url.port}' if url.port else ''}" if other else call.origin


def sign(simulation: Simulation, path: str, until: int) -> str:
    """Return the signature of a download's address."""
    return hmac.new(simulation.signing_key, f"{path}\n{until}".encode(), "sha256").hexdigest()


def answer(
    data: object, status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """Return JSON."""
    return Response(json.dumps(data, ensure_ascii=False), status, headers=headers, media_type=media_type)


def link_header(call: Call, pages: Mapping[str, Mapping[str, str | int]]) -> str:
    """Return a `Link` header: for each relation the address asked for with some of its query replaced."""
    parts = []
    for relation, replaced in pages.items():
        kept = [(name, value) for name, value in call.request.query_params.multi_items() if name not in replaced]
        query = urlencode([*kept, *((name, str(value)) for name, value in replaced.items())])
        parts.append(f'<{call.url}?{query}>; rel="{relation}"')
    return ", ".join(parts)


def whole(text: str | None, default: int, *, least: int = 1, most: int | None = None) -> int:
    """Return a query's number: the default for nonsense, cut silently to its bounds."""
    try:
        number = int(text) if text else default
    except ValueError:
        return default
    number = max(number, least)
    return number if most is None else min(number, most)
