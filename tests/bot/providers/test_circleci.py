"""What is CircleCI's own: signatures, slugs and addresses, attempts, the poll's cost, declared parameters."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.core.errors import AuthFailed, NotFound, Rejected, Unavailable, UsageError
from bot.core.models import (
    BuildFilter,
    Conclusion,
    IssueCounts,
    Page,
    ParameterType,
    Person,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Status,
    Watched,
)
from bot.providers.base.capabilities import Capability
from bot.providers.base.memory import AbsentOperations
from bot.providers.circleci import convert, start, urls, wire
from bot.providers.circleci.parameters import CONFIG_CHARACTERS, declared, typed
from bot.providers.circleci.poll import Cursor
from bot.providers.circleci.provider import CircleCI
from tests.bot.providers.case import NOW, opened, result_of
from tests.bot.providers.cases.circleci import (
    BUILD,
    CASE,
    FERRY,
    GATE,
    JOB,
    SECRET,
    TOKEN,
    a_pipeline,
    a_workflow,
    build_id,
    job_uuid,
    key,
    listing,
    run_id,
    sign,
)
from tests.bot.providers.specs import ABSENT, FOLDER

JOB_WORDS = (
    "success running not_run failed retried queued not_running infrastructure_fail timedout on_hold terminated-unknown"
    " blocked canceled unauthorized"
)
DONE = json.dumps(
    {
        "id": "d-1",
        "type": "workflow-completed",
        "pipeline": {"id": build_id(41)},
        "project": {"slug": "github/harbor/ferry"},
    }
).encode()
SILENT = httpx.MockTransport(lambda _: httpx.Response(404, json={"message": "not here"}))
WATCHED = Watched(pipelines=frozenset({FERRY}))


def answering(answer: Callable[[str], object]) -> tuple[httpx.MockTransport, list[str]]:
    """Answers by path, and the paths that were asked for."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=answer(request.url.path))

    return httpx.MockTransport(handle), asked


# webhooks


async def test_one_fitting_signature_of_the_first_scheme_is_enough() -> None:
    signed = sign(DONE, {})[0]["circleci-signature"]
    async with opened(CASE, SILENT) as circleci:
        for header in (signed, f"v2=00, {signed}", f"{signed},v2=00", f"v1=00,{signed}"):
            event = circleci.parse_webhook({"circleci-signature": header}, DONE)
            assert event is not None
            assert (event.delivery, event.pipeline, event.build) == ("d-1", FERRY, build_id(41))
        for header in ("", "v1=", "v1", signed.replace("v1=", "v2="), signed.removeprefix("v1="), f"v1=é{signed}"):
            with pytest.raises(AuthFailed):
                circleci.parse_webhook({"circleci-signature": header}, DONE)


async def test_delivery_without_an_id_is_named_by_its_signature() -> None:
    body = DONE.replace(b'"id": "d-1", ', b"")
    async with opened(CASE, SILENT) as circleci:
        event = circleci.parse_webhook(sign(body, {})[0], body)
    assert event is not None
    assert event.delivery == hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_documented_signatures_hold() -> None:
    vectors = json.loads((FOLDER / "samples" / "circleci" / "signature_vectors.json").read_bytes())
    for vector in vectors:
        body = vector["body"].encode()
        signed = hmac.new(vector["secret"].encode(), body, hashlib.sha256).hexdigest()
        assert (f"v1={signed}" in vector["header"].get("circleci-signature", "")) == vector["valid"]
        async with opened(CASE, SILENT, {"webhook_secret": vector["secret"]}) as circleci:
            if not vector["valid"]:
                with pytest.raises(AuthFailed):
                    circleci.parse_webhook(vector["header"], body)
            elif body.startswith(b"{"):
                assert circleci.parse_webhook(vector["header"], body) is None
            else:
                # no event at all: past the signature, and refused for its form
                with pytest.raises(Exception, match="could not be read"):
                    circleci.parse_webhook(vector["header"], body)
    assert vectors


# slugs and addresses

