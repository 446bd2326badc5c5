"""What CircleCI sends, as far as it is read: API v2, and the two reads of v1.1 that v2 lacks."""

from typing import Any

import msgspec

from bot.providers.base import Wire


class Me(Wire):
    """Whose token it is."""

    id: str
    login: str | None = None
    name: str | None = None


class Followed(Wire):
    """A project as v1.1 lists it."""

    reponame: str
    username: str
    vcs_type: str | None = None
    vcs_url: str | None = None
    default_branch: str | None = None
    branches: dict[str, Any] | None = None


class VcsInfo(Wire):
    """Where a project's source is."""

    vcs_url: str | None = None
    default_branch: str | None = None


class Project(Wire):
    """A project as v2 shows it."""

    slug: str
    id: str | None = None
    name: str | None = None
    organization_name: str | None = None
    vcs_info: VcsInfo | None = None


class Actor(Wire):
    """Who made a pipeline start."""

    login: str | None = None


class TriggerWire(Wire):
    """What made a pipeline start."""

    type: str | None = None
    actor: Actor | None = None


class CommitWire(Wire):
    """A commit's words."""

    subject: str | None = None
    body: str | None = None


class Vcs(Wire):
    """What was built; missing for projects of the GitHub App and of GitLab."""

    revision: str | None = None
    branch: str | None = None
    tag: str | None = None
    review_id: str | None = None
    review_url: str | None = None
    commit: CommitWire | None = None


class Fault(Wire):
    """Why a pipeline has no workflows."""

    type: str | None = None
    message: str | None = None


class PipelineWire(Wire):
    """A pipeline: our build."""

    id: str
    number: int | None = None
    state: str | None = None
    project_slug: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    errors: list[Fault] | None = None
    trigger: TriggerWire | None = None
    vcs: Vcs | None = None
    trigger_parameters: dict[str, Any] | None = None


class Created(Wire):
    """The answer to a start: a pipeline, or only the reason why none was started."""

    id: str | None = None
    message: str | None = None


class Workflow(Wire):
    """A run of a workflow in a pipeline; a rerun is a newer one of the same name."""

    id: str
    name: str | None = None
    status: str | None = None
    created_at: str | None = None
    stopped_at: str | None = None
    tag: str | None = None
    auto_rerun_number: int | None = None
    max_auto_reruns: int | None = None


class JobWire(Wire):
    """A job of a workflow; approval jobs and jobs not yet started have no number."""

    id: str
    name: str | None = None
    type: str | None = None
    status: str | None = None
    job_number: int | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    approval_request_id: str | None = None


class ArtifactWire(Wire):
    """A file of a job."""

    path: str
    url: str
    node_index: int | None = None


class TestWire(Wire):
    """A test of a job."""

    name: str | None = None
    classname: str | None = None
    file: str | None = None
    result: str | None = None
    run_time: float | None = None
    message: str | None = None


class Action(Wire):
    """A step on one machine, as v1.1 shows it."""

    name: str | None = None
    index: int | None = None
    failed: bool | None = None
    has_output: bool | None = None
    output_url: str | None = None


class Step(Wire):
    """A step of a job."""

    name: str | None = None
    actions: list[Action] = msgspec.field(default_factory=list)


class Steps(Wire):
    """A job with its steps, as v1.1 shows it."""

    steps: list[Step] | None = None


class Output(Wire):
    """A piece of a step's output."""

    message: str = ""


class HookPart(Wire):
    """A thing that a webhook names."""

    id: str | None = None
    slug: str | None = None


class Hook(Wire):
    """A webhook's body."""

    type: str
    id: str | None = None
    pipeline: HookPart | None = None
    project: HookPart | None = None
