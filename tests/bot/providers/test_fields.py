"""Every field of a vendor's build is read into ours and shown by `show --all`, or named with the reason why not.

Each member of an answer is changed by itself: what makes no difference to the build is ignored, and has to be in
`ignored_fields.py`. What does make one is a field of `Build`, and `all_details` shows all of those.
"""

import dataclasses
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import httpx
import msgspec
import pytest
from typing_extensions import override

from bot.blocks.details import all_details
from bot.blocks.plain import as_text
from bot.core.errors import BotError
from bot.core.models import Build
from tests.bot.providers.case import Call, Case, cases, opened, result_of
from tests.bot.providers.ignored_fields import EVERYWHERE, IGNORED
from tests.bot.providers.replay import Exchange, Replay, read_exchanges
from tests.bot.providers.test_samples import ENTRIES, Entry, Serving

CASES = cases()[0]
NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
FROM_LISTS = frozenset({"xcode_cloud_token"})
"""Cases whose builds are found in lists, among others."""
OWN = [
    (case, name)
    for case in CASES
    for name in ("build", "build_tag", "build_waiting")
    if name in case.calls and case.name not in FROM_LISTS
]
SINGLE = ("build_get", "pipeline_get", "run_get", "v3_build", "build_pipeline", "build_freestyle", "build_failed")
SAMPLES = [
    entry
    for entry in ENTRIES
    if entry.file in entry.case.samples and entry.about["kind"] == "response" and entry.file.startswith(SINGLE)
]
OTHER_VALUES = ("zz", 7, True, "2031-01-01T00:00:00Z", ["zz"])
"""What a member without a value is tried with."""


def members(part: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Yield the path and the value of each member that holds no others; of a list the first item stands for all."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(part, dict):
        inner = list(part.items())
    elif isinstance(part, list):
        inner = list(enumerate(part[:1]))
    for name, value in inner:
        yield from members(value, (*at, name))
    if not inner:
        yield at, part


def other_values(value: object) -> tuple[object, ...]:
    """Return values of the same type that differ."""
    match value:
        case bool():
            return (not value,)
        case int() | float():
            return (value + 1, value + 100_000)
        case str():
            return (f"2031{value[4:]}", f"zz{value}", f"{value}/zz") if value[:4].isdecimal() else (f"zz{value}", "zz")
        case _:
            return OTHER_VALUES


def changed(body: object, at: tuple[str | int, ...], value: object) -> object:
    """Return a body in which one member has another value."""
    if not at:
        return value
    match body:
        case dict():
            return {**body, at[0]: changed(body[at[0]], at[1:], value)}
        case list():
            return [changed(body[0], at[1:], value), *body[1:]]
        case _:
            raise AssertionError(at)


def reason_of(case: Case, path: str) -> str:
    """Return why a field is ignored, "" where nobody has said."""
    named = {**EVERYWHERE, **IGNORED.get(case.kind, {}), **IGNORED.get(case.name, {})}
    return next((reason for pattern, reason in named.items() if fnmatchcase(path, pattern)), "")


class Altered(Serving):
    """Serves a sample with another body."""

    content = b""

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        before = self.served
        response = await super().handle_async_request(request)
        if self.served == before:
            return response
        return httpx.Response(response.status_code, headers={"Content-Type": "application/json"}, content=self.content)


async def read(case: Case, transport: httpx.AsyncBaseTransport, call: Call) -> object:
    """Return what a call reads, or that it was refused."""
    try:
        async with opened(case, transport) as provider:
            return await result_of(call(provider))
    except BotError as exc:
        return str(exc)


async def unread_of(case: Case, body: object, builds_of: "Reader") -> AsyncIterator[str]:
    """Yield the paths whose values make no difference and that nobody has named."""
    whole = await builds_of(body)
    assert whole is not None
    for at, value in members(body):
        path = ".".join(map(str, at))
        if reason_of(case, path):
            continue
        for other in other_values(value):
            if await builds_of(changed(body, at, other)) != whole:
                break
        else:
            yield path


@dataclasses.dataclass(frozen=True)
class OfSample:
    """Reads a sample with a body of ours."""

    entry: Entry

    async def __call__(self, body: object) -> object:
        sample = self.entry.case.samples[self.entry.file]
        assert sample.call is not None
        transport = Altered(self.entry, sample)
        transport.content = json.dumps(body).encode()
        return await read(self.entry.case, transport, sample.call)


@dataclasses.dataclass(frozen=True)
class OfPayload:
    """Reads a payload file of ours in which the answer that holds the build has another body."""

    case: Case
    name: str

    async def __call__(self, body: object) -> object:
        exchanges = read_exchanges(self.case.payloads / f"{self.name}.json")
        at = exchanges.index(of_build(exchanges))
        exchanges[at] = msgspec.structs.replace(exchanges[at], body=body)
        replay = Replay(exchanges, self.case.origin, lenient=True)
        return await read(self.case, replay, self.case.calls[self.name])


Reader = OfSample | OfPayload


def of_build(exchanges: Sequence[Exchange]) -> Exchange:
    """Return the exchange that holds the build: the one whose answer has the most members."""
    return max(exchanges, key=lambda exchange: sum(1 for _ in members(exchange.body)))


@pytest.mark.parametrize("entry", SAMPLES, ids=str)
async def test_each_field_of_a_vendors_sample_is_shown_or_ignored_with_a_reason(entry: Entry) -> None:
    reader = OfSample(entry)
    body = json.loads(entry.content)
    whole = await reader(body)
    if not isinstance(whole, Build):
        pytest.skip("not read as one build")
    assert [path async for path in unread_of(entry.case, body, reader)] == []


@pytest.mark.parametrize(("case", "name"), OWN, ids=str)
async def test_each_field_of_our_own_answers_is_shown_or_ignored_with_a_reason(case: Case, name: str) -> None:
    reader = OfPayload(case, name)
    body = of_build(read_exchanges(case.payloads / f"{name}.json")).body
    assert [path async for path in unread_of(case, body, reader)] == []


@pytest.mark.parametrize(("case", "name"), OWN, ids=str)
async def test_everything_that_is_read_of_a_build_is_shown_by_show_all(case: Case, name: str) -> None:
    exchanges = read_exchanges(case.payloads / f"{name}.json")
    build = await read(case, Replay(exchanges, case.origin, lenient=True), case.calls[name])
    assert isinstance(build, Build)
    message = all_details(build, label="web", now=NOW, connection_label="CI")
    shown = as_text({"text": message.text, "blocks": list(message.blocks), "attachments": []})
    missing = [detail for detail in build.details.values() if detail[:60] not in shown]
    missing += [
        str(text) for text in (build.id, build.number, build.branch, build.commit) if text and str(text) not in shown
    ]
    assert missing == []
