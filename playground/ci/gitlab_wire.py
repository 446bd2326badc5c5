"""GitLab's objects as its API and its webhooks write them; `root` is the service's address, as the client wrote it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from playground.ci import job_output
from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Commit,
    Job,
    JobState,
    Person,
    Pipeline,
    Pull,
    Repo,
    Result,
    Source,
    Test,
    iso,
    spaced,
    stamp,
)
from playground.ci.system import JSON

VERSION = "19.1.0-ee"
SOURCES = {
    Source.PUSH: "push",
    Source.PULL: "merge_request_event",
    Source.SCHEDULE: "schedule",
    Source.API: "api",
    Source.WEB: "web",
    Source.REBUILD: "api",
}
STATUSES = frozenset(
    [
        "created",
        "waiting_for_resource",
        "preparing",
        "waiting_for_callback",
        "pending",
        "running",
        "success",
        "failed",
        "canceling",
        "canceled",
        "skipped",
        "manual",
        "scheduled",
    ]
)
REASONS = {"script": "script_failure", "timeout": "job_execution_timeout", "infrastructure": "runner_system_failure"}


def user_json(person: Person, root: str) -> JSON:
    """Return a person as GitLab writes users."""
    return {
        "id": person.number,
        "username": person.login,
        "name": person.name,
        "state": "active",
        "avatar_url": f"{root}/uploads/{person.login}.png",
        "web_url": f"{root}/{person.login}",
    }


def old_commit_json(commit: Commit) -> JSON:
    """Return a commit as version 3 writes it."""
    return {
        "id": commit.sha,
        "short_id": commit.sha[:8],
        "title": commit.title,
        "message": commit.message,
        "created_at": stamp(commit.at).replace("Z", "+00:00"),
        "author_name": commit.author.name,
        "author_email": commit.author.email,
    }


def commit_json(commit: Commit, repo: Repo, root: str) -> JSON:
    """Return a commit."""
    at = stamp(commit.at).replace("Z", "+00:00")
    return {
        **old_commit_json(commit),
        "parent_ids": [commit.parent],
        "authored_date": at,
        "committer_name": commit.author.name,
        "committer_email": commit.author.email,
        "committed_date": at,
        "web_url": f"{root}/{repo.slug}/-/commit/{commit.sha}",
    }


def pipeline_status(build: Build) -> str:
    """Return a pipeline's state in GitLab's words."""
    match build.state:
        case BuildState.QUEUED:
            return "pending"
        case BuildState.RUNNING:
            if build.canceling:
                return "canceling"
            return "running" if build.started_at and build.attempt_started_at is None else "pending"
        case BuildState.WAITING:
            return "manual"
        case BuildState.FINISHED:
            return {Result.PASSED: "success", Result.CANCELED: "canceled"}.get(build.result or Result.FAILED, "failed")


def job_status(job: Job) -> str:
    """Return a job's state in GitLab's words."""
    match job.state:
        case JobState.QUEUED:
            return "pending"
        case JobState.RUNNING:
            return "canceling" if job.canceling else "running"
        case JobState.PASSED | JobState.UNBLOCKED:
            return "success"
        case JobState.TIMEOUT:
            return "failed"
        case JobState.CREATED | JobState.FAILED | JobState.CANCELED | JobState.SKIPPED | JobState.MANUAL:
            return job.state.value


def log_text(build: Build, job: Job, now: float) -> str:
    """Return a job's log as far as it is written."""
    written, section = [], ""
    start = job.started_at or 0.0
    end = job.finished_at or job.ends_at or now
    for line in job_output.visible(build, job, now):
        at = round(start + line.share * (end - start))
        if line.kind == "section":
            if section:
                written.append(f"section_end:{at}:{section}\r\x1b[0K")
            section = line.text.lower().replace(" ", "_").replace(":", "_")
            written.append(f"section_start:{at}:{section}\r\x1b[0K{line.coloured}\n")
        else:
            written.append(f"{line.coloured}\n")
    if section and job.state.final:
        written.append(f"section_end:{round(end)}:{section}\r\x1b[0K")
    return "".join(written)


