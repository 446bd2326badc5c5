"""The routes of the bot's port."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.core.clock import Clock
from bot.providers.base.provider import AnyProvider
from bot.slack.deliveries import Take
from bot.slack.oauth import Oauth
from bot.web.feeds import Feeds
from bot.web.health import Check, Health
from bot.web.install import InstallPages
from bot.web.slack import SlackEndpoint
from bot.web.webhooks import WebhookEndpoint, WebhookQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDependencies:
    """What stands behind the routes.

    Without `oauth` there are no pages to install the bot, without `feeds` no feeds, without `mcp` no `/mcp`.
    """

    take: Take
    signing_secrets: Sequence[str]
    provider_of: Callable[[str], Awaitable[AnyProvider | None]]
    webhooks: WebhookQueue
    checks: Mapping[str, Check]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    installed: Callable[[str], Awaitable[None]]
    clock: Clock
    oauth: Oauth | None = None
    feeds: Feeds | None = None
    mcp: ASGIApp | None = None


def web_app(dependencies: WebDependencies) -> Starlette:
    """Return the ASGI app with every route."""
    slack = SlackEndpoint(
        take=dependencies.take, signing_secrets=dependencies.signing_secrets, clock=dependencies.clock
    )
    webhook = WebhookEndpoint(
        provider_of=dependencies.provider_of, queue=dependencies.webhooks, clock=dependencies.clock
    )
    routes = [
        Route("/slack/events", slack, methods=["POST"]),
        Route("/hooks/{connection}", webhook.receive, methods=["POST"]),
        Route("/hooks/{connection}/{secret}", webhook.receive, methods=["POST"]),
        *_health_routes(dependencies),
    ]
    if dependencies.oauth is not None:
        pages = InstallPages(dependencies.oauth, installed=dependencies.installed)
        routes.append(Route("/slack/install", pages.install, methods=["GET"]))
        routes.append(Route("/slack/oauth_redirect", pages.oauth_redirect, methods=["GET"]))
    if (feeds := dependencies.feeds) is not None:
        routes += [
            Route("/feeds/{token}/cctray.xml", feeds.cctray, methods=["GET"]),
            Route("/feeds/{token}/status.json", feeds.status, methods=["GET"]),
            Route("/feeds/{token}/badge.svg", feeds.badge, methods=["GET"]),
            Route("/feeds/{token}/schedules.ics", feeds.schedules, methods=["GET"]),
        ]
    if dependencies.mcp is not None:
        routes.append(Route("/mcp", dependencies.mcp, methods=["GET", "POST", "DELETE"]))
    return Starlette(routes=routes)


def health_app(dependencies: WebDependencies) -> Starlette:
    """Return the ASGI app of a worker: its health and its metrics, nothing that takes requests of Slack or CI systems."""
    return Starlette(routes=_health_routes(dependencies))


def _health_routes(dependencies: WebDependencies) -> list[Route]:
    health = Health(checks=dependencies.checks, metrics=dependencies.metrics)
    return [
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
    ]
