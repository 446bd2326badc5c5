"""What the database's faults are called, whichever driver met them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from bot.core.errors import StoreError

MISSING = ("no such table", "no such column", "has no column named")  # SQLite has words where PostgreSQL has codes
MISSING_STATES = {"42P01", "42703"}


def missing_tables() -> StoreError:
    """Return the error that the tables are not there, or not as this version has them."""
    return StoreError("The database has no tables yet, or those of another version.", hint="Run `buildbell migrate`.")


def broken() -> StoreError:
    """Return the error that the server ended a connection."""
    return StoreError("The connection to the database broke.")


def unusable() -> StoreError:
    """Return the error that the database is there and cannot work."""
    return StoreError("The database can't be used now.", hint="It may be locked, full or about to stop.")


@asynccontextmanager
async def translate_errors() -> AsyncGenerator[None]:
    """Translate database driver errors into StoreError."""
    try:
        yield
    except DBAPIError as error:
        if _is_missing(error):
            raise missing_tables() from error
        if error.connection_invalidated:
            raise broken() from error
        if isinstance(error, OperationalError | InterfaceError):
            raise unusable() from error
        raise
    except OSError as error:
        raise StoreError(
            "The database cannot be reached.", hint="Look at DATABASE_URL, and whether the server runs."
        ) from error


def _is_missing(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in MISSING_STATES or any(words in str(error.orig) for words in MISSING)
