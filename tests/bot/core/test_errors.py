import inspect

import pytest

from bot.core import errors
from bot.core.errors import (
    Ambiguous,
    AuthFailed,
    BotError,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
    UsageError,
)


def test_every_error_is_one_that_is_shown_to_a_person() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(kinds) > 10
    assert all(issubclass(kind, BotError) for kind in kinds)


def test_an_error_reads_as_its_sentence_and_may_hold_a_hint() -> None:
    assert str(BotError("That went wrong.")) == "That went wrong."
    assert BotError("That went wrong.").hint is None
    assert BotError("x", hint="Try again.").hint == "Try again."
    assert BotError("x").message == "x"


def test_an_error_of_usage_carries_its_line_of_help() -> None:
    wrong = UsageError("Which build?", usage="/build cancel <build>", hint="Name one.")
    assert (wrong.usage, wrong.hint) == ("/build cancel <build>", "Name one.")


def test_a_choice_between_things_carries_the_words_that_pick_each() -> None:
    several = Ambiguous("Which one?", choices=(("app", "gl:app"), ("api", "gl:api")))
    assert several.choices[1] == ("api", "gl:api")


@pytest.mark.parametrize("kind", [AuthFailed, NotFound, Rejected, Unsupported, UnexpectedResponse])
def test_an_error_of_a_system_says_whose_it_is(kind: type[ProviderError]) -> None:
    said = kind("No.", provider="Hudson", status=403, hint="Ask an admin.")
    assert (said.provider, said.status, said.hint, str(said)) == ("Hudson", 403, "Ask an admin.", "No.")


def test_a_limit_says_how_long_and_an_outage_whether_it_may_have_acted() -> None:
    assert RateLimited("Wait.", provider="Hudson", retry_after=3.5).retry_after == 3.5
    assert not Unavailable("Gone.", provider="Hudson").acted
    assert Unavailable("Gone.", provider="Hudson", acted=True, status=502).acted
