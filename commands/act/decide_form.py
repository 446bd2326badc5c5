"""The form to approve or reject a step that waits: which step, its fields, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from typing_extensions import override

from bot.blocks.message import Block, View, input_block, radios, section, select, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import escape, link
from bot.core.errors import BotError, NotFound
from bot.core.text import holds_name
from bot.providers.base.capabilities import Capability
from commands.act.decision import Args, MissingFields, Step, open_steps, place_of
from commands.core.approval_policies import CommentNeeded, policy_here
from commands.core.context import Context
from commands.core.fields import PREFIX, parameter_field, parameters_given, target_of
from commands.core.forms import FieldError, Form, Submission, Values, renewed, text
from commands.core.grammar import Target
from commands.core.words import choice_label

PIPELINE, BUILD, NUMBER, APPROVAL, DECISION, COMMENT = "pipeline", "build", "number", "approval", "decision", "comment"
APPROVE, REJECT = "approve", "reject"


class DecideForm(Form):
    """Approve or reject."""

    name = "decide"
    title = "Approve or reject"
    submit_label = "Send"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form of the step that was pressed, else of the first one open. Raises NotFound for none."""
        steps = await _open(arguments, context)
        named = arguments.get(APPROVAL, "")
        return await self._drawn(steps, _named(steps, named), arguments.get(DECISION, ""), arguments, context)

    async def _drawn(
        self,
        steps: Sequence[Step],
        step: Step,
        decision: str,
        arguments: Mapping[str, str],
        context: Context,
    ) -> View:
        match, approval = step.match, step.approval
        can_reject = approval.can_reject and match.provider.can(Capability.REJECT)
        shown = decision if decision == REJECT and can_reject else APPROVE
        choices = [("Approve", APPROVE), *([("Reject", REJECT)] if can_reject else [])]
        policy = await policy_here(match.build, context)
        title = f"*{escape(match.name)}*{f' · {escape(match.build.ref)}' if match.build.ref else ''}"
        lines = [title, escape(approval.name) if len(steps) == 1 else "", escape(approval.instructions or "")]
        lines += [f"Needs: {policy.sentence}"] if policy else []
        about: list[Block] = [section("\n".join(line for line in lines if line))]
        fields: list[Block] = []
        if shown == APPROVE:
            fields = [parameter_field(parameter, None) for parameter in approval.fields[:80]]
        blocks = [
            *about,
            *_step_fields(steps, step, context),
            *renewed(
                [input_block("Decision", radios(choices, initial=shown), name=DECISION, dispatch=True)], approval.id
            ),
            *renewed(fields, approval.id),
            input_block(
                "Comment",
                text_field(multiline=True, initial=arguments.get(COMMENT)),
                name=COMMENT,
                optional=not (policy and policy.needs_comment),
                hint="For the public line, and for the CI system where it takes one.",
            ),
            *([small_print(link(approval.url, "Open step"))] if approval.url else []),
        ]
        about_build = (
            {PIPELINE: f"{match.build.connection}:{match.build.pipeline}", BUILD: match.build.id, NUMBER: ""}
            if _is_one_build(steps)
            else {}
        )
        return self.view(blocks, {**arguments, **about_build, APPROVAL: _value(step, steps)})

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form of another step or decision: its fields change."""
        steps = await _open(arguments, context)
        step = _named(steps, text(values, APPROVAL) or arguments.get(APPROVAL, ""))
        decision = text(values, DECISION) if field == DECISION else ""
        return await self._drawn(steps, step, decision, arguments, context)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `approve` or `reject` for the step and the fields shown."""
        chosen = text(values, APPROVAL) or arguments.get(APPROVAL, "")
        if chosen != arguments.get(APPROVAL):
            raise FieldError(APPROVAL, "Its fields were still on their way. Look them through and press Send again.")
        steps = await _open(arguments, context)
        step = next((step for step in steps if _value(step, steps) == chosen), None)
        if step is None:
            raise NotFound("That step does not wait any more.", provider="")
        approve = text(values, DECISION) != REJECT
        build = step.match.build
        args = Args(
            target=Target(pipeline=f"{build.connection}:{build.pipeline}", id=build.id),
            approve=approve,
            step=step.approval.id,
            fields=parameters_given(values, step.approval.fields) if approve else {},
            comment=text(values, COMMENT) or None,
        )
        return Submission(verb=APPROVE if approve else REJECT, args=args)

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Mark the fields that the step needs, the comment among them."""
        if isinstance(error, CommentNeeded):
            return FieldError(COMMENT, "A comment is needed here.")
        if not isinstance(error, MissingFields):
            return error
        needed = {f"{PREFIX}{name}": "This one is needed." for name in error.names}
        return FieldError(next(iter(needed)), "This one is needed.", others=needed)


async def _open(arguments: Mapping[str, str], context: Context) -> list[Step]:
    """Return the steps that wait in what the form is about. Raises NotFound for none."""
    named = target_of(arguments.get(PIPELINE, ""))
    target = replace(named, id=arguments.get(BUILD) or None, build=arguments.get(NUMBER) or None)
    steps = await open_steps(target, context, verb=APPROVE)
    if not steps:
        place = await place_of(target, context, verb=APPROVE)
        raise NotFound(f"Nothing waits in {place} any more.", provider="")
    return steps


def _is_one_build(steps: Sequence[Step]) -> bool:
    return len({step.match.build.key for step in steps}) == 1


def _value(step: Step, steps: Sequence[Step]) -> str:
    return step.approval.id if _is_one_build(steps) else f"{step.match.build.id}\n{step.approval.id}"


def _named(steps: Sequence[Step], name: str) -> Step:
    for step in steps:
        if name and name in {_value(step, steps), step.approval.id}:
            return step
    return next((step for step in steps if name and holds_name(step.approval.name, name)), steps[0])


def _step_fields(steps: Sequence[Step], step: Step, context: Context) -> list[Block]:
    """Return the list of steps where there are several: with their builds where those differ."""
    if len(steps) == 1:
        return []
    is_one_build = _is_one_build(steps)
    listed = [
        (
            other.approval.name if is_one_build else choice_label(other.match, context, other.approval),
            _value(other, steps),
        )
        for other in steps
    ]
    return [input_block("Step", select(listed, initial=_value(step, steps)), name=APPROVAL, dispatch=True)]
