"""What clients ask of Buildkite: the filters of listings and the bodies of new builds."""

import fnmatch
from datetime import UTC, datetime

from playground.ci import buildkite_wire as wire
from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Job,
    Pipeline,
    Pull,
)
from playground.ci.system import JSON, Call


class BadRequest(Exception):
    """What cannot be done as it was asked for, in the service's words, with the status of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


RETRYABLE = ("canceled", "expired", "failed", "soft_failed", "timed_out")


def filter_values(call: Call, name: str) -> list[str] | None:
    """Return a filter's values; None where it was not given. A plain name given twice matches nothing, as there."""
    bracketed, plain = call.all(f"{name}[]"), call.all(name)
    if bracketed:
        return bracketed
    if len(plain) > 1:
        return ["\0"]
    return plain or None


def admits(call: Call, build: Build) -> bool:
    """Return whether a build passes the filters of a listing. BadRequest: a filter that cannot be read."""
    branches, commits, states = (filter_values(call, name) for name in ("branch", "commit", "state"))
    if states is not None and states != ["\0"] and not set(states) <= set(wire.BUILD_STATES):
        raise BadRequest("state is not valid")
    word = wire.build_state(build)
    words = {word, "blocked"} if build.state is BuildState.WAITING else {word}
    if words & {"passed", "failed", "blocked", "canceled"}:
        words.add("finished")
    meta = {
        name[len("meta_data[") : -1]: value
        for name, value in call.request.query_params.items()
        if name.startswith("meta_data[")
    }
    creator = call.query.get("creator")
    return (
        (states is None or bool(words & set(states)))
        and (branches is None or any(fnmatch.fnmatchcase(build.ref, branch) for branch in branches))
        and (commits is None or build.commit.sha in commits)
        and (creator is None or (build.creator is not None and build.creator.uid == creator))
        and all(build.meta.get(name) == value for name, value in meta.items())
        and _within(call, build)
    )


def _within(call: Call, build: Build) -> bool:
    finished = wire.finished_at(build)
    created_from, created_to, finished_from = (
        _time(call, name) for name in ("created_from", "created_to", "finished_from")
    )
    return (
        (created_from is None or build.created_at >= created_from)
        and (created_to is None or build.created_at < created_to)
        and (finished_from is None or (finished is not None and finished >= finished_from))
    )


def _time(call: Call, name: str) -> float | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as exc:
        raise BadRequest(f"{name} is not a valid ISO 8601 date") from exc
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def problems(body: JSON) -> list[JSON]:
    """Return what is wrong with the body of a new build, a field each."""
    wrong: list[JSON] = [{"field": name, "code": "missing"} for name in ("commit", "branch") if not body.get(name)]
    for name, kind in (
        ("env", dict),
        ("meta_data", dict),
        ("author", dict),
        ("message", str),
        ("clean_checkout", bool),
    ):
        if name in body and not isinstance(body[name], kind):
            wrong.append({"field": name, "code": "invalid"})
    wrong += [
        {"field": "env", "code": "invalid"}
        for value in (body.get("env") or {}).values()
        if isinstance(body.get("env"), dict) and not isinstance(value, str)
    ]
    return wrong


def unblock_values(job: Job, body: JSON) -> dict[str, str]:
    """Return the values of a block step's fields. BadRequest: a value missing or none of the choices, or no block step."""
    answers = body.get("fields") or {}
    if not isinstance(answers, dict) or not all(isinstance(value, str) for value in answers.values()):
        raise BadRequest("fields must be a map of strings")
    if job.step.approval is not ApprovalKind.INSTANT:
        raise BadRequest("This job type cannot be unblocked")
    values = {}
    for field in job.step.fields:
        value = answers.get(field.key, field.default)
        if field.required and not value:
            raise BadRequest(f"{field.label} is required", 422)
        if value and field.options and value not in field.options:
            raise BadRequest(f"{field.label} must be one of {', '.join(field.options)}", 422)
        if value:
            values[field.key] = value
    return values


def pull_of(pipeline: Pipeline, body: JSON) -> Pull | None:
    """Return the pull request that a new build names."""
    number = body.get("pull_request_id")
    return pipeline.repo.pulls.get(number) if isinstance(number, int) else None
