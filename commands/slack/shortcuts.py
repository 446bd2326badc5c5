"""Shortcuts, reactions and previews: other ways in, all ending in the same words one could have typed."""

import re
from collections.abc import Mapping
from typing import Any

from bot.blocks.build import build_card
from bot.blocks.message import Message
from bot.core.errors import BotError
from bot.core.models import Build, BuildKey, spoken
from bot.store.rows import CardRow
from commands.core.available_actions import verbs_of
from commands.core.context import Context
from commands.core.grammar import Target
from commands.core.resolve import resolve_named_build
from commands.core.stories import stories_of

_URL = re.compile(r"https?://[^\s<>|\"']+")
GLOBAL = {"start_build": "run --form", "my_builds": "status mine", "approvals": "approvals", "connect_ci": "connect"}
MESSAGE = {"retry_build": "retry", "why_failed": "why", "follow_build": "watch", "show_logs": "logs"}
REACTIONS = {"repeat": "retry", "eyes": "watch", "no_bell": "mute"}
MOST_LINKS = 5


async def words_for(callback: str, body: Mapping[str, Any], context: Context) -> str:
    """Return what a shortcut types: for a message, about the build of its card, else of its first build address."""
    if callback in GLOBAL:
        return GLOBAL[callback]
    verb = MESSAGE.get(callback, "")
    if not verb:
        return ""
    message = body.get("message") or {}
    card = await context.store.cards.at(context.team, context.channel, str(message.get("ts") or ""))
    if card is not None:
        known = await context.store.builds.get(_key(card))
        if known is not None:
            return f"{verb} {target_of(known[0])}"
    for url in _URL.findall(str(message)):
        if any(provider.parse_url(url) for provider in context.providers()):
            return f"{verb} {url}"
    return f"{verb} --build last" if verb in {"why", "logs"} else verb


def _key(card: CardRow) -> BuildKey:
    return BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)


def target_of(build: Build) -> str:
    """Return the words that name a build."""
    words = spoken(build.connection, build.pipeline, number=build.number)
    return words if build.number is not None else f"{words} --id {build.id}"


async def reacted(event: Mapping[str, Any], context: Context) -> str:
    """Return what a reaction on a card types, "" for any other reaction or message."""
    verb = REACTIONS.get(str(event.get("reaction") or ""), "")
    item = event.get("item") or {}
    if not verb or item.get("type") != "message":
        return ""
    card = await context.store.cards.at(context.team, str(item.get("channel") or ""), str(item.get("ts") or ""))
    stored = await context.store.builds.get(_key(card)) if card is not None else None
    if stored is None:
        return ""
    if verb == "mute":
        return f"mute {spoken(stored[0].connection, stored[0].pipeline)} --for 2h"
    return f"{verb} {target_of(stored[0])}"


async def previews(event: Mapping[str, Any], context: Context) -> dict[str, Message]:
    """Return a preview for each build address of a connection the workspace may see; a few requests each."""
    unfurls: dict[str, Message] = {}
    for shared in (event.get("links") or [])[:MOST_LINKS]:
        url = str(shared.get("url") or "").replace("&amp;", "&")
        for provider in context.providers():
            page = provider.parse_url(url)
            if page is None or (page.build is None and page.number is None and page.job is None):
                continue
            try:
                match = await resolve_named_build(Target(url=url), context, acting=False, verb="show")
            except BotError:
                break
            if match is None:
                break
            stories = await stories_of([match.build], context)
            (build,) = stories.builds
            only_one = frozenset({"retry" if build.completed else "watch"}) & verbs_of(provider, build)
            unfurls[str(shared["url"])] = build_card(
                build,
                label=match.pipeline.name,
                now=context.now,
                connection_label=provider.label,
                actions=only_one,
                facts=stories.of(build),
            )
            break
    return unfurls
