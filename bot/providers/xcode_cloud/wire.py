"""What Apple sends (JSON:API documents), the states it knows, and how both read as ours.

Facts: Apple's OpenAPI document 4.4.1 and "Xcode Cloud webhook payload reference", checked 2026-11. Attributes are left
out rather than null, so every one is optional here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from bot.core.models import (
    Artifact,
    Build,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Outcome,
    Person,
    Status,
    TestCase,
    Trigger,
)
from bot.http.client import Reply
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.times import latest, parse_time
from bot.providers.base.wire import Wire

W = TypeVar("W", bound=Wire)

STATES: StateMap = {
    "PENDING": (Status.QUEUED, None),
    "RUNNING": (Status.IN_PROGRESS, None),
    "COMPLETE": (Status.COMPLETED, None),
    "SUCCEEDED": (Status.COMPLETED, Conclusion.PASSED),
    "FAILED": (Status.COMPLETED, Conclusion.FAILED),
    "ERRORED": (Status.COMPLETED, Conclusion.FAILED),
    "CANCELED": (Status.COMPLETED, Conclusion.CANCELLED),
    "SKIPPED": (Status.COMPLETED, Conclusion.SKIPPED),
}
"""`executionProgress` and, once that is COMPLETE, `completionStatus`."""

TRIGGERS: Mapping[str, Trigger] = {
    "GIT_REF_CHANGE": Trigger.PUSH,
    "PULL_REQUEST_OPEN": Trigger.MERGE_REQUEST,
    "PULL_REQUEST_UPDATE": Trigger.MERGE_REQUEST,
    "SCHEDULE": Trigger.CRON,
    "MANUAL": Trigger.WEB,
    "MANUAL_REBUILD": Trigger.WEB,
}

OUTCOMES: Mapping[str, Outcome] = {
    "SUCCESS": Outcome.PASSED,
    "EXPECTED_FAILURE": Outcome.PASSED,
    "FAILURE": Outcome.FAILED,
    "MIXED": Outcome.FAILED,
    "SKIPPED": Outcome.SKIPPED,
}

ISSUE_KINDS: Mapping[str, IssueKind] = {
    "ERROR": IssueKind.ERROR,
    "TEST_FAILURE": IssueKind.TEST_FAILURE,
    "ANALYZER_WARNING": IssueKind.ANALYZER_WARNING,
    "WARNING": IssueKind.WARNING,
}

APP_STORE_CONNECT = "https://appstoreconnect.apple.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An app or framework with Xcode Cloud. `app` is None for a framework, which has no page of its own."""

    id: str
    name: str
    app: str | None = None
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where people look: App Store Connect, or a stand-in's own pages. `team` is part of its addresses."""

    team: str | None
    root: str = APP_STORE_CONNECT

    @property
    def home(self) -> str:
        """Return Xcode Cloud's front page."""
        return f"{self.root}/xcode-cloud"

    def page(self, product: Product | None, run: str | None = None) -> str:
        """Return a product's page or that of one of its builds; the front page where parts are unknown."""
        if self.team is None or product is None or product.app is None:
            return self.home
        page = f"{self.root}/teams/{self.team}/apps/{product.app}/ci"
        return f"{page}/builds/{run}" if run else page


class Ident(Wire):
    """A resource's id."""

    id: str


class One(Wire):
    """A relation to one resource."""

    data: Ident | None = None


class Many(Wire):
    """A relation to several resources; without `data` it was not asked for."""

    data: tuple[Ident, ...] | None = None


class Relations(Wire, rename="camel"):
    """The relations we follow."""

    workflow: One | None = None
    product: One | None = None
    source_branch_or_tag: One | None = None
    pull_request: One | None = None
    app: One | None = None
    repository: One | None = None
    default_branch: One | None = None
    xcode_version: One | None = None
    mac_os_version: One | None = None
    mac_os_versions: Many | None = None
    primary_repositories: Many | None = None


