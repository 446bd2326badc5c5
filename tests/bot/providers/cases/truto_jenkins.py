"""Truto before Jenkins in the common tests."""

from bot.core.models import Artifact, Build, BuildFilter, Job, StartRequest, Watched
from tests.bot.providers.case import CONNECTION, Answer, Case, Endless, JobPage
from tests.bot.providers.cases import truto
from tests.bot.providers.cases.truto import LIST, OPTIONS, SECRET, TOKEN, page, whole

JOB_NAME = "port/job/ferry"
TRUTO = "https://truto.harbor.example"
"""Truto and the Jenkins behind it at one address: of a Jenkins elsewhere the address is not known."""
CURSOR = '{"seen":{"port/job/ferry":{"52":true}}}'

CASE = Case(
    kind="truto",
    name="truto_jenkins",
    options={**OPTIONS, "url": TRUTO, "integration": "jenkins", "workflow_id": JOB_NAME},
    secrets=(TOKEN, SECRET),
    states=truto.STATES,
    calls={
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline(JOB_NAME),
        "builds": lambda p: p.builds(JOB_NAME, BuildFilter(limit=2)),
        "build": lambda p: p.build(JOB_NAME, "52"),
        "changes": lambda p: p.changes(CURSOR, Watched(pipelines=frozenset({JOB_NAME}))),
        "cancel": lambda p: p.cancel(JOB_NAME, "53"),
        "artifacts": lambda p: p.artifacts(JOB_NAME, "52"),
        "start": lambda p: p.start(JOB_NAME, StartRequest()),
        "rebuild": lambda p: p.rebuild(JOB_NAME, "52", StartRequest()),
        "retry": lambda p: p.retry(JOB_NAME, "52"),
        "retry_all": lambda p: p.retry(JOB_NAME, "52", failed_only=False),
        "retry_job": lambda p: p.retry(JOB_NAME, "52", job="1"),
        "jobs": lambda p: p.jobs(JOB_NAME, "52"),
        "refs": lambda p: p.refs(JOB_NAME),
        "log": lambda p: p.log(Job(id="1", build="52", pipeline=JOB_NAME, name="Build")),
        "download": lambda p: p.download(Artifact(id="a", build="52", pipeline=JOB_NAME, name="hull.txt")),
        "issues": lambda p: p.issues(JOB_NAME, "52"),
        "counts": lambda p: p.counts(Build(connection=CONNECTION, pipeline=JOB_NAME, id="52")),
    },
    pipeline=JOB_NAME,
    build="52",
    unknown_state=lambda state: (Answer(path=f"{LIST}/52", body={"id": "52", "remote_data": {"result": state}}),),
    foreign="Jenkins's routes hold the job, and Truto is asked for a build of that one",
    job_pages=tuple(
        JobPage(url=f"{TRUTO}/job/port/job/ferry/52/{rest}", pipeline=JOB_NAME, build="52", answers=whole("52", {}, {}))
        for rest in ("", "console", "artifact/hull.txt", "testReport/")
    ),
    ref_builds={
        **dict.fromkeys(("pull_request", "fork", "tag"), "Truto tells no refs of Jenkins's builds"),
        "branch": whole("52", {"branch": "main"}, {}),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=truto.page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds(JOB_NAME, BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, truto.a_build(10_000 - n)),
        ),
    },
    spec_path=truto.custom_folded,
)
