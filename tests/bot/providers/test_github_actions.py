"""GitHub Actions: what the pairs of payloads and models do not show."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from bot.core.errors import AuthFailed, BotError, NotFound, RateLimited, Unavailable, Unsupported
from bot.core.models import (
    BuildFilter,
    Conclusion,
    IssueKind,
    Page,
    Parameter,
    ParameterType,
    Person,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Watched,
    parse_ref,
)
from bot.core.text import valid
from bot.http.reply import Reply
from bot.providers import open_provider
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import noreply_login
from bot.providers.github_actions import convert, errors, logs, parameters, urls, wire
from bot.providers.github_actions.annotations import MOST_ANNOTATED
from bot.providers.github_actions.auth import AppAuth, signing_key
from bot.providers.github_actions.options import GitHubOptions
from bot.providers.github_actions.poll import SLOW_EVERY, Cursor
from bot.providers.github_actions.provider import GitHubActions
from tests.bot.providers.case import NOW, Case, opened, result_of
from tests.bot.providers.cases import github_actions as token_case
from tests.bot.providers.cases import github_actions_app as app_case
from tests.bot.providers.cases.github_actions import BUILD, CASE, MAIN, SECRET, a_run, built, key
from tests.bot.providers.replay import Exchange, read_exchanges
from tests.bot.providers.specs import ABSENT, FOLDER, Document, Specs, documents

APP = app_case.CASE
RUNS = "/repos/harbor/ferry/actions/workflows/159038/runs"


class World(httpx.AsyncBaseTransport):
    """Answers by a function and remembers what was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        self.asked.append(request)
        return self.answer(request)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.asked]


SILENT = World(lambda _: httpx.Response(404))


# an App's tokens


def tokens(until: datetime) -> Callable[[httpx.Request], httpx.Response]:
    """A GitHub that numbers the tokens it makes and tells who asked for each run."""
    made = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal made
        if request.method == "POST":
            made += 1
            # far longer than forty characters, as since April 2026
            return httpx.Response(201, json={"token": f"ghs_{made}_" + "x" * 400, "expires_at": until.isoformat()})
        return httpx.Response(200, json=a_run(status="queued", conclusion=None))

    return answer


def bearer(request: httpx.Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


async def test_app_signs_its_own_token_and_uses_it_below_app_only() -> None:
    world = World(tokens(NOW + timedelta(hours=1)))
    async with opened(APP, world) as github:
        await github.build(BUILD, "9041")
        await github.check()
    made, asked, app = world.asked[0], world.asked[1], world.asked[2]
    claims = jwt.decode(
        bearer(made),
        app_case.KEY.public_key(),
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {"iss": "77", "iat": NOW.timestamp() - 60, "exp": NOW.timestamp() + 540}
    assert (made.url.path, made.content) == ("/app/installations/4242/access_tokens", b"")
    assert made.headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert bearer(asked).startswith("ghs_1_")
    assert (app.url.path, bearer(app).count(".")) == ("/app", 2)


async def test_many_requests_at_once_make_one_token() -> None:
    world = World(tokens(NOW + timedelta(hours=1)))
    async with opened(APP, world) as github:
        await asyncio.gather(*(github.build(BUILD, str(n)) for n in range(9001, 9013)))
    assert [path.partition(" ")[0] for path in world.paths].count("POST") == 1
    assert len(world.asked) == 13


async def test_token_is_replaced_five_minutes_before_its_end() -> None:
    now = NOW
    world = World(tokens(NOW + timedelta(hours=1)))
    auth = AppAuth(
        app_case.KEY, app_id="77", installation_id="4242", base_url="https://api.github.com", clock=lambda: now
    )
    async with httpx.AsyncClient(transport=world, auth=auth, trust_env=False) as client:
        seen = []
        for minutes in (0, 54, 55):
            now = NOW + timedelta(minutes=minutes)
            await client.get("https://api.github.com/repos/harbor/ferry/actions/runs/9041")
            seen.append(bearer(world.asked[-1])[:5])
    assert seen == ["ghs_1", "ghs_1", "ghs_2"]


async def test_clock_that_runs_ahead_does_not_make_a_token_for_each_request() -> None:
    world = World(tokens(NOW - timedelta(minutes=10)))
    async with opened(APP, world) as github:
        await github.build(BUILD, "9041")
        await github.build(BUILD, "9041")
    assert len(world.asked) == 3


async def test_request_that_waits_for_a_token_another_request_got_goes_on_after_a_fault() -> None:
    answers = iter([httpx.Response(500), httpx.Response(500), httpx.Response(500)])
    good = tokens(NOW + timedelta(hours=1))
    world = World(lambda request: next(answers, None) or good(request))
    async with opened(APP, world) as github:
        with pytest.raises(Unavailable) as raised:
            await github.build(BUILD, "9041")
        assert not raised.value.acted
        assert (await github.build(BUILD, "9041")).number == 41


async def test_token_that_is_refused_twice_is_reported_to_the_person() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json={"token": "ghs_x", "expires_at": (NOW + timedelta(hours=1)).isoformat()})
        return httpx.Response(401, json={"message": "Bad credentials"})

    world = World(answer)
    async with opened(APP, world) as github:
        with pytest.raises(AuthFailed, match="Bad credentials"):
            await github.build(BUILD, "9041")
    assert len(world.asked) == 4


async def test_requests_refused_together_replace_the_token_once() -> None:
    good = tokens(NOW + timedelta(hours=1))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={}) if bearer(request).startswith("ghs_1_") else good(request)

    world = World(answer)
    async with opened(APP, world) as github:
        await asyncio.gather(*(github.build(BUILD, str(n)) for n in range(9001, 9005)))
    assert [path.partition(" ")[0] for path in world.paths].count("POST") == 2


async def test_late_refusal_of_an_old_token_does_not_replace_the_new_one() -> None:
    renewed = asyncio.Event()
    good = tokens(NOW + timedelta(hours=1))

    class Slow(World):
        @override
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            is_old = bearer(request).startswith("ghs_1_")
            response = await super().handle_async_request(request)
            if is_old and request.url.path.endswith("9002"):
                await renewed.wait()
            elif bearer(request).startswith("ghs_2_"):
                renewed.set()
            return httpx.Response(401, json={}) if is_old else response

    world = Slow(good)
    async with opened(APP, world) as github:
        await asyncio.gather(github.build(BUILD, "9001"), github.build(BUILD, "9002"))
    assert [path.partition(" ")[0] for path in world.paths].count("POST") == 2


async def test_app_on_a_server_asks_below_its_api() -> None:
    world = World(tokens(NOW + timedelta(hours=1)))
    async with opened(APP, world, {"url": "https://git.harbor.example/api/v3/"}) as github:
        await github.build(BUILD, "9041")
    assert world.paths == [
        "POST /api/v3/app/installations/4242/access_tokens",
        "GET /api/v3/repos/harbor/ferry/actions/runs/9041",
    ]


async def test_app_can_not_reject_and_a_token_can() -> None:
    async with opened(APP, SILENT) as app, opened(CASE, SILENT) as token:
        assert token.can(Capability.REJECT)
        assert not app.can(Capability.REJECT)
        assert app.capabilities | {Capability.REJECT} == GitHubActions.capabilities


# options


def test_key_reads_in_every_form_that_it_is_pasted_in() -> None:
    pkcs8 = app_case.KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    numbers = app_case.KEY.private_numbers()
    for text in (
        app_case.PEM,
        pkcs8,
        app_case.PEM.replace("\n", "\\n"),
        app_case.PEM.replace("\n", " "),
        base64.b64encode(app_case.PEM.encode()).decode(),
    ):
        assert signing_key(text).private_numbers() == numbers


