"""Set a channel up from YAML, after its difference was shown: /build import."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.message import Message, actions, button, sections
from bot.blocks.text import bold, code, escape, plural
from bot.core.acting import begin_act
from bot.core.errors import UsageError
from commands.core.actions import actor, public_line
from commands.core.channel import must_be_reachable
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import read, unexpected
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.setup.channel_only import must_be_in_channel
from commands.setup.config import Difference, fingerprint, read_documents
from commands.setup.plan import Plan, carried_out, planned

USAGE = "import"
KEPT_SECONDS = 3600.0
MOST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """The documents as pasted into the form, or the token of a difference that was shown."""

    texts: tuple[str, ...] = ()
    apply: str = ""


def parse(words: str) -> Args:
    """Read the words after `import`. Raises UsageError."""
    parsed = read(words, values=("apply",), switches=("yes",))
    if parsed.words:
        raise unexpected(parsed.words[0], "", USAGE)
    return Args(apply=parsed.flag("apply") or "")


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form, unless a difference is to be applied or a document came."""
    return None if args.apply or args.texts else form(args, context)


def form(_args: Args, context: Context) -> Opening:
    """Return the form that a document is pasted into."""
    return opening("import", context)


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Importing this channel's set-up"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Show what a document would change; apply it once that was confirmed and still holds."""
    must_be_in_channel(context)
    if args.apply:
        return await _apply(args.apply, context)
    if not args.texts:
        raise UsageError("A document is pasted into a form, which can't be opened from here.", usage=USAGE)
    plan = await planned(read_documents(args.texts), context)
    return await _shown(args.texts, plan, context)


async def _shown(texts: Sequence[str], plan: Plan, context: Context, *, head: str = "") -> Answer:
    if not plan.differences:
        text = "Nothing would change: the channel is set up like that already."
        return Answer(message=Message(text=text, blocks=sections([text])), is_question=True)
    token = secrets.token_hex(8)
    kept = json.dumps({"texts": list(texts), "plan": fingerprint(plan.differences)})
    await context.store.tokens.add(_key(token, context), seconds=KEPT_SECONDS, value=kept)
    title = f"Importing would change {plural(len(plan.differences), 'thing')} in {context.here}"
    lines = [*([escape(head)] if head else []), bold(title), *map(_line, plan.differences[:MOST_SHOWN])]
    if len(plan.differences) > MOST_SHOWN:
        lines.append(f"… {len(plan.differences) - MOST_SHOWN} more")
    buttons = actions(
        button("Apply", f"import --apply {token}", style="primary"), button("Never mind", "help --dismiss")
    )
    message = Message(text="\n".join([escape(title), *lines[1:]]), blocks=(*sections(lines), buttons))
    return Answer(message=message, is_question=True)


def _line(difference: Difference) -> str:
    return code(f"{difference.act.value} {difference.words}", 400)


async def _apply(token: str, context: Context) -> Answer:
    kept = await context.store.tokens.take(_key(token, context))
    if kept is None:
        raise UsageError("That difference was applied already, or is older than an hour.", hint="Import again.")
    held = json.loads(kept)
    texts = tuple(held["texts"])
    plan = await planned(read_documents(texts), context)
    if fingerprint(plan.differences) != held["plan"]:
        return await _shown(texts, plan, context, head="The set-up changed meanwhile. Nothing was imported yet.")
    if any(write.pipeline is not None for write in plan.links):
        await must_be_reachable(context, "import")
    await begin_act()
    await carried_out(plan, context)
    return public_line(
        f"{actor(context)} imported the set-up of this channel: {plural(len(plan.differences), 'change')}.\n"
        + "\n".join(map(_line, plan.differences[:MOST_SHOWN]))
    )


def _key(token: str, context: Context) -> str:
    return f"import:{context.team}:{context.channel}:{context.user}:{token}"


COMMAND = Command(
    verb="import",
    usage=USAGE,
    summary="Set this channel up from YAML, after showing what would change",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    opens=opens,
    form=form,
    authorize=authorize,
    run=run,
    examples=("import",),
    inferred="a form takes the document; parts that it does not name stay as they are",
    is_dangerous=True,
)
