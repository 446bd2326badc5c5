"""Bitbucket in the common tests: an access token."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from bot.core.errors import AuthFailed, NotFound, Rejected
from bot.core.models import (
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
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "ATCT-made-up-for-these-tests"
SECRET = "a-made-up-webhook-secret"
FERRY = "{0f1e2d3c-0000-4000-8000-00000000000a}"
FERRY_PATH = "/2.0/repositories/harbor/%7B0f1e2d3c-0000-4000-8000-00000000000a%7D"
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
OTHER_SHA = "90aa11bb22cc33dd44ee55ff660718293a4b5c6d"


def run_id(number: int) -> str:
    return f"{{0198aa00-0000-4000-8000-{number:012d}}}"


def a_run(number: int = 41, state: str = "COMPLETED", result: str | None = "SUCCESSFUL") -> dict[str, object]:
    return {
        "uuid": run_id(number),
        "build_number": number,
        "state": {"name": state, "result": {"name": result}} if result else {"name": state},
        "repository": {"uuid": FERRY, "full_name": "harbor/ferry"},
        "target": {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main"},
        "created_on": "2026-08-01T11:40:00.123456Z",
    }


def page(request: httpx.Request, number: int, *items: object) -> httpx.Response:
    """A page that names the next one, as Bitbucket's body does."""
    following = request.url.copy_set_param("page", str(number + 1))
    return httpx.Response(200, json={"values": items, "next": str(following)})


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {**headers, "x-hub-signature": f"sha256={signature}"}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def tag(name: str) -> Ref:
    return Ref(kind=RefKind.TAG, name=name)


def commit(name: str) -> Ref:
    return Ref(kind=RefKind.COMMIT, name=name)


def pull_request(number: str) -> Ref:
    return Ref(kind=RefKind.PULL_REQUEST, name=number)


def key(number: int) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=FERRY, id=run_id(number))


