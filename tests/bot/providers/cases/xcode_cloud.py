"""Xcode Cloud in the common tests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.core.errors import AuthFailed, NotFound, RateLimited
from bot.core.models import (
    Account,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    IssueKind,
    Job,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
    WebhookEvent,
)
from bot.core.workflow_words import apply
from bot.core.workflows import WorkflowDefinition
from tests.bot.providers.case import CONNECTION, Answer, Case, Endless, Foreign, JobPage, Sample

PEM = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PATH_SECRET = "quiet-otters-count-tulips"  # gitleaks:allow - made up

NIGHTLY = "5d0c7f5e-21a4-4c5b-9c8e-000000000011"
CHECKS = "5d0c7f5e-21a4-4c5b-9c8e-000000000012"
KIT_CHECKS = "5d0c7f5e-21a4-4c5b-9c8e-000000000021"
APP = "c3b8a6d2-77f0-4b1d-8a55-000000000001"
RUN = "9e1f4a30-5b7c-4d2e-a1b3-000000000207"
OLDER_RUN = "9e1f4a30-5b7c-4d2e-a1b3-000000000204"
TEST_ACTION = "f7a2c9d1-1111-4e6f-b0c4-000000000002"
BUNDLE = "0b9d8c7e-2222-4f3a-9e1d-000000000001"

TEST_JOB = Job(id=TEST_ACTION, build=RUN, pipeline=CHECKS, name="Test - iOS", status=Status.COMPLETED)
RUNNING_JOB = Job(id=TEST_ACTION, build=RUN, pipeline=CHECKS, name="Test - iOS", status=Status.IN_PROGRESS)
BUNDLE_FILE = Artifact(id=BUNDLE, build=RUN, pipeline=CHECKS, name="logs.zip", kind="LOG_BUNDLE")


def branch(name: str, **more: Any) -> StartRequest:
    return StartRequest(ref=Ref(kind=RefKind.BRANCH, name=name), **more)


def key(build: str, pipeline: str = CHECKS) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=build)


def sign(_body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], str | None]:
    return headers, PATH_SECRET


def _asleep(state: str) -> dict[str, object]:
    return {
        "type": "ciBuildRuns",
        "id": RUN,
        "attributes": {"number": 207, "executionProgress": "COMPLETE", "completionStatus": state},
        "relationships": {"workflow": {"data": {"type": "ciWorkflows", "id": CHECKS}}},
    }


def unknown_state(state: str) -> tuple[Answer, ...]:
    return (
        Answer(path="/v1/ciBuildRuns/{id}", body={"data": _asleep(state), "links": {}}),
        Answer(path="/v1/ciProducts", body={"data": [], "links": {}}),
    )


def listed_state(state: str) -> tuple[Answer, ...]:
    """The same where runs can only be listed."""
    return (
        Answer(path="/v1/ciProducts", body={"data": [{"type": "ciProducts", "id": APP}]}),
        Answer(path="/v1/scmRepositories", body={"data": []}),
        Answer(path="/v1/ciProducts/{id}/workflows", body={"data": [{"type": "ciWorkflows", "id": CHECKS}]}),
        Answer(path="/v1/ciProducts/{id}/buildRuns", body={"data": [_asleep(state)]}),
    )


def _listing(request: httpx.Request, number: int, items: list[object]) -> httpx.Response:
    following = str(request.url.copy_set_param("cursor", str(number + 1)))
    return httpx.Response(200, json={"data": items, "links": {"self": str(request.url), "next": following}})


def products_page(request: httpx.Request, number: int) -> httpx.Response:
    if request.url.path != "/v1/ciProducts":
        return httpx.Response(200, json={"data": [], "links": {"self": str(request.url)}})
    return _listing(request, number, [])


def runs_page(request: httpx.Request, number: int) -> httpx.Response:
    if not request.url.path.endswith("/buildRuns"):
        return httpx.Response(200, json={"data": [], "links": {"self": str(request.url)}})
    run = {"type": "ciBuildRuns", "id": f"run-{number}", "attributes": {"number": 5000 - number}}
    return _listing(request, number, [run])


def account_page(request: httpx.Request, number: int) -> httpx.Response:
    """An account with one workflow and endless runs."""
    for answer in listed_state("SUCCEEDED")[:3]:
        if request.url.path == answer.path.replace("{id}", APP):
            return httpx.Response(200, json=answer.body)
    return runs_page(request, number)


# what holds for the vendor's samples


def sample_build(build: Build) -> None:
    assert (build.id, build.number, build.status) == ("run-41", 41, Status.COMPLETED)
    assert build.conclusion is Conclusion.FAILED
    assert build.raw_state == "FAILED"
    assert build.commit == "9f2c1f0f2b1d4f7f8a6f1f4e1f0e8d3c2b1a0f9e"


def sample_builds(builds: list[Build]) -> None:
    assert [build.number for build in builds] == [42, 41, 40]
    assert [build.branch for build in builds] == ["main"] * 3
    assert [build.workflow for build in builds] == ["CI"] * 3
    assert builds[0].conclusion is None
    assert builds[1].issues.errors == 2
    assert builds[1].issues.test_failures == 3
    assert builds[1].issues.analyzer_warnings == 1
    assert builds[1].issues.warnings == 4
    assert builds[2].conclusion is Conclusion.PASSED


def sample_started(build: Build) -> None:
    assert (build.id, build.number, build.status, build.pipeline) == ("run-43", 43, Status.QUEUED, "wf-1")
    assert not build.issues.known


def sample_jobs(jobs: tuple[Job, ...]) -> None:
    assert [job.stage for job in jobs] == ["BUILD", "TEST", "ANALYZE"]
    assert [job.conclusion for job in jobs] == [Conclusion.PASSED, Conclusion.FAILED, Conclusion.PASSED]
    assert [job.tolerated for job in jobs] == [False, False, True]
    assert jobs[1].issues.test_failures == 3


def sample_issues(issues: tuple[Any, ...]) -> None:
    assert {issue.kind for issue in issues} == {IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING}
    assert issues[0].kind is IssueKind.ERROR
    assert (issues[0].file, issues[0].line) == ("App/Login.swift", 12)
    assert issues[-1].file is None


def sample_artifacts(artifacts: tuple[Artifact, ...]) -> None:
    assert {artifact.kind for artifact in artifacts} == {"LOG_BUNDLE", "RESULT_BUNDLE"}
    assert {artifact.size_bytes for artifact in artifacts} == {182733, 9918273}
    assert not any(artifact.url for artifact in artifacts)


def sample_account(account: Account) -> None:
    assert account.detail == "2 products"


def sample_pipelines(pipelines: list[Pipeline]) -> None:
    assert {(pipeline.name, pipeline.enabled) for pipeline in pipelines} == {("CI", True), ("Nightly", False)}


def sample_tap(event: str) -> Any:
    def facts(read: WebhookEvent | None) -> None:
        run = "12345678-abcd-1234-5678-a12345bc4567"
        assert read == WebhookEvent(delivery=f"{run}:{event}", pipeline=run, build=run)

    return facts


def a_run_of(workflow: str = CHECKS, relations: Mapping[str, tuple[str, str]] | None = None, **fields: object) -> Any:
    ends = {"workflow": ("ciWorkflows", workflow), **(relations or {})}
    return {
        "type": "ciBuildRuns",
        "id": RUN,
        "attributes": {"number": 207, "executionProgress": "COMPLETE", "completionStatus": "SUCCEEDED", **fields},
        "relationships": {name: {"data": {"type": type_, "id": id_}} for name, (type_, id_) in ends.items()},
    }


def included(kind: str, id_: str, /, **attributes: object) -> dict[str, object]:
    return {"type": kind, "id": id_, "attributes": attributes}


NO_PRODUCTS = Answer(path="/v1/ciProducts", body={"data": []})
SOURCE = {"sourceBranchOrTag": ("scmGitReferences", "ref")}
REQUEST = {"pullRequest": ("scmPullRequests", "request"), **SOURCE}
BRANCH_MAIN = included("scmGitReferences", "ref", name="main", kind="BRANCH")
ONTO_MAIN = {"number": 7, "sourceBranchName": "main", "destinationBranchName": "main"}
RUNS_BY_REF: Mapping[str, tuple[Any, tuple[dict[str, object], ...]]] = {
    "branch": (a_run_of(relations=SOURCE, isPullRequestBuild=False), (BRANCH_MAIN,)),
    "pull_request": (
        a_run_of(relations=REQUEST, isPullRequestBuild=True),
        (BRANCH_MAIN, included("scmPullRequests", "request", isCrossRepository=False, **ONTO_MAIN)),
    ),
    "fork": (
        a_run_of(relations=REQUEST, isPullRequestBuild=True),
        (BRANCH_MAIN, included("scmPullRequests", "request", isCrossRepository=True, **ONTO_MAIN)),
    ),
    "tag": (a_run_of(relations=SOURCE), (included("scmGitReferences", "ref", name="v2.4", kind="TAG"),)),
}


async def made(provider: Any, *, like: str | None = None, product: str | None = None, **texts: str) -> Pipeline:
    """Make a workflow with settings as they are typed."""
    admin = provider.pipeline_admin()
    draft = await admin.draft(product=product, like=like)
    created: Pipeline = await admin.create(await admin.prepare(apply(draft, texts, zone="UTC", is_new=True), None))
    return created


async def changed(provider: Any, pipeline: str, **texts: str) -> Pipeline:
    """Change settings of a workflow as they are typed."""
    admin = provider.pipeline_admin()
    old = await admin.definition(pipeline)
    new = await admin.prepare(apply(old, texts, zone="UTC", is_new=False), old)
    updated: Pipeline = await admin.update(new, old)
    return updated


async def definition(provider: Any, pipeline: str) -> WorkflowDefinition:
    """Return a workflow's definition without what only the provider reads."""
    read: WorkflowDefinition = await provider.pipeline_admin().definition(pipeline)
    return replace(read, origin=None)


