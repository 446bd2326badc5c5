"""Check a command when it is scheduled: what its run would find out months later is said now."""

import asyncio
from dataclasses import replace
from typing import Any

from bot.core.errors import Ambiguous, BotError, NotFound, UsageError
from bot.core.models import Ref, RefKind, is_sha
from bot.providers.base.capabilities import Capability
from commands.act import rebuild, retry, run
from commands.core import actions as acting
from commands.core.context import Command, Request, Role, Services, Source
from commands.core.permissions import require
from commands.core.resolve import LISTING_SECONDS, PipelineMatch, closest, place
from commands.look import builds, stats, status

SCHEDULABLE: tuple[Command[Any], ...] = (
    run.COMMAND,
    rebuild.COMMAND,
    retry.COMMAND,
    status.COMMAND,
    builds.LAST,
    stats.STATS,
    stats.DIGEST,
)
ALLOWED = tuple(command.verb for command in SCHEDULABLE)
NEEDS = {run.COMMAND.verb: Capability.START, rebuild.COMMAND.verb: Capability.REBUILD}
ONLY_NOW = ("form", "forget-preset", "round", "dry-run")
"""Flags that mean something only while a person looks on."""


def parse_command(command: str) -> tuple[Command[Any], Any]:
    """Return the command that words name and its arguments. Raises UsageError unless a schedule may run it."""
    verb, _, words = command.strip().partition(" ")
    fits = [known for known in SCHEDULABLE if verb.lower() in {known.verb, *known.aliases}]
    if not fits:
        raise UsageError(f"I can't schedule `{verb or 'nothing'}`.", hint=f"I can schedule {', '.join(ALLOWED)}.")
    args = fits[0].parse(words.strip())
    if isinstance(args, stats.Digest):
        if args.act != "now":
            raise UsageError(
                f"A schedule posts a digest, it does not set one: `digest {args.act}`.", hint="Schedule `digest now`."
            )
        return fits[0], args
    for flag in ONLY_NOW:
        if args.ask.has(flag):
            raise UsageError(f"`--{flag}` can't be scheduled.", hint="Name everything in the command itself.")
    return fits[0], args


async def check_command(command: str, when: str, request: Request, services: Services) -> None:
    """Raise what would refuse a command if it ran now, as the schedule's maker and without a thread around it.

    Costs what resolving a pipeline and reading its parameters costs, and a search of its refs where one is named.
    A choice among pipelines is offered as schedules, not as commands to run at once.
    """
    known, args = parse_command(command)
    alone = replace(request, source=Source.SCHEDULE, text=command, thread="", message="", trigger="", response_url="")
    try:
        await _check(known, args, command, alone, services)
    except Ambiguous as exc:
        choices = tuple((label, f'schedule "{when}" {words}') for label, words in exc.choices)
        raise Ambiguous(exc.message, choices=choices, hint=exc.hint) from exc


async def _check(known: Command[Any], args: Any, command: str, request: Request, services: Services) -> None:
    if isinstance(args, stats.Digest):
        return
    target = args.target
    if known.role is Role.VIEW:
        named = target.pipeline or target.url
        if target.scope is None and not is_sha(target.pipeline or "") and (named or known.verb != status.COMMAND.verb):
            await place(target, request, services, acting=False, verb=known.verb)
        return
    where = await place(target, request, services, acting=True, verb=known.verb)
    if (needed := NEEDS.get(known.verb)) is not None:
        acting.must_be_able(where, needed)
    await require(known.role, f"`{known.verb}` of *{where.label}*", request, services, where, target.ref)
    await check_ref(where, target.ref)
    if known.verb == run.COMMAND.verb:
        _verb, _, words = command.strip().partition(" ")
        await known.run(known.parse(f"--dry-run {words}"), request, services)


async def check_ref(where: PipelineMatch, ref: Ref | None) -> None:
    """Raise NotFound, with the nearest names, for a branch or tag that the CI system says it does not have.

    A system that does not list every ref of that kind cannot tell, nor can one that does not answer now.
    """
    if ref is None or ref.kind not in where.provider.lists_all_refs or not where.provider.can(Capability.REFS):
        return
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            async for candidate in where.provider.refs(where.pipeline, ref.name):
                if candidate.name == ref.name and candidate.kind is ref.kind:
                    return
    except (BotError, TimeoutError):
        return
    near = await closest(where, ref)
    kind = "tag" if ref.kind is RefKind.TAG else "branch"
    raise NotFound(
        f"{where.label} has no {kind} `{ref.name}`.",
        provider=where.provider.label,
        hint=f"Closest: {', '.join(f'`{name}`' for name in near)}." if near else None,
    )
