"""The checklist of `docs/adding-a-provider.md`, asked of every provider at the wire."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import msgspec
import pytest

from bot.core.errors import BotError, NotFound, Rejected, Unavailable, Unsupported, UsageError
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Job,
    Ref,
    RefKind,
    StartRequest,
    Watched,
)
from bot.core.text import valid
from bot.http.sending import SAFE_METHODS
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import Provider
from tests.bot.providers.case import CONNECTION, Call, Case, Foreign, cases, opened, result_of
from tests.bot.providers.checklist import NOT_YET, check
from tests.bot.providers.replay import Exchange, Replay, as_json, read_exchanges
from tests.bot.providers.server import Server, fits_any, recorded

CASES = cases()[0]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)
EVERY_KIND = pytest.mark.parametrize("kind", sorted(PROVIDERS))
PACKAGE = Path(__file__).parents[3] / "bot" / "providers"

REQUIRED = frozenset({"__init__", "provider", "options", "wire", "convert", "urls", "start", "poll", "webhook"})
WHERE_NEEDED = frozenset(
    {"auth", "graphql", "admin", "logs", "stages", "parameters", "proxy", "annotations", "errors", "client", "details"}
)
VARIANTS = {"gitlab": frozenset({"v3", "server"})}
"""Second classes for old APIs, chosen by `Provider.variant`, and what both classes share."""
MOST_LINES = 400

SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"


# files and paths


@EVERY_KIND
def test_package_has_the_files_of_every_provider(kind: str) -> None:
    files = {file.stem for file in (PACKAGE / kind).glob("*.py")}
    with check("files", kind):
        assert files >= REQUIRED, f"missing: {sorted(REQUIRED - files)}"
        extra = files - REQUIRED - WHERE_NEEDED - VARIANTS.get(kind, frozenset())
        assert not extra, f"not on the list: {sorted(extra)}"
        lines = (PACKAGE / kind / "provider.py").read_text().count("\n")
        assert lines <= MOST_LINES, f"provider.py has {lines} lines"


@EVERY_KIND
def test_every_path_is_built_by_the_one_builder(kind: str) -> None:
    with check("paths", kind):
        handmade = [
            f"{file.name}:{line}: {what}"
            for file in sorted((PACKAGE / kind).glob("*.py"))
            for line, what in handmade_paths(ast.parse(file.read_text()))
        ]
        assert not handmade, "\n".join(handmade)


REQUESTS = frozenset(
    {"get", "head", "get_if_changed", "send", "post", "ask", "replies", "pages", "download", "tail", "url"}
)
"""The methods of `ApiClient` that take a path."""


def handmade_paths(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a module escapes segments by itself, or hands a request a path written as a text with values in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "urllib.parse":
            for name in node.names:
                if name.name.startswith("quote"):
                    yield node.lineno, f"imports {name.name}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REQUESTS:
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr | ast.BinOp) and "/" in ast.unparse(argument):
                    yield node.lineno, f"joins a path by hand: {ast.unparse(argument)}"


@pytest.mark.parametrize(
    ("source", "is_handmade"),
    [
        ('api.get(f"v1/apps/{id}")', True),
        ('api.send("PUT", f"{base}/cancel")', True),
        ('api.get("v1/apps/" + id)', True),
        ("from urllib.parse import quote", True),
        ('log.info(f"{a}/{b}")', False),
        ('api.get(path("v1", "apps", id))', False),
    ],
)
def test_handmade_paths_are_seen(source: str, is_handmade: bool) -> None:
    assert bool(list(handmade_paths(ast.parse(source)))) == is_handmade


# hostile ids

HOSTILE = (
    "../../v1/apps/9",
    "..",
    ".",
    "",
    "a/../b",
    "./a",
    "a//b",
    "%2e%2e",
    "%2e%2e%2fa",
    "a?x=1",
    "a&per_page=1",
    "a#b",
    "a\\b",
    "..\\a",
    "a\x00b",
    "a\r\nX-Y: z",
    "a" * 5000,
    "ü/\u202e日本",
    " .. ",
)
HARMLESS = (
    "41",
    "7",
    "harmless",
    "team/harmless",
    "41/archive",
    "job/41",
    "a:b",
    "0198aa10-0000-4000-8000-000000000002",
    SHA,
)


def with_ids(case: Case, text: str) -> dict[str, Call]:
    """Every method that takes an id, with `text` in place of each of its ids in turn."""
    pipeline, build = case.pipeline, case.build
    request = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"))
    of_pull_request = StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name=text))
    of_tag = StartRequest(ref=Ref(kind=RefKind.TAG, name=text))
    of_commit = StartRequest(ref=Ref(kind=RefKind.COMMIT, name=text))

    a_job = Job(id="41", build=build, pipeline=pipeline, name="n")
    an_artifact = Artifact(id="41", build=build, pipeline=pipeline, name="n", job="41")
    an_approval = Approval(id="41", build=build, pipeline=pipeline, name="n")

    def job(**changes: Any) -> Job:
        return replace(a_job, **changes)

    def artifact(**changes: Any) -> Artifact:
        return replace(an_artifact, **changes)

    def approval(**changes: Any) -> Approval:
        return replace(an_approval, **changes)

    return {
        "pipeline": lambda p: p.pipeline(text),
        "builds": lambda p: p.builds(text, BuildFilter()),
        "builds of a commit": lambda p: p.builds(pipeline, BuildFilter(commit=text)),
        "builds of a branch": lambda p: p.builds(pipeline, BuildFilter(branch=text)),
        "build": lambda p: p.build(pipeline, text),
        "build of pipeline": lambda p: p.build(text, build),
        "build_by_number": lambda p: p.build_by_number(text, 41),
        "build_by_label": lambda p: p.build_by_label(text, "41"),
        "build_of_job": lambda p: p.build_of_job(pipeline, text),
        "build_of_job of pipeline": lambda p: p.build_of_job(text, "41"),
        "changes": lambda p: p.changes(None, Watched(pipelines=frozenset({text}))),
        "refs": lambda p: p.refs(text),
        "parameters": lambda p: p.parameters(text, None),
        "parameters of a ref": lambda p: p.parameters(pipeline, Ref(kind=RefKind.BRANCH, name=text)),
        "start": lambda p: p.start(text, request),
        "start of a pull request": lambda p: p.start(pipeline, of_pull_request),
        "start of a tag": lambda p: p.start(pipeline, of_tag),
        "start of a commit": lambda p: p.start(pipeline, of_commit),
        "start_target": lambda p: p.start_target(text, StartRequest()),
        "cancel": lambda p: p.cancel(pipeline, text),
        "cancel of pipeline": lambda p: p.cancel(text, build),
        "rebuild": lambda p: p.rebuild(pipeline, text, StartRequest()),
        "rebuild with values": lambda p: p.rebuild(pipeline, text, StartRequest(parameters={"A": "b"})),
        "rebuild of pipeline": lambda p: p.rebuild(text, build, StartRequest()),
        "retry": lambda p: p.retry(pipeline, text),
        "retry of pipeline": lambda p: p.retry(text, build),
        "retry of a job": lambda p: p.retry(pipeline, build, job=text),
        "retry of all": lambda p: p.retry(pipeline, text, failed_only=False),
        "erase": lambda p: p.erase(pipeline, text),
        "erase of pipeline": lambda p: p.erase(text, build),
        "erase of a job": lambda p: p.erase_job(pipeline, text),
        "jobs": lambda p: p.jobs(pipeline, text),
        "jobs of pipeline": lambda p: p.jobs(text, build),
        "log": lambda p: p.log(job(id=text)),
        "log of build": lambda p: p.log(job(build=text)),
        "log of pipeline": lambda p: p.log(job(pipeline=text)),
        "artifacts": lambda p: p.artifacts(pipeline, text),
        "artifacts of pipeline": lambda p: p.artifacts(text, build),
        "download": lambda p: p.download(artifact(id=text)),
        "download of job": lambda p: p.download(artifact(job=text)),
        "download of build": lambda p: p.download(artifact(build=text)),
        "download of pipeline": lambda p: p.download(artifact(pipeline=text)),
        "tests": lambda p: p.tests(pipeline, text),
        "issues": lambda p: p.issues(pipeline, text),
        "counts": lambda p: p.counts(Build(connection=CONNECTION, pipeline=pipeline, id=text)),
        "counts of pipeline": lambda p: p.counts(Build(connection=CONNECTION, pipeline=text, id=build)),
        "approvals": lambda p: p.approvals(pipeline, text),
        "approve": lambda p: p.decide(approval(id=text), approve=True),
        "reject": lambda p: p.decide(approval(id=text), approve=False),
        "approve of build": lambda p: p.decide(approval(build=text), approve=True),
        "approve of pipeline": lambda p: p.decide(approval(pipeline=text), approve=True),
    }


async def requests_of(case: Case, call: Call, status: int) -> tuple[list[httpx.Request], Exception | None]:
    """What a call sends to a server without any of the things asked for, and how it ends beside a BotError."""
    server = Server(case.first, status=status)
    async with opened(case, server) as provider:
        try:
            await result_of(call(provider))
        except BotError:
            return server.requests, None
        except Exception as exc:  # noqa: BLE001 - reported with the id that made it
            return server.requests, exc
    return server.requests, None


def route(request: httpx.Request, text: str) -> tuple[str, ...]:
    """A request's method, host and path, the segments that are the id (or a part of one that holds slashes) as `{}`."""
    parts = {part for part in text.split("/") if part.strip() not in {"", ".", ".."}}
    segments = [unquote(part) for part in request.url.raw_path.decode().partition("?")[0].split("/")]
    return (
        request.method,
        request.url.host,
        *(
            "{}" if segment and (segment in {text, valid(text)} or segment in parts) else segment
            for segment in segments
        ),
    )


