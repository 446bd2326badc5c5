"""What a polled build adds to what is known of it, and which attempt it is in. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from bot.core.models import Build, IssueCounts, Trigger

# One end as two of a system's pages give it may differ by its fraction of a second; an attempt takes longer than that.
SAME_END = timedelta(seconds=1)

LASTING = (
    "number",
    "label",
    "name",
    "workflow",
    "repo",
    "branch",
    "tag",
    "pull_request",
    "target_branch",
    "from_fork",
    "commit",
    "head_commit",
    "message",
    "author",
    "triggered_by",
    "triggered_by_type",
    "created_at",
    "web_url",
    "rebuilt_from",
    "first_built_at",
)
"""What does not change in a build's life: a list that leaves it out takes nothing away from a fuller answer."""

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Build)
_counts_decoder = msgspec.json.Decoder(IssueCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousState:
    """The stored state of a build. `ended` says that the end of `attempt` is written, `last_end` when the one before ended."""

    build: Build
    attempt_no: int
    ended: bool
    last_end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of comparing a polled build with its row: the build with all that is known, its attempt, and whether it had ended and runs again."""

    build: Build
    attempt_no: int
    reopened: bool = False


def step(build: Build, previous: PreviousState | None) -> Step | None:
    """Return what a polled build adds to its row, or None if it is older than the row or adds nothing."""
    if previous is None:
        return Step(build=build, attempt_no=build.attempt or 1)
    if _is_older(build, previous):
        return None
    attempts = _attempts_since(build, previous)
    whole = _filled(build, previous.build, same_attempt=not attempts)
    if whole == previous.build and not attempts and whole.completed == previous.ended:
        return None
    return Step(build=whole, attempt_no=previous.attempt_no + attempts, reopened=previous.ended and not build.completed)


def restart(build: Build, previous: PreviousState | None, *, after_attempt: int) -> Step | None:
    """Return what comes of making an ended attempt run again, whatever the system shows of it yet.

    None where the attempt after `after_attempt` has been seen already, and what is known of it is newer.
    """
    counted = build.attempt
    before = previous.build.attempt if previous is not None else after_attempt
    if counted is not None and before is not None and counted <= before:
        build = replace(build, attempt=None)  # systems answer before they count
    if previous is None:
        return Step(build=build, attempt_no=max(after_attempt + 1, counted or 1), reopened=True)
    if previous.attempt_no > after_attempt:
        return step(build, previous)
    return Step(
        build=_filled(build, previous.build, same_attempt=False), attempt_no=previous.attempt_no + 1, reopened=True
    )


def _is_older(build: Build, previous: PreviousState) -> bool:
    before = previous.build
    if before.updated_at is not None and build.updated_at is not None and before.updated_at > build.updated_at:
        return True
    if before.attempt is not None and build.attempt is not None and before.attempt > build.attempt:
        return True
    # The end of the attempt before, repeated by a page that does not show the new attempt yet.
    return (
        not previous.ended
        and build.completed
        and build.completed_at is not None
        and previous.last_end is not None
        and build.completed_at <= previous.last_end
    )


def _attempts_since(build: Build, previous: PreviousState) -> int:
    """Return how many attempts have begun since the last poll."""
    before = previous.build
    more = 0
    if build.attempt is not None and before.attempt is not None:
        more = build.attempt - before.attempt
    if previous.ended and not build.completed:
        return max(more, 1)
    if not previous.ended or more or not build.completed or build.attempt is not None:
        return more
    if before.completed_at is None or build.completed_at is None:
        return 0
    return int(build.completed_at - before.completed_at > SAME_END)


def _filled(build: Build, before: Build, *, same_attempt: bool) -> Build:
    """Return a build, with fields that this poll left out taken from the row."""
    lasting = {name: getattr(before, name) for name in LASTING if getattr(build, name) is None}
    if build.trigger is Trigger.UNKNOWN:
        lasting["trigger"] = before.trigger
    whole = replace(build, **lasting)
    if not same_attempt:
        return whole
    alike = build.status is before.status
    both_ended = build.completed and before.completed
    return replace(
        whole,
        attempt=build.attempt if build.attempt is not None else before.attempt,
        started_at=build.started_at or before.started_at,
        completed_at=(before.completed_at if both_ended else None) or build.completed_at,
        updated_at=build.updated_at or before.updated_at,
        issues=build.issues.filled(before.issues) if alike else build.issues,
        jobs=before.jobs if build.jobs is None and alike else build.jobs,
        details={**before.details, **build.details} if alike else build.details,
    )


def pack(build: Build) -> str:
    """Return a build as JSON; equal builds give equal texts."""
    return _encoder.encode(build).decode()


def unpack(text: str) -> Build:
    """Return the build that `pack` wrote."""
    return _decoder.decode(text)


def pack_counts(counts: IssueCounts) -> str:
    """Return issue counts as JSON, or an empty text where none is known."""
    return _encoder.encode(counts).decode() if counts.known else ""


def unpack_counts(text: str) -> IssueCounts:
    """Return the issue counts that `pack_counts` wrote."""
    return _counts_decoder.decode(text) if text else IssueCounts()
