"""What is sent to Bitbucket to start a pipeline."""

from collections.abc import Mapping

from bot.core.errors import Rejected, UsageError
from bot.core.models import StartRequest
from bot.providers.bitbucket import wire

SELECTOR = "selector"
SECURED = "secured."
START_OPTIONS: Mapping[str, str] = {
    SELECTOR: "the custom pipeline to run; or another definition as TYPE:PATTERN, such as `branches:main` or `default`",
    "branch": "the branch that a commit is built on",
    SECURED: "and a name: a variable that Bitbucket hides in logs and answers",
}
SELECTOR_TYPES = frozenset({"branches", "tags", "bookmarks", "default", "custom", "pull-requests"})

Body = dict[str, object]


def check_options(options: Mapping[str, str]) -> None:
    """Raise UsageError for an option that is not there."""
    for name in options:
        is_secured = name.startswith(SECURED) and name != SECURED
        if not is_secured and name not in {SELECTOR, "branch"}:
            known = ", ".join(f"`{known}`" for known in START_OPTIONS)
            raise UsageError(f"Bitbucket has no option `{name}`.", hint=f"There are {known}.")


def selector(request: StartRequest) -> Body | None:
    """Return the definition to run: an option, or the parameter of that name which the yml's custom pipelines make."""
    text = (request.options.get(SELECTOR) or request.parameters.get(SELECTOR) or "").strip()
    if not text:
        return None
    kind, colon, pattern = text.partition(":")
    if text == "default" or (colon and kind in SELECTOR_TYPES and pattern.strip()):
        return {"type": kind, "pattern": pattern.strip()} if colon else {"type": kind}
    return {"type": "custom", "pattern": text}


def variables(request: StartRequest) -> list[Body]:
    """Return the values to start with; those of `secured.` options are hidden by Bitbucket."""
    plain: list[Body] = [
        {"key": name, "value": value} for name, value in request.parameters.items() if name != SELECTOR
    ]
    secured: list[Body] = [
        {"key": name.removeprefix(SECURED), "value": value, "secured": True}
        for name, value in request.options.items()
        if name.startswith(SECURED)
    ]
    return plain + secured


def ref_target(kind: str, name: str, commit: str | None) -> Body:
    """Return a branch or a tag as the target, at one of its commits if any is named."""
    target: Body = {"type": "pipeline_ref_target", "ref_type": kind, "ref_name": name}
    return target | ({"commit": commit_body(commit)} if commit else {})


def commit_target(commit: str) -> Body:
    """Return a commit as the target."""
    return {"type": "pipeline_commit_target", "commit": commit_body(commit)}


def pull_request_target(number: str, it: wire.PullRequest) -> Body | None:
    """Return a pull request as the target, or None where the answer leaves out what is needed."""
    source, destination = it.source, it.destination
    if not source or not destination or not source.branch or not destination.branch:
        return None
    if not source.branch.name or not destination.branch.name or not source.commit or not destination.commit:
        return None
    if not source.commit.hash or not destination.commit.hash:
        return None
    return {
        "type": "pipeline_pullrequest_target",
        "source": source.branch.name,
        "destination": destination.branch.name,
        "destination_commit": {"hash": destination.commit.hash},
        "commit": {"hash": source.commit.hash},
        "pullrequest": {"id": number},
        "selector": {"type": "pull-requests", "pattern": "**"},
    }


def commit_body(commit: str) -> Body:
    """Return a commit as Bitbucket takes it."""
    return {"type": "commit", "hash": commit}


def start_body(target: Body, request: StartRequest) -> Body:
    """Return the whole body."""
    chosen, values = selector(request), variables(request)
    whole = target | ({"selector": chosen} if chosen else {})
    return {"target": whole} | ({"variables": values} if values else {})


def again_body(it: wire.PipelineRun, request: StartRequest) -> Body:
    """Return the body of a run like `it`, with the values that `request` replaces.

    Raises Rejected where Bitbucket keeps a value to itself that the request does not give.
    """
    target = _same_target(it)
    given = {str(one["key"]) for one in variables(request)}
    kept = [one for one in it.variables or () if one.key not in given]
    hidden = [one.key for one in kept if one.secured or one.value is None]
    if hidden or (it.has_variables and it.variables is None and not given):
        named = ", ".join(f"`{name}`" for name in hidden) or "its variables"
        raise Rejected(
            f"Bitbucket does not tell {named} of that build.",
            provider="Bitbucket",
            hint="Give them again: KEY=VALUE, or `--option secured.KEY=VALUE` for a secret.",
        )
    body = start_body(target, request)
    values = [{"key": one.key, "value": one.value} for one in kept] + variables(request)
    return body | ({"variables": values} if values else {})


def _same_target(it: wire.PipelineRun) -> Body:
    target = it.target or wire.Target()
    commit = (target.commit.hash if target.commit else None) or None
    chosen: Body = {}
    if target.selector and target.selector.type:
        chosen["selector"] = {"type": target.selector.type} | (
            {"pattern": target.selector.pattern} if target.selector.pattern else {}
        )
    match target.type:
        case "pipeline_pullrequest_target" if commit and target.pullrequest and target.pullrequest.id is not None:
            onto = target.destination_commit.hash if target.destination_commit else None
            body: Body = {
                "type": target.type,
                "source": target.source,
                "destination": target.destination,
                "commit": {"hash": commit},
                "pullrequest": {"id": str(target.pullrequest.id)},
            }
            return body | ({"destination_commit": {"hash": onto}} if onto else {}) | chosen
        case "pipeline_commit_target" if commit:
            return commit_target(commit) | chosen
        case _ if target.ref_type and target.ref_name:
            return ref_target(target.ref_type, target.ref_name, commit) | chosen
        case _:
            raise Rejected(
                "Bitbucket does not tell what that build was made of.",
                provider="Bitbucket",
                hint="Start a new one and name its branch: `/build run`.",
            )


def fits(it: wire.PipelineRun, body: Body) -> bool:
    """Return whether a run may be the one that `body` asked for: what both name is the same."""
    asked = wire.Target.of(body["target"])
    made = it.target or wire.Target()
    pairs = [
        (asked.ref_name, made.ref_name),
        (asked.source, made.source),
        (asked.commit.hash if asked.commit else None, made.commit.hash if made.commit else None),
        (
            asked.selector.pattern if asked.selector and asked.selector.type == "custom" else None,
            made.selector.pattern if made.selector else None,
        ),
    ]
    return all(wanted is None or wanted == found for wanted, found in pairs)
