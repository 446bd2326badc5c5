"""One full card per build and channel: the poller, the cards and the outbox together, with every message counted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot.blocks.plain import as_text
from bot.core.models import Approval, Build, Conclusion, Person, Status
from bot.monitoring.poller import Pace, Poller
from bot.notifications.cards import Cards
from bot.notifications.decisions import started_row
from bot.notifications.notification import Event, Extra
from bot.notifications.outbox import Drawn, Outbox
from bot.providers.base.capabilities import Capability
from bot.slack.sender import SearchResult, SlackError
from bot.store import Store
from bot.store.rows import NewHold, NewMute, NewVote, NotificationRow
from bot.store.states import NoteKind, NotificationState, Setting
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ago, ended, key, link, running, watch
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

RED = Conclusion.FAILED


class Slack:
    """Channels in memory: each message as it stands now, in the order of posting."""

    def __init__(self) -> None:
        self.messages: dict[str, tuple[str, str]] = {}
        self.threads: list[str] = []
        self.posted = 0
        self.most_full = 0

    async def post(self, team: str, channel: str, message: Any, *, thread: str = "", key: str = "") -> tuple[str, str]:
        self.posted += 1
        self.threads.append(thread)
        ts = f"{self.posted}.0"
        self.messages[ts] = (channel, as_text(message.payload()))
        self._count()
        return channel, ts

    def is_short(self, _team: str) -> bool:
        return False

    async def update(self, team: str, channel: str, ts: str, message: Any) -> None:
        self.messages[ts] = (channel, as_text(message.payload()))
        self._count()

    def _count(self) -> None:
        """Note how many cards with buttons stand in the channel after each call."""
        full = [text for channel, text in self.messages.values() if channel == CHANNEL and "/build " in text]
        self.most_full = max(self.most_full, len(full))

    async def find(self, *_args: Any, **_kwargs: Any) -> SearchResult:
        return SearchResult(ts=None)


class People:
    """Nobody is anybody."""

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        return "UANA" if author.email == "ana@acme.example" else None

    async def may_mention(self, team: str, user: str) -> bool:
        return True

    async def wants_broken(self, team: str, user: str) -> bool:
        return True

    async def off_hours(self, team: str, user: str, now: Any) -> str:
        return ""


class Bench:
    """The worker's parts, joined."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.slack = Slack()
        self.works = Works(
            clock, can=PLAIN | {Capability.CANCEL, Capability.RETRY_FAILED, Capability.REBUILD, Capability.DECIDE}
        )
        self.works.history[PIPELINE] = []
        people = People()
        cards = Cards(store, provider_of=lambda _team, _name: self.works, people=cast("Any", people), clock=clock)
        self.outbox = Outbox(
            store,
            cast("Any", self.slack),
            people=cast("Any", people),
            kind_of=lambda _name: "works",
            draw=cards.draw,
            undelivered=self._undelivered,
            clock=clock,
            owner="o",
        )
        self.poller = Poller(
            store,
            provider_of=lambda _name: self.works,
            pace=Pace(),
            clock=clock,
            owner="p",
            wake_outbox=lambda: None,
        )

    async def _undelivered(self, row: NotificationRow, exc: SlackError, drawn: Drawn | None) -> None:
        raise AssertionError(exc.code)

    async def start(self, build: Build, *, channel: str = CHANNEL, user: str = "U7") -> None:
        """Start a build from Slack, as commands do."""
        card = started_row(
            build,
            team=TEAM,
            channel=channel,
            user=user,
            headline=f"<@{user}> started it",
            response_url="",
            thread="",
            now=self.clock(),
        )
        asker = watch(build.id, channel=channel, user=user, why="started")
        await self.store.recording.record_start(
            build, team=TEAM, channel=channel, user=user, notifications=[card], watches=[asker], now=self.clock()
        )
        await self.deliver()

    async def see(self, *builds: Build, **ahead: float) -> None:
        """Let time pass, poll, and deliver what comes of it."""
        self.clock.go(**(ahead or {"seconds": 20}))
        await self.poller.record(builds, self.works)
        await self.deliver()

    async def deliver(self) -> None:
        """Deliver until nothing is due."""
        await self.poller.tick()
        await self.poller.settle()
        while await self.outbox.tick():
            await self.outbox.settle()

    def said(self, channel: str = CHANNEL) -> list[str]:
        """Return the messages of a channel as they stand now."""
        return [text for place, text in self.slack.messages.values() if place == channel]