def token_json(user: Person, created_at: float, now: float) -> JSON:
    """Return an access token."""
    return {
        "id": 11,
        "name": "buildbell",
        "revoked": False,
        "created_at": stamp(created_at),
        "description": "The playground's",
        "scopes": ["api"],
        "user_id": user.number,
        "last_used_at": stamp(now),
        "active": True,
        "expires_at": datetime.fromtimestamp(now + 200 * 86_400, UTC).date().isoformat(),
        "last_used_ips": [],
    }


def group_json(root: str) -> JSON:
    """Return the group."""
    return {
        "id": "9",
        "name": "Acme",
        "path": "acme",
        "full_path": "acme",
        "web_url": f"{root}/groups/acme",
    }


def project_json(pipeline: Pipeline, root: str) -> JSON:
    """Return a project."""
    repo, web = pipeline.repo, f"{root}/{pipeline.path}"
    return {
        "id": repo.number,
        "description": None,
        "name": repo.name,
        "name_with_namespace": f"{repo.owner.capitalize()} / {repo.name}",
        "path": repo.name,
        "path_with_namespace": pipeline.path,
        "created_at": stamp(pipeline.created_at),
        "default_branch": repo.default_branch,
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@demo.example:{pipeline.path}.git",
        "http_url_to_repo": f"{web}.git",
        "web_url": web,
        "readme_url": None,
        "forks_count": 0,
        "avatar_url": None,
        "star_count": 0,
        "last_activity_at": stamp(max(build.updated_at for build in pipeline.builds)),
        "visibility": "private",
        "archived": False,
        "namespace": {
            "id": 9,
            "name": repo.owner.capitalize(),
            "path": repo.owner,
            "kind": "group",
            "full_path": repo.owner,
        },
    }


def short_pipeline_json(build: Build, root: str) -> JSON:
    """Return a pipeline as listings have it."""
    return {
        "id": build.id,
        "iid": build.number,
        "project_id": build.pipeline.repo.number,
        "sha": build.commit.sha,
        "ref": ref_of(build),
        "status": pipeline_status(build),
        "source": SOURCES[build.source],
        "created_at": stamp(build.created_at),
        "updated_at": stamp(build.updated_at),
        "web_url": f"{root}{web_path(build)}",
        "name": None,
    }


def pipeline_json(build: Build, root: str, mount: str, owner: Person) -> JSON:
    """Return a pipeline; `mount` is the path that the service is served at."""
    return {
        **short_pipeline_json(build, root),
        "before_sha": build.commit.parent,
        "tag": build.tag is not None,
        "yaml_errors": None,
        "user": user_json(build.creator or owner, root),
        "started_at": iso(build.started_at),
        "finished_at": iso(build.finished_at),
        "committed_at": None,
        "duration": duration(build),
        "queued_duration": queued_duration(build),
        "coverage": None,
        "detailed_status": detailed_status_json(build, mount),
    }


def detailed_status_json(build: Build, mount: str) -> JSON:
    """Return a pipeline's state as the page shows it."""
    status = pipeline_status(build)
    warned = status == "success" and any(job.soft_failed for job in build.current)
    text = "warning" if warned else {"success": "passed", "manual": "blocked"}.get(status, status)
    label = "passed with warnings" if warned else {"manual": "waiting for manual action"}.get(status, text)
    return {
        "icon": "status_warning" if warned else f"status_{status}",
        "text": text,
        "label": label,
        "group": "success-with-warnings" if warned else status,
        "tooltip": text,
        "has_details": True,
        "details_path": f"{mount}{web_path(build)}",
        "illustration": None,
        "favicon": f"/assets/ci_favicons/favicon_status_{status}.png",
    }


def merge_request_json(pipeline: Pipeline, pull: Pull, root: str) -> JSON:
    """Return a merge request."""
    return {
        "id": pipeline.repo.number * 1000 + pull.number,
        "iid": pull.number,
        "project_id": pipeline.repo.number,
        "title": pull.title,
        "description": "",
        "state": "closed" if pull.closed else "opened",
        "source_branch": pull.branch,
        "target_branch": pull.target,
        "sha": pipeline.repo.branches[pull.branch].sha,
        "author": user_json(pull.author, root),
        "web_url": f"{root}/{pipeline.path}/-/merge_requests/{pull.number}",
    }


