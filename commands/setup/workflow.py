"""Administer workflows where the CI system lets one (Xcode Cloud): /build workflow <what> <pipeline>."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum

from bot.blocks.message import Message, actions, button, section
from bot.blocks.text import code, escape
from bot.blocks.workflow import definition_message, environments_message
from bot.core.errors import Ambiguous, NotLinked, UsageError
from bot.core.models import Pipeline
from bot.core.text import same_name
from bot.core.workflow_words import SETTINGS
from bot.providers.base.admin import PipelineAdmin
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core import actions as acting
from commands.core import memory
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import ParsedArgs, Target, parse_target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement, role_of
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline
from commands.setup.workflow_change import Change, create, update

USAGE = (
    "workflow show|create|update|duplicate|rename|enable|disable|delete|choices <workflow> [NEW NAME] [SETTING=VALUE …]"
)
EXPIRED = "That was prepared more than an hour ago, or by somebody else."


class Act(StrEnum):
    """What to do with a workflow."""

    SHOW = "show"
    CHOICES = "choices"
    CREATE = "create"
    UPDATE = "update"
    DUPLICATE = "duplicate"
    RENAME = "rename"
    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"


READS = frozenset({Act.SHOW, Act.CHOICES})
NAMED = frozenset({Act.DUPLICATE, Act.RENAME})
WORDS = {"edit": Act.UPDATE, "change": Act.UPDATE, "new": Act.CREATE, "copy": Act.DUPLICATE, "remove": Act.DELETE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do with which workflow.

    `name` is the new name. `settings`, `lines` (actions added or changed) and `without` (actions left out) say what a
    new or changed workflow is like. `like` is the workflow that a new one copies. `confirm` is the name that a person
    typed to delete it, `seen` the revision they saw, `draft` the token of a kept command, `confirmed` their yes.
    """

    act: Act
    target: Target = field(default_factory=Target)
    name: str = ""
    product: str = ""
    like: Target | None = None
    connection: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    seen: str = ""
    confirm: str = ""
    draft: str = ""
    form: bool = False
    public: bool = False
    confirmed: bool = False

    @property
    def changes_nothing(self) -> bool:
        """Whether no setting and no action was given."""
        return not (self.settings or self.lines or self.without)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The workflow (None for a new one) at its connection, and the arguments with a draft filled in."""

    args: Args
    provider: AnyProvider
    match: PipelineMatch | None

    @property
    def pipeline(self) -> PipelineMatch:
        """Return the workflow of an act that has one."""
        if self.match is None:
            raise UsageError("Which workflow?", usage=USAGE)
        return self.match


def parse(words: str) -> Args:
    """Read the words after `workflow`. Raises UsageError."""
    parsed = read(
        words,
        values=("name", "product", "like", "connection", "action", "without-action", "seen", "confirm", "draft"),
        switches=("yes", "form", "public"),
        parameters=True,
    )
    word = parsed.words[0].lower() if parsed.words else ""
    act = next((act for act in Act if act == word), WORDS.get(word))
    if act is None:
        near = get_close_matches(word, [*Act], n=1)
        guess = f" Did you mean `{near[0]}`?" if near else ""
        raise UsageError(f"A workflow has no `{word}`.{guess}" if word else "What shall be done?", usage=USAGE)
    rest = parsed.words[1:]
    if act is Act.CREATE:
        target, name = Target(), " ".join(rest)
    elif act in NAMED:
        target, name = parsed.target(1), " ".join(rest[1:])
    else:
        target, name = _whole_target(parsed, rest), ""
    target = target.of_pipeline("workflow")
    name = parsed.flag("name") or name
    if act not in {Act.CREATE, Act.SHOW} and target.pipeline is None and target.url is None:
        raise UsageError("Which workflow?", usage=USAGE)
    if act is Act.RENAME and not name:
        raise UsageError("Under which name?", usage=USAGE)
    like = parsed.flag("like")
    return Args(
        act=act,
        target=target,
        name=name,
        product=parsed.flag("product") or "",
        like=parse_target(like) if like else None,
        connection=parsed.flag("connection") or "",
        settings=dict(parsed.parameters),
        lines=parsed.flags.get("action", ()),
        without=parsed.flags.get("without-action", ()),
        seen=parsed.flag("seen") or "",
        confirm=parsed.flag("confirm") or "",
        draft=parsed.flag("draft") or "",
        form=parsed.has("form"),
        public=parsed.public,
        confirmed=parsed.has("yes"),
    )


def _whole_target(parsed: ParsedArgs, rest: Sequence[str]) -> Target:
    """Return the target of an act that takes nothing after it, so that a name of several words needs no quotes."""
    typed = parsed.target(1)
    if len(rest) <= 1 or typed.url is not None:
        return typed
    whole = parse_target(" ".join(rest))
    return replace(typed, pipeline=whole.pipeline, ref=whole.ref, build=whole.build)


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    target = args.target.pipeline or args.target.url or args.name
    return " ".join(word for word in (args.act.value, target, *(f"{name}=…" for name in args.settings)) if word)


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where the words leave open what shall be changed, made, or typed to confirm."""
    if args.confirmed or args.draft:
        return None
    named = args.target.url or args.target.pipeline or ""
    if args.act is Act.DELETE and not args.confirm:
        return opening("delete_workflow", context, target=named)
    if args.act is Act.UPDATE and (args.form or args.changes_nothing):
        return opening("workflow", context, pipeline=named)
    like = args.like.url or args.like.pipeline or "" if args.like is not None else ""
    if args.act is Act.DUPLICATE and not args.name:
        return opening("workflow", context, like=named)
    if args.act is Act.CREATE and (args.form or not args.name or (args.changes_nothing and not like)):
        return opening("workflow", context, name=args.name, product=args.product, like=like, connection=args.connection)
    return None


