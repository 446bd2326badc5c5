"""GitHub's objects as they come: only the fields that are read, nearly all of them optional.

GitHub's own examples leave out fields that its schema requires, and old payloads lack newer ones.
"""

import msgspec

from bot.providers.base.wire import Wire


class User(Wire):
    """A user, a bot, or the owner of something."""

    login: str | None = None
    type: str | None = None
    name: str | None = None


class Repository(Wire):
    """A repository, whole or as it stands inside a run."""

    full_name: str
    name: str | None = None
    default_branch: str | None = None
    html_url: str | None = None
    archived: bool | None = None
    disabled: bool | None = None


class Workflow(Wire):
    """A workflow: one file of a repository."""

    id: int
    name: str | None = None
    path: str | None = None
    state: str | None = None
    html_url: str | None = None


class GitPerson(Wire):
    """Who wrote a commit."""

    name: str | None = None
    email: str | None = None


class Commit(Wire):
    """The commit of a run."""

    message: str | None = None
    author: GitPerson | None = None
    committer: GitPerson | None = None
    timestamp: str | None = None


class CommitWire(Wire):
    """A commit of a comparison."""

    sha: str
    commit: Commit | None = None
    html_url: str | None = None


class Comparison(Wire):
    """What lies between two commits, oldest first."""

    commits: tuple[msgspec.Raw, ...] = ()


class Base(Wire):
    """Where a pull request goes."""

    ref: str | None = None


class PullRequest(Wire):
    """An open pull request with the same head as a run: no proof of what triggered it."""

    number: int | None = None
    base: Base | None = None


class HeadRepository(Wire):
    """The repository of a run's head: a fork's for a fork's pull request, null once the fork is deleted."""

    full_name: str | None = None


class ReferencedWorkflow(Wire):
    """A workflow of another file, or repository, that a run calls."""

    path: str | None = None
    sha: str | None = None


class Run(Wire):
    """A run of a workflow; `run_started_at` begins anew with each attempt, `updated_at` moves after the end, too."""

    id: int
    name: str | None = None
    display_title: str | None = None
    workflow_id: int | None = None
    path: str | None = None
    run_number: int | None = None
    run_attempt: int | None = None
    event: str | None = None
    status: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    head_sha: str | None = None
    head_commit: Commit | None = None
    pull_requests: list[PullRequest] | None = None
    check_suite_id: int | None = None
    repository: Repository | None = None
    head_repository: HeadRepository | None = None
    referenced_workflows: list[ReferencedWorkflow] | None = None
    actor: User | None = None
    triggering_actor: User | None = None
    created_at: str | None = None
    run_started_at: str | None = None
    updated_at: str | None = None
    html_url: str | None = None


class Started(Wire):
    """What a dispatch answers: which run it made."""

    workflow_run_id: int
    html_url: str | None = None


class Step(Wire):
    """A step of a job."""

    name: str | None = None
    conclusion: str | None = None


class JobWire(Wire):
    """A job. Its id is also its check run's."""

    id: int
    run_id: int | None = None
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    steps: list[Step] | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    html_url: str | None = None
    runner_name: str | None = None
    runner_group_name: str | None = None
    labels: list[str] | None = None
    run_attempt: int | None = None


class Output(Wire):
    """What a check run says, but for its text."""

    annotations_count: int | None = None


class CheckRun(Wire):
    """A check run: what a job looks like to the Checks API."""

    id: int
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    html_url: str | None = None
    details_url: str | None = None
    output: Output | None = None


class Annotation(Wire):
    """A note on a line of a file, or on `.github` for the run as such."""

    annotation_level: str | None = None
    path: str | None = None
    start_line: int | None = None
    title: str | None = None
    message: str | None = None


class ArtifactWire(Wire):
    """A file that a run left, always a zip."""

    id: int
    name: str | None = None
    size_in_bytes: int | None = None
    expired: bool | None = None


class Environment(Wire):
    """A place that is deployed to."""

    id: int
    name: str | None = None


class UserOrTeam(Wire):
    """A user or a team that may review."""

    login: str | None = None
    name: str | None = None
    slug: str | None = None


class Reviewer(Wire):
    """Who may let a deployment go on."""

    type: str | None = None
    reviewer: UserOrTeam | None = None


class Pending(Wire):
    """A deployment that waits: for a reviewer, for time to pass, or for another App's rule."""

    environment: Environment
    wait_timer: int | None = None
    wait_timer_started_at: str | None = None
    current_user_can_approve: bool | None = None
    reviewers: list[Reviewer] | None = None


class Named(Wire):
    """A branch or a tag."""

    name: str


class GitRef(Wire):
    """A ref by its whole name, `refs/heads/main`."""

    ref: str


class App(Wire):
    """The GitHub App itself."""

    slug: str | None = None
    name: str | None = None


class Installation(Wire):
    """An App's installation at an owner."""

    account: User | None = None
    permissions: dict[str, str] | None = None
    suspended_at: str | None = None


class InstallationToken(Wire):
    """A token of an installation."""

    token: str
    expires_at: str | None = None


class WebhookRun(Wire):
    """A run as a webhook names it."""

    id: int
    workflow_id: int | None = None


class WebhookJob(Wire):
    """A job as a webhook names it."""

    run_id: int
    status: str | None = None


class WebhookBody(Wire):
    """A webhook's body."""

    repository: Repository | None = None
    workflow_run: WebhookRun | None = None
    workflow_job: WebhookJob | None = None
