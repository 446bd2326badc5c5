"""Answers requests from files, so that adapters are tested at the wire.

`payloads/<name>/<operation>.json`:

    {"source": page or account, "evidence": "documented" | "recorded", "date": "YYYY-MM-DD",
     "exchanges": [{"request": {"method": "GET", "path": "/v2/…", "query": {…}, "headers": {…}, "json": …},
                    "status": 200, "headers": {…}, "body": …}]}

A request's `path` begins with `/` (at the adapter's origin) or is a whole address. `query` is exact; a list repeats its
name. `json`, `form` or `text` is the exact body, none of them means no body. `headers` is what must be there at least.
An answer has `body` (JSON) or `text`, or instead a `fault`: `timeout`, `connect` or `broken`. An exchange serves one
request; `"times": n` serves n. Requests to another origin must not carry a secret unless `"credentials": true`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import httpx
import msgspec
from typing_extensions import override

from bot.http.sending import origin_of
from tests.bot.providers.specs import Specs

EVIDENCE = {"documented", "recorded"}
FAULTS = {
    "timeout": httpx.ReadTimeout("timed out"),
    "connect": httpx.ConnectError("refused"),
    "broken": httpx.RemoteProtocolError("the peer closed the connection"),
}


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A request as written in a file."""

    path: str
    method: str = "GET"
    query: dict[str, str | list[str]] = {}
    headers: dict[str, str] = {}
    json: Any = msgspec.UNSET
    form: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET


class Exchange(msgspec.Struct, forbid_unknown_fields=True):
    """A request and its answer as written in a file."""

    request: Asked
    status: int = 200
    headers: dict[str, str] = {}
    body: Any = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    fault: str | msgspec.UnsetType = msgspec.UNSET
    times: int = 1
    credentials: bool = False
    note: str = ""

    def response(self) -> httpx.Response:
        if self.fault is not msgspec.UNSET:
            raise FAULTS[self.fault]
        headers = dict(self.headers)
        if self.body is not msgspec.UNSET:
            headers.setdefault("Content-Type", "application/json")
            return httpx.Response(self.status, headers=headers, content=json.dumps(self.body).encode())
        return httpx.Response(
            self.status, headers=headers, content=self.text.encode() if isinstance(self.text, str) else b""
        )


class Exchanges(msgspec.Struct, forbid_unknown_fields=True):
    """A payload file."""

    source: str
    evidence: str
    date: date
    exchanges: list[Exchange]
    note: str = ""


class Hook(msgspec.Struct, forbid_unknown_fields=True):
    """A webhook's payload file, `hook_<event>.json`: headers without the signature, and a body or its text."""

    source: str
    evidence: str
    date: date
    headers: dict[str, str] = {}
    body: Any = msgspec.UNSET
    text: str = ""
    note: str = ""

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.body is msgspec.UNSET else json.dumps(self.body).encode()

    @property
    def lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}


def read_exchanges(file: Path) -> list[Exchange]:
    """The exchanges of a payload file; it must say where it comes from."""
    whole = msgspec.json.decode(file.read_bytes(), type=Exchanges)
    assert whole.evidence in EVIDENCE, f"{file.name}: evidence is one of {EVIDENCE}"
    assert whole.source, f"{file.name}: source is missing"
    return whole.exchanges


def read_webhook_file(file: Path) -> Hook:
    """A webhook's payload file."""
    webhook = msgspec.json.decode(file.read_bytes(), type=Hook)
    assert webhook.evidence in EVIDENCE, f"{file.name}: evidence is one of {EVIDENCE}"
    return webhook


