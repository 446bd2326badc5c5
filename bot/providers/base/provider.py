"""What every CI system's adapter is: `Provider`, its capabilities, its options, its wire models and state maps.

An adapter overrides what its system can do and lists it in `capabilities`; what it does not override raises
`Unsupported` in the words of `refusals`.
"""

import hmac
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
)
from bot.core.models import (
    Account,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Conclusion,
    Gate,
    Issue,
    IssueCounts,
    Job,
    Log,
    Page,
    Parameter,
    Pipeline,
    Ref,
    StartRequest,
    Status,
    Tap,
    TestCase,
    Watched,
)
from bot.http.client import Api, Quota, Reply

log = logging.getLogger(__name__)

T = TypeVar("T")
StateMap = Mapping[str, tuple[Status, Conclusion | None]]

HOOK_WINDOW_SECONDS = 300
LOG_TAIL_BYTES = 64 * 1024
SEARCH_PAGES = 10


class Capability(StrEnum):
    """What a system may be able to do beyond listing and reading its builds."""

    REFS = "refs"
    PARAMETERS = "parameters"
    START = "start"
    CANCEL = "cancel"
    REBUILD = "rebuild"
    RETRY_ALL = "retry_all"
    RETRY_FAILED = "retry_failed"
    RETRY_JOB = "retry_job"
    ERASE = "erase"
    JOBS = "jobs"
    LOG = "log"
    LIVE_LOG = "live_log"
    ARTIFACTS = "artifacts"
    DOWNLOAD = "download"
    TESTS = "tests"
    ISSUES = "issues"
    COUNTS = "counts"
    GATES = "gates"
    DECIDE = "decide"
    REJECT = "reject"
    PIPELINE_ADMIN = "pipeline_admin"
    WEBHOOK = "webhook"
    ACCOUNT_POLL = "account_poll"


OVERRIDES: Mapping[Capability, str] = {
    Capability.REFS: "refs",
    Capability.PARAMETERS: "parameters",
    Capability.START: "start",
    Capability.CANCEL: "cancel",
    Capability.REBUILD: "rebuild",
    Capability.RETRY_ALL: "retry",
    Capability.RETRY_FAILED: "retry",
    Capability.RETRY_JOB: "retry",
    Capability.ERASE: "erase",
    Capability.JOBS: "jobs",
    Capability.LOG: "log",
    Capability.LIVE_LOG: "log",
    Capability.ARTIFACTS: "artifacts",
    Capability.DOWNLOAD: "download",
    Capability.TESTS: "tests",
    Capability.ISSUES: "issues",
    Capability.COUNTS: "counts",
    Capability.GATES: "gates",
    Capability.DECIDE: "decide",
    Capability.REJECT: "decide",
    Capability.PIPELINE_ADMIN: "pipeline_admin",
    Capability.WEBHOOK: "read_hook",
    Capability.ACCOUNT_POLL: "changes",
}
"""The method an adapter overrides for each capability; the contract test holds both to each other."""

_NAMES: Mapping[Capability, str] = {
    Capability.REFS: "list branches and tags",
    Capability.PARAMETERS: "tell which parameters a build takes",
    Capability.START: "start a build",
    Capability.CANCEL: "cancel a build",
    Capability.REBUILD: "build the same again",
    Capability.RETRY_ALL: "run all of a build's jobs again",
    Capability.RETRY_FAILED: "run only the failed jobs again",
    Capability.RETRY_JOB: "run one job again",
    Capability.ERASE: "erase a build's logs and artifacts",
    Capability.JOBS: "list a build's jobs",
    Capability.LOG: "show logs",
    Capability.LIVE_LOG: "show logs while a job runs",
    Capability.ARTIFACTS: "list artifacts",
    Capability.DOWNLOAD: "hand out artifacts",
    Capability.TESTS: "list tests",
    Capability.ISSUES: "list issues",
    Capability.COUNTS: "count issues",
    Capability.GATES: "list steps that wait for a person",
    Capability.DECIDE: "approve a waiting step",
    Capability.REJECT: "reject a waiting step",
    Capability.PIPELINE_ADMIN: "manage pipelines",
    Capability.WEBHOOK: "send webhooks",
    Capability.ACCOUNT_POLL: "list the builds of a whole account",
}