ACTION_PAGES = tuple(
    f"https://appstoreconnect.apple.com/teams/0f9e8d7c-6b5a-4c3d-9e2f-1a0b9c8d7e6f/apps/1560012345/ci/builds/{RUN}{rest}"
    for rest in ("", "/summary", f"/actions/{TEST_ACTION}", f"/{TEST_ACTION}/logs#line")
)

CASE = Case(
    kind="xcode_cloud",
    options={
        "key_id": "K7Q2ZP4W9L",
        "issuer_id": "0f9e8d7c-6b5a-4c3d-9e2f-1a0b9c8d7e6f",
        "private_key": PEM,
        "webhook_secret": PATH_SECRET,
    },
    secrets=(PEM, *PEM.splitlines()[1:-1], PATH_SECRET),
    states=frozenset({"PENDING", "RUNNING", "COMPLETE", "SUCCEEDED", "FAILED", "ERRORED", "CANCELED", "SKIPPED"}),
    pipeline=CHECKS,
    build=RUN,
    calls={
        "check": lambda p: p.check(),
        "check_without_agreement": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipelines_query": lambda p: p.pipelines("kit/"),
        "pipeline": lambda p: p.pipeline("fernweh/nightly"),
        "pipeline_by_name": lambda p: p.pipeline("Nightly"),
        "pipeline_ambiguous": lambda p: p.pipeline("Checks"),
        "pipeline_missing": lambda p: p.pipeline("Release"),
        "pipeline_of_a_run": lambda p: p.pipeline(f"run:{RUN}"),
        "refs": lambda p: p.refs(CHECKS, "r"),
        "builds": lambda p: p.builds(CHECKS, BuildFilter(limit=2)),
        "builds_filtered": lambda p: p.builds(CHECKS, BuildFilter(branch="main", states=frozenset({"failed"}))),
        "build": lambda p: p.build(CHECKS, RUN),
        "build_of_a_fork": lambda p: p.build(CHECKS, RUN),
        "build_by_number": lambda p: p.build_by_number(CHECKS, 204),
        "build_by_number_missing": lambda p: p.build_by_number(CHECKS, 206),
        "changes": lambda p: p.changes(None, Watched(pipelines=frozenset({CHECKS}))),
        "changes_later": lambda p: p.changes(
            f'{{"products":{{"{APP}":{{"newest":230,"floor":204}}}}}}',
            Watched(pipelines=frozenset({CHECKS}), unfinished=frozenset({key(RUN), key(OLDER_RUN)})),
        ),
        "start": lambda p: p.start(CHECKS, StartRequest()),
        "start_tag_clean": lambda p: p.start(
            CHECKS, StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.4"), options={"clean": "yes"})
        ),
        "start_pull_request": lambda p: p.start(CHECKS, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="88"))),
        "start_ambiguous": lambda p: p.start(CHECKS, branch("v2.4")),
        "start_missing": lambda p: p.start(CHECKS, branch("just-pushed")),
        "start_switched_off": lambda p: p.start(NIGHTLY, branch("main")),
        "start_without_manual_condition": lambda p: p.start(CHECKS, branch("refs/heads/main")),
        "start_unanswered": lambda p: p.start(CHECKS, branch("main")),
        "start_unanswered_and_unclear": lambda p: p.start(CHECKS, branch("main")),
        "rebuild": lambda p: p.rebuild(CHECKS, RUN, StartRequest()),
        "rebuild_unanswered": lambda p: p.rebuild(CHECKS, RUN, StartRequest()),
        "jobs": lambda p: p.jobs(CHECKS, RUN),
        "log": lambda p: p.log(TEST_JOB, 40),
        "log_missing": lambda p: p.log(TEST_JOB),
        "log_unreadable": lambda p: p.log(TEST_JOB),
        "log_over_plain_http": lambda p: p.log(TEST_JOB),
        "log_while_running": lambda p: p.log(RUNNING_JOB),
        "artifacts": lambda p: p.artifacts(CHECKS, RUN),
        "download": lambda p: p.download(BUNDLE_FILE),
        "download_expired": lambda p: p.download(BUNDLE_FILE),
        "tests": lambda p: p.tests(CHECKS, RUN),
        "issues": lambda p: p.issues(CHECKS, RUN),
        "counts": lambda p: p.counts(Build(connection=CONNECTION, pipeline=CHECKS, id=RUN)),
        "pipeline_admin_enable": lambda p: p.pipeline_admin().set_enabled(NIGHTLY, enabled=True),
        "pipeline_admin_rename": lambda p: p.pipeline_admin().rename(NIGHTLY, "Every night"),
        "pipeline_admin_rename_taken": lambda p: p.pipeline_admin().rename(NIGHTLY, "checks"),
        "pipeline_admin_duplicate": lambda p: p.pipeline_admin().duplicate(CHECKS, "Checks on a beta"),
        "pipeline_admin_duplicate_unanswered": lambda p: p.pipeline_admin().duplicate(CHECKS, "Checks on a beta"),
        "pipeline_admin_create": lambda p: made(
            p,
            like=CHECKS,
            product="FernwehKit",
            name="Kit on 26",
            description="The kit alone",
            repository="lumen-garden/fernweh-kit",
            xcode="26.1",
            project="Kit.xcodeproj",
            clean="yes",
            enabled="yes",
        ),
        "pipeline_admin_create_from_nothing": lambda p: made(
            p,
            product="FernwehKit",
            name="Smoke",
            container="Kit.xcodeproj",
            tag="v*",
            schedule="weekly mon,thu 7:30 Europe/Berlin on main",
            manual_branch="off",
            actions="test scheme=Kit device='iPhone 17'\narchive scheme=Kit audience=internal required=no",
        ),
        "pipeline_admin_create_misfit": lambda p: made(p, like=CHECKS, name="Old system", xcode="26.1", macos="14.6"),
        "pipeline_admin_definition": lambda p: definition(p, CHECKS),
        "pipeline_admin_update": lambda p: changed(
            p, CHECKS, clean="yes", branch="off", pull_request="any -> main, release/*", xcode="26.1"
        ),
        "pipeline_admin_update_actions": lambda p: changed(
            p, CHECKS, actions="test name='Test - iOS' plan=Smoke required=no\nbuild scheme=Fernweh platform=macos"
        ),
        "pipeline_admin_delete": lambda p: p.pipeline_admin().delete(NIGHTLY),
        "pipeline_admin_environments": lambda p: p.pipeline_admin().environments(product="Fernweh", xcode="16.4"),
        "pipeline_admin_products": lambda p: p.pipeline_admin().products(),
        "pipeline_admin_product": lambda p: p.pipeline_admin().product("fernwehkit"),
        "pipeline_admin_product_missing": lambda p: p.pipeline_admin().product("Wanderlust"),
        "pipeline_admin_product_deleted": lambda p: p.pipeline_admin().delete_product(APP),
        "pipeline_admin_source_providers": lambda p: p.pipeline_admin().source_providers(),
        "pipeline_admin_repositories": lambda p: p.pipeline_admin().repositories(),
        "pipeline_admin_repositories_of_a_provider": lambda p: p.pipeline_admin().repositories("GitHub"),
        "pipeline_admin_references": lambda p: p.pipeline_admin().references("lumen-garden/fernweh"),
        "pipeline_admin_pull_requests": lambda p: p.pipeline_admin().pull_requests("lumen-garden/fernweh"),
        "uploads": lambda p: p.uploads(CHECKS, RUN),
        "uploads_without_any": lambda p: p.uploads(CHECKS, RUN),
        "uploads_of_a_key_that_reads_no_app": lambda p: p.uploads(CHECKS, RUN),
    },
    unknown_state=unknown_state,
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=products_page),
        "builds": Endless(call=lambda p: p.builds(CHECKS, BuildFilter(branch="main", limit=1000)), page=runs_page),
    },
    foreign=Foreign(
        pipeline=CHECKS,
        build=RUN,
        answers=(NO_PRODUCTS, Answer(path="/v1/ciBuildRuns/{id}", body={"data": a_run_of(NIGHTLY)})),
        belongs_to=NIGHTLY,
    ),
    job_pages=tuple(
        JobPage(
            url=url,
            pipeline=CHECKS,
            build=RUN,
            job=TEST_ACTION if TEST_ACTION in url else None,
            answers=(NO_PRODUCTS, Answer(path=f"/v1/ciBuildRuns/{RUN}", body={"data": a_run_of()})),
        )
        for url in ACTION_PAGES
    ),
    ref_builds={
        kind: (NO_PRODUCTS, Answer(path="/v1/ciBuildRuns/{id}", body={"data": run, "included": beside}))
        for kind, (run, beside) in RUNS_BY_REF.items()
    },
    sign=sign,
    samples={
        "build_run_get_failed.json": Sample(
            call=lambda p: p.build("wf-1", "run-41"), facts=sample_build, also=("pipelines",)
        ),
        "build_runs_list.json": Sample(
            call=lambda p: p.builds("wf-1", BuildFilter(limit=3)),
            facts=sample_builds,
            also=("pipelines",),
            at="/v1/ciWorkflows/wf-1/buildRuns",
        ),
        "build_run_create.json": Sample(
            call=lambda p: p.rebuild("wf-1", "run-41", StartRequest()), facts=sample_started, also=("pipelines",)
        ),
        "actions_list.json": Sample(call=lambda p: p.jobs("wf-1", "run-41"), facts=sample_jobs),
        "issues_list.json": Sample(call=lambda p: p.issues(CHECKS, RUN), facts=sample_issues, also=("jobs",)),
        "artifacts_list.json": Sample(call=lambda p: p.artifacts(CHECKS, RUN), facts=sample_artifacts, also=("jobs",)),
        "products_list.json": Sample(call=lambda p: p.check(), facts=sample_account),
        "workflows_list.json": Sample(call=lambda p: p.pipelines(), facts=sample_pipelines, also=("pipelines",)),
        "webhook_build_completed.json": Sample(call=lambda p: None, facts=sample_tap("BUILD_COMPLETED")),
        "webhook_build_created.json": Sample(call=lambda p: None, facts=sample_tap("BUILD_CREATED")),
        "error_401.json": Sample(call=lambda p: p.check(), raises=AuthFailed, at="/v1/ciProducts"),
        "error_403_agreements.json": Sample(call=lambda p: p.check(), raises=AuthFailed, at="/v1/ciProducts"),
        "error_403_list_runs.json": Sample(call=lambda p: p.check(), raises=AuthFailed, at="/v1/ciProducts"),
        "error_404.json": Sample(
            call=lambda p: p.build("wf-1", "205bbdd8"), raises=NotFound, at="/v1/ciBuildRuns/205bbdd8"
        ),
        "error_429.json": Sample(call=lambda p: p.check(), raises=RateLimited, at="/v1/ciProducts"),
    },
    undeclared={"cursor": "part of `links.next`, which is followed whole"},
    unlisted={
        "/v1/ciWorkflows": "creating a workflow is documented; the cut description leaves it out",
        "/v1/ciWorkflows/{id}": "deleting a workflow is documented; the cut description leaves it out",
        "/v1/ciXcodeVersions": "documented; the cut description leaves it out",
        "/v1/ciMacOsVersions": "documented; the cut description leaves it out",
        "/v1/ciProducts/{id}": "deleting a product is documented; the cut description leaves it out",
        "/v1/builds": "documented; the cut description leaves it out",
    },
)
