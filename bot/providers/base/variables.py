"""Environment variables as Travis CI takes them: `NAME=VALUE`, read by a shell."""

import re
import shlex
from collections.abc import Iterable, Mapping

from bot.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"token|secret|passw|private|credential|api_?key|access_?key", re.IGNORECASE)


def check_names(names: Iterable[str]) -> None:
    """Raise UsageError for what is no variable's name, and for secrets: Travis CI shows what a build was given."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"`{name[:40]}` is no name for an environment variable.")
        if _SECRET.search(name):
            raise UsageError(
                f"`{name}` looks like a secret, and Travis shows such values in the build's settings.",
                hint="Set it in the repository's settings at Travis; builds then have it.",
            )


def shell_pairs(values: Mapping[str, str]) -> list[str]:
    """Return variables as words of a shell: a value with spaces sets no second variable."""
    return [f"{name}={shlex.quote(value)}" for name, value in values.items()]
