"""Which verbs work on a build, so that no button offers another."""

from bot.core.models import Build
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider

_NEEDS: tuple[tuple[str, Capability], ...] = (
    ("cancel", Capability.CANCEL),
    ("rebuild", Capability.REBUILD),
    ("logs", Capability.LOG),
    ("tests", Capability.TESTS),
    ("issues", Capability.ISSUES),
    ("artifacts", Capability.ARTIFACTS),
    ("approve", Capability.DECIDE),
    ("reject", Capability.REJECT),
    ("erase", Capability.ERASE),
    ("retry", Capability.RETRY_FAILED),
    ("run", Capability.START),
)
_ALWAYS = frozenset({"watch", "show", "mute", "stats", "settings"})


def verbs_of(provider: AnyProvider, build: Build | None) -> frozenset[str]:
    """Return the verbs that work on a build in its state, at a provider with its abilities."""
    verbs = {verb for verb, capability in _NEEDS if provider.can(capability)} | _ALWAYS
    if build is None:
        return frozenset(verbs)
    if build.completed:
        verbs.add("changes")
        if build.conclusion is not None and build.conclusion.is_red:
            verbs |= {"claim", "why"}
        verbs -= {"cancel", "approve", "reject", "watch"}
    else:
        verbs -= {"retry", "rebuild", "erase", "tests", "artifacts"}
        if not provider.can(Capability.LIVE_LOG):
            verbs.discard("logs")
    return frozenset(verbs)
