"""Alembic's way in: it works on the connection it is handed, inside that connection's transaction."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from bot.store.tables import UtcDateTime, metadata


def render_item(
    kind: str,
    item: Any,
    autogen_context: AutogenContext,  # noqa: ARG001 - Alembic's signature
) -> str | Literal[False]:
    """Write our own type as the plain one below it, so that an old migration does not depend on today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata(),
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
