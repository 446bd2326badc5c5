"""The steps that wait for a person: /build approvals [target]."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.blocks.message import Block, Message, actions, button, link_button, section
from bot.blocks.message import context as small_print
from bot.blocks.text import bold, escape, plural, roughly, safe
from bot.core.errors import UsageError
from bot.providers.base.capabilities import Capability
from bot.store.states import Setting
from commands.act.decision import Step, open_steps, waiting_steps, words_of
from commands.core.actions import actor, public_line
from commands.core.channel import channel_to_decide_in, judged_in
from commands.core.context import Answer, Context, Role
from commands.core.durations import parse_duration
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import match_of_link
from commands.core.words import choice_label

USAGE = "approvals [target] | approvals --remind 30m|off|default"
MOST = 15
LEAST_REMINDER = timedelta(minutes=5)
LONGEST_REMINDER = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What is asked about; nothing for all the channel's pipelines, or all linked ones in a direct message."""

    target: Target
    public: bool = False
    remind: str | None = None


def parse(words: str) -> Args:
    """Read the words after `approvals`. Raises UsageError."""
    parsed = read(words, values=("remind",), switches=("public",))
    remind = parsed.flag("remind")
    if remind is not None and parsed.words:
        raise UsageError("`--remind` is about the whole channel.", usage=USAGE)
    return Args(
        target=parsed.only_target(USAGE), public=parsed.public, remind=_seconds(remind) if remind is not None else None
    )


def _seconds(text: str) -> str:
    """Return what is stored for a time of reminders: seconds, `0` for none, "" for the default. Raises UsageError."""
    match text.strip().lower():
        case "off":
            return "0"
        case "default":
            return ""
        case span:
            after = parse_duration(span)
            if not LEAST_REMINDER <= after <= LONGEST_REMINDER:
                raise UsageError("`--remind` takes a time from 5 minutes to 7 days, `off` or `default`.")
            return str(int(after / timedelta(seconds=1)))


async def resolve(args: Args, context: Context) -> list[Step]:
    """Return the steps that wait."""
    if args.remind is not None:
        return []
    if args.target.empty and context.is_direct:
        return await waiting_steps(await _linked_anywhere(context), context)
    return await open_steps(args.target, context, verb="approvals")


async def _linked_anywhere(context: Context) -> list[PipelineMatch]:
    """Return every pipeline that a channel of the workspace follows, once."""
    visible = context.services.connections.labels(context.team)
    links = {
        (link.connection, link.pipeline): link
        for link in await context.store.links.all(context.team)
        if link.connection in visible
    }
    return [match_of_link(link, context) for link in links.values()]


async def run(args: Args, steps: list[Step], context: Context) -> Answer:
    """Return the steps with buttons to approve and to reject; who may is asked when one is pressed."""
    if args.remind is not None:
        return await _set_reminders(args.remind, context)
    if not steps:
        text = f"Nothing waits for approval{'' if context.is_direct else f' in {escape(context.here)}'}."
        return Answer(message=Message(text=text, blocks=(section(text),)), public=args.public)
    blocks: list[Block] = []
    links = await context.store.links.all(context.team) if context.is_direct else []
    for step in steps[:MOST]:
        channel = await channel_to_decide_in(step.match.build, links, Role.APPROVE, context) if links else None
        blocks += step_blocks(step, context, channel or "")
    title = f"{plural(len(steps), 'step')} {'waits' if len(steps) == 1 else 'wait'} for approval"
    if len(steps) > MOST:
        blocks.append(small_print(f"… {len(steps) - MOST} more"))
    return Answer(message=Message(text=title, blocks=(section(bold(title)), *blocks)), public=args.public)


def authorize(args: Args, _steps: list[Step], _context: Context) -> Sequence[Requirement]:
    """Require the runner's role to set when a channel is reminded; to look is everybody's."""
    if args.remind is None:
        return ()
    return (Requirement(role=Role.RUN, doing="Setting reminders of approvals"),)


async def _set_reminders(value: str, context: Context) -> Answer:
    if context.is_direct:
        raise UsageError("Reminders go to a channel.", hint="Type it in the channel.")
    await context.store.settings.set(context.team, context.channel, Setting.REMIND, value or None)
    after = await context.store.settings.reminds_after(context.team, context.channel)
    if after is None:
        when = "no reminder of open approvals; one before a deadline stays"
    else:
        when = f"a reminder of an approval that is open for {roughly(after / timedelta(seconds=1))}"
    return public_line(f"{actor(context)} set: {escape(context.here)} gets {when}.")


def step_blocks(step: Step, context: Context, channel: str = "") -> tuple[Block, ...]:
    """Return a step with its buttons; they act as if pressed in `channel`, where one is named."""
    can_reject = step.approval.can_reject and step.match.provider.can(Capability.REJECT)
    return (
        section(safe(choice_label(step.match, context, step.approval))),
        judged_in(
            actions(
                button("Approve", words_of(step, "approve"), style="primary"),
                *([button("Reject", f"{words_of(step, 'reject')} --form", style="danger")] if can_reject else []),
                link_button("Open step", step.approval.url or step.match.build.web_url),
            ),
            "" if channel == context.channel else channel,
            f"{step.match.build.id}:{step.approval.id}",
        ),
    )


COMMAND = Command(
    verb="approvals",
    names_target=True,
    usage=USAGE,
    summary="Steps that wait for approval",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    acts=lambda args: args.remind is not None,
    run=run,
    aliases=("waiting",),
    flags=(
        ("--public", "show it to the channel"),
        ("--remind 30m", "when this channel is reminded of an open approval; `off` for never, `default` for an hour"),
    ),
    examples=("approvals", "approvals deploy", "approvals --remind 30m"),
    inferred="all pipelines of the channel; in a direct message all linked ones",
)
