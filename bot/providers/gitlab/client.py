"""GitLab's lists and single reads as wire objects, and its POSTs. Shared by both APIs where they agree."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from cachetools import LRUCache

from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.gitlab import errors, urls, wire
from bot.providers.gitlab.errors import LABEL

T = TypeVar("T")
R = TypeVar("R")

PER_PAGE: Final = 100
AT_ONCE: Final = 8
REMEMBERED: Final = 512
BRIDGES: Final = ("bridges", "trigger_jobs")
"""The list of trigger jobs, and what GitLab 19.2 calls it."""


class GitLabClient:
    """Requests to one server. What does not change (commits, branches of merge requests) is remembered, the newest 512."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._paths: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._commits: LRUCache[tuple[str, str], wire.Commit] = LRUCache(REMEMBERED)
        self._merge_requests: LRUCache[tuple[str, str], wire.MergeRequest] = LRUCache(REMEMBERED)

    # both APIs

    async def user(self, api_version: str, hint: str) -> wire.User:
        """Return the token's user. Raises NotFound, with a hint, where the server does not speak this API."""
        try:
            return wire.User.of((await self._api.get("user")).raw)
        except NotFound as exc:
            raise NotFound(
                f"There is no GitLab API {api_version} at this address.",
                provider=LABEL,
                status=exc.status,
                hint=f"Look at `url`. {hint}",
            ) from exc

    async def version(self) -> str | None:
        """Return the server's version, None where no page reports it (before 8.13)."""
        reply = await self.or_none(self._api.get("version"))
        return wire.Server.of(reply.raw).version if reply else None

    async def path(self, pipeline: str) -> str:
        """Return `group/project` of a project, remembered: GraphQL names projects by it."""
        if pipeline not in self._paths:
            self._paths[pipeline] = (await self.project(pipeline)).path_with_namespace
        return self._paths[pipeline]

    async def project(self, pipeline: str) -> wire.Project:
        """Return a project. Raises NotFound."""
        project = wire.Project.of((await self._api.get(urls.project_route(pipeline))).raw)
        self._paths[str(project.id)] = project.path_with_namespace
        return project

    async def commits(self, pipeline: str, base: str, head: str) -> list[wire.Commit]:
        """Return what lies between two commits, newest first.

        https://docs.gitlab.com/api/repositories/#compare-branches-tags-or-commits
        """
        route = urls.project_route(pipeline, "repository", "compare")
        reply = await self._api.get(route, {"from": base, "to": head})
        commits = list(parse_items(wire.Comparison.of(reply.raw).commits, wire.Commit.of))
        return sorted(commits, key=lambda commit: commit.created_at or "", reverse=True)

    async def post(
        self, pipeline: str, *rest: str, json: object = None, form: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the answer to a POST below a project, never repeated - but sent on where the project has moved.

        A redirect means that nothing has happened yet; the project's number is asked for and used instead.
        """
        try:
            return await self._api.send("POST", urls.project_route(pipeline, *rest), json=json, form=form)
        except UnexpectedResponse as exc:
            if exc.status not in {301, 302, 307, 308}:
                raise
            number = str((await self.project(pipeline)).id)
            if number == pipeline:
                raise
            return await self._api.send("POST", urls.project_route(number, *rest), json=json, form=form)

    async def or_none(self, answer: Awaitable[Reply]) -> Reply | None:
        """Return an answer we can do without: None where it is not there or not for this token."""
        try:
            return await answer
        except NotFound:
            return None
        except AuthFailed as exc:
            if exc.status == 401:
                raise
            return None

    async def each(self, send: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Return what `send` gives for each item, eight at a time; the first error ends it."""
        left = list(items)
        done: list[R] = []
        while left:
            batch, left = left[:AT_ONCE], left[AT_ONCE:]
            results = await asyncio.gather(*(send(each) for each in batch), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                done.append(result)
        return done

    async def log_tail(self, route: str, keep: int) -> tuple[str, bool]:
        """Return the last whole lines of a trace within `keep` bytes, and whether there is more above."""
        data, cut = await self._api.tail(route, keep=keep, headers={"Accept": "text/plain, */*"})
        text = data.decode("utf-8", "replace")
        return (text.partition("\n")[2] or text) if cut else text, cut

    # v4

    async def projects(self, group: str, query: str | None) -> AsyncIterator[wire.Project]:
        """Yield the token's projects, or a group's, a request for each hundred. GitLab narrows them by `query`."""
        # GitLab matches words of less than three letters only whole
        search = query if query and len(query) >= 3 else None
        narrowed: Query = {"archived": False, "simple": True, "order_by": "id", "per_page": PER_PAGE}
        if group:
            route = urls.group_projects(group)
            narrowed = {**narrowed, "include_subgroups": True, "search": search and search.rpartition("/")[2]}
        else:
            route = "projects"
            narrowed = {
                **narrowed,
                "membership": True,
                "pagination": "keyset",
                "search": search,
                "search_namespaces": True if search else None,
            }
        async for page in self._api.pages(route, narrowed, next_page=urls.next_page):
            for project in parse_items(page, wire.Project.of):
                yield project

    async def run(self, pipeline: str, build: str) -> wire.PipelineRun:
        """Return one pipeline, whole."""
        return wire.PipelineRun.of((await self._api.get(urls.run_route(pipeline, build))).raw)

    async def runs(self, route: str, query: Query | None = None) -> list[wire.PipelineRun]:
        """Return the first page of a list of pipelines."""
        return list(parse_items((await self._api.get(route, query)).items(), wire.PipelineRun.of))

    async def newest_run(self, pipeline: str) -> int:
        """Return the newest pipeline's id, zero where there is none. One request."""
        runs = await self.runs(urls.project_route(pipeline, "pipelines"), {"per_page": 1})
        return max((run.id for run in runs), default=0)

    async def commit(self, pipeline: str, sha: str) -> wire.Commit | None:
        """Return a commit, None where it is not there or not for this token."""
        key = (pipeline, sha)
        if key not in self._commits:
            reply = await self.or_none(self._api.get(urls.commit_route(pipeline, sha)))
            if reply is None:
                return None
            self._commits[key] = wire.Commit.of(reply.raw)
        return self._commits[key]

    async def merge_request(self, pipeline: str, iid: str) -> wire.MergeRequest | None:
        """Return a merge request, None where it is not there or not for this token."""
        key = (pipeline, iid)
        if key not in self._merge_requests:
            reply = await self.or_none(self._api.get(urls.project_route(pipeline, "merge_requests", iid)))
            if reply is None:
                return None
            self._merge_requests[key] = wire.MergeRequest.of(reply.raw)
        return self._merge_requests[key]

    async def open_merge_requests(self, pipeline: str, search: str | None) -> list[wire.MergeRequest]:
        """Return the open merge requests, at most a hundred; none where they are not for this token."""
        query: Query = {"state": "opened", "search": search, "per_page": PER_PAGE}
        reply = await self.or_none(self._api.get(urls.project_route(pipeline, "merge_requests"), query))
        return list(parse_items(reply.items(), wire.MergeRequest.of)) if reply else []

    async def names(self, pipeline: str, what: str, search: str | None) -> AsyncIterator[str]:
        """Yield the names of a repository's `branches` or `tags`, a request for each hundred."""
        route = urls.project_route(pipeline, "repository", what)
        query: Query = {"search": search, "per_page": PER_PAGE}
        async for page in self._api.pages(route, query, next_page=urls.next_page, ceiling=SEARCH_PAGES):
            for named in parse_items(page, wire.Named.of):
                yield named.name

    async def job(self, pipeline: str, job: str) -> wire.JobRun:
        """Return one job. Raises NotFound, also for a trigger job."""
        return wire.JobRun.of((await self._api.get(urls.job_route(pipeline, job))).raw)

    async def jobs(
        self, pipeline: str, build: str, scope: str | None = None, *, retried: bool = False
    ) -> list[wire.JobRun]:
        """Return the jobs of a pipeline, those in one state where `scope` names it; a request for each hundred.

        With `retried` those that a retry replaced are among them.
        """
        query: Query = {"scope": scope, "include_retried": retried or None, "per_page": PER_PAGE}
        return await self._all_jobs(urls.run_route(pipeline, build, "jobs"), query)

    async def trigger_jobs(self, pipeline: str, build: str) -> list[wire.JobRun]:
        """Return the trigger jobs of a pipeline; none where the server or the token does not show them."""
        for name in BRIDGES:
            query: Query = {"per_page": PER_PAGE} if name == BRIDGES[0] else {}
            try:
                return await self._all_jobs(urls.run_route(pipeline, build, name), query)
            except NotFound:
                continue  # this server's name for them is the other one, or the pipeline is gone
            except AuthFailed as exc:
                if exc.status != 403:
                    raise
                break
        return []

    async def blocked_deployments(self, pipeline: str) -> dict[int, wire.Deployment]:
        """Return the deployments that wait for an approval, by their jobs' ids."""
        query: Query = {"status": "blocked", "order_by": "id", "sort": "desc", "per_page": PER_PAGE}
        reply = await self.or_none(self._api.get(urls.project_route(pipeline, "deployments"), query))
        listed = parse_items(reply.items(), wire.Deployment.of) if reply else ()
        return {each.deployable.id: each for each in listed if each.deployable is not None}

    async def variables(self, pipeline: str, build: str) -> list[wire.Variable]:
        """Return the variables a pipeline was started with. Raises AuthFailed where they are not for this token."""
        reply = await self._api.get(urls.run_route(pipeline, build, "variables"))
        return list(parse_items(reply.items(), wire.Variable.of))

    async def erase_jobs(self, pipeline: str, jobs: Sequence[str]) -> None:
        """Erase jobs one by one. Raises Rejected saying how many it worked for where some refused."""
        refused: list[ProviderError] = []
        for job in jobs:
            try:
                await self.post(pipeline, "jobs", job, "erase")
            except (Rejected, NotFound, AuthFailed) as exc:
                refused.append(exc)
        if refused:
            raise errors.partly(refused, len(jobs), "erased")

    async def _all_jobs(self, route: str, query: Query) -> list[wire.JobRun]:
        pages = self._api.pages(route, query, next_page=urls.next_page, ceiling=SEARCH_PAGES)
        return [job async for page in pages for job in parse_items(page, wire.JobRun.of)]

    # v3

    async def old_build(self, pipeline: str, build: str) -> wire.OldBuild:
        """Return one build of API v3."""
        return wire.OldBuild.of((await self._api.get(urls.old_build_route(pipeline, build))).raw)

    async def newest_old_builds(self, pipeline: str, count: int = PER_PAGE) -> list[wire.OldBuild]:
        """Return the newest builds of a project. One request."""
        reply = await self._api.get(urls.project_route(pipeline, "builds"), {"per_page": count})
        return list(parse_items(reply.items(), wire.OldBuild.of))

    def old_pages(self, route: str, query: Query) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a v3 list page by page. Some have no paging headers: a full page without them means another."""
        whole: Query = {**query, "per_page": PER_PAGE}
        return self._api.pages(route, whole, next_page=next_or_more, ceiling=SEARCH_PAGES)


def next_or_more(reply: Reply) -> str | None:
    """Return the next page as the headers have it; where there are none, the next number after a full page."""
    if "x-next-page" in reply.headers or "link" in reply.headers:
        return urls.next_page(reply)
    if len(reply.items()) < PER_PAGE:
        return None
    at = re.search(r"[?&]page=(\d+)", reply.url)
    return urls.with_page(reply.url, int(at[1]) + 1 if at else 2)
