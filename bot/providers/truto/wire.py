"""Truto's objects; only the fields that are read. `remote_data` is as the system behind Truto sends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from bot.providers.base.times import parse_time
from bot.providers.base.wire import Wire
from bot.providers.truto.options import Integration


class Envelope(Wire):
    """A page of a list. With `truto_key_by` the result is an object."""

    result: list[msgspec.Raw] | dict[str, msgspec.Raw]
    next_cursor: str | None = None


class BuildWire(Wire):
    """A unified build. Each integration fills other fields."""

    id: str | int
    attempts: int | None = None
    branch: str | None = None
    build: str | int | None = None
    commit: str | None = None
    completed_at: str | None = None
    conclusion: str | None = None
    created_at: str | None = None
    name: str | None = None
    number: int | str | None = None
    repo: str | None = None
    started_at: str | None = None
    status: str | None = None
    trigger: str | None = None
    triggered_by: str | None = None
    triggered_by_type: str | None = None
    updated_at: str | None = None
    workflow: str | None = None
    remote_data: object = None


class JobWire(Wire):
    """A unified job."""

    id: str | int
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    build: str | int | None = None
    remote_data: object = None


class ArtifactWire(Wire):
    """A unified artifact."""

    id: str | int
    name: str | None = None
    size_in_bytes: int | None = None
    download_url: str | None = None
    expired: bool | None = None
    remote_data: object = None


class NamedWire(Wire):
    """A repository, a workflow or a branch."""

    id: str | int | None = None
    name: str | None = None
    default_branch: str | None = None
    vcs_url: str | None = None
    status: str | None = None
    remote_data: object = None


class IntegrationWire(Wire):
    """The CI system an account is connected to."""

    name: str | None = None


class ForbiddenWire(Wire):
    """The last call that the connection's rights did not cover."""

    resource: str | None = None
    missing_scopes: list[str] | None = None


class AccountWire(Wire):
    """An integrated account: one tenant's connection to one CI system."""

    id: str
    status: str | None = None
    tenant_id: str | None = None
    is_sandbox: bool | None = None
    is_blocked: bool | None = None
    integration: IntegrationWire | None = None
    last_forbidden_error: ForbiddenWire | None = None


class UnifiedWire(Wire):
    """A resource of the unified model that an account offers."""

    model: str | None = None
    resource: str | None = None
    methods: list[str] | None = None


class CapabilitiesWire(Wire):
    """GET /integrated-account/{id}/capabilities."""

    unified: list[UnifiedWire] | None = None


class ErrorWire(Wire):
    """A refusal. `truto_is_remote_error`: the system behind Truto refused, not Truto."""

    truto_is_remote_error: bool | None = None


class WorkflowWire(Wire):
    """A workflow of a CircleCI pipeline, as CircleCI sends it."""

    id: str
    name: str | None = None
    status: str | None = None
    tag: str | None = None
    created_at: str | None = None


class WorkflowPage(Wire):
    """CircleCI's list of them."""

    items: list[msgspec.Raw]


class VariableWire(Wire):
    """A variable of a Bitbucket pipeline; a secured one comes without its value."""

    needed_whole = True

    key: str
    value: str | None = None
    secured: bool | None = None


class BitbucketRun(Wire):
    """A Bitbucket pipeline's variables, as Bitbucket sends them where they are asked for."""

    uuid: str
    variables: list[VariableWire] | None = None
    has_variables: bool | None = None


class TravisJobWire(Wire):
    """A job as Travis CI sends it: it names its build."""

    id: int
    build: "RequestWire | None" = None


class RequestWire(Wire):
    """A request or a build at Travis CI, by its id."""

    id: int | str | None = None


class StartedWire(Wire):
    """What the systems answer to a start: each names what it started in its own field."""

    id: str | int | None = None
    uuid: str | None = None
    workflow_run_id: int | str | None = None
    request: RequestWire | None = None
    message: str | None = None


class TravisRequestWire(Wire):
    """A request at Travis CI as it stands: the builds it came to, or why it came to none."""

    state: str | None = None
    result: str | None = None
    message: str | None = None
    builds: list[RequestWire] | None = None


class WebhookWire(Wire):
    """A webhook's body."""

    event: str
    id: str | None = None
    payload: object = None


