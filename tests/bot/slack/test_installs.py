import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.core.errors import BotError
from bot.http.transport import Network
from bot.security.vault import Vault, new_key
from bot.slack.installs import Installs, NotInstalled, SlackAway
from bot.slack.oauth import AUTHORIZE, Oauth
from bot.slack.sender import SlackError
from bot.store import Store
from tests.bot.store.rows import NOW
from tests.playground.serving import serving
from tests.set_clock import SetClock


class Consent:
    """Slack's OAuth, as a test says: it hands out numbered tokens and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answers: list[Response] = []
        self.more: dict[str, Any] = {}
        self.address = ""
        self.app = Starlette(
            routes=[
                Route("/api/oauth.v2.access", self.access, methods=["POST"]),
                Route("/api/auth.test", self.who, methods=["POST"]),
            ]
        )

    async def access(self, request: Request) -> Response:
        self.asked.append(dict(parse_qsl((await request.body()).decode())))
        if self.answers:
            return self.answers.pop(0)
        number = len(self.asked)
        return JSONResponse(
            {
                "ok": True,
                "access_token": f"xoxe.xoxb-{number}",
                "refresh_token": f"xoxe-{number}",
                "expires_in": 43200,
                "app_id": "A1",
                "bot_user_id": "UBOT",
                "scope": "chat:write",
                "team": {"id": "T1", "name": "Acme"},
                "enterprise": None,
                "is_enterprise_install": False,
                "authed_user": {"id": "UANA"},
                **self.more,
            }
        )

    async def who(self, request: Request) -> Response:
        if self.answers:
            return self.answers.pop(0)
        return JSONResponse({"ok": True, "team_id": "T1", "user_id": "UBOT", "team": "Acme"})


@pytest.fixture
async def consent() -> AsyncIterator[Consent]:
    made = Consent()
    async with serving(made.app) as address:
        made.address = address
        yield made


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network() as made:
        yield made


@pytest.fixture
def vault() -> Vault:
    return Vault.from_text(new_key("k1"))


@pytest.fixture
def installs(store: Store, set_clock: SetClock, consent: Consent, network: Network, vault: Vault) -> Installs:
    return made_installs(store, set_clock, consent, network, vault)


def made_installs(store: Store, clock: SetClock, consent: Consent, network: Network, vault: Vault) -> Installs:
    return Installs(
        store,
        session=network.session,
        api_url=f"{consent.address}/api",
        clock=clock,
        vault=vault,
        client_id="1.2",
        client_secret="hush",
    )


def answer(**more: Any) -> dict[str, Any]:
    return {
        "access_token": "xoxb-first",
        "bot_user_id": "UBOT",
        "team": {"id": "T1", "name": "Acme"},
        "authed_user": {"id": "UANA"},
        **more,
    }


def rotating(**more: Any) -> dict[str, Any]:
    return answer(access_token="xoxe.xoxb-0", refresh_token="xoxe-0", expires_in=43200, **more)


# one workspace, one token


async def test_a_single_token_serves_every_call_once_slack_knows_it(
    store: Store, set_clock: SetClock, consent: Consent, network: Network
) -> None:
    single = Installs(
        store,
        session=network.session,
        api_url=f"{consent.address}/api/",
        clock=set_clock,
        vault=Vault.empty,
        single_token="xoxb-1",
    )
    assert await single.teams() == ()
    await single.introduce()
    assert await single.teams() == ("T1",)
    assert await single.token("anything") == "xoxb-1"
    assert await single.bot_user_of("anything") == "UBOT"
    single.met("T1", "E1")
    assert await single.token("T1") == "xoxb-1"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (JSONResponse({"ok": False, "error": "invalid_auth"}), BotError),
        (Response("bad gateway", 502), SlackAway),
        (Response("slow down", 429, {"Retry-After": "0"}), SlackAway),
    ],
)
async def test_slack_refusing_a_token_and_slack_being_away_are_distinguished(
    installs: Installs, consent: Consent, said: Response, error: type[BotError]
) -> None:
    consent.answers = [said] * 3
    with pytest.raises(BotError) as raised:
        await installs.introduce()
    assert type(raised.value) is error


async def test_slack_out_of_reach_is_away(store: Store, set_clock: SetClock, network: Network) -> None:
    alone = Installs(
        store,
        session=network.session,
        api_url="http://127.0.0.1:9",
        clock=set_clock,
        vault=Vault.empty,
        single_token="x",
    )
    with pytest.raises(SlackAway):
        await alone.introduce()


# many workspaces


async def test_a_saved_token_is_sealed_and_given_back(installs: Installs, store: Store) -> None:
    await installs.save(answer())
    row = await store.installs.get("T1")
    assert row is not None
    assert "xoxb" not in row.bot_token
    assert (row.installed_by, row.bot_user, row.team_name) == ("UANA", "UBOT", "Acme")
    assert await installs.token("T1") == "xoxb-first"
    assert await installs.bot_user_of("T1") == "UBOT"
    assert await installs.teams() == ("T1",)


async def test_a_workspace_without_the_bot_has_no_token(installs: Installs) -> None:
    await installs.save(answer())
    with pytest.raises(NotInstalled) as raised:
        await installs.token("T2")
    assert isinstance(raised.value, SlackError)
    assert raised.value.hint == "Install it again from /slack/install."


async def test_a_removed_bot_loses_its_token_at_once(installs: Installs) -> None:
    await installs.save(answer())
    assert await installs.token("T1")
    await installs.end("T1")
    with pytest.raises(NotInstalled):
        await installs.token("T1")
    assert await installs.teams() == ()


async def test_installing_again_replaces_the_token_at_once(installs: Installs) -> None:
    await installs.save(answer())
    assert await installs.token("T1") == "xoxb-first"
    await installs.save(answer(access_token="xoxb-second"))
    assert await installs.token("T1") == "xoxb-second"


async def test_tokens_are_read_from_the_store_every_five_minutes_only(
    installs: Installs, store: Store, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installs.save(answer())
    read = store.installs.get
    reads: list[str] = []

    async def counted(*args: Any, **more: Any) -> Any:
        reads.append(args[0])
        return await read(*args, **more)

    monkeypatch.setattr(store.installs, "get", counted)
    for seconds in (0, 299, 1):
        set_clock.go(seconds=seconds)
        await installs.token("T1")
    assert len(reads) == 2


# organizations


async def test_an_organizations_install_serves_its_workspaces(installs: Installs, store: Store) -> None:
    await installs.save(answer(team=None, enterprise={"id": "E1", "name": "Org"}, is_enterprise_install=True))
    assert await installs.token("T7", "E1") == "xoxb-first"
    assert await installs.teams() == ()
    row = await store.installs.get("", "E1")
    assert row is not None
    assert (row.team, row.team_name) == ("", "Org")


async def test_the_only_organization_serves_a_workspace_nobody_has_named(installs: Installs) -> None:
    await installs.save(answer(team=None, enterprise={"id": "E1"}, is_enterprise_install=True))
    assert await installs.token("T7") == "xoxb-first"


async def test_of_two_organizations_the_one_is_asked_that_requests_named_even_after_a_restart(
    installs: Installs, store: Store, set_clock: SetClock, consent: Consent, network: Network, vault: Vault
) -> None:
    for number in (1, 2):
        org = {"id": f"E{number}", "name": f"Org {number}"}
        await installs.save(
            answer(access_token=f"xoxb-{number}", team=None, enterprise=org, is_enterprise_install=True)
        )
    with pytest.raises(NotInstalled):
        await installs.token("T7")
    installs.met("T7", "E2")
    assert await installs.token("T7") == "xoxb-2"
    after = made_installs(store, set_clock, consent, network, vault)
    assert await after.token("T7") == "xoxb-2"


async def test_a_workspaces_own_install_goes_before_its_organizations(installs: Installs) -> None:
    await installs.save(answer(access_token="xoxb-org", team=None, enterprise={"id": "E1"}, is_enterprise_install=True))
    await installs.save(answer(access_token="xoxb-own", enterprise={"id": "E1"}))
    assert await installs.token("T1", "E1") == "xoxb-own"
    assert await installs.token("T2", "E1") == "xoxb-org"


# rotation


async def test_a_token_is_renewed_two_hours_before_its_end_once(
    installs: Installs, store: Store, set_clock: SetClock, consent: Consent, network: Network, vault: Vault
) -> None:
    await installs.save(rotating())
    assert await installs.token("T1") == "xoxe.xoxb-0"
    set_clock.go(hours=10, seconds=1)
    other = made_installs(store, set_clock, consent, network, vault)
    tokens = await asyncio.gather(*(one.token("T1") for one in (installs, other) * 5))
    assert set(tokens) == {"xoxe.xoxb-1"}
    (asked,) = consent.asked
    assert (asked["grant_type"], asked["refresh_token"]) == ("refresh_token", "xoxe-0")
    row = await store.installs.get("T1")
    assert row is not None
    assert row.token_expires_at == set_clock() + timedelta(seconds=43200)
    assert "xoxe" not in row.bot_token + row.refresh_token
    set_clock.go(hours=10, seconds=1)
    assert await installs.token("T1") == "xoxe.xoxb-2"
    assert consent.asked[-1]["refresh_token"] == "xoxe-1"


@pytest.mark.parametrize(
    "said", [JSONResponse({"ok": False, "error": "invalid_refresh_token"}), Response("bad gateway", 502)]
)
async def test_a_token_that_can_not_be_renewed_is_used_to_its_end(
    installs: Installs, set_clock: SetClock, consent: Consent, caplog: pytest.LogCaptureFixture, said: Response
) -> None:
    await installs.save(rotating())
    consent.answers = [said, said]
    set_clock.go(hours=11)
    assert await installs.token("T1") == "xoxe.xoxb-0"
    assert caplog.messages == ["a bot token could not be renewed yet"]
    set_clock.go(hours=2)
    with pytest.raises(NotInstalled):
        await installs.token("T1")
    assert "xoxe" not in caplog.text


# installing


def oauth(store: Store, installs: Installs, network: Network, api_url: str, redirect: str = "") -> Oauth:
    return Oauth(
        store,
        installs,
        session=network.session,
        api_url=api_url,
        client_id="1.2",
        client_secret="hush",
        redirect_url=redirect,
        scopes=("chat:write", "commands"),
    )


async def test_the_browser_is_sent_to_slack_with_a_fresh_state(
    installs: Installs, store: Store, network: Network
) -> None:
    way = oauth(store, installs, network, "https://slack.com/api", "https://bot.example/slack/oauth_redirect")
    first, address = await way.begin()
    second, _address = await way.begin()
    assert first != second
    assert address.startswith(f"{AUTHORIZE}?client_id=1.2&scope=chat%3Awrite%2Ccommands&state=")
    assert address.endswith("&redirect_uri=https%3A%2F%2Fbot.example%2Fslack%2Foauth_redirect")


async def test_a_code_becomes_an_installation_once(
    installs: Installs, store: Store, network: Network, consent: Consent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    way = oauth(store, installs, network, f"{consent.address}/api")
    assert way.authorize_page == f"{consent.address}/oauth/v2/authorize"
    state, _address = await way.begin()
    row = await way.finish(state=state, cookie=state, code="c-1")
    assert (row.team, consent.asked[0]["code"]) == ("T1", "c-1")
    assert await installs.token("T1") == "xoxe.xoxb-1"
    with pytest.raises(BotError, match="begun in another browser"):
        await way.finish(state=state, cookie=state, code="c-1")
    assert len(consent.asked) == 1
    assert "xox" not in caplog.text


@pytest.mark.parametrize(("state", "cookie"), [("", ""), ("s", "other"), ("s", ""), ("ü", "ü"), ("made-up", "made-up")])
async def test_a_state_that_is_not_this_browsers_is_refused(
    installs: Installs, store: Store, network: Network, consent: Consent, state: str, cookie: str
) -> None:
    with pytest.raises(BotError, match="another browser"):
        await oauth(store, installs, network, f"{consent.address}/api").finish(state=state, cookie=cookie, code="c")
    assert consent.asked == []


async def test_a_state_is_good_for_ten_minutes(
    installs: Installs, store: Store, network: Network, consent: Consent, set_clock: SetClock
) -> None:
    way = oauth(store, installs, network, f"{consent.address}/api")
    state, _address = await way.begin()
    set_clock.go(seconds=601)
    with pytest.raises(BotError, match="ten minutes"):
        await way.finish(state=state, cookie=state, code="c")
    assert set_clock() > NOW


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (JSONResponse({"ok": False, "error": "invalid_code"}), "Slack refused the installation: invalid code."),
        (Response("bad gateway", 502), "Slack can't be reached."),
        (JSONResponse({"ok": True}), "Slack answered without a token."),
    ],
)
async def test_an_installation_that_fails_says_why(
    installs: Installs, store: Store, network: Network, consent: Consent, said: Response, words: str
) -> None:
    way = oauth(store, installs, network, f"{consent.address}/api")
    state, _address = await way.begin()
    consent.answers = [said]
    with pytest.raises(BotError) as raised:
        await way.finish(state=state, cookie=state, code="c")
    assert raised.value.message == words