def parameter_names(request: httpx.Request) -> set[str]:
    return {name for name, _ in parse_qsl(request.url.query.decode(), keep_blank_values=True)}


SOME_HOSTILE = ("../../v1/apps/9", "..", "a/../b", "%2e%2e%2fa", "a?x=1")
"""Enough where the server has nothing: what differs there are only the routes tried after a refusal."""


@EVERY_CASE
async def test_hostile_id_reaches_its_own_route_or_none(case: Case) -> None:
    harmless = {text: with_ids(case, text) for text in HARMLESS}
    hostile = {text: with_ids(case, text) for text in HOSTILE}
    problems: list[str] = []
    with check("hostile ids", str(case)):
        for name in with_ids(case, ""):
            for status, tried in ((404, SOME_HOSTILE), (200, HOSTILE)):
                routes: set[tuple[str, ...]] = set()
                names: set[str] = set()
                for text, calls in harmless.items():
                    sent, _ = await requests_of(case, calls[name], status)
                    routes |= {route(request, text) for request in sent}
                    names |= set().union(*map(parameter_names, sent))
                for text in tried:
                    sent, odd = await requests_of(case, hostile[text][name], status)
                    if odd is not None:
                        problems.append(f"{name}, {text[:30]!r}: {odd!r}")
                    problems += [
                        f"{name}, {text[:30]!r}: {request.method} {request.url.raw_path[:120]!r}"
                        for request in sent
                        if not {route(request, text), route(request, "")} & routes
                        or not parameter_names(request) <= names
                    ]
        assert not problems, f"{len(problems)} in all:\n" + "\n".join(problems[:40])


