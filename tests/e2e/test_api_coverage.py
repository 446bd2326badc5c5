"""What the owner's documents describe, driven over HTTP from signed slash commands, and the table that says so.

`docs/api-coverage.md` lists every operation, parameter, field, state and error of the documents with the command that
reaches it and the test that drives it; here the table is held to the commands, to the tests and to the documents.
"""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from bot.core.errors import BotError
from commands.registry import REGISTRY
from tests.e2e.api_documents import DOCUMENTS
from tests.e2e.stage import Stage

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api-coverage.md"
EXAMPLE_USER = "3d3c3bf0-7d58-4afe-8fe7-b3017d5504de"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A command, the request that it must send (a pattern of `METHOD /path?query`), and what a person must read."""

    says: str
    asks: str
    sees: str


BUILDKITE = (
    Drive(says="list builds bk", asks=r"GET .*/v2/organizations/demo/builds\?exclude_jobs=true", sees="Builds of bk"),
    Drive(says="list builds --all -n 3", asks=r"GET .*/v2/builds\?", sees="Builds of all connections"),
    Drive(
        says="list builds bk:web@main --state failed,canceled,running --since 30d --until 1h --finished-since 30d"
        " --meta env=prod --option include_retried_jobs=true --option exclude_jobs=false",
        asks=r"(?=.*branch=main)(?=.*state\[\]=canceled)(?=.*state\[\]=failed)(?=.*created_from=2)(?=.*created_to=2)"
        r"(?=.*finished_from=2)(?=.*meta_data\[env\]=prod)(?=.*include_retried_jobs=true)(?=.*exclude_jobs=false)"
        r"GET .*/pipelines/web/builds\?",
        sees="has no such builds",
    ),
    Drive(
        says=f"list builds bk:web --by {EXAMPLE_USER}", asks=f"GET .*/web/builds.*creator={EXAMPLE_USER}", sees="Web"
    ),
    Drive(says="show bk:web#12", asks=r"GET .*/pipelines/web/builds/12\?exclude_jobs", sees="PASSED  Web #12"),
    Drive(
        says="jobs bk:web#12 --all-attempts",
        asks="GET .*/web/builds/12/jobs.*include_retried_jobs=true",
        sees="key lint",
    ),
    Drive(says="jobs bk:web#12", asks="GET .*/web/builds/12/jobs", sees="on demo-agent-1"),
    Drive(says="logs bk:web#12 Lint --tail 5", asks=r"GET .*/web/builds/12/jobs/[0-9a-f-]+/log", sees="Log of Lint"),
    Drive(says="artifacts bk:web#12", asks="GET .*/web/builds/12/artifacts", sees="Artifacts of Web #12"),
    Drive(says="tests bk:web#12", asks="GET .*/web/builds/12.*include_test_engine=true", sees="Tests of Web #12"),
    Drive(says="issues bk:web#11", asks="GET .*/web/builds/11/annotations", sees="Issues of Web #11"),
    Drive(
        says="run bk:web@main COLOUR=blue --message 'Ship it' --clean --option meta_data.dry=true"
        " --option ignore_pipeline_branch_filters=true",
        asks=r"POST .*/pipelines/web/builds$",
        sees="Web #13",
    ),
    Drive(says="cancel bk:web#13", asks="PUT .*/web/builds/13/cancel", sees="Cancelled by"),
    Drive(says="rebuild bk:web#12", asks="PUT .*/web/builds/12/rebuild", sees="Web #14"),
    Drive(says="list builds bk:web --state blue", asks="", sees="There is no state blue"),
    Drive(says="show bk:web#9999", asks="GET .*/web/builds/9999", sees="has no such thing"),
)
OLD_GITLAB = (
    Drive(says="list builds g3 --state failed -n 2", asks=r"GET .*/projects/25/builds\?scope=failed&", sees="Failed"),
    Drive(
        says="list builds g3 --state pending,success,canceled",
        asks=r"GET .*/projects/25/builds\?scope\[\]=canceled&scope\[\]=pending&scope\[\]=success",
        sees="Passed",
    ),
    Drive(
        says="list builds g3 --commit {commit} --state failed,success",
        asks=r"GET .*/repository/commits/{commit}/builds\?scope\[\]=failed&scope\[\]=success",
        sees="g3",
    ),
    Drive(says="show g3#{build}", asks=r"GET .*/projects/25/builds/{build}$", sees="g3 #{build}"),
    Drive(says="jobs g3#{build}", asks=r"GET .*/projects/25/builds/{build}$", sees="Jobs of g3 #{build}"),
    Drive(says="artifacts g3#{build}", asks=r"GET .*/projects/25/builds/{build}$", sees="Artifacts of g3 #{build}"),
    Drive(says="logs g3#{build} --tail 5", asks=r"GET .*/projects/25/builds/{build}/trace", sees="g3 #{build}"),
    Drive(says="retry g3#{failed}", asks=r"POST .*/projects/25/builds/{failed}/retry", sees="g3 #"),
    Drive(says="erase g3#{build} --yes", asks=r"POST .*/projects/25/builds/{build}/erase", sees="rased"),
    Drive(says="show g3#99999999", asks=r"GET .*/projects/25/builds/99999999", sees="has no such thing"),
)
TRUTO = (
    Drive(
        says="list builds tr --since 30d --finished-since 30d --option truto_key_by=id --option truto_ignore_limit=true"
        " --option truto_exclude_fields=updated_at --option remote_query.actor=ana",
        asks=r"(?=.*started_at=2)(?=.*completed_at=2)(?=.*truto_key_by=id)(?=.*truto_ignore_limit=true)"
        r"(?=.*truto_exclude_fields\[\]=updated_at)(?=.*remote_query\[actor\]=ana)(?=.*owner=acme)(?=.*repo_id=storefront)"
        r"(?=.*integrated_account_id=)GET .*/unified/ci-cd/builds",
        sees="tr",
    ),
    Drive(says="list builds tr --state passed", asks="GET .*/unified/ci-cd/builds.*conclusion=passed", sees="Passed"),
    Drive(says="list builds tr --state running", asks="GET .*/unified/ci-cd/builds.*status=in_progress", sees="tr"),
    Drive(says="show tr#12", asks=r"GET .*/unified/ci-cd/builds/\d+\?", sees="tr #12"),
    Drive(
        says="show tr#12 --option truto_response_format=raw",
        asks=r"GET .*/unified/ci-cd/builds/\d+\?.*truto_response_format=raw",
        sees="I sent you",
    ),
    Drive(
        says="list builds tr --option truto_response_format=stream",
        asks=r"GET .*/unified/ci-cd/builds\?.*truto_response_format=stream",
        sees="I sent you",
    ),
    Drive(says="jobs tr#12", asks="GET .*/unified/ci-cd/jobs.*build_id=", sees="Jobs of tr #12"),
    Drive(says="list builds tr --option truto_response_format=xml", asks="", sees="truto_response_format is one of"),
)


async def driven(stage: Stage, drive: Drive, **names: str) -> str:
    """Type a drive's command, wait for its request and its answer, and return what was new."""
    requests, shown = len(stage.requests), len(stage.shown())
    words, sees = drive.says, drive.sees
    asks = drive.asks
    for name, value in names.items():
        words, sees, asks = (text.replace(f"{{{name}}}", value) for text in (words, sees, asks))
    await stage.says(words)
    pattern = re.compile(asks)
    if asks:
        await stage.until(
            lambda: any(pattern.match(request) for request in stage.requests[requests:]),
            f"`{words}` sends {asks}, not only:\n" + "\n".join(stage.requests[requests:]),
        )
    answer: str = await stage.until(
        lambda: next((text for text in stage.shown()[shown:] if sees in text), ""),
        f"`{words}` is answered with `{sees}`",
    )
    return answer


