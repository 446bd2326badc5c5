"""Scheduling a command: what is checked when it is made, and removing with a way back."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Parameter, Ref, RefKind
from bot.providers.base.capabilities import Capability
from bot.store import Store
from bot.store.rows import LinkRow
from commands.core.executor import Handled
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import Modal
from tests.set_clock import SetClock

Say = Callable[..., Awaitable[Handled]]
Linked = Callable[..., Awaitable[LinkRow]]
BEN = "UBEN"


def shown(handled: Handled) -> str:
    assert handled.answer.message is not None
    return str(handled.answer.message.payload())


def buttons(handled: Handled) -> list[str]:
    assert handled.answer.message is not None
    rows = [block["elements"] for block in handled.answer.message.blocks if block["type"] == "actions"]
    return [element["value"] for row in rows for element in row]


async def test_the_reply_shows_the_next_three_times_in_the_persons_zone(say: Say, store: Store) -> None:
    text = shown(await say('schedule "daily 7:00" run app@main'))
    assert "daily 7:00 (Europe/Berlin)" in text
    for day in (5, 6, 7):
        assert f"2026-03-0{day} 06:00 UTC" in text
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert (row.cron, row.tz, row.next_at) == ("0 7 * * *", "Europe/Berlin", datetime(2026, 3, 5, 6, tzinfo=UTC))


@pytest.mark.parametrize("minutes", [45, 90, 300, 1380])
async def test_an_interval_begins_one_gap_after_it_was_made(say: Say, store: Store, minutes: int) -> None:
    assert (await say(f'schedule "every {minutes} minutes" run app@main')).outcome == "ok"
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert (row.cron, row.next_at) == (f"@every {minutes}m", NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('"25:00" run app@main', "`25:00` is no time of day"),
        ("25:00 run app@main", "`25:00` is no time of day"),
        ('"daily 24:00" run app@main', "Midnight is `0:00`"),
        ("weekdays 7:00 run app@main", 'Write `schedule "weekdays 7:00" run app@main`'),
        ("every morning run app@main", "It stands in quotes"),
        ('"every 4 minutes" run app@main', "the shortest gap is 5 minutes"),
        ('"daily 3:00" cancel app', "I can't schedule `cancel`"),
        ('"daily 3:00" run app@main --form', "`--form` can't be scheduled"),
        ('"daily 3:00" run app --forget-preset x', "`--forget-preset` can't be scheduled"),
        ('"daily 3:00" run app --nonsense', "I don't know `--nonsense` here"),
        ('"daily 3:00" digest off', "does not set one"),
        ('"daily 3:00"', "I can't schedule `nothing`"),
    ],
)
async def test_what_cannot_be_scheduled_is_refused_in_its_own_words(
    say: Say, store: Store, words: str, says: str
) -> None:
    handled = await say(f"schedule {words}")
    assert handled.outcome == "refused"
    assert says in shown(handled)
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


@pytest.mark.parametrize("words", ["hourly run app@main", "9:30 run app@main", '"digest" run app'])
async def test_one_word_needs_no_quotes(say: Say, store: Store, words: str) -> None:
    handled = await say(f"schedule {words}")
    assert (handled.outcome == "ok") is (not words.startswith('"'))
    assert [row.command for row in await store.schedules.of_channel(TEAM, CHANNEL)] == (
        ["run app@main"] if handled.outcome == "ok" else []
    )


@pytest.mark.parametrize("verb", ["run", "rebuild", "retry", "last", "stats", "status"])
async def test_a_pipeline_that_does_not_exist_is_refused_with_the_nearest(
    say: Say, store: Store, works: FakeProvider, verb: str
) -> None:
    works.add("nightly")
    text = shown(await say(f'schedule "daily 3:00" {verb} nihgtly@main'))
    assert "nihgtly" in text
    assert "works:nightly" in text
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


@pytest.mark.parametrize("verb", ["run", "rebuild", "retry"])
async def test_a_branch_that_does_not_exist_is_refused_with_the_nearest(
    say: Say, store: Store, linked: Linked, verb: str
) -> None:
    await linked()
    text = shown(await say(f'schedule "daily 3:00" {verb} app@release/2.2'))
    assert "App has no branch `release/2.2`" in text
    assert "`release/2.1`" in text
    assert "has no tag `v9`" in shown(await say(f'schedule "daily 3:00" {verb} app@tag:v9'))
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


async def test_a_system_that_cannot_report_whether_a_branch_exists_is_believed(
    say: Say, store: Store, linked: Linked, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked()
    works.troubles["refs"] = Unavailable("It is down.", provider=works.label)
    assert (await say('schedule "daily 3:00" run app@feature')).outcome == "ok"
    del works.troubles["refs"]
    monkeypatch.setattr(FakeProvider, "lists_all_refs", frozenset[RefKind]())
    assert (await say('schedule "daily 3:00" run app@feature')).outcome == "ok"
    works.capabilities -= {Capability.REFS}
    assert (await say('schedule "daily 3:00" run app@feature')).outcome == "ok"
    assert len(await store.schedules.of_channel(TEAM, CHANNEL)) == 3


async def test_refs_that_no_list_holds_are_left_to_the_run(
    say: Say, store: Store, linked: Linked, works: FakeProvider, app: Any
) -> None:
    await linked()
    works.known_refs[app.id] += (Ref(kind=RefKind.TAG, name="v1"),)
    for ref in ("tag:v1", "pr:42", "0badc0ffee1"):
        assert (await say(f'schedule "daily 3:00" run app@{ref}')).outcome == "ok", ref
    assert len(await store.schedules.of_channel(TEAM, CHANNEL)) == 3


async def test_a_value_that_the_build_needs_is_asked_for_when_it_is_scheduled(
    say: Say, store: Store, linked: Linked, works: FakeProvider, app: Any
) -> None:
    await linked()
    works.known_parameters[app.id] = (Parameter(name="TARGET", required=True),)
    assert "needs `TARGET`" in shown(await say('schedule "daily 3:00" run app@main'))
    assert (await say('schedule "daily 3:00" run app@main TARGET=beta')).outcome == "ok"
    assert works.acts == []
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert row.command == "run app@main TARGET=beta"


async def test_what_the_system_cannot_do_is_not_scheduled(
    say: Say, store: Store, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    works.capabilities -= {Capability.REBUILD}
    assert (await say('schedule "daily 3:00" rebuild app')).outcome == "failed"
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


async def test_a_protected_branch_needs_its_grant_when_it_is_scheduled(say: Say, store: Store, linked: Linked) -> None:
    await linked(protected="main")
    handled = await say('schedule "daily 3:00" run app@main')
    assert handled.outcome == "refused"
    assert "protected ref `main`" in shown(handled)
    assert "protected ref `main`" in shown(await say('schedule "daily 3:00" run app'))
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []
    assert (await say('schedule "daily 3:00" run app@main', user=ADMIN)).outcome == "ok"


async def test_a_choice_among_pipelines_schedules_and_starts_nothing(
    say: Say, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    await linked(works.add("web"))
    handled = await say('schedule "daily 3:00" run')
    assert sorted(buttons(handled)) == [
        'schedule "daily 3:00" run works:p-app',
        'schedule "daily 3:00" run works:p-web',
    ]


async def test_what_a_thread_would_mean_is_asked_for_since_a_schedule_has_none(
    say: Say, store: Store, linked: Linked
) -> None:
    assert (await say('schedule "daily 3:00" run', thread="1770000000.000001")).outcome == "failed"
    await linked()
    assert (await say('schedule "daily 3:00" run', thread="1770000000.000001")).outcome == "ok"


async def test_a_plain_member_is_asked_before_removing_what_somebody_else_scheduled(
    say: Say, store: Store, sender: RecordingSender
) -> None:
    sender.person(BEN, "Ben")
    await say('schedule "weekdays 7:00" run app@main')
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    asked = await say(f"schedule remove {row.id}", user=BEN)
    text = shown(asked)
    assert not asked.answer.public
    for part in (f"<@{USER}> made it", "run app@main", "weekdays 7:00 (Europe/Berlin)", "2026-03-05 06:00 UTC"):
        assert part in text
    assert await store.schedules.of_channel(TEAM, CHANNEL) == [row]
    assert buttons(asked)[0] == f"schedule remove {row.id} --yes"
    removed = await say(buttons(asked)[0], user=BEN)
    assert removed.answer.public
    assert f"<@{BEN}> removed schedule {row.id} of <@{USER}>" in shown(removed)
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []
    (undo,) = buttons(removed)
    restored = await say(undo, user=BEN)
    assert "restored" in shown(restored)
    (again,) = await store.schedules.of_channel(TEAM, CHANNEL)
    same = {"user", "words", "cron", "tz", "command", "next_at", "created_at", "team", "channel"}
    assert all(getattr(again, name) == getattr(row, name) for name in same)
    assert "is left to restore" in shown(await say(undo, user=BEN))
    assert len(await store.schedules.of_channel(TEAM, CHANNEL)) == 1


@pytest.mark.parametrize("user", [USER, ADMIN])
async def test_ones_own_and_an_admins_removal_are_done_at_once_with_an_undo(say: Say, store: Store, user: str) -> None:
    await say('schedule "weekdays 7:00" run app@main')
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert buttons(await say(f"schedule remove {row.id}", user=user)) == [f"schedule restore {row.id}"]
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


async def test_a_removal_is_undone_within_a_day_in_its_own_channel_and_comes_due_later(
    say: Say, store: Store, set_clock: SetClock
) -> None:
    for _each in range(2):
        await say('schedule "every 45 minutes" run app@main')
    first, second = await store.schedules.of_channel(TEAM, CHANNEL)
    for row in (first, second):
        await say(f"schedule remove {row.id}")
    assert "is left to restore" in shown(await say(f"schedule restore {first.id}", channel="C2"))
    set_clock.go(hours=5)
    await say(f"schedule restore {first.id}")
    (again,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert again.next_at == first.next_at + 6 * timedelta(minutes=45)
    set_clock.go(days=1)
    assert "is left to restore" in shown(await say(f"schedule restore {second.id}"))


@pytest.mark.parametrize("words", ["schedule remove", "schedule remove x", "schedule remove 1 2", "schedule restore"])
async def test_removing_wants_a_number(say: Say, words: str) -> None:
    assert "Which one?" in shown(await say(words))


async def test_the_form_says_below_the_command_what_is_wrong_with_it(
    modal: Modal, store: Store, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    await linked(works.add("web"))
    await modal.open("schedule --form")
    for command, says in (
        ("run nope@main", "No pipeline called nope"),
        ("run app@mian", "Closest: main"),
        ("run", "app, web"),
    ):
        errors = await modal.submit({"words": "daily 3:00", "command": command})
        assert says.lower() in str(errors["command"]).lower()
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []
