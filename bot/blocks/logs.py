"""The end of a log, in a fixed font and without its secrets."""

from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called
from bot.blocks.message import Block, Message, actions, button, context, link_button, preformatted, section
from bot.blocks.text import (
    DOT,
    plural,
    safe,
    when,
)
from bot.core.models import Build, Log
from bot.security.redaction import redact

LOG_CHARACTERS = 2900
READ_CHARACTERS = 16_000


def log_message(log: Log, *, build: Build, label: str, job: str | None, errors_only: bool, now: datetime) -> Message:
    """Return the end of a log in a fixed font, its secrets masked. Too long a text loses its beginning, not its end."""
    name = job or log.job
    what = "Errors" if errors_only else "Log"
    of = f" of {safe(name, 80)}" if name else ""
    title = f"{what}{of}{DOT}{safe(called(build, label), 120)}"
    # A key that begins further up is recognized by its end; nothing longer reaches into what is shown.
    body = redact(log.text[-READ_CHARACTERS:]).strip("\n")
    shortened = max(len(body), len(log.text)) > LOG_CHARACTERS
    if shortened:
        body = body[-LOG_CHARACTERS:]
        body = body.partition("\n")[2] or body
    if not body.strip():
        empty = "No errors found in it." if errors_only else "It is empty."
        log_blocks: tuple[Block, ...] = (section(empty),)
    else:
        log_blocks = (preformatted(body, LOG_CHARACTERS),)
    small = ["the end of a longer log" if log.truncated or shortened else "", f"read {when(now)}"]
    rest = [] if not errors_only else [button("Last 200 lines", f"{command('logs', build)} --tail 200")]
    return Message(
        text=f"{title}: {plural(len(body.splitlines()), 'line')}",
        blocks=(
            section(f"*{title}*"),
            *log_blocks,
            context(" · ".join(part for part in small if part)),
            actions(link_button("Open", log.url or build.web_url), *rest),
        ),
    )
