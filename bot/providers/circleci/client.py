"""Requests to one organization: reads as wire objects, single ones and lists, and acts on workflows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from bot.core.errors import NotFound, Rejected, UnexpectedResponse
from bot.core.models import Job, TestCase
from bot.http.client import ApiClient, Query
from bot.providers.base.listing import parse_answers, parse_items
from bot.providers.circleci import convert, urls, wire
from bot.providers.circleci.errors import LABEL
from bot.providers.circleci.urls import Urls

RECENT_JOBS = 100
WORKFLOW_PAGES = 10
JOB_PAGES = 10
FILE_PAGES = 20

T = TypeVar("T")
SendOnce = Callable[[Callable[[], Awaitable[bool]], Callable[[], Awaitable[bool | None]]], Awaitable[bool]]
WorkflowJob = tuple[wire.Workflow, wire.JobWire]


async def all_of(reads: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results in order. The first error is raised only when the others are in: none goes on unseen."""
    results: list[T] = []
    for result in await asyncio.gather(*reads, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


async def all_readable(reads: Iterable[Awaitable[T]]) -> list[T]:
    """Return the results that read, in order; raises the last unreadable one where none does, and any other error."""

    async def or_odd(read: Awaitable[T]) -> T | UnexpectedResponse:
        try:
            return await read
        except UnexpectedResponse as exc:
            return exc

    return list(parse_answers(await all_of(map(or_odd, reads))))


class CircleCIClient:
    """Requests to one organization."""

    def __init__(self, api: ApiClient, urls: Urls, send_once: SendOnce) -> None:
        self._api = api
        self._urls = urls
        self._send_once = send_once

    # projects

    async def me(self) -> wire.Me:
        """Return whose token it is."""
        return wire.Me.of((await self._api.get(urls.ME)).raw)

    async def find_organization(self) -> None:
        """Raise NotFound in words unless the token's owner belongs to the organization. Costs one request."""
        own = self._urls.organization
        organizations = parse_items((await self._api.get(urls.COLLABORATIONS)).items(), wire.Organization.of)
        if not any(urls.fold(each.slug or "") == urls.fold(own) for each in organizations):
            raise NotFound(
                f"This token's owner belongs to no organization {own} at CircleCI.",
                provider=LABEL,
                hint="`organization` is the slug on the organization's settings page.",
            )

    async def followed(self) -> list[wire.V1Project]:
        """Return the projects that the token's owner follows, those of other organizations too."""
        return list(parse_items((await self._api.get(urls.V1_PROJECTS)).items(), wire.V1Project.of))

    async def project(self, pipeline: str) -> wire.Project:
        """Return a project."""
        return wire.Project.of((await self._api.get(self._urls.project(pipeline))).raw)

    async def building_projects(self, ceiling: int) -> list[str]:
        """Return the slugs of the organization's projects that built of late, each once. A request for each page."""
        slugs: dict[str, str] = {}
        async for page in self.organization_builds(ceiling):
            for build in page:
                if urls.is_within(build.project_slug, self._urls.organization):
                    slugs.setdefault(urls.fold(build.project_slug), build.project_slug)
        return list(slugs.values())

    async def branches(self, pipeline: str) -> list[str]:
        """Return the branches that ran of late; none where CircleCI has no insights of the project."""
        try:
            branches = wire.Branches.of((await self._api.get(self._urls.branches(pipeline))).raw).branches
        except NotFound:
            return []
        return [branch for branch in branches or () if branch]

    async def definitions(self, pipeline: str) -> list[wire.Definition]:
        """Return a project's pipeline definitions. Costs two requests."""
        project = await self.project(pipeline)
        reply = await self._api.get(self._urls.definitions(project.id or ""))
        return list(parse_items(reply.items("items"), wire.Definition.of))

    # builds

    async def build(self, pipeline: str, build: str) -> wire.PipelineWire:
        """Return a build without its workflows. Raises NotFound for one of another project: an id alone names any."""
        slug = self._urls.slug(pipeline)
        raw = wire.PipelineWire.of((await self._api.get(self._urls.build(build))).raw)
        if urls.fold(raw.project_slug) != urls.fold(slug):
            is_ours = urls.is_within(raw.project_slug, self._urls.organization)
            owner = urls.short(raw.project_slug) if is_ours else "another organization"
            raise NotFound(f"That build belongs to {owner}, not to {slug}.", provider=LABEL)
        return raw

    async def build_by_number(self, pipeline: str, number: int) -> wire.PipelineWire:
        """Return a build without its workflows by its number in the project."""
        return wire.PipelineWire.of((await self._api.get(self._urls.project(pipeline, "pipeline", str(number)))).raw)

    def builds(self, pipeline: str, branch: str | None, ceiling: int) -> AsyncIterator[list[wire.PipelineWire]]:
        """Yield a project's builds page by page, newest first."""
        return self._builds(self._urls.project(pipeline, "pipeline"), {"branch": branch}, ceiling)

    def organization_builds(self, ceiling: int) -> AsyncIterator[list[wire.PipelineWire]]:
        """Yield the builds of the whole organization page by page, newest first."""
        return self._builds(urls.PIPELINES, {"org-slug": self._urls.organization}, ceiling)

    async def own_builds(self, pipeline: str) -> list[wire.PipelineWire]:
        """Return the newest builds that the token's owner started."""
        pages = self._builds(self._urls.project(pipeline, "pipeline", "mine"), {}, 1)
        return [raw async for page in pages for raw in page]

    async def config(self, build: str) -> wire.Config:
        """Return the configuration that a build was made from."""
        return wire.Config.of((await self._api.get(self._urls.build(build, "config"))).raw)

    async def values(self, build: str) -> dict[str, str | int | bool]:
        """Return the parameters that a build was given; they go back to CircleCI and are shown to nobody."""
        prefix = "pipeline.parameters."
        values = (await self._api.get(self._urls.build(build, "values"))).decode(dict[str, object])
        return {
            name.removeprefix(prefix): value
            for name, value in values.items()
            if name.startswith(prefix) and isinstance(value, str | int | bool)
        }

    # workflows and jobs

    async def workflow(self, workflow: str) -> wire.Workflow:
        """Return a workflow."""
        return wire.Workflow.of((await self._api.get(self._urls.workflow(workflow))).raw)

    async def workflows(self, build: str) -> list[wire.Workflow]:
        """Return a build's workflows, those that ran again too."""
        return await self._all(self._urls.build(build, "workflow"), wire.Workflow.of, WORKFLOW_PAGES)

    async def workflow_jobs(self, workflows: Sequence[wire.Workflow]) -> list[WorkflowJob]:
        """Return the jobs of workflows, each with its workflow. Costs a request for each workflow."""
        lists = await all_of(
            self._all(self._urls.workflow(workflow.id, "job"), wire.JobWire.of, JOB_PAGES) for workflow in workflows
        )
        return [(workflow, job) for workflow, jobs in zip(workflows, lists, strict=True) for job in jobs]

    async def held(self, build: str) -> list[WorkflowJob]:
        """Return the jobs that wait for a person, with their workflows. A failing workflow may have some, too."""
        unfinished = [
            workflow for workflow in convert.current(await self.workflows(build)) if convert.is_open(workflow)
        ]
        return [(workflow, job) for workflow, job in await self.workflow_jobs(unfinished) if convert.is_approval(job)]

    async def build_id_of_job(self, pipeline: str, job: str) -> tuple[str, str]:
        """Return the slug and the build's id that a job's number belongs to. Raises NotFound; jobs not begun have none."""
        if not urls.is_number(job):
            raise NotFound(f"{LABEL} finds a job's build by the job's number only.", provider=LABEL)
        raw = wire.JobDetails.of((await self._api.get(self._urls.project(pipeline, "job", job))).raw)
        slug = raw.project.slug if raw.project else self._urls.slug(pipeline)
        if raw.pipeline is not None:
            return slug, raw.pipeline.id
        workflow = await self.workflow(raw.latest_workflow.id) if raw.latest_workflow else None
        if workflow is None or workflow.pipeline_id is None:
            raise NotFound(f"{LABEL} does not tell which build job {job} belongs to.", provider=LABEL)
        return workflow.project_slug or slug, workflow.pipeline_id

    async def recent_jobs(self) -> list[wire.V1Recent]:
        """Return the newest hundred jobs of all followed projects. Raises NotFound where a server lacks the list."""
        reply = await self._api.get(urls.V1_RECENT, {"limit": RECENT_JOBS, "shallow": True})
        return list(parse_items(reply.items(), wire.V1Recent.of))

    async def artifacts(self, pipeline: str, job: str) -> list[wire.ArtifactWire]:
        """Return a job's files."""
        return await self._all(self._urls.project(pipeline, job, "artifacts"), wire.ArtifactWire.of, FILE_PAGES)

    async def tests(self, jobs: Sequence[Job]) -> list[TestCase]:
        """Return the tests of jobs; one without name, class and file is left out. A request for each job and page."""

        async def of_job(job: Job) -> list[TestCase]:
            route = self._urls.project(job.pipeline, job.id, "tests")
            raws = await self._all(route, wire.TestWire.of, FILE_PAGES)
            return [convert.test(raw, job) for raw in raws if raw.name or raw.classname or raw.file]

        return [test for tests in await all_of(of_job(job) for job in jobs) for test in tests]

    # acts

    async def cancel(self, workflows: Sequence[wire.Workflow]) -> None:
        """Stop workflows. One that is refused may have ended by itself: raises Rejected only where all are."""
        refused: list[Rejected] = []
        for workflow in workflows:
            try:
                await self._act(self._urls.workflow(workflow.id, "cancel"), None, partial(self._has_ended, workflow.id))
            except Rejected as exc:
                refused.append(exc)
        if refused and len(refused) == len(workflows):
            raise refused[0]

    async def rerun(self, build: str, rerun: convert.Rerun, workflow_ids: frozenset[str]) -> None:
        """Run workflows of a build again; `workflow_ids` are the ids of those it has. Raises Rejected, naming the refused."""
        refused: dict[str, Rejected] = {}
        for workflow in rerun.workflows:
            runs_again = partial(self._runs_again, build, workflow.name, workflow_ids)
            try:
                await self._act(self._urls.workflow(workflow.id, "rerun"), rerun.body, runs_again)
            except Rejected as exc:
                refused[workflow.name or workflow.id] = exc
        if len(refused) == len(rerun.workflows):
            raise next(iter(refused.values()))
        if refused:
            shown = "; ".join(f"{name}: {error}" for name, error in refused.items())
            raise Rejected(f"The other workflows run again, but not all: {shown}", provider=LABEL)

    async def approve(self, build: str, workflow: str, approval: str) -> None:
        """Approve a waiting job."""
        await self._act(
            self._urls.workflow(workflow, "approve", approval), None, partial(self._is_approved, build, approval)
        )

    async def _act(self, route: str, body: object, has_happened: Callable[[], Awaitable[bool]]) -> None:
        """Send an act once; without a usable answer look whether it has happened."""

        async def send() -> bool:
            wire.Accepted.of((await self._api.post(route, json=body)).raw)
            return True

        async def confirm() -> bool | None:
            return await has_happened() or None

        await self._send_once(send, confirm)

    async def _has_ended(self, workflow: str) -> bool:
        return not convert.is_open(await self.workflow(workflow))

    async def _runs_again(self, build: str, name: str | None, known: frozenset[str]) -> bool:
        return any(workflow.id not in known and workflow.name == name for workflow in await self.workflows(build))

    async def _is_approved(self, build: str, approval: str) -> bool:
        return all(convert.approval_id(job) != approval for _, job in await self.held(build))

    # pages

    async def _pages(self, route: str, query: Query, ceiling: int) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a listing page by page. A token that comes again ends it."""
        token: str | None = None
        seen: set[str | None] = set()
        while token not in seen and len(seen) < ceiling:
            seen.add(token)
            reply = await self._api.get(route, {**query, "page-token": token})
            yield reply.items("items")
            token = wire.NextPage.of(reply.raw).next_page_token or None

    async def _builds(self, route: str, query: Query, ceiling: int) -> AsyncIterator[list[wire.PipelineWire]]:
        async for page in self._pages(route, query, ceiling):
            yield list(parse_items(page, wire.PipelineWire.of))

    async def _all(self, route: str, read: Callable[[msgspec.Raw], T], ceiling: int) -> list[T]:
        return [item async for page in self._pages(route, {}, ceiling) for item in parse_items(page, read)]
