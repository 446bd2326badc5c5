"""The form to connect a CI system, and the verbs around it. Buildkite answers at the wire."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from bot.connections import Connections
from bot.core.errors import UsageError
from bot.providers import PROVIDERS
from bot.security.vault import Vault, new_key
from bot.store import Store
from bot.store.rows import LinkRow
from commands.core.context import Services
from commands.core.executor import Handled
from commands.slack.app import SlackApp
from tests.commands.fakes import ADMIN, NOW, TEAM, FakeConnections, FakeProvider
from tests.commands.modals import Modal

Say = Callable[..., Awaitable[Handled]]
TOKEN = "bkua_0123456789"
PIPELINE = {
    "id": "11111111-2222-3333-4444-555555555555",
    "slug": "site",
    "name": "Site",
    "default_branch": "main",
    "web_url": "https://buildkite.com/works/site",
}


class Buildkite:
    """Buildkite's side of a check and a listing."""

    def __init__(self) -> None:
        self.status = 200
        self.token = TOKEN
        self.scopes = ["read_builds", "read_pipelines"]
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        assert request.headers["authorization"] == f"Bearer {self.token}"
        if self.status != 200:
            return httpx.Response(self.status, json={"message": "no"})
        if request.url.path.endswith("/access-token"):
            return httpx.Response(200, json={"uuid": "u", "scopes": self.scopes, "user": {"name": "Robot"}})
        if request.url.path.endswith("/pipelines"):
            return httpx.Response(200, json=[PIPELINE])
        return httpx.Response(200, json={"slug": "works", "name": "Works"})


@pytest.fixture
def buildkite() -> Buildkite:
    return Buildkite()


@pytest.fixture
async def real(store: Store, buildkite: Buildkite) -> Connections:
    """Return real connections, whose requests `buildkite` answers."""

    async def teams() -> list[str]:
        return [TEAM]

    client = httpx.AsyncClient(transport=httpx.MockTransport(buildkite))
    made = Connections(
        store,
        vault=Vault.from_text(new_key()),
        client=lambda _private: client,
        clock=lambda: NOW,
        teams=teams,
        configured={},
    )
    await made.refresh()
    return made


@pytest.fixture
def services(services: Services, real: Connections) -> Services:
    return replace(services, connections=real, can_seal=True)


@pytest.fixture
def admin(modal: Modal) -> Modal:
    modal.user = ADMIN
    return modal


async def filled(modal: Modal, **values: Any) -> dict[str, str]:
    await modal.open("connect buildkite")
    return await modal.submit({"o:organization": "works", "o:token": TOKEN, **values})


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_every_system_has_a_form_of_its_options(admin: Modal, kind: str) -> None:
    await admin.open("connect")
    assert admin.fields() == ["kind"]
    await admin.change("kind", kind)
    options = PROVIDERS[kind].options_type.model_fields
    asked = {name.removeprefix("o:") for name in admin.fields() if name.startswith("o:")}
    assert asked == {*options} - {"webhook_secret", "workspaces", "private_network"}
    for name in asked:
        block = admin.block(f"o:{name}")
        if options[name].is_required():
            assert block["optional"] is False, name
        assert block["hint"]["text"].startswith((options[name].description or "").replace("`", "")[:40])
    assert "Slack has no fields that hide what you type" in admin.text


async def test_an_account_is_checked_kept_sealed_and_described(
    admin: Modal, store: Store, buildkite: Buildkite, real: Connections
) -> None:
    assert await filled(admin, name="bk") == {}
    said = admin.sender.last
    assert said.method == "chat.postEphemeral"
    assert "Connected `bk`: Buildkite" in said.text
    assert "Scopes: `read_pipelines`, `read_builds`." in said.text
    assert (
        "Scope `write_builds` is missing. Does not work without it: start, cancel, rebuild, retry, unblock."
        in said.text
    )
    assert "Optional scopes it does without: `read_suites` for tests and failed tests (Test Engine)." in said.text
    assert "I see 1 pipeline." in said.text
    (row,) = await store.connections.all()
    assert (row.name, row.kind, row.team, row.created_by) == ("bk", "buildkite", TEAM, ADMIN)
    assert TOKEN not in row.settings
    assert real.get(TEAM, "bk") is not None
    assert [one.path for one in await store.pipelines.all("bk")] == ["site"]


