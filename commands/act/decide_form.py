"""The form to approve or reject a step that waits: which step, what it asks for, and why."""

from collections.abc import Mapping
from dataclasses import replace

from typing_extensions import override

from bot.blocks.message import Block, View, context, input_block, radios, section, select, text_field
from bot.blocks.text import escape, link
from bot.core.errors import NotFound
from bot.core.models import Approval
from bot.core.text import holds_name
from bot.providers.base.capabilities import Capability
from commands.act.decide import Decide
from commands.act.decide import run as decide
from commands.core.context import Answer, Request, Services
from commands.core.fields import PREFIX, parameter_field, parameters_given, target_of
from commands.core.forms import FieldError, Form, Values, renewed, text
from commands.core.grammar import ParsedArgs, Target
from commands.core.resolve import BuildMatch, build

PIPELINE, BUILD, NUMBER, APPROVAL, DECISION, COMMENT = "pipeline", "build", "number", "approval", "decision", "comment"
APPROVE, REJECT = "approve", "reject"


class DecideForm(Form):
    """Approve or reject."""

    name = "decide"
    title = "Approve or reject"
    submit_label = "Decide"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form of the approval that was pressed, else of the first one open. Raises NotFound for none."""
        found, approvals = await self._open(arguments, request, services)
        return self._drawn(
            found, approvals, _named(approvals, arguments.get(APPROVAL, "")), arguments.get(DECISION, ""), arguments
        )

    async def _open(
        self, arguments: Mapping[str, str], request: Request, services: Services
    ) -> tuple[BuildMatch, tuple[Approval, ...]]:
        found = await build(_target(arguments), request, services, acting=True, verb="approve", default="waiting")
        approvals = await found.provider.approvals(found.build.pipeline, found.build.id)
        if not approvals:
            raise NotFound(
                f"Nothing waits in {found.place.label}{_number(found)} any more.", provider=found.provider.label
            )
        return found, approvals

    def _drawn(
        self,
        found: BuildMatch,
        approvals: tuple[Approval, ...],
        approval: Approval,
        decision: str,
        arguments: Mapping[str, str],
    ) -> View:
        listed = [
            (f"{one.name} ({one.job})" if one.job and one.job != one.name else one.name, one.id) for one in approvals
        ]
        can_reject = approval.can_reject and found.provider.can(Capability.REJECT)
        shown = decision if decision == REJECT and can_reject else APPROVE
        choices = [("Approve", APPROVE), *([("Reject", REJECT)] if can_reject else [])]
        title = (
            f"*{escape(found.place.label)}{_number(found)}*{f' · {escape(found.build.ref)}' if found.build.ref else ''}"
        )
        lines = [title, escape(approval.name) if len(approvals) == 1 else "", escape(approval.instructions or "")]
        about: list[Block] = [section("\n".join(line for line in lines if line))]
        fields: list[Block] = []
        if shown == APPROVE:
            fields = [parameter_field(field, None) for field in approval.fields[:80]]
        blocks = [
            *about,
            *(
                [input_block("Step", select(listed, initial=approval.id), name=APPROVAL, dispatch=True)]
                if len(approvals) > 1
                else []
            ),
            *renewed(
                [input_block("Decision", radios(choices, initial=shown), name=DECISION, dispatch=True)], approval.id
            ),
            *renewed(fields, approval.id),
            input_block(
                "Comment",
                text_field(multiline=True, initial=arguments.get(COMMENT)),
                name=COMMENT,
                optional=True,
                hint="For the public line, and for the CI system where it takes one.",
            ),
            *([context(link(approval.url, "See it there"))] if approval.url else []),
        ]
        kept = {
            PIPELINE: f"{found.place.connection}:{found.build.pipeline}",
            BUILD: found.build.id,
            NUMBER: "",
            APPROVAL: approval.id,
        }
        return self.view(blocks, {**arguments, **kept})

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form of another step or decision: its fields change."""
        found, approvals = await self._open(arguments, request, services)
        approval = _named(approvals, text(values, APPROVAL) or arguments.get(APPROVAL, ""))
        decision = text(values, DECISION) if field == DECISION else ""
        return self._drawn(found, approvals, approval, decision, arguments)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Decide, as `approve` and `reject` do."""
        chosen = text(values, APPROVAL) or arguments.get(APPROVAL, "")
        if chosen != arguments.get(APPROVAL):
            raise FieldError(APPROVAL, "Its fields were still on their way. Look them through and press Decide again.")
        found, approvals = await self._open(arguments, request, services)
        approval = next((one for one in approvals if one.id == chosen), None)
        if approval is None:
            raise NotFound("That step does not wait any more.", provider=found.provider.label)
        approve = text(values, DECISION) != REJECT
        given = parameters_given(values, approval.fields) if approve else {}
        missing = {
            f"{PREFIX}{field.name}": "This one is needed."
            for field in approval.fields
            if approve and field.required and field.default is None and field.name not in given
        }
        if missing:
            raise FieldError(next(iter(missing)), "This one is needed.", others=missing)
        comment = text(values, COMMENT)
        ask = ParsedArgs(parameters=given, flags={"comment": (comment,)} if comment else {})
        return await decide(
            Decide(target=_target(arguments), approval=approval.id, approve=approve, ask=ask), request, services
        )


def _target(arguments: Mapping[str, str]) -> Target:
    named = target_of(arguments.get(PIPELINE, ""))
    return replace(named, id=arguments.get(BUILD) or None, build=arguments.get(NUMBER) or None)


def _named(approvals: tuple[Approval, ...], name: str) -> Approval:
    for approval in approvals:
        if approval.id == name:
            return approval
    return next((approval for approval in approvals if name and holds_name(approval.name, name)), approvals[0])


def _number(found: BuildMatch) -> str:
    return f" #{found.build.number}" if found.build.number is not None else ""
