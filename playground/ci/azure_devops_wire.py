"""Azure DevOps' objects as its API writes them; `root` is the organization's address, as the client wrote it."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from playground.ci import job_output
from playground.ci.model import (
    Artifact,
    Build,
    BuildState,
    Commit,
    Issue,
    IssueKind,
    Job,
    JobState,
    Person,
    Pipeline,
    Repo,
    Result,
    Source,
    Test,
    iso,
    stamp,
)
from playground.ci.system import JSON

PROJECT = "Atlas"
PROJECT_ID = str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://dev.azure.com/acme/{PROJECT}"))
HEADS, TAGS = "refs/heads/", "refs/tags/"
RESULTS = {
    Result.PASSED: "succeeded",
    Result.FAILED: "failed",
    Result.TIMEOUT: "failed",
    Result.CANCELED: "canceled",
}
REASONS = {
    Source.PUSH: "individualCI",
    Source.PULL: "pullRequest",
    Source.SCHEDULE: "schedule",
    Source.API: "manual",
    Source.WEB: "manual",
    Source.REBUILD: "manual",
}
JOB_RESULTS = {
    JobState.PASSED: "succeeded",
    JobState.UNBLOCKED: "succeeded",
    JobState.FAILED: "failed",
    JobState.TIMEOUT: "canceled",
    JobState.CANCELED: "canceled",
    JobState.SKIPPED: "skipped",
}
TEST_OUTCOMES = {"passed": "Passed", "failed": "Failed", "skipped": "NotExecuted"}
SERVICE: JSON = {
    "id": "00000002-0000-8888-8000-000000000000",
    "displayName": "Microsoft.VisualStudio.Services.TFS",
    "uniqueName": "00000002-0000-8888-8000-000000000000@2c895908-04e0-4952-89fd-54b0046d6288",
    "descriptor": "s2s.MDAwMDAwMDItMDAwMC04ODg4LTgwMDAtMDAwMDAwMDAwMDAw",
}
ISSUES_SHOWN = 10
LOGS_PER_JOB = 10


def person(who: Person) -> JSON:
    """Return a person."""
    return {"id": who.uid, "displayName": who.name, "uniqueName": who.email, "descriptor": f"aad.{who.uid}"}


def project() -> JSON:
    """Return the project."""
    return {"id": PROJECT_ID, "name": PROJECT, "state": "wellFormed", "revision": 11, "visibility": "private"}


def repository(repo: Repo) -> JSON:
    """Return a repository of Azure Repos."""
    return {"id": repo.uid, "name": repo.name, "type": "TfsGit", "defaultBranch": f"{HEADS}{repo.default_branch}"}


def definition(pipeline: Pipeline, root: str, *, is_whole: bool = True) -> JSON:
    """Return a definition; in a build only its first fields."""
    short: JSON = {
        "id": pipeline.number,
        "name": pipeline.name,
        "path": f"\\{pipeline.group}",
        "type": "build",
        "queueStatus": "enabled" if pipeline.enabled else "disabled",
        "revision": 3,
        "uri": f"vstfs:///Build/Definition/{pipeline.number}",
        "url": f"{root}/{PROJECT_ID}/_apis/build/Definitions/{pipeline.number}?revision=3",
        "project": project(),
    }
    if not is_whole:
        return short
    return {
        **short,
        "createdDate": stamp(pipeline.created_at),
        "repository": repository(pipeline.repo),
        "process": {"type": 2, "yamlFilename": "azure-pipelines.yml"},
        "variables": {
            field.key: {"value": field.default or "", "allowOverride": True, "isSecret": False}
            for field in pipeline.parameters
        },
        "_links": {"web": {"href": f"{root}/{PROJECT}/_build?definitionId={pipeline.number}"}},
    }


def full_ref(build: Build) -> str:
    """Return what was built, as a full ref."""
    if build.pull:
        return f"refs/pull/{build.pull.number}/merge"
    return f"{TAGS}{build.tag}" if build.tag else f"{HEADS}{build.branch}"


def build_number(build: Build) -> str:
    """Return the text that Azure DevOps calls a build's number."""
    return f"{datetime.fromtimestamp(build.created_at, UTC):%Y%m%d}.{build.number}"


