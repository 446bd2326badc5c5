"""Requests that must not be sent twice."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.core.clock import Sleep
from bot.core.errors import ProviderError, Unavailable

T = TypeVar("T")

CONFIRM_AFTER_SECONDS = (0.5, 1.5, 3.0)


async def send_once(
    send: Callable[[], Awaitable[T]], confirm: Callable[[], Awaitable[T | None]], *, label: str, sleep: Sleep
) -> T:
    """Send once; where no usable answer came, look for the effect with `confirm` before reporting a failure.

    `confirm` returns the effect, or None while it cannot be seen; it is asked three times within five seconds. Raises
    Unavailable, saying that the request may have acted, where the effect stays unknown.
    """
    try:
        return await send()
    except Unavailable as exc:
        if not exc.acted:
            raise
        for pause in CONFIRM_AFTER_SECONDS:
            await sleep(pause)
            try:
                effect = await confirm()
            except ProviderError:
                continue
            if effect is not None:
                return effect
        raise Unavailable(
            f"{label} did not answer, and I can't see whether it acted. I did not try again.",
            provider=label,
            status=exc.status,
            hint="Look at its page before you repeat this.",
        ) from exc
