"""A second system of the same repository in a channel: one card per commit is offered, and set on both."""

from bot.core.models import Pipeline
from bot.store import Store
from tests.commands.fakes import CHANNEL, TEAM, FakeConnections, FakeProvider
from tests.commands.reading import Say, buttons, first, said


def repositories(works: FakeProvider, connections: FakeConnections, second: str) -> FakeProvider:
    works.add("web", repository="acme/web")
    mill = FakeProvider("mill")
    mill.add("docs", repository=second)
    connections.open["mill"] = mill
    return mill


async def test_one_card_per_commit_is_offered_for_a_second_system_and_set_on_both(
    say: Say, works: FakeProvider, app: Pipeline, connections: FakeConnections, store: Store
) -> None:
    repositories(works, connections, "Acme/web.git")
    assert "One card per commit" not in buttons(await say("link works:web"))
    offered = await say("link mill:docs")
    assert "Web here builds the same repository" in said(offered)
    handled = await say(buttons(offered)["One card per commit"])
    assert "one card for each commit" in first(handled)
    assert "The same for Web, of the same repository." in first(handled)
    assert all("--group commit" in row.filters for row in await store.links.of_channel(TEAM, CHANNEL))
    await say("subscribe mill:docs --group build")
    assert not any("--group" in row.filters for row in await store.links.of_channel(TEAM, CHANNEL))


async def test_nothing_is_offered_for_another_repository_or_the_same_system(
    say: Say, works: FakeProvider, app: Pipeline, connections: FakeConnections
) -> None:
    repositories(works, connections, "acme/api")
    works.add("web-nightly", repository="acme/web")
    await say("link works:web")
    assert "One card per commit" not in buttons(await say("link mill:docs"))
    assert "One card per commit" not in buttons(await say("link works:web-nightly"))


async def test_systems_that_name_no_repository_are_known_by_a_commit_in_common(
    say: Say, works: FakeProvider, app: Pipeline, connections: FakeConnections
) -> None:
    mill = repositories(works, connections, "")
    await say("link works:web")
    works.build_of(works.known["p-web"], 1, commit="a1" * 20)
    mill.build_of(mill.known["p-docs"], 7, commit="b2" * 20)
    await say("link works:web")
    assert "One card per commit" not in buttons(await say("link mill:docs"))
    mill.build_of(mill.known["p-docs"], 8, commit="A1" * 20)
    assert "One card per commit" in buttons(await say("link mill:docs"))
