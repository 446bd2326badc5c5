"""A channel learns how much is posted to it, and what would be enough."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bot.core.models import Build as CiBuild
from bot.core.models import Conclusion, Pipeline
from bot.notifications.filters import filter_of
from bot.store import Store
from bot.store.rows import NewNotification
from bot.store.states import NotificationEvent, NotificationState
from commands.core.context import Source
from tests.commands.fakes import CHANNEL, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said

Ended = Callable[[str], Awaitable[None]]


@pytest.fixture
def ended(works: FakeProvider, app: Pipeline, recorded: Recorded) -> Ended:
    """Return what lets builds end on main, one each hour, oldest first: `.` passed, `x` failed, `c` was cancelled."""

    async def done(results: str) -> None:
        ends = {".": Conclusion.PASSED, "x": Conclusion.FAILED, "c": Conclusion.CANCELLED}
        builds: list[CiBuild] = []
        for number, letter in enumerate(results, 1):
            at = NOW - timedelta(hours=len(results) - number + 1)
            times = {"created_at": at, "started_at": at, "completed_at": at + timedelta(minutes=5)}
            builds.append(works.build_of(app, number, conclusion=ends[letter], **times))
        await recorded(*builds)

    return done


async def test_a_tighter_preset_is_proposed_with_its_effect_and_applied_by_its_button(
    say: Say, store: Store, linked: Linked, ended: Ended
) -> None:
    link = await linked(filters="--on all --mention none")
    await ended("...x......x.....")
    report = await say("stats --noise")
    assert "*App*: 16 builds to post about, with every finished build on main" in said(report)
    assert "Only changes: would have posted 4 instead of 16" in said(report)
    done = await say(buttons(report)["Only changes"], source=Source.BUTTON)
    assert done.outcome == "ok", first(done)
    changed = await store.links.get(link.id)
    assert changed is not None
    assert (filter_of(changed).preset, filter_of(changed).mention) == ("edges", "none")
    assert "would have posted" not in said(await say("stats --noise"))


async def test_nothing_is_proposed_where_nothing_would_be_saved(say: Say, linked: Linked, ended: Ended) -> None:
    await linked()
    await ended(".x.x.x")
    report = await say("stats --noise")
    assert list(buttons(report)) == ["Only failures"]
    await say("subscribe app edges")
    assert buttons(await say("stats --noise")) == {}
    await say("subscribe app --on passed,failed")
    assert list(buttons(await say("stats --noise"))) == ["Only failures"]


async def test_a_quiet_channel_hears_that_it_is_quiet(say: Say) -> None:
    assert first(await say("stats --noise")) == "0 posts here in the last 7 days"


async def test_posts_are_counted_by_what_was_sent(say: Say, store: Store, linked: Linked) -> None:
    await linked()
    rows = [
        (NotificationEvent.FINISHED, NotificationState.SENT, NOW),
        (NotificationEvent.BLOCKED, NotificationState.SENT, NOW),
        (NotificationEvent.SUMMARY, NotificationState.SENT, NOW),
        (NotificationEvent.STARTED, NotificationState.SILENT, NOW),
        (NotificationEvent.DIGEST, NotificationState.SENT, NOW - timedelta(days=8)),
    ]
    await store.notifications.add(
        [
            NewNotification(
                team=TEAM,
                channel=CHANNEL,
                connection="works",
                pipeline="p-app",
                build=f"b{number}",
                attempt_no=1,
                event=event,
                state=state,
                due_at=at,
                created_at=at,
            )
            for number, (event, state, at) in enumerate(rows)
        ]
    )
    text = said(await say("stats --noise"))
    assert "3 posts here in the last 7 days*, among them 1 summary, 1 approval" in text


async def test_a_cancelled_build_is_no_failure_in_digests_and_numbers(say: Say, linked: Linked, ended: Ended) -> None:
    await linked()
    await ended("..cc")
    digest = await say("digest now")
    assert "4 builds · 2 passed · 0 failed · 2 cancelled · 100 % green" in said(digest)
    assert "now passed" in said(digest)
    assert buttons(digest) == {"Tune noise": "stats --noise"}


async def test_quiet_hours_name_what_they_let_through(say: Say, store: Store) -> None:
    done = await say("quiet 22:00-07:00 mon-fri --except broken@Main --except blocked")
    assert "posted all the same: broken on `Main`, blocked" in first(done)
    (row,) = await store.mutes.of_channel(TEAM, CHANNEL)
    assert (row.hours, row.exceptions) == ("22:00-07:00 mon-fri", "broken@Main,blocked")
    refused = await say("quiet 22:00-07:00 --except brokn@main")
    assert "I know no event `brokn`" in first(refused)


async def test_a_person_is_muted_and_unmuted(say: Say, store: Store, linked: Linked) -> None:
    await linked()
    assert f"muted builds of <@{USER}> here until" in first(await say(f"mute <@{USER}> 1h"))
    (row,) = await store.mutes.of_channel(TEAM, CHANNEL)
    assert (row.target, row.people.split("\n")[0]) == (f"user:{USER}", USER)
    assert f"ended the mute of builds of <@{USER}>" in first(await say(f"unmute <@{USER}>"))
    assert await store.mutes.of_channel(TEAM, CHANNEL) == []
    assert "not muted here" in first(await say(f"unmute <@{USER}>"))
