"""Start a build: /build run [pipeline][@ref] [KEY=VALUE …]."""

import json
from dataclasses import dataclass, replace

from bot.blocks.message import Message, section
from bot.blocks.text import code, escape
from bot.core.errors import NotFound, Rejected, UsageError
from bot.core.models import Parameter, ParameterType, Ref, RefKind, StartRequest
from bot.providers.base.capabilities import Capability
from commands.act.presets import forget_preset, preset
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import PipelineMatch, closest, place, ref_of

USAGE = "run [pipeline][@ref] [KEY=VALUE …] [--preset NAME] [--message TEXT] [--commit SHA] [--option NAME=VALUE] [--dry-run]"


@dataclass(frozen=True, slots=True)
class Run:
    """What to build, with what."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Run:
    """Read the words after `run`. Raises UsageError."""
    ask = read(
        words,
        values=("message", "commit", "option", "preset", "forget-preset"),
        switches=("watch", "no-watch", "dry-run", "clean", "form", "yes"),
        parameters=True,
    )
    if len(ask.words) > 1:
        raise UsageError(f"I don't know what `{ask.words[1]}` should be.", hint="Parameters are written KEY=VALUE.")
    target = ask.target()
    if target.build is not None:
        raise UsageError("`run` starts a new build.", hint="To build an old one again: `/build rebuild #412`.")
    return Run(target=target, ask=ask)


async def run(ask: Run, request: Request, services: Services) -> Answer:
    """Start the build and post its card. Nothing is sent twice."""
    chosen = ask.ask.flag("preset") or ""
    if ask.ask.has("form") and can_open(request):
        return Answer(form=opening("run", request, pipeline=_named(ask), ref=str(ask.target.ref or ""), preset=chosen))
    where = await place(ask.target, request, services, acting=True, verb="run")
    acting.must_be_able(where, Capability.START)
    wanted = await ref_of(where, ask.target.ref)
    await require(Role.RUN, f"Starting builds of *{escape(where.label)}*", request, services, where, wanted)
    if gone := ask.ask.flag("forget-preset"):
        await forget_preset(gone, where, request, services)
        return acting.public_line(
            f"{acting.who(request)} removed the preset {code(gone)} of {escape(where.label)}", place=where
        )
    start = start_request(ask.ask, where, wanted, request, await services.people.name(request.team, request.user))
    if chosen:
        values = await preset(chosen, where, request, services)
        start = replace(start, parameters={**values, **start.parameters})
    missing = await missing_parameters(where, wanted, start)
    if missing and can_open(request):
        typed = json.dumps(dict(start.parameters)) if start.parameters else ""
        named = f"{where.connection}:{where.pipeline}"
        return Answer(
            form=opening(
                "run",
                request,
                pipeline=named,
                ref=str(wanted or ""),
                preset=chosen,
                given=typed,
                message=start.message or "",
            )
        )
    if missing:
        raise UsageError(
            f"{where.label} needs {', '.join(f'`{parameter.name}`' for parameter in missing)}.",
            hint=f"Add {' '.join(f'{parameter.name}=…' for parameter in missing)}.",
            usage=USAGE,
        )
    if ask.ask.has("dry-run"):
        return Answer(message=_dry(where, wanted, start))
    if not await acting.first_click(f"run {where.spoken(ref=wanted)}", request, services):
        return Answer(silent=True)
    return await begin(where, wanted, start, request, services, watch=not ask.ask.has("no-watch"))


def _named(ask: Run) -> str:
    """Return the pipeline as the form takes it: a name or an address."""
    return ask.target.pipeline or ask.target.url or ""


async def begin(
    where: PipelineMatch,
    wanted: Ref | None,
    start: StartRequest,
    request: Request,
    services: Services,
    *,
    watch: bool = True,
) -> Answer:
    """Start a build that has been checked, and post its card."""
    try:
        build = await where.provider.start(where.pipeline, start)
    except (NotFound, Rejected) as exc:
        named = wanted is not None and wanted.kind in {RefKind.BRANCH, RefKind.TAG}
        near = await closest(where, wanted) if wanted is not None and named else ()
        if wanted is not None and near and wanted.name not in near:
            exc.hint = f"Closest to `{wanted.name}`: {', '.join(f'`{name}`' for name in near)}."
        raise
    number = f"#{build.number}" if build.number is not None else "a build"
    headline = f"{acting.who(request)} started {number} of {escape(where.label)}{_on(wanted)}"
    return await acting.announce(build, where, request, services, headline=headline, watch=watch)


def _on(wanted: Ref | None) -> str:
    return f" on {escape(str(wanted))}" if wanted is not None else ""


def start_request(
    ask: ParsedArgs, where: PipelineMatch, wanted: Ref | None, request: Request, name: str
) -> StartRequest:
    """Return what to ask the CI system for. Raises UsageError for options it does not have."""
    options: dict[str, str] = {}
    for pair in ask.flags.get("option", ()):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"`--option` takes NAME=VALUE, not `{pair}`.", usage=USAGE)
        options[key] = value
    if ask.has("clean"):
        options["clean"] = "true"
    known = where.provider.start_options
    for key in options:
        if not any(key == option or (option.endswith(".") and key.startswith(option)) for option in known):
            raise UsageError(
                f"{where.provider.label} has no start option `{key}`.",
                hint=f"It has: {', '.join(f'`{option}`' for option in known)}." if known else "It has none.",
            )
    return StartRequest(
        ref=wanted,
        commit=ask.flag("commit"),
        parameters=dict(ask.parameters),
        message=ask.flag("message"),
        options=options,
        requested_by=name if request.user else None,
    )


async def missing_parameters(where: PipelineMatch, wanted: Ref | None, start: StartRequest) -> tuple[Parameter, ...]:
    """Return the required parameters that were neither given nor have a default (a request where the system tells)."""
    if not where.provider.can(Capability.PARAMETERS):
        return ()
    known = await where.provider.parameters(where.pipeline, wanted)
    for parameter in known:
        value = start.parameters.get(parameter.name)
        allowed = [choice for choice, _label in parameter.choices]
        if value is not None and parameter.type is ParameterType.CHOICE and allowed and value not in allowed:
            raise UsageError(
                f"`{parameter.name}` can't be `{value}`.", hint=f"Choices: {', '.join(f'`{c}`' for c in allowed[:20])}."
            )
    return tuple(p for p in known if p.required and p.default is None and p.name not in start.parameters)


def _dry(where: PipelineMatch, wanted: Ref | None, start: StartRequest) -> Message:
    given = [f"• `{escape(name)}` = `{escape(value)}`" for name, value in start.parameters.items()]
    text = f"Would start {escape(where.label)}{_on(wanted)} ({escape(where.provider.label)}). Nothing was started."
    return Message(text=text, blocks=(section("\n".join([text, *given])),))


COMMAND = Command(
    verb="run",
    usage=USAGE,
    summary="Start a build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    run=run,
    aliases=("start", "force"),
    flags=(
        ("--message TEXT", "the build's message, where the CI system takes one"),
        ("--commit SHA", "an exact commit, where the CI system can build one"),
        ("--option NAME=VALUE", "an option of the CI system's own, such as clean=true"),
        ("--preset NAME", "values this channel keeps under a name; the form saves them"),
        ("--forget-preset NAME", "remove such values; nothing is started"),
        ("--no-watch", "don't tell me here when it ends"),
        ("--dry-run", "say what would be started"),
        ("--form", "fill in a form"),
    ),
    examples=(
        "run nightly@main",
        "run web@release/2.1 DEPLOY=true",
        'run web --message "Try again with the new cache"',
    ),
    inferred="the channel's default pipeline, and its pinned or default branch",
)
