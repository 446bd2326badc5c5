"""The messages of notifications: a build ended, an approval waits, a CI system is out of reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import assert_never

from bot.blocks.buttons import build_buttons
from bot.blocks.lines import (
    NO_FACTS,
    NO_FACTS_OF_ANY,
    Facts,
    approval_lines,
    build_line,
    build_words,
    closing_line,
    commit_line,
    commit_words,
    counts_line,
    details_line,
    failure_text,
    first_line,
    lines_of,
    note_lines,
    outcome_line,
    progress_line,
    spelled,
    step_name,
    worst,
)
from bot.blocks.message import Block, Message, actions, button, context, link_button, section, sections
from bot.blocks.text import (
    AMBER,
    DOT,
    GREEN,
    GREY,
    RED,
    STEP,
    Mark,
    Markup,
    bold,
    clean_url,
    code,
    duration,
    link,
    mark,
    mark_of,
    markup,
    ordinal,
    plural,
    safe,
    when,
)
from bot.blocks.text import (
    mention as mentioned,
)
from bot.blocks.text import (
    since as elapsed,
)
from bot.core.models import NO_RESULT, Approval, Build, BuildKey, Change, Conclusion, Issue, RefKind, Status, Transition
from bot.security.redaction import redact

SUMMARY_LINES = 40


class Counts(Enum):
    """Whether the issue counts of a build are read."""

    READ = "read"
    PENDING = "pending"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What failed first in a build, how many more failures there are, and how often it fails where it is flaky.

    `flaky_of` is (times it failed, results looked through) on `ref`, where the same commit passed as well.
    """

    first: Issue | None = None
    more: int = 0
    flaky_of: tuple[int, int] | None = None
    ref: str = ""


NO_FAILURES = Failures()

_COUNTS_WORDS = {Counts.READ: "", Counts.PENDING: "_counting issues …_", Counts.UNAVAILABLE: "Counts not available"}


def notification(  # noqa: PLR0913 - all but the build are named, and each is one thing a line needs
    build: Build,
    *,
    transition: Transition,
    label: str,
    connection_label: str,
    reason: str,
    now: datetime,
    actions: frozenset[str] = frozenset(),
    attempt_no: int = 1,
    failures: Failures = NO_FAILURES,
    late: bool = False,
    repeated: bool = False,
    mention: str | None = None,
    counts: Counts = Counts.READ,
    corrected: str = "",
    standing: str = "",
    rerun: Build | None = None,
    rerun_no: int = 1,
    facts: Facts = NO_FACTS,
) -> Message:
    """Return the notification of a finished build: six lines and its buttons.

    `reason` says why it was posted (plain text or `Markup`), `mention` is the Slack id of whoever is mentioned.
    `late` marks one that comes after later ones, `repeated` one that may stand in the channel already. `corrected` says
    what changed line 2 (`#412 ended`), `standing` what has become of its branch since (it ends line 2). `rerun` is the build as its present attempt, the `rerun_no`-th, runs: the
    buttons are about that one then.
    """
    warned = transition.delta(build.issues, "warnings") or 0
    state_mark = mark(build, new_warnings=warned)
    if transition.change is Change.FIXED and not transition.is_rerun and not transition.is_outdated:
        state_mark = Mark(word="Fixed", shape=state_mark.shape, emoji=state_mark.emoji, colour=state_mark.colour)
    sentence = sentence_of(transition, build, cancelled_by=facts.cancelled_by)
    outcome = outcome_line(build)
    if standing:
        sentence = Markup(f"{sentence}{DOT}{markup(standing)}")
    called = mentioned(mention) if mention else ""
    addressee = f"{DOT}{called}" if called and called not in sentence else ""
    behind = f"{DOT}reported late" if late else ""
    body = lines_of(
        f"*{sentence}*{addressee}{behind}",
        outcome if outcome != sentence and not facts.cancelled_by else "",
        commit_line(build, starter=facts.starter),
        counts_line(build.issues, transition) or _COUNTS_WORDS[counts],
        *_failure_lines(failures),
        details_line(build),
        *note_lines(facts),
    )
    small = closing_line(
        build,
        connection_label=connection_label,
        usual_seconds=transition.usual_seconds,
        attempt_no=attempt_no,
        now=now,
        facts=facts,
    )
    text = ". ".join(
        part for part in (spelled(build, label=label, word=state_mark.word), sentence, commit_words(build)) if part
    )
    return Message(
        text=text,
        blocks=(section(first_line(build, label=label, mark=state_mark)),),
        attached=(
            section(body),
            context(
                small,
                *((f"Posted because {markup(reason)}",) if reason else ()),
                *((f"Corrected when {safe(corrected, 100)}",) if corrected else ()),
                *(("Possibly repeated: Slack did not say whether it took the first one",) if repeated else ()),
            ),
            *build_buttons(rerun or build, allowed=actions, attempt_no=rerun_no if rerun else attempt_no),
        ),
        colour=state_mark.colour,
    )


