"""Help: the twelve lines that fit a channel, and all there is about one verb."""

from collections.abc import Sequence

from bot.blocks.message import Block, Message, actions, button, context, sections
from bot.blocks.text import DOT, bold, clip, code, one_line, safe

Group = tuple[str, Sequence[tuple[str, str]]]

# How many verbs of a group get a line with their summary; the rest are named.
SPOKEN = 2
# These get one before the others: what people come for.
_FIRST = ("status", "logs", "run", "retry", "watch", "subscribe", "link", "connect")


def help_message(
    groups: Sequence[Group],
    *,
    channel_name: str,
    example_pipeline: str | None = None,
    branch: str | None = None,
    command: str = "/build",
) -> Message:
    """Return the help of a channel, at most twelve lines for four groups.

    `groups` are (name, ((usage, summary), …)) with only the verbs the person may use. `example_pipeline` is how that
    channel's pipeline is typed; the examples are filled with it and its branch.
    """
    channel_label = f"#{channel_name}" if channel_name else "this channel"
    about = f"{DOT}{safe(example_pipeline, 80)}" if example_pipeline else ""
    default = f", default branch {code(branch, 60)}" if branch and example_pipeline else ""
    lines = [f"*Builds in {safe(channel_label, 80)}*{about}{default}"]
    verbs: list[str] = []
    for name, listed in groups:
        entries = sorted(listed, key=lambda entry: _verb(entry[0]) not in _FIRST)
        named = [_verb(usage) for usage, _ in entries]
        verbs += named
        for position, (usage, summary) in enumerate(entries[:SPOKEN]):
            head = bold(name, 30) if position == 0 else "      "
            example = _example(_verb(usage), example_pipeline, branch)
            lines.append(f"{head}  {code(f'{command} {example}'.strip(), 150)}  {safe(summary, 120)}")
        rest = named[SPOKEN:]
        if rest:
            lines[-1] += DOT + " · ".join(safe(verb, 30) for verb in rest)
    lines.append(f"More: {code(f'{command} help <verb>')}{DOT}in threads, mention me: `retry failed`")
    example_verbs = [verb for verb in ("status", "logs", "run", "link") if verb in verbs]
    tries = [
        button(
            "Run…" if verb == "run" else verb.capitalize(),
            _example(verb, example_pipeline, branch) + (" --form" if verb == "run" else ""),
        )
        for verb in example_verbs
    ]
    return Message(
        text=f"Builds in {safe(channel_label, 80)}: " + ", ".join(safe(verb, 30) for verb in verbs),
        blocks=(*sections(lines), actions(*tries)),
    )


def verb_help(
    usage: str,
    summary: str,
    flags: Sequence[tuple[str, str]],
    examples: Sequence[str],
    *,
    inferred: str = "",
    aliases: Sequence[str] = (),
) -> Message:
    """Return all there is about a verb: usage, every flag, examples (those that only read can be pressed), defaults.

    `usage` and `examples` are whole lines, slash command included.
    """
    lines = [f"*Usage*  {code(usage, 400)}", safe(summary, 400)]
    if aliases:
        lines.append("Also: " + ", ".join(code(alias, 40) for alias in aliases))
    blocks: list[Block] = [*sections(lines)]
    if flags:
        blocks += sections(["*Flags*", *(f"{code(flag, 80)}  {safe(meaning, 200)}" for flag, meaning in flags)])
    if examples:
        blocks += sections(["*Examples*", *(code(example, 200) for example in examples)])
    if inferred:
        blocks.append(context(f"Default: {safe(inferred, 500)}"))
    bare = [example.partition(" ")[2] if example.startswith("/") else example for example in examples]
    blocks.append(actions(*(button(clip(words, 70), words) for words in bare if _verb(words) in _READING)))
    return Message(text=f"{safe(usage, 300)}: {safe(summary, 300)}", blocks=tuple(blocks))


# Examples of these may be tried by pressing them; nothing happens but an answer.
_READING = frozenset({"status", "last", "show", "list", "logs", "tests", "issues", "artifacts", "why", "stats", "help"})


def _verb(usage: str) -> str:
    return (one_line(usage, 200).split(maxsplit=1) or [""])[0]


def _example(verb: str, pipeline: str | None, branch: str | None) -> str:
    """Return a verb as one could type it in this channel; `status` needs no words at all."""
    if verb == "run" and pipeline:
        at = f"@{branch}" if branch and not any(c in pipeline for c in "@# ") and " " not in branch else ""
        return f"run {pipeline}{at}"
    return verb
