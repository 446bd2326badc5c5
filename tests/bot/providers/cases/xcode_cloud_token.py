"""Xcode Cloud with a ready-made token: lists and nothing else."""

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from bot.core.models import Build, BuildFilter, IssueCounts, Watched
from bot.providers.xcode_cloud.auth import scope_line
from bot.providers.xcode_cloud.client import PRODUCTS, REPOSITORIES, RUNS, WORKFLOWS
from bot.providers.xcode_cloud.urls import product_runs, product_workflows
from tests.bot.providers.case import CONNECTION, NOW, Answer, Case, Endless, Foreign, JobPage
from tests.bot.providers.cases import xcode_cloud as key_case

SCOPE = (
    scope_line("v1/ciProducts", PRODUCTS),
    scope_line("v1/scmRepositories", REPOSITORIES),
    scope_line(product_workflows(key_case.APP), WORKFLOWS),
    scope_line(product_runs(key_case.APP), RUNS),
)


def token(*, scope: tuple[str, ...] | None = SCOPE, days: float = 90, aud: str = "appstoreconnect-v1") -> str:
    """A token as Apple's page describes it; `days` from NOW to its end, made a month before."""
    claims: dict[str, object] = {"iss": "team", "aud": aud, "exp": int(NOW.timestamp() + days * 86400)}
    claims["iat"] = int(NOW.timestamp()) - 30 * 86400
    if scope is not None:
        claims["scope"] = list(scope)
    return jwt.encode(claims, generate_private_key(SECP256R1()), algorithm="ES256", headers={"kid": "K7Q2ZP4W9L"})


TOKEN = token()
OLD = Build(connection=CONNECTION, pipeline=key_case.CHECKS, id=key_case.RUN, issues=IssueCounts(errors=1))

TEAM = "11111111-2222-3333-4444-555555555555"


def listed(run: object, *included: object) -> tuple[Answer, ...]:
    """An account whose product lists this run alone."""
    runs = Answer(path="/v1/ciProducts/{id}/buildRuns", body={"data": [run], "included": list(included)})
    return (*key_case.listed_state("SUCCEEDED")[:3], runs)


CASE = Case(
    kind="xcode_cloud",
    name="xcode_cloud_token",
    options={"token": TOKEN, "team": TEAM, "webhook_secret": key_case.PATH_SECRET},
    secrets=(TOKEN, TOKEN.split(".")[1], key_case.PATH_SECRET),
    states=key_case.CASE.states,
    pipeline=key_case.CHECKS,
    build=key_case.RUN,
    calls={
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline("checks"),
        "builds": lambda p: p.builds(key_case.CHECKS, BuildFilter(limit=1)),
        "build": lambda p: p.build(key_case.CHECKS, key_case.RUN),
        "build_missing": lambda p: p.build(key_case.CHECKS, "gone"),
        "counts": lambda p: p.counts(OLD),
        "changes": lambda p: p.changes(
            None,
            Watched(
                pipelines=frozenset({key_case.CHECKS}),
                unfinished=frozenset({key_case.key(key_case.RUN), key_case.key("gone")}),
            ),
        ),
    },
    unknown_state=key_case.listed_state,
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=key_case.products_page),
        "builds": Endless(
            call=lambda p: p.builds(key_case.CHECKS, BuildFilter(branch="main", limit=1000)), page=key_case.account_page
        ),
    },
    foreign=Foreign(
        pipeline=key_case.CHECKS,
        build=key_case.RUN,
        answers=listed(key_case.a_run_of(key_case.NIGHTLY)),
        belongs_to=key_case.NIGHTLY,
    ),
    job_pages=tuple(
        JobPage(
            url=url.replace("0f9e8d7c-6b5a-4c3d-9e2f-1a0b9c8d7e6f", TEAM),
            pipeline=key_case.CHECKS,
            build=key_case.RUN,
            job=key_case.TEST_ACTION if key_case.TEST_ACTION in url else None,
            answers=listed(key_case.a_run_of()),
        )
        for url in key_case.ACTION_PAGES
    ),
    ref_builds={kind: listed(run, *beside) for kind, (run, beside) in key_case.RUNS_BY_REF.items()},
    sign=key_case.sign,
)
