"""Which links of a channel build the same repository on other systems: their builds of one commit may share a card."""

from bot.notifications.filters import filter_of
from bot.store.rows import LinkRow
from commands.core.context import Context
from commands.follow.filter_words import merged


async def same_repository(link: LinkRow, context: Context) -> list[LinkRow]:
    """Return the channel's links of other connections whose pipelines build the repository of a link's."""
    repository = await _repository(link, context)
    if not repository:
        return []
    return [
        other
        for other in await context.store.links.of_channel(context.team, context.channel)
        if other.connection != link.connection and await _repository(other, context) == repository
    ]


async def group_others(link: LinkRow, mode: str, context: Context) -> list[LinkRow]:
    """Give the same mode of grouping to the links of the same repository on other systems, and return those changed."""
    changed = []
    for other in await same_repository(link, context):
        before = filter_of(other)
        after = merged(before, {"group": [mode]})
        if after != before:
            await context.store.links.update(other.id, filters=after.words())
            changed.append(other)
    return changed


async def _repository(link: LinkRow, context: Context) -> str:
    row = await context.store.pipelines.get(link.connection, link.pipeline)
    return row.repository.lower().strip("/").removesuffix(".git") if row is not None else ""
