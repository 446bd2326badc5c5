"""Presets: parameter values a channel keeps under a name for a pipeline, without its secrets."""

import re
from collections.abc import Mapping

from bot.core.errors import UsageError
from commands.core.context import Request, Services
from commands.core.resolve import PipelineMatch

MOST = 20
_NAME = re.compile(r"[\w.-]{1,40}")


async def presets(where: PipelineMatch, request: Request, services: Services) -> dict[str, dict[str, str]]:
    """Return the channel's presets of a pipeline, by name."""
    return await services.store.presets.of_pipeline(request.team, request.channel, where.connection, where.pipeline)


async def preset(name: str, where: PipelineMatch, request: Request, services: Services) -> dict[str, str]:
    """Return one preset's values. Raises UsageError naming the ones there are."""
    known = await presets(where, request, services)
    if name not in known:
        names = ", ".join(f"`{one}`" for one in sorted(known))
        raise UsageError(
            f"{where.label} has no preset `{name}` in this channel.",
            hint=f"It has {names}." if known else f"A preset is saved in the form: `{services.command} run --form`.",
        )
    return known[name]


def check_name(name: str) -> None:
    """Raise UsageError unless a preset may have this name."""
    if not _NAME.fullmatch(name):
        raise UsageError("A preset's name has letters, figures, `.`, `_` and `-` in it, at most 40.")


async def save_preset(
    name: str, values: Mapping[str, str], where: PipelineMatch, request: Request, services: Services
) -> None:
    """Keep values under a name, in place of what stood there. Raises UsageError where there are too many."""
    check_name(name)
    try:
        await services.store.presets.save(
            request.team,
            request.channel,
            where.connection,
            where.pipeline,
            name=name,
            parameters=values,
            most=MOST,
        )
    except UsageError as exc:
        hint = f"`{services.command} run --forget-preset NAME` ends one."
        raise UsageError(f"{where.label} has {MOST} presets in this channel already.", hint=hint) from exc


async def forget_preset(name: str, where: PipelineMatch, request: Request, services: Services) -> None:
    """Forget a preset. Raises UsageError where there is none of that name."""
    await preset(name, where, request, services)
    await services.store.presets.remove(request.team, request.channel, where.connection, where.pipeline, name)
