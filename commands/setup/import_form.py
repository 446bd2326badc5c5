"""The form that takes a channel's set-up."""

from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, input_block, text_field
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values, text
from commands.setup.import_config import Args

FIELDS = ("document", "document2", "document3", "document4")


class ImportForm(Form):
    """Set a channel up from YAML."""

    name = "import"
    title = "Import a set-up"
    submit_label = "Show changes"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form with room for four documents of 3,000 characters each."""
        blocks = [
            input_block(
                "YAML" if place == 0 else f"More YAML ({place + 1})",
                text_field(multiline=True),
                name=name,
                optional=place > 0,
                hint="As `export` wrote it. A long one is pasted in parts, each with its own `links:`, `roles:` or "
                "`schedules:`. What a named part does not list is removed."
                if place == 0
                else None,
            )
            for place, name in enumerate(FIELDS)
        ]
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `import` with the documents."""
        texts = tuple(part for name in FIELDS if (part := text(values, name)))
        if not texts:
            raise FieldError(FIELDS[0], "Paste a document.")
        return Submission(verb="import", args=Args(texts=texts))
