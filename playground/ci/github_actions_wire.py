"""GitHub's objects as its REST API writes them; `root` is the service's address, as the client wrote it."""

import base64
import hashlib
import json
from datetime import UTC, datetime

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
from playground.ci.system import JSON

OWNER = "acme"
SUITES = 9_000_000
ENVIRONMENTS = 61_000
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


def user_json(person: Person, root: str) -> JSON:
    """Return a person."""
    url = f"{root}/users/{person.login}"
    return {
        "login": person.login,
        "id": person.number,
        "node_id": f"U_{person.number}",
        "name": person.name,
        "email": person.email,
        "avatar_url": f"{root}/avatars/{person.login}.png",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{root}/{person.login}",
        "type": "User",
        "site_admin": False,
        **{name: f"{url}/{name.removesuffix('_url')}" for name in USER_LINKS},
    }


def repository_json(repo: Repo, root: str) -> JSON:
    """Return a repository."""
    url = f"{root}/repos/{repo.slug}"
    person = Person(name=repo.owner, email=f"{repo.owner}@demo.example", number=900)
    return {
        "id": repo.number,
        "node_id": f"R_{repo.number}",
        "name": repo.name,
        "full_name": repo.slug,
        "owner": {**user_json(person, root), "type": "Organization"},
        "private": True,
        "html_url": f"{root}/{repo.slug}",
        "description": None,
        "fork": False,
        "url": url,
        "default_branch": repo.default_branch,
        "pushed_at": time_text(max(commit.at for commit in repo.branches.values())),
        "archived": False,
        "disabled": False,
        **{name: f"{url}/{name.removesuffix('_url')}" for name in REPO_LINKS},
    }


def ref_commit_json(repo: Repo, commit: Commit, root: str) -> JSON:
    """Return a commit as refs point to it."""
    return {"sha": commit.sha, "url": f"{root}/repos/{repo.slug}/commits/{commit.sha}"}


def branches_json(repo: Repo, root: str) -> list[JSON]:
    """Return a repository's branches by name."""
    return [
        {"name": name, "commit": ref_commit_json(repo, commit, root), "protected": name == repo.default_branch}
        for name, commit in sorted(repo.branches.items())
    ]


def tags_json(repo: Repo, root: str) -> list[JSON]:
    """Return a repository's tags by name."""
    base = f"{root}/repos/{repo.slug}"
    return [
        {
            "name": name,
            "commit": ref_commit_json(repo, commit, root),
            "zipball_url": f"{base}/zipball/{name}",
            "tarball_url": f"{base}/tarball/{name}",
            "node_id": f"T_{name}",
        }
        for name, commit in sorted(repo.tags.items())
    ]


def pulls_json(repo: Repo, root: str) -> list[JSON]:
    """Return a repository's pull requests."""
    return [
        {
            "id": repo.number * 1000 + pull.number,
            "number": pull.number,
            "state": "closed" if pull.closed else "open",
            "title": pull.title,
            "user": user_json(pull.author, root),
            "head": {"ref": pull.branch, "sha": repo.branches[pull.branch].sha},
            "base": {"ref": pull.target, "sha": repo.branches[pull.target].sha},
            "html_url": f"{root}/{repo.slug}/pull/{pull.number}",
        }
        for pull in repo.pulls.values()
    ]


def refs_json(repo: Repo, prefix: str, root: str) -> list[JSON]:
    """Return the refs of a repository that begin with a prefix, by name."""
    names = {f"refs/heads/{name}": commit for name, commit in repo.branches.items()}
    names |= {f"refs/tags/{name}": commit for name, commit in repo.tags.items()}
    base = f"{root}/repos/{repo.slug}/git"
    return [
        {
            "ref": name,
            "node_id": f"REF_{name}",
            "url": f"{base}/{name}",
            "object": {"type": "commit", "sha": commit.sha, "url": f"{base}/commits/{commit.sha}"},
        }
        for name, commit in sorted(names.items())
        if name.startswith(prefix)
    ]


