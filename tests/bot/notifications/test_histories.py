"""Whole histories as they reach the bot, in any order, and what a careful person would say of each build in the end.

Ends come out of order, builds run again, conclusions and counts are corrected, pull requests and forks lie between. After
every event each message has to say what the slow walk below says, what changed its sentence has to be marked, each false
verdict has to be taken back once, and whoever waits for a change has to have heard of it if it was ever true.
"""

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.blocks.notification import sentence_of
from bot.blocks.text import duration
from bot.core.models import Build, Conclusion, IssueCounts, Ref, RefKind, Status
from bot.monitoring.recorder import Recorder
from bot.notifications.notification import Event, Extra
from bot.notifications.reconsideration import unwanted
from bot.store import Store
from bot.store.rows import NotificationRow
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, TEAM, ago, link, watch
from tests.bot.works import Works
from tests.set_clock import SetClock

ENDS = {"g": Conclusion.PASSED, "r": Conclusion.FAILED, "t": Conclusion.TIMEOUT, "c": Conclusion.CANCELLED}
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th", 6: "6th", 7: "7th"}
WORDS = {"g": "passed", "r": "failed", "t": "timed out"}
VERDICTS = {
    "Newly broken": "broken",
    "Back to green": "fixed",
    "Passed on a rerun": "fixed",
    "Still failing": "failing",
    "Failed again": "failing",
    "Still green": "green",
}
CHANGES, WORSE, THREADS, FOLLOWER = "C2", "C3", "C4", "U9"
numbers = itertools.count(1)


@dataclass
class End:
    """How one attempt ended, as the test remembers it."""

    build: int
    attempt: int
    word: str
    at: datetime
    warnings: int
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
        """Say what one attempt is beside what came before it, its warnings among it, and beside what was newer then."""
        text = self._sentence(mine)
        grown = self.grown(mine)
        if text.startswith("Still green") and grown > 0:
            text += ", with more issues"
        elif text.startswith(("Still failing", "Failed again")) and grown:
            text += ", with more issues" if grown > 0 else ", with fewer issues"
        newer = self.newer_than(mine)
        if newer is None or mine.word == "c":
            return text
        number, word = newer
        what = "the build of a newer commit" if number < mine.build else "a newer build"
        return f"{text} · {what}, #{number}, {WORDS[word]}"

    def grown(self, mine: End) -> int:
        """Return by how much its warnings moved against the result before its build."""
        ref = self.refs[mine.build]
        before = [] if ref == "fork" or mine.word == "c" else self.results(ref, without=mine.build)
        earlier = [build for build, _word in before if self.place(build) < self.place(mine.build)]
        return mine.warnings - self.last_of(earlier[-1]).warnings if earlier else 0

    def last_of(self, build: int) -> End:
        return max((end for end in self.ends if end.build == build and end.word != "c"), key=lambda end: end.attempt)

    def newer_than(self, mine: End) -> tuple[int, str] | None:
        """Return the newer build that an attempt's message names, and how it stands: the one of then while it is a result."""
        ref = self.refs[mine.build]
        if mine.outdated_by is None or ref == "fork":
            return None
        results = self.results(ref, without=mine.build)
        newer = {build: word for build, word in results if self.place(build) > self.place(mine.build)}
        if not newer:
            mine.outdated_by = None  # what was newer is no result, or of an older commit than it seemed
            return None
        number = mine.outdated_by = mine.outdated_by if mine.outdated_by in newer else list(newer)[-1]
        return number, newer[number]

    def is_change(self, mine: End) -> bool:
        """Return whether a ref became red or green with an attempt, when nothing newer had ended."""
        text = self.sentence(mine)
        is_first_red = text.startswith("No earlier") and mine.word in "rt"
        is_edge = text.startswith(("Newly broken", "Back to green", "Passed on a rerun"))
        return (is_edge or is_first_red) and " · a newer build" not in text and " · the build of" not in text

    def is_worse(self, mine: End) -> bool:
        return self.grown(mine) > 0 and self.newer_than(mine) is None

    def red_streak(self, ref: str) -> list[int]:
        """Return the red builds in a row up to the newest of a ref, the first one first."""
        newest_first = self.results(ref, without=-1)[::-1]
        return [build for build, _ in itertools.takewhile(lambda result: result[1] != "g", newest_first)][::-1]

    def _sentence(self, mine: End) -> str:
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


events = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from("ggrrtcGRC="), st.integers(0, 2)), min_size=2, max_size=14
)
refs = st.lists(st.sampled_from(["main", "main", "main", "pull", "fork"]), min_size=7, max_size=7)
commits = st.lists(st.integers(1, 4), min_size=7, max_size=7)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(refs, commits, events)
async def test_every_message_says_what_a_careful_person_says_of_the_whole_history(
    store: Store, set_clock: SetClock, refs: list[str], commits: list[int], events: list[tuple[int, str, int]]
) -> None:
    pipeline = f"p{next(numbers)}"
    filters = {
        CHANNEL: "--on all",
        CHANGES: "--on broken,fixed",
        WORSE: "--on worse",
        THREADS: "--on edges",
    }
    for channel, words in filters.items():
        row = link(channel=channel, pipeline=pipeline, created_at=ago(days=9), filters=f"{words} --branch '*'")
        await store.links.save(row)
    fan = watch("", pipeline=pipeline, channel=FOLLOWER, user=FOLLOWER, filters="--on broken,fixed --branch '*'")
    await store.watches.add(replace(fan, created_at=ago(days=9)))
    bench = Scene(store, set_clock, Walk(refs=refs, commits=commits), pipeline)
    for number, action, warnings in events:
        await bench.play(number, action, warnings)
        await bench.check()


@dataclass
class Shown:
    """What a posted message says, and whether it says so since a correction."""

    text: str
    verdicts: frozenset[str]
    is_marked: bool
    taken_back: int = 0


