"""What is sent to start a build: a run of a YAML pipeline, or a build of a classic one.

Pages: https://learn.microsoft.com/rest/api/azure/devops/pipelines/runs/run-pipeline and .../build/builds/queue
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.core.errors import Rejected, UsageError
from bot.core.models import Ref, RefKind, StartRequest, StartTarget
from bot.http.reply import Reply
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.convert import HEADS, TAGS, default_branch, raw_word, recorded_variables, without
from bot.providers.azure_devops.options import LABEL
from bot.providers.azure_devops.stages import TimelineTree, is_red, stage_jobs
from bot.providers.azure_devops.urls import is_number
from bot.providers.base.options import check_options
from bot.providers.base.times import parse_time

START_OPTIONS: Mapping[str, str] = {
    "branch": "the branch that a commit is built under",
    "parameter.": "and a name: a template parameter of a YAML pipeline",
    "variable.": "and a name: a variable that may be set when a build is queued",
    "stages_to_skip": "names of stages that a YAML pipeline leaves out, separated by commas",
}
PARAMETER, VARIABLE = "parameter.", "variable."
OWN_VARIABLES = ("system.", "build.", "agent.")
"""Names that the service sets itself; recorded with a build, refused from others."""
CLOCK_SKEW = timedelta(minutes=1)
_PULL_REF = re.compile(r"refs/pull/(\d{1,12})/merge")
_MASKED = re.compile(r"\*+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is built: a ref in full and a commit; without a ref the pipeline's default branch."""

    ref: str | None = None
    commit: str | None = None

    def target(self, default: str | None) -> StartTarget:
        """Return the names that are sent; `default` is the branch that the service takes where no ref is sent."""
        ref = self.ref if self.ref is not None else f"{HEADS}{default}" if default else ""
        pull = _PULL_REF.fullmatch(ref)
        return StartTarget(
            branch=without(HEADS, ref) if ref.startswith(HEADS) else None,
            tag=without(TAGS, ref) if ref.startswith(TAGS) else None,
            pull_request=pull[1] if pull else None,
            commit=self.commit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBody:
    """What a build is made of, whichever of the two ways it is started."""

    source: Source
    parameters: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()

    def run_body(self) -> dict[str, object]:
        """Return the body for the Pipelines API."""
        repository = _without_none({"refName": self.source.ref, "version": self.source.commit})
        variables = {name: {"value": value, "isSecret": False} for name, value in self.variables.items()}
        return _without_none(
            {
                "resources": {"repositories": {"self": repository}} if repository else None,
                "templateParameters": dict(self.parameters) or None,
                "variables": variables or None,
                "stagesToSkip": list(self.skip) or None,
            }
        )

    def queue_body(self, definition: wire.Definition) -> dict[str, object]:
        """Return the body for the Build API, which takes variables as JSON in a string."""
        return _without_none(
            {
                "definition": {"id": definition.id},
                "sourceBranch": self.source.ref,
                "sourceVersion": self.source.commit,
                "parameters": json.dumps(dict(self.variables)) if self.variables else None,
                "reason": "manual",
            }
        )


def check(request: StartRequest) -> None:
    """Raise UsageError for an option or a message, which Azure DevOps does not take, before anything is asked."""
    check_options(request.options, START_OPTIONS, LABEL)
    if request.message:
        raise UsageError(
            "Azure DevOps takes no message with a build.", hint="Leave it out; the commit's own is shown there."
        )


def start_body(request: StartRequest, definition: wire.Definition) -> StartBody:
    """Return what a request asks for. A KEY=VALUE is a variable where the pipeline has one, else a template parameter.

    Raises UsageError for what Azure DevOps does not take, by name.
    """
    return _body(request, definition, source(request, default_branch(definition)))


def rebuild_body(recorded: wire.BuildWire, request: StartRequest, definition: wire.Definition) -> StartBody:
    """Return what makes a build like `recorded`, with the values that `request` replaces.

    What was recorded is sent back and shown to nobody. Raises UsageError for a ref, which a rebuild does not take, and
    Rejected for values that the service keeps to itself and the request does not give.
    """
    if request.ref is not None or request.commit or "branch" in request.options:
        raise UsageError(
            "A rebuild takes the branch and commit of the old build.", hint="To build others: `/build run`."
        )
    origin = Source(ref=recorded.source_branch or None, commit=recorded.source_version or None)
    replacing = _body(request, definition, origin)
    parameters = {name: str(value) for name, value in (recorded.template_parameters or {}).items() if value is not None}
    return StartBody(
        source=origin,
        parameters={} if definition.is_classic else {**parameters, **replacing.parameters},
        variables={**_recorded_variables(recorded, replacing.variables), **replacing.variables},
        skip=replacing.skip,
    )


def source(request: StartRequest, default: str | None) -> Source:
    """Return the ref and the commit to send; a commit goes under the `branch` option or else the default branch.

    Raises UsageError for refs that contradict each other and for a ref of another kind than it says.
    """
    ref, commit, named = request.ref, request.commit, request.options.get("branch")
    if (named is not None and not named.strip()) or (ref is not None and not ref.name.strip()):
        raise UsageError("A name is missing.", hint="Write a branch, `tag:NAME`, `pr:NUMBER` or a commit.")
    if ref is not None and ref.kind is RefKind.COMMIT:
        if commit and commit.lower() != ref.name.lower():
            raise UsageError(f"Two commits are named, {ref.name[:12]} and {commit[:12]}.", hint="Name one.")
        return _commit_source(ref.name, named, default)
    under = full_ref(Ref(kind=RefKind.BRANCH, name=named)) if named else None
    if ref is not None:
        sent = full_ref(ref)
        if under not in {None, sent}:
            raise UsageError("`branch` names another ref than the one to build.", hint="Leave one of them out.")
        return Source(ref=sent, commit=commit)
    return _commit_source(commit, named, default) if commit else Source(ref=under)


def _commit_source(commit: str, named: str | None, default: str | None) -> Source:
    branch = named or default
    return Source(ref=full_ref(Ref(kind=RefKind.BRANCH, name=branch)) if branch else None, commit=commit)


def full_ref(ref: Ref) -> str:
    """Return a branch, a tag or a pull request in full, as the service takes it.

    A branch or tag may be given in full already. Raises UsageError for a full ref of another kind.
    """
    if ref.kind is RefKind.PULL_REQUEST:
        if not is_number(ref.name):
            raise UsageError(f"A pull request has a number; `{ref.name[:40]}` is none.")
        return f"refs/pull/{ref.name}/merge"
    prefix = TAGS if ref.kind is RefKind.TAG else HEADS
    if not ref.name.startswith("refs/"):
        return f"{prefix}{ref.name}"
    if not ref.name.startswith(prefix):
        raise UsageError(
            f"`{ref.name[:80]}` is no {'tag' if ref.kind is RefKind.TAG else 'branch'}.",
            hint="Write a branch, `tag:NAME`, `pr:NUMBER` or a commit.",
        )
    return ref.name


def _body(request: StartRequest, definition: wire.Definition, origin: Source) -> StartBody:
    check(request)
    parameters: dict[str, str] = {}
    variables: dict[str, str] = {}
    skip: tuple[str, ...] = ()
    for name, value in request.parameters.items():
        is_variable = definition.is_classic or name.lower() in definition.settable
        (variables if is_variable else parameters)[name] = value
    for name, value in request.options.items():
        if name == "stages_to_skip":
            skip = tuple(stage.strip() for stage in value.split(",") if stage.strip())
        elif name.startswith(PARAMETER):
            parameters[name.removeprefix(PARAMETER)] = value
        elif name.startswith(VARIABLE):
            variables[name.removeprefix(VARIABLE)] = value
    if definition.is_classic and (parameters or skip):
        raise UsageError(
            f"{definition.name or 'This'} is a classic pipeline: it has no template parameters and no stages to skip.",
            hint="Give KEY=VALUE for its variables.",
        )
    return StartBody(source=origin, parameters=parameters, variables=variables, skip=skip)


def _recorded_variables(recorded: wire.BuildWire, replacing: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a person gave to a build. Raises Rejected for those without a value to send back."""
    variables = recorded_variables(recorded)
    if variables is None:
        raise Rejected(
            f"{LABEL} does not tell the variables of that build in a form that I can read.",
            provider=LABEL,
            hint="Start a new one with its values: `/build run`.",
        )
    own = {name: value for name, value in variables.items() if not name.lower().startswith(OWN_VARIABLES)}
    replaced = {name.lower() for name in replacing}
    old_values = {name: value for name, value in own.items() if name.lower() not in replaced}
    hidden = [name for name, value in old_values.items() if value is None or _MASKED.fullmatch(str(value))]
    if hidden:
        raise Rejected(
            f"{LABEL} does not tell {', '.join(f'`{name}`' for name in hidden)} of that build.",
            provider=LABEL,
            hint="Give them again: KEY=VALUE.",
        )
    return {name: str(value) for name, value in old_values.items()}


# after sending


def queued_build(reply: Reply) -> wire.BuildWire:
    """Return the build that the Build API made. Raises Rejected where it says that the request is wrong."""
    run = wire.BuildWire.of(reply.raw)
    errors = [check.message for check in run.validation_results or () if raw_word(check.result) == "error"]
    if errors:
        reason = "; ".join(filter(None, errors)) or "it gives no reason"
        raise Rejected(f"{LABEL} refused: {reason[:300]}", provider=LABEL, status=reply.status)
    return run


def is_own_start(run: wire.BuildWire, body: StartBody, me: str, since: datetime) -> bool:
    """Return whether a listed build can be the one that `body` asked for: by who, when, how, what and with what.

    Values are compared where the build reports them.
    """
    people = {person.id.lower() for person in (run.requested_by, run.requested_for) if person and person.id}
    queued = parse_time(run.queue_time)
    recorded = {str(name).lower(): value for name, value in (recorded_variables(run) or {}).items()}
    parameters = run.template_parameters
    return (
        me.lower() in people
        and raw_word(run.reason) == "manual"
        and (queued is None or queued >= since - CLOCK_SKEW)
        and (body.source.ref is None or run.source_branch == body.source.ref)
        and (body.source.commit is None or (run.source_version or "").startswith(body.source.commit.lower()))
        and (not run.parameters or all(recorded.get(name.lower()) == text for name, text in body.variables.items()))
        and (
            not parameters
            or all(str(parameters.get(name)).lower() == text.lower() for name, text in body.parameters.items())
        )
    )


# running again


def stage_retry(tree: TimelineTree, job: wire.Record, page: str) -> tuple[str, dict[str, object]]:
    """Return the stage that runs a job again, by the name the API takes, and the body.

    Raises Rejected for a job outside stages, and for one that passed beside others: its whole stage would run.
    """
    stage = tree.enclosing(job, "Stage")
    name = job.name or "This job"
    if stage is None or not stage.identifier:
        raise Rejected(
            f"{name} stands in no stage, and Azure DevOps runs only stages again.",
            provider=LABEL,
            hint=f"Run all failed jobs again: `/build retry`, or see {page}",
        )
    failed = is_red(job)
    if job.type == "Job" and not failed and len(stage_jobs(tree, stage)) > 1:
        raise Rejected(
            f"{name} did not fail, and Azure DevOps runs it again only with its whole stage.",
            provider=LABEL,
            hint=f"Run the stage again on its page: {page}",
        )
    return stage.identifier, {"state": "retry", "forceRetryAllJobs": not failed}


def _without_none(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}
