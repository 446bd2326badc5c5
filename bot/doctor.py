"""What is wrong, in plain words: settings, database, Slack, every connection; and sealing secrets with a new key."""

from dataclasses import dataclass, replace

from bot.app import App, introduced, opened
from bot.core import clock
from bot.core.errors import BotError
from bot.manifest import SCOPES
from bot.security.vault import Vault
from bot.settings import Settings
from bot.slack.sender import SlackError
from bot.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    fine: bool
    message: str


async def examine(settings: Settings) -> list[Finding]:
    """Return everything that can be checked without acting. Costs a few requests for each connection."""
    findings = [
        Finding("settings", not (wrong := settings.problems_for_serving(web=True)), "; ".join(wrong) or "complete")
    ]
    async with opened(settings, migrate=False) as app:
        findings.append(await _database(app))
        findings += await _slack(app)
        if not findings[1].fine:
            return findings
        for name in app.connections.names():
            findings.append(await _connection(app, name))
        for name in app.connections.nobodys():
            message = (
                "belongs to no workspace, because several had the bot when it was first seen: name its `workspaces`"
            )
            findings.append(Finding(name, fine=False, message=message))
        for poll_target in await app.store.polling.targets():
            if poll_target.failing_since is not None:
                target = f"{poll_target.connection}{f' ({poll_target.part})' if poll_target.part else ''}"
                findings.append(Finding(f"watching {target}", fine=False, message=poll_target.last_error))
    return findings


async def _database(app: App) -> Finding:
    try:
        await app.store.ping()
        revision, head = await app.store.revision(), app.store.head()
    except BotError as exc:
        return Finding("database", fine=False, message=str(exc))
    if revision != head:
        return Finding(
            "database", fine=False, message=f"at {revision or 'no schema'}, not {head}: run `buildbell migrate`"
        )
    waiting = await app.store.inbox.count_open()
    return Finding("database", fine=True, message=f"{app.store.dialect}, schema {head}, {waiting} deliveries open")


async def _slack(app: App) -> list[Finding]:
    try:
        await introduced(app)
    except BotError as exc:
        return [Finding("Slack", fine=False, message=f"{exc} {exc.hint or ''}".strip())]
    findings: list[Finding] = []
    for team in await app.installs.teams():
        try:
            scopes = await app.sender.scopes(team)
        except SlackError as exc:
            findings.append(Finding(f"Slack {team}", fine=False, message=str(exc)))
            continue
        missing = [scope for scope in SCOPES if scopes and scope not in scopes]
        message = (
            f"lacks the scopes {', '.join(missing)}: paste the manifest again and reinstall" if missing else "reachable"
        )
        findings.append(Finding(f"Slack {team}", not missing, message))
    return findings or [Finding("Slack", fine=True, message="no workspace has installed the bot yet")]


async def _connection(app: App, name: str) -> Finding:
    provider = app.connections.by_name(name)
    if provider is None:
        return Finding(name, fine=False, message="can't be opened")
    try:
        account = await provider.check()
    except BotError as exc:
        return Finding(f"{name} ({provider.label})", fine=False, message=f"{exc} {exc.hint or ''}".strip())
    parts = [account.name, account.detail or ""]
    if account.missing:
        parts.append(f"lacks {', '.join(account.missing)}")
    if account.expires_at is not None:
        parts.append(f"its token ends {account.expires_at:%Y-%m-%d}")
    parts += account.warnings
    if provider.options.webhook_secret is None:
        parts.append("no webhook_secret: polled only")
    return Finding(f"{name} ({provider.label})", not account.missing, ", ".join(part for part in parts if part))


async def seal_again(settings: Settings, vault: Vault) -> str:
    """Seal every stored secret with the first key and return how many there were."""
    store = await Store.open(settings.database_url, clock=clock.now)
    try:
        done = 0
        for row in await store.connections.all():
            if row.settings:
                sealed = vault.reseal(row.settings, about=f"connection/{row.name}/{row.kind}/settings")
                await store.connections.save(replace(row, settings=sealed))
                done += 1
        for install in await store.installs.all():
            about = f"install/{install.enterprise}/{install.team}"
            bot_token, refresh_token = install.bot_token, install.refresh_token
            if bot_token:
                bot_token = vault.reseal(bot_token, about=f"{about}/bot_token")
            if refresh_token:
                refresh_token = vault.reseal(refresh_token, about=f"{about}/refresh_token")
            done += bool(bot_token) + bool(refresh_token)
            await store.installs.save(replace(install, bot_token=bot_token, refresh_token=refresh_token))
    finally:
        await store.close()
    return f"{done} secrets are sealed with the key `{vault.current}`."
