"""Reading many things while the budget lasts: what is kept, what is left, what is raised."""

import asyncio

import pytest

from bot.core.errors import BudgetSpent, NotFound, ProviderError, Unavailable, UnexpectedResponse
from bot.providers.base import partial
from bot.providers.base.partial import first_error, in_turn, read_some

SPENT = BudgetSpent("Too little is left.", provider="Works", retry_after=30)
AWAY = Unavailable("No answer.", provider="Works")


class Source:
    """Answers with the number, after the errors that were set."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.read: list[str] = []

    async def get(self, name: str) -> str:
        """Return the name in capitals."""
        self.read.append(name)
        await asyncio.sleep(0)
        if name in self.errors:
            raise self.errors[name]
        return name.upper()


@pytest.mark.parametrize("at_once", [1, 3])
async def test_what_was_read_is_kept_in_order_and_nothing_more_is_sent_once_the_budget_ends(at_once: int) -> None:
    source = Source(**dict.fromkeys("cdefghij", SPENT))
    reading = await read_some("abcdefghij", source.get, at_once=at_once)
    assert reading.answers == (("a", "A"), ("b", "B"))
    assert reading.left == tuple("cdefghij")
    assert reading.error is SPENT
    assert len(source.read) <= 2 + at_once


async def test_nothing_of_a_group_is_answered_after_one_that_is_left() -> None:
    source = Source(a1=AWAY)
    reading = await read_some(["a1", "b1", "a2", "b2"], source.get, group=lambda name: name[0], at_once=4)
    assert reading.results == ["B1", "B2"]
    assert reading.left == ("a1", "a2")
    assert reading.error is AWAY


async def test_one_that_does_not_answer_stops_no_other_but_three_are_an_outage() -> None:
    source = Source(b=AWAY, d=AWAY, f=AWAY)
    reading = await read_some("abcdefgh", source.get)
    assert reading.results == ["A", "C", "E"]
    assert source.read == list("abcdef")


async def test_other_errors_are_raised_when_what_was_begun_has_ended() -> None:
    source = Source(a=NotFound("gone", provider="Works"))
    with pytest.raises(NotFound):
        await read_some("abc", source.get, at_once=3)
    assert source.read == ["a", "b", "c"]


async def test_a_long_reading_ends_before_the_poll_does_but_reads_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "READ_SECONDS", -1.0)
    reading = await read_some("abc", Source().get)
    assert (reading.results, reading.left, reading.error) == (["A"], ("b", "c"), None)


def test_what_was_behind_comes_first() -> None:
    assert in_turn({"a", "b", "c", "d"}, ("c", "d", "gone")) == ["c", "d", "a", "b"]


def test_the_first_error_is_the_reason() -> None:
    errors: list[ProviderError | None] = [None, AWAY, SPENT]
    assert first_error(*errors) is AWAY


async def test_answer_that_does_not_read_holds_back_nothing_else_of_its_group() -> None:
    async def read(item: int) -> int:
        if item == 2:
            raise UnexpectedResponse("odd", provider="CI")
        return item * 10

    reading = await read_some([1, 2, 3], read, group=lambda _item: "all")
    assert (reading.results, reading.odd, reading.left, reading.error) == ([10, 30], (2,), (), None)
    with pytest.raises(UnexpectedResponse):
        await read_some([2], read)
