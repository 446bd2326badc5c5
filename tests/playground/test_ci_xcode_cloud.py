import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from playground.ci.xcode_cloud import XcodeCloud
from tests.playground.ci_kit import Playground

V1 = "/ci/xcode_cloud/v1"


def token(ground: Playground, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    options = ground.options["demo-xcode"]
    now = int(ground.clock())
    made = {"iss": options["issuer_id"], "iat": now - 5, "exp": now + 1100, "aud": "appstoreconnect-v1", **claims}
    made = {name: value for name, value in made.items() if value is not None}
    header = {"kid": options["key_id"], "typ": "JWT", **(headers or {})}
    return jwt.encode(made, str(options["private_key"]), algorithm="ES256", headers=header)


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["Authorization"] = f"Bearer {token(made, exp=int(made.clock()) + 1190)}"
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(f"{V1}{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def product(ground: Playground) -> str:
    return str((await got(ground, "/ciProducts"))["data"][0]["id"])


async def workflow(ground: Playground, name: str = "Nightly") -> dict[str, Any]:
    rows = (await got(ground, f"/ciProducts/{await product(ground)}/workflows"))["data"]
    return next(row for row in rows if row["attributes"]["name"] == name)


def pointing(**points: tuple[str, str]) -> dict[str, Any]:
    return {name: {"data": {"type": kind, "id": key}} for name, (kind, key) in points.items()}


async def start(ground: Playground, relationships: dict[str, Any], **attributes: Any) -> httpx.Response:
    data: dict[str, Any] = {"type": "ciBuildRuns", "relationships": relationships}
    if attributes:
        data["attributes"] = attributes
    return await ground.client.post(f"{V1}/ciBuildRuns", json={"data": data})


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "appstoreconnect-v2"},
        {"iss": "somebody-else"},
        {"exp": 1},
        {"exp": 1_780_000_000 + 1300},
        {"iat": 1_780_000_000 + 300, "exp": 1_780_000_000 + 400},
        {"iat": None},
        {"sub": "user"},
        {"scope": ["GET /v1/apps"]},
    ],
)
async def test_a_token_that_breaks_a_rule_gets_401(ground: Playground, claims: dict[str, Any]) -> None:
    response = await ground.client.get(
        f"{V1}/ciProducts", headers={"Authorization": f"Bearer {token(ground, **claims)}"}
    )
    assert response.status_code == 401
    assert response.json()["errors"][0]["code"] == "NOT_AUTHORIZED"


async def test_tokens_of_a_team_and_of_a_fitting_scope_pass(ground: Playground) -> None:
    for scope in (None, ["GET /v1/ciProducts?include=app"]):
        header = {"Authorization": f"Bearer {token(ground, scope=scope)}"}
        response = await ground.client.get(f"{V1}/ciProducts", params={"include": "app", "limit": 5}, headers=header)
        assert response.status_code == 200
        assert response.headers["x-rate-limit"].startswith("user-hour-lim:")


HALF_A_YEAR = 180 * 86_400


@pytest.mark.parametrize(
    ("scope", "seconds", "status"),
    [
        (["GET /v1/ciProducts"], HALF_A_YEAR, 200),
        (["GET /v1/ciProducts"], 200 * 86_400, 401),
        (["GET /v1/ciProducts", "POST /v1/ciBuildRuns"], HALF_A_YEAR, 401),
        (["GET /v1/ciProducts", "GET /v1/ciBuildActions/1/artifacts"], HALF_A_YEAR, 401),
        (["GET /v1/ciProducts", "GET /v1/apps"], HALF_A_YEAR, 401),
        (["GET /v1/ciWorkflows/1"], HALF_A_YEAR, 401),
        ([], HALF_A_YEAR, 401),
        (None, HALF_A_YEAR, 401),
    ],
)
async def test_a_token_of_months_holds_only_reads_of_what_apple_lists(
    ground: Playground, scope: list[str] | None, seconds: int, status: int
) -> None:
    now = int(ground.clock())
    bearer = token(ground, scope=scope, exp=now - 5 + seconds)
    response = await ground.client.get(f"{V1}/ciProducts", headers={"Authorization": f"Bearer {bearer}"})
    assert response.status_code == status


