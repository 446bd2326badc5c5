"""Call Slack: one message a second for each channel, no post sent twice by itself.

The outbox decides what to do when a post's fate is unknown; here a fault only gets its name.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.proxy_env_variable_loader import load_http_proxy_from_env
from slack_sdk.web.async_client import AsyncWebClient

from bot.blocks.message import Message
from bot.core.clock import Clock, Sleep, now, sleep
from bot.core.errors import BotError
from bot.http.budget import Budgeted, Purpose
from bot.http.transport import NEVER_SENT, WIRE_FAULTS, Session
from bot.slack.limiter import Limiter

log = logging.getLogger(__name__)

sdk_log = logging.getLogger("slack_sdk.calls")
sdk_log.setLevel(logging.WARNING)
"""The SDK looks at a logger's own level: with the usual one it writes each call and answer out, for nobody to read."""

METADATA_EVENT = "buildbell_notification"
SPACING_SECONDS = 1.0
MOST_QUEUES = 4096
MOST_CLIENTS = 256
JSON = {"Content-Type": "application/json;charset=utf-8"}
HISTORY_PAGES = 10
HISTORY_PAGE = 200
CLOCK_MARGIN = timedelta(minutes=15)
MOST_WAIT_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 600.0
"""The longest that a `Retry-After` is believed: asked again earlier Slack only refuses again, and nothing is lost."""
USUAL_PAUSE_SECONDS = 30.0

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
FINAL = (
    GONE
    | REVOKED
    | {
        "cannot_dm_bot",
        "channel_type_not_supported",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_arguments",
        "message_limit_exceeded",
        "messages_tab_disabled",
        "missing_scope",
        "no_permission",
        "no_text",
        "not_allowed_token_type",
        "thread_not_found",
        "too_many_attachments",
        "user_disabled",
    }
)
"""Refusals of a post that no waiting changes."""
UNEDITABLE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch"})
"""Refusals of an edit that no waiting changes."""
PASSING = frozenset(
    {"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org", "timeout"}
)
LIMITED = frozenset({"ratelimited", "rate_limited"})
UNFIT = frozenset(
    {"invalid_blocks", "invalid_attachments", "msg_blocks_too_long", "msg_too_long", "metadata_too_large"}
)

NOT_SLACKS = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the SDK (3.47) raises for an answer that is none of Slack's: text for JSON, bytes of another encoding, depth."""

Token = Callable[[str], Awaitable[str]]


class SlackError(BotError):
    """Slack refused; `code` is its word."""

    def __init__(self, code: str, *, message: str = "", hint: str | None = None) -> None:
        super().__init__(message or f"Slack refused: {code.replace('_', ' ')}.", hint=hint)
        self.code = code


class SlackPassing(SlackError):
    """A refusal or a fault that passes: what was tried may be tried again later."""


class SlackLimited(SlackPassing):
    """Slack requires a pause of `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


class SlackUnsure(SlackPassing):
    """No answer came: whether the call took effect is unknown."""

    def __init__(self) -> None:
        super().__init__("no_answer")


class SlackUnreachable(SlackPassing):
    """Nothing was sent: no connection."""

    def __init__(self) -> None:
        super().__init__("unreachable")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The result of a search for a message in a channel. Without a `ts`, `is_certain` says that the whole time was searched."""

    ts: str | None
    is_certain: bool = True


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock
    free_at: float = 0.0
    users: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReport:
    """What Slack tells of a token: its scopes (none where it does not say), and Slack's own time."""

    scopes: frozenset[str]
    at: datetime | None


