"""Make or change a workflow: what would change is shown first, and only that is sent."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.blocks.message import COMMAND, Message, section
from bot.blocks.text import code, escape
from bot.blocks.workflow import change_message, difference_lines, setting_lines
from bot.core.errors import UsageError
from bot.core.workflow_actions import with_actions
from bot.core.workflow_words import apply, differences
from bot.core.workflows import WorkflowDefinition
from bot.providers.base.provider import AnyProvider
from commands.core import actions, memory
from commands.core.context import Answer, Context
from commands.core.matches import PipelineMatch

SPARE = 100
"""How many characters of a button are kept free for what is added when it is pressed."""
MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a new or changed workflow is to be like; see the `workflow` command's arguments of the same names."""

    name: str = ""
    product: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    seen: str = ""
    confirmed: bool = False


async def update(change: Change, pipeline: PipelineMatch, context: Context) -> Answer:
    """Change a workflow after showing the difference. What was shown is what is sent, or it is asked again."""
    admin = pipeline.provider.pipeline_admin()
    old = await admin.definition(pipeline.id)
    words = f"workflow update {pipeline.spoken()}{_settings(change, change.settings)}"
    if change.seen and change.seen != old.revision:
        raise UsageError(
            f"Somebody changed {old.name} meanwhile.",
            hint="Look at it again.",
            choices=(("Show it", f"workflow show {pipeline.spoken()}"),),
        )
    new = await admin.prepare(await _changed(old, change, context, is_new=False), old)
    changes = differences(old, new)
    if not changes:
        return Answer(message=_nothing(f"{old.name} is like that already. Nothing would change."))
    lines = difference_lines(changes)
    if not change.confirmed:
        seen = f" --seen {shlex.quote(old.revision)}" if old.revision else ""
        command = await _pressed(words + seen, f"workflow update {pipeline.spoken()}", context)
        return Answer(
            message=change_message(f"Change {old.name}?", lines, yes="Change", command=command), is_question=True
        )
    if not await memory.first_click(f"workflow update {pipeline.id} {words}", context):
        return Answer(silent=True)
    changed = await admin.update(new, old)
    await context.store.pipelines.save(pipeline.connection, [changed], context.now)
    labels = _named(difference.label for difference in changes)
    line = f"{actions.actor(context)} changed {escape(changed.name)}: {labels} ({code(pipeline.connection)})"
    return actions.public_line("\n".join([line, *lines[:MOST_NAMED]]), pipeline=pipeline)


async def create(change: Change, provider: AnyProvider, like: PipelineMatch | None, context: Context) -> Answer:
    """Make a workflow after showing what it will be."""
    admin = provider.pipeline_admin()
    draft = await admin.draft(product=change.product or None, like=like.id if like is not None else None)
    new = replace(draft, name=change.name or draft.name)
    new = await admin.prepare(await _changed(new, change, context, is_new=True), None)
    if not change.confirmed:
        product = f" --product {shlex.quote(new.product)}"
        model = f" --like {shlex.quote(like.key)}" if like is not None else ""
        place = f" --connection {shlex.quote(provider.connection)}" if like is None else ""
        left = {name: text for name, text in change.settings.items() if name not in {"name", "product"}}
        words = f"workflow create --name={shlex.quote(new.name)}{product}{model}{place}{_settings(change, left)}"
        command = await _pressed(words, "workflow create", context)
        lines = setting_lines(differences(None, new))
        question = f"Create the workflow {new.name} in {new.product}?"
        small = "It starts switched off." if not new.enabled else "Its start conditions are active at once."
        return Answer(
            message=change_message(question, lines, yes="Create", command=command, small=small), is_question=True
        )
    if not await memory.first_click(f"workflow create {provider.connection} {new.product} {new.name}", context):
        return Answer(silent=True)
    made = await admin.create(new)
    await context.store.pipelines.save(provider.connection, [made], context.now)
    like_words = f", like {escape(like.name)}" if like is not None else ""
    off = "" if new.enabled else ", switched off"
    line = f"{actions.actor(context)} created the workflow {escape(made.path)}{like_words}{off}"
    answer = actions.public_line(f"{line} ({code(provider.connection)})")
    return replace(answer, connection=provider.connection, pipeline=made.id)


async def _changed(
    definition: WorkflowDefinition, change: Change, context: Context, *, is_new: bool
) -> WorkflowDefinition:
    changed = apply(definition, change.settings, zone=await context.zone(), is_new=is_new)
    if not (change.lines or change.without):
        return changed
    return replace(changed, actions=with_actions(changed.actions, change.lines, change.without))


def _settings(change: Change, settings: Mapping[str, str]) -> str:
    """Return settings and actions as they are typed."""
    words: Sequence[str] = (
        *(shlex.quote(f"{name}={text}") for name, text in settings.items()),
        *(f"--action={shlex.quote(line)}" for line in change.lines),
        *(f"--without-action={shlex.quote(name)}" for name in change.without),
    )
    return "".join(f" {word}" for word in words)


async def _pressed(words: str, begins: str, context: Context) -> str:
    """Return the command of a button: the words, or a token for them where they are too long for Slack."""
    if len(words) + SPARE <= COMMAND:
        return f"{words} --yes"
    return f"{begins} --draft {await memory.keep_draft(words, context)} --yes"


def _named(labels: Iterable[str]) -> str:
    names = list(labels)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (
        escape(", ".join(name.lower() if name.split()[0] != "Action" else name for name in names[:MOST_NAMED])) + more
    )


def _nothing(text: str) -> Message:
    return Message(text=escape(text), blocks=(section(escape(text)),))
