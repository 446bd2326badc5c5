"""Starting a workflow by hand, once, and knowing which run that made; running runs again.

Page: "Create a workflow dispatch event", read in August 2026. GitHub reports the run since February 2026, Enterprise Server
since 3.21; older servers answer without a word, and the run is looked for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

import msgspec
from cachetools import LRUCache

from bot.core.clock import Clock, Sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
)
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.listing import parse_items
from bot.providers.base.options import check_options
from bot.providers.base.send_once import send_once
from bot.providers.base.times import parse_time
from bot.providers.github_actions import errors, wire
from bot.providers.github_actions.client import Client
from bot.providers.github_actions.errors import LABEL
from bot.providers.github_actions.urls import Location

EVENT = "workflow_dispatch"
APPEARS_AFTER_SECONDS = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Pauses before each search for a run that GitHub took without naming it."""
READABLE_AFTER_SECONDS = (0.5, 1.5, 2.5)
"""Pauses before a run that was just made is read again: it may not be there in its first second."""
SETTLES_AFTER_SECONDS = (0.0, 1.0, 2.0)
"""Pauses before each read of a run that was asked to change."""
CLOCK_DIFFERENCE = timedelta(minutes=1)
NEWEST = 30
MOST_WORKFLOWS = 512
OLD_SERVER_LIFE = timedelta(hours=24)
"""How long a server that refused to name the run is not asked for it."""

HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """What came of a dispatch that GitHub took: the run, unless it can't be distinguished from others."""

    run: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dispatch:
    """A dispatch about to be sent: where, of which ref, and the newest run before it (None: unknown)."""

    at: Location
    ref: Ref
    git_ref: str
    newest: int | None
    since: datetime