@pytest.mark.parametrize(
    ("key_text", "words"),
    [
        ("hello!", "neither a PEM text nor base64"),
        (base64.b64encode(b"hello").decode(), "no whole private key"),
        (app_case.PEM[:400], "no whole private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be read"),
        (
            ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "not an RSA key",
        ),
    ],
)
def test_bad_key_is_refused_in_words_and_never_repeated(key_text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        GitHubOptions.model_validate({**APP.options, "private_key": key_text})
    assert key_text not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"token": "ghp_x"}, "exclude each other"),
        ({"private_key": None}, "Give `token`"),
        ({"url": "https://github.com"}, "the API's address"),
        ({"owner": "harbor/ferry"}, "owner"),
        ({"installation_id": "mine"}, "installation_id"),
        ({"api_version": "latest"}, "api_version"),
    ],
)
def test_options_that_can_not_work_are_refused(changed: Mapping[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GitHubOptions.model_validate({**APP.options, **changed})


def test_numbers_may_be_written_as_numbers() -> None:
    options = GitHubOptions.model_validate({**APP.options, "app_id": 77, "installation_id": 4242})
    assert (options.app_id, options.installation_id, options.is_app) == ("77", "4242", True)


async def test_api_version_is_what_the_options_say() -> None:
    world = World(lambda _: httpx.Response(200, json=a_run(status="queued")))
    async with opened(CASE, world, {"api_version": "2026-03-10"}) as github:
        await github.build(BUILD, "9041")
    assert world.asked[0].headers["X-GitHub-Api-Version"] == "2026-03-10"


# webhooks


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    folder = FOLDER / "samples" / "github_actions"
    for vector in json.loads((folder / "signature_vectors.json").read_bytes()):
        body = (folder / vector["body_file"]).read_bytes() if "body_file" in vector else vector["body"].encode()
        headers = {"x-hub-signature-256": vector["header"]} if vector["header"] else {}
        async with opened(CASE, SILENT, {"webhook_secret": vector["secret"]}) as github:
            if vector["valid"]:
                assert github.parse_webhook({**headers, "x-github-event": "ping"}, body) is None
            else:
                with pytest.raises(AuthFailed):
                    github.parse_webhook({**headers, "x-github-event": "ping"}, body)


async def test_delivery_without_a_name_is_named_by_its_signature() -> None:
    body = json.dumps({"workflow_run": {"id": 9041}, "repository": {"full_name": "Harbor/ferry"}}).encode()
    headers, _ = token_case.sign(body, {"x-github-event": "workflow_run"})
    async with opened(CASE, SILENT) as github:
        event = github.parse_webhook(headers, body)
    assert event is not None
    assert (event.delivery, event.pipeline, event.build) == (headers["x-hub-signature-256"], "Harbor/ferry", "9041")


async def test_webhook_of_an_event_without_its_run_says_nothing() -> None:
    body = json.dumps({"repository": {"full_name": "harbor/ferry"}}).encode()
    headers, _ = token_case.sign(body, {"x-github-event": "deployment_review"})
    async with opened(CASE, SILENT) as github:
        assert github.parse_webhook(headers, body) is None
        assert github.poll_target("harbor/ferry") == github.poll_target(BUILD) == "harbor/ferry"
        assert github.poll_target("ferry") == ""


# addresses

GITHUB = "https://github.com"
RUN_PAGE = Page(pipeline="harbor/ferry/runs/9041", build="9041")
JOB_PAGE = Page(pipeline="harbor/ferry/runs/9041", build="9041", job="8001")


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/harbor/ferry/actions/runs/9041", RUN_PAGE),
        ("/Harbor/ferry/actions/runs/9041/attempts/2", Page(pipeline="Harbor/ferry/runs/9041", build="9041")),
        ("/harbor/ferry/actions/runs/9041/job/8001?pr=77#step:3:12", JOB_PAGE),
        ("/harbor/ferry/actions/runs/9041/attempts/2/jobs/8001", JOB_PAGE),
        ("/harbor/ferry/actions/runs/9041/workflow", RUN_PAGE),
        ("/harbor/ferry/actions/runs/9041/artifacts/6001", RUN_PAGE),
        ("/harbor/ferry/actions/workflows/build.yml", Page(pipeline="harbor/ferry/build.yml")),
        ("/harbor/ferry/actions/workflows/build.yml/badge.svg?branch=main", Page(pipeline="harbor/ferry/build.yml")),
        ("/harbor/ferry/blob/ramp/order/.github/workflows/build.yml", Page(pipeline="harbor/ferry/build.yml")),
        ("/harbor/ferry/blob/main/README.md", None),
        ("/harbor/ferry/blob/main/.github/workflows/", None),
        ("/harbor/ferry/actions", Page(pipeline="harbor/ferry")),
        ("/harbor/ferry/actions/runs/latest", None),
        ("/harbor/ferry/pull/77", None),
        ("/rival/ferry/actions/runs/9041", None),
        ("/harbor/a%2Fb/actions/runs/9041", None),
        ("/harbor", None),
    ],
)
async def test_pages_read(path: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as github:
        assert github.parse_url(GITHUB + path) == page
        assert github.parse_url("https://github.com.evil.example" + path) is None
        assert github.parse_url("ftp://github.com" + path) is None


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://git.harbor.example/api/v3", "https://git.harbor.example"),
        ("https://git.harbor.example:8443/hub/api/v3/", "https://git.harbor.example:8443/hub"),
        ("https://api.harbor.ghe.com", "https://harbor.ghe.com"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
async def test_pages_stand_where_the_api_says(api: str, web: str) -> None:
    async with opened(CASE, SILENT, {"url": api}) as github:
        assert github.parse_url(f"{web}/harbor/ferry/actions/runs/9041") == RUN_PAGE
        assert github.web_homes[0] == web
        is_server = "/api/v3" in api or ".ghe.com" in api
        assert (github.parse_url(f"{GITHUB}/harbor/ferry/actions/runs/9041") is None) == is_server


@pytest.mark.parametrize("text", ["", "/", "ferry", "harbor//build.yml", "harbor/../x", "harbor/ferry/../../x"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert urls.location(text, "harbor") is None


def test_workflow_may_be_written_with_its_whole_path() -> None:
    whole = urls.location("harbor/ferry/.github/workflows/build.yml", "harbor")
    assert whole == urls.location("ferry/build.yml", "harbor") == urls.location("harbor/ferry/build.yml", "harbor")


# limits


def reply(status: int, headers: Mapping[str, str], body: object = None) -> Reply:
    content = json.dumps(body or {}).encode()
    return Reply(status=status, headers=httpx.Headers(headers), content=content, url="https://x.example", provider="x")


DATE = {"Date": "Sat, 01 Aug 2026 12:00:00 GMT"}
RESET = str(int(NOW.timestamp()) + 90)


@pytest.mark.parametrize(
    ("status", "headers", "message", "seconds"),
    [
        (403, {"Retry-After": "30", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET, **DATE}, "", 30),
        (429, {"Retry-After": "Sat, 01 Aug 2026 12:00:45 GMT", **DATE}, "", 45),
        (403, {"Retry-After": "0"}, "", 1),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET, **DATE}, "", 91),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1", **DATE}, "", 1),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET}, "", 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon", **DATE}, "", 60),
        (429, {"X-RateLimit-Remaining": "12"}, "", 60),
        (403, {"X-RateLimit-Remaining": "12"}, "You have exceeded a secondary rate limit.", 60),
        (403, {"X-RateLimit-Remaining": "12"}, "Resource not accessible by integration", None),
        (403, {}, "Must have admin rights", None),
        (404, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET, **DATE}, "Not Found", None),
    ],
)
def test_limit_is_reported_from_a_refusal(
    status: int, headers: Mapping[str, str], message: str, seconds: float | None
) -> None:
    assert errors.limited(reply(status, headers, {"message": message})) == seconds


