"""A person in the browser, the real bot behind the page: commands, cards, buttons, forms, Home."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.chromium import NEEDS_CHROMIUM, chromium
from tests.e2e.stage import Stage

pytestmark = [*NEEDS_CHROMIUM]
SLOW = 15_000


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as it:
        yield it


@pytest.fixture
async def page(browser: Browser, stage: Stage) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1360, "height": 860}, base_url=stage.playground.address)
    it = await context.new_page()
    it.set_default_timeout(SLOW)
    await it.goto("/")
    await expect(it.get_by_role("heading", name="ios", exact=True)).to_be_visible(timeout=SLOW)
    yield it
    await context.close()


async def say(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message #ios")
    await box.fill(text)
    await box.press("Enter")


async def test_link_run_and_read_in_the_page(page: Page, stage: Stage) -> None:
    await say(page, "/build link demo-xcode:Nightly as nightly --default")
    await expect(page.get_by_text("Here it is called")).to_be_visible(timeout=SLOW)
    await say(page, "/build run nightly@main")
    await expect(page.get_by_text("started #").first).to_be_visible(timeout=SLOW)
    build = await stage.newest("xcode_cloud", "Aurora iOS/Nightly")
    await stage.ci("finish", system="xcode_cloud", build=build["id"], outcome="test_failure")
    notification = page.get_by_role("article").filter(has_text="Posted because")
    await expect(notification).to_be_visible(timeout=SLOW)
    await expect(notification).to_contain_text("FAILED")
    await notification.get_by_role("button", name="Logs").click()
    await expect(page.get_by_text("Errors of", exact=False).first).to_be_visible(timeout=SLOW)


async def test_the_form_starts_a_build(page: Page, stage: Stage) -> None:
    await say(page, "/build link demo-buildkite:web --default")
    await expect(page.get_by_text("is linked to this channel")).to_be_visible(timeout=SLOW)
    await say(page, "/build run --form")
    form = page.get_by_role("dialog")
    await expect(form.get_by_text("Start a build").first).to_be_visible(timeout=SLOW)
    start = form.get_by_role("button", name="Start", exact=True)
    await expect(start).to_be_visible(timeout=SLOW)
    await start.click()
    await expect(page.get_by_text("started #").first).to_be_visible(timeout=SLOW)
    build = await stage.newest("buildkite", "web")
    assert build["branch"] == "main"


async def test_home_shows_what_is_mine(page: Page, stage: Stage) -> None:
    await say(page, "/build link demo-buildkite:web --default")
    await expect(page.get_by_text("is linked to this channel")).to_be_visible(timeout=SLOW)
    await page.get_by_role("button", name=re.compile("App Home")).click()
    await expect(page.get_by_text("Channels I set up")).to_be_visible(timeout=SLOW)
    await expect(page.get_by_text("demo-buildkite").first).to_be_visible(timeout=SLOW)