class Starter:
    """Starts workflows and acts on runs, once.

    `login` is whom GitHub will name as the one who started; `page` is the web address of a pipeline's run.
    """

    def __init__(
        self,
        api: ApiClient,
        client: Client,
        *,
        clock: Clock,
        sleep: Sleep,
        login: Callable[[], Awaitable[str]],
        page: Callable[[str, str], str],
    ) -> None:
        self._api = api
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._login = login
        self._page = page
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._last: LRUCache[str, int] = LRUCache(MOST_WORKFLOWS)
        self._names_runs_from = datetime.min.replace(tzinfo=UTC)

    async def target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return the branch or tag that `start` sends, or raise what it would raise.

        Costs a request where no ref is named.
        """
        ref = await self._ref(self._client.location(pipeline), request)
        is_tag = ref.kind is RefKind.TAG
        return StartTarget(branch=None if is_tag else ref.name, tag=ref.name if is_tag else None)

    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start the workflow and return its run, read if it is there already.

        Costs three requests: the newest run before, the start, and its run. One more without a ref and for a tag; a
        server that does not name the run costs one to five more.
        """
        at = self._client.location(pipeline)
        ref = await self._ref(at, request)
        at = await self._client.exact(at)
        try:
            dispatched = await self._dispatch(at, ref, request)
        except Rejected as exc:
            exc.hint = exc.hint or errors.start_hint(str(exc))
            raise
        if dispatched.run is None:
            raise Unavailable(
                "GitHub took the start and does not tell which run it made. I did not start it again.",
                provider=LABEL,
                acted=True,
                hint="This server is too old to name it, and several or none fit. Look at the workflow's page.",
            )
        return await self._read_started(pipeline, str(dispatched.run), ref, dispatched.url)

    async def _ref(self, at: Location, request: StartRequest) -> Ref:
        """Return the branch or tag to start. A whole name (`refs/tags/v1`) is what it says."""
        refuse_what_a_dispatch_lacks(request)
        ref = request.ref
        if ref is None:
            return Ref(kind=RefKind.BRANCH, name=await self._client.default_branch(at))
        if ref.name.startswith(TAGS):
            return Ref(kind=RefKind.TAG, name=ref.name.removeprefix(TAGS))
        return replace(ref, name=ref.name.removeprefix(HEADS)) if ref.kind is RefKind.BRANCH else ref

    async def _dispatch(self, at: Location, ref: Ref, request: StartRequest) -> Dispatched:
        """Start the workflow and return its run. Starts of one workflow wait for each other.

        So our own starts are never taken for one another.
        """
        workflow = at.of_workflow()
        async with self._locks.setdefault(workflow, asyncio.Lock()):
            newest = await self._newest(at)
            if newest is not None:
                # a list may lag behind what we just started
                newest = max(newest, self._last.get(workflow, 0))
            dispatch = _Dispatch(
                at=at,
                ref=ref,
                git_ref=await self._git_ref(at, ref),
                newest=newest,
                since=self._clock() - CLOCK_DIFFERENCE,
            )

            async def send() -> Dispatched:
                sent = await self._post(dispatch, request)
                return sent if sent.run is not None else await self._wait_for(dispatch)

            async def confirm() -> Dispatched | None:
                return await self._find(dispatch)

            dispatched = await send_once(send, confirm, label=LABEL, sleep=self._sleep)
            self._last[workflow] = max(newest or 0, dispatched.run or 0)
            return dispatched

    async def _newest(self, at: Location) -> int | None:
        """Return the id of a workflow's newest run by hand; None where it cannot be read, which stops no start."""
        try:
            reply = await self._api.get(at.of_workflow("runs"), {"event": EVENT, "per_page": 1})
            return max((run.id for run in parse_items(reply.items("workflow_runs"), wire.Run.of)), default=0)
        except ProviderError:
            return None

    async def _git_ref(self, at: Location, ref: Ref) -> str:
        """Return the ref as GitHub takes it: by its whole name where the short one could mean another ref.

        A tag that is called as a branch is, is meant as the tag; a branch called `heads/main` is not the branch `main`.
        """
        if ref.kind is RefKind.BRANCH and ref.name.startswith(("refs/", "heads/", "tags/")):
            return f"{HEADS}{ref.name}"
        if ref.kind is RefKind.TAG and await self._client.has_branch(at, ref.name) is not False:
            return f"{TAGS}{ref.name}"
        return ref.name

    async def _post(self, dispatch: _Dispatch, request: StartRequest) -> Dispatched:
        path = dispatch.at.of_workflow("dispatches")
        body: dict[str, object] = {"ref": dispatch.git_ref}
        if request.parameters:
            body["inputs"] = dict(request.parameters)
        if self._clock() < self._names_runs_from:
            reply = await self._api.post(path, json=body)
        else:
            try:
                reply = await self._api.post(path, json={**body, "return_run_details": True})
            except Rejected as exc:
                # refused, so nothing has started: an older server does not know the question
                if exc.status != 400 and "return_run_details" not in str(exc):
                    raise
                reply = await self._api.post(path, json=body)
                self._names_runs_from = self._clock() + OLD_SERVER_LIFE
        try:
            started = wire.Started.of(reply.raw)
        except UnexpectedResponse:
            return Dispatched()  # it has started all the same
        return Dispatched(run=started.workflow_run_id, url=started.html_url)

    async def _wait_for(self, dispatch: _Dispatch) -> Dispatched:
        for pause in APPEARS_AFTER_SECONDS:
            await self._sleep(pause)
            try:
                dispatched = await self._find(dispatch)
            except ProviderError:
                continue
            if dispatched is not None:
                return dispatched
        return Dispatched()

    async def _find(self, dispatch: _Dispatch) -> Dispatched | None:
        """Return the one run that is new, of this ref and made by this token's owner; None where two are."""
        if dispatch.newest is None:
            return None
        login = await self._login()
        is_tag = dispatch.ref.kind is RefKind.TAG
        query: Query = {
            "event": EVENT,
            "actor": login,
            "branch": None if is_tag else dispatch.ref.name,
            "per_page": NEWEST,
        }
        reply = await self._api.get(dispatch.at.of_workflow("runs"), query)
        listed: list[msgspec.Raw] = reply.items("workflow_runs")
        ours = [
            run
            for run in parse_items(listed, wire.Run.of)
            if run.id > dispatch.newest
            and run.event == EVENT
            and run.head_branch == dispatch.ref.name
            and run.actor is not None
            and (run.actor.login or "").lower() == login.lower()
            and (created := parse_time(run.created_at)) is not None
            and created >= dispatch.since
        ]
        return Dispatched(run=ours[0].id, url=ours[0].html_url) if len(ours) == 1 else None

    async def _read_started(self, pipeline: str, build: str, ref: Ref, url: str | None) -> Build:
        """Return the run that was started; where it is not there to read yet, as far as it is known."""
        is_tag = ref.kind is RefKind.TAG
        for pause in READABLE_AFTER_SECONDS:
            try:
                started = await self._client.build(pipeline, build)
            except ProviderError:
                await self._sleep(pause)
            else:
                # a run does not say that its ref is a tag
                return replace(started, branch=None, tag=ref.name) if is_tag else started
        return Build(
            connection=self._client.connection,
            pipeline=pipeline,
            id=build,
            branch=None if is_tag else ref.name,
            tag=ref.name if is_tag else None,
            web_url=url or self._page(pipeline, build),
        )

    # acts on runs

    async def rerun(self, pipeline: str, build: str, path: str) -> Build:
        """Make a completed run's next attempt and return it, once. Where the run can't be read before, GitHub decides."""
        before = await self._before(pipeline, build)
        if before is not None and not before.completed:
            raise Rejected(
                "GitHub runs jobs again only after the whole run has ended.",
                provider=LABEL,
                hint=f"It waits for approval: {before.web_url}" if before.waiting else "Cancel it first, or wait.",
            )

        async def post() -> Reply:
            try:
                return await self._api.post(path)
            except AuthFailed as exc:
                raise errors.rerun_refused(exc) from exc

        def is_next(run: Build) -> bool:
            is_later = before is not None and (run.attempt or 1) > (before.attempt or 1)
            return is_later or not run.completed

        return await self.act(pipeline, build, post, is_next)

    async def _before(self, pipeline: str, build: str) -> Build | None:
        """Return a run as it stands before it runs again; None where it can't be read now. Raises NotFound."""
        try:
            return await self._client.build(pipeline, build)
        except NotFound:
            raise
        except ProviderError:
            return None

    async def act(
        self,
        pipeline: str,
        build: str,
        post: Callable[[], Awaitable[Reply]],
        shows: Callable[[Build], bool],
    ) -> Build:
        """Send an act on a run once, and return the run as soon as the act shows, or as it is after three reads."""

        async def send() -> Build | None:
            await post()
            return None

        async def confirm() -> Build | None:
            now = await self._client.build(pipeline, build)
            return now if shows(now) else None

        return await send_once(send, confirm, label=LABEL, sleep=self._sleep) or await self.after_act(
            pipeline, build, shows
        )

    async def after_act(self, pipeline: str, build: str, shows: Callable[[Build], bool] = bool) -> Build:
        """Return a run that GitHub took an act for. A read that fails now does not mean that the act did."""
        run: Build | None = None
        fault: ProviderError | None = None
        for pause in SETTLES_AFTER_SECONDS:
            if pause:
                await self._sleep(pause)
            try:
                run = await self._client.build(pipeline, build)
            except ProviderError as exc:
                fault = exc
                continue
            if shows(run):
                return run
        if run is None:
            raise Unavailable(
                "GitHub took that, and I can't read how the run stands now.",
                provider=LABEL,
                acted=True,
                hint=f"Look at its page before you repeat this: {self._page(pipeline, build)}",
            ) from fault
        return run


