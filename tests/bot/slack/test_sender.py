import asyncio
import heapq
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from bot.blocks.message import Message, section
from bot.http.budget import BudgetState
from bot.http.transport import Network
from bot.slack import sender as module
from bot.slack.installs import NotInstalled
from bot.slack.limiter import Limiter
from bot.slack.sender import (
    MOST_WAIT_SECONDS,
    SearchResult,
    Sender,
    SlackError,
    SlackLimited,
    SlackUnreachable,
    SlackUnsure,
)
from tests.bot.slack.conftest import LocalSlack, Timer, token
from tests.playground.serving import serving

HELLO = Message(text="hello", blocks=(section("hello"),))
TEAM = "T1"


def since(slack: LocalSlack) -> datetime:
    return datetime.fromtimestamp(slack.time, UTC)


# posting


async def test_a_post_goes_out_with_text_blocks_key_and_without_previews(sender: Sender, slack: LocalSlack) -> None:
    channel, ts = await sender.post(TEAM, slack.ios, HELLO, key="n1")
    assert channel == slack.ios
    assert ts in slack.workspace.messages[slack.ios]
    (call,) = slack.calls("chat.postMessage")
    assert (call["text"], call["unfurl_links"], call["unfurl_media"]) == ("hello", False, False)
    assert call["metadata"] == {"event_type": "buildbell_notification", "event_payload": {"key": "n1"}}
    assert call["blocks"] == [section("hello")]


async def test_a_reply_goes_into_its_thread(sender: Sender, slack: LocalSlack) -> None:
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO)
    _channel, reply = await sender.post(TEAM, slack.ios, HELLO, thread=ts)
    assert slack.workspace.messages[slack.ios][reply].thread_ts == ts


async def test_a_person_is_posted_to_by_their_id_and_the_channel_comes_back(sender: Sender, slack: LocalSlack) -> None:
    channel, _ts = await sender.post(TEAM, slack.mika, HELLO)
    assert channel.startswith("D")


async def test_every_edit_sends_text_blocks_and_attachments_together(sender: Sender, slack: LocalSlack) -> None:
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO)
    await sender.update(TEAM, slack.ios, ts, Message(text="over"))
    (call,) = slack.calls("chat.update")
    assert {"text", "blocks", "attachments"} <= call.keys()
    assert slack.workspace.messages[slack.ios][ts].text == "over"


async def test_only_one_person_sees_what_is_ephemeral(sender: Sender, slack: LocalSlack) -> None:
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO)
    await sender.ephemeral(TEAM, slack.ios, slack.ana, HELLO, thread=ts)
    (call,) = slack.calls("chat.postEphemeral")
    assert (call["user"], call["thread_ts"]) == (slack.ana, ts)


async def test_a_file_goes_out_in_three_requests(sender: Sender, slack: LocalSlack) -> None:
    await sender.upload(TEAM, slack.ios, name="build.log", content=b"all good", title="Log")
    (upload,) = slack.workspace.uploads.values()
    assert upload.content == b"all good"


