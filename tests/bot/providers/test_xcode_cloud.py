"""Xcode Cloud: credentials, scopes, zips, what a tick costs, what is refused."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pydantic import ValidationError
from typing_extensions import override

from bot.core.errors import (
    Ambiguous,
    AuthFailed,
    BotError,
    NotFound,
    ProviderError,
    Rejected,
    Unavailable,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    Build,
    BuildFilter,
    Outcome,
    Page,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Status,
    Trigger,
    Watched,
    parse_ref,
)
from bot.core.text import valid
from bot.core.workflow_actions import write_actions
from bot.core.workflow_words import SETTINGS, apply
from bot.http.reply import Reply
from bot.providers import open_provider
from bot.providers.base.capabilities import Capability
from bot.providers.xcode_cloud import logs
from bot.providers.xcode_cloud.admin import Version, newness
from bot.providers.xcode_cloud.auth import (
    LIFETIME_SECONDS,
    KeyAuth,
    ReadyToken,
    refusal_hint,
    scope_line,
    signing_key,
)
from bot.providers.xcode_cloud.client import PRODUCTS, REPOSITORIES, RUNS, WORKFLOWS, WORKFLOWS_LIFE
from bot.providers.xcode_cloud.convert import ISSUE_KINDS, OUTCOMES, STATES, TRIGGERS, Source, state
from bot.providers.xcode_cloud.errors import BURST_SECONDS, HOUR_SPENT_SECONDS, map_error, read_quota
from bot.providers.xcode_cloud.logs import BadBundle, bundle_tail
from bot.providers.xcode_cloud.options import XcodeCloudOptions
from bot.providers.xcode_cloud.provider import XcodeCloud
from bot.providers.xcode_cloud.start import fitting, start_attributes
from bot.providers.xcode_cloud.urls import product_runs, product_workflows
from tests.bot.providers.case import NOW, Case, opened, result_of
from tests.bot.providers.cases.xcode_cloud import (
    APP,
    BUNDLE_FILE,
    CASE,
    CHECKS,
    NIGHTLY,
    PEM,
    RUN,
    TEST_JOB,
    branch,
    changed,
    key,
    made,
)
from tests.bot.providers.cases.xcode_cloud_token import CASE as TOKEN_CASE
from tests.bot.providers.cases.xcode_cloud_token import SCOPE, TOKEN, token
from tests.bot.providers.specs import ABSENT, documents

PAGE = Path(__file__).parents[3] / "docs" / "providers" / "xcode_cloud.md"
NEEDS_SPECS = pytest.mark.skipif(not documents("xcode_cloud"), reason=ABSENT)


class Apple(httpx.AsyncBaseTransport):
    """Answers by path; a callable is asked with the request. Remembers what was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get(f"{request.method} {request.url.path}", self.answers.get(request.url.path))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(404, json={}) if answer is None else httpx.Response(200, json=answer)

    def count(self, ending: str) -> int:
        return sum(request.url.path.endswith(ending) for request in self.asked)


def resource(kind: str, id_: str, /, relations: Mapping[str, tuple[str, str]] | None = None, **more: object) -> Any:
    links = {name: {"data": {"type": type_, "id": at}} for name, (type_, at) in (relations or {}).items()}
    return {"type": kind, "id": id_, "attributes": more, "relationships": links}


def run(number: int, progress: str = "COMPLETE", workflow: str = CHECKS, **more: object) -> Any:
    relations = {"workflow": ("ciWorkflows", workflow), "product": ("ciProducts", APP)}
    return resource("ciBuildRuns", f"run-{number}", relations, number=number, executionProgress=progress, **more)


def account(**more: Any) -> dict[str, Any]:
    """One product with two workflows; `more` are answers by the last part of the path."""
    repository = ("scmRepositories", "repo")
    answers: dict[str, Any] = {
        "/v1/ciProducts": {"data": [resource("ciProducts", APP, {"app": ("apps", "99")}, name="Fernweh")]},
        "/v1/scmRepositories": {"data": [resource("scmRepositories", "repo", ownerName="lumen", repositoryName="f")]},
        f"/v1/ciProducts/{APP}/workflows": {
            "data": [
                resource("ciWorkflows", CHECKS, {"repository": repository}, name="Checks", isEnabled=True),
                resource("ciWorkflows", NIGHTLY, {"repository": repository}, name="Nightly", isEnabled=True),
            ]
        },
    }
    nothing: dict[str, list[object]] = {"data": []}
    lists = {f"/v1/scmRepositories/repo/{name}": nothing for name in ("gitReferences", "pullRequests")}
    return {**answers, **lists, **more}


RUNS_OF_APP = f"/v1/ciProducts/{APP}/buildRuns"


def numbered(newest: int, open_: Collection[int] = ()) -> Callable[[httpx.Request], object]:
    """A product's runs `newest` down to 1, in pages as asked for."""

    def answer(request: httpx.Request) -> object:
        limit = int(request.url.params["limit"])
        top = int(request.url.params.get("cursor", newest))
        data = [run(n, "RUNNING" if n in open_ else "COMPLETE") for n in range(top, max(top - limit, 0), -1)]
        page: dict[str, object] = {"data": data}
        if top > limit:
            page["links"] = {"next": str(request.url.copy_set_param("cursor", str(top - limit)))}
        return page

    return answer


async def failing(case: Case, transport: httpx.AsyncBaseTransport, call: Callable[[Any], object]) -> ProviderError:
    async with opened(case, transport) as provider:
        with pytest.raises(ProviderError) as raised:
            await result_of(call(provider))
    return raised.value


# the key


def pem(key_: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    text: str = key_.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    return text


ONE_LINE = "".join(PEM.splitlines()[1:-1])
FORMS = {
    "as it is": PEM,
    "Windows line ends": PEM.replace("\n", "\r\n"),
    "literal line breaks": PEM.strip().replace("\n", "\\n"),
    "lost line breaks": PEM.strip().replace("\n", " "),
    "base64 of the file": base64.b64encode(PEM.encode()).decode(),
    "base64 of the file, folded": base64.encodebytes(PEM.encode()).decode(),
    "the body alone": ONE_LINE,
    "spaces around": f"\n  {PEM}  \n",
}
SEC1 = pem(load_pem_private_key(PEM.encode(), None), PrivateFormat.TraditionalOpenSSL)
BAD_KEYS = {
    "another curve": (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    "RSA": (pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "P-256"),
    "SEC 1": (SEC1, "EC PRIVATE KEY"),
    "SEC 1 as bare base64": ("".join(SEC1.splitlines()[1:-1]), "PKCS#8"),
    "RSA, traditional": (
        pem(rsa.generate_private_key(public_exponent=65537, key_size=2048), PrivateFormat.TraditionalOpenSSL),
        "RSA PRIVATE KEY",
    ),
    "a public key": ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "PUBLIC KEY"),
    "cut off": (PEM[:120], "END PRIVATE KEY"),
    "garbled": (PEM.replace(ONE_LINE[:8], "AAAAAAAA"), "cannot be read"),
    "not base64": ("-----BEGIN PRIVATE KEY-----\n!?\n-----END PRIVATE KEY-----", "neither a PEM text nor base64"),
    "a path": ("/etc/keys/AuthKey.p8", "neither a PEM text nor base64|PKCS#8"),
}


@pytest.mark.parametrize("form", FORMS)
def test_key_is_read_in_every_form_people_paste(form: str) -> None:
    numbers = signing_key(FORMS[form]).private_numbers()
    assert numbers == signing_key(PEM).private_numbers()
    XcodeCloudOptions.model_validate({"key_id": "K", "private_key": FORMS[form]})


@pytest.mark.parametrize("flaw", BAD_KEYS)
def test_key_of_another_kind_is_refused_in_a_sentence_without_the_key(flaw: str) -> None:
    text, words = BAD_KEYS[flaw]
    with pytest.raises(ValidationError, match=words) as raised:
        XcodeCloudOptions.model_validate({"key_id": "K", "private_key": text})
    assert not [line for line in text.splitlines() if len(line) > 30 and line in str(raised.value)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"key_id": "K", "private_key": None, "token": None},
        {"private_key": PEM},
        {"issuer_id": "i", "private_key": PEM},
    ],
)
def test_a_key_needs_its_id(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="`key_id` and `private_key` are missing"):
        XcodeCloudOptions.model_validate(given)


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def bearer(request: httpx.Request) -> str:
    header: str = request.headers["authorization"]
    return header.removeprefix("Bearer ")


def claims(request: httpx.Request) -> dict[str, Any]:
    public = signing_key(PEM).public_key()
    said: dict[str, Any] = jwt.decode(
        bearer(request),
        public,
        algorithms=["ES256"],
        audience="appstoreconnect-v1",
        options={"verify_exp": False, "verify_iat": False},
    )
    return said


def first_request(auth: httpx.Auth) -> httpx.Request:
    return next(auth.auth_flow(httpx.Request("GET", "https://api.example/v1/ciProducts")))


def key_auth(clock: Hands, issuer: str = "issuer") -> KeyAuth:
    return KeyAuth(signing_key(PEM), key_id="K7Q2ZP4W9L", issuer_id=issuer, clock=clock)


def test_team_token_is_signed_as_apple_wants_it() -> None:
    request = first_request(key_auth(Hands()))
    assert jwt.get_unverified_header(bearer(request)) == {"alg": "ES256", "kid": "K7Q2ZP4W9L", "typ": "JWT"}
    said = claims(request)
    assert said.keys() == {"iss", "iat", "exp", "aud"}
    assert said["iss"] == "issuer"
    assert said["iat"] < NOW.timestamp()
    assert 18 * 60 < said["exp"] - NOW.timestamp() <= 19 * 60
    assert said["exp"] - said["iat"] <= 1200
    signature = bearer(request).rpartition(".")[2]
    assert len(base64.urlsafe_b64decode(signature + "==")) == 64


def test_individual_token_names_the_user_and_no_issuer() -> None:
    said = claims(first_request(key_auth(Hands(), issuer="")))
    assert said.keys() == {"sub", "iat", "exp", "aud"}
    assert said["sub"] == "user"


def test_token_serves_until_a_minute_before_its_end() -> None:
    clock = Hands()
    auth = key_auth(clock)
    first = bearer(first_request(auth))
    clock.now = NOW + timedelta(seconds=LIFETIME_SECONDS - 30 - 61)
    assert bearer(first_request(auth)) == first
    clock.now = NOW + timedelta(seconds=LIFETIME_SECONDS - 30 - 60)
    assert bearer(first_request(auth)) != first


