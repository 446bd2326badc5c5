"""What a start must not load: each of these modules is dear, and needed by some installations only, or later."""

import json
import subprocess
import sys
from pathlib import Path

from bot.store import Store
from bot.store.store import Repositories
from bot.store.tables import MODULES
from commands.registry import FORMS, LISTED, REGISTRY

ROOT = Path(__file__).parents[2]
LATER = (
    "alembic",
    "apscheduler",
    "asyncpg",
    "cryptography",
    "jwt",
    "mako",
    "mcp",
    "mcp_types",
    "playground",
    "sqlalchemy.dialects.postgresql",
    "stamina",
    "tenacity",
    "yaml",
    *(f"bot.providers.{kind}" for kind in ("buildkite", "github_actions", "gitlab", "jenkins", "xcode_cloud")),
    "bot.security.secret_rules",
    *(f"bot.store.tables.{subject}" for subject in MODULES if subject != "deliveries"),
    *(f"bot.store.{subject}" for subject in Repositories.__annotations__ if subject != "inbox"),
)
FEW = 20
"""How many of the verbs' and forms' modules a start may load, for what it does by the clock."""


def test_a_start_loads_nothing_that_only_some_installations_need() -> None:
    code = "import json, sys, bot.__main__; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    loaded = set(json.loads(done.stdout))
    assert {"bot.app", "bot.__main__"} <= loaded
    assert not loaded & set(LATER)
    listed = {command.module for command in LISTED} | {module for module, _name in FORMS.classes.values()}
    assert len(loaded & listed) <= FEW < len(listed)


def test_everything_that_is_left_out_is_there_once_it_is_loaded() -> None:
    Store.load()
    REGISTRY.load()
    assert {f"bot.store.{subject}" for subject in Repositories.__annotations__} <= sys.modules.keys()
    assert {command.verb for command in REGISTRY.commands} == {listed.verb for listed in LISTED}
