"""What is broken, on both databases: red times of refs, the memory of failures, cards of commits."""

from dataclasses import replace
from datetime import timedelta

from bot.core.models import BuildKey, Conclusion, Ref, RefKind
from bot.store import Store
from bot.store.rows import NewFailure, NewRedBranch
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ago, card, ended, key, leased, notification

MAIN = Ref(kind=RefKind.BRANCH, name="main")
RED = NewRedBranch(
    team=TEAM,
    channel=CHANNEL,
    link=1,
    connection=CONNECTION,
    pipeline=PIPELINE,
    ref_kind="branch",
    ref_name="main",
    build="b1",
    attempt_no=1,
    since=409,
    opened_at=NOW,
    escalate_minutes=30,
    escalate_at=NOW + timedelta(minutes=30),
)


def failure(build: str, signature: str, **fields: object) -> NewFailure:
    made = NewFailure(
        connection=CONNECTION,
        pipeline=PIPELINE,
        build=build,
        attempt_no=1,
        ref_kind="branch",
        ref_name="main",
        signature=signature,
        message=signature,
        at=NOW,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


async def test_a_red_time_is_open_until_it_is_closed_and_its_card_is_drawn_anew_with_it(store: Store) -> None:
    await store.recording.record([ended("b1", conclusion=Conclusion.FAILED), ended("b2")], now=NOW)
    await store.notifications.add([notification("b1")])
    await store.notifications.set_sent(
        await leased(store, 1), ts="1.0", card=card("b1", ts="1.0", notification=1), now=NOW
    )
    await store.red_branches.save([RED], NOW)
    (row,) = await store.red_branches.open_of(CONNECTION, PIPELINE, MAIN)
    assert await store.red_branches.open_of(CONNECTION, PIPELINE, Ref(kind=RefKind.BRANCH, name="next")) == []
    assert await store.red_branches.rooted_at(key("b1"), 1, TEAM, CHANNEL) == row
    assert await store.red_branches.rooted_at(key("b1"), 1, TEAM, "C9") is None
    assert await store.red_branches.last_of(TEAM, CHANNEL, key("b2")) == row
    assert await store.red_branches.last_of(TEAM, "C9", key("b2")) is None
    root = await store.red_branches.root_of(row)
    assert root is not None
    assert root.ts == "1.0"
    assert (await store.cards.of_build(key("b1")))[0].edit_due_at == NOW
    await store.red_branches.move_root(row.id, "b2", 1)
    moved = await store.red_branches.last_of(TEAM, CHANNEL, key("b2"))
    assert moved is not None
    assert moved.build == "b2"
    await store.red_branches.save([replace(moved, closed_at=NOW, closed_by=412)], NOW)
    assert await store.red_branches.open_of(CONNECTION, PIPELINE, MAIN) == []
    assert await store.red_branches.due(NOW + timedelta(days=1)) == []


async def test_the_first_claim_stays_and_an_escalation_is_taken_once(store: Store) -> None:
    await store.recording.record([ended("b1"), ended("b2")], now=NOW)
    await store.red_branches.save([RED], NOW)
    at = NOW + timedelta(minutes=10)
    await store.red_branches.claim(TEAM, key("b2"), "U1", at)
    await store.red_branches.claim(TEAM, key("b1"), "U2", at)
    (row,) = await store.red_branches.open_of(CONNECTION, PIPELINE, MAIN)
    assert (row.claimed_by, row.claimed_at, row.escalate_at) == ("U1", at, at + timedelta(minutes=30))
    await store.red_branches.save([replace(row, claimed_by="", streak=3)], NOW)  # what people did meanwhile stays
    late = at + timedelta(minutes=31)
    assert await store.red_branches.due(at) == []
    assert await store.red_branches.due(late) == [row.id]
    taken = await store.red_branches.take_escalation(row.id, late)
    assert taken is not None
    assert (taken.claimed_by, taken.streak, taken.escalate_at) == ("U1", 3, None)
    assert await store.red_branches.take_escalation(row.id, late) is None
    await store.red_branches.unclaim(TEAM, key("b1"), "U2", late)
    assert (await store.red_branches.open_of(CONNECTION, PIPELINE, MAIN))[0].claimed_by == "U1"
    await store.red_branches.unclaim(TEAM, key("b1"), "U1", late)
    assert (await store.red_branches.open_of(CONNECTION, PIPELINE, MAIN))[0].claimed_by == ""
    await store.prune(NOW + timedelta(days=400))
    assert await store.red_branches.last_of(TEAM, CHANNEL, key("b1")) is None


async def test_the_history_of_a_failure_counts_builds_once_and_ends_with_the_pass_after_it(store: Store) -> None:
    times = [ago(hours=5), ago(hours=4), ago(hours=3)]
    builds = [ended(f"b{n}", number=n, conclusion=Conclusion.FAILED, completed_at=at) for n, at in enumerate(times, 1)]
    await store.recording.record([*builds, ended("b4", number=4, commit="ab", completed_at=ago(hours=2))], now=NOW)
    rows = [failure(f"b{n}", "boom", number=n, at=at) for n, at in enumerate(times, 1)]
    await store.failures.add(rows)
    await store.failures.add([*rows, failure("b1", "boom", attempt_no=2, at=ago(hours=4.5)), failure("b2", "other")])
    history = await store.failures.history(CONNECTION, PIPELINE, "boom")
    assert history is not None
    assert (history.builds, history.first.number, history.last.number) == (3, 1, 3)
    assert history.gone_with is not None
    assert (history.gone_with.number, history.gone_with.commit_sha) == (4, "ab")
    assert await store.failures.history(CONNECTION, PIPELINE, "never") is None
    seen = await store.failures.signatures(CONNECTION, PIPELINE, MAIN, since=ago(hours=4.2), but=key("b3"))
    assert seen == {"boom", "other"}
    assert await store.failures.signatures(CONNECTION, PIPELINE, MAIN, since=NOW, but=key("b2")) == set()
    assert [row.signature for row in await store.failures.of_attempt(key("b2"), 1)] == ["boom", "other"]


async def test_the_newest_attempts_of_a_pipeline_come_first(store: Store) -> None:
    ends = [ended(f"b{n}", branch=f"x{n}", completed_at=ago(hours=n)) for n in range(1, 5)]
    await store.recording.record(ends, now=NOW)
    newest = await store.attempts.newest(CONNECTION, PIPELINE, limit=3)
    assert [row.build for row in newest] == ["b1", "b2", "b3"]


async def test_a_commits_card_is_drawn_anew_at_once_or_15_seconds_after_its_last_edit(store: Store) -> None:
    commit = BuildKey(connection="", pipeline="", id="commit:ab")
    for number, channel in ((1, CHANNEL), (2, "C2")):
        row = notification("commit:ab", connection="", pipeline="", channel=channel, event="commit")
        assert await store.notifications.add([row, row]) == 1
        made = card("commit:ab", ts=f"{number}.0", connection="", pipeline="", channel=channel)
        (*_, written) = await store.notifications.of_build(commit)
        await store.notifications.set_sent(written, ts=f"{number}.0", card=made, now=NOW)
    await store.cards.redraw_at(commit, team=TEAM, channel=CHANNEL, now=NOW, at_once=False)
    assert [one.edit_due_at for one in await store.cards.of_build(commit)] == [NOW, None]
    (claimed,) = await store.cards.claim(now=NOW, lease_seconds=60, limit=9)
    await store.cards.set_edited(claimed, shown="x", live=True, now=NOW)
    soon = NOW + timedelta(seconds=3)
    await store.cards.redraw_at(commit, team=TEAM, channel=CHANNEL, now=soon, at_once=False)
    assert (await store.cards.of_build(commit))[0].edit_due_at == soon + timedelta(seconds=15)
    await store.cards.redraw_at(commit, team=TEAM, channel=CHANNEL, now=soon, at_once=True)
    assert (await store.cards.of_build(commit))[0].edit_due_at == soon
