"""What is Truto's own: what each system requires, every parameter of the list, CircleCI's jobs, lost connections."""

import importlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from pydantic import ValidationError
from typing_extensions import override

from bot.connections import read_options
from bot.core.clock import Clock
from bot.core.errors import (
    AuthFailed,
    NotFound,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    Page,
    Ref,
    RefKind,
    Starter,
    StartRequest,
    StartTarget,
    Status,
    Trigger,
    Watched,
)
from bot.providers import open_provider
from bot.providers.base.capabilities import Capability
from bot.providers.truto import convert, errors, proxy, start, wire
from bot.providers.truto.client import READS, BuildQuery, ResponseFormat
from bot.providers.truto.errors import WHY_NOT
from bot.providers.truto.options import Integration, TrutoOptions, integration_of
from bot.providers.truto.poll import TrutoCursor
from bot.providers.truto.provider import Truto
from bot.providers.truto.proxy import PASSED_ON
from bot.providers.truto.urls import Place, jenkins_job
from tests.bot.providers.case import CONNECTION, NOW, no_sleep, opened
from tests.bot.providers.cases.truto import ACCOUNT, CASE, CIRCLECI, OPTIONS, a_build, page_of, sign
from tests.bot.providers.specs import ABSENT, FOLDER, Specs

SLUG = "gh/harbor/ferry"
CIRCLE = {**CIRCLECI, "repo_id": SLUG}
BITBUCKET = {"integration": "bitbucket", "workspace_id": "harbor", "repo": "ferry", "owner": None, "repo_id": None}
AZURE = {"integration": "azure_devops", "workspace_id": "port", "owner": None, "repo_id": None}
JENKINS = {"integration": "jenkins", "workflow_id": "port/ferry", "owner": None, "repo_id": None}
TRAVIS = {"integration": "travis_ci", "repo_id": "harbor/ferry", "owner": None}
REMOTE_401 = {"statusCode": 401, "message": "The token was revoked", "truto_is_remote_error": True}
MAIN = Ref(kind=RefKind.BRANCH, name="main")


UUID = "{6b1d0c3e-0000-4000-8000-000000000041}"


class Stand(httpx.AsyncBaseTransport):
    """Answers by (method, path) from lists of answers, the last of which stays; keeps what was asked."""

    def __init__(self, answers: Mapping[tuple[str, str], list[object]]) -> None:
        self.answers = {place: list(bodies) for place, bodies in answers.items()}
        self.asked: list[httpx.Request] = []
        self.default: object = None

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        left = self.answers.get((request.method, request.url.path))
        if not left and self.default is not None and request.method == "GET":
            return httpx.Response(200, json=self.default)
        if not left:
            return httpx.Response(404, json={"message": "not here", "truto_is_remote_error": True})
        body = left.pop(0) if len(left) > 1 else left[0]
        return body if isinstance(body, httpx.Response) else httpx.Response(200, json=body)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.asked]

    def sent(self, path: str) -> list[object]:
        """The JSON bodies sent to a path."""
        return [json.loads(one.content) if one.content else None for one in self.asked if one.url.path == path]


@asynccontextmanager
async def connected(stand: Stand, options: Mapping[str, object] | None = None) -> AsyncIterator[Truto]:
    """The adapter, before GitHub where the options don't say otherwise."""
    async with opened(CASE, stand, options) as provider:
        assert isinstance(provider, Truto)
        yield provider


@asynccontextmanager
async def timed(stand: Stand, clock: Clock, options: Mapping[str, object] | None = None) -> AsyncIterator[Truto]:
    """The provider with a clock of the test's own."""
    merged = {name: value for name, value in {**CASE.options, **(options or {})}.items() if value is not None}
    settings = TrutoOptions.model_validate(merged)
    async with httpx.AsyncClient(transport=stand, trust_env=False) as client:
        provider = open_provider(CONNECTION, "truto", settings, client=client, clock=clock, sleep=no_sleep)
        assert isinstance(provider, Truto)
        yield provider


BUILDS = ("GET", "/unified/ci-cd/builds")
JOBS = ("GET", "/unified/ci-cd/jobs")


def answer(*items: dict[str, object], cursor: str | None = None) -> dict[str, object]:
    return {"result": list(items), "next_cursor": cursor}


def set_up(number: int, **more: object) -> dict[str, object]:
    """A CircleCI build as Truto has it: set up, whatever became of it."""
    return {"id": f"p{number}", "number": number, "status": "created", "branch": "main", "trigger": "webhook", **more}


def job(name: str, state: str, **more: object) -> dict[str, object]:
    return {"id": name, "name": name, "status": state, **more}


# options


