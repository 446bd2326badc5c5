"""How long a vendor asks us to wait."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.http.quota import retry_after
from tests.bot.http.wire import NOW


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Sun, 04 May 2031 12:00:30 GMT", 30.0),
        ("Sun, 04 May 2031 12:00:30", 30.0),
        ("Sun, 04 May 2031 11:00:00 GMT", 0.0),
        ("99999999999", 86_400.0),
        ("inf", 86_400.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Foo 999999999999 12:00:30 GMT", None),
    ],
)
def test_how_long_to_wait_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(httpx.Headers({"retry-after": value}), NOW) == seconds


def test_without_the_header_there_is_nothing_to_wait_for() -> None:
    assert retry_after(httpx.Headers(), NOW) is None


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40))
def test_any_header_is_a_wait_within_a_day_or_none(value: str) -> None:
    seconds = retry_after(httpx.Headers({"retry-after": value}), NOW)
    assert seconds is None or 0 <= seconds <= 86_400
