"""Buildkite's objects as its REST API and Test Engine write them; `root` is the service's address, as the client wrote it."""

import hashlib
import uuid
from collections.abc import Callable

from playground.ci import job_output
from playground.ci.model import (
    ApprovalKind,
    Artifact,
    Build,
    BuildState,
    IssueKind,
    Job,
    JobState,
    Outcome,
    Person,
    Pipeline,
    Result,
    Source,
    Test,
    iso,
    spaced,
)
from playground.ci.system import JSON

When = Callable[[float | None], str | None]

ORG = "demo"
ORG_UID = "6a0d64a5-7a3a-4a6e-9d33-0f2a5c1b9e10"
SCOPES = (
    "read_user",
    "read_organizations",
    "read_pipelines",
    "read_builds",
    "write_builds",
    "read_build_logs",
    "read_artifacts",
    "read_suites",
    "read_accounts",
    "read_notification_services",
    "write_notification_services",
)
BUILD_STATES = [
    "creating",
    "scheduled",
    "running",
    "passed",
    "failing",
    "failed",
    "blocked",
    "canceling",
    "canceled",
    "skipped",
    "not_run",
    "finished",
]
JOB_STATES = [
    "pending",
    "waiting",
    "waiting_failed",
    "blocked",
    "blocked_failed",
    "unblocked",
    "unblocked_failed",
    "limiting",
    "limited",
    "scheduled",
    "reserved",
    "assigned",
    "accepted",
    "running",
    "finished",
    "passed",
    "failed",
    "canceling",
    "canceled",
    "expired",
    "timing_out",
    "timed_out",
    "skipped",
    "broken",
    "platform_limiting",
    "platform_limited",
]


def access_token_json(user: Person, created_at: float) -> JSON:
    """Return an access token."""
    return {
        "uuid": "f0b3c1de-52a1-4f0e-9d4b-7f1c2a9e6b05",
        "scopes": list(SCOPES),
        "description": "Buildbell playground",
        "created_at": spaced(created_at),
        "expires_at": None,
        "user": {"name": user.name, "email": user.email},
    }


def user_json(person: Person, root: str) -> JSON:
    """Return a person."""
    return {
        "id": person.uid,
        "graphql_id": f"VXNlci0tLQ{person.number}",
        "name": person.name,
        "email": person.email,
        "avatar_url": f"{root}/avatars/{person.login}.png",
        "created_at": "2024-02-01T09:00:00.000Z",
    }


def organization_json(root: str) -> JSON:
    """Return the organization."""
    return {
        "id": ORG_UID,
        "graphql_id": "T3JnYW5pemF0aW9uLS0tZGVtbw",
        "url": f"{root}/v2/organizations/{ORG}",
        "web_url": f"{root}/{ORG}",
        "name": "Demo",
        "slug": ORG,
        "pipelines_url": f"{root}/v2/organizations/{ORG}/pipelines",
        "agents_url": f"{root}/v2/organizations/{ORG}/agents",
        "emojis_url": f"{root}/v2/organizations/{ORG}/emojis",
        "created_at": "2024-02-01T09:00:00.000Z",
    }


def pipeline_json(pipeline: Pipeline, root: str, owner: Person, when: When = iso) -> JSON:
    """Return a pipeline; `when` writes its times, which webhooks write differently."""
    url = f"{root}/v2/organizations/{ORG}/pipelines/{pipeline.path}"
    jobs = [job for build in pipeline.builds if not build.finished for job in build.current]
    return {
        "id": pipeline.uid,
        "graphql_id": f"UGlwZWxpbmUtLS0{pipeline.number}",
        "url": url,
        "web_url": f"{root}/{ORG}/{pipeline.path}",
        "name": pipeline.name,
        "description": None,
        "slug": pipeline.path,
        "repository": f"git@demo.example:{pipeline.repo.slug}.git",
        "branch_configuration": None,
        "default_branch": pipeline.repo.default_branch,
        "provider": {"id": "git", "webhook_url": f"{root}/deliver/{pipeline.path}", "settings": {}},
        "skip_queued_branch_builds": False,
        "cancel_running_branch_builds": False,
        "builds_url": f"{url}/builds",
        "badge_url": f"{root}/badges/{pipeline.path}.svg",
        "created_by": {**user_json(owner, root), "created_at": when(pipeline.created_at)},
        "created_at": spaced(pipeline.created_at),
        "archived_at": None,
        "scheduled_builds_count": sum(build.state is BuildState.QUEUED for build in pipeline.builds),
        "running_builds_count": sum(build.state is BuildState.RUNNING for build in pipeline.builds),
        "scheduled_jobs_count": sum(job.state is JobState.QUEUED for job in jobs),
        "running_jobs_count": sum(job.state is JobState.RUNNING for job in jobs),
        "waiting_jobs_count": sum(job.state is JobState.CREATED for job in jobs),
        "visibility": "private",
        "steps": [{"type": "script", "name": step.name, "command": step.command} for step in pipeline.steps],
        "env": {},
    }