@pytest.mark.parametrize(
    ("integration", "given", "missing"),
    [
        ("azure_devops", {}, "Azure DevOps needs `workspace_id`"),
        ("bitbucket", {"workspace_id": "harbor"}, "Bitbucket needs `repo`"),
        ("bitbucket", {}, "Bitbucket needs `workspace_id` and `repo`"),
        ("circleci", {"repo": "ferry"}, "CircleCI needs `repo_id`"),
        ("github", {"owner": "harbor"}, "GitHub needs `repo_id`"),
        ("github", {"repo_id": "ferry"}, "GitHub needs `owner`"),
        ("jenkins", {"repo_id": "ferry"}, "Jenkins needs `workflow_id`"),
        ("travis_ci", {}, "Travis CI needs `repo_id`"),
    ],
)
def test_what_the_system_requires_is_missed_by_name(integration: str, given: dict[str, str], missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        read_options("hub", {"kind": "truto", **OPTIONS, "integration": integration, **given})


def test_other_systems_are_no_integrations() -> None:
    with pytest.raises(UsageError, match="integration"):
        read_options("hub", {"kind": "truto", **OPTIONS, "integration": "gitlab", "repo_id": "ferry"})
    with pytest.raises(ValidationError):
        TrutoOptions.model_validate({**OPTIONS, "integration": 7, "repo_id": "ferry"})


@pytest.mark.parametrize(
    ("name", "integration"),
    [
        ("Azure DevOps", Integration.AZURE),
        ("azuredevops", Integration.AZURE),
        ("GitHub", Integration.GITHUB),
        ("github_actions", Integration.GITHUB),
        ("Circle-CI", Integration.CIRCLECI),
        ("travis", Integration.TRAVIS),
        ("travis-ci", Integration.TRAVIS),
        ("bitbucket", Integration.BITBUCKET),
        ("JENKINS", Integration.JENKINS),
        ("gitlab", None),
        ("", None),
    ],
)
def test_integrations_are_known_however_they_are_written(name: str, integration: Integration | None) -> None:
    assert integration_of(name) is integration


@pytest.mark.parametrize(
    ("options", "home"),
    [
        (AZURE, "port"),
        ({**AZURE, "repo": "ferry"}, "ferry"),
        (BITBUCKET, "ferry"),
        (CIRCLE, SLUG),
        ({}, "ferry"),
        (JENKINS, "port/ferry"),
        (TRAVIS, "harbor/ferry"),
    ],
)
async def test_options_name_a_pipeline(options: dict[str, object], home: str) -> None:
    async with connected(Stand({}), options) as truto:
        assert truto.options.home == home


# capabilities


@pytest.mark.parametrize("options", [AZURE, BITBUCKET, CIRCLE, {}, JENKINS, TRAVIS])
async def test_each_system_declares_what_it_can_and_says_why_not_the_rest(options: dict[str, object]) -> None:
    async with connected(Stand({}), options) as truto:
        system = truto.integration
        assert truto.capabilities == READS[system] | PASSED_ON[system] | {Capability.WEBHOOK}
        for capability in Capability:
            if not truto.can(capability):
                refused = truto.unsupported(capability)
                assert str(refused).endswith(".")
                assert refused.hint, capability
        assert not WHY_NOT[system].keys() & truto.capabilities, "a reason why not, and it can"


@pytest.mark.parametrize("kind", ["azure_devops", "bitbucket", "circleci", "github_actions", "jenkins", "travis"])
def test_a_word_means_the_same_through_truto_as_from_the_system_itself(kind: str) -> None:
    direct = importlib.import_module(f"bot.providers.{kind}.convert")
    assert direct.STATES.items() <= convert.STATES.items()
    assert {word.lower(): trigger for word, trigger in direct.TRIGGERS.items()}.items() <= convert.TRIGGERS.items()


async def test_operation_that_is_not_passed_on_is_left_out_for_half_an_hour_and_no_other() -> None:
    refusal = httpx.Response(404, json={"statusCode": 404, "message": "Unknown path"})
    cancel = ("POST", "/custom/repos/harbor/ferry/actions/runs/9042/cancel")
    rerun = ("POST", "/custom/repos/harbor/ferry/actions/runs/9042/rerun")
    build = ("GET", "/unified/ci-cd/builds/9042")
    stand = Stand({cancel: [refusal, httpx.Response(202, json={})], rerun: [{}], build: [a_build(42)]})
    running = Build(connection=CONNECTION, pipeline="ferry", id="9042", status=Status.IN_PROGRESS)
    now = NOW
    async with timed(stand, lambda: now) as truto:
        with pytest.raises(Unsupported, match="on to GitHub: Unknown path"):
            await truto.cancel("ferry", "9042")
        assert not truto.can(Capability.CANCEL)
        assert Capability.CANCEL not in truto.accepts(running)
        assert "does not pass" in str(truto.unsupported(Capability.CANCEL))
        assert "number" in str(truto.unsupported(Capability.REBUILD))
        with pytest.raises(Unsupported):
            await truto.cancel("ferry", "9042")
        assert len(stand.asked) == 1, "what was absent a moment ago is not asked for again"
        for capability in PASSED_ON[Integration.GITHUB] - {Capability.CANCEL}:
            assert truto.can(capability), capability
        await truto.retry("ferry", "9042", failed_only=False)
        now += timedelta(minutes=29)
        assert not truto.can(Capability.CANCEL)
        now += timedelta(minutes=2)
        assert truto.can(Capability.CANCEL)
        assert Capability.CANCEL in truto.accepts(running)
        await truto.cancel("ferry", "9042")


async def test_log_that_is_not_passed_on_leaves_out_the_live_log_too() -> None:
    log = ("GET", f"/custom/repositories/harbor/ferry/pipelines/{UUID}/steps/s/log")
    async with connected(Stand({log: [httpx.Response(501, json={"message": "no"})]}), BITBUCKET) as truto:
        with pytest.raises(Unsupported, match="Bitbucket"):
            await truto.log(Job(id="s", build=UUID, pipeline="ferry", name="Build"))
        assert not truto.can(Capability.LOG)
        assert not truto.can(Capability.LIVE_LOG)
        assert truto.can(Capability.START)


async def test_refusal_of_the_system_itself_narrows_nothing() -> None:
    async with connected(Stand({})) as truto:
        with pytest.raises(NotFound):
            await truto.cancel("ferry", "9042")
        assert truto.can(Capability.CANCEL)


# the list


async def test_every_parameter_of_the_list_is_sent() -> None:
    query = BuildQuery(
        status="completed",
        conclusion="failed",
        started_at=datetime(2026, 8, 1, 9, tzinfo=UTC),
        completed_at=datetime(2026, 8, 1, 10, tzinfo=UTC),
        limit=5,
        response_format=ResponseFormat.NORMALIZED,
        key_by="id",
        ignore_limit=True,
        ignore_remote_data=True,
        exclude_fields=("name", "trigger"),
        remote={"actor": "signe"},
    )
    stand = Stand({BUILDS: [{"result": {"9041": a_build(41), "9040": a_build(40)}, "next_cursor": None}]})
    async with connected(stand, {"repo": "ferry"}) as truto:
        builds = [build async for build in truto._client.listed_builds("ferry", query)]
    assert [build.id for build in builds] == ["9041", "9040"]
    (request,) = stand.asked
    assert sorted(request.url.params.multi_items()) == sorted(
        [
            ("integrated_account_id", ACCOUNT),
            ("owner", "harbor"),
            ("repo_id", "ferry"),
            ("repo", "ferry"),
            ("status", "completed"),
            ("conclusion", "failed"),
            ("started_at", "2026-08-01T09:00:00Z"),
            ("completed_at", "2026-08-01T10:00:00Z"),
            ("limit", "5"),
            ("truto_response_format", "normalized"),
            ("truto_key_by", "id"),
            ("truto_ignore_limit", "true"),
            ("truto_ignore_remote_data", "true"),
            ("truto_exclude_fields[]", "name"),
            ("truto_exclude_fields[]", "trigger"),
            ("remote_query[actor]", "signe"),
        ]
    )
    assert not Specs(kind="truto").faults_of(request)


@pytest.mark.parametrize("form", [ResponseFormat.RAW, ResponseFormat.STREAM])
async def test_builds_are_not_read_from_formats_of_the_system_beneath(form: ResponseFormat) -> None:
    stand = Stand({})
    async with connected(stand) as truto:
        with pytest.raises(UsageError, match=form.value):
            [build async for build in truto._client.listed_builds("ferry", BuildQuery(response_format=form))]
    assert not stand.asked


async def test_list_ends_where_a_cursor_repeats_or_a_page_is_empty_or_bare() -> None:
    for last in (answer(a_build(40), cursor="c2"), answer(cursor="c3"), [a_build(40)]):
        stand = Stand({BUILDS: [answer(a_build(41), cursor="c2"), last]})
        async with connected(stand) as truto:
            numbers = [build.number async for build in truto.builds("ferry", BuildFilter())]
        assert numbers in ([41], [41, 40])
        assert len(stand.asked) == 2


async def test_odd_item_of_a_list_spoils_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(Stand({BUILDS: [answer({"number": 1}, a_build(40))]})) as truto:
        assert [build.number async for build in truto.builds("ferry", BuildFilter())] == [40]
    assert "does not read" in caplog.text


# lost connections


async def test_refusal_by_the_system_beneath_stops_the_poll_until_somebody_reconnects() -> None:
    account = f"/integrated-account/{ACCOUNT}"
    stand = Stand(
        {
            BUILDS: [httpx.Response(401, json=REMOTE_401), page_of([a_build(41)])],
            ("GET", account): [{"id": ACCOUNT, "status": "needs_reauth"}, {"id": ACCOUNT, "status": "active"}],
        }
    )
    watched = Watched(pipelines=frozenset({"ferry"}))
    now = NOW
    async with timed(stand, lambda: now) as truto:
        for _ in range(3):
            with pytest.raises(AuthFailed) as refused:
                await truto.changes(None, watched)
            assert "reconnect" in (refused.value.hint or "")
        assert stand.paths == ["GET /unified/ci-cd/builds"]
        now += timedelta(minutes=2)
        for _ in range(2):
            with pytest.raises(AuthFailed):
                await truto.changes(None, watched)
        assert stand.paths[1:] == [f"GET {account}"], "only Truto is asked, once a minute"
        now += timedelta(minutes=2)
        assert [build.id for build in (await truto.changes(None, watched)).builds] == ["9041"]
        await truto.changes(None, watched)
    assert stand.paths[2:] == [f"GET {account}", "GET /unified/ci-cd/builds", "GET /unified/ci-cd/builds"]


async def test_refusal_of_trutos_own_token_does_not_stop_the_poll() -> None:
    stand = Stand({BUILDS: [httpx.Response(401, json={"message": "Unauthorized"})]})
    async with connected(stand) as truto:
        for _ in range(2):
            with pytest.raises(AuthFailed, match="Truto refused the credentials"):
                await truto.changes(None, Watched(pipelines=frozenset({"ferry"})))
    assert len(stand.asked) == 2


# the poll


async def test_quiet_tick_costs_one_request_for_each_pipeline() -> None:
    stand = Stand({BUILDS: [answer(a_build(41), cursor="more")]})
    async with connected(stand) as truto:
        cursor = None
        for _ in range(3):
            before = truto.requests
            cursor = (await truto.changes(cursor, Watched(pipelines=frozenset({"ferry", "beacon"})))).cursor
            assert truto.requests - before == 2
        assert truto.poll_target("ferry") == "ferry"


async def test_unfinished_build_that_the_list_no_longer_shows_is_read_singly() -> None:
    old = BuildKey(connection=CONNECTION, pipeline="ferry", id="9001")
    stand = Stand({BUILDS: [answer(a_build(41))], ("GET", "/unified/ci-cd/builds/9001"): [a_build(1, "failed")]})
    async with connected(stand) as truto:
        watched = Watched(pipelines=frozenset({"ferry"}), unfinished=frozenset({old}))
        assert [build.number for build in (await truto.changes(None, watched)).builds] == [41, 1]
    assert len(stand.asked) == 2


async def test_pipeline_without_id_and_name_is_reported() -> None:
    async with connected(Stand({("GET", "/unified/ci-cd/repos/ferry"): [{"status": "active"}]})) as truto:
        with pytest.raises(UnexpectedResponse, match="without id"):
            await truto.pipeline("ferry")


def test_cursor_that_does_not_read_has_seen_nothing() -> None:
    for text in (None, "", "{", "[]", '{"seen": 7}'):
        assert TrutoCursor.decode(text) is None
    kept = TrutoCursor.decode(TrutoCursor(seen={"ferry": {"1": True, "2": False}}).encode())
    assert kept is not None
    assert kept.builds_of("ferry") == frozenset({"1", "2"})
    assert kept.completed("ferry") == frozenset({"1"})
    assert not kept.builds_of("beacon")


async def test_circleci_builds_stand_as_their_jobs_do_and_finished_ones_are_asked_once() -> None:
    passed = answer(job("unit", "success", completed_at="2026-08-01T11:03:00Z", started_at="2026-08-01T11:01:00Z"))
    stand = Stand(
        {
            BUILDS: [answer(set_up(8), set_up(7))],
            JOBS: [answer(job("unit", "running")), passed, answer(job("unit", "failed"))],
        }
    )
    watched = Watched(pipelines=frozenset({SLUG}))
    async with connected(stand, CIRCLE) as truto:
        first = await truto.changes(None, watched)
        assert [(b.number, b.status, b.conclusion) for b in first.builds] == [
            (8, Status.IN_PROGRESS, None),
            (7, Status.COMPLETED, Conclusion.PASSED),
        ]
        assert first.builds[1].seconds == 120
        before = truto.requests
        second = await truto.changes(first.cursor, watched)
        assert truto.requests - before == 2, "the list, and the jobs of the one that was not finished"
        assert [(b.number, b.conclusion) for b in second.builds] == [(8, Conclusion.FAILED)]
        before = truto.requests
        assert not (await truto.changes(second.cursor, watched)).builds
        assert truto.requests - before == 1
    asked = [request for request in stand.asked if request.url.path.endswith("jobs")]
    assert dict(asked[0].url.params.multi_items()) == {
        "integrated_account_id": ACCOUNT,
        "repo_id": SLUG,
        "build_id": "p8",
        "project_slug": SLUG,
        "limit": "50",
    }


@pytest.mark.parametrize(
    ("states", "status", "conclusion", "waiting"),
    [
        ((), Status.IN_PROGRESS, None, False),
        (("queued",), Status.QUEUED, None, False),
        (("success", "running"), Status.IN_PROGRESS, None, False),
        (("success", "on_hold"), Status.IN_PROGRESS, None, True),
        (("success", "failed", "canceled"), Status.COMPLETED, Conclusion.FAILED, False),
        (("success", "timedout"), Status.COMPLETED, Conclusion.TIMEOUT, False),
        (("success", "canceled", "not_run"), Status.COMPLETED, Conclusion.CANCELLED, False),
        (("retried", "success"), Status.COMPLETED, Conclusion.PASSED, False),
        (("not_run",), Status.COMPLETED, Conclusion.SKIPPED, False),
        (("completed",), Status.COMPLETED, None, False),
    ],
)
async def test_circleci_jobs_make_a_build(
    states: tuple[str, ...], status: Status, conclusion: Conclusion | None, waiting: bool
) -> None:
    jobs = answer(*(job(f"{n}", state) for n, state in enumerate(states)))
    async with connected(Stand({("GET", "/unified/ci-cd/builds/p8"): [set_up(8)], JOBS: [jobs]}), CIRCLE) as truto:
        build = await truto.build(SLUG, "p8")
    assert (build.status, build.conclusion, build.waiting) == (status, conclusion, waiting)


async def test_circleci_build_that_could_not_be_set_up_has_failed() -> None:
    bodies: list[object] = [set_up(8, status="errored")]
    async with connected(Stand({("GET", "/unified/ci-cd/builds/p8"): bodies}), CIRCLE) as truto:
        build = await truto.build(SLUG, "p8")
    assert (build.conclusion, build.raw_state) == (Conclusion.FAILED, "errored")


async def test_circleci_has_the_one_pipeline_of_its_options_and_no_list() -> None:
    named: list[object] = [{"id": SLUG, "name": "ferry", "default_branch": "main"}]
    stand = Stand({("GET", f"/unified/ci-cd/repos/{SLUG}"): named, BUILDS: [answer()]})
    async with connected(stand, CIRCLE) as truto:
        assert [one.path async for one in truto.pipelines()] == [SLUG]
        assert [one.path async for one in truto.pipelines("beacon")] == []
        with pytest.raises(NotFound):
            await truto.pipeline("gh/harbor/beacon")
        wanted = BuildFilter(states=frozenset({"failed"}), branch="main")
        assert [build.id async for build in truto.builds(SLUG, wanted)] == []
    asked = stand.asked[-1].url.params
    assert "conclusion" not in asked, "it can't be narrowed by what the list does not know"
    assert asked["remote_query[branch]"] == "main"


async def test_circleci_artifacts_are_asked_for_by_job() -> None:
    jobs = [job("unit", "success", remote_data={"job_number": 31}), job("hold", "on_hold", remote_data={})]
    stand = Stand(
        {
            JOBS: [answer(*jobs)],
            ("GET", "/unified/ci-cd/artifacts"): [
                answer({"id": "a1", "name": "hull.txt", "download_url": "https://output.example/hull.txt"})
            ],
        }
    )
    async with connected(stand, CIRCLE) as truto:
        (found,) = await truto.artifacts(SLUG, "p8")
    assert (found.name, found.url) == ("hull.txt", "https://output.example/hull.txt")
    asked = dict(stand.asked[-1].url.params.multi_items())
    assert asked["job_number"] == "31"
    assert asked["project_slug"] == SLUG


WORKFLOWS = {
    "items": [
        {"id": "w1", "name": "test", "status": "failed", "created_at": "2026-08-01T11:00:00Z"},
        {"id": "w3", "name": "test", "status": "failed", "created_at": "2026-08-01T11:20:00Z"},
        {"id": "w2", "name": "deploy", "status": "on_hold", "created_at": "2026-08-01T11:01:00Z"},
        {"id": "w0", "name": "setup", "status": "success", "tag": "setup"},
    ]
}


def circle_stand(workflows: object = WORKFLOWS, posts: Mapping[str, object] | None = None) -> Stand:
    return Stand(
        {
            ("GET", "/custom/pipeline/p8/workflow"): [workflows],
            ("GET", "/unified/ci-cd/builds/p8"): [set_up(8)],
            JOBS: [answer(job("unit", "running"))],
            **{("POST", path): [body] for path, body in (posts or {}).items()},
        }
    )


async def test_circleci_cancel_stops_each_open_workflow() -> None:
    stand = circle_stand(posts={"/custom/workflow/w2/cancel": {"message": "Accepted."}})
    async with connected(stand, CIRCLE) as truto:
        assert (await truto.cancel(SLUG, "p8")).number == 8
    assert [path for path in stand.paths if path.startswith("POST")] == ["POST /custom/workflow/w2/cancel"]
    done = {"items": [{"id": "w1", "name": "test", "status": "success"}]}
    async with connected(circle_stand({"result": done["items"], "next_cursor": None}), CIRCLE) as truto:
        with pytest.raises(Rejected, match="running"):
            await truto.cancel(SLUG, "p8")


async def test_circleci_retry_runs_the_newest_workflow_of_each_name() -> None:
    posts = {f"/custom/workflow/{one}/rerun": {"workflow_id": "w9"} for one in ("w2", "w3")}
    stand = circle_stand(posts=posts)
    async with connected(stand, CIRCLE) as truto:
        await truto.retry(SLUG, "p8")
        assert stand.sent("/custom/workflow/w3/rerun") == [{"from_failed": True}]
        assert not stand.sent("/custom/workflow/w2/rerun")
        await truto.retry(SLUG, "p8", failed_only=False)
        assert stand.sent("/custom/workflow/w3/rerun")[1:] == [{}]
        assert stand.sent("/custom/workflow/w2/rerun") == [{}]
        with pytest.raises(Unsupported, match="workflow"):
            await truto.retry(SLUG, "p8", job="unit")
    async with connected(circle_stand({"items": []}), CIRCLE) as truto:
        with pytest.raises(Rejected):
            await truto.retry(SLUG, "p8")


@pytest.mark.parametrize(
    ("ref", "sent"),
    [
        (MAIN, {"branch": "main"}),
        (Ref(kind=RefKind.TAG, name="v2.1"), {"tag": "v2.1"}),
        (Ref(kind=RefKind.PULL_REQUEST, name="7"), {"branch": "pull/7/head"}),
    ],
)
async def test_circleci_start_sends_typed_parameters(ref: Ref, sent: dict[str, str]) -> None:
    path = f"/custom/project/{SLUG}/pipeline"
    stand = circle_stand(posts={path: {"id": "p8", "number": 8, "state": "pending"}})
    given = {"deep": "true", "tide": "12", "quay": "north", "code": "007"}
    async with connected(stand, CIRCLE) as truto:
        assert (await truto.start(SLUG, StartRequest(ref=ref, parameters=given))).number == 8
    typed = {"deep": True, "tide": 12, "quay": "north", "code": "007"}
    assert stand.sent(path) == [{**sent, "parameters": typed}]


async def test_circleci_start_without_a_build_says_what_circleci_said() -> None:
    stand = circle_stand(posts={f"/custom/project/{SLUG}/pipeline": {"message": "Skipped by the commit."}})
    async with connected(stand, CIRCLE) as truto:
        with pytest.raises(Rejected, match="Skipped by the commit"):
            await truto.start(SLUG, StartRequest(ref=MAIN))
        with pytest.raises(UsageError, match="commits"):
            await truto.start(SLUG, StartRequest(ref=MAIN, commit="5f3a9c1e7b2d"))


# webhooks


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    vectors = json.loads((FOLDER / "samples" / "truto" / "signature_vectors.json").read_bytes())
    assert any(vector["valid"] for vector in vectors)
    for vector in vectors:
        headers = {name.lower(): value for name, value in vector["header"].items()}
        body = vector["body"].encode()
        account = json.loads(body)["payload"]["id"]
        options = {"webhook_secret": vector["secret"], "integrated_account_id": account}
        async with connected(Stand({}), options) as truto:
            if vector["valid"]:
                event = truto.parse_webhook(headers, body)
                assert event is not None
                assert event.delivery == "evt_01"
            else:
                with pytest.raises(AuthFailed):
                    truto.parse_webhook(headers, body)


@pytest.mark.parametrize(
    "change", [lambda s: s.replace("sha256", "md5"), lambda s: s.partition(",")[0], lambda _: ",=,"]
)
async def test_signature_of_another_form_is_refused(change: Callable[[str], str]) -> None:
    body = b'{"event": "test"}'
    headers, _ = sign(body, {})
    async with connected(Stand({})) as truto:
        assert truto.parse_webhook(headers, body) is None
        with pytest.raises(AuthFailed):
            truto.parse_webhook({"x-truto-signature": change(headers["x-truto-signature"])}, body)


async def test_delivery_without_an_id_is_known_by_its_signature() -> None:
    body = json.dumps({"event": "record:created", "payload": {"integrated_account_id": ACCOUNT}}).encode()
    odd = json.dumps({"event": "record:created", "payload": "odd"}).encode()
    async with connected(Stand({})) as truto:
        event = truto.parse_webhook(sign(body, {})[0], body)
        assert event is not None
        assert len(event.delivery) == 64
        assert truto.parse_webhook(sign(odd, {})[0], odd) is None


# pages


@pytest.mark.parametrize(
    ("options", "url", "page"),
    [
        ({}, "https://github.com/harbor/ferry", Page(pipeline="ferry")),
        ({}, "https://github.com/Harbor/beacon/actions", Page(pipeline="beacon")),
        ({}, "https://github.com/harbor/ferry/actions/runs/9041/attempts/2", Page(pipeline="ferry", build="9041")),
        (
            {},
            "https://github.com/harbor/ferry/actions/runs/9041/job/70001",
            Page(pipeline="ferry", build="9041", job="70001"),
        ),
        ({}, "https://github.com/rival/ferry/actions/runs/9041", None),
        ({}, "https://github.com/harbor/ferry/issues/7", None),
        ({}, "https://github.com.evil.example/harbor/ferry", None),
        ({}, "ftp://github.com/harbor/ferry", None),
        (
            BITBUCKET,
            "https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/%7B57e9%7D",
            Page(pipeline="ferry", number=41, job="{57e9}"),
        ),
        (BITBUCKET, "https://bitbucket.org/harbor/ferry", Page(pipeline="ferry")),
        (
            CIRCLE,
            "https://app.circleci.com/pipelines/github/harbor/ferry/41/workflows/w1",
            Page(pipeline=SLUG, number=41),
        ),
        (
            CIRCLE,
            "https://app.circleci.com/pipelines/github/harbor/ferry/41/workflows/w1/jobs/31",
            Page(pipeline=SLUG, number=41, job="31"),
        ),
        (CIRCLE, "https://app.circleci.com/pipelines/github/harbor/beacon/41", None),
        (
            TRAVIS,
            "https://app.travis-ci.com/github/harbor/ferry/builds/7041",
            Page(pipeline="harbor/ferry", build="7041"),
        ),
        (TRAVIS, "https://app.travis-ci.com/harbor/ferry", Page(pipeline="harbor/ferry")),
        (TRAVIS, "https://app.travis-ci.com/github/harbor/beacon", None),
        (
            AZURE,
            "https://dev.azure.com/harbor/port/_build/results?buildId=903&view=logs",
            Page(pipeline="port", build="903"),
        ),
        (AZURE, "https://dev.azure.com/harbor/port/_build", Page(pipeline="port")),
        (AZURE, "https://dev.azure.com/harbor/other/_build/results?buildId=903", None),
        (JENKINS, "https://ci.harbor.example/job/port/job/ferry/52/", None),
    ],
)
async def test_pages_read(options: dict[str, object], url: str, page: Page | None) -> None:
    async with connected(Stand({}), options) as truto:
        assert truto.parse_url(url) == page


# readers


def place(integration: Integration, pipeline: str = "ferry") -> Place:
    return Place(connection="ci", integration=integration, pipeline=pipeline, owner="harbor")


def built(integration: Integration, fields: Mapping[str, object], pipeline: str = "ferry") -> Build:
    return convert.build(wire.BuildWire.of({"id": 7, **fields}), place(integration, pipeline))


@pytest.mark.parametrize(
    ("integration", "fields", "number"),
    [
        (Integration.AZURE, {"number": "20260801.3"}, None),
        (Integration.TRAVIS, {"remote_data": {"number": "41"}}, 41),
        (Integration.GITHUB, {"number": -1}, None),
        (Integration.GITHUB, {"remote_data": {"run_number": True}}, None),
        (Integration.GITHUB, {"remote_data": []}, None),
    ],
)
def test_numbers_are_never_made_up(integration: Integration, fields: dict[str, object], number: int | None) -> None:
    assert built(integration, fields).number == number


@pytest.mark.parametrize(
    ("integration", "pipeline", "fields", "url"),
    [
        (Integration.GITHUB, "ferry", {}, "https://github.com/harbor/ferry/actions/runs/7"),
        (
            Integration.GITHUB,
            "ferry",
            {"remote_data": {"html_url": "javascript:x"}},
            "https://github.com/harbor/ferry/actions/runs/7",
        ),
        (Integration.BITBUCKET, "ferry", {}, None),
        (Integration.CIRCLECI, "circleci/ab/cd", {"number": 4}, "https://app.circleci.com/pipelines/circleci/ab/cd/4"),
        (Integration.CIRCLECI, SLUG, {}, None),
        (Integration.TRAVIS, "301", {}, None),
        (
            Integration.TRAVIS,
            "301",
            {"repo": "x", "remote_data": {"repository": {"slug": "harbor/ferry"}}},
            "https://app.travis-ci.com/github/harbor/ferry/builds/7",
        ),
        (Integration.JENKINS, "ferry", {}, None),
    ],
)
def test_links_are_only_made_of_what_is_known(
    integration: Integration, pipeline: str, fields: dict[str, object], url: str | None
) -> None:
    assert built(integration, fields, pipeline).web_url == url


@pytest.mark.parametrize(
    ("integration", "fields", "status", "conclusion"),
    [
        # a conclusion of a build that still runs is none yet
        (Integration.GITHUB, {"status": "in_progress", "conclusion": "failed"}, Status.IN_PROGRESS, None),
        # a status we don't know says nothing against a conclusion
        (Integration.GITHUB, {"status": "dreaming", "conclusion": "failed"}, Status.COMPLETED, Conclusion.FAILED),
        (Integration.GITHUB, {"status": "dreaming"}, Status.IN_PROGRESS, None),
        (Integration.GITHUB, {"status": "dreaming", "completed_at": "2026-08-01T11:00:00Z"}, Status.COMPLETED, None),
        (Integration.TRAVIS, {"conclusion": "started"}, Status.IN_PROGRESS, None),
        (Integration.TRAVIS, {"conclusion": "errored"}, Status.COMPLETED, Conclusion.FAILED),
        (Integration.AZURE, {"status": "inProgress", "conclusion": "none"}, Status.IN_PROGRESS, None),
        (Integration.BITBUCKET, {"status": "completed"}, Status.COMPLETED, None),
        (Integration.JENKINS, {"conclusion": "NOT_BUILT"}, Status.COMPLETED, Conclusion.SKIPPED),
        (Integration.CIRCLECI, {"status": "created", "conclusion": "failed"}, Status.COMPLETED, Conclusion.FAILED),
    ],
)
def test_words_make_a_state(
    integration: Integration, fields: dict[str, object], status: Status, conclusion: Conclusion | None
) -> None:
    build = built(integration, fields)
    assert (build.status, build.conclusion) == (status, conclusion)


@pytest.mark.parametrize(
    ("word", "trigger"),
    [
        ("push", Trigger.PUSH),
        ("workflow_dispatch", Trigger.WEB),
        ("individualCI", Trigger.PUSH),
        ("PullRequest", Trigger.MERGE_REQUEST),
        ("hudson.triggers.TimerTrigger$TimerTriggerCause", Trigger.CRON),
        ("SCHEDULE", Trigger.CRON),
        ("something new", Trigger.UNKNOWN),
        (None, Trigger.UNKNOWN),
    ],
)
def test_words_make_a_trigger(word: str | None, trigger: Trigger) -> None:
    assert convert.trigger(word) is trigger


def test_starters_are_people_or_machines_or_unknown() -> None:
    assert convert.starter("bot", None) is Starter.BOT
    assert convert.starter("user", "quay[bot]") is Starter.BOT
    assert convert.starter("User", "signe") is Starter.USER
    assert convert.starter("team", "harbor") is None


def test_pipeline_without_id_and_name_is_none() -> None:
    assert convert.pipeline(wire.NamedWire(), Integration.GITHUB, "") is None
    assert convert.pipeline(wire.NamedWire(id=""), Integration.BITBUCKET, "") is None


@pytest.mark.parametrize(
    ("workflow", "path"),
    [
        ("ferry", "job/ferry"),
        ("port/ferry", "job/port/job/ferry"),
        ("port/job/ferry", "job/port/job/ferry"),
        ("job/port/job/ferry", "job/port/job/ferry"),
        ("port/job/feature%2Fglow", "job/port/job/feature%252Fglow"),
    ],
)
def test_jenkins_jobs_have_paths(workflow: str, path: str) -> None:
    assert "/".join(quote(segment, safe="") for segment in jenkins_job(workflow)) == path


@pytest.mark.parametrize(
    ("body", "inner"),
    [
        (b'{"result": {"id": 1}, "next_cursor": null}', b'{"id": 1}'),
        (b'{"result": "approved"}', b'{"result": "approved"}'),
        (b'{"result": {}, "id": 1}', b'{"result": {}, "id": 1}'),
        (b"[1]", b"[1]"),
        (b"text", b"text"),
    ],
)
def test_envelope_around_the_systems_own_answer_is_taken_off(body: bytes, inner: bytes) -> None:
    assert bytes(proxy.inner(body)) == inner


AZURE_SOURCE: Mapping[str, object] = {"definition": {"id": 7}, "sourceBranch": "refs/heads/main"}


def azure_rebuild(request: StartRequest, **remote: object) -> Mapping[str, object] | None:
    raw = wire.BuildWire.of({"id": 1, "remote_data": {**AZURE_SOURCE, **remote}})
    at = place(Integration.AZURE)
    return start.azure_rebuild(at, raw, convert.build(raw, at), request).body


@pytest.mark.parametrize("odd", ["{", "[]", "7", '{"KEY": null}'])
def test_recorded_variables_that_are_not_reported_are_never_dropped(odd: str) -> None:
    with pytest.raises(Rejected, match=r"variables|KEY"):
        azure_rebuild(StartRequest(), parameters=odd)


def test_azure_rebuild_keeps_variables_and_template_parameters() -> None:
    body = azure_rebuild(
        StartRequest(parameters={"KEY": "k", "TIDE": "low"}),
        parameters='{"KEY": null, "QUAY": "north", "TIDE": "high"}',
        templateParameters={"env": "prod"},
    )
    assert body is not None
    assert json.loads(str(body["parameters"])) == {"KEY": "k", "QUAY": "north", "TIDE": "low"}
    assert body["templateParameters"] == {"env": "prod"}
    assert azure_rebuild(StartRequest()) == {
        "definition": {"id": 7},
        "sourceBranch": "refs/heads/main",
        "reason": "manual",
    }


@pytest.mark.parametrize(
    ("run", "given", "sent"),
    [
        ({"variables": [{"key": "DEPLOY", "value": "prod"}]}, {}, [("DEPLOY", "prod")]),
        (
            {"variables": [{"key": "DEPLOY", "value": "prod"}]},
            {"A": "b"},
            [("DEPLOY", "prod"), ("A", "b")],
        ),
        ({"variables": [{"key": "KEY", "secured": True}]}, {"KEY": "k"}, [("KEY", "k")]),
        ({"has_variables": False}, {}, []),
        ({"variables": [{"key": "KEY", "secured": True}]}, {}, None),
        ({"variables": [{"key": "KEY"}]}, {"OTHER": "x"}, None),
        ({"has_variables": True}, {"A": "b"}, None),
        ({}, {}, None),
        (httpx.Response(404, json={"message": "Unknown path"}), {"A": "b"}, None),
    ],
)
async def test_bitbucket_rebuild_keeps_its_variables_or_is_refused(
    run: object, given: dict[str, str], sent: list[tuple[str, str]] | None
) -> None:
    target = {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main"}
    posts = "/custom/repositories/harbor/ferry/pipelines"
    stand = Stand(
        {
            ("GET", f"/unified/ci-cd/builds/{UUID}"): [{"id": UUID, "remote_data": {"target": target}}],
            ("GET", f"{posts}/{UUID}"): [{"uuid": UUID, **run} if isinstance(run, dict) else run],
            ("POST", posts): [{"uuid": UUID}],
        }
    )
    async with connected(stand, BITBUCKET) as truto:
        if sent is None:
            with pytest.raises(Rejected, match=r"variables|KEY"):
                await truto.rebuild("ferry", UUID, StartRequest(parameters=given))
            assert not stand.sent(posts)
            return
        await truto.rebuild("ferry", UUID, StartRequest(parameters=given))
    variables = [{"key": name, "value": value} for name, value in sent]
    assert stand.sent(posts) == [{"target": target} | ({"variables": variables} if variables else {})]


@pytest.mark.parametrize(
    ("options", "request_", "target"),
    [
        ({}, StartRequest(ref=MAIN), StartTarget(branch="main")),
        ({}, StartRequest(ref=Ref(kind=RefKind.TAG, name="main")), StartTarget(tag="main")),
        ({}, StartRequest(), StartTarget(branch="trunk")),
        (BITBUCKET, StartRequest(ref=MAIN, commit="abc123"), StartTarget(branch="main", commit="abc123")),
        (
            BITBUCKET,
            StartRequest(ref=Ref(kind=RefKind.COMMIT, name="abc123"), options={"custom": "x"}),
            StartTarget(branch="trunk", commit="abc123"),
        ),
        (
            CIRCLE,
            StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7")),
            StartTarget(branch="pull/7/head", pull_request="7"),
        ),
        (AZURE, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7")), StartTarget(pull_request="7")),
        (
            TRAVIS,
            StartRequest(ref=Ref(kind=RefKind.COMMIT, name="abc123")),
            StartTarget(branch="trunk", commit="abc123"),
        ),
    ],
)
async def test_start_target_is_what_the_system_will_build(
    options: dict[str, object], request_: StartRequest, target: StartTarget
) -> None:
    stand = Stand({})
    stand.default = {"id": "1", "name": "ferry", "default_branch": "trunk"}
    async with connected(stand, options) as truto:
        assert await truto.start_target(truto.options.home, request_) == target
    assert not [path for path in stand.paths if not path.startswith("GET")]


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ({}, StartRequest(ref=Ref(kind=RefKind.TAG, name="refs/heads/main"))),
        (AZURE, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7/../../heads/main"))),
        (CIRCLE, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7/merge"))),
        (TRAVIS, StartRequest(ref=Ref(kind=RefKind.COMMIT, name="abc123"), commit="def456")),
        (TRAVIS, StartRequest(ref=Ref(kind=RefKind.BRANCH, name=" "))),
    ],
)
async def test_ref_that_says_another_than_it_seems_is_refused(
    options: dict[str, object], request_: StartRequest
) -> None:
    stand = Stand({})
    async with connected(stand, options) as truto:
        with pytest.raises(UsageError):
            await truto.start_target(truto.options.home, request_)
        with pytest.raises(UsageError):
            await truto.start(truto.options.home, request_)
    assert not stand.asked


@pytest.mark.parametrize(
    ("target", "more", "is_own"),
    [
        (StartTarget(branch="main"), {}, True),
        (StartTarget(branch="rails"), {}, False),
        (StartTarget(tag="main"), {"tag": "main", "branch": None}, True),
        (StartTarget(tag="v1"), {}, False),
        (StartTarget(branch="main"), {"pull_request": "7"}, False),
        (StartTarget(pull_request="7"), {"pull_request": "7", "branch": None}, True),
        (StartTarget(branch="main", commit="abc123"), {"commit": "ABC1234"}, True),
        (StartTarget(branch="main", commit="abc123"), {"commit": "def456"}, False),
        (StartTarget(branch="main"), {"trigger": Trigger.PUSH}, False),
        (StartTarget(branch="main"), {"created_at": NOW - timedelta(minutes=2)}, False),
        (StartTarget(branch="main"), {"created_at": None}, False),
    ],
)
def test_own_start_is_distinguished_from_others(target: StartTarget, more: dict[str, Any], is_own: bool) -> None:
    build = Build(connection="ci", pipeline="ferry", id="1", branch="main", trigger=Trigger.API, created_at=NOW)
    assert start.is_own_start(replace(build, **more), target, NOW) == is_own


@pytest.mark.parametrize(
    ("integration", "pipeline", "remote", "owner"),
    [
        (Integration.TRAVIS, "harbor/ferry", {"repository": {"id": 61, "slug": "Harbor/Ferry"}}, None),
        (Integration.TRAVIS, "61", {"repository": {"id": 61, "slug": "harbor/ferry"}}, None),
        (Integration.TRAVIS, "61", {"repository": {"slug": "harbor/beacon"}}, None),
        (Integration.TRAVIS, "61", {"repository": {"id": 62, "slug": "harbor/beacon"}}, "harbor/beacon"),
        (Integration.CIRCLECI, SLUG, {"project_slug": "gh/harbor/beacon"}, "gh/harbor/beacon"),
        (Integration.CIRCLECI, SLUG, {"project_slug": SLUG}, None),
        (Integration.AZURE, "ferry", {"repository": {"name": "beacon"}}, "beacon"),
        (Integration.AZURE, "harbor", {"repository": {"name": "beacon"}}, None),
        (Integration.AZURE, "ferry", {"repository": {"id": "0f4e2b66-7a10-4c8e-9d53-2b1f60a7c9e4"}}, None),
        (Integration.AZURE, "ferry", None, None),
    ],
)
def test_build_of_another_pipeline_is_recognized_by_the_systems_own_fields(
    integration: Integration, pipeline: str, remote: object, owner: str | None
) -> None:
    raw = wire.BuildWire.of({"id": 1, "remote_data": remote})
    assert convert.owner_of(raw, place(integration, pipeline)) == owner


async def test_lists_leave_out_builds_of_other_repositories() -> None:
    def of(name: str) -> dict[str, object]:
        return {"repository": {"name": name}}

    listed = answer(a_build(42, remote_data=of("beacon")), a_build(41, remote_data=of("ferry")))
    async with connected(Stand({BUILDS: [listed]}), {**AZURE, "repo": "ferry"}) as truto:
        assert [build.number async for build in truto.builds("ferry", BuildFilter())] == [41]


async def test_job_of_another_build_is_never_run_again() -> None:
    jobs = answer(job("601", "failed"))
    stand = Stand({JOBS: [jobs], ("GET", "/unified/ci-cd/builds/9041"): [a_build(41)]})
    async with connected(stand) as truto:
        with pytest.raises(NotFound, match="not of build"):
            await truto.retry("ferry", "9041", job="999")
    assert not [path for path in stand.paths if path.startswith("POST")]


@pytest.mark.parametrize(
    ("fields", "branch", "pull_request", "from_fork"),
    [
        ({"branch": "pull/7"}, None, "7", True),
        ({"branch": "pull/7/head"}, None, "7", True),
        ({"branch": "pull/hull"}, "pull/hull", None, None),
        (
            {
                "branch": "main",
                "remote_data": {"vcs": {"origin_repository_url": "a", "target_repository_url": "b"}},
            },
            "main",
            None,
            True,
        ),
    ],
)
def test_circleci_builds_of_forks_are_no_branchs(
    fields: dict[str, object], branch: str | None, pull_request: str | None, from_fork: bool | None
) -> None:
    build = built(Integration.CIRCLECI, fields, SLUG)
    assert (build.branch, build.pull_request, build.from_fork) == (branch, pull_request, from_fork)


def test_pull_request_without_a_number_is_no_branchs_build() -> None:
    for fields in ({"trigger": "merge_request"}, {"remote_data": {"event": "pull_request"}}):
        assert built(Integration.GITHUB, {"branch": "main", **fields}).history_ref is None


def test_login_inside_a_noreply_address_is_read() -> None:
    author = {"name": "Ole", "email": "12345+ole-friis@users.noreply.github.com"}
    person = built(Integration.GITHUB, {"remote_data": {"head_commit": {"author": author}}}).author
    assert person is not None
    assert person.login == "ole-friis"


@pytest.mark.parametrize("odd", ["", "a//b", "/"])
def test_jenkins_job_with_an_empty_part_is_none(odd: str) -> None:
    with pytest.raises(NotFound):
        jenkins_job(odd)


def test_build_without_jobs_has_unknown_counts() -> None:
    assert not convert.counts((), tells_tolerated=True).known


async def test_travis_request_without_an_id_may_have_started() -> None:
    stand = Stand({("POST", "/custom/repo/harbor/ferry/requests"): [{"@type": "pending"}], BUILDS: [answer()]})
    async with connected(stand, TRAVIS) as truto:
        with pytest.raises(Unavailable) as raised:
            await truto.start("harbor/ferry", StartRequest(ref=MAIN))
    assert raised.value.acted
    assert stand.paths.count("POST /custom/repo/harbor/ferry/requests") == 1


async def test_travis_request_that_cannot_be_read_may_have_started() -> None:
    stand = Stand({("POST", "/custom/repo/harbor/ferry/requests"): [{"request": {"id": 4002}}]})
    async with connected(stand, TRAVIS) as truto:
        with pytest.raises(Unavailable) as raised:
            await truto.start("harbor/ferry", StartRequest(ref=MAIN))
    assert raised.value.acted


def test_jobs_that_travis_runs_again_are_those_that_did_not_pass() -> None:
    def one(conclusion: Conclusion | None) -> Job:
        return Job(id="1", build="2", pipeline="p", name="j", conclusion=conclusion)

    again = [word for word in Conclusion if convert.may_run_again(one(word))]
    assert again == [Conclusion.FAILED, Conclusion.CANCELLED, Conclusion.TIMEOUT]


# limits


def test_quota_is_read_from_the_headers() -> None:
    headers = httpx.Headers({"ratelimit-limit": "50;w=10", "ratelimit-remaining": "20", "ratelimit-reset": "4"})
    quota = Truto.read_quota(headers, NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (50, 20, NOW + timedelta(seconds=4))
    bare = Truto.read_quota(httpx.Headers({"ratelimit-limit": "50", "ratelimit-remaining": "20"}), NOW)
    assert bare is not None
    assert bare.resets_at is None
    assert Truto.read_quota(httpx.Headers({"ratelimit-limit": "many"}), NOW) is None


def test_wait_is_what_the_headers_say_or_what_trutos_limit_takes() -> None:
    assert errors.wait_seconds(httpx.Headers({"Retry-After": "7", "ratelimit-reset": "4"})) == 7
    assert errors.wait_seconds(httpx.Headers({"Retry-After": "soon", "ratelimit-reset": "4"})) == 4
    assert errors.wait_seconds(httpx.Headers()) == errors.FALLBACK_WAIT_SECONDS


def test_payloads_are_our_own() -> None:
    for file in Path(CASE.payloads).parent.glob("truto*/*.json"):
        assert "acme" not in file.read_text(), file.name
    assert msgspec.json.decode(b"{}", type=wire.ErrorWire).truto_is_remote_error is None


# what people ask the list and a single build for


async def test_filters_and_options_of_a_list_reach_the_wire() -> None:
    stand = Stand(
        {BUILDS: [{"result": {"9041": a_build(41, completed_at="2026-08-01T11:30:00Z")}, "next_cursor": None}]}
    )
    asked = BuildFilter(
        since=datetime(2026, 7, 1, tzinfo=UTC),
        finished_since=datetime(2026, 7, 2, tzinfo=UTC),
        options={
            "truto_key_by": "id",
            "truto_ignore_limit": "true",
            "truto_exclude_fields": "name, trigger",
            "remote_query.actor": "signe",
            "conclusion": "success",
        },
    )
    async with connected(stand) as truto:
        assert [build.id async for build in truto.builds("ferry", asked)] == ["9041"]
    params = stand.asked[0].url.params
    assert params["started_at"] == "2026-07-01T00:00:00Z"
    assert params["completed_at"] == "2026-07-02T00:00:00Z"
    assert (params["truto_key_by"], params["truto_ignore_limit"]) == ("id", "true")
    assert params.get_list("truto_exclude_fields[]") == ["name", "trigger"]
    assert (params["remote_query[actor]"], params["conclusion"]) == ("signe", "success")


async def test_times_that_narrow_the_list_to_nothing_are_left_out_once() -> None:
    stand = Stand({BUILDS: [answer(), answer(a_build(41))]})
    async with connected(stand) as truto:
        asked = BuildFilter(since=datetime(2026, 7, 1, tzinfo=UTC))
        assert [build.id async for build in truto.builds("ferry", asked)] == ["9041"]
    assert ["started_at" in request.url.params for request in stand.asked] == [True, False]


async def test_raw_answers_are_handed_out_as_they_came() -> None:
    stand = Stand({BUILDS: [[{"run_number": 41}]], (BUILDS[0], f"{BUILDS[1]}/9041"): [{"run_number": 41}]})
    async with connected(stand) as truto:
        listed = await truto.as_sent("ferry", None, {"truto_response_format": "raw"})
        single = await truto.as_sent("ferry", "9041", {"truto_response_format": "stream"})
        assert await truto.as_sent("ferry", None, {"truto_key_by": "id"}) is None
    assert json.loads(listed or b"") == [{"run_number": 41}]
    assert json.loads(single or b"") == {"run_number": 41}
    assert [request.url.params["truto_response_format"] for request in stand.asked] == ["raw", "stream"]
    assert "limit" not in stand.asked[1].url.params


async def test_a_format_that_there_is_none_of_is_refused() -> None:
    stand = Stand({})
    async with connected(stand) as truto:
        with pytest.raises(UsageError, match="xml"):
            [build async for build in truto.builds("ferry", BuildFilter(options={"truto_response_format": "xml"}))]
    assert not stand.asked
