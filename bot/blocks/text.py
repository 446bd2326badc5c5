"""Text for Slack: escaping, links, durations, times, and the mark of each state.

Outside text (names, commits, branches, tests, logs) reaches mrkdwn through `safe`, `code`, `bold` or `link` alone:
Slack would obey a `<!channel>` in a commit message, and set `*all*` in bold. `Markup` is text that went through one of
them. Slack has no escape for its marks: `*`, `_` and `~` get a soft hyphen (invisible, no word boundary) on both sides
where they could begin or end a style, so a name inside a word (`snake_case`, `2*3`) can be copied as it is. A `>` at the
beginning gets one before it. A backtick, which neither a soft hyphen nor anything else defuses within a code span,
becomes a look-alike everywhere.
https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import assert_never
from urllib.parse import quote, unquote

from bot.core.models import Build, Conclusion, Status
from bot.core.text import clean_message
from bot.security.redaction import redact

REMEMBERED_CHARACTERS = 3000
URL_CHARACTERS = 3000
"""Slack's limit for the address of a button."""

GRAVE = "\N{MODIFIER LETTER GRAVE ACCENT}"
STAR = "\N{ASTERISK OPERATOR}"
MINUS = "\N{MINUS SIGN}"
SOFT_HYPHEN = "\N{SOFT HYPHEN}"
DOT = "  ·  "
STEP = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "

# Control characters, halves of characters, and the invisible ones that hide text or turn its direction round.
_UNSEEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_INVISIBLE = re.compile(f"[{_UNSEEN}]")
_UNSAFE_IN_URL = re.compile(rf"[\s<>|\"`\\^{{}}{_UNSEEN}]")
_USER = re.compile(r"[UW][A-Z0-9]{1,20}")
_HARMLESS = re.compile(r"(<@[UW][A-Z0-9]{1,20}>|<!date\^\d+\^[^<>|^]*\|[^<>|]*>|&(?:amp|lt|gt);)")
_GROUP = re.compile(r"S[A-Z0-9]{1,20}")
_MARKS = re.compile(r"[*_~]++")
_QUOTE = re.compile(r"^([ \t]*+)(?=&gt;|>)", re.MULTILINE)
_CODE = re.compile(r"(`[^`\n]++`)")


class Markup(str):
    """Mrkdwn whose outside parts are escaped already. Joining it to other text gives a plain `str` again."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return outside text that Slack shows as it stands: it can neither ping, link, nor style. Its lines stay."""
    shown = _QUOTE.sub(rf"\1{SOFT_HYPHEN}", _unstyled(visible(text).replace("`", GRAVE)))
    return Markup(_entities(shown))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unstyled(text: str) -> str:
    """Return text whose `*`, `_` and `~` begin and end no style; doing it twice is doing it once."""
    return _MARKS.sub(_held_apart, text)


def _held_apart(marks: re.Match[str]) -> str:
    before, after = marks.string[marks.start() - 1 : marks.start()], marks.string[marks.end() : marks.end() + 1]
    is_inside = before.isalnum() and after.isalnum()
    is_alone = (not before or before.isspace()) and (not after or after.isspace())
    is_done = before == SOFT_HYPHEN == after
    if is_inside or is_alone or is_done:
        return marks[0]
    return f"{SOFT_HYPHEN}{SOFT_HYPHEN.join(marks[0])}{SOFT_HYPHEN}"


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters of raw text, the last an ellipsis where something is left out."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of mrkdwn, never ended inside an entity or a `<…>` form."""
    if len(text) <= limit:
        return text
    end = limit - 1
    opened = text.rfind("<", 0, end)
    if opened > text.rfind(">", 0, end):
        end = opened
    entity = text.rfind("&", max(end - 4, 0), end)
    if entity != -1 and ";" not in text[entity:end]:
        end = entity
    return text[:end].rstrip() + "…"