@pytest.fixture
async def bench(store: Store, set_clock: SetClock) -> Bench:
    await store.links.save(link(created_at=ago(days=9), default_branch="main"))
    made = Bench(store, set_clock)
    await made.poller.record([ended("b0", number=411, completed_at=ago(hours=1))], made.works)
    await made.deliver()
    made.slack.messages.clear()
    return made


def lines(text: str) -> int:
    return len(text.splitlines())


async def test_a_started_and_finished_build_is_two_messages_and_one_full_card(bench: Bench) -> None:
    await bench.start(running(number=412))
    (live,) = bench.said()
    assert "RUNNING" in live
    assert lines(live) > 2
    await bench.see(running(number=412, raw_state="half"))
    assert len(bench.said()) == 1
    await bench.see(ended(number=412, conclusion=RED, completed_at=bench.clock()))
    short, full = bench.said()
    assert short == "▶ started by @U7 → ✕ Failed #412, see below"
    assert "FAILED" in full
    assert "/build retry" in full
    assert "started by @U7" in full


async def test_an_approval_adds_one_message_that_ends_as_one_line(bench: Bench) -> None:
    await bench.start(running(number=412))
    bench.works.open_approvals["b1"] = (Approval(id="g1", build="b1", pipeline=PIPELINE, name="Ship"),)
    await bench.see(running(number=412, waiting=True))
    live, approval = bench.said()
    assert live == "▶ started by @U7 → ⏸ Waiting for approval #412, see below"
    assert "/build approve" in approval
    bench.works.open_approvals.clear()
    await bench.see(running(number=412, raw_state="on"), seconds=60)
    live, approval = bench.said()
    assert "RUNNING" in live
    assert lines(live) > 2
    assert lines(approval) == 1
    assert "Decided in The Works" in approval
    await bench.see(ended(number=412, completed_at=bench.clock()), seconds=60)
    assert [lines(text) for text in bench.said()][:2] == [1, 1]
    assert len(bench.said()) == 3


async def test_an_act_by_button_rewrites_the_card_and_posts_nothing(bench: Bench) -> None:
    await bench.see(ended(number=412, conclusion=RED, completed_at=bench.clock()))
    (full,) = bench.said()
    assert "/build claim" in full
    at = bench.clock()
    await bench.store.claims.add(TEAM, key(), "U7")
    assert await bench.store.cards.note(key(), 1, team=TEAM, user="U7", text="took it", at=at)
    await bench.deliver()
    (full,) = bench.said()
    assert "@U7 is on it" in full
    assert "/build claim" not in full
    await bench.store.cards.note(key(), 1, team=TEAM, user="U7", text="retried the failed jobs", at=at)
    await bench.see(running(number=412))
    (full,) = bench.said()
    assert "@U7 retried the failed jobs" in full
    assert "Attempt 2: running" in full
    assert "--attempt 2" in full
    assert "/build retry" not in full


async def test_a_person_gets_one_direct_message_for_an_end(bench: Bench) -> None:
    for_person = {"channel": "UANA", "user": "UANA"}
    await bench.store.watches.add(watch(**for_person))
    await bench.store.watches.add(watch("", **for_person))
    author = Person(name="Ana", email="ana@acme.example")
    await bench.see(running(number=412, author=author))
    await bench.see(ended(number=412, conclusion=RED, author=author, completed_at=bench.clock()))
    assert len(bench.said("UANA")) == 1


async def test_a_late_end_takes_back_what_the_newer_card_said(bench: Bench) -> None:
    times = {"created_at": NOW + timedelta(seconds=1)}
    await bench.see(running("slow", number=412, commit="aa", **times))
    newer = {"created_at": NOW + timedelta(seconds=5), "commit": "bb"}
    await bench.see(ended("quick", number=413, conclusion=RED, completed_at=bench.clock(), **newer))
    (card,) = bench.said()
    assert "Newly broken" in card
    await bench.see(ended("slow", number=412, commit="aa", conclusion=RED, completed_at=bench.clock(), **times))
    card, late, reply = bench.said()
    assert "Still failing — 2nd in a row, since #412" in card
    assert "Corrected when #412 ended" in card
    assert "Newly broken" in late
    assert "a newer build, #413, failed" in late
    first = "↩ Taken back when #412 ended: this build was not the first to fail."
    assert reply == f"{first} Still failing — 2nd in a row, since #412"
    assert bench.slack.threads[-1] == "2.0"  # the one of #413


