"""Lists of builds: of a pipeline, of a connection, of all connections, a page at a time."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.blocks.build import build_list
from bot.core.errors import ProviderError, Unsupported, UsageError
from bot.core.models import Build, BuildFilter, Ref
from bot.core.workers import in_worker
from bot.providers.base.options import names_option
from bot.providers.base.provider import AnyProvider
from bot.security.redaction import redact
from commands.core.actions import noted
from commands.core.context import Answer, Context, File
from commands.core.listings import pipeline_names, recent_builds
from commands.core.matches import PipelineMatch
from commands.core.stories import stories_of
from commands.look.build_filters import (
    Filters,
    build_filter,
    check_list_options,
    check_states,
    narrowed_here,
)
from commands.look.details import filled

MOST = 25
MOST_READ = 10
MOST_SKIPPED = 500
MOST_PIPELINES = 10
"""Pipelines of a connection that are polled one by one where its system has no list of a whole account."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Which part of a list to show: `limit` builds after the first `skip`. `verb` is what lists them again."""

    limit: int
    skip: int = 0
    verb: str = "list builds"

    @property
    def end(self) -> int:
        """Return how many builds to ask for: one more than shown, to know whether there are more."""
        return self.skip + self.limit + 1

    def of(self, builds: Sequence[Build]) -> list[Build]:
        """Return the builds of this page."""
        return list(builds[self.skip : self.skip + self.limit])

    def more(self, builds: Sequence[Build], target: str, filters: Filters) -> str | None:
        """Return the command of the next page, None where this is the last one."""
        if len(builds) < self.end or self.skip + self.limit > MOST_SKIPPED:
            return None
        words = (self.verb, target, filters.words, f"--skip {self.skip + self.limit}")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What one connection lists, newest first, and what is to be said about it.

    `read` says how many of its pipelines were polled one by one, "" where its system has a list of all.
    """

    builds: tuple[Build, ...] = ()
    notes: tuple[str, ...] = ()
    read: str = ""


async def of_pipeline(
    pipeline: PipelineMatch, ref: Ref | None, context: Context, *, page: ListPage, filters: Filters, public: bool
) -> Answer:
    """Return a page of a pipeline's newest builds.

    Costs one listing, and a request for each of ten builds at most where the listing leaves out when they ended.
    """
    check_states(filters.states, [pipeline.provider])
    check_list_options(filters.options, pipeline.provider)
    if filters.options and (sent := await pipeline.provider.as_sent(pipeline.id, None, filters.options)) is not None:
        return Answer(file=await sent_file(sent, pipeline.name, private=not public))
    query = await build_filter(filters, context, page.end)
    listed = [build async for build in recent_builds(pipeline, ref, narrow=query, limit=page.end)]
    builds = await filled(page.of(listed), pipeline, context, ask=lambda each: each[:MOST_READ])
    stories = await stories_of(builds, context)
    message = build_list(
        stories.builds,
        facts=stories.facts,
        title=f"{pipeline.name}{f' on {ref}' if ref else ''}",
        labels={(pipeline.connection, pipeline.id): pipeline.name},
        now=context.now,
        footer=_footer(builds, (narrowed_here(query, pipeline.provider),), none=f"{pipeline.name} has no such builds."),
        more_command=page.more(listed, pipeline.spoken(ref=ref), filters),
    )
    return Answer(message=noted(message, pipeline), public=public)


async def of_connections(
    providers: Sequence[AnyProvider], context: Context, *, page: ListPage, filters: Filters, target: str, public: bool
) -> Answer:
    """Return a page of the newest builds of connections, all polled at once.

    Costs a listing for each connection whose system lists a whole account, else one for each of ten pipelines.
    """
    check_states(filters.states, providers)
    able = [provider for provider in providers if _takes(provider, filters)]
    if not able:
        check_list_options(filters.options, providers[0])
    query = await build_filter(filters, context, page.end)
    lists = await asyncio.gather(
        *(_of_connection(provider, query, context, everywhere=not target) for provider in able)
    )
    merged = sorted((build for each in lists for build in each.builds), key=_made_at, reverse=True)
    builds = page.of(merged)
    unable = [
        f"{provider.connection} is left out: it can't filter by that." for provider in providers if provider not in able
    ]
    stories = await stories_of(builds, context)
    message = build_list(
        stories.builds,
        facts=stories.facts,
        title=f"Builds of {target or 'all connections'}",
        labels=await pipeline_names(builds, context),
        now=context.now,
        footer=_footer(
            builds,
            (*unable, *(note for each in lists for note in each.notes), _one_by_one(lists)),
            none="There are no such builds.",
        ),
        more_command=page.more(merged, target, filters),
    )
    return Answer(message=message, public=public)


def _takes(provider: AnyProvider, filters: Filters) -> bool:
    return all(names_option(name, provider.list_options) for name in filters.options)


def _one_by_one(lists: Sequence[Listed]) -> str:
    """Return which connections' pipelines were polled one by one, and how many of each."""
    read = [each.read for each in lists if each.read]
    return f"Asked pipeline by pipeline, for want of a list of all builds: {', '.join(read)}." if read else ""


