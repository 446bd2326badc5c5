"""People in Slack, cached to save requests, and when and how they want to be notified."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any

from cachetools import LRUCache

from bot.core.clock import Clock
from bot.core.models import SHORT_KINDS, Person
from bot.core.recurrence import DEFAULT_ZONE, Hours, zone_of
from bot.slack.sender import Sender, SlackError
from bot.store import Store
from bot.store.rows import NewIdentity, NewPerson

log = logging.getLogger(__name__)

STANDING_FRESH_FOR = timedelta(minutes=5)
MOST_STANDINGS = 10_000
NOBODYS = frozenset({"user_not_visible", "user_not_found", "users_not_found"})
"""Slack's words for somebody who is none of a workspace's people, as far as it tells us."""
PERSON_FRESH_FOR = timedelta(hours=1)
EMAIL_FRESH_FOR = timedelta(days=1)
GROUPS_FRESH_FOR = timedelta(minutes=5)
MISSING_FRESH_FOR = timedelta(seconds=10)
ADMINS_FRESH_FOR = timedelta(hours=1)
MOST_USERS_PAGES = 5
MOST_MEMBERS_PAGES = 20
MOST_CHANNELS = 2000
NOREPLY = {"users.noreply.github.com": ("github_actions", "+"), "users.noreply.gitlab.com": ("gitlab", "-")}
"""The hosts of noreply addresses: the kind of their provider, and what stands between a person's number and handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person is in a workspace, as rights depend on it.

    A guest is a single-channel or multi-channel guest; a stranger belongs to another workspace (Slack Connect).
    `unknown_because` is Slack's error code where nothing is known that is recent enough, "" where it is.
    """

    is_admin: bool = False
    is_guest: bool = False
    is_stranger: bool = False
    is_deactivated: bool = False
    unknown_because: str = ""

    @property
    def is_unknown(self) -> bool:
        """Return whether Slack did not report what the person is."""
        return bool(self.unknown_because)


@dataclass(frozen=True, slots=True)
class Handle:
    """A handle at a code host, by the kind of its provider."""

    kind: str
    login: str


def noreply_handle(email: str) -> Handle | None:
    """Return whose noreply address it is (`12345+ana@users.noreply.github.com`), or None for any other address."""
    local, at, host = email.strip().partition("@")
    kind, sign = NOREPLY.get(host.lower(), ("", ""))
    if not at or not kind or not local:
        return None
    number, found, login = local.partition(sign)
    return Handle(kind, login if found and number.isascii() and number.isdigit() and login else local)


class People:
    """Users, e-mail addresses, user groups and memberships."""

    def __init__(self, store: Store, sender: Sender, clock: Clock) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._groups: dict[str, tuple[datetime, dict[str, frozenset[str]]]] = {}
        self._members: dict[tuple[str, str], tuple[datetime, frozenset[str]]] = {}
        self._admins: dict[str, tuple[datetime, tuple[str, ...]]] = {}
        self._standings: LRUCache[tuple[str, str], tuple[datetime, Standing]] = LRUCache(MOST_STANDINGS)

    async def standing(self, team: str, user: str, *, fresh: bool = False) -> Standing:
        """Return what a person is in a workspace; asks Slack when that is older than five minutes, or with `fresh`.

        One request (users.info). Whom Slack hides or does not know is a stranger. Where Slack does not report, what it
        reported within the hour counts, but nobody is an admin by that; without such a report the person is unknown.
        """
        now = self._clock()
        cached = self._standings.get((team, user))
        if cached is not None and not fresh and now - cached[0] < STANDING_FRESH_FOR:
            return cached[1]
        try:
            user_info = (await self._sender.call(team, "users.info", {"user": user})).get("user") or {}
        except SlackError as exc:
            log.info("Slack did not return a person", extra={"code": exc.code})
            if exc.code in NOBODYS:
                return Standing(is_stranger=True)
            before = cached[1] if cached is not None else Standing()
            is_recent = cached is not None and now - cached[0] < PERSON_FRESH_FOR
            return replace(before, is_admin=False, unknown_because="" if is_recent else exc.code)
        standing = _standing(user_info, team)
        self._standings[team, user] = (now, standing)
        return standing

    def forget(self, team: str, user: str) -> None:
        """Drop what is remembered of a person in this process."""
        self._standings.pop((team, user), None)

    async def person(self, team: str, user: str) -> NewPerson:
        """Return what is known of a user; asks Slack when that is older than an hour (one request)."""
        now = self._clock()
        stored = await self._store.people.get(team, user)
        if stored is not None and now - stored.seen_at < PERSON_FRESH_FOR:
            return stored
        unknown = NewPerson(team=team, user=user, seen_at=now)
        try:
            answer = (await self._sender.call(team, "users.info", {"user": user})).get("user") or {}
        except SlackError:
            return stored or unknown
        profile = answer.get("profile") or {}
        return await self._store.people.save(
            replace(
                unknown,
                name=str(profile.get("display_name") or answer.get("real_name") or answer.get("name") or ""),
                email=str(profile.get("email") or "").lower(),
                tz=str(answer.get("tz") or ""),
                is_admin=bool(answer.get("is_admin") or answer.get("is_owner")),
                deleted=bool(answer.get("deleted")),
                settings=stored.settings if stored else "{}",
            )
        )

    async def is_admin(self, team: str, user: str) -> bool:
        """Return whether a person administers the workspace."""
        person = await self.person(team, user)
        return person.is_admin and not person.deleted

    async def admins(self, team: str, limit: int) -> tuple[str, ...]:
        """Return up to `limit` people who administer the workspace, by id: those seen here, else as Slack lists them.

        A list costs a request for each 1,000 people (users.list), each hour, 5 at most.
        """
        seen = await self._store.people.admins(team, limit)
        if seen:
            return tuple(seen)
        now = self._clock()
        cached = self._admins.get(team)
        if cached is None or now - cached[0] >= ADMINS_FRESH_FOR:
            cached = self._admins[team] = (now, await self._listed_admins(team))
        return cached[1][:limit]

    async def primary_owner(self, team: str) -> str:
        """Return who owns the workspace in the first place, "" where Slack does not tell.

        Costs a request for each 1,000 people (users.list), 5 at most. Raises SlackError.
        """
        async for user in self._listed(team):
            if user.get("is_primary_owner") and not user.get("deleted"):
                return str(user["id"])
        return ""

    async def _listed_admins(self, team: str) -> tuple[str, ...]:
        admins: list[str] = []
        try:
            async for user in self._listed(team):
                if not user.get("is_bot") and _standing(user, team).is_admin:
                    admins.append(str(user["id"]))  # noqa: PERF401 - those listed before a fault are kept
        except SlackError as exc:
            log.info("Slack did not list its people", extra={"code": exc.code})
        return tuple(admins)

    async def _listed(self, team: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the people of a workspace as Slack lists them, 5,000 at most. Raises SlackError."""
        cursor = ""
        for _page in range(MOST_USERS_PAGES):
            page = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            answer = await self._sender.call(team, "users.list", page)
            for user in answer.get("members") or ():
                yield user
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    async def name(self, team: str, user: str) -> str:
        """Return a person's name, or their id."""
        return (await self.person(team, user)).name or user

    async def zone(self, team: str, user: str) -> str:
        """Return a person's time zone, `UTC` where unknown."""
        return (await self.person(team, user)).tz or DEFAULT_ZONE

    async def user_for(self, team: str, email: str) -> str | None:
        """Return the Slack user with an e-mail address; misses are remembered for a day."""
        now = self._clock()
        address = email.strip().lower()
        if "@" not in address:
            return None
        identity = await self._store.people.identity(team, "email", address)
        if identity is not None and (identity.manual or now - identity.looked_at < EMAIL_FRESH_FOR):
            return await self._alive(team, identity.user)
        user = ""
        try:
            user_info = (await self._sender.call(team, "users.lookupByEmail", {"email": address})).get("user") or {}
            user = "" if user_info.get("deleted") else str(user_info.get("id") or "")
        except SlackError as exc:
            if exc.code != "users_not_found":
                return await self._alive(team, identity.user) if identity else None
        await self._store.people.save_identity(
            NewIdentity(team=team, kind="email", value=address, user=user, looked_at=now)
        )
        return user or None

    async def _alive(self, team: str, user: str) -> str | None:
        if not user:
            return None
        return None if (await self.person(team, user)).deleted else user

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        """Return the Slack user that a commit's author is: by e-mail address, else by a handle they linked.

        The handle inside a code host's noreply address counts, at that host and at the CI system.
        """
        hidden = noreply_handle(author.email or "")
        if author.email and hidden is None and (user := await self.user_for(team, author.email)):
            return user
        for name in _names_of(hidden.kind) if hidden else ():
            identity = await self._store.people.identity(team, name, hidden.login if hidden else "")
            if identity is not None and identity.user:
                return await self._alive(team, identity.user)
        for name in _names_of(kind):
            for handle in filter(None, (author.login, hidden.login if hidden else None, author.name)):
                identity = await self._store.people.identity(team, name, handle)
                if identity is not None and identity.user:
                    return await self._alive(team, identity.user)
        return None

    async def may_mention(self, team: str, user: str) -> bool:
        """Return whether somebody wants to be mentioned in channels; who has left Slack is not."""
        person = await self.person(team, user)
        return not person.deleted and own_settings(person).get("mentions") != "off"

    async def wants_broken(self, team: str, user: str) -> bool:
        """Return whether somebody asked for a direct message when their commit breaks a build."""
        person = await self.person(team, user)
        return not person.deleted and own_settings(person).get("broken") == "on"

    async def off_hours(self, team: str, user: str, now: datetime) -> str:
        """Return why somebody is not to be sent a direct message now, or an empty text."""
        person = await self.person(team, user)
        hours = own_settings(person).get("hours", "off")
        return "" if at_work(hours, person.tz, now) else f"outside your working hours ({hours})"

    async def groups(self, team: str, user: str) -> frozenset[str]:
        """Return the user groups a person is in (one request each five minutes)."""
        now = self._clock()
        cached = self._groups.get(team)
        if cached is None or now - cached[0] > GROUPS_FRESH_FOR:
            groups: dict[str, frozenset[str]] = {}
            try:
                reply = await self._sender.call(team, "usergroups.list", {"include_users": True})
                for group in reply.get("usergroups") or []:
                    groups[str(group["id"])] = frozenset(group.get("users") or ())
            except SlackError:
                groups = cached[1] if cached else {}
            cached = self._groups[team] = (now, groups)
        return frozenset(group for group, members in cached[1].items() if user in members)

    async def is_member(self, team: str, channel: str, user: str) -> bool:
        """Return whether a person is known to be in a channel; costs as `membership`."""
        return bool(await self.membership(team, channel, user))

    async def membership(self, team: str, channel: str, user: str) -> bool | None:
        """Return whether a person is in a channel, None where Slack does not say (a private channel without the bot).

        One request for each 200 members, each five minutes. Somebody missing from an older list is looked for again.
        """
        now = self._clock()
        cached = self._members.get((team, channel))
        is_old = cached is None or now - cached[0] > GROUPS_FRESH_FOR
        if cached is None or is_old or (user not in cached[1] and now - cached[0] > MISSING_FRESH_FOR):
            members: set[str] = set()
            cursor = ""
            try:
                for _page in range(MOST_MEMBERS_PAGES):
                    asked = {"channel": channel, "limit": 200} | ({"cursor": cursor} if cursor else {})
                    said = await self._sender.call(team, "conversations.members", asked)
                    members.update(said.get("members") or ())
                    cursor = str((said.get("response_metadata") or {}).get("next_cursor") or "")
                    if not cursor:
                        break
            except SlackError:
                return None
            if not members:
                return None
            while len(self._members) >= MOST_CHANNELS:
                del self._members[next(iter(self._members))]
            cached = self._members[team, channel] = (now, frozenset(members))
        return user in cached[1]


