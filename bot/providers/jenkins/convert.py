"""Jenkins' objects as the bot's models, and the state maps. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Commit,
    Conclusion,
    FilterField,
    IssueCounts,
    Person,
    Pipeline,
    Starter,
    Status,
    Trigger,
)
from bot.http.reading import note_skipped
from bot.providers.base.convert import noreply_login, repository, state_from
from bot.providers.base.listing import parse_items
from bot.providers.base.times import parse_time
from bot.providers.base.words import JENKINS_STATES, JENKINS_TRIGGERS
from bot.providers.jenkins import wire
from bot.providers.jenkins.details import build_details
from bot.providers.jenkins.parameters import branch_default, definitions, kind, parameter, text_of
from bot.providers.jenkins.urls import QUEUED, below, is_number, parent, pull_request, readable_name

LIST_FILTERS = frozenset({FilterField.BRANCH})
"""By what Jenkins narrows its builds: each branch has a job of its own."""
STATES = JENKINS_STATES
TRIGGERS = JENKINS_TRIGGERS
PULL_REQUEST_NUMBERS = ("ghprbPullId", "CHANGE_ID", "gitlabMergeRequestIid", "pullRequestId", "PULL_REQUEST_ID")
"""Parameters in which plugins that build pull requests of plain jobs record the number."""
PULL_REQUEST_REPOSITORIES = (
    ("ghprbAuthorRepoGitUrl", "ghprbPullLink"),
    ("gitlabSourceRepoHttpUrl", "gitlabTargetRepoHttpUrl"),
    ("gitlabSourceRepoSshUrl", "gitlabTargetRepoSshUrl"),
)
"""Parameters in which those plugins record where a pull request comes from and where it goes. The job of a multibranch
project records neither: whether its pull request is a fork's stays unknown."""
PULL_REQUEST_SOURCES = ("ghprbSourceBranch", "CHANGE_BRANCH", "gitlabSourceBranch", "sourceBranch")
PULL_REQUEST_HEADS = ("ghprbActualCommit", "gitlabMergeRequestLastCommit")
PULL_REQUEST_TARGETS = ("ghprbTargetBranch", "CHANGE_TARGET", "gitlabTargetBranch", "targetBranch")
_PULL_REQUEST_REF = re.compile(r"(?:pr|pull|pull-requests|merge-requests)/([0-9]{1,12})(?:/(?:head|merge|from))?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """What a reader has to know besides the object."""

    connection: str
    pipeline: str
    page: str
    user: str
    alias: str | None = None
    is_branch: bool = False


def members(items: Iterable[msgspec.Raw] | None, read: Callable[[msgspec.Raw], T]) -> list[T]:
    """Return the members that read: each plugin may add what it likes, and an odd one spoils only itself."""
    readable = []
    for item in items or ():
        try:
            readable.append(read(item))
        except UnexpectedResponse as exc:
            note_skipped(exc)
            continue
    return readable


def is_container(raw: wire.Item) -> bool:
    """Return whether jobs stand in it: folders have neither colour nor builds."""
    name = kind(raw.class_).lower()
    return name.endswith(("folder", "multibranchproject")) or (raw.jobs is not None and raw.color is None)


def is_multibranch(raw: wire.Item) -> bool:
    """Return whether each job in it is a branch."""
    return kind(raw.class_).endswith("MultiBranchProject")


def is_branch_job(settings: Iterable[msgspec.Raw] | None) -> bool:
    """Return whether a job with these settings is a branch of a multibranch project."""
    return any(kind(setting.class_) == "BranchJobProperty" for setting in members(settings, wire.Property.of))


def jobs_in(raw: wire.Item, name: str) -> Iterator[tuple[str, wire.Item]]:
    """Yield what stands directly in a folder, with its full name; what has no name is passed over."""
    for inside in parse_items(raw.jobs or (), wire.Item.of):
        full_name = inside.full_name or ("/".join(filter(None, (name, inside.name))) if inside.name else None)
        if full_name:
            yield full_name, inside


def actions(items: Iterable[msgspec.Raw] | None) -> list[wire.Action]:
    """Return the actions that read."""
    return members(items, wire.Action.of)


def causes(of: Iterable[wire.Action]) -> list[wire.Cause]:
    """Return build_causes a build started; several causes are normal."""
    return [cause for action in of for cause in action.causes or ()]


def values(of: Iterable[wire.Action]) -> list[wire.ParameterValue]:
    """Return what a build was given."""
    return [value for action in of for value in action.parameters or ()]


def by_user(of: Iterable[wire.Cause], user: str) -> bool:
    """Return whether a user started it."""
    return any(cause.user_id is not None and cause.user_id.lower() == user.lower() for cause in of)


def pipeline(raw: wire.Item, full_name: str, *, page: str, in_multibranch: bool) -> Pipeline:
    """Return a job as a pipeline; a branch's job is named after its project, too.

    The default branch is the branch of a branch's job, else the default of the job's branch parameter. Without either
    it is None: what the newest build happened to build says nothing.
    """
    above, own = parent(full_name), full_name.rpartition("/")[2]
    display_name = raw.display_name or unquote(own)
    if in_multibranch and above is not None:
        project = above.rpartition("/")
        display_name, above = f"{unquote(project[2])} » {display_name}", project[0] or None
    branch = branch_default(definitions(raw))
    if in_multibranch:
        branch = unquote(own) if pull_request(own) is None else None
    newest = git(actions(raw.last_build.actions)) if raw.last_build else None
    remotes = newest.remote_urls if newest else None
    return Pipeline(
        id=full_name,
        path=full_name,
        name=display_name,
        group=readable_name(above) if above else None,
        default_branch=branch,
        repository=repository(remotes[0]) if remotes else None,
        web_url=page,
        enabled=raw.buildable is not False and not (raw.color or "").startswith("disabled"),
    )


def checkout(raw: wire.Item) -> wire.Action | None:
    """Return what the newest build of a job checked out."""
    return git(actions(raw.last_build.actions)) if raw.last_build else None


def git(of: Iterable[wire.Action], branch: str | None = None, *, is_certain: bool = False) -> wire.Action | None:
    """Return what was checked out. A shared library adds its own: then the one of the wanted branch, else the last.

    `is_certain`: nothing else than the wanted branch can have been built, so another branch's checkout is a library's.
    """
    checkouts = [action for action in of if action.last_built_revision is not None and action.last_built_revision.sha]
    for action in checkouts:
        if branch is not None and branch in {name.removeprefix("tags/") for name in _branches(action)}:
            return action
    if is_certain:
        checkouts = [action for action in checkouts if not _branches(action)]
    return checkouts[-1] if checkouts else None


def git_ref(action: wire.Action | None) -> tuple[str | None, str | None]:
    """Return the branch and the tag that git names."""
    names = _branches(action) if action else []
    for name in names:
        if name.startswith("tags/"):
            return None, name.removeprefix("tags/")
    return (names[0], None) if names else (None, None)


def _branches(action: wire.Action) -> list[str]:
    branches = action.last_built_revision.branch if action.last_built_revision else None
    names = [plain_branch(branch.name or "") for branch in branches or ()]
    return [name for name in names if name]


def plain_branch(name: str) -> str | None:
    """Return a branch without git's prefixes; tags keep `tags/`, a checkout of a bare commit has none."""
    short = re.sub(r"^refs/(?:heads/)?", "", name.strip())
    short = re.sub(r"^(?:remotes/)?origin/", "", short)
    return None if short in {"", "detached", "HEAD"} else short


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRef:
    """What a build was made of: a branch, a tag, or a pull request with its branches where they are reported."""

    branch: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    target_branch: str | None = None
    from_fork: bool | None = None
    head_commit: str | None = None


def built_ref(context: ReadContext, build_actions: Iterable[wire.Action], source: wire.Action | None) -> BuiltRef:
    """Return what was built.

    The job of a pull request (`PR-12`) or of a branch says it by its name; other jobs by the parameters that plugins
    record for a pull request, else by what git checked out (`pull/12/merge`, `tags/v2`, a branch).
    """
    own = context.pipeline.rpartition("/")[2]
    branch, tag = git_ref(source)
    number = pull_request(own) if "/" in context.pipeline else None
    if number is not None:
        return BuiltRef(pull_request=number)
    if context.is_branch:
        name = unquote(own)
        return BuiltRef(tag=name) if tag == name else BuiltRef(branch=name)
    recorded = {value.name: text_of(value.value) or "" for value in values(build_actions)}
    number = next((recorded[name] for name in PULL_REQUEST_NUMBERS if is_number(recorded.get(name, ""))), None)
    match = _PULL_REQUEST_REF.fullmatch(branch or "")
    if number is None and match is None:
        return BuiltRef(branch=branch, tag=tag)
    return BuiltRef(
        pull_request=number or (match[1] if match else None),
        branch=next((recorded[name] for name in PULL_REQUEST_SOURCES if recorded.get(name)), None),
        target_branch=next((recorded[name] for name in PULL_REQUEST_TARGETS if recorded.get(name)), None),
        from_fork=_is_from_fork(recorded),
        head_commit=next((recorded[name] for name in PULL_REQUEST_HEADS if recorded.get(name)), None),
    )


def _is_from_fork(recorded: Mapping[str, str]) -> bool | None:
    """Return whether a pull request comes from another repository than it goes to, None where no plugin recorded both."""
    for source, target in PULL_REQUEST_REPOSITORIES:
        if recorded.get(source) and recorded.get(target):
            ends = [repository(recorded[name].partition("/pull/")[0]) or "" for name in (source, target)]
            return ends[0].casefold() != ends[1].casefold()
    return None


def trigger(of: Iterable[wire.Cause], user: str, *, is_pull_request: bool) -> Trigger:
    """Return what made a build start: the first cause that says so."""
    for cause in of:
        trigger_ = TRIGGERS.get(kind(cause.class_))
        if trigger_ is Trigger.WEB and cause.user_id is not None and cause.user_id.lower() == user.lower():
            return Trigger.API
        if trigger_ is Trigger.PUSH and is_pull_request:
            return Trigger.MERGE_REQUEST
        if trigger_ is not None:
            return trigger_
    return Trigger.UNKNOWN


def starter(of: Collection[wire.Cause]) -> tuple[str | None, Starter | None]:
    """Return who started a build: a person, else the build above, else nobody we know."""
    for cause in of:
        if cause.user_id or cause.user_name:
            return cause.user_name or cause.user_id, Starter.USER
    for cause in of:
        if cause.upstream_project:
            number = f" #{cause.upstream_build}" if cause.upstream_build is not None else ""
            return f"{readable_name(cause.upstream_project)}{number}", Starter.BOT
    return None, Starter.BOT if of else None


def state(raw: wire.Run) -> tuple[Status, Conclusion | None, str]:
    """Return how a build stands. A result counts only when it no longer builds: freestyle jobs set it before."""
    building = raw.building if raw.building is not None else raw.in_progress
    if building or raw.result is None:
        return Status.IN_PROGRESS, None, "BUILDING"
    status, conclusion = state_from(raw.result, STATES, finished=True)
    return status, conclusion, raw.result


def ended_at(raw: wire.Run | wire.LastBuild) -> datetime | None:
    """Return when a build that no longer runs ended."""
    if raw.timestamp is None or raw.duration is None:
        return None
    return parse_time(raw.timestamp + max(raw.duration, 0))


def tells_inputs(build_actions: Iterable[wire.Action]) -> bool:
    """Return whether a build's actions say whether an input step waits; older servers leave that to the stage view."""
    return any(action.waiting_for_input is not None for action in build_actions)


def build(raw: wire.Run, context: ReadContext) -> Build:
    """Return a build as the bot's model."""
    status, conclusion, word = state(raw)
    build_actions = actions(raw.actions)
    build_causes = causes(build_actions)
    own = context.pipeline.rpartition("/")[2]
    is_request = "/" in context.pipeline and pull_request(own) is not None
    source = git(build_actions, unquote(own), is_certain=is_request or context.is_branch)
    ref = built_ref(context, build_actions, source)
    sha = source.last_built_revision.sha if source and source.last_built_revision else None
    change = _change(raw, sha)
    name, starter_kind = starter(build_causes)
    tests = next((action for action in build_actions if action.total_count is not None), None)
    remotes = source.remote_urls if source else None
    started = parse_time(raw.timestamp)
    completed = ended_at(raw) if status is Status.COMPLETED else None
    return Build(
        connection=context.connection,
        pipeline=context.pipeline,
        id=context.alias or str(raw.number),
        number=raw.number,
        name=readable_name(context.pipeline),
        repo=repository(remotes[0]) if remotes else None,
        branch=ref.branch,
        tag=ref.tag,
        pull_request=ref.pull_request,
        target_branch=ref.target_branch,
        from_fork=ref.from_fork,
        commit=sha,
        head_commit=ref.head_commit,
        message=(change.comment or change.msg or None) if change else None,
        author=_author(change),
        status=status,
        conclusion=conclusion,
        raw_state=word,
        waiting=status is Status.IN_PROGRESS and any(action.waiting_for_input for action in build_actions),
        trigger=trigger(build_causes, context.user, is_pull_request=ref.pull_request is not None),
        triggered_by=name,
        triggered_by_type=starter_kind,
        started_at=started,
        completed_at=completed,
        updated_at=completed or started,
        web_url=f"{context.page}{raw.number}/",
        issues=IssueCounts(test_failures=tests.fail_count, tests_total=tests.total_count) if tests else IssueCounts(),
        details=build_details(raw, build_actions, build_causes),
    )


def queued(raw: wire.QueueItem, context: ReadContext) -> Build:
    """Return a queue item as a build without a number."""
    build_actions = actions(raw.actions)
    build_causes = causes(build_actions)
    ref = built_ref(context, build_actions, None)
    name, starter_kind = starter(build_causes)
    word = "CANCELLED" if raw.cancelled else "QUEUED"
    status, conclusion = STATES[word]
    since = parse_time(raw.in_queue_since)
    return Build(
        connection=context.connection,
        pipeline=context.pipeline,
        id=f"{QUEUED}{raw.id}",
        name=readable_name(context.pipeline),
        branch=ref.branch,
        pull_request=ref.pull_request,
        target_branch=ref.target_branch,
        from_fork=ref.from_fork,
        status=status,
        conclusion=conclusion,
        raw_state=word,
        trigger=trigger(build_causes, context.user, is_pull_request=ref.pull_request is not None),
        triggered_by=name,
        triggered_by_type=starter_kind,
        created_at=since,
        updated_at=since,
        web_url=context.page,
    )


def _changes(raw: wire.Run) -> list[wire.Change]:
    sets = [*members(raw.change_sets, wire.ChangeSet.of), *([raw.change_set] if raw.change_set else ())]
    return [change for each in sets for change in each.items or ()]


def commits(raw: wire.Run) -> tuple[Commit, ...]:
    """Return the commits that are new in a build, newest first, as far as its plugins tell them."""
    return tuple(
        Commit(
            sha=change.commit_id,
            subject=(change.msg or change.comment or "").strip().partition("\n")[0],
            author=(change.author.full_name or "") if change.author else "",
        )
        for change in reversed(_changes(raw))
        if change.commit_id
    )


def _change(raw: wire.Run, sha: str | None) -> wire.Change | None:
    """Return the change that the built commit is, where it is among the build's changes."""
    return next((change for change in _changes(raw) if sha is not None and change.commit_id == sha), None)


def _author(change: wire.Change | None) -> Person | None:
    name = (change.author.full_name if change and change.author else None) or None
    email = (change.author_email if change else None) or None
    return Person(name=name, email=email, login=noreply_login(email)) if name or email else None


def artifact(raw: wire.FileWire, build: str, pipeline: str, size: int | None, page: str) -> Artifact:
    """Return an archived file as an artifact; `page` is its build's."""
    path = raw.relative_path
    return Artifact(
        id=path,
        build=build,
        pipeline=pipeline,
        name=path,
        size_bytes=size,
        url=below(page, "artifact", *path.split("/")),
    )


# approvals


def approvals(build_actions: Iterable[wire.Action], *, build: str, pipeline: str, page: str) -> Iterator[Approval]:
    """Yield the input steps that wait, as a build's actions report them."""
    for action in build_actions:
        for execution in action.executions or () if action.waiting_for_input else ():
            if execution.settled:
                continue
            step = execution.input or wire.Input()
            yield Approval(
                id=execution.id,
                build=build,
                pipeline=pipeline,
                name=step.message or execution.display_name or execution.id,
                fields=tuple(map(parameter, step.parameters or ())),
                approvers=tuple(who.strip() for who in (step.submitter or "").split(",") if who.strip()),
                can_reject=True,
                url=f"{page}input/",
            )


def pending_approval(raw: wire.PendingInput, *, build: str, pipeline: str, page: str) -> Approval:
    """Return an input step as the stage view reports it; it does not say who may decide."""
    fields = (
        wire.Definition(
            name=field.name,
            type=field.type,
            description=field.description,
            choices=field.definition.choices if field.definition else None,
            default_parameter_value=wire.Default(value=field.definition.default_val) if field.definition else None,
        )
        for field in raw.inputs or ()
    )
    return Approval(
        id=raw.id,
        build=build,
        pipeline=pipeline,
        name=raw.message or raw.id,
        fields=tuple(map(parameter, fields)),
        can_reject=True,
        url=f"{page}input/",
    )
