"""Sentences and labels that several commands share."""

from datetime import datetime

from bot.blocks.text import age, one_line
from bot.core.models import Approval, Build, Status
from commands.core.context import Context
from commands.core.matches import BuildMatch


def choice_label(match: BuildMatch, context: Context, approval: Approval | None = None) -> str:
    """Return a build as a menu offers it: name, step, branch, commit (its subject, else its SHA), and since when it stands as it does."""
    build = match.build
    parts = (
        match.name,
        approval.name if approval is not None else None,
        build.ref,
        one_line(build.subject, 30) if build.subject else (build.commit or "")[:7],
        standing(build, context.now, waiting_since=match.waiting_since, waits=approval is not None),
    )
    return " · ".join(part for part in parts if part)


def standing(build: Build, now: datetime, *, waiting_since: datetime | None = None, waits: bool = False) -> str:
    """Return how long a build has stood as it does: `waiting 3 m`, `ended 2 h ago`, `running 40 s`, `queued 5 m`.

    A wait for approval counts from `waiting_since`; `waits` says that there is one whatever the build's state says. Where
    the time is not known the word stands alone, and nothing where the end of a finished build is not known.
    """
    if waits or (build.waiting and not build.completed):
        return f"waiting {age(waiting_since, now)}" if waiting_since else "waiting for approval"
    if build.completed:
        return f"ended {age(build.completed_at, now)} ago" if build.completed_at else ""
    word, began = ("queued", build.created_at) if build.status is Status.QUEUED else ("running", build.started_at)
    return f"{word} {age(began, now)}" if began else word
