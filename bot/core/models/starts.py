"""What a start takes, and what waits for a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.models.cleaning import clean_fields
from bot.core.models.refs import Ref
from bot.core.text import clean_message, step_name


class ParameterType(StrEnum):
    """How a parameter is asked for."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MULTIPLE = "multiple"
    SECRET = "secret"  # noqa: S105 - the name of a kind of field


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that a pipeline or an approval takes. `choices` are (value, label)."""

    name: str
    type: ParameterType = ParameterType.TEXT
    label: str | None = None
    choices: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    required: bool = False
    help: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A step that waits for a person."""

    id: str
    build: str
    pipeline: str
    name: str
    fields: tuple[Parameter, ...] = ()
    approvers: tuple[str, ...] = ()
    can_reject: bool = False
    instructions: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, step_name, "name")
        clean_fields(self, clean_message, "instructions")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The build that a person requests.

    `parameters` are the KEY=VALUE pairs as typed. `options` are the provider's named extras (`clean`,
    `pull_request`, …) as `Provider.start_options` lists them; an adapter refuses one it does not know by name.
    """

    ref: Ref | None = None
    commit: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    requested_by: str | None = None
    requested_by_email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTarget:
    """What a start request makes the CI system build: the names as they will be sent, None where not sent.

    Permissions are judged on this, not on what was typed. A bare commit is sent under a branch: that one is named.
    `also` are further refs that the request names, such as the branch whose configuration is run.
    """

    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    pull_request: str | None = None
    also: tuple[str, ...] = ()
