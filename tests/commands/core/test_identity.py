"""A build's identity is the provider's: whatever names it, label, rights, history and audit follow the build itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.core.errors import NotFound, Unavailable
from bot.core.models import Conclusion, Page, Parameter, Pipeline, Ref, RefKind, StartRequest, StartTarget
from bot.store import Store
from commands.core.context import Access, Context
from commands.core.executor import Outcome, execute
from tests.commands.fakes import NOW, TEAM, FakeProvider
from tests.commands.reading import Linked, Say, buttons, first, said


@pytest.fixture
def nightly(works: FakeProvider) -> Pipeline:
    """Return a second pipeline, whose builds the system also returns when they are asked for under `rel`."""
    return works.add("nightly")


@pytest.fixture
def rel(works: FakeProvider, nightly: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Return a pipeline of the same product: numbers and ids count per product, so any of them is answered."""
    made = works.add("rel")
    works.build_of(made, 1, conclusion=Conclusion.FAILED)
    other = works.build_of(nightly, 2, conclusion=Conclusion.FAILED)
    own_build, own_number = works.build, works.build_by_number

    async def build(pipeline: str, build: str) -> Any:
        return other if build == other.id else await own_build(pipeline, build)

    async def build_by_number(pipeline: str, number: int) -> Any:
        return other if number == other.number else await own_number(pipeline, number)

    monkeypatch.setattr(works, "build", build)
    monkeypatch.setattr(works, "build_by_number", build_by_number)
    return made


@pytest.mark.parametrize(
    "words",
    ["rebuild rel#2", "rebuild works:rel --id b2", "retry rel#2", "erase rel#2 --yes", "show rel#2", "logs rel#2"],
)
@pytest.mark.usefixtures("rel")
async def test_a_build_of_another_pipeline_is_refused_and_offered_under_its_own_name(
    say: Say, works: FakeProvider, words: str
) -> None:
    handled = await say(words, user="UADMIN")
    assert handled.outcome is Outcome.REFUSED
    assert "#2 is a build of Nightly, not of Rel." in first(handled) or "b2 is a build" in first(handled)
    assert works.acts == []
    assert f"{words.split(maxsplit=1)[0]} works:p-nightly#2" in buttons(handled).values()


@pytest.mark.usefixtures("rel")
async def test_protection_of_the_builds_own_pipeline_cannot_be_walked_around(
    context_of: Callable[..., Context], works: FakeProvider, linked: Linked, store: Store
) -> None:
    await linked(works.known["p-nightly"], channel="C9", protected="main")
    for words in ("rebuild nightly#2", "rebuild rel#2", "rebuild works:rel --id b2"):
        handled = await execute(words, context_of())
        assert handled.outcome is Outcome.REFUSED, words
    assert works.acts == []
    assert {row.outcome for row in await store.audit.since(TEAM, since=NOW)} == {"refused"}


