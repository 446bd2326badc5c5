"""A workspace installs the bot by OAuth, uses it, and removes it."""

from pathlib import Path

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bot.app import App, introduced, opened
from bot.core import clock
from bot.security.vault import new_key
from bot.settings import Settings
from commands.core import first_steps
from commands.core.context import Context
from playground import Playground
from tests.e2e.stage import Stage
from tests.watchdog import not_the_bot


def _context(app: App, team: str) -> Context:
    return Context(services=app.services, team=team, channel="C1", user="U1", now=clock.now())


async def test_install_use_and_remove(tmp_path: Path) -> None:
    playground = Playground(bot_url="", signing_secret="s", bot_token="xoxb-installed")
    with not_the_bot():
        await playground.start()
    settings = Settings(
        slack_client_id="1.2",
        slack_client_secret="client-secret",
        slack_signing_secret="s",
        slack_api_url=playground.slack_api_url,
        database_url=f"sqlite:///{tmp_path / 'oauth.db'}",
        public_url="http://127.0.0.1:9",
        keys=new_key(),
    )
    try:
        async with opened(settings, migrate=True) as app:
            await introduced(app)
            assert await app.installs.teams() == ()
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app.web), base_url="http://127.0.0.1:9"
            ) as browser:
                begun = await browser.get("/slack/install")
                assert begun.status_code == 302
                async with httpx.AsyncClient() as outside:
                    consented = await outside.get(begun.headers["location"])
                back = consented.headers["location"]
                assert back.startswith("http://127.0.0.1:9/slack/oauth_redirect?")
                async with httpx.AsyncClient(
                    transport=httpx.ASGITransport(app.web), base_url="http://127.0.0.1:9"
                ) as other_browser:
                    assert (await other_browser.get(back)).status_code == 400
                done = await browser.get(back)
                assert done.status_code == 200, done.text
                assert "Installed" in done.text
                assert (await browser.get(back)).status_code == 400
                refused = await browser.get("/slack/oauth_redirect?error=access_denied")
                assert refused.status_code == 400
            team = playground.workspace.team_id
            assert await app.installs.teams() == (team,)
            token = await app.installs.token(team)
            assert token.startswith("xox")
            welcomed = [call for call in playground.calls if call.method == "chat.postMessage"]
            assert "Three steps" in str(welcomed[0].args["text"])
            assert "◌ Connect a CI system" in str(welcomed[0].args["text"])
            await first_steps.tick_off("connect", _context(app, team))
            [edited] = [call for call in playground.calls if call.method == "chat.update"]
            assert "✓ Connect a CI system" in str(edited.args["text"])
            assert "◌ Start a build" in str(edited.args["text"])
            engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'oauth.db'}")
            async with engine.connect() as db:
                stored = (await db.execute(text("select * from install"))).all()
            await engine.dispose()
            assert token not in str(stored)
            await app.installs.end(team)
            assert await app.installs.teams() == ()
    finally:
        await playground.stop()


def _checklists(stage: Stage) -> list[tuple[str, str]]:
    """Return (receiver, text) of each message that begins a checklist."""
    return [
        (str(call.args["channel"]), str(call.args["text"]))
        for call in stage.playground.calls
        if call.method == "chat.postMessage" and "Three steps" in str(call.args.get("text"))
    ]


async def test_a_single_workspace_gets_the_checklist_at_the_first_start_and_no_other(stage: Stage) -> None:
    [(receiver, text)] = await stage.until(lambda: _checklists(stage), "the checklist")
    owners = [user.id for user in stage.playground.workspace.users.values() if user.is_owner]
    assert [receiver] == owners
    assert (text.count("✓"), text.count("◌")) == (1, 2)
    await stage.stop_bot()
    stage.settings = stage.settings.model_copy(update={"admins": (stage.me,)})
    await stage.start_bot()
    await stage.says("link demo-buildkite:web as web")
    await stage.until(
        lambda: [
            call for call in stage.playground.calls if call.method == "chat.update" and "◌ Start" in str(call.args)
        ],
        "the second step ticked off",
    )
    assert len(_checklists(stage)) == 1
