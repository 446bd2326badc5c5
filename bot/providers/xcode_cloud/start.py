"""Starting builds, once: what Apple takes, which ref is meant, and what a refusal most likely means.

Facts: "Start a Build" and the OpenAPI document 4.4.1, checked 2026-11. There is no idempotency key, a rebuild wants its
workflow named beside the old run, and a conflict (409) is told in one vague sentence.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import httpx

from bot.core.clock import Clock
from bot.core.errors import Ambiguous, NotFound, ProviderError, Rejected, Unsupported, UsageError
from bot.core.models import Build, Ref, RefKind, StartRequest
from bot.http.client import Api
from bot.providers.xcode_cloud.client import JUST_READ, LABEL, Catalogue, Source, Workflow
from bot.providers.xcode_cloud.wire import Around, Document, Listing, Resource, RunAttributes

Once = Callable[[Callable[[], Awaitable[Build]], Callable[[], Awaitable[Build | None]]], Awaitable[Build]]
ReadRun = Callable[[Resource, Around, str], Awaitable[Build]]
NewestRuns = Callable[[str], Awaitable[Listing]]
WholeRun = Callable[[str, str], Awaitable[Build]]

OPTIONS: Mapping[str, str] = {"clean": "yes to build without cached files"}
NO_PARAMETERS = (
    "Xcode Cloud takes no parameters with a build.",
    "Set environment variables in the workflow itself.",
)
LOOK_BACK = timedelta(seconds=10)

_YES, _NO = frozenset({"", "yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})


class Starter:
    """Starts runs of workflows and finds the one it started where no answer came."""

    def __init__(
        self,
        api: Api,
        catalogue: Catalogue,
        *,
        clock: Clock,
        send_once: Once,
        read: ReadRun,
        newest: NewestRuns,
        whole: WholeRun,
    ) -> None:
        self._api = api
        self._catalogue = catalogue
        self._clock = clock
        self._once = send_once
        self._read = read
        self._newest = newest
        self._whole = whole

    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a run of the request's ref, or of the default branch, and return it."""
        attributes = start_attributes(request)
        source = await self._source(await self._catalogue.workflow(pipeline), request.ref)
        relations = {source.relation: _to(source.type, source.id)}
        return _of_source(await self._create(pipeline, attributes, relations, source.id), source)

    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new run of an old run's source and return it, read again: the answer does not name the source."""
        attributes = start_attributes(request)
        if request.ref is not None:
            raise Unsupported(
                "A rebuild takes the same source; it can't be given another ref.",
                provider=LABEL,
                hint="Start a new build of that ref instead.",
            )
        made = await self._create(pipeline, attributes, {"buildRun": _to("ciBuildRuns", build)}, None)
        try:
            return await self._whole(pipeline, made.id)
        except ProviderError:
            return made

    async def repository(self, pipeline: str) -> str:
        """Return the id of a workflow's repository."""
        workflow = await self._catalogue.workflow(pipeline)
        if workflow.repository is None:
            raise NotFound(f"Apple names no repository for {workflow.path}.", provider=LABEL)
        return workflow.repository.id

    async def _source(self, workflow: Workflow, ref: Ref | None) -> Source:
        """Return what a ref means to Apple; the lists are read anew before it is said to be missing."""
        wanted = ref or _default_branch(workflow)
        if wanted.kind is RefKind.COMMIT:
            raise _no_commit(wanted.name)
        repository = await self.repository(workflow.id)
        offered = self._catalogue.pull_requests if wanted.kind is RefKind.PULL_REQUEST else self._catalogue.sources
        for within in (None, JUST_READ):
            found = fitting(await offered(repository, within=within), wanted)
            if len(found) > 1:
                raise Ambiguous(
                    f"`{wanted.name}` is the name of a branch and of a tag. Which one?",
                    choices=tuple((f"{it.ref.kind} {it.ref.name}", _clear(it)) for it in found),
                    hint="Write the one you mean: " + " or ".join(f"`@{_clear(it)}`" for it in found) + ".",
                )
            if found:
                return found[0]
        if wanted.kind is RefKind.PULL_REQUEST:
            raise NotFound(f"There is no open pull request {wanted.name} in the workflow's repository.", provider=LABEL)
        raise NotFound(
            f"Apple lists no {'tag' if wanted.kind is RefKind.TAG else 'branch or tag'} `{wanted.name}`.",
            provider=LABEL,
            hint="One that was just pushed may take a minute to show.",
        )

    async def _create(
        self, pipeline: str, attributes: Mapping[str, bool], relations: Mapping[str, object], source: str | None
    ) -> Build:
        data: dict[str, object] = {
            "type": "ciBuildRuns",
            "relationships": {"workflow": _to("ciWorkflows", pipeline), **relations},
        }
        if attributes:
            data["attributes"] = attributes
        began = self._clock()

        async def send() -> Build:
            try:
                reply = await self._api.post("v1/ciBuildRuns", json={"data": data})
            except Rejected as exc:
                if exc.status != httpx.codes.CONFLICT:
                    raise
                raise await self._with_switch(exc, pipeline) from exc
            document = reply.decode(Document)
            return await self._read(document.data, document.around, pipeline)

        async def confirm() -> Build | None:
            return await self._ours(pipeline, began - LOOK_BACK, source)

        return await self._once(send, confirm)

    async def _ours(self, pipeline: str, since: datetime, source: str | None) -> Build | None:
        """Return the one run that can only be ours: by hand, of our source, after we asked. None where two might be."""
        reasons = {"MANUAL", None} if source is not None else {"MANUAL", "MANUAL_REBUILD", None}
        page = await self._newest(pipeline)
        found: list[Build] = []
        for run in page.data:
            build = await self._read(run, page.around, pipeline)
            is_new = build.created_at is not None and build.created_at >= since
            is_same = source is None or source in {run.to("source_branch_or_tag"), run.to("pull_request")}
            if is_new and is_same and run.read(RunAttributes).start_reason in reasons:
                found.append(build)
        return found[0] if len(found) == 1 else None

    async def _with_switch(self, refused: Rejected, pipeline: str) -> Rejected:
        """Return Apple's refusal with the likely reason: the workflow is off, or has no manual start for the ref."""
        self._catalogue.forget_workflows()
        try:
            workflow = await self._catalogue.workflow(pipeline)
        except ProviderError:
            return refused
        if workflow.enabled:
            hint = (
                f"{workflow.name} is switched on; it may lack a manual start condition for this ref. "
                "An admin can add one in App Store Connect."
            )
        else:
            hint = f"{workflow.name} is switched off. An admin has to enable it first."
        return Rejected(refused.message, provider=LABEL, status=refused.status, hint=hint)


