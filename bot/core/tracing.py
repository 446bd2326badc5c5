"""One id for all that comes of one thing: a delivery of Slack, a poll, a notification. The log carries it as `trace`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trace: ContextVar[str] = ContextVar("trace", default="")


def current_trace() -> str:
    """Return the id of what the current task does, empty where it has none."""
    return _trace.get()


@contextmanager
def traced(trace: str) -> Iterator[None]:
    """Have the log carry an id in the block, and in the tasks that are started there."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)
