"""Every query parameter of Truto's list of builds, and its pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import httpx
import msgspec

from bot.http.client import Query, Reply
from bot.providers.truto import wire


class ResponseFormat(StrEnum):
    """How Truto answers: in its own model, or as the system beneath says it."""

    UNIFIED = "unified"
    RAW = "raw"
    NORMALIZED = "normalized"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildQuery:
    """What to ask the list for; what belongs to a pipeline (`owner`, `repo_id`, …) is added by the adapter.

    `remote` goes to the system beneath untouched. `key_by` makes the answer's list an object.
    """

    status: str | None = None
    conclusion: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    limit: int | None = None
    response_format: ResponseFormat | None = None
    key_by: str | None = None
    ignore_limit: bool = False
    ignore_remote_data: bool = False
    exclude_fields: tuple[str, ...] = ()
    remote: Mapping[str, str] = field(default_factory=dict)

    def pairs(self) -> Query:
        """Return the parameters as they are sent; what is not asked for is left out."""
        return {
            "status": self.status,
            "conclusion": self.conclusion,
            "started_at": _stamp(self.started_at),
            "completed_at": _stamp(self.completed_at),
            "limit": self.limit,
            "truto_response_format": self.response_format,
            "truto_key_by": self.key_by,
            "truto_ignore_limit": self.ignore_limit or None,
            "truto_ignore_remote_data": self.ignore_remote_data or None,
            "truto_exclude_fields[]": self.exclude_fields,
            **{f"remote_query[{name}]": value for name, value in self.remote.items()},
        }


def items(reply: Reply) -> list[msgspec.Raw]:
    """Return a page's items: a list, an object by key (`key_by`), or the bare list of a raw answer."""
    if reply.content.lstrip()[:1] == b"[":
        return reply.items()
    result = reply.decode(wire.Envelope).result
    return list(result.values()) if isinstance(result, dict) else result


def next_page(reply: Reply) -> str | None:
    """Return where the list goes on. An empty page is the last one, whatever cursor it names."""
    if reply.content.lstrip()[:1] == b"[":
        return None
    page = reply.decode(wire.Envelope)
    if not page.next_cursor or not page.result:
        return None
    return str(httpx.URL(reply.url).copy_set_param("next_cursor", page.next_cursor))


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
