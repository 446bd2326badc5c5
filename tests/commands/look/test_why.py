"""Why a build failed, and what was committed between two builds."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Build, Commit, Conclusion, Issue, IssueKind, Job, Person, Pipeline, Status
from bot.monitoring.details import failure_rows
from bot.store import Store
from tests.commands.fakes import NOW, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said

RED = Conclusion.FAILED


@pytest.fixture
def nightly(works: FakeProvider) -> Pipeline:
    return works.add("nightly")


def failed(works: FakeProvider, pipeline: Pipeline, number: int, message: str = "boom", **fields: Any) -> Build:
    build = works.build_of(pipeline, number, conclusion=RED, **fields)
    works.known_issues[build.id] = (Issue(kind=IssueKind.ERROR, message=message),) if message else ()
    return build


async def test_a_lost_machine_where_the_same_commit_was_green_is_infrastructure(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked
) -> None:
    await linked(nightly)
    works.build_of(nightly, 7, commit="c7" * 20)
    failed(works, nightly, 8, "", commit="c7" * 20)
    works.known_jobs["b8"] = (
        Job(
            id="j",
            build="b8",
            pipeline=nightly.id,
            name="unit",
            status=Status.COMPLETED,
            conclusion=RED,
            reason="agent_lost",
        ),
    )
    handled = await say("why nightly")
    assert first(handled).endswith("infrastructure; the same commit passed in #7")
    assert "the machine or agent was lost" in said(handled)
    assert "Suspects" not in said(handled)


async def test_the_same_commit_may_have_passed_on_another_branch(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked(nightly)
    await recorded(works.build_of(nightly, 7, commit="c7" * 20, branch="topic"))
    failed(works, nightly, 8, "exit status 1", commit="c7" * 20)
    assert "infrastructure; the same commit passed in #7" in first(await say("why nightly"))


async def test_suspects_are_the_commits_between_the_last_green_and_the_first_red_build(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked
) -> None:
    await linked(nightly)
    works.build_of(nightly, 1, commit="1" * 40)
    failed(works, nightly, 2, commit="2" * 40, author=Person(name="Mika"))
    failed(works, nightly, 3, commit="3" * 40, author=Person(name="Noor"))
    text = said(await say("why nightly"))
    assert "2222222" in text
    assert "Mika" in text
    assert "3333333" not in text  # it came when the build was red already
    assert "of the builds in between" in text
    works.compared["1" * 40, "2" * 40] = (
        Commit(sha="2" * 40, subject="Two", author="Mika", url="https://x.example/2"),
        Commit(sha="a" * 40, subject="Nobody built this", author="Bo"),
    )
    text = said(await say("why nightly"))
    assert "Nobody built this" in text
    assert "of the builds in between" not in text
    assert buttons(await say("why nightly"))["Changes"] == "changes works:p-nightly#2"


async def test_a_first_red_build_of_the_last_green_commit_has_no_suspects(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked
) -> None:
    await linked(nightly)
    works.build_of(nightly, 1, commit="1" * 40)
    failed(works, nightly, 2, commit="1" * 40)
    assert "Suspects" not in said(await say("why nightly"))


async def test_what_failed_before_in_the_same_way_is_remembered_with_what_mended_it(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked, recorded: Recorded, store: Store
) -> None:
    await linked(nightly)
    ways = [(1, "lost 3 sheep"), (2, "lost 14 sheep"), (3, ""), (4, "lost 15 sheep")]
    for number, way in ways:
        at = NOW - timedelta(days=9 - number)
        fields: dict[str, Any] = {"completed_at": at, "created_at": at, "started_at": at, "commit": str(number) * 40}
        fields["author"] = Person(name="Mika", login="mika")
        build = failed(works, nightly, number, way, **fields) if way else works.build_of(nightly, number, **fields)
        await recorded(build)
        attempt = await store.attempts.get(build.key, 1)
        assert attempt is not None
        await store.failures.add(failure_rows(attempt, works.known_issues.get(build.id, ())))
        await store.failures.add(failure_rows(attempt, works.known_issues.get(build.id, ())))
    text = said(await say("why nightly#2"))
    assert "in 3 builds, first in #1" in text
    assert ", last in #4" in text
    assert "Went away with" not in text  # it is back
    at = NOW - timedelta(days=1)
    await recorded(
        works.build_of(nightly, 5, commit="5" * 40, completed_at=at, created_at=at, author=Person(login="mika"))
    )
    assert "*Went away with:* `5555555` (#5) by mika" in said(await say("why nightly#4"))
    failed(works, nightly, 6, "the wolf is in the barn")
    assert "Seen before" not in said(await say("why nightly"))


async def test_the_memory_of_failures_is_pruned_with_the_builds(
    works: FakeProvider, nightly: Pipeline, recorded: Recorded, store: Store
) -> None:
    build = failed(works, nightly, 1)
    await recorded(build)
    attempt = await store.attempts.get(build.key, 1)
    assert attempt is not None
    await store.failures.add(failure_rows(attempt, works.known_issues[build.id]))
    assert len(await store.failures.of_attempt(build.key, 1)) == 1
    await store.prune(NOW + timedelta(days=181))
    assert await store.failures.of_attempt(build.key, 1) == []


async def test_changes_list_the_commits_between_two_builds(
    say: Say, works: FakeProvider, nightly: Pipeline, linked: Linked
) -> None:
    await linked(nightly)
    works.build_of(nightly, 1, commit="1" * 40)
    works.build_of(nightly, 2, commit="2" * 40, conclusion=Conclusion.CANCELLED)
    works.build_of(nightly, 3, commit="3" * 40)
    text = said(await say("changes nightly"))
    assert "2 commits of the builds in between" in text
    assert "Change number 2" in text
    works.compared["1" * 40, "3" * 40] = (Commit(sha="3" * 40, subject="Three", author="Bo"),)
    text = said(await say("changes nightly"))
    assert "1 commit\\n• `3333333` Three" in text
    works.troubles["commits"] = Unavailable("Down.", provider="The Works")
    assert "2 commits of the builds in between" in said(await say("changes nightly"))
    works.build_of(nightly, 4, commit="3" * 40)
    assert "The same commit" in said(await say("changes nightly"))
