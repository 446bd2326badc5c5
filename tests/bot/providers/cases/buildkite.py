"""Buildkite in the common tests."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx

from bot.core.errors import NotFound, RateLimited, Rejected
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
)
from tests.bot.providers.case import CONNECTION, NOW, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "bkua_made_up_for_these_tests"
SECRET = "a-made-up-webhook-secret"
HOME = "https://api.buildkite.com/v2/organizations/harbor"
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"
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
GATE = Approval(
    id=GATE_JOB,
    build="42",
    pipeline="ferry",
    name="Sail?",
    url=f"https://buildkite.com/harbor/ferry/builds/42#{GATE_JOB}",
)
ARTIFACT = Artifact(
    id=f"{TEST_JOB}/0198aa20-0000-4000-8000-000000000001", build="41", pipeline="ferry", name="log.txt", job="Tests"
)
BUILD = Build(connection=CONNECTION, pipeline="ferry", id="41", status=Status.COMPLETED, conclusion=Conclusion.FAILED)

WATCHED = Watched(pipelines=frozenset({"ferry", "beacon"}))
WATCHED_LATER = Watched(pipelines=frozenset({"ferry"}), unfinished=frozenset({key(42), key(44), key(45), key(46)}))
SECOND_TICK = '{"since": "2026-08-01T11:59:00+00:00", "tick": 1, "waiting": ["ferry#42"]}'
AFTER_A_NIGHT = '{"since": "2026-08-01T00:00:00+00:00", "tick": 3, "waiting": []}'
EVERYTHING = {
    "branch": "rails",
    "clean_checkout": "yes",
    "ignore_pipeline_branch_filters": "no",
    "pull_request_id": "78",
    "pull_request_base_branch": "main",
    "pull_request_labels": "ready, paint",
    "pull_request_repository": "https://github.com/harbor/fork.git",
    "author": "Ole Friis <ole@harbor.example>",
    "meta_data.release": "2.1",
    "meta_data.quay": "north",
}
SIGNES = StartRequest(ref=branch("main"), requested_by="Signe Holm")


def pull_request(number: str, **options: str) -> StartRequest:
    return StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name=number), options=options)


CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_full": lambda p: p.check(),
    "check_narrow": lambda p: p.check(),
    "check_wrong_organization": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("ferr"),
    "pipeline": lambda p: p.pipeline("ferry"),
    "pipeline_missing": lambda p: p.pipeline("no/such thing"),
    "builds": lambda p: p.builds("ferry", BuildFilter(limit=4)),
    "builds_filtered": lambda p: p.builds(
        "ferry", BuildFilter(branch="ramp-order", commit=SHA[:8], states=frozenset({"failed"}))
    ),
    "builds_commit": lambda p: p.builds("ferry", BuildFilter(commit=OTHER_SHA)),
    "builds_waiting": lambda p: p.builds("ferry", BuildFilter(states=frozenset({"blocked"}))),
    "build": lambda p: p.build("ferry", "41"),
    "build_blocked": lambda p: p.build("ferry", "42"),
    "build_failed_and_blocked": lambda p: p.build("ferry", "42"),
    "build_canceled_while_blocked": lambda p: p.build("ferry", "42"),
    "build_timed_out": lambda p: p.build("ferry", "42"),
    "build_scheduled": lambda p: p.build("ferry", "43"),
    "build_triggered": lambda p: p.build("ferry", "44"),
    "build_missing": lambda p: p.build("ferry", "9"),
    "build_forbidden": lambda p: p.build("ferry", "41"),
    "build_limited": lambda p: p.build("ferry", "41"),
    "build_by_number": lambda p: p.build_by_number("ferry", 41),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_next": lambda p: p.changes(SECOND_TICK, WATCHED_LATER),
    "changes_deep": lambda p: p.changes(AFTER_A_NIGHT, WATCHED),
    "changes_refused": lambda p: p.changes(None, WATCHED),
    "changes_cursor_unreadable": lambda p: p.changes("{", WATCHED),
    "refs": lambda p: p.refs("ferry"),
    "refs_query": lambda p: p.refs("ferry", "RA"),
    "start": lambda p: p.start(
        "ferry",
        StartRequest(
            ref=branch("ramp-order"), message="Try the new ramp", parameters={"TIDE": "high"}, requested_by="Signe Holm"
        ),
    ),
    "start_default": lambda p: p.start("ferry", StartRequest()),
    "start_no_default": lambda p: p.start("ferry", StartRequest()),
    "start_tag": lambda p: p.start("ferry", StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"))),
    "start_commit": lambda p: p.start("ferry", StartRequest(ref=Ref(kind=RefKind.COMMIT, name=OTHER_SHA))),
    "start_pull_request": lambda p: p.start("ferry", pull_request("77")),
    "start_pull_request_bare": lambda p: p.start("ferry", pull_request("77")),
    "start_pull_request_named": lambda p: p.start("ferry", pull_request("78", branch="rails")),
    "start_pull_request_unknown": lambda p: p.start("ferry", pull_request("79")),
    "start_options": lambda p: p.start(
        "ferry",
        StartRequest(commit=OTHER_SHA, parameters={"TIDE": "low"}, options=EVERYTHING, requested_by="Signe Holm"),
    ),
    "start_unknown_option": lambda p: p.start("ferry", StartRequest(options={"colour": "red"})),
    "start_bad_yes": lambda p: p.start("ferry", StartRequest(options={"clean_checkout": "perhaps"})),
    "start_bad_number": lambda p: p.start("ferry", pull_request("seven")),
    "start_refused": lambda p: p.start("ferry", StartRequest(ref=branch("nowhere"))),
    "start_timeout": lambda p: p.start("ferry", SIGNES),
    "start_timeout_unseen": lambda p: p.start("ferry", SIGNES),
    "start_timeout_two": lambda p: p.start("ferry", SIGNES),
    "start_unreached": lambda p: p.start("ferry", SIGNES),
    "cancel": lambda p: p.cancel("ferry", "44"),
    "cancel_refused": lambda p: p.cancel("ferry", "41"),
    "cancel_timeout": lambda p: p.cancel("ferry", "44"),
    "rebuild": lambda p: p.rebuild("ferry", "41", StartRequest()),
    "rebuild_refused": lambda p: p.rebuild("ferry", "41", StartRequest()),
    "rebuild_timeout": lambda p: p.rebuild("ferry", "41", StartRequest(requested_by="Signe Holm")),
    "rebuild_with_values": lambda p: p.rebuild(
        "ferry", "41", StartRequest(parameters={"TIDE": "high"}, requested_by="Signe Holm")
    ),
    "rebuild_with_message": lambda p: p.rebuild("ferry", "41", StartRequest(message="Once more")),
    "retry": lambda p: p.retry("ferry", "41"),
    "retry_nothing": lambda p: p.retry("ferry", "41"),
    "retry_all": lambda p: p.retry("ferry", "41", failed_only=False),
    "retry_job": lambda p: p.retry("ferry", "41", job=TEST_JOB),
    "retry_job_refused": lambda p: p.retry("ferry", "41", job=TEST_JOB),
    "retry_job_timeout": lambda p: p.retry("ferry", "41", job=TEST_JOB),
    "retry_timeout": lambda p: p.retry("ferry", "41"),
    "jobs": lambda p: p.jobs("ferry", "41"),
    "log": lambda p: p.log(JOB, 64),
    "log_short": lambda p: p.log(JOB, 64),
    "log_empty": lambda p: p.log(JOB, 64),
    "log_missing": lambda p: p.log(JOB, 64),
    "log_refused": lambda p: p.log(JOB, 64),
    "artifacts": lambda p: p.artifacts("ferry", "41"),
    "download": lambda p: p.download(ARTIFACT),
    "tests": lambda p: p.tests("ferry", "41"),
    "tests_closed": lambda p: p.tests("ferry", "41"),
    "tests_missing": lambda p: p.tests("ferry", "41"),
    "tests_of_missing_build": lambda p: p.tests("ferry", "9"),
    "issues": lambda p: p.issues("ferry", "41"),
    "counts": lambda p: p.counts(BUILD),
    "counts_green": lambda p: p.counts(BUILD),
    "counts_closed_suites": lambda p: p.counts(BUILD),
    "counts_unauthorized": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals("ferry", "42"),
    "decide": lambda p: p.decide(GATE, approve=True, comment="good wind"),
    "decide_fields": lambda p: p.decide(GATE, approve=True, fields={"quay": "north"}),
    "decide_refused": lambda p: p.decide(GATE, approve=True),
    "decide_reject": lambda p: p.decide(GATE, approve=False),
    "decide_timeout": lambda p: p.decide(GATE, approve=True),
}


def as_facts(check: Callable[[Any], bool]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


ORG = "/v2/organizations/{org}"
ONE_BUILD = f"{ORG}/pipelines/{{pipeline}}/builds/{{number}}"
SAMPLES: Mapping[str, Sample] = {
    "access_token_get.json": Sample(
        call=lambda p: p.check(),
        also=("check",),
        facts=as_facts(
            lambda it: "write_builds" in {scope.name for scope in it.missing} and it.expires_at.year == 2025 and it.name
        ),
    ),
    "pipelines_list.json": Sample(
        call=lambda p: p.pipelines(),
        facts=as_facts(lambda it: (it[0].id, it[0].repository) == ("my-pipeline", "acme-inc/my-pipeline")),
    ),
    "builds_list.json": Sample(
        call=lambda p: p.builds("my-pipeline", BuildFilter()),
        facts=as_facts(lambda it: it[0].conclusion is Conclusion.PASSED and it[0].triggered_by == "Keith Pitt"),
    ),
    "build_get.json": Sample(
        call=lambda p: p.build("my-pipeline", "2"),
        facts=as_facts(lambda it: it.number == 2 and it.jobs == {"passed": 1} and it.seconds == 180),
    ),
    "build_create.json": Sample(
        call=lambda p: p.start("my-pipeline", StartRequest(ref=branch("main"))),
        facts=as_facts(lambda it: it.status is Status.QUEUED and it.branch == "main"),
    ),
    "build_rebuild.json": Sample(
        call=lambda p: p.rebuild("my-pipeline", "1", StartRequest()), facts=as_facts(lambda it: it.id.isdecimal())
    ),
    "jobs_list.json": Sample(
        call=lambda p: p.jobs("my-pipeline", "1"),
        facts=as_facts(lambda it: it[0].name == "📦 Build" and it[0].seconds == 15),
    ),
    "job_retry.json": Sample(
        call=lambda p: p.retry("ferry", "41", job="b63254c0"),
        at=f"{ONE_BUILD}/jobs/{{job}}/retry",
        also=("build",),
        facts=as_facts(lambda it: it.number == 41),
    ),
    "job_unblock.json": Sample(
        call=lambda p: p.decide(replace(GATE, build="41"), approve=True),
        at=f"{ONE_BUILD}/jobs/{{job}}/unblock",
        also=("build",),
        facts=as_facts(lambda it: it.number == 41),
    ),
    "annotations_list_build.json": Sample(
        call=lambda p: p.issues("ferry", "41"), also=("issues",), facts=as_facts(lambda it: len(it) == 4)
    ),
    "artifacts_list_build.json": Sample(
        call=lambda p: p.artifacts("my-pipeline", "1"),
        facts=as_facts(lambda it: all(one.size_bytes and "/" in one.id and one.url is None for one in it) and it),
    ),
    "error_429.json": Sample(
        call=lambda p: p.build("ferry", "1"), raises=RateLimited, facts=as_facts(lambda it: it.retry_after == 43)
    ),
    "error_422_create.json": Sample(
        call=lambda p: p.start("ferry", StartRequest(ref=branch("main"))),
        raises=Rejected,
        facts=as_facts(lambda it: "Validation Failed" in str(it)),
    ),
    "error_422_cancel.json": Sample(
        call=lambda p: p.cancel("ferry", "1"), raises=Rejected, facts=as_facts(lambda it: "Reason why" in str(it))
    ),
    "error_400_deep_list.json": Sample(call=lambda p: p.changes(None, WATCHED), raises=Rejected),
    "error_404_job.json": Sample(call=lambda p: p.log(JOB), raises=NotFound),
    "test_failed_executions.json": Sample(
        call=lambda p: p.tests("ferry", "41"),
        also=("tests",),
        # it tells of a test of another name: the reason does not go to ours
        facts=as_facts(lambda it: [(one.name, one.message) for one in it[:2]] == [("locks", None), ("creaks", None)]),
    ),
    "webhook_ping.json": Sample(facts=as_facts(lambda event: event is None)),
    **{
        f"webhook_{event}.json": Sample(
            options={"organization": "my-great-org"},
            facts=as_facts(lambda event: (event.pipeline, event.build) == ("my-pipeline", "2")),
        )
        for event in ("build_finished_passed", "build_finished_failed", "build_running", "job_finished_failed")
    },
}

HARBOR = "/v2/organizations/harbor"
FERRY_41 = f"{HARBOR}/pipelines/ferry/builds/41"
BEACON_9_UUID = "0198aa00-0000-4000-8000-000000000009"
BEACON_9 = {
    **a_build(9),
    "id": BEACON_9_UUID,
    "url": f"{HOME}/pipelines/beacon/builds/9",
    "web_url": "https://buildkite.com/harbor/beacon/builds/9",
}
ON_BUILD_41 = (Answer(path=FERRY_41, body=a_build(41)),)
JOB_OF_41 = Answer(
    path=f"{HARBOR}/jobs/{TEST_JOB}",
    body={"id": TEST_JOB, "state": "failed", "build_url": f"{HOME}/pipelines/ferry/builds/41"},
)


def kind_of_ref(**fields: object) -> tuple[Answer, ...]:
    return (Answer(path=FERRY_41, body={**a_build(41), **fields}),)


def a_pull_request(owner: str) -> dict[str, object]:
    return {"id": "77", "base": "main", "repository": f"https://github.com/{owner}/ferry.git"}


HARBORS_FERRY = {"slug": "ferry", "name": "Ferry", "repository": "git@github.com:harbor/ferry.git"}

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
    foreign=Foreign(
        pipeline="ferry",
        build=BEACON_9_UUID,
        answers=(
            Answer(path=f"{HARBOR}/pipelines/ferry/builds", body=[a_build(41)]),
            Answer(path=f"{HARBOR}/builds", body=[a_build(41), BEACON_9]),
        ),
        belongs_to="beacon",
    ),
    job_pages=(
        JobPage(
            url=f"https://buildkite.com/harbor/ferry/builds/41#{TEST_JOB}",
            pipeline="ferry",
            build="41",
            job=TEST_JOB,
            answers=ON_BUILD_41,
        ),
        JobPage(
            url=f"https://buildkite.com/harbor/ferry/builds/41/steps/canvas?sid=0198&jid={TEST_JOB}",
            pipeline="ferry",
            build="41",
            job=TEST_JOB,
            answers=ON_BUILD_41,
        ),
        JobPage(
            url=f"https://buildkite.com/organizations/harbor/pipelines/ferry/builds/41/jobs/{TEST_JOB}/artifacts/{GATE_JOB}",
            pipeline="ferry",
            build="41",
            job=TEST_JOB,
            answers=ON_BUILD_41,
        ),
    ),
    ref_builds={
        "branch": kind_of_ref(source="webhook", pull_request={}),
        "pull_request": kind_of_ref(
            branch="rails", source="webhook", pull_request=a_pull_request("harbor"), pipeline=HARBORS_FERRY
        ),
        "fork": kind_of_ref(
            branch="main", source="webhook", pull_request=a_pull_request("stranger"), pipeline=HARBORS_FERRY
        ),
        "tag": kind_of_ref(branch="v2.1", tag="v2.1", source="webhook"),
    },
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
    samples=SAMPLES,
    unread={
        "user_get.json": "the token's own page names its user",
        "organizations_list.json": "the organization is an option",
        "job_log.json": "logs are read as plain text, their end only",
        "artifact_download.json": "the address in the Location header is followed, the body is not read",
        "rate_limit_get.json": "the headers of every answer say the same",
        "test_runs_list.json": "a build names its runs itself",
        "notification_services_list.json": "an admin sets the webhook up",
        "meta.json": "webhooks are known by their signature, not by their address",
    },
)