async def test_limit_keeps_the_connection_quiet_until_it_is_over() -> None:
    refused = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET, **DATE}
    world = World(lambda _: httpx.Response(403, headers=refused, json={"message": "API rate limit exceeded"}))
    async with opened(CASE, world) as github:
        for _ in range(3):
            with pytest.raises(RateLimited):
                await github.build(BUILD, "9041")
    assert len(world.asked) == 1


def test_quota_reads_the_hours_limit_and_no_other() -> None:
    headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4321", "X-RateLimit-Reset": RESET}
    quota = errors.read_quota(httpx.Headers(headers), NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (5000, 4321, NOW + timedelta(seconds=90))
    assert errors.read_quota(httpx.Headers({**headers, "X-RateLimit-Resource": "search"}), NOW) is None
    assert errors.read_quota(httpx.Headers({"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "-1"}), NOW) is None
    assert errors.read_quota(httpx.Headers(), NOW) is None


def test_refusal_names_the_permission_where_github_does() -> None:
    needed = httpx.Headers({"X-Accepted-GitHub-Permissions": "actions=write,contents=read; administration=write"})
    assert "actions=write, contents=read or  administration=write" in errors.lacking(needed)
    assert "too small" in errors.lacking(httpx.Headers())


# the poll


class Repository:
    """A repository whose list answers 304 until something changes; `runs` are its runs by number."""

    def __init__(self, *runs: dict[str, object]) -> None:
        self.runs = {run["id"]: run for run in runs}
        self.listed = list(self.runs)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": []})
        number = path.rpartition("/")[2]
        if number.isdecimal():
            run = self.runs.get(int(number))
            body: object = run
            if run is None:
                return httpx.Response(404, json={"message": "Not Found"})
        else:
            body = {"workflow_runs": [self.runs[each] for each in self.listed]}
        etag = f'"{hash(json.dumps(body))}"'
        if request.headers.get("If-None-Match") == etag:
            return httpx.Response(304, headers={"ETag": etag})
        return httpx.Response(200, headers={"ETag": etag}, json=body)


async def test_quiet_tick_costs_one_request_for_a_repository_and_nothing_of_the_hour() -> None:
    world = World(Repository(a_run(42, "in_progress", None), a_run(41)))
    watched = Watched(pipelines=frozenset({BUILD}), unfinished=frozenset({key(42)}))
    async with opened(CASE, world) as github:
        cursor = (await github.changes(None, watched)).cursor
        for _ in range(3):
            before = github.requests
            changes = await github.changes(cursor, watched)
            assert (github.requests - before, changes.builds) == (1, ())
            cursor = changes.cursor
    assert all("If-None-Match" in request.headers for request in world.asked[1:])


async def test_end_of_a_run_costs_one_more_request_once() -> None:
    repository = Repository(a_run(42, "in_progress", None), a_run(41))
    watched = Watched(pipelines=frozenset({BUILD}), unfinished=frozenset({key(42)}))
    async with opened(CASE, World(repository)) as github:
        cursor = (await github.changes(None, watched)).cursor
        repository.runs[9042] = a_run(42, "completed", "failure")
        before = github.requests
        changes = await github.changes(cursor, watched)
        assert [build.conclusion for build in changes.builds] == [Conclusion.FAILED]
        assert github.requests - before == 2
        assert not (await github.changes(changes.cursor, Watched(pipelines=watched.pipelines))).builds


async def test_second_attempt_is_news_and_a_later_change_of_an_ended_run_is_none() -> None:
    repository = Repository(a_run(41))
    watched = Watched(pipelines=frozenset({BUILD}))
    async with opened(CASE, World(repository)) as github:
        cursor = (await github.changes(None, watched)).cursor
        repository.runs[9041] = {**a_run(41), "updated_at": "2026-08-01T11:59:00Z"}
        same = await github.changes(cursor, watched)
        assert not same.builds
        repository.runs[9041] = {**a_run(41), "run_attempt": 2}
        again = await github.changes(same.cursor, watched)
    assert [build.attempt for build in again.builds] == [2]


async def test_old_run_that_waits_or_is_gone_is_read_every_fifth_tick() -> None:
    repository = Repository(a_run(41), a_run(12, "waiting", None))
    repository.listed = [9041]
    watched = Watched(pipelines=frozenset({BUILD}), unfinished=frozenset({key(12), key(11)}))
    async with opened(CASE, World(repository)) as github:
        cursor, costs = None, []
        for _ in range(SLOW_EVERY * 2 + 1):
            before = github.requests
            cursor = (await github.changes(cursor, watched)).cursor
            costs.append(github.requests - before)
    assert costs == [3, 1, 1, 1, 1, 3, 1, 1, 1, 1, 3]


async def test_pipeline_linked_later_does_not_make_its_old_runs_news() -> None:
    sail = {**a_run(40), "workflow_id": 159039}
    repository = Repository(a_run(41), sail)
    async with opened(CASE, World(repository)) as github:
        repository.listed = [9041]
        cursor = (await github.changes(None, Watched(pipelines=frozenset({BUILD})))).cursor
        repository.listed = [9041, 9040]
        before = github.requests
        both = Watched(pipelines=frozenset({BUILD, "harbor/ferry/159039"}))
        changes = await github.changes(cursor, both)
        assert [build.id for build in changes.builds] == ["9040"]
        assert github.requests - before == 1  # as the list has it, without its jobs


async def test_pipeline_named_by_its_file_is_found_in_a_list() -> None:
    run = {**a_run(41), "path": ".github/workflows/build.yml@refs/heads/main"}
    watched = Watched(pipelines=frozenset({"harbor/ferry/build.yml", "harbor/ferry/sail.yml"}))
    async with opened(CASE, World(Repository(run))) as github:
        changes = await github.changes(None, watched)
    assert [build.number for build in changes.builds] == [41]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"tick": "x"}', "[" * 5000])
def test_cursor_that_does_not_read_begins_anew(text: str | None) -> None:
    assert Cursor.decode(text) is None


# starting


def old_server(runs: list[dict[str, object]], *, login: str = "harbor-bells") -> World:
    """A server before 3.21: it refuses the question for the run, and shows a run only at the second look."""
    looks = 0
    number = 50

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal looks, number
        path = request.url.path
        if path == "/user":
            return httpx.Response(200, json={"login": login})
        if request.method == "POST":
            body = json.loads(request.content)
            if "return_run_details" in body:
                return httpx.Response(400, json={"message": "Invalid request."})
            number += 1
            run = {**a_run(number, "queued", None), "event": "workflow_dispatch", "created_at": NOW.isoformat()}
            runs.insert(0, {**run, "head_branch": body["ref"], "actor": {"login": login, "type": "User"}})
            return httpx.Response(204)
        if path.endswith("/runs"):
            looks += 1
            shown = runs if looks % 2 else runs[1:]
            return httpx.Response(200, json={"workflow_runs": shown})
        wanted = int(path.rpartition("/")[2])
        return httpx.Response(200, json=next(run for run in runs if run["id"] == wanted))

    return World(answer)


async def test_old_server_is_asked_only_once_whether_it_reports_the_run() -> None:
    runs: list[dict[str, object]] = []
    world = old_server(runs)
    async with opened(CASE, world) as github:
        first = await github.start(BUILD, MAIN)
        second = await github.start(BUILD, MAIN)
    assert (first.id, second.id) == ("9051", "9052")
    bodies = [json.loads(request.content) for request in world.asked if request.method == "POST"]
    assert ["return_run_details" in body for body in bodies] == [True, False, False]
    assert world.paths.count("GET /user") == 1


async def test_starts_at_the_same_time_are_not_taken_for_one_another() -> None:
    runs: list[dict[str, object]] = []
    async with opened(CASE, old_server(runs)) as github:
        started = await asyncio.gather(*(github.start(BUILD, MAIN) for _ in range(4)))
    assert sorted(build.id for build in started) == ["9051", "9052", "9053", "9054"]
    assert len(runs) == 4


async def test_answer_that_names_no_run_is_looked_up_and_not_repeated() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, text="started")
        if request.url.path == "/user":
            return httpx.Response(200, json={"login": "harbor-bells"})
        return httpx.Response(200, json={"workflow_runs": []})

    world = World(answer)
    async with opened(CASE, world) as github:
        with pytest.raises(Unavailable, match="did not start it again"):
            await github.start(BUILD, StartRequest(ref=MAIN.ref))
    assert world.paths.count(f"POST {RUNS.removesuffix('/runs')}/dispatches") == 1


# complaints


async def test_closed_checks_are_left_alone_for_an_hour() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "check-suites" in request.url.path:
            return httpx.Response(403, json={"message": "Resource not accessible by personal access token"})
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": [{"id": 1, "status": "completed", "conclusion": "success"}]})
        return httpx.Response(200, json=a_run())

    world = World(answer)
    async with opened(CASE, world) as github:
        for _ in range(3):
            counts = await github.counts(built(Conclusion.PASSED))
            assert (counts.errors, counts.warnings) == (0, None)
    assert sum("check-suites" in path for path in world.paths) == 1


async def test_counts_are_unknown_where_not_all_annotations_are_read() -> None:
    def checks(conclusion: str) -> World:
        listed = [
            {"id": n, "name": f"job {n}", "conclusion": conclusion, "output": {"annotations_count": 1}}
            for n in range(MOST_ANNOTATED + 1)
        ]

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/annotations"):
                return httpx.Response(200, json=[{"annotation_level": "warning", "message": "Fog"}])
            return httpx.Response(200, json={**a_run(), "check_runs": listed})

        return World(answer)

    green, red = checks("success"), checks("failure")
    async with opened(CASE, green) as github:
        counts = await github.counts(built(Conclusion.PASSED))
        assert (counts.errors, counts.warnings) == (0, None)
    assert len(green.asked) == MOST_ANNOTATED + 2
    async with opened(CASE, red) as github:
        counts = await github.counts(built(Conclusion.FAILED))
        assert (counts.errors, counts.warnings) == (None, None)


async def test_counting_a_run_just_seen_costs_one_request() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "check-suites" in request.url.path:
            return httpx.Response(200, json={"check_runs": [{"id": 1, "output": {"annotations_count": 0}}]})
        return httpx.Response(200, json={"workflow_runs": [a_run()]})

    async with opened(CASE, World(answer)) as github:
        (seen,) = [build async for build in github.builds(BUILD, BuildFilter(limit=1))]
        before = github.requests
        await github.counts(seen)
        assert github.requests - before == 1


async def test_many_failed_jobs_without_access_to_checks_are_not_all_read() -> None:
    jobs = [{"id": n, "name": f"job {n}", "status": "completed", "conclusion": "failure"} for n in range(9)]

    def answer(request: httpx.Request) -> httpx.Response:
        if "check-suites" in request.url.path:
            return httpx.Response(403, json={"message": "Resource not accessible by personal access token"})
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": jobs})
        if request.url.path.endswith("/logs"):
            return httpx.Response(200, text="2026-08-01T11:00:00Z ##[error]Aground\n")
        return httpx.Response(200, json=a_run())

    world = World(answer)
    async with opened(CASE, world) as github:
        assert (await github.counts(built(Conclusion.FAILED))).errors is None
        assert sum(path.endswith("/logs") for path in world.paths) == 5
        assert len(await github.issues(BUILD, "9041")) == 9


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"2026-08-01T11:00:00.1234567Z ##[error]The rail is wet", (IssueKind.ERROR, "The rail is wet")),
        (b"\xef\xbb\xbf2026-08-01T11:00:00Z ##[warning]Fog", (IssueKind.WARNING, "Fog")),
        (b"##[error]", (IssueKind.ERROR, "")),
        (b"2026-08-01T11:00:00Z echo ##[error]no", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_marked_lines_of_a_log_are_issues(line: bytes, found: object) -> None:
    assert logs.marked(line) == found


# parameters


def names(text: str) -> list[str] | None:
    found = parameters.declared(text)
    return None if found is None else [parameter.name for parameter, _ in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on: workflow_dispatch", []),
        ("on: push", None),
        ("on: [push, workflow_dispatch]", []),
        ("on: [push]", None),
        ("on: {workflow_dispatch: }", []),
        ("on: {push: {}}", None),
        ("'on': {workflow_dispatch: {inputs: {yes: {}, 1: , 1.10: {type: string}}}}", ["yes", "1", "1.10"]),
        ("on: {workflow_dispatch: {inputs: [tide]}}", []),
        ("on:\n\tworkflow_dispatch:", None),
        ("on: *missing", None),
        ("&a [*a]", None),
        ("[" * 3000, None),
        ("? [on]\n: 1", None),
        ("!!python/object/apply:os.system ['true']", None),
        ("", None),
        ("name: Build", None),
        ("\x00", None),
    ],
)
def test_inputs_of_a_file_are_read_and_nothing_else_is_made_of_it(text: str, found: list[str] | None) -> None:
    assert names(text) == found


def test_input_reads_whole() -> None:
    text = """
on:
  workflow_dispatch:
    inputs:
      sail: {type: boolean, default: TRUE, required: true, description: " Hoist it "}
      quay: {type: choice, options: [north, {a: b}, south], default: ""}
      odd: {type: [x], default: {a: b}, options: north, required: [true]}
"""
    found = parameters.declared(text)
    assert found == [
        (Parameter(name="sail", type=ParameterType.BOOLEAN, default="true", required=True, help="Hoist it"), "boolean"),
        (Parameter(name="quay", type=ParameterType.CHOICE, choices=(("north", "north"), ("south", "south"))), "choice"),
        (Parameter(name="odd"), "string"),
    ]


def test_laughing_file_stays_small() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert names("\n".join([*lines, "on: {workflow_dispatch: {inputs: {tide: {options: *a11}}}}"])) == ["tide"]


@given(st.text(max_size=200))
def test_any_text_reads_or_is_no_workflow(text: str) -> None:
    assert names(text) in (None, []) or isinstance(names(text), list)


# runs


def test_every_documented_state_of_a_job_is_known() -> None:
    assert CASE.states <= convert.JOB_STATES.keys()


@pytest.mark.parametrize("word", ["push", "pull_request", "schedule", "workflow_dispatch", "moonrise", None])
def test_unknown_event_is_no_guess(word: str | None) -> None:
    run = wire.Run(id=1, event=word)
    assert (convert.trigger(run).value == "unknown") == (word in {"moonrise", None})


def test_first_of_a_schedule_is_started_by_nobody_and_its_rerun_by_a_person() -> None:
    who = wire.User(login="signe-holm", type="User")
    first = wire.Run(id=1, event="schedule", actor=who)
    again = wire.Run(id=1, event="schedule", actor=who, triggering_actor=who, run_attempt=2)
    kinds = [convert.build(run, "ci", BUILD).triggered_by_type for run in (first, again, wire.Run(id=1, event="push"))]
    assert kinds == ["bot", "user", None]


async def test_memory_of_check_suites_is_bounded() -> None:
    async with opened(CASE, SILENT) as github:
        assert isinstance(github, GitHubActions)
        for number in range(700):
            github._client.as_build(wire.Run(id=number, check_suite_id=number), BUILD)
        assert len(github._client._suites) == 512
        assert "699" in github._client._suites


async def test_single_build_is_followed_where_its_pipeline_is_not() -> None:
    async with opened(CASE, World(Repository(a_run(41)))) as github:
        changes = await github.changes(None, Watched(pipelines=frozenset(), unfinished=frozenset({key(41)})))
    assert [build.id for build in changes.builds] == ["9041"]


async def test_workflow_named_by_its_name_is_found_first() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/runs"):
            return httpx.Response(200, json={"workflow_runs": [a_run()]})
        if path.endswith("/workflows/Build"):
            return httpx.Response(404, json={})
        workflows = [{"id": 159038, "name": "Build"}, {"id": 159041, "name": "CodeQL", "path": "dynamic/codeql"}]
        return httpx.Response(200, json={"full_name": "harbor/ferry", "workflows": workflows})

    world = World(answer)
    async with opened(CASE, world) as github:
        builds = await result_of(github.builds("harbor/ferry/Build", BuildFilter()))
        assert [build.pipeline for build in builds] == [BUILD]  # type: ignore[attr-defined]
    assert world.paths[-1] == f"GET {RUNS}"


async def test_workflows_of_two_hundred_repositories_are_listed_and_no_more() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/workflows"):
            return httpx.Response(200, json={"workflows": []})
        return httpx.Response(200, json=[{"full_name": f"harbor/ferry-{n}"} for n in range(300)])

    world = World(answer)
    async with opened(CASE, world) as github:
        assert not await result_of(github.pipelines())
    assert len(world.asked) == 201


async def test_token_that_ends_during_a_listing_is_reported() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/workflows"):
            return httpx.Response(401, json={"message": "Bad credentials"})
        return httpx.Response(200, json=[{"full_name": "harbor/ferry"}])

    async with opened(CASE, World(answer)) as github:
        with pytest.raises(AuthFailed, match="Bad credentials"):
            await result_of(github.pipelines())


async def test_owner_once_known_as_a_user_is_not_asked_for_as_an_organization() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/orgs"):
            return httpx.Response(404, json={})
        return httpx.Response(200, json=[])

    world = World(answer)
    async with opened(CASE, world) as github:
        await result_of(github.pipelines())
        await result_of(github.pipelines())
    assert world.paths == ["GET /orgs/harbor/repos", "GET /user/repos", "GET /user/repos"]


@pytest.mark.parametrize("path", ["harbor/ferry/runs/1?x=1#", "harbor/ferry/runs/%2e%2e", "harbor/ferry/a?b=c"])
async def test_path_that_somebody_typed_reaches_no_other_address(path: str) -> None:
    world = World(lambda _: httpx.Response(200, json={"full_name": "harbor/ferry", **a_run(), "workflows": []}))
    async with opened(CASE, world) as github:
        await result_of(github.pipeline(path))
    assert not any(request.url.query for request in world.asked)
    assert all(
        b"/.." not in request.url.raw_path and b"/%2e%2e" not in request.url.raw_path.lower() for request in world.asked
    )


async def test_place_of_another_owner_is_not_asked() -> None:
    world = World(lambda _: httpx.Response(200, json=a_run()))
    async with opened(CASE, world) as github:
        for call in (github.build("rival/ferry/1", "1"), github.cancel("rival/ferry/1", "1"), github.pipeline("x")):
            with pytest.raises(NotFound):
                await result_of(call)
    assert not world.asked


# our payloads


@cache
def relaxed() -> Document:
    """The description with nothing required: payloads leave out the addresses that every repository and user has."""

    def without(part: Any) -> Any:
        if isinstance(part, list):
            return [without(one) for one in part]
        if not isinstance(part, dict):
            return part
        kept = {name: without(value) for name, value in part.items() if name != "required" or isinstance(value, dict)}
        if "oneOf" in kept:
            kept["anyOf"] = kept.pop("oneOf")
        return kept

    (document,) = documents("github_actions")
    return Document(document.file, without(document.whole), document.is_31)


def exchanges(case: Case) -> Iterator[tuple[Path, Exchange]]:
    for file in sorted(case.payloads.glob("*.json")):
        if not file.name.endswith(".expected.json") and not file.name.startswith("hook_"):
            yield from ((file, exchange) for exchange in read_exchanges(file))


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
@pytest.mark.parametrize("case", [CASE, APP], ids=str)
def test_bodies_of_payloads_have_the_described_types(case: Case) -> None:
    specs = Specs(kind="github_actions")
    document = relaxed()
    checked = 0
    for file, exchange in exchanges(case):
        address = httpx.URL("https://api.github.com").join(exchange.request.path)
        operation = specs.operation_of(httpx.Request(exchange.request.method, address))
        answer = document.follow(operation.answers.get(str(exchange.status)) or {}) if operation else {}
        schema = (answer.get("content") or {}).get("application/json", {}).get("schema")
        if schema is None or not isinstance(exchange.body, dict | list) or exchange.status >= 400:
            continue
        checked += 1
        plain = json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"'))
        assert not document.annotations(plain, exchange.body, file.name)
    assert checked > 10


def test_payloads_are_our_own() -> None:
    for case in (CASE, APP):
        for file in case.payloads.glob("*.json"):
            text = file.read_text().lower()
            assert not [name for name in ("octo", "codertocat", "hello-world") if name in text], file.name


def test_secret_of_the_tests_signs_them() -> None:
    assert CASE.options["webhook_secret"] == APP.options["webhook_secret"] == SECRET
    assert datetime(2026, 8, 1, 12, tzinfo=UTC) == NOW


# ids that would reach another route

HOSTILE = (
    "../../v1/apps/9",
    "..",
    ".",
    "",
    "a/../b",
    "a/./b",
    "/",
    "%2e%2e",
    "%2e%2e%2fuser",
    "a?x=1",
    "a#b",
    "a\\b",
    "a\x00b",
    "a\nb",
    "x" * 5000,
    "Prüfung-漢字",
    "a b",
)
REPO = "/repos/harbor/ferry"
RUN_ROUTE = f"{REPO}/actions/runs/{{id}}"
JOBS_ROUTE = f"{RUN_ROUTE}/jobs"
JOB_ROUTE = f"{REPO}/actions/jobs/{{id}}"
IN_PIPELINE = (REPO, f"{REPO}/actions/workflows", f"{REPO}/actions/workflows/{{id}}")
ARTIFACT_ROUTE = f"{REPO}/actions/artifacts/{{id}}"


def pipeline_called(id_: str) -> str:
    return f"harbor/ferry/{id_}"


OWN_ROUTES: dict[str, tuple[Callable[[Any, str], object], tuple[str, ...]]] = {
    "pipeline": (lambda p, id_: p.pipeline(pipeline_called(id_)), IN_PIPELINE),
    "pipeline in whole": (lambda p, id_: p.pipeline(id_), ()),
    "pipeline of a repository": (lambda p, id_: p.pipeline(f"harbor/{id_}"), ("/repos/harbor/{id}", "/repos/harbor/{id}/actions/workflows")),
    "pipeline of a run": (lambda p, id_: p.pipeline(f"harbor/ferry/runs/{id_}"), (REPO, RUN_ROUTE)),
    "pipeline of a job": (lambda p, id_: p.pipeline(f"harbor/ferry/jobs/{id_}"), (REPO, JOB_ROUTE)),
    "builds": (lambda p, id_: p.builds(pipeline_called(id_), BuildFilter()), IN_PIPELINE),
    "build": (lambda p, id_: p.build(BUILD, id_), (RUN_ROUTE, JOBS_ROUTE)),
    "build of a job": (lambda p, id_: p.build_of_job(BUILD, id_), (JOB_ROUTE, f"{REPO}/actions/runs/9041", f"{REPO}/actions/runs/9041/jobs")),
    "changes": (
        lambda p, id_: p.changes(None, Watched(pipelines=frozenset(), unfinished=frozenset({replace(key(1), id=id_)}))),
        (RUN_ROUTE, JOBS_ROUTE),
    ),
    "changes of a pipeline": (
        lambda p, id_: p.changes(None, Watched(pipelines=frozenset({pipeline_called(id_)}))),
        (f"{REPO}/actions/workflows/{{id}}/runs", f"{REPO}/actions/runs"),
    ),
    "refs": (lambda p, id_: p.refs(BUILD, id_), (f"{REPO}/git/matching-refs/heads%2F{{id}}", f"{REPO}/git/matching-refs/tags%2F{{id}}", f"{REPO}/branches", f"{REPO}/tags")),
    "parameters": (lambda p, id_: p.parameters(pipeline_called(id_), None), IN_PIPELINE),
    "start target": (lambda p, id_: p.start_target(pipeline_called(id_), StartRequest()), (REPO,)),
    "start": (lambda p, id_: p.start(pipeline_called(id_), StartRequest()), IN_PIPELINE),
    "start of a tag": (
        lambda p, id_: p.start(BUILD, StartRequest(ref=Ref(kind=RefKind.TAG, name=id_))),
        (f"{REPO}/branches/{{id}}", f"{REPO}/actions/workflows/159038/runs", f"{REPO}/actions/workflows/159038/dispatches", "/user", f"{REPO}/actions/runs/9041"),
    ),
    "cancel": (lambda p, id_: p.cancel(BUILD, id_), (f"{RUN_ROUTE}/cancel", RUN_ROUTE)),
    "rebuild": (lambda p, id_: p.rebuild(BUILD, id_, StartRequest()), (RUN_ROUTE, f"{RUN_ROUTE}/rerun")),
    "retry": (lambda p, id_: p.retry(BUILD, id_), (RUN_ROUTE, f"{RUN_ROUTE}/rerun-failed-jobs")),
    "retry of a job": (lambda p, id_: p.retry(BUILD, "9041", job=id_), (JOB_ROUTE, f"{REPO}/actions/runs/9041", f"{JOB_ROUTE}/rerun")),
    "erase": (lambda p, id_: p.erase(BUILD, id_), (RUN_ROUTE, JOBS_ROUTE, f"{RUN_ROUTE}/artifacts", f"{RUN_ROUTE}/logs")),
    "jobs": (lambda p, id_: p.jobs(BUILD, id_), (JOBS_ROUTE,)),
    "log": (lambda p, id_: p.log(replace(token_case.JOB, id=id_)), (f"{JOB_ROUTE}/logs",)),
    "artifacts": (lambda p, id_: p.artifacts(BUILD, id_), (f"{RUN_ROUTE}/artifacts",)),
    "download": (lambda p, id_: p.download(replace(token_case.ARTIFACT, id=id_)), (f"{ARTIFACT_ROUTE}/zip",)),
    "issues": (lambda p, id_: p.issues(BUILD, id_), (RUN_ROUTE, f"{REPO}/check-suites/7041/check-runs")),
    "counts": (lambda p, id_: p.counts(replace(built(Conclusion.FAILED), id=id_)), (RUN_ROUTE, f"{REPO}/check-suites/7041/check-runs")),
    "approvals": (lambda p, id_: p.approvals(BUILD, id_), (f"{RUN_ROUTE}/pending_deployments", RUN_ROUTE)),
    "decide": (lambda p, id_: p.decide(replace(token_case.GATE, build=id_), approve=True), (f"{RUN_ROUTE}/pending_deployments", RUN_ROUTE, JOBS_ROUTE)),
    "decide on what": (lambda p, id_: p.decide(replace(token_case.GATE, id=id_), approve=True), ()),
}  # fmt: skip


def any_answer(request: httpx.Request) -> httpx.Response:
    """A GitHub that knows a run, a job or a workflow of every id."""
    if request.url.path.endswith(("pending_deployments", "/branches", "/tags")) or "matching-refs" in request.url.path:
        return httpx.Response(200, json=[])
    lists: dict[str, list[object]] = {
        "jobs": [],
        "artifacts": [],
        "workflow_runs": [],
        "workflows": [],
        "check_runs": [],
    }
    of_job = {"run_id": 9041, "login": "harbor-bells", "full_name": "harbor/ferry", "default_branch": "main"}
    return httpx.Response(200, json={**a_run(41), **of_job, **lists})


GITHUBS_OWN_IDS = re.compile(
    r"^/user$|^/repos/harbor/ferry(?:/(?:actions|runs|jobs|workflows|check-suites|check-runs|dispatches|9041|159038|7041))*$"
)
"""The routes of what the answers themselves name."""


@pytest.mark.parametrize("method", OWN_ROUTES)
@pytest.mark.parametrize("answer", [any_answer, lambda _: httpx.Response(404, json={})], ids=["there", "not there"])
async def test_an_id_reaches_its_own_route_as_one_segment_or_none(
    method: str, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    call, routes = OWN_ROUTES[method]
    for id_ in HOSTILE:
        world = World(answer)
        async with opened(CASE, world) as github:
            with suppress(BotError):
                await result_of(call(github, id_))
        own = {route.replace("{id}", quote(sent, safe="")) for route in routes for sent in (id_, valid(id_))}
        for request in world.asked:
            path = request.url.raw_path.decode().partition("?")[0]
            assert path in own or path.removesuffix("/runs") in own or GITHUBS_OWN_IDS.match(path), (id_, path)


# whose run it is


async def test_a_run_is_of_the_workflow_that_github_names() -> None:
    sail = {**a_run(41), "workflow_id": 159039}
    async with opened(CASE, World(Repository(sail))) as github:
        assert (await github.build(BUILD, "9041")).pipeline == "harbor/ferry/159039"
        for pipeline in ("harbor/ferry", "harbor/ferry/build.yml", "harbor/ferry/runs/9041", "Harbor/Ferry/159038"):
            assert (await github.build(pipeline, "9041")).pipeline == "harbor/ferry/159039"
        assert (await github.build("Harbor/Ferry/159039", "9041")).pipeline == "Harbor/Ferry/159039"


async def test_acts_report_the_workflow_of_the_run() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json={})
        attempt = 2 if any(it.method == "POST" for it in world.asked) else 1
        return httpx.Response(200, json={**a_run(41), "workflow_id": 159039, "run_attempt": attempt})

    for act in ("rebuild", "retry", "cancel"):
        world = World(answer)
        async with opened(CASE, world) as github:
            build: Any = await result_of(ACTS[act](github))
        assert build.pipeline == "harbor/ferry/159039"


JOB_PAGES = [
    f"{GITHUB}/harbor/ferry/actions/runs/9041/job/8001#step:3:12",
    f"{GITHUB}/harbor/ferry/actions/runs/9041/attempts/2/job/8001",
    f"{GITHUB}/harbor/ferry/runs/8001?check_suite_focus=true",
    f"{GITHUB}/harbor/ferry/pull/77/checks?check_run_id=8001",
    f"{GITHUB}/harbor/ferry/commit/5f3a9c1e/checks/8001",
]


@pytest.mark.parametrize("url", JOB_PAGES)
async def test_a_jobs_page_leads_to_its_own_run(url: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/actions/jobs/8001"):
            return httpx.Response(200, json={"id": 8001, "run_id": 9041})
        if path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": []})
        if path.endswith("/runs/9041"):
            return httpx.Response(200, json=a_run(41))
        if path.endswith("/workflows/159038"):
            return httpx.Response(200, json={"id": 159038, "name": "Build"})
        return httpx.Response(200, json={"full_name": "harbor/ferry"}) if path == REPO else httpx.Response(404, json={})

    async with opened(CASE, World(answer)) as github:
        page = github.parse_url(url)
        assert page is not None
        assert page.job == "8001"
        assert (await github.pipeline(page.pipeline)).id == BUILD
        assert page.build in {"9041", None}
        assert (await github.build_of_job(page.pipeline, page.job)).id == "9041"


async def test_a_job_of_another_run_is_not_run_again() -> None:
    world = World(lambda _: httpx.Response(200, json={**a_run(41), "run_id": 9040}))
    async with opened(CASE, world) as github:
        with pytest.raises(NotFound, match="another run"):
            await github.retry(BUILD, "9041", job="8001")
    assert world.paths == [f"GET {REPO}/actions/jobs/8001"]


async def test_pages_below_the_connections_own_url_are_read_like_githubs() -> None:
    home = "http://127.0.0.1:4500/ci/github"
    async with opened(CASE, SILENT, {"url": home}) as github:
        assert github.parse_url(f"{home}/harbor/ferry/actions/runs/9041") == RUN_PAGE
        assert github.parse_url(f"{GITHUB}/harbor/ferry/actions/runs/9041") == RUN_PAGE
        assert github.parse_url("http://127.0.0.1:4501/ci/github/harbor/ferry/actions/runs/9041") is None


# pull requests, forks, tags


def a_source(event: str, **more: object) -> dict[str, object]:
    return {
        **a_run(41),
        "event": event,
        "head_branch": "main",
        "head_repository": {"full_name": "harbor/ferry"},
        **more,
    }


STRANGER = {"full_name": "stranger/ferry"}
PR_77 = [{"number": 77, "base": {"ref": "main"}}]
BOTH_PRS = [{"number": 77, "base": {"ref": "main"}}, {"number": 78, "base": {"ref": "next"}}]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        # branch, tag, pull request, target, from a fork
        (a_source("push"), ("main", None, None, None, None)),
        (a_source("push", pull_requests=PR_77), ("main", None, None, None, None)),
        (a_source("workflow_dispatch", path="x.yml@refs/tags/v2"), (None, "v2", None, None, None)),
        (a_source("release", head_branch="v2"), (None, "v2", None, None, None)),
        (a_source("pull_request", pull_requests=PR_77), ("main", None, "77", "main", False)),
        (a_source("pull_request", head_repository=STRANGER), ("stranger:main", None, None, None, True)),
        (a_source("pull_request_target", head_repository=STRANGER), ("stranger:main", None, None, None, True)),
        (
            a_source("pull_request", head_repository=STRANGER, path="x.yml@refs/pull/80/merge"),
            ("stranger:main", None, "80", None, True),
        ),
        (
            a_source("pull_request", pull_requests=BOTH_PRS, path="x.yml@refs/pull/78/merge"),
            ("main", None, "78", "next", False),
        ),
        (a_source("pull_request", pull_requests=BOTH_PRS), ("harbor:main", None, None, None, False)),
        (a_source("pull_request", pull_requests=[]), ("harbor:main", None, None, None, False)),
        (a_source("pull_request", head_repository=None), (None, None, None, None, None)),
        (a_source("push", head_repository=STRANGER), ("main", None, None, None, None)),
        (a_source("workflow_run", head_repository=STRANGER), ("stranger:main", None, None, None, True)),
        (a_source("workflow_run"), ("main", None, None, None, None)),
        (
            a_source("merge_group", head_branch="gh-readonly-queue/main/pr-77-90aa11bb"),
            ("gh-readonly-queue/main/pr-77-90aa11bb", None, "77", "main", None),
        ),
    ],
)
async def test_what_a_run_built(run: dict[str, object], expected: tuple[object, ...]) -> None:
    async with opened(CASE, World(Repository(run))) as github:
        build = await github.build(BUILD, "9041")
    assert (build.branch, build.tag, build.pull_request, build.target_branch, build.from_fork) == expected
    is_of_main = build.history_ref == Ref(kind=RefKind.BRANCH, name="main")
    assert is_of_main == (expected == ("main", None, None, None, None))


