import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.models import Person
from bot.slack import people as module
from bot.slack.people import Handle, People, at_work, noreply_handle, own_settings
from bot.slack.sender import Sender
from bot.store import Store
from bot.store.rows import NewIdentity, NewPerson
from tests.bot.slack.conftest import LocalSlack
from tests.bot.store.rows import NOW
from tests.set_clock import SetClock

TEAM = "T1"


@pytest.fixture
def people(store: Store, sender: Sender, set_clock: SetClock) -> People:
    return People(store, sender, set_clock)


async def set_own(store: Store, people: People, user: str, **settings: str) -> None:
    row = await people.person(TEAM, user)
    await store.people.save(replace(row, settings=json.dumps(settings)))


# persons


async def test_a_person_is_asked_about_once_an_hour_and_keeps_their_settings(
    people: People, slack: LocalSlack, store: Store, set_clock: SetClock
) -> None:
    person = await people.person(TEAM, slack.ana)
    assert (person.name, person.email) == ("ana", slack.workspace.users[slack.ana].email)
    await set_own(store, people, slack.ana, mentions="off")
    assert len(slack.calls("users.info")) == 1
    set_clock.go(hours=1)
    again = await people.person(TEAM, slack.ana)
    assert own_settings(again) == {"mentions": "off"}
    assert len(slack.calls("users.info")) == 2


async def test_when_slack_does_not_say_what_was_known_is_good_enough(
    people: People, slack: LocalSlack, set_clock: SetClock
) -> None:
    await people.person(TEAM, slack.ana)
    set_clock.go(hours=2)
    slack.fails("users.info", "error", error="missing_scope", count=3)
    assert (await people.person(TEAM, slack.ana)).name == "ana"
    nobody = await people.person(TEAM, "UNOBODY")
    assert (nobody.name, await people.name(TEAM, "UNOBODY")) == ("", "UNOBODY")


async def test_who_administers_the_workspace(people: People, slack: LocalSlack) -> None:
    admins = {user.id for user in slack.workspace.users.values() if user.is_admin and not user.is_bot}
    for user in (slack.ana, slack.mika, slack.bo):
        assert await people.is_admin(TEAM, user) is (user in admins)
    boss = slack.workspace.users[next(iter(admins))]
    boss.deleted = True
    assert not await People(people._store, people._sender, lambda: NOW + timedelta(hours=2)).is_admin(TEAM, boss.id)


async def test_the_primary_owner_is_who_slack_says(people: People, slack: LocalSlack) -> None:
    owners = [user for user in slack.workspace.users.values() if user.is_owner]
    assert [await people.primary_owner(TEAM)] == [user.id for user in owners]
    for owner in owners:
        owner.deleted = True
    assert not await people.primary_owner(TEAM)


async def test_time_zones_are_slacks_or_utc(people: People, slack: LocalSlack) -> None:
    assert await people.zone(TEAM, slack.ana) == slack.workspace.users[slack.ana].tz
    assert await people.zone(TEAM, "UNOBODY") == "UTC"


# addresses and handles


async def test_an_address_is_looked_up_once_a_day_and_misses_are_remembered(
    people: People, slack: LocalSlack, set_clock: SetClock
) -> None:
    email = slack.workspace.users[slack.mika].email
    for _time in range(2):
        assert await people.user_for(TEAM, f" {email.upper()} ") == slack.mika
        assert await people.user_for(TEAM, "nobody@acme.example") is None
    assert len(slack.calls("users.lookupByEmail")) == 2
    set_clock.go(days=1)
    assert await people.user_for(TEAM, email) == slack.mika
    assert len(slack.calls("users.lookupByEmail")) == 3


@pytest.mark.parametrize("email", ["", "mika", "   "])
async def test_what_is_no_address_is_nobodys(people: People, slack: LocalSlack, email: str) -> None:
    assert await people.user_for(TEAM, email) is None
    assert slack.calls("users.lookupByEmail") == []


