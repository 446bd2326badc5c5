"""Budgets of requests that processes share: what each process knew last."""

from collections.abc import Sequence
from datetime import datetime

from bot.store.database import Repository, put
from bot.store.mapping import BUDGET
from bot.store.rows import BudgetRow, NewBudget

"""How long the longest wait of a vendor may last."""
PUT_BUDGET = put("budget", key=("subject", "owner"))


class Budgets(Repository):
    """Budgets of requests that processes share."""

    async def save(self, rows: Sequence[NewBudget]) -> None:
        """Write what a process knows now, in place of what it knew before."""
        async with self._write() as db:
            await self._put(db, PUT_BUDGET, rows)

    async def of_others(self, owner: str, since: datetime) -> list[BudgetRow]:
        """Return what other processes have written since a time."""
        query = BUDGET.select().where(BUDGET.c.at >= since, BUDGET.c.owner != owner)
        async with self._read() as db:
            return await BUDGET.all(db, query)
