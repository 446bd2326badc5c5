"""A channel is linked by the address of any page that a local CI system shows, as a newcomer copies it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.stage import Stage, staged


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("pages")
    async with staged(folder) as stage:
        yield stage


async def pages(stage: Stage) -> list[tuple[str, str, str]]:
    """Return system, pipeline and address of every page: each pipeline's own, and that of its newest build."""
    state = (await stage.control.get("/control/state")).json()
    return [
        (system["system"], pipeline["pipeline"], address)
        for system in state["systems"]
        for pipeline in system["pipelines"]
        for address in (pipeline["web_url"], pipeline["builds"][0]["web_url"])
    ]


async def test_every_page_of_the_playground_opens(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as browser:
        for system, pipeline, address in await pages(stage):
            shown = await browser.get(address)
            assert shown.status_code == 200, address
            assert shown.headers["content-type"].startswith("text/html"), address
            assert pipeline in shown.text, (system, address)
        for system in stage.world.systems.values():
            overview = await browser.get(f"{stage.playground.address}{system.mount}/")
            assert overview.status_code == 200
            assert all(pipeline.path in overview.text for pipeline in stage.world.of_system(system.name))


async def test_every_page_of_the_playground_links_its_pipeline(stage: Stage) -> None:
    channels = ["ios", "web", "backend"]
    checked = 0
    for number, (system, pipeline, address) in enumerate(await pages(stage)):
        channel = channels[number % len(channels)]
        before = len(stage.shown(channel))
        await stage.says(f"link {address}", channel)
        answer = await stage.until(lambda channel=channel, at=before: "\n".join(stage.shown(channel)[at:]), address)
        assert "none of the connected" not in answer, (system, pipeline, address, answer)
        name = pipeline.rpartition("/")[2].removesuffix(".yml").casefold()
        assert "linked" in answer.casefold() or name in answer.casefold(), (system, pipeline, address, answer)
        checked += 1
    assert checked == 2 * sum(len(stage.world.of_system(name)) for name in stage.world.systems)
