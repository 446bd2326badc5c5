"""One's own build is stopped at once, others' after a question; nothing is said twice."""

from dataclasses import replace

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Conclusion, Pipeline
from bot.providers.base.capabilities import Capability
from bot.store import Store
from commands.core.context import Source
from tests.commands.fakes import ADMIN, EVERYTHING, NOW, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first


async def test_my_own_build_is_stopped_without_a_question(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, linked: Linked
) -> None:
    await linked()
    await recorded(works.running(app, 7), started_by=USER)
    await recorded(works.running(app, 8), started_by="U2")
    handled = await say("cancel --reason 'wrong branch'")
    assert works.acts == [("cancel", "b7", None)]
    assert handled.answer.public
    assert first(handled) == "<@U1> stopped App #7 (wrong branch)"


async def test_somebody_elses_build_is_asked_about_and_the_answer_stops_that_one(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await recorded(works.running(app, 8, triggered_by="Bo"), started_by="U2")
    asked = await say('cancel app#8 --reason "it\'s old"')
    assert works.acts == []
    assert "Stop App #8 on main?" in first(asked)
    assert "It was started by <@U2>." in first(asked)
    works.running(app, 9)
    handled = await say(buttons(asked)["Stop it"], source=Source.BUTTON)
    assert works.acts == [("cancel", "b8", None)]
    assert first(handled).endswith("(it's old)")


async def test_a_build_without_a_number_is_stopped_by_its_id(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.put(replace(works.running(app, 8), number=None, id="odd id#1"))
    works.running(app, 9)
    asked = await say("cancel app --id 'odd id#1'")
    await say(buttons(asked)["Stop it"], source=Source.BUTTON)
    assert works.acts == [("cancel", "odd id#1", None)]


async def test_a_second_click_says_nothing(
    say: Say, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = works.running(app, 8)

    async def still_running(_pipeline: str, name: str) -> object:
        works.acts.append(("cancel", name, None))
        return build

    monkeypatch.setattr(works, "cancel", still_running)
    assert (await say("cancel app#8 --yes", source=Source.BUTTON)).answer.public
    again = await say("cancel app#8 --yes", source=Source.BUTTON)
    assert again.answer.message is None
    assert len(works.acts) == 1


async def test_a_build_that_is_over_is_said_to_be(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.build_of(app, 8, conclusion=Conclusion.CANCELLED)
    works.build_of(app, 9, conclusion=None)
    assert "App #8 has ended already: cancelled." in first(await say("cancel app#8"))
    assert "App #9 has ended already." in first(await say("cancel app#9"))


async def test_an_old_card_stops_nothing(say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded) -> None:
    await recorded(works.build_of(app, 8, conclusion=Conclusion.FAILED))
    await recorded(works.running(app, 8))
    handled = await say("cancel app#8 --attempt 1 --yes", source=Source.BUTTON)
    assert "This card is from attempt 1; attempt 2 is in progress." in first(handled)
    assert works.acts == []
    assert (await say("cancel app#8 --attempt 2 --yes", source=Source.BUTTON)).outcome == "ok"


async def test_mine_stops_the_one_build_i_started(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    assert "None of your builds is running." in first(await say("cancel mine"))
    await recorded(works.running(app, 7), started_by=USER)
    await recorded(works.running(app, 8), started_by="U2")
    assert (await say("cancel mine")).answer.public
    assert works.acts == [("cancel", "b7", None)]


async def test_several_of_mine_need_a_grant_and_an_answer(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    for number in (7, 8):
        await recorded(works.running(app, number), started_by=USER)
        await recorded(works.running(app, number + 10), started_by=ADMIN)
    assert "needs the approver role" in first(await say("cancel mine"))
    asked = await say("cancel mine --reason tidy", user=ADMIN)
    assert "Stop 2 builds?" in first(asked)
    done = await say(buttons(asked)["Stop them all"], user=ADMIN, source=Source.BUTTON)
    assert {act[1] for act in works.acts} == {"b17", "b18"}
    assert "App #17" in first(done)
    assert first(done).endswith("(tidy)")
    assert (await say(buttons(asked)["Stop them all"], user=ADMIN, source=Source.BUTTON)).outcome in {"ok", "refused"}
    assert len(works.acts) == 2


async def test_what_cannot_be_read_does_not_keep_the_rest_running(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, store: Store
) -> None:
    await recorded(works.running(app, 7), works.running(app, 8), started_by=USER)
    works.history[app.id] = [one for one in works.history[app.id] if one.id != "b8"]
    assert (await say("cancel mine")).answer.public
    assert works.acts == [("cancel", "b7", None)]
    works.history[app.id].clear()
    assert "no such build" in first(await say("cancel mine"))
    assert await store.builds.by_number("works", app.id, 8) is not None


async def test_where_stopping_fails_that_is_reported(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await recorded(works.running(app, 7), started_by=USER)
    works.troubles["cancel"] = Unavailable("It is down.", provider="The Works")
    assert "It is down." in first(await say("cancel mine"))
    works.capabilities = EVERYTHING - {Capability.CANCEL}
    assert "None of your builds is running." in first(await say("cancel mine"))
    assert "can't cancel" in first(await say("cancel app#7 --yes"))


async def test_after_stopping_the_build_is_polled_again(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, store: Store
) -> None:
    await recorded(works.running(app, 7), started_by=USER)
    await store.polling.ensure("works", works.poll_target(app.id), now=NOW)
    await say("cancel app#7")
    poll_target = next(iter(await store.polling.targets()))
    assert await store.polling.take_hints(poll_target) == [(app.id, "b7")]


@pytest.mark.parametrize("words", ["cancel #3 #4", "cancel --reason"])
async def test_words_that_make_no_sense_are_refused(say: Say, words: str) -> None:
    assert (await say(words)).outcome == "refused"


async def test_a_build_that_waits_is_not_stopped_where_the_system_cannot(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "cancels_waiting", False)
    await linked()
    await recorded(works.running(app, 7, waiting=True), started_by=USER)
    for words in ("cancel", "cancel app", "cancel #7"):
        handled = await say(words)
        assert handled.outcome == "refused", words
        assert "App #7 waits for approval, and The Works cannot cancel a build that waits." in first(handled)
    await recorded(works.running(app, 8), started_by=USER)
    assert first(await say("cancel")) == "<@U1> stopped App #8"
    assert works.acts == [("cancel", "b8", None)]


async def test_my_running_build_that_its_system_cannot_stop_is_named(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, linked: Linked
) -> None:
    works.capabilities = EVERYTHING - {Capability.CANCEL}
    await linked()
    await recorded(works.running(app, 7), started_by=USER)
    handled = await say("cancel")
    assert first(handled) == first(await say("cancel #7"))
    assert "The Works" in first(handled)
    assert "Nothing is running" not in first(handled)
