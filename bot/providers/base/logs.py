"""Ends of logs, cleaned for reading."""

from collections.abc import Iterator

from bot.core.text import LOG_CHARACTERS, clean_terminal, text_of
from bot.core.workers import in_worker

LOG_TAIL_BYTES = 64 * 1024
PIECE_CHARACTERS = 65_536


def clean_log(data: bytes | str) -> str:
    """Return the end of a log without escape sequences, control characters and overwritten progress lines.

    At most `LOG_CHARACTERS`, taken in pieces of whole lines so that other threads get their turn.
    """
    text = text_of(data[-LOG_CHARACTERS:]) if isinstance(data, bytes) else data[-LOG_CHARACTERS:]
    if len(text) <= PIECE_CHARACTERS:
        return clean_terminal(text)
    return "".join(map(clean_terminal, _pieces(text)))


async def cleaned_log(data: bytes | str) -> str:
    """Return what `clean_log` returns; a long log is cleaned beside the event loop."""
    return await in_worker(clean_log, data)


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = min(start + PIECE_CHARACTERS, len(text))
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end
