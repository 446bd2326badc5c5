"""The panel's clock is everybody's: the CI systems', Slack's and the bot's."""

from pathlib import Path

from tests.e2e.stage import staged

HOUR = 3600


async def test_an_hour_ahead_ends_a_mute_of_an_hour_and_messages_carry_the_new_time(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.says("link demo-buildkite:web", "web")
        await stage.sees("linked", "web")
        await stage.says("mute web --for 1h", "web")
        await stage.until(lambda: len(stage.shown("web")) > 1, "the answer to mute")
        before = stage.world.now
        await stage.ci("advance", seconds=HOUR + 60)
        pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="fail")
        await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="fail")
        number = f"#{pushed['number']}"
        await stage.until(
            lambda: [post for post in stage.posts(number, "web") if "failed" in post.casefold()], "the failure"
        )
        messages = list(stage.playground.workspace.messages[stage.channels["web"]].values())
        assert float(messages[-1].ts) >= before + HOUR + 60
        assert float(messages[-1].ts) <= stage.world.now
