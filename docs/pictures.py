"""Take the pictures of the README and of the quick start: the playground's page in Chromium, light and dark.

`make pictures` runs it. The clock starts at a fixed time and the local CI systems at a fixed seed, so that a picture changes
only where the product does.
"""
# ruff: noqa: INP001, T201 - a script, not part of the package

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, expect

from playground.clock import Clock
from tests.chromium import chromium
from tests.e2e.stage import Stage, staged

FOLDER = Path(__file__).resolve().parent / "pictures"
START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC).timestamp()
SEED = 7
SLOW_MS = 20_000
SIZE = {"width": 1180, "height": 760}

Theme = Literal["light", "dark"]
Scene = Callable[[Page, Stage], Awaitable[None]]


async def say(page: Page, text: str) -> None:
    """Type a message into the open channel."""
    box = page.get_by_role("textbox", name="Message #ios")
    await box.fill(text)
    await box.press("Enter")


async def broken_build(page: Page, stage: Stage) -> None:
    """A channel follows a pipeline; somebody starts it, it fails, and its notification says what broke."""
    await say(page, "/build link demo-xcode:Nightly as nightly --default")
    await expect(page.get_by_role("button", name="Unlink")).to_be_visible(timeout=SLOW_MS)
    await say(page, "/build run nightly@main")
    await expect(page.get_by_text("started #").first).to_be_visible(timeout=SLOW_MS)
    build = await stage.newest("xcode_cloud", "Aurora iOS/Nightly")
    await stage.ci("advance", seconds=18)
    await stage.ci("finish", system="xcode_cloud", build=build["id"], outcome="test_failure")
    notification = page.get_by_role("article").filter(has_text="Posted because")
    await expect(notification).to_be_visible(timeout=SLOW_MS)
    # The live card is edited at most every 15 seconds; then it shrinks to one line.
    await stage.ci("advance", seconds=20)
    await expect(page.get_by_role("button", name="Rebuild")).to_have_count(1, timeout=SLOW_MS)
    await notification.scroll_into_view_if_needed()


async def waiting_build(page: Page, stage: Stage) -> None:
    """A build stops at a step that needs a person, and its card asks for one."""
    await say(page, "/build link demo-buildkite:deploy as deploy --default")
    await expect(page.get_by_role("button", name="Unlink")).to_be_visible(timeout=SLOW_MS)
    await say(page, "/build run deploy@main")
    card = page.get_by_role("article").filter(has_text="started #")
    await expect(card).to_be_visible(timeout=SLOW_MS)
    for _step in range(40):
        await stage.ci("advance", seconds=3)
        if (await stage.newest("buildkite", "deploy"))["state"] != "running":
            break
    await expect(page.get_by_role("button", name="Approve").first).to_be_visible(timeout=SLOW_MS)


SCENES: dict[str, Scene] = {"channel": broken_build, "approval": waiting_build}


async def take(browser: Browser, name: str, scene: Scene, theme: Theme) -> None:
    """Play a scene in a playground of its own and write its picture."""
    began = time.monotonic()
    clock = Clock(base=lambda: START + time.monotonic() - began)
    with tempfile.TemporaryDirectory(prefix="buildbell-pictures-") as folder:
        async with staged(Path(folder), clock=clock, seed=SEED) as stage:
            context = await browser.new_context(
                viewport=SIZE,
                base_url=stage.playground.address,
                color_scheme=theme,
                locale="en-US",
                timezone_id="UTC",
                reduced_motion="reduce",
            )
            page = await context.new_page()
            await page.goto("/")
            await expect(page.get_by_role("heading", name="ios", exact=True)).to_be_visible(timeout=SLOW_MS)
            await page.get_by_role("button", name="CI systems").first.click()
            await scene(page, stage)
            path = FOLDER / f"{name}-{theme}.png"
            await page.screenshot(path=path, animations="disabled", caret="hide")
            print(f"{path.name}: {path.stat().st_size // 1024} KiB")
            await context.close()


async def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(exist_ok=True)
    async with chromium() as browser:
        for name, scene in SCENES.items():
            for theme in ("light", "dark"):
                await take(browser, name, scene, theme)


if __name__ == "__main__":
    asyncio.run(main())