class Resource(Wire, rename={"of_type": "type"}):
    """Any resource; its attributes are read when its type is known."""

    id: str
    of_type: str = ""
    attributes: msgspec.Raw = msgspec.Raw(b"{}")
    relationships: Relations | None = None

    def read(self, kind: type[W]) -> W:
        """Return the attributes. Raises UnexpectedResponse naming the field that does not fit."""
        return kind.of(self.attributes)

    def to(self, relation: str) -> str | None:
        """Return the id at the other end of a relation to one resource."""
        one: One | None = getattr(self.relationships, relation, None)
        return one.data.id if one is not None and one.data is not None else None

    def to_many(self, relation: str) -> tuple[str, ...] | None:
        """Return the ids at the other end of a relation to several, or None where it was not sent."""
        many: Many | None = getattr(self.relationships, relation, None)
        return None if many is None or many.data is None else tuple(ident.id for ident in many.data)


Around = Mapping[tuple[str, str], Resource]


class Document(Wire):
    """One resource and what came with it."""

    data: Resource
    included: tuple[Resource, ...] = ()

    @property
    def around(self) -> Around:
        """Return the included resources by type and id."""
        return around(self.included)


class Links(Wire):
    """Where a listing goes on."""

    next: str | None = None


class Paging(Wire):
    """How long a listing is."""

    total: int | None = None


class Meta(Wire):
    """What is said about a listing."""

    paging: Paging | None = None


class Listing(Wire):
    """One page of a listing and what came with it."""

    data: tuple[Resource, ...]
    included: tuple[Resource, ...] = ()
    links: Links | None = None
    meta: Meta | None = None

    @property
    def around(self) -> Around:
        """Return the included resources by type and id."""
        return around(self.included)


def around(included: Iterable[Resource]) -> Around:
    """Return resources by type and id."""
    return {(it.of_type, it.id): it for it in included}


def next_page(reply: Reply) -> str | None:
    """Return the next page as Apple names it; there is none on the last."""
    links = reply.decode(Listing).links
    return links.next if links is not None else None


class ProductAttributes(Wire, rename="camel"):
    """A ciProduct."""

    name: str | None = None


class WorkflowAttributes(Wire, rename="camel"):
    """A ciWorkflow."""

    name: str | None = None
    is_enabled: bool | None = None


class RepositoryAttributes(Wire, rename="camel"):
    """A scmRepository."""

    owner_name: str | None = None
    repository_name: str | None = None

    @property
    def path(self) -> str | None:
        """Return the repository as `owner/name`."""
        return "/".join(part for part in (self.owner_name, self.repository_name) if part) or None


class GitRefAttributes(Wire, rename="camel"):
    """A scmGitReference."""

    name: str | None = None
    canonical_name: str | None = None
    is_deleted: bool | None = None
    kind: str | None = None


class PullRequestAttributes(Wire, rename="camel"):
    """A scmPullRequest."""

    number: int | None = None
    title: str | None = None
    web_url: str | None = None
    source_repository_owner: str | None = None
    source_branch_name: str | None = None
    destination_branch_name: str | None = None
    is_closed: bool | None = None
    is_cross_repository: bool | None = None

    @property
    def branch(self) -> str | None:
        """Return the source branch; a fork's with its owner, so that a fork's `main` is not taken for ours."""
        if self.source_branch_name and self.is_cross_repository:
            return f"{self.source_repository_owner or 'fork'}:{self.source_branch_name}"
        return self.source_branch_name


class VersionAttributes(Wire, rename="camel"):
    """A ciXcodeVersion or a ciMacOsVersion."""

    version: str | None = None
    name: str | None = None


class Author(Wire, rename="camel"):
    """Who wrote a commit."""

    display_name: str | None = None


class Commit(Wire, rename="camel"):
    """A commit."""

    commit_sha: str | None = None
    message: str | None = None
    author: Author | None = None


class Counts(Wire, rename="camel"):
    """Issue counts of a run or an action."""

    errors: int | None = None
    warnings: int | None = None
    analyzer_warnings: int | None = None
    test_failures: int | None = None


