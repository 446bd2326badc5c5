"""Fields that several forms have: a pipeline, a ref, what a parameter is asked with."""

import asyncio
import re
from collections.abc import Iterable, Mapping

from bot.blocks.message import (
    Block,
    checkboxes,
    external_select,
    input_block,
    multi_select,
    number_field,
    select,
    text_field,
)
from bot.core.errors import ProviderError
from bot.core.models import Parameter, ParameterType, RefKind
from bot.core.text import folded
from bot.providers.base.capabilities import Capability
from bot.providers.base.options import names_option
from bot.providers.base.provider import AnyProvider
from commands.core.catalogue import nearest
from commands.core.context import Context
from commands.core.forms import FieldError, Values, text
from commands.core.grammar import Target
from commands.core.matches import PipelineMatch
from commands.core.resolve import resolve_pipeline

PREFIX = "p:"
OPTION = "o:"
MOST_CHOICES = 100
LONGEST_CHOICE = 150
LONGEST_TEXT = 3000
REF_SECONDS = 1.5
LISTING_PATIENCE = 1.5
TRUE = frozenset({"true", "1", "yes", "on"})
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def pipeline_field(
    pipeline: PipelineMatch | None, *, name: str, optional: bool = False, hint: str | None = None
) -> Block:
    """Return the list of pipelines, which asks while a person types."""
    chosen = (f"{pipeline.name} ({pipeline.connection})", pipeline.key) if pipeline else None
    return input_block(
        "Pipeline",
        external_select(initial=chosen, placeholder="Type a part of its name"),
        name=name,
        dispatch=True,
        optional=optional,
        hint=hint,
    )


def target_of(named: str) -> Target:
    """Return the target that a form was opened with: a name, an address, or nothing."""
    return Target(url=named) if named.startswith(("http://", "https://")) else Target(pipeline=named or None)


def ref_field(pipeline: PipelineMatch, ref: str, *, name: str, dispatch: bool = False) -> Block:
    """Return the field for a branch or tag: a list where the system has one, else a text.

    Without a branch of its own a pipeline may build without one, as Jenkins jobs do: then it may stay empty.
    """
    if pipeline.provider.can(Capability.REFS):
        chosen = (ref, ref) if ref else None
        element = external_select(initial=chosen, placeholder="Type a part of its name")
    else:
        element = text_field(initial=ref or None)
    return input_block("Branch or tag", element, name=name, dispatch=dispatch, optional=not pipeline.branch)


def parameter_field(parameter: Parameter, current: str | None) -> Block:
    """Return the field that asks for a parameter; `current` is the value it begins with instead of the default."""
    initial = parameter.default if current is None else current
    choices = [(shown or value, value) for value, shown in parameter.choices]
    fits = 0 < len(choices) <= MOST_CHOICES and all(0 < len(value) <= LONGEST_CHOICE for _shown, value in choices)
    optional = not parameter.required or parameter.default is not None
    hint = parameter.help
    element: Block
    match parameter.type:
        case ParameterType.BOOLEAN:
            ticked = ("true",) if (initial or "").lower() in TRUE else ()
            element = checkboxes([("on", "true")], initial=ticked)
            optional = True
        case ParameterType.CHOICE if fits:
            element = select(choices, initial=initial)
        case ParameterType.MULTIPLE if fits:
            element = multi_select(choices, initial=(initial or "").split(","))
        case ParameterType.NUMBER:
            element = number_field(initial=initial if _NUMBER.fullmatch(initial or "") else None)
        case ParameterType.SECRET:
            element = text_field()
            hint = f"{hint or ''} Shown while you type; it is not kept.".strip()
        case _:
            # A longer one would come back cut; left out, the CI system takes its own default.
            whole = initial if len(initial or "") <= LONGEST_TEXT else None
            element = text_field(initial=whole, multiline="\n" in (whole or ""))
            if choices:
                hint = f"{hint or ''} One of {', '.join(value for _shown, value in choices[:20])} …".strip()
    label = (parameter.label or parameter.name)[:75]
    return input_block(label, element, name=f"{PREFIX}{parameter.name}", hint=hint, optional=optional)


