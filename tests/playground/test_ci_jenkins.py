import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from playground.ci.jenkins_tree import BadTree, parse, prune
from tests.playground.ci_kit import Playground

ROOT = "/ci/jenkins"
NIGHTLY = f"{ROOT}/job/nightly-regression"
PUBLISH = f"{ROOT}/job/release/job/publish"
DOCS = f"{ROOT}/job/docs"


def basic(user: object, secret: object) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    options = made.options["demo-jenkins"]
    made.client.headers["Authorization"] = basic(options["user"], options["token"])
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def number_of(ground: Playground, location: str) -> int:
    item = await got(ground, f"{location}api/json")
    number: int = item["executable"]["number"]
    return number


async def test_a_wrong_token_gets_401_and_a_password_needs_a_crumb_to_post(ground: Playground) -> None:
    user = ground.options["demo-jenkins"]["user"]
    wrong = await ground.client.get(f"{ROOT}/whoAmI/api/json", headers={"Authorization": basic(user, "no")})
    assert wrong.status_code == 401
    header = {"Authorization": basic(user, ground.world.systems["jenkins"].password)}  # type: ignore[attr-defined]
    refused = await ground.client.post(f"{DOCS}/build", headers=header)
    assert (refused.status_code, "No valid crumb" in refused.text) == (403, True)
    crumb = (await ground.client.get(f"{ROOT}/crumbIssuer/api/json", headers=header)).json()
    header[crumb["crumbRequestField"]] = crumb["crumb"]
    assert (await ground.client.post(f"{DOCS}/build", headers=header)).status_code == 201
    assert (await got(ground, f"{ROOT}/whoAmI/api/json"))["anonymous"] is False


async def test_one_tree_polls_the_whole_server_folders_too(ground: Playground) -> None:
    inner = "_class,fullName,url,color,lastBuild[number,building,result,timestamp,duration,queueId]"
    found = await got(ground, f"{ROOT}/api/json", tree=f"jobs[{inner},jobs[{inner}]]")
    names = {job["fullName"]: job for job in found["jobs"]}
    assert names.keys() == {"nightly-regression", "release", "docs"}
    publish = names["release"]["jobs"][0]
    assert publish["lastBuild"].keys() == {"_class", "number", "building", "result", "timestamp", "duration", "queueId"}
    assert "lastBuild" not in names["release"]


async def test_a_started_job_is_a_queue_item_first_then_a_number(ground: Playground) -> None:
    response = await ground.client.post(f"{DOCS}/build")
    location = response.headers["location"]
    item = await got(ground, f"{location}api/json")
    assert item["_class"].endswith("WaitingItem")
    assert "executable" not in item
    assert [it["id"] for it in (await got(ground, f"{ROOT}/queue/api/json"))["items"]] == [item["id"]]
    assert (await ground.client.get(f"{DOCS}/13/api/json")).status_code == 404
    ground.wait(10)
    assert await number_of(ground, location) == 13
    run = await got(ground, f"{DOCS}/13/api/json", tree="building,result,queueId")
    assert run == {
        "_class": "hudson.model.FreeStyleBuild",
        "building": True,
        "result": None,
        "queueId": item["id"],
    }
    ground.wait(400)
    assert (await ground.client.get(f"{location}api/json")).status_code == 404


async def test_parameters_choose_the_way_to_start(ground: Playground) -> None:
    assert (await ground.client.post(f"{NIGHTLY}/build")).status_code == 400
    assert (await ground.client.post(f"{DOCS}/buildWithParameters")).status_code == 400
    wrong = await ground.client.post(f"{NIGHTLY}/buildWithParameters", data={"SUITE": "none"})
    assert wrong.status_code == 400
    first = await ground.client.post(f"{NIGHTLY}/buildWithParameters", data={"SUITE": "full"})
    second = await ground.client.post(f"{NIGHTLY}/buildWithParameters", data={"SUITE": "full"})
    assert (first.status_code, second.status_code) == (201, 303)
    assert first.headers["location"] == second.headers["location"]


async def test_a_queued_item_is_cancelled_without_a_number(ground: Playground) -> None:
    location = (await ground.client.post(f"{DOCS}/build")).headers["location"]
    item = (await got(ground, f"{location}api/json"))["id"]
    assert (await ground.client.post(f"{ROOT}/queue/cancelItem", params={"id": item})).status_code == 204
    left = await got(ground, f"{location}api/json")
    assert (left["cancelled"], left["executable"]) == (True, None)
    assert (await ground.client.get(f"{DOCS}/13/api/json")).status_code == 404
    assert (await ground.client.post(f"{ROOT}/queue/cancelItem", params={"id": 1})).status_code == 404


async def test_a_build_without_tests_has_no_test_report(ground: Playground) -> None:
    made = await ground.push("jenkins", "docs", outcome="pass")
    ground.wait(120)
    assert (await ground.client.get(f"{DOCS}/{made['number']}/api/json")).status_code == 200
    assert (await ground.client.get(f"{DOCS}/{made['number']}/testReport/api/json")).status_code == 404


async def test_stop_aborts_a_running_build(ground: Playground) -> None:
    made = await ground.push("jenkins", "nightly-regression", outcome="pass")
    ground.wait(10)
    assert (await ground.client.post(f"{NIGHTLY}/{made['number']}/stop")).status_code == 302
    ground.wait(3)
    run = await got(ground, f"{NIGHTLY}/{made['number']}/api/json")
    assert (run["building"], run["result"]) == (False, "ABORTED")


