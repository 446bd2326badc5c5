"""A worker by itself: its health and metrics on a port of their own, and nothing else."""

import asyncio
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.app import serve
from tests.e2e.stage import Stage, staged


async def worker_answers(stage: Stage, *paths: str) -> list[httpx.Response]:
    """Start only a worker, get pages of its port and stop it."""
    await stage.stop_bot()
    settings = stage.settings.model_copy(update={"health_port": 0})
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    working = asyncio.ensure_future(
        serve(settings, web=False, ready=port.set_result, stop=stop, now=stage.world.clock.utc)
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await port}") as client:
            return [await client.get(path) for path in paths]
    finally:
        stop.set()
        await working


async def test_a_worker_with_a_health_port_serves_health_and_metrics_and_takes_no_requests(stage: Stage) -> None:
    alive, ready, metrics, events = await worker_answers(stage, "/healthz", "/readyz", "/metrics", "/slack/events")
    assert alive.text == "ok"
    assert ready.json() == {"ready": True, "checks": {"database": "ok", "slack": "ok", "scheduler": "ok"}}
    assert "buildbell_delivery_seconds" in metrics.text
    assert events.status_code == 404


async def test_a_worker_beside_socket_mode_is_ready_without_a_socket_of_its_own(tmp_path: Path) -> None:
    async with staged(tmp_path, socket=True) as stage:
        assert stage.settings.slack_app_token != SecretStr("")
        [ready] = await worker_answers(stage, "/readyz")
        assert ready.json()["checks"]["slack"] == "ok"
