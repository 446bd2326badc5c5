"""Travis CI's objects as its API (v3) and its webhooks write them."""

from datetime import UTC, datetime

from playground.ci import job_output
from playground.ci.model import Build, BuildState, Commit, Job, JobState, Person, Pipeline, Result, Source, stamp
from playground.ci.system import JSON

OWNER = "acme"
EVENTS = {
    Source.PUSH: "push",
    Source.PULL: "pull_request",
    Source.SCHEDULE: "cron",
    Source.API: "api",
    Source.WEB: "api",
    Source.REBUILD: "api",
}
JOB_STATES = {
    JobState.CREATED: "created",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "started",
    JobState.PASSED: "passed",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
    JobState.TIMEOUT: "errored",
    JobState.SKIPPED: "canceled",
    JobState.MANUAL: "created",
    JobState.UNBLOCKED: "passed",
}
STATUS_MESSAGES = {
    "created": "Pending",
    "started": "Pending",
    "passed": "Passed",
    "failed": "Failed",
    "errored": "Errored",
    "canceled": "Canceled",
}
PERMISSIONS = {"read": True, "cancel": True, "restart": True, "prioritize": False}


def time(at: float | None) -> str | None:
    """Return a time as Travis writes it: to the second."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _object(kind: str, href: str, representation: str = "minimal") -> JSON:
    return {"@type": kind, "@href": href, "@representation": representation}


def user(person: Person) -> JSON:
    """Return a person."""
    href = f"/user/{person.number}"
    return _object("user", href) | {
        "id": person.number,
        "login": person.login,
        "name": person.name,
        "vcs_type": "GithubUser",
    }


def repository(pipeline: Pipeline) -> JSON:
    """Return a repository in short."""
    repo = pipeline.repo
    href = f"/repo/{pipeline.number}"
    return _object("repository", href) | {"id": pipeline.number, "name": repo.name, "slug": repo.slug}


def branch(number: int, name: str) -> JSON:
    """Return a branch in short."""
    return _object("branch", f"/repo/{number}/branch/{name}") | {"name": name}


def whole_repository(pipeline: Pipeline, newest: Build | None) -> JSON:
    """Return a repository with its newest build."""
    repo = pipeline.repo
    return {
        **repository(pipeline),
        "@representation": "standard",
        "@permissions": {"read": True, "create_request": True},
        "description": None,
        "vcs_type": "GithubRepository",
        "active": pipeline.enabled,
        "private": True,
        "owner": _object("organization", "/org/5") | {"id": 5, "login": OWNER},
        "owner_name": OWNER,
        "vcs_name": repo.name,
        "default_branch": branch(pipeline.number, repo.default_branch),
        "starred": False,
        "last_started_build": short_build(newest) if newest else None,
    }


def commit(each: Commit, build: Build | None = None) -> JSON:
    """Return a commit, with the message that its build was given."""
    return {
        "@type": "commit",
        "@representation": "minimal",
        "id": int(each.sha[:8], 16),
        "sha": each.sha,
        "ref": f"refs/heads/{build.ref}" if build else None,
        "message": build.message if build else each.message,
        "compare_url": "",
        "committed_at": time(each.at),
        "author": {"name": each.author.name},
    }


# builds and jobs


def _has_begun(build: Build) -> bool:
    """Return whether the newest run of a build has begun: a restart resets its times."""
    return build.started_at is not None and build.attempt_started_at is None


def state(build: Build) -> str:
    """Return a build's state."""
    if build.state is not BuildState.FINISHED:
        return "started" if _has_begun(build) else "created"
    if build.result is Result.TIMEOUT or (build.result is Result.FAILED and build.errored):
        return "errored"
    return {Result.PASSED: "passed", Result.CANCELED: "canceled"}.get(build.result or Result.FAILED, "failed")


def job_state(job: Job) -> str:
    """Return a job's state."""
    return "errored" if job.reason == "infrastructure" else JOB_STATES[job.state]


def duration(build: Build) -> int | None:
    """Return how many seconds a build took, None while it runs."""
    if not build.finished or build.finished_at is None or build.started_at is None:
        return None
    return round(build.finished_at - build.started_at)


def short_build(build: Build) -> JSON:
    """Return a build in short."""
    begun = _has_begun(build)
    return _object("build", f"/build/{build.id}") | {
        "id": build.id,
        "number": str(build.number),
        "state": state(build),
        "duration": duration(build),
        "event_type": EVENTS[build.source],
        "previous_state": None,
        "pull_request_title": build.pull.title if build.pull else None,
        "pull_request_number": build.pull.number if build.pull else None,
        "started_at": time(build.started_at) if begun else None,
        "finished_at": time(build.finished_at) if build.finished else None,
        "private": True,
        "priority": False,
    }