async def test_failed_tests_make_a_build_unstable_and_reported(ground: Playground) -> None:
    made = await ground.push("jenkins", "nightly-regression", outcome="test_failure")
    ground.wait(120)
    run = await got(ground, f"{NIGHTLY}/{made['number']}/api/json")
    assert run["result"] == "UNSTABLE"
    counted = next(it for it in run["actions"] if it.get("urlName") == "testReport")
    report = await got(ground, f"{NIGHTLY}/{made['number']}/testReport/api/json")
    cases = [case for suite in report["suites"] for case in suite["cases"]]
    assert counted["failCount"] == report["failCount"] > 0
    assert counted["failCount"] == sum(case["status"] in {"FAILED", "REGRESSION"} for case in cases)
    stages = (await got(ground, f"{NIGHTLY}/{made['number']}/wfapi/describe"))["stages"]
    assert [stage["status"] for stage in stages] == ["SUCCESS", "SUCCESS", "UNSTABLE"]


@pytest.mark.parametrize(("act", "result"), [("submit", "SUCCESS"), ("proceedEmpty", "SUCCESS"), ("abort", "ABORTED")])
async def test_an_input_step_pauses_until_given(ground: Playground, act: str, result: str) -> None:
    made = await ground.push("jenkins", "publish", outcome="pass")
    ground.wait(60)
    path = f"{PUBLISH}/{made['number']}"
    run = await got(ground, f"{path}/api/json")
    waiting = next(it for it in run["actions"] if "waitingForInput" in it)
    assert (run["building"], waiting["waitingForInput"], waiting["executions"][0]["id"]) == (True, True, "Approve")
    assert (await got(ground, f"{path}/wfapi/describe"))["status"] == "PAUSED_PENDING_INPUT"
    (pending,) = await got(ground, f"{path}/wfapi/pendingInputActions")
    assert pending["inputs"][0]["name"] == "CHANNEL"
    form = {"proceed": "Proceed", "json": json.dumps({"parameter": [{"name": "CHANNEL", "value": "stable"}]})}
    data = form if act == "submit" else None
    assert (await ground.client.post(f"{path}/input/Approve/{act}", data=data)).status_code == 200
    ground.wait(60)
    assert (await got(ground, f"{path}/api/json"))["result"] == result
    again = await ground.client.post(f"{path}/input/Approve/proceedEmpty")
    assert (again.status_code, "already given" in again.text) == (400, True)


async def test_the_console_is_followed_by_offset(ground: Playground) -> None:
    made = await ground.push("jenkins", "nightly-regression", outcome="pass")
    ground.wait(12)
    path = f"{NIGHTLY}/{made['number']}/logText/progressiveText"
    first = await ground.client.get(path)
    assert first.headers["x-more-data"] == "true"
    ground.wait(120)
    rest = await ground.client.get(path, params={"start": first.headers["x-text-size"]})
    assert "x-more-data" not in rest.headers
    assert int(rest.headers["x-text-size"]) == int(first.headers["x-text-size"]) + len(rest.content)
    whole = await ground.client.get(f"{NIGHTLY}/{made['number']}/consoleText")
    assert whole.text.endswith("Finished: SUCCESS\n")


async def test_a_replay_is_a_new_build_of_the_same_commit(ground: Playground) -> None:
    assert (await ground.client.post(f"{NIGHTLY}/12/replay/rebuild")).status_code == 302
    ground.wait(10)
    run = await got(ground, f"{NIGHTLY}/13/api/json")
    causes = next(it["causes"] for it in run["actions"] if "causes" in it)
    assert any(cause["_class"].endswith("ReplayCause") for cause in causes)


async def test_notifications_go_to_the_secret_path(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await ground.push("jenkins", "publish", outcome="fail")
    ground.wait(120)
    await ground.world.sender.flush()
    secret = ground.options["demo-jenkins"]["webhook_secret"]
    assert {str(it.url) for it in received} == {f"http://bot.test/hooks/demo-jenkins/{secret}"}
    builds = [json.loads(it.content)["build"] for it in received]
    assert [it["phase"] for it in builds] == ["QUEUED", "STARTED", "COMPLETED", "FINALIZED"]
    assert builds[-1]["status"] == "FAILURE"
    assert builds[-1]["url"] == "job/release/job/publish/13/"
    await ground.control("webhooks", on=False)


def test_a_tree_bounds_lists_and_the_last_of_two_wins() -> None:
    data = {"_class": "X", "a": [{"n": i, "m": i} for i in range(5)], "b": 1, "c": 2}
    assert prune(data, parse("a[n]{1,3},b")) == {"_class": "X", "a": [{"n": 1}, {"n": 2}], "b": 1}
    assert prune(data, parse("a[n]{2}")) == {"_class": "X", "a": [{"n": 2}]}
    assert prune(data, parse("a[n],a[m]{,1}")) == {"_class": "X", "a": [{"m": 0}]}
    assert prune(data, parse("*"))["c"] == 2


@pytest.mark.parametrize("text", ["a[", "a]", "[a]", "a[b]]", "a{x}", "a b"])
async def test_a_malformed_tree_is_an_error_of_the_server(ground: Playground, text: str) -> None:
    with pytest.raises(BadTree):
        parse(text)
    assert (await ground.client.get(f"{ROOT}/api/json", params={"tree": text})).status_code == 500
