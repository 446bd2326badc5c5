import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.playground.ci_kit import Playground

V3 = "/ci/gitlab_v3/api/v3"
MONOLITH = f"{V3}/projects/legacy%2Fmonolith"


@pytest.fixture
async def ground() -> AsyncIterator[Playground]:
    made = Playground()
    made.client.headers["PRIVATE-TOKEN"] = str(made.options["demo-gitlab3"]["token"])
    yield made
    await made.client.aclose()
    await made.world.aclose()


async def got(ground: Playground, path: str, /, **query: Any) -> Any:
    response = await ground.client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def did(ground: Playground, path: str, **more: Any) -> Any:
    response = await ground.client.post(path, **more)
    assert response.status_code == 201, response.text
    return response.json()


async def test_v4_is_not_known_here(ground: Playground) -> None:
    assert (await ground.client.get("/ci/gitlab_v3/api/v4/version")).status_code == 404
    assert (await got(ground, f"{V3}/version"))["version"].startswith("8.")


async def test_builds_lack_what_came_later(ground: Playground) -> None:
    build = (await got(ground, f"{MONOLITH}/builds"))[0]
    assert not {"web_url", "duration", "allow_failure", "failure_reason", "artifacts"} & build.keys()
    assert build["pipeline"]["sha"] == build["commit"]["id"]


async def test_a_retried_build_keeps_its_id_and_has_no_end(ground: Playground) -> None:
    made = await ground.push("gitlab_v3", "monolith", outcome="fail")
    ground.wait(120)
    pipeline = ground.world.build("gitlab_v3", made["id"]).id  # type: ignore[union-attr]
    builds = [it for it in await got(ground, f"{MONOLITH}/builds", scope="failed") if it["pipeline"]["id"] == pipeline]
    assert len(builds) == 1
    again = await did(ground, f"{MONOLITH}/builds/{builds[0]['id']}/retry")
    assert (again["id"], again["status"], again["finished_at"]) == (builds[0]["id"], "pending", None)
    ground.wait(120)
    assert (await got(ground, f"{MONOLITH}/pipelines/{pipeline}"))["finished_at"] is not None


async def test_a_pipeline_starts_cancels_and_retries(ground: Playground) -> None:
    made = await did(ground, f"{MONOLITH}/pipeline", data={"ref": "master"})
    assert made["status"] == "pending"
    ground.wait(9)
    canceled = await did(ground, f"{MONOLITH}/pipelines/{made['id']}/cancel")
    assert canceled["status"] == "canceled"
    again = await did(ground, f"{MONOLITH}/pipelines/{made['id']}/retry")
    assert again["status"] in {"pending", "running"}
    response = await ground.client.post(f"{MONOLITH}/pipeline", data={"ref": "nowhere"})
    assert response.status_code == 400


async def test_erase_takes_log_and_artifacts(ground: Playground) -> None:
    build = next(it for it in await got(ground, f"{MONOLITH}/builds", per_page=100) if it["artifacts_file"])
    path = f"{MONOLITH}/builds/{build['id']}"
    assert (await ground.client.get(f"{path}/artifacts")).status_code == 302
    erased = await did(ground, f"{path}/erase")
    assert erased["download_url"] is None
    assert (await ground.client.get(f"{path}/artifacts")).status_code == 404
    assert (await ground.client.get(f"{path}/trace")).text == ""
    assert (await ground.client.post(f"{path}/erase")).status_code == 403


async def test_a_trigger_token_starts_without_a_users(ground: Playground) -> None:
    trigger = await did(ground, f"{MONOLITH}/triggers")
    form = {"token": trigger["token"], "ref": "master", "variables[LEVEL]": "2"}
    made = await did(ground, f"{MONOLITH}/trigger/builds", data=form, headers={"PRIVATE-TOKEN": ""})
    assert made["variables"] == {"LEVEL": "2"}
    wrong = await ground.client.post(f"{MONOLITH}/trigger/builds", data={**form, "token": "no"})
    assert wrong.status_code == 404


async def test_scope_takes_five_words_only(ground: Playground) -> None:
    assert (await ground.client.get(f"{MONOLITH}/builds", params={"scope": "manual"})).status_code == 400
    assert {it["status"] for it in await got(ground, f"{MONOLITH}/builds", **{"scope[]": ["failed"]})} == {"failed"}


async def test_hooks_carry_the_token_in_clear(ground: Playground) -> None:
    received: list[httpx.Request] = []

    def bot(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200)

    ground.world.transport = httpx.MockTransport(bot)
    await ground.control("webhooks", on=True, bot_url="http://bot.test")
    await ground.push("gitlab_v3", "monolith", outcome="pass")
    ground.wait(120)
    await ground.world.sender.flush()
    assert {it.headers["x-gitlab-token"] for it in received} == {ground.options["demo-gitlab3"]["webhook_secret"]}
    kinds = [json.loads(it.content)["object_kind"] for it in received]
    assert set(kinds) == {"build", "pipeline"}
    assert json.loads(received[-1].content)["object_attributes"]["status"] == "success"
    await ground.control("webhooks", on=False)