def pipeline_web_path(pipeline: Pipeline) -> str:
    """Return the path of a pipeline's page."""
    return f"/{ORG}/{pipeline.path}"


def web_path(build: Build) -> str:
    """Return the path of a build's page."""
    return f"{pipeline_web_path(build.pipeline)}/builds/{build.number}"


def build_url(root: str, build: Build) -> str:
    """Return a build's address in the API."""
    return f"{root}/v2/organizations/{ORG}/pipelines/{build.pipeline.path}/builds/{build.number}"


def build_json(build: Build, root: str, when: When = iso) -> JSON:
    """Return a build without its jobs and its pipeline; `when` writes its times."""
    origin = build.rebuilt_from
    source = {
        Source.PUSH: "webhook",
        Source.PULL: "webhook",
        Source.SCHEDULE: "schedule",
        Source.WEB: "ui",
        Source.API: "api",
        Source.REBUILD: "api",
    }[build.source]
    return {
        "id": build.uid,
        "graphql_id": f"QnVpbGQtLS0{build.id}",
        "url": build_url(root, build),
        "web_url": f"{root}{web_path(build)}",
        "number": build.number,
        "state": build_state(build),
        "cancel_reason": None,
        "blocked": build.state is BuildState.WAITING,
        "message": build.message,
        "commit": build.commit.sha,
        "branch": build.ref,
        "env": build.env,
        "source": source,
        "creator": {**user_json(build.creator, root), "created_at": when(build.pipeline.created_at)}
        if build.creator
        else None,
        "author": {"name": build.commit.author.name, "email": build.commit.author.email},
        "created_at": when(build.created_at),
        "scheduled_at": when(build.created_at + 0.2),
        "started_at": when(build.started_at),
        "failing_at": when(build.failing_at),
        "finished_at": when(finished_at(build)),
        "meta_data": build.meta,
        "pull_request": {
            "id": str(build.pull.number),
            "base": build.pull.target,
            "repository": f"git://demo.example/{build.pipeline.repo.slug}.git",
        }
        if build.pull
        else None,
        "merge_queue": None,
        "rebuilt_from": {"id": origin.uid, "number": origin.number, "url": build_url(root, origin)} if origin else None,
        "triggered_from": None,
    }


def jobs_json(build: Build, root: str, *, retried: bool) -> list[JSON]:
    """Return a build's jobs in order, with a waiter between stages; with `retried`, replaced jobs too."""
    made: list[JSON] = []
    stages = build.pipeline.stages
    for index, stage in enumerate(stages):
        jobs = [job for job in build.jobs if job.step.stage == stage]
        gated = any(job.step.approval for job in jobs) or (
            index > 0 and any(step.approval for step in build.pipeline.steps if step.stage == stages[index - 1])
        )
        if index and not gated:
            uid = str(uuid.uuid5(uuid.UUID(build.uid), f"wait/{stage}"))
            made.append({"id": uid, "graphql_id": f"Sm9iLS0t{uid[:8]}", "type": "waiter", "state": "passed"})
        made += [job_json(build, job, root) for job in jobs if retried or not job.retried]
    return made


