"""Paths of API requests, built from segments (the only way to build one), and web pages that people paste.

A segment that would change the route (`.`, `..`, an empty one, or one that hides these behind slashes) is refused, so
that an id typed by a person or sent by a vendor reaches its own route or none.
"""

from urllib.parse import SplitResult, quote, urlsplit

from bot.core.errors import NotFound

LONGEST_SEGMENT = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}


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


def page_below(url: str, *homes: str) -> SplitResult | None:
    """Return a pasted address with its path cut to the part below the first of `homes` that holds it, else None.

    `homes` are the vendor's web address and the connection's own `url`; empty ones are passed over. The scheme may
    differ between http and https; host, port and the path's start must be the same.
    """
    try:
        address = urlsplit(url.strip())
        origin = _origin(address)
        if address.scheme not in DEFAULT_PORTS or not origin[0]:
            return None
        for home in filter(None, homes):
            base = urlsplit(home)
            path = base.path.rstrip("/")
            if _origin(base) == origin and f"{address.path}/".startswith(f"{path}/"):
                return address._replace(path=address.path.removeprefix(path))
    except ValueError:  # a bracket that does not close, a port that is no number
        return None
    return None


def _origin(address: SplitResult) -> tuple[str, int | None]:
    """Return host and port; the default port of either scheme is None, so that http and https are the same site."""
    port = address.port
    return address.hostname or "", None if port in DEFAULT_PORTS.values() else port
