"""Lists say when builds ended, also where the CI system's own listing leaves it out; counts agree in number."""

from dataclasses import replace

import pytest

from bot.blocks.lines import details_line
from bot.core.models import Build, BuildKey, Conclusion, IssueCounts, Pipeline
from commands.look.changes import _deltas
from tests.commands.fakes import FakeProvider
from tests.commands.reading import Linked, Say, said


async def test_last_reads_what_a_short_listing_leaves_out(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked()
    whole = works.build_of(app, 5, conclusion=Conclusion.PASSED, message="Read it once")
    works.put(replace(whole, message=None, completed_at=None, started_at=None))

    async def read(key: BuildKey) -> Build | None:
        return whole if key == whole.key else None

    monkeypatch.setattr(works, "build_or_none", read)
    shown = said(await say("last app"))
    assert "Read it once" in shown
    assert "<!date^" in shown


def test_one_error_is_no_errors() -> None:
    before, after = IssueCounts(errors=0, warnings=3), IssueCounts(errors=1, warnings=2)
    assert _deltas(before, after) == ["• 1 error (+1)", "• 2 warnings (-1)"]


async def test_show_says_what_notifications_leave_out(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    details = {"coverage": "81 %", "creator's address": "ana@example.com", "build id": "0198aa"}
    build = works.build_of(app, 5, details=details)
    shown = said(await say("show app#5 --all"))
    for part in ("81 %", "ana@example.com", "0198aa"):
        assert part in shown
    assert details_line(build) == "coverage: 81 %"
