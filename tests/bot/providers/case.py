"""What the common tests need to know about one CI system: its `Case`.

`cases/<name>.py` holds one as `CASE`. `name` is the kind, or `<kind>_<variant>` where a system has two faces; payloads
lie in `payloads/<name>/`.
"""

import importlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

from bot.core.errors import BotError
from bot.providers import PROVIDERS, open_provider
from bot.providers.base.provider import Provider

HERE = Path(__file__).parent
NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
CONNECTION = "ci"

Call = Callable[[Provider[Any]], object]
"""Asks the adapter one thing: returns a value, an awaitable or an async iterator."""
Sign = Callable[[bytes, Mapping[str, str]], tuple[Mapping[str, str], str | None]]
"""Body and headers (lower case) -> headers as the vendor would send them, and the secret in the path, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer given to every request that fits; `path` may hold `{names}`."""

    path: str
    body: object = None
    method: str = "GET"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How a sample body of `specs/samples/<kind>` is read: what to call, and what must then hold.

    `facts` asserts; `raises` is the error instead. `at` is the path to serve it at where the index names another
    or none; `options` replace the case's; `also` are payload files of ours that answer the call's other requests. A webhook has no `call`: `facts`
    are about its webhook event.
    """

    call: Call | None = None
    facts: Callable[[Any], None] | None = None
    raises: type[BotError] | None = None
    at: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endless:
    """A listing that never ends by itself: page `n` (from 1) of it, naming the next one."""

    call: Call
    page: Callable[[httpx.Request, int], httpx.Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """An id of another pipeline's build, asked for under `pipeline`: what the vendor answers, and whose build it is."""

    pipeline: str
    build: str
    answers: tuple[Answer, ...]
    belongs_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """The page of a job, step, test or artifact, what the vendor answers, and the build (and job) it belongs to."""

    url: str
    build: str
    pipeline: str
    job: str | None = None
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One CI system in the common tests.

    options         as in buildbell.toml, secrets and `webhook_secret` included
    secrets         texts that must never be seen in an address, a log line, an error or a repr
    states          every state the vendor documents, kept by hand: the adapter's `states` must hold them all
    calls           payload file -> call; named `<method>` or `<method>_<variant>`
    pipeline,build  ids for questions that are the same for all systems
    unknown_state   answers under which `build(pipeline, build)` stands in the given state
    endless         listings without end; `pipelines` and `builds` at least
    sign            makes a webhook authentic; None where the system sends none
    samples         specs/samples file -> how it is read
    unread          specs/samples file -> why the adapter never meets it
    unlisted        path (with `{names}`) that the API description lacks -> why the adapter asks it all the same
    undeclared      query parameter that the API description lacks or describes wrongly -> why it is sent all the same
    spec_path       turns a request's path into the one the description knows (nested folders)
    check_answers   whether our own payload bodies are held to the description, too
    first           what answers before any question does (a token made for the occasion), where nothing else answers
    foreign         an id of another pipeline's build; or, as a text, why the vendor's routes know no such thing
    job_pages       pages of jobs, steps, tests and artifacts: they mean their own build
    ref_builds      "branch", "pull_request", "fork", "tag" -> answers under which `build(pipeline, build)` is a build
                    of that kind; or, as a text, why the vendor does not tell
    faults          (operation, fault) -> another error than the usual one, or None where the adapter does without
    """

    kind: str
    name: str = ""
    options: Mapping[str, object]
    secrets: tuple[str, ...]
    states: frozenset[str]
    calls: Mapping[str, Call]
    pipeline: str
    build: str
    unknown_state: Callable[[str], tuple[Answer, ...]]
    endless: Mapping[str, Endless]
    sign: Sign | None = None
    samples: Mapping[str, Sample] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    unlisted: Mapping[str, str] = field(default_factory=dict)
    undeclared: Mapping[str, str] = field(default_factory=dict)
    spec_path: Callable[[str], str] = str
    check_answers: bool = True
    first: tuple[Answer, ...] = ()
    foreign: Foreign | str = ""
    job_pages: tuple[JobPage, ...] = ()
    ref_builds: Mapping[str, tuple[Answer, ...] | str] = field(default_factory=dict)
    faults: Mapping[tuple[str, str], type[BotError] | None] = field(default_factory=dict)

    @override
    def __str__(self) -> str:
        return self.name or self.kind

    @property
    def payloads(self) -> Path:
        return HERE / "payloads" / str(self)

    @cached_property
    def settings(self) -> Any:
        """The options as the provider's own, frozen type."""
        return PROVIDERS[self.kind].options_type.model_validate(dict(self.options))

    @cached_property
    def provider_class(self) -> type[Provider[Any]]:
        """The class that speaks for these options: the kind's own, or its variant."""
        return PROVIDERS[self.kind].variant(self.settings)

    @property
    def origin(self) -> str:
        """The adapter's API root, as it makes it from the options."""
        return str(self.provider_class.base_url(self.settings))


def clock() -> datetime:
    return NOW


async def no_sleep(_seconds: float) -> None:
    """Wait not at all."""


@asynccontextmanager
async def opened(
    case: Case, transport: httpx.AsyncBaseTransport, options: Mapping[str, object] | None = None
) -> AsyncIterator[Provider[Any]]:
    """The case's adapter, speaking through `transport`; `options` replace some of the case's (None: leave out)."""
    settings = case.settings
    if options:
        merged = {name: value for name, value in {**case.options, **options}.items() if value is not None}
        settings = PROVIDERS[case.kind].options_type.model_validate(merged)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        yield open_provider(CONNECTION, case.kind, settings, client=client, clock=clock, sleep=no_sleep)


async def result_of(asked: object) -> object:
    """What a call comes to: an awaitable is awaited, an async iterator becomes a list, bytes become one."""
    if isinstance(asked, Awaitable):
        return await asked
    if isinstance(asked, AsyncIterator):
        items = [item async for item in asked]
        return b"".join(items) if items and isinstance(items[0], bytes) else items
    return asked


@cache
def cases() -> tuple[tuple[Case, ...], Mapping[str, str]]:
    """Every case there is, and the files that do not import (name -> why), which `test_contract` reports."""
    found: list[Case] = []
    broken: dict[str, str] = {}
    for file in sorted((HERE / "cases").glob("*.py")):
        try:
            case: Case = importlib.import_module(f"tests.bot.providers.cases.{file.stem}").CASE
        except Exception:  # noqa: BLE001 - one bad case must not hide the others; a test fails for it
            broken[file.stem] = traceback.format_exc()
            continue
        if case.kind in PROVIDERS:
            found.append(case)
        else:
            broken[file.stem] = f"{case.kind} is not in PROVIDERS"
    return tuple(found), broken
