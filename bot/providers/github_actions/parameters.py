"""What a workflow's file says about the values that a start by hand takes: `on.workflow_dispatch.inputs`."""

import yaml

from bot.core.models import Parameter, ParameterType

FILE_BYTES = 512 * 1024
"""GitHub takes no larger workflow."""
MOST_INPUTS = 25
ENVIRONMENT = "environment"
"""The type of an input whose choices are the repository's environments."""

_TYPES = {
    "boolean": ParameterType.BOOLEAN,
    "number": ParameterType.NUMBER,
    "choice": ParameterType.CHOICE,
    ENVIRONMENT: ParameterType.CHOICE,
}


def declared(text: str) -> list[tuple[Parameter, str]] | None:
    """Return the inputs with GitHub's word for their type; None where the file does not read or can't be started.

    Everything is read as text, so that `on`, `yes` and `1.10` stay what they are; nothing else is ever made of it.
    """
    try:
        whole = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts, lists and mappings only
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    events = whole.get("on") if isinstance(whole, dict) else None
    if isinstance(events, str | list):
        return [] if "workflow_dispatch" in ([events] if isinstance(events, str) else events) else None
    if not isinstance(events, dict) or "workflow_dispatch" not in events:
        return None
    dispatch = events["workflow_dispatch"]
    inputs = dispatch.get("inputs") if isinstance(dispatch, dict) else None
    if not isinstance(inputs, dict):
        return []
    return [_input(str(name), about) for name, about in list(inputs.items())[:MOST_INPUTS]]


def _input(name: str, about: object) -> tuple[Parameter, str]:
    told = about if isinstance(about, dict) else {}
    word = _text(told.get("type")) or "string"
    kind = _TYPES.get(word, ParameterType.TEXT)
    options = told.get("options")
    choices = (
        tuple((option, option) for option in options if isinstance(option, str)) if isinstance(options, list) else ()
    )
    default = _text(told.get("default"))
    if kind is ParameterType.BOOLEAN:
        default = "true" if (default or "").lower() == "true" else "false"
    return (
        Parameter(
            name=name,
            type=kind,
            choices=choices,
            default=default,
            required=(_text(told.get("required")) or "").lower() == "true",
            help=_text(told.get("description")),
        ),
        word,
    )


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None