STEP = "{0198aa10-0000-4000-8000-000000000002}"
JOB = Job(id=STEP, build=run_id(41), pipeline=FERRY, name="Tests", web_url="https://bitbucket.org/harbor/ferry")
BUILD = Build(
    connection=CONNECTION,
    pipeline=FERRY,
    id=run_id(41),
    commit=SHA,
    status=Status.COMPLETED,
    conclusion=Conclusion.FAILED,
    raw_state="FAILED",
)
FERRY_WATCHED = Watched(pipelines=frozenset({FERRY}))
WATCHED = Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(44)}))
WATCHED_LATER = Watched(pipelines=frozenset({FERRY}), unfinished=frozenset({key(42), key(44), key(30)}))
SECOND_TICK = (
    f'{{"newest": {{"{FERRY}": "2026-08-01T11:40:00.123456Z"}}, "seen": {{"{run_id(44)}": "RUNNING",'
    f' "{run_id(42)}": "PAUSED", "{run_id(41)}": "FAILED 2026-08-01T11:47:30.500000+00:00"}}}}'
)
AFTER_A_NIGHT = f'{{"newest": {{"{FERRY}": "2026-08-01T01:00:00Z"}}, "seen": {{}}}}'
MAIN = StartRequest(ref=branch("main"))

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_narrow": lambda p: p.check(),
    "check_wrong_workspace": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("old-Ferry"),
    "pipeline": lambda p: p.pipeline("Harbor/ferry"),
    "pipeline_missing": lambda p: p.pipeline("no/such thing"),
    "builds": lambda p: p.builds(FERRY, BuildFilter(limit=4)),
    "builds_filtered": lambda p: p.builds(
        FERRY, BuildFilter(branch="ramp-order", commit=SHA[:8], states=frozenset({"failed"}))
    ),
    "builds_passed": lambda p: p.builds(FERRY, BuildFilter(states=frozenset({"passed"}))),
    "builds_commit": lambda p: p.builds(FERRY, BuildFilter(commit=OTHER_SHA)),
    "build": lambda p: p.build(FERRY, run_id(41)),
    "commits": lambda p: p.commits(FERRY, "00" * 20, "b2" * 20),
    "build_paused": lambda p: p.build(FERRY, run_id(42)),
    "build_halted": lambda p: p.build(FERRY, run_id(42)),
    "build_queued": lambda p: p.build(FERRY, run_id(43)),
    "build_expired": lambda p: p.build(FERRY, run_id(42)),
    "build_missing": lambda p: p.build(FERRY, run_id(9)),
    "build_forbidden": lambda p: p.build(FERRY, run_id(41)),
    "build_limited": lambda p: p.build(FERRY, run_id(41)),
    "build_by_number": lambda p: p.build_by_number(FERRY, 41),
    "build_by_number_listed": lambda p: p.build_by_number(FERRY, 41),
    "build_by_number_missing": lambda p: p.build_by_number(FERRY, 43),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_next": lambda p: p.changes(SECOND_TICK, WATCHED_LATER),
    "changes_after_a_night": lambda p: p.changes(AFTER_A_NIGHT, FERRY_WATCHED),
    "changes_cursor_unreadable": lambda p: p.changes("{", FERRY_WATCHED),
    "refs": lambda p: p.refs(FERRY),
    "refs_query": lambda p: p.refs(FERRY, 'ra"il'),
    "parameters": lambda p: p.parameters(FERRY, branch("feature/rails")),
    "parameters_default": lambda p: p.parameters(FERRY, None),
    "parameters_tag": lambda p: p.parameters(FERRY, tag("v2.1")),
    "parameters_tag_lost": lambda p: p.parameters(FERRY, tag("v2.1")),
    "parameters_commit": lambda p: p.parameters(FERRY, commit(OTHER_SHA)),
    "parameters_empty": lambda p: p.parameters(FERRY, commit(OTHER_SHA)),
    "parameters_pull_request": lambda p: p.parameters(FERRY, pull_request("7")),
    "start": lambda p: p.start(
        FERRY,
        StartRequest(
            ref=branch("ramp-order"),
            parameters={"QUAY": "south"},
            options={"selector": "sail", "secured.PASS": "hush"},
            requested_by="Signe Holm",
        ),
    ),
    "start_parameter_selector": lambda p: p.start(
        FERRY, StartRequest(ref=branch("main"), parameters={"selector": "sail", "QUAY": "south"})
    ),
    "start_message": lambda p: p.start(FERRY, StartRequest(message="Try the new ramp")),
    "start_default": lambda p: p.start(FERRY, StartRequest(options={"selector": "default"})),
    "start_no_default": lambda p: p.start(FERRY, StartRequest()),
    "start_tag": lambda p: p.start(FERRY, StartRequest(ref=tag("v2.1"))),
    "start_commit": lambda p: p.start(
        FERRY, StartRequest(ref=commit(OTHER_SHA[:8]), options={"selector": "custom: sail"})
    ),
    "start_commit_unknown": lambda p: p.start(FERRY, StartRequest(ref=commit(OTHER_SHA[:8]))),
    "start_commit_on_branch": lambda p: p.start(
        FERRY, StartRequest(ref=commit(OTHER_SHA), options={"branch": "rails"})
    ),
    "start_branch_at_commit": lambda p: p.start(
        FERRY, StartRequest(ref=branch("main"), commit=OTHER_SHA.upper(), options={"selector": "branches:main"})
    ),
    "start_pull_request": lambda p: p.start(FERRY, StartRequest(ref=pull_request("7"))),
    "start_pull_request_lost": lambda p: p.start(FERRY, StartRequest(ref=pull_request("7"))),
    "start_pull_request_bad": lambda p: p.start(FERRY, StartRequest(ref=pull_request("seven"))),
    "start_unknown_option": lambda p: p.start(FERRY, StartRequest(options={"secured.": "x"})),
    "start_refused": lambda p: p.start(FERRY, StartRequest(ref=branch("nowhere"))),
    "start_timeout": lambda p: p.start(FERRY, StartRequest(ref=branch("main"), options={"selector": "branches:main"})),
    "start_timeout_two": lambda p: p.start(FERRY, MAIN),
    "start_timeout_push": lambda p: p.start(FERRY, MAIN),
    "start_unreached": lambda p: p.start(FERRY, MAIN),
    "cancel": lambda p: p.cancel(FERRY, run_id(44)),
    "cancel_refused": lambda p: p.cancel(FERRY, run_id(41)),
    "cancel_timeout": lambda p: p.cancel(FERRY, run_id(44)),
    "rebuild": lambda p: p.rebuild(FERRY, run_id(41), StartRequest()),
    "rebuild_with_values": lambda p: p.rebuild(
        FERRY, run_id(41), StartRequest(parameters={"QUAY": "south"}, options={"secured.PASS": "hush"})
    ),
    "rebuild_secret": lambda p: p.rebuild(FERRY, run_id(41), StartRequest()),
    "rebuild_untold": lambda p: p.rebuild(FERRY, run_id(41), StartRequest()),
    "rebuild_pull_request": lambda p: p.rebuild(FERRY, run_id(42), StartRequest()),
    "rebuild_commit": lambda p: p.rebuild(FERRY, run_id(42), StartRequest()),
    "rebuild_targetless": lambda p: p.rebuild(FERRY, run_id(42), StartRequest()),
    "rebuild_timeout": lambda p: p.rebuild(FERRY, run_id(42), StartRequest()),
    "jobs": lambda p: p.jobs(FERRY, run_id(41)),
    "log": lambda p: p.log(JOB),
    "log_short": lambda p: p.log(JOB, 18),
    "log_missing": lambda p: p.log(JOB),
    "log_empty": lambda p: p.log(JOB),
    "log_refused": lambda p: p.log(JOB),
    "tests": lambda p: p.tests(FERRY, run_id(41)),
    "issues": lambda p: p.issues(FERRY, run_id(41)),
    "issues_without_commit": lambda p: p.issues(FERRY, run_id(41)),
    "counts": lambda p: p.counts(BUILD),
    "counts_untold": lambda p: p.counts(BUILD),
    "counts_closed_reports": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(FERRY, run_id(42)),
    "gates_halted": lambda p: p.approvals(FERRY, run_id(42)),
    "gates_none": lambda p: p.approvals(FERRY, run_id(41)),
}


