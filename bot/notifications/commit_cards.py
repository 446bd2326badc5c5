"""One card for the builds of one commit, from all systems that a channel groups. Pure.

The card is one notification whose key holds the commit: whichever process sees the first end writes it, once. Each later
change of a build of the commit only has the card drawn anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.models import Build, BuildKey
from bot.core.text import repository_key
from bot.notifications.filters import filter_of
from bot.notifications.notification import Event
from bot.store import Recorded
from bot.store.recorded import card_key
from bot.store.rows import CommitRow, NewCommitRow, NewNotification
from bot.store.states import NotificationState

IN_CHANNEL = (NotificationState.PENDING, NotificationState.HELD)
PREFIX = "commit:"
PATIENCE = timedelta(seconds=5)
"""How long the card waits for issue counts; those that come later are edited in."""
PUSHES_APART = timedelta(days=1)
"""Builds of a pull request that began further apart are not of one push, unless their commits say so."""
ON_COMMITS_CARD = "it is a row on the card of its commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitCard:
    """The card of a commit in a channel. `is_over` says that a build has just ended: the card is drawn at once."""

    team: str
    channel: str
    key: BuildKey
    is_over: bool


def card_of(build: Build) -> str:
    """Return the card of a build's own commit; an empty text where no commit is known."""
    commit = build.head_commit or build.commit
    return f"{PREFIX}{commit.lower()}" if commit else ""


def commit_of(card: str) -> str:
    """Return the commit that a card is named after."""
    return card.removeprefix(PREFIX)


def pull_of(build: Build) -> str:
    """Return the pull request that a build is of, by repository and number; an empty text for other builds."""
    return f"{repository_key(build.repo)}#{build.pull_request}" if build.repo and build.pull_request else ""


def is_grouped(item: Recorded) -> bool:
    """Return whether some channel shows the build on the card of its commit."""
    return bool(card_of(item.build)) and any(link.subscribed and filter_of(link).is_by_commit for link in item.links)


def placed(builds: Iterable[Build], placed_rows: Sequence[CommitRow], now: datetime) -> list[NewCommitRow]:
    """Return on which cards builds are rows, those that stand on one among `placed_rows` as they are.

    Builds of one commit share a card. A pull request's build whose system built a merge and does not report the pull
    request's own commit goes to the card of the same pull request that was begun nearest to it in time, unless a build
    of its own pipeline stands there with another commit: that card is an earlier push's. A build whose system does
    report the commit joins a card where only such builds stand by the same rule.
    """
    rows: list[NewCommitRow] = [*placed_rows]
    made: list[NewCommitRow] = []
    for build in sorted(builds, key=lambda build: build.created_at or now):
        key = (build.connection, build.pipeline, build.id)
        standing = next((row for row in rows if (row.connection, row.pipeline, row.build) == key), None)
        row = standing or _row(build, rows, now)
        made.append(row)
        if standing is None:
            rows.append(row)
    return made


def _row(build: Build, rows: Sequence[NewCommitRow], now: datetime) -> NewCommitRow:
    new = NewCommitRow(
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        card=card_of(build),
        pull=pull_of(build),
        commit_sha=(build.commit or "").lower(),
        head_sha=(build.head_commit or "").lower(),
        built_at=build.created_at or now,
    )
    if not new.pull or any(row.card == new.card for row in rows):
        return new
    cards: dict[str, list[NewCommitRow]] = {}
    for row in rows:
        cards.setdefault(row.card, []).append(row)
    candidates = {card: mine for card, mine in cards.items() if any(row.pull == new.pull for row in mine)}
    for card, mine in candidates.items():
        if {new.commit_sha, new.head_sha} & {sha for row in mine for sha in (row.commit_sha, row.head_sha) if sha}:
            return replace(new, card=card)
    near = [
        (min(abs(row.built_at - new.built_at) for row in mine), card)
        for card, mine in candidates.items()
        if not _is_of_another_push(new, mine)
    ]
    apart, card = min(near, default=(PUSHES_APART, ""))
    return replace(new, card=card) if apart < PUSHES_APART else new


def _is_of_another_push(new: NewCommitRow, mine: Sequence[NewCommitRow]) -> bool:
    is_named = bool(new.head_sha) and any(row.head_sha for row in mine)
    own = (new.connection, new.pipeline)
    return is_named or any((row.connection, row.pipeline) == own and row.commit_sha != new.commit_sha for row in mine)


def touched(recorded: Iterable[Recorded], cards: Mapping[BuildKey, str]) -> list[CommitCard]:
    """Return the cards of commits that some changes concern; `cards` says on which one a build is a row."""
    changed: dict[tuple[str, str, str], CommitCard] = {}
    for item in recorded:
        card = cards.get(item.build.key, "")
        for link in item.links if card else ():
            if link.subscribed and filter_of(link).is_by_commit:
                before = changed.get((link.team, link.channel, card))
                is_over = item.build.completed or (before is not None and before.is_over)
                changed[link.team, link.channel, card] = CommitCard(
                    team=link.team, channel=link.channel, key=card_key(card), is_over=is_over
                )
    return list(changed.values())


def grouped(
    recorded: Sequence[Recorded], rows: Sequence[NewNotification], cards: Mapping[BuildKey, str]
) -> list[NewNotification]:
    """Return notifications with those of grouped links silent, and one of their commit instead.

    What somebody asked for (it has a `user`) is posted as it is.
    """
    builds = {item.build.key: item for item in recorded}
    made: dict[tuple[str, str, str], NewNotification] = {}
    result: list[NewNotification] = []
    for row in rows:
        item = builds.get(BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build))
        link = next((link for link in item.links if link.id == row.link), None) if item is not None else None
        shown_on = cards.get(item.build.key, "") if item is not None else ""
        has_row = link is not None and filter_of(link).is_by_commit and row.event == Event.FINISHED
        if not shown_on or not has_row or row.state not in IN_CHANNEL or row.user:
            result.append(row)
            continue
        card = replace(
            row,
            link=0,
            connection="",
            pipeline="",
            build=shown_on,
            attempt_no=1,
            event=Event.COMMIT,
            number=None,
            due_at=min(row.due_at, row.created_at + PATIENCE),
        )
        made.setdefault((row.team, row.channel, shown_on), card)
        result.append(replace(row, state=NotificationState.SILENT, reason=ON_COMMITS_CARD))
    return [*result, *made.values()]
