"""One workspace never sees another's connection, pipeline, build, link or card, whatever the path."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from bot.app import App, introduced, opened
from bot.security.vault import new_key
from bot.settings import Settings
from commands.core.context import Context, Source
from commands.core.executor import execute
from playground import Playground
from playground.ci import LocalCi, ci_app
from tests.watchdog import not_the_bot

SECRET = "workspaces-secret"
HERE, THERE = "T0PLAYGRND", "T0OTHER"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    world = LocalCi(seed=5, speed=1.0)
    playground = Playground(bot_url="", signing_secret=SECRET, bot_token="xoxb-w", ci_app=ci_app(world))
    with not_the_bot():
        await playground.start()
    connections = world.connections(playground.address)
    settings = Settings(
        slack_bot_token="xoxb-w",
        slack_signing_secret=SECRET,
        slack_api_url=playground.slack_api_url,
        database_url=f"sqlite:///{tmp_path / 'w.db'}",
        keys=new_key(),
        connections={
            "ours": {**connections["demo-buildkite"], "workspaces": [HERE]},
            "theirs": {**connections["demo-gitlab"], "workspaces": [THERE]},
        },
    )
    try:
        async with opened(settings, migrate=True) as made:
            await introduced(made)
            yield made
    finally:
        await playground.stop()
        await world.aclose()


def context(app: App, team: str = HERE, **more: Any) -> Context:
    return Context(
        services=app.services,
        team=team,
        channel="C0IOS00000",
        user="U0ANAVIDAL",
        now=app.services.clock(),
        **more,
    )


async def said(app: App, text: str, team: str = HERE) -> str:
    # The local Slack's people belong to one workspace: the terminal asks on behalf of either.
    handled = await execute(text, context(app, team, source=Source.TERMINAL))
    return json.dumps(handled.answer.message.payload()) if handled.answer.message else handled.outcome


async def test_only_the_workspace_a_connection_names_sees_it(app: App) -> None:
    assert [provider.connection for provider in app.connections.visible(HERE)] == ["ours"]
    assert [provider.connection for provider in app.connections.visible(THERE)] == ["theirs"]
    assert app.connections.visible("T0STRANGER") == ()
    assert app.connections.visible("") == ()


@pytest.mark.parametrize(
    "words",
    [
        "status theirs:acme/backend",
        "run theirs:acme/backend@main",
        "last theirs:acme/backend",
        "show theirs:acme/backend#1",
        "logs theirs:acme/backend#last",
        "cancel theirs:acme/backend#last --yes",
        "retry theirs:acme/backend#last",
        "rebuild theirs:acme/backend#last",
        "approve theirs:acme/backend#last",
        "link theirs:acme/backend",
        "watch theirs:acme/backend#last",
        "follow theirs:acme/backend",
        "explain theirs:acme/backend#last",
        "stats theirs:acme/backend",
        "artifacts theirs:acme/backend#last",
        "list pipelines backend --refresh",
        "list connections",
    ],
)
async def test_no_verb_reaches_across(app: App, words: str) -> None:
    await said(app, "link theirs:acme/backend", THERE)
    text = await said(app, words)
    assert "GitLab" not in text
    assert "gitlab" not in text
    assert "#12" not in text
    theirs = app.connections.by_name("theirs")
    assert theirs is not None
    before = theirs.requests
    await said(app, words)
    assert theirs.requests == before


async def test_no_page_link_or_commit_reaches_across(app: App) -> None:
    await said(app, "link theirs:acme/backend", THERE)
    provider = app.connections.by_name("theirs")
    assert provider is not None
    pipeline = await provider.pipeline("acme/backend")
    builds = await app.store.builds.of_pipeline("theirs", pipeline.id, limit=1)
    assert builds[0].web_url
    assert "belongs to none" in await said(app, f"show {builds[0].web_url}")
    assert "No build of commit" in await said(app, f"status {builds[0].commit}")
    assert "belongs to none" in await said(app, f"link {builds[0].web_url}")


async def test_links_of_one_workspace_are_not_the_other_s(app: App) -> None:
    await said(app, "link theirs:acme/backend as secretname", THERE)
    assert "secretname" not in await said(app, "list links")
    assert "secretname" not in await said(app, "status all")
    assert "No pipeline is linked" in await said(app, "status")


async def test_a_signed_button_of_one_workspace_acts_only_there(app: App) -> None:
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "team_id": HERE},
        "team": {"id": HERE},
        "channel": {"id": "C1", "name": "c"},
        "container": {"type": "message", "message_ts": "1.1", "channel_id": "C1"},
        "trigger_id": "1.1",
        "response_url": "http://127.0.0.1:9/response",
        "actions": [
            {
                "action_id": "build.cancel",
                "block_id": "b",
                "type": "button",
                "action_ts": "1.2",
                "value": "cancel theirs:acme/backend#last --yes",
            }
        ],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    at = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    theirs = app.connections.by_name("theirs")
    assert theirs is not None
    before = theirs.requests
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app.web), base_url="http://bot") as client:
        answer = await client.post(
            "/slack/events",
            content=body,
            headers={
                "x-slack-request-timestamp": at,
                "x-slack-signature": f"v0={signature}",
                "content-type": "application/x-www-form-urlencoded",
            },
        )
    assert answer.status_code == 200
    await app.slack_app.settle()
    assert theirs.requests == before