def test_a_refused_token_is_made_anew_once() -> None:
    clock = Hands()
    auth = key_auth(clock)
    flow = auth.auth_flow(httpx.Request("GET", "https://api.example/"))
    first = bearer(next(flow))
    clock.now += timedelta(seconds=5)
    second = bearer(flow.send(httpx.Response(401)))
    assert second != first
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(401))
    assert bearer(first_request(auth)) == second


def test_a_token_made_anew_by_another_request_is_used_after_a_refusal() -> None:
    clock = Hands()
    auth = key_auth(clock)
    slow, quick = (auth.auth_flow(httpx.Request("GET", "https://api.example/")) for _ in range(2))
    next(slow)
    next(quick)
    clock.now += timedelta(seconds=5)
    renewed = bearer(quick.send(httpx.Response(401)))
    clock.now += timedelta(seconds=5)
    assert bearer(slow.send(httpx.Response(401))) == renewed


def test_other_refusals_make_no_new_token() -> None:
    flow = key_auth(Hands()).auth_flow(httpx.Request("GET", "https://api.example/"))
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(403))


# the ready-made token

BAD_TOKENS = {
    "no token at all": ("hello", "not a token for App Store Connect"),
    "no end": (jwt.encode({"aud": "appstoreconnect-v1"}, PEM, algorithm="ES256"), "not a token"),
    "another audience": (token(aud="somewhere"), "somewhere"),
    "no scope": (token(scope=None), "20 minutes"),
    "empty scope": (token(scope=()), "20 minutes"),
    "an ordinary life": (token(days=-30 + 1 / 72), "20 minutes"),
    "seven months": (token(days=200), "six months"),
    "a start": (token(scope=(*SCOPE, "POST /v1/ciBuildRuns")), r"reads \(GET\) only"),
    "artifacts": (token(scope=("GET /v1/ciBuildActions/1/artifacts",)), "not on Apple's list"),
    "one artifact": (token(scope=("GET /v1/ciArtifacts/1",)), "not on Apple's list"),
    "apps": (token(scope=("GET /v1/apps",)), "not on Apple's list"),
}


@pytest.mark.parametrize("flaw", BAD_TOKENS)
def test_a_ready_token_that_cannot_serve_is_refused_with_the_reason(flaw: str) -> None:
    text, words = BAD_TOKENS[flaw]
    with pytest.raises(ValidationError, match=words) as raised:
        XcodeCloudOptions.model_validate({"token": text})
    assert "private_key" in str(raised.value)
    assert text not in str(raised.value) or flaw == "no token at all"


def test_a_key_and_a_ready_token_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        XcodeCloudOptions.model_validate({"token": TOKEN, "key_id": "K", "private_key": PEM})


def test_scope_is_compared_as_apple_compares_it() -> None:
    ready = ReadyToken.of(token(scope=("GET /v1/ciProducts?include=app&fields[ciProducts]=name&limit=5",)))
    query = {"fields[ciProducts]": "name", "include": "app"}
    assert ready.covers("v1/ciProducts", query)
    assert ready.covers("v1/ciProducts", {**query, "limit": 200, "cursor": "x", "sort": "-number"})
    assert not ready.covers("v1/ciProducts", {**query, "filter[productType]": "APP"})
    assert not ready.covers("v1/ciProducts", {"include": "app"})
    assert not ready.covers("v1/ciProducts/1", query)
    unversioned = ReadyToken.of(token(scope=("GET /ciProducts?include=app&fields[ciProducts]=name",)))
    assert unversioned.covers("v1/ciProducts", query)
    assert (
        scope_line("v1/ciProducts", {**query, "limit": 2}) == "GET /v1/ciProducts?fields[ciProducts]=name&include=app"
    )
    assert scope_line("v1/ciProducts", {"limit": 2}) == "GET /v1/ciProducts"


async def checked(scope: tuple[str, ...], *, days: float = 90) -> tuple[ProviderError, Apple]:
    transport = Apple(account())
    async with opened(TOKEN_CASE, transport, {"token": token(scope=scope, days=days)}) as provider:
        with pytest.raises(AuthFailed) as raised:
            await provider.check()
    return raised.value, transport


async def test_check_refuses_a_scope_without_the_account_lists_and_names_them_without_asking() -> None:
    refused, transport = await checked(SCOPE[1:])
    assert SCOPE[0] in str(refused)
    assert SCOPE[1] not in str(refused)
    assert not transport.asked


async def test_check_refuses_a_scope_that_reaches_no_product_and_names_what_is_missing() -> None:
    refused, _ = await checked(SCOPE[:3])
    assert SCOPE[3] in str(refused)
    assert SCOPE[2] not in str(refused)
    refused, _ = await checked(SCOPE[:2])
    assert SCOPE[2] in str(refused)
    assert SCOPE[3] in str(refused)


async def test_check_says_when_the_token_has_ended_or_ends_soon() -> None:
    refused, transport = await checked(SCOPE, days=-1)
    assert "ended" in str(refused)
    assert not transport.asked
    async with opened(TOKEN_CASE, Apple(account()), {"token": token(days=3)}) as provider:
        found = await provider.check()
    assert "The token ends soon." in found.warnings
    assert found.missing == ()
    assert found.expires_at == NOW + timedelta(days=3)


async def test_a_ready_token_narrows_what_the_connection_can_do_and_says_why() -> None:
    async with opened(TOKEN_CASE, Apple({})) as provider:
        assert provider.capabilities < XcodeCloud.capabilities
        for gone in (Capability.START, Capability.REBUILD, Capability.ARTIFACTS, Capability.LOG):
            assert not provider.can(gone)
        with pytest.raises(Unsupported, match="ready-made token") as raised:
            await provider.start(CHECKS, StartRequest())
    assert "private_key" in (raised.value.hint or "")


def test_the_page_lists_every_line_of_a_scope() -> None:
    page = PAGE.read_text()
    for line in (
        scope_line("v1/ciProducts", PRODUCTS),
        scope_line("v1/scmRepositories", REPOSITORIES),
        scope_line(product_workflows("PRODUCT"), WORKFLOWS),
        scope_line(product_runs("PRODUCT"), RUNS),
    ):
        assert line in page


def test_the_page_names_every_option_and_every_setting_of_a_workflow() -> None:
    page = PAGE.read_text()
    settings = [setting.name for setting in SETTINGS]
    for name in (*XcodeCloudOptions.model_fields.keys() - {"workspaces"}, *settings, *XcodeCloud.start_options):
        assert f"`{name}`" in page, name


# states


@pytest.mark.parametrize(
    ("progress", "completion", "raw", "status"),
    [
        ("PENDING", None, "PENDING", Status.QUEUED),
        ("RUNNING", "SUCCEEDED", "RUNNING", Status.IN_PROGRESS),
        ("COMPLETE", "ERRORED", "ERRORED", Status.COMPLETED),
        ("COMPLETE", None, "COMPLETE", Status.COMPLETED),
        (None, "FAILED", "FAILED", Status.COMPLETED),
        ("PAUSED", None, "PAUSED", Status.IN_PROGRESS),
        ("DONE", "SUCCEEDED", "SUCCEEDED", Status.COMPLETED),
        (None, None, None, Status.IN_PROGRESS),
    ],
)
def test_progress_counts_until_the_end_and_the_ending_after_it(
    progress: str | None, completion: str | None, raw: str | None, status: Status
) -> None:
    assert state(progress, completion, finished=False)[:2] == (raw, status)


@NEEDS_SPECS
def test_every_word_of_the_description_is_known() -> None:
    schemas = documents("xcode_cloud")[0].whole["components"]["schemas"]
    run_attributes = schemas["CiBuildRun"]["properties"]["attributes"]["properties"]
    assert {*schemas["CiExecutionProgress"]["enum"], *schemas["CiCompletionStatus"]["enum"]} == STATES.keys()
    assert set(run_attributes["startReason"]["enum"]) == TRIGGERS.keys()
    assert set(schemas["CiTestStatus"]["enum"]) == OUTCOMES.keys()
    issue = schemas["CiIssue"]["properties"]["attributes"]["properties"]["issueType"]
    assert set(issue["enum"]) == ISSUE_KINDS.keys()


async def test_absent_counts_and_reasons_are_unknown() -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": {"data": run(5)}}))
    async with opened(CASE, transport) as provider:
        build = await provider.build(CHECKS, RUN)
    assert not build.issues.known
    assert build.issues.tests_total is None
    assert build.trigger is Trigger.UNKNOWN
    assert build.triggered_by is None
    assert (
        build.web_url == f"https://appstoreconnect.apple.com/teams/{CASE.options['issuer_id']}/apps/99/ci/builds/run-5"
    )


async def test_without_a_team_links_lead_to_the_front_page_and_check_says_so() -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": {"data": run(5)}}))
    async with opened(CASE, transport, {"issuer_id": None}) as provider:
        build = await provider.build(CHECKS, RUN)
        found = await provider.check()
    assert build.web_url == "https://appstoreconnect.apple.com/xcode-cloud"
    assert any("`team`" in warning for warning in found.warnings)
    assert found.name == "Individual key K7Q2ZP4W9L"


async def test_check_warns_where_the_key_sees_no_product() -> None:
    async with opened(CASE, Apple({"/v1/ciProducts": {"data": []}})) as provider:
        assert "no product" in (await provider.check()).warnings[0]


# a tick


def cursor(products: Mapping[str, Mapping[str, int]]) -> str:
    return json.dumps({"products": products})


async def test_a_tick_costs_one_request_for_each_product() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(300)}))
    watched = Watched(pipelines=frozenset({CHECKS, NIGHTLY}))
    async with opened(CASE, transport) as provider:
        first = await provider.changes(None, watched)
        before = len(transport.asked)
        second = await provider.changes(first.cursor, watched)
    assert len(transport.asked) - before == 1
    assert transport.asked[-1].url.params["limit"] == "20"
    assert [build.number for build in second.builds] == list(range(300, 280, -1))


