"""CircleCI in the common tests."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from bot.core.errors import AuthFailed, NotFound, RateLimited
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    Outcome,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
)
from bot.providers.circleci import convert, wire
from bot.providers.circleci.urls import Urls
from tests.bot.providers.case import CONNECTION, NOW, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "CCIPAT_made_up_for_these_tests"
SECRET = "a-made-up-webhook-secret"
FERRY = "gh/harbor/ferry"
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"
V2 = "/api/v2"


def build_id(number: int) -> str:
    return f"0198cc00-0000-4000-8000-{number:012d}"


def run_id(number: int) -> str:
    return f"0198cc10-0000-4000-8000-{number:012d}"


def job_uuid(number: int) -> str:
    return f"0198cc20-0000-4000-8000-{number:012d}"


def a_pipeline(number: int = 41, **more: object) -> dict[str, object]:
    return {
        "id": build_id(number),
        "errors": [],
        "project_slug": FERRY,
        "updated_at": "2026-08-01T11:40:02.100Z",
        "number": number,
        "state": "created",
        "created_at": "2026-08-01T11:40:00.000Z",
        "trigger": {
            "type": "webhook",
            "received_at": "2026-08-01T11:39:59Z",
            "actor": {"login": "signe", "avatar_url": None},
        },
        "vcs": {
            "provider_name": "GitHub",
            "origin_repository_url": "https://github.com/harbor/ferry",
            "target_repository_url": "https://github.com/harbor/ferry",
            "revision": SHA,
            "branch": "main",
            "commit": {"subject": "Paint the rail", "body": ""},
        },
        **more,
    }


def a_workflow(run: int = 411, name: str = "sail", status: str = "success", **more: object) -> dict[str, object]:
    open_ = status in {"running", "failing", "on_hold", "queued"}
    return {
        "id": run_id(run),
        "pipeline_id": build_id(run // 10),
        "pipeline_number": run // 10,
        "name": name,
        "project_slug": FERRY,
        "status": status,
        "started_by": "0198cc40-0000-4000-8000-000000000001",
        "created_at": "2026-08-01T11:40:05Z",
        "stopped_at": None if open_ else "2026-08-01T11:47:30Z",
        **more,
    }


def listing(*items: object, following: str | None = None) -> dict[str, object]:
    return {"items": list(items), "next_page_token": following}


def endless(request: httpx.Request, number: int) -> httpx.Response:
    """Every listing names a next page; v1.1's, which have none, are empty."""
    path = request.url.path
    if "/v1.1/" in path:
        return httpx.Response(200, json=[])
    item = a_pipeline(10_000 - number)
    if path.endswith("/workflow"):
        item = a_workflow(411, f"sail-{number}")
    elif path.endswith("/job"):
        item = {"id": job_uuid(number), "name": "test", "status": "success", "type": "build"}
    elif path.startswith(f"{V2}/pipeline/"):
        return httpx.Response(200, json=a_pipeline(41))
    elif path.startswith(f"{V2}/project/") and path.count("/") == 6:
        return httpx.Response(200, json={"slug": FERRY, "name": "ferry"})
    return httpx.Response(200, json=listing(item, following=f"page-{number + 1}"))


def one_segment(path: str) -> str:
    """A path as the description has it: a slug is one segment there, but for the call that starts a build."""
    if path.endswith("/pipeline/run"):
        return path
    return re.sub(r"^(/api/v2/(?:project|insights)/[^/]+)/([^/]+)/([^/]+)", r"\1%2F\2%2F\3", path)


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {**headers, "circleci-signature": f"v1={signature}"}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def tag(name: str) -> Ref:
    return Ref(kind=RefKind.TAG, name=name)


def pull_request(number: str, **options: str) -> StartRequest:
    return StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name=number), options=options)


def key(number: int, pipeline: str = FERRY) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=build_id(number))