# faults by name


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "429", "retry_after": 7}, SlackLimited),
        ({"kind": "500"}, SlackUnsure),
        ({"kind": "drop"}, SlackUnsure),
        ({"kind": "drop", "after": True}, SlackUnsure),
        ({"kind": "error", "error": "internal_error"}, SlackUnsure),
        ({"kind": "error", "error": "is_archived"}, SlackError),
        ({"kind": "error", "error": "ratelimited"}, SlackLimited),
    ],
)
async def test_a_post_is_never_repeated_by_itself(
    sender: Sender, slack: LocalSlack, fault: dict[str, Any], error: type[SlackError]
) -> None:
    slack.fails("chat.postMessage", **fault)
    with pytest.raises(SlackError) as raised:
        await sender.post(TEAM, slack.ios, HELLO)
    assert type(raised.value) is error
    assert len(slack.calls("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        (200, "text/plain", "a proxy's page", SlackUnsure),
        (200, "text/html", "<h1>a proxy's page</h1>", SlackUnsure),
        (200, "application/json", "{", SlackUnsure),
        (200, "application/json", "{}", SlackUnsure),
        (502, "text/html", "bad gateway", SlackUnsure),
        (403, "text/html", "forbidden", SlackUnsure),
        (404, "text/html", "not here", SlackUnsure),
        (408, "application/json", '{"ok": false, "error": "request_timeout"}', SlackUnsure),
        (200, "application/json", '{"ok": false, "error": "team_added_to_org"}', SlackUnsure),
        (200, "application/json", '{"ok": false, "error": "fatal_error"}', SlackUnsure),
        (200, "application/json", '{"ok": false, "error": "rate_limited"}', SlackLimited),
        (200, "application/json", '{"ok": false, "error": "is_archived"}', SlackError),
        (429, "text/plain", "slow down", SlackLimited),
    ],
)
async def test_an_answer_that_is_not_slacks_leaves_a_post_uncertain(
    network: Network, status: int, kind: str, body: str, error: type[SlackError]
) -> None:
    async def answer(_request: Request) -> Response:
        return Response(body, status, media_type=kind)

    async with serving(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])) as address:
        with pytest.raises(SlackError) as raised:
            await Sender(token, session=network.session, api_url=address).post(TEAM, "C1", HELLO)
    assert type(raised.value) is error


async def test_how_long_slack_asks_to_wait_is_kept(sender: Sender, slack: LocalSlack) -> None:
    slack.fails("chat.postMessage", "429", retry_after=7)
    with pytest.raises(SlackLimited) as raised:
        await sender.post(TEAM, slack.ios, HELLO)
    assert raised.value.retry_after == 7
    slack.fails("chat.update", "error", error="ratelimited")
    with pytest.raises(SlackLimited) as raised:
        await sender.update(TEAM, slack.channel("web"), "1.1", HELLO)
    assert raised.value.retry_after == 30


async def test_a_refusal_has_slacks_word_and_plain_ones(sender: Sender, slack: LocalSlack) -> None:
    with pytest.raises(SlackError, match=r"Slack refused: channel not found\.") as raised:
        await sender.post(TEAM, "C0NOWHERE", HELLO)
    assert raised.value.code == "channel_not_found"


async def test_where_nobody_listens_nothing_was_sent(network: Network) -> None:
    alone = Sender(token, session=network.session, api_url="http://127.0.0.1:9/api")
    for call in (
        alone.post(TEAM, "C1", HELLO),
        alone.call(TEAM, "users.info", {"user": "U1"}),
        alone.upload(TEAM, "C1", name="x", content=b"x", title="x"),
        alone.token_report(TEAM),
    ):
        with pytest.raises(SlackUnreachable):
            await call


async def test_a_workspace_without_the_bot_is_a_refusal_like_any_other(network: Network) -> None:
    async def none(_team: str) -> str:
        raise NotInstalled("The bot is not installed in this workspace any more.", hint="Install it again.")

    with pytest.raises(SlackError, match="not installed") as raised:
        await Sender(none, session=network.session, api_url="http://127.0.0.1:9/").post(TEAM, "C1", HELLO)
    assert (raised.value.code, raised.value.hint) == ("not_installed", "Install it again.")


async def test_reading_waits_out_a_429_once(sender: Sender, slack: LocalSlack) -> None:
    slack.fails("users.info", "429", retry_after=0)
    said = await sender.call(TEAM, "users.info", {"user": slack.ana})
    assert said["user"]["id"] == slack.ana
    slack.fails("users.info", "429", retry_after=0, count=2)
    with pytest.raises(SlackLimited):
        await sender.call(TEAM, "users.info", {"user": slack.ana})


async def test_uploads_have_the_same_faults(sender: Sender, slack: LocalSlack) -> None:
    slack.fails("files.getUploadURLExternal", "error", error="missing_scope")
    with pytest.raises(SlackError) as raised:
        await sender.upload(TEAM, slack.ios, name="x", content=b"x", title="x")
    assert raised.value.code == "missing_scope"
    slack.fails("files.getUploadURLExternal", "drop")
    with pytest.raises(SlackUnsure):
        await sender.upload(TEAM, slack.ios, name="x", content=b"x", title="x")


