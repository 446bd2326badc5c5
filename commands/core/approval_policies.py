"""Judge a decision about an approval by the policies of its pipeline and ref."""

from dataclasses import dataclass

from bot.core.errors import NotAllowed, UsageError
from bot.core.models import Build, Person
from bot.core.policies import Policy
from bot.notifications.approval_policies import policy_of
from commands.core.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """A decision that is about to be taken."""

    build: Build
    approve: bool
    comment: str = ""


class CommentNeeded(UsageError):
    """The policy asks for a comment, and there is none."""

    def __init__(self, policy: Policy, verb: str) -> None:
        super().__init__(
            f"Decisions about `{policy.target}` need a comment here.", hint=f"Add `--comment TEXT` to `{verb}`."
        )


async def policy_here(build: Build, context: Context) -> Policy | None:
    """Return what an approval of a build needs in this workspace, beyond a role."""
    return await policy_of(build, context.team, context.store, context.services.access.policies)


async def check_policy(deciding: Deciding, context: Context) -> None:
    """Raise NotAllowed where somebody else has to decide, CommentNeeded where a comment is missing.

    How many people have approved is counted when the decision is taken. Where a form can be opened, it asks for the comment.
    """
    policy = await policy_here(deciding.build, context)
    if policy is None:
        return
    if deciding.approve and policy.no_self and await _is_requester(deciding.build, context):
        raise NotAllowed(
            f"You started this build, and the policy of `{policy.target}` wants somebody else to approve it.",
            hint="Ask another approver. You may reject it.",
        )
    if policy.needs_comment and not deciding.comment.strip() and not context.can_open_form:
        raise CommentNeeded(policy, "approve" if deciding.approve else "reject")


async def _is_requester(build: Build, context: Context) -> bool:
    """Return whether a person started a build: through the bot, else as the CI system names who did, else by their commit."""
    stored = await context.store.builds.get(build.key)
    if stored is not None and stored[1].started_by:
        return (stored[1].started_team, stored[1].started_by) == (context.team, context.user)
    provider = context.services.connections.get(context.team, build.connection)
    kind = provider.kind if provider else ""
    if build.triggered_by:
        starter = Person(name=build.triggered_by, login=build.triggered_by)
        user = await context.services.people.author(context.team, starter, kind)
        if user is not None:
            return user == context.user
    if build.author is None:
        return False
    return await context.services.people.author(context.team, build.author, kind) == context.user