class Sender:
    """Calls to Slack's Web API with each workspace's own token, over the process's one session.

    Posts and edits of a channel have a queue each, one call a second: no post waits for an edit. Each method has a
    limiter for each workspace. `token` returns a workspace's bot token. Raises the errors of this module. What would
    have to wait longer than 20 s is SlackLimited at once: nobody's lease runs out here. `refused` is told the method of
    each call that Slack's limits refused, `waited` the method and the seconds of each wait for a limit or a turn.
    """

    def __init__(
        self,
        token: Token,
        *,
        session: Session,
        api_url: str,
        sleep: Sleep = sleep,
        timer: Callable[[], float] = time.monotonic,
        clock: Clock = now,
        refused: Callable[[str], None] = lambda _method: None,
        waited: Callable[[str, float], None] = lambda _method, _seconds: None,
    ) -> None:
        self._token = token
        self._refused = refused
        self._waited = waited
        self._sleep = sleep
        self._timer = timer
        self._session = session
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._clock = clock
        self._proxy = load_http_proxy_from_env(sdk_log)
        self._clients: LRUCache[tuple[str, str], AsyncWebClient] = LRUCache(MOST_CLIENTS)
        self._queues: dict[tuple[str, str, str], _Queue] = {}
        self._limiters: dict[tuple[str, str], Limiter] = {}

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
        async with self._turn("chat.postMessage", team, channel):
            reply = await self.call(team, "chat.postMessage", arguments)
        if not reply.get("ts"):
            raise SlackUnsure  # no answer of Slack's: it may stand in the channel, or not
        return str(reply.get("channel") or channel), str(reply["ts"])

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        """Replace a message: text, blocks and attachments together."""
        async with self._turn("chat.update", team, channel):
            await self.call(team, "chat.update", {"channel": channel, "ts": ts, **message.payload()})

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        """Show a message to one person only."""
        arguments: dict[str, Any] = {"channel": channel, "user": user, **message.payload()}
        if thread:
            arguments["thread_ts"] = thread
        await self.call(team, "chat.postEphemeral", arguments)

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> SearchResult:
        """Look for the message whose metadata carries `key`. Costs up to ten requests.

        The search begins a quarter of an hour before `since`, by Slack's clock where that is behind ours. Direct
        messages, named by their reader, cost one request more. Raises SlackError where the history may not be read.
        """
        if channel.startswith(("U", "W")):
            opened = (await self.call(team, "conversations.open", {"users": channel})).get("channel") or {}
            channel = str(opened.get("id") or channel)
        method = "conversations.replies" if thread else "conversations.history"
        since = min(since, self._clock())  # a clock that was ahead may have been set right since
        oldest = since - CLOCK_MARGIN
        arguments: dict[str, Any] = {
            "channel": channel,
            "oldest": f"{oldest.timestamp():.6f}",
            "include_all_metadata": True,
            "limit": HISTORY_PAGE,
        }
        if thread:
            arguments["ts"] = thread
        for _page in range(HISTORY_PAGES):
            body, headers = await self._call(team, method, arguments)
            earlier = since + min(_behind(headers, self._clock()), timedelta()) - CLOCK_MARGIN
            if earlier < oldest - CLOCK_MARGIN and "cursor" not in arguments:
                oldest, arguments["oldest"] = earlier, f"{earlier.timestamp():.6f}"
                body, _headers = await self._call(team, method, arguments)
            if not isinstance(body.get("messages"), list):
                return SearchResult(ts=None, is_certain=False)
            for message in body["messages"]:
                if _at(message, "metadata", "event_payload", "key") == key:
                    return SearchResult(ts=str(message["ts"]))
            cursor = _at(body, "response_metadata", "next_cursor")
            if not cursor:
                return SearchResult(ts=None, is_certain=not body.get("has_more"))
            arguments["cursor"] = cursor
        return SearchResult(ts=None, is_certain=False)

    async def upload(self, team: str, channel: str, *, name: str, content: bytes, title: str, thread: str = "") -> None:
        """Put a file into a channel (three requests)."""
        client = await self._client(team)
        with self._counted_faults("files.upload"):
            await client.files_upload_v2(
                channel=channel, filename=name, content=content, title=title, thread_ts=thread or None
            )

    async def call(self, team: str, method: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        """Call a Web API method once (posts) or with one patient retry on 429 (everything else)."""
        return (await self._call(team, method, arguments))[0]

    async def _call(
        self, team: str, method: str, arguments: Mapping[str, object]
    ) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """Call a method and return the answer's body and headers; all but posts wait once where Slack asks for a moment."""
        try:
            return await self._call_once(team, method, arguments)
        except SlackLimited as exc:
            if method in {"chat.postMessage", "chat.update"} or exc.retry_after > MOST_WAIT_SECONDS:
                raise
            await self._wait(method, exc.retry_after)
        return await self._call_once(team, method, arguments)

    async def _call_once(
        self, team: str, method: str, arguments: Mapping[str, object]
    ) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        client = await self._client(team)
        with self._counted_faults(method):
            answer = (
                await client.api_call(method, json=dict(arguments))
                if _takes_json(method)
                else await client.api_call(
                    method, params={name: _param(value) for name, value in arguments.items()}, http_verb="GET"
                )
            )
        headers = {name.lower(): str(value) for name, value in answer.headers.items()}
        if not isinstance(answer.data, dict):
            raise SlackUnsure
        return answer.data, headers

    async def token_report(self, team: str) -> TokenReport:
        """Return what the headers of auth.test tell of a workspace's token, and Slack's time (one request)."""
        _body, headers = await self._call(team, "auth.test", {})
        listed = headers.get("x-oauth-scopes", "")
        try:
            at = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            at = None
        scopes = frozenset(scope.strip() for scope in listed.split(",") if scope.strip())
        return TokenReport(scopes=scopes, at=at if at is not None and at.tzinfo is not None else None)

    async def respond(self, url: str, message: Message, *, public: bool = False, replace: bool = False) -> bool:
        """Answer through a response_url (it works five times within 30 minutes).

        Return False where Slack does not take it, for good. Raises SlackPassing where it may take it later, among them
        SlackUnsure where it may have taken it already.
        """
        body: dict[str, Any] = {
            "response_type": "in_channel" if public else "ephemeral",
            "replace_original": replace,
            **message.payload(),
        }
        with self._counted_faults("response_url"):
            async with self._session.post(url, data=json.dumps(body), headers=JSON, proxy=self._proxy) as reply:
                await reply.text()  # decoded, so that a page that is not Slack's is known
            if reply.status == 429:
                raise SlackLimited(_retry_after(reply.headers))
        if reply.status >= 500 or reply.status == 408:
            raise SlackUnsure
        if reply.status != 200:
            log.warning("Slack does not take an answer through its response_url", extra={"status": reply.status})
        return reply.status == 200

    async def withdraw(self, url: str) -> None:
        """Delete the message whose button was pressed, through its response_url, as far as Slack takes it."""
        with faults():
            async with self._session.post(
                url, data=json.dumps({"delete_original": True}), headers=JSON, proxy=self._proxy
            ) as reply:
                await reply.text()
        if reply.status != 200:
            log.info("Slack does not delete a message that was used", extra={"status": reply.status})

    @contextmanager
    def _counted_faults(self, method: str) -> Iterator[None]:
        try:
            with faults():
                yield
        except SlackLimited:
            self._refused(method)
            raise

    async def _wait(self, method: str, seconds: float) -> None:
        self._waited(method, seconds)
        await self._sleep(seconds)

    async def _client(self, team: str) -> AsyncWebClient:
        token = await self._token(team)
        client = self._clients.get((team, token))
        if client is None:
            client = self._clients[team, token] = AsyncWebClient(
                token=token,
                team_id=team or None,
                base_url=self._api_url,
                session=self._session,
                retry_handlers=[],
                logger=sdk_log,
            )
        return client

    @asynccontextmanager
    async def _turn(self, method: str, team: str, channel: str) -> AsyncIterator[None]:
        """Wait for the turn of a call in its channel's queue and under its workspace's limit."""
        queue = self._queue(method, team, channel)
        limiter = self.limiter(team, method)
        expected = max(queue.free_at - self._timer(), 0.0) + queue.users * SPACING_SECONDS
        if expected > MOST_WAIT_SECONDS:
            raise SlackLimited(expected)
        queue.users += 1
        try:
            async with queue.lock:
                await self._pause(method, queue, limiter)
                limiter.spend()
                try:
                    yield
                except SlackLimited as exc:
                    queue.free_at = self._timer() + exc.retry_after
                    limiter.refused(exc.retry_after)
                    raise
                queue.free_at = self._timer() + SPACING_SECONDS
        finally:
            queue.users -= 1

    async def _pause(self, method: str, queue: _Queue, limiter: Limiter) -> None:
        waited = 0.0
        while (wait := max(queue.free_at - self._timer(), limiter.wait())) > 0:
            if waited + wait > MOST_WAIT_SECONDS:
                limiter.held[Purpose.DELIVERY] += 1
                raise SlackLimited(wait)
            await self._wait(method, wait)
            waited += wait

    def limiter(self, team: str, method: str) -> Limiter:
        """Return the limiter of a method in a workspace."""
        limiter = self._limiters.get((team, method))
        if limiter is None:
            limiter = self._limiters[team, method] = Limiter(self._timer)
        return limiter

    def is_short(self, team: str) -> bool:
        """Return whether a workspace takes so few posts now that what is no notification should wait."""
        limiter = self._limiters.get((team, "chat.postMessage"))
        return limiter is not None and limiter.wait(Purpose.COUNTS) > 0

    def budgets(self) -> dict[str, Budgeted]:
        """Return the budgets that processes share: one for each workspace and method, by a name."""
        return {f"slack:{team}:{method}": limiter for (team, method), limiter in self._limiters.items()}

    def _queue(self, method: str, team: str, channel: str) -> _Queue:
        queue = self._queues.get((method, team, channel))
        if queue is None:
            queue = self._queues[method, team, channel] = _Queue(lock=asyncio.Lock())
            self._forget_idle_queues()
        return queue

    def _forget_idle_queues(self) -> None:
        if len(self._queues) <= MOST_QUEUES:
            return
        now = self._timer()
        for place, queue in list(self._queues.items()):
            if not queue.users and queue.free_at < now:
                del self._queues[place]


def _behind(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return how far Slack's clock is ahead of ours (negative: behind), from an answer's `Date`; zero without one."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return timedelta()
    return date - now if date.tzinfo is not None else timedelta()


def _at(value: object, *names: str) -> object:
    """Return what stands at a path of names in an answer, None where there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _takes_json(method: str) -> bool:
    return method.startswith(("chat.", "views.", "conversations.open"))


def _param(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@contextmanager
def faults() -> Iterator[None]:
    """Translate what may go wrong with a call into the errors of this module."""
    try:
        yield
    except SlackApiError as exc:
        raise _named(exc) from exc
    except NEVER_SENT as exc:
        raise SlackUnreachable from exc
    except (*WIRE_FAULTS, *NOT_SLACKS) as exc:
        raise SlackUnsure from exc


def _named(exc: SlackApiError) -> SlackError:
    answer = exc.response
    body = getattr(answer, "data", None)
    status = int(getattr(answer, "status_code", 0) or getattr(answer, "status", 0) or 0)
    headers = getattr(answer, "headers", {}) or {}
    code = str(body.get("error") or "") if isinstance(body, dict) else ""
    if status == 429 or code in LIMITED:
        return SlackLimited(_retry_after(headers))
    if status >= 500 or status == 408 or code in PASSING or not code:
        # Without a code it is no answer of Slack's: a proxy's page, a broken answer.
        return SlackUnsure()
    return SlackError(code)


def _retry_after(headers: Mapping[str, Any]) -> float:
    """Return the seconds that a refusal requires, the usual ones where it names none."""
    wait = str(headers.get("Retry-After") or headers.get("retry-after") or "")
    seconds = float(wait) if wait.isascii() and wait.isdigit() else USUAL_PAUSE_SECONDS
    return min(seconds, LONGEST_PAUSE_SECONDS)
