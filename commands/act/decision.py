"""Decide a step that waits for a person: what `approve` and `reject` share."""

import asyncio
import hashlib
import json
import secrets
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from bot.blocks.lines import step_name
from bot.blocks.text import escape, plural, when
from bot.core.errors import Ambiguous, NotFound, ProviderError, UsageError
from bot.core.models import Approval, BuildKey, Ref
from bot.core.policies import Policy
from bot.core.refs import refs_of_build
from bot.core.text import among_names, folded, holds_name
from bot.notifications.approval_policies import approvers
from bot.notifications.notification import Event, Extra
from bot.providers.base.capabilities import Capability
from bot.security.redaction import redact
from bot.store.rows import NewVote
from commands.core import actions, memory
from commands.core.approval_policies import Deciding, policy_here
from commands.core.context import Answer, Context, Opening, Role, Source
from commands.core.forms import opening
from commands.core.grammar import Target, read
from commands.core.listings import unfinished_builds
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.permissions import Requirement
from commands.core.phrases import reason_in
from commands.core.resolve import match_of_build, pipelines_here, resolve_build, resolve_named_build, resolve_pipeline
from commands.core.words import choice_label

MOST_UNFLAGGED = 3
"""How many running builds are asked for approvals where no listing says that one waits."""

DECIDING_SECONDS = 60.0
MOST_COMMENT = 1000

FLAGS: Final = (
    ("--comment TEXT", "why, for the public line and the CI system"),
    ("--form", "decide in a form, with the step's fields"),
)
INFERRED: Final = "the only step that waits in this channel's pipelines; of several you are asked which"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which step of which build, and how it is decided. `words` follow the target: a step's name, a comment, or both."""

    target: Target
    approve: bool
    step: str = ""
    words: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None

    @property
    def verb(self) -> str:
        """Return the verb of the decision."""
        return "approve" if self.approve else "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that waits, and the build it belongs to. `others` are the ids of the build's other open steps.

    `comment` are the words after the target that name no step.
    """

    match: BuildMatch
    approval: Approval
    others: frozenset[str] = frozenset()
    comment: str = ""


def parse(words: str, *, approve: bool) -> Args:
    """Read the words after `approve` or `reject`. Raises UsageError."""
    parsed = read(words, values=("comment", "step"), switches=("yes",), parameters=approve)
    return Args(
        target=parsed.target(),
        approve=approve,
        step=parsed.flag("step") or "",
        words=parsed.words[1:],
        fields=dict(parsed.parameters),
        comment=parsed.flag("comment"),
    )


def spoken(args: Args) -> str:
    """Return arguments as one would type them, without the values of fields."""
    target = args.target
    ref, build = (f"@{target.ref}" if target.ref else ""), (f"#{target.build}" if target.build else "")
    named = f"{target.pipeline or target.url or ''}{ref}{build}"
    words = [
        shlex.quote(named) if " " in named else named,
        f"--id {target.id}" if target.id else "",
        f"--step {shlex.quote(args.step)}" if args.step else "",
    ]
    words += [shlex.quote(word) for word in args.words]
    words += [f"{name}=…" for name in args.fields]
    return " ".join(word for word in words if word)


def recorded(args: Args, step: Step) -> str:
    """Return the decision in words that people read: the build and the step by name, no values of fields."""
    match = step.match
    number = match.number if match.number.startswith("#") else f" --id {match.build.id}"
    why = args.comment or step.comment
    comment = f" --comment {shlex.quote(why)}" if why else ""
    fields = "".join(f" {name}=…" for name in args.fields)
    return f"{match.pipeline.typed}{number} --step {shlex.quote(step.approval.name)}{comment}{fields}"


def form_of(args: Args, context: Context) -> Opening:
    """Return the form of a decision, about what the arguments name."""
    return opening(
        "decide",
        context,
        pipeline=args.target.pipeline or args.target.url or "",
        build=args.target.id or "",
        number=args.target.build or "",
        approval=args.step or " ".join(args.words),
        decision=args.verb,
        comment=args.comment or "",
    )


async def resolve(args: Args, context: Context) -> Step:
    """Return the step that was named, else the only one that waits. Raises Ambiguous where several do."""
    steps = await open_steps(args.target, context, verb=args.verb)
    name, comment = _step_and_comment(args, [step.approval for step in steps])
    args = replace(args, step=name, comment=args.comment or comment or None)
    fits = _fitting(steps, name)
    if not fits:
        raise await _nothing_waits(args, steps, context)
    if len(fits) > 1:
        names = {step.match.pipeline.name for step in fits}
        is_one_build = len({step.match.build.key for step in fits}) == 1
        raise Ambiguous(
            f"{len(fits)} steps wait in {names.pop() if len(names) == 1 else context.here}. Which one?",
            choices=tuple(
                (
                    step.approval.name if is_one_build else choice_label(step.match, context, step.approval),
                    _words(step, args),
                )
                for step in fits
            ),
        )
    step = replace(fits[0], comment=comment)
    capability = Capability.DECIDE if args.approve else Capability.REJECT
    actions.must_be_able(step.match.pipeline, capability, step.match.build)
    if not args.approve and not step.approval.can_reject:
        url = step.approval.url or step.match.build.web_url
        raise step.match.provider.unsupported(Capability.REJECT, url)
    return step


async def open_steps(target: Target, context: Context, *, verb: str) -> list[Step]:
    """Return the steps that wait: of the build named, of the pipeline named, or of all the channel's pipelines."""
    named = await resolve_named_build(target, context, acting=True, verb=verb)
    if named is None and target.build is not None:
        named = await resolve_build(target, context, acting=True, verb=verb)
    if named is not None:
        actions.must_be_able(named.pipeline, Capability.APPROVALS, named.build)
        return await _steps_of(named)
    if target.pipeline is not None or target.url is not None:
        pipeline = await resolve_pipeline(target, context, acting=True, verb=verb)
        actions.must_be_able(pipeline, Capability.APPROVALS)
        return await waiting_steps([pipeline], context, ref=target.ref)
    pipelines = await pipelines_here(context)
    if not pipelines:
        await resolve_pipeline(target, context, acting=True, verb=verb)  # says what to do where nothing is linked
    return await waiting_steps(pipelines, context, ref=target.ref)


