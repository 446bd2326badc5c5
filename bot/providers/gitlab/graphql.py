"""GitLab's GraphQL API, used where it saves requests: many projects' pipelines, and what a pipeline can be given.

Pages: https://docs.gitlab.com/api/graphql/reference/ . Fields come and go between releases; every caller has another
way when a question is refused.
"""

import email.utils
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from bot.core.errors import Rejected, UnexpectedResponse
from bot.http.client import ApiClient
from bot.http.reply import Reply
from bot.providers.base.listing import parse_items
from bot.providers.base.urls import web_page
from bot.providers.base.wire import Wire
from bot.providers.gitlab.wire import Commit, Detailed, Input, PipelineRun, User

PROJECTS_AT_ONCE: Final = 50  # the server refuses more
PIPELINES_EACH: Final = 20

CHANGED: Final = """
query changed($projects: [ID!], $first: Int, $since: Time) {
  projects(ids: $projects, first: 50) {
    nodes {
      id
      pipelines(first: $first, updatedAfter: $since) {
        pageInfo { hasNextPage }
        nodes {
          id iid status name ref refPath sha source path
          createdAt startedAt finishedAt updatedAt
          user { username }
          detailedStatus { group }
          commit { message authorName authorEmail }
        }
      }
    }
  }
}
"""
INPUTS: Final = """
query inputs($path: ID!, $ref: String!) {
  project(fullPath: $path) {
    ciPipelineCreationInputs(ref: $ref) { name type description required default options }
  }
}
"""
VARIABLES: Final = """
query variables($path: ID!, $ref: String!) {
  project(fullPath: $path) {
    ciConfigVariables(ref: $ref) { key value description valueOptions }
  }
}
"""
QUALITY: Final = """
query quality($path: ID!, $iid: ID!) {
  project(fullPath: $path) {
    pipeline(iid: $iid) { codeQualityReportSummary { count } }
  }
}
"""


class TooComplex(Rejected):
    """The question costs more than the server allows; half of it may pass."""


class ProjectChanges(msgspec.Struct, frozen=True):
    """What changed in one project: its pipelines with their commits, and whether there is more than was shown."""

    project: str
    runs: list[tuple[PipelineRun, Commit | None]]
    more: bool


class Graph:
    """Asks GraphQL questions of one server."""

    def __init__(self, api: ApiClient, root: str) -> None:
        self._api = api
        self._root = root

    async def changed(self, projects: Sequence[str], since: str | None) -> tuple[list[ProjectChanges], int | None]:
        """Return what changed in up to 50 projects since a time, and the server's own time. Costs one request."""
        variables = {
            "projects": [f"gid://gitlab/Project/{each}" for each in projects],
            "first": PIPELINES_EACH,
            "since": since,
        }
        reply = await self._ask(CHANGED, variables)
        nodes = _Changed.of(_data(reply)).projects.nodes or []
        return list(parse_items(nodes, lambda each: _project_changes(each, self._root))), server_time(reply)

    async def inputs(self, path: str, ref: str) -> list[Input]:
        """Return the inputs a pipeline of `ref` takes. Costs one request."""
        project = _WithInputs.of(_data(await self._ask(INPUTS, {"path": path, "ref": ref}))).project
        return list(project.inputs or ()) if project else []

    async def variables(self, path: str, ref: str) -> list[msgspec.Raw] | None:
        """Return the variables a pipeline's file describes, or None while GitLab computes them. One request."""
        project = _WithVariables.of(_data(await self._ask(VARIABLES, {"path": path, "ref": ref}))).project
        return project.variables if project else []

    async def quality(self, path: str, iid: int) -> int | None:
        """Return how much a pipeline's code quality report complains of, or None where there is no such report."""
        project = _WithQuality.of(_data(await self._ask(QUALITY, {"path": path, "iid": str(iid)}))).project
        summary = project.pipeline.summary if project and project.pipeline else None
        return summary.count if summary else None

    async def _ask(self, query: str, variables: Mapping[str, object]) -> Reply:
        reply = await self._api.ask(
            web_page(self._root, "api", "graphql"), json={"query": query, "variables": variables}
        )
        errors = _Answer.of(reply.raw).errors
        if errors:
            said = errors[0].message or "no reason given"
            kind = TooComplex if "complexity" in said.lower() else Rejected
            raise kind(f"GitLab's GraphQL refused: {said[:200]}", provider=self._api.provider, status=reply.status)
        return reply


