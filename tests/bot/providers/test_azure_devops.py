"""What is Azure DevOps' own: two ways to sign in, addresses, service hooks, throttling, the cost of the poll."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import ValidationError

from bot.core.errors import AuthFailed, NotFound, UnexpectedResponse, UsageError
from bot.core.models import (
    BuildFilter,
    IssueCounts,
    Outcome,
    Page,
    Ref,
    RefKind,
    Starter,
    StartRequest,
    StartTarget,
    Trigger,
    Watched,
)
from bot.providers import open_provider
from bot.providers.azure_devops import convert, stages, webhook, wire
from bot.providers.azure_devops.auth import EntraAuth, TokenAuth
from bot.providers.azure_devops.options import AzureOptions
from bot.providers.azure_devops.poll import AzureCursor
from bot.providers.azure_devops.provider import AzureDevOps
from bot.providers.azure_devops.stages import TimelineTree
from bot.providers.azure_devops.start import START_OPTIONS, full_ref, is_own_start, start_body
from tests.bot.providers.case import NOW, clock, opened, result_of
from tests.bot.providers.cases import azure_devops_entra as entra
from tests.bot.providers.cases.azure_devops import (
    BUILD,
    BUILDS,
    CASE,
    CRANE,
    EVERYTHING,
    FERRY,
    PROJECT,
    SECRET,
    TOKEN,
    a_build,
    basic,
    key,
)

RECORD_WORDS = "pending inProgress completed succeeded succeededWithIssues failed canceled skipped abandoned"
REASONS = (
    "manual individualCI batchedCI schedule scheduleForced userCreated validateShelveset checkInShelveset pullRequest"
    " buildCompletion resourceTrigger triggered"
)
ENDED = json.dumps(
    {"id": "e1", "eventType": "build.complete", "resource": {"id": 482, "definition": {"id": 7}}}
    | {"resourceContainers": {"project": {"id": PROJECT}}}
).encode()


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(answer)


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"message": "not here"})


SILENT = answering(nothing)


def empty(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"count": 0, "value": []})


# signing in


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tenant_id": "t", "client_id": "c"},
        {"token": "x", "client_secret": "y"},
        {"token": "x", "tenant_id": "t", "client_id": "c", "client_secret": "y"},
        {"token": "x", "organization": "a/b"},
        {"token": "x", "api_version": "latest"},
    ],
)
def test_options_name_one_way_in(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        AzureOptions.model_validate({"organization": "harbor", **given})


def test_each_way_in_has_its_credentials() -> None:
    assert isinstance(AzureDevOps.auth(AzureOptions.model_validate(CASE.options), clock), TokenAuth)
    assert isinstance(AzureDevOps.auth(AzureOptions.model_validate(entra.CASE.options), clock), EntraAuth)


async def test_requests_that_wait_for_a_token_of_entra_share_one() -> None:
    fetched = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal fetched
        await asyncio.sleep(0)
        if request.method == "POST":
            fetched += 1
            return httpx.Response(200, json={"access_token": f"token-{fetched}", "expires_in": 3599})
        assert request.headers["Authorization"] == f"Bearer token-{fetched}"
        return httpx.Response(200, json=a_build())

    async with opened(entra.CASE, httpx.MockTransport(answer)) as azure:
        await asyncio.gather(*(azure.build(FERRY, "482") for _ in range(5)))
    assert fetched == 1


async def test_token_of_entra_is_replaced_before_its_end() -> None:
    now = NOW
    fetched = 0

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal fetched
        fetched += 1
        return httpx.Response(200, json={"access_token": f"token-{fetched}", "expires_in": 3599})

    async def used(auth: EntraAuth) -> str:
        async with httpx.AsyncClient(transport=answering(answer), auth=auth) as client:
            return str((await client.get("https://dev.azure.com/harbor")).request.headers["Authorization"])

    options = AzureOptions.model_validate(entra.CASE.options)
    auth = AzureDevOps.auth(options, lambda: now)
    assert isinstance(auth, EntraAuth)
    first = await used(auth)
    now = NOW + timedelta(minutes=50)
    assert await used(auth) == first
    now = NOW + timedelta(minutes=56)
    assert await used(auth) != first


async def test_another_request_may_have_replaced_a_refused_token_meanwhile() -> None:
    """Two requests are refused with the same token; only the first to come back has it replaced."""
    auth = AzureDevOps.auth(AzureOptions.model_validate(entra.CASE.options), clock)
    assert isinstance(auth, EntraAuth)

    def granted(token: str) -> httpx.Response:
        return httpx.Response(200, json={"access_token": token, "expires_in": 3599})

    def refused() -> httpx.Response:
        return httpx.Response(203)

    first, second = (auth.async_auth_flow(httpx.Request("GET", "https://dev.azure.com/harbor")) for _ in range(2))
    assert (await anext(first)).method == "POST"
    assert (await first.asend(granted("one"))).headers["Authorization"] == "Bearer one"
    assert (await anext(second)).headers["Authorization"] == "Bearer one"
    assert (await first.asend(refused())).method == "POST"
    assert (await first.asend(granted("two"))).headers["Authorization"] == "Bearer two"
    assert (await second.asend(refused())).headers["Authorization"] == "Bearer two"
    for flow in (first, second):
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(200))


# where things are


async def test_a_server_of_ones_own_keeps_its_test_results_itself() -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={})

    server = {"url": "http://127.0.0.1:9/tfs/", "organization": "HarborCollection", "api_version": "7.0"}
    async with opened(CASE, answering(answer), server) as azure:
        await azure.counts(BUILD)
    assert {(url.host, url.port) for url in asked} == {("127.0.0.1", 9)}
    assert asked[1].path == f"/tfs/HarborCollection/{PROJECT}/_apis/testresults/resultsummarybybuild"
    assert [url.params["api-version"] for url in asked] == ["7.0", "7.0-preview.1"]


def test_only_services_have_a_second_host() -> None:
    def credential_origins(**more: str) -> tuple[str, ...]:
        return AzureDevOps.credential_origins(AzureOptions.model_validate({**CASE.options, **more}))

    assert credential_origins() == credential_origins(url="https://dev.azure.com/") == ("https://vstmr.dev.azure.com",)
    assert credential_origins(url="https://tfs.harbor.example") == ()


HOME = "https://dev.azure.com/harbor"
JOB_ID = "12f1170f-54f2-53f3-20dd-22fc7dff55f9"


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (f"{HOME}/Quay/_build?definitionId=7", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_build/definition?definitionId=7&_a=summary", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_build/results?buildId=482", Page(pipeline="Quay/_build/482", build="482")),
        (f"{HOME}/quay/_build/index?buildId=482&view=results", Page(pipeline="quay/_build/482", build="482")),
        (f"{HOME}/{PROJECT}/_build/results?buildid=482", Page(pipeline=f"{PROJECT}/_build/482", build="482")),
        (
            f"{HOME}/Quay/_build/results?buildId=482&view=logs&j={JOB_ID}&t=x",
            Page(pipeline="Quay/_build/482", build="482", job=JOB_ID),
        ),
        (
            "https://harbor.visualstudio.com/DefaultCollection/Quay/_build/results?buildId=482",
            Page(pipeline="Quay/_build/482", build="482"),
        ),
        ("https://harbor.visualstudio.com/Quay/_build?definitionId=7", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_apis/build/Builds/482", Page(pipeline="Quay/_build/482", build="482")),
        (f"{HOME}/Quay/_apis/build/Definitions/7?revision=3", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_apis/pipelines/7/runs/482", Page(pipeline="Quay/_build/482", build="482")),
        (f"{HOME}/Quay/_apis/Pipelines/7?revision=1", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_build/latest?definitionId=7&branchName=main", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_build?definitionId=7&view=runs", Page(pipeline="Quay/7")),
        (f"{HOME}/Quay/_build/index?definitionId=7&buildId=482", Page(pipeline="Quay/_build/482", build="482")),
        (
            f"{HOME}/Quay/_build/results?buildId=482&view=artifacts&pathAsName=false&type=publishedArtifacts",
            Page(pipeline="Quay/_build/482", build="482"),
        ),
        (
            f"{HOME}/Quay/_build/results?buildId=482&view=ms.vss-test-web.build-test-results-tab&runId=9&resultId=1",
            Page(pipeline="Quay/_build/482", build="482"),
        ),
        (f"{HOME}/Quay/Crew/_build#_a=summary&buildId=482", Page(pipeline="Quay/_build/482", build="482")),
        (f"{HOME}/Quay/_apis/build/builds/482/artifacts?x=y", Page(pipeline="Quay/_build/482", build="482")),
        (f"{HOME}/Quay/_build/results?buildId=../9", None),
        (f"{HOME}/Quay/_build/results?buildId=soon", None),
        (f"{HOME}/Quay/_build", None),
        (f"{HOME}/Quay/_apis/pipelines/approvals", None),
        (f"{HOME}/Quay/_git/ferry", None),
        (f"{HOME}/Other/_build/results?buildId=482", None),
        (f"{HOME}/Quay", None),
        ("https://dev.azure.com/rival/Quay/_build/results?buildId=482", None),
        ("https://rival.visualstudio.com/Quay/_build/results?buildId=482", None),
        ("https://dev.azure.com.evil.example/harbor/Quay/_build/results?buildId=482", None),
        ("https://dev.azure.com:bad/harbor", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as azure:
        assert azure.parse_url(url) == page


async def test_pages_of_all_projects_and_of_a_server_read() -> None:
    async with opened(entra.CASE, SILENT) as azure:
        assert azure.parse_url(f"{HOME}/Any%20project/_build?definitionId=7") == Page(pipeline="Any project/7")
    async with opened(CASE, SILENT, {"url": "https://tfs.harbor.example/tfs"}) as azure:
        page = Page(pipeline="Quay/_build/482", build="482")
        assert azure.parse_url("https://tfs.harbor.example/tfs/harbor/Quay/_build/results?buildId=482") == page
        assert azure.parse_url("http://tfs.harbor.example/tfs/harbor/Quay/_build#buildId=482&_a=summary") == page
        assert azure.parse_url("https://tfs.harbor.example/harbor/Quay/_build/results?buildId=482") is None
        assert azure.parse_url("https://tfs.harbor.example:8080/tfs/harbor/Quay/_build/results?buildId=482") is None
        assert azure.parse_url(f"{HOME}/Quay/_build/results?buildId=482") == page
    async with opened(CASE, SILENT, {"url": "http://127.0.0.1:8099"}) as azure:
        assert azure.parse_url("http://127.0.0.1:8099/harbor/Quay/_build/results?buildId=482") == page
        assert azure.parse_url("http://127.0.0.1:8098/harbor/Quay/_build/results?buildId=482") is None


@pytest.mark.parametrize("path", ["", "/", PROJECT, "ferry*"])
async def test_path_that_names_no_pipeline_is_refused_without_a_request(path: str) -> None:
    async with opened(CASE, SILENT) as azure:
        with pytest.raises(NotFound):
            await azure.pipeline(path)
        assert azure.requests == 0


@pytest.mark.parametrize("pipeline", ["ferry", "Quay/ferry", "/7", "Quay/", "Quay/\u0664"])
async def test_what_is_no_pipelines_id_is_not_asked_for(pipeline: str) -> None:
    async with opened(CASE, SILENT) as azure:
        with pytest.raises(NotFound):
            await azure.build(pipeline, "482")
        assert azure.requests == 0


async def test_id_of_another_project_is_not_taken_for_a_name() -> None:
    async with opened(CASE, SILENT) as azure:
        with pytest.raises(NotFound):
            await azure.pipeline(f"{PROJECT}/99")


def test_pipelines_of_a_project_share_a_poll() -> None:
    assert AzureDevOps.poll_target(object.__new__(AzureDevOps), FERRY) == AzureDevOps.poll_target(
        object.__new__(AzureDevOps), CRANE
    )


# service hooks


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": basic(SECRET)},
        {"authorization": basic(SECRET).replace("Basic", "basic")},
        {"x-hook-token": SECRET},
        {"authorization": basic(SECRET), "x-hook-token": SECRET},
    ],
)
async def test_webhook_is_believed_by_its_password_or_its_header(headers: dict[str, str]) -> None:
    async with opened(CASE, SILENT) as azure:
        event = azure.parse_webhook(headers, ENDED)
    assert event is not None
    assert (event.delivery, event.pipeline, event.build) == ("e1", FERRY, "482")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": basic("guess")},
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": "Basic ?"},
        {"authorization": "Basic é"},
        {"x-hook-token": "guess"},
        {"x-hook-token": SECRET, "authorization": basic("guess")},
        {"x-hook-token": ""},
    ],
)
async def test_wrong_header_is_refused_though_the_address_fits(headers: dict[str, str]) -> None:
    async with opened(CASE, SILENT) as azure:
        with pytest.raises(AuthFailed):
            azure.parse_webhook(headers, ENDED, SECRET)


async def test_secret_in_the_address_is_enough_without_headers() -> None:
    async with opened(CASE, SILENT) as azure:
        assert azure.parse_webhook({}, ENDED, SECRET) is not None
        with pytest.raises(AuthFailed):
            azure.parse_webhook({}, ENDED, "guess")


async def test_webhook_without_an_id_is_named_by_its_body() -> None:
    body = json.dumps({"eventType": "build.complete", "resource": {"id": 482}}).encode()
    async with opened(CASE, SILENT) as azure:
        first, again = (azure.parse_webhook({"x-hook-token": SECRET}, body) for _ in range(2))
    assert first == again
    assert first is not None
    assert len(first.delivery) == 64


def test_webhook_that_names_its_run_by_number_alone_is_placed() -> None:
    event = webhook.parse_event(
        json.dumps(
            {
                "eventType": "ms.vss-pipelines.run-state-changed-event",
                "resource": {"runId": 482, "projectId": PROJECT, "run": None, "pipeline": {"id": "seven"}},
            }
        ).encode()
    )
    assert event is not None
    assert (event.pipeline, event.build) == (None, "482")


# states


def test_every_documented_record_state_is_known() -> None:
    assert set(RECORD_WORDS.split()) == stages.RECORD_STATES.keys()


def test_every_documented_reason_is_a_trigger() -> None:
    assert {reason.lower() for reason in REASONS.split()} == convert.TRIGGERS.keys()
    assert convert.trigger(wire.BuildWire(id=1, reason="dream")) is Trigger.UNKNOWN


@pytest.mark.parametrize(
    ("who", "starter"),
    [
        (None, None),
        (wire.Identity(display_name="Signe", descriptor="aad.x", unique_name="signe@harbor.example"), Starter.USER),
        (wire.Identity(descriptor="svc.x"), Starter.BOT),
        (wire.Identity(descriptor="s2s.x"), Starter.BOT),
        (wire.Identity(unique_name=f"{PROJECT}@{JOB_ID}"), Starter.BOT),
        (wire.Identity(), Starter.USER),
    ],
)
def test_services_are_distinguished_from_people(who: wire.Identity | None, starter: Starter | None) -> None:
    assert convert.starter(who) is starter


def test_by_hand_is_the_web_unless_a_service_asked() -> None:
    service = wire.Identity(descriptor="svc.x")
    assert convert.trigger(wire.BuildWire(id=1, reason="manual")) is Trigger.WEB
    assert convert.trigger(wire.BuildWire(id=1, reason="manual", requested_by=service)) is Trigger.API


def test_words_of_webhooks_and_filters_read_like_those_of_json() -> None:
    it = wire.BuildWire(id=1, status="Completed", result="PartiallySucceeded", definition=wire.Definition(id=7))
    assert convert.build(it, "ci", project="Quay", pipeline=None, page="").raw_state == "partiallySucceeded"


def test_build_without_a_branch_or_a_project_keeps_what_was_asked_for() -> None:
    it = wire.BuildWire(id=1, status="completed", definition=wire.Definition(id=7), source_branch="refs/pull/x")
    build = convert.build(it, "ci", project="Quay", pipeline=None, page="there")
    assert (build.pipeline, build.branch, build.pull_request, build.web_url) == ("Quay/7", None, None, "there")
    assert (build.conclusion, build.raw_state) == (None, "completed")
    with pytest.raises(UnexpectedResponse, match="no pipeline"):
        convert.build(wire.BuildWire(id=1), "ci", project="Quay", pipeline=None, page="")


def test_timeline_that_goes_attempt_in_circles_is_read() -> None:
    tree = TimelineTree.of(
        [
            wire.Record(id="a", parent_id="b", type="Job", name="A"),
            wire.Record(id="b", parent_id="a", type="Phase"),
        ]
    )
    assert tree.stage_name(tree.records["a"]) is None
    assert [it.name for it in tree.of_type("Job")] == ["A"]
    assert TimelineTree.of([]).records == {}


def test_approval_without_a_stage_is_called_by_its_own_name() -> None:
    record = wire.Record(id="a", type="Checkpoint.Approval", state="inProgress")
    tree = TimelineTree.of([record])
    assert [one.name for one in stages.approvals(tree, {}, pipeline=FERRY, build="1", page="")] == ["Approval"]


@pytest.mark.parametrize(
    ("outcome", "ours"),
    [
        ("Passed", Outcome.PASSED),
        ("warning", Outcome.PASSED),
        ("Error", Outcome.FAILED),
        ("aborted", Outcome.FAILED),
        ("NotImpacted", Outcome.SKIPPED),
        ("Inconclusive", Outcome.UNKNOWN),
        (None, Outcome.UNKNOWN),
    ],
)
def test_outcomes_of_tests(outcome: str | None, ours: Outcome) -> None:
    assert convert.test(wire.TestResult(id=1, outcome=outcome), wire.TestRun(id=1)).outcome is ours


def test_runs_without_statistics_do_not_report_how_many_failed() -> None:
    assert convert.run_counts([wire.TestRun(id=1, total_tests=4)]) == IssueCounts(tests_total=4)
    assert convert.run_counts([]) == IssueCounts()


# limits


def test_quota_is_read_in_units() -> None:
    headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "150", "X-RateLimit-Reset": "1785585660"}
    quota = AzureDevOps.read_quota(httpx.Headers(headers), NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (200, 150, NOW + timedelta(seconds=60))


def test_delayed_answer_means_that_nothing_is_left_until_the_delay_is_over() -> None:
    quota = AzureDevOps.read_quota(httpx.Headers({"Retry-After": "12", "X-RateLimit-Remaining": "14"}), NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (200, 0, NOW + timedelta(seconds=12))


def test_quota_is_unknown_without_headers_or_with_odd_ones() -> None:
    assert AzureDevOps.read_quota(httpx.Headers(), NOW) is None
    assert AzureDevOps.read_quota(httpx.Headers({"X-RateLimit-Remaining": "-1"}), NOW) is None


async def test_delayed_answer_is_an_answer_and_slows_the_poll() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Retry-After": "30"}, json={"value": []})

    async with opened(CASE, answering(answer)) as azure:
        assert [it async for it in azure.builds(FERRY, BuildFilter())] == []
        assert azure.requests == 1
        assert azure.quota is not None
        assert azure.quota.resets_at == NOW + timedelta(seconds=30)


# the poll


async def test_quiet_tick_costs_two_requests_and_every_third_one_more() -> None:
    async with opened(CASE, answering(empty)) as azure:
        cursor, costs = None, []
        for _ in range(4):
            before = azure.requests
            cursor = (await azure.changes(cursor, Watched(pipelines=frozenset({FERRY, CRANE})))).cursor
            costs.append(azure.requests - before)
    assert costs == [3, 2, 2, 3]


async def test_busy_tick_costs_one_request_for_all_approvals() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("statusFilter") == "inProgress":
            return httpx.Response(200, json={"value": [a_build(n) for n in range(500, 520)]})
        return empty(request)

    cursor = AzureCursor(since=NOW, tick=2).encode()
    async with opened(CASE, answering(answer)) as azure:
        changes = await azure.changes(cursor, Watched(pipelines=frozenset({FERRY})))
        assert azure.requests == 3
    assert len(changes.builds) == 20


async def test_refused_approvals_are_asked_for_again_after_half_an_hour() -> None:
    asked: list[str] = []
    now = NOW

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/")[2])
        if request.url.path.endswith("/approvals"):
            return httpx.Response(403, json={"message": "no"})
        if request.url.params.get("statusFilter") == "inProgress":
            return httpx.Response(200, json={"value": [a_build()]})
        return empty(request)

    watched = Watched(pipelines=frozenset({FERRY}))
    async with httpx.AsyncClient(transport=answering(answer)) as http:
        azure = open_provider(
            "ci", "azure_devops", AzureOptions.model_validate(CASE.options), client=http, clock=lambda: now
        )
        for minutes in (0, 1, 31):
            now = NOW + timedelta(minutes=minutes)
            asked.clear()
            changes = await azure.changes(None, watched)
            assert ("approvals" in asked) == (minutes != 1)
            assert asked.count("timeline") == 1
            assert len(changes.builds) == 1


async def test_long_nights_timelines_are_read_for_fifty_builds_only() -> None:
    timelines = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal timelines
        if request.url.path.endswith("/timeline"):
            timelines += 1
            return httpx.Response(200, json={"records": [{"id": "j", "type": "Job", "state": "completed"}]})
        if request.url.params.get("statusFilter") == "completed":
            ended = [{**a_build(n, "completed"), "result": "succeeded"} for n in range(500, 600)]
            ended.append({**a_build(600, "completed"), "result": "failed"})
            return httpx.Response(200, json={"value": ended})
        return empty(request)

    async with opened(CASE, answering(answer)) as azure:
        changes = await azure.changes(None, Watched(pipelines=frozenset({FERRY})))
    assert (timelines, len(changes.builds)) == (50, 101)
    assert next(it for it in changes.builds if it.id == "600").jobs is not None


async def test_unfinished_builds_that_no_list_shows_are_asked_for_by_the_hundred() -> None:
    async with opened(CASE, answering(empty)) as azure:
        unfinished = frozenset(key(n) for n in range(1000, 1150))
        cursor = AzureCursor(since=NOW, tick=2).encode()
        await azure.changes(cursor, Watched(pipelines=frozenset({FERRY}), unfinished=unfinished))
        assert azure.requests == 4


async def test_projects_are_polled_apart() -> None:
    other = "6b2e1d8f-0000-4000-8000-000000000005/3"
    async with opened(CASE, answering(empty)) as azure:
        await azure.changes(None, Watched(pipelines=frozenset({FERRY, other})))
        assert azure.requests == 6


def test_cursor_that_does_not_read_begins_now() -> None:
    for text in (None, "", "{", "[]", '{"since": "2026-08-01T11:00:00"}', '{"since": 1}'):
        assert AzureCursor.decode(text) is None
    cursor = AzureCursor(since=NOW, tick=1, reported=frozenset({"482@x"}))
    assert AzureCursor.decode(cursor.encode()) == cursor


# starting


def test_every_start_option_is_taken() -> None:
    yaml = wire.Definition(id=7)
    taken = start_body(StartRequest(options=EVERYTHING), yaml)
    assert taken.skip == ("Launch", "Party")
    assert (taken.parameters, taken.variables, taken.source.ref) == (
        {"environment": "prod"},
        {"dry": "yes"},
        "refs/heads/slip",
    )
    families = {name if "." not in name else f"{name.partition('.')[0]}." for name in EVERYTHING}
    assert families == START_OPTIONS.keys()


@pytest.mark.parametrize("name", ["parameter.", "variable.", "clean"])
def test_option_without_a_name_is_none(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        start_body(StartRequest(options={name: "x"}), wire.Definition(id=7))


def test_refs_are_written_in_full() -> None:
    assert full_ref(Ref(kind=RefKind.BRANCH, name="refs/heads/main")) == "refs/heads/main"
    assert full_ref(Ref(kind=RefKind.BRANCH, name="a/b")) == "refs/heads/a/b"
    assert full_ref(Ref(kind=RefKind.TAG, name="v1")) == "refs/tags/v1"


async def test_what_was_recorded_with_a_build_never_leaves_the_adapter(caplog: pytest.LogCaptureFixture) -> None:
    secretive = {**a_build(), "parameters": '{"KEY": "hush-hush"}', "templateParameters": {"note": "hush-hush"}}
    async with opened(CASE, answering(lambda _: httpx.Response(200, json=secretive))) as azure:
        build = await azure.build(FERRY, "482")
    assert "hush-hush" not in repr(build) + caplog.text


# odds and ends


async def test_odd_branches_of_a_code_host_are_left_out() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "/definitions/" in request.url.path:
            return httpx.Response(200, json={"id": 7, "repository": {"id": "o/r", "type": "Bitbucket"}})
        assert request.url.path.endswith("/sourceProviders/bitbucket/branches")
        return httpx.Response(200, json={"value": ["main", 7, None]})

    async with opened(CASE, answering(answer)) as azure:
        assert [ref.name async for ref in azure.refs(FERRY)] == ["main"]


async def test_sign_in_page_at_the_right_address_is_bad_credentials() -> None:
    async with opened(CASE, answering(lambda _: httpx.Response(200, html="<html>Sign in</html>"))) as azure:
        for call in (azure.check(), azure.build(FERRY, "482"), azure.builds(FERRY, BuildFilter())):
            with pytest.raises(AuthFailed, match="sign-in page"):
                await result_of(call)


async def test_page_that_answers_a_write_may_hide_its_effect_so_the_effect_is_looked_for() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        if request.method == "PATCH":
            return httpx.Response(200, html="<html>gateway</html>")
        return httpx.Response(200, json=a_build(status="cancelling"))

    async with opened(CASE, answering(answer)) as azure:
        assert (await azure.cancel(FERRY, "482")).raw_state == "cancelling"
    assert sent == ["PATCH", "GET"]


async def test_write_that_is_sent_to_a_sign_in_page_is_bad_credentials() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "https://dev.azure.com/_signin"})

    async with opened(CASE, answering(answer)) as azure:
        with pytest.raises(AuthFailed, match="sign-in page"):
            await azure.cancel(FERRY, "482")
        assert azure.requests == 1


async def test_identity_is_asked_for_once_and_each_own_build_is_returned_once() -> None:
    """Two starts without an answer within a minute: the first one's build is not taken for the second one's."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("connectionData"):
            return httpx.Response(200, json={"authenticatedUser": {"id": "me"}})
        if "/definitions/" in request.url.path:
            return httpx.Response(200, json={"id": 7})
        if request.method == "POST":
            posts = sum(path.endswith("/runs") for path in asked)
            runs.append({**a_build(480 + posts), "queueTime": "2026-08-01T12:00:00Z", "requestedBy": {"id": "ME"}})
            raise httpx.ReadTimeout("timed out")
        if request.url.path == BUILDS:
            return httpx.Response(200, json={"value": runs})
        return httpx.Response(200, json=a_build(int(request.url.path.rpartition("/")[2])))

    runs: list[object] = []
    async with opened(CASE, answering(answer)) as azure:
        assert [(await azure.start(FERRY, StartRequest())).id for _ in range(2)] == ["481", "482"]
    assert asked.count("/harbor/_apis/connectionData") == 1


