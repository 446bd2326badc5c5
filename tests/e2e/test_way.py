"""From a typed word to a notification, over HTTP, on every system the playground plays."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.stage import Stage, staged


async def test_a_typed_word_becomes_a_build_a_card_and_a_notification_on_xcode_cloud(stage: Stage) -> None:
    await stage.says("link demo-xcode:Nightly as nightly --default")
    await stage.sees("Here it is called nightly")
    await stage.says("run nightly@main")
    card = await stage.sees("started #")
    number = re.search(r"#(\d+)", card)
    assert number
    build = await stage.newest("xcode_cloud", "Aurora iOS/Nightly")
    assert build["number"] == int(number[1])
    await stage.ci("finish", system="xcode_cloud", build=build["id"], outcome="test_failure")
    notification = await stage.sees("Posted because")
    assert "FAILED" in notification
    assert f"#{number[1]}" in notification
    assert re.search(r"[1-9]\d* tests? failed", notification)
    assert "warning" in notification
    assert await stage.until(lambda: bool(stage.posts("→ ✕ Failed")), "the live card's last edit")
    for verb in ("Logs", "Tests", "Issues", "Artifacts"):
        await stage.says(verb.lower())
    await stage.sees("Errors of")
    await stage.sees("Tests of")
    await stage.sees("Issues of")
    await stage.sees("Artifacts of")
    await stage.press("Rebuild", "Posted because")
    await stage.sees(f"rebuilt #{number[1]}")
    await stage.says("cancel #last")
    await stage.sees("Apple's API cannot cancel a build")
    assert len(stage.posts("Posted because")) == 1


async def test_buildkite_cancels_retries_and_unblocks(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("run web@main", "web")
    await stage.sees("started #", "web")
    await stage.press("Cancel", "started #", "web")
    await stage.sees("Cancelled by", "web")
    await stage.sees("CANCELLED", "web")
    await stage.says("run web@main COLOUR=blue --message 'payload inside'", "web")
    await stage.sees("payload inside", "web")
    build = await stage.newest("buildkite", "web")
    assert build["message"] == "payload inside"
    await stage.ci("advance", seconds=10)
    await stage.ci("finish", system="buildkite", build=build["id"], outcome="fail")
    failed = await stage.until(
        lambda: next((text for text in stage.posts("Posted because", "web") if "FAILED" in text), ""), "the failure"
    )
    assert "1 error" in failed
    await stage.press("Retry failed", "Posted because", "web")
    await stage.sees("retried the failed jobs", "web")
    await stage.ci("advance", seconds=120)
    again = await stage.until(
        lambda: [t for t in stage.posts("Posted because", "web") if "attempt 2" in t], "attempt 2"
    )
    assert len(again) == 1
    await stage.says("run demo-buildkite:deploy@main", "web")
    await stage.sees("of Deploy on main", "web")
    await stage.ci("advance", seconds=120)
    await stage.sees("WAITING FOR APPROVAL", "web")
    await stage.says("approve demo-buildkite:deploy", "web")
    await stage.sees("approved Deploy to production", "web")
    await stage.ci("advance", seconds=120)
    await stage.until(lambda: [t for t in stage.posts("PASSED", "web") if "Deploy #" in t], "the deployment's end")


async def test_gitlab_new_and_old(stage: Stage) -> None:
    await stage.says("link demo-gitlab:acme/backend --default", "backend")
    await stage.says("run backend@main", "backend")
    await stage.sees("started #", "backend")
    build = await stage.newest("gitlab", "acme/backend")
    await stage.ci("advance", seconds=8)
    await stage.ci("finish", system="gitlab", build=build["id"], outcome="fail")
    await stage.sees("Posted because", "backend")
    await stage.says("run backend@mian", "backend")
    await stage.sees("Closest to mian: main", "backend")
    await stage.says("link demo-gitlab3:legacy/monolith as mono", "backend")
    await stage.sees("Here it is called mono", "backend")
    await stage.ci("push", system="gitlab_v3", pipeline="legacy/monolith", branch="master", outcome="fail")
    await stage.ci("advance", seconds=200)
    await stage.until(
        lambda: [t for t in stage.posts("Posted because", "backend") if "mono #" in t], "v3's notification"
    )
    await stage.says("logs mono#last", "backend")
    await stage.sees("mono #", "backend")


async def test_a_webhook_event_is_polled_at_once_and_a_forged_one_refused(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")
    await stage.ci("webhooks", on=True, bot_url=stage.playground.bot_url)
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="pass")
    await stage.ci("advance", seconds=8)
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="pass")
    await stage.sees("Posted because", "web")
    async with httpx.AsyncClient(base_url=stage.playground.bot_url) as outside:
        forged = await outside.post("/hooks/demo-buildkite", json={"event": "build.finished"})
        assert forged.status_code == 401
        assert (await outside.post("/hooks/nobody", json={})).status_code == 401
        assert (await outside.get("/healthz")).status_code == 200
        ready = await outside.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert "buildbell_polls_total" in (await outside.get("/metrics")).text


async def test_a_restart_in_the_middle_loses_and_repeats_nothing(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="pass")
    await stage.stop_bot()
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="fail")
    await stage.start_bot()
    await stage.sees("Posted because", "web")
    await stage.stop_bot()
    await stage.start_bot()
    second = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="pass")
    await stage.ci("advance", seconds=8)
    await stage.ci("finish", system="buildkite", build=second["id"], outcome="pass")
    await stage.until(lambda: len(stage.posts("Posted because", "web")) == 2, "the second notification")
    assert len(stage.posts("Posted because", "web")) == 2


async def test_a_lost_answer_of_slack_posts_no_second_notification(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")
    answer = await stage.control.post(
        "/control/slack/fault", json={"kind": "drop", "method": "chat.postMessage", "count": 1, "after": True}
    )
    assert answer.is_success, answer.text
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="fail")
    await stage.ci("advance", seconds=8)
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="fail")
    await stage.sees("Posted because", "web")
    await stage.until(lambda: [c for c in stage.playground.calls if c.method == "conversations.history"], "the look")
    assert len(stage.posts("Posted because", "web")) == 1


@pytest.mark.parametrize("kind", ["429", "500", "malformed", "drop", "401"])
async def test_trouble_at_the_vendor_passes_and_nothing_is_lost(stage: Stage, kind: str) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")
    await stage.ci("fault", system="buildkite", kind=kind, count=4, retry_after=0.2)
    await stage.says("status web", "web")
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="pass")
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="pass")
    await stage.ci("fault", system="buildkite", kind="off")
    notification = await stage.sees("Posted because", "web")
    assert "Web #" in notification


async def test_socket_mode_brings_the_same(tmp_path: Path) -> None:
    async with staged(tmp_path, socket=True) as stage:
        for _ in range(200):
            answer = await stage.playground.user_actions.command(
                user=stage.me, channel=stage.channels["ios"], text="version"
            )
            if answer["ok"]:
                break
            await asyncio.sleep(0.05)
        await stage.sees("Buildbell 0.")


async def test_another_channel_gets_nothing(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="feature/checkout", outcome="fail")
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="fail")
    last = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="pass")
    await stage.ci("finish", system="buildkite", build=last["id"], outcome="pass")
    await stage.sees("Posted because", "web")
    assert len(stage.posts("Posted because", "web")) == 1
    assert not stage.shown("random")
    await stage.says(f"explain web#{pushed['number']}", "web")
    await stage.sees("is not among the branches this channel follows", "web")


@pytest.mark.postgres
async def test_the_same_way_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    async with staged(tmp_path, database=postgres_url) as stage:
        await stage.says("link demo-buildkite:web --default", "web")
        await stage.sees("is linked", "web")
        await stage.says("run web@main", "web")
        await stage.sees("started #", "web")
        build = await stage.newest("buildkite", "web")
        await stage.ci("advance", seconds=8)
        await stage.ci("finish", system="buildkite", build=build["id"], outcome="fail")
        await stage.sees("Posted because", "web")
        await stage.until(lambda: bool(stage.posts("→ ✕ Failed", "web")), "the card's last edit")
        assert len(stage.posts("Posted because", "web")) == 1
