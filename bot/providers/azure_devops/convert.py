"""Azure DevOps' objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Outcome,
    Pipeline,
    Starter,
    Status,
    TestCase,
    Trigger,
)
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.auth import LABEL
from bot.providers.azure_devops.urls import GUID
from bot.providers.base.convert import StateMap, job_counts, state_from
from bot.providers.base.times import latest, parse_time

STATES: StateMap = {
    "none": (Status.QUEUED, None),
    "notStarted": (Status.QUEUED, None),
    "postponed": (Status.QUEUED, None),
    "inProgress": (Status.IN_PROGRESS, None),
    "cancelling": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "succeeded": (Status.COMPLETED, Conclusion.PASSED),
    "partiallySucceeded": (Status.COMPLETED, Conclusion.PARTIAL),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
}
"""The statuses of a build, and the results of a completed one."""
RECORD_STATES: StateMap = {
    "pending": (Status.QUEUED, None),
    "inProgress": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "succeeded": (Status.COMPLETED, Conclusion.PASSED),
    "succeededWithIssues": (Status.COMPLETED, Conclusion.PARTIAL),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "abandoned": (Status.COMPLETED, Conclusion.CANCELLED),
}
TRIGGERS: Mapping[str, Trigger] = {
    "individualci": Trigger.PUSH,
    "batchedci": Trigger.PUSH,
    "checkinshelveset": Trigger.PUSH,
    "pullrequest": Trigger.MERGE_REQUEST,
    "validateshelveset": Trigger.MERGE_REQUEST,
    "schedule": Trigger.CRON,
    "scheduleforced": Trigger.CRON,
    "manual": Trigger.WEB,
    "usercreated": Trigger.WEB,
    "buildcompletion": Trigger.API,
    "resourcetrigger": Trigger.API,
    "triggered": Trigger.API,
}
RAN_OUT = frozenset({Conclusion.FAILED, Conclusion.CANCELLED})
"""What a build reads when one of its jobs ran longer than it may."""
FAILED_TESTS = ("failed", "error", "timeout", "aborted")
SKIPPED_TESTS = frozenset({"notexecuted", "notapplicable", "blocked", "paused", "notimpacted"})
HEADS, TAGS, PULLS = "refs/heads/", "refs/tags/", "refs/pull/"
DEFAULT_STAGE = "__default"


def raw_word(word: str | None) -> str:
    """Return a state as JSON spells it; filters, hooks and tests begin with a capital."""
    return f"{word[:1].lower()}{word[1:]}" if word else ""


def without(prefix: str, text: str | None) -> str | None:
    """Return a branch without `refs/heads/`, a tag without `refs/tags/`; None for nothing."""
    return (text or "").removeprefix(prefix) or None


def pipeline(it: wire.Definition, page: str, *, project: str, alone: bool, folder: bool = False) -> Pipeline:
    """Return a definition as ours. `alone` leaves its project out of the path, `folder` puts its folder in."""
    project_id, project_name = project_of(it, project)
    name = it.name or str(it.id)
    folders = [part for part in (it.path or "").split("\\") if part]
    path = [*([] if alone else [project_name]), *(folders if folder else []), name]
    web = it.links.web.href if it.links and it.links.web else None
    return Pipeline(
        id=f"{project_id}/{it.id}",
        path="/".join(path),
        name=name,
        group="/".join([project_name, *folders]),
        default_branch=without(HEADS, it.repository.default_branch) if it.repository else None,
        repository=(it.repository.name or it.repository.id) if it.repository else None,
        web_url=web or page,
        enabled=raw_word(it.queue_status) != "disabled",
    )


def project_of(it: wire.Definition, asked: str) -> tuple[str, str]:
    """Return the id (else what was asked for) and the name of a definition's project."""
    known = it.project or wire.ProjectRef()
    return (known.id or asked).lower() if known.id else asked, known.name or asked


