"""What a workspace can see and a channel follows, one thing a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.blocks.message import Message, actions, button, section, sections
from bot.blocks.text import (
    DOT,
    Markup,
    bold,
    code,
    link,
    markup,
    safe,
)
from bot.core.models import (
    Ref,
    spoken,
)
from bot.security.redaction import redact

MOST = 50


def listing(
    title: str,
    lines: Sequence[str],
    *,
    none: str,
    total: int | None = None,
    more_command: str | None = None,
    small: Sequence[str] = (),
) -> Message:
    """Return a titled list of at most 50 lines that says how many are left out."""
    count = len(lines) if total is None else total
    first_lines = list(lines[:MOST])
    if count > len(first_lines):
        first_lines.append(f"… {count - len(first_lines)} more")
    more = (actions(button("More", more_command)),) if more_command and count > MOST else ()
    return Message(
        text=f"{title}: {count:,}" if count else f"{title}: {none}",
        blocks=(section(f"*{title}*"), *sections(first_lines or [none]), *sections(small), *more),
    )


def pipelines_message(
    rows: Sequence[tuple[str, str, str, bool, str | None]],
    *,
    pattern: str | None = None,
    troubles: Mapping[str, str] | None = None,
    total: int | None = None,
    more_command: str | None = None,
) -> Message:
    """Return pipelines as (connection, path, name, enabled, web_url), each with the words that name it.

    `troubles` says by connection why its list may be old or missing.
    """
    lines = [
        DOT.join(
            part
            for part in (
                f"• {link(url, name, 120)}",
                code(spoken(connection, path), 200),
                "" if enabled else "disabled",
            )
            if part
        )
        for connection, path, name, enabled, url in rows
    ]
    fitting = f" like {safe(pattern, 60)}" if pattern else ""
    behind = [f"⚠ {bold(name, 80)}: {safe(redact(why), 200)}" for name, why in (troubles or {}).items()]
    return listing(
        f"Pipelines{fitting}", lines, none="none found", total=total, more_command=more_command, small=behind
    )


def links_message(rows: Sequence[tuple[str, str, str, str, bool, str]], *, channel_name: str) -> Message:
    """Return what a channel follows, as (connection, pipeline, name, what it is notified of, default, why it is quiet)."""
    lines = [
        DOT.join(
            part
            for part in (
                f"• {bold(name, 120)}",
                code(spoken(connection, pipeline), 200),
                f"notified of {safe(events, 200)}",
                "default" if default else "",
                safe(quiet, 150) if quiet else "",
            )
            if part
        )
        for connection, pipeline, name, events, default, quiet in rows
    ]
    where = safe(f"#{channel_name}", 80) if channel_name else "this channel"
    return listing(f"Linked to {where}", lines, none="nothing yet; paste a page's URL after `link`")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLine:
    """A connection in a list: its name, its system, what went wrong last, when its credentials end, what they lack."""

    name: str
    label: str
    error: str = ""
    ends: Markup | str = ""
    lacks: tuple[Markup, ...] = ()


def connections_message(rows: Sequence[ConnectionLine]) -> Message:
    """Return the connections a workspace may see, what the credentials of one lack below it."""
    lines: list[str] = []
    for row in rows:
        parts = (
            f"{'✕' if row.error else '⚠' if row.lacks else '✓'} {bold(row.name, 80)}",
            safe(row.label, 60),
            markup(row.ends),
            safe(redact(row.error), 200) if row.error else "",
        )
        lines.append("\n      ".join([DOT.join(part for part in parts if part), *row.lacks]))
    return listing("Connections", lines, none="none; an admin adds one with `connect`")


def branches_message(
    refs: Sequence[Ref], *, label: str, default: str | None = None, more_command: str | None = None
) -> Message:
    """Return the refs of a pipeline as they are typed after `@`, in the order given; the default branch says so."""
    lines = [
        DOT.join(
            part
            for part in (
                f"• {code(str(ref), 150)}",
                safe(ref.title, 100) if ref.title else "",
                "default" if ref.name == default else "",
            )
            if part
        )
        for ref in refs
    ]
    return listing(f"Branches of {safe(label, 120)}", lines, none="none found", more_command=more_command)
