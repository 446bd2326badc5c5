"""What asks for attention and what spares it, over HTTP: signals, escalation, quiet hours, storms, the noise report."""

import sqlite3
from contextlib import closing
from functools import partial
from zoneinfo import ZoneInfo

from tests.e2e.channel import ends, has_posts, linked, posted, push
from tests.e2e.stage import Stage

HOUR = 3600
CALL = "has been red for"


def is_held(stage: Stage, number: int) -> bool:
    """Return whether the end of a build is known and held back for the channel."""
    with closing(sqlite3.connect(stage.settings.database_url.removeprefix("sqlite:///"))) as db:
        query = "SELECT count(*) FROM notification WHERE number = ? AND state = 'held'"
        return bool(db.execute(query, (number,)).fetchone()[0])


async def test_a_build_that_waits_and_hangs_is_one_post_with_a_reply_and_one_line_at_its_end(prompt: Stage) -> None:
    before = await linked(prompt, "--on failed,slow,stuck,queued-long")
    for _build in range(6):
        await ends(prompt)
    await prompt.ci("speed", factor=0)
    pushed = await push(prompt)
    await prompt.ci("advance", seconds=HOUR)
    card = await prompt.sees("for a machine", "web")
    assert f"#{pushed['number']}" in card
    await prompt.ci("speed", factor=1)
    await prompt.ci("advance", seconds=6)
    await prompt.ci("speed", factor=0)
    await prompt.ci("advance", seconds=HOUR)
    await prompt.sees("Probably stuck", "web")
    await prompt.ci("speed", factor=1)
    await prompt.ci("finish", system="buildkite", build=pushed["id"], outcome="pass")
    await prompt.until(lambda: len(prompt.posts("→ ✓ Passed", "web")) == 2, "the end of both")
    assert "Has waited" in posted(prompt)[-1]
    assert len(posted(prompt)) == before + 1
    (reply,) = posted(prompt, in_thread=True)
    assert "Probably stuck" in reply


async def test_a_slow_build_is_said_once_and_a_usual_one_never(prompt: Stage) -> None:
    before = await linked(prompt, "--on slow")
    for _build in range(6):
        await ends(prompt)
    await prompt.ci("speed", factor=0.001)
    pushed = await push(prompt)
    await prompt.ci("speed", factor=1)
    await prompt.ci("advance", seconds=6)
    await prompt.ci("speed", factor=0)
    await prompt.ci("advance", seconds=90)
    await prompt.sees("Slow: it has run", "web")
    await prompt.ci("advance", seconds=90)
    await prompt.ci("speed", factor=1)
    await prompt.ci("finish", system="buildkite", build=pushed["id"], outcome="pass")
    await prompt.sees("→ ✓ Passed", "web")
    assert len(posted(prompt)) == before + 1


async def test_a_red_branch_is_escalated_once_to_its_author_or_to_whoever_claimed_it(prompt: Stage) -> None:
    before = await linked(prompt, "failures --escalate 30m")
    await ends(prompt, "fail")
    await prompt.until(partial(has_posts, prompt, before + 1), "the failure")
    await prompt.ci("advance", seconds=28 * 60)
    await ends(prompt, "fail")
    await prompt.until(lambda: len(posted(prompt, in_thread=True)) == 1, "the second failure")
    assert not prompt.posts(CALL, "web")
    await prompt.ci("advance", seconds=2 * 60)
    call = await prompt.sees(CALL, "web")
    assert "nobody is on it" in call
    await prompt.press("I'm on it", CALL, "web")
    await prompt.until(lambda: "is on it" in posted(prompt)[before], "the claim on the card")
    await prompt.until(lambda: "nobody" not in posted(prompt)[before + 1], "the claim on the call")
    assert "[I'm on it" not in posted(prompt)[before + 1]
    await prompt.ci("advance", seconds=31 * 60)
    await prompt.until(partial(has_posts, prompt, before + 3), "the question to whoever is on it")
    await prompt.ci("advance", seconds=2 * HOUR)
    await ends(prompt, "pass")
    await prompt.until(lambda: not prompt.posts(CALL, "web"), "the end of both calls")
    assert all("is back to green with #" in text for text in posted(prompt)[before + 1 :])
    assert len(posted(prompt)) == before + 3


async def test_quiet_hours_let_through_what_they_except_and_the_rest_is_one_summary(prompt: Stage) -> None:
    await linked(prompt, "all")
    now = prompt.world.clock.utc().astimezone(ZoneInfo(prompt.playground.workspace.users[prompt.me].tz))
    await prompt.says(f"quiet {now:%H}:00-{(now.hour + 6) % 24:02}:00 --except broken@main", "web")
    await prompt.sees("as one summary", "web")
    before = len(posted(prompt))
    await ends(prompt, "pass")
    await ends(prompt, "fail")
    await prompt.sees("Newly broken", "web")
    held = [await ends(prompt, outcome) for outcome in ("fail", "pass")]
    for build in held:
        await prompt.until(partial(is_held, prompt, build["number"]), "the end of a build")
    assert len(posted(prompt)) == before + 1
    await prompt.ci("advance", seconds=7 * HOUR)
    summary = await prompt.sees("while this was muted", "web")
    assert "3 builds" in summary
    assert all(f"#{build['number']} " in summary for build in held)
    assert len(posted(prompt)) == before + 2


async def test_many_ends_within_a_minute_are_one_message(prompt: Stage) -> None:
    before = await linked(prompt, "--on all --branch *")
    pushed = [await push(prompt, branch=f"topic/{number}") for number in range(8)]
    await prompt.ci("advance", seconds=6)
    for build in pushed:
        simulated = prompt.world.build("buildkite", build["id"])
        assert simulated is not None
        prompt.world.finish(simulated)
    summary = await prompt.sees("8 builds finished within a minute", "web")
    assert all(f"#{build['number']} " in summary for build in pushed)
    assert len(posted(prompt)) == before + 1


async def test_the_noise_report_says_what_only_changes_would_have_posted_and_its_button_sets_that(
    prompt: Stage,
) -> None:
    await linked(prompt, "all")
    # The history has seven builds, three of them changes.
    pushed = [await ends(prompt, outcome) for outcome in (*["pass"] * 22, "fail", "pass")]
    await prompt.until(
        lambda: all(any(f"#{build['number']} " in text for text in posted(prompt)) for build in pushed), "every end"
    )
    await prompt.says("stats --noise", "web")
    await prompt.sees("Only changes: would have posted 6 instead of 31", "web")
    await prompt.press("Only changes", "would have posted 6 instead of 31", "web")
    await prompt.sees("changes only (broken, fixed, waiting for approval, stuck) on main", "web")
    before = len(posted(prompt))
    await ends(prompt, "pass")
    await ends(prompt, "fail")
    await prompt.until(partial(has_posts, prompt, before + 1), "the failure")
    assert "Newly broken" in posted(prompt)[-1]