async def waiting_steps(pipelines: Iterable[PipelineMatch], context: Context, *, ref: Ref | None = None) -> list[Step]:
    """Return every step that waits in some pipelines. Costs a listing for each, and a request for each build that waits.

    Raises ProviderError where nothing could be read at all.
    """
    able = [pipeline for pipeline in pipelines if pipeline.provider.can(Capability.APPROVALS)]
    results = await asyncio.gather(*(_waiting_in(pipeline, context, ref) for pipeline in able), return_exceptions=True)
    steps: list[Step] = []
    troubles: list[ProviderError] = []
    for result in results:
        if isinstance(result, ProviderError):
            troubles.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            steps += result
    if troubles and not steps:
        raise troubles[0]
    return steps


async def _waiting_in(pipeline: PipelineMatch, context: Context, ref: Ref | None) -> list[Step]:
    builds = await unfinished_builds(pipeline, context, ref=ref)
    flagged = [build for build in builds if build.waiting]
    steps: list[Step] = []
    for build in flagged or builds[:MOST_UNFLAGGED]:
        steps += await _steps_of(await match_of_build(build, context, verb="approve"))
    return steps


async def _steps_of(match: BuildMatch) -> list[Step]:
    approvals = await match.provider.approvals(match.build.pipeline, match.build.id)
    ids = frozenset(approval.id for approval in approvals)
    return [Step(match=match, approval=approval, others=ids - {approval.id}) for approval in approvals]


def _step_and_comment(args: Args, approvals: Sequence[Approval]) -> tuple[str, str]:
    """Return the step's name and the comment that the words after a target hold.

    They begin with the whole name of a step that waits, or are a part of one; else they are why it is rejected. One word
    alone that is nearly a step's name is taken for that, so that a typing mistake decides no other step; for the same
    reason words that name no step approve none.
    """
    words = list(args.words)
    if args.step or not words:
        return args.step, reason_in(words)
    names = [name for approval in approvals for name in (approval.name, approval.id)]
    for count in range(len(words), 0, -1):
        if among_names(" ".join(words[:count]), names):
            return " ".join(words[:count]), reason_in(words[count:])
    whole = " ".join(words)
    is_part = any(holds_name(name, whole) for name in names)
    is_near = len(words) == 1 and bool(get_close_matches(folded(whole), [folded(name) for name in names]))
    if args.approve or is_part or is_near or args.comment or not approvals:
        return whole, ""
    return "", reason_in(words)


def _fitting(steps: Sequence[Step], name: str) -> list[Step]:
    """Return the steps that a name or an id fits, the exact ones where there are some; all without a name."""
    if not name:
        return list(steps)
    exact = [step for step in steps if among_names(name, (step.approval.name, step.approval.id))]
    return exact or [step for step in steps if holds_name(step.approval.name, name)]


