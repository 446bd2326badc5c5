"""What commands keep for a while under a token: clicks, what an act removed.

Presets, last values, claims and switches have tables of their own in the store.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from bot.store import Store
from commands.core.context import Context, Source

DOUBLE_CLICK_SECONDS = 5.0
UNDO_SECONDS = 86_400.0
DRAFT_SECONDS = 3600.0


async def first_click(what: str, context: Context) -> bool:
    """Return False where the same person pressed a button for the same thing seconds ago (a double click)."""
    if context.source is not Source.BUTTON:
        return True
    key = f"click:{context.team}:{context.user}:{context.channel}:{what}"
    return await context.store.tokens.add(key, seconds=DOUBLE_CLICK_SECONDS)


async def is_first_within(key: str, seconds: float, store: Store) -> bool:
    """Return whether nothing happened under a key for some seconds, and remember that it did now."""
    return await store.tokens.add(key, seconds=seconds)


async def keep_for_undo(snapshot: Mapping[str, object], context: Context) -> str:
    """Keep what an act removed for a day and return the token that brings it back."""
    token = secrets.token_hex(8)
    await context.store.tokens.add(_undo(token, context), seconds=UNDO_SECONDS, value=json.dumps(snapshot))
    return token


async def kept_for_undo(token: str, context: Context) -> dict[str, Any] | None:
    """Return what a token brings back in this channel, None where it is gone."""
    kept = await context.store.tokens.value(_undo(token, context))
    return dict(json.loads(kept)) if kept else None


async def forget_undo(token: str, context: Context) -> bool:
    """Use a token up; return whether it was there."""
    return await context.store.tokens.take(_undo(token, context)) is not None


def _undo(token: str, context: Context) -> str:
    return f"undo:{context.team}:{context.channel}:{token}"


async def keep_removed_schedule(number: int, fields: str, context: Context) -> None:
    """Keep a schedule (JSON) that is being removed, for a day."""
    await context.store.tokens.add(_schedule(number, context), seconds=UNDO_SECONDS, value=fields)


async def take_removed_schedule(number: int, context: Context) -> dict[str, Any] | None:
    """Return a removed schedule's fields once, None where it is gone."""
    kept = await context.store.tokens.take(_schedule(number, context))
    return dict(json.loads(kept)) if kept else None


def _schedule(number: int, context: Context) -> str:
    return f"removed schedule:{context.team}:{context.channel}:{number}"


async def keep_draft(words: str, context: Context) -> str:
    """Keep a command too long for a button for an hour and return the token that stands for it, for this person only."""
    token = secrets.token_hex(8)
    await context.store.tokens.add(_draft(token, context), seconds=DRAFT_SECONDS, value=words)
    return token


async def kept_draft(token: str, context: Context) -> str | None:
    """Return the command that a token stands for, None where it is gone or somebody else's."""
    return await context.store.tokens.value(_draft(token, context)) or None


def _draft(token: str, context: Context) -> str:
    return f"draft:{context.team}:{context.user}:{token}"
