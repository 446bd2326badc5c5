"""`--form` opens the form of every verb that has one, with what was typed beside it."""

import json
from typing import Any

import pytest

from commands.core.context import Source
from commands.core.executor import Outcome
from commands.core.grammar import without_switch
from commands.core.registry import Command
from commands.registry import REGISTRY
from tests.commands.fakes import ADMIN, FakeProvider
from tests.commands.modals import Modal
from tests.commands.reading import Linked, Say, buttons

WITH_FORM = [command for command in REGISTRY.commands if command.form is not None]
WORDS = {"credentials": "credentials works"}


@pytest.mark.parametrize("command", WITH_FORM, ids=lambda command: command.verb)
async def test_the_flag_opens_the_form_and_help_says_so(command: Command[Any, Any], say: Say, linked: Linked) -> None:
    await linked()
    words = f"{WORDS.get(command.verb, command.verb)} --form"
    handled = await say(words, user=ADMIN, trigger="t")
    assert handled.answer.form is not None
    assert any(flag == "--form" for flag, _meaning in command.flags) or command.verb in {"connect", "import"}


@pytest.mark.parametrize("command", WITH_FORM, ids=lambda command: command.verb)
async def test_where_no_form_opens_a_press_opens_it_and_nothing_is_done(
    command: Command[Any, Any], say: Say, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    handled = await say(f"{WORDS.get(command.verb, command.verb)} --form", user=ADMIN, source=Source.MENTION)
    (words,) = buttons(handled).values()
    assert words.split()[0] == command.verb
    assert words.endswith("--form")
    assert works.acts == []


def test_every_verb_whose_form_opens_by_itself_takes_the_flag() -> None:
    default = Command.__dataclass_fields__["opens"].default
    opens = {command.verb for command in REGISTRY.commands if command.opens is not default}
    assert opens - {command.verb for command in WITH_FORM} == {"schedule", "workflow", "product"}


async def test_a_verb_without_a_form_says_so(say: Say, linked: Linked) -> None:
    await linked()
    handled = await say("status --form", trigger="t")
    assert handled.outcome is Outcome.REFUSED
    assert "`--form`" in str(handled.error)


async def test_a_program_that_asks_for_a_form_gets_no_build_instead(
    say: Say, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    handled = await say("run app --form", user=ADMIN, source=Source.TERMINAL)
    assert "can't be opened from here" in str(handled.error)
    assert works.acts == []


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("subscribe app --on failed --form", "failed"),
        ("mute app 3h --form", "180m"),
        ("run app@release/2.1 ENV=qa --message 'Try again' --form", "Try again"),
        ("link app as mobile --form", "mobile"),
        ("quiet 21:00-06:30 --form", "21:00-06:30"),
    ],
)
async def test_what_was_typed_stands_in_the_form(words: str, shown: str, modal: Modal, linked: Linked) -> None:
    await linked()
    modal.user = ADMIN
    await modal.open(words)
    assert shown in json.dumps(modal.sender.view["blocks"])


async def test_a_reason_that_was_typed_goes_with_the_form(modal: Modal, linked: Linked) -> None:
    await linked()
    modal.user = ADMIN
    await modal.open("cancel --reason 'wrong branch' --form")
    assert "wrong branch" in modal.sender.view["private_metadata"]


@pytest.mark.parametrize(
    ("line", "rest", "stood"),
    [
        ("run web --form", "run web", True),
        ("--FORM web", "web", True),
        ("run web --message '--form'", "run web --message '--form'", False),
        ('run web --message "say --form now" --form', 'run web --message "say --form now"', True),
        ("run web -- --form=1", "run web -- --form=1", False),
        ("run web --format", "run web --format", False),
        ("", "", False),
    ],
)
def test_only_a_word_of_its_own_is_the_switch(line: str, rest: str, stood: bool) -> None:
    assert without_switch(line, "form") == (rest, stood)
