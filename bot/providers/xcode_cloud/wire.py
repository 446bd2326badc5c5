"""What Apple sends: JSON:API documents, and the bodies of webhooks.

Facts: Apple's OpenAPI document 4.4.1 and "Xcode Cloud webhook payload reference", checked 2026-11. Attributes are left
out rather than null, so every one is optional here. Lists keep their items undecoded, so that an odd one spoils itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.http.reply import Reply
from bot.providers.base.listing import parse_items
from bot.providers.base.wire import Wire

W = TypeVar("W", bound=Wire)


class Ident(Wire):
    """A resource's id."""

    id: str


class ToOne(Wire):
    """A relation to one resource."""

    data: Ident | None = None


class ToMany(Wire):
    """A relation to several resources; without `data` it was not asked for."""

    data: tuple[Ident, ...] | None = None


class Relations(Wire, rename="camel"):
    """The relations we follow."""

    workflow: ToOne | None = None
    product: ToOne | None = None
    source_branch_or_tag: ToOne | None = None
    destination_branch: ToOne | None = None
    pull_request: ToOne | None = None
    app: ToOne | None = None
    repository: ToOne | None = None
    default_branch: ToOne | None = None
    xcode_version: ToOne | None = None
    mac_os_version: ToOne | None = None
    mac_os_versions: ToMany | None = None
    primary_repositories: ToMany | None = None
    bundle_id: ToOne | None = None
    scm_provider: ToOne | None = None
    pre_release_version: ToOne | None = None


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
        one: ToOne | None = getattr(self.relationships, relation, None)
        return one.data.id if one is not None and one.data is not None else None

    def to_many(self, relation: str) -> tuple[str, ...] | None:
        """Return the ids at the other end of a relation to several, or None where it was not sent."""
        many: ToMany | None = getattr(self.relationships, relation, None)
        return None if many is None or many.data is None else tuple(ident.id for ident in many.data)


Included = Mapping[tuple[str, str], Resource]
"""The resources that came with an answer, by type and id."""


def included_by_id(included: Iterable[msgspec.Raw]) -> Included:
    """Return resources by type and id, without those that cannot be read."""
    resources: dict[tuple[str, str], Resource] = {}
    for raw in included:
        try:
            resource = Resource.of(raw)
        except UnexpectedResponse:
            continue
        resources[resource.of_type, resource.id] = resource
    return resources


def attributes_of(included: Included, of_type: str, id_: str | None, kind: type[W]) -> W | None:
    """Return the attributes of an included resource; None where it did not come or cannot be read."""
    resource = included.get((of_type, id_ or ""))
    try:
        return resource.read(kind) if resource is not None else None
    except UnexpectedResponse:
        return None


class Document(Wire):
    """One resource and what came with it."""

    data: Resource
    included: tuple[msgspec.Raw, ...] = ()

    @property
    def included_by_id(self) -> Included:
        """Return the included resources by type and id."""
        return included_by_id(self.included)


class Links(Wire):
    """The next page of a listing."""

    next: str | None = None


class Paging(Wire):
    """The length of a listing."""

    total: int | None = None


class Meta(Wire):
    """What is said about a listing."""

    paging: Paging | None = None


class Listing(Wire):
    """One page of a listing and what came with it."""

    data: tuple[msgspec.Raw, ...]
    included: tuple[msgspec.Raw, ...] = ()
    links: Links | None = None
    meta: Meta | None = None

    @property
    def resources(self) -> Iterator[Resource]:
        """Yield the resources that can be read. Raises UnexpectedResponse where none can."""
        return parse_items(self.data, Resource.of)

    @property
    def included_by_id(self) -> Included:
        """Return the included resources by type and id."""
        return included_by_id(self.included)

    @property
    def is_last(self) -> bool:
        """Whether no page follows."""
        return self.links is None or self.links.next is None


