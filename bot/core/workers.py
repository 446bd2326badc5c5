"""CPU-heavy work beside the event loop, with a ceiling on how much of it runs at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

S = TypeVar("S", bound=str | bytes)
T = TypeVar("T")

WORKERS: Final = 2
SMALL: Final = 16_384
"""What is shorter is done at once: handing it over would cost more than doing it."""

_pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="text")


async def in_worker(work: Callable[[S], T], subject: S, *, grows: bool = False) -> T:
    """Return `work(subject)`, done in one of two threads where the subject is large, or `grows` while it is unpacked.

    The function must be pure, and take a long text in pieces: between two pieces the event loop gets its turn. What
    goes in is cut to the sizes of `bot.core.text` by the caller, so that a thread comes to its end.
    """
    if len(subject) <= SMALL and not grows:
        return work(subject)
    return await asyncio.get_running_loop().run_in_executor(_pool, work, subject)
