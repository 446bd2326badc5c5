"""The load: a process of its own on raw sockets, which sends bytes that were prepared and signed before it began.

`python -m bench.load` reads what to send as one line of JSON, and prints what came of it as another.
"""

import json
import resource
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass

from bench import cores, payloads

BUSIEST = 0.85
"""Above this share of its core the load measures itself, not the server."""
LATEST_MS = 1.5
TAKEN = (b"HTTP/1.1 200", b"HTTP/1.1 202")
PREPARED_MOST = 60_000


class ClientIsTheLimit(RuntimeError):
    """The load could not keep up: what it measured says nothing about the server."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send: `count` requests or for so many `seconds`, at `rate` a second or as fast as they are answered."""

    port: int
    kind: str = "command"
    text: str = "version"
    respond: str = ""
    connections: int = 32
    count: int = 0
    seconds: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a plan: answers, seconds, milliseconds of the acks, and how busy and how late the load was."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_share: float
    late_p99_ms: float
    refused: int

    def check(self) -> "Result":
        """Return itself. Raises ClientIsTheLimit, or AssertionError where the server refused a request."""
        if self.client_share > BUSIEST:
            raise ClientIsTheLimit(f"the load used {100 * self.client_share:.0f} % of its core")
        if self.late_p99_ms > LATEST_MS:
            raise ClientIsTheLimit(f"the load sent {self.late_p99_ms:.1f} ms late (p99)")
        assert not self.refused, f"{self.refused} requests were refused"
        return self


class _Sockets:
    """Connections of which each has one request under way, or none."""

    def __init__(self, port: int, count: int) -> None:
        self.poll = select.epoll()
        self.by_number: dict[int, socket.socket] = {}
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.by_number[connection.fileno()] = connection
            self.poll.register(connection.fileno(), select.EPOLLIN)
        self._parts: dict[int, bytes] = {}

    def answer(self, number: int) -> bytes | None:
        """Return a whole answer, None where a part of it is still on its way."""
        data = self._parts.pop(number, b"") + self.by_number[number].recv(65536)
        if not data:
            raise ConnectionError("the server hung up")
        head, separator, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n") if separator else ():
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if not separator or len(body) < length:
            self._parts[number] = data
            return None
        return data

    def close(self) -> None:
        for connection in self.by_number.values():
            connection.close()
        self.poll.close()


def run(plan: Plan) -> Result:
    """Send what a plan says."""
    count = plan.count or min(int((plan.rate or 12_000) * plan.seconds) + 1, PREPARED_MOST)
    prepared = [payloads.request(plan.kind, plan.text, number, plan.respond) for number in range(count)]
    sockets = _Sockets(plan.port, plan.connections)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu, began = usage.ru_utime + usage.ru_stime, time.perf_counter()
    try:
        took, late, refused = (_paced if plan.rate else _flat)(plan, prepared, sockets)
    finally:
        sockets.close()
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    took.sort()
    late.sort()
    return Result(
        answers=len(took),
        seconds=seconds,
        p50_ms=1000 * took[len(took) // 2],
        p99_ms=1000 * took[int(len(took) * 0.99)],
        client_share=0.0 if plan.rate else (usage.ru_utime + usage.ru_stime - cpu) / seconds,
        late_p99_ms=1000 * late[int(len(late) * 0.99)] if late else 0.0,
        refused=refused,
    )


def _flat(plan: Plan, prepared: list[bytes], sockets: _Sockets) -> tuple[list[float], list[float], int]:
    now = time.perf_counter
    ends = now() + plan.seconds if plan.seconds else float("inf")
    bodies = iter(prepared)
    sent: dict[int, float] = {}
    took: list[float] = []
    refused = 0
    for number, connection in sockets.by_number.items():
        body = next(bodies, None)
        if body is not None:
            sent[number] = now()
            connection.sendall(body)
    while sent:
        for number, _events in sockets.poll.poll():
            answer = sockets.answer(number)
            if answer is None:
                continue
            at = now()
            took.append(at - sent.pop(number))
            refused += not answer.startswith(TAKEN)
            body = next(bodies, None) if at < ends else None
            if body is not None:
                sent[number] = at
                sockets.by_number[number].sendall(body)
    return took, [], refused


def _paced(plan: Plan, prepared: list[bytes], sockets: _Sockets) -> tuple[list[float], list[float], int]:
    now = time.perf_counter
    free = deque(sockets.by_number)
    sent: dict[int, float] = {}
    took: list[float] = []
    late: list[float] = []
    refused, index = 0, 0
    is_held_up = False
    began = now() + 0.01
    while index < len(prepared) or sent:
        for number, _events in sockets.poll.poll(0):
            answer = sockets.answer(number)
            if answer is not None:
                took.append(now() - sent.pop(number))
                refused += not answer.startswith(TAKEN)
                free.append(number)
        due = began + index / plan.rate
        if index < len(prepared) and now() >= due:
            if free:
                number = free.popleft()
                at = now()
                if is_held_up:
                    # The server kept every connection busy: its time counts from when the request was due.
                    sent[number] = due
                else:
                    sent[number] = at
                    late.append(at - due)
                is_held_up = False
                sockets.by_number[number].sendall(prepared[index])
                index += 1
                continue
            is_held_up = True
        time.sleep(0.00005)
    return took, late, refused


def main() -> None:
    """Do one plan, read from the standard input."""
    cores.pin(cores.CLIENT)
    print(json.dumps(asdict(run(Plan(**json.loads(sys.stdin.readline()))))))


if __name__ == "__main__":
    main()
