"""From a start to the build that it became: queue items, and what is looked for when no answer came."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from bot.core.clock import Clock, Sleep
from bot.core.errors import NotFound, ProviderError, Rejected, UnexpectedResponse, UsageError
from bot.core.models import Build, StartRequest
from bot.providers.base.listing import parse_items
from bot.providers.base.times import parse_time
from bot.providers.jenkins import convert, parameters, urls, wire
from bot.providers.jenkins.client import Server, keep

T = TypeVar("T")

SEARCHED = 50
SKEW = timedelta(minutes=1)
FOLLOWED_SECONDS = (0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.0)
"""The pauses between looks at a queue item, until the build is shown without its number."""

Fits = Callable[[Sequence[wire.Action]], bool]


class Once(Protocol):
    """`Provider.once`."""

    def __call__(self, send: Callable[[], Awaitable[T]], confirm: Callable[[], Awaitable[T | None]]) -> Awaitable[T]:
        """Do what must not be done twice."""
        ...


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A build of which another one is made; `next_number` is what the job's next build was to be called before."""

    job: str
    number: str
    next_number: int | None


class Queue:
    """Starts builds of one server and finds what became of them: by queue item, never "the newest"."""

    def __init__(self, server: Server, *, send_once: Once, clock: Clock, sleep: Sleep) -> None:
        self._server = server
        self._once = send_once
        self._clock = clock
        self._sleep = sleep

    async def confirm(self, pipeline: str, item: int) -> Build | int:
        """Return the number of the build that a queue item became, or the item as a build. Raises NotFound."""
        try:
            it = wire.QueueItem.of(await self._server.json(f"queue/item/{item}", wire.ITEM))
        except NotFound as exc:
            # items are kept for five minutes after they left; the build remembers which one it was
            for run in await self._newest(pipeline, "number,queueId"):
                if run.queue_id == item:
                    return run.number
            raise NotFound(
                f"The queue item {item} is gone, and no build came of it.", provider=urls.LABEL, status=exc.status
            ) from exc
        at = urls.place(it.task.url or "") if it.task else None
        if at is not None and at.job != pipeline:
            raise NotFound(f"The queue item {item} is one of another job.", provider=urls.LABEL)
        if it.executable is not None and it.executable.number is not None:
            return it.executable.number
        return convert.queued(it, self._server.around(pipeline))

    async def submit(self, full_name: str, job: wire.Item, sent: Mapping[str, str], delay: int) -> Build:
        """Queue a build once and follow it. After a time-out it is looked for by user, job, time and parameters."""
        declared = convert.definitions(job)
        since = self._clock()
        secret = [one.name for one in declared if convert.is_secret(one.class_ or one.type or "")]

        async def send() -> int:
            verb = "buildWithParameters" if declared else "build"
            path = f"{urls.job_path(full_name)}/{verb}"
            reply = await self._server.post(path, form=sent if declared else None, query={"delay": f"{delay}sec"})
            item = urls.queue_id(reply.headers.get("location"))
            if item is None:
                raise Rejected(
                    "Jenkins did not queue the build: a plugin of it refused.",
                    provider=urls.LABEL,
                    status=reply.status,
                    hint=f"Start it on its page to see why: {self._server.page(full_name)}",
                )
            return item

        async def find() -> int | None:
            def fits(found: Sequence[wire.Action]) -> bool:
                return parameters.same_values(sent, convert.values(found), secret)

            return await self._only(full_name, since, job.next_build_number, fits)

        return await self._follow(full_name, await self._once(send, find))

    async def replay(self, again: Again) -> Build | None:
        """Replay a build by the graph view, which names the new queue item, or by core; None where neither is there."""
        at = urls.build_path(again.job, again.number)

        async def send() -> int | None:
            try:
                reply = await self._server.post(f"{at}/stages/rerun")
            except NotFound:
                await self._server.post(f"{at}/replay/rebuild")
                return None
            rerun = wire.Rerunning.of(reply.raw).data
            return rerun.queue_id if rerun else None

        try:
            return await self.again(again, send, "ReplayCause")
        except NotFound:
            return None

    async def resubmit(self, again: Again, run: wire.Run, job: wire.Item, request: StartRequest) -> Build:
        """Start a build with what another one was given, and the request's values. Raises UsageError for secret ones."""
        declared = convert.definitions(job)
        known = {one.name for one in declared}
        recorded = [value for value in convert.values(convert.actions(run.actions)) if value.name in known]
        given = parameters.placed(declared, request, None)
        hidden = [value.name for value in recorded if value.name not in given and convert.text_of(value.value) is None]
        if hidden and given:
            raise self._secret(again, hidden)
        if hidden:

            async def send() -> None:
                path = f"{urls.build_path(again.job, again.number)}/rebuild/"
                await self._server.post(path, query={"autorebuild": True})

            try:
                return await self.again(again, send, "RebuildCause")
            except NotFound as exc:
                raise self._secret(again, hidden) from exc
        values = {value.name: text for value in recorded if (text := convert.text_of(value.value)) is not None}
        sent = {**values, **parameters.form(declared, given)}
        return await self.submit(again.job, job, sent, parameters.delay_seconds(request.options))

    async def again(self, again: Again, send: Callable[[], Awaitable[int | None]], cause: str) -> Build:
        """Do what makes a new build of an old one; return the one whose cause names the old one's number.

        `act` returns the new queue item where Jenkins names it.
        """
        since = self._clock()

        def fits(found: Sequence[wire.Action]) -> bool:
            return any(
                convert.kind(it.class_) == cause
                and (it.upstream_build == int(again.number) or f"#{again.number}" in _words(it.short_description))
                for it in convert.causes(found)
            )

        async def find() -> int | None:
            return await self._only(again.job, since, again.next_number, fits)

        async def acted() -> int:
            found = await send()
            for pause in FOLLOWED_SECONDS if found is None else ():
                await self._sleep(pause)
                try:
                    found = await find()
                except ProviderError:
                    continue
                if found is not None:
                    break
            if found is None:
                raise UnexpectedResponse(
                    "Jenkins took it, and I can't see the new build yet.",
                    provider=urls.LABEL,
                    hint=f"It is on the job's page: {self._server.page(again.job)}",
                )
            return found

        return await self._follow(again.job, await self._once(acted, find))

    async def _follow(self, pipeline: str, item: int) -> Build:
        """Return what a queue item became, or what it is after some ten seconds. It was taken, so this never fails."""
        shown = convert.queued(wire.QueueItem(id=item), self._server.around(pipeline))
        number: int | None = None
        for pause in FOLLOWED_SECONDS:
            await self._sleep(pause)
            try:
                found = await self.confirm(pipeline, item)
                if not isinstance(found, int):
                    shown = found
                    if shown.completed:
                        return shown
                    continue
                number = found
                raw = await self._server.json(urls.build_path(pipeline, str(number)), wire.RUN)
                return convert.build(wire.Run.of(raw), self._server.around(pipeline, item))
            except ProviderError:
                continue
        keep(self._server.aliases, (pipeline, item), number)
        return shown

    async def _only(self, full_name: str, since: datetime, next_number: int | None, fits: Fits) -> int | None:
        """Return the one queue item of a job that this user made since then and that fits; None where two do."""
        found: set[int] = set()
        reply = await self._server.api.get("queue/api/json", {"tree": f"items[{wire.ITEM}]"})
        for it in parse_items(reply.items("items"), wire.QueueItem.of):
            at = urls.place(it.task.url or "") if it.task else None
            entered = parse_time(it.in_queue_since)
            is_new = entered is not None and entered >= since - SKEW
            if at is not None and at.job == full_name and is_new and self._is_ours(it.actions, fits):
                found.add(it.id)
        for run in await self._newest(full_name, wire.LATER):
            started = parse_time(run.timestamp)
            is_new = run.number >= next_number if next_number is not None else started is not None and started >= since
            if run.queue_id is not None and is_new and self._is_ours(run.actions, fits):
                found.add(run.queue_id)
        return found.pop() if len(found) == 1 else None

    async def _newest(self, full_name: str, tree: str) -> list[wire.Numbered]:
        listed = await self._server.json(urls.job_path(full_name), f"builds[{tree}]{{0,{SEARCHED}}}")
        return list(parse_items(wire.Builds.of(listed).builds or (), wire.Numbered.of))

    def _is_ours(self, raw: list[msgspec.Raw] | None, fits: Fits) -> bool:
        found = convert.actions(raw)
        return convert.by_user(convert.causes(found), self._server.user) and fits(found)

    def _secret(self, again: Again, hidden: Sequence[str]) -> UsageError:
        shown = ", ".join(f"`{name}`" for name in hidden)
        return UsageError(
            f"Build #{again.number} had values that Jenkins does not hand out: {shown}.",
            hint=f"Give them anew as KEY=VALUE, or rebuild it on its page: {self._server.page(again.job)}{again.number}/",
        )


def _words(text: str | None) -> list[str]:
    """Return the words of a cause, so that #1 is not found in #12."""
    return [word.strip(",.:;\"'") for word in (text or "").split()]
