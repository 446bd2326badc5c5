"""What `ApiClient` makes of answers. The wire is httpx.MockTransport; waiting is recorded, not done."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from bot.core.errors import (
    AuthFailed,
    BotError,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from bot.http.client import ApiClient
from bot.http.quota import Quota
from bot.http.reply import Reply
from tests.bot.http.wire import BASE, NOW, TOKEN, Clock, Make, Wire, reply


def piecemeal(*chunks: bytes, then: Exception | None = None) -> httpx.AsyncByteStream:
    class Stream(httpx.AsyncByteStream):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk
            if then is not None:
                raise then

    return Stream()


# addresses


def test_addresses_keep_their_quoted_parts_and_repeat_lists() -> None:
    api = ApiClient(httpx.AsyncClient(), base_url=BASE + "/", provider="Hudson", clock=lambda: NOW)
    assert api.url("/builds") == f"{BASE}/builds"
    assert api.url("projects/a%2Fb/x%252Fy") == f"{BASE}/projects/a%2Fb/x%252Fy"
    assert api.url("b", {"s": ["x", "y"], "n": 3, "on": True, "gone": None}) == f"{BASE}/b?s=x&s=y&n=3&on=true"
    assert api.url("b?page=2", {"q": "a b&c"}) == f"{BASE}/b?page=2&q=a+b%26c"
    assert api.url("https://files.example/x", {}) == "https://files.example/x"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Date": "Tue, 03 Mar 2026 12:05:00 GMT"}, 300),
        ({"Date": "Tue, 03 Mar 2026 12:11:00 GMT"}, -60),
        ({"Date": "Tue, 03 Mar 2026 12:05:00 GMT", "Age": "300"}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": "Tue, 03 Mar 2026 12:05:00 -0000"}, None),
        ({}, None),
    ],
)
async def test_how_far_this_machines_clock_is_ahead_is_read_from_the_last_answer(
    api_over: Make, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: int | None
) -> None:
    monkeypatch.setattr("bot.http.sending.real_now", lambda: datetime(2026, 3, 3, 12, 10, tzinfo=UTC))
    api = api_over(Wire(httpx.Response(200, json={}, headers=headers)))
    assert api.clock_ahead is None
    await api.get("x")
    ahead = api.clock_ahead
    assert (None if ahead is None else ahead.total_seconds()) == seconds


async def test_a_request_carries_credentials_and_headers_that_may_be_replaced_whatever_their_case(
    api_over: Make,
) -> None:
    wire = Wire(httpx.Response(200, json={}))
    api = api_over(wire, headers={"X-Version": "3"})
    await api.get("a", headers={"accept": "text/plain"})
    asked = wire.asked[0]
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["x-version"] == "3"
    assert asked.headers.get_list("accept") == ["text/plain"]
    assert api.requests == 1


# reading


async def test_an_answer_is_read_whole_and_unpacked(api_over: Make) -> None:
    packed = gzip.compress(b'{"id": 7}')
    wire = Wire(httpx.Response(200, content=packed, headers={"content-encoding": "gzip", "etag": '"e1"'}))
    got = await api_over(wire).get("builds/7")
    assert (got.decode(dict[str, int]), got.etag, got.status) == ({"id": 7}, '"e1"', 200)
    assert bytes(got.raw) == b'{"id": 7}'
    assert got.text == '{"id": 7}'


async def test_an_answer_that_does_not_unpack_is_unexpected(api_over: Make) -> None:
    wire = Wire(
        lambda _: httpx.Response(200, stream=piecemeal(b"no gzip at all"), headers={"content-encoding": "gzip"})
    )
    with pytest.raises(UnexpectedResponse, match="unpack"):
        await api_over(wire).get("builds")
    with pytest.raises(UnexpectedResponse, match="unpack"):
        await api_over(wire).tail("log", keep=5)


async def test_an_oversize_answer_is_not_read_to_its_end(api_over: Make) -> None:
    taken = 0

    class Endless(httpx.AsyncByteStream):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield bytes(1024)

    api = api_over(lambda _: httpx.Response(200, stream=Endless()))
    with pytest.raises(UnexpectedResponse, match="more than 0 MiB"):
        await api.get("builds", cap=10 * 1024)
    assert taken == 11
    with pytest.raises(UnexpectedResponse, match="more than 0 MiB"):
        await api.tail("log", keep=100, cap=20 * 1024)


async def test_a_truncated_answer_is_asked_for_again(api_over: Make, pauses: list[float]) -> None:
    broken = httpx.RemoteProtocolError("cut off")
    wire = Wire(
        httpx.Response(200, stream=piecemeal(b'{"id"', then=broken)),
        httpx.Response(200, json={"id": 1}),
    )
    assert (await api_over(wire).get("builds/1")).decode(dict[str, int]) == {"id": 1}
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"[1, 2", "application/json", "Hudson's answer could not be read (it is not valid JSON)."),
        (b"{}", "application/json", "Hudson's answer could not be read (not an object of that kind)."),
        (b"\xff\xfe", "application/json", "Hudson's answer could not be read (it is not valid JSON)."),
        (b"[" * 5000, "application/json", "Hudson's answer could not be read (nested too deeply)."),
        (b"<html>hello</html>", "text/html; charset=utf-8", "web page instead of data"),
    ],
)
def test_what_is_no_list_is_unexpected_in_words(body: bytes, kind: str, said: str) -> None:
    with pytest.raises(UnexpectedResponse, match=re.escape(said)):
        reply(200, body, kind).items()


def test_a_list_is_found_at_the_top_or_in_a_member() -> None:
    assert [bytes(item) for item in reply(200, b"[1,{}]").items()] == [b"1", b"{}"]
    assert [bytes(item) for item in reply(200, b'{"values":["a"]}').items("values")] == [b'"a"']
    assert reply(200, b'{"values":null}').items("values") == []
    with pytest.raises(UnexpectedResponse, match="without `values`"):
        reply(200, b'{"other":[]}').items("values")
    with pytest.raises(UnexpectedResponse, match=r"answer could not be read \(field `values`"):
        reply(200, b'{"values":{"a":1}}').items("values")


async def test_an_unchanged_thing_is_none(api_over: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == '"v1"':
            return httpx.Response(304)
        return httpx.Response(200, json=[1], headers={"etag": '"v1"'})

    api = api_over(handler)
    first = await api.get_if_changed("builds", {"n": 1}, None)
    assert first is not None
    assert await api.get_if_changed("builds", {"n": 1}, first.etag) is None
    assert (await api_over(handler).head("builds")).status == 200


# refusals


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, Rejected, "Hudson refused: branch is missing"),
        (401, AuthFailed, "Hudson refused the credentials: branch is missing"),
        (403, AuthFailed, "does not let this connection do that: branch is missing"),
        (404, NotFound, "no such thing, or this connection may not see it: branch is missing"),
        (409, Rejected, "Hudson refused: branch is missing"),
        (410, NotFound, "no such thing"),
        (422, Rejected, "Hudson refused: branch is missing"),
    ],
)
async def test_a_refusal_is_reported_in_the_vendors_words_and_not_repeated(
    api_over: Make, status: int, kind: type[ProviderError], said: str
) -> None:
    wire = Wire(httpx.Response(status, json={"message": "branch is missing."}))
    with pytest.raises(kind, match=said) as caught:
        await api_over(wire).get("builds")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.provider) == (status, "Hudson")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
async def test_trouble_over_there_is_tried_three_times(api_over: Make, pauses: list[float], status: int) -> None:
    wire = Wire(httpx.Response(status, text="<html>oops</html>"))
    with pytest.raises(Unavailable, match=f"HTTP {status}") as caught:
        await api_over(wire).get("builds")
    assert not caught.value.acted
    assert len(wire.asked) == 3
    assert len(pauses) == 2
    assert all(0 < pause <= 4 for pause in pauses)


async def test_trouble_that_passes_is_not_noticed(api_over: Make) -> None:
    wire = Wire(httpx.Response(502), httpx.ReadTimeout("slow"), httpx.Response(200, json=[]))
    assert (await api_over(wire).get("builds")).items() == []


async def test_a_vendor_may_explain_a_status_in_its_own_way(api_over: Make) -> None:
    def map_error(answer: Reply) -> ProviderError | None:
        if answer.status == 403 and answer.headers.get("x-left") == "0":
            return RateLimited("slow down", provider="Hudson", retry_after=1800, status=403)
        return None

    wire = Wire(httpx.Response(403, headers={"x-left": "0"}))
    api = api_over(wire, map_error=map_error)
    with pytest.raises(RateLimited, match="slow down"):
        await api.get("builds")
    assert api.not_before == NOW + timedelta(seconds=1800)
    with pytest.raises(AuthFailed):
        await api_over(Wire(httpx.Response(403)), map_error=map_error).get("builds")


@pytest.mark.parametrize(
    "page",
    [
        httpx.Response(203, html="<html>Sign in</html>"),
        httpx.Response(302, headers={"location": "https://login.example/oauth"}),
    ],
)
async def test_a_sign_in_page_means_that_the_credentials_failed(api_over: Make, page: httpx.Response) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return page if request.url.host == "ci.example" else httpx.Response(200, html="<html>Sign in</html>")

    with pytest.raises(AuthFailed, match="sign-in page"):
        await api_over(handler).get("builds")


async def test_a_web_page_from_the_system_itself_can_be_read(api_over: Make) -> None:
    got = await api_over(Wire(httpx.Response(200, html="<h1>log</h1>"))).get("log")
    assert got.is_page
    assert got.text == "<h1>log</h1>"


# rate limits


@pytest.mark.parametrize("status", [429, 503])
async def test_a_short_wait_is_waited_out(api_over: Make, pauses: list[float], status: int) -> None:
    wire = Wire(httpx.Response(status, headers={"retry-after": "3"}), httpx.Response(200, json=[]))
    api = api_over(wire)
    await api.get("builds")
    assert pauses == [3.0]
    assert len(wire.asked) == 2
    assert api.not_before is None


async def test_a_wait_as_a_date_is_waited_out(api_over: Make, pauses: list[float]) -> None:
    late = httpx.Response(429, headers={"retry-after": "Sun, 04 May 2031 12:00:09 GMT"})
    await api_over(Wire(late, httpx.Response(200, json=[]))).get("builds")
    assert pauses == [9.0]


async def test_a_long_wait_is_remembered_and_nothing_is_sent_until_it_is_over(
    api_over: Make, clock: Clock, pauses: list[float]
) -> None:
    wire = Wire(httpx.Response(429, headers={"retry-after": "90"}), httpx.Response(200, json=[]))
    api = api_over(wire)
    with pytest.raises(RateLimited) as caught:
        await api.get("builds")
    assert (caught.value.retry_after, api.not_before) == (90.0, NOW + timedelta(seconds=90))

    clock.at = NOW + timedelta(seconds=60)
    for attempt in (api.get("builds"), api.send("POST", "builds"), api.tail("log", keep=9)):
        with pytest.raises(RateLimited, match="wait 30 s"):
            await attempt
    assert len(wire.asked) == 1
    assert pauses == []

    clock.at = NOW + timedelta(seconds=90)
    await api.get("builds")
    assert len(wire.asked) == 2
    assert api.not_before is None


async def test_without_a_word_on_how_long_it_is_a_minute(api_over: Make) -> None:
    api = api_over(Wire(httpx.Response(429)))
    with pytest.raises(RateLimited) as caught:
        await api.get("builds")
    assert caught.value.retry_after == 60.0


async def test_a_download_counts_for_the_limit_but_a_foreign_host_does_not(api_over: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/log":
            return httpx.Response(429, headers={"retry-after": "90"})
        if request.url.host == "ci.example":
            return httpx.Response(302, headers={"location": "https://files.example/log"})
        return httpx.Response(503, headers={"retry-after": "90"})

    api = api_over(handler)
    with pytest.raises(RateLimited):
        await api.tail("artifact", keep=9)
    assert api.not_before is None
    with pytest.raises(RateLimited):
        await api.tail("log", keep=9)
    assert api.not_before == NOW + timedelta(seconds=90)


async def test_the_quota_is_kept_as_last_reported(api_over: Make) -> None:
    def read(headers: httpx.Headers, now: datetime) -> Quota | None:
        if "x-left" not in headers:
            return None
        return Quota(limit=100, remaining=int(headers["x-left"]), resets_at=now + timedelta(minutes=1))

    wire = Wire(
        httpx.Response(200, json=[], headers={"x-left": "41"}),
        httpx.Response(200, json=[]),
        httpx.Response(404, headers={"x-left": "39"}),
    )
    api = api_over(wire, read_quota=read)
    await api.get("a")
    await api.get("b")
    assert api.quota == Quota(limit=100, remaining=41, resets_at=NOW + timedelta(minutes=1))
    with pytest.raises(NotFound):
        await api.get("c")
    assert api.quota == Quota(limit=100, remaining=39, resets_at=NOW + timedelta(minutes=1))


# writing


async def test_a_write_sends_its_body_as_json_a_form_or_bytes(api_over: Make) -> None:
    wire = Wire(httpx.Response(201, json={}))
    api = api_over(wire)
    await api.post("builds", json={"ref": "main"}, query={"dry": False})
    await api.send("PUT", "form", form={"a": "x y&z"})
    await api.send("POST", "raw", content=b"\x00\x01", headers={"Content-Type": "application/octet-stream"})
    await api.send("DELETE", "builds/1")
    one, two, three, four = wire.asked
    assert (one.content, one.headers["content-type"], one.url.query) == (
        b'{"ref":"main"}',
        "application/json",
        b"dry=false",
    )
    assert (two.content, two.headers["content-type"]) == (b"a=x+y%26z", "application/x-www-form-urlencoded")
    assert (three.content, three.headers["content-type"]) == (b"\x00\x01", "application/octet-stream")
    assert (four.method, four.content) == ("DELETE", b"")


@pytest.mark.parametrize(
    ("fault", "acted"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.PoolTimeout("full"), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.WriteTimeout("slow"), True),
        (httpx.RemoteProtocolError("closed"), True),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_write_goes_out_once_and_says_whether_it_may_have_acted(
    api_over: Make, fault: Exception, acted: bool, method: str
) -> None:
    wire = Wire(fault)
    with pytest.raises(Unavailable) as caught:
        await api_over(wire).send(method, "builds", json={})
    assert caught.value.acted is acted
    assert len(wire.asked) == 1


@pytest.mark.parametrize(("status", "acted"), [(500, True), (502, True), (504, True), (408, True), (503, False)])
async def test_a_write_that_met_trouble_says_whether_it_may_have_acted(
    api_over: Make, status: int, acted: bool
) -> None:
    wire = Wire(httpx.Response(status))
    with pytest.raises(Unavailable) as caught:
        await api_over(wire).post("builds")
    assert caught.value.acted is acted
    assert len(wire.asked) == 1


async def test_a_write_whose_answer_broke_off_may_have_acted(api_over: Make) -> None:
    cut = httpx.Response(201, stream=piecemeal(b"{", then=httpx.ReadError("reset")))
    with pytest.raises(Unavailable, match="broke off") as caught:
        await api_over(Wire(cut)).post("builds")
    assert caught.value.acted


async def test_a_rate_limited_write_is_not_repeated(api_over: Make, pauses: list[float]) -> None:
    wire = Wire(httpx.Response(429, headers={"retry-after": "1"}))
    with pytest.raises(RateLimited):
        await api_over(wire).post("builds")
    assert len(wire.asked) == 1
    assert pauses == []


async def test_a_writes_redirect_is_not_followed_and_an_answer_only_where_expected(api_over: Make) -> None:
    wire = Wire(httpx.Response(302, headers={"location": f"{BASE}/elsewhere"}))
    api = api_over(wire)
    with pytest.raises(UnexpectedResponse, match="elsewhere") as caught:
        await api.post("builds")
    assert caught.value.status == 302
    got = await api.send("POST", "builds", accept={302})
    assert got.headers["location"] == f"{BASE}/elsewhere"
    assert [request.method for request in wire.asked] == ["POST", "POST"]


async def test_an_unreachable_system_says_why(api_over: Make) -> None:
    with pytest.raises(Unavailable, match=r"can't be reached: ci\.example refuses connections") as caught:
        await api_over(Wire(httpx.ConnectError("ci.example refuses connections"))).get("a")
    assert not caught.value.acted
    with pytest.raises(Unavailable, match="not answered in time"):
        await api_over(Wire(httpx.ReadTimeout(""))).get("a")


class Unsendable(httpx.Auth):
    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise httpx.LocalProtocolError(f"Illegal header value {TOKEN!r}")
        yield request  # type: ignore[unreachable]


@pytest.mark.parametrize(
    "more", [{"auth": Unsendable()}, {"headers": {"Private-Token": f"caf\u00e9-{TOKEN}"}}], ids=["newline", "accent"]
)
async def test_a_token_that_cannot_be_sent_is_reported_without_it(api_over: Make, more: dict[str, object]) -> None:
    api = api_over(Wire(httpx.Response(200)), **more)
    with pytest.raises(AuthFailed, match="characters that can't be sent") as caught:
        await api.get("a")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert TOKEN not in str(caught.value)


# redirects


async def test_a_moved_project_is_followed_with_its_token(api_over: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/projects/old":
            return httpx.Response(301, headers={"location": "/api/projects/9?x=1"})
        return httpx.Response(200, json={"auth": request.headers.get("authorization"), "url": str(request.url)})

    got = (await api_over(handler).get("projects/old")).decode(dict[str, str])
    assert got == {"auth": f"Bearer {TOKEN}", "url": f"{BASE}/projects/9?x=1"}


async def test_the_token_is_dropped_on_another_host_and_not_taken_up_again_on_the_way_back(api_over: Make) -> None:
    hops = {
        "https://ci.example/api/file": "https://files.example/one",
        "https://files.example/one": "https://ci.example/api/two",
    }

    def handler(request: httpx.Request) -> httpx.Response:
        target = hops.get(str(request.url))
        return httpx.Response(302, headers={"location": target}) if target else httpx.Response(200, content=b"end")

    wire = Wire(handler)
    api = api_over(wire, headers={"Private-Token": TOKEN, "X-Org": "acme"})
    chunks = [chunk async for chunk in api.download("file", headers={"Range": "bytes=0-9", "Accept": "*/*"})]
    assert b"".join(chunks) == b"end"
    first, second, third = wire.asked
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.headers["private-token"] == TOKEN
    for later in (second, third):
        assert TOKEN not in str(dict(later.headers))
        assert "x-org" not in later.headers
        assert (later.headers["range"], later.headers["accept"]) == ("bytes=0-9", "*/*")


@pytest.mark.parametrize(
    ("start", "target", "kept"),
    [
        ("http://ci.example", "https://ci.example/x", True),
        ("http://ci.example", "http://ci.example:8080/x", False),
        ("http://ci.example", "https://ci.example:8443/x", False),
        ("https://ci.example", "https://sub.ci.example/x", False),
        ("https://ci.example", "//ci.example:443/x", True),
    ],
)
async def test_another_port_or_scheme_is_another_place_but_for_the_usual_step_up_to_https(
    api_over: Make, start: str, target: str, kept: bool
) -> None:
    wire = Wire(httpx.Response(307, headers={"location": target}), httpx.Response(200, json=[]))
    await api_over(wire, base_url=start).get("a")
    assert ("authorization" in wire.asked[1].headers) is kept


@pytest.mark.parametrize("target", ["http://ci.example/api/x", "ftp://ci.example/x", "file:///etc/passwd"])
async def test_a_redirect_to_weaker_ground_is_refused(api_over: Make, target: str) -> None:
    wire = Wire(httpx.Response(302, headers={"location": target}))
    with pytest.raises(UnexpectedResponse, match="don't follow"):
        await api_over(wire).get("a")
    assert len(wire.asked) == 1


async def test_redirects_that_never_end_are_given_up(api_over: Make) -> None:
    wire = Wire(httpx.Response(302, headers={"location": f"{BASE}/round"}))
    with pytest.raises(UnexpectedResponse, match="in a circle"):
        await api_over(wire).get("a")
    assert len(wire.asked) == 6


@pytest.mark.parametrize("target", ["https://a:b:c/", "https://x:port/", "/\x01"])
async def test_a_garbled_redirect_or_address_or_next_page_is_reported_as_the_systems_fault(
    api_over: Make, target: str
) -> None:
    with pytest.raises(Unavailable, match="broke off"):
        await api_over(Wire(httpx.Response(302, headers={"location": target}))).get("a")
    api = api_over(Wire(httpx.Response(200, json=[])))
    with pytest.raises(UnexpectedResponse, match="can't read"):
        [page async for page in api.pages("a", next_page=lambda _: target)]
    with pytest.raises(UnexpectedResponse, match="can't read"):
        await api_over(Wire(httpx.Response(200))).get(f"https://x:port/{target}")


async def test_an_address_without_http_is_unexpected(api_over: Make) -> None:
    wire = Wire(httpx.UnsupportedProtocol("ftp"))
    with pytest.raises(UnexpectedResponse, match="can't read"):
        await api_over(wire).get("a")


async def test_a_whole_address_elsewhere_gets_no_credentials_unless_it_is_trusted(api_over: Make) -> None:
    wire = Wire(httpx.Response(200, json=[]))
    api = api_over(wire, credential_origins=["https://results.ci.example"], headers={"Private-Token": TOKEN})
    await api.get("https://results.ci.example/a")
    await api.get("https://evil.example/a")
    await api.post("https://evil.example/a", json={})
    kept, *dropped = wire.asked
    assert kept.headers["authorization"] == f"Bearer {TOKEN}"
    assert all(TOKEN not in str(dict(request.headers)) for request in dropped)


async def test_signed_addresses_are_fetched_without_credentials(api_over: Make) -> None:
    wire = Wire(httpx.Response(200, content=b"x"))
    api = api_over(wire, headers={"Private-Token": TOKEN})
    assert await api.tail(f"{BASE}/signed?sig=1", keep=10, credentials=False) == (b"x", False)
    assert TOKEN not in str(dict(wire.asked[0].headers))


# files


async def test_the_end_of_a_file_is_kept_and_no_more(api_over: Make) -> None:
    lines = [b"%05d\n" % number for number in range(2000)]
    api = api_over(lambda _: httpx.Response(200, stream=piecemeal(*lines)))
    assert await api.tail("log", keep=12) == (b"01998\n01999\n", True)
    assert await api.tail("log", keep=6 * 2000) == (b"".join(lines), False)
    assert await api.tail("log", keep=6 * 2000 - 1) == (b"".join(lines)[1:], True)


async def test_a_missing_file_is_reported_as_such(api_over: Make) -> None:
    with pytest.raises(NotFound, match="no log yet"):
        await api_over(Wire(httpx.Response(404, json={"message": "no log yet"}))).tail("log", keep=9)


async def test_a_download_that_breaks_off_is_unavailable(api_over: Make) -> None:
    cut = httpx.Response(200, stream=piecemeal(b"some", then=httpx.ReadTimeout("slow")))
    with pytest.raises(Unavailable, match="in time") as caught:
        await api_over(Wire(cut)).tail("log", keep=9)
    assert not caught.value.acted


class Counting(httpx.AsyncBaseTransport):
    """Answers when told, and counts how many requests are in flight and how many answers were closed."""

    def __init__(self) -> None:
        self.now = self.most = self.closed = 0
        self.go = asyncio.Event()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        return httpx.Response(200, stream=self.body())

    def body(self) -> httpx.AsyncByteStream:
        owner = self

        class Body(httpx.AsyncByteStream):
            @override
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b"[1]"
                yield b" "

            @override
            async def aclose(self) -> None:
                owner.now -= 1
                owner.closed += 1

        return Body()


async def test_at_most_eight_requests_are_under_way_at_once(api_over: Make) -> None:
    wire = Counting()
    api = api_over(wire)
    tasks = [asyncio.create_task(api.get("builds")) for _ in range(16)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert wire.now == 8
    wire.go.set()
    await asyncio.gather(*tasks)
    assert (wire.most, wire.closed) == (8, 16)


async def test_a_reader_that_stops_early_or_is_cancelled_gives_its_slot_back(api_over: Make) -> None:
    wire = Counting()
    wire.go.set()
    api = api_over(wire, concurrency=1)
    async with aclosing(api.download("file")) as chunks:
        assert await anext(chunks) == b"[1]"
    assert wire.closed == 1

    wire.go.clear()
    task = asyncio.create_task(api.get("builds"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wire.go.set()
    assert (await api.get("builds")).items() == [msgspec.Raw(b"1")]


def test_secrets_stay_out_of_a_replys_repr() -> None:
    assert TOKEN not in repr(reply(200, secrets=frozenset({TOKEN})))


@given(st.binary(max_size=60), st.sampled_from([200, 203, 304, 400, 401, 404, 429, 500, 503, 302]))
async def test_any_answer_is_a_reply_or_a_bot_error(body: bytes, status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    async with httpx.AsyncClient(transport=transport) as client:
        api = ApiClient(client, base_url=BASE, provider="Hudson", clock=lambda: NOW)
        with suppress(BotError):
            (await api.get("builds")).items()
