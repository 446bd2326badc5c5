"""Administer workflows where the CI system lets one (Xcode Cloud): /build workflow <what> <pipeline>."""

import shlex
from dataclasses import dataclass

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape
from bot.core.errors import UsageError
from bot.core.models import Pipeline, spoken
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import PipelineMatch, place

USAGE = "workflow enable|disable|duplicate|create|rename|delete|choices <pipeline> [NEW NAME] [KEY=VALUE …]"
ACTS = ("enable", "disable", "duplicate", "create", "rename", "delete", "choices")


@dataclass(frozen=True, slots=True)
class Workflow:
    """What to do with which workflow."""

    act: str
    target: Target
    name: str
    ask: ParsedArgs


def parse(words: str) -> Workflow:
    """Read the words after `workflow`. Raises UsageError."""
    ask = read(words, values=("name",), switches=("yes",), parameters=True)
    act = ask.words[0].lower() if ask.words else ""
    if act not in ACTS:
        raise UsageError(f"I don't know what to do with a workflow{f' by `{act}`' if act else ''}.", usage=USAGE)
    name = ask.flag("name") or " ".join(ask.words[2:])
    if act in {"duplicate", "rename", "create"} and not name:
        raise UsageError("Under which name?", usage=USAGE)
    target = ask.target(1)
    if target.pipeline is None and target.url is None:
        raise UsageError("Which workflow?", usage=USAGE)
    return Workflow(act=act, target=target, name=name, ask=ask)


async def run(ask: Workflow, request: Request, services: Services) -> Answer:
    """Do it after asking; a deleted workflow takes its builds with it."""
    where = await place(ask.target, request, services, acting=True, verb=f"workflow {ask.act}")
    acting.must_be_able(where, Capability.PIPELINE_ADMIN)
    await require(Role.ADMIN, f"Administering *{escape(where.label)}*", request, services, where)
    admin = where.provider.pipeline_admin()
    if ask.act == "choices":
        lines = [
            f"{bold(name)}: {escape(', '.join(values[:12]))}"
            for name, values in (await admin.choices(where.pipeline)).items()
        ]
        lines = lines or ["There is nothing to choose."]
        return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))
    if not ask.ask.has("yes"):
        return acting.asks_first(
            *_question(ask, where),
            _words(ask, where),
            yes=ask.act.capitalize(),
            danger=ask.act in {"delete", "disable"},
        )
    if not await acting.first_click(f"workflow {ask.act} {where.pipeline} {ask.name}", request, services):
        return Answer(silent=True)
    changed: Pipeline | None = None
    match ask.act:
        case "enable" | "disable":
            changed = await admin.set_enabled(where.pipeline, enabled=ask.act == "enable")
            said = f"{ask.act}d {escape(where.label)}"
        case "duplicate":
            changed = await admin.duplicate(where.pipeline, ask.name)
            said = f"duplicated {escape(where.label)} as {escape(changed.name)}"
        case "create":
            changed = await admin.create(where.pipeline, {"name": ask.name, **ask.ask.parameters})
            said = f"created the workflow {escape(changed.name)} beside {escape(where.label)}"
        case "rename":
            changed = await admin.rename(where.pipeline, ask.name)
            said = f"renamed {escape(where.label)} to {escape(changed.name)}"
        case _:
            await admin.delete(where.pipeline)
            said = f"deleted the workflow {escape(where.label)}"
            await services.store.pipelines.delete(where.connection, where.pipeline)
    if changed is not None:
        await services.store.pipelines.save(where.connection, [changed], request.now)
    return acting.public_line(f"{acting.who(request)} {said} ({code(where.connection)})", place=where)


def _question(ask: Workflow, where: PipelineMatch) -> tuple[str, str]:
    match ask.act:
        case "delete":
            return (
                f"Delete {where.label}?",
                "All its builds, logs and artifacts at the CI system go with it. There is no way back.",
            )
        case "disable":
            return f"Disable {where.label}?", "It will build nothing until somebody enables it again."
        case "enable":
            return f"Enable {where.label}?", "Its start conditions become active again."
        case "rename":
            return f"Rename {where.label}?", f"Its new name: {ask.name}."
        case _:
            return f"{ask.act.capitalize()} a workflow like {where.label}?", f"Its name: {ask.name}."


def _words(ask: Workflow, where: PipelineMatch) -> str:
    name = f" --name={shlex.quote(ask.name)}" if ask.name else ""
    pairs = "".join(f" {shlex.quote(f'{key}={value}')}" for key, value in ask.ask.parameters.items())
    return f"workflow {ask.act} {spoken(where.connection, where.pipeline)}{name}{pairs}"


COMMAND = Command(
    verb="workflow",
    usage=USAGE,
    summary="Enable, disable, copy, rename or delete an Xcode Cloud workflow",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    run=run,
    examples=("workflow disable Nightly", 'workflow duplicate Nightly "Nightly beta"', "workflow choices Nightly"),
)
