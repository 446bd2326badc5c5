"""Policies of approvals hold whoever decides, and whichever way."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Approval, Build, Parameter, Person, Pipeline
from bot.core.policies import Policy
from bot.store import Store
from bot.store.rows import NewIdentity
from commands.core.context import Context, Services, Source
from commands.core.executor import execute
from tests.commands.fakes import ADMIN, NOW, TEAM, USER, FakeProvider
from tests.commands.modals import Modal
from tests.commands.reading import Linked, Recorded, Say, first

BO = "U2"
STEP = "--step g"
DEPLOY = Approval(id="g", build="b5", pipeline="p-app", name="production", can_reject=True)
Open = Callable[..., Awaitable[Build]]


@pytest.fixture
async def opened(works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, say: Say) -> Open:
    """Return what lets a step of #5 wait under a policy, with Ana and Bo as approvers."""

    async def done(policy: str, *, started_by: str = "", **fields: object) -> Build:
        build = works.running(app, 5, waiting=True, **{"trigger": "api", "author": None, **fields})
        works.open_approvals["b5"] = (DEPLOY,)
        await recorded(build, started_by=started_by)
        for user in (USER, BO):
            assert (await say(f"access grant approver <@{user}>", user=ADMIN)).outcome == "ok"
        if policy:
            assert (await say(f"access policy {policy}", user=ADMIN)).outcome == "ok"
        return build

    await linked(alias="deploy")
    return done


async def test_who_started_a_build_does_not_approve_it_and_may_reject_it(
    say: Say, works: FakeProvider, opened: Open
) -> None:
    await opened("app@main no-self", started_by=USER)
    refused = await say("approve app#5")
    assert refused.outcome == "refused"
    assert "wants somebody else to approve it" in first(refused)
    assert works.acts == []
    assert (await say("approve app#5", user=BO)).outcome == "ok"
    assert [act[:2] for act in works.acts] == [("approve", "g")]


async def test_an_admin_keeps_the_policy_too_and_the_requester_may_reject(
    say: Say, works: FakeProvider, opened: Open
) -> None:
    await opened("* no-self", started_by=ADMIN)
    assert (await say("approve app#5", user=ADMIN)).outcome == "refused"
    assert (await say("reject app#5", user=ADMIN)).outcome == "ok"
    assert [act[:2] for act in works.acts] == [("reject", "g")]


@pytest.mark.parametrize("fields", [{"triggered_by": "ana-at-ci"}, {"author": Person(login="ana-at-ci")}])
async def test_who_started_it_in_the_ci_system_or_wrote_the_commit_is_its_requester(
    say: Say, works: FakeProvider, opened: Open, store: Store, fields: dict[str, object]
) -> None:
    await opened("app no-self", **fields)
    identity = NewIdentity(team=TEAM, kind="works", value="ana-at-ci", user=USER, manual=True, looked_at=NOW)
    await store.people.save_identity(identity)
    assert (await say("approve app#5")).outcome == "refused"
    assert (await say("approve app#5", user=BO)).outcome == "ok"


async def test_two_people_approve_before_the_ci_system_is_asked(say: Say, works: FakeProvider, opened: Open) -> None:
    await opened("deploy@main two")
    for _time in range(2):
        waits = await say("approve app#5 --comment first")
        assert "(“first”); 1 more person has to approve" in first(waits)
        assert works.acts == []
    assert "approved production of deploy #5" in first(await say("approve app#5", user=BO))
    assert [act[:2] for act in works.acts] == [("approve", "g")]


async def test_two_people_approve_the_same_values(say: Say, works: FakeProvider, opened: Open, store: Store) -> None:
    build = await opened("app two")
    works.open_approvals["b5"] = (replace(DEPLOY, fields=(Parameter(name="ENV", required=True),)),)
    await say("approve app#5 ENV=live-secret")
    other = await say("approve app#5 ENV=qa", user=BO)
    assert other.outcome == "refused"
    assert "with other values" in first(other)
    assert works.acts == []
    votes = await store.approvals.votes(TEAM, build.key, 1)
    assert "live-secret" not in repr(votes)
    await say("approve app#5 ENV=live-secret", user=BO)
    assert works.acts[0][2]["fields"] == {"ENV": "live-secret"}


