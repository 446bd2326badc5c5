"""Reads of one integrated account, and its answers as models."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

import httpx
import msgspec

from bot.core.errors import AuthFailed, NotFound, Rejected, UnexpectedResponse, UsageError
from bot.core.models import Account, Artifact, Build, BuildFilter, Conclusion, FilterField, Job, Pipeline, Scope, Status
from bot.core.text import among_names, folded
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.scopes import compare_scopes
from bot.providers.base.urls import check_segment
from bot.providers.truto import convert, wire
from bot.providers.truto.errors import RECONNECT
from bot.providers.truto.options import LABEL, LABELS, SCOPES, Integration, TrutoOptions, integration_of
from bot.providers.truto.urls import Place, account_path, site, unified

PER_PAGE = 50
POLL_PAGE = 10
JOB_PAGES = 20
ARTIFACT_PAGES = 10
ARTIFACT_JOBS = 20
SET_UP_STATES = frozenset({None, convert.SET_UP})
"""Raw states of listed builds that say nothing about how the build stands."""

TAKES_STATUS = frozenset(Integration) - {Integration.TRAVIS}
TAKES_CONCLUSION = frozenset(Integration) - {Integration.BITBUCKET}
TAKES_STARTED_AT = frozenset({Integration.AZURE, Integration.GITHUB, Integration.JENKINS})
TAKES_COMPLETED_AT = TAKES_STARTED_AT | {Integration.TRAVIS}
REMOTE_QUERY = "remote_query."
SHOW_OPTIONS: Mapping[str, str] = {
    "truto_response_format": "unified, normalized, raw (as the system behind Truto sends it) or stream (the same, piece by piece)",
    "truto_ignore_remote_data": "true to leave out what the system behind Truto sent",
    "truto_exclude_fields": "fields to leave out, separated by commas",
    REMOTE_QUERY: "and a name: a parameter for the system behind Truto, as it is",
}
"""What `show` takes: each makes it hand out what Truto sends, as a file."""
LIST_OPTIONS: Mapping[str, str] = {
    **SHOW_OPTIONS,
    "status": "a status in Truto's word or the system's own",
    "conclusion": "a conclusion in Truto's word or the system's own",
    "started_at": "a time of the start, as Truto takes it",
    "completed_at": "a time of the end, as Truto takes it",
    "repo": "a repository to narrow the list to",
    "truto_key_by": "the field by which the answer's list becomes an object",
    "truto_ignore_limit": "true to have all builds in one answer",
}
"""What `list builds` takes; the formats raw and stream come as a file."""
BRANCH_QUERY: Mapping[Integration, tuple[str, str]] = {
    Integration.AZURE: ("branchName", "refs/heads/"),
    Integration.BITBUCKET: ("target.branch", ""),
    Integration.CIRCLECI: ("branch", ""),
    Integration.GITHUB: ("branch", ""),
    Integration.TRAVIS: ("branch.name", ""),
}
"""How the system itself narrows builds to a branch (Truto's own list can't), and what stands before the name."""
COMMIT_QUERY: Mapping[Integration, str] = {
    Integration.BITBUCKET: "target.commit.hash",
    Integration.GITHUB: "head_sha",
}

READS: Mapping[Integration, frozenset[Capability]] = {
    Integration.AZURE: frozenset(
        {Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}
    ),
    Integration.BITBUCKET: frozenset({Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS}),
    Integration.CIRCLECI: frozenset({Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}),
    Integration.GITHUB: frozenset(
        {Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}
    ),
    Integration.JENKINS: frozenset({Capability.ARTIFACTS}),
    Integration.TRAVIS: frozenset({Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS}),
}
"""What Truto's unified model holds for a system."""


