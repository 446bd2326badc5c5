"""The page on a telephone: nothing covers the channel, and everything can be reached."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.chromium import NEEDS_CHROMIUM
from tests.playground.stage_bot import StageBot, log_block, say

pytestmark = [*NEEDS_CHROMIUM]

PHONE = {"width": 420, "height": 860}
OVERFLOWING = """() => [...document.querySelectorAll('header, aside, main, nav, .timeline, .composer, .bar')]
  .filter(box => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).visibility !== 'hidden')
  .map(box => box.className || box.tagName)"""


@pytest.fixture
async def phone(page: Page) -> Page:
    """The page as it was left on a wide screen, loaded again on a narrow one."""
    await page.get_by_role("complementary", name="CI systems").wait_for()
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await page.reload()
    await expect(page.get_by_role("heading", name="ios", exact=True)).to_be_visible()
    return page


async def test_the_channel_is_seen_at_load_with_the_panel_closed(phone: Page, bot: StageBot) -> None:
    await expect(phone.get_by_role("complementary", name="CI systems")).to_have_count(0)
    await expect(phone.get_by_role("textbox", name="Message #ios")).to_be_in_viewport(ratio=1)
    await bot.api("chat.postMessage", channel="C0IOS00000", text="log", blocks=[log_block(5)])
    await expect(phone.locator("article pre")).to_be_in_viewport(ratio=1)
    assert await phone.evaluate(OVERFLOWING) == []
    assert await phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_a_window_made_narrow_closes_the_panel(page: Page) -> None:
    await expect(page.get_by_role("complementary", name="CI systems")).to_be_visible()
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await expect(page.get_by_role("complementary", name="CI systems")).to_have_count(0)


async def test_the_menu_reaches_channels_home_and_direct_messages(phone: Page) -> None:
    await expect(phone.get_by_role("button", name="random")).not_to_be_in_viewport()
    await phone.get_by_role("button", name="Menu", exact=True).click()
    assert await phone.evaluate(OVERFLOWING) == []
    await phone.get_by_role("button", name="random").click()
    await expect(phone.get_by_role("heading", name="random", exact=True)).to_be_visible()
    await expect(phone.get_by_role("button", name="random")).not_to_be_in_viewport()
    await phone.get_by_role("button", name="Menu", exact=True).click()
    await phone.get_by_role("button", name="App Home").click()
    await expect(phone.get_by_role("heading", name="Your builds")).to_be_in_viewport()
    await phone.get_by_role("button", name="Menu", exact=True).click()
    await phone.get_by_role("button", name="Direct message to Buildbell").click()
    await expect(phone.get_by_role("textbox", name="Message Buildbell")).to_be_in_viewport(ratio=1)


async def test_the_menu_closes_by_escape_its_cross_and_a_tap_beside_it(phone: Page) -> None:
    menu, ios = (
        phone.get_by_role("button", name="Menu", exact=True),
        phone.get_by_role("button", name="ios", exact=True),
    )
    await menu.click()
    await expect(ios).to_be_in_viewport()
    await phone.keyboard.press("Escape")
    await expect(ios).not_to_be_in_viewport()
    await menu.click()
    await phone.get_by_role("button", name="Close menu").click()
    await expect(ios).not_to_be_in_viewport()
    await menu.click()
    await phone.mouse.click(400, 500)
    await expect(ios).not_to_be_in_viewport()


async def test_the_panel_opens_over_the_page_and_closes_again(phone: Page) -> None:
    await phone.get_by_role("button", name="CI systems").click()
    panel = phone.get_by_role("complementary", name="CI systems")
    await expect(panel.get_by_role("button", name="Push a commit")).to_be_in_viewport(ratio=1)
    await panel.get_by_role("button", name="Close panel").click()
    await expect(panel).to_have_count(0)


async def test_a_command_is_typed_and_a_thread_read(phone: Page) -> None:
    await say(phone, "@buildbell how is main?")
    await phone.get_by_role("button", name=re.compile("1 reply")).click()
    thread = phone.get_by_role("complementary", name="Thread")
    await expect(thread.get_by_text("12 m 03 s")).to_be_in_viewport()
    await thread.get_by_role("button", name="Close thread").click()
    await expect(phone.get_by_role("textbox", name="Message #ios")).to_be_in_viewport(ratio=1)
