"""Starts of builds: what is sent to Jenkins, what that makes it build, and the build that a queue item became."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from bot.core.clock import Clock, Sleep
from bot.core.errors import NotFound, ProviderError, Rejected, Unavailable, UnexpectedResponse, UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget
from bot.providers.base.options import check_options
from bot.providers.base.send_once import send_once
from bot.providers.base.times import parse_time
from bot.providers.jenkins import convert, parameters, urls, wire
from bot.providers.jenkins.client import Builder, Catalogue, Server
from bot.providers.jenkins.errors import LABEL

START_OPTIONS: Mapping[str, str] = {"delay": "seconds to wait in the queue before the build starts (0 without it)"}
TAGS = "refs/tags/"
SKEW = timedelta(minutes=1)
FOLLOWED_SECONDS = (0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.0)
"""The pauses between polls of a queue item, until the build is shown without its number."""

Fits = Callable[[Sequence[wire.Action]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A start as it will be sent: the job that builds, and its parameters."""

    builder: Builder
    sent: Mapping[str, str]
    delay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A build of which another one is made; `next_number` is what the job's next build was to be called before."""

    job: str
    number: str
    next_number: int | None


def delay_seconds(options: Mapping[str, str]) -> int:
    """Return how long the build waits in the queue first. Raises UsageError, also for options that are not there."""
    check_options(options, START_OPTIONS, LABEL)
    text = options.get("delay", "0")
    if not urls.is_number(text) or len(text) > 5:
        raise UsageError(f"`delay` is a number of seconds, not `{text[:40]}`.")
    return int(text)


async def prepare(catalogue: Catalogue, pipeline: str, request: StartRequest) -> Prepared:
    """Return a start as it will be sent. Costs a request for the job, two where another branch's job builds it.

    Raises UsageError for what the job does not declare: Jenkins itself would drop it silently.
    """
    delay = delay_seconds(request.options)
    builder = await catalogue.builder(pipeline, request.ref)
    declared = parameters.definitions(builder.job)
    sent = parameters.form(declared, parameters.placed(declared, request, builder.ref))
    return Prepared(builder=builder, sent=sent, delay=delay)


def target(prepared: Prepared, request: StartRequest) -> StartTarget:
    """Return what a prepared start makes Jenkins build, as its parameters and its job say.

    The job of a tag can't be distinguished from that of a branch, so a tag of a multibranch project is named as both. A job that
    is given no branch builds what it is configured to, which Jenkins does not report: then the branch that it built last is
    named, so that a protected one stays so.
    """
    declared, sent = parameters.definitions(prepared.builder.job), prepared.sent
    chosen = parameters.chosen_refs(declared, sent)
    commit = parameters.sent_value(declared, sent, parameters.COMMIT_PARAMETERS)
    if prepared.builder.is_branch:
        own = urls.ref_of_job(prepared.builder.full_name.rpartition("/")[2])
        is_request = own.kind is RefKind.PULL_REQUEST
        is_tag = request.ref is not None and request.ref.kind is RefKind.TAG
        return StartTarget(
            branch=None if is_request else own.name,
            pull_request=own.name if is_request else None,
            tag=own.name if is_tag else None,
            commit=commit,
            also=chosen,
        )
    branch = parameters.given_branch(declared, sent)
    tag = parameters.sent_value(declared, sent, parameters.TAG_PARAMETERS)
    if branch is not None and branch.startswith(TAGS):
        tag, branch = branch.removeprefix(TAGS), None
    number = parameters.sent_value(declared, sent, parameters.PULL_REQUEST_PARAMETERS)
    if branch is None and tag is None and number is None:
        chosen += parameters.default_refs(declared)
        branch, tag = convert.git_ref(convert.checkout(prepared.builder.job))
    return StartTarget(branch=branch, tag=tag, commit=commit, pull_request=number, also=chosen)


def target_of_ref(ref: Ref) -> StartTarget:
    """Return the target of a ref that has no job yet, so that a start of it is refused as not candidate."""
    match ref.kind:
        case RefKind.PULL_REQUEST:
            return StartTarget(pull_request=ref.name)
        case RefKind.COMMIT:
            return StartTarget(commit=ref.name)
        case RefKind.TAG:
            return StartTarget(branch=ref.name, tag=ref.name)
        case _:
            return StartTarget(branch=ref.name)


async def rebuild_target(server: Server, pipeline: str, request: StartRequest) -> StartTarget:
    """Return what new values make a rebuild build. Costs a request where there are some.

    Which of them choose what is checked out, the job declares; where that can't be read, all of them may.
    """
    new_values = request.parameters
    target = parameters.refs_given(new_values)
    if not new_values:
        return target
    try:
        declared = parameters.definitions(await server.job(pipeline))
    except ProviderError:
        chosen = tuple(new_values.values())
    else:
        chosen = parameters.chosen_refs((each for each in declared if each.name in new_values), new_values)
    return replace(target, also=(*target.also, *chosen))


