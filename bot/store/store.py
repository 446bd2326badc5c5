"""Everything the bot remembers: one repository per subject behind one object."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, case, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.core.clock import Clock
from bot.store.approvals import Approvals
from bot.store.attempts import Attempts
from bot.store.audit import Audit
from bot.store.bindings import Bindings
from bot.store.bisections import Bisections
from bot.store.budgets import KEPT_FOR as BUDGETS_KEPT_FOR
from bot.store.budgets import Budgets
from bot.store.builds import Builds
from bot.store.cards import Cards
from bot.store.chains import Chains
from bot.store.claims import Claims
from bot.store.commit_rows import CommitRows
from bot.store.connections import Connections
from bot.store.database import Database, Sessions, table
from bot.store.digests import Digests
from bot.store.failures import Failures
from bot.store.feeds import Feeds
from bot.store.forgetting import Forgetting
from bot.store.grants import Grants
from bot.store.health import Health
from bot.store.holds import Holds
from bot.store.inbox import KEPT_FOR as INBOX_KEPT_FOR
from bot.store.inbox import Inbox
from bot.store.installs import Installs
from bot.store.last_values import KEPT_FOR as LAST_VALUES_KEPT_FOR
from bot.store.last_values import LastValues
from bot.store.links import Links
from bot.store.log_follows import LogFollows
from bot.store.mutes import Mutes
from bot.store.notifications import Notifications
from bot.store.people import People
from bot.store.personal_tokens import PersonalTokens
from bot.store.pipelines import Pipelines
from bot.store.polling import ABANDONED, Polling
from bot.store.postgres import SingleStatements
from bot.store.presets import Presets
from bot.store.recording import KEEP_DAYS, Recording
from bot.store.red_branches import RedBranches
from bot.store.schedules import Schedules
from bot.store.settings import Settings
from bot.store.switches import Switches
from bot.store.tokens import Tokens
from bot.store.transaction import SharedSession
from bot.store.vitals import Vitals
from bot.store.watches import Watches
from bot.store.workspaces import Workspaces


class Repositories:
    """One repository per subject, all on the same source of sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self.installs = Installs(sessions)
        self.connections = Connections(sessions)
        self.health = Health(sessions)
        self.pipelines = Pipelines(sessions)
        self.links = Links(sessions)
        self.recording = Recording(sessions)
        self.approvals = Approvals(sessions)
        self.attempts = Attempts(sessions)
        self.builds = Builds(sessions)
        self.polling = Polling(sessions)
        self.notifications = Notifications(sessions)
        self.cards = Cards(sessions)
        self.watches = Watches(sessions)
        self.mutes = Mutes(sessions)
        self.people = People(sessions)
        self.grants = Grants(sessions)
        self.audit = Audit(sessions)
        self.schedules = Schedules(sessions)
        self.digests = Digests(sessions)
        self.presets = Presets(sessions)
        self.last_values = LastValues(sessions)
        self.settings = Settings(sessions)
        self.switches = Switches(sessions)
        self.claims = Claims(sessions)
        self.commit_rows = CommitRows(sessions)
        self.feeds = Feeds(sessions)
        self.chains = Chains(sessions)
        self.bisections = Bisections(sessions)
        self.log_follows = LogFollows(sessions)
        self.holds = Holds(sessions)
        self.tokens = Tokens(sessions)
        self.personal_tokens = PersonalTokens(sessions)
        self.bindings = Bindings(sessions)
        self.budgets = Budgets(sessions)
        self.forgetting = Forgetting(sessions)
        self.workspaces = Workspaces(sessions)
        self.inbox = Inbox(sessions)
        self.red_branches = RedBranches(sessions)
        self.failures = Failures(sessions)
        self.vitals = Vitals(sessions)


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
        oldest = now - timedelta(days=keep_days)
        card, mute, notification, watch = table("card"), table("mute"), table("notification"), table("watch")
        # As a CASE, so that SQLite goes by the time of the edit: nearly every card is due for none.
        is_still = case((card.c.edit_due_at.is_(None), 1), else_=0) == 1
        old: tuple[tuple[Table, ColumnElement[bool]], ...] = (
            (notification, notification.c.created_at < oldest),
            (card, and_(card.c.edited_at < oldest, is_still)),
            (
                card,
                and_(
                    card.c.edited_at.is_(None),
                    ~select(notification.c.id).where(card.c.notification == notification.c.id).exists(),
                ),
            ),
            (watch, and_(watch.c.build != "", watch.c.created_at < min(oldest, now - ABANDONED))),
            (table("card_note"), table("card_note").c.at < oldest),
            (table("attempt"), table("attempt").c.seen_at < oldest),
            (table("build"), table("build").c.seen_at < oldest),
            (table("red_branch"), table("red_branch").c.opened_at < oldest),
            (table("failure"), table("failure").c.at < oldest),
            (table("audit"), table("audit").c.at < oldest),
            (table("vote"), table("vote").c.at < oldest),
            (mute, mute.c.until <= now),
            (table("budget"), table("budget").c.at < now - BUDGETS_KEPT_FOR),
            (table("token"), table("token").c.until <= now),
            (table("claim"), table("claim").c.until <= now),
            (table("commit_row"), table("commit_row").c.built_at < oldest),
            (table("bisection"), and_(table("bisection").c.running.is_(None), table("bisection").c.made_at < oldest)),
            (table("hold_wait"), table("hold_wait").c.at < oldest),
            (table("last_value"), table("last_value").c.used_at <= now - LAST_VALUES_KEPT_FOR),
            (table("inbox"), table("inbox").c.closed_at < now - INBOX_KEPT_FOR),
        )
        return sum([await self._forget(rows, condition, batch) for rows, condition in old])

    async def _forget(self, rows: Table, condition: ColumnElement[bool], batch: int) -> int:
        (key,) = rows.primary_key
        deletion = delete(rows).where(key.in_(select(key).where(condition).limit(batch)))
        total = 0
        while True:
            async with self.write() as db:
                count = (await db.execute(deletion)).rowcount
            total += count
            if count < batch:
                return total
