"""Where the poll of an owner's repositories stands."""

import msgspec

from bot.providers.travis import wire


def mark(it: wire.LastBuild | None) -> str:
    """Return what changes when a repository's newest build does."""
    return f"{it.id} {it.finished_at or it.state or ''}".strip() if it else ""


def build_of(mark: str) -> str:
    """Return the build a mark is about; empty where there was none."""
    return mark.partition(" ")[0]


class Cursor(msgspec.Struct, frozen=True):
    """The newest build of each watched repository, as `mark` writes it."""

    marks: dict[str, str] = {}

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """Return the cursor; one that does not read begins anew."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls()

    def text(self) -> str:
        """Return the cursor as it is kept."""
        return msgspec.json.encode(self, order="deterministic").decode()
