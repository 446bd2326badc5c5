"""A real PostgreSQL server for the tests: its own folder, a Unix socket, no network, gone at the end."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bot.core import clock
from bot.store import Store
from bot.store.tables import metadata

OWNER = "buildbell"
SPEED = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=100", "listen_addresses=")

EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
{deletions};
SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'
""".format(deletions="; ".join(f'DELETE FROM "{name}"' for name in metadata().tables))  # noqa: S608 - our own tables
"""Ends what an earlier test has left open, empties every table (a hundred times quicker than a copy of the database,
and than TRUNCATE) and lets the numbers of rows begin at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server. `folder` holds its socket."""

    folder: Path
    names: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        """Return the URL of a database as an operator writes it."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}"

    async def command(self, words: str, *, database: str = "postgres") -> None:
        """Have the server do something, outside of any transaction where it is one statement."""
        connection = await asyncpg.connect(user=OWNER, database=database, host=str(self.folder))
        try:
            await connection.execute(words)
        finally:
            await connection.close()

    async def create(self, template: str = "template0") -> str:
        """Return the name of a new database."""
        name = f"t{next(self.names)}"
        await self.command(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None: PG_INITDB names one, else Debian's place, else pg_config."""
    named = os.environ.get("PG_INITDB")  # noqa: TID251 - how a developer points the tests at a server
    if named:
        return Path(named).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if debian:
        return debian[-1].parent
    config = shutil.which("pg_config")
    if config is None:
        return None
    folder = Path(subprocess.run([config, "--bindir"], check=True, capture_output=True, text=True).stdout.strip())  # noqa: S603 - found on the path
    return folder if (folder / "initdb").exists() else None


def _account() -> dict[str, Any]:
    """Return who runs the server: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no account `postgres` or `nobody` here.")


@contextmanager
def running_postgres(folder_of_programs: Path) -> Generator[PostgresServer]:
    """Run a server with the programs of a folder. Raises RuntimeError where it can't be started."""
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="bb-pg-"))
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - the programs found above
            [str(folder_of_programs / program), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **account,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        run("initdb", "-A", "trust", "-U", OWNER, "--no-sync", "--locale=C", "--encoding=UTF8", "-D", str(data))
        settings = " ".join(f"-c {setting}" for setting in SPEED)
        start = ("-D", str(data), "-w", "-l", str(folder / "log"), "-o", f"-k {folder} {settings}")
        # Its output goes to the log: a server that inherits our pipe would keep `run` waiting for its end.
        run("pg_ctl", "start", *start)
        try:
            yield PostgresServer(folder=folder)
        finally:
            run("pg_ctl", "stop", "-D", str(data), "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """Start a server for all tests of the run. Without PostgreSQL its tests are skipped, except in CI: there they fail."""
    folder = programs()
    if folder is None:
        why = "PostgreSQL's initdb was not found; install PostgreSQL, or set PG_INITDB to the path of initdb"
        if os.environ.get("CI"):  # noqa: TID251 - CI must run these tests
            pytest.fail(why)
        pytest.skip(why)
    with running_postgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
async def kept_postgres(postgres_server: PostgresServer) -> str:
    """Return the name of this process's database with our tables."""
    name = await postgres_server.create()
    store = await Store.open(postgres_server.url(name), clock=clock.now)
    await store.migrate()
    await store.close()
    return name


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer, kept_postgres: str) -> str:
    """Return the URL of a database with our tables, empty."""
    await postgres_server.command(EMPTY, database=kept_postgres)
    return postgres_server.url(kept_postgres)


@pytest.fixture
async def bare_postgres_url(postgres_server: PostgresServer) -> AsyncGenerator[str]:
    """Return the URL of a database of the test's own without any table."""
    name = await postgres_server.create()
    yield postgres_server.url(name)
    await postgres_server.command(f"DROP DATABASE {name} WITH (FORCE)")
