"""The parameters that a configuration declares, and values in the types that it declares."""

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
    parameters = whole.get("parameters") if isinstance(whole, dict) else None
    if not isinstance(parameters, dict):
        return ()
    return tuple(_parameter(str(name), about) for name, about in list(parameters.items())[:MOST_PARAMETERS])


def _parameter(name: str, about: object) -> Parameter:
    fields = about if isinstance(about, dict) else {}
    choices, default, description = fields.get("enum"), fields.get("default"), fields.get("description")
    kind = _TYPES.get(str(fields.get("type")), ParameterType.TEXT)
    if kind is ParameterType.BOOLEAN and isinstance(default, str):
        default = "true" if default.lower() in _ON else "false"
    return Parameter(
        name=name,
        type=kind,
        choices=tuple((str(choice), str(choice)) for choice in choices) if isinstance(choices, list) else (),
        default=default if isinstance(default, str) else None,
        required=default is None,
        help=description.strip() or None if isinstance(description, str) else None,
    )


def typed(values: Mapping[str, str], types: Mapping[str, ParameterType]) -> dict[str, str | int | bool]:
    """Return values in their declared types; one that is not declared is taken for what it looks like.

    Raises UsageError for a value that is not of its type, and for more or longer ones than CircleCI takes.
    """
    if len(values) > MOST_PARAMETERS:
        raise UsageError(f"CircleCI takes at most {MOST_PARAMETERS} parameters.")
    for name, value in values.items():
        if len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise UsageError(
                f"CircleCI takes parameters of up to {LONGEST_VALUE} characters; `{name[:40]}` is too long."
            )
    return {name: _typed(name, value, types.get(name)) for name, value in values.items()}


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