AT = "https://app.circleci.com/pipelines/github/harbor/ferry"
RUN = run_id(411)


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (AT, Page(pipeline=FERRY)),
        (f"{AT}?branch=main", Page(pipeline=FERRY)),
        (f"{AT}/41", Page(pipeline=FERRY, number=41)),
        (f"{AT}/41/workflows/{RUN}", Page(pipeline=FERRY, number=41)),
        (f"{AT}/41/workflows/{RUN}/jobs/702", Page(pipeline=FERRY, number=41, job="702")),
        (f"{AT}/41/workflows/{RUN}/jobs/702/parallel-runs/0/steps/0-1", Page(pipeline=FERRY, number=41, job="702")),
        (f"{AT}/41/workflows/{RUN}/jobs", Page(pipeline=FERRY, number=41)),
        (f"{AT}/41/workflows/{RUN}/jobs/\u00b2", Page(pipeline=FERRY, number=41)),
        (f"{AT}/\u00b2", Page(pipeline=FERRY)),
        ("https://app.circleci.com/pipelines/gh/Harbor/ferry/41", Page(pipeline="gh/Harbor/ferry", number=41)),
        ("https://app.circleci.com/jobs/github/harbor/ferry/702", Page(pipeline=FERRY, job="702")),
        ("https://app.circleci.com/insights/github/harbor/ferry/workflows/sail", Page(pipeline=FERRY)),
        ("https://app.circleci.com/settings/project/github/harbor/ferry/webhooks", Page(pipeline=FERRY)),
        ("https://circleci.com/gh/harbor/ferry", Page(pipeline=FERRY)),
        ("https://circleci.com/gh/harbor/ferry/702", Page(pipeline=FERRY, job="702")),
        ("https://circleci.com/gh/harbor/ferry/tree/main", Page(pipeline=FERRY)),
        ("https://circleci.com/gh/harbor/workflows/ferry/tree/main", Page(pipeline=FERRY)),
        ("https://app.circleci.com/pipelines/github/harbor", None),
        ("https://app.circleci.com/pipelines/github/rival/ferry/41", None),
        ("https://app.circleci.com/pipelines/github/harbor/../41", None),
        ("https://app.circleci.com.evil.example/pipelines/github/harbor/ferry/41", None),
        ("https://app.circleci.com:8443/pipelines/github/harbor/ferry/41", None),
        ("https://app.circleci.com:x/pipelines/github/harbor/ferry/41", None),
        ("ftp://app.circleci.com/pipelines/github/harbor/ferry/41", None),
        ("https://app.circleci.com/", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as circleci:
        assert circleci.parse_url(url) == page


async def test_own_server_has_its_pages_beside_its_api_and_gives_no_token_to_the_cloud() -> None:
    options = {"url": "https://ci.harbor.example/"}
    transport, asked = answering(lambda path: listing(a_workflow()) if "workflow" in path else a_pipeline())
    async with opened(CASE, transport, options) as circleci:
        build = await circleci.build(FERRY, build_id(41))
        page = circleci.parse_url("https://ci.harbor.example/pipelines/github/harbor/ferry/41")
        assert circleci.parse_url(f"{AT}/41") is None
        assert circleci.credential_origins(circleci.options) == ()
    assert build.web_url == "https://ci.harbor.example/pipelines/github/harbor/ferry/41"
    assert page == Page(pipeline=FERRY, number=41)
    assert asked[0] == f"/api/v2/pipeline/{build_id(41)}"


@pytest.mark.parametrize("slug", ["github/harbor", "gh/harbor"])
async def test_organization_may_be_written_long_or_short(slug: str) -> None:
    async with opened(CASE, SILENT, {"organization": slug}) as circleci:
        assert circleci.parse_url(f"{AT}/41") == Page(pipeline=FERRY, number=41)


@pytest.mark.parametrize("slug", ["harbor", "gh/", "svn/harbor", "gh/harbor/ferry", "gh/har bor"])
def test_organization_that_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(ValueError, match="organization"):
        CircleCI.options_type.model_validate({"organization": slug, "token": TOKEN})


def test_ids_of_circleci_have_case_and_names_elsewhere_have_none() -> None:
    assert urls.is_within("github/Harbor/Ferry", "gh/harbor")
    assert urls.is_within("circleci/Org1/Pro1", "circleci/Org1")
    assert not urls.is_within("circleci/org1/Pro1", "circleci/Org1")
    assert not urls.is_within("gh/harbor/..", "gh/harbor")
    assert urls.v1_slug("bitbucket", "harbor", "ferry", None) == "bb/harbor/ferry"
    assert urls.v1_slug("github", None, "ferry", None) is None
    assert urls.v1_slug("circleci", "Harbor", "Ferry", "//circleci.com/Org1/Pro1") == "circleci/Org1/Pro1"


# states


def test_every_documented_job_state_is_known() -> None:
    assert set(JOB_WORDS.split()) == convert.JOB_STATES.keys()


def flow(run: int, name: str, begun: str, ended: str | None = None, **more: object) -> wire.Workflow:
    at: dict[str, object] = {
        "created_at": f"2026-08-01T{begun}:00Z",
        "stopped_at": f"2026-08-01T{ended}:00Z" if ended else None,
    }
    return wire.Workflow.of({**a_workflow(run, name, "failed"), **at, **more})


@pytest.mark.parametrize(
    ("workflows", "attempts"),
    [
        ([], []),
        ([flow(1, "sail", "10:00", "10:05"), flow(2, "lint", "10:00")], [[1, 2]]),
        # one ran again while the other still did
        ([flow(1, "sail", "10:00", "10:05"), flow(2, "lint", "10:00"), flow(3, "sail", "10:06")], [[1, 2], [3]]),
        # both were run again together, in one go
        (
            [
                flow(1, "sail", "10:00", "10:05"),
                flow(2, "lint", "10:00", "10:02"),
                flow(3, "sail", "10:06", "10:09"),
                flow(4, "lint", "10:07"),
            ],
            [[1, 2], [3, 4]],
        ),
        # one after the other had ended
        (
            [
                flow(1, "sail", "10:00", "10:05"),
                flow(2, "lint", "10:00", "10:02"),
                flow(3, "sail", "10:06", "10:09"),
                flow(4, "lint", "10:30"),
            ],
            [[1, 2], [3], [4]],
        ),
        # one that waited to begin is no rerun, nor is the set-up
        (
            [
                flow(9, "plan", "09:59", "10:00", tag="setup"),
                flow(1, "sail", "10:00", "10:05"),
                flow(2, "lint", "10:06"),
            ],
            [[1, 2]],
        ),
    ],
)
def test_reruns_make_attempts(workflows: list[wire.Workflow], attempts: list[list[int]]) -> None:
    by_attempt = convert.attempts(list(reversed(workflows)))
    assert [sorted(workflow.id for workflow in attempt) for attempt in by_attempt] == [
        sorted(map(run_id, one)) for one in attempts
    ]


@pytest.mark.parametrize(
    ("statuses", "stands"),
    [
        (["success", "failed"], (Status.COMPLETED, Conclusion.FAILED, "failed")),
        (["success", "canceled"], (Status.COMPLETED, Conclusion.CANCELLED, "canceled")),
        (["canceled", "unauthorized"], (Status.COMPLETED, Conclusion.FAILED, "unauthorized")),
        (["not_run", "success"], (Status.COMPLETED, Conclusion.PASSED, "success")),
        (["not_run"], (Status.COMPLETED, Conclusion.SKIPPED, "not_run")),
        (["success", "dreaming"], (Status.COMPLETED, None, "dreaming")),
        (["queued", "queued"], (Status.QUEUED, None, "queued")),
        (["queued", "success"], (Status.IN_PROGRESS, None, "queued")),
        (["running", "on_hold"], (Status.IN_PROGRESS, None, "on_hold")),
        (["failing", "failed"], (Status.IN_PROGRESS, None, "failing")),
    ],
)
def test_build_stands_as_its_workflows_do(
    statuses: list[str], stands: tuple[Status, Conclusion | None, str | None]
) -> None:
    workflows = [wire.Workflow.of(a_workflow(n, f"flow-{n}", status)) for n, status in enumerate(statuses)]
    assert convert.result(wire.PipelineWire.of(a_pipeline()), workflows, NOW) == stands


def test_pipeline_without_workflows_waits_ten_minutes_for_them() -> None:
    for minutes, state, stands in (
        (9, "created", (Status.QUEUED, None)),
        (11, "created", (Status.COMPLETED, Conclusion.SKIPPED)),
        (11, "pending", (Status.QUEUED, None)),
        (11, "setup-pending", (Status.QUEUED, None)),
    ):
        at = (NOW - timedelta(minutes=minutes)).isoformat()
        it = wire.PipelineWire.of(a_pipeline(created_at=at, state=state))
        assert convert.result(it, [], NOW)[:2] == stands


def test_promised_rerun_is_waited_for_only_for_a_while() -> None:
    it = wire.PipelineWire.of(a_pipeline())
    for more, status in (
        ({"stopped_at": "2026-08-01T11:59:00Z", "max_auto_reruns": 1}, Status.IN_PROGRESS),
        ({"stopped_at": "2026-08-01T11:57:00Z", "max_auto_reruns": 1}, Status.COMPLETED),
        ({"stopped_at": "2026-08-01T11:59:00Z", "max_auto_reruns": 2, "auto_rerun_number": 2}, Status.COMPLETED),
        ({"stopped_at": "2026-08-01T11:59:00Z"}, Status.COMPLETED),
    ):
        assert convert.result(it, [wire.Workflow.of(a_workflow(status="failed", **more))], NOW)[0] is status


@pytest.mark.parametrize(
    ("kind", "event", "trigger"),
    [
        ("api", None, "api"),
        ("scheduled_pipeline", None, "cron"),
        ("explicit", None, "web"),
        ("webhook", None, "push"),
        ("unknown", "pull_request", "merge_request"),
        ("unknown", "schedule", "cron"),
        ("Decoupled Ingestion System", "push", "push"),
        ("", None, "unknown"),
    ],
)
def test_trigger_is_recognized_by_its_kind_or_by_the_event_behind_it(
    kind: str, event: str | None, trigger: str
) -> None:
    told = {"circleci": {"event_type": event}} if event else {}
    it = wire.PipelineWire.of(a_pipeline(trigger={"type": kind}, trigger_parameters=told))
    assert convert.trigger(it) == trigger


# the poll


async def test_quiet_tick_costs_two_requests_and_an_unfinished_build_one_more() -> None:
    def answer(path: str) -> object:
        if path.endswith("/workflow"):
            return listing(a_workflow(status="running"))
        return [] if "v1.1" in path else listing(a_pipeline(41, created_at="2026-08-01T09:00:00Z"))

    transport, _ = answering(answer)
    async with opened(CASE, transport) as circleci:
        cursor, costs = None, []
        for watched in (
            WATCHED,
            WATCHED,
            Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(41)})),
            WATCHED,
        ):
            before = circleci.requests
            cursor = (await circleci.changes(cursor, watched)).cursor
            costs.append(circleci.requests - before)
    assert costs == [2, 2, 3, 2]


async def test_nothing_watched_costs_nothing() -> None:
    async with opened(CASE, SILENT) as circleci:
        assert (await circleci.changes("kept", Watched(pipelines=frozenset()))).cursor == "kept"
        assert circleci.requests == 0


async def test_new_build_is_returned_once_and_a_rerun_of_it_when_it_shows() -> None:
    runs = [a_workflow(411)]
    recent = [run_id(411)]

    def answer(path: str) -> object:
        if "recent-builds" in path:
            about = {"vcs_type": "github", "username": "Harbor", "reponame": "ferry"}
            return [{**about, "workflows": {"workflow_id": run}} for run in recent]
        if path.endswith("/workflow"):
            return listing(*runs)
        if path.startswith("/api/v2/workflow/"):
            return runs[0]
        return listing(a_pipeline()) if path.endswith("/pipeline") else a_pipeline()

    transport, _ = answering(answer)
    async with opened(CASE, transport) as circleci:
        first = await circleci.changes(None, WATCHED)
        second = await circleci.changes(first.cursor, WATCHED)
        runs.insert(0, a_workflow(413, status="running", created_at="2026-08-01T11:59:00Z"))
        recent.append(run_id(413))
        third = await circleci.changes(second.cursor, WATCHED)
        fourth = await circleci.changes(third.cursor, WATCHED)
    assert [len(one.builds) for one in (first, second, third, fourth)] == [1, 0, 1, 0]
    assert (third.builds[0].attempt, third.builds[0].status) == (2, Status.IN_PROGRESS)