async def test_each_of_buildkites_calls_is_reached_by_a_command(stage: Stage) -> None:
    await stage.says("list pipelines --refresh")
    await stage.sees("Pipelines")
    for drive in BUILDKITE:
        await driven(stage, drive)
    build = await stage.newest("buildkite", "web")
    assert build["number"] == 14


async def test_each_of_the_old_gitlabs_calls_is_reached_by_a_command(stage: Stage) -> None:
    await stage.says("link demo-gitlab3:legacy/monolith as g3 --default")
    await stage.sees("Here it is called g3")
    listed = await driven(
        stage, Drive(says="list builds g3 --state failed -n 1", asks="GET .*scope=failed", sees="g3 #")
    )
    failed = re.search(r"g3 #(\d+)", listed)
    passed = await driven(
        stage, Drive(says="list builds g3 --state success -n 1", asks="GET .*scope=success", sees="g3 #")
    )
    build = re.search(r"g3 #(\d+)", passed)
    assert failed
    assert build
    card = await driven(stage, Drive(says=f"show g3#{build[1]}", asks="GET .*/builds/", sees="PASSED"))
    commit = re.search(r"\b[0-9a-f]{7}\b", card)
    assert commit
    for drive in OLD_GITLAB:
        await driven(stage, drive, build=build[1], failed=failed[1], commit=commit[0])


