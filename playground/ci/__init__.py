"""Stand-ins of CI systems that speak the vendors' wire formats, driven by one simulation. See the README here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from playground.ci.control import Control
from playground.ci.local_ci import LocalCi
from playground.ci.storage import storage_route

__all__ = ["LocalCi", "ci_app", "ci_routes"]


def ci_routes(ci: LocalCi) -> list[BaseRoute]:
    """Return the routes of the systems, of their downloads and of the control interface."""
    mounts: list[BaseRoute] = [Mount(system.mount, routes=system.routes()) for system in ci.systems.values()]
    return [*Control(ci).routes(), storage_route(ci, ci.systems), *mounts]


def ci_app(ci: LocalCi) -> Starlette:
    """Return an app of these routes alone; its end stops the webhook sender."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await ci.aclose()

    return Starlette(routes=ci_routes(ci), lifespan=lifespan)