async def test_a_persons_own_key_says_user_and_names_no_issuer(ground: Playground) -> None:
    system = ground.world.systems["xcode_cloud"]
    assert isinstance(system, XcodeCloud)
    own = system.individual_options("http://ci.test")
    now = int(ground.clock())
    for claims, status in (
        ({"sub": "user"}, 200),
        ({"iss": system.issuer_id}, 401),
        ({"sub": "user", "iss": system.issuer_id}, 401),
        ({"sub": "somebody"}, 401),
    ):
        made = {"iat": now, "exp": now + 1200, "aud": "appstoreconnect-v1", **claims}
        signed = jwt.encode(made, str(own["private_key"]), algorithm="ES256", headers={"kid": str(own["key_id"])})
        response = await ground.client.get(f"{V1}/ciProducts", headers={"Authorization": f"Bearer {signed}"})
        assert response.status_code == status, claims
    team = token(ground, iss=None, sub="user")
    refused = await ground.client.get(f"{V1}/ciProducts", headers={"Authorization": f"Bearer {team}"})
    assert refused.status_code == 401


async def test_another_key_id_gets_401(ground: Playground) -> None:
    header = {"Authorization": f"Bearer {token(ground, headers={'kid': 'OTHER'})}"}
    assert (await ground.client.get(f"{V1}/ciProducts", headers=header)).status_code == 401


async def test_runs_of_a_product_page_by_cursor_newest_first(ground: Playground) -> None:
    path = f"{V1}/ciProducts/{await product(ground)}/buildRuns"
    response = await ground.client.get(path, params={"sort": "-number", "limit": 15})
    numbers = [row["attributes"]["number"] for row in response.json()["data"]]
    while following := response.json()["links"].get("next"):
        response = await ground.client.get(following)
        numbers += [row["attributes"]["number"] for row in response.json()["data"]]
    assert numbers == list(range(36, 0, -1))
    assert (await ground.client.get(path, params={"limit": 201})).status_code == 400
    assert (await ground.client.get(path, params={"include": "actions"})).json()["errors"][0]["source"] == {
        "parameter": "include"
    }


async def test_a_relation_arrives_only_when_included_and_among_the_fields(ground: Playground) -> None:
    path = f"/ciProducts/{await product(ground)}/buildRuns"
    bare = (await got(ground, path, limit=1))["data"][0]
    assert "data" not in bare["relationships"].get("workflow", {})
    full = await got(
        ground,
        path,
        **{
            "limit": 1,
            "include": "workflow,sourceBranchOrTag",
            "fields[ciBuildRuns]": "number,workflow",
            "fields[ciWorkflows]": "name",
        },
    )
    (row,) = full["data"]
    assert row["attributes"].keys() == {"number"}
    assert row["relationships"].keys() == {"workflow"}
    (included,) = full["included"]
    assert (included["type"], included["attributes"].keys()) == ("ciWorkflows", {"name"})


async def test_listing_all_runs_is_refused_in_the_services_words(ground: Playground) -> None:
    response = await ground.client.get(f"{V1}/ciBuildRuns")
    assert response.status_code == 403
    assert "Allowed operations are: CREATE, GET_INSTANCE" in response.json()["errors"][0]["detail"]