# what will be built


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (StartRequest(), StartTarget(branch="main")),
        (StartRequest(ref=Ref(kind=RefKind.BRANCH, name="slip")), StartTarget(branch="slip")),
        (StartRequest(ref=Ref(kind=RefKind.BRANCH, name="refs/heads/main")), StartTarget(branch="main")),
        (StartRequest(ref=Ref(kind=RefKind.TAG, name="v1")), StartTarget(tag="v1")),
        (StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="73")), StartTarget(pull_request="73")),
        (StartRequest(ref=Ref(kind=RefKind.COMMIT, name="90aa11b")), StartTarget(branch="main", commit="90aa11b")),
        (
            StartRequest(ref=Ref(kind=RefKind.COMMIT, name="90aa11b"), options={"branch": "slip"}),
            StartTarget(branch="slip", commit="90aa11b"),
        ),
        (StartRequest(commit="90aa11b"), StartTarget(branch="main", commit="90aa11b")),
        (StartRequest(options={"branch": "refs/heads/slip"}), StartTarget(branch="slip")),
    ],
    ids=repr,
)
async def test_start_target_is_what_is_sent(request_: StartRequest, target: StartTarget) -> None:
    bodies: list[Mapping[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            bodies.append(json.loads(request.content))
            return httpx.Response(200, json={"id": 482})
        if "/definitions/" in request.url.path:
            return httpx.Response(200, json={"id": 7, "repository": {"defaultBranch": "refs/heads/main"}})
        return httpx.Response(200, json=a_build())

    async with opened(CASE, answering(answer)) as azure:
        assert await azure.start_target(FERRY, request_) == target
        await azure.start(FERRY, request_)
    sent = bodies[0].get("resources", {"repositories": {"self": {}}})["repositories"]["self"]
    pull = f"refs/pull/{target.pull_request}/merge" if target.pull_request else None
    ref = f"refs/heads/{target.branch}" if target.branch else f"refs/tags/{target.tag}" if target.tag else pull
    assert sent.get("refName", "refs/heads/main") == ref
    assert sent.get("version") == target.commit


@pytest.mark.parametrize(
    "request_",
    [
        StartRequest(ref=Ref(kind=RefKind.TAG, name="v1"), options={"branch": "main"}),
        StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="1"), options={"branch": "main"}),
        StartRequest(ref=Ref(kind=RefKind.BRANCH, name="slip"), options={"branch": "main"}),
        StartRequest(ref=Ref(kind=RefKind.COMMIT, name="90aa11b"), commit="5f3a9c1"),
        StartRequest(ref=Ref(kind=RefKind.TAG, name="refs/heads/main")),
        StartRequest(ref=Ref(kind=RefKind.COMMIT, name="")),
        StartRequest(ref=Ref(kind=RefKind.BRANCH, name=" ")),
        StartRequest(options={"branch": ""}),
        StartRequest(ref=Ref(kind=RefKind.BRANCH, name="refs/tags/v1")),
        StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="1/head")),
    ],
    ids=repr,
)
async def test_contradicting_refs_are_refused_without_a_start(request_: StartRequest) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET", "something was started"
        return httpx.Response(200, json={"id": 7})

    async with opened(CASE, answering(answer)) as azure:
        with pytest.raises(UsageError):
            await azure.start_target(FERRY, request_)
        with pytest.raises(UsageError):
            await azure.start(FERRY, request_)


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_definition_that_cannot_be_read_blocks_no_start(status: int) -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if "/definitions/" in request.url.path:
            return httpx.Response(status, json={"message": "not now"})
        if request.method == "POST":
            bodies.append(json.loads(request.content))
            return httpx.Response(200, json={"id": 482})
        return httpx.Response(200, json=a_build())

    async with opened(CASE, answering(answer)) as azure:
        wanted = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="slip"), parameters={"tide": "high"})
        assert (await azure.start(FERRY, wanted)).id == "482"
    assert bodies[0]["templateParameters"] == {"tide": "high"}


