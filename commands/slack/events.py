"""What happens around the bot in Slack: channels renamed, archived, left; Home opened; the app removed.

Each handler takes an event's body; `Surroundings.events` names them for `commands.slack.app.Front`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from bot.blocks.message import Message
from bot.slack.sender import SlackError
from bot.store.switches import Switch
from bot.store.tables import LinkRow
from commands.core.context import Request, Services, Source
from commands.slack import shortcuts
from commands.slack.home import FRESH_SECONDS, home

log = logging.getLogger(__name__)

Body = Mapping[str, Any]
Handler = Callable[[Body], Awaitable[None]]


class Installs(Protocol):
    """What is needed of `bot.slack.installs.Installs`."""

    async def end(self, team: str, enterprise: str = "") -> None:
        """Forget a workspace's token."""
        ...

    async def bot_user_of(self, team: str, enterprise: str = "") -> str:
        """Return the bot's user id in a workspace."""
        ...


Answer = Callable[[Request], Awaitable[None]]


HANDLED = {
    "app_home_opened": "_home",
    "link_shared": "_links",
    "reaction_added": "_reaction",
    "channel_archive": "_archived",
    "group_archive": "_archived",
    "channel_unarchive": "_back",
    "group_unarchive": "_back",
    "channel_rename": "_renamed",
    "group_rename": "_renamed",
    "member_left_channel": "_left",
    "member_joined_channel": "_joined",
    "app_uninstalled": "_removed",
    "tokens_revoked": "_revoked",
}
"""The events that are handled here, by the name of their handler."""


class SlackEvents:
    """Handlers of the events that are no commands. `answer` handles a request as if it had been typed."""

    def __init__(self, services: Services, installs: Installs, answer: Answer) -> None:
        self._services = services
        self._installs = installs
        self._answer = answer
        self.events: dict[str, Handler] = {event: getattr(self, name) for event, name in HANDLED.items()}

    def _request(self, body: Body, *, user: str, channel: str = "", source: Source = Source.SHORTCUT) -> Request:
        return Request(
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            channel=channel,
            user=user,
            source=source,
            now=self._services.clock(),
        )

    async def _home(self, body: Body) -> None:
        event = body["event"]
        user = str(event.get("user") or "")
        if event.get("tab") not in {None, "home"} or not user:
            return
        request = self._request(body, user=user)
        if not await self._services.store.tokens.add(f"home:{request.team}:{user}", seconds=FRESH_SECONDS / 10):
            return
        view = await home(request, self._services)
        await self._services.slack.call(request.team, "views.publish", {"user_id": user, "view": view.payload()})

    async def shortcut(self, body: Body, request: Request) -> None:
        """Do what a shortcut stands for."""
        words = await shortcuts.words_for(str(body.get("callback_id") or ""), body, request, self._services)
        if words:
            await self._answer(shortcuts.as_shortcut(request, words))

    async def _links(self, body: Body) -> None:
        event = body["event"]
        request = self._request(body, user=str(event.get("user") or ""), channel=str(event.get("channel") or ""))
        found = await shortcuts.previews(event, request, self._services)
        if not found:
            return
        where: dict[str, object] = (
            {"unfurl_id": event["unfurl_id"], "source": event.get("source", "conversations_history")}
            if event.get("unfurl_id")
            else {"channel": request.channel, "ts": str(event.get("message_ts") or "")}
        )
        unfurls = {url: _preview(message) for url, message in found.items()}
        await self._services.slack.call(request.team, "chat.unfurl", {**where, "unfurls": unfurls})

    async def _reaction(self, body: Body) -> None:
        event = body["event"]
        channel = str((event.get("item") or {}).get("channel") or "")
        user = str(event.get("user") or "")
        request = self._request(body, user=user, channel=channel)
        if not await self._services.store.switches.is_on(request.team, channel, Switch.REACTIONS):
            return
        words = await shortcuts.reacted(event, request, self._services)
        if words and user != await self._installs.bot_user_of(request.team, request.enterprise):
            await self._answer(shortcuts.as_shortcut(request, words))

    async def _archived(self, body: Body) -> None:
        await self._pause(body, _channel(body), "the channel was archived")

    async def _left(self, body: Body) -> None:
        event = body["event"]
        team = str(body.get("team_id") or "")
        if str(event.get("user")) == await self._installs.bot_user_of(team, str(body.get("enterprise_id") or "")):
            await self._pause(body, _channel(body), "I was removed from the channel")

    async def _pause(self, body: Body, channel: str, reason: str) -> None:
        team = str(body.get("team_id") or "")
        paused = await self._services.store.links.pause(team, channel, reason)
        await self._tell(team, channel, paused, reason)

    async def _tell(self, team: str, channel: str, links: list[LinkRow], reason: str) -> None:
        by_person: dict[str, list[str]] = {}
        for link in links:
            by_person.setdefault(link.created_by, []).append(link.alias or link.name)
        for user, names in by_person.items():
            said = f"<#{channel}> hears nothing more of {', '.join(names)}, because {reason}. It goes on when I am back there."
            try:
                await self._services.slack.post(team, user, Message(text=said))
            except SlackError as exc:
                log.info("a person could not be told", extra={"code": exc.code})

    async def _back(self, body: Body) -> None:
        await self._services.store.links.resume(str(body.get("team_id") or ""), _channel(body))
        self._services.wake_poller()

    async def _joined(self, body: Body) -> None:
        event = body["event"]
        team = str(body.get("team_id") or "")
        if str(event.get("user")) == await self._installs.bot_user_of(team, str(body.get("enterprise_id") or "")):
            await self._back(body)

    async def _renamed(self, body: Body) -> None:
        # Links hold the channel's id, which a rename keeps: nothing to follow but the log.
        log.info("a channel was renamed", extra={"channel": _channel(body)})

    async def _removed(self, body: Body) -> None:
        await self._installs.end(str(body.get("team_id") or ""), str(body.get("enterprise_id") or ""))

    async def _revoked(self, body: Body) -> None:
        tokens = (body["event"].get("tokens") or {}).get("bot") or []
        if tokens:
            await self._removed(body)


def _channel(body: Body) -> str:
    channel = body["event"].get("channel")
    return str(channel.get("id") if isinstance(channel, dict) else channel or "")


def _preview(message: Message) -> dict[str, Any]:
    payload = message.payload()
    attached = payload["attachments"][0]["blocks"] if payload["attachments"] else []
    return {
        "blocks": [*payload["blocks"], *attached],
        "preview": {"title": {"type": "plain_text", "text": message.text[:140]}},
    }
