"""What the bot talks about: builds and their parts, free of any CI system's words.

Every field but a key may be unknown. Unknown is `None`, never zero and never a guess.
"""

from bot.core.models.builds import ISSUE_COUNTS, Build, BuildKey, Commit, IssueCounts, Job, Person
from bot.core.models.listings import (
    Account,
    BuildFilter,
    Changes,
    FilterField,
    Page,
    Pipeline,
    Scope,
    Watched,
    WebhookEvent,
)
from bot.core.models.refs import Ref, RefKind, is_sha, parse_ref, spoken
from bot.core.models.results import Artifact, Issue, IssueKind, Log, Outcome, TestCase
from bot.core.models.starts import Approval, Parameter, ParameterType, StartRequest, StartTarget
from bot.core.models.states import NO_RESULT, SHORT_KINDS, Conclusion, Starter, Status, Trigger
from bot.core.models.transitions import Change, Transition

__all__ = [
    "ISSUE_COUNTS",
    "NO_RESULT",
    "SHORT_KINDS",
    "Account",
    "Approval",
    "Artifact",
    "Build",
    "BuildFilter",
    "BuildKey",
    "Change",
    "Changes",
    "Commit",
    "Conclusion",
    "FilterField",
    "Issue",
    "IssueCounts",
    "IssueKind",
    "Job",
    "Log",
    "Outcome",
    "Page",
    "Parameter",
    "ParameterType",
    "Person",
    "Pipeline",
    "Ref",
    "RefKind",
    "Scope",
    "StartRequest",
    "StartTarget",
    "Starter",
    "Status",
    "TestCase",
    "Transition",
    "Trigger",
    "Watched",
    "WebhookEvent",
    "is_sha",
    "parse_ref",
    "spoken",
]
