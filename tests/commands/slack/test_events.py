"""Around the commands: schedules by the clock, App Home, shortcuts, previews, reactions, channels that come and go."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot.core.errors import NotFound
from bot.core.models import Conclusion, Pipeline
from bot.http.quota import Quota
from bot.slack.inbox import Inbox
from bot.slack.sender import SlackError
from bot.store import Store
from bot.store.mapping import values
from bot.store.rows import NewCard, NewInstall, NewNotification, NotificationRow
from bot.store.states import NotificationEvent, NotificationState
from commands.core.context import Answer, Context, Services
from commands.scheduled import ScheduledCommands
from commands.slack.events import SlackEvents
from commands.slack.home import home
from commands.slack.shortcuts import words_for
from tests.bot.store.rows import notification
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, first
from tests.set_clock import SetClock

TS = "1770000000.000001"


class Installs:
    """The installation of one workspace, whose bot is UBOT."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def end(self, team: str, enterprise: str = "") -> None:
        """Forget a workspace."""
        self.ended.append(team)

    async def bot_user_of(self, team: str, enterprise: str = "") -> str:
        """Return the bot's user id."""
        return "UBOT"


@pytest.fixture
def installs() -> Installs:
    return Installs()


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def around(services: Services, installs: Installs, asked: list[str]) -> SlackEvents:
    async def answer(text: str, _context: Context) -> None:
        asked.append(text)

    return SlackEvents(services, cast("Any", installs), answer)


@pytest.fixture
def happens(around: SlackEvents) -> Callable[..., Awaitable[None]]:
    async def done(kind: str, team: str = TEAM, **event: Any) -> None:
        await around.events[kind]({"team_id": team, "event": {"type": kind, **event}})

    return done


Happens = Callable[..., Awaitable[None]]


@pytest.fixture
async def card(store: Store, works: FakeProvider, app: Pipeline, recorded: Recorded) -> None:
    """Let #5's card stand in the channel."""
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    await recorded(build)
    row = NewNotification(
        team=TEAM,
        channel=CHANNEL,
        connection="works",
        pipeline=app.id,
        build="b5",
        attempt_no=1,
        event=NotificationEvent.FINISHED,
        reason="it broke",
        due_at=NOW,
        created_at=NOW,
    )
    await store.notifications.add([row])
    claimed = (await store.notifications.claim("w", now=NOW, lease_seconds=60, limit=1))[0]
    await store.notifications.set_sent(
        claimed,
        ts=TS,
        now=NOW,
        card=NewCard(
            team=TEAM,
            channel=CHANNEL,
            ts=TS,
            notification=claimed.id or 0,
            connection="works",
            pipeline=app.id,
            build="b5",
            attempt_no=1,
        ),
    )


# channels


async def test_an_archived_channel_pauses_its_links_and_notifies_who_made_them(
    happens: Happens, store: Store, linked: Linked, sender: RecordingSender
) -> None:
    await linked()
    await happens("channel_archive", channel=CHANNEL)
    assert [link.paused_reason for link in await store.links.of_channel(TEAM, CHANNEL)] == ["the channel was archived"]
    assert sender.last.arguments["channel"] == USER
    assert "because the channel was archived" in sender.last.text
    await happens("channel_unarchive", channel=CHANNEL)
    assert [link.paused_reason for link in await store.links.of_channel(TEAM, CHANNEL)] == [""]


async def test_the_bots_own_leaving_pauses_and_its_return_resumes(
    happens: Happens, store: Store, linked: Linked, sender: RecordingSender
) -> None:
    await linked()
    await happens("member_left_channel", channel=CHANNEL, user="U2")
    assert not (await store.links.of_channel(TEAM, CHANNEL))[0].paused_reason
    sender.refusals["chat.postMessage"] = "cannot_dm_bot"
    await happens("member_left_channel", channel=CHANNEL, user="UBOT")
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].paused_reason
    await happens("member_joined_channel", channel=CHANNEL, user="U2")
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].paused_reason
    await happens("member_joined_channel", channel=CHANNEL, user="UBOT")
    await happens("channel_rename", channel={"id": CHANNEL, "name": "mac"})
    assert not (await store.links.of_channel(TEAM, CHANNEL))[0].paused_reason


async def test_another_workspaces_channel_of_the_same_id_changes_nothing(
    happens: Happens, store: Store, linked: Linked
) -> None:
    await linked()
    await happens("channel_archive", team="T2", channel=CHANNEL)
    assert not (await store.links.of_channel(TEAM, CHANNEL))[0].paused_reason


