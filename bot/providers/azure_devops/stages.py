"""A build's timeline as models: stages, jobs and tasks, issue counts, approvals. Pure.

Page: https://learn.microsoft.com/rest/api/azure/devops/build/timeline/get
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from bot.core.models import Approval, Build, Conclusion, Issue, IssueCounts, IssueKind, Job, Status
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.convert import STOPPED_EARLY, raw_word, whole_number
from bot.providers.base.convert import job_counts, state_from, total
from bot.providers.base.times import parse_time
from bot.providers.base.words import AZURE_RECORD_STATES

RECORD_STATES = AZURE_RECORD_STATES
APPROVAL_RECORD = "Checkpoint.Approval"
DEFAULT_STAGE = "__default"
"""The stage of a YAML pipeline that has no stages."""
ANSWERED = frozenset({"approved", "rejected", "skipped", "canceled", "timedOut", "failed", "completed"})
_TOO_LONG = re.compile(r"longer than the maximum|exceeded the maximum|maximum execution time", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TimelineTree:
    """A build's timeline: its records by id, each naming the record it is a part of."""

    records: Mapping[str, wire.Record]

    @classmethod
    def of(cls, records: Iterable[wire.Record]) -> Self:
        """Return the tree of some records."""
        return cls({record.id: record for record in records})

    def of_type(self, *types: str) -> list[wire.Record]:
        """Return the records of some types, in the order they run."""
        return sorted((record for record in self.records.values() if record.type in types), key=self._order)

    def enclosing(self, record: wire.Record, record_type: str) -> wire.Record | None:
        """Return the nearest record of a type that holds this one, or is it."""
        return next((above for above in self._ancestry(record) if above.type == record_type), None)

    def tasks(self, job: wire.Record) -> list[wire.Record]:
        """Return a job's tasks."""
        return [task for task in self.of_type("Task") if task.parent_id == job.id]

    def stage_name(self, record: wire.Record) -> str | None:
        """Return the name of a record's stage; None where the pipeline has no stages."""
        stage = self.enclosing(record, "Stage")
        return stage.name if stage and DEFAULT_STAGE not in {stage.identifier, stage.name} else None

    def with_issues(self) -> Iterator[wire.Record]:
        """Yield the records whose issues count: tasks, and jobs that failed before one of their tasks could."""
        yield from self.of_type("Task")
        for job in self.of_type("Job"):
            if not any(task.error_count for task in self.tasks(job)):
                yield job

    def _ancestry(self, record: wire.Record) -> Iterator[wire.Record]:
        visited: set[str] = set()
        current: wire.Record | None = record
        while current is not None and current.id not in visited:
            visited.add(current.id)
            yield current
            current = self.records.get(current.parent_id or "")

    def _order(self, record: wire.Record) -> tuple[int, ...]:
        return tuple(above.order or 0 for above in reversed(list(self._ancestry(record))))


def state_of(record: wire.Record) -> tuple[str, Status, Conclusion | None]:
    """Return a record's own word, its status and its conclusion."""
    raw = raw_word(record.state)
    if raw == "completed" and record.result:
        raw = raw_word(record.result)
    return raw, *state_from(raw, RECORD_STATES, finished=raw_word(record.state) == "completed")


def is_red(record: wire.Record) -> bool:
    """Return whether a retry of the failed jobs runs this one again."""
    return state_of(record)[2] in {*STOPPED_EARLY, Conclusion.PARTIAL}


def with_timeline(build: Build, tree: TimelineTree) -> Build:
    """Return a build with what only its timeline reports: its jobs, an open approval, a job that ran too long."""
    if not tree.records:
        return build
    conclusion = build.conclusion
    if conclusion in STOPPED_EARLY and any(_ran_too_long(job) for job in tree.of_type("Job")):
        conclusion = Conclusion.TIMEOUT
    waiting = not build.completed and bool(open_approvals(tree))
    return replace(build, conclusion=conclusion, waiting=waiting, jobs=job_counts(jobs(tree, build, "")))


def may_change(build: Build, states: Collection[str]) -> bool:
    """Return whether only the timeline reports if a build is in one of the wanted states."""
    return ("timeout" in states and build.conclusion in STOPPED_EARLY) or (
        "blocked" in states and build.status is Status.IN_PROGRESS
    )


def jobs(tree: TimelineTree, build: Build, page: str) -> tuple[Job, ...]:
    """Return a build's jobs in the order they run; the timeline holds the latest attempts only."""
    return tuple(_job(tree, record, build, page) for record in tree.of_type("Job"))


def earlier_timelines(tree: TimelineTree) -> list[str]:
    """Return the ids of the timelines that hold attempts which later ones replaced, oldest first."""
    tries = [earlier for job in tree.of_type("Job") for earlier in job.previous_attempts or ()]
    in_order = sorted(tries, key=lambda earlier: earlier.attempt or 0)
    return list(dict.fromkeys(earlier.timeline_id for earlier in in_order if earlier.timeline_id))


def replaced_in(tree: TimelineTree, timeline: str) -> Mapping[str, str]:
    """Return the jobs of one earlier timeline that later ones replaced: their record's id, and that of the present one."""
    return {
        earlier.record_id: job.id
        for job in tree.of_type("Job")
        for earlier in job.previous_attempts or ()
        if earlier.timeline_id == timeline and earlier.record_id
    }


