"""What is sent to CircleCI to start a pipeline."""

import re
from collections.abc import Mapping

from bot.core.errors import UsageError
from bot.core.models import Ref, RefKind, StartRequest
from bot.providers.circleci import convert, urls, wire

START_OPTIONS: Mapping[str, str] = {
    "definition": "name or id of the pipeline definition, where a project has several",
    "config_branch": "the branch that the configuration is taken from, where it is not the one that is built",
    "merge": "yes to build a pull request as merged into its target",
}
YES = frozenset({"yes", "true", "1", "on", ""})
NO = frozenset({"no", "false", "0", "off"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PULL = re.compile(r"pull/([0-9]+)(?:/(?:head|merge))?")
_BY_ITSELF = re.compile(r"webhook|schedul|push|pull|merge|gitlab", re.IGNORECASE)


def check(request: StartRequest) -> None:
    """Raise UsageError for what CircleCI can't take, and for an option that is not there."""
    for name in request.options:
        if name not in START_OPTIONS:
            known = ", ".join(f"`{known}`" for known in START_OPTIONS)
            raise UsageError(f"CircleCI has no option `{name}`.", hint=f"There are {known}.")
    if request.commit or (request.ref and request.ref.kind is RefKind.COMMIT):
        raise UsageError("CircleCI builds branches and tags, not single commits.", hint="Name a branch or `tag:NAME`.")
    if request.message:
        raise UsageError(
            "CircleCI takes no message with a build.",
            hint="If its configuration declares a parameter for it, give that: `NAME=VALUE`.",
        )


def source(ref: Ref, slug: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return what to build: one branch or one tag. Raises UsageError."""
    merged = options.get("merge", "no").strip().lower()
    if merged not in YES | NO:
        raise UsageError(f"`merge` is yes or no, not `{merged[:40]}`.")
    if ref.kind is RefKind.TAG:
        return {"tag": ref.name}
    if ref.kind is not RefKind.PULL_REQUEST:
        return {"branch": ref.name}
    if urls.short(slug).startswith("bb/"):
        raise UsageError("CircleCI builds pull requests by number only for GitHub.", hint="Name the branch.")
    if not re.fullmatch(r"[0-9]{1,12}", ref.name):
        raise UsageError(f"A pull request has a number; `{ref.name[:40]}` is none.")
    return {"branch": f"pull/{ref.name}/{'merge' if merged in YES else 'head'}"}


def again(it: wire.PipelineWire) -> Ref | None:
    """Return the branch or tag to build for the same as `it`, None where it does not say."""
    tag, branch = convert.tag(it), convert.branch(it)
    if tag:
        return Ref(kind=RefKind.TAG, name=tag)
    pull = _PULL.fullmatch(branch or "")
    if pull:
        return Ref(kind=RefKind.PULL_REQUEST, name=pull[1])
    return Ref(kind=RefKind.BRANCH, name=branch) if branch else None


def is_uuid(text: str) -> bool:
    """Return whether a text is one of CircleCI's ids."""
    return _UUID.fullmatch(text) is not None


def fits(it: wire.PipelineWire, wanted: Mapping[str, str]) -> bool:
    """Return whether a pipeline may be the one just asked for: of that branch or tag, and not of an event's making."""
    kinds = (
        it.trigger.type if it.trigger else None,
        it.trigger_parameters.circleci.event_type if it.trigger_parameters and it.trigger_parameters.circleci else None,
    )
    if any(kind and _BY_ITSELF.search(kind) for kind in kinds):
        return False
    if "tag" in wanted:
        return convert.tag(it) == wanted["tag"]
    return _plain(convert.branch(it)) == _plain(wanted.get("branch"))


def _plain(branch: str | None) -> str | None:
    return branch.removesuffix("/head").removesuffix("/merge") if branch and branch.startswith("pull/") else branch
