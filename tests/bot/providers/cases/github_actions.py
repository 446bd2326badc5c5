"""GitHub Actions with a personal access token in the common tests."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from bot.core.errors import AuthFailed, NotFound, RateLimited, Rejected
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

TOKEN = "ghp_made_up_for_these_tests"
SECRET = "a-made-up-webhook-secret"
BUILD = "harbor/ferry/159038"
SAIL = "harbor/ferry/159039"
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"
PAGE = "https://github.com/harbor/ferry/actions/runs"


def a_run(number: int = 41, status: str = "completed", conclusion: str | None = "success") -> dict[str, object]:
    return {
        "id": 9000 + number,
        "run_number": number,
        "run_attempt": 1,
        "status": status,
        "conclusion": conclusion,
        "workflow_id": 159038,
        "check_suite_id": 7000 + number,
        "head_branch": "main",
        "event": "push",
        "created_at": "2026-08-01T11:00:00Z",
        "repository": {"full_name": "harbor/ferry"},
    }


def page(request: httpx.Request, number: int, body: object) -> httpx.Response:
    """A page that names the next one, as GitHub's Link header does."""
    following = request.url.copy_set_param("page", str(number + 1))
    return httpx.Response(200, headers={"Link": f'<{following}>; rel="next"'}, json=body)


def page_of_pipelines(request: httpx.Request, number: int) -> httpx.Response:
    """Endless repositories, each with one workflow."""
    if request.url.path.endswith("/actions/workflows"):
        return httpx.Response(200, json={"workflows": [{"id": number, "name": "Build"}]})
    return page(request, number, [{"full_name": f"harbor/ferry-{number}"}])


def page_of_checks(request: httpx.Request, number: int) -> httpx.Response:
    if request.url.path.endswith("/check-runs"):
        return page(request, number, {"check_runs": [{"id": number, "output": {"annotations_count": 0}}]})
    return httpx.Response(200, json=a_run())


def page_of_changes(request: httpx.Request, number: int) -> httpx.Response:
    if request.url.path.endswith("/jobs"):
        return httpx.Response(200, json={"jobs": []})
    return page(request, number, {"workflow_runs": [a_run(10_000 - number)]})


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {**headers, "x-hub-signature-256": f"sha256={signature}"}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def key(number: int, pipeline: str = BUILD) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=str(9000 + number))


def on(kind: RefKind, name: str) -> StartRequest:
    return StartRequest(ref=Ref(kind=kind, name=name))


def built(conclusion: Conclusion) -> Build:
    return Build(connection=CONNECTION, pipeline=BUILD, id="9041", status=Status.COMPLETED, conclusion=conclusion)


JOB = Job(id="8001", build="9041", pipeline=BUILD, name="tests", web_url=f"{PAGE}/9041/job/8001")
GATE = Approval(
    id="environment/161",
    build="9045",
    pipeline=BUILD,
    name="north",
    approvers=("signe-holm", "Harbour masters"),
    can_reject=True,
    url=f"{PAGE}/9045",
)
FORK = Approval(id="fork", build="9046", pipeline=BUILD, name="Run the workflows of a fork", url=f"{PAGE}/9046")
ARTIFACT = Artifact(id="6001", build="9041", pipeline=BUILD, name="logbook")
FAILED = built(Conclusion.FAILED)
PASSED = built(Conclusion.PASSED)
MAIN = on(RefKind.BRANCH, "main")

