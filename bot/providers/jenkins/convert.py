"""Jenkins' objects in our words: pure readers and state maps."""

import html
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Build,
    Conclusion,
    IssueCounts,
    Parameter,
    ParameterType,
    Person,
    Pipeline,
    Starter,
    Status,
    Trigger,
)
from bot.providers.base.convert import StateMap, repository, state_from
from bot.providers.base.times import parse_time
from bot.providers.jenkins import wire
from bot.providers.jenkins.urls import QUEUED, parent, pull_request, readable_name

STATES: StateMap = {
    "QUEUED": (Status.QUEUED, None),
    "BUILDING": (Status.IN_PROGRESS, None),
    "SUCCESS": (Status.COMPLETED, Conclusion.PASSED),
    "UNSTABLE": (Status.COMPLETED, Conclusion.PARTIAL),
    "FAILURE": (Status.COMPLETED, Conclusion.FAILED),
    "ABORTED": (Status.COMPLETED, Conclusion.CANCELLED),
    "NOT_BUILT": (Status.COMPLETED, Conclusion.SKIPPED),
    "CANCELLED": (Status.COMPLETED, Conclusion.CANCELLED),
}
"""Jenkins' results, and our words for what has none: an item in the queue or taken out of it, a running build."""
TRIGGERS: Mapping[str, Trigger] = {
    "UserIdCause": Trigger.WEB,
    "UserCause": Trigger.WEB,
    "ReplayCause": Trigger.WEB,
    "RestartDeclarativePipelineCause": Trigger.WEB,
    "RebuildCause": Trigger.WEB,
    "RemoteCause": Trigger.API,
    "UpstreamCause": Trigger.API,
    "BuildUpstreamCause": Trigger.API,
    "TimerTriggerCause": Trigger.CRON,
    "SCMTriggerCause": Trigger.PUSH,
    "GitHubPushCause": Trigger.PUSH,
    "GitLabWebHookCause": Trigger.PUSH,
    "BranchEventCause": Trigger.PUSH,
    "BranchIndexingCause": Trigger.PUSH,
}
_SECRET_TYPES = ("Password", "Credentials", "NonStored", "Vault")
_YES = frozenset({"true", "yes", "1", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a reader has to know besides the object."""

    connection: str
    pipeline: str
    page: str
    user: str
    alias: str | None = None
    is_branch: bool = False


def kind(class_: str) -> str:
    """Return a Java class's own name."""
    return re.split(r"[.$]", class_)[-1]


def is_container(it: wire.Item) -> bool:
    """Return whether jobs stand in it: folders have neither colour nor builds."""
    named = kind(it.class_).lower()
    return named.endswith(("folder", "multibranchproject")) or (it.jobs is not None and it.color is None)


def is_multibranch(it: wire.Item) -> bool:
    """Return whether each job in it is a branch."""
    return kind(it.class_).endswith("MultiBranchProject")


def is_branch_job(properties: Iterable[wire.Property] | None) -> bool:
    """Return whether a job with these settings is a branch of a multibranch project."""
    return any(kind(it.class_) == "BranchJobProperty" for it in properties or ())


def definitions(it: wire.Item) -> tuple[wire.Definition, ...]:
    """Return the parameters that a job declares."""
    return tuple(one for setting in it.property or () for one in setting.parameter_definitions or ())


def actions(items: Iterable[msgspec.Raw] | None) -> list[wire.Action]:
    """Return the actions that read: each plugin may add what it likes, and an odd one spoils only itself."""
    found = []
    for item in items or ():
        try:
            found.append(wire.Action.of(item))
        except UnexpectedResponse:
            continue
    return found


def causes(of: Iterable[wire.Action]) -> list[wire.Cause]:
    """Return why a build started; several causes are normal."""
    return [cause for action in of for cause in action.causes or ()]


def values(of: Iterable[wire.Action]) -> list[wire.ParameterValue]:
    """Return what a build was given."""
    return [value for action in of for value in action.parameters or ()]


def is_secret(class_or_type: str) -> bool:
    """Return whether a parameter of this type is hidden."""
    return kind(class_or_type).startswith(_SECRET_TYPES)


def by_user(of: Iterable[wire.Cause], user: str) -> bool:
    """Return whether a user started it."""
    return any(cause.user_id is not None and cause.user_id.lower() == user.lower() for cause in of)


def pipeline(it: wire.Item, full_name: str, *, page: str, in_multibranch: bool) -> Pipeline:
    """Return a job as a pipeline; a branch's job is named after its project, too."""
    above = parent(full_name)
    shown = it.display_name or unquote(full_name.rpartition("/")[2])
    if in_multibranch and above is not None:
        project = above.rpartition("/")
        shown, above = f"{unquote(project[2])} » {shown}", project[0] or None
    return Pipeline(
        id=full_name,
        path=full_name,
        name=shown,
        group=readable_name(above) if above else None,
        web_url=page,
        enabled=it.buildable is not False and not (it.color or "").startswith("disabled"),
    )


def checkout(it: wire.Item) -> wire.Action | None:
    """Return what the newest build of a job checked out."""
    return git(actions(it.last_build.actions)) if it.last_build else None


def with_source(found: Pipeline, it: wire.Item, *, branch: str | None) -> Pipeline:
    """Return a pipeline with its repository, and its own branch, else `branch`, else its newest build's."""
    newest = checkout(it)
    remotes = newest.remote_urls if newest else None
    if is_branch_job(it.property):
        own = found.id.rpartition("/")[2]
        branch = unquote(own) if pull_request(own) is None else None
    else:
        branch = branch or git_ref(newest)[0]
    return replace(found, default_branch=branch, repository=repository(remotes[0]) if remotes else None)


def git(of: Iterable[wire.Action], wanted: str | None = None, *, is_certain: bool = False) -> wire.Action | None:
    """Return what was checked out. A shared library adds its own: then the one of the wanted branch, else the last.

    `is_certain`: nothing else than the wanted branch can have been built, so another branch's checkout is a library's.
    """
    found = [action for action in of if action.last_built_revision is not None and action.last_built_revision.sha]
    for action in found:
        if wanted is not None and wanted in _branches(action):
            return action
    if is_certain:
        found = [action for action in found if not _branches(action)]
    return found[-1] if found else None


def git_ref(action: wire.Action | None) -> tuple[str | None, str | None]:
    """Return the branch and the tag that git names."""
    names = _branches(action) if action else []
    for name in names:
        if name.startswith("tags/"):
            return None, name.removeprefix("tags/")
    return (names[0], None) if names else (None, None)


def _branches(action: wire.Action) -> list[str]:
    found = action.last_built_revision.branch if action.last_built_revision else None
    names = [plain_branch(branch.name or "") for branch in found or ()]
    return [name for name in names if name]


def plain_branch(name: str) -> str | None:
    """Return a branch without git's prefixes; tags keep `tags/`, a checkout of a bare commit has none."""
    short = re.sub(r"^refs/(?:heads/)?", "", name.strip())
    short = re.sub(r"^(?:remotes/)?origin/", "", short)
    return None if short in {"", "detached", "HEAD"} else short


def trigger(of: Iterable[wire.Cause], user: str, *, is_pull_request: bool) -> Trigger:
    """Return what made a build start: the first cause that says so."""
    for cause in of:
        known = TRIGGERS.get(kind(cause.class_))
        if known is Trigger.WEB and cause.user_id is not None and cause.user_id.lower() == user.lower():
            return Trigger.API
        if known is Trigger.PUSH and is_pull_request:
            return Trigger.MERGE_REQUEST
        if known is not None:
            return known
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


def state(it: wire.Run) -> tuple[Status, Conclusion | None, str]:
    """Return how a build stands. A result counts only when it no longer builds: freestyle jobs set it before."""
    building = it.building if it.building is not None else it.in_progress
    if building or it.result is None:
        return Status.IN_PROGRESS, None, "BUILDING"
    status, conclusion = state_from(it.result, STATES, finished=True)
    return status, conclusion, it.result


def ended_at(it: wire.Run | wire.LastBuild) -> datetime | None:
    """Return when a build that no longer runs ended."""
    return None if it.timestamp is None or it.duration is None else parse_time(it.timestamp + max(it.duration, 0))


def build(it: wire.Run, around: Around) -> Build:
    """Return a build as ours."""
    status, conclusion, raw = state(it)
    found = actions(it.actions)
    why = causes(found)
    own = around.pipeline.rpartition("/")[2]
    request = pull_request(own) if "/" in around.pipeline else None
    source = git(found, unquote(own), is_certain=request is not None or around.is_branch)
    branch, tag = git_ref(source)
    if request is not None:
        branch, tag = None, None
    elif around.is_branch:
        branch, tag = unquote(own), None
    sha = source.last_built_revision.sha if source and source.last_built_revision else None
    change = _change(it, sha)
    name, starter_kind = starter(why)
    tests = next((action for action in found if action.total_count is not None), None)
    remotes = source.remote_urls if source else None
    started = parse_time(it.timestamp)
    completed = ended_at(it) if status is Status.COMPLETED else None
    return Build(
        connection=around.connection,
        pipeline=around.pipeline,
        id=around.alias or str(it.number),
        number=it.number,
        name=readable_name(around.pipeline),
        repo=repository(remotes[0]) if remotes else None,
        branch=branch,
        tag=tag,
        pull_request=request,
        commit=sha,
        message=(change.comment or change.msg or None) if change else None,
        author=_author(change),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=status is Status.IN_PROGRESS and any(action.waiting_for_input for action in found),
        trigger=trigger(why, around.user, is_pull_request=request is not None),
        triggered_by=name,
        triggered_by_type=starter_kind,
        started_at=started,
        completed_at=completed,
        updated_at=completed or started,
        web_url=f"{around.page}{it.number}/",
        issues=IssueCounts(test_failures=tests.fail_count, tests_total=tests.total_count) if tests else IssueCounts(),
    )


def queued(it: wire.QueueItem, around: Around) -> Build:
    """Return a queue item as a build without a number."""
    why = causes(actions(it.actions))
    own = around.pipeline.rpartition("/")[2]
    request = pull_request(own) if "/" in around.pipeline else None
    name, starter_kind = starter(why)
    raw = "CANCELLED" if it.cancelled else "QUEUED"
    status, conclusion = STATES[raw]
    since = parse_time(it.in_queue_since)
    return Build(
        connection=around.connection,
        pipeline=around.pipeline,
        id=f"{QUEUED}{it.id}",
        name=readable_name(around.pipeline),
        branch=unquote(own) if around.is_branch and request is None else None,
        pull_request=request,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        trigger=trigger(why, around.user, is_pull_request=request is not None),
        triggered_by=name,
        triggered_by_type=starter_kind,
        created_at=since,
        updated_at=since,
        web_url=around.page,
    )


def _change(it: wire.Run, sha: str | None) -> wire.Change | None:
    """Return the change that the built commit is, where it is among the build's changes."""
    sets = [*(it.change_sets or ()), *([it.change_set] if it.change_set else ())]
    changes = [change for one in sets for change in one.items or ()]
    return next((change for change in changes if sha is not None and change.commit_id == sha), None)


def _author(change: wire.Change | None) -> Person | None:
    name = change.author.full_name if change and change.author else None
    email = change.author_email if change else None
    return Person(name=name or None, email=email or None) if name or email else None


# parameters


def parameter(it: wire.Definition) -> Parameter:
    """Return a declared parameter as ours. Jenkins has no required ones: what is missing gets its default."""
    asked = parameter_type(it)
    default = it.default_parameter_value.value if it.default_parameter_value else None
    return Parameter(
        name=it.name,
        type=asked,
        choices=tuple((choice, choice) for choice in it.choices or ()),
        default=None if asked is ParameterType.SECRET else text_of(default),
        help=plain(it.description) or None,
    )


def parameter_type(it: wire.Definition) -> ParameterType:
    """Return how a parameter is asked for; types of plugins we don't know are text, or a choice where they list some."""
    named = kind(it.class_ or it.type or "")
    if is_secret(named):
        return ParameterType.SECRET
    if named.startswith("Boolean"):
        return ParameterType.BOOLEAN
    return ParameterType.CHOICE if it.choices else ParameterType.TEXT


def is_file(it: wire.Definition) -> bool:
    """Return whether a parameter is an uploaded file."""
    return "File" in kind(it.class_ or it.type or "")


def text_of(value: object) -> str | None:
    """Return a value as a person types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def is_yes(value: str) -> bool:
    """Return whether a person's word says yes."""
    return value.strip().lower() in _YES


def plain(text: str | None) -> str:
    """Return one line of HTML's text."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", text or "")).split())
