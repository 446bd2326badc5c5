"""The point before which a command has surely changed nothing outside, and after which it may have."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_presumed: ContextVar[bool] = ContextVar("is_presumed", default=False)
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


def presume_effect() -> None:
    """Note that the effect of the present act was found by looking, as its request had no answer."""
    _is_presumed.set(True)


def is_presumed() -> bool:
    """Return whether what the present command has caused was found by looking: it may be another's."""
    return _is_presumed.get()
