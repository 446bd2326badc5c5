"""What there is to build: repositories, their workflows, refs, and the values that a start takes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import quote

import httpx
import msgspec

from bot.core.errors import AuthFailed, NotFound, ProviderError, UsageError
from bot.core.models import Parameter, Pipeline, Ref, RefKind
from bot.core.text import folded, holds_name, same_name
from bot.http.client import Api, Query
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.github_actions import convert, inputs, urls, wire
from bot.providers.github_actions.auth import LABEL, GitHubOptions
from bot.providers.github_actions.urls import Place

PER_PAGE = 100
REF_PAGES = 3
MOST_REPOSITORIES = 200
AT_ONCE = 8


class Catalogue:
    """The repositories of one connection's owner."""

    def __init__(self, api: Api, options: GitHubOptions) -> None:
        self._api = api
        self._options = options
        self._owner_is_user = False

    # workflows

    async def pipelines(self, query: str | None) -> AsyncIterator[Pipeline]:
        """Yield the workflows whose name or path holds `query`, those of the repositories last pushed to first."""
        needle = folded((query or "").strip())
        group = needle.rpartition("/")[0]
        repositories = [one async for one in self._repositories() if group in one.full_name.lower()]
        refused: ProviderError | None = None
        has_seen = False
        for start in range(0, len(repositories), AT_ONCE):
            batch = repositories[start : start + AT_ONCE]
            for listed in await asyncio.gather(*(self._workflows(one) for one in batch)):
                if isinstance(listed, ProviderError):
                    refused = listed
                    continue
                has_seen = True
                for it in listed:
                    if needle in folded(it.path) or needle in folded(it.name):
                        yield it
        if refused is not None and not has_seen:
            raise refused

    async def pipeline(self, where: Place) -> Pipeline:
        """Return a workflow by its number, file, path, name, or a run of it; the only one of a repository."""
        repository = await self._repository(where)
        word = where.workflow
        if word.startswith("runs/"):
            number = quote(word.removeprefix("runs/"), safe="")
            run = await self._api.get(f"{where.root}/actions/runs/{number}")
            word = str(wire.Run.of(run.raw).workflow_id or "")
        if word and "/" not in word:
            try:
                reply = await self._api.get(f"{where.root}/actions/workflows/{quote(word, safe='')}")
                return convert.pipeline(wire.Workflow.of(reply.raw), repository.full_name, repository.default_branch)
            except NotFound:
                if urls.is_exact(word):
                    raise
        return await self._by_name(where, word, repository)

    async def workflow_at(self, where: Place) -> str:
        """Return a workflow's path in the API; it is looked for where it is not named by its number or file."""
        word = where.workflow
        if not urls.is_exact(word):
            word = (await self.pipeline(where)).id.rpartition("/")[2]
        return f"{where.root}/actions/workflows/{quote(word, safe='')}"

    async def default_branch(self, where: Place) -> str:
        """Return the branch to build where none is named. Raises UsageError where the repository is empty."""
        branch = (await self._repository(where)).default_branch
        if not branch:
            raise UsageError(f"{where.repository} has no default branch.", hint="Name one: `@BRANCH`.")
        return branch

    async def _repository(self, where: Place) -> wire.Repository:
        return wire.Repository.of((await self._api.get(where.root)).raw)

    async def _repositories(self) -> AsyncIterator[wire.Repository]:
        """Yield the owner's repositories that are in use, last pushed first, at most 200."""
        left = MOST_REPOSITORIES
        async for page in self._repository_pages():
            for it in parse_items(page, wire.Repository.of):
                is_ours = it.full_name.lower().startswith(f"{self._options.owner.lower()}/")
                if is_ours and not it.archived and not it.disabled:
                    left -= 1
                    yield it
                if left <= 0:
                    return

    async def _repository_pages(self) -> AsyncIterator[list[msgspec.Raw]]:
        if self._options.is_app:
            path, query = "installation/repositories", {"per_page": PER_PAGE}
            async for page in self._api.pages(path, query, member="repositories", ceiling=SEARCH_PAGES):
                yield page
            return
        recent: Query = {"sort": "pushed", "per_page": PER_PAGE}
        if not self._owner_is_user:
            path = f"orgs/{quote(self._options.owner, safe='')}/repos"
            try:
                async for page in self._api.pages(path, recent, ceiling=SEARCH_PAGES):
                    yield page
            except NotFound:
                self._owner_is_user = True
            else:
                return
        async for page in self._api.pages("user/repos", recent, ceiling=SEARCH_PAGES):
            yield page

    async def _workflows(self, repository: wire.Repository) -> list[Pipeline] | ProviderError:
        """Return a repository's workflows, or why they can't be read where that concerns this repository alone."""
        owner, _, name = repository.full_name.partition("/")
        try:
            return await self._listed(Place(owner=owner, repo=name), repository)
        except NotFound as exc:
            return exc
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            return exc

    async def _listed(self, where: Place, repository: wire.Repository) -> list[Pipeline]:
        path = f"{where.root}/actions/workflows"
        pages = self._api.pages(path, {"per_page": PER_PAGE}, member="workflows", ceiling=REF_PAGES)
        return [
            convert.pipeline(it, repository.full_name, repository.default_branch)
            async for page in pages
            for it in parse_items(page, wire.Workflow.of)
            if it.state != "deleted"
        ]

    async def _by_name(self, where: Place, word: str, repository: wire.Repository) -> Pipeline:
        """Return the workflow of that name or path; without one, the only workflow of a repository."""
        listed = await self._listed(where, repository)
        wanted = f"{repository.full_name}/{word}".lower()
        found = [it for it in listed if not word or same_name(word, it.name) or wanted == it.path.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            said = f"{len(found)} workflows of {repository.full_name} fit."
        else:
            said = f"{repository.full_name} has no workflow{f' `{word}`' if word else 's'}."
        names = ", ".join(f"`{it.path}`" for it in (found or listed)[:20])
        raise NotFound(said, provider=LABEL, hint=f"There are {names}." if names else None)

    # refs and parameters

    async def refs(self, where: Place, query: str | None) -> AsyncIterator[Ref]:
        """Yield branches, then tags: all that begin with `query`, then those of the first 300 that hold it."""
        wanted = (query or "").strip()
        for kind, prefix, listing in ((RefKind.BRANCH, "heads", "branches"), (RefKind.TAG, "tags", "tags")):
            seen: set[str] = set()
            async for name in self._ref_names(where, wanted, prefix, listing):
                if name not in seen and holds_name(name, wanted):
                    seen.add(name)
                    yield Ref(kind=kind, name=name)

    async def _ref_names(self, where: Place, query: str, prefix: str, listing: str) -> AsyncIterator[str]:
        if query:
            path = f"{where.root}/git/matching-refs/{quote(f'{prefix}/{query}', safe='')}"
            for it in (await self._api.get(path)).items():
                yield wire.GitRef.of(it).ref.removeprefix(f"refs/{prefix}/")
        path = f"{where.root}/{listing}"
        async for page in self._api.pages(path, {"per_page": PER_PAGE}, ceiling=REF_PAGES):
            for it in page:
                yield wire.Named.of(it).name

    async def parameters(self, where: Place, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the inputs that a workflow's file declares on a ref; none where the token may not read the file."""
        workflow = wire.Workflow.of((await self._api.get(await self.workflow_at(where))).raw)
        path = (workflow.path or "").partition("@")[0]
        if not path.startswith(urls.WORKFLOWS):
            return ()  # GitHub's own workflows, such as code scanning, have no file
        try:
            reply = await self._api.get(
                f"{where.root}/contents/{quote(path, safe='')}",
                {"ref": _git_name(ref) if ref else None},
                headers={"Accept": "application/vnd.github.raw+json"},
                cap=inputs.FILE_BYTES,
            )
        except NotFound as exc:
            on = f"`{ref}`" if ref else "the default branch"
            raise NotFound(f"There is no `{path}` on {on}.", provider=LABEL, status=exc.status) from exc
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            return ()
        found = inputs.declared(reply.text) or []
        environments = await self._environments(where) if any(word == inputs.ENVIRONMENT for _, word in found) else ()
        return tuple(
            replace(each, choices=environments) if word == inputs.ENVIRONMENT else each for each, word in found
        )

    async def _environments(self, where: Place) -> tuple[tuple[str, str], ...]:
        try:
            reply = await self._api.get(f"{where.root}/environments", {"per_page": PER_PAGE})
        except (NotFound, AuthFailed):
            return ()
        names = [wire.Environment.of(it).name for it in reply.items("environments")]
        return tuple((name, name) for name in names if name)


def _git_name(ref: Ref) -> str:
    """Return a ref as a file's contents are asked by it."""
    return f"refs/pull/{ref.name}/head" if ref.kind is RefKind.PULL_REQUEST else ref.name
