from pathlib import Path

import pytest

from bot.core.errors import UsageError
from bot.settings import SLACK_API, Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a server in a container needs
SECRETS = {"SLACK_BOT_TOKEN": "xoxb-hush", "SLACK_SIGNING_SECRET": "hush-a, hush-b", "BUILDBELL_KEYS": "k:hush"}


def read(folder: Path, toml: str = "", **environ: str) -> Settings:
    if toml:
        (folder / "buildbell.toml").write_text(toml, encoding="utf-8")
    return Settings.read(environ, folder=folder)


def refused(folder: Path, toml: str = "", **environ: str) -> list[str]:
    with pytest.raises(UsageError) as error:
        read(folder, toml, **environ)
    head, *problems = str(error.value).splitlines()
    assert head == "The settings have problems:"
    return [problem.removeprefix("- ") for problem in problems]


def test_without_a_word_everything_has_its_default(tmp_path: Path) -> None:
    made = read(tmp_path)
    assert (made.port, made.host, made.command, made.slack_api_url) == (3000, EVERYWHERE, "/build", SLACK_API)
    assert (made.watch_busy_seconds, made.watch_idle_seconds) == (10.0, 60.0)
    assert made.database_url == "sqlite:///data/buildbell.db"
    assert made.signing_secrets == ()
    assert not made.by_oauth


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    toml = """
        [watch]
        busy_seconds = 5
        idle_seconds = 50
        [slack]
        command = "/ci"
        unfurl_domains = "ci.acme.example"
        [access]
        admins = ["U1"]
        members = "viewer"
        protected = "main, release/*"
    """
    made = read(tmp_path, toml, WATCH_BUSY_SECONDS="0.25", PORT="8080", LOG_LEVEL="debug", LOG_FORMAT="JSON", HOST="")
    assert (made.watch_busy_seconds, made.watch_idle_seconds) == (0.25, 50.0)
    assert (made.command, made.unfurl_domains) == ("/ci", ("ci.acme.example",))
    assert (made.admins, made.members, made.protected) == (("U1",), "viewer", ("main", "release/*"))
    assert (made.port, made.log_level, made.log_format, made.host) == (8080, "DEBUG", "json", EVERYWHERE)


def test_two_signing_secrets_may_be_set(tmp_path: Path) -> None:
    assert read(tmp_path, **SECRETS).signing_secrets == ("hush-a", "hush-b")


def test_spaces_and_line_ends_around_a_value_are_no_part_of_it(tmp_path: Path) -> None:
    made = read(tmp_path, SLACK_BOT_TOKEN=" xoxb-1\n")
    assert made.slack_bot_token.get_secret_value() == "xoxb-1"


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "sqlite:///x.db"])
def test_databases_are_taken_as_hosts_give_them(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, DATABASE_URL=url).database_url == url


def test_connections_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    toml = """
        [connections.acme-bk]
        kind = "buildkite"
        organization = "acme"
        workspaces = ["T1"]
        token_file = "bk.token"
    """
    made = read(
        tmp_path,
        toml,
        CONNECTIONS__ACME_BK__TOKEN="hush-1",
        CONNECTIONS__GL__KIND="gitlab",
        CONNECTIONS__GL__WORKSPACES="T1, T2",
        connections__gl__private_network="true",
    )
    assert made.connections["acme-bk"] == {
        "kind": "buildkite",
        "organization": "acme",
        "workspaces": ["T1"],
        "token": "hush-1",
    }
    assert made.connections["gl"] == {"kind": "gitlab", "workspaces": ["T1", "T2"], "private_network": "true"}


def test_secrets_may_be_given_as_files(tmp_path: Path) -> None:
    for name in ("bot", "bk", "sign"):
        (tmp_path / f"{name}.token").write_text(f"hush-{name}\n", encoding="utf-8")
    toml = """
        [slack]
        signing_secret_file = "sign.token"
        [connections.bk]
        token_file = "bk.token"
    """
    made = read(
        tmp_path, toml, SLACK_BOT_TOKEN_FILE=str(tmp_path / "bot.token"), CONNECTIONS__GL__TOKEN_FILE="bk.token"
    )
    assert made.slack_bot_token.get_secret_value() == "hush-bot"
    assert made.signing_secrets == ("hush-sign",)
    assert made.connections["bk"]["token"] == made.connections["gl"]["token"] == "hush-bk"


def test_another_file_may_be_named_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[slack]\ncommand = '/other'", encoding="utf-8")
    assert read(tmp_path, BUILDBELL_CONFIG="other.toml").command == "/other"
    (problem,) = refused(tmp_path, BUILDBELL_CONFIG="gone.toml")
    assert problem.startswith("BUILDBELL_CONFIG names")


