"""What a provider may be able to do, and the words for it."""

from collections.abc import Mapping
from enum import StrEnum


class Capability(StrEnum):
    """What a system may be able to do beyond listing and reading its builds."""

    REFS = "refs"
    PARAMETERS = "parameters"
    START = "start"
    CANCEL = "cancel"
    REBUILD = "rebuild"
    RETRY_ALL = "retry_all"
    RETRY_FAILED = "retry_failed"
    RETRY_JOB = "retry_job"
    ERASE = "erase"
    ERASE_JOB = "erase_job"
    JOBS = "jobs"
    LOG = "log"
    LIVE_LOG = "live_log"
    ARTIFACTS = "artifacts"
    DOWNLOAD = "download"
    TESTS = "tests"
    ISSUES = "issues"
    COUNTS = "counts"
    UPLOADS = "uploads"
    COMMITS = "commits"
    APPROVALS = "approvals"
    DECIDE = "decide"
    REJECT = "reject"
    PIPELINE_ADMIN = "pipeline_admin"
    WEBHOOK = "webhook"
    ACCOUNT_POLL = "account_poll"


OVERRIDES: Mapping[Capability, str] = {
    Capability.REFS: "refs",
    Capability.PARAMETERS: "parameters",
    Capability.START: "start",
    Capability.CANCEL: "cancel",
    Capability.REBUILD: "rebuild",
    Capability.RETRY_ALL: "retry",
    Capability.RETRY_FAILED: "retry",
    Capability.RETRY_JOB: "retry",
    Capability.ERASE: "erase",
    Capability.ERASE_JOB: "erase_job",
    Capability.JOBS: "jobs",
    Capability.LOG: "log",
    Capability.LIVE_LOG: "log",
    Capability.ARTIFACTS: "artifacts",
    Capability.DOWNLOAD: "download",
    Capability.TESTS: "tests",
    Capability.ISSUES: "issues",
    Capability.COUNTS: "counts",
    Capability.UPLOADS: "uploads",
    Capability.COMMITS: "commits",
    Capability.APPROVALS: "approvals",
    Capability.DECIDE: "decide",
    Capability.REJECT: "decide",
    Capability.PIPELINE_ADMIN: "pipeline_admin",
    Capability.WEBHOOK: "parse_webhook",
    Capability.ACCOUNT_POLL: "changes",
}
"""The method an adapter overrides for each capability; the contract test holds both to each other."""


ABILITIES: Mapping[Capability, str] = {
    Capability.REFS: "list branches and tags",
    Capability.PARAMETERS: "tell which parameters a build takes",
    Capability.START: "start a build",
    Capability.CANCEL: "cancel a build",
    Capability.REBUILD: "build the same again",
    Capability.RETRY_ALL: "run all of a build's jobs again",
    Capability.RETRY_FAILED: "run only the failed jobs again",
    Capability.RETRY_JOB: "run one job again",
    Capability.ERASE: "erase a build's logs and artifacts",
    Capability.ERASE_JOB: "erase the log and artifacts of one job",
    Capability.JOBS: "list a build's jobs",
    Capability.LOG: "show logs",
    Capability.LIVE_LOG: "show logs while a job runs",
    Capability.ARTIFACTS: "list artifacts",
    Capability.DOWNLOAD: "hand out artifacts",
    Capability.TESTS: "list tests",
    Capability.ISSUES: "list issues",
    Capability.COUNTS: "count issues",
    Capability.UPLOADS: "tell what a build handed to an app store",
    Capability.COMMITS: "compare two commits",
    Capability.APPROVALS: "list steps that wait for a person",
    Capability.DECIDE: "approve a waiting step",
    Capability.REJECT: "reject a waiting step",
    Capability.PIPELINE_ADMIN: "manage pipelines",
    Capability.WEBHOOK: "send webhooks",
    Capability.ACCOUNT_POLL: "list the builds of a whole account",
}


SAME_REASON: Mapping[Capability, Capability] = {Capability.ERASE_JOB: Capability.ERASE}
"""Capabilities that are refused in another one's words where a provider has none for them."""
