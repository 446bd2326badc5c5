"""What is wrong, in plain words: settings, database, keys, and all that `/build doctor` looks at; and sealing secrets anew."""

from dataclasses import replace

from bot.app import App, introduced, opened
from bot.core import clock
from bot.core.errors import BotError
from bot.security.vault import Vault
from bot.settings import Settings
from bot.store import Store
from commands.core import checkup
from commands.core.checkup import Finding, Level

IN_MEMORY = "sqlite://"


async def examine(settings: Settings) -> list[Finding]:
    """Return everything that can be checked without acting, in the order in which to mend it.

    Costs a few requests for each connection and one for each linked channel.
    """
    findings = _settings(settings)
    async with opened(settings, migrate=False) as app:
        database, is_ready = await _database(app)
        findings.append(database)
        if database.level is Level.PROBLEM:
            return findings
        if is_ready:
            return [*findings, await checkup.database(app.services), *await _keys(app), *await _reachable(app)]
    # `serve` will make or change the tables, which is not the doctor's to do: what needs none is looked at all the same.
    async with opened(settings.model_copy(update={"database_url": IN_MEMORY}), migrate=True) as app:
        return findings + await _reachable(app)


def _settings(settings: Settings) -> list[Finding]:
    wrong = settings.problems_for_serving(web=True)
    if not wrong:
        return [Finding(what="settings", level=Level.FINE, message="complete")]
    fix = "set it in the environment or in buildbell.toml"
    return [Finding(what="settings", level=Level.PROBLEM, message=problem, fix=fix) for problem in wrong]


async def _database(app: App) -> tuple[Finding, bool]:
    """Return the finding on the database, and whether its tables are those of this version."""
    what = "database"
    try:
        await app.store.ping()
        revision, head = await app.store.revision(), app.store.head()
    except BotError as exc:
        fix = exc.hint or "see that the database runs, and that DATABASE_URL names it"
        return Finding(what=what, level=Level.PROBLEM, message=str(exc), fix=fix), False
    if revision == head:
        waiting = await app.store.inbox.count_open()
        message = f"{app.store.dialect}, {head}, {waiting} deliveries open"
        return Finding(what="schema", level=Level.FINE, message=message), True
    at = f"at {revision}" if revision else "empty"
    if app.store.dialect == "sqlite":
        return Finding(what=what, level=Level.FINE, message=f"{at}; `buildbell serve` brings it to {head}"), False
    message = f"{at}, this version needs {head}"
    return Finding(what=what, level=Level.PROBLEM, message=message, fix="run `buildbell migrate`"), False


async def _keys(app: App) -> list[Finding]:
    """Return whether every stored secret can be opened."""
    closed = [
        f"connection {row.name}"
        for row in await app.store.connections.all()
        if row.settings and not _opens(app.vault, row.settings, f"connection/{row.name}/{row.kind}/settings")
    ]
    for install in await app.store.installs.all():
        about = f"install/{install.enterprise}/{install.team}/bot_token"
        if install.bot_token and not _opens(app.vault, install.bot_token, about):
            closed.append(f"workspace {install.team}")
    if closed:
        fix = "put the key they were sealed with back into BUILDBELL_KEYS, or connect them again"
        message = f"no key opens the secrets of {', '.join(closed)}"
        return [Finding(what="keys", level=Level.PROBLEM, message=message, fix=fix)]
    if app.vault.can_seal:
        return [Finding(what="keys", level=Level.FINE, message=f"`{app.vault.current}` seals")]
    return checkup.keys(app.services)


def _opens(vault: Vault, sealed: str, about: str) -> bool:
    try:
        vault.open(sealed, about=about)
    except BotError:
        return False
    return True


async def _reachable(app: App) -> list[Finding]:
    """Return what the command in Slack checks too, of every workspace and every connection."""
    try:
        await introduced(app)
    except BotError as exc:
        return [Finding(what="Slack", level=Level.PROBLEM, message=str(exc), fix=exc.hint or "")]
    teams = await app.installs.teams()
    findings = [] if teams else [Finding(what="Slack", level=Level.FINE, message="no workspace has the bot yet")]
    providers = []
    for name in app.connections.names():
        provider = app.connections.by_name(name)
        if provider is None:
            findings.append(Finding(what=name, level=Level.PROBLEM, message="can't be opened"))
        else:
            providers.append(provider)
    findings += await checkup.checkup(app.services, teams, providers)
    for name in app.connections.nobodys():
        message = "belongs to no workspace, because several had the bot when it was first seen"
        findings.append(Finding(what=name, level=Level.PROBLEM, message=message, fix="name its `workspaces`"))
    return findings


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
