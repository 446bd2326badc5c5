"""The card of a search for the commit that broke a pipeline: one message, edited at each step. Pure."""

from collections.abc import Iterator

from bot.blocks.message import Message, actions, button, link_button, sections
from bot.blocks.message import context as small_print
from bot.blocks.text import DOT, Markup, bold, code, escape, harmless, link, mention, plural, safe
from bot.core.bisection import Bisection, Result, Step
from bot.core.models import Commit

SHAPES = {Result.GOOD: "✓", Result.BAD: "✕", Result.SKIPPED: "»"}
WORDS = {Result.GOOD: "passed", Result.BAD: "failed", Result.SKIPPED: "skipped"}
MOST_LINES = 24
MOST_LEFT = 6


def bisection_message(
    bisection: Bisection, *, label: str, user: str, stop: str = "", again: str = "", stopped_by: str = ""
) -> Message:
    """Return the card: what is looked for, each commit that was built, what runs now, what remains, or the end.

    `stop` is the command that ends the search, "" once it has ended; `again` one that goes on with it.
    """
    is_over = bool(bisection.outcome) or bisection.progress.is_over
    title = f"Bisect {label} between {bisection.good} and {bisection.bad}"
    state = verdict(bisection, stopped_by=stopped_by) if is_over else _now(bisection)
    lines = [bold(title, 300), state, *_table(bisection)]
    rows = [*sections(lines)]
    if is_over and (commit := _named(bisection)) is not None:
        rows.append(actions(link_button("Open commit", commit.url), *_of_build(_step_of(bisection))))
    elif is_over and again:
        rows.append(actions(button("Go on", again)))
    elif not is_over:
        rows.append(actions(*_of_build(bisection.open_step), *([button("Cancel", stop)] if stop else [])))
    rows.append(small_print(DOT.join(_facts(bisection, user))))
    return Message(text=f"{escape(title)}: {_plain(state)}", blocks=tuple(rows))


def verdict(bisection: Bisection, *, stopped_by: str = "") -> Markup:
    """Return what a search has found as mrkdwn: the first bad commit, or the range that remains and why."""
    progress = bisection.progress
    why = (
        f"Stopped by {mention(stopped_by)}. "
        if stopped_by
        else f"{harmless(bisection.outcome)} "
        if bisection.outcome
        else ""
    )
    if progress.first_bad is not None and not (bisection.outcome and not progress.is_over):
        commit = bisection.commits[progress.first_bad]
        by = f" by {safe(commit.author, 60)}" if commit.author else ""
        step = _step_of(bisection)
        failed = f"\n✕ {safe(step.note, 200)}" if step is not None and step.note else ""
        head = "First bad commit" if bisection.is_complete else "First bad commit of those that were built"
        rest = (
            ""
            if bisection.is_complete
            else "\nA commit that was pushed with it may be the one: builds name only the last."
        )
        return Markup(f"*{head}:* {_commit(commit)} {safe(commit.subject, 100)}{by}{failed}{rest}")
    suspects = progress.high - progress.low
    if suspects == 1:
        commit = bisection.commits[progress.high]
        return Markup(
            f"{why}No certain end: a commit passed after one that had failed, so the failure comes and goes. "
            f"It broke the last time with {_commit(commit)} {safe(commit.subject, 100)}."
        )
    doubt = "" if progress.is_monotone else " A commit passed after one that had failed, so even that is not certain."
    return Markup(f"{why}The first bad commit is one of the {plural(suspects, 'commit')} that remain.{doubt}")


def _now(bisection: Bisection) -> Markup:
    step, progress = bisection.open_step, bisection.progress
    left = plural(progress.high - progress.low, "commit")
    needed, allowed = progress.builds_left, bisection.most - bisection.started + (step is not None)
    more = f"{left} may be the first bad one; {plural(needed, 'build')} to go at most"
    if needed > allowed:
        more += f", of which the limit allows {allowed}"
    if step is None:
        return Markup(f"{more}.")
    commit = bisection.commits[step.commit]
    build = f"{link(step.url, step.name) if step.url else escape(step.name)} of " if step.name else ""
    word = "Running" if step.is_running else "Queued" if step.build else "Starting"
    return Markup(f"▶ {word}: {build}{_commit(commit)} {safe(commit.subject, 72)}. {more}.")


def _table(bisection: Bisection) -> Iterator[str]:
    """Yield the commits newest first: those that were built, those that remain; the others only as a number."""
    progress = bisection.progress
    steps = {step.commit: step for step in bisection.steps}
    remain = range(progress.low + 1, progress.high + 1)
    shown = set(steps) | {progress.high} | (set(remain) if len(remain) <= MOST_LEFT else set())
    left_out = lines = 0
    last = len(bisection.commits) - 1
    for number in range(last, -1, -1):
        if number not in shown or lines >= MOST_LINES:
            left_out += 1
            continue
        if left_out:
            yield f"⋯ {plural(left_out, 'commit')} not built"
        left_out, lines = 0, lines + 1
        yield _line(bisection, number, steps.get(number), is_bad_end=number == last)
    if left_out:
        yield f"⋯ {plural(left_out, 'commit')} not built"
    yield f"✓ {escape(bisection.good)}{DOT}good, as you said"


def _line(bisection: Bisection, number: int, step: Step | None, *, is_bad_end: bool) -> str:
    commit = bisection.commits[number]
    head = f"{_commit(commit)} {safe(commit.subject, 72)}"
    by = safe(commit.author, 60)
    if step is None:
        says = "bad, as you said" if is_bad_end else ""
        return DOT.join(part for part in (f"{'✕' if is_bad_end else '·'} {head}", by, says) if part)
    shape = SHAPES[step.result] if step.result is not None else "▶"
    word = WORDS[step.result] if step.result is not None else "running" if step.is_running else "queued"
    name = link(step.url, step.name) if step.url else escape(step.name)
    says = f"{word} in {name}" if step.name else word
    note = safe(step.note, 80) if step.result is Result.SKIPPED else ""
    earlier = "built before" if step.is_reused else ""
    return DOT.join(part for part in (f"{shape} {head}", by, says, earlier, note) if part)


def _facts(bisection: Bisection, user: str) -> Iterator[str]:
    yield f"asked for by {mention(user)}" if user else "asked for in the terminal"
    yield f"{bisection.started} of at most {plural(bisection.most, 'build')} started"
    reused = sum(step.is_reused for step in bisection.steps)
    if reused:
        yield f"{plural(reused, 'result')} known before"
    if not bisection.is_complete:
        yield "the commits are those that builds name"


def _named(bisection: Bisection) -> Commit | None:
    progress = bisection.progress
    return bisection.commits[progress.high] if progress.high - progress.low == 1 else None


def _step_of(bisection: Bisection) -> Step | None:
    """Return the build of the commit that the search ends with."""
    high = bisection.progress.high
    return next((step for step in bisection.steps if step.commit == high), None)


def _of_build(step: Step | None) -> list[dict[str, object]]:
    return [link_button("Open build", step.url)] if step is not None and step.url else []


def _commit(commit: Commit) -> Markup:
    return Markup(link(commit.url, commit.sha[:7]) if commit.url else code(commit.sha[:7]))


def _plain(text: str) -> str:
    return text.replace("\n", " ").replace("*", "")
