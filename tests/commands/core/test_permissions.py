"""A role counts for whom, where and on what it was given; protected refs ask for a grant that names them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.core.models import Approval, Pipeline, StartRequest, StartTarget
from bot.store import Store
from bot.store.rows import NewGrant
from commands.core.context import Access, Context, Role, Services, Source
from commands.core.executor import Handled, execute
from commands.core.permissions import role_of
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Say, first, said

ContextOf = Callable[..., Context]


async def give(store: Store, role: str, subject: str = f"user:{USER}", **fields: str) -> None:
    given: dict[str, Any] = {"channel": CHANNEL, "pipelines": "*", "refs": "*", **fields}
    await store.grants.add(NewGrant(team=TEAM, role=role, subject=subject, granted_by=ADMIN, granted_at=NOW, **given))


@pytest.fixture
def narrow(services: Services) -> Services:
    """Return the services of a workspace whose members may only look."""
    return replace(services, access=Access(members=Role.VIEW))


async def act(context_of: ContextOf, services: Services, text: str, **fields: Any) -> Handled:
    return await execute(text, context_of(**{"services": services, **fields}))


async def test_members_may_run_by_default(say: Say, works: FakeProvider) -> None:
    assert (await say("run app")).outcome == "ok"
    assert works.acts[0][0] == "start"


async def test_members_may_be_narrowed_to_looking(
    context_of: ContextOf, narrow: Services, works: FakeProvider, app: Pipeline
) -> None:
    works.running(app, 3)
    assert "#3" in said(await act(context_of, narrow, "show app#3"))
    for words in (
        "run app",
        "cancel app#3 --yes",
        "retry app#3",
        "rebuild app#3",
        "link app",
        "subscribe app all",
        "digest off",
    ):
        handled = await act(context_of, narrow, words)
        assert handled.outcome in {"refused", "failed"}, words
    assert works.acts == []
    assert "needs the runner role here" in first(await act(context_of, narrow, "run app"))
    assert "`/build access grant runner @Ana`" in first(await act(context_of, narrow, "run app"))


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ("approve app#3", "approver"),
        ("reject app#3", "approver"),
        ("erase app#3", "approver"),
        ("workflow disable app", "admin"),
        ("access grant admin <@U2>", "admin"),
        ("audit", "admin"),
        ("link app --protected main", "admin"),
        ("mute --for 9h", "admin"),
    ],
)
async def test_dangerous_verbs_ask_for_a_grant(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, words: str, role: str
) -> None:
    build = works.running(app, 3, waiting=True)
    works.open_approvals[build.id] = (Approval(id="g1", build=build.id, pipeline=app.id, name="Go", can_reject=True),)
    handled = await say(words)
    assert handled.outcome == "refused"
    assert f"needs the {role} role here" in first(handled)
    assert works.acts == []
    assert [(row.outcome, row.user) for row in await store.audit.since(TEAM, since=NOW)] == [("refused", USER)]


@pytest.mark.parametrize(
    "subject", [f"user:{USER}", "group:S1", "channel:C9"], ids=["a person", "a user group", "a channel's members"]
)
async def test_a_role_is_given_to_a_person_a_group_or_the_members_of_a_channel(
    context_of: ContextOf, narrow: Services, store: Store, sender: RecordingSender, works: FakeProvider, subject: str
) -> None:
    sender.groups["S1"] = [USER]
    sender.members["C9"] = [USER]
    await give(store, "runner", subject)
    assert (await act(context_of, narrow, "run app")).outcome == "ok"
    assert (await act(context_of, narrow, "run app", user="U2")).outcome == "refused"
    assert (await act(context_of, narrow, "run app", channel="C2")).outcome == "refused"
    assert len(works.acts) == 1


async def test_a_role_given_everywhere_counts_in_every_channel(
    context_of: ContextOf, narrow: Services, store: Store
) -> None:
    await give(store, "runner", channel="")
    assert (await act(context_of, narrow, "run app", channel="C2")).outcome == "ok"


async def test_a_subject_of_an_unknown_kind_or_role_gives_nothing(
    context_of: ContextOf, narrow: Services, store: Store
) -> None:
    await give(store, "runner", "planet:earth")
    await give(store, "emperor")
    assert (await act(context_of, narrow, "run app")).outcome == "refused"


async def test_a_role_counts_for_the_pipelines_it_names(
    context_of: ContextOf, narrow: Services, store: Store, works: FakeProvider, linked: Linked
) -> None:
    works.add("deploy-web")
    works.add("deploy-api")
    await give(store, "runner", pipelines="deploy-w*")
    await give(store, "runner", pipelines="works:deploy-api")
    assert (await act(context_of, narrow, "run works:deploy-web")).outcome == "ok"
    assert (await act(context_of, narrow, "run works:deploy-api")).outcome == "ok"
    assert (await act(context_of, narrow, "run works:app")).outcome == "refused"
    assert (await act(context_of, narrow, "link works:deploy-web")).outcome == "refused"


async def test_an_alias_does_not_widen_a_grant(
    context_of: ContextOf, narrow: Services, store: Store, linked: Linked
) -> None:
    await give(store, "runner", pipelines="deploy*")
    await linked(alias="deploy-mine")
    assert (await act(context_of, narrow, "run deploy-mine")).outcome == "refused"


async def test_a_role_counts_for_the_refs_it_names(
    context_of: ContextOf, narrow: Services, store: Store, works: FakeProvider
) -> None:
    await give(store, "runner", refs="release/*")
    assert (await act(context_of, narrow, "run app@release/2.1")).outcome == "ok"
    assert (await act(context_of, narrow, "run app@main")).outcome == "refused"


@pytest.mark.parametrize(
    "ref",
    [
        "refs/pull/42/merge",
        "refs/pull/42/head",
        "pull/42/head",
        "refs/merge-requests/42/head",
        "PR-42",
        "MR-42-head",
        "pr:42",
    ],
)
async def test_a_pull_request_is_protected_by_whatever_name_it_is_called(
    context_of: ContextOf, services: Services, works: FakeProvider, ref: str
) -> None:
    guarded = replace(services, access=Access(protected=("pr:*",)))
    assert (await act(context_of, guarded, f"run app@{ref}")).outcome == "refused"
    for other in ("main", "PR-fix", "pull/request", "feature/pr-42x"):
        assert (await act(context_of, guarded, f"run app@{other}")).outcome == "ok"


@pytest.mark.parametrize("ref", ["refs/heads/refs/heads/main", "refs/remotes/origin/main", "MAIN", "'main '", "/main"])
async def test_a_protected_ref_is_protected_in_odd_spellings(
    context_of: ContextOf, services: Services, works: FakeProvider, ref: str
) -> None:
    guarded = replace(services, access=Access(protected=("main",)))
    assert (await act(context_of, guarded, f"run app --ref {ref}")).outcome == "refused"
    assert works.acts == []


@pytest.mark.parametrize("ref", ["main", "refs/heads/main", "heads/main", "tag:main"])
async def test_a_protected_ref_needs_a_grant_that_names_it_however_it_is_spelled(
    context_of: ContextOf, services: Services, store: Store, works: FakeProvider, ref: str
) -> None:
    guarded = replace(services, access=Access(protected=("main", "release/*")))
    await give(store, "runner")
    handled = await act(context_of, guarded, f"run app@{ref}")
    assert handled.outcome == "refused"
    assert "on the protected ref" in first(handled)
    assert (await act(context_of, guarded, "run app@other")).outcome == "ok"
    await give(store, "runner", refs="*main")
    assert (await act(context_of, guarded, f"run app@{ref}")).outcome == "ok"


async def test_builds_on_a_protected_ref_are_cancelled_and_repeated_with_a_grant_only(
    context_of: ContextOf, services: Services, store: Store, works: FakeProvider, app: Pipeline
) -> None:
    guarded = replace(services, access=Access(protected=("main", "v*")))
    works.build_of(app, 2, branch=None, tag="v1")
    works.running(app, 3)
    for words in ("cancel app#3 --yes", "rebuild app#3", "retry app#3", "rebuild app#2"):
        assert (await act(context_of, guarded, words)).outcome == "refused", words
    await give(store, "runner", refs="main")
    assert (await act(context_of, guarded, "cancel app#3 --yes")).outcome == "ok"


@pytest.mark.parametrize(
    "words",
    [
        "run app@HEAD",
        "run app@other --commit main",
        "run app@other --commit origin/main",
        "run app@other --commit refs/heads/main",
        "run app@other --commit main~0",
        "run app@other --commit 'main^{commit}'",
        "run app@other --commit 'main@{0}'",
    ],
)
async def test_a_protected_ref_stays_protected_in_gits_other_words(
    context_of: ContextOf, services: Services, works: FakeProvider, app: Pipeline, words: str
) -> None:
    guarded = replace(services, access=Access(protected=("main",)))
    handled = await act(context_of, guarded, words)
    assert handled.outcome == "refused"
    assert "on the protected ref `" in first(handled)
    assert (await act(context_of, guarded, f"run app@other --commit {'a1' * 20}")).outcome == "ok"
    assert [verb for verb, _what, _details in works.acts] == ["start"]


@pytest.mark.parametrize(
    "name",
    ["CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME", "BUILDKITE_BRANCH", "TRAVIS_BRANCH", "Build.SourceBranch", "GIT_BRANCH"],
)
async def test_a_value_that_passes_a_build_off_as_a_protected_ref_needs_its_grant(
    context_of: ContextOf, services: Services, store: Store, works: FakeProvider, app: Pipeline, name: str
) -> None:
    guarded = replace(services, access=Access(protected=("main",)))
    works.build_of(app, 4, branch="other")
    for words in (f"run app@other {name}=main", f"rebuild app#4 {name}=refs/heads/main"):
        assert (await act(context_of, guarded, words)).outcome == "refused"
    assert works.acts == []
    for words in (f"run app@other {name}=third", "run app@other STAGE=main", "rebuild app#4 STAGE=main"):
        assert (await act(context_of, guarded, words)).outcome == "ok"
    await give(store, "runner", refs="main")
    await give(store, "runner", refs="other")
    assert (await act(context_of, guarded, f"run app@other {name}=main")).outcome == "ok"


async def test_a_rebuild_whose_new_values_choose_a_protected_ref_needs_its_grant(
    context_of: ContextOf,
    services: Services,
    works: FakeProvider,
    app: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = replace(services, access=Access(protected=("main",)))
    works.build_of(app, 4, branch="other")

    async def rebuild_target(_pipeline: str, request: StartRequest) -> StartTarget:
        return StartTarget(branch=request.parameters.get("WHERE"))

    monkeypatch.setattr(works, "rebuild_target", rebuild_target)
    assert (await act(context_of, guarded, "rebuild app#4 WHERE=main")).outcome == "refused"
    assert works.acts == []
    assert (await act(context_of, guarded, "rebuild app#4 WHERE=third")).outcome == "ok"


async def test_what_one_channel_protects_no_other_channel_lets_through(
    say: Say, works: FakeProvider, linked: Linked
) -> None:
    await linked(channel="C9", protected="main, release/*")
    for channel in ("C9", CHANNEL, "D1"):
        assert (await say("run works:app@release/2.1", channel=channel)).outcome == "refused"
    assert (await say("run works:app@other")).outcome == "ok"


async def test_protection_cannot_be_unlinked_away(say: Say, linked: Linked, store: Store) -> None:
    await linked(protected="main")
    assert (await say("unlink app")).outcome == "refused"
    assert (await say("link app")).outcome == "ok"
    assert [link.protected for link in await store.links.of_channel(TEAM, CHANNEL)] == ["main"]
    assert (await say("unlink app", user=ADMIN)).outcome == "ok"


async def test_admins_are_those_slack_the_operator_or_the_installation_name(
    context_of: ContextOf, services: Services, store: Store
) -> None:
    ask = context_of()
    assert await role_of(ask) is Role.RUN
    assert await role_of(replace(ask, user=ADMIN)) is Role.ADMIN
    assert (
        await role_of(replace(ask, services=replace(services, access=Access(admins=frozenset({USER}))))) is Role.ADMIN
    )
    assert await role_of(replace(ask, user="", source=Source.TERMINAL)) is Role.ADMIN
    await give(store, "approver")
    assert await role_of(ask) is Role.APPROVE


async def test_a_refusal_names_who_can_grant(context_of: ContextOf, services: Services) -> None:
    named = replace(services, access=Access(admins=frozenset({"U7", "U8"})))
    handled = await act(context_of, named, "audit")
    assert handled.outcome == "refused"
    assert "Ask <@U7> or <@U8>" in first(handled)
    assert "they can run `/build access grant admin @Ana`" in first(handled)
