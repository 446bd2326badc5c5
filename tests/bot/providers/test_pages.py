"""Which pasted addresses belong to a connection: the vendor's pages, and those below the connection's own `url`."""

import json

import httpx
import pytest

from bot.core.errors import BotError
from bot.core.models import Page
from bot.providers.base.urls import page_below
from tests.bot.providers.case import Call, Case, cases, opened, result_of
from tests.bot.providers.cases import bitbucket, buildkite, github_actions, xcode_cloud
from tests.bot.providers.replay import Replay, as_json, read_exchanges

OWN = "http://127.0.0.1:4500/ci/system"
RUN = "9e1f4a30-5b7c-4d2e-a1b3-000000000207"
CASES = cases()[0]
SILENT = httpx.MockTransport(lambda _request: httpx.Response(404))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://ci.example/a/b", "/a/b"),
        (" http://CI.example:80/a ", "/a"),
        ("https://ci.example", ""),
        ("https://own.example:8443/base/a?x=1#y", "/a"),
        ("https://own.example:8443/based/a", None),
        ("https://own.example/base/a", None),
        ("https://ci.example:8443/a", None),
        ("https://ci.example.elsewhere.example/a", None),
        ("https://ci.example@elsewhere.example/a", None),
        ("ftp://ci.example/a", None),
        ("http://[::1/a", None),
        ("http://ci.example:port/a", None),
        ("not an address", None),
        ("", None),
    ],
)
def test_an_address_belongs_to_the_home_that_holds_it(url: str, path: str | None) -> None:
    address = page_below(url, "https://ci.example", "", "https://own.example:8443/base/")
    assert (address.path if address else None) == path


def test_the_query_and_the_fragment_are_kept() -> None:
    address = page_below("https://ci.example/a?sid=1#job", "https://ci.example")
    assert address is not None
    assert (address.query, address.fragment) == ("sid=1", "job")


EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)
READS = [
    (case, name, call)
    for case in CASES
    for name, call in case.calls.items()
    if (case.payloads / f"{name}.json").exists()
]
READ_NAMES = frozenset({"pipelines", "pipeline", "builds", "build", "jobs", "approvals", "issues", "artifacts"})


@EVERY_CASE
async def test_links_to_pages_stand_beside_a_url_that_is_not_the_vendors(case: Case) -> None:
    async with opened(case, SILENT, {"url": OWN, "private_network": True}) as provider:
        assert provider.site(provider.options) == OWN
        assert provider.web_homes[0] == OWN


@EVERY_CASE
async def test_an_api_root_is_no_part_of_the_pages_beside_it(case: Case) -> None:
    suffix = case.provider_class.api_suffix
    async with opened(case, SILENT, {"url": f"{OWN}{suffix}/", "private_network": True}) as provider:
        assert provider.site(provider.options) == OWN


@pytest.mark.parametrize(("case", "name", "call"), [
    pytest.param(case, name, call, id=f"{case}-{name}")
    for case, name, call in READS if name.partition("_")[0] in READ_NAMES
])  # fmt: skip
async def test_no_link_that_is_built_here_leads_past_the_site_of_the_connection(
    case: Case, name: str, call: Call
) -> None:
    exchanges = read_exchanges(case.payloads / f"{name}.json")
    vendor = case.provider_class.default_site or case.provider_class.default_url or "https://buildkite.com"
    if any(vendor in json.dumps([exchange.body, exchange.headers], default=str) for exchange in exchanges):
        pytest.skip("the answers name the vendor's pages themselves")
    async with opened(
        case, Replay(exchanges, case.origin, lenient=True), {"web_url": "https://pages.example/"}
    ) as provider:
        assert provider.site(provider.options) == "https://pages.example"
        try:
            read = json.dumps(as_json(await result_of(call(provider))))
        except BotError as exc:
            read = f"{exc} {exc.hint}"
        assert f'"{vendor}' not in read


async def test_the_page_of_a_step_that_waits_is_the_stand_ins_own() -> None:
    exchanges = read_exchanges(buildkite.CASE.payloads / "approvals.json")
    unnamed = json.loads(json.dumps(exchanges[0].body).replace('"web_url"', '"another_url"'))
    answer = httpx.MockTransport(lambda _request: httpx.Response(200, json=unnamed))
    async with opened(buildkite.CASE, answer, {"url": OWN, "private_network": True}) as provider:
        approvals = await result_of(buildkite.CASE.calls["approvals"](provider))
        assert isinstance(approvals, tuple)
        assert approvals
        assert all(approval.url.startswith(f"{OWN}/harbor/") for approval in approvals)


@pytest.mark.parametrize(
    ("case", "vendor", "path", "page"),
    [
        (buildkite.CASE, "https://buildkite.com", "/harbor/ferry", Page(pipeline="ferry")),
        (buildkite.CASE, "https://buildkite.com", "/harbor/ferry/builds/41", Page(pipeline="ferry", build="41", number=41)),
        (bitbucket.CASE, "https://bitbucket.org", "/harbor/ferry", Page(pipeline="ferry")),
        (bitbucket.CASE, "https://bitbucket.org", "/harbor/ferry/pipelines/results/7", Page(pipeline="ferry", number=7)),
        (github_actions.CASE, "https://github.com", "/harbor/ferry/actions/workflows/ci.yml", Page(pipeline="harbor/ferry/ci.yml")),
        (github_actions.CASE, "https://github.com", "/harbor/ferry/actions/runs/41", Page(pipeline="harbor/ferry/runs/41", build="41")),
        (xcode_cloud.CASE, "", f"/apps/99/ci/builds/{RUN}", Page(pipeline=f"run:{RUN}", build=RUN)),
        (xcode_cloud.CASE, "", "/apps/99/ci", Page(pipeline="app:99")),
    ],
)  # fmt: skip
async def test_pages_below_a_connections_own_url_are_read_like_the_vendors(
    case: Case, vendor: str, path: str, page: Page
) -> None:
    async with opened(case, SILENT, {"url": OWN, "private_network": True}) as provider:
        assert provider.parse_url(f"{OWN}{path}") == page
        assert provider.parse_url(f"http://127.0.0.1:4501/ci/system{path}") is None
        assert provider.parse_url(f"http://127.0.0.1:4500{path}") is None
        if vendor:
            assert provider.parse_url(f"{vendor}{path}") == page
    async with opened(case, SILENT) as provider:
        assert provider.parse_url(f"{OWN}{path}") is None