def build(it: wire.BuildWire, connection: str, *, project: str, pipeline: str | None, page: str) -> Build:
    """Return a build as ours. `project` and `pipeline` are what was asked for, where the build does not say.

    `number` is its number only where that is one: `20260815.3` is a text. Azure DevOps counts attempts by stages and
    not on the build, so `attempt` stays unknown; the time of its end tells attempts apart.
    """
    raw = raw_word(it.status)
    if raw == "completed" and raw_word(it.result) not in {"", "none"}:
        raw = raw_word(it.result)
    status, conclusion = state_from(raw, STATES, finished=raw_word(it.status) == "completed")
    known = it.project or (it.definition.project if it.definition else None)
    if it.definition is not None:
        pipeline = f"{(known.id.lower() if known and known.id else project)}/{it.definition.id}"
    if pipeline is None:
        raise UnexpectedResponse(f"{LABEL} sent a build that names no pipeline.", provider=LABEL)
    about = {name: value for name, value in (it.trigger_info or {}).items() if isinstance(value, str) and value}
    request = pull_request(it.source_branch)
    number = it.build_number or ""
    finished = parse_time(it.finish_time)
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=str(it.id),
        number=int(number) if number.isascii() and number.isdecimal() and len(number) <= 12 else None,
        name=it.definition.name if it.definition else None,
        workflow=str(it.definition.id) if it.definition else None,
        repo=(it.repository.name or it.repository.id) if it.repository else None,
        branch=branch(it.source_branch, about),
        tag=without(TAGS, it.source_branch) if (it.source_branch or "").startswith(TAGS) else None,
        pull_request=request,
        commit=(about.get("pr.sourceSha") if request else None) or it.source_version or None,
        message=about.get("ci.message") or about.get("pr.title"),
        status=status,
        conclusion=conclusion,
        raw_state=raw or None,
        trigger=trigger(it),
        triggered_by=it.requested_for.display_name if it.requested_for else None,
        triggered_by_type=starter(it.requested_for),
        created_at=parse_time(it.queue_time),
        started_at=parse_time(it.start_time),
        completed_at=finished if status is Status.COMPLETED else None,
        updated_at=parse_time(it.last_changed_date)
        or latest(*map(parse_time, (it.queue_time, it.start_time, it.finish_time))),
        web_url=(it.links.web.href if it.links and it.links.web else None) or page,
    )


def branch(source: str | None, about: Mapping[str, str]) -> str | None:
    """Return the branch: for a pull request the one it comes from, none for a tag."""
    match source or "":
        case text if text.startswith(PULLS):
            return without(HEADS, about.get("pr.sourceBranch"))
        case text if text.startswith(TAGS):
            return None
        case text:
            return without(HEADS, text)


def pull_request(source: str | None) -> str | None:
    """Return the number in `refs/pull/73/merge`."""
    found = re.match(r"refs/pull/(\d{1,12})(?:/|$)", source or "")
    return found[1] if found else None


_SERVICE = re.compile(r"(?:svc|s2s)\.")
_TWO_GUIDS = re.compile(rf"{GUID.pattern}@{GUID.pattern}", re.IGNORECASE)


def starter(who: wire.Identity | None) -> Starter | None:
    """Return whether a person is meant: the service's own identities have descriptors and names of a kind."""
    if who is None:
        return None
    is_service = _SERVICE.match(who.descriptor or "") or _TWO_GUIDS.fullmatch(who.unique_name or "")
    return Starter.BOT if is_service else Starter.USER


def trigger(it: wire.BuildWire) -> Trigger:
    """Return what made the build start; by hand it is the web, unless a service asked."""
    found = TRIGGERS.get((it.reason or "").lower(), Trigger.UNKNOWN)
    return Trigger.API if found is Trigger.WEB and starter(it.requested_by) is Starter.BOT else found


# the timeline


@dataclass(frozen=True, slots=True)
class Tree:
    """A build's timeline: its records by id, each naming the one it is a part of."""

    records: Mapping[str, wire.Record]

    @classmethod
    def of(cls, timeline: wire.Timeline | None) -> Self:
        """Return the tree, empty for a build that has no timeline yet."""
        return cls({it.id: it for it in (timeline.records if timeline else None) or ()})

    def kind(self, *kinds: str) -> list[wire.Record]:
        """Return the records of some types, in the order they run."""
        return sorted((it for it in self.records.values() if it.type in kinds), key=self._order)

    def within(self, record: wire.Record, kind: str) -> wire.Record | None:
        """Return the nearest record of a type that holds this one, or is it."""
        return next((it for it in self._line(record) if it.type == kind), None)

    def tasks(self, job: wire.Record) -> list[wire.Record]:
        """Return a job's tasks."""
        return [it for it in self.kind("Task") if it.parent_id == job.id]

    def stage(self, record: wire.Record) -> str | None:
        """Return the name of the stage; none where the pipeline has no stages."""
        found = self.within(record, "Stage")
        return found.name if found and DEFAULT_STAGE not in {found.identifier, found.name} else None

    def annotations(self) -> Iterator[wire.Record]:
        """Yield the records whose issues count: tasks, and jobs that failed before one of their tasks could."""
        yield from self.kind("Task")
        for job in self.kind("Job"):
            if not any(it.error_count for it in self.tasks(job)):
                yield job

    def _line(self, record: wire.Record) -> Iterator[wire.Record]:
        seen: set[str] = set()
        at: wire.Record | None = record
        while at is not None and at.id not in seen:
            seen.add(at.id)
            yield at
            at = self.records.get(at.parent_id or "")

    def _order(self, record: wire.Record) -> tuple[int, ...]:
        return tuple(it.order or 0 for it in reversed(list(self._line(record))))