class ResponseFormat(StrEnum):
    """How Truto answers: in its own model, or as the system behind it says it."""

    UNIFIED = "unified"
    RAW = "raw"
    NORMALIZED = "normalized"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildQuery:
    """What to ask the list of builds for; what names a pipeline (`owner`, `repo_id`, …) is added by the client.

    `remote` goes to the system behind Truto untouched, `raw_started_at` and `raw_completed_at` to Truto. `key_by` makes
    the answer's list an object.
    """

    status: str | None = None
    conclusion: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    raw_started_at: str | None = None
    raw_completed_at: str | None = None
    repo: str | None = None
    limit: int | None = None
    response_format: ResponseFormat | None = None
    key_by: str | None = None
    ignore_limit: bool = False
    ignore_remote_data: bool = False
    exclude_fields: tuple[str, ...] = ()
    remote: Mapping[str, str] = field(default_factory=dict)

    def pairs(self) -> Query:
        """Return the parameters as they are sent; what is not asked for is left out."""
        return {
            "status": self.status,
            "conclusion": self.conclusion,
            "started_at": self.raw_started_at or _timestamp(self.started_at),
            "completed_at": self.raw_completed_at or _timestamp(self.completed_at),
            **({"repo": self.repo} if self.repo else {}),
            "limit": self.limit,
            "truto_response_format": self.response_format,
            "truto_key_by": self.key_by,
            "truto_ignore_limit": self.ignore_limit or None,
            "truto_ignore_remote_data": self.ignore_remote_data or None,
            "truto_exclude_fields[]": self.exclude_fields,
            **{f"remote_query[{name}]": value for name, value in self.remote.items()},
        }


def query_for(integration: Integration, build_filter: BuildFilter) -> BuildQuery:
    """Return what the list is asked for; the rest of the filter is applied to its items."""
    remote: dict[str, str] = {}
    if build_filter.branch and integration in BRANCH_QUERY:
        name, prefix = BRANCH_QUERY[integration]
        remote[name] = f"{prefix}{build_filter.branch}"
    if build_filter.commit and len(build_filter.commit) == 40 and integration in COMMIT_QUERY:
        remote[COMMIT_QUERY[integration]] = build_filter.commit.lower()
    state = unified_state(next(iter(build_filter.states))) if len(build_filter.states) == 1 else None
    if integration is Integration.CIRCLECI:
        state = None  # its builds come without their ends, and Truto can't narrow by what it does not know
    narrows_here = bool(build_filter.fields)
    options = build_filter.options
    return BuildQuery(
        status=options.get("status") or (state if state in set(Status) and integration in TAKES_STATUS else None),
        conclusion=options.get("conclusion")
        or (state if state in set(Conclusion) and integration in TAKES_CONCLUSION else None),
        started_at=build_filter.since if integration in TAKES_STARTED_AT else None,
        completed_at=build_filter.finished_since if integration in TAKES_COMPLETED_AT else None,
        raw_started_at=options.get("started_at"),
        raw_completed_at=options.get("completed_at"),
        repo=options.get("repo"),
        limit=PER_PAGE if narrows_here else min(max(build_filter.limit, 1), PER_PAGE),
        response_format=_response_format(options),
        key_by=options.get("truto_key_by"),
        ignore_limit=is_yes(options.get("truto_ignore_limit")),
        ignore_remote_data=is_yes(options.get("truto_ignore_remote_data")),
        exclude_fields=_names(options.get("truto_exclude_fields")),
        remote={**remote, **remote_query(options)},
    )


def unified_state(word: str) -> str:
    """Return Truto's word for a state; a system's own word in the unified one that stands for it, where it has one."""
    own = next((state for raw, state in convert.STATES.items() if raw.lower() == word), None)
    if word in set(Status) | set(Conclusion) or own is None:
        return word
    return (own[1] or own[0]).value


def narrows(integration: Integration, build_filter: BuildFilter) -> frozenset[FilterField]:
    """Return by which fields of a filter Truto, or the system behind it, narrows the list of builds."""
    query = query_for(integration, build_filter)
    at_vendor = {
        FilterField.BRANCH: bool(build_filter.branch) and integration in BRANCH_QUERY,
        FilterField.COMMIT: COMMIT_QUERY.get(integration) in query.remote,
        FilterField.STATE: bool(query.status or query.conclusion),
        FilterField.SINCE: query.started_at is not None,
        FilterField.FINISHED_SINCE: query.completed_at is not None,
    }
    return frozenset(name for name, is_narrowed in at_vendor.items() if is_narrowed)


