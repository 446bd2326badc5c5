"""A vendor's answer."""

from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import msgspec

from bot.core.errors import UnexpectedResponse
from bot.core.text import read_json
from bot.http.reading import UNREADABLE, note_skipped, unreadable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A vendor's answer, read whole. `secrets` are the secrets the request carried; no message repeats them."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str
    provider: str
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def etag(self) -> str | None:
        """Return the validator to send back as If-None-Match."""
        etag: str | None = self.headers.get("etag")
        return etag

    @property
    def text(self) -> str:
        """Return the body as text; undecodable bytes become replacement characters."""
        return self.content.decode("utf-8", "replace")

    @property
    def raw(self) -> msgspec.Raw:
        """Return the body for `Wire.of`, which repairs texts that are not valid Unicode."""
        return msgspec.Raw(self.content)

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page for people."""
        return "html" in self.headers.get("content-type", "").lower()

    def decode(self, kind: type[T]) -> T:
        """Return the body as `kind`. Raises UnexpectedResponse naming the field that does not fit."""
        try:
            return read_json(self.content, kind)
        except UNREADABLE as exc:
            if self.is_page:
                raise UnexpectedResponse(
                    f"{self.provider} answered with a web page instead of data.",
                    provider=self.provider,
                    status=self.status,
                    hint="Check the connection's `url`; a sign-in page or a proxy may stand in the way.",
                ) from exc
            raise unreadable(self.provider, exc, status=self.status) from exc

    def items(self, member: str | None = None) -> list[msgspec.Raw]:
        """Return the list in the body, or in one member of it, undecoded so that one odd item spoils only itself.

        Null is an empty list, noted as one that nothing can be counted from.
        """
        if member is None:
            return self.decode(list[msgspec.Raw])
        whole = self.decode(dict[str, msgspec.Raw])
        if member not in whole:
            raise UnexpectedResponse(
                f"{self.provider} answered without `{member}`.", provider=self.provider, status=self.status
            )
        try:
            listed = msgspec.json.decode(whole[member], type=list[msgspec.Raw] | None)
        except UNREADABLE as exc:
            raise unreadable(self.provider, exc, f"field `{member}`", status=self.status) from exc
        if listed is None:
            note_skipped(UnexpectedResponse(f"{self.provider} answered `{member}` with null.", provider=self.provider))
        return listed or []