class Queue:
    """Starts builds of one server and finds what became of them: by queue item, never "the newest"."""

    def __init__(self, server: Server, *, clock: Clock, sleep: Sleep) -> None:
        self._server = server
        self._clock = clock
        self._sleep = sleep

    async def confirm(self, pipeline: str, item: int) -> Build | int:
        """Return the number of the build that a queue item became, or the item as a build. Raises NotFound.

        An item of another job is NotFound, and so is one that belongs to no job (a step that waits for a node).
        """
        try:
            raw = await self._server.item(item)
        except NotFound as exc:
            # items are kept for five minutes after they left; the build remembers which one it was
            for run in await self._server.newest(pipeline, "number,queueId"):
                if run.queue_id == item:
                    return run.number
            raise NotFound(
                f"The queue item {item} is gone, and no build came of it.", provider=LABEL, status=exc.status
            ) from exc
        place = urls.place(raw.task.url or "") if raw.task else None
        if place is None or place.job != pipeline:
            owner = f"belongs to {place.job}, not to {pipeline}" if place is not None else "is no build"
            raise NotFound(f"The queue item {item} {owner}.", provider=LABEL)
        if raw.executable is not None and raw.executable.number is not None:
            return raw.executable.number
        return convert.queued(raw, self._server.context(pipeline))

    async def submit(self, prepared: Prepared) -> Build:
        """Queue a build once and follow it. Without a usable answer it is looked for by user, job, time and values."""
        full_name, job, sent = prepared.builder.full_name, prepared.builder.job, prepared.sent
        declared = parameters.definitions(job)
        since = self._clock()
        secret = [each.name for each in declared if parameters.is_secret(each.class_ or each.type or "")]
        route = urls.job_path(full_name, "buildWithParameters" if declared else "build")

        async def send() -> int:
            query = {"delay": f"{prepared.delay}sec"}
            reply = await self._server.post(route, form=sent if declared else None, query=query)
            item = urls.queue_id(reply.headers.get("location"))
            if item is None and 300 <= reply.status < 400:
                raise Rejected(
                    "Jenkins did not queue the build: a plugin of it refused.",
                    provider=LABEL,
                    status=reply.status,
                    hint=f"Start it on its page to see why: {self._server.page(full_name)}",
                )
            if item is None:
                raise UnexpectedResponse("Jenkins' answer to the start names no queue item.", provider=LABEL)
            return item

        async def find() -> int | None:
            def fits(candidate: Sequence[wire.Action]) -> bool:
                return parameters.same_values(sent, convert.values(candidate), secret)

            return await self._only(full_name, since, job.next_build_number, fits)

        item = await send_once(send, find, label=LABEL, sleep=self._sleep)
        return await self._follow(full_name, item)

    async def replay(self, again: Again) -> Build | None:
        """Replay a build by the graph view, which names the new queue item, or by core; None where neither is there."""

        async def send() -> int | None:
            try:
                reply = await self._server.post(urls.build_path(again.job, again.number, "stages", "rerun"))
            except NotFound:
                await self._server.post(urls.build_path(again.job, again.number, "replay", "rebuild"))
                return None
            rerun = wire.Rerunning.of(reply.raw).data
            return rerun.queue_id if rerun else None

        try:
            return await self.again(again, send, "ReplayCause")
        except NotFound:
            return None

    async def restart(self, again: Again, stage: str, page: str) -> Build:
        """Start a new build from a stage of a declarative pipeline; `page` is the old build's."""

        async def send() -> None:
            route = urls.build_path(again.job, again.number, "restart", "restartPipeline")
            reply = await self._server.post(route, query={"stageName": stage})
            outcome = wire.Restarted.of(reply.raw).data or wire.RestartOutcome()
            if outcome.success in {False, "false"}:
                reason = wire.html_text(outcome.message)
                raise Rejected(
                    f"{LABEL} did not restart it{f': {reason}' if reason else '.'}",
                    provider=LABEL,
                    hint=f"Its page: {page}",
                )

        return await self.again(again, send, "RestartDeclarativePipelineCause")

    async def resubmit(self, again: Again, run: wire.Run, job: wire.Item, request: StartRequest) -> Build:
        """Start a build with what another one was given, and the request's values.

        Raises UsageError for recorded values that can't be given again: secret ones, which Jenkins does not report, and
        those that the job no longer declares, which it would drop.
        """
        declared = parameters.definitions(job)
        declared_names = {each.name for each in declared}
        recorded = convert.values(convert.actions(run.actions))
        overrides = parameters.placed(declared, request, request.ref)
        gone = [value.name for value in recorded if value.name not in declared_names]
        if gone:
            shown = ", ".join(f"`{name}`" for name in gone)
            raise UsageError(
                f"Build #{again.number} was given {shown}, which the job no longer declares.",
                hint="Start a new build instead: `run`.",
            )
        hidden = [
            value.name for value in recorded if value.name not in overrides and parameters.text_of(value.value) is None
        ]
        if hidden and (overrides or request.options):
            raise self._secret(again, hidden)
        if hidden:

            async def send() -> None:
                route = urls.build_path(again.job, again.number, "rebuild") + "/"
                await self._server.post(route, query={"autorebuild": True})

            try:
                return await self.again(again, send, "RebuildCause")
            except NotFound as exc:
                raise self._secret(again, hidden) from exc
        values = {value.name: text for value in recorded if (text := parameters.text_of(value.value)) is not None}
        sent = {**values, **parameters.form(declared, overrides)}
        builder = Builder(job=job, full_name=again.job)
        return await self.submit(Prepared(builder=builder, sent=sent, delay=delay_seconds(request.options)))

    async def again(self, again: Again, send: Callable[[], Awaitable[int | None]], cause: str) -> Build:
        """Send what makes a new build of an old one; return the one whose cause names the old one's number.

        `send` returns the new queue item where Jenkins names it.
        """
        since = self._clock()

        def fits(candidate: Sequence[wire.Action]) -> bool:
            return any(
                parameters.kind(each.class_) == cause
                and (each.upstream_build == int(again.number) or f"#{again.number}" in _words(each.short_description))
                for each in convert.causes(candidate)
            )

        async def find() -> int | None:
            return await self._only(again.job, since, again.next_number, fits)

        item = await send_once(send, find, label=LABEL, sleep=self._sleep)
        for pause in FOLLOWED_SECONDS if item is None else ():
            await self._sleep(pause)
            try:
                item = await find()
            except ProviderError:
                continue
            if item is not None:
                break
        if item is None:
            raise Unavailable(
                "Jenkins took it, and I can't see the new build yet.",
                provider=LABEL,
                hint=f"It is on the job's page: {self._server.page(again.job)}",
                acted=True,
            )
        return await self._follow(again.job, item)

    async def _follow(self, pipeline: str, item: int) -> Build:
        """Return what a queue item became, or what it is after some ten seconds. It was taken, so this never fails."""
        queued = convert.queued(wire.QueueItem(id=item), self._server.context(pipeline))
        number: int | None = None
        for pause in FOLLOWED_SECONDS:
            await self._sleep(pause)
            try:
                became = await self.confirm(pipeline, item)
                if isinstance(became, int):
                    number = became
                    run = await self._server.run(pipeline, str(number))
                    return convert.build(run, self._server.context(pipeline, item))
            except ProviderError:
                continue
            queued = became
            if queued.completed:
                return queued
        self._server.aliases[pipeline, item] = number
        return queued

    async def _only(self, full_name: str, since: datetime, next_number: int | None, fits: Fits) -> int | None:
        """Return the one queue item of a job that this user made since then and that fits; None where two do."""
        items: set[int] = set()
        for raw in await self._server.queue():
            place = urls.place(raw.task.url or "") if raw.task else None
            entered = parse_time(raw.in_queue_since)
            is_new = entered is not None and entered >= since - SKEW
            if place is not None and place.job == full_name and is_new and self._is_ours(raw.actions, fits):
                items.add(raw.id)
        for run in await self._server.newest(full_name, wire.LATER):
            started = parse_time(run.timestamp)
            is_new = run.number >= next_number if next_number is not None else started is not None and started >= since
            if run.queue_id is not None and is_new and self._is_ours(run.actions, fits):
                items.add(run.queue_id)
        return items.pop() if len(items) == 1 else None

    def _is_ours(self, raw: list[msgspec.Raw] | None, fits: Fits) -> bool:
        candidate = convert.actions(raw)
        return convert.by_user(convert.causes(candidate), self._server.user) and fits(candidate)

    def _secret(self, again: Again, hidden: Sequence[str]) -> UsageError:
        secret_names = ", ".join(f"`{name}`" for name in hidden)
        page = self._server.build_page(again.job, again.number)
        return UsageError(
            f"Build #{again.number} had values that Jenkins does not hand out: {secret_names}.",
            hint=f"Give them anew as KEY=VALUE, or rebuild it on its page: {page}",
        )


def _words(text: str | None) -> list[str]:
    """Return the words of a cause, so that #1 is not candidate in #12."""
    return [word.strip(",.:;\"'") for word in (text or "").split()]
