"""What is sent to Buildkite to start a build, and what that makes it build."""

from collections.abc import Mapping, Sequence
from email.utils import parseaddr

from bot.core.errors import Rejected, UsageError
from bot.core.models import Ref, RefKind, StartRequest, StartTarget, is_sha
from bot.providers.base.options import check_options
from bot.providers.base.start_message import start_message
from bot.providers.buildkite import wire
from bot.providers.buildkite.errors import LABEL

START_OPTIONS: Mapping[str, str] = {
    "branch": "the branch that a tag, commit or pull request is built under",
    "clean": "yes to check the repository out afresh",
    "clean_checkout": "the same in Buildkite's word",
    "ignore_pipeline_branch_filters": "yes to build a branch that the pipeline's filters leave out",
    "pull_request_id": "number of the pull request",
    "pull_request_base_branch": "the branch the pull request goes into",
    "pull_request_labels": "labels of the pull request, separated by commas",
    "pull_request_repository": "the repository the pull request comes from",
    "author": "who the build is for: a name, or `Name <address>`",
    "meta_data.": "and a key: a value in the build's meta-data",
}
OF_A_SOURCE = frozenset({"branch", "pull_request_id", "pull_request_base_branch", "pull_request_repository"})
META = "meta_data."
JSON_WORDS = {"true": True, "false": False}
"""Meta-data values that Buildkite takes as booleans; all others are texts."""
YES = frozenset({"yes", "true", "1", "on", ""})
NO = frozenset({"no", "false", "0", "off"})


def start_body(request: StartRequest) -> dict[str, object]:
    """Return the body but for `commit` and `branch`. Raises UsageError for an option that is not there."""
    check_options(request.options, START_OPTIONS, LABEL)
    body: dict[str, object] = {}
    for name, value in request.options.items():
        match name:
            case "clean":
                body["clean_checkout"] = _yes(name, value)
            case "clean_checkout" | "ignore_pipeline_branch_filters":
                body[name] = _yes(name, value)
            case "pull_request_id":
                body[name] = pull_request_number(value)
            case "pull_request_base_branch" | "pull_request_repository":
                body[name] = value
            case "pull_request_labels":
                body[name] = [label.strip() for label in value.split(",") if label.strip()]
            case "author":
                body[name] = _author(value)
            case _:
                pass
    if meta := _meta(request.options):
        body["meta_data"] = meta
    if request.parameters:
        body["env"] = dict(request.parameters)
    if request.message or request.requested_by:
        body["message"] = start_message(request)
    if request.requested_by:
        email = {"email": request.requested_by_email} if request.requested_by_email else {}
        body.setdefault("author", {"name": request.requested_by, **email})
    return body


def placed(request: StartRequest, *, default_branch: str | None) -> dict[str, object]:
    """Return the `commit` and `branch` of a start that names no pull request.

    Buildkite wants a branch beside a tag or a commit: step filters read it, and its own tag builds carry the tag there.
    Raises UsageError for a `branch` option beside a branch, and where no branch is known.
    """
    under = request.options.get("branch")
    commit = request.commit or "HEAD"
    match request.ref:
        case Ref(kind=RefKind.BRANCH, name=name):
            if under is not None and under != name:
                raise UsageError(
                    f"The branch is `{name}`, and the option `branch` says `{under}`.",
                    hint="The option names the branch that a tag, a commit or a pull request is built under.",
                )
            return {"commit": commit, "branch": name}
        case Ref(kind=RefKind.TAG, name=name):
            return {"commit": request.commit or name, "branch": under or name}
        case Ref(kind=RefKind.COMMIT, name=name):
            commit = name
        case _:
            pass
    branch = under or default_branch
    if not branch:
        raise UsageError("The pipeline has no default branch.", hint="Name one: `@BRANCH`.")
    return {"commit": commit, "branch": branch}


def needs_default_branch(request: StartRequest) -> bool:
    """Return whether a start is sent under the default branch, which has to be asked for."""
    names_one = request.ref is not None and request.ref.kind is not RefKind.COMMIT
    return not names_one and not request.options.get("branch")


def of_pull_request(request: StartRequest, recent: Sequence[wire.BuildWire]) -> dict[str, object]:
    """Return `commit`, `branch` and pull request of a start that names a pull request.

    Its branch is the option's, else that of the newest of its builds among `recent`. Raises UsageError without either.
    """
    number = request.ref.name if request.ref else ""
    body: dict[str, object] = {"commit": request.commit or "HEAD", "pull_request_id": pull_request_number(number)}
    if branch := request.options.get("branch"):
        return {**body, "branch": branch}
    for raw in recent:
        if raw.branch and raw.pull_request and str(raw.pull_request.id) == number:
            return body | pull_request_body(raw) | {"branch": raw.branch}
    raise UsageError(
        f"Buildkite does not tell the branch of pull request {number}, and none of its builds is recent.",
        hint="Name it: `--option branch=NAME`.",
    )