# identity


@EVERY_CASE
async def test_build_of_another_pipeline_is_never_relabelled(case: Case) -> None:
    with check("identity", str(case)):
        foreign = case.foreign
        assert foreign, "the case has no foreign build, and no reason why there is none"
        if not isinstance(foreign, Foreign):
            return
        async with opened(case, Server((*case.first, *foreign.answers))) as provider:
            try:
                build = await provider.build(foreign.pipeline, foreign.build)
            except NotFound:
                return
        assert build.pipeline == foreign.belongs_to


@EVERY_CASE
async def test_page_of_a_part_means_its_own_build(case: Case) -> None:
    with check("job pages", str(case)):
        assert case.job_pages, "the case has no pages of jobs"
        for job_page in case.job_pages:
            async with opened(case, Server((*case.first, *job_page.answers))) as provider:
                page = provider.parse_url(job_page.url)
                assert page is not None, job_page.url
                assert page.job == job_page.job, job_page.url
                if page.build is not None:
                    build = await provider.build(page.pipeline, page.build)
                elif page.number is not None:
                    build = await provider.build_by_number(page.pipeline, page.number)
                else:
                    assert page.job is not None, job_page.url
                    build = await provider.build_of_job(page.pipeline, page.job)
            assert (build.pipeline, build.id) == (job_page.pipeline, job_page.build), job_page.url
            async with opened(case, Server(case.first)) as provider:
                page = provider.parse_url(job_page.url)
                assert page is not None
                with pytest.raises(NotFound):
                    await result_of(
                        provider.build(page.pipeline, page.build)
                        if page.build is not None
                        else provider.build_by_number(page.pipeline, page.number)
                        if page.number is not None
                        else provider.build_of_job(page.pipeline, page.job or "")
                    )