async def test_a_ref_without_history_is_compared_with_what_the_system_lists(bench: Bench) -> None:
    await bench.store.links.save(link(channel="C2", created_at=ago(days=9), filters="--on all --branch '*'"))
    old = ended("old", number=3, branch="next", completed_at=ago(days=2))
    bench.works.history[PIPELINE] = [old]
    await bench.see(ended("new", number=412, branch="next", conclusion=RED, completed_at=bench.clock()))
    assert "Newly broken — green for 1 build" in bench.said("C2")[-1]
    bench.works.history[PIPELINE] = []
    await bench.see(ended("one", number=413, branch="topic", completed_at=bench.clock()))
    assert "First build on this branch" in bench.said("C2")[-1]
    await bench.see(ended("pull", number=414, branch="topic", pull_request="9", completed_at=bench.clock()))
    assert "No earlier result to compare with" in bench.said("C2")[-1]


async def test_a_linked_pipeline_is_read_every_hour_and_its_new_default_branch_is_followed(bench: Bench) -> None:
    pipeline = bench.works.add("app", name="App", default_branch="main")
    await bench.store.pipelines.save(bench.works.connection, [pipeline], bench.clock())
    bench.works.add("app", name="The App", default_branch="trunk")
    await bench.see(minutes=50)
    assert bench.said() == []
    await bench.see(minutes=20)
    assert len(bench.said()) == 1
    assert "is now trunk (was main); I follow it" in bench.said()[0]
    (followed,) = await bench.store.links.all()
    assert (followed.name, followed.default_branch) == ("The App", "trunk")
    await bench.see(ended("b9", number=9, branch="trunk", completed_at=bench.clock() + timedelta(seconds=1)), hours=2)
    assert len(bench.said()) == 2


async def test_a_pinned_branch_stays_when_the_default_branch_changes(bench: Bench) -> None:
    await bench.store.links.save(link(channel="C2", branch="release", default_branch="main"))
    await bench.store.pipelines.save(
        bench.works.connection, [bench.works.add("app", name="App", default_branch="trunk")], bench.clock()
    )
    await bench.deliver()
    assert bench.said("C2") == []
    pinned = next(row for row in await bench.store.links.all() if row.channel == "C2")
    assert (pinned.branch, pinned.default_branch) == ("release", "trunk")


def full_cards(bench: Bench) -> list[str]:
    """Return the messages of the channel that are more than one line."""
    return [text for text in bench.said() if lines(text) > 2]


async def test_the_live_card_is_never_a_full_finished_card_beside_the_notification(bench: Bench) -> None:
    await bench.start(running(number=412))
    bench.clock.go(seconds=20)
    await bench.poller.record([ended(number=412, conclusion=RED, completed_at=bench.clock())], bench.works)
    (live,) = await bench.store.cards.of_build(key())
    claimed = await bench.store.cards.claim(now=bench.clock(), lease_seconds=60, limit=5)
    assert [card.id for card in claimed] == [live.id]  # the edit overtakes the post
    await bench.outbox._edit(claimed[0])
    (text,) = bench.said()
    assert "RUNNING" in text
    await bench.deliver()
    assert lines(bench.said()[0]) == 1
    assert len(full_cards(bench)) == 1


async def test_no_moment_shows_two_full_cards_of_a_build_that_is_run_again(bench: Bench) -> None:
    await bench.see(ended(number=412, conclusion=RED, completed_at=bench.clock()))
    bench.slack.most_full = 0
    bench.clock.go(minutes=1)
    again = running(number=412)
    card = started_row(
        again, team=TEAM, channel=CHANNEL, user="U7", headline="again", response_url="", thread="", now=bench.clock()
    )
    place: dict[str, Any] = {"team": TEAM, "channel": CHANNEL, "user": "U7"}
    await bench.store.recording.record_start(
        again, **place, notifications=[card], watches=[], now=bench.clock(), after_attempt=1
    )
    await bench.deliver()
    old, new = bench.said()
    assert "Attempt 2 has replaced it" in old
    assert "RUNNING" in new
    assert bench.slack.most_full == 1


