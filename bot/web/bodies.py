"""Reading request bodies: bounded in size and in time."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

BODY_SECONDS = 10.0
REST_BYTES = 16 * 1024 * 1024
"""How much of a too large body is read and thrown away, so that its sender can read the refusal."""


class RefusedBodyError(Exception):
    """A body is refused; `response` is the answer to send."""

    def __init__(self, response: Response) -> None:
        super().__init__("refused")
        self.response = response


async def read_body(request: Request, cap: int, *, seconds: float = BODY_SECONDS) -> bytes:
    """Return a request's body of at most `cap` bytes.

    Raises RefusedBodyError: 413 for a larger one, once a bounded rest of it is read; 408 for one that has not come
    within some seconds; 400 where the sender has hung up.
    """
    declared = request.headers.get("content-length", "")
    is_too_large = declared.isdigit() and (len(declared) > 12 or int(declared) > cap)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > cap:
                    is_too_large = True
                    chunks.clear()
                elif not is_too_large:
                    chunks.append(chunk)
                if size > cap + REST_BYTES:
                    break
    except TimeoutError:
        closing = {"connection": "close"}
        raise RefusedBodyError(PlainTextResponse("the body did not come in time", 408, headers=closing)) from None
    except ClientDisconnect:
        raise RefusedBodyError(Response(status_code=400)) from None
    if is_too_large:
        raise RefusedBodyError(PlainTextResponse("too large", 413, headers={"connection": "close"}))
    return b"".join(chunks)
