"""The base class of every provider.

A provider overrides what its system can do and lists it in `capabilities`; what it does not override raises
`Unsupported` in the words of `refusals`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Unsupported
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Commit,
    Conclusion,
    FilterField,
    Issue,
    IssueCounts,
    Job,
    Log,
    Page,
    Parameter,
    Pipeline,
    Ref,
    RefKind,
    Scope,
    StartRequest,
    StartTarget,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.workflows import Upload
from bot.http.budget import Budgeted, Purpose
from bot.http.client import ApiClient
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.admin import PipelineAdmin
from bot.providers.base.capabilities import ABILITIES, SAME_REASON, Capability
from bot.providers.base.convert import StateMap
from bot.providers.base.listing import without_false_zeros
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.options import O, Options, check_options
from bot.providers.base.send_once import read_back, send_once
from bot.providers.base.urls import is_uuid, site_of
from bot.providers.base.webhooks import same_secret
from bot.providers.base.wire import LABELS

log = logging.getLogger(__name__)

T = TypeVar("T")


class Provider(ABC, Generic[O]):
    """One connection at one CI system.

    `pipeline` arguments are `Pipeline.id`, `build` arguments `Build.id`. Every method may raise the errors of
    `bot.core.errors` below `ProviderError`; listings have a ceiling and end.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    default_url: ClassVar[str] = ""
    default_site: ClassVar[str] = ""
    """Where the vendor's own pages lie; empty where that is `default_url`, or everybody has a server of their own."""
    other_sites: ClassVar[tuple[str, ...]] = ()
    """Further addresses of the vendor's own, of its API too: a connection whose `url` is one has the vendor's pages."""
    api_suffix: ClassVar[str] = ""
    """The last part of the API's root at a server of one's own; its pages lie beside it."""
    page: ClassVar[str]
    states: ClassVar[StateMap]
    options_type: ClassVar[type[Options]]
    scopes: ClassVar[tuple[Scope, ...]] = ()
    """What the credentials need: the only such list, for the checks, the messages and the provider's page."""
    capabilities: frozenset[Capability] = frozenset()
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {}
    start_options: ClassVar[Mapping[str, str]] = {}
    list_filters: ClassVar[frozenset[FilterField]] = frozenset()
    """By what the vendor itself narrows its lists of builds; by the rest they are narrowed here."""
    list_options: ClassVar[Mapping[str, str]] = {}
    """What else the lists of builds take from people, as `--option NAME=VALUE`; `meta_data.` takes `--meta` pairs."""
    show_options: ClassVar[Mapping[str, str]] = {}
    """What `as_sent` takes for a single build, as `--option NAME=VALUE`."""
    everywhere_option: ClassVar[str] = ""
    """Which of these makes `account_builds` list what lies beyond the connection's own account, too."""
    finds_builds_anywhere: ClassVar[bool] = False
    """Whether `build` finds a UUID in an empty pipeline: in whichever it is of."""
    takes_creators_uuid: ClassVar[bool] = False
    """Whether the vendor narrows its lists by the UUID of who made a build, if not by names."""
    lists_parts: ClassVar[bool] = False
    """Whether a list leaves out fields, so that a build found in one is read whole."""
    lists_all_refs: frozenset[RefKind] = frozenset({RefKind.BRANCH, RefKind.TAG})
    """Kinds of refs of which `refs` finds every one, so that a name it does not find does not exist."""
    takes_message: ClassVar[bool] = True
    takes_parameters: ClassVar[bool] = True
    starts_commits: ClassVar[bool] = False
    """Whether a start can name any commit of the repository, not only a ref's newest one."""
    approvals_last: ClassVar[timedelta | None] = None
    """After how long the system ends an approval that nobody decided, at the latest; None where it waits for ever."""
    cancels_waiting: ClassVar[bool] = True
    """Whether the system's API cancels a build that waits for approval."""

    @override
    def __init_subclass__(cls, **given: object) -> None:
        """Note the provider's label for the messages of its wire models; let its counts report no false zero."""
        super().__init_subclass__(**given)
        if "counts" in vars(cls):
            setattr(cls, "counts", without_false_zeros(cls.counts))  # noqa: B010 - mypy takes no assignment to a method
        package = cls.__module__.split(".")
        if len(package) > 2 and isinstance(label := getattr(cls, "label", None), str):
            LABELS.setdefault(package[2], label)

    def __init__(self, api: ApiClient, options: O, *, connection: str, clock: Clock, sleep: Sleep = sleep) -> None:
        self.connection = connection
        self.options = options
        self._api = api
        self._clock = clock
        self._sleep = sleep

    # how a connection makes one

    @classmethod
    def variant(cls, options: O) -> type["Provider[O]"]:
        """Return the class that speaks the API these options name: this one, or another for an old version of it."""
        return cls

    @classmethod
    def auth(cls, options: O, clock: Clock) -> httpx.Auth | None:
        """Return what adds the credentials to each request."""
        return None

    @classmethod
    def base_url(cls, options: O) -> str:
        """Return the API's root for these options."""
        return (options.url or cls.default_url).rstrip("/")

    @classmethod
    def site(cls, options: O) -> str:
        """Return where the connection's pages for people lie; every link to a page that is built here begins with it.

        That is `web_url`, else the vendor's own site, else beside a `url` that is none of the vendor's addresses.
        """
        vendor = cls.default_site or cls.default_url
        return site_of(options.web_url, options.url, vendor, cls.default_url, *cls.other_sites, suffix=cls.api_suffix)

    @classmethod
    def credential_origins(cls, options: O) -> tuple[str, ...]:
        """Return the origins beside the API's root that get the credentials, too."""
        return ()

    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        """Return an error where the vendor uses a status in its own way."""
        return None

    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime, /) -> Quota | None:
        """Return what the vendor's headers say is left of the rate limit."""
        return None

    @classmethod
    def headers(cls, options: O) -> Mapping[str, str]:
        """Return headers that every request carries."""
        return {}

    @property
    def quota(self) -> Quota | None:
        """Return what is left of the rate limit, as last reported."""
        return self._api.quota

    @property
    def clock_ahead(self) -> timedelta | None:
        """Return how far this machine's clock is ahead of the vendor's; None where no answer was dated."""
        return self._api.clock_ahead

    @property
    def budget(self) -> Budgeted:
        """Return the account's budget of requests, which processes share."""
        return self._api.budget

    def wait(self, purpose: Purpose) -> float:
        """Return the seconds until a request for a purpose may go out, as far as is known."""
        return self._api.wait(purpose)

    @property
    def requests(self) -> int:
        """Return how many requests this connection has sent."""
        return self._api.requests

    def narrows(self, build_filter: BuildFilter) -> frozenset[FilterField]:
        """Return by which fields of a filter the vendor itself narrows its list; by the others it is narrowed here."""
        by_uuid = self.takes_creators_uuid and any(is_uuid(part) for part in build_filter.by)
        return self.list_filters | {FilterField.BY} if by_uuid else self.list_filters

    @property
    def web_homes(self) -> tuple[str, ...]:
        """Return the addresses below which this connection's pages lie; the first is where page links point."""
        own = (self.site(self.options), self.options.url)
        return tuple(dict.fromkeys((*own, self.default_site or self.default_url, *self.other_sites)))

    def accepts(self, build: Build) -> frozenset[Capability]:
        """Return the capabilities that the vendor accepts for a build as it stands: which buttons make sense.

        The plain version: stopping needs an unfinished build, running jobs again or erasing a finished one, deciding
        an open approval.
        """
        left_out: set[Capability] = set()
        if build.completed:
            left_out.add(Capability.CANCEL)
        else:
            left_out |= {Capability.RETRY_ALL, Capability.RETRY_FAILED, Capability.ERASE}
        if build.completed and build.conclusion is Conclusion.PASSED:
            left_out.add(Capability.RETRY_FAILED)
        if not build.waiting:
            left_out |= {Capability.DECIDE, Capability.REJECT}
        return self.capabilities - left_out

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
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a pipeline's builds that `build_filter` admits, newest first, at most `build_filter.limit`."""

    def account_builds(self, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield the builds of all pipelines that `build_filter` admits, newest first, for systems with such a list."""
        raise self.unsupported(Capability.ACCOUNT_POLL)

    async def as_sent(self, pipeline: str, build: str | None, options: Mapping[str, str]) -> bytes | None:
        """Return what the system sends for a build (None: for the list) under its own options, where they ask for that."""
        return None

    @abstractmethod
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build as it stands now, with the pipeline that the vendor says it belongs to. Raises NotFound."""

    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build people call `#number`. The plain version looks through the newest 300 builds."""
        async for build in self.builds(pipeline, BuildFilter(limit=300)):
            if build.number == number:
                return await self.build(pipeline, build.id) if self.lists_parts else build
            if build.number is not None and build.number < number:
                break
        raise NotFound(f"There is no build #{number} in this pipeline.", provider=self.label)

    async def build_anywhere(self, uuid: str) -> Build:
        """Return the build of a UUID, of whichever pipeline of the connection. Raises NotFound."""
        if self.finds_builds_anywhere:
            return await self.build("", uuid)
        raise NotFound(f"{self.label} finds no build by such an id alone.", provider=self.label)

    async def build_by_label(self, pipeline: str, label: str) -> Build:
        """Return the build whose label (a number that is a text) people type. Looks through the newest 300 builds.

        A UUID is a build's id: what the system finds by that counts.
        """
        if is_uuid(label):
            return await self.build(pipeline, label)
        async for build in self.builds(pipeline, BuildFilter(limit=300)):
            if build.label == label:
                return build
        raise NotFound(f"There is no build #{label} in this pipeline.", provider=self.label)

    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the build that a job belongs to, for systems whose job pages do not name it. Raises NotFound."""
        raise NotFound(
            f"{self.label} does not tell which build this job belongs to.",
            provider=self.label,
            hint="Paste the build's own page.",
        )

    def poll_target(self, pipeline: str) -> str:
        """Return which of the connection's polls covers a pipeline; "" where one poll covers all."""
        return ""

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that may have changed since `cursor`.

        The plain version lists each watched pipeline once and reads unfinished builds that the list did not show:
        requests per tick = pipelines + unfinished builds older than the newest 30.
        """
        builds: dict[BuildKey, Build] = {}
        for pipeline in sorted(watched.pipelines):
            async for build in self.builds(pipeline, BuildFilter(limit=30)):
                builds[build.key] = build
        for key in sorted(watched.unfinished - builds.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                builds[key] = straggler
        return Changes(builds=tuple(builds.values()), cursor=cursor)

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

    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what `start` would make the system build, as it will be sent. Costs a request for the default branch.

        The plain version: a branch that the ref and the `branch` option both name counts as both; a commit or nothing
        goes under the default branch.
        """
        ref = request.ref
        option = request.options.get("branch")
        named = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
        branch = named or option
        tag = ref.name if ref is not None and ref.kind is RefKind.TAG else None
        pull_request = ref.name if ref is not None and ref.kind is RefKind.PULL_REQUEST else None
        if branch is None and tag is None and pull_request is None:
            branch = (await self.pipeline(pipeline)).default_branch
        commit = ref.name if ref is not None and ref.kind is RefKind.COMMIT else request.commit
        also = (option,) if option and option != branch else ()
        return StartTarget(branch=branch, tag=tag, commit=commit, pull_request=pull_request, also=also)

    async def rebuild_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what the values of `request` make a rebuild build that the old build's own refs don't say.

        Where values or options of a system choose a ref, its adapter names it here: rights are judged on both.
        """
        return StartTarget(branch=request.options.get("branch"))

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

    async def erase_job(self, pipeline: str, job: str) -> Build:
        """Delete one job's log and artifacts, nothing beside it, and return the build it belongs to."""
        raise self.unsupported(Capability.ERASE_JOB)

    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's jobs in the order they run. Those that a retry replaced are marked, or left out.

        With `all_attempts` none is left out that the system still reports.
        """
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
        """Return a build's errors, warnings and failed tests, errors first."""
        raise self.unsupported(Capability.ISSUES)

    async def counts(self, build: Build) -> IssueCounts:
        """Return a completed build's issue counts, asking only for what the build does not carry already."""
        raise self.unsupported(Capability.COUNTS)

    async def uploads(self, pipeline: str, build: str) -> tuple[Upload, ...]:
        """Return what a finished build handed to an app store, newest first; it may still be processed there."""
        raise self.unsupported(Capability.UPLOADS)

    async def commits(self, pipeline: str, base: str, head: str) -> tuple[Commit, ...]:
        """Return the commits after one commit up to another, newest first; both are whole SHAs."""
        raise self.unsupported(Capability.COMMITS)

    async def commits_of(self, pipeline: str, build: str) -> tuple[Commit, ...]:
        """Return the commits that are new in a build by the vendor's own account, newest first; none where it gives none."""
        return ()

    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the steps of a build that wait for a person now."""
        raise self.unsupported(Capability.APPROVALS)

    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Approve or reject an approval and return its build as it stands after that."""
        raise self.unsupported(Capability.DECIDE if approve else Capability.REJECT)

    def pipeline_admin(self) -> PipelineAdmin:
        """Return what manages pipelines."""
        raise self.unsupported(Capability.PIPELINE_ADMIN)

    def parse_url(self, url: str) -> Page | None:
        """Return what a page of this connection shows, or None where the address is not one of its pages."""
        return None

    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return what a webhook says, or None for an event that says nothing about builds.

        Header names are lower case. The signature (or, where the system cannot sign, the secret in the path) is
        checked before anything is read. Raises AuthFailed; also where no secret is set.
        """
        raise self.unsupported(Capability.WEBHOOK)

    # for subclasses

    def can(self, capability: Capability) -> bool:
        """Return whether this connection can do a thing."""
        return capability in self.capabilities

    def unsupported(self, capability: Capability, url: str | None = None) -> Unsupported:
        """Return the refusal in a person's words, with the place where the thing can be done by hand."""
        words = self.refusals.get(capability) or self.refusals.get(SAME_REASON.get(capability, capability))
        sentence, hint = words or (f"{self.label} can't {ABILITIES[capability]} for me.", "")
        if url:
            hint = f"{hint or 'Do it on its page'}: {url}" if not hint.endswith(".") else f"{hint} {url}"
        refusal = Unsupported(sentence, provider=self.label, hint=hint or None)
        refusal.url = url
        return refusal

    def check_options(self, request: StartRequest) -> None:
        """Raise UsageError for an option of a start that this system does not have, by name."""
        check_options(request.options, self.start_options, self.label)

    async def send_once(self, send: Callable[[], Awaitable[T]], confirm: Callable[[], Awaitable[T | None]]) -> T:
        """Send a request that must not be repeated; see `base.send_once`."""
        return await send_once(send, confirm, label=self.label, sleep=self._sleep)

    async def read_back(self, read: Awaitable[T]) -> T:
        """Return what a read after an accepted request gives; see `base.send_once.read_back`."""
        return await read_back(read, label=self.label)

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