def sentence_of(transition: Transition, build: Build, *, cancelled_by: str = "") -> Markup:
    """Return line 2: how this attempt compares with the builds before it. `cancelled_by` is a Slack id."""
    sentence = _sentence(transition, build, cancelled_by)
    if not transition.is_outdated or transition.change is Change.NONE:
        return sentence
    what = "the build of a newer commit" if transition.is_newer_by_commit else "a newer build"
    newest = f"{what}, #{transition.newer}," if transition.newer is not None else what
    word = mark_of(Status.COMPLETED, transition.newer_conclusion).word.lower()
    return Markup(f"{sentence} · {newest} {word}")


def _sentence(transition: Transition, build: Build, cancelled_by: str) -> Markup:
    match transition.change:
        case Change.BROKEN:
            if transition.is_rerun:
                return Markup("Newly broken — the same commit passed before: flaky")
            green = f" — green for {plural(transition.streak, 'build')}" if transition.streak else ""
            return Markup(f"Newly broken{green}")
        case Change.FIXED:
            return _fixed(transition, build)
        case Change.STILL_FAILING:
            return _still_failing(transition)
        case Change.STILL_PASSING:
            return Markup("Still green, with more issues" if transition.worse else "Still green")
        case Change.FIRST:
            return _first(transition, build)
        case Change.NONE:
            return _neither(build, cancelled_by)
        case _:  # pragma: no cover - the changes above are all there are
            assert_never(transition.change)


def _first(transition: Transition, build: Build) -> Markup:
    if transition.target:
        word = mark_of(Status.COMPLETED, transition.target_conclusion).word.lower()
        return Markup(f"First result of this pull request — {code(transition.target, 80)} {word}")
    ref = build.history_ref
    where = {RefKind.PULL_REQUEST: "pull request", RefKind.TAG: "tag"}.get(ref.kind, "branch") if ref else "ref"
    if transition.is_surely_first:
        return Markup(f"First build on this {where}")
    return Markup("No earlier result to compare with")


def _still_failing(transition: Transition) -> Markup:
    since = f", since #{transition.red_since}" if transition.red_since is not None else ""
    row = f"{ordinal(transition.streak)} in a row{since}"
    tail = ", with more issues" if transition.worse else ", with fewer issues" if transition.better else ""
    if transition.is_rerun:
        more = f" — {row}" if transition.streak > 1 else ""
        return Markup(f"Failed again on a rerun of the same commit{more}{tail}")
    return Markup(f"Still failing — {row}{tail}")


