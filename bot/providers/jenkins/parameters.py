"""The parameters that a job declares, and what a start puts into them.

A ref, a commit and a message have no place of their own at Jenkins: they go into parameters that the job declares.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bot.core.errors import UnexpectedResponse, UsageError
from bot.core.models import Approval, Parameter, ParameterType, Ref, RefKind, StartRequest, StartTarget
from bot.core.refs import names_a_ref
from bot.core.text import same_name
from bot.providers.jenkins import wire

BRANCH_PARAMETERS = ("BRANCH", "BRANCH_NAME", "GIT_BRANCH", "BRANCH_TO_BUILD", "GIT_REF", "REF", "BRANCH_OR_TAG")
TAG_PARAMETERS = ("TAG", "TAG_NAME", "GIT_TAG")
COMMIT_PARAMETERS = ("COMMIT", "GIT_COMMIT", "COMMIT_SHA", "COMMIT_ID", "SHA1", "SHA", "REVISION")
PULL_REQUEST_PARAMETERS = ("PR", "PR_NUMBER", "PULL_REQUEST", "PULL_REQUEST_ID", "CHANGE_ID")
MESSAGE_PARAMETERS = ("MESSAGE", "BUILD_MESSAGE", "REASON", "CAUSE")

_YES = frozenset({"true", "yes", "1", "on"})
_NO = frozenset({"false", "no", "0", "off", ""})
_REMOTE = "origin/"
_PREFIX = re.compile(r"^(?:(?:refs/)?heads/|(?:refs/)?(?:remotes/)?origin/|refs/remotes/)")
_ANY_REMOTE = re.compile(r"^(?:refs/)?(?:remotes/)?\*\*?/")
_PATTERN = re.compile(r"[*?$\[]|^:")
"""In a branch parameter's default: a pattern or a variable, which is no branch."""
_CHOOSES_REF = re.compile(r"Git|Branch|Revision|Tags?Parameter", re.IGNORECASE)
"""In the classes of parameters with which plugins let a person choose what is checked out."""
_SECRET_TYPES = ("Password", "Credentials", "NonStored", "Vault")


# what is declared


def kind(class_: str) -> str:
    """Return a Java class's own name."""
    return re.split(r"[.$]", class_)[-1]


def definitions(raw: wire.Item) -> tuple[wire.Definition, ...]:
    """Return the parameters that a job declares."""
    declared: list[wire.Definition] = []
    for payload in raw.property or ():
        try:
            declared += wire.Property.of(payload).parameter_definitions or ()
        except UnexpectedResponse:  # a setting of a plugin
            continue
    return tuple(declared)


def parameter(raw: wire.Definition) -> Parameter:
    """Return a declared parameter. Jenkins has no required ones: what is missing gets its default."""
    type_ = parameter_type(raw)
    default = raw.default_parameter_value.value if raw.default_parameter_value else None
    return Parameter(
        name=raw.name,
        type=type_,
        choices=tuple((choice, choice) for choice in raw.choices or ()),
        default=None if type_ is ParameterType.SECRET else text_of(default),
        help=wire.html_text(raw.description) or None,
    )


def parameter_type(raw: wire.Definition) -> ParameterType:
    """Return how a parameter is asked for; types of plugins we don't know are text, or a choice where they list some."""
    name = kind(raw.class_ or raw.type or "")
    if is_secret(name):
        return ParameterType.SECRET
    if name.startswith("Boolean"):
        return ParameterType.BOOLEAN
    return ParameterType.CHOICE if raw.choices else ParameterType.TEXT


def is_file(raw: wire.Definition) -> bool:
    """Return whether a parameter is an uploaded file."""
    return "File" in kind(raw.class_ or raw.type or "")


def is_secret(class_or_type: str) -> bool:
    """Return whether a parameter of this type is hidden."""
    return kind(class_or_type).startswith(_SECRET_TYPES)


def text_of(value: object) -> str | None:
    """Return a value as a person types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def is_yes(value: str) -> bool:
    """Return whether a person's word says yes."""
    return value.strip().lower() in _YES


