"""GitHub's objects as our models: pure.

Facts: GitHub's API description and "Events that trigger workflows", read in August 2026. A run names its branch or tag
by `head_branch` alone; `pull_requests` are the open ones with the same head, and empty for forks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.core.errors import UsageError
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Commit,
    Conclusion,
    FilterField,
    Issue,
    IssueKind,
    Job,
    Person,
    Pipeline,
    Starter,
    Status,
    Trigger,
)
from bot.http.client import Query
from bot.providers.base.convert import StateMap, noreply_login, state_from, with_jobs
from bot.providers.base.times import latest, parse_time
from bot.providers.base.urls import web_page
from bot.providers.base.words import GITHUB_STATES, GITHUB_TRIGGERS
from bot.providers.github_actions import wire
from bot.providers.github_actions.details import build_details
from bot.providers.github_actions.urls import WORKFLOWS

LIST_FILTERS = frozenset({FilterField.BRANCH, FilterField.COMMIT, FilterField.SINCE, FilterField.UNTIL})
"""By what GitHub narrows its list of runs; also by single states."""
STATES = GITHUB_STATES
JOB_STATES: StateMap = {**STATES, "waiting": (Status.QUEUED, None)}
WAITING = frozenset({"waiting", "action_required"})
"""The states that a person ends."""
RED = frozenset({"failure", "timed_out", "startup_failure"})
TRIGGERS = GITHUB_TRIGGERS
LISTED: Mapping[str, str] = {"timeout": "timed_out", "skipped": "skipped"}
"""Our words that one of the list's own says exactly; the list takes one, so the others are distinguished here."""
FORK_APPROVAL = "fork"
ENVIRONMENT_PREFIX = "environment/"
NO_FILE = ".github"
"""The path of annotations that belong to no file."""
WHOLE_SHA = 40
PER_PAGE = 100
PULL_REQUEST_EVENTS = frozenset(
    {"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"}
)


def pipeline(workflow: wire.Workflow, repository: str, default_branch: str | None = None) -> Pipeline:
    """Return a workflow as a pipeline: its number makes the id, its file's name the path."""
    file = file_of(workflow.path) if (workflow.path or "").startswith(WORKFLOWS) else None
    return Pipeline(
        id=f"{repository}/{workflow.id}",
        path=f"{repository}/{file or workflow.id}",
        name=workflow.name or file or str(workflow.id),
        group=repository,
        default_branch=default_branch or None,
        repository=repository,
        web_url=workflow.html_url,
        enabled=workflow.state in {None, "active"},
    )


def list_query(build_filter: BuildFilter) -> Query:
    """Return as much of a filter as GitHub's list of runs can say; what it cannot is left to `BuildFilter.admits`."""
    commit = (build_filter.commit or "").lower()
    is_whole = len(commit) == WHOLE_SHA  # the list takes only whole ones; short ones are looked for here
    state = LISTED.get(next(iter(build_filter.states))) if len(build_filter.states) == 1 else None
    by_vendor = {FilterField.BRANCH, FilterField.SINCE, FilterField.UNTIL}
    by_vendor |= ({FilterField.COMMIT} if is_whole else set()) | ({FilterField.STATE} if state else set())
    is_narrowed = build_filter.fields <= by_vendor
    return {
        "branch": build_filter.branch,
        "head_sha": commit if is_whole else None,
        "status": state,
        "created": created_range(build_filter.since, build_filter.until),
        "per_page": min(max(build_filter.limit, 1), PER_PAGE) if is_narrowed else PER_PAGE,
    }


def created_range(since: datetime | None, until: datetime | None) -> str | None:
    """Return a span of time in the words of GitHub's search; its end is included there."""
    first, last = (at and at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (since, until))
    if first and last:
        return f"{first}..{last}"
    return f">={first}" if first else f"<={last}" if last else None


def raw_state(status: str | None, conclusion: str | None) -> str | None:
    """Return GitHub's own word: the conclusion of what is completed, else the status."""
    return conclusion if status == "completed" and conclusion else status


