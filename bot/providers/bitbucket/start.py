"""What is sent to start a run.

Page: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/#api-repositories-workspace-repo-slug-pipelines-post
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.core.errors import Rejected, UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget
from bot.providers.base.options import check_options
from bot.providers.bitbucket import wire
from bot.providers.bitbucket.convert import BRANCH_REFS, TAG_REFS, pull_request, trigger_word
from bot.providers.bitbucket.options import LABEL

CLOCK_SKEW = timedelta(minutes=1)
SELECTOR = "selector"
SECURED = "secured."
START_OPTIONS: Mapping[str, str] = {
    SELECTOR: "the custom pipeline to run; or another definition as TYPE:PATTERN, such as `branches:main` or `default`",
    "branch": "the branch that a commit is built on",
    SECURED: "and a name: a variable that Bitbucket hides in logs and answers",
}
SELECTOR_TYPES = frozenset({"branches", "tags", "bookmarks", "default", "custom", "pull-requests"})

Body = dict[str, object]


def check(request: StartRequest) -> None:
    """Raise UsageError for what Bitbucket does not take or what contradicts itself, by name."""
    check_options(request.options, START_OPTIONS, LABEL)
    if request.message:
        raise UsageError(
            "Bitbucket takes no message with a build.", hint="Leave it out; the commit's own is shown there."
        )
    twice = next((name for name in request.parameters if f"{SECURED}{name}" in request.options), None)
    if twice is not None:
        raise UsageError(f"`{twice}` is given twice, once secured.", hint="Leave one of them out.")
    if len({request.options.get(SELECTOR), request.parameters.get(SELECTOR)} - {None}) > 1:
        raise UsageError(f"Two values are given for `{SELECTOR}`.", hint="Leave one of them out.")


def check_source(request: StartRequest) -> None:
    """Raise UsageError where the ref, the commit and the `branch` option contradict each other."""
    ref, branch = request.ref, request.options.get("branch")
    if (branch is not None and not branch.strip()) or (ref is not None and not ref.name.strip()):
        raise UsageError("A name is missing.", hint="Write a branch, `tag:NAME`, `pr:NUMBER` or a commit.")
    if ref is None:
        return
    is_other = ref.kind is not RefKind.COMMIT and branch is not None
    if is_other and (ref.kind is not RefKind.BRANCH or plain_ref(ref) != plain_branch(branch or "")):
        raise UsageError("`branch` names another ref than the one to build.", hint="Leave one of them out.")
    commit = (request.commit or "").lower()
    if commit and ref.kind is RefKind.PULL_REQUEST:
        raise UsageError("A pull request is built at its newest commit.", hint="Leave the commit out.")
    if ref.kind is RefKind.COMMIT and not commit.startswith(ref.name.lower()[: len(commit)]):
        raise UsageError(f"Two commits are named, {ref.name[:12]} and {commit[:12]}.", hint="Name one.")


def check_rebuild(request: StartRequest) -> None:
    """Raise UsageError for a ref: a rebuild takes the old build's."""
    if request.ref is not None or request.commit or "branch" in request.options:
        raise UsageError(
            "A rebuild takes the branch and commit of the old build.", hint="To build others: `/build run`."
        )


def plain_branch(name: str) -> str:
    """Return a branch's name without `refs/heads/`. Raises UsageError for a full ref of another kind."""
    return plain_ref(Ref(kind=RefKind.BRANCH, name=name))


def plain_ref(ref: Ref) -> str:
    """Return the name of a branch or a tag as Bitbucket takes it: not in full. Raises UsageError for another kind."""
    prefix = "refs/tags/" if ref.kind is RefKind.TAG else "refs/heads/"
    name = ref.name.removeprefix(prefix)
    if not name or name.startswith("refs/"):
        raise UsageError(
            f"`{ref.name[:80]}` is no {'tag' if ref.kind is RefKind.TAG else 'branch'}.",
            hint="Write a branch, `tag:NAME`, `pr:NUMBER` or a commit.",
        )
    return name


def selector(request: StartRequest) -> Body | None:
    """Return the definition to run: an option, or the parameter of that name which the yml's custom pipelines make."""
    text = (request.options.get(SELECTOR) or request.parameters.get(SELECTOR) or "").strip()
    if not text:
        return None
    kind, colon, pattern = text.partition(":")
    if text == "default" or (colon and kind in SELECTOR_TYPES and pattern.strip()):
        return {"type": kind, "pattern": pattern.strip()} if colon else {"type": kind}
    return {"type": "custom", "pattern": text}


def selected_refs(request: StartRequest) -> tuple[str, ...]:
    """Return the branch or tag whose definition is run, where one is chosen: its steps run with its rights."""
    chosen = selector(request) or {}
    is_ref = chosen.get("type") in {"branches", "tags", "bookmarks"}
    return (str(chosen["pattern"]),) if is_ref else ()


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


def pull_request_target(number: str, request: wire.PullRequest) -> Body:
    """Return a pull request as the target. Raises Rejected where its source or its destination is gone."""
    source, destination = request.source or wire.PullRequestEnd(), request.destination or wire.PullRequestEnd()
    source_branch, onto_branch = _branch(source), _branch(destination)
    source_commit, onto_commit = _commit(source), _commit(destination)
    if not (source_branch and onto_branch and source_commit and onto_commit):
        raise Rejected(
            f"Pull request {number} has lost its source or its destination, so it cannot be built.",
            provider=LABEL,
            hint="Build its branch instead: `@BRANCH`.",
        )
    return {
        "type": "pipeline_pullrequest_target",
        "source": source_branch,
        "destination": onto_branch,
        "destination_commit": {"hash": onto_commit},
        "commit": {"hash": source_commit},
        "pullrequest": {"id": number},
        "selector": {"type": "pull-requests", "pattern": "**"},
    }


