"""Decide a step that waits: /build approve [target] [approval], /build reject [target] [approval]."""

import shlex
from dataclasses import dataclass, replace
from typing import Final

from bot.blocks.text import escape, when
from bot.core.errors import Ambiguous, NotFound, UsageError
from bot.core.models import Approval
from bot.core.text import among_names, holds_name
from bot.notifications.notification import Event, Extra
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Opening, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import BuildMatch, build

APPROVE_USAGE = "approve [target] [gate] [KEY=VALUE …] [--comment TEXT]"
REJECT_USAGE = "reject [target] [gate] [--comment TEXT]"


@dataclass(frozen=True, slots=True)
class Decide:
    """Which approval of which build, and how it is decided."""

    target: Target
    approval: str
    approve: bool
    ask: ParsedArgs


def parse_approve(words: str) -> Decide:
    """Read the words after `approve`. Raises UsageError."""
    return _parse(words, approve=True)


def parse_reject(words: str) -> Decide:
    """Read the words after `reject`. Raises UsageError."""
    return _parse(words, approve=False)


def _parse(words: str, *, approve: bool) -> Decide:
    ask = read(words, values=("comment", "gate"), switches=("yes", "form"), parameters=approve)
    return Decide(target=ask.target(), approval=ask.flag("gate") or " ".join(ask.words[1:]), approve=approve, ask=ask)


async def run(ask: Decide, request: Request, services: Services) -> Answer:
    """Approve or reject one approval, and say so in public."""
    verb = "approve" if ask.approve else "reject"
    if ask.ask.has("form") and can_open(request):
        return Answer(form=_opened(ask, request))
    found = await build(ask.target, request, services, acting=True, verb=verb, default="waiting")
    acting.must_be_able(found.place, Capability.APPROVALS, found.build)
    acting.must_be_able(found.place, Capability.DECIDE if ask.approve else Capability.REJECT, found.build)
    doing = f"{'Approving' if ask.approve else 'Rejecting'} steps of *{escape(found.place.label)}*"
    await require(Role.APPROVE, doing, request, services, found.place, found.build.branch or found.build.tag)
    approval = await open_approval(found, ask.approval, verb)
    if not ask.approve and not approval.can_reject:
        raise found.provider.unsupported(Capability.REJECT, approval.url or found.build.web_url)
    missing = [
        field
        for field in approval.fields
        if ask.approve and field.required and field.name not in ask.ask.parameters and field.default is None
    ]
    if missing and can_open(request):
        this = Target(pipeline=f"{found.place.connection}:{found.build.pipeline}", id=found.build.id)
        return Answer(form=_opened(replace(ask, target=this, approval=approval.id), request))
    if missing:
        raise UsageError(
            f"{approval.name} asks for {', '.join(f'`{field.name}`' for field in missing)}.",
            hint=f"Add {' '.join(f'{field.name}=…' for field in missing)}.",
            usage=APPROVE_USAGE,
        )
    if not await acting.first_click(f"{verb} {found.build.key} {approval.id}", request, services):
        return Answer(silent=True)
    comment = ask.ask.flag("comment")
    after = await found.provider.decide(
        approval,
        approve=ask.approve,
        fields=_with_defaults(approval, ask.ask),
        comment=_signed(comment, request, services),
    )
    await _note(found, ask, comment, request, services)
    await acting.look_again(after, found.place, services, request)
    number = f" #{found.build.number}" if found.build.number is not None else ""
    said = f"{acting.who(request)} {'approved' if ask.approve else 'rejected'} {escape(approval.name)} of {escape(found.place.label)}{number}"
    return acting.public_line(f"{said}: {escape(comment)}" if comment else said, after, found.place)


def _opened(ask: Decide, request: Request) -> Opening:
    """Return the form of a decision. It shows what waits to anybody; the role is asked when it is sent."""
    return opening(
        "decide",
        request,
        pipeline=ask.target.pipeline or ask.target.url or "",
        build=ask.target.id or "",
        number=ask.target.build or "",
        approval=ask.approval,
        decision="approve" if ask.approve else "reject",
        comment=ask.ask.flag("comment") or "",
    )


async def _note(found: BuildMatch, ask: Decide, comment: str | None, request: Request, services: Services) -> None:
    """Write on the approval's cards who decided, and when."""
    said = f"{'Approved' if ask.approve else 'Rejected'} by {acting.who(request)} · {when(request.now)}"
    said += f" · “{escape(comment)}”" if comment else ""
    for row in await services.store.notifications.of_build(found.build.key):
        if row.event == Event.BLOCKED.value and row.id is not None:
            extra = replace(Extra.of(row.extra), text=said).as_json()
            await services.store.notifications.revise(row.id, extra, request.now)
    services.wake_outbox()


def _with_defaults(approval: Approval, ask: ParsedArgs) -> dict[str, str]:
    defaults = {field.name: field.default for field in approval.fields if field.default is not None}
    return {**defaults, **ask.parameters}


def _signed(comment: str | None, request: Request, services: Services) -> str:
    name = f"Slack user {request.user}" if request.user else services.command
    return f"{comment} ({name})" if comment else f"Decided in Slack by {name}"


async def open_approval(found: BuildMatch, name: str, verb: str) -> Approval:
    """Return the one open approval of a build that fits a name. Raises NotFound, Ambiguous."""
    approvals = await found.provider.approvals(found.build.pipeline, found.build.id)
    fits = [approval for approval in approvals if not name or holds_name(approval.name, name) or name == approval.id]
    exact = [approval for approval in fits if among_names(name, (approval.name, approval.id))]
    chosen = exact or fits
    if not chosen:
        waiting = (
            f"These wait: {', '.join(f'`{approval.name}`' for approval in approvals)}."
            if approvals
            else "Nothing waits there now."
        )
        raise NotFound(
            f"{found.place.label} has no open step {f'`{name}`' if name else ''}.".replace(" .", "."),
            provider=found.provider.label,
            hint=waiting,
        )
    if len(chosen) > 1:
        raise Ambiguous(
            f"{len(chosen)} steps wait in {found.place.label}. Which one?",
            choices=tuple(
                (approval.name, f"{verb} {found.spoken} --gate {shlex.quote(approval.id)}") for approval in chosen
            ),
        )
    return chosen[0]


_FLAGS: Final = (
    ("--comment TEXT", "why, for the public line and the CI system"),
    ("--form", "decide in a form, with the step's fields"),
)

APPROVE = Command(
    verb="approve",
    usage=APPROVE_USAGE,
    summary="Let a waiting step go on",
    role=Role.APPROVE,
    group="Act",
    parse=parse_approve,
    run=run,
    aliases=("unblock", "play"),
    flags=_FLAGS,
    examples=("approve", "approve deploy#88", 'approve deploy#88 production --comment "hotfix"'),
    inferred="the newest build that waits, and its only open step",
)
REJECT = Command(
    verb="reject",
    usage=REJECT_USAGE,
    summary="Refuse a waiting step",
    role=Role.APPROVE,
    group="Act",
    parse=parse_reject,
    run=run,
    flags=_FLAGS,
    examples=("reject deploy#88", 'reject deploy#88 --comment "not before Monday"'),
    inferred="the newest build that waits, and its only open step",
)
