"""GitHub Actions as a GitHub App in the common tests."""

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Approval, BuildFilter
from tests.bot.providers.case import Answer, Case, Endless, Sample
from tests.bot.providers.cases import github_actions as token_case
from tests.bot.providers.cases.github_actions import BUILD, a_run, as_facts, page

KEY = generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
INSTALLATION_TOKEN = "ghs_made_up_installation_token"
TOKENS = Answer(
    method="POST",
    path="/app/installations/4242/access_tokens",
    status=201,
    body={"token": INSTALLATION_TOKEN, "expires_at": "2026-08-01T13:00:00Z"},
)
NORTH = Approval(id="environment/161", build="9045", pipeline=BUILD, name="north", url=f"{token_case.PAGE}/9045")


def token_page() -> httpx.Response:
    return httpx.Response(201, json=TOKENS.body)


CASE = Case(
    kind="github_actions",
    name="github_actions_app",
    options={
        "owner": "harbor",
        "app_id": "77",
        "installation_id": "4242",
        "private_key": PEM,
        "webhook_secret": token_case.SECRET,
    },
    secrets=(PEM, PEM.splitlines()[3], INSTALLATION_TOKEN, token_case.SECRET),
    states=token_case.CASE.states,
    calls={
        "check": lambda p: p.check(),
        "check_elsewhere": lambda p: p.check(),
        "check_suspended": lambda p: p.check(),
        "check_no_token": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "pipeline": lambda p: p.pipeline("harbor/ferry/build.yml"),
        "builds": lambda p: p.builds(BUILD, BuildFilter(limit=1)),
        "build": lambda p: p.build(BUILD, "9041"),
        "build_token_ended": lambda p: p.build(BUILD, "9041"),
        "build_no_token": lambda p: p.build(BUILD, "9041"),
        "build_token_limited": lambda p: p.build(BUILD, "9041"),
        "start_silent_server": lambda p: p.start(BUILD, token_case.MAIN),
        "approvals": lambda p: p.approvals(BUILD, "9045"),
        "decide": lambda p: p.decide(NORTH, approve=True),
        "decide_reject": lambda p: p.decide(NORTH, approve=False),
        "decide_fork": lambda p: p.decide(token_case.FORK, approve=True),
    },
    pipeline=BUILD,
    build="9041",
    unknown_state=lambda state: (
        TOKENS,
        Answer(path="/repos/harbor/ferry/actions/runs/9041", body=a_run(41, state, None)),
    ),
    endless={
        "pipelines": Endless(
            call=lambda p: p.pipelines(),
            page=lambda asked, n: (
                token_page()
                if asked.method == "POST"
                else token_case.page_of_pipelines(asked, n)
                if asked.url.path.endswith("workflows")
                else page(asked, n, {"repositories": [{"full_name": f"harbor/ferry-{n}"}]})
            ),
        ),
        "builds": Endless(
            call=lambda p: p.builds(BUILD, BuildFilter(limit=100_000)),
            page=lambda asked, n: (
                token_page() if asked.method == "POST" else page(asked, n, {"workflow_runs": [a_run(10_000 - n)]})
            ),
        ),
    },
    foreign=token_case.FOREIGN,
    job_pages=token_case.JOB_PAGES,
    ref_builds=token_case.REF_BUILDS,
    sign=token_case.sign,
    first=(TOKENS,),
    samples={
        "installation_token_create.json": Sample(
            call=lambda p: p.build(BUILD, "9041"), also=("build",), facts=as_facts(lambda it: it.number == 41)
        ),
        "app_get.json": Sample(
            call=lambda p: p.check(), also=("check",), facts=as_facts(lambda it: it.name == "Octocat App")
        ),
        "installation_repositories_list.json": Sample(
            call=lambda p: p.pipelines(),
            options={"owner": "octocat"},
            also=("pipelines",),
            raises=NotFound,  # its repository reads, and the sample has no workflows
        ),
    },
    # without a token nothing is asked, and why there is none is a matter of the credentials
    faults={(operation, "404"): AuthFailed for operation in ("pipelines", "build", "builds")},
    check_answers=False,
)
