"""What a channel reads when a pipeline is linked to it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from bot.blocks.lines import lines_of
from bot.blocks.message import Message, actions, button, context, section
from bot.blocks.text import DOT, bold, code, mention, plural, safe
from bot.security.redaction import redact

_PRESETS: tuple[tuple[str, str, Literal["primary"] | None], ...] = (
    ("edges", "Only changes", "primary"),
    ("failures", "Only failures", None),
)


def link_confirmation(  # noqa: PLR0913 - all are named, and each is one thing the message says
    *,
    name: str,
    pipeline: str,
    connection_label: str,
    user: str,
    branch: str,
    is_default: bool,
    target: str,
    would: Mapping[str, int],
    enabled: bool = True,
    trouble: str = "",
    again: bool = False,
    same_repository: Sequence[str] = (),
    command: str = "/build",
) -> Message:
    """Return what a channel gets of a pipeline from now on, and the buttons that narrow it.

    `name` is how people type it here, `target` the words for commands. `would` says how many posts each preset (`all`,
    `edges`, `failures`) would have made in the last seven days; `trouble` why its builds could not be read yet.
    `same_repository` names what else builds the same repository here, on other systems.
    """
    done = "is linked here already" if again else "is linked to this channel"
    by = f" by {mention(user)}" if user and not again else ""
    on = f" on {code(branch, 80)}" if branch else ""
    past = f" In the last 7 days that would have been {plural(would['all'], 'post')}." if "all" in would else ""
    body = lines_of(
        f"✓ {bold(pipeline, 120)} ({safe(connection_label, 60)}) {done}{by}."
        + ("" if name == pipeline else f" Here it is called {code(name, 80)}."),
        f"This channel gets a post for every finished build{on}.{past}",
        "Commands that name no pipeline are about this one." if is_default else "",
        "It is disabled at the CI system, so it builds nothing for now." if not enabled else "",
        f"⚠ I could not read its builds yet: {safe(redact(trouble), 300)}" if trouble else "",
    )
    if same_repository:
        names = ", ".join(safe(other, 60) for other in same_repository[:3])
        body = lines_of(body, f"{names} here builds the same repository: both can share one card for each commit.")
    together = [button("One card per commit", f"subscribe {target} --group commit")] if same_repository else []
    narrower = [
        button(
            words + (f" ({would[preset]} in 7 days)" if preset in would else ""),
            f"subscribe {target} --on {preset}",
            style=style,
        )
        for preset, words, style in _PRESETS
    ]
    return Message(
        text=f"{safe(pipeline, 120)} {done}{by}. This channel gets a post for every finished build{on}",
        blocks=(
            section(body),
            actions(*narrower, *together, button("Status", f"status {target}"), button("Unlink", f"unlink {target}")),
            context(
                f"{code(f'{command} subscribe')} changes what is posted{DOT}{code(f'{command} mute')} and "
                f"{code(f'{command} quiet')} keep me silent{DOT}{code(f'{command} help')} shows what I can do"
            ),
        ),
    )
