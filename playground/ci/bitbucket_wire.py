"""Bitbucket's objects as its API writes them; `root` is the server's address, as the client wrote it."""

import json
import uuid
from datetime import UTC, datetime

from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Commit,
    Issue,
    Job,
    JobState,
    Person,
    Pipeline,
    Pull,
    Repo,
    Result,
    Source,
)
from playground.ci.system import JSON

WORKSPACE = "acme"
CUSTOM = "full-check"
"""The custom pipeline of each repository."""
TRIGGERS = {
    Source.PUSH: "PUSH",
    Source.PULL: "PUSH",
    Source.SCHEDULE: "SCHEDULE",
    Source.API: "MANUAL",
    Source.WEB: "MANUAL",
    Source.REBUILD: "MANUAL",
}
RESULTS = {
    Result.PASSED: "SUCCESSFUL",
    Result.FAILED: "FAILED",
    Result.TIMEOUT: "FAILED",
    Result.CANCELED: "STOPPED",
}
STEP_RESULTS = {
    JobState.PASSED: "SUCCESSFUL",
    JobState.UNBLOCKED: "SUCCESSFUL",
    JobState.FAILED: "FAILED",
    JobState.TIMEOUT: "FAILED",
    JobState.CANCELED: "STOPPED",
    JobState.SKIPPED: "NOT_RUN",
}
TEST_STATES = {"passed": "SUCCESSFUL", "failed": "FAILED", "skipped": "SKIPPED"}


def braced(uid: str) -> str:
    """Return a UUID as Bitbucket writes it."""
    return f"{{{uid}}}"