def next_page(reply: Reply) -> str | None:
    """Return the address of the next page; there is none on the last."""
    links = reply.decode(Listing).links
    return links.next if links is not None else None


class ProductAttributes(Wire, rename="camel"):
    """A ciProduct."""

    name: str | None = None
    product_type: str | None = None
    created_date: str | None = None


class AppAttributes(Wire, rename="camel"):
    """An app, as far as a product shows it."""

    name: str | None = None
    bundle_id: str | None = None


class BundleIdAttributes(Wire, rename="camel"):
    """A bundleId."""

    identifier: str | None = None


class WorkflowAttributes(Wire, rename="camel"):
    """A ciWorkflow, as far as lists of workflows show it."""

    name: str | None = None
    is_enabled: bool | None = None


class Pattern(Wire, rename="camel"):
    """A name of a branch or tag, or the beginning of one."""

    pattern: str | None = None
    is_prefix: bool | None = None


class PatternsBody(Wire, rename="camel"):
    """Names of branches or tags."""

    is_all_match: bool | None = None
    patterns: tuple[Pattern, ...] | None = None


class FileMatcherBody(Wire, rename="camel"):
    """Files whose change matters."""

    directory: str | None = None
    file_extension: str | None = None
    file_name: str | None = None


class FilesRuleBody(Wire, rename="camel"):
    """Which changed files matter."""

    mode: str | None = None
    matchers: tuple[FileMatcherBody, ...] | None = None


class ScheduleBody(Wire, rename="camel"):
    """When a schedule starts builds."""

    frequency: str | None = None
    days: tuple[str, ...] | None = None
    hour: int | None = None
    minute: int | None = None
    timezone: str | None = None


class StartConditionBody(Wire, rename="camel"):
    """A start condition of any kind."""

    source: PatternsBody | None = None
    destination: PatternsBody | None = None
    files_and_folders_rule: FilesRuleBody | None = None
    auto_cancel: bool | None = None
    schedule: ScheduleBody | None = None


class TestDestinationBody(Wire, rename="camel"):
    """A device that tests run on."""

    __test__ = False

    device_type_name: str | None = None
    runtime_name: str | None = None


class TestConfigurationBody(Wire, rename="camel"):
    """What a test action runs, and where."""

    __test__ = False

    kind: str | None = None
    test_plan_name: str | None = None
    test_destinations: tuple[TestDestinationBody, ...] | None = None


class ActionBody(Wire, rename="camel"):
    """An action of a workflow."""

    name: str | None = None
    action_type: str | None = None
    destination: str | None = None
    build_distribution_audience: str | None = None
    test_configuration: TestConfigurationBody | None = None
    scheme: str | None = None
    platform: str | None = None
    is_required_to_pass: bool | None = None


class DefinitionAttributes(Wire, rename="camel"):
    """A ciWorkflow whole. Start conditions and actions stay undecoded, so that an odd one spoils itself."""

    name: str | None = None
    description: str | None = None
    is_enabled: bool | None = None
    is_locked_for_editing: bool | None = None
    clean: bool | None = None
    container_file_path: str | None = None
    last_modified_date: str | None = None


class RepositoryAttributes(Wire, rename="camel"):
    """A scmRepository."""

    owner_name: str | None = None
    repository_name: str | None = None
    http_clone_url: str | None = None
    ssh_clone_url: str | None = None
    last_accessed_date: str | None = None

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
    source_repository_name: str | None = None
    source_branch_name: str | None = None
    destination_repository_owner: str | None = None
    destination_repository_name: str | None = None
    destination_branch_name: str | None = None
    is_closed: bool | None = None
    is_cross_repository: bool | None = None

    @property
    def is_from_fork(self) -> bool | None:
        """Whether the source is another repository than the destination; None where Apple does not say."""
        if self.is_cross_repository is not None:
            return self.is_cross_repository
        source = (self.source_repository_owner, self.source_repository_name)
        destination = (self.destination_repository_owner, self.destination_repository_name)
        return None if None in (*source, *destination) else source != destination

    @property
    def branch(self) -> str | None:
        """Return the source branch; a fork's with its owner, so that a fork's `main` is not taken for ours."""
        if self.source_branch_name and self.is_from_fork:
            return f"{self.source_repository_owner or 'fork'}:{self.source_branch_name}"
        return self.source_branch_name


