"""A stand-in of a Jenkins with the stage view, input, JUnit and warnings plugins, a folder, and a freestyle job."""

import base64
import hashlib
import hmac
import html
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import job_output
from playground.ci.jenkins_tree import BadTree, parse, prune
from playground.ci.model import (
    ApprovalKind,
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
    stamp,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer

LEFT_ITEMS_SECONDS = 300
SHOWN_BUILDS = 100
FREESTYLE = "hudson.model.FreeStyleProject"
PIPELINE = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
DEFAULT_TREE = (
    "*,builds[number,url],allBuilds[number,url]{0,0},lastBuild[number,url],lastCompletedBuild[number,url],jobs[name,url,color],"
    "actions[*,causes[*],parameters[*],lastBuiltRevision[*,branch[*]],executions[*,input[*]]],artifacts[*],"
    "changeSets[*,items[*,author[*]]],changeSet[*,items[*,author[*]]],property[*,parameterDefinitions[*,defaultParameterValue[*]]],"
    "suites[*,cases[*]],items[*,task[*],executable[*],actions[*,causes[*]]],task[*],executable[*],computer[*],tools[*],issues[*]"
)
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


class Jenkins(System):
    """Jenkins."""

    name = "jenkins"
    label = "Jenkins"
    connection = "demo-jenkins"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        digest = hashlib.sha256(f"{simulation.seed}/jenkins".encode()).hexdigest()
        self.token, self.password, self._crumb = digest[:34], digest[34:50], digest[50:]

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "jenkins",
            "url": f"{base}{self.mount}",
            "user": self.owner.login,
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        job = "/job/{path:path}"
        build = f"{job}/{{number:int}}"
        node, input_path = f"{build}/execution/node/{{node:int}}/wfapi", f"{build}/input/{{input}}"
        return [
            api("/api/json", lambda call: self._tree(call, self._root_item(call))),
            api("/whoAmI/api/json", self._who),
            api("/crumbIssuer/api/json", self._crumbs),
            api("/computer/api/json", self._computers),
            api("/queue/api/json", self._queue),
            api("/queue/item/{item:int}/api/json", self._queue_item),
            api("/queue/cancelItem", self._cancel_item, "POST"),
            api("/rssAll", self._feed),
            api(f"{node}/describe", self._node),
            api(f"{node}/log", self._node_log),
            api(f"{build}/api/json", lambda call: self._tree(call, self._run(self._find_run(call), call))),
            api(f"{job}/lastBuild/api/json", self._last_build),
            api(f"{build}/logText/progressiveText", self._progressive),
            api(f"{build}/consoleText", self._console),
            api(f"{build}/testReport/api/json", self._test_report),
            api(f"{build}/warnings-ng/api/json", self._warnings),
            api(f"{build}/compiler/all/api/json", self._warning_issues),
            api(f"{build}/artifact/{{file:path}}", self._artifact_file),
            api(f"{build}/wfapi/describe", lambda call: answer(self._describe(self._pipeline_run(call)))),
            api(f"{build}/wfapi/pendingInputActions", self._pending_inputs),
            api(f"{build}/wfapi/artifacts", self._wf_artifacts),
            api(f"{build}/wfapi/inputSubmit", self._submit, "POST"),
            api(f"{input_path}/submit", self._submit, "POST"),
            api(f"{input_path}/proceedEmpty", self._proceed_empty, "POST"),
            api(f"{input_path}/abort", self._abort, "POST"),
            *(api(f"{build}/{verb}", self._stop, "POST") for verb in ("stop", "term", "kill")),
            api(f"{build}/replay/rebuild", self._replay, "POST"),
            api(f"{build}/restart/api/json", self._restart),
            api(f"{job}/wfapi/runs", self._wf_runs),
            api(f"{job}/build", self._build, "POST"),
            api(f"{job}/buildWithParameters", self._build_with_parameters, "POST"),
            api(f"{job}/api/json", self._item),
            self.other_paths(),
        ]

    # credentials and errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, encoded = call.header("authorization").partition(" ")
        try:
            user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return self.failure(401, "Unauthorized")
        by_token = hmac.compare_digest(secret.encode(), self.token.encode())
        by_password = hmac.compare_digest(secret.encode(), self.password.encode())
        if scheme != "Basic" or user != self.owner.login or not (by_token or by_password):
            return self.failure(401, "Unauthorized")
        if by_password and call.request.method == "POST" and call.header("jenkins-crumb") != self._crumb:
            return self.failure(403, "No valid crumb was included in the request")
        return None

    @override
    def meters(self) -> list[Meter]:
        return []

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        return {"X-Jenkins": "2.541.1", "X-Jenkins-Session": hashlib.sha256(self.token.encode()).hexdigest()[:8]}

    @override
    def failure(self, status: int, message: str) -> Response:
        said = html.escape(message)
        page = f"<html><head><title>Error {status} {said}</title></head><body><h2>HTTP ERROR {status} {said}</h2></body></html>"
        return Response(page, status, media_type="text/html")

    def _refuse(self, status: int, message: str) -> Refusal:
        return Refusal(self.failure(status, message))

    def _tree(self, call: Call, data: JSON) -> Response:
        depth = call.query.get("depth", "0")
        try:
            node = parse(call.query.get("tree") or DEFAULT_TREE)
        except BadTree as exc:
            raise self._refuse(500, "Oops! The tree could not be read") from exc
        if not depth.isdigit():
            raise self._refuse(500, "Oops! The depth is no number")
        return answer(prune(data, node))

    # finding

    def _pipelines(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    def _find(self, call: Call) -> Pipeline:
        for pipeline in self._pipelines():
            if _url_path(pipeline) == f"job/{call.at('path')}":
                return pipeline
        raise self._refuse(404, "Not Found")

    def _find_run(self, call: Call) -> Build:
        for build in _runs(self._find(call)):
            if str(build.number) == call.at("number"):
                return build
        raise self._refuse(404, "Not Found")

    def _pipeline_run(self, call: Call) -> Build:
        build = self._find_run(call)
        if _freestyle(build.pipeline):
            raise self._refuse(404, "Not Found")
        return build

    # root, folders, jobs

    def _who(self, _call: Call) -> Response:
        return answer(
            {
                "_class": "hudson.security.WhoAmI",
                "anonymous": False,
                "authenticated": True,
                "authorities": ["authenticated"],
                "name": self.owner.login,
            }
        )

    def _crumbs(self, _call: Call) -> Response:
        return answer(
            {
                "_class": "hudson.security.csrf.DefaultCrumbIssuer",
                "crumb": self._crumb,
                "crumbRequestField": "Jenkins-Crumb",
            }
        )

    def _computers(self, call: Call) -> Response:
        return self._tree(
            call,
            {
                "_class": "hudson.model.ComputerSet",
                "busyExecutors": sum(
                    build.state is BuildState.RUNNING for it in self._pipelines() for build in it.builds
                ),
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
            },
        )

    def _root_item(self, call: Call) -> JSON:
        return {
            "_class": "hudson.model.Hudson",
            "mode": "NORMAL",
            "nodeDescription": "the Jenkins controller's built-in node",
            "numExecutors": 4,
            "useSecurity": True,
            "url": f"{self.root(call)}/",
            "jobs": self._items(call, ""),
        }

    def _items(self, call: Call, folder: str) -> list[JSON]:
        made, folders = [], set()
        for pipeline in self._pipelines():
            if pipeline.group == folder:
                made.append(self._job_item(call, pipeline))
            elif not folder and pipeline.group not in folders:
                folders.add(pipeline.group)
                made.append(self._folder(call, pipeline.group))
        return made

    def _folder(self, call: Call, name: str) -> JSON:
        return {
            "_class": FOLDER,
            "name": name,
            "fullName": name,
            "displayName": name,
            "fullDisplayName": name,
            "description": None,
            "url": f"{self.root(call)}/job/{quote(name)}/",
            "jobs": self._items(call, name),
        }

    def _item(self, call: Call) -> Response:
        for pipeline in self._pipelines():
            if pipeline.group and call.at("path") == pipeline.group:
                return self._tree(call, self._folder(call, pipeline.group))
        return self._tree(call, self._job_item(call, self._find(call)))

    def _job_item(self, call: Call, pipeline: Pipeline) -> JSON:
        runs = _runs(pipeline)
        built = [self._run(build, call) for build in runs[:SHOWN_BUILDS]]
        waiting = [build for build in pipeline.builds if build.state is BuildState.QUEUED]
        definitions = PARAMETERS.get(pipeline.path)
        finished = [run for run in built if not run["building"]]
        return {
            "_class": FREESTYLE if _freestyle(pipeline) else PIPELINE,
            "name": pipeline.name,
            "fullName": pipeline.path,
            "displayName": pipeline.name,
            "fullDisplayName": pipeline.path.replace("/", " » "),
            "description": "",
            "url": f"{self.root(call)}/{_url_path(pipeline)}/",
            "buildable": pipeline.enabled,
            "color": _colour(runs),
            "inQueue": bool(waiting),
            "queueItem": self._queued(call, waiting[0]) if waiting else None,
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

    # runs

    def _run(self, build: Build, call: Call | None) -> JSON:
        pipeline = build.pipeline
        freestyle = _freestyle(pipeline)
        url = f"{self.root(call)}/{_url_path(pipeline)}/{build.number}/"
        started = build.started_at or build.queued_until
        tests = [test for _, test in build.tests()]
        items = [
            {
                "_class": "hudson.plugins.git.GitChangeSet",
                "commitId": build.commit.sha,
                "timestamp": _millis(build.commit.at),
                "author": {
                    "absoluteUrl": f"{self.root(call)}/user/{build.commit.author.login}",
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
            "result": _result(build),
            "timestamp": _millis(started),
            "duration": _millis(build.finished_at - started) if build.finished and build.finished_at else 0,
            "estimatedDuration": _millis(sum(sum(step.seconds) / 2 for step in pipeline.steps)),
            "executor": None if build.finished else {},
            "url": url,
        }
        made["changeSet" if freestyle else "changeSets"] = changes if freestyle else [changes]
        return made

    def _last_build(self, call: Call) -> Response:
        runs = _runs(self._find(call))
        if not runs:
            raise self._refuse(404, "Not Found")
        return self._tree(call, self._run(runs[0], call))

    # queue

    def _queued(self, call: Call, build: Build) -> JSON:
        pipeline = build.pipeline
        made: JSON = {
            "_class": "hudson.model.Queue$WaitingItem",
            "actions": [{"_class": "hudson.model.CauseAction", "causes": _causes(build)}],
            "blocked": False,
            "buildable": False,
            "id": build.queue_id,
            "inQueueSince": _millis(build.created_at),
            "params": "".join(f"\n{name}={value}" for name, value in build.env.items()),
            "stuck": False,
            "task": {
                "_class": FREESTYLE if _freestyle(pipeline) else PIPELINE,
                "name": pipeline.name,
                "url": f"{self.root(call)}/{_url_path(pipeline)}/",
                "color": _colour(_runs(pipeline)),
            },
            "url": f"queue/item/{build.queue_id}/",
            "why": "In the quiet period. Expires soon",
        }
        if build.state is BuildState.QUEUED:
            return {**made, "timestamp": _millis(build.queued_until)}
        cancelled = build.started_at is None and build.finished
        made |= {"_class": "hudson.model.Queue$LeftItem", "why": None, "cancelled": cancelled, "executable": None}
        if not cancelled and build.started_at is not None:
            run = self._run(build, call)
            made["executable"] = {"_class": run["_class"], "number": build.number, "url": run["url"]}
        return made

    def _queue(self, call: Call) -> Response:
        waiting = [build for it in self._pipelines() for build in it.builds if build.state is BuildState.QUEUED]
        return self._tree(
            call,
            {
                "_class": "hudson.model.Queue",
                "discoverableItems": [],
                "items": [self._queued(call, build) for build in newest_first(waiting)],
            },
        )

    def _queue_item(self, call: Call) -> Response:
        for pipeline in self._pipelines():
            for build in pipeline.builds:
                fresh = not build.finished or self.simulation.now - (build.finished_at or 0) < LEFT_ITEMS_SECONDS
                if str(build.queue_id) == call.at("item") and fresh:
                    return self._tree(call, self._queued(call, build))
        raise self._refuse(404, "Not Found")

    def _cancel_item(self, call: Call) -> Response:
        for pipeline in self._pipelines():
            for build in pipeline.builds:
                if str(build.queue_id) == call.query.get("id"):
                    if build.state is not BuildState.QUEUED:
                        raise self._refuse(422, "The item cannot be cancelled")
                    self.simulation.cancel(build)
                    return Response(status_code=204)
        raise self._refuse(404, "Not Found")

    def _feed(self, call: Call) -> Response:
        runs = [build for pipeline in self._pipelines() for build in _runs(pipeline) if build.finished]
        entries = "".join(
            f"<entry><title>{html.escape(build.pipeline.path)} #{build.number} ({_result(build)})</title>"
            f'<link rel="alternate" type="text/html" href="{self.root(call)}/{_url_path(build.pipeline)}/{build.number}/"/>'
            f"<published>{stamp(build.started_at or build.created_at)}</published></entry>"
            for build in newest_first(runs)[:20]
        )
        feed = f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>All</title>{entries}</feed>'
        return Response(feed, media_type="application/atom+xml")

    # acting

    def _begin(self, call: Call, env: dict[str, str]) -> tuple[Build, bool]:
        pipeline = self._find(call)
        if not pipeline.enabled:
            raise self._refuse(409, "The job is disabled")
        for build in pipeline.builds:
            if build.state is BuildState.QUEUED and build.env == env:
                return build, True
        branch = pipeline.repo.default_branch
        build = self.simulation.start(
            pipeline,
            commit=pipeline.repo.branches[branch],
            source=Source.WEB,
            branch=branch,
            creator=self.owner,
            env=env,
        )
        return build, False

    def _location(self, call: Call, build: Build) -> dict[str, str]:
        return {"Location": f"{self.root(call)}/queue/item/{build.queue_id}/"}

    def _build(self, call: Call) -> Response:
        if self._find(call).path in PARAMETERS:
            raise self._refuse(400, "This job is parameterized")
        build, _ = self._begin(call, {})
        return Response(status_code=201, headers=self._location(call, build))

    def _build_with_parameters(self, call: Call) -> Response:
        definitions = PARAMETERS.get(self._find(call).path)
        if definitions is None:
            raise self._refuse(400, "This job takes no parameters")
        values = {**_form(call), **{name: str(value) for name, value in call.query.items()}}
        env = {}
        for definition in definitions:
            name = str(definition["name"])
            default = definition["defaultParameterValue"]
            value = values.get(name, str(default["value"]) if isinstance(default, dict) else "")
            choices = definition.get("choices")
            if isinstance(choices, list) and value not in choices:
                raise self._refuse(400, f"Illegal choice for parameter {name}: {value}")
            env[name] = value
        build, joined = self._begin(call, env)
        return Response(status_code=303 if joined else 201, headers=self._location(call, build))

    def _redirect(self, call: Call, build: Build) -> Response:
        return Response(
            None, 302, headers={"Location": f"{self.root(call)}/{_url_path(build.pipeline)}/{build.number}/"}
        )

    def _stop(self, call: Call) -> Response:
        build = self._find_run(call)
        if not build.finished:
            self.simulation.cancel(build)
        return self._redirect(call, build)

    def _replay(self, call: Call) -> Response:
        old = self._pipeline_run(call)
        self.simulation.start(
            old.pipeline,
            commit=old.commit,
            source=Source.REBUILD,
            branch=old.branch,
            creator=self.owner,
            env=old.env,
            rebuilt_from=old,
        )
        return Response(None, 302, headers={"Location": f"{self.root(call)}/{_url_path(old.pipeline)}/"})

    def _restart(self, call: Call) -> Response:
        self._pipeline_run(call)
        kind = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.RestartDeclarativePipelineAction"
        return answer({"_class": kind, "restartEnabled": False, "restartableStages": []})

    # input steps

    def _approval(self, call: Call) -> tuple[Build, Job]:
        build = self._pipeline_run(call)
        wanted = call.request.path_params.get("input") or call.query.get("inputId")
        for job in build.current:
            if job.step.approval and job.step.name == wanted:
                if not job.awaits_approval:
                    raise self._refuse(400, "This input has been already given")
                return build, job
        raise self._refuse(404, "Not Found")

    def _pending_inputs(self, call: Call) -> Response:
        build = self._pipeline_run(call)
        path = f"{self.mount}/{_url_path(build.pipeline)}/{build.number}"
        return answer(
            [
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
        )

    def _submit(self, call: Call) -> Response:
        build, job = self._approval(call)
        try:
            given = json.loads(_form(call).get("json") or "{}")
            listed = given.get("parameter", [])
            values = {it["name"]: it["value"] for it in (listed if isinstance(listed, list) else [listed])}
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise self._refuse(400, "The form could not be read") from exc
        for field in job.step.fields:
            value = values.get(field.key, field.default)
            if field.options and value not in field.options:
                raise self._refuse(400, f"Illegal choice for parameter {field.key}: {value}")
            build.meta[field.key] = str(value)
        return self._approve(build, job)

    def _proceed_empty(self, call: Call) -> Response:
        build, job = self._approval(call)
        return self._approve(build, job)

    def _approve(self, build: Build, job: Job) -> Response:
        try:
            self.simulation.approve(build, job, self.owner)
        except Refused as exc:
            raise self._refuse(400, "This input has been already given") from exc
        return Response(status_code=200)

    def _abort(self, call: Call) -> Response:
        build, job = self._approval(call)
        self.simulation.reject(build, job, self.owner)
        return Response(status_code=200)

    # stage view

    def _stage(self, build: Build, index: int, job: Job) -> JSON:
        path = (
            f"{self.mount}/{_url_path(build.pipeline)}/{build.number}/execution/node/{_node_id(index)}/wfapi/describe"
        )
        started = job.started_at or (build.updated_at if job.awaits_approval else job.finished_at) or build.created_at
        ended = job.finished_at or self.simulation.now
        made: JSON = {
            "_links": {"self": {"href": path}},
            "id": str(_node_id(index)),
            "name": job.step.stage,
            "execNode": "",
            "status": _stage_status(job),
            "startTimeMillis": _millis(started),
            "durationMillis": _millis(max(ended - started, 0.0)),
            "pauseDurationMillis": _millis(max(ended - started, 0.0)) if job.step.approval else 0,
        }
        if job.state.bad:
            said = "tests failed" if job.tests else "script returned exit code 1"
            made["error"] = {"message": said, "type": "hudson.AbortException"}
        return made

    def _stages(self, build: Build) -> list[JSON]:
        begun = {JobState.CREATED, JobState.QUEUED, JobState.SKIPPED}
        return [self._stage(build, index, job) for index, job in enumerate(build.current) if job.state not in begun]

    def _describe(self, build: Build) -> JSON:
        path = f"{self.mount}/{_url_path(build.pipeline)}/{build.number}"
        started = build.started_at or build.queued_until
        ended = build.finished_at if build.finished and build.finished_at else self.simulation.now
        status = {"SUCCESS": "SUCCESS", "UNSTABLE": "UNSTABLE", "FAILURE": "FAILED", "ABORTED": "ABORTED"}.get(
            _result(build) or "", "PAUSED_PENDING_INPUT" if build.approvals else "IN_PROGRESS"
        )
        links = {"self": {"href": f"{path}/wfapi/describe"}}
        if build.approvals:
            links["pendingInputActions"] = {"href": f"{path}/wfapi/pendingInputActions"}
        return {
            "_links": links,
            "id": str(build.number),
            "name": f"#{build.number}",
            "status": status,
            "startTimeMillis": _millis(started),
            "endTimeMillis": _millis(ended),
            "durationMillis": _millis(ended - started),
            "queueDurationMillis": _millis(max(started - build.created_at, 0.0)),
            "pauseDurationMillis": 0,
            "stages": self._stages(build),
        }

    def _wf_runs(self, call: Call) -> Response:
        pipeline = self._find(call)
        if _freestyle(pipeline):
            raise self._refuse(404, "Not Found")
        since = call.query.get("since", "").removeprefix("#")
        runs = _runs(pipeline)
        if since.isdigit():
            runs = [build for build in runs if build.number >= int(since)]
        return answer([self._describe(build) for build in (runs if since else runs[:10])])

    def _find_node(self, call: Call) -> tuple[Build, int, Job]:
        build = self._pipeline_run(call)
        for index, job in enumerate(build.current):
            if int(call.at("node")) in {_node_id(index), _node_id(index) + 1}:
                return build, index, job
        raise self._refuse(404, "Not Found")

    def _node(self, call: Call) -> Response:
        build, index, job = self._find_node(call)
        stage = self._stage(build, index, job)
        inner = _node_id(index) + 1
        path = f"{self.mount}/{_url_path(build.pipeline)}/{build.number}/execution/node/{inner}/wfapi"
        step = {
            **stage,
            "_links": {"self": {"href": f"{path}/describe"}, "log": {"href": f"{path}/log"}},
            "id": str(inner),
            "name": "Shell Script",
            "parentNodes": [stage["id"]],
        }
        if int(call.at("node")) == inner:
            return answer(step)
        return answer({**stage, "stageFlowNodes": [step]})

    def _node_log(self, call: Call) -> Response:
        build, index, job = self._find_node(call)
        text = "".join(f"{line.text}\n" for line in job_output.visible(build, job, self.simulation.now))
        cut = text[-10_240:]
        return answer(
            {
                "nodeId": call.at("node"),
                "nodeStatus": _stage_status(job),
                "length": len(cut),
                "hasMore": len(cut) < len(text),
                "text": html.escape(cut),
                "consoleUrl": f"{self.mount}/{_url_path(build.pipeline)}/{build.number}/execution/node/{_node_id(index)}/log",
            }
        )

    def _wf_artifacts(self, call: Call) -> Response:
        build = self._pipeline_run(call)
        path = f"{self.mount}/{_url_path(build.pipeline)}/{build.number}/artifact"
        return answer(
            [
                {
                    "id": f"n{number}",
                    "name": artifact.path.rpartition("/")[2],
                    "path": artifact.path,
                    "url": f"{path}/{quote(artifact.path)}",
                    "size": len(artifact.content),
                }
                for number, artifact in enumerate((it for job in build.current for it in job.artifacts), 1)
            ]
        )

    # logs, files, tests, warnings

    def _log(self, build: Build) -> bytes:
        by = build.creator.name if build.creator else "timer"
        written = [f"Started by {by}"]
        for job in build.current:
            if job.started_at is not None:
                written.append(f"[Pipeline] {{ ({job.step.stage})")
                written += [line.coloured for line in job_output.visible(build, job, self.simulation.now)]
        if build.result is Result.TIMEOUT:
            written.append("Timeout has been exceeded")
        if build.finished:
            written.append(f"Finished: {_result(build)}")
        return "".join(f"{line}\r\n" for line in written).encode()

    def _progressive(self, call: Call) -> Response:
        build = self._find_run(call)
        data = self._log(build)
        text = call.query.get("start", "0")
        start = int(text) if text.isdigit() and int(text) <= len(data) else 0
        headers = {"X-Text-Size": str(len(data))}
        if not build.finished:
            headers["X-More-Data"] = "true"
        return PlainTextResponse(data[start:], headers=headers)

    def _console(self, call: Call) -> Response:
        return PlainTextResponse(self._log(self._find_run(call)).replace(b"\r\n", b"\n"))

    def _artifact_file(self, call: Call) -> Response:
        for job in self._find_run(call).current:
            for artifact in job.artifacts:
                if artifact.path == call.at("file"):
                    return Response(artifact.content, media_type=artifact.mime)
        raise self._refuse(404, "Not Found")

    def _test_report(self, call: Call) -> Response:
        build = self._find_run(call)
        tests = [test for _, test in build.tests()]
        if not tests:
            raise self._refuse(404, "Not Found")
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
        return self._tree(
            call,
            {
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
            },
        )

    def _warnings(self, call: Call) -> Response:
        build = self._find_run(call)
        if not any(step.warnings for step in build.pipeline.steps):
            raise self._refuse(404, "Not Found")
        errors, warnings = build.count(IssueKind.ERROR), build.count(IssueKind.WARNING)
        return self._tree(
            call,
            {
                "_class": "io.jenkins.plugins.analysis.core.restapi.ToolApi",
                "tools": [
                    {
                        "id": "compiler",
                        "name": "Compiler",
                        "latestUrl": f"{self.root(call)}/{_url_path(build.pipeline)}/{build.number}/compiler",
                        "size": errors + warnings,
                        "errorSize": errors,
                        "highSize": 0,
                        "normalSize": warnings,
                        "lowSize": 0,
                    }
                ],
            },
        )

    def _warning_issues(self, call: Call) -> Response:
        build = self._find_run(call)
        issues = [
            issue for job in build.current for issue in job.issues if issue.kind in {IssueKind.ERROR, IssueKind.WARNING}
        ]
        return self._tree(
            call,
            {
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
            },
        )

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{_url_path(build.pipeline)}/{build.number}/"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{_url_path(pipeline)}/"

    @override
    def shows(self, rest: str) -> bool:
        return rest.strip("/") in {"console", "input", "testReport"}

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        if event == "finished" and build.started_at is None:
            return []
        phases = {"started": ("QUEUED", "STARTED"), "finished": ("COMPLETED", "FINALIZED")}.get(event, ())
        return [
            WebhookRequest(
                path=f"/{self.webhook_secret}",
                headers={"Content-Type": "application/json; charset=UTF-8"},
                body=json.dumps(self._notification(build, phase)).encode(),
            )
            for phase in phases
        ]

    def _notification(self, build: Build, phase: str) -> JSON:
        pipeline = build.pipeline
        path = f"{_url_path(pipeline)}/"
        tests = [test for _, test in build.tests()]
        payload: JSON = {
            "full_url": self.web_url(build),
            "number": build.number,
            "queue_id": build.queue_id,
            "timestamp": _millis(build.updated_at),
            "duration": self._run(build, None)["duration"],
            "phase": phase,
            "url": f"{path}{build.number}/",
            "scm": {"changes": [], "culprits": []},
            "parameters": build.env,
            "log": "",
            "artifacts": {},
        }
        if (result := _result(build)) is not None:
            payload["status"] = result
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


def _form(call: Call) -> dict[str, str]:
    if not call.header("content-type").startswith("application/x-www-form-urlencoded"):
        return {}
    return {name: values[-1] for name, values in parse_qs(call.body.decode(), keep_blank_values=True).items()}


def _url_path(pipeline: Pipeline) -> str:
    return "/".join(f"job/{quote(part, safe='')}" for part in pipeline.path.split("/"))


def _freestyle(pipeline: Pipeline) -> bool:
    return len(pipeline.steps) == 1


def _runs(pipeline: Pipeline) -> list[Build]:
    """Return the builds that have left the queue, newest first."""
    return newest_first(build for build in pipeline.builds if build.started_at is not None)


def _millis(seconds: float) -> int:
    return round(seconds * 1000)


def _node_id(index: int) -> int:
    return 6 + 5 * index


def _result(build: Build) -> str | None:
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
    colour = colours.get(_result(ended) or "", "notbuilt") if ended else "notbuilt"
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
            said = f"Started by GitHub push by {person.login if person else 'somebody'}"
            return [{"_class": "com.cloudbees.jenkins.GitHubPushCause", "shortDescription": said}]
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


def _stage_status(job: Job) -> str:
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
