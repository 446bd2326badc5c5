"""What a poll costs, counted and not timed: a change that doubles a number fails here."""

from bot.store import Store
from tests.bot.monitoring.test_poller import Harness
from tests.bot.store.rows import PIPELINE, ended
from tests.counting import Spent, spent
from tests.set_clock import SetClock

__all__ = ["spent"]

STATEMENTS, TRANSACTIONS = 12, 8


async def test_a_poll_that_finds_nothing_new_costs_a_few_statements_however_many_builds_it_finds(
    spent: Spent, store: Store, set_clock: SetClock
) -> None:
    await store._engine.dispose()
    harness = Harness(store, set_clock)
    await harness.follow()
    counted = []
    for builds in (2, 40):
        harness.works.history[PIPELINE] = [ended(id=f"b{number}", number=number) for number in range(1, builds + 1)]
        for _ in range(3):
            await harness.tick(seconds=70)
        spent.clear()
        assert await harness.tick(seconds=70)
        counted.append((len(spent.statements), spent.transactions))
    few, many = counted
    assert many == few, spent.statements
    assert few[0] <= STATEMENTS, spent.statements
    assert few[1] <= TRANSACTIONS, spent.statements
