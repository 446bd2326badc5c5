"""What was done by whom."""

from datetime import datetime

from sqlmodel import col, select

from bot.security.redaction import redact
from bot.store.database import Repository, put
from bot.store.tables import AuditRow

ADD_AUDIT = put("audit", key=("id",), replace=False)


class Audit(Repository):
    """What was done by whom."""

    async def add(self, row: AuditRow) -> None:
        """Write down who did what; what reads as a secret in its words is masked."""
        row.words, row.detail = redact(row.words), redact(row.detail)
        async with self._write() as db:
            await self._put(db, ADD_AUDIT, [row])

    async def since(self, team: str, *, since: datetime, user: str | None = None, limit: int = 200) -> list[AuditRow]:
        """Return what was done in a workspace since a time, by anybody or by one, newest first."""
        asked = select(AuditRow).where(AuditRow.team == team, AuditRow.at >= since)
        if user is not None:
            asked = asked.where(AuditRow.user == user)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(AuditRow.at).desc(), col(AuditRow.id).desc()).limit(limit)))
