"""GitLab, API v4, in the common tests."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

import httpx

from bot.core.errors import AuthFailed, NotFound, RateLimited, Rejected
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    IssueCounts,
    Job,
    Log,
    Outcome,
    Ref,
    RefKind,
    Starter,
    StartRequest,
    Status,
    TestCase,
    Trigger,
    Watched,
    WebhookEvent,
)
from tests.bot.providers.case import CONNECTION, NOW, Answer, Call, Case, Endless, JobPage, Sample

TOKEN = "glpat-made-up-for-tests"
SECRET = "whsec_" + base64.b64encode(b"a signing key made up for tests!").decode()
ROOT = "https://git.harbour.example"
PROJECT = "4711"
BUILD = "90210"


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def merge(number: int) -> Ref:
    return Ref(kind=RefKind.PULL_REQUEST, name=str(number))


def key(build: str, pipeline: str = PROJECT) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=build)


def red() -> Build:
    return Build(
        connection=CONNECTION,
        pipeline=PROJECT,
        id=BUILD,
        number=318,
        status=Status.COMPLETED,
        conclusion=Conclusion.FAILED,
    )


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    delivery = headers.get("idempotency-key", "d41d8cd9-made-up")
    at = int(NOW.timestamp()) - 20
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(secret, f"{delivery}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {
        **headers,
        "webhook-id": delivery,
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
    }, None


def paged(request: httpx.Request, number: int, body: object) -> httpx.Response:
    """A page that names the next one by a link, as the keyset lists do."""
    following = request.url.copy_set_param("page", str(number + 1))
    return httpx.Response(200, headers={"Link": f'<{following}>; rel="next"'}, json=body)


def counted(number: int, body: object) -> httpx.Response:
    """A page that names the next one by its number, as the offset lists do."""
    return httpx.Response(200, headers={"X-Next-Page": str(number + 1)}, json=body)


JOB = Job(id="6003", build=BUILD, pipeline=PROJECT, name="unit", web_url=f"{ROOT}/harbour/lantern/-/jobs/6003")
MANUAL = Approval(id="job/6021", build=BUILD, pipeline=PROJECT, name="release", url=f"{ROOT}/job")
BLOCKED = Approval(id="deployment/808", build=BUILD, pipeline=PROJECT, name="publish", can_reject=True)
ARCHIVE = Artifact(id="6003/archive", build=BUILD, pipeline=PROJECT, name="artifacts.zip", kind="archive")
REPORT = Artifact(id="6003/junit", build=BUILD, pipeline=PROJECT, name="junit.xml.gz", url=f"{ROOT}/junit")
SINCE = int(NOW.timestamp()) - 120
CURSOR = json.dumps(
    {"at": {"4711": SINCE, "4712": SINCE + 60}, "seen": {"90400": "success 1785585510"}, "swept": SINCE + 100}
)
SEEN_BY_REST = CURSOR.replace("1785585510", "1785582570")
BOTH = Watched(pipelines=frozenset({"4711", "4712"}))

CALLS: dict[str, Call] = {
    "check": lambda p: p.check(),
    "check_expiring": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_search": lambda p: p.pipelines("lantern"),
    "pipeline": lambda p: p.pipeline("harbour/lantern"),
    "pipeline_switched_off": lambda p: p.pipeline("harbour/dim"),
    "builds": lambda p: p.builds(PROJECT, BuildFilter(limit=100)),
    "builds_branch_failed": lambda p: p.builds(PROJECT, BuildFilter(branch="main", states=frozenset({"failed"}))),
    "builds_passed_one": lambda p: p.builds(PROJECT, BuildFilter(states=frozenset({"passed"}), limit=1)),
    "builds_commit": lambda p: p.builds(PROJECT, BuildFilter(commit="5e1f9a3")),
    "builds_commit_unknown": lambda p: p.builds(PROJECT, BuildFilter(commit="abc1234")),
    "build": lambda p: p.build(PROJECT, BUILD),
    "build_tag": lambda p: p.build(PROJECT, "90212"),
    "build_failed": lambda p: p.build(PROJECT, BUILD),
    "build_timeout": lambda p: p.build(PROJECT, BUILD),
    "build_merge_request": lambda p: p.build(PROJECT, "90190"),
    "build_fork": lambda p: p.build(PROJECT, "90190"),
    "build_reopened": lambda p: p.build(PROJECT, BUILD),
    "build_by_number": lambda p: p.build_by_number(PROJECT, 318),
    "build_by_number_id": lambda p: p.build_by_number(PROJECT, 90205),
    "build_by_number_unknown": lambda p: p.build_by_number(PROJECT, 99999),
    "changes": lambda p: p.changes(CURSOR, BOTH),
    "changes_rest": lambda p: p.changes(SEEN_BY_REST, BOTH),
    "changes_first": lambda p: p.changes(
        None, Watched(pipelines=frozenset({PROJECT}), unfinished=frozenset({key("90100")}))
    ),
    "commits": lambda p: p.commits(PROJECT, "00" * 20, "b2" * 20),
    "refs": lambda p: p.refs(PROJECT, "main"),
    "refs_without_merge_requests": lambda p: p.refs(PROJECT),
    "parameters": lambda p: p.parameters(PROJECT, branch("main")),
    "parameters_old": lambda p: p.parameters(PROJECT, branch("main")),
    "parameters_refused": lambda p: p.parameters(PROJECT, None),
    "start": lambda p: p.start(PROJECT, StartRequest()),
    "start_variables": lambda p: p.start(
        PROJECT, StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.0"), parameters={"WICK": "long"})
    ),
    "start_inputs": lambda p: p.start(
        PROJECT,
        StartRequest(
            ref=branch("main"),
            parameters={"input.dry_run": "false", "input.replicas": "3", "input.regions": "north, south"},
            options={"input.environment": "staging"},
        ),
    ),
    "start_unknown_branch": lambda p: p.start(PROJECT, StartRequest(ref=branch("nowhere"))),
    "start_no_jobs": lambda p: p.start(PROJECT, StartRequest(ref=branch("main"))),
    "start_merge_request": lambda p: p.start(PROJECT, StartRequest(ref=merge(12))),
    "start_no_answer": lambda p: p.start(PROJECT, StartRequest(ref=branch("main"))),
    "start_merge_request_no_answer": lambda p: p.start(PROJECT, StartRequest(ref=merge(12))),
    "start_moved": lambda p: p.start("harbour/old", StartRequest(ref=branch("main"))),
    "cancel": lambda p: p.cancel(PROJECT, BUILD),
    "cancel_without_effect": lambda p: p.cancel(PROJECT, BUILD),
    "cancel_no_answer": lambda p: p.cancel(PROJECT, BUILD),
    "rebuild": lambda p: p.rebuild(PROJECT, BUILD, StartRequest(parameters={"WICK": "long", "OIL": "whale"})),
    "rebuild_developer": lambda p: p.rebuild(PROJECT, BUILD, StartRequest()),
    "rebuild_secret_variables": lambda p: p.rebuild(PROJECT, BUILD, StartRequest()),
    "rebuild_merge_request": lambda p: p.rebuild(PROJECT, "90190", StartRequest()),
    "rebuild_child": lambda p: p.rebuild(PROJECT, BUILD, StartRequest()),
    "retry": lambda p: p.retry(PROJECT, BUILD),
    "retry_job": lambda p: p.retry(PROJECT, BUILD, job="6003"),
    "retry_job_refused": lambda p: p.retry(PROJECT, BUILD, job="6001"),
    "retry_no_answer": lambda p: p.retry(PROJECT, BUILD),
    "erase": lambda p: p.erase(PROJECT, BUILD),
    "erase_partly": lambda p: p.erase(PROJECT, BUILD),
    "erase_job": lambda p: p.erase_job(PROJECT, "6003"),
    "jobs": lambda p: p.jobs(PROJECT, BUILD),
    "jobs_all_attempts": lambda p: p.jobs(PROJECT, BUILD, all_attempts=True),
    "jobs_new_server": lambda p: p.jobs(PROJECT, BUILD),
    "log": lambda p: p.log(JOB),
    "log_stamped": lambda p: p.log(JOB),
    "log_tail": lambda p: p.log(JOB, 30),
    "log_none": lambda p: p.log(JOB),
    "artifacts": lambda p: p.artifacts(PROJECT, BUILD),
    "download": lambda p: p.download(ARCHIVE),
    "tests": lambda p: p.tests(PROJECT, BUILD),
    "issues": lambda p: p.issues(PROJECT, BUILD),
    "issues_broken_file": lambda p: p.issues(PROJECT, BUILD),
    "issues_without_report": lambda p: p.issues(PROJECT, BUILD),
    "counts": lambda p: p.counts(red()),
    "counts_unreadable_report": lambda p: p.counts(red()),
    "counts_free_edition": lambda p: p.counts(red()),
    "approvals": lambda p: p.approvals(PROJECT, BUILD),
    "gates_none": lambda p: p.approvals(PROJECT, BUILD),
    "gates_without_deployments": lambda p: p.approvals(PROJECT, BUILD),
    "decide": lambda p: p.decide(MANUAL, approve=True, fields={"WHERE": "pier"}),
    "decide_played_already": lambda p: p.decide(MANUAL, approve=True),
    "decide_no_answer": lambda p: p.decide(MANUAL, approve=True),
    "decide_approve_deployment": lambda p: p.decide(BLOCKED, approve=True, comment="calm sea"),
    "decide_reject_deployment": lambda p: p.decide(BLOCKED, approve=False),
}


def is_sample_list(builds: list[Build]) -> None:
    assert [(each.id, each.raw_state, each.number) for each in builds[:2]] == [
        ("47", "pending", 12),
        ("48", "pending", 13),
    ]
    assert builds[0].status is Status.QUEUED
    assert builds[0].completed_at is None


def is_sample_build(build: Build) -> None:
    assert (build.id, build.number, build.pipeline, build.branch) == ("287", 144, "21", "main")
    assert (build.status, build.conclusion, build.trigger) == (Status.COMPLETED, Conclusion.PASSED, Trigger.PUSH)
    assert (build.triggered_by, build.triggered_by_type) == ("root", Starter.USER)
    assert build.name == "Build pipeline"
    assert build.issues == IssueCounts(errors=0, warnings=0)
    assert build.seconds is not None
    assert 35 < build.seconds < 36


def is_sample_start(build: Build) -> None:
    assert (build.id, build.status, build.branch) == ("61", Status.QUEUED, "main")
    assert build.completed_at is None


def is_sample_retry(build: Build) -> None:
    assert (build.id, build.number, build.raw_state) == ("46", 11, "pending")
    assert build.status is Status.QUEUED
    assert build.completed_at is None, "the end of the earlier attempt is not this attempt's"


def is_sample_rebuild(build: Build) -> None:
    assert build.id == "90300"


def is_sample_counts(counts: IssueCounts) -> None:
    assert (counts.test_failures, counts.tests_total) == (0, 3363)


def is_sample_report(tests: tuple[TestCase, ...]) -> None:
    assert [each.outcome for each in tests] == [Outcome.FAILED] * 3 + [Outcome.PASSED] * 2
    assert [each.message for each in tests[:3]] == [
        "Failed test",
        "MultipleExceptionError: Failed test",
        "Failed test a\nFailed test b",
    ]
    assert tests[0].class_name == "MyClassOne"
    assert tests[0].detail == "Failing"


def are_sample_jobs(jobs: tuple[Job, ...]) -> None:
    assert [each.id for each in jobs] == sorted((each.id for each in jobs), key=int)
    assert {each.name: (each.conclusion, each.reason) for each in jobs} == {
        "rspec:other": (Conclusion.TIMEOUT, "stuck_or_timeout_failure"),
        "teaspoon": (Conclusion.FAILED, "script_failure"),
    }


def is_sample_log(found: Log) -> None:
    assert "section_" not in found.text
    assert "\x1b" not in found.text
    assert "FAILED test_login" in found.text
    assert "Preparing the executor" in found.text
    assert "$ make test" in found.text


def are_sample_branches(refs: list[Ref]) -> None:
    assert refs == [branch("master")]


def is_sample_account(account: Account) -> None:
    assert account.name == "john_smith"


def is_sample_event(event: WebhookEvent | None) -> None:
    assert event is not None
    assert (event.pipeline, event.build) == ("1", "31")


def is_sample_job_event(event: WebhookEvent | None) -> None:
    assert event is not None
    assert (event.pipeline, event.build) == ("380", "2366")


BUILD_PAGE = "/api/v4/projects/{id}/pipelines/{pipeline}"
SAMPLES = {
    "webhook_pipeline_success.json": Sample(call=lambda _: None, facts=is_sample_event),
    "webhook_job_created.json": Sample(call=lambda _: None, facts=is_sample_job_event),
    "test_report.json": Sample(call=lambda p: p.tests("1", "1"), facts=is_sample_report),
    "branches_list.json": Sample(
        call=lambda p: p.refs(PROJECT), facts=are_sample_branches, also=("refs_without_merge_requests",)
    ),
    "user_get.json": Sample(call=lambda p: p.check(), facts=is_sample_account),
    "pipelines_list.json": Sample(call=lambda p: p.builds("1", BuildFilter()), facts=is_sample_list),
    "pipeline_get.json": Sample(call=lambda p: p.build("21", "287"), facts=is_sample_build),
    "pipeline_create.json": Sample(
        call=lambda p: p.start(PROJECT, StartRequest(ref=branch("main"))), facts=is_sample_start, also=("start",)
    ),
    "pipeline_retry.json": Sample(call=lambda p: p.retry("1", "46"), facts=is_sample_retry),
    "pipeline_variables.json": Sample(
        call=lambda p: p.rebuild(PROJECT, BUILD, StartRequest()), facts=is_sample_rebuild, also=("rebuild",)
    ),
    "test_report_summary.json": Sample(
        call=lambda p: p.counts(red()), facts=is_sample_counts, also=("counts_unreadable_report",)
    ),
    "jobs_list_pipeline.json": Sample(call=lambda p: p.jobs("1", "6"), facts=are_sample_jobs),
    "error_401.json": Sample(call=lambda p: p.check(), raises=AuthFailed, at="/api/v4/personal_access_tokens/self"),
    "error_401_expired.json": Sample(call=lambda p: p.build("1", "2"), raises=AuthFailed, at=BUILD_PAGE),
    "error_403_scope.json": Sample(call=lambda p: p.build("1", "2"), raises=AuthFailed, at=BUILD_PAGE),
    "error_403_retry.json": Sample(
        call=lambda p: p.retry("1", "2", job="3"), raises=Rejected, at="/api/v4/projects/1/jobs/3/retry"
    ),
    "error_400_no_jobs.json": Sample(
        call=lambda p: p.start(PROJECT, StartRequest(ref=branch("main"))),
        raises=Rejected,
        at="/api/v4/projects/4711/pipeline",
        also=("start",),
    ),
    "error_400_scope_value.json": Sample(
        call=lambda p: p.jobs("1", "2"), raises=Rejected, at="/api/v4/projects/1/pipelines/2/jobs"
    ),
    "error_404_project.json": Sample(call=lambda p: p.pipeline("1"), raises=NotFound, at="/api/v4/projects/1"),
    "error_429.json": Sample(call=lambda p: p.pipeline("1"), raises=RateLimited, at="/api/v4/projects/1"),
    "job_trace.txt": Sample(call=lambda p: p.log(JOB), facts=is_sample_log),
}

LANTERN = "/api/v4/projects/harbour%2Flantern"


def a_run(**fields: object) -> tuple[Answer, ...]:
    body = {
        "id": int(BUILD),
        "iid": 318,
        "project_id": 4711,
        "status": "success",
        "ref": "main",
        "tag": False,
        **fields,
    }
    return tuple(
        Answer(path=f"{project}/pipelines/{BUILD}", body=body) for project in (f"/api/v4/projects/{PROJECT}", LANTERN)
    )


def merge_request(source: int) -> Answer:
    body = {
        "iid": 12,
        "source_branch": "main",
        "target_branch": "main",
        "source_project_id": source,
        "target_project_id": 4711,
    }
    return Answer(path=f"/api/v4/projects/{PROJECT}/merge_requests/12", body=body)


JOB_6003 = (
    *a_run(),
    Answer(
        path=f"{LANTERN}/jobs/6003",
        body={"id": 6003, "status": "failed", "pipeline": {"id": int(BUILD), "project_id": 4711}},
    ),
)

CASE = Case(
    kind="gitlab",
    options={"url": ROOT, "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset(
        [
            "created",
            "waiting_for_resource",
            "preparing",
            "waiting_for_callback",
            "pending",
            "scheduled",
            "running",
            "canceling",
            "manual",
            "success",
            "failed",
            "canceled",
            "skipped",
        ]
    ),
    calls=CALLS,
    pipeline=PROJECT,
    build=BUILD,
    unknown_state=lambda state: (
        Answer(path=f"/api/v4/projects/{PROJECT}/pipelines/{BUILD}", body={"id": int(BUILD), "status": state}),
    ),
    foreign="a pipeline is asked for below its project: another project's is not there",
    job_pages=(
        JobPage(url=f"{ROOT}/harbour/lantern/-/jobs/6003", pipeline=PROJECT, build=BUILD, job="6003", answers=JOB_6003),
        JobPage(url=f"{ROOT}/harbour/lantern/builds/6003", pipeline=PROJECT, build=BUILD, job="6003", answers=JOB_6003),
        JobPage(
            url=f"{ROOT}/harbour/lantern/-/jobs/6003/artifacts/browse",
            pipeline=PROJECT,
            build=BUILD,
            job="6003",
            answers=JOB_6003,
        ),
        JobPage(
            url=f"{ROOT}/harbour/lantern/-/pipelines/{BUILD}/test_report?job_name=unit",
            pipeline=PROJECT,
            build=BUILD,
            answers=JOB_6003,
        ),
    ),
    ref_builds={
        "branch": a_run(),
        "pull_request": (*a_run(ref="refs/merge-requests/12/head"), merge_request(source=4711)),
        "fork": (*a_run(ref="refs/merge-requests/12/merge"), merge_request(source=99)),
        "tag": a_run(ref="v2.0", tag=True),
    },
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda request, n: paged(request, n, [{"id": n, "path_with_namespace": f"harbour/p{n}"}]),
        ),
        "builds": Endless(
            call=lambda p: p.builds(PROJECT, BuildFilter(limit=10_000)),
            page=lambda _, n: counted(n, [{"id": n, "status": "success"}]),
        ),
        "jobs": Endless(
            call=lambda p: p.jobs(PROJECT, BUILD),
            page=lambda request, n: paged(request, n, [{"id": n, "name": f"j{n}", "status": "success"}]),
        ),
    },
    sign=sign,
    samples=SAMPLES,
    unread=dict.fromkeys(
        ("v3_build_cancel.json", "v3_build_erase.json", "v3_build_get.json", "v3_builds_list.json"),
        "v3: the other case reads it",
    ),
    unlisted={
        "/api/graphql": "REST has no list across projects, no inputs and no code quality",
        "/api/v4/projects/{id}/repository/compare": "the description is cut; commits can be compared",
        "/api/v4/projects/{id}/merge_requests": "the description is cut; merge requests can be built",
        "/api/v4/projects/{id}/merge_requests/{iid}": "the description is cut; it names the source branch",
        "/api/v4/projects/{id}/jobs/{job}/erase": "the description is cut; the old builds API has the same call",
    },
)
