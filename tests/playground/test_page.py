"""The playground's page in Chromium, with a bot of a few lines behind it."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.chromium import NEEDS_CHROMIUM
from tests.playground.stage_bot import StageBot, say

pytestmark = [*NEEDS_CHROMIUM]


def offered(page: Page) -> Locator:
    """The open list of a menu, apart from the browser's own selects."""
    return page.locator(".floating [role=listbox]")


async def test_a_command_is_answered_for_its_person_only(page: Page) -> None:
    await say(page, "/build status")
    await expect(page.get_by_text("You typed status, @ana.")).to_be_visible()
    await expect(page.get_by_text("Only visible to you")).to_be_visible()
    await page.get_by_label("Acting as").select_option(label="Mika Sato")
    await expect(page.get_by_text("You typed status")).to_have_count(0)


async def test_a_failed_command_is_shown_as_slack_shows_it(page: Page) -> None:
    await say(page, "/build broken")
    await expect(page.get_by_text("/build failed with the error “dispatch_failed”")).to_be_visible()


async def test_a_card_is_drawn_and_its_buttons_work(page: Page, bot: StageBot) -> None:
    await say(page, "/build card")
    card = page.get_by_role("article", name=re.compile("Buildbell"))
    await expect(card.get_by_role("link", name="web / Deploy #412")).to_be_visible()
    await expect(card.get_by_text("Cache the token <between> launches")).to_be_visible()
    await card.get_by_role("button", name="Retry failed").click()
    await expect(page.get_by_text("Pressed build.retry retry #412")).to_be_visible()
    await card.get_by_role("button", name="Cancel").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Keep it").click()
    await card.get_by_role("button", name="Cancel").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_text("Pressed build.cancel cancel #412")).to_have_count(1)
    await card.get_by_role("button", name="More", exact=True).click()
    await page.get_by_role("menuitem", name="Mute 2 h").click()
    await expect(page.get_by_text("Pressed build.more mute 2h")).to_be_visible()
    await card.get_by_role("combobox", name="Tell me of").click()
    await offered(page).get_by_role("option", name="Failures").click()
    await expect(page.get_by_text("Pressed build.say failures")).to_be_visible()
    assert len([it for it in bot.received if it.get("type") == "block_actions"]) == 4


async def test_an_external_menu_offers_what_the_bot_finds(page: Page, bot: StageBot) -> None:
    await say(page, "/build menu")
    box = page.get_by_role("combobox", name="Find a pipeline")
    await box.click()
    await expect(page.get_by_text("Type 1 or more letters")).to_be_visible()
    await box.fill("web")
    await expect(offered(page).get_by_role("option")).to_have_count(2)
    await box.press("ArrowDown")
    await box.press("Enter")
    await expect(page.get_by_text("Pressed pick web / Tests")).to_be_visible()


async def test_a_form_is_filled_corrected_and_confirmed(page: Page, bot: StageBot) -> None:
    await say(page, "/build form")
    form = page.get_by_role("dialog", name="Start a build")
    await form.get_by_role("button", name="Start").click()
    await expect(form.get_by_text("Please complete this required field.")).to_have_count(2)
    await form.get_by_role("combobox", name="Pipeline").click()
    await offered(page).get_by_role("option", name="ios-app / Nightly").click()
    await expect(form.get_by_text("Last run of ios-app / Nightly: passed")).to_be_visible()
    await form.get_by_role("textbox", name="Branch").fill("realease")
    await form.get_by_role("checkbox", name="Interface tests").check()
    await form.get_by_role("radio", name="Incremental").check()
    await form.get_by_role("combobox", name="Labels").click()
    await offered(page).get_by_role("option", name="hotfix").click()
    await offered(page).get_by_role("option", name="beta").click()
    await form.get_by_role("combobox", name="Labels").press("Escape")
    await form.get_by_role("combobox", name="Tell").fill("bo")
    await offered(page).get_by_role("option", name="Bo Lindén").click()
    await form.get_by_role("combobox", name="Tell").press("Escape")
    await form.get_by_role("combobox", name="Post in").click()
    await offered(page).get_by_role("option", name="#web").click()
    await form.get_by_role("button", name="Start").click()
    await expect(form.get_by_text("No branch realease. Closest: release.")).to_be_visible()
    await form.get_by_role("textbox", name="Branch").fill("release")
    await form.get_by_role("button", name="Start").click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    await expect(sure).to_be_visible()
    values = bot.last("view_submission")["view"]["state"]["values"]
    assert values["pipeline"]["pick"]["selected_option"]["value"] == "ios-app / Nightly"
    assert values["branch"]["text"]["value"] == "release"
    assert [it["value"] for it in values["jobs"]["boxes"]["selected_options"]] == ["ui"]
    assert values["mode"]["radio"]["selected_option"]["value"] == "inc"
    assert [it["value"] for it in values["labels"]["many"]["selected_options"]] == ["hotfix", "beta"]
    assert values["who"]["users"]["selected_users"] == ["U0BOLINDEN"]
    assert values["where"]["channel"]["selected_conversation"].startswith("C0WEB")
    await sure.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_escape_closes_the_top_view(page: Page) -> None:
    await page.get_by_role("button", name="Shortcuts").click()
    await page.get_by_role("menuitem", name="Start a build").click()
    await expect(page.get_by_role("dialog", name="Start a build")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_mention_is_answered_in_its_thread(page: Page) -> None:
    await say(page, "@buildbell how is main?")
    await page.get_by_role("button", name=re.compile("1 reply")).click()
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread.get_by_text("12 m 03 s")).to_be_visible()
    await say(page, "@buildbell again", box="Reply in thread")
    await expect(thread.get_by_role("article")).to_have_count(4)
    await say(page, "/build status", box="Reply in thread")
    await expect(page.get_by_text("/build is not supported in threads. Sorry!")).to_be_visible()
    await thread.get_by_role("button", name="Close thread").click()
    await expect(page.get_by_role("button", name=re.compile("3 replies"))).to_be_visible()