async def test_a_tick_reaches_down_to_the_oldest_unfinished_build() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(300, {300, 252})}))
    watched = Watched(pipelines=frozenset({CHECKS}), unfinished=frozenset({key("run-252")}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(cursor({APP: {"newest": 299, "floor": 252}}), watched)
        assert {300, 252} <= {build.number for build in changes.builds}
        assert transport.asked[-1].url.params["limit"] == str(299 - 252 + 1 + 10)
        assert json.loads(changes.cursor or "") == {"products": {APP: {"newest": 300, "floor": 252}}}
    assert transport.count("/buildRuns") == 1


async def test_a_long_absence_is_caught_up_over_pages() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(900)}))
    watched = Watched(pipelines=frozenset({CHECKS}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(cursor({APP: {"newest": 600, "floor": 600}}), watched)
    assert {build.number for build in changes.builds} >= set(range(600, 901))
    assert [request.url.params["limit"] for request in transport.asked[-3:]] == ["20", "200", "200"]


async def test_a_build_that_hangs_for_ages_does_not_widen_every_tick() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(900, {3})}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(
            cursor({APP: {"newest": 900, "floor": 3}}), Watched(pipelines=frozenset({CHECKS}))
        )
    assert json.loads(changes.cursor or "")["products"][APP]["floor"] == 900 - 199


async def test_a_product_with_fewer_builds_than_remembered_is_read_once() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(12)}))
    async with opened(CASE, transport) as provider:
        await provider.changes(cursor({APP: {"newest": 9, "floor": 0}}), Watched(pipelines=frozenset({CHECKS})))
    assert transport.count("/buildRuns") == 1