async def _of_connection(provider: AnyProvider, query: BuildFilter, context: Context, *, everywhere: bool) -> Listed:
    """Return what a connection lists; what went wrong is a note, so that the others' builds are shown."""
    narrowed = narrowed_here(query, provider)
    notes = [narrowed] if narrowed else []
    if everywhere and provider.everywhere_option:
        query = replace(query, options={provider.everywhere_option: "true", **query.options})
    try:
        try:
            listing = provider.account_builds(query)
        except Unsupported:
            return await _of_pipelines(provider, query, context, notes)
        return Listed(builds=tuple([build async for build in listing]), notes=tuple(notes))
    except (ProviderError, UsageError) as exc:
        return Listed(notes=(f"{provider.connection}: {exc}",))


async def _of_pipelines(provider: AnyProvider, query: BuildFilter, context: Context, notes: Sequence[str]) -> Listed:
    """Return the builds of the pipelines that are linked somewhere in the workspace, then of others in the catalogue."""
    links = await context.store.links.all(context.team)
    rows = await context.services.catalogue.rows([provider])
    if not rows:
        await context.services.catalogue.refresh([provider])
        rows = await context.services.catalogue.rows([provider])
    linked = [link.pipeline for link in links if link.connection == provider.connection]
    pipelines = list(dict.fromkeys([*linked, *(row.pipeline for row in rows)]))
    polled = pipelines[:MOST_PIPELINES]
    lists = await asyncio.gather(*(_of_one(provider, pipeline, query) for pipeline in polled), return_exceptions=True)
    builds: list[Build] = []
    for pipeline, listed in zip(polled, lists, strict=True):
        if isinstance(listed, ProviderError):
            notes = (*notes, f"{provider.connection}:{pipeline}: {listed}")
        elif isinstance(listed, BaseException):
            raise listed
        else:
            builds += listed
    counted = f"{len(polled)} of {len(pipelines)}" if len(polled) < len(pipelines) else f"{len(polled)}"
    read = f"{provider.connection} ({counted})"
    return Listed(builds=tuple(sorted(builds, key=_made_at, reverse=True)), notes=tuple(notes), read=read)


async def _of_one(provider: AnyProvider, pipeline: str, query: BuildFilter) -> list[Build]:
    return [build async for build in provider.builds(pipeline, query)]


async def sent_file(sent: bytes, name: str, *, private: bool) -> File:
    """Return what a CI system sent as a file, its secrets masked."""
    text = await in_worker(redact, sent.decode("utf-8", "replace"))
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    return File(name=f"{stem}.json", content=text.encode(), title=f"{name}, as it was sent", private=private)


def _made_at(build: Build) -> datetime:
    return build.created_at or build.started_at or build.completed_at or LONG_AGO


def _footer(builds: Sequence[Build], notes: Sequence[str], *, none: str) -> str | None:
    """Return the small print below a list."""
    return " ".join(filter(None, ("" if builds else none, *notes))) or None
