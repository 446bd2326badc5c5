"""An independent client of the protocol drives the bot as a person, over HTTP and over stdin and stdout."""

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.e2e.stage import Stage, staged
from tests.e2e.test_terminal import ROOT, buildbell, environment

PATH = os.pathsep.join([str(ROOT), *sys.path])
SECRET = re.compile(r"bbp_[0-9a-f]{64}")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, mcp_enabled=True) as made:
        yield made


async def token(stage: Stage, words: str) -> str:
    """Type for a token, and copy it from the answer that only the person sees."""
    await stage.says(f"me token new {words}", "web")
    shown = await stage.until(lambda: SECRET.findall("\n".join(stage.shown("web"))), "the token")
    return str(shown[-1])


async def failed_build(stage: Stage) -> int:
    """Let a build fail, and return its number."""
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("run web@main", "web")
    await stage.sees("started #", "web")
    build = await stage.newest("buildkite", "web")
    await stage.ci("advance", seconds=10)
    await stage.ci("finish", system="buildkite", build=build["id"], outcome="fail")
    await stage.until(
        lambda: [text for text in stage.posts("Posted because", "web") if "FAILED" in text], "its failure"
    )
    return int(build["number"])


@asynccontextmanager
async def over_http(stage: Stage, _folder: Path, secret: str, mode: Any) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {secret}"}, timeout=20) as http:
        transport = streamable_http_client(f"{stage.playground.bot_url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@asynccontextmanager
async def over_stdio(stage: Stage, folder: Path, secret: str, mode: Any) -> AsyncIterator[Client]:
    settings = {**environment(stage, folder), "BUILDBELL_MCP": "true", "BUILDBELL_TOKEN": secret}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bot", "mcp"],
        cwd=folder,
        env={"PYTHONPATH": PATH, "HOME": str(folder), **settings},
    )
    async with Client(server, mode=mode) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize(
    ("connected", "mode"),
    [(over_http, "auto"), (over_http, "legacy"), (over_stdio, "auto")],
    ids=["http", "http of older clients", "stdio"],
)
async def test_a_program_retries_a_failed_build_as_the_person(
    stage: Stage, tmp_path: Path, connected: Any, mode: str
) -> None:
    number = await failed_build(stage)
    secret = await token(stage, "laptop --act")
    target = {"pipeline": "demo-buildkite:web", "build": str(number), "channel": stage.channels["web"]}
    async with connected(stage, tmp_path, secret, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"status", "show", "logs", "tests", "why", "run", "retry", "cancel"} <= set(tools)
        assert tools["show"].annotations.read_only_hint
        assert not tools["retry"].annotations.read_only_hint
        shown = await client.call_tool("show", target)
        assert not shown.is_error, text_of(shown)
        assert f"#{number}" in text_of(shown)
        done = await client.call_tool("retry", target)
        assert not done.is_error, text_of(done)
        assert done.structured_content["outcome"] == "ok"
    card = await stage.sees("(by mcp) retried the failed jobs", "web")
    assert f"#{number}" in card
    await stage.says("audit", "web")
    await stage.sees("by mcp retry", "web")


async def test_a_token_that_reads_is_offered_nothing_that_acts(stage: Stage, tmp_path: Path) -> None:
    number = await failed_build(stage)
    secret = await token(stage, "reader")
    async with over_http(stage, tmp_path, secret, "auto") as client:
        assert "retry" not in {tool.name for tool in (await client.list_tools()).tools}
        refused = await client.call_tool("retry", {"pipeline": "demo-buildkite:web", "build": str(number)})
        assert refused.is_error
        assert "may only read" in text_of(refused)
    assert not stage.posts("retried", "web")


async def test_without_a_token_that_counts_there_is_nothing_to_see(stage: Stage, tmp_path: Path) -> None:
    secret = await token(stage, "laptop")
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx.AsyncClient(base_url=stage.playground.bot_url) as client:

        async def status(**headers: str) -> int:
            accept = {"Accept": "application/json, text/event-stream"}
            return (await client.post("/mcp", json=body, headers={**accept, **headers})).status_code

        for wrong in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": f"Basic {secret}"},
            {"Authorization": "Bearer x"},
        ):
            assert await status(**wrong) == 401
        assert await status(Authorization=f"Bearer {secret}") == 200
        await stage.says("me token revoke laptop", "web")
        await stage.sees("is revoked", "web")
        assert await status(Authorization=f"Bearer {secret}") == 401
    known = {**environment(stage, tmp_path), "PYTHONPATH": PATH}
    code, _out, err = await buildbell("mcp", cwd=tmp_path, **known, BUILDBELL_MCP="true", BUILDBELL_TOKEN=secret)
    assert code == 1
    assert "missing, revoked, or not a personal token" in err
    code, _out, err = await buildbell("mcp", cwd=tmp_path, **known, BUILDBELL_TOKEN=secret)
    assert code == 2
    assert "switched off" in err


async def test_it_is_off_unless_switched_on(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, httpx.AsyncClient(base_url=stage.playground.bot_url) as client:
        assert (await client.post("/mcp", json={})).status_code == 404
        await stage.says("me token new laptop", "web")
        await stage.sees("switched off", "web")
