"""A stand-in of Bitbucket Cloud's Pipelines API (2.0) for one workspace, `acme`.

A build is a run of a repository's `bitbucket-pipelines.yml`. As at the vendor, nothing runs again, no manual step is
decided and no artifact handed out by API.
"""

import base64
import binascii
import hmac
import json
import re
import uuid
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import bitbucket_wire as wire
from playground.ci import job_output
from playground.ci.bitbucket_wire import WORKSPACE, braced
from playground.ci.model import (
    Artifact,
    Build,
    Commit,
    IssueKind,
    Job,
    Person,
    Pipeline,
    Pull,
    Repo,
    Source,
    stamp,
)
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, whole

PER_HOUR = 1000
SCOPES = "repository, pipeline, pipeline:write, webhook"
_NAME_QUERY = re.compile(r'name ~ "((?:[^"\\]|\\.)*)"')


class Bitbucket(System):
    """Bitbucket Cloud."""

    name = "bitbucket"
    label = "Bitbucket"
    connection = "demo-bitbucket"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = f"ATATT3{self.secret('token')[:60]}"
        self.access_token = f"ATCTT3{self.secret('access')[:60]}"
        self._meter = Meter(round(PER_HOUR * simulation.quota), 3600)
        self._shows_limit = False
        self._hooks: list[JSON] = []

    @property
    def owner(self) -> Person:
        """Return whose API token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "bitbucket",
            "url": f"{base}{self.mount}/2.0",
            "workspace": WORKSPACE,
            "email": self.owner.email,
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api, home = self.api, "/2.0/repositories/{workspace}"
        repo = f"{home}/{{repo}}"
        run, commit = f"{repo}/pipelines/{{run}}", f"{repo}/commit/{{commit}}"
        step = f"{run}/steps/{{step}}"
        return [
            api("/2.0/user", self._user),
            api("/2.0/user/workspaces", self._workspaces),
            api("/2.0/workspaces/{workspace}/hooks", self._list_hooks),
            api("/2.0/workspaces/{workspace}/hooks", self._create_hook, "POST"),
            api(home, self._repositories),
            api(repo, lambda call: answer(wire.repository(self._find(call).repo, self.root(call)))),
            api(f"{repo}/hooks", self._list_hooks),
            api(f"{repo}/hooks", self._create_hook, "POST"),
            api(f"{repo}/pipelines", self._runs),
            api(f"{repo}/pipelines", self._start, "POST"),
            api(run, self._run),
            api(f"{run}/stopPipeline", self._stop, "POST"),
            api(f"{run}/steps", self._steps),
            api(step, lambda call: answer(wire.step(*self._find_step(call)))),
            api(f"{step}/log", self._log),
            api(f"{step}/logs/{{log}}", self._log),
            api(f"{step}/test_reports", self._report),
            api(f"{step}/test_reports/test_cases", self._cases),
            api(f"{repo}/pipelines_config", self._config),
            api(f"{repo}/refs/branches", self._branches),
            api(f"{repo}/refs/branches/{{name:path}}", self._one_branch),
            api(f"{repo}/refs/tags", self._tags),
            api(f"{repo}/refs/tags/{{name:path}}", self._one_tag),
            api(f"{repo}/pullrequests/{{pull:int}}", self._pull),
            api(commit, self._commit),
            api(f"{commit}/statuses", self._statuses),
            api(f"{commit}/reports", self._reports),
            api(f"{commit}/reports/{{report}}/annotations", self._annotations),
            api(f"{repo}/src/{{commit}}/{{path:path}}", self._file),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, value = call.header("authorization").partition(" ")
        self._shows_limit = scheme.lower() == "bearer"
        expected = self.access_token if self._shows_limit else f"{self.owner.email}:{self.token}"
        try:
            carried = value if self._shows_limit else base64.b64decode(value).decode()
        except (ValueError, binascii.Error):
            carried = ""
        if not hmac.compare_digest(carried.encode(), expected.encode()):
            return self.failure(401, "Token is invalid, expired, or not supported for this endpoint.")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        """Return the limit, which only requests with an access token are told."""
        scopes = {"X-OAuth-Scopes": SCOPES}
        if not self._shows_limit:
            return scopes
        is_near = self._meter.left() < self._meter.limit / 5
        limit = {"X-RateLimit-Limit": str(self._meter.limit), "X-RateLimit-NearLimit": str(is_near).lower()}
        return scopes | limit | {"X-RateLimit-Resource": "api-repositories"}

    @override
    def failure(self, status: int, message: str) -> Response:
        return answer({"type": "error", "error": {"message": message}}, status)

    @override
    def limited(self, retry_after: float) -> Response:
        return self.failure(429, "Rate limit for this resource has been exceeded")

    def _refuse(self, status: int, message: str, detail: str = "") -> Refusal:
        error = {"message": message} | ({"detail": detail} if detail else {})
        return Refusal(answer({"type": "error", "error": error}, status))

    def _listing(self, call: Call, items: list[Any]) -> Response:
        page, size = whole(call.query.get("page"), 1), whole(call.query.get("pagelen"), 10, most=100)
        made: JSON = {"values": items[(page - 1) * size : page * size], "page": page, "pagelen": size}
        made["size"] = len(items)
        if page * size < len(items):
            made["next"] = str(call.request.url.include_query_params(page=page + 1))
        return answer(made)

    # finding

    def _all(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    def _check_workspace(self, call: Call) -> None:
        if call.at("workspace").lower() not in {WORKSPACE, wire.WORKSPACE_UUID}:
            raise self._refuse(404, f"No workspace with identifier '{call.at('workspace')}'.")

    def _find(self, call: Call) -> Pipeline:
        self._check_workspace(call)
        wanted = call.at("repo").lower()
        for pipeline in self._all():
            if wanted in {pipeline.repo.name, braced(pipeline.repo.uid)}:
                return pipeline
        raise self._refuse(404, f"Repository {WORKSPACE}/{call.at('repo')} not found")

    def _find_run(self, call: Call) -> Build:
        for build in self._find(call).builds:
            if call.at("run").lower() in {braced(build.uid), str(build.number)}:
                return build
        raise self._refuse(404, "Not found", f"Pipeline with UUID {call.at('run')} was not found.")

    def _find_step(self, call: Call) -> tuple[Build, Job]:
        build = self._find_run(call)
        for job in build.jobs:
            if call.at("step").lower() == braced(job.uid):
                return build, job
        raise self._refuse(404, "Not found", f"Step with UUID {call.at('step')} was not found.")

    def _find_commit(self, call: Call) -> Commit:
        match = self._find(call).repo.find(call.at("commit"))
        if match is None:
            raise self._refuse(404, f"Commit not found: {call.at('commit')}")
        return match[0]

    # people, repositories, refs

    def _user(self, _call: Call) -> Response:
        if self._shows_limit:
            raise self._refuse(403, "This API is not accessible by access tokens.")
        return answer(wire.account(self.owner))

    def _workspaces(self, call: Call) -> Response:
        workspace = {"slug": WORKSPACE, "uuid": wire.WORKSPACE_UUID, "type": "workspace_base"}
        return self._listing(call, [{"administrator": True, "workspace": workspace, "type": "workspace_access"}])

    def _named(self, call: Call, name: str) -> bool:
        match = _NAME_QUERY.search(call.query.get("q", ""))
        return match is None or match[1].replace('\\"', '"').lower() in name.lower()

    def _repositories(self, call: Call) -> Response:
        self._check_workspace(call)
        repos = [pipeline.repo for pipeline in self._all() if self._named(call, pipeline.repo.name)]
        return self._listing(call, [wire.repository(repo, self.root(call)) for repo in repos])

    def _refs(self, call: Call, kind: str, refs: dict[str, Commit]) -> Response:
        named = [(name, commit) for name, commit in refs.items() if self._named(call, name)]
        named.sort(key=lambda pair: pair[1].at, reverse=call.query.get("sort") == "-target.date")
        return self._listing(call, [wire.ref(kind, name, commit) for name, commit in named])

    def _one_ref(self, call: Call, kind: str, refs: dict[str, Commit]) -> Response:
        name = call.at("name")
        if name not in refs:
            raise self._refuse(404, f"{kind.capitalize()} '{name}' not found")
        return answer(wire.ref(kind, name, refs[name]))

    def _branches(self, call: Call) -> Response:
        return self._refs(call, "branch", self._find(call).repo.branches)

    def _one_branch(self, call: Call) -> Response:
        return self._one_ref(call, "branch", self._find(call).repo.branches)

    def _tags(self, call: Call) -> Response:
        return self._refs(call, "tag", self._find(call).repo.tags)

    def _one_tag(self, call: Call) -> Response:
        return self._one_ref(call, "tag", self._find(call).repo.tags)

    def _pull(self, call: Call) -> Response:
        repo = self._find(call).repo
        pull = repo.pulls.get(int(call.at("pull")))
        if pull is None:
            raise self._refuse(404, f"Pull request {call.at('pull')} not found")
        return answer(wire.pull_request(pull, repo, self.root(call)))

    def _commit(self, call: Call) -> Response:
        return answer(wire.commit(self._find_commit(call), with_message=True))

    def _statuses(self, call: Call) -> Response:
        commit = self._find_commit(call)
        builds = [build for build in newest_first(self._find(call).builds) if build.commit is commit]
        return self._listing(call, [wire.commit_status(build, self.root(call)) for build in builds])

    def _config(self, call: Call) -> Response:
        pipeline = self._find(call)
        return answer({"type": "repository_pipelines_configuration", "enabled": pipeline.enabled})

    def _file(self, call: Call) -> Response:
        self._find_commit(call)
        if call.at("path") != "bitbucket-pipelines.yml":
            raise self._refuse(404, f"No such file or directory: {call.at('path')}")
        return Response(wire.yml(self._find(call)), media_type="application/octet-stream")

    # runs

    def _runs(self, call: Call) -> Response:
        query = call.query
        builds = newest_first(self._find(call).builds)
        listed = [
            build
            for build in builds
            if query.get("target.branch") in {None, build.branch}
            and query.get("target.ref_name") in {None, build.ref}
            and query.get("target.commit.hash") in {None, build.commit.sha}
            and query.get("status") in {None, wire.listed_status(build)}
        ]
        if query.get("sort", "created_on").startswith("-"):
            return self._listing(call, [wire.run(build, self.root(call)) for build in listed])
        return self._listing(call, [wire.run(build, self.root(call)) for build in reversed(listed)])

    def _run(self, call: Call) -> Response:
        build = self._find_run(call)
        made = wire.run(build, self.root(call))
        if "variables" in call.query.get("fields", ""):
            made["variables"] = wire.variables(build)
        return answer(made)

    def _start(self, call: Call) -> Response:
        pipeline, body = self._find(call), self.body(call)
        target, variables = body.get("target"), body.get("variables") or []
        if not isinstance(target, dict):
            raise self._refuse(400, "Bad request", "target is required.")
        branch, tag, commit, pull = self._target(pipeline.repo, target)
        selector = target.get("selector") or {}
        if selector.get("type") == "custom" and selector.get("pattern") != wire.CUSTOM:
            detail = f"The custom pipeline {selector.get('pattern')} was not found in the bitbucket-pipelines.yml."
            raise self._refuse(400, "Bad request", detail)
        meta = {f"selector.{name}": str(value) for name, value in selector.items() if name in {"type", "pattern"}}
        meta |= {f"secured.{variable['key']}": "true" for variable in variables if variable.get("secured")}
        build = self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.WEB,
            branch=branch,
            tag=tag,
            pull=pull,
            creator=self.owner,
            env={str(variable["key"]): str(variable.get("value", "")) for variable in variables},
            meta=meta,
        )
        location = f"{call.url}/{braced(build.uid)}"
        return answer(wire.run(build, self.root(call)), 201, headers={"Location": location})

    def _target(self, repo: Repo, target: JSON) -> tuple[str | None, str | None, Commit, Pull | None]:
        """Return the branch, tag, commit and pull request that a target means."""
        sha = (target.get("commit") or {}).get("hash")
        pinned = repo.find(str(sha)) if sha else None
        if sha and pinned is None:
            raise self._refuse(400, "Bad request", f"The commit {sha} was not found.")
        match target.get("type"):
            case "pipeline_pullrequest_target":
                number = whole(str((target.get("pullrequest") or {}).get("id")), 0)
                pull = repo.pulls.get(number)
                if pull is None:
                    raise self._refuse(400, "Bad request", f"The pull request {number} was not found.")
                return pull.branch, None, pinned[0] if pinned else repo.branches[pull.branch], pull
            case "pipeline_commit_target" if pinned:
                return None, None, pinned[0], None
            case "pipeline_ref_target":
                name, is_tag = str(target.get("ref_name")), target.get("ref_type") == "tag"
                head = (repo.tags if is_tag else repo.branches).get(name)
                if head is None:
                    raise self._refuse(400, "Bad request", f"The {target.get('ref_type')} {name} was not found.")
                commit = pinned[0] if pinned else head
                return None if is_tag else name, name if is_tag else None, commit, None
            case _:
                raise self._refuse(400, "Bad request", "target.type is not one of those that can be started.")

    def _stop(self, call: Call) -> Response:
        build = self._find_run(call)
        if build.finished:
            raise self._refuse(400, "Bad request", "The pipeline is already completed.")
        self.simulation.cancel(build)
        return Response(None, 204)

    # steps, logs, tests, reports

    def _steps(self, call: Call) -> Response:
        build = self._find_run(call)
        return self._listing(call, [wire.step(build, job) for job in build.current])

    def _text(self, build: Build, job: Job) -> bytes:
        shown = job_output.visible(build, job, self.simulation.now)
        return "".join(f"{line.coloured}\n" for line in shown).encode()

    def _log(self, call: Call) -> Response:
        build, job = self._find_step(call)
        if job.started_at is None:
            raise self._refuse(404, "Not found", "No log was found for this step.")
        if not job.state.final:
            return Response(self._text(build, job), media_type="application/octet-stream")
        return Response(None, 307, headers={"Location": self.presigned(call, self._stored_log(build, job))})

    def _stored_log(self, build: Build, job: Job) -> Artifact:
        content = self._text(build, job)
        return Artifact(uid=job.uid, number=0, path="log.txt", kind="log", mime="text/plain", content=content)

    @override
    def artifact(self, uid: str) -> Artifact | None:
        match = self.simulation.job(self.name, uid)
        return self._stored_log(*match) if match else super().artifact(uid)

    def _tested(self, call: Call) -> Job:
        _, job = self._find_step(call)
        if not job.tests or not job.state.final:
            raise self._refuse(404, "Not found", "No test report was found for this step.")
        return job

    def _report(self, call: Call) -> Response:
        return answer(wire.test_report(self._tested(call)))

    def _cases(self, call: Call) -> Response:
        return self._listing(call, wire.test_cases(self._tested(call)))

    def _scanned(self, call: Call) -> list[tuple[Build, Job]]:
        """Return the jobs that a commit's findings come from: the analyzers of its newest build."""
        commit = self._find_commit(call)
        builds = [build for build in newest_first(self._find(call).builds) if build.commit is commit][:1]
        return [(build, job) for build in builds for job in build.current if job.step.analyzer_warnings and job.issues]

    def _reports(self, call: Call) -> Response:
        return self._listing(call, [wire.report(job) for _, job in self._scanned(call)])

    def _annotations(self, call: Call) -> Response:
        for _, job in self._scanned(call):
            if wire.report_uuid(job) == call.at("report"):
                found = [issue for issue in job.issues if issue.kind is IssueKind.ANALYZER_WARNING]
                return self._listing(call, [wire.annotation(issue) for issue in found])
        raise self._refuse(404, "Report not found")

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{WORKSPACE}/{build.pipeline.repo.name}/pipelines/results/{build.number}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{WORKSPACE}/{pipeline.repo.name}"

    def _list_hooks(self, call: Call) -> Response:
        self._check_workspace(call)
        return self._listing(call, self._hooks)

    def _create_hook(self, call: Call) -> Response:
        self._check_workspace(call)
        body = self.body(call)
        if not body.get("url") or not body.get("events"):
            raise self._refuse(400, "Bad request", "url and events are required.")
        key = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.secret('hooks')}/{len(self._hooks)}")
        hook: JSON = {
            "uuid": braced(str(key)),
            "type": "webhook_subscription",
            "url": body["url"],
            "description": body.get("description", ""),
            "active": body.get("active", True),
            "events": body["events"],
            "secret_set": bool(body.get("secret")),
            "created_at": stamp(self.simulation.now),
        }
        self._hooks.append(hook)
        return answer(hook, 201)

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        root = self.root()
        body: JSON = {
            "repository": wire.repository(build.pipeline.repo, root),
            "actor": wire.account(build.creator or self.owner),
        }
        if event == "started":
            status = {**body, "commit_status": wire.commit_status(build, root)}
            return [self._hook("repo:commit_status_created", status, build)]
        if event == "finished":
            status = {**body, "commit_status": wire.commit_status(build, root)}
            return [
                self._hook("repo:commit_status_updated", status, build),
                self._hook("pipeline:span_created", {**body, **wire.trace(build)}, build),
            ]
        return []

    def _hook(self, key: str, body: JSON, build: Build) -> WebhookRequest:
        content = json.dumps(body).encode()
        signature = hmac.new(self.webhook_secret.encode(), content, "sha256").hexdigest()
        delivery = uuid.uuid5(uuid.UUID(build.uid), f"{key}/{build.attempt}/{build.updated_at}")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Bitbucket-Webhooks/2.0",
            "X-Event-Key": key,
            "X-Request-UUID": str(delivery),
            "X-Attempt-Number": "1",
            "X-Hub-Signature": f"sha256={signature}",
        }
        return WebhookRequest(headers=headers, body=content)
