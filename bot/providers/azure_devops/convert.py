"""Azure DevOps' builds, pipelines, artifacts and tests as models: pure. Timelines are in `stages`."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Artifact,
    Build,
    Commit,
    Conclusion,
    FilterField,
    Issue,
    IssueCounts,
    IssueKind,
    Outcome,
    Parameter,
    ParameterType,
    Pipeline,
    Starter,
    Status,
    TestCase,
    Trigger,
)
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.details import build_details
from bot.providers.azure_devops.options import LABEL
from bot.providers.azure_devops.urls import GUID
from bot.providers.base.convert import state_from, total
from bot.providers.base.times import latest, parse_time
from bot.providers.base.words import AZURE_STATES, AZURE_TRIGGERS

LIST_FILTERS = frozenset({FilterField.BRANCH, FilterField.SINCE, FilterField.UNTIL})
"""By what Azure DevOps narrows its list of builds."""
STATES = AZURE_STATES
TRIGGERS = AZURE_TRIGGERS
STOPPED_EARLY = frozenset({Conclusion.FAILED, Conclusion.CANCELLED})
"""The conclusions that a job which ran longer than it may gives its build."""
FAILED_TESTS = ("failed", "error", "timeout", "aborted")
SKIPPED_TESTS = frozenset({"notexecuted", "notapplicable", "blocked", "paused", "notimpacted"})
HEADS, TAGS, PULLS = "refs/heads/", "refs/tags/", "refs/pull/"
_PULL = re.compile(r"refs/pull/(\d{1,12})(?:/|$)")
_SERVICE = re.compile(r"(?:svc|s2s)\.")
_TWO_GUIDS = re.compile(rf"{GUID.pattern}@{GUID.pattern}", re.IGNORECASE)


def raw_word(word: str | None) -> str:
    """Return a state as JSON spells it; filters, hooks and tests begin with a capital."""
    return f"{word[:1].lower()}{word[1:]}" if word else ""


def without(prefix: str, text: str | None) -> str | None:
    """Return a branch without `refs/heads/`, a tag without `refs/tags/`; None for nothing."""
    return (text or "").removeprefix(prefix) or None


def whole_number(text: object, digits: int = 12) -> int | None:
    """Return a number that came as text, None where it is none or longer than `digits`."""
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= digits
    return int(str(text)) if is_number else None


# pipelines


def pipeline(
    definition: wire.Definition, page: str, *, project: str, single_project: bool, with_folder: bool = False
) -> Pipeline:
    """Return a definition as a pipeline; `project` is the one that was asked for.

    Its path is `project/name`; `single_project` leaves the project out, `with_folder` puts the folder in.
    """
    of_project = definition.project or wire.ProjectRef()
    project_name = of_project.name or project
    name = definition.name or str(definition.id)
    folders = [part for part in (definition.path or "").split("\\") if part]
    path = [*([] if single_project else [project_name]), *(folders if with_folder else []), name]
    web = definition.links.web.href if definition.links and definition.links.web else None
    return Pipeline(
        id=pipeline_id(of_project, definition.id, project),
        path="/".join(path),
        name=name,
        group="/".join([project_name, *folders]),
        default_branch=default_branch(definition),
        repository=repository_name(definition.repository),
        web_url=web or page,
        enabled=raw_word(definition.queue_status) != "disabled",
    )


def pipeline_id(project: wire.ProjectRef | None, definition: int, asked: str) -> str:
    """Return a pipeline's id: the project's GUID in lower case (else the project that was asked for) and the number."""
    return f"{project.id.lower() if project and project.id else asked}/{definition}"


def default_branch(definition: wire.Definition) -> str | None:
    """Return the branch that a definition builds when nothing else is named."""
    return without(HEADS, definition.repository.default_branch) if definition.repository else None


def repository_name(repository: wire.Repository | None) -> str | None:
    """Return a repository's name; GitHub's ids are `owner/name`, and their names may be absent."""
    return (repository.name or repository.id) if repository else None


def parameters(definition: wire.Definition) -> tuple[Parameter, ...]:
    """Return the variables of a definition that may be set when a build is queued."""
    return tuple(
        Parameter(
            name=name,
            type=ParameterType.SECRET if variable.is_secret else ParameterType.TEXT,
            default=None if variable.is_secret else variable.value or None,
        )
        for name, variable in (definition.variables or {}).items()
        if variable is not None and variable.allow_override
    )


# builds


def build(run: wire.BuildWire, connection: str, *, project: str, pipeline: str | None, page: str) -> Build:
    """Return a build. Its pipeline is the one that it names itself; `pipeline` is what was asked for, where it names none.

    A `buildNumber` that is a number is `number`; any other text (`20260815.3`) is `label`. Azure DevOps counts
    attempts by stages and not on the build, so `attempt` stays unknown: the time of its end distinguishes attempts.
    """
    raw = raw_word(run.status)
    if raw == "completed" and raw_word(run.result) not in {"", "none"}:
        raw = raw_word(run.result)
    status, conclusion = state_from(raw, STATES, finished=raw_word(run.status) == "completed")
    if run.definition is not None:
        pipeline = pipeline_id(run.project or run.definition.project, run.definition.id, project)
    if pipeline is None:
        raise UnexpectedResponse(f"{LABEL} sent a build that names no pipeline.", provider=LABEL)
    about = {name: value for name, value in (run.trigger_info or {}).items() if isinstance(value, str) and value}
    request = pull_request(run, about)
    source = run.source_branch or ""
    label = (run.build_number or "").strip()
    number = whole_number(label)
    finished = parse_time(run.finish_time)
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=str(run.id),
        number=number,
        label=label if label and number is None else None,
        name=run.definition.name if run.definition else None,
        workflow=str(run.definition.id) if run.definition else None,
        repo=repository_name(run.repository),
        branch=branch(run, about),
        tag=without(TAGS, source) if source.startswith(TAGS) else None,
        pull_request=request,
        target_branch=without(HEADS, system_value(run, "system.pullRequest.targetBranch")) if request else None,
        from_fork=is_fork(run, about) if request else None,
        commit=(about.get("pr.sourceSha") if request else None) or run.source_version or None,
        head_commit=about.get("pr.sourceSha") if request else None,
        message=about.get("ci.message") or about.get("pr.title"),
        status=status,
        conclusion=conclusion,
        raw_state=raw or None,
        trigger=trigger(run),
        triggered_by=run.requested_for.display_name if run.requested_for else None,
        triggered_by_type=starter(run.requested_for),
        created_at=parse_time(run.queue_time),
        started_at=parse_time(run.start_time),
        completed_at=finished if status is Status.COMPLETED else None,
        updated_at=parse_time(run.last_changed_date)
        or latest(*map(parse_time, (run.queue_time, run.start_time, run.finish_time))),
        web_url=(run.links.web.href if run.links and run.links.web else None) or page,
        details=build_details(run),
    )


def commit(raw: wire.ChangeWire) -> Commit:
    """Return a commit that is new in a build."""
    subject = (raw.message or "").strip().partition("\n")[0]
    author = (raw.author.display_name or "") if raw.author else ""
    return Commit(sha=raw.id or "", subject=subject, author=author, url=raw.display_uri)


def is_of_pull_request(run: wire.BuildWire) -> bool:
    """Return whether a build is a pull request's: by its ref, or by its reason where the ref is the branch's own."""
    return (run.source_branch or "").startswith(PULLS) or (run.reason or "").lower() == "pullrequest"


def branch(run: wire.BuildWire, about: Mapping[str, str]) -> str | None:
    """Return the branch: for a pull request the one it comes from, none for a tag."""
    source = run.source_branch or ""
    if is_of_pull_request(run):
        return without(HEADS, about.get("pr.sourceBranch") or system_value(run, "system.pullRequest.sourceBranch"))
    return None if source.startswith((TAGS, PULLS)) else without(HEADS, source)


def pull_request(run: wire.BuildWire, about: Mapping[str, str]) -> str | None:
    """Return the number of a pull request's build, as in `refs/pull/73/merge`; None for any other build."""
    if not is_of_pull_request(run):
        return None
    match = _PULL.match(run.source_branch or "")
    return match[1] if match else about.get("pr.number") or system_value(run, "system.pullRequest.pullRequestId")