WORKSPACE_UUID = braced(str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://bitbucket.org/{WORKSPACE}")))


def time(at: float) -> str:
    """Return a time as Bitbucket writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def account(person: Person) -> JSON:
    """Return a person."""
    return {
        "type": "user",
        "uuid": braced(person.uid),
        "account_id": person.uid,
        "display_name": person.name,
        "nickname": person.login,
        "links": {},
    }


def repository(repo: Repo, root: str) -> JSON:
    """Return a repository."""
    return {
        "type": "repository",
        "uuid": braced(repo.uid),
        "full_name": f"{WORKSPACE}/{repo.name}",
        "slug": repo.name,
        "name": repo.name,
        "is_private": True,
        "project": {"type": "project", "key": "SHOP", "name": "Shop", "uuid": braced(repo.ref_uid("project", "SHOP"))},
        "mainbranch": {"type": "branch", "name": repo.default_branch},
        "updated_on": time(max(each.at for each in repo.branches.values())),
        "links": {"html": {"href": f"{root}/{WORKSPACE}/{repo.name}"}},
    }


def commit(each: Commit, *, with_message: bool = False) -> JSON:
    """Return a commit; inside a run it is no more than its hash."""
    made: JSON = {"type": "commit", "hash": each.sha}
    if with_message:
        raw = f"{each.author.name} <{each.author.email}>"
        made |= {"message": f"{each.message}\n", "date": time(each.at)}
        made["author"] = {"type": "author", "raw": raw, "user": account(each.author)}
    return made


def ref(kind: str, name: str, head: Commit) -> JSON:
    """Return a branch or a tag."""
    return {"type": kind, "name": name, "target": commit(head, with_message=True)}


def pull_request(pull: Pull, repo: Repo, root: str) -> JSON:
    """Return a pull request."""
    own = repository(repo, root)
    ends = {
        name: {
            "branch": {"name": branch},
            "commit": commit(repo.branches[branch]),
            "repository": {"type": "repository", "uuid": own["uuid"], "full_name": own["full_name"]},
        }
        for name, branch in (("source", pull.branch), ("destination", pull.target))
    }
    state = "MERGED" if pull.closed else "OPEN"
    return {
        "type": "pullrequest",
        "id": pull.number,
        "title": pull.title,
        "state": state,
        "author": account(pull.author),
        **ends,
    }


# runs and steps


def _state(prefix: str, name: str, stage: str = "", result: str = "", error: str = "") -> JSON:
    made: JSON = {"name": name, "type": f"{prefix}_state_{name.lower()}"}
    if stage:
        made["stage"] = {"name": stage, "type": f"{prefix}_state_{name.lower()}_{stage.lower()}"}
    if result:
        made["result"] = {"name": result, "type": f"{prefix}_state_completed_{result.lower()}"}
        if error:
            made["result"]["error"] = {"type": f"{prefix}_error", "key": "agent.step.failed", "message": error}
    return made


def state(build: Build) -> JSON:
    """Return how a run stands."""
    match build.state:
        case BuildState.QUEUED:
            return _state("pipeline", "PENDING")
        case BuildState.WAITING:
            return _state("pipeline", "IN_PROGRESS", "PAUSED")
        case BuildState.RUNNING:
            return _state("pipeline", "IN_PROGRESS", "RUNNING")
        case BuildState.FINISHED:
            if build.errored and build.result is Result.FAILED:
                return _state("pipeline", "COMPLETED", result="ERROR", error="The agent of a step was lost.")
            return _state("pipeline", "COMPLETED", result=RESULTS[build.result or Result.FAILED])


def listed_status(build: Build) -> str:
    """Return the word by which a list filters on a run's state."""
    made = state(build)
    word = str((made.get("result") or made.get("stage") or made)["name"])
    return {"SUCCESSFUL": "PASSED", "RUNNING": "BUILDING"}.get(word, word)


def target(build: Build) -> JSON:
    """Return what a run builds."""
    selector: JSON = {
        name: build.meta[f"selector.{name}"] for name in ("type", "pattern") if f"selector.{name}" in build.meta
    }
    if build.pull:
        return {
            "type": "pipeline_pullrequest_target",
            "source": build.pull.branch,
            "destination": build.pull.target,
            "destination_commit": {"hash": build.commit.parent},
            "commit": commit(build.commit),
            "pullrequest": {"type": "pullrequest", "id": build.pull.number, "title": build.pull.title},
            "selector": selector or {"type": "pull-requests", "pattern": "**"},
        }
    if not build.ref:
        return {"type": "pipeline_commit_target", "commit": commit(build.commit), "selector": selector}
    return {
        "type": "pipeline_ref_target",
        "ref_type": "tag" if build.tag else "branch",
        "ref_name": build.ref,
        "commit": commit(build.commit),
        "selector": selector or {"type": "default"},
    }


def run(build: Build, root: str) -> JSON:
    """Return a run."""
    word = TRIGGERS[build.source]
    own = repository(build.pipeline.repo, root)
    made: JSON = {
        "type": "pipeline",
        "uuid": braced(build.uid),
        "build_number": build.number,
        "run_number": build.attempt,
        "creator": account(build.creator) if build.creator else None,
        "repository": {name: own[name] for name in ("type", "uuid", "full_name", "name")},
        "target": target(build),
        "trigger": {"name": word, "type": f"pipeline_trigger_{word.lower()}"},
        "state": state(build),
        "created_on": time(build.created_at),
        "has_variables": bool(build.env),
        "build_seconds_used": 0,
    }
    if build.finished and build.finished_at is not None:
        made["completed_on"] = time(build.finished_at)
        made["duration_in_seconds"] = round(build.finished_at - (build.started_at or build.finished_at))
    return made


def variables(build: Build) -> list[JSON]:
    """Return the values that a run was started with; secured ones without their value."""
    made = []
    for key, value in build.env.items():
        is_secured = f"secured.{key}" in build.meta
        variable: JSON = {"type": "pipeline_variable", "key": key, "secured": is_secured}
        made.append(variable if is_secured else {**variable, "value": value})
    return made


def _step_state(job: Job) -> JSON:
    prefix = "pipeline_step"
    match job.state:
        case JobState.CREATED:
            return _state(prefix, "PENDING")
        case JobState.MANUAL:
            return _state(prefix, "PENDING", "PAUSED")
        case JobState.QUEUED:
            return _state(prefix, "READY")
        case JobState.RUNNING:
            return _state(prefix, "IN_PROGRESS", "RUNNING")
        case JobState.FAILED if job.reason == "infrastructure":
            return _state(prefix, "COMPLETED", result="ERROR", error="The agent of this step was lost.")
        case JobState.TIMEOUT:
            error = "Exceeded build time limit of 120 minutes."
            return _state(prefix, "COMPLETED", result="FAILED", error=error)
        case _:
            return _state(prefix, "COMPLETED", result=STEP_RESULTS[job.state])


def step(build: Build, job: Job) -> JSON:
    """Return a step of a run."""
    kind = "manual" if job.step.approval in {ApprovalKind.MANUAL, ApprovalKind.INSTANT} else "automatic"
    made: JSON = {
        "type": "pipeline_step",
        "uuid": braced(job.uid),
        "name": job.step.name,
        "run_number": job.build_attempt,
        "pipeline": {"type": "pipeline", "uuid": braced(build.uid)},
        "trigger": {"type": f"pipeline_step_trigger_{kind}"},
        "image": {"name": "atlassian/default-image:4"},
        "script_commands": [{"name": job.step.command, "command": job.step.command}],
        "state": _step_state(job),
    }
    made |= {"started_on": time(job.started_at)} if job.started_at is not None else {}
    if job.finished_at is not None:
        made["completed_on"] = time(job.finished_at)
        made["duration_in_seconds"] = round(job.finished_at - (job.started_at or job.finished_at))
    return made


def commit_status(build: Build, root: str) -> JSON:
    """Return what Pipelines says of a run on its commit."""
    word = (
        {"SUCCESSFUL": "SUCCESSFUL", "STOPPED": "STOPPED"}.get(RESULTS[build.result], "FAILED")
        if build.result
        else "INPROGRESS"
    )
    name = build.pipeline.repo.name
    return {
        "type": "build",
        "key": f"{build.number}",
        "state": word,
        "name": f"Pipeline #{build.number} for {build.ref}",
        "refname": build.ref,
        "url": f"{root}/{WORKSPACE}/{name}/addon/pipelines/home#!/results/{build.number}",
        "commit": commit(build.commit),
        "created_on": time(build.created_at),
        "updated_on": time(build.updated_at),
    }


def trace(build: Build) -> JSON:
    """Return the trace of a run that has ended, as OpenTelemetry writes it."""
    facts = {
        "pipeline.uuid": braced(build.uid),
        "pipeline.build_number": str(build.number),
        "pipeline_run.run_number": str(build.attempt),
        "pipeline.state.result.name": str(state(build).get("result", {}).get("name", "")),
        "pipeline.target.ref_name": build.ref,
        "pipeline.trigger.name": TRIGGERS[build.source],
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in facts.items()]
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "bbc.pipeline_run", "attributes": attributes}]}]}]}


