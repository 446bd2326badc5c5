"""CircleCI's objects as its API writes them; `root` is the server's address as the client wrote it."""

import json
import uuid

from playground.ci.attempts import Attempt, attempt
from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Job,
    JobState,
    Person,
    Pipeline,
    Result,
    Source,
    iso,
    stamp,
)
from playground.ci.system import JSON

ORGANIZATION = "acme"
ORGANIZATION_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://circleci.com/gh/{ORGANIZATION}"))
WORKFLOW = "build-and-test"
TRIGGERS = {
    Source.PUSH: "webhook",
    Source.PULL: "webhook",
    Source.SCHEDULE: "scheduled_pipeline",
    Source.API: "api",
    Source.WEB: "api",
    Source.REBUILD: "api",
}
WORKFLOW_RESULTS = {
    Result.PASSED: "success",
    Result.FAILED: "failed",
    Result.TIMEOUT: "failed",
    Result.CANCELED: "canceled",
}
JOB_STATES = {
    JobState.CREATED: "blocked",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.PASSED: "success",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
    JobState.TIMEOUT: "timedout",
    JobState.SKIPPED: "not_run",
    JobState.MANUAL: "on_hold",
    JobState.UNBLOCKED: "success",
}


def user(person: Person) -> JSON:
    """Return a person."""
    return {"id": person.uid, "login": person.login, "name": person.name}


def project(pipeline: Pipeline, root: str) -> JSON:
    """Return a project."""
    repo = pipeline.repo
    return {
        "id": repo.uid,
        "slug": pipeline.path,
        "name": repo.name,
        "organization_name": repo.owner,
        "organization_slug": f"gh/{repo.owner}",
        "organization_id": ORGANIZATION_ID,
        "vcs_info": {
            "vcs_url": f"{root}/{repo.slug}",
            "provider": "GitHub",
            "default_branch": repo.default_branch,
        },
    }


def pipeline_run(build: Build, actor: Person, root: str, *, is_set_up: bool) -> JSON:
    """Return a pipeline: a build without its workflows."""
    commit, at = build.commit, stamp(build.created_at)
    url = f"{root}/{build.pipeline.repo.slug}"
    vcs: JSON = {
        "provider_name": "GitHub",
        "target_repository_url": url,
        "origin_repository_url": url,
        "revision": commit.sha,
        "commit": {"subject": commit.title, "body": ""},
    }
    vcs |= {"tag": build.tag} if build.tag else {"branch": build.branch or ""}
    if build.pull:
        vcs |= {"review_id": str(build.pull.number), "review_url": f"{url}/pull/{build.pull.number}"}
    return {
        "id": build.uid,
        "errors": [],
        "project_slug": build.pipeline.path,
        "created_at": at,
        "updated_at": at,
        "number": build.number,
        "state": "created" if is_set_up else "pending",
        "trigger": {
            "type": TRIGGERS[build.source],
            "received_at": at,
            "actor": {"login": actor.login, "avatar_url": ""},
        },
        "vcs": vcs,
    }


def workflow_id(each: Attempt) -> str:
    """Return the id of the workflow that an attempt is."""
    return str(uuid.uuid5(uuid.UUID(each.build.uid), f"workflow/{each.number}"))


def _workflow_status(each: Attempt) -> str:
    build = each.build
    if each.result is not None:
        return WORKFLOW_RESULTS[each.result]
    if build.failing_at is not None:
        return "failing"
    return "on_hold" if build.state is BuildState.WAITING else "running"


def workflow(each: Attempt, owner: Person) -> JSON:
    """Return a workflow: an attempt of a build."""
    build = each.build
    made: JSON = {
        "id": workflow_id(each),
        "name": WORKFLOW,
        "pipeline_id": build.uid,
        "pipeline_number": build.number,
        "project_slug": build.pipeline.path,
        "status": _workflow_status(each),
        "started_by": (build.creator or owner).uid,
        "created_at": stamp(each.created_at),
        "stopped_at": iso(each.finished_at),
    }
    return made | ({"canceled_by": owner.uid} if made["status"] == "canceled" else {})


def has_number(job: Job) -> bool:
    """Return whether a job has a number: approvals have none, nor has a job that waits for others."""
    return job.step.approval is not ApprovalKind.INSTANT and (
        job.started_at is not None or job.state in {JobState.QUEUED, JobState.RUNNING}
    )


def job_status(job: Job, state: JobState) -> str:
    """Return a job's status where it stands, or stood, in a state."""
    if state is JobState.FAILED and job.reason == "infrastructure":
        return "infrastructure_fail"
    return JOB_STATES[state]


