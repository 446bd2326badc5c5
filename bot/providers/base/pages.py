"""Web pages of a connection: whether an address that a person pasted is one of them."""

from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


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
