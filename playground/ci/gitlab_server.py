"""What a GitLab server of any age has: tokens, users, projects, branches, commits, paging, rate limits."""

import hashlib
import hmac
import json
from abc import abstractmethod
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.responses import PlainTextResponse, Response
from typing_extensions import override

from playground.ci import gitlab_wire as wire
from playground.ci.model import (
    Build,
    Commit,
    Job,
    Person,
    Pipeline,
    Repo,
    Result,
    stamp,
)
from playground.ci.simulation import Simulation
from playground.ci.system import JSON, Call, Meter, Refusal, System, answer, link_header, whole

PER_MINUTE = 2000


class GitLabServer(System):
    """A GitLab server."""

    old = False

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.token = "glpat-" + hashlib.sha256(f"{simulation.seed}/{self.name}".encode()).hexdigest()[:20]
        self._meter = Meter(round(PER_MINUTE * simulation.quota), 60)

    @property
    def owner(self) -> Person:
        """Return whose token it is."""
        return self.simulation.people[0]

    @property
    @abstractmethod
    def api_path(self) -> str:
        """Return the path of the API below the mount."""

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, bearer = call.header("authorization").partition(" ")
        given = call.header("private-token") or (bearer if scheme == "Bearer" else "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return self.failure(401, "401 Unauthorized")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        meter = self._meter
        return {
            "RateLimit-Limit": str(meter.limit),
            "RateLimit-Observed": str(meter.used),
            "RateLimit-Remaining": str(meter.left()),
            "RateLimit-Reset": str(meter.resets_at),
            "RateLimit-Name": "throttle_authenticated_api",
        }

    @override
    def failure(self, status: int, message: str) -> Response:
        said = {401: "401 Unauthorized", 429: "Retry later", 500: "500 Internal Server Error"}.get(status, message)
        return answer({"message": said}, status)

    def refuse(self, status: int, message: object) -> Refusal:
        """Return a refusal whose body holds `message`."""
        return Refusal(answer({"message": message}, status))

    def wrong(self, error: str) -> Refusal:
        """Return the refusal of a parameter."""
        return Refusal(answer({"error": error}, 400))

    # reading requests

    def parameters(self, call: Call) -> JSON:
        """Return the parameters of a write: its JSON, its form, or its query."""
        kind = call.header("content-type").partition(";")[0]
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(call.body.decode()))
        if kind and kind != "application/json" and call.body:
            raise Refusal(answer({"error": "The provided content-type is not supported."}, 415))
        return {**call.query, **self.body(call)}

    def paged(self, call: Call, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return a page of a listing and its headers."""
        page, size = whole(call.query.get("page"), 1), whole(call.query.get("per_page"), 20, most=100)
        last = max(-(-len(items) // size), 1)
        pages: dict[str, dict[str, str | int]] = {"first": {"page": 1, "per_page": size}}
        if page > 1:
            pages["prev"] = {"page": page - 1, "per_page": size}
        if page < last:
            pages["next"] = {"page": page + 1, "per_page": size}
        pages["last"] = {"page": last, "per_page": size}
        headers = {
            "Link": link_header(call, pages),
            "X-Page": str(page),
            "X-Per-Page": str(size),
            "X-Next-Page": str(page + 1) if page < last else "",
            "X-Prev-Page": str(page - 1) if page > 1 else "",
            "X-Total": str(len(items)),
            "X-Total-Pages": str(last),
        }
        return items[(page - 1) * size : page * size], headers

    def listing(self, call: Call, items: list[Any]) -> Response:
        """Return a page of a listing."""
        page, headers = self.paged(call, items)
        return answer(page, headers=headers)

    def project(self, call: Call) -> Pipeline:
        """Return the project that a path names by its number or by its path, encoded whole."""
        project_id = call.at("id")
        for pipeline in self.simulation.of_system(self.name):
            encoded = f"/{quote(pipeline.path, safe='')}".lower() in call.raw_path.lower()
            if project_id == str(pipeline.repo.number) or (project_id == pipeline.path and encoded):
                return pipeline
        raise self.refuse(404, "404 Project Not Found")

    def build_of(self, call: Call, name: str = "pipeline_id") -> Build:
        """Return the build whose id a path holds."""
        pipeline = self.project(call)
        for build in pipeline.builds:
            if str(build.id) == call.at(name):
                return build
        raise self.refuse(404, "404 Not Found")

    def job_of(self, call: Call, name: str = "job_id") -> tuple[Build, Job]:
        """Return the job whose id a path holds."""
        pipeline = self.project(call)
        for build in reversed(pipeline.builds):
            for job in build.jobs:
                if str(job.number) == call.at(name):
                    return build, job
        raise self.refuse(404, "404 Not Found")

    def newest_job(self, pipeline: Pipeline, ref: str, name: str | None) -> Job:
        """Return the newest passed job of a ref with a name that left artifacts."""
        for build in reversed(pipeline.builds):
            for job in build.current:
                if build.ref == ref and job.step.name == name and job.artifacts and build.result is Result.PASSED:
                    return job
        raise self.refuse(404, "404 Not Found")

    # writing answers

    def commit(self, commit: Commit, repo: Repo, call: Call | None = None) -> JSON:
        """Return a commit; version 3 knows less of it."""
        return wire.old_commit_json(commit) if self.old else wire.commit_json(commit, repo, self.root(call))

    def branches(self, call: Call) -> Response:
        """Return a project's branches; `search` knows `^x` and `x$`."""
        pipeline = self.project(call)
        found = [name for name in sorted(pipeline.repo.branches) if _fits(name, call.query.get("search"))]
        return self.listing(call, [self.branch(call, pipeline, name) for name in found])

    def branch(self, call: Call, pipeline: Pipeline, name: str) -> JSON:
        """Return a branch."""
        repo = pipeline.repo
        default = name == repo.default_branch
        made: JSON = {
            "name": name,
            "commit": self.commit(repo.branches[name], repo, call),
            "merged": False,
            "protected": default,
            "developers_can_push": False,
            "developers_can_merge": False,
        }
        if not self.old:
            made |= {
                "can_push": True,
                "default": default,
                "web_url": f"{self.root(call)}/{pipeline.path}/-/tree/{name}",
            }
        return made

    def one_branch(self, call: Call) -> Response:
        """Return one branch."""
        pipeline = self.project(call)
        if call.at("branch") not in pipeline.repo.branches:
            raise self.refuse(404, "404 Branch Not Found")
        return answer(self.branch(call, pipeline, call.at("branch")))

    def tags(self, call: Call) -> Response:
        """Return a project's tags."""
        repo = self.project(call).repo
        tags = [
            {
                "name": name,
                "message": "",
                "target": commit.sha,
                "commit": self.commit(commit, repo, call),
                "release": {"tag_name": name, "description": f"Release {name}"},
            }
            for name, commit in sorted(repo.tags.items(), reverse=True)
            if _fits(name, call.query.get("search"))
        ]
        return self.listing(call, tags)

    def find_commit(self, call: Call, pipeline: Pipeline) -> Commit:
        """Return the commit that a path names."""
        match = pipeline.repo.find(call.at("sha"))
        if match is None:
            raise self.refuse(404, "404 Commit Not Found")
        return match[0]

    def statuses(self, call: Call) -> Response:
        """Return the jobs of a commit as statuses."""
        pipeline = self.project(call)
        commit = self.find_commit(call, pipeline)
        statuses = [
            {
                "id": job.number,
                "sha": commit.sha,
                "ref": build.ref,
                "status": wire.job_status(job),
                "name": job.step.name,
                "target_url": None,
                "description": None,
                "created_at": stamp(job.created_at),
                "started_at": stamp(job.started_at) if job.started_at else None,
                "finished_at": stamp(job.finished_at) if job.finished_at else None,
                "allow_failure": job.step.tolerated,
                "author": wire.user_json(build.creator or self.owner, self.root(call)),
            }
            for build in pipeline.builds
            if build.commit is commit
            for job in build.current
        ]
        return self.listing(call, statuses)

    def trace(self, call: Call) -> Response:
        """Return a job's log, with GitLab's section marks."""
        build, job = self.job_of(call)
        return PlainTextResponse(wire.log_text(build, job, self.simulation.now))

    def archive(self, call: Call, job: Job) -> Response:
        """Return the redirect to a job's archive."""
        archive = next((artifact for artifact in job.artifacts if artifact.kind == "archive"), None)
        if archive is None or job.erased_at is not None:
            raise self.refuse(404, "404 Not Found")
        url = self.presigned(call, archive)
        return Response(None, 302, headers={"Location": url})

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{pipeline.path}"

    @override
    def unknown_path(self, call: Call) -> Response:
        return answer({"error": "404 Not Found"}, 404)

    def signed_json(self, payload: JSON) -> bytes:
        """Return a webhook's body."""
        return json.dumps(payload).encode()


def _fits(name: str, search: str | None) -> bool:
    if not search:
        return True
    head, tail = search.startswith("^"), search.endswith("$")
    core = search.removeprefix("^").removesuffix("$").lower()
    name = name.lower()
    if head and not name.startswith(core):
        return False
    if tail and not name.endswith(core):
        return False
    return core in name