def _fixed(transition: Transition, build: Build) -> Markup:
    """Return the sentence of a build that is green again. Time runs from the end of the first red build."""
    took = f"{duration(transition.red_seconds)} and " if transition.red_seconds is not None else ""
    after = f"after {took}{plural(transition.streak, 'red build')}"
    if transition.is_rerun:
        return Markup(f"Passed on a rerun of the same commit {after}: flaky")
    by = safe(build.commit[:7]) if build.commit else ""
    person = build.author.name or build.author.login if build.author else None
    who = " ".join(part for part in (by, safe(person, 60) if person else "") if part)
    credit = f" · fixed by {who}" if who else ""
    return Markup(f"Back to green {after}{credit}")


def _neither(build: Build, cancelled_by: str) -> Markup:
    if build.conclusion is Conclusion.CANCELLED and cancelled_by:
        return Markup(f"Cancelled by {mentioned(cancelled_by)}")
    if build.conclusion in NO_RESULT:
        return Markup(outcome_line(build) or mark(build).word)
    if build.conclusion is None:
        return Markup("Ended in a state that counts as neither passed nor failed")
    return Markup("No earlier result to compare with")


def _failure_lines(failures: Failures) -> list[str]:
    """Return line 5: the first failure on up to three lines, cleaned and masked, and how many more there are."""
    failure, rest = failures.first, f"{DOT}+{failures.more} more" if failures.more > 0 else ""
    if failure is None:
        return [rest.removeprefix(DOT)] if rest else []
    place = failure.file or ""
    if place and failure.line is not None:
        place += f":{failure.line}"
    job = step_name(failure.job) if failure.job else ""
    named = STEP.join(safe(part, 90) for part in (job, place) if part)
    first, *below = failure_text(failure.message, 200, job=failure.job) or [""]
    words = step_name(first)
    message = safe(words.removeprefix(f"{job}: ") if job else words, 200) or "no message"
    target = clean_url(failure.url)
    seen = f"{DOT}{link(redact(target), 'see it')}" if target else ""
    return [
        f"✕ {named} — {message}{seen}{rest}" if named else f"✕ {message}{seen}{rest}",
        *(f"      {safe(line, 200)}" for line in below),
        *_flaky_line(failures),
    ]


def _flaky_line(failures: Failures) -> list[str]:
    if failures.flaky_of is None:
        return []
    failed, results = failures.flaky_of
    where = f" on {code(failures.ref, 80)}" if failures.ref else ""
    return [f"Flaky: failed {failed} of the last {results}{where}, and the same commit passed"]


def summary_notification(
    builds: Sequence[Build],
    *,
    labels: Mapping[tuple[str, str], str],
    now: datetime,
    reason: str = "",
    repeated: bool = False,
    happened: str = "finished while I was away",
    facts: Mapping[BuildKey, Facts] = NO_FACTS_OF_ANY,
) -> Message:
    """Return one message for several builds, in the order given; `happened` ends its title: what they have in common."""
    first_builds = builds[:SUMMARY_LINES]
    named = [
        (build, labels.get((build.connection, build.pipeline), build.name or build.pipeline)) for build in first_builds
    ]
    title = f"{plural(len(builds), 'build')} {happened}"
    lines = [build_line(build, label=label, now=now, facts=facts.get(build.key, NO_FACTS)) for build, label in named]
    if len(builds) > len(first_builds):
        lines.append(f"… {len(builds) - len(first_builds)} more")
    small = [f"Posted because {markup(reason)}"] if reason else []
    small += ["Possibly repeated"] if repeated else []
    return Message(
        text=". ".join([title, *(build_words(build, label=label) for build, label in named[:3])]),
        blocks=(section(f"*{title}*"),),
        attached=(*sections(lines), *((context(*small),) if small else ())),
        colour=worst(builds).colour if builds else GREY,
    )