def test_all_problems_are_reported_at_once_and_in_plain_words(tmp_path: Path) -> None:
    toml = """
        title = "x"
        [watch]
        busy_second = 5
        [slack]
        command = "build"
        [access]
        members = "king"
        [database]
        url = "x"
        [connections]
        loose = 3
        [connections."a b"]
        kind = "gitlab"
        [connections.bk]
        token = "hush"
        token_file = "bk.token"
        [connections.gl]
        token_file = "gone.token"
    """
    problems = refused(
        tmp_path,
        toml,
        PORT="high",
        WATCH_IDLE_SECONDS="0",
        LOG_LEVEL="loud",
        PUBLIC_URL="bot.acme.example",
        SLACK_APP_TOKEN="xapp-hush",
        SLACK_APP_TOKEN_FILE="x",
        CONNECTIONS__GL="x",
    )
    assert problems == [
        "buildbell.toml: `title` is not a table",
        "buildbell.toml: I don't know `busy_second` in `[watch]`",
        "buildbell.toml: I don't know `url` in `[database]`",
        "buildbell.toml: `connections.loose` is not a table",
        "SLACK_APP_TOKEN and SLACK_APP_TOKEN_FILE exclude each other",
        "CONNECTIONS__GL: I don't know what that sets; write CONNECTIONS__NAME__KEY",
        "connections.a b: a name is up to 63 letters, digits, `-`, `_` and `.`",
        "connections.bk: `token` and `token_file` exclude each other",
        f"connections.gl: `token_file`: {tmp_path / 'gone.token'} can't be read (FileNotFoundError)",
        "PORT: must be a number",
        "PUBLIC_URL: must begin with http:// or https://",
        "WATCH_IDLE_SECONDS: must be greater than 0",
        "LOG_LEVEL: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "[slack] command: must be a slash and then small letters, digits, `-` or `_`, at most 32 in all",
        "[access] members: must be 'viewer' or 'runner'",
    ]


def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, "[slack]\ncommand = 3\nunfurl_domains = ['a','b','c','d','e','f']") == [
        "[slack] command: has a value of the wrong kind",
        "[slack] unfurl_domains: takes at most 5",
    ]


@pytest.mark.parametrize("broken", [b"[slack", b"\xff\xfe", b"a = hush"])
def test_a_file_that_can_not_be_read_is_named_without_its_text(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "buildbell.toml").write_bytes(broken)
    (problem,) = refused(tmp_path)
    assert problem.startswith("buildbell.toml can't be read")
    assert "hush" not in problem


def test_half_of_oauth_is_a_problem(tmp_path: Path) -> None:
    assert refused(tmp_path, SLACK_CLIENT_ID="1.2") == ["SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together"]


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    toml = "[connections.bk]\ntoken = 'hush-bk'"
    made = read(tmp_path, toml, DATABASE_URL="postgres://u:hush@h/d", SLACK_APP_TOKEN="xapp-hush", **SECRETS)
    assert "hush" not in repr(made)
    assert "hush" not in str(made)
    problems = refused(tmp_path, toml, PORT="x", DATABASE_URL="postgres://u:hush@h/d", **SECRETS)
    assert "hush" not in " ".join(problems)


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, ["SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"]),
        ({"SLACK_BOT_TOKEN": "x"}, ["SLACK_SIGNING_SECRET"]),
        ({"SLACK_BOT_TOKEN": "x", "SLACK_SIGNING_SECRET": "y"}, []),
        ({"SLACK_BOT_TOKEN": "x", "SLACK_APP_TOKEN": "y"}, []),
        ({"SLACK_CLIENT_ID": "1", "SLACK_CLIENT_SECRET": "2", "SLACK_SIGNING_SECRET": "3"}, ["BUILDBELL_KEYS"]),
    ],
)
def test_what_serving_lacks_is_reported(tmp_path: Path, environ: dict[str, str], missing: list[str]) -> None:
    found = read(tmp_path, **environ).problems_for_serving(web=True)
    assert [problem.split()[0] for problem in found] == missing


def test_a_worker_needs_no_signing_secret(tmp_path: Path) -> None:
    assert read(tmp_path, SLACK_BOT_TOKEN="x").problems_for_serving(web=False) == []


def test_policies_of_approvals_are_read_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    made = read(tmp_path, '[access]\npolicies = ["deploy@main no-self two", "* comment"]')
    assert [(policy.target, policy.rules) for policy in made.approval_policies] == [
        ("deploy@main", "no-self two"),
        ("*", "comment"),
    ]
    (problem,) = refused(tmp_path, '[access]\npolicies = ["deploy five"]')
    assert "`deploy five`: There is no rule `five`." in problem


def test_a_configuration_that_may_not_be_read_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buildbell.toml").write_text("")

    def refused(_path: Path, *_arguments: object, **_options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(UsageError, match="may not enter its folder"):
        Settings.read({"BUILDBELL_CONFIG": "buildbell.toml"}, folder=tmp_path)
