from datetime import timedelta
from typing import Any

from bot.core.models import Pipeline
from bot.store import Store
from bot.store.rows import ConnectionRow
from tests.bot.store.rows import CONNECTION, NOW

LATER = NOW + timedelta(hours=1)


def pipeline(name: str, **fields: Any) -> Pipeline:
    return Pipeline(id=f"id-{name}", path=f"works/{name}", name=name, **fields)


async def test_a_connection_made_in_slack_is_replaced_when_it_is_saved_again(store: Store) -> None:
    await store.connections.save(ConnectionRow(name="b", kind="gitlab", settings="sealed", created_at=NOW))
    await store.connections.save(ConnectionRow(name="b", kind="gitlab", settings="sealed-2", created_at=LATER))
    (row,) = await store.connections.all()
    assert (row.name, row.kind, row.settings) == ("b", "gitlab", "sealed-2")


async def test_a_deleted_connection_takes_its_pipelines_and_poll_targets_with_it(store: Store) -> None:
    for name in ("a", "b"):
        await store.connections.save(ConnectionRow(name=name, kind="gitlab", created_at=NOW))
        await store.pipelines.save(name, [pipeline("app")], NOW)
        await store.polling.ensure(name, "", now=NOW)
    await store.forgetting.connection("a")
    assert [row.name for row in await store.connections.all()] == ["b"]
    assert [row.connection for row in await store.pipelines.all()] == ["b"]
    assert [row.connection for row in await store.polling.targets()] == ["b"]


async def test_listed_pipelines_are_kept_and_renamed_in_place(store: Store) -> None:
    await store.pipelines.save(CONNECTION, [pipeline("b"), pipeline("a", default_branch="trunk")], NOW)
    await store.pipelines.save(CONNECTION, [Pipeline(id="id-a", path="works/new", name="new", enabled=False)], LATER)
    rows = await store.pipelines.all(CONNECTION)
    assert [(row.pipeline, row.path, row.enabled, row.seen_at) for row in rows] == [
        ("id-b", "works/b", True, NOW),
        ("id-a", "works/new", False, LATER),
    ]
    found = await store.pipelines.get(CONNECTION, "id-a")
    assert found is not None
    assert found.name == "new"
    assert await store.pipelines.get(CONNECTION, "id-none") is None


async def test_only_a_complete_listing_forgets_what_it_does_not_name(store: Store) -> None:
    await store.pipelines.save(CONNECTION, [pipeline(f"p{number:03}") for number in range(600)], NOW)
    await store.pipelines.save("other", [pipeline("a")], NOW)
    await store.pipelines.save(CONNECTION, [pipeline("p001")], NOW)
    assert len(await store.pipelines.all(CONNECTION)) == 600
    await store.pipelines.save(CONNECTION, [pipeline("p001"), pipeline("new")], NOW, complete=True)
    assert [row.name for row in await store.pipelines.all(CONNECTION)] == ["new", "p001"]
    assert [row.name for row in await store.pipelines.all("other")] == ["a"]
    await store.pipelines.save(CONNECTION, [], NOW, complete=True)
    assert await store.pipelines.all(CONNECTION) == []


async def test_pipelines_of_some_connections_are_those_and_no_others(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.pipelines.save(name, [pipeline("app")], NOW)
    assert [row.connection for row in await store.pipelines.all(connections=["c", "a"])] == ["a", "c"]
    assert await store.pipelines.all(connections=[]) == []
    assert len(await store.pipelines.all()) == 3


async def test_a_pipeline_that_is_no_more_is_forgotten(store: Store) -> None:
    await store.pipelines.save(CONNECTION, [pipeline("a"), pipeline("b")], NOW)
    await store.pipelines.delete(CONNECTION, "id-a")
    assert [row.name for row in await store.pipelines.all(CONNECTION)] == ["b"]
