"""`buildbell demo`: the playground's Slack and CI systems, and the bot against them, unchanged, in one process."""

import asyncio
import contextlib
import importlib.util
import secrets
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.app import serve
from bot.core.errors import BotError
from bot.manifest import manifest
from bot.providers import PROVIDERS
from bot.security.vault import new_key
from bot.settings import Settings
from playground import Playground
from playground.ci import LocalCi, ci_app
from playground.clock import Clock

SEED = 7
BUSY_SECONDS = 2.0
IDLE_SECONDS = 5.0


async def play(*, port: int, speed: float, database: Path | None, say: Callable[[str], None]) -> None:
    """Serve the page, the local Slack, the local CI systems and the bot on loopback until stopped, all on one clock.

    `port` 0 takes a free one. Without `database` a temporary file is used. Raises BotError when the port is taken.
    """
    clock = Clock()
    local_ci = LocalCi(seed=SEED, speed=speed, clock=clock)
    signing_secret = secrets.token_hex(16)
    bot_token = f"xoxb-{secrets.token_hex(16)}"
    unfurl_domains = ("127.0.0.1", "localhost")
    playground = Playground(
        bot_url="",
        signing_secret=signing_secret,
        bot_token=bot_token,
        port=port,
        ci_app=ci_app(local_ci),
        manifest=manifest(unfurl_domains=unfurl_domains),
        clock=clock,
    )
    try:
        await playground.start()
    except OSError as exc:
        raise BotError(
            f"The page can't be served on port {port}: {exc.strerror or 'it is taken'}.",
            hint="Try `buildbell demo --port 0`.",
        ) from exc
    bot_port = _free_port()
    with tempfile.TemporaryDirectory(prefix="buildbell-demo-") as folder:
        file = database or Path(folder) / "demo.db"
        settings = Settings(
            slack_bot_token=bot_token,
            slack_signing_secret=signing_secret,
            slack_api_url=playground.slack_api_url,
            database_url=f"sqlite:///{file}",
            host="127.0.0.1",
            port=bot_port,
            keys=new_key(),
            watch_busy_seconds=BUSY_SECONDS,
            watch_idle_seconds=IDLE_SECONDS,
            unfurl_domains=unfurl_domains,
            internal_addresses=True,
            public_url=f"http://127.0.0.1:{bot_port}",
            mcp_enabled=importlib.util.find_spec("mcp") is not None,
            connections={
                name: options
                for name, options in local_ci.connections(playground.address).items()
                if options["kind"] in PROVIDERS
            },
        )
        labels = sorted(system.label for system in local_ci.systems.values())
        serving = asyncio.ensure_future(
            serve(
                settings,
                ready=lambda bot: _ready(playground, bot, labels, say, has_mcp=settings.mcp_enabled),
                now=clock.utc,
            )
        )
        try:
            await serving
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            await playground.stop()
            await local_ci.aclose()


def _free_port() -> int:
    """Return a port for the bot: its public address, which messages name, has to be known before it listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _ready(
    playground: Playground, bot_port: int, systems: Sequence[str], say: Callable[[str], None], *, has_mcp: bool
) -> None:
    playground.bot_url = f"http://127.0.0.1:{bot_port}"
    say("")
    say(f"  Buildbell's playground: {playground.address}")
    say(f"  CI systems: {', '.join(systems)}")
    if has_mcp:
        say(f"  For programs (MCP): {playground.bot_url}/mcp, with a token of App Home > Tokens for programs")
    say("  Type /build help in the page, or /build list pipelines. Ctrl-C ends it.")
    say("")