async def test_an_end_that_nobody_is_notified_of_is_shown_by_the_live_card(bench: Bench) -> None:
    await bench.start(running(number=412))
    for row in await bench.store.watches.of_build(key()):
        await bench.store.watches.delete(row.id or 0)
    (followed,) = await bench.store.links.all()
    await bench.store.links.save(link(created_at=followed.created_at, default_branch="main", filters="--on failures"))
    await bench.see(ended(number=412, completed_at=bench.clock()))
    (text,) = bench.said()
    assert "PASSED" in text
    assert lines(text) > 2


def approval(number: int) -> Approval:
    return Approval(id=f"g{number}", build="b1", pipeline=PIPELINE, name=f"Gate {number}")


@pytest.mark.parametrize("is_seen_between", [True, False])
async def test_a_second_approval_of_an_attempt_is_a_second_card(bench: Bench, is_seen_between: bool) -> None:
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    (first,) = bench.said()
    assert "Gate 1" in first
    if is_seen_between:
        bench.works.open_approvals.clear()
        await bench.see(running(number=412, raw_state="on"), minutes=2)
    bench.works.open_approvals["b1"] = (approval(2),)
    await bench.see(running(number=412, waiting=True, raw_state="held"), minutes=2)
    first, second = bench.said()
    assert lines(first) == 1
    assert "Decided in The Works" in first
    assert "Gate 2" in second
    assert "/build approve" in second
    await bench.see(running(number=412, waiting=True, raw_state="still"), minutes=2)
    assert bench.said() == [first, *bench.said()[1:]]
    assert len(bench.said()) == 2
    bench.works.open_approvals.clear()
    await bench.see(ended(number=412, completed_at=bench.clock()), minutes=2)
    assert [lines(text) for text in bench.said()][:2] == [1, 1]
    assert len(bench.said()) == 3


async def test_an_approval_that_opens_beside_another_has_its_own_card_and_both_stay_open(bench: Bench) -> None:
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    bench.works.open_approvals["b1"] = (approval(1), approval(2))
    await bench.see(running(number=412, waiting=True, raw_state="two"), minutes=2)
    first, second = bench.said()
    assert "Gate 1" in first
    assert "Gate 2" not in first
    assert "Gate 2" in second
    assert "Gate 1" not in second


async def test_a_false_fix_is_edited_and_taken_back_in_its_thread(bench: Bench) -> None:
    await bench.see(ended("red", number=412, commit="aa", conclusion=RED, completed_at=bench.clock()), minutes=5)
    slow = {"created_at": bench.clock() + timedelta(seconds=1), "commit": "bb"}
    await bench.see(running("slow", number=413, **slow))
    quick = {"created_at": bench.clock() + timedelta(seconds=5), "commit": "cc"}
    await bench.see(ended("quick", number=414, completed_at=bench.clock(), **quick), minutes=5)
    assert "Back to green" in bench.said()[-1]
    await bench.see(ended("slow", number=413, completed_at=bench.clock(), **slow), minutes=5)
    texts = bench.said()
    assert len(texts) == 4
    assert "Still green" in texts[1]
    assert "Corrected when #413 ended" in texts[1]
    assert [text for text in texts if "this was no fix" in text] == [
        "↩ Taken back when #413 ended: this was no fix. Still green"
    ]
    assert bench.slack.threads[-1] == "3.0"  # the one of #414


async def test_a_conclusion_corrected_after_the_end_corrects_its_card_and_the_newer_ones(bench: Bench) -> None:
    first = ended("one", number=412, commit="aa", conclusion=RED, completed_at=bench.clock())
    await bench.see(first, minutes=5)
    await bench.see(ended("two", number=413, commit="bb", conclusion=RED, completed_at=bench.clock()), minutes=5)
    assert "Still failing — 2nd in a row, since #412" in bench.said()[1]
    await bench.see(replace(first, conclusion=Conclusion.PASSED, raw_state="corrected"), minutes=5)
    one, two, *replies = bench.said()
    assert "PASSED" in one
    assert "Newly broken" not in one
    assert "Newly broken — green for 2 builds" in two
    assert "Corrected when the result of #412 changed" in two
    since = "↩ Taken back when the result of #412 changed"
    assert sorted(replies) == [
        f"{since}: the build before it had not failed. Newly broken — green for 2 builds",
        f"{since}: this build did not fail. Still green",
    ]


