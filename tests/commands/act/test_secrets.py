"""Values that a CI system calls secret stay out of what is written down and shown, whatever their names are."""

from dataclasses import replace

import pytest

from bot.blocks.build import build_card
from bot.core.models import Conclusion, Parameter, ParameterType, Person, Pipeline
from bot.store import Store
from commands.core.executor import Outcome
from tests.commands.fakes import NOW, TEAM, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, first, said

HUSH = "plain-words"


@pytest.fixture(autouse=True)
def _signing(works: FakeProvider, app: Pipeline) -> None:
    works.known_parameters[app.id] = (
        Parameter(name="SIGNING", type=ParameterType.SECRET),
        Parameter(name="DEPLOY", type=ParameterType.TEXT),
    )


async def words(store: Store) -> list[str]:
    return [row.words for row in await store.audit.since(TEAM, since=NOW)]


async def test_the_audit_holds_values_but_for_those_that_the_ci_system_calls_secret(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, linked: Linked
) -> None:
    await linked(alias="ios")
    works.build_of(app, 3)
    await say(f"run ios@main SIGNING={HUSH} DEPLOY='all of it' --clean --message 'Try again'")
    await say(f"rebuild ios#3 SIGNING={HUSH} DEPLOY=x")
    assert [works.acts[0][2].parameters["SIGNING"], works.acts[1][2].parameters["SIGNING"]] == [HUSH, HUSH]
    assert sorted(await words(store)) == [
        "rebuild ios#3 SIGNING=… DEPLOY=x",
        "run ios@main SIGNING=… 'DEPLOY=all of it' --option clean=true --message 'Try again'",
    ]


async def test_by_name_alone_where_the_types_cannot_be_read(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    works.known_parameters[app.id] = ()
    await say("run app@main DB_PASSWORD=a-b-c-d DEPLOY=x")
    (written,) = await words(store)
    assert "a-b-c-d" not in written
    assert "DEPLOY=x" in written


async def test_a_dry_run_shows_no_secret(say: Say) -> None:
    shown = said(await say(f"run app@main SIGNING={HUSH} DEPLOY=x --dry-run"))
    assert HUSH not in shown
    assert "DEPLOY" in shown


@pytest.mark.parametrize("command", [f"run app SIGNING={HUSH}", f"rebuild app SIGNING={HUSH}"])
async def test_no_schedule_holds_a_secret(say: Say, store: Store, command: str) -> None:
    handled = await say(f'schedule "daily 9:00" {command}')
    assert handled.outcome is Outcome.REFUSED
    assert "`SIGNING` holds a secret" in first(handled)
    assert await store.schedules.of_channel(TEAM, "C1") == []


async def test_secrets_in_the_names_of_a_build_are_masked_wherever_it_is_shown(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 3
    url = "https://ci:hunter2x@git.example/a"
    await linked()
    build = works.build_of(
        app,
        4,
        branch=f"fix/{token}",
        label=token,
        message=f"Clone {url} instead",
        author=Person(name=f"Mika {token}"),
        triggered_by=f"{token}",
        conclusion=Conclusion.FAILED,
    )
    await recorded(build)
    card = build_card(build, label=f"App {token}", now=NOW, connection_label="The Works", actions=frozenset())
    answers = [str(card.payload()["blocks"]), str(card.payload()["attachments"]), card.text]
    for typed in ("show app#4", "status", "last", "retry", f"run app@fix/{token} --dry-run"):
        message = (await say(typed)).answer.message
        answers += [str(block.get("text")) for block in message.blocks] + [message.text] if message else []
    for answer in answers:
        assert token not in answer, answer
        assert "hunter2x" not in answer
    assert replace(build, branch="main").branch == "main"
