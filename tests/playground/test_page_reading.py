"""Reading in the page: the end of a channel, what is new, log blocks, emoji, charts, tables, search, and the clock."""

import base64
import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.chromium import NEEDS_CHROMIUM
from tests.playground.fake_bot import section
from tests.playground.stage_bot import StageBot, bars, data_table, log_block, pie, say

pytestmark = [*NEEDS_CHROMIUM]

IOS, WEB = "C0IOS00000", "C0WEB00000"
AT_THE_END = "list => list.scrollHeight - list.scrollTop - list.clientHeight <= 1"
HOUR = 3600

# The share of green and of red among a picture's coloured pixels.
COLOURS = """async (picture) => {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let green = 0, red = 0, coloured = 0;
  for (let at = 0; at < data.length; at += 4) {
    const [r, g, b] = data.slice(at, at + 3);
    if (Math.max(r, g, b) - Math.min(r, g, b) < 60) continue;
    coloured += 1;
    if (g > r && g > b) green += 1;
    if (r > g && r > b) red += 1;
  }
  return { green: green / coloured, red: red / coloured, coloured };
}"""


def timeline(page: Page) -> Locator:
    return page.get_by_role("log", name="Messages in ios")


async def at_the_end(page: Page) -> None:
    list_ = await timeline(page).element_handle()
    await page.wait_for_function(AT_THE_END, arg=list_)


async def fill(bot: StageBot, count: int = 12) -> None:
    for number in range(count):
        await bot.api("chat.postMessage", channel=IOS, text=f"Filler {number}\n" * 4)


async def test_the_end_stays_in_view_however_late_and_often_messages_change_their_size(
    page: Page, bot: StageBot
) -> None:
    await fill(bot)
    await expect(page.get_by_text("Filler 11").last).to_be_visible()
    await at_the_end(page)
    late = await bot.api("chat.postMessage", channel=IOS, text="Reading the log…")
    for lines in (60, 3, 80):
        await bot.api("chat.update", channel=IOS, ts=late["ts"], text="log", blocks=[log_block(lines)])
        await expect(page.get_by_text(f"[{lines - 1}/{lines}]")).to_be_visible()
        await at_the_end(page)
    await bot.api("chat.postMessage", channel=IOS, text="After the log")
    await expect(page.get_by_text("After the log")).to_be_in_viewport()
    await page.get_by_role("textbox", name="Message #ios").fill("a draft\nof\nfive\nlong\nlines")
    await at_the_end(page)
    await timeline(page).evaluate("list => { list.querySelector('article pre').style.minHeight = '900px'; }")
    await at_the_end(page)
    for height in (1200, 2400):
        # redrawn within one frame: first shorter, so that the browser moves the list up, then as long or longer
        await timeline(page).evaluate(
            "(list, height) => { const pre = list.querySelector('article pre');"
            " pre.style.cssText = 'height: 10px; overflow: hidden'; list.scrollTop;"
            " pre.style.cssText = `min-height: ${height}px`; }",
            height,
        )
        await at_the_end(page)
    await page.set_viewport_size({"width": 1000, "height": 600})
    await at_the_end(page)
    await expect(page.get_by_role("button", name=re.compile("new message"))).to_have_count(0)


async def test_whoever_scrolled_up_stays_there_and_is_offered_the_new_messages(page: Page, bot: StageBot) -> None:
    await fill(bot)
    await expect(page.get_by_text("Filler 11").last).to_be_visible()
    await timeline(page).hover()
    await page.mouse.wheel(0, -600)
    await expect(page.get_by_text("Filler 11").last).not_to_be_in_viewport()
    before = await timeline(page).evaluate("list => list.scrollTop")
    await bot.api("chat.postMessage", channel=IOS, text="First news")
    pill = page.get_by_role("button", name="1 new message", exact=False)
    await expect(pill).to_be_visible()
    await bot.api("chat.postMessage", channel=IOS, text="Second news")
    await expect(page.get_by_role("button", name="2 new messages", exact=False)).to_be_visible()
    assert await timeline(page).evaluate("list => list.scrollTop") == before
    await page.get_by_role("button", name="2 new messages", exact=False).click()
    await expect(page.get_by_text("Second news")).to_be_in_viewport()
    await expect(page.get_by_role("button", name=re.compile("new message"))).to_have_count(0)
    await bot.api("chat.postMessage", channel=IOS, text="Third news")
    await expect(page.get_by_text("Third news")).to_be_in_viewport()


async def test_scrolling_back_by_hand_takes_the_offer_away(page: Page, bot: StageBot) -> None:
    await fill(bot)
    await expect(page.get_by_text("Filler 11").last).to_be_in_viewport()
    await timeline(page).focus()
    await page.keyboard.press("Home")
    await expect(page.get_by_text("Filler 11").last).not_to_be_in_viewport()
    await bot.api("chat.postMessage", channel=IOS, text="News")
    await expect(page.get_by_role("button", name=re.compile("1 new message"))).to_be_visible()
    await page.keyboard.press("End")
    await expect(page.get_by_role("button", name=re.compile("new message"))).to_have_count(0)


