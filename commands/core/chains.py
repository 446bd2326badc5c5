"""Commands that run once a build has passed: which may, what is checked when they are chained, and how they are kept."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bot.core.errors import UsageError
from bot.core.models import Build
from bot.security.redaction import redact
from bot.store.rows import ChainRow, NewChain
from commands.core.actions import poll_again
from commands.core.context import Answer, Context, Source
from commands.core.grammar import without_switch
from commands.core.matches import BuildMatch, PipelineMatch, name_of
from commands.core.permissions import check_role
from commands.core.registry import Command

CHAINABLE = ("run", "rebuild", "status", "last", "stats")
MOST = 20
WAITS_FOR = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """A command that may run later, its arguments, and what they resolve to now."""

    command: Command[Any, Any]
    args: Any
    resolved: Any

    @property
    def pipeline(self) -> PipelineMatch | None:
        """Return the pipeline that it is about."""
        subject = getattr(self.resolved, "match", self.resolved)
        if isinstance(subject, BuildMatch):
            return subject.pipeline
        return subject if isinstance(subject, PipelineMatch) else None


def must_ask_no_form(words: str, done: str) -> None:
    """Raise UsageError where words of a command that runs later ask for a form."""
    if without_switch(words, "form")[1]:
        raise UsageError(f"`--form` can't be {done}.", hint="Name everything in the command itself.")


async def check_chained(text: str, context: Context) -> Chained:
    """Return what a command means now. Raises what would refuse it now, a hold aside: it is judged again when it runs.

    Costs what resolving it costs.
    """
    verb, _, words = text.strip().partition(" ")
    command = context.services.registry.find(verb)
    if command is None or command.verb not in CHAINABLE:
        raise UsageError(f"I can't chain `{verb or 'nothing'}`.", hint=f"I can chain {', '.join(CHAINABLE)}.")
    if redact(text) != text:
        raise UsageError(
            "That command holds what reads as a password or token, and a chained command is kept.",
            hint="Keep the secret in the CI system, and chain the command without it.",
        )
    must_ask_no_form(words, "chained")
    args = command.parse(words.strip())
    alone = replace(context, source=Source.SCHEDULE, thread="", message="", trigger="", response_url="")
    resolved = await command.resolve(args, alone)
    if isinstance(resolved, Answer):
        raise UsageError(f"`{text}` names several things.", hint="Name everything in the command itself.")
    for requirement in command.authorize(args, resolved, alone):
        await check_role(requirement, alone)
    if len(await context.store.chains.of_channel(context.team, context.channel)) >= MOST:
        raise UsageError(f"{MOST} commands wait for builds in this channel already.")
    return Chained(command=command, args=args, resolved=resolved)


async def chain(command: str, build: Build, pipeline: PipelineMatch, context: Context) -> ChainRow:
    """Have a command run when a build has passed, and the build polled until it ends."""
    row = await context.store.chains.add(
        NewChain(
            team=context.team,
            channel=context.channel or context.user,
            user=context.user,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            label=name_of(build, pipeline.name),
            command=command,
            until=context.now + WAITS_FOR,
            made_at=context.now,
        )
    )
    await context.store.polling.ensure(
        pipeline.connection, pipeline.provider.poll_target(build.pipeline), now=context.now
    )
    await poll_again(build, pipeline, context)
    return row
