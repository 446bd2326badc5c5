"""What is Buildkite's own: signatures, addresses, limits, the cursor, states of jobs, what a rebuild sends."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from bot.core.errors import AuthFailed, UnexpectedResponse
from bot.core.models import BuildFilter, Conclusion, Page, StartRequest, Status, Watched
from bot.http.client import Api, Reply
from bot.providers.buildkite import convert, limits, wire
from bot.providers.buildkite.cursor import Cursor
from bot.providers.buildkite.provider import Buildkite
from bot.providers.buildkite.start import START_OPTIONS, start_body
from tests.bot.providers.case import NOW, opened, result_of
from tests.bot.providers.cases.buildkite import CASE, EVERYTHING, SECRET, a_build, sign
from tests.bot.providers.specs import ABSENT, FOLDER

JOB_WORDS = (
    "pending waiting waiting_failed blocked blocked_failed unblocked unblocked_failed limiting limited scheduled reserved"
    " assigned accepted running passed failed canceling canceled expired timing_out timed_out skipped broken"
    " platform_limiting platform_limited"
)
PING = b'{"event": "ping"}'
FINISHED = json.dumps(
    {"event": "build.finished", "build": a_build(41), "pipeline": {"slug": "ferry"}, "sender": {"name": "Signe"}}
).encode()


def identity(at: datetime) -> datetime:
    return at


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


SILENT = httpx.MockTransport(nothing)


# webhooks


async def test_clear_token_is_believed_where_there_is_no_signature() -> None:
    async with opened(CASE, SILENT) as buildkite:
        tap = buildkite.parse_webhook({"x-buildkite-token": SECRET}, FINISHED)
        assert tap is not None
        assert (tap.pipeline, tap.build) == ("ferry", "41")
        with pytest.raises(AuthFailed, match="token"):
            buildkite.parse_webhook({"x-buildkite-token": "guess"}, FINISHED)


async def test_right_token_does_not_save_a_wrong_signature() -> None:
    headers, _ = sign(FINISHED, {"x-buildkite-token": SECRET})
    async with opened(CASE, SILENT) as buildkite:
        with pytest.raises(AuthFailed, match="does not fit"):
            buildkite.parse_webhook(headers, FINISHED + b" ")
        for odd in ("", "signature=00", "timestamp=x,signature=" + "0" * 64, "timestamp=1," * 9):
            with pytest.raises(AuthFailed, match="does not read"):
                buildkite.parse_webhook({**headers, "x-buildkite-signature": odd}, FINISHED)


async def test_signed_webhook_is_refused_when_it_is_old() -> None:
    headers, _ = sign(FINISHED, {})
    async with opened(CASE, SILENT) as buildkite:
        assert buildkite.parse_webhook(headers, FINISHED) is not None
        buildkite._clock = lambda: NOW + timedelta(minutes=6)
        with pytest.raises(AuthFailed, match="too old"):
            buildkite.parse_webhook(headers, FINISHED)


async def test_same_delivery_has_the_same_name() -> None:
    headers, _ = sign(FINISHED, {})
    async with opened(CASE, SILENT) as buildkite:
        first, again = (buildkite.parse_webhook(headers, FINISHED) for _ in range(2))
        other = buildkite.parse_webhook({"x-buildkite-token": SECRET}, FINISHED)
    assert first == again
    assert other is not None
    assert first is not None
    assert other.delivery != first.delivery


async def test_webhook_without_a_pipeline_is_placed_by_its_address_or_left_alone() -> None:
    body = {"event": "build.running", "build": a_build(41)}
    nowhere = {"event": "build.running", "build": {"number": 41}}
    async with opened(CASE, SILENT) as buildkite:
        tap = buildkite.parse_webhook({"x-buildkite-token": SECRET}, json.dumps(body).encode())
        assert tap is not None
        assert tap.pipeline == "ferry"
        assert buildkite.parse_webhook({"x-buildkite-token": SECRET}, json.dumps(nowhere).encode()) is None


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    folder = FOLDER / "samples" / "buildkite"
    for vector in json.loads((folder / "signature_vectors.json").read_bytes()):
        body = (folder / vector["body_file"]).read_bytes()
        headers = {name.lower(): value for name, value in vector["header"].items()}
        async with opened(CASE, SILENT, {"webhook_secret": vector["secret"]}) as buildkite:
            received = datetime.fromtimestamp(vector.get("timestamp", 0) + 5, UTC)
            buildkite._clock = partial(identity, received)
            if vector["valid"]:
                assert buildkite.parse_webhook(headers, body) is None
            else:
                with pytest.raises(AuthFailed):
                    buildkite.parse_webhook(headers, body)


# addresses

JOB_ID = "0198aa10-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://buildkite.com/harbor/ferry", Page(pipeline="ferry")),
        ("https://buildkite.com/Harbor/ferry/builds", Page(pipeline="ferry")),
        ("https://buildkite.com/harbor/ferry/builds/latest", Page(pipeline="ferry")),
        ("https://buildkite.com/harbor/ferry/builds/41", Page(pipeline="ferry", build="41", number=41)),
        (
            f"https://buildkite.com/harbor/ferry/builds/41#{JOB_ID}",
            Page(pipeline="ferry", build="41", number=41, job=JOB_ID),
        ),
        (
            f"https://buildkite.com/harbor/ferry/builds/41/steps/canvas?sid=1&jid={JOB_ID.upper()}",
            Page(pipeline="ferry", build="41", number=41, job=JOB_ID),
        ),
        ("https://buildkite.com/rival/ferry/builds/41", None),
        ("https://buildkite.com/harbor", None),
        ("https://buildkite.com.evil.example/harbor/ferry/builds/41", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as buildkite:
        assert buildkite.parse_url(url) == page


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v2/organizations/harbor/pipelines", "read_pipelines"),
        ("/v2/organizations/harbor/pipelines/ferry/builds/1", "read_builds"),
        ("/v2/organizations/harbor/pipelines/ferry/builds/1/cancel", "write_builds"),
        ("/v2/organizations/harbor/pipelines/ferry/builds/1/jobs/2/log", "read_build_logs"),
        ("/v2/organizations/harbor/pipelines/ferry/builds/1/artifacts", "read_artifacts"),
        ("/v2/analytics/organizations/harbor/builds/1/tests", "read_suites"),
        ("/v2/organizations/harbor", "read_organizations"),
    ],
)
def test_refused_request_names_the_scope_it_needed(path: str, scope: str) -> None:
    assert limits.scope_of(f"https://api.buildkite.com{path}?page=2").startswith(scope)


# states


def test_every_documented_job_state_is_known() -> None:
    assert set(JOB_WORDS.split()) == convert.JOB_STATES.keys()


def test_unknown_job_state_is_counted_as_in_progress() -> None:
    assert convert.job_words({"dreaming": 2, "passed": 1}) == {"in_progress": 2, "passed": 1}


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (frozenset(), set()),
        (frozenset({"unknown"}), set()),
        (frozenset({"failed"}), {"failed"}),
        (frozenset({"timeout"}), {"failed"}),
        (frozenset({"blocked"}), {"blocked"}),
        (frozenset({"queued"}), {"creating", "scheduled"}),
        (frozenset({"in_progress"}), {"running", "failing", "canceling", "blocked"}),
        (frozenset({"skipped", "cancelled"}), {"skipped", "not_run", "canceled"}),
    ],
)
def test_our_words_become_the_states_the_list_takes(words: frozenset[str], states: set[str]) -> None:
    assert convert.raw_states(words) == states
    assert states <= convert.LISTED_STATES


async def test_odd_item_of_a_list_spoils_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    listed = [{"number": "odd", "state": "passed"}, a_build(40)]
    async with opened(CASE, httpx.MockTransport(lambda _: httpx.Response(200, json=listed))) as buildkite:
        builds = [build async for build in buildkite.builds("ferry", BuildFilter())]
    assert [build.number for build in builds] == [40]
    assert "does not read" in caplog.text


def test_build_that_names_no_pipeline_is_no_build() -> None:
    with pytest.raises(UnexpectedResponse, match="no pipeline"):
        convert.build(wire.BuildWire(number=1, state="passed"), "ci")


def test_build_inside_a_pipeline_tells_its_name_and_repository() -> None:
    pipeline = wire.PipelineWire(slug="ferry", name="Ferry", repository="git@github.com:harbor/ferry.git")
    build = convert.build(wire.BuildWire(number=1, state="passed", pipeline=pipeline), "ci")
    assert (build.pipeline, build.name, build.repo) == ("ferry", "Ferry", "harbor/ferry")


def test_expired_jobs_alone_make_a_timeout_and_beside_failed_ones_a_failure() -> None:
    def conclusion(**states: int) -> Conclusion | None:
        counts = wire.JobCounts(states=states)
        url = "https://api.buildkite.com/v2/organizations/harbor/pipelines/ferry/builds/1"
        return convert.build(
            wire.BuildWire(number=1, state="failed", url=url, job_state_counts=counts), "ci"
        ).conclusion

    assert conclusion(passed=1, expired=1) is Conclusion.TIMEOUT
    assert conclusion(failed=1, timed_out=1) is Conclusion.FAILED
    assert conclusion(passed=1) is Conclusion.FAILED


# limits

USER_IS_CLOSER = {
    "RateLimit-Limit": "200",
    "RateLimit-Remaining": "150",
    "RateLimit-Reset": "55",
    "RateLimit-User-Limit": "50",
    "RateLimit-User-Remaining": "5",
    "RateLimit-User-Reset": "21",
}


def test_quota_is_the_one_that_runs_out_first() -> None:
    quota = Buildkite.read_quota(httpx.Headers(USER_IS_CLOSER), NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (50, 5, NOW + timedelta(seconds=21))


def test_quota_is_unknown_without_headers_or_with_odd_ones() -> None:
    assert Buildkite.read_quota(httpx.Headers(), NOW) is None
    assert Buildkite.read_quota(httpx.Headers({"RateLimit-Limit": "many", "RateLimit-Remaining": "-1"}), NOW) is None


def limited(headers: dict[str, str], body: bytes) -> float:
    reply = Reply(
        status=429, headers=httpx.Headers(headers), content=body, url="https://x.example", provider="Buildkite"
    )
    return limits.wait_seconds(reply)


def test_wait_is_the_longest_of_the_exhausted_sets_and_the_body() -> None:
    both = {**USER_IS_CLOSER, "RateLimit-Remaining": "0", "RateLimit-User-Remaining": "0"}
    assert limited(both, b"{}") == 56
    assert limited({**USER_IS_CLOSER, "RateLimit-User-Remaining": "0"}, b"{}") == 22
    assert limited({}, b'{"reset": 9}') == 10
    assert limited({}, b'{"reset": 99999999}') == limits.FALLBACK_WAIT_SECONDS
    assert limited({}, b"<html>") == limits.FALLBACK_WAIT_SECONDS


# the poll


async def test_quiet_tick_costs_two_requests_and_every_fifth_one_more() -> None:
    async with opened(CASE, httpx.MockTransport(lambda _: httpx.Response(200, json=[]))) as buildkite:
        cursor, costs = None, []
        for _ in range(6):
            before = buildkite.requests
            cursor = (await buildkite.changes(cursor, Watched(pipelines=frozenset({"ferry"})))).cursor
            costs.append(buildkite.requests - before)
    assert costs == [3, 2, 2, 2, 2, 3]


def test_cursor_that_does_not_read_begins_now() -> None:
    for text in (None, "", "{", "[]", '{"since": "2026-08-01T11:00:00"}', '{"since": 1}'):
        assert Cursor.read(text, NOW) == Cursor(since=NOW)
    later = NOW + timedelta(seconds=30)
    kept = Cursor.read(Cursor(since=NOW).moved_on(later, {"ferry/42"}), NOW)
    assert kept == Cursor(since=later, tick=1, waiting=frozenset({"ferry/42"}))


# starting


def test_every_start_option_is_taken() -> None:
    body = start_body(StartRequest(options=EVERYTHING))
    named = {"meta_data." if name.startswith("meta_data.") else name for name in EVERYTHING}
    assert {*named, "clean"} == START_OPTIONS.keys()
    assert {*body, "branch"} >= {name.partition(".")[0] for name in named}
    assert start_body(StartRequest(options={"clean": "true"})) == {"clean_checkout": True}


def test_author_without_an_address_is_a_name() -> None:
    assert start_body(StartRequest(options={"author": "Ole Friis"}))["author"] == {"name": "Ole Friis"}


async def test_environment_of_a_build_never_leaves_the_adapter(caplog: pytest.LogCaptureFixture) -> None:
    secretive = {**a_build(41), "env": {"KEY": "hush-hush"}, "meta_data": {"note": "hush-hush"}}
    async with opened(CASE, httpx.MockTransport(lambda _: httpx.Response(200, json=secretive))) as buildkite:
        build = await buildkite.build("ferry", "41")
    assert "hush-hush" not in repr(build) + caplog.text


async def test_own_base_address_is_used() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=a_build(41))

    async with opened(CASE, httpx.MockTransport(answer), {"url": "http://127.0.0.1:9/ci/"}) as buildkite:
        await result_of(buildkite.build("ferry", "41"))
        assert buildkite.quota is None
    assert asked[0].startswith("http://127.0.0.1:9/ci/v2/organizations/harbor/pipelines/ferry/builds/41?")


def test_statuses_of_waiting_builds_are_not_their_states() -> None:
    blocked = wire.BuildWire.of(msgspec.Raw(json.dumps({**a_build(), "blocked": True}).encode()))
    build = convert.build(blocked, "ci")
    assert (build.status, build.waiting, build.raw_state) == (Status.IN_PROGRESS, True, "passed")


def test_payloads_are_our_own() -> None:
    for file in Path(CASE.payloads).glob("*.json"):
        text = file.read_text()
        assert "acme" not in text, file.name
        assert "my-great-org" not in text, file.name
    assert Api.JSON == "application/json"
