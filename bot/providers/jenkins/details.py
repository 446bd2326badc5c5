"""What else Jenkins reports of a build, by a plain name."""

from collections.abc import Iterable

from bot.providers.base.details import plain_details, seconds
from bot.providers.jenkins import wire


def build_details(raw: wire.Run, actions: Iterable[wire.Action], causes: Iterable[wire.Cause]) -> dict[str, str]:
    """Return the rest of a build: its own name, the node it ran on, its causes. Values of parameters may be secrets."""
    own_name = raw.display_name if raw.display_name not in {f"#{raw.number}", str(raw.number)} else None
    usual = raw.estimated_duration
    parameters = [parameter.name for action in actions for parameter in action.parameters or ()]
    return plain_details(
        {
            "called": own_name,
            "description": wire.html_text(raw.description),
            "cause": tuple(dict.fromkeys(cause.short_description for cause in causes)),
            "node": raw.built_on,
            "usually takes": seconds(usual / 1000) if usual is not None and usual > 0 else None,
            "parameters": tuple(dict.fromkeys(parameters)),
            "since the last success by": tuple(person.full_name for person in raw.culprits or ()),
            "kept for ever": raw.keep_log,
            "queue item": raw.queue_id if raw.queue_id is not None and raw.queue_id > 0 else None,
        }
    )
