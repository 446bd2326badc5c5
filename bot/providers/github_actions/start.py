"""Starting a workflow by hand, once, and knowing which run that made.

Page: "Create a workflow dispatch event", read in August 2026. GitHub tells the run since February 2026, Enterprise Server
since 3.21; older servers answer without a word, and the run is looked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from bot.core.clock import Clock, Sleep
from bot.core.errors import ProviderError, Rejected, UnexpectedResponse
from bot.core.models import Ref, RefKind
from bot.http.client import Api, Query
from bot.providers.base.listing import parse_items
from bot.providers.base.times import parse_time
from bot.providers.github_actions import wire

EVENT = "workflow_dispatch"
APPEARS = (1.0, 2.0, 3.0, 4.0, 6.0)
"""How long to wait, in seconds, before each look for a run that GitHub took without naming it."""
SKEW = timedelta(minutes=1)
NEWEST = 30

Act = Callable[[], Awaitable["Sent"]]
Look = Callable[[], Awaitable["Sent | None"]]
Once = Callable[[Act, Look], Awaitable["Sent"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of a dispatch that GitHub took: the run, unless it can't be told from others."""

    run: int | None = None
    url: str | None = None


class Dispatcher:
    """Starts workflows of one connection. `login` tells whom GitHub will name as the one who started."""

    def __init__(self, api: Api, *, clock: Clock, sleep: Sleep, login: Callable[[], Awaitable[str]]) -> None:
        self._api = api
        self._clock = clock
        self._sleep = sleep
        self._login = login
        self._locks: dict[str, asyncio.Lock] = {}
        self._last: dict[str, int] = {}
        self._tells = True

    async def send(self, at: str, ref: Ref, inputs: Mapping[str, str], send_once: Once) -> Sent:
        """Start the workflow at `at` (its path in the API) and return its run. Raises Rejected.

        Costs two requests: the newest run before, and the start. A server that does not name the run costs one to five
        more. Starts of one workflow wait for each other, so that our own are never taken for one another.
        """
        async with self._locks.setdefault(at, asyncio.Lock()):
            # a list may lag behind what we started a moment ago
            newest = max(await self._newest(at), self._last.get(at, 0))
            since = self._clock()

            async def send() -> Sent:
                sent = await self._post(at, ref, inputs)
                return sent if sent.run is not None else await self._appearing(confirm)

            async def confirm() -> Sent | None:
                return await self._ours(at, ref, newest, since)

            sent = await send_once(send, confirm)
            self._last[at] = max(newest, sent.run or 0)
            return sent

    async def _newest(self, at: str) -> int:
        reply = await self._api.get(f"{at}/runs", {"event": EVENT, "per_page": 1})
        return max((run.id for run in parse_items(reply.items("workflow_runs"), wire.Run.of)), default=0)

    async def _post(self, at: str, ref: Ref, inputs: Mapping[str, str]) -> Sent:
        body: dict[str, object] = {"ref": ref.name}
        if inputs:
            body["inputs"] = dict(inputs)
        if self._tells:
            try:
                reply = await self._api.post(f"{at}/dispatches", json={**body, "return_run_details": True})
            except Rejected as exc:
                # refused, so nothing has started: an older server does not know the question
                if exc.status != 400 and "return_run_details" not in str(exc):
                    raise
                reply = await self._api.post(f"{at}/dispatches", json=body)
                self._tells = False
        else:
            reply = await self._api.post(f"{at}/dispatches", json=body)
        try:
            started = wire.Started.of(reply.raw)
        except UnexpectedResponse:
            return Sent()  # it has started all the same
        return Sent(run=started.workflow_run_id, url=started.html_url)

    async def _appearing(self, confirm: Look) -> Sent:
        for pause in APPEARS:
            await self._sleep(pause)
            try:
                found = await confirm()
            except ProviderError:
                continue
            if found is not None:
                return found
        return Sent()

    async def _ours(self, at: str, ref: Ref, newest: int, since: datetime) -> Sent | None:
        """Return the one run that is new, of this ref and made by this token's owner; None where two are."""
        login = await self._login()
        query: Query = {
            "event": EVENT,
            "actor": login,
            "branch": ref.name if ref.kind is RefKind.BRANCH else None,
            "per_page": NEWEST,
        }
        listed: list[msgspec.Raw] = (await self._api.get(f"{at}/runs", query)).items("workflow_runs")
        ours = [
            run
            for run in parse_items(listed, wire.Run.of)
            if run.id > newest
            and run.event == EVENT
            and run.head_branch == ref.name
            and run.actor is not None
            and (run.actor.login or "").lower() == login.lower()
            and (created := parse_time(run.created_at)) is not None
            and created >= since - SKEW
        ]
        return Sent(run=ours[0].id, url=ours[0].html_url) if len(ours) == 1 else None
