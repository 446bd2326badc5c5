"""The forms that ask for a name before something is deleted for good: a workflow, a product."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from bot.blocks.message import View, input_block, section, text_field
from bot.blocks.text import bold, escape
from bot.core.errors import BotError, UsageError
from bot.providers.base.capabilities import Capability
from commands.core import actions
from commands.core.context import Context
from commands.core.fields import target_of
from commands.core.forms import FieldError, Form, Submission, Values, text
from commands.core.resolve import resolve_pipeline
from commands.setup import product, workflow

TARGET, CONNECTION, CONFIRM = "target", "connection", "confirm"


class _DeleteForm(Form):
    """Ask for the name of what will be gone."""

    submit_label = "Delete"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form, with what is lost."""
        name, lost = await self._lost(arguments, context)
        field = input_block(f"Type its name: {name}", text_field(placeholder=name), name=CONFIRM)
        words = f"{bold(name, 120)} will be gone for good: {escape(lost)}."
        return self.view([section(words), field], arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return the deletion with the name that was typed."""
        return Submission(verb=self.verb, args=self._args(text(values, CONFIRM), arguments))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Show under the field that the name is another."""
        return FieldError(CONFIRM, error.message) if isinstance(error, UsageError) else error

    @property
    @abstractmethod
    def verb(self) -> str:
        """Return the command's verb."""

    @abstractmethod
    async def _lost(self, arguments: Mapping[str, str], context: Context) -> tuple[str, str]:
        """Return the name of what will be deleted, and what goes with it."""

    @abstractmethod
    def _args(self, confirm: str, arguments: Mapping[str, str]) -> Any:
        """Return the command's arguments."""


class DeleteWorkflowForm(_DeleteForm):
    """Delete a workflow."""

    name = "delete_workflow"
    title = "Delete a workflow"
    verb = "workflow"

    @override
    async def _lost(self, arguments: Mapping[str, str], context: Context) -> tuple[str, str]:
        match = await resolve_pipeline(
            target_of(arguments.get(TARGET, "")), context, acting=True, verb="workflow delete"
        )
        actions.must_be_able(match, Capability.PIPELINE_ADMIN)
        definition = await match.provider.pipeline_admin().definition(match.id)
        return definition.name, "all its builds, their logs and artifacts"

    @override
    def _args(self, confirm: str, arguments: Mapping[str, str]) -> workflow.Args:
        return workflow.Args(act=workflow.Act.DELETE, target=target_of(arguments.get(TARGET, "")), confirm=confirm)


class DeleteProductForm(_DeleteForm):
    """Delete a product."""

    name = "delete_product"
    title = "Delete a product"
    verb = "product"

    @override
    async def _lost(self, arguments: Mapping[str, str], context: Context) -> tuple[str, str]:
        args = self._args("", arguments)
        details = (await product.resolve(args, context)).product
        if details is None:
            raise UsageError("Which product?")
        workflows = ", ".join(details.workflows or ()) or "it has none"
        return details.name, f"its workflows ({workflows}), all their builds, logs and artifacts"

    @override
    def _args(self, confirm: str, arguments: Mapping[str, str]) -> product.Args:
        return product.Args(
            act=product.Act.DELETE,
            name=arguments.get(TARGET, ""),
            connection=arguments.get(CONNECTION, ""),
            confirm=confirm,
        )
