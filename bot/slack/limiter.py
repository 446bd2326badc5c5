"""How many calls of a method a workspace takes, learned from Slack's refusals."""

from collections import Counter
from collections.abc import Callable, Iterable

from bot.http.budget import Budget, BudgetState, Purpose
from bot.http.quota import Quota

CHANNEL_A_MINUTE = 75


class Limiter:
    """How many calls of one method a workspace takes in a minute, as its refusals taught; unlimited at first.

    Up to what one channel is allowed, a refusal says nothing about the workspace.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._budget = Budget(least_calls=CHANNEL_A_MINUTE)

    @property
    def held(self) -> Counter[Purpose]:
        """How many calls were held back."""
        return self._budget.held

    @property
    def a_minute(self) -> float:
        """The learned limit, infinite while there is none."""
        return self._budget.a_minute

    def wait(self, purpose: Purpose = Purpose.DELIVERY) -> float:
        """Return the seconds until the next call for a purpose may be made."""
        return self._budget.wait(self._timer(), purpose)

    def spend(self, calls: int = 1) -> None:
        """Count calls that are made now."""
        self._budget.spend(self._timer(), calls)

    def refused(self, retry_after: float) -> None:
        """Learn from a refusal."""
        self._budget.refuse(self._timer(), retry_after)

    def state(self) -> BudgetState:
        """Return what this process knows."""
        return self._budget.state(self._timer())

    @property
    def allowance(self) -> Quota | None:
        """What is left of the learned limit, None while there is none."""
        left = self._budget.left(self._timer())
        return Quota(limit=left[0], remaining=left[1]) if left is not None else None

    def learn(self, others: Iterable[BudgetState]) -> None:
        """Take over what other processes know."""
        self._budget.learn(self._timer(), others)
