"""Azure DevOps with an application of Microsoft Entra and all projects."""

import httpx

from bot.core.errors import AuthFailed
from bot.core.models import BuildFilter
from tests.bot.providers.case import Answer, Case, Endless
from tests.bot.providers.cases import azure_devops as token_case
from tests.bot.providers.cases.azure_devops import BUILDS, FERRY, PROJECT, SECRET, a_build, page

CLIENT_SECRET = "a-made-up-entra-secret"
TOKENS = Answer(
    path="/11112222-3333-4444-5555-666677778888/oauth2/v2.0/token",
    method="POST",
    body={"access_token": "entra-token-one", "expires_in": 3599},
)


def token_or(answer: httpx.Response, request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=TOKENS.body) if request.method == "POST" else answer


CASE = Case(
    kind="azure_devops",
    name="azure_devops_entra",
    options={
        "organization": "harbor",
        "tenant_id": "11112222-3333-4444-5555-666677778888",
        "client_id": "app-of-the-bells",
        "client_secret": CLIENT_SECRET,
        "webhook_secret": SECRET,
    },
    secrets=(CLIENT_SECRET, SECRET, "entra-token-one", "entra-token-two"),
    states=token_case.STATES,
    pipeline=FERRY,
    build="482",
    calls={
        "check": lambda p: p.check(),
        "check_no_project": lambda p: p.check(),
        "check_refused": lambda p: p.check(),
        "check_limited": lambda p: p.check(),
        "check_limited_without_a_time": lambda p: p.check(),
        "check_down": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipelines_refused": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline("Quay/ferry"),
        "pipeline_alone": lambda p: p.pipeline("ferry"),
        "builds": lambda p: p.builds(FERRY, BuildFilter(limit=1)),
        "build": lambda p: p.build(FERRY, "482"),
        "build_refused": lambda p: p.build(FERRY, "482"),
    },
    first=(TOKENS,),
    unknown_state=lambda state: (TOKENS, Answer(path=f"{BUILDS}/482", body=a_build(482, state))),
    foreign=token_case.FOREIGN,
    job_pages=token_case.JOB_PAGES,
    ref_builds=token_case.REF_BUILDS,
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda asked, n: token_or(
                page(asked, n, {"id": n, "name": f"ferry-{n}"})
                if "/build/" in asked.url.path
                else httpx.Response(200, json={"value": [{"id": PROJECT, "name": "Quay"}]}),
                asked,
            ),
        ),
        "builds": Endless(
            call=lambda p: p.builds(FERRY, BuildFilter(limit=100_000)),
            page=lambda asked, n: token_or(page(asked, n, a_build(10_000 - n)), asked),
        ),
    },
    sign=token_case.sign,
    unlisted=token_case.UNLISTED,
    # the first request asks Entra for a token: a tenant it does not know is a matter of credentials
    faults={(name, "404"): AuthFailed for name in ("check", "pipelines", "builds", "build")},
)
