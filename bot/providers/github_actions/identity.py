"""Whose credentials a connection has, what they lack, and under which name GitHub records what it does."""

from datetime import timedelta
from urllib.parse import quote

import httpx

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Account
from bot.http.client import Api
from bot.providers.base.times import parse_time
from bot.providers.github_actions import wire
from bot.providers.github_actions.auth import LABEL, GitHubOptions

EXPIRY_WARNING = timedelta(days=14)
APP_NEEDS = {"actions": "write", "contents": "read", "checks": "read", "deployments": "read"}


class Identity:
    """Who one connection is to GitHub."""

    def __init__(self, api: Api, options: GitHubOptions, *, clock: Clock) -> None:
        self._api = api
        self._options = options
        self._clock = clock
        self._login = ""

    async def login(self) -> str:
        """Return the login that stands at what this connection starts. Costs one request, once."""
        if not self._login and self._options.is_app:
            self._login = f"{wire.App.of((await self._api.get('app')).raw).slug}[bot]"
        elif not self._login:
            self._login = wire.User.of((await self._api.get("user")).raw).login or ""
        return self._login

    async def account(self) -> Account:
        """Return whose credentials these are.

        A token costs one request, and one more where its user is not the owner; an App three, and one for its token.
        """
        return await (self._of_app() if self._options.is_app else self._of_token())

    async def _of_token(self) -> Account:
        reply = await self._api.get("user")
        user = wire.User.of(reply.raw)
        self._login = user.login or ""
        owner = self._options.owner
        missing, warnings = _scopes(reply.headers)
        ends = parse_time(reply.headers.get("github-authentication-token-expiration"))
        if ends is not None and ends - self._clock() < EXPIRY_WARNING:
            warnings.append(f"The token ends on {ends:%Y-%m-%d}.")
        if self._login.lower() != owner.lower() and not await self._sees_organization():
            warnings.append(
                f"I see no organization {owner}. If it is a person, I know what is shared with {self._login}."
            )
        return Account(
            name=self._login or user.name or "a token",
            detail=owner,
            missing=missing,
            warnings=tuple(warnings),
            expires_at=ends,
        )

    async def _of_app(self) -> Account:
        app = wire.App.of((await self._api.get("app")).raw)
        owner = self._options.owner
        number = quote(self._options.installation_id, safe="")
        installed = wire.Installation.of((await self._api.get(f"app/installations/{number}")).raw)
        if installed.suspended_at:
            raise AuthFailed(
                "The installation of this App is suspended.",
                provider=LABEL,
                hint="An owner lifts that in the organization's settings, under GitHub Apps.",
            )
        await self._api.get("installation/repositories", {"per_page": 1})
        account = installed.account.login if installed.account else None
        warnings = []
        if account and account.lower() != owner.lower():
            warnings.append(f"The App is installed at {account}, not at {owner}.")
        granted = installed.permissions or {}
        return Account(
            name=app.name or app.slug or "a GitHub App",
            detail=account or owner,
            missing=tuple(
                f"{name}: {level}" for name, level in APP_NEEDS.items() if granted.get(name) not in {level, "write"}
            ),
            warnings=tuple(warnings),
        )

    async def _sees_organization(self) -> bool:
        try:
            await self._api.get(f"orgs/{quote(self._options.owner, safe='')}/repos", {"per_page": 1})
        except NotFound:
            return False
        return True


def _scopes(headers: httpx.Headers) -> tuple[tuple[str, ...], list[str]]:
    """Return what a classic token lacks, and what to know of a fine-grained one: it does not tell what it may."""
    scopes = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",")} - {""}
    if not scopes:
        return (), ["A fine-grained token can't read annotations, so issues are counted from the logs of failed jobs."]
    if "repo" in scopes:
        return (), []
    if "public_repo" in scopes:
        return (), ["With the scope public_repo I see public repositories only."]
    return ("repo",), []
