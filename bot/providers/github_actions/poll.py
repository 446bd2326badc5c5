"""The poll: one conditional list for each watched repository, and single runs that it does not show.

Page: "Best practices for using the REST API", read in August 2026: an answer 304 is not counted. An ETag belongs to the
token that got it, so the first poll after a new token of an installation reads the list whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx
import msgspec

from bot.core.errors import NotFound, ProviderError, RateLimited, Unavailable
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import ApiClient
from bot.http.paging import link_next
from bot.http.reply import Reply
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.partial import first_error, in_turn, raise_error, read_some
from bot.providers.github_actions import convert, wire
from bot.providers.github_actions.client import Client
from bot.providers.github_actions.urls import Location

PER_PAGE = 30
FURTHER_PER_PAGE = 100
AT_ONCE = 8
SLOW_EVERY = 5
"""Every how many polls single runs are read that wait for a person, are gone, or read completed already."""
ENDED = "."


class KnownList(msgspec.Struct, frozen=True):
    """A list as last read: its path, its validator, its newest run's id, and the state of each of its runs."""

    path: str = ""
    etag: str | None = None
    newest: int = 0
    marks: Mapping[str, str] = msgspec.field(default_factory=dict)


class KnownRun(msgspec.Struct, frozen=True):
    """A run that no list shows, as last read; `slow` ones change rarely."""

    etag: str | None = None
    slow: bool = False


class Cursor(PollCursor, frozen=True):
    """Where the poll stands: lists by repository, single runs by `owner/repo/ID`."""

    tick: int = 0
    lists: Mapping[str, KnownList] = msgspec.field(default_factory=dict)
    singles: Mapping[str, KnownRun] = msgspec.field(default_factory=dict)


