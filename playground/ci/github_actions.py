"""A stand-in of the part of GitHub's REST API that Actions needs, for one owner, `acme`."""

import base64
import hashlib
import hmac
import io
import json
import uuid
import zipfile
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci import job_output
from playground.ci.model import (
    Artifact,
    Build,
    BuildState,
    Commit,
    Issue,
    IssueKind,
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

OWNER = "acme"
PER_HOUR = 5000
SUITES = 9_000_000
ENVIRONMENTS = 61_000
DOCS = "https://docs.github.com/rest"
EVENTS = {
    Source.PUSH: "push",
    Source.PULL: "pull_request",
    Source.SCHEDULE: "schedule",
    Source.API: "workflow_dispatch",
    Source.WEB: "workflow_dispatch",
    Source.REBUILD: "push",
}
CONCLUSIONS = {
    Result.PASSED: "success",
    Result.FAILED: "failure",
    Result.CANCELED: "cancelled",
    Result.TIMEOUT: "timed_out",
}
INPUTS: dict[str, dict[str, JSON]] = {
    "ci.yml": {
        "level": {"description": "How much to test", "type": "choice", "options": ["quick", "full"], "default": "quick"}
    },
    "deploy.yml": {"environment": {"description": "Where to", "required": True, "default": "production"}},
}
USER_LINKS = [
    "events_url",
    "followers_url",
    "following_url",
    "gists_url",
    "organizations_url",
    "received_events_url",
    "repos_url",
    "starred_url",
    "subscriptions_url",
]
REPO_LINKS = [
    "archive_url",
    "assignees_url",
    "blobs_url",
    "branches_url",
    "collaborators_url",
    "comments_url",
    "commits_url",
    "compare_url",
    "contents_url",
    "contributors_url",
    "deployments_url",
    "downloads_url",
    "events_url",
    "forks_url",
    "git_commits_url",
    "git_refs_url",
    "git_tags_url",
    "hooks_url",
    "issue_comment_url",
    "issue_events_url",
    "issues_url",
    "keys_url",
    "labels_url",
    "languages_url",
    "merges_url",
    "milestones_url",
    "notifications_url",
    "pulls_url",
    "releases_url",
    "stargazers_url",
    "statuses_url",
    "subscribers_url",
    "subscription_url",
    "tags_url",
    "teams_url",
    "trees_url",
]


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
            api("/user", lambda call: answer(self._user(self.owner, call))),
            api("/user/repos", self._repositories),
            api("/orgs/{org}/repos", self._repositories),
            api("/rate_limit", self._rate_limit),
            api(repo, lambda call: answer(self._repository(self._repo(call), call))),
            api(f"{repo}/branches", self._branches),
            api(f"{repo}/branches/{{branch:path}}", self._one_branch),
            api(f"{repo}/tags", self._tags),
            api(f"{repo}/pulls", self._pulls),
            api(f"{repo}/git/matching-refs/{{ref:path}}", self._matching),
            api(f"{repo}/contents/{{path:path}}", self._contents),
            api(f"{repo}/commits/{{ref:path}}/check-runs", self._commit_checks),
            api(f"{repo}/commits/{{ref:path}}", self._commit),
            api(f"{actions}/workflows", self._workflows),
            api(workflow, lambda call: answer(self._workflow(self._find_workflow(call), call))),
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
            api(job, lambda call: answer(self._job(*self._find_job(call), call))),
            api(f"{job}/logs", self._job_logs),
            api(f"{job}/rerun", self._rerun_job, "POST"),
            api(f"{actions}/artifacts/{{artifact:int}}", self._get_artifact),
            api(f"{actions}/artifacts/{{artifact:int}}/zip", self._download),
            api(f"{repo}/check-suites/{{suite:int}}/check-runs", self._suite_checks),
            api(f"{repo}/check-runs/{{job:int}}", lambda call: answer(self._check(*self._find_job(call), call))),
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
            if call.at("workflow") in {str(pipeline.number), _file(pipeline)}:
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

    def _user(self, person: Person, call: Call | None = None) -> JSON:
        url = f"{self.root(call)}/users/{person.login}"
        return {
            "login": person.login,
            "id": person.number,
            "node_id": f"U_{person.number}",
            "name": person.name,
            "email": person.email,
            "avatar_url": f"{self.root(call)}/avatars/{person.login}.png",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.root(call)}/{person.login}",
            "type": "User",
            "site_admin": False,
            **{name: f"{url}/{name.removesuffix('_url')}" for name in USER_LINKS},
        }

    def _repository(self, repo: Repo, call: Call | None = None) -> JSON:
        root = self.root(call)
        url = f"{root}/repos/{repo.slug}"
        person = Person(name=repo.owner, email=f"{repo.owner}@demo.example", number=900)
        return {
            "id": repo.number,
            "node_id": f"R_{repo.number}",
            "name": repo.name,
            "full_name": repo.slug,
            "owner": {**self._user(person, call), "type": "Organization"},
            "private": True,
            "html_url": f"{root}/{repo.slug}",
            "description": None,
            "fork": False,
            "url": url,
            "default_branch": repo.default_branch,
            "pushed_at": _time(max(commit.at for commit in repo.branches.values())),
            "archived": False,
            "disabled": False,
            **{name: f"{url}/{name.removesuffix('_url')}" for name in REPO_LINKS},
        }

    def _repositories(self, call: Call) -> Response:
        if call.request.path_params.get("org", OWNER) != OWNER:
            raise self._refuse(404, "Not Found")
        return self._listing(call, None, [self._repository(repo, call) for repo in self._repos()])

    def _rate_limit(self, _call: Call) -> Response:
        meter = self._meter
        core = {"limit": meter.limit, "used": meter.used, "remaining": meter.left(), "reset": meter.resets_at}
        return answer({"resources": {"core": core, "search": core}, "rate": core})

    def _ref_commit(self, repo: Repo, commit: Commit, call: Call) -> JSON:
        return {"sha": commit.sha, "url": f"{self.root(call)}/repos/{repo.slug}/commits/{commit.sha}"}

    def _branches(self, call: Call) -> Response:
        repo = self._repo(call)
        branches = [
            {"name": name, "commit": self._ref_commit(repo, commit, call), "protected": name == repo.default_branch}
            for name, commit in sorted(repo.branches.items())
        ]
        return self._listing(call, None, branches)

    def _one_branch(self, call: Call) -> Response:
        repo, name = self._repo(call), call.at("branch")
        if name not in repo.branches:
            raise self._refuse(404, "Branch not found")
        commit = repo.branches[name]
        return answer({"name": name, "commit": self._commit_json(repo, commit, call), "protected": False})

    def _tags(self, call: Call) -> Response:
        repo = self._repo(call)
        base = f"{self.root(call)}/repos/{repo.slug}"
        tags = [
            {
                "name": name,
                "commit": self._ref_commit(repo, commit, call),
                "zipball_url": f"{base}/zipball/{name}",
                "tarball_url": f"{base}/tarball/{name}",
                "node_id": f"T_{name}",
            }
            for name, commit in sorted(repo.tags.items())
        ]
        return self._listing(call, None, tags)

    def _pulls(self, call: Call) -> Response:
        repo = self._repo(call)
        pulls = [
            {
                "id": repo.number * 1000 + pull.number,
                "number": pull.number,
                "state": "closed" if pull.closed else "open",
                "title": pull.title,
                "user": self._user(pull.author, call),
                "head": {"ref": pull.branch, "sha": repo.branches[pull.branch].sha},
                "base": {"ref": pull.target, "sha": repo.branches[pull.target].sha},
                "html_url": f"{self.root(call)}/{repo.slug}/pull/{pull.number}",
            }
            for pull in repo.pulls.values()
        ]
        state = call.query.get("state", "open")
        return self._listing(call, None, [it for it in pulls if state in {"all", it["state"]}])

    def _matching(self, call: Call) -> Response:
        repo, prefix = self._repo(call), f"refs/{call.at('ref')}"
        names = {f"refs/heads/{name}": commit for name, commit in repo.branches.items()}
        names |= {f"refs/tags/{name}": commit for name, commit in repo.tags.items()}
        base = f"{self.root(call)}/repos/{repo.slug}/git"
        refs = [
            {
                "ref": name,
                "node_id": f"REF_{name}",
                "url": f"{base}/{name}",
                "object": {"type": "commit", "sha": commit.sha, "url": f"{base}/commits/{commit.sha}"},
            }
            for name, commit in sorted(names.items())
            if name.startswith(prefix)
        ]
        return self._listing(call, None, refs)

    def _contents(self, call: Call) -> Response:
        repo, path = self._repo(call), call.at("path")
        for pipeline in self._of_repo(call):
            if path == f".github/workflows/{_file(pipeline)}":
                text = _workflow_text(pipeline).encode()
                url = f"{self.root(call)}/repos/{repo.slug}/contents/{path}"
                return answer(
                    {
                        "type": "file",
                        "encoding": "base64",
                        "size": len(text),
                        "name": _file(pipeline),
                        "path": path,
                        "content": base64.encodebytes(text).decode(),
                        "sha": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
                        "url": url,
                        "git_url": None,
                        "html_url": None,
                        "download_url": None,
                        "_links": {"self": url, "git": None, "html": None},
                    }
                )
        raise self._refuse(404, "Not Found")

    def _commit_json(self, repo: Repo, commit: Commit, call: Call) -> JSON:
        person = {"name": commit.author.name, "email": commit.author.email, "date": _time(commit.at)}
        return {
            **self._ref_commit(repo, commit, call),
            "html_url": f"{self.root(call)}/{repo.slug}/commit/{commit.sha}",
            "commit": {"message": commit.message, "author": person, "committer": person},
            "author": self._user(commit.author, call),
            "parents": [{"sha": commit.parent}],
        }

    def _the_commit(self, call: Call) -> Commit:
        match = self._repo(call).find(call.at("ref"))
        if match is None:
            raise self._refuse(422, f"No commit found for SHA: {call.at('ref')}")
        return match[0]

    def _commit(self, call: Call) -> Response:
        return answer(self._commit_json(self._repo(call), self._the_commit(call), call))

    # workflows and runs

    def _workflow(self, pipeline: Pipeline, call: Call) -> JSON:
        root, slug = self.root(call), pipeline.repo.slug
        at = _time(pipeline.created_at)
        return {
            "id": pipeline.number,
            "node_id": f"W_{pipeline.number}",
            "name": pipeline.name,
            "path": f".github/workflows/{_file(pipeline)}",
            "state": "active" if pipeline.enabled else "disabled_manually",
            "created_at": at,
            "updated_at": at,
            "url": f"{root}/repos/{slug}/actions/workflows/{pipeline.number}",
            "html_url": f"{root}/{slug}/blob/main/.github/workflows/{_file(pipeline)}",
            "badge_url": f"{root}/{slug}/workflows/{pipeline.name}/badge.svg",
        }

    def _workflows(self, call: Call) -> Response:
        return self._listing(call, "workflows", [self._workflow(it, call) for it in self._of_repo(call)])

    def _runs(self, call: Call) -> Response:
        one = "workflow" in call.request.path_params
        pipelines = [self._find_workflow(call)] if one else self._of_repo(call)
        found = [build for pipeline in pipelines for build in pipeline.builds if self._admits(call, build)]
        return self._listing(call, "workflow_runs", [self._run(build, call) for build in newest_first(found)])

    def _admits(self, call: Call, build: Build) -> bool:
        query = call.query
        status, conclusion = _status(build), _conclusion(build)
        return (
            query.get("branch", build.ref) == build.ref
            and query.get("event", EVENTS[build.source]) == EVENTS[build.source]
            and query.get("head_sha", build.commit.sha) == build.commit.sha
            and query.get("status", status) in {status, conclusion}
            and query.get("actor") in {None, (build.creator or self.owner).login}
            and query.get("check_suite_id") in {None, str(build.id + SUITES)}
            and self._created(query.get("created"), _time(build.created_at))
        )

    def _created(self, condition: str | None, at: str) -> bool:
        if not condition:
            return True
        low, dots, high = condition.partition("..")
        if dots:
            return (low == "*" or _order(at) >= _order(low)) and (high == "*" or _order(at) <= _order(high))
        for sign in (">=", "<=", ">", "<"):
            if condition.startswith(sign):
                edge = _order(condition.removeprefix(sign))
                return {
                    ">=": _order(at) >= edge,
                    "<=": _order(at) <= edge,
                    ">": _order(at) > edge,
                    "<": _order(at) < edge,
                }[sign]
        return at.startswith(condition)

    def _run(self, build: Build, call: Call | None = None) -> JSON:
        root, repo, pipeline, commit = self.root(call), build.pipeline.repo, build.pipeline, build.commit
        url = f"{root}/repos/{repo.slug}/actions/runs/{build.id}"
        person = {"name": commit.author.name, "email": commit.author.email}
        actor = self._user(build.creator or self.owner, call)
        repository = self._repository(repo, call)
        pulls = (
            [
                {
                    "id": repo.number * 1000 + build.pull.number,
                    "number": build.pull.number,
                    "url": f"{root}/repos/{repo.slug}/pulls/{build.pull.number}",
                    "head": {"ref": build.pull.branch, "sha": commit.sha, "repo": _named(repo, root)},
                    "base": {"ref": build.pull.target, "sha": commit.parent, "repo": _named(repo, root)},
                }
            ]
            if build.pull
            else []
        )
        return {
            "id": build.id,
            "name": pipeline.name,
            "node_id": f"WFR_{build.id}",
            "check_suite_id": build.id + SUITES,
            "check_suite_node_id": f"CS_{build.id}",
            "head_branch": build.ref,
            "head_sha": commit.sha,
            "path": f".github/workflows/{_file(pipeline)}",
            "run_number": build.number,
            "run_attempt": build.attempt,
            "event": EVENTS[build.source],
            "display_title": build.pull.title if build.pull else commit.title,
            "status": _status(build),
            "conclusion": _conclusion(build),
            "workflow_id": pipeline.number,
            "url": url,
            "html_url": f"{root}/{repo.slug}/actions/runs/{build.id}",
            "pull_requests": [] if call and call.query.get("exclude_pull_requests") == "true" else pulls,
            "created_at": _time(build.created_at),
            "updated_at": _time(build.updated_at),
            "run_started_at": _time(build.started_at or build.created_at),
            "actor": actor,
            "triggering_actor": actor,
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{root}/repos/{repo.slug}/check-suites/{build.id + SUITES}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": f"{url}/attempts/{build.attempt - 1}" if build.attempt > 1 else None,
            "workflow_url": f"{root}/repos/{repo.slug}/actions/workflows/{pipeline.number}",
            "head_commit": {
                "id": commit.sha,
                "tree_id": commit.parent,
                "message": commit.message,
                "timestamp": _time(commit.at),
                "author": person,
                "committer": person,
            },
            "repository": repository,
            "head_repository": repository,
        }

    def _dispatch(self, call: Call) -> Response:
        pipeline, body = self._find_workflow(call), self.body(call)
        repo, ref, inputs = pipeline.repo, body.get("ref"), body.get("inputs") or {}
        if not isinstance(ref, str):
            raise self._refuse(422, 'Invalid request.\n\n"ref" wasn\'t supplied.')
        name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        tag = name in repo.tags and name not in repo.branches
        if name not in repo.branches and not tag:
            raise self._refuse(422, f"No ref found for: {ref}")
        declared = INPUTS[_file(pipeline)]
        unexpected = sorted(inputs.keys() - declared.keys())
        if unexpected:
            raise self._refuse(422, f"Unexpected inputs provided: {json.dumps(unexpected)}")
        for key, definition in declared.items():
            options = definition.get("options")
            if key in inputs and isinstance(options, list) and inputs[key] not in options:
                raise self._refuse(
                    422, f"Provided value '{inputs[key]}' for input '{key}' not in the list of allowed values"
                )
        if not pipeline.enabled:
            raise self._refuse(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
        build = self.simulation.start(
            pipeline,
            commit=repo.tags[name] if tag else repo.branches[name],
            source=Source.API,
            branch=None if tag else name,
            tag=name if tag else None,
            creator=self.owner,
            env={str(key): str(value) for key, value in inputs.items()},
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
                "conclusion": CONCLUSIONS.get(result or Result.FAILED),
                "run_started_at": _time(started or build.created_at),
                "updated_at": _time(finished or build.updated_at),
                "previous_attempt_url": None,
            },
        )

    # jobs and logs

    def _job(self, build: Build, job: Job, call: Call | None = None) -> JSON:
        root, repo = self.root(call), build.pipeline.repo
        url = f"{root}/repos/{repo.slug}/actions"
        status, conclusion = _job_status(job), _job_conclusion(job)
        started = job.started_at or job.queued_at or job.created_at
        ended = job.finished_at
        steps = []
        for number, name in enumerate(("Set up job", "Run actions/checkout@v5", f"Run {job.step.command}"), 1):
            last = number == 3
            steps.append(
                {
                    "name": name,
                    "number": number,
                    "status": status if last else "completed",
                    "conclusion": conclusion if last else "success",
                    "started_at": _time(started),
                    "completed_at": _time(ended if last and ended else started) if not last or ended else None,
                }
            )
        return {
            "id": job.number,
            "run_id": build.id,
            "run_url": f"{url}/runs/{build.id}",
            "run_attempt": job.build_attempt,
            "node_id": f"CR_{job.number}",
            "head_sha": build.commit.sha,
            "head_branch": build.ref,
            "workflow_name": build.pipeline.name,
            "name": job.step.name,
            "url": f"{url}/jobs/{job.number}",
            "html_url": f"{root}/{repo.slug}/actions/runs/{build.id}/job/{job.number}",
            "check_run_url": f"{root}/repos/{repo.slug}/check-runs/{job.number}",
            "status": status,
            "conclusion": conclusion,
            "created_at": _time(job.created_at),
            "started_at": _time(started),
            "completed_at": _time(ended) if ended else None,
            "steps": steps if job.started_at else [],
            "labels": ["ubuntu-latest"],
            "runner_id": 1 if job.started_at else None,
            "runner_name": "demo-runner-1" if job.started_at else None,
            "runner_group_id": 1 if job.started_at else None,
            "runner_group_name": "Default" if job.started_at else None,
        }

    def _run_jobs(self, call: Call) -> Response:
        build = self._find_run(call)
        jobs = build.jobs if call.query.get("filter") == "all" else build.current
        return self._listing(call, "jobs", [self._job(build, job, call) for job in jobs if _listed(job)])

    def _attempt_jobs(self, call: Call) -> Response:
        build, number = self._find_run(call), int(call.at("attempt"))
        latest: dict[str, Job] = {job.step.name: job for job in build.jobs if job.build_attempt <= number}
        return self._listing(call, "jobs", [self._job(build, job, call) for job in latest.values() if _listed(job)])

    def _to_storage(self, call: Call, artifact: Artifact) -> Response:
        return Response(None, 302, headers={"Location": self.presigned(call, artifact)})

    def _job_logs(self, call: Call) -> Response:
        build, job = self._find_job(call)
        if not job.state.final or job.started_at is None:
            raise self._refuse(404, "Not Found")
        return self._to_storage(call, self._log(build, job))

    def _run_logs(self, call: Call) -> Response:
        build = self._find_run(call)
        if not build.finished:
            raise self._refuse(404, "Not Found")
        return self._to_storage(call, self._logs(build))

    def _log(self, build: Build, job: Job) -> Artifact:
        times = job_output.log_times(build, job, self.simulation.now)
        shown = job_output.visible(build, job, self.simulation.now)
        text = "".join(f"{at} {_log_line(line)}\n" for at, line in zip(times, shown, strict=True))
        return Artifact(
            uid=job.uid, number=0, path=f"{job.step.name}.txt", kind="log", mime="text/plain", content=text.encode()
        )

    def _logs(self, build: Build) -> Artifact:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as bundle:
            for index, job in enumerate(build.current):
                bundle.writestr(zipfile.ZipInfo(f"{index}_{job.step.name}.txt"), self._log(build, job).content)
        return Artifact(
            uid=build.uid, number=0, path="logs.zip", kind="logs", mime="application/zip", content=buffer.getvalue()
        )

    @override
    def artifact(self, uid: str) -> Artifact | None:
        build = self.simulation.build(self.name, uid)
        if build is not None:
            return self._logs(build)
        found = self.simulation.job(self.name, uid)
        return self._log(*found) if found else super().artifact(uid)

    # artifacts

    def _artifact_json(self, build: Build, artifact: Artifact, call: Call) -> JSON:
        url = f"{self.root(call)}/repos/{build.pipeline.repo.slug}/actions/artifacts/{artifact.number}"
        at = _time(build.updated_at)
        return {
            "id": artifact.number,
            "node_id": f"AR_{artifact.number}",
            "name": artifact.kind or artifact.path,
            "size_in_bytes": len(artifact.content),
            "url": url,
            "archive_download_url": f"{url}/zip",
            "expired": False,
            "digest": f"sha256:{hashlib.sha256(artifact.content).hexdigest()}",
            "created_at": at,
            "updated_at": at,
            "expires_at": _time(build.updated_at + 90 * 86_400),
            "workflow_run": {"id": build.id, "head_branch": build.ref, "head_sha": build.commit.sha},
        }

    def _run_artifacts(self, call: Call) -> Response:
        build = self._find_run(call)
        found = [self._artifact_json(build, it, call) for job in build.current for it in job.artifacts]
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
        return answer(self._artifact_json(*self._find_artifact(call), call))

    def _download(self, call: Call) -> Response:
        return self._to_storage(call, self._find_artifact(call)[1])

    # checks

    def _check(self, build: Build, job: Job, call: Call) -> JSON:
        root, slug = self.root(call), build.pipeline.repo.slug
        url = f"{root}/repos/{slug}/check-runs/{job.number}"
        return {
            "id": job.number,
            "node_id": f"CR_{job.number}",
            "head_sha": build.commit.sha,
            "external_id": job.uid,
            "name": job.step.name,
            "url": url,
            "html_url": f"{root}/{slug}/runs/{job.number}",
            "details_url": f"{root}/{slug}/actions/runs/{build.id}/job/{job.number}",
            "status": _job_status(job),
            "conclusion": _job_conclusion(job),
            "started_at": _time(job.started_at) if job.started_at else None,
            "completed_at": _time(job.finished_at) if job.finished_at else None,
            "output": {
                "title": None,
                "summary": None,
                "text": None,
                "annotations_count": len(_annotated(job)),
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": build.id + SUITES},
            "app": None,
            "pull_requests": [],
        }

    def _suite_checks(self, call: Call) -> Response:
        for pipeline in self._of_repo(call):
            for build in pipeline.builds:
                if str(build.id + SUITES) == call.at("suite"):
                    found = [self._check(build, job, call) for job in build.current if _listed(job)]
                    return self._listing(call, "check_runs", found)
        raise self._refuse(404, "Not Found")

    def _commit_checks(self, call: Call) -> Response:
        commit = self._the_commit(call)
        checks = [
            self._check(build, job, call)
            for pipeline in self._of_repo(call)
            for build in pipeline.builds
            if build.commit is commit
            for job in build.current
            if _listed(job)
        ]
        return self._listing(call, "check_runs", checks)

    def _annotations(self, call: Call) -> Response:
        build, job = self._find_job(call)
        blob = f"{self.root(call)}/{build.pipeline.repo.slug}/blob/{build.commit.sha}"
        annotations = [
            {
                "path": issue.file or ".github",
                "blob_href": f"{blob}/{issue.file or '.github'}",
                "start_line": issue.line or 1,
                "end_line": issue.line or 1,
                "start_column": None,
                "end_column": None,
                "annotation_level": "warning" if issue.kind is IssueKind.WARNING else "failure",
                "title": "",
                "message": issue.message,
                "raw_details": "",
            }
            for issue in _annotated(job)
        ]
        return self._listing(call, None, annotations)

    # approvals

    def _environment(self, job: Job, repo: Repo, call: Call) -> JSON:
        name = job.step.prompt
        return {
            "id": ENVIRONMENTS + repo.number,
            "node_id": f"EN_{repo.number}",
            "name": name,
            "url": f"{self.root(call)}/repos/{repo.slug}/environments/{name}",
            "html_url": f"{self.root(call)}/{repo.slug}/deployments/activity_log?environments_filter={name}",
        }

    def _pending(self, call: Call) -> Response:
        build = self._find_run(call)
        return answer(
            [
                {
                    "environment": self._environment(job, build.pipeline.repo, call),
                    "wait_timer": 0,
                    "wait_timer_started_at": None,
                    "current_user_can_approve": True,
                    "reviewers": [{"type": "User", "reviewer": self._user(self.owner, call)}],
                }
                for job in build.approvals
            ]
        )

    def _review(self, call: Call) -> Response:
        build, body = self._find_run(call), self.body(call)
        ids, state, comment = body.get("environment_ids"), body.get("state"), body.get("comment")
        if not isinstance(ids, list) or state not in {"approved", "rejected"} or not isinstance(comment, str):
            raise self._refuse(422, "Invalid request.\n\nenvironment_ids, state and comment are required.")
        repo = build.pipeline.repo
        approvals = [job for job in build.approvals if ENVIRONMENTS + repo.number in ids]
        if not approvals:
            raise self._refuse(422, "No pending deployment requests to approve or reject")
        made = []
        for job in approvals:
            environment = self._environment(job, repo, call)
            decision = {
                "environments": [environment],
                "state": state,
                "user": self._user(self.owner, call),
                "comment": comment,
            }
            self._decisions.setdefault(build.uid, []).append(decision)
            decide = self.simulation.approve if state == "approved" else self.simulation.reject
            decide(build, job, self.owner, comment)
            url = f"{self.root(call)}/repos/{repo.slug}/deployments/{job.number}"
            at = _time(self.simulation.now)
            made.append(
                {
                    "id": job.number,
                    "node_id": f"DE_{job.number}",
                    "url": url,
                    "sha": build.commit.sha,
                    "ref": build.ref,
                    "task": "deploy",
                    "payload": {},
                    "original_environment": environment["name"],
                    "environment": environment["name"],
                    "description": None,
                    "creator": self._user(build.creator or self.owner, call),
                    "created_at": at,
                    "updated_at": at,
                    "statuses_url": f"{url}/statuses",
                    "repository_url": f"{self.root(call)}/repos/{repo.slug}",
                }
            )
        return answer(made)

    def _no_fork(self, call: Call) -> Response:
        self._find_run(call)
        raise self._refuse(403, "This run is not from a fork pull request or queued")

    def _create_hook(self, call: Call) -> Response:
        repo, body = self._repo(call), self.body(call)
        config = body.get("config")
        if not isinstance(config, dict) or not config.get("url"):
            raise self._refuse(422, "Validation Failed")
        number = len(self._hooks) + 1
        url = f"{self.root(call)}/repos/{repo.slug}/hooks/{number}"
        at = _time(self.simulation.now)
        hook = {
            "type": "Repository",
            "id": number,
            "name": "web",
            "active": True,
            "events": body.get("events") or ["push"],
            "config": {"url": config["url"], "content_type": config.get("content_type", "form"), "insecure_ssl": "0"},
            "created_at": at,
            "updated_at": at,
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "last_response": {"code": None, "status": "unused", "message": None},
        }
        self._hooks.append(hook)
        return answer(hook, 201)

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/{build.pipeline.repo.slug}/actions/runs/{build.id}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/{pipeline.repo.slug}/actions/workflows/{_file(pipeline)}"

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
        run, repo = self._run(build), build.pipeline.repo
        sender = self._user(build.creator or self.owner)
        payload = {
            "action": actions[event],
            "workflow_run": run,
            "workflow": None,
            "repository": self._repository(repo),
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


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _order(text: str) -> str:
    """Return a time in a form that sorts: UTC to the second; nonsense as it is."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _file(pipeline: Pipeline) -> str:
    return pipeline.path.rpartition("/")[2]


def _named(repo: Repo, root: str) -> JSON:
    return {"id": repo.number, "name": repo.name, "url": f"{root}/repos/{repo.slug}"}


def _workflow_text(pipeline: Pipeline) -> str:
    written = [f"name: {pipeline.name}", "on:", "  push:", "  workflow_dispatch:", "    inputs:"]
    for name, definition in INPUTS[_file(pipeline)].items():
        written.append(f"      {name}:")
        written += [f"        {key}: {json.dumps(value)}" for key, value in definition.items()]
    written.append("jobs:")
    for step in pipeline.steps:
        key = step.name.replace(" ", "-").replace("(", "").replace(")", "")
        written += [f"  {key}:", "    runs-on: ubuntu-latest"]
        if step.approval:
            written.append(f"    environment: {step.prompt}")
        written += ["    steps:", f"      - run: {step.command}"]
    return "\n".join(written) + "\n"


def _status(build: Build) -> str:
    match build.state:
        case BuildState.QUEUED:
            return "queued"
        case BuildState.RUNNING:
            return "in_progress" if build.started_at and build.attempt_started_at is None else "queued"
        case BuildState.WAITING:
            return "waiting"
        case BuildState.FINISHED:
            return "completed"


def _conclusion(build: Build) -> str | None:
    return CONCLUSIONS[build.result] if build.result else None


def _listed(job: Job) -> bool:
    """Return whether a job shows: one that still waits for others does not."""
    return job.state is not JobState.CREATED


def _job_status(job: Job) -> str:
    if job.state.final:
        return "completed"
    return {JobState.RUNNING: "in_progress", JobState.MANUAL: "waiting"}.get(job.state, "queued")


def _job_conclusion(job: Job) -> str | None:
    return {
        JobState.PASSED: "success",
        JobState.UNBLOCKED: "success",
        JobState.FAILED: "failure",
        JobState.TIMEOUT: "timed_out",
        JobState.CANCELED: "cancelled",
        JobState.SKIPPED: "skipped",
    }.get(job.state)


def _annotated(job: Job) -> list[Issue]:
    """Return what shows as annotations: at most ten of each level, as the service cuts them."""
    warnings = [issue for issue in job.issues if issue.kind is IssueKind.WARNING][:10]
    failures = [issue for issue in job.issues if issue.kind in {IssueKind.ERROR, IssueKind.TEST_FAILURE}][:10]
    return [*failures, *warnings]


def _log_line(line: job_output.Line) -> str:
    prefix = {"section": "##[group]", "command": "##[command]", "warning": "##[warning]", "error": "##[error]"}
    return f"{prefix.get(line.kind, '')}{line.text if line.kind in prefix else line.coloured}"
