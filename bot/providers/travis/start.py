"""What is sent to start a build.

Page: https://developer.travis-ci.com/resource/requests
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.core.errors import Rejected, UsageError
from bot.core.models import RefKind, StartRequest, StartTarget
from bot.providers.base.options import check_options
from bot.providers.base.start_message import start_message
from bot.providers.base.times import parse_time
from bot.providers.base.variables import check_names, shell_pairs
from bot.providers.travis import wire
from bot.providers.travis.convert import is_pull_request
from bot.providers.travis.options import LABEL

CLOCK_SKEW = timedelta(minutes=1)
MERGE_MODES = ("deep_merge_append", "deep_merge_prepend", "deep_merge", "merge", "replace")
START_OPTIONS: Mapping[str, str] = {
    "branch": "the branch that a commit is built on",
    "merge_mode": f"how the variables join those of .travis.yml: {', '.join(MERGE_MODES)}",
}
Body = dict[str, object]


def check(request: StartRequest) -> None:
    """Raise UsageError for options and values that Travis does not take, by name."""
    check_options(request.options, START_OPTIONS, LABEL)
    mode = request.options.get("merge_mode")
    if mode is not None and mode not in MERGE_MODES:
        raise UsageError(f"`merge_mode` can't be `{mode[:40]}`.", hint=f"It is one of {', '.join(MERGE_MODES)}.")
    check_names(request.parameters)


def check_source(request: StartRequest) -> None:
    """Raise UsageError for a pull request, and where ref, commit and the `branch` option contradict each other."""
    ref, branch = request.ref, request.options.get("branch")
    if (branch is not None and not branch.strip()) or (ref is not None and not ref.name.strip()):
        raise UsageError("A name is missing.", hint="Write a branch, `tag:NAME` or a commit.")
    if ref is None:
        return
    if ref.kind is RefKind.PULL_REQUEST:
        raise UsageError(
            "Travis builds a pull request only when the code host tells of it.",
            hint="Run its last build again with `/build retry`, or build its branch: `@BRANCH`.",
        )
    if branch is not None and ref.kind is not RefKind.COMMIT and (ref.kind, ref.name) != (RefKind.BRANCH, branch):
        raise UsageError("`branch` names another ref than the one to build.", hint="Leave one of them out.")
    commit = (request.commit or "").lower()
    if ref.kind is RefKind.COMMIT and not commit.startswith(ref.name.lower()[: len(commit)]):
        raise UsageError(f"Two commits are named, {ref.name[:12]} and {commit[:12]}.", hint="Name one.")


def check_rebuild(request: StartRequest) -> None:
    """Raise UsageError for a ref: a rebuild takes the old build's."""
    if request.ref is not None or request.commit or "branch" in request.options:
        raise UsageError(
            "A rebuild takes the branch and commit of the old build.", hint="To build others: `/build run`."
        )


def source(request: StartRequest) -> Body:
    """Return what is to be built as the body names it: `branch`, `tag_name`, `sha`. Without any, the default branch."""
    body: Body = {}
    ref = request.ref
    if branch := request.options.get("branch"):
        body["branch"] = branch
    commits = [request.commit or "", ref.name if ref is not None and ref.kind is RefKind.COMMIT else ""]
    if any(commits):
        body["sha"] = max(commits, key=len)
    if ref is not None and ref.kind is RefKind.BRANCH:
        body["branch"] = ref.name
    if ref is not None and ref.kind is RefKind.TAG:
        body["tag_name"] = ref.name
    return body


def start_target(request: StartRequest, default_branch: str | None) -> StartTarget:
    """Return what `source` makes Travis build; a commit without a branch goes under the default branch."""
    body = source(request)
    tag, branch, commit = (str(body[name]) if name in body else None for name in ("tag_name", "branch", "sha"))
    return StartTarget(branch=branch or (None if tag else default_branch), tag=tag, commit=commit)


def start_body(request: StartRequest) -> Body:
    """Return the request that starts a build."""
    return source(request) | _words(request)


def rebuild_body(build: wire.Build, request: StartRequest) -> Body:
    """Return the request for a build like `build`, with the values that `request` adds.

    Raises Rejected for a pull request's build, and for one started with values: Travis does not report them.
    """
    commit = build.commit.sha if build.commit else None
    branch = build.branch.name if build.branch else None
    tag = build.tag.name if build.tag else None
    if is_pull_request(build):
        raise Rejected(
            "Travis builds a pull request only when the code host tells of it.",
            provider=LABEL,
            hint="Run the same build again: `/build retry`.",
        )
    if build.event_type == "api" and not request.parameters:
        raise Rejected(
            "Travis does not tell which values that build was started with.",
            provider=LABEL,
            hint="Run it again as it was: `/build retry --all`. Or give its values: KEY=VALUE.",
        )
    if not commit or not (branch or tag):
        raise Rejected(
            "Travis does not tell what that build was made of.",
            provider=LABEL,
            hint="Start a new one and name its branch: `/build run`.",
        )
    place: Body = {"tag_name": tag} if tag else {"branch": branch}
    return {"sha": commit} | place | _words(request)


def _words(request: StartRequest) -> Body:
    """Return the message and the variables as the body takes them."""
    body: Body = {}
    if request.message or request.requested_by:
        body["message"] = start_message(request)
    if request.parameters:
        body["config"] = {"env": {"global": shell_pairs(request.parameters)}}
    if mode := request.options.get("merge_mode"):
        body["merge_mode"] = mode
    return body


def is_own_request(request: wire.Request, body: Body, default_branch: str | None, since: datetime) -> bool:
    """Return whether a listed request can be the one that `body` asked for: by when, how and what.

    A tag's request names the tag as its branch.
    """
    created = parse_time(request.created_at)
    place = body.get("tag_name") or body.get("branch") or default_branch
    sha = (request.commit.sha if request.commit else None) or ""
    wanted_sha = str(body.get("sha") or "").lower()
    return (
        request.event_type == "api"
        and created is not None
        and created >= since - CLOCK_SKEW
        and (place is None or request.branch_name == place)
        and (not sha or sha.lower().startswith(wanted_sha))
    )