async def test_a_retried_build_that_its_system_made_anew_links_to_the_new_one(bench: Bench) -> None:
    page = "https://ci.example/2"
    await bench.see(ended(number=412, name="unit", commit="aa", conclusion=RED, completed_at=bench.clock()))
    again = {"created_at": bench.clock() + timedelta(seconds=1), "web_url": page, "name": "unit", "commit": "aa"}
    await bench.see(running("b2", number=413, **again), minutes=5)
    old = ended(number=412, name="unit", commit="aa", conclusion=Conclusion.RETRIED, completed_at=bench.clock())
    await bench.see(replace(old, completed_at=None, raw_state="retried"), minutes=5)
    text = bench.said()[0]
    assert "Retried as #413" in text
    assert page in text
    assert "/build retry" not in text


async def test_a_typed_retry_of_a_build_that_nobody_has_seen_here_has_the_times_of_its_attempt(bench: Bench) -> None:
    old = ended("old", number=9, conclusion=RED, completed_at=ago(hours=12), started_at=ago(hours=13))
    again = running("old", number=9, created_at=old.created_at, started_at=old.started_at)
    card = started_row(
        again,
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        headline="@U7 retried it",
        response_url="",
        thread="",
        now=bench.clock(),
    )
    await bench.store.recording.record_start(
        again,
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        notifications=[card],
        watches=[watch("old", channel=CHANNEL, user="U7", why="started")],
        now=bench.clock(),
        before=old,
        after_attempt=1,
    )
    await bench.deliver()
    (text,) = bench.said()
    assert "running for 0 s" in text
    assert "attempt 2" in text
    await bench.see(
        ended(
            "old",
            number=9,
            completed_at=bench.clock() + timedelta(seconds=40),
            created_at=old.created_at,
            started_at=old.started_at,
        ),
        seconds=40,
    )
    short, full = (text for text in bench.said() if "#9" in text and "#411" not in text.splitlines()[0])
    assert lines(short) == 1
    assert "Passed on a rerun of the same commit after 12 h 00 m and 1 red build: flaky" in full
    assert "40 s" in full
    assert "attempt 2" in full


async def test_the_card_of_an_earlier_attempt_says_nothing_that_its_system_reports_of_the_later_one(
    bench: Bench,
) -> None:
    await bench.see(ended(number=412, conclusion=RED, raw_state="failed", completed_at=bench.clock()))
    await bench.see(running(number=412, raw_state="running"), minutes=2)
    passed = ended(
        number=412, raw_state="passed", reason="all is well", completed_at=bench.clock() + timedelta(minutes=2)
    )
    await bench.see(passed, minutes=2)
    earlier, later = bench.said()
    assert "Failed:" not in earlier
    assert "all is well" not in earlier
    assert "Attempt 2 has replaced it" in earlier
    assert "Passed: all is well" in later


async def test_the_live_card_stays_one_line_until_a_poll_shows_what_came_of_a_decision(bench: Bench) -> None:
    await bench.start(running(number=412))
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    (row,) = [row for row in await bench.store.notifications.of_build(key()) if row.event == Event.BLOCKED]
    decided = replace(Extra.of(row.extra), text="Approved by @U7").as_json()
    bench.works.open_approvals.clear()
    bench.clock.go(seconds=20)
    await bench.store.notifications.revise(row.id or 0, decided, bench.clock())
    await bench.store.cards.redraw(key(), team=TEAM, at=bench.clock())
    await bench.deliver()
    assert [lines(text) for text in bench.said()] == [1, 1]
    assert "Approved by @U7" in bench.said()[1]
    await bench.see(running(number=412, raw_state="on"))
    live, approved = bench.said()
    assert "RUNNING" in live
    assert lines(approved) == 1


async def test_who_started_a_build_is_told_of_each_decision_of_each_approval_once(bench: Bench) -> None:
    await bench.start(running(number=412), user="U7")
    for turn in (1, 2):
        bench.works.open_approvals["b1"] = (approval(turn),)
        await bench.see(running(number=412, waiting=True, updated_at=bench.clock()))
        bench.works.open_approvals.clear()
        await bench.see(running(number=412, raw_state=f"on {turn}", updated_at=bench.clock()))
        await bench.see(running(number=412, raw_state=f"on {turn}", updated_at=bench.clock()))
    decided = [row for row in await bench.store.notifications.of_build(key()) if row.event == Event.DECIDED]
    assert [(row.channel, row.turn, row.state) for row in decided] == [
        ("U7", 1, NotificationState.SENT),
        ("U7", 2, NotificationState.SENT),
    ]


