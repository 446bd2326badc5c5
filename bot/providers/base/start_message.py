"""The message of builds that are started here: it names the person, and is no commit's subject when it comes back."""

from bot.core.models import StartRequest

STARTED = "Started from Slack by "


def start_message(request: StartRequest) -> str:
    """Return the message for a build: the person's own words, else who started it."""
    return request.message or f"{STARTED}{request.requested_by}"


def commit_message(text: str | None) -> str | None:
    """Return a build's message as that of its commit: None where it is only our note of who started it."""
    return None if not text or text.startswith(STARTED) else text