def _response_format(options: Mapping[str, str]) -> ResponseFormat | None:
    """Return the format that is asked for. Raises UsageError for a word that is none."""
    word = options.get("truto_response_format")
    if word is None:
        return None
    if word not in set(ResponseFormat):
        raise UsageError(f"`truto_response_format` is one of {', '.join(ResponseFormat)}, not `{word[:40]}`.")
    return ResponseFormat(word)


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def is_yes(value: str | None) -> bool:
    """Return whether an option that is yes or no says yes."""
    return (value or "no").strip().lower() in {"yes", "true", "1", "on"}


def remote_query(options: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters for the system behind Truto among a list's options."""
    return {name.removeprefix(REMOTE_QUERY): value for name, value in options.items() if name.startswith(REMOTE_QUERY)}


def page_items(reply: Reply) -> list[msgspec.Raw]:
    """Return a page's items: a list, an object by key (`key_by`), or the bare list of a raw answer."""
    if reply.content.lstrip()[:1] == b"[":
        return reply.items()
    result = reply.decode(wire.Envelope).result
    return list(result.values()) if isinstance(result, dict) else result


def next_page(reply: Reply) -> str | None:
    """Return the next page's address. An empty page is the last one, whatever cursor it names."""
    if reply.content.lstrip()[:1] == b"[":
        return None
    page = reply.decode(wire.Envelope)
    if not page.next_cursor or not page.result:
        return None
    return str(httpx.URL(reply.url).copy_set_param("next_cursor", page.next_cursor))


def _timestamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def _workspace(name: str) -> Pipeline:
    return Pipeline(id=name, path=name, name=f"all of {name}")


class Client:
    """The reads of one connection."""

    def __init__(self, api: ApiClient, options: TrutoOptions, connection: str) -> None:
        self._api = api
        self._options = options
        self._connection = connection
        self.integration = options.integration
        self.system = LABELS[options.integration]

    def place(self, pipeline: str) -> Place:
        """Return a pipeline of this connection."""
        return Place(
            connection=self._connection,
            integration=self.integration,
            pipeline=pipeline,
            owner=self._options.group,
            site=site(self._options),
        )

    # the account

    async def account(self) -> wire.AccountWire:
        """Return the integrated account. Costs one request."""
        return wire.AccountWire.of((await self._api.get(account_path(self._options.integrated_account_id))).raw)

    def refuse_disconnected(self, account: wire.AccountWire) -> None:
        """Raise AuthFailed for an account that somebody has to reconnect."""
        if account.status == "needs_reauth" or account.is_blocked:
            raise AuthFailed(
                f"Truto's connection to {self.system} is"
                f" {'blocked' if account.is_blocked else 'no longer authorized'}.",
                provider=LABEL,
                status=401,
                hint=RECONNECT,
            )

    async def check(self) -> Account:
        """Return whose the account is and what it lacks. Costs three requests."""
        account = await self.account()
        self.refuse_disconnected(account)
        name = account.integration.name if account.integration else None
        connected = integration_of(name or "")
        if name and connected is not self.integration:
            raise Rejected(
                f"This account at Truto is connected to {LABELS.get(connected, name) if connected else name},"
                f" not to {self.system}.",
                provider=LABEL,
                hint="Set the connection's `integration`.",
            )
        route = account_path(self._options.integrated_account_id, "capabilities")
        offered = wire.CapabilitiesWire.of((await self._api.get(route, {"type": "unified"})).raw).unified or ()
        builds = [resource for resource in offered if (resource.model, resource.resource) == ("ci-cd", "builds")]
        methods = (builds[0].methods if builds else None) or ()
        scopes = compare_scopes(SCOPES, [f"builds: {method}" for method in methods])
        forbidden = account.last_forbidden_error
        refused = (forbidden.missing_scopes if forbidden else None) or ()
        newest = BuildQuery(limit=1, ignore_remote_data=True)
        await self._api.get(unified("builds"), {**self._context(self._options.home), **newest.pairs()})
        warnings = ["A sandbox account takes no changes: I can only read."] if account.is_sandbox else []
        if account.status not in {"active", None}:
            warnings.append(f"Truto calls the connection `{account.status}`.")
        return Account(
            name=f"{self.system} by Truto",
            detail=account.tenant_id,
            granted=scopes.granted,
            missing=(
                *scopes.missing,
                *(Scope(name=name, purpose=f"what {self.system} refused last") for name in refused),
            ),
            warnings=tuple(warnings),
        )

    # pipelines and branches

    async def pipelines(self, query: str) -> AsyncIterator[Pipeline]:
        """Yield what the options name, then what Truto lists beside it; of CircleCI it lists nothing."""
        part, home = folded(query), await self.named_pipeline(self._options.home)
        if part in folded(f"{home.path} {home.name}"):
            yield home
        async for pipeline in self._others():
            is_other = home.id != pipeline.id and home.path != pipeline.path
            if is_other and part in folded(f"{pipeline.path} {pipeline.name}"):
                yield pipeline

    async def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by its id, which costs one request, else by its name, looked for in the list."""
        check_segment(name)
        try:
            return await self.named_pipeline(name)
        except NotFound:
            async for pipeline in self._listed_pipelines():
                if among_names(name, (pipeline.path, pipeline.name)):
                    return pipeline
            raise

    async def named_pipeline(self, name: str) -> Pipeline:
        """Return the pipeline whose id is `name`. Costs one request; two for that of the options where Truto tells no more."""
        is_workspace = self.integration is Integration.AZURE and name == self._options.workspace_id
        key = name.removeprefix(f"{self._options.owner}/") if self.integration is Integration.GITHUB else name
        try:
            if is_workspace:
                await self._api.get(unified("repos"), {**self._scope, "limit": 1})
                return _workspace(name)
            reply = await self._api.get(unified(self._resource, key), self._scope)
        except (NotFound, Rejected):
            if folded(key) != folded(self._options.home):
                raise
            # not every account may read repositories: that its builds can be listed is proof enough
            await self._api.get(unified("builds"), {**self._context(self._options.home), "limit": 1})
            return _workspace(name) if is_workspace else Pipeline(id=key, path=key, name=key)
        pipeline = convert.pipeline(wire.NamedWire.of(reply.raw), self.integration, self._options.group)
        if pipeline is None:
            raise UnexpectedResponse(f"Truto sent {key} without id and name.", provider=LABEL)
        # what was asked for is what the list of builds takes, whatever other name the object has
        return replace(pipeline, id=key)

    async def _others(self) -> AsyncIterator[Pipeline]:
        """Yield what Truto lists; nothing where the account may not read that."""
        try:
            async for pipeline in self._listed_pipelines():
                yield pipeline
        except (NotFound, Rejected):
            return

    async def _listed_pipelines(self) -> AsyncIterator[Pipeline]:
        if self.integration is Integration.CIRCLECI:
            return
        async for page in self._pages(unified(self._resource), {**self._scope, "limit": PER_PAGE}):
            for raw in parse_items(page, wire.NamedWire.of):
                if pipeline := convert.pipeline(raw, self.integration, self._options.group):
                    yield pipeline

    async def default_branch(self, pipeline: str) -> str:
        """Return a pipeline's default branch. Costs one request. Raises UsageError where Truto does not report it."""
        branch = (await self.pipeline(pipeline)).default_branch
        if not branch:
            raise UsageError(f"Truto does not tell the default branch of {pipeline}.", hint="Name one: `@BRANCH`.")
        return branch

    async def branches(self, pipeline: str, query: str) -> AsyncIterator[str]:
        """Yield branches whose name holds `query`. One request a page."""
        if self.place(pipeline).is_whole_workspace:
            raise UsageError("A whole workspace has no branches.", hint="Name one of its repositories.")
        part = folded(query)
        listed: Query = {**self._context(pipeline), "limit": PER_PAGE}
        if self.integration is Integration.AZURE:
            listed = {**listed, "repo_id": pipeline}
        async for page in self._pages(unified("branches"), listed):
            for raw in parse_items(page, wire.NamedWire.of):
                name = (raw.name or str(raw.id or "")).removeprefix("refs/heads/")
                if name and part in folded(name):
                    yield name

    # builds and what they hold

    async def listed_builds(self, pipeline: str, query: BuildQuery) -> AsyncGenerator[Build, None]:
        """Yield builds as the list has them, those of other pipelines left out. One request a page.

        Raises UsageError for formats in which no unified builds come.
        """
        if query.response_format in {ResponseFormat.RAW, ResponseFormat.STREAM}:
            raise UsageError(f"Builds can't be read from the format `{query.response_format}`.")
        async for page in self._build_pages(pipeline, query, ceiling=SEARCH_PAGES):
            for build in page:
                yield build

    def newest_pages(self, pipeline: str, *, ceiling: int) -> AsyncIterator[list[Build]]:
        """Yield the newest builds page by page, as the list has them."""
        return self._build_pages(pipeline, BuildQuery(limit=POLL_PAGE), ceiling=ceiling)

    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds that `build_filter` admits. One request a page, one for each build that the list reports no state of.

        Where times narrow the list to nothing, it is listed once more without them.
        """
        query = query_for(self.integration, build_filter)
        is_empty = True
        async for build in self._admitted(pipeline, query, build_filter):
            is_empty = False
            yield build
        if is_empty and (query.started_at or query.completed_at):
            # Truto does not say how it compares times: none may mean that none began at that very moment
            query = replace(query, started_at=None, completed_at=None)
            async for build in self._admitted(pipeline, query, build_filter):
                yield build

    async def _admitted(self, pipeline: str, query: BuildQuery, build_filter: BuildFilter) -> AsyncIterator[Build]:
        left = build_filter.limit
        yielded: set[str] = set()
        states = build_filter.states | {unified_state(state) for state in build_filter.states}
        build_filter = replace(build_filter, states=states)
        async with aclosing(self.listed_builds(pipeline, query)) as builds:
            async for listed in builds:
                if build_filter.is_past(listed):
                    return
                build = await self.settled(listed)
                if left > 0 and build.id not in yielded and build_filter.admits(build):
                    left -= 1
                    yielded.add(build.id)
                    yield build
                if left <= 0:
                    return

    async def raw_build(self, pipeline: str, build: str) -> wire.BuildWire:
        """Return a build as Truto has it. Costs one request. Raises NotFound where it is another pipeline's."""
        raw = wire.BuildWire.of((await self._api.get(unified("builds", build), self._context(pipeline))).raw)
        if owner := convert.owner_of(raw, self.place(pipeline)):
            raise NotFound(f"Build {build} is of {owner}, not of {pipeline}.", provider=LABEL)
        return raw

    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build. Costs one request; at CircleCI one more for its jobs."""
        return await self._with_end(convert.build(await self.raw_build(pipeline, build), self.place(pipeline)))

    async def as_sent(self, pipeline: str, build: str | None, options: Mapping[str, str]) -> bytes | None:
        """Return what Truto sends for a build, or for the first page of the list in a format that holds no unified builds.

        None for a list in another format. Costs one request.
        """
        if build is None and options.get("truto_response_format") not in {ResponseFormat.RAW, ResponseFormat.STREAM}:
            return None
        query = query_for(self.integration, BuildFilter(options=options)).pairs()
        if build is None:
            return (await self._api.get(unified("builds"), {**self._context(pipeline), **query})).content
        await self.check_own(pipeline, build)
        single = {name: value for name, value in query.items() if name not in {"limit", "status", "conclusion"}}
        return (await self._api.get(unified("builds", build), {**self._context(pipeline), **single})).content

    async def check_own(self, pipeline: str, build: str) -> None:
        """Raise NotFound where a build is another pipeline's. Costs a request where the system's routes do not say."""
        if self.integration in convert.IDS_OF_ALL_PIPELINES:
            await self.raw_build(pipeline, build)

    async def settled(self, listed: Build) -> Build:
        """Return a build of a list with its state, asked for singly where the list has none."""
        if listed.raw_state is None:
            return await self.build(listed.pipeline, listed.id)
        return await self._with_end(listed)

    async def _with_end(self, build: Build) -> Build:
        """Return a build with its end from its jobs, where the system's builds report only that they were set up."""
        if self.integration is not Integration.CIRCLECI or build.raw_state != convert.SET_UP:
            return build
        try:
            return convert.from_jobs(build, await self.jobs(build.pipeline, build.id))
        except (NotFound, Rejected):
            return build  # its jobs can't be read: how it ended is not known

    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a build's jobs. One request a page."""
        return tuple(convert.job(raw, self.place(pipeline), build) for raw in await self._raw_jobs(pipeline, build))

    async def raw_job(self, pipeline: str, job: str) -> wire.JobWire:
        """Return a job as Truto has it. Costs one request."""
        return wire.JobWire.of((await self._api.get(unified("jobs", job), self._context(pipeline))).raw)

    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return artifacts. One request a page; at CircleCI one for each of the first twenty jobs, whose they are."""
        queries: list[Query] = [{**self._context(pipeline), "build_id": build}]
        if self.integration is Integration.CIRCLECI:
            numbers = [convert.circleci_number(raw) for raw in await self._raw_jobs(pipeline, build)]
            known = [number for number in numbers if number is not None][:ARTIFACT_JOBS]
            queries = [{**self.account_query, "project_slug": pipeline, "job_number": number} for number in known]
        artifacts: list[Artifact] = []
        for query in queries:
            async for page in self._pages(unified("artifacts"), {**query, "limit": PER_PAGE}, ceiling=ARTIFACT_PAGES):
                artifacts += [
                    convert.artifact(raw, self.place(pipeline), build)
                    for raw in parse_items(page, wire.ArtifactWire.of)
                    if not raw.expired
                ]
        return tuple(artifacts)

    # queries

    @property
    def account_query(self) -> Mapping[str, str]:
        """Return the parameter that every request carries."""
        return {"integrated_account_id": self._options.integrated_account_id}

    @property
    def _resource(self) -> str:
        return "workflow" if self.integration is Integration.JENKINS else "repos"

    @property
    def _scope(self) -> Mapping[str, str]:
        """Return what narrows lists of repositories."""
        match self.integration:
            case Integration.AZURE | Integration.BITBUCKET:
                return {**self.account_query, "workspace_id": self._options.workspace_id}
            case Integration.GITHUB:
                return {**self.account_query, "owner": self._options.owner}
            case _:
                return self.account_query

    def _context(self, pipeline: str) -> Mapping[str, str]:
        """Return what names a pipeline in every call."""
        match self.integration:
            case Integration.AZURE:
                own = {} if pipeline == self._options.workspace_id else {"repo": pipeline}
            case Integration.BITBUCKET:
                own = {"repo": pipeline}
            case Integration.JENKINS:
                own = {"workflow_id": pipeline}
            case _:
                own = {"repo_id": pipeline}
                if self._options.repo and pipeline == self._options.home:
                    own["repo"] = self._options.repo
        return {**self._scope, **own}

    async def _build_pages(
        self, pipeline: str, query: BuildQuery, *, ceiling: int
    ) -> AsyncGenerator[list[Build], None]:
        place = self.place(pipeline)
        async with aclosing(
            self._pages(unified("builds"), {**self._context(pipeline), **query.pairs()}, ceiling=ceiling)
        ) as pages:
            async for page in pages:
                yield [
                    convert.build(raw, place)
                    for raw in parse_items(page, wire.BuildWire.of)
                    if convert.owner_of(raw, place) is None
                ]

    async def _raw_jobs(self, pipeline: str, build: str) -> list[wire.JobWire]:
        own = {"build": build} if self.integration is Integration.BITBUCKET else {"build_id": build}
        if self.integration is Integration.CIRCLECI:
            own["project_slug"] = pipeline
        query: Query = {**self._context(pipeline), **own, "limit": PER_PAGE}
        pages = self._pages(unified("jobs"), query, ceiling=JOB_PAGES)
        return [raw async for page in pages for raw in parse_items(page, wire.JobWire.of)]

    async def _pages(self, route: str, query: Query, *, ceiling: int = 100) -> AsyncGenerator[list[msgspec.Raw], None]:
        async with aclosing(self._api.replies(route, query, next_page=next_page, ceiling=ceiling)) as replies:
            async for reply in replies:
                yield page_items(reply)
