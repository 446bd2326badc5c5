"""Start a build: /build run [pipeline][@ref] [KEY=VALUE …]."""

import json
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.blocks.message import Message, section
from bot.blocks.text import code, escape
from bot.core.errors import NotFound, ProviderError, Rejected, UsageError
from bot.core.models import Build, BuildKey, Parameter, ParameterType, Ref, RefKind, StartRequest, StartTarget
from bot.providers.base.capabilities import Capability
from commands.act.options import check_options, names_somebody_else, options_given
from commands.act.presets import check_name, forget_preset, preset_values, save_preset
from commands.core import actions, memory
from commands.core.chains import chain, check_chained
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import Target, read, unexpected
from commands.core.listings import closest_refs, closest_words, ref_of, unfinished_builds
from commands.core.matches import PipelineMatch, name_of
from commands.core.permissions import Requirement, protecting_globs, refs_of_start
from commands.core.registry import Command
from commands.core.resolve import card_here, pipelines_here, resolve_pipeline

USAGE = "run [pipeline][@ref] [KEY=VALUE …] [--preset NAME] [--message TEXT] [--commit SHA] [--option NAME=VALUE] [--then CMD] [--when green] [--dry-run]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to build, with which values. `save_preset` and `keep_values` come from the form.

    `then` is a command for when the build has passed; `when_green` waits for the ref's running build to pass.
    """

    target: Target
    parameters: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    commit: str | None = None
    preset: str = ""
    forget_preset: str = ""
    save_preset: str = ""
    keep_values: bool = False
    watch: bool = True
    dry_run: bool = False
    then: str = ""
    when_green: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What will be sent to the provider, and what that makes it build.

    `secrets` are the names of its parameters that the provider calls secret, once it was asked.
    """

    match: PipelineMatch
    ref: Ref | None
    request: StartRequest
    target: StartTarget
    names_somebody_else: bool = False
    secrets: set[str] = field(default_factory=set)


def parse(words: str) -> Args:
    """Read the words after `run`. Raises UsageError."""
    parsed = read(
        words,
        values=("message", "commit", "option", "preset", "forget-preset", "then", "when"),
        switches=("watch", "no-watch", "dry-run", "clean", "yes"),
        parameters=True,
    )
    if len(parsed.words) > 1:
        error = unexpected(parsed.words[1], parsed.words[0], USAGE)
        raise UsageError(error.message, hint="Parameters are written KEY=VALUE.", usage=USAGE)
    target = parsed.target()
    when = parsed.flag("when")
    if when is not None and when.lower() != "green":
        raise UsageError(f"`--when` takes `green`, not `{when}`.", usage=USAGE)
    if (when is not None or parsed.has("then")) and parsed.has("forget-preset"):
        raise UsageError("`--then` and `--when` are about a build that starts.", usage=USAGE)
    if target.build is not None:
        raise UsageError("`run` starts a new build.", hint="To build an old one again: `/build rebuild #412`.")
    return Args(
        target=target,
        parameters=dict(parsed.parameters),
        options=options_given(parsed, USAGE),
        message=parsed.flag("message"),
        commit=parsed.flag("commit"),
        preset=parsed.flag("preset") or "",
        forget_preset=parsed.flag("forget-preset") or "",
        watch=not parsed.has("no-watch"),
        dry_run=parsed.has("dry-run"),
        then=parsed.flag("then") or "",
        when_green=when is not None,
    )


def spoken(args: Args) -> str:
    """Return arguments as one would type them, without the values of parameters."""
    target = args.target
    words = [target.pipeline or target.url or ""]
    if target.ref is not None:
        words[0] += f"@{target.ref}"
    words[0] = shlex.quote(words[0]) if " " in words[0] else words[0]
    words += [f"{name}=…" for name in args.parameters]
    words += [f"--option {name}" for name in args.options]
    return " ".join(word for word in words if word)


def recorded(args: Args, start: Start) -> str:
    """Return the start in words, the values of parameters too, but for those that the provider calls secret."""
    named = args.target.pipeline or args.target.url
    words = [start.match.typed if named in {None, start.match.key} else str(named)]
    words[0] += f"@{args.target.ref}" if args.target.ref is not None else ""
    words += pairs_recorded(args.parameters, start.secrets)
    words += [f"--option {shlex.quote(f'{name}={value}')}" for name, value in args.options.items()]
    for flag, value in (
        ("message", args.message),
        ("commit", args.commit),
        ("preset", args.preset),
        ("forget-preset", args.forget_preset),
    ):
        words += [f"--{flag} {shlex.quote(value)}"] if value else []
    words += [f"--then={shlex.quote(args.then)}"] if args.then else []
    words += ["--when green"] if args.when_green else []
    return " ".join([*words, *(["--dry-run"] if args.dry_run else [])])


