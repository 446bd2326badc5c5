"""One owner's repositories, as the operations ask them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import msgspec
from cachetools import LRUCache

from bot.core.clock import Clock, Sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unavailable, UnexpectedResponse
from bot.core.models import Account, Build, BuildFilter, BuildKey, Job, Pipeline, Status
from bot.core.text import folded
from bot.http.client import ApiClient, Query
from bot.http.errors import message_of
from bot.http.reply import Reply
from bot.providers.base.convert import with_jobs
from bot.providers.base.listing import SEARCH_PAGES, matching, parse_items
from bot.providers.travis import convert, urls, wire
from bot.providers.travis.options import LABEL, TravisOptions
from bot.providers.travis.start import Body
from bot.providers.travis.webhook import WebhookKey

PER_PAGE = 100
SLUGS_KEPT = 2000
NAMED_JOBS: Query = {"include": "job.config"}
WITH_COMMIT: Query = {"include": "build.commit"}
BETWEEN_POSTS = timedelta(seconds=1)
REQUEST_PAUSE_SECONDS = 1.5
REQUEST_POLLS = 40


def map_error(reply: Reply) -> ProviderError | None:
    """Return the error for refusals that Travis names in its own way; None for the usual ones."""
    match (reply.status, _refusal(reply)):
        case 403, wire.Refusal(error_type="login_required" | "wrong_credentials"):
            return AuthFailed(
                f"{LABEL} refused the credentials: {message_of(reply)}",
                provider=LABEL,
                status=reply.status,
                hint="An admin can replace them in App Home or in buildbell.toml.",
            )
        case 403, wire.Refusal(error_type="log_expired"):
            return NotFound(f"{LABEL} keeps logs for a while only.", provider=LABEL, status=reply.status)
        case 429, wire.Refusal(error_type="request_limit_reached", max_requests=most):
            # not a RateLimited: it holds for one repository, and nothing else of the connection has to wait
            return Rejected(
                f"{LABEL} starts only {most or 'some'} builds an hour by API for one repository.",
                provider=LABEL,
                status=reply.status,
                hint="Wait, or run an old build again: `/build retry --all`.",
            )
        case _:
            return None


def _refusal(reply: Reply) -> wire.Refusal | None:
    """Return an error's body, None where it is no JSON of Travis's."""
    try:
        return wire.Refusal.of(reply.raw)
    except UnexpectedResponse:
        return None


class Client:
    """The requests of one connection, and its answers as models."""

    def __init__(self, api: ApiClient, options: TravisOptions, connection: str, clock: Clock, sleep: Sleep) -> None:
        self._api = api
        self._options = options
        self._connection = connection
        self._clock = clock
        self._sleep = sleep
        self._site = urls.site(options)
        self._slugs: LRUCache[str, str] = LRUCache(SLUGS_KEPT)
        self._posting = asyncio.Lock()
        self._posted_at: datetime | None = None
        option = options.webhook_secret
        self.webhook_key = WebhookKey(option.get_secret_value() if option else None)

    def key(self, pipeline: str, build: str) -> BuildKey:
        """Return the key of a build of this connection."""
        return BuildKey(connection=self._connection, pipeline=pipeline, id=build)

    # the account

    async def account(self) -> Account:
        """Return whose the token is and what it lacks. Costs two requests, with an unknown webhook key three."""
        user = wire.User.of((await self._api.get("user")).raw)
        owner = self._options.owner
        try:
            visible = (await self._api.get(urls.owner_path(owner, "repos"), {"limit": 1})).items("repositories")
        except NotFound as exc:
            raise NotFound(
                f"This token sees no owner {owner} at {LABEL}.",
                provider=LABEL,
                status=exc.status,
                hint="`owner` is the name in app.travis-ci.com/github/OWNER.",
            ) from exc
        warnings = [] if visible else [f"The token sees no repository of {owner}."]
        if user.is_syncing:
            warnings.append("Travis is still reading which repositories the account may see.")
        await self.fetch_webhook_key()
        if not self.webhook_key.is_known:
            warnings.append("Travis's public key could not be fetched, so its webhooks are refused.")
        return Account(name=user.login or user.name or "a token", detail=owner, warnings=tuple(warnings))

    async def fetch_webhook_key(self) -> None:
        """Fetch the key that webhooks are signed with, where that is due; a failure leaves it for later."""
        now = self._clock()
        if not self.webhook_key.is_due(now):
            return
        try:
            config = wire.Installation.of((await self._api.get("config")).raw).config
        except ProviderError:
            config = None
        notifications = config.notifications if config else None
        webhook = notifications.webhook if notifications else None
        self.webhook_key.store(webhook.public_key if webhook else None, now)

    # repositories

    def repositories(self, query: Query, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield the owner's repositories page by page."""
        return self._pages(urls.owner_path(self._options.owner, "repos"), query, "repositories", ceiling=ceiling)

    async def repository(self, name: str) -> wire.Repository:
        """Return a repository by number, `owner/name` or name. One request. Raises NotFound for another owner's."""
        slug = urls.full_slug(name, self._options.owner)
        repository = wire.Repository.of((await self._api.get(urls.repository_path(slug))).raw)
        if (repository.slug or "").partition("/")[0].lower() != self._options.owner.lower():
            raise NotFound(f"{slug} is not of {self._options.owner}.", provider=LABEL)
        self._slugs[str(repository.id)] = repository.slug or ""
        return repository

    def read_pipeline(self, repository: wire.Repository) -> Pipeline:
        """Return a repository as a pipeline and remember its name."""
        pipeline = convert.pipeline(repository, self._site)
        self._slugs[pipeline.id] = pipeline.path
        return pipeline

    async def slug(self, pipeline: str) -> str:
        """Return `owner/name` of a repository. Costs one request the first time."""
        if pipeline not in self._slugs:
            repository = await self.repository(pipeline)
            self._slugs[pipeline] = repository.slug or ""
        return self._slugs[pipeline]

    def requests_page(self, pipeline: str) -> str | None:
        """Return the page of a repository's requests, None where its name is not known yet."""
        return self._site.page(self._slugs.get(pipeline), None, "requests")

    async def branches(self, pipeline: str, query: str | None) -> AsyncIterator[str]:
        """Yield branches whose name holds `query`, the last built first. One request for each hundred."""
        part = folded(query or "")
        listed: Query = {
            "branch.exists_on_github": True,
            "sort_by": "last_build:desc",
            "limit": PER_PAGE,
            "skip_count": True,
        }
        pages = self._pages(urls.repository_path(pipeline, "branches"), listed, "branches", ceiling=SEARCH_PAGES)
        async for page in pages:
            for branch in parse_items(page, wire.Branch.of):
                if part in folded(branch.name):
                    yield branch.name

    # builds and jobs

    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds that `build_filter` admits, newest first. One request for each hundred looked through."""
        slug = await self.slug(pipeline)
        branch = build_filter.branch
        if branch and "," in branch:  # a comma separates several
            branch = None
        query: Query = {
            "branch.name": branch,
            "build.state": ",".join(convert.raw_states(build_filter.states)) or None,
            "sort_by": "id:desc",
            "limit": PER_PAGE
            if build_filter.fields - convert.LIST_FILTERS
            else min(max(build_filter.limit, 1), PER_PAGE),
            "skip_count": True,
            **WITH_COMMIT,
        }
        pages = self._pages(urls.repository_path(pipeline, "builds"), query, "builds", ceiling=SEARCH_PAGES)
        read = partial(self._read_item, pipeline, slug)
        async for build in matching(pages, read, build_filter):
            yield build

    async def active(self) -> list[Build]:
        """Return the unfinished builds of all the owner's repositories. Costs one request."""
        reply = await self._api.get(urls.owner_path(self._options.owner, "active"), WITH_COMMIT)
        builds = parse_items(reply.items("builds"), wire.Build.of)
        return [self.read(raw, "") for raw in builds if raw.repository]

    async def by_number(self, pipeline: str, number: int) -> str | None:
        """Return the id of the build with a number, None where it is not at its place in the list. Two requests.

        Travis takes no number: the place is reckoned from the newest.
        """
        route = urls.repository_path(pipeline, "builds")
        query: Query = {"sort_by": "number:desc", "limit": 1, "skip_count": True}
        for newest in parse_items((await self._api.get(route, query)).items("builds"), wire.Build.of):
            offset = (convert.number(newest.number) or 0) - number
            if offset < 0:
                return None
            listed = (await self._api.get(route, {**query, "offset": offset})).items("builds")
            for build in parse_items(listed, wire.Build.of):
                if convert.number(build.number) == number:
                    return str(build.id)
        return None

    async def build(self, pipeline: str, build: str) -> wire.Build:
        """Return a build of a repository, which its id or `owner/name` names. Costs one request.

        Raises NotFound where it is another's: Travis counts the builds of all repositories together.
        """
        raw = wire.Build.of((await self._api.get(urls.build_path(build), WITH_COMMIT)).raw)
        self.check_repository(raw.repository, pipeline, f"Build {build}")
        return raw

    async def whole(self, pipeline: str, build: str) -> Build:
        """Return a build with its jobs counted. Costs two requests."""
        raw = self.read(await self.build(pipeline, build), pipeline)
        return with_jobs(raw, await self.jobs(pipeline, build))

    async def job(self, pipeline: str, job: str) -> wire.Job:
        """Return a job of a repository. Costs one request. Raises NotFound where it is another's."""
        raw = wire.Job.of((await self._api.get(urls.job_path(job))).raw)
        self.check_repository(raw.repository, pipeline, f"Job {job}")
        return raw

    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a build's jobs. Costs one request. Raises NotFound where they are another repository's."""
        reply = await self._api.get(urls.build_path(build, "jobs"), NAMED_JOBS)
        jobs = list(parse_items(reply.items("jobs"), wire.Job.of))
        for raw in jobs:
            if raw.repository is not None:
                self.check_repository(raw.repository, pipeline, f"Build {build}")
        return tuple(convert.job(raw, build, pipeline, self._site) for raw in jobs)

    def check_repository(self, repository: wire.Repository | None, pipeline: str, what: str) -> None:
        """Raise NotFound, naming the repository a thing belongs to, unless that is `pipeline` (an id or `owner/name`)."""
        if repository is None:
            raise NotFound(f"{LABEL} does not tell which repository {what} belongs to.", provider=LABEL)
        slug = (repository.slug or "").lower()
        if pipeline != str(repository.id) and pipeline.lower() != slug:
            raise NotFound(
                f"{what} is of {repository.slug or 'another repository'}, not of this repository.", provider=LABEL
            )

    def read(self, raw: wire.Build, pipeline: str) -> Build:
        """Return a build; `pipeline` counts only where the answer names no repository."""
        return convert.build(raw, self._connection, pipeline, self._slugs.get(pipeline), self._site)

    def _read_item(self, pipeline: str, slug: str, payload: msgspec.Raw) -> Build:
        return convert.build(wire.Build.of(payload), self._connection, pipeline, slug, self._site)

    # logs

    async def log_tail(self, job: Job, keep: int) -> tuple[bytes, bool]:
        """Return the last `keep` bytes of a job's log and whether there is more above. Costs one request.

        An ended job's log comes whole, a running one's in pieces.
        """
        if job.status is Status.COMPLETED:
            route = urls.job_path(job.id, "log.txt")
            return await self._api.tail(route, keep=keep, headers={"Accept": "text/plain"})
        listed = (await self._api.get(urls.job_path(job.id, "log_parts"))).items("log_parts")
        parts = sorted(parse_items(listed, wire.LogPart.of), key=lambda part: part.number or 0)
        whole = "".join(part.content or "" for part in parts).encode()
        return whole[-keep:], len(whole) > keep

    # acting

    async def post(self, route: str, body: object = None) -> Reply:
        """Send a POST, a second at least after the one before: Travis bans who sends many at once.

        Raises UnexpectedResponse for a success that is not a JSON object, as all of Travis's are.
        """
        async with self._posting:
            now = self._clock()
            if self._posted_at is not None and now - self._posted_at < BETWEEN_POSTS:
                await self._sleep(BETWEEN_POSTS / timedelta(seconds=1))
            try:
                reply = await self._api.post(route, json=body)
            finally:
                self._posted_at = self._clock()
        reply.decode(dict[str, msgspec.Raw])
        return reply

    async def is_running(self, route: str) -> bool:
        """Return whether a build or a job waits or runs. Costs one request."""
        state = wire.Job.of((await self._api.get(route)).raw).state or ""
        return state in convert.STATES and convert.STATES[state][0] is not Status.COMPLETED

    async def request_build(self, pipeline: str, body: Body) -> int:
        """Ask for a build and return the request's id. Costs one request."""
        reply = await self.post(urls.repository_path(pipeline, "requests"), {"request": body})
        return wire.Pending.of(reply.raw).request.id

    async def requests(self, pipeline: str) -> list[wire.Request]:
        """Return a repository's newest ten requests. Costs one request."""
        reply = await self._api.get(urls.repository_path(pipeline, "requests"), {"limit": 10, "skip_count": True})
        return list(parse_items(reply.items("requests"), wire.Request.of))

    async def build_of_request(self, pipeline: str, request: int) -> Build:
        """Return the build that a request made. Asks for up to a minute; then raises Unavailable with `acted` set.

        Raises Rejected, with Travis's reason, for a request that it refused.
        """
        route = urls.repository_path(pipeline, "request", request)
        for _ in range(REQUEST_POLLS):
            raw = wire.Request.of((await self._api.get(route)).raw)
            if raw.builds:
                return await self.whole(pipeline, str(min(build.id for build in raw.builds)))
            if raw.result == "rejected":
                why = await self._setting_errors(pipeline, request) or raw.message or "it does not say why"
                raise Rejected(f"Travis did not build it: {why}.", provider=LABEL)
            await self._sleep(REQUEST_PAUSE_SECONDS)
        raise Unavailable(
            "Travis has taken the request and has made no build of it yet.",
            provider=LABEL,
            hint=self.requests_page(pipeline) or "Look at its page before you repeat it.",
            acted=True,
        )

    async def _setting_errors(self, pipeline: str, request: int) -> str | None:
        try:
            reply = await self._api.get(urls.repository_path(pipeline, "request", request, "messages"))
            return convert.setting_errors(parse_items(reply.items("messages"), wire.Message.of))
        except ProviderError:
            return None

    def _pages(self, route: str, query: Query, member: str, *, ceiling: int) -> AsyncIterator[list[msgspec.Raw]]:
        following = partial(convert.next_page, member=member)
        return self._api.pages(route, query, member=member, next_page=following, ceiling=ceiling)
