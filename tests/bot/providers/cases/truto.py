"""Truto in the common tests: GitHub behind it. The other systems have cases of their own."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from bot.core.errors import AuthFailed, RateLimited, Rejected
from bot.core.models import (
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
from bot.providers.base.provider import Provider
from bot.providers.truto.client import BuildQuery
from bot.providers.truto.provider import Truto
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, JobPage, Sample

TOKEN = "trt_made_up_for_these_tests"
SECRET = "a-made-up-webhook-secret"
ACCOUNT = "0f4e2b66-7a10-4c8e-9d53-2b1f60a7c9e4"
OPTIONS: Mapping[str, object] = {"token": TOKEN, "integrated_account_id": ACCOUNT, "webhook_secret": SECRET}
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
LIST = "/unified/ci-cd/builds"
UNIFIED = "queued in_progress completed passed failed cancelled timeout skipped retried partial"
GITHUB = "waiting requested pending success failure neutral timed_out action_required stale startup_failure"
AZURE_DEVOPS = "none notStarted postponed inProgress cancelling succeeded partiallySucceeded canceled"
BITBUCKET = "PARSING PENDING IN_PROGRESS PAUSED HALTED COMPLETED SUCCESSFUL FAILED ERROR STOPPED EXPIRED"
CIRCLECI_WORDS = "setup-pending setup created errored running failing on_hold error unauthorized not_run"
JENKINS_WORDS = "SUCCESS UNSTABLE FAILURE ABORTED NOT_BUILT"
TRAVIS_CI = "received started"
ALL_WORDS = (UNIFIED, GITHUB, AZURE_DEVOPS, BITBUCKET, CIRCLECI_WORDS, JENKINS_WORDS, TRAVIS_CI)
STATES = frozenset(word for words in ALL_WORDS for word in words.split())


def a_build(number: int = 41, conclusion: str | None = "passed", **more: object) -> dict[str, object]:
    return {
        "id": str(9000 + number),
        "number": number,
        "status": "completed",
        "conclusion": conclusion,
        "branch": "main",
        "created_at": "2026-08-01T11:00:00Z",
        **more,
    }


def page_of(items: list[dict[str, object]], cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"result": items, "next_cursor": cursor})


def page(_asked: httpx.Request, number: int, item: dict[str, object]) -> httpx.Response:
    """A page that names the next one."""
    return page_of([item], f"page-{number + 1}")


def page_of_pipelines(asked: httpx.Request, number: int) -> httpx.Response:
    """Endless repositories (or jobs); the first request is for the one that the options name."""
    single = asked.url.path.removeprefix("/unified/ci-cd/").count("/")
    named: dict[str, object] = {"id": str(number), "name": f"pier-{number}"}
    return httpx.Response(200, json=named) if single else page(asked, number, named)


def whole(number: str, fields: Mapping[str, object], remote: Mapping[str, object]) -> tuple[Answer, ...]:
    """Answers under which a build has unified fields and the system's own."""
    body = {"id": number, "status": "completed", "conclusion": "passed", **fields, "remote_data": remote}
    return (Answer(path=f"{LIST}/{{id}}", body=body), Answer(path=LIST, body={"result": [body], "next_cursor": None}))


def sign(body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {**headers, "x-truto-signature": f"format=sha256,v={signature}"}, None


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def key(build: str, pipeline: str = "ferry") -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=build)


def custom_folded(path: str) -> str:
    """Below /custom/ stands any path; the description has one word for it."""
    return "/custom/path" if path.startswith("/custom/") else path


