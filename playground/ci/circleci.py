"""A stand-in of CircleCI's API v2, and of the reads of v1.1 that v2 lacks, for one organization, `gh/acme`.

A build is a pipeline of one workflow; each attempt of a build is a workflow of its own under the same name.
"""

import base64
import binascii
import hmac
import json
import uuid
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import circleci_wire as wire
from playground.ci import job_output
from playground.ci.attempts import Attempt, attempt, attempts
from playground.ci.circleci_wire import ORGANIZATION, ORGANIZATION_ID, WORKFLOW
from playground.ci.model import (
    Artifact,
    Build,
    BuildState,
    Job,
    JobState,
    Person,
    Pipeline,
    Source,
    iso,
    stamp,
)
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, whole

PER_MINUTE = 600
PAGE = 20
SETUP_SECONDS = 1.0
LONG = {"gh": "github", "github": "github"}


class CircleCI(System):
    """CircleCI."""

    name = "circleci"
    label = "CircleCI"
    connection = "demo-circleci"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = f"CCIPAT_{self.secret('token')[:40]}"
        self._meter = Meter(round(PER_MINUTE * simulation.quota), 60)
        self._hooks: list[JSON] = []

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "circleci",
            "url": f"{base}{self.mount}",
            "organization": f"gh/{ORGANIZATION}",
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api, v2 = self.api, "/api/v2"
        project = f"{v2}/project/{{vcs}}/{{org}}/{{repo}}"
        pipeline, workflow = f"{v2}/pipeline/{{pipeline}}", f"{v2}/workflow/{{workflow}}"
        insights, older = f"{v2}/insights/{{vcs}}/{{org}}/{{repo}}", "/api/v1.1/project/{vcs}/{org}/{repo}"
        return [
            api(f"{v2}/me", lambda _call: answer(wire.user(self.owner))),
            api(f"{v2}/user/{{user}}", self._user),
            api(f"{v2}/me/collaborations", self._collaborations),
            api(f"{v2}/pipeline", self._organization_pipelines),
            api(pipeline, lambda call: answer(self._pipeline(self._find_build(call)))),
            api(f"{pipeline}/config", self._config),
            api(f"{pipeline}/values", self._values),
            api(f"{pipeline}/workflow", self._workflows),
            api(workflow, lambda call: answer(wire.workflow(self._find_workflow(call), self.owner))),
            api(f"{workflow}/job", self._workflow_jobs),
            api(f"{workflow}/cancel", self._cancel, "POST"),
            api(f"{workflow}/rerun", self._rerun, "POST"),
            api(f"{workflow}/approve/{{approval}}", self._approve, "POST"),
            api(f"{v2}/projects/{{project}}/pipeline-definitions", self._definitions),
            api(f"{v2}/jobs/{{job}}/cancel", self._cancel_job_by_id, "POST"),
            api(f"{v2}/webhook", self._list_hooks),
            api(f"{v2}/webhook", self._create_hook, "POST"),
            api(f"{insights}/branches", self._branches),
            api(f"{project}/pipeline", self._project_pipelines),
            api(f"{project}/pipeline", self._start_older, "POST"),
            api(f"{project}/pipeline/run", self._start, "POST"),
            api(f"{project}/pipeline/mine", self._own_pipelines),
            api(f"{project}/pipeline/{{number:int}}", self._pipeline_by_number),
            api(f"{project}/job/{{job:int}}", self._job_details),
            api(f"{project}/job/{{job:int}}/cancel", self._cancel_job, "POST"),
            api(f"{project}/{{job:int}}/artifacts", self._artifacts),
            api(f"{project}/{{job:int}}/tests", self._tests),
            api(project, lambda call: answer(wire.project(self._find_project(call), self.root(call)))),
            api("/api/v1.1/projects", self._followed),
            api("/api/v1.1/recent-builds", self._recent),
            api(f"{older}/{{job:int}}", self._steps),
            api(f"{older}/{{job:int}}/output/{{step:int}}/{{index:int}}", self._output_text),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, value = call.header("authorization").partition(" ")
        token = value if scheme.lower() == "bearer" else call.header("circle-token")
        if scheme.lower() == "basic":
            token = _basic_user(value)
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return self.failure(401, "You must log in first.")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        meter = self._meter
        return {
            "RateLimit-Limit": str(meter.limit),
            "RateLimit-Remaining": str(meter.left()),
            "RateLimit-Reset": str(meter.reset_in(now)),
            "X-RateLimit-Limit-Minute": str(meter.limit),
            "X-RateLimit-Remaining-Minute": str(meter.left()),
        }

    @override
    def failure(self, status: int, message: str) -> Response:
        return answer({"message": message}, status)

    @override
    def limited(self, retry_after: float) -> Response:
        response = self.failure(429, "Rate Limit Exceeded")
        response.headers["Retry-After"] = str(round(retry_after))
        return response

    def _refuse(self, status: int, message: str) -> Refusal:
        return Refusal(self.failure(status, message))

    def _listing(self, call: Call, items: list[Any]) -> Response:
        token = call.query.get("page-token")
        try:
            start = int(base64.urlsafe_b64decode(token.encode())) if token else 0
        except (ValueError, binascii.Error):
            raise self._refuse(400, "The page token is invalid.") from None
        following = start + PAGE
        more = base64.urlsafe_b64encode(str(following).encode()).decode() if following < len(items) else None
        return answer({"items": items[start:following], "next_page_token": more})

    # finding

    def _projects(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    def _find_project(self, call: Call) -> Pipeline:
        for pipeline in self._projects():
            owner, name = pipeline.repo.owner, pipeline.repo.name
            if call.at("vcs") in LONG and (call.at("org").lower(), call.at("repo").lower()) == (owner, name):
                return pipeline
        raise self._refuse(404, "Project not found")

    def _find_build(self, call: Call) -> Build:
        for pipeline in self._projects():
            for build in pipeline.builds:
                if build.uid == call.at("pipeline"):
                    return build
        raise self._refuse(404, "Pipeline not found")

    def _find_workflow(self, call: Call) -> Attempt:
        for pipeline in self._projects():
            for build in pipeline.builds:
                for each in self._begun(build):
                    if wire.workflow_id(each) == call.at("workflow"):
                        return each
        raise self._refuse(404, "Workflow not found")

    def _find_job(self, call: Call) -> tuple[Build, Job]:
        for build in self._find_project(call).builds:
            for job in build.jobs:
                if str(job.number) == call.at("job") and wire.has_number(job):
                    return build, job
        raise self._refuse(404, "Job not found")

    def _begun(self, build: Build) -> list[Attempt]:
        """Return the attempts of a build that are workflows already: setting a pipeline up takes a second."""
        is_set_up = build.state is not BuildState.QUEUED or self.simulation.now >= build.created_at + SETUP_SECONDS
        return attempts(build) if is_set_up else []

    # people and projects

    def _user(self, call: Call) -> Response:
        for person in self.simulation.people:
            if person.uid == call.at("user"):
                return answer(wire.user(person))
        raise self._refuse(404, "Not found.")

    def _collaborations(self, _call: Call) -> Response:
        organization = {
            "id": ORGANIZATION_ID,
            "name": ORGANIZATION,
            "slug": f"gh/{ORGANIZATION}",
            "vcs-type": "github",
            "avatar_url": "",
        }
        return answer([organization])

    def _followed(self, call: Call) -> Response:
        return answer(
            [
                {
                    "vcs_type": "github",
                    "vcs_url": f"{self.root(call)}/{pipeline.repo.slug}",
                    "username": pipeline.repo.owner,
                    "reponame": pipeline.repo.name,
                    "default_branch": pipeline.repo.default_branch,
                    "branches": {name: {"recent_builds": []} for name in pipeline.repo.branches},
                }
                for pipeline in self._projects()
            ]
        )

    def _branches(self, call: Call) -> Response:
        pipeline = self._find_project(call)
        names = sorted({build.branch for build in pipeline.builds if build.branch})
        return answer({"org_id": ORGANIZATION_ID, "project_id": pipeline.repo.uid, "branches": names})

    def _definitions(self, call: Call) -> Response:
        for pipeline in self._projects():
            if pipeline.repo.uid == call.at("project"):
                made = {"id": pipeline.uid, "name": WORKFLOW, "description": "", "created_at": iso(pipeline.created_at)}
                return answer({"items": [made]})
        raise self._refuse(404, "Project not found")

    # pipelines

    def _pipeline(self, build: Build) -> JSON:
        actor = build.creator or self.owner
        return wire.pipeline_run(build, actor, self.root(), is_set_up=bool(self._begun(build)))

    def _organization_pipelines(self, call: Call) -> Response:
        if call.query.get("org-slug", "").lower() not in {f"gh/{ORGANIZATION}", f"github/{ORGANIZATION}"}:
            raise self._refuse(404, "Organization not found")
        builds = [build for pipeline in self._projects() for build in pipeline.builds]
        return self._listing(call, [self._pipeline(build) for build in newest_first(builds)])

    def _project_pipelines(self, call: Call) -> Response:
        branch = call.query.get("branch")
        builds = newest_first(self._find_project(call).builds)
        return self._listing(call, [self._pipeline(build) for build in builds if branch in {None, build.branch}])

    def _own_pipelines(self, call: Call) -> Response:
        builds = newest_first(self._find_project(call).builds)
        return self._listing(call, [self._pipeline(build) for build in builds if build.creator == self.owner])

    def _pipeline_by_number(self, call: Call) -> Response:
        for build in self._find_project(call).builds:
            if str(build.number) == call.at("number"):
                return answer(self._pipeline(build))
        raise self._refuse(404, "Pipeline not found")

    def _config(self, call: Call) -> Response:
        text = wire.config_text(self._find_build(call).pipeline)
        return answer({"source": text, "compiled": text})

    def _values(self, call: Call) -> Response:
        build = self._find_build(call)
        values: JSON = {"pipeline.number": build.number, "pipeline.id": build.uid, "pipeline.git.branch": build.ref}
        return answer(values | {f"pipeline.parameters.{name}": value for name, value in build.env.items()})

    def _start(self, call: Call) -> Response:
        body = self.body(call)
        checkout, config = body.get("checkout"), body.get("config")
        if not isinstance(checkout, dict) or not isinstance(config, dict):
            raise self._refuse(400, "config and checkout are required.")
        definition = body.get("definition_id")
        if definition not in {None, self._find_project(call).uid}:
            raise self._refuse(404, "Pipeline definition not found")
        return self._begin(call, checkout, body.get("parameters"))

    def _start_older(self, call: Call) -> Response:
        body = self.body(call)
        return self._begin(call, body, body.get("parameters"))

    def _begin(self, call: Call, checkout: JSON, parameters: object) -> Response:
        pipeline = self._find_project(call)
        repo, branch, tag = pipeline.repo, checkout.get("branch"), checkout.get("tag")
        if branch and tag:
            raise self._refuse(400, "branch and tag are mutually exclusive.")
        values = parameters if isinstance(parameters, dict) else {}
        self._check_parameters(pipeline, values)
        pull = None
        if isinstance(branch, str) and branch.startswith("pull/"):
            pull = repo.pulls.get(whole(branch.split("/")[1], 0))
            branch = pull.branch if pull else None
        name = tag or branch or repo.default_branch
        commit = (repo.tags if tag else repo.branches).get(name)
        if commit is None or (checkout.get("branch") and branch is None):
            raise self._refuse(400, f"{'Tag' if tag else 'Branch'} not found")
        build = self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.API,
            branch=None if tag else name,
            tag=tag,
            pull=pull,
            creator=self.owner,
            env={str(key): value if isinstance(value, str) else json.dumps(value) for key, value in values.items()},
        )
        return answer(
            {"id": build.uid, "number": build.number, "state": "pending", "created_at": stamp(build.created_at)}, 201
        )

    def _check_parameters(self, pipeline: Pipeline, values: JSON) -> None:
        declared = {field.key: field for field in pipeline.parameters}
        for name, value in values.items():
            if name not in declared:
                raise self._refuse(400, f"Unexpected argument(s): {name}")
            if declared[name].options and value not in declared[name].options:
                raise self._refuse(400, f"Type error for argument {name}: expected type: enum, actual value: {value}")

    # workflows and jobs

    def _workflows(self, call: Call) -> Response:
        begun = reversed(self._begun(self._find_build(call)))
        return self._listing(call, [wire.workflow(each, self.owner) for each in begun])

    def _workflow_jobs(self, call: Call) -> Response:
        each = self._find_workflow(call)
        items = [wire.workflow_job(each, job) for job in each.jobs]
        return self._listing(call, items)

    def _cancel(self, call: Call) -> Response:
        each = self._find_workflow(call)
        if not each.is_current or each.build.finished:
            raise self._refuse(400, "The workflow is not cancelable.")
        self.simulation.cancel(each.build)
        return answer({"message": "Accepted."}, 202)

    def _rerun(self, call: Call) -> Response:
        each, body = self._find_workflow(call), self.body(call)
        build, from_failed, ids = each.build, body.get("from_failed") is True, body.get("jobs")
        if from_failed and (ids or body.get("enable_ssh")):
            raise self._refuse(400, "from_failed can not be used together with jobs or enable_ssh.")
        if not build.finished:
            raise self._refuse(400, "The workflow is still running.")
        jobs = build.current
        if from_failed:
            jobs = [job for job in jobs if job.state.bad or job.state is JobState.CANCELED]
        elif isinstance(ids, list):
            jobs = [job for job in jobs if job.uid in ids]
        if not jobs:
            raise self._refuse(400, "There is no failed job to rerun." if from_failed else "Job not found")
        self.simulation.retry(build, jobs, self.owner)
        return answer({"workflow_id": wire.workflow_id(attempt(build, build.attempt))}, 202)

    def _approve(self, call: Call) -> Response:
        each = self._find_workflow(call)
        job = next((job for job in each.build.approvals if job.uid == call.at("approval")), None)
        if job is None or not each.is_current:
            raise self._refuse(404, "Approval request not found")
        self.simulation.approve(each.build, job, self.owner)
        return answer({"message": "Accepted."}, 202)

    def _stop_job(self, build: Build, job: Job) -> Response:
        if job.state.final or build.finished:
            raise self._refuse(400, "The job is not cancelable.")
        self.simulation.cancel_job(build, job)
        return answer({"message": "Job canceled successfully."}, 202)

    def _cancel_job(self, call: Call) -> Response:
        return self._stop_job(*self._find_job(call))

    def _cancel_job_by_id(self, call: Call) -> Response:
        match = self.simulation.job(self.name, call.at("job"))
        if match is None:
            raise self._refuse(404, "Job not found")
        response = self._stop_job(*match)
        response.status_code = 200
        return response

    def _job_details(self, call: Call) -> Response:
        build, job = self._find_job(call)
        return answer(
            wire.job_details(
                build, job, self.root(call), f"{self.root(call)}{self.job_web_path(build, job)}", self.simulation.now
            )
        )

    # files, tests, output

    def _artifacts(self, call: Call) -> Response:
        _, job = self._find_job(call)
        files = [
            {"path": artifact.path, "node_index": 0, "url": self.presigned(call, artifact)}
            for artifact in job.artifacts
        ]
        return self._listing(call, files)

    def _tests(self, call: Call) -> Response:
        _, job = self._find_job(call)
        results = {"passed": "success", "failed": "failure", "skipped": "skipped"}
        items = [
            {
                "name": test.name,
                "classname": test.class_name,
                "file": test.file,
                "result": results[test.outcome],
                "run_time": test.seconds,
                "message": test.message or "",
                "source": "",
            }
            for test in job.tests
        ]
        return self._listing(call, items)

    def _outputs(self, build: Build, job: Job) -> list[tuple[str, list[job_output.Line]]]:
        return job_output.sections(job_output.visible(build, job, self.simulation.now))

    def _steps(self, call: Call) -> Response:
        build, job = self._find_job(call)
        outputs = self._outputs(build, job)
        steps = []
        for index, (title, lines) in enumerate(outputs):
            is_last = index == len(outputs) - 1
            is_over = not is_last or job.state.final
            failed = is_last and job.state.bad
            action = {
                "name": title,
                "step": index,
                "index": 0,
                "status": ("failed" if failed else "success") if is_over else "running",
                "failed": failed or None,
                "exit_code": 1 if failed else 0,
                "has_output": is_over and bool(lines),
                "output_url": self.presigned(call, self._output(build, job, index)) if is_over and lines else None,
                "start_time": iso(job.started_at),
                "end_time": iso(job.finished_at),
                "run_time_millis": 1000,
                "bash_command": job.step.command,
                "timedout": is_last and job.state is JobState.TIMEOUT,
                "infrastructure_fail": is_last and job.reason == "infrastructure",
                "canceled": is_last and job.state is JobState.CANCELED,
            }
            steps.append({"name": title, "actions": [action]})
        return answer(
            {**wire.v1_job(build, job, self.root(), f"{self.root()}{self.job_web_path(build, job)}"), "steps": steps}
        )

    def _output(self, build: Build, job: Job, index: int) -> Artifact:
        at = stamp(job.started_at or build.created_at)
        lines = self._outputs(build, job)[index][1]
        pieces = [{"message": f"{line.coloured}\r\n", "time": at, "type": "out", "truncated": False} for line in lines]
        content = json.dumps(pieces).encode()
        key = f"{job.uid}.{index}"
        return Artifact(uid=key, number=index, path="output.json", kind="", mime="application/json", content=content)

    def _output_text(self, call: Call) -> Response:
        build, job = self._find_job(call)
        index = int(call.at("step"))
        outputs = self._outputs(build, job)
        if index >= len(outputs):
            raise self._refuse(404, "Not found")
        return Response("\r\n".join(line.coloured for line in outputs[index][1]), media_type="text/plain")

    @override
    def artifact(self, uid: str) -> Artifact | None:
        job_uid, _, index = uid.partition(".")
        match = self.simulation.job(self.name, job_uid) if index.isdigit() else None
        if match is not None and int(index) < len(self._outputs(*match)):
            return self._output(*match, int(index))
        return super().artifact(uid)

    def _recent(self, call: Call) -> Response:
        pairs = [
            (build, job)
            for pipeline in self._projects()
            for build in pipeline.builds
            for job in build.jobs
            if wire.has_number(job)
        ]
        pairs.sort(key=lambda pair: pair[1].number, reverse=True)
        start, size = whole(call.query.get("offset"), 0, least=0), whole(call.query.get("limit"), 30, most=100)
        return answer(
            [
                wire.v1_job(build, job, self.root(), f"{self.root()}{self.job_web_path(build, job)}")
                for build, job in pairs[start : start + size]
            ]
        )

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"{self.pipeline_web_path(build.pipeline)}/{build.number}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/pipelines/github/{pipeline.repo.slug}"

    @override
    def job_web_path(self, build: Build, job: Job) -> str:
        workflow = wire.workflow_id(attempt(build, job.build_attempt))
        return f"{self.web_path(build)}/workflows/{workflow}/jobs/{job.number}"

    def _list_hooks(self, call: Call) -> Response:
        scope = call.query.get("scope-id")
        return self._listing(call, [hook for hook in self._hooks if hook["scope"]["id"] == scope])

    def _create_hook(self, call: Call) -> Response:
        body = self.body(call)
        scope = body.get("scope")
        if not body.get("url") or not isinstance(scope, dict):
            raise self._refuse(400, "url and scope are required.")
        at, number = stamp(self.simulation.now), len(self._hooks)
        hook: JSON = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.secret('hooks')}/{number}")),
            "url": body["url"],
            "name": body.get("name", ""),
            "verify-tls": body.get("verify-tls", True),
            "signing-secret": "****",
            "events": body.get("events") or ["workflow-completed"],
            "scope": scope,
            "created-at": at,
            "updated-at": at,
        }
        self._hooks.append(hook)
        return answer(hook, 201)

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        if event not in {"finished", "job", "failing"}:
            return []
        ended = [job for job in build.current if job.finished_at == build.updated_at and wire.has_number(job)]
        kinds: list[tuple[str, JSON]] = []
        if event == "finished":
            current = wire.workflow(attempt(build, build.attempt), self.owner)
            kinds.append(("workflow-completed", {"workflow": {**current, "url": self.web_url(build)}}))
        else:
            kinds += [("job-completed", {"job": wire.hook_job(job)}) for job in ended]
        return [self._hook_request(kind, build, more) for kind, more in kinds]

    def _hook_request(self, kind: str, build: Build, more: JSON) -> WebhookRequest:
        pipeline, subject = build.pipeline, next(iter(more.values()))
        key = uuid.uuid5(uuid.UUID(build.uid), f"{kind}/{subject['id']}")
        body = json.dumps(
            {
                "id": str(key),
                "type": kind,
                "happened_at": stamp(build.updated_at),
                "webhook": {"id": str(uuid.UUID(pipeline.uid)), "name": "bot"},
                "project": {
                    "id": pipeline.repo.uid,
                    "name": pipeline.repo.name,
                    "slug": f"github/{pipeline.repo.slug}",
                },
                "organization": {"id": ORGANIZATION_ID, "name": ORGANIZATION},
                "pipeline": self._pipeline(build),
                **more,
            }
        ).encode()
        signature = hmac.new(self.webhook_secret.encode(), body, "sha256").hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "CircleCI-Webhook/1.0",
            "circleci-event-type": kind,
            "circleci-signature": f"v1={signature}",
        }
        return WebhookRequest(headers=headers, body=body)


def _basic_user(value: str) -> str:
    """Return the user name of Basic credentials, empty for nonsense."""
    try:
        return base64.b64decode(value).decode().partition(":")[0]
    except (ValueError, binascii.Error):
        return ""
