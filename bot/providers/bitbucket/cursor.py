"""Where the poll of a repository stands."""

import msgspec

from bot.core.models import Build


def mark(build: Build) -> str:
    """Return what changes when a build does."""
    ended = build.completed_at.isoformat() if build.completed_at else ""
    return f"{build.raw_state or ''} {ended}".strip()


class Cursor(msgspec.Struct, frozen=True):
    """Where `changes` stands: when each repository's newest run was created, and how each listed run stood."""

    newest: dict[str, str] = {}
    seen: dict[str, str] = {}

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
