"""How the newer local CI systems refuse: each in its vendor's own form."""

import base64
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import Playground, Spec


def signed_in(ground: Playground, connection: str) -> dict[str, str]:
    """Return the headers with which a connection's requests are let in."""
    options = ground.options[connection]
    token = str(options["token"])
    pair = base64.b64encode(f"{options.get('email', '')}:{token}".encode()).decode()
    return {
        "demo-circleci": {"Circle-Token": token},
        "demo-azure": {"Authorization": f"Basic {pair}"},
        "demo-bitbucket": {"Authorization": f"Basic {pair}"},
        "demo-travis": {"Authorization": f"token {token}", "Travis-API-Version": "3"},
        "demo-truto": {"Authorization": f"Bearer {token}"},
    }[connection]


PAYMENTS = "/ci/circleci/api/v2/project/gh/acme/payments"
ATLAS = "/ci/azure_devops/acme/Atlas/_apis"
BEACON = "/ci/bitbucket/2.0/repositories/acme/beacon-web"
HARBOR = "/ci/travis/api/repo/acme%2Fharbor"
VERSION = {"api-version": "7.1"}


async def refused(ground: Playground, connection: str, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Return the status and the body of an answer."""
    response = await ground.client.request(method, path, headers=signed_in(ground, connection), **more)
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PAYMENTS}/pipeline", 401),
        (f"{ATLAS}/build/builds?api-version=7.1", 203),
        (f"{BEACON}/pipelines", 401),
        (f"{HARBOR}/builds", 403),
        ("/ci/truto/integrated-account", 401),
    ],
)
async def test_without_a_token_each_system_answers_as_its_vendor_does(path: str, status: int) -> None:
    ground = Playground()
    response = await ground.client.get(path)
    assert response.status_code == status
    assert ("html" in response.headers["content-type"]) is (status == 203)


async def test_circleci_refuses_in_its_form() -> None:
    ground = Playground()
    start = {"config": {"branch": "main"}, "checkout": {"branch": "main"}}
    ask: list[tuple[str, str, dict[str, Any], tuple[int, Any]]] = [
        ("GET", f"{PAYMENTS}x/pipeline", {}, (404, {"message": "Project not found"})),
        ("POST", f"{PAYMENTS}/pipeline/run", {"json": {}}, (400, {"message": "config and checkout are required."})),
        (
            "POST",
            f"{PAYMENTS}/pipeline/run",
            {"json": {**start, "parameters": {"colour": "red"}}},
            (400, {"message": "Unexpected argument(s): colour"}),
        ),
        (
            "POST",
            f"{PAYMENTS}/pipeline",
            {"json": {"branch": "main", "tag": "v2.4.0"}},
            (400, {"message": "branch and tag are mutually exclusive."}),
        ),
    ]
    for method, path, more, expected in ask:
        assert await refused(ground, "demo-circleci", method, path, **more) == expected


async def test_azure_devops_refuses_with_the_key_of_an_exception() -> None:
    ground = Playground()
    runs = f"{ATLAS}/pipelines/41/runs"
    nowhere = {"resources": {"repositories": {"self": {"refName": "refs/heads/nowhere"}}}}
    for method, path, more, expected in (
        ("GET", f"{ATLAS}/build/builds/1", {"params": VERSION}, (404, "BuildNotFoundException")),
        ("GET", f"{ATLAS}/build/builds", {}, (400, "VssVersionNotSpecifiedException")),
        ("POST", runs, {"params": VERSION, "json": nowhere}, (400, "PipelineValidationException")),
        (
            "POST",
            runs,
            {"params": VERSION, "json": {"variables": {"colour": {"value": "red"}}}},
            (400, "PipelineValidationException"),
        ),
    ):
        status, body = await refused(ground, "demo-azure", method, path, **more)
        assert (status, body["typeKey"]) == expected


async def test_bitbucket_refuses_with_a_detail() -> None:
    ground = Playground()
    target = {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "nowhere"}
    status, body = await refused(ground, "demo-bitbucket", "POST", f"{BEACON}/pipelines", json={"target": target})
    assert (status, body["error"]["detail"]) == (400, "The branch nowhere was not found.")
    newest = (await refused(ground, "demo-bitbucket", "GET", f"{BEACON}/pipelines?sort=-created_on"))[1]["values"][0]
    path = f"{BEACON}/pipelines/{newest['uuid']}/stopPipeline"
    assert (await refused(ground, "demo-bitbucket", "POST", path))[0] == 400


async def test_bitbucket_lists_the_oldest_run_first_unless_told_otherwise() -> None:
    ground = Playground()
    first = (await refused(ground, "demo-bitbucket", "GET", f"{BEACON}/pipelines"))[1]["values"][0]
    assert first["build_number"] == 1


async def test_travis_takes_a_start_and_refuses_it_later() -> None:
    ground = Playground()
    body = {"request": {"branch": "nowhere"}}
    status, taken = await refused(ground, "demo-travis", "POST", f"{HARBOR}/requests", json=body)
    assert (status, taken["@type"]) == (202, "pending")
    path = f"{HARBOR}/request/{taken['request']['id']}"
    assert (await refused(ground, "demo-travis", "GET", path))[1]["state"] == "pending"
    ground.wait(2)
    assert (await refused(ground, "demo-travis", "GET", path))[1]["result"] == "rejected"
    messages = (await refused(ground, "demo-travis", "GET", f"{path}/messages"))[1]["messages"]
    assert [message["code"] for message in messages] == ["commit_not_found"]


async def test_travis_starts_only_so_many_builds_an_hour() -> None:
    ground = Playground(quota=0.2)
    body = {"request": {"branch": "main"}}
    statuses = [
        (await refused(ground, "demo-travis", "POST", f"{HARBOR}/requests", json=body))[0] for _attempt in range(3)
    ]
    assert statuses == [202, 202, 429]


async def test_circleci_s_answers_fit_its_description() -> None:
    spec, ground = Spec("circleci"), Playground()
    mount = "/ci/circleci/api/v2"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response: httpx.Response = await ground.client.request(
            method, f"{mount}{path}", headers=signed_in(ground, "demo-circleci"), **more
        )
        spec.check(mount, response)
        return response.json()

    for path in ("/me", "/me/collaborations", "/pipeline?org-slug=gh/acme"):
        await ask("GET", path)
    pipeline = (await ask("GET", "/pipeline?org-slug=gh/acme"))["items"][0]["id"]
    for part in ("", "/config", "/values"):
        await ask("GET", f"/pipeline/{pipeline}{part}")
    workflow = (await ask("GET", f"/pipeline/{pipeline}/workflow"))["items"][0]["id"]
    await ask("GET", f"/workflow/{workflow}")
    await ask("GET", f"/workflow/{workflow}/job")
    assert len(spec.checked) >= 8
