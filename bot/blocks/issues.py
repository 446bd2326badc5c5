"""A build's errors, warnings and failed tests, by kind."""

from collections.abc import Sequence
from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called, counts_words, failure_words
from bot.blocks.message import Block, Message, actions, button, context, link_button, section, sections
from bot.blocks.text import (
    DOT,
    clean_url,
    code,
    link,
    plural,
    safe,
    when,
)
from bot.core.models import (
    Build,
    Issue,
    IssueCounts,
    IssueKind,
)
from bot.security.redaction import redact

MOST = 25

_KINDS = (
    (IssueKind.ERROR, "✕", "errors"),
    (IssueKind.TEST_FAILURE, "✕", "test failures"),
    (IssueKind.WARNING, "⚠", "warnings"),
    (IssueKind.ANALYZER_WARNING, "⚠", "analyzer warnings"),
)


def issues_message(issues: Sequence[Issue], counts: IssueCounts, *, build: Build, label: str, now: datetime) -> Message:
    """Return the issues of a build by kind, the gravest first, under the system's own counts."""
    title = f"Issues of {safe(called(build, label), 120)}"
    summary = counts_words(counts) or (plural(len(issues), "issue") if issues else "none")
    blocks: list[Block] = [section(f"*{title}*{DOT}{summary}")]
    room = MOST
    for kind, shape, words in _KINDS:
        mine = [issue for issue in issues if issue.kind is kind]
        listed = mine[:room]
        room -= len(listed)
        lines = [_issue_line(issue, shape) for issue in listed]
        if len(mine) > len(listed):
            lines.append(f"… {len(mine) - len(listed)} more {words}")
        blocks += sections(lines)
    if not build.completed:
        blocks.append(context(f"so far, {when(now)}"))
    blocks.append(actions(link_button("Open", build.web_url), button("Logs", command("logs", build))))
    first = f". First: {safe(failure_words(issues[0].message, 150), 150)}" if issues else ""
    return Message(text=f"{title}: {summary}{first}", blocks=tuple(blocks))


def _issue_line(issue: Issue, shape: str) -> str:
    place = issue.file or ""
    if place and issue.line is not None:
        place += f":{issue.line}"
    shown = link(redact(issue.url), place or "see it", 120) if clean_url(issue.url) and issue.url else ""
    location = shown or (code(place, 120) if place else "")
    message = safe(failure_words(issue.message, 250, job=issue.job) or "no message", 250)
    about = [safe(words, 60) for words in (issue.category, issue.job) if words]
    return DOT.join(part for part in (f"{shape} {message}", location, *about) if part)
