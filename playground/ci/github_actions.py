"""A stand-in of the part of GitHub's REST API that Actions needs, for one owner, `acme`."""

import hashlib
import hmac
import json
import uuid
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import github_actions_wire as wire
from playground.ci.github_actions_logs import log_archive, log_file
from playground.ci.github_actions_requests import BadDispatch, admits, dispatched_inputs, dispatched_ref
from playground.ci.github_actions_wire import OWNER
from playground.ci.model import (
    Artifact,
    Build,
    Commit,
    Job,
    JobState,
    Person,
    Pipeline,
    Repo,
    Result,
    Source,
)
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, link_header, whole

PER_HOUR = 5000
DOCS = "https://docs.github.com/rest"


class GitHubActions(System):
    """GitHub Actions."""

    name = "github_actions"
    label = "GitHub Actions"
    connection = "demo-github"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = "ghp_" + hashlib.sha256(f"{simulation.seed}/github".encode()).hexdigest()[:36]
        self._meter = Meter(round(PER_HOUR * simulation.quota), 3600)
        self._decisions: dict[str, list[JSON]] = {}
        self._hooks: list[JSON] = []

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "github_actions",
            "url": f"{base}{self.mount}",
            "owner": OWNER,
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        repo = "/repos/{owner}/{repo}"
        actions = f"{repo}/actions"
        workflow, run = f"{actions}/workflows/{{workflow}}", f"{actions}/runs/{{run:int}}"
        attempt, job = f"{run}/attempts/{{attempt:int}}", f"{actions}/jobs/{{job:int}}"
        return [
            api("/user", lambda call: answer(wire.user_json(self.owner, self.root(call)))),
            api("/user/repos", self._repositories),
            api("/orgs/{org}/repos", self._repositories),
            api("/rate_limit", self._rate_limit),
            api(repo, lambda call: answer(wire.repository_json(self._repo(call), self.root(call)))),
            api(f"{repo}/branches", self._branches),
            api(f"{repo}/branches/{{branch:path}}", self._one_branch),
            api(f"{repo}/tags", self._tags),
            api(f"{repo}/pulls", self._pulls),
            api(f"{repo}/git/matching-refs/{{ref:path}}", self._matching),
            api(f"{repo}/contents/{{path:path}}", self._contents),
            api(f"{repo}/commits/{{ref:path}}/check-runs", self._commit_checks),
            api(f"{repo}/commits/{{ref:path}}", self._commit),
            api(f"{actions}/workflows", self._workflows),
            api(workflow, lambda call: answer(wire.workflow_json(self._find_workflow(call), self.root(call)))),
            api(f"{workflow}/runs", self._runs),
            api(f"{workflow}/dispatches", self._dispatch, "POST"),
            api(f"{actions}/runs", self._runs),
            api(run, lambda call: self._tagged(call, self._run(self._find_run(call), call))),
            api(f"{run}/jobs", self._run_jobs),
            api(f"{run}/logs", self._run_logs),
            api(f"{run}/artifacts", self._run_artifacts),
            api(f"{run}/cancel", self._cancel, "POST"),
            api(f"{run}/force-cancel", self._cancel, "POST"),
            api(f"{run}/rerun", self._rerun, "POST"),
            api(f"{run}/rerun-failed-jobs", self._rerun_failed, "POST"),
            api(f"{run}/pending_deployments", self._pending),
            api(f"{run}/pending_deployments", self._review, "POST"),
            api(f"{run}/approvals", lambda call: answer(self._decisions.get(self._find_run(call).uid, []))),
            api(f"{run}/approve", self._no_fork, "POST"),
            api(attempt, self._attempt),
            api(f"{attempt}/jobs", self._attempt_jobs),
            api(f"{attempt}/logs", self._run_logs),
            api(job, lambda call: answer(wire.job_json(*self._find_job(call), self.root(call)))),
            api(f"{job}/logs", self._job_logs),
            api(f"{job}/rerun", self._rerun_job, "POST"),
            api(f"{actions}/artifacts/{{artifact:int}}", self._get_artifact),
            api(f"{actions}/artifacts/{{artifact:int}}/zip", self._download),
            api(f"{repo}/check-suites/{{suite:int}}/check-runs", self._suite_checks),
            api(
                f"{repo}/check-runs/{{job:int}}",
                lambda call: answer(wire.check_run_json(*self._find_job(call), self.root(call))),
            ),
            api(f"{repo}/check-runs/{{job:int}}/annotations", self._annotations),
            api(f"{repo}/hooks", lambda _call: answer(self._hooks)),
            api(f"{repo}/hooks", self._create_hook, "POST"),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        if not call.header("user-agent"):
            return Response(
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.", 403
            )
        version = call.header("x-github-api-version")
        if version and version not in {"2022-11-28", "2026-03-10"}:
            return self.failure(410, f"Unsupported API version '{version}'.")
        scheme, _, token = call.header("authorization").partition(" ")
        if scheme not in {"Bearer", "token"} or not hmac.compare_digest(token.encode(), self.token.encode()):
            return self.failure(401, "Bad credentials")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        meter = self._meter
        return {
            "X-RateLimit-Limit": str(meter.limit),
            "X-RateLimit-Remaining": str(meter.left()),
            "X-RateLimit-Used": str(meter.used),
            "X-RateLimit-Reset": str(meter.resets_at),
            "X-RateLimit-Resource": "core",
            "X-OAuth-Scopes": "repo, workflow",
        }

    @override
    def failure(self, status: int, message: str) -> Response:
        said = "Bad credentials" if status == 401 else message
        return answer({"message": said, "documentation_url": DOCS, "status": str(status)}, status)

    @override
    def limited(self, retry_after: float) -> Response:
        response = self.failure(403, f"API rate limit exceeded for user ID {self.owner.number}.")
        response.headers["Retry-After"] = str(round(retry_after))
        response.headers["X-RateLimit-Remaining"] = "0"
        return response

    def _refuse(self, status: int, message: str) -> Refusal:
        return Refusal(self.failure(status, message))

    def _tagged(self, call: Call, data: object, headers: dict[str, str] | None = None) -> Response:
        """Return the answer with a validator of its own, or 304, which costs nothing of the limit."""
        etag = f'W/"{hashlib.sha256(json.dumps(data).encode() + self.token.encode()).hexdigest()}"'
        if call.header("if-none-match") == etag:
            self._meter.used -= 1
            return Response(None, 304, headers={"ETag": etag})
        return answer(data, headers={**(headers or {}), "ETag": etag})

    def _paged(self, call: Call, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        page, size = whole(call.query.get("page"), 1), whole(call.query.get("per_page"), 30, most=100)
        last = max(-(-len(items) // size), 1)
        pages: dict[str, dict[str, str | int]] = {}
        if page > 1:
            pages |= {"prev": {"page": page - 1}, "first": {"page": 1}}
        if page < last:
            pages |= {"next": {"page": page + 1}, "last": {"page": last}}
        return items[(page - 1) * size : page * size], {"Link": link_header(call, pages)} if pages else {}

    def _listing(self, call: Call, member: str | None, items: list[Any]) -> Response:
        page, headers = self._paged(call, items)
        return self._tagged(call, {"total_count": len(items), member: page} if member else page, headers)

    # finding

    def _repos(self) -> list[Repo]:
        found = {pipeline.repo.slug: pipeline.repo for pipeline in self.simulation.of_system(self.name)}
        return list(found.values())

    def _repo(self, call: Call) -> Repo:
        for repo in self._repos():
            if (repo.owner, repo.name) == (call.at("owner"), call.at("repo")):
                return repo
        raise self._refuse(404, "Not Found")

    def _of_repo(self, call: Call) -> list[Pipeline]:
        repo = self._repo(call)
        return [pipeline for pipeline in self.simulation.of_system(self.name) if pipeline.repo is repo]

    def _find_workflow(self, call: Call) -> Pipeline:
        for pipeline in self._of_repo(call):
            if call.at("workflow") in {str(pipeline.number), wire.file_of(pipeline)}:
                return pipeline
        raise self._refuse(404, "Not Found")

    def _find_run(self, call: Call) -> Build:
        for pipeline in self._of_repo(call):
            for build in pipeline.builds:
                if str(build.id) == call.at("run"):
                    return build
        raise self._refuse(404, "Not Found")

    def _find_job(self, call: Call) -> tuple[Build, Job]:
        for pipeline in self._of_repo(call):
            for build in pipeline.builds:
                for job in build.jobs:
                    if str(job.number) == call.at("job"):
                        return build, job
        raise self._refuse(404, "Not Found")

    # people, repositories, refs

    def _repositories(self, call: Call) -> Response:
        if call.request.path_params.get("org", OWNER) != OWNER:
            raise self._refuse(404, "Not Found")
        return self._listing(call, None, [wire.repository_json(repo, self.root(call)) for repo in self._repos()])

    def _rate_limit(self, _call: Call) -> Response:
        meter = self._meter
        core = {"limit": meter.limit, "used": meter.used, "remaining": meter.left(), "reset": meter.resets_at}
        return answer({"resources": {"core": core, "search": core}, "rate": core})

    def _branches(self, call: Call) -> Response:
        repo = self._repo(call)
        branches = wire.branches_json(repo, self.root(call))
        return self._listing(call, None, branches)

    def _one_branch(self, call: Call) -> Response:
        repo, name = self._repo(call), call.at("branch")
        if name not in repo.branches:
            raise self._refuse(404, "Branch not found")
        commit = repo.branches[name]
        return answer({"name": name, "commit": wire.commit_json(repo, commit, self.root(call)), "protected": False})

    def _tags(self, call: Call) -> Response:
        repo = self._repo(call)
        tags = wire.tags_json(repo, self.root(call))
        return self._listing(call, None, tags)

    def _pulls(self, call: Call) -> Response:
        repo = self._repo(call)
        pulls = wire.pulls_json(repo, self.root(call))
        state = call.query.get("state", "open")
        return self._listing(call, None, [it for it in pulls if state in {"all", it["state"]}])

    def _matching(self, call: Call) -> Response:
        repo, prefix = self._repo(call), f"refs/{call.at('ref')}"
        refs = wire.refs_json(repo, prefix, self.root(call))
        return self._listing(call, None, refs)

    def _contents(self, call: Call) -> Response:
        path = call.at("path")
        for pipeline in self._of_repo(call):
            if path == f".github/workflows/{wire.file_of(pipeline)}":
                return answer(wire.workflow_file_json(pipeline, self.root(call)))
        raise self._refuse(404, "Not Found")

    def _the_commit(self, call: Call) -> Commit:
        match = self._repo(call).find(call.at("ref"))
        if match is None:
            raise self._refuse(422, f"No commit found for SHA: {call.at('ref')}")
        return match[0]

    def _commit(self, call: Call) -> Response:
        return answer(wire.commit_json(self._repo(call), self._the_commit(call), self.root(call)))

    # workflows and runs

    def _workflows(self, call: Call) -> Response:
        return self._listing(call, "workflows", [wire.workflow_json(it, self.root(call)) for it in self._of_repo(call)])

    def _runs(self, call: Call) -> Response:
        one = "workflow" in call.request.path_params
        pipelines = [self._find_workflow(call)] if one else self._of_repo(call)
        found = [build for pipeline in pipelines for build in pipeline.builds if admits(call.query, build, self.owner)]
        return self._listing(call, "workflow_runs", [self._run(build, call) for build in newest_first(found)])

    def _run(self, build: Build, call: Call) -> JSON:
        with_pulls = call.query.get("exclude_pull_requests") != "true"
        return wire.run_json(build, self.root(call), self.owner, with_pulls=with_pulls)

    def _dispatch(self, call: Call) -> Response:
        pipeline, body = self._find_workflow(call), self.body(call)
        try:
            name, is_tag = dispatched_ref(pipeline, body)
            inputs = dispatched_inputs(pipeline, body)
        except BadDispatch as exc:
            raise self._refuse(422, str(exc)) from exc
        repo = pipeline.repo
        if not pipeline.enabled:
            raise self._refuse(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
        build = self.simulation.start(
            pipeline,
            commit=repo.tags[name] if is_tag else repo.branches[name],
            source=Source.API,
            branch=None if is_tag else name,
            tag=name if is_tag else None,
            creator=self.owner,
            env=inputs,
        )
        if body.get("return_run_details") is not True and call.header("x-github-api-version") != "2026-03-10":
            return Response(status_code=204)
        run = self._run(build, call)
        return answer({"workflow_run_id": build.id, "run_url": run["url"], "html_url": run["html_url"]})

    def _cancel(self, call: Call) -> Response:
        build = self._find_run(call)
        if build.finished:
            raise self._refuse(409, "Cannot cancel a workflow run that is completed.")
        self.simulation.cancel(build)
        return answer({}, 202)

    def _again(self, build: Build, jobs: list[Job]) -> Response:
        if not build.finished:
            raise self._refuse(403, "This workflow is already running")
        if not jobs:
            raise self._refuse(403, "This workflow run has no failed jobs to rerun")
        self.simulation.retry(build, jobs, self.owner)
        return answer({}, 201)

    def _rerun(self, call: Call) -> Response:
        build = self._find_run(call)
        return self._again(build, build.current)

    def _rerun_failed(self, call: Call) -> Response:
        build = self._find_run(call)
        return self._again(build, [job for job in build.current if job.state.bad or job.state is JobState.CANCELED])

    def _rerun_job(self, call: Call) -> Response:
        build, job = self._find_job(call)
        return self._again(build, [] if job.retried else [job])

    def _attempt(self, call: Call) -> Response:
        build, number = self._find_run(call), int(call.at("attempt"))
        run = self._run(build, call)
        if number == build.attempt:
            return self._tagged(call, run)
        if number not in build.past:
            raise self._refuse(404, "Not Found")
        result, started, finished = build.past[number]
        return self._tagged(
            call,
            {
                **run,
                "run_attempt": number,
                "status": "completed",
                "conclusion": wire.CONCLUSIONS.get(result or Result.FAILED),
                "run_started_at": wire.time_text(started or build.created_at),
                "updated_at": wire.time_text(finished or build.updated_at),
                "previous_attempt_url": None,
            },
        )

    # jobs and logs

    def _run_jobs(self, call: Call) -> Response:
        build = self._find_run(call)
        jobs = build.jobs if call.query.get("filter") == "all" else build.current
        return self._listing(
            call, "jobs", [wire.job_json(build, job, self.root(call)) for job in jobs if wire.is_listed(job)]
        )

    def _attempt_jobs(self, call: Call) -> Response:
        build, number = self._find_run(call), int(call.at("attempt"))
        latest: dict[str, Job] = {job.step.name: job for job in build.jobs if job.build_attempt <= number}
        return self._listing(
            call, "jobs", [wire.job_json(build, job, self.root(call)) for job in latest.values() if wire.is_listed(job)]
        )

    def _to_storage(self, call: Call, artifact: Artifact) -> Response:
        return Response(None, 302, headers={"Location": self.presigned(call, artifact)})

    def _job_logs(self, call: Call) -> Response:
        build, job = self._find_job(call)
        if not job.state.final or job.started_at is None:
            raise self._refuse(404, "Not Found")
        return self._to_storage(call, log_file(build, job, self.simulation.now))

    def _run_logs(self, call: Call) -> Response:
        build = self._find_run(call)
        if not build.finished:
            raise self._refuse(404, "Not Found")
        return self._to_storage(call, log_archive(build, self.simulation.now))

    @override
    def artifact(self, uid: str) -> Artifact | None:
        build = self.simulation.build(self.name, uid)
        if build is not None:
            return log_archive(build, self.simulation.now)
        match = self.simulation.job(self.name, uid)
        return log_file(*match, self.simulation.now) if match else super().artifact(uid)

    # artifacts

    def _run_artifacts(self, call: Call) -> Response:
        build = self._find_run(call)
        found = [wire.artifact_json(build, it, self.root(call)) for job in build.current for it in job.artifacts]
        return self._listing(call, "artifacts", found)

    def _find_artifact(self, call: Call) -> tuple[Build, Artifact]:
        for pipeline in self._of_repo(call):
            for build in pipeline.builds:
                for job in build.jobs:
                    for artifact in job.artifacts:
                        if str(artifact.number) == call.at("artifact"):
                            return build, artifact
        raise self._refuse(404, "Not Found")

    def _get_artifact(self, call: Call) -> Response:
        return answer(wire.artifact_json(*self._find_artifact(call), self.root(call)))

    def _download(self, call: Call) -> Response:
        return self._to_storage(call, self._find_artifact(call)[1])

    # checks

    def _suite_checks(self, call: Call) -> Response:
        for pipeline in self._of_repo(call):
            for build in pipeline.builds:
                if str(build.id + wire.SUITES) == call.at("suite"):
                    checks = [
                        wire.check_run_json(build, job, self.root(call)) for job in build.current if wire.is_listed(job)
                    ]
                    return self._listing(call, "check_runs", checks)
        raise self._refuse(404, "Not Found")

    def _commit_checks(self, call: Call) -> Response:
        commit = self._the_commit(call)
        checks = [
            wire.check_run_json(build, job, self.root(call))
            for pipeline in self._of_repo(call)
            for build in pipeline.builds
            if build.commit is commit
            for job in build.current
            if wire.is_listed(job)
        ]
        return self._listing(call, "check_runs", checks)

    def _annotations(self, call: Call) -> Response:
        build, job = self._find_job(call)
        annotations = wire.annotations_json(build, job, self.root(call))
        return self._listing(call, None, annotations)

    # approvals

    def _pending(self, call: Call) -> Response:
        build = self._find_run(call)
        return answer(wire.pending_deployments_json(build, self.root(call), self.owner))

    def _review(self, call: Call) -> Response:
        build, body = self._find_run(call), self.body(call)
        ids, state, comment = body.get("environment_ids"), body.get("state"), body.get("comment")
        if not isinstance(ids, list) or state not in {"approved", "rejected"} or not isinstance(comment, str):
            raise self._refuse(422, "Invalid request.\n\nenvironment_ids, state and comment are required.")
        repo = build.pipeline.repo
        approvals = [job for job in build.approvals if wire.ENVIRONMENTS + repo.number in ids]
        if not approvals:
            raise self._refuse(422, "No pending deployment requests to approve or reject")
        made = []
        for job in approvals:
            environment = wire.environment_json(job, repo, self.root(call))
            decision = {
                "environments": [environment],
                "state": state,
                "user": wire.user_json(self.owner, self.root(call)),
                "comment": comment,
            }
            self._decisions.setdefault(build.uid, []).append(decision)
            decide = self.simulation.approve if state == "approved" else self.simulation.reject
            decide(build, job, self.owner, comment)
            made.append(wire.deployment_json(build, job, self.root(call), self.owner, self.simulation.now))
        return answer(made)

    def _no_fork(self, call: Call) -> Response:
        self._find_run(call)
        raise self._refuse(403, "This run is not from a fork pull request or queued")

    def _create_hook(self, call: Call) -> Response:
        repo, body = self._repo(call), self.body(call)
        config = body.get("config")
        if not isinstance(config, dict) or not config.get("url"):
            raise self._refuse(422, "Validation Failed")
        hook = wire.hook_json(repo, len(self._hooks) + 1, body, self.root(call), self.simulation.now)
        self._hooks.append(hook)
        return answer(hook, 201)

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{build.pipeline.repo.slug}/actions/runs/{build.id}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{pipeline.repo.slug}/actions/workflows/{wire.file_of(pipeline)}"

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        actions = {
            "created": "requested",
            "reopened": "requested",
            "started": "in_progress",
            "waiting": "in_progress",
            "finished": "completed",
        }
        if event not in actions:
            return []
        run, repo = wire.run_json(build, self.root(), self.owner), build.pipeline.repo
        sender = wire.user_json(build.creator or self.owner, self.root())
        payload = {
            "action": actions[event],
            "workflow_run": run,
            "workflow": None,
            "repository": wire.repository_json(repo, self.root()),
            "sender": sender,
        }
        body = json.dumps(payload).encode()
        signed = hmac.new(self.webhook_secret.encode(), body, "sha256").hexdigest()
        return [
            WebhookRequest(
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": "GitHub-Hookshot/demo",
                    "X-GitHub-Event": "workflow_run",
                    "X-GitHub-Delivery": str(
                        uuid.uuid5(uuid.UUID(build.uid), f"{event}/{build.attempt}/{build.updated_at}")
                    ),
                    "X-GitHub-Hook-ID": "1",
                    "X-GitHub-Hook-Installation-Target-Type": "repository",
                    "X-Hub-Signature-256": f"sha256={signed}",
                },
                body=body,
            )
        ]
