"""The definition of a workflow as people see and change it, and what it can choose from. Pure data.

Values of a CI system's own vocabulary (a platform, a destination) stay in its words, so that an unknown one survives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ActionKind(StrEnum):
    """The kinds of actions a workflow performs."""

    BUILD = "BUILD"
    ANALYZE = "ANALYZE"
    TEST = "TEST"
    ARCHIVE = "ARCHIVE"


class Platform(StrEnum):
    """The platforms an action builds for."""

    IOS = "IOS"
    MACOS = "MACOS"
    TVOS = "TVOS"
    WATCHOS = "WATCHOS"
    VISIONOS = "VISIONOS"


class ConditionKind(StrEnum):
    """What can start a workflow; the value is the name of its setting."""

    BRANCH = "branch"
    TAG = "tag"
    PULL_REQUEST = "pull_request"
    SCHEDULE = "schedule"
    MANUAL_BRANCH = "manual_branch"
    MANUAL_TAG = "manual_tag"
    MANUAL_PULL_REQUEST = "manual_pull_request"

    @property
    def has_target(self) -> bool:
        """Whether the condition names two branches: a pull request's source and destination."""
        return self in {ConditionKind.PULL_REQUEST, ConditionKind.MANUAL_PULL_REQUEST}

    @property
    def follows_changes(self) -> bool:
        """Whether changed files and the cancelling of older builds belong to the condition."""
        return self in {ConditionKind.BRANCH, ConditionKind.TAG, ConditionKind.PULL_REQUEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Names of branches or tags; one that ends with `*` stands for every name that begins so. Without any: all names."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMatcher:
    """Files: those of a folder, of a name, of an extension, or of several of these at once."""

    directory: str = ""
    name: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesRule:
    """Which changed files matter: a build starts where one of them changed, or (`is_exclusion`) where any other did."""

    is_exclusion: bool
    matchers: tuple[FileMatcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When a schedule starts builds. `frequency` is HOURLY, DAILY or WEEKLY; `days` count for WEEKLY only (`MONDAY`)."""

    frequency: str
    days: tuple[str, ...] = ()
    hour: int = 0
    minute: int = 0
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCondition:
    """One start condition; `target` belongs to pull requests, `timetable` to schedules."""

    source: Patterns = field(default_factory=Patterns)
    target: Patterns = field(default_factory=Patterns)
    files: FilesRule | None = None
    cancels: bool | None = None
    timetable: Timetable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowAction:
    """One action. Tests have a plan (None: the scheme's settings) and devices, the others a destination.

    `devices` are labels such as `iPhone 17 (iOS 26.1)`. `audience` says for whom an archive is (`APP_STORE_ELIGIBLE`).
    """

    kind: str
    name: str
    platform: str | None = None
    scheme: str | None = None
    destination: str | None = None
    plan: str | None = None
    devices: tuple[str, ...] = ()
    audience: str | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDefinition:
    """Everything that makes a workflow. Versions, product and repository by the names people know.

    `origin` is what the provider needs to change the workflow it read; nobody else reads it.
    """

    name: str
    product: str = ""
    repository: str = ""
    description: str = ""
    enabled: bool = True
    locked: bool = False
    clean: bool = False
    container: str = ""
    xcode: str = ""
    macos: str = ""
    conditions: Mapping[ConditionKind, StartCondition] = field(default_factory=dict)
    actions: tuple[WorkflowAction, ...] = ()
    modified_at: datetime | None = None
    web_url: str | None = None
    origin: object = field(default=None, compare=False, repr=False)

    @property
    def revision(self) -> str:
        """Return what changes whenever somebody changes the workflow; "" where the provider does not tell."""
        return self.modified_at.isoformat() if self.modified_at is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """What a workflow can choose from, newest first: Xcode and macOS versions, test devices, products, repositories."""

    xcodes: tuple[str, ...] = ()
    macoses: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An app or framework that is built. `workflows` are their names, None where they were not read."""

    id: str
    name: str
    kind: str = ""
    created_at: datetime | None = None
    app: str | None = None
    bundle_id: str | None = None
    repositories: tuple[str, ...] = ()
    additional_repositories: tuple[str, ...] = ()
    workflows: tuple[str, ...] | None = None
    web_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProvider:
    """Where repositories are kept: `kind` is the system's word (`GITHUB_CLOUD`), `name` how it is shown."""

    id: str
    name: str
    kind: str = ""
    url: str | None = None
    is_on_premise: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRepository:
    """A repository that the CI system can read. `path` is `owner/name`, `provider` the name of where it is kept."""

    id: str
    path: str
    default_branch: str | None = None
    provider: str | None = None
    http_url: str | None = None
    ssh_url: str | None = None
    accessed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitReference:
    """A branch or a tag; `canonical_name` is `refs/heads/main`. `kind` is `branch` or `tag`."""

    name: str
    canonical_name: str
    kind: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request with its two branches; a fork's branch has its owner before it."""

    number: int
    title: str = ""
    source: str = ""
    target: str = ""
    is_closed: bool = False
    from_fork: bool | None = None
    web_url: str | None = None


class UploadState(StrEnum):
    """How far an uploaded build has come."""

    PROCESSING = "processing"
    FAILED = "failed"
    INVALID = "invalid"
    VALID = "ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An app that a build handed to TestFlight or the App Store.

    `number` is the build's number in the store, `version` the marketing version where it is known.
    """

    id: str
    number: str
    version: str | None = None
    platform: str | None = None
    state: UploadState = UploadState.UNKNOWN
    is_internal: bool = False
    is_expired: bool = False

    @property
    def words(self) -> str:
        """Return the upload as people speak of it, after the store's name: `build 42 (2.1.0), processing`."""
        version = f" ({self.version})" if self.version else ""
        internal = ", internal testing only" if self.is_internal else ""
        state = "expired" if self.is_expired else self.state.value
        shown = "" if state == UploadState.UNKNOWN.value else f", {state}"
        return f"build {self.number}{version}{internal}{shown}"


def upload_details(uploads: Iterable[Upload]) -> dict[str, str]:
    """Return uploads as details of their build, under the store's name."""
    return {"TestFlight": "; ".join(upload.words for upload in uploads)}
