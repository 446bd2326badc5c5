"""The vendors' own sample bodies, read by our adapters: `Case.samples` says how each is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typing_extensions import override

from tests.bot.providers.case import Case, Sample, cases, opened, result_of
from tests.bot.providers.replay import Exchange, path_of, read_exchanges
from tests.bot.providers.specs import ABSENT, FOLDER, fits

CASES = cases()[0]
READ = {"response", "error", "webhook"}


@dataclass(frozen=True)
class Entry:
    """A line of a samples index."""

    case: Case
    about: Mapping[str, Any]

    @property
    def file(self) -> str:
        return str(self.about["file"])

    @property
    def content(self) -> bytes:
        return (FOLDER / "samples" / self.case.kind / self.file).read_bytes()

    @override
    def __str__(self) -> str:
        return f"{self.case}-{self.file}"


def entries() -> list[Entry]:
    found = []
    for case in CASES:
        index = FOLDER / "samples" / case.kind / "index.json"
        if index.exists():
            found += [Entry(case, about) for about in json.loads(index.read_bytes()) if about["kind"] in READ]
    # where a kind has several cases, each reads its own and leaves the rest to the others
    return [
        one
        for one in found
        if one.file in {**one.case.samples, **one.case.unread} or one.case.name in {"", one.case.kind}
    ]


ENTRIES = entries()


class Serving(httpx.AsyncBaseTransport):
    """Serves the sample at its path, our own payloads elsewhere (each exchange once), 404 else."""

    def __init__(self, entry: Entry, sample: Sample) -> None:
        self.entry = entry
        self.path = (sample.at or str(entry.about.get("path", ""))).partition("?")[0]
        self.served = 0
        self.also: list[Exchange] = [
            exchange for name in sample.also for exchange in read_exchanges(entry.case.payloads / f"{name}.json")
        ]

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        method = self.entry.about.get("method", request.method)
        raw = request.url.raw_path.decode().partition("?")[0]
        if method == request.method and (fits(self.path, raw) or self.path in {"", raw}):
            self.served += 1
            headers = {"Content-Type": "application/json", **self.entry.about.get("headers", {})}
            return httpx.Response(self.entry.about["status"], headers=headers, content=self.entry.content)
        for exchange in self.also:
            path = exchange.request.path.partition("?")[0]
            if exchange.request.method == request.method and path in {raw, path_of(request.url)}:
                self.also.remove(exchange)
                return exchange.response()
        return httpx.Response(404, json={"message": "not here"})


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
def test_the_descriptions_and_samples_are_there() -> None:
    assert ENTRIES


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
async def test_sample_reads_as_documented(entry: Entry) -> None:
    case = entry.case
    sample = case.samples.get(entry.file)
    if sample is None:
        assert entry.file in case.unread, f"{entry.file} is neither in `samples` nor, with a reason, in `unread`"
        return
    if entry.about["kind"] == "webhook":
        await reads_webhook(entry, sample)
        return
    assert sample.call is not None
    transport = Serving(entry, sample)
    async with opened(case, transport, sample.options) as provider:
        if sample.raises is not None:
            with pytest.raises(sample.raises) as raised:
                await result_of(sample.call(provider))
            found: object = raised.value
        else:
            found = await result_of(sample.call(provider))
    assert transport.served, f"the call never asked for {transport.path}"
    assert sample.facts is not None or sample.raises is not None, "a sample without facts proves nothing"
    if sample.facts is not None:
        sample.facts(found)


async def reads_webhook(entry: Entry, sample: Sample) -> None:
    """A webhook sample, signed as the case signs."""
    case = entry.case
    assert case.sign is not None
    given = {name.lower(): value for name, value in entry.about.get("headers", {}).items()}
    headers, path_secret = case.sign(entry.content, given)
    async with opened(case, httpx.MockTransport(lambda _: httpx.Response(404)), sample.options) as provider:
        event = provider.parse_webhook(
            {name.lower(): value for name, value in headers.items()}, entry.content, path_secret
        )
    assert sample.facts is not None
    sample.facts(event)
