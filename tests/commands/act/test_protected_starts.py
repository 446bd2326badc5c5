"""With `main` protected, whatever a member types: it is refused, or what goes out does not build `main`.

Every connection, with every start option and parameter it declares, and refs, commits and values in all spellings.
"""

from collections.abc import Awaitable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bot.core.errors import BotError
from bot.core.models import Ref, StartRequest, parse_ref
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import Provider
from commands.act import rebuild, run
from commands.core.grammar import Target
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.permissions import Requirement, protected_among
from tests.bot.providers.case import cases, opened
from tests.bot.providers.server import Server, recorded
from tests.commands.act.protected_table import (
    CANNOT_START,
    GIT_PARAMETERS,
    IN_VALUES,
    NAMES_OF_REFS,
    OPTIONS,
    OTHER_NAMES,
    REFS,
    SHA,
    SPELLINGS,
    STANDS,
    Stand,
    leaves_it_open,
    names_main,
)

PROTECTED = ("main",)
ANY: Any = None
EVERY_STAND = pytest.mark.parametrize("stand", STANDS, ids=lambda stand: stand.name)


def ref_of(text: str | None) -> Ref | None:
    return parse_ref(text) if text is not None else None


def requests(stand: Stand, provider: Provider[Any], names: frozenset[str]) -> Iterator[tuple[str, StartRequest]]:
    """What is typed, under the name of the option, parameter or form of ref that it tries."""
    base = dict(stand.base)
    for text in REFS:
        yield f"ref {text}", StartRequest(ref=ref_of(text), options=base)
    for spelling in SPELLINGS:
        for prefix in ("branch:", "tag:", "pr:", "commit:"):
            yield f"ref {prefix}", StartRequest(ref=parse_ref(prefix + spelling), options=base)
        for text in (None, "other", "tag:v1"):
            yield "commit", StartRequest(ref=ref_of(text), commit=spelling, options=base)
    yield "commit", StartRequest(ref=ref_of("other"), commit=SHA, options=base)
    for name, values in OPTIONS[stand.case.kind].items():
        if name not in provider.start_options:
            continue
        is_prefix = name.endswith(".")
        for each in named(name):
            for text in ("other",) if is_prefix else REFS:
                for value in (*values, *(IN_VALUES if is_prefix else SPELLINGS)):
                    yield f"option {name}", StartRequest(ref=ref_of(text), options={**base, each: value})
    for name in sorted({*NAMES_OF_REFS, *GIT_PARAMETERS, *OTHER_NAMES, *names}):
        for value in ("x", *IN_VALUES):
            yield f"parameter {name}", StartRequest(ref=ref_of("other"), options=base, parameters={name: value})


def named(option: str) -> tuple[str, ...]:
    """The options that one of a provider's table stands for: those that end with a dot take a name after it."""
    return tuple(f"{option}{name}" for name in ("WORD", *NAMES_OF_REFS)) if option.endswith(".") else (option,)


async def refused(stand: Stand, provider: Provider[Any], request: StartRequest) -> bool:
    """Whether `run` refuses a member who asks for this."""
    try:
        target = await provider.start_target(stand.pipeline, request)
    except BotError:
        return True
    match = PipelineMatch(provider=provider, id=stand.pipeline, path=stand.pipeline, name="Ferry")
    start = run.Start(match=match, ref=request.ref, request=request, target=target)
    return is_protected(run.authorize(run.Args(target=Target()), start, ANY)[0])


def is_protected(requirement: Requirement) -> bool:
    return bool(protected_among(requirement, PROTECTED))


def ids_of_main(stand: Stand) -> frozenset[str]:
    """The ids under which App Store Connect lists the branch `main`."""
    if stand.case.kind != "xcode_cloud":
        return frozenset()
    return frozenset(
        resource["id"]
        for exchange in recorded(stand.case)
        if isinstance(exchange.body, Mapping)
        for resource in (exchange.body["data"] if isinstance(exchange.body.get("data"), list) else ())
        if resource.get("type") == "scmGitReferences" and resource.get("attributes", {}).get("name") == "main"
    )


