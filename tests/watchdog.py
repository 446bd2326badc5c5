"""What runs too long on the event loop, for the whole suite.

Each step of the bot's tasks is measured by the CPU time of its thread, which a busy machine does not stretch as it
does the time on the clock. Not counted are steps of the tests' own coroutines, which prepare and compare much at once,
and the garbage collector, which has the whole suite to look through.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SECONDS = 0.05
"""How long anything may hold the event loop."""
_stand_in: ContextVar[bool] = ContextVar("stand_in", default=False)
"""Set in whatever a stand-in's server has begun: its steps are a web server's, as the bot's are."""
NOT_WATCHED = ("/tests/", "/pytest_asyncio/", "/playground/", "/asyncio/runners.py", "/bench/")


@dataclass(frozen=True)
class Held:
    """A callback that held the event loop for some seconds of CPU time."""

    callback: str
    seconds: float


class CollectorTime:
    """The CPU time that the garbage collector has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        """Note the start or the end of a collection."""
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._began


@contextmanager
def watched(longest: float = SECONDS, *, everything: bool = False) -> Iterator[list[Held]]:
    """Note each step that takes longer, on any event loop, in the block; with `everything`, tests' own steps as well."""
    held: list[Held] = []
    collector = CollectorTime()
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        context: Any = handle._context  # type: ignore[attr-defined] # in which the callback was made
        collected, began = collector.seconds, time.thread_time()
        callback: Any = handle._callback  # type: ignore[attr-defined] # None once it has run and was cancelled
        try:
            run(handle)
        finally:
            seconds = time.thread_time() - began - (collector.seconds - collected)
            if seconds > longest and (everything or not (context.get(_stand_in) or is_tests_own(callback))):
                held.append(Held(described(callback), seconds))

    gc.callbacks.append(collector)
    setattr(asyncio.Handle, "_run", measured)  # noqa: B010 - a method that the type checker would rather not see changed
    try:
        yield held
    finally:
        setattr(asyncio.Handle, "_run", run)  # noqa: B010 - as above
        gc.callbacks.remove(collector)


@contextmanager
def not_the_bot() -> Iterator[None]:
    """Leave out all steps of the servers and tasks that are begun in the block, and of what they begin."""
    before = _stand_in.set(True)
    try:
        yield
    finally:
        _stand_in.reset(before)


def task_of(callback: Any) -> asyncio.Task[Any] | None:
    """Return the task whose step a callback is."""
    owner = getattr(callback, "__self__", None)
    return owner if isinstance(owner, asyncio.Task) else None


def is_tests_own(callback: Any) -> bool:
    """Return whether a step belongs to a test, a fixture or a stand-in, and not to the bot."""
    task = task_of(callback)
    code: Any = getattr(task.get_coro(), "cr_code", None) if task is not None else getattr(callback, "__code__", None)
    if code is not None and (code.co_name, code.co_filename.endswith("/bot/app.py")) == ("serve", True):
        return True  # the start, before anything from outside comes
    return code is not None and any(part in code.co_filename for part in NOT_WATCHED)


def described(callback: Any) -> str:
    """Return what ran, for people: a task's coroutine, or a function."""
    task = task_of(callback)
    return repr(task.get_coro() if task is not None else callback)