async def test_a_deactivated_account_is_nobodys(people: People, slack: LocalSlack, set_clock: SetClock) -> None:
    email = slack.workspace.users[slack.mika].email
    assert await people.user_for(TEAM, email) == slack.mika
    slack.workspace.users[slack.mika].deleted = True
    set_clock.go(hours=2)
    assert await people.user_for(TEAM, email) is None
    assert not await people.may_mention(TEAM, slack.mika)


async def test_a_lookup_that_fails_otherwise_is_not_remembered_as_a_miss(people: People, slack: LocalSlack) -> None:
    email = slack.workspace.users[slack.mika].email
    slack.fails("users.lookupByEmail", "error", error="missing_scope")
    assert await people.user_for(TEAM, email) is None
    assert await people.user_for(TEAM, email) == slack.mika


async def test_a_known_address_survives_a_lookup_that_fails(
    people: People, slack: LocalSlack, set_clock: SetClock
) -> None:
    email = slack.workspace.users[slack.mika].email
    await people.user_for(TEAM, email)
    set_clock.go(days=2)
    slack.fails("users.lookupByEmail", "error", error="fatal_error")
    assert await people.user_for(TEAM, email) == slack.mika


async def test_an_author_is_found_by_address_or_by_the_handle_they_gave(
    people: People, slack: LocalSlack, store: Store
) -> None:
    for kind, value in (("gh", "mika-gh"), ("gitlab", "Mika Lind")):
        row = NewIdentity(team=TEAM, kind=kind, value=value, user=slack.mika, manual=True, looked_at=NOW)
        await store.people.save_identity(row)
    by_address = Person(email=slack.workspace.users[slack.ana].email, login="mika-gh")
    assert await people.author(TEAM, by_address, "github_actions") == slack.ana
    unknown = "7+mika-gh@users.noreply.example"
    assert await people.author(TEAM, Person(email=unknown, login="mika-gh"), "github_actions") == slack.mika
    assert await people.author(TEAM, Person(name="Mika Lind"), "gitlab") == slack.mika
    assert await people.author(TEAM, Person(name="Mika Lind"), "github_actions") is None
    assert await people.author(TEAM, Person(), "gitlab") is None


# wishes


async def test_mentions_are_wanted_until_they_are_switched_off(people: People, slack: LocalSlack, store: Store) -> None:
    assert await people.may_mention(TEAM, slack.ana)
    await set_own(store, people, slack.ana, mentions="off")
    assert not await people.may_mention(TEAM, slack.ana)


async def test_news_of_what_one_broke_are_wanted_once_they_are_switched_on(
    people: People, slack: LocalSlack, store: Store, set_clock: SetClock
) -> None:
    assert not await people.wants_broken(TEAM, slack.ana)
    await set_own(store, people, slack.ana, broken="on")
    assert await people.wants_broken(TEAM, slack.ana)
    slack.workspace.users[slack.ana].deleted = True
    set_clock.go(hours=2)
    assert not await people.wants_broken(TEAM, slack.ana)


async def test_working_hours_are_in_the_persons_own_time(people: People, slack: LocalSlack, store: Store) -> None:
    slack.workspace.users[slack.ana].tz = "America/New_York"
    assert await people.off_hours(TEAM, slack.ana, NOW) == ""
    await set_own(store, people, slack.ana, hours="9-18")
    assert await people.off_hours(TEAM, slack.ana, NOW) == "outside your working hours (9-18)"  # 7:00 there
    assert await people.off_hours(TEAM, slack.ana, NOW + timedelta(hours=2)) == ""


@pytest.mark.parametrize(
    ("hours", "hour", "works"),
    [
        ("9-18", 8, False),
        ("9-18", 9, True),
        ("9-18", 17, True),
        ("9-18", 18, False),
        ("22-6", 23, True),
        ("22-6", 5, True),
        ("22-6", 6, False),
        ("0-24", 23, True),
        ("9-9", 3, True),
        ("off", 3, True),
        ("", 3, True),
        ("late", 3, True),
    ],
)
def test_hours_of_work(hours: str, hour: int, works: bool) -> None:
    assert at_work(hours, "UTC", datetime(2026, 3, 4, hour, 59, tzinfo=UTC)) is works
    assert at_work(hours, "Mars/Olympus", datetime(2026, 3, 4, hour, 0, tzinfo=UTC)) is works