def earlier_jobs(
    tree: TimelineTree, replaced: Mapping[str, str], build: Build, page: str, timeline: str
) -> Iterator[Job]:
    """Yield the jobs of an earlier attempt's timeline. Their id is `<timeline>/<record>`: a record's id may come again."""
    for record in tree.of_type("Job"):
        if record.id in replaced:
            job = _job(tree, record, build, page)
            yield replace(job, id=f"{timeline}/{record.id}", retried=True, replaced_by=replaced[record.id])


def _job(tree: TimelineTree, record: wire.Record, build: Build, page: str) -> Job:
    raw, status, conclusion = state_of(record)
    if conclusion in STOPPED_EARLY and _ran_too_long(record):
        conclusion = Conclusion.TIMEOUT
    errors = [issue.message for issue in record.issues or () if raw_word(issue.type) == "error" and issue.message]
    return Job(
        id=record.id,
        build=build.id,
        pipeline=build.pipeline,
        name=record.name or record.identifier or "a job without a name",
        stage=tree.stage_name(record),
        status=status,
        conclusion=conclusion,
        raw_state=raw or None,
        attempt=record.attempt if record.attempt and record.attempt > 1 else None,
        reason=errors[0] if errors else None,
        runner=record.worker_name or None,
        issues=IssueCounts(errors=total([record.error_count]), warnings=total([record.warning_count])),
        started_at=parse_time(record.start_time),
        completed_at=parse_time(record.finish_time) if status is Status.COMPLETED else None,
        web_url=_log_page(page, record),
    )


def _ran_too_long(job: wire.Record) -> bool:
    return any(_TOO_LONG.search(issue.message or "") for issue in job.issues or ())


def _log_page(page: str, job: wire.Record) -> str:
    return f"{page}&view=logs&j={job.id}"


# issues


def counts(tree: TimelineTree) -> IssueCounts:
    """Return errors and warnings of the tasks, with a job's own errors where none of its tasks has one.

    Jobs and phases repeat what their tasks report. Analyzer warnings are known only where no list was cut short.
    """
    tasks = tree.of_type("Task")
    errors = total(record.error_count for record in tree.with_issues())
    warnings = total(task.warning_count for task in tasks)
    listed = [[issue for issue in task.issues or () if raw_word(issue.type) == "warning"] for task in tasks]
    whole = all(len(issues) >= (task.warning_count or 0) for issues, task in zip(listed, tasks, strict=True))
    analyzer = sum(_is_analyzers(issue) for issues in listed for issue in issues)
    return IssueCounts(
        errors=errors, warnings=warnings, analyzer_warnings=analyzer if whole and warnings is not None else None
    )


def issues(tree: TimelineTree, page: str) -> list[Issue]:
    """Return what tasks complain about, with a job's own errors where none of its tasks has one."""
    return [
        _issue(issue, tree.enclosing(record, "Job") or record, is_error=is_error, page=page)
        for record in tree.with_issues()
        for issue in record.issues or ()
        if issue.message and ((is_error := raw_word(issue.type) == "error") or record.type == "Task")
    ]


def _issue(issue: wire.IssueWire, job: wire.Record, *, is_error: bool, page: str) -> Issue:
    data = issue.data or {}
    file = data.get("sourcepath")
    warning = IssueKind.ANALYZER_WARNING if _is_analyzers(issue) else IssueKind.WARNING
    return Issue(
        kind=IssueKind.ERROR if is_error else warning,
        message=issue.message or "",
        job=job.name,
        file=file if isinstance(file, str) and file else None,
        line=whole_number(data.get("linenumber"), digits=9),
        url=_log_page(page, job),
    )


def _is_analyzers(issue: wire.IssueWire) -> bool:
    return raw_word(issue.category) == "code" or bool((issue.data or {}).get("code"))


# approvals


def open_approvals(tree: TimelineTree) -> list[wire.Record]:
    """Return the approvals that wait for a person; a record's id is the approval's."""
    return [record for record in tree.of_type(APPROVAL_RECORD) if raw_word(record.state) == "inProgress"]


def approvals(
    tree: TimelineTree, details: Mapping[str, wire.Approval], *, pipeline: str, build: str, page: str
) -> tuple[Approval, ...]:
    """Return the open approvals; `details` are what their own API reports of them, by id in lower case.

    An approval is called by the stage it holds. In a YAML without stages it is called `Approval`: the record's own name
    is a type of the service's. Those of one name are numbered.
    """
    records = open_approvals(tree)
    names = [tree.stage_name(record) or _own_name(record) for record in records]
    again: Counter[str] = Counter()
    listed: list[Approval] = []
    for record, name in zip(records, names, strict=True):
        again[name] += 1
        about = details.get(record.id.lower())
        steps = (about.steps if about else None) or ()
        approvers = [step.assigned_approver for step in steps if raw_word(step.status) not in ANSWERED]
        listed.append(
            Approval(
                id=record.id,
                build=build,
                pipeline=pipeline,
                name=name if again[name] == 1 else f"{name} {again[name]}",
                approvers=tuple(who.display_name for who in approvers if who and who.display_name),
                can_reject=True,
                instructions=(about.instructions or None) if about else None,
                url=page,
            )
        )
    return tuple(listed)


def _own_name(record: wire.Record) -> str:
    name = (record.name or "").strip()
    return name if name and not name.startswith(("Checkpoint", "__")) else "Approval"


# running again


def stage_jobs(tree: TimelineTree, stage: wire.Record) -> list[wire.Record]:
    """Return the jobs of a stage."""
    return [job for job in tree.of_type("Job") if tree.enclosing(job, "Stage") is stage]
