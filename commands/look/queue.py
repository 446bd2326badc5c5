"""What waits for its turn: /build queue [pipeline]."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, escape, plural, roughly, since
from bot.core.errors import NotLinked, ProviderError
from bot.core.models import Build, Status
from bot.core.recurrence import DAY
from commands.core.actions import noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import unfinished_builds
from commands.core.matches import PipelineMatch, number_of
from commands.core.registry import Command, anyone
from commands.core.resolve import pipelines_here, resolve_pipeline
from commands.look.statistics import queue_seconds, times_of

USAGE = "queue [pipeline]"
MOST_PIPELINES = 20
MOST_LISTED = 10
SECONDS = 20
USUAL_DAYS = 14
NEVER = datetime.max.replace(tzinfo=UTC)
RUNNER = "runner"
"""The name under which a build's `details` hold the machine it runs on, where the CI system tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Whose queue: one pipeline's, or the channel's."""

    target: Target
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The unfinished builds of a pipeline, and how long its builds usually wait; `trouble` where they can't be read."""

    pipeline: PipelineMatch
    builds: tuple[Build, ...] = ()
    usual: str = ""
    trouble: str = ""


def parse(words: str) -> Args:
    """Read the words after `queue`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    return Args(target=parsed.only_target(USAGE).of_pipeline("queue"), public=parsed.public)


async def resolve(args: Args, context: Context) -> Sequence[PipelineMatch]:
    """Return the pipeline named, else the channel's. Raises NotLinked where it has none."""
    if not args.target.empty:
        return [await resolve_pipeline(args.target, context, acting=False, verb="queue")]
    pipelines = await pipelines_here(context)
    if not pipelines:
        raise NotLinked(
            f"No pipeline is linked to {context.here} yet.",
            hint=f"Name one: `{context.command} queue connection:path`.",
            choices=(("Link one", "link"),),
        )
    return pipelines[:MOST_PIPELINES]


async def run(args: Args, pipelines: Sequence[PipelineMatch], context: Context) -> Answer:
    """Return what is queued, since when, and what runs before it. Costs a listing for each pipeline."""
    queues = await asyncio.gather(*(_queue(pipeline, args, context) for pipeline in pipelines))
    waiting = sum(len(_queued(queue.builds)) for queue in queues)
    title = f"{plural(waiting, 'build')} waiting in {context.here if len(queues) > 1 else queues[0].pipeline.name}"
    lines = [bold(title), *(line for queue in queues for line in _lines(queue, context.now))]
    message = Message(text="\n".join([escape(title), *lines[1:]]), blocks=sections(lines))
    return Answer(message=noted(message, pipelines[0]) if len(pipelines) == 1 else message, public=args.public)


async def _queue(pipeline: PipelineMatch, args: Args, context: Context) -> Queue:
    try:
        async with asyncio.timeout(SECONDS):
            builds = await unfinished_builds(pipeline, context, ref=args.target.ref)
    except ProviderError as exc:
        return Queue(pipeline=pipeline, trouble=str(exc))
    except TimeoutError:
        return Queue(pipeline=pipeline, trouble=f"{pipeline.provider.label} has not answered for {SECONDS} s.")
    ended = await context.store.attempts.since(pipeline.connection, pipeline.id, context.now - USUAL_DAYS * DAY)
    usual = times_of(waited for attempt in ended if (waited := queue_seconds(attempt)) is not None)
    words = (
        f"usually {roughly(usual.p50)}, p90 {roughly(usual.p90)}"
        if usual.p50 is not None and usual.p90 is not None
        else ""
    )
    return Queue(pipeline=pipeline, builds=tuple(builds), usual=words)


def _queued(builds: Sequence[Build]) -> list[Build]:
    """Return the builds that wait for their start, the one that waits longest first."""
    queued = [build for build in builds if build.status is Status.QUEUED and not build.waiting]
    return sorted(queued, key=lambda build: (build.created_at or NEVER, build.number or 0))


def _lines(queue: Queue, now: datetime) -> list[str]:
    name = bold(queue.pipeline.name)
    if queue.trouble:
        return [f"{name}: {escape(queue.trouble)}"]
    queued = _queued(queue.builds)
    running = [build for build in queue.builds if build.status is Status.IN_PROGRESS and not build.waiting]
    approval = sum(build.waiting for build in queue.builds)
    counts = [f"{len(queued)} queued", f"{len(running)} running"]
    counts += [f"{approval} waiting for approval"] if approval else []
    counts += [f"the wait is {queue.usual}"] if queue.usual else []
    lines = [f"{name}: {', '.join(counts)}"]
    lines += [
        f"{place}. {_named(build)}{_since(build.created_at, now, 'waiting')}"
        for place, build in enumerate(queued[:MOST_LISTED], 1)
    ]
    if len(queued) > MOST_LISTED:
        lines.append(f"… {len(queued) - MOST_LISTED} more queued")
    for build in running[:MOST_LISTED]:
        runner = f" on {escape(build.details[RUNNER])}" if build.details.get(RUNNER) else ""
        lines.append(f"▶ {_named(build)}{_since(build.started_at, now, 'running')}{runner}")
    return lines


def _named(build: Build) -> str:
    on = f" on {escape(build.ref)}" if build.ref else ""
    return f"{escape(number_of(build))}{on}"


def _since(at: datetime | None, now: datetime, word: str) -> str:
    return f", {word} for {roughly(since(at, now))}" if at is not None else ""


COMMAND = Command(
    verb="queue",
    names_target=True,
    usage=USAGE,
    summary="What waits for its turn, and for how long",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(("--public", "show it to the channel"),),
    examples=("queue", "queue web"),
    inferred="every pipeline of this channel",
)
