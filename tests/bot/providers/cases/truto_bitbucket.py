"""Truto before Bitbucket in the common tests."""

from urllib.parse import quote

from bot.core.models import BuildFilter, Job, Ref, RefKind, StartRequest
from tests.bot.providers.case import Answer, Case, Endless, JobPage
from tests.bot.providers.cases import truto
from tests.bot.providers.cases.truto import LIST, OPTIONS, SECRET, SHA, TOKEN, branch, page, whole

BUILD = "{6b1d0c3e-0000-4000-8000-000000000041}"
COMMIT = Ref(kind=RefKind.COMMIT, name=SHA)
TAG = Ref(kind=RefKind.TAG, name="v2.1")

STEP = "{57e90000-0000-4000-8000-000000000001}"


def bitbucket_ref(**target: object) -> tuple[Answer, ...]:
    """Answers under which a build has a target, as Bitbucket tells it."""
    return whole(BUILD, {"number": 41}, {"build_number": 41, "target": target})


ON_41 = bitbucket_ref(ref_type="branch", ref_name="main", source="main")

CASE = Case(
    kind="truto",
    name="truto_bitbucket",
    options={**OPTIONS, "integration": "bitbucket", "workspace_id": "harbor", "repo": "ferry"},
    secrets=(TOKEN, SECRET),
    states=truto.STATES,
    calls={
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline("ferry"),
        "pipeline_by_name": lambda p: p.pipeline("The Beacon"),
        "builds": lambda p: p.builds("ferry", BuildFilter(limit=4)),
        "builds_failed": lambda p: p.builds("ferry", BuildFilter(branch="main", states=frozenset({"failed"}))),
        "build": lambda p: p.build("ferry", BUILD),
        "start": lambda p: p.start("ferry", StartRequest(ref=branch("main"), commit=SHA, parameters={"TIDE": "high"})),
        "start_custom": lambda p: p.start("ferry", StartRequest(ref=TAG, options={"custom": "Launch"})),
        "start_custom_commit": lambda p: p.start("ferry", StartRequest(ref=COMMIT, options={"custom": "Launch"})),
        "start_commit": lambda p: p.start("ferry", StartRequest(ref=COMMIT)),
        "start_pull_request": lambda p: p.start("ferry", StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7"))),
        "cancel": lambda p: p.cancel("ferry", BUILD),
        "rebuild": lambda p: p.rebuild("ferry", BUILD, StartRequest(parameters={"TIDE": "low"})),
        "rebuild_hidden": lambda p: p.rebuild("ferry", BUILD, StartRequest(parameters={"TIDE": "low"})),
        "rebuild_untold": lambda p: p.rebuild("ferry", BUILD, StartRequest(parameters={"TIDE": "low"})),
        "rebuild_bare": lambda p: p.rebuild("ferry", BUILD, StartRequest()),
        "rebuild_unknown": lambda p: p.rebuild("ferry", BUILD, StartRequest()),
        "jobs": lambda p: p.jobs("ferry", BUILD),
        "log": lambda p: p.log(Job(id="{57e9}", build=BUILD, pipeline="ferry", name="Build")),
    },
    undeclared={"fields": "Bitbucket's own parameter, passed on"},
    pipeline="ferry",
    build=BUILD,
    unknown_state=lambda state: (
        Answer(path=f"{LIST}/{{id}}", body={"id": BUILD, "remote_data": {"state": {"name": state}}}),
    ),
    foreign="Bitbucket's routes hold the repository, and Truto is asked for a build of that one",
    job_pages=tuple(
        JobPage(url=url, pipeline="ferry", build=BUILD, job=job, answers=ON_41)
        for url, job in (
            (f"https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/{quote(STEP)}", STEP),
            ("https://bitbucket.org/Harbor/ferry/pipelines/results/41", None),
        )
    ),
    ref_builds={
        "branch": ON_41,
        "pull_request": bitbucket_ref(source="rails", destination="main", pullrequest={"id": 7}),
        "fork": "a run does not tell where its pull request comes from; it counts as the pull request's",
        "tag": bitbucket_ref(ref_type="tag", ref_name="v2.1"),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=truto.page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds("ferry", BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, truto.a_build(10_000 - n)),
        ),
    },
    spec_path=truto.custom_folded,
)