def state_of(it: wire.Record) -> tuple[str, Status, Conclusion | None]:
    """Return a record's own word and ours."""
    raw = raw_word(it.state)
    if raw == "completed" and it.result:
        raw = raw_word(it.result)
    return raw, *state_from(raw, RECORD_STATES, finished=raw_word(it.state) == "completed")


def judged(build: Build, tree: Tree) -> Build:
    """Return a build with what only its timeline tells: its jobs, an open approval, a job that ran too long."""
    if not tree.records:
        return build
    conclusion = build.conclusion
    if conclusion in RAN_OUT and any(_ran_too_long(job) for job in tree.kind("Job")):
        conclusion = Conclusion.TIMEOUT
    waiting = not build.completed and bool(open_approvals(tree))
    return replace(build, conclusion=conclusion, waiting=waiting, jobs=job_counts(jobs(tree, build, "")))


_TOO_LONG = re.compile(r"longer than the maximum|exceeded the maximum|maximum execution time", re.IGNORECASE)


def _ran_too_long(job: wire.Record) -> bool:
    return any(_TOO_LONG.search(it.message or "") for it in job.issues or ())


def jobs(tree: Tree, build: Build, page: str) -> tuple[Job, ...]:
    """Return a build's jobs in the order they run; the timeline holds the latest attempts only."""
    return tuple(_job(tree, it, build, page) for it in tree.kind("Job"))


def _job(tree: Tree, it: wire.Record, build: Build, page: str) -> Job:
    raw, status, conclusion = state_of(it)
    if conclusion in RAN_OUT and _ran_too_long(it):
        conclusion = Conclusion.TIMEOUT
    said = [issue.message for issue in it.issues or () if raw_word(issue.type) == "error" and issue.message]
    return Job(
        id=it.id,
        build=build.id,
        pipeline=build.pipeline,
        name=it.name or it.identifier or "a job without a name",
        stage=tree.stage(it),
        status=status,
        conclusion=conclusion,
        raw_state=raw or None,
        reason=said[0] if said else None,
        started_at=parse_time(it.start_time),
        completed_at=parse_time(it.finish_time) if status is Status.COMPLETED else None,
        web_url=f"{page}&view=logs&j={it.id}",
    )


def counts(tree: Tree) -> IssueCounts:
    """Return errors and warnings of the tasks, with a job's own errors where none of its tasks has one.

    Jobs and phases repeat what their tasks report. Analyzer warnings are known only where no list was cut short.
    """
    tasks = tree.kind("Task")
    errors = _total(it.error_count for it in tree.annotations())
    warnings = _total(it.warning_count for it in tasks)
    listed = [[issue for issue in it.issues or () if raw_word(issue.type) == "warning"] for it in tasks]
    whole = all(len(issues) >= (it.warning_count or 0) for issues, it in zip(listed, tasks, strict=True))
    analyzer = sum(_is_analyzers(issue) for issues in listed for issue in issues)
    return IssueCounts(
        errors=errors, warnings=warnings, analyzer_warnings=analyzer if whole and warnings is not None else None
    )


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _is_analyzers(issue: wire.IssueWire) -> bool:
    return raw_word(issue.category) == "code" or bool((issue.data or {}).get("code"))


def issues(tree: Tree, page: str) -> list[Issue]:
    """Return what tasks complain about, with a job's own errors where none of its tasks has one."""
    found: list[Issue] = []
    for record in tree.annotations():
        job = tree.within(record, "Job") or record
        for it in record.issues or ():
            is_error = raw_word(it.type) == "error"
            if it.message and (is_error or record.type == "Task"):
                found.append(_issue(it, job, is_error=is_error, page=page))
    return found


