"""What is sent to start a build at each system behind Truto."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from bot.core.errors import Rejected, UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget, Trigger
from bot.providers.base.options import check_options
from bot.providers.base.variables import check_names, shell_pairs
from bot.providers.truto import wire
from bot.providers.truto.options import LABEL, LABELS, Integration
from bot.providers.truto.proxy import (
    AZURE_VERSION,
    Call,
    azure_path,
    bitbucket_path,
    circleci_path,
    github_path,
    travis_path,
)
from bot.providers.truto.urls import Place
from bot.providers.truto.wire import Remote

CLOCK_SKEW = timedelta(minutes=1)
START_OPTIONS: Mapping[Integration, Mapping[str, str]] = {
    Integration.AZURE: {"workflow": "the definition's number (needed)"},
    Integration.BITBUCKET: {"custom": "the name of the custom pipeline to run"},
    Integration.CIRCLECI: {},
    Integration.GITHUB: {"workflow": "the workflow's file or id (needed)"},
    Integration.JENKINS: {},
    Integration.TRAVIS: {},
}
TAKES_MESSAGE = frozenset({Integration.TRAVIS})
WITHOUT_COMMITS = frozenset({Integration.CIRCLECI, Integration.GITHUB})
"""The systems that start a ref's newest commit only."""

Body = dict[str, object]


# checks


def check(integration: Integration, request: StartRequest) -> None:
    """Raise UsageError for an option or a message that the system does not take, by name."""
    check_options(request.options, START_OPTIONS[integration], LABELS[integration])
    if integration is Integration.TRAVIS:
        check_names(request.parameters)
    if request.message and integration not in TAKES_MESSAGE:
        raise UsageError(
            f"{LABELS[integration]} takes no message with a build.", hint="Give it as a parameter that the build reads."
        )


def check_source(integration: Integration, request: StartRequest) -> None:
    """Raise UsageError for a ref or a commit that the system does not start, and for two that contradict each other."""
    system, ref = LABELS[integration], request.ref
    if ref is not None and (not ref.name.strip() or ref.name.startswith("refs/")):
        raise UsageError(
            f"`{ref.name[:80]}` is no plain name.", hint="Write a branch, `tag:NAME`, `pr:NUMBER` or a commit."
        )
    kind = ref.kind if ref is not None else RefKind.BRANCH
    if integration in WITHOUT_COMMITS and (request.commit or kind is RefKind.COMMIT):
        raise UsageError(f"{system} starts branches and tags, not commits.", hint="Name the branch.")
    if kind is RefKind.PULL_REQUEST:
        _check_pull_request(integration, request)
    if ref is None or kind is not RefKind.COMMIT:
        return
    if integration is Integration.AZURE:
        raise UsageError("Azure DevOps builds a commit of a branch.", hint="Name the branch, too.")
    if integration is Integration.BITBUCKET and not request.options.get("custom"):
        raise UsageError(
            "Bitbucket builds a bare commit only with a custom pipeline.",
            hint="Name the branch, or add `--option custom=NAME`.",
        )
    commit = (request.commit or "").lower()
    if not commit.startswith(ref.name.lower()[: len(commit)]):
        raise UsageError(f"Two commits are named, {ref.name[:12]} and {commit[:12]}.", hint="Name one.")


def _check_pull_request(integration: Integration, request: StartRequest) -> None:
    number = request.ref.name if request.ref is not None else ""
    if integration is Integration.GITHUB:
        raise UsageError("GitHub starts branches and tags, not pull requests.", hint="Name its branch.")
    if integration is Integration.BITBUCKET:
        raise UsageError("Truto does not tell the branches of a pull request.", hint="Name its branch.")
    if integration is Integration.TRAVIS:
        raise UsageError("Travis CI starts no builds of pull requests.", hint="Name the branch.")
    if not (number.isascii() and number.isdecimal() and len(number) <= 12):
        raise UsageError(f"A pull request has a number; `{number[:40]}` is none.")
    if request.commit:
        raise UsageError("A pull request is built at its newest commit.", hint="Leave the commit out.")


def check_rebuild(request: StartRequest) -> None:
    """Raise UsageError for a ref or an option: a rebuild takes the old build's."""
    if request.ref is not None or request.commit or request.options:
        names = ", ".join(f"`{name}`" for name in request.options)
        raise UsageError(
            f"A rebuild takes the branch, commit and {names or 'definition'} of the old build.",
            hint="To build others: `/build run`.",
        )


# what is built