class Scene:
    """A pipeline whose builds end, run again and are corrected, and the messages about them."""

    def __init__(self, store: Store, clock: SetClock, walk: Walk, pipeline: str) -> None:
        self.store = store
        self.clock = clock
        self.walk = walk
        self.pipeline = pipeline
        self.works = Works(clock)
        self.recorder = Recorder(store, clock=clock, sees=lambda _team, _connection: True)
        self.shown: dict[int, Shown] = {}
        self.due: dict[str, set[tuple[int, int]]] = {CHANGES: set(), WORSE: set(), FOLLOWER: set()}
        self.due_before: dict[str, set[tuple[int, int]]] = {CHANGES: set(), WORSE: set(), FOLLOWER: set()}
        self.new: tuple[int, int] | None = None
        self.recounted: tuple[int, int] | None = None

    async def play(self, number: int, action: str, warnings: int) -> None:
        """Let a build end (again), or have the result or the counts of its last attempt corrected (capital letters, =)."""
        self.clock.go(minutes=3)
        now = self.clock()
        self.new = self.recounted = None
        mine = [end for end in self.walk.ends if end.build == number]
        build = replace(build_of(self.walk, number, self.pipeline), issues=IssueCounts(warnings=warnings))
        if action.isupper() or action == "=":
            if not mine:
                return
            word = mine[-1].word if action == "=" else action.lower()
            self.recounted = (number, len(mine)) if word == mine[-1].word else None
            mine[-1].word, mine[-1].warnings = word, warnings
            ended = replace(build, status=Status.COMPLETED, conclusion=ENDS[word], updated_at=now)
            await self.recorder.record([ended], self.works)
            return
        await self.recorder.record([replace(build, updated_at=now - timedelta(minutes=1))], self.works)
        end = End(build=number, attempt=len(mine) + 1, word=action, at=now, warnings=warnings)
        self.walk.ends.append(end)
        self.new = (number, end.attempt)
        end.outdated_by = self.walk.newest_after(number)
        ended = replace(build, status=Status.COMPLETED, conclusion=ENDS[action], completed_at=now, updated_at=now)
        await self.recorder.record([ended], self.works)

    async def rows(self, channel: str, event: Event) -> list[NotificationRow]:
        rows = await self.store.notifications.in_channel(TEAM, channel, ago(days=30))
        return [row for row in rows if row.pipeline == self.pipeline and row.event == event.value]

    async def deliver(self) -> None:
        """Post what is due, without its card: what is not wanted any more is left out then."""
        later = self.clock() + timedelta(hours=1)
        while due := await self.store.notifications.claim("o", now=later, lease_seconds=30, limit=50):
            for row in due:
                if why := await unwanted(self.store, row):
                    await self.store.notifications.silence(row, why)
                else:
                    await self.store.notifications.set_sent(row, ts=f"{row.id}.0", card=None, now=self.clock())

    async def check(self) -> None:
        """Compare each message with the walk: what it says, whether it is marked and taken back, and who got one at all."""
        await self.deliver()
        every = await self.rows(CHANNEL, Event.FINISHED)
        assert {(row.number, row.attempt_no) for row in every} == {(end.build, end.attempt) for end in self.walk.ends}
        for channel in (CHANNEL, CHANGES, WORSE, FOLLOWER):
            posted = [row for row in await self.rows(channel, Event.FINISHED) if row.state != "silent"]
            for row in posted:
                self.follow(row)
            if channel in self.due:
                self.remember(channel)
                assert {(row.number, row.attempt_no) for row in posted} == self.due[channel]
            replies = Counter(row.thread for row in await self.rows(channel, Event.CORRECTED))
            assert replies == Counter({row.ts: self.shown[row.id].taken_back for row in posted})
        for ref in ("main", "pull"):
            await self.check_red_times(ref)

    def remember(self, channel: str) -> None:
        """Note which attempts a channel waits for, as things stand now."""
        is_due = self.walk.is_worse if channel == WORSE else self.walk.is_change
        ends = [end for end in self.walk.ends if self.walk.refs[end.build] != "fork"]  # `--branch '*'` names refs
        due = {(end.build, end.attempt): end for end in ends if is_due(end)}
        fresh = due.keys() - self.due_before[channel]
        self.due_before[channel] = set(due)
        if channel != WORSE and self.new is not None:  # a fix of what ended red only now is no news
            fresh = {key for key in fresh if key == self.new or due[key].word != "g"}
        self.due[channel] |= fresh

    def follow(self, row: NotificationRow) -> None:
        """Check what a posted message says now, and that it is marked where it has said something else before."""
        (end,) = (end for end in self.walk.ends if (end.build, end.attempt) == (row.number, row.attempt_no))
        extra = Extra.of(row.extra)
        build = replace(
            build_of(self.walk, end.build, self.pipeline),
            status=Status.COMPLETED,
            conclusion=ENDS[end.word],
            issues=IssueCounts(warnings=end.warnings),
        )
        text = str(sentence_of(extra.transition.with_counts(build.issues), build))
        assert text == self.walk.sentence(end)
        place = (end.build, end.attempt)
        verdicts = verdicts_of(text, end.word)
        before = self.shown.setdefault(row.id, Shown(text, verdicts, is_marked=place != self.new))
        is_false = bool(before.verdicts - verdicts)
        before.taken_back += int(is_false)
        before.is_marked |= is_false or (before.text != text and place != self.recounted)
        before.text, before.verdicts = text, verdicts
        assert bool(extra.corrected) is before.is_marked

    async def check_red_times(self, ref: str) -> None:
        """Check that a channel with one thread for each red branch has one while it is red, and none while it is green."""
        kind = Ref(kind=RefKind.PULL_REQUEST, name="7") if ref == "pull" else Ref(kind=RefKind.BRANCH, name="main")
        rows = await self.store.red_branches.open_of(CONNECTION, self.pipeline, kind)
        red = self.walk.red_streak(ref)
        assert [(row.streak, row.since) for row in rows] == ([(len(red), red[0])] if red else [])


def verdicts_of(text: str, word: str) -> frozenset[str]:
    """Return what a message says beside numbers."""
    said = {verdict for start, verdict in VERDICTS.items() if text.startswith(start)}
    said |= {tail for tail in ("more issues", "fewer issues") if f", with {tail}" in text}
    result = {"g": {"passed"}, "r": {"failed"}, "t": {"failed"}, "c": set()}[word]
    return frozenset(said | result)