def visible(text: str) -> str:
    """Return raw text without secrets, terminal control and the characters nobody sees, at most a message long; its lines stay."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARACTERS else _cleaned(text)


def _cleaned(text: str) -> str:
    return redact(_INVISIBLE.sub("", clean_message(text)))


_remembered = lru_cache(maxsize=1024)(_cleaned)
"""Names, branches and subjects are drawn again and again."""


def one_line(text: str, limit: int = 200) -> str:
    """Return raw text on one line, without characters nobody sees, at most `limit` long."""
    return clip(" ".join(visible(text[: 8 * limit + 1000]).split()), limit)


def safe(text: str, limit: int = 200) -> Markup:
    """Return outside text as one line of mrkdwn, as `escape` does."""
    return escape(one_line(text, limit))


def markup(text: str, limit: int = 400) -> Markup:
    """Return a sentence of ours on one line: `Markup` as it is, else escaped but for what is harmless.

    Kept are entities and the forms that name one person or a time, for a sentence that came back from the store as
    a plain `str`. A channel's ping or a forged link does not survive.
    """
    if isinstance(text, Markup):
        return text
    return Markup(cut(harmless(" ".join(visible(text).split()), styles=False), limit))


def harmless(text: str, *, styles: bool = True) -> Markup:
    """Return a sentence of ours escaped but for entities and the forms that name one person or a time.

    Its lines and its code spans stay, and its `*`, `_` and `~` where `styles` are ours (not in the words of a vendor);
    a backtick that opens no span on its line becomes a look-alike.
    """
    spans = _CODE.split(text)
    defused = "".join(
        _sentence(span, styles=True) if index % 2 else _sentence(span.replace("`", GRAVE), styles=styles)
        for index, span in enumerate(spans)
    )
    return Markup(_QUOTE.sub(rf"\1{SOFT_HYPHEN}", defused))


def _sentence(text: str, *, styles: bool) -> str:
    return "".join(_kept(part, styles=styles) for part in _HARMLESS.split(text))


def _kept(part: str, *, styles: bool) -> str:
    if _HARMLESS.fullmatch(part):
        return part
    shown = visible(part)
    return _entities(shown if styles else _unstyled(shown))


def code(text: str, limit: int = 200) -> Markup:
    """Return a text in a code span, on one line. A backtick cannot be escaped there, so it becomes a look-alike."""
    return Markup(f"`{_entities(one_line(text, limit).replace('`', GRAVE)) or '—'}`")


def bold(text: str, limit: int = 200) -> Markup:
    """Return a text in bold, on one line."""
    return Markup(f"*{safe(text.replace('*', STAR), limit) or '—'}*")


def clean_url(url: str | None) -> str | None:
    """Return a web address fit for a button, without a user part.

    None where it is no http(s) address, longer than Slack takes, or carries a secret: a branch may be called like a token.
    """
    if url is None or len(url) > URL_CHARACTERS or not url.lower().startswith(("http://", "https://")):
        return None
    bare = _USER_PART.sub(r"\1", url)
    cleaned = _UNSAFE_IN_URL.sub(lambda unsafe: quote(unsafe[0], safe="", errors="replace"), bare)
    spelled = unquote(cleaned)
    return cleaned if len(cleaned) <= URL_CHARACTERS and not _has_secret(spelled) else None


@lru_cache(maxsize=1024)
def _has_secret(address: str) -> bool:
    return redact(address) != address


_USER_PART = re.compile(r"\A(https?://)[^/?#]*@", re.IGNORECASE)


def link(url: str | None, label: str, limit: int = 200) -> Markup:
    """Return a link, or the label alone where the address is missing or is not http(s)."""
    words = safe(label, limit) or escape("—")
    target = clean_url(url)
    if target is None:
        return words
    return Markup(f"<{target.replace('&', '&amp;')}|{words.replace('|', '¦')}>")


def mention(user: str) -> Markup:
    """Return what makes Slack notify a person (`U…`, `W…`) or a user group (`S…`); anything else is only named."""
    if _USER.fullmatch(user):
        return Markup(f"<@{user}>")
    if _GROUP.fullmatch(user):
        return Markup(f"<!subteam^{user}>")
    return safe(user, 80)


def duration(seconds: float) -> str:
    """Return a duration as people read it: `40 s`, `12 m 03 s`, `2 h 10 m`, `3 d 4 h`."""
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(minutes, 60)
    days, over = divmod(hours, 24)
    if days:
        return f"{days} d {over} h"
    if hours:
        return f"{hours} h {left:02} m"
    return f"{minutes} m {rest:02} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """Return a duration to the minute (`9 m`), where seconds would pretend to be exact."""
    return f"{round(seconds / 60)} m" if 60 <= seconds < 3570 else duration(seconds)


def age(at: datetime, now: datetime) -> str:
    """Return how long ago a time is, as roughly as people say it: `40 s`, `9 m`, `2 h`, `2 h 10 m`."""
    return roughly(since(at, now)).removesuffix(" 00 m")


def when(at: datetime) -> Markup:
    """Return a time that each reader sees in their own time zone."""
    spelled = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Markup(f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{spelled}>")


def since(at: datetime, now: datetime) -> float:
    """Return the seconds from a time to now, never below zero."""
    return max((now - at) / timedelta(seconds=1), 0.0)


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 build`, `2 builds`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`, `11th` …"""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def signed(delta: int) -> str:
    """Return a change with its sign, spelled so that screen readers say minus."""
    return f"{MINUS}{-delta}" if delta < 0 else f"+{delta}"


