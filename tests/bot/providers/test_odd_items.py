"""One odd item never spoils a list or a batch, on any provider: the others are still returned."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.bot.providers.case import cases
from tests.bot.providers.replay import Exchange, Replay, read_exchanges
from tests.bot.providers.test_operations import OPERATIONS, Operation, outcome

IDS = ("id", "uuid", "name", "key", "number", "slug")
READS = ("pipelines", "builds", "changes", "jobs", "refs", "tests", "artifacts", "issues", "approvals")
LISTING = [operation for operation in OPERATIONS if operation.name.partition("_")[0] in READS]


def odd_forms(item: object) -> Iterator[object]:
    """Yield what may stand in an item's place: null, {}, a text, an empty id, a field of a wrong type."""
    yield from (None, {}, "x")
    if isinstance(item, dict):
        name = next((name for name in IDS if name in item), None)
        if name is not None:
            yield {**item, name: ""}
            yield {**item, name: {"odd": True}}
        other = next((key for key, value in item.items() if key != name and isinstance(value, str)), None)
        if other is not None:
            yield {**item, other: ["odd"]}


def without_last(body: Any) -> Iterator[tuple[str, object, list[object]]]:
    """Yield (place, the body without a list's last item, bodies with that item odd) for each list of two and more."""
    if isinstance(body, list) and len(body) > 1:
        yield "", body[:-1], [[*body[:-1], odd] for odd in odd_forms(body[-1])]
    parts = body.items() if isinstance(body, dict) else enumerate(body[:1]) if isinstance(body, list) else ()
    for name, part in parts:
        for place, less, odds in without_last(part):

            def within(inner: object, name: Any = name) -> object:
                return {**body, name: inner} if isinstance(body, dict) else [inner, *body[1:]]

            yield f".{name}{place}", within(less), [within(odd) for odd in odds]


def others(result: Any) -> set[str] | None:
    """Return what names the items of a list's or a poll's result; None where the result is an error."""
    listed = result.get("builds") if isinstance(result, dict) and "error" not in result else result
    if not isinstance(listed, list) or (isinstance(result, dict) and result.get("held")):
        return None
    return {
        repr([item.get("id"), item.get("name"), item.get("message") if "kind" in item else None]) for item in listed
    }


@pytest.mark.parametrize("operation", LISTING, ids=[f"{each.case}-{each.name}" for each in LISTING])
async def test_odd_item_spoils_only_itself(operation: Operation) -> None:
    exchanges = read_exchanges(operation.file)

    pages: list[int] = []

    async def result(n: int, exchange: Exchange, body: object) -> set[str] | None:
        worse = msgspec.structs.replace(exchange, body=body)
        replay = Replay([*exchanges[:n], worse, *exchanges[n + 1 :]], operation.case.origin, lenient=True)
        read = others(await outcome(operation.case, replay, operation.call))
        path = exchange.request.path.partition("?")[0]
        pages.append(sum(request.url.path.endswith(path) for request in replay.seen))
        return read

    problems: list[str] = []
    for n, exchange in enumerate(exchanges):
        if exchange.status >= 400 or exchange.body is msgspec.UNSET:
            continue
        for place, less, odds in without_last(exchange.body):
            rest = await result(n, exchange, less)
            if not rest:
                continue
            first_pages = pages[-1]
            for number, odd in enumerate(odds):
                kept = await result(n, exchange, odd)
                if kept is None and pages[-1] > first_pages:
                    continue  # a list that stays full goes on with a page that no file has
                if kept is None or len(kept) < len(rest) or len(rest - kept) > len(kept - rest):
                    problems.append(f"{exchange.request.path} ${place}, form {number}: {len(rest)} -> {kept}"[:300])
    assert not problems, "\n".join(problems)


def test_every_provider_lists_something() -> None:
    assert {operation.case.kind for operation in LISTING} == {case.kind for case in cases()[0]}