def is_fork(run: wire.BuildWire, about: Mapping[str, str]) -> bool | None:
    """Return whether a pull request comes from a fork, None where the build does not say."""
    word = (about.get("pr.isFork") or system_value(run, "system.pullRequest.isFork") or "").lower()
    return {"true": True, "false": False}.get(word)


def recorded_variables(run: wire.BuildWire) -> dict[str, object] | None:
    """Return the variables that a build keeps as JSON in a string, None where that does not read."""
    try:
        return msgspec.json.decode(run.parameters or "{}", type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None


def system_value(run: wire.BuildWire, name: str) -> str | None:
    """Return one of the service's own variables of a build, None where it is absent or empty."""
    value = (recorded_variables(run) or {}).get(name)
    return value if isinstance(value, str) and value else None


def starter(who: wire.Identity | None) -> Starter | None:
    """Return whether a person is meant: the service's own identities have descriptors and names of a kind."""
    if who is None:
        return None
    is_service = _SERVICE.match(who.descriptor or "") or _TWO_GUIDS.fullmatch(who.unique_name or "")
    return Starter.BOT if is_service else Starter.USER


def trigger(run: wire.BuildWire) -> Trigger:
    """Return what made the build start; by hand it is the web, unless a service asked."""
    by_reason = TRIGGERS.get((run.reason or "").lower(), Trigger.UNKNOWN)
    is_service = starter(run.requested_by) is Starter.BOT
    return Trigger.API if by_reason is Trigger.WEB and is_service else by_reason


# what a build leaves


def artifact(item: wire.ArtifactWire, pipeline: str, build: str) -> Artifact:
    """Return an artifact; it has no address for people, since downloading needs the token."""
    properties = (item.resource.properties or {}) if item.resource else {}
    return Artifact(
        id=str(item.id) if item.id is not None else item.name,
        build=build,
        pipeline=pipeline,
        name=item.name,
        job=item.source or None,
        size_bytes=whole_number(properties.get("artifactsize"), digits=18),
        kind=item.resource.type if item.resource else None,
    )


def summary_counts(summary: wire.TestSummary) -> IssueCounts:
    """Return how many tests there are and failed, as counted for a whole build; unknown where there are none."""
    analysis = summary.aggregated_results_analysis
    if analysis is None or not analysis.total_tests:
        return IssueCounts()
    outcomes = analysis.results_by_outcome
    failed = None if outcomes is None else _failed((name, of.count) for name, of in outcomes.items())
    return IssueCounts(test_failures=failed, tests_total=total([analysis.total_tests]))


def run_counts(runs: Iterable[wire.TestRun]) -> IssueCounts:
    """Return the same from the test runs of a build, one by one."""
    listed = list(runs)
    return IssueCounts(
        test_failures=total(failures(run) for run in listed), tests_total=total(run.total_tests for run in listed)
    )


def failures(run: wire.TestRun) -> int | None:
    """Return how many tests of a run failed; unknown without its statistics."""
    statistics = run.run_statistics
    return None if statistics is None else _failed((of.outcome or "", of.count) for of in statistics)


def _failed(counts: Iterable[tuple[str, int | None]]) -> int | None:
    """Return the sum of the counts of failed outcomes: zero where none is listed, None where one has no number."""
    failed = [count for outcome, count in counts if outcome.lower() in FAILED_TESTS]
    return None if None in failed else total((0, *failed))


def test(result: wire.TestResult, run: wire.TestRun) -> TestCase:
    """Return one test of a run."""
    match (result.outcome or "").lower():
        case "passed" | "warning":
            outcome = Outcome.PASSED
        case word if word in FAILED_TESTS:
            outcome = Outcome.FAILED
        case word if word in SKIPPED_TESTS:
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    full, title = result.automated_test_name or "", result.test_case_title or ""
    scope = full.removesuffix(title).rstrip(".:/") if title and full.endswith(title) and full != title else ""
    return TestCase(
        name=title or full or "a test without a name",
        outcome=outcome,
        class_name=scope or result.automated_test_storage or None,
        detail=run.name,
        seconds=result.duration_in_ms / 1000 if result.duration_in_ms is not None else None,
        message=result.error_message or None,
    )


def test_issue(case: TestCase, page: str) -> Issue:
    """Return a failed test as an issue, with the first line of its message; `page` shows the build's tests."""
    first_line = (case.message or "").strip().partition("\n")[0]
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{case.name}: {first_line}" if first_line else case.name,
        job=case.detail,
        url=page,
    )
