from collections.abc import Mapping
from typing import Any, cast

import httpx
import pytest

from bot.connections import Connections, read_options
from bot.core.errors import AuthFailed, NotAllowed, StoreError, UsageError
from bot.providers.base.options import Options
from bot.security.vault import Vault, new_key
from bot.store import Store
from bot.store.rows import ConnectionRow
from tests.bot.store.rows import NOW
from tests.set_clock import SetClock

BUILDKITE = {"kind": "buildkite", "organization": "acme", "token": "bkua_hush"}


class World:
    """Connections, the workspaces there are, and what their CI systems answer."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.teams: tuple[str, ...] = ("T1",)
        self.status = 200
        self.vault = Vault.from_text(new_key("k1"))
        self.clients: list[bool] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/access-token":
            scopes = ["read_builds", "read_organizations", "read_pipelines", "write_builds"]
            return httpx.Response(self.status, json={"uuid": "u", "scopes": scopes})
        return httpx.Response(self.status, json={"slug": "acme", "name": "Acme"})

    def client(self, private: bool) -> httpx.AsyncClient:
        self.clients.append(private)
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    async def made(self, configured: Mapping[str, Mapping[str, object]] | None = None, **more: Any) -> Connections:
        """Return connections as a process has them that has just started."""

        async def teams() -> tuple[str, ...]:
            return self.teams

        read: dict[str, tuple[str, Options]] = {
            name: read_options(name, settings) for name, settings in (configured or {}).items()
        }
        made = Connections(
            self.store,
            vault=self.vault,
            client=self.client,
            clock=self.clock,
            teams=teams,
            configured=read,
            **more,
        )
        await made.refresh()
        return made


@pytest.fixture
def world(store: Store, set_clock: SetClock) -> World:
    return World(store, set_clock)


def row(name: str = "ours", *, team: str = "T1", settings: str = "not sealed") -> ConnectionRow:
    return ConnectionRow(name=name, kind="buildkite", team=team, settings=settings, created_at=NOW)


# options


def test_every_problem_of_a_connection_is_reported_in_plain_words_and_without_its_secrets() -> None:
    with pytest.raises(UsageError) as raised:
        read_options(
            "bk", {"kind": "buildkite", "token": "bkua_hush", "organisation": "acme", "private_network": "perhaps"}
        )
    said = str(raised.value)
    assert said.startswith("Connection `bk`: ")
    assert "`organization`: is missing" in said
    assert "`organisation`: is not an option of this kind" in said
    assert "`private_network`" in said
    assert "hush" not in said


@pytest.mark.parametrize(("kind", "words"), [("", "is missing"), ("subversion", "is `subversion`")])
def test_a_kind_nobody_knows_is_reported_with_those_there_are(kind: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        read_options("x", {"kind": kind})
    assert "buildkite" in (raised.value.hint or "")


# who sees what


async def test_a_connection_belongs_to_the_only_workspace_unless_others_are_named(world: World) -> None:
    made = await world.made({"open": BUILDKITE, "named": {**BUILDKITE, "workspaces": ["T2", "T3"]}})
    assert [one.connection for one in made.visible("T1")] == ["open"]
    assert [one.connection for one in made.visible("T2")] == ["named"]
    assert made.get("T1", "named") is None
    assert made.get("", "open") is None
    assert made.labels("T1") == {"open": "Buildkite"}
    assert made.names() == ("named", "open")
    assert (made.kind("open"), made.kind("gone")) == ("buildkite", "")


@pytest.mark.parametrize("teams", [(), ("T1", "T2")])
async def test_where_there_is_no_only_workspace_nobody_sees_an_unnamed_one(
    world: World, teams: tuple[str, ...]
) -> None:
    world.teams = teams
    made = await world.made({"open": BUILDKITE})
    assert made.visible("T1") == ()
    assert made.by_name("open") is not None


async def test_news_are_not_withheld_before_slack_has_said_who_we_are(world: World) -> None:
    world.teams = ()
    made = await world.made({"open": BUILDKITE, "named": {**BUILDKITE, "workspaces": ["T2"]}})
    assert made.serving("T1", "open") is not None
    assert made.serving("T1", "named") is None
    assert made.serving("T2", "named") is not None
    world.teams = ("T1", "T2")
    await made.refresh()
    assert made.serving("T1", "open") is None


async def test_a_connection_is_bound_once_to_the_workspace_that_was_alone_and_no_later_one_inherits_it(
    world: World,
) -> None:
    made = await world.made({"open": BUILDKITE})
    assert made.get("T1", "open") is not None
    for teams in (("T1", "T2"), ("T2",), (), ("T3",)):
        world.teams = teams
        await made.refresh()
        again = await world.made({"open": BUILDKITE})
        for connections in (made, again):
            assert [team for team in ("T1", "T2", "T3", "") if connections.get(team, "open")] == ["T1"]
            assert [team for team in ("T1", "T2", "T3", "") if connections.serving(team, "open")] == ["T1"]
            assert connections.nobodys() == ()


async def test_what_several_workspaces_could_have_meant_belongs_to_nobody_for_ever(world: World) -> None:
    world.teams = ("T1", "T2")
    made = await world.made({"open": BUILDKITE, "named": {**BUILDKITE, "workspaces": ["T2"]}})
    assert made.nobodys() == ("open",)
    world.teams = ("T1",)
    await made.refresh()
    assert (made.get("T1", "open"), made.nobodys()) == (None, ("open",))
    named = await world.made({"open": {**BUILDKITE, "workspaces": ["T1"]}})
    assert named.get("T1", "open") is not None
    assert named.nobodys() == ()


async def test_a_connection_without_any_workspace_waits_for_the_first_one(world: World) -> None:
    world.teams = ()
    made = await world.made({"open": BUILDKITE})
    assert made.nobodys() == ()
    world.teams = ("T7",)
    await made.refresh()
    assert made.get("T7", "open") is not None


async def test_private_addresses_are_reached_only_where_the_operator_allows_them(world: World) -> None:
    await world.made({"near": {**BUILDKITE, "private_network": True}, "far": BUILDKITE})
    assert world.clients == [True, False]


# made in Slack


async def test_a_connection_made_in_slack_is_checked_sealed_and_its_workspaces_own(world: World) -> None:
    made = await world.made()
    settings = {name: value for name, value in BUILDKITE.items() if name != "kind"}
    provider = await made.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    assert made.get("T1", "ours") is provider
    assert made.get("T2", "ours") is None
    assert made.from_slack("ours")
    (kept,) = await world.store.connections.all()
    assert (kept.team, kept.created_by) == ("T1", "U1")
    assert "hush" not in kept.settings
    another = await world.made()
    assert another.get("T1", "ours") is not None


async def test_what_another_process_made_is_seen_after_a_miss(world: World) -> None:
    made, other = await world.made(), await world.made()
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await other.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    made._refreshed_at = None
    assert made.get("T1", "ours") is None
    assert not await made.catch_up("T2")
    assert made.get("T1", "ours") is not None
    assert not await made.catch_up("T1")


async def test_a_connection_that_does_not_work_is_not_kept(world: World) -> None:
    made = await world.made()
    world.status = 401
    with pytest.raises(AuthFailed):
        await made.add(team="T1", name="ours", kind="buildkite", settings=dict(list(BUILDKITE.items())[1:]), user="U1")
    assert await world.store.connections.all() == []
    assert made.get("T1", "ours") is None


async def test_names_are_taken_once_and_private_addresses_are_the_operators(world: World) -> None:
    made = await world.made({"harness": BUILDKITE})
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await made.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    for team, name in (("T1", "harness"), ("T2", "ours")):
        with pytest.raises(UsageError, match="is taken"):
            await made.add(team=team, name=name, kind="buildkite", settings=settings, user="U1")
    near = {**settings, "private_network": True}
    with pytest.raises(NotAllowed):
        await made.add(team="T1", name="near", kind="buildkite", settings=near, user="U1")
    allowed = await world.made(allow_private=True)
    await allowed.add(team="T1", name="near", kind="buildkite", settings=near, user="U1")
    assert allowed.get("T1", "near") is not None


async def test_a_connection_is_removed_by_its_workspace_only(world: World) -> None:
    made = await world.made({"harness": BUILDKITE})
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await made.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    for team, name in (("T2", "ours"), ("T1", "harness"), ("T1", "gone")):
        with pytest.raises(UsageError, match="was not connected in Slack"):
            await made.remove(team=team, name=name)
    await made.remove(team="T1", name="ours")
    assert made.by_name("ours") is None
    assert await world.store.connections.all() == []


async def test_other_processes_changes_are_followed(world: World) -> None:
    made, other = await world.made(), await world.made()
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await other.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    await made.refresh()
    first = made.by_name("ours")
    assert first is not None
    await made.refresh()
    assert made.by_name("ours") is first
    await other.add(team="T1", name="ours", kind="buildkite", settings={**settings, "organization": "new"}, user="U1")
    await made.refresh()
    assert made.by_name("ours") is not first
    await other.remove(team="T1", name="ours")
    await made.refresh()
    assert made.by_name("ours") is None


async def test_a_connection_that_another_process_has_just_made_is_found_at_most_once_a_second(world: World) -> None:
    made, other = await world.made(), await world.made()
    assert await made.find("ours") is None
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await other.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    assert await made.find("ours") is None
    world.clock.go(seconds=1)
    found = await made.find("ours")
    assert found is not None
    assert await made.find("ours") is found


async def test_a_database_that_is_away_leaves_what_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = await world.made({"harness": BUILDKITE})

    async def away() -> None:
        raise StoreError("The database can't be used now.")

    monkeypatch.setattr(made, "refresh", away)
    world.clock.go(seconds=5)
    assert await made.find("harness") is not None
    assert await made.find("gone") is None
    assert caplog.messages == ["connections can't be read"]


async def test_a_name_that_another_workspace_took_over_is_no_longer_the_first_ones(world: World) -> None:
    made, other = await world.made(), await world.made()
    settings: dict[str, object] = dict(list(BUILDKITE.items())[1:])
    await other.add(team="T1", name="ours", kind="buildkite", settings=settings, user="U1")
    await made.refresh()
    await other.remove(team="T1", name="ours")
    await world.store.connections.save(row(team="T2"))
    await made.refresh()
    assert made.get("T1", "ours") is None


async def test_settings_that_can_not_be_opened_are_reported_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.store.connections.save(row())
    made = await world.made()
    await made.refresh()
    assert caplog.messages == ["a connection can't be opened"]
    assert made.by_name("ours") is None


async def test_the_configuration_goes_before_what_slack_made(world: World) -> None:
    other = await world.made()
    await other.add(
        team="T1",
        name="harness",
        kind="buildkite",
        settings=cast("dict[str, object]", dict(list(BUILDKITE.items())[1:])),
        user="U1",
    )
    made = await world.made({"harness": {**BUILDKITE, "workspaces": ["T9"]}})
    assert made.get("T1", "harness") is None
    assert not made.from_slack("harness")
