"""Direct messages about the end of a hold: to who held, and to those whose acts it refused."""

import logging

from bot.blocks.message import Message, section
from bot.blocks.text import bold, code, safe
from bot.slack.sender import SlackError
from bot.store.rows import HoldRow
from commands.core.context import Services

log = logging.getLogger(__name__)


async def notify_holder(row: HoldRow, what: str, services: Services) -> bool:
    """Send the holder a sentence about their hold ("Your hold of Web has ended."); return whether that went well."""
    return await _post(row.team, row.user, f"Your hold of {await _name(row, services)} {what}", services)


async def notify_waiters(row: HoldRow, services: Services, *, but: str = "") -> None:
    """Send a message to everybody whose act the hold refused, once each; `but` needs none."""
    name = await _name(row, services)
    for wait in await services.store.holds.take_waits(row):
        if wait.user != but:
            text = f"{name} is not on hold any more. You wanted: {safe(wait.what, 120)}"
            await _post(row.team, wait.user, text, services)


async def _name(row: HoldRow, services: Services) -> str:
    listed = await services.store.pipelines.get(row.connection, row.pipeline)
    linked = await services.store.links.of_pipeline(row.connection, row.pipeline)
    name = listed.name if listed is not None else next((link.name for link in linked), row.pipeline)
    return f"{bold(name)}{f' for {code(row.environment)}' if row.environment else ''}"


async def _post(team: str, user: str, text: str, services: Services) -> bool:
    if not user:
        return True
    try:
        await services.sender.post(team, user, Message(text=text, blocks=(section(text),)))
    except SlackError as exc:
        log.info("somebody could not be notified of the end of a hold", extra={"code": exc.code})
        return False
    return True
