"""Starts of builds: what is sent to CircleCI, what that makes it build, and how the build is known afterwards."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from bot.core.clock import Clock
from bot.core.errors import NotFound, ProviderError, Rejected, UnexpectedResponse, UsageError
from bot.core.models import Parameter, Ref, RefKind, StartRequest, StartTarget
from bot.core.text import same_name
from bot.http.client import ApiClient
from bot.http.reply import Reply
from bot.providers.base.memory import AbsentOperations
from bot.providers.base.options import check_options
from bot.providers.base.times import parse_time
from bot.providers.circleci import convert, urls, wire
from bot.providers.circleci.client import CircleCIClient
from bot.providers.circleci.errors import LABEL
from bot.providers.circleci.parameters import declared, typed

log = logging.getLogger(__name__)

START_OPTIONS: Mapping[str, str] = {
    "definition": "name or id of the pipeline definition, where a project has several",
    "config_branch": "the branch that the configuration is taken from, where it is not the one that is built",
    "merge": "yes to build a pull request as merged into its target",
}
NO_OPTIONS: Mapping[str, str] = {}
YES = frozenset({"yes", "true", "1", "on", ""})
NO = frozenset({"no", "false", "0", "off"})
SKEW = timedelta(minutes=1)
RUN = "pipeline/run"
Source = Mapping[str, str]
"""What CircleCI builds: `{"branch": …}` or `{"tag": …}`."""
Begun = tuple[wire.PipelineWire, list[wire.Workflow]]
SendOnce = Callable[[Callable[[], Awaitable[Begun]], Callable[[], Awaitable[Begun | None]]], Awaitable[Begun]]

_PULL = re.compile(r"pull/([0-9]{1,12})(?:/(head|merge))?")
_NO_START_BY_HAND = re.compile(r"webhook|schedul|push|pull|merge|gitlab", re.IGNORECASE)


def check(request: StartRequest) -> None:
    """Raise UsageError for what CircleCI does not take, and for an option that is not there."""
    check_options(request.options, START_OPTIONS, LABEL)
    _is_merged(request.options)
    if request.commit or (request.ref and request.ref.kind is RefKind.COMMIT):
        raise UsageError("CircleCI builds branches and tags, not single commits.", hint="Name a branch or `tag:NAME`.")
    if request.message:
        raise UsageError(
            "CircleCI takes no message with a build.",
            hint="If its configuration declares a parameter for it, give that: `NAME=VALUE`.",
        )


def source(ref: Ref, slug: str, options: Mapping[str, str]) -> Source:
    """Return what a ref makes CircleCI build. Raises UsageError."""
    is_merged = _is_merged(options)
    match ref.kind:
        case RefKind.TAG:
            return {"tag": ref.name.removeprefix("refs/tags/")}
        case RefKind.PULL_REQUEST:
            pass
        case _:
            return {"branch": ref.name.removeprefix("refs/heads/")}
    if urls.short(slug).startswith("bb/"):
        raise UsageError("CircleCI builds pull requests by number only for GitHub.", hint="Name the branch.")
    if not re.fullmatch(r"[0-9]{1,12}", ref.name):
        raise UsageError(f"A pull request has a number; `{ref.name[:40]}` is none.")
    return {"branch": f"pull/{ref.name}/{'merge' if is_merged else 'head'}"}


def source_of(raw: wire.PipelineWire, options: Mapping[str, str]) -> Source | None:
    """Return what makes CircleCI build the branch, tag or pull request of a recorded build; None where it reports none.

    A pull request that was built as merged stays so, unless the option `merge` says otherwise. A fork's branch is none of
    ours: its pull request is built.
    """
    ref = ref_of(raw)
    if ref is None:
        return None
    if ref.kind is not RefKind.PULL_REQUEST:
        return {"tag" if ref.kind is RefKind.TAG else "branch": ref.name}
    pull = _PULL.fullmatch(convert.branch(raw) or "")
    was_merged = pull is not None and pull[2] == "merge"
    is_merged = _is_merged(options) if "merge" in options else was_merged
    return {"branch": f"pull/{ref.name}/{'merge' if is_merged else 'head'}"}


def ref_of(raw: wire.PipelineWire) -> Ref | None:
    """Return the branch, tag or pull request that a build was made of, None where CircleCI does not say."""
    tag, branch = convert.tag(raw), convert.branch(raw)
    if tag:
        return Ref(kind=RefKind.TAG, name=tag)
    pull = _PULL.fullmatch(branch or "")
    if pull:
        return Ref(kind=RefKind.PULL_REQUEST, name=pull[1])
    if convert.from_fork(raw):
        number = convert.pull_request(raw)
        return Ref(kind=RefKind.PULL_REQUEST, name=number) if number else None
    return Ref(kind=RefKind.BRANCH, name=branch) if branch else None


def target(built: Source, options: Mapping[str, str] = NO_OPTIONS) -> StartTarget:
    """Return what a source makes CircleCI build. A pull request's head is its branch by another name."""
    branch = built.get("branch")
    pull = _PULL.fullmatch(branch or "")
    return StartTarget(
        branch=branch, tag=built.get("tag"), pull_request=pull[1] if pull else None, also=config_branch(options)
    )


