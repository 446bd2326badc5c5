"""The watchdog itself, and what it is there for: text from outside that is made to keep the bot busy."""

import asyncio
import io
import time
import zipfile

import pytest

from bot.core.workers import in_worker
from bot.http.reply import Reply
from bot.providers.base.logs import cleaned_log
from bot.providers.xcode_cloud.logs import BadBundle, bundle_tail
from bot.security.redaction import redact
from tests.bot.http.wire import reply
from tests.watchdog import SECONDS, Held, not_the_bot, watched

MEGABYTE = 1_000_000
ATTACKS = ("eyJ-eyJ-", "https://", "\x1b]", "token=", "a@", "\x1bP", "-----BEGIN PRIVATE KEY-----")


def busy(seconds: float) -> None:
    """Use up CPU time."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass


async def noted(longest: float, seconds: float) -> list[Held]:
    with watched(longest, everything=True) as held:
        asyncio.get_running_loop().call_soon(busy, seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return held


async def test_what_holds_the_loop_is_noted_by_its_cpu_time() -> None:
    (held,) = await noted(0.02, 0.03)
    assert held.seconds >= 0.03
    assert "busy" in held.callback
    assert await noted(0.02, 0.0) == []


async def test_what_a_stand_in_has_begun_is_left_out() -> None:
    async def counted() -> None:
        asyncio.get_running_loop().call_soon(sum, range(3_000_000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with watched(0.01) as held:
        await counted()
        assert len(held) == 1
        with not_the_bot():
            await counted()
        assert len(held) == 1


async def test_waiting_on_the_clock_is_no_cpu_time() -> None:
    with watched(0.02, everything=True) as held:
        asyncio.get_running_loop().call_soon(time.sleep, 0.03)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert held == []


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_megabyte_made_to_keep_the_bot_busy_is_cleaned_and_masked_beside_the_loop(attack: str) -> None:
    text = attack * (MEGABYTE // len(attack))
    with watched(SECONDS, everything=True) as held:
        cleaned = await cleaned_log(text.encode())
        await in_worker(redact, cleaned)
    assert held == []


async def test_the_largest_answer_of_a_vendor_is_read_in_time() -> None:
    content = b'[{"id": "x", "message": "' + b"y" * (4 * MEGABYTE) + b'"}]'
    answer: Reply = reply(200, content)
    with watched(SECONDS, everything=True) as held:
        await asyncio.sleep(0)
        assert len(answer.items()) == 1
    assert held == []


def test_a_bundle_with_too_many_entries_is_refused_before_it_is_read() -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as bundle:
        for number in range(20_000):
            bundle.writestr(f"{number}.txt", "")
    began = time.thread_time()
    with pytest.raises(BadBundle):
        bundle_tail(whole.getvalue(), 1000)
    assert time.thread_time() - began < SECONDS
