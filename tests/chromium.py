"""The browser that the page's tests drive: Debian's Chromium, kept off the network."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from playground import PAGE

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
IN_CI = bool(os.environ.get("CI"))  # noqa: TID251 - whether a missing browser is a failure
MISSING = [
    name for name, path in (("Chromium", Path(CHROMIUM)), ("the built page", PAGE / "index.html")) if not path.exists()
]
NEEDS_CHROMIUM = (
    pytest.mark.browser,
    pytest.mark.skipif(bool(MISSING) and not IN_CI, reason=f"not here: {', '.join(MISSING)}"),
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser and end it."""
    async with async_playwright() as playwright:
        it = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield it
        await it.close()
