"""Listings: what reads is kept, what a filter admits is yielded, and every listing ends."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.models import Build, BuildFilter

log = logging.getLogger(__name__)

T = TypeVar("T")

SEARCH_PAGES = 10
ODD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a converter raises for a value that nobody thought of; it must not spoil the items beside it."""


def parse_items(items: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T]) -> Iterator[T]:
    """Yield what reads: one odd item spoils only itself. Raises the last error where nothing reads."""
    odd: UnexpectedResponse | None = None
    good = False
    for item in items:
        try:
            value = read(item)
        except UnexpectedResponse as exc:
            odd = exc
        except ODD as exc:
            odd = UnexpectedResponse("An item of a list could not be read.", provider="The CI system")
            odd.__cause__ = exc
        else:
            good = True
            yield value
            continue
        log.warning("an item of a list does not read", extra={"error": str(odd), "why": repr(odd.__cause__)})
    if odd is not None and not good:
        raise odd


async def matching(
    pages: AsyncIterable[Iterable[msgspec.Raw]], convert: Callable[[msgspec.Raw], Build], build_filter: BuildFilter
) -> AsyncIterator[Build]:
    """Yield the builds of a paged listing that `build_filter` admits, each once, at most `build_filter.limit`.

    No further page is requested once enough builds matched. A build that moves onto the next page because another one
    began meanwhile is yielded once.
    """
    if build_filter.limit <= 0:
        return
    yielded: set[str] = set()
    async for page in pages:
        for build in parse_items(page, convert):
            if build.id in yielded or not build_filter.admits(build):
                continue
            yielded.add(build.id)
            yield build
            if len(yielded) == build_filter.limit:
                return
