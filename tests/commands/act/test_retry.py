"""Failed jobs run again in their build where the system can; else a rebuild is offered. Each act is told once."""

from dataclasses import replace

import pytest

from bot.core.models import Build, Conclusion, Job, Pipeline, Status
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import Provider
from bot.store import Store
from commands.core.context import Source
from tests.commands.fakes import EVERYTHING, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first


@pytest.fixture
async def red(works: FakeProvider, app: Pipeline, recorded: Recorded, linked: Linked) -> None:
    """Let #5 of app have failed."""
    await linked()
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    works.known_jobs[build.id] = tuple(
        Job(id=f"j{n}", build=build.id, pipeline=app.id, name=name, status=Status.COMPLETED, conclusion=end)
        for n, name, end in (
            (1, "test ios", Conclusion.FAILED),
            (2, "test mac", Conclusion.PASSED),
            (3, "lint", Conclusion.PASSED),
            (4, "deploy a", Conclusion.PASSED),
            (5, "deploy b", Conclusion.PASSED),
        )
    )
    await recorded(build)


@pytest.mark.usefixtures("red")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("retry", "failed"),
        ("retry #5 --failed", "failed"),
        ("retry #5 --all", "all"),
        ("retry --job lint", "j3"),
        ("retry --job test", "j1"),
        ("retry --job J2", "j2"),
    ],
)
async def test_jobs_run_again(say: Say, works: FakeProvider, words: str, what: str) -> None:
    assert (await say(words)).outcome == "ok"
    assert works.acts == [("retry", "b5", what)]


@pytest.mark.usefixtures("red")
async def test_a_retry_is_announced_once_by_its_card(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    handled = await say("retry")
    assert first(handled) == "Using the only pipeline linked here: *App*"
    assert not handled.answer.public
    build, row = await store.builds.get(works.history[app.id][0].key) or (None, None)
    assert build is not None
    assert row is not None
    assert (build.status, row.attempt_no) == (Status.QUEUED, 2)
    started = [one for one in await store.notifications.of_build(build.key) if one.event == "started"]
    assert len(started) == 1
    assert "retried the failed jobs of #5" in started[0].extra
    assert (await say("retry app#5 --attempt 1", source=Source.BUTTON)).outcome == "refused"


@pytest.mark.usefixtures("red")
async def test_a_second_click_retries_nothing(say: Say, works: FakeProvider, app: Pipeline) -> None:
    await say("retry app#5 --all", source=Source.BUTTON)
    works.build_of(app, 5, conclusion=Conclusion.FAILED)
    assert (await say("retry app#5 --all", source=Source.BUTTON)).answer.silent
    assert len(works.acts) == 1


@pytest.mark.usefixtures("red")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("retry --job nope", "No job of this build is called `nope`"),
        ("retry --job deploy", "`deploy` fits 2 jobs"),
        ("retry --all --failed", "exclude each other"),
        ("retry #5 test", "Unexpected `test`"),
    ],
)
async def test_jobs_that_are_not_clear_are_asked_about(say: Say, works: FakeProvider, words: str, told: str) -> None:
    assert told in first(await say(words))
    assert works.acts == []


@pytest.mark.parametrize(
    ("end", "told"), [(Conclusion.PASSED, "App #5 passed"), (Conclusion.SKIPPED, "App #5 was skipped")]
)
async def test_a_build_that_did_not_fail_is_not_retried(
    say: Say, works: FakeProvider, app: Pipeline, end: Conclusion, told: str
) -> None:
    works.build_of(app, 5, conclusion=end)
    handled = await say("retry app#5")
    assert f"{told}: there is nothing to retry." in first(handled)
    assert "`/build rebuild works:app#5`" in first(handled)


