"""What somebody does about a build stands on its cards: a card's button posts nothing, typed words answer the person."""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.models import Approval, Build, Conclusion, Pipeline
from bot.notifications.notification import Extra
from bot.store import Store
from bot.store.rows import NewNotification
from bot.store.states import NoteKind, NotificationEvent
from commands.core.context import Source
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, first, post_card

TS = "1700000000.000100"
Carded = Callable[..., Awaitable[None]]


@pytest.fixture
async def carded(store: Store, linked: Linked, recorded: Recorded) -> Carded:
    """Return what lets the channel have a card of a build."""

    async def made(build: Build, *, channel: str = CHANNEL, started_by: str = "") -> None:
        await recorded(build, started_by=started_by)
        await post_card(store, build, ts=TS, channel=channel)

    await linked()
    return made


async def notes(store: Store, build: Build, attempt_no: int = 1) -> list[tuple[str, str, str]]:
    rows = await store.cards.notes(build.key, attempt_no, TEAM)
    return [(row.kind, row.user, row.text) for row in rows]


async def is_due(store: Store, build: Build) -> bool:
    return any(card.edit_due_at is not None for card in await store.cards.of_build(build.key))


async def test_a_button_of_a_card_cancels_and_posts_nothing(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.running(app, 7)
    await carded(build, started_by=USER)
    handled = await say("cancel app#7 --attempt 1", source=Source.BUTTON, message=TS)
    assert works.acts == [("cancel", "b7", None)]
    assert handled.answer.silent
    assert handled.answer.message is None
    assert await notes(store, build) == [(NoteKind.CANCELLED, USER, "cancelled it")]
    assert await is_due(store, build)


async def test_typed_words_answer_the_person_where_the_channel_has_a_card(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.running(app, 7)
    await carded(build, started_by=USER)
    handled = await say("cancel --reason 'wrong branch'")
    assert not handled.answer.public
    assert first(handled) == "<@U1> stopped App #7 (wrong branch)"
    assert await notes(store, build) == [(NoteKind.CANCELLED, USER, "cancelled it (wrong branch)")]


async def test_a_card_of_another_channel_leaves_this_one_its_public_line(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.running(app, 7)
    await carded(build, started_by=USER, channel="CELSEWHERE")
    assert (await say("cancel")).answer.public
    assert await notes(store, build)


async def test_a_button_of_an_answer_is_told_in_that_answer(
    say: Say, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    await carded(works.running(app, 7), started_by="U2")
    handled = await say("cancel app#7 --yes", source=Source.BUTTON, message="1700000000.999999")
    assert handled.answer.replace
    assert not handled.answer.public


async def test_a_card_shows_who_is_on_it_and_who_is_no_longer(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    await carded(build)
    assert (await say("claim app#5", source=Source.BUTTON, message=TS)).answer.silent
    assert await store.claims.holder(TEAM, build.key) == USER
    assert await is_due(store, build)
    assert (await say("unclaim app#5", source=Source.BUTTON, message=TS)).answer.silent


async def test_a_retry_by_a_cards_button_posts_no_second_card(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    await carded(build)
    before = len(await store.notifications.of_build(build.key))
    assert (await say("retry app#5 --attempt 1", source=Source.BUTTON, message=TS)).answer.silent
    assert works.acts == [("retry", "b5", "failed")]
    assert len(await store.notifications.of_build(build.key)) == before
    assert await notes(store, build) == [(NoteKind.ACT, USER, "retried the failed jobs")]
    stored = await store.builds.get(build.key)
    assert stored is not None
    assert stored[1].attempt_no == 2


async def test_a_rebuild_says_on_the_old_card_what_replaced_it(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    await carded(build)
    await say("rebuild app#5 --attempt 1", source=Source.BUTTON, message=TS)
    ((kind, user, text),) = await notes(store, build)
    assert (kind, user) == (NoteKind.REPLACED, USER)
    assert text.startswith("rebuilt it as #")
    (row,) = await store.cards.notes(build.key, 1, TEAM)
    (new,) = [other for other in works.history["p-app"] if other.id != build.id]
    assert row.url == (new.web_url or "")


async def test_a_decision_closes_the_card_where_no_other_step_of_it_is_open(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.running(app, 5, waiting=True)
    steps = [
        Approval(id=name, build="b5", pipeline="p-app", name=name, can_reject=True) for name in ("one", "two", "three")
    ]
    works.open_approvals["b5"] = tuple(steps)
    await carded(build)
    shown = {1: ("one", "two"), 2: ("three",)}
    for turn, ids in shown.items():
        row = NewNotification(
            team=TEAM,
            channel=CHANNEL,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            attempt_no=1,
            event=NotificationEvent.BLOCKED,
            turn=turn,
            extra=Extra(steps=ids).as_json(),
            due_at=NOW,
            created_at=NOW,
        )
        await store.notifications.add([row])

    async def closed() -> list[int]:
        rows = await store.notifications.of_build(build.key)
        return [row.turn for row in rows if row.event == NotificationEvent.BLOCKED and Extra.of(row.extra).text]

    for step, turns in (("one", []), ("three", [2]), ("two", [1, 2])):
        await say(f"approve app#5 --step {step}", source=Source.BUTTON, message=TS, user=ADMIN)
        works.open_approvals["b5"] = tuple(left for left in works.open_approvals["b5"] if left.id != step)
        assert await closed() == turns


async def test_a_decision_stands_on_the_card_and_nowhere_else(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, carded: Carded
) -> None:
    build = works.running(app, 5, waiting=True)
    works.open_approvals["b5"] = (Approval(id="g", build="b5", pipeline="p-app", name="live", can_reject=True),)
    await carded(build)
    handled = await say("reject app#5 --comment 'no sign-off'", source=Source.BUTTON, message=TS, user=ADMIN)
    assert handled.answer.silent
    assert await notes(store, build) == [(NoteKind.ACT, ADMIN, "rejected live: no sign-off")]
