"""The form to follow a pipeline in a channel: found by name, or by any of its pages' addresses."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import View, checkboxes, input_block, text_field
from bot.core.errors import BotError, NotLinked, UsageError
from commands.core.context import Context
from commands.core.fields import pipeline_field, pipeline_options, target_of
from commands.core.forms import FieldError, Form, Submission, Values, picked, renewed, text
from commands.core.grammar import Target
from commands.core.matches import PipelineMatch
from commands.core.resolve import resolve_pipeline
from commands.setup.link import Args, check_alias

PIPELINE, ADDRESS, ALIAS, BRANCH, DEFAULT = "pipeline", "address", "alias", "branch", "default"


class LinkForm(Form):
    """Follow a pipeline here."""

    name = "link"
    title = "Follow a pipeline"
    submit_label = "Link"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form. Raises NotLinked where no CI system is connected."""
        if not context.providers():
            raise NotLinked(
                "No CI system is connected to this workspace yet.", hint=f"An admin can: {context.command} connect"
            )
        target = target_of(arguments.get(PIPELINE, ""))
        if target.empty:
            return await self._drawn("", arguments, context)
        pipeline = await resolve_pipeline(target, context, acting=True, verb="link")
        return await self._drawn(pipeline.key, arguments, context, pipeline)

    async def _drawn(
        self, chosen: str, arguments: Mapping[str, str], context: Context, named: PipelineMatch | None = None
    ) -> View:
        connection, _, pipeline = chosen.partition(":")
        row = await context.store.pipelines.get(connection, pipeline) if pipeline else None
        links = await context.store.links.of_channel(context.team, context.channel)
        is_default = not links or bool(arguments.get(DEFAULT))
        branch = input_block(
            "Branch to follow",
            text_field(
                initial=arguments.get(BRANCH), placeholder=(row.default_branch if row else "") or "the default branch"
            ),
            name=BRANCH,
            optional=True,
            hint="Default: the pipeline's own.",
        )
        blocks = [
            pipeline_field(named, name=PIPELINE, optional=True),
            input_block(
                "… or the address of one of its pages",
                text_field(placeholder="https://"),
                name=ADDRESS,
                optional=True,
            ),
            input_block(
                "Alias",
                text_field(
                    initial=arguments.get(ALIAS), placeholder=row.name.lower().replace(" ", "-") if row else "web"
                ),
                name=ALIAS,
                optional=True,
                hint="A short name in this channel.",
            ),
            *renewed([branch], chosen),
            input_block(
                "Default",
                checkboxes(
                    [("Use as this channel's default pipeline", "true")], initial=("true",) if is_default else ()
                ),
                name=DEFAULT,
                optional=True,
            ),
        ]
        return self.view(blocks, arguments)

    @override
    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], context: Context
    ) -> Sequence[tuple[str, str]]:
        """Return the pipelines of the whole catalogue that fit."""
        return await pipeline_options(typed, context) if field == PIPELINE else ()

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form with the chosen pipeline's default branch and name as hints."""
        return await self._drawn(text(values, PIPELINE), arguments, context)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `link` with the fields."""
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
        args = Args(
            target=Target(url=address) if address else Target(pipeline=pipeline),
            alias=alias,
            branch=text(values, BRANCH),
            is_default=bool(picked(values, DEFAULT)),
        )
        return Submission(verb="link", args=args)

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at the field what could not be linked."""
        if isinstance(error, NotLinked):
            return FieldError(
                ADDRESS if text(values, ADDRESS) else PIPELINE, f"{error.message} {error.hint or ''}".strip()
            )
        if isinstance(error, UsageError) and text(values, ALIAS) and f"`{text(values, ALIAS)}`" in error.message:
            return FieldError(ALIAS, error.message)
        return error
