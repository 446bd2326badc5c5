"""GitLab, API v3, in the common tests: a server of 8.x below a path of its host."""

import json
from collections.abc import Mapping
from dataclasses import replace

import httpx

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
    Watched,
)
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, JobPage, Sample
from tests.bot.providers.cases.gitlab import CASE as V4

TOKEN = "old-token-made-up"
TRIGGER = "trigger-made-up"
SECRET = "a plain webhook secret".replace(" ", "-")
ROOT = "https://old.harbour.example/gitlab"
PROJECT = "31"
SHA = "ab34cd56ef7890ab34cd56ef7890ab34cd56ef78"


def master() -> StartRequest:
    return StartRequest(ref=Ref(kind=RefKind.BRANCH, name="master"))


def key(build: str) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=PROJECT, id=build)


def sign(_body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    return {**headers, "x-gitlab-token": SECRET}, None


def full(body: object, *, count: int = 100) -> httpx.Response:
    """A full page without any paging header, as some lists of v3 are."""
    return httpx.Response(200, json=[body] * count)


WATCHED = Watched(pipelines=frozenset({PROJECT}), unfinished=frozenset({key("40"), key("75")}))
ENDED_AT = "2016-08-01T08:02:00.000Z 2016-08-01T08:03:00.000Z"
CURSOR = json.dumps({"at": {PROJECT: {"72": "running 2016-08-01T08:02:00.000Z", "71": f"success {ENDED_AT}"}}})
JOB = Job(id="72", build="72", pipeline=PROJECT, name="unit", web_url=f"{ROOT}/harbour/gate/builds/72")
FILE = Artifact(id="72/archive", build="72", pipeline=PROJECT, name="artifacts.zip", kind="archive")
BUILD = Build(connection=CONNECTION, pipeline=PROJECT, id="72", status=Status.COMPLETED, conclusion=Conclusion.FAILED)
MANUAL = Approval(id="job/74", build="74", pipeline=PROJECT, name="ship")


def of_states(*states: str, commit: str | None = None) -> BuildFilter:
    return BuildFilter(states=frozenset(states), commit=commit)


CALLS: dict[str, Call] = {
    "check": lambda p: p.check(),
    "check_before_8_13": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines("gate"),
    "pipeline": lambda p: p.pipeline("harbour/gate"),
    "builds": lambda p: p.builds(PROJECT, BuildFilter(branch="master")),
    "builds_states": lambda p: p.builds(PROJECT, of_states("pending", "failed")),
    "builds_one_state": lambda p: p.builds(PROJECT, of_states("cancelled")),
    "builds_beyond_scope": lambda p: p.builds(PROJECT, of_states("blocked", "failed")),
    "builds_commit": lambda p: p.builds(PROJECT, of_states("failed", commit=SHA)),
    "builds_commit_unknown": lambda p: p.builds(PROJECT, BuildFilter(commit=SHA)),
    "build": lambda p: p.build(PROJECT, "72"),
    "build_tag": lambda p: p.build(PROJECT, "80"),
    "build_erased": lambda p: p.build(PROJECT, "72"),
    "build_missing": lambda p: p.build(PROJECT, "9"),
    "build_by_number": lambda p: p.build_by_number(PROJECT, 72),
    "build_of_job": lambda p: p.build_of_job(PROJECT, "72"),
    "changes": lambda p: p.changes(CURSOR, WATCHED),
    "refs": lambda p: p.refs(PROJECT, "HINGE"),
    "start": lambda p: p.start(PROJECT, StartRequest()),
    "start_no_answer": lambda p: p.start(PROJECT, master()),
    "start_no_answer_two": lambda p: p.start(PROJECT, master()),
    "start_before_8_14": lambda p: p.start(PROJECT, master()),
    "start_variables": lambda p: p.start(PROJECT, replace(master(), parameters={"OIL": "whale"})),
    "start_lost": lambda p: p.start(PROJECT, master()),
    "start_refused": lambda p: p.start(PROJECT, master()),
    "cancel": lambda p: p.cancel(PROJECT, "75"),
    "cancel_no_answer": lambda p: p.cancel(PROJECT, "75"),
    "rebuild": lambda p: p.rebuild(PROJECT, "72", StartRequest()),
    "retry": lambda p: p.retry(PROJECT, "72"),
    "retry_job": lambda p: p.retry(PROJECT, "72", job="72"),
    "retry_no_answer": lambda p: p.retry(PROJECT, "72"),
    "erase": lambda p: p.erase(PROJECT, "72"),
    "erase_job": lambda p: p.erase_job(PROJECT, "72"),
    "erase_refused": lambda p: p.erase(PROJECT, "72"),
    "jobs": lambda p: p.jobs(PROJECT, "72"),
    "log": lambda p: p.log(JOB),
    "log_none": lambda p: p.log(JOB),
    "artifacts": lambda p: p.artifacts(PROJECT, "72"),
    "artifacts_none": lambda p: p.artifacts(PROJECT, "71"),
    "download": lambda p: p.download(FILE),
    "download_none": lambda p: p.download(FILE),
    "issues": lambda p: p.issues(PROJECT, "72"),
    "issues_passed": lambda p: p.issues(PROJECT, "71"),
    "counts": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(PROJECT, "74"),
    "decide": lambda p: p.decide(MANUAL, approve=True),
    "decide_no_answer": lambda p: p.decide(MANUAL, approve=True),
}


def is_sample_list(builds: list[Build]) -> None:
    assert [(each.id, each.number, each.name, each.conclusion) for each in builds] == [
        ("7", 7, "teaspoon", Conclusion.FAILED),
        ("6", 6, "spinach:other", Conclusion.FAILED),
    ]
    assert builds[0].branch == "master"
    assert builds[0].message == "Test the CI integration."
    assert builds[0].triggered_by == "root"
    assert builds[0].details == {
        "stage": "test",
        "starter's name": "Administrator",
        "artifacts": "artifacts.zip (1,000 bytes)",
        "committed": "2015-12-24 15:51:14 UTC",
    }


def is_sample_build(build: Build) -> None:
    assert (build.id, build.name, build.conclusion) == ("8", "rubocop", Conclusion.FAILED)


def is_sample_cancel(build: Build) -> None:
    assert (build.id, build.conclusion, build.started_at) == ("69", Conclusion.CANCELLED, None)


def is_sample_erase(build: Build) -> None:
    assert (build.id, build.conclusion) == ("69", Conclusion.FAILED)


GATE_ITSELF = Answer(
    path=f"/gitlab/api/v3/projects/{PROJECT}",
    body={"id": int(PROJECT), "path_with_namespace": "harbour/gate", "web_url": f"{ROOT}/harbour/gate"},
)
GATE_BY_PATH = replace(GATE_ITSELF, path="/gitlab/api/v3/projects/harbour%2Fgate")


def build_72(**fields: object) -> tuple[Answer, ...]:
    body = {"id": 72, "status": "failed", "name": "unit", "ref": "master", "tag": False, **fields}
    return GATE_ITSELF, GATE_BY_PATH, Answer(path=f"/gitlab/api/v3/projects/{PROJECT}/builds/72", body=body)


CASE = Case(
    kind="gitlab",
    name="gitlab_v3",
    options={
        "url": ROOT,
        "token": TOKEN,
        "trigger_token": TRIGGER,
        "webhook_secret": SECRET,
        "api_version": "v3",
        "group": "harbour",
    },
    secrets=(TOKEN, TRIGGER, SECRET),
    states=V4.states,
    calls=CALLS,
    pipeline=PROJECT,
    build="72",
    unknown_state=lambda state: build_72(status=state),
    foreign="a build is asked for below its project: another project's is not there",
    job_pages=(
        JobPage(url=f"{ROOT}/harbour/gate/builds/72", pipeline=PROJECT, build="72", job="72", answers=build_72()),
        JobPage(url=f"{ROOT}/harbour/gate/builds/72/raw", pipeline=PROJECT, build="72", job="72", answers=build_72()),
        JobPage(
            url=f"{ROOT}/harbour/gate/builds/72/artifacts/browse",
            pipeline=PROJECT,
            build="72",
            job="72",
            answers=build_72(),
        ),
    ),
    ref_builds={
        "branch": build_72(),
        "pull_request": "v3 builds branches and tags only",
        "fork": "v3 builds branches and tags only",
        "tag": build_72(ref="v1.2", tag=True),
    },
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda _, n: full({"id": n, "path_with_namespace": f"harbour/p{n}"}),
        ),
        "builds": Endless(
            call=lambda p: p.builds(PROJECT, BuildFilter(limit=10_000)),
            page=lambda request, n: (
                httpx.Response(200, json={"id": int(PROJECT), "path_with_namespace": "harbour/gate", "version": "8.17"})
                if request.url.path.endswith((f"/{PROJECT}", "version"))
                else full({"id": n, "status": "success"})
            ),
        ),
    },
    sign=sign,
    samples={
        "v3_builds_list.json": Sample(
            call=lambda p: p.builds(PROJECT, BuildFilter()),
            facts=is_sample_list,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds",
            also=("build",),
        ),
        "v3_build_get.json": Sample(
            call=lambda p: p.build(PROJECT, "8"),
            facts=is_sample_build,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds/8",
            also=("build",),
        ),
        "v3_build_cancel.json": Sample(
            call=lambda p: p.cancel(PROJECT, "69"),
            facts=is_sample_cancel,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds/{{build}}/cancel",
            also=("build",),
        ),
        "v3_build_erase.json": Sample(
            call=lambda p: p.erase(PROJECT, "69"),
            facts=is_sample_erase,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds/{{build}}/erase",
            also=("build",),
        ),
    },
    undeclared={"scope[]": "its page says `string or array of strings`; the description has the string only"},
    spec_path=lambda path: path.removeprefix("/gitlab"),
)
