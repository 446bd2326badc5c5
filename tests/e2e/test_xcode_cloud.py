"""Xcode Cloud's workflows, products and TestFlight builds from typed words, against the playground over HTTP."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from bot.connections import read_options
from bot.core.errors import AuthFailed, Unsupported, UsageError
from bot.core.models import BuildFilter
from bot.providers import open_provider
from bot.providers.base.provider import AnyProvider
from bot.providers.xcode_cloud.auth import scope_line
from bot.providers.xcode_cloud.client import PRODUCTS, REPOSITORIES, RUNS, WORKFLOWS
from playground.ci import LocalCi, ci_app
from playground.ci.xcode_cloud import XcodeCloud
from tests.e2e.stage import Stage

BASE = "http://ci.test"


async def test_a_workflow_is_made_changed_and_deleted_by_typed_words(stage: Stage) -> None:
    await stage.says("product show Aurora Kit")
    assert "Workflows: none yet" in await stage.sees("example.demo.aurora-kit")
    await stage.says(
        "workflow create Smoke --product 'Aurora Kit' container=Kit.xcodeproj tag='v*' "
        "--action 'test scheme=Kit plan=Smoke device=\"iPhone 17\"'"
    )
    await stage.sees("Create the workflow Smoke in Aurora Kit?")
    await stage.press("Create", "Create the workflow Smoke")
    await stage.sees("created the workflow Aurora Kit/Smoke")
    await stage.says("workflow show Smoke")
    shown = await stage.sees("a tag changes")
    for part in ("v*", "Kit.xcodeproj", "test plan Smoke", "iPhone 17 (iOS 26.1)", "by hand, branches: any"):
        assert part in shown
    await stage.says("run Smoke@main --clean")
    await stage.sees("started #1 of Smoke on main")
    await stage.says("workflow update Smoke xcode=16.4 tag=off schedule='daily 4:00 UTC' --action 'archive scheme=Kit'")
    question = await stage.sees("Change Smoke?")
    for part in ("Xcode 26.1 (17B55) → Xcode 16.4 (16F6)", "Tag changes: v* → off", "Schedule: off → daily 04:00 UTC"):
        assert part in question
    await stage.press("Change", "Change Smoke?")
    await stage.sees("changed Smoke")
    sent = [entry for entry in stage.world.requests if entry["method"] == "PATCH"]
    assert len(sent) == 1
    await stage.says("workflow delete Smoke --confirm Smoky")
    await stage.sees("Its name is Smoke, not Smoky")
    await stage.says("workflow delete Smoke --confirm Smoke")
    await stage.sees("deleted the workflow Smoke")
    await stage.says("product delete 'Aurora Kit' --confirm 'Aurora Kit'")
    await stage.sees("deleted the product Aurora Kit")
    await stage.says("list products")
    assert "Aurora Kit" not in await stage.sees("Products of demo-xcode")


async def test_what_a_run_handed_to_testflight_comes_onto_its_card_and_is_read_anew_in_show(stage: Stage) -> None:
    await stage.says("link demo-xcode:Release as release --default")
    await stage.sees("Here it is called release")
    await stage.says("run release@main")
    card = await stage.sees("started #")
    number = re.search(r"#(\d+)", card)
    assert number
    build = await stage.newest("xcode_cloud", "Aurora iOS/Release")
    await stage.ci("finish", system="xcode_cloud", build=build["id"], outcome="pass")
    words = f"TestFlight: build {number[1]} (2.1.0), processing"
    await stage.until(lambda: [text for text in stage.posts("Posted because") if words in text], words)
    await stage.ci("advance", seconds=400)
    # the store is asked again until it is done, and the card edited
    ready = f"TestFlight: build {number[1]} (2.1.0), ready"
    await stage.until(lambda: [text for text in stage.posts("Posted because") if ready in text], ready)
    await stage.says(f"show release#{number[1]}")
    await stage.sees(f"TestFlight build {number[1]} (2.1.0), ready")


class Ground:
    """The playground's Xcode Cloud, and the bot's own provider in front of it."""

    def __init__(self) -> None:
        self.world = LocalCi(seed=11)
        self.options = self.world.connections(BASE)["demo-xcode"]
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(ci_app(self.world)), base_url=BASE)
        system = self.world.systems["xcode_cloud"]
        assert isinstance(system, XcodeCloud)
        self.system = system

    def provider(self, **changes: object) -> AnyProvider:
        """Return the bot's provider with other options than the playground's own; None leaves one out."""
        given = {name: value for name, value in {**self.options, **changes}.items() if value is not None}
        kind, options = read_options("ci", given)
        return open_provider("ci", kind, options, client=self.client, clock=self.world.clock.utc)

    def token(self, scope: list[str], *, lifetime: timedelta, **more: Any) -> str:
        """Return a ready-made token of the team's key."""
        now = int(self.world.clock.utc().timestamp())
        claims: Mapping[str, Any] = {
            "iss": self.system.issuer_id,
            "iat": now - 60,
            "exp": now - 60 + int(lifetime.total_seconds()),
            "aud": "appstoreconnect-v1",
            "scope": scope,
            **more,
        }
        key = self.system.team_key
        return jwt.encode(dict(claims), key.pem, algorithm="ES256", headers={"kid": key.id})

    def with_token(self, token: str) -> AnyProvider:
        """Return the bot's provider with a ready-made token."""
        return self.provider(token=token, key_id=None, issuer_id=None, private_key=None)