def _issue(it: wire.IssueWire, job: wire.Record, *, is_error: bool, page: str) -> Issue:
    data = it.data or {}
    line, file = data.get("linenumber"), data.get("sourcepath")
    kind = IssueKind.ERROR if is_error else IssueKind.ANALYZER_WARNING if _is_analyzers(it) else IssueKind.WARNING
    return Issue(
        kind=kind,
        message=it.message or "",
        job=job.name,
        file=file if isinstance(file, str) and file else None,
        line=int(line) if isinstance(line, str) and line.isascii() and line.isdecimal() and len(line) <= 9 else None,
        url=f"{page}&view=logs&j={job.id}",
    )


def open_approvals(tree: Tree) -> list[wire.Record]:
    """Return the approvals that are waited for; a record's id is the approval's."""
    return [it for it in tree.kind("Checkpoint.Approval") if raw_word(it.state) == "inProgress"]


def approval(
    tree: Tree, it: wire.Record, about: wire.Approval | None, *, pipeline: str, build: str, page: str
) -> Approval:
    """Return an approval as an approval, called by the stage it holds."""
    asked = [step.assigned_approver for step in (about.steps if about else None) or () if not _has_answered(step)]
    return Approval(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=tree.stage(it) or it.name or "Approval",
        approvers=tuple(who.display_name for who in asked if who and who.display_name),
        can_reject=True,
        instructions=(about.instructions or None) if about else None,
        url=page,
    )


def _has_answered(step: wire.ApprovalStep) -> bool:
    return raw_word(step.status) in {"approved", "rejected", "skipped", "canceled", "timedOut", "failed", "completed"}


# what a build leaves


def artifact(it: wire.ArtifactWire, pipeline: str, build: str) -> Artifact:
    """Return an artifact as ours; its address needs the token, so it is none for people."""
    size = (it.resource.properties or {}).get("artifactsize") if it.resource else None
    return Artifact(
        id=str(it.id) if it.id is not None else it.name,
        build=build,
        pipeline=pipeline,
        name=it.name,
        job=it.source or None,
        size_bytes=int(size) if isinstance(size, str) and size.isascii() and size.isdecimal() else None,
        kind=it.resource.type if it.resource else None,
    )


def summary_counts(it: wire.TestSummary) -> IssueCounts:
    """Return how many tests there are and failed, as counted for a whole build; without tests unknown."""
    analysis = it.aggregated_results_analysis
    if analysis is None or not analysis.total_tests:
        return IssueCounts()
    outcomes = analysis.results_by_outcome
    failed = None
    if outcomes is not None:
        failed = sum(it.count or 0 for name, it in outcomes.items() if name.lower() in FAILED_TESTS)
    return IssueCounts(test_failures=failed, tests_total=analysis.total_tests)


def run_counts(runs: Iterable[wire.TestRun]) -> IssueCounts:
    """Return the same from the runs of a build, one by one."""
    listed = list(runs)
    return IssueCounts(
        test_failures=_total(failures(it) for it in listed), tests_total=_total(it.total_tests for it in listed)
    )


def failures(run: wire.TestRun) -> int | None:
    """Return how many tests of a run failed; unknown without its statistics."""
    if run.run_statistics is None:
        return None
    return sum(it.count or 0 for it in run.run_statistics if (it.outcome or "").lower() in FAILED_TESTS)


def test(it: wire.TestResult, run: wire.TestRun) -> TestCase:
    """Return one test of a run as ours."""
    match (it.outcome or "").lower():
        case "passed" | "warning":
            outcome = Outcome.PASSED
        case word if word in FAILED_TESTS:
            outcome = Outcome.FAILED
        case word if word in SKIPPED_TESTS:
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    full, title = it.automated_test_name or "", it.test_case_title or ""
    scope = full.removesuffix(title).rstrip(".:/") if title and full.endswith(title) and full != title else ""
    return TestCase(
        name=title or full or "a test without a name",
        outcome=outcome,
        class_name=scope or it.automated_test_storage or None,
        detail=run.name,
        seconds=it.duration_in_ms / 1000 if it.duration_in_ms is not None else None,
        message=it.error_message or None,
    )
