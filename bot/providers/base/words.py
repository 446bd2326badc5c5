"""Words for states and causes that two adapters read: the system's own, and Truto's, which passes them on."""

from collections.abc import Mapping

from bot.core.models import Conclusion, Status, Trigger
from bot.providers.base.convert import StateMap

AZURE_STATES: StateMap = {
    "none": (Status.QUEUED, None),
    "notStarted": (Status.QUEUED, None),
    "postponed": (Status.QUEUED, None),
    "inProgress": (Status.IN_PROGRESS, None),
    "cancelling": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "succeeded": (Status.COMPLETED, Conclusion.PASSED),
    "partiallySucceeded": (Status.COMPLETED, Conclusion.PARTIAL),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
}
"""The statuses of a build, and the results of a completed one."""
AZURE_RECORD_STATES: StateMap = {
    "pending": (Status.QUEUED, None),
    "inProgress": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "succeeded": (Status.COMPLETED, Conclusion.PASSED),
    "succeededWithIssues": (Status.COMPLETED, Conclusion.PARTIAL),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "abandoned": (Status.COMPLETED, Conclusion.CANCELLED),
}
AZURE_TRIGGERS: Mapping[str, Trigger] = {
    "individualci": Trigger.PUSH,
    "batchedci": Trigger.PUSH,
    "checkinshelveset": Trigger.PUSH,
    "pullrequest": Trigger.MERGE_REQUEST,
    "validateshelveset": Trigger.MERGE_REQUEST,
    "schedule": Trigger.CRON,
    "scheduleforced": Trigger.CRON,
    "manual": Trigger.WEB,
    "usercreated": Trigger.WEB,
    "buildcompletion": Trigger.API,
    "resourcetrigger": Trigger.API,
    "triggered": Trigger.API,
}
BITBUCKET_STATES: StateMap = {
    "PARSING": (Status.QUEUED, None),
    "PENDING": (Status.QUEUED, None),
    "IN_PROGRESS": (Status.IN_PROGRESS, None),
    "RUNNING": (Status.IN_PROGRESS, None),
    "BUILDING": (Status.IN_PROGRESS, None),
    "PAUSED": (Status.IN_PROGRESS, None),
    "HALTED": (Status.IN_PROGRESS, None),
    "COMPLETED": (Status.COMPLETED, None),
    "SUCCESSFUL": (Status.COMPLETED, Conclusion.PASSED),
    "FAILED": (Status.COMPLETED, Conclusion.FAILED),
    "ERROR": (Status.COMPLETED, Conclusion.FAILED),
    "STOPPED": (Status.COMPLETED, Conclusion.CANCELLED),
    # a manual step that nobody ran in time
    "EXPIRED": (Status.COMPLETED, Conclusion.TIMEOUT),
    # spellings that clients guard against
    "PASSED": (Status.COMPLETED, Conclusion.PASSED),
    "SUCCEEDED": (Status.COMPLETED, Conclusion.PASSED),
    "CANCELLED": (Status.COMPLETED, Conclusion.CANCELLED),
}
BITBUCKET_STEP_STATES: StateMap = {
    **BITBUCKET_STATES,
    "READY": (Status.QUEUED, None),
    "PAUSED": (Status.QUEUED, None),
    "HALTED": (Status.QUEUED, None),
    "STARTING_AGENT": (Status.IN_PROGRESS, None),
    "CLONING": (Status.IN_PROGRESS, None),
    "PULLING_IMAGES": (Status.IN_PROGRESS, None),
    "DOWNLOADING_CACHES": (Status.IN_PROGRESS, None),
    "DOWNLOADING_ARTIFACTS": (Status.IN_PROGRESS, None),
    "PARSING_TEST_RESULTS": (Status.IN_PROGRESS, None),
    "UPLOADING_CACHES": (Status.IN_PROGRESS, None),
    "UPLOADING_ARTIFACTS": (Status.IN_PROGRESS, None),
    "COMPLETING_LOGS": (Status.IN_PROGRESS, None),
    "NOT_RUN": (Status.COMPLETED, Conclusion.SKIPPED),
    "SKIPPED": (Status.COMPLETED, Conclusion.SKIPPED),
    "SYSTEM_ERROR": (Status.COMPLETED, Conclusion.FAILED),
    "USER_ERROR": (Status.COMPLETED, Conclusion.FAILED),
}
BITBUCKET_TRIGGERS: Mapping[str, Trigger] = {
    "PUSH": Trigger.PUSH,
    "MANUAL": Trigger.WEB,
    "SCHEDULE": Trigger.CRON,
    "SCHEDULED": Trigger.CRON,
    "PARENT_STEP": Trigger.API,
}
CIRCLECI_STATES: StateMap = {
    # a pipeline's own
    "setup-pending": (Status.QUEUED, None),
    "setup": (Status.IN_PROGRESS, None),
    "pending": (Status.QUEUED, None),
    "created": (Status.QUEUED, None),
    "errored": (Status.COMPLETED, Conclusion.FAILED),
    # its workflows'
    "queued": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "error": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
}
CIRCLECI_JOB_STATES: StateMap = {
    "blocked": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "not_running": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "infrastructure_fail": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "terminated-unknown": (Status.COMPLETED, Conclusion.FAILED),
    "timedout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
    "retried": (Status.COMPLETED, Conclusion.RETRIED),
}
CIRCLECI_TRIGGERS: Mapping[str, Trigger] = {
    "api": Trigger.API,
    "scheduled_pipeline": Trigger.CRON,
    "schedule": Trigger.CRON,
    "explicit": Trigger.WEB,
}
GITHUB_STATES: StateMap = {
    "requested": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "pending": (Status.QUEUED, None),
    "waiting": (Status.IN_PROGRESS, None),
    "in_progress": (Status.IN_PROGRESS, None),
    # a run of a fork's pull request that nobody has let in: it reads completed, and nothing of it has run
    "action_required": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "neutral": (Status.COMPLETED, Conclusion.PASSED),
    "failure": (Status.COMPLETED, Conclusion.FAILED),
    "startup_failure": (Status.COMPLETED, Conclusion.FAILED),
    "timed_out": (Status.COMPLETED, Conclusion.TIMEOUT),
    "cancelled": (Status.COMPLETED, Conclusion.CANCELLED),
    "stale": (Status.COMPLETED, Conclusion.CANCELLED),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
}
GITHUB_TRIGGERS: Mapping[str, Trigger] = {
    "push": Trigger.PUSH,
    "create": Trigger.PUSH,
    "delete": Trigger.PUSH,
    "release": Trigger.PUSH,
    "page_build": Trigger.PUSH,
    "pull_request": Trigger.MERGE_REQUEST,
    "pull_request_target": Trigger.MERGE_REQUEST,
    "pull_request_review": Trigger.MERGE_REQUEST,
    "pull_request_review_comment": Trigger.MERGE_REQUEST,
    "merge_group": Trigger.MERGE_REQUEST,
    "schedule": Trigger.CRON,
    "repository_dispatch": Trigger.API,
    "workflow_run": Trigger.API,
    "workflow_call": Trigger.API,
    "deployment": Trigger.API,
    "deployment_status": Trigger.API,
    "check_run": Trigger.API,
    "check_suite": Trigger.API,
    "status": Trigger.API,
}
JENKINS_STATES: StateMap = {
    "QUEUED": (Status.QUEUED, None),
    "BUILDING": (Status.IN_PROGRESS, None),
    "SUCCESS": (Status.COMPLETED, Conclusion.PASSED),
    "UNSTABLE": (Status.COMPLETED, Conclusion.PARTIAL),
    "FAILURE": (Status.COMPLETED, Conclusion.FAILED),
    "ABORTED": (Status.COMPLETED, Conclusion.CANCELLED),
    "NOT_BUILT": (Status.COMPLETED, Conclusion.SKIPPED),
    "CANCELLED": (Status.COMPLETED, Conclusion.CANCELLED),
}
"""Jenkins' results, and our words for what has none: an item in the queue or taken out of it, a running build."""
JENKINS_TRIGGERS: Mapping[str, Trigger] = {
    "UserIdCause": Trigger.WEB,
    "UserCause": Trigger.WEB,
    "ReplayCause": Trigger.WEB,
    "RestartDeclarativePipelineCause": Trigger.WEB,
    "RebuildCause": Trigger.WEB,
    "RemoteCause": Trigger.API,
    "UpstreamCause": Trigger.API,
    "BuildUpstreamCause": Trigger.API,
    "TimerTriggerCause": Trigger.CRON,
    "SCMTriggerCause": Trigger.PUSH,
    "GitHubPushCause": Trigger.PUSH,
    "GitLabWebHookCause": Trigger.PUSH,
    "BranchEventCause": Trigger.PUSH,
    "BranchIndexingCause": Trigger.PUSH,
}
TRAVIS_STATES: StateMap = {
    "created": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "received": (Status.QUEUED, None),
    "configured": (Status.IN_PROGRESS, None),
    "started": (Status.IN_PROGRESS, None),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    # a problem before the script, or a timeout, for which Travis has no word
    "errored": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "finished": (Status.COMPLETED, None),
}
TRAVIS_TRIGGERS: Mapping[str, Trigger] = {
    "push": Trigger.PUSH,
    "pull_request": Trigger.MERGE_REQUEST,
    "api": Trigger.API,
    "cron": Trigger.CRON,
}
