"""The people of the local Slack and of the local CI systems are the same, as the bot sees both."""

import httpx

from playground.ci import LocalCi, ci_app
from tests.playground.fake_bot import Stage


async def test_every_author_of_a_commit_is_found_in_slack_by_address() -> None:
    stage, ci = Stage(), LocalCi(seed=7)
    authors = {build.commit.author for build in ci.builds}
    assert {author.name for author in authors} == {"Ana Vidal", "Mika Sato", "Bo Lindén"}
    for author in authors:
        found = await stage.api("users.lookupByEmail", email=author.email)
        assert found["ok"], author
        user = (await stage.api("users.info", user=found["user"]["id"]))["user"]
        assert user["profile"]["email"] == author.email
        assert user["real_name"] == author.name


async def test_the_panel_offers_the_same_people() -> None:
    stage, ci = Stage(), LocalCi(seed=7)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(ci_app(ci)), base_url="http://ci.test") as client:
        authors = (await client.get("/control/state")).json()["authors"]
    known = {(user.real_name, user.email) for user in stage.workspace.users.values()}
    assert len(authors) == 3
    assert {(author["name"], author["email"]) for author in authors} <= known