class Options(BaseModel):
    """A connection's settings; each provider adds its own. Bad or unknown names are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    url: str = Field(default="", description="Base URL of the CI system, where it is not the vendor's own.")
    webhook_secret: SecretStr | None = Field(
        default=None, description="What webhooks are signed with, or the last part of their address."
    )
    workspaces: tuple[str, ...] = Field(
        default=(), description="Slack workspaces (team ids) that may see this connection."
    )
    private_network: bool = Field(default=False, description="Allow loopback and private addresses.")


O = TypeVar("O", bound=Options)  # noqa: E741 - the usual letter for options


class Wire(msgspec.Struct):
    """A vendor's object: only the fields we read, all but the key with a default, unknown ones ignored."""

    @classmethod
    def of(cls, payload: object) -> Self:
        """Return the object from `Raw`, bytes or decoded JSON. Raises UnexpectedResponse naming the field."""
        try:
            if isinstance(payload, msgspec.Raw | bytes):
                return msgspec.json.decode(payload, type=cls)
            return msgspec.convert(payload, cls)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
            name = cls.__name__.strip("_")
            raise UnexpectedResponse(
                f"The CI system sent a {name} in a form I don't know: {exc}.", provider=cls.__module__.split(".")[2]
            ) from exc


class Bearer(httpx.Auth):
    """Adds `Authorization: Bearer`."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


class PipelineAdmin(ABC):
    """Administration of pipelines, where a system has it (Xcode Cloud's workflows)."""

    @abstractmethod
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        """Switch a pipeline on or off and return it."""

    @abstractmethod
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        """Make a copy under another name and return the copy."""

    @abstractmethod
    async def create(self, like: str, settings: Mapping[str, str]) -> Pipeline:
        """Make a new pipeline beside `like` with the named settings and return it."""

    @abstractmethod
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        """Give a pipeline another name and return it."""

    @abstractmethod
    async def delete(self, pipeline: str) -> None:
        """Delete a pipeline and all its builds. There is no way back."""

    @abstractmethod
    async def choices(self, pipeline: str) -> Mapping[str, tuple[str, ...]]:
        """Return what `create` can choose from (versions, repositories), newest first, by the setting's name."""


class Provider(ABC, Generic[O]):
    """One connection at one CI system.

    `pipeline` arguments are `Pipeline.id`, `build` arguments `Build.id`. Every method may raise the errors of
    `bot.core.errors` below `ProviderError`; listings have a ceiling and end.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    default_url: ClassVar[str] = ""
    page: ClassVar[str]
    states: ClassVar[StateMap]
    options_type: ClassVar[type[Options]]
    capabilities: frozenset[Capability] = frozenset()
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {}
    start_options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, api: Api, options: O, *, connection: str, clock: Clock, sleep: Sleep = sleep) -> None:
        self.connection = connection
        self.options = options
        self._api = api
        self._clock = clock
        self._sleep = sleep

    # how the roof makes one

    @classmethod
    def auth(cls, options: O, clock: Clock) -> httpx.Auth | None:
        """Return what adds the credentials to each request."""
        return None

    @classmethod
    def base_url(cls, options: O) -> str:
        """Return the API's root for these options."""
        return (options.url or cls.default_url).rstrip("/")

    @classmethod
    def trusted(cls, options: O) -> tuple[str, ...]:
        """Return the origins beside the API's root that get the credentials, too."""
        return ()

    @classmethod
    def explain(cls, reply: Reply) -> ProviderError | None:
        """Return an error where the vendor uses a status in its own way."""
        return None

    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        """Return what the vendor's headers say is left of the rate limit."""
        return None

    @classmethod
    def headers(cls, options: O) -> Mapping[str, str]:
        """Return headers that every request carries."""
        return {}

    @property
    def quota(self) -> Quota | None:
        """Return what is left of the rate limit, as last told."""
        return self._api.quota

    @property
    def requests(self) -> int:
        """Return how many requests this connection has sent."""
        return self._api.requests

    # what every system can do

    @abstractmethod
    async def check(self) -> Account:
        """Return whose credentials these are and what they lack."""

    @abstractmethod
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield what can be built; `query` narrows by a part of the name, without regard to case."""

    @abstractmethod
    async def pipeline(self, path: str) -> Pipeline:
        """Return the pipeline that a path or id names. Raises NotFound."""

    @abstractmethod
    def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield a pipeline's builds that `wanted` admits, newest first, at most `wanted.limit`."""

    @abstractmethod
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build as it stands now. Raises NotFound."""

    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build people call `#number`. The plain version looks through the newest 300 builds."""
        async for build in self.builds(pipeline, BuildFilter(limit=300)):
            if build.number == number:
                return build
            if build.number is not None and build.number < number:
                break
        raise NotFound(f"There is no build #{number} in this pipeline.", provider=self.label)

    def lane(self, pipeline: str) -> str:
        """Return which of the connection's polls covers a pipeline; "" where one poll covers all."""
        return ""

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that may have changed since `cursor`.

        The plain version lists each watched pipeline once and reads unfinished builds that the list did not show:
        requests per tick = pipelines + unfinished builds older than the newest 30.
        """
        found: dict[BuildKey, Build] = {}
        for pipeline in sorted(watched.pipelines):
            async for build in self.builds(pipeline, BuildFilter(limit=30)):
                found[build.key] = build
        for key in sorted(watched.unfinished - found.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[key] = straggler
        return Changes(builds=tuple(found.values()), cursor=cursor)

    async def build_or_none(self, key: BuildKey) -> Build | None:
        """Return a build, or None where the system no longer has it."""
        try:
            return await self.build(key.pipeline, key.id)
        except NotFound:
            return None

    # what some can do

    def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches and tags (and open pull requests) whose name holds `query`."""
        raise self.unsupported(Capability.REFS)

    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return what a build of `ref` can be given."""
        raise self.unsupported(Capability.PARAMETERS)

    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and return the one the vendor says it started. Never sent twice."""
        raise self.unsupported(Capability.START)

    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build and return it as it stands after that."""
        raise self.unsupported(Capability.CANCEL)

    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build of the same source and return it. `request.parameters` replace values."""
        raise self.unsupported(Capability.REBUILD)

    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs of a build again: the failed ones, all, or the one whose id is `job`. Return the build."""
        raise self.unsupported(
            Capability.RETRY_JOB if job else Capability.RETRY_FAILED if failed_only else Capability.RETRY_ALL
        )

    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete a build's logs and artifacts and return it."""
        raise self.unsupported(Capability.ERASE)

    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a build's jobs in the order they run; jobs superseded by a retry are marked or left out."""
        raise self.unsupported(Capability.JOBS)

    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log, at most `tail_bytes`. Raises NotFound while there is none."""
        raise self.unsupported(Capability.LOG)

    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return the files a build left."""
        raise self.unsupported(Capability.ARTIFACTS)

    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes."""
        raise self.unsupported(Capability.DOWNLOAD)

    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return a build's tests, failed ones first."""
        raise self.unsupported(Capability.TESTS)

    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return a build's complaints, errors first."""
        raise self.unsupported(Capability.ISSUES)

    async def counts(self, build: Build) -> IssueCounts:
        """Return a completed build's issue counts, asking only for what the build does not carry already."""
        raise self.unsupported(Capability.COUNTS)

    async def gates(self, pipeline: str, build: str) -> tuple[Gate, ...]:
        """Return the steps of a build that wait for a person now."""
        raise self.unsupported(Capability.GATES)

    async def decide(
        self, gate: Gate, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Approve or reject a gate and return its build as it stands after that."""
        raise self.unsupported(Capability.DECIDE if approve else Capability.REJECT)

    def pipeline_admin(self) -> PipelineAdmin:
        """Return what manages pipelines."""
        raise self.unsupported(Capability.PIPELINE_ADMIN)

    def read_url(self, url: str) -> Page | None:
        """Return what a page of this connection shows, or None where the address is not one of its pages."""
        return None

    def read_hook(self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None) -> Tap | None:
        """Return what a webhook says, or None for an event that says nothing about builds.

        Header names are lower case. The signature (or, where the system cannot sign, the secret in the path) is
        checked before anything is read. Raises AuthFailed; also where no secret is set.
        """
        raise self.unsupported(Capability.WEBHOOK)

    # for adapters

    def can(self, capability: Capability) -> bool:
        """Return whether this connection can do a thing."""
        return capability in self.capabilities

    def unsupported(self, capability: Capability, url: str | None = None) -> Unsupported:
        """Return the refusal in a person's words, with the place where the thing can be done by hand."""
        said, hint = self.refusals.get(capability, (f"{self.label} can't {_NAMES[capability]} for me.", ""))
        if url:
            hint = f"{hint or 'Do it on its page'}: {url}" if not hint.endswith(".") else f"{hint} {url}"
        return Unsupported(said, provider=self.label, hint=hint or None)

    async def once(self, act: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]]) -> T:
        """Do what must not be done twice; where no answer came, look for the effect before saying that it failed."""
        try:
            return await act()
        except Unavailable as exc:
            if not exc.acted:
                raise
            for pause in (0.5, 1.5, 3.0):
                await self._sleep(pause)
                try:
                    found = await look()
                except ProviderError:
                    continue
                if found is not None:
                    return found
            raise Unavailable(
                f"{self.label} did not answer, and I can't see whether it acted. I did not try again.",
                provider=self.label,
                status=exc.status,
                hint="Look at its page before you repeat this.",
            ) from exc

    def check_path_secret(self, given: str | None) -> None:
        """Raise AuthFailed unless the path's secret is the connection's, compared in constant time."""
        if not same_secret(given or "", self.webhook_secret()):
            raise AuthFailed("The secret in the address does not fit.", provider=self.label, status=401)

    def webhook_secret(self) -> str:
        """Return the webhook secret. Raises AuthFailed where none is set: nothing unsigned is believed."""
        secret = self.options.webhook_secret
        value = secret.get_secret_value() if secret else ""
        if not value:
            raise AuthFailed(
                f"No webhook secret is set for {self.connection}, so I refuse its webhooks.",
                provider=self.label,
                status=401,
                hint="Set `webhook_secret` for the connection.",
            )
        return value


