"""A stand-in of a present-day GitLab: REST v4 and the part of GraphQL that polls many projects at once."""

import base64
import hashlib
import hmac
import io
import zipfile

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import gitlab_wire as wire
from playground.ci import graphql
from playground.ci.gitlab_graphql import Schema
from playground.ci.gitlab_requests import BadFilter, admits, check_pipeline_query
from playground.ci.gitlab_server import GitLabServer
from playground.ci.model import (
    Build,
    Job,
    JobState,
    Pipeline,
    Source,
    stamp,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, WebhookRequest, answer, link_header, whole


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
            api(f"{v4}/user", lambda call: answer(wire.user_json(self.owner, self.root(call)))),
            api(f"{v4}/groups", lambda call: self.listing(call, [wire.group_json(self.root(call))])),
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
            api(pipeline, lambda call: self._shown(call, self.build_of(call))),
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
            api(project, lambda call: answer(wire.project_json(self.project(call), self.root(call)))),
            self.other_paths(),
        ]

    # account and projects

    def _version(self, _call: Call) -> Response:
        return answer(
            {
                "version": wire.VERSION,
                "revision": "5f2c1ab09d3",
                "kas": {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None},
                "enterprise": True,
            }
            | {"kas": {"enabled": False}}
        )

    def _token(self, _call: Call) -> Response:
        created_at = self.simulation.of_system(self.name)[0].created_at
        return answer(wire.token_json(self.owner, created_at, self.simulation.now))

    def _projects(self, call: Call) -> Response:
        search = call.query.get("search", "").lower()
        pipelines = [it for it in self.simulation.of_system(self.name) if search in it.path.lower()]
        if call.query.get("pagination") != "keyset":
            return self.listing(call, [wire.project_json(it, self.root(call)) for it in pipelines])
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
        return answer([wire.project_json(it, self.root(call)) for it in page], headers=headers)

    def _group_projects(self, call: Call) -> Response:
        if call.at("id") not in {"9", "acme"}:
            raise self.refuse(404, "404 Group Not Found")
        wanted = call.query.get("search", "").lower()
        found = [it for it in self.simulation.of_system(self.name) if wanted in it.path.lower()]
        return self.listing(call, [wire.project_json(it, self.root(call)) for it in found])

    def _commit(self, call: Call) -> Response:
        pipeline = self.project(call)
        commit = self.find_commit(call, pipeline)
        last = next((build for build in newest_first(pipeline.builds) if build.commit is commit), None)
        return answer(
            {
                **self.commit(commit, pipeline.repo, call),
                "stats": {"additions": 14, "deletions": 3, "total": 17},
                "status": wire.pipeline_status(last) if last else None,
                "project_id": pipeline.repo.number,
                "last_pipeline": wire.short_pipeline_json(last, self.root(call)) if last else None,
            }
        )

    # pipelines

    def _shown(self, call: Call, build: Build, status: int = 200) -> Response:
        return answer(wire.pipeline_json(build, self.root(call), self.mount, self.owner), status)

    def _pipelines(self, call: Call) -> Response:
        pipeline, query = self.project(call), call.query
        try:
            check_pipeline_query(query)
            builds = [build for build in pipeline.builds if admits(query, build, self.owner)]
        except BadFilter as exc:
            raise self.wrong(str(exc)) from exc
        order = query.get("order_by", "id")
        builds.sort(
            key=lambda build: (build.updated_at if order == "updated_at" else 0.0, build.id),
            reverse=query.get("sort", "desc") == "desc",
        )
        return self.listing(call, [wire.short_pipeline_json(build, self.root(call)) for build in builds])

    def _latest(self, call: Call) -> Response:
        pipeline = self.project(call)
        ref = call.query.get("ref", pipeline.repo.default_branch)
        head = pipeline.repo.find(ref)
        if head is None:
            raise self.refuse(404, "404 Not Found")
        for build in newest_first(pipeline.builds):
            if build.commit is head[0]:
                return self._shown(call, build)
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
        return self._shown(call, build, 201)

    def _trigger(self, call: Call) -> Response:
        pipeline, body = self.project(call), self.parameters(call)
        if not hmac.compare_digest(str(body.get("token", "")).encode(), self.trigger_token.encode()):
            raise self.refuse(404, "404 Not Found")
        env = {str(key): str(value) for key, value in (body.get("variables") or {}).items()}
        return self._begin(call, pipeline, str(body.get("ref") or ""), env, Source.API)

    def _merge_requests(self, call: Call) -> Response:
        pipeline, query = self.project(call), call.query
        state = query.get("state", "all")
        if state not in {"all", "opened", "closed", "merged", "locked"}:
            raise self.wrong("state does not have a valid value")
        merge_requests = [
            wire.merge_request_json(pipeline, pull, self.root(call)) for pull in pipeline.repo.pulls.values()
        ]
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
        return answer(wire.merge_request_json(pipeline, pull, self.root(call)))

    def _merge_pipelines(self, call: Call) -> Response:
        pipeline = self.project(call)
        number = int(call.at("iid"))
        if number not in pipeline.repo.pulls:
            raise self.refuse(404, "404 Not Found")
        found = [build for build in newest_first(pipeline.builds) if build.pull and build.pull.number == number]
        return self.listing(call, [wire.short_pipeline_json(build, self.root(call)) for build in found])

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
        return self._shown(call, build, 201)

    def _cancel(self, call: Call) -> Response:
        build = self.build_of(call)
        if not build.finished:
            self.simulation.cancel(build)
        return self._shown(call, build)

    def _retry(self, call: Call) -> Response:
        build = self.build_of(call)
        jobs = [job for job in build.current if job.state.bad or job.state is JobState.CANCELED]
        if jobs:
            self.simulation.retry(build, jobs, self.owner)
        return self._shown(call, build, 201)

    # jobs

    def _job(self, call: Call, build: Build, job: Job) -> JSON:
        return wire.job_json(build, job, self.root(call), self.owner, self.simulation.now)

    def _scoped(self, call: Call, jobs: list[tuple[Build, Job]]) -> list[tuple[Build, Job]]:
        scopes = [*call.all("scope[]"), *call.all("scope")]
        if not set(scopes) <= wire.STATUSES:
            raise self.wrong("scope does not have a valid value")
        found = [pair for pair in jobs if not scopes or wire.job_status(pair[1]) in scopes]
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

    def _test_summary(self, call: Call) -> Response:
        return answer(wire.test_summary_json(self.build_of(call)))

    def _test_report(self, call: Call) -> Response:
        return answer(wire.test_report_json(self.build_of(call)))

    # the rest

    def _schedule(self, call: Call, pipeline: Pipeline) -> JSON:
        return wire.schedule_json(pipeline, self.root(call), self.owner, self.simulation.now)

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
        schema = Schema(self.simulation.of_system(self.name), self.owner, self.root(call), self.mount)
        try:
            return answer(graphql.run(query, variables, schema.root_type()))
        except BadFilter as exc:
            raise self.wrong(str(exc)) from exc

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return wire.web_path(build)

    @override
    def job_web_path(self, build: Build, job: Job) -> str:
        return wire.job_web_path(build, job)

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        status = wire.pipeline_status(build)
        if self._told.get(build.uid) == f"{status}/{build.attempt}":
            return []
        self._told[build.uid] = f"{status}/{build.attempt}"
        body = self.signed_json(wire.hook_json(build, self.root(), self.owner, self.simulation.now))
        key, at = self.simulation.uid(), str(int(self.simulation.now))
        signed = hmac.new(self._signing_key, f"{key}.{at}.".encode() + body, "sha256").digest()
        return [
            WebhookRequest(
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"GitLab/{wire.VERSION}",
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
