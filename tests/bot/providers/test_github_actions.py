"""GitHub Actions: what the pairs of payloads and models do not show."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

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

from bot.core.errors import AuthFailed, NotFound, RateLimited, Unavailable
from bot.core.models import BuildFilter, Conclusion, IssueKind, Page, Parameter, ParameterType, StartRequest, Watched
from bot.http.client import Reply
from bot.providers.base.capabilities import Capability
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


async def test_token_that_is_refused_twice_is_told_to_the_person() -> None:
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
        tap = github.parse_webhook(headers, body)
    assert tap is not None
    assert (tap.delivery, tap.pipeline, tap.build) == (headers["x-hub-signature-256"], "Harbor/ferry", "9041")


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
        ("http://127.0.0.1:9", "https://github.com"),
    ],
)
async def test_pages_stand_where_the_api_says(api: str, web: str) -> None:
    assert urls.web(api) == web
    async with opened(CASE, SILENT, {"url": api}) as github:
        assert github.parse_url(f"{web}/harbor/ferry/actions/runs/9041") == RUN_PAGE
        assert (github.parse_url(f"{GITHUB}/harbor/ferry/actions/runs/9041") is None) == (web != GITHUB)


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
def test_limit_is_told_from_a_refusal(
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
    quota = errors.quota(httpx.Headers(headers))
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (5000, 4321, NOW + timedelta(seconds=90))
    assert errors.quota(httpx.Headers({**headers, "X-RateLimit-Resource": "search"})) is None
    assert errors.quota(httpx.Headers({"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "-1"})) is None
    assert errors.quota(httpx.Headers()) is None


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


async def test_old_server_is_asked_only_once_whether_it_tells_the_run() -> None:
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


async def test_token_that_ends_during_a_listing_is_told() -> None:
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
