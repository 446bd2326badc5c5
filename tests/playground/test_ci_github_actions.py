import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import Playground

REPO = "/ci/github_actions/repos/acme/storefront"
RUNS = f"{REPO}/actions/runs"


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["Authorization"] = f"Bearer {made.options['demo-github']['token']}"
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def pushed(ground: Playground, workflow: str, outcome: str) -> str:
    made = await ground.push("github_actions", workflow, outcome=outcome)
    return f"{RUNS}/{ground.world.build('github_actions', made['id']).id}"  # type: ignore[union-attr]


async def dispatch(ground: Playground, workflow: str, **body: Any) -> httpx.Response:
    return await ground.client.post(f"{REPO}/actions/workflows/{workflow}/dispatches", json=body)


async def test_a_request_needs_a_user_agent_and_a_token_that_fits(ground: Playground) -> None:
    assert (await ground.client.get(RUNS, headers={"User-Agent": ""})).status_code == 403
    response = await ground.client.get(RUNS, headers={"Authorization": "Bearer no"})
    assert (response.status_code, response.json()["message"]) == (401, "Bad credentials")
    assert (await ground.client.get(RUNS, headers={"X-GitHub-Api-Version": "2021-01-01"})).status_code == 410


async def test_an_unchanged_list_is_304_and_costs_nothing(ground: Playground) -> None:
    first = await ground.client.get(RUNS)
    again = await ground.client.get(RUNS, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    await ground.push("github_actions", "CI")
    assert (await ground.client.get(RUNS, headers={"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_dispatch_answers_204_or_with_the_run_when_asked(ground: Playground) -> None:
    assert (await dispatch(ground, "ci.yml", ref="main")).status_code == 204
    response = await dispatch(ground, "ci.yml", ref="main", inputs={"level": "full"}, return_run_details=True)
    assert response.status_code == 200
    run = await got(ground, f"{RUNS}/{response.json()['workflow_run_id']}")
    assert (run["status"], run["event"], run["head_branch"]) == ("queued", "workflow_dispatch", "main")


async def test_dispatch_refuses_in_the_services_words(ground: Playground) -> None:
    for body, said in (
        ({"ref": "nowhere"}, "No ref found for: nowhere"),
        ({"ref": "main", "inputs": {"colour": "red"}}, 'Unexpected inputs provided: ["colour"]'),
    ):
        response = await dispatch(ground, "ci.yml", **body)
        assert (response.status_code, response.json()["message"]) == (422, said)
    assert (await dispatch(ground, "none.yml", ref="main")).status_code == 404


async def test_the_workflow_file_declares_its_inputs(ground: Playground) -> None:
    found = await got(ground, f"{REPO}/contents/.github/workflows/deploy.yml", ref="main")
    text = base64.b64decode(found["content"]).decode()
    assert "workflow_dispatch:" in text
    assert "environment:" in text


async def test_a_rerun_is_another_attempt_of_the_same_run(ground: Playground) -> None:
    run = await pushed(ground, "CI", "test_failure")
    ground.wait(120)
    before = await got(ground, run)
    assert (before["status"], before["conclusion"], before["run_attempt"]) == ("completed", "failure", 1)
    assert (await ground.client.post(f"{run}/rerun-failed-jobs")).status_code == 201
    again = await got(ground, run)
    assert (again["id"], again["run_attempt"], again["status"], again["conclusion"]) == (
        before["id"],
        2,
        "queued",
        None,
    )
    refused = await ground.client.post(f"{run}/rerun")
    assert refused.status_code == 403
    old = await got(ground, f"{run}/attempts/1")
    assert (old["conclusion"], old["updated_at"]) == ("failure", before["updated_at"])
    ground.wait(120)
    assert (await got(ground, run))["status"] == "completed"
    assert len((await got(ground, f"{run}/jobs", filter="all"))["jobs"]) > len(
        (await got(ground, f"{run}/jobs"))["jobs"]
    )


async def test_a_whole_rerun_runs_the_stages_in_order(ground: Playground) -> None:
    run = await pushed(ground, "CI", "pass")
    ground.wait(120)
    assert (await ground.client.post(f"{run}/rerun")).status_code == 201
    names = {job["name"] for job in (await got(ground, f"{run}/jobs"))["jobs"]}
    assert names == {"lint", "test (20)", "test (22)"}
    ground.wait(120)
    assert len((await got(ground, f"{run}/jobs"))["jobs"]) == 4


async def test_cancel_is_accepted_and_a_completed_run_is_a_conflict(ground: Playground) -> None:
    run = await pushed(ground, "CI", "pass")
    ground.wait(9)
    assert (await ground.client.post(f"{run}/cancel")).status_code == 202
    ground.wait(3)
    assert (await got(ground, run))["conclusion"] == "cancelled"
    response = await ground.client.post(f"{run}/cancel")
    assert (response.status_code, response.json()["message"]) == (
        409,
        "Cannot cancel a workflow run that is completed.",
    )


@pytest.mark.parametrize(("state", "conclusion"), [("approved", "success"), ("rejected", "failure")])
async def test_an_environment_holds_a_run_until_reviewed(ground: Playground, state: str, conclusion: str) -> None:
    run = await pushed(ground, "Deploy", "pass")
    ground.wait(60)
    assert (await got(ground, run))["status"] == "waiting"
    (pending,) = await got(ground, f"{run}/pending_deployments")
    assert pending["current_user_can_approve"] is True
    body = {"environment_ids": [pending["environment"]["id"]], "state": state}
    assert (await ground.client.post(f"{run}/pending_deployments", json=body)).status_code == 422
    response = await ground.client.post(f"{run}/pending_deployments", json={**body, "comment": "By hand"})
    assert response.status_code == 200
    ground.wait(60)
    assert (await got(ground, run))["conclusion"] == conclusion
    assert [it["state"] for it in await got(ground, f"{run}/approvals")] == [state]


async def test_logs_come_after_the_job_and_by_redirect(ground: Playground) -> None:
    run = await pushed(ground, "CI", "fail")
    ground.wait(9)
    job = (await got(ground, f"{run}/jobs"))["jobs"][0]["id"]
    assert (await ground.client.get(f"{REPO}/actions/jobs/{job}/logs")).status_code == 404
    ground.wait(120)
    response = await ground.client.get(f"{REPO}/actions/jobs/{job}/logs")
    assert response.status_code == 302
    assert (await ground.client.get(response.headers["location"])).status_code == 400
    del ground.client.headers["Authorization"]
    assert "##[group]" in (await ground.client.get(response.headers["location"])).text


async def test_annotations_count_what_the_jobs_complained_about(ground: Playground) -> None:
    run = await pushed(ground, "CI", "test_failure")
    ground.wait(120)
    suite = (await got(ground, run))["check_suite_id"]
    checks = (await got(ground, f"{REPO}/check-suites/{suite}/check-runs"))["check_runs"]
    failed = next(check for check in checks if check["conclusion"] == "failure")
    found = await got(ground, f"{REPO}/check-runs/{failed['id']}/annotations")
    assert len(found) == failed["output"]["annotations_count"] > 0
    assert {it["annotation_level"] for it in found} >= {"failure"}


async def test_over_the_limit_is_403_with_nothing_left() -> None:
    ground = Playground(quota=0.001)
    ground.client.headers["Authorization"] = f"Bearer {ground.options['demo-github']['token']}"
    statuses = [(await ground.client.get(RUNS)).status_code for _ in range(6)]
    last = await ground.client.get(RUNS)
    assert statuses == [200] * 5 + [403]
    assert last.headers["x-ratelimit-remaining"] == "0"
    assert "rate limit" in last.json()["message"]


async def test_workflow_run_hooks_are_signed(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/hooks/demo-github":  # Truto, in front of it, tells of the same builds
            received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await ground.push("github_actions", "CI", outcome="fail")
    ground.wait(120)
    await ground.world.sender.flush()
    assert [json.loads(it.content)["action"] for it in received] == ["requested", "in_progress", "completed"]
    secret = str(ground.options["demo-github"]["webhook_secret"]).encode()
    for request in received:
        signed = hmac.new(secret, request.content, hashlib.sha256).hexdigest()
        assert request.headers["x-hub-signature-256"] == f"sha256={signed}"
    await ground.control("webhooks", on=False)
