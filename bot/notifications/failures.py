"""What failed first, and whether it is new or flaky. Pure: issues and stored attempts in, an order and numbers out."""

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import msgspec

from bot.blocks.text import clip
from bot.core.models import Conclusion, Issue, IssueKind, Outcome, TestCase
from bot.store.rows import AttemptRow

WHOLE = 3
"""How many failures of an attempt are kept with their whole message; of the others it is enough to know which they are."""
MOST_KEPT = 30
MESSAGE_CHARACTERS = 2000
NAME_CHARACTERS = 200
REASON = " — "
"""What stands between the name of a failing test and why it failed."""

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+")
_KINDS = (IssueKind.TEST_FAILURE, IssueKind.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flakiness:
    """How often a failure was seen among the last results of a ref, whose commit passed as well."""

    failed: int
    results: int


def signature(issue: Issue) -> str:
    """Return what is the same each time a test or a step fails, whatever numbers and addresses its message holds."""
    first = issue.message.strip().partition("\n")[0]
    named = first.partition(REASON)[0] if issue.kind is IssueKind.TEST_FAILURE else first
    return f"{issue.kind.value} {issue.file or ''} {' '.join(_NUMBER.sub('#', named).split())[:NAME_CHARACTERS]}"


def failing_tests(tests: Sequence[TestCase]) -> list[Issue]:
    """Return the tests that failed as issues. One that passed on a retry, in the same place, is no failure."""
    passed = {_place(test) for test in tests if test.outcome is Outcome.PASSED}
    return [_issue_of(test) for test in tests if test.outcome is Outcome.FAILED and _place(test) not in passed]


def _place(test: TestCase) -> tuple[str | None, str, str | None, str | None]:
    return test.class_name, test.name, test.file, test.detail


def _issue_of(test: TestCase) -> Issue:
    """Return a failing test as an issue: its full name, then why it failed."""
    name = f"{test.class_name}.{test.name}" if test.class_name else test.name
    message = f"{name}{REASON}{test.message}" if test.message else name
    return Issue(kind=IssueKind.TEST_FAILURE, message=message, file=test.file)


def in_order(issues: Iterable[Issue], seen_before: AbstractSet[str]) -> list[Issue]:
    """Return failures in the order of what they tell: tests before steps, new ones before those `seen_before` by their signatures."""
    failures = [issue for issue in issues if issue.kind in _KINDS]
    return sorted(failures, key=lambda issue: (_KINDS.index(issue.kind), signature(issue) in seen_before))


def pack_failures(failures: Sequence[Issue]) -> str:
    """Return failures as `AttemptRow.failures` holds them; an empty text for none."""
    kept = [replace(issue, message=clip(issue.message, MESSAGE_CHARACTERS)) for issue in failures[:WHOLE]]
    kept += [replace(issue, message=clip(issue.message, NAME_CHARACTERS)) for issue in failures[WHOLE:MOST_KEPT]]
    return msgspec.json.encode(kept).decode() if kept else ""


def unpack_failures(row: AttemptRow) -> tuple[Issue, ...]:
    """Return the failures of an attempt that are kept."""
    return msgspec.json.decode(row.failures, type=tuple[Issue, ...]) if row.failures else ()


def known_before(mine: AttemptRow, history: Sequence[AttemptRow]) -> frozenset[str]:
    """Return the signatures of what failed in the result before an attempt: its own earlier attempt, else the build before."""
    own = [row for row in history if row.build == mine.build and row.attempt_no < mine.attempt_no]
    earlier = [row for row in history if row.build != mine.build and _position(row) < _position(mine)]
    before = max(own, key=lambda row: row.attempt_no, default=None) or max(earlier, key=_position, default=None)
    return frozenset(signature(issue) for issue in unpack_failures(before)) if before is not None else frozenset()


def _position(row: AttemptRow) -> tuple[float, float, int, int]:
    built = row.built_at or row.completed_at
    return (row.commit_at or built).timestamp(), built.timestamp(), row.number or -1, row.attempt_no


def flakiness(failure: Issue, history: Sequence[AttemptRow]) -> Flakiness | None:
    """Return how often a failure is among the results of a ref; None unless a commit that had it passed as well."""
    sought = signature(failure)
    having = [row for row in history if any(signature(issue) == sought for issue in unpack_failures(row))]
    commits = {row.commit_sha for row in having if row.commit_sha}
    builds = {row.build for row in having}
    has_passed = any(
        row.conclusion == Conclusion.PASSED.value and (row.commit_sha in commits or row.build in builds)
        for row in history
    )
    return Flakiness(failed=len(having), results=len(history)) if has_passed else None
