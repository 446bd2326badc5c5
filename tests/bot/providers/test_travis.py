"""What is Travis's own: keys and forms of webhooks, addresses, spaced restarts, the poll's cost, owners, logs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bot.core.clock import Clock, Sleep
from bot.core.errors import AuthFailed, BotError, NotFound, Unavailable, UsageError
from bot.core.models import (
    Build,
    BuildFilter,
    Conclusion,
    Page,
    Ref,
    RefKind,
    Starter,
    StartRequest,
    StartTarget,
    Status,
    Watched,
)
from bot.providers import open_provider
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import Provider
from bot.providers.travis import convert, start, wire
from bot.providers.travis.options import TravisOptions
from bot.providers.travis.poll import TravisCursor, build_of, mark
from bot.providers.travis.urls import Site, code_host
from bot.providers.travis.webhook import KEY_LASTS, KEY_RETRY, WebhookKey, payload_of
from tests.bot.providers.case import CONNECTION, NOW, no_sleep, opened
from tests.bot.providers.cases.travis import (
    A_JOB,
    CASE,
    FERRY,
    MAIN,
    NO_KEY,
    OTHER_SHA,
    PUBLIC_KEY,
    SHA,
    TOKEN,
    a_build,
    sign,
    signature,
)
from tests.bot.providers.gnaw import gnawed
from tests.bot.providers.specs import ABSENT, FOLDER

PAYLOAD = {"id": 9041, "number": "41", "message": "50% + more", "repository": {"id": 61, "owner_name": "Harbor"}}


def form(payload: object) -> bytes:
    return b"payload=" + quote_plus(json.dumps(payload)).encode()


FAILED = form(PAYLOAD)


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


SILENT = httpx.MockTransport(nothing)


class Counting:
    """Answers by path and remembers what was asked."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        body = self.answers.get(request.url.path)
        return httpx.Response(404) if body is None else httpx.Response(200, json=body)


@asynccontextmanager
async def timed(
    answers: Counting, clock: Clock, sleep: Sleep = no_sleep, options: Mapping[str, object] | None = None
) -> AsyncIterator[Provider[Any]]:
    """The provider with a clock and a sleep of the test's own."""
    merged = {name: value for name, value in {**CASE.options, **(options or {})}.items() if value is not None}
    async with httpx.AsyncClient(transport=httpx.MockTransport(answers), trust_env=False) as client:
        settings = TravisOptions.model_validate(merged)
        yield open_provider(CONNECTION, "travis", settings, client=client, clock=clock, sleep=sleep)


def config(pem: str) -> dict[str, object]:
    return {"config": {"notifications": {"webhook": {"public_key": pem}}}}


# webhooks


async def test_webhook_is_refused_until_the_key_is_fetched() -> None:
    answers = Counting({"/config": config(PUBLIC_KEY), "/owner/harbor/active": {"builds": []}})
    headers, _ = sign(FAILED, {})
    async with opened(CASE, httpx.MockTransport(answers), NO_KEY) as travis:
        with pytest.raises(AuthFailed, match="not known yet"):
            travis.parse_webhook(headers, FAILED)
        with pytest.raises(NotFound):
            await travis.changes(None, FERRY)  # the list of repositories is not there; the key has come by then
        event = travis.parse_webhook(headers, FAILED)
    assert event is not None
    assert (event.pipeline, event.build) == ("61", "9041")


async def test_check_reports_that_the_key_did_not_come() -> None:
    answers = Counting({"/user": {"login": "bells"}, "/owner/harbor/repos": {"repositories": [{"id": 1}]}})
    now = NOW
    async with timed(answers, lambda: now, options=NO_KEY) as travis:
        assert "public key" in (await travis.check()).warnings[0]
        answers.answers["/config"] = {"config": {"notifications": {"webhook": None}}}
        now += KEY_RETRY
        assert (await travis.check()).warnings


