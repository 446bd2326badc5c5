"""Check a command when it is scheduled: refuse now what its run would find out months later."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bot.blocks.text import escape
from bot.core.errors import Ambiguous, BotError, NotFound, UsageError
from bot.core.models import Parameter, Ref, RefKind
from bot.providers.base.capabilities import Capability
from commands.act import rebuild, retry, run
from commands.core import actions
from commands.core.chains import must_ask_no_form
from commands.core.context import Context, Source
from commands.core.grammar import Target
from commands.core.listings import LISTING_SECONDS, closest_refs, closest_words
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement, check_role
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline
from commands.follow import digest
from commands.look import last, stats, status

SCHEDULABLE: tuple[Command[Any, Any], ...] = (
    run.COMMAND,
    rebuild.COMMAND,
    retry.COMMAND,
    status.COMMAND,
    last.COMMAND,
    stats.COMMAND,
    digest.COMMAND,
)
ALLOWED = tuple(command.verb for command in SCHEDULABLE)
NEEDS = {rebuild.COMMAND.verb: Capability.REBUILD}


def parse_command(text: str) -> tuple[Command[Any, Any], Any]:
    """Return the command that words name and its arguments. Raises UsageError unless a schedule may run it."""
    verb, _, words = text.strip().partition(" ")
    fits = [known for known in SCHEDULABLE if verb.lower() in {known.verb, *known.aliases}]
    if not fits:
        raise UsageError(f"I can't schedule `{verb or 'nothing'}`.", hint=f"I can schedule {', '.join(ALLOWED)}.")
    must_ask_no_form(words, "scheduled")
    args = fits[0].parse(words.strip())
    if isinstance(args, digest.Args) and args.act is not digest.Act.NOW:
        raise UsageError(
            f"A schedule posts a digest, it does not set one: `digest {args.act.value}`.", hint="Schedule `digest now`."
        )
    if flag := _only_now(args):
        raise UsageError(f"`--{flag}` can't be scheduled.", hint="Name everything in the command itself.")
    return fits[0], args


def _only_now(args: Any) -> str:
    """Return the flag that means something only while a person is present, "" where none was given."""
    if isinstance(args, run.Args):
        given = {"forget-preset": bool(args.forget_preset), "dry-run": args.dry_run}
        given |= {"then": bool(args.then), "when": args.when_green}
        return next((flag for flag, is_given in given.items() if is_given), "")
    target = getattr(args, "target", None)
    return "attempt" if isinstance(target, Target) and target.attempt is not None else ""


async def check_scheduled(text: str, times: str, context: Context) -> None:
    """Raise what would refuse a command if it ran now, as the schedule's maker and without a thread around it.

    Costs what resolving a pipeline and reading its parameters costs, and a search of its refs where one is named.
    A choice among pipelines is offered as schedules, not as commands to run at once.
    """
    command, args = parse_command(text)
    alone = replace(context, source=Source.SCHEDULE, thread="", message="", trigger="", response_url="")
    try:
        await _check(command, args, alone)
    except Ambiguous as exc:
        choices = tuple((label, f'schedule "{times}" {words}') for label, words in exc.choices)
        raise Ambiguous(exc.message, choices=choices, hint=exc.hint) from exc


async def _check(command: Command[Any, Any], args: Any, context: Context) -> None:
    if isinstance(args, run.Args):
        start = await run.resolve(args, context)
        for requirement in run.authorize(args, start, context):
            await check_role(requirement, context)
        await check_ref(start.match, args.target.ref)
        known, _unchecked = await run.parameters_of(start.match, start.ref)
        _must_hold_no_secret(args.parameters, known)
        if missing := run.missing_parameters(known, start.request.parameters):
            raise run.MissingParameters(missing, start.match)
        return
    if isinstance(args, rebuild.Args | retry.Args):
        # Which build that will be is known when it runs; the pipeline, the ref and the right are known now.
        pipeline = await resolve_pipeline(args.target, context, acting=True, verb=command.verb)
        if isinstance(args, rebuild.Args) and args.parameters:
            _must_hold_no_secret(args.parameters, (await run.parameters_of(pipeline, args.target.ref))[0])
        if (needed := NEEDS.get(command.verb)) is not None:
            actions.must_be_able(pipeline, needed)
        ref = args.target.ref
        requirement = Requirement(
            role=command.role,
            doing=f"`{command.verb}` of *{escape(pipeline.name)}*",
            pipeline=pipeline,
            refs=(ref.name,) if ref is not None else (),
        )
        await check_role(requirement, context)
        await check_ref(pipeline, ref)
        return
    resolved = await command.resolve(args, context)
    for requirement in command.authorize(args, resolved, context):
        await check_role(requirement, context)


def _must_hold_no_secret(parameters: Iterable[str], known: Iterable[Parameter]) -> None:
    """Raise UsageError for a value that the CI system calls secret: a schedule keeps its command readable."""
    secret = sorted(run.secret_names(known) & set(parameters))
    if secret:
        raise UsageError(
            f"{', '.join(f'`{name}`' for name in secret)} holds a secret, and a schedule keeps its command.",
            hint="Keep the secret in the CI system, and schedule the command without it.",
        )


async def check_ref(pipeline: PipelineMatch, ref: Ref | None) -> None:
    """Raise NotFound, with the nearest names, for a branch or tag that the CI system says it does not have.

    A system that does not list every ref of that kind is not trusted here, nor is one that does not answer now.
    """
    if ref is None or ref.kind not in pipeline.provider.lists_all_refs or not pipeline.provider.can(Capability.REFS):
        return
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            async for candidate in pipeline.provider.refs(pipeline.id, ref.name):
                if candidate.name == ref.name and candidate.kind is ref.kind:
                    return
    except (BotError, TimeoutError):
        return
    near = await closest_refs(pipeline, ref)
    kind = "tag" if ref.kind is RefKind.TAG else "branch"
    raise NotFound(
        f"{pipeline.name} has no {kind} `{ref.name}`.",
        provider=pipeline.provider.label,
        hint=closest_words(ref, near) if near else None,
    )