async def _nothing_waits(args: Args, steps: Sequence[Step], context: Context) -> NotFound:
    if steps:
        names = ", ".join(f"`{step.approval.name}`" for step in steps[:10])
        place = steps[0].match.pipeline.name
        message = f"{place} has no open step `{args.step}`."
        return NotFound(message, provider=steps[0].match.provider.label, hint=f"These wait: {names}.")
    place = await place_of(args.target, context, verb=args.verb)
    return NotFound(f"Nothing waits for approval in {place} now.", provider="")


async def place_of(target: Target, context: Context, *, verb: str) -> str:
    """Return what a target is about, by name: a build, a pipeline, the only pipeline linked here, or the channel."""
    named = await resolve_named_build(target, context, acting=True, verb=verb)
    if named is not None:
        return named.name
    if target.pipeline is not None or target.url is not None:
        return (await resolve_pipeline(target, context, acting=True, verb=verb)).name
    pipelines = await pipelines_here(context)
    return pipelines[0].name if len(pipelines) == 1 else context.here


def words_of(step: Step, verb: str) -> str:
    """Return the command that decides a step."""
    return f"{verb} {step.match.spoken} --step {shlex.quote(step.approval.id)}"


def _words(step: Step, args: Args) -> str:
    comment = f" --comment={shlex.quote(args.comment)}" if args.comment else ""
    fields = "".join(f" {shlex.quote(f'{name}={value}')}" for name, value in args.fields.items())
    return f"{words_of(step, args.verb)}{comment}{fields}"


def _with_comment(args: Args, step: Step) -> Args:
    """Return the arguments with the comment that stood among the words."""
    return replace(args, step=step.approval.id, words=(), comment=args.comment or step.comment or None)


def authorize(args: Args, step: Step, _context: Context) -> Sequence[Requirement]:
    """Require the approver's role on the build's own pipeline and refs; to approve, also that nobody holds it."""
    args = _with_comment(args, step)
    match = step.match
    return (
        Requirement(
            deciding=Deciding(build=match.build, approve=args.approve, comment=args.comment or ""),
            role=Role.APPROVE,
            doing=f"{'Approving' if args.approve else 'Rejecting'} steps of *{escape(match.pipeline.name)}*",
            pipeline=match.pipeline,
            refs=refs_of_build(match.build),
            starts=args.approve,
            environments=(step.approval.name, *args.fields.values()),
        ),
    )


class MissingFields(UsageError):
    """Fields that the step needs and that were not given. `names` are theirs, for the form to mark."""

    def __init__(self, names: Sequence[str], approval: Approval) -> None:
        self.names = tuple(names)
        super().__init__(
            f"{approval.name} asks for {', '.join(f'`{name}`' for name in names)}.",
            hint=f"Add {' '.join(f'{name}=…' for name in names)}.",
        )


async def run(args: Args, step: Step, context: Context) -> Answer:
    """Approve or reject the step, and say so in public."""
    args = _with_comment(args, step)
    match, approval = step.match, step.approval
    actions.check_attempt(match, args.target.attempt)
    missing = [
        parameter.name
        for parameter in approval.fields
        if args.approve and parameter.required and parameter.name not in args.fields and parameter.default is None
    ]
    if missing and context.can_open_form:
        return Answer(form=form_of(_about(args, step), context))
    if missing:
        raise MissingFields(missing, approval)
    policy = await policy_here(match.build, context)
    if policy and policy.needs_comment and not (args.comment or "").strip() and context.can_open_form:
        return Answer(form=form_of(_about(args, step), context))
    if not await memory.first_click(f"{args.verb} {match.build.key} {approval.id}", context):
        return Answer(silent=True)
    fields = _with_defaults(approval, args.fields) if args.approve else {}
    vote = await _vote(args, step, fields, context)
    await context.store.approvals.vote(vote)
    missing_people = await _people_missing(vote, policy, context)
    if missing_people:
        return await _voted(args, step, missing_people, context)
    deciding = f"deciding:{context.team}:{match.build.key}:{match.attempt_no}:{approval.id}"
    if not await context.store.tokens.add(deciding, seconds=DECIDING_SECONDS):
        return Answer(silent=True)
    try:
        after = await match.provider.decide(
            approval, approve=args.approve, fields=fields, comment=_signed(args.comment, context)
        )
    except BaseException:
        await context.store.approvals.take_back(vote)
        raise
    finally:
        await context.store.tokens.take(deciding)
    done = f"{'approved' if args.approve else 'rejected'} {escape(step_name(approval.name))}"
    why = f": {escape(args.comment)}" if args.comment else ""
    await _note_on_cards(args, step, context)
    await actions.note_on_cards(match, context, did=f"{done}{why}")
    await actions.poll_again(after, match.pipeline, context)
    line = f"{actions.actor(context)} {done} of {escape(match.name)}{why}"
    return await actions.answered(match, context, line=line)


