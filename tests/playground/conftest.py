"""The page in Chromium, with the local Slack, local CI systems and a bot of a few lines behind it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from playground import Playground
from playground.ci import LocalCi, ci_app
from playground.clock import Clock
from tests.chromium import chromium
from tests.playground.fake_bot import APP_TOKEN, BOT_TOKEN, SECRET
from tests.playground.serving import serving
from tests.playground.stage_bot import StageBot

MANIFEST = {
    "features": {
        "bot_user": {"display_name": "Buildbell"},
        "slash_commands": [{"command": "/build", "description": "Builds", "usage_hint": "run nightly@main", "should_escape": True}],
        "shortcuts": [
            {"name": "Start a build", "type": "global", "callback_id": "start", "description": "Opens the form"},
            {"name": "Retry this build", "type": "message", "callback_id": "retry", "description": "Failed jobs again"},
        ],
    }
}  # fmt: skip


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as it:
        yield it


@pytest.fixture
async def bot() -> AsyncIterator[StageBot]:
    it, clock = StageBot(), Clock()
    async with serving(it.app) as url:
        it.playground = Playground(
            bot_url=url, signing_secret=SECRET, bot_token=BOT_TOKEN, app_token=APP_TOKEN, manifest=MANIFEST,
            ci_app=ci_app(LocalCi(seed=7, clock=clock)), clock=clock,
        )  # fmt: skip
        await it.playground.start()
        yield it
        await it.playground.stop()
        await it.client.aclose()


@pytest.fixture
async def page(browser: Browser, bot: StageBot) -> AsyncIterator[Page]:
    assert bot.playground
    address = bot.playground.address
    context = await browser.new_context(viewport={"width": 1360, "height": 860}, base_url=address)
    it = await context.new_page()
    troubles: list[str] = []
    it.on("pageerror", lambda error: troubles.append(str(error)))
    it.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    it.on(
        "request", lambda request: None if request.url.startswith((address, "data:")) else troubles.append(request.url)
    )
    await it.goto("/")
    await expect(it.get_by_role("heading", name="ios", exact=True)).to_be_visible()
    yield it
    await context.close()
    # A failing act answers 4xx on purpose in some tests; anything else is the page's own fault.
    assert [it for it in troubles if "status of 4" not in it] == []
