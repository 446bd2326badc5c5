"""What a build leaves behind: issues, test cases, artifacts and logs."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.models.cleaning import clean_fields
from bot.core.text import clean_message, clean_name, step_name


class IssueKind(StrEnum):
    """The four kinds of issues a build reports."""

    ERROR = "error"
    WARNING = "warning"
    ANALYZER_WARNING = "analyzer_warning"
    TEST_FAILURE = "test_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One error, warning or failed test of a build."""

    kind: IssueKind
    message: str
    job: str | None = None
    file: str | None = None
    line: int | None = None
    url: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, clean_message, "message")
        clean_fields(self, step_name, "job")
        clean_fields(self, clean_name, "file", "category")


class Outcome(StrEnum):
    """How one test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """One test of a build. `seconds` is its duration, `detail` where it ran (device, job, suite)."""

    __test__ = False

    name: str
    outcome: Outcome
    class_name: str | None = None
    detail: str | None = None
    seconds: float | None = None
    message: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, clean_name, "name", "class_name", "file")
        clean_fields(self, step_name, "detail")
        clean_fields(self, clean_message, "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a build left. `kind` is the vendor's word; `url` only where a person's browser may open it."""

    id: str
    build: str
    pipeline: str
    name: str
    job: str | None = None
    size_bytes: int | None = None
    kind: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, clean_name, "name", "job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The end of a job's log, oldest line first, cleaned of colours. `truncated` says that there is more above."""

    text: str
    truncated: bool = False
    job: str | None = None
    url: str | None = None
