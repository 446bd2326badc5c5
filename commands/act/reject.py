"""Refuse a waiting step: /build reject [target] [step]."""

from commands.act import decision
from commands.act.decision import Args
from commands.core.context import Role
from commands.core.registry import Command

USAGE = "reject [target] [step] [--comment TEXT]"


def parse(words: str) -> Args:
    """Read the words after `reject`. Raises UsageError."""
    return decision.parse(words, approve=False)


COMMAND = Command(
    verb="reject",
    names_target=True,
    usage=USAGE,
    summary="Refuse a waiting step",
    role=Role.APPROVE,
    group="Act",
    parse=parse,
    form=decision.form_of,
    resolve=decision.resolve,
    authorize=decision.authorize,
    run=decision.run,
    spoken=decision.spoken,
    recorded=decision.recorded,
    flags=decision.FLAGS,
    examples=("reject deploy#88", 'reject deploy#88 --comment "not before Monday"'),
    inferred=decision.INFERRED,
    is_dangerous=True,
    form_role=Role.VIEW,
)
