"""What checks of webhook signatures share."""

import hmac
from datetime import datetime

HOOK_WINDOW_SECONDS = 300


def same_secret(given: str, wanted: str) -> bool:
    """Return whether two secrets are equal, compared in constant time on bytes."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def within_window(timestamp: str | float | None, now: datetime, window: float = HOOK_WINDOW_SECONDS) -> bool:
    """Return whether a webhook's time in seconds since the epoch lies within the window around now."""
    try:
        return abs(now.timestamp() - float(timestamp or "nan")) <= window
    except (ValueError, OverflowError):
        return False
