from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from bot.blocks.plain import as_text
from bot.core.errors import Unavailable
from bot.core.models import (
    Approval,
    Build,
    Change,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Person,
    Pipeline,
    Transition,
    Trigger,
)
from bot.core.policies import Policy
from bot.notifications.cards import Cards
from bot.notifications.decisions import outage_row, started_row
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import Drawn
from bot.notifications.summaries import summary_row
from bot.providers.base.capabilities import Capability
from bot.slack.people import People
from bot.store import Store
from bot.store.rows import NewApprovalPolicy, NewGrant, NewNotification, NewVote
from bot.store.states import NoteKind
from tests.bot.store.rows import (
    CHANNEL,
    CONNECTION,
    NOW,
    PIPELINE,
    TEAM,
    ago,
    card,
    ended,
    key,
    leased,
    link,
    notification,
    running,
)
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

RED = Conclusion.FAILED
ABLE = PLAIN | {
    Capability.COUNTS,
    Capability.ISSUES,
    Capability.CANCEL,
    Capability.REBUILD,
    Capability.RETRY_FAILED,
    Capability.DECIDE,
    Capability.REJECT,
}


class Authors(People):
    """Ana wrote the commit; Bo wants no mentions."""

    def __init__(self) -> None:
        """Need neither Slack nor a store."""

    @override
    async def author(self, team: str, author: Person, kind: str) -> str | None:
        return "UANA" if (team, author.email, kind) == (TEAM, "ana@acme.example", "works") else None

    @override
    async def may_mention(self, team: str, user: str) -> bool:
        return user != "UBO"


def vote(user: str, **fields: Any) -> NewVote:
    """Return an approval of the first attempt of b1."""
    whole = {"attempt_no": 1, "approval": "g1", "name": "Deploy", "approve": True, "at": NOW, **fields}
    return NewVote(team=TEAM, connection=CONNECTION, pipeline=PIPELINE, build="b1", user=user, **whole)