def config_branch(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the branch whose configuration is run, where an option names one: its jobs run with its rights."""
    branch = options.get("config_branch")
    return (branch,) if branch else ()


def body(
    built: Source, values: Mapping[str, str | int | bool], options: Mapping[str, str], definition: str | None
) -> dict[str, object]:
    """Return the body of a start."""
    config = {"branch": options["config_branch"]} if options.get("config_branch") else built
    whole: dict[str, object] = {"config": config, "checkout": built}
    if definition is not None:
        whole["definition_id"] = definition
    if values:
        whole["parameters"] = dict(values)
    return whole


def older_body(whole: Mapping[str, object], built: Source) -> dict[str, object]:
    """Return the body of a start by the older call, which takes neither a definition nor another configuration."""
    return {**built, **({"parameters": whole["parameters"]} if "parameters" in whole else {})}


def started(raw: wire.Started) -> wire.Started:
    """Return the answer to a start that began something.

    Raises Rejected where CircleCI says that nothing began, and UnexpectedResponse where it says neither.
    """
    if raw.id:
        return raw
    if raw.message:
        raise Rejected(
            f"CircleCI started nothing: {raw.message}",
            provider=LABEL,
            hint="A commit whose message says so is skipped.",
        )
    raise UnexpectedResponse("CircleCI's answer to the start names no build.", provider=LABEL)


def definition_id(definitions: Iterable[wire.Definition], name: str) -> str:
    """Return the id of the one definition that has a name. Raises UsageError with the names that there are."""
    definitions = list(definitions)
    named = [each for each in definitions if same_name(each.name, name.strip())]
    if len(named) != 1:
        known = ", ".join(f"`{each.name}`" for each in definitions if each.name) or "none"
        raise UsageError(f"No one pipeline definition is called `{name[:80]}`.", hint=f"There are: {known}.")
    return named[0].id


def is_like(raw: wire.PipelineWire, built: Source, since: datetime | None = None) -> bool:
    """Return whether a build may be the one just asked for: of that branch or tag, begun since then, and by no event."""
    about = raw.trigger_parameters.circleci if raw.trigger_parameters else None
    kinds = (raw.trigger.type if raw.trigger else None, about.event_type if about else None)
    created = parse_time(raw.created_at)
    is_old = since is not None and (created is None or created < since)
    if is_old or any(kind and _NO_START_BY_HAND.search(kind) for kind in kinds):
        return False
    if "tag" in built:
        return convert.tag(raw) == built["tag"]
    return _without_end(convert.branch(raw)) == _without_end(built.get("branch"))


def _without_end(branch: str | None) -> str | None:
    return branch.removesuffix("/head").removesuffix("/merge") if branch and branch.startswith("pull/") else branch


def _is_merged(options: Mapping[str, str]) -> bool:
    word = options.get("merge", "no").strip().lower()
    if word not in YES | NO:
        raise UsageError(f"`merge` is yes or no, not `{word[:40]}`.")
    return word in YES


class Starts:
    """Starts builds of one organization."""

    def __init__(self, api: ApiClient, addresses: urls.Urls, client: CircleCIClient, clock: Clock) -> None:
        self._api = api
        self._urls = addresses
        self._client = client
        self._clock = clock
        self._absent = AbsentOperations(clock)

    async def source(self, pipeline: str, request: StartRequest) -> Source:
        """Return what a request makes CircleCI build. Costs a request where the default branch has to be asked for."""
        slug = self._urls.slug(pipeline)
        ref = request.ref
        if ref is None:
            about = (await self._client.project(pipeline)).vcs_info or wire.VcsInfo()
            if not about.default_branch:
                raise UsageError(f"{pipeline} has no default branch.", hint="Name one: `@BRANCH`.")
            ref = Ref(kind=RefKind.BRANCH, name=about.default_branch)
        return source(ref, slug, request.options)

    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return what the configuration of the newest build of `ref` declares. Costs two requests."""
        branch = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
        tag = ref.name if ref is not None and ref.kind is RefKind.TAG else None
        async for page in self._client.builds(pipeline, branch, 1):
            for raw in page:
                if raw.state != "errored" and tag in {None, convert.tag(raw)}:
                    config = await self._client.config(raw.id)
                    return declared(config.setup_config or config.source or "")
        return ()

    async def values(self, pipeline: str, built: Source, texts: Mapping[str, str]) -> dict[str, str | int | bool]:
        """Return parameters in the types that the newest configuration declares.

        Where it can't be read, each is sent as what it looks like: CircleCI itself refuses what is not declared.
        """
        types: tuple[Parameter, ...] = ()
        kind = RefKind.TAG if "tag" in built else RefKind.BRANCH
        ref = Ref(kind=kind, name=next(iter(built.values())))
        is_pull_request = target(built).pull_request is not None
        try:
            types = await self.parameters(pipeline, None if is_pull_request else ref) if texts else ()
        except ProviderError as exc:
            log.info("the parameters of a start could not be checked", extra={"why": str(exc)})
        return typed(texts, {parameter.name: parameter.type for parameter in types})

    async def create(
        self,
        pipeline: str,
        built: Source,
        values: Mapping[str, str | int | bool],
        options: Mapping[str, str],
        *,
        send_once: SendOnce,
    ) -> Begun:
        """Start a pipeline once and return it with its workflows.

        Without a usable answer it is looked for among the owner's own builds that are new.
        """
        definition = options.get("definition")
        if definition and not urls.is_uuid(definition):
            definition = definition_id(await self._client.definitions(pipeline), definition)
        whole = body(built, values, options, definition or None)
        since, before = self._clock() - SKEW, await self._own_ids(pipeline)

        async def send() -> Begun:
            reply = await self._run(pipeline, whole, built, is_plain=not options)
            return convert.from_start(started(wire.Started.of(reply.raw)), self._urls.slug(pipeline), built), []

        async def confirm() -> Begun | None:
            own = [
                raw
                for raw in await self._client.own_builds(pipeline)
                if raw.id not in (before or ()) and is_like(raw, built, since if before is None else None)
            ]
            return (own[0], await self._client.workflows(own[0].id)) if len(own) == 1 else None

        return await send_once(send, confirm)

    async def _own_ids(self, pipeline: str) -> frozenset[str] | None:
        """Return the builds that the token's owner started before; None where they can't be listed."""
        try:
            return frozenset(raw.id for raw in await self._client.own_builds(pipeline))
        except ProviderError as exc:
            log.info("the builds before a start could not be listed", extra={"why": str(exc)})
            return None

    async def _run(self, pipeline: str, whole: Mapping[str, object], built: Source, *, is_plain: bool) -> Reply:
        """Send the start. Where the newer call is not there (older servers), nothing began and the older one is asked."""
        has_older = is_plain and not self._urls.slug(pipeline).startswith("circleci/")
        if not (has_older and RUN in self._absent):
            try:
                return await self._api.post(self._urls.project(pipeline, "pipeline", "run"), json=whole)
            except NotFound:
                if not has_older:
                    raise
        reply = await self._api.post(self._urls.project(pipeline, "pipeline"), json=older_body(whole, built))
        self._absent.add(RUN)
        return reply