BOTH = Watched(pipelines=frozenset({BUILD, SAIL}))
ONE = Watched(pipelines=frozenset({BUILD}))
LATER = Watched(pipelines=frozenset({BUILD, SAIL}), unfinished=frozenset({key(44), key(12), key(11)}))
STRAGGLERS = Watched(pipelines=frozenset({BUILD, SAIL}), unfinished=frozenset({key(12), key(11), key(45)}))
LIST = "repos/harbor/ferry/actions/runs"
SECOND_TICK = (
    '{"tick":1,"lists":{"harbor/ferry":{"path":"' + LIST + '","etag":"W/\\"first\\"","newest":9044,'
    '"marks":{"9044":"1 in_progress","9043":"1 success.","9041":"1 failure."}}}}'
)
THIRD_TICK = (
    '{"tick":2,"lists":{"harbor/ferry":{"path":"' + LIST + '","etag":"W/\\"second\\"","newest":9045,'
    '"marks":{"9045":"1 queued"}}},"singles":{"harbor/ferry/9012":{"etag":"W/\\"twelve\\""},'
    '"harbor/ferry/9011":{"slow":true}}}'
)
ONE_LIST = "repos/harbor/ferry/actions/workflows/159038/runs"
STUCK = (
    '{"tick":5,"lists":{"harbor/ferry":{"path":"' + ONE_LIST + '","etag":"W/\\"x\\"","newest":9041,'
    '"marks":{"9041":"1 success."}}}}'
)

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_narrow": lambda p: p.check(),
    "check_public_only": lambda p: p.check(),
    "check_fine_grained": lambda p: p.check(),
    "check_refused": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("harbor/ferry/Sail"),
    "pipelines_of_user": lambda p: p.pipelines("build"),
    "pipelines_refused": lambda p: p.pipelines(),
    "pipeline": lambda p: p.pipeline("harbor/ferry/build.yml"),
    "pipeline_short": lambda p: p.pipeline("ferry/build.yml"),
    "pipeline_of_run": lambda p: p.pipeline("harbor/ferry/runs/9041"),
    "pipeline_missing": lambda p: p.pipeline("harbor/ferry/nope.yml"),
    "pipeline_by_name": lambda p: p.pipeline("harbor/ferry/sail"),
    "pipeline_unnamed": lambda p: p.pipeline("harbor/ferry"),
    "pipeline_nothing_there": lambda p: p.pipeline("harbor/ferry"),
    "pipeline_of_others": lambda p: p.pipeline("rival/ferry/build.yml"),
    "pipeline_no_name": lambda p: p.pipeline("ferry"),
    "builds": lambda p: p.builds(BUILD, BuildFilter(limit=4)),
    "builds_filtered": lambda p: p.builds(
        BUILD, BuildFilter(branch="ramp-order", commit=SHA[:8], states=frozenset({"failed"}))
    ),
    "builds_commit": lambda p: p.builds(BUILD, BuildFilter(commit=OTHER_SHA)),
    "builds_timed_out": lambda p: p.builds(BUILD, BuildFilter(states=frozenset({"timeout"}))),
    "builds_by_file": lambda p: p.builds("harbor/ferry/build.yml", BuildFilter(limit=1)),
    "build": lambda p: p.build(BUILD, "9041"),
    "build_partial": lambda p: p.build(BUILD, "9041"),
    "build_queued": lambda p: p.build(BUILD, "9043"),
    "build_running": lambda p: p.build(BUILD, "9044"),
    "build_waiting": lambda p: p.build(BUILD, "9045"),
    "build_action_required": lambda p: p.build(BUILD, "9046"),
    "build_of_tag": lambda p: p.build(BUILD, "9047"),
    "build_of_release": lambda p: p.build(BUILD, "9047"),
    "build_by_bot": lambda p: p.build(BUILD, "9048"),
    "build_of_repository": lambda p: p.build("harbor/ferry", "9041"),
    "build_missing": lambda p: p.build(BUILD, "9"),
    "build_forbidden": lambda p: p.build(BUILD, "9041"),
    "build_limited": lambda p: p.build(BUILD, "9041"),
    "build_secondary_limit": lambda p: p.build(BUILD, "9041"),
    "build_by_number": lambda p: p.build_by_number(BUILD, 41),
    "changes": lambda p: p.changes(None, BOTH),
    "changes_next": lambda p: p.changes(SECOND_TICK, LATER),
    "changes_none": lambda p: p.changes(THIRD_TICK, STRAGGLERS),
    "changes_one_workflow": lambda p: p.changes(None, ONE),
    "changes_gap": lambda p: p.changes(SECOND_TICK, BOTH),
    "changes_out_of_reach": lambda p: p.changes(None, Watched(pipelines=frozenset({BUILD, "harbor/fog/159070"}))),
    "changes_refused": lambda p: p.changes(None, ONE),
    "changes_unauthorized": lambda p: p.changes(None, Watched(pipelines=frozenset({BUILD, "harbor/beacon/159050"}))),
    "changes_stuck": lambda p: p.changes(STUCK, Watched(pipelines=frozenset({BUILD}), unfinished=frozenset({key(41)}))),
    "changes_cursor_unreadable": lambda p: p.changes("[]", ONE),
    "commits": lambda p: p.commits(BUILD, "00" * 20, "b2" * 20),
    "refs": lambda p: p.refs(BUILD),
    "refs_query": lambda p: p.refs(BUILD, "ramp"),
    "parameters": lambda p: p.parameters(BUILD, branch("ramp-order")),
    "parameters_closed_environments": lambda p: p.parameters(BUILD, None),
    "parameters_of_pull_request": lambda p: p.parameters(BUILD, Ref(kind=RefKind.PULL_REQUEST, name="77")),
    "parameters_no_file": lambda p: p.parameters(BUILD, branch("nowhere")),
    "parameters_closed_file": lambda p: p.parameters(BUILD, None),
    "parameters_dynamic": lambda p: p.parameters("harbor/ferry/159041", None),
    "parameters_refused": lambda p: p.parameters(BUILD, None),
    "start": lambda p: p.start(
        BUILD, StartRequest(ref=branch("ramp-order"), parameters={"tide": "high"}, requested_by="Signe Holm")
    ),
    "start_default": lambda p: p.start(BUILD, StartRequest()),
    "start_no_default": lambda p: p.start(BUILD, StartRequest()),
    "start_tag": lambda p: p.start(BUILD, on(RefKind.TAG, "v2.1")),
    "start_not_there_yet": lambda p: p.start(BUILD, on(RefKind.TAG, "v2.1")),
    "start_commit": lambda p: p.start(BUILD, on(RefKind.COMMIT, SHA)),
    "start_pull_request": lambda p: p.start(BUILD, on(RefKind.PULL_REQUEST, "77")),
    "start_message": lambda p: p.start(BUILD, StartRequest(message="Try the new ramp")),
    "start_option": lambda p: p.start(BUILD, StartRequest(options={"clean": "true"})),
    "start_no_ref": lambda p: p.start(BUILD, on(RefKind.BRANCH, "nowhere")),
    "start_unexpected_inputs": lambda p: p.start(BUILD, StartRequest(ref=branch("main"), parameters={"moon": "full"})),
    "start_no_trigger": lambda p: p.start(BUILD, MAIN),
    "start_old_server": lambda p: p.start(BUILD, MAIN),
    "start_silent_server": lambda p: p.start(BUILD, MAIN),
    "start_two_fit": lambda p: p.start(BUILD, MAIN),
    "start_found_late": lambda p: p.start(BUILD, MAIN),
    "start_timeout": lambda p: p.start(BUILD, MAIN),
    "start_timeout_unseen": lambda p: p.start(BUILD, MAIN),
    "start_unreached": lambda p: p.start(BUILD, MAIN),
    "cancel": lambda p: p.cancel(BUILD, "9044"),
    "cancel_slow": lambda p: p.cancel(BUILD, "9044"),
    "cancel_refused": lambda p: p.cancel(BUILD, "9041"),
    "cancel_timeout": lambda p: p.cancel(BUILD, "9044"),
    "rebuild": lambda p: p.rebuild(BUILD, "9041", StartRequest(requested_by="Signe Holm")),
    "rebuild_with_values": lambda p: p.rebuild(BUILD, "9041", StartRequest(parameters={"tide": "high"})),
    "retry": lambda p: p.retry(BUILD, "9041"),
    "retry_all": lambda p: p.retry(BUILD, "9041", failed_only=False),
    "retry_job": lambda p: p.retry(BUILD, "9041", job="8002"),
    "retry_running": lambda p: p.retry(BUILD, "9041"),
    "retry_unapproved": lambda p: p.retry(BUILD, "9041"),
    "retry_too_old": lambda p: p.retry(BUILD, "9041"),
    "retry_forbidden": lambda p: p.retry(BUILD, "9041"),
    "retry_timeout": lambda p: p.retry(BUILD, "9041"),
    "erase": lambda p: p.erase(BUILD, "9041"),
    "erase_running": lambda p: p.erase(BUILD, "9041"),
    "jobs": lambda p: p.jobs(BUILD, "9041"),
    "jobs_all_attempts": lambda p: p.jobs(BUILD, "9041", all_attempts=True),
    "log": lambda p: p.log(JOB),
    "log_cut": lambda p: p.log(JOB, 64),
    "log_missing": lambda p: p.log(JOB),
    "log_expired": lambda p: p.log(JOB),
    "artifacts": lambda p: p.artifacts(BUILD, "9041"),
    "download": lambda p: p.download(ARTIFACT),
    "download_expired": lambda p: p.download(ARTIFACT),
    "issues": lambda p: p.issues(BUILD, "9041"),
    "issues_closed_checks": lambda p: p.issues(BUILD, "9041"),
    "counts": lambda p: p.counts(FAILED),
    "counts_green": lambda p: p.counts(PASSED),
    "counts_never_started": lambda p: p.counts(FAILED),
    "counts_closed_checks": lambda p: p.counts(FAILED),
    "counts_closed_checks_one_job": lambda p: p.counts(FAILED),
    "counts_closed_annotations": lambda p: p.counts(FAILED),
    "counts_closed_never_started": lambda p: p.counts(FAILED),
    "counts_no_suite": lambda p: p.counts(PASSED),
    "counts_unauthorized": lambda p: p.counts(PASSED),
    "approvals": lambda p: p.approvals(BUILD, "9045"),
    "gates_fork": lambda p: p.approvals(BUILD, "9046"),
    "gates_none": lambda p: p.approvals(BUILD, "9045"),
    "decide": lambda p: p.decide(GATE, approve=True, comment="good wind"),
    "decide_reject": lambda p: p.decide(GATE, approve=False),
    "decide_refused": lambda p: p.decide(GATE, approve=True),
    "decide_unauthorized": lambda p: p.decide(GATE, approve=True),
    "decide_timeout": lambda p: p.decide(GATE, approve=True),
    "decide_fork": lambda p: p.decide(FORK, approve=True),
    "decide_reject_fork": lambda p: p.decide(FORK, approve=False),
    "decide_no_environment": lambda p: p.decide(
        Approval(id="environment/north", build="9045", pipeline=BUILD, name="north"), approve=True
    ),
}


