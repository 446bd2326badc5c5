"""How people say commands in sentences; no phrase becomes an act that nobody named."""

from datetime import timedelta

import pytest

from bot.core.errors import BotError
from bot.core.models import Approval, Conclusion, Pipeline
from bot.store import Store
from commands.core.context import Source
from commands.core.durations import parse_duration, span_at_end, span_at_start
from commands.core.executor import Outcome
from commands.core.phrases import plain_target, without_politeness
from commands.registry import REGISTRY
from tests.commands.fakes import ADMIN, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first, post_card

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("it", "this"),
        ("that for 2h", "this for 2h"),
        ("this build", "this"),
        ("the build", "this"),
        ("the last build", "last"),
        ("the latest", "last"),
        ("the running one", "running"),
        ("the failed jobs", ""),
        ("the failed jobs of web", "web"),
        ("my builds", "mine"),
        ("my last build", "mine"),
        ("build 412", "#412"),
        ("the run #412 unit", "#412 unit"),
        ("the nightly", "nightly"),
        ("web@main KEY=the", "web@main KEY=the"),
        ("last-stage", "last-stage"),
        ("item", "item"),
        ("theatre", "theatre"),
        ("", ""),
    ],
)
def test_a_target_in_several_words_is_one(words: str, target: str) -> None:
    assert plain_target(words) == target


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("please rebuild this", "rebuild this"),
        ("Hey, could you please rebuild this, thanks!", "rebuild this"),
        ("rebuild this please.", "rebuild this"),
        ("approve web --comment please", "approve web --comment please"),
        ('run web --message "say please"', 'run web --message "say please"'),
        ("pleased", "pleased"),
    ],
)
def test_politeness_is_left_out(line: str, plain: str) -> None:
    assert without_politeness(line) == plain


@pytest.mark.parametrize(
    ("words", "span"),
    [
        ("2 hours", 2 * HOUR),
        ("2hours", 2 * HOUR),
        ("an hour", HOUR),
        ("half an hour", HOUR / 2),
        ("1 h 30 min", 1.5 * HOUR),
        ("1h30m", 1.5 * HOUR),
        ("2 hours and 15 minutes", 2.25 * HOUR),
        ("a day", 24 * HOUR),
        ("3 weeks", 504 * HOUR),
    ],
)
def test_lengths_of_time_are_read_in_words(words: str, span: timedelta) -> None:
    assert parse_duration(words) == span


@pytest.mark.parametrize("words", ["2", "hours", "a", "a m", "2 hours ago", "2 horses", "an", "for 2 hours", "0 hours"])
def test_other_words_are_no_length_of_time(words: str) -> None:
    with pytest.raises(BotError):
        parse_duration(words)


def test_a_length_of_time_is_found_at_the_end_or_after_for() -> None:
    assert span_at_end(["web", "for", "2", "hours"]) == (["web"], "2 hours")
    assert span_at_end(["web", "1", "h", "30", "min"]) == (["web"], "1 h 30 min")
    assert span_at_end(["web"]) == (["web"], None)
    assert span_at_start(["for", "half", "an", "hour", "it", "is", "down"]) == ("half an hour", ["it", "is", "down"])
    assert span_at_start(["for", "now"]) == (None, ["for", "now"])
    assert span_at_start(["2", "hours"]) == (None, ["2", "hours"])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("mute it for 2 hours", 2 * HOUR),
        ("mute this for 2h", 2 * HOUR),
        ("mute app for an hour", HOUR),
        ("mute app --for 90 minutes", 1.5 * HOUR),
        ("mute for half an hour", HOUR / 2),
        ("please mute the app 2 hours, thanks", 2 * HOUR),
    ],
)
def test_mute_takes_a_length_of_time_as_people_say_it(words: str, shown: timedelta) -> None:
    command, rest = REGISTRY.split(words)
    assert command.verb == "mute"
    assert command.parse(rest).span == shown


async def test_it_is_the_build_of_the_threads_card(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, store: Store
) -> None:
    await linked()
    failed = works.build_of(app, 3, conclusion=Conclusion.FAILED)
    await post_card(store, failed, ts="5.5")
    await say("please rebuild it", user=ADMIN, source=Source.MENTION, thread="5.5")
    assert [(act, what) for act, what, _details in works.acts] == [("rebuild", "b3")]


@pytest.mark.parametrize("verb", ["cancel", "retry", "rebuild", "erase", "approve", "reject"])
async def test_it_without_a_card_asks_and_acts_on_nothing(
    verb: str, say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.build_of(app, 2, conclusion=Conclusion.FAILED))
    waits = works.running(app, 3, waiting=True)
    await recorded(waits)
    works.open_approvals[waits.id] = (Approval(id="g", build=waits.id, pipeline=app.id, name="Go", can_reject=True),)
    handled = await say(f"please {verb} it", user=ADMIN)
    assert works.acts == []
    assert handled.outcome is Outcome.ASKED
    assert buttons(handled)


@pytest.mark.parametrize("words", ["remind me", "remind me when it's done", "remind me about app when it ends"])
async def test_remind_watches_the_running_build(
    words: str, say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.running(app, 4)
    assert "App #4" in first(await say(words))


async def test_a_hold_takes_its_length_before_its_reason(say: Say, app: Pipeline, linked: Linked) -> None:
    command, rest = REGISTRY.split("hold the app for 2 hours the shop is down")
    args = command.parse(rest)
    assert (args.target.pipeline, args.span, args.reason) == ("app", 2 * HOUR, "the shop is down")


async def test_a_question_which_pipeline_keeps_the_length_of_time(say: Say, linked: Linked) -> None:
    await linked()
    handled = await say("mute it for 30 minutes", user=ADMIN)
    assert buttons(handled) == {"App": "mute works:p-app --for='30 minutes'"}