def _about(args: Args, step: Step) -> Args:
    """Return the arguments about the very step that was resolved."""
    build = step.match.build
    target = Target(pipeline=f"{build.connection}:{build.pipeline}", id=build.id)
    return replace(args, target=target, step=step.approval.id)


async def _vote(args: Args, step: Step, fields: Mapping[str, str], context: Context) -> NewVote:
    """Return the person's decision as stored. Raises UsageError where somebody approved with other values."""
    match, approval = step.match, step.approval
    digest, salt = "", ""
    if args.approve and fields:
        votes = await context.store.approvals.votes(context.team, match.build.key, match.attempt_no)
        others = [vote for vote in votes if vote.approve and vote.approval == approval.id and vote.user != context.user]
        salt = others[0].salt if others else secrets.token_hex(16)
        digest = _digest(fields, salt)
        if others and others[0].digest != digest:
            raise UsageError(
                f"<@{others[0].user}> approved {approval.name} with other values.",
                hint="Approve the same values, or reject it.",
            )
    return NewVote(
        team=context.team,
        connection=match.build.connection,
        pipeline=match.build.pipeline,
        build=match.build.id,
        attempt_no=match.attempt_no,
        approval=approval.id,
        name=approval.name,
        user=context.user,
        approve=args.approve,
        comment=redact(args.comment or "")[:MOST_COMMENT],
        salt=salt,
        digest=digest,
        at=context.now,
    )


def _digest(fields: Mapping[str, str], salt: str) -> str:
    """Return what stands for the values of an approval's fields, which may be secrets."""
    text = json.dumps(sorted(fields.items())).encode()
    return hashlib.scrypt(text, salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


async def _people_missing(vote: NewVote, policy: Policy | None, context: Context) -> int:
    """Return how many more people have to approve, this vote counted. The terminal acts for the operator, alone."""
    if policy is None or not vote.approve or context.source is Source.TERMINAL:
        return 0
    key = BuildKey(connection=vote.connection, pipeline=vote.pipeline, id=vote.build)
    votes = await context.store.approvals.votes(context.team, key, vote.attempt_no)
    return max(policy.people - len(approvers(votes, vote.approval)), 0)


async def _voted(args: Args, step: Step, people: int, context: Context) -> Answer:
    """Return the answer to an approval that is not the last one needed; the cards say it too."""
    more = f"{plural(people, 'more person has', 'more people have')} to approve"
    why = f" (“{escape(args.comment)}”)" if args.comment else ""
    done = f"approved {escape(step_name(step.approval.name))}{why}; {more}"
    await actions.note_on_cards(step.match, context, did=done)
    return await actions.answered(
        step.match, context, line=f"{actions.actor(context)} {done} ({escape(step.match.name)})"
    )


async def _note_on_cards(args: Args, step: Step, context: Context) -> None:
    """Write who decided, all who approved, and when, on the cards where no step is open any more."""
    match = step.match
    done = "Approved" if args.approve else "Rejected"
    votes = await context.store.approvals.votes(context.team, match.build.key, match.attempt_no)
    before = [user for user in approvers(votes, step.approval.id) if user and user != context.user]
    who = [*(f"<@{user}>" for user in before if args.approve), actions.actor(context)]
    text = f"{done} by {' and '.join(who)} · {when(context.now)}"
    text += f" · “{escape(args.comment)}”" if args.comment else ""
    for row in await context.store.notifications.of_build(match.build.key, context.team):
        extra = Extra.of(row.extra)
        if row.event != Event.BLOCKED.value or row.attempt_no != match.attempt_no or row.id is None or extra.text:
            continue
        has_step = not extra.steps or step.approval.id in extra.steps
        stays_open = not step.others.isdisjoint(extra.steps) if extra.steps else bool(step.others)
        if has_step and not stays_open:
            await context.store.notifications.revise(row.id, replace(extra, text=text).as_json(), context.now)
    context.services.wake_outbox()


def _with_defaults(approval: Approval, given: Mapping[str, str]) -> dict[str, str]:
    defaults = {parameter.name: parameter.default for parameter in approval.fields if parameter.default is not None}
    return {**defaults, **given}


def _signed(comment: str | None, context: Context) -> str:
    name = f"Slack user {context.user}" if context.user else context.command
    return f"{comment} ({name})" if comment else f"Decided in Slack by {name}"