class RunAttributes(Wire, rename="camel"):
    """A ciBuildRun: our build."""

    number: int | None = None
    created_date: str | None = None
    started_date: str | None = None
    finished_date: str | None = None
    source_commit: Commit | None = None
    is_pull_request_build: bool | None = None
    issue_counts: Counts | None = None
    execution_progress: str | None = None
    completion_status: str | None = None
    start_reason: str | None = None


class ActionAttributes(Wire, rename="camel"):
    """A ciBuildAction: our job."""

    name: str | None = None
    action_type: str | None = None
    started_date: str | None = None
    finished_date: str | None = None
    issue_counts: Counts | None = None
    execution_progress: str | None = None
    completion_status: str | None = None
    is_required_to_pass: bool | None = None


class Place(Wire, rename="camel"):
    """A place in a file."""

    path: str | None = None
    line_number: int | None = None


class IssueAttributes(Wire, rename="camel"):
    """A ciIssue."""

    issue_type: str | None = None
    message: str | None = None
    file_source: Place | None = None


class Destination(Wire, rename="camel"):
    """How a test ended on one device."""

    device_name: str | None = None
    os_version: str | None = None
    status: str | None = None
    duration: float | None = None

    @property
    def label(self) -> str:
        """Return the device with its system's version."""
        device = self.device_name or "a device"
        return f"{device} ({self.os_version})" if self.os_version else device


class TestAttributes(Wire, rename="camel"):
    """A ciTestResult."""

    __test__ = False

    class_name: str | None = None
    name: str | None = None
    status: str | None = None
    file_source: Place | None = None
    message: str | None = None
    destination_test_results: tuple[Destination, ...] | None = None


class ArtifactAttributes(Wire, rename="camel"):
    """A ciArtifact. `download_url` is signed: whoever has it has the file, so it never leaves this package."""

    file_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    download_url: str | None = None


class HookMetadata(Wire, rename="camel"):
    """What a webhook is about."""

    event_type: str | None = None


class HookMetadataResource(Wire):
    """A webhook's metadata."""

    attributes: HookMetadata | None = None


class Hook(Wire, rename="camel"):
    """A webhook's body. Its resources stand side by side, unlike the API's."""

    metadata: HookMetadataResource | None = None
    ci_build_run: Ident | None = None
    ci_workflow: Ident | None = None


class Fault(Wire):
    """One of an answer's errors."""

    code: str = ""
    detail: str | None = None
    title: str | None = None


class Faults(Wire):
    """An answer that refuses."""

    errors: tuple[Fault, ...] = ()


def state_of(
    progress: str | None, completion: str | None, *, finished: bool
) -> tuple[str | None, Status, Conclusion | None]:
    """Return Apple's word and ours: the progress while a run goes on, how it ended after that."""
    over = progress not in {"PENDING", "RUNNING"} and completion is not None
    raw = completion if over else progress
    status, conclusion = state_from(raw, STATES, finished=finished or over or progress == "COMPLETE")
    return raw, status, conclusion


def counts_of(it: Counts | None) -> IssueCounts:
    """Return issue counts; absent is unknown, not zero."""
    if it is None:
        return IssueCounts()
    return IssueCounts(
        errors=it.errors,
        warnings=it.warnings,
        analyzer_warnings=it.analyzer_warnings,
        test_failures=it.test_failures,
    )


