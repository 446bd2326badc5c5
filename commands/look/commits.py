"""The commits between two builds: from the CI system where it compares, else from the builds in between."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.blocks.text import DOT, code, link, plural, safe
from bot.core.errors import ProviderError
from bot.core.models import Build, BuildFilter, Commit
from bot.providers.base.capabilities import Capability
from commands.core.listings import RECENT
from commands.core.matches import BuildMatch

SHOWN = 10
MOST_BUILDS_READ = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """Commits, newest first. `is_complete` says that none is missing: else they are those that builds name."""

    commits: tuple[Commit, ...] = ()
    is_complete: bool = False


async def commits_between(match: BuildMatch, before: Build, after: Build) -> Commits:
    """Return what was committed after one build up to another of the same ref.

    Costs one comparison; where the system has none, one listing, and what it counts as new in each of ten builds.

    It is complete and empty where both have the same commit.
    """
    if not before.commit or before.commit == after.commit:
        is_same = bool(before.commit)
        return Commits(commits=() if is_same else commits_of([after]), is_complete=is_same)
    if after.commit and match.provider.can(Capability.COMMITS):
        try:
            compared = await match.provider.commits(after.pipeline, before.commit, after.commit)
        except ProviderError:
            compared = ()
        if compared:
            return Commits(commits=compared, is_complete=True)
    builds = await _builds_between(match, before, after)
    reported = await _reported(match, builds[:MOST_BUILDS_READ])
    if reported:
        return Commits(commits=reported, is_complete=len(builds) <= MOST_BUILDS_READ)
    return Commits(commits=commits_of(builds))


async def _reported(match: BuildMatch, builds: Sequence[Build]) -> tuple[Commit, ...]:
    """Return the commits that the CI system itself counts as new in builds, newest first, each once."""
    try:
        lists = await asyncio.gather(*(match.provider.commits_of(build.pipeline, build.id) for build in builds))
    except ProviderError:
        return ()
    return tuple({commit.sha: commit for commits in lists for commit in commits if commit.sha}.values())


def commits_of(builds: Iterable[Build]) -> tuple[Commit, ...]:
    """Return the commits of builds, each once, in their order."""
    commits: dict[str, Commit] = {}
    for build in builds:
        if build.commit:
            author = build.author.name or build.author.login or "" if build.author else ""
            made = Commit(sha=build.commit, subject=build.subject or "", author=author)
            commits.setdefault(build.commit, made)
    return tuple(commits.values())


async def _builds_between(match: BuildMatch, before: Build, after: Build) -> list[Build]:
    """Return the builds of a ref after one build up to another, newest first."""
    builds: list[Build] = []
    listing = BuildFilter(branch=after.branch, limit=RECENT)
    try:
        async for build in match.provider.builds(after.pipeline, listing):
            if build.history_ref != after.history_ref:
                continue
            if build.id == before.id:
                break
            if build.id == after.id or builds:
                builds.append(build)
    except ProviderError:
        return [after]
    return [build for build in builds if build.commit != before.commit] or [after]


def commit_lines(commits: Sequence[Commit], *, most: int = SHOWN) -> list[str]:
    """Return commits one a line, newest first, and how many more there are."""
    lines = [
        DOT.join(
            part
            for part in (
                f"• {link(commit.url, commit.sha[:7]) if commit.url else code(commit.sha[:7])} {safe(commit.subject, 72)}",
                safe(commit.author, 60),
            )
            if part
        )
        for commit in commits[:most]
    ]
    return [*lines, f"… {plural(len(commits) - most, 'more commit')}"] if len(commits) > most else lines