def as_facts(check: Callable[[Any], bool]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


def as_listed(provider: Provider[Any]) -> object:
    """CircleCI's builds as the list has them, without their jobs."""
    assert isinstance(provider, Truto)
    return provider._client.listed_builds("gh/acme/widgets", BuildQuery(limit=1))


JOB = Job(id="70001", build="9041", pipeline="ferry", name="tests", web_url="https://github.com/harbor/ferry")
ARTIFACT = Artifact(id="800", build="9041", pipeline="ferry", name="hull.zip")
BUILD = Build(connection=CONNECTION, pipeline="ferry", id="9041", status=Status.COMPLETED, conclusion=Conclusion.FAILED)
WATCHED = Watched(pipelines=frozenset({"ferry"}))
WATCHED_LATER = Watched(pipelines=frozenset({"ferry"}), unfinished=frozenset({key("9042"), key("9030")}))
CURSOR = '{"seen":{"ferry":{"9041":true,"9042":false}}}'
DISPATCH = StartRequest(ref=branch("main"), options={"workflow": "ci.yml"})

CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_lacking": lambda p: p.check(),
    "check_disconnected": lambda p: p.check(),
    "check_blocked": lambda p: p.check(),
    "check_other_system": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("BEAC"),
    "pipeline": lambda p: p.pipeline("harbor/ferry"),
    "pipeline_missing": lambda p: p.pipeline("no/such"),
    "builds": lambda p: p.builds("ferry", BuildFilter(limit=4)),
    "builds_filtered": lambda p: p.builds(
        "ferry", BuildFilter(branch="ramp", commit=SHA, states=frozenset({"failed"}), limit=1)
    ),
    "builds_running": lambda p: p.builds("ferry", BuildFilter(states=frozenset({"in_progress"}))),
    "builds_many_states": lambda p: p.builds(
        "ferry", BuildFilter(commit=SHA[:8], states=frozenset({"blocked", "failed"}))
    ),
    "build": lambda p: p.build("ferry", "9041"),
    "build_bare": lambda p: p.build("ferry", "9041"),
    "build_waiting": lambda p: p.build("ferry", "9045"),
    "build_missing": lambda p: p.build("ferry", "1"),
    "build_forbidden_beneath": lambda p: p.build("ferry", "9041"),
    "build_limited_beneath": lambda p: p.build("ferry", "9041"),
    "build_refused_beneath": lambda p: p.build("ferry", "9041"),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_next": lambda p: p.changes(CURSOR, WATCHED_LATER),
    "changes_refused_beneath": lambda p: p.changes(None, WATCHED),
    "refs": lambda p: p.refs("ferry"),
    "refs_query": lambda p: p.refs("ferry", "RA"),
    "start": lambda p: p.start(
        "ferry",
        StartRequest(ref=branch("main"), parameters={"TIDE": "high"}, options={"workflow": "ci.yml"}),
    ),
    "start_default": lambda p: p.start("ferry", StartRequest(options={"workflow": "ci.yml"})),
    "start_no_default": lambda p: p.start("ferry", StartRequest(options={"workflow": "ci.yml"})),
    "start_tag": lambda p: p.start(
        "ferry", StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"), options={"workflow": "77"})
    ),
    "start_commit": lambda p: p.start(
        "ferry", StartRequest(ref=Ref(kind=RefKind.COMMIT, name=SHA), options={"workflow": "ci.yml"})
    ),
    "start_pull_request": lambda p: p.start(
        "ferry", StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="77"), options={"workflow": "ci.yml"})
    ),
    "start_no_workflow": lambda p: p.start("ferry", StartRequest(ref=branch("main"))),
    "start_unknown_option": lambda p: p.start("ferry", StartRequest(ref=branch("main"), options={"colour": "red"})),
    "start_message": lambda p: p.start("ferry", StartRequest(ref=branch("main"), message="Try the ramp")),
    "start_refused": lambda p: p.start("ferry", DISPATCH),
    "start_silent": lambda p: p.start("ferry", DISPATCH),
    "start_timeout": lambda p: p.start("ferry", DISPATCH),
    "start_timeout_unseen": lambda p: p.start("ferry", DISPATCH),
    "start_not_there_yet": lambda p: p.start("ferry", DISPATCH),
    "start_not_passed_on": lambda p: p.start("ferry", DISPATCH),
    "cancel": lambda p: p.cancel("ferry", "9042"),
    "cancel_refused": lambda p: p.cancel("ferry", "9041"),
    "cancel_sandbox": lambda p: p.cancel("ferry", "9042"),
    "cancel_timeout": lambda p: p.cancel("ferry", "9042"),
    "rebuild_refused": lambda p: p.rebuild("ferry", "9041", StartRequest()),
    "retry": lambda p: p.retry("ferry", "9041"),
    "retry_all": lambda p: p.retry("ferry", "9041", failed_only=False),
    "retry_job": lambda p: p.retry("ferry", "9041", job="70001"),
    "retry_timeout": lambda p: p.retry("ferry", "9041"),
    "jobs": lambda p: p.jobs("ferry", "9041"),
    "log": lambda p: p.log(JOB, 40),
    "log_short": lambda p: p.log(JOB, 4000),
    "log_missing": lambda p: p.log(JOB, 40),
    "artifacts": lambda p: p.artifacts("ferry", "9041"),
    "download": lambda p: p.download(ARTIFACT),
    "issues": lambda p: p.issues("ferry", "9041"),
    "counts": lambda p: p.counts(BUILD),
}