async def test_what_one_writes_oneself_is_shown(page: Page, bot: StageBot) -> None:
    await fill(bot)
    await expect(page.get_by_text("Filler 11").last).to_be_in_viewport()
    await timeline(page).focus()
    await page.keyboard.press("Home")
    await expect(page.get_by_text("Filler 11").last).not_to_be_in_viewport()
    await say(page, "my own words")
    await expect(page.get_by_text("my own words")).to_be_in_viewport()


@pytest.mark.parametrize("form", ["rich_text", "backticks"])
async def test_a_log_block_is_plain_monospace_over_the_full_width(page: Page, bot: StageBot, form: str) -> None:
    block = log_block(4) if form == "rich_text" else section("```[0/4] src/checkout/basket.ts\n[3/4] ✓ done```")
    await bot.api("chat.postMessage", channel=IOS, text="log", blocks=[block])
    log = page.locator("article pre")
    await expect(log).to_be_visible()
    style = await log.evaluate(
        "pre => ({ font: getComputedStyle(pre).fontFamily, size: getComputedStyle(pre).fontSize,"
        " color: getComputedStyle(pre).color, ink: getComputedStyle(document.body).color,"
        " width: pre.getBoundingClientRect().width, room: pre.closest('.blocks').getBoundingClientRect().width,"
        " inner: pre.children.length, boxes: pre.parentElement.closest('pre, code, .library') !== null })"
    )
    assert "monospace" in style["font"]
    assert style["size"] == "12px"
    assert style["color"] == style["ink"]
    assert (style["inner"], style["boxes"]) == (0, False)
    if form == "rich_text":
        assert style["width"] == style["room"]


@pytest.mark.parametrize(
    ("text", "colour"), [(":white_check_mark:", "green"), ("✅", "green"), ("❌", "red"), ("✓", "green"), ("✕", "red")]
)
async def test_signs_of_states_are_coloured(page: Page, bot: StageBot, text: str, colour: str) -> None:
    await bot.api("chat.postMessage", channel=IOS, text="state", blocks=[section(f"{text} *Passed*")])
    sign = page.locator("article .emoji, article [class^=sign-]")
    await expect(sign).to_have_count(1)
    picture = base64.b64encode(await sign.screenshot()).decode()
    seen = await page.evaluate(COLOURS, f"data:image/png;base64,{picture}")
    assert seen["coloured"] > 10
    assert seen[colour] > 0.8


async def test_short_codes_become_emoji_except_in_code_and_unknown_ones(page: Page, bot: StageBot) -> None:
    await bot.api(
        "chat.postMessage", channel=IOS, text="x", blocks=[section(":tada: `:tada:` :no_such_emoji: 12:30:45")]
    )
    await expect(page.locator("article .emoji")).to_have_count(1)
    await expect(page.locator("article .emoji")).to_have_text("🎉")
    await expect(page.locator("article code")).to_have_text(":tada:")
    await expect(page.locator("article")).to_contain_text(":no_such_emoji: 12:30:45")


async def test_rich_text_is_drawn_with_its_lists_links_and_mentions(page: Page, bot: StageBot) -> None:
    text = {"type": "text", "text": "bold", "style": {"bold": True}}
    items = [{"type": "rich_text_section", "elements": [{"type": "text", "text": word}]} for word in ("one", "two")]
    inline = [
        text,
        {"type": "emoji", "name": "rocket"},
        {"type": "user", "user_id": "U0MIKASATO"},
        {"type": "link", "url": "https://ci.example/1", "text": "the build"},
        {"type": "link", "url": "javascript:alert(1)", "text": "no link"},
    ]
    await bot.api(
        "chat.postMessage",
        channel=IOS,
        text="rich",
        blocks=[
            {
                "type": "rich_text",
                "elements": [
                    {"type": "rich_text_section", "elements": inline},
                    {"type": "rich_text_list", "style": "ordered", "elements": items},
                    {"type": "rich_text_quote", "elements": [{"type": "text", "text": "said"}]},
                ],
            }
        ],
    )
    message = page.get_by_role("article")
    await expect(message.locator("strong", has_text="bold")).to_be_visible()
    await expect(message.get_by_role("img", name="rocket")).to_be_visible()
    await expect(message.get_by_text("@mika")).to_be_visible()
    await expect(message.get_by_role("link", name="the build")).to_have_attribute("href", "https://ci.example/1")
    await expect(message.get_by_role("link", name="no link")).to_have_count(0)
    await expect(message.locator("ol li")).to_have_text(["one", "two"])
    await expect(message.locator("blockquote")).to_have_text("said")


async def test_bars_and_pies_are_drawn(page: Page, bot: StageBot) -> None:
    await bot.api("chat.postMessage", channel=IOS, text="charts", blocks=[bars(), pie()])
    chart = page.get_by_role("img", name="Builds a day. web: Mon 4, Tue 5; deploy: Mon 9, Tue 10")
    await expect(chart.locator("rect")).to_have_count(4)
    heights = await chart.locator("rect").evaluate_all("bars => bars.map(bar => Number(bar.getAttribute('height')))")
    assert heights[1] / heights[0] == pytest.approx(5 / 4)
    assert heights[2] / heights[0] == pytest.approx(9 / 4)
    slices = page.get_by_role("img", name="Results. Passed 30, Failed 10").locator("circle")
    await expect(slices).to_have_count(2)


