"""Truto's unified CI/CD model: where each system behind it keeps a resource, and how that becomes a unified object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote

from playground.ci.system import JSON


class Paging(Enum):
    """How a system's lists go on."""

    PAGE = "page"
    OFFSET = "offset"
    TOKEN = "token"  # noqa: S105 - a way of paging
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource at one system: its list and its single objects, and where their fields come from.

    Paths hold `{parameters}` of the request to Truto, `list_member` the member with the items (empty: a bare list),
    `fields` for each unified field the dotted paths that fill it, the best one first.
    """

    fields: Mapping[str, tuple[str, ...]]
    list_path: str = ""
    get_path: str = ""
    list_member: str = ""
    required: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, str] | None = None

    @property
    def methods(self) -> list[str]:
        """Return what can be asked of it."""
        return [name for name, path in (("list", self.list_path), ("get", self.get_path)) if path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """A system behind Truto: which of the local ones plays it, and its resources by name."""

    name: str
    label: str
    system: str
    base: str
    paging: Paging
    size_name: str = ""
    resources: Mapping[str, Resource]


STATES = {
    # builds and jobs of all systems, in lower case: status and conclusion
    **dict.fromkeys(("queued", "pending", "ready", "requested", "notstarted"), ("queued", None)),
    **dict.fromkeys(("received", "blocked", "not_running", "parsing"), ("queued", None)),
    **dict.fromkeys(
        ("in_progress", "inprogress", "cancelling", "running", "failing", "started"), ("in_progress", None)
    ),
    **dict.fromkeys(("success", "successful", "succeeded", "passed"), ("completed", "passed")),
    **dict.fromkeys(("failure", "failed", "error", "errored", "infrastructure_fail"), ("completed", "failed")),
    **dict.fromkeys(("cancelled", "canceled", "stopped"), ("completed", "cancelled")),
    **dict.fromkeys(("timed_out", "timedout"), ("completed", "timeout")),
    **dict.fromkeys(("skipped", "not_run"), ("completed", "skipped")),
    **dict.fromkeys(("partiallysucceeded", "succeededwithissues"), ("completed", "partial")),
    "completed": ("completed", None),
}
TEXTS = ("id", "workflow")
"""Fields that are text, whatever the system behind writes."""
CREATED = "created"
"""CircleCI says so of each pipeline that was set up, Travis CI of what has not begun: no unified word covers both."""
TRIGGERS = {
    **dict.fromkeys(("push", "webhook", "individualci"), "push"),
    **dict.fromkeys(("pull_request", "pullrequest"), "merge_request"),
    **dict.fromkeys(("schedule", "scheduled_pipeline", "cron"), "cron"),
    **dict.fromkeys(("workflow_dispatch", "manual"), "web"),
    "api": "api",
}
REPOSITORY = {"id": ("id",), "name": ("name",), "default_branch": ("default_branch",)}

GITHUB = Integration(
    name="github",
    label="GitHub",
    system="github_actions",
    base="",
    paging=Paging.PAGE,
    size_name="per_page",
    resources={
        "builds": Resource(
            list_path="repos/{owner}/{repo_id}/actions/runs",
            get_path="repos/{owner}/{repo_id}/actions/runs/{id}",
            list_member="workflow_runs",
            required=("owner", "repo_id"),
            fields={
                "attempts": ("run_attempt",),
                "branch": ("head_branch",),
                "build": ("run_number",),
                "commit": ("head_sha",),
                "completed_at": ("updated_at",),
                "created_at": ("created_at",),
                "name": ("name",),
                "number": ("run_number",),
                "repo": ("repository.full_name",),
                "started_at": ("run_started_at",),
                "status": ("status",),
                "conclusion": ("conclusion",),
                "trigger": ("event",),
                "triggered_by": ("triggering_actor.login",),
                "updated_at": ("updated_at",),
                "workflow": ("workflow_id",),
            },
        ),
        "jobs": Resource(
            list_path="repos/{owner}/{repo_id}/actions/runs/{build_id}/jobs",
            get_path="repos/{owner}/{repo_id}/actions/jobs/{id}",
            list_member="jobs",
            required=("owner", "repo_id"),
            fields={
                "name": ("name",),
                "build": ("run_id",),
                "commit": ("head_sha",),
                "branch": ("head_branch",),
                "attempts": ("run_attempt",),
                "status": ("status",),
                "conclusion": ("conclusion",),
                "created_at": ("created_at",),
                "started_at": ("started_at",),
                "completed_at": ("completed_at",),
            },
        ),
        "artifacts": Resource(
            list_path="repos/{owner}/{repo_id}/actions/runs/{build_id}/artifacts",
            list_member="artifacts",
            required=("owner", "repo_id"),
            fields={
                "name": ("name",),
                "build": ("workflow_run.id",),
                "size_in_bytes": ("size_in_bytes",),
                "download_url": ("archive_download_url",),
                "expired": ("expired",),
                "created_at": ("created_at",),
                "updated_at": ("updated_at",),
                "expires_at": ("expires_at",),
            },
        ),
        "repos": Resource(
            list_path="user/repos", get_path="repos/{owner}/{id}", required=("owner",), fields=REPOSITORY
        ),
        "branches": Resource(
            list_path="repos/{owner}/{repo_id}/branches",
            required=("owner", "repo_id"),
            fields={"id": ("name",), "name": ("name",)},
        ),
    },
)
CIRCLECI = Integration(
    name="circleci",
    label="CircleCI",
    system="circleci",
    base="/api/v2",
    paging=Paging.TOKEN,
    resources={
        "builds": Resource(
            list_path="project/{repo_id}/pipeline",
            get_path="pipeline/{id}",
            list_member="items",
            required=("repo_id",),
            fields={
                "branch": ("vcs.branch",),
                "commit": ("vcs.revision",),
                "created_at": ("created_at",),
                "name": ("project_slug",),
                "number": ("number",),
                "repo": ("project_slug",),
                "status": ("state",),
                "trigger": ("trigger.type",),
                "triggered_by": ("trigger.actor.login",),
                "updated_at": ("updated_at",),
            },
        ),
        "jobs": Resource(
            list_path="workflow/{workflow_of_build}/job",
            get_path="project/{project_slug}/job/{id}",
            list_member="items",
            required=("build_id",),
            fields={
                "name": ("name",),
                "status": ("status",),
                "conclusion": ("status",),
                "started_at": ("started_at",),
                "completed_at": ("stopped_at",),
            },
        ),
        "artifacts": Resource(
            list_path="project/{project_slug}/{job_number}/artifacts",
            list_member="items",
            required=("project_slug", "job_number"),
            fields={"id": ("path",), "name": ("path",), "download_url": ("url",)},
        ),
        "repos": Resource(
            get_path="project/{id}",
            fields={"id": ("slug",), "name": ("name",), "default_branch": ("vcs_info.default_branch",)},
        ),
    },
)
BITBUCKET = Integration(
    name="bitbucket",
    label="Bitbucket",
    system="bitbucket",
    base="/2.0",
    paging=Paging.PAGE,
    size_name="pagelen",
    resources={
        "builds": Resource(
            list_path="repositories/{workspace_id}/{repo}/pipelines",
            get_path="repositories/{workspace_id}/{repo}/pipelines/{id}",
            list_member="values",
            required=("workspace_id", "repo"),
            query={"sort": "-created_on"},
            fields={
                "id": ("uuid",),
                "branch": ("target.ref_name", "target.source"),
                "build": ("build_number",),
                "commit": ("target.commit.hash",),
                "created_at": ("created_on",),
                "number": ("build_number",),
                "repo": ("repository.full_name",),
                "status": ("state.name",),
                "trigger": ("trigger.name",),
                "triggered_by": ("creator.display_name",),
            },
        ),
        "jobs": Resource(
            list_path="repositories/{workspace_id}/{repo}/pipelines/{build}/steps",
            get_path="repositories/{workspace_id}/{repo}/pipelines/{build}/steps/{id}",
            list_member="values",
            required=("workspace_id", "repo", "build"),
            fields={
                "id": ("uuid",),
                "name": ("name",),
                "status": ("state.name",),
                "conclusion": ("state.result.name",),
                "started_at": ("started_on",),
                "completed_at": ("completed_on",),
            },
        ),
        "repos": Resource(
            list_path="repositories/{workspace_id}",
            get_path="repositories/{workspace_id}/{id}",
            list_member="values",
            required=("workspace_id",),
            fields={"id": ("slug",), "name": ("name",), "default_branch": ("mainbranch.name",)},
        ),
        "branches": Resource(
            list_path="repositories/{workspace_id}/{repo}/refs/branches",
            list_member="values",
            required=("workspace_id", "repo"),
            fields={"id": ("name",), "name": ("name",)},
        ),
    },
)
TRAVIS = Integration(
    name="travis_ci",
    label="Travis CI",
    system="travis",
    base="/api",
    paging=Paging.OFFSET,
    size_name="limit",
    resources={
        "builds": Resource(
            list_path="repo/{repo_id}/builds",
            get_path="build/{id}",
            list_member="builds",
            required=("repo_id",),
            query={"sort_by": "id:desc"},
            fields={
                "attempts": ("attempts",),
                "branch": ("branch.name",),
                "commit": ("commit.sha",),
                "completed_at": ("finished_at",),
                "conclusion": ("state",),
                "created_at": ("started_at",),
                "name": ("commit.message",),
                "number": ("number",),
                "repo": ("repository.slug",),
                "trigger": ("event_type",),
                "updated_at": ("updated_at",),
            },
        ),
        "jobs": Resource(
            list_path="build/{build_id}/jobs",
            get_path="job/{id}",
            list_member="jobs",
            required=("build_id",),
            fields={
                "name": ("config.name", "number"),
                "build": ("build.id",),
                "status": ("state",),
                "conclusion": ("state",),
                "created_at": ("created_at",),
                "started_at": ("started_at",),
                "completed_at": ("finished_at",),
            },
        ),
        "repos": Resource(
            list_path="repos",
            get_path="repo/{id}",
            list_member="repositories",
            fields={"id": ("slug",), "name": ("name",), "default_branch": ("default_branch.name",)},
        ),
        "branches": Resource(
            list_path="repo/{repo_id}/branches",
            list_member="branches",
            required=("repo_id",),
            fields={"id": ("name",), "name": ("name",)},
        ),
    },
)
AZURE = Integration(
    name="azure_devops",
    label="Azure DevOps",
    system="azure_devops",
    base="/acme",
    paging=Paging.HEADER,
    size_name="$top",
    resources={
        "builds": Resource(
            list_path="{workspace_id}/_apis/build/builds",
            get_path="{workspace_id}/_apis/build/builds/{id}",
            list_member="value",
            required=("workspace_id",),
            query={"api-version": "7.1"},
            fields={
                "branch": ("sourceBranch",),
                "completed_at": ("finishTime",),
                "conclusion": ("result",),
                "number": ("buildNumber",),
                "repo": ("repository.name",),
                "started_at": ("startTime",),
                "status": ("status",),
                "trigger": ("reason",),
                "updated_at": ("lastChangedDate",),
            },
        ),
        "jobs": Resource(
            list_path="{workspace_id}/_apis/build/builds/{build_id}/timeline",
            list_member="records",
            required=("workspace_id", "build_id"),
            query={"api-version": "7.1"},
            only=("type", "Job"),
            fields={
                "name": ("name",),
                "status": ("state",),
                "conclusion": ("result",),
                "started_at": ("startTime",),
                "completed_at": ("finishTime",),
            },
        ),
        "artifacts": Resource(
            list_path="{workspace_id}/_apis/build/builds/{build_id}/artifacts",
            list_member="value",
            required=("workspace_id", "build_id"),
            query={"api-version": "7.1"},
            fields={"name": ("name",), "download_url": ("resource.downloadUrl",)},
        ),
        "repos": Resource(
            list_path="{workspace_id}/_apis/git/repositories",
            list_member="value",
            required=("workspace_id",),
            query={"api-version": "7.1"},
            fields={"id": ("name",), "name": ("name",), "default_branch": ("defaultBranch",)},
        ),
    },
)
INTEGRATIONS = {each.name: each for each in (GITHUB, CIRCLECI, BITBUCKET, TRAVIS, AZURE)}


def filled(path: str, values: Mapping[str, str]) -> str:
    """Return a path with its parameters; a slug's slashes stay where the path of CircleCI's project holds them."""
    parts = {name: quote(value, safe="/" if path.startswith("project/") else "") for name, value in values.items()}
    return path.format_map(parts)


def unified(resource: Resource, raw: JSON, *, with_remote_data: bool) -> JSON:
    """Return a system's object as a unified one; words that have no unified one stay as they are."""
    made: JSON = {name: _first(raw, paths) for name, paths in {"id": ("id",), **resource.fields}.items()}
    made |= {name: str(made[name]) for name in TEXTS if isinstance(made.get(name), int)}
    status, ended = _states(made.get("status")), _states(made.get("conclusion"))
    if "status" in made and status:
        made["status"] = status[0]
    if "conclusion" in made and (ended or made["conclusion"] == CREATED):
        made["conclusion"] = ended[1] if ended else None
    if "trigger" in made:
        made["trigger"] = TRIGGERS.get(str(made["trigger"]).lower(), made["trigger"])
    if "completed_at" in made and made.get("status", "completed") != "completed":
        made["completed_at"] = None
    if made.get("triggered_by"):
        made["triggered_by_type"] = "user"
    if "repo" in made and made["repo"] is None:
        del made["repo"]
    return {**made, "remote_data": raw} if with_remote_data else made


def _states(word: object) -> tuple[str, str | None] | None:
    return STATES.get(str(word).lower())


def _first(raw: JSON, paths: tuple[str, ...]) -> Any:
    for path in paths:
        value: Any = raw
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
