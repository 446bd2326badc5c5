"""State and trigger words: Truto's own, and those of the systems beneath, which it hands on where it knows no word."""

from collections.abc import Mapping

from bot.core.models import Conclusion, Status, Trigger
from bot.providers.base.convert import StateMap
from bot.providers.truto.integrations import Integration

_UNIFIED: StateMap = {
    "queued": (Status.QUEUED, None),
    "in_progress": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "cancelled": (Status.COMPLETED, Conclusion.CANCELLED),
    "timeout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "retried": (Status.COMPLETED, Conclusion.RETRIED),
    "partial": (Status.COMPLETED, Conclusion.PARTIAL),
}
_AZURE: StateMap = {
    "none": (Status.QUEUED, None),
    "notStarted": (Status.QUEUED, None),
    "postponed": (Status.QUEUED, None),
    "pending": (Status.QUEUED, None),
    "inProgress": (Status.IN_PROGRESS, None),
    "cancelling": (Status.IN_PROGRESS, None),
    "succeeded": (Status.COMPLETED, Conclusion.PASSED),
    "succeededWithIssues": (Status.COMPLETED, Conclusion.PARTIAL),
    "partiallySucceeded": (Status.COMPLETED, Conclusion.PARTIAL),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "abandoned": (Status.COMPLETED, Conclusion.CANCELLED),
}
_BITBUCKET: StateMap = {
    "PARSING": (Status.QUEUED, None),
    "PENDING": (Status.QUEUED, None),
    "READY": (Status.QUEUED, None),
    "IN_PROGRESS": (Status.IN_PROGRESS, None),
    "BUILDING": (Status.IN_PROGRESS, None),
    "RUNNING": (Status.IN_PROGRESS, None),
    "PAUSED": (Status.IN_PROGRESS, None),
    "HALTED": (Status.IN_PROGRESS, None),
    "COMPLETED": (Status.COMPLETED, None),
    "SUCCESSFUL": (Status.COMPLETED, Conclusion.PASSED),
    "FAILED": (Status.COMPLETED, Conclusion.FAILED),
    "ERROR": (Status.COMPLETED, Conclusion.FAILED),
    "STOPPED": (Status.COMPLETED, Conclusion.CANCELLED),
    "EXPIRED": (Status.COMPLETED, Conclusion.TIMEOUT),
    "NOT_RUN": (Status.COMPLETED, Conclusion.SKIPPED),
}
_CIRCLECI: StateMap = {
    "setup-pending": (Status.QUEUED, None),
    "setup": (Status.IN_PROGRESS, None),
    "created": (Status.QUEUED, None),
    "errored": (Status.COMPLETED, Conclusion.FAILED),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "error": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "infrastructure_fail": (Status.COMPLETED, Conclusion.FAILED),
    "terminated-unknown": (Status.COMPLETED, Conclusion.FAILED),
    "timedout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
    "not_running": (Status.QUEUED, None),
    "blocked": (Status.QUEUED, None),
}
_GITHUB: StateMap = {
    "requested": (Status.QUEUED, None),
    "waiting": (Status.IN_PROGRESS, None),
    # not an end: nothing ran, and somebody has to let it
    "action_required": (Status.IN_PROGRESS, None),
    "neutral": (Status.COMPLETED, Conclusion.PASSED),
    "failure": (Status.COMPLETED, Conclusion.FAILED),
    "startup_failure": (Status.COMPLETED, Conclusion.FAILED),
    "timed_out": (Status.COMPLETED, Conclusion.TIMEOUT),
    "stale": (Status.COMPLETED, Conclusion.CANCELLED),
}
_JENKINS: StateMap = {
    "SUCCESS": (Status.COMPLETED, Conclusion.PASSED),
    "UNSTABLE": (Status.COMPLETED, Conclusion.PARTIAL),
    "FAILURE": (Status.COMPLETED, Conclusion.FAILED),
    "ABORTED": (Status.COMPLETED, Conclusion.CANCELLED),
    "NOT_BUILT": (Status.COMPLETED, Conclusion.SKIPPED),
}
_TRAVIS: StateMap = {
    "received": (Status.QUEUED, None),
    "started": (Status.IN_PROGRESS, None),
}
STATES: StateMap = {**_AZURE, **_BITBUCKET, **_CIRCLECI, **_GITHUB, **_JENKINS, **_TRAVIS, **_UNIFIED}
"""Words that several systems share mean the same in all of them."""

WAITING = frozenset({"waiting", "action_required", "on_hold", "paused", "halted"})
"""The words that say that a person has to act (lower case)."""
SET_UP = "created"
"""CircleCI's word for a pipeline that was set up, whatever became of its workflows since."""

