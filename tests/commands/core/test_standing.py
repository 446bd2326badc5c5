"""What a person is in the workspace decides what they may do: guests and their grants, whom Slack does not report."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from bot.core.models import Approval, Pipeline
from bot.store import Store
from bot.store.rows import NewGrant
from commands.core.context import Context
from commands.core.executor import Outcome
from commands.slack.app import SlackApp
from commands.slack.home import home
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import HEADERS
from tests.commands.reading import Linked, Recorded, Say, first
from tests.set_clock import SetClock

GUEST = "UGUEST"


async def give(store: Store, role: str, subject: str, **fields: str) -> None:
    given: dict[str, Any] = {"channel": CHANNEL, "pipelines": "*", "refs": "*", **fields}
    await store.grants.add(NewGrant(team=TEAM, role=role, subject=subject, granted_by=ADMIN, granted_at=NOW, **given))


@pytest.mark.parametrize("kind", [{"is_restricted": True}, {"is_ultra_restricted": True}, {"team_id": "TELSEWHERE"}])
@pytest.mark.parametrize("subject", [f"user:{GUEST}", "group:S1", f"channel:{CHANNEL}"])
async def test_any_grant_is_one_for_guests_and_people_of_other_workspaces(
    say: Say, store: Store, sender: RecordingSender, works: FakeProvider, subject: str, kind: dict[str, Any]
) -> None:
    sender.person(GUEST, "Gus", **kind)
    sender.person("UOTHER", "Gil", **kind)
    sender.outside.add("UOTHER")
    sender.groups["S1"] = [GUEST]
    assert (await say("run app", user=GUEST)).outcome is Outcome.REFUSED
    await give(store, "runner", subject)
    assert (await say("run app", user=GUEST)).outcome is Outcome.OK
    assert (await say("run app", user="UOTHER")).outcome is Outcome.REFUSED
    assert (await say("run app", user=GUEST, channel="C2")).outcome is Outcome.REFUSED
    assert len(works.acts) == 1


async def test_who_is_unknown_reads_and_acts_on_grants_but_is_no_member(
    say: Say, store: Store, sender: RecordingSender, works: FakeProvider, app: Pipeline
) -> None:
    works.build_of(app, 2)
    sender.refusals["users.info"] = "internal_error"
    handled = await say("run app")
    assert handled.outcome is Outcome.REFUSED
    assert "Slack did not tell me whether you are one (internal error). Nothing was done." in first(handled)
    assert "Try again in a minute." in first(handled)
    assert (await say("run app --form", trigger="1.2")).outcome is Outcome.REFUSED
    assert (await say("show app#2")).outcome is Outcome.OK
    assert (await say("mute 1h")).outcome is Outcome.REFUSED
    assert (await say("run app", channel="D1")).outcome is Outcome.REFUSED
    assert works.acts == []
    await give(store, "runner", f"user:{USER}")
    assert (await say("run app")).outcome is Outcome.OK
    del sender.refusals["users.info"]
    assert (await say("run app", user="U2")).outcome is Outcome.OK


async def test_what_slack_reported_counts_for_an_hour_while_it_reports_nothing(
    say: Say, sender: RecordingSender, works: FakeProvider, set_clock: SetClock
) -> None:
    sender.person(GUEST, "Gus", is_restricted=True)
    assert (await say("run app")).outcome is Outcome.OK
    assert (await say("run app", user=GUEST)).outcome is Outcome.REFUSED
    sender.refusals["users.info"] = "ratelimited"
    set_clock.go(minutes=59)
    assert (await say("run app")).outcome is Outcome.OK
    assert "You are a guest" in first(await say("run app", user=GUEST))
    set_clock.go(minutes=1)
    assert "Try again in a minute." in first(await say("run app"))
    assert len(works.acts) == 2


async def test_an_admin_of_slacks_is_one_only_while_slack_says_so(say: Say, sender: RecordingSender) -> None:
    assert (await say("audit", user=ADMIN)).outcome is Outcome.OK
    sender.refusals["users.info"] = "internal_error"
    assert (await say("audit", user=ADMIN)).outcome is Outcome.REFUSED


async def test_a_refusal_names_slacks_admins_though_the_bot_has_met_none_and_its_button_asks_them(
    say: Say, sender: RecordingSender, works: FakeProvider
) -> None:
    works.add("team one/ci", id="p1")
    sender.person("UBOTADMIN", "Robot", is_admin=True, is_bot=True)
    sender.person(GUEST, "Gus", is_restricted=True)
    handled = await say("run 'works:team one/ci'", user=GUEST)
    assert f"Ask <@{ADMIN}>: they can run" in first(handled)
    assert handled.error is not None
    ((label, words),) = handled.error.choices
    assert label == "Ask for it"
    assert f"I have asked <@{ADMIN}>." in first(await say(words, user=GUEST))
    grant = next(call for call in sender.said if call.arguments.get("channel") == ADMIN and call.message is not None)
    assert grant.message is not None
    typed = grant.message.blocks[1]["elements"][0]["value"]
    assert (await say(typed, user=ADMIN, channel="DADMIN")).outcome is Outcome.OK
    assert (await say("run 'works:team one/ci'", user=GUEST)).outcome is Outcome.OK
    assert (await say("run app", user=GUEST)).outcome is Outcome.REFUSED
    assert len(sender.of("users.list")) == 1


async def test_people_who_were_made_admins_here_are_asked_too(say: Say, store: Store, sender: RecordingSender) -> None:
    sender.person(GUEST, "Gus", is_restricted=True)
    await give(store, "admin", "user:U2")
    await give(store, "admin", "user:U7", channel="C9")
    await give(store, "admin", "user:U8", pipelines="web")
    assert f"Ask <@U2> or <@{ADMIN}>:" in first(await say("run app", user=GUEST))


@pytest.fixture
async def waiting(works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded) -> None:
    """Let a step of #5 wait, whose pipeline two channels follow."""
    await linked(channel="C9")
    await linked()
    build = works.running(app, 5, waiting=True)
    await recorded(build)
    works.open_approvals[build.id] = (
        Approval(id="g-1f", build=build.id, pipeline=app.id, name="Ship it", can_reject=True),
    )