async def test_catching_up_ends_after_ten_full_pages() -> None:
    transport = Apple(account(**{RUNS_OF_APP: numbered(9000)}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(
            cursor({APP: {"newest": 10, "floor": 10}}), Watched(pipelines=frozenset({CHECKS}))
        )
    assert transport.count("/buildRuns") == 1 + 10
    assert len(changes.builds) == 2000


async def test_stragglers_are_read_one_by_one_and_gone_ones_left_out() -> None:
    single = run(2, "RUNNING")
    transport = Apple(account(**{RUNS_OF_APP: {"data": [run(300)]}, "/v1/ciBuildRuns/run-2": {"data": single}}))
    watched = Watched(pipelines=frozenset({CHECKS}), unfinished=frozenset({key("run-2"), key("run-1"), key("run-300")}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(None, watched)
    assert {build.id for build in changes.builds} == {"run-300", "run-2"}
    assert sum("/v1/ciBuildRuns/" in request.url.path for request in transport.asked) == 2


async def test_a_deleted_workflow_costs_the_account_list_once_not_at_every_tick() -> None:
    transport = Apple(account())
    watched = Watched(pipelines=frozenset({"gone"}))
    async with opened(CASE, transport) as provider:
        await provider.changes(None, watched)
        asked = len(transport.asked)
        for _ in range(3):
            assert (await provider.changes(None, watched)).builds == ()
    assert len(transport.asked) == asked


async def test_a_product_that_is_gone_does_not_stop_the_others() -> None:
    transport = Apple(account())
    watched = Watched(pipelines=frozenset({CHECKS}))
    async with opened(CASE, transport) as provider:
        changes = await provider.changes(
            cursor({APP: {"newest": 5, "floor": 5}, "other": {"newest": 1, "floor": 1}}), watched
        )
    assert json.loads(changes.cursor or "") == {"products": {"other": {"newest": 1, "floor": 1}}}


@pytest.mark.parametrize(
    "text", [None, "", "not json", "[]", '{"products": 3}', '{"products": {"p": {"newest": "x"}}}']
)
async def test_a_cursor_that_cannot_be_read_counts_as_none(text: str | None) -> None:
    async with opened(CASE, Apple(account(**{RUNS_OF_APP: numbered(30)}))) as provider:
        changes = await provider.changes(text, Watched(pipelines=frozenset({CHECKS})))
    assert len(changes.builds) == 20


async def test_products_and_workflows_are_remembered_and_read_again_later() -> None:
    clock = Hands()
    transport = Apple(account())
    async with httpx.AsyncClient(transport=transport) as client:
        options = XcodeCloudOptions.model_validate(dict(CASE.options))
        provider = open_provider("ci", "xcode_cloud", options, client=client, clock=clock)
        for _ in range(3):
            await result_of(provider.pipelines())
        assert (transport.count("/workflows"), transport.count("/ciProducts")) == (1, 1)
        clock.now += WORKFLOWS_LIFE
        await result_of(provider.pipelines())
        assert (transport.count("/workflows"), transport.count("/ciProducts")) == (2, 1)
        clock.now += timedelta(hours=1)
        await result_of(provider.pipelines())
        assert transport.count("/ciProducts") == 2


async def test_workflows_of_one_name_in_one_product_are_distinguished_by_id() -> None:
    twins = {"data": [resource("ciWorkflows", "w1", name="Twin"), resource("ciWorkflows", "w2", name="twin")]}
    async with opened(CASE, Apple(account(**{f"/v1/ciProducts/{APP}/workflows": twins}))) as provider:
        with pytest.raises(Ambiguous) as raised:
            await provider.pipeline("Fernweh/Twin")
        assert [words for _, words in raised.value.choices] == ["w1", "w2"]
        assert (await provider.pipeline("w2")).name == "twin"


# starting

REFUSED = {
    "parameters": (StartRequest(parameters={"LANE": "beta", "FAST": "1"}), Unsupported, "`LANE`, `FAST`"),
    "message": (StartRequest(message="please"), Unsupported, "message"),
    "commit": (StartRequest(commit="deadbeef1"), Unsupported, "deadbeef1"),
    "an option": (StartRequest(options={"speed": "11"}), UsageError, "`speed`"),
    "clean": (StartRequest(options={"clean": "perhaps"}), UsageError, "perhaps"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_apple_does_not_take_is_refused_by_name_and_without_a_request(what: str) -> None:
    request, error, words = REFUSED[what]
    transport = Apple(account())
    async with opened(CASE, transport) as provider:
        for call in (provider.start(CHECKS, request), provider.rebuild(CHECKS, RUN, request)):
            with pytest.raises(error, match=words):
                await call
    assert not transport.asked


async def test_a_rebuild_takes_no_ref_and_a_start_no_commit() -> None:
    transport = Apple(account())
    async with opened(CASE, transport) as provider:
        with pytest.raises(Unsupported, match="same source"):
            await provider.rebuild(CHECKS, RUN, branch("main"))
        with pytest.raises(Unsupported, match="only a branch, a tag or a pull request"):
            await provider.start(CHECKS, StartRequest(ref=Ref(kind=RefKind.COMMIT, name="deadbeef1")))
        with pytest.raises(UsageError, match="default branch"):
            await provider.start(CHECKS, StartRequest())
        with pytest.raises(ProviderError, match="no open pull request 7"):
            await provider.start(CHECKS, StartRequest(ref=Ref(kind=RefKind.PULL_REQUEST, name="7")))
    assert not [request for request in transport.asked if request.method == "POST"]


@pytest.mark.parametrize(("word", "clean"), [("", True), ("yes", True), ("TRUE", True), ("no", False), ("0", False)])
def test_clean_is_yes_or_no(word: str, *, clean: bool) -> None:
    assert start_attributes(StartRequest(options={"clean": word})) == {"clean": clean}


def test_nothing_asked_for_sends_no_attributes() -> None:
    assert start_attributes(StartRequest()) == {}


def source(kind: RefKind, name: str) -> Source:
    folder = "tags" if kind is RefKind.TAG else "heads"
    ref = Ref(kind=kind, name=name)
    return Source(id=f"{kind}-{name}", ref=ref, relation="", type="", canonical_name=f"refs/{folder}/{name}")


SOURCES = (
    source(RefKind.BRANCH, "main"),
    source(RefKind.BRANCH, "v1"),
    source(RefKind.TAG, "v1"),
    source(RefKind.TAG, "v2"),
)


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        (Ref(kind=RefKind.BRANCH, name="main"), ["branch-main"]),
        (Ref(kind=RefKind.BRANCH, name="refs/heads/v1"), ["branch-v1"]),
        (Ref(kind=RefKind.BRANCH, name="refs/tags/v1"), ["tag-v1"]),
        (Ref(kind=RefKind.BRANCH, name="v1"), ["branch-v1", "tag-v1"]),
        (Ref(kind=RefKind.BRANCH, name="v2"), ["tag-v2"]),
        (Ref(kind=RefKind.TAG, name="v1"), ["tag-v1"]),
        (Ref(kind=RefKind.TAG, name="main"), []),
        (Ref(kind=RefKind.BRANCH, name="MAIN"), []),
    ],
)
def test_a_ref_means_its_branch_or_its_tag(ref: Ref, found: list[str]) -> None:
    assert [it.id for it in fitting(SOURCES, ref)] == found


async def test_each_choice_between_branch_and_tag_leads_to_one_of_them() -> None:
    refs = {
        "data": [
            resource("scmGitReferences", "b", name="v1", canonicalName="refs/heads/v1", kind="BRANCH"),
            resource("scmGitReferences", "t", name="v1", canonicalName="refs/tags/v1", kind="TAG"),
        ]
    }
    transport = Apple(account(**{"/v1/scmRepositories/repo/gitReferences": refs, "POST /v1/ciBuildRuns": started}))
    async with opened(CASE, transport) as provider:
        with pytest.raises(Ambiguous) as raised:
            await provider.start(CHECKS, branch("v1"))
        picked = []
        for _, words in raised.value.choices:
            picked.append(await provider.start(CHECKS, StartRequest(ref=parse_ref(words))))
    assert [(build.branch, build.tag) for build in picked] == [("v1", None), (None, "v1")]


def started(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json={"data": run(301, "PENDING")})


async def test_a_fresh_branch_is_looked_for_again_before_it_is_missing() -> None:
    listings = iter(
        [[], [resource("scmGitReferences", "b", name="new", canonicalName="refs/heads/new", kind="BRANCH")]]
    )
    clock = Hands()
    path = "/v1/scmRepositories/repo/gitReferences"
    transport = Apple(account(**{path: lambda _: {"data": next(listings)}, "POST /v1/ciBuildRuns": started}))
    async with httpx.AsyncClient(transport=transport) as client:
        options = XcodeCloudOptions.model_validate(dict(CASE.options))
        provider = open_provider("ci", "xcode_cloud", options, client=client, clock=clock)
        assert await result_of(provider.refs(CHECKS, "new")) == []
        clock.now += timedelta(minutes=1)
        build = await provider.start(CHECKS, branch("new"))
    assert build.branch == "new"


async def test_a_conflict_keeps_apples_words_where_the_workflow_cannot_be_read() -> None:
    refusal = httpx.Response(
        409, json={"errors": [{"status": "409", "code": "STATE_ERROR", "title": "No", "detail": "Busy"}]}
    )
    transport = Apple({"POST /v1/ciBuildRuns": refusal})
    refused = await failing(CASE, transport, lambda p: p.rebuild(CHECKS, RUN, StartRequest()))
    assert isinstance(refused, Rejected)
    assert "Busy" in str(refused)
    assert [request.method for request in transport.asked].count("POST") == 1


async def test_other_refusals_of_a_start_are_passed_on_as_they_are() -> None:
    refusal = httpx.Response(
        422, json={"errors": [{"status": "422", "code": "X", "title": "No", "detail": "Bad entity"}]}
    )
    transport = Apple({"POST /v1/ciBuildRuns": refusal})
    refused = await failing(CASE, transport, lambda p: p.rebuild(CHECKS, RUN, StartRequest()))
    assert "Bad entity" in str(refused)
    assert [request.method for request in transport.asked].count("POST") == 1


async def test_cancel_is_refused_with_the_place_to_do_it() -> None:
    async with opened(CASE, Apple({})) as provider:
        with pytest.raises(Unsupported, match="Apple's API cannot cancel a build"):
            await provider.cancel(CHECKS, RUN)
        refusal = provider.unsupported(Capability.CANCEL, "https://apple.example/run")
    assert refusal.hint == "Open it and stop it there: https://apple.example/run"


@pytest.mark.parametrize("how", [{}, {"failed_only": False}, {"job": "j"}])
async def test_retries_are_refused_and_rebuild_is_named(how: dict[str, Any]) -> None:
    async with opened(CASE, Apple({})) as provider:
        with pytest.raises(Unsupported) as raised:
            await provider.retry(CHECKS, RUN, **how)
    assert "`rebuild`" in (raised.value.hint or "")


# logs and files


def bundle(*members: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return whole.getvalue()


def test_the_log_named_after_xcodebuild_is_preferred_then_the_largest_text() -> None:
    other = ("notes/a.log", b"other\n" * 500)
    found = bundle_tail(bundle(other, ("TEST/xcodebuild-test.log", b"one\ntwo\n")), 100)
    assert found is not None
    assert (found.text, found.truncated) == (b"one\ntwo\n", False)
    found = bundle_tail(bundle(("b.log", b"small\n"), other), 12)
    assert found is not None
    assert (found.text, found.truncated) == (b"other\n", True)


def test_a_long_line_is_shown_from_its_middle() -> None:
    found = bundle_tail(bundle(("x.log", b"x" * 1000)), 10)
    assert found is not None
    assert (found.text, found.truncated) == (b"x" * 10, True)


def test_only_the_end_of_a_large_log_is_kept() -> None:
    lines = b"".join(b"line %d\n" % n for n in range(200_000))
    found = bundle_tail(bundle(("x.log", lines)), 30)
    assert found is not None
    assert found.text.endswith(b"line 199999\n")
    assert len(found.text) <= 30


def test_binaries_folders_and_empty_members_are_passed_over() -> None:
    data = bundle(
        ("xcodebuild.xcactivitylog", b"\x00\x01" * 900), ("folder/", b""), ("empty.log", b""), ("a.txt", b"text")
    )
    found = bundle_tail(data, 100)
    assert found is not None
    assert found.text == b"text"
    assert bundle_tail(bundle(("a.bin", b"\x00")), 100) is None
    assert bundle_tail(bundle(), 100) is None


def test_members_packed_in_other_ways_or_encrypted_are_passed_over() -> None:
    assert bundle_tail(bundle(("a.log", b"text"), how=zipfile.ZIP_LZMA), 100) is None
    data = bytearray(bundle(("a.log", b"text"), how=zipfile.ZIP_STORED))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert bundle_tail(bytes(data), 100) is None


def flipped(data: bytes) -> bytes:
    at = data.index(b"needle")
    return data[:at] + b"n00dle" + data[at + 6 :]


def large(data: bytes, members: int, size: int) -> bytes:
    """An archive whose zip64 record tells of so many files in so many bytes; the small record tells nothing."""
    end = data.rfind(b"PK\x05\x06")
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\x00" * 2 + b"\x00" * 8
    record += members.to_bytes(8, "little") * 2 + size.to_bytes(8, "little") + data[end + 16 : end + 20] + b"\x00" * 4
    locator = b"PK\x06\x07" + b"\x00" * 4 + end.to_bytes(8, "little") + b"\x01\x00\x00\x00"
    return data[:end] + record + locator + data[end:]


WHOLE = bundle(("a.log", b"text"))
BAD_BUNDLES = {
    "many files in a zip64 directory": (large(WHOLE, 5001, 100), "more than 5000 files"),
    "a long zip64 directory": (large(WHOLE, 1, 2**40), "too many files"),
    "many files": (WHOLE[:-14] + b"\xff\xff\xff\xff" + WHOLE[-10:], "more than 5000 files"),
    "half a zip64 directory": (b"PK\x06\x07" + b"\x00" * 16 + WHOLE[-22:], "damaged"),
    "no zip": (b"nothing of the kind", "no zip archive"),
    "empty": (b"", "no zip archive"),
    "cut off": (bundle(("a.log", b"text" * 99))[:-10], "no zip archive"),
    "damaged": (flipped(bundle(("a.log", b"needle"), how=zipfile.ZIP_STORED)), "damaged"),
    "directory elsewhere": (
        b"PK\x05\x06" + b"\x00" * 8 + b"\x40\x00\x00\x00" + b"\xff\xff\x00\x00" + b"\x00\x00",
        "damaged",
    ),
    "endless directory": (b"PK\x05\x06" + b"\x00" * 8 + b"\xff\xff\xff\xff" + b"\x00" * 6, "too many files"),
}


@pytest.mark.parametrize("flaw", BAD_BUNDLES)
def test_a_bundle_that_cannot_be_trusted_is_refused_in_words(flaw: str) -> None:
    data, words = BAD_BUNDLES[flaw]
    with pytest.raises(BadBundle, match=words):
        bundle_tail(data, 100)


def test_a_small_zip64_bundle_is_read() -> None:
    size = int.from_bytes(WHOLE[-10:-6], "little")
    tail = bundle_tail(large(WHOLE, 1, size), 100)
    assert tail is not None
    assert tail.text == b"text"


def test_a_bundle_of_what_is_no_text_is_given_up_after_some_files() -> None:
    images = [(f"{number}.png", b"\x00" * 10) for number in range(60)]
    assert bundle_tail(bundle(*images, ("z.log", b"t")), 100) is None


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "UNPACKED_BYTES", 1024 * 1024)
    with pytest.raises(BadBundle, match="unpacks to more than 1 MiB"):
        bundle_tail(bundle(("a.log", b"0" * (1024 * 1024 + 1))), 100)
    monkeypatch.setattr(logs, "MEMBERS", 2)
    with pytest.raises(BadBundle, match="more than 2 files"):
        bundle_tail(bundle(*((f"{n}.log", b"x") for n in range(3))), 100)


SIGNED = "https://cvws.icloud-content.example/B/made-up?k=secret"
BUNDLES = f"/v1/ciBuildActions/{TEST_JOB.id}/artifacts"
ONE_FILE = f"/v1/ciArtifacts/{BUNDLE_FILE.id}"


def with_file(url: str = SIGNED, content: bytes = b"") -> dict[str, Any]:
    listed = resource("ciArtifacts", BUNDLE_FILE.id, fileType="LOG_BUNDLE", fileName="logs.zip", downloadUrl=SIGNED)
    return {
        BUNDLES: {"data": [listed]},
        ONE_FILE: {"data": resource("ciArtifacts", BUNDLE_FILE.id, downloadUrl=url)},
        httpx.URL(url).path: httpx.Response(200, content=content),
    }


async def test_the_signed_address_is_fetched_without_our_token_and_shown_to_nobody() -> None:
    transport = Apple(with_file(content=bundle(("xcodebuild.log", b"\x1b[1mBuild\x1b[0m\nDone\n"))))
    async with opened(CASE, transport) as provider:
        log = await provider.log(TEST_JOB)
    assert log.text == "Build\nDone\n"
    assert log.job == TEST_JOB.name
    assert SIGNED not in repr(log)
    fetched = next(request for request in transport.asked if request.url.host == "cvws.icloud-content.example")
    assert "authorization" not in fetched.headers


async def test_artifacts_carry_no_address() -> None:
    action = resource("ciBuildActions", TEST_JOB.id, executionProgress="COMPLETE")
    transport = Apple({**with_file(), f"/v1/ciBuildRuns/{RUN}/actions": {"data": [action]}})
    async with opened(CASE, transport) as provider:
        (artifact,) = await provider.artifacts(CHECKS, RUN)
    assert artifact.url is None
    assert "icloud" not in repr(artifact)


@pytest.mark.parametrize(
    "url", ["http://cvws.icloud-content.example/x", "ftp://host/x", "file:///etc/passwd", "//host/x", "x"]
)
async def test_a_file_at_an_address_that_is_not_https_is_not_fetched(url: str) -> None:
    transport = Apple({ONE_FILE: {"data": resource("ciArtifacts", BUNDLE_FILE.id, downloadUrl=url)}})
    refused = await failing(CASE, transport, lambda p: p.download(BUNDLE_FILE))
    assert "address" in str(refused)
    assert len(transport.asked) == 1


async def test_plain_http_serves_where_the_connection_itself_is_plain() -> None:
    transport = Apple(with_file("http://127.0.0.1:4001/file", b"bytes"))
    async with opened(CASE, transport, {"url": "http://127.0.0.1:4001/v1"}) as provider:
        assert await result_of(provider.download(BUNDLE_FILE)) == b"bytes"


async def test_a_bundle_without_text_is_no_log() -> None:
    refused = await failing(CASE, Apple(with_file(content=bundle(("a", b"\x00")))), lambda p: p.log(TEST_JOB))
    assert "no text" in str(refused)


# refusals, quota


def reply(status: int, code: str = "X", headers: Mapping[str, str] | None = None) -> Reply:
    body = {"errors": [{"status": str(status), "code": code, "title": "Title", "detail": "What Apple says."}]}
    return Reply(
        status=status, headers=httpx.Headers(headers), content=json.dumps(body).encode(), url="", provider="Xcode Cloud"
    )


def test_apples_codes_are_explained_in_plain_words() -> None:
    agreement = map_error(reply(403, "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED.SOMETHING_NEW"))
    assert isinstance(agreement, AuthFailed)
    assert "agreement" in str(agreement)
    assert "Account Holder" in (agreement.hint or "")
    role = map_error(reply(403, "FORBIDDEN_ERROR"))
    assert isinstance(role, AuthFailed)
    assert "What Apple says." in str(role)
    assert "role" in (role.hint or "")
    wrong = map_error(reply(401, "NOT_AUTHORIZED"))
    assert "clock" in (wrong.hint or "" if wrong else "")
    assert map_error(reply(404)) is None
    assert map_error(reply(409)) is None


@pytest.mark.parametrize(
    ("claims", "late", "words"),
    [
        ({"iss": "i", "iat": 0, "exp": 1170}, 0, "Compare `key_id`, `issuer_id`"),
        ({"iss": "i", "iat": 0, "exp": 1170}, -270, "300 seconds ahead of Apple's"),
        ({"iss": "i", "iat": 0, "exp": 1170}, 4030, "4000 seconds behind Apple's"),
        ({"sub": "user", "iat": 0, "exp": 1170}, 0, "Without `issuer_id` I sign as one person"),
        ({"iss": "i", "iat": 0, "exp": 9_000_000, "scope": ["GET /v1/ciProducts"]}, 60, "`GET /v1/apps`"),
        ({"iss": "i", "iat": 0, "exp": 90, "scope": ["GET /v1/ciProducts"]}, 91, "The ready-made token has ended"),
        ({"exp": "soon"}, 0, "Compare `key_id`, `issuer_id`"),
    ],
)
def test_a_refused_token_is_explained_from_its_own_claims(claims: dict[str, Any], late: int, words: str) -> None:
    now = int(NOW.timestamp())
    made = {
        name: value + now if name in {"iat", "exp"} and isinstance(value, int) else value
        for name, value in claims.items()
    }
    sent = jwt.encode(made, signing_key(PEM), algorithm="ES256")
    hint = refusal_hint({f"Bearer {sent}", sent}, path="/v1/apps", server_time=NOW + timedelta(seconds=late))
    assert words in hint
    assert sent not in hint


def test_a_429_with_quota_left_is_a_short_wait_and_without_a_long_one() -> None:
    rate = "user-hour-lim:3600;user-hour-rem:{};"
    short, long, bare = (
        map_error(reply(429, headers=headers))
        for headers in ({"X-Rate-Limit": rate.format(12)}, {"X-Rate-Limit": rate.format(0)}, {})
    )
    assert getattr(short, "retry_after", 0) == getattr(bare, "retry_after", 0) == BURST_SECONDS
    assert getattr(long, "retry_after", 0) == HOUR_SPENT_SECONDS
    assert map_error(reply(429, headers={"Retry-After": "7"})) is None


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("user-hour-lim:3600;user-hour-rem:3121;", 3121),
        ("user-hour-lim:3500;user-hour-rem:0", 0),
        ("user-hour-rem:5; user-hour-lim:3500", 5),
        ("user-hour-lim:3500;", None),
        ("user-hour-lim:x;user-hour-rem:y;", None),
        ("", None),
    ],
)
def test_quota_is_read_from_the_header(header: str, left: int | None) -> None:
    found = read_quota(httpx.Headers({"X-Rate-Limit": header}), NOW)
    assert (found.remaining if found is not None else None) == left


async def test_quota_is_known_after_an_answer() -> None:
    answer = httpx.Response(200, json={"data": []}, headers={"X-Rate-Limit": "user-hour-lim:3600;user-hour-rem:77;"})
    async with opened(CASE, Apple({"/v1/ciProducts": answer})) as provider:
        await provider.check()
        assert provider.quota is not None
        assert provider.quota.remaining == 77


# addresses and webhooks


OF_RUN = Page(pipeline=f"run:{RUN}", build=RUN)
OF_ACTION = Page(pipeline=f"run:{RUN}", build=RUN, job=TEST_JOB.id)
OF_APP = Page(pipeline="app:1560012345")


@pytest.mark.parametrize(
    ("path", "page"),
    [
        (f"/teams/{CASE.options['issuer_id']}/apps/1560012345/ci/builds/{RUN}", OF_RUN),
        (f"/teams/{str(CASE.options['issuer_id']).upper()}/apps/1560012345/ci/builds/{RUN}/summary", OF_RUN),
        (f"/apps/1560012345/ci/builds/{RUN}", OF_RUN),
        (f"/apps/1560012345/ci/builds/{RUN}?tab=1#artifacts", OF_RUN),
        (f"/apps/1560012345/ci/builds/{RUN}/actions/{TEST_JOB.id}/tests", OF_ACTION),
        (f"/apps/1560012345/ci/builds/{RUN}/{TEST_JOB.id}/logs", OF_ACTION),
        (f"/apps/1560012345/ci/workflows/{CHECKS}", Page(pipeline=CHECKS)),
        (f"/apps/1560012345/ci/workflows/{CHECKS}/edit", Page(pipeline=CHECKS)),
        ("/apps/1560012345/ci", OF_APP),
        ("/apps/1560012345/ci/", OF_APP),
        ("/apps/1560012345/ci/builds", OF_APP),
        ("/apps/1560012345/ci/builds/..%2f..", OF_APP),
        (f"/teams/somebody-else/apps/1560012345/ci/builds/{RUN}", None),
        ("/teams/somebody-else/apps/1560012345/ci", None),
        ("/apps/1560012345", None),
        ("/apps/1560012345/city", None),
        (f"/apps/x/ci/builds/{RUN}", None),
    ],
)
async def test_what_a_page_of_app_store_connect_shows(path: str, page: Page | None) -> None:
    async with opened(CASE, Apple({})) as provider:
        assert provider.parse_url(f"https://appstoreconnect.apple.com{path}") == page
        assert provider.parse_url(f"https://appstoreconnect.apple.com.example{path}") is None


async def test_an_apps_page_means_its_only_workflow_and_asks_where_there_are_several() -> None:
    async with opened(CASE, Apple(account())) as provider:
        with pytest.raises(Ambiguous):
            await provider.pipeline("app:99")
        with pytest.raises(NotFound):
            await provider.pipeline("app:98")
    only_one = account()
    only_one[f"/v1/ciProducts/{APP}/workflows"]["data"].pop()
    async with opened(CASE, Apple(only_one)) as provider:
        assert (await provider.pipeline("app:99")).id == CHECKS


async def test_a_stand_in_on_plain_http_has_its_own_pages() -> None:
    transport = Apple({f"/ci{path}": answer for path, answer in account().items()})
    transport.answers = {**transport.answers, f"/ci/v1/ciBuildRuns/{RUN}": {"data": run(5)}}
    async with opened(CASE, transport, {"url": "http://127.0.0.1:4001/ci"}) as provider:
        build = await provider.build(CHECKS, RUN)
        assert build.web_url == f"http://127.0.0.1:4001/ci/teams/{CASE.options['issuer_id']}/apps/99/ci/builds/run-5"
        page = provider.parse_url(build.web_url)
        assert page == Page(pipeline="run:run-5", build="run-5")
        assert (
            provider.parse_url(build.web_url.replace("http://127.0.0.1:4001/ci", "https://appstoreconnect.apple.com"))
            is None
        )


async def test_a_webhook_without_its_workflow_asks_to_poll_everything() -> None:
    body = {"metadata": {"attributes": {"eventType": "BUILD_STARTED"}}, "ciBuildRun": {"id": "r"}}
    async with opened(CASE, Apple({})) as provider:
        event = provider.parse_webhook({}, json.dumps(body).encode(), str(CASE.options["webhook_secret"]))
    assert event is not None
    assert (event.delivery, event.pipeline, event.build) == ("r:BUILD_STARTED", None, None)


# administration


@NEEDS_SPECS
async def test_a_created_workflow_fits_apples_description() -> None:
    """The cut description has no request to create a workflow; a workflow's own attributes are the same."""
    schemas = documents("xcode_cloud")[0].whole
    payload = json.loads((CASE.payloads / "pipeline_admin_create.json").read_text())
    sent = next(it["request"]["json"] for it in payload["exchanges"] if it["request"].get("method") == "POST")
    workflow = {**sent["data"], "id": "new"}
    schema = {"$ref": "#/components/schemas/CiWorkflow", "components": schemas["components"]}
    jsonschema_rs.Draft4Validator(schema).validate(workflow)
    assert sent["data"]["attributes"].keys() >= {
        "name",
        "description",
        "actions",
        "isEnabled",
        "clean",
        "containerFilePath",
    }
    assert sent["data"]["relationships"].keys() == {"product", "repository", "xcodeVersion", "macOsVersion"}
    attributes = schemas["components"]["schemas"]["CiWorkflow"]["properties"]["attributes"]["properties"]
    assert sent["data"]["attributes"].keys() <= attributes.keys() - {"lastModifiedDate"}


ADMIN_REFUSALS = {
    "an unknown setting": ({"name": "N", "colour": "red"}, "`colour`"),
    "no name": ({"name": " "}, "name is missing"),
    "a taken name": ({"name": "checks"}, "already has a workflow"),
    "an unknown product": ({"name": "N", "product": "Nope"}, "No product"),
    "yes or no": ({"name": "N", "enabled": "perhaps"}, "yes or no"),
    "an unknown repository": ({"name": "N", "repository": "a/b"}, "no repository"),
    "an unknown Xcode": ({"name": "N", "xcode": "9.9"}, "no Xcode called `9.9`"),
    "an unknown device": (
        {"name": "N", "actions": "test scheme=F device='Mac Pro'"},
        "tests on no device called `Mac Pro`",
    ),
}


@pytest.mark.parametrize("what", ADMIN_REFUSALS)
async def test_settings_that_cannot_be_are_refused_in_words_and_nothing_is_made(what: str) -> None:
    settings, words = ADMIN_REFUSALS[what]
    relations = {"product": ("ciProducts", APP), "repository": ("scmRepositories", "repo")}
    model = resource("ciWorkflows", CHECKS, relations, name="Checks", actions=[])
    primary = {"data": [resource("scmRepositories", "repo", ownerName="lumen", repositoryName="f")]}
    transport = Apple(
        account(
            **{
                f"/v1/ciWorkflows/{CHECKS}": {"data": model},
                f"/v1/ciProducts/{APP}/primaryRepositories": primary,
                "/v1/ciXcodeVersions": {"data": [resource("ciXcodeVersions", "x", version="26.1", name="Xcode 26.1")]},
                "/v1/ciMacOsVersions": {"data": [resource("ciMacOsVersions", "m", name="macOS 26")]},
            }
        )
    )
    async with opened(CASE, transport) as provider:
        with pytest.raises(UsageError, match=words):
            await made(provider, like=CHECKS, **settings)
    assert not [request for request in transport.asked if request.method != "GET"]


async def test_what_apple_sends_and_we_do_not_know_is_sent_back_as_it_came() -> None:
    action = {"name": "Test - iOS", "actionType": "TEST", "scheme": "F", "platform": "IOS", "isRequiredToPass": True}
    odd = {"name": "Sing", "actionType": "SING", "voices": 4}
    model = resource(
        "ciWorkflows",
        CHECKS,
        {"product": ("ciProducts", APP)},
        name="Checks",
        actions=[{**action, "retries": 2}, odd],
        branchStartCondition={"source": {"isAllMatch": True}, "autoCancel": True, "weather": "fair"},
    )
    path = f"/v1/ciWorkflows/{CHECKS}"
    transport = Apple(account(**{path: {"data": model}, f"PATCH {path}": {"data": model}}))
    async with opened(CASE, transport) as provider:
        admin = provider.pipeline_admin()
        old = await admin.definition(CHECKS)
        lines = write_actions(old.actions).replace("scheme=F", "scheme=G")
        first, second = lines.splitlines()
        texts = {"branch": "main", "actions": first}
        new = apply(old, texts, zone="UTC", is_new=False)
        new = replace(new, actions=(*new.actions, old.actions[1]))
        await admin.update(await admin.prepare(new, old), old)
    (sent,) = [json.loads(request.content) for request in transport.asked if request.method == "PATCH"]
    assert second.startswith("sing")
    assert sent["data"]["attributes"] == {
        "branchStartCondition": {
            "source": {"isAllMatch": False, "patterns": [{"pattern": "main", "isPrefix": False}]},
            "autoCancel": True,
            "weather": "fair",
        },
        "actions": [
            {
                **action,
                "scheme": "G",
                "retries": 2,
                "testConfiguration": {"kind": "USE_SCHEME_SETTINGS", "testDestinations": []},
            },
            odd,
        ],
    }


async def test_a_change_that_changes_one_switch_sends_that_alone_and_reads_no_versions() -> None:
    model = resource("ciWorkflows", CHECKS, {"product": ("ciProducts", APP)}, name="Checks", actions=[])
    path = f"/v1/ciWorkflows/{CHECKS}"
    transport = Apple(account(**{path: {"data": model}, f"PATCH {path}": {"data": model}}))
    async with opened(CASE, transport) as provider:
        await changed(provider, CHECKS, clean="yes", locked="no")
    (sent,) = [json.loads(request.content) for request in transport.asked if request.method == "PATCH"]
    assert sent == {"data": {"type": "ciWorkflows", "id": CHECKS, "attributes": {"clean": True}}}
    assert not [request for request in transport.asked if "Versions" in request.url.path]


async def test_a_deleted_workflow_is_forgotten() -> None:
    transport = Apple(account(**{f"DELETE /v1/ciWorkflows/{NIGHTLY}": httpx.Response(204)}))
    async with opened(CASE, transport) as provider:
        assert len(await result_of(provider.pipelines())) == 2  # type: ignore[arg-type]
        await provider.pipeline_admin().delete(NIGHTLY)
        assert [it.id for it in await result_of(provider.pipelines())] == [CHECKS]  # type: ignore[attr-defined]


async def test_a_workflow_may_keep_its_name_with_another_case() -> None:
    answer = {"data": resource("ciWorkflows", CHECKS, name="CHECKS")}
    transport = Apple(account(**{f"PATCH /v1/ciWorkflows/{CHECKS}": answer}))
    async with opened(CASE, transport) as provider:
        renamed = await provider.pipeline_admin().rename(CHECKS, "CHECKS")
        same = await provider.pipeline_admin().rename(CHECKS, " CHECKS ")
    assert renamed.path == same.path == "Fernweh/CHECKS"
    assert renamed.enabled


async def test_a_workflow_whose_creation_was_not_answered_and_is_not_there_is_not_made_twice() -> None:
    relations = {
        "repository": ("scmRepositories", "repo"),
        "xcodeVersion": ("ciXcodeVersions", "x"),
        "macOsVersion": ("ciMacOsVersions", "m"),
    }

    def silent(request: httpx.Request) -> object:
        raise httpx.ReadTimeout("timed out")

    relations["product"] = ("ciProducts", APP)
    model = {"data": resource("ciWorkflows", CHECKS, relations, name="Checks", actions=[])}
    transport = Apple(account(**{f"/v1/ciWorkflows/{CHECKS}": model, "POST /v1/ciWorkflows": silent}))
    refused = await failing(CASE, transport, lambda p: p.pipeline_admin().duplicate(CHECKS, "Twin"))
    assert "did not try again" in str(refused)
    assert len([request for request in transport.asked if request.method == "POST"]) == 1


async def test_an_xcode_that_runs_on_no_macos_is_refused() -> None:
    latest = resource("ciXcodeVersions", "x", version="26.1", name="Xcode 26.1")
    latest["relationships"] = {"macOsVersions": {"data": []}}
    relations = {"product": ("ciProducts", APP), "repository": ("scmRepositories", "repo")}
    model = resource("ciWorkflows", CHECKS, relations, name="Checks", actions=[])
    answers = {
        f"/v1/ciWorkflows/{CHECKS}": {"data": model},
        "/v1/ciXcodeVersions": {"data": [latest]},
        "/v1/ciMacOsVersions": {"data": [resource("ciMacOsVersions", "m", name="macOS 15")]},
    }
    async with opened(CASE, Apple(account(**answers))) as provider:
        with pytest.raises(UsageError, match="names no macOS version that runs Xcode"):
            await made(provider, like=CHECKS, name="N", xcode="26.1")


async def test_a_test_in_an_unknown_state_shows_its_word() -> None:
    actions = {"data": [resource("ciBuildActions", "a", actionType="TEST", executionProgress="COMPLETE")]}
    results = {"data": [resource("ciTestResults", "t", name="testX()", status="FLAKY")]}
    answers = {f"/v1/ciBuildRuns/{RUN}/actions": actions, "/v1/ciBuildActions/a/testResults": results}
    async with opened(CASE, Apple(answers)) as provider:
        (case,) = await provider.tests(CHECKS, RUN)
    assert (case.outcome, case.detail) == (Outcome.UNKNOWN, "FLAKY")


def test_versions_are_sorted_newest_first() -> None:
    names = ["Xcode 9.4", "Xcode 26.1 beta 3 (17B1)", "Xcode 26.1 (17B55)", "Latest Release", "Xcode 16.4 (16F6)"]
    versions = [Version(id=name, name=name, version="") for name in names]
    assert [it.name for it in sorted(versions, key=newness, reverse=True)] == [
        "Latest Release",
        "Xcode 26.1 (17B55)",
        "Xcode 26.1 beta 3 (17B1)",
        "Xcode 16.4 (16F6)",
        "Xcode 9.4",
    ]
    assert versions[2].is_called("26.1")
    assert versions[2].is_called("xcode 26.1")
    assert not versions[2].is_called("26")
    assert not versions[2].is_called("")


# listings


async def test_builds_are_as_many_as_asked_for_and_of_the_workflow() -> None:
    path = f"/v1/ciWorkflows/{CHECKS}/buildRuns"
    async with opened(CASE, Apple(account(**{path: numbered(900)}))) as provider:
        found: list[Build] = await result_of(provider.builds(CHECKS, BuildFilter(limit=250)))  # type: ignore[assignment]
    assert [build.number for build in found] == list(range(900, 650, -1))


async def test_a_failed_action_that_is_not_required_is_tolerated_and_the_build_stays_passed() -> None:
    actions = {
        "data": [
            resource(
                "ciBuildActions", "a", executionProgress="COMPLETE", completionStatus="FAILED", isRequiredToPass=False
            ),
            resource("ciBuildActions", "b", name="Test", executionProgress="COMPLETE", completionStatus="SUCCEEDED"),
        ]
    }
    async with opened(CASE, Apple({f"/v1/ciBuildRuns/{RUN}/actions": actions})) as provider:
        loose, firm = await provider.jobs(CHECKS, RUN)
    assert (loose.tolerated, firm.tolerated) == (True, False)
    assert loose.name == "a"


# ids that would reach another route

HOSTILE = (
    "../../v1/apps/9",
    "..",
    ".",
    "",
    "a/../b",
    "a/./b",
    "/",
    "%2e%2e",
    "%2e%2e%2fapps",
    "a?x=1",
    "a#b",
    "a\\b",
    "a\x00b",
    "a\nb",
    "x" * 5000,
    "Prüfung-漢字",
    "a b",
)


def job_called(id_: str) -> Any:
    return replace(TEST_JOB, id=id_)


OWN_ROUTES: dict[str, tuple[Callable[[Any, str], object], tuple[str, ...]]] = {
    "pipeline": (lambda p, id_: p.pipeline(id_), ()),
    "pipeline of a run": (lambda p, id_: p.pipeline(f"run:{id_}"), ("/v1/ciBuildRuns/{id}",)),
    "builds": (lambda p, id_: p.builds(id_, BuildFilter()), ("/v1/ciWorkflows/{id}/buildRuns",)),
    "build": (lambda p, id_: p.build(CHECKS, id_), ("/v1/ciBuildRuns/{id}",)),
    "build of a pipeline": (lambda p, id_: p.build(id_, RUN), (f"/v1/ciBuildRuns/{RUN}",)),
    "build by number": (lambda p, id_: p.build_by_number(id_, 4), ()),
    "build of a job": (lambda p, id_: p.build_of_job(CHECKS, id_), ("/v1/ciBuildActions/{id}/buildRun",)),
    "refs": (lambda p, id_: p.refs(id_), ()),
    "start target": (lambda p, id_: p.start_target(id_, branch("main")), ()),
    "start": (lambda p, id_: p.start(id_, branch("main")), ()),
    "rebuild": (
        lambda p, id_: p.rebuild(CHECKS, id_, StartRequest()),
        ("/v1/ciBuildRuns/{id}", f"/v1/ciWorkflows/{CHECKS}/buildRuns"),
    ),
    "rebuild in a pipeline": (
        lambda p, id_: p.rebuild(id_, RUN, StartRequest()),
        (f"/v1/ciBuildRuns/{RUN}", "/v1/ciWorkflows/{id}/buildRuns"),
    ),
    "jobs": (lambda p, id_: p.jobs(CHECKS, id_), ("/v1/ciBuildRuns/{id}/actions",)),
    "log": (lambda p, id_: p.log(job_called(id_)), ("/v1/ciBuildActions/{id}/artifacts",)),
    "artifacts": (lambda p, id_: p.artifacts(CHECKS, id_), ("/v1/ciBuildRuns/{id}/actions",)),
    "download": (lambda p, id_: p.download(replace(BUNDLE_FILE, id=id_)), ("/v1/ciArtifacts/{id}",)),
    "tests": (lambda p, id_: p.tests(CHECKS, id_), ("/v1/ciBuildRuns/{id}/actions",)),
    "issues": (lambda p, id_: p.issues(CHECKS, id_), ("/v1/ciBuildRuns/{id}/actions",)),
    "counts": (lambda p, id_: p.counts(Build(connection="ci", pipeline=CHECKS, id=id_)), ("/v1/ciBuildRuns/{id}",)),
    "changes": (
        lambda p, id_: p.changes(None, Watched(pipelines=frozenset({id_}), unfinished=frozenset({key(id_)}))),
        ("/v1/ciBuildRuns/{id}",),
    ),
    "enable": (lambda p, id_: p.pipeline_admin().set_enabled(id_, enabled=True), ()),
    "rename": (lambda p, id_: p.pipeline_admin().rename(id_, "N"), ()),
    "duplicate": (lambda p, id_: p.pipeline_admin().duplicate(id_, "N"), ("/v1/ciWorkflows/{id}",)),
    "definition": (lambda p, id_: p.pipeline_admin().definition(id_), ("/v1/ciWorkflows/{id}",)),
    "product": (lambda p, id_: p.pipeline_admin().product(id_), ()),
    "delete_product": (lambda p, id_: p.pipeline_admin().delete_product(id_), ("/v1/ciProducts/{id}",)),
    "references": (lambda p, id_: p.pipeline_admin().references(id_), ()),
    "pull_requests": (lambda p, id_: p.pipeline_admin().pull_requests(id_), ()),
    "uploads": (lambda p, id_: p.uploads(CHECKS, id_), ("/v1/ciBuildRuns/{id}/builds",)),
    "delete": (lambda p, id_: p.pipeline_admin().delete(id_), ("/v1/ciWorkflows/{id}",)),
}
LISTS = frozenset(
    {
        "/v1/ciProducts",
        "/v1/scmRepositories",
        "/v1/ciBuildRuns",
        f"/v1/ciProducts/{APP}/workflows",
        f"/v1/ciProducts/{APP}/buildRuns",
    }
)


@pytest.mark.parametrize("method", OWN_ROUTES)
async def test_an_id_reaches_its_own_route_as_one_segment_or_none(method: str) -> None:
    call, routes = OWN_ROUTES[method]
    for id_ in HOSTILE:
        transport = Apple(account(**{RUNS_OF_APP: numbered(3)}))
        async with opened(CASE, transport) as provider:
            with suppress(BotError):
                await result_of(call(provider, id_))
        own = {route.replace("{id}", quote(sent, safe="")) for route in routes for sent in (id_, valid(id_))}
        sent = {request.url.raw_path.decode().partition("?")[0] for request in transport.asked}
        assert sent <= own | LISTS, id_
        posted = [request.content for request in transport.asked if request.method == "POST"]
        assert not [body for body in posted if b".." in body], id_


async def test_the_hostile_ids_that_are_no_paths_do_reach_their_route() -> None:
    for id_ in ("%2e%2e", "a?x=1", "a#b", "Prüfung-漢字"):
        transport = Apple({})
        async with opened(CASE, transport) as provider:
            with pytest.raises(NotFound):
                await provider.build(CHECKS, id_)
        assert transport.asked[0].url.raw_path.decode().startswith(f"/v1/ciBuildRuns/{quote(id_, safe='')}?")


# whose build it is


async def test_a_build_is_of_the_workflow_that_apple_names() -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": {"data": run(2, workflow=NIGHTLY)}}))
    async with opened(CASE, transport) as provider:
        await result_of(provider.pipelines())
        build = await provider.build(CHECKS, RUN)
    assert (build.pipeline, build.workflow, build.name) == (NIGHTLY, "Nightly", "Nightly #2")


async def test_a_number_of_another_workflow_is_refused_with_that_workflows_name() -> None:
    runs = {"data": [run(3), run(2, workflow=NIGHTLY), run(1)]}
    async with opened(CASE, Apple(account(**{RUNS_OF_APP: runs}))) as provider:
        assert (await provider.build_by_number(CHECKS, 3)).pipeline == CHECKS
        assert (await provider.build_by_number(NIGHTLY, 2)).pipeline == NIGHTLY
        with pytest.raises(NotFound, match="Fernweh #2 is a build of Nightly, not of Checks") as raised:
            await provider.build_by_number(CHECKS, 2)
    assert "Fernweh/Nightly#2" in (raised.value.hint or "")


async def test_a_rebuild_is_not_sent_where_the_run_belongs_to_another_workflow() -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": {"data": run(2, workflow=NIGHTLY)}}))
    refused = await failing(CASE, transport, lambda p: p.rebuild(CHECKS, RUN, StartRequest()))
    assert isinstance(refused, NotFound)
    assert not [request for request in transport.asked if request.method == "POST"]


async def test_an_actions_page_leads_to_its_own_build() -> None:
    answers = {
        f"/v1/ciBuildActions/{TEST_JOB.id}/buildRun": {"data": run(2, workflow=NIGHTLY)},
        f"/v1/ciBuildRuns/{RUN}": {"data": run(3)},
    }
    page = f"https://appstoreconnect.apple.com/apps/99/ci/builds/{RUN}/actions/{TEST_JOB.id}"
    async with opened(CASE, Apple(account(**answers))) as provider:
        shown = provider.parse_url(page)
        assert shown is not None
        assert (shown.build, shown.job) == (RUN, TEST_JOB.id)
        build = await provider.build_of_job(CHECKS, TEST_JOB.id)
    assert (build.number, build.pipeline) == (2, NIGHTLY)


async def test_a_build_is_returned_though_the_products_cannot_be_read() -> None:
    transport = Apple({f"/v1/ciBuildRuns/{RUN}": {"data": run(5)}, "/v1/ciProducts": httpx.Response(403, json={})})
    async with opened(CASE, transport) as provider:
        assert (await provider.build(CHECKS, RUN)).number == 5


# pull requests


def request_run(request: Mapping[str, Any] | None) -> Any:
    """A pull request's run onto main; `request` are the attributes of the pull request that came with it."""
    sent = run(7, isPullRequestBuild=True)
    sent["relationships"]["sourceBranchOrTag"] = {"data": {"type": "scmGitReferences", "id": "dark"}}
    sent["relationships"]["destinationBranch"] = {"data": {"type": "scmGitReferences", "id": "main"}}
    included = [
        resource("scmGitReferences", "dark", name="main", kind="BRANCH"),
        resource("scmGitReferences", "main", name="main", kind="BRANCH"),
    ]
    if request is not None:
        sent["relationships"]["pullRequest"] = {"data": {"type": "scmPullRequests", "id": "pr"}}
        included.append(resource("scmPullRequests", "pr", **request))
    return {"data": sent, "included": included}


OURS = {"sourceRepositoryOwner": "lumen", "sourceRepositoryName": "f"}
FORK = {"sourceRepositoryOwner": "stranger", "sourceRepositoryName": "f"}
ONTO = {"destinationRepositoryOwner": "lumen", "destinationRepositoryName": "f", "destinationBranchName": "main"}


@pytest.mark.parametrize(
    ("request_sent", "expected"),
    [
        (
            {"number": 7, "sourceBranchName": "dark", "isCrossRepository": False, **OURS, **ONTO},
            ("dark", "7", "main", False),
        ),
        (
            {"number": 7, "sourceBranchName": "main", "isCrossRepository": True, **FORK, **ONTO},
            ("stranger:main", "7", "main", True),
        ),
        ({"number": 7, "sourceBranchName": "main", **FORK, **ONTO}, ("stranger:main", "7", "main", True)),
        ({"number": 7, "sourceBranchName": "dark", **OURS, **ONTO}, ("dark", "7", "main", False)),
        ({"number": 7, "sourceBranchName": "dark"}, ("dark", "7", "main", None)),
        ({"title": "no number"}, (None, None, "main", None)),
        (None, (None, None, "main", None)),
    ],
)
async def test_a_pull_requests_run_is_never_a_branchs(
    request_sent: Mapping[str, object] | None, expected: tuple[object, ...]
) -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": request_run(request_sent)}))
    async with opened(CASE, transport) as provider:
        build = await provider.build(CHECKS, RUN)
    assert (build.branch, build.pull_request, build.target_branch, build.from_fork) == expected
    assert build.history_ref != Ref(kind=RefKind.BRANCH, name="main")
    assert build.tag is None


@pytest.mark.parametrize(("kind", "expected"), [("BRANCH", ("v1", None)), ("TAG", (None, "v1"))])
async def test_a_run_of_a_branch_or_a_tag_has_nothing_of_a_pull_request(
    kind: str, expected: tuple[str | None, str | None]
) -> None:
    sent = run(7, isPullRequestBuild=False)
    sent["relationships"]["sourceBranchOrTag"] = {"data": {"type": "scmGitReferences", "id": "ref"}}
    document = {"data": sent, "included": [resource("scmGitReferences", "ref", name="v1", kind=kind)]}
    async with opened(CASE, Apple(account(**{f"/v1/ciBuildRuns/{RUN}": document}))) as provider:
        build = await provider.build(CHECKS, RUN)
    assert (build.branch, build.tag) == expected
    assert (build.pull_request, build.target_branch, build.from_fork) == (None, None, None)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"completionStatus": "ERRORED"}, "errored"),
        ({"completionStatus": "FAILED"}, None),
        (
            {"completionStatus": "CANCELED", "cancelReason": "AUTOMATICALLY_BY_NEWER_BUILD"},
            "cancelled by a newer build",
        ),
        ({"completionStatus": "CANCELED", "cancelReason": "MANUALLY_BY_USER"}, "cancelled by a person"),
        ({"completionStatus": "CANCELED", "cancelReason": "BY_THE_TIDE"}, None),
        ({"completionStatus": "CANCELED"}, None),
    ],
)
async def test_the_reason_of_an_end_is_reported(attributes: Mapping[str, Any], reason: str | None) -> None:
    transport = Apple(account(**{f"/v1/ciBuildRuns/{RUN}": {"data": run(5, **attributes)}}))
    async with opened(CASE, transport) as provider:
        assert (await provider.build(CHECKS, RUN)).reason == reason


