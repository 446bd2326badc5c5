"""What a configuration says about the values that a start takes, and values in the types it wants."""

import re
from collections.abc import Mapping

import yaml

from bot.core.errors import UsageError
from bot.core.models import Parameter, ParameterType

CONFIG_CHARACTERS = 512 * 1024
MOST_PARAMETERS = 100
LONGEST_NAME = 128
LONGEST_VALUE = 512

_TYPES = {
    "boolean": ParameterType.BOOLEAN,
    "integer": ParameterType.NUMBER,
    "enum": ParameterType.CHOICE,
}
_ON = frozenset({"true", "yes", "on"})
_OFF = frozenset({"false", "no", "off"})
_WHOLE = re.compile(r"-?[0-9]{1,15}")


def declared(config: str) -> tuple[Parameter, ...]:
    """Return the pipeline parameters that a configuration declares; none where it does not read.

    Everything is read as text, so that `on`, `yes` and `1.10` stay what they are; nothing else is ever made of it.
    """
    try:
        whole = (
            yaml.load(config, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts, lists and mappings only
            if len(config) <= CONFIG_CHARACTERS
            else None
        )
    except (yaml.YAMLError, RecursionError, ValueError):
        return ()
    listed = whole.get("parameters") if isinstance(whole, dict) else None
    if not isinstance(listed, dict):
        return ()
    return tuple(_parameter(str(name), about) for name, about in list(listed.items())[:MOST_PARAMETERS])


def _parameter(name: str, about: object) -> Parameter:
    told = about if isinstance(about, dict) else {}
    choices = told.get("enum")
    kind = _TYPES.get(str(told.get("type")), ParameterType.TEXT)
    default = told.get("default")
    if kind is ParameterType.BOOLEAN and isinstance(default, str):
        default = "true" if default.lower() in _ON else "false"
    described = told.get("description")
    return Parameter(
        name=name,
        type=kind,
        choices=tuple((str(one), str(one)) for one in choices) if isinstance(choices, list) else (),
        default=default if isinstance(default, str) else None,
        required=default is None,
        help=described.strip() or None if isinstance(described, str) else None,
    )


def typed(values: Mapping[str, str], known: Mapping[str, ParameterType]) -> dict[str, str | int | bool]:
    """Return values as they are declared; what is not declared is taken for what it looks like. Raises UsageError."""
    if len(values) > MOST_PARAMETERS:
        raise UsageError(f"CircleCI takes at most {MOST_PARAMETERS} parameters.")
    for name, value in values.items():
        if len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise UsageError(
                f"CircleCI takes parameters of up to {LONGEST_VALUE} characters; `{name[:40]}` is too long."
            )
    return {name: _typed(name, value, known.get(name)) for name, value in values.items()}


def _typed(name: str, value: str, kind: ParameterType | None) -> str | int | bool:
    word = value.strip().lower()
    match kind:
        case ParameterType.BOOLEAN:
            if word not in _ON | _OFF:
                raise UsageError(f"`{name}` is true or false, not `{value[:40]}`.")
            return word in _ON
        case ParameterType.NUMBER:
            if not _WHOLE.fullmatch(word):
                raise UsageError(f"`{name}` is a whole number, not `{value[:40]}`.")
            return int(word)
        case None if word in {"true", "false"}:
            return word == "true"
        case None if _WHOLE.fullmatch(word):
            return int(word)
        case _:
            return value
