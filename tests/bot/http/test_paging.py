"""Listings over several pages."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import msgspec
import pytest

from bot.core.errors import (
    UnexpectedResponse,
)
from bot.http.paging import link_next
from tests.bot.http.wire import BASE, Make, Wire, reply


def three_pages(request: httpx.Request) -> httpx.Response:
    number = int(request.url.params.get("page", "1"))
    headers = {"link": f'<{BASE}/builds?page={number + 1}>; rel="next"'} if number < 3 else {}
    return httpx.Response(200, json=[number * 10, number * 10 + 1], headers=headers)


async def collected(pages: AsyncIterator[list[msgspec.Raw]]) -> list[int]:
    return [msgspec.json.decode(item, type=int) async for page in pages for item in page]


async def test_a_listing_is_followed_to_its_end(api_over: Make) -> None:
    wire = Wire(three_pages)
    assert await collected(api_over(wire).pages("builds")) == [10, 11, 20, 21, 30, 31]
    assert all("authorization" in request.headers for request in wire.asked)


async def test_a_listing_stops_at_its_ceiling_and_where_the_reader_stops(api_over: Make) -> None:
    wire = Wire(three_pages)
    assert await collected(api_over(wire).pages("builds", ceiling=2)) == [10, 11, 20, 21]
    wire.asked.clear()
    async with aclosing(api_over(wire).pages("builds")) as pages:
        async for _ in pages:
            break
    assert len(wire.asked) == 1


async def test_a_page_that_names_a_page_already_seen_ends_the_listing(api_over: Make) -> None:
    wire = Wire(lambda _: httpx.Response(200, json={"values": [1]}))
    turns = iter(["?page=2", "builds"])
    api = api_over(wire)
    assert await collected(api.pages("builds", member="values", next_page=lambda _: next(turns))) == [1, 1]


async def test_a_relative_next_page_is_joined_to_the_page_before(api_over: Make) -> None:
    wire = Wire(httpx.Response(200, json=[1], headers={"link": "<?page=2>; rel=next"}), httpx.Response(200, json=[2]))
    assert await collected(api_over(wire).pages("builds")) == [1, 2]
    assert str(wire.asked[1].url) == f"{BASE}/builds?page=2"


@pytest.mark.parametrize("place", ["https://evil.example/x", "http://ci.example/api/x", "https://ci.example:8443/x"])
async def test_a_next_page_at_another_origin_is_refused(api_over: Make, place: str) -> None:
    wire = Wire(httpx.Response(200, json=[1], headers={"link": f'<{place}>; rel="next"'}))
    pages = api_over(wire).pages("builds")
    assert await anext(pages) == [msgspec.Raw(b"1")]
    with pytest.raises(UnexpectedResponse, match="another host for the next page"):
        await anext(pages)
    assert len(wire.asked) == 1


def test_the_link_header_names_the_next_page() -> None:
    headers = httpx.Headers({"link": f'<{BASE}?p=1>; rel="prev", <{BASE}?p=3>; rel="next"'})
    assert link_next(reply(200, headers=headers)) == f"{BASE}?p=3"
    assert link_next(reply(200)) is None
    assert link_next(reply(200, headers=httpx.Headers({"link": "garbage"}))) is None
