"""Listings: what reads is kept, what a filter admits is yielded, and every listing ends."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import fields, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.models import Build, BuildFilter, BuildKey, IssueCounts
from bot.http.reading import note_skipped, noting_skipped

log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")
P = ParamSpec("P")

COUNTS = tuple(field.name for field in fields(IssueCounts))
SEARCH_PAGES = 10
SINGLE_READS = 100
ODD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a converter raises for a value that nobody thought of; it must not spoil the items beside it."""


def parse_items(items: Iterable[S], read: Callable[[S], T]) -> Iterator[T]:
    """Yield what reads: one odd item, or one with an empty id, spoils only itself. Raises the last error where nothing reads."""
    odd: UnexpectedResponse | None = None
    good = False
    for item in items:
        try:
            value = _with_id(read(item))
        except UnexpectedResponse as exc:
            odd = exc
        except ODD as exc:
            odd = UnexpectedResponse("An item of a list could not be read.", provider="The CI system")
            odd.__cause__ = exc
        else:
            good = True
            yield value
            continue
        note_skipped(odd)
        log.warning("an item of a list does not read", extra={"error": str(odd), "why": repr(odd.__cause__)})
    if odd is not None and not good:
        raise odd


def _with_id(value: T) -> T:
    """Return an item. Raises UnexpectedResponse for an empty id: no address can be made of it."""
    if "" in (getattr(value, "id", None), getattr(value, "uuid", None)):
        raise UnexpectedResponse("An item of a list has an empty id.", provider="The CI system")
    return value


def parse_answers(answers: Iterable[S | UnexpectedResponse]) -> Iterator[S]:
    """Yield the answers to several questions that read, as `parse_items` does for the items of a list."""

    def read(answer: S | UnexpectedResponse) -> S:
        if isinstance(answer, UnexpectedResponse):
            raise answer
        return answer

    return parse_items(answers, read)


def without_false_zeros(
    count: Callable[P, Awaitable[IssueCounts]],
) -> Callable[P, Coroutine[Any, Any, IssueCounts]]:
    """Return a method that counts, and reports as unknown what is no count.

    That is a negative number, and zero where a list that was read was null or an item of it was left out.
    """

    @wraps(count)
    async def counted(*args: P.args, **kwargs: P.kwargs) -> IssueCounts:
        with noting_skipped() as skipped:
            counts = await count(*args, **kwargs)
        least = 1 if skipped else 0
        numbers = {name: getattr(counts, name) for name in COUNTS}
        false = {name: None for name, number in numbers.items() if number is not None and number < least}
        return replace(counts, **false) if false else counts

    return counted


async def matching(
    pages: AsyncIterable[Iterable[msgspec.Raw]],
    convert: Callable[[msgspec.Raw], Build],
    build_filter: BuildFilter,
    *,
    whole: Callable[[Build], Awaitable[Build]] | None = None,
) -> AsyncIterator[Build]:
    """Yield the builds of a paged listing that `build_filter` admits, each once, at most `build_filter.limit`.

    No further page is requested once enough builds matched, or once the list has come to builds that are too old. A build that moves onto the next page because another one
    began meanwhile is yielded once. `whole` reads a build singly where the list leaves out what the filter asks (who started
    it, when it ended); that is done for a hundred builds at most, then the listing ends.
    """
    if build_filter.limit <= 0:
        return
    yielded: set[BuildKey] = set()
    reads_left = SINGLE_READS
    async for page in pages:
        for listed in parse_items(page, convert):
            if build_filter.is_past(listed):
                return
            build = listed
            if whole is not None and build.key not in yielded and build_filter.lacks(build):
                if reads_left == 0:
                    return
                reads_left -= 1
                build = await whole(build)
            if build.key in yielded or not build_filter.admits(build):
                continue
            yielded.add(build.key)
            yield build
            if len(yielded) == build_filter.limit:
                return
