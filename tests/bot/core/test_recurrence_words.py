"""What people type for when something recurs."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.core.recurrence import Daily, Interval, parse_rule
from bot.core.recurrence_words import parse_recurrence

WEEKDAYS, WEEKEND = frozenset(range(5)), frozenset({5, 6})
HOURLY = Interval(60, on_the_hour=True)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("weekdays 7:00", Daily(time(7), WEEKDAYS)),
        ("Weekdays at 7:05", Daily(time(7, 5), WEEKDAYS)),
        ("weekends 10", Daily(time(10), WEEKEND)),
        ("daily 9:30", Daily(time(9, 30))),
        ("daily 0:00", Daily(time(0))),
        ("9:30", Daily(time(9, 30))),
        ("every day at 9", Daily(time(9))),
        ("everyday 9", Daily(time(9))),
        ("mon 18:00", Daily(time(18), frozenset({0}))),
        ("weekly mon 9:00", Daily(time(9), frozenset({0}))),
        ("every Monday 9:00", Daily(time(9), frozenset({0}))),
        ("mondays 9:00", Daily(time(9), frozenset({0}))),
        ("mon,wed 18:30", Daily(time(18, 30), frozenset({0, 2}))),
        ("wed, mon and sun 18:30", Daily(time(18, 30), frozenset({0, 2, 6}))),
        ("mon-fri 9:00", Daily(time(9), WEEKDAYS)),
        ("fri-mon 9:00", Daily(time(9), frozenset({4, 5, 6, 0}))),
        ("hourly", HOURLY),
        ("every hour", HOURLY),
        ("every 1 hour", Interval(60)),
        ("every 2 hours", Interval(120)),
        ("every 5 hours", Interval(300)),
        ("every 23 hours", Interval(1380)),
        ("every 24 hours", Interval(1440)),
        ("3h", Interval(180)),
        ("every 15 minutes", Interval(15)),
        ("every 45 minutes", Interval(45)),
        ("every 90 minutes", Interval(90)),
        ("every 90m", Interval(90)),
        ("every 1.5 hours", Interval(90)),
        ("1h 30m", Interval(90)),
        ("every 1 hour and 30 minutes", Interval(90)),
        ("5 min", Interval(5)),
        ("every 168 hours", Interval(10080)),
    ],
)
def test_words_are_read(words: str, rule: Daily | Interval) -> None:
    assert parse_recurrence(words) == rule


@pytest.mark.parametrize("words", ["", "noon", "mon", "never", "every", "whenever 9:0x", "every day", "every week"])
def test_words_that_mean_no_time_are_answered_with_examples(words: str) -> None:
    with pytest.raises(UsageError, match="I don't understand the time") as refused:
        parse_recurrence(words)
    assert "`weekdays 7:00`" in (refused.value.hint or "")


@pytest.mark.parametrize("words", ["25:00", "daily 24:00", "weekdays 7:60", "mon,wed 7:5", "daily 99"])
def test_what_is_no_time_of_day_is_named_with_an_example(words: str) -> None:
    clock = words.rpartition(" ")[2]
    with pytest.raises(UsageError, match=f"`{clock}` is no time of day") as refused:
        parse_recurrence(words)
    assert "`daily 9:00`" in (refused.value.hint or "")


@pytest.mark.parametrize("words", ["monster 9:00", "mon-holiday 9:00", "mon,, 9:00", "day after 9:00"])
def test_unknown_days_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="know the days") as refused:
        parse_recurrence(words)
    assert refused.value.hint


def test_a_week_without_a_day_is_asked_for_one() -> None:
    with pytest.raises(UsageError, match="On which day") as refused:
        parse_recurrence("weekly 9:00")
    assert "`weekly mon 9:00`" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("words", "says", "nearest"),
    [
        ("every 4 minutes", "the shortest gap is 5 minutes", ["every 5 minutes"]),
        ("every minute", "the shortest gap is 5 minutes", ["every 5 minutes"]),
        ("every 45 seconds", "the shortest gap is 5 minutes", ["every 5 minutes"]),
        ("0 hours", "the shortest gap is 5 minutes", ["every 5 minutes"]),
        ("every 169 hours", "the longest gap is 7 days", ["every 168 hours", "weekly mon 9:00"]),
        ("every 2 weeks", "the longest gap is 7 days", ["every 168 hours"]),
        ("every 2 days", "names no time of day", ["daily 9:00", "mon,wed,fri 9:00", "every 48 hours"]),
        ("every 7.5 minutes", "no whole number of minutes", ["every 7 minutes", "every 8 minutes"]),
    ],
)
def test_a_gap_that_cannot_be_kept_is_refused_with_the_nearest_ones(words: str, says: str, nearest: list[str]) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        parse_recurrence(words)
    for fits in nearest:
        assert f"`{fits}`" in (refused.value.hint or "")
        parse_recurrence(fits)


@given(st.integers(5, 10080))
def test_every_gap_within_bounds_is_kept_as_typed(minutes: int) -> None:
    assert parse_recurrence(f"every {minutes} minutes") == Interval(minutes)
    if minutes % 60 == 0:
        assert parse_recurrence(f"every {minutes // 60} hours") == Interval(minutes)


@given(st.text(alphabet="evry 0123456789:,.-hmdws mondaily", max_size=24))
def test_any_words_are_stored_or_refused_with_a_hint(words: str) -> None:
    try:
        rule = parse_recurrence(words)
    except UsageError as exc:
        hint = exc.hint
    else:
        hint = str(rule)
        assert parse_rule(hint) == rule
    assert hint
