"""People: what they watch, mute, are called, may do, and did."""

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col, or_, select

from bot.core.models import BuildKey
from bot.store.database import Database, put
from bot.store.recording import ADD_WATCH, of_build
from bot.store.tables import AuditRow, GrantRow, IdentityRow, MuteRow, PersonRow, WatchRow

PUT_MUTE = put("mute", key=("team", "channel", "target"))
PUT_PERSON = put("person", key=("team", "user"))
PUT_IDENTITY = put("identity", key=("team", "kind", "value"))
ADD_AUDIT = put("audit", key=("id",), replace=False)
ADD_GRANT = put("grant", key=("team", "channel", "role", "subject", "pipelines", "refs"), replace=False)


class People(Database):
    """What is known of the people in a workspace."""

    async def add_watch(self, row: WatchRow) -> bool:
        """Write a watch, and return whether it is new."""
        async with self._write() as db:
            return bool(await self._put(db, ADD_WATCH, [row]))

    async def watches(self, team: str, user: str) -> list[WatchRow]:
        """Return what somebody watches and follows, oldest first."""
        asked = select(WatchRow).where(WatchRow.team == team, WatchRow.user == user).order_by(col(WatchRow.id))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def watches_of(self, key: BuildKey) -> list[WatchRow]:
        """Return who watches one build, oldest first."""
        async with self._read() as db:
            return list(await db.exec(select(WatchRow).where(*of_build(WatchRow, key)).order_by(col(WatchRow.id))))

    async def remove_watch(self, watch_id: int) -> None:
        """Forget a watch."""
        async with self._write() as db:
            gone = delete(WatchRow).where(col(WatchRow.id) == watch_id)
            await db.exec(gone.execution_options(synchronize_session=False))

    async def end_watches(self, key: BuildKey) -> None:
        """Forget all watches of one build."""
        async with self._write() as db:
            gone = delete(WatchRow).where(*of_build(WatchRow, key))
            await db.exec(gone.execution_options(synchronize_session=False))

    async def mutes(self, team: str, channel: str) -> list[MuteRow]:
        """Return the mutes and quiet hours of a channel that are not over, oldest first."""
        asked = select(MuteRow).where(
            MuteRow.team == team,
            MuteRow.channel == channel,
            or_(col(MuteRow.until).is_(None), col(MuteRow.until) > self._clock()),
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(MuteRow.id))))

    async def set_mute(self, row: MuteRow) -> None:
        """Write a mute, instead of the one that its target had in the channel."""
        async with self._write() as db:
            await self._put(db, PUT_MUTE, [row])

    async def end_mute(self, team: str, channel: str, target: str) -> bool:
        """Forget a mute, and return whether there was one."""
        gone = delete(MuteRow).where(
            col(MuteRow.team) == team, col(MuteRow.channel) == channel, col(MuteRow.target) == target
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def person(self, team: str, user: str) -> PersonRow | None:
        """Return what is known of somebody, or None."""
        async with self._read() as db:
            asked = select(PersonRow).where(PersonRow.team == team, PersonRow.user == user)
            return (await db.exec(asked)).first()

    async def save_person(self, row: PersonRow) -> None:
        """Write what is known of somebody."""
        async with self._write() as db:
            await self._put(db, PUT_PERSON, [row])

    async def identity(self, team: str, kind: str, value: str) -> IdentityRow | None:
        """Return whose an e-mail address or a handle is, as far as was looked up; None when it never was."""
        asked = select(IdentityRow).where(
            IdentityRow.team == team, IdentityRow.kind == kind, IdentityRow.value == value
        )
        async with self._read() as db:
            return (await db.exec(asked)).first()

    async def identities(self, team: str, user: str) -> list[IdentityRow]:
        """Return somebody's addresses and handles, by kind."""
        asked = select(IdentityRow).where(IdentityRow.team == team, IdentityRow.user == user)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(IdentityRow.kind), col(IdentityRow.value))))

    async def save_identity(self, row: IdentityRow) -> None:
        """Write whose an address or a handle is; what a person said outweighs what was looked up."""
        said = select(IdentityRow.manual).where(
            IdentityRow.team == row.team, IdentityRow.kind == row.kind, IdentityRow.value == row.value
        )
        async with self._write() as db:
            await self._own(db, [f"{row.team} {row.kind} {row.value}"])
            if row.manual or not (await db.exec(said)).first():
                await self._put(db, PUT_IDENTITY, [row])

    async def delete_identity(self, team: str, kind: str, value: str) -> bool:
        """Forget whose an address or a handle is, and return whether it was known."""
        gone = delete(IdentityRow).where(
            col(IdentityRow.team) == team, col(IdentityRow.kind) == kind, col(IdentityRow.value) == value
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def grants(self, team: str) -> list[GrantRow]:
        """Return the roles given in a workspace, oldest first."""
        async with self._read() as db:
            return list(await db.exec(select(GrantRow).where(GrantRow.team == team).order_by(col(GrantRow.id))))

    async def add_grant(self, row: GrantRow) -> bool:
        """Give a role, and return whether that is new."""
        async with self._write() as db:
            return bool(await self._put(db, ADD_GRANT, [row]))

    async def remove_grant(
        self,
        team: str,
        role: str,
        subject: str,
        *,
        channel: str = "",
        pipelines: str | None = None,
        refs: str | None = None,
    ) -> bool:
        """Take a role back, and return whether it was given. None for `pipelines` or `refs` stands for any."""
        gone = delete(GrantRow).where(
            col(GrantRow.team) == team,
            col(GrantRow.role) == role,
            col(GrantRow.subject) == subject,
            col(GrantRow.channel) == channel,
        )
        if pipelines is not None:
            gone = gone.where(col(GrantRow.pipelines) == pipelines)
        if refs is not None:
            gone = gone.where(col(GrantRow.refs) == refs)
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def audit(self, row: AuditRow) -> None:
        """Write down who did what."""
        async with self._write() as db:
            await self._put(db, ADD_AUDIT, [row])

    async def audits(self, team: str, *, since: datetime, user: str | None = None, limit: int = 200) -> list[AuditRow]:
        """Return what was done in a workspace since a time, by anybody or by one, newest first."""
        asked = select(AuditRow).where(AuditRow.team == team, AuditRow.at >= since)
        if user is not None:
            asked = asked.where(AuditRow.user == user)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(AuditRow.at).desc(), col(AuditRow.id).desc()).limit(limit)))
