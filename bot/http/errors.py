"""Refusals: which error a status means, and what the body says in words."""

import html
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from bot.core.text import ERROR_BODY_CHARACTERS, clean_terminal, read_json
from bot.http.quota import retry_after
from bot.http.reading import UNREADABLE
from bot.http.reply import Reply
from bot.security.redaction import redact

MapError = Callable[[Reply], ProviderError | None]


def no_explanation(_reply: Reply) -> ProviderError | None:
    """Say that the vendor has no ideas of its own about status codes."""
    return None


def error_of(reply: Reply, now: datetime, *, acts: bool) -> ProviderError:
    """Return the error that the status of a refusal means. `acts`: the request was one that changes something."""
    provider, status = reply.provider, reply.status
    wait = retry_after(reply.headers, now)
    if status == 429 or (status == 503 and wait is not None):
        return RateLimited(
            f"{provider} asks me to slow down.",
            provider=provider,
            status=status,
            retry_after=60.0 if wait is None else wait,
        )
    if status == 408 or status >= 500:
        return Unavailable(
            f"{provider} is having trouble (HTTP {status}).",
            provider=provider,
            status=status,
            acted=acts and status not in {501, 503},
        )
    if status < 400:
        return UnexpectedResponse(
            f"{provider} sent me elsewhere instead of answering.", provider=provider, status=status
        )
    sentence = message_of(reply)
    tail = f": {sentence}" if sentence else "."
    match status:
        case 401:
            return AuthFailed(
                f"{provider} refused the credentials{tail}",
                provider=provider,
                status=status,
                hint="An admin can replace them in App Home or in buildbell.toml.",
            )
        case 403:
            return AuthFailed(
                f"{provider} does not let this connection do that{tail}",
                provider=provider,
                status=status,
                hint="The token's role or scopes are too small.",
            )
        case 404 | 410:
            return NotFound(
                f"{provider} has no such thing, or this connection may not see it{tail}",
                provider=provider,
                status=status,
            )
        case _:
            return Rejected(f"{provider} refused{tail}", provider=provider, status=status)


def message_of(reply: Reply) -> str | None:
    """Return what a refusal says in words, from the shapes vendors use, with the fields that it complains about.

    Never a web page, never the credentials or a signed address, never more than 300 characters.
    """
    content = reply.content[:ERROR_BODY_CHARACTERS]
    try:
        body: Any = read_json(content, object)
    except UNREADABLE:
        text = content.decode("utf-8", "replace").strip()
        return None if reply.is_page or "<" in text[:200] else plain(text, reply.secrets) or None
    words = _words(body)
    if words is None or _PAGE.search(html.unescape(words)):
        return None
    return plain(words, reply.secrets) or None


_PAGE = re.compile(r"<\s{0,20}(?:!doctype|html|head|body|script|style)\b", re.IGNORECASE)
_TAG = re.compile(r"</?(?:a|b|br|code|div|em|h\d|i|li|p|pre|span|strong|td|tr|ul)\b[^<>]*+>", re.IGNORECASE)
_ADDRESS_QUERY = re.compile(r"(https?://)(?:[^\s/@?#\"'<>]*+@)?([^\s?#\"'<>]++)(?:[?#][^\s\"'<>]*+)?", re.IGNORECASE)
_MESSAGE_DEPTH = 6
_SAYINGS = (
    "error_description",
    "detail",
    "message",
    "error_message",
    "errorMessage",
    "faultstring",
    "description",
    "reason",
    "msg",
)
_INSIDE = ("errors", "error", "fault", "messages", "details")
_FIELDS = ("field", "attribute", "parameter", "property", "pointer", "param", "path", "loc")
_NO_FIELDS = frozenset({"base", "non_field_errors", "__all__"})
_MOST_SAYINGS = 5


def _words(body: Any, depth: int = _MESSAGE_DEPTH) -> str | None:
    """Return the words of a decoded refusal: its sentence, and after a colon what its list of errors adds."""
    if isinstance(body, str):
        return " ".join(body.split())[:2000] or None
    if depth == 0:
        return None
    if isinstance(body, list):
        return (
            "; ".join(dict.fromkeys(sentence for part in body[:_MOST_SAYINGS] if (sentence := _words(part, depth - 1))))
            or None
        )
    if not isinstance(body, dict):
        return None
    sentence = next(
        (sentence for name in _SAYINGS if (sentence := _words(body.get(name), depth - 1)) is not None), None
    )
    more = next((more for name in _INSIDE if (more := _words(body.get(name), depth - 1)) is not None), None)
    field = _field(body)
    if sentence is None and more is None:
        titled = _words(body.get("title"), depth - 1)
        return titled or _coded(body, field) or _by_field(body, depth)
    if sentence is not None and more == body.get("error"):
        more = None  # a code or the status's own phrase beside a sentence
    if sentence is None:
        return f"{field}: {more}" if field and more and field not in more else more
    if field and field.casefold() not in sentence.casefold():
        sentence = f"{field}: {sentence}"
    if more is None or more.casefold() in sentence.casefold():
        return sentence
    return more if sentence.rstrip(". ").casefold() in more.casefold() else f"{sentence.rstrip('.: ')}: {more}"


def _field(body: Mapping[str, Any]) -> str:
    """Return the name of the field that an error is about: `field`, JSON:API's `source.pointer`, a list of steps."""
    source = body.get("source")
    for holder in (body, source if isinstance(source, dict) else {}):
        for name in _FIELDS:
            value = holder.get(name)
            if isinstance(value, list):
                value = ".".join(str(part) for part in value if isinstance(part, str | int) and part != "body")
            if isinstance(value, str) and 0 < len(value) <= 200:
                return value.rpartition("/")[2] if value.startswith("/") else value
    return ""


def _coded(body: Mapping[str, Any], field: str) -> str | None:
    """Return an error that has a code and no sentence: `ref: missing_field`."""
    code = body.get("code") or body.get("type") or body.get("errorCode")
    if not isinstance(code, str) or not code:
        return None
    resource = body.get("resource")
    about = " ".join(part for part in (resource if isinstance(resource, str) else "", field) if part)
    said = code.replace("_", " ")
    return f"{about}: {said}" if about else said


def _by_field(body: Mapping[str, Any], depth: int) -> str | None:
    """Return errors listed under the names of the fields: `ref is invalid; variables are too many`."""
    is_inside = depth < _MESSAGE_DEPTH
    parts = [
        said if name in _NO_FIELDS else f"{name} {said}"
        for name, value in list(body.items())[:_MOST_SAYINGS]
        if (isinstance(value, list) or (is_inside and isinstance(value, str) and " " in value))
        and (said := _words(value, depth - 1))
    ]
    return "; ".join(parts) or None


def plain(text: str, secrets: Collection[str] = ()) -> str:
    """Return one line of at most 300 characters without tags, credentials and the queries of addresses."""
    text = text[:ERROR_BODY_CHARACTERS]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[…]")
    text = _TAG.sub(" ", html.unescape(text))
    text = redact(_ADDRESS_QUERY.sub(r"\1\2", clean_terminal(text[:4000])))
    line = " ".join(text.split()).rstrip(". ")
    return line if len(line) <= 300 else f"{line[:299]}…"
