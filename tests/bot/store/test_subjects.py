"""Presets, last used values, switches, claims, bindings and workspaces."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import UsageError
from bot.store import Store
from bot.store.personal_tokens import MOST
from bot.store.rows import NewApprovalPolicy, NewPersonalToken, NewVote
from bot.store.states import Switch, TokenScope
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, key
from tests.set_clock import SetClock

HERE = (TEAM, CHANNEL, CONNECTION, PIPELINE)


async def test_a_preset_replaces_the_one_of_its_name_and_is_the_channels_own(store: Store) -> None:
    await store.presets.save(*HERE, name="nightly", parameters={"A": "1"}, most=5)
    await store.presets.save(*HERE, name="nightly", parameters={"A": "2"}, most=5)
    await store.presets.save(*HERE, name="beta", parameters={}, most=5)
    assert await store.presets.of_pipeline(*HERE) == {"beta": {}, "nightly": {"A": "2"}}
    assert await store.presets.of_pipeline(TEAM, "C2", CONNECTION, PIPELINE) == {}
    assert await store.presets.remove(*HERE, "nightly")
    assert not await store.presets.remove(*HERE, "nightly")
    assert list(await store.presets.of_pipeline(*HERE)) == ["beta"]


async def test_a_channel_keeps_no_more_presets_than_it_may(store: Store, other: Store) -> None:
    saves = [one.presets.save(*HERE, name=f"p{n}", parameters={}, most=3) for n in range(4) for one in (store, other)]
    results = await asyncio.gather(*saves, return_exceptions=True)
    assert len(await store.presets.of_pipeline(*HERE)) == 3
    assert {type(result) for result in results} == {type(None), UsageError}
    await store.presets.save(*HERE, name=next(iter(await store.presets.of_pipeline(*HERE))), parameters={}, most=3)


async def test_last_used_values_are_kept_for_a_month(store: Store, set_clock: SetClock) -> None:
    mine = (TEAM, "U1", CONNECTION, PIPELINE)
    assert await store.last_values.get(*mine) == {}
    await store.last_values.save(*mine, {"A": "1"})
    await store.last_values.save(*mine, {"A": "ü"})
    assert await store.last_values.get(*mine) == {"A": "ü"}
    assert await store.last_values.get(TEAM, "U2", CONNECTION, PIPELINE) == {}
    set_clock.go(days=30)
    assert await store.last_values.get(*mine) == {}
    assert await store.prune(set_clock.now) == 1


async def test_a_switch_is_on_until_it_is_switched_off(store: Store) -> None:
    assert not await store.switches.is_on(TEAM, CHANNEL, Switch.REACTIONS)
    for _time in range(2):
        await store.switches.set(TEAM, CHANNEL, Switch.REACTIONS, on=True)
    assert await store.switches.is_on(TEAM, CHANNEL, Switch.REACTIONS)
    assert not await store.switches.is_on(TEAM, "C2", Switch.REACTIONS)
    await store.switches.set(TEAM, CHANNEL, Switch.REACTIONS, on=False)
    assert not await store.switches.is_on(TEAM, CHANNEL, Switch.REACTIONS)


async def test_one_person_holds_a_claim_until_they_give_it_back_or_a_week_is_over(
    store: Store, other: Store, set_clock: SetClock
) -> None:
    holders = await asyncio.gather(*(one.claims.add(TEAM, key(), f"U{n}") for n in range(5) for one in (store, other)))
    (holder,) = set(holders)
    assert await store.claims.holder(TEAM, key()) == holder
    assert not await store.claims.remove(TEAM, key(), "U9")
    assert await store.claims.remove(TEAM, key(), holder)
    assert await store.claims.holder(TEAM, key()) is None
    await store.claims.add(TEAM, key(), "U1")
    set_clock.go(days=7)
    assert await store.claims.holder(TEAM, key()) is None
    assert await store.claims.add(TEAM, key(), "U2") == "U2"


async def test_a_connection_is_bound_once_to_the_only_workspace_there_is(store: Store) -> None:
    assert await store.bindings.bind(["a"], []) == {}
    assert await store.bindings.bind(["a"], ["T1"]) == {"a": "T1"}
    assert await store.bindings.bind(["a", "b"], ["T1", "T2"]) == {"a": "T1", "b": ""}
    assert await store.bindings.bind(["a", "b", "c"], ["T2"]) == {"a": "T1", "b": "", "c": "T2"}


async def test_processes_that_bind_at_the_same_time_agree(store: Store, other: Store) -> None:
    first, second = await asyncio.gather(store.bindings.bind(["a"], ["T1"]), other.bindings.bind(["a"], ["T2"]))
    assert first == second
    assert first["a"] in {"T1", "T2"}


@pytest.mark.parametrize("enterprise", ["E1", ""])
async def test_a_workspace_has_the_organization_it_was_last_seen_with(store: Store, enterprise: str) -> None:
    await store.workspaces.save(TEAM, "E0")
    await store.workspaces.save(TEAM, enterprise)
    assert await store.workspaces.enterprise_of(TEAM) == enterprise
    assert await store.workspaces.enterprise_of("T2") == ""


async def test_what_has_run_out_is_pruned(store: Store) -> None:
    await store.claims.add(TEAM, key(), "U1")
    await store.tokens.add("k", seconds=5)
    assert await store.prune(NOW + timedelta(days=7)) == 2


async def test_a_policy_replaces_the_one_of_its_globs_and_a_vote_the_persons_own(store: Store) -> None:
    policy = NewApprovalPolicy(team=TEAM, pipelines="app", refs="main", people=2, set_by="U1", set_at=NOW)
    await store.approvals.set_policy(policy)
    await store.approvals.set_policy(replace(policy, people=3, no_self=True))
    await store.approvals.set_policy(replace(policy, team="T2"))
    assert [(row.people, row.no_self, row.needs_comment) for row in await store.approvals.policies(TEAM)] == [
        (3, True, False)
    ]
    assert await store.approvals.remove_policy(TEAM, "app", "main")
    assert not await store.approvals.remove_policy(TEAM, "app", "main")
    vote = NewVote(
        team=TEAM,
        connection=CONNECTION,
        pipeline=PIPELINE,
        build="b1",
        attempt_no=1,
        approval="g1",
        user="U1",
        approve=True,
        at=NOW,
    )
    await store.approvals.vote(vote)
    await store.approvals.vote(replace(vote, approve=False, comment="no"))
    await store.approvals.vote(replace(vote, user="U2", at=NOW + timedelta(minutes=1)))
    await store.approvals.vote(replace(vote, attempt_no=2))
    rows = await store.approvals.votes(TEAM, key(), 1)
    assert [(row.user, row.approve, row.comment) for row in rows] == [("U1", False, "no"), ("U2", True, "")]
    await store.approvals.take_back(vote)
    assert [row.user for row in await store.approvals.votes(TEAM, key(), 1)] == ["U2"]
    assert await store.prune(NOW + timedelta(days=181)) == 2


def personal_token(name: str, user: str = "U1", scope: TokenScope = TokenScope.READ) -> NewPersonalToken:
    return NewPersonalToken(
        team=TEAM, user=user, name=name, scope=scope, digest=f"digest of {user} {name}", created_at=NOW
    )


async def test_a_personal_token_is_found_by_its_digest_until_it_is_revoked(store: Store) -> None:
    assert await store.personal_tokens.add(personal_token("laptop", scope=TokenScope.ACT))
    assert await store.personal_tokens.add(personal_token("laptop", user="U2"))
    assert not await store.personal_tokens.add(personal_token("laptop"))
    token = await store.personal_tokens.of_digest("digest of U1 laptop")
    assert token is not None
    assert (token.user, token.name, token.scope, token.used_at) == ("U1", "laptop", TokenScope.ACT, None)
    assert not await store.personal_tokens.remove(TEAM, "U1", "phone")
    assert await store.personal_tokens.remove(TEAM, "U1", "laptop")
    assert await store.personal_tokens.of_digest("digest of U1 laptop") is None
    assert [token.name for token in await store.personal_tokens.of_user(TEAM, "U2")] == ["laptop"]


async def test_the_use_of_a_personal_token_is_written_once_a_minute(store: Store) -> None:
    await store.personal_tokens.add(personal_token("laptop"))
    for after, expected in ((0, 0), (59, 0), (60, 60)):
        (token,) = await store.personal_tokens.of_user(TEAM, "U1")
        await store.personal_tokens.use(token, NOW + timedelta(seconds=after))
        (token,) = await store.personal_tokens.of_user(TEAM, "U1")
        assert token.used_at == NOW + timedelta(seconds=expected)


async def test_a_person_has_no_more_personal_tokens_than_they_may(store: Store) -> None:
    for number in range(MOST):
        assert await store.personal_tokens.add(personal_token(f"t{number}"))
    with pytest.raises(UsageError, match="Revoke one first"):
        await store.personal_tokens.add(personal_token("one more"))
    assert await store.personal_tokens.add(personal_token("other", user="U2"))


async def test_the_health_of_a_connection_is_written_a_part_at_a_time(store: Store) -> None:
    ends = NOW + timedelta(days=9)
    await store.health.was_checked(CONNECTION, expires_at=ends)
    await store.health.webhooks_came([CONNECTION, "other", CONNECTION], NOW)
    await store.health.webhooks_came([CONNECTION], NOW + timedelta(minutes=1))
    health = await store.health.all()
    assert health[CONNECTION].webhook_at == NOW + timedelta(minutes=1)
    assert health[CONNECTION].expires_at == ends
    assert (health["other"].webhook_at, health["other"].expires_at) == (NOW, None)
    await store.health.was_checked(CONNECTION, expires_at=None)
    assert (await store.health.all())[CONNECTION].expires_at is None
