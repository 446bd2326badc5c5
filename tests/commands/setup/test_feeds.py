"""Feeds are made, shown once and revoked by admins."""

import re
from dataclasses import replace
from typing import cast

from bot.store import Store
from bot.web.feeds import digest_of
from commands.core.context import Services, Source
from tests.commands.fakes import ADMIN, CHANNEL, TEAM
from tests.commands.reading import Say, buttons, first


async def test_an_admin_makes_a_feed_whose_address_only_they_see_once(say: Say, store: Store) -> None:
    assert (await say("feeds new")).outcome == "refused"
    made = await say("feeds new", user=ADMIN)
    assert not made.answer.public
    token = cast("re.Match[str]", re.search(r"https://bell\.example/feeds/([\w-]{55})/cctray\.xml", first(made)))[1]
    (row,) = await store.feeds.of_channel(TEAM, CHANNEL)
    assert row.digest == digest_of(token)
    listed = await say("feeds", user=ADMIN)
    assert token not in str(listed)
    assert all(token not in str(entry) for entry in await store.audit.since(TEAM, since=row.made_at))


async def test_a_feed_is_revoked_after_a_question(say: Say, store: Store) -> None:
    await say("feeds new", user=ADMIN)
    (row,) = await store.feeds.of_channel(TEAM, CHANNEL)
    asked = await say(f"feeds revoke {row.id}", user=ADMIN)
    assert asked.answer.is_question
    assert (await say(f"feeds revoke {row.id} --yes", channel="C2", user=ADMIN)).outcome == "refused"
    await say(buttons(asked)["Revoke it"], user=ADMIN, source=Source.BUTTON)
    assert await store.feeds.of_channel(TEAM, CHANNEL) == []


async def test_in_app_home_a_feed_is_the_whole_workspaces(say: Say, store: Store) -> None:
    assert "this workspace" in first(await say("feeds new", user=ADMIN, channel="", source=Source.BUTTON))
    assert len(await store.feeds.of_channel(TEAM, "")) == 1
    assert "There is no feed of #ios" in first(await say("feeds", user=ADMIN))


async def test_without_a_public_address_there_are_no_feeds(say: Say, services: Services) -> None:
    handled = await say("feeds new", user=ADMIN, services=replace(services, public_url=""))
    assert "public address" in first(handled)


async def test_other_words_are_refused(say: Say) -> None:
    for words in ("feeds revoke", "feeds revoke x", "feeds new now", "feeds burn"):
        assert (await say(words, user=ADMIN)).outcome == "refused"
