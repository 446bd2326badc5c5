"""Buildkite in the common tests."""

import hashlib
import hmac
from collections.abc import Mapping

import httpx

from bot.models import (
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Gate,
    Job,
    Ref,
    RefKind,
    Status,
    Watched,
)
from tests.bot.providers.case import CONNECTION, NOW, Answer, Case, Endless

TOKEN = "bkua_made_up_for_these_tests"
SECRET = "a-made-up-webhook-secret"
HOME = "https://api.buildkite.com/v2/organizations/harbor"
TEST_JOB = "0198aa10-0000-4000-8000-000000000002"
GATE_JOB = "0198aa10-0000-4000-8000-000000000004"


def a_build(number: int = 41, state: str = "passed") -> dict[str, object]:
    return {
        "id": f"0198aa00-0000-4000-8000-{number:012d}",
        "number": number,
        "state": state,
        "blocked": False,
        "url": f"{HOME}/pipelines/ferry/builds/{number}",
        "web_url": f"https://buildkite.com/harbor/ferry/builds/{number}",
        "branch": "main",
        "created_at": "2026-08-01T11:00:00.000Z",
    }


def page(request: httpx.Request, number: int, body: object) -> httpx.Response:
    """A page that names the next one, as Buildkite's Link header does."""
    following = request.url.copy_set_param("page", str(number + 1))
    return httpx.Response(200, headers={"Link": f'<{following}>; rel="next"'}, json=body)


def page_of_jobs(request: httpx.Request, number: int) -> httpx.Response:
    following = str(request.url.copy_set_param("after", str(number)))
    return httpx.Response(
        200, json={"items": [{"id": f"job-{number}", "state": "passed"}], "links": {"next": following}}
    )


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    at = int(NOW.timestamp()) - 20
    signature = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {**headers, "x-buildkite-signature": f"timestamp={at},signature={signature}"}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def key(number: int, pipeline: str = "ferry") -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=str(number))


JOB = Job(
    id=TEST_JOB, build="41", pipeline="ferry", name="Tests", web_url="https://buildkite.com/harbor/ferry/builds/41"
)
GATE = Gate(
    id=GATE_JOB,
    build="42",
    pipeline="ferry",
    name="Sail?",
    url=f"https://buildkite.com/harbor/ferry/builds/42#{GATE_JOB}",
)
ARTIFACT = Artifact(
    id="0198aa20-0000-4000-8000-000000000001", build="41", pipeline="ferry", name="log.txt", job=TEST_JOB
)
BUILD = Build(connection=CONNECTION, pipeline="ferry", id="41", status=Status.COMPLETED, conclusion=Conclusion.FAILED)

CALLS = {
    "check": lambda p: p.check(),
    "build": lambda p: p.build("ferry", "41"),
}


CASE = Case(
    kind="buildkite",
    options={"organization": "harbor", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset(
        [
            "creating",
            "scheduled",
            "running",
            "passed",
            "failing",
            "failed",
            "blocked",
            "canceling",
            "canceled",
            "skipped",
            "not_run",
            "waiting",
            "waiting_failed",
        ]
    ),
    calls=CALLS,
    pipeline="ferry",
    build="41",
    unknown_state=lambda state: (
        Answer(path="/v2/organizations/harbor/pipelines/ferry/builds/41", body=a_build(41, state)),
    ),
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda asked, n: page(asked, n, [{"slug": f"ferry-{n}", "name": "Ferry"}]),
        ),
        "builds": Endless(
            call=lambda p: p.builds("ferry", BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, [a_build(10_000 - n)]),
        ),
        "changes": Endless(
            call=lambda p: p.changes(None, Watched(pipelines=frozenset({"ferry"}))),
            page=lambda asked, n: page(asked, n, [a_build(10_000 - n)]),
        ),
        "jobs": Endless(call=lambda p: p.jobs("ferry", "41"), page=page_of_jobs),
    },
    sign=sign,
    faults={},
)