# one message a second for each channel


async def test_a_channel_gets_one_message_a_second_and_no_other_waits_for_it(
    sender: Sender, slack: LocalSlack, timer: Timer
) -> None:
    for _post in range(3):
        await sender.post(TEAM, slack.ios, HELLO)
    assert timer.slept == [1.0, 1.0]
    await sender.post(TEAM, slack.channel("web"), HELLO)
    await sender.post("T2", slack.ios, HELLO)
    assert timer.slept == [1.0, 1.0]


async def test_posts_that_come_together_go_out_in_the_order_they_came(
    sender: Sender, slack: LocalSlack, timer: Timer
) -> None:
    await asyncio.gather(*(sender.post(TEAM, slack.ios, Message(text=str(n))) for n in range(5)))
    assert [call["text"] for call in slack.calls("chat.postMessage")] == ["0", "1", "2", "3", "4"]


async def test_a_429_pauses_its_channel(sender: Sender, slack: LocalSlack, timer: Timer) -> None:
    slack.fails("chat.postMessage", "429", retry_after=5)
    with pytest.raises(SlackLimited):
        await sender.post(TEAM, slack.ios, HELLO)
    await sender.post(TEAM, slack.channel("web"), HELLO)
    assert timer.slept == []
    await sender.post(TEAM, slack.ios, HELLO)
    assert timer.slept == [5.0]


async def test_what_would_wait_too_long_is_refused_at_once(sender: Sender, slack: LocalSlack, timer: Timer) -> None:
    slack.fails("chat.postMessage", "429", retry_after=300)
    with pytest.raises(SlackLimited):
        await sender.post(TEAM, slack.ios, HELLO)
    with pytest.raises(SlackLimited) as raised:
        await sender.post(TEAM, slack.ios, HELLO)
    assert raised.value.retry_after == 300
    assert timer.slept == []
    timer.now += 300
    await sender.post(TEAM, slack.ios, HELLO)
    waiting = [asyncio.ensure_future(sender.post(TEAM, slack.ios, HELLO)) for _n in range(30)]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, SlackLimited)]
    assert len(refused) == 30 - int(MOST_WAIT_SECONDS) - 1


async def test_channels_that_are_quiet_are_forgotten(
    sender: Sender, slack: LocalSlack, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_QUEUES", 1)
    for channel in (slack.ios, slack.channel("web"), slack.mika):
        await sender.post(TEAM, channel, HELLO)
        timer.now += 5
    assert len(sender._queues) == 1


# posts before edits, and a limit for each workspace and method


async def test_no_post_waits_for_an_edit(sender: Sender, slack: LocalSlack, timer: Timer) -> None:
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO)
    timer.now += 1
    for _edit in range(3):
        await sender.update(TEAM, slack.ios, ts, HELLO)
    slept = list(timer.slept)
    await sender.post(TEAM, slack.ios, HELLO)
    assert timer.slept == slept


async def test_a_workspace_s_limit_is_learned_from_its_refusals(timer: Timer) -> None:
    limiter = Limiter(timer)
    for _call in range(300):
        assert limiter.wait() == 0
        limiter.spend()
    limiter.refused(30)
    assert limiter.wait() == 60
    timer.now += 59
    assert limiter.wait() == pytest.approx(1)
    timer.now += 1
    assert limiter.wait() == 0
    assert limiter.a_minute == 299
    timer.now += 241
    limiter.wait()
    assert limiter.a_minute == pytest.approx(299 * 1.25)


async def test_a_refusal_below_what_one_channel_is_allowed_teaches_nothing_about_the_workspace(timer: Timer) -> None:
    limiter = Limiter(timer)
    limiter.spend(5)
    limiter.refused(30)
    assert limiter.wait() == 0