def github_ref(event: str, **more: object) -> tuple[Answer, ...]:
    """Answers under which build 9041 of branch main was made by an event."""
    remote = {
        "event": event,
        "repository": {"full_name": "harbor/ferry"},
        "head_repository": {"full_name": "harbor/ferry"},
    }
    return whole("9041", {"branch": "main", "trigger": event}, {**remote, **more})


ON_9041 = (
    *whole("9041", {"branch": "main", "trigger": "push"}, {}),
    Answer(path="/unified/ci-cd/jobs/70001", body={"id": "70001", "name": "tests", "remote_data": {"run_id": 9041}}),
)
CIRCLECI = {"integration": "circleci", "repo_id": "gh/acme/widgets", "owner": None}
AZURE = {"integration": "Azure DevOps", "workspace_id": "acme", "repo": "widgets", "owner": None, "repo_id": None}
JENKINS = {"integration": "jenkins", "workflow_id": "team/job/app/job/main", "owner": None, "repo_id": None}
ACME = {"owner": "acme", "repo_id": "widgets"}
THEIR_ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"

SAMPLES: Mapping[str, Sample] = {
    "builds_list_github.json": Sample(
        call=lambda p: p.builds("widgets", BuildFilter(limit=3)),
        options=ACME,
        facts=as_facts(
            lambda it: (
                [(one.status, one.conclusion, one.waiting) for one in it]
                == [
                    (Status.COMPLETED, Conclusion.FAILED, False),
                    (Status.IN_PROGRESS, None, False),
                    (Status.IN_PROGRESS, None, True),
                ]
                and [one.trigger for one in it] == [Trigger.PUSH, Trigger.WEB, Trigger.MERGE_REQUEST]
                and it[0].attempt == 2
                and it[0].web_url.endswith("/17890000001")
            )
        ),
    ),
    "builds_list_circleci.json": Sample(
        call=as_listed,
        options=CIRCLECI,
        facts=as_facts(
            lambda it: (
                (it[0].raw_state, it[0].status, it[0].conclusion) == ("created", Status.IN_PROGRESS, None)
                and it[0].trigger is Trigger.PUSH
                and it[0].web_url == "https://app.circleci.com/pipelines/github/acme/widgets/412"
                and it[0].started_at is None
            )
        ),
    ),
    "build_get_jenkins.json": Sample(
        call=lambda p: p.build("team/job/app/job/main", "52"),
        options=JENKINS,
        facts=as_facts(lambda it: (it.number, it.conclusion, it.seconds) == (52, Conclusion.PASSED, 510)),
    ),
    "builds_list_azure.json": Sample(
        call=lambda p: p.builds("widgets", BuildFilter()),
        options=AZURE,
        facts=as_facts(
            lambda it: (
                (it[0].branch, it[0].conclusion, it[0].name) == ("main", Conclusion.PARTIAL, "20261120.1")
                and it[0].seconds == 130
            )
        ),
    ),
    "jobs_list.json": Sample(
        call=lambda p: p.jobs("widgets", "17890000001"),
        options=ACME,
        facts=as_facts(lambda it: (it[0].name, it[0].conclusion, it[0].seconds) == ("test", Conclusion.FAILED, 508)),
    ),
    "artifacts_list.json": Sample(
        call=lambda p: p.artifacts("widgets", "17890000001"),
        options=ACME,
        facts=as_facts(lambda it: (it[0].id, it[0].size_bytes, it[0].url) == ("9001", 182733, None)),
    ),
    "capabilities.json": Sample(
        call=lambda p: p.check(),
        at="/integrated-account/{id}/capabilities",
        also=("check",),
        facts=as_facts(lambda it: it.missing == ()),
    ),
    "error_400.json": Sample(
        call=lambda p: p.build("ferry", "1"), raises=Rejected, facts=as_facts(lambda it: "name is required" in str(it))
    ),
    "error_401.json": Sample(
        call=lambda p: p.build("ferry", "1"),
        raises=AuthFailed,
        facts=as_facts(lambda it: "refused the credentials" in str(it) and "reconnect" not in it.hint),
    ),
    "error_401_remote.json": Sample(
        call=lambda p: p.build("ferry", "1"),
        raises=AuthFailed,
        facts=as_facts(lambda it: "Bad credentials" in str(it) and "reconnect" in it.hint),
    ),
    "error_429.json": Sample(
        call=lambda p: p.build("ferry", "1"), raises=RateLimited, facts=as_facts(lambda it: it.retry_after == 10)
    ),
    "webhook_integrated_account_active.json": Sample(
        options={"integrated_account_id": THEIR_ACCOUNT},
        facts=as_facts(lambda event: (event.delivery, event.pipeline, event.build) == ("evt_01", None, None)),
    ),
    "webhook_test.json": Sample(facts=as_facts(lambda event: event is None)),
}

