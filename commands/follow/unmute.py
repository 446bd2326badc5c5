"""End a mute: /build unmute [target|@person|all]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, mentioned_user, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import match_of_link
from commands.follow.mute import EVERYTHING, label_of, muted_pipeline, named_target, target_of

USAGE = "unmute [target|@person|all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What is no longer muted."""

    target: Target
    everything: bool = False
    person: str = ""


def parse(words: str) -> Args:
    """Read the words after `unmute`. Raises UsageError."""
    parsed = read(words)
    person = mentioned_user(parsed.words[0]) if len(parsed.words) == 1 else None
    if person:
        return Args(target=Target(), person=person)
    target, everything = named_target(parsed.words, parsed, USAGE)
    return Args(target=target, everything=everything)


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the muted pipeline, None for everything."""
    if args.person:
        return None
    return await muted_pipeline(args.target, context, everything=args.everything, verb="unmute")


def authorize(_args: Args, _match: PipelineMatch | None, _context: Context) -> Sequence[Requirement]:
    """Require a person who may act in the channel."""
    return (Requirement(role=Role.VIEW, doing="Ending a mute"),)


async def run(args: Args, match: PipelineMatch | None, context: Context) -> Answer:
    """End a mute; what was held is posted now."""
    label = label_of(match, args.person)
    has_ended = await context.store.mutes.end(context.team, context.channel, target_of(match, args.person))
    others = "" if args.person else await _still_muted(match, context)
    if not has_ended:
        if match is None and not args.person:
            raise UsageError("This channel is not muted.", hint=others)
        if match is None:
            raise UsageError(f"B{label[1:]} are not muted here.")
        raise UsageError(f"{match.name} is not muted here.", hint=others)
    await context.services.release_held()
    line = f"{actions.actor(context)} ended the mute of {label}"
    return actions.public_line(f"{line}. {others}" if others else line, pipeline=match)


async def _still_muted(match: PipelineMatch | None, context: Context) -> str:
    """Return what else holds a channel's notifications back, with the commands that end it, or no words for nothing."""
    mutes = await context.store.mutes.of_channel(context.team, context.channel)
    targets = {row.target for row in mutes if not row.hours} - {target_of(match)}
    if match is not None:
        return f"Everything is muted here: `{context.command} unmute` ends it." if EVERYTHING in targets else ""
    links = await context.store.links.of_channel(context.team, context.channel)
    pipelines = (match_of_link(link, context) for link in links)
    muted = [pipeline for pipeline in pipelines if target_of(pipeline) in targets]
    ends = ", ".join(f"{escape(pipeline.name)} (`{context.command} unmute {pipeline.typed}`)" for pipeline in muted)
    return f"Still muted: {ends}." if ends else ""


COMMAND = Command(
    verb="unmute",
    names_target=True,
    usage=USAGE,
    summary="End a mute",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda _args: True,
    examples=("unmute", "unmute web"),
    inferred="in a build's thread its pipeline, else everything",
)
