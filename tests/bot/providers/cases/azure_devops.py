"""Azure DevOps with a personal access token and one project in the common tests."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx

from bot.core.errors import AuthFailed, Rejected
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Trigger,
    Watched,
)
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "a-made-up-personal-token"
SECRET = "a-made-up-webhook-secret"
PROJECT = "5a1d0c7e-3b52-4f7a-9c11-2f60aa71e004"
FERRY = f"{PROJECT}/7"
CRANE = f"{PROJECT}/9"
BUILDS = f"/harbor/{PROJECT}/_apis/build/builds"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"


def record(number: int) -> str:
    return f"00000000-0000-5000-8000-{number:012d}"


def a_build(number: int = 482, status: str = "inProgress") -> dict[str, object]:
    return {
        "id": number,
        "buildNumber": f"20260801.{number}",
        "status": status,
        "queueTime": "2026-08-01T11:40:00.1234567Z",
        "definition": {"id": 7, "name": "ferry"},
        "project": {"id": PROJECT, "name": "Quay"},
        "sourceBranch": "refs/heads/main",
        "reason": "manual",
    }


def page(request: httpx.Request, number: int, *items: object) -> httpx.Response:
    """A page that names the next one, as the continuation header does."""
    return httpx.Response(200, headers={"x-ms-continuationtoken": f"after {number}"}, json={"value": items})


def basic(password: str) -> str:
    return f"Basic {base64.b64encode(f'bell:{password}'.encode()).decode()}"


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    return {**headers, "authorization": basic(SECRET)}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def key(number: int, pipeline: str = FERRY) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=str(number))


JOB = Job(id=record(3), build="482", pipeline=FERRY, name="Hull")
GATE = Approval(
    id=record(22),
    build="483",
    pipeline=FERRY,
    name="Launch",
    url=f"https://dev.azure.com/harbor/{PROJECT}/_build/results?buildId=483",
)
HULL = Artifact(id="31", build="482", pipeline=FERRY, name="hull", kind="PipelineArtifact")
SAILS = Artifact(id="32", build="482", pipeline=FERRY, name="sails", kind="Container")
BUILD = Build(connection=CONNECTION, pipeline=FERRY, id="482", status=Status.COMPLETED, conclusion=Conclusion.FAILED)

WATCHED = Watched(pipelines=frozenset({FERRY, CRANE}))
RUNNING = Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(485)}))
LATER = Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(483), key(484), key(485), key(486)}))
SECOND_TICK = '{"since": "2026-08-01T11:59:00+00:00", "tick": 1, "reported": ["482@2026-08-01T11:45:59.500000+00:00"]}'
EVERYTHING = {
    "branch": "slip",
    "parameter.environment": "prod",
    "variable.dry": "yes",
    "stages_to_skip": "Launch, Party",
}
MAIN = StartRequest(ref=branch("main"), requested_by="Signe Holm")

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_narrow": lambda p: p.check(),
    "check_wrong_project": lambda p: p.check(),
    "check_signed_out": lambda p: p.check(),
    "check_redirected": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("ferr"),
    "pipeline": lambda p: p.pipeline("Ferry"),
    "pipeline_id": lambda p: p.pipeline(FERRY),
    "pipeline_number": lambda p: p.pipeline("7"),
    "pipeline_named_by_a_number": lambda p: p.pipeline("2026"),
    "pipeline_page": lambda p: p.pipeline("Quay/_build/482"),
    "pipeline_folder": lambda p: p.pipeline("quay/North/crane"),
    "pipeline_ambiguous": lambda p: p.pipeline("crane"),
    "pipeline_missing": lambda p: p.pipeline("no/such thing"),
    "builds": lambda p: p.builds(FERRY, BuildFilter(limit=5)),
    "builds_filtered": lambda p: p.builds(
        FERRY, BuildFilter(branch="ramp-order", commit=OTHER_SHA[:8], states=frozenset({"failed"}))
    ),
    "builds_timeout": lambda p: p.builds(FERRY, BuildFilter(states=frozenset({"timeout"}))),
    "builds_waiting": lambda p: p.builds(FERRY, BuildFilter(states=frozenset({"blocked"}))),
    "build": lambda p: p.build(FERRY, "482"),
    "commits_of": lambda p: p.commits_of(FERRY, "482"),
    "build_waiting": lambda p: p.build(FERRY, "483"),
    "build_timed_out": lambda p: p.build(FERRY, "484"),
    "build_queued": lambda p: p.build(FERRY, "485"),
    "build_without_timeline": lambda p: p.build(FERRY, "485"),
    "build_odd_timeline": lambda p: p.build(FERRY, "482"),
    "build_missing": lambda p: p.build(FERRY, "9"),
    "build_limited": lambda p: p.build(FERRY, "482"),
    "build_by_number": lambda p: p.build_by_number(FERRY, 41),
    "build_by_number_id": lambda p: p.build_by_number(FERRY, 482),
    "build_by_number_foreign": lambda p: p.build_by_number(FERRY, 600),
    "build_by_label": lambda p: p.build_by_label(FERRY, "20260801.2"),
    "build_by_label_ambiguous": lambda p: p.build_by_label(FERRY, "20260801.2"),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_next": lambda p: p.changes(SECOND_TICK, LATER),
    "changes_owned": lambda p: p.changes(SECOND_TICK, RUNNING),
    "changes_approvals_refused": lambda p: p.changes(SECOND_TICK, RUNNING),
    "changes_cursor_unreadable": lambda p: p.changes("{", WATCHED),
    "refs": lambda p: p.refs(CRANE),
    "refs_query": lambda p: p.refs(CRANE, "RA"),
    "refs_github": lambda p: p.refs(FERRY),
    "refs_nowhere": lambda p: p.refs(FERRY),
    "parameters": lambda p: p.parameters(FERRY, None),
    "start": lambda p: p.start(
        FERRY, StartRequest(ref=branch("ramp-order"), parameters={"environment": "staging", "tide": "high"})
    ),
    "start_default": lambda p: p.start(FERRY, StartRequest(requested_by="Signe Holm")),
    "start_tag": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"))),
    "start_commit": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.COMMIT, name=OTHER_SHA))),
    "start_pull_request": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="73"))),
    "start_bad_number": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="x"))),
    "start_options": lambda p: p.start(FERRY, StartRequest(commit=OTHER_SHA, options=EVERYTHING)),
    "start_unknown_option": lambda p: p.start(FERRY, StartRequest(options={"colour": "red"})),
    "start_message": lambda p: p.start(FERRY, StartRequest(message="Try the new ramp")),
    "start_refused": lambda p: p.start(FERRY, StartRequest(ref=branch("nowhere"))),
    "start_unread": lambda p: p.start(FERRY, StartRequest()),
    "start_timeout": lambda p: p.start(FERRY, MAIN),
    "start_timeout_unseen": lambda p: p.start(FERRY, MAIN),
    "start_timeout_two": lambda p: p.start(FERRY, MAIN),
    "start_timeout_nobody": lambda p: p.start(FERRY, MAIN),
    "start_unreached": lambda p: p.start(FERRY, MAIN),
    "start_classic": lambda p: p.start(CRANE, StartRequest(commit=OTHER_SHA, parameters={"LOAD": "9"})),
    "start_classic_refused": lambda p: p.start(CRANE, StartRequest()),
    "start_classic_stages": lambda p: p.start(CRANE, StartRequest(options={"stages_to_skip": "Launch"})),
    "cancel": lambda p: p.cancel(FERRY, "484"),
    "cancel_timeout": lambda p: p.cancel(FERRY, "484"),
    "cancel_refused": lambda p: p.cancel(FERRY, "484"),
    "rebuild": lambda p: p.rebuild(FERRY, "482", StartRequest()),
    "rebuild_with_values": lambda p: p.rebuild(
        FERRY, "482", StartRequest(parameters={"TIDE": "high", "environment": "prod"})
    ),
    "rebuild_unreadable": lambda p: p.rebuild(CRANE, "470", StartRequest()),
    "rebuild_hidden": lambda p: p.rebuild(FERRY, "482", StartRequest()),
    "rebuild_classic": lambda p: p.rebuild(CRANE, "470", StartRequest()),
    "rebuild_timeout": lambda p: p.rebuild(FERRY, "482", StartRequest()),
    "retry": lambda p: p.retry(FERRY, "482"),
    "retry_timeout": lambda p: p.retry(FERRY, "482"),
    "retry_refused": lambda p: p.retry(FERRY, "482"),
    "retry_all": lambda p: p.retry(FERRY, "482", failed_only=False),
    "retry_job": lambda p: p.retry(FERRY, "482", job=record(3)),
    "retry_job_passed": lambda p: p.retry(FERRY, "482", job=record(7)),
    "retry_job_only": lambda p: p.retry(FERRY, "482", job=record(3)),
    "retry_job_stageless": lambda p: p.retry(FERRY, "482", job=record(3)),
    "retry_job_missing": lambda p: p.retry(FERRY, "482", job=record(99)),
    "jobs": lambda p: p.jobs(FERRY, "482"),
    "jobs_all_attempts": lambda p: p.jobs(FERRY, "482", all_attempts=True),
    "jobs_running": lambda p: p.jobs(FERRY, "484"),
    "jobs_timed_out": lambda p: p.jobs(FERRY, "484"),
    "jobs_none": lambda p: p.jobs(FERRY, "482"),
    "log": lambda p: p.log(JOB),
    "log_short": lambda p: p.log(JOB, 64),
    "log_running": lambda p: p.log(replace(JOB, build="484")),
    "log_missing": lambda p: p.log(replace(JOB, id=record(11), name="Slip")),
    "log_unknown": lambda p: p.log(JOB),
    "artifacts": lambda p: p.artifacts(FERRY, "482"),
    "download": lambda p: p.download(HULL),
    "download_unsigned": lambda p: p.download(HULL),
    "download_container": lambda p: p.download(SAILS),
    "download_share": lambda p: p.download(replace(SAILS, name="keel", kind=None)),
    "tests": lambda p: p.tests(FERRY, "482"),
    "tests_none": lambda p: p.tests(FERRY, "482"),
    "issues": lambda p: p.issues(FERRY, "482"),
    "issues_without_tests": lambda p: p.issues(FERRY, "484"),
    "counts": lambda p: p.counts(BUILD),
    "counts_green": lambda p: p.counts(BUILD),
    "counts_by_runs": lambda p: p.counts(BUILD),
    "counts_refused": lambda p: p.counts(replace(BUILD, id="484")),
    "counts_cut_short": lambda p: p.counts(BUILD),
    "counts_without_timeline": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(FERRY, "483"),
    "approvals_stageless": lambda p: p.approvals(FERRY, "483"),
    "gates_closed": lambda p: p.approvals(FERRY, "483"),
    "gates_none": lambda p: p.approvals(FERRY, "482"),
    "decide": lambda p: p.decide(GATE, approve=True, comment="good wind"),
    "decide_one_of_two": lambda p: p.decide(GATE, approve=True),
    "decide_reject": lambda p: p.decide(GATE, approve=False, comment="storm"),
    "decide_refused": lambda p: p.decide(GATE, approve=True),
    "decide_signed_out": lambda p: p.decide(GATE, approve=True),
    "decide_timeout": lambda p: p.decide(GATE, approve=True),
    "decide_fields": lambda p: p.decide(GATE, approve=True, fields={"quay": "north"}),
}


def as_facts(check: Callable[[Any], object]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


SOME_BUILDS = f"{BUILDS}/{{build}}"
SAMPLES: Mapping[str, Sample] = {
    "builds_list.json": Sample(
        call=lambda p: p.builds(FERRY, BuildFilter(limit=4)),
        facts=as_facts(lambda it: it[0].conclusion is Conclusion.PASSED and it[0].name == "deploy_to_prod"),
    ),
    "build_get_in_progress.json": Sample(
        call=lambda p: p.build(FERRY, "16"),
        facts=as_facts(
            lambda it: (it.id, it.number, it.completed_at, it.triggered_by) == ("16", None, None, "JohnDoe")
        ),
    ),
    "build_get_partially_succeeded_pull_request.json": Sample(
        call=lambda p: p.build(FERRY, "481"),
        facts=as_facts(
            lambda it: (
                (it.conclusion, it.trigger, it.pull_request, it.branch, it.commit[:7], it.message)
                == (
                    Conclusion.PARTIAL,
                    Trigger.MERGE_REQUEST,
                    "73",
                    "feature/retries",
                    "a6e5e7d",
                    "Retry the upload",
                )
            )
        ),
    ),
    "timeline_get_failed.json": Sample(
        call=lambda p: p.counts(BUILD),
        facts=as_facts(lambda it: (it.errors, it.warnings, it.analyzer_warnings) == (2, 3, 1)),
    ),
    "approvals_list.json": Sample(
        call=lambda p: p.approvals(FERRY, "483"),
        also=("approvals",),
        facts=as_facts(lambda it: [(one.name, one.approvers) for one in it] == [("Launch", ())]),
    ),
    "approvals_update.json": Sample(
        call=lambda p: p.decide(GATE, approve=True), also=("decide",), facts=as_facts(lambda it: it.id == "483")
    ),
    "refs_list_heads.json": Sample(
        call=lambda p: p.refs(CRANE),
        at=f"/harbor/{PROJECT}/_apis/git/repositories/{{repository}}/refs",
        also=("refs",),
        facts=as_facts(lambda it: "pr_branch" in [one.name for one in it]),
    ),
    "test_runs_list.json": Sample(
        call=lambda p: p.counts(BUILD),
        facts=as_facts(lambda it: (it.test_failures, it.tests_total, it.errors) == (2, 130, None)),
    ),
    "run_pipeline_create.json": Sample(
        call=lambda p: p.start(FERRY, StartRequest()), also=("start",), facts=as_facts(lambda it: it.id == "482")
    ),
    "error_401_unauthorized.json": Sample(
        call=lambda p: p.check(), raises=AuthFailed, facts=as_facts(lambda it: "TF400813" in str(it))
    ),
    "error_401_expired_pat.json": Sample(
        call=lambda p: p.check(), raises=AuthFailed, facts=as_facts(lambda it: "has expired" in str(it))
    ),
    "error_400_retry_needs_body.json": Sample(
        call=lambda p: p.retry(FERRY, "482"), raises=Rejected, facts=as_facts(lambda it: "request body" in str(it))
    ),
    "error_203_sign_in.html": Sample(
        call=lambda p: p.check(), raises=AuthFailed, facts=as_facts(lambda it: "sign-in page" in str(it))
    ),
    "throttled_200.json": Sample(call=lambda p: p.builds(FERRY, BuildFilter()), facts=as_facts(lambda it: it == [])),
    "webhook_run_state_changed.json": Sample(
        facts=as_facts(lambda event: (event.pipeline, event.build) == ("be9b3917-87e6-42a4-a549-2bc06a7a878f/1", "11"))
    ),
    "webhook_approval_pending.json": Sample(
        facts=as_facts(lambda event: (event.pipeline, event.build) == (None, "2")),
    ),
    "webhook_approval_pending_live_shape.json": Sample(
        facts=as_facts(lambda event: (event.pipeline, event.build) == ("6ce954b1-ce1f-45d1-b94d-e6bf2464ba2c/7", "482"))
    ),
    "webhook_build_complete_v1.json": Sample(facts=as_facts(lambda event: event.build == "2")),
    "webhook_build_complete_v2.json": Sample(
        facts=as_facts(lambda event: (event.pipeline, event.build) == ("0d50ba13-f9ad-49b0-9b21-d29eda50ca33/5", "12"))
    ),
    "webhook_job_state_changed.json": Sample(
        facts=as_facts(lambda event: (event.pipeline, event.build) == ("be9b3917-87e6-42a4-a549-2bc06a7a878f/2", "2"))
    ),
}

JOB_GUID = "12f1170f-54f2-53f3-20dd-22fc7dff55f9"
ON_BUILD_482 = (Answer(path="/harbor/{project}/_apis/build/builds/482", body=a_build()),)
FOREIGN = Foreign(pipeline=CRANE, build="482", answers=ON_BUILD_482, belongs_to=FERRY)
JOB_PAGES = tuple(
    JobPage(
        url=f"https://dev.azure.com/harbor/{project}/_build/{page}",
        pipeline=FERRY,
        build="482",
        job=job,
        answers=ON_BUILD_482,
    )
    for project in ("Quay", PROJECT)
    for page, job in (
        (f"results?buildId=482&view=logs&j={JOB_GUID}&t=x", JOB_GUID),
        ("results?buildId=482&view=ms.vss-test-web.build-test-results-tab&runId=9", None),
        ("results?buildId=482&view=artifacts&type=publishedArtifacts", None),
        ("index?buildId=482", None),
    )
)


def kind_of_ref(**changes: object) -> tuple[Answer, ...]:
    return (Answer(path=f"{BUILDS}/482", body={**a_build(), **changes}),)


REF_BUILDS: Mapping[str, tuple[Answer, ...] | str] = {
    "branch": kind_of_ref(reason="individualCI", triggerInfo={"ci.sourceBranch": "refs/heads/main"}),
    "pull_request": kind_of_ref(
        sourceBranch="refs/pull/73/merge",
        reason="pullRequest",
        triggerInfo={"pr.number": "73", "pr.sourceBranch": "rails", "pr.isFork": "False"},
    ),
    "fork": kind_of_ref(
        sourceBranch="refs/pull/74/merge",
        reason="pullRequest",
        triggerInfo={"pr.number": "74", "pr.sourceBranch": "main", "pr.isFork": "True"},
    ),
    "tag": kind_of_ref(sourceBranch="refs/tags/v2.1", reason="individualCI"),
}
STATES = frozenset(
    [
        "none",
        "notStarted",
        "postponed",
        "inProgress",
        "cancelling",
        "completed",
        "succeeded",
        "partiallySucceeded",
        "failed",
        "canceled",
    ]
)
UNLISTED = {
    "/harbor/_apis/connectionData": "the only call that tells whose credentials these are; clients use it, the files lack it",
    "/harbor/_apis/resources/Containers/7/sails": "an artifact's own address, as the service gives it",
    "/_signin": "where a bad credential is sent",
}

CASE = Case(
    kind="azure_devops",
    options={"organization": "harbor", "project": "Quay", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET, base64.b64encode(f":{TOKEN}".encode()).decode()),
    states=STATES,
    calls=CALLS,
    pipeline=FERRY,
    build="482",
    unknown_state=lambda state: (Answer(path=f"{BUILDS}/482", body=a_build(482, state)),),
    foreign=FOREIGN,
    job_pages=JOB_PAGES,
    ref_builds=REF_BUILDS,
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(), page=lambda asked, n: page(asked, n, {"id": n, "name": f"ferry-{n}"})
        ),
        "builds": Endless(
            call=lambda p: p.builds(FERRY, BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, a_build(10_000 - n)),
        ),
        "refs": Endless(
            call=lambda p: p.refs(CRANE),
            page=lambda asked, n: (
                page(asked, n, {"name": f"refs/heads/ramp-{n}"})
                if asked.url.path.endswith("/refs")
                else httpx.Response(200, json={"id": 9, "repository": {"id": "r", "type": "TfsGit"}})
            ),
        ),
    },
    sign=sign,
    samples=SAMPLES,
    unread={
        "hook_subscription_create.json": "an admin sets the service hook up",
    },
    unlisted=UNLISTED,
)
