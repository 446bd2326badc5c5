"""The poll of a whole server: one `tree` for the newest build of each watched job, and where it stands."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Self

import msgspec

from bot.providers.base.listing import parse_items
from bot.providers.jenkins import wire

_LAST = "name,fullName,property[_class],lastBuild[number,building,result,timestamp,duration]"


def common_folder(jobs: Collection[str]) -> str:
    """Return the narrowest folder that holds all jobs ("" is the server), or the job itself where it is the only one."""
    paths = [job.split("/") for job in jobs]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return "/".join(shared)


def tree(folder: str, jobs: Collection[str]) -> str:
    """Return the `tree` that reaches every job from a folder: nesting is explicit, and no deeper than they stand."""
    above = len(folder.split("/")) if folder else 0
    asked = _LAST
    for _ in range(max((len(job.split("/")) - above for job in jobs), default=0)):
        asked = f"{_LAST},jobs[{asked}]"
    return asked


def jobs_in(item: wire.Item, name: str) -> Iterator[tuple[str, wire.Item]]:
    """Yield each job and folder from an item on, by full name."""
    if name:
        yield name, item
    for inside in parse_items(item.jobs or (), wire.Item.of):
        own = inside.full_name or "/".join(filter(None, (name, inside.name)))
        if own:
            yield from jobs_in(inside, own)


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How a job's newest build stood: its number (0: never built) and its result ("" while it runs)."""

    number: int
    result: str = ""

    @classmethod
    def of(cls, last: wire.LastBuild | None) -> Self:
        """Return how a newest build stands."""
        if last is None:
            return cls(number=0)
        return cls(number=last.number, result="" if last.building else last.result or "")

    @property
    def is_running(self) -> bool:
        """Whether there is a build that had not ended."""
        return self.number > 0 and not self.result


def read_cursor(text: str | None) -> Mapping[str, Mark]:
    """Return how each job stood; a cursor that does not read knows none."""
    try:
        return msgspec.json.decode(text or "", type=dict[str, Mark])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}


def write_cursor(marks: Mapping[str, Mark]) -> str:
    """Return how each job stands as text."""
    return json.dumps({name: [mark.number, mark.result] for name, mark in sorted(marks.items())})
