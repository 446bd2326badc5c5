"""A day of three systems in two channels, over HTTP: what each channel reads, message by message, and nothing more.

The expected lists are what a careful person would have posted who saw each build end.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from playground.ci.model import Build, Outcome, Source
from tests.e2e.channel import other_member, posted
from tests.e2e.stage import Stage

MINUTE = 60
REQUESTS = 4
"""So many requests to a system hold one whole poll and what is read of the builds that it found."""
WEB, DEPLOY = ("buildkite", "web"), ("buildkite", "deploy")
BACKEND, SHOP = ("gitlab", "acme/backend"), ("github_actions", "acme/storefront/ci.yml")
TOPIC = "feature/checkout"
PAGE = re.compile(r" \(http[^)]*\)")
IN_WEB = [
    "✓ FIXED  web #13 | Back to green",
    "✕ FAILED  web #14 | Newly broken",
    "✓ PASSED  web #14 | Passed on a rerun of the same commit",
    "✓ PASSED  web #15 | Still green",
    "⊘ CANCELLED  web #16 | Cancelled",
    "✓ PASSED  web #17 | Still green",
    "▶ started by @ana → ✓ Passed #18, see below",
    "✓ PASSED  web #18 | Still green  ·  @ana",
    "▶ started by @ana → ✓ Passed #13, see below",
    "✓ PASSED  deploy #13  ·  main  ·  Approved by @ana",
    "✓ PASSED  deploy #13 | Still green  ·  @ana",
    "▶ started by @ana → ⊘ Cancelled #19, see below",
    "⊘ CANCELLED  web #19 | Cancelled by @ana",
    "✕ FAILED  web #24 | Newly broken",
    "✕ FAILED  web #25 | Still failing — 2nd in a row, since #24",
    "✓ FIXED  web #26 | Back to green",
]
IN_BACKEND = [
    "✓ FIXED  backend #13 | Back to green",
    "✓ FIXED  shop #13 | Back to green",
    "✕ FAILED  backend #16 | Newly broken",
    "✓ FIXED  backend #19 | Back to green",
    "✕ FAILED  shop #19 | Newly broken",
    "FIXED  shop #20 | Back to green",
]
IN_THREADS = [
    "✕ FAILED  backend #17 | Still failing — 2nd in a row",
    "✕ FAILED  backend #18 | Still failing — 3rd in a row",
]


class Day:
    """A day at the CI systems: each act waits until the bot has read what came of it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def push(self, pipeline: tuple[str, str], outcome: str = "pass", branch: str = "main") -> Build:
        """Push a commit a minute later."""
        system, path = pipeline
        await self.stage.ci("advance", seconds=MINUTE)
        pushed = await self.stage.ci("push", system=system, pipeline=path, branch=branch, outcome=outcome)
        build = self.stage.world.build(system, str(pushed["id"]))
        assert build is not None
        return build

    async def end(self, build: Build, outcome: str | None = None, *, ahead: float = 2 * MINUTE) -> None:
        """Let a build end."""
        await self.stage.ci("advance", seconds=ahead)
        if not build.finished:
            self.stage.world.finish(build, Outcome(outcome) if outcome else None)
        await self.read(build.pipeline.system)

    async def ended(self, pipeline: tuple[str, str], outcome: str = "pass", branch: str = "main") -> Build:
        build = await self.push(pipeline, outcome, branch)
        await self.end(build)
        return build

    async def read(self, system: str) -> None:
        """Wait until a system was polled once more, from beginning to end."""
        polled = self.stage.world.systems[system]
        enough = polled.requests + REQUESTS
        await self.stage.until(lambda: polled.requests >= enough, "another poll")


def shown(stage: Stage, channel: str, start: int, *, in_thread: bool = False) -> list[str]:
    """Return the first two lines of a channel's messages as the lists above have them."""
    short = []
    for message in posted(stage, channel, in_thread=in_thread)[start:]:
        head = [PAGE.sub("", line).replace(f"@{stage.me}", "@ana") for line in message.splitlines()[:2]]
        short.append(" | ".join(part for part in head if not part.startswith("[")))
    return short


def is_told(expected: list[str], messages: Callable[[], list[str]]) -> bool:
    """Return whether messages are the expected ones, in their order: each holds the parts of its line."""
    texts = messages()
    if len(expected) != len(texts):
        return False
    return all(all(part in text for part in line.split(" | ")) for line, text in zip(expected, texts, strict=True))


