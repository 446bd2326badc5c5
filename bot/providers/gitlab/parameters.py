"""What a pipeline of GitLab can be given: inputs with types, and variables that its file describes."""

from collections.abc import Mapping

import msgspec

from bot.core.clock import Sleep
from bot.core.errors import ProviderError
from bot.core.models import Parameter, ParameterType
from bot.providers.base.listing import parse_items
from bot.providers.gitlab import wire
from bot.providers.gitlab.graphql import Graph

VARIABLES_AFTER_SECONDS = (0.0, 1.0, 2.0)
"""GitLab computes a file's variables in the background; it is asked again after these pauses."""


async def described(graph: Graph, project: str, ref: str, sleep: Sleep) -> tuple[Parameter, ...] | None:
    """Return the inputs and described variables of a ref's pipeline, None where GraphQL reports neither.

    Costs two requests, and up to two more while GitLab computes the variables.
    """
    inputs = await _or_none_of(graph, project, ref)
    try:
        variables = await _variables(graph, project, ref, sleep)
    except ProviderError:
        if inputs is None:
            return None
        variables = ()
    return (*map(input_field, inputs or ()), *variables)


async def typed_inputs(graph: Graph, project: str, ref: str, inputs: Mapping[str, str]) -> dict[str, object]:
    """Return inputs as their types want them; where GraphQL does not report the types, as the texts they are."""
    kinds = {each.name: each.type for each in await _or_none_of(graph, project, ref) or ()}
    return {name: typed(value, kinds.get(name)) for name, value in inputs.items()}


async def _or_none_of(graph: Graph, project: str, ref: str) -> list[wire.Input] | None:
    try:
        return await graph.inputs(project, ref)
    except ProviderError:
        return None


async def _variables(graph: Graph, project: str, ref: str, sleep: Sleep) -> tuple[Parameter, ...]:
    for pause in VARIABLES_AFTER_SECONDS:
        if pause:
            await sleep(pause)
        listed = await graph.variables(project, ref)
        if listed is not None:
            variables = parse_items(listed, wire.ConfigVariable.of)
            return tuple(parameter for raw in variables if (parameter := prefilled(raw)) is not None)
    return ()


def prefilled(raw: wire.ConfigVariable) -> Parameter | None:
    """Return a variable that the pipeline's file describes, or None for one without a name."""
    if not raw.key:
        return None
    return Parameter(
        name=raw.key,
        type=ParameterType.CHOICE if raw.value_options else ParameterType.TEXT,
        choices=tuple((each, each) for each in raw.value_options or ()),
        default=raw.value,
        help=raw.description,
    )


def input_field(raw: wire.Input) -> Parameter:
    """Return a pipeline input as a parameter named `input.NAME`."""
    kind = (raw.type or "").upper()
    options = [value_text(each) for each in raw.options or ()]
    match kind:
        case "BOOLEAN":
            field = ParameterType.BOOLEAN
        case "ARRAY" if options:
            field = ParameterType.MULTIPLE
        case "NUMBER" if not options:
            field = ParameterType.NUMBER
        case _:
            field = ParameterType.CHOICE if options else ParameterType.TEXT
    return Parameter(
        name=f"input.{raw.name}",
        type=field,
        label=raw.name,
        choices=tuple((each, each) for each in options),
        default=None if raw.default is None else value_text(raw.default),
        required=bool(raw.required),
        help=raw.description,
    )


def value_text(value: object) -> str:
    """Return a JSON value as people type raw."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def typed(text: str, kind: str | None) -> object:
    """Return an input's value as its type wants it; a text that does not fit goes as it is, GitLab says why not."""
    match (kind or "").upper():
        case "BOOLEAN" if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        case "NUMBER":
            try:
                return int(text)
            except ValueError:
                try:
                    return float(text)
                except ValueError:
                    return text
        case "ARRAY":
            try:
                return msgspec.json.decode(text, type=list[object])
            except (msgspec.DecodeError, RecursionError):
                return [part.strip() for part in text.split(",") if part.strip()]
        case _:
            return text
