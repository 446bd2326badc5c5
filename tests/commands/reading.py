"""What tests read of an answer, and the cards that they put into a channel."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bot.core.models import Build
from bot.store import Store
from bot.store.rows import LinkRow, NewCard, NewNotification
from bot.store.states import NotificationEvent
from commands.core.executor import Handled
from tests.commands.fakes import CHANNEL, NOW, TEAM

Say = Callable[..., Awaitable[Handled]]
Linked = Callable[..., Awaitable[LinkRow]]
Recorded = Callable[..., Awaitable[None]]


def said(handled: Handled) -> str:
    """Return everything a person could read of an answer."""
    assert handled.answer.message is not None, handled
    return str(handled.answer.message.payload())


def first(handled: Handled) -> str:
    """Return an answer's text alone."""
    assert handled.answer.message is not None, handled
    return handled.answer.message.text


def buttons(handled: Handled) -> dict[str, str]:
    """Return the commands of an answer's buttons and lists by their labels."""
    assert handled.answer.message is not None, handled
    return dict(_values(handled.answer.message.payload()))


def _values(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        if "value" in part and isinstance(part.get("text"), dict):
            yield part["text"]["text"], part["value"]
        for inner in part.values():
            yield from _values(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _values(inner)


async def post_card(store: Store, build: Build, *, ts: str, channel: str = CHANNEL, live: bool = False) -> None:
    """Let a message of a channel be the card of a build."""
    about: dict[str, Any] = {
        "connection": build.connection,
        "pipeline": build.pipeline,
        "build": build.id,
        "attempt_no": 1,
    }
    place: dict[str, Any] = {"team": TEAM, "channel": channel}
    event, reason = NotificationEvent.FINISHED, "a test wants it"
    row = NewNotification(**place, **about, link=0, event=event, reason=reason, due_at=NOW, created_at=NOW)
    await store.notifications.add([row])
    claimed = (await store.notifications.claim("w", now=NOW, lease_seconds=60, limit=1))[0]
    card = NewCard(**place, **about, ts=ts, notification=claimed.id or 0, live=live)
    await store.notifications.set_sent(claimed, ts=ts, now=NOW, card=card)
