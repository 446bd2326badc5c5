"""What is sent to Travis to start a build."""

import re
import shlex
from collections.abc import Mapping

from bot.core.errors import Rejected, UsageError
from bot.core.models import RefKind, StartRequest
from bot.providers.travis import wire

MERGE_MODES = ("deep_merge_append", "deep_merge_prepend", "deep_merge", "merge", "replace")
START_OPTIONS: Mapping[str, str] = {
    "branch": "the branch that a commit is built on",
    "merge_mode": f"how the variables join those of .travis.yml: {', '.join(MERGE_MODES)}",
}
Body = dict[str, object]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"token|secret|passw|private|credential|api_?key|access_?key", re.IGNORECASE)


def start_body(request: StartRequest) -> Body:
    """Return the request. Raises UsageError for options that are not there and for what Travis cannot build."""
    for name in request.options:
        if name not in START_OPTIONS:
            known = ", ".join(f"`{known}`" for known in START_OPTIONS)
            raise UsageError(f"Travis has no option `{name}`.", hint=f"There are {known}.")
    body: Body = {}
    if branch := request.options.get("branch"):
        body["branch"] = branch
    if request.commit:
        body["sha"] = request.commit
    if ref := request.ref:
        match ref.kind:
            case RefKind.BRANCH:
                if body.get("branch") not in {None, ref.name}:
                    raise UsageError(
                        "`branch` names another branch than the one to build.", hint="Leave one of them out."
                    )
                body["branch"] = ref.name
            case RefKind.TAG:
                body["tag_name"] = ref.name
            case RefKind.COMMIT:
                body.setdefault("sha", ref.name)
            case _:  # a pull request
                raise UsageError(
                    "Travis builds a pull request only when the code host tells of it.",
                    hint="Run its last build again with `/build retry`, or build its branch: `@BRANCH`.",
                )
    if request.message or request.requested_by:
        body["message"] = request.message or f"Started from Slack by {request.requested_by}"
    return body | _config(request)


def again_body(it: wire.Build, request: StartRequest) -> Body:
    """Return the request of a build like `it`, with the values that `request` adds."""
    commit = it.commit.sha if it.commit else None
    branch = it.branch.name if it.branch else None
    if it.event_type == "pull_request":
        raise Rejected(
            "Travis builds a pull request only when the code host tells of it.",
            provider="Travis CI",
            hint="Run the same build again: `/build retry`.",
        )
    if it.event_type == "api" and not request.parameters:
        raise Rejected(
            "Travis does not tell which values that build was started with.",
            provider="Travis CI",
            hint="Run it again as it was: `/build retry --all`. Or give its values: KEY=VALUE.",
        )
    if not commit or not branch:
        raise Rejected(
            "Travis does not tell what that build was made of.",
            provider="Travis CI",
            hint="Start a new one and name its branch: `/build run`.",
        )
    asked = start_body(request)
    tag = it.tag.name if it.tag else None
    return {"sha": commit} | ({"tag_name": tag} if tag else {"branch": branch}) | asked


def _config(request: StartRequest) -> Body:
    mode = request.options.get("merge_mode")
    if mode is not None and mode not in MERGE_MODES:
        raise UsageError(f"`merge_mode` can't be `{mode[:40]}`.", hint=f"It is one of {', '.join(MERGE_MODES)}.")
    for name in request.parameters:
        if not _NAME.fullmatch(name):
            raise UsageError(f"`{name[:40]}` is no name for an environment variable.")
        if _SECRET.search(name):
            raise UsageError(
                f"`{name}` looks like a secret, and Travis shows such values in the build's settings.",
                hint="Set it in the repository's settings at Travis; builds then have it.",
            )
    if not request.parameters:
        return {"merge_mode": mode} if mode else {}
    pairs = [f"{name}={shlex.quote(value)}" for name, value in request.parameters.items()]
    return {"config": {"env": {"global": pairs}}} | ({"merge_mode": mode} if mode else {})