async def test_an_uninstalled_app_is_forgotten(happens: Happens, installs: Installs) -> None:
    await happens("tokens_revoked", tokens={"oauth": ["U1"]})
    assert installs.ended == []
    await happens("tokens_revoked", tokens={"bot": ["UBOT"]})
    await happens("app_uninstalled")
    assert installs.ended == [TEAM, TEAM]


async def test_removing_the_app_deletes_what_is_stored_of_the_workspace_and_losing_its_token_does_not(
    happens: Happens, store: Store, linked: Linked
) -> None:
    await linked()
    await happens("tokens_revoked", tokens={"bot": ["UBOT"]})
    assert len(await store.links.all(TEAM)) == 1
    await happens("app_uninstalled", team="T2")
    assert len(await store.links.all(TEAM)) == 1
    await happens("app_uninstalled")
    assert await store.links.all(TEAM) == []


async def test_an_event_from_before_the_app_was_installed_again_deletes_nothing(
    around: SlackEvents, installs: Installs, store: Store, linked: Linked
) -> None:
    await linked()
    await store.installs.save(NewInstall(team=TEAM, bot_token="sealed", installed_at=NOW))
    for event in ({"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}}):
        before = {"team_id": TEAM, "event_time": int(NOW.timestamp()) - 60, "event": event}
        await around.events[str(event["type"])](before)
    assert installs.ended == []
    assert len(await store.links.all(TEAM)) == 1


# reactions


@pytest.mark.usefixtures("card")
async def test_reactions_do_nothing_until_the_channel_wants_them(happens: Happens, say: Say, asked: list[str]) -> None:
    async def react(name: str = "repeat", user: str = USER, ts: str = TS) -> None:
        await happens(
            "reaction_added", reaction=name, user=user, item={"type": "message", "channel": CHANNEL, "ts": ts}
        )

    await react()
    assert asked == []
    assert (await say("subscribe --reactions maybe")).outcome == "refused"
    assert (await say("subscribe --reactions on")).answer.public
    for name in ("repeat", "eyes", "no_bell", "tada"):
        await react(name)
    await react(user="UBOT")
    await react(ts="1.1")
    assert asked == ["retry works:p-app#5", "watch works:p-app#5", "mute works:p-app --for 2h"]
    await say("subscribe --reactions off")
    await react()
    assert len(asked) == 3


# shortcuts


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("callback", "message", "words"),
    [
        ("start_build", {}, "run --form"),
        ("unknown", {}, ""),
        ("retry_build", {"ts": TS}, "retry works:p-app#5"),
        (
            "show_logs",
            {"ts": "1.1", "text": "see <https://ci.example/works/app/builds/7>"},
            "logs https://ci.example/works/app/builds/7",
        ),
        ("why_failed", {"ts": "1.1", "text": "https://elsewhere.example"}, "why --build last"),
        ("retry_build", {"ts": "1.1"}, "retry"),
    ],
)
async def test_a_shortcut_types_words_about_its_message(
    around: SlackEvents,
    asked: list[str],
    context_of: Callable[..., Context],
    services: Services,
    callback: str,
    message: dict[str, str],
    words: str,
) -> None:
    body = {"callback_id": callback, "message": message}
    assert await words_for(callback, body, context_of()) == words
    await around.shortcut(body, context_of())
    assert asked == ([words] if words else [])


# previews


async def test_build_pages_are_previewed_in_their_own_workspace_only(
    happens: Happens, works: FakeProvider, app: Pipeline, sender: RecordingSender
) -> None:
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    links = [{"url": build.web_url}, {"url": app.web_url}, {"url": "https://elsewhere.example"}]
    await happens("link_shared", team="T2", user=USER, channel=CHANNEL, message_ts=TS, links=links)
    assert sender.of("chat.unfurl") == []
    await happens("link_shared", user=USER, channel=CHANNEL, message_ts=TS, links=links)
    given = sender.of("chat.unfurl")[0].arguments
    assert list(given["unfurls"]) == [build.web_url]
    assert "#5" in str(given["unfurls"])
    assert (given["channel"], given["ts"]) == (CHANNEL, TS)
    await happens("link_shared", user=USER, channel="COMPOSER", unfurl_id="u1", source="composer", links=links)
    assert sender.of("chat.unfurl")[1].arguments["unfurl_id"] == "u1"
    works.troubles["build_by_number"] = works.troubles["pipeline"] = NotFound("Gone.", provider="The Works")
    await happens("link_shared", user=USER, channel=CHANNEL, message_ts=TS, links=links)
    assert len(sender.of("chat.unfurl")) == 2


# home


async def test_home_is_published_at_most_once_in_ten_seconds(
    happens: Happens, sender: RecordingSender, set_clock: SetClock
) -> None:
    await happens("app_home_opened", user=USER, tab="messages")
    await happens("app_home_opened", user=USER, tab="home")
    await happens("app_home_opened", user=USER, tab="home")
    assert len(sender.of("views.publish")) == 1
    set_clock.go(seconds=30)
    await happens("app_home_opened", user=USER, tab="home")
    assert len(sender.of("views.publish")) == 2


async def test_home_shows_first_steps_then_builds_links_and_for_admins_the_connections(
    services: Services,
    context_of: Callable[..., Context],
    works: FakeProvider,
    app: Pipeline,
    linked: Linked,
    recorded: Recorded,
    say: Say,
    connections: FakeConnections,
    store: Store,
) -> None:
    async def shown(user: str = USER, team: str = TEAM) -> str:
        return str((await home(context_of(user=user, team=team, channel=""))).payload()["blocks"])

    assert "Three steps" in await shown()
    assert "me token" not in await shown()
    with_programs = context_of(user=USER, team=TEAM, channel="", services=replace(services, has_mcp=True))
    assert "me token" in str((await home(with_programs)).payload())
    await linked()
    await recorded(works.running(app, 5, waiting=True), started_by=USER)
    await say("follow app")
    text = await shown()
    for part in ("#5", "Channels I set up", "You watch", "App"):
        assert part in text
    assert "'text': 'Waiting for approval'" not in text
    assert "Admin" not in text
    await store.links.pause(TEAM, CHANNEL, "the channel was archived")
    await store.health.was_checked(works.connection, expires_at=NOW + timedelta(days=7))
    assert "The credentials of" not in await shown()
    admins = await shown(ADMIN)
    assert "The credentials of The Works (`works`) end on 2026-03-11, in 7 days." in admins
    assert "credentials end on 2026-03-11, in 7 days" in admins
    assert "Delivery: nothing is late." in admins
    assert f"<#{CHANNEL}>: 1 pipeline" in admins
    assert "'text': 'Export'" in admins
    await store.notifications.add([notification(due_at=NOW - timedelta(minutes=3), created_at=NOW)])
    assert "Delivery: 1 post late, the oldest by 3 m." in await shown(ADMIN)
    for part in ("'text': 'Waiting for approval'", "Admin", "the channel was archived", "The Works"):
        assert part in admins
    assert "#5" not in await shown(team="T2")
    connections.open.clear()
    assert "Connect a CI system" in await shown()


async def test_a_pressed_button_draws_home_anew_ten_seconds_after_the_last_time_at_the_earliest(
    services: Services, installs: Installs, sender: RecordingSender, set_clock: SetClock
) -> None:
    async def answer(_text: str, _context: Context) -> None:
        return

    waits: list[float] = []

    async def pause_for(seconds: float) -> None:
        waits.append(seconds)
        set_clock.go(seconds=seconds)

    events = SlackEvents(services, cast("Any", installs), answer, pause_for=pause_for)
    await events.events["app_home_opened"]({"team_id": TEAM, "event": {"user": USER, "tab": "home"}})
    body = {"team": {"id": TEAM}, "user": {"id": USER}, "view": {"type": "home"}}
    await events.home_pressed(body)
    assert waits == [10.0]
    assert len(sender.of("views.publish")) == 2
    set_clock.go(seconds=11)
    await events.home_pressed(body)
    assert waits == [10.0]
    assert len(sender.of("views.publish")) == 3


async def test_home_shows_favourites_as_last_seen_and_runs_and_removes_them(
    context_of: Callable[..., Context],
    works: FakeProvider,
    app: Pipeline,
    linked: Linked,
    recorded: Recorded,
    say: Say,
    store: Store,
) -> None:
    await linked(alias="ios")
    red = {"conclusion": Conclusion.FAILED, "created_at": NOW - timedelta(minutes=30)}
    await recorded(works.build_of(app, 4), works.build_of(app, 5, **red))
    assert "Favourites" not in await drawn(context_of)
    assert "ios is one of your favourites now" in first(await say("me favourite ios"))
    await say("me star app")
    text = await drawn(context_of)
    assert text.count("me favourite works:p-app off") == 1
    assert "✓✕" in text
    assert "run works:p-app@main --form" in text
    assert "#5" not in await drawn(context_of, user="U2")
    await say("me favourite works:p-app off")
    assert "Favourites" not in await drawn(context_of)
    assert (await say("me favourite")).outcome == "refused"
    assert (await say("me favourite nope")).outcome != "ok"


async def test_home_counts_the_posts_of_ones_links_and_offers_edit_pause_and_resume(
    context_of: Callable[..., Context], card: None, linked: Linked, say: Say, store: Store, app: Pipeline
) -> None:
    link = await linked()
    others = await linked(replace(app, id="p-web", path="web", name="Web"), created_by="U2")
    row = (await store.notifications.in_channel(TEAM, CHANNEL, NOW - timedelta(days=1)))[0]
    for number in (link.id, link.id, others.id):
        sent = replace(new_of(row), link=number, build=f"b{number}", state=NotificationState.SENT)
        await store.notifications.add([sent])
    text = await drawn(context_of)
    assert "every finished build on main · 1 post in 7 days" in text
    assert "p-web" not in text
    await say("unsubscribe app")
    text = await drawn(context_of)
    assert "paused by you or others" in text
    assert "subscribe works:p-app all" in text


async def test_lists_of_home_are_paged_and_stay_below_a_hundred_blocks(
    around: SlackEvents,
    sender: RecordingSender,
    context_of: Callable[..., Context],
    works: FakeProvider,
    app: Pipeline,
    linked: Linked,
    recorded: Recorded,
    say: Say,
) -> None:
    pipelines = [works.add(f"app{n}") for n in range(20)]
    for number, pipeline in enumerate(pipelines):
        await linked(pipeline, created_by=ADMIN)
        at = NOW - timedelta(minutes=90 - number)
        await recorded(works.running(pipeline, number, waiting=True, created_at=at), started_by=ADMIN)
        await say(f"me favourite works:p-app{number}", user=ADMIN)
    view = (await home(context_of(user=ADMIN, channel=""))).payload()
    assert len(view["blocks"]) < 100
    assert "Audit" in str(view)
    assert "App0*" in str(view)
    assert "App19*" not in str(view)
    (turn,) = [block for block in view["blocks"] if block.get("block_id") == "page:links"]
    (more,) = turn["elements"]
    body = {"team": {"id": TEAM}, "user": {"id": ADMIN}, "view": {"type": "home"}, "actions": [more]}
    await around.turn_page(body)
    second = sender.of("views.publish")[-1].arguments["view"]
    (back, further) = next(block for block in second["blocks"] if block.get("block_id") == "page:links")["elements"]
    assert (back["value"], further["value"]) == ("links=0", "links=2")
    assert len({element["action_id"] for element in (back, further)}) == 2
    await around.turn_page({**body, "actions": [{"value": "links=99,mine=x,=1"}]})
    last = str(sender.of("views.publish")[-1].arguments["view"])
    assert "Page 3 of 3" in last


async def test_a_connection_without_requests_left_is_a_banner_until_they_come_back(
    context_of: Callable[..., Context], works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(limit=60, remaining=0, resets_at=NOW + timedelta(minutes=9))
    monkeypatch.setattr(FakeProvider, "quota", property(lambda _self: quota))
    assert "takes no more requests" in await drawn(context_of)
    late = context_of(now=NOW + timedelta(minutes=10), channel="")
    assert "takes no more requests" not in str((await home(late)).payload())


async def drawn(context_of: Callable[..., Context], user: str = USER) -> str:
    return str((await home(context_of(user=user, channel=""))).payload()["blocks"])


def new_of(row: NotificationRow) -> NewNotification:
    return NewNotification(**values(row))


# the clock


async def test_due_schedules_and_digests_run_once_and_one_that_cannot_be_posted_stops_no_other(
    say: Say, inbox: Inbox, services: Services, store: Store, works: FakeProvider, set_clock: SetClock, linked: Linked
) -> None:
    await linked()
    await say('schedule "daily 14:00" run app A="x y"')
    await say('schedule "daily 14:00" status')
    await say("digest daily 14:00")
    delivered: list[str] = []

    async def deliver(context: Context, answer: Answer) -> None:
        delivered.append("a card" if answer.silent else "an answer")
        if len(delivered) == 1:
            raise SlackError("not_in_channel")

    timed = ScheduledCommands(services, deliver, inbox)
    await timed.tick()
    assert delivered == []
    set_clock.go(hours=2)
    await timed.tick()
    await timed.tick()
    assert sorted(delivered) == ["a card", "an answer"]
    assert works.acts[0][2].parameters == {"A": "x y"}
    digests = [
        row
        for row in await store.notifications.in_channel(TEAM, CHANNEL, NOW - timedelta(days=1))
        if row.event == "digest"
    ]
    assert len(digests) == 1
    assert "nothing was built" in digests[0].extra
