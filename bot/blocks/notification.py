"""Messages that nobody asked for at that moment: a build ended, an approval waits, a system is out of reach."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

from bot.blocks.buttons import build_buttons
from bot.blocks.lines import (
    approval_lines,
    build_line,
    build_words,
    closing_line,
    commit_line,
    commit_words,
    counts_line,
    failure_words,
    first_line,
    lines_of,
    raw_state_line,
    spelled,
    worst,
)
from bot.blocks.message import Block, Message, actions, button, context, section, sections
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
    escape,
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
from bot.core.models import Approval, Build, Change, Conclusion, Issue, Status, Transition
from bot.security.redaction import redact

SUMMARY_LINES = 20

_DONE = {
    "run": "started",
    "start": "started",
    "cancel": "cancelled",
    "retry": "retried",
    "rebuild": "rebuilt",
    "approve": "approved",
    "reject": "rejected",
    "erase": "erased",
}


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
    first_failure: Issue | None = None,
    more_failures: int = 0,
    late: bool = False,
    repeated: bool = False,
    mention: str | None = None,
    counts_pending: bool = False,
) -> Message:
    """Return the notification of a finished build: six lines and its buttons.

    `reason` says why it was posted (plain text or `Markup`), `mention` is the Slack id of whoever is told.
    `late` marks news from while the bot was away, `repeated` one that may stand in the channel already.
    """
    warned = transition.delta(build.issues, "warnings") or 0
    shown = mark(build, new_warnings=warned)
    if transition.change is Change.FIXED:
        shown = Mark(word="Fixed", shape=shown.shape, emoji=shown.emoji, colour=shown.colour)
    sentence = sentence_of(transition, build)
    told = f"{DOT}{mentioned(mention)}" if mention else ""
    behind = f"{DOT}late news, I was away" if late else ""
    counts = counts_line(build.issues, transition) or ("_counting issues …_" if counts_pending else "")
    body = lines_of(
        f"*{sentence}*{told}{behind}",
        commit_line(build),
        counts,
        _failure_line(first_failure, more_failures),
        raw_state_line(build),
    )
    small = closing_line(
        build, connection_label=connection_label, usual_seconds=transition.usual_seconds, attempt_no=attempt_no, now=now
    )
    text = ". ".join(
        part for part in (spelled(build, label=label, word=shown.word), sentence, commit_words(build)) if part
    )
    return Message(
        text=text,
        blocks=(section(first_line(build, label=label, mark=shown)),),
        attached=(
            section(body),
            context(
                small,
                *((f"Posted because {markup(reason)}",) if reason else ()),
                *(("Possibly repeated: Slack did not say whether it took the first one",) if repeated else ()),
            ),
            *build_buttons(build, allowed=actions, attempt_no=attempt_no),
        ),
        colour=shown.colour,
    )


def sentence_of(transition: Transition, build: Build) -> Markup:
    """Return line 2: what this attempt means beside the ones before it."""
    where = "branch" if build.branch or not build.ref else "ref"
    match transition.change:
        case Change.BROKEN:
            green = f" — green for {plural(transition.streak, 'build')}" if transition.streak else ""
            return Markup(f"Newly broken{green}")
        case Change.FIXED:
            return _fixed(transition, build)
        case Change.STILL_FAILING:
            since = f", since #{transition.red_since}" if transition.red_since is not None else ""
            tail = ", with more issues" if transition.worse else ", with fewer issues" if transition.better else ""
            return Markup(f"Still failing — {ordinal(transition.streak)} in a row{since}{tail}")
        case Change.STILL_PASSING:
            return Markup("Still green, with more issues" if transition.worse else "Still green")
        case Change.FIRST:
            known = "known result" if transition.baseline is not None else "build"
            return Markup(f"First {known} on this {where}")
        case Change.NONE:
            return _neither(build)
        case _:  # pragma: no cover - the changes above are all there are
            assert_never(transition.change)


def _fixed(transition: Transition, build: Build) -> Markup:
    """Return the sentence of a build that is green again. Time runs from the end of the first red build."""
    took = f"{duration(transition.red_seconds)} and " if transition.red_seconds is not None else ""
    by = safe(build.commit[:7]) if build.commit else ""
    person = build.author.name or build.author.login if build.author else None
    who = " ".join(part for part in (by, safe(person, 60) if person else "") if part)
    credit = f" · fixed by {who}" if who else ""
    return Markup(f"Back to green after {took}{plural(transition.streak, 'red build')}{credit}")


def _neither(build: Build) -> Markup:
    if build.conclusion in {Conclusion.CANCELLED, Conclusion.SKIPPED, Conclusion.RETRIED}:
        return Markup(f"{mark(build).word}, so it says nothing about the code")
    if build.conclusion is None:
        return Markup("Ended in a state I don't know, so I call it neither green nor red")
    return Markup("There is nothing to compare it with")


def _failure_line(failure: Issue | None, more: int) -> str:
    """Return line 5: the first failure, cleaned and masked, and how many more there are."""
    rest = f"{DOT}+{more} more" if more > 0 else ""
    if failure is None:
        return rest.removeprefix(DOT)
    place = failure.file or ""
    if place and failure.line is not None:
        place += f":{failure.line}"
    named = STEP.join(safe(part, 90) for part in (failure.job, place) if part)
    message = safe(failure_words(failure.message, 200, job=failure.job) or "no message", 200)
    target = clean_url(failure.url)
    seen = f"{DOT}{link(redact(target), 'see it')}" if target else ""
    return f"✕ {named} — {message}{seen}{rest}" if named else f"✕ {message}{seen}{rest}"


def summary_notification(
    builds: Sequence[Build],
    *,
    labels: Mapping[tuple[str, str], str],
    now: datetime,
    reason: str = "",
    repeated: bool = False,
    quiet: bool = False,
) -> Message:
    """Return one message for several builds that finished while the bot was away, in the order given.

    With `quiet` they were not missed but held back, while the channel was muted; approvals may be among them.
    """
    shown = builds[:SUMMARY_LINES]
    named = [(build, labels.get((build.connection, build.pipeline), build.name or build.pipeline)) for build in shown]
    title = f"{plural(len(builds), 'build')} {'while this was muted' if quiet else 'finished while I was away'}"
    lines = [build_line(build, label=label, now=now) for build, label in named]
    if len(builds) > len(shown):
        lines.append(f"… {len(builds) - len(shown)} more")
    small = [f"Posted because {markup(reason)}"] if reason else []
    small += ["Possibly repeated"] if repeated else []
    return Message(
        text=". ".join([title, *(build_words(build, label=label) for build, label in named[:3])]),
        blocks=(section(f"*{title}*"),),
        attached=(*sections(lines), *((context(*small),) if small else ())),
        colour=worst(builds).colour if builds else GREY,
    )


def approval_notification(  # noqa: PLR0913 - all but the build and its gates are named
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
    changes_url: str | None = None,
    deadline: datetime | None = None,
    decision: str | None = None,
    reason: str = "",
    repeated: bool = False,
) -> Message:
    """Return the card of a build that waits for a person.

    `requester` and `mention` are Slack ids. With a `decision` ("Approved by …", plain text or `Markup`) the buttons
    are gone and that line stands in their place.
    """
    waiting = mark_of(Status.IN_PROGRESS, waiting=True)
    shown = waiting if decision is None else mark(build)
    asked = [line for approval in approvals[:5] for line in approval_lines(approval)]
    if len(approvals) > 5:
        asked.append(f"… {len(approvals) - 5} more")
    going = clean_url(changes_url)
    body = lines_of(
        markup(decision) if decision else "",
        f"{mentioned(mention)}, your decision is needed" if mention and decision is None else "",
        f"Asked for by {mentioned(requester)}" if requester else "",
        commit_line(build),
        link(going, "What would go out") if going else "",
        *(asked if decision is None else ()),
        f"Decide before {when(deadline)}" if deadline and decision is None else "",
    )
    names = ", ".join(safe(approval.name, 80) for approval in approvals[:3])
    text = ". ".join(
        part
        for part in (
            spelled(build, label=label, word=shown.word),
            markup(decision) if decision else names,
            commit_words(build),
        )
        if part
    )
    small = [closing_line(build, connection_label=connection_label, attempt_no=attempt_no, now=now)]
    small += [f"Posted because {markup(reason)}"] if reason else []
    small += ["Possibly repeated"] if repeated else []
    armed = actions if decision is None else frozenset[str]()
    return Message(
        text=text,
        blocks=(section(first_line(build, label=label, mark=shown)),),
        attached=(
            *((section(body),) if body else ()),
            context(*small),
            *build_buttons(
                build, allowed=armed, attempt_no=attempt_no, approvals=approvals if decision is None else ()
            ),
        ),
        colour=shown.colour,
    )


def started_line(user: str, build: Build, label: str, verb: str = "run") -> Markup:
    """Return the one public line an act leaves: who did what to which build. `user` is a Slack id."""
    what = link(build.web_url, f"#{build.number}") + " of " if build.number is not None else ""
    name = safe(label, 120) if build.number is not None else link(build.web_url, label, 120)
    where = f" on {code(build.ref, 80)}" if build.ref else ""
    return Markup(f"{mentioned(user)} {_DONE.get(verb, escape(verb))} {what}{name}{where}")


def started_message(user: str, build: Build, label: str, verb: str = "run") -> Message:
    """Return that line as a message."""
    line = started_line(user, build, label, verb)
    return Message(text=line, blocks=(section(line),))


def outage_notification(connection_label: str, since: datetime, error: str) -> Message:
    """Return what a channel is told once when a connection has been out of reach for a while."""
    line = f"I cannot reach {safe(connection_label, 80)}: builds there go unseen for now"
    why = safe(redact(error), 300)
    return Message(
        text=f"{line}. {why}",
        blocks=(section(f"⚠ *{line}*"),),
        attached=(
            section(why or "no answer"),
            context(f"since {when(since)} · I keep trying and tell you when it is over"),
        ),
        colour=AMBER,
    )


def outage_over(connection_label: str, since: datetime, now: datetime) -> Message:
    """Return what the same channels are told when the connection works again."""
    line = f"{safe(connection_label, 80)} answers again after {duration(elapsed(since, now))}"
    return Message(
        text=line,
        blocks=(section(f"✓ *{line}*"),),
        attached=(context("What finished meanwhile follows, marked as late"),),
        colour=GREEN,
    )


def delivery_problem(channel_name: str, reason: str, labels: Sequence[str], *, commands: Sequence[str] = ()) -> Message:
    """Return what the person who linked a channel is told when nothing can be posted there any more.

    `reason` is a sentence. `commands` mend it, one button each: the first words of each are its label.
    """
    where = bold(f"#{channel_name}" if channel_name else "a channel", 80)
    line = f"I can no longer post in {where}"
    listed = [f"• {safe(label, 120)}" for label in labels[:10]]
    if len(labels) > 10:
        listed.append(f"… {len(labels) - 10} more")
    body = lines_of(safe(reason, 300), "Paused until that is mended:" if listed else "", *listed)
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
