"""A CI system that answers reads from a case's answers and recorded payloads, and refuses writes but remembers them."""

from collections.abc import Iterable
from itertools import chain

import httpx
import msgspec
from typing_extensions import override

from bot.http.sending import SAFE_METHODS
from tests.bot.providers.case import Answer, Case
from tests.bot.providers.replay import Exchange, path_of, read_exchanges
from tests.bot.providers.specs import fits


class Server(httpx.AsyncBaseTransport):
    """Answers reads with answers or recorded bodies and refuses writes; remembers every request."""

    def __init__(self, answers: Iterable[Answer] = (), recorded: Iterable[Exchange] = (), status: int = 404) -> None:
        self.answers = tuple(answers)
        self.recorded = tuple(recorded)
        self.status = status
        self.requests: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        path = request.url.raw_path.decode().partition("?")[0]
        for answer in self.answers:
            if answer.method == request.method and fits(answer.path, path):
                return httpx.Response(answer.status, headers=dict(answer.headers), json=answer.body)
        if request.method not in SAFE_METHODS:
            return httpx.Response(422, json={"message": "refused by the test"})
        for exchange in self.recorded:
            if path_of(httpx.URL(f"http://x{httpx.URL(exchange.request.path).raw_path.decode()}")) == path_of(
                request.url
            ):
                return exchange.response()
        return httpx.Response(self.status, json={"message": "not here"} if self.status == 404 else {})

    @property
    def writes(self) -> list[httpx.Request]:
        return [request for request in self.requests if request.method not in SAFE_METHODS]


def recorded(case: Case) -> tuple[Exchange, ...]:
    """The successful reads of all of a case's payload files."""
    exchanges = chain.from_iterable(
        read_exchanges(case.payloads / f"{name}.json")
        for name in sorted(case.calls, key=lambda name: (len(name), name))
    )
    return tuple(
        exchange
        for exchange in exchanges
        if exchange.request.method in SAFE_METHODS and exchange.status == 200 and exchange.fault is msgspec.UNSET
    )


def fits_any(answers: Iterable[Answer], request: httpx.Request) -> bool:
    path = request.url.raw_path.decode().partition("?")[0]
    return any(answer.method == request.method and fits(answer.path, path) for answer in answers)
