"""The point before which a command has surely changed nothing outside, and after which it may have."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_begin: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("begin_act", default=None)


async def begin_act() -> None:
    """Have it written that an act begins, before the first request that changes something; nothing where nobody minds.

    Raises what the one who minds raises; then nothing may be sent.
    """
    begin = _begin.get()
    if begin is not None:
        await begin()


@contextmanager
def before_acts(begin: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Have `begin` awaited before each act in the block, and in the tasks that are started there."""
    token = _begin.set(begin)
    try:
        yield
    finally:
        _begin.reset(token)