def start_target(integration: Integration, request: StartRequest, default_branch: str | None) -> StartTarget:
    """Return what the body of `start_call` makes the system build; a bare commit goes under the default branch."""
    ref = request.ref
    if ref is None:
        return StartTarget(branch=default_branch, commit=request.commit)
    match ref.kind:
        case RefKind.BRANCH:
            return StartTarget(branch=ref.name, commit=request.commit)
        case RefKind.TAG:
            return StartTarget(tag=ref.name, commit=request.commit)
        case RefKind.PULL_REQUEST:
            branch = f"pull/{ref.name}/head" if integration is Integration.CIRCLECI else None
            return StartTarget(branch=branch, pull_request=ref.name)
        case _:
            return StartTarget(branch=default_branch, commit=_longest(ref.name, request.commit))


def start_call(place: Place, request: StartRequest, ref: Ref) -> Call:
    """Return what starts a build of `ref`. Raises UsageError where the workflow or definition is missing."""
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


def _start_github(place: Place, request: StartRequest, ref: Ref) -> Call:
    workflow = request.options.get("workflow", "")
    if not workflow:
        raise UsageError(
            "Which workflow of the repository?",
            hint="Name its file: `--option workflow=ci.yml`. Parameters become its inputs.",
        )
    # a plain name means a branch before a tag
    body: Body = {"ref": f"refs/tags/{ref.name}" if ref.kind is RefKind.TAG else ref.name, "return_run_details": True}
    if request.parameters:
        body["inputs"] = dict(request.parameters)
    return Call(path=github_path(place, "actions", "workflows", workflow, "dispatches"), body=body)


def _start_circleci(place: Place, request: StartRequest, ref: Ref) -> Call:
    name = f"pull/{ref.name}/head" if ref.kind is RefKind.PULL_REQUEST else ref.name
    body: Body = {"tag" if ref.kind is RefKind.TAG else "branch": name}
    if request.parameters:
        body["parameters"] = {name: typed(value) for name, value in request.parameters.items()}
    return Call(path=circleci_path(place, "pipeline"), body=body)


def typed(value: str) -> str | int | bool:
    """Return a value as CircleCI's declared parameters take it: it refuses text where it declared another type."""
    match value.lower():
        case "true" | "false":
            return value.lower() == "true"
        case _ if value.isascii() and value.isdecimal() and len(value) < 16 and str(int(value)) == value:
            return int(value)
        case _:
            return value


def _start_bitbucket(place: Place, request: StartRequest, ref: Ref) -> Call:
    custom = request.options.get("custom")
    selector: Body = {"selector": {"type": "custom", "pattern": custom}} if custom else {}
    commit = _longest(ref.name if ref.kind is RefKind.COMMIT else "", request.commit)
    if ref.kind is RefKind.COMMIT and commit:
        target: Body = {"type": "pipeline_commit_target", "commit": {"type": "commit", "hash": commit}}
    else:
        target = _bitbucket_target("tag" if ref.kind is RefKind.TAG else "branch", ref.name, commit)
    return _bitbucket_call(place, target | selector, _bitbucket_variables(request))


def _bitbucket_target(kind: str, name: str, commit: str | None) -> Body:
    target: Body = {"type": "pipeline_ref_target", "ref_type": kind, "ref_name": name}
    return target | ({"commit": {"type": "commit", "hash": commit}} if commit else {})


def _bitbucket_variables(request: StartRequest) -> list[Body]:
    return [{"key": name, "value": value} for name, value in request.parameters.items()]


def _bitbucket_call(place: Place, target: Body, variables: list[Body]) -> Call:
    body: Body = {"target": target} | ({"variables": variables} if variables else {})
    return Call(path=bitbucket_path(place, "pipelines"), body=body)


def _start_azure(place: Place, request: StartRequest, ref: Ref) -> Call:
    definition = request.options.get("workflow", "")
    if not (definition.isascii() and definition.isdecimal() and len(definition) <= 12):
        raise UsageError(
            "Which definition? Azure DevOps starts one by its number.",
            hint="It stands in the pipeline's address: `--option workflow=7`. Parameters become its variables.",
        )
    match ref.kind:
        case RefKind.PULL_REQUEST:
            source = f"refs/pull/{ref.name}/merge"
        case RefKind.TAG:
            source = f"refs/tags/{ref.name}"
        case _:
            source = f"refs/heads/{ref.name}"
    return _azure_call(place, int(definition), source, request.commit, request.parameters)


def _azure_call(
    place: Place, definition: int, source: str, commit: str | None, parameters: Mapping[str, object]
) -> Call:
    body: Body = {"definition": {"id": definition}, "sourceBranch": source, "reason": "manual"}
    if commit:
        body["sourceVersion"] = commit
    if parameters:
        body["parameters"] = json.dumps(dict(parameters))
    return Call(path=azure_path(place), body=body, query={"api-version": AZURE_VERSION})


