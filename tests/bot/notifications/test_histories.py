"""Whole histories as they reach the bot, in any order, and what a careful person would say of each build in the end.

Ends come out of order, builds run again, conclusions are corrected, pull requests and forks lie between. After every
event each message has to say what the slow walk below says, and what changed its sentence has to be marked.
"""

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.blocks.notification import sentence_of
from bot.blocks.text import duration
from bot.core.models import Build, Change, Conclusion, Status
from bot.monitoring.recorder import Recorder
from bot.notifications.notification import Event, Extra
from bot.store import Store
from bot.store.rows import NotificationRow
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, TEAM, ago, link
from tests.bot.works import Works
from tests.set_clock import SetClock

ENDS = {"g": Conclusion.PASSED, "r": Conclusion.FAILED, "t": Conclusion.TIMEOUT, "c": Conclusion.CANCELLED}
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th", 6: "6th", 7: "7th"}
NEWER_AS_COMMIT, NEWER_AS_BUILD = " · the build of a newer commit, ", " · a newer build, "
"""A build that was made earlier is newer by its commit where this one is a rebuild of an older one."""
numbers = itertools.count(1)


@dataclass
class End:
    """How one attempt ended, as the test remembers it."""

    build: int
    attempt: int
    word: str
    at: datetime
    outdated_by: int | None = None


@dataclass
class Walk:
    """What is known so far: the ref and commit of each build, and the ends in the order they came."""

    refs: list[str]
    commits: list[int]
    ends: list[End] = field(default_factory=list)

    def created(self, build: int) -> datetime:
        return NOW - timedelta(days=1) + timedelta(minutes=build)

    def place(self, build: int) -> tuple[int, int]:
        """Return where a build stands in its ref: by the first build of its commit that has ended there, then by itself."""
        mates = [
            end.build
            for end in self.ends
            if self.refs[end.build] == self.refs[build] and self.commits[end.build] == self.commits[build]
        ]
        return min([*mates, build]), build

    def results(self, ref: str, *, without: int) -> list[tuple[int, str]]:
        """Return the result of each other build of a ref in order: its last attempt that was not cancelled."""
        last: dict[int, End] = {}
        for end in self.ends:
            if self.refs[end.build] == ref and end.build != without and end.word != "c":
                kept = last.get(end.build)
                last[end.build] = end if kept is None or end.attempt > kept.attempt else kept
        return [(build, last[build].word) for build in sorted(last, key=self.place)]

    def sentence(self, mine: End) -> str:
        """Say what one attempt is beside what came before it."""
        if mine.word == "c":
            return "Cancelled"
        ref = self.refs[mine.build]
        others = [] if ref == "fork" else self.results(ref, without=mine.build)
        earlier = [(build, word) for build, word in others if self.place(build) < self.place(mine.build)]
        own = [
            end
            for end in self.ends
            if ref != "fork" and end.build == mine.build and end.attempt < mine.attempt and end.word != "c"
        ]
        own.sort(key=lambda end: end.attempt)
        if not own and not earlier:
            return "No earlier result to compare with"
        was_red = (own[-1].word if own else earlier[-1][1]) != "g"
        is_same = bool(own) or self.commits[earlier[-1][0]] == self.commits[mine.build]
        streak = list(itertools.takewhile(lambda result: (result[1] != "g") == (earlier[-1][1] != "g"), earlier[::-1]))
        reds = [build for build, word in streak if word != "g"]
        greens = len(streak) - len(reds)
        if mine.word == "g":
            return self._green(mine, own, reds, was_red=was_red, is_same=is_same)
        if not was_red:
            flaky = "Newly broken — the same commit passed before: flaky"
            return flaky if is_same else f"Newly broken — green for {count(greens or 1, 'build')}"
        since = reds[-1] if reds else mine.build
        row = f"{ORDINALS[len(reds) + 1]} in a row, since #{since}"
        if is_same:
            return "Failed again on a rerun of the same commit" + (f" — {row}" if reds else "")
        return f"Still failing — {row}"

    def _green(self, mine: End, own: list[End], reds: list[int], *, was_red: bool, is_same: bool) -> str:
        if not was_red:
            return "Still green"
        first = [end for end in self.ends if end.build == reds[-1]] if reds else own
        began = min(end.at for end in first if end.word in "rt")
        number = len(reds) + (1 if own else 0)
        after = f"after {duration((mine.at - began).total_seconds())} and {count(number, 'red build')}"
        if is_same:
            return f"Passed on a rerun of the same commit {after}: flaky"
        return f"Back to green {after} · fixed by {sha(self.commits[mine.build])[:7]}"

    def newest_after(self, mine: int) -> int | None:
        """Return the newest build of the same ref that has ended with a result, where it is newer than this one."""
        ref = self.refs[mine]
        results = [] if ref == "fork" else self.results(ref, without=mine)
        return results[-1][0] if results and self.place(results[-1][0]) > self.place(mine) else None