def workflow_file_json(pipeline: Pipeline, root: str) -> JSON:
    """Return a workflow's file."""
    text = _workflow_text(pipeline).encode()
    path = f".github/workflows/{file_of(pipeline)}"
    url = f"{root}/repos/{pipeline.repo.slug}/contents/{path}"
    return {
        "type": "file",
        "encoding": "base64",
        "size": len(text),
        "name": file_of(pipeline),
        "path": path,
        "content": base64.encodebytes(text).decode(),
        "sha": hashlib.sha1(text, usedforsecurity=False).hexdigest(),
        "url": url,
        "git_url": None,
        "html_url": None,
        "download_url": None,
        "_links": {"self": url, "git": None, "html": None},
    }


def commit_json(repo: Repo, commit: Commit, root: str) -> JSON:
    """Return a commit."""
    person = {"name": commit.author.name, "email": commit.author.email, "date": time_text(commit.at)}
    return {
        **ref_commit_json(repo, commit, root),
        "html_url": f"{root}/{repo.slug}/commit/{commit.sha}",
        "commit": {"message": commit.message, "author": person, "committer": person},
        "author": user_json(commit.author, root),
        "parents": [{"sha": commit.parent}],
    }


def workflow_json(pipeline: Pipeline, root: str) -> JSON:
    """Return a workflow."""
    slug = pipeline.repo.slug
    at = time_text(pipeline.created_at)
    return {
        "id": pipeline.number,
        "node_id": f"W_{pipeline.number}",
        "name": pipeline.name,
        "path": f".github/workflows/{file_of(pipeline)}",
        "state": "active" if pipeline.enabled else "disabled_manually",
        "created_at": at,
        "updated_at": at,
        "url": f"{root}/repos/{slug}/actions/workflows/{pipeline.number}",
        "html_url": f"{root}/{slug}/blob/main/.github/workflows/{file_of(pipeline)}",
        "badge_url": f"{root}/{slug}/workflows/{pipeline.name}/badge.svg",
    }


def run_json(build: Build, root: str, owner: Person, *, with_pulls: bool = True) -> JSON:
    """Return a run."""
    repo, pipeline, commit = build.pipeline.repo, build.pipeline, build.commit
    url = f"{root}/repos/{repo.slug}/actions/runs/{build.id}"
    person = {"name": commit.author.name, "email": commit.author.email}
    actor = user_json(build.creator or owner, root)
    repository = repository_json(repo, root)
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
        "path": f".github/workflows/{file_of(pipeline)}",
        "run_number": build.number,
        "run_attempt": build.attempt,
        "event": EVENTS[build.source],
        "display_title": build.pull.title if build.pull else commit.title,
        "status": run_status(build),
        "conclusion": run_conclusion(build),
        "workflow_id": pipeline.number,
        "url": url,
        "html_url": f"{root}/{repo.slug}/actions/runs/{build.id}",
        "pull_requests": pulls if with_pulls else [],
        "created_at": time_text(build.created_at),
        "updated_at": time_text(build.updated_at),
        "run_started_at": time_text(build.started_at or build.created_at),
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
            "timestamp": time_text(commit.at),
            "author": person,
            "committer": person,
        },
        "repository": repository,
        "head_repository": repository,
    }


def job_json(build: Build, job: Job, root: str) -> JSON:
    """Return a job with its steps."""
    repo = build.pipeline.repo
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
                "started_at": time_text(started),
                "completed_at": time_text(ended if last and ended else started) if not last or ended else None,
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
        "created_at": time_text(job.created_at),
        "started_at": time_text(started),
        "completed_at": time_text(ended) if ended else None,
        "steps": steps if job.started_at else [],
        "labels": ["ubuntu-latest"],
        "runner_id": 1 if job.started_at else None,
        "runner_name": "demo-runner-1" if job.started_at else None,
        "runner_group_id": 1 if job.started_at else None,
        "runner_group_name": "Default" if job.started_at else None,
    }


