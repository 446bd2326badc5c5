"""What is sent to GitLab to start a build, what that makes it build, and the sending."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr

from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unsupported
from bot.core.models import Build, Ref, RefKind, StartRequest, StartTarget
from bot.http.client import Query
from bot.http.reply import Reply
from bot.providers.base.options import check_options
from bot.providers.gitlab import convert, errors, parameters, urls, wire
from bot.providers.gitlab.client import GitLabClient
from bot.providers.gitlab.errors import LABEL
from bot.providers.gitlab.graphql import Graph

MOST_CANDIDATES = 5
PLAIN_SOURCES = frozenset({"push", "merge_request_event"})
"""Sources of pipelines that were given no variables."""
INPUT = "input."
START_OPTIONS: Mapping[str, str] = {INPUT: "and a name: a value for that pipeline input (GitLab 17.10 and later)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What a request gives a pipeline: variables, and inputs as they were typed."""

    variables: Mapping[str, str]
    inputs: Mapping[str, str]


def values(request: StartRequest) -> Values:
    """Return a request's variables and inputs. Raises UsageError or Unsupported by name for what GitLab does not take.

    An input may stand among the parameters, too: a variable's name never holds a dot.
    """
    check_options(request.options, START_OPTIONS, LABEL)
    refuse_message_and_commit(request)
    inputs = {
        **request.options,
        **{name: value for name, value in request.parameters.items() if name.startswith(INPUT)},
    }
    return Values(
        variables={name: value for name, value in request.parameters.items() if not name.startswith(INPUT)},
        inputs={name.removeprefix(INPUT): value for name, value in inputs.items()},
    )


def refuse_message_and_commit(request: StartRequest) -> None:
    """Raise Unsupported for a message or a single commit: GitLab takes neither."""
    if request.message:
        raise Unsupported("GitLab takes no message for a build.", provider=LABEL, hint="Leave it out.")
    if request.commit or (request.ref is not None and request.ref.kind is RefKind.COMMIT):
        raise Unsupported(
            "GitLab builds branches and tags, not single commits.",
            provider=LABEL,
            hint="Name a branch or a tag that stands at the commit.",
        )


def refuse_values_of_merge_request(given: Values) -> None:
    """Raise Unsupported where values are given for a merge request's pipeline."""
    if given.variables or given.inputs:
        raise Unsupported(
            "GitLab takes no variables or inputs for a merge request's pipeline.",
            provider=LABEL,
            hint="Start its source branch instead.",
        )


def ref_name(ref: Ref | None, default_branch: str | None) -> str:
    """Return the name that is sent as `ref`. Raises Rejected where there is none."""
    name = ref.name if ref else default_branch
    if not name:
        raise Rejected("The project has no default branch yet.", provider=LABEL, hint="Name a branch.")
    return name


def target(ref: Ref | None, name: str) -> StartTarget:
    """Return what a start of `name` builds.

    GitLab is sent a bare name and takes the branch or the tag that bears it, so a tag counts as that branch, too.
    """
    return StartTarget(branch=name, tag=name if ref is not None and ref.kind is RefKind.TAG else None)


def body(ref: str, variables: Iterable[Mapping[str, str]], inputs: Mapping[str, object]) -> dict[str, object]:
    """Return the body of `POST /pipeline`."""
    listed = [dict(each) for each in variables]
    return {"ref": ref} | ({"variables": listed} if listed else {}) | ({"inputs": dict(inputs)} if inputs else {})


def trigger_body(token: str, plain: Mapping[str, object]) -> dict[str, object]:
    """Return the body of `POST /trigger/pipeline`, which takes variables as a mapping."""
    variables = plain.get("variables")
    flat = {each["key"]: each["value"] for each in variables} if isinstance(variables, list) else {}
    return {**plain, "token": token, "variables": flat}


