"""What is Buildkite's own: signatures, addresses, limits, the cursor, states of jobs, what a rebuild sends."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from bot.core.errors import AuthFailed, NotFound, Rejected, UnexpectedResponse, UsageError
from bot.core.models import (
    BuildFilter,
    Conclusion,
    Page,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Status,
    Watched,
)
from bot.http.client import ApiClient
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.buildkite import convert, errors, wire
from bot.providers.buildkite.poll import Cursor
from bot.providers.buildkite.provider import Buildkite
from bot.providers.buildkite.start import START_OPTIONS, again_body, start_body
from tests.bot.providers.case import NOW, opened, result_of
from tests.bot.providers.cases.buildkite import CASE, EVERYTHING, HOME, OTHER_SHA, SECRET, a_build, sign
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


def ref(kind: RefKind, name: str) -> Ref:
    return Ref(kind=kind, name=name)


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


SILENT = httpx.MockTransport(nothing)


# webhooks


async def test_clear_token_is_believed_where_there_is_no_signature() -> None:
    async with opened(CASE, SILENT) as buildkite:
        event = buildkite.parse_webhook({"x-buildkite-token": SECRET}, FINISHED)
        assert event is not None
        assert (event.pipeline, event.build) == ("ferry", "41")
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
        event = buildkite.parse_webhook({"x-buildkite-token": SECRET}, json.dumps(body).encode())
        assert event is not None
        assert event.pipeline == "ferry"
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
    assert errors.scope_of(f"https://api.buildkite.com{path}?page=2").startswith(scope)


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
        convert.build(wire.BuildWire(number=1, state="passed"), "ci", {})


def test_build_inside_a_pipeline_reports_its_name_and_repository() -> None:
    pipeline = wire.PipelineWire(slug="ferry", name="Ferry", repository="git@github.com:harbor/ferry.git")
    rebuilt = wire.BuildWire(number=1, state="passed", pipeline=pipeline, rebuilt_from=wire.Origin(number=7))
    assert convert.build(rebuilt, "ci", {}).rebuilt_from == "7"
    build = convert.build(wire.BuildWire(number=1, state="passed", pipeline=pipeline), "ci", {})
    assert build.rebuilt_from is None
    assert (build.pipeline, build.name, build.repo) == ("ferry", "Ferry", "harbor/ferry")


def test_expired_jobs_alone_make_a_timeout_and_beside_failed_ones_a_failure() -> None:
    def conclusion(**states: int) -> Conclusion | None:
        counts = wire.JobCounts(states=states)
        url = "https://api.buildkite.com/v2/organizations/harbor/pipelines/ferry/builds/1"
        return convert.build(
            wire.BuildWire(number=1, state="failed", url=url, job_state_counts=counts), "ci", {}
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
    return errors.wait_seconds(reply)


def test_wait_is_the_longest_of_the_exhausted_sets_and_the_body() -> None:
    both = {**USER_IS_CLOSER, "RateLimit-Remaining": "0", "RateLimit-User-Remaining": "0"}
    assert limited(both, b"{}") == 56
    assert limited({**USER_IS_CLOSER, "RateLimit-User-Remaining": "0"}, b"{}") == 22
    assert limited({}, b'{"reset": 9}') == 10
    assert limited({}, b'{"reset": 99999999}') == errors.FALLBACK_WAIT_SECONDS
    assert limited({}, b"<html>") == errors.FALLBACK_WAIT_SECONDS


# the poll


async def test_quiet_tick_costs_two_requests_and_every_fifth_one_more() -> None:
    async with opened(CASE, httpx.MockTransport(lambda _: httpx.Response(200, json=[]))) as buildkite:
        cursor, costs = None, []
        for _ in range(6):
            before = buildkite.requests
            cursor = (await buildkite.changes(cursor, Watched(pipelines=frozenset({"ferry"})))).cursor
            costs.append(buildkite.requests - before)
    assert costs == [3, 2, 2, 2, 2, 3]


def test_cursor_that_does_not_read_is_none() -> None:
    for text in (None, "", "{", "[]", '{"since": "2026-08-01T11:00:00"}', '{"since": 1}'):
        assert Cursor.decode(text) is None, text
    kept = Cursor(since=NOW, tick=1, waiting=frozenset({"ferry#42", "ferry#41"}))
    assert Cursor.decode(kept.encode()) == kept


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
    build = convert.build(blocked, "ci", {})
    assert (build.status, build.waiting, build.raw_state) == (Status.IN_PROGRESS, True, "passed")


def test_payloads_are_our_own() -> None:
    for file in Path(CASE.payloads).glob("*.json"):
        text = file.read_text()
        assert "acme" not in text, file.name
        assert "my-great-org" not in text, file.name
    assert ApiClient.JSON == "application/json"


# identity


async def test_job_is_found_in_its_own_build_whatever_pipeline_was_named() -> None:
    job = {"id": JOB_ID, "state": "failed", "build_url": f"{HOME}/pipelines/beacon/builds/9"}
    beacon = {**a_build(9), "url": f"{HOME}/pipelines/beacon/builds/9"}

    def answer(request: httpx.Request) -> httpx.Response:
        found = {
            f"/v2/organizations/harbor/jobs/{JOB_ID}": job,
            "/v2/organizations/harbor/pipelines/beacon/builds/9": beacon,
        }
        body = found.get(request.url.path)
        return httpx.Response(200, json=body) if body else httpx.Response(404)

    async with opened(CASE, httpx.MockTransport(answer)) as buildkite:
        build = await buildkite.build_of_job("ferry", JOB_ID)
        with pytest.raises(NotFound):
            await buildkite.build_of_job("ferry", JOB_ID.replace("2", "3"))
    assert (build.pipeline, build.id) == ("beacon", "9")


def test_fork_is_recognized_by_the_known_repository_or_by_the_prefix_of_its_branch() -> None:
    def is_fork(branch: str, owner: str, known: dict[str, str]) -> bool | None:
        request = wire.PullRequest(id="7", base="main", repository=f"https://github.com/{owner}/ferry.git")
        url = f"{HOME}/pipelines/ferry/builds/1"
        raw = wire.BuildWire(number=1, state="passed", url=url, branch=branch, pull_request=request)
        return convert.build(raw, "ci", known).from_fork

    assert is_fork("main", "stranger", {"ferry": "harbor/ferry"}) is True
    assert is_fork("rails", "Harbor", {"ferry": "harbor/ferry"}) is False
    assert is_fork("stranger:main", "stranger", {}) is True
    assert is_fork("main", "stranger", {}) is None


async def test_retried_jobs_are_listed_and_marked() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        jobs = [{"id": "old", "state": "failed", "retried": True}, {"id": "new", "state": "passed"}]
        return httpx.Response(200, json={"items": jobs})

    async with opened(CASE, httpx.MockTransport(answer)) as buildkite:
        jobs = await buildkite.jobs("ferry", "41")
    assert "include_retried_jobs=true" in asked[0]
    assert [(job.id, job.retried) for job in jobs] == [("old", True), ("new", False)]


# what a build accepts


@pytest.mark.parametrize(
    ("state", "blocked", "cancel", "decide", "retry"),
    [
        ("scheduled", False, True, False, False),
        ("running", False, True, False, False),
        ("running", True, True, True, False),
        ("failing", False, True, False, True),
        ("passed", True, False, True, False),
        ("blocked", True, False, True, False),
        ("failed", True, False, True, True),
        ("failed", False, False, False, True),
        ("passed", False, False, False, False),
        ("canceled", False, False, False, True),
        ("canceling", False, False, False, False),
        ("creating", False, False, False, False),
    ],
)
async def test_build_accepts_what_the_api_takes_in_its_state(
    state: str, blocked: bool, cancel: bool, decide: bool, retry: bool
) -> None:
    raw = wire.BuildWire.of(msgspec.Raw(json.dumps({**a_build(41, state), "blocked": blocked}).encode()))
    async with opened(CASE, SILENT) as buildkite:
        accepted = buildkite.accepts(convert.build(raw, "ci", {}))
    expected = {Capability.CANCEL: cancel, Capability.DECIDE: decide, Capability.RETRY_FAILED: retry}
    assert {capability: capability in accepted for capability in expected} == expected
    assert Capability.REBUILD in accepted


# starts


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (StartRequest(), StartTarget(branch="main")),
        (StartRequest(commit=OTHER_SHA), StartTarget(branch="main", commit=OTHER_SHA)),
        (StartRequest(ref=ref(RefKind.COMMIT, OTHER_SHA)), StartTarget(branch="main", commit=OTHER_SHA)),
        (
            StartRequest(ref=ref(RefKind.COMMIT, OTHER_SHA), options={"branch": "rails"}),
            StartTarget(branch="rails", commit=OTHER_SHA),
        ),
        (StartRequest(ref=ref(RefKind.TAG, "v1")), StartTarget(branch="v1", tag="v1")),
        (
            StartRequest(ref=ref(RefKind.TAG, "v1"), options={"branch": "main"}),
            StartTarget(branch="main", tag="v1"),
        ),
        (
            StartRequest(ref=ref(RefKind.PULL_REQUEST, "7"), options={"branch": "main"}),
            StartTarget(branch="main", pull_request="7"),
        ),
        (
            StartRequest(ref=ref(RefKind.BRANCH, "rails"), options={"pull_request_id": "7"}),
            StartTarget(branch="rails", pull_request="7"),
        ),
    ],
)
async def test_target_is_read_from_what_is_sent(request_: StartRequest, target: StartTarget) -> None:
    bodies: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            bodies.append(json.loads(request.content))
            return httpx.Response(201, json=a_build(50))
        return httpx.Response(200, json={"slug": "ferry", "default_branch": "main"})

    async with opened(CASE, httpx.MockTransport(answer)) as buildkite:
        assert await buildkite.start_target("ferry", request_) == target
        assert not bodies
        await buildkite.start("ferry", request_)
    assert bodies[0]["branch"] == target.branch
    assert bodies[0]["commit"] in {target.commit, target.tag, "HEAD"}


async def test_branch_option_is_refused_where_it_would_be_dropped() -> None:
    async with opened(CASE, httpx.MockTransport(lambda _: httpx.Response(200, json=a_build(41)))) as buildkite:
        other = StartRequest(ref=ref(RefKind.BRANCH, "rails"), options={"branch": "main"})
        with pytest.raises(UsageError, match=r"`rails`.*`main`"):
            await buildkite.start("ferry", other)
        with pytest.raises(UsageError, match="keeps its branch"):
            await buildkite.rebuild("ferry", "41", StartRequest(options={"branch": "main"}))


def test_meta_data_goes_back_as_it_was_recorded() -> None:
    recorded = wire.BuildWire(number=1, state="passed", meta_data={"beta": True, "tries": 3, "quay": "north"})
    body = again_body(recorded, StartRequest(options={"meta_data.quay": "south", "meta_data.dry": "false"}))
    assert body["meta_data"] == {"beta": True, "tries": 3, "quay": "south", "dry": False}


async def test_refusal_by_branch_filters_names_the_option_that_overrides_them() -> None:
    refused = {"message": "Branch is excluded by the pipeline's branch filters"}
    plain = {"message": "Branch can't be blank"}
    for body, hint in ((refused, "ignore_pipeline_branch_filters=true"), (plain, "None")):
        transport = httpx.MockTransport(lambda _, body=body: httpx.Response(422, json=body))
        async with opened(CASE, transport) as buildkite:
            with pytest.raises(Rejected) as refusal:
                await buildkite.start("ferry", StartRequest(ref=ref(RefKind.BRANCH, "rails")))
        assert hint in str(refusal.value.hint)