def start_target(target: Body, request: wire.PullRequest | None = None) -> StartTarget:
    """Return the names in a target. A pull request's branch is named where it is one of the repository's own."""
    names = wire.Target.of(target)
    own = False
    if request is not None and request.source and request.destination:
        source, onto = request.source.repository, request.destination.repository
        own = source is not None and onto is not None and source.uuid == onto.uuid
    on_branch = names.ref_name if names.ref_type in BRANCH_REFS else names.source if own else None
    return StartTarget(
        branch=on_branch,
        tag=names.ref_name if names.ref_type in TAG_REFS else None,
        commit=names.commit.hash if names.commit else None,
        pull_request=pull_request(names),
    )


def _branch(end: wire.PullRequestEnd) -> str | None:
    return end.branch.name if end.branch else None


def _commit(end: wire.PullRequestEnd) -> str | None:
    return end.commit.hash if end.commit else None


def commit_body(commit: str) -> Body:
    """Return a commit as Bitbucket takes it."""
    return {"type": "commit", "hash": commit}


def start_body(target: Body, request: StartRequest) -> Body:
    """Return the whole body."""
    chosen, values = selector(request), variables(request)
    whole = target | ({"selector": chosen} if chosen else {})
    return {"target": whole} | ({"variables": values} if values else {})


def rebuild_body(run: wire.PipelineRun, request: StartRequest) -> Body:
    """Return the body of a run like `run`, with the values that `request` replaces.

    Raises Rejected where Bitbucket keeps a value to itself that the request does not give.
    """
    target = _same_target(run)
    replaced = {str(variable["key"]) for variable in variables(request)}
    old_variables = [variable for variable in run.variables or () if variable.key not in replaced]
    hidden = [variable.key for variable in old_variables if variable.secured or variable.value is None]
    if hidden or (run.has_variables and run.variables is None and not replaced):
        names = ", ".join(f"`{name}`" for name in hidden) or "its variables"
        raise Rejected(
            f"Bitbucket does not tell {names} of that build.",
            provider=LABEL,
            hint="Give them again: KEY=VALUE, or `--option secured.KEY=VALUE` for a secret.",
        )
    body = start_body(target, request)
    values = [{"key": variable.key, "value": variable.value} for variable in old_variables] + variables(request)
    return body | ({"variables": values} if values else {})


def _same_target(run: wire.PipelineRun) -> Body:
    target = run.target or wire.Target()
    commit = (target.commit.hash if target.commit else None) or None
    chosen: Body = {}
    if target.selector and target.selector.type:
        chosen["selector"] = {"type": target.selector.type} | (
            {"pattern": target.selector.pattern} if target.selector.pattern else {}
        )
    match target.type:
        case "pipeline_pullrequest_target" if commit and pull_request(target):
            onto = target.destination_commit.hash if target.destination_commit else None
            body: Body = {
                "type": target.type,
                "source": target.source,
                "destination": target.destination,
                "commit": {"hash": commit},
                "pullrequest": {"id": pull_request(target)},
            }
            return body | ({"destination_commit": {"hash": onto}} if onto else {}) | chosen
        case "pipeline_commit_target" if commit:
            return commit_target(commit) | chosen
        case _ if target.ref_type and target.ref_name:
            return ref_target(target.ref_type, target.ref_name, commit) | chosen
        case _:
            raise Rejected(
                "Bitbucket does not tell what that build was made of.",
                provider=LABEL,
                hint="Start a new one and name its branch: `/build run`.",
            )


def is_own_start(run: wire.PipelineRun, build: Build, body: Body, owner: str | None, since: datetime) -> bool:
    """Return whether a listed run can be the one that `body` asked for: by when, who, how and what.

    `owner` is the UUID under which these credentials start runs, None where it is not known.
    """
    return (
        build.created_at is not None
        and build.created_at >= since - CLOCK_SKEW
        and (owner is None or (run.creator is not None and run.creator.uuid == owner))
        and trigger_word(run) in {"", "MANUAL"}
        and fits(run, body)
    )


def fits(run: wire.PipelineRun, body: Body) -> bool:
    """Return whether a run builds what `body` asks for: what the body names is the same in the run."""
    body_target = wire.Target.of(body["target"])
    made = run.target or wire.Target()
    is_custom = body_target.selector is not None and body_target.selector.type == "custom"
    made_custom = made.selector.pattern if made.selector and made.selector.type == "custom" else None
    pairs = [
        (_ref_kind(body_target), _ref_kind(made) or _ref_kind(body_target)),
        (body_target.ref_name, made.ref_name),
        (body_target.source, made.source),
        (pull_request(body_target), pull_request(made)),
        (body_target.commit.hash if body_target.commit else None, made.commit.hash if made.commit else None),
        (body_target.selector.pattern if body_target.selector and is_custom else None, made_custom),
    ]
    if not is_custom and made_custom is not None:  # a custom pipeline runs only where it is asked for
        return False
    return all(expected is None or expected == actual for expected, actual in pairs)


def _ref_kind(target: wire.Target) -> str | None:
    kind = (target.ref_type or "").lower()
    return "branch" if kind in BRANCH_REFS else "tag" if kind in TAG_REFS else None
