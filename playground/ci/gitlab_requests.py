"""What clients ask of GitLab: the filters of pipelines."""

from collections.abc import Mapping
from datetime import UTC, datetime

from playground.ci import gitlab_wire as wire
from playground.ci.model import (
    Build,
    Person,
    stamp,
)


class BadFilter(Exception):
    """A filter that cannot be read, in the service's words."""


def check_pipeline_query(query: Mapping[str, str]) -> None:
    """Raise BadFilter for a value that a listing of pipelines does not know."""
    for name, allowed in (
        ("scope", {"running", "pending", "finished", "branches", "tags"}),
        ("status", wire.STATUSES),
        ("order_by", {"id", "status", "ref", "updated_at", "user_id"}),
        ("sort", {"asc", "desc"}),
    ):
        if name in query and query[name] not in allowed:
            raise BadFilter(f"{name} does not have a valid value")


def admits(query: Mapping[str, str], build: Build, owner: Person) -> bool:
    """Return whether a pipeline passes the filters of a listing. BadFilter: a time that cannot be read."""
    status = wire.pipeline_status(build)
    scope = query.get("scope")
    scopes = {
        "running": status == "running",
        "pending": status == "pending",
        "finished": build.finished,
        "branches": build.branch is not None,
        "tags": build.tag is not None,
    }
    times = (
        ("updated_after", build.updated_at, True),
        ("updated_before", build.updated_at, False),
        ("created_after", build.created_at, True),
        ("created_before", build.created_at, False),
    )
    return (
        (scope is None or scopes[scope])
        and query.get("status", status) == status
        and query.get("source", wire.SOURCES[build.source]) == wire.SOURCES[build.source]
        and query.get("ref", wire.ref_of(build)) == wire.ref_of(build)
        and query.get("sha", build.commit.sha) == build.commit.sha
        and query.get("username") in {None, (build.creator or owner).login}
        and query.get("name") is None
        and all((stamp(at) > _time(query[name], name)) == after for name, at, after in times if name in query)
    )


def _time(text: str, name: str) -> str:
    try:
        read = datetime.fromisoformat(text)
    except ValueError as exc:
        raise BadFilter(f"{name} is invalid") from exc
    return stamp((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