async def test_build_is_returned_under_the_name_it_is_watched_by() -> None:
    def answer(path: str) -> object:
        if path.endswith("/workflow"):
            return listing(a_workflow())
        return [] if "v1.1" in path else listing(a_pipeline(project_slug="gh/Harbor/Ferry"))

    async with opened(CASE, answering(answer)[0]) as circleci:
        changes = await circleci.changes(None, WATCHED)
    assert [build.pipeline for build in changes.builds] == [FERRY]


async def test_cursor_that_does_not_read_begins_an_hour_ago() -> None:
    for text in (None, "", "{", "[]", '{"since": "2026-08-01T11:00:00"}', '{"since": 1}'):
        assert Cursor.decode(text) is None

    def answer(path: str) -> object:
        if path.endswith("/workflow"):
            return listing(a_workflow())
        times = ("2026-08-01T11:01:00Z", "2026-08-01T10:50:00Z")
        listed = [a_pipeline(number, created_at=time) for number, time in zip((41, 40), times, strict=True)]
        return [] if "v1.1" in path else listing(*listed)

    async with opened(CASE, answering(answer)[0]) as circleci:
        changes = await circleci.changes("{", WATCHED)
    assert [build.number for build in changes.builds] == [41]
    kept = Cursor(since=NOW, seen=frozenset({"a"}), runs=frozenset({"b"}))
    assert Cursor.decode(kept.encode()) == kept


