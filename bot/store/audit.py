"""What was done by whom."""

from dataclasses import replace
from datetime import datetime

from bot.security.redaction import redact
from bot.store.database import Repository, put
from bot.store.mapping import AUDIT
from bot.store.rows import AuditRow, NewAudit

ADD_AUDIT = put("audit", key=("id",), replace=False)


class Audit(Repository):
    """What was done by whom."""

    async def add(self, row: NewAudit) -> None:
        """Write down who did what; what reads as a secret in its words is masked."""
        masked = replace(row, words=redact(row.words), detail=redact(row.detail))
        async with self._write() as db:
            await self._put(db, ADD_AUDIT, [masked])

    async def since(self, team: str, *, since: datetime, user: str | None = None, limit: int = 200) -> list[AuditRow]:
        """Return what was done in a workspace since a time, by anybody or by one, newest first."""
        query = AUDIT.select().where(AUDIT.c.team == team, AUDIT.c.at >= since)
        if user is not None:
            query = query.where(AUDIT.c.user == user)
        async with self._read() as db:
            return await AUDIT.all(db, query.order_by(AUDIT.c.at.desc(), AUDIT.c.id.desc()).limit(limit))