def build(run: wire.Run, connection: str, pipeline: str) -> Build:
    """Return a run as a build of a pipeline. Its end is the last time it changed: only its jobs know better."""
    raw = raw_state(run.status, run.conclusion)
    status, conclusion = state_from(raw, STATES, finished=run.status == "completed")
    source = source_of(run)
    starter, starter_type = _starter(run)
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=str(run.id),
        number=run.run_number,
        attempt=run.run_attempt,
        name=run.name,
        workflow=file_of(run.path),
        repo=run.repository.full_name if run.repository else None,
        branch=source.branch,
        tag=source.tag,
        pull_request=source.pull_request,
        target_branch=source.target_branch,
        from_fork=source.from_fork,
        commit=run.head_sha or None,
        head_commit=(run.head_sha or None) if source.pull_request and run.event != "merge_group" else None,
        message=(run.head_commit.message if run.head_commit else None) or run.display_title or None,
        author=_author(run),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=raw in WAITING,
        trigger=trigger(run),
        triggered_by=starter,
        triggered_by_type=starter_type,
        created_at=parse_time(run.created_at),
        started_at=parse_time(run.run_started_at) if status is not Status.QUEUED else None,
        completed_at=parse_time(run.updated_at) if status is Status.COMPLETED else None,
        updated_at=parse_time(run.updated_at),
        web_url=run.html_url,
        details=build_details(run),
    )


def with_its_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return a build with its jobs counted; a completed one with its real end, and partial where a tolerated job failed."""
    all_jobs = tuple(jobs)
    if not all_jobs:
        return build
    counted = with_jobs(build, all_jobs)
    conclusion = counted.conclusion
    if conclusion is Conclusion.PASSED and any(
        job.conclusion is not None and job.conclusion.is_red for job in all_jobs
    ):
        conclusion = Conclusion.PARTIAL
    if not build.completed:
        return counted
    ended = latest(*(job.completed_at for job in all_jobs))
    return replace(counted, conclusion=conclusion, completed_at=ended or build.completed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """What a run built."""

    branch: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    target_branch: str | None = None
    from_fork: bool | None = None


_PULL_REQUEST_REF = re.compile(r"^refs/pull/(\d+)/(?:head|merge)$")
_MERGE_QUEUE = re.compile(r"^(?:refs/heads/)?gh-readonly-queue/(?P<target>.+)/pr-(?P<number>\d+)-[0-9a-f]+$")


def source_of(run: wire.Run) -> RunSource:
    """Return what a run built, from its event, its head and the ref that some runs name after their file's path.

    A pull request's run names a branch of the repository only where its number is known and it comes from the
    repository itself. Else the branch is written `owner:branch`, as GitHub labels heads: no branch is called so, and no
    branch's history takes the run in.
    """
    ref = (run.path or "").partition("@")[2]
    queued = _MERGE_QUEUE.match(run.head_branch or "")
    if run.event == "merge_group" and queued is not None:
        return RunSource(branch=run.head_branch, pull_request=queued["number"], target_branch=queued["target"])
    if run.event in PULL_REQUEST_EVENTS or _PULL_REQUEST_REF.match(ref):
        return _pull_request_of(run, ref)
    if ref.startswith("refs/tags/"):
        return RunSource(tag=ref.removeprefix("refs/tags/"))
    if run.event == "release":
        return RunSource(tag=run.head_branch or None)
    if run.event != "push" and _is_from_fork(run):  # nobody pushes to a repository from another one
        return RunSource(branch=_head_label(run), from_fork=True)
    return RunSource(branch=run.head_branch or None)


def _pull_request_of(run: wire.Run, ref: str) -> RunSource:
    """Return the source of a pull request's run. Several open ones with the same head leave its number unknown."""
    named = _PULL_REQUEST_REF.match(ref)
    candidates = [it for it in run.pull_requests or () if it.number is not None]
    if named is not None:
        candidates = [it for it in candidates if str(it.number) == named[1]]
    request = candidates[0] if len(candidates) == 1 else None
    number = named[1] if named is not None else str(request.number) if request is not None else None
    from_fork = _is_from_fork(run)
    return RunSource(
        branch=run.head_branch or None if number is not None and not from_fork else _head_label(run),
        pull_request=number,
        target_branch=request.base.ref if request is not None and request.base is not None else None,
        from_fork=from_fork,
    )


