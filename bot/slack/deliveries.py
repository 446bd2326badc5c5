"""Identify what Slack delivers: a key that is equal when it comes again, and where to answer its sender."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bot.store.inbox import InboxKind

Body = Mapping[str, Any]

ID = re.compile(r"[A-Z][A-Z0-9]{0,39}")
NAMED_FIELDS = ("id", "thread_ts", "ts", "user", "bot_id")


@dataclass(frozen=True, slots=True)
class Ack:
    """What goes back to Slack as the ack. `body` is JSON or text, as `content_type` says."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain;charset=utf-8"


class Take(Protocol):
    """Where the HTTP route and Socket Mode hand a verified payload: `bot.slack.inbox.Inbox.take`."""

    def __call__(self, body: Body, headers: Mapping[str, str], *, fallback: str) -> Awaitable[Ack]:
        """Return the ack of a payload; `fallback` identifies one that has no id of its own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What kind of delivery it is, and the key that it has however often and to whichever process it is delivered."""

    kind: InboxKind
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who sent a delivery and where, with the words that stand for it in a message to them."""

    team: str
    channel: str
    user: str
    thread: str
    response_url: str
    words: str


def identify(body: Body, *, fallback: str, handles: Callable[[str], bool]) -> Identity | None:
    """Return a delivery's identity, None for one that is answered at once and leaves nothing to do.

    `handles` returns which events have a listener. `fallback` identifies what has no id of Slack's: the signature of
    a request, the envelope of Socket Mode.
    """
    kind = _kind(body, handles)
    if kind is None:
        return None
    parts = _parts(kind, body)
    return Identity(kind=kind, key=f"{kind.value}:{_digest(parts if any(parts) else [fallback, _canonical(body)])}")


def sender_of(kind: InboxKind, body: Body) -> Origin:
    """Return who sent a delivery, from the parts of its body that its kind has."""
    event = _object(body, "event")
    container, message, view = _object(body, "container"), _object(body, "message"), _object(body, "view")
    channel = (
        body.get("channel_id")
        or _object(body, "channel").get("id")
        or container.get("channel_id")
        or event.get("channel")
        or _object(event, "item").get("channel")
        or body.get("channel")
    )
    return Origin(
        team=_text(
            view.get("app_installed_team_id")
            or body.get("team_id")
            or _object(body, "team").get("id")
            or _object(body, "user").get("team_id")
            or body.get("team")
        ),
        channel=_text(channel.get("id") if isinstance(channel, dict) else channel),
        user=_text(body.get("user_id") or _object(body, "user").get("id") or event.get("user") or body.get("user")),
        thread=_text(message.get("thread_ts") or container.get("thread_ts") or event.get("thread_ts")),
        response_url=_text(body.get("response_url")),
        words=_words(kind, body),
    )


def is_attributed(body: Body) -> bool:
    """Return whether a delivery names its workspace and, where people send its kind, its person. Nothing else is acted on."""
    view, user = _object(body, "view"), _object(body, "user")
    match body.get("type"):
        case "event_callback":
            return _is_id(body.get("team_id"))
        case "block_actions" | "block_suggestion" | "view_submission" | "view_closed" | "shortcut" | "message_action":
            teams = (view.get("app_installed_team_id"), _object(body, "team").get("id"), user.get("team_id"))
            return _is_id(user.get("id")) and any(_is_id(team) for team in teams)
        case None if "command" in body:
            return _is_id(body.get("team_id")) and _is_id(body.get("user_id"))
        case _:
            return True


def is_addressed_to_us(kind: InboxKind, body: Body) -> bool:
    """Return whether a person waits for an answer: not for what merely happened in a channel."""
    return kind is not InboxKind.EVENT or _object(body, "event").get("type") in {"app_mention", "message"}


def needed(kind: InboxKind, body: Body) -> Body:
    """Return a body without what nobody needs to act on it: of a click's message, its blocks and words."""
    if kind is not InboxKind.CLICK:
        return body
    fields = {name: value for name, value in body.items() if name not in {"state", "token"} or "view" in body}
    message = _object(body, "message")
    if message:
        fields["message"] = {name: message[name] for name in NAMED_FIELDS if name in message}
    return fields


def _kind(body: Body, handles: Callable[[str], bool]) -> InboxKind | None:
    match body.get("type"):
        case "block_actions":
            return InboxKind.CLICK
        case "view_submission":
            return InboxKind.FORM
        case "shortcut" | "message_action":
            return InboxKind.SHORTCUT
        case "event_callback":
            return InboxKind.EVENT if handles(_text(_object(body, "event").get("type"))) else None
        case None if "command" in body:
            return InboxKind.COMMAND
        case _:
            return None


def _parts(kind: InboxKind, body: Body) -> list[str]:
    """Return the ids that make up a key; none where Slack sent none."""
    trigger = _text(body.get("trigger_id"))
    match kind:
        case InboxKind.EVENT:
            return [_text(body.get("event_id"))]
        case InboxKind.FORM:
            # A person who saw the form fail presses again: with the same content that is the same delivery.
            view = _object(body, "view")
            ids = [_text(view.get("id")), _text(view.get("hash"))]
            return [*ids, _canonical(view.get("state")), _text(view.get("private_metadata"))] if any(ids) else [trigger]
        case InboxKind.CLICK:
            actions = body.get("actions")
            action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
            sender = sender_of(kind, body)
            at = _text(action.get("action_ts"))
            place = [_text(_object(body, "container").get("message_ts")), _text(_object(body, "view").get("id"))]
            which = [_text(action.get("action_id")), _text(action.get("value"))]
            return [sender.team, sender.user, at, trigger, *place, *which] if at or trigger else []
        case InboxKind.SHORTCUT:
            at = trigger or _text(body.get("action_ts"))
            return [_text(body.get("callback_id")), at] if at else []
        case _:
            return [_text(body.get("team_id")), _text(body.get("user_id")), trigger] if trigger else []


def _words(kind: InboxKind, body: Body) -> str:
    """Return how a person recognises what they sent."""
    match kind:
        case InboxKind.COMMAND:
            return f"{_text(body.get('command'))} {_text(body.get('text'))}".strip()
        case InboxKind.CLICK:
            actions = body.get("actions")
            action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
            option = _object(action, "selected_option")
            return _text(action.get("value") or option.get("value") or _object(action, "text").get("text"))
        case InboxKind.EVENT:
            event = _object(body, "event")
            return _text(event.get("text") or event.get("reaction"))
        case InboxKind.FORM:
            return _text(_object(_object(body, "view"), "title").get("text"))
        case InboxKind.SHORTCUT:
            return _text(body.get("callback_id"))
        case _:
            return _text(body.get("command"))


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_id(value: object) -> bool:
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(parts: list[str]) -> str:
    whole = "\n".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