def job_json(build: Build, job: Job, root: str, owner: Person, now: float) -> JSON:
    """Return a job."""
    repo = build.pipeline.repo
    files: list[JSON] = [
        {
            "file_type": artifact.kind,
            "size": len(artifact.content),
            "filename": artifact.path,
            "file_format": "zip" if artifact.kind == "archive" else "gzip",
        }
        for artifact in job.artifacts
        if job.erased_at is None
    ]
    if job.finished_at is not None and job.started_at is not None and job.erased_at is None:
        files.append(
            {
                "file_type": "trace",
                "size": len(log_text(build, job, now).encode()),
                "filename": "job.log",
                "file_format": None,
            }
        )
    made: JSON = {
        "id": job.number,
        "status": job_status(job),
        "stage": job.step.stage,
        "name": job.step.name,
        "ref": ref_of(build),
        "tag": build.tag is not None,
        "coverage": None,
        "allow_failure": may_fail(job),
        "created_at": stamp(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "erased_at": iso(job.erased_at),
        "duration": _job_duration(job, now),
        "queued_duration": round(job.started_at - job.queued_at, 3) if job.started_at and job.queued_at else None,
        "user": user_json(build.creator or owner, root),
        "commit": commit_json(build.commit, repo, root),
        "pipeline": short_pipeline_json(build, root),
        "web_url": f"{root}/{build.pipeline.path}/-/jobs/{job.number}",
        "project": {"ci_job_token_scope_enabled": False},
        "artifacts": files,
        "runner": None,
        "artifacts_expire_at": iso(job.finished_at + 30 * 86_400) if files and job.finished_at else None,
        "archived": False,
        "tag_list": ["docker"],
    }
    if job.state.bad:
        made["failure_reason"] = REASONS.get(job.reason or "script", "script_failure")
    archive = next((artifact for artifact in job.artifacts if artifact.kind == "archive"), None)
    if archive is not None and job.erased_at is None:
        made["artifacts_file"] = {"filename": archive.path, "size": len(archive.content)}
    return made


def _suites(build: Build) -> list[tuple[Job, tuple[Test, ...]]]:
    return [(job, job.tests) for job in build.current if job.tests]


def test_summary_json(build: Build) -> JSON:
    """Return the counts of a pipeline's tests."""
    suites = _suites(build)
    everything = [test for _, tests in suites for test in tests]
    counted = test_counts(everything)
    return {
        "total": {
            "time": counted["total_time"],
            "count": counted["total_count"],
            "success": counted["success_count"],
            "failed": counted["failed_count"],
            "skipped": counted["skipped_count"],
            "error": 0,
            "suite_error": None,
        },
        "test_suites": [
            {"name": job.step.name, **test_counts(tests), "build_ids": [job.number], "suite_error": None}
            for job, tests in suites
        ],
    }


def test_report_json(build: Build) -> JSON:
    """Return a pipeline's tests."""
    suites = _suites(build)
    return {
        **test_counts([test for _, tests in suites for test in tests]),
        "test_suites": [
            {
                "name": job.step.name,
                **test_counts(tests),
                "suite_error": None,
                "test_cases": [
                    {
                        "status": {"passed": "success"}.get(test.outcome, test.outcome),
                        "name": test.name,
                        "classname": test.class_name,
                        "file": test.file,
                        "execution_time": test.seconds,
                        "system_output": test.message,
                        "stack_trace": test.trace,
                        "recent_failures": {"count": 3, "base_branch": build.pipeline.repo.default_branch}
                        if test.outcome == "failed"
                        else None,
                    }
                    for test in tests
                ],
            }
            for job, tests in suites
        ],
    }


def schedule_json(pipeline: Pipeline, root: str, owner: Person, now: float) -> JSON:
    """Return a project's nightly schedule."""
    at = stamp(pipeline.created_at)
    return {
        "id": pipeline.repo.number + 500,
        "description": "Nightly",
        "ref": f"refs/heads/{pipeline.repo.default_branch}",
        "cron": "0 3 * * *",
        "cron_timezone": "UTC",
        "next_run_at": stamp(now + 3600),
        "active": True,
        "created_at": at,
        "updated_at": at,
        "owner": user_json(owner, root),
    }


def web_path(build: Build) -> str:
    """Return the path of a pipeline's page."""
    return f"/{build.pipeline.path}/-/pipelines/{build.id}"


def job_web_path(build: Build, job: Job) -> str:
    """Return the path of a job's page."""
    return f"/{build.pipeline.path}/-/jobs/{job.number}"


def hook_json(build: Build, root: str, owner: Person, now: float) -> JSON:
    """Return a pipeline event."""
    repo, pull, creator = build.pipeline.repo, build.pull, build.creator or owner
    web = f"{root}/{build.pipeline.path}"
    user = {"id": creator.number, "name": creator.name, "username": creator.login, "email": creator.email}
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": build.id,
            "iid": build.number,
            "name": None,
            "ref": build.ref,
            "tag": build.tag is not None,
            "sha": build.commit.sha,
            "before_sha": build.commit.parent,
            "source": SOURCES[build.source],
            "status": pipeline_status(build),
            "detailed_status": detailed_status_json(build, "")["text"],
            "stages": list(build.pipeline.stages),
            "created_at": spaced(build.created_at),
            "finished_at": spaced(build.finished_at),
            "duration": duration(build),
            "queued_duration": queued_duration(build),
            "variables": [{"key": key, "value": value} for key, value in build.env.items()],
            "url": f"{root}{web_path(build)}",
        },
        "merge_request": {
            "id": pull.number,
            "iid": pull.number,
            "title": pull.title,
            "source_branch": pull.branch,
            "target_branch": pull.target,
            "state": "opened",
            "url": f"{web}/-/merge_requests/{pull.number}",
        }
        if pull
        else None,
        "user": user,
        "project": {
            "id": repo.number,
            "name": repo.name,
            "web_url": web,
            "namespace": repo.owner.capitalize(),
            "path_with_namespace": build.pipeline.path,
            "default_branch": repo.default_branch,
        },
        "commit": {
            "id": build.commit.sha,
            "message": build.commit.message,
            "title": build.commit.title,
            "timestamp": stamp(build.commit.at),
            "url": f"{web}/-/commit/{build.commit.sha}",
            "author": {"name": build.commit.author.name, "email": build.commit.author.email},
        },
        "builds": [
            {
                "id": job.number,
                "stage": job.step.stage,
                "name": job.step.name,
                "status": job_status(job),
                "created_at": spaced(job.created_at),
                "started_at": spaced(job.started_at),
                "finished_at": spaced(job.finished_at),
                "duration": _job_duration(job, now),
                "when": "manual" if job.step.approval else "on_success",
                "manual": job.step.approval is not None,
                "allow_failure": may_fail(job),
                "failure_reason": REASONS.get(job.reason or "") if job.state.bad else None,
                "user": user,
                "runner": None,
                "artifacts_file": {"filename": None, "size": None},
                "environment": None,
            }
            for job in build.current
        ],
    }


