"""Requests of the systems' own that Truto passes on: paths below `/custom/`, bodies, and what the answers name.

Paths start where Truto's integration has its base address: `repos/…` at GitHub, `repositories/…` at Bitbucket's 2.0,
`project/…` at CircleCI's v2, the project at Azure DevOps, the server's root at Jenkins and Travis CI.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from bot.core.errors import UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest
from bot.http.client import Query
from bot.providers.truto import wire
from bot.providers.truto.convert import Place, Remote
from bot.providers.truto.integrations import LABELS, Integration

START_OPTIONS: Mapping[str, str] = {
    "workflow": "GitHub: the workflow's file or id (needed); Azure DevOps: the definition's id (needed)",
    "custom": "Bitbucket: the name of the custom pipeline to run",
}
_OPTIONS_OF: Mapping[Integration, frozenset[str]] = {
    Integration.AZURE: frozenset({"workflow"}),
    Integration.BITBUCKET: frozenset({"custom"}),
    Integration.GITHUB: frozenset({"workflow"}),
}
_AZURE_VERSION = "7.1"
_ENVELOPE = frozenset({"result", "next_cursor", "prev_cursor", "result_count", "is_partial_response"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to pass on."""

    method: str = "POST"
    path: str
    body: Mapping[str, object] | None = None
    query: Query = field(default_factory=dict)


def safe(*parts: str) -> str:
    """Return a path of parts, each escaped; a slash inside a part stays one."""
    return "/".join(quote(part) for part in parts)


def job_path(workflow: str) -> str:
    """Return a Jenkins job's path, whether its name is written with `job/` between the folders or without."""
    parts = [part for part in workflow.split("/") if part]
    is_path = "job" in parts[:1] or "job" in parts[1::2]
    names = [part for part in parts if part != "job"] if is_path else parts
    return "/".join(f"job/{quote(name, safe='')}" for name in names)


def cancelling(place: Place, build: str) -> Call:
    """Return what stops a build; CircleCI's builds are stopped workflow by workflow."""
    match place.integration:
        case Integration.AZURE:
            return Call(
                method="PATCH",
                path=_azure_build(place, build),
                body={"status": "cancelling"},
                query={"api-version": _AZURE_VERSION},
            )
        case Integration.BITBUCKET:
            return Call(path=f"{_bitbucket(place)}/pipelines/{quote(build, safe='')}/stopPipeline")
        case Integration.CIRCLECI:
            return Call(path=f"workflow/{quote(build, safe='')}/cancel")
        case Integration.GITHUB:
            return Call(path=f"{_github(place)}/actions/runs/{quote(build, safe='')}/cancel")
        case Integration.JENKINS:
            return Call(path=f"{job_path(place.pipeline)}/{quote(build, safe='')}/stop")
        case _:
            return Call(path=f"build/{quote(build, safe='')}/cancel")


def again(place: Place, build: str, *, failed_only: bool) -> Call:
    """Return what runs a build again under its number; at CircleCI a workflow, at Travis CI all jobs."""
    at = quote(build, safe="")
    match place.integration:
        case Integration.GITHUB:
            return Call(path=f"{_github(place)}/actions/runs/{at}/{'rerun-failed-jobs' if failed_only else 'rerun'}")
        case Integration.CIRCLECI:
            return Call(path=f"workflow/{at}/rerun", body={"from_failed": True} if failed_only else {})
        case Integration.TRAVIS:
            return Call(path=f"build/{at}/restart")
        case _:
            return Call(
                method="PATCH",
                path=_azure_build(place, build),
                body={},
                query={"retry": True, "api-version": _AZURE_VERSION},
            )


def job_again(place: Place, job: str) -> Call:
    """Return what runs one job again."""
    if place.integration is Integration.GITHUB:
        return Call(path=f"{_github(place)}/actions/jobs/{quote(job, safe='')}/rerun")
    return Call(path=f"job/{quote(job, safe='')}/restart")


def log_path(place: Place, build: str, job: str) -> str:
    """Return where a job's log is."""
    match place.integration:
        case Integration.BITBUCKET:
            return f"{_bitbucket(place)}/pipelines/{quote(build, safe='')}/steps/{quote(job, safe='')}/log"
        case Integration.GITHUB:
            return f"{_github(place)}/actions/jobs/{quote(job, safe='')}/logs"
        case _:
            return f"job/{quote(job, safe='')}/log.txt"


def archive_path(place: Place, artifact: str) -> str:
    """Return where GitHub's artifact is, as a zip."""
    return f"{_github(place)}/actions/artifacts/{quote(artifact, safe='')}/zip"


def workflows_path(build: str) -> str:
    """Return where CircleCI lists a pipeline's workflows."""
    return f"pipeline/{quote(build, safe='')}/workflow"


