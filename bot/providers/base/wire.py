"""A vendor's objects as msgspec structs."""

from typing import Any, ClassVar, Self

import msgspec
from msgspec import inspect

from bot.core.errors import UnexpectedResponse
from bot.core.text import read_json, valid_tree
from bot.http.reading import UNREADABLE, plain_name, unreadable
from bot.providers.base.listing import parse_items

LABELS: dict[str, str] = {}
"""Each provider package's name for people, filled where its class is defined."""


class Wire(msgspec.Struct):
    """A vendor's object: only the fields we read, all but the key with a default, unknown ones ignored."""

    needed_whole: ClassVar[bool] = False
    """Whether a list of these means something else without one of them: the values that a rebuild sends again."""

    @classmethod
    def of(cls, payload: object) -> Self:
        """Return the object from `Raw`, bytes or decoded JSON; texts that are not valid Unicode are repaired.

        An odd item of a list inside is left out (and noted, see `parse_items`) where others of that list read; tuples,
        and lists of what is needed whole, are kept whole.
        Raises UnexpectedResponse naming the vendor, the object and the field.
        """
        try:
            if isinstance(payload, msgspec.Raw | bytes):
                return read_json(payload, cls)
            return msgspec.convert(valid_tree(payload), cls)
        except UNREADABLE as exc:
            try:
                if isinstance(exc, msgspec.ValidationError) and "[" in str(exc):
                    tree = valid_tree(
                        read_json(payload, object) if isinstance(payload, msgspec.Raw | bytes) else payload
                    )
                    return msgspec.convert(_without_odd_items(tree, cls), cls)
            except (*UNREADABLE, UnexpectedResponse):
                pass  # the first refusal names the field
            package = f"{cls.__module__}...".split(".")[2]
            raise unreadable(LABELS.get(package) or "The CI system", exc, plain_name(cls)) from exc


def _without_odd_items(tree: Any, kind: type[msgspec.Struct]) -> Any:
    """Return an object's tree without the items of its lists, at any depth, that do not read as what the lists hold."""
    if not isinstance(tree, dict):
        return tree
    about = inspect.type_info(kind)
    sound = {
        field.encode_name: _sound(tree[field.encode_name], field.type)
        for field in (about.fields if isinstance(about, inspect.StructType) else ())
        if field.encode_name in tree
    }
    return {**tree, **sound}


def _sound(value: Any, about: inspect.Type) -> Any:
    for choice in about.types if isinstance(about, inspect.UnionType) else (about,):
        if isinstance(choice, inspect.StructType) and isinstance(value, dict):
            return _without_odd_items(value, choice.cls)
        if isinstance(choice, inspect.ListType) and isinstance(value, list):
            return _readable(value, choice.item_type)
    return value


def _readable(items: list[Any], about: inspect.Type) -> list[Any]:
    if not isinstance(about, inspect.StructType):
        texts = isinstance(about, inspect.StrType)
        return [item for item in items if isinstance(item, str)] or items if texts else items
    kind = about.cls
    if issubclass(kind, Wire) and kind.needed_whole:
        return items

    def read(item: Any) -> Any:
        sound = _without_odd_items(item, kind)
        try:
            msgspec.convert(sound, kind)
        except msgspec.ValidationError as exc:
            raise UnexpectedResponse("An item of a list could not be read.", provider="The CI system") from exc
        return sound

    return list(parse_items(items, read))