def _standing(user: Mapping[str, Any], team: str) -> Standing:
    """Read a user of users.info. In an organization, somebody of a sister workspace is no stranger."""
    home = str(user.get("team_id") or "")
    enterprise = user.get("enterprise_user") or {}
    teams = {str(name) for name in enterprise.get("teams") or ()} | ({home} if home else set())
    is_elsewhere = bool(teams) and team not in teams and home != str(enterprise.get("enterprise_id") or "-")
    is_deactivated = bool(user.get("deleted"))
    is_guest = bool(user.get("is_restricted") or user.get("is_ultra_restricted"))
    is_stranger = bool(user.get("is_stranger")) or is_elsewhere
    is_admin = bool(user.get("is_admin") or user.get("is_owner"))
    return Standing(
        is_admin=is_admin and not (is_deactivated or is_guest or is_stranger),
        is_guest=is_guest,
        is_stranger=is_stranger,
        is_deactivated=is_deactivated,
    )


def own_settings(person: NewPerson) -> dict[str, str]:
    """Return what a person set for themselves."""
    try:
        read = json.loads(person.settings or "{}")
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in read.items()} if isinstance(read, dict) else {}


def at_work(hours: str, tz: str, now: datetime) -> bool:
    """Return whether a time lies in working hours such as `9-18` (or `22-6`) in a time zone; `off` is always."""
    start, dash, end = hours.partition("-")
    if not (dash and start.isdigit() and end.isdigit()) or start == end or max(int(start), int(end)) > 24:
        return True
    span = Hours(time(int(start) % 24), time(int(end) % 24))
    return span.start == span.end or span.contain(now, zone_of(tz))


def _names_of(kind: str) -> tuple[str, ...]:
    """Return what people call a kind of CI system when they enter their handle there."""
    return (kind, *(short for short, named in SHORT_KINDS.items() if named == kind))
