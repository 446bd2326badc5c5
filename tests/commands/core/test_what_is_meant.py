"""What each acting verb means: with nothing named, `this`, `last`, `mine`; without a link, with one, with several, in a thread.

Two pipelines: App (#1 failed, #2 passed, #3 failed and is the person's own, #4 waits) and Web (#7 failed, #8 runs and is the person's own).
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.core.models import Approval, Conclusion, Pipeline, Ref, RefKind
from bot.store import Store
from commands.core.context import Source
from commands.core.executor import Outcome
from commands.registry import REGISTRY
from tests.commands.fakes import ADMIN, FakeProvider, branch
from tests.commands.reading import Linked, Recorded, Say, buttons, first, post_card, said

Arrange = Callable[[str], Awaitable[dict[str, str]]]

PLACES = ["no link", "one link", "default of several", "several", "thread"]
NAMED = ["", "this", "last", "mine"]
ASKED, MISSING, REFUSED = "menu", "failed", "refused"
# By verb and by what is named, what happens in each of PLACES: what was done to which build, or how the person is answered.
MEANT: dict[tuple[str, str], tuple[str, str, str, str, str]] = {
    ("run", ""): (MISSING, "start p-app", "start p-app", ASKED, "start p-app"),
    ("run", "this"): (MISSING, ASKED, ASKED, ASKED, "start p-app"),
    ("run", "last"): (REFUSED,) * 5,
    ("run", "mine"): (REFUSED,) * 5,
    # The only build of one's own that runs; #8 is in Web.
    ("cancel", ""): ("cancel b8", "cancel b8", "cancel b8", "cancel b8", REFUSED),
    ("cancel", "this"): (MISSING, ASKED, ASKED, ASKED, REFUSED),
    ("cancel", "last"): (MISSING, "cancel b4", "cancel b4", ASKED, "cancel b4"),
    ("cancel", "mine"): ("cancel b8",) * 5,
    # The newest of main runs: nothing is retried behind it.
    ("retry", ""): (MISSING, ASKED, ASKED, ASKED, "retry b3"),
    ("retry", "this"): (MISSING, ASKED, ASKED, ASKED, "retry b3"),
    ("retry", "last"): (MISSING, ASKED, ASKED, ASKED, ASKED),  # it still runs
    ("retry", "mine"): ("retry b3",) * 5,
    ("rebuild", ""): (MISSING, "rebuild b4", "rebuild b4", ASKED, "rebuild b3"),
    ("rebuild", "this"): (MISSING, ASKED, ASKED, ASKED, "rebuild b3"),
    ("rebuild", "last"): (MISSING, "rebuild b4", "rebuild b4", ASKED, "rebuild b4"),
    ("rebuild", "mine"): ("rebuild b3",) * 5,
    ("approve", ""): (MISSING, "approve g4", "approve g4", "approve g4", MISSING),
    ("approve", "this"): (MISSING, ASKED, ASKED, ASKED, MISSING),
    ("approve", "last"): (MISSING, "approve g4", "approve g4", ASKED, "approve g4"),
    ("approve", "mine"): (MISSING,) * 5,
    ("reject", ""): (MISSING, "reject g4", "reject g4", "reject g4", MISSING),
    ("reject", "this"): (MISSING, ASKED, ASKED, ASKED, MISSING),
    ("reject", "last"): (MISSING, "reject g4", "reject g4", ASKED, "reject g4"),
    ("reject", "mine"): (MISSING,) * 5,
    ("erase", ""): (REFUSED, REFUSED, REFUSED, REFUSED, "erase b3"),
    ("erase", "this"): (MISSING, ASKED, ASKED, ASKED, "erase b3"),
    ("erase", "last"): (MISSING, "erase b4", "erase b4", ASKED, "erase b4"),
    ("erase", "mine"): ("erase b3",) * 5,
}

NOT_ON_BUILDS = {"hold", "release", "chains", "bisect"}
"""Acts on a pipeline as a whole, and on what waits for a build."""


@pytest.fixture
def arrange(
    works: FakeProvider, app: Pipeline, store: Store, linked: Linked, recorded: Recorded
) -> Callable[[str], Awaitable[dict[str, str]]]:
    """Return what sets the channel up and returns the context's fields that stand for it."""

    async def done(place: str) -> dict[str, str]:
        web = works.add("web")
        await recorded(works.build_of(app, 1, conclusion=Conclusion.FAILED), works.build_of(app, 2))
        failed = works.build_of(app, 3, conclusion=Conclusion.FAILED)
        await recorded(failed, started_by=ADMIN)
        waits = works.running(app, 4, waiting=True)
        await recorded(waits, works.build_of(web, 7, conclusion=Conclusion.FAILED))
        await recorded(works.running(web, 8), started_by=ADMIN)
        works.open_approvals[waits.id] = (
            Approval(id="g4", build=waits.id, pipeline=app.id, name="Go", can_reject=True),
        )
        if place in {"one link", "default of several", "several", "thread"}:
            await linked(is_default=place == "default of several")
        if place in {"default of several", "several", "thread"}:
            await linked(web)
        if place == "thread":
            await post_card(store, failed, ts="1.1")
            return {"thread": "1.1", "user": ADMIN}
        return {"user": ADMIN}

    return done


