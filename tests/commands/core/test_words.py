"""How long a build has stood as it does, as menus say it."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core.models import Build, Conclusion, Status
from commands.core.words import standing
from tests.commands.fakes import NOW

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ENDED = {"status": Status.COMPLETED, "conclusion": Conclusion.PASSED}


def build(**fields: Any) -> Build:
    return Build(connection="ci", pipeline="p", id="b", created_at=NOW - 9 * HOUR, **fields)


@pytest.mark.parametrize(
    ("fields", "since", "words"),
    [
        (ENDED | {"started_at": NOW - 3 * HOUR, "completed_at": NOW - 2 * HOUR}, None, "ended 2 h ago"),
        (ENDED | {"started_at": NOW - 3 * HOUR}, None, ""),
        ({"status": Status.IN_PROGRESS, "started_at": NOW - timedelta(seconds=40)}, None, "running 40 s"),
        ({"status": Status.IN_PROGRESS}, None, "running"),
        ({"status": Status.QUEUED}, None, "queued 9 h"),
        ({"status": Status.IN_PROGRESS, "started_at": NOW - HOUR, "waiting": True}, 3 * MINUTE, "waiting 3 m"),
        ({"status": Status.IN_PROGRESS, "started_at": NOW - HOUR, "waiting": True}, None, "waiting for approval"),
        (ENDED | {"completed_at": NOW - HOUR, "waiting": True}, None, "ended 1 h ago"),
    ],
)
def test_the_words_say_what_the_time_counts(fields: dict[str, Any], since: timedelta | None, words: str) -> None:
    waiting_since = NOW - since if since else None
    assert standing(build(**fields), NOW, waiting_since=waiting_since) == words


def test_a_step_that_waits_counts_from_the_beginning_of_its_wait_whatever_its_build_does() -> None:
    running = build(status=Status.IN_PROGRESS, started_at=NOW - HOUR)
    assert standing(running, NOW, waiting_since=NOW - MINUTE, waits=True) == "waiting 1 m"
