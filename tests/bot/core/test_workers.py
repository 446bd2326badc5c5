"""Large texts are worked on beside the event loop, small ones at once."""

import threading

import pytest

from bot.core.workers import SMALL, in_worker
from bot.providers.base.logs import LOG_TAIL_BYTES, PIECE_CHARACTERS, clean_log, cleaned_log


def where(_text: str) -> str:
    return threading.current_thread().name


async def test_a_large_text_is_worked_on_in_another_thread() -> None:
    here = threading.current_thread().name
    assert await in_worker(where, "x" * SMALL) == here
    assert (await in_worker(where, "x" * (SMALL + 1))).startswith("text")


async def test_what_goes_wrong_in_the_worker_is_raised_to_the_caller() -> None:
    def broken(_text: str) -> str:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await in_worker(broken, "x" * (SMALL + 1))


async def test_a_long_log_is_cleaned_in_pieces_and_reads_as_one() -> None:
    lines = [f"\x1b[32m{number}\x1b[0m {'x' * 90}\r\n" for number in range(2 * PIECE_CHARACTERS // 100)]
    whole = "".join(lines)
    assert len(whole) > LOG_TAIL_BYTES
    expected = "".join(f"{number} {'x' * 90}\n" for number in range(len(lines)))
    assert clean_log(whole) == expected
    assert await cleaned_log(whole.encode()) == expected
