"""The poll: the newest runs of each product that has a watched workflow, down to the oldest unfinished one.

Apple has no list of all runs, no filter by time and no validators, so a product's list is read at every poll. Runs end
out of order: the cursor keeps how far down unfinished ones reach.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from bot.core.errors import NotFound
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.partial import first_error, in_turn, raise_error, read_some
from bot.providers.xcode_cloud.client import PAGE_SIZE, SHORT_PAGE, Client

SPARE_RUNS = 10
"""How many more runs than those known to be new or unfinished a poll asks for."""


class Reached(msgspec.Struct, frozen=True):
    """How far a product's runs were read: its newest number, and the oldest one that is to be read again."""

    newest: int
    floor: int


class Cursor(PollCursor, frozen=True):
    """How far each product was read, by its id."""

    products: Mapping[str, Reached] = msgspec.field(default_factory=dict)


@dataclass(slots=True)
class _ProductPoll:
    """What one poll of a product's runs shows: its newest number, the oldest that is not over, and the watched builds."""

    newest: int | None = None
    oldest_open: int | None = None
    builds: dict[str, Build] = field(default_factory=dict)

    def add(self, builds: list[Build], watched: Watched, unfinished: frozenset[str]) -> int | None:
        """Add a page's builds and return its lowest number."""
        lowest: int | None = None
        for build in builds:
            if build.number is not None:
                self.newest = max(self.newest or 0, build.number)
                lowest = build.number
            if build.pipeline not in watched.pipelines and build.id not in unfinished:
                continue
            self.builds[build.id] = build
            if not build.completed and build.number is not None:
                self.oldest_open = build.number
        return lowest

    def reached(self) -> Reached | None:
        """Return where the next poll goes on; a build that hangs for ages does not widen it beyond one page."""
        if self.newest is None:
            return None
        floor = min(self.oldest_open or self.newest, self.newest)
        return Reached(newest=self.newest, floor=max(floor, self.newest - PAGE_SIZE + 1))


async def changes(
    client: Client,
    cursor: str | None,
    watched: Watched,
    build_or_none: Callable[[BuildKey], Awaitable[Build | None]],
) -> Changes:
    """Return the newest builds of the watched workflows and all unfinished ones; see `XcodeCloud.changes`."""
    cursor_before = Cursor.decode(cursor) or Cursor()
    previous = cursor_before.products
    unfinished = frozenset(key.id for key in watched.unfinished)
    products = await _products_of(client, watched.pipelines)

    async def read(product: str) -> _ProductPoll | None:
        try:
            return await _poll_product(client, product, previous.get(product), watched, unfinished)
        except NotFound:
            return None

    polls = await read_some(in_turn(products, cursor_before.behind), read)
    if not polls.answers:
        raise_error(polls.error)
    reached = dict(previous)
    builds: dict[str, Build] = {}
    for product, poll in polls.answers:
        if poll is None:
            reached.pop(product, None)
            continue
        builds |= poll.builds
        if (now := poll.reached()) is not None:
            reached[product] = now
    missing = [key for key in sorted(watched.unfinished) if key.id not in builds]
    singly = await read_some(missing, build_or_none)
    builds |= {build.id: build for build in singly.results if build is not None}
    following = Cursor(products=reached, behind=tuple(sorted(polls.left)))
    held = first_error(polls.error, singly.error)
    return Changes(builds=tuple(builds.values()), cursor=following.encode(), held=held)


async def _products_of(client: Client, pipelines: frozenset[str]) -> set[str]:
    products: set[str] = set()
    for pipeline in sorted(pipelines):
        try:
            products.add((await client.workflow(pipeline)).product.id)
        except NotFound:
            continue
    return products


async def _poll_product(
    client: Client, product: str, last: Reached | None, watched: Watched, unfinished: frozenset[str]
) -> _ProductPoll:
    """Read a product's runs; where a short page does not reach down to the last poll, again in full pages."""
    poll = _ProductPoll()
    wanted = SHORT_PAGE if last is None else last.newest - last.floor + 1 + SPARE_RUNS
    limit = min(max(wanted, SHORT_PAGE), PAGE_SIZE)
    for size in sorted({limit, PAGE_SIZE}):
        async for page in client.product_runs(product, size):
            lowest = poll.add(await client.builds_of_page(page), watched, unfinished)
            if last is None or lowest is None or lowest <= last.floor or page.is_last:
                return poll
            if size < PAGE_SIZE:
                break
    return poll
