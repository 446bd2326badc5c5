"""What is sent to Azure DevOps to start a build: a run of a YAML pipeline, or a build of a classic one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bot.core.errors import UsageError
from bot.core.models import Ref, RefKind, StartRequest
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.convert import HEADS, TAGS
from bot.providers.azure_devops.urls import is_number

START_OPTIONS: Mapping[str, str] = {
    "branch": "the branch that a commit is built under",
    "parameter.": "and a name: a template parameter of a YAML pipeline",
    "variable.": "and a name: a variable that may be set when a build is queued",
    "stages_to_skip": "names of stages that a YAML pipeline leaves out, separated by commas",
}
PARAMETER, VARIABLE = "parameter.", "variable."
OWN_VARIABLES = ("system.", "build.", "agent.")
"""Names that the service sets itself; recorded with a build, refused from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a build is made of, whichever way it is started."""

    ref: str | None = None
    commit: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()

    def run_body(self) -> dict[str, object]:
        """Return the body for the Pipelines API."""
        itself = _known({"refName": self.ref, "version": self.commit})
        return _known(
            {
                "resources": {"repositories": {"self": itself}} if itself else None,
                "templateParameters": dict(self.parameters) or None,
                "variables": {name: {"value": value, "isSecret": False} for name, value in self.variables.items()}
                or None,
                "stagesToSkip": list(self.skip) or None,
            }
        )

    def queue_body(self, definition: wire.Definition) -> dict[str, object]:
        """Return the body for the Build API, which takes variables as JSON in a string."""
        return _known(
            {
                "definition": {"id": definition.id},
                "sourceBranch": self.ref,
                "sourceVersion": self.commit,
                "parameters": json.dumps(dict(self.variables)) if self.variables else None,
                "reason": "manual",
            }
        )


def wish(request: StartRequest, definition: wire.Definition) -> Wish:
    """Return what a person asks for. A KEY=VALUE is a variable where the pipeline has one, else a template parameter.

    Raises UsageError for what Azure DevOps does not take.
    """
    if request.message:
        raise UsageError(
            "Azure DevOps takes no message with a build.", hint="Leave it out; the commit's own is shown there."
        )
    parameters: dict[str, str] = {}
    variables: dict[str, str] = {}
    skip: tuple[str, ...] = ()
    for name, value in request.parameters.items():
        is_variable = definition.is_classic or name.lower() in definition.settable
        (variables if is_variable else parameters)[name] = value
    for name, value in request.options.items():
        if name == "stages_to_skip":
            skip = tuple(stage.strip() for stage in value.split(",") if stage.strip())
        elif name.startswith(PARAMETER) and len(name) > len(PARAMETER):
            parameters[name.removeprefix(PARAMETER)] = value
        elif name.startswith(VARIABLE) and len(name) > len(VARIABLE):
            variables[name.removeprefix(VARIABLE)] = value
        elif name != "branch":
            known = ", ".join(f"`{known}`" for known in START_OPTIONS)
            raise UsageError(f"Azure DevOps has no option `{name}`.", hint=f"There are {known}.")
    if definition.is_classic and (parameters or skip):
        raise UsageError(
            f"{definition.name or 'This'} is a classic pipeline: it has no template parameters and no stages to skip.",
            hint="Give KEY=VALUE for its variables.",
        )
    ref, commit = _source(request, definition)
    return Wish(ref=ref, commit=commit, parameters=parameters, variables=variables, skip=skip)


def again(it: wire.BuildWire, request: StartRequest, definition: wire.Definition) -> Wish:
    """Return the wish for a build like `it`, with the values that `request` replaces.

    What was recorded is sent back and shown to nobody.
    """
    asked = wish(request, definition)
    recorded = {name: str(value) for name, value in (it.template_parameters or {}).items() if value is not None}
    return Wish(
        ref=it.source_branch or None,
        commit=it.source_version or None,
        parameters={} if definition.is_classic else {**recorded, **asked.parameters},
        variables={**_variables(it.parameters), **asked.variables},
        skip=asked.skip,
    )


def full_ref(ref: Ref) -> str:
    """Return a branch, a tag or a pull request in full, as the service takes it. Raises UsageError."""
    if ref.kind is RefKind.PULL_REQUEST:
        if not is_number(ref.name):
            raise UsageError(f"A pull request has a number; `{ref.name[:40]}` is none.")
        return f"refs/pull/{ref.name}/merge"
    if ref.name.startswith("refs/"):
        return ref.name
    return f"{TAGS if ref.kind is RefKind.TAG else HEADS}{ref.name}"


def _source(request: StartRequest, definition: wire.Definition) -> tuple[str | None, str | None]:
    """Return the ref and the commit; without either the pipeline's default is built."""
    named = request.options.get("branch")
    default = definition.repository.default_branch if definition.repository else None
    under = full_ref(Ref(kind=RefKind.BRANCH, name=named)) if named else default
    match request.ref:
        case None:
            return (under if request.commit or named else None), request.commit
        case Ref(kind=RefKind.COMMIT, name=sha):
            return under, request.commit or sha
        case ref:
            return full_ref(ref), request.commit


def _variables(recorded: str | None) -> dict[str, str]:
    """Return the variables that a person gave, from the JSON that a build keeps them in."""
    try:
        found = msgspec.json.decode(recorded or "{}", type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return {}
    return {
        name: str(value)
        for name, value in found.items()
        if value is not None and not name.lower().startswith(OWN_VARIABLES)
    }


def _known(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}
