"""A stand-in of Azure DevOps Pipelines (API 7.1) for one organization, `acme`, with one project, `Atlas`."""

import base64
import binascii
import hmac
import json
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import azure_devops_wire as wire
from playground.ci.azure_devops_wire import HEADS, PROJECT, PROJECT_ID, TAGS
from playground.ci.model import Artifact, Build, Commit, Job, JobState, Person, Pipeline, Pull, Repo, Source, stamp
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, whole

ORGANIZATION = "acme"
UNITS = 200
WINDOW_SECONDS = 300
TYPE_KEYS = {
    400: "InvalidRequestException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "InvalidBuildOperationException",
    429: "RequestBlockedException",
}
RETRIED = (JobState.FAILED, JobState.TIMEOUT, JobState.CANCELED)


class AzureDevOps(System):
    """Azure DevOps."""

    name = "azure_devops"
    label = "Azure DevOps"
    connection = "demo-azure"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = self.secret("token")[:52]
        self._meter = Meter(round(UNITS * simulation.quota), WINDOW_SECONDS)
        self._subscriptions: list[JSON] = []

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "azure_devops",
            "url": f"{base}{self.mount}",
            "organization": ORGANIZATION,
            "project": PROJECT,
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        home, own = f"/{ORGANIZATION}/_apis", f"/{ORGANIZATION}/{{project}}/_apis"
        build, pipeline = f"{own}/build/builds/{{build:int}}", f"{own}/pipelines/{{pipeline:int}}"
        repos, tests = f"{own}/git/repositories", f"{own}/test"
        return [
            api(f"{home}/projects", lambda call: self._listing(call, [wire.project()])),
            api(f"{home}/projects/{{project}}", self._project),
            api(f"{home}/connectionData", self._connection_data),
            api(f"{home}/hooks/subscriptions", lambda call: self._listing(call, self._subscriptions)),
            api(f"{home}/hooks/subscriptions", self._subscribe, "POST"),
            api(f"{own}/build/definitions", self._definitions),
            api(f"{own}/build/definitions/{{pipeline:int}}", self._definition),
            api(f"{own}/build/builds", self._builds),
            api(f"{own}/build/builds", self._queue, "POST"),
            api(build, lambda call: answer(self._run(self._find_build(call), call))),
            api(build, self._change_build, "PATCH"),
            api(f"{build}/timeline", self._timeline),
            api(f"{build}/timeline/{{timeline}}", self._timeline),
            api(f"{build}/stages/{{stage}}", self._change_stage, "PATCH"),
            api(f"{build}/logs", self._logs),
            api(f"{build}/logs/{{log:int}}", self._log),
            api(f"{build}/artifacts", self._artifacts),
            api(f"{build}/changes", self._changes),
            api(f"{own}/pipelines", self._pipelines),
            api(f"{own}/pipelines/approvals", self._approvals),
            api(f"{own}/pipelines/approvals", self._decide, "PATCH"),
            api(f"{own}/pipelines/approvals/{{approval}}", self._approval),
            api(pipeline, self._pipeline),
            api(f"{pipeline}/runs", self._runs),
            api(f"{pipeline}/runs", self._start, "POST"),
            api(f"{pipeline}/runs/{{build:int}}", self._get_run),
            api(f"{pipeline}/runs/{{build:int}}/artifacts", self._signed_artifact),
            api(repos, lambda call: self._listing(call, [wire.repository(repo) for repo in self._repos()])),
            api(f"{repos}/{{repository}}/refs", self._refs),
            api(f"{tests}/runs", self._test_runs),
            api(f"{tests}/runs/{{run:int}}/results", self._test_results),
            api(f"{tests}/Runs/{{run:int}}/results", self._test_results),
            api(f"{own}/testresults/resultsummarybybuild", self._test_summary),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, value = call.header("authorization").partition(" ")
        try:
            token = base64.b64decode(value).decode().partition(":")[2] if scheme.lower() == "basic" else value
        except (ValueError, binascii.Error):
            token = ""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return self._error(401, "TF400813: The user '' is not authorized.") if _is_patch(call) else self._sign_in()
        if not call.query.get("api-version"):
            return self._error(400, "No api-version was supplied for this request.", "VssVersionNotSpecifiedException")
        return None

    def _sign_in(self) -> Response:
        """Return the page that the service shows for a bad credential, instead of 401."""
        return HTMLResponse("<html><title>Azure DevOps Services | Sign In</title></html>", 203)

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        meter = self._meter
        return {
            "X-RateLimit-Resource": f"{ORGANIZATION}/Core",
            "X-RateLimit-Limit": str(meter.limit),
            "X-RateLimit-Remaining": str(meter.left()),
            "X-RateLimit-Reset": str(meter.resets_at),
        }

    @override
    def failure(self, status: int, message: str) -> Response:
        return self._sign_in() if status == 401 else self._error(status, message)

    @override
    def limited(self, retry_after: float) -> Response:
        response = self._error(
            429, "TF400733: The request has been canceled: Request was blocked due to exceeding usage."
        )
        response.headers["Retry-After"] = str(round(retry_after))
        return response

    def _error(self, status: int, message: str, key: str = "") -> Response:
        key = key or TYPE_KEYS.get(status, "VssServiceException")
        return answer(
            {
                "$id": "1",
                "innerException": None,
                "message": message,
                "typeName": f"Microsoft.TeamFoundation.{key}, Microsoft.TeamFoundation",
                "typeKey": key,
                "errorCode": 0,
                "eventId": 3000,
            },
            status,
        )

    def _refuse(self, status: int, message: str, key: str = "") -> Refusal:
        return Refusal(self._error(status, message, key))

    def _listing(self, call: Call, items: list[Any]) -> Response:
        start, size = whole(call.query.get("continuationToken"), 0, least=0), whole(call.query.get("$top"), 1000)
        page = items[start : start + size]
        more = {"x-ms-continuationtoken": str(start + size)} if start + size < len(items) else {}
        return answer({"count": len(page), "value": page}, headers=more)

    # finding

    def _home(self, call: Call) -> str:
        return f"{self.root(call)}/{ORGANIZATION}"

    def _run(self, build: Build, call: Call) -> JSON:
        return wire.run(build, self._home(call), self.owner)

    def _check_project(self, call: Call) -> None:
        if call.at("project").lower() not in {PROJECT.lower(), PROJECT_ID}:
            message = f"TF200016: The following project does not exist: {call.at('project')}."
            raise self._refuse(404, message, "ProjectDoesNotExistWithNameException")

    def _all(self, call: Call) -> list[Pipeline]:
        self._check_project(call)
        return self.simulation.of_system(self.name)

    def _find_pipeline(self, call: Call) -> Pipeline:
        for pipeline in self._all(call):
            if str(pipeline.number) == call.at("pipeline"):
                return pipeline
        raise self._refuse(404, f"Definition {call.at('pipeline')} does not exist.", "DefinitionNotFoundException")

    def _find_build(self, call: Call) -> Build:
        for pipeline in self._all(call):
            for build in pipeline.builds:
                if str(build.id) == call.at("build"):
                    return build
        raise self._refuse(404, f"The requested build {call.at('build')} could not be found.", "BuildNotFoundException")

    def _repos(self) -> list[Repo]:
        return list({pipeline.repo.uid: pipeline.repo for pipeline in self.simulation.of_system(self.name)}.values())

    def _gates(self) -> list[tuple[Build, Job]]:
        return [
            (build, job)
            for pipeline in self.simulation.of_system(self.name)
            for build in pipeline.builds
            for job in build.current
            if job.step.approval is not None and job.state is not JobState.CREATED
        ]

    # projects, definitions, refs

    def _project(self, call: Call) -> Response:
        self._check_project(call)
        return answer(wire.project())

    def _connection_data(self, _call: Call) -> Response:
        me = {"id": self.owner.uid, "providerDisplayName": self.owner.name, "isActive": True}
        return answer({"authenticatedUser": me, "authorizedUser": me, "instanceId": PROJECT_ID})

    def _definitions(self, call: Call) -> Response:
        pattern = call.query.get("name", "*").lower()
        text, is_wild = pattern.strip("*"), "*" in pattern
        listed = [
            wire.definition(pipeline, self._home(call))
            for pipeline in sorted(self._all(call), key=lambda each: each.name)
            if (text in pipeline.name.lower() if is_wild else text == pipeline.name.lower())
        ]
        return self._listing(call, listed)

    def _definition(self, call: Call) -> Response:
        return answer(wire.definition(self._find_pipeline(call), self._home(call)))

    def _refs(self, call: Call) -> Response:
        self._check_project(call)
        for repo in self._repos():
            if repo.uid == call.at("repository"):
                refs = {f"{HEADS}{name}": commit for name, commit in repo.branches.items()}
                refs |= {f"{TAGS}{name}": commit for name, commit in repo.tags.items()}
                prefix, part = f"refs/{call.query.get('filter', '')}", call.query.get("filterContains", "")
                listed = [
                    {"name": name, "objectId": commit.sha}
                    for name, commit in sorted(refs.items())
                    if name.startswith(prefix) and part in name
                ]
                return self._listing(call, listed)
        raise self._refuse(404, "TF401019: The Git repository does not exist.", "GitRepositoryNotFoundException")

    # builds

    def _builds(self, call: Call) -> Response:
        query = call.query
        definitions = {number for number in query.get("definitions", "").split(",") if number}
        builds = [
            build
            for pipeline in self._all(call)
            if not definitions or str(pipeline.number) in definitions
            for build in pipeline.builds
        ]
        runs = [(build, self._run(build, call)) for build in newest_first(builds)]
        order = query.get("queryOrder", "queueTimeDescending")
        time = order.removesuffix("Descending").removesuffix("Ascending")
        listed = [run for build, run in runs if wire.admits(query, build, run, time)]
        listed.sort(key=lambda run: str(run.get(time, "")), reverse=not order.endswith("Ascending"))
        return self._listing(call, listed)

    def _timeline(self, call: Call) -> Response:
        build = self._find_build(call)
        if build.started_at is None and not build.finished:
            return Response(None, 204)
        return answer(wire.timeline(build, self.simulation.now))

    def _changes(self, call: Call) -> Response:
        return self._listing(call, [wire.change(self._find_build(call).commit)])

    def _change_build(self, call: Call) -> Response:
        build = self._find_build(call)
        if call.query.get("retry", "").lower() == "true":
            if not call.body.strip():
                raise self._refuse(400, "This request expects an object in the request body, but none was supplied.")
            self._retry(build, [job for job in build.current if job.state in RETRIED])
        elif str(self.body(call).get("status", "")).lower() == "cancelling":
            if build.finished:
                raise self._refuse(409, f"Build {build.id} is already completed.")
            self.simulation.cancel(build)
        else:
            raise self._refuse(400, "The build can only be cancelled or retried.")
        return answer(self._run(build, call))

    def _retry(self, build: Build, jobs: list[Job]) -> None:
        if not build.finished:
            raise self._refuse(409, f"Build {build.id} is still in progress.")
        if not jobs:
            raise self._refuse(409, f"Build {build.id} has no failed job to retry.")
        self.simulation.retry(build, jobs, self.owner)

    def _change_stage(self, call: Call) -> Response:
        build, body = self._find_build(call), self.body(call)
        jobs = [job for job in build.current if job.step.stage == call.at("stage")]
        if not jobs:
            raise self._refuse(404, f"Stage {call.at('stage')} does not exist.", "StageNotFoundException")
        match body.get("state"):
            case "retry":
                is_forced = body.get("forceRetryAllJobs") is True
                self._retry(build, [job for job in jobs if is_forced or job.state in RETRIED])
            case "cancel" if not build.finished:
                for job in jobs:
                    self.simulation.cancel_job(build, job)
            case _:
                raise self._refuse(400, "The stage can only be canceled or retried.")
        return Response(None, 200)

    # starting

    def _pipelines(self, call: Call) -> Response:
        listed = [
            {"id": pipeline.number, "name": pipeline.name, "folder": f"\\{pipeline.group}", "revision": 3}
            for pipeline in self._all(call)
        ]
        return self._listing(call, listed)

    def _pipeline(self, call: Call) -> Response:
        pipeline = self._find_pipeline(call)
        return answer({"id": pipeline.number, "name": pipeline.name, "folder": f"\\{pipeline.group}", "revision": 3})

    def _runs(self, call: Call) -> Response:
        builds = newest_first(self._find_pipeline(call).builds)
        return self._listing(call, [wire.pipeline_run(build, self._home(call)) for build in builds])

    def _get_run(self, call: Call) -> Response:
        return answer(wire.pipeline_run(self._find_build(call), self._home(call)))

    def _start(self, call: Call) -> Response:
        pipeline, body = self._find_pipeline(call), self.body(call)
        own = ((body.get("resources") or {}).get("repositories") or {}).get("self") or {}
        variables = {name: str(each.get("value", "")) for name, each in (body.get("variables") or {}).items()}
        build = self._begin(
            pipeline, own.get("refName"), own.get("version"), variables, body.get("templateParameters") or {}
        )
        skipped = body.get("stagesToSkip") or []
        for job in build.jobs:
            if job.step.stage in skipped:
                job.state, job.finished_at = JobState.SKIPPED, self.simulation.now
        self.simulation.decide_outcome(build, build.outcome)
        return answer(wire.pipeline_run(build, self._home(call)))

    def _queue(self, call: Call) -> Response:
        body = self.body(call)
        number = str((body.get("definition") or {}).get("id"))
        pipeline = next((each for each in self._all(call) if str(each.number) == number), None)
        if pipeline is None:
            raise self._refuse(404, f"Definition {number} does not exist.", "DefinitionNotFoundException")
        variables = json.loads(body.get("parameters") or "{}")
        build = self._begin(pipeline, body.get("sourceBranch"), body.get("sourceVersion"), variables, {})
        return answer(self._run(build, call))

    def _begin(
        self, pipeline: Pipeline, ref: str | None, version: str | None, variables: JSON, parameters: JSON
    ) -> Build:
        if parameters:
            message = f"Unexpected parameter '{next(iter(parameters))}'"
            raise self._refuse(400, message, "PipelineValidationException")
        declared = {field.key for field in pipeline.parameters}
        for name in variables:
            if name not in declared:
                message = f"You can't set the following variables: {name}. If you want to be able to set these variables, then edit the pipeline and select Settable at queue time on the variables tab of the pipeline editor."
                raise self._refuse(400, message, "PipelineValidationException")
        if not pipeline.enabled:
            raise self._refuse(400, "The definition is disabled.", "DefinitionDisabledException")
        ref = ref or f"{HEADS}{pipeline.repo.default_branch}"
        commit, pull = self._source(pipeline.repo, ref, version)
        is_tag = ref.startswith(TAGS)
        return self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.API,
            branch=None if is_tag else pull.branch if pull else ref.removeprefix(HEADS),
            tag=ref.removeprefix(TAGS) if is_tag else None,
            pull=pull,
            creator=self.owner,
            env=variables,
        )

    def _source(self, repo: Repo, ref: str, version: str | None) -> tuple[Commit, Pull | None]:
        """Return the commit and the pull request that a full ref means, the commit replaced by a version."""
        number = ref.removeprefix("refs/pull/").partition("/")[0]
        pull = repo.pulls.get(int(number)) if number.isdigit() else None
        heads = {f"{HEADS}{name}": commit for name, commit in repo.branches.items()}
        heads |= {f"{TAGS}{name}": commit for name, commit in repo.tags.items()}
        commit = repo.branches[pull.branch] if pull else heads.get(ref)
        if commit is None:
            message = f"An error occurred while loading the YAML build pipeline. Could not find ref {ref}."
            raise self._refuse(400, message, "PipelineValidationException")
        if version is None:
            return commit, pull
        match = repo.find(version)
        if match is None:
            raise self._refuse(400, f"Could not find version {version}.", "PipelineValidationException")
        return match[0], pull

    # logs, artifacts, tests

    def _logs(self, call: Call) -> Response:
        build = self._find_build(call)
        numbers = [job.number * wire.LOGS_PER_JOB + part for job in build.current for part in range(4)]
        listed = [
            {"id": number, "type": "Container", "lineCount": len(lines), "createdOn": stamp(build.created_at)}
            for number in numbers
            if (lines := wire.log_lines(build, number, self.simulation.now)) is not None
        ]
        return self._listing(call, listed)

    def _log(self, call: Call) -> Response:
        lines = wire.log_lines(self._find_build(call), int(call.at("log")), self.simulation.now)
        if lines is None:
            raise self._refuse(404, f"The log {call.at('log')} was not found.", "BuildLogNotFoundException")
        start, end = whole(call.query.get("startLine"), 0, least=0), whole(call.query.get("endLine"), len(lines))
        part = lines[max(start - 1, 0) : end]
        if "text/plain" not in call.header("accept"):
            return answer({"count": len(part), "value": part})
        return Response("".join(f"{line}\n" for line in part), media_type="text/plain")

    def _files(self, build: Build) -> list[tuple[Job, Artifact]]:
        return [(job, artifact) for job in build.current for artifact in job.artifacts]

    def _artifacts(self, call: Call) -> Response:
        build, name = self._find_build(call), call.query.get("artifactName")
        if name is not None and call.query.get("$format") == "zip":
            return Response(None, 302, headers={"Location": self.presigned(call, self._file(build, name))})
        if name is not None:
            file = self._file(build, name)
            job = next(job for job, each in self._files(build) if each is file)
            return answer(wire.artifact(build, job, file, self._home(call)))
        home = self._home(call)
        return self._listing(call, [wire.artifact(build, job, file, home) for job, file in self._files(build)])

    def _file(self, build: Build, name: str | None) -> Artifact:
        for _, artifact in self._files(build):
            if artifact.kind == name:
                return artifact
        message = f"Artifact {name} was not found for build {build.id}."
        raise self._refuse(404, message, "ArtifactNotFoundException")

    def _signed_artifact(self, call: Call) -> Response:
        file = self._file(self._find_build(call), call.query.get("artifactName"))
        made: JSON = {"name": file.kind, "url": call.url}
        if call.query.get("$expand") == "signedContent":
            expires = stamp(self.simulation.now + 60)
            made["signedContent"] = {"url": self.presigned(call, file), "signatureExpires": expires}
        return answer(made)

    def _tested(self, call: Call, build_id: str) -> list[tuple[Build, Job]]:
        return [
            (build, job)
            for pipeline in self._all(call)
            for build in pipeline.builds
            if str(build.id) == build_id
            for job in build.current
            if job.tests
        ]

    def _test_runs(self, call: Call) -> Response:
        tested = self._tested(call, call.query.get("buildUri", "").rpartition("/")[2])
        return self._listing(call, [wire.test_run(build, job, self._home(call)) for build, job in tested])

    def _test_results(self, call: Call) -> Response:
        self._check_project(call)
        match = self.simulation.job(self.name, call.at("run"))
        if match is None:
            raise self._refuse(404, f"Test run {call.at('run')} not found.", "TestObjectNotFoundException")
        wanted = {word.lower() for word in call.query.get("outcomes", "").split(",") if word}
        results = [row for row in wire.test_results(match[1]) if not wanted or row["outcome"].lower() in wanted]
        start = whole(call.query.get("$skip"), 0, least=0)
        return self._listing(call, results[start:])

    def _test_summary(self, call: Call) -> Response:
        tests = [test for _, job in self._tested(call, call.query.get("buildId", "")) for test in job.tests]
        return answer(wire.test_summary(tests))

    # approvals

    def _find_approval(self, key: str) -> tuple[Build, Job]:
        for build, job in self._gates():
            if wire.approval_id(job) == key.lower():
                return build, job
        raise self._refuse(404, f"Approval {key} was not found.", "ApprovalNotFoundException")

    def _approval_json(self, call: Call, build: Build, job: Job) -> JSON:
        with_steps = "steps" in call.query.get("$expand", "")
        return wire.approval(build, job, self.owner, self._home(call), with_steps=with_steps)

    def _approvals(self, call: Call) -> Response:
        self._check_project(call)
        ids = {key.lower() for key in call.query.get("approvalIds", "").split(",") if key}
        state = call.query.get("state", "").lower()
        listed = [
            self._approval_json(call, build, job)
            for build, job in self._gates()
            if (not ids or wire.approval_id(job) in ids) and (state != "pending" or job.awaits_approval)
        ]
        return self._listing(call, listed)

    def _approval(self, call: Call) -> Response:
        self._check_project(call)
        return answer(self._approval_json(call, *self._find_approval(call.at("approval"))))

    def _decide(self, call: Call) -> Response:
        self._check_project(call)
        try:
            decisions = json.loads(call.body)
        except ValueError:
            decisions = None
        if not isinstance(decisions, list) or not all(isinstance(each, dict) for each in decisions):
            raise self._refuse(400, "The body must be a list of approval updates.")
        made = []
        for each in decisions:
            build, job = self._find_approval(str(each.get("approvalId")))
            status = each.get("status")
            if status not in {"approved", "rejected"}:
                raise self._refuse(400, f"Status {status} is not supported.")
            if not job.awaits_approval:
                raise self._refuse(400, "The approval is already completed.", "ApprovalAlreadyCompletedException")
            decide = self.simulation.approve if status == "approved" else self.simulation.reject
            decide(build, job, self.owner, str(each.get("comment") or ""))
            made.append(self._approval_json(call, build, job))
        return self._listing(call, made)

    # pages and service hooks

    def _subscribe(self, call: Call) -> Response:
        body = self.body(call)
        if not body.get("eventType") or not (body.get("consumerInputs") or {}).get("url"):
            raise self._refuse(400, "eventType and consumerInputs.url are required.")
        key = str(uuid.uuid5(uuid.UUID(PROJECT_ID), f"subscription/{len(self._subscriptions)}"))
        made = {**body, "id": key, "status": "enabled", "probationRetries": 0}
        self._subscriptions.append(made)
        return answer(made)

    @override
    def web_path(self, build: Build) -> str:
        return f"/{ORGANIZATION}/{PROJECT}/_build/results?buildId={build.id}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{ORGANIZATION}/{PROJECT}/_build?definitionId={pipeline.number}"

    @override
    def page_of(self, request: Request) -> str:
        path = str(request.path_params["rest"]).replace(PROJECT_ID, PROJECT)
        query = request.query_params
        names = [name for name in ("buildId", "definitionId") if name in query]
        return f"{path}?{names[0]}={query[names[0]]}" if names else path

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        home = f"{self.root()}/{ORGANIZATION}"
        if event == "finished":
            return [self._hook("build.complete", "2.0", wire.run(build, home, self.owner), build)]
        run = wire.pipeline_run(build, home)
        resource = {"run": run, "pipeline": run["pipeline"], "projectId": PROJECT_ID}
        if event in {"started", "reopened", "resumed"}:
            return [self._hook("ms.vss-pipelines.run-state-changed-event", "5.1-preview.1", resource, build)]
        if event == "waiting" and build.approvals:
            approval = wire.approval(build, build.approvals[0], self.owner, home, with_steps=True)
            resource |= {"approval": approval, "runId": build.id}
            return [self._hook("ms.vss-pipelinechecks-events.approval-pending", "5.1-preview.1", resource, build)]
        return []

    def _hook(self, kind: str, version: str, resource: JSON, build: Build) -> WebhookRequest:
        body = json.dumps(wire.hook(kind, version, resource, build)).encode()
        credentials = base64.b64encode(f"bot:{self.webhook_secret}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
        return WebhookRequest(headers=headers, body=body)


def _is_patch(call: Call) -> bool:
    return call.request.method == "PATCH"
