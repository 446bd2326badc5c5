"""Travis's objects as it sends them; only the fields that are read.

Page: https://developer.travis-ci.com/, one section for each resource.
"""

from bot.providers.base.wire import Wire


class User(Wire):
    """A user: the token's owner, or who made a build."""

    login: str | None = None
    name: str | None = None
    vcs_type: str | None = None
    is_syncing: bool | None = None


class Named(Wire):
    """A branch, a tag or an author."""

    name: str | None = None


class Branch(Wire):
    """A branch as the list of branches has it."""

    name: str


class LastBuild(Wire):
    """A repository's newest build, in short."""

    id: int
    state: str | None = None
    finished_at: str | None = None


class Repository(Wire):
    """A repository, whole or in short."""

    id: int
    slug: str | None = None
    name: str | None = None
    active: bool | None = None
    vcs_type: str | None = None
    owner_name: str | None = None
    default_branch: Named | None = None
    last_started_build: LastBuild | None = None


class Commit(Wire):
    """A build's commit."""

    sha: str | None = None
    message: str | None = None
    author: Named | None = None
    committed_at: str | None = None
    compare_url: str | None = None
    ref: str | None = None


class Stage(Wire):
    """A stage of a build, in short."""

    name: str | None = None
    state: str | None = None


class Build(Wire):
    """A build. Lists leave out `repository` and `updated_at`."""

    id: int
    state: str
    number: str | int | None = None
    event_type: str | None = None
    pull_request_number: int | None = None
    pull_request_title: str | None = None
    previous_state: str | None = None
    duration: float | None = None
    private: bool | None = None
    priority: bool | None = None
    stages: list[Stage] | None = None
    repository: Repository | None = None
    branch: Named | None = None
    tag: Named | None = None
    commit: Commit | None = None
    created_by: User | None = None
    started_at: str | None = None
    finished_at: str | None = None
    updated_at: str | None = None


class Config(Wire):
    """A job's settings, of which only its name is read: the rest may hold addresses with keys in them."""

    name: object = None


class BuildName(Wire):
    """A build as its job or its request names it."""

    id: int


class Job(Wire):
    """A job of a build."""

    id: int
    state: str | None = None
    number: str | None = None
    allow_failure: bool | None = None
    config: Config | None = None
    stage: Named | None = None
    queue: str | None = None
    vm_size: str | None = None
    build: BuildName | None = None
    repository: Repository | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class LogPart(Wire):
    """A piece of the log of a running job, in the order of `number`."""

    content: str | None = None
    number: int | None = None


class RequestName(Wire):
    """The request as the answer to a start names it."""

    id: int


class Pending(Wire):
    """The answer to a start: it names a request, not a build."""

    request: RequestName


class Request(Wire):
    """A request to build, and the builds it made."""

    id: int
    state: str | None = None
    result: str | None = None
    message: str | None = None
    event_type: str | None = None
    branch_name: str | None = None
    commit: Commit | None = None
    builds: list[BuildName] | None = None
    created_at: str | None = None


class Message(Wire):
    """An error or warning about a request's settings."""

    level: str | None = None
    key: str | None = None
    code: str | None = None


class Refusal(Wire):
    """An error's body."""

    error_type: str | None = None
    max_requests: int | None = None


class PublicKey(Wire):
    """What webhooks are signed with."""

    public_key: str | None = None


class Notifications(Wire):
    """The settings of notifications."""

    webhook: PublicKey | None = None


class Settings(Wire):
    """The installation's settings."""

    notifications: Notifications | None = None


class Installation(Wire):
    """The answer to GET /config."""

    config: Settings | None = None


class WebhookRepository(Wire):
    """A repository as a webhook names it."""

    id: int
    owner_name: str | None = None


class Webhook(Wire):
    """A webhook's payload. `config` may hold addresses with keys in them and is not read."""

    id: int
    repository: WebhookRepository
