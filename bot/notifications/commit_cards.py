"""One card for the builds of one commit, from all systems that a channel groups. Pure.

The card is one notification whose key holds the commit: whichever process sees the first end writes it, once. Each later
change of a build of the commit only has the card drawn anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.core.models import Build, BuildKey
from bot.notifications.filters import filter_of
from bot.notifications.notification import Event
from bot.store import Recorded
from bot.store.rows import NewNotification
from bot.store.states import NotificationState

IN_CHANNEL = (NotificationState.PENDING, NotificationState.HELD)
PREFIX = "commit:"
PATIENCE = timedelta(seconds=5)
"""How long the card waits for issue counts; those that come later are edited in."""
ON_COMMITS_CARD = "it is a row on the card of its commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitCard:
    """The card of a commit in a channel. `is_over` says that a build has just ended: the card is drawn at once."""

    team: str
    channel: str
    key: BuildKey
    is_over: bool


def key_of(build: Build) -> BuildKey | None:
    """Return what the notification of a build's commit has for its build; None where no commit is known."""
    return BuildKey(connection="", pipeline="", id=f"{PREFIX}{build.commit.lower()}") if build.commit else None


def commit_of(build_id: str) -> str:
    """Return the commit of a key that `key_of` made."""
    return build_id.removeprefix(PREFIX)


def touched(recorded: Iterable[Recorded]) -> list[CommitCard]:
    """Return the cards of commits that some changes concern."""
    cards: dict[tuple[str, str, BuildKey], CommitCard] = {}
    for item in recorded:
        key = key_of(item.build)
        for link in item.links if key is not None else ():
            if key is not None and link.subscribed and filter_of(link).is_by_commit:
                before = cards.get((link.team, link.channel, key))
                is_over = item.build.completed or (before is not None and before.is_over)
                card = CommitCard(team=link.team, channel=link.channel, key=key, is_over=is_over)
                cards[link.team, link.channel, key] = card
    return list(cards.values())


def grouped(recorded: Sequence[Recorded], rows: Sequence[NewNotification]) -> list[NewNotification]:
    """Return notifications with those of grouped links silent, and one of their commit instead.

    What somebody asked for (it has a `user`) is posted as it is.
    """
    builds = {item.build.key: item for item in recorded}
    made: dict[tuple[str, str, str], NewNotification] = {}
    result: list[NewNotification] = []
    for row in rows:
        item = builds.get(BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build))
        link = next((link for link in item.links if link.id == row.link), None) if item is not None else None
        key = key_of(item.build) if item is not None else None
        is_grouped = link is not None and filter_of(link).is_by_commit and row.event == Event.FINISHED
        if key is None or not is_grouped or row.state not in IN_CHANNEL or row.user:
            result.append(row)
            continue
        card = replace(
            row,
            link=0,
            connection="",
            pipeline="",
            build=key.id,
            attempt_no=1,
            event=Event.COMMIT,
            number=None,
            due_at=min(row.due_at, row.created_at + PATIENCE),
        )
        made.setdefault((row.team, row.channel, key.id), card)
        result.append(replace(row, state=NotificationState.SILENT, reason=ON_COMMITS_CARD))
    return [*result, *made.values()]