def _status(build: Build) -> str:
    match build.state:
        case BuildState.QUEUED:
            return "notStarted"
        case BuildState.FINISHED:
            return "completed"
        case _:
            return "cancelling" if build.canceling else "inProgress"


def result(build: Build) -> str | None:
    """Return how a build ended; with a tolerated failure it succeeded partially."""
    if build.result is Result.PASSED and any(job.soft_failed for job in build.current):
        return "partiallySucceeded"
    return RESULTS[build.result] if build.result else None


def run(build: Build, root: str, owner: Person) -> JSON:
    """Return a build as the Build API has it."""
    pipeline, commit = build.pipeline, build.commit
    who = build.creator or commit.author
    about: JSON = {"ci.message": commit.title, "ci.sourceBranch": full_ref(build), "ci.sourceSha": commit.sha}
    if build.pull:
        about = {
            "pr.number": str(build.pull.number),
            "pr.title": build.pull.title,
            "pr.sourceBranch": f"{HEADS}{build.pull.branch}",
            "pr.sourceSha": commit.sha,
            "pr.isFork": "False",
        }
    is_manual = REASONS[build.source] == "manual"
    made: JSON = {
        "id": build.id,
        "buildNumber": build_number(build),
        "status": _status(build),
        "queueTime": stamp(build.created_at),
        "url": f"{root}/{PROJECT_ID}/_apis/build/Builds/{build.id}",
        "uri": f"vstfs:///Build/Build/{build.id}",
        "definition": definition(pipeline, root, is_whole=False),
        "project": project(),
        "sourceBranch": full_ref(build),
        "sourceVersion": commit.sha,
        "priority": "normal",
        "reason": REASONS[build.source],
        "requestedFor": person(who),
        "requestedBy": person(build.creator or owner) if is_manual else SERVICE,
        "lastChangedDate": stamp(build.updated_at),
        "repository": repository(pipeline.repo),
        "triggerInfo": about,
        "triggeredByBuild": None,
        "_links": {"web": {"href": f"{root}/{PROJECT}/_build/results?buildId={build.id}"}},
    }
    made |= {"parameters": json.dumps(build.env)} if build.env else {}
    made |= {"templateParameters": dict(build.meta)} if build.meta else {}
    made |= {"startTime": stamp(build.started_at)} if build.started_at else {}
    if build.finished:
        made |= {"finishTime": iso(build.finished_at), "result": result(build)}
    return made


def pipeline_run(build: Build, root: str) -> JSON:
    """Return a build as the Pipelines API has it, with its own words for states."""
    pipeline = build.pipeline
    state = "completed" if build.finished else "canceling" if build.canceling else "inProgress"
    made: JSON = {
        "id": build.id,
        "name": build_number(build),
        "state": state,
        "createdDate": stamp(build.created_at),
        "url": f"{root}/{PROJECT_ID}/_apis/pipelines/{pipeline.number}/runs/{build.id}",
        "pipeline": {"id": pipeline.number, "name": pipeline.name, "folder": f"\\{pipeline.group}", "revision": 3},
        "_links": {"web": {"href": f"{root}/{PROJECT}/_build/results?buildId={build.id}"}},
    }
    if build.finished:
        ended = RESULTS[build.result] if build.result else "unknown"
        made |= {"finishedDate": iso(build.finished_at), "result": ended}
    return made


# the timeline


def stage_id(build: Build, stage: str) -> str:
    """Return the id of a stage's record."""
    return str(uuid.uuid5(uuid.UUID(build.uid), f"stage/{stage}"))


def approval_id(job: Job) -> str:
    """Return the id of the approval that holds a job."""
    return str(uuid.uuid5(uuid.UUID(job.uid), "approval"))


def timeline(build: Build, now: float) -> JSON:
    """Return a build's timeline: stages, their approvals, jobs and tasks, of the latest attempts."""
    records: list[JSON] = []
    for order, stage in enumerate(build.pipeline.stages, 1):
        jobs = [job for job in build.current if job.step.stage == stage]
        records.append(_stage(build, stage, jobs, order))
        for job in jobs:
            records += _checkpoint(build, job) if job.step.approval else []
        for position, job in enumerate(jobs, 1):
            records += _job(build, job, position, now)
    return {
        "id": build.uid,
        "changeId": round(build.updated_at),
        "lastChangedBy": SERVICE["id"],
        "lastChangedOn": stamp(build.updated_at),
        "records": records,
        "url": "",
    }


