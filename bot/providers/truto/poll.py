"""Where the poll of one pipeline after another stands."""

from collections.abc import Mapping
from typing import Self

import msgspec

from bot.core.models import Build


class Cursor(msgspec.Struct, frozen=True):
    """What the last look saw: for each pipeline the ids of its newest builds, and whether each was completed."""

    seen: Mapping[str, Mapping[str, bool]] = {}

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Return the cursor; one that does not read has seen nothing."""
        try:
            return msgspec.json.decode(text or "", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls()

    def knows(self, pipeline: str) -> frozenset[str]:
        """Return the ids of the builds the last look saw."""
        return frozenset(self.seen.get(pipeline, {}))

    def completed(self, pipeline: str) -> frozenset[str]:
        """Return the ids of the builds the last look saw completed."""
        return frozenset(build for build, done in self.seen.get(pipeline, {}).items() if done)


def moved_on(seen: Mapping[str, Mapping[str, bool]]) -> str:
    """Return the next look's cursor as text."""
    return msgspec.json.encode(Cursor(seen=seen), order="deterministic").decode()


def ids(builds: list[Build], keep: int) -> dict[str, bool]:
    """Return what to remember of a list, newest first."""
    return {build.id: build.completed for build in builds[:keep]}
