"""Archives that unpack without end, whichever way: read or refused, in little memory."""

import contextlib
import tracemalloc

import pytest

from bot.providers.xcode_cloud.logs import BadBundle, bundle_tail
from tests.bot.providers.test_xcode_cloud import bundle


def overlapping(files: int, size: int) -> bytes:
    """An archive whose many entries all tell of the same compressed bytes."""
    data = bundle(("a.log", b"0" * size))
    end = data.rfind(b"PK\x05\x06")
    at, length = (
        int.from_bytes(data[end + 16 : end + 20], "little"),
        int.from_bytes(data[end + 12 : end + 16], "little"),
    )
    directory = data[at : at + length] * files
    counts = files.to_bytes(2, "little") * 2
    tail = len(directory).to_bytes(4, "little") + at.to_bytes(4, "little") + b"\x00\x00"
    return data[:at] + directory + b"PK\x05\x06" + b"\x00" * 4 + counts + tail


def lying(data: bytes, size: int) -> bytes:
    """An archive whose directory tells of another unpacked size of its first file than there is."""
    at = data.rfind(b"PK\x01\x02")
    return data[: at + 24] + size.to_bytes(4, "little") + data[at + 28 :]


MIB = 1024 * 1024
BOMBS = {
    "nested": bundle(("a.zip", bundle(("b.zip", bundle(("c.log", b"0" * 8 * MIB)))))),
    "overlapping": overlapping(4000, 4 * MIB),
    "names without end": bundle(*((f"{number:05}" + "n" * 60_000, b"x") for number in range(30))),
    "a path to elsewhere": bundle(("../../etc/" + "a/" * 20_000 + "passwd", b"text\n")),
    "larger than it says": lying(bundle(("a.log", b"0" * 32 * MIB)), 10),
    "much smaller than it says": lying(bundle(("a.log", b"text\n")), 200 * MIB),
    "many layers of nothing": bundle(*((f"{number}.log", b"") for number in range(4000))),
    "a megabyte of blank lines": bundle(("a.log", b"\n" * 64 * MIB)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_any_kind_takes_little_memory_and_is_read_or_refused(bomb: str) -> None:
    data = BOMBS[bomb]
    assert len(data) < 8 * MIB
    tracemalloc.start()
    try:
        with contextlib.suppress(BadBundle):
            tail = bundle_tail(data, 100_000)
            assert tail is None or len(tail.text) <= 100_000
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB
