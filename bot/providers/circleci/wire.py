"""CircleCI's objects as they come: only the fields that are read. `V1…` are of API v1.1."""

import msgspec

from bot.providers.base.wire import Wire


class Me(Wire):
    """Whose token it is."""

    id: str
    login: str | None = None
    name: str | None = None


class Organization(Wire):
    """An organization that the token's owner belongs to."""

    slug: str | None = None


class VcsInfo(Wire):
    """Where a project's source is."""

    vcs_url: str | None = None
    default_branch: str | None = None


class Project(Wire):
    """A project: our pipeline."""

    slug: str
    id: str | None = None
    name: str | None = None
    organization_name: str | None = None
    vcs_info: VcsInfo | None = None


class V1Project(Wire):
    """A project that the token's owner follows."""

    vcs_type: str | None = None
    vcs_url: str | None = None
    username: str | None = None
    reponame: str | None = None
    default_branch: str | None = None


class Actor(Wire):
    """Who made a pipeline start."""

    login: str | None = None


class TriggerWire(Wire):
    """What made a pipeline start."""

    type: str | None = None
    actor: Actor | None = None
    received_at: str | None = None


class AuthorWire(Wire):
    """Who wrote a commit, where CircleCI reports it."""

    name: str | None = None
    email: str | None = None
    login: str | None = None


class CommitWire(Wire):
    """A commit's message and author."""

    subject: str | None = None
    body: str | None = None
    author: AuthorWire | None = None


class Vcs(Wire):
    """What was built; missing for projects of the GitHub App, GitLab and Bitbucket Data Center."""

    provider_name: str | None = None
    revision: str | None = None
    branch: str | None = None
    tag: str | None = None
    review_id: str | None = None
    review_url: str | None = None
    origin_repository_url: str | None = None
    target_repository_url: str | None = None
    commit: CommitWire | None = None


class GitParameters(Wire):
    """What was built, where `vcs` is missing. Empty texts stand for nothing."""

    branch: str | None = None
    tag: str | None = None
    ref: str | None = None
    checkout_sha: str | None = None
    checkout_url: str | None = None


class HostParameters(Wire):
    """The commit, as the GitHub App and GitLab report it."""

    commit_title: str | None = None
    commit_message: str | None = None
    commit_author_name: str | None = None
    commit_author_email: str | None = None


class EventParameters(Wire):
    """What happened at the repository's host."""

    event_type: str | None = None


class TriggerParameters(Wire):
    """What came with the event that started a pipeline."""

    git: GitParameters | None = None
    github_app: HostParameters | None = None
    gitlab: HostParameters | None = None
    circleci: EventParameters | None = None


class Fault(Wire):
    """Why a pipeline could not be set up."""

    type: str | None = None
    message: str | None = None


class PipelineWire(Wire):
    """A pipeline: our build, without its workflows."""

    id: str
    project_slug: str
    number: int | None = None
    state: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    errors: list[msgspec.Raw] | None = None
    trigger: TriggerWire | None = None
    vcs: Vcs | None = None
    trigger_parameters: TriggerParameters | None = None


class Started(Wire):
    """The answer to a start: the pipeline, or only words where none was started."""

    id: str | None = None
    number: int | None = None
    state: str | None = None
    created_at: str | None = None
    message: str | None = None


class Config(Wire):
    """A pipeline's configuration as it was in the repository."""

    source: str | None = None
    setup_config: str | None = msgspec.field(default=None, name="setup-config")


class Definition(Wire):
    """A pipeline definition of a project."""

    id: str
    name: str | None = None


class Workflow(Wire):
    """A run of a workflow in a pipeline; a rerun is a newer one of the same name."""

    id: str
    name: str | None = None
    status: str | None = None
    tag: str | None = None
    pipeline_id: str | None = None
    project_slug: str | None = None
    created_at: str | None = None
    stopped_at: str | None = None
    auto_rerun_number: int | None = None
    max_auto_reruns: int | None = None


class Accepted(Wire):
    """The answer to what acts: words, or the new workflow of a rerun."""

    message: str | None = None
    workflow_id: str | None = None


class JobWire(Wire):
    """A job of a workflow; approval jobs and jobs that have not started have no number."""

    id: str
    name: str | None = None
    type: str | None = None
    status: str | None = None
    job_number: int | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    approval_request_id: str | None = None


class JobProject(Wire):
    """The project of a job."""

    slug: str


class JobParent(Wire):
    """The pipeline or the workflow of a job."""

    id: str


class JobDetails(Wire):
    """A job by its number, with what it belongs to."""

    project: JobProject | None = None
    pipeline: JobParent | None = None
    latest_workflow: JobParent | None = None


class ArtifactWire(Wire):
    """A file of a job."""

    path: str
    url: str
    node_index: int | None = None


class TestWire(Wire):
    """A test of a job. `run_time` is in seconds."""

    name: str | None = None
    classname: str | None = None
    file: str | None = None
    result: str | None = None
    run_time: float | None = None
    message: str | None = None


class Branches(Wire):
    """The branches that ran."""

    branches: list[str] | None = None


class NextPage(Wire):
    """Where a listing goes on."""

    next_page_token: str | None = None


class V1Workflows(Wire):
    """Which workflow a job belongs to."""

    workflow_id: str | None = None


class V1Recent(Wire):
    """A job in the list of all projects' recent ones."""

    vcs_type: str | None = None
    vcs_url: str | None = None
    username: str | None = None
    reponame: str | None = None
    workflows: V1Workflows | None = None


class V1Action(Wire):
    """A step on one machine."""

    name: str | None = None
    index: int | None = None
    step: int | None = None
    status: str | None = None
    failed: bool | None = None
    has_output: bool | None = None
    output_url: str | None = None


class V1Step(Wire):
    """A step of a job, on all its machines."""

    actions: list[V1Action] | None = None


class V1Job(Wire):
    """A job with its steps."""

    steps: list[msgspec.Raw] | None = None


class Output(Wire):
    """A piece of a step's output."""

    message: str | None = None


class HookPipeline(Wire):
    """A pipeline as a webhook names it."""

    id: str


class HookProject(Wire):
    """A project as a webhook names it, in the long form."""

    slug: str


class Hook(Wire):
    """A webhook's body."""

    type: str
    id: str | None = None
    pipeline: HookPipeline | None = None
    project: HookProject | None = None
