"""A CI system for the poller: the fake of the commands' tests, with poll targets, a quota and counts of what was asked."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from typing_extensions import override

from bot.core.models import Build, BuildKey, Changes, IssueCounts, Watched
from bot.core.workflows import Upload
from bot.http.quota import Quota
from bot.providers.base.capabilities import Capability
from tests.bot.store.rows import CONNECTION
from tests.commands.fakes import FakeProvider

PLAIN = frozenset({Capability.JOBS, Capability.APPROVALS})


class Works(FakeProvider):
    """`asked` lists every request as (method, pipeline, build). `poll targets` maps a pipeline to its poll target.

    What `brought` holds comes along with every list; nothing does unless builds are `listed`.
    """

    def __init__(
        self, now: Callable[[], datetime], *, connection: str = CONNECTION, can: frozenset[Capability] = PLAIN
    ) -> None:
        super().__init__(connection, capabilities=can)
        self._clock = now
        self.asked: list[tuple[str, str, str]] = []
        self.looks: list[tuple[str | None, Watched]] = []
        self.poll_targets: dict[str, str] = {}
        self.cursor: str | None = None
        self.read_counts: dict[str, IssueCounts] = {}
        self.left: Quota | None = None
        self.listed = True
        self.brought: tuple[Build, ...] = ()
        self.before_answer: Callable[[], Any] | None = None

    @property
    @override
    def quota(self) -> Quota | None:
        return self.left

    @property
    @override
    def requests(self) -> int:
        return len(self.asked)

    @override
    def poll_target(self, pipeline: str) -> str:
        return self.poll_targets.get(pipeline, "")

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        self.asked.append(("changes", "", ""))
        self.looks.append((cursor, watched))
        self._trouble("changes")
        if self.before_answer is not None:
            await self.before_answer()
        found = tuple(build for pipeline in sorted(watched.pipelines) for build in reversed(self.history[pipeline]))
        return Changes(builds=(*found, *self.brought) if self.listed else (), cursor=self.cursor)

    @override
    async def build_or_none(self, key: BuildKey) -> Build | None:
        self.asked.append(("build", key.pipeline, key.id))
        return await super().build_or_none(key)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        self.asked.append(("counts", build.pipeline, build.id))
        self._trouble("counts")
        return self.read_counts.get(build.id, IssueCounts())

    @override
    async def uploads(self, pipeline: str, build: str) -> tuple[Upload, ...]:
        self.asked.append(("uploads", pipeline, build))
        return await super().uploads(pipeline, build)

    def took(self, method: str) -> list[str]:
        """Return the builds that a method was asked for."""
        return [build for name, _pipeline, build in self.asked if name == method]