MONTHS = timedelta(days=180)


async def test_a_persons_own_key_works_without_an_issuer_and_is_refused_with_one() -> None:
    ground = Ground()
    own = ground.system.individual_options(BASE)
    account = await ground.provider(**own, issuer_id=None).check()
    assert account.name == f"Individual key {own['key_id']}"
    with pytest.raises(AuthFailed) as refused:
        await ground.provider(**own).check()
    assert "A person's own key has no `issuer_id`" in (refused.value.hint or "")
    with pytest.raises(AuthFailed) as refused:
        await ground.provider(issuer_id=None).check()
    assert "If the key is a team's, set `issuer_id`" in (refused.value.hint or "")


async def test_a_token_of_six_months_tells_how_builds_stand_and_nothing_more() -> None:
    ground = Ground()
    (product, *_) = ground.system.products
    root = f"v1/ciProducts/{product.uid}"
    scope = [
        scope_line("v1/ciProducts", PRODUCTS),
        scope_line("v1/scmRepositories", REPOSITORIES),
        scope_line(f"{root}/workflows", WORKFLOWS),
        scope_line(f"{root}/buildRuns", RUNS),
    ]
    provider = ground.with_token(ground.token(scope, lifetime=MONTHS))
    account = await provider.check()
    assert account.detail == "1 of 2 products"
    names = [pipeline.name async for pipeline in provider.pipelines()]
    assert names == ["Nightly", "Pull Requests", "Release"]
    pipeline = await provider.pipeline("Nightly")
    (newest,) = [build async for build in provider.builds(pipeline.id, BuildFilter(limit=1))]
    assert newest.pipeline == pipeline.id
    for refused in (provider.jobs(pipeline.id, newest.id), provider.uploads(pipeline.id, newest.id)):
        with pytest.raises(Unsupported):
            await refused
    with pytest.raises(Unsupported):
        provider.pipeline_admin()
    with pytest.raises(AuthFailed, match="scope does not hold"):
        await ground.with_token(ground.token(scope[:1], lifetime=MONTHS)).check()
    with pytest.raises(UsageError, match="more than six months"):
        ground.with_token(ground.token(scope, lifetime=timedelta(days=400)))
    with pytest.raises(UsageError, match="meant for 'somebody'"):
        ground.with_token(ground.token(scope, lifetime=MONTHS, aud="somebody"))
    forged = ground.with_token(ground.token(scope, lifetime=MONTHS, iss="somebody else"))
    with pytest.raises(AuthFailed) as unknown:
        await forged.check()
    assert "good only for the requests in its scope" in (unknown.value.hint or "")
