"""Which pasted addresses belong to a connection: the vendor's pages, and those below the connection's own `url`."""

import httpx
import pytest

from bot.core.models import Page
from bot.providers.base.urls import page_below
from tests.bot.providers.case import Case, opened
from tests.bot.providers.cases import bitbucket, buildkite, github_actions, xcode_cloud

OWN = "http://127.0.0.1:4500/ci/system"
RUN = "9e1f4a30-5b7c-4d2e-a1b3-000000000207"
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
