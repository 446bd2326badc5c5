"""Compare the scopes that credentials have with those a provider needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.core.models import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedScopes:
    """A provider's scopes by what credentials have of them: granted, missing, and optional ones that are not granted."""

    granted: tuple[Scope, ...] = ()
    missing: tuple[Scope, ...] = ()
    without: tuple[Scope, ...] = ()


def compare_scopes(scopes: Sequence[Scope], granted: Collection[str]) -> ComparedScopes:
    """Return which of `scopes` the names `granted` hold, in the order of `scopes`."""
    has = [scope for scope in scopes if scope.name in granted or any(name in granted for name in scope.also)]
    lacks = [scope for scope in scopes if scope not in has]
    return ComparedScopes(
        granted=tuple(has),
        missing=tuple(scope for scope in lacks if not scope.optional),
        without=tuple(scope for scope in lacks if scope.optional),
    )