def listed_build(build: Build, owner: Person) -> JSON:
    """Return a build as lists have it: without its repository and jobs."""
    pipeline = build.pipeline
    name = build.pull.target if build.pull else build.ref
    return {
        **short_build(build),
        "@representation": "standard",
        "@permissions": PERMISSIONS,
        "branch": branch(pipeline.number, name),
        "tag": {"@type": "tag", "@representation": "minimal", "name": build.tag} if build.tag else None,
        "commit": commit(build.commit, build),
        "created_by": user(build.creator or owner),
    }


def whole_build(build: Build, owner: Person) -> JSON:
    """Return a build with its repository, jobs and stages."""
    return {
        **listed_build(build, owner),
        "repository": repository(build.pipeline),
        "jobs": [_object("job", f"/job/{job.number}") | {"id": job.number} for job in build.current],
        "stages": stages(build),
        "updated_at": stamp(build.updated_at),
    }


def stages(build: Build) -> list[JSON]:
    """Return a build's stages."""
    made = []
    for number, name in enumerate(build.pipeline.stages, 1):
        states = [job_state(job) for job in build.current if job.step.stage == name]
        words = ("started", "errored", "failed", "canceled", "queued", "created", "passed")
        word = next((each for each in words if each in states), "created")
        made.append(_object("stage", "") | {"id": number, "number": number, "name": name, "state": word})
    return made


def job(build: Build, each: Job, owner: Person) -> JSON:
    """Return a job."""
    names = [step.name for step in build.pipeline.steps]
    number = build.pipeline.stages.index(each.step.stage) + 1
    return _object("job", f"/job/{each.number}", "standard") | {
        "@permissions": {**PERMISSIONS, "view_log": True, "debug": False},
        "id": each.number,
        "allow_failure": each.step.tolerated,
        "number": f"{build.number}.{names.index(each.step.name) + 1}",
        "state": job_state(each),
        "started_at": time(each.started_at),
        "finished_at": time(each.finished_at),
        "created_at": stamp(each.created_at),
        "updated_at": stamp(build.updated_at),
        "build": short_build(build),
        "queue": "builds.demo",
        "repository": repository(build.pipeline),
        "commit": commit(build.commit, build),
        "owner": user(owner),
        "stage": _object("stage", "") | {"id": number, "number": number, "name": each.step.stage},
        "config": {"name": each.step.name, "os": "linux", "script": [each.step.command]},
    }


def log_text(build: Build, each: Job, now: float) -> str:
    """Return what is written of a job's log, with the marks by which Travis folds it."""
    written: list[str] = []
    shown = job_output.visible(build, each, now)
    for index, (title, lines) in enumerate(job_output.sections(shown)):
        fold = f"step.{index}"
        written += [f"travis_fold:start:{fold}\r\x1b[0K{title}", *(line.coloured for line in lines)]
        written.append(f"travis_fold:end:{fold}\r\x1b[0K")
    if each.state.final and each.started_at is not None:
        code = 0 if each.state is JobState.PASSED else 1
        written += [
            f'The command "{each.step.command}" exited with {code}.',
            "",
            f"Done. Your build exited with {code}.",
        ]
    return "".join(f"{line}\r\n" for line in written)


# requests and webhooks


def webhook(build: Build, root: str) -> JSON:
    """Return the payload of a webhook."""
    word, author = state(build), build.commit.author
    status = {"passed": 0, "failed": 1, "errored": 1}.get(word)
    shared: JSON = {
        "commit": build.commit.sha,
        "branch": build.pull.target if build.pull else build.ref,
        "message": build.message,
        "compare_url": "",
        "committed_at": time(build.commit.at),
        "author_name": author.name,
        "author_email": author.email,
        "committer_name": author.name,
        "committer_email": author.email,
    }
    return {
        **shared,
        "id": build.id,
        "number": str(build.number),
        "config": {},
        "type": EVENTS[build.source],
        "state": word,
        "status": status,
        "result": status,
        "status_message": STATUS_MESSAGES[word],
        "result_message": STATUS_MESSAGES[word],
        "started_at": time(build.started_at),
        "finished_at": time(build.finished_at) if build.finished else None,
        "duration": duration(build),
        "build_url": f"{root}/{build.pipeline.repo.slug}/builds/{build.id}",
        "commit_id": int(build.commit.sha[:8], 16),
        "base_commit": None,
        "head_commit": None,
        "pull_request": build.pull is not None,
        "pull_request_number": build.pull.number if build.pull else None,
        "pull_request_title": build.pull.title if build.pull else None,
        "tag": build.tag,
        "repository": {
            "id": build.pipeline.number,
            "name": build.pipeline.repo.name,
            "owner_name": OWNER,
            "url": None,
        },
        "matrix": [
            {**shared, "id": each.number, "parent_id": build.id, "state": job_state(each)} for each in build.current
        ],
    }