# what a start sends

REFERENCES = {
    "data": [
        resource("scmGitReferences", "b-main", name="main", canonicalName="refs/heads/main", kind="BRANCH"),
        resource("scmGitReferences", "t-v1", name="v1", canonicalName="refs/tags/v1", kind="TAG"),
    ]
}
PULLS = {"data": [resource("scmPullRequests", "p-7", number=7, sourceBranchName="dark", isClosed=False)]}
OFFERED = {
    "/v1/scmRepositories/repo/gitReferences": REFERENCES,
    "/v1/scmRepositories/repo/pullRequests": PULLS,
    f"/v1/ciWorkflows/{CHECKS}/buildRuns": {"data": [run(300)]},
}


@pytest.mark.parametrize(
    ("words", "target", "relation"),
    [
        ("main", StartTarget(branch="main"), ("sourceBranchOrTag", "b-main")),
        ("refs/heads/main", StartTarget(branch="main"), ("sourceBranchOrTag", "b-main")),
        ("branch:main", StartTarget(branch="main"), ("sourceBranchOrTag", "b-main")),
        ("v1", StartTarget(tag="v1"), ("sourceBranchOrTag", "t-v1")),
        ("tag:v1", StartTarget(tag="v1"), ("sourceBranchOrTag", "t-v1")),
        ("refs/tags/v1", StartTarget(tag="v1"), ("sourceBranchOrTag", "t-v1")),
        ("pr:7", StartTarget(pull_request="7"), ("pullRequest", "p-7")),
    ],
)
async def test_a_start_target_is_what_the_start_sends(
    words: str, target: StartTarget, relation: tuple[str, str]
) -> None:
    transport = Apple(account(**OFFERED, **{"POST /v1/ciBuildRuns": started}))
    request = StartRequest(ref=parse_ref(words), options={"clean": "yes"})
    async with opened(CASE, transport) as provider:
        assert await provider.start_target(CHECKS, request) == target
        assert not [sent for sent in transport.asked if sent.method == "POST"]
        await provider.start(CHECKS, request)
    (post,) = [json.loads(sent.content)["data"] for sent in transport.asked if sent.method == "POST"]
    name, id_ = relation
    assert post["relationships"][name]["data"]["id"] == id_
    assert post["relationships"].keys() == {"workflow", name}
    assert post["attributes"] == {"clean": True}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_start_target_refuses_what_the_start_refuses(what: str) -> None:
    request, error, words = REFUSED[what]
    async with opened(CASE, Apple(account())) as provider:
        with pytest.raises(error, match=words):
            await provider.start_target(CHECKS, request)