def _record(key: str, parent: str | None, kind: str, name: str, order: int) -> JSON:
    return {
        "id": key,
        "parentId": parent,
        "type": kind,
        "name": name,
        "identifier": name,
        "order": order,
        "startTime": None,
        "finishTime": None,
        "state": "pending",
        "result": None,
        "errorCount": 0,
        "warningCount": 0,
        "issues": None,
        "log": None,
        "task": None,
        "details": None,
        "attempt": 1,
        "previousAttempts": [],
        "lastModified": "0001-01-01T00:00:00",
        "workerName": None,
    }


def _stage(build: Build, stage: str, jobs: list[Job], order: int) -> JSON:
    record = _record(stage_id(build, stage), None, "Stage", stage, order)
    record["attempt"] = max((job.attempt for job in jobs), default=1)
    starts = [job.started_at for job in jobs if job.started_at is not None]
    if jobs and all(job.state.final for job in jobs):
        outcomes = [_job_result(job) or "skipped" for job in jobs]
        worst = next(
            (word for word in ("failed", "canceled", "succeededWithIssues", "succeeded") if word in outcomes), "skipped"
        )
        ends = [job.finished_at for job in jobs if job.finished_at is not None]
        return record | {
            "state": "completed",
            "result": worst,
            "startTime": iso(min(starts, default=None)),
            "finishTime": iso(max(ends, default=None)),
        }
    return record | ({"state": "inProgress", "startTime": stamp(min(starts))} if starts else {})


def _checkpoint(build: Build, job: Job) -> list[JSON]:
    """Return the records of an approval: of the checkpoint before a stage, and of the approval itself."""
    checkpoint = str(uuid.uuid5(uuid.UUID(job.uid), "checkpoint"))
    own = _record(approval_id(job), checkpoint, "Checkpoint.Approval", "Checkpoint.Approval", 1)
    above = _record(checkpoint, stage_id(build, job.step.stage), "Checkpoint", "Checkpoint", 1)
    if job.awaits_approval:
        state: JSON = {"state": "inProgress"}
    elif job.state is JobState.CREATED:
        state = {}
    else:
        is_refused = job.state in {JobState.SKIPPED, JobState.CANCELED} or job.reason == "rejected"
        state = {"state": "completed", "result": "failed" if is_refused else "succeeded"}
    return [above | state, own | state]


def _job_result(job: Job) -> str | None:
    return "succeededWithIssues" if job.soft_failed else JOB_RESULTS.get(job.state)


def _job(build: Build, job: Job, order: int, now: float) -> list[JSON]:
    """Return the records of a job: its phase, the job and, once it has begun, its tasks."""
    phase = str(uuid.uuid5(uuid.UUID(job.uid), "phase"))
    state: JSON = {"state": "pending"}
    if job.state.final:
        state = {"state": "completed", "result": _job_result(job), "finishTime": iso(job.finished_at)}
    elif job.state is JobState.RUNNING:
        state = {"state": "inProgress"}
    state |= {"startTime": iso(job.started_at), "attempt": job.attempt}
    own = _record(job.uid, phase, "Job", job.step.name, order) | state
    if job.state is JobState.TIMEOUT:
        text = "The job running on agent Azure Pipelines 3 ran longer than the maximum time of 60 minutes."
        own |= {"errorCount": 1, "issues": [{"type": "error", "category": "", "message": text, "data": {}}]}
    elif job.reason == "infrastructure":
        text = "We stopped hearing from agent Azure Pipelines 3. Verify the agent machine is running."
        own |= {"errorCount": 1, "issues": [{"type": "error", "category": "", "message": text, "data": {}}]}
    above = _record(phase, stage_id(build, job.step.stage), "Phase", job.step.name, order) | state
    if job.started_at is None:
        return [above, own]
    sections = job_output.sections(job_output.visible(build, job, now))
    own |= {"workerName": "Azure Pipelines 3", "log": {"id": job.number * LOGS_PER_JOB, "type": "Container"}}
    return [above, own, *(_task(job, title, index, len(sections)) for index, (title, _) in enumerate(sections))]


