"""Installing the bot into a workspace or an organization by OAuth v2."""

import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from slack_sdk.web.async_client import AsyncWebClient

from bot.core.errors import BotError
from bot.http.transport import Session
from bot.slack.installs import Installs
from bot.slack.sender import SlackError, SlackLimited, SlackUnreachable, SlackUnsure, faults
from bot.store import Store
from bot.store.rows import InstallRow

STATE_SECONDS = 600
AUTHORIZE = "https://slack.com/oauth/v2/authorize"


class Oauth:
    """The way of a browser through Slack's consent page and back, each state good for one use in ten minutes."""

    def __init__(
        self,
        store: Store,
        installs: Installs,
        *,
        session: Session,
        api_url: str,
        client_id: str,
        client_secret: str,
        redirect_url: str,
        scopes: Sequence[str],
    ) -> None:
        self._store = store
        self._installs = installs
        self._session = session
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_url = redirect_url
        self._scopes = scopes

    @property
    def authorize_page(self) -> str:
        """Return Slack's consent page; a local Slack has its own."""
        if self._api_url == "https://slack.com/api/":
            return AUTHORIZE
        return f"{self._api_url.removesuffix('/api/')}/oauth/v2/authorize"

    async def begin(self) -> tuple[str, str]:
        """Return a fresh state, remembered for one use, and the address to send the browser to."""
        state = secrets.token_urlsafe(24)
        await self._store.tokens.add(f"oauth:{state}", seconds=STATE_SECONDS, value="1")
        query = {"client_id": self._client_id, "scope": ",".join(self._scopes), "state": state}
        if self._redirect_url:
            query["redirect_uri"] = self._redirect_url
        return state, f"{self.authorize_page}?{urlencode(query)}"

    async def finish(self, *, state: str, cookie: str, code: str) -> InstallRow:
        """Exchange a code for a token, keep it sealed, and return the installation. Raises BotError."""
        fits = bool(state) and secrets.compare_digest(state.encode(), cookie.encode())
        if not fits or await self._store.tokens.take(f"oauth:{state}") is None:
            raise BotError(
                "This installation was begun in another browser, or more than ten minutes ago.",
                hint="Begin again at /slack/install.",
            )
        client = AsyncWebClient(base_url=self._api_url, session=self._session, retry_handlers=[])
        try:
            with faults():
                response = await client.oauth_v2_access(
                    client_id=self._client_id,
                    client_secret=self._client_secret,
                    code=code,
                    redirect_uri=self._redirect_url or None,
                )
        except (SlackUnsure, SlackUnreachable, SlackLimited) as exc:
            raise BotError("Slack can't be reached.", hint="Try again in a minute.") from exc
        except SlackError as exc:
            raise BotError(f"Slack refused the installation: {exc.code.replace('_', ' ')}.") from exc
        answer = response.data
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise BotError("Slack answered without a token.")
        return await self._installs.save(answer)
