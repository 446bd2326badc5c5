"""A stand-in of a Jenkins with the stage view, input, JUnit and warnings plugins, a folder, and a freestyle job."""

import base64
import hashlib
import hmac
import html
import json
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import jenkins_stages as stages
from playground.ci import jenkins_wire as wire
from playground.ci.jenkins_tree import BadTree, parse, prune
from playground.ci.model import (
    Build,
    BuildState,
    Job,
    Person,
    Pipeline,
    Source,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer

LEFT_ITEMS_SECONDS = 300
DEFAULT_TREE = (
    "*,builds[number,url],allBuilds[number,url]{0,0},lastBuild[number,url],lastCompletedBuild[number,url],jobs[name,url,color],"
    "actions[*,causes[*],parameters[*],lastBuiltRevision[*,branch[*]],executions[*,input[*]]],artifacts[*],"
    "changeSets[*,items[*,author[*]]],changeSet[*,items[*,author[*]]],property[*,parameterDefinitions[*,defaultParameterValue[*]]],"
    "suites[*,cases[*]],items[*,task[*],executable[*],actions[*,causes[*]]],task[*],executable[*],computer[*],tools[*],issues[*]"
)


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
            api("/api/json", lambda call: self._tree(call, wire.root_json(self._pipelines(), self.root(call)))),
            api("/whoAmI/api/json", self._who),
            api("/crumbIssuer/api/json", self._crumbs),
            api("/computer/api/json", self._computers),
            api("/queue/api/json", self._queue),
            api("/queue/item/{item:int}/api/json", self._queue_item),
            api("/queue/cancelItem", self._cancel_item, "POST"),
            api("/rssAll", self._feed),
            api(f"{node}/describe", self._node),
            api(f"{node}/log", self._node_log),
            api(
                f"{build}/api/json", lambda call: self._tree(call, wire.run_json(self._find_run(call), self.root(call)))
            ),
            api(f"{job}/lastBuild/api/json", self._last_build),
            api(f"{build}/logText/progressiveText", self._progressive),
            api(f"{build}/consoleText", self._console),
            api(f"{build}/testReport/api/json", self._test_report),
            api(f"{build}/warnings-ng/api/json", self._warnings),
            api(f"{build}/compiler/all/api/json", self._warning_issues),
            api(f"{build}/artifact/{{file:path}}", self._artifact_file),
            api(f"{build}/wfapi/describe", lambda call: answer(self._described(self._pipeline_run(call)))),
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
        text = html.escape(message)
        page = f"<html><head><title>Error {status} {text}</title></head><body><h2>HTTP ERROR {status} {text}</h2></body></html>"
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
            if wire.url_path(pipeline) == f"job/{call.at('path')}":
                return pipeline
        raise self._refuse(404, "Not Found")

    def _find_run(self, call: Call) -> Build:
        for build in wire.runs_of(self._find(call)):
            if str(build.number) == call.at("number"):
                return build
        raise self._refuse(404, "Not Found")

    def _pipeline_run(self, call: Call) -> Build:
        build = self._find_run(call)
        if wire.is_freestyle(build.pipeline):
            raise self._refuse(404, "Not Found")
        return build

    # root, folders, jobs

    def _who(self, _call: Call) -> Response:
        return answer(wire.who_json(self.owner))

    def _crumbs(self, _call: Call) -> Response:
        return answer(wire.crumb_json(self._crumb))

    def _computers(self, call: Call) -> Response:
        return self._tree(call, wire.computers_json(self._pipelines()))

    def _item(self, call: Call) -> Response:
        for pipeline in self._pipelines():
            if pipeline.group and call.at("path") == pipeline.group:
                return self._tree(call, wire.folder_json(self._pipelines(), self.root(call), pipeline.group))
        return self._tree(call, wire.job_json(self._find(call), self.root(call)))

    # runs

    def _last_build(self, call: Call) -> Response:
        runs = wire.runs_of(self._find(call))
        if not runs:
            raise self._refuse(404, "Not Found")
        return self._tree(call, wire.run_json(runs[0], self.root(call)))

    # queue

    def _queue(self, call: Call) -> Response:
        waiting = [build for it in self._pipelines() for build in it.builds if build.state is BuildState.QUEUED]
        return self._tree(
            call,
            {
                "_class": "hudson.model.Queue",
                "discoverableItems": [],
                "items": [wire.queue_item_json(build, self.root(call)) for build in newest_first(waiting)],
            },
        )

    def _queue_item(self, call: Call) -> Response:
        for pipeline in self._pipelines():
            for build in pipeline.builds:
                fresh = not build.finished or self.simulation.now - (build.finished_at or 0) < LEFT_ITEMS_SECONDS
                if str(build.queue_id) == call.at("item") and fresh:
                    return self._tree(call, wire.queue_item_json(build, self.root(call)))
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
        runs = [build for pipeline in self._pipelines() for build in wire.runs_of(pipeline) if build.finished]
        feed = wire.feed_text(newest_first(runs)[:20], self.root(call))
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
        if self._find(call).path in wire.PARAMETERS:
            raise self._refuse(400, "This job is parameterized")
        build, _ = self._begin(call, {})
        return Response(status_code=201, headers=self._location(call, build))

    def _build_with_parameters(self, call: Call) -> Response:
        definitions = wire.PARAMETERS.get(self._find(call).path)
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
            None, 302, headers={"Location": f"{self.root(call)}/{wire.url_path(build.pipeline)}/{build.number}/"}
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
        return Response(None, 302, headers={"Location": f"{self.root(call)}/{wire.url_path(old.pipeline)}/"})

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
        return answer(stages.pending_inputs_json(build, self.mount))

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

    def _described(self, build: Build) -> JSON:
        return stages.run_json(build, self.mount, self.simulation.now)

    def _wf_runs(self, call: Call) -> Response:
        pipeline = self._find(call)
        if wire.is_freestyle(pipeline):
            raise self._refuse(404, "Not Found")
        since = call.query.get("since", "").removeprefix("#")
        runs = wire.runs_of(pipeline)
        if since.isdigit():
            runs = [build for build in runs if build.number >= int(since)]
        return answer([self._described(build) for build in (runs if since else runs[:10])])

    def _find_node(self, call: Call) -> tuple[Build, int, Job]:
        build = self._pipeline_run(call)
        for index, job in enumerate(build.current):
            if int(call.at("node")) in {stages.node_id(index), stages.node_id(index) + 1}:
                return build, index, job
        raise self._refuse(404, "Not Found")

    def _node(self, call: Call) -> Response:
        build, index, job = self._find_node(call)
        stage = stages.stage_json(build, index, job, self.mount, self.simulation.now)
        step = stages.step_json(build, index, stage, self.mount)
        if int(call.at("node")) == int(step["id"]):
            return answer(step)
        return answer({**stage, "stageFlowNodes": [step]})

    def _node_log(self, call: Call) -> Response:
        build, index, job = self._find_node(call)
        return answer(
            stages.node_log_json(build, index, job, self.mount, self.simulation.now) | {"nodeId": call.at("node")}
        )

    def _wf_artifacts(self, call: Call) -> Response:
        build = self._pipeline_run(call)
        return answer(stages.artifacts_json(build, self.mount))

    # logs, files, tests, warnings

    def _progressive(self, call: Call) -> Response:
        build = self._find_run(call)
        data = wire.log_bytes(build, self.simulation.now)
        text = call.query.get("start", "0")
        start = int(text) if text.isdigit() and int(text) <= len(data) else 0
        headers = {"X-Text-Size": str(len(data))}
        if not build.finished:
            headers["X-More-Data"] = "true"
        return PlainTextResponse(data[start:], headers=headers)

    def _console(self, call: Call) -> Response:
        return PlainTextResponse(wire.log_bytes(self._find_run(call), self.simulation.now).replace(b"\r\n", b"\n"))

    def _artifact_file(self, call: Call) -> Response:
        for job in self._find_run(call).current:
            for artifact in job.artifacts:
                if artifact.path == call.at("file"):
                    return Response(artifact.content, media_type=artifact.mime)
        raise self._refuse(404, "Not Found")

    def _test_report(self, call: Call) -> Response:
        build = self._find_run(call)
        if next(build.tests(), None) is None:
            raise self._refuse(404, "Not Found")
        return self._tree(call, wire.test_report_json(build))

    def _warnings(self, call: Call) -> Response:
        build = self._find_run(call)
        if not any(step.warnings for step in build.pipeline.steps):
            raise self._refuse(404, "Not Found")
        return self._tree(call, wire.warning_tools_json(build, self.root(call)))

    def _warning_issues(self, call: Call) -> Response:
        return self._tree(call, wire.warning_issues_json(self._find_run(call)))

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{wire.url_path(build.pipeline)}/{build.number}/"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{wire.url_path(pipeline)}/"

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
                body=json.dumps(wire.notification_json(build, phase, self.root())).encode(),
            )
            for phase in phases
        ]


def _form(call: Call) -> dict[str, str]:
    if not call.header("content-type").startswith("application/x-www-form-urlencoded"):
        return {}
    return {name: values[-1] for name, values in parse_qs(call.body.decode(), keep_blank_values=True).items()}
