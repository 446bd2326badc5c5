"""A stand-in of Buildkite's REST API v2 and Test Simulation for one organization, `demo`."""

import fnmatch
import hashlib
import hmac
import json
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import buildkite_wire as wire
from playground.ci.buildkite_requests import (
    RETRYABLE,
    BadRequest,
    admits,
    filter_values,
    problems,
    pull_of,
    unblock_values,
)
from playground.ci.buildkite_wire import ORG
from playground.ci.model import (
    ApprovalKind,
    Artifact,
    Build,
    Commit,
    Job,
    JobState,
    Outcome,
    Person,
    Pipeline,
    Result,
    Source,
    iso,
    spaced,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, link_header, whole

ARTIFACT_STATES = ("new", "error", "finished", "deleted", "expired")
DEEPEST = 5_000
PER_MINUTE = 200
PER_MINUTE_USER = 50


class Buildkite(System):
    """Buildkite."""

    name = "buildkite"
    label = "Buildkite"
    connection = "demo-buildkite"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = "bkua_" + hashlib.sha256(f"{simulation.seed}/buildkite".encode()).hexdigest()[:40]
        self.services: list[JSON] = []
        self._organization_meter = Meter(round(PER_MINUTE * simulation.quota), 60)
        self._user_meter = Meter(round(PER_MINUTE_USER * simulation.quota), 60)

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "buildkite",
            "url": f"{base}{self.mount}",
            "organization": ORG,
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        org = "/v2/organizations/{org}"
        line = f"{org}/pipelines/{{pipeline}}"
        build = f"{line}/builds/{{number:int}}"
        tests = "/v2/analytics/organizations/{org}"
        routes: list[BaseRoute] = [
            self.api("/v2/meta", lambda _call: answer({"webhook_ips": ["127.0.0.1"]}), open_to_all=True),
            self.api("/v2/access-token", self._access_token),
            self.api("/v2/user", lambda call: answer(wire.user_json(self.owner, self.root(call)))),
            self.api("/v2/organizations", lambda call: answer([wire.organization_json(self.root(call))])),
            self.api("/v2/builds", self._builds),
            self.api(org, lambda call: answer(self._in_org(call, wire.organization_json(self.root(call))))),
            self.api(f"{org}/rate_limit", self._rate_limit),
            self.api(f"{org}/services", self._list_services),
            self.api(f"{org}/services", self._create_service, "POST"),
            self.api(f"{org}/pipelines", self._pipelines),
            self.api(f"{org}/builds", self._builds),
            self.api(
                line, lambda call: answer(wire.pipeline_json(self._find_pipeline(call), self.root(call), self.owner))
            ),
            self.api(f"{line}/builds", self._builds),
            self.api(f"{line}/builds", self._create, "POST"),
            self.api(build, self._get),
            self.api(f"{build}/cancel", self._cancel, "PUT"),
            self.api(f"{build}/rebuild", self._rebuild, "PUT"),
            self.api(f"{build}/retry_failed_jobs", self._retry_failed, "PUT"),
            self.api(f"{build}/jobs", self._jobs),
            self.api(f"{build}/annotations", self._annotations),
            self.api(f"{build}/artifacts", self._build_artifacts),
            self.api(f"{tests}/builds/{{uid}}/tests", self._tests),
            self.api(f"{tests}/suites/{{suite}}/runs", self._runs),
            self.api(f"{tests}/suites/{{suite}}/runs/{{run}}/failed_executions", self._failed_executions),
        ]
        for job in (f"{org}/jobs/{{job}}", f"{build}/jobs/{{job}}"):
            routes += [
                self.api(job, lambda call: answer(wire.job_json(*self._find_job(call), self.root(call)))),
                self.api(f"{job}/retry", self._retry_job, "PUT"),
                self.api(f"{job}/unblock", self._unblock, "PUT"),
                self.api(f"{job}/log", self._log),
                self.api(f"{job}/log.txt", self._log),
                self.api(f"{job}/annotations", self._annotations),
                self.api(f"{job}/artifacts", self._job_artifacts),
                self.api(f"{job}/artifacts/{{artifact}}", self._get_artifact),
                self.api(f"{job}/artifacts/{{artifact}}/download", self._download),
            ]

        return [
            *routes,
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, token = call.header("authorization").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self.token.encode()):
            return self.failure(
                401,
                "Authentication required. Please supply a valid API Access Token: https://buildkite.com/docs/apis/rest-api#authentication",
            )
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._organization_meter, self._user_meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        made: dict[str, str] = {}
        for prefix, scope, meter in (
            ("RateLimit-", "rest", self._organization_meter),
            ("RateLimit-User-", "rest_user", self._user_meter),
        ):
            made[f"{prefix}Limit"] = str(meter.limit)
            made[f"{prefix}Remaining"] = str(meter.left())
            made[f"{prefix}Reset"] = str(meter.reset_in(now))
            made[f"{prefix}Scope"] = scope
        return made

    @override
    def failure(self, status: int, message: str) -> Response:
        return answer({"message": message}, status)

    @override
    def limited(self, retry_after: float) -> Response:
        seconds = round(retry_after)
        over = self._user_meter if not self._user_meter.left() else self._organization_meter
        return answer(
            {
                "message": f"You have exceeded your API rate limit. Please wait {seconds} seconds before making more requests.",
                "scope": "rest_user" if over is self._user_meter else "rest",
                "limit": over.limit,
                "current": over.used,
                "reset": seconds,
            },
            429,
            {"RateLimit-Reset": str(seconds), "RateLimit-User-Reset": str(seconds)},
        )

    def _refuse(self, status: int, message: str) -> Refusal:
        return Refusal(self.failure(status, message))

    # finding

    def _in_org(self, call: Call, value: JSON) -> JSON:
        if call.at("org") != ORG:
            raise self._refuse(404, "No organization found")
        return value

    def _find_pipeline(self, call: Call) -> Pipeline:
        self._in_org(call, {})
        for pipeline in self.simulation.of_system(self.name):
            if pipeline.path == call.at("pipeline"):
                return pipeline
        raise self._refuse(404, "No pipeline found")

    def _find_build(self, call: Call) -> Build:
        for build in self._find_pipeline(call).builds:
            if str(build.number) == call.at("number"):
                return build
        raise self._refuse(404, "No build found")

    def _find_job(self, call: Call) -> tuple[Build, Job]:
        self._in_org(call, {})
        match = self.simulation.job(self.name, call.at("job"))
        if match is None or ("number" in call.request.path_params and self._find_build(call) is not match[0]):
            raise self._refuse(404, "No job found")
        return match

    def _find_artifact(self, call: Call) -> tuple[Build, Job, Artifact]:
        build, job = self._find_job(call)
        for artifact in job.artifacts:
            if artifact.uid == call.at("artifact"):
                return build, job, artifact
        raise self._refuse(404, "No artifact found")

    def _paged(self, call: Call, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        page, size = whole(call.query.get("page"), 1), whole(call.query.get("per_page"), 30, most=100)
        if page * size > DEEPEST:
            raise self._refuse(
                400,
                "Listing builds this deep is not supported. Please narrow your query using filters such as branch or created_from.",
            )
        last = max(-(-len(items) // size), 1)
        pages: dict[str, dict[str, str | int]] = {}
        if page > 1:
            pages["first"], pages["prev"] = {"page": 1}, {"page": min(page - 1, last)}
        if page < last:
            pages["next"], pages["last"] = {"page": page + 1}, {"page": last}
        headers = {"Link": link_header(call, pages)} if pages else {}
        return items[(page - 1) * size : page * size], headers

    # account

    def _access_token(self, _call: Call) -> Response:
        created_at = self.simulation.of_system(self.name)[0].created_at
        return answer(wire.access_token_json(self.owner, created_at))

    def _rate_limit(self, call: Call) -> Response:
        self._in_org(call, {})
        now, meter = self.simulation.now, self._organization_meter
        rest = {"limit": meter.limit, "current": meter.used, "reset": meter.reset_in(now)}
        graphql = {"limit": 20_000, "current": 0, "reset": 300}
        return answer(
            {
                "scopes": {
                    "rest": {**rest, "reset_at": iso(now + meter.reset_in(now)), "enforced": True},
                    "graphql": {**graphql, "reset_at": iso(now + 300), "enforced": True},
                }
            }
        )

    def _list_services(self, call: Call) -> Response:
        self._in_org(call, {})
        return answer({"items": self.services, "links": {"self": call.url, "next": None, "prev": None}})

    def _create_service(self, call: Call) -> Response:
        self._in_org(call, {})
        body = self.body(call)
        settings = body.get("settings")
        if body.get("provider") != "webhook" or not isinstance(settings, dict) or not settings.get("url"):
            return answer({"message": "Validation Failed", "errors": [{"field": "settings", "code": "invalid"}]}, 422)
        uid = self.simulation.uid()
        service = {
            "id": uid,
            "graphql_id": None,
            "url": f"{call.url}/{uid}",
            "provider": {"id": "webhook", "name": "Webhook"},
            "description": body.get("description"),
            "enabled": True,
            "scope": "organization",
            "settings": {name: value for name, value in settings.items() if name != "token"},
            "created_at": iso(self.simulation.now),
            "created_by": wire.user_json(self.owner, self.root(call)),
        }
        self.services.append(service)
        return answer(service, 201)

    # pipelines

    def _pipelines(self, call: Call) -> Response:
        self._in_org(call, {})
        pipelines = [
            pipeline
            for pipeline in self.simulation.of_system(self.name)
            if call.query.get("name", "").lower() in pipeline.name.lower()
            and call.query.get("repository", "").lower() in f"git@demo.example:{pipeline.repo.slug}.git"
        ]
        page, headers = self._paged(call, pipelines)
        return answer([wire.pipeline_json(pipeline, self.root(call), self.owner) for pipeline in page], headers=headers)

    # builds

    def _builds(self, call: Call) -> Response:
        params = call.request.path_params
        if "pipeline" in params:
            builds = self._find_pipeline(call).builds
        else:
            if "org" in params:
                self._in_org(call, {})
            builds = [build for pipeline in self.simulation.of_system(self.name) for build in pipeline.builds]
        try:
            admitted = [build for build in newest_first(builds) if admits(call, build)]
        except BadRequest as exc:
            raise self._refuse(exc.status, str(exc)) from exc
        page, headers = self._paged(call, admitted)
        return answer([self._build(call, build) for build in page], headers=headers)

    def _get(self, call: Call) -> Response:
        build = self._find_build(call)
        made = self._build(call, build)
        counted: dict[str, int] = {}
        for job in wire.jobs_json(build, self.root(call), retried=True):
            counted[job["state"]] = counted.get(job["state"], 0) + 1
        made["job_state_counts"] = {"total": sum(counted.values()), "states": counted}
        wanted = call.all("job_states[]")
        if wanted and "jobs" in made:
            made["jobs"] = [job for job in made["jobs"] if job["state"] in wanted]
        if call.query.get("include_test_engine") == "true":
            ran = any(job.tests for job in build.current)
            suite = {"id": build.pipeline.uid, "slug": build.pipeline.path}
            made["test_engine"] = {"runs": [{"id": wire.run_uid(build), "suite": suite}] if ran else []}
        return answer(made)

    def _build(self, call: Call, build: Build) -> JSON:
        made = wire.build_json(build, self.root(call))
        if call.query.get("exclude_jobs") != "true":
            made["jobs"] = wire.jobs_json(
                build, self.root(call), retried=call.query.get("include_retried_jobs") == "true"
            )
        if call.query.get("exclude_pipeline") != "true":
            made["pipeline"] = wire.pipeline_json(build.pipeline, self.root(call), self.owner)
        return made

    def _create(self, call: Call) -> Response:
        pipeline, body = self._find_pipeline(call), self.body(call)
        wrong = problems(body)
        if wrong:
            return answer({"message": "Validation Failed", "errors": wrong}, 422)
        branch, revision = str(body["branch"]), str(body["commit"])
        repo = pipeline.repo
        head = repo.branches.get(branch)
        match = (head, False) if revision == "HEAD" and head else repo.find(revision)
        outcome = None
        if match is None or match[0] is None:
            # The service knows no repository: it accepts any name, and the checkout fails on the machine.
            commit = Commit(
                sha=revision, message=f"Build of {branch}", author=self.owner, at=self.simulation.now, parent="0" * 40
            )
            outcome = Outcome.FAIL
        else:
            commit = match[0]
            if revision != "HEAD" and repo.breaking:
                outcome = Outcome.TEST_FAILURE if repo.is_broken(commit) else Outcome.PASS
        build = self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.API,
            branch=branch,
            pull=pull_of(pipeline, body),
            message=body.get("message") or commit.message,
            creator=self.owner,
            env=body.get("env"),
            meta={name: str(value) for name, value in (body.get("meta_data") or {}).items()},
            outcome=outcome,
        )
        return answer(self._build(call, build), 201)

    def _cancel(self, call: Call) -> Response:
        build = self._find_build(call)
        if wire.build_state(build) not in {"scheduled", "running", "failing"}:
            raise self._refuse(422, f"Build can't be canceled because it's already {wire.build_state(build)}.")
        self.simulation.cancel(build)
        return answer(self._build(call, build))

    def _rebuild(self, call: Call) -> Response:
        old = self._find_build(call)
        build = self.simulation.start(
            old.pipeline,
            commit=old.commit,
            source=Source.REBUILD,
            branch=old.branch,
            tag=old.tag,
            pull=old.pull,
            message=old.message,
            creator=self.owner,
            env=old.env,
            meta=old.meta,
            rebuilt_from=old,
        )
        return answer(self._build(call, build))

    def _retry_failed(self, call: Call) -> Response:
        build = self._find_build(call)
        states = [part.strip() for part in str(self.body(call).get("states") or "").split(",") if part.strip()]
        if not set(states) <= set(RETRYABLE):
            raise self._refuse(400, f"states must be any of {', '.join(RETRYABLE)}")
        words = states or list(RETRYABLE)
        jobs = [
            job
            for job in build.current
            if job.step.approval is not ApprovalKind.INSTANT
            and ("soft_failed" if job.soft_failed else wire.job_state(job)) in words
        ]
        if jobs:
            self.simulation.retry(build, jobs, self.owner)
        return answer({**self._build(call, build), "retried_jobs_count": len(jobs)}, 202)

    # jobs

    def _jobs(self, call: Call) -> Response:
        build = self._find_build(call)
        states = filter_values(call, "state")
        if states is not None and not set(states) <= set(wire.JOB_STATES):
            raise self._refuse(400, "state is not valid")
        jobs = wire.jobs_json(build, self.root(call), retried=call.query.get("include_retried_jobs") != "false")
        if states is not None:
            wanted = set(states) | ({"passed", "failed"} if "finished" in states else set())
            jobs = [job for job in jobs if job["state"] in wanted]
        size, after = whole(call.query.get("per_page"), 30, most=100), call.query.get("after")
        start = 0
        if after is not None:
            ids = [job["id"] for job in jobs]
            if after not in ids:
                raise self._refuse(400, "after is not a valid cursor")
            start = ids.index(after) + 1
        page = jobs[start : start + size]
        more = start + size < len(jobs)
        following = link_header(call, {"next": {"after": page[-1]["id"]}})[1:].partition(">")[0] if more else None
        return answer({"items": page, "links": {"self": str(call.request.url), "next": following, "prev": None}})

    def _retry_job(self, call: Call) -> Response:
        build, job = self._find_job(call)
        if build.result is Result.CANCELED:
            raise self._refuse(422, "Jobs of a canceled build can't be retried")
        if (
            job.retried
            or not (job.state.bad or job.state is JobState.CANCELED)
            or job.step.approval is ApprovalKind.INSTANT
        ):
            raise self._refuse(400, "Only failed, timed out or canceled jobs can be retried, and only once")
        (fresh,) = self.simulation.retry(build, [job], self.owner)
        return answer(wire.job_json(build, fresh, self.root(call)))

    def _unblock(self, call: Call) -> Response:
        build, job = self._find_job(call)
        body = self.body(call)
        try:
            values = unblock_values(job, body)
        except BadRequest as exc:
            raise self._refuse(exc.status, str(exc)) from exc
        by = next((person for person in self.simulation.people if person.uid == body.get("unblocker")), self.owner)
        try:
            self.simulation.approve(build, job, by)
        except Refused as exc:
            raise self._refuse(422, "This job is not blocked") from exc
        build.meta.update(values)
        return answer(wire.job_json(build, job, self.root(call)))

    def _log(self, call: Call) -> Response:
        build, job = self._find_job(call)
        text = wire.log_text(build, job, self.simulation.now)
        data = text.encode()
        plain = call.raw_path.endswith(".txt") or call.header("accept").startswith("text/plain")
        if not plain and "range" not in call.request.headers and call.request.method != "HEAD":
            times = [int((job.started_at or 0) * 1e9)] if data else []
            return answer({"url": call.url, "content": text, "size": len(data), "header_times": times})
        headers = {"Accept-Ranges": "bytes"}
        byte_range = call.header("range")
        if not byte_range:
            return Response(data, headers=headers, media_type="text/plain")
        if not byte_range.startswith("bytes=-") or not byte_range[7:].isdigit() or int(byte_range[7:]) == 0:
            raise self._refuse(400, "Only suffix ranges such as bytes=-1024 are supported")
        if not data:
            raise self._refuse(416, "The log is empty")
        tail = data[-int(byte_range[7:]) :]
        headers["Content-Range"] = f"bytes {len(data) - len(tail)}-{len(data) - 1}/{len(data)}"
        return Response(tail, 206, headers=headers, media_type="text/plain")

    # annotations, artifacts

    def _annotations(self, call: Call) -> Response:
        if "job" in call.request.path_params:
            self._find_job(call)
            return answer([])
        made = wire.annotations_json(self._find_build(call))
        if call.query.get("omit_body") == "true":
            made = [{name: value for name, value in note.items() if name != "body_html"} for note in made]
        page, headers = self._paged(call, made)
        return answer(page, headers=headers)

    def _artifacts(self, call: Call, build: Build, jobs: list[Job]) -> Response:
        state, path = call.query.get("state"), call.query.get("path")
        if state is not None and state not in ARTIFACT_STATES:
            raise self._refuse(422, "state is not valid")
        artifacts = [
            wire.artifact_json(build, job, artifact, self.root(call))
            for job in jobs
            for artifact in job.artifacts
            if state in {None, "finished"} and (path is None or fnmatch.fnmatchcase(artifact.path, path))
        ]
        page, headers = self._paged(call, artifacts)
        return answer(page, headers=headers)

    def _build_artifacts(self, call: Call) -> Response:
        build = self._find_build(call)
        return self._artifacts(call, build, build.current)

    def _job_artifacts(self, call: Call) -> Response:
        build, job = self._find_job(call)
        return self._artifacts(call, build, [job])

    def _get_artifact(self, call: Call) -> Response:
        return answer(wire.artifact_json(*self._find_artifact(call), self.root(call)))

    def _download(self, call: Call) -> Response:
        url = self.presigned(call, self._find_artifact(call)[2])
        return answer({"url": url}, 302, {"Location": url})

    # Test Simulation

    def _tests(self, call: Call) -> Response:
        self._in_org(call, {})
        build = self.simulation.build(self.name, call.at("uid"))
        if build is None:
            raise self._refuse(404, "No build found")
        tags = call.query.get("tags", "")
        tests = [
            test
            for _, test in build.tests()
            if tags not in {"result:^failed", "result:failed"} or test.outcome == "failed"
        ]
        page, headers = self._paged(call, tests)
        return answer([wire.test_json(build, test, self.root(call)) for test in page], headers=headers)

    def _suite_builds(self, call: Call) -> list[Build]:
        self._in_org(call, {})
        for pipeline in self.simulation.of_system(self.name):
            if pipeline.path == call.at("suite"):
                return [build for build in newest_first(pipeline.builds) if any(job.tests for job in build.current)]
        raise self._refuse(404, "No suite found")

    def _runs(self, call: Call) -> Response:
        wanted = call.query.get("build_id")
        page, headers = self._paged(call, [build for build in self._suite_builds(call) if wanted in {None, build.uid}])
        return answer([wire.suite_run_json(build, self.root(call)) for build in page], headers=headers)

    def _failed_executions(self, call: Call) -> Response:
        for build in self._suite_builds(call):
            if wire.run_uid(build) == call.at("run"):
                break
        else:
            raise self._refuse(404, "No run found")
        failed = [(job, test) for job, test in build.tests() if test.outcome == "failed"]
        page, headers = self._paged(call, failed)
        root = self.root(call)
        return answer([wire.failed_execution_json(build, job, test, root) for job, test in page], headers=headers)

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return wire.web_path(build)

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return wire.pipeline_web_path(pipeline)

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        name = {
            "created": "build.scheduled",
            "started": "build.running",
            "failing": "build.failing",
            "waiting": "build.finished",
            "finished": "build.finished",
        }.get(event)
        if name is None:
            return []
        body = json.dumps(
            {
                "event": name,
                "build": wire.build_json(build, self.root(), spaced),
                "pipeline": wire.pipeline_json(build.pipeline, self.root(), self.owner, spaced),
                "sender": {"id": self.owner.uid, "name": self.owner.name},
            }
        ).encode()
        at = int(self.simulation.now)
        signature = hmac.new(self.webhook_secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
        return [
            WebhookRequest(
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": "Buildkite-Request",
                    "X-Buildkite-Event": name,
                    "X-Buildkite-Request": self.simulation.uid(),
                    "X-Buildkite-Signature": f"timestamp={at},signature={signature}",
                },
                body=body,
            )
        ]