def refuse_what_a_dispatch_lacks(request: StartRequest) -> None:
    """Raise for what GitHub does not take with a start, by name: commits, pull requests, messages, options."""
    kind = request.ref.kind if request.ref else RefKind.BRANCH
    if request.commit or kind is RefKind.COMMIT:
        raise Unsupported(
            "GitHub starts a workflow on a branch or a tag, not on a commit.",
            provider=LABEL,
            hint="Name a branch that holds it, and give the commit as an input that the workflow checks out.",
        )
    if kind is RefKind.PULL_REQUEST:
        raise Unsupported(
            "GitHub starts a workflow on a branch or a tag, not on a pull request.",
            provider=LABEL,
            hint="Name the pull request's branch.",
        )
    if request.message:
        raise Unsupported(
            "GitHub takes no message for a run.",
            provider=LABEL,
            hint="Give it as an input, if the workflow has one for it: NAME=VALUE.",
        )
    check_options(request.options, {}, LABEL)


def refuse_what_a_rerun_lacks(request: StartRequest) -> None:
    """Raise for anything that is to be other than it was: GitHub runs a build again at its commit, with its inputs."""
    refused = [
        *(f"option `{name}`" for name in request.options),
        *(f"value for `{name}`" for name in request.parameters),
        *(["message"] if request.message else []),
        *(["other ref"] if request.ref is not None else []),
        *(["other commit"] if request.commit is not None else []),
    ]
    if refused:
        raise Unsupported(
            f"GitHub runs a build again as it was, with no {', no '.join(refused)}.",
            provider=LABEL,
            hint="Start a new one: `/build run`.",
        )
