"""A channel is linked by the address of any page that a local CI system shows, as a newcomer copies it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.stage import Stage, staged


@dataclass(frozen=True)
class WebPage:
    """A page of a local CI system, and the pipeline that it is about."""

    system: str
    pipeline: str
    address: str


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("pages")) as stage:
        yield stage


async def pages(stage: Stage) -> list[WebPage]:
    """Return every pipeline's own page, and that of its newest build."""
    state = (await stage.control.get("/control/state")).json()
    return [
        WebPage(system["system"], pipeline["pipeline"], address)
        for system in state["systems"]
        for pipeline in system["pipelines"]
        for address in (pipeline["web_url"], pipeline["builds"][0]["web_url"])
    ]


async def test_every_page_of_the_playground_opens(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as browser:
        for page in await pages(stage):
            shown = await browser.get(page.address)
            assert shown.status_code == 200, page
            assert shown.headers["content-type"].startswith("text/html"), page
            assert page.pipeline in shown.text, page
        for system in stage.world.systems.values():
            overview = await browser.get(f"{stage.playground.address}{system.mount}/")
            assert overview.status_code == 200
            assert all(pipeline.path in overview.text for pipeline in stage.world.of_system(system.name))


async def test_every_page_of_the_playground_links_its_pipeline(stage: Stage) -> None:
    channels = ["ios", "web", "backend"]
    everything = await pages(stage)
    for number, page in enumerate(everything):
        channel = channels[number % len(channels)]
        before = len(stage.shown(channel))
        await stage.says(f"link {page.address}", channel)

        def answered(channel: str = channel, before: int = before) -> str:
            text = "\n".join(stage.shown(channel)[before:])
            is_answer = any(words in text.casefold() for words in ("linked", "none of the connected"))
            return text if is_answer else ""  # on a busy machine the answer comes after a note that it will

        answer: str = await stage.until(answered, page.address)
        assert "none of the connected" not in answer, (page, answer)
        name = page.pipeline.rpartition("/")[2].removesuffix(".yml").casefold()
        assert "linked" in answer.casefold(), (page, answer)
        assert name in answer.casefold(), (page, answer)
    assert len(everything) == 2 * sum(len(stage.world.of_system(name)) for name in stage.world.systems)