def start_attributes(request: StartRequest) -> dict[str, bool]:
    """Return the attributes of a new run. What Apple does not take is refused by name."""
    if request.parameters:
        said, hint = NO_PARAMETERS
        names = ", ".join(f"`{name}`" for name in request.parameters)
        raise Unsupported(f"{said.removesuffix('.')}: {names}.", provider=LABEL, hint=hint)
    if request.message:
        raise Unsupported("Xcode Cloud takes no message with a build.", provider=LABEL, hint="Leave it out.")
    if request.commit is not None:
        raise _no_commit(request.commit)
    for name in request.options:
        if name not in OPTIONS:
            raise UsageError(f"Xcode Cloud knows no option `{name}`.", hint="There is: `clean`.")
    if "clean" not in request.options:
        return {}
    word = request.options["clean"].strip().casefold()
    if word not in _YES | _NO:
        raise UsageError(f"`clean` is yes or no, not `{request.options['clean']}`.")
    return {"clean": word in _YES}


def fitting(sources: tuple[Source, ...], ref: Ref) -> list[Source]:
    """Return what a ref may mean: a tag where that is said, else a branch or a tag of the name."""
    if ref.kind is RefKind.TAG:
        sources = tuple(it for it in sources if it.ref.kind is RefKind.TAG)
    return [it for it in sources if ref.name in {it.ref.name, it.canonical_name}]


def _default_branch(workflow: Workflow) -> Ref:
    branch = workflow.repository.default_branch if workflow.repository is not None else None
    if branch is None:
        raise UsageError(f"Apple does not tell the default branch of {workflow.path}.", hint="Write one after `@`.")
    return Ref(kind=RefKind.BRANCH, name=f"refs/heads/{branch}")


def _of_source(build: Build, source: Source) -> Build:
    """Return a build with what it was started from, where the answer does not say it."""
    if source.ref.kind is RefKind.TAG:
        return replace(build, tag=build.tag or source.ref.name)
    if source.ref.kind is RefKind.PULL_REQUEST:
        return replace(
            build,
            pull_request=build.pull_request or source.ref.name,
            branch=build.branch or source.branch,
            target_branch=build.target_branch or source.target,
        )
    return replace(build, branch=build.branch or source.ref.name)


def _clear(source: Source) -> str:
    """Return the words that mean this branch or tag and nothing else."""
    return str(source.ref) if source.ref.kind is RefKind.TAG else source.canonical_name or source.ref.name


def _no_commit(commit: str) -> Unsupported:
    return Unsupported(
        f"Xcode Cloud can't build a commit (`{commit[:12]}`), only a branch, a tag or a pull request.",
        provider=LABEL,
        hint="If that is a branch's name, write `branch:` before it.",
    )


def _to(type_: str, id_: str) -> dict[str, object]:
    return {"data": {"type": type_, "id": id_}}
