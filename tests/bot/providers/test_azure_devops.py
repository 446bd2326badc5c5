"""What is Azure DevOps' own: two ways to sign in, addresses, service hooks, throttling, the cost of the poll."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

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
    Trigger,
    Watched,
)
from bot.providers.azure_devops import convert, urls, wire
from bot.providers.azure_devops.auth import AzureOptions, EntraAuth, TokenAuth
from bot.providers.azure_devops.convert import Tree
from bot.providers.azure_devops.cursor import Cursor
from bot.providers.azure_devops.provider import AzureDevOps
from bot.providers.azure_devops.start import START_OPTIONS, full_ref, wish
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
        assert azure.parse_url("https://tfs.harbor.example/harbor/Quay/_build/results?buildId=482") is None
        assert azure.parse_url("https://harbor.visualstudio.com/Quay/_build/results?buildId=482") is None


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
        tap = azure.parse_webhook(headers, ENDED)
    assert tap is not None
    assert (tap.delivery, tap.pipeline, tap.build) == ("e1", FERRY, "482")


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
    webhook = wire.Hook.of(
        json.dumps(
            {
                "eventType": "ms.vss-pipelines.run-state-changed-event",
                "resource": {"runId": 482, "projectId": PROJECT, "run": None, "pipeline": {"id": "seven"}},
            }
        ).encode()
    )
    tap = urls.tap(webhook, "d")
    assert tap is not None
    assert (tap.pipeline, tap.build) == (None, "482")


# states


def test_every_documented_record_state_is_known() -> None:
    assert set(RECORD_WORDS.split()) == convert.RECORD_STATES.keys()


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
def test_services_are_told_from_people(who: wire.Identity | None, starter: Starter | None) -> None:
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
    tree = Tree.of(
        wire.Timeline(
            records=[
                wire.Record(id="a", parent_id="b", type="Job", name="A"),
                wire.Record(id="b", parent_id="a", type="Phase"),
            ]
        )
    )
    assert tree.stage(tree.records["a"]) is None
    assert [it.name for it in tree.kind("Job")] == ["A"]
    assert Tree.of(None).records == {}


def test_approval_without_a_stage_is_called_by_its_own_name() -> None:
    record = wire.Record(id="a", type="Checkpoint.Approval", state="inProgress")
    tree = Tree.of(wire.Timeline(records=[record]))
    assert convert.approval(tree, record, None, pipeline=FERRY, build="1", page="").name == "Approval"


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
    assert convert.test(wire.TestResult(outcome=outcome), wire.TestRun(id=1)).outcome is ours


def test_runs_without_statistics_do_not_tell_how_many_failed() -> None:
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

    cursor = Cursor(since=NOW, tick=1).moved_on(NOW, ())
    async with opened(CASE, answering(answer)) as azure:
        changes = await azure.changes(cursor, Watched(pipelines=frozenset({FERRY})))
        assert azure.requests == 3
    assert len(changes.builds) == 20


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
        cursor = Cursor(since=NOW, tick=1).moved_on(NOW, ())
        await azure.changes(cursor, Watched(pipelines=frozenset({FERRY}), unfinished=unfinished))
        assert azure.requests == 4


async def test_projects_are_polled_apart() -> None:
    other = "6b2e1d8f-0000-4000-8000-000000000005/3"
    async with opened(CASE, answering(empty)) as azure:
        await azure.changes(None, Watched(pipelines=frozenset({FERRY, other})))
        assert azure.requests == 6


def test_cursor_that_does_not_read_begins_now() -> None:
    for text in (None, "", "{", "[]", '{"since": "2026-08-01T11:00:00"}', '{"since": 1}'):
        assert Cursor.read(text, NOW) == Cursor(since=NOW)
    later = NOW + timedelta(seconds=30)
    kept = Cursor.read(Cursor(since=NOW).moved_on(later, {"482@x"}), NOW)
    assert kept == Cursor(since=later, tick=1, told=frozenset({"482@x"}))


# starting


def test_every_start_option_is_taken() -> None:
    yaml = wire.Definition(id=7)
    taken = wish(StartRequest(options=EVERYTHING), yaml)
    assert taken.skip == ("Launch", "Party")
    assert (taken.parameters, taken.variables, taken.ref) == (
        {"environment": "prod"},
        {"dry": "yes"},
        "refs/heads/slip",
    )
    families = {name if "." not in name else f"{name.partition('.')[0]}." for name in EVERYTHING}
    assert families == START_OPTIONS.keys()


@pytest.mark.parametrize("name", ["parameter.", "variable.", "clean"])
def test_option_without_a_name_is_none(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        wish(StartRequest(options={name: "x"}), wire.Definition(id=7))


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
        for call in (
            azure.check(),
            azure.build(FERRY, "482"),
            azure.builds(FERRY, BuildFilter()),
            azure.cancel(FERRY, "1"),
        ):
            with pytest.raises(AuthFailed, match="sign-in page"):
                await result_of(call)


async def test_write_that_is_sent_to_a_sign_in_page_is_bad_credentials() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "https://dev.azure.com/_signin"})

    async with opened(CASE, answering(answer)) as azure:
        with pytest.raises(AuthFailed, match="sign-in page"):
            await azure.cancel(FERRY, "482")
        assert azure.requests == 1


async def test_identity_is_asked_for_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("connectionData"):
            return httpx.Response(200, json={"authenticatedUser": {"id": "me"}})
        if "/definitions/" in request.url.path:
            return httpx.Response(200, json={"id": 7})
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        if request.url.path == BUILDS:
            mine = {**a_build(), "queueTime": "2026-08-01T12:00:00Z", "requestedBy": {"id": "ME"}}
            return httpx.Response(200, json={"value": [mine]})
        return httpx.Response(200, json=a_build())

    async with opened(CASE, answering(answer)) as azure:
        for _ in range(2):
            assert (await azure.start(FERRY, StartRequest())).id == "482"
    assert asked.count("/harbor/_apis/connectionData") == 1


def test_payloads_are_our_own() -> None:
    for case in (CASE, entra.CASE):
        for file in Path(case.payloads).glob("*.json"):
            text = file.read_text().lower()
            assert "fabrikam" not in text, file.name
            assert "johndoe" not in text, file.name
            assert TOKEN not in text, file.name
    assert msgspec.json.decode(ENDED)["id"] == "e1"