async def test_a_branch_is_started_and_runs_to_its_end_with_counts(ground: Playground) -> None:
    nightly = await workflow(ground)
    repository = (await got(ground, f"/ciWorkflows/{nightly['id']}/repository"))["data"]["id"]
    references = (await got(ground, f"/scmRepositories/{repository}/gitReferences", limit=200))["data"]
    main = next(row for row in references if row["attributes"]["canonicalName"] == "refs/heads/main")
    response = await start(
        ground,
        pointing(workflow=("ciWorkflows", nightly["id"]), sourceBranchOrTag=("scmGitReferences", main["id"])),
        clean=True,
    )
    assert response.status_code == 201
    run = response.json()["data"]
    assert run["attributes"]["executionProgress"] == "PENDING"
    assert "completionStatus" not in run["attributes"]
    await ground.control("outcome", system="xcode_cloud", build=run["id"], outcome="test_failure")
    ground.wait(10)
    assert (await got(ground, f"/ciBuildRuns/{run['id']}"))["data"]["attributes"]["executionProgress"] == "RUNNING"
    ground.wait(120)
    done = (await got(ground, f"/ciBuildRuns/{run['id']}"))["data"]["attributes"]
    assert (done["executionProgress"], done["completionStatus"], done["startReason"]) == (
        "COMPLETE",
        "FAILED",
        "MANUAL",
    )
    assert done["issueCounts"]["testFailures"] > 0
    actions = (await got(ground, f"/ciBuildRuns/{run['id']}/actions"))["data"]
    test = next(row for row in actions if row["attributes"]["actionType"] == "TEST")
    assert test["attributes"]["issueCounts"]["testFailures"] == done["issueCounts"]["testFailures"]
    results = (await got(ground, f"/ciBuildActions/{test['id']}/testResults", limit=200))["data"]
    bad = [row for row in results if row["attributes"]["status"] in {"FAILURE", "MIXED"}]
    assert len(bad) == done["issueCounts"]["testFailures"]
    issues = (await got(ground, f"/ciBuildActions/{test['id']}/issues"))["data"]
    assert sum(row["attributes"]["issueType"] == "TEST_FAILURE" for row in issues) == len(bad)


async def test_start_wants_a_workflow_and_one_known_source(ground: Playground) -> None:
    nightly = await workflow(ground)
    mine = ("ciWorkflows", nightly["id"])
    nowhere = ("scmGitReferences", "nowhere")
    run = (await got(ground, f"/ciWorkflows/{nightly['id']}/buildRuns", limit=1))["data"][0]["id"]
    for relationships, pointer in (
        (pointing(buildRun=("ciBuildRuns", run)), "workflow"),
        (pointing(workflow=mine), "sourceBranchOrTag"),
        (pointing(workflow=mine, sourceBranchOrTag=nowhere), "sourceBranchOrTag"),
        (pointing(workflow=mine, sourceBranchOrTag=nowhere, buildRun=("ciBuildRuns", run)), "sourceBranchOrTag"),
    ):
        response = await start(ground, relationships)
        assert response.status_code == 409
        assert response.json()["errors"][0]["source"]["pointer"] == f"/data/relationships/{pointer}"
    again = await start(ground, pointing(workflow=mine, buildRun=("ciBuildRuns", run)))
    assert (again.status_code, again.json()["data"]["attributes"]["startReason"]) == (201, "MANUAL_REBUILD")
    wrong = await start(ground, pointing(workflow=mine, buildRun=("ciBuildRuns", run)), priority=1)
    assert wrong.json()["errors"][0]["code"] == "ENTITY_ERROR.ATTRIBUTE.UNKNOWN"


async def test_a_disabled_workflow_starts_nothing(ground: Playground) -> None:
    nightly = await workflow(ground)
    body = {"data": {"type": "ciWorkflows", "id": nightly["id"], "attributes": {"isEnabled": False}}}
    response = await ground.client.patch(f"{V1}/ciWorkflows/{nightly['id']}", json=body)
    assert response.json()["data"]["attributes"]["isEnabled"] is False
    run = (await got(ground, f"/ciWorkflows/{nightly['id']}/buildRuns", limit=1))["data"][0]["id"]
    refused = await start(ground, pointing(workflow=("ciWorkflows", nightly["id"]), buildRun=("ciBuildRuns", run)))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "STATE_ERROR")


async def test_a_workflow_is_made_and_deleted(ground: Playground) -> None:
    model = await workflow(ground)
    attributes = {
        name: model["attributes"][name]
        for name in ("description", "actions", "isEnabled", "clean", "containerFilePath")
    }
    xcode = (await got(ground, "/ciXcodeVersions"))["data"][0]["id"]
    mac = (await got(ground, "/ciMacOsVersions"))["data"][0]["id"]
    repository = (await got(ground, f"/ciWorkflows/{model['id']}/repository"))["data"]["id"]
    relationships = pointing(
        product=("ciProducts", await product(ground)),
        repository=("scmRepositories", repository),
        xcodeVersion=("ciXcodeVersions", xcode),
        macOsVersion=("ciMacOsVersions", mac),
    )

    async def make(name: str) -> httpx.Response:
        data = {"type": "ciWorkflows", "attributes": {**attributes, "name": name}, "relationships": relationships}
        return await ground.client.post(f"{V1}/ciWorkflows", json={"data": data})

    assert (await make("Nightly")).status_code == 409
    made = await make("Nightly 2")
    assert made.status_code == 201
    key = made.json()["data"]["id"]
    assert (await workflow(ground, "Nightly 2"))["id"] == key
    assert (await ground.client.delete(f"{V1}/ciWorkflows/{key}")).status_code == 204
    assert (await ground.client.get(f"{V1}/ciWorkflows/{key}")).status_code == 404


