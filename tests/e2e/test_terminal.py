"""The command line: the same grammar in a terminal, the doctor, migrations, the manifest."""

import asyncio
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from bot.__main__ import cli
from bot.store import schema
from tests.e2e.stage import Stage

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def _as_a_process(cwd: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Give the block a folder and an environment of its own, and put back how the log is set up."""
    before = Path.cwd()
    loggers = [
        logging.getLogger(),
        *(log for log in logging.root.manager.loggerDict.values() if isinstance(log, Logger)),
    ]
    levels = [(log, log.level) for log in loggers]
    handlers = logging.root.handlers
    with patch.dict(os.environ, {"HOME": str(cwd), **environment}, clear=True):  # noqa: TID251 - the command line's own
        os.chdir(cwd)
        try:
            yield
        finally:
            os.chdir(before)
            logging.root.handlers = handlers
            for log, level in levels:
                log.setLevel(level)


async def buildbell(*words: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Run the command line, in a thread; return its exit code and what it wrote to stdout and stderr.

    That it starts as a process is the question of tests/test_started.py and tests/test_packaging.py.
    """
    with _as_a_process(cwd, environment):
        result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def environment(stage: Stage, folder: Path) -> dict[str, str]:
    lines = []
    for name, options in stage.settings.connections.items():
        if options["kind"] != "buildkite":
            continue
        lines.append(f"[connections.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    (folder / "bell.toml").write_text("\n".join(lines), encoding="utf-8")
    return {
        "SLACK_BOT_TOKEN": "xoxb-e2e",
        "SLACK_SIGNING_SECRET": "e2e-signing-secret",
        "SLACK_API_URL": stage.playground.slack_api_url,
        "DATABASE_URL": stage.settings.database_url,
        "BUILDBELL_CONFIG": "bell.toml",
    }


async def test_the_terminal_speaks_the_same_grammar(stage: Stage, tmp_path: Path) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    known = environment(stage, tmp_path)
    code, out, err = await buildbell("ask", "status", "--channel", "#web", cwd=tmp_path, **known)
    assert code == 0, err
    assert "Web" in out
    assert "main" in out
    code, out, err = await buildbell("ask", "/build rnu web", "--channel", "#web", cwd=tmp_path, **known)
    assert code == 1
    assert "Did you mean run?" in out
    code, out, err = await buildbell("ask", "run web@main", "--channel", "#web", cwd=tmp_path, **known)
    assert code == 0, err
    assert "started #" in out


async def test_the_doctor_says_what_is_wrong(stage: Stage, tmp_path: Path) -> None:
    known = environment(stage, tmp_path)
    code, out, err = await buildbell("doctor", cwd=tmp_path, **known)
    assert code == 0, out + err
    assert "demo-buildkite (Buildkite)" in out
    assert out.splitlines()[-1].startswith("Everything works.")
    config = tmp_path / "bell.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("token = ", 'token = "wrong" # '), encoding="utf-8")
    code, out, _ = await buildbell("doctor", cwd=tmp_path, **known)
    assert code == 1
    assert "refused the credentials" in out
    code, out, _ = await buildbell("doctor", cwd=tmp_path, **{**known, "SLACK_BOT_TOKEN": "xoxb-other"})
    assert code == 1
    assert "does not accept SLACK_BOT_TOKEN" in out
    assert out.splitlines()[-1] == "1 problem and 1 warning. Begin with: Slack."


async def test_the_doctor_frightens_nobody_before_the_first_start(stage: Stage, tmp_path: Path) -> None:
    fresh = {**environment(stage, tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path / 'fresh.db'}"}
    code, out, err = await buildbell("doctor", cwd=tmp_path, **fresh)
    assert code == 0, out + err
    assert err == ""
    assert "NO " not in out
    assert f"ok  database: empty; `buildbell serve` brings it to {schema.newest()}" in out
    assert "demo-buildkite (Buildkite)" in out
    assert out.splitlines()[-1].startswith("Everything works.")
    code, out, _ = await buildbell("doctor", cwd=tmp_path, SLACK_API_URL=fresh["SLACK_API_URL"])
    assert code == 1
    assert "NO  settings: SLACK_BOT_TOKEN is missing" in out
    assert "Begin with: settings." in out


async def test_the_doctor_in_slack_names_the_channel_it_cannot_post_to(stage: Stage) -> None:
    await stage.says("link demo-buildkite:web --default", "web")
    await stage.sees("is linked", "web")
    await stage.says("doctor", "web")
    shown = await stage.sees("demo-buildkite (Buildkite)", "web")
    assert "1 linked channel reachable" in shown
    assert "all scopes granted" in shown


async def test_settings_problems_are_listed_together(tmp_path: Path) -> None:
    (tmp_path / "buildbell.toml").write_text('[connections.a]\nkind = "gitlab"\n[connections.b]\nkind = "gitlba"\n')
    code, _, err = await buildbell("serve", cwd=tmp_path, SLACK_BOT_TOKEN="xoxb-1", SLACK_SIGNING_SECRET="s")
    assert code == 2
    assert "Connection `a`" in err
    assert "Connection `b`" in err
    code, _, err = await buildbell("serve", cwd=tmp_path, PORT="many", LOG_LEVEL="loud")
    assert code == 2
    assert "PORT" in err
    assert "LOG_LEVEL" in err


async def test_migrate_and_manifest(tmp_path: Path) -> None:
    code, out, err = await buildbell("migrate", cwd=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'm.db'}")
    assert code == 0, err
    assert f"The database is at {schema.newest()}." in out
    code, out, _ = await buildbell("manifest", "--url", "https://bell.example", cwd=tmp_path)
    assert code == 0
    assert json.loads(out)["features"]["slash_commands"][0]["url"] == "https://bell.example/slack/events"
    code, out, _ = await buildbell("manifest", "--socket", cwd=tmp_path)
    assert json.loads(out)["settings"]["socket_mode_enabled"] is True
