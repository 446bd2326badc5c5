"""What channels and people are notified of: link, subscribe, watch, follow, mute, quiet, digest, schedule, claim."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.errors import UsageError
from bot.core.models import Conclusion, Pipeline
from bot.store import Store
from bot.store.rows import WatchRow
from commands.core.context import Context, Services, Source
from commands.core.executor import execute
from commands.follow.mute import at
from commands.follow.mute import parse as parse_mute
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, first, said

# link


async def test_linking_remembers_what_was_built_and_announces_it_once(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    works.build_of(app, 3, conclusion=Conclusion.FAILED)
    handled = await say(f"link {app.web_url} as ios --branch release/2.1")
    assert handled.answer.public
    link = (await store.links.of_channel(TEAM, CHANNEL))[0]
    assert (link.alias, link.is_default, link.branch, link.created_by) == ("ios", True, "release/2.1", USER)
    assert await store.builds.by_number("works", app.id, 3) is not None
    again = await say("link ios as mac")
    assert not again.answer.public
    assert [one.alias for one in await store.links.of_channel(TEAM, CHANNEL)] == ["mac"]


async def test_only_one_link_is_the_default(say: Say, works: FakeProvider, store: Store) -> None:
    works.add("web")
    await say("link works:app")
    await say("link works:web --default")
    assert [(one.name, one.is_default) for one in await store.links.of_channel(TEAM, CHANNEL)] == [
        ("App", False),
        ("Web", True),
    ]
    assert (await say("link works:app as Web")).outcome == "ok"
    assert (await say("link works:web as WEB")).outcome == "refused"


@pytest.mark.parametrize(
    "words", ["link", "link app web", "link app as a b", "link app as a@b", f"link app as {'x' * 61}"]
)
async def test_links_that_make_no_sense_are_refused(say: Say, store: Store, words: str) -> None:
    assert (await say(words)).outcome == "refused"
    assert await store.links.of_channel(TEAM, CHANNEL) == []


async def test_unlinking_forgets_the_link_alone(say: Say, works: FakeProvider, linked: Linked, store: Store) -> None:
    await linked()
    assert "unlinked App from this channel" in first(await say("unlink app"))
    assert await store.links.of_channel(TEAM, CHANNEL) == []
    assert "is not linked to #ios" in first(await say("unlink app"))
    assert works.acts == []


# subscribe


async def test_filters_are_changed_one_by_one_and_said_in_words(say: Say, linked: Linked, store: Store) -> None:
    await linked()
    handled = await say("subscribe app failures --branch main,release/*")
    assert handled.answer.public
    assert "failures only" in first(handled)
    await say("subscribe --min-delta warnings:1 --mention <@U2|bo>")
    filters = (await store.links.of_channel(TEAM, CHANNEL))[0].filters
    for part in ("failures", "release/*", "warnings:1", "U2"):
        assert part in filters
    await say("subscribe app edges --preview")
    kept = filters
    await say("subscribe app --escalate 30m <@U2|bo> --thread branch")
    changed = (await store.links.of_channel(TEAM, CHANNEL))[0].filters
    assert changed == f"{kept} --thread branch --escalate 30m,U2"
    await say("subscribe app --escalate off --thread build")
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].filters == f"{kept} --thread build"
    await store.links.update((await store.links.of_channel(TEAM, CHANNEL))[0].id, filters=kept)
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].filters == filters


async def test_unsubscribing_keeps_the_link(say: Say, works: FakeProvider, linked: Linked, store: Store) -> None:
    works.add("web")
    await linked()
    await say("unsubscribe app")
    link = (await store.links.of_channel(TEAM, CHANNEL))[0]
    assert not link.subscribed
    await say("subscribe app all")
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].subscribed
    assert "First: `/build link works:web`" in first(await say("subscribe works:web"))


@pytest.mark.parametrize(
    "words",
    [
        "subscribe app --on nonsense",
        "subscribe app web all",
        "subscribe app --min-delta x",
        "subscribe app --escalate soon",
        "follow app --thread branch",
    ],
)
async def test_filters_that_make_no_sense_are_refused(say: Say, linked: Linked, words: str) -> None:
    await linked()
    assert (await say(words)).outcome == "refused"


# watch and follow


async def test_a_running_build_is_watched_once(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, linked: Linked
) -> None:
    await linked()
    works.running(app, 4)
    assert "by direct message when App #4 ends" in first(await say("watch"))
    assert "You watch App #4 already." in first(await say("watch #4"))
    assert "here when App #4 ends" in first(await say("watch #4 --here"))
    assert [(row.channel, row.build) for row in await store.watches.of_user(TEAM, USER)] == [
        (USER, "b4"),
        (CHANNEL, "b4"),
    ]
    assert "Stopped watching App #4." in first(await say("unwatch #4"))
    assert "You were not watching App #4." in first(await say("unwatch #4"))
    works.build_of(app, 3)
    assert "App #3 has ended already: passed." in first(await say("watch #3"))
    assert (await say("watch a b")).outcome == "refused"


async def test_watches_are_forgotten_all_at_once_and_follows_stay(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    works.running(app, 4)
    await say("watch works:app#4")
    await say("follow works:app")
    assert "Stopped watching 1 build" in first(await say("unwatch all"))
    assert "You were watching nothing." in first(await say("unwatch all"))
    assert [row.why for row in await store.watches.of_user(TEAM, USER)] == ["follow"]


async def test_a_pipeline_is_followed_in_person_with_one_filter(say: Say, works: FakeProvider, store: Store) -> None:
    await say("follow works:app")
    await say("follow works:app failures --branch other")
    rows: list[WatchRow] = await store.watches.of_user(TEAM, USER)
    assert len(rows) == 1
    assert (rows[0].channel, rows[0].build) == (USER, "")
    assert "failures" in rows[0].filters
    assert "other" in rows[0].filters
    assert (await say("follow works:app web")).outcome == "refused"
    assert "You no longer follow App." in first(await say("unfollow works:app"))
    assert "You did not follow App." in first(await say("unfollow works:app"))
    await say("follow works:app")
    assert "You no longer follow 1 pipeline." in first(await say("unfollow all"))


# mute, quiet, digest


@pytest.mark.parametrize(
    ("words", "target", "ahead"),
    [
        ("mute", "all", timedelta(hours=2)),
        ("mute 4h", "all", timedelta(hours=4)),
        ("mute all 30m", "all", timedelta(minutes=30)),
        ("mute app 1h", "works:p-app", timedelta(hours=1)),
        ("mute app --for 1h", "works:p-app", timedelta(hours=1)),
        ("mute --pipeline app", "works:p-app", timedelta(hours=2)),
        ("mute --until 18:00", "all", timedelta(hours=5)),
        ("mute app --until 18:00", "works:p-app", timedelta(hours=5)),
    ],
)
async def test_a_mute_says_what_and_until_when(
    say: Say, linked: Linked, store: Store, words: str, target: str, ahead: timedelta
) -> None:
    await linked()
    handled = await say(words)
    assert handled.answer.public
    mutes = await store.mutes.of_channel(TEAM, CHANNEL)
    assert [(row.target, row.until) for row in mutes] == [(target, NOW + ahead)]


async def test_what_a_mute_held_is_released_when_it_ends(
    services: Services, context_of: Callable[..., Context], linked: Linked
) -> None:
    released: list[bool] = []

    async def release() -> None:
        released.append(True)

    await linked()
    context = context_of(services=replace(services, release_held=release))
    for words in ("mute 1h", "unmute", "quiet 22:00-07:00", "quiet off"):
        assert (await execute(words, context)).outcome == "ok"
    assert released == [True, True]


async def test_a_long_mute_needs_an_admin_and_a_mute_can_be_ended(say: Say, linked: Linked, store: Store) -> None:
    await linked()
    assert (await say("mute --until fri 9:00")).outcome == "refused"
    assert (await say("mute --until fri 9:00", user=ADMIN)).outcome == "ok"
    assert (await store.mutes.of_channel(TEAM, CHANNEL))[0].until == datetime(2026, 3, 6, 8, 0, tzinfo=UTC)
    assert "ended the mute of everything" in first(await say("unmute"))
    assert "This channel is not muted." in first(await say("unmute"))
    assert "App is not muted here." in first(await say("unmute app"))


async def test_the_end_of_a_mute_says_what_else_is_muted(say: Say, linked: Linked) -> None:
    await linked(alias="site")
    for words in ("mute site 1h", "mute 1h"):
        assert (await say(words)).outcome == "ok"
    assert "Still muted: site (`/build unmute site`)." in first(await say("unmute"))
    refused = first(await say("unmute"))
    assert "This channel is not muted." in refused
    assert "`/build unmute site`" in refused
    await say("mute 1h")
    assert "Everything is muted here: `/build unmute` ends it." in first(await say("unmute site"))
    assert "muted" not in first(await say("unmute")).replace("unmute", "")


@pytest.mark.parametrize("words", ["a b", "a b 2h"])
def test_one_thing_is_muted_at_a_time(words: str) -> None:
    with pytest.raises(UsageError):
        parse_mute(words)


async def test_times_that_exclude_each_other_are_refused(say: Say) -> None:
    assert "exclude each other" in first(await say("mute --for 1h --until 9:00"))


@pytest.mark.parametrize(
    ("words", "then"),
    [
        ("13:30", (4, 12, 30)),
        ("12:30", (5, 11, 30)),
        ("wed 14:00", (4, 13, 0)),
        ("wed 9:00", (11, 8, 0)),
        ("monday 9:00", (9, 8, 0)),
        ("tomorrow 0:00", (4, 23, 0)),
    ],
)
def test_clock_times_are_the_next_ones_in_the_persons_zone(words: str, then: tuple[int, int, int]) -> None:
    day, hour, minute = then
    assert at(words, NOW, "Europe/Berlin") == datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize("words", ["", "9", "25:00", "9:60", "someday 9:00", "²:00", "fri 9:00 10:00"])
def test_clock_times_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        at(words, NOW, "Europe/Berlin")


async def test_quiet_hours_are_set_in_the_persons_zone_and_ended(say: Say, store: Store) -> None:
    handled = await say("quiet 22:00-07:00 mon-fri")
    assert "22:00-07:00 mon-fri (Europe/Berlin)" in first(handled)
    assert [(row.target, row.tz) for row in await store.mutes.of_channel(TEAM, CHANNEL)] == [("hours", "Europe/Berlin")]
    assert "ended the quiet hours" in first(await say("quiet off"))
    assert "has no quiet hours" in first(await say("quiet off"))
    assert "Which hours?" in first(await say("quiet"))
    assert (await say("quiet sometimes")).outcome == "refused"


async def test_a_digest_says_how_the_newest_build_ended_whatever_old_one_ran_again_later(
    say: Say, linked: Linked, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await linked()
    long_ago, later = NOW - timedelta(hours=9), NOW - timedelta(minutes=1)
    old = works.build_of(
        app, 1, conclusion=Conclusion.FAILED, created_at=long_ago, started_at=later, completed_at=later
    )
    await recorded(old, works.build_of(app, 2))
    assert "now passed" in said(await say("digest now"))


async def test_a_digest_says_how_each_job_stands_where_a_build_is_one_job(
    say: Say, linked: Linked, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await linked()
    ends = [Conclusion.PASSED, Conclusion.FAILED, Conclusion.PASSED]
    builds = [works.build_of(app, number, conclusion=end, commit="a" * 40) for number, end in enumerate(ends, 1)]
    jobs = ("unit", "lint", "unit")
    await recorded(*(replace(build, job=job) for build, job in zip(builds, jobs, strict=True)))
    digest = said(await say("digest now"))
    assert "`lint` · now failed" in digest
    assert "`unit` · now passed" in digest
    assert "2 builds · 2 passed" in digest
    assert "flaky" not in digest


async def test_a_digest_is_set_shown_and_ended(
    say: Say, store: Store, linked: Linked, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await linked()
    assert "nothing was built" in said(await say("digest now"))
    await recorded(works.build_of(app, 1), works.build_of(app, 2, conclusion=Conclusion.FAILED))
    now = await say("digest now")
    assert now.answer.public
    assert "2 builds" in said(now)
    assert "daily 9:00 (Europe/Berlin)" in first(await say("digest daily 9:00"))
    assert [row.next_at for row in await store.digests.of_channel(TEAM, CHANNEL)] == [
        datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
    ]
    assert "ended the digest" in first(await say("digest off"))
    assert "has no digest" in first(await say("digest off"))
    assert (await say("digest hourly")).outcome == "refused"
    assert (await say("digest daily 99:00")).outcome == "refused"


@pytest.mark.parametrize(
    ("words", "now", "until"),
    [
        ("2:30", "2026-10-25T00:30", "2026-10-26T01:30"),  # Berlin shows 2:30 again an hour later: not meant
        ("2:30", "2026-10-25T01:30", "2026-10-26T01:30"),
        ("tomorrow 2:30", "2026-03-28T12:00", "2026-03-29T01:00"),  # left out: the end of the gap
        ("sun 2:30", "2026-03-28T12:00", "2026-03-29T01:00"),
    ],
)
def test_until_a_time_holds_when_the_clocks_change(words: str, now: str, until: str) -> None:
    time = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert at(words, time, "Europe/Berlin") == datetime.fromisoformat(until).replace(tzinfo=UTC)


# schedule


async def test_a_command_is_scheduled_listed_and_removed(say: Say, store: Store) -> None:
    handled = await say('schedule “weekdays 7:00” run app@main A="x y"')
    assert "weekdays 7:00 (Europe/Berlin)" in first(handled)
    row = (await store.schedules.of_channel(TEAM, CHANNEL))[0]
    assert row.command == 'run app@main A="x y"'
    assert row.next_at == datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
    assert "run app@main" in said(await say("schedule list"))
    assert "run app@main" in said(await say("list schedules"))
    assert "removed schedule" in first(await say(f"schedule remove {row.id}"))
    assert "There is no schedule" in first(await say(f"schedule remove {row.id}"))


@pytest.mark.parametrize(
    "words",
    [
        "schedule weekdays run app",
        'schedule "weekdays 7:00" cancel app',
        'schedule "weekdays 7:00"',
        'schedule "never" run app',
        "schedule remove x",
        "schedule --form",
    ],
)
async def test_schedules_that_make_no_sense_are_refused(say: Say, store: Store, words: str) -> None:
    assert (await say(words)).outcome == "refused"
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


# claim


async def test_the_first_who_claims_a_failure_holds_it(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 5, conclusion=Conclusion.FAILED)
    assert first(await say("claim")) == "<@U1> is on it: App #5"
    assert "You are on App #5 already." in first(await say("claim #5"))
    assert first(await say("claim #5", user="U2")) == "<@U1> is on App #5 already."
    assert "You are not on App #5." in first(await say("unclaim", user="U2"))
    assert "is no longer on App #5" in first(await say("unclaim"))
    assert (await say("claim", user="U2", source=Source.BUTTON)).answer.public
    assert (await say("claim a b")).outcome == "refused"


async def test_a_digest_tells_the_newest_build_and_not_an_old_one_that_was_retried(
    say: Say, linked: Linked, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await linked()
    hours = [NOW - timedelta(hours=count) for count in range(9)]
    await recorded(
        works.build_of(app, 14, created_at=hours[8], completed_at=hours[7], conclusion=Conclusion.FAILED),
        works.build_of(app, 15, created_at=hours[6], completed_at=hours[5]),
    )
    await recorded(
        works.build_of(
            app, 14, created_at=hours[8], started_at=hours[2], completed_at=hours[1], conclusion=Conclusion.FAILED
        ),
        works.build_of(
            app, 7, created_at=hours[3], completed_at=hours[0], conclusion=Conclusion.FAILED, pull_request="9"
        ),
    )
    digest = said(await say("digest now"))
    assert "now passed" in digest
    assert "now failed" not in digest