@dataclass
class Replay(httpx.AsyncBaseTransport):
    """Answers what is written, fails on anything else; `finish` fails on what was never asked.

    `lenient` answers 404 to what is not written and minds no leftovers (for gnawed bodies).
    """

    exchanges: Sequence[Exchange]
    origin: str
    secrets: tuple[str, ...] = ()
    specs: Specs | None = None
    lenient: bool = False
    seen: list[httpx.Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = [exchange for exchange in self.exchanges for _ in range(exchange.times)]

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.seen.append(request)
        fits = fitting(request, self.origin)
        exchange = next((one for one in self._left if fits(one.request)), None)
        if exchange is None:
            if self.lenient:
                return httpx.Response(404, json={"message": "not here"})
            raise self._problem(f"a request that is not written: {told(request)}\n{self._written()}")
        self._left.remove(exchange)
        if not self.lenient:
            self._inspect(exchange, request)
        return exchange.response()

    def finish(self) -> None:
        """Fail if something written was never asked, or if a request was refused and the adapter hid it."""
        assert not self.problems, self.problems[0]
        assert not self._left, f"never asked:\n{self._written()}"

    def _inspect(self, exchange: Exchange, request: httpx.Request) -> None:
        for secret in self.secrets:
            if secret in unquote(str(request.url)):
                raise self._problem(f"a secret in the address of {request.method} {request.url.path}")
            abroad = not same_origin(request.url, httpx.URL(self.origin)) and not exchange.credentials
            if abroad and any(secret in value for value in request.headers.values()):
                raise self._problem(f"a secret went to another host: {request.url.host}")
        if self.specs is None or not same_origin(request.url, httpx.URL(self.origin)):
            return
        if faults := self.specs.faults_of(request):
            raise self._problem(f"not as the API description has it: {told(request)}\n" + "\n".join(faults))
        if exchange.body is not msgspec.UNSET and (
            faults := self.specs.faults_of_answer(request, exchange.status, exchange.body)
        ):
            raise self._problem(
                f"a payload is not as the API description has it: {told(request)}\n" + "\n".join(faults)
            )

    def _problem(self, words: str) -> AssertionError:
        self.problems.append(words)
        return AssertionError(words)

    def _written(self) -> str:
        lines = [f"  {one.request.method} {one.request.path} {flat(one.request)}" for one in self._left]
        return "written and not yet asked:\n" + ("\n".join(lines) or "  nothing")


def fitting(request: httpx.Request, origin: str) -> Callable[[Asked], bool]:
    """Return what says whether a request is the one that a file asks for."""
    address = Address.of(request.url)

    def fits(asked: Asked) -> bool:
        if asked.method != request.method:
            return False
        wanted = address_in_file(asked.path, origin)
        return (
            (wanted.origin, wanted.path) == (address.origin, address.path)
            and address.query == sorted([*wanted.query, *flat(asked)])
            and all(request.headers.get(name) == value for name, value in asked.headers.items())
            and body_fits(asked, request)
        )

    return fits


@dataclass(frozen=True)
class Address:
    """What of an address is compared."""

    origin: tuple[str, str, int | None]
    path: str
    query: list[tuple[str, str]]

    @classmethod
    def of(cls, url: httpx.URL) -> "Address":
        query = sorted(parse_qsl(url.query.decode(), keep_blank_values=True))
        return cls(origin_of(url), path_of(url), query)


@cache
def address_in_file(path: str, origin: str) -> Address:
    """The address that a file writes, read once: the same files are read thousands of times."""
    return Address.of(httpx.URL(path if "://" in path else f"{root(origin)}{path}"))


def body_fits(asked: Asked, request: httpx.Request) -> bool:
    if asked.json is not msgspec.UNSET:
        return bool(request.content) and bool(json.loads(request.content) == asked.json)
    if isinstance(asked.form, dict):
        return sorted(parse_qsl(request.content.decode(), keep_blank_values=True)) == sorted(asked.form.items())
    if isinstance(asked.text, str):
        return request.content == asked.text.encode()
    return not request.content


def flat(asked: Asked) -> list[tuple[str, str]]:
    return [
        (name, part) for name, value in asked.query.items() for part in ([value] if isinstance(value, str) else value)
    ]


def told(request: httpx.Request) -> str:
    """A request in one line, without its headers: they hold the token."""
    query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
    return f"{request.method} {path_of(request.url)} {query} {request.content.decode('utf-8', 'replace')[:2000]}"


def path_of(url: httpx.URL) -> str:
    """The path as sent, with percent-encoding made uniform (`%2F` stays apart from `/`)."""
    raw = url.raw_path.decode().partition("?")[0]
    return "/".join(quote(unquote(part), safe="") for part in raw.split("/"))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return origin_of(one) == origin_of(other)


def root(origin: str) -> str:
    url = httpx.URL(origin)
    return f"{url.scheme}://{url.netloc.decode()}"


def as_json(value: object) -> object:
    """Our models as JSON, without what is unknown: the form of the `.expected.json` files."""
    if isinstance(value, bytes):
        return {"bytes": value.decode("utf-8", "replace")}
    return _known(msgspec.to_builtins(value))


def _known(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: kept for name, part in value.items() if (kept := _known(part)) not in (None, {})}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return value