def outcome(works: FakeProvider, handled: Any) -> str:
    """Return what was done as `verb build`, else how the person was answered."""
    if works.acts:
        verb, what, _details = works.acts[0]
        return f"{verb} {what}"
    if handled.outcome is Outcome.ASKED and buttons(handled):
        return "menu"
    return str(handled.outcome)


ACTING = [
    (verb, named, place, meant)
    for (verb, named), by_place in MEANT.items()
    for place, meant in zip(PLACES, by_place, strict=True)
    if meant not in {ASKED, MISSING, REFUSED}
]


def typed_as(verb: str, named: str) -> str:
    """Return a command that asks for no confirmation."""
    return f"{verb} {named}{' --yes' if verb in {'cancel', 'erase'} else ''}"


@pytest.mark.parametrize(("verb", "named", "place", "meant"), ACTING)
async def test_what_an_act_means(
    arrange: Arrange, say: Say, works: FakeProvider, verb: str, named: str, place: str, meant: str
) -> None:
    fields = await arrange(place)
    handled = await say(typed_as(verb, named), **fields)
    assert outcome(works, handled) == meant, first(handled)


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_not_clear_is_asked_or_refused_and_acts_on_nothing(
    arrange: Arrange, say: Say, works: FakeProvider, place: str
) -> None:
    fields = await arrange(place)
    for (verb, named), by_place in MEANT.items():
        meant = by_place[PLACES.index(place)]
        if meant in {ASKED, MISSING, REFUSED}:
            handled = await say(typed_as(verb, named), **fields)
            assert outcome(works, handled) == meant, (verb, named, first(handled))


def test_every_act_on_builds_is_in_the_table() -> None:
    acts = {command.verb for command in REGISTRY.commands if command.group == "Act"} - NOT_ON_BUILDS
    assert MEANT.keys() == {(verb, named) for verb in acts for named in NAMED}


@pytest.mark.parametrize(
    "words",
    [
        "watch",
        "follow",
        "claim",
        "mute",
        "unlink",
        "subscribe --preview",
        "unsubscribe",
        "retry --all",
        "run A=1",
        "hold",
        "release",
    ],
)
async def test_no_act_takes_this_for_the_default_pipeline(arrange: Arrange, say: Say, words: str) -> None:
    verb, _, rest = words.partition(" ")
    handled = await say(f"{verb} this {rest}", **await arrange("default of several"))
    assert handled.outcome is Outcome.ASKED
    assert "there is no card here" in first(handled)
    assert len(buttons(handled)) == 2 if verb != "retry" else 1
    assert all(typed.startswith(f"{verb} works:p-") and typed.endswith(rest) for typed in buttons(handled).values())