async def test_a_forks_run_of_a_branch_called_main_is_not_listed_as_main() -> None:
    fork = a_source("pull_request", id=9042, head_repository=STRANGER)
    world = World(lambda _: httpx.Response(200, json={"workflow_runs": [fork, a_source("push")]}))
    async with opened(CASE, world) as github:
        builds: Any = await result_of(github.builds(BUILD, BuildFilter(branch="main")))
    assert [build.id for build in builds] == ["9041"]


@pytest.mark.parametrize(
    ("email", "login"),
    [
        ("12345+signe-holm@users.noreply.github.com", "signe-holm"),
        ("signe-holm@users.noreply.github.com", "signe-holm"),
        ("7+signe_harbor@users.noreply.github.com", "signe_harbor"),
        ("41898282+github-actions[bot]@users.noreply.github.com", "github-actions[bot]"),
        ("9+signe@users.noreply.git.harbor.example", "signe"),
        ("noreply@github.com", None),
        ("signe@harbor.example", None),
        ("a b+c@users.noreply.github.com", None),
        ("", None),
        (None, None),
    ],
)
def test_the_login_inside_a_noreply_address_is_read(email: str | None, login: str | None) -> None:
    assert noreply_login(email, of_servers=True) == login


def test_the_author_of_a_noreply_address_has_a_login() -> None:
    author = wire.GitPerson(name="Signe", email="1+signe-holm@users.noreply.github.com")
    build = convert.build(wire.Run(id=1, head_commit=wire.Commit(author=author)), "ci", BUILD)
    assert build.author == Person(name="Signe", email=author.email, login="signe-holm")