async def resolve(args: Args, context: Context) -> Resolution:
    """Return the workflow, or for a new one the connection it is made at."""
    if args.draft:
        words = await memory.kept_draft(args.draft, context)
        if words is None:
            raise UsageError(EXPIRED, hint="Begin again.")
        args = replace(parse(words.removeprefix("workflow ")), confirmed=args.confirmed)
    if args.act is Act.CREATE and args.like is None:
        provider = await provider_for(args.connection, context)
        return Resolution(args=args, provider=provider, match=None)
    target = args.like if args.act is Act.CREATE and args.like is not None else args.target
    match = await resolve_pipeline(target, context, acting=args.act not in READS, verb=f"workflow {args.act.value}")
    acting.must_be_able(match, Capability.PIPELINE_ADMIN)
    if args.act is Act.DUPLICATE and not args.name:
        raise UsageError("Under which name?", usage=USAGE)
    return Resolution(args=args, provider=match.provider, match=match)


async def provider_for(connection: str, context: Context, *, again: str = "workflow create") -> AnyProvider:
    """Return the connection that manages workflows: the one named, the only one, or that of the channel's default.

    Raises NotLinked where there is none, Ambiguous where there are several.
    """
    if connection:
        provider = context.provider(connection)
        if not provider.can(Capability.PIPELINE_ADMIN):
            raise provider.unsupported(Capability.PIPELINE_ADMIN)
        return provider
    able = [provider for provider in context.providers() if provider.can(Capability.PIPELINE_ADMIN)]
    links = await context.store.links.of_channel(context.team, context.channel)
    here = {link.connection for link in links if link.is_default} or {link.connection for link in links}
    near = [provider for provider in able if provider.connection in here]
    if len(able) == 1 or len(near) == 1:
        return (able if len(able) == 1 else near)[0]
    if not able:
        raise NotLinked(
            "No connection of this workspace can manage workflows.",
            hint="Xcode Cloud can, with an API key. A ready-made token reads lists only.",
        )
    raise Ambiguous(
        "At which connection?",
        choices=tuple((provider.connection, f"{again} --connection {provider.connection}") for provider in able),
    )


def authorize(_args: Args, resolution: Resolution, _context: Context) -> Sequence[Requirement]:
    """Require an admin for the workflow, of all workflows for a new one; anybody may look."""
    args, match = resolution.args, resolution.match
    if args.act in READS:
        return ()
    if args.act is Act.CREATE or match is None:
        return (Requirement(role=Role.ADMIN, doing="Creating workflows"),)
    return (Requirement(role=Role.ADMIN, doing=f"Administering *{escape(match.name)}*", pipeline=match),)


async def run(_args: Args, resolution: Resolution, context: Context) -> Answer:
    """Do it after asking; a deleted workflow takes its builds with it."""
    args = resolution.args
    admin = resolution.provider.pipeline_admin()
    match args.act:
        case Act.SHOW:
            return await _show(args, resolution.pipeline, admin, context)
        case Act.CHOICES:
            shown = await admin.definition(resolution.pipeline.id)
            offered = await admin.environments(product=shown.product, xcode=shown.xcode)
            return Answer(message=environments_message(offered), public=args.public)
        case Act.CREATE:
            return await create(_change(args), resolution.provider, resolution.match, context)
        case Act.UPDATE:
            return await update(_change(args), resolution.pipeline, context)
        case Act.DELETE:
            return await _delete(args, resolution.pipeline, admin, context)
        case _:
            return await _simple(args, resolution.pipeline, admin, context)


def _change(args: Args) -> Change:
    return Change(
        name=args.name,
        product=args.product or args.settings.get("product", ""),
        settings=args.settings,
        lines=args.lines,
        without=args.without,
        seen=args.seen,
        confirmed=args.confirmed,
    )


async def _show(args: Args, pipeline: PipelineMatch, admin: PipelineAdmin, context: Context) -> Answer:
    definition = await admin.definition(pipeline.id)
    can_change = not args.public and await role_of(context, pipeline) >= Role.ADMIN
    message = definition_message(definition, target=pipeline.spoken(), can_change=can_change)
    return Answer(message=acting.noted(message, pipeline), public=args.public)


