"""What is sent to Jenkins to start a build: a ref, a commit and a message go into parameters that the job declares."""

from collections.abc import Iterable, Mapping, Sequence

from bot.core.errors import UsageError
from bot.core.models import ParameterType, Ref, RefKind, StartRequest
from bot.providers.jenkins import wire
from bot.providers.jenkins.convert import is_file, is_yes, parameter_type, text_of

START_OPTIONS: Mapping[str, str] = {"delay": "seconds to wait in the queue before the build starts (0 without it)"}
BRANCH_PARAMETERS = ("BRANCH", "BRANCH_NAME", "GIT_BRANCH", "BRANCH_TO_BUILD", "GIT_REF", "REF", "BRANCH_OR_TAG")
TAG_PARAMETERS = ("TAG", "TAG_NAME", "GIT_TAG")
COMMIT_PARAMETERS = ("COMMIT", "GIT_COMMIT", "COMMIT_SHA", "COMMIT_ID", "SHA1", "SHA", "REVISION")
PULL_REQUEST_PARAMETERS = ("PR", "PR_NUMBER", "PULL_REQUEST", "PULL_REQUEST_ID", "CHANGE_ID")
MESSAGE_PARAMETERS = ("MESSAGE", "BUILD_MESSAGE", "REASON", "CAUSE")

_NO = frozenset({"false", "no", "0", "off", ""})
_REMOTE = "origin/"


def delay_seconds(options: Mapping[str, str]) -> int:
    """Return how long the build waits in the queue first. Raises UsageError, also for options that are not there."""
    for name in options:
        if name not in START_OPTIONS:
            raise UsageError(f"Jenkins has no option `{name}`.", hint="There is `delay`, in seconds.")
    text = options.get("delay", "0")
    if not text.isdecimal() or len(text) > 5:
        raise UsageError(f"`delay` is a number of seconds, not `{text[:40]}`.")
    return int(text)


def form(declared: Sequence[wire.Definition], given: Mapping[str, str]) -> dict[str, str]:
    """Return what a person gave as Jenkins takes it. Raises UsageError: Jenkins itself drops unknown names silently."""
    by_name = {one.name: one for one in declared}
    sent: dict[str, str] = {}
    for name, value in given.items():
        definition = by_name.get(name)
        if definition is None:
            raise UsageError(f"The job declares no parameter `{name}`.", hint=_declared(by_name, name))
        if is_file(definition):
            raise UsageError(f"`{name}` is a file, and I can't hand one over.", hint="Start the build on its page.")
        sent[name] = _typed(definition, value)
    return sent


def placed(declared: Sequence[wire.Definition], request: StartRequest, ref: Ref | None) -> dict[str, str]:
    """Return the request's parameters, with its ref, commit and message in those that the job declares for them.

    What is given by name wins. Raises UsageError where the job declares none. `ref` is None where the job is
    the ref.
    """
    given = dict(request.parameters)
    if ref is not None:
        name, value = _ref_value(declared, ref)
        given.setdefault(name, value)
    if request.commit and not (ref is not None and ref.kind is RefKind.COMMIT):
        given.setdefault(_named(declared, COMMIT_PARAMETERS, "a commit"), request.commit)
    if request.message:
        given.setdefault(_named(declared, MESSAGE_PARAMETERS, "a message"), request.message)
    return given


def _ref_value(declared: Sequence[wire.Definition], ref: Ref) -> tuple[str, str]:
    if ref.kind is RefKind.COMMIT:
        return _named(declared, COMMIT_PARAMETERS, f"the commit {ref.name[:12]}"), ref.name
    if ref.kind is RefKind.PULL_REQUEST:
        return _named(declared, PULL_REQUEST_PARAMETERS, f"pull request {ref.name}"), ref.name
    if ref.kind is RefKind.TAG:
        own = find(declared, TAG_PARAMETERS)
        if own is not None:
            return own.name, ref.name
        return _named(declared, BRANCH_PARAMETERS, f"the tag {ref.name}"), f"refs/tags/{ref.name}"
    name = _named(declared, BRANCH_PARAMETERS, f"the branch {ref.name}")
    has_remote = (branch_default(declared, keep_remote=True) or "").startswith(_REMOTE)
    return name, f"{_REMOTE}{ref.name}" if has_remote else ref.name


def find(declared: Iterable[wire.Definition], names: Sequence[str]) -> wire.Definition | None:
    """Return the declared parameter that is called like one of these, in their order, whatever its case."""
    by_name = {one.name.upper(): one for one in declared}
    return next((by_name[name] for name in names if name in by_name), None)


def branch_default(declared: Iterable[wire.Definition], *, keep_remote: bool = False) -> str | None:
    """Return the branch that a job builds when none is given, where a parameter says so."""
    definition = find(declared, BRANCH_PARAMETERS)
    default = definition.default_parameter_value if definition else None
    text = (text_of(default.value) if default else None) or None
    return text if text is None or keep_remote else text.removeprefix(_REMOTE)


def same_values(sent: Mapping[str, str], values: Iterable[wire.ParameterValue], secret: Iterable[str]) -> bool:
    """Return whether a build was given what was sent, secrets aside: those are not told."""
    hidden = set(secret)
    told = {value.name: text_of(value.value) for value in values}
    return all(told.get(name) == value for name, value in sent.items() if name not in hidden)


def _named(declared: Sequence[wire.Definition], names: Sequence[str], what: str) -> str:
    definition = find(declared, names)
    if definition is None:
        raise UsageError(
            f"This job declares no parameter for {what}, so I can't pass it on.",
            hint=f"I look for {', '.join(f'`{name}`' for name in names[:3])}; or give the job's own as KEY=VALUE.",
        )
    return definition.name


def _typed(definition: wire.Definition, value: str) -> str:
    asked = parameter_type(definition)
    if asked is ParameterType.BOOLEAN:
        if not is_yes(value) and value.strip().lower() not in _NO:
            raise UsageError(f"`{definition.name}` is yes or no, not `{value[:40]}`.")
        return "true" if is_yes(value) else "false"
    if asked is ParameterType.CHOICE and value not in (definition.choices or ()):
        shown = ", ".join(f"`{choice}`" for choice in (definition.choices or ())[:20])
        raise UsageError(f"`{definition.name}` can't be `{value[:40]}`.", hint=f"Choices: {shown}.")
    return value


def _declared(by_name: Mapping[str, wire.Definition], wanted: str) -> str:
    if not by_name:
        return "It takes no parameters at all."
    near = [name for name in by_name if name.lower() == wanted.lower()]
    return f"It declares {', '.join(f'`{name}`' for name in (near or list(by_name)[:20]))}."