async def test_rebuild_takes_no_other_ref_and_no_build_of_another_pipeline() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET", "something was started"
        return httpx.Response(200, json={"id": 7} if "/definitions/" in request.url.path else a_build())

    async with opened(CASE, answering(answer)) as azure:
        for wanted in (
            StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main")),
            StartRequest(commit="90aa11b"),
            StartRequest(options={"branch": "main"}),
        ):
            with pytest.raises(UsageError):
                await azure.rebuild(FERRY, "482", wanted)
        with pytest.raises(NotFound, match="ferry"):
            await azure.rebuild(CRANE, "482", StartRequest())


def test_own_start_is_recognized_by_its_values_where_the_build_shows_them() -> None:
    body = start_body(StartRequest(parameters={"tide": "high"}, options={"variable.dry": "yes"}), wire.Definition(id=7))
    run = wire.BuildWire(id=1, reason="manual", requested_by=wire.Identity(id="me"))
    assert is_own_start(run, body, "me", NOW)
    run.template_parameters, run.parameters = {"tide": "High"}, '{"DRY": "yes", "system.debug": "false"}'
    assert is_own_start(run, body, "me", NOW)
    run.template_parameters = {"tide": "low"}
    assert not is_own_start(run, body, "me", NOW)
    run.template_parameters, run.parameters = None, '{"dry": "no"}'
    assert not is_own_start(run, body, "me", NOW)


