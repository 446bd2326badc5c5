"""The provider that `docs/adding-a-provider.md` writes step by step, built from the page and asked the page's questions."""

import ast
import hashlib
import hmac
import importlib
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

import bot.providers
from bot.core.errors import AuthFailed, NotFound, Unavailable, Unsupported, UsageError
from bot.core.models import BuildFilter, Conclusion, Page, Ref, RefKind, StartRequest, StartTarget, Watched
from bot.http.client import ApiClient
from bot.providers.base.provider import Provider
from tests.bot.providers.case import NOW, clock, no_sleep, result_of
from tests.bot.providers.test_checklist import HOSTILE, REQUIRED, handmade_paths

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-provider.md"
STEP = re.compile(r"```python\n# bot/providers/lighthouse/(\w+)\.py\n(.*?)```", re.DOTALL)
SECRET = "a-made-up-secret"
MAIN = Ref(kind=RefKind.BRANCH, name="main")


def steps() -> dict[str, str]:
    return {"__init__": '"""The lighthouse provider."""\n', **dict(STEP.findall(PAGE.read_text()))}


@pytest.fixture(scope="module")
def lighthouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Provider[Any]]]:
    folder = tmp_path_factory.mktemp("walkthrough")
    package = folder / "lighthouse"
    package.mkdir()
    for name, source in steps().items():
        (package / f"{name}.py").write_text(source)
    bot.providers.__path__.append(str(folder))
    try:
        yield importlib.import_module("bot.providers.lighthouse.provider").Lighthouse
    finally:
        bot.providers.__path__.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("bot.providers.lighthouse")]:
            del sys.modules[name]


def a_turn(number: int, state: str = "lit", **fields: object) -> dict[str, object]:
    return {"lamp": "north", "number": number, "state": state, "branch": "main", **fields}


class Harbour:
    """Lighthouse itself: one lamp; a start acts and answers by `answer`."""

    def __init__(self, answer: Any = None) -> None:
        self.turns = [a_turn(3, "turning"), a_turn(2, "dark"), a_turn(1)]
        self.requests: list[httpx.Request] = []
        self.answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "POST":
            body = json.loads(request.content)
            self.turns.insert(0, a_turn(4, "waiting", branch=body["branch"], note=body["note"]))
            return self.answer() if self.answer else httpx.Response(201, json=self.turns[0])
        match request.url.path.removeprefix("/v1/"):
            case "me":
                return httpx.Response(200, json={"name": "Keeper"})
            case "lamps":
                return httpx.Response(200, json=[{"id": "north", "main": "main"}, {"odd": 1}])
            case "lamps/north":
                return httpx.Response(200, json={"id": "north", "main": "main"})
            case "lamps/north/turns" | "turns":
                return httpx.Response(200, json=[7, *self.turns])
            case "lamps/south/turns/3":
                return httpx.Response(200, json=self.turns[0])
            case "lamps/north/turns/2":
                return httpx.Response(200, json=a_turn(2, "dark", ended_at="2026-08-01T11:00:00Z"))
            case _:
                return httpx.Response(404, json={"message": "not here"})


@asynccontextmanager
async def opened(kind: type[Provider[Any]], harbour: Harbour) -> AsyncIterator[Provider[Any]]:
    options = kind.options_type.model_validate({"token": "made-up", "webhook_secret": SECRET})
    async with httpx.AsyncClient(transport=httpx.MockTransport(harbour), trust_env=False) as client:
        api = ApiClient(client, base_url=kind.base_url(options), provider=kind.label, clock=clock)
        yield kind(api, options, connection="sea", clock=clock, sleep=no_sleep)


def test_page_has_each_file_and_none_builds_paths_by_hand() -> None:
    assert steps().keys() == REQUIRED
    for name, source in steps().items():
        assert not list(handmade_paths(ast.parse(source))), name


