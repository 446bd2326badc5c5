"""A stand-in for Slack's Web API and response_urls that costs next to nothing, and counts what it is sent.

`python -m bench.standin` prints its port. `GET /count` returns how often each path was called.
"""

import asyncio
import json
from collections import Counter
from typing import Any

from typing_extensions import override

from bench import cores, payloads

ANSWER = json.dumps(
    {
        "ok": True,
        "team_id": payloads.TEAM,
        "user_id": "U0BOT",
        "bot_id": "B0BENCH",
        "ts": "1700000000.000200",
        "channel": payloads.CHANNEL,
        "user": {"id": payloads.USER, "team_id": payloads.TEAM, "tz": "UTC", "name": "bench", "profile": {}},
        "view": {"id": "V0BENCH"},
        "members": [payloads.USER],
    }
).encode()
calls: Counter[str] = Counter()


class _Protocol(asyncio.Protocol):
    """HTTP as two clients of ours speak it: a head, a body of a declared length."""

    transport: Any = None
    waiting = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.waiting) < end + 4 + length:
                return
            path = self.waiting.split(b" ", 2)[1].decode()
            self.waiting = self.waiting[end + 4 + length :]
            body = ANSWER
            if path == "/count":
                body = json.dumps(calls).encode()
            elif path.startswith("/respond"):
                body = b"ok"
                calls["/respond"] += 1
            else:
                calls[path] += 1
            kind = b"text/html" if body == b"ok" else b"application/json"
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)
            )


async def main() -> None:
    """Serve until killed."""
    cores.pin(cores.CLIENT)
    server = await asyncio.get_running_loop().create_server(_Protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
