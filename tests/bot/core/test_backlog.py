import asyncio
from contextlib import ExitStack

import pytest

from bot.core.backlog import Backlog


async def begun(backlog: Backlog, count: int) -> tuple[list[int], asyncio.Event, list[asyncio.Task[None]]]:
    """Return which of `count` works have begun, what lets them end, and their tasks."""
    started: list[int] = []
    end = asyncio.Event()

    async def work(number: int) -> None:
        async with backlog.turn():
            started.append(number)
            await end.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(count)]
    await asyncio.sleep(0)
    return started, end, tasks


async def test_at_rest_as_much_runs_at_once_as_may() -> None:
    started, end, tasks = await begun(Backlog(most=3, beside=1, many=2), 5)
    assert started == [0, 1, 2]
    end.set()
    await asyncio.gather(*tasks)
    assert started == [0, 1, 2, 3, 4]


async def test_beside_many_urgent_things_little_is_begun_and_the_rest_when_they_are_over() -> None:
    backlog = Backlog(most=3, beside=1, many=2, busy_seconds=0.01)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(backlog.urgent())
        started, end, tasks = await begun(backlog, 3)
        assert started == [0]
    end.set()
    await asyncio.gather(*tasks)
    assert started == [0, 1, 2]


async def test_a_few_urgent_things_hold_nothing_up() -> None:
    backlog = Backlog(most=3, beside=1, many=2)
    with backlog.urgent(), backlog.urgent():
        started, end, tasks = await begun(backlog, 3)
        assert started == [0, 1, 2]
        end.set()
        await asyncio.gather(*tasks)


async def test_under_pressure_that_does_not_end_work_goes_on_one_after_the_other() -> None:
    backlog = Backlog(most=3, beside=1, many=0, busy_seconds=3600, pause_seconds=0.001)
    done: list[int] = []

    async def work(number: int) -> None:
        async with backlog.turn():
            done.append(number)

    with backlog.urgent():
        await asyncio.gather(*(work(number) for number in range(10)))
    assert done == list(range(10))


async def test_under_pressure_a_pause_passes_between_two_beginnings_even_where_the_first_has_ended() -> None:
    backlog = Backlog(most=3, beside=2, many=0, busy_seconds=3600, pause_seconds=3600)
    with backlog.urgent():
        started, end, tasks = await begun(backlog, 2)
        end.set()
        await tasks[0]
        await asyncio.sleep(0)
        assert started == [0]
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_is_cancelled_while_waiting_leaves_its_place_to_the_next() -> None:
    backlog = Backlog(most=1, beside=1)
    started, end, tasks = await begun(backlog, 3)
    tasks[1].cancel()
    end.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert started == [0, 2]


async def test_who_is_cancelled_when_its_turn_has_just_come_passes_it_on() -> None:
    backlog = Backlog(most=1, beside=1)
    first = backlog.turn()
    await first.__aenter__()
    started, end, tasks = await begun(backlog, 2)
    await first.__aexit__(None, None, None)
    tasks[0].cancel()
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert started == [1]


async def test_work_that_fails_gives_its_place_back() -> None:
    backlog = Backlog(most=1, beside=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            async with backlog.turn():
                raise ValueError("no")
    async with asyncio.timeout(1), backlog.turn():
        pass
