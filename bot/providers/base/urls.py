"""Paths of API requests, built from segments: the only way to build one.

A segment that would change the route (`.`, `..`, an empty one, or one that hides these behind slashes) is refused, so
that an id typed by a person or sent by a vendor reaches its own route or none.
"""

from urllib.parse import quote

from bot.core.errors import NotFound

LONGEST_SEGMENT = 2000


def path(*segments: str | int) -> str:
    """Return segments joined by `/`, each percent-encoded whole: `path("v1", "ciWorkflows", id)`.

    A slash inside a segment is encoded too (GitLab's `group/project` is one segment). Raises NotFound for a segment
    that is empty, too long, holds a control character or a backslash, or a `.`, `..` or empty part between slashes.
    """
    return "/".join(quote(check_segment(str(segment)), safe="") for segment in segments)


def check_segment(segment: str) -> str:
    """Return a segment as it is. Raises NotFound for one that could reach another route."""
    parts = segment.split("/")
    hostile = any(part.strip() in {"", ".", ".."} for part in parts)
    if hostile or "\\" in segment or len(segment) > LONGEST_SEGMENT or not segment.isprintable():
        raise NotFound(f"`{segment[:80]}` is not an id that this CI system could have.", provider="")
    return segment