REMOTE: Mapping[Integration, Mapping[str, tuple[str, ...]]] = {
    Integration.AZURE: {
        "status": ("status",),
        "conclusion": ("result",),
        "branch": ("sourceBranch",),
        "commit": ("sourceVersion",),
        "name": ("definition.name", "buildNumber"),
        "workflow": ("definition.name",),
        "repo": ("repository.name", "repository.id"),
        "created_at": ("queueTime",),
        "started_at": ("startTime",),
        "completed_at": ("finishTime",),
        "trigger": ("reason",),
        "triggered_by": ("requestedFor.displayName",),
        "message": ("triggerInfo.ci.message",),
        "web_url": ("_links.web.href",),
    },
    Integration.BITBUCKET: {
        "status": ("state.name",),
        "stage": ("state.stage.name",),
        "conclusion": ("state.result.name",),
        "number": ("build_number",),
        "branch": ("target.source",),
        "commit": ("target.commit.hash",),
        "tag": ("target.ref_name",),
        "pull_request": ("target.pullrequest.id",),
        "target_branch": ("target.destination",),
        "name": ("target.selector.pattern",),
        "repo": ("repository.full_name",),
        "message": ("target.commit.message",),
        "created_at": ("created_on",),
        "completed_at": ("completed_on",),
        "trigger": ("trigger.name",),
        "triggered_by": ("creator.display_name",),
    },
    Integration.CIRCLECI: {
        "status": ("state",),
        "number": ("number",),
        "branch": ("vcs.branch",),
        "tag": ("vcs.tag",),
        "pull_request": ("vcs.review_id",),
        "commit": ("vcs.revision",),
        "message": ("vcs.commit.subject",),
        "created_at": ("created_at",),
        "updated_at": ("updated_at",),
        "trigger": ("trigger.type",),
        "triggered_by": ("trigger.actor.login",),
    },
    Integration.GITHUB: {
        "status": ("status",),
        "conclusion": ("conclusion",),
        "number": ("run_number",),
        "branch": ("head_branch",),
        "commit": ("head_sha",),
        "name": ("name",),
        "repo": ("repository.full_name",),
        "message": ("head_commit.message", "display_title"),
        "author": ("head_commit.author.name",),
        "email": ("head_commit.author.email",),
        "created_at": ("created_at",),
        "started_at": ("run_started_at",),
        "updated_at": ("updated_at",),
        "trigger": ("event",),
        "triggered_by": ("triggering_actor.login", "actor.login"),
        "web_url": ("html_url",),
    },
    Integration.JENKINS: {
        "conclusion": ("result",),
        "number": ("number",),
        "name": ("fullDisplayName", "displayName"),
        "started_at": ("timestamp",),
        "web_url": ("url",),
    },
    Integration.TRAVIS: {
        "status": ("state",),
        "number": ("number",),
        "branch": ("branch.name",),
        "tag": ("tag.name",),
        "pull_request": ("pull_request_number",),
        "commit": ("commit.sha",),
        "message": ("commit.message",),
        "author": ("commit.author.name",),
        "repo": ("repository.slug",),
        "started_at": ("started_at",),
        "completed_at": ("finished_at",),
        "updated_at": ("updated_at",),
        "trigger": ("event_type",),
        "triggered_by": ("created_by.login",),
    },
}
"""Where `remote_data` says what the unified fields leave out: members separated by dots, the best one first."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the system behind Truto said, by the field names of `Build`."""

    integration: Integration
    data: object

    def at(self, path: str) -> object:
        """Return a member by its dotted path, None where there is none."""
        value = self.data
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def text(self, field: str) -> str | None:
        """Return a field as text."""
        for path in REMOTE[self.integration].get(field, ()):
            value = self.at(path)
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            if isinstance(value, str) and value:
                return value
        return None

    def when(self, field: str) -> datetime | None:
        """Return a field as a time."""
        for path in REMOTE[self.integration].get(field, ()):
            value = self.at(path)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and (at := parse_time(value)):
                return at
        return None

    def link(self, *paths: str) -> str | None:
        """Return the first of the members that is a web address."""
        for path in paths:
            value = self.at(path)
            if isinstance(value, str) and value.startswith(("https://", "http://")):
                return value
        return None