AnyProvider = Provider[Any]
"""A provider whatever its options: those who hold several can't say which."""


def state_from(raw: str | None, states: StateMap, *, finished: bool = False) -> tuple[Status, Conclusion | None]:
    """Return a vendor's word as ours. An unknown one is completed without conclusion, or in progress; logged once."""
    word = (raw or "").strip()
    known = states.get(word) or states.get(word.lower()) or states.get(word.upper())
    if known is not None:
        return known
    if word and word[:80] not in _UNKNOWN:
        _UNKNOWN.add(word[:80])
        log.warning("a CI system sent a state I don't know", extra={"state": word[:80]})
    return (Status.COMPLETED, None) if finished else (Status.IN_PROGRESS, None)


_UNKNOWN: set[str] = set()

_SPACED_UTC = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?) ?(?:UTC|Z)$")
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")


def moment(value: str | float | None) -> datetime | None:
    """Return a vendor's time as aware UTC: ISO 8601 in its many forms, or seconds or milliseconds since the epoch.

    A stamp that is no time at all is None: one bad stamp must not spoil a whole answer.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            text = _LONG_FRACTION.sub(r"\1", value.strip())
            spaced = _SPACED_UTC.match(text)
            read = datetime.fromisoformat(f"{spaced[1]}T{spaced[2]}+00:00" if spaced else text)
            read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        else:
            read = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return read if read.year >= 1970 else None


def latest(*moments: datetime | None) -> datetime | None:
    """Return the latest of the known times."""
    return max((at for at in moments if at is not None), default=None)


def same_secret(given: str, wanted: str) -> bool:
    """Return whether two secrets are equal, compared in constant time on bytes."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def fresh(timestamp: str | float | None, now: datetime, window: float = HOOK_WINDOW_SECONDS) -> bool:
    """Return whether a webhook's time in seconds since the epoch lies within the window around now."""
    try:
        return abs(now.timestamp() - float(timestamp or "nan")) <= window
    except (ValueError, OverflowError):
        return False


