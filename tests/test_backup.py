"""The commands of docs/operations.md back up and restore what the bot remembers, while it writes, on both databases."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.core import clock
from bot.core.errors import BotError
from bot.security.vault import Vault, new_key
from bot.store import Store
from bot.store.rows import ConnectionRow
from tests.bot.store.rows import CHANNEL, NOW, TEAM, link
from tests.postgres import programs

ROOT = Path(__file__).parents[1]
ABOUT = "connection/works/gitlab/settings"


def scripts(heading: str) -> tuple[str, str]:
    """Return the two scripts below a heading of the page: backing up and restoring."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.split(f"\n### {heading}\n")[1].split("\n#")[0]
    backup, restore = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return backup, restore


async def run(script: str, folder: Path, **environment: str) -> None:
    """Run a script as a shell would, beside the running bot."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name, words in (("python3", f"{sys.executable}"), ("buildbell", f"{sys.executable} -m bot")):
        (tools / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), *([str(found)] if (found := programs()) else []), "/usr/bin", "/bin"])
    done = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env={"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def filled(url: str, vault: Vault, *, names: range, migrate: bool) -> Store:
    """Return an open store with links and a sealed connection in it."""
    store = await Store.open(url, clock=clock.now)
    if migrate:
        await store.migrate()
    for number in names:
        await store.links.save(link(pipeline=f"p{number}", name=f"Pipeline {number}"))
    sealed = vault.seal('{"token": "glpat-secret"}', about=ABOUT)
    await store.connections.save(
        ConnectionRow(name="works", kind="gitlab", team=TEAM, settings=sealed, created_by="U1", created_at=NOW)
    )
    return store


async def remembered(url: str, vault: Vault) -> tuple[set[str], str]:
    """Return the names of the links and the opened secret."""
    store = await Store.open(url, clock=clock.now)
    try:
        assert await store.revision() == store.head()
        [row] = await store.connections.all()
        names = {row.name for row in await store.links.of_channel(TEAM, CHANNEL)}
        return names, vault.open(row.settings, about=ABOUT)
    finally:
        await store.close()


async def test_sqlite_is_backed_up_while_it_is_written_and_restored(tmp_path: Path) -> None:
    backup, restore = scripts("SQLite")
    (tmp_path / "data").mkdir()
    url, vault = f"sqlite:///{tmp_path}/data/buildbell.db", Vault.from_text(new_key())
    store = await filled(url, vault, names=range(5), migrate=True)
    await run(backup, tmp_path)
    await store.links.save(link(pipeline="later", name="Later"))
    await store.close()
    assert "Later" in (await remembered(url, vault))[0]

    await run(restore, tmp_path)
    assert await remembered(url, vault) == ({f"Pipeline {number}" for number in range(5)}, '{"token": "glpat-secret"}')
    for name in ("backup.db", "data/buildbell.db"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


@pytest.mark.postgres
async def test_postgresql_is_backed_up_while_it_is_written_and_restored(postgres_url: str, tmp_path: Path) -> None:
    backup, restore = scripts("PostgreSQL")
    vault = Vault.from_text(new_key())
    store = await filled(postgres_url, vault, names=range(5), migrate=False)
    await run(backup, tmp_path, DATABASE_URL=postgres_url)
    await store.links.save(link(pipeline="later", name="Later"))
    await store.close()

    await run(restore, tmp_path, DATABASE_URL=postgres_url)
    assert await remembered(postgres_url, vault) == (
        {f"Pipeline {number}" for number in range(5)},
        '{"token": "glpat-secret"}',
    )


async def test_a_backup_without_its_key_opens_no_secret(tmp_path: Path) -> None:
    url, vault = f"sqlite:///{tmp_path}/one.db", Vault.from_text(new_key())
    await (await filled(url, vault, names=range(1), migrate=True)).close()
    with pytest.raises(BotError):
        await remembered(url, Vault.from_text(new_key()))