def _task(job: Job, title: str, index: int, tasks: int) -> JSON:
    key = str(uuid.uuid5(uuid.UUID(job.uid), f"task/{index}"))
    record = _record(key, job.uid, "Task", title, index + 1)
    is_last = index == tasks - 1
    is_over = job.state.final or not is_last
    outcome = _job_result(job) if is_last and job.state.final else "succeeded"
    record |= {"state": "completed" if is_over else "inProgress", "result": outcome if is_over else None}
    record |= {"startTime": iso(job.started_at), "finishTime": iso(job.finished_at if is_last else job.started_at)}
    record |= {"log": {"id": job.number * LOGS_PER_JOB + index + 1, "type": "Container"}}
    if is_last:
        errors = [issue for issue in job.issues if issue.kind is IssueKind.ERROR and job.reason != "infrastructure"]
        warnings = [issue for issue in job.issues if issue.kind in {IssueKind.WARNING, IssueKind.ANALYZER_WARNING}]
        exited = job.state is JobState.FAILED and not errors and job.reason not in {"infrastructure", "rejected"}
        shown = [_issue(issue) for issue in (*errors[:ISSUES_SHOWN], *warnings[:ISSUES_SHOWN])]
        if exited:
            shown.insert(
                0, {"type": "error", "category": "General", "message": "Bash exited with code '1'.", "data": {}}
            )
        record |= {"errorCount": len(errors) + exited, "warningCount": len(warnings), "issues": shown or None}
    return record


def _issue(issue: Issue) -> JSON:
    data = {} if issue.file is None else {"sourcepath": issue.file, "linenumber": str(issue.line)}
    return {
        "type": "error" if issue.kind is IssueKind.ERROR else "warning",
        "category": "Code" if issue.kind is IssueKind.ANALYZER_WARNING else "General",
        "message": issue.message,
        "data": data,
    }


# approvals, artifacts, tests


def approval(build: Build, job: Job, owner: Person, root: str, *, with_steps: bool) -> JSON:
    """Return an approval."""
    if job.awaits_approval:
        status = "pending"
    elif job.reason == "rejected":
        status = "rejected"
    else:
        status = "approved" if job.decided_by else "canceled"
    made: JSON = {
        "id": approval_id(job),
        "status": status,
        "instructions": job.step.prompt,
        "createdOn": stamp(job.created_at),
        "lastModifiedOn": stamp(build.updated_at),
        "executionOrder": "anyOrder",
        "minRequiredApprovers": 1,
        "blockedApprovers": [],
        "pipeline": {
            "id": str(build.pipeline.number),
            "name": build.pipeline.name,
            "owner": {
                "id": build.id,
                "name": build_number(build),
                "_links": {"web": {"href": f"{root}/{PROJECT}/_build/results?buildId={build.id}"}},
            },
        },
    }
    if with_steps:
        made["steps"] = [{"assignedApprover": person(owner), "status": status, "order": 1}]
    return made


def artifact(build: Build, job: Job, file: Artifact, root: str) -> JSON:
    """Return an artifact; its address needs the token."""
    url = f"{root}/{PROJECT_ID}/_apis/build/builds/{build.id}/artifacts?artifactName={file.kind}&$format=zip"
    return {
        "id": file.number,
        "name": file.kind,
        "source": job.uid,
        "resource": {
            "type": "PipelineArtifact",
            "data": file.uid,
            "properties": {"artifactsize": str(len(file.content)), "RootId": file.uid},
            "url": url,
            "downloadUrl": url,
        },
    }