def ref_of(build: Build) -> str:
    """Return what a pipeline ran for, as GitLab names refs."""
    if build.source is Source.PULL and build.pull is not None:
        return f"refs/merge-requests/{build.pull.number}/head"
    return build.ref


def may_fail(job: Job) -> bool:
    """Return whether a pipeline passes without a job."""
    return job.step.tolerated or job.step.approval is ApprovalKind.OPTIONAL


def duration(build: Build) -> int | None:
    """Return how many seconds a pipeline ran."""
    if not build.finished or build.started_at is None or build.finished_at is None:
        return None
    return round(build.finished_at - build.started_at)


def queued_duration(build: Build) -> int | None:
    """Return how many seconds a pipeline waited."""
    return None if build.started_at is None else max(round(build.started_at - build.created_at), 0)


def _job_duration(job: Job, now: float) -> float | None:
    if job.started_at is None:
        return None
    return round((now if job.finished_at is None else job.finished_at) - job.started_at, 3)


def test_counts(tests: Sequence[Test]) -> JSON:
    """Return how many tests ended how."""
    by = {word: sum(test.outcome == word for test in tests) for word in ("passed", "failed", "skipped")}
    return {
        "total_time": round(sum(test.seconds for test in tests), 3),
        "total_count": len(tests),
        "success_count": by["passed"],
        "failed_count": by["failed"],
        "skipped_count": by["skipped"],
        "error_count": 0,
    }
