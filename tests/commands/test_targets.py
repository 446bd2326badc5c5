"""What is named is what is answered: a verb about pipelines never drops the build or the ref beside one."""

import pytest

from bot.core.models import Pipeline
from tests.commands.fakes import FakeProvider
from tests.commands.reading import Linked, Say, first, said

OF_PIPELINES = (
    "last {}",
    "stats {}",
    "list builds {}",
    "list branches {}",
    "queue {}",
    "hold {} because",
    "release {}",
    "mute {} 2h",
    "unmute {}",
    "follow {}",
    "unfollow {}",
    "subscribe {} failures",
    "unsubscribe {}",
    "link {}",
    "unlink {}",
    "me favourite {}",
)
OF_REFS = frozenset({"last {}", "stats {}", "list builds {}", "list branches {}"})


@pytest.mark.parametrize("words", OF_PIPELINES)
async def test_a_verb_about_pipelines_refuses_a_build(words: str, say: Say, linked: Linked) -> None:
    await linked()
    answer = first(await say(words.format("app#1")))
    assert "is about a pipeline, not about one build." in answer
    assert "Leave out `#1`" in answer


@pytest.mark.parametrize("words", [words for words in OF_PIPELINES if words not in OF_REFS])
async def test_a_verb_about_pipelines_refuses_a_ref(words: str, say: Say, linked: Linked) -> None:
    await linked()
    answer = first(await say(words.format("app@release/2.1")))
    assert "is about a pipeline, not about one ref." in answer
    assert "Leave out `@release/2.1`" in answer


async def test_the_status_of_a_build_is_that_build(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 1)
    works.build_of(app, 2)
    for words in ("app#1", "#1", "status app#1", "status --build 1"):
        answer = said(await say(words))
        assert "App #1" in answer
        assert "#2" not in answer


async def test_a_connection_named_alone_offers_its_pipelines(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.add("p-web")
    handled = await say("link works:")
    assert "`works` fits 2 pipelines. Pick one:" in first(handled)
    listed = said(await say("list pipelines works"))
    assert "App" in listed
    assert "p-web" in listed


async def test_a_name_of_spaces_names_nothing_and_starts_nothing(say: Say, works: FakeProvider, linked: Linked) -> None:
    await linked()
    assert "names nothing" in first(await say("run ' '"))
    assert works.acts == []
