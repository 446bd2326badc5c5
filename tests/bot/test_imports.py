"""What a start must not load: each of these modules is dear, and needed by some installations only, or later."""

import json
import subprocess
import sys
from pathlib import Path

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
    "stamina",
    "tenacity",
    "yaml",
    *(f"bot.providers.{kind}" for kind in ("buildkite", "github_actions", "gitlab", "jenkins", "xcode_cloud")),
)


def test_a_start_loads_nothing_that_only_some_installations_need() -> None:
    code = "import json, sys, bot.__main__; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    loaded = set(json.loads(done.stdout))
    assert {"bot.app", "bot.__main__"} <= loaded
    assert not loaded & set(LATER)