def test_key_is_fetched_anew_when_it_is_old_or_a_signature_did_not_fit() -> None:
    key = WebhookKey(None)
    assert key.is_due(NOW)
    key.store(None, NOW)
    assert not key.is_known
    assert not key.is_due(NOW + timedelta(minutes=9))
    assert key.is_due(NOW + KEY_RETRY)
    key.store(PUBLIC_KEY, NOW)
    assert not key.is_due(NOW + KEY_RETRY)
    assert key.is_due(NOW + KEY_LASTS)
    assert key.verify(signature(b"x"), b"x")
    assert not key.is_due(NOW + KEY_RETRY)
    assert not key.verify(signature(b"x"), b"y")
    assert not key.is_due(NOW + timedelta(minutes=9)), "wrong signatures must not make us ask all the time"
    assert key.is_due(NOW + KEY_RETRY)
    key.store(None, NOW)
    assert key.verify(signature(b"x"), b"x"), "the old key stays where no new one came"


def test_given_key_is_never_fetched_and_may_be_written_in_one_line() -> None:
    key = WebhookKey(PUBLIC_KEY.replace("\n", "\\n"))
    assert not key.is_due(NOW)
    assert key.verify(signature(b"x"), b"x")
    assert not key.is_due(NOW + KEY_LASTS)


@pytest.mark.parametrize("given", ["", "no base64!", "aGVsbG8=", "ü"])
def test_what_is_no_signature_does_not_fit(given: str) -> None:
    assert not WebhookKey(PUBLIC_KEY).verify(given, b"x")


def test_key_of_another_kind_signs_nothing() -> None:
    other = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert not WebhookKey(other.decode()).verify(signature(b"x"), b"x")


def test_payload_is_the_forms_field_byte_by_byte() -> None:
    assert payload_of(b"a=1&payload=50%25+%2B&b=2") == b"50% +"
    assert payload_of(b"") == b""
    assert payload_of(b"a=payload=1") == b""


async def test_same_delivery_has_the_same_name_and_another_state_another() -> None:
    later = form({**PAYLOAD, "state": "passed"})
    async with opened(CASE, SILENT) as travis:
        first, again, other = (travis.parse_webhook(sign(body, {})[0], body) for body in (FAILED, FAILED, later))
    assert first is not None
    assert other is not None
    assert first == again
    assert first.delivery != other.delivery


async def test_signed_payload_reads_or_is_an_error_for_people_whatever_it_holds() -> None:
    async with opened(CASE, SILENT) as travis:
        for said, payload in gnawed(PAYLOAD):
            body = form(payload)
            try:
                event = travis.parse_webhook(sign(body, {})[0], body)
            except BotError:
                continue
            assert event is None or isinstance(event.build, str), said


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    for vector in json.loads((FOLDER / "samples" / "travis" / "signature_vectors.json").read_bytes()):
        options = {"owner": "acme", "webhook_secret": vector["public_key"]}
        given = {name.lower(): value for name, value in vector.get("header", vector.get("headers", {})).items()}
        async with opened(CASE, SILENT, options) as travis:
            if vector["valid"]:
                event = travis.parse_webhook(given, vector["form_body"].encode())
                assert event is not None
                assert event.build == "277713426"
            else:
                with pytest.raises(AuthFailed):
                    travis.parse_webhook(given, vector["form_body"].encode())


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_every_documented_webhook_names_its_build() -> None:
    files = sorted((FOLDER / "samples" / "travis").glob("webhook_*.json"))
    assert files
    for file in files:
        body = form(json.loads(file.read_bytes()))
        async with opened(CASE, SILENT, {"owner": "acme"}) as travis:
            event = travis.parse_webhook(sign(body, {})[0], body)
        assert event is not None
        assert (event.pipeline, event.build) == ("29853331", "277713426"), file.name


