"""How the pipelines of a channel stand: the answer people want most, and what `/build` alone gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.blocks.lines import NO_FACTS, Facts, build_line, build_words, jobs_line, lines_of
from bot.blocks.message import Block, Message, actions, button, context, divider, link_button, menu, section
from bot.blocks.text import AMBER, BLUE, DOT, GREEN, GREY, RED, Markup, bold, code, mark, plural, safe, when
from bot.core.models import Build, BuildKey, Conclusion, Ref, RefKind, Status, spoken

MOST_ROWS = 15
MOST_OPEN = 4
SPARKS = 10
FAVOURITE = "★ Add to my Home"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRow:
    """One linked pipeline. `recent` are finished builds, newest first; `green_at` is when it last ended green.

    `open` are the unfinished builds, `actions` the verbs to offer, `paused_reason` why the link says nothing now,
    `facts` what the bot knows beside the builds, `holds` who keeps others from starting its builds, as clauses.
    """

    label: str
    connection: str
    pipeline: str
    path: str
    branch: str | None = None
    open: tuple[Build, ...] = ()
    recent: tuple[Build, ...] = ()
    green_at: datetime | None = None
    paused_reason: str | None = None
    actions: frozenset[str] = frozenset()
    holds: tuple[Markup, ...] = ()
    facts: Mapping[BuildKey, Facts] = field(default_factory=dict)

    def line(self, build: Build, now: datetime) -> str:
        """Return one of the row's builds on a line."""
        return build_line(build, label=self.label, now=now, facts=self.facts.get(build.key, NO_FACTS))


def status_message(channel_name: str, rows: Sequence[StatusRow], now: datetime) -> Message:
    """Return how each linked pipeline stands: what is open, the last result, the last ten, how long it has been red."""
    channel_label = f"#{channel_name}" if channel_name else "this channel"
    if not rows:
        line = f"No pipeline is linked to {safe(channel_label, 80)} yet"
        return Message(
            text=line,
            blocks=(
                section(f"{line}. Paste the URL of any of its pages after `link`."),
                actions(button("Pipelines", "list pipelines", style="primary"), button("Help", "help")),
            ),
        )
    first_rows = rows[:MOST_ROWS]
    lone = len(rows) == 1
    blocks: list[Block] = []
    for row in first_rows:
        if blocks:
            blocks.append(divider())
        blocks.append(section(status_text(row, now), accessory=None if lone else menu(_offers(row))))
    if len(rows) > len(first_rows):
        blocks.append(context(f"… {plural(len(rows) - len(first_rows), 'more pipeline')}: `list links` shows them"))
    offers = _offers(first_rows[0])
    offered = [button(label, words) for label, words in offers if label != FAVOURITE] if lone else []
    star = [menu([(label, words) for label, words in offers if label == FAVOURITE])] if lone else []
    opened = [link_button("Open", first_rows[0].recent[0].web_url)] if lone and first_rows[0].recent else []
    more = [] if lone else [button("Everything", "status all")]
    words = [_words(row) for row in first_rows[:3]]
    return Message(
        text=". ".join([f"Builds in {safe(channel_label, 80)}", *words]),
        blocks=(section(f"*Builds in {safe(channel_label, 80)}*"),),
        attached=(*blocks, actions(*opened, *offered, *more, button("Help", "help"), *star)),
        colour=_colour(rows),
    )


def status_text(row: StatusRow, now: datetime) -> str:
    """Return how one pipeline stands: what is open, the last result, the last ten as shapes."""
    last = row.recent[0] if row.recent else None
    running = sum(1 for build in row.open if build.status is Status.IN_PROGRESS and not build.waiting)
    waiting = sum(1 for build in row.open if build.waiting)
    queued = len(row.open) - running - waiting
    counts = [
        f"{count} {word}"
        for count, word in ((running, "running"), (queued, "queued"), (waiting, "waiting for approval"))
        if count
    ]
    title = bold(row.label, 120) + (f"{DOT}{code(row.branch, 80)}" if row.branch else "")
    listed = [_open_line(build, row, now) for build in row.open[:MOST_OPEN]]
    if len(row.open) > MOST_OPEN:
        listed.append(f"… {len(row.open) - MOST_OPEN} more open")
    return lines_of(
        title + (f"{DOT}{', '.join(counts)}" if counts else ""),
        f"⏸ paused: {safe(row.paused_reason, 200)}" if row.paused_reason else "",
        *(f"🔒 on hold: {hold}" for hold in row.holds),
        *listed,
        row.line(last, now) if last else "No finished build yet",
        _health(row, last),
    )


def _open_line(build: Build, row: StatusRow, now: datetime) -> str:
    jobs = jobs_line(build)
    return row.line(build, now) + (f"{DOT}{jobs}" if jobs else "")


def _health(row: StatusRow, last: Build | None) -> str:
    """Return the last ten as shapes, oldest first, and since when there has been no green one."""
    parts: list[str] = []
    if len(row.recent) > 1:
        parts.append("".join(mark(build).shape for build in reversed(row.recent[:SPARKS])))
    if last is not None and last.conclusion is not Conclusion.PASSED:
        parts.append(f"last green {when(row.green_at)}" if row.green_at else "no green build that I know of")
    return DOT.join(parts)


def _offers(row: StatusRow) -> list[tuple[str, str]]:
    """Return (label, command) for the verbs a row offers."""
    ref = Ref(kind=RefKind.BRANCH, name=row.branch) if row.branch else None
    target = spoken(row.connection, row.path)
    offers: list[tuple[str, str]] = []
    if "run" in row.actions:
        offers.append(("Run…", f"run {spoken(row.connection, row.path, ref=ref)} --form"))
    if "logs" in row.actions:
        offers.append(("Logs", f"logs {target}"))
    offers.append(("Builds", f"list builds {target}"))
    offers.append((FAVOURITE, f"me favourite {spoken(row.connection, row.pipeline)}"))
    return offers


def _words(row: StatusRow) -> str:
    if row.open:
        return build_words(row.open[0], label=row.label)
    return build_words(row.recent[0], label=row.label) if row.recent else f"{safe(row.label, 120)}: no builds yet"


def _colour(rows: Sequence[StatusRow]) -> str:
    """Return the edge that speaks for all: a red one wins, then waiting, running, green."""
    colours = {mark(build).colour for row in rows for build in (*row.recent[:1], *row.open)}
    return next((colour for colour in (RED, AMBER, BLUE, GREEN) if colour in colours), GREY)
