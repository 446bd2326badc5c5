"""Everything that goes out to Slack: one message a second for each channel, no post sent twice by itself.

The outbox decides what to do when a post's fate is unknown; here a fault only gets its name.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.blocks.message import Message
from bot.core.clock import Sleep, sleep
from bot.core.errors import BotError
from bot.http.transport import NEVER_SENT, WIRE_FAULTS, Session

log = logging.getLogger(__name__)

METADATA_EVENT = "buildbell_notice"
SPACING_SECONDS = 1.0
MOST_LANES = 4096
HISTORY_PAGES = 3
MOST_WAIT_SECONDS = 20.0

GONE = frozenset({"channel_not_found", "is_archived", "not_in_channel", "channel_is_archived", "user_not_found"})
REVOKED = frozenset(
    {
        "token_revoked",
        "account_inactive",
        "invalid_auth",
        "not_authed",
        "not_installed",
        "token_expired",
        "org_login_required",
        "team_access_not_granted",
    }
)
UNFIT = frozenset(
    {"invalid_blocks", "invalid_attachments", "msg_blocks_too_long", "msg_too_long", "metadata_too_large"}
)

Token = Callable[[str], Awaitable[str]]


class SlackError(BotError):
    """Slack refused; `code` is its word."""

    def __init__(self, code: str, *, message: str = "", hint: str | None = None) -> None:
        super().__init__(message or f"Slack refused: {code.replace('_', ' ')}.", hint=hint)
        self.code = code


class SlackLimited(SlackError):
    """Slack asks to wait `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


class SlackUnsure(SlackError):
    """No answer came: whether the call took effect is unknown."""

    def __init__(self) -> None:
        super().__init__("no_answer")


class SlackUnreachable(SlackError):
    """Nothing was sent: no connection."""

    def __init__(self) -> None:
        super().__init__("unreachable")


@dataclass(slots=True)
class _Lane:
    lock: asyncio.Lock
    free_at: float = 0.0
    users: int = 0


class Sender:
    """Calls to Slack's Web API with each workspace's own token, over the process's one session.

    `token` returns a workspace's bot token. Raises the errors of this module. What a channel has to wait for longer
    than 20 s (others are before it, or Slack asked for a pause) is SlackLimited at once: nobody's lease runs out here.
    """

    def __init__(
        self,
        token: Token,
        *,
        session: Session,
        api_url: str,
        sleep: Sleep = sleep,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._sleep = sleep
        self._timer = timer
        self._session = session
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._poll_targets: dict[tuple[str, str], _Lane] = {}

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        """Post a message and return (channel, ts) as Slack has them; `key` goes into the metadata to find it by."""
        arguments: dict[str, Any] = {
            "channel": channel,
            "unfurl_links": False,
            "unfurl_media": False,
            **message.payload(),
        }
        if thread:
            arguments["thread_ts"] = thread
        if key:
            arguments["metadata"] = {"event_type": METADATA_EVENT, "event_payload": {"key": key}}
        async with self._turn(team, channel):
            said = await self.call(team, "chat.postMessage", arguments)
        return str(said.get("channel") or channel), str(said.get("ts") or "")

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        """Replace a message: text, blocks and attachments together."""
        async with self._turn(team, channel):
            await self.call(team, "chat.update", {"channel": channel, "ts": ts, **message.payload()})

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        """Show a message to one person only."""
        arguments: dict[str, Any] = {"channel": channel, "user": user, **message.payload()}
        if thread:
            arguments["thread_ts"] = thread
        await self.call(team, "chat.postEphemeral", arguments)

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> str | None:
        """Return the ts of the message whose metadata carries `key`, or None. Costs up to three requests.

        Direct messages, named by their reader, cost one more. Raises SlackError where the history may not be read.
        """
        if channel.startswith(("U", "W")):
            opened = (await self.call(team, "conversations.open", {"users": channel})).get("channel") or {}
            channel = str(opened.get("id") or channel)
        method = "conversations.replies" if thread else "conversations.history"
        arguments: dict[str, Any] = {
            "channel": channel,
            "oldest": f"{since.timestamp() - 60:.6f}",
            "include_all_metadata": True,
            "limit": 100,
        }
        if thread:
            arguments["ts"] = thread
        for _page in range(HISTORY_PAGES):
            said = await self.call(team, method, arguments)
            for message in said.get("messages") or []:
                metadata = message.get("metadata") or {}
                if (metadata.get("event_payload") or {}).get("key") == key:
                    return str(message["ts"])
            cursor = (said.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
            arguments["cursor"] = cursor
        return None

    async def upload(self, team: str, channel: str, *, name: str, content: bytes, title: str, thread: str = "") -> None:
        """Put a file into a channel (three requests)."""
        client = await self._client(team, retries=False)
        with faults():
            await client.files_upload_v2(
                channel=channel, filename=name, content=content, title=title, thread_ts=thread or None
            )

    async def call(self, team: str, method: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        """Call a Web API method once (posts) or with one patient retry on 429 (everything else)."""
        posts = method in {"chat.postMessage", "chat.update"}
        client = await self._client(team, retries=not posts)
        with faults():
            said = (
                await client.api_call(method, json=dict(arguments))
                if _takes_json(method)
                else await client.api_call(
                    method, params={name: _param(value) for name, value in arguments.items()}, http_verb="GET"
                )
            )
        body = said.data
        return body if isinstance(body, dict) else {}

    async def scopes(self, team: str) -> frozenset[str]:
        """Return the scopes of a workspace's token, as the headers of auth.test tell them; none where they don't."""
        client = await self._client(team, retries=True)
        with faults():
            said = await client.auth_test()
        listed = {name.lower(): str(value) for name, value in said.headers.items()}.get("x-oauth-scopes", "")
        return frozenset(scope.strip() for scope in listed.split(",") if scope.strip())

    async def respond(self, url: str, message: Message, *, public: bool = False, replace: bool = False) -> bool:
        """Answer through a response_url and return whether Slack took it (it works five times within 30 minutes)."""
        body: dict[str, Any] = {
            "response_type": "in_channel" if public else "ephemeral",
            "replace_original": replace,
            **message.payload(),
        }
        webhook = AsyncWebhookClient(url, session=self._session, retry_handlers=[])
        try:
            said = await webhook.send_dict(body)
        except WIRE_FAULTS:
            log.warning("an answer could not be delivered through its response_url")
            return False
        return said.status_code == 200

    async def _client(self, team: str, *, retries: bool) -> AsyncWebClient:
        return AsyncWebClient(
            token=await self._token(team),
            team_id=team or None,
            base_url=self._api_url,
            session=self._session,
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=1)] if retries else [],
        )

    @asynccontextmanager
    async def _turn(self, team: str, channel: str) -> AsyncIterator[None]:
        poll_target = self._poll_targets.get((team, channel))
        if poll_target is None:
            poll_target = self._poll_targets[team, channel] = _Lane(lock=asyncio.Lock())
            self._forget_idle_poll_targets()
        expected = max(poll_target.free_at - self._timer(), 0.0) + poll_target.users * SPACING_SECONDS
        if expected > MOST_WAIT_SECONDS:
            raise SlackLimited(expected)
        poll_target.users += 1
        try:
            async with poll_target.lock:
                wait = poll_target.free_at - self._timer()
                if wait > 0:
                    await self._sleep(wait)
                try:
                    yield
                except SlackLimited as exc:
                    poll_target.free_at = self._timer() + exc.retry_after
                    raise
                poll_target.free_at = self._timer() + SPACING_SECONDS
        finally:
            poll_target.users -= 1

    def _forget_idle_poll_targets(self) -> None:
        if len(self._poll_targets) <= MOST_LANES:
            return
        now = self._timer()
        for place, poll_target in list(self._poll_targets.items()):
            if not poll_target.users and poll_target.free_at < now:
                del self._poll_targets[place]


def _takes_json(method: str) -> bool:
    return method.startswith(("chat.", "views.", "conversations.open"))


def _param(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@contextmanager
def faults() -> Iterator[None]:
    """Give what may go wrong with a call its name among the errors of this module."""
    try:
        yield
    except SlackApiError as exc:
        raise _named(exc) from exc
    except NEVER_SENT as exc:
        raise SlackUnreachable from exc
    except (*WIRE_FAULTS, AttributeError) as exc:
        # The SDK (3.47) asks an answer in plain text for its members.
        raise SlackUnsure from exc


def _named(exc: SlackApiError) -> SlackError:
    answer = exc.response
    body = getattr(answer, "data", None)
    status = int(getattr(answer, "status_code", 0) or getattr(answer, "status", 0) or 0)
    headers = getattr(answer, "headers", {}) or {}
    code = str(body.get("error") or "") if isinstance(body, dict) else ""
    if status == 429 or code == "ratelimited":
        wait = str(headers.get("Retry-After") or headers.get("retry-after") or "30")
        return SlackLimited(float(wait) if wait.isascii() and wait.isdigit() else 30.0)
    if status >= 500 or code in {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}:
        return SlackUnsure()
    if not code and status < 400:
        return SlackUnsure()
    return SlackError(code or f"http_{status}")
