"""GitLab's words and objects: its states, its wire models, and the pure readers that make them ours.

Pages: https://docs.gitlab.com/api/pipelines/ , https://docs.gitlab.com/api/jobs/ (checked 2026-11).
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import httpx
import msgspec

from bot.core.models import (
    Artifact,
    Build,
    Conclusion,
    IssueCounts,
    Job,
    Outcome,
    Parameter,
    ParameterType,
    Person,
    Pipeline,
    Starter,
    Status,
    TestCase,
    Trigger,
)
from bot.http.client import Reply, link_next
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.times import parse_time
from bot.providers.base.wire import Wire

STATES: Final[StateMap] = MappingProxyType(
    {  # pipelines and jobs share the words; GraphQL sends them in capitals
        "created": (Status.QUEUED, None),
        "waiting_for_resource": (Status.QUEUED, None),
        "preparing": (Status.QUEUED, None),
        "waiting_for_callback": (Status.QUEUED, None),
        "pending": (Status.QUEUED, None),
        "scheduled": (Status.QUEUED, None),  # a delayed job waits for its time
        "running": (Status.IN_PROGRESS, None),
        "canceling": (Status.IN_PROGRESS, None),
        "manual": (Status.IN_PROGRESS, None),  # nothing left to run without a person
        "success": (Status.COMPLETED, Conclusion.PASSED),
        "failed": (Status.COMPLETED, Conclusion.FAILED),
        "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
        "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    }
)

TRIGGERS: Final[Mapping[str, Trigger]] = MappingProxyType(
    {
        "push": Trigger.PUSH,
        "merge_request_event": Trigger.MERGE_REQUEST,
        "external_pull_request_event": Trigger.MERGE_REQUEST,
        "web": Trigger.WEB,
        "webide": Trigger.WEB,
        "schedule": Trigger.CRON,
        "pipeline_execution_policy_schedule": Trigger.CRON,
        "api": Trigger.API,
        "trigger": Trigger.API,
        "pipeline": Trigger.API,
        "parent_pipeline": Trigger.API,
        "chat": Trigger.API,
        "external": Trigger.API,
    }
)

MACHINES: Final = frozenset(
    {"schedule", "pipeline_execution_policy_schedule", "trigger", "pipeline", "parent_pipeline"}
)
TIMEOUTS: Final = frozenset({"job_execution_timeout", "stuck_or_timeout_failure"})
WITH_WARNINGS: Final = frozenset({"success-with-warnings", "success_with_warnings"})

_BOT = re.compile(r"^(?:project|group)_\d+_bot(?:_|\d|$)|^service_account_")
_MERGE_REQUEST = re.compile(r"^refs/merge-requests/(\d+)/(?:head|merge|train)$")
_MARK = r"section_(?:start|end):\d+:[\w.\-]+(?:\[[^\[\]\r\n]*+\])?\r?(?:\x1b\[0K)*+"
_SECTION = re.compile(rf"^(?:{_MARK})+\r?\n|{_MARK}", re.MULTILINE)
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE]([+ ]?)", re.MULTILINE)
_CONTINUED = re.compile(r"\r?\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE]\+")


class User(Wire):
    """Who started a pipeline, or whose token it is."""

    username: str | None = None
    name: str | None = None


class Detailed(Wire):
    """The state as the page words it; its group tells a pass with warnings."""

    group: str | None = None


class PipelineRun(Wire):
    """A pipeline, which is our build, as a list shows it or whole."""

    id: int
    status: str | None = None
    iid: int | None = None
    project_id: int | None = None
    sha: str | None = None
    ref: str | None = None
    tag: bool | None = None
    source: str | None = None
    name: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    web_url: str | None = None
    yaml_errors: str | None = None
    user: User | None = None
    detailed_status: Detailed | None = None


class Commit(Wire):
    """A commit; its id is all that v3's builds always have."""

    id: str
    message: str | None = None
    title: str | None = None
    author_name: str | None = None
    author_email: str | None = None


class MergeRequest(Wire):
    """A merge request."""

    iid: int
    title: str | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    source_project_id: int | None = None
    target_project_id: int | None = None


class Project(Wire):
    """A project, which is our pipeline."""

    id: int
    path_with_namespace: str
    name: str | None = None
    default_branch: str | None = None
    web_url: str | None = None
    archived: bool | None = None
    jobs_enabled: bool | None = None
    builds_enabled: bool | None = None


