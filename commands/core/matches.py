"""What the words of a command resolve to: a pipeline, or a build with the pipeline it belongs to."""

import shlex
from dataclasses import dataclass
from datetime import datetime

from bot.core.models import Build, Ref, spoken
from bot.providers.base.provider import AnyProvider
from bot.store.rows import LinkRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineMatch:
    """A pipeline as this channel knows it. `note` is a sentence about what was inferred, for the answer's last line."""

    provider: AnyProvider
    id: str
    path: str
    name: str
    link: LinkRow | None = None
    default_branch: str = ""
    web_url: str = ""
    enabled: bool = True
    note: str = ""

    @property
    def connection(self) -> str:
        """Return the connection's name."""
        return self.provider.connection

    @property
    def branch(self) -> str:
        """Return the branch to use where none is named: the link's pinned one, else the default branch."""
        return (self.link.branch if self.link else "") or self.default_branch

    @property
    def key(self) -> str:
        """Return `connection:id`, which names the pipeline wherever it is typed."""
        return f"{self.connection}:{self.id}"

    def spoken(self, *, ref: Ref | None = None, number: int | None = None) -> str:
        """Return the target that names it wherever it is typed."""
        return spoken(self.connection, self.id, ref=ref, number=number)

    @property
    def typed(self) -> str:
        """Return the target as a person here would type it: by alias, else by path. No ids."""
        if self.link is not None and self.link.alias:
            return self.link.alias
        return spoken(self.connection, self.path or self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildMatch:
    """A build with the pipeline it belongs to. `job` is the id of the job whose page was pasted.

    `waiting_since` is when its open approval was first seen, where it was.
    """

    pipeline: PipelineMatch
    build: Build
    attempt_no: int = 1
    job: str = ""
    waiting_since: datetime | None = None

    @property
    def provider(self) -> AnyProvider:
        """Return the build's connection."""
        return self.pipeline.provider

    @property
    def number(self) -> str:
        """Return the build's number as people write it: `#41`, its label, else its id."""
        return number_of(self.build)

    @property
    def name(self) -> str:
        """Return the pipeline's readable name with the build's number."""
        return name_of(self.build, self.pipeline.name)

    @property
    def spoken(self) -> str:
        """Return the target that names this build wherever it is typed."""
        words = self.pipeline.spoken(number=self.build.number)
        return words if self.build.number is not None else f"{words} --id {shlex.quote(self.build.id)}"

    @property
    def typed(self) -> str:
        """Return the target as a person here would type it: by alias, else by path. No ids where there is a number."""
        pipeline, number = self.pipeline, self.build.number
        if number is None:
            return self.spoken
        if pipeline.link is not None and pipeline.link.alias:
            return f"{pipeline.link.alias}#{number}"
        return spoken(pipeline.connection, pipeline.path or pipeline.id, number=number)


def number_of(build: Build) -> str:
    """Return a build's number as people write it: `#41`, `#20260815.3` where it is a text, else its id."""
    if build.label:
        return f"#{build.label}"
    return f"#{build.number}" if build.number is not None else build.id


def name_of(build: Build, pipeline: str) -> str:
    """Return a pipeline's name with the build's number where it has one."""
    return f"{pipeline} {number_of(build)}" if build.label or build.number is not None else pipeline


def state_of(build: Build) -> str:
    """Return how a build stands, as a word: its conclusion, else its status."""
    if build.waiting and not build.completed:
        return "waiting for approval"
    return build.conclusion.value if build.conclusion else build.status.value.replace("_", " ")


def age_of(build: Build) -> tuple[float, int]:
    """Return what orders builds from the oldest to the newest: when they were created, then their number."""
    began = build.created_at or build.started_at or build.completed_at
    return (began.timestamp() if began is not None else 0.0, build.number or 0)
