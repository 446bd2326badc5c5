"""What is delivered is done at most once and answered once, whoever delivers it again and whoever dies."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.blocks.message import Message
from bot.core.acting import begin_act
from bot.core.errors import StoreError, UsageError
from bot.core.tasks import Tasks
from bot.security.vault import Vault, new_key
from bot.slack.deliveries import Ack
from bot.slack.inbox import Inbox, TakenOverError, begin_answer, tracked
from bot.slack.sender import SlackLimited, SlackPassing, SlackUnreachable, SlackUnsure
from bot.store import Store
from bot.store.inbox import InboxKind
from tests.bot.slack.test_deliveries import CLICK, COMMAND, FORM, MENTION, SHORTCUT, changed
from tests.set_clock import SetClock

Work = Callable[[Mapping[str, Any]], Awaitable[None]]
ERRORS = Ack(200, '{"response_action": "errors", "errors": {"ref": "no"}}', "application/json")


@dataclass
class Slack:
    """What reaches people."""

    takes_responses: bool = True
    faults: list[SlackPassing] = field(default_factory=list)
    """What the next responses end with, one each; one of an unknown fate arrives all the same."""
    responses: list[tuple[str, str]] = field(default_factory=list)
    ephemerals: list[tuple[str, str, str]] = field(default_factory=list)
    posts: list[tuple[str, str]] = field(default_factory=list)

    async def respond(self, url: str, message: Message, *, public: bool = False, replace: bool = False) -> bool:
        if self.faults and not isinstance(self.faults[0], SlackUnsure):
            raise self.faults.pop(0)
        self.responses.append((url, message.text))
        if self.faults:
            raise self.faults.pop(0)
        return self.takes_responses

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        self.posts.append((channel, message.text))
        return channel, "1.1"

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        self.ephemerals.append((channel, user, message.text))

    @property
    def texts(self) -> list[str]:
        return [one[-1] for one in (*self.responses, *self.ephemerals, *self.posts)]


class Process:
    """A process with an inbox, and what it does with what it takes."""

    def __init__(self, name: str, store: Store, clock: SetClock, slack: Slack, vault: Vault) -> None:
        self.received: list[Mapping[str, Any]] = []
        self.reply = Ack(200)
        self.work: Work = self.answered
        self.background = True
        self.dying = asyncio.Event()
        self.tasks = Tasks()
        self.slack = slack
        self.inbox = Inbox(
            store,
            dispatch=self.dispatch,
            sender=cast("Any", slack),
            vault=vault,
            clock=clock,
            owner=name,
            handles=lambda event: event in {"app_mention", "reaction_added"},
        )

    async def dispatch(self, body: Mapping[str, Any], _headers: Mapping[str, str]) -> Ack:
        self.received.append(body)
        if self.background:
            self.tasks.start(tracked(self.work(body)), "work")  # type: ignore[arg-type]
        return self.reply

    async def answered(self, body: Mapping[str, Any]) -> None:
        await begin_answer("done")
        await self.slack.respond(str(body.get("response_url") or ""), Message(text="done"))

    async def dies_before_its_act(self, _body: Mapping[str, Any]) -> None:
        self.dying.set()
        await asyncio.Event().wait()

    async def dies_acting(self, body: Mapping[str, Any]) -> None:
        await begin_act()
        await self.dies_before_its_act(body)

    async def dies_answering(self, body: Mapping[str, Any]) -> None:
        await begin_act()
        await begin_answer("Started #5")
        await self.dies_before_its_act(body)

    async def take(self, body: Mapping[str, Any], fallback: str = "a") -> Ack:
        reply = await self.inbox.take(body, {}, fallback=fallback)
        for _step in range(3):
            await asyncio.sleep(0)
        assert isinstance(reply, Ack)
        return reply

    async def settle(self) -> None:
        await self.inbox.settle()
        await self.tasks.drain()
        await self.inbox.settle()


@dataclass
class Stage:
    """Two processes on one database."""

    store: Store
    clock: SetClock
    slack: Slack
    first: Process
    second: Process

    async def crash(self, how: str, body: Mapping[str, Any]) -> None:
        """Let the first process take a delivery and die in it, and its lease end."""
        self.first.work = getattr(self.first, how)
        self.first.dying.clear()
        await self.first.take(body)
        await self.first.dying.wait()
        await self.store.inbox.drain()
        self.clock.go(seconds=16)

    async def recover(self) -> None:
        await self.second.inbox.tick()
        await self.second.settle()

    async def open_rows(self) -> int:
        return await self.store.inbox.count_open()


@pytest.fixture(params=["sealed", "without keys"])
def vault(request: pytest.FixtureRequest) -> Vault:
    return Vault.from_text(new_key()) if request.param == "sealed" else Vault.empty


@pytest.fixture
async def stage(store: Store, set_clock: SetClock, vault: Vault) -> AsyncGenerator[Stage]:
    slack = Slack()
    made = [Process(name, store, set_clock, slack, vault) for name in ("first", "second")]
    yield Stage(store, set_clock, slack, made[0], made[1])
    for process in made:
        await process.tasks.drain(0)
        await process.settle()


@pytest.mark.parametrize("body", [COMMAND, CLICK, FORM, MENTION, SHORTCUT], ids=lambda b: b.get("type", "command"))
async def test_what_comes_again_is_acked_and_done_once(stage: Stage, body: dict[str, Any]) -> None:
    acks = [
        await process.take(body, f"signature {number}") for process in (stage.first, stage.second) for number in (1, 2)
    ]
    await stage.first.settle()
    acks.append(await stage.second.take(body))
    assert {ack.status for ack in acks} == {200}
    assert (len(stage.first.received), len(stage.second.received)) == (1, 0)
    assert stage.slack.texts == ["done"]
    assert await stage.open_rows() == 0


async def test_deliveries_at_the_same_time_to_two_processes_are_done_once(stage: Stage) -> None:
    await asyncio.gather(*(process.take(COMMAND) for process in (stage.first, stage.second) * 5))
    assert len(stage.first.received) + len(stage.second.received) == 1


async def test_a_command_whose_process_died_before_its_act_is_done_by_another(stage: Stage) -> None:
    await stage.crash("dies_before_its_act", COMMAND)
    await stage.recover()
    assert [body["text"] for body in stage.second.received] == ["run web"]
    assert stage.slack.texts == ["done"]
    assert await stage.open_rows() == 0
    await stage.recover()
    assert len(stage.second.received) == 1


@pytest.mark.parametrize("body", [COMMAND, CLICK, FORM, MENTION], ids=lambda b: b.get("type", "command"))
async def test_an_act_that_may_have_started_is_reported_and_not_repeated(stage: Stage, body: dict[str, Any]) -> None:
    await stage.crash("dies_acting", body)
    await stage.recover()
    assert stage.second.received == []
    (told,) = stage.slack.texts
    assert "may have started" in told
    assert "look before you repeat it" in told
    assert await stage.open_rows() == 0
    await stage.second.take(body)
    assert stage.second.received == []


async def test_the_command_is_named_where_it_may_have_started_and_pings_nobody(stage: Stage) -> None:
    await stage.crash("dies_acting", changed(COMMAND, text="run `web` <!channel>"))
    await stage.recover()
    assert "`/build run 'web' &lt;!channel&gt;`" in stage.slack.texts[0]


async def test_an_answer_that_may_have_been_lost_is_given_again_and_marked(stage: Stage) -> None:
    await stage.crash("dies_answering", COMMAND)
    await stage.recover()
    assert stage.second.received == []
    assert stage.slack.responses == [
        (
            "https://hooks.example/1",
            "_Possibly repeated: I can't tell whether my first answer reached you._\nStarted #5",
        )
    ]


@pytest.mark.parametrize("fault", [SlackLimited(1.0), SlackUnreachable()])
async def test_an_answer_that_slack_does_not_take_now_is_given_later_and_once(
    stage: Stage, fault: SlackPassing
) -> None:
    stage.slack.faults = [fault, fault, fault]
    await stage.first.take(COMMAND)
    await stage.first.settle()
    assert (stage.slack.texts, await stage.open_rows()) == ([], 1)
    for _try in range(2):
        stage.clock.go(seconds=9)
        await stage.recover()
        assert (stage.slack.texts, await stage.open_rows()) == ([], 1)
    stage.clock.go(seconds=9)
    await stage.recover()
    assert (stage.slack.texts, await stage.open_rows()) == (["done"], 0)
    assert len(stage.first.received) == 1
    assert stage.second.received == []


async def test_an_answer_of_unknown_fate_is_given_again_in_the_same_way_and_marked(stage: Stage) -> None:
    stage.slack.faults = [SlackUnsure()]
    await stage.first.take(COMMAND)
    await stage.first.settle()
    stage.slack.faults = [SlackLimited(1.0)]
    for _try in range(2):
        stage.clock.go(seconds=9)
        await stage.recover()
    marked = "_Possibly repeated: I can't tell whether my first answer reached you._\ndone"
    assert stage.slack.texts == ["done", marked]
    assert await stage.open_rows() == 0


async def test_a_report_of_what_may_have_started_is_given_later_where_slack_does_not_take_it_now(stage: Stage) -> None:
    stage.slack.faults = [SlackUnreachable()]
    await stage.crash("dies_acting", COMMAND)
    await stage.recover()
    stage.clock.go(seconds=9)
    await stage.recover()
    (text,) = stage.slack.texts
    assert text.startswith("I was restarted while I was doing")
    assert await stage.open_rows() == 0


async def test_an_answer_that_slack_does_not_take_for_hours_is_given_up(stage: Stage) -> None:
    stage.slack.faults = [SlackUnreachable()]
    await stage.first.take(COMMAND)
    await stage.first.settle()
    stage.clock.go(hours=7)
    await stage.recover()
    assert (stage.slack.texts, await stage.open_rows()) == ([], 0)


async def test_an_answer_that_waits_is_given_although_its_process_works_on_others(stage: Stage) -> None:
    stage.slack.faults = [SlackUnreachable()]
    await stage.first.take(COMMAND)
    await stage.first.settle()
    stage.first.work = stage.first.dies_before_its_act
    await stage.first.take(MENTION)
    for _second in range(4):
        stage.clock.go(seconds=6)
        await stage.first.inbox.tick()
        await stage.first.inbox.settle()
    assert stage.slack.texts == ["done"]


async def test_where_the_response_url_is_used_up_the_person_is_informed_in_the_channel_only_they_see(
    stage: Stage,
) -> None:
    stage.slack.takes_responses = False
    await stage.crash("dies_acting", COMMAND)
    await stage.recover()
    assert [(channel, user) for channel, user, _text in stage.slack.ephemerals] == [("C1", "U1")]


async def test_a_process_that_only_seemed_dead_neither_acts_nor_answers_any_more(stage: Stage) -> None:
    going_on = asyncio.Event()
    outcomes: list[str] = []

    async def slow(_body: Mapping[str, Any]) -> None:
        await going_on.wait()
        try:
            await begin_act()
            outcomes.append("acted")
        except TakenOverError:
            outcomes.append("taken over")
            raise

    stage.first.work = slow
    await stage.first.take(COMMAND)
    stage.clock.go(seconds=16)
    await stage.recover()
    going_on.set()
    await stage.first.settle()
    assert outcomes == ["taken over"]
    assert stage.slack.texts == ["done"]


async def test_a_lease_is_kept_while_the_work_goes_on(stage: Stage) -> None:
    going_on = asyncio.Event()

    async def slow(body: Mapping[str, Any]) -> None:
        await going_on.wait()
        await stage.first.answered(body)

    stage.first.work = slow
    await stage.first.take(COMMAND)
    for _step in range(6):
        stage.clock.go(seconds=6)
        await stage.first.inbox.tick()
        await stage.recover()
    assert stage.second.received == []
    going_on.set()
    await stage.first.settle()
    assert stage.slack.texts == ["done"]


async def test_a_process_that_is_stopped_hands_its_work_over_at_once(stage: Stage) -> None:
    stage.first.work = stage.first.dies_before_its_act
    await stage.first.take(COMMAND)
    await stage.first.tasks.drain(0)
    await stage.recover()
    assert len(stage.second.received) == 1


async def test_what_is_too_old_is_reported_and_not_done(stage: Stage) -> None:
    await stage.crash("dies_before_its_act", COMMAND)
    stage.clock.go(minutes=16)
    await stage.recover()
    assert stage.second.received == []
    assert "Nothing was done" in stage.slack.texts[0]


async def test_what_kills_each_process_is_given_up_and_reported(stage: Stage) -> None:
    await stage.crash("dies_before_its_act", COMMAND)
    for process in (stage.second, stage.first, stage.second, stage.first):
        process.work = process.dies_before_its_act
        await process.inbox.tick()
        await process.inbox.settle()
        await stage.store.inbox.drain()
        stage.clock.go(seconds=16)
    assert len(stage.first.received) + len(stage.second.received) == 4
    assert "several times" in stage.slack.texts[0]
    assert await stage.open_rows() == 0


async def test_events_that_nobody_waits_for_are_done_again_or_dropped_quietly(stage: Stage) -> None:
    reaction = changed(MENTION, event={"type": "reaction_added", "user": "U1", "item": {"channel": "C1"}})
    await stage.crash("dies_before_its_act", reaction)
    stage.clock.go(minutes=16)
    await stage.recover()
    assert (stage.second.received, stage.slack.texts) == ([], [])


async def test_a_form_that_needs_a_correction_may_be_sent_again(stage: Stage) -> None:
    stage.first.background, stage.first.reply = False, ERRORS
    assert (await stage.first.take(FORM)).body == ERRORS.body
    assert (await stage.second.take(FORM)).body == ""
    assert len(stage.second.received) == 1
    await stage.second.settle()
    await stage.first.take(FORM)
    assert len(stage.first.received) == 1


async def test_a_form_that_was_lost_is_done_where_its_fields_could_be_sealed_else_reported(
    stage: Stage, vault: Vault
) -> None:
    await stage.crash("dies_before_its_act", FORM)
    await stage.recover()
    if vault.can_seal:
        assert stage.second.received == [FORM]
    else:
        assert stage.second.received == []
        assert "send it again" in stage.slack.texts[0]
        await stage.second.take(FORM)
        assert len(stage.second.received) == 1


async def test_a_recovered_form_that_is_refused_is_reported(stage: Stage, vault: Vault) -> None:
    if not vault.can_seal:
        pytest.skip("its fields are not kept")
    await stage.crash("dies_before_its_act", FORM)
    stage.second.background, stage.second.reply = False, ERRORS
    await stage.recover()
    assert "needs a correction" in stage.slack.texts[0]
    assert await stage.open_rows() == 0


async def test_bodies_are_sealed_where_there_is_a_key_and_fields_of_forms_never_kept_open(
    stage: Stage, vault: Vault
) -> None:
    await stage.crash("dies_answering", COMMAND)
    await stage.crash("dies_before_its_act", FORM)
    async with stage.store.read() as db:
        kept = str((await db.exec_driver_sql("SELECT body, answer FROM inbox")).all())
    assert "main" not in kept
    assert ("hooks.example" in kept, "Started" in kept) == (not vault.can_seal, not vault.can_seal)
    await stage.recover()
    async with stage.store.read() as db:
        kept = str((await db.exec_driver_sql("SELECT body, answer FROM inbox")).all())
    assert "hooks.example" not in kept
    assert "Started" not in kept


async def test_a_process_without_the_key_leaves_a_delivery_to_one_that_has_it(stage: Stage, vault: Vault) -> None:
    if not vault.can_seal:
        pytest.skip("nothing is sealed")
    await stage.crash("dies_before_its_act", COMMAND)
    stranger = Process("stranger", stage.store, stage.clock, stage.slack, Vault.from_text(new_key()))
    await stranger.inbox.tick()
    await stranger.settle()
    assert (stranger.received, await stage.open_rows()) == ([], 1)
    stage.clock.go(seconds=16)
    await stage.recover()
    assert stage.slack.texts == ["done"]


async def test_what_no_process_can_read_is_given_up(stage: Stage, vault: Vault) -> None:
    if not vault.can_seal:
        pytest.skip("nothing is sealed")
    await stage.crash("dies_before_its_act", COMMAND)
    stranger = Process("stranger", stage.store, stage.clock, stage.slack, Vault.from_text(new_key()))
    for _claim in range(4):
        assert await stage.open_rows() == 1
        await stranger.inbox.tick()
        await stranger.settle()
        stage.clock.go(seconds=16)
    assert await stage.open_rows() == 0


async def test_what_cannot_be_written_is_not_acked_and_not_done(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_delivery: object) -> None:
        raise StoreError("The database can't be used now.")

    monkeypatch.setattr(stage.store.inbox, "receive", away)
    assert (await stage.first.take(COMMAND)).status == 503
    assert stage.first.received == []


async def test_an_ack_that_failed_lets_the_delivery_come_again(stage: Stage) -> None:
    stage.first.background, stage.first.reply = False, Ack(500)
    assert (await stage.first.take(MENTION)).status == 500
    await stage.second.take(MENTION)
    assert len(stage.second.received) == 1


async def test_what_leaves_nothing_to_do_is_handed_on_without_a_row(stage: Stage) -> None:
    stage.first.background = False
    person = {"user": {"id": "U1"}, "team": {"id": "T1"}}
    joined = {"type": "event_callback", "team_id": "T1", "event": {"type": "team_join"}}
    for body in ({"type": "block_suggestion", **person}, joined):
        assert (await stage.first.take(body)).status == 200
    assert len(stage.first.received) == 2
    async with stage.store.read() as db:
        assert (await db.exec_driver_sql("SELECT count(*) FROM inbox")).scalar() == 0


@pytest.mark.parametrize(
    "body", [COMMAND, CLICK, FORM, SHORTCUT, MENTION], ids=lambda body: body.get("type", "command")
)
async def test_what_does_not_say_who_sent_it_is_refused_and_left_alone(stage: Stage, body: dict[str, Any]) -> None:
    for name in ("team_id", "user_id", "team", "user"):
        if name in body:
            assert (await stage.first.take({**body, name: None})).status == 400
    assert stage.first.received == []


async def test_work_that_breaks_is_closed_and_reported_to_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(_body: Mapping[str, Any]) -> None:
        raise UsageError("broke")

    stage.first.work = breaks
    await stage.first.take(COMMAND)
    await stage.first.settle()
    assert "a task failed" in caplog.text
    assert await stage.open_rows() == 0


async def test_a_schedule_that_was_claimed_is_run_by_another_process_or_reported_in_its_channel(stage: Stage) -> None:
    ran: list[Mapping[str, Any]] = []

    async def resume(body: Mapping[str, Any]) -> None:
        ran.append(body)

    stage.second.inbox.resume[InboxKind.SCHEDULE] = resume
    due = {"team": "T1", "channel": "C1", "user": "U1", "command": "run web"}
    async with stage.store.transaction() as tx:
        await stage.first.inbox.adopt(tx, InboxKind.SCHEDULE, due)
        second = await stage.first.inbox.adopt(tx, InboxKind.SCHEDULE, due)
    await second.begin_act()
    stage.clock.go(hours=1)
    await stage.recover()
    assert ran == [due]
    assert [channel for channel, _text in stage.slack.posts] == ["C1"]
    assert "`run web`" in stage.slack.posts[0][1]


async def test_outside_of_a_delivery_acts_and_answers_need_nothing(stage: Stage) -> None:
    await begin_act()
    await begin_answer("x")
    assert await stage.open_rows() == 0