class ProviderType(Wire, rename="camel"):
    """The kind of a SCM provider."""

    kind: str | None = None
    display_name: str | None = None
    is_on_premise: bool | None = None


class ScmProviderAttributes(Wire, rename="camel"):
    """A scmProvider."""

    scm_provider_type: ProviderType | None = None
    url: str | None = None


class RuntimeBody(Wire, rename="camel"):
    """A system that a device of an Xcode version can run."""

    runtime_name: str | None = None
    runtime_identifier: str | None = None


class DeviceBody(Wire, rename="camel"):
    """A device that an Xcode version can test on, with the systems it can run."""

    device_type_name: str | None = None
    device_type_identifier: str | None = None
    available_runtimes: tuple[RuntimeBody, ...] | None = None
    kind: str | None = None


class VersionAttributes(Wire, rename="camel"):
    """A ciXcodeVersion or a ciMacOsVersion; only the former has test destinations."""

    version: str | None = None
    name: str | None = None
    test_destinations: tuple[DeviceBody, ...] | None = None


class UploadAttributes(Wire, rename="camel"):
    """A build in TestFlight or the App Store."""

    version: str | None = None
    expired: bool | None = None
    processing_state: str | None = None
    build_audience_type: str | None = None


class ReleaseAttributes(Wire, rename="camel"):
    """A preReleaseVersion: the marketing version of a build in TestFlight."""

    version: str | None = None
    platform: str | None = None


class Author(Wire, rename="camel"):
    """Who wrote a commit."""

    display_name: str | None = None


class Commit(Wire, rename="camel"):
    """A commit."""

    commit_sha: str | None = None
    message: str | None = None
    author: Author | None = None
    committer: Author | None = None
    web_url: str | None = None


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
    destination_commit: Commit | None = None
    is_pull_request_build: bool | None = None
    issue_counts: Counts | None = None
    execution_progress: str | None = None
    completion_status: str | None = None
    start_reason: str | None = None
    cancel_reason: str | None = None

    @property
    def sha(self) -> str | None:
        """Return the commit that was built, in lower case."""
        commit = self.source_commit
        return commit.commit_sha.lower() if commit is not None and commit.commit_sha else None


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


class FileSource(Wire, rename="camel"):
    """A place in a file."""

    path: str | None = None
    line_number: int | None = None


class IssueAttributes(Wire, rename="camel"):
    """A ciIssue."""

    issue_type: str | None = None
    message: str | None = None
    file_source: FileSource | None = None
    category: str | None = None


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
    file_source: FileSource | None = None
    message: str | None = None
    destination_test_results: list[Destination] | None = None


class ArtifactAttributes(Wire, rename="camel"):
    """A ciArtifact. `download_url` is signed: whoever has it has the file, so it never leaves this package."""

    file_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    download_url: str | None = None


class WebhookMetadata(Wire, rename="camel"):
    """What a webhook is about."""

    event_type: str | None = None


class WebhookMetadataResource(Wire):
    """A webhook's metadata."""

    attributes: WebhookMetadata | None = None


class WebhookBody(Wire, rename="camel"):
    """A webhook's body. Its resources stand side by side, unlike the API's."""

    metadata: WebhookMetadataResource | None = None
    ci_build_run: Ident | None = None
    ci_workflow: Ident | None = None


class ApiError(Wire):
    """One of an answer's errors."""

    code: str = ""
    detail: str | None = None
    title: str | None = None


class ApiErrors(Wire):
    """The errors of a refusal."""

    errors: tuple[ApiError, ...] = ()
