"""A stand-in of a present-day GitLab: REST v4 and the part of GraphQL that polls many projects at once."""

import base64
import hashlib
import hmac
import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import graphql
from playground.ci.gitlab_server import GitLabServer, job_status, log_text, pipeline_status
from playground.ci.graphql import QueryError, Type
from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Job,
    JobState,
    Pipeline,
    Pull,
    Source,
    Test,
    iso,
    spaced,
    stamp,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, WebhookRequest, answer, link_header, whole

VERSION = "19.1.0-ee"
SOURCES = {
    Source.PUSH: "push",
    Source.PULL: "merge_request_event",
    Source.SCHEDULE: "schedule",
    Source.API: "api",
    Source.WEB: "web",
    Source.REBUILD: "api",
}
STATUSES = frozenset(
    [
        "created",
        "waiting_for_resource",
        "preparing",
        "waiting_for_callback",
        "pending",
        "running",
        "success",
        "failed",
        "canceling",
        "canceled",
        "skipped",
        "manual",
        "scheduled",
    ]
)
REASONS = {"script": "script_failure", "timeout": "job_execution_timeout", "infrastructure": "runner_system_failure"}
MOST_PATHS = 50


class GitLab(GitLabServer):
    """GitLab, REST v4."""

    name = "gitlab"
    label = "GitLab"
    connection = "demo-gitlab"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        key = hashlib.sha256(f"{simulation.seed}/gitlab/signing".encode()).digest()
        self._signing_key = key
        self.webhook_secret = "whsec_" + base64.b64encode(key).decode()
        self.trigger_token = "glptt-" + hashlib.sha256(f"{simulation.seed}/trigger".encode()).hexdigest()[:20]
        self._hooks: list[JSON] = []
        self._told: dict[str, str] = {}

    @property
    @override
    def api_path(self) -> str:
        return "/api/v4"

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "gitlab",
            "url": f"{base}{self.mount}",
            "token": self.token,
            "api_version": "v4",
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api, v4 = self.api, self.api_path
        project = f"{v4}/projects/{{id:path}}"
        pipeline, job = f"{project}/pipelines/{{pipeline_id:int}}", f"{project}/jobs/{{job_id:int}}"
        merge = f"{project}/merge_requests/{{iid:int}}/pipelines"
        return [
            api("/api/graphql", self._graphql, "POST"),
            api(f"{v4}/personal_access_tokens/self", self._token),
            api(f"{v4}/version", self._version),
            api(f"{v4}/metadata", self._version),
            api(f"{v4}/user", lambda call: answer(self.user(self.owner, call))),
            api(f"{v4}/groups", lambda call: self.listing(call, [self._group(call)])),
            api(f"{v4}/groups/{{id:path}}/projects", self._group_projects),
            api(f"{v4}/projects", self._projects),
            api(f"{project}/repository/branches", self.branches),
            api(f"{project}/repository/branches/{{branch:path}}", self.one_branch),
            api(f"{project}/repository/tags", self.tags),
            api(f"{project}/repository/commits/{{sha}}/statuses", self.statuses),
            api(f"{project}/repository/commits/{{sha}}", self._commit),
            api(f"{project}/pipelines/latest", self._latest),
            api(f"{pipeline}/jobs", self._pipeline_jobs),
            api(f"{pipeline}/bridges", self._bridges),
            api(f"{pipeline}/trigger_jobs", self._bridges),
            api(f"{pipeline}/variables", self._variables),
            api(f"{pipeline}/test_report_summary", self._test_summary),
            api(f"{pipeline}/test_report", self._test_report),
            api(f"{pipeline}/cancel", self._cancel, "POST"),
            api(f"{pipeline}/retry", self._retry, "POST"),
            api(pipeline, lambda call: answer(self._pipeline(call, self.build_of(call)))),
            api(f"{project}/pipelines", self._pipelines),
            api(f"{project}/pipeline", self._start, "POST"),
            api(f"{project}/trigger/pipeline", self._trigger, "POST", open_to_all=True),
            api(merge, self._merge_pipelines),
            api(f"{project}/merge_requests", self._merge_requests),
            api(f"{project}/merge_requests/{{iid:int}}", self._get_merge_request),
            api(merge, self._start_merge, "POST"),
            api(f"{project}/jobs/artifacts/{{ref:path}}/download", self._ref_artifacts),
            api(f"{job}/trace", self.trace),
            api(f"{job}/artifacts/{{path:path}}", self._artifact_file),
            api(f"{job}/artifacts", lambda call: self.archive(call, self.job_of(call)[1])),
            api(f"{job}/cancel", self._cancel_job, "POST"),
            api(f"{job}/retry", self._retry_job, "POST"),
            api(f"{job}/play", self._play, "POST"),
            api(f"{job}/erase", self._erase, "POST"),
            api(job, self._get_job),
            api(f"{project}/jobs", self._project_jobs),
            api(f"{project}/pipeline_schedules", self._schedules),
            api(f"{project}/pipeline_schedules/{{sid:int}}/play", self._play_schedule, "POST"),
            api(f"{project}/deployments", self._deployments),
            api(f"{project}/deployments/{{did:int}}/approval", self._no_deployment, "POST"),
            api(f"{project}/hooks", self._list_hooks),
            api(f"{project}/hooks", self._create_hook, "POST"),
            api(project, lambda call: answer(self._project(call, self.project(call)))),
            self.other_paths(),
        ]

    # account and projects

    def _version(self, _call: Call) -> Response:
        return answer(
            {
                "version": VERSION,
                "revision": "5f2c1ab09d3",
                "kas": {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None},
                "enterprise": True,
            }
            | {"kas": {"enabled": False}}
        )

    def _token(self, _call: Call) -> Response:
        return answer(
            {
                "id": 11,
                "name": "buildbell",
                "revoked": False,
                "created_at": stamp(self.simulation.of_system(self.name)[0].created_at),
                "description": "The playground's",
                "scopes": ["api"],
                "user_id": self.owner.number,
                "last_used_at": stamp(self.simulation.now),
                "active": True,
                "expires_at": datetime.fromtimestamp(self.simulation.now + 200 * 86_400, UTC).date().isoformat(),
                "last_used_ips": [],
            }
        )

    def _group(self, call: Call) -> JSON:
        return {
            "id": "9",
            "name": "Acme",
            "path": "acme",
            "full_path": "acme",
            "web_url": f"{self.root(call)}/groups/acme",
        }

    def _project(self, call: Call, pipeline: Pipeline) -> JSON:
        repo, web = pipeline.repo, f"{self.root(call)}/{pipeline.path}"
        return {
            "id": repo.number,
            "description": None,
            "name": repo.name,
            "name_with_namespace": f"{repo.owner.capitalize()} / {repo.name}",
            "path": repo.name,
            "path_with_namespace": pipeline.path,
            "created_at": stamp(pipeline.created_at),
            "default_branch": repo.default_branch,
            "tag_list": [],
            "topics": [],
            "ssh_url_to_repo": f"git@demo.example:{pipeline.path}.git",
            "http_url_to_repo": f"{web}.git",
            "web_url": web,
            "readme_url": None,
            "forks_count": 0,
            "avatar_url": None,
            "star_count": 0,
            "last_activity_at": stamp(max(build.updated_at for build in pipeline.builds)),
            "visibility": "private",
            "archived": False,
            "namespace": {
                "id": 9,
                "name": repo.owner.capitalize(),
                "path": repo.owner,
                "kind": "group",
                "full_path": repo.owner,
            },
        }

    def _projects(self, call: Call) -> Response:
        search = call.query.get("search", "").lower()
        pipelines = [it for it in self.simulation.of_system(self.name) if search in it.path.lower()]
        if call.query.get("pagination") != "keyset":
            return self.listing(call, [self._project(call, it) for it in pipelines])
        if call.query.get("order_by") != "id":
            raise self.refuse(405, "405 Method Not Allowed")
        rising = call.query.get("sort") == "asc"
        pipelines.sort(key=lambda it: it.repo.number, reverse=not rising)
        edge = call.query.get("id_after" if rising else "id_before")
        if edge is not None:
            pipelines = [
                it for it in pipelines if (it.repo.number > int(edge)) == rising and it.repo.number != int(edge)
            ]
        size = whole(call.query.get("per_page"), 20, most=100)
        page = pipelines[:size]
        more = {"next": {"id_after" if rising else "id_before": page[-1].repo.number}} if len(pipelines) > size else {}
        headers = {"Link": link_header(call, more)} if more else {}
        return answer([self._project(call, it) for it in page], headers=headers)

    def _group_projects(self, call: Call) -> Response:
        if call.at("id") not in {"9", "acme"}:
            raise self.refuse(404, "404 Group Not Found")
        wanted = call.query.get("search", "").lower()
        found = [it for it in self.simulation.of_system(self.name) if wanted in it.path.lower()]
        return self.listing(call, [self._project(call, it) for it in found])

    def _commit(self, call: Call) -> Response:
        pipeline = self.project(call)
        commit = self.find_commit(call, pipeline)
        last = next((build for build in newest_first(pipeline.builds) if build.commit is commit), None)
        return answer(
            {
                **self.commit(commit, pipeline.repo, call),
                "stats": {"additions": 14, "deletions": 3, "total": 17},
                "status": pipeline_status(last) if last else None,
                "project_id": pipeline.repo.number,
                "last_pipeline": self._basic(call, last) if last else None,
            }
        )

    # pipelines

    def _basic(self, call: Call | None, build: Build) -> JSON:
        return {
            "id": build.id,
            "iid": build.number,
            "project_id": build.pipeline.repo.number,
            "sha": build.commit.sha,
            "ref": _ref(build),
            "status": pipeline_status(build),
            "source": SOURCES[build.source],
            "created_at": stamp(build.created_at),
            "updated_at": stamp(build.updated_at),
            "web_url": self.web_url(build, call),
            "name": None,
        }

    def _pipeline(self, call: Call, build: Build) -> JSON:
        return {
            **self._basic(call, build),
            "before_sha": build.commit.parent,
            "tag": build.tag is not None,
            "yaml_errors": None,
            "user": self.user(build.creator or self.owner, call),
            "started_at": iso(build.started_at),
            "finished_at": iso(build.finished_at),
            "committed_at": None,
            "duration": _duration(build),
            "queued_duration": _queued(build),
            "coverage": None,
            "detailed_status": self._detailed(build),
        }

    def _detailed(self, build: Build) -> JSON:
        status = pipeline_status(build)
        warned = status == "success" and any(job.soft_failed for job in build.current)
        text = "warning" if warned else {"success": "passed", "manual": "blocked"}.get(status, status)
        label = "passed with warnings" if warned else {"manual": "waiting for manual action"}.get(status, text)
        return {
            "icon": "status_warning" if warned else f"status_{status}",
            "text": text,
            "label": label,
            "group": "success-with-warnings" if warned else status,
            "tooltip": text,
            "has_details": True,
            "details_path": f"{self.mount}{self.web_path(build)}",
            "illustration": None,
            "favicon": f"/assets/ci_favicons/favicon_status_{status}.png",
        }

    def _pipelines(self, call: Call) -> Response:
        pipeline, query = self.project(call), call.query
        self._check_pipeline_query(query)
        builds = [build for build in pipeline.builds if self._admits(query, build)]
        order = query.get("order_by", "id")
        builds.sort(
            key=lambda build: (build.updated_at if order == "updated_at" else 0.0, build.id),
            reverse=query.get("sort", "desc") == "desc",
        )
        return self.listing(call, [self._basic(call, build) for build in builds])

    def _check_pipeline_query(self, query: Mapping[str, str]) -> None:
        for name, allowed in (
            ("scope", {"running", "pending", "finished", "branches", "tags"}),
            ("status", STATUSES),
            ("order_by", {"id", "status", "ref", "updated_at", "user_id"}),
            ("sort", {"asc", "desc"}),
        ):
            if name in query and query[name] not in allowed:
                raise self.wrong(f"{name} does not have a valid value")

    def _admits(self, query: Mapping[str, str], build: Build) -> bool:
        status = pipeline_status(build)
        scope = query.get("scope")
        scopes = {
            "running": status == "running",
            "pending": status == "pending",
            "finished": build.finished,
            "branches": build.branch is not None,
            "tags": build.tag is not None,
        }
        times = (
            ("updated_after", build.updated_at, True),
            ("updated_before", build.updated_at, False),
            ("created_after", build.created_at, True),
            ("created_before", build.created_at, False),
        )
        return (
            (scope is None or scopes[scope])
            and query.get("status", status) == status
            and query.get("source", SOURCES[build.source]) == SOURCES[build.source]
            and query.get("ref", _ref(build)) == _ref(build)
            and query.get("sha", build.commit.sha) == build.commit.sha
            and query.get("username") in {None, (build.creator or self.owner).login}
            and query.get("name") is None
            and all((stamp(at) > self._time(query[name], name)) == after for name, at, after in times if name in query)
        )

    def _time(self, text: str, name: str) -> str:
        try:
            read = datetime.fromisoformat(text)
        except ValueError as exc:
            raise self.wrong(f"{name} is invalid") from exc
        return stamp((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())

    def _latest(self, call: Call) -> Response:
        pipeline = self.project(call)
        ref = call.query.get("ref", pipeline.repo.default_branch)
        head = pipeline.repo.find(ref)
        if head is None:
            raise self.refuse(404, "404 Not Found")
        for build in newest_first(pipeline.builds):
            if build.commit is head[0]:
                return answer(self._pipeline(call, build))
        raise self.refuse(403, "403 Forbidden")

    def _variables(self, call: Call) -> Response:
        build = self.build_of(call)
        return answer(
            [
                {"key": key, "value": value, "variable_type": "env_var", "raw": False, "description": None}
                for key, value in build.env.items()
            ]
        )

    def _start(self, call: Call) -> Response:
        pipeline, body = self.project(call), self.parameters(call)
        ref = body.get("ref")
        if not isinstance(ref, str) or not ref:
            raise self.wrong("ref is missing")
        env = {}
        for variable in body.get("variables") or []:
            if not isinstance(variable, dict) or not isinstance(variable.get("key"), str) or "value" not in variable:
                raise self.wrong("variables[0][key] is missing, variables[0][value] is missing")
            env[variable["key"]] = str(variable["value"])
        inputs = body.get("inputs") or {}
        if inputs:
            name = next(iter(inputs))
            raise self.refuse(
                400,
                {
                    "base": [
                        f"Given inputs not defined in the `spec` section of the included configuration file: {name}"
                    ]
                },
            )
        return self._begin(call, pipeline, ref, env, Source.API)

    def _begin(self, call: Call, pipeline: Pipeline, ref: str, env: dict[str, str], source: Source) -> Response:
        repo = pipeline.repo
        name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if name not in repo.branches and name not in repo.tags:
            raise self.refuse(400, {"base": ["Reference not found"]})
        tag = name if name in repo.tags and name not in repo.branches else None
        build = self.simulation.start(
            pipeline,
            commit=repo.tags[name] if tag else repo.branches[name],
            source=source,
            branch=None if tag else name,
            tag=tag,
            creator=self.owner,
            env=env,
        )
        return answer(self._pipeline(call, build), 201)

    def _trigger(self, call: Call) -> Response:
        pipeline, body = self.project(call), self.parameters(call)
        if not hmac.compare_digest(str(body.get("token", "")).encode(), self.trigger_token.encode()):
            raise self.refuse(404, "404 Not Found")
        env = {str(key): str(value) for key, value in (body.get("variables") or {}).items()}
        return self._begin(call, pipeline, str(body.get("ref") or ""), env, Source.API)

    def _merge_request(self, call: Call, pipeline: Pipeline, pull: Pull) -> JSON:
        return {
            "id": pipeline.repo.number * 1000 + pull.number,
            "iid": pull.number,
            "project_id": pipeline.repo.number,
            "title": pull.title,
            "description": "",
            "state": "closed" if pull.closed else "opened",
            "source_branch": pull.branch,
            "target_branch": pull.target,
            "sha": pipeline.repo.branches[pull.branch].sha,
            "author": self.user(pull.author, call),
            "web_url": f"{self.root(call)}/{pipeline.path}/-/merge_requests/{pull.number}",
        }

    def _merge_requests(self, call: Call) -> Response:
        pipeline, query = self.project(call), call.query
        state = query.get("state", "all")
        if state not in {"all", "opened", "closed", "merged", "locked"}:
            raise self.wrong("state does not have a valid value")
        merge_requests = [self._merge_request(call, pipeline, pull) for pull in pipeline.repo.pulls.values()]
        return self.listing(
            call,
            [
                it
                for it in merge_requests
                if state in {"all", it["state"]}
                and query.get("search", "").lower() in it["title"].lower()
                and query.get("source_branch", it["source_branch"]) == it["source_branch"]
                and (not call.all("iids[]") or str(it["iid"]) in call.all("iids[]"))
            ],
        )

    def _get_merge_request(self, call: Call) -> Response:
        pipeline = self.project(call)
        pull = pipeline.repo.pulls.get(int(call.at("iid")))
        if pull is None:
            raise self.refuse(404, "404 Not found")
        return answer(self._merge_request(call, pipeline, pull))

    def _merge_pipelines(self, call: Call) -> Response:
        pipeline = self.project(call)
        number = int(call.at("iid"))
        if number not in pipeline.repo.pulls:
            raise self.refuse(404, "404 Not Found")
        found = [build for build in newest_first(pipeline.builds) if build.pull and build.pull.number == number]
        return self.listing(call, [self._basic(call, build) for build in found])

    def _start_merge(self, call: Call) -> Response:
        pipeline = self.project(call)
        pull = pipeline.repo.pulls.get(int(call.at("iid")))
        if pull is None:
            raise self.refuse(404, "404 Not Found")
        build = self.simulation.start(
            pipeline,
            commit=pipeline.repo.branches[pull.branch],
            source=Source.PULL,
            branch=pull.branch,
            pull=pull,
            creator=self.owner,
        )
        return answer(self._pipeline(call, build), 201)

    def _cancel(self, call: Call) -> Response:
        build = self.build_of(call)
        if not build.finished:
            self.simulation.cancel(build)
        return answer(self._pipeline(call, build))

    def _retry(self, call: Call) -> Response:
        build = self.build_of(call)
        jobs = [job for job in build.current if job.state.bad or job.state is JobState.CANCELED]
        if jobs:
            self.simulation.retry(build, jobs, self.owner)
        return answer(self._pipeline(call, build), 201)

    # jobs

    def _job(self, call: Call, build: Build, job: Job) -> JSON:
        repo = build.pipeline.repo
        files: list[JSON] = [
            {
                "file_type": artifact.kind,
                "size": len(artifact.content),
                "filename": artifact.path,
                "file_format": "zip" if artifact.kind == "archive" else "gzip",
            }
            for artifact in job.artifacts
            if job.erased_at is None
        ]
        if job.finished_at is not None and job.started_at is not None and job.erased_at is None:
            files.append(
                {
                    "file_type": "trace",
                    "size": len(log_text(build, job, self.simulation.now).encode()),
                    "filename": "job.log",
                    "file_format": None,
                }
            )
        made: JSON = {
            "id": job.number,
            "status": job_status(job),
            "stage": job.step.stage,
            "name": job.step.name,
            "ref": _ref(build),
            "tag": build.tag is not None,
            "coverage": None,
            "allow_failure": _may_fail(job),
            "created_at": stamp(job.created_at),
            "started_at": iso(job.started_at),
            "finished_at": iso(job.finished_at),
            "erased_at": iso(job.erased_at),
            "duration": _job_duration(job, self.simulation.now),
            "queued_duration": round(job.started_at - job.queued_at, 3) if job.started_at and job.queued_at else None,
            "user": self.user(build.creator or self.owner, call),
            "commit": self.commit(build.commit, repo, call),
            "pipeline": self._basic(call, build),
            "web_url": f"{self.root(call)}/{build.pipeline.path}/-/jobs/{job.number}",
            "project": {"ci_job_token_scope_enabled": False},
            "artifacts": files,
            "runner": None,
            "artifacts_expire_at": iso(job.finished_at + 30 * 86_400) if files and job.finished_at else None,
            "archived": False,
            "tag_list": ["docker"],
        }
        if job.state.bad:
            made["failure_reason"] = REASONS.get(job.reason or "script", "script_failure")
        archive = next((artifact for artifact in job.artifacts if artifact.kind == "archive"), None)
        if archive is not None and job.erased_at is None:
            made["artifacts_file"] = {"filename": archive.path, "size": len(archive.content)}
        return made

    def _scoped(self, call: Call, jobs: list[tuple[Build, Job]]) -> list[tuple[Build, Job]]:
        scopes = [*call.all("scope[]"), *call.all("scope")]
        if not set(scopes) <= STATUSES:
            raise self.wrong("scope does not have a valid value")
        found = [pair for pair in jobs if not scopes or job_status(pair[1]) in scopes]
        return sorted(found, key=lambda pair: pair[1].number, reverse=True)

    def _pipeline_jobs(self, call: Call) -> Response:
        build = self.build_of(call)
        jobs = build.jobs if call.query.get("include_retried") == "true" else build.current
        found = self._scoped(call, [(build, job) for job in jobs])
        return self.listing(call, [self._job(call, build, job) for build, job in found])

    def _project_jobs(self, call: Call) -> Response:
        pipeline = self.project(call)
        found = self._scoped(call, [(build, job) for build in pipeline.builds for job in build.jobs])
        page, headers = self.paged(call, [self._job(call, build, job) for build, job in found])
        return answer(page, headers={name: value for name, value in headers.items() if "Total" not in name})

    def _bridges(self, call: Call) -> Response:
        self.build_of(call)
        return self.listing(call, [])

    def _get_job(self, call: Call) -> Response:
        return answer(self._job(call, *self.job_of(call)))

    def _cancel_job(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if not job.state.final and not build.finished:
            self.simulation.cancel_job(build, job)
        return answer(self._job(call, build, job), 201)

    def _retry_job(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if job.retried or not job.state.final or job.state is JobState.SKIPPED:
            raise self.refuse(403, "403 Forbidden - Job is not retryable")
        (fresh,) = self.simulation.retry(build, [job], self.owner)
        return answer(self._job(call, build, fresh), 201)

    def _play(self, call: Call) -> Response:
        build, job = self.job_of(call)
        for variable in self.body(call).get("job_variables_attributes") or []:
            if not isinstance(variable, dict) or not {"key", "value"} <= variable.keys():
                raise self.wrong("job_variables_attributes[0][key] is missing")
            build.env[str(variable["key"])] = str(variable["value"])
        try:
            self.simulation.approve(build, job, self.owner)
        except Refused as exc:
            raise self.refuse(400, "400 Bad request - Unplayable Job") from exc
        return answer(self._job(call, build, job))

    def _erase(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if not job.state.final or job.erased_at is not None:
            raise self.refuse(403, "403 Forbidden - Job is not erasable!")
        job.erased_at = build.updated_at = self.simulation.now
        return answer(self._job(call, build, job), 201)

    def _ref_artifacts(self, call: Call) -> Response:
        return self.archive(call, self.newest_job(self.project(call), call.at("ref"), call.query.get("job")))

    def _artifact_file(self, call: Call) -> Response:
        _, job = self.job_of(call)
        for artifact in job.artifacts:
            if artifact.kind == "archive" and job.erased_at is None:
                with zipfile.ZipFile(io.BytesIO(artifact.content)) as unpacked:
                    if call.at("path") in unpacked.namelist():
                        return Response(unpacked.read(call.at("path")), media_type="application/octet-stream")
        raise self.refuse(404, "404 Not Found")

    # tests

    def _suites(self, build: Build) -> list[tuple[Job, tuple[Test, ...]]]:
        return [(job, job.tests) for job in build.current if job.tests]

    def _test_summary(self, call: Call) -> Response:
        build = self.build_of(call)
        suites = self._suites(build)
        everything = [test for _, tests in suites for test in tests]
        counted = _counts(everything)
        return answer(
            {
                "total": {
                    "time": counted["total_time"],
                    "count": counted["total_count"],
                    "success": counted["success_count"],
                    "failed": counted["failed_count"],
                    "skipped": counted["skipped_count"],
                    "error": 0,
                    "suite_error": None,
                },
                "test_suites": [
                    {"name": job.step.name, **_counts(tests), "build_ids": [job.number], "suite_error": None}
                    for job, tests in suites
                ],
            }
        )

    def _test_report(self, call: Call) -> Response:
        build = self.build_of(call)
        suites = self._suites(build)
        return answer(
            {
                **_counts([test for _, tests in suites for test in tests]),
                "test_suites": [
                    {
                        "name": job.step.name,
                        **_counts(tests),
                        "suite_error": None,
                        "test_cases": [
                            {
                                "status": {"passed": "success"}.get(test.outcome, test.outcome),
                                "name": test.name,
                                "classname": test.class_name,
                                "file": test.file,
                                "execution_time": test.seconds,
                                "system_output": test.message,
                                "stack_trace": test.trace,
                                "recent_failures": {"count": 3, "base_branch": build.pipeline.repo.default_branch}
                                if test.outcome == "failed"
                                else None,
                            }
                            for test in tests
                        ],
                    }
                    for job, tests in suites
                ],
            }
        )

    # the rest

    def _schedule(self, call: Call, pipeline: Pipeline) -> JSON:
        at = stamp(pipeline.created_at)
        return {
            "id": pipeline.repo.number + 500,
            "description": "Nightly",
            "ref": f"refs/heads/{pipeline.repo.default_branch}",
            "cron": "0 3 * * *",
            "cron_timezone": "UTC",
            "next_run_at": stamp(self.simulation.now + 3600),
            "active": True,
            "created_at": at,
            "updated_at": at,
            "owner": self.user(self.owner, call),
        }

    def _schedules(self, call: Call) -> Response:
        return self.listing(call, [self._schedule(call, self.project(call))])

    def _play_schedule(self, call: Call) -> Response:
        pipeline = self.project(call)
        if self._schedule(call, pipeline)["id"] != int(call.at("sid")):
            raise self.refuse(404, "404 PipelineSchedule Not Found")
        branch = pipeline.repo.default_branch
        self.simulation.start(pipeline, commit=pipeline.repo.branches[branch], source=Source.SCHEDULE, branch=branch)
        return answer({"message": "201 Created"}, 201)

    def _deployments(self, call: Call) -> Response:
        self.project(call)
        wanted = call.query.get("status")
        if wanted not in {None, "created", "running", "success", "failed", "canceled", "blocked"}:
            raise self.refuse(400, "400 Bad request - status value is invalid")
        return self.listing(call, [])

    def _no_deployment(self, call: Call) -> Response:
        self.project(call)
        raise self.refuse(404, "404 Not Found")

    def _list_hooks(self, call: Call) -> Response:
        number = str(self.project(call).repo.number)
        return self.listing(call, [hook for hook in self._hooks if hook["project_id"] == number])

    def _create_hook(self, call: Call) -> Response:
        pipeline, body = self.project(call), self.parameters(call)
        if not isinstance(body.get("url"), str):
            raise self.wrong("url is missing")
        hook = {
            "id": str(len(self._hooks) + 1),
            "url": body["url"],
            "created_at": stamp(self.simulation.now),
            "pipeline_events": bool(body.get("pipeline_events", False)),
            "job_events": bool(body.get("job_events", False)),
            "enable_ssl_verification": True,
            "project_id": str(pipeline.repo.number),
        }
        self._hooks.append(hook)
        return answer(hook, 201)

    # GraphQL

    def _graphql(self, call: Call) -> Response:
        body = self.body(call)
        query, variables = body.get("query"), body.get("variables") or {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            return answer({"errors": [{"message": "Unexpected end of document"}]})
        return answer(graphql.run(query, variables, self._root_type(call)))

    def _root_type(self, call: Call) -> Type:
        def projects(arguments: Mapping[str, Any]) -> Type:
            paths = arguments.get("fullPaths")
            if paths is not None and len(paths) > MOST_PATHS:
                raise QueryError(f"Too many paths: at most {MOST_PATHS} can be given")
            ids = arguments.get("ids")
            pipelines = [
                it
                for it in self.simulation.of_system(self.name)
                if (paths is None or it.path in paths)
                and (ids is None or f"gid://gitlab/Project/{it.repo.number}" in ids)
            ]
            return _connection("Project", [self._project_type(call, it) for it in pipelines], arguments)

        def project(arguments: Mapping[str, Any]) -> Type | None:
            found = [it for it in self.simulation.of_system(self.name) if it.path == arguments.get("fullPath")]
            return self._project_type(call, found[0]) if found else None

        def described(arguments: Mapping[str, Any]) -> Type | None:
            return self._described(call, str(arguments.get("name")))

        return Type(
            "Query",
            {
                "projects": projects,
                "project": project,
                "currentUser": self._user_type(self.owner.login, self.owner.name),
                "metadata": Type("Metadata", {"version": VERSION, "revision": "5f2c1ab09d3", "enterprise": True}),
                "__type": described,
            },
        )

    def _described(self, call: Call, name: str) -> Type | None:
        """Return a type's fields; the arguments that matter to a poll are told."""
        pipeline = self.simulation.of_system(self.name)[0]
        kinds = {
            "Project": self._project_type(call, pipeline),
            "Pipeline": self._pipeline_type(call, pipeline.builds[0]),
        }
        arguments = {"pipelines": ("first", "after", "updatedAfter", "updatedBefore", "status", "ref", "sha", "source")}
        if name not in kinds:
            return None
        fields = [
            Type(
                "__Field",
                {"name": it, "args": [Type("__InputValue", {"name": arg}) for arg in arguments.get(it, ())]},
            )
            for it in kinds[name].fields
        ]
        return Type("__Type", {"name": name, "kind": "OBJECT", "fields": fields})

    def _user_type(self, login: str, name: str) -> Type:
        return Type("UserCore", {"username": login, "name": name})

    def _project_type(self, call: Call, pipeline: Pipeline) -> Type:
        def pipelines(arguments: Mapping[str, Any]) -> Type:
            query = {
                name: str(arguments[key])
                for key, name in (
                    ("updatedAfter", "updated_after"),
                    ("updatedBefore", "updated_before"),
                    ("ref", "ref"),
                    ("sha", "sha"),
                )
                if arguments.get(key)
            }
            if arguments.get("status"):
                query["status"] = str(arguments["status"]).lower()
            found = [build for build in newest_first(pipeline.builds) if self._admits(query, build)]
            return _connection("Pipeline", [self._pipeline_type(call, build) for build in found], arguments)

        def pipeline_of(arguments: Mapping[str, Any]) -> Type | None:
            for build in pipeline.builds:
                if str(build.number) == arguments.get("iid") or str(arguments.get("id")).endswith(f"/{build.id}"):
                    return self._pipeline_type(call, build)
            return None

        return Type(
            "Project",
            {
                "id": f"gid://gitlab/Project/{pipeline.repo.number}",
                "name": pipeline.repo.name,
                "fullPath": pipeline.path,
                "webUrl": f"{self.root(call)}/{pipeline.path}",
                "archived": False,
                "repository": Type("Repository", {"rootRef": pipeline.repo.default_branch}),
                "pipelines": pipelines,
                "pipeline": pipeline_of,
                "ciPipelineCreationInputs": [],
                "ciConfigVariables": [
                    Type(
                        "CiConfigVariable",
                        {
                            "key": "DEPLOY_REGION",
                            "value": "eu-west-1",
                            "description": "Where to deploy",
                            "valueOptions": ["eu-west-1", "us-east-1"],
                        },
                    )
                ],
            },
        )

    def _pipeline_type(self, call: Call, build: Build) -> Type:
        tests = [test for _, test in build.tests()]
        counted = _counts(tests)
        total = {
            "count": counted["total_count"],
            "success": counted["success_count"],
            "failed": counted["failed_count"],
            "skipped": counted["skipped_count"],
            "error": 0,
            "time": counted["total_time"],
            "suiteError": None,
        }
        author, commit = build.commit.author, build.commit
        creator = build.creator or self.owner
        detailed = self._detailed(build)
        jobs = [
            Type(
                "CiJob",
                {
                    "id": f"gid://gitlab/Ci::Build/{job.number}",
                    "name": job.step.name,
                    "status": job_status(job).upper(),
                    "allowFailure": _may_fail(job),
                    "retried": job.retried,
                    "stage": Type("CiStage", {"name": job.step.stage}),
                    "startedAt": iso(job.started_at),
                    "finishedAt": iso(job.finished_at),
                    "webPath": f"{self.mount}/{build.pipeline.path}/-/jobs/{job.number}",
                },
            )
            for job in build.current
        ]
        return Type(
            "Pipeline",
            {
                "id": f"gid://gitlab/Ci::Pipeline/{build.id}",
                "iid": str(build.number),
                "status": pipeline_status(build).upper(),
                "detailedStatus": Type(
                    "DetailedStatus", {name: detailed[name] for name in ("group", "label", "text", "icon")}
                ),
                "ref": _ref(build),
                "refText": _ref(build),
                "refPath": _ref(build) if build.pull else f"refs/{'tags' if build.tag else 'heads'}/{build.ref}",
                "tag": build.tag is not None,
                "sha": commit.sha,
                "beforeSha": commit.parent,
                "source": SOURCES[build.source],
                "name": None,
                "path": f"{self.mount}{self.web_path(build)}",
                "createdAt": stamp(build.created_at),
                "startedAt": iso(build.started_at),
                "finishedAt": iso(build.finished_at),
                "updatedAt": stamp(build.updated_at),
                "duration": _duration(build),
                "queuedDuration": _queued(build),
                "complete": build.finished,
                "active": build.state in {BuildState.QUEUED, BuildState.RUNNING},
                "user": self._user_type(creator.login, creator.name),
                "commit": Type(
                    "Commit",
                    {
                        "sha": commit.sha,
                        "title": commit.title,
                        "message": commit.message,
                        "authorName": author.name,
                        "authorEmail": author.email,
                        "webUrl": f"{self.root(call)}/{build.pipeline.path}/-/commit/{commit.sha}",
                    },
                ),
                "mergeRequest": Type(
                    "MergeRequest",
                    {
                        "iid": str(build.pull.number),
                        "sourceBranch": build.pull.branch,
                        "targetBranch": build.pull.target,
                    },
                )
                if build.pull
                else None,
                "testReportSummary": Type("TestReportSummary", {"total": Type("TestReportTotal", total)}),
                "codeQualityReportSummary": None,
                "jobs": lambda arguments: _connection("CiJob", jobs, arguments),
            },
        )

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{build.pipeline.path}/-/pipelines/{build.id}"

    @override
    def job_web_path(self, build: Build, job: Job) -> str:
        return f"/{build.pipeline.path}/-/jobs/{job.number}"

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        status = pipeline_status(build)
        if self._told.get(build.uid) == f"{status}/{build.attempt}":
            return []
        self._told[build.uid] = f"{status}/{build.attempt}"
        body = self.signed_json(self._hook_body(build))
        key, at = self.simulation.uid(), str(int(self.simulation.now))
        signed = hmac.new(self._signing_key, f"{key}.{at}.".encode() + body, "sha256").digest()
        return [
            WebhookRequest(
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"GitLab/{VERSION}",
                    "X-Gitlab-Event": "Pipeline Hook",
                    "X-Gitlab-Instance": self.root(),
                    "X-Gitlab-Webhook-UUID": build.pipeline.uid,
                    "X-Gitlab-Event-UUID": self.simulation.uid(),
                    "Idempotency-Key": key,
                    "webhook-id": key,
                    "webhook-timestamp": at,
                    "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
                },
                body=body,
            )
        ]

    def _hook_body(self, build: Build) -> JSON:
        repo, pull, creator = build.pipeline.repo, build.pull, build.creator or self.owner
        web = f"{self.root()}/{build.pipeline.path}"
        user = {"id": creator.number, "name": creator.name, "username": creator.login, "email": creator.email}
        return {
            "object_kind": "pipeline",
            "object_attributes": {
                "id": build.id,
                "iid": build.number,
                "name": None,
                "ref": build.ref,
                "tag": build.tag is not None,
                "sha": build.commit.sha,
                "before_sha": build.commit.parent,
                "source": SOURCES[build.source],
                "status": pipeline_status(build),
                "detailed_status": self._detailed(build)["text"],
                "stages": list(build.pipeline.stages),
                "created_at": spaced(build.created_at),
                "finished_at": spaced(build.finished_at),
                "duration": _duration(build),
                "queued_duration": _queued(build),
                "variables": [{"key": key, "value": value} for key, value in build.env.items()],
                "url": self.web_url(build),
            },
            "merge_request": {
                "id": pull.number,
                "iid": pull.number,
                "title": pull.title,
                "source_branch": pull.branch,
                "target_branch": pull.target,
                "state": "opened",
                "url": f"{web}/-/merge_requests/{pull.number}",
            }
            if pull
            else None,
            "user": user,
            "project": {
                "id": repo.number,
                "name": repo.name,
                "web_url": web,
                "namespace": repo.owner.capitalize(),
                "path_with_namespace": build.pipeline.path,
                "default_branch": repo.default_branch,
            },
            "commit": {
                "id": build.commit.sha,
                "message": build.commit.message,
                "title": build.commit.title,
                "timestamp": stamp(build.commit.at),
                "url": f"{web}/-/commit/{build.commit.sha}",
                "author": {"name": build.commit.author.name, "email": build.commit.author.email},
            },
            "builds": [
                {
                    "id": job.number,
                    "stage": job.step.stage,
                    "name": job.step.name,
                    "status": job_status(job),
                    "created_at": spaced(job.created_at),
                    "started_at": spaced(job.started_at),
                    "finished_at": spaced(job.finished_at),
                    "duration": _job_duration(job, self.simulation.now),
                    "when": "manual" if job.step.approval else "on_success",
                    "manual": job.step.approval is not None,
                    "allow_failure": _may_fail(job),
                    "failure_reason": REASONS.get(job.reason or "") if job.state.bad else None,
                    "user": user,
                    "runner": None,
                    "artifacts_file": {"filename": None, "size": None},
                    "environment": None,
                }
                for job in build.current
            ],
        }


def _ref(build: Build) -> str:
    if build.source is Source.PULL and build.pull is not None:
        return f"refs/merge-requests/{build.pull.number}/head"
    return build.ref


def _may_fail(job: Job) -> bool:
    return job.step.tolerated or job.step.approval is ApprovalKind.OPTIONAL


def _duration(build: Build) -> int | None:
    if not build.finished or build.started_at is None or build.finished_at is None:
        return None
    return round(build.finished_at - build.started_at)


def _queued(build: Build) -> int | None:
    return None if build.started_at is None else max(round(build.started_at - build.created_at), 0)


def _job_duration(job: Job, now: float) -> float | None:
    if job.started_at is None:
        return None
    return round((now if job.finished_at is None else job.finished_at) - job.started_at, 3)


def _counts(tests: "tuple[Test, ...] | list[Test]") -> JSON:
    by = {word: sum(test.outcome == word for test in tests) for word in ("passed", "failed", "skipped")}
    return {
        "total_time": round(sum(test.seconds for test in tests), 3),
        "total_count": len(tests),
        "success_count": by["passed"],
        "failed_count": by["failed"],
        "skipped_count": by["skipped"],
        "error_count": 0,
    }


def _connection(kind: str, nodes: list[Type], arguments: Mapping[str, Any]) -> Type:
    size = min(int(arguments.get("first") or 100), 100)
    after = arguments.get("after")
    start = int(base64.b64decode(after)) if after else 0
    page = nodes[start : start + size]
    end = base64.b64encode(str(start + len(page)).encode()).decode()
    info = Type("PageInfo", {"hasNextPage": start + size < len(nodes), "endCursor": end if page else None})
    return Type(f"{kind}Connection", {"nodes": page, "pageInfo": info, "count": len(nodes)})
