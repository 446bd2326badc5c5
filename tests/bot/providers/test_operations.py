"""Every operation of every adapter against its payload files: the pairs, gnawed bodies, webhooks."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot.core.errors import AuthFailed, BotError
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import OVERRIDES, Capability
from tests.bot.providers.case import Call, Case, cases, opened, result_of
from tests.bot.providers.gnaw import gnawed
from tests.bot.providers.replay import Exchange, Hook, Replay, as_json, read_exchanges, read_webhook_file
from tests.bot.providers.specs import Specs

CASES = cases()[0]
REQUIRED = ("check", "pipelines", "pipeline", "builds", "build")


@dataclass(frozen=True)
class Operation:
    case: Case
    name: str
    call: Call

    @property
    def file(self) -> Path:
        return self.case.payloads / f"{self.name}.json"


def webhooks_of(case: Case) -> list[Path]:
    return [file for file in sorted(case.payloads.glob("hook_*.json")) if not file.name.endswith(".expected.json")]


@dataclass(frozen=True)
class Bites:
    """The members of one answer to gnaw: the exchange's number, and what is done to each, as `gnawed` words it."""

    exchange: int
    members: frozenset[str]


def mouthfuls(operations: Iterable[Operation]) -> list[tuple[Operation, list[Bites]]]:
    """Return which answers of which operations to gnaw where.

    Each member is gnawed once for each kind of provider and place, in the operation that needs the fewest requests.
    """
    readable: list[tuple[Operation, list[Exchange]]] = []
    for operation in operations:
        try:
            readable.append((operation, read_exchanges(operation.file)))
        except (OSError, AssertionError, msgspec.DecodeError, msgspec.ValidationError):
            continue  # its own test says what is wrong
    chosen: list[tuple[Operation, list[Bites]]] = []
    seen: set[tuple[str, str, str]] = set()
    for operation, exchanges in sorted(readable, key=lambda entry: len(entry[1])):
        places: list[Bites] = []
        for n, exchange in enumerate(exchanges):
            place = exchange.request.path.partition("?")[0].rpartition("/")[2]
            about = (operation.case.kind, "" if place.isdecimal() else place)
            if exchange.body is msgspec.UNSET or exchange.status >= 400:
                continue
            fresh = {bite for bite, _ in gnawed(exchange.body) if (*about, bite) not in seen}
            seen.update((*about, bite) for bite in fresh)
            if fresh:
                places.append(Bites(n, frozenset(fresh)))
        if places:
            chosen.append((operation, places))
    return chosen


OPERATIONS = [Operation(case, name, call) for case in CASES for name, call in case.calls.items()]
MOUTHFULS = mouthfuls(OPERATIONS)
HOOKS = [(case, file) for case in CASES for file in webhooks_of(case)]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.case}-{one.name}")
EVERY_MOUTHFUL = pytest.mark.parametrize(
    ("operation", "places"), MOUTHFULS, ids=[f"{one.case}-{one.name}" for one, _ in MOUTHFULS]
)
EVERY_HOOK = pytest.mark.parametrize(("case", "file"), HOOKS, ids=[f"{case}-{file.stem}" for case, file in HOOKS])


