"""What a program passes to a tool reaches the command as values: never as a flag, a verb or a confirmation."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.store.states import TokenScope
from commands.core.grammar import read
from commands.mcp.tools import TOOLS, Kind, Tool
from commands.registry import REGISTRY

BY_NAME = {tool.name: tool for tool in TOOLS}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HOSTILE = ("--yes", "x --yes", "' --yes '", '" --yes "', "a\n--yes", "\\", "-- A=b", "'", "#5 --yes", "$(x)", "=")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_is_a_command_with_its_rights(tool: Tool) -> None:
    line = tool.line({})
    command, words = REGISTRY.split(line)
    assert command.verb == tool.verb
    args = command.parse(words)
    assert args is not None
    assert (tool.scope is TokenScope.READ) == (not command.changes(args))
    assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema"} | tool.schema)


@pytest.mark.parametrize(
    "verb", ["approve", "reject", "erase", "connect", "access", "schedule", "me", "link", "disconnect"]
)
def test_what_only_people_may_do_is_no_tool(verb: str) -> None:
    assert verb not in {tool.verb for tool in TOOLS}


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_hostile_value_stays_a_value(tool: Tool, value: str) -> None:
    for parameter in tool.parameters:
        match parameter.kind:
            case Kind.TEXT:
                argument: Any = value
            case Kind.PAIRS:
                argument = {"A": value}
            case _:
                continue
        try:
            words = tool.line({parameter.name: argument}).split(maxsplit=1)
        except UsageError:
            continue
        parsed = read(
            words[1].removeprefix("pipelines "),
            values=("job", "grep", "state", "severity", "since", "commit", "message", "preset", "reason"),
            switches=("yes",),
            parameters=True,
        )
        assert not parsed.has("yes")
        assert value in {
            *parsed.words,
            *parsed.parameters.values(),
            *(v for held in parsed.flags.values() for v in held),
        }


@given(pipeline=TEXTS.filter(bool), value=TEXTS, key=st.text("ABab_:. '\"-#", min_size=1, max_size=9))
def test_every_parameter_of_a_start_arrives_as_passed(pipeline: str, value: str, key: str) -> None:
    arguments = {"parameters": {key: value}, "pipeline": pipeline}
    try:
        line = BY_NAME["run"].line(arguments)
    except UsageError:
        assert not key.strip() or key[0].isspace()
        return
    args = REGISTRY.split(line)[0].parse(line.removeprefix("run "))
    assert args.target.pipeline == pipeline
    assert args.parameters == {key: value}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("retry", {"confirm": "true"}),
        ("retry", {"confirm": 1}),
        ("show", {"confirm": True}),
        ("show", {"yes": True}),
        ("builds", {"count": True}),
        ("builds", {"count": 0}),
        ("builds", {"count": "5 --yes"}),
        ("logs", {"tail": 501}),
        ("status", {"scope": "--yes"}),
        ("run", {"parameters": {"A": 1}}),
        ("run", {"parameters": {"": "x"}}),
        ("run", {"parameters": {"A=B": "x"}}),
        ("run", {"parameters": ["A=b"]}),
        ("show", {"url": "javascript:x"}),
        ("show", {"url": "https://ci.example/ --yes"}),
        ("show", {"pipeline": ["app"]}),
        ("show", {"pipeline": "a" * 2001}),
        ("pipelines", {"pattern": "--refresh"}),
    ],
)
def test_a_value_of_another_type_is_refused(tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BY_NAME[tool].line(arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("status", {"scope": "mine"}, "status mine"),
        ("builds", {"pipeline": "my app", "count": 3}, "last --pipeline='my app' -n 3"),
        ("logs", {"build": "5", "errors": True, "tail": 20}, "logs --build=5 --tail=20 --errors"),
        ("cancel", {"build": "5", "confirm": True}, "cancel --build=5 --yes"),
        ("cancel", {"build": "5", "confirm": False, "channel": "C0000001"}, "cancel --build=5"),
        ("run", {"parameters": {"A": "b c"}, "ref": "main"}, "run --ref=main -- 'A=b c'"),
        ("pipelines", {"pattern": "app"}, "list pipelines app"),
    ],
)
def test_a_tool_types_what_a_person_would(tool: str, arguments: dict[str, Any], line: str) -> None:
    assert BY_NAME[tool].line(arguments) == line