@pytest.mark.parametrize(("word", "sent"), [("true", {"clean": True}), ("no", {"clean": False}), (None, None)])
async def test_a_rebuild_takes_clean(word: str | None, sent: object) -> None:
    answers = {f"/v1/ciBuildRuns/{RUN}": {"data": run(4)}, "POST /v1/ciBuildRuns": started}
    transport = Apple(account(**OFFERED, **answers))
    request = StartRequest(options={} if word is None else {"clean": word})
    async with opened(CASE, transport) as provider:
        await provider.rebuild(CHECKS, RUN, request)
    (post,) = [json.loads(it.content)["data"] for it in transport.asked if it.method == "POST"]
    assert post.get("attributes") == sent
    assert post["relationships"]["buildRun"]["data"]["id"] == RUN


def listed_then(*pages: list[object]) -> Callable[[httpx.Request], object]:
    """A workflow's runs: a page more at each read, the last one for ever."""
    left = list(pages)

    def answer(_request: httpx.Request) -> object:
        return {"data": left.pop(0) if len(left) > 1 else left[0]}

    return answer


def by_hand(number: int, source: str = "b-main", reason: str = "MANUAL", workflow: str = CHECKS) -> Any:
    sent = run(number, "PENDING", workflow, startReason=reason, createdDate="2026-08-01T12:00:00.000Z")
    sent["relationships"]["sourceBranchOrTag"] = {"data": {"type": "scmGitReferences", "id": source}}
    return sent