def _start_travis(place: Place, request: StartRequest, ref: Ref) -> Call:
    body: Body = {}
    if ref.kind is RefKind.TAG:
        body["tag_name"] = ref.name
    if ref.kind is RefKind.BRANCH:
        body["branch"] = ref.name
    if commit := _longest(ref.name if ref.kind is RefKind.COMMIT else "", request.commit):
        body["sha"] = commit
    if request.message:
        body["message"] = request.message
    if request.parameters:
        body["config"] = {"env": {"global": shell_pairs(request.parameters)}}
    return Call(path=travis_path(place, "requests"), body={"request": body})


def _longest(one: str, other: str | None) -> str | None:
    """Return the longer of two names of one commit, None without any."""
    return max(one, other or "", key=len) or None


# the same again


def azure_rebuild(place: Place, raw: wire.BuildWire, build: Build, request: StartRequest) -> Call:
    """Return what starts a build of the same definition, ref and commit, with its values and those of `request`.

    Raises Rejected where Truto does not report enough of the old build.
    """
    remote = Remote(place.integration, raw.remote_data)
    definition, source = remote.at("definition.id"), remote.at("sourceBranch")
    if not isinstance(definition, int) or not isinstance(source, str):
        raise _untold("which definition this build is of")
    recorded, template = remote.at("parameters"), remote.at("templateParameters")
    variables = _recorded_variables(recorded if isinstance(recorded, str) else "")
    if variables is None:
        raise _untold("with which variables this build ran")
    variables |= request.parameters
    if hidden := [name for name, value in variables.items() if value is None]:
        raise _untold(", ".join(f"`{name}`" for name in hidden) + " of that build")
    call = _azure_call(place, definition, source, build.commit, variables)
    if not isinstance(template, dict) or not template:
        return call
    return replace(call, body={**(call.body or {}), "templateParameters": template})


def _recorded_variables(text: str) -> dict[str, object] | None:
    """Return the variables that Azure DevOps keeps as JSON in a string, None where that does not read."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None


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


def bitbucket_rebuild(
    place: Place, raw: wire.BuildWire, build: Build, run: wire.BitbucketRun | None, request: StartRequest
) -> Call:
    """Return what starts a build of the same target, with its variables and those of `request`.

    `run` is Bitbucket's own answer, with the variables that Truto's build lacks; None where it can't be had. Raises Rejected where a value
    that `request` does not give is hidden, or where it is not reported what the build was made of.
    """
    target = Remote(place.integration, raw.remote_data).at("target")
    if isinstance(target, dict):
        again: Body = {name: target[name] for name in _BITBUCKET_TARGET if target.get(name) is not None}
    elif build.branch and build.commit:
        again = _bitbucket_target("branch", build.branch, build.commit)
    else:
        raise _untold("what this build was made of")
    if run is None or (run.variables is None and run.has_variables is not False):
        raise _untold("with which variables this build ran")
    old_variables = [variable for variable in run.variables or () if variable.key not in request.parameters]
    if hidden := [variable.key for variable in old_variables if variable.secured or variable.value is None]:
        raise Rejected(
            f"Bitbucket does not tell {', '.join(f'`{name}`' for name in hidden)} of that build.",
            provider=LABEL,
            hint="Give them again: KEY=VALUE.",
        )
    values: list[Body] = [{"key": variable.key, "value": variable.value} for variable in old_variables]
    return _bitbucket_call(place, again, values + _bitbucket_variables(request))


def _untold(what: str) -> Rejected:
    return Rejected(
        f"Truto does not tell {what}, so I can't build the same again.",
        provider=LABEL,
        hint="Start a new one and name its branch: `/build run`.",
    )


# what was started


def target_of(build: Build) -> StartTarget:
    """Return what a build was made of, as a new one of the same source will be."""
    return StartTarget(branch=build.branch, tag=build.tag, commit=build.commit, pull_request=build.pull_request)


def unread_build(place: Place, build: str, target: StartTarget) -> Build:
    """Return what is known of a build that was started and can't be read yet."""
    return Build(
        connection=place.connection,
        pipeline=place.pipeline,
        id=build,
        branch=target.branch,
        tag=target.tag,
        pull_request=target.pull_request,
    )


def is_own_start(build: Build, target: StartTarget, since: datetime) -> bool:
    """Return whether a listed build can be the one that was asked for: by when, how and what."""
    begun = build.created_at or build.started_at or build.updated_at
    commit = (target.commit or "").lower()
    if target.tag is not None:
        is_source = build.tag == target.tag or (build.branch == target.tag and build.tag is None)
    elif target.pull_request is not None:
        is_source = build.pull_request == target.pull_request
    else:
        is_source = build.branch == target.branch and build.pull_request is None
    return (
        begun is not None
        and begun >= since - CLOCK_SKEW
        and build.trigger in {Trigger.API, Trigger.WEB}
        and is_source
        and (not commit or not build.commit or build.commit.lower().startswith(commit))
    )