def _is_from_fork(run: wire.Run) -> bool | None:
    head = run.head_repository.full_name if run.head_repository is not None else None
    if head is None or run.repository is None:
        return None
    return head.casefold() != run.repository.full_name.casefold()


def _head_label(run: wire.Run) -> str | None:
    """Return the head as `owner:branch`; None where its owner is unknown (a fork that was deleted)."""
    head = run.head_repository.full_name if run.head_repository is not None else None
    owner = (head or "").partition("/")[0]
    return f"{owner}:{run.head_branch}" if owner and run.head_branch else None


def file_of(workflow_path: str | None) -> str | None:
    """Return a workflow's file, without the directory that all of them stand in and without a ref."""
    return (workflow_path or "").partition("@")[0].removeprefix(WORKFLOWS) or None


def trigger(run: wire.Run) -> Trigger:
    """Return what made a run start. A dispatch by a person may be the button or a call: GitHub does not say which."""
    if run.event == "workflow_dispatch":
        actor = run.actor or run.triggering_actor
        return Trigger.API if actor is not None and actor.type == "Bot" else Trigger.WEB
    return TRIGGERS.get(run.event or "", Trigger.UNKNOWN)


def _starter(run: wire.Run) -> tuple[str | None, Starter | None]:
    """Return who started this attempt (`actor` is who started the first), and whether that is a person.

    No person starts a schedule's first attempt, though GitHub names the last one who committed to the file.
    """
    actor = run.triggering_actor or run.actor
    login = actor.login if actor is not None else None
    if run.event == "schedule" and (run.run_attempt or 1) == 1:
        return login, Starter.BOT
    if actor is None or not actor.login:
        return None, None
    is_bot = actor.type == "Bot" or actor.login.endswith("[bot]")
    return actor.login, Starter.BOT if is_bot else Starter.USER


def _author(run: wire.Run) -> Person | None:
    author = run.head_commit.author if run.head_commit else None
    if author is None or not (author.name or author.email):
        return None
    return Person(
        name=author.name or None, email=author.email or None, login=noreply_login(author.email, of_servers=True)
    )


def commit(sent: wire.CommitWire) -> Commit:
    """Return a commit of a comparison."""
    made = sent.commit
    message = made.message if made and made.message else ""
    author = made.author.name if made and made.author and made.author.name else ""
    return Commit(sha=sent.sha, subject=message.partition("\n")[0], author=author, url=sent.html_url)


def job(sent: wire.JobWire, pipeline: str, build: str) -> Job:
    """Return a job of a build. A queued one reads started when it was created."""
    raw = raw_state(sent.status, sent.conclusion)
    status, conclusion = state_from(raw, JOB_STATES, finished=sent.status == "completed")
    return Job(
        id=str(sent.id),
        build=build,
        pipeline=pipeline,
        name=sent.name or f"job {sent.id}",
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        attempt=sent.run_attempt if sent.run_attempt and sent.run_attempt > 1 else None,
        reason=job_reason(sent),
        runner=sent.runner_name or None,
        created_at=parse_time(sent.created_at),
        started_at=parse_time(sent.started_at) if status is not Status.QUEUED else None,
        completed_at=parse_time(sent.completed_at) if status is Status.COMPLETED else None,
        web_url=sent.html_url,
        details=job_details(sent),
    )


def job_details(sent: wire.JobWire) -> dict[str, str]:
    """Return where a job may run: its runner's group, and the labels it asks for."""
    details = {"runner group": sent.runner_group_name, "runner labels": ", ".join(sent.labels or ())}
    return {name: text for name, text in details.items() if text}


