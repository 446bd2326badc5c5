from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import BASE, EPOCH, Playground

PIPELINES = "/ci/buildkite/v2/organizations/demo/pipelines"


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["Authorization"] = f"Bearer {made.options['demo-buildkite']['token']}"
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def state(ground: Playground) -> dict[str, Any]:
    made: dict[str, Any] = (await ground.client.get("/control/state")).json()
    return made


async def newest(ground: Playground, system: str, pipeline: str) -> dict[str, Any]:
    for shown in (await state(ground))["systems"]:
        for row in shown["pipelines"]:
            if (shown["system"], row["pipeline"]) == (system, pipeline):
                first: dict[str, Any] = row["builds"][0]
                return first
    raise AssertionError(pipeline)


async def test_one_seed_gives_one_world() -> None:
    one, same, other = Playground(seed=5), Playground(seed=5), Playground(seed=6)
    shown = [
        [(build.uid, build.result, build.finished_at, build.commit.sha) for build in ground.world.builds]
        for ground in (one, same, other)
    ]
    assert shown[0] == shown[1] != shown[2]


async def test_the_world_starts_with_a_history_that_has_all_ended(ground: Playground) -> None:
    for pipeline in ground.world.pipelines:
        assert len(pipeline.builds) == 12
        assert all(build.finished for build in pipeline.builds)
        assert len({build.result for build in pipeline.builds}) > 1
        starts = [build.created_at for build in pipeline.builds]
        assert starts == sorted(starts)


async def test_every_connection_names_its_server_and_allows_loopback(ground: Playground) -> None:
    for name, options in ground.options.items():
        assert name.startswith("demo-")
        assert str(options["url"]).startswith(f"{BASE}/ci/")
        assert options["private_network"] is True
        if options["kind"] != "travis":  # it signs with a key pair, whose public half the bot fetches
            assert len(str(options["webhook_secret"])) >= 32


async def test_a_push_shows_in_the_state_with_what_will_happen(ground: Playground) -> None:
    made = await ground.push(
        "gitlab",
        "backend",
        message="Mend it",
        author_name="Bo Lindén",
        author_email="bo@playground.test",
        outcome="fail",
    )
    shown = await newest(ground, "gitlab", "acme/backend")
    assert shown["id"] == made["id"]
    assert (shown["message"], shown["author"], shown["outcome"], shown["state"]) == (
        "Mend it",
        "Bo Lindén",
        "fail",
        "queued",
    )
    assert shown["ends_in"] > 20
    ground.wait(100)
    shown = await newest(ground, "gitlab", "acme/backend")
    assert (shown["state"], shown["result"], shown["ends_in"]) == ("finished", "failed", None)
    assert shown["counts"]["errors"] > 0
    assert (await ground.client.get(shown["web_url"])).status_code == 200


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("pass", "passed"),
        ("fail", "failed"),
        ("test_failure", "failed"),
        ("warnings", "passed"),
        ("error", "failed"),
        ("timeout", "timeout"),
    ],
)
async def test_each_outcome_comes_true(ground: Playground, outcome: str, result: str) -> None:
    await ground.push("buildkite", "web", outcome=outcome)
    ground.wait(120)
    shown = await newest(ground, "buildkite", "web")
    assert shown["result"] == result
    assert (shown["counts"]["test_failures"] > 0) == (outcome == "test_failure")


async def test_finish_ends_a_build_at_once_even_behind_an_approval(ground: Playground) -> None:
    made = await ground.push("buildkite", "deploy")
    ended = await ground.control("finish", system="buildkite", build=made["id"], outcome="pass")
    assert (ended["state"], ended["result"]) == ("finished", "passed")
    again = await ground.client.post("/control/finish", json={"system": "buildkite", "build": made["id"]})
    assert again.status_code == 400


async def test_an_approval_is_approved_or_rejected(ground: Playground) -> None:
    for approve, result in ((True, "passed"), (False, "canceled")):
        made = await ground.push("buildkite", "deploy", outcome="pass")
        ground.wait(90)
        waiting = await newest(ground, "buildkite", "deploy")
        assert (waiting["state"], [approval["name"] for approval in waiting["approvals"]]) == (
            "waiting",
            ["Deploy to production"],
        )
        await ground.control("approval", system="buildkite", build=made["id"], approve=approve)
        ground.wait(60)
        assert (await newest(ground, "buildkite", "deploy"))["result"] == result


async def test_the_clock_moves_ahead_for_everybody_who_reads_it(ground: Playground) -> None:
    before = ground.world.clock.utc()
    await ground.control("advance", seconds=300)
    assert ground.world.now == EPOCH + 300
    assert (ground.world.clock.utc() - before).total_seconds() == 300