async def test_a_decision_between_two_polls_is_told_while_the_next_approval_is_open(bench: Bench) -> None:
    await bench.start(running(number=412), user="U7")
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    bench.works.open_approvals["b1"] = (approval(2),)
    await bench.see(minutes=2)
    await bench.see(minutes=2)
    bench.works.open_approvals.clear()
    await bench.see(running(number=412, raw_state="on"))
    decided = [row for row in await bench.store.notifications.of_build(key()) if row.event == Event.DECIDED]
    assert [(row.turn, row.state) for row in decided] == [(1, NotificationState.SENT), (2, NotificationState.SENT)]


async def retry(bench: Bench, before: Build) -> None:
    """Retry a build by a typed command, as commands do."""
    again = replace(before, status=Status.IN_PROGRESS, conclusion=None, completed_at=None)
    card = started_row(
        again,
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        headline="@U7 retried it",
        response_url="",
        thread="",
        now=bench.clock(),
    )
    await bench.store.recording.record_start(
        again,
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        notifications=[card],
        watches=[watch(before.id, channel=CHANNEL, user="U7", why="started")],
        now=bench.clock(),
        before=before,
        after_attempt=1,
    )
    await bench.deliver()


async def test_a_typed_retry_is_two_more_messages_and_the_old_card_has_no_buttons_of_acts(bench: Bench) -> None:
    failed = ended(number=412, conclusion=RED, completed_at=bench.clock())
    await bench.see(failed)
    await retry(bench, failed)
    old, live = bench.said()
    assert "Attempt 2 has replaced it" in old
    assert "/build retry" not in old
    assert "RUNNING" in live
    await bench.see(ended(number=412, completed_at=bench.clock() + timedelta(seconds=50)), seconds=60)
    assert len(bench.said()) == 3
    assert lines(bench.said()[1]) == 1


async def test_a_rebuild_is_two_messages_of_the_new_build(bench: Bench) -> None:
    await bench.see(ended(number=412, conclusion=RED, completed_at=bench.clock()))
    page = "https://ci.example/413"
    replaced = NoteKind.REPLACED
    at = bench.clock()
    await bench.store.cards.note(
        key(), 1, team=TEAM, user="U7", text="rebuilt it as #413", kind=replaced, url=page, at=at
    )
    await bench.start(running("b2", number=413, web_url=page))
    await bench.see(ended("b2", number=413, completed_at=bench.clock(), web_url=page), minutes=2)
    old, live, full = bench.said()
    assert "@U7 rebuilt it as #413" in old
    assert f"Open it ({page})" in old
    assert "/build" not in old
    assert lines(live) == 1
    assert "FIXED" in full


@pytest.mark.parametrize("conclusion", [Conclusion.CANCELLED, Conclusion.FAILED])
async def test_a_rejected_or_cancelled_build_is_its_approval_and_its_end(bench: Bench, conclusion: Conclusion) -> None:
    await bench.start(running(number=412))
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    bench.works.open_approvals.clear()
    await bench.see(ended(number=412, conclusion=conclusion, completed_at=bench.clock()), minutes=2)
    assert len(bench.said()) == 3
    assert len(full_cards(bench)) == 1


async def test_a_restart_in_the_middle_posts_nothing_twice(bench: Bench, store: Store) -> None:
    await bench.start(running(number=412))
    bench.clock.go(seconds=20)
    await bench.poller.record([ended(number=412, conclusion=RED, completed_at=bench.clock())], bench.works)
    again = Bench(store, bench.clock)
    again.slack = bench.slack
    again.outbox._slack = cast("Any", bench.slack)
    await store.notifications.release_leases(bench.clock())
    await again.deliver()
    assert len(again.said()) == 2
    assert len(full_cards(again)) == 1


async def test_a_webhook_and_a_poll_of_one_end_and_several_who_asked_are_one_post(bench: Bench) -> None:
    await bench.store.watches.add(watch(channel=CHANNEL, user="U8"))
    await bench.store.watches.add(watch("", channel=CHANNEL, user="U9"))
    await bench.see(running(number=412))
    end = ended(number=412, conclusion=RED, completed_at=bench.clock())
    await bench.see(end)
    await bench.see(replace(end, updated_at=bench.clock()))
    assert len(bench.said()) == 1