def approval_notification(  # noqa: PLR0913 - all but the build and its approvals are named
    build: Build,
    approvals: Sequence[Approval],
    *,
    label: str,
    connection_label: str,
    now: datetime,
    actions: frozenset[str] = frozenset(),
    attempt_no: int = 1,
    requester: str | None = None,
    mention: str | None = None,
    going: Sequence[str] = (),
    approvers: str = "",
    policy: str = "",
    held: Sequence[str] = (),
    deadline: datetime | None = None,
    reminder: datetime | None = None,
    decision: str | None = None,
    reason: str = "",
    repeated: bool = False,
    facts: Facts = NO_FACTS,
) -> Message:
    """Return the card of a build that waits for a person.

    `requester` and `mention` are Slack ids. `going` are the lines (`Markup`) of what would go out, `approvers` says who
    may approve in Slack (`Markup`), `policy` what else it needs, `held` (`Markup`) who keeps others from deciding. With a `decision` ("Approved by …", plain text or `Markup`) the card is one
    line without buttons.
    """
    state_mark = mark_of(Status.IN_PROGRESS, waiting=True)
    if decision is not None:
        line = f"{first_line(build, label=label, mark=mark(build))}{DOT}{markup(decision)}"
        return Message(
            text=f"{spelled(build, label=label, word=mark(build).word)}. {markup(decision)}", blocks=(section(line),)
        )
    questions = [line for approval in approvals[:5] for line in approval_lines(approval)]
    if len(approvals) > 5:
        questions.append(f"… {len(approvals) - 5} more")
    body = lines_of(
        f"{mentioned(mention)}, your decision is needed" if mention else "",
        _requested(build, requester),
        commit_line(build, starter=requester or "", says_starter=False),
        *(markup(line) for line in going),
        progress_line(build, usual_seconds=None, now=now, facts=facts),
        *questions,
        f"May approve in Slack: {markup(approvers)}" if approvers else "",
        f"Needs: {safe(policy, 200)}" if policy else "",
        *held,
        f"Expires {when(deadline)} at the latest" if deadline else "",
        f"Reminder in the thread {when(reminder)}" if reminder and reminder > now else "",
        *note_lines(facts),
    )
    names = ", ".join(safe(step_name(approval.name), 80) for approval in approvals[:3])
    text = ". ".join(
        part for part in (spelled(build, label=label, word=state_mark.word), names, commit_words(build)) if part
    )
    small = [closing_line(build, connection_label=connection_label, attempt_no=attempt_no, now=now)]
    small += [f"Posted because {markup(reason)}"] if reason else []
    small += ["Possibly repeated"] if repeated else []
    return Message(
        text=text,
        blocks=(section(first_line(build, label=label, mark=state_mark)),),
        attached=(
            *((section(body),) if body else ()),
            context(*small),
            *build_buttons(build, allowed=actions, attempt_no=attempt_no, approvals=approvals),
        ),
        colour=state_mark.colour,
    )


def reminder_notification(
    build: Build,
    approvals: Sequence[Approval],
    *,
    label: str,
    now: datetime,
    waiting_since: datetime | None = None,
    deadline: datetime | None = None,
    approvers: str = "",
    mention: str | None = None,
) -> Message:
    """Return the line below an approval's card that says that it is still open, and for whom it waits."""
    names = ", ".join(safe(step_name(approval.name), 80) for approval in approvals[:3])
    since = f" for {duration(elapsed(waiting_since, now))}" if waiting_since else ""
    what = f"{safe(label, 120)} {safe(build.label or f'#{build.number}' if build.number else '', 40)}".strip()
    line = f"⏸ {bold(what, 160)} has waited{since}{f' for {names}' if names else ''}"
    call = f"{mentioned(mention)}, your decision is needed" if mention else ""
    may = f"May approve in Slack: {markup(approvers)}" if approvers else ""
    ends = f"Expires {when(deadline)} at the latest" if deadline else ""
    return Message(text=f"{what} still waits for approval", blocks=(section(lines_of(line, ends, call, may)),))


def _requested(build: Build, requester: str | None) -> str:
    """Return who wants a build to go on: the person who started it in Slack, else as the CI system names them."""
    if requester:
        return f"Requested by {mentioned(requester)}"
    person = build.triggered_by or (build.author.name or build.author.login if build.author else None)
    return f"Requested by {safe(person, 60)}" if person else ""


