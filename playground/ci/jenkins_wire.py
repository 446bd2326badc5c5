"""Jenkins' objects as its API and its Notification plugin write them; `root` is the controller's address, as the client wrote it."""

import html
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from playground.ci import job_output
from playground.ci.model import (
    Build,
    BuildState,
    IssueKind,
    Job,
    Outcome,
    Person,
    Pipeline,
    Result,
    Source,
    stamp,
)
from playground.ci.simulation import newest_first
from playground.ci.system import JSON

FREESTYLE = "hudson.model.FreeStyleProject"
PIPELINE = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
PARAMETERS = {
    "nightly-regression": [
        {
            "_class": "hudson.model.ChoiceParameterDefinition",
            "name": "SUITE",
            "type": "ChoiceParameterDefinition",
            "description": "Which tests",
            "choices": ["smoke", "full"],
            "defaultParameterValue": {"_class": "hudson.model.StringParameterValue", "name": "SUITE", "value": "smoke"},
        }
    ],
    "release/publish": [
        {
            "_class": "hudson.model.StringParameterDefinition",
            "name": "VERSION",
            "type": "StringParameterDefinition",
            "description": "Version to publish",
            "defaultParameterValue": {
                "_class": "hudson.model.StringParameterValue",
                "name": "VERSION",
                "value": "next",
            },
        }
    ],
}
SHOWN_BUILDS = 100


def who_json(user: Person) -> JSON:
    """Return who sent a request."""
    return {
        "_class": "hudson.security.WhoAmI",
        "anonymous": False,
        "authenticated": True,
        "authorities": ["authenticated"],
        "name": user.login,
    }


def crumb_json(crumb: str) -> JSON:
    """Return a crumb, which a client with a password sends along."""
    return {
        "_class": "hudson.security.csrf.DefaultCrumbIssuer",
        "crumb": crumb,
        "crumbRequestField": "Jenkins-Crumb",
    }


def computers_json(pipelines: list[Pipeline]) -> JSON:
    """Return the nodes."""
    running = sum(build.state is BuildState.RUNNING for pipeline in pipelines for build in pipeline.builds)
    return {
        "_class": "hudson.model.ComputerSet",
        "busyExecutors": running,
        "totalExecutors": 4,
        "displayName": "Nodes",
        "computer": [
            {
                "_class": "hudson.model.Hudson$MasterComputer",
                "displayName": "Built-In Node",
                "offline": False,
                "idle": True,
                "numExecutors": 4,
            }
        ],
    }


def root_json(pipelines: list[Pipeline], root: str) -> JSON:
    """Return the controller with its top-level items."""
    return {
        "_class": "hudson.model.Hudson",
        "mode": "NORMAL",
        "nodeDescription": "the Jenkins controller's built-in node",
        "numExecutors": 4,
        "useSecurity": True,
        "url": f"{root}/",
        "jobs": items_json(pipelines, root, ""),
    }


def items_json(pipelines: list[Pipeline], root: str, folder: str) -> list[JSON]:
    """Return the jobs of a folder; at the top, named by the empty text, the folders too."""
    made: list[JSON] = []
    folders: set[str] = set()
    for pipeline in pipelines:
        if pipeline.group == folder:
            made.append(job_json(pipeline, root))
        elif not folder and pipeline.group not in folders:
            folders.add(pipeline.group)
            made.append(folder_json(pipelines, root, pipeline.group))
    return made


def folder_json(pipelines: list[Pipeline], root: str, name: str) -> JSON:
    """Return a folder with its jobs."""
    return {
        "_class": FOLDER,
        "name": name,
        "fullName": name,
        "displayName": name,
        "fullDisplayName": name,
        "description": None,
        "url": f"{root}/job/{quote(name)}/",
        "jobs": items_json(pipelines, root, name),
    }


def job_json(pipeline: Pipeline, root: str) -> JSON:
    """Return a job with its newest builds."""
    runs = runs_of(pipeline)
    built = [run_json(build, root) for build in runs[:SHOWN_BUILDS]]
    waiting = [build for build in pipeline.builds if build.state is BuildState.QUEUED]
    definitions = PARAMETERS.get(pipeline.path)
    finished = [run for run in built if not run["building"]]
    return {
        "_class": FREESTYLE if is_freestyle(pipeline) else PIPELINE,
        "name": pipeline.name,
        "fullName": pipeline.path,
        "displayName": pipeline.name,
        "fullDisplayName": pipeline.path.replace("/", " » "),
        "description": "",
        "url": f"{root}/{url_path(pipeline)}/",
        "buildable": pipeline.enabled,
        "color": _colour(runs),
        "inQueue": bool(waiting),
        "queueItem": queue_item_json(waiting[0], root) if waiting else None,
        "nextBuildNumber": len(pipeline.builds) + 1 - len(waiting),
        "builds": built,
        "allBuilds": built,
        "firstBuild": built[-1] if built else None,
        "lastBuild": built[0] if built else None,
        "lastCompletedBuild": finished[0] if finished else None,
        "property": [{"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": definitions}]
        if definitions
        else [],
    }


