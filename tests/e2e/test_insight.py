"""Holds, chained commands, charts and feeds over HTTP, against the local Slack and CI systems."""

import re
from pathlib import Path
from typing import Any

import httpx

from bot.blocks.plain import as_text
from tests.e2e.channel import other_member
from tests.e2e.stage import Stage, staged


async def test_a_held_pipeline_is_started_by_its_holder_alone(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("hold web --for 2h the shop is down", "web", user=other_member(stage))
    await stage.sees("Others can neither start nor approve", "web")
    await stage.says("run web@main", "web")
    await stage.sees("is on hold:", "web")
    assert stage.posts("started #", "web") == []
    await stage.says("release web --steal", "web")
    await stage.sees("the holder is told", "web")
    await stage.press("Release it", "the holder is told", "web")
    await stage.sees("released Web", "web")
    await stage.says("run web@main", "web")
    await stage.sees("started #", "web")


async def test_a_chained_command_survives_a_restart_and_charts_are_drawn(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says('run web@main --then "run demo-buildkite:web@main COLOUR=chained"', "web")
    await stage.sees("then run demo-buildkite:web@main", "web")
    build = await stage.newest("buildkite", "web")
    await stage.stop_bot()
    await stage.ci("finish", system="buildkite", build=build["id"], outcome="pass")
    await stage.start_bot()
    await stage.sees(f"started #{build['number'] + 1} of Web on main", "web")
    await stage.says("stats", "web")
    text = await stage.sees("Builds each", "web")
    assert "Passed" in text

    def blocks() -> list[Any]:
        messages = stage.playground.workspace.messages[stage.channels["web"]].values()
        drawn = next(message for message in messages if "Builds each" in as_text(stage._payload(message)))
        return [block["type"] for block in drawn.blocks or []]

    assert blocks().count("data_visualization") == 2


async def test_a_feed_is_read_over_http_until_it_is_revoked(tmp_path: Path) -> None:
    async with staged(tmp_path, public_url="https://bell.example") as stage, httpx.AsyncClient() as http:
        await stage.says("link demo-buildkite:web --default", "web")
        await stage.sees("is linked", "web")
        await stage.says("feeds new", "web")
        shown = await stage.sees("/cctray.xml", "web")
        path = re.search(r"https://bell\.example(/feeds/[\w-]+)/cctray\.xml", shown)
        assert path
        address = f"{stage.playground.bot_url}{path[1]}/cctray.xml"
        answer = await http.get(address)
        assert answer.status_code == 200
        assert 'name="Web (main)"' in answer.text
        await stage.press("Revoke", "/cctray.xml", "web")
        await stage.sees("Whoever reads it", "web")
        await stage.press("Revoke it", "Whoever reads it", "web")
        await stage.sees("is revoked", "web")
        assert (await http.get(address)).status_code == 404
