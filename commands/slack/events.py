"""Slack events: channels renamed, archived, left; Home opened; the app removed.

Each handler takes an event's body; `SlackEvents.events` names them for `SlackApp.listen`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.blocks.message import Message
from bot.slack.installs import Installs
from bot.slack.sender import SlackError
from bot.store.rows import LinkRow
from bot.store.states import Switch
from commands.core.context import Context, Services, Source
from commands.core.memory import is_first_within
from commands.slack import shortcuts
from commands.slack.home import FIRST_PAGES, FRESH_SECONDS, Pages, home

log = logging.getLogger(__name__)

SAME_SECOND = 1.0
"""Slack tells when an event happened to the second."""

Body = Mapping[str, Any]
Handler = Callable[[Body], Awaitable[None]]


Answer = Callable[[str, Context], Awaitable[None]]


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
    """Handlers of the events that are no commands. `answer` runs a command as if it had been typed."""

    def __init__(
        self,
        services: Services,
        installs: Installs,
        answer: Answer,
        *,
        pause_for: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pause_for = pause_for
        self._services = services
        self._installs = installs
        self._answer = answer
        self.events: dict[str, Handler] = {event: getattr(self, name) for event, name in HANDLED.items()}

    def _context(self, body: Body, *, user: str, channel: str = "") -> Context:
        return Context(
            services=self._services,
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            channel=channel,
            user=user,
            source=Source.SHORTCUT,
            now=self._services.clock(),
        )

    async def _home(self, body: Body) -> None:
        event = body["event"]
        user = str(event.get("user") or "")
        if event.get("tab") not in {None, "home"} or not user:
            return
        context = self._context(body, user=user)
        if await is_first_within(_fresh(context), FRESH_SECONDS, context.store):
            await self._publish(context)

    async def _publish(self, context: Context, pages: Pages = FIRST_PAGES) -> None:
        view = await home(context, pages)
        await self._services.sender.call(
            context.team, "views.publish", {"user_id": context.user, "view": view.payload()}
        )

    async def turn_page(self, body: Body) -> None:
        """Show another page of a list in a person's Home: they asked for it, so that no time has to pass."""
        action = (body.get("actions") or [{}])[0]
        await self._publish(self._context_of_home(body), Pages.read(str(action.get("value") or "")))

    async def home_pressed(self, body: Body) -> None:
        """Draw a Home anew after one of its buttons acted: at once, else when ten seconds have passed since the last time."""
        context = self._context_of_home(body)
        if not await is_first_within(_fresh(context), FRESH_SECONDS, context.store):
            if not await is_first_within(f"later {_fresh(context)}", FRESH_SECONDS, context.store):
                return
            await self._pause_for(FRESH_SECONDS)
            if not await is_first_within(_fresh(context), FRESH_SECONDS, context.store):
                return
            context = replace(context, now=self._services.clock())
        await self._publish(context)

    def _context_of_home(self, body: Body) -> Context:
        view, enterprise = body.get("view") or {}, body.get("enterprise") or {}
        team = str(view.get("app_installed_team_id") or (body.get("team") or {}).get("id") or "")
        known = {"team_id": team, "enterprise_id": str(enterprise.get("id") or "")}
        return self._context(known, user=str((body.get("user") or {}).get("id") or ""))

    async def shortcut(self, body: Body, context: Context) -> None:
        """Run the command that a shortcut stands for."""
        words = await shortcuts.words_for(str(body.get("callback_id") or ""), body, context)
        if words:
            await self._answer(words, replace(context, source=Source.SHORTCUT))

    async def _links(self, body: Body) -> None:
        event = body["event"]
        context = self._context(body, user=str(event.get("user") or ""), channel=str(event.get("channel") or ""))
        previews = await shortcuts.previews(event, context)
        if not previews:
            return
        place: dict[str, object] = (
            {"unfurl_id": event["unfurl_id"], "source": event.get("source", "conversations_history")}
            if event.get("unfurl_id")
            else {"channel": context.channel, "ts": str(event.get("message_ts") or "")}
        )
        unfurls = {url: _preview(message) for url, message in previews.items()}
        await self._services.sender.call(context.team, "chat.unfurl", {**place, "unfurls": unfurls})

    async def _reaction(self, body: Body) -> None:
        event = body["event"]
        channel = str((event.get("item") or {}).get("channel") or "")
        user = str(event.get("user") or "")
        context = self._context(body, user=user, channel=channel)
        if not await context.store.switches.is_on(context.team, channel, Switch.REACTIONS):
            return
        words = await shortcuts.reacted(event, context)
        if words and user != await self._installs.bot_user_of(context.team, context.enterprise):
            await self._answer(words, context)

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
            said = f"<#{channel}> gets no notifications of {', '.join(names)} any more, because {reason}. They resume when I am back there."
            try:
                await self._services.sender.post(team, user, Message(text=said))
            except SlackError as exc:
                log.info("a person could not be notified", extra={"code": exc.code})

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
        team = str(body.get("team_id") or "")
        if await self._is_over(body):
            return
        await self._ended(body)
        if team:
            own = self._services.connections.only_seen_by(team)
            await self._services.store.forgetting.workspace(team, connections=own)
            log.info("a workspace that removed the bot was forgotten", extra={"team": team})

    async def _revoked(self, body: Body) -> None:
        tokens = (body["event"].get("tokens") or {}).get("bot") or []
        if tokens and not await self._is_over(body):
            await self._ended(body)

    async def _ended(self, body: Body) -> None:
        await self._installs.end(str(body.get("team_id") or ""), str(body.get("enterprise_id") or ""))

    async def _is_over(self, body: Body) -> bool:
        """Return whether the bot was installed again since: an event that comes late is about the time before."""
        happened, team = body.get("event_time"), str(body.get("team_id") or "")
        if not isinstance(happened, int) or not team:
            return False
        install = await self._services.store.installs.get(team)
        return install is not None and install.installed_at.timestamp() > happened + SAME_SECOND


def _fresh(context: Context) -> str:
    return f"home:{context.team}:{context.user}"


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
