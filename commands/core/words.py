"""Sentences and labels that several commands share."""

from bot.blocks.text import one_line, roughly, since
from bot.core.models import Approval
from commands.core.context import Context
from commands.core.matches import BuildMatch


def choice_label(match: BuildMatch, context: Context, approval: Approval | None = None) -> str:
    """Return a build as a menu offers it: name, step, branch, commit subject, age."""
    build = match.build
    began = build.started_at or build.created_at
    parts = (
        match.name,
        approval.name if approval is not None else None,
        build.ref,
        one_line(build.subject, 30) if build.subject else None,
        roughly(since(began, context.now)) if began else None,
    )
    return " · ".join(part for part in parts if part)
