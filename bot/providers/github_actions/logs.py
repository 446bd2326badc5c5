"""Logs of jobs: GitHub's times and marks at the beginnings of lines, and the errors and warnings that stand there."""

import re

from bot.core.models import IssueKind
from bot.providers.base.logs import clean_log

_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ?", re.MULTILINE)
_MARK = re.compile(
    r"^(?:##\[|::)(group|endgroup|error|warning|notice|debug|command|section)(?: [^\]:\n]*)?(?:\]|::)", re.MULTILINE
)
_GROUP_END = re.compile(r"^##\[endgroup\]\n?", re.MULTILINE)
_ERROR, _WARNING = "##[error]", "##[warning]"


def plain_log(data: bytes) -> str:
    """Return a log without the times and the marks of its lines; errors and warnings keep their word."""

    def word(mark: re.Match[str]) -> str:
        return {"error": "Error: ", "warning": "Warning: "}.get(mark[1], "")

    return _MARK.sub(word, _GROUP_END.sub("", _STAMP.sub("", clean_log(data))))


def marked(line: bytes) -> tuple[IssueKind, str] | None:
    """Return the error or warning that a line of a log is, if it is one."""
    text = _STAMP.sub("", clean_log(line)).strip()
    for mark, kind in ((_ERROR, IssueKind.ERROR), (_WARNING, IssueKind.WARNING)):
        if text.startswith(mark):
            return kind, text.removeprefix(mark).strip()[:500]
    return None