@pytest.mark.parametrize("status", [404, 200])
async def test_list_of_recent_jobs_that_a_server_lacks_is_asked_for_again_after_half_an_hour(status: int) -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if "recent-builds" in request.url.path:
            return httpx.Response(status, json=[])
        return httpx.Response(200, json=listing())

    now = NOW
    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        assert isinstance(circleci, CircleCI)
        circleci._poll._absent = AbsentOperations(lambda: now)
        for minutes in (0, 5, 29, 31):
            now = NOW + timedelta(minutes=minutes)
            await circleci.changes(None, WATCHED)
    assert asked.count("/api/v1.1/recent-builds") == (2 if status == 404 else 4)


# identity


async def test_id_of_another_projects_build_is_refused_by_every_act_and_names_its_project() -> None:
    posts: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            posts.append(request.url.path)
        return httpx.Response(200, json=a_pipeline(project_slug="gh/harbor/beacon"))

    gate = replace(GATE, build=build_id(41))
    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        for act in (
            circleci.cancel(FERRY, build_id(41)),
            circleci.rebuild(FERRY, build_id(41), StartRequest()),
            circleci.retry(FERRY, build_id(41)),
            circleci.retry(FERRY, build_id(41), job="702"),
            circleci.decide(gate, approve=True),
            circleci.artifacts(FERRY, build_id(41)),
            circleci.counts(BUILD),
        ):
            with pytest.raises(NotFound, match="belongs to gh/harbor/beacon, not to gh/harbor/ferry"):
                await act
    assert posts == []


@pytest.mark.parametrize("told", ["pipeline", "workflow"])
async def test_job_is_found_in_its_own_build_and_under_its_own_project(told: str) -> None:
    job = {"number": 702, "project": {"slug": "gh/harbor/beacon"}, "latest_workflow": {"id": run_id(411)}}
    if told == "pipeline":
        job["pipeline"] = {"id": build_id(41)}

    def answer(path: str) -> object:
        if path.endswith("/job/702"):
            return job
        if path.startswith("/api/v2/workflow/"):
            return a_workflow(project_slug="gh/harbor/beacon")
        return listing(a_workflow()) if path.endswith("/workflow") else a_pipeline(project_slug="gh/harbor/beacon")

    transport, asked = answering(answer)
    async with opened(CASE, transport) as circleci:
        build = await circleci.build_of_job(FERRY, "702")
        with pytest.raises(NotFound):
            await circleci.build_of_job(FERRY, job_uuid(3))
    assert (build.pipeline, build.id) == ("gh/harbor/beacon", build_id(41))
    assert asked[0] == "/api/v2/project/gh/harbor/ferry/job/702"


async def test_job_that_reports_nothing_of_its_build_is_not_found() -> None:
    async with opened(CASE, answering(lambda _: {"number": 702})[0]) as circleci:
        with pytest.raises(NotFound, match="which build job 702"):
            await circleci.build_of_job(FERRY, "702")


@pytest.mark.parametrize(
    ("vcs", "fork"),
    [
        ({"branch": "main"}, None),
        ({"branch": "pull/77", "origin_repository_url": "https://github.com/stranger/ferry"}, True),
        ({"branch": "pull/77", "origin_repository_url": "https://github.com/Harbor/ferry.git"}, False),
        ({"branch": "pull/77", "origin_repository_url": None}, None),
    ],
)
def test_fork_is_recognized_by_its_repository(vcs: dict[str, object], fork: bool | None) -> None:
    about = {"origin_repository_url": "https://github.com/harbor/ferry", **vcs}
    about["target_repository_url"] = "https://github.com/harbor/ferry"
    assert convert.from_fork(wire.PipelineWire.of(a_pipeline(vcs=about))) is fork


def test_tag_has_no_branch_and_a_ref_of_a_pull_request_has_its_number() -> None:
    both = wire.PipelineWire.of(a_pipeline(vcs={"tag": "v2", "branch": "main"}))
    assert (convert.branch(both), convert.tag(both)) == (None, "v2")
    of_app = {"git": {"branch": "oars", "ref": "refs/pull/78/merge"}}
    assert convert.pull_request(wire.PipelineWire.of(a_pipeline(vcs=None, trigger_parameters=of_app))) == "78"