@EVERY_STAND
async def test_no_start_of_a_member_builds_a_protected_branch(stand: Stand) -> None:
    problems: dict[str, StartRequest] = {}
    sent: set[str] = set()
    main = ids_of_main(stand)
    server = Server((*stand.answers, *stand.case.first), recorded(stand.case))
    async with opened(stand.case, server) as provider:
        without_row = provider.start_options.keys() - OPTIONS[stand.case.kind].keys()
        assert not without_row, f"start options without a row: {sorted(without_row)}"
        for what, request in requests(stand, provider, await declared(stand, provider)):
            if await refused(stand, provider, request):
                continue
            for write in await writes_of(server, provider.start(stand.pipeline, request)):
                sent.add(what)
                reason = names_main(stand, write, main) or leaves_it_open(stand, write)
                if reason is not None:
                    problems.setdefault(f"{what}: {reason}", request)
        expected = {f"option {name}" for name in provider.start_options}
        expected |= {"parameter WORD"} if provider.takes_parameters else set()
    assert not problems, "\n".join(f"{reason}, of {request}" for reason, request in problems.items())
    assert not stand.sends_other or expected <= sent, f"nothing went out with {sorted(expected - sent)}"


async def declared(stand: Stand, provider: Provider[Any]) -> frozenset[str]:
    """The names of the parameters that the provider declares, where it can be asked."""
    if not provider.can(Capability.PARAMETERS):
        return frozenset()
    try:
        return frozenset(each.name for each in await provider.parameters(stand.pipeline, ref_of("other")))
    except BotError:
        return frozenset()


async def writes_of(server: Server, act: Awaitable[object]) -> list[httpx.Request]:
    """What an act sends to change something; the server refuses it."""
    server.requests.clear()
    with suppress(BotError):
        await act
    return [each for each in server.writes if not is_read(each.url.path)]


@EVERY_STAND
async def test_no_rebuild_of_a_member_builds_a_protected_branch(stand: Stand) -> None:
    """Each kind of build that the case knows is built again, with new values and options, too."""
    problems: dict[str, str] = {}
    main = ids_of_main(stand)
    for kind, answers in stand.case.ref_builds.items():
        if isinstance(answers, str):
            continue
        server = Server((*answers, *stand.answers, *stand.case.first), recorded(stand.case))
        async with opened(stand.case, server) as provider:
            if not provider.can(Capability.REBUILD):
                return
            stand = replace(stand, pipeline=stand.case.pipeline)
            pipeline = PipelineMatch(provider=provider, id=stand.pipeline, path=stand.pipeline, name="Ferry")
            build = await provider.build(stand.case.pipeline, stand.case.build)
            match = BuildMatch(pipeline=pipeline, build=build)
            for request in again(provider):
                try:
                    target = await provider.rebuild_target(build.pipeline, request)
                except BotError:
                    continue
                args = rebuild.Args(target=Target(), parameters=request.parameters, options=request.options)
                if is_protected(rebuild.authorize(args, rebuild.Rebuild(match=match, target=target), ANY)[0]):
                    continue
                assert build.branch != "main" or build.from_fork or build.pull_request, kind
                for write in await writes_of(server, provider.rebuild(build.pipeline, build.id, request)):
                    if (reason := names_main(stand, write, main)) is not None:
                        problems.setdefault(f"{kind}: {reason}", f"{args}")
    assert not problems, "\n".join(f"{reason}, of {request}" for reason, request in problems.items())


def again(provider: Provider[Any]) -> Iterator[StartRequest]:
    """What may be typed at a rebuild."""
    yield StartRequest()
    for name in (*NAMES_OF_REFS, *GIT_PARAMETERS, *OTHER_NAMES):
        for value in ("x", *IN_VALUES):
            yield StartRequest(parameters={name: value})
    for option in provider.start_options:
        for each in named(option):
            for value in OPTIONS[provider.kind][option] + IN_VALUES:
                yield StartRequest(options={each: value})


def is_read(path: str) -> bool:
    """Whether a POST asks a question: GitLab's GraphQL and CI lint, CircleCI's compiled configuration, tokens."""
    return path.endswith(("/graphql", "/ci/lint", "/access_tokens", "/oauth2/v2.0/token"))


def test_every_connection_that_starts_builds_is_in_the_table() -> None:
    listed = {str(stand.case) for stand in STANDS} | CANNOT_START.keys()
    assert {str(case) for case in cases()[0]} <= listed
    assert {stand.case.kind for stand in STANDS} == PROVIDERS.keys() == OPTIONS.keys()
