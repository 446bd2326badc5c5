"""The `buildbell` command: serve, demo, doctor, migrate, manifest, ask, mcp."""

import gc

gc.disable()  # what the imports below make stays: `_run` sets it aside, and switches collections on again

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bot import logs
from bot.app import App, introduced, mcp_server, opened, read_connections, serve
from bot.blocks.plain import as_text
from bot.core import clock
from bot.core.errors import BotError
from bot.manifest import manifest
from bot.security.vault import Vault, new_key
from bot.settings import Settings
from bot.store import Store
from commands.core.checkup import Level, verdict
from commands.core.context import Context, Source
from commands.core.executor import execute

cli = typer.Typer(name="buildbell", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def _settings() -> Settings:
    return Settings.read(os.environ)  # noqa: TID251 - the command line reads the environment


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop; None, for Python's own, where it is not installed (Windows)."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def _run(work: Coroutine[Any, Any, int | None]) -> None:
    gc.freeze()
    gc.enable()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            code = runner.run(work)
    except BotError as exc:
        err.print(f"{exc}{f' {exc.hint}' if exc.hint else ''}", style="red", markup=False)
        raise typer.Exit(1) from exc
    except KeyboardInterrupt:
        code = 0
    if code:
        raise typer.Exit(code)


def _checked() -> Settings:
    try:
        settings = _settings()
        read_connections(settings)
    except BotError as exc:
        err.print(f"{exc}{f' {exc.hint}' if exc.hint else ''}", style="red", markup=False)
        raise typer.Exit(2) from exc
    return settings


@cli.command("serve")
def serve_command(
    only: Annotated[str, typer.Option(help="web or worker: run only that part.")] = "",
) -> None:
    """Serve: Slack's requests, webhooks, watching and notifications, in one process."""
    if only not in {"", "web", "worker"}:
        err.print("--only takes web or worker.", style="red")
        raise typer.Exit(2)
    settings = _checked()
    logs.set_up(settings.log_level, settings.log_format)

    def ready(port: int) -> None:
        err.print(f"Buildbell listens on {settings.host}:{port}.")

    async def work() -> None:
        await serve(settings, web=only != "worker", worker=only != "web", ready=ready)

    _run(work())


@cli.command("forget")
def forget_command(
    team: Annotated[str, typer.Argument(help="The workspace's id, T….")],
    user: Annotated[str, typer.Argument(help="The person's id, U….")],
) -> None:
    """Leave nothing of a person in the database."""
    settings = _checked()

    async def work() -> None:
        store = await Store.open(settings.database_url, clock=clock.now)
        try:
            count = await store.forgetting.person(team, user)
            out.print(f"{count} rows were deleted or changed.")
        finally:
            await store.close()

    _run(work())


@cli.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema."""
    settings = _checked()

    async def work() -> None:
        store = await Store.open(settings.database_url, clock=clock.now)
        try:
            await store.migrate()
            out.print(f"The database is at {await store.revision()}.")
        finally:
            await store.close()

    _run(work())


@cli.command("manifest")
def manifest_command(
    url: Annotated[str, typer.Option(help="The bot's public address.")] = "",
    socket: Annotated[bool, typer.Option("--socket", help="For Socket Mode.")] = False,  # noqa: FBT002 - a switch
) -> None:
    """Print the Slack app's manifest, to be pasted where an app is made."""
    settings = _checked()
    made = manifest(
        command=settings.command,
        url=url or settings.public_url,
        socket=socket,
        unfurl_domains=settings.unfurl_domains,
        oauth=settings.by_oauth,
    )
    sys.stdout.write(json.dumps(made, indent=2) + "\n")


@cli.command("ask")
def ask_command(
    words: Annotated[str, typer.Argument(help="What one would type after /build.")],
    channel: Annotated[str, typer.Option("--channel", help="The channel's id (or #name).")],
    team: Annotated[str, typer.Option(help="The workspace's id, where there are several.")] = "",
) -> None:
    """Type a command in a terminal; blocks are drawn as text."""
    settings = _checked()
    logs.set_up("WARNING", settings.log_format)

    async def work() -> int:
        async with opened(settings, migrate=settings.database_url.startswith("sqlite")) as app:
            await introduced(app)
            teams = await app.installs.teams()
            place = team or (teams[0] if len(teams) == 1 else "")
            if not place:
                err.print("Which workspace? Give its id with --team.", style="red")
                return 2
            handled = await execute(
                words.removeprefix(settings.command).strip(),
                Context(
                    services=app.services,
                    team=place,
                    channel=await _channel(app, place, channel),
                    channel_name=channel.removeprefix("#"),
                    user="",
                    source=Source.TERMINAL,
                    now=clock.now(),
                ),
            )
            await app.outbox.tick()
            await app.outbox.settle()
            if handled.answer.file is not None:
                sys.stdout.buffer.write(handled.answer.file.content)
            elif handled.answer.message is not None:
                out.print(as_text(handled.answer.message.payload()), markup=False)
            return 0 if handled.outcome == "ok" else 1

    _run(work())


async def _channel(app: App, team: str, name: str) -> str:
    if not name.startswith("#"):
        return name
    cursor = ""
    for _page in range(20):
        query: dict[str, object] = {"limit": 200, "exclude_archived": True, "types": "public_channel,private_channel"}
        reply = await app.sender.call(team, "conversations.list", query | ({"cursor": cursor} if cursor else {}))
        for channel in reply.get("channels") or []:
            if channel.get("name") == name[1:]:
                return str(channel["id"])
        cursor = str((reply.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            break
    return name


@cli.command("doctor")
def doctor_command(
    new_key_: Annotated[bool, typer.Option("--new-key", help="Print a fresh key for BUILDBELL_KEYS.")] = False,  # noqa: FBT002
    rekey: Annotated[bool, typer.Option("--rekey", help="Seal every secret again with the first key.")] = False,  # noqa: FBT002
) -> None:
    """Check settings, database, Slack and every connection, and say what is wrong."""
    if new_key_:
        sys.stdout.write(new_key() + "\n")
        return
    from bot.doctor import examine, seal_again  # noqa: PLC0415 - only this command has a use for it

    settings = _checked()
    logs.set_up("ERROR", settings.log_format)

    async def work() -> int:
        vault = Vault.from_text(settings.keys.get_secret_value()) if settings.keys.get_secret_value() else Vault.empty
        if rekey:
            out.print(await seal_again(settings, vault))
            return 0
        findings = await examine(settings)
        for finding in findings:
            out.print(finding.line, markup=False)
        out.print(verdict(findings), markup=False)
        return 1 if any(finding.level is Level.PROBLEM for finding in findings) else 0

    _run(work())


@cli.command("mcp")
def mcp_command() -> None:
    """Serve a program over stdin and stdout (Model Context Protocol), as the person whose token BUILDBELL_TOKEN is."""
    settings = _checked()
    logs.set_up("WARNING", settings.log_format)

    async def work() -> int:
        if not settings.mcp_enabled:
            err.print(
                "The Model Context Protocol is switched off: set `enabled = true` in `[mcp]`.",
                style="red",
                markup=False,
            )
            return 2
        async with opened(settings, migrate=settings.database_url.startswith("sqlite")) as app:
            await introduced(app)
            await mcp_server().serve_stdio(app.mcp_calls, settings.personal_token.get_secret_value())
        return 0

    _run(work())


@cli.command("demo")
def demo_command(
    port: Annotated[int, typer.Option(help="The page's port; 0 takes a free one.")] = 4500,
    speed: Annotated[float, typer.Option(help="How much faster than real the CI systems run.")] = 1.0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's database between runs.")] = False,  # noqa: FBT002
) -> None:
    """Play with everything on this machine: a local Slack in the browser, local CI systems, the bot unchanged."""
    from bot.demo import play  # noqa: PLC0415 - brings the playground, which serving has no use for

    logs.set_up(os.environ.get("LOG_LEVEL", "INFO").upper(), os.environ.get("LOG_FORMAT", "console"))  # noqa: TID251
    _run(play(port=port, speed=speed, database=Path("data/demo.db") if keep else None, say=out.print))


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()
