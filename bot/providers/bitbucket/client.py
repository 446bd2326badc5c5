"""Requests to Bitbucket: paths, pages, the hour's allowance, and the answers that several operations need."""

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import msgspec
from cachetools import TTLCache

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, RateLimited, Rejected, Unavailable, UnexpectedResponse, UsageError
from bot.core.models import (
    Account,
    Build,
    BuildFilter,
    FilterField,
    Issue,
    Job,
    Pipeline,
    Ref,
    RefKind,
    Status,
    TestCase,
)
from bot.core.text import holds_name
from bot.http.client import ApiClient, Query
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.listing import SEARCH_PAGES, matching, parse_items
from bot.providers.base.scopes import ComparedScopes, compare_scopes
from bot.providers.base.times import parse_time
from bot.providers.bitbucket import convert, parameters, urls, wire
from bot.providers.bitbucket.options import LABEL, READ_USER, SCOPES, BitbucketOptions

PER_PAGE = 100
POLL_PAGE = 30
STEP_PAGES = 5
TEST_PAGES = 10
REPORTS = 5
ANNOTATION_PAGES = 3
COMMITS_KEPT = 500
COMMIT_KEPT_FOR = timedelta(hours=6)
"""How long a commit's message and author are kept, and that they could not be read."""
NEWEST_FIRST: Query = {"sort": "-created_on"}  # the oldest come first without it
GONE = (NotFound, Rejected, UnexpectedResponse)
REFUSED = (AuthFailed, *GONE)
"""How what only adds to a build is refused; the build is returned without it."""

# the hour's allowance

WINDOW = timedelta(hours=1)
BUCKET = timedelta(minutes=1)
USUAL_LIMIT = 1000
NEAR = 0.2
"""The share that is left when Bitbucket says that the limit is near."""
OVER_LIMIT_SECONDS = 300.0


def read_quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what the headers report: the limit, and what is left or at least whether less than a fifth of it is.

    Access tokens get these headers; API tokens get none.
    """
    limit = _header_number(headers, "limit")
    if not limit:
        return None
    left = _header_number(headers, "remaining")
    if left is None:
        near = headers.get("x-ratelimit-nearlimit", "").lower() == "true"
        left = int(limit * NEAR) if near else limit
    reset = _header_number(headers, "reset")
    resets_at = None if reset is None else parse_time(reset) if reset > 1e9 else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=min(left, limit), resets_at=resets_at)


def over_limit(reply: Reply) -> RateLimited | None:
    """Return the error for a refusal over the limit that does not say how long to wait."""
    if reply.status != httpx.codes.TOO_MANY_REQUESTS or "retry-after" in reply.headers:
        return None
    return RateLimited(
        f"{LABEL}'s hourly limit is used up.",
        provider=LABEL,
        status=reply.status,
        retry_after=OVER_LIMIT_SECONDS,
    )


def _header_number(headers: httpx.Headers, name: str) -> int | None:
    text = headers.get(f"x-ratelimit-{name}", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


@dataclass(frozen=True, slots=True)
class Mark:
    """How many requests had been sent at a time."""

    at: datetime
    requests: int


class RequestMeter:
    """The requests of the last hour, counted here: Bitbucket's limit is a rolling hour and its rest is seldom reported."""

    def __init__(self) -> None:
        self._marks: deque[Mark] = deque()

    def quota(self, requests: int, reported: Quota | None, now: datetime) -> Quota:
        """Return what is left of the hour, from the number of requests sent so far and what Bitbucket reported.

        It resets when the oldest requests of the hour fall out of it, unless Bitbucket reports when. Requests are counted
        by the minute, so that a call costs no memory.
        """
        if not self._marks:
            self._marks.append(Mark(now, 0))
        if len(self._marks) > 1 and now - self._marks[-1].at < BUCKET:
            self._marks[-1] = Mark(self._marks[-1].at, requests)
        else:
            self._marks.append(Mark(now, requests))
        while len(self._marks) > 2 and now - self._marks[1].at >= WINDOW:
            self._marks.popleft()
        limit = reported.limit if reported else USUAL_LIMIT
        left = limit - (requests - self._marks[0].requests)
        return Quota(
            limit=limit,
            remaining=max(min(left, reported.remaining if reported else limit), 0),
            resets_at=(reported.resets_at if reported else None) or self._marks[1].at + WINDOW,
        )


# requests