def workflow_job(each: Attempt, job: Job) -> JSON:
    """Return a job as its workflow lists it."""
    state, stages = each.state_of(job), each.build.pipeline.stages
    earlier = stages.index(job.step.stage) - 1
    has_run = state is not JobState.SKIPPED
    item: JSON = {
        "id": job.uid,
        "name": job.step.name,
        "project_slug": each.build.pipeline.path,
        "type": "approval" if job.step.approval else "build",
        "status": job_status(job, state),
        "dependencies": [own.uid for own in each.jobs if earlier >= 0 and own.step.stage == stages[earlier]],
        "started_at": iso(job.started_at) if has_run else None,
        "stopped_at": iso(job.finished_at) if has_run else None,
    }
    if job.step.approval:
        item["approval_request_id"] = job.uid
        item |= {"approved_by": job.decided_by.uid} if job.decided_by else {}
    elif has_number(job) and has_run:
        item["job_number"] = job.number
    return item


def job_details(build: Build, job: Job, root: str, url: str, now: float) -> JSON:
    """Return a job by itself; `url` is its page."""
    pipeline, status = build.pipeline, job_status(job, job.state)
    ended = job.finished_at or now
    return {
        "number": job.number,
        "name": job.step.name,
        "status": status,
        "web_url": url,
        "project": {
            "id": pipeline.repo.uid,
            "slug": pipeline.path,
            "name": pipeline.repo.name,
            "external_url": f"{root}/{pipeline.repo.slug}",
        },
        "pipeline": {"id": build.uid},
        "latest_workflow": {"id": workflow_id(attempt(build, build.attempt)), "name": WORKFLOW},
        "organization": {"name": ORGANIZATION},
        "executor": {"resource_class": "medium", "type": "docker"},
        "parallelism": 1,
        "parallel_runs": [{"index": 0, "status": status}],
        "created_at": stamp(job.created_at),
        "queued_at": stamp(job.queued_at or job.created_at),
        "started_at": iso(job.started_at),
        "stopped_at": iso(job.finished_at),
        "duration": round(1000 * (ended - job.started_at)) if job.started_at else 0,
        "messages": [],
        "contexts": [],
    }


def v1_job(build: Build, job: Job, root: str, url: str) -> JSON:
    """Return a job as API v1.1 has it, without its steps."""
    status, repo = job_status(job, job.state), build.pipeline.repo
    return {
        "build_num": job.number,
        "username": repo.owner,
        "reponame": repo.name,
        "vcs_type": "github",
        "vcs_url": f"{root}/{repo.slug}",
        "branch": build.branch,
        "vcs_revision": build.commit.sha,
        "subject": build.commit.title,
        "status": status,
        "lifecycle": "finished" if job.state.final else "running" if job.started_at else "queued",
        "outcome": status if job.state.final else None,
        "build_url": url,
        "start_time": iso(job.started_at),
        "stop_time": iso(job.finished_at),
        "build_time_millis": None,
        "workflows": {
            "workflow_id": workflow_id(attempt(build, job.build_attempt)),
            "workflow_name": WORKFLOW,
            "job_name": job.step.name,
            "job_id": job.uid,
        },
    }


def hook_job(job: Job) -> JSON:
    """Return a job as a webhook names it."""
    return {
        "id": job.uid,
        "name": job.step.name,
        "number": job.number,
        "status": job_status(job, job.state),
        "started_at": iso(job.started_at),
        "stopped_at": iso(job.finished_at),
    }


def config_text(pipeline: Pipeline) -> str:
    """Return the configuration file of a project."""
    written = ["version: 2.1"]
    if pipeline.parameters:
        written.append("parameters:")
    for field in pipeline.parameters:
        written += [f"  {field.key}:", f"    type: {'enum' if field.options else 'string'}"]
        written += [f"    enum: {json.dumps(list(field.options))}"] if field.options else []
        written += [f"    description: {json.dumps(field.label)}"]
        written += [] if field.default is None else [f"    default: {json.dumps(field.default)}"]
    written.append("jobs:")
    for step in pipeline.steps:
        if step.approval is None:
            written += [f"  {step.name}:", "    docker: [{image: cimg/base:stable}]", "    steps:", "      - checkout"]
            written += [f"      - run: {step.command}"]
    written += ["workflows:", f"  {WORKFLOW}:", "    jobs:"]
    for step in pipeline.steps:
        written += [f"      - {step.name}:", "          type: approval"] if step.approval else [f"      - {step.name}"]
    return "\n".join(written) + "\n"
