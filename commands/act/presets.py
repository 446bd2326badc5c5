"""Presets: parameter values a channel keeps under a name for a pipeline, without its secrets."""

import re
from collections.abc import Mapping

from bot.core.errors import UsageError
from commands.core.context import Context
from commands.core.matches import PipelineMatch

MOST = 20
_NAME = re.compile(r"[\w.-]{1,40}")


async def presets_of(pipeline: PipelineMatch, context: Context) -> dict[str, dict[str, str]]:
    """Return the channel's presets of a pipeline, by name."""
    return await context.store.presets.of_pipeline(context.team, context.channel, pipeline.connection, pipeline.id)


async def preset_values(name: str, pipeline: PipelineMatch, context: Context) -> dict[str, str]:
    """Return one preset's values. Raises UsageError naming the presets there are."""
    presets = await presets_of(pipeline, context)
    if name not in presets:
        names = ", ".join(f"`{preset}`" for preset in sorted(presets))
        raise UsageError(
            f"{pipeline.name} has no preset `{name}` in this channel.",
            hint=f"It has {names}." if presets else f"A preset is saved in the form: `{context.command} run --form`.",
        )
    return presets[name]


def check_name(name: str) -> None:
    """Raise UsageError unless a preset may have this name."""
    if not _NAME.fullmatch(name):
        raise UsageError("A preset's name has letters, figures, `.`, `_` and `-` in it, at most 40.")


async def save_preset(name: str, values: Mapping[str, str], pipeline: PipelineMatch, context: Context) -> None:
    """Keep values under a name, in place of what stood there. Raises UsageError where there are too many."""
    check_name(name)
    try:
        await context.store.presets.save(
            context.team,
            context.channel,
            pipeline.connection,
            pipeline.id,
            name=name,
            parameters=values,
            most=MOST,
        )
    except UsageError as exc:
        raise UsageError(
            f"{pipeline.name} has {MOST} presets in this channel already.",
            hint=f"`{context.command} run --forget-preset NAME` removes one.",
        ) from exc


async def forget_preset(name: str, pipeline: PipelineMatch, context: Context) -> None:
    """Remove a preset. Raises UsageError where there is none of that name."""
    await preset_values(name, pipeline, context)
    await context.store.presets.remove(context.team, context.channel, pipeline.connection, pipeline.id, name)
