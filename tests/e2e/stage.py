"""The whole product on loopback: the playground's Slack and CI systems, and the bot against them over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

import httpx
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.app import serve
from bot.blocks.plain import as_text
from bot.manifest import manifest
from bot.providers import PROVIDERS
from bot.security.vault import new_key
from bot.settings import Settings
from playground import Playground
from playground.ci import LocalCi, ci_app
from playground.clock import Clock
from tests.databases import MIGRATED
from tests.watchdog import not_the_bot

PATIENCE_SECONDS = 60.0
NO_SERVERS: Mapping[str, tuple[ASGIApp, Mapping[str, object]]] = {}
LOOK_SECONDS = 0.02


class Recorder:
    """An ASGI layer before the CI systems that keeps each request as `METHOD /path?query`, the query decoded."""

    def __init__(self, app: ASGIApp, requests: list[str]) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query = unquote_plus(scope["query_string"].decode())
            self._requests.append(f"{scope['method']} {unquote(scope['path'])}{'?' if query else ''}{query}")
        await self._app(scope, receive, send)


class Stage:
    """What a test sees of it, and what it can do. `requests` are those that reached the CI systems, oldest first."""

    def __init__(self, playground: Playground, world: LocalCi, settings: Settings, requests: list[str]) -> None:
        self.requests = requests
        self.playground = playground
        self.world = world
        self.settings = settings
        self.me = next(user.id for user in playground.workspace.users.values() if user.is_admin and not user.is_bot)
        self.channels = {channel.name: channel.id for channel in playground.workspace.channels.values()}
        self.control = httpx.AsyncClient(base_url=playground.address, timeout=10, verify=False)  # noqa: S501 - plain HTTP; certificates take long to load
        self._serving: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def start_bot(self) -> None:
        """Start the bot and wait until it listens."""
        up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._serving = asyncio.ensure_future(
            serve(self.settings, ready=up.set_result, stop=self._stop, now=self.world.clock.utc)
        )
        waited: list[asyncio.Future[Any]] = [up, self._serving]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            await self._serving
        self.playground.bot_url = f"http://127.0.0.1:{up.result()}"

    async def stop_bot(self) -> None:
        """Stop the bot as a deployment would, in the middle of whatever it does."""
        if self._serving is not None:
            self._stop.set()
            await self._serving
            self._serving = None

    async def says(self, text: str, channel: str = "ios", user: str = "") -> dict[str, Any]:
        """Type a command and return what the local Slack made of the ack."""
        answer: dict[str, Any] = await self.playground.user_actions.command(
            user=user or self.me, channel=self.channels[channel], text=text
        )
        assert answer["ok"], answer
        return answer

    def shown(self, channel: str = "ios") -> list[str]:
        """Return every message of a channel, ephemeral ones too, as text, oldest first."""
        found = self.playground.workspace.messages.get(self.channels[channel], {})
        return [as_text(self._payload(message)) for message in found.values()]

    def snapshot(self, channel: str = "ios") -> dict[str, str]:
        """Return the messages of a channel as text, by their time stamps."""
        messages = self.playground.workspace.messages.get(self.channels[channel], {})
        return {ts: as_text(self._payload(message)) for ts, message in messages.items()}

    def fresh(self, before: Mapping[str, str], channel: str = "ios") -> list[str]:
        """Return the messages that came or changed since a snapshot."""
        return [text for ts, text in self.snapshot(channel).items() if before.get(ts) != text]

    def _payload(self, message: Any) -> dict[str, Any]:
        return {"text": message.text, "blocks": message.blocks or [], "attachments": message.attachments or []}

    async def until(self, found: Callable[[], Any], what: str) -> Any:
        """Wait until something is true and return it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (value := found()):  # noqa: ASYNC110 - what it waits for happens over HTTP
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            shown = "\n---\n".join(text for name in self.channels for text in self.shown(name))
            raise AssertionError(f"never happened: {what}\n{shown}") from None
        return value

    async def sees(self, words: str, channel: str = "ios") -> str:
        """Wait until a message holds words and return it."""
        seen: str = await self.until(
            lambda: next((text for text in self.shown(channel) if words in text), ""), f"`{words}` in #{channel}"
        )
        return seen

    def posts(self, words: str, channel: str = "ios") -> list[str]:
        """Return the messages that hold words."""
        return [text for text in self.shown(channel) if words in text]

    async def ci(self, act: str, **body: Any) -> dict[str, Any]:
        """Push the CI systems' side."""
        answer = await self.control.post(f"/control/{act}", json=body)
        assert answer.is_success, answer.text
        read: dict[str, Any] = answer.json()
        return read

    async def newest(self, system: str, pipeline: str) -> dict[str, Any]:
        """Return the newest build of a pipeline as the CI system has it."""
        state = (await self.control.get("/control/state")).json()
        found: dict[str, Any] = next(
            one["builds"][0]
            for each in state["systems"]
            if each["system"] == system
            for one in each["pipelines"]
            if one["pipeline"] == pipeline
        )
        return found

    async def press(self, label: str, words: str, channel: str = "ios", user: str = "") -> None:
        """Press the button with a label on the newest message that holds words."""
        found = self.playground.workspace.messages[self.channels[channel]]
        message = next(one for one in reversed(list(found.values())) if words in as_text(self._payload(one)))
        rows = [*(message.blocks or []), *(block for one in message.attachments or [] for block in one["blocks"])]
        element = next(
            one
            for block in rows
            if block["type"] == "actions"
            for one in block["elements"]
            if one.get("text", {}).get("text") == label
        )
        answer = await self.playground.user_actions.action(
            user=user or self.me,
            action_id=element["action_id"],
            channel=self.channels[channel],
            ts=message.ts,
            text=label,
        )
        assert answer["ok"], answer


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    socket: bool = False,
    database: str = "",
    clock: Clock | None = None,
    seed: int = 11,
    servers: Mapping[str, tuple[ASGIApp, Mapping[str, object]]] = NO_SERVERS,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Set everything up on free ports, the bot running, all on one clock; take it down at the end.

    `servers` are further CI systems by the name of their connection, each with the connection's options but its `url`.
    """
    if not database:
        await MIGRATED.copy_to(folder / "e2e.db")
    world = LocalCi(seed=seed, speed=1.0, clock=clock)
    requests: list[str] = []
    systems = ci_app(world)
    systems.add_middleware(Recorder, requests=requests)
    for name, (server, _options) in servers.items():
        systems.router.routes.insert(0, Mount(f"/servers/{name}", server))
    playground = Playground(
        bot_url="",
        signing_secret="e2e-signing-secret",
        bot_token="xoxb-e2e",
        app_token="xapp-e2e" if socket else "",
        ci_app=systems,
        manifest=manifest(unfurl_domains=("127.0.0.1",), socket=socket),
        clock=world.clock,
    )
    with not_the_bot():
        await playground.start()
    stage = Stage(
        playground,
        world,
        Settings(
            slack_bot_token="xoxb-e2e",
            slack_signing_secret="e2e-signing-secret",
            slack_app_token="xapp-e2e" if socket else "",
            slack_api_url=playground.slack_api_url,
            database_url=database or f"sqlite:///{folder / 'e2e.db'}",
            host="127.0.0.1",
            port=0,
            keys=new_key(),
            watch_busy_seconds=0.1,
            watch_idle_seconds=0.2,
            connections={
                name: options
                for name, options in world.connections(playground.address).items()
                if options["kind"] in PROVIDERS
            }
            | {
                name: {"url": f"{playground.address}/servers/{name}", "private_network": True, **options}
                for name, (_server, options) in servers.items()
            },
            **settings,
        ),
        requests,
    )
    try:
        await stage.start_bot()
        yield stage
    finally:
        await stage.stop_bot()
        await stage.control.aclose()
        await playground.stop()
        await world.aclose()
