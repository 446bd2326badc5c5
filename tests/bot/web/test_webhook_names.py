"""Nobody finds out by its webhooks which connections there are: without a valid secret each answers as an unknown name does."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from bot.providers import PROVIDERS
from bot.web.app import WebDependencies, web_app
from bot.web.webhooks import HOOK_BYTES, WebhookQueue
from tests.bot.providers.case import Case, cases, opened
from tests.bot.providers.replay import Replay
from tests.set_clock import SetClock

CASES = cases()[0]
BODIES = (b"", b"{", b"\xff\x00", b"payload=%7B%7D", b'{"object_kind": "pipeline"}', b"[" * 5000, b"x" * 200_000)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {
        "x-gitlab-token": "wrong",
        "x-buildkite-token": "wrong",
        "x-hub-signature-256": "sha256=" + "0" * 64,
        "x-hub-signature": "sha256=" + "0" * 64,
        "x-buildkite-signature": "timestamp=1,signature=00",
        "circleci-signature": "v1=00",
        "signature": "AAAA",
        "x-truto-signature": "format=sha256,v=00",
        "authorization": "Basic d3Jvbmc6d3Jvbmc=",
    },
    {"x-gitlab-token": "\xe9", "x-hub-signature-256": "\xe9", "signature": "\xe9", "circleci-signature": "\xe9"},
)
NAMES = ("ci", "gone")


def endpoint(provider: Any) -> httpx.AsyncClient:
    """Return the web with one connection, `ci`."""

    async def provider_of(name: str) -> Any:
        return provider if name == "ci" else None

    async def nothing(_what: object) -> Any:
        raise AssertionError("nothing is to be polled")

    app = web_app(
        WebDependencies(
            take=nothing,  # type: ignore[arg-type]
            signing_secrets=("s",),
            provider_of=provider_of,
            webhooks=WebhookQueue(nothing),
            checks={},
            metrics=nothing,  # type: ignore[arg-type]
            installed=nothing,
            clock=SetClock(),
        )
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.example")


def test_every_kind_is_tried() -> None:
    assert {case.kind for case in CASES} == set(PROVIDERS)


@pytest.mark.parametrize("secret", ["as configured", None], ids=["with a secret", "without one"])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_without_a_valid_secret_each_connection_answers_as_an_unknown_name_does(
    case: Case, secret: str | None
) -> None:
    options = {} if secret else {"webhook_secret": None}
    async with opened(case, Replay([], case.origin), options) as provider, endpoint(provider) as http:
        for path in ("", "/wrong", "/%00", "/" + "x" * 300):
            for headers in HEADERS:
                raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
                for body in BODIES:
                    known, unknown = [
                        await http.post(f"/hooks/{name}{path}", content=body, headers=raw) for name in NAMES
                    ]
                    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
                    assert known.headers == unknown.headers
                    assert known.status_code == 401


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_unknown_name_costs_about_what_a_wrong_secret_does(case: Case) -> None:
    body = b"x" * (HOOK_BYTES // 2)
    spent: dict[str, list[float]] = {name: [] for name in NAMES}
    async with opened(case, Replay([], case.origin)) as provider, endpoint(provider) as http:
        for _turn in range(7):
            for name in NAMES:
                began = time.thread_time()
                await http.post(f"/hooks/{name}/wrong", content=body, headers=HEADERS[1])
                spent[name].append(time.thread_time() - began)
    began = time.thread_time()
    hashlib.sha256(body).digest()
    once = time.thread_time() - began
    difference = abs(min(spent["ci"]) - min(spent["gone"]))
    assert difference < 4 * once + 0.005
