"""A stand-in of Buildkite's REST API v2 and Test Simulation for one organization, `demo`."""

import fnmatch
import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import job_output
from playground.ci.model import (
    ApprovalKind,
    Artifact,
    Build,
    BuildState,
    Commit,
    IssueKind,
    Job,
    JobState,
    Outcome,
    Person,
    Pipeline,
    Pull,
    Result,
    Source,
    Test,
    iso,
    spaced,
)
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, link_header, whole

ORG = "demo"
ORG_UID = "6a0d64a5-7a3a-4a6e-9d33-0f2a5c1b9e10"
SCOPES = (
    "read_user",
    "read_organizations",
    "read_pipelines",
    "read_builds",
    "write_builds",
    "read_build_logs",
    "read_artifacts",
    "read_suites",
    "read_accounts",
    "read_notification_services",
    "write_notification_services",
)
BUILD_STATES = [
    "creating",
    "scheduled",
    "running",
    "passed",
    "failing",
    "failed",
    "blocked",
    "canceling",
    "canceled",
    "skipped",
    "not_run",
    "finished",
]
JOB_STATES = [
    "pending",
    "waiting",
    "waiting_failed",
    "blocked",
    "blocked_failed",
    "unblocked",
    "unblocked_failed",
    "limiting",
    "limited",
    "scheduled",
    "reserved",
    "assigned",
    "accepted",
    "running",
    "finished",
    "passed",
    "failed",
    "canceling",
    "canceled",
    "expired",
    "timing_out",
    "timed_out",
    "skipped",
    "broken",
    "platform_limiting",
    "platform_limited",
]
RETRYABLE = ("canceled", "expired", "failed", "soft_failed", "timed_out")
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
            self.api("/v2/user", lambda _call: answer(self._user(self.owner))),
            self.api("/v2/organizations", lambda call: answer([self._organization(call)])),
            self.api("/v2/builds", self._builds),
            self.api(org, lambda call: answer(self._in_org(call, self._organization(call)))),
            self.api(f"{org}/rate_limit", self._rate_limit),
            self.api(f"{org}/services", self._list_services),
            self.api(f"{org}/services", self._create_service, "POST"),
            self.api(f"{org}/pipelines", self._pipelines),
            self.api(f"{org}/builds", self._builds),
            self.api(line, lambda call: answer(self._pipeline(call, self._find_pipeline(call)))),
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
                self.api(job, lambda call: answer(self._job(call, *self._find_job(call)))),
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
        return answer(
            {
                "uuid": "f0b3c1de-52a1-4f0e-9d4b-7f1c2a9e6b05",
                "scopes": list(SCOPES),
                "description": "Buildbell playground",
                "created_at": spaced(self.simulation.of_system(self.name)[0].created_at),
                "expires_at": None,
                "user": {"name": self.owner.name, "email": self.owner.email},
            }
        )

    def _user(self, person: Person) -> JSON:
        return {
            "id": person.uid,
            "graphql_id": f"VXNlci0tLQ{person.number}",
            "name": person.name,
            "email": person.email,
            "avatar_url": f"{self.root()}/avatars/{person.login}.png",
            "created_at": "2024-02-01T09:00:00.000Z",
        }

    def _organization(self, call: Call) -> JSON:
        root = self.root(call)
        return {
            "id": ORG_UID,
            "graphql_id": "T3JnYW5pemF0aW9uLS0tZGVtbw",
            "url": f"{root}/v2/organizations/{ORG}",
            "web_url": f"{root}/{ORG}",
            "name": "Demo",
            "slug": ORG,
            "pipelines_url": f"{root}/v2/organizations/{ORG}/pipelines",
            "agents_url": f"{root}/v2/organizations/{ORG}/agents",
            "emojis_url": f"{root}/v2/organizations/{ORG}/emojis",
            "created_at": "2024-02-01T09:00:00.000Z",
        }

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
            "created_by": self._user(self.owner),
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
        return answer([self._pipeline(call, pipeline) for pipeline in page], headers=headers)

    def _pipeline(self, call: Call | None, pipeline: Pipeline, when: Any = iso) -> JSON:
        root = self.root(call)
        url = f"{root}/v2/organizations/{ORG}/pipelines/{pipeline.path}"
        jobs = [job for build in pipeline.builds if not build.finished for job in build.current]
        return {
            "id": pipeline.uid,
            "graphql_id": f"UGlwZWxpbmUtLS0{pipeline.number}",
            "url": url,
            "web_url": f"{root}/{ORG}/{pipeline.path}",
            "name": pipeline.name,
            "description": None,
            "slug": pipeline.path,
            "repository": f"git@demo.example:{pipeline.repo.slug}.git",
            "branch_configuration": None,
            "default_branch": pipeline.repo.default_branch,
            "provider": {"id": "git", "webhook_url": f"{root}/deliver/{pipeline.path}", "settings": {}},
            "skip_queued_branch_builds": False,
            "cancel_running_branch_builds": False,
            "builds_url": f"{url}/builds",
            "badge_url": f"{root}/badges/{pipeline.path}.svg",
            "created_by": {**self._user(self.owner), "created_at": when(pipeline.created_at)},
            "created_at": spaced(pipeline.created_at),
            "archived_at": None,
            "scheduled_builds_count": sum(build.state is BuildState.QUEUED for build in pipeline.builds),
            "running_builds_count": sum(build.state is BuildState.RUNNING for build in pipeline.builds),
            "scheduled_jobs_count": sum(job.state is JobState.QUEUED for job in jobs),
            "running_jobs_count": sum(job.state is JobState.RUNNING for job in jobs),
            "waiting_jobs_count": sum(job.state is JobState.CREATED for job in jobs),
            "visibility": "private",
            "steps": [{"type": "script", "name": step.name, "command": step.command} for step in pipeline.steps],
            "env": {},
        }

    # builds

    def _builds(self, call: Call) -> Response:
        params = call.request.path_params
        if "pipeline" in params:
            builds = self._find_pipeline(call).builds
        else:
            if "org" in params:
                self._in_org(call, {})
            builds = [build for pipeline in self.simulation.of_system(self.name) for build in pipeline.builds]
        found = [build for build in newest_first(builds) if self._admits(call, build)]
        page, headers = self._paged(call, found)
        return answer([self._build(call, build) for build in page], headers=headers)

    def _many(self, call: Call, name: str) -> list[str] | None:
        """Return a filter's values; None where it was not given. A plain name given twice matches nothing, as there."""
        bracketed, plain = call.all(f"{name}[]"), call.all(name)
        if bracketed:
            return bracketed
        if len(plain) > 1:
            return ["\0"]
        return plain or None

    def _admits(self, call: Call, build: Build) -> bool:
        branches, commits, states = (self._many(call, name) for name in ("branch", "commit", "state"))
        if states is not None and states != ["\0"] and not set(states) <= set(BUILD_STATES):
            raise self._refuse(400, "state is not valid")
        word = _state(build)
        words = {word, "blocked"} if build.state is BuildState.WAITING else {word}
        if words & {"passed", "failed", "blocked", "canceled"}:
            words.add("finished")
        meta = {
            name[len("meta_data[") : -1]: value
            for name, value in call.request.query_params.items()
            if name.startswith("meta_data[")
        }
        creator = call.query.get("creator")
        return (
            (states is None or bool(words & set(states)))
            and (branches is None or any(fnmatch.fnmatchcase(build.ref, branch) for branch in branches))
            and (commits is None or build.commit.sha in commits)
            and (creator is None or (build.creator is not None and build.creator.uid == creator))
            and all(build.meta.get(name) == value for name, value in meta.items())
            and self._within(call, build)
        )

    def _within(self, call: Call, build: Build) -> bool:
        finished = _finished_at(build)
        created_from, created_to, finished_from = (
            self._time(call, name) for name in ("created_from", "created_to", "finished_from")
        )
        return (
            (created_from is None or build.created_at >= created_from)
            and (created_to is None or build.created_at < created_to)
            and (finished_from is None or (finished is not None and finished >= finished_from))
        )

    def _time(self, call: Call, name: str) -> float | None:
        text = call.query.get(name)
        if text is None:
            return None
        try:
            read = datetime.fromisoformat(text)
        except ValueError as exc:
            raise self._refuse(400, f"{name} is not a valid ISO 8601 date") from exc
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()

    def _get(self, call: Call) -> Response:
        build = self._find_build(call)
        made = self._build(call, build)
        counted: dict[str, int] = {}
        for job in self._all_jobs(call, build, retried=True):
            counted[job["state"]] = counted.get(job["state"], 0) + 1
        made["job_state_counts"] = {"total": sum(counted.values()), "states": counted}
        wanted = call.all("job_states[]")
        if wanted and "jobs" in made:
            made["jobs"] = [job for job in made["jobs"] if job["state"] in wanted]
        if call.query.get("include_test_engine") == "true":
            ran = any(job.tests for job in build.current)
            suite = {"id": build.pipeline.uid, "slug": build.pipeline.path}
            made["test_engine"] = {"runs": [{"id": _run_uid(build), "suite": suite}] if ran else []}
        return answer(made)

    def _build(self, call: Call, build: Build) -> JSON:
        made = self._bare_build(call, build, iso)
        if call.query.get("exclude_jobs") != "true":
            made["jobs"] = self._all_jobs(call, build, retried=call.query.get("include_retried_jobs") == "true")
        if call.query.get("exclude_pipeline") != "true":
            made["pipeline"] = self._pipeline(call, build.pipeline)
        return made

    def _bare_build(self, call: Call | None, build: Build, when: Any) -> JSON:
        root = self.root(call)
        origin = build.rebuilt_from
        source = {
            Source.PUSH: "webhook",
            Source.PULL: "webhook",
            Source.SCHEDULE: "schedule",
            Source.WEB: "ui",
            Source.API: "api",
            Source.REBUILD: "api",
        }[build.source]
        return {
            "id": build.uid,
            "graphql_id": f"QnVpbGQtLS0{build.id}",
            "url": self._build_url(root, build),
            "web_url": self.web_url(build, call),
            "number": build.number,
            "state": _state(build),
            "cancel_reason": None,
            "blocked": build.state is BuildState.WAITING,
            "message": build.message,
            "commit": build.commit.sha,
            "branch": build.ref,
            "env": build.env,
            "source": source,
            "creator": {**self._user(build.creator), "created_at": when(build.pipeline.created_at)}
            if build.creator
            else None,
            "author": {"name": build.commit.author.name, "email": build.commit.author.email},
            "created_at": when(build.created_at),
            "scheduled_at": when(build.created_at + 0.2),
            "started_at": when(build.started_at),
            "failing_at": when(build.failing_at),
            "finished_at": when(_finished_at(build)),
            "meta_data": build.meta,
            "pull_request": {
                "id": str(build.pull.number),
                "base": build.pull.target,
                "repository": f"git://demo.example/{build.pipeline.repo.slug}.git",
            }
            if build.pull
            else None,
            "merge_queue": None,
            "rebuilt_from": {"id": origin.uid, "number": origin.number, "url": self._build_url(root, origin)}
            if origin
            else None,
            "triggered_from": None,
        }

    def _build_url(self, root: str, build: Build) -> str:
        return f"{root}/v2/organizations/{ORG}/pipelines/{build.pipeline.path}/builds/{build.number}"

    @override
    def web_path(self, build: Build) -> str:
        return f"{self.pipeline_web_path(build.pipeline)}/builds/{build.number}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{ORG}/{pipeline.path}"

    def _create(self, call: Call) -> Response:
        pipeline, body = self._find_pipeline(call), self.body(call)
        wrong = [{"field": name, "code": "missing"} for name in ("commit", "branch") if not body.get(name)]
        for name, kind in (
            ("env", dict),
            ("meta_data", dict),
            ("author", dict),
            ("message", str),
            ("clean_checkout", bool),
        ):
            if name in body and not isinstance(body[name], kind):
                wrong.append({"field": name, "code": "invalid"})
        wrong += [
            {"field": "env", "code": "invalid"}
            for value in (body.get("env") or {}).values()
            if isinstance(body.get("env"), dict) and not isinstance(value, str)
        ]
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
        build = self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.API,
            branch=branch,
            pull=self._pull(pipeline, body),
            message=body.get("message") or commit.message,
            creator=self.owner,
            env=body.get("env"),
            meta={name: str(value) for name, value in (body.get("meta_data") or {}).items()},
            outcome=outcome,
        )
        return answer(self._build(call, build), 201)

    def _pull(self, pipeline: Pipeline, body: JSON) -> Pull | None:
        number = body.get("pull_request_id")
        return pipeline.repo.pulls.get(number) if isinstance(number, int) else None

    def _cancel(self, call: Call) -> Response:
        build = self._find_build(call)
        if _state(build) not in {"scheduled", "running", "failing"}:
            raise self._refuse(422, f"Build can't be canceled because it's already {_state(build)}.")
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
            and ("soft_failed" if job.soft_failed else _job_state(job)) in words
        ]
        if jobs:
            self.simulation.retry(build, jobs, self.owner)
        return answer({**self._build(call, build), "retried_jobs_count": len(jobs)}, 202)

    # jobs

    def _all_jobs(self, call: Call, build: Build, *, retried: bool) -> list[JSON]:
        made: list[JSON] = []
        stages = build.pipeline.stages
        for index, stage in enumerate(stages):
            jobs = [job for job in build.jobs if job.step.stage == stage]
            gated = any(job.step.approval for job in jobs) or (
                index > 0 and any(step.approval for step in build.pipeline.steps if step.stage == stages[index - 1])
            )
            if index and not gated:
                uid = str(uuid.uuid5(uuid.UUID(build.uid), f"wait/{stage}"))
                made.append({"id": uid, "graphql_id": f"Sm9iLS0t{uid[:8]}", "type": "waiter", "state": "passed"})
            made += [self._job(call, build, job) for job in jobs if retried or not job.retried]
        return made

    def _job(self, call: Call | None, build: Build, job: Job) -> JSON:
        root = self.root(call)
        api = f"{self._build_url(root, build)}/jobs/{job.uid}"
        common: JSON = {"id": job.uid, "graphql_id": f"Sm9iLS0t{job.number}", "state": _job_state(job)}
        if job.step.approval is ApprovalKind.INSTANT:
            return {
                **common,
                "type": "manual",
                "label": job.step.name,
                "step_key": None,
                "web_url": None,
                "unblocked_by": self._user(job.decided_by) if job.decided_by else None,
                "unblocked_at": iso(job.finished_at) if job.state is JobState.UNBLOCKED else None,
                "unblockable": job.awaits_approval,
                "unblock_url": f"{root}{self.web_path(build)}#{job.uid}",
            }
        exit_status = {JobState.PASSED: 0, JobState.FAILED: 1, JobState.TIMEOUT: -1, JobState.CANCELED: -1}.get(
            job.state
        )
        return {
            **common,
            "type": "script",
            "name": job.step.name,
            "step_key": job.step.command.split()[-1],
            "priority": {"number": 0},
            "agent_query_rules": ["queue=default"],
            "build_url": self._build_url(root, build),
            "web_url": f"{self.web_url(build, call)}#{job.uid}",
            "log_url": f"{api}/log",
            "raw_log_url": f"{api}/log.txt",
            "artifacts_url": f"{api}/artifacts",
            "command": job.step.command,
            "soft_failed": job.soft_failed,
            "exit_status": -1 if job.reason == "infrastructure" else exit_status,
            "signal": None,
            "signal_reason": "agent_lost" if job.reason == "infrastructure" else None,
            "broken_reason": None,
            "artifact_paths": ",".join(job.step.artifacts) or None,
            "agent": {"id": ORG_UID, "name": "demo-agent-1", "hostname": "localhost", "connection_state": "connected"}
            if job.started_at
            else None,
            "created_at": iso(job.created_at),
            "scheduled_at": iso(job.created_at),
            "runnable_at": iso(job.queued_at),
            "started_at": iso(job.started_at),
            "finished_at": iso(job.finished_at),
            "expired_at": None,
            "retried": job.retried,
            "retried_in_job_id": job.retried_in,
            "retries_count": job.attempt - 1 or None,
            "retry_source": {"job_id": job.retry_of, "retry_type": "manual"} if job.retry_of else None,
            "retry_type": "manual" if job.retried else None,
            "retried_by": self._user(job.retried_by) if job.retried_by else None,
            "parallel_group_index": None,
            "parallel_group_total": None,
            "matrix": None,
            "cluster_id": None,
            "cluster_queue_id": None,
        }

    def _jobs(self, call: Call) -> Response:
        build = self._find_build(call)
        states = self._many(call, "state")
        if states is not None and not set(states) <= set(JOB_STATES):
            raise self._refuse(400, "state is not valid")
        jobs = self._all_jobs(call, build, retried=call.query.get("include_retried_jobs") != "false")
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
        return answer(self._job(call, build, fresh))

    def _unblock(self, call: Call) -> Response:
        build, job = self._find_job(call)
        body = self.body(call)
        answers = body.get("fields") or {}
        if not isinstance(answers, dict) or not all(isinstance(value, str) for value in answers.values()):
            raise self._refuse(400, "fields must be a map of strings")
        if job.step.approval is not ApprovalKind.INSTANT:
            raise self._refuse(400, "This job type cannot be unblocked")
        values = {}
        for field in job.step.fields:
            value = answers.get(field.key, field.default)
            if field.required and not value:
                raise self._refuse(422, f"{field.label} is required")
            if value and field.options and value not in field.options:
                raise self._refuse(422, f"{field.label} must be one of {', '.join(field.options)}")
            if value:
                values[field.key] = value
        by = next((person for person in self.simulation.people if person.uid == body.get("unblocker")), self.owner)
        try:
            self.simulation.approve(build, job, by)
        except Refused as exc:
            raise self._refuse(422, "This job is not blocked") from exc
        build.meta.update(values)
        return answer(self._job(call, build, job))

    def _log(self, call: Call) -> Response:
        build, job = self._find_job(call)
        text = _log_text(build, job, self.simulation.now)
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
        build = self._find_build(call)
        made = []
        failed = [test for _, test in build.tests() if test.outcome == "failed"]
        for context, style, count, noun in (
            ("eslint", "warning", build.count(IssueKind.WARNING), "warnings"),
            ("tests", "error", len(failed), "failed tests"),
        ):
            if not count or (context == "eslint" and build.outcome is not Outcome.WARNINGS):
                continue
            note = {
                "id": str(uuid.uuid5(uuid.UUID(build.uid), context)),
                "context": context,
                "style": style,
                "scope": "build",
                "job_id": None,
                "priority": 3,
                "created_at": iso(build.updated_at),
                "updated_at": iso(build.updated_at),
            }
            if call.query.get("omit_body") != "true":
                note["body_html"] = f"<p>{count} {noun}</p>"
            made.append(note)
        page, headers = self._paged(call, made)
        return answer(page, headers=headers)

    def _artifact(self, call: Call, build: Build, job: Job, artifact: Artifact) -> JSON:
        url = f"{self._build_url(self.root(call), build)}/jobs/{job.uid}/artifacts/{artifact.uid}"
        folder, _, name = artifact.path.rpartition("/")
        return {
            "id": artifact.uid,
            "job_id": job.uid,
            "url": url,
            "download_url": f"{url}/download",
            "state": "finished",
            "path": artifact.path,
            "dirname": folder,
            "filename": name,
            "mime_type": artifact.mime,
            "file_size": len(artifact.content),
            "glob_path": None,
            "original_path": None,
            "sha1sum": hashlib.sha1(artifact.content, usedforsecurity=False).hexdigest(),
        }

    def _artifacts(self, call: Call, build: Build, jobs: list[Job]) -> Response:
        state, path = call.query.get("state"), call.query.get("path")
        if state is not None and state not in ARTIFACT_STATES:
            raise self._refuse(422, "state is not valid")
        artifacts = [
            self._artifact(call, build, job, artifact)
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
        return answer(self._artifact(call, *self._find_artifact(call)))

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
        return answer([self._test(call, build, test) for test in page], headers=headers)

    def _test(self, call: Call, build: Build, test: Test) -> JSON:
        path = f"organizations/{ORG}/suites/{build.pipeline.path}/tests/{test.uid}"
        return {
            "id": test.uid,
            "url": f"{self.root(call)}/v2/analytics/{path}",
            "web_url": f"{self.root(call)}/{path}",
            "scope": test.class_name,
            "name": test.name,
            "location": f"./{test.file}:{test.line}",
            "file_name": f"./{test.file}",
            "labels": [],
            "reliability": 0.71 if test.outcome == "failed" else 0.99,
            "duration_avg": test.seconds,
            "duration_sum": test.seconds,
            "duration_min": test.seconds,
            "duration_max": test.seconds,
            "executions_count": 1,
            "executions_count_by_result": {test.outcome: 1},
        }

    def _suite_builds(self, call: Call) -> list[Build]:
        self._in_org(call, {})
        for pipeline in self.simulation.of_system(self.name):
            if pipeline.path == call.at("suite"):
                return [build for build in newest_first(pipeline.builds) if any(job.tests for job in build.current)]
        raise self._refuse(404, "No suite found")

    def _runs(self, call: Call) -> Response:
        wanted = call.query.get("build_id")
        page, headers = self._paged(call, [build for build in self._suite_builds(call) if wanted in {None, build.uid}])
        url = f"{self.root(call)}/v2/analytics/organizations/{ORG}/suites/{call.at('suite')}/runs"
        return answer(
            [
                {
                    "id": _run_uid(build),
                    "branch": build.ref,
                    "commit_sha": build.commit.sha,
                    "state": "finished" if build.finished else "running",
                    "result": "failed" if any(test.outcome == "failed" for _, test in build.tests()) else "passed",
                    "url": f"{url}/{_run_uid(build)}",
                    "web_url": self.web_url(build, call),
                    "build_id": build.uid,
                    "created_at": iso(build.created_at),
                }
                for build in page
            ],
            headers=headers,
        )

    def _failed_executions(self, call: Call) -> Response:
        for build in self._suite_builds(call):
            if _run_uid(build) == call.at("run"):
                break
        else:
            raise self._refuse(404, "No run found")
        root = self.root(call)
        run = f"{root}/organizations/{ORG}/analytics/suites/{build.pipeline.path}/runs/{_run_uid(build)}"
        failed = [(job, test) for job, test in build.tests() if test.outcome == "failed"]
        page, headers = self._paged(call, failed)
        return answer(
            [
                {
                    "execution_id": str(uuid.uuid5(uuid.UUID(build.uid), test.uid)),
                    "run_id": _run_uid(build),
                    "test_id": test.uid,
                    "run_name": _run_uid(build),
                    "commit_sha": build.commit.sha,
                    "created_at": iso(job.finished_at),
                    "branch": build.ref,
                    "failure_reason": test.message,
                    "duration": test.seconds,
                    "location": f"./{test.file}:{test.line}",
                    "test_name": f"{test.class_name} {test.name}",
                    "run_url": run,
                    "test_url": f"{run}/tests/{test.uid}",
                    "test_execution_url": f"{run}/tests/{test.uid}?execution",
                    "tags": {"language.name": build.pipeline.language},
                }
                for job, test in page
            ],
            headers=headers,
        )

    # webhooks

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
                "build": self._bare_build(None, build, spaced),
                "pipeline": self._pipeline(None, build.pipeline, spaced),
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


def _state(build: Build) -> str:
    match build.state:
        case BuildState.QUEUED:
            return "scheduled"
        case BuildState.RUNNING:
            return "canceling" if build.canceling else "failing" if build.failing_at else "running"
        case BuildState.WAITING:
            # A blocked build keeps the word it would have without the approval; `blocked` tells.
            return "passed"
        case BuildState.FINISHED:
            return {Result.PASSED: "passed", Result.CANCELED: "canceled"}.get(build.result or Result.FAILED, "failed")


def _finished_at(build: Build) -> float | None:
    return build.updated_at if build.state is BuildState.WAITING else build.finished_at if build.finished else None


def _job_state(job: Job) -> str:
    approval = job.step.approval is not None
    match job.state:
        case JobState.CREATED:
            return "blocked" if approval and job.awaits_approval else "waiting"
        case JobState.QUEUED:
            return "scheduled"
        case JobState.RUNNING:
            return "canceling" if job.canceling else "running"
        case JobState.TIMEOUT:
            return "timed_out"
        case JobState.SKIPPED:
            return "blocked_failed" if approval else "waiting_failed"
        case JobState.MANUAL:
            return "blocked"
        case JobState.PASSED | JobState.FAILED | JobState.CANCELED | JobState.UNBLOCKED:
            return job.state.value


def _run_uid(build: Build) -> str:
    return str(uuid.uuid5(uuid.UUID(build.uid), "run"))


def _log_text(build: Build, job: Job, now: float) -> str:
    written = []
    start = job.started_at or 0.0
    end = job.finished_at or job.ends_at or now
    for line in job_output.visible(build, job, now):
        at = round((start + line.share * (end - start)) * 1000)
        text = f"~~~ {line.text}" if line.kind == "section" else line.coloured
        written.append(f"\x1b_bk;t={at}\x07{text}\r\n")
    return "".join(written)
