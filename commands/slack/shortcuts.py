"""Shortcuts, reactions and previews: other ways in, all ending in the same words one could have typed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.blocks.build import build_card
from bot.blocks.message import Message
from bot.core.errors import BotError
from bot.core.models import Build, BuildKey, spoken
from bot.store.tables import CardRow
from commands.core.context import Request, Services, Source
from commands.look.builds import verbs_of

_URL = re.compile(r"https?://[^\s<>|\"']+")
GLOBAL = {"start_build": "run --form", "my_builds": "status mine", "approvals": "status all", "connect_ci": "connect"}
MESSAGE = {"retry_build": "retry", "why_failed": "why", "follow_build": "watch", "show_logs": "logs"}
REACTIONS = {"repeat": "retry", "eyes": "watch", "no_bell": "mute"}
MOST_LINKS = 5


async def words_for(callback: str, body: Mapping[str, Any], request: Request, services: Services) -> str:
    """Return what a shortcut types: for a message, about the build of its card, else of its first build address."""
    if callback in GLOBAL:
        return GLOBAL[callback]
    verb = MESSAGE.get(callback, "")
    if not verb:
        return ""
    message = body.get("message") or {}
    card = await services.store.cards.at(request.team, request.channel, str(message.get("ts") or ""))
    if card is not None:
        known = await services.store.builds.get(_key(card))
        if known is not None:
            return f"{verb} {target_of(known[0])}"
    for url in _URL.findall(str(message)):
        if any(provider.parse_url(url) for provider in services.connections.visible(request.team)):
            return f"{verb} {url}"
    return f"{verb} --build last" if verb in {"why", "logs"} else verb


def _key(card: CardRow) -> BuildKey:
    return BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)


def target_of(build: Build) -> str:
    """Return the words that name a build."""
    words = spoken(build.connection, build.pipeline, number=build.number)
    return words if build.number is not None else f"{words} --id {build.id}"


async def reacted(event: Mapping[str, Any], request: Request, services: Services) -> str:
    """Return what a reaction on a card types, "" for any other reaction or message."""
    verb = REACTIONS.get(str(event.get("reaction") or ""), "")
    item = event.get("item") or {}
    if not verb or item.get("type") != "message":
        return ""
    card = await services.store.cards.at(request.team, str(item.get("channel") or ""), str(item.get("ts") or ""))
    known = await services.store.builds.get(_key(card)) if card is not None else None
    if known is None:
        return ""
    if verb == "mute":
        return f"mute {spoken(known[0].connection, known[0].pipeline)} --for 2h"
    return f"{verb} {target_of(known[0])}"


async def previews(event: Mapping[str, Any], request: Request, services: Services) -> dict[str, Message]:
    """Return a preview for each build address of a connection the workspace may see; at most one request each."""
    found: dict[str, Message] = {}
    for shared in (event.get("links") or [])[:MOST_LINKS]:
        url = str(shared.get("url") or "").replace("&amp;", "&")
        for provider in services.connections.visible(request.team):
            page = provider.parse_url(url)
            if page is None or (page.build is None and page.number is None):
                continue
            try:
                pipeline = await provider.pipeline(page.pipeline)
                build = (
                    await provider.build(pipeline.id, page.build)
                    if page.build is not None
                    else await provider.build_by_number(pipeline.id, page.number or 0)
                )
            except BotError:
                break
            only_one = frozenset({"retry" if build.completed else "watch"}) & verbs_of(provider, build)
            found[str(shared["url"])] = build_card(
                build, label=pipeline.name, now=request.now, connection_label=provider.label, actions=only_one
            )
            break
    return found


def as_shortcut(request: Request, text: str) -> Request:
    """Return the request of a shortcut with the words it types."""
    return replace(request, text=text, source=Source.SHORTCUT)
