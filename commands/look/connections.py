"""The connections of a workspace as a list: whether they answer, when their credentials end, which scopes those lack."""

import asyncio
from datetime import datetime

from bot.blocks.credentials import end_words, missing_scopes
from bot.blocks.lists import ConnectionLine
from bot.blocks.text import Markup
from bot.core.errors import BotError
from bot.monitoring.credentials import days_left
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context

SECONDS = 8.0
AT_ONCE = 8


async def connection_lines(context: Context) -> list[ConnectionLine]:
    """Return the connections that the workspace may see. Costs the check of each, all within a few seconds."""
    turns = asyncio.Semaphore(AT_ONCE)
    errors = {row.name: row.last_error for row in await context.store.connections.all()}
    ends_of = {name: row.expires_at for name, row in (await context.store.health.all()).items()}

    async def checked(provider: AnyProvider) -> ConnectionLine:
        name, label = provider.connection, provider.label
        ends_at = ends_of.get(name)
        ends = _ends(ends_at, context)
        try:
            async with turns, asyncio.timeout(SECONDS):
                account = await provider.check()
        except BotError as exc:
            return ConnectionLine(name=name, label=label, error=str(exc), ends=ends)
        except TimeoutError:
            return ConnectionLine(name=name, label=label, error=f"has not answered for {SECONDS:.0f} s", ends=ends)
        return ConnectionLine(
            name=name,
            label=label,
            error=errors.get(name) or "",
            ends=_ends(account.expires_at or ends_at, context),
            lacks=tuple(missing_scopes(account)),
        )

    return list(await asyncio.gather(*(checked(provider) for provider in context.providers())))


def _ends(expires_at: datetime | None, context: Context) -> Markup | str:
    return end_words(expires_at, days_left(expires_at, context.now)) if expires_at is not None else ""
