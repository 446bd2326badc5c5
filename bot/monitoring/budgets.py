"""Share budgets of requests between processes, and say once when one of them runs short."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bot.core.clock import Clock
from bot.core.errors import BotError
from bot.http.budget import Budgeted, BudgetState, Purpose
from bot.store import Store, retention
from bot.store.rows import BudgetRow, NewBudget

log = logging.getLogger(__name__)

SHARE_SECONDS = 3.0
QUIET_AFTER = timedelta(minutes=2)
"""How long nothing may be held back before a shortage is over."""

Held = Callable[[str, Purpose, int], None]


class SharedBudgets:
    """What this process and the others know of each budget. `budgets` returns those of this process by subject.

    Costs one write every three seconds while anything is spent, and one read. `held` is told what was held back.
    """

    def __init__(
        self,
        store: Store,
        *,
        budgets: Callable[[], Mapping[str, Budgeted]],
        clock: Clock,
        owner: str,
        held: Held = lambda _subject, _purpose, _requests: None,
    ) -> None:
        self._store = store
        self._budgets = budgets
        self._clock = clock
        self._owner = owner
        self._held = held
        self._saved: dict[str, BudgetState] = {}
        self._counted: dict[str, Counter[Purpose]] = {}
        self._short: dict[str, datetime] = {}
        self._in_shortage: Counter[str] = Counter()

    async def run(self) -> None:
        """Share until cancelled; a database that is away only delays."""
        while True:
            try:
                await self.share()
            except BotError as exc:
                log.warning("budgets can't be shared", extra={"why": str(exc)})
            await asyncio.sleep(SHARE_SECONDS)

    async def share(self) -> None:
        """Write what changed here, and take over what others wrote."""
        now = self._clock()
        budgets = dict(self._budgets())
        states = {subject: budget.state() for subject, budget in budgets.items()}
        changed = {subject: state for subject, state in states.items() if self._differs(subject, state)}
        if changed:
            await self._store.budgets.save(
                [_row(subject, self._owner, state, now) for subject, state in changed.items()]
            )
            self._saved |= changed
        others: dict[str, list[BudgetState]] = {}
        for row in await self._store.budgets.of_others(self._owner, now - retention.BUDGETS):
            others.setdefault(row.subject, []).append(_state(row, now))
        for subject, budget in budgets.items():
            budget.learn(others.get(subject, []))
        self._say(budgets, now)

    def _differs(self, subject: str, state: BudgetState) -> bool:
        """Return whether to publish a state to other processes: while calls are made, and once when they have ended."""
        saved = self._saved.get(subject, BudgetState())
        if state.calls or saved.calls:
            return True
        return (state.a_minute, state.pause > 0, state.short) != (saved.a_minute, saved.pause > 0, saved.short)

    def _say(self, budgets: Mapping[str, Budgeted], now: datetime) -> None:
        """Log the start and the end of each shortage, and what was held back in it."""
        for subject, budget in budgets.items():
            before = self._counted.get(subject, Counter())
            self._counted[subject] = counted = Counter(budget.held)
            more = counted - before
            for purpose, requests in more.items():
                self._held(subject, purpose, requests)
            if more:
                self._in_shortage[subject] += more.total()
                if subject not in self._short:
                    log.warning(
                        "requests are held back: little is left of a limit",
                        extra={"budget": subject, "purposes": sorted(more)},
                    )
                self._short[subject] = now
            elif subject in self._short and now - self._short[subject] >= QUIET_AFTER:
                del self._short[subject]
                held = self._in_shortage.pop(subject, 0)
                log.info("a limit is wide enough again", extra={"budget": subject, "held": held})


def _row(subject: str, owner: str, state: BudgetState, now: datetime) -> NewBudget:
    return NewBudget(
        subject=subject,
        owner=owner,
        calls=state.calls,
        a_minute=state.a_minute,
        pause=state.pause,
        quota=state.limit,
        remaining=state.remaining,
        resets_in=state.resets_in,
        learned_ago=state.learned_ago,
        short=state.short.value if state.short is not None else "",
        short_ago=state.short_ago,
        at=now,
    )


def _state(row: BudgetRow, now: datetime) -> BudgetState:
    return BudgetState(
        calls=row.calls,
        a_minute=row.a_minute,
        pause=row.pause,
        limit=row.quota,
        remaining=row.remaining,
        resets_in=row.resets_in,
        learned_ago=row.learned_ago,
        short=next((purpose for purpose in Purpose if purpose.value == row.short), None),
        short_ago=row.short_ago,
        age=max((now - row.at) / timedelta(seconds=1), 0.0),
    )