# refs and labels


@pytest.mark.parametrize(
    ("given", "ref"),
    [
        ({"sourceBranch": "refs/heads/main", "reason": "individualCI"}, ("main", None, None, None, None)),
        ({"sourceBranch": "refs/heads/main", "triggerInfo": {"pr.isFork": "True"}}, ("main", None, None, None, None)),
        ({"sourceBranch": "refs/tags/v1"}, (None, "v1", None, None, None)),
        (
            {
                "sourceBranch": "refs/pull/73/merge",
                "reason": "pullRequest",
                "triggerInfo": {"pr.sourceBranch": "main", "pr.isFork": "True"},
                "parameters": '{"system.pullRequest.targetBranch": "refs/heads/main"}',
            },
            ("main", None, "73", "main", True),
        ),
        (
            {
                "sourceBranch": "refs/pull/8/head",
                "parameters": '{"system.pullRequest.sourceBranch": "refs/heads/slip"}',
            },
            ("slip", None, "8", None, None),
        ),
        (
            {
                "sourceBranch": "refs/heads/main",
                "reason": "pullRequest",
                "triggerInfo": {"pr.number": "9", "pr.sourceBranch": "main", "pr.isFork": "False"},
            },
            ("main", None, "9", None, False),
        ),
        ({"sourceBranch": "refs/heads/main", "reason": "pullRequest"}, (None, None, None, None, None)),
    ],
)
def test_refs_of_builds_are_of_one_kind(given: Mapping[str, object], ref: tuple[object, ...]) -> None:
    run = wire.BuildWire.of({**a_build(), "reason": "manual", **given})
    build = convert.build(run, "ci", project=PROJECT, pipeline=None, page="")
    assert (build.branch, build.tag, build.pull_request, build.target_branch, build.from_fork) == ref


