"""The playground on a real port: dropped connections, Socket Mode, the page's stream, with and without its page."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from playground import Playground
from playground.ci import LocalCi, ci_app
from tests.playground.fake_bot import APP_TOKEN, BOT_TOKEN, SECRET

ANA = "U0ANAVIDAL"


def systems() -> Starlette:
    async def build(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("a build")

    return Starlette(routes=[Route("/ci/buildkite/build", build)])


@pytest.fixture
async def playground(tmp_path: Path) -> AsyncIterator[Playground]:
    it = Playground(
        bot_url="http://127.0.0.1:1", signing_secret=SECRET, bot_token=BOT_TOKEN, app_token=APP_TOKEN,
        ci_app=systems(), page=tmp_path,
    )  # fmt: skip
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
async def client(playground: Playground) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    async with httpx.AsyncClient(base_url=playground.address, headers=headers, trust_env=False) as it:
        yield it


def ios(playground: Playground) -> str:
    return next(it.id for it in playground.workspace.channels.values() if it.name == "ios")


async def test_it_serves_slack_and_the_ci_systems_on_one_port(
    playground: Playground, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"{playground.slack_api_url}auth.test")
    assert answer.json()["ok"]
    assert [call.method for call in playground.calls] == ["auth.test"]
    assert (await client.get("/ci/buildkite/build")).text == "a build"


async def test_without_its_page_it_says_how_to_build_it(client: httpx.AsyncClient) -> None:
    assert "make setup" in (await client.get("/")).text
    assert (await client.get(f"/ui/state?user={ANA}")).json()["me"] == ANA


async def test_the_page_is_served_once_built(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "page.js").write_text("1")
    (tmp_path / "index.html").write_text("<p>the page</p>")
    it = Playground(bot_url="", signing_secret=SECRET, bot_token=BOT_TOKEN, page=tmp_path)
    await it.start()
    try:
        async with httpx.AsyncClient(base_url=it.address, trust_env=False) as client:
            assert "the page" in (await client.get("/")).text
            assert (await client.get("/assets/page.js")).text == "1"
    finally:
        await it.stop()


async def test_a_taken_port_is_an_oserror(playground: Playground) -> None:
    port = int(playground.address.rsplit(":", 1)[1])
    other = Playground(bot_url="", signing_secret=SECRET, bot_token=BOT_TOKEN, port=port)
    with pytest.raises(OSError, match="in use"):
        await other.start()
    await other.stop()


async def test_a_bot_that_is_not_there_is_a_failed_dispatch(playground: Playground) -> None:
    answer = await playground.user_actions.command(user=ANA, channel=ios(playground), text="status")
    assert answer == {"ok": False, "error": "dispatch_failed"}


@pytest.mark.parametrize("after", [False, True])
async def test_a_dropped_call_ends_without_an_answer(
    playground: Playground, client: httpx.AsyncClient, *, after: bool
) -> None:
    await client.post("/control/slack/fault", json={"kind": "drop", "method": "chat.postMessage", "after": after})
    with pytest.raises(httpx.TransportError):
        await client.post("/api/chat.postMessage", json={"channel": ios(playground), "text": "once"})
    posted = [it.text for it in playground.workspace.listed(ios(playground))]
    assert posted == (["once"] if after else [])
    assert (await client.post("/api/auth.test")).json()["ok"]


async def test_the_stream_sends_changes(playground: Playground, client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/ui/stream") as stream:
        lines = stream.aiter_lines()
        first = await anext(lines)
        await anext(lines)
        await client.post("/api/chat.postMessage", json={"channel": ios(playground), "text": "new"})
        second = await anext(lines)
    assert int(second.removeprefix("data: ")) > int(first.removeprefix("data: "))


async def test_stopping_lets_open_pages_go(tmp_path: Path) -> None:
    it = Playground(bot_url="", signing_secret=SECRET, bot_token=BOT_TOKEN, page=tmp_path)
    await it.start()
    async with (
        httpx.AsyncClient(base_url=it.address, trust_env=False) as client,
        client.stream("GET", "/ui/stream") as page,
    ):
        lines = page.aiter_lines()
        await anext(lines)
        async with asyncio.timeout(3):
            await it.stop()
            assert [line async for line in lines if line] == []


async def open_socket(playground: Playground, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    headers = {"Authorization": f"Bearer {APP_TOKEN}"}
    async with session.post(f"{playground.slack_api_url}apps.connections.open", headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
    assert found["ok"]
    return await session.ws_connect(found["url"])


async def test_socket_mode_hands_over_commands_and_takes_their_answers(playground: Playground) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(playground, session)
        assert json.loads(await socket.receive_str())["type"] == "hello"
        typed = asyncio.create_task(playground.user_actions.command(user=ANA, channel=ios(playground), text="status"))
        envelope = json.loads(await socket.receive_str())
        assert envelope["type"] == "slash_commands"
        assert envelope["payload"]["text"] == "status"
        await socket.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "by socket"}})
        assert (await typed)["ok"]
        assert [it.text for it in playground.workspace.listed(ios(playground))] == ["by socket"]
        opened = asyncio.create_task(playground.user_actions.home(user=ANA))
        event = json.loads(await socket.receive_str())
        assert (event["type"], event["accepts_response_payload"]) == ("events_api", False)
        assert event["payload"]["event"]["type"] == "app_home_opened"
        await socket.send_json({"envelope_id": event["envelope_id"]})
        assert (await opened)["ok"]
        await socket.close()


async def test_socket_mode_asks_to_reconnect(playground: Playground, client: httpx.AsyncClient) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(playground, session)
        await socket.receive_str()
        await client.post("/control/slack/disconnect", json={"reason": "warning"})
        assert json.loads(await socket.receive_str())["reason"] == "warning"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        await socket.close()


async def test_a_socket_needs_the_app_level_token_and_its_own_ticket(
    playground: Playground, client: httpx.AsyncClient
) -> None:
    assert (await client.post("/api/apps.connections.open")).json()["error"] == "not_allowed_token_type"
    url = f"{playground.address.replace('http', 'ws')}/socket?ticket=guessed"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_a_dropped_connection_of_a_ci_system_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    ci = LocalCi(seed=1)
    it = Playground(bot_url="", signing_secret=SECRET, bot_token=BOT_TOKEN, ci_app=ci_app(ci))
    await it.start()
    try:
        async with httpx.AsyncClient(base_url=it.address, trust_env=False) as client:
            for name, system in ci.systems.items():
                await client.post("/control/fault", json={"system": name, "kind": "drop", "count": 1})
                with pytest.raises(httpx.TransportError):
                    await client.get(f"{system.mount}/an/api/path")
                refused = await client.get(f"{system.mount}/an/api/path")
                assert refused.status_code in {203, 401, 403, 404}, name  # 203: Azure DevOps shows a page to sign in
            await client.post("/control/slack/fault", json={"kind": "drop"})
            with pytest.raises(httpx.TransportError):
                await client.post("/api/auth.test")
    finally:
        await it.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
