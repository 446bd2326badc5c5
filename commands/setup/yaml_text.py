"""YAML to plain values and back. Imported where it is used: PyYAML is slow to import, and few commands need it."""

import yaml
from typing_extensions import override

from bot.core.errors import UsageError


class _Loader(yaml.SafeLoader):
    """The safe loader, without anchors: a few lines of them can stand for gigabytes."""

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias; read anything else."""
        if self.check_event(yaml.AliasEvent):
            raise UsageError("Anchors and aliases (`&name`, `*name`) are not taken.", hint="Write the values out.")
        return super().compose_node(parent, index)


def load(text: str) -> object:
    """Return what a document holds. Raises UsageError."""
    try:
        content: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        line = f" in line {exc.problem_mark.line + 1}" if exc.problem_mark is not None else ""
        raise UsageError(f"The document is no YAML{line}: {exc.problem or exc.context}.") from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise UsageError("The document is no YAML that can be read.") from exc
    return content


def dump(content: dict[str, object]) -> str:
    """Return a document in the order of its keys."""
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text
