"""Settings: the environment and `buildbell.toml`, read once at the start; all problems are listed at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from bot.core.errors import UsageError
from bot.core.policies import Policy, parse_policy

SLACK_API = "https://slack.com/api/"
FILE = "buildbell.toml"

ENVIRONMENT: Mapping[str, str] = {
    "SLACK_BOT_TOKEN": "slack_bot_token",
    "SLACK_SIGNING_SECRET": "slack_signing_secret",
    "SLACK_APP_TOKEN": "slack_app_token",
    "SLACK_CLIENT_ID": "slack_client_id",
    "SLACK_CLIENT_SECRET": "slack_client_secret",
    "SLACK_API_URL": "slack_api_url",
    "DATABASE_URL": "database_url",
    "HOST": "host",
    "PORT": "port",
    "HEALTH_PORT": "health_port",
    "PUBLIC_URL": "public_url",
    "BUILDBELL_KEYS": "keys",
    "WATCH_BUSY_SECONDS": "watch_busy_seconds",
    "WATCH_IDLE_SECONDS": "watch_idle_seconds",
    "LOG_LEVEL": "log_level",
    "LOG_FORMAT": "log_format",
    "BUILDBELL_MCP": "mcp_enabled",
    "BUILDBELL_TOKEN": "personal_token",
}
"""Each environment variable and the setting it gives."""

TABLES: Mapping[tuple[str, str], str] = {
    ("watch", "busy_seconds"): "watch_busy_seconds",
    ("watch", "idle_seconds"): "watch_idle_seconds",
    ("slack", "command"): "command",
    ("slack", "bot_token"): "slack_bot_token",
    ("slack", "signing_secret"): "slack_signing_secret",
    ("slack", "app_token"): "slack_app_token",
    ("slack", "client_id"): "slack_client_id",
    ("slack", "client_secret"): "slack_client_secret",
    ("slack", "api_url"): "slack_api_url",
    ("slack", "unfurl_domains"): "unfurl_domains",
    ("access", "admins"): "admins",
    ("access", "members"): "members",
    ("access", "protected"): "protected",
    ("access", "policies"): "policies",
    ("access", "internal_addresses"): "internal_addresses",
    ("mcp", "enabled"): "mcp_enabled",
}
"""Each key of the configuration file's tables and the setting it gives."""


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Settings(BaseModel):
    """Everything the operator can set, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    slack_bot_token: SecretStr = Field(default=SecretStr(""), description="The bot token of a single workspace.")
    slack_signing_secret: SecretStr = Field(
        default=SecretStr(""), description="Signing secret; a comma separates two during a change of secret."
    )
    slack_app_token: SecretStr = Field(default=SecretStr(""), description="App-level token; present = Socket Mode.")
    slack_client_id: str = Field(default="", description="For many workspaces, by OAuth.")
    slack_client_secret: SecretStr = Field(default=SecretStr(""), description="For many workspaces, by OAuth.")
    slack_api_url: str = Field(default=SLACK_API, description="Slack's Web API.")
    database_url: str = Field(default="sqlite:///data/buildbell.db", repr=False, description="SQLite or PostgreSQL.")
    host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104 - what a server in a container needs
    port: int = Field(default=3000, ge=0, le=65535, description="Port to listen on.")
    health_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of a worker's health and metrics; without it a worker listens on none.",
    )
    public_url: str = Field(default="", description="The address under which Slack and CI systems reach the bot.")
    keys: SecretStr = Field(default=SecretStr(""), description="Encryption keys, `id:base64`; the first one seals.")
    watch_busy_seconds: float = Field(default=10.0, gt=0, description="Poll interval while something builds.")
    watch_idle_seconds: float = Field(default=60.0, gt=0, description="Poll interval while nothing builds.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="How much to log.")
    log_format: Literal["console", "json"] = Field(default="console", description="How to log.")
    command: str = Field(default="/build", pattern=r"^/[a-z0-9_-]{1,31}$", description="The slash command.")
    unfurl_domains: tuple[str, ...] = Field(default=(), max_length=5, description="Hosts whose links get previews.")
    admins: tuple[str, ...] = Field(default=(), description="Slack user ids who may do everything.")
    members: Literal["viewer", "runner"] = Field(default="runner", description="What a channel's members may do.")
    protected: tuple[str, ...] = Field(default=(), description="Refs (globs) that need a grant to build.")
    policies: tuple[str, ...] = Field(
        default=(), description="What approvals need, such as `deploy@main no-self two comment`, in every workspace."
    )
    internal_addresses: bool = Field(
        default=False, description="Let admins connect servers at loopback and private addresses from Slack."
    )
    mcp_enabled: bool = Field(
        default=False, description="Let programs act as people through the Model Context Protocol."
    )
    personal_token: SecretStr = Field(
        default=SecretStr(""), description="The personal token that `buildbell mcp` acts by; for no other command."
    )
    connections: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict, repr=False, description="CI systems, by name."
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("admins", "protected", "unfurl_domains", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("policies")
    @classmethod
    def _readable_policies(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            target, *rules = line.split() or [""]
            try:
                parse_policy(target, rules)
            except UsageError as exc:
                raise ValueError(f"`{line}`: {exc}") from None
        return lines

    @property
    def approval_policies(self) -> tuple[Policy, ...]:
        """Return the operator's policies of approvals."""
        return tuple(parse_policy(target, rules) for target, *rules in (line.split() for line in self.policies))

    @field_validator("public_url", "slack_api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            message = "must begin with http:// or https://"
            raise ValueError(message)
        return value.rstrip("/")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.slack_client_id) != bool(self.slack_client_secret.get_secret_value()):
            message = "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together"
            raise ValueError(message)
        return self

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """Return the secrets that a request may be signed with."""
        return tuple(part.strip() for part in self.slack_signing_secret.get_secret_value().split(",") if part.strip())

    @property
    def by_oauth(self) -> bool:
        """Whether workspaces install the bot by OAuth."""
        return bool(self.slack_client_id)

    def problems_for_serving(self, *, web: bool) -> list[str]:
        """Return what is missing to serve, in plain words."""
        problems: list[str] = []
        if not self.slack_bot_token.get_secret_value() and not self.by_oauth:
            problems.append(
                "SLACK_BOT_TOKEN is missing (or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET for many workspaces)"
            )
        if web and not self.signing_secrets and not self.slack_app_token.get_secret_value():
            problems.append(
                "SLACK_SIGNING_SECRET is missing (HTTP mode), and there is no SLACK_APP_TOKEN (Socket Mode)"
            )
        if self.by_oauth and not self.keys.get_secret_value():
            problems.append("BUILDBELL_KEYS is missing: tokens of many workspaces are kept sealed")
        return problems

    @classmethod
    def read(cls, environ: Mapping[str, str], *, folder: Path | None = None) -> "Settings":
        """Return the settings from an environment and its configuration file. Raises UsageError listing all problems."""
        problems: list[str] = []
        base = folder or Path()
        named = environ.get("BUILDBELL_CONFIG", "")
        path = base / (named or FILE)
        values: dict[str, Any] = {}
        if named or path.exists():
            values, wrong = _from_file(path)
            problems += wrong
        problems += _from_environment(environ, values)
        problems += _read_files(values, path.parent)
        made: Settings | None = None
        try:
            made = cls.model_validate(values)
        except ValidationError as exc:
            problems += [_plain(error) for error in exc.errors()]
        if problems or made is None:
            raise UsageError("The settings have problems:\n" + "\n".join(f"- {problem}" for problem in problems))
        return made


