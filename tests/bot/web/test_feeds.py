"""Who holds a feed's token reads its channel's pipelines and schedules, nothing of other channels or workspaces."""

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from bot.core.models import Conclusion, Status
from bot.store import Store
from bot.store.rows import NewFeed, NewSchedule, ScheduleRow
from bot.web.feeds import Feeds, FeedToken, calendar, digest_of, new_token
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ended, link, running
from tests.set_clock import SetClock

PAGES = ("cctray.xml", "status.json", "badge.svg", "schedules.ics")
SEEN = {(TEAM, CONNECTION)}


@pytest.fixture
async def http(store: Store, set_clock: SetClock) -> AsyncGenerator[httpx.AsyncClient]:
    feeds = Feeds(store, sees=lambda team, name: (team, name) in SEEN, clock=set_clock)
    pages = (feeds.cctray, feeds.status, feeds.badge, feeds.schedules)
    app = Starlette(routes=[Route(f"/feeds/{{token}}/{name}", page) for name, page in zip(PAGES, pages, strict=True)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.example") as client:
        yield client


async def feed(store: Store, *, team: str = TEAM, channel: str = CHANNEL) -> FeedToken:
    token = new_token()
    await store.feeds.add(
        NewFeed(team=team, channel=channel, name=token.name, digest=token.digest, made_by="U1", made_at=NOW)
    )
    return token


@pytest.fixture
async def token(store: Store) -> str:
    """Return the token of a channel that follows a pipeline with a red, a cancelled and a running build."""
    await store.links.save(link(name="A <&> “B”", default_branch="main"))
    await store.links.save(link(channel="C2", pipeline="p-other", name="Elsewhere"))
    await store.recording.record(
        [
            ended("b1", number=1, conclusion=Conclusion.FAILED, branch="main", web_url="https://ci.example/1?a=1&b=2"),
            ended("b2", number=2, conclusion=Conclusion.CANCELLED, branch="main"),
            running("b3", number=3, branch="main", status=Status.IN_PROGRESS),
        ],
        now=NOW,
    )
    return (await feed(store)).text


async def test_a_build_monitor_reads_the_last_result_and_what_builds(http: httpx.AsyncClient, token: str) -> None:
    answer = await http.get(f"/feeds/{token}/cctray.xml")
    (project,) = ET.fromstring(answer.content)  # noqa: S314 - our own
    assert answer.headers["content-type"].startswith("application/xml")
    assert project.attrib["name"] == "A <&> “B” (main)"
    assert (project.attrib["activity"], project.attrib["lastBuildStatus"]) == ("Building", "Failure")
    assert (project.attrib["lastBuildLabel"], project.attrib["webUrl"]) == ("1", "https://ci.example/1?a=1&b=2")


async def test_the_same_comes_as_json_and_as_a_badge(http: httpx.AsyncClient, token: str) -> None:
    (pipeline,) = json.loads((await http.get(f"/feeds/{token}/status.json")).content)["pipelines"]
    assert (pipeline["name"], pipeline["state"], pipeline["build"], pipeline["running"]) == (
        "A <&> “B”",
        "failed",
        "1",
        "3",
    )
    badge = await http.get(f"/feeds/{token}/badge.svg", params={"pipeline": PIPELINE})
    assert badge.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in badge.headers["content-security-policy"]
    title = ET.fromstring(badge.content)[0].text  # noqa: S314 - our own
    assert title == "A <&> “B”: failed"
    assert (await http.get(f"/feeds/{token}/badge.svg", params={"pipeline": "Elsewhere"})).status_code == 404


@pytest.mark.parametrize("page", PAGES)
async def test_a_wrong_or_revoked_token_opens_nothing(
    http: httpx.AsyncClient, store: Store, token: str, page: str
) -> None:
    assert (await http.get(f"/feeds/{token}/{page}")).status_code == 200
    for wrong in (token[:-1], f"{token}x", token[:12], "x" * 60, new_token().text):
        assert (await http.get(f"/feeds/{wrong}/{page}")).status_code == 404
    (row,) = await store.feeds.of_channel(TEAM, CHANNEL)
    assert not await store.feeds.remove(row.id, "T-other", CHANNEL)
    assert await store.feeds.remove(row.id, TEAM, CHANNEL)
    assert (await http.get(f"/feeds/{token}/{page}")).status_code == 404


async def test_the_store_holds_no_token(store: Store, token: str) -> None:
    (row,) = await store.feeds.of_channel(TEAM, CHANNEL)
    assert token not in str(row)
    assert row.digest == digest_of(token)


async def test_a_workspaces_feed_holds_its_own_channels_and_visible_connections_only(
    http: httpx.AsyncClient, store: Store, token: str
) -> None:
    await store.links.save(link(team="T-other", channel="C9", name="Theirs"))
    await store.links.save(link(connection="hidden", name="Hidden"))

    async def names(text: str) -> set[Any]:
        answer = await http.get(f"/feeds/{text}/status.json")
        return {each["name"] for each in json.loads(answer.content)["pipelines"]}

    assert await names((await feed(store, channel="")).text) == {"A <&> “B”", "Elsewhere"}
    assert await names((await feed(store, team="T-other", channel="")).text) == set()
    assert await names(token) == {"A <&> “B”"}


async def test_a_calendar_holds_the_next_runs_of_the_channels_schedules(
    http: httpx.AsyncClient, store: Store, token: str, set_clock: SetClock
) -> None:
    set_clock.now = NOW
    for channel in (CHANNEL, "C2"):
        await store.schedules.add(
            NewSchedule(
                team=TEAM,
                channel=channel,
                user="U1",
                words="daily 7:00",
                cron="0 7 * * *",
                tz="Europe/Berlin",
                command=f"run nightly@main NOTE='a; b, c' {channel}",
                next_at=NOW,
                created_at=NOW,
            )
        )
    text = (await http.get(f"/feeds/{token}/schedules.ics")).text
    assert text.startswith("BEGIN:VCALENDAR\r\n")
    assert text.count("BEGIN:VEVENT") == 10
    assert f"SUMMARY:run nightly@main NOTE='a\\; b\\, c' {CHANNEL}" in text
    assert "C2" not in text


def test_a_calendars_lines_are_short_and_break_no_character() -> None:
    row = ScheduleRow(
        id=1,
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        words="daily 7:00",
        cron="0 7 * * *",
        tz="UTC",
        command="status " + "ü€😀" * 40,
        next_at=NOW,
        created_at=NOW,
    )
    text = calendar([row], NOW)
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "ü€😀" * 40 in text.replace("\r\n ", "")
    assert f"{NOW + timedelta(days=1):%Y%m%d}T070000Z" in text
