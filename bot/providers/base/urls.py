"""Addresses built from segments, and pasted addresses taken apart: the only way to build or read one.

A segment that would change the route (`.`, `..`, an empty one, or one that hides these behind slashes) is refused, so
that an id typed by a person or sent by a vendor reaches its own route or none.
"""

import re
import unicodedata
from urllib.parse import SplitResult, quote, unquote, urlsplit

from bot.core.errors import NotFound

LONGEST_SEGMENT = 2000
DEFAULT_PORTS = {"http": 80, "https": 443}
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that no id holds: control characters, halves of characters, line and paragraph separators."""


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(text: str) -> bool:
    """Return whether a text reads as a UUID."""
    return _UUID.fullmatch(text) is not None


def path(*segments: str | int) -> str:
    """Return segments joined by `/`, each percent-encoded whole: `path("v1", "ciWorkflows", id)`.

    A slash inside a segment is encoded too (GitLab's `group/project` is one segment). Raises NotFound for a segment
    that is empty, too long, holds a control character or a backslash, or a `.`, `..` or empty part between slashes.
    """
    return "/".join(quote(check_segment(str(segment)), safe="") for segment in segments)


def web_page(home: str, *segments: str | int) -> str:
    """Return the address of a page below `home`; refuses the same segments as `path`."""
    return f"{home.rstrip('/')}/{path(*segments)}"


def check_segment(segment: str) -> str:
    """Return a segment as it is. Raises NotFound for one that could reach another route."""
    parts = segment.split("/")
    hostile = any(part.strip() in {"", ".", ".."} for part in parts)
    control = any(unicodedata.category(character) in UNPRINTABLE for character in segment[:LONGEST_SEGMENT])
    if hostile or control or "\\" in segment or len(segment) > LONGEST_SEGMENT:
        shown = "".join(c if c.isprintable() else "�" for c in segment[:80])
        raise NotFound(f"`{shown}` is not an id that this CI system could have.", provider="The CI system")
    return segment


def page_below(url: str, *homes: str) -> SplitResult | None:
    """Return a pasted address with its path cut to the part below the first of `homes` that holds it, else None.

    `homes` are the vendor's web address and the connection's own `url`; empty ones are passed over. The scheme may
    differ between http and https; host, port and the path's start must be the same.
    """
    try:
        address = urlsplit(url.strip())
        site = _site(address)
        if address.scheme not in DEFAULT_PORTS or not site[0]:
            return None
        for home in filter(None, homes):
            base = urlsplit(home)
            prefix = base.path.rstrip("/")
            if _site(base) == site and f"{address.path}/".startswith(f"{prefix}/"):
                return address._replace(path=address.path.removeprefix(prefix))
    except ValueError:  # a bracket that does not close, a port that is no number
        return None
    return None


def site_of(web_url: str, url: str, vendor: str, *others: str, suffix: str = "") -> str:
    """Return where a connection's pages for people lie, without a slash at the end: links to pages begin with it.

    `web_url` and `url` are the connection's options, empty where they are not set; `vendor` is the vendor's own site,
    `others` are further addresses of the vendor's, its API among them. A `url` that is none of them has its pages beside
    it: `suffix` is the last part of the API's root there.
    """
    if web_url:
        return web_url.rstrip("/")
    own = url.rstrip("/").removesuffix(suffix)
    return vendor if own in {"", vendor, *others} else own


def page_segments(page: SplitResult) -> tuple[str, ...]:
    """Return the decoded segments of a page's path, empty ones left out."""
    return tuple(unquote(part) for part in page.path.split("/") if part)


def _site(address: SplitResult) -> tuple[str, int | None]:
    """Return host and port; the default port of either scheme is None, so that http and https are the same site."""
    port = address.port
    return (address.hostname or "").lower(), None if port in DEFAULT_PORTS.values() else port