async def test_it_reads_lamps_and_turns_and_skips_what_is_odd(lighthouse: type[Provider[Any]]) -> None:
    async with opened(lighthouse, Harbour()) as provider:
        assert (await provider.check()).name == "Keeper"
        assert [each.id async for each in provider.pipelines()] == ["north"]
        builds = [build async for build in provider.builds("north", BuildFilter(states=frozenset({"failed"})))]
        assert [(build.number, build.conclusion) for build in builds] == [(2, Conclusion.FAILED)]
        assert (await provider.build("north", "2")).web_url == "https://lighthouse.example/north/turns/2"
        changes = await provider.changes(None, Watched(pipelines=frozenset({"north"})))
    assert [build.number for build in changes.builds] == [3, 2, 1]


async def test_its_builds_belong_where_the_vendor_says(lighthouse: type[Provider[Any]]) -> None:
    async with opened(lighthouse, Harbour()) as provider:
        assert (await provider.build("south", "3")).pipeline == "north"
        page = provider.parse_url("https://lighthouse.example/north/turns/2")
        assert page == Page(pipeline="north", build="2", number=2)


async def test_hostile_ids_reach_no_other_route(lighthouse: type[Provider[Any]]) -> None:
    harbour = Harbour()
    async with opened(lighthouse, harbour) as provider:
        for text in HOSTILE:
            with pytest.raises(NotFound):
                await provider.build("north", text)
    assert all(request.url.path.startswith("/v1/lamps/north/turns/") for request in harbour.requests)
    assert all(request.url.raw_path.count(b"/") == 5 for request in harbour.requests)


@pytest.mark.parametrize("text", ["<html>", '{"lamp"', ""])
async def test_its_start_is_found_after_an_answer_that_cannot_be_read(
    lighthouse: type[Provider[Any]], text: str
) -> None:
    harbour = Harbour(lambda: httpx.Response(201, text=text))
    async with opened(lighthouse, harbour) as provider:
        build = await provider.start("north", StartRequest(message="Polish"))
    assert (build.number, build.branch, build.message) == (4, "main", "Polish")
    assert sum(request.method == "POST" for request in harbour.requests) == 1


async def test_its_start_that_cannot_be_seen_may_have_acted(lighthouse: type[Provider[Any]]) -> None:
    class Blind(Harbour):
        @override
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                self.requests.append(request)
                raise httpx.ReadTimeout("timed out")
            return super().__call__(request)

    harbour = Blind()
    async with opened(lighthouse, harbour) as provider:
        with pytest.raises(Unavailable) as refused:
            await provider.start("north", StartRequest(ref=MAIN))
    assert refused.value.acted
    assert sum(request.method == "POST" for request in harbour.requests) == 1


async def test_nothing_typed_is_dropped_and_the_target_is_what_is_sent(lighthouse: type[Provider[Any]]) -> None:
    harbour = Harbour()
    async with opened(lighthouse, harbour) as provider:
        with pytest.raises(UsageError, match="`shape`"):
            await provider.start("north", StartRequest(options={"shape": "round"}))
        with pytest.raises(Unsupported, match="branches only"):
            await provider.start("north", StartRequest(commit="5f3a9c1e"))
        assert await provider.start_target("north", StartRequest()) == StartTarget(branch="main")
        request = StartRequest(ref=MAIN, parameters={"OIL": "whale"}, options={"colour": "red"}, message="Polish")
        await provider.start("north", request)
        with pytest.raises(Unsupported, match="Lighthouse can't"):
            await result_of(provider.retry("north", "2"))
    sent = json.loads(harbour.requests[-1].content)
    assert sent == {"branch": "main", "note": "Polish", "values": {"OIL": "whale"}, "colour": "red"}


async def test_its_cursor_and_its_webhooks_hold(lighthouse: type[Provider[Any]]) -> None:
    body = b'{"lamp": "north", "turn": 3}'
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    harbour = Harbour()
    async with opened(lighthouse, harbour) as provider:
        event = provider.parse_webhook({"x-lighthouse-signature": signature}, body)
        assert event is not None
        assert (event.pipeline, event.build) == ("north", "3")
        with pytest.raises(AuthFailed):
            provider.parse_webhook({"x-lighthouse-signature": signature}, body + b" ")
        first = await provider.changes("{", Watched(pipelines=frozenset()))
        await provider.changes(first.cursor, Watched(pipelines=frozenset()))
    since = (NOW - timedelta(minutes=2)).isoformat()
    assert [request.url.params["changed_since"] for request in harbour.requests] == [since, since]