async def test_a_page_of_a_job_means_the_jobs_own_build_or_nothing(
    say: Say, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.build_of(app, 1, conclusion=Conclusion.FAILED)
    works.build_of(app, 2, conclusion=Conclusion.FAILED)
    monkeypatch.setattr(works, "parse_url", lambda _url: Page(pipeline="app", job="j1"))
    url = "https://ci.example/works/app/-/jobs/1"
    handled = await say(f"erase {url} --yes", user="UADMIN")
    assert handled.outcome is Outcome.FAILED
    assert works.acts == []

    async def build_of_job(pipeline: str, job: str) -> Any:
        assert (pipeline, job) == ("p-app", "j1")
        return await works.build("p-app", "b1")

    monkeypatch.setattr(works, "build_of_job", build_of_job)
    assert (await say(f"erase {url} --yes", user="UADMIN")).outcome is Outcome.OK
    assert works.acts == [("erase_job", "b1", "j1")]


async def test_a_label_that_is_a_text_names_a_build(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    works.build_of(app, 4, label="20260815.3")
    works.build_of(app, 5)
    for words in ("show app#20260815.3", "show #20260815.3", "show app --build 20260815.3"):
        assert "Change number 4" in said(await say(words)), words


async def test_a_number_that_came_back_is_the_one_the_system_has_now(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked()
    old = works.build_of(app, 7, id="old", message="Before the reset")
    await recorded(old)
    works.history[app.id].remove(old)
    works.build_of(app, 7, id="new", message="After the reset")
    assert "After the reset" in said(await say("show #7"))


# rights are judged on what will be sent


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("run app@1234567", StartTarget(branch="main", commit="1234567")),
        ("run app@tag:v1", StartTarget(branch="main", tag="v1")),
        ("run app@pr:1", StartTarget(branch="main", pull_request="1")),
        ("run app@other", StartTarget(branch="main")),
        ("run app@tag:main", StartTarget(tag="main")),
    ],
)
async def test_a_protected_ref_is_judged_by_what_is_sent_not_by_what_is_typed(
    context_of: Callable[..., Context],
    works: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    target: StartTarget,
) -> None:
    async def start_target(_pipeline: str, _request: StartRequest) -> StartTarget:
        return target

    monkeypatch.setattr(works, "start_target", start_target)
    services = replace(context_of().services, access=Access(protected=("main",)))
    handled = await execute(words, context_of(services=services))
    assert handled.outcome is Outcome.REFUSED
    assert "on the protected ref `main`" in first(handled)
    assert works.acts == []
    assert (await execute(words, context_of())).outcome is Outcome.OK


async def test_what_cannot_be_judged_is_not_started_where_refs_are_protected(
    context_of: Callable[..., Context], works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start_target(_pipeline: str, _request: StartRequest) -> StartTarget:
        raise Unavailable("It is down.", provider="The Works")

    monkeypatch.setattr(works, "start_target", start_target)
    services = replace(context_of().services, access=Access(protected=("main",)))
    assert (await execute("run app@x", context_of(services=services))).outcome is Outcome.FAILED
    assert works.acts == []
    assert (await execute("run app@x", context_of())).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("author", "outcome"),
    [
        ("Ana", Outcome.OK),
        ("ana@works.example", Outcome.OK),
        ("'Ana <ana@works.example>'", Outcome.OK),
        ("Bo", Outcome.REFUSED),
        ("'Ana <bo@works.example>'", Outcome.REFUSED),
        ("'Bo <ana@works.example>'", Outcome.REFUSED),
    ],
)
async def test_only_an_admin_names_somebody_else_as_the_author(
    say: Say, works: FakeProvider, monkeypatch: pytest.MonkeyPatch, author: str, outcome: Outcome
) -> None:
    monkeypatch.setattr(FakeProvider, "start_options", {"author": "who it is for"})
    assert (await say(f"run app --option author={author}")).outcome is outcome
    assert (await say(f"run app --option author={author}", user="UADMIN")).outcome is Outcome.OK


# a question that only helps never blocks an act


async def test_a_start_says_what_could_not_be_checked_and_starts(say: Say, works: FakeProvider) -> None:
    works.troubles["parameters"] = NotFound("This system does not tell.", provider="The Works", status=404)
    handled = await say("run app@main")
    assert [act[0] for act in works.acts] == ["start"]
    assert "could not be checked: This system does not tell." in first(handled)


async def test_names_are_suggested_only_where_the_ref_is_the_reason(
    say: Say, works: FakeProvider, linked: Linked
) -> None:
    await linked()
    works.known_refs["p-app"] = tuple(Ref(kind=RefKind.BRANCH, name=name) for name in ("maine", "main2", "main"))
    works.troubles["start"] = NotFound("No.", provider="The Works", status=404)
    assert "Closest" not in first(await say("run app@main"))
    works.troubles["start"] = NotFound("No.", provider="The Works", status=404)
    assert "Closest to `mainn`" in first(await say("run app@mainn"))


async def test_a_form_offers_a_message_only_where_one_is_taken(
    modal: Any, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.known_parameters["p-app"] = (Parameter(name="A"),)
    await modal.open("run app --form")
    assert "message" in modal.fields()
    monkeypatch.setattr(FakeProvider, "takes_message", False)
    await modal.open("run app --form")
    assert "message" not in modal.fields()


# no storm of requests after a mistyped name


async def test_mistyped_names_list_an_account_once(
    say: Say, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings = 0
    own = works.pipelines

    async def pipelines(query: str | None = None) -> Any:
        nonlocal listings
        listings += 1
        async for pipeline in own(query):
            yield pipeline

    monkeypatch.setattr(works, "pipelines", pipelines)
    for _time in range(5):
        assert "No pipeline called `ap2`. Closest: `works:app`" in first(await say("show ap2"))
    assert listings == 1
    await say("list pipelines --refresh")
    assert listings == 2


async def test_the_pickers_list_the_whole_catalogue_after_one_pipeline_was_linked(
    modal: Any, works: FakeProvider, linked: Linked
) -> None:
    works.add("web")
    await linked()
    await modal.open("link")
    assert await modal.options("pipeline", "web") == ["works:p-web"]
