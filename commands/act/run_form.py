"""The form to start a build: pipeline, branch, and the parameters that the CI system declares."""

import json
from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import Block, View, input_block, section, select, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import escape, harmless
from bot.core.errors import BotError, NotAllowed, ProviderError, UsageError
from bot.core.models import Ref, parse_ref
from bot.providers.base.capabilities import Capability
from commands.act.presets import check_name, presets_of
from commands.act.run import Args, MissingParameters, parameters_of
from commands.core import actions
from commands.core.context import Context
from commands.core.fields import (
    PREFIX,
    option_fields,
    options_entered,
    pairs_entered,
    parameter_field,
    parameters_given,
    pipeline_field,
    pipeline_options,
    ref_field,
    ref_options,
    target_of,
)
from commands.core.forms import FieldError, Form, Submission, Values, renewed, text
from commands.core.grammar import Target
from commands.core.matches import PipelineMatch, number_of, state_of
from commands.core.resolve import resolve_pipeline

PIPELINE, REF, MESSAGE, EXTRA, PRESET, SAVE = "pipeline", "ref", "message", "extra", "preset", "save"
PARAMETERS, OPTIONS, COMMIT = "parameters", "options", "commit"
MOST_FIELDS = 80


class RunForm(Form):
    """Start a build."""

    name = "run"
    title = "Start a build"
    submit_label = "Start"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form; the fields of the parameters follow once the pipeline is known."""
        named = arguments.get(PIPELINE, "")
        try:
            pipeline = await resolve_pipeline(target_of(named), context, acting=True, verb="run")
            actions.must_be_able(pipeline, Capability.START)
        except BotError as exc:
            trouble = [section(f"✕ {harmless(exc.message)}")] if named else []
            return self.view([*trouble, pipeline_field(None, name=PIPELINE)], arguments)
        return await self._drawn(pipeline, arguments, None, context)

    async def _drawn(
        self, pipeline: PipelineMatch, arguments: Mapping[str, str], values: Values | None, context: Context
    ) -> View:
        """Return the form of a pipeline; `values` is what stands in its fields already, where it does."""
        held = values or {}
        ref = text(held, REF) or arguments.get(REF, "") or pipeline.branch
        saved = await presets_of(pipeline, context)
        chosen = text(held, PRESET) or arguments.get(PRESET, "")
        asks_by_ref = pipeline.provider.can(Capability.PARAMETERS)
        fields = [ref_field(pipeline, ref, name=REF, dispatch=asks_by_ref)]
        if saved:
            names = [(name, name) for name in sorted(saved)]
            fields.append(
                input_block("Preset", select(names, initial=chosen), name=PRESET, optional=True, dispatch=True)
            )
        begins = saved.get(chosen) or await context.store.last_values.get(
            context.team, context.user, pipeline.connection, pipeline.id
        )
        typed = json.loads(arguments.get(PARAMETERS) or "{}")
        begins = {
            **begins,
            **typed,
            **{name[len(PREFIX) :]: text(held, name) for name in held if name.startswith(PREFIX)},
        }
        parameters = await self._parameters(pipeline, ref, begins)
        save = input_block(
            "Save these values as a preset",
            text_field(placeholder="its name"),
            name=SAVE,
            optional=True,
            hint=f"For everyone here: {context.command} run … --preset NAME. Secret fields are left out.",
        )
        blocks = [
            pipeline_field(pipeline, name=PIPELINE),
            *renewed(fields, pipeline.connection, pipeline.id),
            *renewed(parameters, pipeline.connection, pipeline.id, chosen),
            *_message_fields(pipeline, arguments),
            *renewed(
                option_fields(
                    pipeline.provider, _options_held(pipeline, arguments, held), has_commit=_has_commit(arguments)
                ),
                pipeline.connection,
                pipeline.id,
            ),
            *([save] if parameters else []),
            small_print(await self._preview(pipeline, ref, context)),
        ]
        return self.view(blocks, {**arguments, PIPELINE: pipeline.key, REF: ref, PRESET: chosen})

    async def _preview(self, pipeline: PipelineMatch, ref: str, context: Context) -> str:
        will = f"Will start {escape(pipeline.name)}{f' on {escape(ref)}' if ref else ''}"
        last = await context.store.builds.of_pipeline(pipeline.connection, pipeline.id, branch=ref or None, limit=1)
        if not last:
            return f"{will}."
        starter = last[0].triggered_by or (last[0].author.name if last[0].author else None)
        by = f" by {escape(starter)}" if starter else ""
        return f"{will}. Last build there: {escape(number_of(last[0]))}{by}, {state_of(last[0])}."

    async def _parameters(self, pipeline: PipelineMatch, ref: str, begins: Mapping[str, str]) -> list[Block]:
        free = _free("\n".join(f"{name}={value}" for name, value in begins.items()))
        if not pipeline.provider.takes_parameters:
            return []
        if not pipeline.provider.can(Capability.PARAMETERS):
            return [free]
        try:
            parameters = await pipeline.provider.parameters(pipeline.id, parse_ref(ref) if ref else None)
        except ProviderError as exc:
            return [section(f"The parameters could not be read: {harmless(str(exc))}"), free]
        if not parameters:
            return [free]
        fields = [parameter_field(parameter, begins.get(parameter.name)) for parameter in parameters[:MOST_FIELDS]]
        left = [f"`{escape(parameter.name)}`" for parameter in parameters[MOST_FIELDS:]]
        return [*fields, small_print(f"Only in a typed command: {', '.join(left)}")] if left else fields

    @override
    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], context: Context
    ) -> Sequence[tuple[str, str]]:
        """Return pipelines (from the catalogue), or branches of the chosen one (from the CI system)."""
        if field == PIPELINE:
            return await pipeline_options(typed, context)
        chosen = text(values, PIPELINE) or arguments.get(PIPELINE, "")
        return await ref_options(chosen, typed, context)

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form of another pipeline, with the values of another preset, or with another branch's parameters."""
        named = text(values, PIPELINE)
        if not named:
            return None
        pipeline = await resolve_pipeline(Target(pipeline=named), context, acting=True, verb="run")
        actions.must_be_able(pipeline, Capability.START)
        if field == PIPELINE:
            fresh = {**arguments, REF: "", PRESET: "", PARAMETERS: "", OPTIONS: "", COMMIT: ""}
            return await self._drawn(pipeline, fresh, None, context)
        if field == PRESET:
            held = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
            return await self._drawn(pipeline, {**arguments, PRESET: "", PARAMETERS: ""}, held, context)
        return await self._drawn(pipeline, arguments, values, context)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `run` with the values of the fields."""
        named = text(values, PIPELINE)
        if named != arguments.get(PIPELINE):
            raise FieldError(PIPELINE, "Its fields were still on their way. Look them through and press Start again.")
        typed = text(values, REF)
        ref = parse_ref(typed) if typed else None
        save = text(values, SAVE)
        if save:
            try:
                check_name(save)
            except UsageError as exc:
                raise FieldError(SAVE, exc.message) from exc
        pipeline = await resolve_pipeline(Target(pipeline=named), context, acting=True, verb="run")
        # A box left empty is sent as `false`, so the parameters have to be known.
        parameters = (await parameters_of(pipeline, ref or _default_ref(pipeline)))[0]
        args = Args(
            target=Target(pipeline=named, ref=ref),
            parameters=parameters_given(values, parameters) | pairs_entered(text(values, EXTRA), EXTRA),
            options=options_entered(
                values,
                pipeline.provider,
                json.loads(arguments.get(OPTIONS) or "{}"),
                has_commit=_has_commit(arguments),
            ),
            message=text(values, MESSAGE) or None,
            commit=arguments.get(COMMIT) or None,
            save_preset=save,
            keep_values=True,
        )
        return Submission(verb="run", args=args)

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Mark the fields that are needed, and the pipeline where it may not be started."""
        if isinstance(error, MissingParameters):
            needed = {f"{PREFIX}{name}": "This one is needed." for name in error.names}
            return FieldError(next(iter(needed)), "This one is needed.", others=needed)
        if isinstance(error, NotAllowed):
            return FieldError(PIPELINE, error.message)
        if isinstance(error, UsageError) and "presets in this channel" in error.message:
            return FieldError(SAVE, error.message)
        return error


