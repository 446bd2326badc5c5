import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import Playground

ORG = "/ci/buildkite/v2/organizations/demo"


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["Authorization"] = f"Bearer {made.options['demo-buildkite']['token']}"
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(f"{ORG}{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def create(ground: Playground, pipeline: str = "web", **body: Any) -> httpx.Response:
    return await ground.client.post(f"{ORG}/pipelines/{pipeline}/builds", json=body)


async def test_a_token_that_does_not_fit_gets_401_in_the_vendors_words(ground: Playground) -> None:
    for header in ("", "Bearer nonsense", f"Basic {ground.options['demo-buildkite']['token']}"):
        response = await ground.client.get(f"{ORG}/pipelines", headers={"Authorization": header})
        assert response.status_code == 401
        assert "message" in response.json()


async def test_the_webhook_senders_addresses_need_no_token(ground: Playground) -> None:
    response = await ground.client.get("/ci/buildkite/v2/meta", headers={"Authorization": ""})
    assert response.json() == {"webhook_ips": ["127.0.0.1"]}


async def test_a_pushed_build_goes_from_scheduled_to_passed_by_the_clock(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", branch="main", message="Show prices", outcome="pass")
    path = f"/pipelines/web/builds/{made['number']}"
    seen = [(await got(ground, path))["state"]]
    for _ in range(90):
        ground.wait(1)
        state = (await got(ground, path))["state"]
        if state != seen[-1]:
            seen.append(state)
    assert seen == ["scheduled", "running", "passed"]
    build = await got(ground, path)
    assert build["message"] == "Show prices"
    known = ground.world.build("buildkite", made["id"])
    assert known is not None
    assert known.finished_at is not None
    assert 15 < known.finished_at - known.created_at < 80
    assert build["job_state_counts"]["states"]["passed"] == 5


async def test_what_is_read_does_not_depend_on_how_often_one_reads() -> None:
    often, once = Playground(seed=3), Playground(seed=3)
    for ground in (often, once):
        await ground.push("buildkite", "web", outcome="test_failure")
    for _ in range(120):
        often.wait(1)
    once.wait(120)
    one, other = often.world.builds[-1], once.world.builds[-1]
    assert (one.uid, one.finished_at, [job.state for job in one.jobs]) == (
        other.uid,
        other.finished_at,
        [job.state for job in other.jobs],
    )


async def test_create_wants_commit_and_branch(ground: Playground) -> None:
    response = await create(ground, branch="main")
    assert response.status_code == 422
    assert response.json()["errors"] == [{"field": "commit", "code": "missing"}]
    response = await create(ground, commit="HEAD", branch="main", env={"A": 1})
    assert response.status_code == 422


async def test_create_builds_the_head_of_the_branch(ground: Playground) -> None:
    response = await create(ground, commit="HEAD", branch="main", message="By hand", env={"LEVEL": "2"})
    assert response.status_code == 201
    build = response.json()
    assert build["commit"] == ground.world.of_system("buildkite")[0].repo.branches["main"].sha
    assert (build["state"], build["source"], build["env"], build["number"]) == ("scheduled", "api", {"LEVEL": "2"}, 13)


async def test_an_unknown_branch_is_accepted_and_fails(ground: Playground) -> None:
    build = (await create(ground, commit="HEAD", branch="no-such")).json()
    ground.wait(120)
    assert (await got(ground, f"/pipelines/web/builds/{build['number']}"))["state"] == "failed"


async def test_cancel_is_refused_for_a_finished_build(ground: Playground) -> None:
    response = await ground.client.put(f"{ORG}/pipelines/web/builds/12/cancel")
    assert response.status_code == 422
    assert "can't be canceled" in response.json()["message"]


async def test_a_running_build_cancels_by_way_of_canceling(ground: Playground) -> None:
    build = (await create(ground, commit="HEAD", branch="main")).json()
    ground.wait(8)
    path = f"/pipelines/web/builds/{build['number']}"
    answer = (await ground.client.put(f"{ORG}{path}/cancel")).json()
    assert answer["state"] == "canceling"
    ground.wait(3)
    assert (await got(ground, path))["state"] == "canceled"


async def test_retry_of_failed_jobs_reopens_the_same_build(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", outcome="fail")
    ground.wait(120)
    path = f"/pipelines/web/builds/{made['number']}"
    before = await got(ground, path)
    assert before["state"] == "failed"
    assert before["failing_at"] is not None
    response = await ground.client.put(f"{ORG}{path}/retry_failed_jobs")
    assert response.status_code == 202
    again = response.json()
    assert (again["id"], again["state"], again["finished_at"], again["retried_jobs_count"]) == (
        before["id"],
        "running",
        None,
        1,
    )
    ground.wait(120)
    after = await got(ground, path)
    assert after["finished_at"] > before["finished_at"]
    jobs = (await got(ground, f"{path}/jobs"))["items"]
    retried = [job for job in jobs if job.get("retried")]
    assert len(retried) == 1
    assert retried[0]["retried_in_job_id"] in {job["id"] for job in jobs}
    newest = await got(ground, f"{path}/jobs", include_retried_jobs="false")
    assert not [job for job in newest["items"] if job.get("retried")]


async def test_a_job_is_retried_once_and_only_when_it_failed(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", outcome="test_failure")
    ground.wait(120)
    jobs = (await got(ground, f"/pipelines/web/builds/{made['number']}/jobs"))["items"]
    failed = next(job for job in jobs if job["state"] == "failed")
    passed = next(job for job in jobs if job["state"] == "passed" and job["type"] == "script")
    assert (await ground.client.put(f"{ORG}/jobs/{passed['id']}/retry")).status_code == 400
    response = await ground.client.put(f"{ORG}/jobs/{failed['id']}/retry")
    assert response.status_code == 200
    assert response.json()["id"] != failed["id"]
    assert (await ground.client.put(f"{ORG}/jobs/{failed['id']}/retry")).status_code == 400


async def test_rebuild_is_a_new_build_that_names_its_origin(ground: Playground) -> None:
    response = await ground.client.put(f"{ORG}/pipelines/web/builds/12/rebuild")
    assert (response.status_code, response.json()["number"], response.json()["rebuilt_from"]["number"]) == (200, 13, 12)


async def test_a_blocked_build_says_passed_and_blocked_until_unblocked(ground: Playground) -> None:
    made = await ground.push("buildkite", "deploy", outcome="pass")
    ground.wait(90)
    path = f"/pipelines/deploy/builds/{made['number']}"
    build = await got(ground, path)
    assert (build["state"], build["blocked"]) == ("passed", True)
    assert made["number"] in {item["number"] for item in await got(ground, "/builds", **{"state[]": "blocked"})}
    approval = next(job for job in build["jobs"] if job["type"] == "manual")
    assert (approval["state"], approval["unblockable"], approval["label"]) == ("blocked", True, "Deploy to production")
    refused = await ground.client.put(f"{ORG}/jobs/{approval['id']}/unblock", json={"fields": {"region": "mars"}})
    assert refused.status_code == 422
    response = await ground.client.put(
        f"{ORG}/jobs/{approval['id']}/unblock", json={"fields": {"region": "all", "release-notes": "Faster"}}
    )
    assert (response.status_code, response.json()["state"]) == (200, "unblocked")
    ground.wait(60)
    done = await got(ground, path)
    assert (done["state"], done["blocked"]) == ("passed", False)
    assert done["meta_data"] == {"region": "all", "release-notes": "Faster"}
    again = await ground.client.put(f"{ORG}/jobs/{approval['id']}/unblock", json={})
    assert again.status_code == 422


async def test_the_list_pages_by_link_and_cuts_the_size(ground: Playground) -> None:
    response = await ground.client.get(f"{ORG}/builds", params={"per_page": 10, "exclude_jobs": "true"})
    assert len(response.json()) == 10
    assert "jobs" not in response.json()[0]
    seen = list(response.json())
    while "next" in response.links:
        response = await ground.client.get(response.links["next"]["url"])
        seen += response.json()
    assert len(seen) == len({build["id"] for build in seen}) == 36
    assert (await ground.client.get(f"{ORG}/builds", params={"page": 60, "per_page": 100})).status_code == 400


async def test_plain_state_twice_matches_nothing_and_brackets_do(ground: Playground) -> None:
    assert await got(ground, "/builds", state=["passed", "failed"]) == []
    assert len(await got(ground, "/builds", **{"state[]": ["passed", "failed"], "per_page": 100})) == 36
    assert (await ground.client.get(f"{ORG}/builds", params={"state[]": "mended"})).status_code == 400


async def test_finished_from_finds_what_ended_since(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", outcome="pass")
    ground.wait(120)
    since = (await got(ground, f"/pipelines/web/builds/{made['number']}"))["finished_at"]
    assert [build["id"] for build in await got(ground, "/builds", finished_from=since)] == [made["id"]]


async def test_the_log_grows_and_its_tail_is_read_by_suffix_range(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", outcome="fail")
    ground.wait(9)
    build = await got(ground, f"/pipelines/web/builds/{made['number']}")
    job = next(job for job in build["jobs"] if job["state"] == "running")
    url = f"{ORG}/jobs/{job['id']}/log"
    early = (await ground.client.get(url)).json()
    ground.wait(120)
    late = (await ground.client.get(url)).json()
    assert 0 < early["size"] < late["size"] == len(late["content"].encode())
    assert "\x1b[32m" in late["content"]
    head = await ground.client.head(url)
    assert int(head.headers["content-length"]) == late["size"]
    tail = await ground.client.get(url, headers={"Accept": "text/plain", "Range": "bytes=-100"})
    assert (tail.status_code, tail.content) == (206, late["content"].encode()[-100:])
    for wrong in ("bytes=0-99", "bytes=100-"):
        assert (await ground.client.get(url, headers={"Range": wrong})).status_code == 400


async def test_an_empty_log_has_no_tail(ground: Playground) -> None:
    build = (await create(ground, commit="HEAD", branch="main")).json()
    job = next(job for job in build["jobs"] if job["type"] == "script")
    response = await ground.client.get(f"{ORG}/jobs/{job['id']}/log", headers={"Range": "bytes=-100"})
    assert response.status_code == 416


async def test_a_download_is_a_redirect_to_an_address_that_bears_no_token_and_ends(ground: Playground) -> None:
    artifacts = await got(ground, "/pipelines/web/builds/12/artifacts", path="dist/*")
    assert {artifact["filename"] for artifact in artifacts} >= {"stats.json"}
    wanted = artifacts[0]
    response = await ground.client.get(wanted["download_url"])
    assert (response.status_code, response.headers["location"]) == (302, response.json()["url"])
    url = response.headers["location"]
    assert (await ground.client.get(url)).status_code == 400
    del ground.client.headers["Authorization"]
    assert len((await ground.client.get(url)).content) == wanted["file_size"]
    assert (await ground.client.get(url.replace("signature=", "signature=0"))).status_code == 403
    ground.wait(61)
    assert (await ground.client.get(url)).status_code == 403


async def test_test_engine_counts_by_result_and_lists_failures(ground: Playground) -> None:
    made = await ground.push("buildkite", "flaky-tests", outcome="test_failure")
    ground.wait(120)
    tests = "/ci/buildkite/v2/analytics/organizations/demo"
    failed = (await ground.client.get(f"{tests}/builds/{made['id']}/tests", params={"tags": "result:^failed"})).json()
    assert failed
    assert all(test["executions_count_by_result"] == {"failed": 1} for test in failed)
    build = await got(ground, f"/pipelines/flaky-tests/builds/{made['number']}", include_test_engine="true")
    run = build["test_engine"]["runs"][0]
    executions = await ground.client.get(f"{tests}/suites/{run['suite']['slug']}/runs/{run['id']}/failed_executions")
    assert {entry["test_id"] for entry in executions.json()} == {test["id"] for test in failed}


async def test_limits_are_counted_and_end_with_429() -> None:
    ground = Playground(quota=0.1)
    ground.client.headers["Authorization"] = f"Bearer {ground.options['demo-buildkite']['token']}"
    answers = [await ground.client.get(f"{ORG}/pipelines") for _ in range(6)]
    assert [answer.headers["RateLimit-User-Remaining"] for answer in answers[:5]] == ["4", "3", "2", "1", "0"]
    assert answers[5].status_code == 429
    assert answers[5].json()["scope"] == "rest_user"
    assert answers[5].json()["reset"] == 60
    ground.wait(61)
    assert (await ground.client.get(f"{ORG}/pipelines")).status_code == 200


async def test_a_signed_webhook_goes_out_for_every_change(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await ground.push("buildkite", "web", outcome="fail")
    ground.wait(120)
    await ground.world.sender.flush()
    events = [request.headers["x-buildkite-event"] for request in received]
    assert events == ["build.scheduled", "build.running", "build.failing", "build.finished"]
    secret = str(ground.options["demo-buildkite"]["webhook_secret"]).encode()
    for request in received:
        assert str(request.url) == "http://bot.test/hooks/demo-buildkite"
        parts = dict(part.split("=", 1) for part in request.headers["x-buildkite-signature"].split(","))
        signed = hmac.new(secret, f"{parts['timestamp']}.".encode() + request.content, hashlib.sha256).hexdigest()
        assert signed == parts["signature"]
    assert json.loads(received[-1].content)["build"]["state"] == "failed"
    await ground.control("webhooks", on=False)