async def _delete(args: Args, pipeline: PipelineMatch, admin: PipelineAdmin, context: Context) -> Answer:
    """Delete a workflow whose name the person typed."""
    name = (await admin.definition(pipeline.id)).name
    if not args.confirm:
        return asks_for_name(name, "workflow delete", pipeline.spoken(), pipeline.typed, context)
    if not same_name(args.confirm, name):
        raise UsageError(f"Its name is `{name}`, not `{args.confirm}`. Nothing was deleted.")
    await admin.delete(pipeline.id)
    await context.store.pipelines.delete(pipeline.connection, pipeline.id)
    line = f"{acting.actor(context)} deleted the workflow {escape(name)} ({code(pipeline.connection)})"
    return acting.public_line(line, pipeline=pipeline)


def asks_for_name(name: str, verb: str, target: str, typed: str, context: Context) -> Answer:
    """Return how a deletion is confirmed: with the name typed, in a form or as words.

    `target` is what the button names, `typed` what a person would write.
    """
    words = f"{context.command} {verb} {typed} --confirm {shlex.quote(name)}"
    question = f"*Delete {escape(name)}?* Its builds, logs and artifacts go with it. There is no way back."
    text = f"{question}\nTo delete it, type: {code(words, 400)}"
    row = actions(button("Type its name", f"{verb} {target}", style="danger"))
    return Answer(message=Message(text=text, blocks=(section(text), row)), is_question=True)


async def _simple(args: Args, pipeline: PipelineMatch, admin: PipelineAdmin, context: Context) -> Answer:
    if not args.confirmed:
        question, effect = _question(args, pipeline)
        return acting.asks_first(
            question,
            effect,
            _words(args, pipeline),
            yes=args.act.value.capitalize(),
            danger=args.act is Act.DISABLE,
        )
    if not await memory.first_click(f"workflow {args.act} {pipeline.id} {args.name}", context):
        return Answer(silent=True)
    changed, line = await _done(args, pipeline, admin)
    await context.store.pipelines.save(pipeline.connection, [changed], context.now)
    return acting.public_line(f"{acting.actor(context)} {line} ({code(pipeline.connection)})", pipeline=pipeline)


async def _done(args: Args, pipeline: PipelineMatch, admin: PipelineAdmin) -> tuple[Pipeline, str]:
    """Do it; return the workflow as it stands then, and what was done."""
    name = escape(pipeline.name)
    match args.act:
        case Act.DUPLICATE:
            changed = await admin.duplicate(pipeline.id, args.name)
            return changed, f"duplicated {name} as {escape(changed.name)}, switched off"
        case Act.RENAME:
            changed = await admin.rename(pipeline.id, args.name)
            return changed, f"renamed {name} to {escape(changed.name)}"
        case _:
            changed = await admin.set_enabled(pipeline.id, enabled=args.act is Act.ENABLE)
            return changed, f"{args.act.value}d {name}"


def _question(args: Args, pipeline: PipelineMatch) -> tuple[str, str]:
    match args.act:
        case Act.DISABLE:
            return f"Disable {pipeline.name}?", "It will build nothing until somebody enables it again."
        case Act.ENABLE:
            return f"Enable {pipeline.name}?", "Its start conditions become active again."
        case Act.RENAME:
            return f"Rename {pipeline.name}?", f"Its new name: {args.name}."
        case _:
            return f"Duplicate {pipeline.name}?", f"The copy's name: {args.name}. It starts switched off."


def _words(args: Args, pipeline: PipelineMatch) -> str:
    name = f" --name={shlex.quote(args.name)}" if args.name else ""
    return f"workflow {args.act.value} {pipeline.spoken()}{name}"


COMMAND = Command(
    verb="workflow",
    usage=USAGE,
    summary="Show an Xcode Cloud workflow; an admin makes, changes, copies, switches and deletes them",
    role=Role.VIEW,
    form_role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    opens=opens,
    spoken=spoken,
    acts=lambda args: args.act not in READS,
    aliases=("workflows", "wf"),
    flags=(
        ("--action LINE", "add an action or change the one of its name: test scheme=Aurora required=no"),
        ("--without-action NAME", "leave an action out"),
        ("--product NAME", "the product of a new workflow"),
        ("--like WORKFLOW", "the workflow that a new one copies"),
        ("--connection NAME", "where a new workflow is made"),
        ("--confirm NAME", "the workflow's name, typed to delete it"),
        ("--form", "fill in a form"),
        ("--public", "show it to the channel"),
        *((f"{setting.name}=…", setting.help.replace("`", "")) for setting in SETTINGS),
    ),
    examples=(
        "workflow show Nightly",
        "workflow update Nightly clean=yes schedule='daily 4:00'",
        "workflow update Nightly --action \"name='Test - iOS' required=no\"",
        "workflow create Smoke --product Aurora container=Aurora.xcodeproj --action 'test scheme=Aurora'",
        'workflow duplicate Nightly "Nightly beta"',
        "workflow choices Nightly",
    ),
    is_dangerous=True,
)