def test_login_in_a_no_reply_address_is_the_authors() -> None:
    email = "12345+signe@users.noreply.github.com"
    parameters = {"github_app": {"commit_author_name": "Signe", "commit_author_email": email}}
    author = convert.author(wire.PipelineWire.of(a_pipeline(vcs=None, trigger_parameters=parameters)))
    assert author == Person(name="Signe", email=email, login="signe")


@pytest.mark.parametrize(
    ("raw_state", "status", "refused"),
    [
        ("created", Status.QUEUED, {Capability.CANCEL}),
        ("pending", Status.QUEUED, {Capability.CANCEL}),
        ("running", Status.IN_PROGRESS, set()),
        ("on_hold", Status.IN_PROGRESS, set()),
        ("errored", Status.COMPLETED, {Capability.RETRY_JOB, Capability.RETRY_ALL, Capability.RETRY_FAILED}),
        ("failed", Status.COMPLETED, set()),
    ],
)
async def test_what_circleci_takes_depends_on_the_workflows_there_are(
    raw_state: str, status: Status, refused: set[Capability]
) -> None:
    conclusion = Conclusion.FAILED if status is Status.COMPLETED else None
    build = replace(BUILD, raw_state=raw_state, status=status, conclusion=conclusion)
    always = {Capability.CANCEL} if status is not Status.COMPLETED else {Capability.RETRY_ALL, Capability.RETRY_FAILED}
    async with opened(CASE, SILENT) as circleci:
        accepted = circleci.accepts(build)
    assert not accepted & refused
    assert always - refused <= accepted


# starting


@pytest.mark.parametrize("status", [404, 403, 500])
@pytest.mark.parametrize("path", ["/config", "/mine"])
async def test_side_question_that_fails_never_stops_a_start(path: str, status: int) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith(path):
            return httpx.Response(status, json={"message": "not now"})
        return httpx.Response(200, json={"id": build_id(50)} if request.method == "POST" else listing(a_pipeline()))

    request = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), parameters={"lanes": "2"})
    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        assert (await circleci.start(FERRY, request)).id == build_id(50)


