"""Azure DevOps' objects as they come: only the fields that are read. Unset objects arrive as null."""

import msgspec

from bot.providers.base.wire import Wire


class Camel(Wire, rename="camel"):
    """An object whose names are camelCase on the wire."""


class Link(Camel):
    """An address in `_links`."""

    href: str | None = None


class Links(Camel):
    """`_links` of a build, a run or a definition."""

    web: Link | None = None
    pipeline: Link | None = None
    pipeline_web: Link | None = msgspec.field(name="pipeline.web", default=None)


class Identity(Camel):
    """A person, a group or a service."""

    id: str | None = None
    display_name: str | None = None
    unique_name: str | None = None
    descriptor: str | None = None


class AuthenticatedUser(Camel):
    """Whose credentials they are."""

    id: str | None = None
    provider_display_name: str | None = None
    custom_display_name: str | None = None


class ConnectionData(Camel):
    """GET _apis/connectionData."""

    authenticated_user: AuthenticatedUser


class Project(Camel):
    """A project."""

    id: str
    name: str | None = None


class ProjectRef(Camel):
    """A project as other objects name it."""

    id: str | None = None
    name: str | None = None


class Repository(Camel):
    """A definition's or a build's repository; GitHub's id is `owner/name`."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    default_branch: str | None = None
    properties: dict[str, object] | None = None


class Process(Camel):
    """How a definition is written: 1 by its designer (classic), 2 in YAML."""

    type: int | None = None


class Variable(Camel):
    """A definition's variable; `allow_override` says that a build may be given another value."""

    value: str | None = None
    is_secret: bool | None = None
    allow_override: bool | None = None


class Definition(Camel):
    """A definition, which is a pipeline; inside a build only its first fields."""

    id: int
    name: str | None = None
    path: str | None = None
    queue_status: str | None = None
    project: ProjectRef | None = None
    repository: Repository | None = None
    process: Process | None = None
    variables: dict[str, Variable | None] | None = None
    links: Links | None = msgspec.field(name="_links", default=None)

    @property
    def is_classic(self) -> bool:
        """Whether its builds are queued with the Build API."""
        return self.process is not None and self.process.type == 1

    @property
    def settable(self) -> frozenset[str]:
        """Return the names, in lower case, of the variables that a build may be given."""
        return frozenset(
            name.lower() for name, variable in (self.variables or {}).items() if variable and variable.allow_override
        )


class Validation(Camel):
    """What the service found in a build request."""

    result: str | None = None
    message: str | None = None


class AgentPool(Camel):
    """Where agents come from."""

    name: str | None = None
    is_hosted: bool | None = None


class AgentQueue(Camel):
    """The queue a build waits in, and the pool behind it."""

    name: str | None = None
    pool: AgentPool | None = None


class TriggeringBuild(Camel):
    """The build whose end started another."""

    id: int | None = None
    build_number: str | None = None
    definition: Definition | None = None


class BuildWire(Camel):
    """A build.

    `parameters` is JSON in a string: the variables that a person gave, which are read for a rebuild only, and for a
    pull request what the service says of it.
    """

    id: int
    status: str | None = None
    result: str | None = None
    build_number: str | None = None
    reason: str | None = None
    queue_time: str | None = None
    start_time: str | None = None
    finish_time: str | None = None
    last_changed_date: str | None = None
    source_branch: str | None = None
    source_version: str | None = None
    definition: Definition | None = None
    project: ProjectRef | None = None
    repository: Repository | None = None
    requested_for: Identity | None = None
    requested_by: Identity | None = None
    last_changed_by: Identity | None = None
    tags: list[str] | None = None
    queue: AgentQueue | None = None
    priority: str | None = None
    retained_by_release: bool | None = None
    keep_forever: bool | None = None
    deleted: bool | None = None
    triggered_by_build: TriggeringBuild | None = None
    trigger_info: dict[str, object] | None = None
    parameters: str | None = None
    template_parameters: dict[str, object] | None = None
    validation_results: list[Validation] | None = None
    links: Links | None = msgspec.field(name="_links", default=None)


class ChangeWire(Camel):
    """A commit that is new in a build."""

    id: str | None = None
    message: str | None = None
    author: Identity | None = None
    display_uri: str | None = None


class Run(Camel):
    """What the Pipelines API answers to a start; its id is the build's."""

    id: int


class IssueWire(Camel):
    """An issue of a timeline's record."""

    type: str | None = None
    category: str | None = None
    message: str | None = None
    data: dict[str, object] | None = None