def form(args: Args, context: Context) -> Opening:
    """Return the form with what was typed in it. Raises UsageError for flags about a build that starts without one."""
    if args.then or args.when_green or args.dry_run or args.forget_preset:
        raise UsageError("`--then`, `--when`, `--dry-run` and `--forget-preset` go without a form.", usage=USAGE)
    return opening(
        "run",
        context,
        pipeline=args.target.pipeline or args.target.url or "",
        ref=str(args.target.ref or ""),
        preset=args.preset,
        parameters=json.dumps(dict(args.parameters)) if args.parameters else "",
        options=json.dumps(dict(args.options)) if args.options else "",
        commit=args.commit or "",
        message=args.message or "",
    )


async def resolve(args: Args, context: Context) -> Start:
    """Return what would be sent. Costs a request where the default branch is not known yet."""
    pipeline = await resolve_pipeline(args.target, context, acting=True, verb="run")
    actions.must_be_able(pipeline, Capability.START)
    check_options(args.options, pipeline.provider)
    ref = await ref_of(pipeline, args.target.ref or await _pull_request_here(args.target, context))
    preset = await preset_values(args.preset, pipeline, context) if args.preset else {}
    request = StartRequest(
        ref=ref,
        commit=args.commit,
        parameters={**preset, **args.parameters},
        message=args.message,
        options=args.options,
        requested_by=await context.name() or None,
        requested_by_email=await context.email() or None,
    )
    return Start(
        match=pipeline,
        ref=ref,
        request=request,
        target=await start_target(pipeline, request, context),
        names_somebody_else=await names_somebody_else(args.options, context),
    )


async def _pull_request_here(target: Target, context: Context) -> Ref | None:
    """Return the pull request of the thread's card where no pipeline was named: there a start means its code."""
    if target.pipeline is not None or target.url is not None:
        return None
    card = await card_here(context)
    if card is None:
        return None
    stored = await context.store.builds.get(BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build))
    number = stored[0].pull_request if stored else None
    return Ref(kind=RefKind.PULL_REQUEST, name=number) if number else None


async def start_target(pipeline: PipelineMatch, request: StartRequest, context: Context) -> StartTarget:
    """Return what a start makes the provider build. Raises ProviderError only where a protected ref depends on it."""
    try:
        return await pipeline.provider.start_target(pipeline.id, request)
    except ProviderError:
        if await protecting_globs(pipeline, context):
            raise
        return StartTarget()


