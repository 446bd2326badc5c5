"""Which verbs work on a build, so that no button offers another."""

from bot.blocks.available_actions import available_actions
from bot.core.models import Build
from bot.providers.base.provider import AnyProvider


def verbs_of(provider: AnyProvider, build: Build | None) -> frozenset[str]:
    """Return the verbs that work on a build in its state, at a provider with its abilities."""
    return available_actions(build, provider.capabilities, cancels_waiting=provider.cancels_waiting)
