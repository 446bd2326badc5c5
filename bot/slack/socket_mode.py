"""Socket Mode: the same payloads over a websocket that we open, for bots that no one can reach from outside."""

import asyncio
import json
import logging
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.text import valid_tree
from bot.http.transport import Session
from bot.slack.deliveries import Take
from bot.slack.payloads import checked
from bot.slack.sender import SlackError, faults

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
AGAIN_SECONDS = 5.0


class SocketMode:
    """One websocket to Slack, kept open; each payload goes through the same dispatch as over HTTP."""

    def __init__(self, app_token: str, *, session: Session, api_url: str, dispatch: Take) -> None:
        self._app_token = app_token
        self._session = session
        self._api_url = api_url if api_url.endswith("/") else f"{api_url}/"
        self._dispatch = dispatch
        self._client: SocketModeClient | None = None

    async def connected(self) -> bool:
        """Return whether the socket is open."""
        return self._client is not None and await self._client.is_connected()

    async def run(self) -> None:
        """Keep the socket open until cancelled."""
        client = self._client = SocketModeClient(
            app_token=self._app_token,
            web_client=AsyncWebClient(base_url=self._api_url, session=self._session),
            ping_interval=PING_SECONDS,
            auto_reconnect_enabled=True,
        )
        client.socket_mode_request_listeners.append(self._take)
        is_away = False
        try:
            while True:
                try:
                    if not await client.is_connected():
                        # Asked for here: the client itself would go on asking without a word to us.
                        with faults():
                            client.wss_uri = await client.issue_new_wss_url()
                            await client.connect()  # type: ignore[no-untyped-call]
                    is_away = False
                except SlackError as exc:
                    if not is_away:
                        log.warning("Socket Mode can't connect", extra={"code": exc.code})
                    is_away = True
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await client.close()  # type: ignore[no-untyped-call]

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        if request.type == "hello" or not isinstance(request.payload, dict):
            return
        try:
            delivered = checked(valid_tree(request.payload))
        except (ValueError, RecursionError) as exc:
            log.warning("a delivery of Socket Mode can't be read", extra={"kind": request.type, "why": str(exc)})
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
            return
        reply = await self._dispatch(delivered, {}, fallback=request.envelope_id)
        if reply.status >= 500:
            return  # not acked, so that Slack sends it again
        payload: dict[str, Any] | None = None
        if request.accepts_response_payload and reply.body:
            try:
                read = json.loads(reply.body)
            except ValueError:
                read = {"text": reply.body}
            payload = read if isinstance(read, dict) and read else None
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=payload))
