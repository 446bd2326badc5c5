"""Builds as Jenkins' stage view and input plugins write them; `mount` is the path that the controller is served at."""

import html
from urllib.parse import quote

from playground.ci import job_output
from playground.ci.jenkins_wire import millis, result, url_path
from playground.ci.model import (
    ApprovalKind,
    Build,
    Job,
    JobState,
)
from playground.ci.system import JSON


def pending_inputs_json(build: Build, mount: str) -> list[JSON]:
    """Return the input steps that a build waits at."""
    path = f"{mount}/{url_path(build.pipeline)}/{build.number}"
    return [
        {
            "id": job.step.name,
            "proceedText": "Proceed",
            "message": job.step.prompt,
            "inputs": [
                {
                    "type": "ChoiceParameterDefinition" if field.options else "StringParameterDefinition",
                    "name": field.key,
                    "description": field.label,
                    "definition": {"choices": list(field.options)}
                    if field.options
                    else {"defaultVal": field.default or ""},
                }
                for field in job.step.fields
            ],
            "proceedUrl": f"{path}/wfapi/inputSubmit?inputId={job.step.name}",
            "abortUrl": f"{path}/input/{job.step.name}/abort",
            "redirectApprovalUrl": f"{path}/input/",
        }
        for job in build.approvals
    ]


def artifacts_json(build: Build, mount: str) -> list[JSON]:
    """Return a build's artifacts as the stage view lists them."""
    path = f"{mount}/{url_path(build.pipeline)}/{build.number}/artifact"
    return [
        {
            "id": f"n{number}",
            "name": artifact.path.rpartition("/")[2],
            "path": artifact.path,
            "url": f"{path}/{quote(artifact.path)}",
            "size": len(artifact.content),
        }
        for number, artifact in enumerate((it for job in build.current for it in job.artifacts), 1)
    ]


def node_id(index: int) -> int:
    """Return the id of a stage's node; its step has the next one."""
    return 6 + 5 * index


def stage_json(build: Build, index: int, job: Job, mount: str, now: float) -> JSON:
    """Return a stage: a job of the build, at its index."""
    path = f"{mount}/{url_path(build.pipeline)}/{build.number}/execution/node/{node_id(index)}/wfapi/describe"
    started = job.started_at or (build.updated_at if job.awaits_approval else job.finished_at) or build.created_at
    ended = job.finished_at or now
    made: JSON = {
        "_links": {"self": {"href": path}},
        "id": str(node_id(index)),
        "name": job.step.stage,
        "execNode": "",
        "status": stage_status(job),
        "startTimeMillis": millis(started),
        "durationMillis": millis(max(ended - started, 0.0)),
        "pauseDurationMillis": millis(max(ended - started, 0.0)) if job.step.approval else 0,
    }
    if job.state.bad:
        message = "tests failed" if job.tests else "script returned exit code 1"
        made["error"] = {"message": message, "type": "hudson.AbortException"}
    return made


def run_json(build: Build, mount: str, now: float) -> JSON:
    """Return a build with its stages."""
    not_begun = {JobState.CREATED, JobState.QUEUED, JobState.SKIPPED}
    stages = [
        stage_json(build, index, job, mount, now)
        for index, job in enumerate(build.current)
        if job.state not in not_begun
    ]
    path = f"{mount}/{url_path(build.pipeline)}/{build.number}"
    started = build.started_at or build.queued_until
    ended = build.finished_at if build.finished and build.finished_at else now
    status = {"SUCCESS": "SUCCESS", "UNSTABLE": "UNSTABLE", "FAILURE": "FAILED", "ABORTED": "ABORTED"}.get(
        result(build) or "", "PAUSED_PENDING_INPUT" if build.approvals else "IN_PROGRESS"
    )
    links = {"self": {"href": f"{path}/wfapi/describe"}}
    if build.approvals:
        links["pendingInputActions"] = {"href": f"{path}/wfapi/pendingInputActions"}
    return {
        "_links": links,
        "id": str(build.number),
        "name": f"#{build.number}",
        "status": status,
        "startTimeMillis": millis(started),
        "endTimeMillis": millis(ended),
        "durationMillis": millis(ended - started),
        "queueDurationMillis": millis(max(started - build.created_at, 0.0)),
        "pauseDurationMillis": 0,
        "stages": stages,
    }


def stage_status(job: Job) -> str:
    """Return a stage's state in the stage view's words."""
    match job.state:
        case JobState.PASSED | JobState.UNBLOCKED:
            return "SUCCESS"
        case JobState.FAILED:
            return "UNSTABLE" if any(test.outcome == "failed" for test in job.tests) else "FAILED"
        case JobState.CANCELED | JobState.TIMEOUT:
            return "ABORTED"
        case JobState.MANUAL:
            return "PAUSED_PENDING_INPUT" if job.step.approval is ApprovalKind.INSTANT else "IN_PROGRESS"
        case JobState.CREATED | JobState.QUEUED | JobState.SKIPPED:
            return "NOT_EXECUTED"
        case JobState.RUNNING:
            return "IN_PROGRESS"


def step_json(build: Build, index: int, stage: JSON, mount: str) -> JSON:
    """Return the one step of a stage."""
    inner = node_id(index) + 1
    path = f"{mount}/{url_path(build.pipeline)}/{build.number}/execution/node/{inner}/wfapi"
    return {
        **stage,
        "_links": {"self": {"href": f"{path}/describe"}, "log": {"href": f"{path}/log"}},
        "id": str(inner),
        "name": "Shell Script",
        "parentNodes": [stage["id"]],
    }


def node_log_json(build: Build, index: int, job: Job, mount: str, now: float) -> JSON:
    """Return the end of a stage's log."""
    text = "".join(f"{line.text}\n" for line in job_output.visible(build, job, now))
    cut = text[-10_240:]
    return {
        "nodeId": str(node_id(index)),
        "nodeStatus": stage_status(job),
        "length": len(cut),
        "hasMore": len(cut) < len(text),
        "text": html.escape(cut),
        "consoleUrl": f"{mount}/{url_path(build.pipeline)}/{build.number}/execution/node/{node_id(index)}/log",
    }
