"""What approvals need, and who has approved or rejected what."""

from sqlalchemy import bindparam

from bot.core.models import BuildKey
from bot.store.database import Repository, put
from bot.store.lookups import of_build
from bot.store.mapping import APPROVAL_POLICY, VOTE
from bot.store.rows import ApprovalPolicyRow, NewApprovalPolicy, NewVote, VoteRow
from bot.store.statements import Statement

PUT_POLICY = put("approval_policy", key=("team", "pipelines", "refs"))
PUT_VOTE = put("vote", key=("connection", "pipeline", "build", "attempt_no", "team", "approval", "user"))
POLICIES = Statement(
    APPROVAL_POLICY.select().where(APPROVAL_POLICY.c.team == bindparam("team")).order_by(APPROVAL_POLICY.c.id)
)


class Approvals(Repository):
    """Policies of approvals, and votes."""

    async def policies(self, team: str) -> list[ApprovalPolicyRow]:
        """Return the policies of a workspace, oldest first."""
        return APPROVAL_POLICY.made(await self._fetch(POLICIES, team=team))

    async def set_policy(self, row: NewApprovalPolicy) -> None:
        """Write a policy, instead of the one of the same globs."""
        async with self._write() as db:
            await self._put(db, PUT_POLICY, [row])

    async def remove_policy(self, team: str, pipelines: str, refs: str) -> bool:
        """Remove a policy, and return whether there was one."""
        deletion = APPROVAL_POLICY.delete().where(
            APPROVAL_POLICY.c.team == team, APPROVAL_POLICY.c.pipelines == pipelines, APPROVAL_POLICY.c.refs == refs
        )
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    async def votes(self, team: str, key: BuildKey, attempt_no: int) -> list[VoteRow]:
        """Return what people of a workspace decided about an attempt's approvals in Slack, oldest first."""
        query = VOTE.select().where(*of_build(VOTE.c, key), VOTE.c.attempt_no == attempt_no, VOTE.c.team == team)
        async with self._read() as db:
            return await VOTE.all(db, query.order_by(VOTE.c.at, VOTE.c.id))

    async def vote(self, row: NewVote) -> None:
        """Write a person's decision about an approval, instead of the one they took before."""
        async with self._write() as db:
            await self._put(db, PUT_VOTE, [row])

    async def take_back(self, row: NewVote) -> None:
        """Forget a person's decision about an approval: the CI system refused it."""
        key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
        deletion = VOTE.delete().where(
            *of_build(VOTE.c, key),
            VOTE.c.attempt_no == row.attempt_no,
            VOTE.c.team == row.team,
            VOTE.c.approval == row.approval,
            VOTE.c.user == row.user,
        )
        async with self._write() as db:
            await db.execute(deletion)