@pytest.mark.usefixtures("red")
async def test_a_system_that_cannot_retry_offers_a_rebuild(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.capabilities = EVERYTHING - {Capability.RETRY_FAILED}
    works.put(replace(works.build_of(app, 6, conclusion=Conclusion.FAILED), number=None, id="x y"))
    asked = await say("retry app --id 'x y'")
    assert "Rebuild all of a build instead?" in first(asked)
    handled = await say(buttons(asked)["Rebuild"], source=Source.BUTTON)
    assert handled.outcome == "ok"
    assert [(verb, what) for verb, what, _ in works.acts] == [("rebuild", "x y")]
    await say("retry #5 --yes")
    assert works.acts[-1][2].requested_by == "Ana"
    works.capabilities = EVERYTHING - {Capability.RETRY_FAILED, Capability.REBUILD}
    assert (await say("retry #5")).outcome == "failed"


async def test_a_rebuild_starts_the_same_again_with_other_values(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    works.build_of(app, 5)
    handled = await say("rebuild app#5 A=1 B='x y'", source=Source.TERMINAL)
    assert first(handled) == "The terminal rebuilt #5 of App as #6"
    assert works.acts[0][2].parameters == {"A": "1", "B": "x y"}
    assert works.acts[0][2].requested_by == "Ana"


async def test_a_rebuild_of_another_commit_says_so(
    say: Say, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.build_of(app, 5, commit="a" * 40)
    later = works.build_of(app, 6, commit="b" * 40)

    async def newest(*_args: object) -> object:
        return later

    monkeypatch.setattr(works, "rebuild", newest)
    said = first(await say("rebuild app#5", source=Source.TERMINAL))
    assert "at the branch's present commit bbbbbbbb, not aaaaaaaa" in said


async def test_a_rebuild_of_the_same_commit_keeps_the_place_of_the_build_that_it_repeats(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    old = works.build_of(app, 5)
    await say("rebuild app#5", source=Source.BUTTON)
    stored = await store.builds.get(works.history[app.id][0].key)
    assert stored is not None
    assert stored[0].id != old.id
    assert (stored[0].rebuilt_from, stored[0].first_built_at) == (old.id, old.created_at)


async def test_a_rebuild_is_announced_once_and_a_second_click_starts_nothing(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    build = works.build_of(app, 5)
    assert (await say("rebuild app#5", source=Source.BUTTON)).answer.silent
    assert (await say("rebuild app#5", source=Source.BUTTON)).answer.silent
    assert len(works.acts) == 1
    assert await store.notifications.of_build(build.key) == []
    assert [row.event for row in await store.notifications.of_build(works.history[app.id][0].key)] == ["started"]
    assert "Unexpected `x`" in first(await say("rebuild #5 x"))


def accepts_while_running(provider: FakeProvider, build: Build) -> frozenset[Capability]:
    """Let a CI system run the failed jobs of a running build again."""
    return Provider.accepts(provider, build) | {Capability.RETRY_FAILED}


@pytest.mark.parametrize("words", ["retry app#6", "retry app#6 --all"])
async def test_a_running_build_is_not_retried_but_can_be_watched_or_cancelled(
    words: str, say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.running(app, 6)
    handled = await say(words)
    assert works.acts == []
    assert "App #6 is still in progress. Nothing was retried." in first(handled)
    assert buttons(handled) == {"Watch #6": "watch works:p-app#6", "Cancel #6": "cancel works:p-app#6"}


async def test_a_build_that_waits_where_waiting_ones_cannot_be_cancelled_can_be_watched_only(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "cancels_waiting", False)
    await linked()
    works.running(app, 6, waiting=True)
    assert list(buttons(await say("retry app#6"))) == ["Watch #6"]


@pytest.mark.parametrize(
    ("conclusion", "retried", "acts"),
    [
        (Conclusion.FAILED, False, [("retry", "b6", "failed")]),
        (Conclusion.FAILED, True, []),
        (Conclusion.PASSED, False, []),
        (None, False, []),
    ],
)
async def test_where_the_system_can_the_failed_jobs_of_a_running_build_run_again(
    conclusion: Conclusion | None,
    retried: bool,
    acts: list[tuple[str, str, str]],
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    linked: Linked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeProvider, "accepts", accepts_while_running)
    await linked()
    build = works.running(app, 6)
    status = Status.COMPLETED if conclusion else Status.IN_PROGRESS
    works.known_jobs[build.id] = (
        Job(
            id="j1",
            build=build.id,
            pipeline=app.id,
            name="test",
            status=status,
            conclusion=conclusion,
            retried=retried,
        ),
    )
    handled = await say("retry app#6")
    assert works.acts == acts
    assert (handled.answer.message is None) == bool(acts)


async def test_a_build_that_is_one_job_is_retried_itself(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, store: Store
) -> None:
    build = replace(works.build_of(app, 6, conclusion=Conclusion.FAILED), job="unit")
    works.history[app.id] = [build]
    await linked()
    await recorded(build)
    await say("retry app#6")
    rows = await store.notifications.of_build(build.key)
    (started,) = [row for row in rows if row.event == "started"]
    assert "retried #6 (App)" in started.extra
