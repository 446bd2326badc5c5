"""Chained commands, followed logs and feeds: each is claimed by one process, whichever comes first."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import UsageError
from bot.core.models import Conclusion
from bot.store import Store
from bot.store.rows import NewChain, NewLogFollow
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ended, running

CHAIN = NewChain(
    team=TEAM,
    channel=CHANNEL,
    user="U1",
    connection=CONNECTION,
    pipeline=PIPELINE,
    build="b1",
    label="web #1",
    command="run deploy",
    until=NOW + timedelta(days=3),
    made_at=NOW,
)
FOLLOW = NewLogFollow(
    team=TEAM,
    channel=CHANNEL,
    ts="1.1",
    user="U1",
    connection=CONNECTION,
    pipeline=PIPELINE,
    build="b1",
    job="j1",
    label="web",
    due_at=NOW,
    until=NOW + timedelta(hours=6),
)


async def test_a_chained_command_is_claimed_once_and_only_when_its_build_has_ended(store: Store, other: Store) -> None:
    row = await store.chains.add(CHAIN)
    await store.chains.add(replace(CHAIN, build="b2"))
    await store.recording.record([running("b1"), running("b2")], now=NOW)
    assert await store.chains.claim(NOW) is None
    await store.recording.record([ended("b1", conclusion=Conclusion.FAILED)], now=NOW)
    claims = await asyncio.gather(*(each.chains.claim(NOW) for each in (store, other, store)))
    (claimed,) = [claim for claim in claims if claim is not None]
    assert claimed[0] == row
    assert claimed[1] is not None
    assert claimed[1].conclusion is Conclusion.FAILED


async def test_a_chained_command_whose_time_is_over_is_claimed_without_a_build(store: Store) -> None:
    row = await store.chains.add(CHAIN)
    assert await store.chains.claim(CHAIN.until - timedelta(seconds=1)) is None
    assert await store.chains.claim(CHAIN.until) == (row, None)


async def test_a_chained_command_keeps_no_secret(store: Store) -> None:
    with pytest.raises(UsageError):
        await store.chains.add(replace(CHAIN, command="run deploy TOKEN=ghp_" + "a1B2" * 9))


async def test_a_followed_log_is_due_once_in_a_while(store: Store, other: Store) -> None:
    row = await store.log_follows.add(FOLLOW)
    again = timedelta(seconds=15)
    for now in (NOW, NOW + again):
        claims = [await each.log_follows.claim(now, again=again, limit=5) for each in (store, other)]
        assert [[claimed.id for claimed in claim] for claim in claims] == [[row.id], []]
    await store.log_follows.remove(replace(row, due_at=NOW + 2 * again))
    assert await store.log_follows.of_channel(TEAM, CHANNEL) == []
