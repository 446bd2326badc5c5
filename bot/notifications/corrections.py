"""Correct what was said of builds before an earlier end, result or count was known as it is now. Pure.

A card is edited. A claim that turns out false (a verdict, not a number) is taken back in its thread. Whoever stayed
silent for the false claim and would have been notified of the true one is notified once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.blocks.notification import sentence_of
from bot.core.models import Build, BuildKey, Change, Conclusion, RefKind, Status, Transition
from bot.notifications.decisions import BROKE_IT, Case, Sees, past, past_attempt
from bot.notifications.filters import newly_broken
from bot.notifications.notification import AUTHOR, Event, Extra, News
from bot.notifications.transitions import PastAttempt, compare, results_of
from bot.store import Recorded
from bot.store.rows import AttemptRow, BuildRow, NewNotification, NotificationRow
from bot.store.states import NotificationState
from bot.store.steps import unpack_counts

POSTED = frozenset({NotificationState.SENT, NotificationState.LEASED})
UNSENT = frozenset({NotificationState.PENDING, NotificationState.HELD})
TAKEN_BACK_REASON = "what was posted was not true"

DENIALS = {
    BROKE_IT: "your commit did not break it",
    "passed": "this build did not pass",
    "failed": "this build did not fail",
    Change.FIXED.value: "this was no fix",
    Change.BROKEN.value: "this build was not the first to fail",
    Change.STILL_FAILING.value: "the build before it had not failed",
    Change.STILL_PASSING.value: "the build before it had not passed",
    "worse": "it had no more issues than the build before",
    "better": "it had no fewer issues than the build before",
}
"""What takes a claim back, the most telling claim first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is true now of an attempt that ended earlier.

    `build` is as much of its build as a sentence about it needs, `posted_build` the same as it was when the sentence was
    posted: another one where its result or its counts were corrected. `counts_only` says that only its own counts are
    other ones: its card gets these without being called corrected, unless something false was said of them. `newer` is how
    the newer builds of its ref stand now, by number.
    """

    transition: Transition
    build: Build
    posted_build: Build
    attempt: AttemptRow
    newer: Mapping[int | None, Conclusion | None]
    counts_only: bool = False


Claims = Mapping[tuple[BuildKey, int], Claim]


def claims_of(item: Recorded) -> Claims:
    """Return, by build and attempt, what is true now of attempts that were compared before an end was known as it is.

    These are the attempts of newer builds of the same history, and the one whose own result or counts are other ones now.
    Of older builds it may have been said how this one ended: those are among them where its result is another one.
    """
    claims: dict[tuple[BuildKey, int], Claim] = {}
    end, before = item.end, item.before
    if end is None:
        return claims
    mine = past_attempt(end)
    whole = (*past(item.history), mine)
    results = results_of(whole)
    is_other_result = item.corrected is not None or item.attempt_no > 1
    for other in item.history:
        attempt = past_attempt(other)
        if other.build == mine.build or (attempt.position < mine.position and not is_other_result):
            continue
        build = _build_of(other, attempt)
        claims[_attempt_key(other)] = Claim(
            transition=compare(attempt, whole),
            build=build,
            posted_build=build,
            attempt=other,
            newer=_newer(attempt, results),
        )
    if item.finished is None and before is not None:
        target = past(item.target_history)
        claims[item.build.key, item.attempt_no] = Claim(
            transition=compare(mine, whole, target=target, target_name=item.build.target_branch),
            build=item.build,
            posted_build=replace(item.build, conclusion=before.conclusion, issues=before.issues),
            attempt=end,
            newer=_newer(mine, results),
            counts_only=item.corrected is None,
        )
    return claims


def _newer(attempt: PastAttempt, results: Sequence[PastAttempt]) -> dict[int | None, Conclusion | None]:
    return {result.number: result.conclusion for result in results if result.position > attempt.position}


def news_of(item: Recorded) -> News:
    """Return what about a build corrects others."""
    if item.corrected is not None:
        return News.RESULT
    return News.COUNTS if item.recounted is not None else News.END


def _attempt_key(row: AttemptRow) -> tuple[BuildKey, int]:
    return BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build), row.attempt_no


def _build_of(row: AttemptRow, attempt: PastAttempt) -> Build:
    is_pull_request = row.ref_kind == RefKind.PULL_REQUEST.value
    return Build(
        connection=row.connection,
        pipeline=row.pipeline,
        id=row.build,
        number=row.number,
        branch=None if is_pull_request else row.ref_name or None,
        pull_request=row.ref_name if is_pull_request else None,
        commit=row.commit_sha or None,
        status=Status.COMPLETED,
        conclusion=attempt.conclusion,
        issues=attempt.counts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """New `extra`s by notification, and the replies that take back in a thread what was posted there."""

    extras: Mapping[int, str]
    replies: tuple[NewNotification, ...] = ()


def corrections(
    rows: Sequence[NotificationRow], claims: Claims, cause: str, now: datetime, *, news: News = News.END
) -> Corrections:
    """Return what becomes of notifications whose transition is not true any more. `cause` names the build that changed it.

    A card says that it was corrected where its sentence is another one. One that has not been posted yet is judged anew
    when it is due, unless somebody asked for it. A posted claim that was false is taken back in its thread, for whoever
    has read it already.
    """
    extras: dict[int, str] = {}
    replies: list[NewNotification] = []
    for row in rows:
        key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
        claim, extra = claims.get((key, row.attempt_no)), Extra.of(row.extra)
        if claim is None:
            continue
        before, after = extra.transition, as_of_then(claim, extra.transition)
        is_other_sentence = _sentence(before, claim.posted_build) != _sentence(after, claim.build)
        false = _false_claims(row, before, after, claim)
        is_posted = row.state in POSTED
        if (after == before and not is_other_sentence and not false) or (claim.counts_only and not is_posted):
            continue
        is_marked = is_posted and (bool(false) or (is_other_sentence and not claim.counts_only))
        is_taken_back = bool(false and row.ts)
        still_calls = row.user or newly_broken(claim.build, after)
        extras[row.id] = replace(
            extra,
            transition=after,
            corrected=cause if is_marked else extra.corrected,
            corrected_by=news if is_marked and cause else extra.corrected_by,
            undecided=extra.undecided or (row.state in UNSENT and not row.user),
            taken_back=extra.taken_back + int(is_taken_back),
            mention=extra.mention if still_calls else "",
        ).as_json()
        if is_taken_back:
            replies.append(_taken_back(row, after, claim.build, false[0], (cause, news), extra.taken_back + 1, now))
    return Corrections(extras=extras, replies=tuple(replies))


def _false_claims(row: NotificationRow, before: Transition, after: Transition, claim: Claim) -> tuple[str, ...]:
    """Return the verdicts that a notification gave and that are not true any more, the most telling one first."""
    false = _verdicts(row, before, claim.posted_build) - _verdicts(row, after, claim.build)
    return tuple(verdict for verdict in DENIALS if verdict in false)


def _verdicts(row: NotificationRow, transition: Transition, build: Build) -> frozenset[str]:
    """Return what a notification says of a build beside numbers: its result, and how it compares with the one before."""
    verdicts: set[str] = set()
    is_red = build.conclusion is not None and build.conclusion.is_red
    if is_red or build.conclusion is Conclusion.PASSED:
        verdicts.add("failed" if is_red else "passed")
    if transition.change not in {Change.FIRST, Change.NONE}:
        verdicts.add(transition.change.value)
    if row.reason == BROKE_IT and newly_broken(build, replace(transition, is_outdated=False)):
        verdicts.add(BROKE_IT)
    counted = transition.with_counts(build.issues)
    if counted.worse and transition.change in {Change.STILL_FAILING, Change.STILL_PASSING}:
        verdicts.add("worse")
    if counted.better and transition.change is Change.STILL_FAILING:
        verdicts.add("better")
    return frozenset(verdicts)


def _sentence(transition: Transition, build: Build) -> str:
    return sentence_of(transition.with_counts(build.issues), build)


def as_of_then(claim: Claim, then: Transition) -> Transition:
    """Return what is true now of an attempt, as seen from when it ended: builds that ended later are no news about it."""
    now = claim.transition
    is_outdated = then.is_outdated and now.is_outdated  # what was newer may turn out to be no result
    named = then.newer if then.newer in claim.newer else now.newer
    return replace(
        now,
        usual_seconds=then.usual_seconds if then.usual_seconds is not None else now.usual_seconds,
        is_outdated=is_outdated,
        newer=named if is_outdated else None,
        newer_conclusion=claim.newer.get(named) if is_outdated else None,
        is_newer_by_commit=(then if named == then.newer else now).is_newer_by_commit and is_outdated,
        is_surely_first=then.is_surely_first and now.change is Change.FIRST,
        target=now.target if now.change is not then.change else then.target,
        target_conclusion=now.target_conclusion if now.change is not then.change else then.target_conclusion,
        baseline=then.baseline if now.change is then.change is Change.FIRST else now.baseline,
    )


def _taken_back(
    row: NotificationRow,
    transition: Transition,
    build: Build,
    verdict: str,
    cause: tuple[str, News],
    turn: int,
    now: datetime,
) -> NewNotification:
    """Return the reply that takes a false claim back in the thread of its notification; each time it is another turn."""
    label, news = cause
    why = f" when {news.words(label)}" if label else ""
    text = f"Taken back{why}: {DENIALS[verdict]}. {_sentence(transition, build)}"
    return NewNotification(
        team=row.team,
        channel=row.channel,
        link=row.link,
        connection=row.connection,
        pipeline=row.pipeline,
        build=row.build,
        attempt_no=row.attempt_no,
        event=Event.CORRECTED,
        turn=turn,
        reason=TAKEN_BACK_REASON,
        thread=row.thread or row.ts,
        due_at=now,
        created_at=now,
        extra=Extra(text=text, lines=(f"↩ {text}",)).as_json(),
    )


Place = tuple[str, str, int]
"""Whom a notification of an attempt's end is for: workspace, channel or person, and link (0: none)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """An attempt whose notifications are judged anew: `recorded` as it would be recorded now, and those to be sent after all.

    `silent` are the stored notifications that stayed silent, by their place: they are sent in place of new ones.
    `still` are those of them that stay so, as they would be written now: for another reason.
    """

    recorded: Recorded
    rows: tuple[NewNotification, ...]
    silent: Mapping[Place, NotificationRow]
    still: tuple[NewNotification, ...] = ()


def renewed(
    item: Recorded,
    claims: Claims,
    rows: Sequence[NotificationRow],
    subjects: Mapping[BuildKey, tuple[Build, BuildRow]],
    *,
    cause: str,
    now: datetime,
    sees: Sees,
) -> Iterator[Renewed]:
    """Yield the attempts of which somebody is to be notified who was not, for what was said of them was false.

    Only what was left out for that counts, and nobody is notified twice, nor of a fix of what ended red only now, before
    it. `rows` are all that was decided about the ends
    in `claims`, `subjects` their builds as stored.
    """
    for (key, attempt_no), claim in claims.items():
        mine = [
            row for row in rows if (row.connection, row.pipeline, row.build) == (key.connection, key.pipeline, key.id)
        ]
        mine = [row for row in mine if row.attempt_no == attempt_no]
        if not mine or key not in subjects:
            continue
        then = Extra.of(mine[0].extra).transition
        true = as_of_then(claim, then)
        if true == then and claim.build == claim.posted_build:
            continue
        recorded = _recorded_again(item, claim, subjects[key])
        wrong = replace(
            recorded,
            build=replace(recorded.build, conclusion=claim.posted_build.conclusion, issues=claim.posted_build.issues),
        )
        before = {place_of(row): row for row in Case.again(wrong, then, now).rows(sees)}
        notified = {(row.team, row.channel) for row in mine if row.state != NotificationState.SILENT}
        if any(row.reason == BROKE_IT or row.channel == AUTHOR for row in mine):
            notified |= {(row.team, AUTHOR) for row in mine}
        stored = {place_of(row): row for row in mine}
        eventful = _told_without_the_fix(item, recorded, true, now, sees)
        fresh: list[NewNotification] = []
        still: list[NewNotification] = []
        for row in Case.again(recorded, true, now).rows(sees):
            was, kept = before.get(place_of(row)), stored.get(place_of(row))
            if was is not None and was.state != NotificationState.SILENT:
                continue  # it was not left out for what was false
            if kept is not None and kept.link and (was is None or kept.reason != was.reason):
                continue
            if row.state == NotificationState.SILENT or (row.team, row.channel) in notified:
                still += [row] if kept is not None and row.state == kept.state else []
                continue
            if eventful is not None and place_of(row) not in eventful:
                continue
            notified.add((row.team, row.channel))
            extra = replace(Extra.of(row.extra), corrected=cause, corrected_by=news_of(item))
            fresh.append(replace(row, extra=extra.as_json()))
        silent = {place: row for place, row in stored.items() if row.state == NotificationState.SILENT}
        yield Renewed(recorded=recorded, rows=tuple(fresh), silent=silent, still=tuple(still))


def _told_without_the_fix(
    item: Recorded, recorded: Recorded, true: Transition, now: datetime, sees: Sees
) -> frozenset[Place] | None:
    """Return who would hear of an attempt if it had not fixed what has ended, red, just now; None where it did not.

    That fix is no news: nobody was told of the failure while it lasted, and it is over already.
    """
    if true.change is not Change.FIXED or news_of(item) is not News.END:
        return None
    rows = Case.again(recorded, replace(true, change=Change.STILL_PASSING), now).rows(sees)
    return frozenset(place_of(row) for row in rows if row.state != NotificationState.SILENT)


def place_of(row: NewNotification) -> Place:
    """Return whom a notification of an attempt's end is for."""
    return row.team, row.channel, row.link


def _recorded_again(item: Recorded, claim: Claim, subject: tuple[Build, BuildRow]) -> Recorded:
    """Return an attempt as it would be recorded if it ended now. Whoever watched it alone has been notified of its end."""
    build, row = subject
    attempt = claim.attempt
    build = replace(
        build,
        status=Status.COMPLETED,
        conclusion=claim.build.conclusion,
        issues=unpack_counts(attempt.counts),
        completed_at=attempt.completed_at,
        waiting=False,
    )
    return Recorded(
        build=build,
        row=row,
        before=None,
        first_seen=False,
        attempt_no=attempt.attempt_no,
        finished=attempt,
        reopened=False,
        blocked=False,
        links=item.links,
        watches=tuple(watch for watch in item.watches if not watch.build),
        mutes=item.mutes,
    )