def variables_again(old: Iterable[wire.Variable], changed: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a build's variables with some replaced and some added."""
    by_key = {each.key: each for each in old}
    listed = [
        {"key": key, "value": changed[key], "variable_type": "env_var"}
        if key in changed
        else {"key": key, "value": each.value or "", "variable_type": each.variable_type or "env_var"}
        for key, each in by_key.items()
    ]
    return listed + [{"key": key, "value": value} for key, value in changed.items() if key not in by_key]


def trigger_form(token: str, ref: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the form of v3's `POST /trigger/builds`."""
    return {"token": token, "ref": ref} | {f"variables[{key}]": value for key, value in variables.items()}


Send = Callable[[], Awaitable[Build]]
Confirm = Callable[[], Awaitable[Build | None]]


class Starts:
    """Starts pipelines of API v4."""

    def __init__(
        self,
        client: GitLabClient,
        graph: Graph,
        read: Callable[[wire.PipelineRun, str], Build],
        send_once: Callable[[Send, Confirm], Awaitable[Build]],
        trigger_token: SecretStr | None,
    ) -> None:
        self._client = client
        self._graph = graph
        self._read = read
        self._send_once = send_once
        self._trigger_token = trigger_token

    async def target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what a request would build."""
        start_values, ref = values(request), request.ref
        if ref is None or ref.kind is not RefKind.PULL_REQUEST:
            return target(ref, await self._ref_name(pipeline, ref))
        refuse_values_of_merge_request(start_values)
        merge_request = await self._client.merge_request(pipeline, ref.name)
        source = convert.source_branch(merge_request) if merge_request else None
        return StartTarget(pull_request=ref.name, branch=source)

    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start what a request asks for."""
        start_values, ref = values(request), request.ref
        if ref is not None and ref.kind is RefKind.PULL_REQUEST:
            refuse_values_of_merge_request(start_values)
            return await self._merge_request(pipeline, ref.name)
        variables = [{"key": key, "value": value} for key, value in start_values.variables.items()]
        return await self._ref(pipeline, await self._ref_name(pipeline, ref), variables, start_values.inputs)

    async def again(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start the ref of a build again with the old variables and those that `request` replaces."""
        start_values = values(replace(request, ref=None, commit=None))
        old = await self._client.run(pipeline, build)
        before = self._read(old, pipeline)
        if old.source == "parent_pipeline":
            raise Unsupported(
                "A child pipeline can't be built again by itself.",
                provider=LABEL,
                hint="Rebuild its parent, or retry its failed jobs.",
            )
        if before.pull_request:
            refuse_values_of_merge_request(start_values)
            return await self._merge_request(pipeline, before.pull_request)
        if not old.ref:
            raise Rejected("GitLab does not say what that build was made from.", provider=LABEL)
        variables = variables_again(await self._old_variables(pipeline, build, old.source), start_values.variables)
        return await self._ref(pipeline, old.ref, variables, start_values.inputs)

    async def _ref_name(self, pipeline: str, ref: Ref | None) -> str:
        return ref_name(ref, None if ref else (await self._client.project(pipeline)).default_branch)

    async def _ref(self, pipeline: str, ref: str, variables: list[dict[str, str]], inputs: Mapping[str, str]) -> Build:
        typed: Mapping[str, object] = {}
        if inputs:
            typed = await self._typed(pipeline, ref, inputs)
        whole = body(ref, variables, typed)
        newest = await self._newest(pipeline)

        async def send() -> Build:
            return self._read(wire.PipelineRun.of((await self._create(pipeline, whole)).raw), pipeline)

        async def confirm() -> Build | None:
            route = urls.project_route(pipeline, "pipelines")
            sent = {variable["key"]: variable["value"] for variable in variables}
            return await self._only_new(
                pipeline, route, {"ref": ref, "per_page": 20}, newest, {"api", "trigger"}, sent=sent
            )

        return await self._send_once(send, confirm)

    async def _typed(self, pipeline: str, ref: str, inputs: Mapping[str, str]) -> Mapping[str, object]:
        """Return inputs in their declared types; as texts where the project can't be read, which stops no start."""
        try:
            project = await self._client.path(pipeline)
        except ProviderError:
            return inputs
        return await parameters.typed_inputs(self._graph, project, ref, inputs)

    async def _create(self, pipeline: str, plain: Mapping[str, object]) -> Reply:
        if self._trigger_token is not None:
            try:
                mine = trigger_body(self._trigger_token.get_secret_value(), plain)
                return await self._client.post(pipeline, "trigger", "pipeline", json=mine)
            except NotFound:
                pass  # the token belongs to another project; nothing was started
        return await self._client.post(pipeline, "pipeline", json=plain)

    async def _merge_request(self, pipeline: str, iid: str) -> Build:
        route = urls.project_route(pipeline, "merge_requests", iid, "pipelines")
        newest = await self._newest(pipeline)

        async def send() -> Build:
            reply = await self._client.post(pipeline, "merge_requests", iid, "pipelines")
            return self._read(wire.PipelineRun.of(reply.raw), pipeline)

        async def confirm() -> Build | None:
            return await self._only_new(pipeline, route, None, newest, {"merge_request_event"})

        return await self._send_once(send, confirm)

    async def _newest(self, pipeline: str) -> int | None:
        """Return the newest pipeline's id, so that without an answer ours is distinguished from older ones; None for unknown."""
        try:
            return await self._client.newest_run(pipeline)
        except ProviderError:  # a side question: the start goes on
            return None

    async def _only_new(
        self,
        pipeline: str,
        route: str,
        query: Query | None,
        newest: int | None,
        sources: set[str],
        *,
        sent: Mapping[str, str] | None = None,
    ) -> Build | None:
        """Return the one build younger than `newest` of these sources and with the variables sent, as far as they are told.

        With several nobody can say which is ours. Costs one more request for each of up to five.
        """
        if newest is None:
            return None
        own = [raw for raw in await self._client.runs(route, query) if raw.id > newest and raw.source in sources]
        if sent is not None:
            own = [raw for raw in own[:MOST_CANDIDATES] if await self._has_variables(pipeline, raw, sent)]
        return self._read(own[0], pipeline) if len(own) == 1 else None

    async def _has_variables(self, pipeline: str, raw: wire.PipelineRun, sent: Mapping[str, str]) -> bool:
        """Return whether a build was given these variables and no others, or does not tell."""
        try:
            variables = await self._client.variables(pipeline, str(raw.id))
        except (AuthFailed, NotFound):
            return True
        return {variable.key: variable.value for variable in variables} == dict(sent)

    async def _old_variables(self, pipeline: str, build: str, source: str | None) -> list[wire.Variable]:
        try:
            return await self._client.variables(pipeline, build)
        except AuthFailed as exc:
            if exc.status == 403 and source in PLAIN_SOURCES:
                return []
            raise errors.variables_unreadable(exc) from exc