def find(declared: Iterable[wire.Definition], names: Sequence[str]) -> wire.Definition | None:
    """Return the declared parameter that is called like one of these, in their order, whatever its case."""
    by_name = {definition.name.upper(): definition for definition in declared}
    return next((by_name[name] for name in names if name in by_name), None)


def branch_default(declared: Iterable[wire.Definition], *, keep_remote: bool = False) -> str | None:
    """Return the branch that a job builds when none is given, where a parameter says so; None for a pattern."""
    definition = find(declared, BRANCH_PARAMETERS)
    default = definition.default_parameter_value if definition else None
    text = (text_of(default.value) if default else None) or None
    if text is None or _PATTERN.search(text):
        return None
    return text if keep_remote else plain_branch(text)


def plain_branch(name: str) -> str:
    """Return a branch as people call it, without `refs/heads/` and its remote."""
    return _PREFIX.sub("", name.strip(), count=1)


# what is given


def form(declared: Sequence[wire.Definition], values: Mapping[str, str]) -> dict[str, str]:
    """Return what a person gave as Jenkins takes it. Raises UsageError: Jenkins itself drops unknown names silently."""
    by_name = {definition.name: definition for definition in declared}
    sent: dict[str, str] = {}
    for name, value in values.items():
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
    values = dict(request.parameters)
    if ref is not None:
        name, value = _ref_value(declared, ref)
        values.setdefault(name, value)
    if request.commit and not (ref is not None and ref.kind is RefKind.COMMIT):
        values.setdefault(_named(declared, COMMIT_PARAMETERS, "a commit"), request.commit)
    if request.message:
        values.setdefault(_named(declared, MESSAGE_PARAMETERS, "a message"), request.message)
    return values


def _ref_value(declared: Sequence[wire.Definition], ref: Ref) -> tuple[str, str]:
    if ref.kind is RefKind.COMMIT:
        return _named(declared, COMMIT_PARAMETERS, f"the commit {ref.name[:12]}"), ref.name
    if ref.kind is RefKind.PULL_REQUEST:
        return _named(declared, PULL_REQUEST_PARAMETERS, f"pull request {ref.name}"), ref.name
    if ref.kind is RefKind.TAG:
        definition = find(declared, TAG_PARAMETERS)
        if definition is not None:
            return definition.name, ref.name
        return _named(declared, BRANCH_PARAMETERS, f"the tag {ref.name}"), f"refs/tags/{ref.name}"
    name = _named(declared, BRANCH_PARAMETERS, f"the branch {ref.name}")
    has_remote = (branch_default(declared, keep_remote=True) or "").startswith(_REMOTE)
    return name, f"{_REMOTE}{ref.name}" if has_remote else ref.name


def same_values(sent: Mapping[str, str], values: Iterable[wire.ParameterValue], secret: Iterable[str]) -> bool:
    """Return whether a build was given what was sent, secrets aside: those are not reported."""
    hidden = set(secret)
    recorded = {value.name: text_of(value.value) for value in values}
    return all(recorded.get(name) == value for name, value in sent.items() if name not in hidden)


