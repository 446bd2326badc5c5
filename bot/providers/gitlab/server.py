"""What GitLab's two APIs have in common: the settings, the credentials, the errors, the addresses, the webhooks."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr, field_validator
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse
from bot.core.models import Build, Job, Log, Page, WebhookEvent
from bot.http.client import Quota, Reply, message_of
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.logs import cleaned_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.times import parse_time
from bot.providers.base.webhooks import same_secret, within_window
from bot.providers.base.wire import Wire
from bot.providers.gitlab.wire import STATES, User, plain_log

T = TypeVar("T")
R = TypeVar("R")

PER_PAGE: Final = 100
AT_ONCE: Final = 8
SIGNING_PREFIX: Final = "whsec_"
RESERVED: Final = frozenset(
    {"-", "admin", "api", "assets", "dashboard", "explore", "groups", "help", "profile", "search", "uploads", "users"}
)

_API_TAIL = re.compile(r"/+(?:api(?:/(?:v\d+|graphql))?/*)?$")


class GitLabOptions(Options):
    """A connection to a GitLab server."""

    token: SecretStr = Field(
        description="Access token (personal, group or project). Scope `api`; `read_api` is enough to watch."
    )
    api_version: Literal["v4", "v3"] = Field(
        default="v4", description="`v3` for servers before GitLab 9.0, where a build is a group of jobs."
    )
    group: str = Field(default="", description="Only projects of this group and its subgroups.")
    trigger_token: SecretStr | None = Field(
        default=None, description="Pipeline trigger token to start builds with, where the access token may not."
    )

    @field_validator("url")
    @classmethod
    def _without_api(cls, url: str) -> str:
        return _API_TAIL.sub("", url)

    @field_validator("group")
    @classmethod
    def _bare_group(cls, group: str) -> str:
        return group.strip("/")


class PrivateToken(httpx.Auth):
    """Adds `PRIVATE-TOKEN`, the only form that v3 knows for access tokens."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["PRIVATE-TOKEN"] = self._token.get_secret_value()
        yield request