async def test_a_pasted_link_gets_its_preview(page: Page) -> None:
    await say(page, "see http://127.0.0.1:4000/builds/411 please")
    await expect(page.get_by_text("Passed web / Deploy #411")).to_be_visible()


async def test_the_home_is_opened_and_its_button_pressed(page: Page, bot: StageBot) -> None:
    await page.get_by_role("button", name="App Home").click()
    await expect(page.get_by_role("heading", name="Your builds")).to_be_visible()
    async with page.expect_response("**/ui/action"):
        await page.get_by_role("button", name="Run", exact=True).click()
    assert bot.last("block_actions")["view"]["type"] == "home"


async def test_shortcuts_reactions_and_what_the_bot_sent(page: Page, bot: StageBot) -> None:
    await say(page, "/build card")
    card = page.get_by_role("article", name=re.compile("Buildbell")).first
    await card.hover()
    await card.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Retry this build").click()
    await expect(page.get_by_text("Retrying that build")).to_be_visible()
    await card.hover()
    await card.get_by_role("button", name="Add a reaction").click()
    await page.get_by_role("menuitem", name="eyes").click()
    await expect(card.get_by_role("button", name="eyes, 1")).to_be_visible()
    assert bot.last("reaction_added")["event"]["reaction"] == "eyes"
    await card.hover()
    await card.get_by_role("button", name="What the bot sent").click()
    sent = page.get_by_role("dialog", name="What the bot sent")
    await expect(sent.get_by_text("chat.postMessage")).to_be_visible()
    await expect(sent.get_by_label("JSON")).to_contain_text('"value": "retry #412"')
    await sent.get_by_role("button", name="Close").click()


async def test_charts_and_tables_are_drawn(page: Page) -> None:
    await say(page, "/build chart")
    await expect(page.get_by_text("Build time in minutes")).to_be_visible()
    await expect(page.get_by_role("cell", name="Unit tests")).to_be_visible()


async def test_whoever_reads_the_end_keeps_reading_the_end(page: Page) -> None:
    for count in range(1, 4):
        await say(page, "/build chart")
        await expect(page.get_by_role("cell", name="Unit tests")).to_have_count(count)
    await expect(page.get_by_role("cell", name="Unit tests").last).to_be_in_viewport()
    await page.get_by_role("log").hover()
    await page.mouse.wheel(0, -5000)
    await expect(page.get_by_text("Build time in minutes").first).to_be_in_viewport()
    await say(page, "/build status")
    await expect(page.get_by_text("You typed")).to_have_count(1)
    await expect(page.get_by_text("Build time in minutes").first).to_be_in_viewport()


async def test_channels_change_and_the_bot_gets_the_event(page: Page, bot: StageBot) -> None:
    await page.get_by_role("button", name="random").click()
    await expect(page.get_by_text("Buildbell is not in this channel")).to_be_visible()
    await page.get_by_role("button", name="Channel settings").click()
    await page.get_by_role("menuitem", name="Invite Buildbell").click()
    await expect(page.get_by_text("Buildbell is not in this channel")).to_have_count(0)
    assert bot.last("member_joined_channel")
    await page.get_by_role("button", name="Channel settings").click()
    await page.get_by_role("menuitem", name="Archive").click()
    await expect(page.get_by_placeholder("This channel is archived.")).to_be_disabled()


async def test_the_panel_pushes_and_finishes_builds(page: Page) -> None:
    panel = page.get_by_role("complementary", name="CI systems")
    await panel.get_by_label("Pipeline", exact=True).select_option("web")
    await panel.get_by_label("It will").select_option("fail")
    await panel.get_by_label("Commit message").fill("Rehearse a failure")
    await panel.get_by_role("button", name="Push a commit").click()
    build = panel.get_by_role("listitem").filter(has_text="Rehearse a failure")
    await expect(build).to_be_visible()
    await build.get_by_role("button", name=re.compile("Finish")).click()
    await page.get_by_role("menuitem", name="Pass now").click()
    await expect(build.get_by_text("Passed", exact=True)).to_be_visible()
    await panel.get_by_role("button", name="+1 h").click()
    await expect(page.get_by_text("The clock of the CI systems, Slack and the bot moved +1 h")).to_be_visible()


async def test_the_wire_shows_calls_and_payloads(page: Page) -> None:
    await say(page, "/build card")
    await page.get_by_role("button", name="Wire").click()
    wire = page.get_by_role("complementary", name="Wire")
    await expect(wire.get_by_text("chat.postMessage")).to_be_visible()
    await expect(wire.get_by_text("/build", exact=True)).to_be_visible()


async def test_typing_suggests_commands_and_people(page: Page) -> None:
    box = page.get_by_role("textbox", name="Message #ios")
    await box.press_sequentially("/b")
    await expect(page.get_by_role("listbox", name="Suggestions").get_by_role("option", name="/build")).to_be_visible()
    await box.press("Tab")
    await box.press_sequentially("me @mi")
    await box.press("Tab")
    await expect(box).to_have_value("/build me @mika ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_follows_the_readers_colours(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(27, 29, 34)" if scheme == "dark" else "rgb(255, 255, 255)")