async def test_lost_start_is_found_by_its_time_where_the_builds_before_could_not_be_listed() -> None:
    lists = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal lists
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        if request.url.path.endswith("/mine"):
            lists += 1
            own = {"type": "api"}
            listed = [
                a_pipeline(50, trigger=own, created_at="2026-08-01T12:00:01Z"),
                a_pipeline(49, trigger=own, created_at="2026-08-01T11:00:00Z"),
            ]
            return httpx.Response(404 if lists == 1 else 200, json=listing(*listed))
        return httpx.Response(200, json=listing())

    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        build = await circleci.start(FERRY, StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main")))
    assert build.number == 50


@pytest.mark.parametrize("answer", [{}, {"id": None}, []])
async def test_success_that_names_no_build_may_have_started_one(answer: object) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json=answer if request.method == "POST" else listing())

    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        with pytest.raises(Unavailable) as lost:
            await circleci.start(FERRY, StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main")))
    assert lost.value.acted


@pytest.mark.parametrize(
    ("ref", "options", "target"),
    [
        (Ref(kind=RefKind.BRANCH, name="main"), {}, StartTarget(branch="main")),
        (Ref(kind=RefKind.BRANCH, name="refs/heads/main"), {}, StartTarget(branch="main")),
        (Ref(kind=RefKind.BRANCH, name="oars"), {"config_branch": "main"}, StartTarget(branch="oars", also=("main",))),
        (Ref(kind=RefKind.BRANCH, name="pull/7/head"), {}, StartTarget(branch="pull/7/head", pull_request="7")),
        (Ref(kind=RefKind.TAG, name="refs/tags/v2"), {}, StartTarget(tag="v2")),
        (
            Ref(kind=RefKind.PULL_REQUEST, name="7"),
            {"merge": "yes"},
            StartTarget(branch="pull/7/merge", pull_request="7"),
        ),
        (None, {}, StartTarget(branch="trunk")),
    ],
)
async def test_target_is_what_the_start_sends(ref: Ref | None, options: dict[str, str], target: StartTarget) -> None:
    sent: list[dict[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(json.loads(request.content))
            return httpx.Response(201, json={"id": build_id(50)})
        about = {"slug": FERRY, "vcs_info": {"default_branch": "trunk"}}
        return httpx.Response(200, json={**about, **listing()})

    request = StartRequest(ref=ref, options=options)
    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        assert await circleci.start_target(FERRY, request) == target
        await circleci.start(FERRY, request)
    wanted = {"tag": target.tag} if target.tag else {"branch": target.branch}
    assert [body["checkout"] for body in sent] == [wanted]


@pytest.mark.parametrize(
    ("branch", "options", "sent"),
    [
        ("pull/7/merge", {}, "pull/7/merge"),
        ("pull/7", {}, "pull/7/head"),
        ("pull/7/merge", {"merge": "no"}, "pull/7/head"),
    ],
)
def test_rebuild_of_a_pull_request_builds_what_was_built(branch: str, options: dict[str, str], sent: str) -> None:
    recorded = wire.PipelineWire.of(a_pipeline(vcs={"branch": branch}))
    assert start.source_of(recorded, options) == {"branch": sent}


async def test_retry_of_which_a_part_is_refused_says_so() -> None:
    flows = [a_workflow(411, "sail", "failed"), a_workflow(412, "lint", "failed")]

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            is_refused = run_id(412) in request.url.path
            return httpx.Response(400 if is_refused else 202, json={"message": "too old" if is_refused else "ok"})
        return httpx.Response(200, json=listing(*flows) if request.url.path.endswith("/workflow") else a_pipeline())

    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        with pytest.raises(Rejected, match=r"not all: lint: .*too old"):
            await circleci.retry(FERRY, build_id(41))


async def test_act_that_was_taken_is_not_reported_as_failed_where_the_build_can_not_be_read_then() -> None:
    was_cancelled = False

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal was_cancelled
        if request.method == "POST":
            was_cancelled = True
            return httpx.Response(202, json={"message": "Accepted."})
        if was_cancelled:
            return httpx.Response(403, json={"message": "no"})
        is_list = request.url.path.endswith("/workflow")
        return httpx.Response(200, json=listing(a_workflow(status="running")) if is_list else a_pipeline())

    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        with pytest.raises(Unavailable, match="took the request") as unread:
            await circleci.cancel(FERRY, build_id(41))
    assert unread.value.acted


def test_what_is_declared_reads() -> None:
    assert declared("parameters: [tide]") == declared("- x") == declared("a: [") == declared("") == ()
    assert declared("x" * (CONFIG_CHARACTERS + 1)) == ()
    (odd, on) = declared("parameters: {odd: text, on: {type: boolean, default: on, enum: no, description: [x]}}")
    assert (odd.name, odd.type, odd.required) == ("odd", ParameterType.TEXT, True)
    assert (on.name, on.type, on.default, on.choices, on.help) == ("on", ParameterType.BOOLEAN, "true", (), None)


def test_values_are_sent_in_the_types_that_are_declared() -> None:
    known = {"dry": ParameterType.BOOLEAN, "lanes": ParameterType.NUMBER, "odd": ParameterType.TEXT}
    given = {"dry": "No", "lanes": "-2", "odd": "true", "a": "true", "b": "12", "c": "1.5"}
    assert typed(given, known) == {"dry": False, "lanes": -2, "odd": "true", "a": True, "b": 12, "c": "1.5"}
    for name, value in (("dry", "perhaps"), ("lanes", "two"), ("odd", "x" * 513), ("n" * 129, "x")):
        with pytest.raises(UsageError):
            typed({name: value}, known)
    with pytest.raises(UsageError, match="at most"):
        typed({f"n{n}": "x" for n in range(101)}, {})


@pytest.mark.parametrize(
    ("ref", "slug", "options"),
    [
        (Ref(kind=RefKind.PULL_REQUEST, name="7"), "bb/harbor/ferry", {}),
        (Ref(kind=RefKind.PULL_REQUEST, name="seven"), FERRY, {}),
        (Ref(kind=RefKind.BRANCH, name="main"), FERRY, {"merge": "perhaps"}),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(ref: Ref, slug: str, options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        start.source(ref, slug, options)


@pytest.mark.parametrize(
    ("tag", "made_by", "fits"), [("v2.1", "api", True), ("v2.0", "api", False), ("v2.1", "webhook", False)]
)
def test_lost_start_of_a_tag_is_known_by_its_tag_and_by_no_event(tag: str, made_by: str, fits: bool) -> None:
    it = wire.PipelineWire.of(a_pipeline(vcs={"tag": tag}, trigger={"type": made_by}))
    assert start.is_like(it, {"tag": "v2.1"}) is fits


def test_lost_start_of_a_pull_request_is_known_in_either_spelling() -> None:
    it = wire.PipelineWire.of(a_pipeline(vcs={"branch": "pull/77"}, trigger={"type": "api"}))
    assert start.is_like(it, {"branch": "pull/77/head"})
    assert not start.is_like(it, {"branch": "pull/78/head"})


async def test_start_that_neither_call_knows_is_not_found() -> None:
    wanted = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), options={"merge": "no"})
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200 if request.method == "GET" else 404, json=listing())
    )
    async with opened(CASE, transport) as circleci:
        with pytest.raises(NotFound):
            await circleci.start(FERRY, wanted)
        assert circleci.requests == 2


async def test_configuration_that_is_gone_does_not_keep_a_build_from_starting() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/config"):
            return httpx.Response(404, json={"message": "not here"})
        body = {"id": build_id(50)} if request.method == "POST" else listing(a_pipeline())
        return httpx.Response(200, json=body)

    wanted = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), parameters={"lanes": "2"})
    async with opened(CASE, httpx.MockTransport(handle)) as circleci:
        assert (await circleci.start(FERRY, wanted)).id == build_id(50)


