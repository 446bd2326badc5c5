"""Truto's objects as they come: only the fields that are read. `remote_data` is as the system beneath sends it."""

import msgspec

from bot.providers.base.wire import Wire


class Envelope(Wire):
    """A page of a list. With `truto_key_by` the result is an object."""

    result: list[msgspec.Raw] | dict[str, msgspec.Raw]
    next_cursor: str | None = None


class BuildWire(Wire):
    """A unified build. Each integration fills other fields."""

    id: str | int
    attempts: int | None = None
    branch: str | None = None
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
    """A refusal. `truto_is_remote_error`: the system beneath said it, not Truto."""

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


class RequestWire(Wire):
    """A request at Travis CI."""

    id: int | str | None = None


class StartedWire(Wire):
    """What the systems answer to a start: each names what it started in its own field."""

    id: str | int | None = None
    uuid: str | None = None
    workflow_run_id: int | str | None = None
    request: RequestWire | None = None


class TravisRequestWire(Wire):
    """A request at Travis CI as it stands: the builds it came to, or why it came to none."""

    state: str | None = None
    result: str | None = None
    message: str | None = None
    builds: list[RequestWire] | None = None


class HookWire(Wire):
    """A webhook's body."""

    event: str
    id: str | None = None
    payload: object = None