def count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def sha(commit: int) -> str:
    return f"{commit}abcdef{commit}" * 5


def build_of(walk: Walk, number: int, pipeline: str) -> Build:
    ref = walk.refs[number]
    return Build(
        connection=CONNECTION,
        pipeline=pipeline,
        id=f"{pipeline}-{number}",
        number=number,
        branch="main",
        pull_request="7" if ref == "pull" else None,
        from_fork=ref == "fork",
        commit=sha(walk.commits[number]),
        status=Status.IN_PROGRESS,
        created_at=walk.created(number),
    )


events = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ggrrtcGRC")), min_size=2, max_size=14)
refs = st.lists(st.sampled_from(["main", "main", "main", "pull", "fork"]), min_size=7, max_size=7)
commits = st.lists(st.integers(1, 4), min_size=7, max_size=7)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(refs, commits, events)
async def test_every_message_says_what_a_careful_person_says_of_the_whole_history(
    store: Store, set_clock: SetClock, refs: list[str], commits: list[int], events: list[tuple[int, str]]
) -> None:
    pipeline = f"p{next(numbers)}"
    await store.links.save(link(pipeline=pipeline, created_at=ago(days=9), filters="--on all --branch '*'"))
    bench = Scene(store, set_clock, Walk(refs=refs, commits=commits), pipeline)
    for number, action in events:
        await bench.play(number, action)
        await bench.check()


class Scene:
    """A pipeline whose builds end, run again and are corrected, and the messages about them."""

    def __init__(self, store: Store, clock: SetClock, walk: Walk, pipeline: str) -> None:
        self.store = store
        self.clock = clock
        self.walk = walk
        self.pipeline = pipeline
        self.works = Works(clock)
        self.recorder = Recorder(store, clock=clock, sees=lambda _team, _connection: True)
        self.shown: dict[int, str] = {}
        self.changed: set[int] = set()
        self.taken_back: set[int] = set()

    async def play(self, number: int, action: str) -> None:
        """Let a build end (again), or have the conclusion of its last attempt corrected (capital letters)."""
        self.clock.go(minutes=3)
        now = self.clock()
        mine = [end for end in self.walk.ends if end.build == number]
        build = build_of(self.walk, number, self.pipeline)
        if action.isupper():
            if not mine:
                return
            mine[-1].word = action.lower()
            ended = replace(build, status=Status.COMPLETED, conclusion=ENDS[action.lower()], updated_at=now)
            await self.recorder.record([ended], self.works)
            return
        await self.recorder.record([replace(build, updated_at=now - timedelta(minutes=1))], self.works)
        end = End(build=number, attempt=len(mine) + 1, word=action, at=now)
        self.walk.ends.append(end)
        if action != "c":
            end.outdated_by = self.walk.newest_after(number)
        ended = replace(build, status=Status.COMPLETED, conclusion=ENDS[action], completed_at=now, updated_at=now)
        await self.recorder.record([ended], self.works)

    async def rows(self, event: Event) -> list[NotificationRow]:
        rows = await self.store.notifications.in_channel(TEAM, CHANNEL, ago(days=30))
        return [row for row in rows if row.pipeline == self.pipeline and row.event == event.value]

    async def check(self) -> None:
        """Compare each message with the walk, and what is marked as corrected with what has changed since it was posted."""
        rows = {(row.number, row.attempt_no): row for row in await self.rows(Event.FINISHED)}
        assert set(rows) == {(end.build, end.attempt) for end in self.walk.ends}
        for end in self.walk.ends:
            row = rows[end.build, end.attempt]
            extra = Extra.of(row.extra)
            build = replace(
                build_of(self.walk, end.build, self.pipeline), status=Status.COMPLETED, conclusion=ENDS[end.word]
            )
            newer = NEWER_AS_COMMIT if (end.outdated_by or 0) < end.build else NEWER_AS_BUILD
            text, _, suffix = str(sentence_of(extra.transition, build)).partition(newer)
            assert text == self.walk.sentence(end)
            if end.outdated_by is not None and end.word != "c":
                assert suffix.startswith(f"#{end.outdated_by}, ")
            self.follow(row, extra, text)
            if not row.ts:
                await self.store.notifications.set_sent(row, ts=f"{row.id}.0", card=None, now=self.clock())
        replies = {row.thread.removesuffix(".0") for row in await self.rows(Event.CORRECTED)}
        assert replies == {str(number) for number in self.taken_back}

    def follow(self, row: NotificationRow, extra: Extra, text: str) -> None:
        """Remember what a posted message said, and check that it is marked where it says something else now."""
        number = row.id or 0
        before = self.shown.get(number, text)
        if before != text:
            self.changed.add(number)
            was_fixed = before.startswith(("Back to green", "Passed on a rerun"))
            if was_fixed and extra.transition.change is not Change.FIXED:
                self.taken_back.add(number)
        assert bool(extra.corrected) is (number in self.changed)
        self.shown[number] = text