CASE = Case(
    kind="truto",
    options={**OPTIONS, "integration": "github", "owner": "harbor", "repo_id": "ferry"},
    secrets=(TOKEN, SECRET),
    states=STATES,
    calls=CALLS,
    pipeline="ferry",
    build="9041",
    unknown_state=lambda state: (Answer(path=f"{LIST}/9041", body=a_build(41, state)),),
    foreign="GitHub's routes hold the repository, and Truto is asked for a build of that one",
    job_pages=tuple(
        JobPage(url=url, pipeline="ferry", build="9041", job=job, answers=ON_9041)
        for url, job in (
            ("https://github.com/harbor/ferry/actions/runs/9041/job/70001", "70001"),
            ("https://github.com/Harbor/ferry/actions/runs/9041/attempts/2", None),
            ("https://github.com/harbor/ferry/runs/70001", "70001"),
        )
    ),
    ref_builds={
        "branch": github_ref("push"),
        "pull_request": github_ref("pull_request", pull_requests=[{"number": 7, "base": {"ref": "main"}}]),
        "fork": github_ref("pull_request", pull_requests=[], head_repository={"full_name": "rival/ferry"}),
        "tag": whole("9041", {"branch": "refs/tags/v2.1", "trigger": "push"}, {}),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds("ferry", BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, a_build(10_000 - n)),
        ),
        "changes": Endless(
            call=lambda p: p.changes(CURSOR, WATCHED), page=lambda asked, n: page(asked, n, a_build(10_000 - n))
        ),
        "jobs": Endless(
            call=lambda p: p.jobs("ferry", "9041"),
            page=lambda asked, n: page(asked, n, {"id": str(n), "name": "tests", "status": "queued"}),
        ),
        "artifacts": Endless(
            call=lambda p: p.artifacts("ferry", "9041"), page=lambda asked, n: page(asked, n, {"id": str(n)})
        ),
        "refs": Endless(
            call=lambda p: p.refs("ferry"), page=lambda asked, n: page(asked, n, {"id": str(n), "name": f"b{n}"})
        ),
    },
    sign=sign,
    samples=SAMPLES,
    unread={"integrated_accounts_list.json": "the connection names its account; that one is read, not their list"},
    spec_path=custom_folded,
)
