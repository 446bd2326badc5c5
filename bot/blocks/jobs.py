"""The jobs of a build."""

from collections.abc import Sequence
from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called, counts_words, failure_words
from bot.blocks.message import Message, actions, button, link_button, section, sections
from bot.blocks.text import (
    DOT,
    STEP,
    duration,
    escape,
    link,
    mark_of,
    plural,
    safe,
    since,
)
from bot.core.models import (
    Build,
    Job,
)

MOST = 50


def jobs_lines(jobs: Sequence[Job], now: datetime) -> tuple[str, ...]:
    """Return one line for each job: its state, stage, name and time. A tolerated failure says so."""
    lines: list[str] = []
    for job in jobs:
        shown = mark_of(job.status, job.conclusion)
        stage = f"{safe(job.stage, 60)}{STEP}" if job.stage else ""
        seconds = job.seconds
        if seconds is None and job.started_at is not None and job.completed_at is None:
            seconds = since(job.started_at, now)
        parts = [
            f"{shown.shape} {stage}{link(job.web_url, job.name, 100)}",
            escape(shown.word),
            duration(seconds) if seconds is not None else "",
            counts_words(job.issues),
            safe(failure_words(job.reason, 120), 120) if job.reason else "",
            "allowed to fail" if job.tolerated else "",
            "tried again" if job.retried else "",
        ]
        lines.append(DOT.join(part for part in parts if part))
    return tuple(lines)


def jobs_message(jobs: Sequence[Job], *, build: Build, label: str, now: datetime) -> Message:
    """Return the jobs of a build, in the order given."""
    title = f"Jobs of {safe(called(build, label), 120)}"
    lines = jobs_lines(jobs[:MOST], now)
    more = (f"… {len(jobs) - MOST} more",) if len(jobs) > MOST else ()
    return Message(
        text=f"{title}: {plural(len(jobs), 'job')}",
        blocks=(
            section(f"*{title}*"),
            *sections((*lines, *more) or ("No jobs.",)),
            actions(link_button("Open", build.web_url), button("Logs", command("logs", build))),
        ),
    )
