"""Whether the process lives, whether it can do its work, and what it has counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.core.clock import Clock
from bot.core.errors import BotError

CHECK_SECONDS = 5.0

Check = Callable[[], Awaitable[str]]
"""Checks one thing and returns what is wrong with it, "" if nothing is. It may raise BotError instead."""


class CachedCheck:
    """A check that is made at most once in some seconds; in between its last result counts."""

    def __init__(self, check: Check, *, seconds: float, clock: Clock) -> None:
        self._check = check
        self._seconds = seconds
        self._clock = clock
        self._at = float("-inf")
        self._result = ""
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        """Return what is wrong, as of less than these seconds ago."""
        async with self._lock:
            now = self._clock().timestamp()
            if not 0 <= now - self._at < self._seconds:
                self._result = await _result_of(self._check)
                self._at = now
            return self._result


class Health:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, *, checks: Mapping[str, Check], metrics: Callable[[], Awaitable[tuple[bytes, str]]]) -> None:
        self._checks = checks
        self._metrics = metrics

    async def healthz(self, _request: Request) -> Response:
        """Say that the process is alive."""
        return PlainTextResponse("ok")

    async def readyz(self, _request: Request) -> Response:
        """Say whether the bot can do its work (200) or what is in its way (503)."""
        names = list(self._checks)
        results = await asyncio.gather(*(_result_of(self._checks[name]) for name in names))
        problems = dict(zip(names, results, strict=True))
        is_ready = not any(problems.values())
        return JSONResponse(
            {"ready": is_ready, "checks": {name: problem or "ok" for name, problem in problems.items()}},
            200 if is_ready else 503,
        )

    async def metrics(self, _request: Request) -> Response:
        """Return the metrics as Prometheus reads them."""
        body, content_type = await self._metrics()
        return Response(body, media_type=content_type)


async def _result_of(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except BotError as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"