@dataclass(slots=True)
class _Repository:
    """What one repository is asked about: watched pipelines by workflow, and unfinished builds by run."""

    at: Location
    pipelines: dict[str, str] = field(default_factory=dict)
    unfinished: dict[str, BuildKey] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the list to read: of the only watched workflow, else of all."""
        if len(self.pipelines) == 1:
            return replace(self.at, workflow=next(iter(self.pipelines))).of_workflow("runs")
        return self.at.path("actions", "runs")

    def pipeline_of(self, run: wire.Run) -> str | None:
        """Return the watched pipeline that a run belongs to."""
        key = self.unfinished.get(str(run.id))
        return (
            self.pipelines.get(str(run.workflow_id))
            or self.pipelines.get(convert.file_of(run.path) or "")
            or (key.pipeline if key else None)
        )


@dataclass(slots=True)
class _RepositoryPoll:
    """What one poll of one repository came to; `held` is why some of its runs were not read, `left` are new ones."""

    builds: dict[BuildKey, Build] = field(default_factory=dict)
    listed: KnownList | None = None
    singles: dict[str, KnownRun] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    held: ProviderError | None = None
    error: ProviderError | None = None


class Poll:
    """The poll of one connection's repositories."""

    def __init__(self, api: ApiClient, client: Client) -> None:
        self._api = api
        self._client = client

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that changed since the cursor.

        Requests a poll: one conditional list for each repository (not counted by GitHub while nothing changed), one
        more for the jobs of each run that has just ended, and one conditional read for each unfinished run older than
        the list, every fifth poll for those that wait for a person. After a gap the list is paged back to what was
        known, a thousand runs at most. One repository out of reach stops no other.
        """
        before = Cursor.decode(cursor) or Cursor()
        repositories = self._by_repository(watched)

        async def read(name: str) -> _RepositoryPoll:
            return await self._poll(repositories[name], name, before)

        polls = await read_some(in_turn(repositories, before.behind), read, at_once=AT_ONCE)
        if not polls.answers:
            raise_error(polls.error)
        errors = [poll.error for poll in polls.results if poll.error is not None]
        grave = [exc for exc in errors if not isinstance(exc, NotFound) and exc.status != httpx.codes.FORBIDDEN]
        if grave or (errors and len(errors) == len(polls.results)):
            raise (grave or errors)[0]
        builds = {key: build for poll in polls.results for key, build in poll.builds.items()}
        lists = {name: before.lists[name] for name in repositories if name in before.lists}
        lists |= {name: poll.listed for name, poll in polls.answers if poll.error is None and poll.listed is not None}
        singles = {name: known for poll in polls.results for name, known in poll.singles.items()}
        if polls.left:
            singles = {**before.singles, **singles}
        behind = {*polls.left, *(name for name, poll in polls.answers if poll.held is not None)}
        after = Cursor(tick=before.tick + 1, lists=lists, singles=singles, behind=tuple(sorted(behind)))
        held = first_error(polls.error, *(poll.held for poll in polls.results))
        return Changes(builds=tuple(builds.values()), cursor=after.encode(), held=held)

    def _by_repository(self, watched: Watched) -> Mapping[str, _Repository]:
        repositories: dict[str, _Repository] = {}

        def of(at: Location) -> _Repository:
            return repositories.setdefault(at.repository.lower(), _Repository(at=at))

        for pipeline in sorted(watched.pipelines):
            at = self._client.location(pipeline)
            of(at).pipelines[at.workflow] = pipeline
        for key in sorted(watched.unfinished):
            of(self._client.location(key.pipeline)).unfinished[key.id] = key
        return repositories

    async def _poll(self, repository: _Repository, name: str, before: Cursor) -> _RepositoryPoll:
        poll = _RepositoryPoll()
        try:
            if repository.pipelines:
                await self._list(repository, before.lists.get(name), poll)
            await self._singles(repository, name, before, poll)
        except (RateLimited, Unavailable):
            raise
        except ProviderError as exc:
            poll.error = exc
        return poll

    async def _singles(self, repository: _Repository, name: str, before: Cursor, poll: _RepositoryPoll) -> None:
        """Read the unfinished runs that the list does not show, those that change rarely at every fifth poll."""
        marks = poll.listed.marks if poll.listed else {}
        due: list[tuple[str, BuildKey, KnownRun]] = []
        for key in repository.unfinished.values():
            # what the list shows and is not new is as it was; unless it reads completed there, and not here
            if key in poll.builds or key.id in poll.left or (key.id in marks and not marks[key.id].endswith(ENDED)):
                continue
            single = f"{name}/{key.id}"
            last = before.singles.get(single) or KnownRun(slow=key.id in marks)
            poll.singles[single] = last
            if not last.slow or before.tick % SLOW_EVERY == 0:
                due.append((single, key, last))

        async def read(item: tuple[str, BuildKey, KnownRun]) -> KnownRun:
            _, key, last = item
            return await self._single(key, last, poll.builds)

        reading = await read_some(due, read)
        poll.singles |= {single: run for (single, _, _), run in reading.answers}
        poll.held = first_error(poll.held, reading.error)

    async def _list(self, repository: _Repository, before: KnownList | None, poll: _RepositoryPoll) -> None:
        """Read a repository's newest runs, with the jobs of those that ended, into its poll."""
        path = repository.path
        if before is not None and before.path != path:
            same_list, etag = None, None
        else:
            same_list, etag = before, before.etag if before is not None else None
        reply = await self._api.get_if_changed(path, {"per_page": PER_PAGE}, etag)
        if reply is None:
            poll.listed = before or KnownList(path=path)
            return
        runs = _runs(reply)
        if same_list is not None and link_next(reply) and all(run.id > same_list.newest for run in runs):
            runs = await self._back_to(path, same_list.newest)
        pipelines = {run.id: pipeline for run in runs if (pipeline := repository.pipeline_of(run)) is not None}
        marks = {str(run.id): _mark(run) for run in runs if run.id in pipelines}
        old_marks = before.marks if before is not None else {}
        news = [run for run in runs if run.id in pipelines and old_marks.get(str(run.id)) != marks[str(run.id)]]

        async def read(run: wire.Run) -> Build:
            is_news = before is not None and (run.id > before.newest or str(run.id) in old_marks)
            is_awaited = is_news or str(run.id) in repository.unfinished
            pipeline = pipelines[run.id]
            return await self._client.whole(run, pipeline) if is_awaited else self._client.as_build(run, pipeline)

        reading = await read_some(sorted(news, key=_changed), read, group=lambda run: pipelines[run.id])
        poll.builds |= {build.key: build for build in reading.results}
        poll.left = frozenset(str(run.id) for run in reading.left)
        poll.held = reading.error
        # what is left is read again: it has no mark, the list is asked for whole, and the newest stays where it was
        kept = {number: mark for number, mark in marks.items() if number not in poll.left}
        newest = max((run.id for run in runs), default=0)
        if poll.left and before is None:
            return
        if poll.left and before is not None:
            kept |= {number: old_marks[number] for number in poll.left if number in old_marks}
            newest = before.newest
        poll.listed = KnownList(path=path, etag=None if poll.left else reply.etag, newest=newest, marks=kept)

    async def _back_to(self, path: str, newest: int) -> list[wire.Run]:
        """Return the runs down to what was known before: many have begun since the last poll."""
        runs: dict[int, wire.Run] = {}
        async for reply in self._api.replies(path, {"per_page": FURTHER_PER_PAGE}, ceiling=SEARCH_PAGES):
            page = _runs(reply)
            runs |= {run.id: run for run in page}
            if any(run.id <= newest for run in page):
                break
        return list(runs.values())

    async def _single(self, key: BuildKey, previous: KnownRun, builds: dict[BuildKey, Build]) -> KnownRun:
        path = self._client.location(key.pipeline).run(key.id)
        try:
            reply = await self._api.get_if_changed(path, None, previous.etag)
        except NotFound:
            return KnownRun(slow=True)
        if reply is None:
            return previous
        build = await self._client.whole(wire.Run.of(reply.raw), key.pipeline)
        builds[build.key] = build
        return KnownRun(etag=reply.etag, slow=build.waiting or build.completed)


def _runs(reply: Reply) -> list[wire.Run]:
    return list(parse_items(reply.items("workflow_runs"), wire.Run.of))


def _changed(run: wire.Run) -> tuple[str, int]:
    """Return what sorts runs by their last change."""
    return (run.updated_at or "", run.id)


def _mark(run: wire.Run) -> str:
    """Return what distinguishes one state of a run from the next; a full stop ends the mark of a completed one.

    Not its time: that moves after the end, too.
    """
    ended = ENDED if run.status == "completed" and run.conclusion != "action_required" else ""
    return f"{run.run_attempt or 1} {convert.raw_state(run.status, run.conclusion)}{ended}"