def authorize(args: Args, start: Start, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role for the refs that will be built and that nobody holds the pipeline.

    To name somebody else as the author takes an admin.
    """
    required = [
        Requirement(
            role=Role.RUN,
            doing=f"Starting builds of *{escape(start.match.name)}*",
            pipeline=start.match,
            refs=refs_of_start(start.target, start.request),
            builds_a_ref=True,
            starts=not (args.dry_run or args.forget_preset),
            environments=(*start.request.parameters.values(), *start.request.options.values()),
        )
    ]
    if start.names_somebody_else:
        required.append(Requirement(role=Role.ADMIN, doing="Starting a build in somebody else's name"))
    return required


async def run(args: Args, start: Start, context: Context) -> Answer:
    """Start the build and post its card. Nothing is sent twice."""
    pipeline = start.match
    if args.forget_preset:
        await forget_preset(args.forget_preset, pipeline, context)
        return actions.public_line(
            f"{actions.actor(context)} removed the preset {code(args.forget_preset)} of {escape(pipeline.name)}",
            pipeline=pipeline,
        )
    parameters, unchecked = await parameters_of(pipeline, start.ref)
    start.secrets.update(secret_names(parameters))
    missing = missing_parameters(parameters, start.request.parameters)
    if missing and context.can_open_form:
        return Answer(form=_form_for(args, start, context))
    if missing:
        raise MissingParameters(missing, pipeline)
    if args.dry_run:
        return Answer(message=actions.noted(_dry(start, unchecked), pipeline), is_question=True)
    if args.then:
        await _check_then(args.then, context)
    if args.when_green:
        return await _when_green(args, start, context)
    if args.save_preset:
        check_name(args.save_preset)
        await save_preset(args.save_preset, _without_secrets(start.request.parameters, parameters), pipeline, context)
    if not await memory.first_click(f"run {pipeline.spoken(ref=start.ref)}", context):
        return Answer(silent=True)
    answer = await _begin(args, start, context, note=unchecked)
    if args.keep_values and parameters:
        values = _without_secrets(start.request.parameters, parameters)
        await context.store.last_values.save(context.team, context.user, pipeline.connection, pipeline.id, values)
    return answer


class MissingParameters(UsageError):
    """Required parameters without a value. `names` are theirs, for the form to mark."""

    def __init__(self, missing: Sequence[Parameter], pipeline: PipelineMatch) -> None:
        self.names = tuple(parameter.name for parameter in missing)
        super().__init__(
            f"{pipeline.name} needs {', '.join(f'`{name}`' for name in self.names)}.",
            hint=f"Add {' '.join(f'{name}=…' for name in self.names)}.",
            usage=USAGE,
        )


def _form_for(args: Args, start: Start, context: Context) -> Opening:
    """Return the form that asks for the missing parameters, with what was typed in it."""
    typed = dict(start.request.parameters)
    options = dict(args.options)
    return opening(
        "run",
        context,
        pipeline=start.match.key,
        ref=str(start.ref or ""),
        preset=args.preset,
        parameters=json.dumps(typed) if typed else "",
        options=json.dumps(options) if options else "",
        commit=args.commit or "",
        message=start.request.message or "",
    )


async def _begin(args: Args, start: Start, context: Context, *, note: str) -> Answer:
    pipeline, ref = start.match, start.ref
    try:
        build = await pipeline.provider.start(pipeline.id, start.request)
    except (NotFound, Rejected) as exc:
        is_named = ref is not None and ref.kind in {RefKind.BRANCH, RefKind.TAG}
        near = await closest_refs(pipeline, ref) if ref is not None and is_named else ()
        if ref is not None and near:
            exc.hint = closest_words(ref, near, label=f"Closest to `{ref.name}`")
            exc.choices = tuple(
                (candidate.name, f"run {pipeline.spoken(ref=candidate)} {args.target.rest}".strip())
                for candidate in near
            )
        raise
    headline = f"{actions.actor(context)} started {actions.number_words(build)} of {escape(pipeline.name)}{_on(ref)}"
    if args.then:
        headline += f", then {code(args.then)}"
    answer = await actions.announce(build, pipeline, context, headline=headline, watch=args.watch, note=note)
    if args.then:
        await chain(args.then, build, pipeline, context)
    return answer


async def _check_then(then: str, context: Context) -> None:
    """Raise what would refuse a chained command now, and UsageError for values that may not be kept."""
    chained = await check_chained(then, context)
    if isinstance(chained.args, Args) and (
        chained.args.dry_run or chained.args.forget_preset or chained.args.when_green
    ):
        raise UsageError("`--form`, `--dry-run`, `--when` and `--forget-preset` can't be chained.")
    parameters = getattr(chained.args, "parameters", {})
    if chained.pipeline is not None and parameters:
        must_hold_no_secret(parameters, (await parameters_of(chained.pipeline, None))[0])


def must_hold_no_secret(values: Iterable[str], known: Iterable[Parameter]) -> None:
    """Raise UsageError where values are of parameters that hold secrets: a command that runs later is kept."""
    secret = sorted(secret_names(known) & set(values))
    if secret:
        names = ", ".join(f"`{name}`" for name in secret)
        raise UsageError(
            f"{names} holds a secret, and a command that runs later is kept.",
            hint="Keep the secret in the CI system, and chain the command without it.",
        )


async def _when_green(args: Args, start: Start, context: Context) -> Answer:
    """Have the build start when the running build of its ref has passed: of its pipeline, else of this channel's."""
    if start.ref is None:
        raise UsageError("Which branch has to be green? Name it: `run pipeline@branch --when green`.", usage=USAGE)
    running = await _running_of(start, context)
    pipelines = {build.key.pipeline: (build, pipeline) for build, pipeline in reversed(running)}
    if not pipelines:
        raise UsageError(
            f"No build of `{start.ref}` is running here. Nothing was started.", hint="Leave `--when green` out."
        )
    if len(pipelines) > 1:
        names = ", ".join(f"`{name_of(build, pipeline.name)}`" for build, pipeline in pipelines.values())
        raise UsageError(f"Several builds of `{start.ref}` are running: {names}. Nothing was started.")
    must_hold_no_secret(start.request.parameters, (await parameters_of(start.match, start.ref))[0])
    words = _again(args, start)
    await check_chained(words, context)
    (build, pipeline) = next(iter(pipelines.values()))
    if await context.store.builds.get(build.key) is None:  # what is known, the poller alone records: it notifies
        await context.store.recording.record([build], now=context.now)
    row = await chain(words, build, pipeline, context)
    return actions.public_line(
        f"{actions.actor(context)} will start {escape(start.match.name)}{_on(start.ref)} when {escape(row.label)} has "
        f"passed. `{context.command} chains remove {row.id}` ends that.",
        pipeline=start.match,
    )


async def _running_of(start: Start, context: Context) -> list[tuple[Build, PipelineMatch]]:
    """Return the unfinished builds of a start's ref, newest first: of its pipeline, else of the channel's others."""
    own = await unfinished_builds(start.match, context, ref=start.ref)
    if own:
        return [(build, start.match) for build in own]
    others = [pipeline for pipeline in await pipelines_here(context) if pipeline.key != start.match.key]
    return [
        (build, pipeline) for pipeline in others for build in await unfinished_builds(pipeline, context, ref=start.ref)
    ]


def _again(args: Args, start: Start) -> str:
    """Return the same start as it is typed anywhere and at any time, without waiting."""
    words = [f"run {start.match.spoken(ref=start.ref)}", *pairs_recorded(start.request.parameters, ())]
    words += [f"--option={shlex.quote(f'{name}={value}')}" for name, value in args.options.items()]
    for flag, value in (("message", args.message), ("commit", args.commit), ("then", args.then)):
        words += [f"--{flag}={shlex.quote(value)}"] if value else []
    return " ".join([*words, *([] if args.watch else ["--no-watch"])])


def _on(ref: Ref | None) -> str:
    return f" on {escape(str(ref))}" if ref is not None else ""


async def parameters_of(pipeline: PipelineMatch, ref: Ref | None) -> tuple[tuple[Parameter, ...], str]:
    """Return the parameters that a build of a ref takes, and what to say where they can't be read (one request).

    A question that only helps never blocks a start.
    """
    if not pipeline.provider.can(Capability.PARAMETERS):
        return (), ""
    try:
        return await pipeline.provider.parameters(pipeline.id, ref), ""
    except ProviderError as exc:
        return (), f"The parameters of {escape(pipeline.name)} could not be checked: {escape(str(exc))}"


def missing_parameters(parameters: Sequence[Parameter], values: Mapping[str, str]) -> tuple[Parameter, ...]:
    """Return the required parameters that were neither given nor have a default. Raises UsageError for a wrong choice."""
    for parameter in parameters:
        value = values.get(parameter.name)
        allowed = [choice for choice, _label in parameter.choices]
        if value is not None and parameter.type is ParameterType.CHOICE and allowed and value not in allowed:
            choices = ", ".join(f"`{choice}`" for choice in allowed[:20])
            raise UsageError(f"`{parameter.name}` can't be `{value}`.", hint=f"Choices: {choices}.")
    return tuple(
        parameter
        for parameter in parameters
        if parameter.required and parameter.default is None and parameter.name not in values
    )


def _without_secrets(values: Mapping[str, str], known: Sequence[Parameter]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in secret_names(known)}


def secret_names(parameters: Iterable[Parameter]) -> frozenset[str]:
    """Return the names of the parameters that the provider calls secret."""
    return frozenset(parameter.name for parameter in parameters if parameter.type is ParameterType.SECRET)


def pairs_recorded(parameters: Mapping[str, str], secrets: Collection[str]) -> list[str]:
    """Return parameters as one would type them, with `…` for the values of secrets."""
    return [f"{name}=…" if name in secrets else shlex.quote(f"{name}={value}") for name, value in parameters.items()]


def _dry(start: Start, unchecked: str) -> Message:
    settings = [
        f"• {code(name)} = {code('…' if name in start.secrets else value)}"
        for name, value in start.request.parameters.items()
    ]
    settings += [f"• option {code(name)} = {code(value)}" for name, value in start.request.options.items()]
    label = escape(start.match.provider.label)
    text = f"Would start {escape(start.match.name)}{_on(start.ref)} ({label}). Nothing was started."
    lines = [text, *settings, *([unchecked] if unchecked else [])]
    return Message(text=text, blocks=(section("\n".join(lines)),))


COMMAND = Command(
    verb="run",
    names_target=True,
    usage=USAGE,
    summary="Start a build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    recorded=recorded,
    aliases=("start", "force"),
    flags=(
        ("--message TEXT", "the build's message, where the CI system takes one"),
        ("--commit SHA", "an exact commit, where the CI system can build one"),
        ("--option NAME=VALUE", "an option of the CI system's own, such as clean=true"),
        ("--clean", "build without cached files, where the CI system can: the same as --option clean=true"),
        ("--then CMD", "a command for when the build has passed: run, rebuild, status, last or stats, in quotes"),
        (
            "--when green",
            "start once the running build of the branch has passed: of this pipeline, else of the channel's",
        ),
        ("--preset NAME", "values this channel keeps under a name; the form saves them"),
        ("--forget-preset NAME", "remove such values; nothing is started"),
        ("--no-watch", "don't notify me here when it ends"),
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
