"""A branch that breaks, stays red and is mended, over HTTP: what the channel reads, and what goes into the thread."""

from functools import partial
from typing import Any

from bot.blocks.plain import as_text
from tests.e2e.stage import Stage


def told(stage: Stage, *, in_thread: bool, channel: str = "web") -> list[str]:
    """Return the bot's posts about ends of builds in the channel itself, or in threads, oldest first."""
    messages: list[Any] = list(stage.playground.workspace.messages.get(stage.channels[channel], {}).values())
    texts = [
        as_text({"text": message.text, "blocks": message.blocks or [], "attachments": message.attachments or []})
        for message in messages
        if message.is_root is not in_thread
    ]
    return [text for text in texts if "Posted because" in text]


def has_replies(stage: Stage, count: int) -> bool:
    """Return whether so many ends stand in threads."""
    return len(told(stage, in_thread=True)) == count


async def ends(stage: Stage, outcome: str) -> None:
    """Push a commit and let its build end."""
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome=outcome)
    await stage.ci("advance", seconds=5)
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome=outcome)


async def test_a_noisy_branch_is_one_card_with_a_thread_and_one_post_for_its_fix(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("subscribe web edges", "web")
    await stage.sees("set the notifications", "web")
    await ends(stage, "pass")
    await ends(stage, "fail")
    await stage.until(lambda: told(stage, in_thread=False), "the first failure")
    for count in (1, 2, 3):
        await ends(stage, "fail")
        await stage.until(partial(has_replies, stage, count), f"failure {count + 1}")
    (root,) = told(stage, in_thread=False)
    await stage.until(lambda: "now 4th in a row" in told(stage, in_thread=False)[0], "the count on the card")
    await stage.press("I'm on it", "Newly broken", "web")
    await stage.until(lambda: "is on it" in told(stage, in_thread=False)[0], "the claim on the card")
    await stage.says("why web", "web")
    await stage.sees("Seen before:", "web")
    await ends(stage, "pass")
    await stage.until(lambda: len(told(stage, in_thread=False)) == 2, "the fix")
    broken, fixed = told(stage, in_thread=False)
    assert "FIXED" in fixed
    assert "4 red builds" in fixed
    await stage.until(lambda: "back to green with #" in told(stage, in_thread=False)[0], "the end on the card")
    assert len(told(stage, in_thread=True)) == 3
    assert "Newly broken" in broken
    assert root


async def test_a_commit_that_two_systems_build_is_one_card(stage: Stage) -> None:
    """Truto stands in front of GitHub: the same run is a build of two connections."""
    await stage.says("link demo-github:acme/storefront/ci.yml as shop", "web")
    await stage.sees("Here it is called shop", "web")
    await stage.says("link demo-truto:storefront as front", "web")
    await stage.sees("shop here builds the same repository", "web")
    await stage.press("One card per commit", "builds the same repository", "web")
    await stage.sees("The same for shop, of the same repository", "web")
    pushed = await stage.ci("push", system="github_actions", pipeline="acme/storefront/ci.yml", branch="main")
    await stage.ci("advance", seconds=5)
    await stage.ci("finish", system="github_actions", build=pushed["id"], outcome="pass")
    card = await stage.sees("2 builds: passed", "web")
    assert "shop #" in card
    assert "front #" in card
    assert len(stage.posts("Posted because", "web")) == 1


async def test_a_claim_by_button_stands_on_the_card_of_a_commit_and_nothing_is_posted_beside_it(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("subscribe web --group commit", "web")
    await stage.sees("set the notifications", "web")
    await ends(stage, "fail")
    await stage.sees("1 of 1 build failed", "web")
    count = len(stage.shown("web"))
    await stage.press("I'm on it", "1 of 1 build failed", "web")
    card = await stage.sees("is on it", "web")
    assert "1 of 1 build failed" in card
    assert "[Not on it any more" in card
    assert "[I'm on it" not in card
    assert len(stage.shown("web")) == count
