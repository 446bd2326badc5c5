"""A question that only helps never blocks an act: each read before a write fails in turn, and the write goes out all the same.

What an act cannot do without is listed with the reason.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import pytest

from bot.core.errors import BotError
from bot.http.sending import SAFE_METHODS
from tests.bot.providers.case import Call, Case, cases, opened, result_of
from tests.bot.providers.replay import Exchange, Replay, read_exchanges

FAULTS: Mapping[str, Mapping[str, object]] = {
    "404": {"status": 404, "body": {"message": "no"}},
    "403": {"status": 403, "body": {"message": "no"}},
    "500": {"status": 500, "text": "<html>oops</html>", "body": msgspec.UNSET},
    "timeout": {"fault": "timeout"},
    "malformed": {"status": 200, "text": '{"id": 4', "body": msgspec.UNSET},
}
ACTS = ("start", "rebuild", "cancel", "retry", "decide", "erase")

NEEDED: tuple[tuple[str, str, str, str], ...] = (
    (r"(?!github_actions).*", r"(rebuild|retry)_?.*", r".*/(builds?|pipelines?|runs)/[^/]*(/api/json)?", "what is built again, or whose it is"),
    (r".*", r"(start_default|start_commit|start_pull_request|start_definition|start|start_pull_request_bare)",
     r".*/(repositories/harbor/[^/]*|pipelines/ferry|project/gh/harbor/ferry|repos/harbor/ferry|projects/(4711|31)|repos/ferry)",
     "the default branch, where no ref is typed, or a commit's"),
    (r".*", r"(cancel|retry|erase|decide)_?.*", r".*/(workflow|job|jobs|timeline|artifacts)", "the parts that are acted on"),
    (r"azure_devops|truto.*|travis", r"(cancel|retry)_?.*", r".*/(builds?|job|jobs)/[^/]*", "whose build or job it is"),
    (r"bitbucket", r"start_(commit|pull_request)", r".*/(commit|pullrequests)/[^/]*", "the whole commit, a pull request's branches"),
    (r"buildkite", r"start_pull_request.*", r".*/pipelines/ferry/builds", "the pull request's branch"),
    (r"circleci", r"(cancel|retry|decide|rebuild)_?.*", r".*/pipeline/[^/]*(/values)?", "whose build it is, and its values"),
    (r"circleci", r"start_definition", r".*/pipeline-definitions", "the id of a definition that is named"),
    (r"github_actions", r"retry_job", r".*/jobs/[^/]*", "whose job it is"),
    (r"github_actions", r"erase", r".*/runs/[^/]*", "what is deleted for good must be over"),
    (r"github_actions_app", r".*", r".*/access_tokens", "the credentials"),
    (r"gitlab", r"rebuild_?.*", r".*/variables", "the old build's values, which would be lost"),
    (r"jenkins", r"(start|rebuild)_?.*", r"/job/.*/api/json", "which values the job takes: Jenkins drops others without a word"),
    (r"jenkins", r"cancel_queued.*", r"/(queue/item|job)/.*", "whether the item belongs to the job, or what became of it"),
    (r"jenkins", r"retry_?.*", r"/job/.*", "the stage to restart from"),
    (r"truto_bitbucket", r"rebuild_?.*", r".*/pipelines/[^/]*", "the old build's values, which would be lost"),
    (r"xcode_cloud", r"start_?.*", r"/v1/scmRepositories/.*/(gitReferences|pullRequests)", "the id of the ref, by which Apple is asked"),
    (r"xcode_cloud", r"start", r"/v1/(ciProducts|scmRepositories).*", "the default branch, where no ref is typed"),
)  # fmt: skip
"""Case, operation and path of a read, and why the act cannot do without it."""
NOT_THERE: tuple[tuple[str, str], ...] = ((r"github_actions", r".*/runs/[^/]*"), (r"jenkins", r"/job/.*/\d+/api/json"))
"""Where a 404 says that what is acted on is not there, while other faults stop nothing."""
ALONE = {"path": "/v1/ciWorkflows/{}", "repository": "71f3e0aa-9d2b-4e07-b6c4-000000000001"}


@dataclass(frozen=True, slots=True)
class Act:
    """An act of a case that takes effect, with the reads before its first write."""

    case: Case
    name: str
    call: Call

    def exchanges(self) -> list[Exchange]:
        return read_exchanges(self.case.payloads / f"{self.name}.json")


def acts() -> Iterator[Act]:
    for case in cases()[0]:
        for name, call in case.calls.items():
            expected = (
                json.loads((case.payloads / f"{name}.expected.json").read_text()) if name.startswith(ACTS) else None
            )
            if expected is not None and not (isinstance(expected, dict) and "error" in expected):
                yield Act(case, name, call)


def is_write(method: str, path: str) -> bool:
    asks = path.partition("?")[0].endswith(("/graphql", "/ci/lint", "/access_tokens", "/token"))
    return method not in SAFE_METHODS and not asks


def reason(act: Act, path: str, fault: str) -> str | None:
    """Why an act may wait for a read, None where it may not."""
    kind, bare = str(act.case), path.partition("?")[0]
    for case, name, place, why in NEEDED:
        if re.fullmatch(case, kind) and re.fullmatch(name, act.name) and re.fullmatch(place, bare):
            return why
    if fault == "404" and any(re.fullmatch(case, kind) and re.fullmatch(place, bare) for case, place in NOT_THERE):
        return "it is not there"
    return None


ACTING = list(acts())


@pytest.mark.parametrize("act", ACTING, ids=lambda act: f"{act.case}-{act.name}")
async def test_side_question_that_fails_blocks_no_act(act: Act) -> None:
    exchanges = act.exchanges()
    first = next((n for n, one in enumerate(exchanges) if is_write(one.request.method, one.request.path)), 0)
    for n, exchange in enumerate(exchanges[:first]):
        if exchange.status >= 400 or exchange.fault is not msgspec.UNSET:
            continue
        for fault, change in FAULTS.items():
            if reason(act, exchange.request.path, fault) is not None:
                continue
            worse = msgspec.structs.replace(exchange, times=9, **change)
            played = [*exchanges[:n], worse, *exchanges[n + 1 :], *workflow_alone(act)]
            replay = Replay(played, act.case.origin, lenient=True)
            async with opened(act.case, replay) as provider:
                try:
                    await result_of(act.call(provider))
                except BotError as exc:
                    end = repr(exc)
                else:
                    end = "done"
            sent = [request for request in replay.seen if is_write(request.method, request.url.path)]
            assert sent, f"{exchange.request.method} {exchange.request.path}: {fault}: nothing was sent; {end}"
            keys = [(request.method, str(request.url), request.content) for request in sent]
            assert len(keys) == len(set(keys)), f"{exchange.request.path}: {fault}: sent twice"


def workflow_alone(act: Act) -> list[Exchange]:
    """App Store Connect's answer for one workflow, which is read where the lists of all can't be."""
    if act.case.kind != "xcode_cloud":
        return []
    path = ALONE["path"].format(act.case.pipeline)
    body = {
        "data": {
            "type": "ciWorkflows",
            "id": act.case.pipeline,
            "relationships": {"repository": {"data": {"type": "scmRepositories", "id": ALONE["repository"]}}},
        }
    }
    query = {"fields[ciWorkflows]": "repository", "include": "repository"}
    return [msgspec.convert({"request": {"path": path, "query": query}, "body": body}, Exchange)]


def test_every_reason_is_needed() -> None:
    """Each row of the table fits a read that comes before a write."""
    reads = {
        (str(act.case), act.name, exchange.request.path.partition("?")[0])
        for act in ACTING
        for exchange in act.exchanges()
    }
    idle = [row for row in NEEDED if not any(all(map(re.fullmatch, row[:3], read)) for read in reads)]
    assert not idle