def build_of(
    run: Resource,
    beside: Around,
    *,
    connection: str,
    pipeline: str,
    workflow: str | None,
    repository: str | None,
    product: Product | None,
    site: Site,
) -> Build:
    """Return a run as a build. `workflow`, `repository` and `product` fill in what did not come with it."""
    it = run.read(RunAttributes)
    raw, status, conclusion = state_of(
        it.execution_progress, it.completion_status, finished=it.finished_date is not None
    )
    own = beside.get(("ciWorkflows", run.to("workflow") or ""))
    name = (own.read(WorkflowAttributes).name if own is not None else None) or workflow
    source = beside.get(("scmGitReferences", run.to("source_branch_or_tag") or ""))
    ref = source.read(GitRefAttributes) if source is not None else GitRefAttributes()
    wanted = beside.get(("scmPullRequests", run.to("pull_request") or ""))
    request = wanted.read(PullRequestAttributes) if wanted is not None else PullRequestAttributes()
    commit = it.source_commit or Commit()
    author = commit.author.display_name if commit.author is not None else None
    created, started, finished = parse_time(it.created_date), parse_time(it.started_date), parse_time(it.finished_date)
    labels = [name, f"#{it.number}" if it.number is not None else None]
    return Build(
        connection=connection,
        pipeline=run.to("workflow") or pipeline,
        id=run.id,
        number=it.number,
        name=" ".join(label for label in labels if label) or None,
        workflow=name,
        repo=repository or (product.repositories[0] if product is not None and product.repositories else None),
        branch=request.branch or (None if ref.kind == "TAG" else ref.name),
        tag=ref.name if ref.kind == "TAG" else None,
        pull_request=str(request.number) if request.number is not None else None,
        target_branch=request.destination_branch_name,
        commit=commit.commit_sha.lower() if commit.commit_sha else None,
        message=commit.message,
        author=Person(name=author) if author else None,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        trigger=TRIGGERS.get(it.start_reason or "", Trigger.UNKNOWN),
        created_at=created,
        started_at=started,
        completed_at=finished,
        updated_at=latest(created, started, finished),
        web_url=site.page(product, run.id),
        issues=counts_of(it.issue_counts),
    )


def job_of(action: Resource, *, pipeline: str, build: str, web_url: str | None = None) -> Job:
    """Return an action as a job."""
    it = action.read(ActionAttributes)
    raw, status, conclusion = state_of(
        it.execution_progress, it.completion_status, finished=it.finished_date is not None
    )
    return Job(
        id=action.id,
        build=build,
        pipeline=pipeline,
        name=it.name or it.action_type or action.id,
        stage=it.action_type,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        tolerated=it.is_required_to_pass is False,
        reason="errored" if raw == "ERRORED" else None,
        issues=counts_of(it.issue_counts),
        started_at=parse_time(it.started_date),
        completed_at=parse_time(it.finished_date),
        web_url=web_url,
    )


def issue_of(issue: Resource, job: str) -> Issue:
    """Return an issue; one of a kind we don't know counts as a warning."""
    it = issue.read(IssueAttributes)
    place = it.file_source or Place()
    return Issue(
        kind=ISSUE_KINDS.get(it.issue_type or "", IssueKind.WARNING),
        message=it.message or it.issue_type or "An issue without words.",
        job=job,
        file=place.path,
        line=place.line_number,
    )


def test_of(result: Resource) -> TestCase:
    """Return a test; where it failed on some devices only, `detail` names those."""
    it = result.read(TestAttributes)
    outcome = OUTCOMES.get(it.status or "", Outcome.UNKNOWN)
    destinations = it.destination_test_results or ()
    failed = [where.label for where in destinations if OUTCOMES.get(where.status or "") is Outcome.FAILED]
    if it.status == "MIXED" and failed:
        detail: str | None = f"failed on {', '.join(failed)}"
    elif outcome is Outcome.UNKNOWN and it.status:
        detail = it.status
    else:
        detail = ", ".join(where.label for where in destinations) or None
    return TestCase(
        name=it.name or result.id,
        outcome=outcome,
        class_name=it.class_name,
        detail=detail,
        seconds=max((where.duration for where in destinations if where.duration is not None), default=None),
        message=it.message,
        file=it.file_source.path if it.file_source is not None else None,
    )


def artifact_of(artifact: Resource, job: Job) -> Artifact:
    """Return an artifact, without its signed address."""
    it = artifact.read(ArtifactAttributes)
    return Artifact(
        id=artifact.id,
        build=job.build,
        pipeline=job.pipeline,
        name=it.file_name or artifact.id,
        job=job.id,
        size_bytes=it.file_size,
        kind=it.file_type,
    )
