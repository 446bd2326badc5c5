"""Requests that must not be sent twice."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.core.acting import presume_effect
from bot.core.clock import Sleep
from bot.core.errors import ProviderError, Unavailable, UnexpectedResponse

T = TypeVar("T")

CONFIRM_AFTER_SECONDS = (0.5, 1.5, 3.0)
SETTLE_SECONDS = 1.0


def may_have_acted(error: ProviderError) -> bool:
    """Return whether a request that ended in this error may have taken effect.

    That is so where no answer came, and where the answer was a success that cannot be read: a web page, broken or
    empty JSON. A redirect is neither: its request went nowhere.
    """
    if isinstance(error, UnexpectedResponse):
        return error.status is None or error.status < 300
    return isinstance(error, Unavailable) and error.acted


async def send_once(
    send: Callable[[], Awaitable[T]], confirm: Callable[[], Awaitable[T | None]], *, label: str, sleep: Sleep
) -> T:
    """Send once; where no usable answer came, look for the effect with `confirm` before reporting a failure.

    `confirm` returns the effect, or None while it cannot be seen; it is asked three times within five seconds. What is
    found so is presumed only (`acting.is_presumed`): a build that looks the same may be another's. Raises
    Unavailable with `acted` set, saying that the request may have acted, where the effect stays unknown.
    """
    try:
        return await send()
    except (Unavailable, UnexpectedResponse) as exc:
        if not may_have_acted(exc):
            raise
        for pause in CONFIRM_AFTER_SECONDS:
            await sleep(pause)
            try:
                effect = await confirm()
            except ProviderError:
                continue
            if effect is not None:
                await sleep(SETTLE_SECONDS)  # whoever got an answer for it has written that down by then
                presume_effect()
                return effect
        what = "did not answer" if isinstance(exc, Unavailable) else "gave an answer that I can't read"
        raise Unavailable(
            f"{label} {what}, and I can't see whether it acted. I did not try again.",
            provider=label,
            status=exc.status,
            hint="Look at its page before you repeat this.",
            acted=True,
        ) from exc


async def read_back(read: Awaitable[T], *, label: str) -> T:
    """Return what a read after an accepted request gives.

    Its failure is not the request's: raises Unavailable with `acted` set, so that inside `send_once` the effect is
    looked for and nobody is notified that the request failed.
    """
    try:
        return await read
    except ProviderError as exc:
        raise Unavailable(
            f"{label} took the request, but I can't read how the build stands now.",
            provider=label,
            status=exc.status,
            hint="Look at its page before you repeat this.",
            acted=True,
        ) from exc