@EVERY_CASE
async def test_own_url_is_a_place_of_pages(case: Case) -> None:
    with check("own pages", str(case)):
        assert case.job_pages, "the case has no pages of jobs"
        vendor = httpx.URL(case.job_pages[0].url)
        moved = str(vendor.copy_with(scheme="http", host="127.0.0.1", port=8456))
        async with opened(case, Server(), {"url": "http://127.0.0.1:8456", "private_network": True}) as provider:
            assert provider.parse_url(moved) is not None, moved
        async with opened(case, Server()) as provider:
            assert provider.parse_url(moved) is None or provider.options.url, "a page of another host was taken"


@EVERY_CASE
async def test_kinds_of_refs_come_from_the_vendors_own_fields(case: Case) -> None:
    with check("refs of builds", str(case)):
        missing = {"branch", "pull_request", "fork", "tag"} - case.ref_builds.keys()
        assert not missing, f"the case shows no build of {sorted(missing)}, and no reason why there is none"
        for kind, answers in case.ref_builds.items():
            if isinstance(answers, str):
                continue
            async with opened(case, Server((*case.first, *answers))) as provider:
                build = await provider.build(case.pipeline, case.build)
            history = build.history_ref and replace(build.history_ref, job=None)
            match kind:
                case "branch":
                    assert build.branch
                    assert history == Ref(kind=RefKind.BRANCH, name=build.branch)
                    assert (build.tag, build.pull_request, build.target_branch) == (None, None, None)
                    assert not build.from_fork
                case "pull_request":
                    assert build.pull_request
                    assert build.from_fork is not True
                    assert history == Ref(kind=RefKind.PULL_REQUEST, name=build.pull_request), (
                        "it is none of its branch's"
                    )
                case "fork":
                    assert build.from_fork or build.pull_request
                    assert history is None or history.kind is RefKind.PULL_REQUEST
                case _:
                    assert build.tag
                    assert history == Ref(kind=RefKind.TAG, name=build.tag)


# starts

UNREADABLE: Mapping[str, tuple[str, str]] = {
    "page": ("<!doctype html><html><body>Thanks!</body></html>", "text/html"),
    "broken": ('{"id": 4', "application/json"),
    "empty": ("", "application/json"),
}