async def test_a_workflow_is_changed_in_what_is_sent_and_keeps_the_rest(ground: Playground) -> None:
    nightly = await workflow(ground)
    path = f"{V1}/ciWorkflows/{nightly['id']}"

    async def change(relationships: dict[str, Any] | None = None, **attributes: Any) -> httpx.Response:
        data = {"type": "ciWorkflows", "id": nightly["id"], "attributes": attributes}
        return await ground.client.patch(
            path, json={"data": data | ({"relationships": relationships} if relationships else {})}
        )

    schedule = {"source": {"isAllMatch": True}, "schedule": {"frequency": "HOURLY", "minute": 15, "timezone": "UTC"}}
    changed = (await change(clean=True, scheduledStartCondition=schedule)).json()["data"]["attributes"]
    assert (changed["clean"], changed["scheduledStartCondition"]) == (True, schedule)
    assert changed["actions"] == nightly["attributes"]["actions"]
    gone = (await change(scheduledStartCondition=None)).json()["data"]["attributes"]
    assert "scheduledStartCondition" not in gone
    older = pointing(xcodeVersion=("ciXcodeVersions", "xcode-16F6"))
    assert "does not run" in (await change(older)).json()["errors"][0]["detail"]
    both = older | pointing(macOsVersion=("ciMacOsVersions", "macos-24G84"))
    assert (await change(both)).status_code == 200
    read = await got(ground, f"/ciWorkflows/{nightly['id']}", include="xcodeVersion,macOsVersion")
    assert [item["attributes"]["name"] for item in read["included"]] == ["Xcode 16.4 (16F6)", "macOS Sequoia 15.6"]
    refused: tuple[dict[str, Any], ...] = (
        {"actions": []},
        {"actions": [{"actionType": "DANCE"}]},
        {"actions": [{"actionType": "BUILD", "platform": "TOASTER"}]},
        {"actions": [{"actionType": "BUILD", "destination": "ANYWHERE"}]},
        {"scheduledStartCondition": {"schedule": {"frequency": "WEEKLY"}}},
        {"branchStartCondition": {"source": {"isAllMatch": False, "patterns": []}}},
        {"lastModifiedDate": "2026-01-01T00:00:00Z"},
        {"clean": None},
    )
    for attributes in refused:
        assert (await change(**attributes)).status_code == 409, attributes


async def test_a_start_needs_a_manual_start_condition_for_its_source(ground: Playground) -> None:
    nightly = await workflow(ground)
    body = {"data": {"type": "ciWorkflows", "id": nightly["id"], "attributes": {"manualBranchStartCondition": None}}}
    await ground.client.patch(f"{V1}/ciWorkflows/{nightly['id']}", json=body)
    repository = (await got(ground, f"/ciWorkflows/{nightly['id']}/repository"))["data"]["id"]
    references = (await got(ground, f"/scmRepositories/{repository}/gitReferences", limit=200))["data"]
    main = next(row for row in references if row["attributes"]["canonicalName"] == "refs/heads/main")
    relations = pointing(workflow=("ciWorkflows", nightly["id"]), sourceBranchOrTag=("scmGitReferences", main["id"]))
    assert (await start(ground, relations)).json()["errors"][0]["code"] == "STATE_ERROR"


