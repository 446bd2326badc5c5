"""Reads of one owner's account: repositories, workflows, refs, and runs with their jobs.

Facts: GitHub's API description, read in August 2026; 100 items a page. There is no list of all workflows of an owner.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import msgspec
from cachetools import LRUCache, TTLCache

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, UnexpectedResponse, UsageError
from bot.core.models import Build, Commit, Job, Pipeline, Ref, RefKind
from bot.core.text import folded, holds_name, same_name
from bot.http.client import ApiClient, Query
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.urls import path
from bot.providers.github_actions import convert, urls, wire
from bot.providers.github_actions.convert import PER_PAGE
from bot.providers.github_actions.errors import LABEL
from bot.providers.github_actions.options import GitHubOptions
from bot.providers.github_actions.urls import Location

REF_PAGES = 3
JOB_PAGES = 10
ARTIFACT_PAGES = 10
MOST_REPOSITORIES = 200
MOST_SUITES = 512
AT_ONCE = 8
OWNER_KIND_LIFE = timedelta(hours=1)
"""How long an owner that was no organization is taken for a user."""


class Client:
    """What one connection can read of its owner's repositories."""

    def __init__(self, api: ApiClient, options: GitHubOptions, *, connection: str, clock: Clock) -> None:
        self._api = api
        self._options = options
        self.connection = connection
        self._users: TTLCache[str, bool] = TTLCache(
            1, ttl=OWNER_KIND_LIFE.total_seconds(), timer=lambda: clock().timestamp()
        )
        self._suites: LRUCache[str, int] = LRUCache(MOST_SUITES)

    def location(self, pipeline: str) -> Location:
        """Return where a pipeline is. Raises NotFound for what is no workflow of this connection's owner."""
        at = urls.location(pipeline, self._options.owner)
        if at is None:
            raise NotFound(
                f"`{pipeline[:80]}` names no workflow.",
                provider=LABEL,
                hint=f"A workflow is written {self._options.owner}/REPOSITORY/FILE.yml.",
            )
        if at.owner.lower() != self._options.owner.lower():
            raise NotFound(
                f"{self.connection} is for {self._options.owner}'s repositories, not for {at.owner}'s.",
                provider=LABEL,
            )
        return at

    # runs and jobs

    async def run(self, pipeline: str, build: str) -> wire.Run:
        """Return a run of the pipeline's repository, whichever workflow it belongs to. One request."""
        run = wire.Run.of((await self._api.get(self.location(pipeline).run(build))).raw)
        self._remember_suite(run)
        return run

    async def build(self, pipeline: str, build: str) -> Build:
        """Return a run as a build of its own workflow, without what its jobs would report. One request."""
        return self.as_build(await self.run(pipeline, build), pipeline)

    def as_build(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run as a build of its own workflow: of `pipeline` only where that is the one GitHub names."""
        self._remember_suite(run)
        return convert.build(run, self.connection, self._own_pipeline(run, pipeline))

    async def whole(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run as a build; a completed one with what its jobs report. Costs a request for these."""
        build = self.as_build(run, pipeline)
        return await self.with_jobs(build) if build.completed else build

    async def with_jobs(self, build: Build) -> Build:
        """Return a build with its jobs counted and its real end; as it is where the jobs cannot be read. One request."""
        try:
            return convert.with_its_jobs(build, await self.jobs(build.pipeline, build.id))
        except (NotFound, AuthFailed, UnexpectedResponse):
            return build

    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return the jobs of a run's latest attempt, or of all. One request for each hundred, ten at most."""
        query: Query = {"filter": "all" if all_attempts else "latest", "per_page": PER_PAGE}
        at = self.location(pipeline).run(build, "jobs")
        pages = self._api.pages(at, query, member="jobs", ceiling=JOB_PAGES)
        jobs = [
            job
            async for page in pages
            for job in parse_items(page, lambda raw: convert.job(wire.JobWire.of(raw), pipeline, build))
        ]
        return convert.attempts(jobs) if all_attempts else tuple(jobs)

    async def run_of_job(self, pipeline: str, job: str) -> str:
        """Return the id of the run that a job belongs to. One request; raises NotFound."""
        sent = wire.JobWire.of((await self._api.get(self.location(pipeline).job(job))).raw)
        if sent.run_id is None:
            raise NotFound("GitHub does not tell which run this job belongs to.", provider=LABEL)
        return str(sent.run_id)

    async def check_suite(self, pipeline: str, build: str) -> int | None:
        """Return the check suite of a run; costs a request where it was not seen lately."""
        suite = self._suites.get(build)
        return suite if suite is not None else (await self.run(pipeline, build)).check_suite_id

    def _remember_suite(self, run: wire.Run) -> None:
        if run.check_suite_id is not None:
            self._suites[str(run.id)] = run.check_suite_id

    def _own_pipeline(self, run: wire.Run, pipeline: str) -> str:
        """Return the id of a run's pipeline. The given one stays where it names the same workflow by its number."""
        at = self.location(pipeline)
        if run.workflow_id is None or at.workflow == str(run.workflow_id):
            return pipeline
        return f"{run.repository.full_name if run.repository else at.repository}/{run.workflow_id}"

    # workflows

    async def pipelines(self, query: str | None) -> AsyncIterator[Pipeline]:
        """Yield the workflows whose name or path holds `query`, those of the repositories last pushed to first."""
        needle = folded((query or "").strip())
        group = needle.rpartition("/")[0]
        repositories = [it async for it in self._repositories() if group in it.full_name.lower()]
        refusal: ProviderError | None = None
        has_read_any = False
        for start in range(0, len(repositories), AT_ONCE):
            batch = repositories[start : start + AT_ONCE]
            for workflows in await asyncio.gather(*(self._workflows_or_refusal(it) for it in batch)):
                if isinstance(workflows, ProviderError):
                    refusal = workflows
                    continue
                has_read_any = True
                for pipeline in workflows:
                    if needle in folded(pipeline.path) or needle in folded(pipeline.name):
                        yield pipeline
        if refusal is not None and not has_read_any:
            raise refusal

    async def pipeline(self, at: Location) -> Pipeline:
        """Return a workflow by its number, file, path or name, by a run or a job of it, or the only one of a repository.

        Two requests, one more for a run's and for one that is named otherwise, two more for a job's.
        """
        repository = await self._repository(at)
        word = at.workflow
        if word.startswith(urls.JOBS_PREFIX):
            word = urls.RUNS_PREFIX + await self.run_of_job(at.repository, word.removeprefix(urls.JOBS_PREFIX))
        if word.startswith(urls.RUNS_PREFIX):
            run = await self.run(at.repository, word.removeprefix(urls.RUNS_PREFIX))
            word = str(run.workflow_id or "")
        if word and "/" not in word:
            try:
                reply = await self._api.get(at.path("actions", "workflows", word))
                return convert.pipeline(wire.Workflow.of(reply.raw), repository.full_name, repository.default_branch)
            except NotFound:
                if urls.is_exact(word):
                    raise
        return await self._by_name(at, word, repository)

    async def exact(self, at: Location) -> Location:
        """Return a location with the workflow's number or file; it is looked for where it is named otherwise."""
        if urls.is_exact(at.workflow):
            return at
        return replace(at, workflow=(await self.pipeline(at)).id.rpartition("/")[2])

    async def default_branch(self, at: Location) -> str:
        """Return the branch to build where none is named. One request; raises UsageError where GitHub names none."""
        branch = (await self._repository(at)).default_branch
        if not branch:
            raise UsageError(f"{at.repository} has no default branch.", hint="Name one: `@BRANCH`.")
        return branch

    async def _repository(self, at: Location) -> wire.Repository:
        return wire.Repository.of((await self._api.get(at.path())).raw)

    async def _repositories(self) -> AsyncIterator[wire.Repository]:
        """Yield the owner's repositories that are in use, last pushed first, at most 200."""
        left = MOST_REPOSITORIES
        async for page in self._repository_pages():
            for repository in parse_items(page, wire.Repository.of):
                is_ours = repository.full_name.lower().startswith(f"{self._options.owner.lower()}/")
                if is_ours and not repository.archived and not repository.disabled:
                    left -= 1
                    yield repository
                if left <= 0:
                    return

    async def _repository_pages(self) -> AsyncIterator[list[msgspec.Raw]]:
        owner = self._options.owner
        if self._options.is_app:
            at, query = path("installation", "repositories"), {"per_page": PER_PAGE}
            async for page in self._api.pages(at, query, member="repositories", ceiling=SEARCH_PAGES):
                yield page
            return
        recent: Query = {"sort": "pushed", "per_page": PER_PAGE}
        if owner not in self._users:
            try:
                async for page in self._api.pages(path("orgs", owner, "repos"), recent, ceiling=SEARCH_PAGES):
                    yield page
            except NotFound:
                self._users[owner] = True
            else:
                return
        async for page in self._api.pages(path("user", "repos"), recent, ceiling=SEARCH_PAGES):
            yield page

    async def _workflows_or_refusal(self, repository: wire.Repository) -> list[Pipeline] | ProviderError:
        """Return a repository's workflows, or why they can't be read where that concerns this repository alone."""
        owner, _, name = repository.full_name.partition("/")
        try:
            return await self._workflows(Location(owner=owner, repo=name), repository)
        except NotFound as exc:
            return exc
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            return exc

    async def _workflows(self, at: Location, repository: wire.Repository) -> list[Pipeline]:
        query: Query = {"per_page": PER_PAGE}
        pages = self._api.pages(at.path("actions", "workflows"), query, member="workflows", ceiling=REF_PAGES)
        return [
            convert.pipeline(workflow, repository.full_name, repository.default_branch)
            async for page in pages
            for workflow in parse_items(page, wire.Workflow.of)
            if workflow.state != "deleted"
        ]

    async def _by_name(self, at: Location, word: str, repository: wire.Repository) -> Pipeline:
        """Return the workflow of that name or path; without one, the only workflow of a repository."""
        workflows = await self._workflows(at, repository)
        wanted = f"{repository.full_name}/{word}".lower()
        matches = [it for it in workflows if not word or same_name(word, it.name) or wanted == it.path.lower()]
        if len(matches) == 1:
            return matches[0]
        if matches:
            trouble = f"{len(matches)} workflows of {repository.full_name} fit."
        else:
            trouble = f"{repository.full_name} has no workflow{f' `{word}`' if word else 's'}."
        names = ", ".join(f"`{it.path}`" for it in (matches or workflows)[:20])
        raise NotFound(trouble, provider=LABEL, hint=f"There are {names}." if names else None)

    # refs

    async def refs(self, at: Location, query: str | None) -> AsyncIterator[Ref]:
        """Yield branches, then tags: all that begin with `query`, then those of the first 300 that hold it."""
        part = (query or "").strip()
        for kind, folder, listing in ((RefKind.BRANCH, "heads", "branches"), (RefKind.TAG, "tags", "tags")):
            seen: set[str] = set()
            async for name in self._ref_names(at, part, folder, listing):
                if name not in seen and holds_name(name, part):
                    seen.add(name)
                    yield Ref(kind=kind, name=name)

    async def commits(self, at: Location, base: str, head: str) -> tuple[Commit, ...]:
        """Return what lies between two commits, newest first. One request.

        https://docs.github.com/en/rest/commits/commits#compare-two-commits
        """
        reply = await self._api.get(at.path("compare", f"{base}...{head}"))
        commits = parse_items(
            wire.Comparison.of(reply.raw).commits, lambda raw: convert.commit(wire.CommitWire.of(raw))
        )
        return tuple(commits)[::-1]

    async def has_branch(self, at: Location, name: str) -> bool | None:
        """Return whether a repository has a branch; None where that cannot be read. One request."""
        try:
            await self._api.get(at.path("branches", name))
        except NotFound:
            return False
        except ProviderError:
            return None
        return True

    async def _ref_names(self, at: Location, query: str, folder: str, listing: str) -> AsyncIterator[str]:
        if query:
            reply = await self._api.get(at.path("git", "matching-refs", f"{folder}/{query}"))
            for ref in parse_items(reply.items(), wire.GitRef.of):
                yield ref.ref.removeprefix(f"refs/{folder}/")
        async for page in self._api.pages(at.path(listing), {"per_page": PER_PAGE}, ceiling=REF_PAGES):
            for named in parse_items(page, wire.Named.of):
                yield named.name