async def test_posts_to_many_channels_keep_a_learned_limit(sender: Sender, slack: LocalSlack, timer: Timer) -> None:
    limiter = sender.limiter(TEAM, "chat.postMessage")
    timer.now -= 50
    limiter.spend(100)
    timer.now += 50
    limiter.learn([BudgetState(a_minute=100)])
    await sender.post(TEAM, slack.ios, HELLO)
    assert timer.slept == [10.0]


# looking for a message


async def test_a_message_is_found_by_its_key(sender: Sender, slack: LocalSlack) -> None:
    await sender.post(TEAM, slack.ios, HELLO, key="n1")
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO, key="n2")
    await sender.post(TEAM, slack.ios, HELLO)
    assert (await sender.find(TEAM, slack.ios, "n2", since(slack))).ts == ts
    assert await sender.find(TEAM, slack.ios, "n9", since(slack)) == SearchResult(ts=None)


async def test_a_reply_is_found_in_its_thread(sender: Sender, slack: LocalSlack) -> None:
    _channel, parent = await sender.post(TEAM, slack.ios, HELLO)
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO, thread=parent, key="n3")
    assert (await sender.find(TEAM, slack.ios, "n3", since(slack), thread=parent)).ts == ts


async def test_a_direct_message_is_found_by_its_reader(sender: Sender, slack: LocalSlack) -> None:
    _channel, ts = await sender.post(TEAM, slack.mika, HELLO, key="n4")
    assert (await sender.find(TEAM, slack.mika, "n4", since(slack))).ts == ts
    assert slack.calls("conversations.open")[0]["users"] == slack.mika


async def test_a_message_further_back_is_found_on_a_later_page(sender: Sender, slack: LocalSlack) -> None:
    _channel, ts = await sender.post(TEAM, slack.ios, HELLO, key="n5")
    for number in range(320):
        await slack.post(text=str(number))
    assert (await sender.find(TEAM, slack.ios, "n5", since(slack))).ts == ts
    assert len(slack.calls("conversations.history")) == 2