async def test_builds_run_faster_while_the_clock_goes_on_as_before(ground: Playground) -> None:
    made = await ground.push("buildkite", "web", outcome="pass")
    usual = (await newest(ground, "buildkite", "web"))["ends_in"]
    await ground.control("speed", factor=10)
    assert (await newest(ground, "buildkite", "web"))["ends_in"] == pytest.approx(usual / 10, rel=0.2)
    ground.wait(usual / 5)
    shown = await newest(ground, "buildkite", "web")
    assert (shown["id"], shown["state"]) == (made["id"], "finished")
    assert ground.world.now == EPOCH + usual / 5


async def test_paused_builds_wait_and_then_take_the_time_they_had_left(ground: Playground) -> None:
    await ground.push("buildkite", "web", outcome="pass")
    ground.wait(10)
    before = await newest(ground, "buildkite", "web")
    assert (await ground.control("speed", factor=0))["speed"] == 0
    ground.wait(3600)
    paused = await newest(ground, "buildkite", "web")
    assert (paused["state"], paused["jobs"]) != ("finished", [])
    assert [job["state"] for job in paused["jobs"]] == [job["state"] for job in before["jobs"]]
    await ground.control("speed", factor=1)
    assert (await newest(ground, "buildkite", "web"))["ends_in"] == pytest.approx(before["ends_in"], abs=0.2)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("push", {"system": "teamcity"}, 404),
        ("push", {"system": "gitlab", "pipeline": "none"}, 404),
        ("push", {"system": "gitlab", "pipeline": "backend", "outcome": "maybe"}, 400),
        ("outcome", {"system": "gitlab", "build": "none", "outcome": "pass"}, 404),
        ("advance", {"seconds": -1}, 400),
        ("speed", {"factor": True}, 400),
        ("fault", {"system": "gitlab", "kind": "flood"}, 400),
        ("webhooks", {"on": True}, 400),
        ("approval", {"system": "buildkite", "build": "#12", "pipeline": "deploy", "approve": True}, 400),
    ],
)
async def test_nonsense_is_refused_in_words(ground: Playground, path: str, body: dict[str, Any], status: int) -> None:
    response = await ground.client.post(f"/control/{path}", json=body)
    assert response.status_code == status
    assert response.json()["error"]


@pytest.mark.parametrize("kind", ["429", "401", "500"])
async def test_a_fault_meets_the_next_requests_then_goes(ground: Playground, kind: str) -> None:
    await ground.control("fault", system="buildkite", kind=kind, count=2, retry_after=7)
    statuses = [(await ground.client.get(PIPELINES)).status_code for _ in range(3)]
    assert statuses == [int(kind), int(kind), 200]


async def test_a_malformed_answer_is_half_of_one(ground: Playground) -> None:
    whole = (await ground.client.get(PIPELINES)).content
    await ground.control("fault", system="buildkite", kind="malformed", count=1)
    response = await ground.client.get(PIPELINES)
    assert response.status_code == 200
    assert len(response.content) == len(whole) // 2


async def test_a_dropped_connection_gives_no_answer(ground: Playground) -> None:
    await ground.control("fault", system="buildkite", kind="drop")
    with pytest.raises(ConnectionResetError):
        await ground.client.get(PIPELINES)
    await ground.control("fault", system="buildkite", kind="off")
    assert (await ground.client.get(PIPELINES)).status_code == 200


async def test_requests_are_logged_without_secrets(ground: Playground) -> None:
    await ground.client.get(PIPELINES, params={"name": "web"})
    await ground.client.get(PIPELINES, headers={"Authorization": "Bearer nobody"})
    logged = (await ground.client.get("/control/requests", params={"system": "buildkite"})).json()
    assert [(entry["method"], entry["path"], entry["query"], entry["status"]) for entry in logged["requests"]] == [
        ("GET", PIPELINES, "name=web", 200),
        ("GET", PIPELINES, "", 401),
    ]
    assert "nobody" not in str(logged)
    later = (await ground.client.get("/control/requests", params={"since": logged["total"]})).json()
    assert later["requests"] == []


async def test_a_refused_webhook_is_counted_and_not_sent_again(ground: Playground) -> None:
    answers = [200, 401, 200]
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(answers.pop(0))

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await ground.push("buildkite", "web", outcome="pass")
    ground.wait(120)
    await ground.world.sender.flush()
    shown = (await state(ground))["webhooks"]
    assert (len(received), shown["delivered"], shown["failed"]) == (3, 2, 1)
    await ground.control("webhooks", on=False)
    await ground.push("buildkite", "web", outcome="pass")
    await ground.world.sender.flush()
    assert len(received) == 3
