"""Choose what a channel is notified about: /build subscribe [target] [filters]."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.blocks.message import Message, section
from bot.blocks.text import escape, harmless, plural
from bot.core.errors import UsageError
from bot.notifications.filters import filter_of
from bot.store.states import Switch
from commands.core import actions
from commands.core.channel import must_be_reachable
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.replay import posted, replayed
from commands.core.resolve import resolve_pipeline
from commands.follow.filter_words import CHANNEL_FILTERS, Conditions, check_switch, conditions_given, merged
from commands.follow.grouping import group_others

USAGE = "subscribe [target] [all|edges|failures|release|quiet] [--on EVENTS] [--branch GLOBS] [--preview]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, with which filter; or whether reactions on cards act."""

    target: Target
    conditions: Conditions = field(default_factory=dict)
    preview: bool = False
    reactions: bool | None = None


def parse(words: str) -> Args:
    """Read the words after `subscribe`. Raises UsageError."""
    parsed = read(words, values=(*CHANNEL_FILTERS, "reactions"), switches=("preview",))
    reactions = parsed.flag("reactions")
    if reactions is not None:
        check_switch(reactions, "reactions", USAGE)
    conditions, target = conditions_given(parsed, USAGE)
    return Args(
        target=target,
        conditions=conditions,
        preview=parsed.has("preview"),
        reactions=None if reactions is None else reactions == "on",
    )


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    conditions = [f"--{name} {','.join(values)}" for name, values in args.conditions.items() if values]
    return " ".join([args.target.pipeline or "", *conditions]).strip()


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where no filter was typed."""
    if args.conditions or args.preview or args.reactions is not None:
        return None
    return form(args, context)


def form(args: Args, context: Context) -> Opening:
    """Return the form with the filters that were typed in it. Raises UsageError for what it does not ask for."""
    if args.reactions is not None or args.preview:
        raise UsageError("`--reactions` and `--preview` go without a form.", usage=USAGE)
    named = args.target.pipeline or args.target.url or ""
    conditions = json.dumps({name: list(values) for name, values in args.conditions.items()}) if args.conditions else ""
    return opening("subscribe", context, pipeline=named, conditions=conditions)


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the linked pipeline, None where reactions are switched. Raises UsageError where it is not linked."""
    if args.reactions is not None:
        return None
    return await linked_pipeline(args.target, context, "subscribe")


async def linked_pipeline(target: Target, context: Context, verb: str) -> PipelineMatch:
    """Return the pipeline named. Raises UsageError where it is not linked to this channel."""
    pipeline = await resolve_pipeline(target.of_pipeline(verb), context, acting=True, verb=verb)
    if pipeline.link is None:
        raise UsageError(
            f"{pipeline.name} is not linked to {context.here}.",
            hint=f"First: `{context.command} link {pipeline.typed}`.",
            choices=((f"Link {pipeline.name}", f"link {pipeline.spoken()}"),),
        )
    return pipeline


def authorize(_args: Args, pipeline: PipelineMatch | None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role on the pipeline."""
    return (Requirement(role=Role.RUN, doing="Choosing this channel's notifications", pipeline=pipeline),)


async def run(args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Change what the channel is notified about; `--preview` only says how often that would have been."""
    if args.reactions is not None:
        return await _switch_reactions(args.reactions, context)
    if pipeline is None or pipeline.link is None:  # resolve has raised
        raise UsageError("Which pipeline?", usage=USAGE)
    row = pipeline.link
    new_filter = merged(filter_of(row), args.conditions)
    count = len(posted(await replayed(row, context, starters=bool(new_filter.by)), row, new_filter))
    words = harmless(new_filter.in_words(row.branch or row.default_branch), styles=False)
    times = f"It would have posted {plural(count, 'time')} in the last 7 days."
    if args.preview:
        text = f"{escape(pipeline.name)} with this filter: {words}. {times}"
        return Answer(message=Message(text=text, blocks=(section(text),)))
    await must_be_reachable(context, f"subscribe {pipeline.spoken()} {spoken(args)}".strip())
    await context.store.links.update(row.id, filters=new_filter.words(), subscribed=True)
    others = ""
    if args.conditions.get("group"):
        grouped = await group_others(row, args.conditions["group"][-1].lower(), context)
        names = ", ".join(escape(other.alias or other.name) for other in grouped)
        others = f" The same for {names}, of the same repository." if names else ""
    return actions.public_line(
        f"{actions.actor(context)} set the notifications of {escape(pipeline.name)} for this channel: {words}. {times}{others}",
        pipeline=pipeline,
    )


async def _switch_reactions(on: bool, context: Context) -> Answer:  # noqa: FBT001
    await context.store.switches.set(context.team, context.channel, Switch.REACTIONS, on=on)
    if not on:
        return actions.public_line(f"{actions.actor(context)} switched reactions on cards off here")
    return actions.public_line(
        f"{actions.actor(context)} switched reactions on cards on here: :repeat: retries, :eyes: watches, "
        ":no_bell: mutes for 2 h"
    )


COMMAND = Command(
    verb="subscribe",
    names_target=True,
    usage=USAGE,
    summary="Choose this channel's notifications",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    opens=opens,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    aliases=("sub", "settings"),
    flags=(
        ("--form", "choose in a form, which opens by itself where no filter is typed"),
        ("--on EVENTS", "a preset or events: passed, failed, broken, fixed, blocked, stuck, slow, queued-long, …"),
        ("--branch GLOBS", "branches such as main,release/*; !glob leaves out"),
        ("--trigger WORDS", "push, merge_request, api, cron, web"),
        ("--by NAMES", "who started it; bot; !name leaves out"),
        ("--min-streak N", "still failing: only from the n-th failure in a row"),
        ("--min-delta NAME:N", "only when a count grew, such as warnings:1"),
        ("--mention WHO", "whom to mention when it newly breaks: author (the default), @user, @group, none"),
        (
            "--thread MODE",
            "branch: one thread for each red branch (as edges and failures have it); build: a post for each",
        ),
        (
            "--escalate TIME [WHO]",
            "call @user, @group or the author when nobody is on a red branch that long: 30m; off",
        ),
        (
            "--group commit",
            "one card for the builds of a commit, with the other systems of the repository; build ends it",
        ),
        ("--reactions on|off", "whether :repeat: :eyes: :no_bell: on a card retry, watch and mute here (off)"),
        ("--preview", "only say, to you, how often it would have posted"),
    ),
    examples=(
        "subscribe web edges",
        "subscribe nightly --on failed,fixed --branch main,release/*",
        "subscribe web failures --escalate 30m",
        "subscribe web all --preview",
    ),
    inferred="the channel's default pipeline; without filters a form opens",
)