async def test_the_webhooks_address_and_its_own_secret_are_shown_once(
    admin: Modal, real: Connections, store: Store
) -> None:
    await filled(admin)
    said = admin.sender.last.text
    assert "https://bell.example/hooks/buildkite`" in said
    found = re.search(r"hooks/buildkite/([\w-]{20,})", said)
    assert found
    provider = real.get(TEAM, "buildkite")
    assert provider is not None
    assert provider.webhook_secret() == found[1]
    audits = await store.audit.since(TEAM, since=NOW.replace(year=2020))
    assert audits[0].verb == "connect"
    assert found[1] not in str(audits)
    assert TOKEN not in str(audits)


async def test_a_token_that_is_refused_is_said_at_its_field_and_nothing_is_kept(
    admin: Modal, store: Store, buildkite: Buildkite
) -> None:
    buildkite.status = 401
    errors = await filled(admin)
    assert set(errors) == {"o:token"}
    assert await store.connections.all() == []
    buildkite.status = 200
    assert await admin.submit() == {}
    assert len(await store.connections.all()) == 1


async def test_what_can_not_be_is_said_at_its_field(admin: Modal) -> None:
    assert set(await filled(admin, **{"o:organization": "has/slash"})) == {"o:organization"}
    assert set(await admin.submit({"o:organization": "works", "name": "No Spaces"})) == {"name"}


async def test_a_name_is_taken_once_and_the_next_is_proposed(admin: Modal) -> None:
    await filled(admin)
    assert "already" in (await filled(admin, name="buildkite"))["name"]
    await admin.open("connect buildkite")
    assert admin.value("name") == "buildkite-2"


async def test_fields_of_another_system_are_not_taken(admin: Modal) -> None:
    await admin.open("connect buildkite")
    errors = await admin.submit({"kind": "gitlab", "o:organization": "works", "o:token": TOKEN})
    assert "on their way" in errors["kind"]


async def test_only_admins_see_and_send_the_form(modal: Modal, store: Store) -> None:
    assert await modal.open("connect buildkite") == {}
    assert "needs the admin role here" in modal.sender.last.text
    modal.user = ADMIN
    await modal.open("connect buildkite")
    modal.user = "U1"
    await modal.submit({"o:organization": "works", "o:token": TOKEN})
    assert "needs the admin role here" in modal.text
    assert await store.connections.all() == []


async def test_without_a_key_the_form_explains_how_to_make_one(admin: Modal, services: Services) -> None:
    admin.slack_app = SlackApp(replace(services, can_seal=False), cast("Any", admin.sender), bot_user=lambda: "UBOT")
    await admin.open("connect")
    assert "buildbell doctor --new-key" in admin.text
    assert admin.fields() == []


async def test_without_a_public_address_no_webhook_is_promised(admin: Modal, services: Services) -> None:
    admin.slack_app = SlackApp(replace(services, public_url=""), cast("Any", admin.sender), bot_user=lambda: "UBOT")
    await filled(admin)
    assert "Webhook" not in admin.sender.last.text


async def test_tokens_are_never_typed_in_a_command(say: Say) -> None:
    handled = await say("connect", user=ADMIN)
    assert handled.outcome == "refused"
    assert "needs a form" in (handled.answer.message.text if handled.answer.message else "")
    assert (await say("connect nonsense", user=ADMIN)).outcome == "refused"


async def test_disconnecting_asks_first_and_ends_the_links(
    admin: Modal, say: Say, store: Store, real: Connections
) -> None:
    await filled(admin, name="bk")
    assert (await say("link bk:site", user=ADMIN)).outcome == "ok"
    asked = await say("disconnect bk", user=ADMIN)
    assert asked.answer.message is not None
    assert "1 link in 1 channel will end" in asked.answer.message.text
    assert real.get(TEAM, "bk") is not None
    words = re.search(r"disconnect bk --yes", json.dumps(asked.answer.message.payload()))
    assert words
    done = await say(words[0], user=ADMIN)
    assert done.answer.public
    assert real.get(TEAM, "bk") is None
    assert await store.links.all(TEAM) == []
    assert await store.connections.all() == []


