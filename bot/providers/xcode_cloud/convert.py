"""Apple's resources as our models: pure. The dataclasses are what `client` remembers of an account.

Facts: Apple's OpenAPI document 4.4.1, checked 2026-11. A run has no field for who started it, and no attempts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    Pipeline,
    Ref,
    RefKind,
    Status,
    TestCase,
    Trigger,
)
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.times import latest, parse_time
from bot.providers.xcode_cloud.details import run_details
from bot.providers.xcode_cloud.urls import Site
from bot.providers.xcode_cloud.wire import (
    ActionAttributes,
    ArtifactAttributes,
    Commit,
    Counts,
    FileSource,
    GitRefAttributes,
    Included,
    IssueAttributes,
    ProductAttributes,
    PullRequestAttributes,
    RepositoryAttributes,
    Resource,
    RunAttributes,
    TestAttributes,
    WorkflowAttributes,
    attributes_of,
)

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

PULL_REQUEST_REASONS = frozenset({"PULL_REQUEST_OPEN", "PULL_REQUEST_UPDATE"})

CANCEL_REASONS: Mapping[str, str] = {
    "AUTOMATICALLY_BY_NEWER_BUILD": "cancelled by a newer build",
    "MANUALLY_BY_USER": "cancelled by a person",
}

ERRORED = "ERRORED"
"""The end of a run that could not be carried out (set-up, Apple's service), unlike FAILED, whose actions failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """An app or framework with Xcode Cloud. `app` is None for a framework."""

    id: str
    name: str
    app: str | None = None
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that Xcode Cloud can read. `path` is `owner/name`; the default branch may be unknown."""

    id: str
    path: str | None
    default_branch: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow: our pipeline."""

    id: str
    name: str
    product: Product
    repository: Repository | None
    enabled: bool

    @property
    def path(self) -> str:
        """Return `product/workflow`, the name that people type."""
        return f"{self.product.name}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A branch, a tag or a pull request that can be built, with the relation, type and id that a start sends for it.

    `branch` and `target` are a pull request's branches.
    """

    id: str
    ref: Ref
    relation: str
    type: str
    canonical_name: str | None = None
    branch: str | None = None
    target: str | None = None
    from_fork: bool | None = None


def product(resource: Resource, included: Included) -> Product:
    """Return a ciProduct."""
    repositories = (
        attributes_of(included, "scmRepositories", repository, RepositoryAttributes)
        for repository in resource.to_many("primary_repositories") or ()
    )
    return Product(
        id=resource.id,
        name=resource.read(ProductAttributes).name or resource.id,
        app=resource.to("app"),
        repositories=tuple(it.path for it in repositories if it is not None and it.path),
    )


def repository(resource: Resource, included: Included) -> Repository:
    """Return a scmRepository."""
    branch = attributes_of(included, "scmGitReferences", resource.to("default_branch"), GitRefAttributes)
    return Repository(
        id=resource.id,
        path=resource.read(RepositoryAttributes).path,
        default_branch=branch.name if branch is not None else None,
    )


def workflow(
    resource: Resource, included: Included, product: Product, repositories: Mapping[str, Repository]
) -> Workflow:
    """Return a ciWorkflow of a product. Its repository's default branch is known only from `repositories`."""
    attributes = resource.read(WorkflowAttributes)
    id_ = resource.to("repository")
    repository = repositories.get(id_ or "")
    if repository is None and id_ is not None:
        sent = attributes_of(included, "scmRepositories", id_, RepositoryAttributes)
        repository = Repository(id=id_, path=sent.path if sent is not None else None, default_branch=None)
    return Workflow(
        id=resource.id,
        name=attributes.name or resource.id,
        product=product,
        repository=repository,
        enabled=attributes.is_enabled is not False,
    )


def pipeline(workflow: Workflow, site: Site) -> Pipeline:
    """Return a workflow as a pipeline."""
    repository = workflow.repository
    return Pipeline(
        id=workflow.id,
        path=workflow.path,
        name=workflow.name,
        group=workflow.product.name,
        default_branch=repository.default_branch if repository is not None else None,
        repository=repository.path if repository is not None else None,
        web_url=site.page(workflow.product.app),
        enabled=workflow.enabled,
    )


def branch_or_tag(resource: Resource) -> Source | None:
    """Return a scmGitReference that can be built; None for a deleted one and for what is neither branch nor tag."""
    attributes = resource.read(GitRefAttributes)
    kind = {"BRANCH": RefKind.BRANCH, "TAG": RefKind.TAG}.get(attributes.kind or "")
    if attributes.is_deleted or not attributes.name or kind is None:
        return None
    return Source(
        id=resource.id,
        ref=Ref(kind=kind, name=attributes.name),
        relation="sourceBranchOrTag",
        type="scmGitReferences",
        canonical_name=attributes.canonical_name,
    )


def pull_request(resource: Resource) -> Source | None:
    """Return an open scmPullRequest; None for a closed one."""
    attributes = resource.read(PullRequestAttributes)
    if attributes.is_closed or attributes.number is None:
        return None
    return Source(
        id=resource.id,
        ref=Ref(kind=RefKind.PULL_REQUEST, name=str(attributes.number), title=attributes.title),
        relation="pullRequest",
        type="scmPullRequests",
        branch=attributes.branch,
        target=attributes.destination_branch_name,
        from_fork=attributes.is_from_fork,
    )


def state(
    progress: str | None, completion: str | None, *, finished: bool
) -> tuple[str | None, Status, Conclusion | None]:
    """Return Apple's word and ours: the progress while a run goes on, how it ended after that."""
    over = progress not in {"PENDING", "RUNNING"} and completion is not None
    raw = completion if over else progress
    status, conclusion = state_from(raw, STATES, finished=finished or over or progress == "COMPLETE")
    return raw, status, conclusion


def counts(sent: Counts | None) -> IssueCounts:
    """Return issue counts; absent is unknown, not zero."""
    if sent is None:
        return IssueCounts()
    return IssueCounts(
        errors=sent.errors,
        warnings=sent.warnings,
        analyzer_warnings=sent.analyzer_warnings,
        test_failures=sent.test_failures,
    )


def build(
    run: Resource,
    included: Included,
    *,
    connection: str,
    pipeline: str,
    workflow: Workflow | None,
    product: Product | None,
    site: Site,
) -> Build:
    """Return a run as a build of the workflow that Apple names; `pipeline` serves where Apple names none.

    `workflow` and `product` are the run's own, as far as they are known, for what did not come with the run.
    """
    attributes = run.read(RunAttributes)
    raw, status, conclusion = state(
        attributes.execution_progress, attributes.completion_status, finished=attributes.finished_date is not None
    )
    product = product or (workflow.product if workflow is not None else None)
    own = attributes_of(included, "ciWorkflows", run.to("workflow"), WorkflowAttributes)
    name = (own.name if own is not None else None) or (workflow.name if workflow is not None else None)
    repository = workflow.repository.path if workflow is not None and workflow.repository is not None else None
    commit = attributes.source_commit or Commit()
    author = commit.author.display_name if commit.author is not None else None
    created, started, finished = (
        parse_time(time) for time in (attributes.created_date, attributes.started_date, attributes.finished_date)
    )
    labels = [name, f"#{attributes.number}" if attributes.number is not None else None]
    source = _source_of(run, attributes, included)
    return Build(
        connection=connection,
        pipeline=run.to("workflow") or pipeline,
        id=run.id,
        number=attributes.number,
        name=" ".join(label for label in labels if label) or None,
        workflow=name,
        repo=repository or (product.repositories[0] if product is not None and product.repositories else None),
        branch=source.branch,
        tag=source.tag,
        pull_request=source.pull_request,
        target_branch=source.target_branch,
        from_fork=source.from_fork,
        commit=attributes.sha,
        head_commit=attributes.sha if source.pull_request else None,
        message=commit.message,
        author=Person(name=author) if author else None,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        reason=_reason(raw, attributes.cancel_reason),
        trigger=TRIGGERS.get(attributes.start_reason or "", Trigger.UNKNOWN),
        created_at=created,
        started_at=started,
        completed_at=finished,
        updated_at=latest(created, started, finished),
        web_url=site.page(product.app if product is not None else None, run.id),
        issues=counts(attributes.issue_counts),
        details=run_details(attributes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunSource:
    """What a run built. A pull request that Apple no longer describes leaves all but its target unknown."""

    branch: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    target_branch: str | None = None
    from_fork: bool | None = None


def _source_of(run: Resource, attributes: RunAttributes, included: Included) -> _RunSource:
    """Return a run's source. A pull request's run names no branch of the repository, whatever its branch is called."""
    request_id = run.to("pull_request")
    request = attributes_of(included, "scmPullRequests", request_id, PullRequestAttributes)
    is_request = (
        attributes.is_pull_request_build is True
        or request_id is not None
        or attributes.start_reason in PULL_REQUEST_REASONS
    )
    if not is_request:
        ref = attributes_of(included, "scmGitReferences", run.to("source_branch_or_tag"), GitRefAttributes)
        if ref is None:
            return _RunSource()
        return _RunSource(tag=ref.name) if ref.kind == "TAG" else _RunSource(branch=ref.name)
    target = attributes_of(included, "scmGitReferences", run.to("destination_branch"), GitRefAttributes)
    target_branch = target.name if target is not None else None
    if request is None or request.number is None:
        return _RunSource(target_branch=target_branch)
    return _RunSource(
        branch=request.branch,
        pull_request=str(request.number),
        target_branch=request.destination_branch_name or target_branch,
        from_fork=request.is_from_fork,
    )


def _reason(raw: str | None, cancel_reason: str | None) -> str | None:
    """Return what Apple's word says beyond our conclusion."""
    if raw == ERRORED:
        return "errored"
    return CANCEL_REASONS.get(cancel_reason or "") if raw == "CANCELED" else None


def job(action: Resource, *, pipeline: str, build: str, web_url: str | None = None) -> Job:
    """Return an action as a job."""
    attributes = action.read(ActionAttributes)
    raw, status, conclusion = state(
        attributes.execution_progress, attributes.completion_status, finished=attributes.finished_date is not None
    )
    return Job(
        id=action.id,
        build=build,
        pipeline=pipeline,
        name=attributes.name or attributes.action_type or action.id,
        stage=attributes.action_type,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        tolerated=attributes.is_required_to_pass is False,
        reason=_reason(raw, None),
        issues=counts(attributes.issue_counts),
        started_at=parse_time(attributes.started_date),
        completed_at=parse_time(attributes.finished_date),
        web_url=web_url,
    )


def issue(resource: Resource, job: str) -> Issue:
    """Return an issue of a job; one of a kind we don't know counts as a warning."""
    attributes = resource.read(IssueAttributes)
    source = attributes.file_source or FileSource()
    return Issue(
        kind=ISSUE_KINDS.get(attributes.issue_type or "", IssueKind.WARNING),
        message=attributes.message or attributes.issue_type or "An issue without words.",
        job=job,
        file=source.path,
        line=source.line_number,
        category=attributes.category,
    )


def test_case(result: Resource) -> TestCase:
    """Return a test; where it failed on some devices only, `detail` names those."""
    attributes = result.read(TestAttributes)
    outcome = OUTCOMES.get(attributes.status or "", Outcome.UNKNOWN)
    destinations = attributes.destination_test_results or ()
    failed = [it.label for it in destinations if OUTCOMES.get(it.status or "") is Outcome.FAILED]
    if attributes.status == "MIXED" and failed:
        detail: str | None = f"failed on {', '.join(failed)}"
    elif outcome is Outcome.UNKNOWN and attributes.status:
        detail = attributes.status
    else:
        detail = ", ".join(it.label for it in destinations) or None
    return TestCase(
        name=attributes.name or result.id,
        outcome=outcome,
        class_name=attributes.class_name,
        detail=detail,
        seconds=max((it.duration for it in destinations if it.duration is not None), default=None),
        message=attributes.message,
        file=attributes.file_source.path if attributes.file_source is not None else None,
    )


def artifact(resource: Resource, job: Job) -> Artifact:
    """Return an artifact of a job, without its signed address."""
    attributes = resource.read(ArtifactAttributes)
    return Artifact(
        id=resource.id,
        build=job.build,
        pipeline=job.pipeline,
        name=attributes.file_name or resource.id,
        job=job.id,
        size_bytes=attributes.file_size,
        kind=attributes.file_type,
    )


def failed_first(tests: Iterable[TestCase]) -> tuple[TestCase, ...]:
    """Return tests by outcome: failed, unknown, skipped, passed."""
    return tuple(sorted(tests, key=lambda test: _TEST_ORDER.index(test.outcome)))


def errors_first(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Return issues by kind: errors, test failures, analyzer warnings, warnings."""
    return tuple(sorted(issues, key=lambda issue: _ISSUE_ORDER.index(issue.kind)))


def has_no_issues(counts: IssueCounts) -> bool:
    """Whether all four counts are known and zero."""
    return all(count == 0 for count in (counts.errors, counts.warnings, counts.analyzer_warnings, counts.test_failures))


_TEST_ORDER = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SKIPPED, Outcome.PASSED)
_ISSUE_ORDER = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.ANALYZER_WARNING, IssueKind.WARNING)
