"""Everything the bot remembers: one repository per subject behind one object."""

from __future__ import annotations  # subjects are imported on first use

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.core.clock import Clock
from bot.store.database import Database, Repository, Sessions
from bot.store.postgres import SingleStatements
from bot.store.retention import KEEP_DAYS
from bot.store.transaction import SharedSession

if TYPE_CHECKING:
    from bot.store.approvals import Approvals
    from bot.store.attempts import Attempts
    from bot.store.audit import Audit
    from bot.store.bindings import Bindings
    from bot.store.bisections import Bisections
    from bot.store.budgets import Budgets
    from bot.store.builds import Builds
    from bot.store.cards import Cards
    from bot.store.chains import Chains
    from bot.store.claims import Claims
    from bot.store.commit_rows import CommitRows
    from bot.store.connections import Connections
    from bot.store.digests import Digests
    from bot.store.failures import Failures
    from bot.store.feeds import Feeds
    from bot.store.forgetting import Forgetting
    from bot.store.grants import Grants
    from bot.store.health import Health
    from bot.store.holds import Holds
    from bot.store.inbox import Inbox
    from bot.store.installs import Installs
    from bot.store.last_values import LastValues
    from bot.store.links import Links
    from bot.store.log_follows import LogFollows
    from bot.store.mutes import Mutes
    from bot.store.notifications import Notifications
    from bot.store.people import People
    from bot.store.personal_tokens import PersonalTokens
    from bot.store.pipelines import Pipelines
    from bot.store.polling import Polling
    from bot.store.presets import Presets
    from bot.store.pruning import Pruning
    from bot.store.recording import Recording
    from bot.store.red_branches import RedBranches
    from bot.store.schedules import Schedules
    from bot.store.settings import Settings
    from bot.store.switches import Switches
    from bot.store.tokens import Tokens
    from bot.store.vitals import Vitals
    from bot.store.watches import Watches
    from bot.store.workspaces import Workspaces


class Repositories:
    """One repository per subject, all on the same source of sessions.

    A subject's module is imported, and its repository made, when it is first asked for. `load` imports them all.
    """

    installs: Installs
    connections: Connections
    health: Health
    pipelines: Pipelines
    links: Links
    recording: Recording
    approvals: Approvals
    attempts: Attempts
    builds: Builds
    polling: Polling
    notifications: Notifications
    cards: Cards
    watches: Watches
    mutes: Mutes
    people: People
    grants: Grants
    audit: Audit
    schedules: Schedules
    digests: Digests
    presets: Presets
    last_values: LastValues
    settings: Settings
    switches: Switches
    claims: Claims
    commit_rows: CommitRows
    feeds: Feeds
    chains: Chains
    bisections: Bisections
    log_follows: LogFollows
    holds: Holds
    tokens: Tokens
    personal_tokens: PersonalTokens
    bindings: Bindings
    budgets: Budgets
    forgetting: Forgetting
    workspaces: Workspaces
    inbox: Inbox
    red_branches: RedBranches
    failures: Failures
    vitals: Vitals
    pruning: Pruning

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @staticmethod
    def load() -> None:
        """Import every subject now, so that nobody waits for it later."""
        for subject in Repositories.__annotations__:
            import_module(f"bot.store.{subject}")

    if not TYPE_CHECKING:  # so that a subject that there is not is a mistake that mypy sees

        def __getattr__(self, subject: str) -> Repository:
            """Make a repository on its first use: the module `subject` has the class that its annotation names."""
            name = Repositories.__annotations__.get(subject)
            if name is None:
                message = f"the store has no {subject}"
                raise AttributeError(message)
            made = getattr(import_module(f"bot.store.{subject}"), name)(self._sessions)
            setattr(self, subject, made)
            return made


class Transaction(Repositories):
    """The repositories of one transaction: what they write happens together, or not at all."""


class Store(Database, Repositories):
    """The database and its repositories. Rows come back as frozen values; times come back aware."""

    def __init__(
        self, engine: AsyncEngine, *, keepers: AsyncEngine, clock: Clock, single: SingleStatements | None = None
    ) -> None:
        Database.__init__(self, engine, keepers=keepers, clock=clock, single=single)
        Repositories.__init__(self, self)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Give repositories that share one transaction: `async with store.transaction() as tx: await tx.links.save(…)`.

        It is committed at the end of the block, and undone when the block raises or when a repository raised within
        it. Inside, use `tx` only: on SQLite a write through the store itself would wait for its own end, and raises
        RuntimeError. Make no call to another service inside: on SQLite all other writers wait.
        """
        async with self.write() as db:
            shared = SharedSession(db, dialect=self.dialect, clock=self.clock)
            yield Transaction(shared)
            shared.check()

    async def prune(self, now: datetime, *, keep_days: int = KEEP_DAYS, batch: int = 500) -> int:
        """Forget what is older than `keep_days` or has run out, in small transactions; return how many rows that is."""
        return await self.pruning.run(now, keep_days=keep_days, batch=batch)
