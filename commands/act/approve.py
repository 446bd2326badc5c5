"""Let a waiting step go on: /build approve [target] [step]."""

from commands.act import decision
from commands.act.decision import Args
from commands.core.context import Role
from commands.core.registry import Command

USAGE = "approve [target] [step] [KEY=VALUE …] [--comment TEXT]"


def parse(words: str) -> Args:
    """Read the words after `approve`. Raises UsageError."""
    return decision.parse(words, approve=True)


COMMAND = Command(
    verb="approve",
    names_target=True,
    usage=USAGE,
    summary="Let a waiting step go on",
    role=Role.APPROVE,
    group="Act",
    parse=parse,
    form=decision.form_of,
    resolve=decision.resolve,
    authorize=decision.authorize,
    run=decision.run,
    spoken=decision.spoken,
    recorded=decision.recorded,
    aliases=("unblock", "play"),
    flags=decision.FLAGS,
    examples=("approve", "approve deploy#88", 'approve deploy#88 production --comment "hotfix"'),
    inferred=decision.INFERRED,
    is_dangerous=True,
    form_role=Role.VIEW,
)
