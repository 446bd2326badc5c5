"""Decide which verbs a build offers: one function of its state and of what its CI system can do. Pure.

Buttons, menus and commands all ask here. A button only offers: whether the person may is asked when it is pressed.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bot.core.models import Build, Conclusion

ALWAYS = frozenset({"show", "mute", "stats", "settings"})

# What each verb needs of the CI system, in the words of its capabilities.
_NEEDS = {
    "cancel": "cancel",
    "rebuild": "rebuild",
    "retry": "retry_failed",
    "jobs": "jobs",
    "logs": "log",
    "tests": "tests",
    "issues": "issues",
    "artifacts": "artifacts",
    "approve": "decide",
    "reject": "reject",
    "erase": "erase",
    "run": "start",
}
_OPEN = frozenset({"cancel", "jobs", "logs", "issues", "run"})
_ENDED = frozenset({"rebuild", "retry", "jobs", "logs", "tests", "issues", "artifacts", "erase", "run"})
_DECISIONS = frozenset({"approve", "reject"})
_NOT_RETRIED = frozenset({Conclusion.PASSED, Conclusion.SKIPPED, Conclusion.RETRIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonOrder:
    """The verbs under a build beside *Open*, the most useful first: buttons, and what stands in the menu behind them."""

    buttons: tuple[str, ...]
    menu: tuple[str, ...]

    def offering(self, allowed: AbstractSet[str]) -> "ButtonOrder":
        """Return the order without what a build does not offer; where it cannot be retried, *Rebuild* is in that place."""
        stands_for = {"retry": "rebuild"} if "retry" not in allowed else {}
        buttons = tuple(dict.fromkeys(stands_for.get(verb, verb) for verb in self.buttons))
        return ButtonOrder(
            buttons=tuple(verb for verb in buttons if verb in allowed),
            menu=tuple(verb for verb in self.menu if verb in allowed and verb not in buttons),
        )


_RUNNING = ButtonOrder(buttons=("cancel", "watch"), menu=("logs", "jobs", "mute", "issues", "settings"))
_DECIDING = ButtonOrder(buttons=(), menu=("cancel", "watch", "logs", "jobs", "mute", "settings"))
_RED = ButtonOrder(
    buttons=("logs", "retry", "claim", "unclaim", "jobs"),
    menu=("rebuild", "tests", "issues", "why", "mute", "artifacts", "settings", "erase"),
)
_GREEN = ButtonOrder(
    buttons=("artifacts", "rebuild", "jobs"), menu=("tests", "issues", "changes", "stats", "logs", "settings", "erase")
)
_OTHER = ButtonOrder(
    buttons=("rebuild", "retry", "logs", "jobs"), menu=("artifacts", "tests", "issues", "settings", "erase")
)


def available_actions(
    build: Build | None,
    abilities: AbstractSet[str],
    *,
    cancels_waiting: bool = True,
    has_approvals: bool = True,
    is_claimed: bool = False,
    is_replaced: bool = False,
) -> frozenset[str]:
    """Return the verbs that work on a build now (on any build of the pipeline, without one).

    `abilities` are the words of the provider's capabilities, `cancels_waiting` whether its API cancels a build that
    waits for approval. `has_approvals` says that an approval of the build is open, where that is known. Of a build that
    is replaced (a later attempt runs, it was rebuilt or erased) nothing is offered.
    """
    able = {verb for verb, need in _NEEDS.items() if need in abilities}
    if build is None:
        return frozenset(able | ALWAYS | {"watch"})
    if is_replaced or build.conclusion is Conclusion.RETRIED:
        return frozenset()
    verbs = able & (_ENDED if build.completed else _OPEN)
    if build.waiting and has_approvals:
        verbs |= able & _DECISIONS
    if build.completed:
        verbs |= {"changes"}
        if build.conclusion in _NOT_RETRIED:
            verbs.discard("retry")
        if build.conclusion is not None and build.conclusion.is_red:
            verbs |= {"why", "unclaim" if is_claimed else "claim"}
        return frozenset(verbs | ALWAYS)
    if build.waiting and not cancels_waiting:
        verbs.discard("cancel")
    if "live_log" not in abilities:
        verbs.discard("logs")
    return frozenset(verbs | ALWAYS | {"watch"})


def button_order(build: Build, *, decides: bool = False) -> ButtonOrder:
    """Return which verbs are buttons under a build in this state, and which stand in the menu.

    `decides` says that the buttons of an approval stand above: of the others only *Open* is shown then.

    A verb that the build does not offer leaves its place empty: what belongs into the menu never moves up.
    """
    if not build.completed:
        return _DECIDING if decides else _RUNNING
    if build.conclusion is None:
        return _OTHER
    if build.conclusion.is_red:
        return _RED
    return _GREEN if build.conclusion is Conclusion.PASSED else _OTHER