GREY, BLUE, AMBER, GREEN, RED = "#8D8D8D", "#1D6FE0", "#B37400", "#1B7F4B", "#C4314B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a state is shown: never by colour alone."""

    word: str
    shape: str
    emoji: str
    colour: str


_QUEUED = Mark(word="Queued", shape="◌", emoji=":hourglass_flowing_sand:", colour=GREY)
_RUNNING = Mark(word="Running", shape="▶", emoji=":arrow_forward:", colour=BLUE)
_WAITING = Mark(word="Waiting for approval", shape="⏸", emoji=":raised_hand:", colour=AMBER)
_ENDED = Mark(word="Ended", shape="•", emoji=":grey_question:", colour=GREY)
_CONCLUSIONS = {
    Conclusion.PASSED: Mark(word="Passed", shape="✓", emoji=":white_check_mark:", colour=GREEN),
    Conclusion.PARTIAL: Mark(word="Partly passed", shape="◐", emoji=":warning:", colour=AMBER),
    Conclusion.FAILED: Mark(word="Failed", shape="✕", emoji=":x:", colour=RED),
    Conclusion.TIMEOUT: Mark(word="Timed out", shape="⏱", emoji=":alarm_clock:", colour=RED),
    Conclusion.CANCELLED: Mark(word="Cancelled", shape="⊘", emoji=":no_entry_sign:", colour=GREY),
    Conclusion.SKIPPED: Mark(word="Skipped", shape="»", emoji=":fast_forward:", colour=GREY),
    Conclusion.RETRIED: Mark(word="Retried", shape="↻", emoji=":arrows_counterclockwise:", colour=GREY),
}


def mark_of(status: Status, conclusion: Conclusion | None = None, *, waiting: bool = False) -> Mark:
    """Return how a state is shown. A build that waits for approval is never shown as passed or running."""
    if waiting and conclusion is None:
        return _WAITING
    match status:
        case Status.QUEUED:
            return _QUEUED
        case Status.IN_PROGRESS:
            return _RUNNING
        case Status.COMPLETED:
            return _CONCLUSIONS[conclusion] if conclusion else _ENDED
        case _:  # pragma: no cover - the states above are all there are
            assert_never(status)


def mark(build: Build, *, new_warnings: int = 0) -> Mark:
    """Return how a build is shown; a green one that brought warnings says so."""
    if build.conclusion is Conclusion.PASSED and new_warnings > 0:
        word = f"Passed, +{plural(new_warnings, 'warning')}"
        return Mark(word=word, shape="⚠", emoji=":warning:", colour=AMBER)
    return mark_of(build.status, build.conclusion, waiting=build.waiting)
