"""Which connections there are, and which workspace may see which.

They come from the configuration, or were made in Slack (settings sealed in the store). A connection belongs to the
workspaces named for it. Without a name it is bound once, by id and for ever, to the only workspace that has the bot
when the connection is first seen; where several have it then, it belongs to nobody. No later workspace inherits it.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
from pydantic import ValidationError

from bot.core.clock import Clock
from bot.core.errors import BotError, NotAllowed, UsageError
from bot.http.budget import Budgeted
from bot.providers import PROVIDERS, open_provider
from bot.providers.base.options import Options
from bot.providers.base.provider import AnyProvider
from bot.security.vault import Vault
from bot.store import Store
from bot.store.rows import ConnectionRow

log = logging.getLogger(__name__)

REFRESH_SECONDS = 3.0
MISS_SECONDS = 1.0


def read_options(name: str, settings: Mapping[str, object]) -> tuple[str, Options]:
    """Return a connection's kind and options. Raises UsageError listing every problem in plain words."""
    rest = dict(settings)
    kind = str(rest.pop("kind", "") or "")
    if kind not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise UsageError(
            f"Connection `{name}`: `kind` is {f'`{kind}`' if kind else 'missing'}.", hint=f"Kinds: {known}."
        )
    try:
        return kind, PROVIDERS[kind].options_type.model_validate(rest)
    except ValidationError as exc:
        problems = "; ".join(
            f"`{'.'.join(str(part) for part in error['loc']) or kind}`: {_plain(error)}" for error in exc.errors()
        )
        raise UsageError(f"Connection `{name}`: {problems}.") from exc