class JobFile(Wire):
    """A file that a job left."""

    file_type: str | None = None
    filename: str | None = None
    size: int | None = None


class PipelineId(Wire):
    """What a job says about its pipeline."""

    id: int


class JobRun(Wire):
    """A job or a trigger job; v3 calls it a build."""

    id: int
    status: str | None = None
    name: str | None = None
    stage: str | None = None
    allow_failure: bool | None = None
    failure_reason: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    erased_at: str | None = None
    web_url: str | None = None
    artifacts: list[JobFile] | None = None
    artifacts_file: JobFile | None = None
    pipeline: PipelineId | None = None


class Variable(Wire):
    """A variable a pipeline was started with."""

    key: str
    value: str | None = None
    variable_type: str | None = None


class Environment(Wire):
    """Where a deployment goes."""

    name: str | None = None


class Deployment(Wire):
    """A deployment and the job that does it."""

    id: int
    status: str | None = None
    environment: Environment | None = None
    deployable: JobRun | None = None


class Token(Wire):
    """What the token says about itself."""

    name: str | None = None
    scopes: list[str] | None = None
    active: bool | None = None
    revoked: bool | None = None
    expires_at: str | None = None


class Server(Wire):
    """What the server says about itself."""

    version: str | None = None


class Named(Wire):
    """A branch or a tag."""

    name: str


class Totals(Wire):
    """The sums of a test summary."""

    count: int | None = None
    failed: int | None = None
    error: int | None = None
    suite_error: str | None = None


class Suite(Wire):
    """One report of a pipeline's tests."""

    name: str | None = None
    suite_error: str | None = None
    test_cases: list[msgspec.Raw] | None = None


class Summary(Wire):
    """A test summary."""

    total: Totals
    test_suites: list[Suite] | None = None


class Report(Wire):
    """A test report."""

    test_suites: list[Suite] | None = None


class Case(Wire):
    """One test."""

    name: str | None = None
    status: str | None = None
    classname: str | None = None
    file: str | None = None
    execution_time: float | None = None
    system_output: object = None
    stack_trace: str | None = None


class ConfigVariable(Wire, rename="camel"):
    """A variable that a pipeline's file describes."""

    key: str | None = None
    value: str | None = None
    description: str | None = None
    value_options: list[str] | None = None


class Input(Wire):
    """An input that a pipeline takes."""

    name: str
    type: str | None = None
    description: str | None = None
    required: bool | None = None
    default: object = None
    options: list[object] | None = None


def project(payload: object) -> Pipeline:
    """Return a project as what can be built."""
    it = Project.of(payload)
    path = it.path_with_namespace
    switched_off = it.archived is True or it.jobs_enabled is False or it.builds_enabled is False
    return Pipeline(
        id=str(it.id),
        path=path,
        name=it.name or path.rpartition("/")[2],
        group=path.rpartition("/")[0] or None,
        default_branch=it.default_branch,
        repository=path,
        web_url=it.web_url,
        enabled=not switched_off,
    )


def build(it: PipelineRun, *, connection: str, pipeline: str, root: str) -> Build:
    """Return a pipeline as a build. A list item has neither its user nor its times; they stay unknown.

    A list does not tell tags from branches either; what it names is read as a branch.
    """
    raw = (it.status or "").lower()
    status, conclusion = state_from(raw, STATES, finished=it.finished_at is not None)
    done = status is Status.COMPLETED
    merge = _MERGE_REQUEST.match(it.ref or "")
    tag = it.ref if it.tag else None
    group = it.detailed_status.group if it.detailed_status else None
    clean = conclusion is Conclusion.PASSED
    login = it.user.username if it.user else None
    return Build(
        connection=connection,
        pipeline=str(it.project_id) if it.project_id is not None else pipeline,
        id=str(it.id),
        number=it.iid,
        name=it.name,
        repo=repository(it.web_url, root),
        branch=None if merge or tag else it.ref,
        tag=tag,
        pull_request=merge[1] if merge else None,
        commit=it.sha,
        status=status,
        conclusion=conclusion,
        raw_state=raw or None,
        waiting=raw == "manual",
        trigger=TRIGGERS.get((it.source or "").lower(), Trigger.UNKNOWN),
        triggered_by=login,
        triggered_by_type=starter(it.source, login),
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.finished_at) if done else None,  # a retried pipeline keeps the old end for a while
        updated_at=parse_time(it.updated_at),
        web_url=it.web_url,
        issues=IssueCounts(
            errors=0 if clean and (group == "success" or group in WITH_WARNINGS) else None,
            warnings=0 if clean and group == "success" else None,
        ),
    )


