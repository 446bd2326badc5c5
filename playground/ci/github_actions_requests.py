"""What clients ask of GitHub Actions: the filters of runs and the body of a dispatch."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from playground.ci import github_actions_wire as wire
from playground.ci.model import (
    Build,
    Person,
    Pipeline,
)
from playground.ci.system import JSON


class BadDispatch(Exception):
    """A dispatch that cannot be done, in the service's words."""


def _order(text: str) -> str:
    """Return a time in a form that sorts: UTC to the second; nonsense as it is."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def admits(query: Mapping[str, str], build: Build, owner: Person) -> bool:
    """Return whether a run passes the filters of a listing."""
    status, conclusion = wire.run_status(build), wire.run_conclusion(build)
    return (
        query.get("branch", build.ref) == build.ref
        and query.get("event", wire.EVENTS[build.source]) == wire.EVENTS[build.source]
        and query.get("head_sha", build.commit.sha) == build.commit.sha
        and query.get("status", status) in {status, conclusion}
        and query.get("actor") in {None, (build.creator or owner).login}
        and query.get("check_suite_id") in {None, str(build.id + wire.SUITES)}
        and _created(query.get("created"), wire.time_text(build.created_at))
    )


def _created(condition: str | None, at: str) -> bool:
    if not condition:
        return True
    low, dots, high = condition.partition("..")
    if dots:
        return (low == "*" or _order(at) >= _order(low)) and (high == "*" or _order(at) <= _order(high))
    for sign in (">=", "<=", ">", "<"):
        if condition.startswith(sign):
            edge = _order(condition.removeprefix(sign))
            return {
                ">=": _order(at) >= edge,
                "<=": _order(at) <= edge,
                ">": _order(at) > edge,
                "<": _order(at) < edge,
            }[sign]
    return at.startswith(condition)


def dispatched_ref(pipeline: Pipeline, body: JSON) -> tuple[str, bool]:
    """Return the branch or tag that a dispatch names, and whether it is a tag. BadDispatch: none of the repository."""
    repo, ref = pipeline.repo, body.get("ref")
    if not isinstance(ref, str):
        raise BadDispatch('Invalid request.\n\n"ref" wasn\'t supplied.')
    name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    is_tag = name in repo.tags and name not in repo.branches
    if name not in repo.branches and not is_tag:
        raise BadDispatch(f"No ref found for: {ref}")
    return name, is_tag


def dispatched_inputs(pipeline: Pipeline, body: JSON) -> dict[str, str]:
    """Return the inputs of a dispatch. BadDispatch: one that the workflow does not declare, or none of the choices."""
    inputs = body.get("inputs") or {}
    declared = wire.INPUTS[wire.file_of(pipeline)]
    unexpected = sorted(inputs.keys() - declared.keys())
    if unexpected:
        raise BadDispatch(f"Unexpected inputs provided: {json.dumps(unexpected)}")
    for key, definition in declared.items():
        options = definition.get("options")
        if key in inputs and isinstance(options, list) and inputs[key] not in options:
            raise BadDispatch(f"Provided value '{inputs[key]}' for input '{key}' not in the list of allowed values")
    return {str(key): str(value) for key, value in inputs.items()}