async def test_the_card_of_a_build_that_was_erased_elsewhere_says_so(bench: Bench) -> None:
    end = ended(number=412, conclusion=RED, completed_at=bench.clock())
    await bench.see(end)
    await bench.see(replace(end, details={"erased": "2026-03-04 12:00 UTC"}), minutes=2)
    (text,) = bench.said()
    assert "Its logs and artifacts were erased: 2026-03-04 12:00 UTC" in text
    assert "/build" not in text


async def test_the_card_of_a_build_that_was_rebuilt_elsewhere_links_to_the_new_one(bench: Bench) -> None:
    await bench.see(ended(number=412, conclusion=RED, completed_at=bench.clock()))
    page = "https://ci.example/413"
    await bench.see(running("b2", number=413, rebuilt_from="b1", web_url=page), minutes=2)
    (text,) = bench.said()
    assert "Rebuilt as #413" in text
    assert f"Open it ({page})" in text
    assert "/build" not in text


@pytest.mark.parametrize(
    ("voter", "lines"),
    [
        ("U8", ["Approved by @U8", "“go”"]),
        ("", ["Decided in The Works"]),
        ("U7", None),
    ],
)
async def test_who_started_a_build_is_told_once_of_a_decision_that_others_took(
    bench: Bench, voter: str, lines: list[str] | None
) -> None:
    await bench.start(running())
    await bench.see(running(waiting=True))
    if voter:
        vote = NewVote(
            team=TEAM,
            connection=CONNECTION,
            pipeline=PIPELINE,
            build="b1",
            attempt_no=1,
            approval="g1",
            name="Deploy",
            user=voter,
            approve=True,
            comment="go",
            at=NOW,
        )
        await bench.store.approvals.vote(vote)
    await bench.see(running(), minutes=1)
    await bench.see(running(jobs={"passed": 1}), minutes=1)
    told = bench.said("U7")
    assert len(told) == (1 if lines else 0)
    assert all(line in told[0] for line in lines or ())


async def test_builds_that_end_at_once_are_one_message_that_names_each(bench: Bench) -> None:
    await bench.start(running("mine", number=600))
    before = bench.slack.posted
    at_once = [ended(f"s{n}", number=500 + n, completed_at=bench.clock()) for n in range(7)]
    await bench.see(*at_once, ended("mine", number=600, completed_at=bench.clock()))
    texts = [text for text in bench.said() if "7 builds finished within a minute" in text]
    assert len(texts) == 1
    assert all(f"#{500 + n}" in texts[0] for n in range(7))
    assert bench.slack.posted - before == 2
    assert sum("PASSED" in text for text in bench.said()) == 1


async def test_five_builds_that_end_at_once_are_five_messages(bench: Bench) -> None:
    await bench.see(*(ended(f"s{n}", number=500 + n, completed_at=bench.clock()) for n in range(5)))
    assert len(bench.said()) == 5


@pytest.mark.parametrize(("is_open", "posts"), [(True, 1), (False, 0)])
async def test_an_approval_that_is_open_for_an_hour_is_reminded_of_once_in_its_thread(
    bench: Bench, is_open: bool, posts: int
) -> None:
    bench.works.open_approvals["b1"] = (Approval(id="g1", build="b1", pipeline=PIPELINE, name="Ship"),)
    await bench.see(running(number=412))
    await bench.see(running(number=412, waiting=True))
    assert "Reminder in the thread" in bench.said()[0]
    if not is_open:
        bench.works.open_approvals.clear()
        await bench.see(running(number=412, raw_state="on"))
    before = bench.slack.posted
    bench.clock.go(minutes=59)
    await bench.deliver()
    assert bench.slack.posted == before
    bench.clock.go(minutes=2)
    await bench.deliver()
    bench.clock.go(hours=3)
    await bench.deliver()
    assert bench.slack.posted - before == posts
    if is_open:
        assert "has waited for 1 h" in bench.said()[-1]
        assert "Reminder in the thread" not in bench.said()[0]


