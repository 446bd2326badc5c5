"""Truto before Azure DevOps in the common tests."""

from bot.core.models import BuildFilter, Ref, RefKind, StartRequest
from tests.bot.providers.case import Answer, Case, Endless, Foreign, JobPage
from tests.bot.providers.cases import truto
from tests.bot.providers.cases.truto import LIST, OPTIONS, SECRET, SHA, TOKEN, branch, page, whole

DEFINITION = {"workflow": "7"}

PULL = {"pr.sourceBranch": "refs/heads/rails", "pr.targetBranch": "refs/heads/main", "pr.isFork": "False"}
ON_903 = whole("903", {"branch": "refs/heads/main"}, {"repository": {"id": "b1", "name": "ferry"}})

CASE = Case(
    kind="truto",
    name="truto_azure_devops",
    options={**OPTIONS, "integration": "azure_devops", "workspace_id": "port", "repo": "ferry"},
    secrets=(TOKEN, SECRET),
    states=truto.STATES,
    calls={
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline("beacon"),
        "pipeline_workspace": lambda p: p.pipeline("port"),
        "builds": lambda p: p.builds("ferry", BuildFilter(limit=4)),
        "builds_workspace": lambda p: p.builds("port", BuildFilter(branch="main", states=frozenset({"failed"}))),
        "build": lambda p: p.build("ferry", "903"),
        "refs": lambda p: p.refs("ferry"),
        "refs_workspace": lambda p: p.refs("port"),
        "start": lambda p: p.start(
            "ferry",
            StartRequest(ref=branch("main"), commit=SHA, parameters={"TIDE": "high"}, options=DEFINITION),
        ),
        "start_tag": lambda p: p.start(
            "ferry", StartRequest(ref=Ref(kind=RefKind.TAG, name="v2.1"), options=DEFINITION)
        ),
        "start_pull_request": lambda p: p.start(
            "ferry", StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="77"), options=DEFINITION)
        ),
        "start_commit": lambda p: p.start(
            "ferry", StartRequest(ref=Ref(kind=RefKind.COMMIT, name=SHA), options=DEFINITION)
        ),
        "start_no_definition": lambda p: p.start("ferry", StartRequest(ref=branch("main"))),
        "cancel": lambda p: p.cancel("ferry", "904"),
        "cancel_timeout": lambda p: p.cancel("ferry", "904"),
        "retry": lambda p: p.retry("ferry", "903"),
        "retry_all": lambda p: p.retry("ferry", "903", failed_only=False),
        "retry_job": lambda p: p.retry("ferry", "903", job="j1"),
        "rebuild": lambda p: p.rebuild("ferry", "903", StartRequest(parameters={"TIDE": "low"})),
        "rebuild_unknown": lambda p: p.rebuild("ferry", "903", StartRequest()),
        "jobs": lambda p: p.jobs("ferry", "903"),
        "artifacts": lambda p: p.artifacts("ferry", "903"),
    },
    pipeline="ferry",
    build="903",
    unknown_state=lambda state: (Answer(path=f"{LIST}/903", body={"id": "903", "status": state}),),
    foreign=Foreign(pipeline="beacon", build="903", answers=ON_903, belongs_to="ferry"),
    job_pages=tuple(
        JobPage(
            url=f"https://dev.azure.com/harbor/port/_build/results?{query}",
            pipeline="ferry",
            build="903",
            job=job,
            answers=ON_903,
        )
        for query, job in (("buildId=903&view=logs&j=j1&t=t1", "j1"), ("buildId=903&view=artifacts", None))
    ),
    ref_builds={
        "branch": ON_903,
        "pull_request": whole("903", {"branch": "refs/pull/7/merge"}, {"triggerInfo": PULL}),
        "fork": whole("903", {"branch": "refs/pull/7/merge"}, {"triggerInfo": {**PULL, "pr.isFork": "True"}}),
        "tag": whole("903", {"branch": "refs/tags/v2.1"}, {}),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=truto.page_of_pipelines),
        "builds": Endless(
            call=lambda p: p.builds("ferry", BuildFilter(limit=100_000)),
            page=lambda asked, n: page(asked, n, truto.a_build(10_000 - n)),
        ),
    },
    undeclared={
        "api-version": "Azure DevOps' own parameter, passed on",
        "retry": "Azure DevOps' own parameter, passed on",
    },
    spec_path=truto.custom_folded,
)
