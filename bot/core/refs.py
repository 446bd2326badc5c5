"""The names under which one ref is known. Pure."""

import re

from bot.core.models import Build

_FULL_REF = re.compile(r"^(?:refs/)?(?:(?:heads|tags)/|(?:remotes/)?origin/)")
_PULL_REQUEST = re.compile(
    r"^(?:refs/)?(?:remotes/[^/]{1,100}/)?(?:(?:pull|pulls|merge-requests|pull-requests|pr)/|(?:PR|MR)-)(\d{1,15})(?![^/-])",
    re.IGNORECASE,
)
"""How the pull requests of code hosts are called where a branch is expected: `refs/pull/42/merge`, `PR-42`."""


def spellings_of(ref: str) -> frozenset[str]:
    """Return the names under which a ref is protected: as sent, without git's prefixes, and as the pull request it stands for."""
    name = ref.strip().lstrip("+").strip("/")
    spellings = {ref, name}
    while (shorter := _FULL_REF.sub("", name)) != name:
        name = shorter
        spellings.add(name)
    return frozenset(
        spellings | {f"pr:{match[1]}" for spelling in spellings if (match := _PULL_REQUEST.match(spelling))}
    )


def refs_of_build(build: Build) -> tuple[str, ...]:
    """Return the refs that rights on a build are judged on: its branch, its tag, its pull request (`pr:42`).

    A fork's branch is left out: it has nothing but its name in common with ours.
    """
    branch = None if build.from_fork else build.branch
    return named_refs(branch, build.tag, build.pull_request)


def named_refs(branch: str | None, tag: str | None, pull_request: str | None) -> tuple[str, ...]:
    """Return refs by name, those that are there: a branch, a tag, a pull request (`pr:42`)."""
    return tuple(ref for ref in (branch, tag, f"pr:{pull_request}" if pull_request else None) if ref)
