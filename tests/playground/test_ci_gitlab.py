import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import Playground

V4 = "/ci/gitlab/api/v4"
BACKEND = f"{V4}/projects/acme%2Fbackend"
GATEWAY = f"{V4}/projects/acme%2Fapi-gateway"
CHANGED = """
query changed($paths: [ID!], $first: Int, $since: Time) {
  projects(fullPaths: $paths) {
    nodes {
      fullPath
      recent: pipelines(first: $first, updatedAfter: $since) {
        pageInfo { hasNextPage }
        nodes { id iid status ref sha user { username } testReportSummary { total { failed error count } } }
      }
    }
  }
}
"""


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["Authorization"] = f"Bearer {made.options['demo-gitlab']['token']}"
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def done(ground: Playground, response: httpx.Response, status: int = 201) -> Any:
    assert response.status_code == status, response.text
    return response.json()


async def pushed(ground: Playground, project: str, outcome: str) -> int:
    made = await ground.push("gitlab", project, outcome=outcome)
    return ground.world.build("gitlab", made["id"]).id  # type: ignore[union-attr]


async def test_bearer_and_private_token_pass_and_others_do_not(ground: Playground) -> None:
    token = str(ground.options["demo-gitlab"]["token"])
    assert (
        await ground.client.get(f"{V4}/user", headers={"Authorization": "", "PRIVATE-TOKEN": token})
    ).status_code == 200
    response = await ground.client.get(f"{V4}/user", headers={"Authorization": "Bearer no"})
    assert (response.status_code, response.json()) == (401, {"message": "401 Unauthorized"})


async def test_a_path_is_taken_only_when_encoded_whole(ground: Playground) -> None:
    number = (await got(ground, BACKEND))["id"]
    assert (await got(ground, f"{V4}/projects/{number}"))["path_with_namespace"] == "acme/backend"
    response = await ground.client.get(f"{V4}/projects/acme/backend")
    assert (response.status_code, response.json()) == (404, {"message": "404 Project Not Found"})


async def test_projects_page_by_keyset(ground: Playground) -> None:
    query: dict[str, str | int] = {"membership": "true", "order_by": "id", "pagination": "keyset", "per_page": 1}
    response = await ground.client.get(f"{V4}/projects", params=query)
    seen = [it["path_with_namespace"] for it in response.json()]
    while "next" in response.links:
        response = await ground.client.get(response.links["next"]["url"])
        seen += [it["path_with_namespace"] for it in response.json()]
    assert sorted(seen) == ["acme/api-gateway", "acme/backend"]


async def test_start_wants_a_known_ref(ground: Playground) -> None:
    response = await ground.client.post(f"{BACKEND}/pipeline", json={})
    assert (response.status_code, response.json()) == (400, {"error": "ref is missing"})
    response = await ground.client.post(f"{BACKEND}/pipeline", json={"ref": "nowhere"})
    assert (response.status_code, response.json()) == (400, {"message": {"base": ["Reference not found"]}})


async def test_a_started_pipeline_holds_its_variables_and_runs_to_success(ground: Playground) -> None:
    body = {"ref": "main", "variables": [{"key": "LEVEL", "value": "2"}]}
    made = await done(ground, await ground.client.post(f"{BACKEND}/pipeline", json=body))
    assert (made["status"], made["source"], made["started_at"], made["iid"]) == ("pending", "api", None, 13)
    await ground.control("outcome", system="gitlab", build=str(made["id"]), outcome="pass")
    path = f"{BACKEND}/pipelines/{made['id']}"
    assert (await got(ground, f"{path}/variables"))[0]["value"] == "2"
    ground.wait(10)
    assert (await got(ground, path))["status"] == "running"
    ground.wait(90)
    end = await got(ground, path)
    assert (end["status"], end["detailed_status"]["group"]) == ("success", "success")
    assert end["duration"] > 10
    manual = await got(ground, f"{path}/jobs", **{"scope[]": "manual"})
    assert [(job["name"], job["allow_failure"]) for job in manual] == [("review app", True)]


async def test_success_with_warnings_says_so(ground: Playground) -> None:
    build = await pushed(ground, "backend", "warnings")
    ground.wait(120)
    end = await got(ground, f"{BACKEND}/pipelines/{build}")
    assert (end["status"], end["detailed_status"]["group"]) == ("success", "success-with-warnings")
    failed = await got(ground, f"{BACKEND}/pipelines/{build}/jobs", **{"scope[]": "failed"})
    assert [(job["name"], job["allow_failure"]) for job in failed] == [("lint", True)]


async def test_retry_keeps_the_id_and_the_old_end_for_a_while(ground: Playground) -> None:
    build = await pushed(ground, "backend", "fail")
    ground.wait(120)
    path = f"{BACKEND}/pipelines/{build}"
    before = await got(ground, path)
    assert before["status"] == "failed"
    again = await done(ground, await ground.client.post(f"{path}/retry"))
    assert (again["id"], again["status"], again["finished_at"]) == (build, "pending", before["finished_at"])
    ground.wait(120)
    after = await got(ground, path)
    assert after["finished_at"] > before["finished_at"]
    assert len(await got(ground, f"{path}/jobs", include_retried="true")) == len(await got(ground, f"{path}/jobs")) + 1


async def test_cancel_answers_200_whatever_happened(ground: Playground) -> None:
    build = await pushed(ground, "backend", "pass")
    ground.wait(9)
    path = f"{BACKEND}/pipelines/{build}"
    assert (await done(ground, await ground.client.post(f"{path}/cancel"), 200))["status"] == "canceling"
    ground.wait(3)
    assert (await done(ground, await ground.client.post(f"{path}/cancel"), 200))["status"] == "canceled"