def artifact_json(build: Build, artifact: Artifact, root: str) -> JSON:
    """Return an artifact."""
    url = f"{root}/repos/{build.pipeline.repo.slug}/actions/artifacts/{artifact.number}"
    at = time_text(build.updated_at)
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
        "expires_at": time_text(build.updated_at + 90 * 86_400),
        "workflow_run": {"id": build.id, "head_branch": build.ref, "head_sha": build.commit.sha},
    }


def check_run_json(build: Build, job: Job, root: str) -> JSON:
    """Return a job as a check run."""
    slug = build.pipeline.repo.slug
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
        "started_at": time_text(job.started_at) if job.started_at else None,
        "completed_at": time_text(job.finished_at) if job.finished_at else None,
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


def annotations_json(build: Build, job: Job, root: str) -> list[JSON]:
    """Return a job's annotations."""
    blob = f"{root}/{build.pipeline.repo.slug}/blob/{build.commit.sha}"
    return [
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


def environment_json(job: Job, repo: Repo, root: str) -> JSON:
    """Return the environment that a job deploys to."""
    name = job.step.prompt
    return {
        "id": ENVIRONMENTS + repo.number,
        "node_id": f"EN_{repo.number}",
        "name": name,
        "url": f"{root}/repos/{repo.slug}/environments/{name}",
        "html_url": f"{root}/{repo.slug}/deployments/activity_log?environments_filter={name}",
    }


def pending_deployments_json(build: Build, root: str, owner: Person) -> list[JSON]:
    """Return the deployments of a run that wait for a review."""
    return [
        {
            "environment": environment_json(job, build.pipeline.repo, root),
            "wait_timer": 0,
            "wait_timer_started_at": None,
            "current_user_can_approve": True,
            "reviewers": [{"type": "User", "reviewer": user_json(owner, root)}],
        }
        for job in build.approvals
    ]


def deployment_json(build: Build, job: Job, root: str, owner: Person, now: float) -> JSON:
    """Return the deployment that a review let go on."""
    repo = build.pipeline.repo
    url = f"{root}/repos/{repo.slug}/deployments/{job.number}"
    at = time_text(now)
    return {
        "id": job.number,
        "node_id": f"DE_{job.number}",
        "url": url,
        "sha": build.commit.sha,
        "ref": build.ref,
        "task": "deploy",
        "payload": {},
        "original_environment": job.step.prompt,
        "environment": job.step.prompt,
        "description": None,
        "creator": user_json(build.creator or owner, root),
        "created_at": at,
        "updated_at": at,
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{root}/repos/{repo.slug}",
    }


def hook_json(repo: Repo, number: int, body: JSON, root: str, now: float) -> JSON:
    """Return a webhook as a client has asked for it."""
    url = f"{root}/repos/{repo.slug}/hooks/{number}"
    at = time_text(now)
    config = body["config"]
    return {
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


def time_text(at: float) -> str:
    """Return a time as GitHub writes it: UTC to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_of(pipeline: Pipeline) -> str:
    """Return the name of a workflow's file."""
    return pipeline.path.rpartition("/")[2]


def _named(repo: Repo, root: str) -> JSON:
    return {"id": repo.number, "name": repo.name, "url": f"{root}/repos/{repo.slug}"}


def _workflow_text(pipeline: Pipeline) -> str:
    written = [f"name: {pipeline.name}", "on:", "  push:", "  workflow_dispatch:", "    inputs:"]
    for name, definition in INPUTS[file_of(pipeline)].items():
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


def run_status(build: Build) -> str:
    """Return a run's state."""
    match build.state:
        case BuildState.QUEUED:
            return "queued"
        case BuildState.RUNNING:
            return "in_progress" if build.started_at and build.attempt_started_at is None else "queued"
        case BuildState.WAITING:
            return "waiting"
        case BuildState.FINISHED:
            return "completed"


def run_conclusion(build: Build) -> str | None:
    """Return how a run ended."""
    return CONCLUSIONS[build.result] if build.result else None


def is_listed(job: Job) -> bool:
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