# addresses


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://app.travis-ci.com/github/harbor/ferry", Page(pipeline="harbor/ferry")),
        ("https://app.travis-ci.com/github/Harbor/ferry/branches", Page(pipeline="Harbor/ferry")),
        ("https://app.travis-ci.com/gitlab/harbor/ferry/builds", Page(pipeline="harbor/ferry")),
        ("https://app.travis-ci.com/github/harbor/ferry/builds/9041", Page(pipeline="harbor/ferry", build="9041")),
        ("https://app.travis-ci.com/harbor/ferry/builds/9041?x=1", Page(pipeline="harbor/ferry", build="9041")),
        ("https://app.travis-ci.com/github/harbor/ferry/jobs/502#L7", Page(pipeline="harbor/ferry", job="502")),
        ("https://app.travis-ci.com/github/rival/ferry/builds/9041", None),
        ("https://app.travis-ci.com/harbor", None),
        ("https://travis-ci.org/harbor/ferry/builds/9041", None),
        ("https://app.travis-ci.com.evil.example/harbor/ferry", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as travis:
        assert travis.parse_url(url) == page


async def test_installation_of_ones_own_has_its_own_pages_and_its_own_list_ends() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        full = len(asked) == 1
        listed = [{"id": n, "slug": f"harbor/ferry-{n}"} for n in range(100 if full else 1)]
        return httpx.Response(200, json={"repositories": listed, "@pagination": {"next": {"@href": "/owner/x"}}})

    async with opened(CASE, httpx.MockTransport(answer), {"url": "https://ci.harbor.example/api/"}) as travis:
        found = [pipeline async for pipeline in travis.pipelines()]
        page = travis.parse_url("https://ci.harbor.example/harbor/ferry/builds/9041")
        assert travis.parse_url("https://app.travis-ci.com/github/harbor/ferry/builds/9041") == page
        assert travis.parse_url("https://ci.harbor.example:8443/harbor/ferry/builds/9041") is None
    assert page == Page(pipeline="harbor/ferry", build="9041")
    assert found[0].web_url == "https://ci.harbor.example/harbor/ferry-0"
    assert len(found) == 101
    assert [httpx.URL(url).path for url in asked] == ["/api/owner/harbor/repos"] * 2
    assert "offset=100" in asked[1]


@pytest.mark.parametrize(
    ("told", "host"),
    [("GithubRepository", "github"), ("BitbucketUser", "bitbucket"), ("SomethingElse", "github"), (None, "github")],
)
def test_code_host_of_an_address(told: str | None, host: str) -> None:
    assert code_host(told) == host


def test_page_of_a_repository_without_a_name_is_unknown() -> None:
    assert convert.build(wire.Build(id=1, state="passed"), "ci", "61", None, SITE).web_url is None


SITE = Site(root="https://app.travis-ci.com", with_host=True)


# the poll


async def test_quiet_tick_costs_two_requests() -> None:
    last = {"id": 9044, "state": "started"}
    running = {**a_build(9044, "started"), "finished_at": None}
    answers = Counting(
        {
            "/config": config(PUBLIC_KEY),
            "/owner/harbor/active": {"builds": [running]},
            "/owner/harbor/repos": {"repositories": [{"id": 61, "slug": "harbor/ferry", "last_started_build": last}]},
            "/repo/61/builds": {"builds": [running]},
            "/build/9044": a_build(9044, "passed"),
            "/build/9044/jobs": {"jobs": []},
        }
    )
    async with opened(CASE, httpx.MockTransport(answers), NO_KEY) as travis:
        first = await travis.changes(None, FERRY)
        assert len(answers.asked) == 4, "the key, the two lists, and the builds of a repository not met before"
        answers.asked.clear()
        second = await travis.changes(
            first.cursor, Watched(pipelines=FERRY.pipelines, unfinished=frozenset({first.builds[0].key}))
        )
        assert answers.asked == ["GET /owner/harbor/active", "GET /owner/harbor/repos"]
        answers.answers["/owner/harbor/active"] = {"builds": []}
        last.update(state="passed")
        answers.asked.clear()
        third = await travis.changes(
            second.cursor, Watched(pipelines=FERRY.pipelines, unfinished=frozenset({first.builds[0].key}))
        )
    assert len(answers.asked) == 4, "the two lists, the build that ended and its jobs"
    assert [build.conclusion for build in third.builds] == [Conclusion.PASSED]


async def test_build_that_was_run_again_and_ended_between_two_looks_is_seen() -> None:
    last = {"id": 9041, "state": "passed", "finished_at": "2026-08-01T11:59:00Z"}
    answers = Counting(
        {
            "/owner/harbor/active": {"builds": []},
            "/owner/harbor/repos": {"repositories": [{"id": 61, "slug": "harbor/ferry", "last_started_build": last}]},
            "/build/9041": a_build(9041, "passed"),
            "/build/9041/jobs": {"jobs": []},
        }
    )
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        changes = await travis.changes('{"marks": {"61": "9041 2026-08-01T11:00:00Z"}}', FERRY)
    assert [build.id for build in changes.builds] == ["9041"]


async def test_one_odd_build_does_not_hide_the_others() -> None:
    answers = Counting(
        {
            "/owner/harbor/active": {"builds": [{"id": "odd"}, a_build(9044, "started")]},
            "/owner/harbor/repos": {"repositories": []},
        }
    )
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        changes = await travis.changes('{"marks": {"61": ""}}', FERRY)
    assert [build.id for build in changes.builds] == ["9044"]


def test_mark_of_a_repository_without_builds_is_empty() -> None:
    assert mark(None) == ""
    assert build_of("") == ""
    assert mark(wire.LastBuild(id=7)) == "7"
    assert TravisCursor.decode("[") is None


async def test_build_that_slips_onto_the_next_page_is_returned_once() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/repo/61":
            return httpx.Response(200, json={"id": 61, "slug": "harbor/ferry"})
        first = "offset" not in request.url.params
        numbers = range(9200, 9100, -1) if first else [9101, 9100]
        return httpx.Response(200, json={"builds": [a_build(n) for n in numbers]})

    async with opened(CASE, httpx.MockTransport(answer)) as travis:
        found = [build.id async for build in travis.builds("61", BuildFilter(limit=200))]
    assert len(found) == len(set(found)) == 101


# acting


async def test_posts_are_a_second_apart() -> None:
    slept: list[float] = []
    now = NOW

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += timedelta(seconds=seconds)

    jobs = [{"id": n, "state": "failed"} for n in range(3)]
    answers = Counting(
        {"/build/9041/jobs": {"jobs": jobs}, "/build/9041": a_build(9041, "created")}
        | {f"/job/{n}/restart": {"@type": "pending"} for n in range(3)}
        | {"/job/1": {**A_JOB, "id": 1}}
    )
    async with timed(answers, lambda: now, sleep) as travis:
        await travis.retry("61", "9041")
        assert slept == [1.0, 1.0]
        now += timedelta(seconds=5)
        await travis.retry("61", "9041", job="1")
    assert slept == [1.0, 1.0], "nobody waits where the last one is long ago"
    assert sum(asked.startswith("POST") for asked in answers.asked) == 4


async def test_restart_whose_answer_is_lost_and_that_did_nothing_is_not_repeated() -> None:
    posts = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal posts
        if request.method == "POST":
            posts += 1
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={**A_JOB, "state": "failed"})

    async with opened(CASE, httpx.MockTransport(answer)) as travis:
        with pytest.raises(BotError, match="did not try again"):
            await travis.retry("61", "9041", job="502")
    assert posts == 1