def run_json(build: Build, root: str) -> JSON:
    """Return a build."""
    pipeline = build.pipeline
    freestyle = is_freestyle(pipeline)
    url = f"{root}/{url_path(pipeline)}/{build.number}/"
    started = build.started_at or build.queued_until
    tests = [test for _, test in build.tests()]
    items = [
        {
            "_class": "hudson.plugins.git.GitChangeSet",
            "commitId": build.commit.sha,
            "timestamp": millis(build.commit.at),
            "author": {
                "absoluteUrl": f"{root}/user/{build.commit.author.login}",
                "fullName": build.commit.author.name,
            },
            "authorEmail": build.commit.author.email,
            "msg": build.commit.title,
            "comment": f"{build.commit.message}\n",
        }
    ]
    changes = {"_class": "hudson.plugins.git.GitChangeSetList", "kind": "git", "items": items}
    revision = {
        "SHA1": build.commit.sha,
        "branch": [{"SHA1": build.commit.sha, "name": f"refs/remotes/origin/{build.ref}"}],
    }
    actions: list[JSON] = [
        {"_class": "hudson.model.CauseAction", "causes": _causes(build)},
        {},
        {
            "_class": "hudson.plugins.git.util.BuildData",
            "lastBuiltRevision": revision,
            "remoteUrls": [f"git@demo.example:{pipeline.repo.slug}.git"],
            "scmName": "",
        },
    ]
    if build.env:
        parameters = [
            {"_class": "hudson.model.StringParameterValue", "name": name, "value": value}
            for name, value in build.env.items()
        ]
        actions.append({"_class": "hudson.model.ParametersAction", "parameters": parameters})
    if tests:
        actions.append(
            {
                "_class": "hudson.tasks.junit.TestResultAction",
                "failCount": sum(test.outcome == "failed" for test in tests),
                "skipCount": sum(test.outcome == "skipped" for test in tests),
                "totalCount": len(tests),
                "urlName": "testReport",
            }
        )
    if any(step.approval for step in pipeline.steps):
        actions.append(
            {
                "_class": "org.jenkinsci.plugins.workflow.support.steps.input.InputAction",
                "waitingForInput": bool(build.approvals),
                "executions": [_execution(job) for job in build.approvals],
            }
        )
    made: JSON = {
        "_class": "hudson.model.FreeStyleBuild" if freestyle else "org.jenkinsci.plugins.workflow.job.WorkflowRun",
        "actions": actions,
        "artifacts": [
            {
                "displayPath": artifact.path.rpartition("/")[2],
                "fileName": artifact.path.rpartition("/")[2],
                "relativePath": artifact.path,
            }
            for job in build.current
            for artifact in job.artifacts
        ],
        "building": not build.finished,
        "inProgress": not build.finished,
        "description": None,
        "displayName": f"#{build.number}",
        "fullDisplayName": f"{pipeline.path.replace('/', ' » ')} #{build.number}",
        "id": str(build.number),
        "keepLog": False,
        "number": build.number,
        "queueId": build.queue_id,
        "result": result(build),
        "timestamp": millis(started),
        "duration": millis(build.finished_at - started) if build.finished and build.finished_at else 0,
        "estimatedDuration": millis(sum(sum(step.seconds) / 2 for step in pipeline.steps)),
        "executor": None if build.finished else {},
        "url": url,
    }
    made["changeSet" if freestyle else "changeSets"] = changes if freestyle else [changes]
    return made


def queue_item_json(build: Build, root: str) -> JSON:
    """Return an item of the queue: one that waits, or one that has left."""
    pipeline = build.pipeline
    made: JSON = {
        "_class": "hudson.model.Queue$WaitingItem",
        "actions": [{"_class": "hudson.model.CauseAction", "causes": _causes(build)}],
        "blocked": False,
        "buildable": False,
        "id": build.queue_id,
        "inQueueSince": millis(build.created_at),
        "params": "".join(f"\n{name}={value}" for name, value in build.env.items()),
        "stuck": False,
        "task": {
            "_class": FREESTYLE if is_freestyle(pipeline) else PIPELINE,
            "name": pipeline.name,
            "url": f"{root}/{url_path(pipeline)}/",
            "color": _colour(runs_of(pipeline)),
        },
        "url": f"queue/item/{build.queue_id}/",
        "why": "In the quiet period. Expires soon",
    }
    if build.state is BuildState.QUEUED:
        return {**made, "timestamp": millis(build.queued_until)}
    cancelled = build.started_at is None and build.finished
    made |= {"_class": "hudson.model.Queue$LeftItem", "why": None, "cancelled": cancelled, "executable": None}
    if not cancelled and build.started_at is not None:
        run = run_json(build, root)
        made["executable"] = {"_class": run["_class"], "number": build.number, "url": run["url"]}
    return made


