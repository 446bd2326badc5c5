"""Which links of a channel build the same repository on other systems: their builds of one commit may share a card."""

from bot.core.text import repository_key
from bot.notifications.filters import filter_of
from bot.store.rows import LinkRow
from commands.core.context import Context
from commands.core.listings import RECENT
from commands.follow.filter_words import merged


async def same_repository(link: LinkRow, context: Context) -> list[LinkRow]:
    """Return the channel's links of other connections whose pipelines build the repository of a link's.

    Not every system names the repository: pipelines that lately built a commit in common build the same one, too.
    """
    repository, commits = await _repository(link, context), await _commits(link, context)
    same = []
    for other in await context.store.links.of_channel(context.team, context.channel):
        if other.connection == link.connection:
            continue
        is_named = bool(repository) and await _repository(other, context) == repository
        if is_named or commits & await _commits(other, context):
            same.append(other)
    return same


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


async def _commits(link: LinkRow, context: Context) -> set[str]:
    builds = await context.store.builds.of_pipeline(link.connection, link.pipeline, limit=RECENT)
    return {build.commit.lower() for build in builds if build.commit}


async def _repository(link: LinkRow, context: Context) -> str:
    row = await context.store.pipelines.get(link.connection, link.pipeline)
    return repository_key(row.repository) if row is not None else ""
