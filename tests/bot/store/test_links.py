import asyncio

import pytest

from bot.core.errors import NotLinked, UsageError
from bot.core.models import Pipeline
from bot.store import Store
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, key, link, notification


async def test_what_a_channel_follows_comes_oldest_first(store: Store) -> None:
    for pipeline in ("p-z", "p-a"):
        await store.links.save(link(pipeline=pipeline))
    await store.links.save(link(channel="C2"))
    await store.links.save(link(team="T2"))
    assert [row.pipeline for row in await store.links.of_channel(TEAM, CHANNEL)] == ["p-z", "p-a"]
    assert [(row.team, row.channel) for row in await store.links.of_pipeline(CONNECTION, PIPELINE)] == [
        (TEAM, "C2"),
        ("T2", CHANNEL),
    ]
    assert len(await store.links.all()) == 4
    assert [row.team for row in await store.links.all("T2")] == ["T2"]


async def test_a_link_saved_again_is_the_same_link_of_the_same_maker(store: Store) -> None:
    first = await store.links.save(link())
    again = await store.links.save(link(name="App 2", alias="app", created_by="U2"))
    assert first.id is not None
    assert (again.id, again.name, again.created_by, again.created_at) == (first.id, "App 2", "U1", NOW)
    assert await store.links.get(first.id) == again
    assert await store.links.get(99) is None


async def test_a_link_keeps_the_name_of_what_its_pipeline_stands_in_when_pipelines_are_listed_again(
    store: Store,
) -> None:
    await store.links.save(link(name="Aurora / Nightly", path="Aurora/Nightly"))
    nightly = Pipeline(id=PIPELINE, path="Aurora/Nightly", name="Nightly", group="Aurora")
    assert await store.pipelines.save(CONNECTION, [nightly], NOW, complete=True) == []
    moved = Pipeline(id=PIPELINE, path="Borealis/Nightly", name="Nightly", group="Borealis")
    changed = await store.pipelines.save(CONNECTION, [moved], NOW, complete=True)
    assert [(row.name, row.path) for row in changed] == [("Borealis / Nightly", "Borealis/Nightly")]


async def test_a_channel_has_one_default(store: Store) -> None:
    one = await store.links.save(link(pipeline="p-1", is_default=True))
    two = await store.links.save(link(pipeline="p-2", is_default=True))
    elsewhere = await store.links.save(link(channel="C2", is_default=True))
    assert [row.is_default for row in await store.links.of_channel(TEAM, CHANNEL)] == [False, True]
    await store.links.update(one.id or 0, is_default=True)
    assert [row.is_default for row in await store.links.of_channel(TEAM, CHANNEL)] == [True, False]
    kept = await store.links.get(elsewhere.id or 0)
    assert kept is not None
    assert kept.is_default
    assert two.is_default


async def test_two_who_choose_a_default_at_once_leave_one(store: Store, other: Store) -> None:
    rows = [await store.links.save(link(pipeline=f"p-{number}")) for number in range(6)]
    await asyncio.gather(
        *(one.links.update(row.id or 0, is_default=True) for row, one in zip(rows, (store, other) * 3, strict=True))
    )
    assert sum(row.is_default for row in await store.links.of_channel(TEAM, CHANNEL)) == 1


async def test_an_alias_stands_for_one_pipeline_in_a_channel(store: Store) -> None:
    await store.links.save(link(pipeline="p-1", path="one", alias="app"))
    other_link = await store.links.save(link(pipeline="p-2", channel="C2", alias="app"))
    second = await store.links.save(link(pipeline="p-2"))
    with pytest.raises(UsageError, match="`APP` already stands for one"):
        await store.links.update(second.id or 0, alias="APP")
    with pytest.raises(UsageError):
        await store.links.save(link(pipeline="p-3", alias="app"))
    assert [row.alias for row in await store.links.of_channel(TEAM, CHANNEL)] == ["app", ""]
    assert other_link.alias == "app"


async def test_fields_of_a_link_are_set_and_others_refused(store: Store) -> None:
    row = await store.links.save(link())
    changed = await store.links.update(row.id or 0, filters="--on failures", subscribed=False)
    assert (changed.filters, changed.subscribed, changed.name) == ("--on failures", False, "App")
    assert await store.links.update(row.id or 0) == changed
    with pytest.raises(ValueError, match="team"):
        await store.links.update(row.id or 0, team="T9")
    with pytest.raises(NotLinked):
        await store.links.update(99, filters="")


async def test_an_unlinked_pipeline_has_nothing_more_to_say(store: Store) -> None:
    row = await store.links.save(link())
    await store.notifications.add(
        [
            notification(link=row.id),
            notification("b2", link=row.id, state="held"),
            notification("b3", link=row.id, state="sent"),
            notification("b4", link=77),
        ]
    )
    await store.links.delete(row.id or 0)
    await store.links.delete(row.id or 0)
    assert await store.links.of_channel(TEAM, CHANNEL) == []
    states = [(await store.notifications.of_build(key(build)))[0].state for build in ("b1", "b2", "b3", "b4")]
    assert states == ["silent", "silent", "sent", "pending"]
    assert "unlinked" in (await store.notifications.of_build(key()))[0].reason


async def test_links_of_a_channel_are_paused_once_with_the_reason_and_resumed(store: Store) -> None:
    for pipeline in ("p-1", "p-2"):
        await store.links.save(link(pipeline=pipeline))
    await store.links.save(link(channel="C2"))
    assert [row.pipeline for row in await store.links.pause(TEAM, CHANNEL, "the channel is archived")] == ["p-1", "p-2"]
    assert await store.links.pause(TEAM, CHANNEL, "again") == []
    assert {row.paused_reason for row in await store.links.of_channel(TEAM, CHANNEL)} == {"the channel is archived"}
    assert {row.paused_reason for row in await store.links.of_channel(TEAM, "C2")} == {""}
    assert [row.pipeline for row in await store.links.resume(TEAM, CHANNEL)] == ["p-1", "p-2"]
    assert await store.links.resume(TEAM, CHANNEL) == []
    assert {row.paused_reason for row in await store.links.of_channel(TEAM, CHANNEL)} == {""}