class TestConfigured:
    """Connections of the configuration."""

    @pytest.fixture
    def services(self, services: Services, connections: FakeConnections) -> Services:
        return replace(services, connections=cast("Any", connections))

    async def test_they_can_not_be_disconnected_here(self, say: Say, works: FakeProvider) -> None:
        handled = await say("disconnect works --yes", user=ADMIN)
        assert handled.outcome == "refused"
        assert "configuration" in (handled.answer.message.text if handled.answer.message else "")

    async def test_nobody_but_an_admin_disconnects(
        self, say: Say, connections: FakeConnections, linked: Callable[..., Awaitable[LinkRow]]
    ) -> None:
        await linked()
        connections.made.add("works")
        assert (await say("disconnect works --yes")).outcome == "refused"
        assert (await say("disconnect nothing --yes", user=ADMIN)).outcome == "refused"
        assert "works" in connections.open


async def test_an_internal_address_is_offered_only_where_the_operator_allows_it(
    modal: Modal, services: Services, real: Connections, store: Store
) -> None:
    modal.user = ADMIN
    await modal.open("connect buildkite")
    assert "internal" not in modal.fields()
    allowing = SlackApp(replace(services, internal_addresses=True), cast("Any", modal.sender), bot_user=lambda: "UBOT")
    real._allow_private = True
    inside = Modal(allowing, modal.sender)
    inside.user = ADMIN
    assert await filled(inside, name="near", internal=["true"]) == {}
    near = real.get(TEAM, "near")
    assert near is not None
    assert near.options.private_network
    assert await filled(inside, name="far") == {}
    far = real.get(TEAM, "far")
    assert far is not None
    assert not far.options.private_network
    await allowing.settle()


async def test_new_credentials_are_tested_before_they_take_the_place_of_the_old_ones(
    admin: Modal, store: Store, buildkite: Buildkite, real: Connections, say: Say
) -> None:
    await filled(admin, name="bk")
    (before,) = await store.connections.all()
    await admin.open("credentials bk")
    assert admin.fields() == ["o:token"]
    assert await admin.submit({}) == {"o:token": "Type the new one here."}
    buildkite.token = fresh = "bkua_abcdefghijkl"
    buildkite.status = 401
    errors = await admin.submit({"o:token": fresh})
    assert "refused the credentials" in errors["o:token"] or "refused the credentials" in admin.text
    assert (await store.connections.all()) == [before]
    buildkite.status = 200
    await admin.open("credentials bk")
    assert await admin.submit({"o:token": fresh}) == {}
    assert "`bk` (Buildkite) has new credentials: Robot" in admin.sender.last.text
    (after,) = await store.connections.all()
    assert after.settings != before.settings
    assert fresh not in after.settings
    assert (after.created_by, after.created_at) == (before.created_by, before.created_at)
    tested = await say("credentials bk --test", user=ADMIN)
    assert tested.outcome == "ok"
    assert (await say("credentials bk --test")).outcome == "refused"
    buildkite.status = 401
    assert (await say("credentials bk --test", user=ADMIN)).outcome == "failed"
    renewed = real.get(TEAM, "bk")
    assert renewed is not None
    provider_webhook = renewed.webhook_secret()
    assert provider_webhook


async def test_credentials_of_the_configuration_are_not_changed_in_slack(
    admin: Modal, real: Connections, store: Store
) -> None:
    await filled(admin, name="bk")
    with pytest.raises(UsageError, match="was not connected in Slack"):
        await real.renew(team="T2", name="bk", settings={"token": "x"})
    with pytest.raises(UsageError, match="was not connected in Slack"):
        await real.renew(team=TEAM, name="other", settings={"token": "x"})
