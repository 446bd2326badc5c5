"""The form to stop running builds: those of the channel's pipelines and one's own, to be ticked."""

from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import Block, View, checkboxes, input_block, section, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import plural
from bot.core.errors import BotError, NotLinked, UsageError
from bot.core.models import Build
from bot.providers.base.capabilities import Capability
from commands.act.cancel import Args
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values, picked, text
from commands.core.grammar import Target
from commands.core.listings import pipeline_names
from commands.core.matches import name_of
from commands.core.words import standing

BUILDS, REASON = "builds", "reason"
EACH = 10
MOST = 60
MOST_OWN = 50
LONGEST = 150


class CancelForm(Form):
    """Stop builds."""

    name = "cancel"
    title = "Stop builds"
    submit_label = "Stop them"
    close_label = "Back"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the list of what runs, one's own first, from the store."""
        running = await _running(context)
        names = await pipeline_names(running, context)
        fitting = [build for build in running if len(_value(build)) <= LONGEST][:MOST]
        blocks: list[Block] = []
        for index, start in enumerate(range(0, len(fitting), EACH)):
            page = fitting[start : start + EACH]
            listed = [(_label(build, names, context), _value(build)) for build in page]
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
            more = plural(len(running) - len(fitting), "more build")
            blocks.append(small_print(f"{more}: {context.command} cancel NAME#NUMBER"))
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `cancel` for what is ticked; the form was the question."""
        chosen = [value for name in sorted(values) if name.startswith(f"{BUILDS}:") for value in picked(values, name)]
        if not chosen:
            raise FieldError(f"{BUILDS}:0", "Tick at least one.")
        targets = tuple(_target(value) for value in chosen)
        return Submission(verb="cancel", args=Args(targets=targets, reason=text(values, REASON), confirmed=True))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at the list that what was ticked is over."""
        if isinstance(error, UsageError) and " already" in error.message:
            chosen = [value for name in values if name.startswith(f"{BUILDS}:") for value in picked(values, name)]
            return FieldError(
                f"{BUILDS}:0", "It is over already." if len(chosen) == 1 else "They are all over already."
            )
        return error


async def _running(context: Context) -> list[Build]:
    """Return the unfinished builds that a person may want to stop from here."""
    able = {provider.connection for provider in context.providers() if provider.can(Capability.CANCEL)}
    links = await context.store.links.of_channel(context.team, context.channel)
    linked = {(link.connection, link.pipeline) for link in links}
    started = await context.store.builds.started_by(context.team, context.user, MOST_OWN)
    own = [build for build in started if not build.completed]
    if not links and not own:
        raise NotLinked("No pipeline is linked to this channel, and none of your builds is running.")
    unfinished = await context.store.builds.unfinished(sorted(able))
    here = [build for build in unfinished if (build.connection, build.pipeline) in linked]
    running = {build.key: build for build in (*own, *here) if build.connection in able}
    return list(running.values())


def _value(build: Build) -> str:
    return f"{build.connection}\n{build.pipeline}\n{build.id}"


def _target(value: str) -> Target:
    connection, pipeline, build = (*value.split("\n"), "", "")[:3]
    return Target(pipeline=f"{connection}:{pipeline}", id=build)


def _label(build: Build, names: Mapping[tuple[str, str], str], context: Context) -> str:
    parts = (
        name_of(build, names[build.connection, build.pipeline]),
        build.ref,
        standing(build, context.now),
        build.triggered_by or (build.author.name if build.author else None),
    )
    return " · ".join(part for part in parts if part)