def travis_request_path(place: Place, request: str) -> str:
    """Return where Travis CI tells what became of a request."""
    return f"repo/{quote(place.pipeline, safe='')}/request/{quote(request, safe='')}"


def starting(place: Place, request: StartRequest, ref: Ref) -> Call:
    """Return what starts a build. Raises UsageError for what the system does not take."""
    _refuse_options(place.integration, request)
    match place.integration:
        case Integration.AZURE:
            return _start_azure(place, request, ref)
        case Integration.BITBUCKET:
            return _start_bitbucket(place, request, ref)
        case Integration.CIRCLECI:
            return _start_circleci(place, request, ref)
        case Integration.GITHUB:
            return _start_github(place, request, ref)
        case _:
            return _start_travis(place, request, ref)


def same_again(place: Place, it: wire.BuildWire, build: Build, request: StartRequest) -> Call:
    """Return what starts a new build of the same source. Raises UsageError where Truto does not tell enough of it."""
    remote = Remote(place.integration, it.remote_data)
    if place.integration is Integration.AZURE:
        definition, source = remote.at("definition.id"), remote.at("sourceBranch")
        if not isinstance(definition, int) or not isinstance(source, str):
            raise UsageError(
                "Truto does not tell which definition this build is of.", hint="Start it anew: `/build start`."
            )
        recorded = remote.at("parameters")
        return _azure_start(
            place,
            definition,
            source,
            build.commit,
            _recorded(recorded if isinstance(recorded, str) else "") | dict(request.parameters),
        )
    target = remote.at("target")
    if isinstance(target, dict):
        again_of = {name: target[name] for name in _BITBUCKET_TARGET if target.get(name) is not None}
    elif build.branch and build.commit:
        ref = Ref(kind=RefKind.BRANCH, name=build.branch)
        again_of = _bitbucket_target(ref, build.commit)
    else:
        raise UsageError("Truto does not tell what this build was made of.", hint="Start it anew: `/build start`.")
    return _bitbucket_start(place, again_of, request.parameters)


_BITBUCKET_TARGET = (
    "type",
    "ref_type",
    "ref_name",
    "commit",
    "selector",
    "source",
    "destination",
    "destination_commit",
    "pullrequest",
)


def inner(content: bytes) -> msgspec.Raw:
    """Return an answer without the envelope that Truto may put around the system's own."""
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(content)
    if "result" in members and members.keys() <= _ENVELOPE and bytes(members["result"])[:1] in b"[{":
        return members["result"]
    return msgspec.Raw(content)


def started_id(integration: Integration, it: wire.StartedWire) -> str | None:
    """Return the id of what was started, as each system names it."""
    match integration:
        case Integration.BITBUCKET:
            return it.uuid or None
        case Integration.GITHUB:
            named = it.workflow_run_id
        case Integration.TRAVIS:
            named = it.request.id if it.request else None
        case _:
            named = it.id
    return str(named) if named is not None and named != "" else None


def _github(place: Place) -> str:
    return safe("repos", place.owner, place.pipeline)


def _bitbucket(place: Place) -> str:
    return f"repositories/{quote(place.owner, safe='')}/{quote(place.pipeline, safe='')}"


def _azure_build(place: Place, build: str | None = None) -> str:
    at = f"{quote(place.owner, safe='')}/_apis/build/builds"
    return at if build is None else f"{at}/{quote(build, safe='')}"


def _start_github(place: Place, request: StartRequest, ref: Ref) -> Call:
    workflow = request.options.get("workflow", "")
    if not workflow:
        raise UsageError("Which workflow of the repository?", hint="Name its file: `--option workflow=ci.yml`.")
    _refuse_commit(place.integration, request, ref)
    body: dict[str, object] = {"ref": ref.name, "return_run_details": True}
    if request.parameters:
        body["inputs"] = dict(request.parameters)
    return Call(path=f"{_github(place)}/actions/workflows/{quote(workflow, safe='')}/dispatches", body=body)


def _start_circleci(place: Place, request: StartRequest, ref: Ref) -> Call:
    _refuse_commit(place.integration, request, ref)
    name = f"pull/{ref.name}/head" if ref.kind is RefKind.PULL_REQUEST else ref.name
    body: dict[str, object] = {"tag" if ref.kind is RefKind.TAG else "branch": name}
    if request.parameters:
        body["parameters"] = {name: _typed(value) for name, value in request.parameters.items()}
    return Call(path=f"{safe('project', place.pipeline)}/pipeline", body=body)