@EVERY_CASE
async def test_unreadable_success_is_treated_like_a_timeout(case: Case) -> None:
    """Each payload whose write got no answer, played again with a success that cannot be read."""
    problems: list[str] = []
    with check("unreadable success", str(case)):
        for name, call in case.calls.items():
            exchanges = read_exchanges(case.payloads / f"{name}.json")
            if not any(is_lost_write(exchange) for exchange in exchanges):
                continue
            expected = json.loads((case.payloads / f"{name}.expected.json").read_text())
            for what, (text, content_type) in UNREADABLE.items():
                played = [
                    msgspec.structs.replace(
                        exchange, fault=msgspec.UNSET, status=201, text=text, headers={"Content-Type": content_type}
                    )
                    if is_lost_write(exchange)
                    else exchange
                    for exchange in exchanges
                ]
                replay = Replay(played, case.origin, lenient=True)
                outcome = await unreadable_outcome(case, replay, call)
                writes = [request for request in replay.seen if request.method not in SAFE_METHODS]
                asked_twice = len({(request.method, request.url, request.content) for request in writes}) < len(writes)
                is_start = name.startswith(("start", "rebuild"))
                if asked_twice:
                    problems.append(f"{name}, {what}: sent twice")
                elif outcome == "may have acted":
                    if is_start and "error" not in expected:
                        problems.append(f"{name}, {what}: the own build was not found")
                elif outcome != expected:
                    problems.append(f"{name}, {what}: {json.dumps(outcome)[:300]}")
        assert not problems, "\n".join(problems)


def is_lost_write(exchange: Exchange) -> bool:
    return exchange.request.method not in SAFE_METHODS and exchange.fault in {"timeout", "broken"}


async def unreadable_outcome(case: Case, replay: Replay, call: Call) -> Any:
    async with opened(case, replay) as provider:
        try:
            return as_json(await result_of(call(provider)))
        except Unavailable as exc:
            return "may have acted" if exc.acted else f"{exc!r}"
        except BotError as exc:
            return f"{exc!r}"


@EVERY_CASE
async def test_option_that_is_not_there_is_refused_by_name(case: Case) -> None:
    request = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), options={"colour": "red"})
    calls: dict[Capability, Call] = {
        Capability.START: lambda p: p.start(case.pipeline, request),
        Capability.REBUILD: lambda p: p.rebuild(case.pipeline, case.build, StartRequest(options={"colour": "red"})),
    }
    with check("unknown options", str(case)):
        for capability, call in calls.items():
            server = Server(case.first, recorded(case))
            async with opened(case, server) as provider:
                if not provider.can(capability):
                    continue
                with pytest.raises((UsageError, Unsupported), match="colour"):
                    await result_of(call(provider))
            assert not [write for write in server.writes if not fits_any(case.first, write)]


@EVERY_CASE
async def test_nothing_typed_is_dropped(case: Case) -> None:
    """A message, a value and each option either goes out with the start, or is refused by name."""
    branch = Ref(kind=RefKind.BRANCH, name="main")
    typed = {
        "message": (StartRequest(ref=branch, message="a-text-of-mine"), "a-text-of-mine"),
        "parameter": (StartRequest(ref=branch, parameters={"WORD_OF_MINE": "a-value-of-mine"}), "a-value-of-mine"),
    }
    with check("nothing dropped", str(case)):
        for what, (request, text) in typed.items():
            again = StartRequest(message=request.message, parameters=request.parameters)
            calls: dict[Capability, Call] = {
                Capability.START: partial(begin, case.pipeline, request),
                Capability.REBUILD: partial(begin_again, case.pipeline, case.build, again),
            }
            for capability, call in calls.items():
                server = Server(case.first, recorded(case))
                async with opened(case, server) as provider:
                    if not provider.can(capability):
                        continue
                    error = await error_of(provider, call)
                sent = any(text in unquote(f"{w.url} {w.content.decode('utf-8', 'replace')}") for w in server.writes)
                refused = isinstance(error, UsageError | Unsupported | Rejected) and any(
                    word in f"{error} {error.hint}".lower() for word in NAMES[what]
                )
                assert sent or refused, (
                    f"{capability} drops the {what}: {error!r}; {[str(w.url) for w in server.writes]}"
                )


