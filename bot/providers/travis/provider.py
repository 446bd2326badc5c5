"""Travis CI, API version 3: travis-ci.com or an installation of one's own.

Pages: https://developer.travis-ci.com/ and https://docs.travis-ci.com/user/notifications/, read in August 2026. A build's
and a repository's id in the bot is Travis's own number. A start makes a request first, and the request a build. Limits:
2,000 requests a minute; more than 50 POSTs in 30 seconds are answered with an hour's ban; ten starts an hour for a
repository; 100 items a page.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Generator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

import httpx
import msgspec
from pydantic import Field, SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unavailable, UnexpectedResponse
from bot.core.models import (
    Account,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
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
    Status,
    Watched,
    WebhookEvent,
)
from bot.core.text import folded
from bot.core.workers import in_worker
from bot.http.client import Api, Query, Reply, message_of
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import with_jobs
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.times import parse_time
from bot.providers.travis import convert, wire
from bot.providers.travis.poll import Cursor, build_of, mark
from bot.providers.travis.start import START_OPTIONS, Body, again_body, start_body
from bot.providers.travis.webhook import HookKey, payload_of

PER_PAGE = 100
POLL_PAGE = 25
POLL_PAGES = 4
WHOLE = "build.commit"
NAMED_JOBS: Query = {"include": "job.config"}
BETWEEN_POSTS = timedelta(seconds=1)
MOST_RESTARTS = 25
REQUEST_SECONDS = 1.5
REQUEST_LOOKS = 40
SKEW = timedelta(minutes=1)
SITE = "https://app.travis-ci.com"


class TravisOptions(Options):
    """What a connection to Travis CI needs."""

    owner: str = Field(
        min_length=1,
        pattern=r"^[^/\s]+$",
        description="The user or organization, as in app.travis-ci.com/github/OWNER.",
    )
    token: SecretStr = Field(min_length=1, description="API token, from the settings of the account it acts for.")
    webhook_secret: SecretStr | None = Field(
        default=None, description="The installation's public key (PEM), where the bot is not to fetch it itself."
    )


class Travis(Provider[TravisOptions]):
    """One owner's repositories at Travis CI."""

    kind = "travis"
    label = "Travis CI"
    default_url = "https://api.travis-ci.com"
    page = "https://developer.travis-ci.com/"
    states = convert.STATES
    options_type = TravisOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.JOBS,
            Capability.LOG,
            Capability.LIVE_LOG,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.PARAMETERS: (
            "Travis does not tell which variables a build reads.",
            "Give them as KEY=VALUE; they become environment variables of the build.",
        ),
        Capability.ARTIFACTS: (
            "Travis keeps no artifacts: builds upload them elsewhere.",
            "Look where the build's `addons: artifacts` or `deploy` puts them.",
        ),
        Capability.DOWNLOAD: (
            "Travis keeps no artifacts: builds upload them elsewhere.",
            "Look where the build's `addons: artifacts` or `deploy` puts them.",
        ),
        Capability.TESTS: ("Travis knows no tests, only logs.", "Read the job's log: `/build logs`."),
        Capability.APPROVALS: ("Travis has no steps that wait for a person.", "Its stages run one after the other."),
        Capability.DECIDE: ("Travis has no steps that wait for a person.", "Its stages run one after the other."),
        Capability.REJECT: ("Travis has no steps that wait for a person.", "Cancel the build instead."),
        Capability.ERASE: ("Travis deletes logs one by one, and I don't do that.", "Delete them on the jobs' pages."),
        Capability.PIPELINE_ADMIN: (
            "Travis's repositories are managed on their own pages.",
            "Open the repository's settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = START_OPTIONS
    lists_all_refs = frozenset[RefKind]()  # Travis knows a branch by its first build

    def __init__(
        self, api: Api, options: TravisOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        given = options.webhook_secret
        self._key = HookKey(given.get_secret_value() if given else None)
        self._slugs: dict[str, str] = {}
        self._turn = asyncio.Lock()
        self._posted_at: datetime | None = None
        own = options.url.rstrip("/")
        self._site = convert.Site(root=own.removesuffix("/api") or SITE, with_host=not own)

    @override
    @classmethod
    def auth(cls, options: TravisOptions, clock: Clock) -> httpx.Auth:
        return _Token(options.token)

    @override
    @classmethod
    def headers(cls, options: TravisOptions) -> Mapping[str, str]:
        return {"Travis-API-Version": "3"}

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        match (reply.status, _fault(reply)):
            case 403, wire.Fault(error_type="login_required" | "wrong_credentials"):
                return AuthFailed(
                    f"{cls.label} refused the credentials: {message_of(reply)}",
                    provider=cls.label,
                    status=reply.status,
                    hint="An admin can replace them in App Home or in buildbell.toml.",
                )
            case 403, wire.Fault(error_type="log_expired"):
                return NotFound(f"{cls.label} keeps logs for a while only.", provider=cls.label, status=reply.status)
            case 429, wire.Fault(error_type="request_limit_reached", max_requests=most):
                # not a RateLimited: it holds for one repository, and nothing else of the connection has to wait
                return Rejected(
                    f"{cls.label} starts only {most or 'some'} builds an hour by API for one repository.",
                    provider=cls.label,
                    status=reply.status,
                    hint="Wait, or run an old build again: `/build retry --all`.",
                )
            case _:
                return None

    @override
    async def check(self) -> Account:
        user = wire.User.of((await self._api.get("user")).raw)
        try:
            seen = (await self._api.get(f"{self._owner}/repos", {"limit": 1})).items("repositories")
        except NotFound as exc:
            raise NotFound(
                f"This token sees no owner {self.options.owner} at {self.label}.",
                provider=self.label,
                status=exc.status,
                hint="`owner` is the name in app.travis-ci.com/github/OWNER.",
            ) from exc
        warnings = [] if seen else [f"The token sees no repository of {self.options.owner}."]
        if user.is_syncing:
            warnings.append("Travis is still reading which repositories the account may see.")
        await self._learn_key()
        if not self._key.known:
            warnings.append("Travis's public key could not be fetched, so its webhooks are refused.")
        return Account(name=user.login or user.name or "a token", detail=self.options.owner, warnings=tuple(warnings))

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        wanted = folded(query or "")
        asked: Query = {"repository.active": True, "sort_by": "current_build:desc", "limit": PER_PAGE}
        async for page in self._pages(f"{self._owner}/repos", asked, "repositories"):
            for it in parse_items(page, wire.Repository.of):
                found = self._pipeline(it)
                if wanted in folded(found.path):
                    yield found

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a repository of this connection's owner. Raises NotFound, also for those of others."""
        return self._pipeline(await self._repository(path))

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        slug = await self._slug(pipeline)
        named = wanted.branch if wanted.branch and "," not in wanted.branch else None  # a comma separates several
        query: Query = {
            "branch.name": named,
            "build.state": ",".join(convert.raw_states(wanted.states)) or None,
            "sort_by": "id:desc",
            "limit": PER_PAGE if wanted.commit else min(max(wanted.limit, 1), PER_PAGE),
            "skip_count": True,
            "include": WHOLE,
        }
        left = wanted.limit
        seen: set[str] = set()  # a build that begins meanwhile pushes others onto the next page
        path = f"repo/{quote(pipeline, safe='')}/builds"
        async for page in self._pages(path, query, "builds", ceiling=SEARCH_PAGES):
            for build in parse_items(page, partial(self._listed, pipeline, slug)):
                if left > 0 and build.id not in seen and wanted.admits(build):
                    left -= 1
                    seen.add(build.id)
                    yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Costs two requests: the build and its jobs."""
        it = await self._one(pipeline, build)
        jobs = await self._jobs(pipeline, build)
        return with_jobs(self._build(it, pipeline), jobs)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Travis takes no number: the place in the list is reckoned from the newest. Costs two requests or more."""
        path = f"repo/{quote(pipeline, safe='')}/builds"
        query: Query = {"sort_by": "number:desc", "limit": 1, "skip_count": True}
        for newest in (await self._api.get(path, query)).items("builds"):
            behind = (convert.number(wire.Build.of(newest).number) or 0) - number
            there = (await self._api.get(path, {**query, "offset": behind})).items("builds") if behind >= 0 else ()
            for it in map(wire.Build.of, there):
                if convert.number(it.number) == number:
                    return await self.build(pipeline, str(it.id))
        return await super().build_by_number(pipeline, number)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for the whole owner: what runs, and the repositories with the newest builds.

        Besides, one for a repository in which a build began since (or that is watched for the first time), two for
        each build that ended, and one every six hours for the key of webhooks.
        """
        await self._learn_key()
        at = Cursor.read(cursor)
        active = (await self._api.get(f"{self._owner}/active", _WHOLE)).items("builds")
        placed = map(self._placed, parse_items(active, wire.Build.of))
        running = {build.key: build for build in placed if build is not None}
        newest = await self._newest(at, watched.pipelines)
        found: dict[BuildKey, Build] = {}
        alone = watched.unfinished - running.keys()
        for pipeline in sorted(watched.pipelines):
            old, new = at.marks.get(pipeline), newest.get(pipeline, "")
            if old is None or build_of(old) != build_of(new):
                async for build in self.builds(pipeline, BuildFilter(limit=POLL_PAGE)):
                    found[build.key] = build
            elif old != new:  # it ended, or was run again and has ended already
                alone |= {BuildKey(connection=self.connection, pipeline=pipeline, id=build_of(new))}
        found |= running  # a list was read later, but tells less
        for key in sorted(alone - running.keys()):
            straggler = await self.build_or_none(key)
            if straggler is not None:
                found[key] = straggler
        builds = tuple(
            build for build in found.values() if build.pipeline in watched.pipelines or build.key in watched.unfinished
        )
        return Changes(builds=builds, cursor=Cursor(marks=newest).text())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, the last built first. Travis lists no tags."""
        wanted = folded(query or "")
        path = f"repo/{quote(pipeline, safe='')}/branches"
        asked: Query = {
            "branch.exists_on_github": True,
            "sort_by": "last_build:desc",
            "limit": PER_PAGE,
            "skip_count": True,
        }
        async for page in self._pages(path, asked, "branches", ceiling=SEARCH_PAGES):
            for it in parse_items(page, wire.Branch.of):
                if wanted in folded(it.name):
                    yield Ref(kind=RefKind.BRANCH, name=it.name)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Ask for a build, then wait for up to a minute until Travis has made one of the request."""
        return await self._create(pipeline, start_body(request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        async def send() -> Build:
            await self._post(f"build/{quote(build, safe='')}/cancel")
            return await self.build(pipeline, build)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """A new build of the same commit. Raises Rejected for pull requests, and for starts whose values nobody tells."""
        return await self._create(pipeline, again_body(await self._one(pipeline, build), request))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """A build that runs again keeps its number. Failed jobs are restarted one by one, a second apart."""
        if job is None and not failed_only:
            await self._again("build", build)
            return await self.build(pipeline, build)
        if job is not None:
            await self._again("job", job)
            return await self.build(pipeline, build)
        jobs = [each for each in await self._jobs(pipeline, build) if each.raw_state in convert.BROKEN]
        if not jobs:
            raise Rejected("No job of this build failed.", provider=self.label)
        if len(jobs) > MOST_RESTARTS:
            raise Rejected(
                f"{len(jobs)} jobs failed, and Travis takes restarts only one by one.",
                provider=self.label,
                hint="Run the whole build again: `/build retry --all`.",
            )
        refused: list[Rejected] = []
        for each in jobs:
            try:
                await self._again("job", each.id)
            except Rejected as exc:
                refused.append(exc)
        if len(refused) == len(jobs):
            raise refused[0]
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        return await self._jobs(pipeline, build)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """An ended job's log comes whole, a running one's in pieces. Raises NotFound where nothing is written yet."""
        path = f"job/{quote(job.id, safe='')}"
        if job.status is Status.COMPLETED:
            data, cut = await self._api.tail(f"{path}/log.txt", keep=tail_bytes, headers={"Accept": "text/plain"})
        else:
            parts = [wire.LogPart.of(it) for it in (await self._api.get(f"{path}/log_parts")).items("log_parts")]
            whole = "".join(part.content or "" for part in sorted(parts, key=lambda part: part.number or 0)).encode()
            data, cut = whole[-tail_bytes:], len(whole) > tail_bytes
        if not data:
            raise NotFound("This job has no log yet.", provider=self.label)
        text = await in_worker(convert.log_text, data.partition(b"\n")[2] if cut and b"\n" in data else data)
        return Log(text=text, truncated=cut, job=job.name, url=job.web_url)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Failed jobs: Travis knows no single errors. Costs one request."""
        found = [convert.issue(job) for job in await self._jobs(pipeline, build) if convert.is_error(job)]
        return tuple(sorted(found, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """One request. Errors are failed jobs, warnings those that were allowed to fail. Tests are unknown."""
        failed = [job for job in await self._jobs(build.pipeline, build.id) if convert.is_error(job)]
        return IssueCounts(
            errors=sum(not job.tolerated for job in failed), warnings=sum(job.tolerated for job in failed)
        )

    @override
    def parse_url(self, url: str) -> Page | None:
        try:
            address = urlsplit(url.strip())
            home = urlsplit(self._site.root)
        except ValueError:
            return None
        if not address.hostname or address.hostname not in {home.hostname, home.hostname and f"www.{home.hostname}"}:
            return None
        parts = [unquote(part) for part in address.path.split("/") if part]
        if len(parts) > 2 and parts[0] in convert.HOSTS.values() and parts[1].lower() == self.options.owner.lower():
            parts = parts[1:]
        if len(parts) < 2 or parts[0].lower() != self.options.owner.lower():
            return None
        slug = "/".join(parts[:2])
        match parts[2:]:
            case ["builds", build, *_] if build.isdecimal():
                return Page(pipeline=slug, build=build)
            case ["jobs", job, *_] if job.isdecimal():
                return Page(pipeline=slug, job=job)
            case _:
                return Page(pipeline=slug)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """The key is fetched by `check` and `changes`; until then, and without it, all webhooks are refused."""
        if not self._key.known:
            raise AuthFailed(
                f"Travis's public key is not known yet, so I refuse webhooks of {self.connection}.",
                provider=self.label,
                status=401,
                hint="It is fetched with the next poll. Or give it as `webhook_secret`.",
            )
        payload = payload_of(body)
        if not self._key.signed(headers.get("signature", ""), payload):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        webhook = wire.Hook.of(payload)
        if (webhook.repository.owner_name or "").lower() != self.options.owner.lower():
            return None
        return WebhookEvent(
            delivery=hashlib.sha256(payload).hexdigest(), pipeline=str(webhook.repository.id), build=str(webhook.id)
        )

    # where things are

    @property
    def _owner(self) -> str:
        return f"owner/{quote(self.options.owner, safe='')}"

    async def _repository(self, path: str) -> wire.Repository:
        """Return a repository by its number, its slug, or its name. Raises NotFound where it is another owner's."""
        whole = path if path.isdecimal() or "/" in path else f"{self.options.owner}/{path}"
        it = wire.Repository.of((await self._api.get(f"repo/{quote(whole, safe='')}")).raw)
        if (it.slug or "").partition("/")[0].lower() != self.options.owner.lower():
            raise NotFound(f"{whole} is not of {self.options.owner}.", provider=self.label)
        return it

    async def _slug(self, pipeline: str) -> str:
        """Return `owner/name` of a repository; asked for once."""
        if pipeline not in self._slugs:
            self._pipeline(await self._repository(pipeline))
        return self._slugs.get(pipeline, pipeline)

    def _pipeline(self, it: wire.Repository) -> Pipeline:
        found = convert.pipeline(it, self._site)
        self._slugs[found.id] = found.path
        return found

    # lists

    def _pages(self, path: str, query: Query, member: str, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        following = partial(convert.next_page, member=member)
        return self._api.pages(path, query, member=member, next_page=following, ceiling=ceiling)

    async def _newest(self, at: Cursor, watched: frozenset[str]) -> dict[str, str]:
        """Return each watched repository's mark, read on while every repository of a page has news."""
        marks = {pipeline: at.marks.get(pipeline, "") for pipeline in watched}
        query: Query = {
            "repository.active": True,
            "sort_by": "current_build:desc",
            "limit": POLL_PAGE,
            "skip_count": True,
            "include": "repository.last_started_build",
        }
        async for page in self._pages(f"{self._owner}/repos", query, "repositories", ceiling=POLL_PAGES):
            is_news = bool(at.marks)
            for it in parse_items(page, wire.Repository.of):
                pipeline, now = self._pipeline(it).id, mark(it.last_started_build)
                is_news = is_news and now != at.marks.get(pipeline)
                if pipeline in marks:
                    marks[pipeline] = now
            if not is_news:
                break
        return marks

    def _listed(self, pipeline: str, slug: str, payload: msgspec.Raw) -> Build:
        return convert.build(wire.Build.of(payload), self.connection, pipeline, slug, self._site)

    def _placed(self, it: wire.Build) -> Build | None:
        """Return a build that names its repository, None for one that does not."""
        return self._build(it, str(it.repository.id)) if it.repository else None

    def _build(self, it: wire.Build, pipeline: str) -> Build:
        slug = it.repository.slug if it.repository else self._slugs.get(pipeline)
        return convert.build(it, self.connection, pipeline, slug, self._site)

    async def _one(self, pipeline: str, build: str) -> wire.Build:
        """Return a build of this repository. Raises NotFound where it is another's: Travis's numbers name all builds."""
        it = wire.Build.of((await self._api.get(f"build/{quote(build, safe='')}", _WHOLE)).raw)
        if it.repository is None or str(it.repository.id) != pipeline:
            raise NotFound(f"There is no build {build} in this repository.", provider=self.label)
        return it

    async def _jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        reply = await self._api.get(f"build/{quote(build, safe='')}/jobs", NAMED_JOBS)
        return tuple(convert.job(wire.Job.of(it), build, pipeline, self._site) for it in reply.items("jobs"))

    async def _learn_key(self) -> None:
        """Fetch what webhooks are signed with, where that is due; a fault leaves it for later."""
        now = self._clock()
        if not self._key.is_due(now):
            return
        pem: str | None = None
        try:
            config = wire.Installation.of((await self._api.get("config")).raw).config
        except ProviderError:
            config = None
        if config and config.notifications and config.notifications.webhook:
            pem = config.notifications.webhook.public_key
        self._key.asked(pem, now)

    # acting

    async def _post(self, path: str, body: object = None) -> Reply:
        """Send a POST, a second at least after the one before: Travis bans who sends many at once."""
        async with self._turn:
            now = self._clock()
            if self._posted_at is not None and now - self._posted_at < BETWEEN_POSTS:
                await self._sleep(BETWEEN_POSTS / timedelta(seconds=1))
            try:
                return await self._api.post(path, json=body)
            finally:
                self._posted_at = self._clock()

    async def _again(self, what: str, number: str) -> None:
        """Run a build or a job again, once."""
        path = f"{what}/{quote(number, safe='')}"

        async def send() -> bool:
            await self._post(f"{path}/restart")
            return True

        async def confirm() -> bool | None:
            state = wire.Job.of((await self._api.get(path)).raw).state or ""
            known = convert.STATES.get(state)
            return True if known and known[0] is not Status.COMPLETED else None

        await self.send_once(send, confirm)

    async def _create(self, pipeline: str, body: Body) -> Build:
        """Ask for a build once and return the one that is made. A lost answer is looked for among the requests."""
        since = self._clock()
        path = f"repo/{quote(pipeline, safe='')}/requests"

        async def send() -> int:
            return wire.Pending.of((await self._post(path, {"request": body})).raw).request.id

        async def confirm() -> int | None:
            listed = (await self._api.get(path, {"limit": 10, "skip_count": True})).items("requests")
            found = [it for it in parse_items(listed, wire.Request.of) if _fits(it, body, since)]
            return found[0].id if len(found) == 1 else None

        return await self._made(pipeline, await self.send_once(send, confirm))

    async def _made(self, pipeline: str, request: int) -> Build:
        """Return the build that a request made."""
        path = f"repo/{quote(pipeline, safe='')}/request/{request}"
        for _ in range(REQUEST_LOOKS):
            it = wire.Request.of((await self._api.get(path)).raw)
            if it.builds:
                return await self.build(pipeline, str(min(build.id for build in it.builds)))
            if it.result == "rejected":
                raise Rejected(
                    f"Travis did not build it: {await self._why(path) or it.message or 'it does not say why'}.",
                    provider=self.label,
                )
            await self._sleep(REQUEST_SECONDS)
        raise Unavailable(
            "Travis has taken the request and has made no build of it yet.",
            provider=self.label,
            hint=self._site.page(self._slugs.get(pipeline), None, "requests")
            or "Look at its page before you repeat it.",
            acted=True,
        )

    async def _why(self, path: str) -> str | None:
        try:
            found = (await self._api.get(f"{path}/messages")).items("messages")
        except (NotFound, Rejected, AuthFailed):
            return None
        return convert.messages(wire.Message.of(it) for it in found)


_WHOLE: Query = {"include": WHOLE}


def _fits(it: wire.Request, body: Body, since: datetime) -> bool:
    """Return whether a request may be the one that `body` asked for."""
    made = parse_time(it.created_at)
    sha = it.commit.sha if it.commit else None
    return (
        it.event_type == "api"
        and made is not None
        and made >= since - SKEW
        and body.get("branch") in {None, it.branch_name}
        and (sha is None or sha.startswith(str(body.get("sha") or "")))
    )


def _fault(reply: Reply) -> wire.Fault | None:
    """Return what a refusal is called, None where it is no JSON of Travis's."""
    try:
        return wire.Fault.of(reply.raw)
    except UnexpectedResponse:
        return None


class _Token(httpx.Auth):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"token {self._token.get_secret_value()}"
        yield request