def test_run(build: Build, job: Job, root: str) -> JSON:
    """Return the tests of a job as a run with its statistics."""
    counts = {word: sum(test.outcome == word for test in job.tests) for word in TEST_OUTCOMES}
    return {
        "id": job.number,
        "name": job.step.name,
        "url": f"{root}/{PROJECT}/_apis/test/Runs/{job.number}",
        "isAutomated": True,
        "state": "Completed",
        "totalTests": len(job.tests),
        "passedTests": counts["passed"],
        "unanalyzedTests": counts["failed"],
        "notApplicableTests": 0,
        "incompleteTests": 0,
        "build": {"id": str(build.id)},
        "runStatistics": [
            {"state": "Completed", "outcome": TEST_OUTCOMES[word], "count": count}
            for word, count in counts.items()
            if count
        ],
    }


def test_results(job: Job) -> list[JSON]:
    """Return the tests of a job."""
    return [
        {
            "id": 100_000 + index,
            "testCaseTitle": test.name,
            "automatedTestName": f"{test.class_name}.{test.name}",
            "automatedTestStorage": test.file,
            "outcome": TEST_OUTCOMES[test.outcome],
            "durationInMs": test.seconds * 1000,
            **({"errorMessage": test.message, "stackTrace": test.trace} if test.message else {}),
        }
        for index, test in enumerate(job.tests)
    ]


def admits(query: Mapping[str, str], build: Build, shown: JSON, time: str) -> bool:
    """Return whether a build, shown as `shown`, passes the filters of a listing; `time` names the member it is ordered by."""
    ids, number, since = query.get("buildIds"), query.get("buildNumber"), query.get("minTime")
    statuses, results = query.get("statusFilter"), query.get("resultFilter")
    is_called = number is None or (
        shown["buildNumber"].startswith(number[:-1]) if number.endswith("*") else shown["buildNumber"] == number
    )
    return (
        (not ids or str(build.id) in ids.split(","))
        and is_called
        and (since is None or str(shown.get(time, "")) >= since)
        and (statuses in {None, "all"} or shown["status"] in statuses.split(","))
        and (results is None or shown.get("result") in results.split(","))
        and query.get("branchName") in {None, shown["sourceBranch"]}
    )


def change(commit: Commit) -> JSON:
    """Return a commit as a change of a build."""
    author = {"displayName": commit.author.name, "uniqueName": commit.author.email, "id": commit.author.uid}
    return {
        "id": commit.sha,
        "message": commit.title,
        "type": "TfsGit",
        "author": author,
        "timestamp": stamp(commit.at),
    }


def log_lines(build: Build, number: int, now: float) -> list[str] | None:
    """Return the lines of a log by its number, which holds its job's; None where there is none."""
    for job in build.current:
        if number // LOGS_PER_JOB == job.number and job.started_at is not None:
            shown = job_output.visible(build, job, now)
            times = job_output.log_times(build, job, now)
            written = [f"{at[:-1]}0000Z {_log_line(line)}" for at, line in zip(times, shown, strict=True)]
            part = number % LOGS_PER_JOB
            if part == 0:
                return written
            starts = [index for index, line in enumerate(shown) if line.kind == "section"] + [len(shown)]
            return written[starts[part - 1] : starts[part]] if part < len(starts) else None
    return None


def _log_line(line: job_output.Line) -> str:
    prefix = {"section": "##[section]", "command": "##[command]", "warning": "##[warning]", "error": "##[error]"}
    return f"{prefix.get(line.kind, '')}{line.text}"


def test_summary(tests: list[Test]) -> JSON:
    """Return how many tests ended how."""
    outcomes = {
        name: {"outcome": name, "count": count}
        for word, name in TEST_OUTCOMES.items()
        if (count := sum(test.outcome == word for test in tests))
    }
    return {"aggregatedResultsAnalysis": {"totalTests": len(tests), "resultsByOutcome": outcomes}}


def hook(kind: str, version: str, resource: JSON, build: Build) -> JSON:
    """Return a service hook's body."""
    key = uuid.uuid5(uuid.UUID(build.uid), f"{kind}/{build.attempt}/{build.updated_at}")
    return {
        "id": str(key),
        "eventType": kind,
        "publisherId": "tfs" if kind == "build.complete" else "pipelines",
        "message": {"text": f"{build.pipeline.name} {build_number(build)}"},
        "resource": resource,
        "resourceVersion": version,
        "resourceContainers": {"project": {"id": PROJECT_ID}},
        "createdDate": stamp(build.updated_at),
    }
