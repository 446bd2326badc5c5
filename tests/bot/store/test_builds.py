from bot.core.models import Conclusion, Ref, RefKind
from bot.store import Store
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ago, ended, key, running


async def test_a_build_nobody_has_seen_is_none(store: Store) -> None:
    assert await store.builds.get(key()) is None
    assert await store.builds.by_number(CONNECTION, PIPELINE, 1) is None
    assert await store.attempts.get(key(), 1) is None


async def test_builds_of_a_pipeline_come_newest_first_and_of_a_branch_when_asked(store: Store) -> None:
    await store.recording.record(
        [
            running("old", created_at=ago(hours=3)),
            running("new", created_at=ago(hours=1), branch="other"),
            ended("dateless", created_at=None, completed_at=ago(hours=2)),
            running("elsewhere", pipeline="p-else"),
        ],
        now=NOW,
    )
    assert [build.id for build in await store.builds.of_pipeline(CONNECTION, PIPELINE)] == ["new", "dateless", "old"]
    assert [build.id for build in await store.builds.of_pipeline(CONNECTION, PIPELINE, limit=1)] == ["new"]
    assert [build.id for build in await store.builds.of_pipeline(CONNECTION, PIPELINE, branch="main")] == [
        "dateless",
        "old",
    ]


async def test_builds_are_found_by_the_start_of_a_commit_in_the_connections_one_may_see(store: Store) -> None:
    sha = "ABC1234567"
    await store.recording.record(
        [running("b1", commit=sha), running("b2", commit="abd9999"), running("b3", commit=sha, connection="secret")],
        now=NOW,
    )
    assert [build.id for build in await store.builds.of_commit("Abc12", [CONNECTION])] == ["b1"]
    assert await store.builds.of_commit("abc12", []) == []
    assert await store.builds.of_commit("ab%", [CONNECTION]) == []


async def test_a_number_names_the_newest_build_that_has_it(store: Store) -> None:
    await store.recording.record(
        [
            running("b1", number=7, created_at=ago(hours=1)),
            running("b2", number=7),
            running("b3", number=5_000_000_000),
        ],
        now=NOW,
    )
    found = await store.builds.by_number(CONNECTION, PIPELINE, 7)
    assert found is not None
    assert found.id == "b2"
    assert await store.builds.by_number(CONNECTION, PIPELINE, 5_000_000_000) is not None


async def test_open_builds_are_those_not_completed(store: Store) -> None:
    await store.recording.record([running("b1"), ended("b2"), running("b3", connection="other")], now=NOW)
    assert [build.id for build in await store.builds.unfinished([CONNECTION])] == ["b1"]
    assert {build.id for build in await store.builds.unfinished([CONNECTION, "other"])} == {"b1", "b3"}


async def test_what_somebody_started_is_theirs_in_their_workspace(store: Store) -> None:
    for build, team, user in (("b1", TEAM, "U1"), ("b2", TEAM, "U2"), ("b3", "T2", "U1")):
        await store.recording.record_start(
            running(build), team=team, channel=CHANNEL, user=user, notifications=(), watches=[], now=NOW
        )
    assert [build.id for build in await store.builds.started_by(TEAM, "U1", 9)] == ["b1"]
    assert await store.builds.started_by(TEAM, "U1", 0) == []


async def test_results_of_a_ref_are_those_of_its_own_builds_the_newest_build_first(store: Store) -> None:
    await store.recording.record(
        [ended(f"b{number}", completed_at=ago(minutes=number)) for number in range(4)]
        + [ended("stopped", conclusion=Conclusion.CANCELLED), ended("pull", pull_request="7")],
        now=NOW,
    )
    main = Ref(kind=RefKind.BRANCH, name="main")
    assert [row.build for row in await store.attempts.of_ref(CONNECTION, PIPELINE, main)] == ["b0", "b1", "b2", "b3"]
    assert [row.build for row in await store.attempts.of_ref(CONNECTION, PIPELINE, main, limit=1)] == ["b0"]
    pull = Ref(kind=RefKind.PULL_REQUEST, name="7")
    assert [row.build for row in await store.attempts.of_ref(CONNECTION, PIPELINE, pull)] == ["pull"]
    assert [build.id for build in await store.builds.of_pipeline(CONNECTION, PIPELINE, branch="main", limit=3)] == [
        "stopped",
        "b0",
        "b1",
    ]


async def test_attempts_since_a_time_come_oldest_first_with_all_that_ended(store: Store) -> None:
    await store.recording.record(
        [
            ended("b1", completed_at=ago(days=8)),
            ended("b2", completed_at=ago(days=1), conclusion=Conclusion.CANCELLED),
            ended("b3", completed_at=ago(days=2)),
        ],
        now=NOW,
    )
    assert [row.build for row in await store.attempts.since(CONNECTION, PIPELINE, ago(days=7))] == ["b3", "b2"]