def test_who_started_an_attempt_is_its_own_actor_and_not_the_first_ones() -> None:
    first, second = wire.User(login="signe-holm"), wire.User(login="ola-berg")
    run = wire.Run(id=1, event="push", run_attempt=2, actor=first, triggering_actor=second)
    assert convert.build(run, "ci", BUILD).triggered_by == "ola-berg"


# what a start sends


def dispatched(branches: frozenset[str] = frozenset({"main", "v1"})) -> World:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            return httpx.Response(200, json={"workflow_run_id": 9041})
        if path.startswith(f"{REPO}/branches/"):
            is_there = path.removeprefix(f"{REPO}/branches/") in branches
            return httpx.Response(200 if is_there else 404, json={})
        known = {"full_name": "harbor/ferry", "default_branch": "next"}
        return httpx.Response(200, json={**a_run(41), **known, "workflow_runs": []})

    return World(answer)


@pytest.mark.parametrize(
    ("words", "target", "ref"),
    [
        ("main", StartTarget(branch="main"), "main"),
        ("refs/heads/main", StartTarget(branch="main"), "main"),
        ("heads/main", StartTarget(branch="heads/main"), "refs/heads/heads/main"),
        ("refs/heads/refs/heads/main", StartTarget(branch="refs/heads/main"), "refs/heads/refs/heads/main"),
        ("tag:v2", StartTarget(tag="v2"), "v2"),
        ("refs/tags/v2", StartTarget(tag="v2"), "v2"),
        ("tag:refs/tags/v2", StartTarget(tag="v2"), "v2"),
        ("tag:v1", StartTarget(tag="v1"), "refs/tags/v1"),
        ("tag:main", StartTarget(tag="main"), "refs/tags/main"),
        ("", StartTarget(branch="next"), "next"),
    ],
)
async def test_a_start_target_is_what_the_start_sends(words: str, target: StartTarget, ref: str) -> None:
    request = StartRequest(ref=parse_ref(words) if words else None, parameters={"tide": "high"})
    world = dispatched()
    async with opened(CASE, world) as github:
        assert await github.start_target(BUILD, request) == target
        assert "POST" not in {it.method for it in world.asked}
        await github.start(BUILD, request)
    (body,) = [json.loads(it.content) for it in world.asked if it.method == "POST"]
    assert body == {"ref": ref, "inputs": {"tide": "high"}, "return_run_details": True}