async def test_a_framework_has_no_workflow_until_one_is_made_and_a_product_goes_with_all_it_has(
    ground: Playground,
) -> None:
    products = await got(ground, "/ciProducts", include="app,bundleId,primaryRepositories")
    app, kit = products["data"]
    assert (kit["attributes"]["name"], kit["attributes"]["productType"]) == ("Aurora Kit", "FRAMEWORK")
    assert "data" not in kit["relationships"].get("app", {})
    assert (await got(ground, f"/ciProducts/{kit['id']}/workflows"))["data"] == []
    (repository,) = (await got(ground, f"/ciProducts/{kit['id']}/primaryRepositories"))["data"]
    (more,) = (await got(ground, f"/ciProducts/{app['id']}/additionalRepositories"))["data"]
    assert more["id"] == repository["id"]
    assert (await ground.client.delete(f"{V1}/ciProducts/{app['id']}")).status_code == 204
    assert [row["id"] for row in (await got(ground, "/ciProducts"))["data"]] == [kit["id"]]
    assert (await ground.client.get(f"{V1}/ciProducts/{app['id']}/workflows")).status_code == 404
    assert len((await got(ground, "/scmRepositories"))["data"]) == 2


async def test_an_archive_is_processed_by_testflight_for_five_minutes(ground: Playground) -> None:
    made = await ground.push("xcode_cloud", "Aurora iOS/Release", branch="main", outcome="pass")
    ground.wait(150)
    builds = (await got(ground, f"/ciBuildRuns/{made['id']}/builds"))["data"]
    assert [row["attributes"]["processingState"] for row in builds] == ["PROCESSING"]
    query = {"filter[id]": builds[0]["id"], "include": "preReleaseVersion", "fields[builds]": "preReleaseVersion"}
    (version,) = (await got(ground, "/builds", **query))["included"]
    assert version["attributes"]["version"] == "2.1.0"
    ground.wait(300)
    (later,) = (await got(ground, f"/ciBuildRuns/{made['id']}/builds"))["data"]
    assert later["attributes"]["processingState"] == "VALID"


async def test_a_field_that_a_resource_does_not_have_is_refused(ground: Playground) -> None:
    response = await ground.client.get(f"{V1}/ciProducts", params={"fields[ciProducts]": "name,colour"})
    assert response.json()["errors"][0]["source"] == {"parameter": "fields[ciProducts]"}


async def test_logs_are_a_zip_behind_an_address_that_bears_no_token(ground: Playground) -> None:
    nightly = await workflow(ground)
    run = (await got(ground, f"/ciWorkflows/{nightly['id']}/buildRuns", limit=1, sort="-number"))["data"][0]["id"]
    action = (await got(ground, f"/ciBuildRuns/{run}/actions"))["data"][0]["id"]
    artifacts = (await got(ground, f"/ciBuildActions/{action}/artifacts"))["data"]
    bundle = next(row for row in artifacts if row["attributes"]["fileType"] == "LOG_BUNDLE")
    fresh = (await got(ground, f"/ciArtifacts/{bundle['id']}"))["data"]["attributes"]
    assert (await ground.client.get(fresh["downloadUrl"])).status_code == 400
    del ground.client.headers["Authorization"]
    content = (await ground.client.get(fresh["downloadUrl"])).content
    assert len(content) == fresh["fileSize"]
    with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
        assert "Checking out" in unpacked.read("ci_logs/xcodebuild-build.log").decode()


async def test_webhooks_go_unsigned_to_the_secret_path(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test/")
    made = await ground.push("xcode_cloud", "Pull Requests", branch="feature/widgets", outcome="fail")
    ground.wait(120)
    await ground.world.sender.flush()
    secret = ground.options["demo-xcode"]["webhook_secret"]
    assert {str(request.url) for request in received} == {f"http://bot.test/hooks/demo-xcode/{secret}"}
    bodies = [json.loads(request.content) for request in received]
    assert [body["metadata"]["attributes"]["eventType"] for body in bodies] == [
        "BUILD_CREATED",
        "BUILD_STARTED",
        "BUILD_COMPLETED",
    ]
    assert all(body["ciBuildRun"]["id"] == made["id"] for body in bodies)
    assert bodies[-1]["ciBuildRun"]["attributes"]["completionStatus"] == "FAILED"
    assert "issueCounts" not in bodies[-1]["ciBuildRun"]["attributes"]
    assert bodies[-1]["scmPullRequest"]["attributes"]["sourceBranchName"] == "feature/widgets"
    await ground.control("webhooks", on=False)
