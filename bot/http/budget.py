"""How many requests an account may still spend, and who goes without first where there are too few.

A `Budget` is one account's (a connection, or a Slack method in a workspace). It learns from what the other side reports
and from its refusals. Processes that share an account exchange `BudgetState`s through the store, so that each knows
what the others have spent. Times are seconds of any one clock; states hold durations, so clocks need not agree.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bot.http.quota import Quota

WINDOW_SECONDS = 60.0
LEAST_A_MINUTE = 20
FIRST_EASE_SECONDS = 75.0
EASE_SECONDS = 300.0
"""A learned limit is tried to be passed after the first of these; the more often it is confirmed, the later."""
EASE_FACTOR = 1.25
CONFIRMED = (0.8, 1.3)
"""A refusal at about the learned limit confirms it; one far below or above it is another limit."""
PLENTY = 0.5
"""Where the vendor reports more than this share of a limit as left, a refusal has other reasons than this limit."""
ANSWERED_SECONDS = 2.0
"""Calls of the last seconds may not be answered yet: they prove nothing."""
AGAIN_SECONDS = 3.0
"""How soon to ask again where other processes have spent the minute: about when their states are read anew."""


class Purpose(StrEnum):
    """What a request is for. Where there are too few, the last goes without first, and commands never do."""

    COMMAND = "command"
    DELIVERY = "delivery"
    POLL = "poll"
    COUNTS = "counts"


KEPT_FOR_OTHERS = {Purpose.DELIVERY: 0.0, Purpose.POLL: 0.1, Purpose.COUNTS: 0.3}
"""The share of a limit that a purpose leaves to those before it. Commands are held back by nobody but the vendor."""
RANKS = {purpose: rank for rank, purpose in enumerate(Purpose)}


@dataclass(slots=True)
class Spending:
    """What the current task spends: why, and how many requests it has sent."""

    purpose: Purpose
    requests: int = 0
    since: float = field(default_factory=time.monotonic)


_spending: ContextVar[Spending | None] = ContextVar("spending", default=None)


@contextmanager
def spending(purpose: Purpose) -> Iterator[Spending]:
    """Count the requests that are sent in the block, and in tasks started there, as spent for a purpose."""
    own = Spending(purpose)
    token = _spending.set(own)
    try:
        yield own
    finally:
        _spending.reset(token)


def current_purpose() -> Purpose:
    """Return what the current task's requests are for: a command, unless something else is said."""
    own = _spending.get()
    return own.purpose if own is not None else Purpose.COMMAND


