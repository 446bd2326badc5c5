"""A stand-in of Travis CI's API v3 at an installation of one's own, for one owner, `acme`."""

import base64
import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import travis_wire as wire
from playground.ci.model import Build, Job, JobState, Person, Pipeline, Source, stamp
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer, whole
from playground.ci.travis_wire import OWNER

PER_MINUTE = 2000
REQUESTS_PER_HOUR = 10
REQUEST_SECONDS = 1.0
"""How long a request to build waits before it is a build."""
KEY_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request to build; `build` None: it was rejected for `reason`."""

    id: int
    pipeline: Pipeline
    branch: str
    created_at: float
    message: str
    build: Build | None = None
    reason: str = ""


class Travis(System):
    """Travis CI."""

    name = "travis"
    label = "Travis CI"
    connection = "demo-travis"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = self.secret("token")[:22]
        self._meter = Meter(round(PER_MINUTE * simulation.quota), 60)
        self._starts: dict[int, Meter] = {}
        self._requests: dict[int, _Request] = {}

    @cached_property
    def key(self) -> RSAPrivateKey:
        """The key that webhooks are signed with, made when it is first needed."""
        return generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "travis",
            "url": f"{base}{self.mount}/api",
            "owner": OWNER,
            "token": self.token,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        repo, build, job = "/api/repo/{repo:path}", "/api/build/{build:int}", "/api/job/{job:int}"
        return [
            api("/api/config", self._config, open_to_all=True),
            api("/api/user", lambda _call: answer(wire.user(self.owner) | {"is_syncing": False})),
            api("/api/repos", self._repositories),
            api("/api/owner/{owner}/repos", self._repositories),
            api("/api/owner/{owner}/active", self._active),
            api(f"{repo}/branches", self._branches),
            api(f"{repo}/builds", self._builds),
            api(f"{repo}/requests", self._list_requests),
            api(f"{repo}/requests", self._start, "POST"),
            api(f"{repo}/request/{{request:int}}", self._request),
            api(f"{repo}/request/{{request:int}}/messages", self._messages),
            api(repo, lambda call: answer(self._repository(self._find(call)))),
            api(build, lambda call: answer(wire.whole_build(self._find_build(call), self.owner))),
            api(f"{build}/jobs", self._jobs),
            api(f"{build}/stages", self._stages),
            api(f"{build}/cancel", self._cancel, "POST"),
            api(f"{build}/restart", self._restart, "POST"),
            api(job, lambda call: answer(wire.job(*self._find_job(call), self.owner))),
            api(f"{job}/cancel", self._cancel_job, "POST"),
            api(f"{job}/restart", self._restart_job, "POST"),
            api(f"{job}/log", self._log),
            api(f"{job}/log.txt", lambda call: Response(self._text(call), media_type="text/plain")),
            api(f"{job}/log_parts", self._log_parts),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, token = call.header("authorization").partition(" ")
        if not token:
            return self._error(403, "login_required", "login required")
        if scheme.lower() not in {"token", "bearer"} or token.encode() != self.token.encode():
            return self.failure(401, "access denied")
        if call.header("travis-api-version") != "3":
            return self._error(404, "not_found", "API v2 is not spoken here")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        return {}

    @override
    def failure(self, status: int, message: str) -> Response:
        kinds = {400: "wrong_params", 401: "wrong_credentials", 404: "not_found", 405: "method_not_allowed"}
        said = "access denied" if status == 401 else message
        return self._error(403 if status == 401 else status, kinds.get(status, "error"), said)

    @override
    def limited(self, retry_after: float) -> Response:
        return Response("Retry later\n", 429, headers={"Retry-After": str(round(retry_after))}, media_type="text/plain")

    def _error(self, status: int, kind: str, message: str, **more: object) -> Response:
        return answer({"@type": "error", "error_type": kind, "error_message": message, **more}, status)

    def _missing(self, kind: str) -> Refusal:
        message = f"{kind} not found (or insufficient access)"
        return Refusal(self._error(404, "not_found", message, resource_type=kind))

    def _conflict(self, kind: str, message: str) -> Refusal:
        return Refusal(self._error(409, kind, message))

    def _listing(self, call: Call, member: str, items: list[Any], default: int = 25) -> Response:
        limit = whole(call.query.get("limit"), default, least=0, most=100) or 100
        offset = whole(call.query.get("offset"), 0, least=0)
        is_last = offset + limit >= len(items)
        pages: JSON = {
            "limit": limit,
            "offset": offset,
            "count": len(items),
            "is_first": not offset,
            "is_last": is_last,
        }
        pages["next"] = None if is_last else {"@href": call.raw_path, "offset": offset + limit, "limit": limit}
        made: JSON = {"@type": member, "@href": call.raw_path, "@representation": "standard", "@pagination": pages}
        return answer({**made, member: items[offset : offset + limit]})

    # finding

    def _all(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    def _find(self, call: Call) -> Pipeline:
        for pipeline in self._all():
            if call.at("repo").lower() in {str(pipeline.number), pipeline.repo.slug}:
                return pipeline
        raise self._missing("repository")

    def _find_build(self, call: Call) -> Build:
        for pipeline in self._all():
            for build in pipeline.builds:
                if str(build.id) == call.at("build"):
                    return build
        raise self._missing("build")

    def _find_job(self, call: Call) -> tuple[Build, Job]:
        for pipeline in self._all():
            for build in pipeline.builds:
                for job in build.current:
                    if str(job.number) == call.at("job"):
                        return build, job
        raise self._missing("job")

    # repositories

    def _config(self, _call: Call) -> Response:
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return answer({"config": {"host": "localhost", "notifications": {"webhook": {"public_key": pem}}}})

    def _repository(self, pipeline: Pipeline) -> JSON:
        return wire.whole_repository(pipeline, max(pipeline.builds, key=lambda build: build.id, default=None))

    def _check_owner(self, call: Call) -> None:
        if call.request.path_params.get("owner", OWNER).lower() != OWNER:
            raise self._missing("owner")

    def _repositories(self, call: Call) -> Response:
        self._check_owner(call)
        rows = [self._repository(pipeline) for pipeline in self._all()]
        if call.query.get("sort_by", "").startswith("current_build"):
            rows.sort(key=lambda row: (row["last_started_build"] or {}).get("id", 0), reverse=True)
        return self._listing(call, "repositories", rows, 100)

    def _branches(self, call: Call) -> Response:
        pipeline = self._find(call)
        built: dict[str, Build] = {}
        for build in newest_first(pipeline.builds):
            if build.branch:
                built.setdefault(build.branch, build)
        rows = [
            {
                **wire.branch(pipeline.number, name),
                "default_branch": name == pipeline.repo.default_branch,
                "exists_on_github": name in pipeline.repo.branches,
                "last_build": wire.short_build(build),
            }
            for name, build in built.items()
        ]
        return self._listing(call, "branches", rows)

    # builds and jobs

    def _active(self, call: Call) -> Response:
        self._check_owner(call)
        unfinished = [build for pipeline in self._all() for build in pipeline.builds if not build.finished]
        builds = [wire.whole_build(build, self.owner) for build in newest_first(unfinished)]
        return answer({"@type": "active", "@href": call.raw_path, "@representation": "standard", "builds": builds})

    def _builds(self, call: Call) -> Response:
        query, builds = call.query, newest_first(self._find(call).builds)
        names, states = query.get("branch.name"), query.get("build.state")
        events = query.get("build.event_type")
        rows = [
            wire.listed_build(build, self.owner)
            for build in builds
            if (not names or build.ref in names.split(","))
            and (not states or wire.state(build) in states.split(","))
            and (not events or wire.EVENTS[build.source] in events.split(","))
        ]
        return self._listing(call, "builds", rows)

    def _jobs(self, call: Call) -> Response:
        build = self._find_build(call)
        jobs = [wire.job(build, job, self.owner) for job in build.current]
        return answer({"@type": "jobs", "@href": call.raw_path, "@representation": "standard", "jobs": jobs})

    def _stages(self, call: Call) -> Response:
        stages = wire.stages(self._find_build(call))
        return answer({"@type": "stages", "@href": call.raw_path, "@representation": "standard", "stages": stages})

    def _accepted(self, kind: str, subject: JSON, change: str) -> Response:
        return answer({"@type": "pending", kind: subject, "state_change": change, "resource_type": kind}, 202)

    def _cancel(self, call: Call) -> Response:
        build = self._find_build(call)
        if build.finished:
            raise self._conflict("build_not_cancelable", "build is not running, cannot cancel")
        before = wire.short_build(build)
        self.simulation.cancel(build)
        return self._accepted("build", before, "cancel")

    def _restart(self, call: Call) -> Response:
        build = self._find_build(call)
        if not build.finished:
            raise self._conflict("build_already_running", "build already running, cannot restart")
        before = wire.short_build(build)
        self.simulation.retry(build, build.current, self.owner, in_place=True)
        return self._accepted("build", before, "restart")

    def _cancel_job(self, call: Call) -> Response:
        build, job = self._find_job(call)
        if job.state.final:
            raise self._conflict("job_not_cancelable", "job is not running, cannot cancel")
        before = wire.job(build, job, self.owner)
        self.simulation.cancel_job(build, job)
        return self._accepted("job", before, "cancel")

    def _restart_job(self, call: Call) -> Response:
        build, job = self._find_job(call)
        if not job.state.final and job.state is not JobState.CREATED:
            raise self._conflict("job_already_running", "job already running, cannot restart")
        before = wire.job(build, job, self.owner)
        if job.state.final:  # one that waits for others runs anyhow
            self.simulation.retry(build, [job], self.owner, in_place=True)
        return self._accepted("job", before, "restart")

    # logs

    def _text(self, call: Call) -> str:
        build, job = self._find_job(call)
        return wire.log_text(build, job, self.simulation.now)

    def _log(self, call: Call) -> Response:
        _, job = self._find_job(call)
        text = self._text(call)
        part = {"content": text, "final": job.state.final, "number": 0}
        made = {"@type": "log", "@href": call.raw_path, "@representation": "standard", "id": job.number}
        return answer({**made, "content": text, "log_parts": [part], "@raw_log_href": f"{call.raw_path}.txt"})

    def _log_parts(self, call: Call) -> Response:
        _, job = self._find_job(call)
        lines = self._text(call).splitlines(keepends=True)
        parts = [{"content": line, "final": False, "number": number} for number, line in enumerate(lines)]
        if parts and job.state.final:
            parts[-1]["final"] = True
        return answer({"@type": "log_parts", "@href": call.raw_path, "@representation": "standard", "log_parts": parts})

    # requests

    def _start(self, call: Call) -> Response:
        pipeline, body = self._find(call), self.body(call).get("request")
        if not isinstance(body, dict):
            raise Refusal(self.failure(400, "wrong parameters"))
        if not pipeline.enabled:
            raise Refusal(self._error(406, "repository_inactive", "repository inactive"))
        limit = round(REQUESTS_PER_HOUR * self.simulation.quota)
        meter = self._starts.setdefault(pipeline.number, Meter(limit, 3600))
        if not meter.hit(self.simulation.now):
            raise Refusal(
                self._error(
                    429,
                    "request_limit_reached",
                    "request limit reached for resource",
                    max_requests=limit,
                    per_seconds=3600,
                    repository=wire.repository(pipeline),
                )
            )
        request = self._make_request(pipeline, body)
        self._requests[request.id] = request
        named = {"id": request.id, "message": body.get("message"), "branch": request.branch}
        made = {"@type": "pending", "resource_type": "request", "remaining_requests": meter.left()}
        return answer({**made, "repository": wire.repository(pipeline), "request": named}, 202)

    def _make_request(self, pipeline: Pipeline, body: JSON) -> _Request:
        """Return the request that a body makes, with its build unless it names what is not there."""
        repo, tag = pipeline.repo, body.get("tag_name")
        branch = str(body.get("branch") or repo.default_branch)
        name, sha = str(tag or branch), body.get("sha")
        head = (repo.tags if tag else repo.branches).get(name)
        pinned = repo.find(str(sha)) if sha else None
        commit = pinned[0] if pinned else None if sha else head
        number, now = self.simulation.next_id("travis/request", 4_000), self.simulation.now
        if commit is None or head is None:
            return _Request(
                id=number, pipeline=pipeline, branch=name, created_at=now, message="Could not fetch the commit.",
                reason="commit_not_found",
            )  # fmt: skip
        build = self.simulation.start(
            pipeline,
            commit=commit,
            source=Source.API,
            branch=None if tag else branch,
            tag=name if tag else None,
            message=body.get("message") or None,
            creator=self.owner,
            env=_variables(body.get("config")),
        )
        return _Request(
            id=number, pipeline=pipeline, branch=name, created_at=now, message="Build created successfully", build=build
        )

    def _request_json(self, request: _Request) -> JSON:
        is_pending = self.simulation.now < request.created_at + REQUEST_SECONDS
        build = None if is_pending else request.build
        made: JSON = {
            "@type": "request",
            "@href": f"/repo/{request.pipeline.number}/request/{request.id}",
            "@representation": "standard",
            "id": request.id,
            "state": "pending" if is_pending else "finished",
            "result": None if is_pending else "rejected" if request.build is None else "approved",
            "message": None if is_pending else request.message,
            "repository": wire.repository(request.pipeline),
            "branch_name": request.branch,
            "commit": wire.commit(request.build.commit, request.build) if request.build else None,
            "builds": [wire.short_build(build)] if build else [],
            "event_type": "api",
            "created_at": stamp(request.created_at),
        }
        return made

    def _find_request(self, call: Call) -> _Request:
        request = self._requests.get(int(call.at("request")))
        if request is None or request.pipeline is not self._find(call):
            raise self._missing("request")
        return request

    def _request(self, call: Call) -> Response:
        return answer(self._request_json(self._find_request(call)))

    def _messages(self, call: Call) -> Response:
        reason = self._find_request(call).reason
        messages = [{"@type": "message", "level": "error", "key": None, "code": reason}] if reason else []
        return answer({"@type": "messages", "@href": call.raw_path, "messages": messages})

    def _list_requests(self, call: Call) -> Response:
        pipeline = self._find(call)
        own = [request for request in self._requests.values() if request.pipeline is pipeline]
        return self._listing(call, "requests", [self._request_json(request) for request in reversed(own)])

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{build.pipeline.repo.slug}/builds/{build.id}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{pipeline.repo.slug}"

    @override
    def job_web_path(self, build: Build, job: Job) -> str:
        return f"/{build.pipeline.repo.slug}/jobs/{job.number}"

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        if event not in {"started", "finished"}:
            return []
        payload = json.dumps(wire.webhook(build, self.root())).encode()
        signature = self.key.sign(payload, PKCS1v15(), SHA1())  # noqa: S303 - the vendor's own scheme
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Travis CI Notifications",
            "Signature": base64.b64encode(signature).decode(),
            "Travis-Repo-Slug": build.pipeline.repo.slug,
        }
        return [WebhookRequest(headers=headers, body=urlencode({"payload": payload}).encode())]


def _variables(config: object) -> dict[str, str]:
    """Return the environment variables that a start's settings hold, as a list of `A=b` or as a mapping."""
    env = config.get("env") if isinstance(config, dict) else None
    variables = env.get("global") if isinstance(env, dict) else env
    if isinstance(variables, dict):
        return {str(name): str(value) for name, value in variables.items()}
    pairs = [part.partition("=") for text in variables or [] for part in shlex.split(str(text))]
    return {name: value for name, _, value in pairs}
