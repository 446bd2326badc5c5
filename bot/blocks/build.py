"""A build as a card that lives with it, as one line, and as a list."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.blocks.buttons import build_buttons
from bot.blocks.lines import (
    NO_FACTS,
    NO_FACTS_OF_ANY,
    Facts,
    approval_lines,
    build_line,
    build_words,
    called,
    closing_line,
    commit_line,
    commit_words,
    counts_line,
    details_line,
    first_line,
    jobs_line,
    lines_of,
    note_lines,
    outcome_line,
    progress_line,
    spelled,
    worst,
)
from bot.blocks.message import Block, Message, actions, button, context, section, sections
from bot.blocks.text import bold, code, escape, link, mark, markup, mention, plural, safe
from bot.core.models import Approval, Build, BuildKey

DETAILS_ON_A_CARD = 8

__all__ = ["build_card", "build_line", "build_list", "commit_list", "short_card"]


def build_card(  # noqa: PLR0913 - all but the build are named, and each is one thing a line needs
    build: Build,
    *,
    label: str,
    now: datetime,
    connection_label: str,
    actions: frozenset[str] = frozenset(),
    attempt_no: int = 1,
    headline: str | None = None,
    usual_seconds: float | None = None,
    approvals: Sequence[Approval] = (),
    note: str | None = None,
    watched: bool = False,
    facts: Facts = NO_FACTS,
    with_details: bool = False,
) -> Message:
    """Return the live card of a build in whatever state it is.

    `actions` are the verbs to offer. `headline` is the sentence of line 2 (who started it, what replaced it), `note`
    one more below; both are plain text unless they are `Markup`. `with_details` adds what else the system reports of it. `usual_seconds` draws the ten cells while it runs.
    """
    state_mark = mark(build)
    if build.completed:
        middle = counts_line(build.issues)
    else:
        middle = lines_of(jobs_line(build), progress_line(build, usual_seconds=usual_seconds, now=now, facts=facts))
    questions = (
        [line for approval in approvals[:5] for line in approval_lines(approval)]
        if build.waiting or not build.completed
        else []
    )
    body = lines_of(
        markup(headline) if headline else "",
        outcome_line(build),
        commit_line(build, starter=facts.starter, says_starter=not headline),
        middle,
        details_line(build, most=DETAILS_ON_A_CARD) if with_details else "",
        *questions,
        *note_lines(facts),
        markup(note, 500) if note else "",
    )
    small = closing_line(
        build,
        connection_label=connection_label,
        usual_seconds=usual_seconds,
        attempt_no=attempt_no,
        now=now,
        facts=facts,
    )
    text = ". ".join(
        part
        for part in (
            spelled(build, label=label, word=state_mark.word),
            markup(headline) if headline else "",
            commit_words(build),
        )
        if part
    )
    buttons = build_buttons(
        build,
        allowed=actions,
        attempt_no=attempt_no,
        approvals=approvals if build.waiting or not build.completed else (),
        watched=watched,
    )
    return Message(
        text=text,
        blocks=(section(first_line(build, label=label, mark=state_mark)),),
        attached=(
            *((section(body),) if body else ()),
            context(f"{small} · watched" if watched else small),
            *buttons,
        ),
        colour=state_mark.colour,
    )


def short_card(build: Build, *, label: str, starter: str = "", pointer: str = "see below") -> Message:
    """Return a live card that has made room for the full card of its build: one line that points to that one."""
    state_mark = mark(build)
    number = build.label or build.number
    name = link(build.web_url, f"#{number}") if number is not None else link(build.web_url, label)
    by = f"started by {mention(starter)}" if starter else "started"
    line = f"▶ {by} → {state_mark.shape} {escape(state_mark.word)} {name}, {pointer}"
    spoken = f"{safe(called(build, label))}: {escape(state_mark.word)}, {pointer}"
    return Message(text=spoken, blocks=(section(line),))


def signal_over(build: Build, *, label: str, headline: str, pointer: str = "") -> Message:
    """Return what is left of a card that said what was unusual about a running build: one line, now that it is over."""
    state_mark = mark(build)
    words = safe(headline.partition(" — ")[0], 200)
    more = f", {pointer}" if pointer else ""
    line = f"{words} → {state_mark.shape} {escape(state_mark.word)} {link(build.web_url, called(build, label))}{more}"
    spoken = f"{safe(called(build, label))}: {words}, then {escape(state_mark.word)}{more}"
    return Message(text=spoken, blocks=(section(line),))


def build_list(
    builds: Sequence[Build],
    *,
    title: str,
    labels: Mapping[tuple[str, str], str],
    now: datetime,
    footer: str | None = None,
    more_command: str | None = None,
    facts: Mapping[BuildKey, Facts] = NO_FACTS_OF_ANY,
) -> Message:
    """Return builds one a line, in the order given.

    `labels` names pipelines by (connection, pipeline); `facts` holds what the bot knows beside the builds. Where builds
    of one pipeline are of several kinds (a repository's workflows behind Truto, the jobs that are builds of an old
    GitLab), each line names its own.
    """
    several = _of_several_kinds(builds)
    lines = [
        build_line(
            build,
            label=_label(build, labels),
            now=now,
            facts=facts.get(build.key, NO_FACTS),
            says_workflow=(build.connection, build.pipeline) in several,
        )
        for build in builds
    ]
    spoken_lines = [build_words(build, label=_label(build, labels)) for build in builds[:3]]
    blocks: list[Block] = [section(bold(title)), *sections(lines or ["No builds."])]
    if footer:
        blocks.append(context(markup(footer)))
    if more_command:
        blocks.append(actions(button("More", more_command)))
    return Message(text=". ".join([safe(title), *(spoken_lines or ["No builds"])]), blocks=tuple(blocks))


def _of_several_kinds(builds: Sequence[Build]) -> set[tuple[str, str]]:
    """Return the (connection, pipeline) of which builds of several workflows, or several jobs that are builds, are listed."""
    workflows: dict[tuple[str, str], set[str | None]] = {}
    for build in builds:
        name = build.job or build.workflow or build.name
        workflows.setdefault((build.connection, build.pipeline), set()).add(name)
    of_jobs = {(build.connection, build.pipeline) for build in builds if build.job}
    return of_jobs | {pipeline for pipeline, names in workflows.items() if len(names) > 1}


def commit_list(
    builds: Sequence[Build],
    *,
    sha: str,
    labels: Mapping[tuple[str, str], str],
    connection_labels: Mapping[str, str],
    now: datetime,
    footer: str | None = None,
    facts: Mapping[BuildKey, Facts] = NO_FACTS_OF_ANY,
) -> Message:
    """Return the builds of one commit as one card: a row for each system, its builds below."""
    systems: dict[str, list[Build]] = {}
    for build in builds:
        systems.setdefault(build.connection, []).append(build)
    several = _of_several_kinds(builds)
    rows: list[str] = []
    for connection, mine in systems.items():
        shown = worst(mine)
        rows.append(f"{shown.shape} {bold(connection_labels.get(connection, connection), 60)}")
        rows += [
            "      "
            + build_line(
                build,
                label=_label(build, labels),
                now=now,
                facts=facts.get(build.key, NO_FACTS),
                says_workflow=(build.connection, build.pipeline) in several,
            )
            for build in mine
        ]
    known = next((build for build in builds if build.subject), None)
    about = commit_line(known) if known else code(sha[:7])
    counted = f"{plural(len(builds), 'build')} of {safe(sha[:7])}"
    words = [build_words(build, label=_label(build, labels)) for build in builds[:3]]
    blocks = (section(f"*{counted}*"), section(about))
    small = (context(markup(footer)),) if footer else ()
    if not builds:
        return Message(text=f"No builds of {safe(sha[:7])}", blocks=(section(f"No builds of {about} here."), *small))
    return Message(
        text=". ".join([counted, *words]),
        blocks=blocks,
        attached=(*sections(rows), *small),
        colour=worst(builds).colour,
    )


def _label(build: Build, labels: Mapping[tuple[str, str], str]) -> str:
    return labels.get((build.connection, build.pipeline), build.name or build.pipeline)