def _plain(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not an option of this kind"
        case _:
            return str(error["msg"]).removeprefix("Value error, ").rstrip(".")


class Connections:
    """The connections, open."""

    def __init__(
        self,
        store: Store,
        *,
        vault: Vault,
        client: Callable[[bool], httpx.AsyncClient],
        clock: Clock,
        teams: Callable[[], Awaitable[Sequence[str]]],
        configured: Mapping[str, tuple[str, Options]],
        allow_private: bool = False,
    ) -> None:
        self._store = store
        self._vault = vault
        self._client = client
        self._clock = clock
        self._teams = teams
        self._allow_private = allow_private
        self._configured = {name: self._open(name, kind, options) for name, (kind, options) in configured.items()}
        self._made: dict[str, tuple[str, str, AnyProvider]] = {}
        self._unfit: dict[str, str] = {}
        self._bindings: dict[str, str] = {}
        self._no_team_known = True
        self._refreshed_at: datetime | None = None
        self._refreshing = asyncio.Lock()

    def _open(self, name: str, kind: str, options: Options) -> AnyProvider:
        return open_provider(name, kind, options, client=self._client(options.private_network), clock=self._clock)

    async def refresh(self) -> None:
        """Read again which connections were made in Slack and how many workspaces there are."""
        teams = await self._teams()
        unnamed = [name for name, provider in self._configured.items() if not provider.options.workspaces]
        self._bindings = await self._store.bindings.bind(unnamed, teams)
        self._no_team_known = not teams
        self._refreshed_at = self._clock()
        rows = {row.name: row for row in await self._store.connections.all() if row.settings}
        for name in set(self._made) - rows.keys():
            del self._made[name]
        for name, row in rows.items():
            known = self._made.get(name)
            is_same = known is not None and known[:2] == (row.team, row.settings)
            if name in self._configured or is_same or self._unfit.get(name) == row.settings:
                continue
            # What was open under this name may be another workspace's by now.
            self._made.pop(name, None)
            try:
                settings = json.loads(self._vault.open(row.settings, about=_about(name, row.kind)))
                kind, options = read_options(name, {"kind": row.kind, **settings})
                self._made[name] = (row.team, row.settings, self._open(name, kind, options))
                self._unfit.pop(name, None)
            except BotError as exc:
                self._unfit[name] = row.settings
                log.warning("a connection can't be opened", extra={"connection": name, "why": str(exc)})

    async def run(self) -> None:
        """Follow what other processes change, until cancelled; a database that is away only delays."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except BotError as exc:
                log.warning("connections can't be read", extra={"why": str(exc)})

    async def find(self, name: str) -> AnyProvider | None:
        """Return a connection as `by_name`, having read the store again where another process may just have made it.

        Looks at most once a second, whoever asks for what. Where the database is away, what is known counts.
        """
        provider = self.by_name(name)
        if provider is not None:
            return provider
        await self._refresh_after_miss()
        return self.by_name(name)

    async def catch_up(self, team: str) -> bool:
        """Read the store again as `find` does, and return whether the workspace sees other connections than before."""
        before = set(self.visible(team))
        await self._refresh_after_miss()
        return set(self.visible(team)) != before

    async def _refresh_after_miss(self) -> None:
        async with self._refreshing:
            since = self._refreshed_at
            if since is None or (self._clock() - since).total_seconds() >= MISS_SECONDS:
                try:
                    await self.refresh()
                except BotError as exc:
                    log.warning("connections can't be read", extra={"why": str(exc)})

    def by_name(self, name: str) -> AnyProvider | None:
        """Return a connection whoever asks; for the poller and for webhooks, never for people."""
        if name in self._configured:
            return self._configured[name]
        made = self._made.get(name)
        return made[2] if made else None

    def budgets(self) -> dict[str, Budgeted]:
        """Return the budget of each connection, by its name."""
        return {name: provider.budget for name in self.names() if (provider := self.by_name(name)) is not None}

    def serving(self, team: str, name: str) -> AnyProvider | None:
        """Return a connection if a workspace's notifications may come from it.

        As `get`, except that a connection that is not bound yet, because Slack has not said which workspaces there
        are, withholds nobody's news.
        """
        is_open = self._no_team_known and name not in self._bindings
        provider = self._configured.get(name) if is_open else None
        if provider is not None and not provider.options.workspaces:
            return provider
        return self.get(team, name)

    def get(self, team: str, name: str) -> AnyProvider | None:
        """Return a connection if the workspace may see it."""
        provider = self.by_name(name)
        return provider if provider is not None and self._sees(team, name, provider) else None

    def visible(self, team: str) -> tuple[AnyProvider, ...]:
        """Return the connections a workspace may see, by name."""
        names = sorted({*self._configured, *self._made})
        return tuple(provider for name in names if (provider := self.get(team, name)) is not None)

    def labels(self, team: str) -> dict[str, str]:
        """Return each visible connection's name with its CI system's."""
        return {provider.connection: provider.label for provider in self.visible(team)}

    def kind(self, name: str) -> str:
        """Return a connection's kind, or an empty text where there is none of that name."""
        provider = self.by_name(name)
        return provider.kind if provider else ""

    def nobodys(self) -> tuple[str, ...]:
        """Return the connections of the configuration that belong to no workspace, because several had the bot."""
        return tuple(
            sorted(
                name
                for name, provider in self._configured.items()
                if not provider.options.workspaces and self._bindings.get(name) == ""
            )
        )

    def names(self) -> tuple[str, ...]:
        """Return every connection's name."""
        return tuple(sorted({*self._configured, *self._made}))

    def from_slack(self, name: str) -> bool:
        """Return whether a connection was made in Slack (and can be removed there)."""
        return name in self._made and name not in self._configured

    async def add(self, *, team: str, name: str, kind: str, settings: Mapping[str, object], user: str) -> AnyProvider:
        """Check a connection by a real call, keep it sealed, and return it. Raises BotError; then nothing is kept."""
        if name in self._configured or (name in self._made and self._made[name][0] != team):
            raise UsageError(f"The name `{name}` is taken.")
        if settings.get("private_network") and not self._allow_private:
            raise NotAllowed(
                "Connections made in Slack may not use private addresses.",
                hint="The operator can allow it with `internal_addresses = true` in `[access]`, or add the connection to "
                "buildbell.toml with `private_network = true`.",
            )
        kind, options = read_options(name, {"kind": kind, **settings})
        provider = self._open(name, kind, options)
        await provider.check()
        sealed = self._vault.seal(json.dumps(dict(settings)), about=_about(name, kind))
        await self._store.connections.save(
            ConnectionRow(name=name, kind=kind, team=team, settings=sealed, created_by=user, created_at=self._clock())
        )
        self._made[name] = (team, sealed, provider)
        return provider

    async def renew(self, *, team: str, name: str, settings: Mapping[str, object]) -> AnyProvider:
        """Change some settings of a connection made in Slack, checked by a real call. Raises BotError; then all stays."""
        made = self._made.get(name)
        rows = [row for row in await self._store.connections.all() if row.name == name and row.team == team]
        if made is None or made[0] != team or not rows:
            raise UsageError(f"`{name}` was not connected in Slack, so I can't change it here.")
        about = _about(name, rows[0].kind)
        changed = {**json.loads(self._vault.open(rows[0].settings, about=about)), **settings}
        kind, options = read_options(name, {"kind": rows[0].kind, **changed})
        provider = self._open(name, kind, options)
        await provider.check()
        sealed = self._vault.seal(json.dumps(changed), about=about)
        await self._store.connections.save(replace(rows[0], settings=sealed))
        self._made[name] = (team, sealed, provider)
        return provider

    async def remove(self, *, team: str, name: str) -> None:
        """Leave nothing of a connection made in Slack: its secrets, links, builds, cards and notifications go."""
        made = self._made.get(name)
        if made is None or made[0] != team:
            raise UsageError(f"`{name}` was not connected in Slack, so I can't disconnect it here.")
        await self._store.forgetting.connection(name)
        self._made.pop(name, None)

    def only_seen_by(self, team: str) -> tuple[str, ...]:
        """Return the connections of the configuration that no other workspace sees."""
        return tuple(
            name
            for name, provider in self._configured.items()
            if (provider.options.workspaces or (self._bindings.get(name),)) == (team,)
        )

    def _sees(self, team: str, name: str, provider: AnyProvider) -> bool:
        if name in self._made and name not in self._configured:
            return self._made[name][0] == team
        named = provider.options.workspaces
        return team in named if named else bool(team) and team == self._bindings.get(name)


def _about(name: str, kind: str) -> str:
    return f"connection/{name}/{kind}/settings"
