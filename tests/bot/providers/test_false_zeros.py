"""Unknown is not zero: an item that does not read makes no count of a list zero, on any provider."""

import json

import msgspec
import pytest

from bot.core.errors import BotError
from tests.bot.providers.case import Case, cases, opened, result_of
from tests.bot.providers.replay import Exchange, Replay, as_json, read_exchanges

ODD: tuple[object, ...] = (None, 7, [], "x")
COUNTING = [(case, name) for case in cases()[0] for name in case.calls if name.startswith("counts")]


def with_first_item(exchange: Exchange, odd: object) -> Exchange | None:
    """The exchange with the first item of its list, or of the list in its page, replaced; None where it has no list."""
    match exchange.body:
        case [_, *rest]:
            return msgspec.structs.replace(exchange, body=[odd, *rest])
        case dict() as page:
            lists = {name: [odd, *value[1:]] for name, value in page.items() if isinstance(value, list) and value}
            return msgspec.structs.replace(exchange, body={**page, **lists}) if lists else None
        case _:
            return None


@pytest.mark.parametrize(("case", "name"), COUNTING, ids=[f"{case}-{name}" for case, name in COUNTING])
async def test_item_that_does_not_read_makes_no_count_zero(case: Case, name: str) -> None:
    expected = json.loads((case.payloads / f"{name}.expected.json").read_text())
    exchanges = read_exchanges(case.payloads / f"{name}.json")
    problems: list[str] = []
    for n, exchange in enumerate(exchanges):
        for odd in ODD:
            worse = with_first_item(exchange, odd)
            if worse is None or exchange.status >= 400:
                continue
            replay = Replay([*exchanges[:n], worse, *exchanges[n + 1 :]], case.origin, lenient=True)
            async with opened(case, replay) as provider:
                try:
                    counts = as_json(await result_of(case.calls[name](provider)))
                except BotError:
                    continue
            assert isinstance(counts, dict)
            problems += [
                f"{exchange.request.path}, {odd!r}: {what} {count} -> 0"
                for what, count in expected.items()
                if isinstance(count, int) and count > 0 and counts.get(what) == 0
            ]
    assert not problems, "\n".join(problems)


def with_null_list(exchange: Exchange) -> Exchange | None:
    """The exchange with null for each list in its page; None where it has none."""
    if not isinstance(exchange.body, dict):
        return None
    lists = dict.fromkeys(name for name, value in exchange.body.items() if isinstance(value, list) and value)
    return msgspec.structs.replace(exchange, body={**exchange.body, **lists}) if lists else None


def negated(body: object) -> object:
    """The body with every count of it below zero."""
    if isinstance(body, dict):
        return {
            name: -5
            if type(value) is int and ("count" in name.lower() or "total" in name.lower() or "_test_cases" in name)
            else negated(value)
            for name, value in body.items()
        }
    return [negated(item) for item in body] if isinstance(body, list) else body


async def counts_of(case: Case, name: str, exchanges: list[Exchange]) -> dict[str, object]:
    """What is counted; nothing where the answer is an error."""
    async with opened(case, Replay(exchanges, case.origin, lenient=True)) as provider:
        try:
            counts = as_json(await result_of(case.calls[name](provider)))
        except BotError:
            return {}
    assert isinstance(counts, dict)
    return counts


@pytest.mark.parametrize(("case", "name"), COUNTING, ids=[f"{case}-{name}" for case, name in COUNTING])
async def test_null_instead_of_a_list_makes_no_count_zero(case: Case, name: str) -> None:
    expected = json.loads((case.payloads / f"{name}.expected.json").read_text())
    exchanges = read_exchanges(case.payloads / f"{name}.json")
    for n, exchange in enumerate(exchanges):
        worse = with_null_list(exchange)
        if worse is None or exchange.status >= 400:
            continue
        counts = await counts_of(case, name, [*exchanges[:n], worse, *exchanges[n + 1 :]])
        zeros = [what for what, count in expected.items() if count and counts.get(what) == 0]
        assert not zeros, f"{exchange.request.path}: {zeros}"


@pytest.mark.parametrize(("case", "name"), COUNTING, ids=[f"{case}-{name}" for case, name in COUNTING])
async def test_negative_count_is_unknown(case: Case, name: str) -> None:
    exchanges = [
        msgspec.structs.replace(exchange, body=negated(exchange.body))
        for exchange in read_exchanges(case.payloads / f"{name}.json")
    ]
    counts = await counts_of(case, name, exchanges)
    assert not [what for what, count in counts.items() if isinstance(count, int) and count < 0], counts


def test_every_provider_that_counts_is_asked() -> None:
    kinds = {case.kind for case, _name in COUNTING}
    assert len(kinds) >= 8, sorted(kinds)