def _has_commit(arguments: Mapping[str, str]) -> bool:
    return bool(arguments.get(COMMIT))


def _options_held(pipeline: PipelineMatch, arguments: Mapping[str, str], held: Values) -> dict[str, str]:
    """Return the options that the form begins with: what stands in its fields, else what was typed before it opened."""
    typed: dict[str, str] = json.loads(arguments.get(OPTIONS) or "{}")
    if not held:
        return typed
    try:
        return options_entered(held, pipeline.provider, typed, has_commit=_has_commit(arguments))
    except FieldError:
        return typed  # Slack keeps what stands in the field


def _default_ref(pipeline: PipelineMatch) -> Ref | None:
    return parse_ref(f"branch:{pipeline.branch}") if pipeline.branch else None


def _message_fields(pipeline: PipelineMatch, arguments: Mapping[str, str]) -> list[Block]:
    """Return the field for a message, where the provider takes one."""
    if not pipeline.provider.takes_message:
        return []
    element = text_field(initial=arguments.get(MESSAGE))
    return [input_block("Message", element, name=MESSAGE, optional=True)]


def _free(initial: str = "") -> Block:
    return input_block(
        "Parameters",
        text_field(multiline=True, initial=initial or None, placeholder="KEY=VALUE, one a line"),
        name=EXTRA,
        optional=True,
    )
