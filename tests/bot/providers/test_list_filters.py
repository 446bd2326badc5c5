"""What filters of lists become on the wire of each system, and that the rest is looked for here."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bot.core.models import BuildFilter, FilterField
from tests.bot.providers.case import cases, opened

CASES = {str(case): case for case in cases()[0]}
SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
USER = "3d3c3bf0-7d58-4afe-8fe7-b3017d5504de"
SINCE = datetime(2026, 7, 1, 9, tzinfo=UTC)
UNTIL = datetime(2026, 7, 2, 9, tzinfo=UTC)
EMPTY: dict[str, object] = {
    "buildkite": [],
    "gitlab": [],
    "github_actions": {"workflow_runs": []},
    "azure_devops": {"value": []},
    "travis": {"builds": []},
}
PIPELINES = {
    "buildkite": "ferry",
    "gitlab": "4711",
    "github_actions": "harbor/ferry/71",
    "azure_devops": "5a1d0c7e-3b52-4f7a-9c11-2f60aa71e004/12",
    "travis": "4711",
}


def states(*words: str) -> frozenset[str]:
    return frozenset(words)


@pytest.mark.parametrize(
    ("kind", "build_filter", "sent"),
    [
        (
            "buildkite",
            BuildFilter(
                branch="main",
                commit=SHA,
                states=states("failed", "canceled"),
                by=frozenset({USER}),
                since=SINCE,
                until=UNTIL,
                finished_since=UNTIL,
                options={"meta_data.env": "prod", "include_retried_jobs": "true", "exclude_jobs": "false"},
                limit=5,
            ),
            {
                "branch": ["main"],
                "commit": [SHA],
                "state[]": ["canceled", "failed"],
                "creator": [USER],
                "created_from": ["2026-07-01T09:00:00Z"],
                "created_to": ["2026-07-02T09:00:00Z"],
                "finished_from": ["2026-07-02T09:00:00Z"],
                "meta_data[env]": ["prod"],
                "include_retried_jobs": ["true"],
                "exclude_jobs": ["false"],
                "exclude_pipeline": ["true"],
                "per_page": ["5"],
            },
        ),
        ("buildkite", BuildFilter(by=frozenset({"keith"}), limit=5), {"creator": [], "per_page": ["100"]}),
        ("buildkite", BuildFilter(states=states("scheduled", "failing")), {"state[]": ["failing", "scheduled"]}),
        (
            "github_actions",
            BuildFilter(since=SINCE, until=UNTIL, limit=5),
            {"created": ["2026-07-01T09:00:00Z..2026-07-02T09:00:00Z"], "per_page": ["5"]},
        ),
        ("github_actions", BuildFilter(since=SINCE), {"created": [">=2026-07-01T09:00:00Z"]}),
        (
            "github_actions",
            BuildFilter(until=UNTIL, by=frozenset({"ana"})),
            {"created": ["<=2026-07-02T09:00:00Z"], "per_page": ["100"]},
        ),
        ("gitlab", BuildFilter(since=SINCE, finished_since=UNTIL), {"updated_after": ["2026-07-02T09:00:00+00:00"]}),
        (
            "azure_devops",
            BuildFilter(since=SINCE, until=UNTIL, limit=5),
            {"minTime": ["2026-07-01T09:00:00+00:00"], "maxTime": ["2026-07-02T09:00:00+00:00"], "$top": ["5"]},
        ),
        ("travis", BuildFilter(by=frozenset({"ana"}), limit=5), {"limit": ["100"]}),
    ],
)
async def test_filters_reach_the_wire_as_the_system_takes_them(
    kind: str, build_filter: BuildFilter, sent: dict[str, list[str]]
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if kind == "travis" and not request.url.path.endswith("/builds"):
            return httpx.Response(200, json={"id": 4711, "slug": "harbor/ferry"})
        return httpx.Response(200, json=EMPTY[kind])

    async with opened(CASES[kind], httpx.MockTransport(answer)) as provider:
        assert [build async for build in provider.builds(PIPELINES[kind], build_filter)] == []
    params = asked[-1].url.params
    assert {name: sorted(params.get_list(name)) for name in sent} == sent


async def test_buildkite_lists_an_organization_and_every_organization_of_the_user() -> None:
    asked: list[str] = []

    def build(organization: str, pipeline: str, number: int) -> dict[str, Any]:
        url = f"https://api.buildkite.com/v2/organizations/{organization}/pipelines/{pipeline}/builds/{number}"
        return {"id": f"{organization}{number}", "number": number, "state": "passed", "url": url}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        builds = [build("harbor", "ferry", 7), build("harbor", "beacon", 7)]
        others = [build("shipyard", "ferry", 7)] if request.url.path == "/v2/builds" else []
        return httpx.Response(200, json=[*builds, *others])

    async with opened(CASES["buildkite"], httpx.MockTransport(answer)) as provider:
        own = [each.pipeline async for each in provider.account_builds(BuildFilter())]
        every = BuildFilter(options={"all_organizations": "true"})
        everybodys = [each.pipeline async for each in provider.account_builds(every)]
    assert asked == ["/v2/organizations/harbor/builds", "/v2/builds"]
    assert own == ["ferry", "beacon"]
    assert everybodys == ["ferry", "beacon", "shipyard/ferry"]


async def test_gitlab_reads_singly_what_its_list_leaves_out_of_a_filter() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        asked.append(path.rpartition("/")[2])
        run: dict[str, Any] = {"id": 31, "status": "success", "created_at": "2026-07-01T10:00:00Z", "project_id": 4711}
        if path.endswith("/pipelines"):
            return httpx.Response(200, json=[run, {**run, "id": 30}])
        if path.endswith("/31"):
            return httpx.Response(
                200, json={**run, "user": {"username": "ana", "name": "Ana"}, "finished_at": "2026-07-01T11:00:00Z"}
            )
        if path.endswith("/30"):
            return httpx.Response(200, json={**run, "id": 30, "user": {"username": "bo"}})
        return httpx.Response(404, json={"message": "404"})

    async with opened(CASES["gitlab"], httpx.MockTransport(answer)) as provider:
        builds = [build.id async for build in provider.builds("4711", BuildFilter(by=frozenset({"ana"})))]
    assert builds == ["31"]
    assert {"30", "31"} <= set(asked)


async def test_a_list_ends_once_it_has_come_to_builds_that_are_too_old() -> None:
    pages = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal pages
        pages += 1
        url = "https://api.buildkite.com/v2/organizations/harbor/pipelines/ferry/builds"
        build = {
            "id": "a",
            "number": 100 - pages,
            "state": "passed",
            "created_at": f"2026-07-{10 - pages:02}T10:00:00Z",
        }
        headers = {"Link": f'<{url}?page={pages + 1}>; rel="next"'}
        return httpx.Response(200, headers=headers, json=[{**build, "url": f"{url}/{100 - pages}"}])

    async with opened(CASES["buildkite"], httpx.MockTransport(answer)) as provider:
        since = BuildFilter(since=datetime(2026, 7, 8, tzinfo=UTC))
        assert [build.number async for build in provider.builds("ferry", since)] == [99, 98]
    assert pages == 3


@pytest.mark.parametrize("name", sorted(CASES))
async def test_what_a_system_says_it_filters_by_are_fields_of_filters(name: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    async with opened(CASES[name], httpx.MockTransport(refuse)) as provider:
        assert provider.list_filters <= frozenset(FilterField)