async def test_one_person_rejects_what_two_have_to_approve(say: Say, works: FakeProvider, opened: Open) -> None:
    await opened("app two")
    await say("approve app#5")
    await say("reject app#5", user=BO)
    assert [act[:2] for act in works.acts] == [("reject", "g")]


async def test_an_approval_that_the_ci_system_refused_counts_for_nobody(
    say: Say, works: FakeProvider, opened: Open, store: Store
) -> None:
    build = await opened("app two")
    await say("approve app#5")
    works.troubles["decide"] = Unavailable("The Works are down.", provider="The Works")
    assert (await say("approve app#5", user=BO)).outcome == "failed"
    assert [vote.user for vote in await store.approvals.votes(TEAM, build.key, 1)] == [USER]
    del works.troubles["decide"]
    assert (await say("approve app#5", user=BO)).outcome == "ok"
    assert works.acts


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_comment_is_needed_and_the_form_asks_for_it(
    say: Say, works: FakeProvider, opened: Open, verb: str
) -> None:
    await opened("app comment")
    refused = await say(f"{verb} app#5 --comment ' '")
    assert "need a comment here" in first(refused)
    form = (await say(f"{verb} app#5", trigger="t1", source=Source.BUTTON)).answer.form
    assert form is not None
    assert form.arguments["decision"] == verb
    assert works.acts == []
    await say(f"{verb} app#5 --comment 'QA signed'")
    assert works.acts[0][2]["comment"] == f"QA signed (Slack user {USER})"


async def test_the_form_marks_the_comment_that_is_missing(modal: Modal, opened: Open, works: FakeProvider) -> None:
    await opened("app comment")
    await modal.open("approve app#5 --form")
    assert not modal.block("comment").get("optional")
    assert "Needs: with a comment" in modal.text
    assert await modal.submit({"comment": " "}) == {"comment": "A comment is needed here."}
    assert works.acts == []
    assert await modal.submit({"comment": "QA signed"}) == {}
    assert works.acts[0][:2] == ("approve", "g")


async def test_a_policy_of_another_ref_or_pipeline_asks_nothing(say: Say, works: FakeProvider, opened: Open) -> None:
    await opened("app@release/* two no-self", started_by=USER)
    await say("access policy other two", user=ADMIN)
    assert (await say("approve app#5")).outcome == "ok"
    assert works.acts


@pytest.mark.parametrize("fields", [{"branch": None}, {"branch": "refs/heads/main"}, {"branch": "MAIN"}])
async def test_a_policy_holds_for_every_spelling_and_for_refs_that_are_unknown(
    say: Say, works: FakeProvider, opened: Open, fields: dict[str, object]
) -> None:
    await opened("app@main two", **fields)
    await say("approve app#5")
    assert works.acts == []


async def test_the_operators_policies_and_the_workspaces_hold_together(
    services: Services, context_of: Callable[..., Context], works: FakeProvider, opened: Open
) -> None:
    await opened("app two", started_by=USER)
    strict = replace(services, access=replace(services.access, policies=(Policy(pipelines="app", no_self=True),)))
    refused = await execute("approve app#5", replace(context_of(), services=strict))
    assert refused.outcome == "refused"
    await execute("approve app#5", replace(context_of(user=BO), services=strict))
    assert works.acts == []


async def test_only_who_is_an_admin_everywhere_sets_a_policy_and_everybody_reads_it(say: Say, opened: Open) -> None:
    await opened("")
    await say(f"access grant admin <@{USER}>", user=ADMIN)
    assert (await say("access policy app two")).outcome == "refused"
    assert (await say("access policy app@main TWO no-self comment", user=ADMIN)).outcome == "ok"
    assert "Approvals of `app@main`: two people, not whoever started it, with a comment" in first(await say("access"))
    assert "There is no rule `five`" in first(await say("access policy app five", user=ADMIN))
    assert "at least one rule" in first(await say("access policy app", user=ADMIN))
    assert (await say("access policy app@main off", user=ADMIN)).outcome == "ok"
    assert "There is no policy" in first(await say("access policy app@main off", user=ADMIN))
    assert "Approvals of" not in first(await say("access policy"))
