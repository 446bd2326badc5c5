"""The tools that programs are offered: each is one command, and its arguments become that command's words."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bot.core.errors import UsageError
from bot.store.states import TokenScope

CHANNEL, CONFIRM = "channel", "confirm"
MOST_TEXT = 2000
_KEY = re.compile(r"[^\s=][^=]{0,199}")

Words = Callable[[Any], list[str]]


class Kind(Enum):
    """The type of an argument, as JSON Schema calls it."""

    TEXT = "string"
    COUNT = "integer"
    SWITCH = "boolean"
    PAIRS = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument of a tool. `words` turns its checked value into words of the command, each already quoted."""

    name: str
    kind: Kind
    meaning: str
    words: Words
    choices: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        schema: dict[str, Any] = {"type": self.kind.value, "description": self.meaning}
        match self.kind:
            case Kind.PAIRS:
                schema["additionalProperties"] = {"type": "string"}
            case Kind.COUNT:
                schema |= {"minimum": 1, "maximum": 500}
            case Kind.TEXT:
                schema |= {"maxLength": MOST_TEXT} | ({"enum": list(self.choices)} if self.choices else {})
            case Kind.SWITCH:
                pass
        return schema

    def read(self, value: object) -> list[str]:
        """Return a value as words of the command. Raises UsageError for a value of another type."""
        match self.kind, value:
            case Kind.SWITCH, bool():
                return self.words(value) if value else []
            case Kind.COUNT, int() if not isinstance(value, bool) and 1 <= value <= 500:
                return self.words(value)
            case Kind.TEXT, str() if len(value) <= MOST_TEXT and (not self.choices or value in self.choices):
                return self.words(value) if value else []
            case Kind.PAIRS, dict():
                return self.words(_pairs(self.name, value))
            case _:
                one_of = f", one of {', '.join(self.choices)}" if self.choices else ""
                raise UsageError(f"`{self.name}` takes a value of type {self.kind.value}{one_of}.")