async def test_a_data_table_is_leafed_through_and_sorted(page: Page, bot: StageBot) -> None:
    await bot.api("chat.postMessage", channel=IOS, text="table", blocks=[data_table(12)])
    table = page.get_by_role("table", name="Failures in a week")
    await expect(table.get_by_role("row")).to_have_count(6)
    await expect(page.get_by_text("1–5 of 12")).to_be_visible()
    await page.get_by_role("button", name="Next rows").click()
    await page.get_by_role("button", name="Next rows").click()
    await expect(table.get_by_role("row")).to_have_count(3)
    await table.get_by_role("button", name="Failures").click()
    await table.get_by_role("button", name="Failures").click()
    await expect(table.get_by_role("cell").nth(1)).to_have_text("11")
    await expect(table.get_by_role("columnheader", name="Failures")).to_have_attribute("aria-sort", "descending")


async def test_search_finds_messages_of_all_channels_and_opens_them(page: Page, bot: StageBot) -> None:
    await fill(bot)
    await bot.api("chat.postMessage", channel=IOS, text="fallback words", blocks=[section("Checkout is *red*")])
    await bot.api("chat.postMessage", channel=WEB, text="The checkout deploys at noon")
    for number in range(12):
        await bot.api("chat.postMessage", channel=WEB, text=f"Later {number}\n" * 4)
    thread = await bot.api("chat.postMessage", channel=IOS, text="A thread")
    await bot.api("chat.postMessage", channel=IOS, thread_ts=thread["ts"], text="A needle in the thread")
    await expect(page.get_by_role("button", name="1 reply")).to_be_visible()
    await page.get_by_role("button", name="Search").click()
    search = page.get_by_role("dialog", name="Search messages")
    box = search.get_by_role("combobox", name="Search messages")
    await box.fill("CHECKOUT")
    await expect(search.get_by_role("option")).to_have_count(2)
    await expect(search.locator("mark")).to_have_text(["checkout", "Checkout"])
    await box.fill("fallback")
    await expect(search.get_by_text("No messages found")).to_be_visible()
    await box.fill("in:#web checkout")
    await expect(search.get_by_role("option")).to_have_count(1)
    await box.fill("from:@ana checkout")
    await expect(search.get_by_role("option")).to_have_count(0)
    await box.fill("deploys noon")
    await box.press("Enter")
    await expect(search).to_have_count(0)
    await expect(page.get_by_role("heading", name="web", exact=True)).to_be_visible()
    await expect(page.get_by_text("The checkout deploys at noon")).to_be_in_viewport()
    await page.keyboard.press("Control+k")
    await box.fill("needle")
    await search.get_by_role("option").click()
    await expect(page.get_by_role("complementary", name="Thread").get_by_text("A needle")).to_be_visible()


async def test_search_shows_nobody_what_others_see(page: Page, bot: StageBot) -> None:
    await bot.api("chat.postEphemeral", channel=IOS, user="U0MIKASATO", text="a secret for mika")
    await bot.api("chat.postMessage", channel=IOS, text="a secret for all")
    await expect(page.get_by_text("a secret for all")).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox", name="Search messages").fill("secret")
    await expect(page.get_by_role("dialog", name="Search messages").get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Search messages")).to_have_count(0)


async def test_an_hour_ahead_moves_the_times_of_messages_and_what_is_ago(page: Page, bot: StageBot) -> None:
    assert bot.playground
    first = await bot.api("chat.postMessage", channel=IOS, text="Before")
    await bot.api("chat.postMessage", channel=IOS, thread_ts=first["ts"], text="A reply")
    await expect(page.get_by_text("just now")).to_be_visible()
    await page.get_by_role("button", name="+1 h").click()
    await expect(page.get_by_text("moved +1 h")).to_be_visible()
    await expect(page.get_by_text("1 hour ago")).to_be_visible()
    second = await bot.api("chat.postMessage", channel=IOS, text="After")
    assert HOUR <= float(second["ts"]) - float(first["ts"]) < HOUR + 60


async def test_a_modal_opened_from_the_home_is_shown(page: Page) -> None:
    await page.get_by_role("button", name="App Home").click()
    await page.get_by_role("button", name="Run", exact=True).click()
    await expect(page.get_by_role("dialog", name="Start a build")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Your builds")).to_be_visible()


async def test_a_pipelines_address_can_be_opened_and_copied(page: Page) -> None:
    panel = page.get_by_role("complementary", name="CI systems")
    link = panel.get_by_role("link", name="web", exact=True)
    await expect(link).to_have_attribute("href", re.compile("/ci/buildkite/demo/web$"))
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await panel.get_by_role("button", name="Copy the address of web").click()
    await expect(page.get_by_text("Address copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await link.get_attribute("href")
