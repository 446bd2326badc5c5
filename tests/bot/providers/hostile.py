"""Ids that try to reach another route, and the routes that a call reaches."""

from collections.abc import Callable
from typing import Any

import httpx

from bot.core.errors import BotError
from bot.providers.base.provider import Provider
from tests.bot.providers.case import Case, opened, result_of

HOSTILE_IDS = (
    "../../v1/apps/9",
    "..",
    ".",
    "",
    " ",
    "a/../b",
    "%2e%2e",
    "%2e%2e%2f9",
    "a?x=1",
    "a#b",
    "a\\b",
    "..\\9",
    "a\x00b",
    "a\nb",
    "x" * 5000,
    "gr\u00f6\u00dfe",
    "{1}/../{2}",
)


async def routes(case: Case, call: Callable[[Provider[Any]], object]) -> set[str]:
    """Return the paths, as sent, that a call reaches where everything is missing and where everything is empty."""
    paths: set[str] = set()

    def missing(request: httpx.Request) -> httpx.Response:
        paths.add(request.url.raw_path.decode().partition("?")[0])
        return httpx.Response(404, json={"message": "not here"})

    def empty(request: httpx.Request) -> httpx.Response:
        paths.add(request.url.raw_path.decode().partition("?")[0])
        return httpx.Response(200, json={})

    for answer in (missing, empty):
        async with opened(case, httpx.MockTransport(answer)) as provider:
            try:
                await result_of(call(provider))
            except BotError:
                continue
    return paths
