"""What changed in the watched repositories: one conditional list for each, and single runs that it does not show."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import httpx
import msgspec

from bot.core.errors import NotFound, ProviderError
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import Api, Reply, link_next
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.github_actions import convert, wire
from bot.providers.github_actions.urls import Place

PER_PAGE = 30
FURTHER_PER_PAGE = 100
SLOW_EVERY = 5
"""Every how many ticks single runs are read that wait for a person, are gone, or read completed already."""
ENDED = "."


class Listed(msgspec.Struct):
    """What is known of one list: its address, its validator, its newest run's id, and the state of each run."""

    path: str = ""
    etag: str | None = None
    newest: int = 0
    marks: dict[str, str] = {}


class Single(msgspec.Struct):
    """What is known of a run that no list shows; `slow` ones change rarely."""

    etag: str | None = None
    slow: bool = False


class Cursor(msgspec.Struct):
    """Where the poll stands: lists by repository, single runs by their place."""

    tick: int = 0
    lists: dict[str, Listed] = {}
    singles: dict[str, Single] = {}

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """Return a cursor; a missing or unreadable one begins anew."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            return cls()

    def text(self) -> str:
        """Return the cursor as it is kept."""
        return msgspec.json.encode(self).decode()


class Reads(Protocol):
    """The part of the adapter that the poll needs."""

    def place(self, pipeline: str) -> Place:
        """Return where a pipeline is."""

    def plain(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run as it stands in a list."""

    async def whole(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run with what its jobs tell."""


@dataclass(slots=True)
class _Repository:
    """One repository's part of a tick."""

    place: Place
    wanted: dict[str, str] = field(default_factory=dict)
    single: dict[str, BuildKey] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the list to ask: of the only watched workflow, else of all."""
        if len(self.wanted) == 1:
            return f"{self.place.root}/actions/workflows/{quote(next(iter(self.wanted)), safe='')}/runs"
        return f"{self.place.root}/actions/runs"

    def pipeline_of(self, run: wire.Run) -> str | None:
        """Return the watched pipeline that a run belongs to."""
        asked = self.single.get(str(run.id))
        return (
            self.wanted.get(str(run.workflow_id))
            or self.wanted.get(convert.file_of(run.path) or "")
            or (asked.pipeline if asked else None)
        )


@dataclass(slots=True)
class _Look:
    """What one tick found in one repository."""

    builds: dict[BuildKey, Build] = field(default_factory=dict)
    listed: Listed | None = None
    singles: dict[str, Single] = field(default_factory=dict)
    error: ProviderError | None = None


class Poll:
    """The poll of one connection's repositories."""

    def __init__(self, reads: Reads, api: Api) -> None:
        self._reads = reads
        self._api = api

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that changed since the cursor.

        Requests per tick: one conditional list for each repository (not counted by GitHub while nothing changed), one
        more for the jobs of each run that has just ended, and one conditional read for each unfinished run older than
        the list, every fifth tick for those that wait for a person. After a gap the list is paged back to what was
        known, a thousand runs at most. One repository out of reach stops no other.
        """
        known = Cursor.read(cursor)
        repositories = self._grouped(watched)
        looks = await asyncio.gather(*(self._look(one, name, known) for name, one in repositories.items()))
        errors = [confirm.error for confirm in looks if confirm.error is not None]
        grave = [exc for exc in errors if not isinstance(exc, NotFound) and exc.status != httpx.codes.FORBIDDEN]
        if grave or (errors and len(errors) == len(looks)):
            raise (grave or errors)[0]
        after = Cursor(tick=known.tick + 1)
        builds: dict[BuildKey, Build] = {}
        for name, confirm in zip(repositories, looks, strict=True):
            builds |= confirm.builds
            listed = confirm.listed if confirm.error is None else known.lists.get(name)
            if listed is not None:
                after.lists[name] = listed
            after.singles |= confirm.singles
        return Changes(builds=tuple(builds.values()), cursor=after.text())

    def _grouped(self, watched: Watched) -> Mapping[str, _Repository]:
        found: dict[str, _Repository] = {}

        def of(place: Place) -> _Repository:
            return found.setdefault(place.repository.lower(), _Repository(place=place))

        for pipeline in sorted(watched.pipelines):
            place = self._reads.place(pipeline)
            of(place).wanted[place.workflow] = pipeline
        for key in sorted(watched.unfinished):
            of(self._reads.place(key.pipeline)).single[key.id] = key
        return found

    async def _look(self, one: _Repository, name: str, known: Cursor) -> _Look:
        confirm = _Look()
        try:
            if one.wanted:
                confirm.listed = await self._list(one, known.lists.get(name), confirm.builds)
            marks = confirm.listed.marks if confirm.listed else {}
            for key in one.single.values():
                # what the list shows and is not new is as it was; unless it reads completed there, and not here
                if key in confirm.builds or (key.id in marks and not marks[key.id].endswith(ENDED)):
                    continue
                before = known.singles.get(f"{name}/{key.id}") or Single(slow=key.id in marks)
                is_due = not before.slow or known.tick % SLOW_EVERY == 0
                confirm.singles[f"{name}/{key.id}"] = (
                    await self._single(key, before, confirm.builds) if is_due else before
                )
        except ProviderError as exc:
            confirm.error = exc
        return confirm

    async def _list(self, one: _Repository, before: Listed | None, builds: dict[BuildKey, Build]) -> Listed:
        path = one.path
        is_same = before is not None and before.path == path
        reply = await self._api.get_if_changed(
            path, {"per_page": PER_PAGE}, before.etag if before and is_same else None
        )
        if reply is None:
            return before or Listed(path=path)
        runs = _runs(reply)
        if before is not None and is_same and link_next(reply) and all(run.id > before.newest for run in runs):
            runs = await self._back_to(path, before.newest)
        after = Listed(path=path, etag=reply.etag, newest=max((run.id for run in runs), default=0))
        for run in runs:
            pipeline = one.pipeline_of(run)
            if pipeline is None:
                continue
            number, mark = str(run.id), _mark(run)
            after.marks[number] = mark
            if before is not None and before.marks.get(number) == mark:
                continue
            is_news = before is not None and (run.id > before.newest or number in before.marks)
            is_awaited = is_news or number in one.single
            build = await self._reads.whole(run, pipeline) if is_awaited else self._reads.plain(run, pipeline)
            builds[build.key] = build
        return after

    async def _back_to(self, path: str, newest: int) -> list[wire.Run]:
        """Return the runs down to what was known before: many have begun since the last look."""
        found: dict[int, wire.Run] = {}
        async for reply in self._api.replies(path, {"per_page": FURTHER_PER_PAGE}, ceiling=SEARCH_PAGES):
            page = _runs(reply)
            found |= {run.id: run for run in page}
            if any(run.id <= newest for run in page):
                break
        return list(found.values())

    async def _single(self, key: BuildKey, before: Single, builds: dict[BuildKey, Build]) -> Single:
        at = f"{self._reads.place(key.pipeline).root}/actions/runs/{quote(key.id, safe='')}"
        try:
            reply = await self._api.get_if_changed(at, None, before.etag)
        except NotFound:
            return Single(slow=True)
        if reply is None:
            return before
        run = wire.Run.of(reply.raw)
        build = await self._reads.whole(run, key.pipeline)
        builds[build.key] = build
        return Single(etag=reply.etag, slow=build.waiting or build.completed)


def _runs(reply: Reply) -> list[wire.Run]:
    return list(parse_items(reply.items("workflow_runs"), wire.Run.of))


def _mark(run: wire.Run) -> str:
    """Return what tells one state of a run from the next; a full stop ends the mark of a completed one.

    Not its time: that moves after the end, too.
    """
    ended = ENDED if run.status == "completed" and run.conclusion != "action_required" else ""
    return f"{run.run_attempt or 1} {convert.raw_state(run.status, run.conclusion)}{ended}"
