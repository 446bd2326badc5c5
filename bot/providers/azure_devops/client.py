"""Asking Azure DevOps: addresses, versions, pages, and the answers that several operations need."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

import httpx
import msgspec

from bot.core.errors import AuthFailed, NotFound, Rejected, UnexpectedResponse
from bot.core.models import Build
from bot.http.client import Api, Query, Reply
from bot.providers.azure_devops import convert, urls, wire
from bot.providers.azure_devops.auth import LABEL, AzureOptions
from bot.providers.azure_devops.convert import Tree

SERVICES = "https://dev.azure.com"
TEST_RESULTS = "https://vstmr.dev.azure.com"
"""Where Azure DevOps Services keeps test results; a server keeps them itself."""
PER_PAGE = 100
GONE = (NotFound, Rejected, UnexpectedResponse)
"""What the lack of a side dish reads as: the build itself is told without it."""


class Service:
    """One organization or collection, as the operations ask it."""

    def __init__(self, api: Api, options: AzureOptions, connection: str) -> None:
        self._api = api
        self._options = options
        self._connection = connection

    # where things are

    def split(self, pipeline: str) -> tuple[str, str]:
        """Return the project and the definition's number in a pipeline's id. Raises NotFound for what is none."""
        project, slash, definition = pipeline.partition("/")
        if not slash or not project or not urls.is_number(definition):
            raise self.no_pipeline(pipeline)
        return project, definition

    def no_pipeline(self, path: str) -> NotFound:
        """Return what a person is told whose words name no pipeline."""
        form = "`name`" if self._options.project else "`project/name`"
        return NotFound(
            f"There is no pipeline {path[:80]!r} at {LABEL}.",
            provider=LABEL,
            hint=f"A pipeline is called {form} here; its page's address does as well.",
        )

    @staticmethod
    def at(project: str, area: str, *parts: str) -> str:
        """Return the path of something in a project."""
        return "/".join((quote(project, safe=""), "_apis", area, *(quote(part, safe="") for part in parts)))

    def test_results(self, project: str, area: str) -> str:
        """Return the same in the API of test results, which Services keeps on a host of its own."""
        path = self.at(project, f"testresults/{area}")
        if not is_services(self._options):
            return path
        return f"{TEST_RESULTS}/{quote(self._options.organization, safe='')}/{path}"

    def page(self, project: str, build: str) -> str:
        """Return the address of a build's page."""
        return f"{self._api.base_url}/{quote(project, safe='')}/_build/results?buildId={quote(build, safe='')}"

    # asking

    def versioned(self, query: Query, *, preview: bool = False) -> Query:
        """Return a query with the API's version, which no request goes without."""
        version = self._options.api_version
        return {**query, "api-version": f"{version}-preview.1" if preview else version}

    async def get(self, path: str, query: Query | None = None, *, preview: bool = False) -> Reply:
        """Return the answer to a read. Raises AuthFailed for a sign-in page."""
        return _data(await self._api.get(path, self.versioned(query or {}, preview=preview)))

    async def send(self, method: str, path: str, body: object, query: Query | None = None) -> Reply:
        """Return the answer to a write, never repeated."""
        return _data(await self._api.send(method, path, json=body, query=self.versioned(query or {})))

    async def pages(self, path: str, query: Query, *, ceiling: int = 100) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a list's items page by page."""
        listing = self._api.replies(path, self.versioned(query), next_page=_next_page, ceiling=ceiling)
        async with aclosing(listing) as replies:
            async for reply in replies:
                yield _data(reply).items("value")

    async def user(self) -> wire.AuthenticatedUser:
        """Return whose credentials these are, as a call outside the published API tells."""
        reply = await self.get("_apis/connectionData", preview=True)
        return wire.ConnectionData.of(reply.raw).authenticated_user

    # definitions, builds, timelines

    async def definition(self, project: str, number: str) -> wire.Definition:
        """Return a definition whole."""
        return wire.Definition.of((await self.get(self.at(project, "build/definitions", number))).raw)

    def read(self, payload: msgspec.Raw, project: str, pipeline: str | None = None) -> Build:
        """Return a build as ours."""
        it = wire.BuildWire.of(payload)
        page = self.page(project, str(it.id))
        return convert.build(it, self._connection, project=project, pipeline=pipeline, page=page)

    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build without what only its timeline tells. Costs one request."""
        project, _ = self.split(pipeline)
        return self.read((await self.get(self.at(project, "build/builds", build))).raw, project, pipeline)

    async def judged(self, build: Build) -> Build:
        """Return a build with what its timeline tells. Costs one request; without a timeline it stays as it is."""
        try:
            tree = await self.timeline(build.pipeline.partition("/")[0], build.id)
        except GONE:
            return build
        return convert.judged(build, tree)

    async def timeline(self, project: str, build: str) -> Tree:
        """Return a build's timeline, empty where there is none yet: told by 404, by no body, or by null."""
        try:
            reply = await self.get(self.at(project, "build/builds", build, "timeline"))
        except NotFound:
            return Tree.of(None)
        if reply.content.strip() in {b"", b"null"}:
            return Tree.of(None)
        return Tree.of(wire.Timeline.of(reply.raw))


def is_services(options: AzureOptions) -> bool:
    """Return whether a connection is to Microsoft's own servers."""
    return not options.url or options.url.rstrip("/").lower() == SERVICES


def signed_out(reply: Reply) -> AuthFailed:
    """Return what a sign-in page means."""
    return AuthFailed(
        f"{LABEL} sent me to a sign-in page instead of answering.",
        provider=LABEL,
        status=reply.status,
        hint="The token is wrong, expired or made for another organization. An admin can replace it in App Home.",
    )


def _data(reply: Reply) -> Reply:
    """Return an answer unless it is a sign-in page: bad credentials are told so, and seldom by 401."""
    if reply.is_page:
        raise signed_out(reply)
    return reply


def _next_page(reply: Reply) -> str | None:
    token = reply.headers.get("x-ms-continuationtoken")
    return str(httpx.URL(reply.url).copy_set_param("continuationToken", token)) if token else None
