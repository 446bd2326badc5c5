"""The state of the local Slack: one workspace with its people, channels, messages, views and one-use ids.

Nothing here makes requests. Every change calls `Workspace.touch`, which wakes the open pages.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape as html_escape
from typing import Any

from playground.slack.elements import with_ids
from playground.slack.model import (
    Channel,
    Json,
    Message,
    ResponseUrl,
    Scheduled,
    SlackError,
    Upload,
    User,
    View,
)
from playground.team import TEAM

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
VIEW_STACK = 3

DEFAULT_SCOPES = frozenset({
    "app_mentions:read", "channels:history", "channels:join", "channels:read", "chat:write", "chat:write.public",
    "commands", "files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write",
    "links:read", "links:write", "metadata.message:read", "reactions:read", "reactions:write", "usergroups:read",
    "users:read", "users:read.email",
})  # fmt: skip
DEFAULT_EVENTS = frozenset({
    "app_home_opened", "app_mention", "app_uninstalled", "channel_archive", "channel_deleted", "channel_rename",
    "channel_unarchive", "group_archive", "group_deleted", "group_rename", "group_unarchive", "link_shared",
    "member_joined_channel", "member_left_channel", "message.im", "reaction_added", "reaction_removed",
    "tokens_revoked",
})  # fmt: skip


def _users() -> list[User]:
    return [
        User(
            id=member.slack_id,
            name=member.handle,
            real_name=member.name,
            email=member.email,
            tz=member.tz,
            tz_label=member.tz_label,
            tz_offset=member.tz_offset,
            color=member.color,
            is_admin=member.is_admin,
            is_owner=member.is_admin,
        )
        for member in TEAM
    ]


_LINK = re.compile(r"https?://[^\s<>|]+")
_TOKEN = re.compile(r"https?://[^\s<>|]+|(?<![\w@#])[@#][\w.-]*\w")


class Workspace:
    """One team of the local Slack. `now` gives seconds since 1970; everything timed asks it."""

    def __init__(
        self,
        *,
        manifest: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.time,
        scopes: Iterable[str] | None = None,
    ) -> None:
        self.now = now
        self.base_url = ""
        self.team_id = "T0PLAYGRND"
        self.team_name = "Playground"
        self.domain = "playground"
        self.app_id = "A0BUILDBEL"
        self.bot_id = "B0BUILDBEL"
        self.bot_user = "U0BUILDBEL"
        self.installed = True
        features: Mapping[str, Any] = (manifest or {}).get("features", {})
        self.commands: Sequence[Json] = features.get(
            "slash_commands", [{"command": "/build", "description": "Builds, from here", "should_escape": True}]
        )
        self.shortcuts: Sequence[Json] = features.get("shortcuts", [])
        self.unfurl_domains: set[str] = {"127.0.0.1", "localhost", *features.get("unfurl_domains", [])}
        subscribed = (manifest or {}).get("settings", {}).get("event_subscriptions", {}).get("bot_events")
        self.events = DEFAULT_EVENTS if subscribed is None else frozenset(subscribed)
        asked = (manifest or {}).get("oauth_config", {}).get("scopes", {}).get("bot")
        self.scopes = frozenset(scopes if scopes is not None else asked or DEFAULT_SCOPES)
        bot_name = features.get("bot_user", {}).get("display_name", "Buildbell")

        self.users = {user.id: user for user in _users()}
        self.users[self.bot_user] = User(
            id=self.bot_user, name=re.sub(r"[^a-z0-9]+", "_", bot_name.lower()), real_name=bot_name, email="",
            tz="UTC", tz_label="UTC", tz_offset=0, color="#20242c", is_bot=True,
        )  # fmt: skip
        self.users["USLACKBOT"] = User(
            id="USLACKBOT", name="slackbot", real_name="Slackbot", email="", tz="UTC", tz_label="UTC",
            tz_offset=0, color="#5c5f66", is_bot=True,
        )  # fmt: skip
        self.usergroups = {"S0ONCALLAA": {"handle": "oncall", "name": "On call", "users": ["U0MIKASATO", "U0BOLINDEN"]}}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.views: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, tuple[str, float, bool]] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.uploads: dict[str, Upload] = {}
        self.scheduled: dict[str, Scheduled] = {}
        self.oauth_codes: set[str] = set()
        self.version = 0
        self.closed = False
        self._watchers: set[asyncio.Event] = set()
        self._last_ts = 0
        self._last_id = 0
        people = [user.id for user in self.users.values() if not user.is_bot]
        for name, private, with_bot, topic in (
            ("ios", False, True, "The app, its nightlies and its betas"),
            ("web", False, True, "Storefront and checkout"),
            ("backend", False, True, "Services, queues, the data store"),
            ("random", False, False, "Anything else"),
            ("release-crew", True, False, "Where releases are decided"),
        ):
            members = {"U0ANAVIDAL", "U0MIKASATO"} if private else set(people)
            channel = Channel(
                id="C0" + name.upper().replace("-", "").ljust(8, "0")[:8], name=name, creator="U0ANAVIDAL",
                created=int(now()), is_private=private, topic=topic,
                members=members | ({self.bot_user} if with_bot else set()),
            )  # fmt: skip
            self.channels[channel.id] = channel
        for user in people:
            self.dm(user)

    # Ids and the pages' wake-up calls

    def touch(self) -> None:
        """Say that something visible changed."""
        self.version += 1
        for event in self._watchers:
            event.set()

    def watch(self) -> asyncio.Event:
        """Return an event that is set at each change; give it back with `unwatch`."""
        event = asyncio.Event()
        self._watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        """Forget an event of `watch`."""
        self._watchers.discard(event)

    def close(self) -> None:
        """Let every open page go."""
        self.closed = True
        self.touch()

    def new_ts(self) -> str:
        """Return a timestamp that is later than every one before it, in Slack's form."""
        self._last_ts = max(int(self.now() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        """Return an id in Slack's form, never given before."""
        self._last_id += 1
        return f"{prefix}0{self._last_id:04X}{secrets.token_hex(2).upper()}"

    # People and channels

    def user(self, user_id: str) -> User:
        """Return a user. Raises users_not_found."""
        if found := self.users.get(user_id):
            return found
        raise SlackError("user_not_found")

    def dm(self, user_id: str) -> Channel:
        """Return the direct message between a user and the bot, opening it at need."""
        for channel in self.channels.values():
            if channel.user == user_id:
                return channel
        channel = Channel(
            id="D0" + user_id[2:], name="directmessage", members={user_id, self.bot_user}, creator=user_id,
            created=int(self.now()), is_private=True, user=user_id,
        )  # fmt: skip
        self.channels[channel.id] = channel
        return channel

    def channel(self, channel_id: str) -> Channel:
        """Return a channel whoever asks. Raises channel_not_found."""
        if found := self.channels.get(channel_id):
            return found
        raise SlackError("channel_not_found")

    def seen_by_bot(self, channel_id: str) -> Channel:
        """Return a channel that the bot may know of. A private one it is not in does not exist for it."""
        channel = self.channel(channel_id)
        if channel.is_private and self.bot_user not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    # Messages

    def add(self, message: Message) -> Message:
        """Keep a message."""
        self.messages.setdefault(message.channel, {})[message.ts] = message
        self.touch()
        return message

    def message(self, channel_id: str, ts: str) -> Message | None:
        """Return a message, ephemeral ones too."""
        return self.messages.get(channel_id, {}).get(ts)

    def listed(self, channel_id: str) -> list[Message]:
        """Return a channel's messages, oldest first."""
        found = self.messages.get(channel_id, {}).values()
        return sorted(found, key=lambda message: ts_key(message.ts))

    def remove(self, message: Message) -> None:
        """Forget a message."""
        self.messages.get(message.channel, {}).pop(message.ts, None)
        self.touch()

    def replies(self, channel_id: str, ts: str) -> list[Message]:
        """Return a thread's replies, oldest first, without its parent."""
        return [it for it in self.listed(channel_id) if it.thread_ts == ts and it.ts != ts]

    def message_json(self, message: Message, *, metadata: bool = False) -> Json:
        """Return a message as the Web API and the interaction payloads show it."""
        shown: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
        if message.subtype:
            shown["subtype"] = message.subtype
        shown["team"] = self.team_id
        if message.user == self.bot_user:
            shown |= {
                "bot_id": self.bot_id,
                "app_id": self.app_id,
                "bot_profile": {
                    "id": self.bot_id, "app_id": self.app_id, "user_id": self.bot_user,
                    "name": self.users[message.user].real_name,
                    "team_id": self.team_id, "deleted": False, "updated": 0, "icons": {},
                },
            }  # fmt: skip
        if message.username:
            shown["username"] = message.username
        if message.blocks:
            shown["blocks"] = message.blocks
        attachments = message.attachments + [
            {"from_url": url, "app_unfurl_url": url, "is_app_unfurl": True, "app_id": self.app_id, **unfurl}
            for url, unfurl in message.unfurls.items()
        ]
        if attachments:
            shown["attachments"] = [
                {"id": number, "fallback": "[no preview available]", **it} for number, it in enumerate(attachments, 1)
            ]
        if message.files:
            shown["files"] = message.files
        if message.edited_ts:
            shown["edited"] = {"user": message.user, "ts": message.edited_ts}
        if message.ephemeral_to:
            shown["is_ephemeral"] = True
        if message.thread_ts:
            shown["thread_ts"] = message.thread_ts
        else:
            kept = [it for it in self.replies(message.channel, message.ts) if not it.ephemeral_to]
            if kept:
                shown |= {
                    "thread_ts": message.ts,
                    "reply_count": len(kept),
                    "reply_users": sorted({it.user for it in kept}),
                    "latest_reply": kept[-1].ts,
                }
        if message.reactions:
            shown["reactions"] = [
                {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
            ]
        if message.metadata:
            # Without include_all_metadata Slack tells only which kind of event it is.
            shown["metadata"] = message.metadata if metadata else {"event_type": message.metadata["event_type"]}
        return shown

    # Views

    def view_json(self, view: View) -> Json:
        """Return a view with the members Slack adds to what the bot sent."""
        spec = view.spec
        return {
            "id": view.id,
            "team_id": self.team_id,
            "type": spec["type"],
            "blocks": spec.get("blocks", []),
            "private_metadata": spec.get("private_metadata", ""),
            "callback_id": spec.get("callback_id", ""),
            "state": {"values": view.values},
            "hash": view.hash,
            "title": spec.get("title"),
            "clear_on_close": bool(spec.get("clear_on_close")),
            "notify_on_close": bool(spec.get("notify_on_close")),
            "close": spec.get("close"),
            "submit": spec.get("submit"),
            "previous_view_id": view.previous_id,
            "root_view_id": view.root_id,
            "app_id": self.app_id,
            "external_id": spec.get("external_id", ""),
            "app_installed_team_id": self.team_id,
            "bot_id": self.bot_id,
        }

    def open_views(self) -> Iterable[View]:
        """Yield every open modal of everyone."""
        for stack in self.views.values():
            yield from stack

    def new_view(self, user_id: str, spec: Json, previous: View | None = None) -> View:
        """Return a new view of a user, not yet shown."""
        view_id = self.new_id("V")
        return View(
            id=view_id, user=user_id, spec=with_ids(spec), hash=f"{int(self.now())}.{secrets.token_hex(4)}",
            root_id=previous.root_id if previous else view_id, previous_id=previous.id if previous else None,
        )  # fmt: skip

    def refill(self, view: View, spec: Json) -> None:
        """Show something else in an open view. What was typed into inputs that are still there stays."""
        view.spec = with_ids(spec)
        view.hash = f"{int(self.now())}.{secrets.token_hex(4)}"
        kept = {block.get("block_id") for block in view.spec.get("blocks", [])}
        view.values = {block: values for block, values in view.values.items() if block in kept}
        self.touch()

    # One-use ids

    def new_trigger(self, user_id: str) -> str:
        """Return a trigger id: three seconds, one use."""
        trigger = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        self.triggers[trigger] = (user_id, self.now(), False)
        return trigger

    def use_trigger(self, trigger: str) -> str:
        """Return whose trigger this was and end it. Raises Slack's three refusals."""
        if trigger not in self.triggers:
            raise SlackError("invalid_trigger_id")
        user_id, issued_at, used = self.triggers[trigger]
        if used:
            raise SlackError("exchanged_trigger_id")
        if self.now() - issued_at > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        self.triggers[trigger] = (user_id, issued_at, True)
        return user_id

    def new_response_url(self, kind: str, channel: str, user: str, message: Message | None = None) -> str:
        """Return a URL for answers to one interaction; `message` is the one that was pressed."""
        key = f"{self.team_id}/{secrets.randbelow(10**12)}/{secrets.token_urlsafe(18)}"
        self.response_urls[key] = ResponseUrl(
            channel=channel, user=user, issued_at=self.now(), message_ts=message.ts if message else "",
            thread_ts=message.thread_ts if message else "",
        )  # fmt: skip
        return f"{self.base_url}/response/{kind}/{key}"

    # Text

    def typed(self, text: str) -> str:
        """Return typed text as Slack sends it: entities, `@name`, `#channel` and links in angle brackets."""
        by_name = {user.name: user for user in self.users.values()}
        groups = {group["handle"]: key for key, group in self.usergroups.items()}
        channels = {it.name: it for it in self.channels.values() if not it.is_im}

        def replaced(match: re.Match[str]) -> str:
            word = match[0]
            if word.startswith("@"):
                name = word[1:].lower()
                if name in ("channel", "here", "everyone"):
                    return f"<!{name}>"
                if user := by_name.get(name):
                    return f"<@{user.id}|{user.name}>"
                return f"<!subteam^{groups[name]}|@{name}>" if name in groups else word
            if word.startswith("#"):
                channel = channels.get(word[1:].lower())
                return f"<#{channel.id}|{'' if channel.is_private else channel.name}>" if channel else word
            return f"<{word}>"

        parts: list[str] = []
        end = 0
        for match in _TOKEN.finditer(text):
            parts += [html_escape(text[end : match.start()], quote=False), replaced(match)]
            end = match.end()
        return "".join(parts) + html_escape(text[end:], quote=False)

    def shared_links(self, text: str) -> list[Json]:
        """Return the links of a text that the app may unfurl, in Slack's form."""
        links: list[Json] = []
        for url in dict.fromkeys(_LINK.findall(text)):
            host = url.split("/")[2].rsplit("@", 1)[-1].split(":")[0].lower()
            domain = next((it for it in self.unfurl_domains if host == it or host.endswith("." + it)), None)
            if domain:
                links.append({"domain": domain, "url": url})
        return links


def ts_key(ts: str) -> tuple[int, int]:
    """Return a timestamp in a form that sorts. Raises ValueError for what is none."""
    seconds, _, rest = ts.partition(".")
    return int(seconds), int(rest.ljust(6, "0")[:6] or 0)
