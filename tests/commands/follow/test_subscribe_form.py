"""The form for what a channel follows."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bot.core.models import Build, Conclusion, Pipeline, Trigger
from bot.notifications.filters import EVENTS, PRESETS, read_filter
from bot.store import Store
from bot.store.rows import LinkRow
from commands.follow.subscribe_form import CHANGE_WORDS, PRESET_WORDS, RESULT_WORDS, SIGNAL_WORDS, TRIGGER_WORDS
from tests.commands.fakes import CHANNEL, NOW, TEAM, FakeProvider
from tests.commands.modals import Modal

Linked = Callable[..., Awaitable[LinkRow]]
Recorded = Callable[..., Awaitable[None]]


@pytest.fixture
async def link(linked: Linked) -> LinkRow:
    return await linked(alias="ios")


@pytest.fixture
async def week(works: FakeProvider, app: Pipeline, recorded: Recorded) -> list[Build]:
    """Ten builds, a day's fraction apart: the fourth failed, the fifth too, one ran on another branch."""
    made: list[Build] = []
    for number in range(1, 11):
        ended = NOW - timedelta(hours=100 - number)
        made.append(
            works.build_of(
                app,
                number,
                conclusion=Conclusion.FAILED if number in {4, 5} else Conclusion.PASSED,
                branch="wip" if number == 7 else "main",
                created_at=ended - timedelta(minutes=9),
                started_at=ended - timedelta(minutes=8),
                completed_at=ended,
            )
        )
    await recorded(*made)
    return made


async def filter_of_link(store: Store) -> str:
    (row,) = await store.links.of_channel(TEAM, CHANNEL)
    return row.filters


def test_every_event_preset_and_trigger_has_its_words() -> None:
    assert {*RESULT_WORDS, *CHANGE_WORDS, *SIGNAL_WORDS} == set(EVENTS)
    assert set(PRESET_WORDS) == {*PRESETS, "chosen"}
    assert set(TRIGGER_WORDS) == set(Trigger) - {Trigger.UNKNOWN}


async def test_the_form_shows_the_filter_and_what_that_would_have_posted(
    modal: Modal, link: LinkRow, week: list[Build]
) -> None:
    await modal.open("subscribe")
    assert modal.value("preset") == "all"
    assert modal.value("mention") == "author"
    assert "every finished build on main" in modal.text
    assert "Would have posted *9 times* in the last 7 days" in modal.text
    assert "#10" in modal.text
    assert "build.retry" not in modal.text


async def test_a_choice_changes_the_count_and_the_example_at_once(
    modal: Modal, link: LinkRow, week: list[Build]
) -> None:
    await modal.open("subscribe ios")
    await modal.change("preset", "edges")
    assert "Would have posted *2 times*" in modal.text
    assert "FIXED" in modal.text.upper()
    await modal.change("preset", "all")
    await modal.change("branch", "*")
    assert "Would have posted *10 times*" in modal.text
    await modal.change("preset", "quiet")
    assert "Would have posted *0 times*" in modal.text
    assert "Not even the newest build" in modal.text


async def test_events_can_be_ticked_one_by_one(modal: Modal, store: Store, link: LinkRow, week: list[Build]) -> None:
    await modal.open("subscribe")
    assert "results" not in modal.fields()
    await modal.change("preset", "chosen")
    assert modal.value("results") == list(RESULT_WORDS)
    await modal.change("results", [])
    await modal.change("changes", [])
    assert "Would have posted *0 times*" in modal.text
    assert "Tick at least one" in (await modal.submit())["results"]
    await modal.change("changes", ["fixed"])
    assert "Would have posted *1 time*" in modal.text
    assert await modal.submit() == {}
    assert await filter_of_link(store) == "--on fixed"


async def test_red_branches_have_a_thread_and_an_escalation_as_chosen(
    modal: Modal, store: Store, linked: Linked, week: list[Build]
) -> None:
    await linked(filters="--on all")
    await modal.open("subscribe app")
    assert (modal.value("thread"), modal.value("escalate")) == ("preset", "off")
    assert await modal.submit({"thread": "branch", "escalate": "30m"}) == {}
    assert await filter_of_link(store) == "--on all --thread branch --escalate 30m"


async def test_somebody_to_call_who_was_typed_stays(
    modal: Modal, store: Store, linked: Linked, week: list[Build]
) -> None:
    await linked(filters="--on edges --escalate 45m,U2 --thread build")
    await modal.open("subscribe app")
    assert modal.value("escalate") == "45m,U2"
    assert await modal.submit() == {}
    assert await filter_of_link(store) == "--on edges --thread build --escalate 45m,U2"


async def test_saving_keeps_what_the_form_does_not_show(
    modal: Modal, store: Store, linked: Linked, week: list[Build]
) -> None:
    await linked(filters="--on failures --by !bot --min-streak 2 --mention S123")
    await modal.open("subscribe app")
    assert modal.value("mention") == "S123"
    await modal.submit({"branch": "main, release/*", "trigger": ["push", "cron"]})
    filtered = read_filter(await filter_of_link(store))
    assert (filtered.preset, filtered.branches, filtered.triggers) == (
        "failures",
        ("main", "release/*"),
        ("push", "cron"),
    )
    assert (filtered.by, filtered.min_streak, filtered.mention) == (("!bot",), 2, "S123")
    assert "set the notifications of App" in modal.sender.last.text


async def test_a_person_can_be_mentioned_or_nobody(modal: Modal, store: Store, link: LinkRow) -> None:
    await modal.open("subscribe")
    await modal.change("mention", "person")
    await modal.submit({"person": "U77"})
    assert read_filter(await filter_of_link(store)).mention == "U77"
    await modal.open("subscribe")
    assert modal.value("person") == "U77"
    await modal.change("mention", "none")
    assert "person" not in modal.fields()
    await modal.submit()
    assert read_filter(await filter_of_link(store)).mention == "none"


async def test_another_pipeline_shows_its_own_filter(
    modal: Modal, works: FakeProvider, link: LinkRow, linked: Linked
) -> None:
    other = await linked(works.add("web"), filters="--on failures --branch trunk")
    await modal.open("subscribe ios")
    modal.fill({"branch": "typed"})
    await modal.change("link", str(other.id))
    assert (modal.value("preset"), modal.value("branch")) == ("failures", "trunk")


async def test_settings_on_a_card_opens_the_form_of_its_pipeline(
    modal: Modal, works: FakeProvider, link: LinkRow, linked: Linked
) -> None:
    other = await linked(works.add("web"), is_default=True)
    await modal.open("settings")
    assert modal.value("link") == str(other.id)


async def test_with_filters_no_form_stands_in_the_way(modal: Modal, store: Store, link: LinkRow) -> None:
    assert await modal.open("subscribe ios edges") == {}
    assert await filter_of_link(store) == "--on edges"


async def test_without_links_the_form_says_what_comes_first(modal: Modal) -> None:
    await modal.open("subscribe")
    assert "No pipeline is linked to this channel yet." in modal.text
    assert "submit" not in modal.shown


async def test_a_pipeline_that_is_not_linked_here_is_named(modal: Modal, works: FakeProvider, link: LinkRow) -> None:
    works.add("web")
    await modal.open("subscribe works:web")
    assert "Web is not linked to this channel." in modal.text


async def test_a_link_that_went_meanwhile_is_said(
    modal: Modal, store: Store, link: LinkRow, linked: Linked, works: FakeProvider
) -> None:
    await linked(works.add("web"))
    await modal.open("subscribe ios")
    await store.links.delete(link.id or 0)
    assert "not linked here any more" in (await modal.submit())["link"]
