"""What a command costs, counted and not timed: a change that doubles a number fails here.

Counted at the driver: every statement and every transaction that SQLite gets, whichever way the store takes.
"""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.models import Pipeline
from bot.store import Store
from commands.core.context import Context, Source
from commands.slack.app import SlackApp
from tests.commands.fakes import FakeProvider, RecordingSender
from tests.counting import Spent, spent

__all__ = ["spent"]

URL = "https://slack.example/response/1"


@pytest.fixture
async def store(spent: Spent, store: Store) -> Store:
    """Return the store, with connections that are counted."""
    await store._engine.dispose()
    return store


# Whatever shows builds reads the rows of their attempts (one query for all), a status who holds the pipeline, too.
# A bare number is looked for in each pipeline of the channel; an act looks for the cards of commits that show the build.
# The words, then at most: statements, transactions, calls of Slack, calls of the CI system.
CEILINGS = {
    "version": (1, 1, 1, 0),
    "help": (4, 4, 3, 0),
    "status": (5, 4, 1, 1),
    "status app": (5, 4, 1, 1),
    "list pipelines": (5, 3, 1, 1),
    "list subscriptions": (1, 1, 1, 0),
    "last": (6, 4, 2, 1),
    "show #41": (6, 4, 1, 1),
    "logs #41": (5, 4, 1, 2),
    "me": (5, 5, 2, 0),
    "cancel #41 --yes": (13, 8, 3, 3),
    "mute 1h": (4, 4, 4, 0),
}


@pytest.mark.parametrize("words", CEILINGS)
async def test_a_command_costs_no_more_than_its_ceiling(
    words: str,
    spent: Spent,
    slack_app: SlackApp,
    sender: RecordingSender,
    works: FakeProvider,
    app: Pipeline,
    context_of: Callable[..., Context],
    linked: Callable[..., Awaitable[object]],
    recorded: Callable[..., Awaitable[None]],
) -> None:
    await linked()
    await recorded(works.running(app, 41))
    count_calls(works, spent)
    before = len(sender.said)
    spent.clear()
    await slack_app.answer(words, context_of(response_url=URL, source=Source.SLASH))
    counted = (len(spent.statements), spent.transactions, len(sender.said) - before, len(spent.vendor))
    detail = "\n".join((f"{words}: {counted}", *spent.statements, *spent.vendor))
    assert all(number <= most for number, most in zip(counted, CEILINGS[words], strict=True)), detail


def count_calls(works: FakeProvider, spent: Spent) -> None:
    """Note each call of the CI system."""
    trouble = works._trouble

    def noted(method: str) -> None:
        spent.vendor.append(method)
        trouble(method)

    works._trouble = noted  # type: ignore[method-assign] # counts, and does what it did


async def test_status_of_a_channel_without_links_asks_no_vendor(
    spent: Spent, slack_app: SlackApp, sender: RecordingSender, works: FakeProvider, context_of: Callable[..., Context]
) -> None:
    count_calls(works, spent)
    spent.clear()
    await slack_app.answer("status", context_of(response_url=URL, source=Source.SLASH))
    assert len(spent.statements) <= 2, spent.statements
    assert len(sender.said) == 1
    assert not spent.vendor