def spending_since(now: float) -> float:
    """Return when the current task's spending began, by the monotonic clock; `now` where nothing was said of it."""
    own = _spending.get()
    return own.since if own is not None else now


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What one process knew of a budget `age` seconds ago.

    `calls` were made in the minute before; `a_minute` is the learned limit, None while there is none; for `pause`
    seconds nothing may be sent; `remaining` of `limit` (0: not reported) are left for `resets_in` seconds. The learned
    limit was changed `learned_ago` seconds before. `short` is the first purpose that was held back in the last minute,
    `short_ago` seconds before.
    """

    calls: int = 0
    a_minute: float | None = None
    pause: float = 0.0
    limit: int = 0
    remaining: int = 0
    resets_in: float = 0.0
    learned_ago: float = 0.0
    short: Purpose | None = None
    short_ago: float = 0.0
    age: float = 0.0


class Budgeted(Protocol):
    """Whatever has a budget that processes share."""

    @property
    def held(self) -> Counter[Purpose]:
        """How many requests were held back, by purpose."""
        ...

    @property
    def allowance(self) -> Quota | None:
        """What is left of the reported or learned limit, None where none is known."""
        ...

    def state(self) -> BudgetState:
        """Return what this process knows now."""
        ...

    def learn(self, others: Iterable[BudgetState]) -> None:
        """Take over what other processes know."""
        ...


class Budget:
    """The budget of one account. Refusals teach a limit only above `least_calls` a minute: fewer have other reasons."""

    def __init__(self, *, least_calls: int) -> None:
        self.held: Counter[Purpose] = Counter()
        self.a_minute = math.inf
        self._least_calls = least_calls
        self._calls: deque[float] = deque()
        self._others_calls = 0
        self._others_until = -math.inf
        self._paused_until = -math.inf
        self._changed_at = -math.inf
        self._ease_after = FIRST_EASE_SECONDS
        self._refused_at = -math.inf
        self._proven = 0
        self._proven_at = -math.inf
        self._short: dict[Purpose, float] = {}
        self._limit = 0
        self._remaining = 0
        self._resets_at = -math.inf
        self._reported_at = -math.inf

    def spend(self, now: float, calls: int = 1) -> None:
        """Count requests that go out now."""
        self._prove(now)
        self._calls.extend([now] * calls)
        self._remaining -= calls
        own = _spending.get()
        if own is not None:
            own.requests += calls

    def wait(self, now: float, purpose: Purpose = Purpose.DELIVERY) -> float:
        """Return the seconds until a request for a purpose may go out."""
        self._pass(now)
        kept = KEPT_FOR_OTHERS.get(purpose)
        pause = max(self._paused_until - now, 0.0)
        if kept is None:
            return pause
        if len(self._calls) + self._others(now) >= self.a_minute * (1 - kept):
            pause = max(pause, self._calls[0] + WINDOW_SECONDS - now if self._calls else AGAIN_SECONDS)
        if self._limit > 0 and now < self._resets_at and self._remaining <= self._limit * kept:
            pause = max(pause, self._resets_at - now)
        if any(RANKS[before] < RANKS[purpose] for before in self._short):
            pause = max(pause, AGAIN_SECONDS)
        return pause

    def hold(self, now: float, purpose: Purpose) -> None:
        """Count a request that `wait` held back. For a minute, what comes after its purpose is held back, too."""
        self.held[purpose] += 1
        self._short[purpose] = now

    def report(self, now: float, *, limit: int, remaining: int, resets_in: float | None) -> None:
        """Take over what an answer says is left; without a time of the reset it holds for a minute."""
        self._limit, self._remaining, self._reported_at = limit, remaining, now
        self._resets_at = now + (WINDOW_SECONDS if resets_in is None else resets_in)

    def refuse(self, now: float, retry_after: float = 0.0) -> None:
        """Learn from a refusal: what was sent in the last minute was too much. Nothing goes out for `retry_after` seconds.

        One refusal teaches no limit below what went well a moment before, the second within a minute does.
        """
        self._pass(now)
        calls = len(self._calls) + self._others(now)
        if calls <= self._least_calls:
            return
        self._paused_until = max(self._paused_until, now + retry_after)
        is_first = now - self._refused_at > WINDOW_SECONDS
        self._refused_at = now
        is_reported = self._limit > 0 and now < self._resets_at
        if is_first and is_reported and self._remaining > self._limit * PLENTY:
            return
        proven = self._proven if is_first and now - self._proven_at < EASE_SECONDS else 0
        lowest, highest = (share * self.a_minute for share in CONFIRMED)
        is_confirmed = not math.isinf(self.a_minute) and lowest <= calls <= highest
        self._ease_after = min(2 * self._ease_after, EASE_SECONDS) if is_confirmed else FIRST_EASE_SECONDS
        self.a_minute = max(min(self.a_minute, max(calls - 1, proven)), LEAST_A_MINUTE)
        self._changed_at = now

    def left(self, now: float) -> tuple[int, int] | None:
        """Return the learned limit of requests a minute and how many of them are left, None where none was learned."""
        self._pass(now)
        if math.isinf(self.a_minute):
            return None
        limit = int(self.a_minute)
        return limit, max(limit - len(self._calls) - self._others(now), 0)

    def state(self, now: float) -> BudgetState:
        """Return what to tell other processes."""
        self._pass(now)
        is_reported = self._limit > 0 and now < self._resets_at
        short = min(self._short, key=RANKS.__getitem__, default=None)
        return BudgetState(
            calls=len(self._calls),
            a_minute=None if math.isinf(self.a_minute) else self.a_minute,
            pause=max(self._paused_until - now, 0.0),
            limit=self._limit if is_reported else 0,
            remaining=self._remaining if is_reported else 0,
            resets_in=self._resets_at - now if is_reported else 0.0,
            learned_ago=now - self._changed_at if self._changed_at > -math.inf else 0.0,
            short=short,
            short_ago=now - self._short[short] if short is not None else 0.0,
        )

    def learn(self, now: float, others: Iterable[BudgetState]) -> None:
        """Take over what other processes know: their calls, the newest limit, the longest pause, the newest report."""
        self._others_calls, self._others_until = 0, now + WINDOW_SECONDS
        for other in others:
            if other.age < WINDOW_SECONDS:
                self._others_calls += other.calls
            changed_at = now - other.age - other.learned_ago
            if other.a_minute is not None and other.age < EASE_SECONDS and changed_at > self._changed_at:
                self.a_minute, self._changed_at = other.a_minute, changed_at
            if other.short is not None:
                held_at = now - other.age - other.short_ago
                self._short[other.short] = max(self._short.get(other.short, held_at), held_at)
            self._paused_until = max(self._paused_until, now + other.pause - other.age)
            if other.limit > 0 and now - other.age > self._reported_at and other.resets_in > other.age:
                self._limit, self._remaining = other.limit, other.remaining
                self._reported_at, self._resets_at = now - other.age, now + other.resets_in - other.age

    def _others(self, now: float) -> int:
        return self._others_calls if now < self._others_until else 0

    def _pass(self, now: float) -> None:
        """Forget calls of more than a minute ago, and try a little more where all went well for a while."""
        while self._calls and self._calls[0] <= now - WINDOW_SECONDS:
            self._calls.popleft()
        if self._short:
            self._short = {purpose: at for purpose, at in self._short.items() if now - at < WINDOW_SECONDS}
        if self.a_minute < math.inf and now - self._changed_at >= self._ease_after:
            self.a_minute, self._changed_at = self.a_minute * EASE_FACTOR, now

    def _prove(self, now: float) -> None:
        """Remember how many calls a minute went well."""
        self._pass(now)
        answered = len(self._calls) + self._others(now)
        for at in reversed(self._calls):
            if at <= now - ANSWERED_SECONDS:
                break
            answered -= 1
        if answered >= self._proven or now - self._proven_at >= EASE_SECONDS:
            self._proven, self._proven_at = answered, now
