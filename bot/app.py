"""The composition root: settings in, every object built and joined, one running App out."""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bot.blocks.message import Message
from bot.blocks.notification import delivery_problem
from bot.connections import Connections, read_options
from bot.core import clock
from bot.core.backlog import Backlog
from bot.core.errors import BotError, StoreError, UsageError
from bot.http.budget import Budgeted, Purpose
from bot.http.transport import Network
from bot.manifest import GLOBAL_SHORTCUTS, MESSAGE_SHORTCUTS, SCOPES
from bot.metrics import Allowance, Metrics
from bot.monitoring.budgets import SharedBudgets
from bot.monitoring.credentials import Credentials
from bot.monitoring.poller import Pace, Poller
from bot.monitoring.stopwatch import Stopwatch
from bot.notifications.cards import Cards
from bot.notifications.escalations import Escalations
from bot.notifications.notification import Event, Extra
from bot.notifications.outbox import Drawn, Outbox
from bot.providers.base.options import Options
from bot.scheduler import Schedule
from bot.security.redaction import redact
from bot.security.vault import Vault
from bot.settings import Settings
from bot.slack.deliveries import Ack
from bot.slack.inbox import Inbox
from bot.slack.installs import Installs, SlackAway
from bot.slack.oauth import Oauth
from bot.slack.people import People
from bot.slack.sender import GONE, REVOKED, Sender, SlackError, SlackPassing
from bot.slack.socket_mode import SocketMode
from bot.store import Store
from bot.store.rows import NotificationRow
from bot.web.app import WebDependencies, health_app, web_app
from bot.web.feeds import Feeds
from bot.web.health import CachedCheck
from bot.web.server import STOP_SECONDS, Server, make_server, raise_file_limit
from bot.web.webhooks import PollRequest, WebhookQueue
from commands.bisections import BisectionSteps
from commands.chained import ChainedCommands
from commands.core import first_steps
from commands.core.catalogue import Catalogue
from commands.core.context import Access, Role, Services
from commands.ended_holds import EndedHolds
from commands.followed_logs import FollowedLogs
from commands.mcp.calls import Calls
from commands.registry import REGISTRY
from commands.scheduled import ScheduledCommands
from commands.slack.app import AT_ONCE, BESIDE_ACKS, SlackApp
from commands.slack.events import SlackEvents
from commands.slack.home import TURN

if TYPE_CHECKING:  # needs the extra `mcp`, and is dear
    from commands.mcp.server import HttpEndpoint

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
RELEASE_SECONDS = 60.0
FOLLOWED_SECONDS = 5
SCHEDULED_SECONDS = 10.0
BISECTION_SECONDS = 2.0
ESCALATE_SECONDS = 15.0
SIGNALS_SECONDS = 15.0
AGAIN_SECONDS = 3.0
POLLER_LATE = timedelta(seconds=60)
LAG_SECONDS = 0.5
MEASURED_FOR_SECONDS = 1.0
"""How long what waits in the database counts as measured, however often the metrics are asked for."""


def mcp_server() -> ModuleType:
    """Return `commands.mcp.server`, imported on first use. Raises UsageError where its packages are not installed."""
    try:
        return importlib.import_module("commands.mcp.server")
    except ModuleNotFoundError as exc:
        raise UsageError(
            f"`[mcp] enabled` needs packages that are not installed ({exc.name}).",
            hint='Install them: pip install "buildbell[mcp]".',
        ) from exc


def read_connections(settings: Settings) -> dict[str, tuple[str, Options]]:
    """Return the configured connections' options. Raises UsageError listing every problem of every connection."""
    connections, problems = _connections_and_problems(settings)
    if problems:
        raise UsageError("The connections have problems:\n" + "\n".join(f"- {problem}" for problem in problems))
    return connections


def _connections_and_problems(settings: Settings) -> tuple[dict[str, tuple[str, Options]], list[str]]:
    connections: dict[str, tuple[str, Options]] = {}
    problems: list[str] = []
    for name, options in settings.connections.items():
        try:
            connections[name] = read_options(name, options)
        except UsageError as exc:
            problems.append(f"{exc.message}{f' {exc.hint}' if exc.hint else ''}")
    return connections, problems


