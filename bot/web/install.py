"""Installing the bot into a workspace: to Slack's consent page and back."""

import html
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bot.core.errors import BotError
from bot.slack.oauth import Oauth

log = logging.getLogger(__name__)

STATE_COOKIE = "slack-app-oauth-state"


class InstallPages:
    """`/slack/install` and `/slack/oauth_redirect`. `installed` is called with each new workspace."""

    def __init__(self, oauth: Oauth, *, installed: Callable[[str], Awaitable[None]]) -> None:
        self._oauth = oauth
        self._installed = installed

    async def install(self, request: Request) -> Response:
        """Send the browser to Slack's consent page, its state in a cookie."""
        state, address = await self._oauth.begin()
        answer = RedirectResponse(address, 302)
        answer.set_cookie(
            STATE_COOKIE, state, max_age=600, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return answer

    async def oauth_redirect(self, request: Request) -> Response:
        """Finish an installation and say so in plain words."""
        refused = request.query_params.get("error")
        if refused:
            return _page("Not installed", f"Slack says: {refused}.", 400)
        try:
            row = await self._oauth.finish(
                state=request.query_params.get("state", ""),
                cookie=request.cookies.get(STATE_COOKIE, ""),
                code=request.query_params.get("code", ""),
            )
        except BotError as exc:
            return _page("Not installed", f"{exc} {exc.hint or ''}", 400)
        try:
            await self._installed(row.team)
        except BotError as exc:
            log.warning("what follows an installation failed", extra={"why": str(exc)})
        answer = _page(
            "Installed", f"Buildbell is installed in {row.team_name or 'your workspace'}. You can close this page.", 200
        )
        answer.delete_cookie(STATE_COOKIE)
        return answer


def _page(title: str, text: str, status: int) -> HTMLResponse:
    words = f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>{words}", status)