async def test_a_search_that_ends_before_the_history_does_is_not_certain(
    sender: Sender, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HISTORY_PAGES", 2)
    monkeypatch.setattr(module, "HISTORY_PAGE", 5)
    await sender.post(TEAM, slack.ios, HELLO, key="n6")
    for number in range(20):
        await slack.post(text=str(number))
    assert await sender.find(TEAM, slack.ios, "n6", since(slack)) == SearchResult(ts=None, is_certain=False)
    assert len(slack.calls("conversations.history")) == 2


async def test_a_message_is_found_by_slacks_clock_where_ours_is_ahead(network: Network) -> None:
    asked: list[float] = []

    async def answer(request: Request) -> Response:
        asked.append(float(request.query_params["oldest"]))
        return JSONResponse({"ok": True, "messages": [], "has_more": False})

    ours = datetime(2100, 3, 4, 12, 0, tzinfo=UTC)  # the server tells an earlier date
    async with serving(Starlette(routes=[Route("/{path:path}", answer)])) as address:
        sender = Sender(token, session=network.session, api_url=address, clock=lambda: ours)
        assert await sender.find(TEAM, "C1", "n7", ours) == SearchResult(ts=None)
    first, second = asked
    assert first == ours.timestamp() - 15 * 60
    assert second < first - 3600


@pytest.mark.parametrize("wrong_by", [timedelta(days=-2), timedelta(hours=-2), timedelta(minutes=2), timedelta(days=2)])
@pytest.mark.parametrize("is_set_right", [False, True])
async def test_a_post_is_found_however_wrong_our_clock_is_or_was(
    network: Network, wrong_by: timedelta, *, is_set_right: bool
) -> None:
    slacks = datetime.now(UTC).timestamp()
    ours = [datetime.fromtimestamp(slacks, UTC) + wrong_by]
    made_at = ours[0]
    later = [{"ts": f"{slacks + number / 100:.6f}"} for number in range(700, 0, -1)]
    history: list[dict[str, Any]] = [*later, {"ts": f"{slacks:.6f}", "metadata": {"event_payload": {"key": "n8"}}}]

    async def answer(request: Request) -> Response:
        begins = int(request.query_params.get("cursor") or 0)
        ends = begins + int(request.query_params["limit"])
        after = [message for message in history if float(str(message["ts"])) > float(request.query_params["oldest"])]
        more = {"response_metadata": {"next_cursor": str(ends)}} if ends < len(after) else {}
        return JSONResponse({"ok": True, "messages": after[begins:ends], "has_more": bool(more), **more})

    async with serving(Starlette(routes=[Route("/{path:path}", answer)])) as address:
        sender = Sender(token, session=network.session, api_url=address, clock=lambda: ours[0])
        if is_set_right:
            ours[0] = datetime.fromtimestamp(slacks, UTC)
        assert (await sender.find(TEAM, "C1", "n8", made_at)).ts == f"{slacks:.6f}"


async def test_a_history_that_may_not_be_read_is_an_error(sender: Sender, slack: LocalSlack) -> None:
    slack.fails("conversations.history", "error", error="missing_scope")
    with pytest.raises(SlackError) as raised:
        await sender.find(TEAM, slack.ios, "n7", since(slack))
    assert raised.value.code == "missing_scope"


# response URLs, scopes


async def test_an_answer_goes_through_a_response_url(sender: Sender, slack: LocalSlack) -> None:
    url = f"{slack.address}/response/gone/x"
    assert not await sender.respond(url, HELLO, public=True)
    kinds = [(call["response_type"], call["replace_original"]) for call in slack.calls("response_url")]
    assert kinds == [("in_channel", False)]


@pytest.mark.parametrize(("kind", "fault"), [("429", SlackLimited), ("500", SlackUnsure)])
async def test_a_response_url_that_fails_for_a_while_says_whether_the_answer_may_have_arrived(
    sender: Sender, slack: LocalSlack, kind: str, fault: type[SlackError]
) -> None:
    slack.fails("response_url", kind)
    with pytest.raises(fault):
        await sender.respond(f"{slack.address}/response/gone/x", HELLO)
    with pytest.raises(SlackUnreachable):
        await sender.respond("http://127.0.0.1:9/response", HELLO)


async def test_a_response_url_that_works_shows_the_message(sender: Sender, slack: LocalSlack) -> None:
    await slack.people.command(user=slack.ana, channel=slack.ios, text="status")
    url = slack.bot.last("command")["response_url"]
    assert await sender.respond(url, HELLO, public=True)
    assert "hello" in [message.text for message in slack.workspace.messages[slack.ios].values()]


async def test_the_scopes_of_the_token_are_read_from_the_headers(sender: Sender, slack: LocalSlack) -> None:
    report = await sender.token_report(TEAM)
    assert report.scopes == slack.workspace.scopes
    slack.fails("auth.test", "error", error="invalid_auth")
    with pytest.raises(SlackError) as raised:
        await sender.token_report(TEAM)
    assert raised.value.code == "invalid_auth"


async def test_calls_name_their_workspace(sender: Sender, slack: LocalSlack) -> None:
    await sender.call(TEAM, "usergroups.list", {"include_users": True})
    (call,) = slack.calls("usergroups.list")
    assert (call["team_id"], call["include_users"]) == (TEAM, "true")


# answers that are none of Slack's

JSON_TYPE = "application/json"
ODD_ANSWERS: dict[str, tuple[int, bytes, str]] = {
    "a page in another encoding than it says": (403, b"<html>\xfcberlastet</html>", "text/html"),
    "JSON in another encoding": (200, b'{"ok": true, "x": "\xfc"}', JSON_TYPE),
    "a list": (200, b"[]", JSON_TYPE),
    "a number": (200, b"7", JSON_TYPE),
    "JSON without an end of depth": (200, b"[" * 100_000 + b"]" * 100_000, JSON_TYPE),
    "a file": (200, b"xx", "application/gzip"),
    "yes without a message": (200, b'{"ok": true}', JSON_TYPE),
}


@pytest.mark.parametrize(("status", "body", "kind"), ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_a_post_that_something_else_than_slack_answered_is_of_unknown_fate(
    network: Network, timer: Timer, status: int, body: bytes, kind: str
) -> None:
    async def answer(_request: Request) -> Response:
        return Response(body, status, headers={"content-type": kind})

    async with serving(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as address:
        sender = Sender(token, session=network.session, api_url=f"{address}/api/", sleep=timer.sleep, timer=timer)
        with pytest.raises(SlackUnsure):
            await sender.post(TEAM, "C1", HELLO)
        if status != 200:
            with pytest.raises(SlackUnsure):
                await sender.respond(f"{address}/answer", HELLO)


@pytest.mark.parametrize(
    ("told", "waits"), [("9" * 400, 600), ("1000000000000000", 600), ("7", 7), ("Wed, 21 Oct 2026 07:28:00 GMT", 30)]
)
async def test_a_pause_without_end_stops_no_channel_for_good(
    network: Network, timer: Timer, told: str, waits: float
) -> None:
    async def answer(_request: Request) -> Response:
        return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"retry-after": told})

    async with serving(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as address:
        sender = Sender(token, session=network.session, api_url=f"{address}/api/", sleep=timer.sleep, timer=timer)
        for call in (sender.post(TEAM, "C1", HELLO), sender.ephemeral(TEAM, "C1", "U1", HELLO)):
            with pytest.raises(SlackLimited) as limited:
                await call
            assert limited.value.retry_after == waits


async def test_a_history_with_odd_members_is_searched_all_the_same(network: Network, timer: Timer) -> None:
    odd: list[object] = [7, None, {"metadata": []}, {"metadata": {"event_payload": "n1"}}]
    right = {"ts": "5.0", "metadata": {"event_payload": {"key": "n1"}}}
    answers = [{"ok": True, "messages": [*odd, right]}, {"ok": True}]

    async def answer(_request: Request) -> Response:
        return JSONResponse(answers.pop(0))

    async with serving(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as address:
        sender = Sender(token, session=network.session, api_url=f"{address}/api/", sleep=timer.sleep, timer=timer)
        when = datetime(2026, 8, 1, tzinfo=UTC)
        assert await sender.find(TEAM, "C1", "n1", when) == SearchResult(ts="5.0")
        assert await sender.find(TEAM, "C1", "n1", when) == SearchResult(ts=None, is_certain=False)


# a flood


class AllowingSender(Sender):
    """A sender to a Slack that takes a number of posts a minute of a workspace, and refuses the others."""

    def __init__(self, timer: Timer, *, allowed: int) -> None:
        super().__init__(token, session=cast("Any", None), api_url="http://slack", sleep=timer.sleep, timer=timer)
        self.allowed = allowed
        self.taken: list[float] = []
        self.refusals = 0
        self._seconds = timer

    @override
    async def _call_once(
        self, team: str, method: str, arguments: Mapping[str, object]
    ) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        recent = [at for at in self.taken[-self.allowed :] if at > self._seconds() - 60]
        if len(recent) >= self.allowed:
            self.refusals += 1
            raise SlackLimited(min(recent) + 60 - self._seconds())
        self.taken.append(self._seconds())
        return {"channel": arguments["channel"], "ts": "1.0"}, {}


async def test_2000_ends_in_a_workspace_that_takes_300_posts_a_minute_all_arrive_with_few_refusals(
    timer: Timer,
) -> None:
    sender = AllowingSender(timer, allowed=300)
    due = [(timer.now, number) for number in range(2000)]
    heapq.heapify(due)
    began = timer.now
    while due:
        at, number = heapq.heappop(due)
        timer.now = max(timer.now, at)
        try:
            await sender.post(TEAM, f"C{number % 400}", HELLO)
        except SlackLimited as exc:
            heapq.heappush(due, (timer.now + exc.retry_after, number))
    assert len(sender.taken) == 2000
    assert sender.refusals <= 10
    assert timer.now - began < 12 * 60
    assert list(sender.budgets()) == [f"slack:{TEAM}:chat.postMessage"]