def starter(source: str | None, login: str | None) -> Starter | None:
    """Return whether a person or a machine started a pipeline, from its source and its user's name."""
    if (source or "").lower() in MACHINES or _BOT.match(login or ""):
        return Starter.BOT
    return Starter.USER if login else None


def repository(web_url: str | None, root: str) -> str | None:
    """Return `group/project` from the address of a pipeline below the server's root."""
    if web_url is None or not web_url.startswith(f"{root}/"):
        return None
    path = re.split(r"/(?:-/)?(?:pipelines|builds|jobs)/", web_url.removeprefix(f"{root}/"), maxsplit=1)
    return path[0] if len(path) == 2 else None


def author(it: Commit) -> Person | None:
    """Return who wrote a commit."""
    if it.author_name is None and it.author_email is None:
        return None
    return Person(name=it.author_name, email=it.author_email)


def job(it: JobRun, *, build_id: str, pipeline: str, retried: bool = False) -> Job:
    """Return a job. GitLab gives sound jobs a failure reason too; only a failed job keeps its own."""
    raw = (it.status or "").lower()
    status, conclusion = state_from(raw, STATES, finished=it.finished_at is not None)
    failed = conclusion is Conclusion.FAILED
    return Job(
        id=str(it.id),
        build=build_id,
        pipeline=pipeline,
        name=it.name or str(it.id),
        stage=it.stage,
        status=status,
        conclusion=Conclusion.TIMEOUT if failed and it.failure_reason in TIMEOUTS else conclusion,
        raw_state=raw or None,
        tolerated=bool(it.allow_failure),
        retried=retried,
        reason=it.failure_reason if failed else None,
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.finished_at) if status is Status.COMPLETED else None,
        web_url=it.web_url,
    )


def current(jobs: Iterable[JobRun]) -> list[JobRun]:
    """Return the latest try of each job, oldest first."""
    newest: dict[tuple[str | None, str | None], JobRun] = {}
    for it in sorted(jobs, key=lambda each: each.id):
        newest[it.stage, it.name] = it
    return sorted(newest.values(), key=lambda each: each.id)


def files(it: JobRun, *, build_id: str, pipeline: str) -> list[Artifact]:
    """Return the files of one job. `metadata` is GitLab's own index of the archive, of no use to a person."""
    found = it.artifacts or []
    if not found and it.artifacts_file is not None and it.artifacts_file.filename:
        found = [
            JobFile(file_type="archive", filename=it.artifacts_file.filename, size=it.artifacts_file.size),
        ]
    page = f"{it.web_url}/artifacts/download" if it.web_url else None
    return [
        Artifact(
            id=f"{it.id}/{kind}",
            build=build_id,
            pipeline=pipeline,
            name=each.filename or kind,
            job=it.name,
            size_bytes=each.size,
            kind=kind,
            url=page and (page if kind == "archive" else f"{page}?file_type={kind}"),
        )
        for each in found
        if (kind := each.file_type or "archive") != "metadata"
    ]


def failures(jobs: Iterable[Job]) -> tuple[int, int]:
    """Return how many jobs failed for good, and how many that were allowed to."""
    red = [each for each in jobs if each.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}]
    tolerated = sum(each.tolerated for each in red)
    return len(red) - tolerated, tolerated


def timed_out(jobs: Iterable[Job]) -> bool:
    """Return whether every job that failed for good ran out of time."""
    hard = [each.conclusion for each in jobs if not each.tolerated and each.conclusion is not None]
    red = [each for each in hard if each in {Conclusion.FAILED, Conclusion.TIMEOUT}]
    return bool(red) and all(each is Conclusion.TIMEOUT for each in red)


def cases(payload: object) -> tuple[TestCase, ...]:
    """Return a test report's cases, failed ones first. A suite that could not be read is one unknown case."""
    found: list[TestCase] = []
    for suite in Report.of(payload).test_suites or []:
        if suite.suite_error:
            found.append(
                TestCase(
                    name=suite.name or "report",
                    outcome=Outcome.UNKNOWN,
                    detail=suite.name,
                    message=f"GitLab could not read this report: {suite.suite_error}",
                )
            )
        found.extend(_case(each, suite.name) for each in suite.test_cases or [])
    order = {Outcome.FAILED: 0, Outcome.UNKNOWN: 1}
    return tuple(sorted(found, key=lambda each: order.get(each.outcome, 2)))


OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "success": Outcome.PASSED,
        "failed": Outcome.FAILED,
        "error": Outcome.FAILED,
        "skipped": Outcome.SKIPPED,
    }
)


def _case(payload: object, suite: str | None) -> TestCase:
    it = Case.of(payload)
    outcome = OUTCOMES.get(it.status or "", Outcome.UNKNOWN)
    said = spoken(it.system_output) or it.stack_trace
    return TestCase(
        name=it.name or "unnamed test",
        outcome=outcome,
        class_name=it.classname,
        detail=suite,
        seconds=it.execution_time,
        message=None if outcome is Outcome.PASSED else said,
        file=it.file,
    )


def spoken(output: object) -> str | None:
    """Return what a test printed: GitLab gives a text, an object with a message, or a list of either."""
    match output:
        case str():
            return output.strip() or None
        case dict():
            parts = [spoken(value) for value in (output.get("message"), output.get("type")) if value is not None]
            return ": ".join(part for part in reversed(parts) if part) or None
        case list():
            return "\n".join(part for each in output if (part := spoken(each))) or None
        case _:
            return None


def test_counts(payload: object) -> IssueCounts:
    """Return the counts of a test summary. An unreadable or empty report says nothing; both stay unknown."""
    it = Summary.of(payload)
    broken = bool(it.total.suite_error) or any(each.suite_error for each in it.test_suites or [])
    if broken or not it.total.count or it.total.failed is None:
        return IssueCounts()
    return IssueCounts(test_failures=it.total.failed + (it.total.error or 0), tests_total=it.total.count)


def plain_log(text: str) -> str:
    """Return a trace without the runner's section markers and line stamps; colours are `clean_log`'s part."""
    return _SECTION.sub("", _STAMP.sub("", _CONTINUED.sub("", text)))


def prefilled(payload: object) -> Parameter | None:
    """Return a variable that the pipeline's file describes, or None for one without a name."""
    it = ConfigVariable.of(payload)
    if not it.key:
        return None
    return Parameter(
        name=it.key,
        type=ParameterType.CHOICE if it.value_options else ParameterType.TEXT,
        choices=tuple((each, each) for each in it.value_options or ()),
        default=it.value,
        help=it.description,
    )


def input_field(it: Input) -> Parameter:
    """Return a pipeline input as a parameter named `input.NAME`."""
    kind = (it.type or "").upper()
    options = [value_text(each) for each in it.options or ()]
    match kind:
        case "BOOLEAN":
            field = ParameterType.BOOLEAN
        case "ARRAY" if options:
            field = ParameterType.MULTIPLE
        case "NUMBER" if not options:
            field = ParameterType.NUMBER
        case _:
            field = ParameterType.CHOICE if options else ParameterType.TEXT
    return Parameter(
        name=f"input.{it.name}",
        type=field,
        label=it.name,
        choices=tuple((each, each) for each in options),
        default=None if it.default is None else value_text(it.default),
        required=bool(it.required),
        help=it.description,
    )


def value_text(value: object) -> str:
    """Return a JSON value as people type it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def typed(text: str, kind: str | None) -> object:
    """Return an input's value as its type wants it; a text that does not fit goes as it is, GitLab says why not."""
    match (kind or "").upper():
        case "BOOLEAN" if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        case "NUMBER":
            try:
                return int(text)
            except ValueError:
                try:
                    return float(text)
                except ValueError:
                    return text
        case "ARRAY":
            try:
                return msgspec.json.decode(text, type=list[object])
            except (msgspec.DecodeError, RecursionError):
                return [part.strip() for part in text.split(",") if part.strip()]
        case _:
            return text


def next_page(reply: Reply) -> str | None:
    """Return the next page: by its number where GitLab gives one, else by the link.

    The number keeps us at the address we were told: a server behind a proxy writes its own name into the links.
    """
    number = reply.headers.get("x-next-page", "")
    if number.isdigit():
        return with_page(reply.url, int(number))
    return link_next(reply)


def with_page(url: str, number: int) -> str:
    """Return the address of another page of the same list."""
    return str(httpx.URL(url).copy_set_param("page", number))
