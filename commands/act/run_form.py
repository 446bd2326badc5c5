"""The form to start a build: pipeline, branch, and the parameters the CI system tells of."""

import json
from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import Block, View, context, input_block, section, select, text_field
from bot.blocks.text import escape, harmless
from bot.core.errors import BotError, NotAllowed, ProviderError, UsageError
from bot.core.models import Parameter, ParameterType, Ref, StartRequest, parse_ref
from bot.providers.base.capabilities import Capability
from commands.act.presets import presets, save_preset
from commands.act.run import begin, missing_parameters
from commands.core import actions as acting
from commands.core.context import Answer, Request, Role, Services
from commands.core.fields import (
    PREFIX,
    parameter_field,
    parameters_given,
    pipeline_field,
    pipeline_options,
    pipeline_value,
    ref_field,
    ref_options,
    target_of,
)
from commands.core.forms import FieldError, Form, Values, renewed, text
from commands.core.grammar import Target
from commands.core.permissions import require
from commands.core.resolve import PipelineMatch, place, ref_of

PIPELINE, REF, MESSAGE, EXTRA, PRESET, SAVE = "pipeline", "ref", "message", "extra", "preset", "save"
GIVEN = "given"
MOST_FIELDS = 80


class RunForm(Form):
    """Start a build."""

    name = "run"
    title = "Start a build"
    submit_label = "Start"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form; the fields of the parameters follow once the pipeline is known."""
        named = arguments.get(PIPELINE, "")
        try:
            where = await place(target_of(named), request, services, acting=True, verb="run")
            acting.must_be_able(where, Capability.START)
        except BotError as exc:
            trouble = [section(f"✕ {harmless(exc.message)}")] if named else []
            return self.view([*trouble, pipeline_field(None, name=PIPELINE)], arguments)
        return await self._drawn(where, arguments, None, request, services)

    async def _drawn(
        self,
        where: PipelineMatch,
        arguments: Mapping[str, str],
        values: Values | None,
        request: Request,
        services: Services,
    ) -> View:
        """Return the form of a pipeline; `values` is what stands in its fields already, where it does."""
        held = values or {}
        ref = text(held, REF) or arguments.get(REF, "") or where.branch
        saved = await presets(where, request, services)
        chosen = text(held, PRESET) or arguments.get(PRESET, "")
        asks_by_ref = where.provider.can(Capability.PARAMETERS)
        fields = [ref_field(where, ref, name=REF, dispatch=asks_by_ref)]
        if saved:
            names = [(name, name) for name in sorted(saved)]
            fields.append(
                input_block("Preset", select(names, initial=chosen), name=PRESET, optional=True, dispatch=True)
            )
        begins = saved.get(chosen) or await self._last_used(where, request, services)
        typed = json.loads(arguments.get(GIVEN) or "{}")
        begins = {
            **begins,
            **typed,
            **{name[len(PREFIX) :]: text(held, name) for name in held if name.startswith(PREFIX)},
        }
        parameters = await self._parameters(where, ref, begins)
        message = input_block(
            "Message",
            text_field(initial=arguments.get(MESSAGE)),
            name=MESSAGE,
            optional=True,
            hint="Where the CI system takes one.",
        )
        save = input_block(
            "Save these values as a preset",
            text_field(placeholder="its name"),
            name=SAVE,
            optional=True,
            hint=f"For everyone here: {services.command} run … --preset NAME. Secret fields are left out.",
        )
        preview = await self._preview(where, ref, services)
        blocks = [
            pipeline_field(where, name=PIPELINE),
            *renewed(fields, where.connection, where.pipeline),
            *renewed(parameters, where.connection, where.pipeline, chosen),
            message,
            *([save] if parameters else []),
            context(preview),
        ]
        return self.view(blocks, {**arguments, PIPELINE: pipeline_value(where), REF: ref, PRESET: chosen})

    async def _preview(self, where: PipelineMatch, ref: str, services: Services) -> str:
        said = f"Will start {escape(where.label)}{f' on {escape(ref)}' if ref else ''}"
        last = await services.store.builds.of_pipeline(where.connection, where.pipeline, branch=ref or None, limit=1)
        if not last:
            return f"{said}."
        who = last[0].triggered_by or (last[0].author.name if last[0].author else None)
        number = f"#{last[0].number}" if last[0].number is not None else "the last build"
        ended = last[0].conclusion.value if last[0].conclusion else last[0].status.value.replace("_", " ")
        return f"{said}; there {number} {f'by {escape(who)} ' if who else ''}is {ended}."

    async def _parameters(self, where: PipelineMatch, ref: str, begins: Mapping[str, str]) -> list[Block]:
        free = _free("\n".join(f"{name}={value}" for name, value in begins.items()))
        if not where.provider.can(Capability.PARAMETERS):
            return [free]
        try:
            known = await where.provider.parameters(where.pipeline, parse_ref(ref) if ref else None)
        except ProviderError as exc:
            return [section(f"I can't read the parameters: {harmless(str(exc))}"), free]
        if not known:
            return [free]
        fields = [parameter_field(parameter, begins.get(parameter.name)) for parameter in known[:MOST_FIELDS]]
        left = [f"`{escape(parameter.name)}`" for parameter in known[MOST_FIELDS:]]
        return [*fields, context(f"Only in a typed command: {', '.join(left)}")] if left else fields

    async def _last_used(self, where: PipelineMatch, request: Request, services: Services) -> dict[str, str]:
        return await services.store.last_values.get(request.team, request.user, where.connection, where.pipeline)

    @override
    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Sequence[tuple[str, str]]:
        """Return pipelines (from the store), or branches of the chosen one (from the CI system)."""
        if field == PIPELINE:
            return await pipeline_options(typed, request, services)
        chosen = text(values, PIPELINE) or arguments.get(PIPELINE, "")
        return await ref_options(chosen, typed, request, services)

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form of another pipeline, with the values of another preset, or with another branch's parameters."""
        named = text(values, PIPELINE)
        if not named:
            return None
        where = await place(Target(pipeline=named), request, services, acting=True, verb="run")
        acting.must_be_able(where, Capability.START)
        if field == PIPELINE:
            return await self._drawn(where, {**arguments, REF: "", PRESET: "", GIVEN: ""}, None, request, services)
        if field == PRESET:
            held = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
            return await self._drawn(where, {**arguments, PRESET: "", GIVEN: ""}, held, request, services)
        return await self._drawn(where, arguments, values, request, services)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Start the build with the values of the fields; secrets are kept nowhere."""
        named = text(values, PIPELINE)
        if named != arguments.get(PIPELINE):
            raise FieldError(PIPELINE, "Its fields were still on their way. Look them through and press Start again.")
        where = await place(Target(pipeline=named), request, services, acting=True, verb="run")
        acting.must_be_able(where, Capability.START)
        typed = text(values, REF)
        ref = await ref_of(where, parse_ref(typed) if typed else None)
        try:
            await require(Role.RUN, f"Starting builds of {where.label}", request, services, where, ref)
        except NotAllowed as exc:
            raise FieldError(PIPELINE, exc.message) from exc
        known = await self._known(where, ref)
        given = parameters_given(values, known) | _free_pairs(text(values, EXTRA))
        start = StartRequest(
            ref=ref,
            parameters=given,
            message=text(values, MESSAGE) or None,
            requested_by=await services.people.name(request.team, request.user),
        )
        missing = await missing_parameters(where, ref, start)
        if missing:
            said = {f"{PREFIX}{parameter.name}": "This one is needed." for parameter in missing}
            raise FieldError(next(iter(said)), "This one is needed.", others=said)
        secret = {parameter.name for parameter in known if parameter.type is ParameterType.SECRET}
        kept = {name: value for name, value in given.items() if name not in secret}
        if save := text(values, SAVE):
            try:
                await save_preset(save, kept, where, request, services)
            except UsageError as exc:
                raise FieldError(SAVE, exc.message) from exc
        answer = await begin(where, ref, start, request, services)
        if known:
            await services.store.last_values.save(request.team, request.user, where.connection, where.pipeline, kept)
        return answer

    async def _known(self, where: PipelineMatch, ref: Ref | None) -> tuple[Parameter, ...]:
        if not where.provider.can(Capability.PARAMETERS):
            return ()
        return await where.provider.parameters(where.pipeline, ref)


def _free(initial: str = "") -> Block:
    return input_block(
        "Parameters",
        text_field(multiline=True, initial=initial or None, placeholder="KEY=VALUE, one a line"),
        name=EXTRA,
        optional=True,
    )


def _free_pairs(written: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in written.splitlines():
        name, equals, value = line.partition("=")
        if line.strip() and not (equals and name.strip()):
            raise FieldError(EXTRA, f"“{line.strip()[:40]}” is no KEY=VALUE.")
        if equals:
            pairs[name.strip()] = value.strip()
    return pairs