async def test_spent_starts_of_one_repository_hold_up_nothing_else() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(429, json={"@type": "error", "error_type": "request_limit_reached"})
        return httpx.Response(200, json={"id": 61, "slug": "harbor/ferry"})

    async with opened(CASE, httpx.MockTransport(answer)) as travis:
        with pytest.raises(BotError, match="only some builds"):
            await travis.start("61", MAIN)
        assert (await travis.pipeline("ferry")).id == "61"


async def test_request_that_makes_no_build_links_the_requests() -> None:
    answers = Counting(
        {
            "/repo/harbor/ferry": {"id": 61, "slug": "harbor/ferry"},
            "/repo/61/requests": {"request": {"id": 4002}},
            "/repo/61/request/4002": {"id": 4002, "state": "pending"},
        }
    )
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        await travis.pipeline("ferry")
        with pytest.raises(BotError) as raised:
            await travis.start("61", StartRequest())
    assert raised.value.hint == "https://app.travis-ci.com/github/harbor/ferry/requests"


async def test_every_request_asks_for_version_three_and_carries_the_token() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json={"id": 61, "slug": "harbor/ferry"})

    async with opened(CASE, httpx.MockTransport(answer)) as travis:
        await travis.pipeline("61")
    assert seen[0]["Travis-API-Version"] == "3"
    assert seen[0]["Authorization"] == f"token {TOKEN}"


async def test_name_of_a_repository_is_asked_for_once() -> None:
    answers = Counting({"/repo/61": {"id": 61, "slug": "harbor/ferry"}, "/repo/61/builds": {"builds": []}})
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        for _ in range(2):
            assert [build async for build in travis.builds("61", BuildFilter())] == []
    assert answers.asked.count("GET /repo/61") == 1


