"""Workspaces: whose token to use, sealed in the store, rotated in time.

With one token in the settings there is one workspace and no store behind it.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.core.clock import Clock
from bot.core.errors import BotError
from bot.http.transport import Session
from bot.security.vault import Vault
from bot.slack.sender import SlackError, SlackLimited, SlackUnreachable, SlackUnsure, faults
from bot.store import Store
from bot.store.rows import InstallRow, NewInstall

log = logging.getLogger(__name__)

ROTATE_BEFORE = timedelta(hours=2)
FRESH_FOR = timedelta(minutes=5)


class NotInstalled(SlackError):
    """The workspace has not installed the bot, or has removed it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("not_installed", message=message, hint=hint)


class SlackAway(BotError):
    """Slack can't be reached now; it may be later."""


class Installs:
    """The bot's installations: a workspace's token, or an organization's as a fall-back."""

    def __init__(
        self,
        store: Store,
        *,
        session: Session,
        api_url: str,
        clock: Clock,
        vault: Vault,
        single_token: str = "",
        client_id: str = "",
        client_secret: str = "",
    ) -> None:
        self._store = store
        self._session = session
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._clock = clock
        self._vault = vault
        self._single = single_token
        self._client_id = client_id
        self._client_secret = client_secret
        self._cache: dict[tuple[str, str], tuple[datetime, str, InstallRow | None]] = {}
        self._enterprises: dict[str, str] = {}
        self.single_team = ""
        self.bot_user = ""

    async def introduce(self) -> Mapping[str, Any]:
        """Read the bot's own identity from Slack (single token): team, bot user. Raises BotError."""
        client = AsyncWebClient(token=self._single, base_url=self._api_url, session=self._session)
        try:
            with faults():
                identity = (await client.auth_test()).data
        except (SlackUnsure, SlackUnreachable, SlackLimited) as exc:
            raise SlackAway("Slack can't be reached.", hint="Check the network and SLACK_API_URL.") from exc
        except SlackError as exc:
            raise BotError(
                f"Slack does not accept SLACK_BOT_TOKEN ({exc.code}).",
                hint="Copy the bot token from the app's settings.",
            ) from exc
        if not isinstance(identity, dict):
            raise BotError("Slack answered auth.test in a form I don't know.")
        self.single_team = str(identity.get("team_id") or "")
        self.bot_user = str(identity.get("user_id") or "")
        return identity

    async def teams(self) -> tuple[str, ...]:
        """Return the workspaces where the bot is installed."""
        if self._single:
            return (self.single_team,) if self.single_team else ()
        return tuple(row.team for row in await self._store.installs.all() if row.active and row.team)

    async def token(self, team: str, enterprise: str = "") -> str:
        """Return the bot token of a workspace, rotated first where it is about to end. Raises NotInstalled."""
        return (await self._entry(team, enterprise))[0]

    async def bot_user_of(self, team: str, enterprise: str = "") -> str:
        """Return the bot's user id in a workspace."""
        if self._single:
            return self.bot_user
        row = (await self._entry(team, enterprise))[1]
        return row.bot_user if row else ""

    async def _entry(self, team: str, enterprise: str) -> tuple[str, InstallRow | None]:
        if self._single:
            return self._single, None
        now = self._clock()
        cached = self._cache.get((team, enterprise))
        if cached is not None and cached[0] > now:
            return cached[1], cached[2]
        row = await self._serving(team, enterprise)
        if row.token_expires_at is not None and row.token_expires_at - now < ROTATE_BEFORE:
            row = await self._rotated(row)
        token = self._vault.open(row.bot_token, about=_about(row, "bot_token"))
        self._cache[team, enterprise] = (now + FRESH_FOR, token, row)
        return token, row

    async def _serving(self, team: str, enterprise: str) -> InstallRow:
        """Return the install that serves a workspace: its own, else its organization's.

        Notifications know only the workspace. Which organization it belongs to is remembered from its requests; where there
        is but one organization, it is that one.
        """
        enterprise = enterprise or self._enterprises.get(team, "")
        row = await self._store.installs.get(team, enterprise)
        if row is None and not enterprise:
            remembered = await self._store.workspaces.enterprise_of(team)
            orgs = [one for one in await self._store.installs.all() if not one.team]
            if remembered or len(orgs) == 1:
                row = await self._store.installs.get(team, remembered or orgs[0].enterprise)
        elif row is not None and not row.team and team:
            await self._store.workspaces.save(team, row.enterprise)
        if row is None:
            raise NotInstalled(
                "The bot is not installed in this workspace any more.", hint="Install it again from /slack/install."
            )
        return row

    def met(self, team: str, enterprise: str) -> None:
        """Remember which organization a workspace belongs to, as a request names it."""
        if team and enterprise and not self._single:
            self._enterprises[team] = enterprise

    async def _rotated(self, row: InstallRow) -> InstallRow:
        async with self._store.lock(f"rotate:{row.enterprise}:{row.team}"):
            again = await self._store.installs.get(
                row.team, row.enterprise, is_enterprise_install=row.is_enterprise_install
            )
            now = self._clock()
            if again is None or again.id is None:
                raise NotInstalled("The bot was removed from this workspace.")
            if again.token_expires_at is None or again.token_expires_at - now >= ROTATE_BEFORE:
                return again
            client = AsyncWebClient(base_url=self._api_url, session=self._session)
            try:
                with faults():
                    tokens = await client.oauth_v2_access(
                        client_id=self._client_id,
                        client_secret=self._client_secret,
                        grant_type="refresh_token",
                        refresh_token=self._vault.open(again.refresh_token, about=_about(again, "refresh_token")),
                    )
            except SlackError as exc:
                if again.token_expires_at > now:
                    log.warning("a bot token could not be renewed yet", extra={"team": again.team, "code": exc.code})
                    return again
                raise NotInstalled("Slack no longer renews the bot's token here.", hint="Install it again.") from exc
            await self._store.installs.save_tokens(
                again.id,
                bot_token=self._vault.seal(str(tokens["access_token"]), about=_about(again, "bot_token")),
                refresh_token=self._vault.seal(str(tokens["refresh_token"]), about=_about(again, "refresh_token")),
                expires_at=now + timedelta(seconds=int(tokens.get("expires_in") or 43200)),
            )
            fresh = await self._store.installs.get(
                row.team, row.enterprise, is_enterprise_install=row.is_enterprise_install
            )
            return fresh or again

    async def save(self, answer: Mapping[str, Any]) -> InstallRow:
        """Keep what `oauth.v2.access` answered, tokens sealed, and return the row."""
        team = answer.get("team") or {}
        enterprise = answer.get("enterprise") or {}
        by_enterprise = bool(answer.get("is_enterprise_install"))
        now = self._clock()
        row = NewInstall(
            enterprise=str(enterprise.get("id") or ""),
            team="" if by_enterprise else str(team.get("id") or ""),
            team_name=str((enterprise if by_enterprise else team).get("name") or ""),
            app_id=str(answer.get("app_id") or ""),
            bot_user=str(answer.get("bot_user_id") or ""),
            scopes=str(answer.get("scope") or ""),
            installed_by=str((answer.get("authed_user") or {}).get("id") or ""),
            is_enterprise_install=by_enterprise,
            installed_at=now,
        )
        token = self._vault.seal(str(answer.get("access_token") or ""), about=_about(row, "bot_token"))
        row = replace(row, bot_token=token)
        if answer.get("refresh_token"):
            row = replace(
                row,
                refresh_token=self._vault.seal(str(answer["refresh_token"]), about=_about(row, "refresh_token")),
                token_expires_at=now + timedelta(seconds=int(answer.get("expires_in") or 43200)),
            )
        saved = await self._store.installs.save(row)
        self._cache.clear()
        return saved

    async def end(self, team: str, enterprise: str = "") -> None:
        """Forget a workspace's token; its links sleep until it installs the bot again."""
        await self._store.installs.end(team, enterprise)
        self._cache.clear()


def _about(row: NewInstall, field: str) -> str:
    return f"install/{row.enterprise}/{row.team}/{field}"
