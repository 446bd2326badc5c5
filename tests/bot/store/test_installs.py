from datetime import timedelta
from typing import Any

from bot.store import Store
from bot.store.rows import NewInstall
from tests.bot.store.rows import CHANNEL, NOW, TEAM, link


def install(**fields: Any) -> NewInstall:
    return NewInstall(**{"team": TEAM, "bot_token": "sealed", "installed_at": NOW, **fields})


async def test_a_workspace_is_served_by_its_own_install_else_by_its_organization(store: Store) -> None:
    await store.installs.save(install(team="", enterprise="E1", is_enterprise_install=True, bot_token="org"))
    await store.installs.save(install(enterprise="E1", bot_token="own"))

    async def token(team: str, enterprise: str = "", *, of_organization: bool = False) -> str | None:
        row = await store.installs.get(team, enterprise, is_enterprise_install=of_organization)
        return row.bot_token if row else None

    assert await token(TEAM, "E1") == "own"
    assert await token(TEAM) == "own"
    assert await token("T2", "E1") == "org"
    assert await token(TEAM, "E1", of_organization=True) == "org"
    assert await token("T2") is None
    assert await token("T2", "E2") is None
    assert await token("", "E1") == "org"


async def test_an_install_saved_again_is_the_same_one(store: Store) -> None:
    await store.installs.save(install())
    await store.installs.save(install(bot_token="newer"))
    assert [row.bot_token for row in await store.installs.all()] == ["newer"]


async def test_a_removed_bot_falls_silent_and_speaks_again_when_it_is_back(store: Store) -> None:
    await store.installs.save(install())
    await store.links.save(link())
    await store.links.save(link(channel="C2"))
    await store.links.pause(TEAM, "C2", "the channel is archived")
    await store.links.save(link(team="T2"))
    await store.installs.end(TEAM)
    assert await store.installs.get(TEAM) is None
    assert await store.installs.all() == []
    reasons = {(row.team, row.channel): row.paused_reason for row in await store.links.all()}
    assert reasons == {
        (TEAM, CHANNEL): "the bot was removed from this workspace",
        (TEAM, "C2"): "the channel is archived",
        ("T2", CHANNEL): "",
    }
    await store.installs.save(install())
    reasons = {(row.team, row.channel): row.paused_reason for row in await store.links.all()}
    assert reasons == {(TEAM, CHANNEL): "", (TEAM, "C2"): "the channel is archived", ("T2", CHANNEL): ""}


async def test_an_organization_that_removes_the_bot_takes_no_other_with_it(store: Store) -> None:
    for enterprise in ("E1", "E2"):
        await store.installs.save(install(team="", enterprise=enterprise))
    await store.installs.end("", "E1")
    assert [row.enterprise for row in await store.installs.all()] == ["E2"]


async def test_exchanged_tokens_are_kept(store: Store) -> None:
    await store.installs.save(install(refresh_token="r1"))
    (row,) = await store.installs.all()
    await store.installs.save_tokens(
        row.id or 0, bot_token="b2", refresh_token="r2", expires_at=NOW + timedelta(hours=12)
    )
    (row,) = await store.installs.all()
    assert (row.bot_token, row.refresh_token, row.token_expires_at) == ("b2", "r2", NOW + timedelta(hours=12))
