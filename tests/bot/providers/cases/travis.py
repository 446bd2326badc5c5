"""Travis CI in the common tests."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bot.core.errors import AuthFailed, NotFound, Rejected, Unavailable
from bot.core.models import (
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
from bot.providers.travis.webhook import payload_of
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "made-up-travis-token"
PRIVATE_KEY = generate_private_key(65537, 2048)
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"
NO_KEY = {"webhook_secret": None}


def a_build(number: int = 9041, state: str = "passed", repository: int = 61) -> dict[str, object]:
    return {
        "id": number,
        "number": str(number - 9000),
        "state": state,
        "repository": {"id": repository, "slug": "harbor/ferry"},
        "branch": {"name": "main"},
        "finished_at": "2026-08-01T11:47:30Z" if state in {"passed", "failed"} else None,
    }


def page(request: httpx.Request, member: str, item: Callable[[int], object]) -> httpx.Response:
    """A full page: Travis's lists go on after one."""
    offset, limit = int(request.url.params.get("offset", "0")), int(request.url.params["limit"])
    return httpx.Response(200, json={member: [item(offset + n) for n in range(limit)]})


def a_page_of_builds(request: httpx.Request, _number: int) -> httpx.Response:
    if not request.url.path.endswith("/builds"):
        return httpx.Response(200, json={"id": 61, "slug": "harbor/ferry"})
    return page(request, "builds", lambda n: a_build(99_000 - n))


def a_page_of_repositories(request: httpx.Request, _number: int) -> httpx.Response:
    return page(request, "repositories", lambda n: {"id": n + 1, "slug": f"harbor/ferry-{n}"})


def a_page_of_news(request: httpx.Request, number: int) -> httpx.Response:
    if request.url.path.endswith("/active"):
        return httpx.Response(200, json={"builds": []})
    return page(
        request, "repositories", lambda n: {"id": 61 + n, "slug": "harbor/x", "last_started_build": {"id": number}}
    )


def signature(payload: bytes) -> str:
    return base64.b64encode(PRIVATE_KEY.sign(payload, PKCS1v15(), SHA1())).decode()  # noqa: S303 - as Travis does


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    return {**headers, "signature": signature(payload_of(body))}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def commit(name: str) -> Ref:
    return Ref(kind=RefKind.COMMIT, name=name)


def key(number: int, pipeline: str = "61") -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=str(number))


def kind_of_ref(**more: object) -> tuple[Answer, ...]:
    """Answers under which build 9041 is a build of a kind of ref."""
    return (
        Answer(path="/build/9041", body={**a_build(), **more}),
        Answer(path="/build/9041/jobs", body={"jobs": []}),
    )


A_JOB = {
    "id": 502,
    "state": "failed",
    "number": "41.2",
    "build": {"id": 9041},
    "repository": {"id": 61, "slug": "harbor/ferry"},
}
PLACES: tuple[Answer, ...] = (
    Answer(path="/job/502", body=A_JOB),
    Answer(path="/build/9041", body=a_build()),
    Answer(path="/build/9041/jobs", body={"jobs": [A_JOB]}),
)