def target(body: Mapping[str, object], request: StartRequest) -> StartTarget:
    """Return what a body makes Buildkite build."""
    commit, branch, pull_request = body["commit"], body["branch"], body.get("pull_request_id")
    is_tag = request.ref is not None and request.ref.kind is RefKind.TAG and request.ref.name == commit
    return StartTarget(
        branch=str(branch),
        tag=str(commit) if is_tag else None,
        commit=None if commit == "HEAD" or is_tag else str(commit),
        pull_request=str(pull_request) if pull_request else None,
    )


def pull_request_body(raw: wire.BuildWire) -> dict[str, object]:
    """Return a recorded build's pull request as a start takes it; nothing where it has none."""
    if raw.pull_request is None or not raw.pull_request.id:
        return {}
    body: dict[str, object] = {"pull_request_id": pull_request_number(str(raw.pull_request.id))}
    if raw.pull_request.base:
        body["pull_request_base_branch"] = raw.pull_request.base
    if raw.pull_request.repository:
        body["pull_request_repository"] = raw.pull_request.repository
    return body


def again_body(raw: wire.BuildWire, request: StartRequest) -> dict[str, object]:
    """Return the body of a build like a recorded one, with the values that `request` replaces.

    What Buildkite recorded is sent back to it and shown to nobody: variables may be secret. Raises UsageError for options
    that would make it another branch's or pull request's: a rebuild keeps its own.
    """
    if changed := OF_A_SOURCE & request.options.keys():
        names = ", ".join(f"`{name}`" for name in sorted(changed))
        raise UsageError(
            f"A rebuild keeps its branch and pull request, so it takes no {names}.",
            hint="To build another one: `run` with `@BRANCH`.",
        )
    body: dict[str, object] = {"commit": raw.commit or "HEAD", "branch": raw.branch or "", "message": raw.message or ""}
    replaced = start_body(request)
    if not request.message:
        replaced.pop("message", None)
    env = {**_recorded(raw.env), **request.parameters}
    meta = {**_recorded(raw.meta_data), **_meta(request.options)}
    return (
        body | pull_request_body(raw) | replaced | ({"env": env} if env else {}) | ({"meta_data": meta} if meta else {})
    )


def is_like(raw: wire.BuildWire, body: Mapping[str, object]) -> bool:
    """Return whether a build is the one that a body would have made."""
    commit = str(body["commit"])
    return (
        raw.branch == body["branch"]
        and body.get("message") in {None, raw.message}
        and (not is_sha(commit) or (raw.commit or "").startswith(commit))
    )


def explained(error: Rejected, body: Mapping[str, object]) -> Rejected:
    """Return a refused start with a way around it, where the pipeline's branch filters are the reason."""
    words = str(error).lower()
    if body.get("ignore_pipeline_branch_filters") or "branch" not in words:
        return error
    if not any(word in words for word in ("filter", "skip", "configuration", "disabled", "not allowed")):
        return error
    hint = (
        "The pipeline's branch filters leave it out; `--option ignore_pipeline_branch_filters=true` builds it anyway."
    )
    return Rejected(str(error), provider=error.provider, status=error.status, hint=hint)


def pull_request_number(text: str) -> int:
    """Return a pull request's number. Raises UsageError."""
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(f"A pull request has a number; `{text[:40]}` is none.")
    return int(text)


def _meta(options: Mapping[str, str]) -> dict[str, object]:
    values = {name.removeprefix(META): value for name, value in options.items() if name.startswith(META)}
    return {name: JSON_WORDS.get(value, value) for name, value in values.items()}


def _recorded(values: Mapping[str, object] | None) -> dict[str, object]:
    return {name: value for name, value in (values or {}).items() if value is not None}


def _yes(name: str, value: str) -> bool:
    word = value.strip().lower()
    if word not in YES | NO:
        raise UsageError(f"`{name}` is yes or no, not `{value[:40]}`.")
    return word in YES


def _author(value: str) -> dict[str, str]:
    name, address = parseaddr(value)
    if "@" not in address:
        return {"name": value.strip()}
    return {"name": name or address, "email": address}