async def test_reading_takes_this_for_the_default_pipeline_and_says_so(arrange: Arrange, say: Say) -> None:
    assert "Using this channel's default pipeline" in said(
        await say("show this", **await arrange("default of several"))
    )


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [
        (
            "run web@main A=1 B='x y' --clean --message 'a b'",
            "run works:p-web-a@main --clean --message='a b' A=1 'B=x y'",
        ),
        ("run web --option clean=true --option clean=1", "run works:p-web-a --option=clean=true --option=clean=1"),
        ("run web -- odd-name=1 'my key=2'", "run works:p-web-a odd-name=1 -- 'my key=2'"),
        ("rebuild web#3 A=it's", "rebuild works:p-web-a#3 'A=it'\"'\"'s'"),
        ("retry web --job 'Unit tests'", "retry works:p-web-a --job='Unit tests'"),
        ("approve web production --comment ok", "approve works:p-web-a production --comment=ok"),
        ("link web as site --default", "link works:p-web-a as site --default"),
        ("cancel web --yes --reason 'no more'", "cancel works:p-web-a --reason='no more'"),
    ],
)
async def test_a_choice_among_pipelines_keeps_what_was_typed_beside_the_name(
    say: Say, works: FakeProvider, linked: Linked, typed: str, chosen: str
) -> None:
    for path in ("web-a", "web-b"):
        works.build_of(works.add(path), 3)
        if not typed.startswith("link"):
            await linked(works.known[f"p-{path}"])
    await say("list pipelines --refresh")
    handled = await say(typed, user=ADMIN)
    assert works.acts == []
    assert next(iter(buttons(handled).values())) == chosen
    again = await say(chosen, user=ADMIN, source=Source.BUTTON)
    assert "Which one?" not in first(again) if again.answer.message else True
    if typed.startswith("run web@main"):
        request = works.acts[0][2]
        assert (request.parameters, request.options) == ({"A": "1", "B": "x y"}, {"clean": "true"})
    if typed.startswith("rebuild"):
        assert works.acts[0][2].parameters == {"A": "it's"}


async def test_a_start_in_the_thread_of_a_pull_request_builds_that_pull_request(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    build = works.build_of(app, 5, branch="feature", pull_request="42")
    await recorded(build)
    await post_card(store, build, ts="1.1")
    for words in ("run", "run this", "run app", "run @release/2.1"):
        await say(words, thread="1.1")
    refs = [details.ref for _verb, _pipeline, details in works.acts]
    pull_request = Ref(kind=RefKind.PULL_REQUEST, name="42")
    assert refs == [pull_request, pull_request, branch("main"), branch("release/2.1")]


async def test_a_rebuild_means_the_last_build_of_the_branch_that_the_channel_follows(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked(branch="release/2.1")
    works.build_of(app, 5, branch="release/2.1")
    works.build_of(app, 6)
    await say("rebuild")
    await say("rebuild --build last")
    assert [build for _verb, build, _details in works.acts] == ["b5", "b7"]


async def test_of_several_own_builds_the_person_is_asked_which(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await recorded(works.build_of(app, 5), works.build_of(app, 6), works.build_of(app, 7, branch="b"), started_by=ADMIN)
    handled = await say("rebuild mine A=1", user=ADMIN)
    assert works.acts == []
    assert sorted(buttons(handled).values()) == ["rebuild works:p-app#6 A=1", "rebuild works:p-app#7 A=1"]
    assert "None of the builds that you started suits `retry`" in first(await say("retry mine", user=ADMIN))
    assert "#7" in said(await say("show mine", user=ADMIN))
    await say("rebuild mine --ref b", user=ADMIN)
    assert works.acts[0][1] == "b7"


@pytest.mark.parametrize("verb", ["cancel", "rebuild", "retry", "erase", "approve", "reject", "watch"])
async def test_a_bare_number_that_two_pipelines_have_is_asked_and_one_that_one_has_is_not(
    say: Say, works: FakeProvider, linked: Linked, app: Pipeline, verb: str
) -> None:
    web = works.add("web", name="Web")
    for pipeline in (app, web):
        works.build_of(pipeline, 12, conclusion=Conclusion.FAILED)
    works.build_of(web, 13, conclusion=Conclusion.FAILED)
    await linked(is_default=True)
    await linked(web)
    handled = await say(f"{verb} #12", user=ADMIN)
    assert handled.outcome is Outcome.ASKED
    assert first(handled).startswith("2 pipelines here have a build #12. Which one?")
    assert list(buttons(handled)) == [
        f"{name} #12 · main · Change number 12 · ended 1 h ago" for name in ("App", "Web")
    ]
    assert works.acts == []
    if verb in {"cancel", "approve", "reject", "watch"}:  # the build has ended
        return
    handled = await say(f"{verb} #13{' --yes' if verb == 'erase' else ''}", user=ADMIN)
    assert handled.outcome is Outcome.OK, first(handled)


async def test_a_question_about_a_bare_number_takes_the_default_pipeline_s_else_the_one_that_has_it(
    say: Say, works: FakeProvider, linked: Linked, app: Pipeline
) -> None:
    web = works.add("web", name="Web")
    for pipeline in (app, web):
        works.build_of(pipeline, 12)
    works.build_of(web, 13)
    await linked(is_default=True)
    await linked(web)
    assert "App #12" in said(await say("show #12"))
    answer = said(await say("show #13"))
    assert "Web #13" in answer
    assert "Using the only pipeline here that has a build #13" in answer
