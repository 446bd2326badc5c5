"""GitLab's job logs: the runner's own marks taken out."""

import re

_MARK = r"section_(?:start|end):\d+:[\w.\-]+(?:\[[^\[\]\r\n]*+\])?\r?(?:\x1b\[0K)*+"
_SECTION = re.compile(rf"^(?:{_MARK})+\r?\n|{_MARK}", re.MULTILINE)
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE]([+ ]?)", re.MULTILINE)
_CONTINUED = re.compile(r"\r?\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE]\+")


def plain_log(text: str) -> str:
    """Return a trace without the runner's section markers and line stamps; colours are `clean_log`'s part."""
    return _SECTION.sub("", _STAMP.sub("", _CONTINUED.sub("", text)))
