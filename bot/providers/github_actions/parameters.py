"""The values that a start by hand takes: `on.workflow_dispatch.inputs` of a workflow's file.

Page: "Workflow syntax for GitHub Actions", read in August 2026. No part of the API describes inputs.
"""

from dataclasses import replace

import httpx
import yaml

from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Parameter, ParameterType, Ref, RefKind
from bot.http.client import ApiClient, Query
from bot.providers.base.listing import parse_items
from bot.providers.github_actions import urls, wire
from bot.providers.github_actions.client import Client
from bot.providers.github_actions.convert import PER_PAGE
from bot.providers.github_actions.urls import Location

FILE_BYTES = 512 * 1024
"""GitHub takes no larger workflow."""
MOST_INPUTS = 25
ENVIRONMENT = "environment"
"""The type of an input whose choices are the repository's environments."""

_TYPES = {
    "boolean": ParameterType.BOOLEAN,
    "number": ParameterType.NUMBER,
    "choice": ParameterType.CHOICE,
    ENVIRONMENT: ParameterType.CHOICE,
}


async def read(api: ApiClient, client: Client, at: Location, ref: Ref | None) -> tuple[Parameter, ...]:
    """Return the inputs that a workflow's file declares on a ref, else on the default branch.

    Two requests, one more where an input names an environment. Empty where the file is not on the ref or the token may
    not read it: not knowing the inputs must not keep anybody from a start.
    """
    workflow = wire.Workflow.of((await api.get((await client.exact(at)).of_workflow())).raw)
    file = (workflow.path or "").partition("@")[0]
    if not file.startswith(urls.WORKFLOWS):
        return ()  # GitHub's own workflows, such as code scanning, have no file
    query: Query = {"ref": _git_name(ref) if ref else None}
    raw = {"Accept": "application/vnd.github.raw+json"}
    try:
        reply = await api.get(at.path("contents", file), query, headers=raw, cap=FILE_BYTES)
    except NotFound:
        return ()
    except AuthFailed as exc:
        if exc.status != httpx.codes.FORBIDDEN:
            raise
        return ()
    inputs = declared(reply.text) or []
    environments = await _environments(api, at) if any(word == ENVIRONMENT for _, word in inputs) else ()
    return tuple(replace(it, choices=environments) if word == ENVIRONMENT else it for it, word in inputs)


async def _environments(api: ApiClient, at: Location) -> tuple[tuple[str, str], ...]:
    try:
        reply = await api.get(at.path("environments"), {"per_page": PER_PAGE})
    except (NotFound, AuthFailed):
        return ()
    names = [it.name for it in parse_items(reply.items("environments"), wire.Environment.of)]
    return tuple((name, name) for name in names if name)


def _git_name(ref: Ref) -> str:
    """Return a ref as a file's contents are asked by it."""
    return f"refs/pull/{ref.name}/head" if ref.kind is RefKind.PULL_REQUEST else ref.name


def declared(text: str) -> list[tuple[Parameter, str]] | None:
    """Return the inputs with GitHub's word for their type; None where the file does not read or can't be started.

    Everything is read as text, so that `on`, `yes` and `1.10` stay what they are; nothing else is ever made of it.
    """
    try:
        whole = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts, lists and mappings only
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    events = whole.get("on") if isinstance(whole, dict) else None
    if isinstance(events, str | list):
        return [] if "workflow_dispatch" in ([events] if isinstance(events, str) else events) else None
    if not isinstance(events, dict) or "workflow_dispatch" not in events:
        return None
    dispatch = events["workflow_dispatch"]
    inputs = dispatch.get("inputs") if isinstance(dispatch, dict) else None
    if not isinstance(inputs, dict):
        return []
    return [_input(str(name), declaration) for name, declaration in list(inputs.items())[:MOST_INPUTS]]


def _input(name: str, declaration: object) -> tuple[Parameter, str]:
    fields = declaration if isinstance(declaration, dict) else {}
    word = _text(fields.get("type")) or "string"
    kind = _TYPES.get(word, ParameterType.TEXT)
    options = fields.get("options")
    choices = (
        tuple((option, option) for option in options if isinstance(option, str)) if isinstance(options, list) else ()
    )
    default = _text(fields.get("default"))
    if kind is ParameterType.BOOLEAN:
        default = "true" if (default or "").lower() == "true" else "false"
    return (
        Parameter(
            name=name,
            type=kind,
            choices=choices,
            default=default,
            required=(_text(fields.get("required")) or "").lower() == "true",
            help=_text(fields.get("description")),
        ),
        word,
    )


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None
