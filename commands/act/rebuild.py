"""Build the same again as a new build: /build rebuild [target] [KEY=VALUE …]."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.blocks.text import escape
from bot.core.models import Ref, RefKind, StartRequest, StartTarget
from bot.core.refs import refs_of_build
from bot.providers.base.capabilities import Capability
from bot.store.states import NoteKind
from commands.act.options import check_options, names_somebody_else, options_given
from commands.act.run import pairs_recorded, parameters_of, secret_names
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.permissions import Requirement, refs_added
from commands.core.registry import Command
from commands.core.resolve import resolve_build

USAGE = "rebuild [target] [KEY=VALUE …] [--clean] [--option NAME=VALUE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build, and the values and options that differ from its own."""

    target: Target
    parameters: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """The build to build again, and the refs that new values choose instead of its own.

    `secrets` are the names of its parameters that the provider calls secret, once it was asked.
    """

    match: BuildMatch
    target: StartTarget
    names_somebody_else: bool = False
    secrets: set[str] = field(default_factory=set)


def recorded(args: Args, rebuild: Rebuild) -> str:
    """Return the rebuild in words, with values as `run` records them."""
    match = rebuild.match
    number = match.number if match.number.startswith("#") else f" --id {match.build.id}"
    words = [f"{match.pipeline.typed}{number}", *pairs_recorded(args.parameters, rebuild.secrets)]
    words += [f"--option {shlex.quote(f'{name}={value}')}" for name, value in args.options.items()]
    return " ".join(words)


def parse(words: str) -> Args:
    """Read the words after `rebuild`. Raises UsageError."""
    parsed = read(words, values=("option",), switches=("yes", "clean"), parameters=True)
    target = parsed.only_target(USAGE)
    return Args(target=target, parameters=dict(parsed.parameters), options=options_given(parsed, USAGE))


async def resolve(args: Args, context: Context) -> Rebuild:
    """Return the build named, else the last one."""
    match = await resolve_build(args.target, context, acting=True, verb="rebuild")
    actions.must_be_able(match.pipeline, Capability.REBUILD, match.build)
    check_options(args.options, match.provider)
    return Rebuild(
        match=match,
        target=await match.provider.rebuild_target(match.build.pipeline, _request(args)),
        names_somebody_else=await names_somebody_else(args.options, context),
    )


def _request(args: Args) -> StartRequest:
    return StartRequest(parameters=dict(args.parameters), options=dict(args.options))


def authorize(args: Args, rebuild: Rebuild, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role for the build's own refs and those that new values choose, and that nobody holds it."""
    match = rebuild.match
    required = [
        Requirement(
            role=Role.RUN,
            doing=f"Rebuilding *{escape(match.pipeline.name)}*",
            pipeline=match.pipeline,
            refs=(*refs_of_build(match.build), *refs_added(rebuild.target, _request(args))),
            starts=True,
            environments=(*args.parameters.values(), *args.options.values()),
        )
    ]
    if rebuild.names_somebody_else:
        required.append(Requirement(role=Role.ADMIN, doing="Starting a build in somebody else's name"))
    return required


async def run(args: Args, rebuild: Rebuild, context: Context) -> Answer:
    """Start the new build and post its card; says so where it builds another commit than the old one."""
    match = rebuild.match
    actions.check_attempt(match, args.target.attempt)
    if args.parameters:
        branch = Ref(kind=RefKind.BRANCH, name=match.build.branch) if match.build.branch else None
        rebuild.secrets.update(secret_names((await parameters_of(match.pipeline, branch))[0]))
    if not await memory.first_click(f"rebuild {match.build.key}", context):
        return Answer(silent=True)
    request = replace(
        _request(args),
        requested_by=await context.name() or None,
        requested_by_email=await context.email() or None,
    )
    made = await match.provider.rebuild(match.build.pipeline, match.build.id, request)
    after = actions.made_from(made, match.build)
    new = f" as #{after.number}" if after.number is not None and after.number != match.build.number else ""
    old = actions.number_words(match.build)
    headline = f"{actions.actor(context)} rebuilt {old} of {escape(match.pipeline.name)}{new}"
    if after.commit and match.build.commit and after.commit != match.build.commit:
        headline += f" - at the branch's present commit {after.commit[:8]}, not {match.build.commit[:8]}"
    if after.key != match.build.key:
        await actions.note_on_cards(match, context, did=f"rebuilt it{new}", kind=NoteKind.REPLACED, by=after)
    return await actions.announce(after, match.pipeline, context, headline=headline)


COMMAND = Command(
    verb="rebuild",
    names_target=True,
    usage=USAGE,
    summary="Build the same again, as a new build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    recorded=recorded,
    flags=(
        ("--clean", "build without cached files, where the CI system can"),
        ("--option NAME=VALUE", "an option of the CI system's own"),
    ),
    examples=("rebuild", "rebuild #412", "rebuild web#last DEPLOY=false"),
    inferred="the last build",
)
