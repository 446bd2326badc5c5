"""A vendor's objects as msgspec structs."""

from typing import Self

import msgspec

from bot.core.text import read_json, valid_tree
from bot.http.reading import UNREADABLE, plain_name, unreadable

LABELS: dict[str, str] = {}
"""Each provider package's name for people, filled where its class is defined."""


class Wire(msgspec.Struct):
    """A vendor's object: only the fields we read, all but the key with a default, unknown ones ignored."""

    @classmethod
    def of(cls, payload: object) -> Self:
        """Return the object from `Raw`, bytes or decoded JSON; texts that are not valid Unicode are repaired.

        Raises UnexpectedResponse naming the vendor, the object and the field.
        """
        try:
            if isinstance(payload, msgspec.Raw | bytes):
                return read_json(payload, cls)
            return msgspec.convert(valid_tree(payload), cls)
        except UNREADABLE as exc:
            package = f"{cls.__module__}...".split(".")[2]
            raise unreadable(LABELS.get(package) or "The CI system", exc, plain_name(cls)) from exc
