"""The commits between two that people name: compared by a code host, else those that stored builds name, in order."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bot.blocks.text import Markup, code, escape
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Build, BuildFilter, Commit, Ref, RefKind, parse_ref
from bot.core.text import repository_key
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context
from commands.core.grammar import parse_target
from commands.core.listings import recent_builds
from commands.core.matches import PipelineMatch, age_of, number_of
from commands.core.resolve import resolve_build

WHOLE_SHA = 40
MOST_COMMITS = 1000
MOST_STORED = 500
_NUMBER = re.compile(r"#?[0-9]{1,15}", re.ASCII)
_BUILD_WORDS = frozenset({"green", "failed", "last"})


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a range: its commit, as people named it, and the build that names it where one does."""

    sha: str
    words: str
    build: Build | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The commits after `good` up to `bad`, oldest first. With `is_complete` none is missing."""

    good: End
    bad: End
    commits: tuple[Commit, ...]
    is_complete: bool
    branch: str


async def end_of(word: str, pipeline: PipelineMatch, context: Context) -> End:
    """Return the commit that a word names: a SHA, a build's number or address, `green`, `failed`, a branch or a tag.

    A branch or tag is its newest build's commit. Raises NotFound, UsageError. Costs a listing, or a build.
    """
    text = word.strip()
    is_word = text.lower() in _BUILD_WORDS
    if _NUMBER.fullmatch(text) and not (len(text) >= 7 and not text.startswith("#")):
        text = f"#{text.removeprefix('#')}"
    if text.startswith(("#", "http://", "https://")) or is_word:
        target = parse_target(f"#{text}" if is_word else text)
        if target.url is None:
            target = replace(target, pipeline=pipeline.key)
        match = await resolve_build(target, context, acting=False, verb="bisect")
        if not match.build.commit:
            raise UsageError(f"{match.provider.label} names no commit of {match.name}.", hint="Name it by its SHA.")
        return End(sha=match.build.commit.lower(), words=f"{number_of(match.build)}", build=match.build)
    ref = parse_ref(text.removeprefix("@"))
    if ref.kind is RefKind.COMMIT:
        return await _commit(ref.name.lower(), pipeline, context)
    async for build in recent_builds(pipeline, ref):
        if build.commit:
            return End(sha=build.commit.lower(), words=str(ref), build=build)
    raise UsageError(
        f"No build of `{ref}` in {pipeline.name} names a commit, so I can't tell which commit it is.",
        hint="Name a commit by its SHA, or a build: `#412`.",
    )


async def _commit(sha: str, pipeline: PipelineMatch, context: Context) -> End:
    visible = [provider.connection for provider in context.providers()]
    stored = await context.store.builds.of_commit(sha, visible)
    whole = sorted({build.commit.lower() for build in stored if build.commit})
    if len(whole) > 1:
        names = ", ".join(f"`{name[:12]}`" for name in whole[:3])
        raise UsageError(f"`{sha}` is the beginning of several commits: {names}.", hint="Write more of it.")
    if not whole and len(sha) < WHOLE_SHA:
        raise UsageError(
            f"No build here has a commit that begins with `{sha}`.", hint="Write the whole SHA, or a build: `#412`."
        )
    own = next(
        (build for build in stored if (build.connection, build.pipeline) == (pipeline.connection, pipeline.id)), None
    )
    build = own or next(iter(stored), None)
    return End(sha=whole[0] if whole else sha, words=number_of(own) if own is not None else sha[:7], build=build)


async def range_of(pipeline: PipelineMatch, good: End, bad: End, context: Context) -> Range:
    """Return the commits after one end up to another. Raises UsageError where they are not known, and what to do.

    They are compared by the pipeline's own system, else by another connection of the same repository, else read from
    the stored builds of the branch. Costs one request where somebody compares.
    """
    if good.sha == bad.sha:
        raise UsageError(f"Both are the same commit, {good.sha[:7]}.", hint="Name an earlier commit that passed.")
    branch = next((build.branch for build in (bad.build, good.build) if build and build.branch), "") or pipeline.branch
    repository = await _repository(pipeline.connection, pipeline.id, context)
    for provider, known_as in await _comparing(pipeline, repository, context):
        try:
            compared = await provider.commits(known_as, good.sha, bad.sha)
        except ProviderError:
            continue
        commits = tuple(reversed(compared))
        if commits and commits[-1].sha.lower() == bad.sha and len(commits) <= MOST_COMMITS:
            return Range(good=good, bad=bad, commits=commits, is_complete=True, branch=branch)
    ordered = await _stored(pipeline, repository, branch, context)
    place = {commit.sha: number for number, commit in enumerate(ordered)}
    first, last = place.get(good.sha), place.get(bad.sha)
    if first is None or last is None:
        unknown = good if first is None else bad
        raise UsageError(
            f"I don't know the commits between {good.sha[:7]} and {bad.sha[:7]}: {pipeline.provider.label} does not "
            f"compare them for me, and no stored build of {f'`{branch}`' if branch else 'its branch'} has {unknown.sha[:7]}.",
            hint="Connect the code host of the repository (GitHub or GitLab), or name two builds that I have seen: "
            f"`{context.command} list builds {pipeline.typed}`.",
        )
    if first > last:
        raise UsageError(
            f"{good.sha[:7]} was built after {bad.sha[:7]}: the good commit has to come first.",
            hint="Swap `--good` and `--bad`, if that is what you meant.",
        )
    return Range(good=good, bad=bad, commits=tuple(ordered[first + 1 : last + 1]), is_complete=False, branch=branch)


async def _comparing(pipeline: PipelineMatch, repository: str, context: Context) -> Sequence[tuple[AnyProvider, str]]:
    """Return who compares commits of a pipeline's repository, with the id it knows it by; the pipeline's own first."""
    own = [(pipeline.provider, pipeline.id)] if pipeline.provider.can(Capability.COMMITS) else []
    if not repository:
        return own
    comparing = {
        provider.connection: provider
        for provider in context.providers()
        if provider.can(Capability.COMMITS) and provider.connection != pipeline.connection
    }
    named: dict[str, str] = {}
    for row in await context.store.pipelines.all(connections=sorted(comparing)):
        if repository_key(row.repository) == repository:
            named.setdefault(row.connection, row.pipeline)
    return [*own, *((comparing[connection], pipeline_id) for connection, pipeline_id in named.items())]


async def _stored(pipeline: PipelineMatch, repository: str, branch: str, context: Context) -> list[Commit]:
    """Return the commits that stored builds of a branch name, oldest first, of all pipelines of the repository."""
    if not branch:
        return []
    pipelines = {(pipeline.connection, pipeline.id)}
    if repository:
        visible = sorted(provider.connection for provider in context.providers())
        for row in await context.store.pipelines.all(connections=visible):
            if repository_key(row.repository) == repository:
                pipelines.add((row.connection, row.pipeline))
    builds: list[Build] = []
    for connection, pipeline_id in sorted(pipelines):
        builds += await context.store.builds.of_pipeline(connection, pipeline_id, branch=branch, limit=MOST_STORED)
    listing = BuildFilter(branch=branch, limit=100)
    with contextlib.suppress(ProviderError):
        builds += [build async for build in pipeline.provider.builds(pipeline.id, listing)]
    ref = Ref(kind=RefKind.BRANCH, name=branch)
    return in_order(build for build in builds if build.history_ref == ref)


def in_order(builds: Iterable[Build]) -> list[Commit]:
    """Return the commits of builds, each once, in the order in which they were first built, oldest first."""
    first: dict[str, Build] = {}
    for build in builds:
        sha = (build.commit or "").lower()
        if sha and (sha not in first or age_of(build) < age_of(first[sha])):
            first[sha] = build
    return [
        Commit(
            sha=sha,
            subject=build.subject or "",
            author=(build.author.name or build.author.login or "") if build.author else "",
        )
        for sha, build in sorted(first.items(), key=lambda item: age_of(item[1]))
    ]


async def _repository(connection: str, pipeline: str, context: Context) -> str:
    row = await context.store.pipelines.get(connection, pipeline)
    return repository_key(row.repository) if row is not None else ""


def end_words(end: End) -> Markup:
    """Return an end as a sentence names it: the commit, and the build or ref it was named by."""
    short = code(end.sha[:7])
    return short if end.words == end.sha[:7] else Markup(f"{short} ({escape(end.words)})")
