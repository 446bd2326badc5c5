"""What credentials may do, compared with what a provider needs, and how that is told."""

import pytest

from bot.blocks.credentials import scope_lines
from bot.core.models import Account, Scope
from bot.providers import PROVIDERS
from bot.providers.base.scopes import compare_scopes

READ = Scope(name="read", purpose="builds", also=("write",))
WRITE = Scope(name="write", purpose="start and cancel")
TESTS = Scope(name="suites", purpose="tests", optional=True)
SCOPES = (READ, WRITE, TESTS)


@pytest.mark.parametrize(
    ("granted", "has", "lacks", "without"),
    [
        ((), (), (READ, WRITE), (TESTS,)),
        (("read",), (READ,), (WRITE,), (TESTS,)),
        (("write",), (READ, WRITE), (), (TESTS,)),
        (("write", "suites", "other"), SCOPES, (), ()),
    ],
)
def test_scopes_are_granted_missing_or_done_without(
    granted: tuple[str, ...], has: tuple[Scope, ...], lacks: tuple[Scope, ...], without: tuple[Scope, ...]
) -> None:
    compared = compare_scopes(SCOPES, granted)
    assert (compared.granted, compared.missing, compared.without) == (has, lacks, without)


def test_each_missing_scope_is_told_with_what_it_disables() -> None:
    account = Account(name="bell", granted=(READ,), missing=(WRITE,), without=(TESTS,))
    assert list(scope_lines(account, "The Works", SCOPES)) == [
        "Scopes: `read`.",
        "⚠ Scope `write` is missing. Does not work without it: start and cancel.",
        "Optional scopes it does without: `suites` for tests.",
    ]


def test_a_system_that_reports_no_scopes_has_all_that_are_needed_told() -> None:
    assert list(scope_lines(Account(name="bell"), "The Works", (READ, WRITE))) == [
        "The Works does not report what these credentials may do. They need `read` for builds; `write` for start and cancel."
    ]
    assert list(scope_lines(Account(name="bell"), "The Works", ())) == []


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_provider_has_its_scopes_and_says_what_each_is_for(kind: str) -> None:
    scopes = PROVIDERS[kind].scopes
    assert any(not scope.optional for scope in scopes)
    assert all(scope.purpose and not scope.purpose.endswith(".") for scope in scopes)
    assert len({scope.name for scope in scopes}) == len(scopes)