# what is read


@pytest.mark.parametrize(
    ("text", "number"), [("41", 41), (41, 41), (0, None), (None, None), ("", None), ("x", None), ("9" * 20, None)]
)
def test_number_is_text_or_a_number(text: str | int | None, number: int | None) -> None:
    assert convert.number(text) == number


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (set(), []),
        ({"unknown", "failed"}, []),
        ({"queued"}, ["created", "received"]),
        ({"in_progress"}, ["started"]),
        ({"failed", "cancelled"}, ["canceled", "errored", "failed"]),
    ],
)
def test_our_words_become_the_states_a_list_takes(words: set[str], states: list[str]) -> None:
    assert convert.raw_states(words) == states


def test_nightly_build_is_a_machines_and_one_of_nobody_is_nobodys() -> None:
    by = wire.User(login="signe")
    assert convert.starter(wire.Build(id=1, state="passed", event_type="cron", created_by=by)) is Starter.BOT
    assert convert.starter(wire.Build(id=1, state="passed", event_type="push", created_by=by)) is Starter.USER
    assert convert.starter(wire.Build(id=1, state="passed")) is None


def test_job_is_called_by_its_name_its_number_or_its_id() -> None:
    assert convert.job_name(wire.Job(id=5, number="41.1", config=wire.Config(name="Tests"))) == "Tests"
    assert convert.job_name(wire.Job(id=5, number="41.1", config=wire.Config(name=["x"]))) == "Job 41.1"
    assert convert.job_name(wire.Job(id=5)) == "Job 5"
    job = convert.job(wire.Job(id=5, state="finished"), "1", "61", SITE)
    assert (job.status, job.conclusion, job.web_url, job.stage) == (Status.COMPLETED, None, None, None)


def test_build_without_a_branch_cannot_be_made_again() -> None:
    bare = wire.Build(id=1, state="passed", commit=wire.Commit(sha=SHA))
    with pytest.raises(BotError, match="made of"):
        start.rebuild_body(bare, StartRequest())


# what is started


def request_for(kind: RefKind | None, name: str = "", *, commit: str | None = None, **options: str) -> StartRequest:
    return StartRequest(ref=Ref(kind=kind, name=name) if kind else None, commit=commit, options=options)


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (request_for(RefKind.BRANCH, "rails"), StartTarget(branch="rails")),
        (request_for(RefKind.BRANCH, "rails", branch="rails"), StartTarget(branch="rails")),
        (request_for(RefKind.BRANCH, "rails", commit=SHA), StartTarget(branch="rails", commit=SHA)),
        (request_for(RefKind.TAG, "v2.1"), StartTarget(tag="v2.1")),
        (request_for(RefKind.COMMIT, SHA, branch="rails"), StartTarget(branch="rails", commit=SHA)),
        (request_for(RefKind.COMMIT, SHA), StartTarget(branch="main", commit=SHA)),
        (request_for(RefKind.COMMIT, SHA[:8], commit=SHA), StartTarget(branch="main", commit=SHA)),
        (request_for(None, branch="rails"), StartTarget(branch="rails")),
        (request_for(None), StartTarget(branch="main")),
    ],
)
async def test_start_target_is_what_the_body_names(request_: StartRequest, target: StartTarget) -> None:
    answers = Counting({"/repo/harbor/ferry": {"id": 61, "slug": "harbor/ferry", "default_branch": {"name": "main"}}})
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        assert await travis.start_target("harbor/ferry", request_) == target
    body = start.start_body(request_)
    assert body.get("tag_name") == target.tag
    assert body.get("sha") == target.commit
    assert body.get("branch") in {target.branch, None}


@pytest.mark.parametrize(
    "request_",
    [
        request_for(RefKind.BRANCH, "rails", branch="main"),
        request_for(RefKind.TAG, "v2.1", branch="main"),
        request_for(RefKind.TAG, "main", branch="main"),
        request_for(RefKind.COMMIT, SHA, commit=OTHER_SHA),
        request_for(RefKind.COMMIT, SHA, branch=" "),
        request_for(RefKind.PULL_REQUEST, "7"),
    ],
)
async def test_refs_that_contradict_each_other_are_refused_before_anything_is_sent(request_: StartRequest) -> None:
    answers = Counting({})
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        with pytest.raises(UsageError):
            await travis.start_target("61", request_)
        with pytest.raises(UsageError):
            await travis.start("61", request_)
        with pytest.raises(UsageError):
            await travis.rebuild("61", "9041", request_)
    assert not answers.asked


