"""A poll whose requests run out keeps what it has read: the next ones go on from there, on every system."""

from dataclasses import dataclass
from datetime import datetime

import pytest

from bot.core.errors import BudgetSpent
from bot.core.models import Build, BuildKey, Changes, StartRequest, Watched
from bot.http.budget import Purpose, current_purpose, spending
from bot.http.sending import RequestSender
from tests.playground.driven import Driven, driven

SYSTEMS = sorted(Driven("demo-azure").options)
GATED = {"acme/api-gateway"}
OPTIONS = {"demo-truto": {"workflow": "ci.yml"}}
BUILDS = 8
A_POLL = 6
POLLS = 40


@dataclass(slots=True)
class Allowance:
    """How many requests polls may still send."""

    left: int


@pytest.fixture
def allowance(monkeypatch: pytest.MonkeyPatch) -> Allowance:
    """Hold back requests of polls once the allowance is spent, as a budget does."""
    own = Allowance(left=1000)

    def refuse(self: RequestSender, _waited: datetime | None) -> None:
        if current_purpose() is Purpose.POLL:
            own.left -= 1
            if own.left < 0:
                raise BudgetSpent("Too few requests are left.", provider=self.provider, retry_after=30)

    monkeypatch.setattr(RequestSender, "refuse_while_limited", refuse)
    return own


async def poll(ground: Driven, cursor: str | None, watched: Watched) -> Changes:
    """Poll once."""
    with spending(Purpose.POLL):
        return await ground.provider.changes(cursor, watched)


@pytest.mark.parametrize("connection", SYSTEMS)
async def test_a_backlog_larger_than_the_budget_is_read_in_parts_in_the_order_of_ends(
    connection: str, allowance: Allowance
) -> None:
    async with driven(connection) as ground:
        pipelines = [pipeline async for pipeline in ground.provider.pipelines()]
        pipeline = next(each for each in pipelines if each.path not in GATED)
        watched = Watched(pipelines=frozenset({pipeline.id}))
        cursor = (await poll(ground, None, watched)).cursor
        started: list[Build] = []
        for _ in range(BUILDS):
            started.append(await ground.provider.start(pipeline.id, StartRequest(options=OPTIONS.get(connection, {}))))
            ground.wait(10)
        unfinished = {build.key for build in started}
        ground.wait(1200)
        ended: list[Build] = []
        for _ in range(POLLS):
            allowance.left = A_POLL
            tracked = Watched(pipelines=watched.pipelines, unfinished=frozenset(unfinished))
            changes = await poll(ground, cursor, tracked)
            cursor = changes.cursor
            new = [build for build in changes.builds if build.key in unfinished and build.completed]
            ended += sorted(new, key=lambda build: (build.completed_at is None, build.completed_at))
            unfinished -= {build.key for build in new}
            ground.wait(30)
            if not unfinished:
                break
        assert unfinished == set[BuildKey]()
        times = [build.completed_at for build in ended if build.completed_at is not None]
        assert times == sorted(times)
