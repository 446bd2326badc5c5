"""Any words at all, for every command: typed arguments or a refusal in words, and what a form says of itself reads back."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.errors import BotError
from commands.core.grammar import clean
from commands.core.registry import Command
from commands.registry import REGISTRY
from tests.conftest import FUZZ

ODD = st.text(
    alphabet=st.one_of(st.sampled_from("<>@#!|&;:=-—\"'“”‘’\\ \t\n\u00a0\u200b/.,²٣~^%*?"), st.characters()),
    max_size=20,
)
USUAL = st.sampled_from(
    [
        "app", "app@main", "#12", "app#12", "works:app", "~", "--", "--yes", "--for", "2h", "--ref=main", "KEY=value", "KEY=",
        "<@U1>", "<#C1|ios>", "<!subteam^S1|@mobile>", "https://ci.example/app/1", "daily", "7:00", "every", "weekdays", "at",
        "99999999999999999999", "-1", "on", "off", "new", "remove", "main..dev", "release/*", "'", '"a b"', "@tag:v1", "@pr:7",
        "\ud83d\ude00", "\ufffd", "x" * 3000,
    ]
)  # fmt: skip
FLAGS = sorted({name for command in REGISTRY.commands for name, _words in command.flags})
LINES = st.lists(st.one_of(USUAL, ODD, st.sampled_from(FLAGS)), max_size=6).map(" ".join)


@settings(max_examples=500 * FUZZ)
@given(command=st.sampled_from(REGISTRY.commands), line=LINES)
def test_any_words_are_arguments_or_refused_in_words(command: Command[Any, Any], line: str) -> None:
    with contextlib.suppress(BotError):
        args = command.parse(clean(line))
        command.changes(args)
        spoken = command.spoken(args)
        assert command.spoken(command.parse(clean(spoken))) == spoken


@given(verb=st.one_of(st.sampled_from([command.verb for command in REGISTRY.commands]), ODD), line=LINES)
def test_any_line_names_a_command_or_is_answered_in_words(verb: str, line: str) -> None:
    with contextlib.suppress(BotError):
        command, words = REGISTRY.split(clean(f"{verb} {line}"))
        assert command in REGISTRY.commands
        assert isinstance(words, str)
