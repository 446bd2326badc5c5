"""What is Bitbucket's own: signatures, addresses, states in two spellings, credentials, the poll's cost, the yml."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bot.core.errors import AuthFailed, Rejected, Unavailable, UnexpectedResponse, UsageError
from bot.core.models import (
    Build,
    BuildFilter,
    Conclusion,
    Page,
    ParameterType,
    StartRequest,
    StartTarget,
    Status,
    Watched,
)
from bot.http.quota import Quota
from bot.monitoring.poller import Pace, pause_seconds
from bot.providers import PROVIDERS
from bot.providers.bitbucket import client, convert, parameters, start, wire
from bot.providers.bitbucket.provider import Bitbucket
from tests.bot.providers.case import NOW, opened
from tests.bot.providers.cases.bitbucket import (
    BUILD,
    CASE,
    FERRY,
    OTHER_SHA,
    SECRET,
    SHA,
    STEP,
    TOKEN,
    WATCHED,
    a_run,
    branch,
    commit,
    key,
    pull_request,
    run_id,
    sign,
    tag,
)
from tests.bot.providers.specs import ABSENT, FOLDER

STEP_WORDS = (
    "PENDING READY PAUSED HALTED IN_PROGRESS COMPLETED SUCCESSFUL FAILED ERROR STOPPED EXPIRED NOT_RUN SKIPPED"
    " STARTING_AGENT CLONING PULLING_IMAGES DOWNLOADING_CACHES DOWNLOADING_ARTIFACTS RUNNING PARSING_TEST_RESULTS"
    " UPLOADING_CACHES UPLOADING_ARTIFACTS COMPLETING_LOGS SYSTEM_ERROR USER_ERROR"
)
STATUS = json.dumps(
    {
        "repository": {"uuid": FERRY, "full_name": "harbor/ferry"},
        "commit_status": {"url": "https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41"},
    }
).encode()


def told(headers: httpx.Headers) -> Quota | None:
    return client.read_quota(headers, NOW)


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


SILENT = httpx.MockTransport(nothing)


# webhooks


async def test_webhook_is_named_by_its_request_or_else_by_what_it_says() -> None:
    headers, _ = sign(STATUS, {})
    async with opened(CASE, SILENT) as bitbucket:
        named = bitbucket.parse_webhook({**headers, "x-request-uuid": "one"}, STATUS)
        first, again = (bitbucket.parse_webhook(headers, STATUS) for _ in range(2))
    assert named is not None
    assert named.delivery == "one"
    assert first == again
    assert first is not None
    assert SECRET not in first.delivery


async def test_webhook_of_another_workspace_is_left_alone_unless_ours_is_named_by_its_id() -> None:
    headers, _ = sign(STATUS, {})
    async with opened(CASE, SILENT, {"workspace": "rival"}) as bitbucket:
        assert bitbucket.parse_webhook(headers, STATUS) is None
    async with opened(CASE, SILENT, {"workspace": "{0f1e2d3c-0000-4000-8000-000000000001}"}) as bitbucket:
        assert bitbucket.parse_webhook(headers, STATUS) is not None


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    folder = FOLDER / "samples" / "bitbucket"
    for vector in json.loads((folder / "signature_vectors.json").read_bytes()):
        body = (folder / vector["body_file"]).read_bytes()
        headers = {"x-hub-signature": vector["header"]} if vector["header"] else {}
        async with opened(CASE, SILENT, {"webhook_secret": vector["secret"], "workspace": "sample-workspace"}) as it:
            if vector["valid"]:
                assert it.parse_webhook(headers, body) is not None
            else:
                with pytest.raises(AuthFailed, match="signature"):
                    it.parse_webhook(headers, body)


# addresses


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://bitbucket.org/harbor/ferry", Page(pipeline="ferry")),
        ("https://bitbucket.org/Harbor/ferry/src/main/", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines/results/page/2", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines/results/41", Page(pipeline="ferry", number=41)),
        (
            f"https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/{quote(STEP.upper())}/test-report",
            Page(pipeline="ferry", number=41, job=STEP),
        ),
        (
            "https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41",
            Page(pipeline="ferry", number=41),
        ),
        (
            f"https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41/steps/{STEP}",
            Page(pipeline="ferry", number=41, job=STEP),
        ),
        (f"https://bitbucket.org/harbor/{FERRY}/pipelines/results/41", Page(pipeline=FERRY, number=41)),
        ("http://www.bitbucket.org/harbor/ferry/pipelines/results/41/", Page(pipeline="ferry", number=41)),
        ("https://bitbucket.org/harbor/ferry/pipelines/results/41?x=y#log", Page(pipeline="ferry", number=41)),
        ("https://bitbucket.org/harbor/ferry/src/main/pipelines/results/41", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pull-requests/7", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/deployments", Page(pipeline="ferry")),
        (
            f"https://api.bitbucket.org/2.0/repositories/harbor/ferry/pipelines/{quote(run_id(41))}/steps/{quote(STEP)}",
            Page(pipeline="ferry", build=run_id(41), job=STEP),
        ),
        ("https://api.bitbucket.org/2.0/repositories/rival/ferry/pipelines/41", None),
        ("https://bitbucket.org:8443/harbor/ferry/pipelines/results/41", None),
        ("ftp://bitbucket.org/harbor/ferry/pipelines/results/41", None),
        ("https://bitbucket.org:bad/harbor/ferry", None),
        ("https://bitbucket.org/harbor/workspace/overview", None),
        ("https://bitbucket.org/rival/ferry/pipelines/results/41", None),
        ("https://bitbucket.org/harbor", None),
        ("https://bitbucket.org.evil.example/harbor/ferry/pipelines/results/41", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as bitbucket:
        assert bitbucket.parse_url(url) == page


async def test_pages_below_the_connections_own_address_read() -> None:
    async with opened(CASE, SILENT, {"url": "http://127.0.0.1:8099/2.0"}) as bitbucket:
        for url in (
            "http://127.0.0.1:8099/harbor/ferry/pipelines/results/41",
            "http://127.0.0.1:8099/2.0/repositories/harbor/ferry/pipelines/41",
            "https://bitbucket.org/harbor/ferry/pipelines/results/41",
        ):
            assert bitbucket.parse_url(url) == Page(pipeline="ferry", number=41), url
        assert bitbucket.parse_url("http://127.0.0.1:8098/harbor/ferry/pipelines/results/41") is None


# credentials


async def test_access_token_goes_as_bearer_and_an_api_token_with_its_owners_address() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json={"uuid": "{1}", "full_name": "harbor/ferry"})

    transport = httpx.MockTransport(answer)
    async with opened(CASE, transport) as bitbucket:
        await bitbucket.pipeline("ferry")
    async with opened(CASE, transport, {"email": "bells@harbor.example"}) as bitbucket:
        await bitbucket.pipeline("ferry")
    basic = base64.b64encode(f"bells@harbor.example:{TOKEN}".encode()).decode()
    assert seen == [f"Bearer {TOKEN}", f"Basic {basic}"]


async def test_lost_answer_of_a_start_is_looked_for_among_the_token_owners_runs() -> None:
    mine, theirs = {"uuid": "{me}"}, {"uuid": "{them}"}
    runs = [
        {**a_run(n, "PENDING", None), "creator": who, "created_on": NOW.isoformat()}
        for n, who in enumerate([theirs, mine])
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={"uuid": "{me}"} if request.url.path.endswith("/user") else {"values": runs})

    async with opened(CASE, httpx.MockTransport(answer), {"email": "bells@harbor.example"}) as bitbucket:
        build = await bitbucket.start(FERRY, StartRequest(options={"branch": "main"}))
    assert build.number == 1


@pytest.mark.parametrize("address", ["bells", "bells@", "be:lls@harbor.example"])
def test_user_name_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="email"):
        PROVIDERS["bitbucket"].options_type.model_validate({**CASE.options, "email": address})


async def test_own_address_of_the_api_is_asked() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"uuid": "{1}"})

    async with opened(CASE, httpx.MockTransport(answer), {"url": "http://127.0.0.1:8099/2.0/"}) as bitbucket:
        await bitbucket.pipeline("ferry")
    assert seen == ["http://127.0.0.1:8099/2.0/repositories/harbor/ferry"]


# limits


def test_what_is_left_of_the_hour_is_counted_here() -> None:
    meter = client.RequestMeter()
    assert meter.quota(10, None, NOW) == Quota(limit=1000, remaining=990, resets_at=NOW + client.WINDOW)
    assert meter.quota(400, None, NOW + timedelta(minutes=30)).remaining == 600
    assert meter.quota(410, None, NOW + timedelta(minutes=70)).remaining == 600
    assert meter.quota(420, None, NOW + timedelta(minutes=95)).remaining == 980
    assert meter.quota(9000, None, NOW + timedelta(minutes=95)).remaining == 0


def test_requests_come_back_an_hour_after_they_were_sent() -> None:
    """The hour is a rolling one: a busy half an hour does not slow the poll for a whole hour from now on."""
    meter = client.RequestMeter()
    meter.quota(10, None, NOW)
    assert meter.quota(400, None, NOW + timedelta(minutes=30)).resets_at == NOW + timedelta(minutes=60)
    assert meter.quota(410, None, NOW + timedelta(minutes=70)).resets_at == NOW + timedelta(minutes=90)


def test_busy_repository_is_polled_at_the_wanted_pace_all_hour() -> None:
    meter, pace, now, sent = client.RequestMeter(), Pace(busy_seconds=10, idle_seconds=60), NOW, 0
    pauses: list[float] = []
    while now < NOW + timedelta(hours=3):
        sent += 1
        pauses.append(pause_seconds(pace, busy=True, quota=meter.quota(sent, None, now), spent=1, now=now))
        now += timedelta(seconds=pauses[-1])
    assert max(pauses) == 10
    assert sum(pauses) / len(pauses) == 10


def test_thousands_of_reads_of_the_quota_keep_an_hour_of_marks() -> None:
    meter = client.RequestMeter()
    for second in range(0, 3 * 3600, 5):
        meter.quota(second, None, NOW + timedelta(seconds=second))
    assert len(meter._marks) <= 62


def test_what_bitbucket_reports_of_the_rest_goes_before_what_is_counted() -> None:
    headers = {"X-RateLimit-Limit": "4000", "X-RateLimit-Remaining": "1200", "X-RateLimit-Reset": "90"}
    assert told(httpx.Headers(headers)) == Quota(limit=4000, remaining=1200, resets_at=NOW + timedelta(seconds=90))
    at = NOW + timedelta(minutes=20)
    epoch = told(httpx.Headers({**headers, "X-RateLimit-Reset": str(int(at.timestamp()))}))
    assert epoch is not None
    assert epoch.resets_at == at
    assert client.RequestMeter().quota(100, epoch, NOW) == Quota(limit=4000, remaining=1200, resets_at=at)


def test_an_access_token_reads_its_limit_and_whether_it_is_near() -> None:
    assert told(httpx.Headers({})) is None
    assert told(httpx.Headers({"X-RateLimit-Limit": "many"})) is None
    far = told(httpx.Headers({"X-RateLimit-Limit": "4000", "X-RateLimit-NearLimit": "false"}))
    near = told(httpx.Headers({"X-RateLimit-Limit": "4000", "X-RateLimit-NearLimit": "true"}))
    assert far == Quota(limit=4000, remaining=4000)
    assert near == Quota(limit=4000, remaining=800)
    assert client.RequestMeter().quota(100, near, NOW).remaining == 800
    assert client.RequestMeter().quota(100, far, NOW).remaining == 3900


async def test_quota_follows_the_requests() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"uuid": "{1}"}))
    async with opened(CASE, transport) as bitbucket:
        await bitbucket.pipeline("ferry")
        assert bitbucket.quota is not None
        assert bitbucket.quota.remaining == 999


# the poll


async def test_quiet_tick_costs_one_request() -> None:
    asked: list[str] = []
    runs = [a_run(44, "IN_PROGRESS", None), a_run(41)]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"values": runs if request.url.path.endswith("/pipelines") else []})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        first = await bitbucket.changes(None, WATCHED)
        assert len(asked) == 2, "the list, and the steps of the one that somebody watches"
        asked.clear()
        second = await bitbucket.changes(first.cursor, WATCHED)
        assert len(asked) == 1
        runs[0] = a_run(44)
        asked.clear()
        third = await bitbucket.changes(second.cursor, WATCHED)
    assert len(asked) == 2, "the list, and the steps of the one that ended"
    assert [build.completed for build in third.builds] == [True, True]


async def test_repository_without_builds_is_news_at_its_first_one() -> None:
    runs: list[object] = []
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"values": runs if request.url.path.endswith("/pipelines") else []})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        first = await bitbucket.changes(None, Watched(pipelines=frozenset({FERRY})))
        runs.append(a_run(1))
        asked.clear()
        await bitbucket.changes(first.cursor, Watched(pipelines=frozenset({FERRY})))
    assert len(asked) == 2


async def test_unfinished_build_further_down_is_read_alone() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/pipelines", "/steps")):
            return httpx.Response(200, json={"values": []})
        return httpx.Response(200, json=a_run(44))

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        changes = await bitbucket.changes(None, WATCHED)
    assert [build.key for build in changes.builds] == [key(44)]


async def test_each_repository_has_a_poll_target_of_its_own() -> None:
    async with opened(CASE, SILENT) as bitbucket:
        assert bitbucket.poll_target(FERRY) == key(41).pipeline


async def test_commit_is_read_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.providers.bitbucket.client.COMMITS_KEPT", 2)
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"message": "Rails"})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        assert isinstance(bitbucket, Bitbucket)
        for commit in ("a1", "a1", "b2", "c3", "a1"):
            await bitbucket._client.learn_commit(FERRY, commit)
    assert [path[-2:] for path in asked] == ["a1", "b2", "c3", "a1"]


# states


def test_every_documented_step_state_is_known() -> None:
    assert set(STEP_WORDS.split()) <= convert.STEP_STATES.keys()


@pytest.mark.parametrize(
    ("state", "word", "waiting"),
    [
        (None, None, False),
        (wire.State(), None, False),
        (wire.State(name="in_progress", stage=wire.Word(type="pipeline_state_in_progress_paused")), "PAUSED", True),
        (wire.State(type="pipeline_state_in_progress"), "IN_PROGRESS", False),
        (wire.State(type="pipeline_step_state_completed", result=wire.Word(type="x")), "X", False),
        (
            wire.State(
                type="pipeline_step_state_completed", result=wire.Word(type="pipeline_step_state_completed_not_run")
            ),
            "NOT_RUN",
            False,
        ),
        (wire.State(name="COMPLETED", stage=wire.Word(name="PAUSED")), "COMPLETED", False),
        (wire.State(name="PENDING", stage=wire.Word(name="PAUSED")), "PAUSED", True),
        (wire.State(name="PENDING", stage=wire.Word(name="PENDING")), "PENDING", False),
    ],
)
def test_state_is_read_by_name_or_by_type(state: wire.State | None, word: str | None, waiting: bool) -> None:
    assert convert.state_word(state) == word
    assert convert.is_waiting(state) is waiting


def test_completed_in_an_unknown_word_is_completed() -> None:
    build = convert.build(
        wire.PipelineRun(uuid="{1}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUNK"))), "ci", FERRY
    )
    assert (build.status, build.conclusion, build.raw_state) == (Status.COMPLETED, None, "SUNK")
    job = convert.job(
        wire.Step(uuid="{2}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUNK"))), build, None
    )
    assert (job.status, job.conclusion, job.web_url) == (Status.COMPLETED, None, None)


def test_bare_run_reads_without_guesses() -> None:
    build = convert.build(wire.PipelineRun(uuid="{1}"), "ci", FERRY)
    assert build == Build(connection="ci", pipeline=FERRY, id="{1}", status=Status.IN_PROGRESS)
    assert convert.with_steps(build, []) == build
    assert convert.with_steps(build, [wire.Step(uuid="{2}")]).attempt is None


def test_waiting_run_whose_steps_have_all_ended_has_no_approval() -> None:
    done = wire.Step(uuid="{2}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUCCESSFUL")))
    assert convert.approval([done], BUILD) is None
    assert BUILD.conclusion is Conclusion.FAILED


def test_attempt_and_its_start_are_those_of_the_newest_attempt() -> None:
    build = convert.build(wire.PipelineRun(uuid="{1}", run_number=2), "ci", FERRY)
    steps = [
        wire.Step(uuid="{2}", run_number=1, started_on="2026-08-01T00:00:00Z"),
        wire.Step(uuid="{3}", run_number=2, started_on="2026-08-01T11:00:00Z"),
    ]
    assert build.attempt == 2
    whole = convert.with_steps(build, steps)
    assert (whole.attempt, whole.started_at) == (2, NOW - timedelta(hours=1))


@pytest.mark.parametrize(("seconds", "wanted"), [(330, 330.0), (0, None), (None, None), (-5, None), (10**30, None)])
async def test_listed_build_reports_its_duration(seconds: int | None, wanted: float | None) -> None:
    run = {**a_run(), "completed_on": "2026-08-01T11:50:00Z", "duration_in_seconds": seconds}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"values": [run]}))
    async with opened(CASE, transport) as bitbucket:
        assert [build.seconds async for build in bitbucket.builds(FERRY, BuildFilter())] == [wanted]


@pytest.mark.parametrize(
    ("target", "ref"),
    [
        ({"ref_type": "branch", "ref_name": "main"}, ("main", None, None, None)),
        ({"ref_type": "NAMED_BRANCH", "ref_name": "main"}, ("main", None, None, None)),
        ({"ref_type": "tag", "ref_name": "v1"}, (None, "v1", None, None)),
        ({"ref_type": "ANNOTATED_TAG", "ref_name": "v1"}, (None, "v1", None, None)),
        ({"type": "pipeline_commit_target"}, (None, None, None, None)),
        (
            {
                "type": "pipeline_pullrequest_target",
                "source": "main",
                "destination": "release",
                "pullrequest": {"id": 7},
            },
            ("main", None, "7", "release"),
        ),
        (
            {"type": "pipeline_pullrequest_target", "source": "main", "destination": "release"},
            (None, None, None, "release"),
        ),
    ],
)
def test_refs_of_builds_are_of_one_kind(target: Mapping[str, object], ref: tuple[object, ...]) -> None:
    run = wire.PipelineRun.of({"uuid": "{1}", "target": {"type": "pipeline_ref_target", **target}})
    build = convert.build(run, "ci", FERRY)
    assert (build.branch, build.tag, build.pull_request, build.target_branch) == ref


@pytest.mark.parametrize(
    ("raw", "login"),
    [
        ("Signe <12345+signe-h@users.noreply.github.com>", "signe-h"),
        ("Signe <signe-h@users.noreply.github.com>", "signe-h"),
        ("Signe <99-bottles@users.noreply.github.com>", "99-bottles"),
        ("Signe <77-signe.h@users.noreply.gitlab.com>", "signe.h"),
        ("Signe <signe@harbor.example>", None),
        ("Signe <signe@users.noreply.github.com.evil.example>", None),
        ("Signe", None),
    ],
)
def test_login_inside_a_noreply_address_is_read(raw: str, login: str | None) -> None:
    person = convert.author(wire.CommitAuthor(raw=raw))
    assert person is not None
    assert (person.name, person.login) == ("Signe", login)


def test_errors_of_a_build_whose_steps_are_not_reported_are_unknown_and_not_zero() -> None:
    assert convert.errors(BUILD, [], 0) is None
    assert convert.errors(replace(BUILD, raw_state="ERROR"), [], 0) == 1
    assert convert.errors(replace(BUILD, conclusion=Conclusion.PASSED, raw_state="SUCCESSFUL"), [], 0) == 0


# identity


async def test_build_keeps_the_repository_that_bitbucket_names() -> None:
    other = "{0f1e2d3c-0000-4000-8000-00000000000b}"
    transport = httpx.MockTransport(
        lambda asked: httpx.Response(200, json=a_run() if "steps" not in asked.url.path else {"values": []})
    )
    async with opened(CASE, transport) as bitbucket:
        assert (await bitbucket.build(other, run_id(41))).pipeline == FERRY
        assert (await bitbucket.build(FERRY.upper(), run_id(41))).pipeline == FERRY.upper()


@pytest.mark.parametrize("status", [403, 404, 400])
async def test_refused_steps_and_commit_leave_the_build_readable(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(run_id(41)):
            target = {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "commit": {"hash": "a1"}}
            return httpx.Response(200, json={**a_run(), "target": target})
        return httpx.Response(status, json={"error": {"message": "no"}})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        build = await bitbucket.build(FERRY, run_id(41))
    assert (build.conclusion, build.commit, build.message, build.jobs) == (Conclusion.PASSED, "a1", None, None)


async def test_one_odd_step_spoils_only_itself() -> None:
    steps = [{"name": "no uuid"}, {"uuid": STEP, "name": "Tests"}]
    transport = httpx.MockTransport(
        lambda asked: httpx.Response(200, json={"values": steps} if asked.url.path.endswith("/steps") else a_run())
    )
    async with opened(CASE, transport) as bitbucket:
        assert [job.name for job in await bitbucket.jobs(FERRY, run_id(41))] == ["Tests"]


# what will be built


OWN_PULL_REQUEST = {
    "source": {"branch": {"name": "rails"}, "commit": {"hash": SHA}, "repository": {"uuid": FERRY}},
    "destination": {"branch": {"name": "main"}, "commit": {"hash": OTHER_SHA}, "repository": {"uuid": FERRY}},
}
FORKED_PULL_REQUEST = {
    **OWN_PULL_REQUEST,
    "source": {"branch": {"name": "main"}, "commit": {"hash": SHA}, "repository": {"uuid": "{fork}"}},
}


def repository(request: httpx.Request) -> httpx.Response:
    match request.url.path.rpartition("/")[2]:
        case "7":
            return httpx.Response(200, json=OWN_PULL_REQUEST)
        case "8":
            return httpx.Response(200, json=FORKED_PULL_REQUEST)
        case commit if commit == SHA[:8]:
            return httpx.Response(200, json={"hash": SHA})
        case _:
            return httpx.Response(200, json={"uuid": FERRY, "mainbranch": {"name": "main"}})


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        (StartRequest(), StartTarget(branch="main")),
        (StartRequest(ref=branch("rails")), StartTarget(branch="rails")),
        (StartRequest(ref=branch("refs/heads/main")), StartTarget(branch="main")),
        (StartRequest(ref=branch("rails"), commit=SHA[:8]), StartTarget(branch="rails", commit=SHA)),
        (StartRequest(ref=tag("v1")), StartTarget(tag="v1")),
        (StartRequest(ref=commit(SHA)), StartTarget(branch="main", commit=SHA)),
        (StartRequest(ref=commit(SHA), options={"branch": "main"}), StartTarget(branch="main", commit=SHA)),
        (StartRequest(commit=SHA), StartTarget(branch="main", commit=SHA)),
        (StartRequest(options={"branch": "rails"}), StartTarget(branch="rails")),
        (
            StartRequest(ref=branch("rails"), options={"selector": "branches:main"}),
            StartTarget(branch="rails", also=("main",)),
        ),
        (StartRequest(ref=branch("rails"), options={"selector": "custom:main"}), StartTarget(branch="rails")),
        (StartRequest(ref=pull_request("7")), StartTarget(pull_request="7", branch="rails", commit=SHA)),
        (StartRequest(ref=pull_request("8")), StartTarget(pull_request="8", commit=SHA)),
    ],
    ids=repr,
)
async def test_start_target_is_what_is_sent(wanted: StartRequest, target: StartTarget) -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            bodies.append(json.loads(request.content)["target"])
            return httpx.Response(201, json=a_run(42, "PENDING", None))
        return repository(request)

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        assert await bitbucket.start_target(FERRY, wanted) == target
        await bitbucket.start(FERRY, wanted)
    sent = bodies[0]
    assert sent.get("commit", {}).get("hash") == target.commit
    if sent["type"] == "pipeline_commit_target":
        assert wanted.ref == commit(SHA), "a commit alone may be any branch's: it counts as the main one"
    elif target.pull_request:
        assert sent["pullrequest"] == {"id": target.pull_request}
    else:
        assert sent.get("ref_name") == (target.branch or target.tag)
        assert sent.get("ref_type") == ("branch" if target.branch else "tag" if target.tag else None)


@pytest.mark.parametrize(
    "wanted",
    [
        StartRequest(ref=tag("v1"), options={"branch": "main"}),
        StartRequest(ref=pull_request("7"), options={"branch": "main"}),
        StartRequest(ref=branch("rails"), options={"branch": "main"}),
        StartRequest(ref=pull_request("7"), commit=SHA),
        StartRequest(ref=commit(SHA), commit=OTHER_SHA),
        StartRequest(ref=tag("refs/heads/main")),
        StartRequest(ref=commit("")),
        StartRequest(ref=branch(" ")),
        StartRequest(options={"branch": ""}),
        StartRequest(ref=branch("refs/tags/v1")),
        StartRequest(ref=pull_request("7/../8")),
    ],
    ids=repr,
)
async def test_contradicting_refs_are_refused_without_a_start(wanted: StartRequest) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET", "something was started"
        return repository(request)

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        with pytest.raises(UsageError):
            await bitbucket.start_target(FERRY, wanted)
        with pytest.raises(UsageError):
            await bitbucket.start(FERRY, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        StartRequest(parameters={"selector": "sail"}, options={"selector": "scrub"}),
        StartRequest(parameters={"PASS": "a"}, options={"secured.PASS": "b"}),
        StartRequest(options={"clean": "true"}),
        StartRequest(message="Try"),
    ],
    ids=repr,
)
async def test_what_bitbucket_does_not_take_is_refused_without_a_request(wanted: StartRequest) -> None:
    async with opened(CASE, SILENT) as bitbucket:
        with pytest.raises(UsageError):
            await bitbucket.start(FERRY, wanted)
        with pytest.raises(UsageError):
            await bitbucket.rebuild(FERRY, run_id(41), wanted)
        assert bitbucket.requests == 0


@pytest.mark.parametrize(
    "wanted", [StartRequest(ref=branch("main")), StartRequest(commit=SHA), StartRequest(options={"branch": "main"})]
)
async def test_rebuild_takes_no_other_ref(wanted: StartRequest) -> None:
    async with opened(CASE, SILENT) as bitbucket:
        with pytest.raises(UsageError, match="old build"):
            await bitbucket.rebuild(FERRY, run_id(41), wanted)


async def test_second_start_without_an_answer_is_not_given_the_first_ones_build() -> None:
    runs: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            number = 42 + len(runs)
            runs.append({**a_run(number, "PENDING", None), "created_on": NOW.isoformat()})
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={"values": runs})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        wanted = StartRequest(ref=branch("main"))
        assert [(await bitbucket.start(FERRY, wanted)).number for _ in range(2)] == [42, 43]


async def test_access_tokens_owner_is_learned_from_its_own_starts() -> None:
    """A person starts the same branch in the web while an answer is lost: that run is not taken for ours."""
    theirs = {**a_run(50, "PENDING", None), "creator": {"uuid": "{them}"}, "created_on": NOW.isoformat()}
    answered = [httpx.Response(201, json={**a_run(42, "PENDING", None), "creator": {"uuid": "{token}"}})]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if answered:
                return answered.pop()
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={"values": [theirs]})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        wanted = StartRequest(ref=branch("main"))
        assert (await bitbucket.start(FERRY, wanted)).number == 42
        with pytest.raises(Unavailable, match="can't see whether"):
            await bitbucket.start(FERRY, wanted)


# what is sent


def test_run_of_the_same_branch_with_another_custom_pipeline_is_not_ours() -> None:
    asked = start.start_body(start.ref_target("branch", "main", None), StartRequest(options={"selector": "sail"}))
    target = wire.Target(ref_name="main", selector=wire.Selector(type="custom", pattern="sail"))
    assert start.fits(wire.PipelineRun(uuid=run_id(1), target=target), asked)
    target.selector = wire.Selector(type="custom", pattern="scrub")
    assert not start.fits(wire.PipelineRun(uuid=run_id(1), target=target), asked)
    assert not start.fits(wire.PipelineRun(uuid=run_id(1)), asked)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", None),
        ("sail", {"type": "custom", "pattern": "sail"}),
        ("sail: fast", {"type": "custom", "pattern": "sail: fast"}),
        ("custom:sail", {"type": "custom", "pattern": "sail"}),
        ("default", {"type": "default"}),
        ("pull-requests:feature/*", {"type": "pull-requests", "pattern": "feature/*"}),
        ("branches:", {"type": "custom", "pattern": "branches:"}),
    ],
)
def test_selector_reads(text: str, selector: dict[str, str] | None) -> None:
    assert start.selector(StartRequest(options={"selector": text})) == selector


def test_pull_request_without_its_ends_cannot_be_built() -> None:
    def end(branch: str | None, commit: str | None) -> wire.PullRequestEnd:
        return wire.PullRequestEnd(branch=wire.Named(name=branch), commit=wire.Commit(hash=commit))

    for request in (
        wire.PullRequest(),
        wire.PullRequest(source=end(None, "a"), destination=end("m", "b")),
        wire.PullRequest(source=end("r", None), destination=end("m", "b")),
    ):
        with pytest.raises(Rejected, match="lost its source"):
            start.pull_request_target("7", request)


# the yml


def test_variable_that_one_pipeline_leaves_free_takes_any_value() -> None:
    text = """
