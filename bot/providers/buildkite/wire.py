"""Buildkite's objects as they come: only the fields that are read."""

import msgspec

from bot.providers.base.wire import Wire


class TokenUser(Wire):
    """Whose token it is."""

    name: str | None = None
    email: str | None = None


class Token(Wire):
    """GET /v2/access-token."""

    scopes: list[str]
    expires_at: str | None = None
    user: TokenUser | None = None


class PipelineWire(Wire):
    """A pipeline, whole or as it stands inside a build."""

    slug: str
    name: str | None = None
    default_branch: str | None = None
    repository: str | None = None
    web_url: str | None = None
    archived_at: str | None = None


class PersonWire(Wire):
    """A creator or an author."""

    name: str | None = None
    email: str | None = None


class PullRequest(Wire):
    """A build's pull request; an empty object where there is none."""

    id: str | int | None = None
    base: str | None = None
    repository: str | None = None


class Origin(Wire):
    """The build that a rebuild was made from, or that a trigger step belongs to."""

    id: str | None = None
    number: int | None = None
    build_number: int | None = None
    build_pipeline_slug: str | None = None


class JobCounts(Wire):
    """Only `GET build` has it; it counts all jobs, whatever the query says."""

    states: dict[str, int] = msgspec.field(default_factory=dict)


class Suite(Wire):
    """The test suite of a run."""

    slug: str | None = None


class Run(Wire):
    """A run of a test suite, as a build names it."""

    id: str | None = None
    suite: Suite | None = None


class Engine(Wire):
    """A build's test runs, where asked for."""

    runs: list[Run] | None = None


class BuildWire(Wire):
    """A build. `env` and `meta_data` may hold secrets: they are read for a rebuild only, and never shown."""

    number: int
    state: str
    id: str = ""
    url: str | None = None
    web_url: str | None = None
    blocked: bool | None = None
    message: str | None = None
    commit: str | None = None
    branch: str | None = None
    tag: str | None = None
    source: str | None = None
    creator: PersonWire | None = None
    author: PersonWire | str | None = None
    pull_request: PullRequest | None = None
    rebuilt_from: Origin | None = None
    triggered_from: Origin | None = None
    cancel_reason: str | None = None
    pipeline: PipelineWire | None = None
    job_state_counts: JobCounts | None = None
    test_engine: Engine | None = None
    env: dict[str, object] | None = None
    meta_data: dict[str, object] | None = None
    created_at: str | None = None
    scheduled_at: str | None = None
    started_at: str | None = None
    failing_at: str | None = None
    finished_at: str | None = None


class Retried(Wire):
    """What `retry_failed_jobs` adds to the build."""

    retried_jobs_count: int | None = None


class Agent(Wire):
    """The agent that took a job."""

    name: str | None = None
    hostname: str | None = None
    connection_state: str | None = None
    user_agent: str | None = None


class RetrySource(Wire):
    """The job that a job is another attempt of, and whether a person or a rule asked for that."""

    job_id: str | None = None
    retry_type: str | None = None


class JobWire(Wire):
    """A job: a script, a trigger, a manual step (approval) or a waiter."""

    id: str
    state: str | None = None
    type: str | None = None
    name: str | None = None
    label: str | None = None
    step_key: str | None = None
    group_key: str | None = None
    agent: Agent | None = None
    web_url: str | None = None
    soft_failed: bool | None = None
    retried: bool | None = None
    retried_in_job_id: str | None = None
    retries_count: int | None = None
    retry_source: RetrySource | None = None
    retry_type: str | None = None
    parallel_group_index: int | None = None
    parallel_group_total: int | None = None
    command: str | None = None
    artifact_paths: str | None = None
    agent_query_rules: list[str] | None = None
    cluster_queue_id: str | None = None
    matrix: object = None
    exit_status: int | None = None
    signal_reason: str | None = None
    broken_reason: str | None = None
    unblockable: bool | None = None
    build_url: str | None = None
    created_at: str | None = None
    scheduled_at: str | None = None
    runnable_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class JobLinks(Wire):
    """Where the job list goes on."""

    next: str | None = None


class JobPage(Wire):
    """A page of the job list, but for its items."""

    links: JobLinks | None = None


class ArtifactWire(Wire):
    """An artifact."""

    id: str
    job_id: str | None = None
    path: str | None = None
    filename: str | None = None
    state: str | None = None
    mime_type: str | None = None
    file_size: int | None = None


class Annotation(Wire):
    """A note on a build, without its body."""

    context: str | None = None
    style: str | None = None


class BuildTest(Wire):
    """A test of a build, with how often it ran and how that ended."""

    name: str | None = None
    scope: str | None = None
    location: str | None = None
    duration_avg: float | None = None
    executions_count_by_result: dict[str, int] | None = None


class FailedExecution(Wire):
    """One failed run of one test."""

    test_name: str | None = None
    failure_reason: str | None = None


class HookBuild(Wire):
    """A build as a webhook names it."""

    number: int
    url: str | None = None


class HookPipeline(Wire):
    """A pipeline as a webhook names it."""

    slug: str | None = None


class Hook(Wire):
    """A webhook's body."""

    event: str
    build: HookBuild | None = None
    pipeline: HookPipeline | None = None