def sent_value(declared: Sequence[wire.Definition], sent: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the value that goes out in the parameter called like one of `names`, None where there is none."""
    values = [sent.get(definition.name) for name in names for definition in declared if definition.name.upper() == name]
    return next((value for value in values if value), None)


def given_branch(declared: Sequence[wire.Definition], sent: Mapping[str, str]) -> str | None:
    """Return the branch that goes out, else the one that the job takes when none is given.

    Raises UsageError where two parameters name different branches: which one is built is unknown then.
    """
    named = {
        definition.name: sent[definition.name]
        for definition in declared
        if definition.name.upper() in BRANCH_PARAMETERS and sent.get(definition.name)
    }
    branches = {sent_branch(value) for value in named.values()}
    if len(branches) > 1:
        shown = " and ".join(f"`{name}={value[:80]}`" for name, value in named.items())
        raise UsageError(f"{shown} name different branches.", hint="Give one of them.")
    return branches.pop() if branches else branch_default(declared)


def chosen_refs(declared: Iterable[wire.Definition], sent: Mapping[str, str]) -> tuple[str, ...]:
    """Return the refs that parameters of the Git plugins choose, whatever they are called: as sent, else their default."""
    values = [
        sent.get(definition.name)
        or text_of(definition.default_parameter_value and definition.default_parameter_value.value)
        for definition in declared
        if _CHOOSES_REF.search(kind(definition.class_ or definition.type or ""))
    ]
    return tuple(value for value in values if value)


def default_refs(declared: Iterable[wire.Definition]) -> tuple[str, ...]:
    """Return the refs that a job builds when none is given, as parameters whose names speak of refs say."""
    values = [
        text_of(definition.default_parameter_value.value)
        for definition in declared
        if definition.default_parameter_value is not None and names_a_ref(definition.name)
    ]
    return tuple(value for value in values if value)


def refs_given(values: Mapping[str, str]) -> StartTarget:
    """Return what values by parameter name make a job build, whatever it declares; all branches that they name."""
    branches = [sent_branch(value) for name, value in values.items() if value and name.upper() in BRANCH_PARAMETERS]

    def first(names: Sequence[str]) -> str | None:
        return next((value for name, value in values.items() if value and name.upper() in names), None)

    return StartTarget(
        branch=branches[0] if branches else None,
        tag=first(TAG_PARAMETERS),
        commit=first(COMMIT_PARAMETERS),
        pull_request=first(PULL_REQUEST_PARAMETERS),
        also=tuple(branches[1:]),
    )


def sent_branch(value: str) -> str:
    """Return the branch that a value makes Jenkins build. Raises UsageError for a pattern, which may be any branch.

    A wildcard for the remote alone (`*/main`) is Jenkins' own way to write a branch.
    """
    branch = plain_branch(_ANY_REMOTE.sub("", value.strip(), count=1))
    if _PATTERN.search(branch):
        raise UsageError(f"`{value[:80]}` is a pattern and may be any branch.", hint="Name the branch.")
    return branch


def input_form(approval: Approval, answers: Mapping[str, str]) -> dict[str, str] | None:
    """Return what an input step takes, None where it asks for nothing. Raises UsageError for unknown fields."""
    unknown = answers.keys() - {field.name for field in approval.fields}
    if unknown:
        field_names = ", ".join(f"`{field.name}`" for field in approval.fields)
        raise UsageError(
            f"{approval.name} does not ask for {', '.join(f'`{name}`' for name in sorted(unknown))}.",
            hint=f"It asks for {field_names}." if field_names else "It asks for nothing.",
        )
    if not approval.fields:
        return None
    values = []
    for field in approval.fields:
        value = answers.get(field.name, field.default)
        if value is not None:
            is_flag = field.type is ParameterType.BOOLEAN
            values.append({"name": field.name, "value": is_yes(value) if is_flag else value})
    return {"proceed": "Proceed", "json": msgspec.json.encode({"parameter": values}).decode()}


def _named(declared: Sequence[wire.Definition], names: Sequence[str], what: str) -> str:
    definition = find(declared, names)
    if definition is None:
        raise UsageError(
            f"This job declares no parameter for {what}, so I can't pass it on.",
            hint=f"I look for {', '.join(f'`{name}`' for name in names[:3])}; or give the job's own as KEY=VALUE.",
        )
    return definition.name


def _typed(definition: wire.Definition, value: str) -> str:
    type_ = parameter_type(definition)
    if type_ is ParameterType.BOOLEAN:
        if not is_yes(value) and value.strip().lower() not in _NO:
            raise UsageError(f"`{definition.name}` is yes or no, not `{value[:40]}`.")
        return "true" if is_yes(value) else "false"
    if type_ is ParameterType.CHOICE and value not in (definition.choices or ()):
        shown = ", ".join(f"`{choice}`" for choice in (definition.choices or ())[:20])
        raise UsageError(f"`{definition.name}` can't be `{value[:40]}`.", hint=f"Choices: {shown}.")
    return value


def _declared(by_name: Mapping[str, wire.Definition], name: str) -> str:
    if not by_name:
        return "It takes no parameters at all."
    near = [each for each in by_name if same_name(each, name)]
    return f"It declares {', '.join(f'`{name}`' for name in (near or list(by_name)[:20]))}."
