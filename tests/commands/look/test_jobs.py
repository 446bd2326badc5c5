"""`jobs` shows every job with what a person asks of it, and each row opens its own log."""

from dataclasses import replace
from datetime import timedelta

from bot.core.models import Conclusion, IssueCounts, Job, Log, Pipeline, Status
from bot.providers.base.capabilities import Capability
from tests.commands.fakes import NOW, FakeProvider
from tests.commands.reading import Linked, Say, buttons, first, said

MADE = NOW - timedelta(minutes=30)
LINT = Job(
    id="j1",
    build="b41",
    pipeline="p-app",
    name="Lint",
    key="lint",
    stage="checks",
    status=Status.COMPLETED,
    conclusion=Conclusion.FAILED,
    tolerated=True,
    reason="exit status 3",
    runner="agent-7",
    issues=IssueCounts(errors=2, warnings=1),
    created_at=MADE,
    runnable_at=MADE + timedelta(seconds=10),
    started_at=MADE + timedelta(seconds=52),
    completed_at=MADE + timedelta(seconds=172),
    web_url="https://ci.example/jobs/j1",
)
TESTS = replace(LINT, id="j2", name="Tests", key=None, variant="2 of 4", tolerated=False, conclusion=Conclusion.PASSED)
GATE = Job(id="j3", build="b41", pipeline="p-app", name="Ship?", status=Status.QUEUED, raw_state="blocked")
OLD = replace(TESTS, id="old1", conclusion=Conclusion.FAILED, retried=True, replaced_by="j2")


async def test_each_job_is_a_row_with_its_state_time_wait_agent_and_counts(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 41)
    works.known_jobs["b41"] = (LINT, TESTS, GATE)
    answer = await say("jobs #41")
    assert first(answer) == "Jobs of App #41: 1 failed, 1 passed, 1 waiting for approval"
    shown = said(answer)
    assert (
        "✕ *Failed*  <https://ci.example/jobs/j1|Lint>  ·  checks  ·  key lint  ·  2 m 00 s  ·  waited 42 s  ·  on agent-7  ·  "
        "2 errors, 1 warning  ·  exit status 3  ·  allowed to fail" in shown
    )
    assert "|Tests> (2 of 4)" in shown
    assert "⏸ *Waiting for approval*  Ship?" in shown


async def test_each_row_opens_its_own_log(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.build_of(app, 41)
    works.known_jobs["b41"] = (LINT,)
    works.logs["j1"] = Log(text="error: unused import\n")
    command = buttons(await say("jobs #41"))["Log"]
    assert command == "logs works:p-app#41 --job j1"
    assert "unused import" in said(await say(command))


async def test_a_job_that_a_retry_replaced_is_listed_on_request_and_its_log_read_by_its_id(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 41)
    works.known_jobs["b41"] = (TESTS,)
    works.earlier_jobs["b41"] = (OLD,)
    works.logs |= {"j2": Log(text="all well\n"), "old1": Log(text="error: the first attempt\n")}
    assert "old1" not in said(await say("jobs #41"))
    listed = await say("jobs #41 --all-attempts")
    assert first(listed) == "Jobs of App #41: 1 passed, 1 run again since"
    assert "run again since" in said(listed)
    assert "the first attempt" in said(await say("logs #41 old1"))
    assert "all well" in said(await say("logs #41 Tests"))


async def test_jobs_are_paged_and_narrowed_by_name(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 41)
    works.known_jobs["b41"] = tuple(replace(TESTS, id=f"j{index}", name=f"Part {index}") for index in range(95))
    answer = await say("jobs #41")
    assert "1 to 40 of 95" in said(answer)
    second = await say(buttons(answer)["40 more"])
    assert "41 to 80 of 95" in said(second)
    last = await say(buttons(second)["15 more"])
    assert "81 to 95 of 95" in said(last)
    assert "Part 94" in said(last)
    narrowed = await say('jobs #41 "Part 17"')
    assert first(narrowed) == "Jobs of App #41: 1 passed"


async def test_a_system_without_jobs_says_so(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.build_of(app, 41)
    works.capabilities -= {Capability.JOBS}
    assert "can't list a build's jobs" in said(await say("jobs #41"))