def decided_notification(build: Build, lines: Sequence[str], *, label: str) -> Message:
    """Return the direct message for who started a build about a decision that others took; `lines` are `Markup`."""
    title = f"{first_line(build, label=label, mark=mark(build))}"
    return Message(
        text=". ".join((spelled(build, label=label, word=mark(build).word), *lines)),
        blocks=(section("\n".join((title, *lines))), actions(link_button("Open", build.web_url))),
    )


def red_standing(streak: int, since: int | None) -> Markup:
    """Return how a red branch stands, for the end of line 2: `now 3rd in a row, since #409`."""
    return Markup(f"now {ordinal(streak)} in a row{f', since #{since}' if since is not None else ''}")


def red_again(streak: int, since: int) -> Markup:
    """Return that a branch is red since a later build than the card's, for the end of line 2."""
    return Markup(f"red since #{since}{f', {ordinal(streak)} in a row' if streak > 1 else ''}")


def green_again(number: int | None, red_seconds: float | None) -> Markup:
    """Return that a branch that was red is green again, for the end of line 2."""
    by = f" with #{number}" if number is not None else ""
    after = f" after {duration(red_seconds)}" if red_seconds is not None else ""
    return Markup(f"back to green{by}{after}")


NEW_BREAKAGE = Markup("something else broke")


def branch_changed(label: str, before: str, after: str) -> Message:
    """Return what a channel reads once when the default branch of a linked pipeline changed."""
    line = f"The default branch of {bold(label, 120)} is now {code(after, 80)} (was {code(before, 80)}); I follow it"
    text = f"The default branch of {safe(label, 120)} is now {safe(after, 80)}; I follow it"
    return Message(text=text, blocks=(section(line),))


def outage_notification(connection_label: str, since: datetime, error: str) -> Message:
    """Return the notification that a connection has been out of reach for a while."""
    line = f"I cannot reach {safe(connection_label, 80)}: its builds are not seen for now"
    why = safe(redact(error), 300)
    return Message(
        text=f"{line}. {why}",
        blocks=(section(f"⚠ *{line}*"),),
        attached=(
            section(why or "no answer"),
            context(f"since {when(since)} · I keep trying and post here when it works again"),
        ),
        colour=AMBER,
    )


def outage_over(connection_label: str, since: datetime, now: datetime) -> Message:
    """Return the notification that the connection works again."""
    line = f"{safe(connection_label, 80)} answers again after {duration(elapsed(since, now))}"
    return Message(
        text=line,
        blocks=(section(f"✓ *{line}*"),),
        attached=(context("Builds that finished meanwhile follow, marked as late"),),
        colour=GREEN,
    )


def delivery_problem(channel_name: str, reason: str, labels: Sequence[str], *, commands: Sequence[str] = ()) -> Message:
    """Return the message to the person who linked a channel where nothing can be posted any more.

    `reason` is a sentence. `commands` mend it, one button each: the first words of each are its label.
    """
    where = bold(f"#{channel_name}" if channel_name else "a channel", 80)
    line = f"I can no longer post in {where}"
    listed = [f"• {safe(label, 120)}" for label in labels[:10]]
    if len(labels) > 10:
        listed.append(f"… {len(labels) - 10} more")
    body = lines_of(safe(reason, 300), "Paused until that is fixed:" if listed else "", *listed)
    return Message(
        text=f"{line}. {safe(reason, 300)}",
        blocks=(section(f"⚠ {line}"),),
        attached=(
            *((section(body),) if body else ()),
            _mending(commands),
        ),
        colour=RED,
    )


def _mending(commands: Sequence[str]) -> Block:
    return actions(*(button(words.split(maxsplit=1)[0].capitalize(), words) for words in commands[:5] if words.split()))
