import asyncio
import logging

import pytest

from bot.core.tasks import Tasks


async def test_work_goes_on_beside_the_caller_and_is_waited_for() -> None:
    done: list[str] = []
    tasks = Tasks(2)

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        done.append(name)

    tasks.start(work("a"), "a")
    assert (len(tasks), tasks.free, done) == (1, 1, [])
    tasks.start(work("b"), "b")
    tasks.start(work("c"), "c")
    assert tasks.free == 0
    await tasks.drain()
    assert sorted(done) == ["a", "b", "c"]
    assert (len(tasks), tasks.free) == (0, 2)
    await tasks.drain()


async def test_a_task_that_fails_is_logged_and_takes_nothing_else_down(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    done = asyncio.Event()

    async def broken() -> None:
        raise ValueError("boom")

    async def whole() -> None:
        done.set()

    tasks.start(broken(), "look at works")
    tasks.start(whole(), "whole")
    with caplog.at_level(logging.ERROR):
        await tasks.drain()
    assert done.is_set()
    (record,) = caplog.records
    assert record.getMessage() == "a task failed"
    assert vars(record)["task"] == "look at works"


async def test_what_takes_too_long_is_cancelled_and_may_tidy_up(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tidied = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            tidied.set()
            raise

    tasks.start(endless(), "endless")
    await asyncio.sleep(0)
    await tasks.drain(0)
    assert tidied.is_set()
    assert len(tasks) == 0
    assert caplog.records == []
