"""Which core a process runs on, and how much CPU it has used."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER, CLIENT = (sorted(os.sched_getaffinity(0)) * 2)[:2]
"""What is measured runs alone on the first core; the load and the stand-ins run on the second."""


def pin(core: int) -> None:
    """Keep this process, and those that it starts, on one core."""
    os.sched_setaffinity(0, {core})


@contextmanager
def on_the_servers() -> Iterator[None]:
    """Start processes on the server's core in the block: they inherit it, from their first instruction on."""
    pin(SERVER)
    try:
        yield
    finally:
        pin(CLIENT)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, in seconds: by nanoseconds where the kernel counts those."""
    try:
        spent = sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())
    except (OSError, IndexError):
        spent = 0
    if spent:
        return spent / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled_cpu(pid: int, *, quiet: float = 0.25, patience: float = 60.0) -> float:
    """Wait until a process has next to nothing left to do, and return its CPU time then."""
    ends = time.monotonic() + patience
    before = cpu_seconds(pid)
    while time.monotonic() < ends:
        time.sleep(quiet)
        now = cpu_seconds(pid)
        if now - before < 0.04 * quiet:
            return now
        before = now
    return before


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has held, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
