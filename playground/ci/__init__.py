"""Stand-ins of CI systems that speak the vendors' wire formats, driven by one simulated world. See the README here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from playground.ci.control import Control
from playground.ci.storage import storage_route
from playground.ci.world import World

__all__ = ["World", "ci_app", "ci_routes"]


def ci_routes(world: World) -> list[BaseRoute]:
    """Return the routes of the systems, of their downloads and of the control interface."""
    mounts: list[BaseRoute] = [Mount(system.mount, routes=system.routes()) for system in world.systems.values()]
    return [*Control(world).routes(), storage_route(world, world.systems), *mounts]


def ci_app(world: World) -> Starlette:
    """Return an app of these routes alone; its end stops the webhook sender."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await world.aclose()

    return Starlette(routes=ci_routes(world), lifespan=lifespan)
