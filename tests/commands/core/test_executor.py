"""Every request is answered, written down where it acts, and suggests the next thing where it does not."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Pipeline
from bot.store import Store
from bot.store.rows import AuditRow
from commands.core.context import Context, Services, Source
from commands.core.executor import execute
from commands.registry import REGISTRY
from tests.commands.fakes import ADMIN, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Say, first, said


async def audits(store: Store) -> list[AuditRow]:
    return await store.audit.since(TEAM, since=NOW)


async def test_an_unknown_verb_is_answered_with_the_nearest(say: Say) -> None:
    handled = await say("rnu web")
    assert handled.outcome == "refused"
    assert "I don't know `rnu`. Did you mean `run`?" in first(handled)
    assert "`/build help` lists everything." in first(handled)


async def test_a_bare_name_is_answered_with_how_to_show_it(say: Say) -> None:
    assert "`/build status nightly-ios`" in first(await say("nightly-ios"))


@pytest.mark.parametrize(
    ("text", "verb", "rest"),
    [
        ("", "status", ""),
        ("RUN web", "run", "web"),
        ("run\nweb", "run", "web"),
        ("start  web", "run", "web"),
        ("sho #4", "show", "#4"),
        ("art", "artifacts", ""),
        ("all", "status", "all"),
        ("#412", "status", "#412"),
        ("web@main", "status", "web@main"),
        ("https://ci.example/1", "status", "https://ci.example/1"),
        ("a1b2c3d", "status", "a1b2c3d"),
    ],
)
def test_words_find_their_verb(text: str, verb: str, rest: str) -> None:
    command, words = REGISTRY.split(text)
    assert (command.verb, words) == (verb, rest)


@pytest.mark.parametrize("begins", ["canc", "unmu", "rebui", "acc", "clai", "s", "zz"])
def test_only_reading_verbs_may_be_shortened(begins: str) -> None:
    assert REGISTRY.find(begins) is None


def test_verbs_and_aliases_are_distinct_and_examples_parse() -> None:
    names = [name for command in REGISTRY.commands for name in (command.verb, *command.aliases)]
    assert len(names) == len(set(names))
    for command in REGISTRY.commands:
        for example in command.examples:
            sent = (
                example.replace("@ana", "<@U1>")
                .replace("#random", "<#C1>")
                .replace("<a build's URL>", "https://x.example")
            )
            known, words = REGISTRY.split(sent)
            assert known is command
            known.parse(words)


async def test_acts_and_refusals_are_audited_and_reading_is_not(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 1)
    for looks in ("status", "show", "last", "help", "access", "me", "schedule list", "list links"):
        assert (await say(looks)).outcome == "ok", looks
    assert await audits(store) == []
    await say("run app A=1")
    await say("mute 1h")
    await say("erase app#1")
    rows = list(reversed(await audits(store)))
    assert [(row.verb, row.outcome) for row in rows] == [("run", "ok"), ("mute", "ok"), ("erase", "refused")]
    assert (rows[0].user, rows[0].words, rows[0].pipeline, rows[0].build) == (USER, "run app A=1", "p-app", "b2")
    assert rows[0].source == "slash"


async def test_a_secret_among_the_words_is_not_written_down(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    await say("run app DB_PASSWORD=hush-hush REGION=eu MIRROR=https://u:hush-hush@m.example/x")
    (row,) = await audits(store)
    assert "hush" not in row.words
    assert row.words.startswith("run app DB_PASSWORD=[masked: secret] REGION=eu ")


async def test_a_question_is_not_written_down_as_an_act(
    say: Say, store: Store, works: FakeProvider, app: Pipeline
) -> None:
    works.running(app, 3)
    await say("cancel app#3")
    assert [row.outcome for row in await audits(store)] == ["asked"]


async def test_grants_are_written_down(say: Say, store: Store) -> None:
    await say("access grant runner <@U2|bo>", user=ADMIN)
    assert [(row.verb, row.outcome) for row in await audits(store)] == [("access", "ok")]


async def test_what_a_ci_system_refused_is_reported_and_written_down(
    say: Say, store: Store, works: FakeProvider
) -> None:
    works.troubles["start"] = Unavailable("The Works did not answer.", provider="The Works", acted=True)
    handled = await say("run app")
    assert handled.outcome == "failed"
    assert "It may have taken effect all the same" in first(handled)
    assert [row.outcome for row in await audits(store)] == ["failed"]


async def test_a_broken_act_gives_a_reference_and_does_not_claim_that_nothing_happened(
    say: Say, store: Store, works: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_args: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(works, "start", breaks)
    with caplog.at_level(logging.ERROR):
        handled = await say("run app")
    assert handled.outcome == "broke"
    reference = next(vars(record)["reference"] for record in caplog.records if "reference" in vars(record))
    assert reference in first(handled)
    assert "look before you repeat it" in first(handled)
    assert [(row.outcome, row.detail) for row in await audits(store)] == [("broke", f"reference {reference}")]


async def test_a_broken_reading_command_changed_nothing_and_says_so(
    say: Say, store: Store, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_args: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(works, "build_or_none", breaks)
    monkeypatch.setattr(works, "pipeline", breaks)
    handled = await say("show works:other")
    assert handled.outcome == "broke"
    assert "Nothing was changed" in first(handled)
    assert await audits(store) == []


async def test_an_answer_comes_even_where_it_cannot_be_written_down(
    say: Say, store: Store, works: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(_row: AuditRow) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(store.audit, "add", full)
    handled = await say("run app --no-watch")
    assert handled.outcome == "ok"
    assert works.acts[0][0] == "start"
    assert "an audit row was not written" in caplog.text


async def test_buttons_and_schedules_are_read_as_written(say: Say, works: FakeProvider) -> None:
    await say("run app A=&amp;lt;")
    await say("run app A=&lt;x", source=Source.BUTTON)
    await say("run app A=&lt;y", source=Source.SCHEDULE)
    assert [act[2].parameters["A"] for act in works.acts] == ["&lt;", "&lt;x", "&lt;y"]


async def test_hints_name_the_slash_command_in_use(services: Services, context_of: Callable[..., Context]) -> None:
    handled = await execute("run app#4", context_of(services=replace(services, command="/ci")))
    assert "`/ci rebuild #412`" in first(handled)
    assert "/build" not in said(handled)