# tests and reports


def test_report(job: Job) -> JSON:
    """Return the counts of a step's tests."""
    counts = {word: sum(test.outcome == word for test in job.tests) for word in TEST_STATES}
    return {
        "type": "pipeline_step_test_report",
        "step_uuid": braced(job.uid),
        "number_of_test_cases": len(job.tests),
        "number_of_successful_test_cases": counts["passed"],
        "number_of_failed_test_cases": counts["failed"],
        "number_of_error_test_cases": 0,
        "number_of_skipped_test_cases": counts["skipped"],
    }


def test_cases(job: Job) -> list[JSON]:
    """Return a step's tests."""
    return [
        {
            "type": "pipeline_test_case",
            "uuid": braced(test.uid),
            "name": test.name,
            "package_name": test.class_name,
            "fully_qualified_name": f"{test.class_name}.{test.name}",
            "status": TEST_STATES[test.outcome],
            "duration": f"PT{test.seconds}S",
        }
        for test in job.tests
    ]


def report_uuid(job: Job) -> str:
    """Return the UUID of the report that an analyzer's job made."""
    return braced(str(uuid.uuid5(uuid.UUID(job.uid), "report")))


def report(job: Job) -> JSON:
    """Return a Code Insights report."""
    return {
        "type": "report",
        "uuid": report_uuid(job),
        "title": job.step.name,
        "report_type": "BUG",
        "result": "PASSED",
        "reporter": "demo-analyzer",
    }


def annotation(issue: Issue) -> JSON:
    """Return a finding of a report."""
    return {
        "type": "report_annotation",
        "uuid": braced(issue.uid),
        "annotation_type": "CODE_SMELL",
        "summary": issue.message,
        "severity": "MEDIUM",
        "path": issue.file,
        "line": issue.line,
    }


def yml(pipeline: Pipeline) -> str:
    """Return a repository's bitbucket-pipelines.yml."""
    steps = []
    for each in pipeline.steps:
        steps += ["- step:", f"    name: {json.dumps(each.name)}"]
        steps += ["    trigger: manual"] if each.approval else []
        steps += [f"    script: [{json.dumps(each.command)}]"]
    written = ["pipelines:", "  default:", *(f"    {line}" for line in steps), "  custom:", f"    {CUSTOM}:"]
    if pipeline.parameters:
        written.append("      - variables:")
    for field in pipeline.parameters:
        written += [f"          - name: {field.key}", f"            description: {json.dumps(field.label)}"]
        written += [f"            default: {json.dumps(field.default)}"] if field.default is not None else []
        if field.options:
            written.append(f"            allowed-values: {json.dumps(list(field.options))}")
    return "\n".join([*written, *(f"      {line}" for line in steps)]) + "\n"
