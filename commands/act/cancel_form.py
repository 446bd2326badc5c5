"""The form to stop running builds: those of the channel's pipelines and one's own, to be ticked."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import Block, View, checkboxes, context, input_block, section, text_field
from bot.blocks.text import plural, roughly, since
from bot.core.errors import NotLinked
from bot.core.models import Build
from bot.providers.base.capabilities import Capability
from commands.act.cancel import stop
from commands.core import actions as acting
from commands.core.context import Answer, Request, Role, Services
from commands.core.forms import FieldError, Form, Values, picked, text
from commands.core.grammar import Target
from commands.core.permissions import require
from commands.core.resolve import BuildMatch, build

BUILDS, REASON = "builds", "reason"
EACH = 10
MOST = 60
LONGEST = 150


class CancelForm(Form):
    """Stop builds."""

    name = "cancel"
    title = "Stop builds"
    submit_label = "Stop them"
    close_label = "Back"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the list of what runs, one's own first, from the store."""
        running, names = await _running(request, services)
        fitting = [one for one in running if len(_value(one)) <= LONGEST][:MOST]
        blocks: list[Block] = []
        for index, start in enumerate(range(0, len(fitting), EACH)):
            page = fitting[start : start + EACH]
            listed = [(_label(one, names, request), _value(one)) for one in page]
            blocks.append(
                input_block(
                    "Running" if index == 0 else "… and",
                    checkboxes(listed, initial=[listed[0][1]] if len(fitting) == 1 else ()),
                    name=f"{BUILDS}:{index}",
                    optional=True,
                )
            )
        if not blocks:
            hidden = f" {plural(len(running), 'more build')} can be stopped by name." if running else ""
            return self.view((section(f"Nothing runs here that I could stop.{hidden}"),), arguments, ready=False)
        blocks.append(input_block("Why", text_field(initial=arguments.get(REASON)), name=REASON, optional=True))
        if len(running) > len(fitting):
            blocks.append(
                context(f"{plural(len(running) - len(fitting), 'more build')}: {services.command} cancel NAME#NUMBER")
            )
        return self.view(blocks, arguments)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Stop what is ticked; several at once ask for the approver's role, as `cancel mine` does."""
        chosen = [value for name in sorted(values) if name.startswith(f"{BUILDS}:") for value in picked(values, name)]
        if not chosen:
            raise FieldError(f"{BUILDS}:0", "Tick at least one.")
        if len(chosen) > 1:
            await require(Role.APPROVE, "Stopping several builds at once", request, services)
        founds: list[BuildMatch] = []
        for value in chosen:
            connection, pipeline, number = (*value.split("\n"), "", "")[:3]
            target = Target(pipeline=f"{connection}:{pipeline}", id=number)
            found = await build(target, request, services, acting=True, verb="cancel")
            acting.must_be_able(found.place, Capability.CANCEL, found.build)
            await acting.may_act_on(found, f"Stopping builds of {found.place.label}", request, services)
            if not found.build.completed:
                founds.append(found)
        if not founds:
            raise FieldError(f"{BUILDS}:0", "It is over already." if len(chosen) == 1 else "They are all over already.")
        return await stop(founds, text(values, REASON), request, services)


async def _running(request: Request, services: Services) -> tuple[list[Build], dict[tuple[str, str], str]]:
    """Return the unfinished builds that a person may want to stop from here, and what their pipelines are called."""
    able = {one.connection for one in services.connections.visible(request.team) if one.can(Capability.CANCEL)}
    links = await services.store.links.of_channel(request.team, request.channel)
    names = {(link.connection, link.pipeline): link.alias or link.name for link in links}
    mine = [one for one in await services.store.builds.started_by(request.team, request.user, 50) if not one.completed]
    if not links and not mine:
        raise NotLinked("No pipeline is linked to this channel, and none of your builds runs.")
    here = [
        one for one in await services.store.builds.unfinished(sorted(able)) if (one.connection, one.pipeline) in names
    ]
    found = {one.key: one for one in (*mine, *here) if one.connection in able}
    return list(found.values()), names


def _value(one: Build) -> str:
    return f"{one.connection}\n{one.pipeline}\n{one.id}"


def _label(one: Build, names: Mapping[tuple[str, str], str], request: Request) -> str:
    name = names.get((one.connection, one.pipeline)) or one.workflow or one.repo or one.pipeline
    number = f" #{one.number}" if one.number is not None else ""
    began = one.started_at or one.created_at
    parts: Sequence[str | None] = (
        f"{name}{number}",
        one.ref,
        roughly(since(began, request.now)) if began else None,
        one.triggered_by or (one.author.name if one.author else None),
    )
    return " · ".join(part for part in parts if part)