def attempts(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return the jobs of all attempts of a run; those that a later attempt has again are marked as retried.

    An attempt that runs only some jobs again has the others as they were.
    """
    in_order = list(jobs)
    newest = {job.name: index for index, job in sorted(enumerate(in_order), key=lambda pair: pair[1].attempt or 1)}
    return tuple(job if newest[job.name] == index else replace(job, retried=True) for index, job in enumerate(in_order))


def job_reason(sent: wire.JobWire) -> str | None:
    """Return which step of a job failed first."""
    first = next((step for step in sent.steps or () if step.conclusion in RED), None)
    return f"step “{first.name}” failed" if first and first.name else None


def annotation_issue(annotation: wire.Annotation, run: wire.CheckRun) -> Issue | None:
    """Return an annotation as an issue; notifications are none."""
    match annotation.annotation_level:
        case "failure":
            kind = IssueKind.ERROR
        case "warning":
            kind = IssueKind.WARNING
        case _:
            return None
    title, words = annotation.title, annotation.message or annotation.title or "an annotation without words"
    file = annotation.path if annotation.path and annotation.path != NO_FILE else None
    return Issue(
        kind=kind,
        message=f"{title}: {words}" if title and annotation.message and title != annotation.message else words,
        job=run.name,
        file=file,
        line=annotation.start_line if file else None,
        url=run.html_url or run.details_url,
    )


def failed_issue(name: str | None, reason: str | None, url: str | None) -> Issue:
    """Return a failed job that says nothing of its own as an issue."""
    return Issue(kind=IssueKind.ERROR, message=f"{name or 'A job'}: {reason or 'failed'}", job=name, url=url)


def approval(pending: wire.Pending, pipeline: str, build: str, page: str, *, by_app: bool) -> Approval:
    """Return a deployment that waits as an approval. Who may let it go on, and what else it waits for, is in its words."""
    reviewers = tuple(
        name
        for entry in pending.reviewers or ()
        if entry.reviewer and (name := entry.reviewer.login or entry.reviewer.name or entry.reviewer.slug)
    )
    is_allowed = pending.current_user_can_approve is True and not by_app
    return Approval(
        id=f"{ENVIRONMENT_PREFIX}{pending.environment.id}",
        build=build,
        pipeline=pipeline,
        name=pending.environment.name or f"environment {pending.environment.id}",
        approvers=reviewers,
        can_reject=is_allowed,
        instructions=_instructions(pending, reviewers, is_allowed=is_allowed),
        url=page,
    )


def _instructions(pending: wire.Pending, reviewers: tuple[str, ...], *, is_allowed: bool) -> str | None:
    started = parse_time(pending.wait_timer_started_at)
    sentences = []
    if pending.wait_timer and started is not None:
        ends = started + timedelta(minutes=min(pending.wait_timer, 43_200))
        sentences.append(f"Its wait timer ends at {ends:%Y-%m-%d %H:%M} UTC.")
    if reviewers and not is_allowed:
        sentences.append("Only its reviewers can decide, on the run's page; this connection is none of them.")
    elif not reviewers and not pending.wait_timer:
        sentences.append("A protection rule of another app decides.")
    return " ".join(sentences) or None


def fork_approval(pipeline: str, build: str, page: str) -> Approval:
    """Return the approval that a run of a newcomer's fork waits for."""
    return Approval(
        id=FORK_APPROVAL,
        build=build,
        pipeline=pipeline,
        name="Run the workflows of a fork",
        instructions="The pull request comes from a first-time contributor. Read its changes before you let it run.",
        url=page,
    )


def artifact(sent: wire.ArtifactWire, pipeline: str, build: str, page: str) -> Artifact:
    """Return an artifact of a build. Its page is for people who are signed in at GitHub."""
    return Artifact(
        id=str(sent.id),
        build=build,
        pipeline=pipeline,
        name=sent.name or str(sent.id),
        size_bytes=sent.size_in_bytes,
        kind="zip",
        url=web_page(page, "artifacts", sent.id),
    )


def waits_for_approval(run: wire.Run) -> bool:
    """Whether a run of a newcomer's fork waits to be let in."""
    return raw_state(run.status, run.conclusion) == "action_required"


def review(approval: Approval, *, approve: bool, comment: str | None) -> dict[str, object]:
    """Return the body of a deployment's review. Raises UsageError for an approval that is none of an environment."""
    number = approval.id.removeprefix(ENVIRONMENT_PREFIX)
    if not number.isdecimal():
        raise UsageError(f"`{approval.id[:80]}` is no environment of GitHub's.")
    return {
        "environment_ids": [int(number)],
        "state": "approved" if approve else "rejected",
        "comment": comment or ("Approved from Slack" if approve else "Rejected from Slack"),
    }
