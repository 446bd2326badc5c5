"""Which revision the tables are at, and how they get to the newest. Alembic is imported only where they have to change."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def newest() -> str:
    """Return the revision this version of the bot works with: the last migration's, with which its file's name begins."""
    return max(file.name for file in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def revision(connection: Connection) -> str | None:
    """Return the revision that the tables are at, None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision within the connection's transaction."""
    if revision(connection) == newest():
        return
    from alembic import command  # noqa: PLC0415 - most starts find the tables as they should be

    configured = config()
    configured.attributes["connection"] = connection
    command.upgrade(configured, "head")


def config() -> "Config":
    """Return Alembic's configuration."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    return made