UNHEARD = {
    "ours": ([by_hand(301), by_hand(300)], "run-301"),
    "none": ([by_hand(300)], None),
    "two that fit": ([by_hand(302), by_hand(301)], None),
    "one of another source": ([by_hand(301, "t-v1")], None),
    "one by a push": ([by_hand(301, reason="GIT_REF_CHANGE")], None),
    "one of another workflow": ([by_hand(301, workflow=NIGHTLY)], None),
}


@pytest.mark.parametrize("what", UNHEARD)
async def test_a_start_without_an_answer_finds_only_a_run_that_can_only_be_ours(what: str) -> None:
    after, found = UNHEARD[what]

    def silent(_request: httpx.Request) -> object:
        raise httpx.ReadTimeout("timed out")

    runs = listed_then([by_hand(300)], after)
    answers = {f"/v1/ciWorkflows/{CHECKS}/buildRuns": runs, "POST /v1/ciBuildRuns": silent}
    transport = Apple({**account(**OFFERED), **answers})
    async with opened(CASE, transport) as provider:
        if found is not None:
            assert (await provider.start(CHECKS, branch("main"))).id == found
        else:
            with pytest.raises(Unavailable, match="did not try again"):
                await provider.start(CHECKS, branch("main"))
    assert len([request for request in transport.asked if request.method == "POST"]) == 1


