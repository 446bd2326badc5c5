"""The database's files are their owner's only."""

import os
import stat
from pathlib import Path

import pytest

from bot.core import clock
from bot.store import Store


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("store.db*")}


async def test_new_files_are_readable_by_their_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=clock.now)
        await store.migrate()
        assert modes(tmp_path) == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
        await store.close()
    finally:
        os.umask(before)


async def test_files_that_others_could_read_are_mended_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=clock.now)
    await first.migrate()
    for name in modes(tmp_path):
        (tmp_path / name).chmod(0o644)
    second = await Store.open(f"sqlite:///{tmp_path}/store.db", clock=clock.now)
    assert set(modes(tmp_path).values()) == {0o600}
    assert caplog.messages == ["a file of the database could be read by others"] * 3
    await second.close()
    await first.close()


async def test_a_stricter_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o600)
    store = await Store.open(f"sqlite:///{path}", clock=clock.now)
    await store.close()
    assert modes(tmp_path)["store.db"] == 0o600
