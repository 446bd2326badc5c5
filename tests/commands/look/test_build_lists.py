"""Lists of builds: every filter, a pipeline, a connection or all of them, a page at a time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.core.models import Build, BuildFilter, Conclusion, FilterField, Person, Pipeline
from tests.commands.fakes import NOW, FakeConnections, FakeProvider
from tests.commands.reading import Linked, Say, buttons, first, said


def put_some(works: FakeProvider, app: Pipeline) -> None:
    """Put four builds in, the newest made an hour ago, the oldest four days ago."""
    works.build_of(app, 1, created_at=NOW - timedelta(days=4), completed_at=NOW - timedelta(days=4), branch="dev")
    works.build_of(app, 2, created_at=NOW - timedelta(days=2), conclusion=Conclusion.FAILED, triggered_by="Keith Pitt")
    works.build_of(app, 3, created_at=NOW - timedelta(hours=5), author=Person(name="Ana", email="ana@example.com"))
    works.running(app, 4, created_at=NOW - timedelta(hours=1), raw_state="failing")


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        ("", [4, 3, 2, 1]),
        ("--state failed,running", [4, 2]),
        ("--state failing", [4]),
        ("--state passed", [3, 1]),
        ("--branch dev", [1]),
        ("--commit 0000002", [2]),
        ("--by keith", [2]),
        ("--by ana@example.com", [3]),
        ("--by Keithley", []),
        ("--since 3d", [4, 3, 2]),
        ("--since 3d --until 3h", [3, 2]),
        ("--since 2026-03-02", [4, 3, 2]),
        ("--finished-until 1d", [1]),
        ("--finished-since 2h", [3, 2]),
    ],
)
async def test_builds_are_narrowed_by_each_filter(
    flags: str, numbers: list[int], say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.states = {**FakeProvider.states, "failing": FakeProvider.states["done"]}  # type: ignore[misc]
    put_some(works, app)
    shown = said(await say(f"list builds app {flags}"))
    assert [number for number in (4, 3, 2, 1) if f"App #{number}" in shown] == numbers


async def test_what_the_bot_looks_for_itself_is_said(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked()
    put_some(works, app)
    monkeypatch.setattr(FakeProvider, "list_filters", frozenset({FilterField.BRANCH}))
    shown = said(await say("list builds app --branch main --since 3d --by ana"))
    assert "The Works does not filter by --by, --since: I looked through its newest builds." in shown
    assert "does not filter" not in said(await say("list builds app@main"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--state blue", "There is no state `blue`."),
        ("--meta env=prod", "Builds of The Works carry no meta-data that I could filter by."),
        ("--meta env", "`--meta` takes KEY=VALUE, not `env`."),
        ("--option colour=red", "The Works has no option `colour`."),
        ("--since soon", "I don't understand the time `soon`."),
    ],
)
async def test_what_a_list_does_not_take_is_refused_by_name(
    flags: str, words: str, say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    put_some(works, app)
    assert words in first(await say(f"list builds app {flags}")).replace("\u200b", "")


async def test_pages_follow_each_other_with_the_same_filters(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    for number in range(1, 13):
        works.build_of(app, number)
    answer = await say('list builds app@main --state passed -n 5 --by=""')
    command = buttons(answer)["More"]
    assert command == "list builds works:p-app@main --state=passed --n=5 --by='' --skip 5"
    second = await say(command)
    assert [
        number for number in range(1, 13) if f"App #{number}|" in said(second) or f"App #{number}>" in said(second)
    ] == [3, 4, 5, 6, 7]
    third = await say(buttons(second)["More"])
    assert "More" not in buttons(third)


async def test_a_connection_and_all_of_them_are_listed_across_their_pipelines(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, connections: FakeConnections
) -> None:
    await linked()
    put_some(works, app)
    other = FakeProvider("forge")
    tool = other.add("tool")
    other.build_of(tool, 70, created_at=NOW - timedelta(hours=3))
    connections.open["forge"] = other
    await say("list pipelines --refresh")
    of_one = said(await say("list builds works"))
    assert "App #4" in of_one
    assert "Tool" not in of_one
    assert "Asked pipeline by pipeline, for want of a list of all builds: works (1)." in of_one
    everything = said(await say("list builds --all --state passed"))
    assert everything.index("Tool #70") < everything.index("App #3") < everything.index("App #1")


async def test_a_system_with_a_list_of_its_own_is_asked_once_and_for_everything(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked()
    put_some(works, app)
    asked: list[BuildFilter] = []

    async def account_builds(_provider: FakeProvider, query: BuildFilter) -> AsyncIterator[Build]:
        asked.append(query)
        async for build in works.builds(app.id, query):
            yield build

    monkeypatch.setattr(FakeProvider, "account_builds", account_builds)
    monkeypatch.setattr(FakeProvider, "everywhere_option", "beyond")
    monkeypatch.setattr(FakeProvider, "list_options", {"beyond": "more"})
    assert "App #4" in said(await say("list builds works --since 3d"))
    assert "App #4" in said(await say("list builds --all"))
    assert [dict(query.options) for query in asked] == [{}, {"beyond": "true"}]


async def test_jobs_are_listed_by_either_name(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.build_of(app, 41)
    assert first(await say("list jobs #41")) == first(await say("jobs #41")) == "Jobs of App #41: none"
