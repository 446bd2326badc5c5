"""The floor: a Bolt app set up as well as Bolt can be, whose listeners acknowledge and do nothing.

Its webhooks are compared with their secret, read and answered.

`python -m bench.floor` prints its port.
"""

import hmac
import json
import re
import socket

import uvicorn
import uvloop
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.payloads import SECRET


async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Return a token without asking Slack."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token="xoxb-x")


async def nothing(ack: AsyncAck) -> None:
    """Acknowledge."""
    await ack()


def floor() -> Starlette:
    """Return the app, with one listener for each kind."""
    app = AsyncApp(signing_secret=SECRET, authorize=authorize, process_before_response=True)
    app.command("/build")(nothing)
    app.action(re.compile(r"^build\."))(nothing)
    app.view("link")(nothing)
    app.event("message")(nothing)
    handler = AsyncSlackRequestHandler(app)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    async def hook(request: Request) -> Response:
        body = await request.body()
        token = request.headers.get("x-buildkite-token", "")
        is_ours = hmac.compare_digest(token, SECRET) and json.loads(body)["event"] == "build.finished"
        return Response(status_code=202 if is_ours else 403)

    return Starlette(
        routes=[
            Route("/slack/events", endpoint, methods=["POST"]),
            Route("/hooks/{connection}", hook, methods=["POST"]),
        ]
    )


async def main() -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(floor(), log_level="error", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    uvloop.run(main())
