"""Whether a running build is stuck, slow, or waits unusually long for a machine, by its pipeline's own history. Pure.

The measure is the time under which 95 of 100 builds stay (p95); with less than five builds there is none. The wait for a
machine, the run and the wait for people are apart: an approval makes no build slow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from bot.blocks.text import duration, since
from bot.core.models import Build, Status, Transition
from bot.notifications.filters import judge
from bot.notifications.notification import Event, Extra, Verdict
from bot.notifications.quiet_hours import muted
from bot.store.rows import BuildRow, LinkRow, MuteRow, NewNotification

FEWEST_BUILDS = 5
SLOW_FACTOR, SLOW_MARGIN = 1.1, 30.0
STUCK_FACTOR, STUCK_MARGIN = 3.0, 300.0
QUEUED_FACTOR, QUEUED_MARGIN = 1.5, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How long 95 of 100 builds of a pipeline run at most, and wait for a machine; None where too few are known."""

    run_seconds: float | None = None
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What is unusual about a build that is not over, and the sentence that says so."""

    event: Event
    sentence: str


def usual(runs: Iterable[float], waits: Iterable[float]) -> Usual:
    """Return what is usual of durations of runs (people's time left out) and of waits for a machine, in seconds."""
    return Usual(run_seconds=p95(runs), wait_seconds=p95(waits))


def p95(values: Iterable[float]) -> float | None:
    """Return the least value that 95 of 100 do not exceed; None of less than five."""
    ordered = sorted(values)
    return ordered[ceil(0.95 * len(ordered)) - 1] if len(ordered) >= FEWEST_BUILDS else None


def signals(build: Build, usually: Usual, now: datetime, *, approval_seconds: float = 0.0) -> tuple[Signal, ...]:
    """Return what is unusual about a build now, the worst first.

    `build` has the times of its present attempt, `approval_seconds` is how long that waited for people so far.
    """
    if build.completed or build.waiting:
        return ()
    if build.status is Status.QUEUED or build.started_at is None:
        if usually.wait_seconds is None or build.created_at is None:
            return ()
        waited = since(build.created_at, now)
        if waited <= max(usually.wait_seconds * QUEUED_FACTOR, usually.wait_seconds + QUEUED_MARGIN):
            return ()
        sentence = f"Has waited {duration(waited)} for a machine — 95 of 100 builds wait {_under(usually.wait_seconds)}"
        return (Signal(event=Event.QUEUED_LONG, sentence=sentence),)
    if usually.run_seconds is None:
        return ()
    elapsed = since(build.started_at, now) - approval_seconds
    measure = f"95 of 100 builds take {_under(usually.run_seconds)}"
    unusual: list[Signal] = []
    if elapsed > max(usually.run_seconds * STUCK_FACTOR, usually.run_seconds + STUCK_MARGIN):
        unusual.append(
            Signal(event=Event.STUCK, sentence=f"Probably stuck: it has run for {duration(elapsed)} — {measure}")
        )
    if elapsed > max(usually.run_seconds * SLOW_FACTOR, usually.run_seconds + SLOW_MARGIN):
        unusual.append(Signal(event=Event.SLOW, sentence=f"Slow: it has run for {duration(elapsed)} — {measure}"))
    return tuple(unusual)


def _under(seconds: float) -> str:
    return f"at most {duration(seconds)}" if seconds >= 1 else "no time"


def signal_row(
    build: Build,
    row: BuildRow,
    link: LinkRow,
    unusual: Sequence[Signal],
    mutes: Sequence[MuteRow],
    now: datetime,
) -> NewNotification | None:
    """Return the notification of the worst thing that a link wants to know about a build; None while nobody may be disturbed.

    Its key holds the attempt and the event: each is posted once for an attempt.
    """
    if muted(mutes, link, link.channel, now):
        return None
    for signal in unusual:
        decision = judge(build, Transition(), link, signal.event, started_by=row.started_by)
        if decision.verdict is Verdict.POST:
            return NewNotification(
                team=link.team,
                channel=link.channel,
                link=link.id,
                connection=build.connection,
                pipeline=build.pipeline,
                build=build.id,
                attempt_no=row.attempt_no,
                event=signal.event,
                reason=decision.reason,
                extra=Extra(headline=signal.sentence).as_json(),
                due_at=now,
                created_at=now,
                number=build.number,
            )
    return None
