"""GitLab's objects as they come: only the fields that are read.

Pages: https://docs.gitlab.com/api/pipelines/ , https://docs.gitlab.com/api/jobs/ (checked 2026-11); of v3 the Builds API of 8.x.
"""

import msgspec

from bot.providers.base.wire import Wire


class User(Wire):
    """Who started a pipeline, or whose token it is."""

    username: str | None = None
    name: str | None = None


class Detailed(Wire):
    """The state as the page words it; its group distinguishes a pass with warnings."""

    group: str | None = None
    label: str | None = None


class PipelineRun(Wire):
    """A pipeline, which is our build, as a list shows it or whole."""

    id: int
    status: str | None = None
    iid: int | None = None
    project_id: int | None = None
    sha: str | None = None
    ref: str | None = None
    tag: bool | None = None
    source: str | None = None
    name: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    committed_at: str | None = None
    before_sha: str | None = None
    duration: float | None = None
    queued_duration: float | None = None
    coverage: str | float | None = None
    web_url: str | None = None
    yaml_errors: str | None = None
    user: User | None = None
    detailed_status: Detailed | None = None


class Comparison(Wire):
    """What lies between two commits."""

    commits: tuple[msgspec.Raw, ...] = ()


class Commit(Wire):
    """A commit; its id is all that v3's builds always have."""

    id: str
    created_at: str | None = None
    message: str | None = None
    title: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    web_url: str | None = None


class MergeRequest(Wire):
    """A merge request."""

    iid: int
    title: str | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    source_project_id: int | None = None
    target_project_id: int | None = None


class Project(Wire):
    """A project, which is our pipeline."""

    id: int
    path_with_namespace: str
    name: str | None = None
    default_branch: str | None = None
    web_url: str | None = None
    archived: bool | None = None
    jobs_enabled: bool | None = None
    builds_enabled: bool | None = None


class JobFile(Wire):
    """A file that a job left."""

    file_type: str | None = None
    filename: str | None = None
    size: int | None = None


class PipelineId(Wire):
    """What a job says about its pipeline."""

    id: int
    project_id: int | None = None


class Runner(Wire):
    """The runner that took a build."""

    description: str | None = None
    name: str | None = None


class JobRun(Wire):
    """A job or a trigger job."""

    id: int
    status: str | None = None
    name: str | None = None
    stage: str | None = None
    allow_failure: bool | None = None
    failure_reason: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    erased_at: str | None = None
    web_url: str | None = None
    artifacts: list[JobFile] | None = None
    pipeline: PipelineId | None = None
    runner: Runner | None = None
    coverage: float | None = None
    queued_duration: float | None = None
    tag_list: list[str] | None = None


class OldBuild(Wire):
    """A build of API v3, which v4 calls a job."""

    id: int
    status: str | None = None
    name: str | None = None
    stage: str | None = None
    ref: str | None = None
    tag: bool | None = None
    coverage: float | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    erased_at: str | None = None
    artifacts_file: JobFile | None = None
    user: User | None = None
    runner: Runner | None = None
    commit: Commit | None = None
    pipeline: PipelineId | None = None


class Variable(Wire):
    """A variable a pipeline was started with."""

    key: str
    value: str | None = None
    variable_type: str | None = None


class Environment(Wire):
    """Where a deployment goes."""

    name: str | None = None


class Deployment(Wire):
    """A deployment and the job that does it."""

    id: int
    status: str | None = None
    environment: Environment | None = None
    deployable: JobRun | None = None


class Token(Wire):
    """What the token says about itself."""

    name: str | None = None
    scopes: list[str] | None = None
    active: bool | None = None
    expires_at: str | None = None


class Server(Wire):
    """What the server says about itself."""

    version: str | None = None


class Named(Wire):
    """A branch or a tag."""

    name: str


class Totals(Wire):
    """The sums of a test summary."""

    count: int | None = None
    failed: int | None = None
    error: int | None = None
    suite_error: str | None = None


class Suite(Wire):
    """One report of a pipeline's tests."""

    name: str | None = None
    suite_error: str | None = None
    test_cases: list[msgspec.Raw] | None = None


class Summary(Wire):
    """A test summary."""

    total: Totals
    test_suites: list[msgspec.Raw] | None = None


class Report(Wire):
    """A test report."""

    test_suites: list[msgspec.Raw] | None = None


class Case(Wire):
    """One test."""

    name: str | None = None
    status: str | None = None
    classname: str | None = None
    file: str | None = None
    execution_time: float | None = None
    system_output: object = None
    stack_trace: str | None = None


class ConfigVariable(Wire, rename="camel"):
    """A variable that a pipeline's file describes."""

    key: str | None = None
    value: str | None = None
    description: str | None = None
    value_options: list[str] | None = None


class Input(Wire):
    """An input that a pipeline takes."""

    name: str
    type: str | None = None
    description: str | None = None
    required: bool | None = None
    default: object = None
    options: list[object] | None = None


class HookProject(Wire):
    """The project of a webhook."""

    id: int | None = None


class HookPipeline(Wire):
    """The pipeline of a webhook."""

    id: int | None = None
    source: str | None = None


class HookKind(Wire):
    """What a webhook is about."""

    object_kind: str | None = None


class Hook(Wire):
    """Only what says where to look: variables may hold secrets and are never read."""

    project: HookProject | None = None
    project_id: int | None = None
    object_attributes: HookPipeline | None = None
    pipeline_id: int | None = None
    build_id: int | None = None
