import asyncio

from bot.scheduler import Schedule


async def test_ticks_run_one_at_a_time_and_end_with_the_clock() -> None:
    running = 0
    most = 0
    ticked = asyncio.Event()
    runs = 0

    async def tick() -> None:
        nonlocal running, most, runs
        running += 1
        most = max(most, running)
        runs += 1
        for _turn in range(50):
            await asyncio.sleep(0)
        running -= 1
        if runs == 3:
            ticked.set()

    clock = Schedule({"often": (0.001, tick)})
    clock.stop()
    states = [clock.running]
    clock.start()
    states.append(clock.running)
    async with asyncio.timeout(10):
        await ticked.wait()
    clock.stop()
    await asyncio.sleep(0)
    states.append(clock.running)
    assert states == [False, True, False]
    assert most == 1