class GitLabServer(Provider[GitLabOptions]):
    """One GitLab server and what holds for both of its APIs."""

    kind = "gitlab"
    label = "GitLab"
    takes_message = False
    default_url = "https://gitlab.com"
    page = "https://docs.gitlab.com/api/pipelines/"
    states = STATES
    options_type = GitLabOptions
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.RETRY_ALL: (
            "GitLab can't run all jobs of a pipeline again.",
            "`/build rebuild` starts a new pipeline on the same ref.",
        ),
        Capability.REJECT: (
            "A manual job of GitLab can't be rejected, it just waits.",
            "`/build cancel` stops the whole build.",
        ),
        Capability.PARAMETERS: (
            "This GitLab does not tell which variables and inputs a pipeline takes.",
            "Give them by name: `KEY=VALUE` for a variable, `input.NAME=VALUE` for an input.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = {
        "input.NAME": "A value for the pipeline input NAME (GitLab 17.10 and later)."
    }

    @classmethod
    @override
    def auth(cls, options: GitLabOptions, clock: Clock) -> httpx.Auth:
        return PrivateToken(options.token) if options.api_version == "v3" else Bearer(options.token)

    @classmethod
    @override
    def base_url(cls, options: GitLabOptions) -> str:
        return f"{super().base_url(options)}/api/{options.api_version}"

    @classmethod
    @override
    def map_error(cls, reply: Reply) -> ProviderError | None:
        said = message_of(reply) or ""
        words = said.lower()
        if reply.status == 400 and "reference not found" in words:
            return NotFound(
                "GitLab has no such branch or tag.",
                provider=cls.label,
                status=400,
                hint="`/build run` takes the name of a branch or a tag.",
            )
        if reply.status == 400 and "will not run for the selected trigger" in words:
            return Rejected(
                "GitLab would run no job: the pipeline's `rules` leave out builds started from outside.",
                provider=cls.label,
                status=400,
                hint="Allow the sources `api` and `trigger` in `.gitlab-ci.yml`.",
            )
        if reply.status == 403 and "insufficient_scope" in reply.text[:2000]:
            return AuthFailed(
                "The token's scope is too small for that.",
                provider=cls.label,
                status=403,
                hint="Reading needs the scope `read_api`, acting needs `api`.",
            )
        if "job is not" in words or "unplayable job" in words:  # retryable, erasable: the job's state, not our rights
            reason = said.rpartition(" - ")[2].rstrip("!.")
            return Rejected(f"GitLab refused: {reason}.", provider=cls.label, status=reply.status)
        return None

    @classmethod
    @override
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        limit, left, reset = (headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset"))
        if not (limit.isdigit() and left.isdigit()):
            return None
        return Quota(
            limit=int(limit), remaining=int(left), resets_at=parse_time(float(reset)) if reset.isdigit() else None
        )

    @property
    def root(self) -> str:
        """Return the address of the server's pages."""
        return (self.options.url or self.default_url).rstrip("/")

    @override
    def parse_url(self, url: str) -> Page | None:
        try:
            given, mine = httpx.URL(url.strip()), httpx.URL(self.root)
        except httpx.InvalidURL:
            return None
        base = mine.path.rstrip("/")
        if (given.scheme not in {"http", "https"} or given.netloc.lower() != mine.netloc.lower()) or not (
            given.path.startswith(f"{base}/")
        ):
            return None
        parts = [part for part in given.path.removeprefix(base).split("/") if part]
        return _page(parts)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        self._verify(headers, body)
        delivery = headers.get("idempotency-key") or headers.get("webhook-id") or hashlib.sha256(body).hexdigest()
        return _tap(body, delivery)

    def _verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise AuthFailed unless the delivery is GitLab's own.

        `webhook_secret` may hold several secrets with spaces between, while one replaces the other. The presence of
        `webhook-signature` alone decides how to check: its two sister headers come with every delivery.
        """
        secrets = self.webhook_secret().split()
        signature = headers.get("webhook-signature")
        if signature is None:
            given = headers.get("x-gitlab-token", "")
            plain = [each for each in secrets if not each.startswith(SIGNING_PREFIX)]
            if not any(same_secret(given, each) for each in plain):
                raise self._unbelieved("The webhook's secret token does not fit.")
            return
        stamp = headers.get("webhook-timestamp", "")
        if not within_window(stamp, self._clock()):
            raise self._unbelieved("The webhook is too old, or its clock is wrong.")
        signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode("utf-8", "replace") + body
        given_ones = [value for part in signature.split() for mark, _, value in [part.partition(",")] if mark == "v1"]
        wanted = [_signed(each, signed) for each in secrets if each.startswith(SIGNING_PREFIX)]
        if not any(same_secret(given, each) for given in given_ones for each in wanted if each):
            raise self._unbelieved("The webhook's signature does not fit.")

    def _unbelieved(self, said: str) -> AuthFailed:
        return AuthFailed(said, provider=self.label, status=401)

    # for both adapters

    def at(self, pipeline: str, *rest: str) -> str:
        """Return the path of a project's resource; its id or path goes in encoded whole."""
        return "/".join((f"projects/{quote(pipeline, safe='')}", *rest))

    async def post(
        self, pipeline: str, *rest: str, json: object = None, form: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the answer to a POST below a project, never repeated - but sent on where the project has moved.

        A redirect means that nothing has happened yet; the project's number is asked for and used instead.
        """
        try:
            return await self._api.send("POST", self.at(pipeline, *rest), json=json, form=form)
        except UnexpectedResponse as exc:
            if exc.status not in {301, 302, 307, 308}:
                raise
            moved = await self.pipeline(pipeline)
            if moved.id == pipeline:
                raise
            return await self._api.send("POST", self.at(moved.id, *rest), json=json, form=form)

    async def whose(self, hint: str) -> User:
        """Return the token's user. Raises NotFound, with a hint, where the server does not speak this API."""
        try:
            return User.of((await self._api.get("user")).raw)
        except NotFound as exc:
            raise NotFound(
                f"There is no GitLab API {self.options.api_version} at this address.",
                provider=self.label,
                status=exc.status,
                hint=f"Look at `url`. {hint}",
            ) from exc

    async def tail(self, path: str, job: Job, tail_bytes: int) -> Log:
        """Return the end of a trace, whole lines, without colours and the runner's own marks."""
        data, cut = await self._api.tail(path, keep=tail_bytes, headers={"Accept": "text/plain, */*"})
        if not data:
            raise NotFound("The job has written no log yet.", provider=self.label)
        text = data.decode("utf-8", "replace")
        if cut:
            text = text.partition("\n")[2] or text
        return Log(text=await cleaned_log(plain_log(text)), truncated=cut, job=job.name, url=job.web_url)

    async def settled(self, pipeline: str, build: str) -> Build:
        """Return a build once a cancel shows in it. Up to five reads: GitLab says 200 whatever it has done."""
        for pause in (0.0, 0.5, 1.0, 2.0, 4.0):
            if pause:
                await self._sleep(pause)
            now = await self.build(pipeline, build)
            if now.completed or now.raw_state == "canceling":
                return now
        raise Rejected(
            "GitLab took the request to cancel, but the build still runs.",
            provider=self.label,
            hint="Its jobs may not be interruptible, or the token's role is too small.",
        )

    async def each(self, send: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Return what `act` gives for each item, eight at a time; the first error ends it."""
        left = list(items)
        done: list[R] = []
        while left:
            batch, left = left[:AT_ONCE], left[AT_ONCE:]
            results = await asyncio.gather(*(send(each) for each in batch), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                done.append(result)
        return done

    async def on_jobs(self, send: Callable[[str], Awaitable[object]], jobs: Sequence[str], done: str) -> None:
        """Do the same to several jobs. Raises Rejected saying how many it worked for when some refused."""
        refused: list[ProviderError] = []
        for job in jobs:
            try:
                await send(job)
            except (Rejected, NotFound, AuthFailed) as exc:
                refused.append(exc)
        if refused and len(refused) == len(jobs):
            raise refused[0]
        if refused:
            raise Rejected(
                f"GitLab {done} {len(jobs) - len(refused)} of {len(jobs)} jobs. The rest: {refused[0].message}",
                provider=self.label,
                status=refused[0].status,
            )


def _signed(secret: str, signed: bytes) -> str | None:
    """Return the base64 HMAC of a Standard Webhooks message, or None for a signing token that is none."""
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _page(parts: list[str]) -> Page | None:
    """Return what the parts of an address below the root show. Old servers leave out the `-`."""
    if not parts or parts[0] in RESERVED:
        return None
    if "-" in parts:
        cut = parts.index("-")
        path, tail = parts[:cut], parts[cut + 1 :]
    else:
        cut = next(
            (
                at
                for at in range(2, len(parts))
                if parts[at] in {"pipelines", "builds", "jobs", "commit", "commits", "tree", "blob", "merge_requests"}
            ),
            len(parts),
        )
        path, tail = parts[:cut], parts[cut:]
    if len(path) < 2:
        return None
    project = "/".join(path).removesuffix(".git")
    match tail:
        case ["pipelines", number, *_] if number.isdigit():
            return Page(pipeline=project, build=number)
        case ["jobs" | "builds", number, *_] if number.isdigit():
            return Page(pipeline=project, job=number)
        case _:
            return Page(pipeline=project)


class _HookProject(Wire):
    id: int | None = None


class _HookPipeline(Wire):
    id: int | None = None
    source: str | None = None


class _Kind(Wire):
    object_kind: str | None = None


class _Hook(Wire):
    """Only what says where to look: variables may hold secrets and are never read."""

    project: _HookProject | None = None
    project_id: int | None = None
    object_attributes: _HookPipeline | None = None
    pipeline_id: int | None = None


def _tap(body: bytes, delivery: str) -> WebhookEvent | None:
    kind = _Kind.of(body).object_kind
    if kind not in {"pipeline", "build", "deployment"}:
        return None
    it = _Hook.of(body)
    run = it.object_attributes or _HookPipeline()
    if kind == "pipeline" and run.source == "parent_pipeline":
        return None  # the parent's own event says it all; lists leave children out too
    number = it.project.id if it.project else it.project_id
    build = {"pipeline": run.id, "build": it.pipeline_id}.get(kind)
    if number is None:
        return WebhookEvent(delivery=delivery)
    return WebhookEvent(delivery=delivery, pipeline=str(number), build=None if build is None else str(build))