async def test_each_of_trutos_parameters_is_reached_by_a_command(stage: Stage) -> None:
    await stage.says("link demo-truto:storefront as tr --default")
    await stage.sees("Here it is called tr")
    for drive in TRUTO:
        await driven(stage, drive)


async def test_the_actions_of_a_run_are_its_jobs(stage: Stage) -> None:
    await stage.says("link demo-xcode:Nightly as web --default")
    await stage.sees("Here it is called web")
    await driven(stage, Drive(says="jobs web", asks="GET .*/v1/ciBuildRuns/[^/]+/actions", sees="Build - iOS"))
    await driven(stage, Drive(says="list tags web", asks="GET .*/gitReferences", sees="tag:"))


# the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    document: str
    name: str
    command: str
    test: str


def rows() -> Iterator[Row]:
    """Yield the lines of the page's tables under the heading of their document."""
    document = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            document = line.removeprefix("## ").strip()
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| `") else []
        if len(cells) == 4:
            yield Row(
                document=document, name=cells[0].strip("`"), command=cells[2].strip("`"), test=cells[3].strip("`")
            )


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_"))


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_every_row_of_a_document_stands_in_the_table(document: str) -> None:
    assert {row.name for row in rows() if row.document == document} == set(DOCUMENTS[document])


def test_each_command_of_the_table_is_one_that_the_bot_takes() -> None:
    refused: list[str] = []
    for row in rows():
        if row.command == "by itself":
            continue
        try:
            command, words = REGISTRY.split(row.command.removeprefix("/build "))
            command.parse(words)
        except BotError as exc:
            refused.append(f"{row.document}, {row.name}: {row.command}: {exc}")
    assert not refused


def test_each_test_of_the_table_exists() -> None:
    missing = [
        f"{row.name}: {row.test}"
        for row in rows()
        if (parts := row.test.partition("::"))[2] not in names_of_tests(parts[0])
    ]
    assert not missing


