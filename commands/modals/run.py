"""The form to start a build: pipeline, branch, and the parameters the CI system tells of."""

import asyncio
import json
from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import (
    Block,
    View,
    checkboxes,
    context,
    external_select,
    input_block,
    multi_select,
    number_field,
    section,
    select,
    text_field,
)
from bot.blocks.text import escape
from bot.errors import BotError, ProviderError
from bot.models import Parameter, ParameterType, Ref, RefKind, StartRequest, parse_ref
from bot.providers.base import Capability
from commands import acting
from commands.forms import FieldError, Form, Values, text
from commands.grammar import Target
from commands.permissions import require
from commands.request import Answer, Request, Role, Services
from commands.resolve import Place, place, refresh
from commands.run import begin, missing_parameters

PIPELINE, REF, MESSAGE, EXTRA = "pipeline", "ref", "message", "extra"
PREFIX = "p:"
MOST_FIELDS = 40
SECONDS = 2.0
LAST_USED = 30 * 86_400.0


class RunForm(Form):
    """Start a build."""

    name = "run"
    title = "Start a build"
    submit_label = "Start"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form; the fields of the parameters follow once the pipeline is known."""
        target = arguments.get(PIPELINE, "")
        where: Place | None = None
        if target:
            where = await place(Target(pipeline=target), request, services, acting=True, verb="run")
        else:
            try:
                where = await place(Target(), request, services, acting=True, verb="run")
            except BotError:
                where = None
        return await self._drawn(where, arguments.get(REF, ""), arguments, request, services)

    async def _drawn(
        self, where: Place | None, ref: str, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View:
        chosen = (f"{where.label} ({where.connection})", where.spoken()) if where else None
        blocks: list[Block] = [
            input_block(
                "Pipeline",
                external_select(initial=chosen, placeholder="Type a part of its name"),
                name=PIPELINE,
                dispatch=True,
            )
        ]
        if where is None:
            return self.view(blocks, arguments)
        acting.must_be_able(where, Capability.START)
        wanted = ref or where.branch
        if where.provider.can(Capability.REFS):
            blocks.append(
                input_block(
                    "Branch or tag",
                    external_select(
                        initial=(wanted, wanted) if wanted else None, placeholder="Type a part of its name"
                    ),
                    name=REF,
                )
            )
        else:
            blocks.append(input_block("Branch or tag", text_field(initial=wanted or None), name=REF))
        blocks += await self._parameters(where, wanted, request, services)
        blocks.append(
            input_block("Message", text_field(), name=MESSAGE, optional=True, hint="Where the CI system takes one.")
        )
        last = await services.store.builds_of(where.connection, where.pipeline, branch=wanted or None, limit=1)
        if last:
            who = last[0].triggered_by or (last[0].author.name if last[0].author else None) or "somebody"
            blocks.append(
                context(f"Will start {escape(where.label)} on {escape(wanted or '?')}; last run by {escape(who)}.")
            )
        return self.view(blocks, {**arguments, PIPELINE: where.spoken()})

    async def _parameters(self, where: Place, ref: str, request: Request, services: Services) -> list[Block]:
        known: tuple[Parameter, ...] = ()
        if where.provider.can(Capability.PARAMETERS):
            try:
                known = await where.provider.parameters(where.pipeline, parse_ref(ref) if ref else None)
            except ProviderError as exc:
                return [section(f"I can't read the parameters: {escape(str(exc))}"), _free()]
        used = await self._last_used(where, request, services)
        fields = [_field(parameter, used.get(parameter.name)) for parameter in known[:MOST_FIELDS]]
        return fields if known else [_free("\n".join(f"{name}={value}" for name, value in used.items()))]

    async def _last_used(self, where: Place, request: Request, services: Services) -> dict[str, str]:
        kept = await services.store.value(_memory(where, request))
        read = json.loads(kept) if kept else {}
        return {str(name): str(value) for name, value in read.items()}

    @override
    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Sequence[tuple[str, str]]:
        """Return pipelines (from the store), or branches of the chosen one (from the CI system, at most two seconds)."""
        if field == PIPELINE:
            return await pipeline_options(typed, request, services)
        chosen = text(values, PIPELINE) or arguments.get(PIPELINE, "")
        return await ref_options(chosen, typed, request, services)

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form of another pipeline."""
        if field != PIPELINE or not text(values, PIPELINE):
            return None
        return await self.fill({**arguments, PIPELINE: text(values, PIPELINE), REF: ""}, request, services)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Start the build with the values of the fields; secrets are not kept."""
        where = await place(
            Target(pipeline=text(values, PIPELINE) or arguments.get(PIPELINE)),
            request,
            services,
            acting=True,
            verb="run",
        )
        ref_text = text(values, REF) or where.branch
        if not ref_text:
            raise FieldError(REF, "Which branch?")
        ref = parse_ref(ref_text)
        try:
            await require(Role.RUN, f"Starting builds of *{escape(where.label)}*", request, services, where, ref)
        except BotError as exc:
            raise FieldError(PIPELINE, f"{exc.message} {exc.hint or ''}".strip()) from exc
        given = {name[len(PREFIX) :]: _as_text(value) for name, value in values.items() if name.startswith(PREFIX)}
        given |= _free_pairs(text(values, EXTRA))
        known = await self._known(where, ref)
        for parameter in known:
            if parameter.type is ParameterType.BOOLEAN:
                given.setdefault(parameter.name, "false")
        start = StartRequest(
            ref=ref,
            parameters={name: value for name, value in given.items() if value},
            message=text(values, MESSAGE) or None,
            requested_by=await services.people.name(request.team, request.user),
        )
        missing = await missing_parameters(where, ref, start)
        if missing:
            raise FieldError(f"{PREFIX}{missing[0].name}", "This one is needed.")
        answer = await begin(where, ref, start, request, services)
        secret = {parameter.name for parameter in known if parameter.type is ParameterType.SECRET}
        kept = {name: value for name, value in start.parameters.items() if name not in secret and known}
        if kept:
            await services.store.take(_memory(where, request))
            await services.store.seen(_memory(where, request), seconds=LAST_USED, value=json.dumps(kept))
        return answer

    async def _known(self, where: Place, ref: Ref) -> tuple[Parameter, ...]:
        if not where.provider.can(Capability.PARAMETERS):
            return ()
        return await where.provider.parameters(where.pipeline, ref)


def _memory(where: Place, request: Request) -> str:
    return f"used:{request.team}:{request.user}:{where.connection}:{where.pipeline}"


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
        if line.strip() and not equals:
            raise FieldError(EXTRA, f"`{line.strip()[:40]}` is no KEY=VALUE.")
        if equals:
            pairs[name.strip()] = value.strip()
    return pairs


def _field(parameter: Parameter, used: str | None) -> Block:
    label = (parameter.label or parameter.name)[:75]
    initial = used or parameter.default
    choices = [(shown or value, value) for value, shown in parameter.choices]
    optional = not parameter.required or parameter.default is not None
    element: Block
    match parameter.type:
        case ParameterType.BOOLEAN:
            ticked = ("true",) if (initial or "").lower() in {"true", "1", "yes", "on"} else ()
            element = checkboxes([("on", "true")], initial=ticked)
            optional = True
        case ParameterType.CHOICE if choices:
            element = select(choices, initial=initial)
        case ParameterType.MULTIPLE if choices:
            element = multi_select(choices, initial=(initial or "").split(","))
        case ParameterType.NUMBER:
            element = number_field(initial=initial)
        case _:
            secret = parameter.type is ParameterType.SECRET
            element = text_field(initial=None if secret else initial)
    return input_block(label, element, name=f"{PREFIX}{parameter.name}", hint=parameter.help, optional=optional)


def _as_text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ",".join(value)


async def pipeline_options(typed: str, request: Request, services: Services) -> list[tuple[str, str]]:
    """Return the pipelines that fit what is typed, those linked to the channel first."""
    providers = {provider.connection: provider for provider in services.connections.visible(request.team)}
    rows = await services.store.pipelines(connections=list(providers))
    if not rows:
        await refresh(list(providers.values()), request, services)
        rows = await services.store.pipelines(connections=list(providers))
    linked = {
        (row.connection, row.pipeline): row.alias for row in await services.store.links(request.team, request.channel)
    }
    wanted = typed.lower()
    fits = [
        row
        for row in rows
        if row.enabled
        and wanted in f"{row.connection}:{row.path} {row.name} {linked.get((row.connection, row.pipeline), '')}".lower()
    ]
    fits.sort(key=lambda row: ((row.connection, row.pipeline) not in linked, row.name.lower()))
    return [(f"{row.name} ({row.connection})", f"{row.connection}:{row.pipeline}") for row in fits[:100]]


async def ref_options(pipeline: str, typed: str, request: Request, services: Services) -> list[tuple[str, str]]:
    """Return the branches, tags and pull requests that fit, and what is typed itself."""
    found: list[tuple[str, str]] = [(typed, typed)] if typed else []
    if not pipeline:
        return found
    where = await place(Target(pipeline=pipeline), request, services, acting=True, verb="run")
    try:
        async with asyncio.timeout(SECONDS):
            async for ref in where.provider.refs(where.pipeline, typed or None):
                label = (
                    f"{ref.kind.value.replace('_', ' ')}: {ref.name}" if ref.kind is not RefKind.BRANCH else ref.name
                )
                if str(ref) != typed:
                    found.append((label, str(ref)))
                if len(found) >= 100:
                    break
    except (ProviderError, TimeoutError):
        pass
    return found
