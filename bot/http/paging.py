"""Listings over several pages."""

from collections.abc import AsyncGenerator, Callable, Mapping

import httpx

from bot.core.errors import UnexpectedResponse
from bot.http.reply import Reply
from bot.http.sending import ANSWER_BYTES, RequestSender, origin_of

NextPage = Callable[[Reply], str | None]


def link_next(reply: Reply) -> str | None:
    """Return the next page as an RFC 8288 `Link` header names it."""
    links: dict[str | None, dict[str, str]] = httpx.Response(200, headers=reply.headers).links
    return links.get("next", {}).get("url")


async def follow(
    sender: RequestSender, url: str, next_page: NextPage, *, headers: Mapping[str, str] | None, ceiling: int
) -> AsyncGenerator[Reply, None]:
    """Yield the pages of a listing from `url` on, at most `ceiling`. One request each.

    Raises UnexpectedResponse for a next page at another origin: the token would go with it. A page that names one
    already read ends the listing.
    """
    following: str | None = url
    read: set[str] = set()
    while following is not None and following not in read and len(read) < ceiling:
        read.add(following)
        reply = await sender.read("GET", following, headers, ANSWER_BYTES)
        yield reply
        target = next_page(reply)
        if target is None:
            return
        page = sender.joined(reply.url, target)
        following = str(page)
        if origin_of(page) != sender.origin:
            raise UnexpectedResponse(
                f"{sender.provider} sent me to another host for the next page; I did not follow.",
                provider=sender.provider,
            )