def parameters_given(values: Values, parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return the parameters that fields hold; a box that was left empty is `false`."""
    entries = {
        name.removeprefix(PREFIX): value if isinstance(value, str) else ",".join(value)
        for name, value in values.items()
        if name.startswith(PREFIX)
    }
    for parameter in parameters:
        if parameter.type is ParameterType.BOOLEAN:
            entries.setdefault(parameter.name, "false")
    return {name: value for name, value in entries.items() if value}


def option_fields(provider: AnyProvider, current: Mapping[str, str], *, has_commit: bool) -> list[Block]:
    """Return a field for each option of the provider's own: a box for what is switched on, one text for those with any name.

    `current` are the options that the fields begin with.
    """
    fields: list[Block] = []
    for option, words in _options_asked(provider, has_commit=has_commit).items():
        element: Block
        hint = words
        if option.endswith("."):
            pairs = [
                f"{name.removeprefix(option)}={value}" for name, value in current.items() if name.startswith(option)
            ]
            element = text_field(multiline=True, initial="\n".join(pairs) or None, placeholder="NAME=VALUE, one a line")
            hint = f"NAME=VALUE, one a line: {words.removeprefix('and a ')}"
        elif _is_switch(option, words):
            is_on = option in current and (current[option] or "true").lower() in TRUE
            element = checkboxes([("on", "true")], initial=("true",) if is_on else ())
        else:
            element = text_field(initial=current.get(option) or None)
        label = option.rstrip(".").replace("_", " ").capitalize()[:75]
        fields.append(input_block(label, element, name=f"{OPTION}{option}", hint=hint, optional=True))
    return fields


def options_entered(
    values: Values, provider: AnyProvider, current: Mapping[str, str], *, has_commit: bool
) -> dict[str, str]:
    """Return the options that the fields hold, and those of `current` that have no field. Raises FieldError."""
    asked = _options_asked(provider, has_commit=has_commit)
    entered = {name: value for name, value in current.items() if not names_option(name, asked)}
    for option in asked:
        value = text(values, f"{OPTION}{option}")
        if option.endswith("."):
            entered |= {
                f"{option}{name}": content for name, content in pairs_entered(value, f"{OPTION}{option}").items()
            }
        elif value:
            entered[option] = value
    return entered


def pairs_entered(written: str, name: str) -> dict[str, str]:
    """Return the KEY=VALUE lines of a text. Raises FieldError for the field `name` where a line is none."""
    pairs: dict[str, str] = {}
    for line in written.splitlines():
        key, equals, value = line.partition("=")
        if line.strip() and not (equals and key.strip()):
            raise FieldError(name, f"“{line.strip()[:40]}” is no KEY=VALUE.")
        if equals:
            pairs[key.strip()] = value.strip()
    return pairs


def _options_asked(provider: AnyProvider, *, has_commit: bool) -> dict[str, str]:
    """Return the options that a form asks for: no second name of the same, and no branch of a commit without a commit."""
    return {
        option: words
        for option, words in provider.start_options.items()
        if not words.startswith("the same") and (option != "branch" or has_commit or "tag" in words)
    }


def _is_switch(option: str, words: str) -> bool:
    return option == "clean" or words.startswith("yes to ")


async def pipeline_options(typed: str, context: Context) -> list[tuple[str, str]]:
    """Return the pipelines of every connection that fit what is typed, those linked to the channel first.

    Where none fits, those with the nearest names. The list is the CI systems' whole catalogue; where it was not listed yet, that is awaited briefly.
    """
    providers = context.providers()
    catalogue = context.services.catalogue
    await catalogue.refresh(providers, patience=LISTING_PATIENCE)
    aliases: Mapping[tuple[str, str], str] = {
        (row.connection, row.pipeline): row.alias
        for row in await context.store.links.of_channel(context.team, context.channel)
    }
    part = folded(typed)
    listed = [row for row in await catalogue.rows(providers) if row.enabled]
    rows = [
        row
        for row in listed
        if part in folded(f"{row.connection}:{row.path} {row.name} {aliases.get((row.connection, row.pipeline), '')}")
    ]
    if not rows:
        rows = nearest(typed, listed)
    rows.sort(key=lambda row: ((row.connection, row.pipeline) not in aliases, folded(row.name)))
    return [(f"{row.name} ({row.connection})", f"{row.connection}:{row.pipeline}") for row in rows[:MOST_CHOICES]]


async def ref_options(pipeline: str, typed: str, context: Context) -> list[tuple[str, str]]:
    """Return the branches, tags and pull requests that fit, what is typed itself first. Takes two seconds at most."""
    options: list[tuple[str, str]] = [(typed, typed)] if typed else []
    if not pipeline:
        return options
    match = await resolve_pipeline(Target(pipeline=pipeline), context, acting=True, verb="run")
    try:
        async with asyncio.timeout(REF_SECONDS):
            async for ref in match.provider.refs(match.id, typed or None):
                kind = "" if ref.kind is RefKind.BRANCH else f"{ref.kind.value.replace('_', ' ')}: "
                if str(ref) != typed:
                    options.append((f"{kind}{ref.title or ref.name}", str(ref)))
                if len(options) >= MOST_CHOICES:
                    break
    except (ProviderError, TimeoutError):
        pass
    return options
