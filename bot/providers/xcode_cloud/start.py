"""Starting builds, once: what Apple takes, which ref is meant, and what a refusal most likely means.

Facts: "Start a Build" and the OpenAPI document 4.4.1, checked 2026-11. There is no idempotency key, a rebuild wants its
workflow named beside the old run, and a conflict (409) is answered with one vague sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx

from bot.core.clock import Sleep
from bot.core.errors import Ambiguous, NotFound, ProviderError, Rejected, Unsupported, UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget
from bot.http.client import ApiClient
from bot.providers.base.options import check_options
from bot.providers.base.send_once import send_once
from bot.providers.xcode_cloud import urls
from bot.providers.xcode_cloud.client import JUST_READ, Client
from bot.providers.xcode_cloud.convert import Source, Workflow
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.wire import Document, Resource, RunAttributes

OPTIONS: Mapping[str, str] = {"clean": "yes to build without cached files"}
NO_PARAMETERS = (
    "Xcode Cloud takes no parameters with a build.",
    "Set environment variables in the workflow itself.",
)
WORKFLOW: Mapping[str, str] = {"fields[ciWorkflows]": "repository", "include": "repository"}
YES = frozenset({"", "yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})


class Starter:
    """Starts runs of workflows and finds the one it started where no answer came."""

    def __init__(self, api: ApiClient, client: Client, *, sleep: Sleep) -> None:
        self._api = api
        self._client = client
        self._sleep = sleep

    async def target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what `start` would send, or raise what it would raise. Costs what finding the ref costs.

        A ref that Apple does not list, which `start` refuses, is what was typed: whether it exists is reported to those
        who may start it.
        """
        start_attributes(request)
        wanted = await self._ref_to_build(pipeline, request.ref)
        source = await self._listed(pipeline, wanted)
        ref = source.ref if source is not None else wanted
        own = source.branch if source is not None and source.from_fork is False else None
        return StartTarget(
            branch=ref.name if ref.kind is RefKind.BRANCH else own,
            tag=ref.name if ref.kind is RefKind.TAG else None,
            pull_request=ref.name if ref.kind is RefKind.PULL_REQUEST else None,
        )

    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a run of the request's ref, or of the default branch, and return it."""
        attributes = start_attributes(request)
        ref = await self._ref_to_build(pipeline, request.ref)
        source = await self._listed(pipeline, ref)
        if source is None:
            raise _not_listed(ref)
        made = _Made(source=source.id, reasons=frozenset({"MANUAL", None}))
        build = await self._create(pipeline, attributes, {source.relation: to_one(source.type, source.id)}, made)
        return _with_source(build, source)

    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new run of an old run's source, in the old run's own workflow, and return it as read after that.

        Two requests before the start and one after it: the answer to the start does not name the source. Raises NotFound
        where the run belongs to another workflow than `pipeline`.
        """
        attributes = start_attributes(request)
        if request.ref is not None:
            raise Unsupported(
                "A rebuild takes the same source; it can't be given another ref.",
                provider=LABEL,
                hint="Start a new build of that ref instead.",
            )
        made = await self._rebuilt(pipeline, build)
        started = await self._create(pipeline, attributes, {"buildRun": to_one("ciBuildRuns", build)}, made)
        try:
            return await self._client.build(await self._client.run(started.id), pipeline)
        except ProviderError:
            return started

    async def _rebuilt(self, pipeline: str, build: str) -> "_Made":
        """Return what a rebuild of a run will look like. Where the run cannot be read, only that it is a rebuild.

        Raises NotFound where the run belongs to another workflow, or where nothing could have such an id.
        """
        urls.run(build)
        urls.workflow(pipeline)
        try:
            old = (await self._client.run(build)).data
            commit = old.read(RunAttributes).sha
        except ProviderError:
            return _Made(source=None, reasons=frozenset({"MANUAL_REBUILD"}))
        if old.to("workflow") not in {pipeline, None}:
            raise NotFound("That build belongs to another workflow.", provider=LABEL, hint="Name it by its own page.")
        source = old.to("pull_request") or old.to("source_branch_or_tag")
        return _Made(source=source, reasons=frozenset({"MANUAL", "MANUAL_REBUILD", None}), commit=commit)

    async def _ref_to_build(self, pipeline: str, ref: Ref | None) -> Ref:
        """Return the ref to build: the one asked for, else the default branch. A commit is refused."""
        target = ref or _default_branch(await self._client.workflow(pipeline))
        if target.kind is RefKind.COMMIT:
            raise _no_commit(target.name)
        return target

    async def _listed(self, pipeline: str, ref: Ref) -> Source | None:
        """Return what a ref means to Apple. The lists are read anew before it is None. Raises Ambiguous."""
        repository = await self._repository(pipeline)
        is_request = ref.kind is RefKind.PULL_REQUEST
        offered = self._client.pull_requests if is_request else self._client.branches_and_tags
        for within in (None, JUST_READ):
            matches = fitting(await offered(repository, within=within), ref)
            if len(matches) > 1:
                raise Ambiguous(
                    f"`{ref.name}` is the name of a branch and of a tag. Which one?",
                    choices=tuple((f"{match.ref.kind} {match.ref.name}", _unambiguous(match)) for match in matches),
                    hint="Write the one you mean: "
                    + " or ".join(f"`@{_unambiguous(match)}`" for match in matches)
                    + ".",
                )
            if matches:
                return matches[0]
        return None

    async def _repository(self, pipeline: str) -> str:
        """Return the id of a workflow's repository. Where the workflows can't be listed, this one is read by itself."""
        try:
            return await self._client.repository_of(pipeline)
        except ProviderError as exc:
            if isinstance(exc, NotFound) and exc.status is None:  # they were listed, and it is none of them
                raise
            repository = await self._repository_alone(pipeline)
            if repository is None:
                raise
            return repository

    async def _repository_alone(self, pipeline: str) -> str | None:
        try:
            return (await self._api.get(urls.workflow(pipeline), WORKFLOW)).decode(Document).data.to("repository")
        except ProviderError:
            return None

    async def _create(
        self, pipeline: str, attributes: Mapping[str, bool], relations: Mapping[str, object], made: "_Made"
    ) -> Build:
        data: dict[str, object] = {
            "type": "ciBuildRuns",
            "relationships": {"workflow": to_one("ciWorkflows", pipeline), **relations},
        }
        if attributes:
            data["attributes"] = attributes
        newest = await self._newest(pipeline)

        async def send() -> Build:
            try:
                reply = await self._api.post(urls.RUNS, json={"data": data})
            except Rejected as exc:
                if exc.status != httpx.codes.CONFLICT:
                    raise
                raise await self._with_likely_reason(exc, pipeline) from exc
            return await self._client.build(reply.decode(Document), pipeline)

        async def confirm() -> Build | None:
            return await self._find_started(pipeline, newest, made)

        return await send_once(send, confirm, label=LABEL, sleep=self._sleep)

    async def _newest(self, pipeline: str) -> int | None:
        """Return the highest number of a workflow's runs before a start; None where it cannot be read.

        Not knowing it never keeps a start from being sent: then a start without an answer cannot be confirmed.
        """
        try:
            page = await self._client.newest_runs(pipeline)
            return max((run.read(RunAttributes).number or 0 for run in page.resources), default=0)
        except ProviderError:
            return None

    async def _find_started(self, pipeline: str, newest: int | None, made: "_Made") -> Build | None:
        """Return the one run that can only be ours; None where there is none, or two fit. One request."""
        if newest is None:
            return None
        page = await self._client.newest_runs(pipeline)
        ours = {run.id for run in page.resources if made.fits(run)}
        builds = [
            build
            for build in await self._client.builds_of_page(page, pipeline)
            if build.id in ours and build.pipeline == pipeline and build.number is not None and build.number > newest
        ]
        return builds[0] if len(builds) == 1 else None

    async def _with_likely_reason(self, refusal: Rejected, pipeline: str) -> Rejected:
        """Return Apple's refusal with the likely reason: the workflow is off, or has no manual start for the ref."""
        self._client.forget_workflows()
        try:
            workflow = await self._client.workflow(pipeline)
        except ProviderError:
            return refusal
        if workflow.enabled:
            hint = (
                f"{workflow.name} is switched on; it may lack a manual start condition for this ref. "
                "An admin can add one in App Store Connect."
            )
        else:
            hint = f"{workflow.name} is switched off. An admin has to enable it first."
        return Rejected(refusal.message, provider=LABEL, status=refusal.status, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What a run that we started looks like: its source's id (None: unknown), its start reasons, its commit."""

    source: str | None
    reasons: frozenset[str | None]
    commit: str | None = None

    def fits(self, run: Resource) -> bool:
        """Whether a run may be the one that was started."""
        attributes = run.read(RunAttributes)
        if attributes.start_reason not in self.reasons:
            return False
        if self.commit is not None and attributes.sha not in {self.commit, None}:
            return False
        return self.source is None or self.source in {run.to("source_branch_or_tag"), run.to("pull_request")}


def start_attributes(request: StartRequest) -> dict[str, bool]:
    """Return the attributes of a new run. What Apple does not take is refused by name."""
    if request.parameters:
        refusal, hint = NO_PARAMETERS
        names = ", ".join(f"`{name}`" for name in request.parameters)
        raise Unsupported(f"{refusal.removesuffix('.')}: {names}.", provider=LABEL, hint=hint)
    if request.message:
        raise Unsupported("Xcode Cloud takes no message with a build.", provider=LABEL, hint="Leave it out.")
    if request.commit is not None:
        raise _no_commit(request.commit)
    check_options(request.options, OPTIONS, LABEL)
    if "clean" not in request.options:
        return {}
    word = request.options["clean"].strip().casefold()
    if word not in YES | NO:
        raise UsageError(f"`clean` is yes or no, not `{request.options['clean']}`.")
    return {"clean": word in YES}


def fitting(sources: tuple[Source, ...], ref: Ref) -> list[Source]:
    """Return what a ref may mean: a tag where that is said, else a branch or a tag of the name."""
    if ref.kind is RefKind.TAG:
        sources = tuple(it for it in sources if it.ref.kind is RefKind.TAG)
    return [it for it in sources if ref.name in {it.ref.name, it.canonical_name}]


def to_one(type_: str, id_: str) -> dict[str, object]:
    """Return a relationship to one resource."""
    return {"data": {"type": type_, "id": id_}}


def _default_branch(workflow: Workflow) -> Ref:
    branch = workflow.repository.default_branch if workflow.repository is not None else None
    if branch is None:
        raise UsageError(f"Apple does not tell the default branch of {workflow.path}.", hint="Write one after `@`.")
    return Ref(kind=RefKind.BRANCH, name=f"refs/heads/{branch}")


def _with_source(build: Build, source: Source) -> Build:
    """Return a build with what it was started from, where the answer does not say it."""
    if source.ref.kind is RefKind.TAG:
        return replace(build, tag=build.tag or source.ref.name)
    if source.ref.kind is RefKind.PULL_REQUEST:
        return replace(
            build,
            pull_request=build.pull_request or source.ref.name,
            branch=build.branch or source.branch,
            target_branch=build.target_branch or source.target,
            from_fork=source.from_fork if build.from_fork is None else build.from_fork,
        )
    return replace(build, branch=build.branch or source.ref.name)


def _unambiguous(source: Source) -> str:
    """Return the words that mean this branch or tag and nothing else."""
    return str(source.ref) if source.ref.kind is RefKind.TAG else source.canonical_name or source.ref.name


def _not_listed(ref: Ref) -> NotFound:
    if ref.kind is RefKind.PULL_REQUEST:
        return NotFound(f"There is no open pull request {ref.name} in the workflow's repository.", provider=LABEL)
    return NotFound(
        f"Apple lists no {'tag' if ref.kind is RefKind.TAG else 'branch or tag'} `{ref.name}`.",
        provider=LABEL,
        hint="One that was just pushed may take a minute to show.",
    )


def _no_commit(commit: str) -> Unsupported:
    return Unsupported(
        f"Xcode Cloud can't build a commit (`{commit[:12]}`), only a branch, a tag or a pull request.",
        provider=LABEL,
        hint="If that is a branch's name, write `branch:` before it.",
    )
