"""The lines that cards, notifications and lists share: each takes a build and gives one line of mrkdwn."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType

from bot.blocks.text import (
    DOT,
    Mark,
    Markup,
    code,
    duration,
    escape,
    link,
    mark,
    markup,
    mention,
    one_line,
    plural,
    roughly,
    safe,
    signed,
    since,
    when,
)
from bot.core.models import Approval, Build, BuildKey, Conclusion, IssueCounts, Starter, Status, Transition, Trigger
from bot.core.text import clean_message
from bot.security.redaction import redact

TRIGGERS = {
    Trigger.PUSH: "push",
    Trigger.MERGE_REQUEST: "pull request",
    Trigger.API: "API",
    Trigger.CRON: "schedule",
    Trigger.WEB: "manually",
}
_SHORT_CODE = re.compile(r":[a-z0-9_+-]{1,40}:")
_WORD_BREAK = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SAME_WORDS = {
    Conclusion.PASSED: frozenset(
        {"", "passed", "success", "successful", "succeeded", "complete", "completed", "finished"}
    ),
    Conclusion.FAILED: frozenset({"", "failed", "failure", "complete", "completed", "finished"}),
    Conclusion.CANCELLED: frozenset({"", "cancelled", "canceled", "aborted", "stopped", "complete", "completed"}),
    Conclusion.TIMEOUT: frozenset({"", "timed out", "timedout", "timeout"}),
    Conclusion.SKIPPED: frozenset({"", "skipped", "not run", "not built"}),
    Conclusion.RETRIED: frozenset({"", "retried"}),
    Conclusion.PARTIAL: frozenset({"", "partial", "partially succeeded"}),
}
"""The systems' own words that say no more than ours do."""
_OWN_WORDS = {
    "errored": "the system could not carry it out (errored)",
    "error": "the system could not carry it out (error)",
    "startup failure": "it could not start",
    "unauthorized": "whoever started it has no access to what it needs (unauthorized)",
    "stale": "the system gave it up as stale",
    "waiting failed": "it failed while it waited for a step to be unblocked",
    "unstable": "unstable (tests failed)",
}
"""The systems' own words that say more than ours, for a reader who does not know the system."""
_OPEN_WORDS = frozenset({Status.QUEUED.value, Status.IN_PROGRESS.value})
GAP = "    "
_JOB_WORDS = (
    (Conclusion.FAILED.value, "failed"),
    (Conclusion.TIMEOUT.value, "timed out"),
    (Status.IN_PROGRESS.value, "running"),
    (Status.QUEUED.value, "queued"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person did about a build. `text` goes after their name; without a `user` (a Slack id) it stands alone."""

    text: str
    at: datetime
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the bot knows of a build beside the build itself.

    `starter` is the Slack id of who started it through the bot, `cancelled_by` of who cancelled it. `waiting_since` is
    when the open approval was first seen, `approval_seconds` how long earlier ones kept the build waiting. `replaced`
    says what stands in the build's place: its cards have no buttons then.
    """

    starter: str = ""
    cancelled_by: str = ""
    waiting_since: datetime | None = None
    approval_seconds: float = 0.0
    notes: tuple[Note, ...] = ()
    is_claimed: bool = False
    replaced: str = ""


NO_FACTS = Facts()
NO_FACTS_OF_ANY: Mapping[BuildKey, Facts] = MappingProxyType({})


def note_lines(facts: Facts) -> list[str]:
    """Return what people did about a build, one line each, and what stands in its place."""
    lines = [
        f"{mention(note.user)} {markup(note.text, 300)}{DOT}{when(note.at)}" if note.user else markup(note.text, 300)
        for note in facts.notes[-5:]
    ]
    return [*lines, markup(facts.replaced, 300)] if facts.replaced else lines


def step_name(text: str) -> str:
    """Return the name of a step or job without emoji short codes (`:jest: Unit tests`)."""
    return " ".join(_SHORT_CODE.sub(" ", text).split()) or text


def called(build: Build, label: str) -> str:
    """Return what people call a build, as raw text: its pipeline's name and its number."""
    number = build.label or build.number
    return f"{label} #{number}" if number is not None else label


def ref_words(build: Build) -> str:
    """Return what was built; of a pull request with known branches its number and both: `#7 dark → main`."""
    if build.pull_request and build.branch and build.target_branch:
        return f"{safe(f'#{build.pull_request}', 20)} {code(build.branch, 80)} → {code(build.target_branch, 80)}"
    return code(build.ref, 80) if build.ref else ""


def first_line(build: Build, *, label: str, mark: Mark) -> Markup:
    """Return line 1: shape and word, the pipeline and number as a link, the branch."""
    where = f"{DOT}{ref_words(build)}" if build.ref else ""
    return Markup(f"{mark.shape} *{escape(mark.word.upper())}*  {link(build.web_url, called(build, label))}{where}")


def spelled(build: Build, *, label: str, word: str) -> str:
    """Return line 1 in words, for notifications and screen readers."""
    where = f" on {safe(build.ref, 80)}" if build.ref else ""
    return f"{escape(word)}: {safe(called(build, label))}{where}"


def author(build: Build) -> str | None:
    """Return who made the commit, else who started the build, as raw text."""
    if build.author and (build.author.name or build.author.login):
        return build.author.name or f"@{build.author.login}"
    return build.triggered_by or (build.author.email if build.author else None)


def commit_line(build: Build, *, starter: str = "", says_starter: bool = True) -> str:
    """Return line 3: commit, its subject, who made it, who or what started the build. Empty where none is known.

    `starter` is the Slack id of who started it through the bot: the account that the CI system saw is left out then.
    With `says_starter` false another line names that person already.
    """
    what = " ".join(
        part
        for part in (
            code(build.commit[:7]) if build.commit else "",
            safe(build.subject, 72) if build.subject else "",
        )
        if part
    )
    who = author(build)
    if starter:  # the account that started it is no author
        who = (build.author.name or build.author.login) if build.author else None
    started = _started(build, who, starter) if says_starter or not starter else ""
    return DOT.join(part for part in (what, safe(who, 60) if who else "", started) if part)


def _started(build: Build, who: str | None, starter: str) -> str:
    if starter:
        return f"started by {mention(starter)}"
    trigger = TRIGGERS.get(build.trigger, "")
    if not build.triggered_by or build.triggered_by == who:
        return "started manually" if build.trigger is Trigger.WEB else trigger
    by = safe(build.triggered_by, 60) + (" (bot)" if build.triggered_by_type is Starter.BOT else "")
    return f"started manually by {by}" if build.trigger is Trigger.WEB else f"{trigger} by {by}".strip()


def commit_words(build: Build) -> str:
    """Return line 3 in words. Empty where nothing is known."""
    who = author(build)
    subject = safe(build.subject, 72) if build.subject else ""
    if not who:
        return subject
    return f"{subject}, by {safe(who, 60)}" if subject else f"By {safe(who, 60)}"


def counts_words(counts: IssueCounts) -> str:
    """Return the counts that are not zero, for a line among others. Empty where none is."""
    return ", ".join(part for part in counts_line(counts).split(GAP) if not part.startswith("0 ") and part)


def counts_line(counts: IssueCounts, transition: Transition | None = None) -> str:
    """Return line 4: the known counts with what moved. Empty where nothing is known or everything is and was zero."""
    moved = transition or Transition()
    parts: list[str] = []
    telling = False
    for name, singular_form, plural_form in (
        ("errors", "error", "errors"),
        ("warnings", "warning", "warnings"),
        ("test_failures", "", ""),
        ("analyzer_warnings", "analyzer warning", "analyzer warnings"),
    ):
        count: int | None = getattr(counts, name)
        if count is None:
            continue
        delta = moved.delta(counts, name)
        telling = telling or bool(count or delta)
        if name == "test_failures":
            telling = telling or bool(counts.tests_total)
            words = _tests(count, counts.tests_total, moved=bool(delta))
        else:
            words = plural(count, singular_form, plural_form)
        parts.append(f"{words} ({signed(delta)})" if delta else words)
    return GAP.join(parts) if telling else ""


def _tests(failed: int, total: int | None, *, moved: bool) -> str:
    if not total:
        return f"{plural(failed, 'test')} failed"
    # Beside a change the count that changed must stand: "812 tests passed (-3)" would mislead.
    return (
        f"{plural(total, 'test')} passed"
        if failed == 0 and not moved
        else f"{failed:,} of {plural(total, 'test')} failed"
    )


def jobs_line(build: Build) -> str:
    """Return how far the jobs have come: `3 of 5 jobs done · 1 running`. Empty where the system does not report them."""
    if not build.jobs:
        return ""
    total = sum(build.jobs.values())
    done = sum(count for word, count in build.jobs.items() if word not in _OPEN_WORDS)
    more = [f"{count} {shown}" for word, shown in _JOB_WORDS if (count := build.jobs.get(word, 0))]
    return " · ".join([f"{done} of {plural(total, 'job')} done", *more])


def progress_line(build: Build, *, usual_seconds: float | None, now: datetime, facts: Facts = NO_FACTS) -> str:
    """Return how long a build has waited or run, with ten cells against the usual duration where that is known.

    The time it waits for people is no running time.
    """
    if build.waiting:
        waits = f"waiting {roughly(since(facts.waiting_since, now))} for approval" if facts.waiting_since else ""
        ran = since(build.started_at, facts.waiting_since) if build.started_at and facts.waiting_since else 0.0
        ran -= facts.approval_seconds
        return DOT.join(part for part in (waits, f"ran {duration(ran)} before" if ran >= 1 else "") if part)
    if build.status is Status.QUEUED or build.started_at is None:
        return f"waiting for {duration(since(build.created_at, now))}" if build.created_at else ""
    elapsed = max(since(build.started_at, now) - facts.approval_seconds, 0.0)
    if not usual_seconds:
        return f"running for {duration(elapsed)}"
    cells = min(int(10 * elapsed / usual_seconds), 10)
    bar = "▰" * cells + "▱" * (10 - cells)
    beyond = " — longer than usual" if elapsed > usual_seconds else ""
    return f"{bar}  {duration(elapsed)} (usually {roughly(usual_seconds)}){beyond}"


def run_seconds(build: Build, facts: Facts = NO_FACTS) -> float | None:
    """Return how long a build ran, without the time it waited for people; None where that is unknown."""
    return None if build.seconds is None else max(build.seconds - facts.approval_seconds, 0.0)


def approval_wait(facts: Facts) -> str:
    """Return how long a build waited for people, or an empty text."""
    return f"waited {duration(facts.approval_seconds)} for approval" if facts.approval_seconds >= 1 else ""


def closing_line(
    build: Build,
    *,
    connection_label: str,
    usual_seconds: float | None = None,
    attempt_no: int = 1,
    now: datetime,
    facts: Facts = NO_FACTS,
) -> str:
    """Return line 6: duration, waits, attempt, the system, and when."""
    parts: list[str] = []
    ran = run_seconds(build, facts)
    if build.completed and ran is not None:
        usually = f" (usually {roughly(usual_seconds)})" if usual_seconds else ""
        parts.append(f"{duration(ran)}{usually}")
    if build.waited_seconds is not None and build.waited_seconds >= 1:
        parts.append(f"waited {duration(build.waited_seconds)}")
    if waited := approval_wait(facts):
        parts.append(waited)
    attempt = max(attempt_no, build.attempt or 1)
    if attempt > 1:
        parts.append(f"attempt {attempt}")
    parts.append(safe(connection_label, 60))
    ended = build.completed_at or build.started_at or build.created_at or now
    parts.append(when(ended))
    return " · ".join(parts)


def approval_lines(approval: Approval) -> list[str]:
    """Return the lines of an approval: its name, who may decide, its instructions, its fields with what they hold by default."""
    lines = [f"⏸ {link(approval.url, step_name(approval.name))}"]
    if approval.instructions:
        lines.append(safe(failure_words(approval.instructions, 300), 300))
    if approval.approvers:
        named = ", ".join(safe(name, 60) for name in approval.approvers[:10])
        rest = f" and {len(approval.approvers) - 10} more" if len(approval.approvers) > 10 else ""
        lines.append(f"May approve: {named}{rest}")
    lines += [
        f"{safe(asked.label or asked.name, 60)}: {code(asked.default, 80) if asked.default else '_to be filled in_'}"
        for asked in approval.fields[:8]
    ]
    if len(approval.fields) > 8:
        lines.append(f"… {plural(len(approval.fields) - 8, 'more field')}")
    return lines


CARD_DETAILS = frozenset(
    {"TestFlight", "coverage", "erased", "node", "runner", "stage", "started by a", "target commit", "trigger"}
)
"""What else CI systems report of a build that is worth a line of every card; `show` has the rest."""


def details_line(build: Build, *, most: int = 0) -> str:
    """Return what else a build's system reports: `coverage: 81 % · runner: mac-3`. Empty where nothing.

    The larger part alone, or with `most` the first so many of all.
    """
    of_job = {"job": build.job} if build.job else {}
    larger = {name: text for name, text in build.details.items() if name in CARD_DETAILS}
    details = of_job | (dict(islice(build.details.items(), most)) if most else larger)
    return DOT.join(f"{safe(name, 60)}: {safe(text, 200)}" for name, text in details.items() if text)


def outcome_line(build: Build) -> str:
    """Return what the system says of a build beyond our word for its state: `Cancelled: superseded by a newer build`.

    Empty where it says no more. A reason goes before the system's own word for the state.
    """
    if build.completed and build.conclusion is None and build.raw_state:
        return f"The system calls it {code(build.raw_state, 60)}"
    own_word = _plain_word(build.raw_state or "") if build.completed and build.conclusion else ""
    if build.conclusion and own_word in _SAME_WORDS[build.conclusion]:
        own_word = ""
    reason = failure_words(build.reason, 200) if build.reason else ""
    if not reason or _plain_word(reason) == own_word:
        reason = _OWN_WORDS.get(own_word, own_word)
    if not reason:
        return ""
    word = mark(build).word
    if reason.lower().startswith(word.lower()):
        return f"{escape(word)} {safe(reason[len(word) :].lstrip(' :,-'), 200)}".rstrip()
    return f"{escape(word)}: {safe(reason, 200)}"


def _plain_word(text: str) -> str:
    """Return a system's word for a state as words: `startup_failure` and `startupFailure` are `startup failure`."""
    return " ".join(_WORD_BREAK.sub(" ", text).replace("_", " ").replace("-", " ").lower().split())


def build_line(build: Build, *, label: str, now: datetime, facts: Facts = NO_FACTS, says_workflow: bool = False) -> str:
    """Return a build on one line of mrkdwn: shape, word, name, branch, subject, issues, and how long ago or how far.

    The time that it waited for people (`facts`) stands apart from the time it ran.
    """
    state_mark = mark(build)
    workflow = (build.workflow or build.name) if says_workflow else None
    if build.completed:
        ran = run_seconds(build, facts)
        times = [
            duration(ran) if ran is not None else "",
            approval_wait(facts),
            when(build.completed_at) if build.completed_at else "",
        ]
    else:
        times = [progress_line(build, usual_seconds=None, now=now, facts=facts)]
    parts = [
        f"{state_mark.shape} *{escape(state_mark.word)}*  {link(build.web_url, called(build, label), 120)}",
        safe(workflow, 60) if workflow else "",
        code(build.ref, 60) if build.ref else "",
        safe(build.subject, 60) if build.subject else "",
        counts_words(build.issues),
        *times,
    ]
    return DOT.join(part for part in parts if part)


def build_words(build: Build, *, label: str) -> str:
    """Return a build in words, for notifications and screen readers."""
    return spelled(build, label=label, word=mark(build).word)


def failure_words(message: str, limit: int, *, job: str | None = None) -> str:
    """Return an error's message as raw text on one line, cleaned, its secrets masked.

    The name of the job it stands beside is left out where the message begins with it.
    """
    line = one_line(redact(clean_message(message, 4 * limit + 1000)), limit)
    shorter = line.removeprefix(f"{job}: ") if job else line
    return shorter or line


def failure_text(message: str, limit: int, *, job: str | None = None, most: int = 3) -> list[str]:
    """Return the first lines of an error's message that say something, as raw text, each cleaned and its secrets masked.

    Secrets are masked before the lines are taken apart: a key may go over several of them.
    """
    cleaned = redact(clean_message(message, most * (4 * limit + 1000)))
    lines = [line for text in cleaned.splitlines() if (line := one_line(text, limit))][:most]
    if lines and job:
        lines[0] = lines[0].removeprefix(f"{job}: ") or lines[0]
    return lines


def lines_of(*lines: str) -> str:
    """Return the lines that say something, one below the other."""
    return "\n".join(line for line in lines if line)


def worst(builds: Sequence[Build]) -> Mark:
    """Return the mark that speaks for several builds: red before running, running before green."""
    return min((mark(build) for build in builds), key=lambda shown: _ORDER.index(shown.word))


_ORDER = (
    "Failed",
    "Timed out",
    "Partly passed",
    "Waiting for approval",
    "Running",
    "Queued",
    "Ended",
    "Passed",
    "Cancelled",
    "Skipped",
    "Retried",
)
