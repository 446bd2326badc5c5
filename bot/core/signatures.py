"""What stays the same in a failure's message from run to run, so that failures can be recognised. Pure, linear patterns."""

import re

from bot.core.models import Issue
from bot.core.text import clean_message

LONGEST = 200
READ = 2000
_NUMBER = "N"
# In this order: what contains figures goes before the figures.
_CHANGING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"https?://[^\s\"'<>]+"), "URL"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?"), "TIME"),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?\b"), "TIME"),
    (re.compile(r"(?<![\w/\\.~-])(?:[A-Za-z]:)?(?:~|\.{1,2})?[/\\][^\s\"'`<>()\[\]{},;:|]+(?::\d+){0,2}"), "PATH"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b"), "HEX"),
    (re.compile(r"\b(?=[0-9a-fA-F]{0,39}[0-9])(?=[0-9a-fA-F]{0,39}[a-fA-F])[0-9a-fA-F]{7,64}\b"), "HEX"),
    (re.compile(r"\d+(?:[.,]\d+)*"), _NUMBER),
)


def signature(issue: Issue) -> str:
    """Return what recognises a failure: its kind, job, file and first lines, without numbers, hex, paths and times."""
    file = issue.file.replace("\\", "/").rpartition("/")[2] if issue.file else ""
    parts = (issue.kind.value, normalised(issue.job or ""), normalised(file), normalised(issue.message))
    return " | ".join(part for part in parts if part)


def normalised(text: str) -> str:
    """Return a text without what differs from run to run: addresses, times, paths, ids, hex and numbers; at most 200 letters."""
    line = " ".join(clean_message(text, READ)[:READ].split())
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return line[:LONGEST].strip().lower()