FOLDER = Path(
    os.environ.get("BUILDBELL_SEEDS") or ROOT.parent / "shared" / "seeds"  # noqa: TID251 - tests read the environment themselves
)
BY_DOCUMENT = {
    "Xcode Cloud: build runs": "000",
    "Xcode Cloud: workflows and builds": "001",
    "GitLab: builds (API v3)": "002",
    "Truto: builds": "003",
    "Buildkite: builds": "004",
}
OPERATION = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S+)", re.MULTILINE)
CURL = re.compile(r"-X (GET|POST|PUT|DELETE) \"https?://[^/\"]+(/[^\"?]+)\"")
APPLE_PAGE = re.compile(
    r"(?<=[/(-])(get|post|patch|delete)-v1-([a-z]+)(?:-_id_)?(?:-(relationships))?(?:-([a-z]+))?\b", re.IGNORECASE
)
PROPERTY = re.compile(r"<tr>\s*<th><code>([a-z_]+)</code></th>")
MEMBER = re.compile(r"^ {0,8}\"([a-z_]+)\":", re.MULTILINE)
STRAIGHT = re.compile(r"^([a-z_]+?)(?:string|integer|object|boolean|Record)", re.MULTILINE)
OBJECT = re.compile(r"\[object (\w+)\]")
SCOPE = re.compile(r"Required scope: `(\w+)`")
STATES_OF_SCOPE = re.compile(r"one or array of: (.+?);")
ELSEWHERE: Mapping[str, str] = {
    # of the table of contents of Apple's document: objects that stand for operations
    "CiBuildRun": "GET /v1/ciBuildRuns/{id}",
    "CiBuildRunResponse": "GET /v1/ciBuildRuns/{id}",
    "CiBuildActionsResponse": "GET /v1/ciBuildRuns/{id}/actions",
    "CiBuildRunActionsLinkagesResponse": "GET /v1/ciBuildRuns/{id}/relationships/actions",
    "CiBuildRunBuildsLinkagesResponse": "GET /v1/ciBuildRuns/{id}/relationships/builds",
}
IGNORED_MEMBERS = frozenset(
    # profiles, pipelines' settings, ids of another API: see tests/bot/providers/ignored_fields.py
    {
        *(
            "graphql_id",
            "avatar_url",
            "step",
            "signature",
            "value",
            "algorithm",
            "signed_fields",
            "settings",
            "provider",
        ),
        *(
            "bio",
            "is_admin",
            "linkedin",
            "skype",
            "twitter",
            "web_url",
            "website_url",
            "url",
            "email",
            "errors",
            "message",
        ),
        *(
            "cluster_id",
            "cluster_url",
            "cluster_queue_id",
            "cluster_queue_url",
            "agent_query_rules",
            "connection_state",
        ),
        *("hostname", "ip_address", "user_agent", "command", "webhook_url", "slug", "repository", "name", "builds_url"),
        *(
            "badge_url",
            "branch_configuration",
            "default_branch",
            "jobs",
            "download_url",
            "short_id",
            "title",
            "filename",
        ),
        *(
            "size",
            "username",
            "author_email",
            "author_name",
            "state",
            "number",
            "job_id",
            "retry_type",
            "id",
            "created_at",
        ),
        *("skip_queued_branch_builds", "skip_queued_branch_builds_filter", "cancel_running_branch_builds"),
        *("cancel_running_branch_builds_filter", "scheduled_builds_count", "running_builds_count", "type", "query"),
        *("scheduled_jobs_count", "running_jobs_count", "waiting_jobs_count", "label", "hostname", "branch", "author"),
    }
)


def text_of(document: str) -> str:
    """Return the text of a document. Skips where it is not there."""
    found = sorted(FOLDER.glob(f"{BY_DOCUMENT[document]}_*"))
    if not found:
        pytest.skip(f"the documents are not there ({FOLDER.name}); set BUILDBELL_SEEDS to their folder")
    return found[0].read_text(errors="replace")


def described(document: str) -> Iterator[str]:
    """Yield what a document describes: operations, parameters, members of answers, scopes, states."""
    text = text_of(document)
    for method, path in (*OPERATION.findall(text), *CURL.findall(text)):
        plain = path.replace("{org.slug}", "{org}").replace("{pipeline.slug}", "{pipeline}").rstrip("\\")
        yield f"{method} {plain}"
    if document.startswith("Xcode"):
        for method, resource, relationships, last in APPLE_PAGE.findall(text):
            whole = {"cibuildruns": "ciBuildRuns", "ciproducts": "ciProducts", "ciworkflows": "ciWorkflows"}.get(
                resource.lower()
            )
            if whole is not None:
                is_list = not last and (resource.lower(), method.lower()) in {
                    ("ciproducts", "get"),
                    ("cibuildruns", "post"),
                    ("ciworkflows", "post"),
                }
                parts = [part for part in (None if is_list else "{id}", relationships or None, last or None) if part]
                yield " ".join((method.upper(), "/".join(("/v1", whole, *parts))))
    yield from (ELSEWHERE.get(name, name) for name in OBJECT.findall(text))
    yield from SCOPE.findall(text)
    yield from (state for states in STATES_OF_SCOPE.findall(text) for state in re.findall(r"`(\w+)`", states))
    yield from PROPERTY.findall(text)
    if document.startswith("Truto"):
        yield from STRAIGHT.findall(text)
    yield from (name for name in MEMBER.findall(text) if name not in IGNORED_MEMBERS)


@pytest.mark.parametrize("document", sorted(BY_DOCUMENT))
def test_the_table_names_everything_that_the_document_describes(document: str) -> None:
    system = document.partition(":")[0]  # two documents are about Xcode Cloud
    names = [row.name for row in rows() if row.document.partition(":")[0] == system]
    words = {word for name in names for word in re.findall(r"[A-Za-z_]\w*", name)}
    missing = {
        part
        for part in described(document)
        if not (part in names or part in words or any(name.startswith(part) for name in names))
    }
    assert sorted(missing) == []