REFUSED = {
    "a commit": StartRequest(commit="5f3a9c1e"),
    "a commit as a ref": StartRequest(ref=Ref(kind=RefKind.COMMIT, name="5f3a9c1e")),
    "a commit under a branch": StartRequest(ref=MAIN.ref, commit="5f3a9c1e"),
    "a pull request": StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="77")),
    "a message": StartRequest(message="please"),
    "an option": StartRequest(options={"branch": "main"}),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_a_dispatch_does_not_take_is_refused_before_anything_is_sent(what: str) -> None:
    async with opened(CASE, SILENT) as github:
        for call in (github.start(BUILD, REFUSED[what]), github.start_target(BUILD, REFUSED[what])):
            with pytest.raises(BotError):
                await call
        with pytest.raises(Unsupported, match="with no"):
            await github.rebuild(BUILD, "9041", REFUSED[what])
    assert not SILENT.asked


async def test_not_knowing_the_newest_run_stops_no_start() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"workflow_run_id": 9041})
        return httpx.Response(403 if request.url.path == RUNS else 200, json=a_run(41))

    async with opened(CASE, World(answer)) as github:
        assert (await github.start(BUILD, MAIN)).id == "9041"


async def test_an_own_run_is_not_guessed_where_the_runs_before_it_are_unknown() -> None:
    lists = iter([httpx.Response(403, json={})])
    run = {**a_run(51, "queued", None), "event": "workflow_dispatch", "created_at": NOW.isoformat()}
    listed = {"workflow_runs": [{**run, "actor": {"login": "harbor-bells"}}]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        if request.url.path == "/user":
            return httpx.Response(200, json={"login": "harbor-bells"})
        return next(lists, httpx.Response(200, json=listed))

    async with opened(CASE, World(answer)) as github:
        with pytest.raises(Unavailable, match="did not try again"):
            await github.start(BUILD, MAIN)


ACTS: dict[str, Callable[[Any], object]] = {
    "cancel": lambda p: p.cancel(BUILD, "9041"),
    "rebuild": lambda p: p.rebuild(BUILD, "9041", StartRequest()),
    "retry": lambda p: p.retry(BUILD, "9041"),
    "decide": lambda p: p.decide(token_case.GATE, approve=True),
}


@pytest.mark.parametrize("status", [403, 404, 429, 500])
@pytest.mark.parametrize("act", ACTS)
async def test_an_act_that_was_taken_is_not_reported_as_failed_where_the_read_after_it_fails(
    act: str, status: int
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={})
        if "POST" in {it.method for it in world.asked}:
            return httpx.Response(status, json={}, headers={"Retry-After": "60"} if status == 429 else {})
        return httpx.Response(200, json=a_run(41))

    world = World(answer)
    async with opened(CASE, world) as github:
        with pytest.raises(Unavailable, match="GitHub took that") as raised:
            await result_of(ACTS[act](github))
    assert raised.value.acted
    assert len([it for it in world.asked if it.method == "POST"]) == 1


# one odd item


@pytest.mark.parametrize("odd", [7, "x", None, [], {}, {"id": "x"}, {"name": 7}])
async def test_one_odd_item_spoils_no_list(odd: object) -> None:
    lists = {
        f"{REPO}/actions/workflows": {"workflows": [odd, {"id": 159038, "name": "Build"}]},
        RUNS: {"workflow_runs": [odd, a_run(41)]},
        f"{REPO}/actions/runs": {"workflow_runs": [odd, a_run(41)]},
        f"{REPO}/actions/runs/9041/jobs": {"jobs": [odd, {"id": 1, "name": "tests", "status": "queued"}]},
        f"{REPO}/actions/runs/9041/artifacts": {"artifacts": [odd, {"id": 6, "name": "logbook"}]},
        f"{REPO}/actions/runs/9041/pending_deployments": [odd, {"environment": {"id": 161, "name": "north"}}],
        f"{REPO}/check-suites/7041/check-runs": {"check_runs": [odd, {"id": 3, "name": "tests"}]},
        f"{REPO}/check-runs/3/annotations": [odd, {"annotation_level": "failure", "message": "Aground"}],
        f"{REPO}/branches": [odd, {"name": "main"}],
        f"{REPO}/tags": [odd, {"name": "v2"}],
        "/orgs/harbor/repos": [odd, {"full_name": "harbor/ferry"}],
    }

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=lists.get(request.url.path, a_run(41)))

    async with opened(CASE, World(answer)) as github:
        read = {
            "pipelines": [it.id for it in await result_of(github.pipelines())],  # type: ignore[attr-defined]
            "builds": [it.id for it in await result_of(github.builds(BUILD, BuildFilter()))],  # type: ignore[attr-defined]
            "changes": [it.id for it in (await github.changes(None, Watched(pipelines=frozenset({BUILD})))).builds],
            "jobs": [it.name for it in await github.jobs(BUILD, "9041")],
            "artifacts": [it.name for it in await github.artifacts(BUILD, "9041")],
            "approvals": [it.name for it in await github.approvals(BUILD, "9041")],
            "issues": [it.message for it in await github.issues(BUILD, "9041")],
            "refs": [str(it) for it in await result_of(github.refs(BUILD))],  # type: ignore[attr-defined]
        }
    assert read == {
        "pipelines": [BUILD],
        "builds": ["9041"],
        "changes": ["9041"],
        "jobs": ["tests"],
        "artifacts": ["logbook"],
        "approvals": ["north"],
        "issues": ["Aground"],
        "refs": ["main", "tag:v2"],
    }


