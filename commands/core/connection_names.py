"""Connections by what people call them: a connection's name, a kind of CI system, or a beginning."""

from bot.core.models import SHORT_KINDS
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context


def connections_called(word: str, context: Context) -> list[AnyProvider]:
    """Return the connections that a word means by itself: the one of that name, else those of that kind (`bk`)."""
    exact = context.services.connections.get(context.team, word)
    if exact is not None:
        return [exact]
    kinds = {word.lower(), SHORT_KINDS.get(word.lower())}
    return [provider for provider in context.providers() if provider.kind in kinds]


def provider_called(word: str, context: Context) -> AnyProvider | None:
    """Return the connection that a word names: its name, a unique kind (`gh`, `gitlab`), or a unique beginning."""
    exact = context.services.connections.get(context.team, word)
    if exact is not None:
        return exact
    of_kind = connections_called(word, context)
    begins = [provider for provider in context.providers() if provider.connection.lower().startswith(word.lower())]
    for fits in (of_kind, begins):
        if len(fits) == 1:
            return fits[0]
    return None
