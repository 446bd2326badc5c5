"""The control interface of the local CI systems: their state as JSON, and acts upon them. The README describes both."""

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from playground.ci.local_ci import LocalCi
from playground.ci.model import Build, IssueKind, Outcome, Pipeline, Source, iso
from playground.ci.simulation import Refused, ends_in, newest_first
from playground.ci.system import FAULTS, JSON, Fault, System, answer, whole

SHOWN_BUILDS = 8
FASTEST = 1000.0


class BadRequest(Exception):
    """A request that makes no sense, with the status to answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """The routes below `/control`."""

    def __init__(self, ci: LocalCi) -> None:
        self._ci = ci

    def routes(self) -> list[BaseRoute]:
        """Return the routes, all below `/control`."""
        return [
            self._route("/control/state", self._state, "GET"),
            self._route("/control/requests", self._requests, "GET", "DELETE"),
            self._route("/control/push", self._push, "POST"),
            self._route("/control/outcome", self._outcome, "POST"),
            self._route("/control/finish", self._finish, "POST"),
            self._route("/control/approval", self._approval, "POST"),
            self._route("/control/advance", self._advance, "POST"),
            self._route("/control/speed", self._speed, "POST"),
            self._route("/control/fault", self._fault, "POST"),
            self._route("/control/webhooks", self._webhooks, "POST"),
        ]

    def _route(self, path: str, handler: Callable[[Request, JSON], Awaitable[Response]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            self._ci.settle()
            try:
                return await handler(request, await _body(request))
            except BadRequest as exc:
                return answer({"error": str(exc)}, exc.status)
            except Refused as exc:
                return answer({"error": str(exc)}, 400)

        return Route(path, endpoint, methods=list(methods))

    # looking

    async def _state(self, request: Request, _body: JSON) -> Response:
        ci, shown = self._ci, whole(request.query_params.get("builds"), SHOWN_BUILDS, most=200)
        origin = f"{request.url.scheme}://{request.url.netloc}"
        return answer(
            {
                "now": iso(ci.now),
                "speed": ci.speed,
                "advanced": ci.clock.ahead,
                "webhooks": {
                    "on": ci.sender.on,
                    "bot_url": ci.sender.bot_url,
                    "delivered": ci.sender.delivered,
                    "failed": ci.sender.failed,
                },
                "authors": [{"name": person.name, "email": person.email} for person in ci.people],
                "outcomes": [outcome.value for outcome in Outcome],
                "systems": [
                    {
                        "system": system.name,
                        "label": system.label,
                        "connection": system.connection,
                        "requests": system.requests,
                        "fault": system.fault.as_json() if system.fault else None,
                        "pipelines": [
                            {
                                "pipeline": pipeline.path,
                                "web_url": f"{origin}{system.mount}{system.pipeline_web_path(pipeline)}",
                                "default_branch": pipeline.repo.default_branch,
                                "branches": sorted(pipeline.repo.branches),
                                "builds": [
                                    self._build(build, origin) for build in newest_first(pipeline.builds)[:shown]
                                ],
                            }
                            for pipeline in ci.of_system(system.name)
                        ],
                    }
                    for system in ci.systems.values()
                ],
            }
        )

    def _build(self, build: Build, origin: str) -> JSON:
        now, system = self._ci.now, self._ci.systems[build.pipeline.system]
        return {
            "id": build.uid,
            "number": build.number,
            "branch": build.branch,
            "tag": build.tag,
            "commit": build.commit.sha,
            "message": build.message,
            "author": build.commit.author.name,
            "state": build.state.value,
            "result": build.result.value if build.result else None,
            "attempt": build.attempt,
            "created_at": iso(build.created_at),
            "started_at": iso(build.started_at),
            "finished_at": iso(build.finished_at) if build.finished else None,
            "web_url": f"{origin}{system.mount}{system.web_path(build)}",
            "counts": {
                "errors": build.count(IssueKind.ERROR),
                "warnings": build.count(IssueKind.WARNING),
                "test_failures": build.count(IssueKind.TEST_FAILURE),
                "analyzer_warnings": build.count(IssueKind.ANALYZER_WARNING),
                "tests": sum(1 for _ in build.tests()),
            },
            "jobs": [
                {
                    "id": job.uid,
                    "name": job.step.name,
                    "stage": job.step.stage,
                    "state": job.state.value,
                    "seconds": None
                    if job.started_at is None
                    else round((now if job.finished_at is None else job.finished_at) - job.started_at, 1),
                }
                for job in build.current
            ],
            "approvals": [{"id": job.uid, "name": job.step.name} for job in build.approvals],
            "outcome": build.outcome.value,
            "ends_in": ends_in(build, now, self._ci.pace),
        }

    async def _requests(self, request: Request, _body: JSON) -> Response:
        ci = self._ci
        if request.method == "DELETE":
            ci.requests.clear()
        system, since = request.query_params.get("system"), whole(request.query_params.get("since"), 0, least=0)
        gone = ci.requests_total - len(ci.requests)
        kept = list(ci.requests)[max(since - gone, 0) :]
        return answer(
            {
                "requests": [entry for entry in kept if system in {None, entry["system"]}],
                "total": ci.requests_total,
            }
        )

    # finding

    def _system(self, body: JSON) -> System:
        system = self._ci.systems.get(str(body.get("system")))
        if system is None:
            raise BadRequest(
                f"There is no system {body.get('system')!r}; there are {', '.join(self._ci.systems)}.", 404
            )
        return system

    def _pipeline(self, body: JSON) -> Pipeline:
        system, name = self._system(body), str(body.get("pipeline"))
        pipelines = self._ci.of_system(system.name)
        matches = [pipeline for pipeline in pipelines if pipeline.path == name] or [
            pipeline for pipeline in pipelines if name in {pipeline.path.rpartition("/")[2], pipeline.name}
        ]
        if len(matches) != 1:
            raise BadRequest(
                f"There is no one pipeline {name!r}; there are {', '.join(it.path for it in pipelines)}.", 404
            )
        return matches[0]

    def _find(self, body: JSON) -> Build:
        system, key = self._system(body), str(body.get("build"))
        if key.startswith("#"):
            for build in self._pipeline(body).builds:
                if f"#{build.number}" == key:
                    return build
        elif (known := self._ci.build(system.name, key)) is not None:
            return known
        raise BadRequest(f"There is no build {key!r}.", 404)

    def _answer(self, request: Request, build: Build, status: int = 200) -> Response:
        self._ci.settle()
        return answer(self._build(build, f"{request.url.scheme}://{request.url.netloc}"), status)

    # acting

    async def _push(self, request: Request, body: JSON) -> Response:
        ci, pipeline = self._ci, self._pipeline(body)
        author = ci.person(
            str(body.get("author_name") or ci.people[0].name), str(body.get("author_email") or ci.people[0].email)
        )
        branch = str(body.get("branch") or pipeline.repo.default_branch)
        commit = ci.commit(pipeline.repo, branch, str(body.get("message") or "Try something new"), author)
        if body.get("breaks") is True:
            pipeline.repo.breaking.add(commit.sha)
        pull = next((it for it in pipeline.repo.pulls.values() if it.branch == branch and not it.closed), None)
        by_pull = pull is not None and Source.PULL in pipeline.sources
        build = ci.start(
            pipeline,
            commit=commit,
            source=Source.PULL if by_pull else Source.PUSH,
            branch=branch,
            pull=pull if by_pull else None,
            creator=author,
            outcome=_outcome(body, needed=False),
        )
        return self._answer(request, build, 201)

    async def _outcome(self, request: Request, body: JSON) -> Response:
        build, outcome = self._find(body), _outcome(body, needed=True)
        if outcome is not None:
            self._ci.decide_outcome(build, outcome)
        return self._answer(request, build)

    async def _finish(self, request: Request, body: JSON) -> Response:
        build = self._find(body)
        self._ci.finish(build, _outcome(body, needed=False))
        return self._answer(request, build)

    async def _approval(self, request: Request, body: JSON) -> Response:
        build, approve = self._find(body), body.get("approve")
        if not isinstance(approve, bool):
            raise BadRequest("`approve` must be true or false.")
        if not build.approvals:
            raise BadRequest("Nothing waits for a person here.")
        decide = self._ci.approve if approve else self._ci.reject
        decide(build, build.approvals[0], self._ci.people[-1])
        return self._answer(request, build)

    async def _advance(self, _request: Request, body: JSON) -> Response:
        self._ci.advance(_number(body, "seconds", 0.0, 30 * 24 * 3600.0))
        return answer({"now": iso(self._ci.now)})

    async def _speed(self, _request: Request, body: JSON) -> Response:
        self._ci.set_speed(_number(body, "factor", 0.0, FASTEST))
        return answer({"now": iso(self._ci.now), "speed": self._ci.speed})

    async def _fault(self, _request: Request, body: JSON) -> Response:
        system, kind = self._system(body), str(body.get("kind"))
        if kind not in FAULTS:
            raise BadRequest(f"`kind` must be one of {', '.join(FAULTS)}.")
        fault = Fault(kind=kind)
        if body.get("count") is not None:
            fault.count = int(_number(body, "count", 1, 10_000))
        if body.get("retry_after") is not None:
            fault.retry_after = _number(body, "retry_after", 0, 86_400)
        if body.get("seconds") is not None:
            fault.seconds = _number(body, "seconds", 0, 600)
        system.fault = None if kind == "off" else fault
        return answer({"system": system.name, "fault": system.fault.as_json() if system.fault else None})

    async def _webhooks(self, _request: Request, body: JSON) -> Response:
        sender, on, bot_url = self._ci.sender, body.get("on"), body.get("bot_url")
        if not isinstance(on, bool):
            raise BadRequest("`on` must be true or false.")
        if on:
            if not isinstance(bot_url, str) or not bot_url.startswith(("http://", "https://")):
                raise BadRequest("`bot_url` must be the bot's address.")
            sender.switch_on(bot_url)
        else:
            await sender.switch_off()
        return answer({"on": sender.on, "bot_url": sender.bot_url})


async def _body(request: Request) -> JSON:
    raw = await request.body()
    if not raw.strip():
        return {}
    try:
        read = json.loads(raw)
    except ValueError as exc:
        raise BadRequest("The body is not JSON.") from exc
    if not isinstance(read, dict):
        raise BadRequest("The body is not a JSON object.")
    return read


def _number(body: JSON, name: str, least: float, most: float) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRequest(f"`{name}` must be a number from {least:g} to {most:g}.")
    return float(value)


def _outcome(body: JSON, *, needed: bool) -> Outcome | None:
    value = body.get("outcome")
    if value is None and not needed:
        return None
    try:
        return Outcome(str(value))
    except ValueError as exc:
        raise BadRequest(f"`outcome` must be one of {', '.join(Outcome)}.") from exc
