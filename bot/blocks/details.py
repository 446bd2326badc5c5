"""Everything that is known of a build, field by field, in plain words."""

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.blocks.lines import NO_FACTS, TRIGGERS, Facts, called, failure_words, run_seconds, spelled
from bot.blocks.message import Message, context, section, sections
from bot.blocks.text import DOT, code, duration, escape, link, mark, mention, safe, when
from bot.core.models import Build, IssueCounts, Person

MOST_DETAILS = 60
MOST_LINES = 120
LONGEST_VALUE = 300
MOST_MESSAGE_LINES = 8


def all_details(
    build: Build,
    *,
    label: str,
    now: datetime,
    connection_label: str,
    attempt_no: int = 1,
    facts: Facts = NO_FACTS,
) -> Message:
    """Return every field of a build that is known, one a line: first ours, then what else its system reports.

    Long values are cut, and so is a list of details that one message cannot hold; both say so.
    """
    rows = [f"*{name}*  {value}" for name, field in FIELDS.items() if (value := field(build))]
    rows += _bot_rows(build, attempt_no, facts, now)
    rows += _detail_rows(build)
    if len(rows) > MOST_LINES:
        rows = [*rows[: MOST_LINES - 1], f"… {len(rows) - MOST_LINES + 1} more on the build's page"]
    title = f"{mark(build).shape} {link(build.web_url, called(build, label))}{DOT}everything known"
    return Message(
        text=f"Everything known of {spelled(build, label=label, word=mark(build).word)}",
        blocks=(section(title), *sections(rows), context(safe(connection_label, 60))),
    )


def _detail_rows(build: Build) -> list[str]:
    named = [(name, text) for name, text in build.details.items() if text]
    rows = [
        f"*{safe(name[:1].upper() + name[1:].replace('_', ' '), 80)}*  {safe(text, LONGEST_VALUE)}"
        for name, text in named[:MOST_DETAILS]
    ]
    return [*rows, f"… {len(named) - MOST_DETAILS} more on the build's page"] if len(named) > MOST_DETAILS else rows


def _bot_rows(build: Build, attempt_no: int, facts: Facts, now: datetime) -> list[str]:
    waited = facts.approval_seconds
    if facts.waiting_since is not None:
        waited += max((now - facts.waiting_since).total_seconds(), 0.0)
    ran = run_seconds(build, facts)
    rows = [f"*Ran*  {duration(ran)}"] if ran is not None else []
    rows += [f"*Attempt seen here*  {attempt_no}"] if attempt_no > 1 else []
    rows += [f"*Started in Slack by*  {mention(facts.starter)}"] if facts.starter else []
    return [*rows, f"*Waited for approval*  {duration(waited)}"] if waited >= 1 else rows


def _text(name: str) -> Callable[[Build], str]:
    return lambda build: safe(str(value), LONGEST_VALUE) if (value := getattr(build, name)) is not None else ""


def _code(name: str) -> Callable[[Build], str]:
    return lambda build: code(value, LONGEST_VALUE) if (value := getattr(build, name)) else ""


def _time(name: str) -> Callable[[Build], str]:
    return lambda build: when(value) if (value := getattr(build, name)) else ""


def _yes_or_no(*, value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _message(build: Build) -> str:
    lines = (build.message or "").strip().splitlines()
    shown = [f"      {safe(line, 200)}" for line in lines[:MOST_MESSAGE_LINES] if line.strip()]
    if len(lines) > MOST_MESSAGE_LINES:
        shown.append("      …")
    return "\n" + "\n".join(shown) if shown else ""


def _person(person: Person | None) -> str:
    if person is None:
        return ""
    parts = (person.name, f"@{person.login}" if person.login else None, person.email)
    return DOT.join(safe(part, 120) for part in parts if part)


def _counts(counts: IssueCounts) -> str:
    named = (
        (counts.errors, "errors"),
        (counts.warnings, "warnings"),
        (counts.analyzer_warnings, "analyzer warnings"),
        (counts.test_failures, "failed tests"),
        (counts.tests_total, "tests"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in named if count is not None)


def _jobs(jobs: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count} {safe(word.replace('_', ' '), 40)}" for word, count in (jobs or {}).items() if count)


def _trigger(build: Build) -> str:
    return TRIGGERS.get(build.trigger, "")


def _starter(build: Build) -> str:
    kind = (
        f" ({'a machine' if build.triggered_by_type.value == 'bot' else 'a person'})" if build.triggered_by_type else ""
    )
    return f"{safe(build.triggered_by, 120)}{kind}" if build.triggered_by else kind.strip(" ()")


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


FIELDS: Mapping[str, Callable[[Build], str]] = {
    "State": lambda build: escape(mark(build).word),
    "The system's own word": _code("raw_state"),
    "Reason": lambda build: safe(failure_words(build.reason, LONGEST_VALUE), LONGEST_VALUE) if build.reason else "",
    "Waits for approval": lambda build: "yes" if build.waiting else "",
    "Connection": _text("connection"),
    "Pipeline's id": _code("pipeline"),
    "Build's id": _code("id"),
    "Number": _text("number"),
    "Label": _text("label"),
    "Attempt": _text("attempt"),
    "Name": _text("name"),
    "Job": _text("job"),
    "Workflow": _text("workflow"),
    "Repository": _text("repo"),
    "Branch": _code("branch"),
    "Tag": _code("tag"),
    "Pull request": lambda build: code(f"!{build.pull_request}", 80) if build.pull_request else "",
    "Target branch": _code("target_branch"),
    "From a fork": lambda build: _yes_or_no(value=build.from_fork),
    "Commit": _code("commit"),
    "Commit of the pull request": _code("head_commit"),
    "Message": _message,
    "Author": lambda build: _person(build.author),
    "Trigger": _trigger,
    "Started by": _starter,
    "Created": _time("created_at"),
    "Started": _time("started_at"),
    "Ended": _time("completed_at"),
    "Last change": _time("updated_at"),
    "Waited in the queue": lambda build: _seconds(build.waited_seconds),
    "Issues": lambda build: _counts(build.issues),
    "Jobs": lambda build: _jobs(build.jobs),
    "Rebuilt from": _code("rebuilt_from"),
    "First built": _time("first_built_at"),
    "Page": lambda build: link(build.web_url, "open") if build.web_url else "",
}
"""What each line is called, and what stands on it; empty where it is unknown."""