JOB = Job(id="702", build=build_id(41), pipeline=FERRY, name="test")
WAITING_JOB = Job(id=job_uuid(4), build=build_id(41), pipeline=FERRY, name="deploy")
GATE = Approval(id=job_uuid(3), build=build_id(42), pipeline=FERRY, name="sail?")
ARTIFACT = Artifact(id="702/0/reports/junit.xml", build=build_id(41), pipeline=FERRY, name="reports/junit.xml")
BUILD = Build(
    connection=CONNECTION,
    pipeline=FERRY,
    id=build_id(41),
    number=41,
    status=Status.COMPLETED,
    conclusion=Conclusion.FAILED,
)
WATCHED = Watched(pipelines=frozenset({FERRY, "gh/harbor/beacon"}))
WATCHED_LATER = Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(42), key(30), key(29)}))
SECOND_TICK = (
    f'{{"since": "2026-08-01T11:50:00+00:00", "seen": ["{build_id(43)}"], "runs": ["{run_id(411)}", "{run_id(421)}"]}}'
)
ON_MAIN = StartRequest(ref=branch("main"))

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_wrong_organization": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("BEAC"),
    "pipeline": lambda p: p.pipeline("ferry"),
    "pipeline_missing": lambda p: p.pipeline("gh/harbor/no such"),
    "pipeline_of_others": lambda p: p.pipeline("gh/rival/ferry"),
    "builds": lambda p: p.builds(FERRY, BuildFilter(limit=3)),
    "builds_filtered": lambda p: p.builds(
        FERRY, BuildFilter(branch="main", commit=SHA[:8], states=frozenset({"failed"}))
    ),
    "build": lambda p: p.build(FERRY, build_id(41)),
    "build_rerun": lambda p: p.build(FERRY, build_id(41)),
    "build_held": lambda p: p.build(FERRY, build_id(42)),
    "build_failing_and_held": lambda p: p.build(FERRY, build_id(42)),
    "build_errored": lambda p: p.build(FERRY, build_id(41)),
    "build_unmatched": lambda p: p.build(FERRY, build_id(41)),
    "build_setting_up": lambda p: p.build(FERRY, build_id(41)),
    "build_set_up_failed": lambda p: p.build(FERRY, build_id(41)),
    "build_to_be_rerun": lambda p: p.build(FERRY, build_id(41)),
    "build_of_gitlab": lambda p: p.build(FERRY, build_id(41)),
    "build_of_fork": lambda p: p.build(FERRY, build_id(41)),
    "build_of_others": lambda p: p.build(FERRY, build_id(41)),
    "build_missing": lambda p: p.build(FERRY, build_id(9)),
    "build_limited": lambda p: p.build(FERRY, build_id(41)),
    "build_by_number": lambda p: p.build_by_number(FERRY, 41),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_next": lambda p: p.changes(SECOND_TICK, WATCHED_LATER),
    "changes_old_server": lambda p: p.changes(None, WATCHED),
    "refs": lambda p: p.refs(FERRY),
    "refs_query": lambda p: p.refs(FERRY, "RAMP"),
    "parameters": lambda p: p.parameters(FERRY, None),
    "parameters_branch": lambda p: p.parameters(FERRY, branch("ramp")),
    "parameters_tag": lambda p: p.parameters(FERRY, tag("v9")),
    "start": lambda p: p.start(
        FERRY, StartRequest(ref=branch("ramp"), parameters={"tide": "high", "lanes": "2", "dry": "yes", "odd": "07"})
    ),
    "start_default": lambda p: p.start(FERRY, StartRequest()),
    "start_no_default": lambda p: p.start(FERRY, StartRequest()),
    "start_tag": lambda p: p.start(FERRY, StartRequest(ref=tag("v2.1"))),
    "start_pull_request": lambda p: p.start(FERRY, pull_request("77")),
    "start_pull_request_merged": lambda p: p.start(FERRY, pull_request("77", merge="yes")),
    "start_definition": lambda p: p.start(
        FERRY, StartRequest(ref=branch("main"), options={"definition": "Nightly", "config_branch": "tools"})
    ),
    "start_definition_unknown": lambda p: p.start(
        FERRY, StartRequest(ref=branch("main"), options={"definition": "weekly"})
    ),
    "start_old_server": lambda p: p.start(FERRY, StartRequest(ref=branch("main"), parameters={"tide": "low"})),
    "start_skipped": lambda p: p.start(FERRY, ON_MAIN),
    "start_refused": lambda p: p.start(FERRY, ON_MAIN),
    "start_commit": lambda p: p.start(FERRY, StartRequest(commit=SHA)),
    "start_message": lambda p: p.start(FERRY, StartRequest(ref=branch("main"), message="Once more")),
    "start_unknown_option": lambda p: p.start(FERRY, StartRequest(options={"colour": "red"})),
    "start_timeout": lambda p: p.start(FERRY, ON_MAIN),
    "start_timeout_unseen": lambda p: p.start(FERRY, ON_MAIN),
    "start_timeout_two": lambda p: p.start(FERRY, ON_MAIN),
    "start_unreached": lambda p: p.start(FERRY, ON_MAIN),
    "cancel": lambda p: p.cancel(FERRY, build_id(42)),
    "cancel_over": lambda p: p.cancel(FERRY, build_id(41)),
    "cancel_one_ended": lambda p: p.cancel(FERRY, build_id(42)),
    "cancel_refused": lambda p: p.cancel(FERRY, build_id(42)),
    "cancel_timeout": lambda p: p.cancel(FERRY, build_id(42)),
    "cancel_of_others": lambda p: p.cancel(FERRY, build_id(42)),
    "rebuild": lambda p: p.rebuild(FERRY, build_id(41), StartRequest()),
    "rebuild_with_values": lambda p: p.rebuild(FERRY, build_id(41), StartRequest(parameters={"tide": "low"})),
    "rebuild_nowhere": lambda p: p.rebuild(FERRY, build_id(41), StartRequest()),
    "retry": lambda p: p.retry(FERRY, build_id(41)),
    "retry_nothing": lambda p: p.retry(FERRY, build_id(41)),
    "retry_cancelled": lambda p: p.retry(FERRY, build_id(41)),
    "retry_errored": lambda p: p.retry(FERRY, build_id(41)),
    "retry_all": lambda p: p.retry(FERRY, build_id(41), failed_only=False),
    "retry_all_running": lambda p: p.retry(FERRY, build_id(42), failed_only=False),
    "retry_job": lambda p: p.retry(FERRY, build_id(41), job="702"),
    "retry_job_missing": lambda p: p.retry(FERRY, build_id(41), job="../../me"),
    "retry_timeout": lambda p: p.retry(FERRY, build_id(41)),
    "retry_timeout_unseen": lambda p: p.retry(FERRY, build_id(41)),
    "jobs": lambda p: p.jobs(FERRY, build_id(41)),
    "jobs_all_attempts": lambda p: p.jobs(FERRY, build_id(41), all_attempts=True),
    "log": lambda p: p.log(JOB),
    "log_green": lambda p: p.log(JOB, 60),
    "log_as_text": lambda p: p.log(JOB, 40),
    "log_address_gone": lambda p: p.log(JOB),
    "log_none": lambda p: p.log(JOB),
    "log_not_started": lambda p: p.log(WAITING_JOB),
    "artifacts": lambda p: p.artifacts(FERRY, build_id(41)),
    "download": lambda p: p.download(ARTIFACT),
    "download_gone": lambda p: p.download(ARTIFACT),
    "tests": lambda p: p.tests(FERRY, build_id(41)),
    "issues": lambda p: p.issues(FERRY, build_id(41)),
    "issues_errored": lambda p: p.issues(FERRY, build_id(41)),
    "counts": lambda p: p.counts(BUILD),
    "counts_no_tests": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(FERRY, build_id(42)),
    "decide": lambda p: p.decide(GATE, approve=True, comment="good wind"),
    "decide_late": lambda p: p.decide(GATE, approve=True),
    "decide_reject": lambda p: p.decide(GATE, approve=False),
    "decide_timeout": lambda p: p.decide(GATE, approve=True),
}