def _start_bitbucket(place: Place, request: StartRequest, ref: Ref) -> Call:
    custom = request.options.get("custom")
    selector: dict[str, object] = {"selector": {"type": "custom", "pattern": custom}} if custom else {}
    match ref.kind:
        case RefKind.PULL_REQUEST:
            raise UsageError("Truto does not tell the branches of a pull request.", hint="Name its branch.")
        case RefKind.COMMIT if custom:
            target: dict[str, object] = {
                "type": "pipeline_commit_target",
                "commit": {"type": "commit", "hash": ref.name},
            }
        case RefKind.COMMIT:
            raise UsageError(
                "Bitbucket builds a bare commit only with a custom pipeline.",
                hint="Name the branch, or add `--option custom=NAME`.",
            )
        case _:
            target = _bitbucket_target(ref, request.commit)
    return _bitbucket_start(place, target | selector, request.parameters)


def _bitbucket_target(ref: Ref, commit: str | None) -> dict[str, object]:
    kind = "tag" if ref.kind is RefKind.TAG else "branch"
    target: dict[str, object] = {"type": "pipeline_ref_target", "ref_type": kind, "ref_name": ref.name}
    return target | ({"commit": {"type": "commit", "hash": commit}} if commit else {})


def _bitbucket_start(place: Place, target: Mapping[str, object], parameters: Mapping[str, str]) -> Call:
    body: dict[str, object] = {"target": target}
    if parameters:
        body["variables"] = [{"key": name, "value": value} for name, value in parameters.items()]
    return Call(path=f"{_bitbucket(place)}/pipelines", body=body)


def _start_azure(place: Place, request: StartRequest, ref: Ref) -> Call:
    definition = request.options.get("workflow", "")
    if not definition.isdecimal() or len(definition) > 12:
        raise UsageError(
            "Which definition? Azure DevOps starts one by its number.",
            hint="It stands in the pipeline's address: `--option workflow=7`.",
        )
    match ref.kind:
        case RefKind.PULL_REQUEST:
            source = f"refs/pull/{ref.name}/merge"
        case RefKind.TAG:
            source = f"refs/tags/{ref.name}"
        case RefKind.COMMIT:
            raise UsageError("Azure DevOps builds a commit of a branch.", hint="Name the branch, too.")
        case _:
            source = f"refs/heads/{ref.name}"
    return _azure_start(place, int(definition), source, request.commit, request.parameters)


def _azure_start(
    place: Place, definition: int, source: str, commit: str | None, parameters: Mapping[str, object]
) -> Call:
    body: dict[str, object] = {"definition": {"id": definition}, "sourceBranch": source, "reason": "manual"}
    if commit:
        body["sourceVersion"] = commit
    if parameters:
        body["parameters"] = json.dumps(dict(parameters))
    return Call(path=_azure_build(place), body=body, query={"api-version": _AZURE_VERSION})


def _start_travis(place: Place, request: StartRequest, ref: Ref) -> Call:
    asked: dict[str, object] = {}
    match ref.kind:
        case RefKind.PULL_REQUEST:
            raise UsageError("Travis CI starts no builds of pull requests.", hint="Name the branch.")
        case RefKind.TAG:
            asked["tag_name"] = ref.name
        case RefKind.COMMIT:
            asked["sha"] = ref.name
        case _:
            asked["branch"] = ref.name
    if request.commit:
        asked["sha"] = request.commit
    if request.message:
        asked["message"] = request.message
    if request.parameters:
        asked["config"] = {"env": {"global": [f"{name}={value}" for name, value in request.parameters.items()]}}
    return Call(path=f"repo/{quote(place.pipeline, safe='')}/requests", body={"request": asked})


def _refuse_options(integration: Integration, request: StartRequest) -> None:
    known = _OPTIONS_OF.get(integration, frozenset())
    for name in request.options:
        if name not in known:
            there = ", ".join(f"`{one}`" for one in sorted(known))
            raise UsageError(
                f"{LABELS[integration]} has no option `{name}`.", hint=f"There is {there}." if there else None
            )
    if request.message and integration is not Integration.TRAVIS:
        raise UsageError(
            f"{LABELS[integration]} takes no message with a build.", hint="Give it as a parameter that the build reads."
        )


def _refuse_commit(integration: Integration, request: StartRequest, ref: Ref) -> None:
    if request.commit or ref.kind is RefKind.COMMIT:
        raise UsageError(f"{LABELS[integration]} starts branches and tags, not commits.", hint="Name the branch.")
    if ref.kind is RefKind.PULL_REQUEST and integration is Integration.GITHUB:
        raise UsageError("GitHub starts branches and tags, not pull requests.", hint="Name its branch.")


def _typed(value: str) -> str | int | bool:
    """Return a value as CircleCI's declared parameters take it: it refuses text where it declared another type."""
    match value.lower():
        case "true" | "false":
            return value.lower() == "true"
        case _ if value.isdecimal() and len(value) < 16 and str(int(value)) == value:
            return int(value)
        case _:
            return value


def _recorded(parameters: str) -> dict[str, object]:
    try:
        recorded = msgspec.json.decode(parameters or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return recorded if isinstance(recorded, dict) else {}