class App:
    """Every part of the bot, joined. `web` is the ASGI app, `health` a worker's; `working` runs the worker's loops."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        network: Network,
        vault: Vault,
        installs: Installs,
        sender: Sender,
        metrics: Metrics,
        now: clock.Clock = clock.now,
    ) -> None:
        self.settings = settings
        self.store = store
        self.network = network
        self.vault = vault
        self.installs = installs
        self.sender = sender
        self.metrics = metrics
        self.people = People(store, sender, now)
        self._now = now
        self._clients = {private: network.client(private=private) for private in (False, True)}
        self.connections = Connections(
            store,
            vault=vault,
            client=lambda private: self._clients[private],
            clock=now,
            teams=installs.teams,
            configured=read_connections(settings),
            allow_private=settings.internal_addresses,
        )
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.cards = Cards(
            store,
            provider_of=self.connections.serving,
            people=self.people,
            clock=now,
            refresh=self.connections.refresh,
            policies=settings.approval_policies,
        )
        self.outbox = Outbox(
            store,
            sender,
            people=self.people,
            kind_of=self.connections.kind,
            draw=self._draw,
            undelivered=self._undelivered,
            clock=now,
            owner=owner,
            ended=self.metrics.ended,
        )
        self.poller = Poller(
            store,
            provider_of=self.connections.by_name,
            find=self.connections.find,
            sees=lambda team, name: self.connections.serving(team, name) is not None,
            pace=Pace(busy_seconds=settings.watch_busy_seconds, idle_seconds=settings.watch_idle_seconds),
            clock=now,
            owner=owner,
            wake_outbox=self.outbox.wake,
            polled=self.metrics.polled,
        )
        self.budgets = SharedBudgets(
            store,
            budgets=self._budgets,
            clock=now,
            owner=owner,
            held=self._held_back,
        )
        self.services = Services(
            store=store,
            connections=self.connections,
            people=self.people,
            sender=sender,
            clock=now,
            registry=REGISTRY,
            catalogue=Catalogue(store, now),
            access=Access(
                admins=frozenset(settings.admins),
                members=Role.VIEW if settings.members == "viewer" else Role.RUN,
                protected=settings.protected,
                policies=settings.approval_policies,
            ),
            command=settings.command,
            public_url=settings.public_url,
            can_seal=vault.can_seal,
            has_mcp=settings.mcp_enabled,
            internal_addresses=settings.internal_addresses,
            wake_outbox=self.outbox.wake,
            release_held=self.outbox.release,
            wake_poller=self.poller.wake,
        )
        backlog = Backlog(most=AT_ONCE, beside=BESIDE_ACKS)
        self.slack_app = SlackApp(self.services, sender, bot_user=lambda: installs.bot_user, backlog=backlog)
        self.inbox = Inbox(
            store,
            dispatch=self._dispatch,
            sender=sender,
            vault=vault,
            clock=now,
            owner=owner,
            handles=lambda event: event in self.slack_app.handled_events,
            urgent=backlog.urgent,
        )
        self.slack_events = SlackEvents(self.services, installs, self.slack_app.answer)
        callbacks = [callback for callback, _name, _words in (*GLOBAL_SHORTCUTS, *MESSAGE_SHORTCUTS)]
        self.slack_app.listen(
            events=self.slack_events.events,
            shortcuts=dict.fromkeys(callbacks, self.slack_events.shortcut),
            actions={TURN: self.slack_events.turn_page},
            home_pressed=self.slack_events.home_pressed,
        )
        self.schedule = Schedule(
            {
                "prune": (PRUNE_SECONDS, self._prune),
                "release": (RELEASE_SECONDS, self.outbox.release),
                "signals": (
                    SIGNALS_SECONDS,
                    Stopwatch(
                        store,
                        clock=now,
                        sees=lambda team, name: self.connections.serving(team, name) is not None,
                        wake_outbox=self.outbox.wake,
                    ).tick,
                ),
                "escalate": (
                    ESCALATE_SECONDS,
                    Escalations(store, clock=now, wake_outbox=self.outbox.wake).tick,
                ),
                "credentials": (
                    PRUNE_SECONDS,
                    Credentials(
                        store,
                        names=self.connections.names,
                        provider_of=self.connections.by_name,
                        keepers=self._keepers,
                        post=self._post_quietly,
                        clock=now,
                    ).tick,
                ),
                "scheduled": (
                    SCHEDULED_SECONDS,
                    ScheduledCommands(self.services, self.slack_app.deliver, self.inbox).tick,
                ),
                "ended holds": (SCHEDULED_SECONDS, EndedHolds(self.services).tick),
                "bisections": (BISECTION_SECONDS, BisectionSteps(self.services).tick),
                "followed logs": (FOLLOWED_SECONDS, FollowedLogs(self.services).tick),
                "chained": (
                    SCHEDULED_SECONDS,
                    ChainedCommands(self.services, self.slack_app.deliver, self.inbox).tick,
                ),
            }
        )
        self.webhooks = WebhookQueue(self._request_polls)
        self.mcp_calls = Calls(self.services, self.slack_app.deliver)
        self._mcp = self._mcp_endpoint() if settings.mcp_enabled else None
        dependencies = self._web_dependencies()
        self.web = web_app(dependencies)
        self.health = health_app(dependencies)
        self._socket = (
            SocketMode(
                settings.slack_app_token.get_secret_value(),
                session=network.session,
                api_url=settings.slack_api_url,
                dispatch=self._take,
            )
            if settings.slack_app_token.get_secret_value()
            else None
        )
        self._works = False
        self._loading: asyncio.Future[None] | None = None
        self._began_at = self._now()
        self._measured_at = float("-inf")
        self._opens_socket = False

    def _web_dependencies(self) -> WebDependencies:
        return WebDependencies(
            take=self._take,
            signing_secrets=self.settings.signing_secrets,
            provider_of=self.connections.find,
            webhooks=self.webhooks,
            checks={
                "database": self._database,
                "slack": CachedCheck(self._slack_reachable, seconds=READY_SECONDS, clock=self._now),
                "scheduler": self._scheduler,
            },
            metrics=self._metrics_text,
            clock=self._now,
            oauth=self._oauth() if self.settings.by_oauth else None,
            installed=self._installed,
            feeds=Feeds(
                self.store, sees=lambda team, name: self.connections.get(team, name) is not None, clock=self._now
            ),
            mcp=self._mcp,
        )

    async def _take(self, body: Mapping[str, Any], headers: Mapping[str, str], *, fallback: str) -> Ack:
        """Take a delivery of Slack, and count its ack."""
        began = time.perf_counter()
        ack = await self.inbox.take(body, headers, fallback=fallback)
        self.metrics.acked(ack.status, time.perf_counter() - began)
        return ack

    async def _measure_lag(self) -> None:
        """Measure the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.metrics.loop_lag.observe(max(loop.time() - due, 0.0))

    async def _metrics_text(self) -> tuple[bytes, str]:
        """Return what /metrics answers; where the database is away, what waited there when it was last there."""
        self.metrics.set_budgets(
            Allowance(system=self._system_of(subject), budget=subject.rpartition(":")[2], quota=quota)
            for subject, budget in self._budgets().items()
            if (quota := budget.allowance) is not None
        )
        if time.monotonic() - self._measured_at >= MEASURED_FOR_SECONDS:
            self._measured_at = time.monotonic()
            with contextlib.suppress(BotError):
                await self.measure_waiting()
        return self.metrics.text()

    async def measure_waiting(self) -> None:
        """Set the metrics of what is waiting in the database."""
        now = self._now()
        self.metrics.inbox_open.set(await self.store.inbox.count_open())
        self.metrics.inbox_age.set(_age(await self.store.inbox.oldest_open(), now))
        self.metrics.outbox_age.set(_age(await self.store.notifications.oldest_due(now), now))
        self.metrics.notifications_held.set(await self.store.notifications.count_held())

    def _mcp_endpoint(self) -> "HttpEndpoint":
        endpoint: HttpEndpoint = mcp_server().HttpEndpoint(self.mcp_calls)
        return endpoint

    async def _dispatch(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Ack:
        team, enterprise = body.get("team") or {}, body.get("enterprise") or {}  # objects: the web has looked
        self.installs.met(
            str(body.get("team_id") or team.get("id") or ""),
            str(body.get("enterprise_id") or enterprise.get("id") or ""),
        )
        return await self.slack_app.dispatch(body, headers)

    def _oauth(self) -> Oauth:
        public = self.settings.public_url
        return Oauth(
            self.store,
            self.installs,
            session=self.network.session,
            api_url=self.settings.slack_api_url,
            client_id=self.settings.slack_client_id,
            client_secret=self.settings.slack_client_secret.get_secret_value(),
            redirect_url=f"{public}/slack/oauth_redirect" if public else "",
            scopes=SCOPES,
        )

    async def _installed(self, team: str) -> None:
        await self.connections.refresh()
        row = await self.store.installs.get(team)
        if row is not None and row.installed_by:
            with contextlib.suppress(SlackError):
                await first_steps.begin(team, [row.installed_by], self.services)

    def _held_back(self, subject: str, purpose: Purpose, requests: int) -> None:
        """Count requests that were held back; Slack's budgets are named by their method, others by their kind."""
        self.metrics.requests_held.labels(self._system_of(subject), purpose.value).inc(requests)

    def _system_of(self, subject: str) -> str:
        """Return the kind of the system whose budget has a name: of a connection, or Slack."""
        return self.connections.kind(subject) or subject.partition(":")[0]

    def _budgets(self) -> dict[str, Budgeted]:
        return {**self.connections.budgets(), **self.sender.budgets()}

    async def _database(self) -> str:
        await self.store.ping()
        return ""

    async def _slack_reachable(self) -> str:
        """Return why Slack cannot be used now, '' if it can. Spends one request."""
        if self._socket is not None and self._opens_socket and not await self._socket.connected():
            return "Socket Mode is not connected"
        if not self.settings.by_oauth:
            await self.installs.introduce()
            return ""
        for team in (await self.installs.teams())[:1]:
            await self.sender.call(team, "auth.test", {})
        return ""

    async def _scheduler(self) -> str:
        if not self._works:
            return ""
        last = self.poller.last_tick or self._began_at
        late = self._now() - last > POLLER_LATE
        return "the poller has not run for a while" if late or not self.schedule.running else ""

    async def _request_polls(self, requests: Sequence[PollRequest]) -> None:
        """Make the poll targets due that webhooks named, in one transaction."""
        now = self._now()
        async with self.store.transaction() as tx:
            for request in sorted(requests, key=lambda request: (request.connection, request.part or "")):
                await tx.polling.request(
                    request.connection, request.part, list(request.hints), full=request.is_full, now=now
                )
            await tx.health.webhooks_came((request.connection for request in requests), now)
        self.poller.wake()

    async def _keepers(self, connection: str) -> list[tuple[str, str]]:
        """Return who can renew a connection's credentials: who made it, else who installed the bot or is named an admin."""
        for row in await self.store.connections.all():
            if row.name == connection and row.created_by:
                return [(row.team, row.created_by)]
        keepers: list[tuple[str, str]] = []
        for team in await self.installs.teams():
            if self.connections.serving(team, connection) is None:
                continue
            install = await self.store.installs.get(team)
            users = [install.installed_by] if install is not None and install.installed_by else self.settings.admins
            keepers += [(team, user) for user in users]
        return keepers

    async def _post_quietly(self, team: str, user: str, message: Message) -> None:
        try:
            await self.sender.post(team, user, message)
        except SlackError as exc:
            log.info("a direct message was not posted", extra={"team": team, "code": exc.code})

    async def _draw(self, notification: NotificationRow, *, repeated: bool) -> Drawn | None:
        """Draw a notification; read its connection from the store first if another process has just made it."""
        if notification.connection:
            await self.connections.find(notification.connection)
        return await self.cards.draw(notification, repeated=repeated)

    async def _prune(self) -> None:
        await self.store.prune(self._now())

    async def _undelivered(self, notification: NotificationRow, exc: SlackError, drawn: Drawn | None) -> None:
        """Answer in another place if possible, pause links of an unreachable channel, and notify who made them, once."""
        url = Extra.of(notification.extra).response_url
        message = drawn.message if drawn is not None else None
        is_started = notification.event == Event.STARTED.value
        if is_started and url and message:
            with contextlib.suppress(SlackPassing):
                if await self.sender.respond(url, message, public=True):
                    return
        if message is not None and notification.user and notification.user != notification.channel:
            # Somebody asked for this build: where the channel cannot be reached, they are notified themselves.
            with contextlib.suppress(SlackError):
                await self.sender.post(notification.team, notification.user, message)
        reason = exc.code.replace("_", " ")
        makers: dict[str, list[str]] = {}
        if exc.code in GONE | REVOKED or exc.code.startswith("restricted_action"):
            for link in await self.store.links.pause(notification.team, notification.channel, reason):
                makers.setdefault(link.created_by, []).append(link.alias or link.name)
        elif notification.link and (followed := await self.store.links.get(notification.link)) is not None:
            makers[followed.created_by] = []
        if not makers and notification.user:
            makers[notification.user] = []
        for user, labels in makers.items():
            with contextlib.suppress(SlackError):
                await self.sender.post(notification.team, user, delivery_problem(notification.channel, reason, labels))

    @asynccontextmanager
    async def working(self, *, after: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Run the worker's loops, once it is `after` something: polling, delivery and periodic jobs."""
        loops = [self._loaded(self.poller.run, after), self._loaded(self.outbox.run, after)]
        async with _beside(*loops, self._loaded(self._tick, after)):
            yield
        self.schedule.stop()
        self._works = False

    async def _tick(self) -> None:
        self._works, self._began_at = True, self._now()
        self.schedule.start()

    async def _loaded(self, loop: Callable[[], Awaitable[None]], after: asyncio.Event | None) -> None:
        """Run a loop once it is `after` something, and once the modules are there that a start leaves out."""
        if after is not None:
            await after.wait()
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        await asyncio.shield(self._loading)
        await loop()

    def _load(self) -> None:
        """Import what comes on first use, in a thread beside the first requests: none of them has to wait for it."""
        self.store.load()
        self.services.registry.load()
        redact("")
        gc.collect()
        gc.freeze()  # what stands now stays: no later collection has to look at it again

    @asynccontextmanager
    async def listening(self, *, web: bool = True, after: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Follow what other processes change, and Socket Mode where it is set (the web's business).

        Requests are taken at once; what does not concern them begins `after` something.
        """
        loops: list[Awaitable[None]] = [
            self._loaded(self.connections.run, after),
            self.webhooks.run(),
            self._loaded(self.budgets.run, after),
            self._measure_lag(),
        ]
        if self.settings.slack_bot_token.get_secret_value():
            loops.append(self._loaded(self._introduce, after))
        if self._socket is not None and web:
            self._opens_socket = True
            loops.append(self._socket.run())
        async with _beside(self.inbox.run()):
            async with _beside(*loops), self._serving_mcp(web=web):
                yield
            await self.slack_app.drain()
        with contextlib.suppress(StoreError):
            await self.webhooks.flush()
        await self.inbox.settle(STOP_SECONDS)

    @asynccontextmanager
    async def _serving_mcp(self, *, web: bool) -> AsyncIterator[None]:
        if self._mcp is None or not web:
            yield
            return
        async with self._mcp.running():
            yield

    async def _introduce(self) -> None:
        """Read the bot's own identity from Slack, again until it answers; then greet who set the bot up."""
        is_late = not self.installs.single_team
        while not self.installs.single_team:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await introduced(self)
            except SlackAway:
                continue
            except BotError as exc:
                log.warning("Slack does not accept the bot", extra={"why": str(exc)})
        if is_late:
            log.info("Slack can be reached again")
        await self._greet(self.installs.single_team)

    async def _greet(self, team: str) -> None:
        """Give the checklist to the first admin of the settings, else to the workspace's primary owner, once.

        Tries again at the next start what Slack refuses now: nothing waits for it.
        """
        try:
            await first_steps.catch_up(team, self.services)
            if not await first_steps.is_due(team, self.services):
                return
            owner = await self.people.primary_owner(team)
            await first_steps.begin(
                team, dict.fromkeys((*self.settings.admins[:1], *filter(None, (owner,)))), self.services
            )
        except BotError as exc:
            log.info("the checklist was not posted", extra={"team": team, "why": str(exc)})

    async def close(self) -> None:
        """Close the HTTP clients and stop background listings of pipelines."""
        await self.services.catalogue.close()
        for client in self._clients.values():
            await client.aclose()


def _age(since: datetime | None, now: datetime) -> float:
    return (now - since) / timedelta(seconds=1) if since else 0.0


@asynccontextmanager
async def _beside(*loops: Awaitable[None]) -> AsyncIterator[None]:
    """Run loops while the caller's block runs; cancel them at its end and log one that failed."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a background loop failed", exc_info=result)


@asynccontextmanager
async def opened(settings: Settings, *, migrate: bool, now: clock.Clock = clock.now) -> AsyncIterator[App]:
    """Build the App, its connections to the world open, and close all at the end."""
    vault = Vault.from_text(settings.keys.get_secret_value()) if settings.keys.get_secret_value() else Vault.empty
    store = await Store.open(settings.database_url, clock=now)
    try:
        if migrate:
            await store.migrate()
        async with Network() as network:
            installs = Installs(
                store,
                session=network.session,
                api_url=settings.slack_api_url,
                clock=now,
                vault=vault,
                single_token=settings.slack_bot_token.get_secret_value(),
                client_id=settings.slack_client_id,
                client_secret=settings.slack_client_secret.get_secret_value(),
            )
            metrics = Metrics.make()
            sender = Sender(
                installs.token,
                session=network.session,
                api_url=settings.slack_api_url,
                clock=now,
                refused=metrics.slack_refused,
                waited=metrics.slack_waited,
            )
            app = App(
                settings,
                store=store,
                network=network,
                vault=vault,
                installs=installs,
                sender=sender,
                metrics=metrics,
                now=now,
            )
            try:
                yield app
            finally:
                await app.close()
    finally:
        await store.close()


async def introduced(app: App) -> None:
    """Read the bot's own identity from Slack, and the connections. Raises BotError if Slack refuses the token."""
    if app.settings.slack_bot_token.get_secret_value():
        await app.installs.introduce()
    await app.connections.refresh()


async def serve(
    settings: Settings,
    *,
    web: bool = True,
    worker: bool = True,
    ready: Callable[[int], None] = lambda _port: None,
    stop: asyncio.Event | None = None,
    now: clock.Clock = clock.now,
) -> None:
    """Serve until a signal or `stop`: requests, the poller, or both.

    Raises BotError for settings that can't work.
    """
    problems = [*settings.problems_for_serving(web=web), *_connections_and_problems(settings)[1]]
    if problems:
        raise UsageError("The bot can't start:\n" + "\n".join(f"- {problem}" for problem in problems))
    raise_file_limit()
    is_sqlite = settings.database_url.startswith("sqlite")
    async with opened(settings, migrate=is_sqlite, now=now) as app:
        try:
            await introduced(app)
        except SlackAway as exc:
            log.warning("Slack can't be reached at the start; trying again until it answers", extra={"why": str(exc)})
        async with contextlib.AsyncExitStack() as stack:
            listens = asyncio.Event()
            if worker:
                await stack.enter_async_context(app.working(after=listens))
            await stack.enter_async_context(app.listening(web=web, after=listens))
            port = settings.port if web else settings.health_port
            if port is None:
                listens.set()
                await _until_stopped(stop or asyncio.Event())
                return

            def listening(number: int) -> None:
                ready(number)
                listens.set()

            server = make_server(app.web if web else app.health, host=settings.host, port=port, ready=listening)
            if stop is not None:
                await stack.enter_async_context(_beside(_stop_when_set(server, stop)))
            await server.serve()


async def _until_stopped(stop: asyncio.Event) -> None:
    """Wait for `stop` or for a signal, as a worker without a port does."""
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    log.info("the worker runs")
    await stop.wait()


async def _stop_when_set(server: Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