NAMES = {"message": ("message", "reason"), "parameter": ("word_of_mine", "variable", "parameter", "value")}
"""Words by which a refusal names what it refuses."""


def begin(pipeline: str, request: StartRequest, provider: Provider[Any]) -> object:
    return provider.start(pipeline, request)


def begin_again(pipeline: str, build: str, request: StartRequest, provider: Provider[Any]) -> object:
    return provider.rebuild(pipeline, build, request)


async def error_of(provider: Provider[Any], call: Call) -> BotError | None:
    try:
        await result_of(call(provider))
    except BotError as exc:
        return exc
    return None


@EVERY_CASE
async def test_start_target_names_what_is_sent(case: Case) -> None:
    """Permissions are judged on the target: a branch, a tag and a pull request are named, a commit has a branch too."""
    with check("start target", str(case)):
        wanted = {
            RefKind.BRANCH: ("release", "branch"),
            RefKind.TAG: ("v1.2", "tag"),
            RefKind.PULL_REQUEST: ("7", "pull_request"),
            RefKind.COMMIT: (SHA, "commit"),
        }
        for kind, (name, field) in wanted.items():
            server = Server(case.first, recorded(case))
            request = StartRequest(ref=Ref(kind=kind, name=name))
            async with opened(case, server) as provider:
                if not provider.can(Capability.START):
                    return
                try:
                    target = await provider.start_target(case.pipeline, request)
                except (UsageError, Unsupported, NotFound, Rejected):
                    assert kind is not RefKind.BRANCH
                    continue
            assert not [write for write in server.writes if not fits_any(case.first, write)], "a target starts nothing"
            assert getattr(target, field) == name, kind
            if kind is RefKind.COMMIT:
                assert target.branch, "a commit goes under a branch"


# lists

LISTINGS = ("pipelines", "builds", "jobs", "artifacts", "tests", "issues", "approvals", "refs", "parameters")
ODD_ITEMS: tuple[object, ...] = (7, {"odd": {"odd": []}}, None)


@EVERY_CASE
async def test_odd_item_spoils_no_list(case: Case) -> None:
    problems: list[str] = []
    with check("odd items", str(case)):
        for name, call in case.calls.items():
            if not name.startswith(LISTINGS) or name.startswith("build_"):
                continue
            expected = json.loads((case.payloads / f"{name}.expected.json").read_text())
            exchanges = read_exchanges(case.payloads / f"{name}.json")
            if not isinstance(expected, list):
                continue
            for odd in ODD_ITEMS:
                played = [with_odd_item(exchange, odd) for exchange in exchanges]
                outcome = await unreadable_outcome(case, Replay(played, case.origin, lenient=True), call)
                if outcome != expected:
                    problems.append(f"{name}, {odd}: {json.dumps(outcome)[:200]}")
        assert not problems, f"{len(problems)} in all:\n" + "\n".join(problems[:20])


def with_odd_item(exchange: Exchange, odd: object) -> Exchange:
    """The exchange with one more item in its list, or in the lists that are members of its page."""
    body = exchange.body
    match body:
        case [dict(), *_]:
            return msgspec.structs.replace(exchange, body=[odd, *body])
        case dict():
            members = {
                name: [odd, *value] if isinstance(value, list) and value and isinstance(value[0], dict) else value
                for name, value in body.items()
            }
            return msgspec.structs.replace(exchange, body=members)
        case _:
            return exchange


def test_table_names_only_cases_and_kinds_there_are() -> None:
    assert NOT_YET.keys() <= {str(case) for case in CASES} | PROVIDERS.keys()
    for who, listed in NOT_YET.items():
        assert listed, f"{who} is done: take it out"


def test_page_describes_every_check() -> None:
    page = (Path(__file__).parents[3] / "docs" / "adding-a-provider.md").read_text()
    for file in REQUIRED | WHERE_NEEDED:
        assert re.search(rf"`{file}(?:\.py)?`", page) or file == "__init__", f"the page does not name {file}.py"
