"""What a repository's bitbucket-pipelines.yml says about custom pipelines, as parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from bot.core.errors import UnexpectedResponse
from bot.core.models import Parameter, ParameterType
from bot.providers.bitbucket.options import LABEL
from bot.providers.bitbucket.start import SELECTOR

FILE = "bitbucket-pipelines.yml"
YML_CHARACTERS = 256 * 1024


@dataclass(slots=True, kw_only=True)
class _Variable:
    """A variable of one or more custom pipelines."""

    pipelines: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    free: bool = False
    default: str | None = None
    description: str | None = None


def parameters(text: str) -> tuple[Parameter, ...]:
    """Return which custom pipelines there are, and every variable that one of them declares.

    Which variables count depends on the custom pipeline, so none is required and none has a default here: Bitbucket
    fills in its own. Raises UnexpectedResponse where the file is no YAML.
    """
    custom = _custom(text)
    if not custom:
        return ()
    names = tuple((name, name) for name in custom)
    chosen = Parameter(
        name=SELECTOR,
        type=ParameterType.CHOICE,
        label="Custom pipeline",
        choices=names,
        help="Without it the definition for the branch or tag runs.",
    )
    return (chosen, *(_parameter(name, variable) for name, variable in _variables(custom).items()))


def _custom(text: str) -> dict[str, yaml.Node]:
    """Return the custom pipelines' steps by name.

    Only nodes are made of the file, no objects: what merges and aliases would expand to stays folded, and a value stays
    as it is written (`yes` is not true).
    """
    try:
        whole = yaml.compose(text, Loader=yaml.SafeLoader) if len(text) <= YML_CHARACTERS else None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise _unreadable() from exc
    if not isinstance(whole, yaml.MappingNode):
        raise _unreadable()
    return _members(_members(_members(whole).get("pipelines")).get("custom"))


def _unreadable() -> UnexpectedResponse:
    return UnexpectedResponse(
        f"The {FILE} is not YAML that I can read.",
        provider=LABEL,
        hint="Bitbucket's own validator says where it is wrong.",
    )


def _variables(custom: Mapping[str, yaml.Node]) -> dict[str, _Variable]:
    variables: dict[str, _Variable] = {}
    for name, steps in custom.items():
        nodes = (node for step in _items(steps) for node in _items(_members(step).get("variables")))
        for declaration in map(_members, nodes):
            key = _text(declaration.get("name"))
            if not key:
                continue
            variable = variables.setdefault(key, _Variable())
            variable.pipelines.append(name)
            variable.default = variable.default or _text(declaration.get("default"))
            variable.description = variable.description or _text(declaration.get("description"))
            values = [text for value in _items(declaration.get("allowed-values")) if (text := _text(value))]
            variable.free = variable.free or not values
            variable.choices += [value for value in values if value not in variable.choices]
    return variables


def _parameter(name: str, variable: _Variable) -> Parameter:
    notes = [
        variable.description,
        f"For {', '.join(variable.pipelines)}.",
        f"{variable.default} without it." if variable.default else None,
    ]
    return Parameter(
        name=name,
        type=ParameterType.TEXT if variable.free else ParameterType.CHOICE,
        choices=() if variable.free else tuple((value, value) for value in variable.choices),
        help=" ".join(note for note in notes if note),
    )


def _members(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _text(node: yaml.Node | None) -> str | None:
    is_text = isinstance(node, yaml.ScalarNode) and node.tag != "tag:yaml.org,2002:null"
    return str(node.value) or None if node is not None and is_text else None
