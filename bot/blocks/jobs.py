"""The jobs of a build, each with what opens its log."""

import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called, counts_words, step_name
from bot.blocks.message import Message, actions, button, context, link_button, section
from bot.blocks.text import DOT, Mark, duration, escape, link, mark_of, markup, safe, since, when
from bot.core.models import Build, Job, Status

PAGE = 40
"""Jobs in one message: each is a block of its own, because of its button."""
WAITING = frozenset({"blocked", "manual", "on_hold"})
"""The systems' words for a job that waits for a person."""


def jobs_message(
    jobs: Sequence[Job],
    *,
    build: Build,
    label: str,
    now: datetime,
    total: int | None = None,
    has_logs: bool = True,
    with_details: bool = False,
    footer: str = "",
    more: tuple[str, str] | None = None,
    attempts_command: str | None = None,
) -> Message:
    """Return jobs one a row, in the order given, each with a button for its log where `has_logs`, `with_details` in full.

    `jobs` are those of one page and `total` counts all. `more` is the (label, command) of the next page,
    `attempts_command` the one that lists the attempts which retries replaced, too.
    """
    count = len(jobs) if total is None else total
    title = f"Jobs of {safe(called(build, label), 120)}"
    summary = _summary(jobs) if count == len(jobs) else f"{count:,} in all"
    rows = [
        section(
            "\n".join(filter(None, (job_line(job, now=now), _details(job, now) if with_details else ""))),
            accessory=button("Log", f"{command('logs', build)} --job {shlex.quote(job.id)}")
            if has_logs and _may_have_log(job)
            else None,
        )
        for job in jobs
    ]
    small: list[str] = [markup(footer)] if footer else []
    small += [f"so far, {when(now)}"] if not build.completed else []
    buttons = [link_button("Open", build.web_url)]
    buttons += [button(*more)] if more else []
    buttons += [button("Earlier attempts", attempts_command)] if attempts_command else []
    return Message(
        text=f"{title}: {summary}",
        blocks=(
            section(f"*{title}*{DOT}{summary}"),
            *(rows or [section("No jobs.")]),
            *((context(*small),) if small else ()),
            actions(*buttons),
        ),
    )


def job_line(job: Job, *, now: datetime) -> str:
    """Return a job as one line: state, name, stage or step key, times, where it ran, counts, and what is special."""
    state = _mark(job)
    name = link(job.web_url, step_name(job.name), 120)
    variant = f" ({safe(step_name(job.variant), 80)})" if job.variant else ""
    stage = step_name(job.stage) if job.stage and job.stage != job.name else ""
    key = job.key if job.key and job.key not in {job.name, job.stage} else ""
    parts = (
        f"{state.shape} *{escape(state.word)}*  {name}{variant}",
        safe(stage, 60),
        f"key {safe(key, 60)}" if key else "",
        *_times(job, now),
        f"on {safe(job.runner, 60)}" if job.runner else "",
        counts_words(job.issues),
        safe(step_name(job.reason), 120) if job.reason and _is_red(job) else "",
        "allowed to fail" if job.tolerated else "",
        f"attempt {job.attempt}" if job.attempt and job.attempt > 1 else "",
        _again(job) if job.retried else "",
    )
    return DOT.join(part for part in parts if part)


def _details(job: Job, now: datetime) -> str:
    """Return all that the CI system reports of a job beside its line, cut to what a block holds."""
    times = {"created": job.created_at, "ready": job.runnable_at, "started": job.started_at, "ended": job.completed_at}
    named = [f"{name} {when(at)}" for name, at in times.items() if at is not None and at <= now]
    named += [f"state {safe(job.raw_state, 60)}"] if job.raw_state else []
    named += [f"{safe(name, 60)} {safe(text, 160)}" for name, text in list(job.details.items())[:14] if text]
    return DOT.join([*named, f"id {safe(job.id, 80)}"])


def _again(job: Job) -> str:
    return f"run again since, as {safe(job.replaced_by[:8], 20)}" if job.replaced_by else "run again since"


def _mark(job: Job) -> Mark:
    return mark_of(job.status, job.conclusion, waiting=job.raw_state in WAITING)


def _times(job: Job, now: datetime) -> list[str]:
    """Return how long a job ran, or runs, and how long it waited for a runner before."""
    if job.started_at is None:
        ready_at = job.runnable_at or job.created_at
        waits = job.status is Status.QUEUED and ready_at is not None and job.raw_state not in WAITING
        return [f"waiting {duration(since(ready_at, now))}"] if waits and ready_at is not None else []
    ran = job.seconds if job.completed_at is not None else since(job.started_at, now)
    words = [duration(ran)] if ran is not None else []
    waited = job.waited_seconds
    return [*words, f"waited {duration(waited)}"] if waited is not None and waited >= 1 else words


def _is_red(job: Job) -> bool:
    return job.conclusion is not None and (job.conclusion.is_red or job.retried)


def _may_have_log(job: Job) -> bool:
    return job.started_at is not None or job.status is not Status.QUEUED


def _summary(jobs: Sequence[Job]) -> str:
    """Return how many jobs stand in each state, those that were run again apart."""
    words = Counter(_mark(job).word.lower() for job in jobs if not job.retried)
    counted = [f"{count:,} {escape(word)}" for word, count in words.items()]
    again = sum(job.retried for job in jobs)
    counted += [f"{again:,} run again since"] if again else []
    return ", ".join(counted) or "none"
