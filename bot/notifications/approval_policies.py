"""Which policy an approval has to keep, and whether it was kept."""

from collections.abc import Iterable, Sequence

from bot.core.models import Build
from bot.core.policies import Policy, combined
from bot.core.refs import refs_of_build
from bot.store import Store
from bot.store.rows import ApprovalPolicyRow, VoteRow


def policy_of_row(row: ApprovalPolicyRow) -> Policy:
    """Return a stored policy."""
    return Policy(
        pipelines=row.pipelines,
        refs=row.refs,
        no_self=row.no_self,
        people=row.people,
        needs_comment=row.needs_comment,
    )


async def policy_of(build: Build, team: str, store: Store, operators: Sequence[Policy]) -> Policy | None:
    """Return what approvals of a build need in a workspace: the operator's policies and its own, together.

    A pipeline is named by its id, path and name, never by an alias: anybody may link anything under any alias.
    """
    policies = [*operators, *(policy_of_row(row) for row in await store.approvals.policies(team))]
    if not policies:
        return None
    names = {build.pipeline, f"{build.connection}:{build.pipeline}", build.workflow or ""}
    listed = await store.pipelines.get(build.connection, build.pipeline)
    links = await store.links.of_pipeline(build.connection, build.pipeline)
    named = [(link.path, link.name) for link in links] + ([(listed.path, listed.name)] if listed else [])
    for path, name in named:
        names |= {path, name, f"{build.connection}:{path}"}
    refs = refs_of_build(build)
    return combined(policy for policy in policies if policy.fits(names, refs))


def approvers(votes: Iterable[VoteRow], approval: str | None = None) -> list[str]:
    """Return who approved one approval, or any of an attempt, in order."""
    return list(dict.fromkeys(vote.user for vote in votes if vote.approve and approval in {None, vote.approval}))


def breach(policy: Policy | None, votes: Sequence[VoteRow], build: Build, provider: str) -> str:
    """Return what is to be said of a build that went on after an approval, where its policy was not kept here.

    Who decided in the CI system is not known to the bot, so that nothing else can be claimed.
    """
    went_on = not build.completed or (build.conclusion is not None and not build.conclusion.is_red)
    if policy is None or not went_on or build.conclusion in {"cancelled", "skipped"}:
        return ""
    if any(len(approvers(votes, vote.approval)) >= policy.people for vote in votes if vote.approve):
        return ""
    return f"Decided in {provider} past the policy of this workspace ({policy.target}: {policy.sentence})"