@EVERY_OPERATION
async def test_operation_reads_as_expected(
    operation: Operation, write_expected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    case = operation.case
    specs = Specs(
        kind=case.kind,
        unlisted=case.unlisted,
        undeclared=case.undeclared,
        spec_path=case.spec_path,
        check_answers=case.check_answers,
    )
    replay = Replay(read_exchanges(operation.file), case.origin, case.secrets, specs)
    said = await outcome(case, replay, operation.call)
    replay.finish()
    for secret in case.secrets:
        assert secret not in json.dumps(said), "a secret is in what the adapter returned"
        assert secret not in caplog.text, "a secret is in the log"
    agrees(said, operation.file.with_suffix(".expected.json"), write=write_expected)


@EVERY_MOUTHFUL
async def test_gnawed_answer_reads_or_is_an_error_for_people(operation: Operation, places: list[Bites]) -> None:
    case = operation.case
    exchanges = read_exchanges(operation.file)
    for bites in places:
        n, exchange = bites.exchange, exchanges[bites.exchange]
        for said, body in gnawed(exchange.body):
            if said not in bites.members:
                continue
            worse = msgspec.structs.replace(exchange, body=body)
            replay = Replay([*exchanges[:n], worse, *exchanges[n + 1 :]], case.origin, lenient=True)
            try:
                read = await outcome(case, replay, operation.call)
                json.dumps(read, ensure_ascii=False).encode()
            except Exception as exc:  # noqa: BLE001 - whatever it is, it must say which bite it was
                pytest.fail(f"{exchange.request.method} {exchange.request.path}: {said}: {exc!r}")


@EVERY_CASE
def test_each_payload_has_a_call_and_each_capability_an_operation(case: Case) -> None:
    written = {file.stem for file in case.payloads.glob("*.json") if not file.name.endswith(".expected.json")}
    assert {name for name in written if not name.startswith("hook_")} == set(case.calls)
    called = {name for name in REQUIRED if not _any(case.calls, name)}
    assert not called, f"no operation shows {called}"
    declared = PROVIDERS[case.kind].capabilities - {Capability.WEBHOOK}
    missing = {one for one in declared if not _any(case.calls, OVERRIDES[one]) and case.name in {"", case.kind}}
    assert not missing, f"declared, and no operation shows it: {missing}"
    assert bool(webhooks_of(case)) == (case.sign is not None)


def _any(calls: Iterable[str], method: str) -> bool:
    return any(name == method or name.startswith(f"{method}_") for name in calls)


@EVERY_HOOK
async def test_webhook_reads_as_expected(case: Case, file: Path, write_expected: bool) -> None:
    webhook = read_webhook_file(file)
    headers, path_secret = signed(case, webhook.content, webhook)
    async with opened(case, Replay([], case.origin)) as provider:
        event = provider.parse_webhook(headers, webhook.content, path_secret)
    agrees(as_json(event), file.with_suffix(".expected.json"), write=write_expected)


@EVERY_HOOK
async def test_webhook_is_refused_unsigned_or_with_another_secret_or_body_or_with_none_set(
    case: Case, file: Path
) -> None:
    webhook = read_webhook_file(file)
    headers, path_secret = signed(case, webhook.content, webhook)
    async with opened(case, Replay([], case.origin)) as provider:
        with pytest.raises(AuthFailed):
            provider.parse_webhook(webhook.lower_headers, webhook.content, None)
        bare = {name: "" if name not in webhook.lower_headers else value for name, value in headers.items()}
        with pytest.raises(AuthFailed):
            provider.parse_webhook(bare, webhook.content, "" if path_secret is not None else None)
    async with opened(case, Replay([], case.origin), {"webhook_secret": "quite another secret"}) as provider:
        with pytest.raises(AuthFailed):
            provider.parse_webhook(headers, webhook.content, path_secret)
    async with opened(case, Replay([], case.origin), {"webhook_secret": None}) as provider:
        with pytest.raises(AuthFailed):
            provider.parse_webhook(headers, webhook.content, path_secret)


@EVERY_HOOK
async def test_gnawed_webhook_reads_or_is_an_error_for_people(case: Case, file: Path) -> None:
    webhook = read_webhook_file(file)
    bodies = [("is no JSON", b"\xff\x00{"), ("is empty", b"")]
    if webhook.body is not msgspec.UNSET:
        bodies += [(said, json.dumps(body).encode()) for said, body in gnawed(webhook.body)]
    async with opened(case, Replay([], case.origin)) as provider:
        for said, content in bodies:
            headers, path_secret = signed(case, content, webhook)
            try:
                event = provider.parse_webhook(headers, content, path_secret)
            except BotError:
                continue
            except Exception as exc:  # noqa: BLE001 - whatever it is, it must say which bite it was
                pytest.fail(f"{file.name}: {said}: {exc!r}")
            assert event is None or all(
                isinstance(part, str | None) for part in (event.delivery, event.pipeline, event.build)
            ), said


def signed(case: Case, content: bytes, webhook: Hook) -> tuple[dict[str, str], str | None]:
    assert case.sign is not None
    headers, path_secret = case.sign(content, webhook.lower_headers)
    return {name.lower(): value for name, value in headers.items()}, path_secret


async def outcome(case: Case, replay: Replay, call: Call) -> Any:
    """What a call comes to as JSON: our model, or the error a person is told."""
    async with opened(case, replay) as provider:
        try:
            return as_json(await result_of(call(provider)))
        except BotError as exc:
            about = {"error": type(exc).__name__, "message": exc.message, "hint": exc.hint}
            return as_json({**about, "retry_after": getattr(exc, "retry_after", None)})


def agrees(said: object, file: Path, *, write: bool) -> None:
    """Compare with the expected file; with `write`, write what is new and fail so that somebody reads it."""
    wanted = json.loads(file.read_text()) if file.exists() else ...
    if write and said != wanted:
        file.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
        pytest.fail(f"{file.name} is written: read it, then run again")
    assert wanted is not ..., f"{file.name} is missing (--write-expected writes it): {json.dumps(said)[:2000]}"
    assert said == wanted


def test_a_read_exchange_is_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "build.json"
    about = {"source": "page", "evidence": "documented", "date": "2026-08-01"}
    file.write_text(json.dumps({**about, "exchanges": [{"request": {"path": "/x"}, "body": {}}]}))
    assert isinstance(read_exchanges(file)[0], Exchange)
    file.write_text(json.dumps({**about, "evidence": "hearsay", "exchanges": []}))
    with pytest.raises(AssertionError, match="evidence"):
        read_exchanges(file)