async def test_not_knowing_the_newest_run_stops_no_start_and_takes_no_run_for_ours() -> None:
    def silent(_request: httpx.Request) -> object:
        raise httpx.ReadTimeout("timed out")

    refused = iter([httpx.Response(403, json={})])
    runs = lambda _request: next(refused, httpx.Response(200, json={"data": [by_hand(301)]}))  # noqa: E731
    answers = {**account(**OFFERED), f"/v1/ciWorkflows/{CHECKS}/buildRuns": runs}
    async with opened(CASE, Apple({**answers, "POST /v1/ciBuildRuns": started})) as provider:
        assert (await provider.start(CHECKS, branch("main"))).number == 301
    refused = iter([httpx.Response(403, json={})])
    async with opened(CASE, Apple({**answers, "POST /v1/ciBuildRuns": silent})) as provider:
        with pytest.raises(Unavailable, match="did not try again"):
            await provider.start(CHECKS, branch("main"))


# one odd item


ODD: tuple[object, ...] = (7, "x", None, [], {}, {"id": 7}, {"id": "odd", "attributes": []})


@pytest.mark.parametrize("odd", ODD)
async def test_one_odd_item_spoils_no_list(odd: object) -> None:
    def with_odd(good: object) -> dict[str, object]:
        return {"data": [odd, good], "included": [odd]}

    answers = account()
    workflows = answers[f"/v1/ciProducts/{APP}/workflows"]["data"]
    answers = {
        **answers,
        "/v1/ciProducts": with_odd(answers["/v1/ciProducts"]["data"][0]),
        f"/v1/ciProducts/{APP}/workflows": with_odd(workflows[0]),
        "/v1/scmRepositories/repo/gitReferences": with_odd(REFERENCES["data"][0]),
        "/v1/scmRepositories/repo/pullRequests": with_odd(PULLS["data"][0]),
        f"/v1/ciWorkflows/{CHECKS}/buildRuns": with_odd(run(4)),
        RUNS_OF_APP: with_odd(run(4)),
        f"/v1/ciBuildRuns/{RUN}/actions": with_odd(
            resource("ciBuildActions", "a", name="T", actionType="TEST", executionProgress="COMPLETE")
        ),
        "/v1/ciBuildActions/a/issues": with_odd(resource("ciIssues", "i", issueType="ERROR", message="m")),
        "/v1/ciBuildActions/a/testResults": with_odd(resource("ciTestResults", "t", name="t", status="SUCCESS")),
        "/v1/ciBuildActions/a/artifacts": with_odd(resource("ciArtifacts", "f", fileName="f", fileType="ARCHIVE")),
    }
    async with opened(CASE, Apple(answers)) as provider:
        read = {
            "pipelines": [it.name for it in await result_of(provider.pipelines()) if it.id == CHECKS],  # type: ignore[attr-defined]
            "refs": [str(it) for it in await result_of(provider.refs(CHECKS))],  # type: ignore[attr-defined]
            "builds": [it.number for it in await result_of(provider.builds(CHECKS, BuildFilter())) if it.number],  # type: ignore[attr-defined]
            "changes": [
                it.number for it in (await provider.changes(None, Watched(pipelines=frozenset({CHECKS})))).builds
            ],
            "jobs": [it.name for it in await provider.jobs(CHECKS, RUN) if it.id == "a"],
            "issues": [it.message for it in await provider.issues(CHECKS, RUN) if it.message == "m"],
            "tests": [it.name for it in await provider.tests(CHECKS, RUN) if it.name == "t"],
            "artifacts": [it.name for it in await provider.artifacts(CHECKS, RUN) if it.id == "f"],
        }
    assert read == {
        "pipelines": ["Checks"],
        "refs": ["main", "pr:7"],
        "builds": [4],
        "changes": [4],
        "jobs": ["T"],
        "issues": ["m"],
        "tests": ["t"],
        "artifacts": ["f"],
    }