# what was learned is forgotten again


async def test_closed_checks_of_one_repository_close_no_other_and_open_again() -> None:
    now = NOW
    closed = True

    def answer(request: httpx.Request) -> httpx.Response:
        if "check-suites" in request.url.path:
            if closed and "/ferry/" in request.url.path:
                return httpx.Response(403, json={"message": "Resource not accessible by personal access token"})
            return httpx.Response(200, json={"check_runs": []})
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": [{"id": 1, "status": "completed", "conclusion": "success"}]})
        return httpx.Response(200, json=a_run(int(request.url.path[-2:])))

    world = World(answer)
    other = replace(built(Conclusion.PASSED), pipeline="harbor/beacon/159050", id="9050")
    async with httpx.AsyncClient(transport=world, trust_env=False) as client:
        options = GitHubOptions.model_validate(dict(CASE.options))
        github = open_provider("ci", "github_actions", options, client=client, clock=lambda: now)
        assert (await github.counts(built(Conclusion.PASSED))).warnings is None
        assert (await github.counts(other)).warnings == 0
        closed = False
        now += timedelta(minutes=59)
        assert (await github.counts(built(Conclusion.PASSED))).warnings is None
        now += timedelta(minutes=2)
        assert (await github.counts(built(Conclusion.PASSED))).warnings == 0


async def test_two_commits_are_compared_by_one_request_newest_first() -> None:
    commits = [
        {
            "sha": "a1" * 20,
            "html_url": "https://github.com/x/commit/a1",
            "commit": {"message": "First\n\nWhy", "author": {"name": "Mika"}},
        },
        {"sha": "b2" * 20},
    ]
    world = World(lambda _request: httpx.Response(200, json={"commits": commits}))
    async with opened(CASE, world) as github:
        second, first = await github.commits(BUILD, "00" * 20, "b2" * 20)
    assert (first.sha, first.subject, first.author) == ("a1" * 20, "First", "Mika")
    assert first.url == "https://github.com/x/commit/a1"
    assert (second.sha, second.subject) == ("b2" * 20, "")
    assert world.paths == [f"GET /repos/harbor/ferry/compare/{'00' * 20}...{'b2' * 20}"]