async def links(stage: Stage) -> None:
    """Link four pipelines of three systems to two channels."""
    for words, channel in (
        ("link demo-buildkite:web as web --default", "web"),
        ("link demo-buildkite:deploy as deploy", "web"),
        ("link demo-gitlab:acme/backend as backend --default", "backend"),
        ("link demo-github:acme/storefront/ci.yml as shop", "backend"),
    ):
        await stage.says(words, channel)
        await stage.sees(f"Here it is called {words.split()[3]}", channel)
    await stage.says("subscribe backend edges", "backend")
    await stage.sees("set the notifications", "backend")


async def morning(day: Day) -> None:
    """Play what nobody does from Slack: a flaky test, ends out of order, red branches, pull requests."""
    world = day.stage.world
    for pipeline in (WEB, BACKEND, SHOP):
        await day.ended(pipeline)
    # Its failed jobs pass when they run again, and then somebody builds the commit anew.
    flaky = await day.ended(WEB, "test_failure")
    world.retry(flaky, [job for job in flaky.current if job.state.bad])
    world.decide_outcome(flaky, Outcome.PASS)
    await day.end(flaky)
    rebuilt = world.start(
        flaky.pipeline,
        commit=flaky.commit,
        source=Source.API,
        branch="main",
        outcome=Outcome.PASS,
        rebuilt_from=flaky,
    )
    await day.end(rebuilt)
    # An older commit ends after a newer one: no news of the branch.
    world.set_speed(0)
    older, newer = await day.push(BACKEND, "fail"), await day.push(BACKEND)
    await day.end(newer, "pass")
    await day.end(older, "fail")
    world.set_speed(1)
    for outcome in ("fail", "fail", "fail", "pass"):
        await day.ended(BACKEND, outcome)
    for branch in ("topic/one", TOPIC, TOPIC, "topic/two", "topic/one"):
        await day.ended(SHOP, "fail", branch)
    for outcome in ("fail", "pass"):
        await day.ended(SHOP, outcome)
    doomed = await day.push(WEB)
    world.cancel(doomed)
    await day.end(doomed)
    await day.ended(WEB)


async def afternoon(day: Day, colleague: str) -> None:
    """Play what people do: builds started, approved, cancelled and watched from Slack, while others go on."""
    stage, world = day.stage, day.stage.world
    await stage.sees("PASSED  web #17", "web")
    await stage.says("run web@main", "web")
    await stage.sees("started #18", "web")
    await day.end(world.builds[-1], "pass")
    await stage.sees("PASSED  web #18", "web")
    await stage.says("run deploy@main", "web")
    await stage.sees("started #13", "web")
    await stage.ci("advance", seconds=MINUTE)
    await stage.sees("WAITING FOR APPROVAL", "web")
    await stage.press("Approve", "WAITING FOR APPROVAL", "web")
    await day.read("buildkite")
    await day.end(world.builds[-1])
    await stage.sees("PASSED  deploy #13", "web")
    await stage.says("run web@main", "web")
    await stage.sees("started #19", "web")
    await stage.press("Cancel", "started #19", "web")
    await day.read("buildkite")
    await stage.ci("advance", seconds=MINUTE)
    await stage.sees("Cancelled by", "web")
    watched = await day.push(WEB, "fail", TOPIC)
    await stage.says(f"watch web#{watched.number}", "web", user=colleague)
    await stage.until(lambda: [text for text in stage.shown("web") if "direct message" in text], "the watch")
    await day.end(watched)
    for outcome in ("fail", "test_failure", "pass"):
        await day.ended(WEB, outcome, TOPIC)
    for outcome in ("fail", "fail", "pass"):
        await day.ended(WEB, outcome)


async def test_a_noisy_day_is_told_as_a_careful_person_would_tell_it(prompt: Stage) -> None:
    await links(prompt)
    web, backend = len(posted(prompt)), len(posted(prompt, "backend"))
    total = len(prompt.world.builds)
    day, colleague = Day(prompt), other_member(prompt)
    await morning(day)
    await afternoon(day, colleague)
    assert len(prompt.world.builds) - total == 30
    await prompt.ci("advance", seconds=MINUTE)
    for channel, start, expected in (("web", web, IN_WEB), ("backend", backend, IN_BACKEND)):
        messages = partial(shown, prompt, channel, start)
        try:
            await prompt.until(partial(is_told, expected, messages), "the day's messages")
        except AssertionError:
            assert messages() == expected
    assert is_told(IN_THREADS, partial(shown, prompt, "backend", 0, in_thread=True))
    assert posted(prompt, in_thread=True) == []
    direct: dict[str, list[Any]] = {
        user: [m for m in prompt.playground.workspace.messages.get(f"D{user[1:]}", {}).values() if "#20" in m.text]
        for user in (prompt.me, colleague)
    }
    assert {user: len(told) for user, told in direct.items()} == {prompt.me: 0, colleague: 1}
