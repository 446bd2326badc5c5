"""How builds begin, what state they are in, and how they end."""

from enum import StrEnum


class Status(StrEnum):
    """How far a build or a job has come."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """How a completed build or job ended. `None` beside COMPLETED: in a word we do not know."""

    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    RETRIED = "retried"
    PARTIAL = "partial"

    @property
    def is_red(self) -> bool:
        """Whether somebody has to mend something."""
        return self in {Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.PARTIAL}


NO_RESULT = frozenset({Conclusion.CANCELLED, Conclusion.SKIPPED, Conclusion.RETRIED})
"""How a build ends without a result: it says nothing about the code."""


SHORT_KINDS = {
    "gh": "github_actions",
    "github": "github_actions",
    "gl": "gitlab",
    "bk": "buildkite",
    "xc": "xcode_cloud",
    "az": "azure_devops",
    "bb": "bitbucket",
    "cc": "circleci",
}
"""Short names of kinds of CI systems that people may type: `bk:web`, `me handle gh:ana`."""


class Trigger(StrEnum):
    """What made a build start."""

    PUSH = "push"
    MERGE_REQUEST = "merge_request"
    API = "api"
    CRON = "cron"
    WEB = "web"
    UNKNOWN = "unknown"


class Starter(StrEnum):
    """Whether a person or a machine started a build."""

    USER = "user"
    BOT = "bot"