def as_facts(check: Callable[[Any], object]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


def at_owner(owner: str) -> Mapping[str, object]:
    return {"owner": owner}


def tapped(owner: str, pipeline: str, build: str) -> Sample:
    return Sample(
        options=at_owner(owner), facts=as_facts(lambda event: (event.pipeline, event.build) == (pipeline, build))
    )


NO_EVENT = as_facts(lambda event: event is None)
RUN = "/repos/{owner}/{repo}/actions/runs/{run_id}"
SAMPLES: Mapping[str, Sample] = {
    "webhook_workflow_run_completed.json": tapped("octo-org", "octo-org/octo-repo/2823525", "289782451"),
    "webhook_workflow_run_completed_pull_requests.json": tapped("octo-org", "octo-org/octo-repo/2823525", "289782451"),
    "webhook_workflow_run_requested.json": tapped("octo-org", "octo-org/octo-repo/2823525", "289782451"),
    "webhook_deployment_review_requested.json": tapped(
        "terraform-test-github", "terraform-test-github/sample-app/51845905", "5453085689"
    ),
    "webhook_workflow_job_waiting.json": tapped("sampleuser", "sampleuser/elastic-machines-testing", "4747967848"),
    **{
        f"webhook_{event}.json": Sample(options=at_owner("Codertocat"), facts=NO_EVENT)
        for event in (
            "workflow_job_completed_success",
            "workflow_job_in_progress",
            "workflow_job_queued",
            "check_run_completed",
            "check_run_created",
            "check_suite_completed",
            "installation_created",
            "installation_suspend",
            "installation_repositories_added",
            "ping",
        )
    },
    "runs_list.json": Sample(
        call=lambda p: p.builds(BUILD, BuildFilter()),
        at="/repos/{owner}/{repo}/actions/workflows/{workflow}/runs",
        facts=as_facts(
            lambda it: (
                [(one.number, one.branch, one.workflow, one.status) for one in it]
                == [(562, "master", "build.yml", Status.QUEUED)]
            )
        ),
    ),
    "runs_list_mixed.json": Sample(
        call=lambda p: p.builds(BUILD, BuildFilter()),
        at="/repos/{owner}/{repo}/actions/workflows/{workflow}/runs",
        facts=as_facts(
            lambda it: (
                [one.trigger for one in it] == [Trigger.CRON, Trigger.MERGE_REQUEST, Trigger.PUSH]
                and [one.conclusion for one in it] == [Conclusion.PASSED, Conclusion.FAILED, None]
                and (it[1].attempt, it[1].seconds) == (2, 65)
            )
        ),
    ),
    "run_get.json": Sample(
        call=lambda p: p.build(BUILD, "30433642"),
        facts=as_facts(lambda it: it.number == 562 and it.status is Status.QUEUED and it.triggered_by == "octocat"),
    ),
    "jobs_list.json": Sample(
        call=lambda p: p.jobs(BUILD, "29679449"),
        facts=as_facts(lambda it: it[0].conclusion is Conclusion.PASSED and it[0].seconds == 119),
    ),
    "jobs_list_failure.json": Sample(
        call=lambda p: p.jobs(BUILD, "577330057"),
        facts=as_facts(lambda it: [one.conclusion for one in it] == [Conclusion.FAILED, Conclusion.PASSED]),
    ),
    "artifacts_list.json": Sample(
        call=lambda p: p.artifacts(BUILD, "2332938"),
        facts=as_facts(lambda it: [(one.name, one.size_bytes) for one in it] == [("Rails", 556), ("Test output", 453)]),
    ),
    "annotations_list.json": Sample(
        call=lambda p: p.issues(BUILD, "9041"),
        also=("issues",),
        facts=as_facts(
            lambda it: (
                ("Spell Checker: Check your spelling for 'banaas'.", "README.md", 2)
                in {(one.message, one.file, one.line) for one in it}
            )
        ),
    ),
    "pending_deployments_list.json": Sample(
        call=lambda p: p.approvals(BUILD, "9045"),
        facts=as_facts(
            lambda it: (
                (it[0].name, it[0].approvers, it[0].can_reject) == ("staging", ("octocat", "Justice League"), True)
            )
        ),
    ),
    "pending_deployments_review.json": Sample(
        call=lambda p: p.decide(GATE, approve=True),
        at=f"{RUN}/pending_deployments",
        also=("decide",),
        facts=as_facts(lambda it: it.number == 45),
    ),
    "workflows_list.json": Sample(
        call=lambda p: p.pipelines(),
        also=("pipelines_query",),
        facts=as_facts(lambda it: it and it[0].path.startswith("harbor/") and it[0].enabled),
    ),
    "workflow_dispatch_200.json": Sample(
        call=lambda p: p.start(BUILD, MAIN),
        also=("start",),
        facts=as_facts(lambda it: it.id.isdecimal() and it.web_url.startswith("https://github.com/")),
    ),
    "branches_list.json": Sample(
        call=lambda p: p.refs(BUILD), also=("refs",), facts=as_facts(lambda it: str(it[0]) == "master")
    ),
    "error_401.json": Sample(call=lambda p: p.check(), raises=AuthFailed),
    "error_404.json": Sample(call=lambda p: p.build(BUILD, "1"), raises=NotFound),
    "error_403_annotations_fine_grained.json": Sample(
        call=lambda p: p.build(BUILD, "1"),
        raises=AuthFailed,
        facts=as_facts(lambda it: "checks=read" in it.hint),
    ),
    "error_403_primary_rate_limit.json": Sample(
        call=lambda p: p.build(BUILD, "1"), raises=RateLimited, facts=as_facts(lambda it: it.retry_after >= 60)
    ),
    "error_409_cancel_completed.json": Sample(
        call=lambda p: p.cancel(BUILD, "1"), raises=Rejected, facts=as_facts(lambda it: "completed" in str(it))
    ),
    "error_422_dispatch_no_ref.json": Sample(
        call=lambda p: p.start(BUILD, MAIN),
        at="/repos/{owner}/{repo}/actions/workflows/{workflow}/dispatches",
        also=("start",),
        raises=Rejected,
        facts=as_facts(lambda it: "No ref found" in str(it)),
    ),
    "error_422_dispatch_unexpected_inputs.json": Sample(
        call=lambda p: p.start(BUILD, MAIN),
        at="/repos/{owner}/{repo}/actions/workflows/{workflow}/dispatches",
        also=("start",),
        raises=Rejected,
        facts=as_facts(lambda it: "foo" in str(it) and "inputs" in it.hint),
    ),
}
RUN_9041 = "/repos/harbor/ferry/actions/runs/9041"
JOB_8001 = Answer(path="/repos/harbor/ferry/actions/jobs/8001", body={"id": 8001, "run_id": 9041, "name": "tests"})
FOREIGN = Foreign(
    pipeline=BUILD,
    build="9041",
    answers=(Answer(path=RUN_9041, body={**a_run(), "workflow_id": 159039}),),
    belongs_to=SAIL,
)
JOB_PAGES = (
    *(
        JobPage(
            url=url, pipeline=BUILD, build="9041", job="8001", answers=(Answer(path=RUN_9041, body=a_run()), JOB_8001)
        )
        for url in (
            f"{PAGE}/9041/job/8001",
            f"{PAGE}/9041/job/8001?pr=77#step:3:12",
            f"{PAGE}/9041/attempts/2/job/8001",
            "https://github.com/harbor/ferry/runs/8001?check_suite_focus=true",
            "https://github.com/harbor/ferry/pull/77/checks?check_run_id=8001",
        )
    ),
    JobPage(
        url=f"{PAGE}/9041/artifacts/6001", pipeline=BUILD, build="9041", answers=(Answer(path=RUN_9041, body=a_run()),)
    ),
)


def run_of(event: str, **fields: object) -> tuple[Answer, ...]:
    own = {"head_repository": {"full_name": "harbor/ferry"}}
    return (Answer(path=RUN_9041, body={**a_run(), **own, "event": event, **fields}),)


REF_BUILDS: Mapping[str, tuple[Answer, ...] | str] = {
    "branch": run_of("push"),
    "pull_request": run_of(
        "pull_request", head_branch="rails", pull_requests=[{"number": 77, "base": {"ref": "main"}}]
    ),
    "fork": run_of("pull_request", head_repository={"full_name": "stranger/ferry"}),
    "tag": run_of("push", head_branch="v2.1", path=".github/workflows/build.yml@refs/tags/v2.1"),
}
OTHER_CASE = "read by the case of the App"

CASE = Case(
    kind="github_actions",
    options={"owner": "harbor", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset(
        [
            "queued",
            "in_progress",
            "completed",
            "waiting",
            "requested",
            "pending",
            "success",
            "failure",
            "neutral",
            "cancelled",
            "skipped",
            "timed_out",
            "action_required",
            "stale",
            "startup_failure",
        ]
    ),
    calls=CALLS,
    pipeline=BUILD,
    build="9041",
    unknown_state=lambda state: (Answer(path="/repos/harbor/ferry/actions/runs/9041", body=a_run(41, state, None)),),
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds(BUILD, BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, {"workflow_runs": [a_run(10_000 - n)]}),
        ),
        "changes": Endless(call=lambda p: p.changes(SECOND_TICK, BOTH), page=page_of_changes),
        "jobs": Endless(
            call=lambda p: p.jobs(BUILD, "9041"),
            page=lambda asked, n: page(asked, n, {"jobs": [{"id": n, "status": "queued"}]}),
        ),
        "refs": Endless(call=lambda p: p.refs(BUILD), page=lambda asked, n: page(asked, n, [{"name": f"ramp-{n}"}])),
        "counts": Endless(call=lambda p: p.counts(PASSED), page=page_of_checks),
    },
    foreign=FOREIGN,
    job_pages=JOB_PAGES,
    ref_builds=REF_BUILDS,
    sign=sign,
    samples=SAMPLES,
    unread={
        "rate_limit_get.json": "every answer's headers tell the same",
        "installation_token_create.json": OTHER_CASE,
        "app_get.json": OTHER_CASE,
        "installation_repositories_list.json": OTHER_CASE,
    },
    unlisted={
        "/repos/{owner}/{repo}/compare/{basehead}": "the description is an extract; comparing is on GitHub's page",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/logs": "the description is an extract; DELETE is on GitHub's page",
        "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}": "the description is an extract; DELETE is on GitHub's page",
    },
    # it requires some forty addresses of each repository and twenty of each user, which payloads leave out;
    # test_github_actions.py holds them to it but for that
    check_answers=False,
)
