"""Truto before Travis CI in the common tests."""

from bot.core.models import Build, BuildFilter, Job, Ref, RefKind, StartRequest
from tests.bot.providers.case import CONNECTION, Answer, Case, Endless, Foreign, JobPage
from tests.bot.providers.cases import truto
from tests.bot.providers.cases.truto import LIST, OPTIONS, SECRET, SHA, TOKEN, branch, page, whole

FERRY = "harbor/ferry"

OF_FERRY = {"repository": {"id": 61, "slug": FERRY}}
ON_7041 = (
    *whole("7041", {"branch": "main"}, OF_FERRY),
    Answer(path="/custom/job/601", body={"id": 601, "build": {"id": 7041}}),
)

CASE = Case(
    kind="truto",
    name="truto_travis_ci",
    options={**OPTIONS, "integration": "travis", "repo_id": FERRY},
    secrets=(TOKEN, SECRET),
    states=truto.STATES,
    calls={
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline(FERRY),
        "builds": lambda p: p.builds(FERRY, BuildFilter(limit=4)),
        "builds_failed": lambda p: p.builds(FERRY, BuildFilter(branch="main", states=frozenset({"failed"}))),
        "builds_running": lambda p: p.builds(FERRY, BuildFilter(states=frozenset({"in_progress"}))),
        "build": lambda p: p.build(FERRY, "7041"),
        "start": lambda p: p.start(
            FERRY,
            StartRequest(ref=branch("main"), commit=SHA, message="Try the ramp", parameters={"TIDE": "high"}),
        ),
        "start_tag": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"))),
        "start_commit": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.COMMIT, name=SHA))),
        "start_rejected": lambda p: p.start(FERRY, StartRequest(ref=branch("main"))),
        "start_slow": lambda p: p.start(FERRY, StartRequest(ref=branch("main"))),
        "start_pull_request": lambda p: p.start(FERRY, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7"))),
        "cancel": lambda p: p.cancel(FERRY, "7043"),
        "retry": lambda p: p.retry(FERRY, "7041"),
        "retry_nothing": lambda p: p.retry(FERRY, "7041"),
        "retry_all": lambda p: p.retry(FERRY, "7041", failed_only=False),
        "retry_job": lambda p: p.retry(FERRY, "7041", job="601"),
        "jobs": lambda p: p.jobs(FERRY, "7041"),
        "issues": lambda p: p.issues(FERRY, "7041"),
        "counts": lambda p: p.counts(Build(connection=CONNECTION, pipeline=FERRY, id="7041")),
        "log": lambda p: p.log(Job(id="601", build="7041", pipeline=FERRY, name="unit")),
    },
    pipeline=FERRY,
    build="7041",
    unknown_state=lambda state: (Answer(path=f"{LIST}/7041", body={"id": "7041", "remote_data": {"state": state}}),),
    foreign=Foreign(pipeline="harbor/beacon", build="7041", answers=ON_7041, belongs_to=FERRY),
    job_pages=tuple(
        JobPage(url=url, pipeline=FERRY, build="7041", job=job, answers=ON_7041)
        for url, job in (
            ("https://app.travis-ci.com/github/harbor/ferry/jobs/601", "601"),
            ("https://app.travis-ci.com/harbor/ferry/builds/7041/config", None),
        )
    ),
    ref_builds={
        "branch": ON_7041,
        "pull_request": whole(
            "7041", {"branch": "main"}, {**OF_FERRY, "event_type": "pull_request", "pull_request_number": 7}
        ),
        "fork": "a build does not tell where its pull request comes from; it counts as the pull request's",
        "tag": whole("7041", {"branch": "v2.1"}, {**OF_FERRY, "tag": {"name": "v2.1"}}),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=truto.page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds(FERRY, BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, truto.a_build(10_000 - n)),
        ),
    },
    spec_path=truto.custom_folded,
)
