"""Administer workflows where the CI system lets one (Xcode Cloud): /build workflow <what> <pipeline>."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape
from bot.core.errors import UsageError
from bot.core.models import Pipeline
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import PipelineAdmin
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline

USAGE = "workflow enable|disable|duplicate|create|rename|delete|choices <pipeline> [NEW NAME] [KEY=VALUE …]"


class Act(StrEnum):
    """What to do with a workflow."""

    ENABLE = "enable"
    DISABLE = "disable"
    DUPLICATE = "duplicate"
    CREATE = "create"
    RENAME = "rename"
    DELETE = "delete"
    CHOICES = "choices"


NAMED = frozenset({Act.DUPLICATE, Act.RENAME, Act.CREATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do with which workflow; `confirmed` once the person has been asked."""

    act: Act
    target: Target
    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `workflow`. Raises UsageError."""
    parsed = read(words, values=("name",), switches=("yes",), parameters=True)
    word = parsed.words[0].lower() if parsed.words else ""
    act = next((act for act in Act if act == word), None)
    if act is None:
        raise UsageError(f"A workflow has no `{word}`." if word else "What shall be done?", usage=USAGE)
    name = parsed.flag("name") or " ".join(parsed.words[2:])
    if act in NAMED and not name:
        raise UsageError("Under which name?", usage=USAGE)
    target = parsed.target(1)
    if target.pipeline is None and target.url is None:
        raise UsageError("Which workflow?", usage=USAGE)
    return Args(act=act, target=target, name=name, settings=dict(parsed.parameters), confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the workflow."""
    pipeline = await resolve_pipeline(args.target, context, acting=True, verb=f"workflow {args.act.value}")
    actions.must_be_able(pipeline, Capability.PIPELINE_ADMIN)
    return pipeline


def authorize(_args: Args, pipeline: PipelineMatch, _context: Context) -> Sequence[Requirement]:
    """Require an admin for the workflow."""
    return (Requirement(role=Role.ADMIN, doing=f"Administering *{escape(pipeline.name)}*", pipeline=pipeline),)


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Do it after asking; a deleted workflow takes its builds with it."""
    admin = pipeline.provider.pipeline_admin()
    if args.act is Act.CHOICES:
        choices = await admin.choices(pipeline.id)
        lines = [f"{bold(name)}: {escape(', '.join(values[:12]))}" for name, values in choices.items()]
        lines = lines or ["There is nothing to choose."]
        return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))
    if not args.confirmed:
        question, effect = _question(args, pipeline)
        danger = args.act in {Act.DELETE, Act.DISABLE}
        return actions.asks_first(
            question, effect, _words(args, pipeline), yes=args.act.value.capitalize(), danger=danger
        )
    if not await memory.first_click(f"workflow {args.act} {pipeline.id} {args.name}", context):
        return Answer(silent=True)
    changed, line = await _done(args, pipeline, admin)
    if changed is not None:
        await context.store.pipelines.save(pipeline.connection, [changed], context.now)
    else:
        await context.store.pipelines.delete(pipeline.connection, pipeline.id)
    return actions.public_line(f"{actions.actor(context)} {line} ({code(pipeline.connection)})", pipeline=pipeline)


async def _done(args: Args, pipeline: PipelineMatch, admin: PipelineAdmin) -> tuple[Pipeline | None, str]:
    """Do it; return the workflow as it stands then (None for a deleted one), and what was done."""
    name = escape(pipeline.name)
    match args.act:
        case Act.ENABLE | Act.DISABLE:
            changed = await admin.set_enabled(pipeline.id, enabled=args.act is Act.ENABLE)
            return changed, f"{args.act.value}d {name}"
        case Act.DUPLICATE:
            changed = await admin.duplicate(pipeline.id, args.name)
            return changed, f"duplicated {name} as {escape(changed.name)}"
        case Act.CREATE:
            changed = await admin.create(pipeline.id, {"name": args.name, **args.settings})
            return changed, f"created the workflow {escape(changed.name)} beside {name}"
        case Act.RENAME:
            changed = await admin.rename(pipeline.id, args.name)
            return changed, f"renamed {name} to {escape(changed.name)}"
        case _:
            await admin.delete(pipeline.id)
            return None, f"deleted the workflow {name}"


def _question(args: Args, pipeline: PipelineMatch) -> tuple[str, str]:
    match args.act:
        case Act.DELETE:
            return (
                f"Delete {pipeline.name}?",
                "All its builds, logs and artifacts at the CI system go with it. There is no way back.",
            )
        case Act.DISABLE:
            return f"Disable {pipeline.name}?", "It will build nothing until somebody enables it again."
        case Act.ENABLE:
            return f"Enable {pipeline.name}?", "Its start conditions become active again."
        case Act.RENAME:
            return f"Rename {pipeline.name}?", f"Its new name: {args.name}."
        case _:
            return f"{args.act.value.capitalize()} a workflow like {pipeline.name}?", f"Its name: {args.name}."


def _words(args: Args, pipeline: PipelineMatch) -> str:
    name = f" --name={shlex.quote(args.name)}" if args.name else ""
    pairs = "".join(f" {shlex.quote(f'{key}={value}')}" for key, value in args.settings.items())
    return f"workflow {args.act.value} {pipeline.spoken()}{name}{pairs}"


COMMAND = Command(
    verb="workflow",
    usage=USAGE,
    summary="Enable, disable, copy, rename or delete an Xcode Cloud workflow",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("workflow disable Nightly", 'workflow duplicate Nightly "Nightly beta"', "workflow choices Nightly"),
    is_dangerous=True,
)