async def test_a_channel_that_is_quiet_is_reminded_of_nothing(bench: Bench) -> None:
    bench.works.open_approvals["b1"] = (Approval(id="g1", build="b1", pipeline=PIPELINE, name="Ship"),)
    await bench.see(running(number=412))
    await bench.see(running(number=412, waiting=True))
    before = bench.slack.posted
    until = bench.clock() + timedelta(hours=9)
    await bench.store.mutes.set(NewMute(team=TEAM, channel=CHANNEL, until=until, made_by="U1", made_at=NOW))
    bench.clock.go(hours=2)
    await bench.deliver()
    assert bench.slack.posted == before


async def test_each_card_of_an_approval_is_reminded_of_in_its_own_thread(bench: Bench) -> None:
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    bench.works.open_approvals["b1"] = (approval(1), approval(2))
    await bench.see(running(number=412, waiting=True, raw_state="two"), minutes=2)
    first, second = [ts for ts, (_channel, text) in bench.slack.messages.items() if "Gate" in text]
    bench.clock.go(hours=2)
    await bench.deliver()
    reminders = [
        (bench.slack.threads[int(float(ts)) - 1], text)
        for ts, (_channel, text) in bench.slack.messages.items()
        if "has waited" in text
    ]
    assert [(thread, "Gate 1" in text, "Gate 2" in text) for thread, text in reminders] == [
        (first, True, False),
        (second, False, True),
    ]


@pytest.mark.parametrize(("value", "minutes", "posts"), [("1800", 31, 1), ("1800", 29, 0), ("0", 600, 0)])
async def test_a_channel_says_when_it_is_reminded_of_an_approval(
    bench: Bench, value: str, minutes: int, posts: int
) -> None:
    await bench.store.settings.set(TEAM, CHANNEL, Setting.REMIND, value)
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    before = bench.slack.posted
    bench.clock.go(minutes=minutes)
    await bench.deliver()
    assert bench.slack.posted - before == posts
    assert ("Reminder in the thread" in bench.said()[0]) is (value != "0" and posts == 0)


async def test_an_approval_that_its_system_ends_is_reminded_of_the_day_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Works, "approvals_last", timedelta(days=30))
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    assert "Expires " in bench.said()[0]
    bench.clock.go(hours=2)
    await bench.deliver()
    before = bench.slack.posted
    bench.clock.go(days=28, hours=20)
    await bench.deliver()
    assert bench.slack.posted == before
    bench.clock.go(hours=3)
    await bench.deliver()
    assert bench.slack.posted == before + 1
    assert "Expires " in bench.said()[-1]


async def test_the_card_of_an_approval_says_who_holds_its_environment(bench: Bench) -> None:
    place: dict[str, Any] = {"team": TEAM, "connection": CONNECTION, "pipeline": PIPELINE}
    for environment in ("gate 1", "elsewhere"):
        await bench.store.holds.take(
            NewHold(**place, environment=environment, user="U7", reason="audit", made_at=bench.clock())
        )
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    assert "On hold: @U7 has held the environment gate 1" in bench.said()[0]
    assert "elsewhere" not in bench.said()[0]


@pytest.mark.parametrize("decides", [True, False])
async def test_who_may_approve_is_said_only_where_the_system_takes_decisions(bench: Bench, decides: bool) -> None:
    if not decides:
        bench.works.capabilities -= {Capability.DECIDE}
    bench.works.open_approvals["b1"] = (approval(1),)
    await bench.see(running(number=412, waiting=True))
    assert ("May approve in Slack" in bench.said()[0]) is decides


async def test_a_link_that_stayed_silent_for_a_wrong_conclusion_is_notified_once_after_the_correction(
    bench: Bench,
) -> None:
    await bench.store.links.save(link(channel="C9", filters="--on failures", created_at=ago(days=9)))
    at = bench.clock() + timedelta(seconds=20)
    await bench.see(ended(number=412, completed_at=at))
    assert bench.said("C9") == []
    for _poll in range(2):
        await bench.see(ended(number=412, conclusion=RED, completed_at=at, raw_state="failed after all"))
    (text,) = bench.said("C9")
    assert "FAILED" in text.upper()
    await bench.see(ended(number=412, completed_at=at, raw_state="passed after all"))
    await bench.see(ended(number=412, conclusion=RED, completed_at=at, raw_state="failed again"))
    finished = [row for row in await bench.store.notifications.of_build(key()) if row.channel == "C9"]
    assert [row.event for row in finished].count(Event.FINISHED) == 1
    assert finished[0].state == NotificationState.SENT