def feed_text(builds: list[Build], root: str) -> str:
    """Return finished builds as an Atom feed."""
    entries = "".join(
        f"<entry><title>{html.escape(build.pipeline.path)} #{build.number} ({result(build)})</title>"
        f'<link rel="alternate" type="text/html" href="{root}/{url_path(build.pipeline)}/{build.number}/"/>'
        f"<published>{stamp(build.started_at or build.created_at)}</published></entry>"
        for build in builds
    )
    return f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>All</title>{entries}</feed>'


def log_bytes(build: Build, now: float) -> bytes:
    """Return a build's console as far as it is written."""
    by = build.creator.name if build.creator else "timer"
    written = [f"Started by {by}"]
    for job in build.current:
        if job.started_at is not None:
            written.append(f"[Pipeline] {{ ({job.step.stage})")
            written += [line.coloured for line in job_output.visible(build, job, now)]
    if build.result is Result.TIMEOUT:
        written.append("Timeout has been exceeded")
    if build.finished:
        written.append(f"Finished: {result(build)}")
    return "".join(f"{line}\r\n" for line in written).encode()


def test_report_json(build: Build) -> JSON:
    """Return the report of a build's tests, told apart by how the build before ended them."""
    tests = [test for _, test in build.tests()]
    before = {
        test.uid
        for other in build.pipeline.builds
        if other.number == build.number - 1
        for _, test in other.tests()
        if test.outcome == "failed"
    }
    suites: dict[str, list[JSON]] = {}
    for test in tests:
        failed = test.outcome == "failed"
        status = "SKIPPED" if test.outcome == "skipped" else "FIXED" if test.uid in before else "PASSED"
        suites.setdefault(test.class_name, []).append(
            {
                "testActions": [],
                "className": test.class_name,
                "name": test.name,
                "status": ("FAILED" if test.uid in before else "REGRESSION") if failed else status,
                "duration": test.seconds,
                "age": (2 if test.uid in before else 1) if failed else 0,
                "failedSince": build.number if failed else 0,
                "errorDetails": test.message,
                "errorStackTrace": test.trace,
                "skipped": test.outcome == "skipped",
                "skippedMessage": None,
                "stderr": None,
                "stdout": None,
            }
        )
    return {
        "_class": "hudson.tasks.junit.TestResult",
        "testActions": [],
        "duration": round(sum(test.seconds for test in tests), 3),
        "empty": False,
        "failCount": sum(test.outcome == "failed" for test in tests),
        "passCount": sum(test.outcome == "passed" for test in tests),
        "skipCount": sum(test.outcome == "skipped" for test in tests),
        "suites": [
            {
                "name": name,
                "id": None,
                "duration": round(sum(case["duration"] for case in cases), 3),
                "timestamp": None,
                "stderr": None,
                "stdout": None,
                "enclosingBlockNames": [],
                "enclosingBlocks": [],
                "nodeId": None,
                "cases": cases,
            }
            for name, cases in suites.items()
        ],
    }


def warning_tools_json(build: Build, root: str) -> JSON:
    """Return the tools that reported warnings of a build."""
    errors, warnings = build.count(IssueKind.ERROR), build.count(IssueKind.WARNING)
    return {
        "_class": "io.jenkins.plugins.analysis.core.restapi.ToolApi",
        "tools": [
            {
                "id": "compiler",
                "name": "Compiler",
                "latestUrl": f"{root}/{url_path(build.pipeline)}/{build.number}/compiler",
                "size": errors + warnings,
                "errorSize": errors,
                "highSize": 0,
                "normalSize": warnings,
                "lowSize": 0,
            }
        ],
    }


def warning_issues_json(build: Build) -> JSON:
    """Return the issues that the compiler reported of a build."""
    issues = [
        issue for job in build.current for issue in job.issues if issue.kind in {IssueKind.ERROR, IssueKind.WARNING}
    ]
    return {
        "_class": "io.jenkins.plugins.analysis.core.restapi.ReportApi",
        "size": len(issues),
        "issues": [
            {
                "fileName": issue.file or "-",
                "lineStart": issue.line or 0,
                "severity": "ERROR" if issue.kind is IssueKind.ERROR else "NORMAL",
                "type": "compiler",
                "category": issue.category,
                "message": issue.message,
                "origin": "compiler",
            }
            for issue in issues
        ],
    }