_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b_[^\x07]*\x07|\x1b[@-Z\\-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean_log(data: bytes | str) -> str:
    """Return a log without colours, control characters and overwritten progress lines."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines))


def job_counts(jobs: Iterable[Job]) -> Mapping[str, int]:
    """Return how many jobs stand in each state, by the words of Status and Conclusion."""
    counts: dict[str, int] = {}
    for job in jobs:
        if job.retried:
            continue
        word = job.conclusion.value if job.conclusion else job.status.value
        counts[word] = counts.get(word, 0) + 1
    return counts


def with_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return the build with its jobs counted."""
    return replace(build, jobs=job_counts(jobs))


_GIT_URL = re.compile(r"^(?:[a-z+]+://)?(?:[^@/]+@)?[^/:]+(?::\d+)?[/:](.+?)(?:\.git)?/?$")


def repository(url: str | None) -> str | None:
    """Return `owner/name` of a git address; what is no address stays as it is."""
    found = _GIT_URL.match(url or "")
    return found[1].lstrip("/") if found else url or None


def readable(items: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T]) -> Iterator[T]:
    """Yield what reads: one odd item spoils only itself. Raises the last error where nothing reads."""
    odd: UnexpectedResponse | None = None
    good = False
    for item in items:
        try:
            it = read(item)
        except UnexpectedResponse as exc:
            odd = exc
            log.warning("an item of a list does not read", extra={"error": str(exc)})
            continue
        good = True
        yield it
    if odd is not None and not good:
        raise odd