class Client:
    """One workspace, as the operations ask it."""

    def __init__(self, api: ApiClient, options: BitbucketOptions, connection: str, clock: Clock) -> None:
        self._api = api
        self._options = options
        self._connection = connection
        self._own_uuid: str | None = None
        self._commits: TTLCache[str, wire.Commit | None] = TTLCache(
            COMMITS_KEPT, ttl=COMMIT_KEPT_FOR.total_seconds(), timer=lambda: clock().timestamp()
        )

    def path(self, pipeline: str, *segments: str | int) -> str:
        """Return the path of a repository or of something in it."""
        return urls.repository_path(self._options.workspace, pipeline, *segments)

    def pages(self, path: str, query: Query, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a list's items page by page, at most `ceiling` pages."""
        return self._api.pages(path, query, member="values", next_page=_next_page, ceiling=ceiling)

    async def user(self) -> wire.Account:
        """Return an API token's owner. Costs one request; access tokens are refused."""
        return wire.Account.of((await self._api.get("user")).raw)

    async def account(self) -> Account:
        """Return whose the token is and what it lacks. Costs one request, with an API token two. Raises NotFound."""
        name = "an access token"
        if self._options.email:
            user = await self.user()
            name = user.display_name or user.nickname or self._options.email
        try:
            reply = await self._api.get(urls.workspace_path(self._options.workspace), {"pagelen": 1})
        except NotFound as exc:
            raise NotFound(
                f"This token sees no workspace {self._options.workspace} at Bitbucket.",
                provider=LABEL,
                status=exc.status,
                hint="`workspace` is the slug in bitbucket.org/SLUG; the token must be made for it.",
            ) from exc
        granted = frozenset(scope.strip() for scope in reply.headers.get("x-oauth-scopes", "").split(",")) - {""}
        asked_of_it = [scope for scope in SCOPES if self._options.email or scope is not READ_USER]
        scopes = compare_scopes(asked_of_it, granted) if granted else ComparedScopes()
        return Account(
            name=name,
            detail=self._options.workspace,
            granted=scopes.granted,
            missing=scopes.missing,
            without=scopes.without,
            warnings=() if reply.items("values") else ("The token sees no repository in this workspace.",),
        )

    async def own_uuid(self) -> str | None:
        """Return the UUID under which these credentials start runs, None while an access token has started none."""
        if self._own_uuid is None and self._options.email:
            self._own_uuid = (await self.user()).uuid
        return self._own_uuid

    # repositories and refs

    async def pipelines(self, query: str) -> AsyncIterator[Pipeline]:
        """Yield repositories whose name or slug holds `query`, the last changed first. One request a page.

        Bitbucket is asked for the longest word: a slug's hyphens may be spaces in the name.
        """
        word = max(re.findall(r"\w+", query), key=len, default="")
        search: Query = {
            "role": "member" if self._options.email else None,
            "q": f'name ~ "{word}"' if word else None,
            "sort": "-updated_on",
            "pagelen": PER_PAGE,
        }
        async for page in self.pages(urls.workspace_path(self._options.workspace), search):
            for repository in parse_items(page, wire.Repository.of):
                pipeline = convert.pipeline(repository)
                if holds_name(pipeline.path, query) or holds_name(pipeline.name, query):
                    yield pipeline

    async def pipeline(self, pipeline: str) -> Pipeline:
        """Return a repository. Costs one request."""
        return convert.pipeline(wire.Repository.of((await self._api.get(self.path(pipeline))).raw))

    async def default_branch(self, pipeline: str) -> str:
        """Return a repository's main branch. Costs one request. Raises UsageError where there is none."""
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError("This repository has no main branch.", hint="Name one: `@BRANCH`.")
        return branch

    async def refs(self, pipeline: str, query: str | None) -> AsyncIterator[Ref]:
        """Yield branches, the last changed first, then tags. Costs one request a page."""
        text = (query or "").replace("\\", "\\\\").replace('"', '\\"')
        search: Query = {"q": f'name ~ "{text}"' if text else None, "sort": "-target.date", "pagelen": PER_PAGE}
        for kind, group in ((RefKind.BRANCH, "branches"), (RefKind.TAG, "tags")):
            async for page in self.pages(self.path(pipeline, "refs", group), search, ceiling=SEARCH_PAGES):
                for ref in parse_items(page, wire.Ref.of):
                    yield Ref(kind=kind, name=ref.name)

    async def pull_request(self, pipeline: str, number: str) -> wire.PullRequest:
        """Return a pull request. Costs one request. Raises UsageError for what is no number."""
        if not number.isascii() or not number.isdecimal() or len(number) > 12:
            raise UsageError(f"A pull request has a number; `{number[:40]}` is none.")
        return wire.PullRequest.of((await self._api.get(self.path(pipeline, "pullrequests", number))).raw)

    async def commit(self, pipeline: str, commit: str) -> wire.Commit:
        """Return a commit, by its whole hash or the beginning of it. Costs one request."""
        return wire.Commit.of((await self._api.get(self.path(pipeline, "commit", commit))).raw)

    async def commits_between(self, pipeline: str, base: str, head: str) -> list[wire.Commit]:
        """Return the newest hundred commits up to one that another does not hold. Costs one request."""
        query: Query = {"include": head, "exclude": base, "pagelen": PER_PAGE}
        reply = await self._api.get(self.path(pipeline, "commits"), query)
        return list(parse_items(reply.items("values"), wire.Commit.of))

    async def full_commit(self, pipeline: str, commit: str) -> str:
        """Return a commit's whole hash: Bitbucket starts no other. Costs one request for a short one."""
        if len(commit) == 40:
            return commit.lower()
        whole = (await self.commit(pipeline, commit)).hash
        if not whole:
            raise NotFound(f"There is no commit {commit[:12]} in this repository.", provider=LABEL)
        return whole

    async def commit_of(self, pipeline: str, ref: Ref | None) -> str:
        """Return the commit that a ref stands at, or the default branch. Costs up to two requests."""
        if ref is not None and ref.kind is RefKind.COMMIT:
            return ref.name
        if ref is not None and ref.kind is RefKind.PULL_REQUEST:
            source = (await self.pull_request(pipeline, ref.name)).source
            commit = source.commit.hash if source and source.commit else None
        else:
            name = ref.name if ref else await self.default_branch(pipeline)
            kind = "tags" if ref and ref.kind is RefKind.TAG else "branches"
            target = wire.Ref.of((await self._api.get(self.path(pipeline, "refs", kind, name))).raw).target
            commit = target.hash if target else None
        if not commit:
            raise NotFound(
                f"{LABEL} does not tell where {ref.name if ref else 'the main branch'} stands.", provider=LABEL
            )
        return commit

    async def yml(self, pipeline: str, commit: str) -> str | None:
        """Return a commit's bitbucket-pipelines.yml, None where it has none. Costs one request."""
        try:
            file = self.path(pipeline, "src", commit, parameters.FILE)
            return (await self._api.get(file, headers={"Accept": "*/*"})).text
        except NotFound as exc:
            if exc.status is None:
                raise
            return None

    # runs

    def read(self, run: wire.PipelineRun, pipeline: str, *, by_duration: bool = False) -> Build:
        """Return a run as a build, with its commit's message where that is known already."""
        commit = run.target.commit.hash if run.target and run.target.commit else None
        about = self._commits.get(commit or "")
        site = urls.site(self._options)
        return convert.build(run, self._connection, pipeline, about, by_duration=by_duration, site=site)

    async def run(self, pipeline: str, build: str, *, with_variables: bool = False) -> wire.PipelineRun:
        """Return a run by its UUID or number. Costs one request."""
        query: Query = {"fields": "+variables"} if with_variables else {}
        return wire.PipelineRun.of((await self._api.get(self.path(pipeline, "pipelines", build), query)).raw)

    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a repository's builds, newest first. Costs one request for each hundred."""
        commit = (build_filter.commit or "").lower()
        is_whole = len(commit) == 40
        states = {convert.LISTED_STATES.get(word) for word in build_filter.states}
        by_vendor = {FilterField.BRANCH, *({FilterField.COMMIT} if is_whole else ())}
        is_filtered_here = bool(build_filter.fields - by_vendor)
        query: Query = {
            **NEWEST_FIRST,
            "pagelen": PER_PAGE if is_filtered_here else min(max(build_filter.limit, 1), PER_PAGE),
            "target.branch": build_filter.branch,
            "target.commit.hash": commit if is_whole else None,
            "status": next(iter(states)) if len(states) == 1 else None,
        }
        pages = self.pages(self.path(pipeline, "pipelines"), query, ceiling=SEARCH_PAGES)
        listed = matching(
            pages, lambda item: self.read(wire.PipelineRun.of(item), pipeline, by_duration=True), build_filter
        )
        async for build in listed:
            yield build

    async def whole(self, run: wire.PipelineRun, pipeline: str) -> Build:
        """Return a run with its commit and, once it runs, its steps. Costs up to two requests.

        Commit and steps are left out where they can't be read.
        """
        await self.learn_commit(pipeline, run.target.commit.hash if run.target and run.target.commit else None)
        build = self.read(run, pipeline)
        if build.status is Status.QUEUED:
            return build
        try:
            steps = await self.steps(pipeline, run.uuid)
        except REFUSED:  # a run that did not get through its yml has none
            steps = []
        return convert.with_steps(build if steps else self.read(run, pipeline, by_duration=True), steps)

    async def learn_commit(self, pipeline: str, commit: str | None) -> None:
        """Read a commit's message and author once; a run names only its hash. Costs a request for one not met before."""
        if not commit or commit in self._commits:
            return
        try:
            self._commits[commit] = await self.commit(pipeline, commit)
        except REFUSED:
            self._commits[commit] = None
        except Unavailable:
            return

    async def steps(self, pipeline: str, build: str) -> list[wire.Step]:
        """Return a run's steps, at most 500. Costs one request for each hundred."""
        pages = self.pages(self.path(pipeline, "pipelines", build, "steps"), {"pagelen": PER_PAGE}, ceiling=STEP_PAGES)
        return [step async for page in pages for step in parse_items(page, wire.Step.of)]

    async def steps_of(self, run: wire.PipelineRun, pipeline: str) -> list[wire.Step]:
        """Return the steps of a run that was read; none where it did not get through its yml."""
        try:
            return await self.steps(pipeline, run.uuid)
        except NotFound:
            return []

    async def start(self, pipeline: str, body: dict[str, object]) -> wire.PipelineRun:
        """Start a run, once, and return it."""
        run = wire.PipelineRun.of((await self._api.post(self.path(pipeline, "pipelines"), json=body)).raw)
        self._own_uuid = (run.creator.uuid if run.creator else None) or self._own_uuid
        return run

    async def stop(self, pipeline: str, build: str) -> None:
        """Stop a run, once. Raises UnexpectedResponse for a success that is not Bitbucket's, which has no body."""
        reply = await self._api.send("POST", self.path(pipeline, "pipelines", build, "stopPipeline"))
        if reply.status != httpx.codes.NO_CONTENT:
            raise UnexpectedResponse(
                f"{LABEL} answered in a form that I don't know.", provider=LABEL, status=reply.status
            )

    async def newest(self, pipeline: str) -> list[wire.PipelineRun]:
        """Return the newest runs. Costs one request."""
        reply = await self._api.get(self.path(pipeline, "pipelines"), {**NEWEST_FIRST, "pagelen": POLL_PAGE})
        return list(parse_items(reply.items("values"), wire.PipelineRun.of))

    async def log_tail(self, job: Job, size: int) -> tuple[bytes, bool]:
        """Return the last bytes of a step's log and whether there is more above. Raises NotFound where there is none."""
        path = self.path(job.pipeline, "pipelines", job.build, "steps", job.id, "log")
        headers = {"Accept": "application/octet-stream", "Range": f"bytes=-{size}"}
        try:
            return await self._api.tail(path, keep=size, headers=headers)
        except Rejected as exc:
            if exc.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return b"", False  # the log is empty as yet
        except NotFound as exc:
            raise NotFound("This step has no log, or none yet.", provider=LABEL, status=exc.status) from exc

    # tests and findings

    async def test_summaries(self, pipeline: str, build: str, steps: list[wire.Step]) -> list[wire.Summary]:
        """Return the counts of the steps that have a report of tests. Costs one request for each ended step."""
        summaries: list[wire.Summary] = []
        for step in filter(convert.is_done, steps):
            path = self.path(pipeline, "pipelines", build, "steps", step.uuid, "test_reports")
            try:
                summaries.append(wire.Summary.of((await self._api.get(path)).raw))
            except (NotFound, AuthFailed):
                continue
        return summaries

    async def test_cases(self, pipeline: str, build: str, step: wire.Step) -> list[TestCase]:
        """Return a step's tests, at most 1,000. Costs one request for each hundred."""
        path = self.path(pipeline, "pipelines", build, "steps", step.uuid, "test_reports", "test_cases")
        pages = self.pages(path, {"pagelen": PER_PAGE}, ceiling=TEST_PAGES)
        try:
            return [
                convert.test(case, convert.step_name(step))
                async for page in pages
                for case in parse_items(page, wire.Case.of)
            ]
        except NotFound:
            return []

    async def findings(self, pipeline: str, commit: str | None) -> list[Issue] | None:
        """Return what Code Insights says of a commit, None where it has no report or may not be read.

        Costs one request, and one to three for each of at most five reports.
        """
        if not commit:
            return None
        issues: list[Issue] = []
        try:
            listed = await self._api.get(self.path(pipeline, "commit", commit, "reports"))
            reports = list(parse_items(listed.items("values"), wire.Report.of))[:REPORTS]
            for report in reports:
                path = self.path(pipeline, "commit", commit, "reports", report.uuid, "annotations")
                async for page in self.pages(path, {"pagelen": PER_PAGE}, ceiling=ANNOTATION_PAGES):
                    annotations = filter(convert.is_annotation, parse_items(page, wire.Annotation.of))
                    issues += [convert.annotation_issue(annotation, report) for annotation in annotations]
        except (AuthFailed, NotFound):
            return None
        return issues if reports else None


def _next_page(reply: Reply) -> str | None:
    """Return where a list goes on: a link in the body."""
    return wire.Next.of(reply.raw).next or None
