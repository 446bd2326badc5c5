"""The form to follow a pipeline in a channel: found by name, or by any of its pages' addresses."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import View, checkboxes, input_block, text_field
from bot.core.errors import NotLinked, UsageError
from commands.core.context import Answer, Request, Services
from commands.core.fields import pipeline_field, pipeline_options
from commands.core.forms import FieldError, Form, Values, picked, renewed, text
from commands.core.grammar import ParsedArgs, Target
from commands.setup.link import Link, check_alias
from commands.setup.link import link as follow

PIPELINE, ADDRESS, ALIAS, BRANCH, DEFAULT = "pipeline", "address", "alias", "branch", "default"


class LinkForm(Form):
    """Follow a pipeline here."""

    name = "link"
    title = "Follow a pipeline"
    submit_label = "Link"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form. Raises NotLinked where no CI system is connected."""
        if not services.connections.visible(request.team):
            raise NotLinked(
                "No CI system is connected to this workspace yet.", hint=f"An admin can: {services.command} connect"
            )
        return await self._drawn("", arguments, request, services)

    async def _drawn(self, chosen: str, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        connection, _, pipeline = chosen.partition(":")
        known = await services.store.pipelines.get(connection, pipeline) if pipeline else None
        links = await services.store.links.of_channel(request.team, request.channel)
        is_first = not links
        branch = input_block(
            "Branch",
            text_field(placeholder=(known.default_branch if known else "") or "the default branch"),
            name=BRANCH,
            optional=True,
            hint="The branch this channel means and hears, where it is another than the default one.",
        )
        blocks = [
            pipeline_field(None, name=PIPELINE, optional=True),
            input_block(
                "… or the address of one of its pages",
                text_field(placeholder="https://"),
                name=ADDRESS,
                optional=True,
            ),
            input_block(
                "Alias",
                text_field(placeholder=known.name.lower().replace(" ", "-") if known else "web"),
                name=ALIAS,
                optional=True,
                hint="A short name in this channel.",
            ),
            *renewed([branch], chosen),
            input_block(
                "When no pipeline is named",
                checkboxes([("this one is meant", "true")], initial=("true",) if is_first else ()),
                name=DEFAULT,
                optional=True,
            ),
        ]
        return self.view(blocks, arguments)

    @override
    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Sequence[tuple[str, str]]:
        """Return the pipelines that fit, from the store."""
        return await pipeline_options(typed, request, services) if field == PIPELINE else ()

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form with the chosen pipeline's default branch and name as hints."""
        return await self._drawn(text(values, PIPELINE), arguments, request, services)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Link it, as `link` does."""
        pipeline, address = text(values, PIPELINE), text(values, ADDRESS)
        if bool(pipeline) == bool(address):
            raise FieldError(ADDRESS if address else PIPELINE, "Choose a pipeline or paste an address, one of the two.")
        if address and not address.startswith(("http://", "https://")):
            raise FieldError(ADDRESS, "An address begins with https://.")
        alias = text(values, ALIAS)
        try:
            check_alias(alias)
        except UsageError as exc:
            raise FieldError(ALIAS, exc.message) from exc
        flags: dict[str, tuple[str, ...]] = {}
        if branch := text(values, BRANCH):
            flags["branch"] = (branch,)
        if picked(values, DEFAULT):
            flags["default"] = ()
        target = Target(url=address) if address else Target(pipeline=pipeline)
        try:
            return await follow(Link(target=target, alias=alias, ask=ParsedArgs(flags=flags)), request, services)
        except NotLinked as exc:
            raise FieldError(ADDRESS if address else PIPELINE, f"{exc.message} {exc.hint or ''}".strip()) from exc
