"""A stand-in of a GitLab 8.17, whose API is v3 and where a build is what a job is today."""

import hashlib
import hmac
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import gitlab_wire as wire
from playground.ci.gitlab_server import GitLabServer
from playground.ci.model import Build, Job, JobState, Pipeline, Source, iso, spaced, stamp
from playground.ci.simulation import Refused, Simulation, newest_first
from playground.ci.system import JSON, Call, WebhookRequest, answer

SCOPES = frozenset({"pending", "running", "failed", "success", "canceled"})


class GitLabV3(GitLabServer):
    """GitLab, API v3."""

    name = "gitlab_v3"
    label = "GitLab 8.17"
    connection = "demo-gitlab3"
    old = True

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._triggers: list[JSON] = []
        self._told: dict[tuple[str, int, int], str] = {}

    @property
    @override
    def api_path(self) -> str:
        return "/api/v3"

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            "kind": "gitlab",
            "url": f"{base}{self.mount}",
            "token": self.token,
            "api_version": "v3",
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api, v3 = self.api, self.api_path
        project = f"{v3}/projects/{{id:path}}"
        build, pipeline = f"{project}/builds/{{job_id:int}}", f"{project}/pipelines/{{pipeline_id:int}}"
        return [
            api(f"{v3}/version", lambda _call: answer({"version": "8.17.8", "revision": "a7c1d9b"})),
            api(f"{v3}/user", lambda call: answer(self._public(call))),
            api(f"{v3}/projects", self._projects),
            api(f"{v3}/projects/owned", self._projects),
            api(f"{v3}/projects/visible", self._projects),
            api(f"{v3}/projects/search/{{query}}", self._search),
            api(f"{project}/repository/branches", self.branches),
            api(f"{project}/repository/branches/{{branch:path}}", self.one_branch),
            api(f"{project}/repository/tags", self.tags),
            api(f"{project}/repository/commits/{{sha}}/builds", self._commit_builds),
            api(f"{project}/repository/commits/{{sha}}/statuses", self.statuses),
            api(f"{project}/repository/commits/{{sha}}", self._commit),
            api(f"{project}/builds/artifacts/{{ref:path}}/download", self._ref_artifacts),
            api(f"{build}/artifacts/keep", lambda call: answer(self._build(call, *self._kept(call)))),
            api(f"{build}/artifacts/keep", lambda call: answer(self._build(call, *self._kept(call)), 201), "POST"),
            api(f"{build}/artifacts", lambda call: self.archive(call, self.job_of(call)[1])),
            api(f"{build}/trace", self.trace),
            api(f"{build}/cancel", self._cancel_build, "POST"),
            api(f"{build}/retry", self._retry_build, "POST"),
            api(f"{build}/erase", self._erase, "POST"),
            api(f"{build}/play", self._play, "POST"),
            api(build, lambda call: answer(self._build(call, *self.job_of(call)))),
            api(f"{project}/builds", self._builds),
            api(f"{pipeline}/cancel", self._cancel, "POST"),
            api(f"{pipeline}/retry", self._retry, "POST"),
            api(pipeline, lambda call: answer(self._pipeline(call, self.build_of(call)))),
            api(f"{project}/pipelines", self._pipelines),
            api(f"{project}/pipeline", self._start, "POST"),
            api(f"{project}/triggers", self._list_triggers),
            api(f"{project}/triggers", self._create_trigger, "POST"),
            api(f"{project}/triggers/{{token}}", self._get_trigger),
            api(f"{project}/trigger/builds", self._trigger, "POST", open_to_all=True),
            api(project, lambda call: answer(self._project(call, self.project(call)))),
            self.other_paths(),
        ]

    # account and projects

    def _public(self, call: Call) -> JSON:
        return {
            **self._user(call, self.owner.number),
            "email": self.owner.email,
            "projects_limit": 100,
            "can_create_group": True,
            "can_create_project": True,
            "two_factor_enabled": False,
            "external": False,
        }

    def _user(self, call: Call | None, number: int) -> JSON:
        person = next(it for it in self.simulation.people if it.number == number)
        return {
            **wire.user_json(person, self.root(call)),
            "created_at": "2015-12-21T13:14:24.077Z",
            "is_admin": False,
            "bio": None,
            "location": None,
            "skype": "",
            "linkedin": "",
            "twitter": "",
            "website_url": "",
            "organization": None,
        }

    def _project(self, call: Call, pipeline: Pipeline) -> JSON:
        repo, web = pipeline.repo, f"{self.root(call)}/{pipeline.path}"
        return {
            "id": repo.number,
            "description": "",
            "default_branch": repo.default_branch,
            "tag_list": [],
            "public": False,
            "archived": False,
            "visibility_level": 0,
            "ssh_url_to_repo": f"git@demo.example:{pipeline.path}.git",
            "http_url_to_repo": f"{web}.git",
            "web_url": web,
            "name": repo.name,
            "name_with_namespace": f"{repo.owner.capitalize()} / {repo.name}",
            "path": repo.name,
            "path_with_namespace": pipeline.path,
            "builds_enabled": True,
            "created_at": stamp(pipeline.created_at),
            "last_activity_at": stamp(max(build.updated_at for build in pipeline.builds)),
            "namespace": {"id": 3, "name": repo.owner, "path": repo.owner, "kind": "group"},
        }

    def _projects(self, call: Call) -> Response:
        wanted = call.query.get("search", "").lower()
        found = [it for it in self.simulation.of_system(self.name) if wanted in it.path.lower()]
        return self.listing(call, [self._project(call, it) for it in found])

    def _search(self, call: Call) -> Response:
        found = [it for it in self.simulation.of_system(self.name) if call.at("query").lower() in it.path.lower()]
        return self.listing(call, [self._project(call, it) for it in found])

    def _commit(self, call: Call) -> Response:
        pipeline = self.project(call)
        commit = self.find_commit(call, pipeline)
        last = next((build for build in newest_first(pipeline.builds) if build.commit is commit), None)
        return answer(
            {
                **self.commit(commit, pipeline.repo, call),
                "parent_ids": [commit.parent],
                "stats": {"additions": 14, "deletions": 3, "total": 17},
                "status": wire.pipeline_status(last) if last else None,
            }
        )

    # builds: jobs of today

    def _build(self, call: Call | None, build: Build, job: Job) -> JSON:
        archive = next((artifact for artifact in job.artifacts if artifact.kind == "archive"), None)
        creator = build.creator or self.owner
        return {
            "id": job.number,
            "status": _status(job),
            "stage": job.step.stage,
            "name": job.step.name,
            "ref": build.ref,
            "tag": build.tag is not None,
            "coverage": None,
            "created_at": stamp(job.created_at),
            "started_at": iso(job.started_at),
            "finished_at": iso(job.finished_at),
            "user": self._user(call, creator.number),
            "artifacts_file": {"filename": archive.path, "size": len(archive.content)}
            if archive and job.erased_at is None
            else None,
            "commit": self.commit(build.commit, build.pipeline.repo, call),
            "runner": None,
            "pipeline": {
                "id": build.id,
                "sha": build.commit.sha,
                "ref": build.ref,
                "status": _old(wire.pipeline_status(build)),
            },
        }

    def _scoped(self, call: Call, pairs: list[tuple[Build, Job]]) -> Response:
        scopes = [*call.all("scope[]"), *call.all("scope")]
        if not set(scopes) <= SCOPES:
            raise self.refuse(400, "Scope contains invalid value(s)")
        matches = sorted(
            ((build, job) for build, job in pairs if not scopes or _status(job) in scopes),
            key=lambda pair: pair[1].number,
            reverse=True,
        )
        return self.listing(call, [self._build(call, build, job) for build, job in matches])

    def _builds(self, call: Call) -> Response:
        pipeline = self.project(call)
        return self._scoped(call, [(build, job) for build in pipeline.builds for job in build.jobs])

    def _commit_builds(self, call: Call) -> Response:
        pipeline = self.project(call)
        commit = self.find_commit(call, pipeline)
        return self._scoped(
            call, [(build, job) for build in pipeline.builds if build.commit is commit for job in build.jobs]
        )

    def _kept(self, call: Call) -> tuple[Build, Job]:
        build, job = self.job_of(call)
        if not job.artifacts or job.erased_at is not None:
            raise self.refuse(404, "404 Not Found")
        return build, job

    def _cancel_build(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if not job.state.final and not build.finished:
            self.simulation.cancel_job(build, job)
            if job.state is JobState.RUNNING:
                # This server knew no canceling: the build was canceled at once.
                job.ends_at = self.simulation.now
                self.simulation.settle()
        return answer(self._build(call, build, job), 201)

    def _retry_build(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if not job.state.final or job.state is JobState.SKIPPED:
            raise self.refuse(403, "403 Forbidden - Build is not retryable")
        (fresh,) = self.simulation.retry(build, [job], self.owner, in_place=True)
        return answer(self._build(call, build, fresh), 201)

    def _erase(self, call: Call) -> Response:
        build, job = self.job_of(call)
        if not job.state.final or job.erased_at is not None:
            raise self.refuse(403, "403 Forbidden - Build is not erasable!")
        job.erased_at = build.updated_at = self.simulation.now
        made = self._build(call, build, job)
        del made["artifacts_file"]
        return answer({**made, "download_url": None}, 201)

    def _play(self, call: Call) -> Response:
        build, job = self.job_of(call)
        try:
            self.simulation.approve(build, job, self.owner)
        except Refused as exc:
            raise self.refuse(400, '400 (Bad request) "Unplayable Build" not given') from exc
        return answer(self._build(call, build, job), 201)

    def _ref_artifacts(self, call: Call) -> Response:
        return self.archive(call, self.newest_job(self.project(call), call.at("ref"), call.query.get("job")))

    # pipelines

    def _pipeline(self, call: Call | None, build: Build) -> JSON:
        return {
            "id": build.id,
            "sha": build.commit.sha,
            "ref": build.ref,
            "status": _old(wire.pipeline_status(build)),
            "before_sha": build.commit.parent,
            "tag": build.tag is not None,
            "yaml_errors": None,
            "user": self._user(call, (build.creator or self.owner).number),
            "created_at": stamp(build.created_at),
            "updated_at": stamp(build.updated_at),
            "started_at": iso(build.started_at),
            "finished_at": iso(build.finished_at) if build.finished else None,
            "committed_at": None,
            "duration": round(build.finished_at - build.started_at)
            if build.finished and build.started_at and build.finished_at
            else None,
            "coverage": None,
        }

    def _pipelines(self, call: Call) -> Response:
        pipeline, scope = self.project(call), call.query.get("scope")
        if scope not in {None, "running", "branches", "tags"}:
            raise self.wrong("scope does not have a valid value")
        builds = [
            build
            for build in newest_first(pipeline.builds)
            if scope is None
            or (scope == "running" and not build.finished)
            or (scope == "branches" and build.branch is not None)
            or (scope == "tags" and build.tag is not None)
        ]
        return self.listing(call, [self._pipeline(call, build) for build in builds])

    def _begin(self, pipeline: Pipeline, ref: object, env: dict[str, str]) -> Build:
        repo = pipeline.repo
        if not isinstance(ref, str) or not ref:
            raise self.wrong("ref is missing")
        match = repo.find(ref)
        if match is None:
            raise self.refuse(400, {"base": ["Reference not found"]})
        tag = ref if match[1] else None
        return self.simulation.start(
            pipeline,
            commit=match[0],
            source=Source.API,
            branch=None if tag else ref,
            tag=tag,
            creator=self.owner,
            env=env,
        )

    def _start(self, call: Call) -> Response:
        pipeline = self.project(call)
        return answer(self._pipeline(call, self._begin(pipeline, self.parameters(call).get("ref"), {})), 201)

    def _cancel(self, call: Call) -> Response:
        build = self.build_of(call)
        if not build.finished:
            self.simulation.cancel(build)
            for job in build.current:
                if job.canceling:
                    job.ends_at = self.simulation.now
            self.simulation.settle()
        return answer(self._pipeline(call, build), 201)

    def _retry(self, call: Call) -> Response:
        build = self.build_of(call)
        jobs = [job for job in build.current if job.state.bad or job.state is JobState.CANCELED]
        if jobs:
            self.simulation.retry(build, jobs, self.owner, in_place=True)
        return answer(self._pipeline(call, build), 201)

    # triggers

    def _list_triggers(self, call: Call) -> Response:
        self.project(call)
        return self.listing(call, self._triggers)

    def _create_trigger(self, call: Call) -> Response:
        self.project(call)
        number = f"{self.simulation.seed}/{self.name}/{len(self._triggers)}"
        now = stamp(self.simulation.now)
        made = {
            "token": hashlib.sha256(number.encode()).hexdigest()[:30],
            "created_at": now,
            "updated_at": now,
            "deleted_at": None,
            "last_used": None,
        }
        self._triggers.append(made)
        return answer(made, 201)

    def _get_trigger(self, call: Call) -> Response:
        self.project(call)
        for trigger in self._triggers:
            if trigger["token"] == call.at("token"):
                return answer(trigger)
        raise self.refuse(404, "404 Trigger Not Found")

    def _trigger(self, call: Call) -> Response:
        pipeline, body = self.project(call), self.parameters(call)
        token = str(body.get("token", ""))
        if not any(hmac.compare_digest(it["token"].encode(), token.encode()) for it in self._triggers):
            raise self.refuse(404, "404 Not Found")
        env = {
            name[len("variables[") : -1]: str(value) for name, value in body.items() if name.startswith("variables[")
        }
        env |= {str(name): str(value) for name, value in (body.get("variables") or {}).items()}
        build = self._begin(pipeline, body.get("ref"), env)
        return answer({"id": build.id, "variables": env}, 201)

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{build.pipeline.path}/pipelines/{build.id}"

    @override
    def job_web_path(self, build: Build, job: Job) -> str:
        return f"/{build.pipeline.path}/builds/{job.number}"

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        made = []
        for job in build.current:
            key, word = (build.uid, job.number, job.attempt), _status(job)
            if self._told.get(key) != word and word != "created":
                self._told[key] = word
                made.append(self._hook("Build Hook", self._build_hook(build, job)))
        key, word = (build.uid, 0, build.attempt), _old(wire.pipeline_status(build))
        if self._told.get(key) != word:
            self._told[key] = word
            made.append(self._hook("Pipeline Hook", self._pipeline_hook(build)))
        return made

    def _hook(self, event: str, payload: JSON) -> WebhookRequest:
        return WebhookRequest(
            headers={
                "Content-Type": "application/json",
                "X-Gitlab-Event": event,
                "X-Gitlab-Token": self.webhook_secret,
            },
            body=self.signed_json(payload),
        )

    def _build_hook(self, build: Build, job: Job) -> JSON:
        repo, author = build.pipeline.repo, build.commit.author
        duration: Any = None
        if job.started_at is not None and job.finished_at is not None:
            duration = round(job.finished_at - job.started_at, 3)
        return {
            "object_kind": "build",
            "ref": build.ref,
            "tag": build.tag is not None,
            "before_sha": build.commit.parent,
            "sha": build.commit.sha,
            "build_id": job.number,
            "build_name": job.step.name,
            "build_stage": job.step.stage,
            "build_status": _status(job),
            "build_started_at": spaced(job.started_at),
            "build_finished_at": spaced(job.finished_at),
            "build_duration": duration,
            "build_allow_failure": job.step.tolerated,
            "project_id": repo.number,
            "project_name": f"{repo.owner.capitalize()} / {repo.name}",
            "user": {"id": author.number, "name": author.name, "email": author.email},
            "commit": {
                "id": build.id,
                "sha": build.commit.sha,
                "message": build.commit.message,
                "author_name": author.name,
                "author_email": author.email,
                "status": _old(wire.pipeline_status(build)),
                "duration": None,
                "started_at": spaced(build.started_at),
                "finished_at": spaced(build.finished_at) if build.finished else None,
            },
            "repository": {"name": repo.name, "homepage": f"{self.root()}/{build.pipeline.path}"},
        }

    def _pipeline_hook(self, build: Build) -> JSON:
        repo = build.pipeline.repo
        return {
            "object_kind": "pipeline",
            "object_attributes": {
                "id": build.id,
                "ref": build.ref,
                "tag": build.tag is not None,
                "sha": build.commit.sha,
                "before_sha": build.commit.parent,
                "status": _old(wire.pipeline_status(build)),
                "stages": list(build.pipeline.stages),
                "created_at": spaced(build.created_at),
                "finished_at": spaced(build.finished_at) if build.finished else None,
                "duration": None,
            },
            "user": {"name": build.commit.author.name, "username": build.commit.author.login},
            "project": {
                "name": repo.name,
                "web_url": f"{self.root()}/{build.pipeline.path}",
                "path_with_namespace": build.pipeline.path,
                "default_branch": repo.default_branch,
            },
            "commit": {"id": build.commit.sha, "message": build.commit.message},
            "builds": [
                {
                    "id": job.number,
                    "stage": job.step.stage,
                    "name": job.step.name,
                    "status": _status(job),
                    "when": "on_success",
                    "manual": False,
                }
                for job in build.current
            ],
        }


def _old(word: str) -> str:
    """Return a state in the words that existed then."""
    return "running" if word == "canceling" else word


def _status(job: Job) -> str:
    return _old(wire.job_status(job))