def _pairs(name: str, value: Mapping[Any, Any]) -> list[str]:
    for key, content in value.items():
        if not isinstance(content, str) or not _KEY.fullmatch(str(key)):
            raise UsageError(f"`{name}` takes an object whose values are texts.")
    return [f"{key}={content}" for key, content in value.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command as a tool. `fixed` are words that stand before its arguments; `confirmable` tools take `confirm`."""

    name: str
    verb: str
    meaning: str
    parameters: tuple[Parameter, ...]
    scope: TokenScope = TokenScope.READ
    fixed: str = ""
    confirmable: bool = False
    is_destructive: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its arguments."""
        properties = {parameter.name: parameter.schema for parameter in self.parameters}
        properties[CHANNEL] = {
            "type": "string",
            "description": "Id of a Slack channel you are in: its linked pipelines and its rights count. "
            "Without it, what you may do in your direct messages with the bot counts.",
        }
        if self.confirmable:
            properties[CONFIRM] = {
                "type": "boolean",
                "description": "Set to true only after the person has agreed to what this tool said it would do.",
            }
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def line(self, arguments: Mapping[str, object]) -> str:
        """Return the command line for some arguments. Raises UsageError.

        Every value is quoted, and stands where it can't become a flag, a confirmation among them.
        """
        by_name = {parameter.name: parameter for parameter in self.parameters}
        unknown = [name for name in arguments if name not in by_name and name not in self._own]
        if unknown:
            raise UsageError(f"The tool `{self.name}` takes no `{unknown[0]}`.")
        words = [self.verb, *([self.fixed] if self.fixed else [])]
        # In the order of the parameters: what stands after a bare `--` comes last.
        for parameter in self.parameters:
            value = arguments.get(parameter.name)
            if value is not None and parameter.kind is not Kind.PAIRS:
                words += parameter.read(value)
        if self.confirmable and self.is_confirmed(arguments):
            words.append("--yes")
        for parameter in self.parameters:
            value = arguments.get(parameter.name)
            if value is not None and parameter.kind is Kind.PAIRS:
                words += parameter.read(value)
        return " ".join(words)

    @property
    def _own(self) -> tuple[str, ...]:
        return (CHANNEL, CONFIRM) if self.confirmable else (CHANNEL,)

    def is_confirmed(self, arguments: Mapping[str, object]) -> bool:
        """Return whether the caller confirms the act. Raises UsageError for a value that is not true or false."""
        value = arguments.get(CONFIRM, False)
        if not isinstance(value, bool):
            raise UsageError(f"`{CONFIRM}` takes true or false.")
        return value


def _flag(name: str, flag: str, meaning: str, *, choices: tuple[str, ...] = ()) -> Parameter:
    return Parameter(
        name=name,
        kind=Kind.TEXT,
        meaning=meaning,
        words=lambda value: [f"--{flag}={shlex.quote(value)}"],
        choices=choices,
    )


def _switch(name: str, flag: str, meaning: str) -> Parameter:
    return Parameter(name=name, kind=Kind.SWITCH, meaning=meaning, words=lambda _value: [f"--{flag}"])


def _address(value: str) -> list[str]:
    if not value.startswith(("https://", "http://")) or any(char.isspace() for char in value):
        raise UsageError("`url` takes an address that begins with https://.")
    return [shlex.quote(value)]


def _pattern(value: str) -> list[str]:
    if value.startswith("-"):
        raise UsageError("A pattern does not begin with a dash.")
    return [shlex.quote(value)]


def _parameters_of(pairs: list[str]) -> list[str]:
    return ["--", *(shlex.quote(pair) for pair in pairs)] if pairs else []


_PIPELINE = _flag("pipeline", "pipeline", "Name of the pipeline, a unique part of it, or connection:path.")
_REF = _flag("ref", "ref", "Branch, tag:NAME, pr:NUMBER or a commit's SHA.")
_BUILD = _flag("build", "build", "Number of the build, or last, running, failed, green.")
_URL = Parameter(
    name="url",
    kind=Kind.TEXT,
    meaning="Address of any page of the build or pipeline, instead of the others.",
    words=_address,
)
_TARGET = (_URL, _PIPELINE, _REF, _BUILD)
_COUNT = Parameter(name="count", kind=Kind.COUNT, meaning="How many.", words=lambda count: ["-n", str(count)])

TOOLS: tuple[Tool, ...] = (
    Tool(
        name="status",
        verb="status",
        meaning="State of a pipeline, of all linked pipelines (scope all), or of the person's own builds (scope mine).",
        parameters=(
            Parameter(
                name="scope",
                kind=Kind.TEXT,
                meaning="all or mine, instead of a pipeline.",
                words=lambda scope: [scope],
                choices=("all", "mine"),
            ),
            _URL,
            _PIPELINE,
            _REF,
        ),
    ),
    Tool(
        name="pipelines",
        verb="list",
        fixed="pipelines",
        meaning="The pipelines of all connected CI systems, by name.",
        parameters=(Parameter(name="pattern", kind=Kind.TEXT, meaning="Part of the name.", words=_pattern),),
    ),
    Tool(
        name="builds",
        verb="last",
        meaning="The newest builds of a pipeline, newest first.",
        parameters=(_URL, _PIPELINE, _REF, _COUNT, _flag("state", "state", "Only builds of a state, such as failed.")),
    ),
    Tool(name="show", verb="show", meaning="One build with its jobs and issue counts.", parameters=_TARGET),
    Tool(
        name="logs",
        verb="logs",
        meaning="The end of the log of a build or of one of its jobs, secrets masked.",
        parameters=(
            *_TARGET,
            _flag("job", "job", "Name of the job."),
            _flag("grep", "grep", "Only lines that hold this text."),
            Parameter(name="tail", kind=Kind.COUNT, meaning="How many lines.", words=lambda count: [f"--tail={count}"]),
            _switch("errors", "errors", "Only lines that look like errors."),
        ),
    ),
    Tool(
        name="tests",
        verb="tests",
        meaning="The failed tests of a build.",
        parameters=(
            *_TARGET,
            _switch("new", "new", "Only tests that passed before."),
            _switch("slow", "slow", "The slowest tests instead."),
            _switch("all", "all", "All tests."),
        ),
    ),
    Tool(
        name="issues",
        verb="issues",
        meaning="Errors and warnings of a build.",
        parameters=(
            *_TARGET,
            _switch("new", "new", "Only issues that the build before did not have."),
            _flag("severity", "severity", "Only of one severity.", choices=("error", "warning", "analyzer", "test")),
        ),
    ),
    Tool(
        name="why",
        verb="why",
        meaning="The probable cause of a failure: first failing job, its error, what changed since the last green build.",
        parameters=_TARGET,
    ),
    Tool(name="changes", verb="changes", meaning="The commits since the last green build.", parameters=_TARGET),
    Tool(name="artifacts", verb="artifacts", meaning="The files that a build produced.", parameters=_TARGET),
    Tool(
        name="stats",
        verb="stats",
        meaning="Success rate and durations of a pipeline.",
        parameters=(_PIPELINE, _REF, _flag("since", "since", "How far back, such as 30d.")),
    ),
    Tool(
        name="approvals",
        verb="approvals",
        meaning="The builds that wait for a person's approval. Programs can't approve.",
        parameters=(_PIPELINE,),
    ),
    Tool(
        name="run",
        verb="run",
        meaning="Start a build. With dry_run it says what would be started and starts nothing.",
        scope=TokenScope.ACT,
        parameters=(
            _PIPELINE,
            _REF,
            _flag("commit", "commit", "A commit of the branch."),
            _flag("message", "message", "Why the build is started."),
            _flag("preset", "preset", "Name of a parameter preset of the channel."),
            _switch("dry_run", "dry-run", "Start nothing."),
            Parameter(
                name="parameters",
                kind=Kind.PAIRS,
                meaning="Parameters of the pipeline, by name.",
                words=_parameters_of,
            ),
        ),
    ),
    Tool(
        name="retry",
        verb="retry",
        meaning="Run the failed jobs of a build again, or all, or one.",
        scope=TokenScope.ACT,
        confirmable=True,
        parameters=(
            *_TARGET,
            _flag("job", "job", "Only the job of this name."),
            _switch("all", "all", "All jobs, not only the failed ones."),
        ),
    ),
    Tool(
        name="rebuild",
        verb="rebuild",
        meaning="Build the commit of a build once more, as a new build.",
        scope=TokenScope.ACT,
        confirmable=True,
        parameters=_TARGET,
    ),
    Tool(
        name="cancel",
        verb="cancel",
        meaning="Stop a running build. Builds of other people need confirm.",
        scope=TokenScope.ACT,
        confirmable=True,
        is_destructive=True,
        parameters=(*_TARGET, _flag("reason", "reason", "Why, for the people who see it.")),
    ),
)
