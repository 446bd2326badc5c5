"""The doctor names each thing that will go wrong with what to do about it, and ends with one line."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core import clock
from bot.core.errors import AuthFailed, StoreError
from bot.core.models import Account, Pipeline, Scope
from bot.manifest import SCOPES
from bot.store import Store
from bot.store.inbox import InboxKind, NewDelivery
from bot.store.rows import NewNotification
from bot.store.states import NotificationEvent
from bot.store.vitals import DatabaseReport, Vitals
from commands.core.checkup import Finding, Level, checkup, database, keys, verdict
from commands.core.context import Services
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, FakeOptions, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, first, said
from tests.set_clock import SetClock

Look = Callable[[], Awaitable[Mapping[str, Finding]]]


@pytest.fixture
def look(services: Services, works: FakeProvider) -> Look:
    async def findings() -> Mapping[str, Finding]:
        return {finding.what: finding for finding in await checkup(services, [TEAM], [works])}

    return findings


async def test_where_all_is_well_everything_is_fine(look: Look, linked: Linked) -> None:
    await linked()
    findings = await look()
    assert {finding.level for finding in findings.values()} == {Level.FINE}
    assert findings["channels"].message == "1 linked channel reachable"
    assert verdict(findings.values()) == "Everything works."


async def test_a_scope_that_is_missing_is_named_with_the_way_to_grant_it(look: Look, sender: RecordingSender) -> None:
    sender.scopes = frozenset(SCOPES) - {"links:read"}
    finding = (await look())["Slack T1"]
    assert (finding.level, finding.message) == (Level.PROBLEM, "lacks the scopes links:read")
    assert "reinstall" in finding.fix
    sender.refusals["auth.test"] = "token_revoked"
    assert (await look())["Slack T1"].level is Level.PROBLEM


@pytest.mark.parametrize(("seconds", "is_off"), [(0, False), (-30, False), (300, True), (-300, True)])
async def test_a_clock_that_goes_wrong_is_a_problem(
    look: Look, sender: RecordingSender, seconds: int, is_off: bool
) -> None:
    sender.at = clock.now() - timedelta(seconds=seconds)
    findings = await look()
    assert ("clock" in findings) == is_off
    if is_off:
        assert ("ahead of" if seconds > 0 else "behind") in findings["clock"].message


@pytest.mark.parametrize(
    ("described", "words", "fix"),
    [
        ({"name": "ios", "is_private": True, "is_member": False}, "the bot is not in it", "/invite"),
        ({"name": "ios", "is_archived": True}, "is archived", "another channel"),
    ],
)
async def test_a_linked_channel_that_gets_nothing_is_named(
    look: Look, sender: RecordingSender, linked: Linked, described: dict[str, object], words: str, fix: str
) -> None:
    await linked()
    sender.channels[CHANNEL] = described
    finding = (await look())["channel #ios"]
    assert finding.level is Level.PROBLEM
    assert words in finding.message
    assert fix in finding.fix


async def test_a_paused_link_is_named_with_its_reason(look: Look, store: Store, linked: Linked) -> None:
    await linked()
    await store.links.pause(TEAM, CHANNEL, "not in channel")
    finding = (await look())[f"channel #{CHANNEL}"]
    assert (finding.level, finding.message) == (Level.PROBLEM, "gets no notifications: not in channel")


async def test_credentials_that_fail_lack_something_or_end_soon_are_named(
    look: Look, works: FakeProvider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = "works (The Works)"
    works.troubles["check"] = AuthFailed(
        "The Works refused the credentials.", hint="Make a new token.", provider="Works"
    )
    finding = (await look())[what]
    assert (finding.level, finding.fix) == (Level.PROBLEM, "Make a new token.")
    works.troubles.clear()
    account = Account(name="bell", missing=(Scope(name="read_builds", purpose="builds and jobs"),))

    async def checked() -> Account:
        return account

    monkeypatch.setattr(works, "check", checked)
    assert (await look())[what].message == "bell, lacks read_builds (builds and jobs)"
    account = Account(name="bell", expires_at=NOW + timedelta(days=7))
    finding = (await look())[what]
    assert (finding.level, finding.fix) == (Level.WARNING, "make a new token: 7 days left")
    assert finding.message == "bell, its token ends 2026-03-11"
    assert (await store.health.all())["works"].expires_at == account.expires_at
    account = Account(name="bell", expires_at=NOW + timedelta(days=31))
    assert (await look())[what].level is Level.FINE


async def test_webhooks_that_never_came_are_a_warning_where_they_are_set(
    look: Look, works: FakeProvider, store: Store, set_clock: SetClock
) -> None:
    await store.polling.ensure("works", "", now=set_clock.now)
    assert "webhooks" not in await look()
    works.options = FakeOptions(webhook_secret="s")
    finding = (await look())["webhooks"]
    assert finding.level is Level.WARNING
    assert finding.message == "none has come yet of works; builds are polled"
    assert "https://bell.example/hooks/NAME" in finding.fix
    await store.health.webhooks_came(["works"], set_clock.now)
    set_clock.go(minutes=3)
    finding = (await look())["webhooks"]
    assert (finding.level, finding.message) == (Level.FINE, "came last: works 3 m ago")


async def test_nothing_is_said_of_the_webhooks_of_a_connection_that_is_new(look: Look, works: FakeProvider) -> None:
    works.options = FakeOptions(webhook_secret="s")
    assert "webhooks" not in await look()


async def test_a_poll_that_is_late_means_that_nobody_polls(look: Look, store: Store, set_clock: SetClock) -> None:
    await store.polling.ensure("works", "", now=set_clock.now)
    set_clock.go(minutes=5)
    assert "lag" not in await look()
    set_clock.go(minutes=5)
    assert (await look())["lag"].message == "a poll is late by 10 m"


async def test_webhooks_that_stopped_coming_while_builds_went_on_are_a_warning(
    look: Look, works: FakeProvider, app: Pipeline, store: Store, recorded: Recorded
) -> None:
    works.options = FakeOptions(webhook_secret="s")
    await store.health.webhooks_came(["works"], NOW - timedelta(hours=40))
    await recorded(works.build_of(app, 5, completed_at=NOW - timedelta(hours=20)))
    assert (await look())["webhooks"].level is Level.FINE
    await recorded(works.build_of(app, 6, completed_at=NOW - timedelta(hours=2)))
    finding = (await look())["webhooks"]
    assert finding.level is Level.WARNING
    assert finding.message.startswith("came last: works 1 d")
    assert "builds have ended since" in finding.message


async def test_a_public_channel_without_the_bot_is_a_warning(
    look: Look, sender: RecordingSender, linked: Linked
) -> None:
    await linked()
    sender.channels[CHANNEL] = {"name": "ios", "is_member": False}
    finding = (await look())["channel #ios"]
    assert (finding.level, finding.fix) == (Level.WARNING, "type `/invite @Buildbell` there")


async def test_what_waits_long_to_be_posted_or_done_is_a_problem(
    look: Look, store: Store, linked: Linked, set_clock: SetClock
) -> None:
    link = await linked()
    notification = NewNotification(
        team=TEAM,
        channel=CHANNEL,
        link=link.id,
        connection="works",
        pipeline="app",
        build="b1",
        attempt_no=1,
        event=NotificationEvent.FINISHED,
        due_at=set_clock.now,
        created_at=set_clock.now,
    )
    await store.notifications.add([notification])
    await store.inbox.receive(
        NewDelivery(
            key="k1",
            kind=InboxKind.COMMAND,
            body="",
            owner="a",
            now=set_clock.now,
            lease_until=set_clock.now + timedelta(seconds=15),
        )
    )
    set_clock.go(minutes=4)
    findings = await look()
    assert not {"notifications", "inbox"} & set(findings)
    set_clock.go(minutes=6)
    findings = await look()
    assert findings["notifications"].message == "1 not posted, the oldest for 10 m"
    assert findings["inbox"].message == "something that Slack delivered is not done for 10 m"
    assert {findings[what].level for what in ("notifications", "inbox")} == {Level.PROBLEM}


@pytest.mark.parametrize(("seconds", "words"), [(300, "5 m behind"), (-300, "5 m ahead of"), (20, "")])
async def test_a_ci_systems_clock_that_differs_is_named_where_this_machines_is_right(
    look: Look, sender: RecordingSender, monkeypatch: pytest.MonkeyPatch, seconds: int, words: str
) -> None:
    monkeypatch.setattr(FakeProvider, "clock_ahead", timedelta(seconds=seconds))
    findings = await look()
    assert (words in findings["clock"].message) if words else "clock" not in findings
    sender.at = clock.now() - timedelta(seconds=300)
    assert "Slack's" in (await look())["clock"].message


@pytest.mark.parametrize(
    ("report", "level", "words"),
    [
        (DatabaseReport(size=3_000_000), Level.FINE, "answers, takes 3 MB"),
        (DatabaseReport(size=3_000_000, free=10**8), Level.PROBLEM, "its disk has 95 MB left, it takes 3 MB"),
        (DatabaseReport(size=1, blocked=2), Level.WARNING, "2 sessions of it wait for a lock"),
        (DatabaseReport(size=1, write_seconds=4.0), Level.WARNING, "a write waited 4 s for its turn"),
    ],
)
async def test_a_database_without_room_or_held_by_others_is_named(
    services: Services, monkeypatch: pytest.MonkeyPatch, report: DatabaseReport, level: Level, words: str
) -> None:
    async def reported(_vitals: Vitals) -> DatabaseReport:
        return report

    monkeypatch.setattr(Vitals, "report", reported)
    finding = await database(services)
    assert (finding.level, finding.message) == (level, words)


async def test_a_database_that_stays_locked_is_a_problem(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    async def locked(_vitals: Vitals) -> DatabaseReport:
        raise StoreError("The database is locked.")

    monkeypatch.setattr(Vitals, "report", locked)
    finding = await database(services)
    assert (finding.level, finding.message) == (Level.PROBLEM, "The database is locked.")


async def test_missing_keys_are_a_warning_in_slack_too(say: Say, services: Services) -> None:
    assert keys(replace(services, can_seal=True)) == []
    assert keys(replace(services, can_seal=False))[0].level is Level.WARNING
    assert "*database*: answers" in said(await say("doctor", user=ADMIN))


async def test_the_command_shows_the_worst_first_and_is_for_admins(
    say: Say, linked: Linked, sender: RecordingSender
) -> None:
    await linked()
    assert (await say("doctor")).outcome == "refused"
    sender.channels[CHANNEL] = {"name": "ios", "is_archived": True}
    handled = await say("doctor", user=ADMIN)
    assert first(handled) == "1 problem and 1 warning. Begin with: channel #ios."
    shown = said(handled)
    assert shown.index("channel #ios") < shown.index("The Works")


def test_the_last_line_counts_and_says_where_to_begin() -> None:
    fine, warning, problem = (Finding(what=level.name, level=level, message="x") for level in Level)
    assert verdict([fine]) == "Everything works."
    assert verdict([fine, warning]) == "Everything works. 1 warning. Begin with: WARNING."
    assert verdict([warning, problem, problem]) == "2 problems and 1 warning. Begin with: PROBLEM."
    assert problem.line == "NO  PROBLEM: x"
