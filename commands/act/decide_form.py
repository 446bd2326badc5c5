"""The form to approve or reject a step that waits: which step, what it asks for, and why."""

from collections.abc import Mapping
from dataclasses import replace

from typing_extensions import override

from bot.blocks.message import Block, View, context, input_block, radios, section, select, text_field
from bot.blocks.text import escape, link
from bot.core.errors import NotFound
from bot.core.models import Gate
from bot.providers.base.provider import Capability
from commands.act.decide import Decide
from commands.act.decide import run as decide
from commands.core.context import Answer, Request, Services
from commands.core.fields import PREFIX, parameter_field, parameters_given, target_of
from commands.core.forms import FieldError, Form, Values, renewed, text
from commands.core.grammar import Ask, Target
from commands.core.resolve import Found, build

PIPELINE, BUILD, NUMBER, GATE, DECISION, COMMENT = "pipeline", "build", "number", "gate", "decision", "comment"
APPROVE, REJECT = "approve", "reject"


class DecideForm(Form):
    """Approve or reject."""

    name = "decide"
    title = "Approve or reject"
    submit_label = "Decide"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form of the gate that was pressed, else of the first one open. Raises NotFound for none."""
        found, gates = await self._open(arguments, request, services)
        return self._drawn(found, gates, _named(gates, arguments.get(GATE, "")), arguments.get(DECISION, ""), arguments)

    async def _open(
        self, arguments: Mapping[str, str], request: Request, services: Services
    ) -> tuple[Found, tuple[Gate, ...]]:
        found = await build(_target(arguments), request, services, acting=True, verb="approve", default="waiting")
        gates = await found.provider.gates(found.build.pipeline, found.build.id)
        if not gates:
            raise NotFound(
                f"Nothing waits in {found.place.label}{_number(found)} any more.", provider=found.provider.label
            )
        return found, gates

    def _drawn(
        self, found: Found, gates: tuple[Gate, ...], gate: Gate, decision: str, arguments: Mapping[str, str]
    ) -> View:
        listed = [(f"{one.name} ({one.job})" if one.job and one.job != one.name else one.name, one.id) for one in gates]
        can_reject = gate.can_reject and found.provider.can(Capability.REJECT)
        shown = decision if decision == REJECT and can_reject else APPROVE
        choices = [("Approve", APPROVE), *([("Reject", REJECT)] if can_reject else [])]
        title = (
            f"*{escape(found.place.label)}{_number(found)}*{f' · {escape(found.build.ref)}' if found.build.ref else ''}"
        )
        lines = [title, escape(gate.name) if len(gates) == 1 else "", escape(gate.instructions or "")]
        about: list[Block] = [section("\n".join(line for line in lines if line))]
        fields: list[Block] = []
        if shown == APPROVE:
            fields = [parameter_field(field, None) for field in gate.fields[:80]]
        blocks = [
            *about,
            *(
                [input_block("Step", select(listed, initial=gate.id), name=GATE, dispatch=True)]
                if len(gates) > 1
                else []
            ),
            *renewed([input_block("Decision", radios(choices, initial=shown), name=DECISION, dispatch=True)], gate.id),
            *renewed(fields, gate.id),
            input_block(
                "Comment",
                text_field(multiline=True, initial=arguments.get(COMMENT)),
                name=COMMENT,
                optional=True,
                hint="For the public line, and for the CI system where it takes one.",
            ),
            *([context(link(gate.url, "See it there"))] if gate.url else []),
        ]
        kept = {
            PIPELINE: f"{found.place.connection}:{found.build.pipeline}",
            BUILD: found.build.id,
            NUMBER: "",
            GATE: gate.id,
        }
        return self.view(blocks, {**arguments, **kept})

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form of another step or decision: its fields change."""
        found, gates = await self._open(arguments, request, services)
        gate = _named(gates, text(values, GATE) or arguments.get(GATE, ""))
        decision = text(values, DECISION) if field == DECISION else ""
        return self._drawn(found, gates, gate, decision, arguments)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Decide, as `approve` and `reject` do."""
        chosen = text(values, GATE) or arguments.get(GATE, "")
        if chosen != arguments.get(GATE):
            raise FieldError(GATE, "Its fields were still on their way. Look them through and press Decide again.")
        found, gates = await self._open(arguments, request, services)
        gate = next((one for one in gates if one.id == chosen), None)
        if gate is None:
            raise NotFound("That step does not wait any more.", provider=found.provider.label)
        approve = text(values, DECISION) != REJECT
        given = parameters_given(values, gate.fields) if approve else {}
        missing = {
            f"{PREFIX}{field.name}": "This one is needed."
            for field in gate.fields
            if approve and field.required and field.default is None and field.name not in given
        }
        if missing:
            raise FieldError(next(iter(missing)), "This one is needed.", others=missing)
        comment = text(values, COMMENT)
        ask = Ask(parameters=given, flags={"comment": (comment,)} if comment else {})
        return await decide(
            Decide(target=_target(arguments), gate=gate.id, approve=approve, ask=ask), request, services
        )


def _target(arguments: Mapping[str, str]) -> Target:
    named = target_of(arguments.get(PIPELINE, ""))
    return replace(named, id=arguments.get(BUILD) or None, build=arguments.get(NUMBER) or None)


def _named(gates: tuple[Gate, ...], name: str) -> Gate:
    for gate in gates:
        if gate.id == name:
            return gate
    return next((gate for gate in gates if name and name.lower() in gate.name.lower()), gates[0])


def _number(found: Found) -> str:
    return f" #{found.build.number}" if found.build.number is not None else ""
