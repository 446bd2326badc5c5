"""Signed requests as Slack sends them, each different from every other."""

import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

SECRET = "bench-signing-secret"
TEAM, CHANNEL, USER = "T0BENCH", "C0BENCH", "U0BENCH"


def signed(body: bytes, content_type: bytes = b"application/x-www-form-urlencoded") -> bytes:
    """Return the bytes of a signed POST to /slack/events."""
    at = str(int(time.time())).encode()
    digest = hmac.new(SECRET.encode(), b"v0:" + at + b":" + body, hashlib.sha256).hexdigest().encode()
    return (
        b"POST /slack/events HTTP/1.1\r\nhost: bench\r\ncontent-type: "
        + content_type
        + b"\r\ncontent-length: %d\r\nx-slack-request-timestamp: %b\r\nx-slack-signature: v0=%b\r\n\r\n"
        % (len(body), at, digest)
        + body
    )


def request(kind: str, text: str, number: int, respond: str) -> bytes:
    """Return one request of a kind: `command` and `click` carry a command text, `form` and `event` do nothing after.

    `webhook` is one of Buildkite, about a build of its own.
    """
    unique = f"{time.time_ns()}.{number}"
    if kind == "webhook":
        return _webhook(number)
    if kind == "command":
        return signed(urlencode(_command(text, unique, respond)).encode())
    if kind == "event":
        return signed(json.dumps(_event(unique)).encode(), b"application/json")
    payload = _click(text, unique, respond) if kind == "click" else _form(unique)
    return signed(urlencode({"payload": json.dumps(payload)}).encode())


def _webhook(number: int) -> bytes:
    pipeline = {"id": "p", "slug": "web", "url": "http://bench/v2/organizations/bench/pipelines/web"}
    build = {"id": f"b{number}", "number": number, "state": "passed", "branch": "main", "commit": "a" * 40}
    body = json.dumps({"event": "build.finished", "build": build, "pipeline": pipeline, "sender": {"id": "u"}}).encode()
    return (
        b"POST /hooks/bench HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"x-buildkite-event: build.finished\r\nx-buildkite-token: %b\r\n\r\n" % (len(body), SECRET.encode())
    ) + body


def _command(text: str, unique: str, respond: str) -> dict[str, str]:
    return {
        "token": "unused",
        "team_id": TEAM,
        "team_domain": "bench",
        "channel_id": CHANNEL,
        "channel_name": "bench",
        "user_id": USER,
        "user_name": "bench",
        "command": "/build",
        "text": text,
        "api_app_id": "A0BENCH",
        "is_enterprise_install": "false",
        "response_url": respond,
        "trigger_id": unique,
    }


def _person() -> dict[str, object]:
    return {"user": {"id": USER, "team_id": TEAM}, "team": {"id": TEAM, "domain": "bench"}, "api_app_id": "A0BENCH"}


def _click(text: str, unique: str, respond: str) -> dict[str, object]:
    action = {
        "type": "button",
        "action_id": "build.do.0",
        "block_id": "b0",
        "value": text,
        "action_ts": unique,
        "text": {"type": "plain_text", "text": "Go"},
    }
    return {
        "type": "block_actions",
        **_person(),
        "channel": {"id": CHANNEL, "name": "bench"},
        "container": {"type": "message", "message_ts": "1700000000.000100", "channel_id": CHANNEL},
        "message": {"ts": "1700000000.000100", "text": "A build", "blocks": []},
        "actions": [action],
        "trigger_id": unique,
        "response_url": respond,
    }


def _form(unique: str) -> dict[str, object]:
    """Return a form whose fields are wrong: it is answered in the ack with an error, and nothing follows."""
    values = {"pipeline": {"pipeline": {"type": "plain_text_input", "value": ""}}}
    view = {
        "id": f"V{unique}",
        "type": "modal",
        "callback_id": "link",
        "hash": unique,
        "private_metadata": json.dumps({"channel": CHANNEL}),
        "blocks": [],
        "state": {"values": values},
    }
    return {"type": "view_submission", **_person(), "view": view, "trigger_id": unique, "response_urls": []}


def _event(unique: str) -> dict[str, object]:
    """Return a message in a channel that is not addressed to the bot."""
    event = {
        "type": "message",
        "channel": CHANNEL,
        "channel_type": "channel",
        "user": USER,
        "text": "anybody there?",
        "ts": unique,
        "event_ts": unique,
    }
    return {
        "type": "event_callback",
        "team_id": TEAM,
        "api_app_id": "A0BENCH",
        "event_id": f"Ev{unique}",
        "event_time": int(time.time()),
        "authorizations": [{"team_id": TEAM, "user_id": "U0BOT", "is_bot": True}],
        "event": event,
    }
