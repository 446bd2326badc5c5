"""The card of one commit: the builds of several systems as rows, with one verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.blocks.buttons import named_buttons
from bot.blocks.lines import NO_FACTS, Facts, build_line, build_words, commit_line, lines_of, note_lines, worst
from bot.blocks.message import Message, actions, context, section, sections
from bot.blocks.text import DOT, code, escape, markup, mention, plural, safe
from bot.core.models import Build

MOST_SPOKEN = 5
MOST_WITH_BUTTONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRowView:
    """A build as a row: what its pipeline and system are called, what people did about it, and the verbs it offers."""

    build: Build
    label: str
    system: str
    attempt_no: int = 1
    facts: Facts = NO_FACTS
    verbs: frozenset[str] = frozenset()


def commit_card(rows: Sequence[CommitRowView], *, now: datetime, reason: str = "") -> Message:
    """Return the card of one commit: a row for each of its builds (one at least), and one verdict.

    While one of them is not over, there is no verdict: the card says how many are. Below a row stands what people did
    about its build, who looks after it among that.
    """
    builds = [row.build for row in rows]
    described = next((build for build in builds if build.subject), builds[0])
    sha = safe((described.head_commit or described.commit or "")[:7])
    open_builds = [build for build in builds if not build.completed]
    red = [row for row in rows if row.build.conclusion is not None and row.build.conclusion.is_red]
    shown = worst(open_builds or builds)
    ref = f"{DOT}{code(described.ref, 80)}" if described.ref else ""
    if open_builds:
        verdict = f"{len(builds) - len(open_builds)} of {plural(len(builds), 'build')} ended"
    elif red:
        verdict = f"{len(red)} of {plural(len(builds), 'build')} failed"
    else:
        verdict = f"{plural(len(builds), 'build')}: {escape(shown.word.lower())}"
    buttons = [
        button
        for row in red[:MOST_WITH_BUTTONS]
        for button in named_buttons(
            row.build,
            label=row.label if len(red) > 1 else "",
            verbs=[verb for verb in ("logs", "retry", "claim", "unclaim") if verb in row.verbs][: 4 // len(red[:2])],
            attempt_no=row.attempt_no,
        )
    ]
    on = f" on {safe(described.ref, 80)}" if described.ref else ""
    words = [build_words(build, label=row.label) for row, build in zip(rows, builds, strict=True)][:MOST_SPOKEN]
    claims = [f"{safe(row.label)}: {line}" for row in red for line in _claim(row)]
    return Message(
        text=". ".join([f"{escape(shown.word)}: {sha}{on}", verdict, *words, *claims]),
        blocks=(section(f"{shown.shape} *{escape(shown.word.upper())}*  {code(sha)}{ref}"),),
        attached=(
            section(lines_of(f"*{verdict}*", commit_line(described))),
            *sections([_row_lines(row, now) for row in rows]),
            *((actions(*buttons),) if buttons else ()),
            *((context(f"Posted because {markup(reason)}"),) if reason else ()),
        ),
        colour=shown.colour,
    )


def _row_lines(row: CommitRowView, now: datetime) -> str:
    line = f"{build_line(row.build, label=row.label, now=now, facts=row.facts)}{DOT}{safe(row.system, 60)}"
    return lines_of(line, *(f"      {note}" for note in note_lines(row.facts)))


def _claim(row: CommitRowView) -> list[str]:
    return [f"{mention(note.user)} is on it" for note in row.facts.notes[-1:] if row.facts.is_claimed and note.user]