@pytest.mark.parametrize("settings", ["", "{", "[1]", '"x"', "null"])
def test_settings_that_do_not_read_are_none(settings: str) -> None:
    assert own_settings(NewPerson(team=TEAM, user="U1", settings=settings, seen_at=NOW)) == {}


# groups and channels


async def test_groups_are_asked_for_each_five_minutes(people: People, slack: LocalSlack, set_clock: SetClock) -> None:
    assert await people.groups(TEAM, slack.mika) == {"S0ONCALLAA"}
    assert await people.groups(TEAM, slack.ana) == frozenset()
    assert len(slack.calls("usergroups.list")) == 1
    set_clock.go(minutes=6)
    slack.fails("usergroups.list", "error", error="missing_scope")
    assert await people.groups(TEAM, slack.mika) == {"S0ONCALLAA"}


async def test_without_the_scope_nobody_is_in_a_group(people: People, slack: LocalSlack) -> None:
    slack.fails("usergroups.list", "error", error="missing_scope")
    assert await people.groups(TEAM, slack.mika) == frozenset()


async def test_members_of_a_channel(
    people: People, slack: LocalSlack, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = slack.workspace.channels[slack.ios]
    channel.members = {slack.ana, *(f"U0EXTRA{n:04}" for n in range(450))}
    assert await people.is_member(TEAM, slack.ios, slack.ana)
    assert await people.is_member(TEAM, slack.ios, "U0EXTRA0449")
    assert not await people.is_member(TEAM, slack.ios, slack.bo)
    assert len(slack.calls("conversations.members")) == 3
    monkeypatch.setattr(module, "MOST_CHANNELS", 1)
    await people.is_member(TEAM, slack.channel("web"), slack.ana)
    assert list(people._members) == [(TEAM, slack.channel("web"))]


async def test_a_channel_that_can_not_be_seen_has_no_members(people: People, slack: LocalSlack) -> None:
    assert not await people.is_member(TEAM, "C0NOWHERE", slack.ana)


@pytest.mark.parametrize(
    ("email", "handle"),
    [
        ("12345+mika@users.noreply.github.com", Handle("github_actions", "mika")),
        ("mika-l@Users.NoReply.GitHub.com", Handle("github_actions", "mika-l")),
        ("12-mika@users.noreply.gitlab.com", Handle("gitlab", "mika")),
        ("mika-lind@users.noreply.gitlab.com", Handle("gitlab", "mika-lind")),
        ("12345+@users.noreply.github.com", Handle("github_actions", "12345+")),
        ("mika@github.com", None),
        ("noreply.github.com", None),
        ("@users.noreply.github.com", None),
        ("", None),
    ],
)
def test_the_handle_inside_a_noreply_address_is_read(email: str, handle: Handle | None) -> None:
    assert noreply_handle(email) == handle


async def test_an_author_is_found_by_the_handle_inside_a_noreply_address_at_any_ci_system(
    people: People, slack: LocalSlack, store: Store
) -> None:
    row = NewIdentity(team=TEAM, kind="gh", value="mika-gh", user=slack.mika, manual=True, looked_at=NOW)
    await store.people.save_identity(row)
    hidden = Person(name="Mika", email="7+mika-gh@users.noreply.github.com")
    assert await people.author(TEAM, hidden, "buildkite") == slack.mika
    assert await people.author(TEAM, hidden, "github_actions") == slack.mika
    assert slack.calls("users.lookupByEmail") == []
    other = Person(email="7+somebody@users.noreply.github.com")
    assert await people.author(TEAM, other, "buildkite") is None


@pytest.mark.parametrize("user", ["U0NOBODY", "W0ELSEWHERE"])
async def test_somebody_whom_slack_does_not_know_is_a_stranger(people: People, user: str) -> None:
    assert (await people.standing(TEAM, user)).is_stranger
    assert (await people.standing(TEAM, user, fresh=True)).is_stranger
