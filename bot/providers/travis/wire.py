"""Travis's objects as they come: only the fields that are read."""

from bot.providers.base.wire import Wire


class User(Wire):
    """A user: the token's, or who made a build."""

    login: str | None = None
    name: str | None = None
    vcs_type: str | None = None
    is_syncing: bool | None = None


class Owner(Wire):
    """Whose a repository is."""

    login: str | None = None


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


class Build(Wire):
    """A build; a list leaves out its repository and when it last changed."""

    id: int
    state: str
    number: str | int | None = None
    event_type: str | None = None
    pull_request_number: int | None = None
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
    """A build as its job names it."""

    id: int


class Job(Wire):
    """A job of a build."""

    id: int
    state: str | None = None
    number: str | None = None
    allow_failure: bool | None = None
    config: Config | None = None
    stage: Named | None = None
    repository: Repository | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class LogPart(Wire):
    """A piece of a log that is being written."""

    content: str | None = None
    number: int | None = None


class Asked(Wire):
    """The request as the answer to a start names it."""

    id: int


class Pending(Wire):
    """The answer to a start: a request, not a build."""

    request: Asked


class Started(Wire):
    """A build that a request made."""

    id: int


class Request(Wire):
    """A request to build, and what came of it."""

    id: int
    state: str | None = None
    result: str | None = None
    message: str | None = None
    event_type: str | None = None
    branch_name: str | None = None
    commit: Commit | None = None
    builds: list[Started] | None = None
    created_at: str | None = None


class Message(Wire):
    """What Travis has to say about a request's settings."""

    level: str | None = None
    key: str | None = None
    code: str | None = None


class Fault(Wire):
    """A refusal."""

    error_type: str | None = None
    max_requests: int | None = None


class PublicKey(Wire):
    """What webhooks are signed with."""

    public_key: str | None = None


class Notifications(Wire):
    """How Travis tells."""

    webhook: PublicKey | None = None


class Settings(Wire):
    """The installation's settings."""

    notifications: Notifications | None = None


class Installation(Wire):
    """GET /config."""

    config: Settings | None = None


class HookRepository(Wire):
    """A repository as a webhook names it."""

    id: int
    owner_name: str | None = None


class Hook(Wire):
    """A webhook's payload; `config` may hold addresses with keys in them and is not read."""

    id: int
    repository: HookRepository
