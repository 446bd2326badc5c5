"""What the bot counts and measures, for Prometheus."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bot.http.quota import Quota
from bot.notifications.notification import Outcome

ACK_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 3.0)
"""Seconds. Slack shows an error after three."""
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
POLL_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
DELIVERY_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)
"""Seconds. A notification may wait half a minute for its build's details, so the library's default (10 at most) is too short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of a budget: of a connection by its name, of Slack's by the method."""

    system: str
    budget: str
    quota: Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The Prometheus metrics. Labels are kinds, outcomes, connections and methods, never pipelines, channels or workspaces."""

    registry: CollectorRegistry
    polls: Counter
    poll_seconds: Histogram
    delivery_seconds: Histogram
    notifications: Counter
    notifications_held: Gauge
    requests_held: Counter
    budget_left: Gauge
    budget_limit: Gauge
    slack_refusals: Counter
    slack_wait_seconds: Counter
    acks: Counter
    ack_seconds: Histogram
    loop_lag: Histogram
    inbox_open: Gauge
    inbox_age: Gauge
    outbox_age: Gauge

    @classmethod
    def make(cls) -> "Metrics":
        """Return fresh metrics with a registry of their own."""
        registry = CollectorRegistry()
        return cls(
            registry=registry,
            polls=Counter("buildbell_polls_total", "Polls of connections.", ["provider", "outcome"], registry=registry),
            poll_seconds=Histogram(
                "buildbell_poll_seconds", "Duration of a poll.", ["provider"], buckets=POLL_BUCKETS, registry=registry
            ),
            delivery_seconds=Histogram(
                "buildbell_delivery_seconds",
                "From the creation of a notification to its post.",
                buckets=DELIVERY_BUCKETS,
                registry=registry,
            ),
            notifications=Counter(
                "buildbell_notifications_total",
                "Notifications that the sender is done with.",
                ["outcome"],
                registry=registry,
            ),
            notifications_held=Gauge(
                "buildbell_notifications_held",
                "Notifications that wait for a mute or quiet hours to end, of all processes.",
                registry=registry,
            ),
            requests_held=Counter(
                "buildbell_requests_held_total",
                "Requests held back because little is left of a limit.",
                ["system", "purpose"],
                registry=registry,
            ),
            budget_left=Gauge(
                "buildbell_budget_left",
                "Requests left of a limit that was reported or learned.",
                ["system", "budget"],
                registry=registry,
            ),
            budget_limit=Gauge(
                "buildbell_budget_limit",
                "The limit of requests that was reported or learned.",
                ["system", "budget"],
                registry=registry,
            ),
            slack_refusals=Counter(
                "buildbell_slack_refusals_total",
                "Calls that Slack refused because of a limit.",
                ["method"],
                registry=registry,
            ),
            slack_wait_seconds=Counter(
                "buildbell_slack_wait_seconds_total",
                "Seconds that calls to Slack waited for a limit or for their turn in a channel.",
                ["method"],
                registry=registry,
            ),
            acks=Counter(
                "buildbell_acks_total", "Deliveries of Slack that were answered.", ["status"], registry=registry
            ),
            ack_seconds=Histogram(
                "buildbell_ack_seconds",
                "How long a delivery of Slack took to be written and acked.",
                buckets=ACK_BUCKETS,
                registry=registry,
            ),
            loop_lag=Histogram(
                "buildbell_loop_lag_seconds",
                "How late the event loop wakes somebody who sleeps.",
                buckets=LAG_BUCKETS,
                registry=registry,
            ),
            inbox_open=Gauge(
                "buildbell_inbox_open", "Deliveries of Slack that are not done, of all processes.", registry=registry
            ),
            inbox_age=Gauge(
                "buildbell_inbox_age_seconds",
                "How long ago the oldest delivery came that is not done, of all processes.",
                registry=registry,
            ),
            outbox_age=Gauge(
                "buildbell_outbox_age_seconds",
                "How long the longest waiting notification is due, of all processes.",
                registry=registry,
            ),
        )

    def acked(self, status: int, seconds: float) -> None:
        """Count one delivery of Slack and the time until its ack."""
        self.acks.labels(str(status)).inc()
        self.ack_seconds.observe(seconds)

    def polled(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one poll."""
        self.polls.labels(kind, outcome).inc()
        self.poll_seconds.labels(kind).observe(seconds)

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Count one notification that the sender is done with, so many seconds after it was made."""
        self.notifications.labels(outcome.value).inc()
        if outcome is Outcome.POSTED:
            self.delivery_seconds.observe(seconds)

    def slack_refused(self, method: str) -> None:
        """Count one call that Slack refused because of a limit."""
        self.slack_refusals.labels(method).inc()

    def slack_waited(self, method: str, seconds: float) -> None:
        """Count the wait of one call to Slack."""
        self.slack_wait_seconds.labels(method).inc(seconds)

    def set_budgets(self, allowances: Iterable[Allowance]) -> None:
        """Set what is left of all budgets; of several with the same labels the smallest rest counts."""
        self.budget_left.clear()
        self.budget_limit.clear()
        for allowance in sorted(allowances, key=lambda allowance: -allowance.quota.remaining):
            self.budget_left.labels(allowance.system, allowance.budget).set(allowance.quota.remaining)
            self.budget_limit.labels(allowance.system, allowance.budget).set(allowance.quota.limit)

    def text(self) -> tuple[bytes, str]:
        """Return what /metrics answers."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
