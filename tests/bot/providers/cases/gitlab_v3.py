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
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, Sample
from tests.bot.providers.cases.gitlab import CASE as V4

TOKEN = "old-token-made-up"
TRIGGER = "trigger-made-up"
SECRET = "a plain webhook secret".replace(" ", "-")
ROOT = "https://old.harbour.example/gitlab"
PROJECT = "31"
SHA = "ab34cd56ef7890ab34cd56ef7890ab34cd56ef78"
GROUP = f"{SHA}@master"


def master() -> StartRequest:
    return StartRequest(ref=Ref(kind=RefKind.BRANCH, name="master"))


def key(build: str) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=PROJECT, id=build)


def sign(_body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], None]:
    return {**headers, "x-gitlab-token": SECRET}, None


def full(body: object, *, count: int = 100) -> httpx.Response:
    """A full page without any paging header, as some lists of v3 are."""
    return httpx.Response(200, json=[body] * count)


WATCHED = Watched(pipelines=frozenset({PROJECT}), unfinished=frozenset({key("400"), key("501")}))
CURSOR = json.dumps({"at": {PROJECT: {"500": "failed 2016-08-01T08:04:00.000Z", "501": "pending"}}})
GROUPS = json.dumps({"at": {PROJECT: {GROUP: "71:success 72:failed"}}})
JOB = Job(id="72", build="500", pipeline=PROJECT, name="unit", web_url=f"{ROOT}/harbour/gate/builds/72")
FILE = Artifact(id="72/archive", build="500", pipeline=PROJECT, name="artifacts.zip", kind="archive")
BUILD = Build(connection=CONNECTION, pipeline=PROJECT, id="500", status=Status.COMPLETED, conclusion=Conclusion.FAILED)

CALLS: dict[str, Call] = {
    "check": lambda p: p.check(),
    "check_before_8_13": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines("gate"),
    "pipeline": lambda p: p.pipeline("harbour/gate"),
    "builds": lambda p: p.builds(PROJECT, BuildFilter(branch="master")),
    "builds_commit": lambda p: p.builds(PROJECT, BuildFilter(commit="ab34cd56")),
    "builds_grouped": lambda p: p.builds(PROJECT, BuildFilter()),
    "builds_commit_grouped": lambda p: p.builds(PROJECT, BuildFilter(commit=SHA)),
    "builds_commit_unknown": lambda p: p.builds(PROJECT, BuildFilter(commit=SHA)),
    "build": lambda p: p.build(PROJECT, "500"),
    "build_commit_gone": lambda p: p.build(PROJECT, "500"),
    "build_grouped": lambda p: p.build(PROJECT, GROUP),
    "build_grouped_running": lambda p: p.build(PROJECT, GROUP),
    "build_grouped_gone": lambda p: p.build(PROJECT, GROUP),
    "build_by_number": lambda p: p.build_by_number(PROJECT, 500),
    "build_by_number_job": lambda p: p.build_by_number(PROJECT, 72),
    "build_by_number_grouped": lambda p: p.build_by_number(PROJECT, 8),
    "build_by_number_unknown": lambda p: p.build_by_number(PROJECT, 9),
    "changes": lambda p: p.changes(CURSOR, WATCHED),
    "changes_grouped": lambda p: p.changes(GROUPS, Watched(pipelines=frozenset({PROJECT}))),
    "refs": lambda p: p.refs(PROJECT, "HINGE"),
    "start": lambda p: p.start(PROJECT, StartRequest()),
    "start_no_answer": lambda p: p.start(PROJECT, master()),
    "start_before_8_14": lambda p: p.start(PROJECT, master()),
    "start_variables_grouped": lambda p: p.start(PROJECT, replace(master(), parameters={"OIL": "whale"})),
    "start_lost": lambda p: p.start(PROJECT, master()),
    "start_refused": lambda p: p.start(PROJECT, master()),
    "cancel": lambda p: p.cancel(PROJECT, "500"),
    "cancel_grouped": lambda p: p.cancel(PROJECT, GROUP),
    "cancel_no_answer": lambda p: p.cancel(PROJECT, "500"),
    "rebuild": lambda p: p.rebuild(PROJECT, "500", StartRequest()),
    "retry": lambda p: p.retry(PROJECT, "500"),
    "retry_job": lambda p: p.retry(PROJECT, "500", job="72"),
    "retry_job_no_answer": lambda p: p.retry(PROJECT, "500", job="72"),
    "retry_grouped": lambda p: p.retry(PROJECT, GROUP),
    "retry_grouped_nothing": lambda p: p.retry(PROJECT, GROUP),
    "erase": lambda p: p.erase(PROJECT, GROUP),
    "jobs": lambda p: p.jobs(PROJECT, "500"),
    "jobs_grouped": lambda p: p.jobs(PROJECT, GROUP),
    "log": lambda p: p.log(JOB),
    "log_none": lambda p: p.log(JOB),
    "artifacts": lambda p: p.artifacts(PROJECT, GROUP),
    "download": lambda p: p.download(FILE),
    "download_gone": lambda p: p.download(FILE),
    "issues": lambda p: p.issues(PROJECT, "500"),
    "counts": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(PROJECT, "500"),
    "decide_no_answer": lambda p: p.decide(
        Approval(id="job/74", build="500", pipeline=PROJECT, name="ship", job="74"), approve=True
    ),
    "decide": lambda p: p.decide(
        Approval(id="job/74", build="500", pipeline=PROJECT, name="ship", job="74"), approve=True
    ),
}

SEED = "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd"


def is_sample_list(builds: list[Build]) -> None:
    assert [(each.id, each.number, each.conclusion) for each in builds] == [
        (f"{SEED}@master", 7, Conclusion.FAILED),
    ]
    assert builds[0].branch == "master"
    assert builds[0].message == "Test the CI integration."
    assert builds[0].triggered_by == "root"


def is_sample_build(found: Build) -> None:
    assert found.id == f"{SEED}@master"


def is_erased_group(found: Build) -> None:
    assert found.id == GROUP


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
    build="500",
    unknown_state=lambda state: (
        Answer(
            path=f"/gitlab/api/v3/projects/{PROJECT}", body={"id": int(PROJECT), "path_with_namespace": "harbour/gate"}
        ),
        Answer(path=f"/gitlab/api/v3/projects/{PROJECT}/pipelines/500", body={"id": 500, "status": state}),
    ),
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
            call=lambda p: p.builds(PROJECT, BuildFilter(commit=SEED)),
            facts=is_sample_list,
            at=f"/gitlab/api/v3/projects/{PROJECT}/repository/commits/{SEED}/builds",
            also=("start_refused",),
        ),
        "v3_build_get.json": Sample(
            call=lambda p: p.build_by_number(PROJECT, 8),
            facts=is_sample_build,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds/8",
            also=("build_by_number_grouped",),
        ),
        "v3_build_erase.json": Sample(
            call=lambda p: p.erase(PROJECT, GROUP),
            facts=is_erased_group,
            at=f"/gitlab/api/v3/projects/{PROJECT}/builds/{{build}}/erase",
            also=("erase",),
        ),
    },
    unread={"v3_build_cancel.json": "the adapter reads the whole group again: the answer shows one job only"},
    spec_path=lambda path: path.removeprefix("/gitlab"),
)
