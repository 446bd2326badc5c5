"""How the database itself does: its size, the room that is left, and who waits for a lock."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from bot.store.database import Repository

LOCKED_SECONDS = 5.0
_SIZE_SQLITE = text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
_FILE_SQLITE = text("SELECT file FROM pragma_database_list WHERE name = 'main'")
_SIZE_POSTGRES = text("SELECT pg_database_size(current_database())")
_BLOCKED_POSTGRES = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND state_change < now() - make_interval(secs => :seconds)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReport:
    """Bytes of the database; those that its disk still takes, where it is a file; and sessions that wait for a lock.

    `write_seconds` is how long it took to be allowed to write.
    """

    size: int
    free: int | None = None
    blocked: int = 0
    write_seconds: float = 0.0


class Vitals(Repository):
    """The health of the database."""

    async def report(self, locked_for: float = LOCKED_SECONDS) -> DatabaseReport:
        """Return how the database does; sessions count as blocked that wait for `locked_for` seconds or longer.

        Writes nothing, but waits for its turn to write. Raises StoreError.
        """
        begun = time.monotonic()
        async with self._write():
            write_seconds = time.monotonic() - begun
        async with self._read() as db:
            if self.dialect == "sqlite":
                size = int(await db.scalar(_SIZE_SQLITE) or 0)
                file = str(await db.scalar(_FILE_SQLITE) or "")
                free = shutil.disk_usage(Path(file).parent).free if file else None
                return DatabaseReport(size=size, free=free, write_seconds=write_seconds)
            size = int(await db.scalar(_SIZE_POSTGRES) or 0)
            blocked = int(await db.scalar(_BLOCKED_POSTGRES, {"seconds": locked_for}) or 0)
            return DatabaseReport(size=size, blocked=blocked, write_seconds=write_seconds)
