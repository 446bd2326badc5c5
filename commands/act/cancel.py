"""Stop a build that has not completed: /build cancel [build]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape, harmless
from bot.core.errors import ProviderError, UsageError
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import BuildMatch, build

USAGE = "cancel [target|mine] [--reason TEXT]"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Which build to stop."""

    target: Target
    ask: ParsedArgs
    words: str


def parse(words: str) -> Cancel:
    """Read the words after `cancel`. Raises UsageError."""
    ask = read(words, values=("reason",), switches=("yes", "form"))
    if len(ask.words) > 1:
        raise UsageError("I stop one build at a time, or `mine`.", usage=USAGE)
    return Cancel(target=ask.target(), ask=ask, words=words)


async def run(ask: Cancel, request: Request, services: Services) -> Answer:
    """Stop the build and say so in public; builds of others are asked about first."""
    if ask.ask.has("form") and can_open(request):
        return Answer(form=opening("cancel", request, reason=ask.ask.flag("reason") or ""))
    if ask.target.scope == "mine":
        return await _mine(ask, request, services)
    if ask.target.empty and can_open(request) and not await _has_default(request, services):
        return Answer(form=opening("cancel", request, reason=ask.ask.flag("reason") or ""))
    found = await build(ask.target, request, services, acting=True, verb="cancel", default="own-running")
    acting.check_attempt(found, ask.ask)
    await acting.may_act_on(found, f"Stopping builds of *{escape(found.place.label)}*", request, services)
    name = found.name
    if found.build.completed:
        word = found.build.conclusion.value if found.build.conclusion else "over"
        raise UsageError(f"{name} is already {word}.")
    acting.must_be_able(found.place, Capability.CANCEL, found.build)
    if not ask.ask.has("yes") and not await acting.is_own(found.build, request, services):
        started = (
            found.build.triggered_by or (found.build.author.name if found.build.author else None) or "somebody else"
        )
        words = f"cancel {found.spoken} --round {found.attempt_no}{_because(ask.ask)}"
        return acting.asks_first(
            f"Stop {name} on {found.build.ref or 'its branch'}?", f"It was started by {started}.", words, yes="Stop it"
        )
    if not await acting.first_click(f"cancel {found.build.key}", request, services):
        return Answer(silent=True)
    return await stop([found], ask.ask.flag("reason") or "", request, services)


async def _has_default(request: Request, services: Services) -> bool:
    """Return whether it is clear which pipeline is meant where none is named."""
    links = await services.store.links.of_channel(request.team, request.channel)
    return bool(request.thread or request.message) or len(links) == 1 or any(link.is_default for link in links)


async def stop(builds: Sequence[BuildMatch], reason: str, request: Request, services: Services) -> Answer:
    """Stop builds that have been asked about, and say so in one public line; what failed is said there too."""
    stopped: list[str] = []
    failed: list[str] = []
    last: ProviderError | None = None
    for found in builds:
        try:
            after = await found.provider.cancel(found.build.pipeline, found.build.id)
        except ProviderError as exc:
            last = exc
            failed.append(f"{escape(found.name)}: {harmless(str(exc), styles=False)}")
            continue
        await acting.look_again(after, found.place, services, request)
        stopped.append(escape(found.name))
    if last is not None and not stopped:
        raise last
    why = f" ({escape(reason)})" if reason else ""
    trouble = "".join(f"\n✕ {line}" for line in failed)
    place = builds[0].place if len(builds) == 1 else None
    build_ = builds[0].build if len(builds) == 1 else None
    return acting.public_line(f"{acting.who(request)} stopped {', '.join(stopped)}{why}{trouble}", build_, place)


async def _mine(ask: Cancel, request: Request, services: Services) -> Answer:
    mine = [
        known for known in await services.store.builds.started_by(request.team, request.user, 50) if not known.completed
    ]
    stoppable: list[BuildMatch] = []
    trouble: ProviderError | None = None
    for known in mine:
        provider = services.connections.get(request.team, known.connection)
        if provider is None or not provider.can(Capability.CANCEL):
            continue
        try:
            target = Target(pipeline=f"{known.connection}:{known.pipeline}", id=known.id)
            found = await build(target, request, services, acting=True, verb="cancel")
        except ProviderError as exc:
            trouble = exc
            continue
        if not found.build.completed:
            await acting.may_act_on(found, f"Stopping builds of *{escape(found.place.label)}*", request, services)
            stoppable.append(found)
    if not stoppable:
        raise trouble or UsageError("None of your builds is running.")
    names = ", ".join(found.name for found in stoppable)
    if len(stoppable) > 1:
        await require(Role.APPROVE, "Stopping several builds at once", request, services)
        if not ask.ask.has("yes"):
            words = f"cancel mine{_because(ask.ask)}"
            return acting.asks_first(f"Stop {len(stoppable)} builds?", names, words, yes="Stop them all")
    if not await acting.first_click("cancel mine", request, services):
        return Answer(silent=True)
    return await stop(stoppable, ask.ask.flag("reason") or "", request, services)


def _because(ask: ParsedArgs) -> str:
    reason = ask.flag("reason")
    return f" --reason={shlex.quote(reason)}" if reason else ""


COMMAND = Command(
    verb="cancel",
    usage=USAGE,
    summary="Stop a running build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    run=run,
    aliases=("stop", "abort"),
    flags=(("--reason TEXT", "why, for the public line"), ("--form", "choose among the running builds in a form")),
    examples=("cancel", "cancel #412", "cancel mine"),
    inferred="your own newest running build, else the newest running one",
)
