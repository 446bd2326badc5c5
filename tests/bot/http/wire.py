"""The wire of the tests of `bot.http`: answers in turn, a clock that stands, and credentials."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime

import httpx
from typing_extensions import override

from bot.http.client import ApiClient
from bot.http.reply import Reply

NOW = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
BASE = "https://ci.example/api"
TOKEN = "made-up-token-81d2"

Handler = Callable[[httpx.Request], httpx.Response]
Make = Callable[..., ApiClient]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Bearer(httpx.Auth):
    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


class Wire:
    """Answers in turn (the last one for ever) and keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Handler) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def reply(status: int = 400, body: bytes = b"", kind: str = "application/json", **more: object) -> Reply:
    headers = httpx.Headers({"content-type": kind})
    settings: dict[str, object] = {"status": status, "headers": headers, "content": body, "url": BASE} | more
    return Reply(provider="Hudson", **settings)  # type: ignore[arg-type]