JOB = Job(id="502", build="9041", pipeline="61", name="Tests", status=Status.COMPLETED)
RUNNING_JOB = Job(id="505", build="9041", pipeline="61", name="Tests", status=Status.IN_PROGRESS)
BUILD = Build(connection=CONNECTION, pipeline="61", id="9041", status=Status.COMPLETED, conclusion=Conclusion.FAILED)
WATCHED = Watched(pipelines=frozenset({"61", "62"}), unfinished=frozenset({key(9044)}))
WATCHED_LATER = Watched(pipelines=frozenset({"61", "62"}), unfinished=frozenset({key(9044), key(9030)}))
SECOND_TICK = '{"marks": {"61": "9044 started", "62": "7002 2026-07-31T10:00:00Z"}}'
QUIET_TICK = '{"marks": {"61": "9044 started"}}'
FERRY = Watched(pipelines=frozenset({"61"}))
MAIN = StartRequest(ref=branch("main"))
SIGNES = StartRequest(requested_by="Signe Holm")

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_syncing": lambda p: p.check(),
    "check_wrong_owner": lambda p: p.check(),
    "check_refused": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("FERR"),
    "pipeline": lambda p: p.pipeline("harbor/ferry"),
    "pipeline_by_name": lambda p: p.pipeline("ferry"),
    "pipeline_of_others": lambda p: p.pipeline("rival/ferry"),
    "pipeline_missing": lambda p: p.pipeline("no-such"),
    "builds": lambda p: p.builds("61", BuildFilter(limit=4)),
    "builds_filtered": lambda p: p.builds(
        "61", BuildFilter(branch="main", commit=SHA[:8], states=frozenset({"failed"}))
    ),
    "builds_odd_branch": lambda p: p.builds("61", BuildFilter(branch="a,b", states=frozenset({"unknown"}))),
    "build": lambda p: p.build("61", "9041"),
    "build_queued": lambda p: p.build("61", "9041"),
    "build_pull_request": lambda p: p.build("61", "9042"),
    "build_canceled_early": lambda p: p.build("61", "9041"),
    "build_of_another": lambda p: p.build("61", "9041"),
    "build_missing": lambda p: p.build("61", "9"),
    "build_of_job": lambda p: p.build_of_job("61", "502"),
    "build_of_job_of_another": lambda p: p.build_of_job("61", "502"),
    "build_by_number": lambda p: p.build_by_number("61", 41),
    "build_by_number_listed": lambda p: p.build_by_number("61", 41),
    "build_by_number_empty": lambda p: p.build_by_number("61", 41),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_quiet": lambda p: p.changes(QUIET_TICK, FERRY),
    "changes_next": lambda p: p.changes(SECOND_TICK, WATCHED_LATER),
    "changes_cursor_unreadable": lambda p: p.changes("{", FERRY),
    "refs": lambda p: p.refs("61"),
    "refs_query": lambda p: p.refs("61", "RAIL"),
    "start": lambda p: p.start(
        "61",
        StartRequest(
            ref=branch("ramp-order"),
            message="Try the new ramp",
            parameters={"TIDE": "high water", "QUAY": "north"},
            options={"merge_mode": "deep_merge"},
            requested_by="Signe Holm",
        ),
    ),
    "start_default": lambda p: p.start("61", SIGNES),
    "start_tag": lambda p: p.start(
        "61", StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"), options={"merge_mode": "replace"})
    ),
    "start_commit": lambda p: p.start("61", StartRequest(ref=commit(OTHER_SHA), options={"branch": "rails"})),
    "start_branch_at_commit": lambda p: p.start("61", StartRequest(ref=branch("rails"), commit=OTHER_SHA)),
    "start_pull_request": lambda p: p.start("61", StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7"))),
    "start_unknown_option": lambda p: p.start("61", StartRequest(options={"colour": "red"})),
    "start_bad_mode": lambda p: p.start("61", StartRequest(options={"merge_mode": "stir"})),
    "start_bad_name": lambda p: p.start("61", StartRequest(parameters={"1 UP": "x"})),
    "start_secret": lambda p: p.start("61", StartRequest(parameters={"API_TOKEN": "x"})),
    "start_rejected": lambda p: p.start("61", MAIN),
    "start_rejected_silently": lambda p: p.start("61", MAIN),
    "start_never_made": lambda p: p.start("61", MAIN),
    "start_limit": lambda p: p.start("61", MAIN),
    "start_inactive": lambda p: p.start("61", MAIN),
    "start_timeout": lambda p: p.start("61", StartRequest(ref=branch("main"), commit=SHA[:8])),
    "start_timeout_two": lambda p: p.start("61", MAIN),
    "cancel": lambda p: p.cancel("61", "9044"),
    "cancel_refused": lambda p: p.cancel("61", "9041"),
    "cancel_timeout": lambda p: p.cancel("61", "9044"),
    "rebuild": lambda p: p.rebuild("61", "9041", SIGNES),
    "rebuild_tag": lambda p: p.rebuild("61", "9041", StartRequest()),
    "rebuild_with_values": lambda p: p.rebuild("61", "9041", StartRequest(parameters={"TIDE": "low"})),
    "rebuild_of_a_start": lambda p: p.rebuild("61", "9041", StartRequest()),
    "rebuild_pull_request": lambda p: p.rebuild("61", "9041", StartRequest()),
    "rebuild_unknown": lambda p: p.rebuild("61", "9041", StartRequest()),
    "retry": lambda p: p.retry("61", "9041"),
    "retry_nothing": lambda p: p.retry("61", "9041"),
    "retry_refused": lambda p: p.retry("61", "9041"),
    "retry_too_many": lambda p: p.retry("61", "9041"),
    "retry_all": lambda p: p.retry("61", "9041", failed_only=False),
    "retry_all_timeout": lambda p: p.retry("61", "9041", failed_only=False),
    "retry_job": lambda p: p.retry("61", "9041", job="502"),
    "retry_job_of_another_build": lambda p: p.retry("61", "9041", job="502"),
    "retry_job_forbidden": lambda p: p.retry("61", "9041", job="502"),
    "jobs": lambda p: p.jobs("61", "9041"),
    "log": lambda p: p.log(JOB),
    "log_end": lambda p: p.log(JOB, 10),
    "log_running": lambda p: p.log(RUNNING_JOB),
    "log_running_end": lambda p: p.log(RUNNING_JOB, 10),
    "log_none": lambda p: p.log(RUNNING_JOB),
    "log_expired": lambda p: p.log(JOB),
    "issues": lambda p: p.issues("61", "9041"),
    "counts": lambda p: p.counts(BUILD),
}