@pytest.mark.parametrize(
    ("build_number", "number", "label"),
    [
        ("20260815.3", None, "20260815.3"),
        ("azure-job", None, "azure-job"),
        ("41", 41, None),
        ("\u0664", None, "\u0664"),
        ("9" * 13, None, "9" * 13),
        ("", None, None),
        (None, None, None),
    ],
)
def test_build_number_that_is_a_text_is_the_label(build_number: str | None, number: int | None, label: str) -> None:
    run = wire.BuildWire(id=1, build_number=build_number, definition=wire.Definition(id=7))
    build = convert.build(run, "ci", project=PROJECT, pipeline=None, page="")
    assert (build.number, build.label) == (number, label)


async def test_label_that_the_service_would_take_for_a_pattern_is_not_asked_for() -> None:
    async with opened(CASE, SILENT) as azure:
        with pytest.raises(NotFound):
            await azure.build_by_label(FERRY, "2026*")
        assert azure.requests == 0


async def test_build_keeps_the_pipeline_that_the_service_names() -> None:
    async with opened(CASE, answering(lambda _: httpx.Response(200, json=a_build()))) as azure:
        assert (await azure.build(CRANE, "482")).pipeline == FERRY


@pytest.mark.parametrize("name", ["Checkpoint.Approval", "", None, "__default"])
def test_approval_of_a_yaml_without_stages_has_a_name_for_people(name: str | None) -> None:
    records = [
        wire.Record(id="s", type="Stage", name="__default", identifier="__default"),
        wire.Record(id="c", type="Checkpoint", name="Checkpoint", parent_id="s"),
        *(
            wire.Record(id=id_, type="Checkpoint.Approval", name=name, parent_id="c", state="inProgress")
            for id_ in ("a", "b")
        ),
    ]
    tree = TimelineTree.of(records)
    approvals = stages.approvals(tree, {}, pipeline=FERRY, build="1", page="")
    assert [approval.name for approval in approvals] == ["Approval", "Approval 2"]


def test_outcome_without_a_number_is_unknown_and_not_zero() -> None:
    run = wire.TestRun(id=1, total_tests=3, run_statistics=[wire.RunStatistic(outcome="Failed")])
    assert convert.failures(run) is None
    assert convert.failures(wire.TestRun(id=1, run_statistics=[wire.RunStatistic(outcome="Passed", count=3)])) == 0


def test_payloads_are_our_own() -> None:
    for case in (CASE, entra.CASE):
        for file in Path(case.payloads).glob("*.json"):
            text = file.read_text().lower()
            assert "fabrikam" not in text, file.name
            assert "johndoe" not in text, file.name
            assert TOKEN not in text, file.name
    assert msgspec.json.decode(ENDED)["id"] == "e1"
