"""The names under which one ref is known, and which values of a start name refs. Pure."""

import re
from collections.abc import Mapping

from bot.core.models import Build

_FULL_REF = re.compile(r"^(?:refs/)?(?:(?:heads|tags)/|remotes/[^/]{1,100}/|origin/)")
_REVISION = re.compile(r"[~^:]|@\{")
"""Where git's words for a revision leave the ref's name, which never holds these."""
_PATTERN = re.compile(r"[*?\[]|\{[^{}]*,[^{}]*\}")
"""What makes a text a pattern rather than a ref; git refuses the first three in names."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_REF_WORDS = frozenset(
    {"ref", "refs", "refname", "refspec", "gitref", "rev", "revision", "committish", "commitish", "treeish"}
    | {"commit", "sha", "sha1", "checkout"}
)
_TAG_WORDS = frozenset({"tag", "tags", "name", "git", "ci", "scm", "vcs", "commit", "source", "release", "checkout"})
_TAG_OF_VENDOR = re.compile(
    r"(?:CI|BUILDKITE|TRAVIS|BITBUCKET|GITHUB|CIRCLE|BUILD|SYSTEM|DRONE)[_.](?:\w{1,40}[_.])?TAG", re.IGNORECASE
)
_PULL_REQUEST = re.compile(
    r"^(?:refs/)?(?:remotes/[^/]{1,100}/)?(?:(?:pull|pulls|merge-requests|pull-requests|pr)/|(?:PR|MR)-)(\d{1,15})(?![^/-])",
    re.IGNORECASE,
)
"""How the pull requests of code hosts are called where a branch is expected: `refs/pull/42/merge`, `PR-42`."""


def spellings_of(ref: str) -> frozenset[str]:
    """Return the names under which a ref is protected: as sent, without git's prefixes, and as the pull request it stands for."""
    name = _REVISION.split(ref.strip().lstrip("+"))[0].strip().strip("/")
    spellings = {ref, name}
    while (shorter := _FULL_REF.sub("", name)) != name:
        name = shorter
        spellings.add(name)
    return frozenset(
        spellings | {f"pr:{match[1]}" for spelling in spellings if (match := _PULL_REQUEST.match(spelling))}
    )


def is_pattern(ref: str) -> bool:
    """Return whether a text is a pattern, which may stand for any ref."""
    return _PATTERN.search(ref) is not None


def refs_in_values(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the refs that a build's values name: those whose name speaks of a branch, a ref, a tag or a commit.

    Jobs check out what such values say, or take a build for that branch's: `CI_COMMIT_BRANCH=main`, `inputs.ref`. A value
    may hold several. A whole ref (`refs/heads/main`) counts under any name.
    """
    refs: list[str] = []
    for name, value in values.items():
        if names_a_ref(name):
            refs += [value, *re.split(r"[\s,;]+", value)]
        elif value.strip().lstrip("+").startswith("refs/"):
            refs.append(value)
    return tuple(ref for ref in dict.fromkeys(refs) if ref)


def names_a_ref(name: str) -> bool:
    """Return whether a parameter's name says that its value is a branch, a ref, a tag or a commit.

    A tag counts where the name says nothing else, such as an image's.
    """
    words = {word.lower() for word in _WORD.findall(name)}
    is_tag = bool({"tag", "tags"} & words) and words <= _TAG_WORDS
    return is_tag or "branch" in name.lower() or bool(_REF_WORDS & words) or _TAG_OF_VENDOR.fullmatch(name) is not None


def refs_of_build(build: Build) -> tuple[str, ...]:
    """Return the refs that rights on a build are judged on: its branch, its tag, its pull request (`pr:42`).

    A fork's branch is left out: it has nothing but its name in common with ours.
    """
    branch = None if build.from_fork else build.branch
    return named_refs(branch, build.tag, build.pull_request)


def named_refs(branch: str | None, tag: str | None, pull_request: str | None) -> tuple[str, ...]:
    """Return refs by name, those that are there: a branch, a tag, a pull request (`pr:42`)."""
    return tuple(ref for ref in (branch, tag, f"pr:{pull_request}" if pull_request else None) if ref)