def as_facts(check: Callable[[Any], bool]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


THEIRS = {"owner": "acme"}
POSTED = "it is posted as a form, and test_travis.py does so"
SAMPLES: Mapping[str, Sample] = {
    "build_failed.json": Sample(
        call=lambda p: p.build("891", "277713426"),
        at="/{path*}",  # it names its jobs, too
        facts=as_facts(
            lambda it: (
                (it.number, it.conclusion, it.repo, it.branch) == (11, Conclusion.FAILED, "acme/widgets", "main")
                and it.web_url == "https://app.travis-ci.com/github/acme/widgets/builds/277713426"
                and it.seconds == 127
            )
        ),
    ),
    "builds_page.json": Sample(
        call=lambda p: p.builds("61", BuildFilter(limit=2)),
        at="/repo/61/builds",
        also=("builds",),
        facts=as_facts(lambda it: it[0].number == 12 and it[0].status is Status.IN_PROGRESS and it[0].message),
    ),
    "owner_active.json": Sample(
        call=lambda p: p.changes('{"marks": {"891": ""}}', Watched(pipelines=frozenset({"891"}))),
        at="/owner/harbor/active",
        also=("changes_quiet",),
        facts=as_facts(
            lambda it: [one.number for one in it.builds] == [12, 13] and it.builds[0].repo == "acme/widgets"
        ),
    ),
    "owner_repos.json": Sample(
        call=lambda p: p.pipelines("WIDG"),
        options=THEIRS,
        facts=as_facts(
            lambda it: (
                (it[0].id, it[0].path, it[0].web_url)
                == ("891", "acme/widgets", "https://app.travis-ci.com/github/acme/widgets")
            )
        ),
    ),
    "branches.json": Sample(
        call=lambda p: p.refs("891"), facts=as_facts(lambda it: [one.name for one in it] == ["main", "feature/login"])
    ),
    "build_jobs.json": Sample(
        call=lambda p: p.counts(Build(connection=CONNECTION, pipeline="891", id="277713426")),
        facts=as_facts(lambda it: (it.errors, it.warnings, it.test_failures) == (1, 1, None)),
    ),
    "request_created.json": Sample(
        call=lambda p: p.start("61", SIGNES),
        at="/repo/61/requests",
        also=("start_default",),
        facts=as_facts(lambda it: it.id == "9051"),
    ),
    "request_finished.json": Sample(
        call=lambda p: p.start("61", SIGNES),
        at="/repo/61/request/4002",
        also=("start_default",),
        raises=Unavailable,  # it names a build that can't be read
    ),
    "build_restart.json": Sample(
        call=lambda p: p.retry("61", "9041", failed_only=False),
        at="/build/9041/restart",
        also=("build", "retry_all"),
        facts=as_facts(lambda it: it.number == 41),
    ),
    "job_cancel.json": Sample(
        call=lambda p: p.cancel("61", "9041"),
        at="/build/9041/cancel",
        also=("build", "retry_all"),
        facts=as_facts(lambda it: it.number == 41),
    ),
    "user.json": Sample(
        call=lambda p: p.check(), also=("check",), facts=as_facts(lambda it: it.name == "mona" and not it.warnings)
    ),
    "config.json": Sample(
        call=lambda p: p.check(),
        options=NO_KEY,
        also=("check",),
        facts=as_facts(lambda it: it.name == "bells" and not it.warnings),
    ),
    "error_403_login_required.json": Sample(
        call=lambda p: p.start("61", MAIN), raises=AuthFailed, facts=as_facts(lambda it: "credentials" in str(it))
    ),
    "error_403_insufficient_access.json": Sample(
        call=lambda p: p.start("61", MAIN), raises=AuthFailed, facts=as_facts(lambda it: "not let" in str(it))
    ),
    "error_404.json": Sample(call=lambda p: p.start("61", MAIN), raises=NotFound),
    "error_409_not_cancelable.json": Sample(
        call=lambda p: p.cancel("61", "9041"), raises=Rejected, facts=as_facts(lambda it: "not running" in str(it))
    ),
    "error_429_requests.json": Sample(
        call=lambda p: p.start("61", MAIN), raises=Rejected, facts=as_facts(lambda it: "only 10 builds" in str(it))
    ),
}

CASE = Case(
    kind="travis",
    options={"owner": "harbor", "token": TOKEN, "webhook_secret": PUBLIC_KEY},
    secrets=(TOKEN,),
    states=frozenset(
        [
            "created",
            "queued",
            "received",
            "started",
            "passed",
            "failed",
            "errored",
            "canceled",
            "configured",
            "finished",
        ]
    ),
    calls=CALLS,
    pipeline="61",
    build="9041",
    unknown_state=lambda state: (
        Answer(path="/build/9041", body=a_build(9041, state)),
        Answer(path="/build/9041/jobs", body={"jobs": []}),
    ),
    foreign=Foreign(pipeline="62", build="9041", answers=PLACES, belongs_to="61"),
    job_pages=tuple(
        JobPage(url=url, pipeline="61", build="9041", job=job, answers=PLACES)
        for url, job in (
            ("https://app.travis-ci.com/github/harbor/ferry/jobs/502", "502"),
            ("https://app.travis-ci.com/github/harbor/ferry/jobs/502/config#L7", "502"),
            ("https://travis-ci.com/harbor/ferry/jobs/502", "502"),
            ("https://app.travis-ci.com/github/harbor/ferry/builds/9041/config", None),
        )
    ),
    ref_builds={
        "branch": kind_of_ref(event_type="push"),
        "pull_request": kind_of_ref(event_type="pull_request", pull_request_number=7),
        "fork": "a build does not tell where its pull request comes from; it counts as the pull request's",
        "tag": kind_of_ref(event_type="push", branch={"name": "v2.1"}, tag={"name": "v2.1"}),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=a_page_of_repositories),
        "builds": Endless(call=lambda p: p.builds("61", BuildFilter(limit=100_000)), page=a_page_of_builds),
        "changes": Endless(
            call=lambda p: p.changes('{"marks": {"7": "1 passed"}}', Watched(pipelines=frozenset({"7"}))),
            page=a_page_of_news,
        ),
        "refs": Endless(
            call=lambda p: p.refs("61"),
            page=lambda asked, _n: page(asked, "branches", lambda n: {"name": f"rails-{n}"}),
        ),
    },
    sign=sign,
    samples=SAMPLES,
    unread={
        "build_stages.json": "jobs name their stage themselves",
        "job_log.json": "an ended job's log is read as plain text, a running one's in pieces",
        "webhook_cron_started.json": POSTED,
        "webhook_push_passed.json": POSTED,
        "webhook_push_still_failing.json": POSTED,
        "webhook_pull_request_fixed.json": POSTED,
    },
)
