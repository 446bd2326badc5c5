"""The buttons under a build: which ones, in which order, and the commands they carry.

A button only offers: whether the person may is asked when it is pressed.
"""

import shlex
from collections.abc import Sequence

from bot.blocks.available_actions import button_order
from bot.blocks.message import Block, actions, button, link_button, menu
from bot.core.models import Approval, Build, Conclusion, spoken

# Verbs that change something carry the attempt they were offered in, so that an old card cannot act on a newer attempt.
_ACTING = frozenset({"cancel", "retry", "rebuild", "approve", "reject", "erase"})

_LABELS = {
    "cancel": "Cancel",
    "watch": "Watch",
    "unwatch": "Unwatch",
    "jobs": "Jobs",
    "logs": "Logs",
    "mute": "Mute 2 h",
    "why": "Why?",
    "claim": "I'm on it",
    "unclaim": "Not on it any more",
    "retry": "Retry",
    "rebuild": "Rebuild",
    "tests": "Tests",
    "issues": "Issues",
    "artifacts": "Artifacts",
    "changes": "Changes",
    "stats": "Stats",
    "settings": "Settings",
    "erase": "Erase",
}


def command(verb: str, build: Build, *, attempt_no: int = 1) -> str:
    """Return the words that do something with a build: `cancel bk:web#41 --attempt 1`."""
    words = f"{verb} {spoken(build.connection, build.pipeline, number=build.number)}"
    if build.number is None:
        words += f" --id {shlex.quote(build.id)}"
    return f"{words} --attempt {attempt_no}" if verb in _ACTING else words


def build_buttons(
    build: Build,
    *,
    allowed: frozenset[str],
    attempt_no: int = 1,
    approvals: Sequence[Approval] = (),
    watched: bool = False,
) -> tuple[Block, ...]:
    """Return the rows of buttons under a build: each approval's own, then Open, the build's buttons, the rest in `⋯`."""
    if build.conclusion is Conclusion.RETRIED:
        return (actions(link_button("Open", build.web_url)),)
    deciding = _approval_rows(build, approvals, allowed=allowed, attempt_no=attempt_no)
    order = button_order(build, decides=bool(deciding)).offering(allowed)
    shown, rest = (
        [_offer(verb, build, attempt_no=attempt_no, watched=watched) for verb in verbs]
        for verbs in (order.buttons, order.menu)
    )
    row = actions(link_button("Open", build.web_url), *(button(label, words) for label, words in shown), menu(rest[:5]))
    return (*deciding, row)


def named_buttons(build: Build, *, label: str, verbs: Sequence[str], attempt_no: int) -> list[Block]:
    """Return a button for each verb; where a message shows several builds, `label` is the one's name."""
    offers = [_offer(verb, build, attempt_no=attempt_no, watched=False) for verb in verbs]
    return [button(f"{words}: {label}"[:70] if label else words, typed) for words, typed in offers]


def _offer(verb: str, build: Build, *, attempt_no: int, watched: bool) -> tuple[str, str]:
    """Return a verb's (label, command) for this build."""
    if verb == "watch" and watched:
        verb = "unwatch"
    label = _LABELS[verb]
    if verb == "logs" and not build.completed:
        label = "Logs so far"
    elif verb == "retry" and build.conclusion is not None and build.conclusion.is_red:
        label = "Retry failed"
    if verb == "settings":
        return label, verb
    if verb == "mute":
        return label, f"mute {spoken(build.connection, build.pipeline)} --for 2h"
    if verb == "stats":
        return label, f"stats {spoken(build.connection, build.pipeline)}"
    return label, command(verb, build, attempt_no=attempt_no)


def _approval_rows(
    build: Build, approvals: Sequence[Approval], *, allowed: frozenset[str], attempt_no: int
) -> tuple[Block, ...]:
    """Return Approve, Reject and Details for each of up to five approvals; several are distinguished by name."""
    rows: list[Block] = []
    for approval in approvals[:5]:
        named = f" {approval.name}" if len(approvals) > 1 else ""
        which = f" --step {shlex.quote(approval.id)}"
        elements: list[Block] = []
        if "approve" in allowed:
            words = command("approve", build, attempt_no=attempt_no) + which
            elements.append(button(f"Approve{named}", words, style="primary"))
        if "reject" in allowed and approval.can_reject:
            words = command("reject", build, attempt_no=attempt_no) + which + " --form"  # it asks for the reason
            elements.append(button(f"Reject{named}", words, style="danger"))
        if approval is approvals[0]:
            form = command("approve", build, attempt_no=attempt_no) + which + " --form"
            elements.append(button("Details", form if "approve" in allowed else command("show", build)))
        rows.append(actions(*elements))
    return tuple(rows)
