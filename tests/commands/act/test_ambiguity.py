"""An act that is not unambiguous asks; it never picks the newest, and never an old failure behind a newer pass."""

from datetime import timedelta

import pytest

from bot.core.models import Approval, Artifact, Build, Conclusion, Job, Pipeline
from bot.store import Store
from commands.core.executor import Outcome
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said


def wait(works: FakeProvider, pipeline: Pipeline, number: int, *steps: str) -> Build:
    build = works.running(pipeline, number, waiting=True, started_at=NOW - timedelta(minutes=5))
    works.open_approvals[build.id] = tuple(
        Approval(id=f"{build.id}-{step}", build=build.id, pipeline=pipeline.id, name=step, can_reject=True)
        for step in steps or ("Production",)
    )
    return build


async def test_several_waiting_builds_are_offered_with_branch_commit_and_age(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, store: Store
) -> None:
    await linked()
    wait(works, app, 8)
    await store.recording.record([wait(works, app, 9)], now=NOW - timedelta(minutes=3))
    handled = await say("approve app", user=ADMIN)
    assert works.acts == []
    assert handled.outcome is Outcome.ASKED
    assert buttons(handled) == {
        "App #9 · Production · main · Change number 9 · waiting 3 m": "approve works:p-app#9 --step b9-Production",
        "App #8 · Production · main · Change number 8 · waiting for approval": "approve works:p-app#8 --step b8-Production",
    }


async def test_without_a_pipeline_the_waiting_steps_of_all_the_channels_pipelines_count(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    web = works.add("web")
    await linked(is_default=True)
    await linked(web)
    works.build_of(app, 1)
    waiting = works.put(works.running(web, 5, waiting=True))
    works.open_approvals[waiting.id] = (Approval(id="g5", build=waiting.id, pipeline=web.id, name="QA"),)
    assert (await say("approve", user=ADMIN)).outcome is Outcome.OK
    assert works.acts[0][:2] == ("approve", "g5")


async def test_a_step_named_alone_is_found_and_nothing_waiting_is_said(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    wait(works, app, 8, "QA", "Production")
    await say("reject app production", user=ADMIN)
    assert works.acts[0][:2] == ("reject", "b8-Production")
    await say("reject app qa", user=ADMIN)
    assert "Nothing waits for approval in App now" in first(await say("approve", user=ADMIN))


async def test_a_retry_never_reaches_behind_a_newer_pass(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 9, conclusion=Conclusion.FAILED)
    works.build_of(app, 14, conclusion=Conclusion.FAILED)
    works.build_of(app, 15)
    handled = await say("retry app")
    assert works.acts == []
    assert "App #15 passed; #14 failed before it." in first(handled)
    assert buttons(handled) == {"Retry #14": "retry works:p-app#14", "Rebuild #15": "rebuild works:p-app#15"}


async def test_a_retry_takes_the_newest_build_of_the_branch_if_it_failed(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 14, conclusion=Conclusion.FAILED)
    works.build_of(app, 15, branch="other")
    await say("retry")
    assert works.acts == [("retry", "b14", "failed")]
    handled = await say("retry")
    assert "App #14 is queued" in first(handled)
    assert len(works.acts) == 1


async def test_a_cancel_stops_ones_own_only_build_else_asks(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    works.running(app, 1)
    works.running(app, 2)
    handled = await say("cancel")
    assert works.acts == []
    assert set(buttons(handled).values()) == {"cancel works:p-app#1", "cancel works:p-app#2"}
    await recorded(works.running(app, 3), started_by=USER)
    assert (await say("cancel")).outcome is Outcome.OK
    assert works.acts == [("cancel", "b3", None)]


async def test_a_build_is_named_by_its_pipelines_name_where_it_is_linked_elsewhere(
    say: Say, works: FakeProvider, linked: Linked, recorded: Recorded
) -> None:
    web = works.add("demo", name="Deploy")
    await linked(web, channel="C9")
    await recorded(works.running(web, 7), works.running(web, 8), started_by=USER)
    assert {label.split(" · ")[0] for label in buttons(await say("cancel"))} == {"Deploy #7", "Deploy #8"}


@pytest.mark.parametrize(("typed", "meant"), [("statsu", "status"), ("rnu", "run"), ("lgos", "logs")])
async def test_a_typing_mistake_is_answered_with_a_harmless_guess(say: Say, typed: str, meant: str | None) -> None:
    text = first(await say(f"{typed} web"))
    assert f"Did you mean `{meant}`?" in text


@pytest.mark.parametrize("typed", ["cancle", "aprove", "unlnik", "unsubscrib", "rejct"])
@pytest.mark.parametrize("rest", ["", " web"])
async def test_a_mistyped_dangerous_verb_is_neither_suggested_nor_taken_for_another(
    say: Say, typed: str, rest: str
) -> None:
    handled = await say(f"{typed}{rest}")
    assert handled.outcome is Outcome.REFUSED
    assert "Did you mean" not in said(handled)
    assert f"I don't know the command `{typed}`." in said(handled)
    assert buttons(handled) == {}


async def test_a_word_that_names_nothing_is_not_called_a_pipeline(say: Say) -> None:
    assert "If it is a pipeline: `/build status gizmo`." in said(await say("gizmo you test"))


async def test_a_pipelines_name_alone_offers_to_run_it(say: Say, works: FakeProvider) -> None:
    handled = await say("deploy")
    assert handled.outcome is Outcome.ASKED
    assert buttons(handled) == {"Run deploy": "run deploy --form"}
    assert "approve" not in said(handled)


async def test_files_of_one_name_are_distinguished_by_their_job(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    build = works.build_of(app, 3)
    works.known_jobs[build.id] = tuple(
        Job(id=f"0b0c-{n}", build=build.id, pipeline=app.id, name=name) for n, name in ((1, "iOS 17"), (2, "iOS 18"))
    )
    works.files[build.id] = tuple(
        Artifact(id=f"a{n}", build=build.id, pipeline=app.id, name="log.txt", job=f"0b0c-{n}") for n in (1, 2)
    )
    works.contents = {"a1": b"one", "a2": b"two"}
    assert "0b0c" not in said(await say("artifacts"))
    handled = await say("artifacts --upload")
    assert "Which of 2 files?" in first(handled)
    chosen = buttons(handled)["log.txt · iOS 18"]
    uploaded = await say(chosen)
    assert uploaded.answer.file is not None
    assert uploaded.answer.file.content == b"two"
    assert (await say("artifacts app log.txt --job 17 --upload")).answer.file is not None


async def test_an_unlinking_asks_names_who_linked_and_can_be_undone(say: Say, linked: Linked, store: Store) -> None:
    row = await linked(created_by=ADMIN, filters="--on failures", alias="site")
    handled = await say("unlink site")
    assert f"<@{ADMIN}> linked it" in first(handled)
    assert handled.answer.is_question
    done = await say(buttons(handled)["Unlink"])
    assert done.answer.public
    assert await store.links.of_channel(TEAM, CHANNEL) == []
    await say(buttons(done)["Undo"])
    links = await store.links.of_channel(TEAM, CHANNEL)
    assert [(link.alias, link.filters, link.created_by) for link in links] == [("site", row.filters, ADMIN)]


async def test_in_a_private_channel_without_the_bot_nothing_is_linked(
    say: Say, sender: RecordingSender, works: FakeProvider
) -> None:
    sender.refusals["conversations.info"] = "channel_not_found"
    handled = await say("link app")
    assert "`/invite @Buildbell`" in first(handled)
    assert buttons(handled) == {"Try again": "link app"}