def test_every_start_option_is_taken() -> None:
    start.check(StartRequest(options=dict.fromkeys(start.START_OPTIONS, "yes")))


async def test_known_id_of_a_definition_needs_no_request() -> None:
    transport, asked = answering(lambda path: {"id": build_id(50)} if path.endswith("/run") else listing())
    wanted = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), options={"definition": build_id(1)})
    async with opened(CASE, transport) as circleci:
        build = await circleci.start(FERRY, wanted)
    assert (build.id, build.number, build.web_url) == (build_id(50), None, None)
    assert len(asked) == 2


# the rest


async def test_count_of_a_build_with_many_jobs_knows_failures_and_no_total() -> None:
    many = [
        {"id": f"j{n}", "name": "test", "type": "build", "status": "success", "job_number": n} for n in range(1, 61)
    ]
    many.append({"id": "j61", "name": "test", "type": "build", "status": "failed", "job_number": 61})

    def answer(path: str) -> object:
        if path.endswith("/tests"):
            return listing({"name": "ramp", "result": "failure" if "/61/" in path else "success"})
        if path.endswith("/job"):
            return listing(*many)
        return listing(a_workflow(status="failed")) if path.endswith("/workflow") else a_pipeline()

    transport, asked = answering(answer)
    async with opened(CASE, transport) as circleci:
        assert await circleci.counts(BUILD) == IssueCounts(errors=1, test_failures=1)
    assert len(asked) == 43


async def test_action_without_any_output_address_is_asked_for_by_its_step() -> None:
    action = {"name": "Tests", "failed": True, "has_output": True}
    transport, asked = answering(lambda _: {"steps": [{"actions": [action]}]})
    async with opened(CASE, transport) as circleci:
        assert (await circleci.log(JOB)).text == "== Tests =="
    assert len(asked) == 1


def test_quota_reads_from_the_headers() -> None:
    headers = {"RateLimit-Limit": "51", "RateLimit-Remaining": "0", "RateLimit-Reset": "7"}
    quota = CircleCI.read_quota(httpx.Headers(headers), NOW)
    assert quota is not None
    assert (quota.limit, quota.remaining, quota.resets_at) == (51, 0, NOW + timedelta(seconds=7))
    assert CircleCI.read_quota(httpx.Headers(), NOW) is None
    assert CircleCI.read_quota(httpx.Headers({**headers, "RateLimit-Limit": "many"}), NOW) is None


async def test_odd_build_of_a_list_spoils_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    def answer(path: str) -> object:
        return listing({"id": 7}, a_pipeline()) if path.endswith("/pipeline") else listing(a_workflow())

    async with opened(CASE, answering(answer)[0]) as circleci:
        builds = await result_of(circleci.builds(FERRY, BuildFilter()))
    assert isinstance(builds, list)
    assert [build.number for build in builds] == [41]
    assert "does not read" in caplog.text


def test_payloads_are_our_own() -> None:
    for file in Path(CASE.payloads).glob("*.json"):
        assert "acme" not in file.read_text(), file.name


@pytest.mark.parametrize(
    ("branch", "review", "head"),
    [("oars", "7", "a1"), ("pull/7/head", None, "a1"), ("pull/7/merge", None, None), ("main", None, None)],
)
def test_a_pull_requests_own_commit_is_known_unless_a_merge_of_it_was_built(
    branch: str, review: str | None, head: str | None
) -> None:
    vcs = wire.Vcs(branch=branch, review_id=review, revision="a1")
    assert convert.head_commit(wire.PipelineWire(id="p", project_slug="gh/quay/ferry", vcs=vcs)) == head