def as_facts(check: Callable[[Any], bool]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


THEIRS = {"workspace": "sample-workspace"}
SAMPLES: Mapping[str, Sample] = {
    "pipelines_list_fields.json": Sample(
        call=lambda p: p.builds("sample-repo", BuildFilter(limit=4)),
        facts=as_facts(
            lambda it: (
                [one.raw_state for one in it][:3] == ["FAILED", "SUCCESSFUL", "HALTED"]
                and it[2].waiting
                and it[0].branch is None
                and not [one for one in it if one.web_url]
            )
        ),
    ),
    "pipeline_get_successful.json": Sample(
        call=lambda p: p.build("sample-repo", run_id(1)),
        facts=as_facts(lambda it: it.conclusion is Conclusion.PASSED and it.commit and it.number),
    ),
    "pipeline_get_paused_manual.json": Sample(
        call=lambda p: p.build("sample-repo", run_id(1)),
        facts=as_facts(
            lambda it: (
                it.waiting
                and it.status is Status.IN_PROGRESS
                and it.web_url == "https://bitbucket.org/sample-workspace/sample-repo/pipelines/results/157"
            )
        ),
    ),
    "pipeline_get_scheduled_expired.json": Sample(
        call=lambda p: p.build("sample-repo", run_id(1)),
        facts=as_facts(
            lambda it: (it.conclusion, it.trigger.value, it.name) == (Conclusion.TIMEOUT, "cron", "custom: nightly")
        ),
    ),
    "pipeline_create.json": Sample(
        call=lambda p: p.start("sample-repo", MAIN),
        facts=as_facts(lambda it: it.number == 162 and it.status is Status.QUEUED and it.trigger.value == "web"),
    ),
    "steps_list_stopped.json": Sample(
        call=lambda p: p.jobs(FERRY, run_id(41)),
        also=("build",),
        facts=as_facts(lambda it: [one.conclusion.value for one in it] == ["cancelled", "skipped", "skipped"]),
    ),
    "steps_list_failed.json": Sample(
        call=lambda p: p.jobs(FERRY, run_id(41)),
        also=("build",),
        facts=as_facts(lambda it: it[0].name == "Test" and it[0].conclusion is Conclusion.FAILED and it[0].seconds),
    ),
    "steps_list_manual_gate.json": Sample(
        call=lambda p: p.approvals(FERRY, run_id(42)),
        also=("approvals",),
        facts=as_facts(lambda it: it[0].name == "Deploy to production" and it[0].url and it[0].instructions),
    ),
    "branches_list.json": Sample(
        call=lambda p: anext(p.refs(FERRY)),  # its next page is at another host
        facts=as_facts(lambda it: str(it) == "master"),
    ),
    "user_get.json": Sample(
        call=lambda p: p.check(),
        options={"email": "bells@harbor.example"},
        also=("check",),
        facts=as_facts(lambda it: it.name == "Sample User"),
    ),
    "repositories_list.json": Sample(
        call=lambda p: anext(p.pipelines("stash")),
        facts=as_facts(
            lambda it: (
                (it.path, it.default_branch, it.group) == ("stash-example-plugin", "master", "Project: Atlassian")
            )
        ),
    ),
    "test_reports_get.json": Sample(
        call=lambda p: p.counts(BUILD),
        also=("counts_untold",),
        facts=as_facts(lambda it: (it.test_failures, it.tests_total) == (3, 120)),
    ),
    "test_cases_list.json": Sample(
        call=lambda p: p.tests(FERRY, run_id(41)),
        also=("counts_untold",),
        facts=as_facts(
            lambda it: [(one.outcome, one.seconds) for one in it] == [(Outcome.FAILED, 0.123), (Outcome.PASSED, 0.01)]
        ),
    ),
    "error_404_repository.json": Sample(
        call=lambda p: p.build(FERRY, "1"), raises=NotFound, facts=as_facts(lambda it: "dev/null" in str(it))
    ),
    "error_401_expired.json": Sample(
        call=lambda p: p.check(), raises=AuthFailed, facts=as_facts(lambda it: "expired" in str(it))
    ),
    "error_400_yml_not_found.json": Sample(
        call=lambda p: p.start(FERRY, MAIN), raises=Rejected, facts=as_facts(lambda it: "not found" in str(it))
    ),
    "webhook_commit_status_created_pipeline.json": Sample(
        options=THEIRS,
        facts=as_facts(lambda event: (event.pipeline, event.build) == ("{2b922c6d-3824-4e91-a7be-90c8b8392f84}", None)),
    ),
    "webhook_commit_status_updated_other.json": Sample(
        options={"workspace": "team_name"}, facts=as_facts(lambda event: event is None)
    ),
}

BEACON = "{0f1e2d3c-0000-4000-8000-00000000000b}"
ON_RUN_41 = (
    Answer(path="/2.0/repositories/harbor/{repository}/pipelines/41", body=a_run()),
    Answer(
        path="/2.0/repositories/harbor/{repository}/pipelines/%7B0198aa00-0000-4000-8000-000000000041%7D", body=a_run()
    ),
)


def kind_of_ref(**target: object) -> tuple[Answer, ...]:
    run = {**a_run(), "target": {"type": "pipeline_ref_target", "commit": {"hash": SHA}, **target}}
    return (Answer(path=f"{FERRY_PATH}/pipelines/{{build}}", body=run),)


CASE = Case(
    kind="bitbucket",
    options={"workspace": "harbor", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset(
        [
            "PARSING",
            "PENDING",
            "IN_PROGRESS",
            "RUNNING",
            "BUILDING",
            "PAUSED",
            "HALTED",
            "COMPLETED",
            "SUCCESSFUL",
            "FAILED",
            "ERROR",
            "STOPPED",
            "EXPIRED",
        ]
    ),
    calls=CALLS,
    pipeline=FERRY,
    build=run_id(41),
    unknown_state=lambda state: (
        Answer(path=f"{FERRY_PATH}/pipelines/{{build}}", body=a_run(41, "COMPLETED", state)),
        Answer(path=f"{FERRY_PATH}/pipelines/{{build}}/steps", body={"values": []}),
    ),
    foreign=Foreign(pipeline=BEACON, build=run_id(41), answers=ON_RUN_41, belongs_to=FERRY),
    job_pages=tuple(
        JobPage(url=url, pipeline=FERRY, build=run_id(41), job=job, answers=ON_RUN_41)
        for url, job in (
            (f"https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/{quote(STEP)}", STEP),
            (f"https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/{quote(STEP)}/test-report", STEP),
            (f"https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41/steps/{quote(STEP)}", STEP),
            ("https://bitbucket.org/harbor/ferry/pipelines/results/41/artifacts", None),
            (f"https://api.bitbucket.org/2.0/repositories/harbor/ferry/pipelines/{quote(run_id(41))}", None),
        )
    ),
    ref_builds={
        "branch": kind_of_ref(ref_type="branch", ref_name="main"),
        "pull_request": kind_of_ref(
            type="pipeline_pullrequest_target", source="rails", destination="main", pullrequest={"id": 7}
        ),
        "fork": "a run does not tell where its pull request comes from; it counts as the pull request's",
        "tag": kind_of_ref(ref_type="tag", ref_name="v2.1"),
    },
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda asked, n: page(asked, n, {"uuid": f"{{{n}}}", "full_name": f"harbor/ferry-{n}"}),
        ),
        "builds": Endless(
            call=lambda p: p.builds(FERRY, BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, a_run(10_000 - n)),
        ),
        "changes": Endless(
            call=lambda p: p.changes(AFTER_A_NIGHT, FERRY_WATCHED),
            page=lambda asked, n: page(asked, n, a_run(10_000 - n)),
        ),
        "refs": Endless(call=lambda p: p.refs(FERRY), page=lambda asked, n: page(asked, n, {"name": f"rails-{n}"})),
        "tests": Endless(
            call=lambda p: p.tests(FERRY, run_id(41)),
            page=lambda asked, n: page(
                asked,
                n,
                {"uuid": f"{{{n}}}", "name": "Hull", "state": {"name": "COMPLETED", "result": {"name": "FAILED"}}},
            ),
        ),
    },
    sign=sign,
    samples=SAMPLES,
    unread={
        "deployments_list.json": "deployments are not builds; their permissions are checked on their pages",
        "commit_statuses_list.json": "pipelines are read by their own list, not by what they post to commits",
        "hook_get.json": "an admin sets the webhook up",
        "user_workspaces_list.json": "the workspace is an option",
    },
    unlisted={
        "/2.0/repositories/{workspace}/{repository}/commits": "the subset of the description leaves it out;"
        " https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/ has it",
        "/2.0/repositories/{workspace}/{repository}/pullrequests/{id}": "the subset of the description leaves it out;"
        " https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/ has it",
    },
    undeclared={
        "sort": "a minus for descending is a rule of all lists, and the enumeration leaves it out",
        "pagelen": "all lists take it; only some declare it",
        "page": "a list's own link to its next page carries it",
        "fields": "all answers can be narrowed and widened by it",
    },
)