def _plain(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors in plain words, by the name under which the operator set it."""
    names = {setting: name for name, setting in ENVIRONMENT.items()}
    names |= {setting: f"[{table}] {key}" for (table, key), setting in TABLES.items() if setting not in names}
    location = str(error["loc"][0]) if error["loc"] else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "string_pattern_mismatch":
            message = "must be a slash and then small letters, digits, `-` or `_`, at most 32 in all"
        case "int_parsing" | "int_type" | "int_from_float" | "float_parsing" | "float_type":
            message = "must be a number"
        case "string_type" | "tuple_type" | "list_type" | "mapping_type" | "dict_type":
            message = "has a value of the wrong kind"
        case "literal_error":
            message = f"must be {error['ctx']['expected']}"
        case "too_long":
            message = f"takes at most {error['ctx']['max_length']}"
        case _:
            message = message.replace("Input should", "must")
    return f"{names[location]}: {message}" if location in names else message


def _from_environment(environ: Mapping[str, str], values: dict[str, Any]) -> list[str]:
    """Lay the environment over the file's values; return the problems."""
    problems: list[str] = []
    for name, setting in ENVIRONMENT.items():
        text, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
        if text and file:
            problems.append(f"{name} and {name}_FILE exclude each other")
        elif text:
            values.pop(f"{setting}_file", None)
            values[setting] = text
        elif file:
            values.pop(setting, None)
            values[f"{setting}_file"] = file
    connections: dict[str, dict[str, Any]] = values.setdefault("connections", {})
    names = {_folded(name): name for name in connections}
    for variable, value in environ.items():
        head, *parts = variable.split("__")
        if head.upper() != "CONNECTIONS" or not parts:
            continue
        if len(parts) != 2 or not all(parts):
            problems.append(f"{variable}: I don't know what that sets; write CONNECTIONS__NAME__KEY")
            continue
        name = names.setdefault(_folded(parts[0]), parts[0].lower())
        options, key = connections.setdefault(name, {}), parts[1].lower()
        options.pop(key.removesuffix("_file") if key.endswith("_file") else f"{key}_file", None)
        options[key] = (
            [part.strip() for part in value.split(",") if part.strip()] if key == "workspaces" else value.strip()
        )
    unfit = [name for name in connections if NAME.fullmatch(name) is None]
    problems += [f"connections.{name}: a name is up to 63 letters, digits, `-`, `_` and `.`" for name in unfit]
    return problems


def _from_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"BUILDBELL_CONFIG names {path}, which does not exist"]
    except PermissionError:
        return {}, [f"{path} can't be read: this user may not read it, or may not enter its folder"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        return {}, [f"{path.name} can't be read: {exc}"]
    values: dict[str, Any] = {"connections": {}}
    problems: list[str] = []
    for table, content in tables.items():
        if not isinstance(content, dict):
            problems.append(f"{path.name}: `{table}` is not a table")
        elif table == "connections":
            for name, options in content.items():
                if isinstance(options, dict):
                    values["connections"][name] = dict(options)
                else:
                    problems.append(f"{path.name}: `connections.{name}` is not a table")
        else:
            for key, value in content.items():
                setting = TABLES.get((table, key)) or TABLES.get((table, key.removesuffix("_file")))
                if setting is None:
                    problems.append(f"{path.name}: I don't know `{key}` in `[{table}]`")
                else:
                    values[setting if (table, key) in TABLES else f"{setting}_file"] = value
    return values, problems


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def _read_files(values: dict[str, Any], folder: Path) -> list[str]:
    """Replace every `x_file` by `x` with the file's content; return what is wrong with them."""
    problems: list[str] = []
    places = [("", values), *((f"connections.{name}: ", it) for name, it in (values.get("connections") or {}).items())]
    for place, options in places:
        for key in [key for key in options if key.endswith("_file")]:
            path, target = folder / str(options.pop(key)), key.removesuffix("_file")
            if target in options:
                problems.append(f"{place}`{target}` and `{key}` exclude each other")
                continue
            try:
                options[target] = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as exc:
                problems.append(f"{place}`{key}`: {path} can't be read ({exc.__class__.__name__})")
    return problems
