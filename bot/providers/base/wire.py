"""A vendor's objects as msgspec structs."""

from typing import Self

import msgspec

from bot.core.errors import UnexpectedResponse


class Wire(msgspec.Struct):
    """A vendor's object: only the fields we read, all but the key with a default, unknown ones ignored."""

    @classmethod
    def of(cls, payload: object) -> Self:
        """Return the object from `Raw`, bytes or decoded JSON. Raises UnexpectedResponse naming the field."""
        try:
            if isinstance(payload, msgspec.Raw | bytes):
                return msgspec.json.decode(payload, type=cls)
            return msgspec.convert(payload, cls)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
            name = cls.__name__.strip("_")
            raise UnexpectedResponse(
                f"The CI system sent a {name} in a form I don't know: {exc}.", provider=cls.__module__.split(".")[2]
            ) from exc
