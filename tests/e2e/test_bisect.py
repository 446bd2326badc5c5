"""A search for the commit that broke a pipeline, over HTTP: the builds at the CI system, the one card in the channel."""

from typing import Any

from tests.e2e.stage import Stage


async def commit(stage: Stage, *, outcome: str = "", breaks: bool = False) -> dict[str, Any]:
    """Push a commit; let its build end, or cancel it as a system that skips intermediate builds does."""
    pushed = await stage.ci(
        "push", system="buildkite", pipeline="web", branch="main", breaks=breaks, outcome=outcome or "pass"
    )
    if outcome:
        await stage.ci("finish", system="buildkite", build=pushed["id"], outcome=outcome)
    else:
        build = next(build for build in stage.world.builds if str(pushed["id"]) in {build.uid, str(build.id)})
        stage.world.cancel(build)
        await stage.ci("advance", seconds=5)
    return pushed


async def test_the_commit_that_broke_a_branch_is_found_and_named_on_one_card(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    good = await commit(stage, outcome="pass")
    for number in range(5):
        await commit(stage, breaks=number == 2)
    bad = await commit(stage, outcome="test_failure")
    await stage.sees(f"#{bad['number']}", "web")
    before = len(stage.posts("Posted because", "web"))
    await stage.says(f"bisect web --good #{good['number']} --bad #{bad['number']}", "web")
    await stage.sees("Search for the commit that broke Web?", "web")
    await stage.press("Start the search", "Search for the commit", "web")
    seen: set[str] = set()
    for _build in range(3):
        running = await stage.until(
            lambda: next(
                (
                    build
                    for build in reversed(stage.world.builds)
                    if build.pipeline.path == "web"
                    and build.source == "api"
                    and not build.finished
                    and build.uid not in seen
                ),
                None,
            ),
            "the next build",
        )
        seen.add(running.uid)
        stage.world.finish(running)
        if stage.posts("First bad commit", "web"):
            break
    card = await stage.sees("First bad commit", "web")
    assert len(stage.posts("Bisect Web between", "web")) == 1
    broken = next(iter(next(p for p in stage.world.pipelines if p.path == "web").repo.breaking))
    assert broken[:7] in card.split("First bad commit", 1)[1].splitlines()[0]
    assert len(stage.posts("Posted because", "web")) == before