def notification_json(build: Build, phase: str, root: str) -> JSON:
    """Return the notification of a phase of a build."""
    pipeline = build.pipeline
    path = f"{url_path(pipeline)}/"
    tests = [test for _, test in build.tests()]
    payload: JSON = {
        "full_url": f"{root}/{url_path(pipeline)}/{build.number}/",
        "number": build.number,
        "queue_id": build.queue_id,
        "timestamp": millis(build.updated_at),
        "duration": run_json(build, root)["duration"],
        "phase": phase,
        "url": f"{path}{build.number}/",
        "scm": {"changes": [], "culprits": []},
        "parameters": build.env,
        "log": "",
        "artifacts": {},
    }
    if (status := result(build)) is not None:
        payload["status"] = status
    if tests and build.finished:
        failed = [test for test in tests if test.outcome == "failed"]
        payload["test_summary"] = {
            "total": len(tests),
            "failed": len(failed),
            "passed": sum(test.outcome == "passed" for test in tests),
            "skipped": sum(test.outcome == "skipped" for test in tests),
            "failed_tests": [f"{test.class_name}.{test.name}" for test in failed],
        }
    return {"name": pipeline.name, "display_name": pipeline.name, "url": path, "build": payload}


def url_path(pipeline: Pipeline) -> str:
    """Return a job's path, a segment of it for each folder."""
    return "/".join(f"job/{quote(part, safe='')}" for part in pipeline.path.split("/"))


def is_freestyle(pipeline: Pipeline) -> bool:
    """Return whether a job is a freestyle one, which has no stages."""
    return len(pipeline.steps) == 1


def runs_of(pipeline: Pipeline) -> list[Build]:
    """Return the builds that have left the queue, newest first."""
    return newest_first(build for build in pipeline.builds if build.started_at is not None)


def millis(seconds: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds * 1000)


def result(build: Build) -> str | None:
    """Return how a build ended, in Jenkins' words."""
    match build.result:
        case None:
            return None
        case Result.PASSED:
            return "SUCCESS"
        case Result.CANCELED | Result.TIMEOUT:
            return "ABORTED"
        case Result.FAILED:
            return "UNSTABLE" if build.outcome is Outcome.TEST_FAILURE and _has_failed_tests(build) else "FAILURE"


def _has_failed_tests(build: Build) -> bool:
    return any(test.outcome == "failed" for _, test in build.tests())


def _colour(runs: Iterable[Build]) -> str:
    ended, running = None, False
    for build in runs:
        if build.finished:
            ended = build
            break
        running = True
    colours = {"SUCCESS": "blue", "UNSTABLE": "yellow", "FAILURE": "red", "ABORTED": "aborted"}
    colour = colours.get(result(ended) or "", "notbuilt") if ended else "notbuilt"
    return f"{colour}_anime" if running else colour


def _causes(build: Build) -> list[JSON]:
    person = build.creator
    user: JSON = {
        "_class": "hudson.model.Cause$UserIdCause",
        "shortDescription": f"Started by user {person.name}" if person else "",
        "userId": person.login if person else None,
        "userName": person.name if person else None,
    }
    match build.source:
        case Source.SCHEDULE:
            return [
                {"_class": "hudson.triggers.TimerTrigger$TimerTriggerCause", "shortDescription": "Started by timer"}
            ]
        case Source.PUSH | Source.PULL:
            description = f"Started by GitHub push by {person.login if person else 'somebody'}"
            return [{"_class": "com.cloudbees.jenkins.GitHubPushCause", "shortDescription": description}]
        case Source.REBUILD:
            number = build.rebuilt_from.number if build.rebuilt_from else 0
            kind = "org.jenkinsci.plugins.workflow.cps.replay.ReplayCause"
            return [user, {"_class": kind, "shortDescription": f"Replayed #{number}"}]
        case Source.API | Source.WEB:
            return [user]


def _execution(job: Job) -> JSON:
    parameters: list[Any] = [
        {
            "_class": "hudson.model.ChoiceParameterDefinition",
            "name": field.key,
            "type": "ChoiceParameterDefinition",
            "description": field.label,
            "choices": list(field.options),
            "defaultParameterValue": {
                "_class": "hudson.model.StringParameterValue",
                "name": field.key,
                "value": field.default,
            },
        }
        for field in job.step.fields
    ]
    return {
        "id": job.step.name,
        "displayName": job.step.prompt,
        "settled": False,
        "input": {
            "id": job.step.name,
            "message": job.step.prompt,
            "ok": "Proceed",
            "cancel": "Abort",
            "submitter": None,
            "submitterParameter": None,
            "parameters": parameters,
        },
    }