pipelines:
  custom:
    sail:
      - variables:
          - {name: QUAY, allowed-values: [north]}
          - {name: ~}
          - QUAY
    scrub:
      - variables: [{name: QUAY}]
    rest: ~
"""
    found = parameters.parameters(text)
    assert [(one.name, one.type) for one in found] == [
        ("selector", ParameterType.CHOICE),
        ("QUAY", ParameterType.TEXT),
    ]
    assert [value for value, _ in found[0].choices] == ["sail", "scrub", "rest"]


def test_file_that_would_swell_is_only_looked_at() -> None:
    layers = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30))
    text = f"a0: &a0 {{x: y}}\n{layers}\npipelines: {{custom: {{sail: [{{variables: [{{name: QUAY}}]}}]}}}}"
    assert [one.name for one in parameters.parameters(text)] == ["selector", "QUAY"]


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 300_000, "", "- a", "a: \x00", "a: [b"])
def test_what_is_no_yml_is_refused_in_words(text: str) -> None:
    with pytest.raises(UnexpectedResponse, match=r"bitbucket-pipelines\.yml"):
        parameters.parameters(text)


def test_objects_are_not_made_of_the_file() -> None:
    assert parameters.parameters("a: !!python/object/apply:os.system [ls]\npipelines: !!python/name:os.system x") == ()