TRIGGERS: Mapping[str, Trigger] = {
    **{one.value: one for one in Trigger},
    # GitHub's events
    **dict.fromkeys(("create", "delete", "release", "page_build"), Trigger.PUSH),
    **dict.fromkeys(
        ("pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment", "merge_group"),
        Trigger.MERGE_REQUEST,
    ),
    **dict.fromkeys(
        ("repository_dispatch", "workflow_run", "workflow_call", "deployment", "deployment_status", "check_run"),
        Trigger.API,
    ),
    **dict.fromkeys(("check_suite", "status"), Trigger.API),
    "schedule": Trigger.CRON,
    "workflow_dispatch": Trigger.WEB,
    # Azure DevOps' reasons
    **dict.fromkeys(("individualci", "batchedci", "checkinshelveset"), Trigger.PUSH),
    **dict.fromkeys(("pullrequest", "validateshelveset"), Trigger.MERGE_REQUEST),
    **dict.fromkeys(("buildcompletion", "resourcetrigger", "triggered"), Trigger.API),
    **dict.fromkeys(("manual", "usercreated"), Trigger.WEB),
    "scheduleforced": Trigger.CRON,
    # Bitbucket's names and types
    **dict.fromkeys(("scheduled", "pipeline_trigger_schedule"), Trigger.CRON),
    "pipeline_trigger_push": Trigger.PUSH,
    "pipeline_trigger_manual": Trigger.WEB,
    "parent_step": Trigger.API,
    # CircleCI's types
    "webhook": Trigger.PUSH,
    "scheduled_pipeline": Trigger.CRON,
    "explicit": Trigger.WEB,
    # Jenkins' causes
    **dict.fromkeys(("scmtriggercause", "githubpushcause", "brancheventcause", "branchindexingcause"), Trigger.PUSH),
    **dict.fromkeys(("remotecause", "upstreamcause"), Trigger.API),
    **dict.fromkeys(("useridcause", "replaycause", "restartdeclarativepipelinecause"), Trigger.WEB),
    "timertriggercause": Trigger.CRON,
}
"""What made a build start, by the last part of the word in lower case."""

REMOTE: Mapping[Integration, Mapping[str, tuple[str, ...]]] = {
    Integration.AZURE: {
        "status": ("status",),
        "conclusion": ("result",),
        "branch": ("sourceBranch",),
        "commit": ("sourceVersion",),
        "name": ("definition.name", "buildNumber"),
        "workflow": ("definition.name",),
        "repo": ("repository.name", "repository.id"),
        "created_at": ("queueTime",),
        "started_at": ("startTime",),
        "completed_at": ("finishTime",),
        "trigger": ("reason",),
        "triggered_by": ("requestedFor.displayName",),
        "message": ("triggerInfo.ci.message",),
        "web_url": ("_links.web.href",),
    },
    Integration.BITBUCKET: {
        "status": ("state.name",),
        "stage": ("state.stage.name",),
        "conclusion": ("state.result.name",),
        "number": ("build_number",),
        "branch": ("target.source",),
        "commit": ("target.commit.hash",),
        "tag": ("target.ref_name",),
        "pull_request": ("target.pullrequest.id",),
        "target_branch": ("target.destination",),
        "name": ("target.selector.pattern",),
        "repo": ("repository.full_name",),
        "message": ("target.commit.message",),
        "created_at": ("created_on",),
        "completed_at": ("completed_on",),
        "trigger": ("trigger.name",),
        "triggered_by": ("creator.display_name",),
    },
    Integration.CIRCLECI: {
        "status": ("state",),
        "number": ("number",),
        "branch": ("vcs.branch",),
        "tag": ("vcs.tag",),
        "pull_request": ("vcs.review_id",),
        "commit": ("vcs.revision",),
        "message": ("vcs.commit.subject",),
        "created_at": ("created_at",),
        "updated_at": ("updated_at",),
        "trigger": ("trigger.type",),
        "triggered_by": ("trigger.actor.login",),
    },
    Integration.GITHUB: {
        "status": ("status",),
        "conclusion": ("conclusion",),
        "number": ("run_number",),
        "branch": ("head_branch",),
        "commit": ("head_sha",),
        "name": ("name",),
        "repo": ("repository.full_name",),
        "message": ("head_commit.message", "display_title"),
        "author": ("head_commit.author.name",),
        "email": ("head_commit.author.email",),
        "created_at": ("created_at",),
        "started_at": ("run_started_at",),
        "updated_at": ("updated_at",),
        "trigger": ("event",),
        "triggered_by": ("triggering_actor.login", "actor.login"),
        "web_url": ("html_url",),
    },
    Integration.JENKINS: {
        "conclusion": ("result",),
        "number": ("number",),
        "name": ("fullDisplayName", "displayName"),
        "started_at": ("timestamp",),
        "web_url": ("url",),
    },
    Integration.TRAVIS: {
        "status": ("state",),
        "number": ("number",),
        "branch": ("branch.name",),
        "tag": ("tag.name",),
        "pull_request": ("pull_request_number",),
        "commit": ("commit.sha",),
        "message": ("commit.message",),
        "author": ("commit.author.name",),
        "repo": ("repository.slug",),
        "started_at": ("started_at",),
        "completed_at": ("finished_at",),
        "updated_at": ("updated_at",),
        "trigger": ("event_type",),
        "triggered_by": ("created_by.login",),
    },
}
"""Where `remote_data` says what the unified fields leave out: members separated by dots, the best one first."""
