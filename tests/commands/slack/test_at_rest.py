"""What people type with a secret in it, through the whole way: no column of any table holds it afterwards, nor a response_url."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.store import Store
from bot.store.tables import metadata
from tests.commands.slack.test_fuzz import World, opened

SECRET = "hush-hush-7f3a"
HOOK = "hooks.slack.example"
WORDS = (
    f"run app DEPLOY_TOKEN={SECRET}",
    f"run app MODE=fast db_password='{SECRET} {SECRET}' --save nightly",
    f"run app --option secret={SECRET}",
    f"run app --option password={SECRET} --branch main",
    f"rnu app API_KEY={SECRET}",
    f"run nowhere API_KEY={SECRET}",
    f'schedule "daily 7:00" run app API_KEY={SECRET}',
    f"cancel app#7 --yes --password {SECRET}",
    f"after app#7 run app ACCESS_TOKEN={SECRET}",
    f"hold app --because https://ana:{SECRET}@ci.example/x",
    f"status app --token={SECRET}",
    f"subscribe app --on failures PRIVATE_KEY={SECRET}",
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with opened(tmp_path) as made:
        yield made


async def stored(world: World) -> dict[str, str]:
    """Return the content of each table as text."""
    texts: dict[str, str] = {}
    async with world.services.store.read() as db:
        for table in metadata().sorted_tables:
            texts[table.name] = "\n".join(str(tuple(row)) for row in await db.execute(select(table)))
    return texts


async def post_all(store: Store) -> None:
    """Post what is due, as a worker does."""
    while due := await store.notifications.claim("w", now=store.clock(), lease_seconds=30, limit=9):
        for number, row in enumerate(due):
            if number % 2:
                await store.notifications.fail(row, "Slack refused: is_archived")
            else:
                assert await store.notifications.set_sent(row, ts=f"{row.id}.0", card=None, now=store.clock())


@pytest.mark.parametrize("kind", ["command", "event_callback", "block_actions"])
async def test_a_secret_that_was_typed_lies_nowhere_in_the_database(world: World, kind: str) -> None:
    await world.send("command", world.fresh("command") | {"text": "link app"})
    for words in WORDS:
        body = world.fresh(kind)
        match kind:
            case "command":
                body["text"] = words
            case "event_callback":
                body["event"]["text"] = f"<@UBOT> {words}"
            case _:
                body["actions"][0]["value"] = words
        assert await world.send(kind, body) == 200
        await post_all(world.services.store)
        found = [name for name, text in (await stored(world)).items() if SECRET in text or HOOK in text]
        assert found == [], words
    texts = await stored(world)
    assert "run app" in texts["audit"]
    assert "\\n" in repr(texts["inbox"])  # the deliveries are there, without what they said
