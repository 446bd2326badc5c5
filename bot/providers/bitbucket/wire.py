"""Bitbucket's objects as they come: only the fields that are read."""

from bot.providers.base.wire import Wire


class Account(Wire):
    """A user, a team or an app."""

    uuid: str | None = None
    display_name: str | None = None
    nickname: str | None = None
    type: str | None = None


class Named(Wire):
    """Something of which only the name is read: a project, a branch."""

    name: str | None = None


class Href(Wire):
    """A link."""

    href: str | None = None


class Links(Wire):
    """Links for people; those for machines may name hosts of Atlassian's own."""

    html: Href | None = None


class Repository(Wire):
    """A repository, whole or as it stands inside a pipeline."""

    uuid: str
    full_name: str | None = None
    slug: str | None = None
    name: str | None = None
    project: Named | None = None
    mainbranch: Named | None = None
    links: Links | None = None


class RepositoryName(Wire):
    """A repository as a pipeline or a webhook names it."""

    uuid: str | None = None
    full_name: str | None = None


class CommitAuthor(Wire):
    """Who wrote a commit: `Name <address>`."""

    raw: str | None = None


class Commit(Wire):
    """A commit; inside a pipeline it is often no more than its hash."""

    hash: str | None = None
    message: str | None = None
    author: CommitAuthor | None = None


class Ref(Wire):
    """A branch or a tag."""

    name: str
    target: Commit | None = None


class Selector(Wire):
    """Which definition of the yml ran."""

    type: str | None = None
    pattern: str | None = None


class PullRequestId(Wire):
    """A pull request as a pipeline names it."""

    id: str | int | None = None


class Target(Wire):
    """What a pipeline builds: a ref, a commit or a pull request, by `type`."""

    type: str | None = None
    ref_type: str | None = None
    ref_name: str | None = None
    source: str | None = None
    destination: str | None = None
    commit: Commit | None = None
    destination_commit: Commit | None = None
    pullrequest: PullRequestId | None = None
    selector: Selector | None = None


class Fault(Wire):
    """Why a pipeline or a step ended in an error."""

    message: str | None = None


class Word(Wire):
    """A stage or a result; `name` and `type` say the same, and either may be missing."""

    name: str | None = None
    type: str | None = None
    error: Fault | None = None


class State(Wire):
    """How a pipeline or a step stands; `stage` while it is open, `result` when it is completed."""

    name: str | None = None
    type: str | None = None
    stage: Word | None = None
    result: Word | None = None


class Trigger(Wire):
    """What made a pipeline or a step start."""

    name: str | None = None
    type: str | None = None


class Variable(Wire):
    """A value a pipeline was started with; a secured one has no value here."""

    needed_whole = True

    key: str
    value: str | None = None
    secured: bool | None = None


class ConfigurationSource(Wire):
    """Where the yml of a pipeline came from."""

    source: str | None = None


class PipelineRun(Wire):
    """A pipeline in Bitbucket's sense: our build."""

    uuid: str
    state: State | None = None
    build_number: int | None = None
    creator: Account | None = None
    repository: RepositoryName | None = None
    target: Target | None = None
    trigger: Trigger | None = None
    variables: list[Variable] | None = None
    has_variables: bool | None = None
    created_on: str | None = None
    completed_on: str | None = None
    run_number: int | None = None
    run_creation_date: str | None = None
    duration_in_seconds: float | None = None
    build_seconds_used: float | None = None
    expired: bool | None = None
    configuration_sources: list[ConfigurationSource] | None = None


class Step(Wire):
    """A step: our job."""

    uuid: str
    name: str | None = None
    state: State | None = None
    trigger: Trigger | None = None
    run_number: int | None = None
    started_on: str | None = None
    completed_on: str | None = None


class Summary(Wire):
    """The counts of a step's tests."""

    number_of_test_cases: int | None = None
    number_of_failed_test_cases: int | None = None
    number_of_error_test_cases: int | None = None


class Case(Wire):
    """A test of a step."""

    uuid: str
    name: str | None = None
    package_name: str | None = None
    fully_qualified_name: str | None = None
    status: str | None = None
    duration: str | None = None


class Report(Wire):
    """A Code Insights report of a commit."""

    uuid: str
    title: str | None = None


class Annotation(Wire):
    """A finding of a report."""

    uuid: str
    summary: str | None = None
    annotation_type: str | None = None
    severity: str | None = None
    result: str | None = None
    path: str | None = None
    line: int | None = None
    link: str | None = None


class PullRequestEnd(Wire):
    """The branch of a pull request's end, and the repository it is in."""

    branch: Named | None = None
    commit: Commit | None = None
    repository: RepositoryName | None = None


class PullRequest(Wire):
    """A pull request: what it brings and where it goes."""

    source: PullRequestEnd | None = None
    destination: PullRequestEnd | None = None


class Next(Wire):
    """Where a list goes on."""

    next: str | None = None


class CommitStatus(Wire):
    """What a CI system says about a commit; Pipelines' own names a page of Pipelines."""

    url: str | None = None


class AttributeValue(Wire):
    """A value of a span's attribute."""

    stringValue: str | None = None  # noqa: N815 - OpenTelemetry's spelling


class Attribute(Wire):
    """An attribute of a span."""

    key: str | None = None
    value: AttributeValue | None = None


class Span(Wire):
    """A part of a trace."""

    attributes: list[Attribute] | None = None


class ScopeSpans(Wire):
    """The spans of one instrument."""

    spans: list[Span] | None = None


class ResourceSpans(Wire):
    """The spans of one resource."""

    scopeSpans: list[ScopeSpans] | None = None  # noqa: N815 - OpenTelemetry's spelling


class Hook(Wire):
    """A webhook's body."""

    repository: RepositoryName | None = None
    commit_status: CommitStatus | None = None
    resourceSpans: list[ResourceSpans] | None = None  # noqa: N815 - OpenTelemetry's spelling