def server_time(reply: Reply) -> int | None:
    """Return the server's time in seconds since the epoch, from its `Date` header."""
    try:
        at = email.utils.parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def instant(seconds: int) -> str:
    """Return seconds since the epoch as GitLab takes times; with `Z`, since a `+` would need care."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _data(reply: Reply) -> msgspec.Raw:
    data = _Answer.of(reply.raw).data
    if bytes(data) == b"null":
        raise UnexpectedResponse("GitLab's GraphQL answered without data.", provider=reply.provider)
    return data


def _project_changes(node: "_Project", root: str) -> ProjectChanges:
    return ProjectChanges(
        project=_number(node.id),
        runs=list(parse_items(node.pipelines.nodes or (), lambda each: (_run(each, node.id, root), _commit(each)))),
        more=bool(node.pipelines.page_info and node.pipelines.page_info.has_next_page),
    )


def _run(run: "_Run", project: str, root: str) -> PipelineRun:
    """Return a GraphQL pipeline as REST would show it."""
    ref = run.ref_path if run.ref_path and run.ref_path.startswith("refs/merge-requests/") else run.ref
    number = run.iid if isinstance(run.iid, int) else int(run.iid) if run.iid and run.iid.isdigit() else None
    return PipelineRun(
        id=int(_number(run.id)),
        status=run.status,
        iid=number,
        project_id=int(_number(project)),
        sha=run.sha,
        ref=ref,
        tag=run.ref_path.startswith("refs/tags/") if run.ref_path else None,
        source=run.source,
        name=run.name,
        created_at=run.created_at,
        updated_at=run.updated_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        web_url=f"{origin(root)}{run.path}" if run.path and run.path.startswith("/") else None,
        user=run.user,
        detailed_status=run.detailed_status,
    )


def _commit(run: "_Run") -> Commit | None:
    if run.commit is None:
        return None
    return Commit(
        id=run.sha or "",
        message=run.commit.message,
        author_name=run.commit.author_name,
        author_email=run.commit.author_email,
    )


def _number(gid: str) -> str:
    number = gid.rpartition("/")[2]
    if not number.isdigit():
        raise UnexpectedResponse("GitLab's GraphQL gave an id that I can't read.", provider="GitLab")
    return number


def origin(root: str) -> str:
    """Return the scheme and host of the server: GraphQL's paths begin there, relative root included."""
    scheme, _, rest = root.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


class _Error(Wire):
    message: str | None = None


class _Answer(Wire):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_Error] | None = None


class _GraphCommit(Wire, rename="camel"):
    message: str | None = None
    author_name: str | None = None
    author_email: str | None = None


class _Run(Wire, rename="camel"):
    id: str
    iid: str | int | None = None
    status: str | None = None
    name: str | None = None
    ref: str | None = None
    ref_path: str | None = None
    sha: str | None = None
    source: str | None = None
    path: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    updated_at: str | None = None
    user: User | None = None
    detailed_status: Detailed | None = None
    commit: _GraphCommit | None = None


class _PageInfo(Wire, rename="camel"):
    has_next_page: bool | None = None


class _Runs(Wire, rename="camel"):
    page_info: _PageInfo | None = None
    nodes: list[_Run] | None = None


class _Project(Wire):
    id: str
    pipelines: _Runs


class _Projects(Wire):
    nodes: list[_Project] | None = None


class _Changed(Wire):
    projects: _Projects


class _InputsOf(Wire):
    inputs: list[Input] | None = msgspec.field(default=None, name="ciPipelineCreationInputs")


class _WithInputs(Wire):
    project: _InputsOf | None = None


class _VariablesOf(Wire):
    variables: list[msgspec.Raw] | None = msgspec.field(default=None, name="ciConfigVariables")


class _WithVariables(Wire):
    project: _VariablesOf | None = None


class _Count(Wire):
    count: int | None = None


class _QualityOf(Wire):
    summary: _Count | None = msgspec.field(default=None, name="codeQualityReportSummary")


class _QualityPipeline(Wire):
    pipeline: _QualityOf | None = None


class _WithQuality(Wire):
    project: _QualityPipeline | None = None