@pytest.mark.parametrize(
    ("body", "more", "is_own"),
    [
        ({"branch": "main"}, {}, True),
        ({}, {}, True),
        ({"branch": "rails"}, {}, False),
        ({}, {"branch_name": "rails"}, False),
        ({"tag_name": "v2.1"}, {"branch_name": "v2.1"}, True),
        ({"tag_name": "v2.1"}, {}, False),
        ({"branch": "main", "sha": SHA[:8].upper()}, {"commit": {"sha": SHA}}, True),
        ({"branch": "main", "sha": SHA}, {"commit": {"sha": OTHER_SHA}}, False),
        ({"branch": "main"}, {"event_type": "push"}, False),
        ({"branch": "main"}, {"created_at": "2026-08-01T11:58:00Z"}, False),
        ({"branch": "main"}, {"created_at": None}, False),
    ],
)
def test_own_request_is_distinguished_from_others(
    body: dict[str, object], more: dict[str, object], is_own: bool
) -> None:
    listed = {"id": 1, "event_type": "api", "branch_name": "main", "created_at": "2026-08-01T12:00:00Z", **more}
    assert start.is_own_request(wire.Request.of(listed), body, "main", NOW) == is_own


async def test_taken_request_that_cannot_be_read_may_have_started() -> None:
    answers = Counting({"/repo/61/requests": {"request": {"id": 4002}}})
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        with pytest.raises(Unavailable, match="has taken the request") as raised:
            await travis.start("61", MAIN)
    assert raised.value.acted
    assert sum(asked.startswith("POST") for asked in answers.asked) == 1


@pytest.mark.parametrize("act", ["cancel", "retry", "rebuild"])
async def test_build_of_another_repository_is_never_acted_on(act: str) -> None:
    foreign = {"repository": {"id": 62, "slug": "harbor/beacon"}}
    answers = Counting(
        {"/build/9041": {**a_build(), **foreign}, "/build/9041/jobs": {"jobs": [{**A_JOB, "id": 1, **foreign}]}}
    )
    async with opened(CASE, httpx.MockTransport(answers)) as travis:
        acts = {
            "cancel": travis.cancel("61", "9041"),
            "retry": travis.retry("61", "9041"),
            "rebuild": travis.rebuild("61", "9041", StartRequest()),
        }
        for name, call in acts.items():
            if name != act:
                call.close()
        with pytest.raises(NotFound, match="harbor/beacon"):
            await acts[act]
    assert not [asked for asked in answers.asked if asked.startswith("POST")]


async def test_builds_of_pull_requests_are_not_offered_to_be_built_again() -> None:
    build = Build(connection="ci", pipeline="61", id="1", status=Status.COMPLETED, branch="main")
    async with opened(CASE, SILENT) as travis:
        assert Capability.REBUILD in travis.accepts(build)
        assert Capability.REBUILD not in travis.accepts(replace(build, branch=None, pull_request="7"))
        assert Capability.RETRY_ALL in travis.accepts(replace(build, branch=None, pull_request="7"))


def test_build_without_jobs_has_unknown_counts() -> None:
    assert not convert.counts(()).known
    passed = convert.job(wire.Job(id=5, state="passed"), "1", "61", SITE)
    assert (convert.counts((passed,)).errors, convert.counts((passed,)).warnings) == (0, 0)


def test_pull_request_whose_branch_is_called_main_is_no_build_of_main() -> None:
    raw = wire.Build.of({**a_build(), "event_type": "pull_request", "pull_request_number": 7, "tag": {"name": "v1"}})
    build = convert.build(raw, "ci", "61", None, SITE)
    assert (build.branch, build.tag, build.pull_request, build.target_branch) == (None, None, "7", "main")
    assert build.history_ref == Ref(kind=RefKind.PULL_REQUEST, name="7")