class LogRef(Camel):
    """Where a record's log is."""

    id: int | None = None


class EarlierTry(Camel):
    """An attempt of a part of a build that a later one replaced, and the timeline that holds it."""

    attempt: int | None = None
    timeline_id: str | None = None
    record_id: str | None = None


class Record(Camel):
    """A part of a build: Stage, Phase, Job, Task, Checkpoint or one of a checkpoint's checks."""

    id: str
    parent_id: str | None = None
    type: str | None = None
    name: str | None = None
    identifier: str | None = None
    order: int | None = None
    state: str | None = None
    result: str | None = None
    start_time: str | None = None
    finish_time: str | None = None
    error_count: int | None = None
    warning_count: int | None = None
    issues: list[IssueWire] | None = None
    log: LogRef | None = None
    worker_name: str | None = None
    attempt: int | None = None
    previous_attempts: list[EarlierTry] | None = None


class Timeline(Camel):
    """GET …/timeline; its records are read one by one."""

    records: list[msgspec.Raw] | None = None


class ArtifactResource(Camel):
    """Where an artifact lies."""

    type: str | None = None
    download_url: str | None = None
    properties: dict[str, object] | None = None


class ArtifactWire(Camel):
    """An artifact; `source` is the record of the job that made it."""

    name: str
    id: int | None = None
    source: str | None = None
    resource: ArtifactResource | None = None


class SignedContent(Camel):
    """An address that needs no token for a while."""

    url: str | None = None


class SignedArtifact(Camel):
    """A pipeline artifact with its signed address."""

    signed_content: SignedContent | None = None


class RunStatistic(Camel):
    """How many tests of a run ended in one way."""

    outcome: str | None = None
    count: int | None = None


class TestRun(Camel):
    """A published run of tests."""

    id: int
    name: str | None = None
    total_tests: int | None = None
    run_statistics: list[RunStatistic] | None = None


class OutcomeCount(Camel):
    """How many tests of a build ended in one way."""

    count: int | None = None


class ResultsAnalysis(Camel):
    """All tests of a build, counted."""

    total_tests: int | None = None
    results_by_outcome: dict[str, OutcomeCount] | None = None


class TestSummary(Camel):
    """GET …/resultsummarybybuild."""

    aggregated_results_analysis: ResultsAnalysis | None = None


class TestResult(Camel):
    """One test of a run."""

    id: int
    test_case_title: str | None = None
    automated_test_name: str | None = None
    automated_test_storage: str | None = None
    outcome: str | None = None
    duration_in_ms: float | None = None
    error_message: str | None = None


class GitRef(Camel):
    """A branch or a tag of Azure Repos, by its full name."""

    name: str


class ApprovalStep(Camel):
    """One approver's part of an approval."""

    assigned_approver: Identity | None = None
    status: str | None = None


class Owner(Camel):
    """The run an approval belongs to."""

    id: int


class ApprovalPipeline(Camel):
    """The pipeline an approval belongs to; not every version reports it."""

    owner: Owner | None = None


class Approval(Camel):
    """An approval, decided or not."""

    id: str
    status: str | None = None
    instructions: str | None = None
    steps: list[ApprovalStep] | None = None
    pipeline: ApprovalPipeline | None = None


class HookMessage(Camel):
    """A service hook's message; its links name the build."""

    text: str | None = None
    html: str | None = None
    markdown: str | None = None


class HookDefinition(Camel):
    """A pipeline as a service hook names it: by number, or by number in a text."""

    id: int | str | None = None


class HookPart(Camel):
    """A run, a stage or a job inside a service hook."""

    id: int | str | None = None
    links: Links | None = msgspec.field(name="_links", default=None)


class HookResource(Camel):
    """What a service hook is about; how much of it comes is the subscription's choice."""

    id: int | str | None = None
    run_id: int | None = None
    project_id: str | None = None
    project: ProjectRef | None = None
    definition: HookDefinition | None = None
    pipeline: HookDefinition | None = None
    run: HookPart | None = None
    stage: HookPart | None = None
    job: HookPart | None = None


class HookContainers(Camel):
    """Where a service hook comes from."""

    project: ProjectRef | None = None


class Hook(Camel):
    """A service hook's body."""

    event_type: str
    id: str | None = None
    message: HookMessage | None = None
    resource: HookResource | None = None
    resource_containers: HookContainers | None = None


class EntraToken(Wire):
    """What Entra answers to client credentials."""

    access_token: str
    expires_in: int | None = None
