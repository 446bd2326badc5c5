"""What is sent to Buildkite to start a build."""

from collections.abc import Mapping
from email.utils import parseaddr

from bot.core.errors import UsageError
from bot.core.models import StartRequest
from bot.providers.buildkite import wire

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
META = "meta_data."
YES = frozenset({"yes", "true", "1", "on", ""})
NO = frozenset({"no", "false", "0", "off"})


def start_body(request: StartRequest) -> dict[str, object]:
    """Return the body but for `commit` and `branch`. Raises UsageError for an option that is not there."""
    body: dict[str, object] = {}
    for name, value in request.options.items():
        match name:
            case "branch":
                pass
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
            case _ if name.startswith(META) and len(name) > len(META):
                body["meta_data"] = _meta(request.options)
            case _:
                known = ", ".join(f"`{known}`" for known in START_OPTIONS)
                raise UsageError(f"Buildkite has no option `{name}`.", hint=f"There are {known}.")
    if request.parameters:
        body["env"] = dict(request.parameters)
    if request.message or request.requested_by:
        body["message"] = request.message or f"Started from Slack by {request.requested_by}"
    if request.requested_by:
        body.setdefault("author", {"name": request.requested_by})
    return body


def again_body(it: wire.BuildWire, request: StartRequest) -> dict[str, object]:
    """Return the body of a build like `it`, with the values that `request` replaces.

    What Buildkite recorded is sent back to it and shown to nobody: variables may be secret.
    """
    body: dict[str, object] = {"commit": it.commit or "HEAD", "branch": it.branch or "", "message": it.message or ""}
    if it.pull_request and it.pull_request.id:
        body["pull_request_id"] = pull_request_number(str(it.pull_request.id))
        if it.pull_request.base:
            body["pull_request_base_branch"] = it.pull_request.base
        if it.pull_request.repository:
            body["pull_request_repository"] = it.pull_request.repository
    asked = start_body(request)
    if not request.message:
        asked.pop("message", None)
    env = {**_recorded(it.env), **request.parameters}
    meta = {**_recorded(it.meta_data), **_meta(request.options)}
    return body | asked | ({"env": env} if env else {}) | ({"meta_data": meta} if meta else {})


def pull_request_number(text: str) -> int:
    """Return a pull request's number. Raises UsageError."""
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(f"A pull request has a number; `{text[:40]}` is none.")
    return int(text)


def _meta(options: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(META): value for name, value in options.items() if name.startswith(META)}


def _recorded(values: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (values or {}).items() if value is not None}


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
