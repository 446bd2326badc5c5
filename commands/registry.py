"""COMMANDS: every verb, in the order of the help text; and how words find theirs."""

from difflib import get_close_matches
from typing import Any

from bot.core.errors import UsageError
from bot.core.models import is_sha
from commands.act import cancel, decide, erase, rebuild, retry, run
from commands.core.context import Command
from commands.follow import claim, follow, mute, schedule, subscribe, watch
from commands.look import artifacts, builds, explain, issues, logs, stats, status, tests
from commands.setup import access, connect, help, link, me, workflow  # noqa: A004 - the verb's own name

COMMANDS: tuple[Command[Any], ...] = (
    status.COMMAND,
    builds.LAST,
    builds.SHOW,
    builds.LIST,
    logs.COMMAND,
    tests.COMMAND,
    issues.COMMAND,
    artifacts.COMMAND,
    stats.CHANGES,
    explain.WHY,
    stats.STATS,
    explain.EXPLAIN,
    run.COMMAND,
    cancel.COMMAND,
    retry.COMMAND,
    rebuild.COMMAND,
    decide.APPROVE,
    decide.REJECT,
    erase.COMMAND,
    watch.WATCH,
    watch.UNWATCH,
    subscribe.SUBSCRIBE,
    follow.FOLLOW,
    follow.UNFOLLOW,
    subscribe.UNSUBSCRIBE,
    mute.MUTE,
    mute.UNMUTE,
    mute.QUIET,
    stats.DIGEST,
    schedule.COMMAND,
    claim.CLAIM,
    claim.UNCLAIM,
    link.LINK,
    link.UNLINK,
    connect.CONNECT,
    connect.DISCONNECT,
    me.COMMAND,
    access.ACCESS,
    access.AUDIT,
    workflow.COMMAND,
    help.make(lambda: COMMANDS, lambda verb: find(verb)),  # noqa: PLW0108 - `find` stands below
    help.VERSION,
)


def find(verb: str) -> Command[Any] | None:
    """Return the verb that a word names: its name, an alias, or a unique beginning of a reading verb."""
    word = verb.lower()
    for command in COMMANDS:
        if word == command.verb or word in command.aliases:
            return command
    begins = [command for command in COMMANDS if command.reads and len(word) > 1 and command.verb.startswith(word)]
    return begins[0] if len(begins) == 1 else None


def split_verb(text: str, slash: str = "/build") -> tuple[Command[Any], str]:
    """Return the verb and the words after it; words that begin with no verb ask for a status.

    Raises UsageError for a word that is neither, with the nearest verb.
    """
    head, *more = text.split(maxsplit=1) or [""]
    rest = more[0] if more else ""
    if not head:
        return COMMANDS[0], ""
    command = find(head)
    if command is not None:
        return command, rest.strip()
    if looks_like_a_target(head):
        return COMMANDS[0], text.strip()
    names = [name for known in COMMANDS for name in (known.verb, *known.aliases)]
    near = get_close_matches(head.lower(), names, n=1, cutoff=0.6)
    meant = find(near[0]) if near else None
    raise UsageError(
        f"I don't know `{head}`." + (f" Did you mean `{meant.verb}`?" if meant else ""),
        hint=f"`{slash} help` lists everything."
        + ("" if meant else f" A pipeline of that name: `{slash} status {head}`."),
    )


def looks_like_a_target(word: str) -> bool:
    """Return whether a word can only be a target: a URL, `@ref`, `#build`, `connection:path`."""
    begins = word.startswith(("http://", "https://", "@", "#"))
    return begins or any(sign in word for sign in "@#:") or word.lower() in {"all", "mine", "this"} or is_sha(word)