def job_json(build: Build, job: Job, root: str) -> JSON:
    """Return a job: a command's or a block step's."""
    api = f"{build_url(root, build)}/jobs/{job.uid}"
    common: JSON = {"id": job.uid, "graphql_id": f"Sm9iLS0t{job.number}", "state": job_state(job)}
    if job.step.approval is ApprovalKind.INSTANT:
        return {
            **common,
            "type": "manual",
            "label": job.step.name,
            "step_key": None,
            "web_url": None,
            "unblocked_by": user_json(job.decided_by, root) if job.decided_by else None,
            "unblocked_at": iso(job.finished_at) if job.state is JobState.UNBLOCKED else None,
            "unblockable": job.awaits_approval,
            "unblock_url": f"{root}{web_path(build)}#{job.uid}",
        }
    exit_status = {JobState.PASSED: 0, JobState.FAILED: 1, JobState.TIMEOUT: -1, JobState.CANCELED: -1}.get(job.state)
    return {
        **common,
        "type": "script",
        "name": job.step.name,
        "step_key": job.step.command.split()[-1],
        "priority": {"number": 0},
        "agent_query_rules": ["queue=default"],
        "build_url": build_url(root, build),
        "web_url": f"{root}{web_path(build)}#{job.uid}",
        "log_url": f"{api}/log",
        "raw_log_url": f"{api}/log.txt",
        "artifacts_url": f"{api}/artifacts",
        "command": job.step.command,
        "soft_failed": job.soft_failed,
        "exit_status": -1 if job.reason == "infrastructure" else exit_status,
        "signal": None,
        "signal_reason": "agent_lost" if job.reason == "infrastructure" else None,
        "broken_reason": None,
        "artifact_paths": ",".join(job.step.artifacts) or None,
        "agent": {"id": ORG_UID, "name": "demo-agent-1", "hostname": "localhost", "connection_state": "connected"}
        if job.started_at
        else None,
        "created_at": iso(job.created_at),
        "scheduled_at": iso(job.created_at),
        "runnable_at": iso(job.queued_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "expired_at": None,
        "retried": job.retried,
        "retried_in_job_id": job.retried_in,
        "retries_count": job.attempt - 1 or None,
        "retry_source": {"job_id": job.retry_of, "retry_type": "manual"} if job.retry_of else None,
        "retry_type": "manual" if job.retried else None,
        "retried_by": user_json(job.retried_by, root) if job.retried_by else None,
        "parallel_group_index": None,
        "parallel_group_total": None,
        "matrix": None,
        "cluster_id": None,
        "cluster_queue_id": None,
    }


def annotation_json(build: Build, context: str, style: str, body: str) -> JSON:
    """Return an annotation of a build."""
    return {
        "id": str(uuid.uuid5(uuid.UUID(build.uid), context)),
        "context": context,
        "style": style,
        "scope": "build",
        "job_id": None,
        "priority": 3,
        "created_at": iso(build.updated_at),
        "updated_at": iso(build.updated_at),
        "body_html": f"<p>{body}</p>",
    }


def annotations_json(build: Build) -> list[JSON]:
    """Return a build's annotations: one of lint warnings, one of failed tests, where it has them."""
    made = []
    warnings = build.count(IssueKind.WARNING)
    failed = sum(test.outcome == "failed" for _, test in build.tests())
    if warnings and build.outcome is Outcome.WARNINGS:
        made.append(annotation_json(build, "eslint", "warning", f"{warnings} warnings"))
    if failed:
        made.append(annotation_json(build, "tests", "error", f"{failed} failed tests"))
    return made


def artifact_json(build: Build, job: Job, artifact: Artifact, root: str) -> JSON:
    """Return an artifact of a job."""
    url = f"{build_url(root, build)}/jobs/{job.uid}/artifacts/{artifact.uid}"
    folder, _, name = artifact.path.rpartition("/")
    return {
        "id": artifact.uid,
        "job_id": job.uid,
        "url": url,
        "download_url": f"{url}/download",
        "state": "finished",
        "path": artifact.path,
        "dirname": folder,
        "filename": name,
        "mime_type": artifact.mime,
        "file_size": len(artifact.content),
        "glob_path": None,
        "original_path": None,
        "sha1sum": hashlib.sha1(artifact.content, usedforsecurity=False).hexdigest(),
    }


def test_json(build: Build, test: Test, root: str) -> JSON:
    """Return a test of a build, as Test Engine lists it."""
    path = f"organizations/{ORG}/suites/{build.pipeline.path}/tests/{test.uid}"
    return {
        "id": test.uid,
        "url": f"{root}/v2/analytics/{path}",
        "web_url": f"{root}/{path}",
        "scope": test.class_name,
        "name": test.name,
        "location": f"./{test.file}:{test.line}",
        "file_name": f"./{test.file}",
        "labels": [],
        "reliability": 0.71 if test.outcome == "failed" else 0.99,
        "duration_avg": test.seconds,
        "duration_sum": test.seconds,
        "duration_min": test.seconds,
        "duration_max": test.seconds,
        "executions_count": 1,
        "executions_count_by_result": {test.outcome: 1},
    }


def suite_run_json(build: Build, root: str) -> JSON:
    """Return a run of a test suite: what a build ran of it."""
    failed = any(test.outcome == "failed" for _, test in build.tests())
    suite = f"{root}/v2/analytics/organizations/{ORG}/suites/{build.pipeline.path}"
    return {
        "id": run_uid(build),
        "branch": build.ref,
        "commit_sha": build.commit.sha,
        "state": "finished" if build.finished else "running",
        "result": "failed" if failed else "passed",
        "url": f"{suite}/runs/{run_uid(build)}",
        "web_url": f"{root}{web_path(build)}",
        "build_id": build.uid,
        "created_at": iso(build.created_at),
    }


def failed_execution_json(build: Build, job: Job, test: Test, root: str) -> JSON:
    """Return a failed execution of a test in a run."""
    run = f"{root}/organizations/{ORG}/analytics/suites/{build.pipeline.path}/runs/{run_uid(build)}"
    return {
        "execution_id": str(uuid.uuid5(uuid.UUID(build.uid), test.uid)),
        "run_id": run_uid(build),
        "test_id": test.uid,
        "run_name": run_uid(build),
        "commit_sha": build.commit.sha,
        "created_at": iso(job.finished_at),
        "branch": build.ref,
        "failure_reason": test.message,
        "duration": test.seconds,
        "location": f"./{test.file}:{test.line}",
        "test_name": f"{test.class_name} {test.name}",
        "run_url": run,
        "test_url": f"{run}/tests/{test.uid}",
        "test_execution_url": f"{run}/tests/{test.uid}?execution",
        "tags": {"language.name": build.pipeline.language},
    }


def build_state(build: Build) -> str:
    """Return a build's state in Buildkite's words."""
    match build.state:
        case BuildState.QUEUED:
            return "scheduled"
        case BuildState.RUNNING:
            return "canceling" if build.canceling else "failing" if build.failing_at else "running"
        case BuildState.WAITING:
            # A blocked build keeps the word it would have without the approval; `blocked` tells.
            return "passed"
        case BuildState.FINISHED:
            return {Result.PASSED: "passed", Result.CANCELED: "canceled"}.get(build.result or Result.FAILED, "failed")


def finished_at(build: Build) -> float | None:
    """Return when a build came to its end, or to an approval: Buildkite calls both finished."""
    return build.updated_at if build.state is BuildState.WAITING else build.finished_at if build.finished else None


def job_state(job: Job) -> str:
    """Return a job's state in Buildkite's words."""
    approval = job.step.approval is not None
    match job.state:
        case JobState.CREATED:
            return "blocked" if approval and job.awaits_approval else "waiting"
        case JobState.QUEUED:
            return "scheduled"
        case JobState.RUNNING:
            return "canceling" if job.canceling else "running"
        case JobState.TIMEOUT:
            return "timed_out"
        case JobState.SKIPPED:
            return "blocked_failed" if approval else "waiting_failed"
        case JobState.MANUAL:
            return "blocked"
        case JobState.PASSED | JobState.FAILED | JobState.CANCELED | JobState.UNBLOCKED:
            return job.state.value


def run_uid(build: Build) -> str:
    """Return the id of a build's test run."""
    return str(uuid.uuid5(uuid.UUID(build.uid), "run"))


def log_text(build: Build, job: Job, now: float) -> str:
    """Return a job's log as far as it is written, with the time of each line."""
    written = []
    start = job.started_at or 0.0
    end = job.finished_at or job.ends_at or now
    for line in job_output.visible(build, job, now):
        at = round((start + line.share * (end - start)) * 1000)
        text = f"~~~ {line.text}" if line.kind == "section" else line.coloured
        written.append(f"\x1b_bk;t={at}\x07{text}\r\n")
    return "".join(written)
