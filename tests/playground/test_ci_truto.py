"""The local Truto in front of each system, driven by the bot's own provider."""

from typing import Any

import pytest

from bot.core.errors import NotFound, ProviderError
from bot.core.models import BuildFilter, Conclusion, Ref, RefKind, StartRequest
from bot.providers.base.capabilities import Capability
from playground.ci.truto import account_id
from tests.playground.driven import driven

BEHIND: dict[str, dict[str, Any]] = {
    "circleci": {"system": "circleci", "pipeline": "gh/acme/payments", "repo_id": "gh/acme/payments"},
    "bitbucket": {"system": "bitbucket", "pipeline": "beacon-web", "workspace_id": "acme", "repo": "beacon-web"},
    "travis_ci": {"system": "travis", "pipeline": "acme/harbor", "repo_id": "acme/harbor"},
    "azure_devops": {"system": "azure_devops", "pipeline": "atlas", "workspace_id": "Atlas", "repo": "atlas"},
}
OPTIONS = {"azure_devops": {"workflow": "41"}}


def account(integration: str) -> dict[str, object]:
    """Return the options of the connection to a system."""
    named = {name: value for name, value in BEHIND[integration].items() if name not in {"system", "pipeline"}}
    unnamed = dict.fromkeys(("owner", "repo_id", "repo", "workspace_id"), "")
    return {**unnamed, **named, "integration": integration, "integrated_account_id": account_id(integration)}


@pytest.mark.parametrize("integration", BEHIND)
async def test_each_system_behind_truto_lists_starts_finishes_and_runs_again(integration: str) -> None:
    system, pipeline = BEHIND[integration]["system"], BEHIND[integration]["pipeline"]
    async with driven("demo-truto", **account(integration)) as ground:
        assert not (await ground.provider.check()).missing
        listed = [build async for build in ground.provider.builds(pipeline, BuildFilter(limit=5))]
        assert len(listed) == 5
        assert all(build.completed and build.commit for build in listed)
        branch = next(iter(ground.world.systems[system].pipelines[0].repo.branches))
        request = StartRequest(ref=Ref(kind=RefKind.BRANCH, name=branch), options=OPTIONS.get(integration, {}))
        build = await ground.provider.start(pipeline, request)
        assert build.branch == branch
        await ground.decide_outcome(build, "fail", system)
        ended = await ground.until(build)
        assert ended.conclusion is Conclusion.FAILED
        jobs = await ground.provider.jobs(pipeline, build.id)
        broken = next(job for job in jobs if job.conclusion is Conclusion.FAILED)
        assert (await ground.provider.counts(ended)).errors == 1
        if ground.provider.can(Capability.LOG):
            assert "error:" in (await ground.provider.log(broken)).text
        if ground.provider.can(Capability.RETRY_FAILED):
            again = await ground.provider.retry(pipeline, build.id)
            assert not again.completed
            await ground.decide_outcome(again, "pass", system)
            assert (await ground.until(again)).conclusion is Conclusion.PASSED


@pytest.mark.parametrize("integration", BEHIND)
async def test_a_cancel_that_truto_passes_on_stops_the_build(integration: str) -> None:
    pipeline = BEHIND[integration]["pipeline"]
    async with driven("demo-truto", **account(integration)) as ground:
        request = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), options=OPTIONS.get(integration, {}))
        build = await ground.provider.start(pipeline, request)
        ground.wait(8)
        await ground.provider.cancel(pipeline, build.id)
        assert (await ground.until(build)).conclusion is Conclusion.CANCELLED


async def test_truto_marks_what_the_system_behind_refuses() -> None:
    async with driven("demo-truto") as ground:
        with pytest.raises(NotFound):
            await ground.provider.build("storefront", "99999999")
        headers = {"Authorization": f"Bearer {ground.options['demo-truto']['token']}"}
        reply = await ground.client.get(
            "/ci/truto/unified/ci-cd/builds/99999999",
            params={"integrated_account_id": account_id("github"), "owner": "acme", "repo_id": "storefront"},
            headers=headers,
        )
        assert (reply.status_code, reply.json()["truto_is_remote_error"]) == (404, True)
        assert reply.json()["raw_response"]["message"] == "Not Found"
        missing = await ground.client.get(
            "/ci/truto/unified/ci-cd/builds", params={"integrated_account_id": account_id("github")}, headers=headers
        )
        assert missing.status_code == 400
        assert "truto_is_remote_error" not in missing.json()
        insight = missing.json()["truto_error_insight"]
        assert insight == {"missing_required_query_parameters": ["owner", "repo_id"]}


async def test_a_fault_of_the_system_behind_comes_through_truto() -> None:
    async with driven("demo-truto") as ground:
        await ground.control("fault", system="github_actions", kind="500", count=20)
        with pytest.raises(ProviderError):
            await ground.newest("storefront")


async def test_truto_keys_narrows_and_leaves_out_as_its_parameters_say() -> None:
    async with driven("demo-truto") as ground:
        query = {"integrated_account_id": account_id("github"), "owner": "acme", "repo_id": "storefront", "limit": "9"}
        headers = {"Authorization": f"Bearer {ground.options['demo-truto']['token']}"}

        async def builds(**more: str) -> Any:
            reply = await ground.client.get("/ci/truto/unified/ci-cd/builds", params={**query, **more}, headers=headers)
            assert reply.status_code == 200, reply.text
            return reply.json()

        first = await builds()
        assert all(build["remote_data"]["run_number"] == build["number"] for build in first["result"])
        second = await builds(next_cursor=first["next_cursor"])
        ids = [build["id"] for page in (first, second) for build in page["result"]]
        assert len(ids) == len(set(ids)) == 18
        keyed = await builds(truto_key_by="id", truto_ignore_remote_data="true")
        assert list(keyed["result"]) == ids[:9]
        assert all("remote_data" not in build for build in keyed["result"].values())
        failed = await builds(conclusion="failed", limit="50")
        assert {build["conclusion"] for build in failed["result"]} == {"failed"}