class Desk:
    """Cards with everything they draw from."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.works = Works(clock, can=ABLE)
        self.seen_by = {TEAM}
        self.refreshed = 0
        self.cards = Cards(
            store,
            provider_of=lambda team, name: self.works if team in self.seen_by and name == CONNECTION else None,
            people=Authors(),
            clock=clock,
            refresh=self._refresh,
        )

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def record(self, *builds: Build) -> None:
        """Write builds as the poller does."""
        for build in builds:
            await self.store.recording.record([build], now=self.clock(), counts_after=timedelta(0))

    async def drawn(self, row: NewNotification, *, repeated: bool = False) -> Drawn:
        """Draw a notification that has something to say."""
        found = await self.cards.draw(row, repeated=repeated)
        assert found is not None
        return found

    async def text(self, row: NewNotification, *, repeated: bool = False) -> str:
        """Return a drawn notification as text."""
        return as_text((await self.drawn(row, repeated=repeated)).message.payload())


@pytest.fixture
def desk(store: Store, set_clock: SetClock) -> Desk:
    return Desk(store, set_clock)


def about(
    event: Event = Event.FINISHED, *, attempt_no: int = 1, reason: str = "it is wanted", **extra: Any
) -> NewNotification:
    return notification(event=event.value, attempt_no=attempt_no, reason=reason, extra=Extra(**extra).as_json())


def started(**fields: Any) -> NewNotification:
    whole: dict[str, Any] = {
        "team": TEAM,
        "channel": CHANNEL,
        "user": "U1",
        "headline": "<@U1> started it",
        "response_url": "",
        "thread": "",
        "now": NOW,
        **fields,
    }
    return started_row(running(), **whole)


# a started build


async def test_a_live_card_shows_the_build_as_it_is_now(desk: Desk) -> None:
    await desk.store.links.save(link(alias="ios"))
    await desk.record(running(number=7, started_at=NOW))
    shown = await desk.drawn(started())
    assert (shown.card, shown.live, shown.moves) == (True, True, True)
    text = as_text(shown.message.payload())
    assert "RUNNING" in text
    assert "ios" in text
    assert "@U1 started it" in text
    await desk.record(ended(number=7))
    over = await desk.drawn(started())
    assert (over.live, over.moves) == (False, False)
    assert "PASSED" in as_text(over.message.payload())


async def test_a_waiting_card_moves_and_tells_how_long_it_has_waited_for_approval(desk: Desk) -> None:
    begun = ago(minutes=5)
    await desk.record(running(started_at=begun, created_at=begun), running(started_at=begun, waiting=True))
    desk.clock.go(minutes=23)
    shown = await desk.drawn(started())
    assert (shown.live, shown.moves) == (True, True)
    text = as_text(shown.message.payload())
    assert "waiting 23 m for approval" in text
    assert "ran 5 m 00 s before" in text
    await desk.record(running(started_at=begun, raw_state="on"))
    desk.clock.go(minutes=1)
    assert "running for 6 m 00 s" in await desk.text(started())
    await desk.record(ended(started_at=begun, created_at=begun, completed_at=desk.clock()))
    text = await desk.text(about())
    assert "6 m 00 s" in text
    assert "waited 23 m 00 s for approval" in text


async def test_a_retried_old_build_tells_the_times_of_its_attempt(desk: Desk) -> None:
    old: dict[str, Any] = {"created_at": ago(hours=13), "started_at": ago(hours=13)}
    await desk.record(ended(conclusion=RED, completed_at=ago(hours=12), **old), running(**old))
    desk.clock.go(minutes=2)
    text = await desk.text(started(attempt_no=2))
    assert "running for 2 m 00 s" in text
    assert " h " not in text
    await desk.record(ended(completed_at=desk.clock(), **old))
    text = await desk.text(about(attempt_no=2))
    assert "2 m 00 s" in text
    assert " h " not in text
    before = await desk.text(about(attempt_no=1))
    assert "1 h 00 m" in before


async def test_who_pressed_the_button_is_the_starter_everywhere(desk: Desk) -> None:
    await desk.store.recording.record_start(
        running(triggered_by="Token Owner"),
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        notifications=(),
        watches=(),
        now=NOW,
    )
    await desk.record(ended(triggered_by="Token Owner"))
    text = await desk.text(about())
    assert "started by @U7" in text
    assert "Token Owner" not in text


async def test_a_card_of_an_earlier_attempt_has_no_buttons_and_says_why(desk: Desk) -> None:
    await desk.record(ended(), running())
    shown = await desk.drawn(started())
    assert not shown.live
    text = as_text(shown.message.payload())
    assert "Attempt 2 has replaced it" in text
    assert "/build" not in text


async def test_the_usual_time_is_the_median_of_what_passed(desk: Desk) -> None:
    spans = ((60, Conclusion.PASSED), (120, Conclusion.PASSED), (600, Conclusion.PASSED), (9, RED))
    for number, (seconds, conclusion) in enumerate(spans):
        end = ago(minutes=50 - number)
        await desk.record(
            ended(f"old-{number}", conclusion=conclusion, started_at=end - timedelta(seconds=seconds), completed_at=end)
        )
    await desk.record(running(started_at=ago(seconds=30)))
    assert "usually 2 m" in await desk.text(started())


# a finished build


async def test_a_notification_is_drawn_with_counts_deltas_and_the_first_failure(desk: Desk) -> None:
    await desk.record(ended(conclusion=RED))
    failures = [Issue(kind=IssueKind.TEST_FAILURE, message=f"test {n} failed") for n in range(3)]
    await desk.store.attempts.set_counts(
        key(),
        1,
        IssueCounts(errors=2, test_failures=5),
        NOW,
        failures=msgspec.json.encode(failures).decode(),
        failures_total=5,
    )
    transition = Transition(change=Change.STILL_FAILING, streak=3, red_since=409, baseline=IssueCounts(errors=1))
    text = await desk.text(about(transition=transition))
    assert "2 errors (+1)" in text
    assert "Still failing — 3rd in a row, since #409, with more issues" in text
    assert "test 0 failed" in text
    assert "+4 more" in text
    assert "Posted because it is wanted" in text


async def test_counts_that_may_still_come_are_announced_and_unknown_ones_are_no_zeros(desk: Desk) -> None:
    await desk.record(ended())
    text = await desk.text(about())
    assert "counting issues" in text
    assert "0 errors" not in text
    attempt_no = await desk.store.attempts.get(key(), 1)
    assert attempt_no is not None
    await desk.store.attempts.give_up_counts(attempt_no)
    text = await desk.text(about())
    assert "counting issues" not in text
    assert "errors" not in text
    assert "Counts not available" in text


async def test_a_system_that_counts_nothing_announces_nothing(desk: Desk) -> None:
    desk.works.capabilities = PLAIN | {Capability.ISSUES}
    await desk.record(ended(conclusion=RED))
    assert "counting issues" not in await desk.text(about())


async def test_late_and_repeated_news_say_so(desk: Desk) -> None:
    await desk.record(ended())
    text = await desk.text(about(late=True), repeated=True)
    assert "reported late" in text
    assert "Possibly repeated" in text


async def test_an_attempt_that_was_replaced_keeps_its_result_and_loses_its_buttons(desk: Desk) -> None:
    again = ended(completed_at=NOW + timedelta(hours=1))
    await desk.record(ended(conclusion=RED, issues=IssueCounts(errors=1)), running(), again)
    text = await desk.text(about(reason="this channel gets a post for every finished build on main"))
    assert "FAILED" in text
    assert "1 error" in text
    assert "Attempt 2 has replaced it" in text
    assert "/build" not in text


async def test_a_later_attempt_without_a_card_shows_on_the_earlier_ones_with_its_own_buttons(desk: Desk) -> None:
    await desk.record(ended(conclusion=RED, number=7), running(number=7))
    text = await desk.text(about())
    assert "FAILED" in text
    assert "Attempt 2: running" in text
    assert "/build cancel works:p-app#7 --attempt 2" in text
    assert "retry" not in text


async def test_a_later_attempt_with_a_card_of_its_own_leaves_the_earlier_one_no_buttons(desk: Desk) -> None:
    await desk.record(ended(conclusion=RED, number=7), running(number=7))
    live = replace(started(), attempt_no=2)
    await desk.store.notifications.add([live])
    text = await desk.text(about())
    assert "Attempt 2 has replaced it" in text
    assert "/build" not in text


async def test_a_later_attempts_counts_are_not_an_earlier_ones(desk: Desk) -> None:
    await desk.record(ended(), running(), ended(issues=IssueCounts(errors=9), completed_at=NOW + timedelta(hours=1)))
    assert "9 errors" not in await desk.text(about())


async def test_a_result_in_a_word_nobody_knows_is_neither_red_nor_green(desk: Desk) -> None:
    await desk.record(ended(conclusion=None, raw_state="exploded"))
    text = await desk.text(about())
    assert "exploded" in text
    assert "PASSED" not in text


# who is named


@pytest.mark.parametrize(
    ("mention", "email", "named"),
    [
        ("U7", None, "U7"),
        ("UBO", None, ""),
        ("S0IOS", None, "S0IOS"),
        (AUTHOR, "ana@acme.example", "UANA"),
        (AUTHOR, "bo@acme.example", ""),
        (AUTHOR, None, ""),
        ("", "ana@acme.example", ""),
        (CHANNEL, None, ""),
    ],
)
async def test_people_are_named_who_want_to_be(desk: Desk, mention: str, email: str | None, named: str) -> None:
    await desk.record(ended(conclusion=RED, author=Person(name="Ana", email=email) if email else None))
    message = (await desk.drawn(about(mention=mention))).message
    body = str(message.payload())
    assert [who for who in ("U7", "UBO", "S0IOS", "UANA") if f"<@{who}>" in body or f"<!subteam^{who}>" in body] == (
        [named] if named else []
    )


async def test_a_commit_can_not_ping_a_channel(desk: Desk) -> None:
    hostile = "<!channel> <@U999> <https://evil.example|Approve>"
    await desk.record(ended(message=hostile, branch=hostile, author=Person(name=hostile)))
    body = str((await desk.drawn(about())).message.payload())
    assert "<!channel>" not in body
    assert "<@U999>" not in body
    assert "<https://evil" not in body


# approvals


async def test_an_open_approval_offers_its_buttons_until_it_is_decided(desk: Desk) -> None:
    await desk.record(running(waiting=True))
    desk.works.open_approvals["b1"] = (Approval(id="g1", build="b1", pipeline=PIPELINE, name="Deploy to production"),)
    shown = await desk.drawn(about(Event.BLOCKED))
    assert (shown.card, shown.live) == (True, True)
    text = as_text(shown.message.payload())
    assert "Deploy to production" in text
    assert "/build approve" in text
    await desk.record(running(waiting=False))
    over = await desk.drawn(about(Event.BLOCKED))
    assert not over.live
    text = as_text(over.message.payload())
    assert "Decided in The Works" in text
    assert "/build" not in text
    assert len(text.splitlines()) == 1


async def test_who_decided_stands_on_the_card(desk: Desk) -> None:
    await desk.record(running())
    assert "Approved by @U7" in await desk.text(about(Event.BLOCKED, text="Approved by <@U7>"))


async def test_an_open_approval_says_what_would_go_out_who_may_approve_and_what_it_needs(desk: Desk) -> None:
    desk.cards = Cards(
        desk.store,
        provider_of=lambda _team, _name: desk.works,
        people=Authors(),
        clock=desk.clock,
        policies=(Policy(pipelines=PIPELINE, refs="main", people=2, no_self=True),),
    )
    shas = ["a1b2c3d1", "b1b2c3d2", "c1b2c3d3"]
    out, second, third = [
        {"number": number, "commit": sha, "created_at": ago(hours=9 - number), "message": f"Change *{number}*"}
        for number, sha in enumerate(shas, 1)
    ]
    await desk.record(ended("b1", **out), ended("b2", conclusion=RED, **second))
    await desk.record(running("b3", waiting=True, **third))
    grant: dict[str, Any] = {"team": TEAM, "granted_by": "U9", "granted_at": NOW}
    await desk.store.grants.add(NewGrant(role="approver", subject="channel:C0SHIP", refs="main", **grant))
    await desk.store.grants.add(NewGrant(role="approver", subject="group:S0QA", refs="release/*", **grant))
    await desk.store.grants.add(NewGrant(role="runner", subject="group:S0DEV", **grant))
    text = await desk.text(replace(about(Event.BLOCKED), build="b3"))
    assert "What would go out since #1" in text
    assert text.index("c1b2c3d") < text.index("b1b2c3d")
    assert "a1b2c3d" not in text
    assert "May approve in Slack: members of" in text
    assert "a user group" not in text
    assert "Needs: two people, not whoever started it" in text


@pytest.mark.parametrize(
    ("voters", "line"),
    [([], "Decided in The Works past the policy"), (["UA"], "past the policy"), (["UA", "UB"], "Decided in The Works")],
)
async def test_a_decision_taken_elsewhere_that_passed_a_policy_by_is_told(
    desk: Desk, voters: list[str], line: str
) -> None:
    policy = NewApprovalPolicy(team=TEAM, pipelines=PIPELINE, people=2, set_by="U9", set_at=NOW)
    await desk.store.approvals.set_policy(policy)
    await desk.record(running(waiting=True), running())
    for user in voters:
        await desk.store.approvals.vote(vote(user))
    text = await desk.text(about(Event.BLOCKED))
    assert line in text
    assert ("past the policy" in text) is (len(voters) < 2)


@pytest.mark.parametrize("can", [PLAIN, PLAIN - {Capability.APPROVALS}])
async def test_an_approval_that_can_not_be_read_is_told_without_buttons(desk: Desk, can: frozenset[Capability]) -> None:
    desk.works.capabilities = can
    desk.works.troubles["approvals"] = Unavailable("The works do not answer.", provider="The Works")
    await desk.record(running(waiting=True))
    text = await desk.text(about(Event.BLOCKED))
    assert "WAITING FOR APPROVAL" in text.upper()
    assert "/build approve" not in text


# summaries, outages, digests


async def test_a_summary_lists_builds_in_order_under_their_names(desk: Desk) -> None:
    await desk.store.links.save(link(alias="ios"))
    await desk.record(ended(number=1), ended("b2", number=2, conclusion=RED))
    rows = [notification(), notification("b2"), notification("lost")]
    text = await desk.text(summary_row(rows, "3 builds finished while I was away", NOW), repeated=True)
    assert text.index("#1") < text.index("#2")
    assert "2 builds finished while I was away" in text
    assert "ios" in text
    assert "Possibly repeated" in text
    quiet = await desk.text(summary_row(rows, "quiet hours held back 2 notices", NOW, quiet=True))
    assert "2 builds while this was muted" in quiet


async def test_a_summary_of_what_is_gone_says_nothing(desk: Desk) -> None:
    assert await desk.cards.draw(summary_row([notification("lost")], "", NOW), repeated=False) is None


async def test_an_outage_and_its_end_name_the_connection(desk: Desk) -> None:
    since = ago(minutes=30)

    def row(connection: str, *, over: bool, now: datetime = NOW) -> NewNotification:
        return outage_row(
            TEAM, CHANNEL, connection=connection, since=since, error="token xoxb-1-secret", over=over, now=now
        )

    text = await desk.text(row(CONNECTION, over=False), repeated=True)
    assert "I cannot reach The Works (works)" in text
    assert "xoxb" not in text
    assert "Possibly repeated" in text
    assert "The Works (works) answers again after 30 m" in await desk.text(row(CONNECTION, over=True))
    desk.clock.go(hours=1)
    assert "after 30 m" in await desk.text(row(CONNECTION, over=True))
    assert "I cannot reach gone" in await desk.text(row("gone", over=False))


async def test_a_digest_is_drawn_as_it_was_made(desk: Desk) -> None:
    row = about(Event.DIGEST, text="3 builds this week", lines=("*3 builds*", "• web"))
    assert await desk.text(row) == as_text((await desk.drawn(row)).message.payload())
    assert "• web" in await desk.text(row)
    assert "Possibly repeated" in await desk.text(row, repeated=True)


# what people did


async def test_acts_and_claims_stand_on_the_card_and_change_its_buttons(desk: Desk) -> None:
    await desk.record(ended(conclusion=RED))
    assert "/build claim" in await desk.text(about())
    await desk.store.claims.add("T2", key(), "U9")
    assert "/build claim" in await desk.text(about())
    await desk.store.claims.add(TEAM, key(), "U8")
    text = await desk.text(about())
    assert "@U8 is on it" in text
    assert "/build claim" not in text
    assert "/build unclaim" in text
    await desk.store.claims.remove(TEAM, key(), "U8")
    assert "/build claim" in await desk.text(about())


async def test_a_build_that_was_replaced_keeps_its_card_without_buttons(desk: Desk) -> None:
    await desk.record(ended(conclusion=RED))
    await desk.store.notifications.add([about()])
    await desk.store.notifications.set_sent(await leased(desk.store, 1), ts="1.1", card=card(), now=NOW)
    await desk.store.cards.note(key(), 1, team=TEAM, user="U7", text="rebuilt it as #413", at=NOW)
    await desk.store.recording.replace(key(), text="Rebuilt as #413", now=NOW)
    text = await desk.text(about())
    assert "@U7 rebuilt it as #413" in text
    assert "Rebuilt as #413" in text
    assert "/build" not in text


async def test_who_cancelled_a_build_is_line_two_of_its_card(desk: Desk) -> None:
    await desk.record(ended(conclusion=Conclusion.CANCELLED))
    assert "*Cancelled*" in str((await desk.drawn(about())).message.payload())
    await desk.store.cards.note(key(), 1, team=TEAM, user="U7", text="cancelled it", kind=NoteKind.CANCELLED, at=NOW)
    assert "Cancelled by <@U7>" in str((await desk.drawn(about())).message.payload())


async def test_a_default_branch_that_changed_is_named_once(desk: Desk) -> None:
    await desk.store.links.save(link(default_branch="master"))
    await desk.store.pipelines.save(
        CONNECTION, [Pipeline(id=PIPELINE, path="app", name="App", default_branch="trunk")], NOW
    )
    (row,) = await desk.store.notifications.in_channel(TEAM, CHANNEL, ago(days=1))
    assert "The default branch of App is now trunk (was master); I follow it" in await desk.text(row)


# what is not drawn


async def test_a_build_nobody_knows_is_not_drawn(desk: Desk) -> None:
    assert await desk.cards.draw(about(), repeated=False) is None


async def test_a_workspace_that_may_not_see_the_connection_is_shown_nothing(desk: Desk) -> None:
    await desk.record(ended())
    desk.seen_by.clear()
    assert await desk.cards.draw(about(), repeated=False) is None
    assert desk.refreshed == 1
    assert await desk.cards.draw(summary_row([notification()], "", NOW), repeated=False) is None


async def test_without_a_link_a_pipeline_is_called_by_its_listed_name_or_what_the_build_says(desk: Desk) -> None:
    await desk.record(ended(workflow="Nightly"))
    assert "Nightly" in await desk.text(about())
    await desk.store.pipelines.save(CONNECTION, [desk.works.add("app", name="The App")], NOW)
    assert "The App" in await desk.text(about())


async def test_an_earlier_attempt_still_names_who_started_it_in_slack(desk: Desk) -> None:
    again = ended(completed_at=NOW + timedelta(hours=1))
    await desk.record(ended(conclusion=RED, triggered_by="ci-bot", trigger=Trigger.API), running(), again)
    first = replace(started(), attempt_no=1)
    await desk.store.notifications.add([first])
    text = await desk.text(about())
    assert "started by @U1" in text
    assert "ci-bot" not in text


async def test_a_live_card_names_the_person_not_the_account_of_the_bot(desk: Desk) -> None:
    await desk.store.recording.record_start(
        running(number=7, triggered_by="ci-bot", trigger=Trigger.API),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        notifications=(),
        watches=(),
        now=NOW,
    )
    text = await desk.text(started())
    assert "@U1 started it" in text
    assert "ci-bot" not in text


async def test_a_decided_approval_is_one_line_though_the_system_still_shows_the_build_as_waiting(desk: Desk) -> None:
    await desk.record(running(number=7, waiting=True))
    text = await desk.text(about(Event.BLOCKED, text="Approved by <@U1>"))
    assert "Approved by @U1" in text
    assert "/build" not in text


async def test_a_cancel_is_told_once_and_its_counts_are_compared_with_nothing(desk: Desk) -> None:
    await desk.record(ended(conclusion=Conclusion.CANCELLED, issues=IssueCounts(errors=0, warnings=2)))
    await desk.store.cards.note(key(), 1, team=TEAM, user="U7", text="cancelled it", kind=NoteKind.CANCELLED, at=NOW)
    text = await desk.text(about(transition=Transition(baseline=IssueCounts(errors=1, warnings=2))))
    assert "Cancelled by @U7" in text
    assert "cancelled it" not in text
    assert "−1" not in text