def as_facts(check: Callable[[Any], bool]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


ACME = {"organization": "gh/acme"}
WIDGETS = "gh/acme/widgets"
THEIRS = "5034460f-c7c4-4c43-9457-de07e2029e7b"


async def listed(provider: Any) -> list[Build]:
    """What a list of pipelines says by itself: the samples hold no workflows of theirs."""
    pages = provider._client.organization_builds(1)
    return [as_build(raw) async for page in pages for raw in page]


async def recorded(provider: Any) -> Build:
    return as_build(await provider._client.build(WIDGETS, THEIRS))


def as_build(raw: wire.PipelineWire) -> Build:
    return convert.build(raw, (), connection=CONNECTION, pages=Urls("gh/acme", "https://app.circleci.com"), now=NOW)


SAMPLES: Mapping[str, Sample] = {
    "me.json": Sample(call=lambda p: p.check(), also=("check",), facts=as_facts(lambda it: it.name == "Mona")),
    "collaborations.json": Sample(
        call=lambda p: p.check(), also=("check",), options=ACME, facts=as_facts(lambda it: it.detail == "gh/acme")
    ),
    "pipelines_org_list.json": Sample(
        call=listed,
        options=ACME,
        facts=as_facts(
            lambda it: (
                [(one.number, one.branch, one.tag) for one in it]
                == [(412, "main", None), (411, "main", None), (410, None, "v2.4.0")]
                and it[1].conclusion is Conclusion.FAILED
            )
        ),
    ),
    "pipeline_get.json": Sample(
        call=recorded,
        options=ACME,
        facts=as_facts(
            lambda it: (it.number, it.branch, it.repo, it.triggered_by) == (412, "main", "acme/widgets", "mona")
        ),
    ),
    "pipeline_workflows_rerun.json": Sample(
        call=lambda p: p.build(FERRY, build_id(41)),
        also=("build",),
        facts=as_facts(
            lambda it: (it.attempt, it.status, it.raw_state) == (2, Status.IN_PROGRESS, "running") and not it.waiting
        ),
    ),
    "workflow_jobs_on_hold.json": Sample(
        call=lambda p: p.jobs(FERRY, build_id(41)),
        also=("jobs",),
        facts=as_facts(
            lambda it: (
                [(one.id[-4:], one.name, one.status) for one in it[:4]]
                == [
                    ("2001", "lint", Status.COMPLETED),
                    ("2002", "test", Status.COMPLETED),
                    ("0003", "hold-for-release", Status.IN_PROGRESS),
                    ("0004", "deploy", Status.QUEUED),
                ]
            )
        ),
    ),
    "job_artifacts.json": Sample(
        call=lambda p: p.artifacts(FERRY, build_id(41)),
        at=f"{V2}/project/{{vcs}}/{{org}}/{{name}}/{{job}}/artifacts",
        also=("artifacts",),
        facts=as_facts(lambda it: [one.name for one in it[:2]] == ["reports/junit.xml", "build/app.ipa"]),
    ),
    "job_tests.json": Sample(
        call=lambda p: p.tests(FERRY, build_id(41)),
        at=f"{V2}/project/{{vcs}}/{{org}}/{{name}}/{{job}}/tests",
        also=("tests",),
        facts=as_facts(
            lambda it: (
                {one.outcome for one in it} == {Outcome.FAILED, Outcome.PASSED, Outcome.SKIPPED}
                and it[0].message == "AssertionError: 2 != 3"
            )
        ),
    ),
    "pipeline_run_created.json": Sample(
        call=lambda p: p.start(FERRY, ON_MAIN),
        also=("start_tag",),
        facts=as_facts(lambda it: (it.number, it.status, it.id) == (413, Status.QUEUED, THEIRS)),
    ),
    "pipeline_definitions.json": Sample(
        call=lambda p: p.start(FERRY, StartRequest(ref=branch("main"), options={"definition": "Build-and-Test"})),
        also=("start_definition",),
        facts=as_facts(lambda it: it.number == 50),
    ),
    "workflow_rerun.json": Sample(
        call=lambda p: p.retry(FERRY, build_id(41)), also=("retry",), facts=as_facts(lambda it: it.attempt == 2)
    ),
    "accepted.json": Sample(
        call=lambda p: p.cancel(FERRY, build_id(42)), also=("cancel",), facts=as_facts(lambda it: it.number == 42)
    ),
    "insights_branches.json": Sample(
        call=lambda p: p.refs("gh/harbor/ferry"),
        at=f"{V2}/insights/{{vcs}}/{{org}}/{{name}}/branches",
        also=("refs",),
        facts=as_facts(lambda it: [one.name for one in it][:3] == ["main", "release/2.4", "feature/login"]),
    ),
    "v1_project_builds.json": Sample(
        call=lambda p: p.changes(None, WATCHED),
        at="/api/v1.1/recent-builds",
        also=("changes",),
        facts=as_facts(lambda it: len(it.builds) == 2),
    ),
    "v1_build_failed.json": Sample(
        call=lambda p: p.log(JOB),
        also=("log_address_gone",),
        facts=as_facts(lambda it: "== Run tests ==" in it.text and it.truncated),
    ),
    "v1_step_output.json": Sample(
        call=lambda p: p.log(JOB),
        at="/ferry/702/1",
        also=("log",),
        facts=as_facts(
            lambda it: "tests/test_upload.py F.s\nE   AssertionError: 2 != 3" in it.text.replace("\n\n", "\n")
        ),
    ),
    "error_401.json": Sample(call=lambda p: p.check(), raises=AuthFailed),
    "error_404_project.json": Sample(
        call=lambda p: p.pipeline("ferry"),
        raises=NotFound,
        facts=as_facts(lambda it: "Project not found" in str(it) and "token" in (it.hint or "")),
    ),
    "error_429.txt": Sample(
        call=lambda p: p.check(), raises=RateLimited, facts=as_facts(lambda it: it.retry_after == 7)
    ),
    "webhook_ping.json": Sample(facts=as_facts(lambda event: event is None)),
    "webhook_workflow_failed_gitlab.json": Sample(
        options={"organization": "circleci/DdaVtNusHqi24D4YT3X4eu"},
        facts=as_facts(
            lambda event: (
                (event.pipeline, event.build)
                == (
                    "circleci/DdaVtNusHqi24D4YT3X4eu/6EkDPZoN4ZdMKKZtBkRodt",
                    "37c74cb7-d64d-4032-8731-1cb95bfef921",
                )
            )
        ),
    ),
    "webhook_workflow_manual_bitbucket.json": Sample(
        options={"organization": "bb/acme"},
        facts=as_facts(lambda event: event.pipeline == "bb/acme/circleci-webhook-testing"),
    ),
    **{
        f"webhook_{event}_github.json": Sample(
            options={"organization": "gh/circleci"},
            facts=as_facts(
                lambda event: (
                    (event.pipeline, event.build)
                    == ("gh/circleci/webhook-service", "1285fe1d-d3a6-44fc-8886-8979558254c4")
                )
            ),
        )
        for event in ("workflow_success", "workflow_canceled", "job_success")
    },
}

BEACON_9 = Answer(path=f"{V2}/pipeline/{build_id(9)}", body=a_pipeline(9, project_slug="gh/harbor/beacon"))
FERRY_41 = (
    Answer(path=f"{V2}/pipeline/{build_id(41)}", body=a_pipeline()),
    Answer(path=f"{V2}/project/gh/harbor/ferry/pipeline/41", body=a_pipeline()),
    Answer(path=f"{V2}/pipeline/{build_id(41)}/workflow", body=listing(a_workflow())),
)
JOB_702 = Answer(
    path=f"{V2}/project/gh/harbor/ferry/job/702",
    body={
        "number": 702,
        "project": {"slug": FERRY},
        "pipeline": {"id": build_id(41)},
        "latest_workflow": {"id": run_id(411)},
    },
)
PAGE_OF_41 = "https://app.circleci.com/pipelines/github/harbor/ferry/41"


def a_page(url: str, job: str | None = "702") -> JobPage:
    return JobPage(url=url, pipeline=FERRY, build=build_id(41), job=job, answers=(JOB_702, *FERRY_41))


def kind_of_ref(**vcs: object) -> tuple[Answer, ...]:
    about = {
        "origin_repository_url": "https://github.com/harbor/ferry",
        "target_repository_url": "https://github.com/harbor/ferry",
        "revision": SHA,
        **vcs,
    }
    return (Answer(path=f"{V2}/pipeline/{build_id(41)}", body=a_pipeline(vcs=about)), *FERRY_41[2:])


CASE = Case(
    kind="circleci",
    options={"organization": "gh/harbor", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset(
        [
            "setup-pending",
            "setup",
            "pending",
            "created",
            "errored",
            "success",
            "failed",
            "error",
            "unauthorized",
            "canceled",
            "not_run",
            "queued",
            "running",
            "failing",
            "on_hold",
        ]
    ),
    calls=CALLS,
    pipeline=FERRY,
    build=build_id(41),
    unknown_state=lambda state: (
        Answer(path=f"{V2}/pipeline/{build_id(41)}", body=a_pipeline(41)),
        Answer(path=f"{V2}/pipeline/{build_id(41)}/workflow", body=listing(a_workflow(411, status=state))),
    ),
    foreign=Foreign(
        pipeline=FERRY,
        build=build_id(9),
        answers=(BEACON_9, Answer(path=f"{V2}/pipeline/{build_id(9)}/workflow", body=listing(a_workflow(91)))),
        belongs_to="gh/harbor/beacon",
    ),
    job_pages=(
        a_page(f"{PAGE_OF_41}/workflows/{run_id(411)}/jobs/702"),
        a_page(f"{PAGE_OF_41}/workflows/{run_id(411)}/jobs/702/tests"),
        a_page(f"{PAGE_OF_41}/workflows/{run_id(411)}/jobs/702/artifacts"),
        a_page(f"{PAGE_OF_41}/workflows/{run_id(411)}/jobs/702/parallel-runs/0/steps/0-105"),
        a_page(f"{PAGE_OF_41}/workflows/{run_id(411)}", None),
        a_page("https://app.circleci.com/jobs/github/harbor/ferry/702"),
        a_page("https://circleci.com/gh/harbor/ferry/702#tests/containers/0"),
    ),
    ref_builds={
        "branch": kind_of_ref(branch="main"),
        "pull_request": kind_of_ref(
            branch="oars", review_id="77", review_url="https://github.com/harbor/ferry/pull/77"
        ),
        "fork": kind_of_ref(branch="main", origin_repository_url="https://github.com/stranger/ferry"),
        "tag": kind_of_ref(branch=None, tag="v2.1"),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=endless),
        "builds": Endless(call=lambda p: p.builds(FERRY, BuildFilter(limit=100_000)), page=endless),
        "changes": Endless(call=lambda p: p.changes(None, WATCHED), page=endless),
        "jobs": Endless(call=lambda p: p.jobs(FERRY, build_id(41)), page=endless),
        "tests": Endless(call=lambda p: p.tests(FERRY, build_id(41)), page=endless),
    },
    sign=sign,
    spec_path=one_segment,
    samples=SAMPLES,
    unread={
        "job_get.json": "a workflow's list of jobs says enough",
        "workflow_get_on_hold.json": "one workflow is asked for only to learn its build; its states are read in lists",
        "workflow_get_queued.json": "the same",
        "webhooks_list.json": "an admin sets the webhook up",
    },
)
