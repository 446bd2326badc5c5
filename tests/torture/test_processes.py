"""Real processes: the short form of the torture, stops that finish what was begun, work that moves on."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.monitoring import details, poller
from bot.notifications import outbox
from bot.slack import inbox
from tests.torture.__main__ import shown
from tests.torture.load import Deed
from tests.torture.processes import until
from tests.torture.torture import Arena, Plan, arena, torture

MOST_SECONDS = 30.0


async def test_nothing_is_lost_or_done_twice_through_kills_and_faults(tmp_path: Path) -> None:
    plan = Plan(
        seed="check",
        builds=12,
        kills=3,
        database_url=f"sqlite:///{tmp_path}/bot.db",
        pipelines=("demo-buildkite:web", "demo-gitlab:acme/backend"),
        speed=20.0,
    )
    report = await torture(plan, tmp_path)
    assert report.kills == 3
    assert report.builds >= 12
    assert report.is_clean, shown(report)


@pytest.fixture
async def calm(tmp_path: Path) -> AsyncGenerator[Arena]:
    """Return a bot in one process, with a linked pipeline, among wires that do not fail."""
    plan = Plan(seed="calm", builds=0, kills=0, database_url=f"sqlite:///{tmp_path}/bot.db")
    async with arena(plan, tmp_path) as made:
        made.faults.on = False
        for process in made.processes:
            process.start()
        await made.link_one("demo-buildkite:web", "web")
        yield made


async def test_a_stop_finishes_the_command_that_was_acknowledged(calm: Arena) -> None:
    calm.server.hold = lambda method, path: method == "POST" and path.startswith("/ci/buildkite/")
    request = await calm.load.request(Deed.RUN, "zz1zz", "web", "run demo-buildkite:web@main MARK=zz1zz")
    assert not request.is_refused
    await until(lambda: bool(calm.server.held))
    (process,) = calm.processes
    process.terminate()
    calm.server.let_go.set()
    assert await process.stop() == 0
    assert [build.env["MARK"] for build in calm.load.builds] == ["zz1zz"]
    process.start()
    await until(lambda: any("started #" in text for text in calm.shown("web")))
    assert len([text for text in calm.shown("web") if "started #" in text]) == 1
    assert not [text for text in calm.shown("web") if "may have started" in text]


async def test_what_a_killed_process_was_doing_is_explained_and_not_done_twice(calm: Arena) -> None:
    calm.server.hold = lambda method, path: method == "POST" and path.startswith("/ci/buildkite/")
    await calm.load.request(Deed.RUN, "zz1zz", "web", "run demo-buildkite:web@main MARK=zz1zz")
    await until(lambda: bool(calm.server.held))
    (process,) = calm.processes
    process.kill()
    calm.server.let_go.set()
    await until(lambda: any("may have started" in text for text in calm.shown("web")))
    assert len(calm.load.builds) == 1


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ("notifications and cards", outbox.LEASE_SECONDS),
        ("poll targets", poller.LEASE_SECONDS),
        ("deliveries of Slack", inbox.LEASE.total_seconds()),
        ("details", details.LEASE_SECONDS),
    ],
)
def test_the_work_of_a_killed_worker_moves_on_within_half_a_minute(what: str, seconds: float) -> None:
    assert seconds <= MOST_SECONDS, what
    assert outbox.EDIT_SECONDS < outbox.LEASE_SECONDS
    assert details.DETAILS_SECONDS + details.HISTORY_SECONDS < details.LEASE_SECONDS
