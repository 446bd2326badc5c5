"""What an operator sees: each number moves with what it counts, and one id joins all that comes of a command."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot import logs
from playground.slack.app import Fault
from tests.e2e.stage import Stage

DAY_SECONDS = 86_400


async def number(stage: Stage, name: str, **labels: str) -> float:
    """Return what /metrics shows under a name and labels, zero where it shows nothing."""
    async with httpx.AsyncClient(base_url=stage.playground.bot_url) as client:
        page = await client.get("/metrics")
    samples = (sample for family in text_string_to_metric_families(page.text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


async def rises(stage: Stage, name: str, *, above: float = 0.0, **labels: str) -> float:
    """Wait until a number is larger and return it."""
    value = above
    for _look in range(3000):
        value = await number(stage, name, **labels)
        if value > above:
            return value
    raise AssertionError(f"{name} {labels} stayed at {value}")


async def falls(stage: Stage, name: str, to: float) -> None:
    """Wait until a number has come down."""
    for _look in range(3000):
        if await number(stage, name) <= to:
            return
    raise AssertionError(f"{name} did not come down to {to}")


async def fails_a_build(stage: Stage) -> str:
    """Have a build of the pipeline that #web follows end, and return its number as cards show it."""
    pushed = await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="fail")
    await stage.ci("advance", seconds=8)
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome="fail")
    return f"#{pushed['number']}"


async def links(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web", "web")
    await stage.sees("is linked", "web")


async def test_a_signed_command_is_counted_with_the_time_before_its_ack(stage: Stage) -> None:
    before = await number(stage, "buildbell_acks_total", status="200")
    timed, summed = await number(stage, "buildbell_ack_seconds_count"), await number(stage, "buildbell_ack_seconds_sum")
    await stage.says("version")
    assert await number(stage, "buildbell_acks_total", status="200") == before + 1
    assert await number(stage, "buildbell_ack_seconds_count") == timed + 1
    assert await number(stage, "buildbell_ack_seconds_sum") > summed
    within = await number(stage, "buildbell_ack_seconds_bucket", le="3.0")
    assert within == timed + 1


async def test_a_command_that_waits_for_its_ci_system_is_open_in_the_inbox_until_it_is_done(stage: Stage) -> None:
    await links(stage)
    await falls(stage, "buildbell_inbox_open", 0)
    assert await number(stage, "buildbell_inbox_age_seconds") == 0
    await stage.ci("fault", system="buildkite", kind="slow", seconds=3)
    await stage.says("run web@main", "web")
    assert await rises(stage, "buildbell_inbox_open") == 1
    assert await rises(stage, "buildbell_inbox_age_seconds") < DAY_SECONDS
    await stage.ci("fault", system="buildkite", kind="off")
    await falls(stage, "buildbell_inbox_open", 0)
    await falls(stage, "buildbell_inbox_age_seconds", 0)


async def test_polls_are_counted_by_provider_and_outcome(stage: Stage) -> None:
    await links(stage)
    assert await rises(stage, "buildbell_polls_total", provider="buildkite", outcome="ok")
    assert await number(stage, "buildbell_poll_seconds_count", provider="buildkite")
    await stage.ci("fault", system="buildkite", kind="401")
    assert await rises(stage, "buildbell_polls_total", provider="buildkite", outcome="AuthFailed")


async def test_a_post_is_counted_once_with_the_time_it_took(stage: Stage) -> None:
    await links(stage)
    before = await number(stage, "buildbell_notifications_total", outcome="posted")
    timed = await number(stage, "buildbell_delivery_seconds_count")
    await fails_a_build(stage)
    await stage.sees("Posted because", "web")
    after = await rises(stage, "buildbell_notifications_total", above=before, outcome="posted")
    assert await number(stage, "buildbell_delivery_seconds_count") - timed == after - before


async def test_a_refusal_by_slacks_limit_is_counted(stage: Stage) -> None:
    await links(stage)
    stage.playground.slack.faults.active.append(Fault(kind="429", method="chat.postMessage"))
    await fails_a_build(stage)
    await stage.sees("Posted because", "web")
    assert await number(stage, "buildbell_slack_refusals_total", method="chat.postMessage") == 1


async def test_two_posts_to_a_channel_take_a_second_and_the_wait_of_the_second_is_counted(stage: Stage) -> None:
    await links(stage)
    pushed = [await stage.ci("push", system="buildkite", pipeline="web", branch="main", outcome="fail") for _ in "123"]
    await stage.ci("advance", seconds=2)
    await asyncio.gather(
        *(stage.ci("finish", system="buildkite", build=build["id"], outcome="fail") for build in pushed)
    )
    assert 0 < await rises(stage, "buildbell_slack_wait_seconds_total", method="chat.postMessage") <= 6


async def test_a_notification_of_a_muted_channel_is_held_and_no_more_once_it_is_released(stage: Stage) -> None:
    await links(stage)
    await stage.says("mute web --for 1h", "web")
    await stage.until(lambda: len(stage.shown("web")) > 1, "the answer to mute")
    await fails_a_build(stage)
    assert await rises(stage, "buildbell_notifications_held") == 1
    await stage.says("unmute web", "web")
    await falls(stage, "buildbell_notifications_held", 0)


async def test_a_notification_that_slack_never_takes_is_counted_as_failed(stage: Stage) -> None:
    await links(stage)
    stage.playground.workspace.channels[stage.channels["web"]].is_archived = True
    await fails_a_build(stage)
    assert await rises(stage, "buildbell_notifications_total", outcome="failed") == 1


async def test_what_a_ci_system_says_is_left_of_its_limit_is_shown_for_its_connection(stage: Stage) -> None:
    await links(stage)
    limit = await rises(stage, "buildbell_budget_limit", system="buildkite", budget="demo-buildkite")
    left = await number(stage, "buildbell_budget_left", system="buildkite", budget="demo-buildkite")
    assert 0 < left < limit


async def test_the_event_loop_is_measured(stage: Stage) -> None:
    assert await rises(stage, "buildbell_loop_lag_seconds_count")


async def test_a_notification_that_waits_for_slack_makes_the_outbox_old(stage: Stage) -> None:
    await links(stage)
    assert await number(stage, "buildbell_outbox_age_seconds") == 0
    stage.playground.slack.faults.active.append(Fault(kind="500", method="chat.postMessage", count=1000))
    await fails_a_build(stage)
    await rises(stage, "buildbell_outbox_age_seconds")


@pytest.fixture
def json_log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    logs.set_up("INFO", "json")
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    handler.setStream(written)
    yield written
    root.handlers, root.level = handlers, level


async def test_one_id_follows_a_command_through_the_ci_system_to_the_post(json_log: io.StringIO, stage: Stage) -> None:
    await links(stage)
    await stage.says("run web@main", "web")

    def posted() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in json_log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == "a notification was posted" and line["kind"] == "started"]

    [post] = await stage.until(posted, "the line of the post")
    lines = [json.loads(line) for line in json_log.getvalue().splitlines()]
    ways = [line["event"] for line in lines if line.get("trace") == post["trace"]]
    assert ways[0] == "a delivery is begun"
    assert ways[-1] == "a notification was posted"
    [call] = [line for line in lines if line.get("trace") == post["trace"] and line.get("method") == "POST"]
    assert call["event"] == "a request to a CI system"
    assert call["provider"]
    assert {line.get("trace") for line in lines if line.get("method") == "POST"} == {post["trace"]}
