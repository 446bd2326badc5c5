"""Read many things in one poll until its budget or its time ends: what was read is kept, the rest is for the next poll."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bot.core.errors import ProviderError, RateLimited, Unavailable, UnexpectedResponse
from bot.http.budget import spending_since

log = logging.getLogger(__name__)

READ_SECONDS: Final = 55.0
"""After this long a poll begins no further read: what it has is recorded before its own time ends."""
MOST_FAULTS: Final = 3
"""After so many answers that did not come, the system is taken for away."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRead(Generic[T, R]):
    """What was read, in the order of the items, what was not, and the error that ended the reading (None: its time did).

    `odd` are items whose answers do not read: they hold back nothing else of their group.
    """

    answers: tuple[tuple[T, R], ...] = ()
    left: tuple[T, ...] = ()
    odd: tuple[T, ...] = ()
    error: ProviderError | None = None

    @property
    def results(self) -> list[R]:
        """Return the answers without their items."""
        return [answer for _, answer in self.answers]


async def read_some(
    items: Iterable[T],
    read: Callable[[T], Awaitable[R]],
    *,
    group: Callable[[T], Hashable] | None = None,
    at_once: int = 1,
) -> PartialRead[T, R]:
    """Read items in order until the budget ends, the system asks for quiet or is away, or the poll has taken long enough.

    Nothing of a group is answered after one that is left: builds of one pipeline are recorded in the order in which
    they are given. An item whose answer does not read spoils only itself, unless none reads. Raises what says more than that an answer did not come, once all that were begun have ended.
    """
    queue = deque(enumerate(items))
    everything = [item for _, item in queue]
    answers: dict[int, R] = {}
    errors: list[ProviderError] = []
    faults: list[BaseException] = []
    odd: dict[int, UnexpectedResponse] = {}
    until = spending_since(time.monotonic()) + READ_SECONDS

    def goes_on() -> bool:
        is_away = len(errors) >= MOST_FAULTS or any(isinstance(exc, RateLimited) for exc in errors)
        return bool(queue) and not is_away and not faults and (not answers or time.monotonic() < until)

    async def work() -> None:
        while goes_on():
            place, item = queue.popleft()
            try:
                answers[place] = await read(item)
            except (RateLimited, Unavailable) as exc:
                errors.append(exc)
            except UnexpectedResponse as exc:
                odd[place] = exc
                log.warning("an item of a poll does not read", extra={"error": str(exc)})
            except Exception as exc:  # noqa: BLE001 - raised below, when nothing goes on unseen
                faults.append(exc)

    if at_once == 1:
        await work()
    else:
        await asyncio.gather(*(work() for _ in range(min(at_once, len(everything)))))
    if odd and not answers:
        faults += odd.values()
    if faults:
        raise faults[0]
    behind: set[Hashable] = set()
    kept: list[tuple[T, R]] = []
    left: list[T] = []
    for place, item in enumerate(everything):
        if place in odd:
            continue
        name = group(item) if group is not None else place
        if place in answers and name not in behind:
            kept.append((item, answers[place]))
        else:
            behind.add(name)
            left.append(item)
    limited = next((exc for exc in errors if isinstance(exc, RateLimited)), None)
    return PartialRead(
        answers=tuple(kept),
        left=tuple(left),
        odd=tuple(everything[place] for place in sorted(odd)),
        error=limited or next(iter(errors), None),
    )


def in_turn(names: Iterable[str], behind: Collection[str]) -> list[str]:
    """Return names in the order in which a poll reads them: first those for which the last one had no budget left."""
    return sorted(names, key=lambda name: (name not in behind, name))


def first_error(*errors: ProviderError | None) -> ProviderError | None:
    """Return why the first of some reads ended early, None where none did."""
    return next((error for error in errors if error is not None), None)


def raise_error(*errors: ProviderError | None) -> None:
    """Raise why nothing could be read, where there is a reason."""
    if (error := first_error(*errors)) is not None:
        raise error
