"""Which buttons a build offers: a table of the states that matter, and what holds for every state."""

import itertools
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from bot.blocks.available_actions import ALWAYS, available_actions, button_order
from bot.blocks.buttons import build_buttons
from bot.core.models import Conclusion, Status
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from tests.bot.blocks import samples as s

EVERYTHING = frozenset(Capability)
FAILED = {"status": Status.COMPLETED, "conclusion": Conclusion.FAILED}
RUNNING = {"status": Status.IN_PROGRESS, "conclusion": None}


def offered(build: dict[str, Any], able: AbstractSet[str] = EVERYTHING, **fields: Any) -> frozenset[str]:
    return available_actions(s.build(**build), able, **fields) - ALWAYS - {"run"}


@pytest.mark.parametrize(
    ("build", "fields", "verbs"),
    [
        ({"status": Status.QUEUED, "conclusion": None}, {}, {"cancel", "watch", "jobs", "logs", "issues"}),
        (RUNNING, {}, {"cancel", "watch", "jobs", "logs", "issues"}),
        (RUNNING | {"waiting": True}, {}, {"cancel", "watch", "jobs", "logs", "issues", "approve", "reject"}),
        (
            RUNNING | {"waiting": True},
            {"cancels_waiting": False},
            {"watch", "jobs", "logs", "issues", "approve", "reject"},
        ),
        (RUNNING | {"waiting": True}, {"has_approvals": False}, {"cancel", "watch", "jobs", "logs", "issues"}),
        (
            FAILED,
            {},
            {"retry", "rebuild", "jobs", "logs", "tests", "issues", "artifacts", "erase", "changes", "why", "claim"},
        ),
        (
            FAILED | {"waiting": True},
            {"cancels_waiting": False},
            {
                "approve",
                "reject",
                "retry",
                "rebuild",
                "jobs",
                "logs",
                "tests",
                "issues",
                "artifacts",
                "erase",
                "changes",
                "why",
                "claim",
            },
        ),
        (
            {"status": Status.COMPLETED, "conclusion": Conclusion.PASSED},
            {},
            {"rebuild", "jobs", "logs", "tests", "issues", "artifacts", "erase", "changes"},
        ),
        (
            {"status": Status.COMPLETED, "conclusion": Conclusion.CANCELLED},
            {},
            {"retry", "rebuild", "jobs", "logs", "tests", "issues", "artifacts", "erase", "changes"},
        ),
        (FAILED, {"is_replaced": True}, set()),
        ({"status": Status.COMPLETED, "conclusion": Conclusion.RETRIED}, {}, set()),
    ],
)
def test_a_build_offers_what_works_in_its_state(build: dict[str, Any], fields: dict[str, Any], verbs: set[str]) -> None:
    assert offered(build, **fields) == verbs


def test_somebody_s_claim_can_be_taken_back_and_not_made_twice() -> None:
    verbs = offered(FAILED, is_claimed=True)
    assert "unclaim" in verbs
    assert "claim" not in verbs


STATES = [
    (status, conclusion, waiting)
    for status, conclusion, waiting in itertools.product(Status, (None, *Conclusion), (False, True))
    if (status is Status.COMPLETED) or conclusion is None
]


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
@pytest.mark.parametrize(("status", "conclusion", "waiting"), STATES)
def test_nothing_is_offered_that_a_system_cannot_do(
    kind: str, status: Status, conclusion: Conclusion | None, waiting: bool
) -> None:
    provider = PROVIDERS[kind]
    build = s.build(status=status, conclusion=conclusion, waiting=waiting)
    verbs = available_actions(build, provider.capabilities, cancels_waiting=provider.cancels_waiting)
    needs = {
        "cancel": Capability.CANCEL,
        "retry": Capability.RETRY_FAILED,
        "rebuild": Capability.REBUILD,
        "erase": Capability.ERASE,
        "approve": Capability.DECIDE,
        "reject": Capability.REJECT,
        "tests": Capability.TESTS,
        "artifacts": Capability.ARTIFACTS,
    }
    assert {verb for verb, need in needs.items() if verb in verbs and need not in provider.capabilities} == set()
    assert ("approve" in verbs) <= waiting
    assert not (build.completed and verbs & {"cancel", "watch"})
    assert not (not build.completed and verbs & {"retry", "rebuild", "erase", "claim", "artifacts"})
    assert ("cancel" in verbs) <= (provider.cancels_waiting or not waiting)
    for decides in (False, waiting):
        order = button_order(build, decides=decides)
        ordered = (*order.buttons, *order.menu)
        assert len(set(ordered)) == len(ordered)


def _row(*verbs: str, **fields: Any) -> tuple[list[str], list[str]]:
    """Return the labels of the last row of buttons, and those of its menu."""
    *_, row = build_buttons(s.build(**fields), allowed=frozenset(verbs))
    shown = [element["text"]["text"] for element in row["elements"] if element["type"] == "button"]
    menus = [element for element in row["elements"] if element["type"] == "overflow"]
    return shown, [option["text"]["text"] for menu in menus for option in menu["options"]]


def test_a_running_build_of_a_system_without_cancel_shows_open_and_watch_and_the_rest_in_the_menu() -> None:
    running = {"status": Status.IN_PROGRESS, "conclusion": None}
    rest = ("logs", "mute", "issues", "settings")
    assert _row("watch", *rest, **running) == (["Open", "Watch"], ["Logs so far", "Mute 2 h", "Issues", "Settings"])
    assert _row("cancel", "watch", "mute", **running) == (["Open", "Cancel", "Watch"], ["Mute 2 h"])


def test_a_red_build_that_cannot_be_retried_offers_to_rebuild_it_in_that_place() -> None:
    red = {"status": Status.COMPLETED, "conclusion": Conclusion.FAILED}
    assert _row("logs", "rebuild", "claim", "tests", **red) == (["Open", "Logs", "Rebuild", "I'm on it"], ["Tests"])
    both = _row("logs", "rebuild", "retry", "claim", "tests", **red)
    assert both == (["Open", "Logs", "Retry failed", "I'm on it"], ["Rebuild", "Tests"])


@pytest.mark.parametrize(("conclusion", "shown"), [(Conclusion.FAILED, ["Open"]), (Conclusion.PASSED, ["Open"])])
def test_what_belongs_into_the_menu_never_takes_an_empty_place_of_a_button(
    conclusion: Conclusion, shown: list[str]
) -> None:
    buttons, menu = _row("tests", "issues", "settings", status=Status.COMPLETED, conclusion=conclusion)
    assert buttons == shown
    assert menu == ["Tests", "Issues", "Settings"]


def test_buildkite_offers_no_cancel_of_a_build_that_waits_for_approval() -> None:
    assert not PROVIDERS["buildkite"].cancels_waiting


def test_without_a_build_it_is_what_the_pipeline_s_builds_may_offer() -> None:
    assert available_actions(None, frozenset({Capability.START})) == ALWAYS | {"run", "watch"}