@pytest.mark.usefixtures("waiting")
async def test_home_offers_and_does_what_the_person_may_do_in_a_channel_of_the_pipeline(
    slack_app: SlackApp, context_of: Callable[..., Context], store: Store, works: FakeProvider, sender: RecordingSender
) -> None:
    for user in (USER, "U2"):
        assert "Waiting for approval" not in str((await home(context_of(user=user, channel=""))).payload())
    await give(store, "approver", f"user:{USER}")
    view = (await home(context_of(channel=""))).payload()
    (row,) = [
        block for block in view["blocks"] if str(block.get("block_id")).startswith("in:") and "approve" in str(block)
    ]
    assert re.fullmatch(rf"in:{CHANNEL}:.+", row["block_id"])
    body = {
        "type": "block_actions",
        "user": {"id": USER},
        "team": {"id": TEAM},
        "container": {"type": "view", "view_id": "VHOME"},
        "view": {"id": "VHOME", "type": "home"},
        "trigger_id": "1.2.x",
        "actions": [row["elements"][0] | {"block_id": row["block_id"], "action_ts": "1.3"}],
    }
    await slack_app.dispatch({**body, "user": {"id": "U2"}}, HEADERS)
    await slack_app.settle()
    assert works.acts == []
    assert "needs the approver role here" in str(sender.view)
    await slack_app.dispatch(body, HEADERS)
    await slack_app.settle()
    assert works.acts[0][:2] == ("approve", "g-1f")
    assert CHANNEL in sender.view["private_metadata"]
    rows = {row.user: row for row in await store.audit.since(TEAM, since=NOW)}
    assert (rows[USER].channel, rows[USER].outcome, rows["U2"].outcome) == (CHANNEL, "ok", "refused")


@pytest.mark.usefixtures("waiting")
async def test_a_list_of_approvals_in_a_direct_message_acts_where_the_person_has_the_right(
    say: Say, store: Store
) -> None:
    await give(store, "approver", f"user:{USER}", channel="C9")
    handled = await say("approvals", channel="D1")
    assert handled.answer.message is not None
    rows = [block["block_id"] for block in handled.answer.message.blocks if "block_id" in block]
    assert rows == ["in:C9:b5:g-1f"]
    here = await say("approvals")
    assert here.answer.message is not None
    assert not [block for block in here.answer.message.blocks if "block_id" in block]


@pytest.mark.usefixtures("waiting")
async def test_the_audit_names_the_step_that_was_decided_or_not(say: Say, store: Store) -> None:
    await say("approve works:p-app#5 --step g-1f")
    await say("approve works:p-app#5 --step g-1f --comment 'QA is done'", user=ADMIN)
    words = [row.words for row in await store.audit.since(TEAM, since=NOW)]
    assert sorted(words) == [
        "approve works:app#5 --step 'Ship it'",
        "approve works:app#5 --step 'Ship it' --comment 'QA is done'",
    ]