async def test_a_manual_job_holds_the_pipeline_until_played(ground: Playground) -> None:
    build = await pushed(ground, "api-gateway", "pass")
    ground.wait(120)
    path = f"{GATEWAY}/pipelines/{build}"
    assert (await got(ground, path))["status"] == "manual"
    (approval,) = await got(ground, f"{path}/jobs", **{"scope[]": "manual"})
    assert (approval["name"], approval["allow_failure"]) == ("deploy:production", False)
    played = await done(ground, await ground.client.post(f"{GATEWAY}/jobs/{approval['id']}/play"), 200)
    assert (played["id"], played["status"]) == (approval["id"], "pending")
    response = await ground.client.post(f"{GATEWAY}/jobs/{approval['id']}/play")
    assert (response.status_code, response.json()) == (400, {"message": "400 Bad request - Unplayable Job"})
    ground.wait(60)
    assert (await got(ground, path))["status"] == "success"


async def test_updated_after_lists_what_changed(ground: Playground) -> None:
    newest = (await got(ground, f"{BACKEND}/pipelines", order_by="updated_at"))[0]
    build = await pushed(ground, "backend", "pass")
    found = await got(
        ground, f"{BACKEND}/pipelines", updated_after=newest["updated_at"], order_by="updated_at", sort="asc"
    )
    assert [it["id"] for it in found] == [build]
    response = await ground.client.get(f"{BACKEND}/pipelines", params={"status": "mended"})
    assert (response.status_code, response.json()) == (400, {"error": "status does not have a valid value"})


async def test_the_trace_grows_with_sections_and_colours(ground: Playground) -> None:
    build = await pushed(ground, "backend", "fail")
    ground.wait(10)
    job = (await got(ground, f"{BACKEND}/pipelines/{build}/jobs", **{"scope[]": "running"}))[0]["id"]
    early = (await ground.client.get(f"{BACKEND}/jobs/{job}/trace")).text
    ground.wait(60)
    late = (await ground.client.get(f"{BACKEND}/jobs/{job}/trace")).text
    assert 0 < len(early) < len(late)
    assert "section_start:" in late
    assert "\x1b[31m" in late


async def test_artifacts_are_a_redirect_without_the_token(ground: Playground) -> None:
    build = await pushed(ground, "backend", "pass")
    ground.wait(120)
    jobs = await got(ground, f"{BACKEND}/pipelines/{build}/jobs")
    job = next(it for it in jobs if "artifacts_file" in it)
    response = await ground.client.get(f"{BACKEND}/jobs/{job['id']}/artifacts")
    assert response.status_code == 302
    bare = await ground.client.get(response.headers["location"], headers={"Authorization": ""})
    assert bare.status_code == 400
    del ground.client.headers["Authorization"]
    assert len((await ground.client.get(response.headers["location"])).content) == job["artifacts_file"]["size"]


async def test_the_test_report_and_its_summary_agree(ground: Playground) -> None:
    build = await pushed(ground, "backend", "test_failure")
    ground.wait(120)
    path = f"{BACKEND}/pipelines/{build}"
    total = (await got(ground, f"{path}/test_report_summary"))["total"]
    report = await got(ground, f"{path}/test_report")
    cases = [case for suite in report["test_suites"] for case in suite["test_cases"]]
    assert total["failed"] == report["failed_count"] == sum(case["status"] == "failed" for case in cases) > 0
    assert total["count"] == len(cases)


async def test_graphql_lists_changed_pipelines_of_many_projects(ground: Playground) -> None:
    since = (await got(ground, f"{BACKEND}/pipelines", order_by="updated_at"))[0]["updated_at"]
    build = await pushed(ground, "backend", "pass")
    variables = {"paths": ["acme/backend", "acme/api-gateway"], "first": 20, "since": since}
    answer = await done(
        ground, await ground.client.post("/ci/gitlab/api/graphql", json={"query": CHANGED, "variables": variables}), 200
    )
    nodes = {node["fullPath"]: node["recent"]["nodes"] for node in answer["data"]["projects"]["nodes"]}
    assert [it["id"] for it in nodes["acme/backend"]] == [f"gid://gitlab/Ci::Pipeline/{build}"]
    assert nodes["acme/backend"][0]["status"] == "PENDING"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ projects { nodes { colour } } }", "Field 'colour' doesn't exist on type 'Project'"),
        ("{ projects }", "Field must have selections (field 'projects' returns ProjectConnection)"),
        ("{ projects { nodes { id ", "Parse error: expected more, found the end"),
        ("mutation { x }", "Only queries are answered here"),
    ],
)
async def test_graphql_refuses_with_200_and_errors(ground: Playground, query: str, said: str) -> None:
    response = await ground.client.post("/ci/gitlab/api/graphql", json={"query": query})
    assert response.status_code == 200
    assert response.json()["errors"][0]["message"] == said


async def test_more_than_fifty_paths_are_refused(ground: Playground) -> None:
    body = {"query": CHANGED, "variables": {"paths": [f"acme/{n}" for n in range(51)]}}
    assert "Too many" in (await ground.client.post("/ci/gitlab/api/graphql", json=body)).json()["errors"][0]["message"]


async def test_pipeline_hooks_are_signed_over_id_time_and_body(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await pushed(ground, "backend", "fail")
    ground.wait(120)
    await ground.world.sender.flush()
    assert [json.loads(it.content)["object_attributes"]["status"] for it in received] == [
        "pending",
        "running",
        "failed",
    ]
    key = base64.b64decode(str(ground.options["demo-gitlab"]["webhook_secret"]).removeprefix("whsec_"))
    for request in received:
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{wanted}"
    await ground.control("webhooks", on=False)
