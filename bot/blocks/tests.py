"""The tests of a build."""

from collections.abc import Sequence
from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called, failure_words
from bot.blocks.message import Block, Message, actions, button, context, link_button, section, sections
from bot.blocks.text import (
    DOT,
    code,
    duration,
    markup,
    safe,
    when,
)
from bot.core.models import (
    Build,
    Outcome,
    TestCase,
)

MOST = 25
SLOWEST = 5


def tests_message(
    tests: Sequence[TestCase],
    *,
    build: Build,
    label: str,
    now: datetime,
    note: str | None = None,  # noqa: PT028 - it draws tests, it is none
) -> Message:
    """Return the tests of a build: the failed ones first with their messages, then the slowest; `note` is a line of small print."""
    failed = [case for case in tests if case.outcome is Outcome.FAILED]
    passed = sum(1 for case in tests if case.outcome is Outcome.PASSED)
    skipped = sum(1 for case in tests if case.outcome is Outcome.SKIPPED)
    other = len(tests) - len(failed) - passed - skipped
    counted = [
        f"{count:,} {word}"
        for count, word in ((len(failed), "failed"), (passed, "passed"), (skipped, "skipped"), (other, "unknown"))
        if count
    ]
    title = f"Tests of {safe(called(build, label), 120)}"
    summary = ", ".join(counted) or "none reported"
    lines = [_test_line(case) for case in failed[:MOST]]
    if len(failed) > MOST:
        lines.append(f"… {len(failed) - MOST} more failed")
    timed = sorted(
        ((case.seconds, case) for case in tests if case.seconds is not None and case.seconds >= 1),
        key=lambda pair: pair[0],
        reverse=True,
    )[:SLOWEST]
    slow = [f"{duration(seconds)}  {code(_test_name(case), 120)}" for seconds, case in timed]
    blocks: list[Block] = [section(f"*{title}*{DOT}{summary}"), *sections(lines)]
    if slow:
        blocks += sections(["*Slowest*", *slow])
    small: list[str] = [markup(note)] if note else []
    small += [f"so far, {when(now)}"] if not build.completed else []
    if small:
        blocks.append(context(*small))
    blocks.append(actions(link_button("Open", build.web_url), button("Errors in the log", command("logs", build))))
    first = f". First: {safe(_test_name(failed[0]), 150)}" if failed else ""
    return Message(text=f"{title}: {summary}{first}", blocks=tuple(blocks))


def _test_name(case: TestCase) -> str:
    return f"{case.class_name}.{case.name}" if case.class_name else case.name


def _test_line(case: TestCase) -> str:
    detail = f"{DOT}{safe(case.detail, 80)}" if case.detail else ""
    why = f"\n      {safe(failure_words(case.message, 250), 250)}" if case.message else ""
    took = f"{DOT}{duration(case.seconds)}" if case.seconds is not None and case.seconds >= 1 else ""
    return f"✕ {code(_test_name(case), 150)}{detail}{took}{why}"
