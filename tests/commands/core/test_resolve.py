"""Words find the pipeline and the build they mean; acting verbs never guess, reading verbs say that they did."""

import pytest

from bot.core.errors import Rejected, Unavailable
from bot.core.models import Conclusion, Job, Log, Page, Pipeline, Status
from bot.providers.base.capabilities import Capability
from commands.core.context import Source
from tests.commands.fakes import EVERYTHING, USER, FakeConnections, FakeProvider, branch
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said


async def test_without_a_link_the_person_is_informed_how_to_link(say: Say) -> None:
    handled = await say("logs")
    assert handled.outcome == "failed"
    assert "No pipeline is linked to #ios yet" in first(handled)
    assert "/build link" in first(handled)


async def test_the_only_link_is_meant_and_that_is_said(
    say: Say, linked: Linked, works: FakeProvider, app: Pipeline
) -> None:
    await linked()
    works.build_of(app, 4)
    assert "Using the only pipeline linked here" in said(await say("show"))


async def test_the_default_link_is_meant_among_several(say: Say, linked: Linked, works: FakeProvider) -> None:
    web = works.add("web")
    works.build_of(web, 9)
    await linked()
    await linked(web, is_default=True)
    handled = await say("show")
    assert "#9" in said(handled)
    assert "Using this channel's default pipeline" in said(handled)


async def test_several_links_without_a_default_are_asked_about(say: Say, linked: Linked, works: FakeProvider) -> None:
    await linked()
    await linked(works.add("web"), alias="site")
    handled = await say("rebuild #7")
    assert "follows 2 pipelines" in first(handled)
    assert buttons(handled) == {"App": "rebuild works:p-app#7", "site": "rebuild works:p-web#7"}
    assert "`/build link NAME --default`" in first(handled)


@pytest.mark.parametrize("name", ["site", "SITE", "web", "we", "works:web", "works:p-web", "wor:web"])
async def test_an_alias_a_part_of_a_name_or_the_whole_path_names_a_pipeline(
    say: Say, linked: Linked, works: FakeProvider, name: str
) -> None:
    web = works.add("web")
    works.build_of(web, 9)
    await linked()
    await linked(web, alias="site")
    assert "#9" in said(await say(f"show {name}"))


async def test_an_exact_name_wins_over_names_that_hold_it(say: Say, linked: Linked, works: FakeProvider) -> None:
    await linked(works.add("web"))
    await linked(works.add("web-staging"))
    await say("run web")
    assert works.acts[0][1] == "p-web"


async def test_acting_verbs_never_guess_and_reading_verbs_say_that_they_did(
    say: Say, linked: Linked, works: FakeProvider
) -> None:
    for path in ("web-a", "web-b"):
        works.build_of(works.add(path), 3)
        await linked(works.known[f"p-{path}"])
    handled = await say("run web@main")
    assert works.acts == []
    assert buttons(handled) == {
        "Web-a (works)": "run works:p-web-a@main",
        "Web-b (works)": "run works:p-web-b@main",
    }
    assert "Showing `works:web-a`; `works:web-b` matches, too" in said(await say("show web"))
    assert "`works:web-b` matches, too" in said(await say("status web"))


async def test_a_build_word_survives_the_question_which_pipeline(say: Say, linked: Linked, works: FakeProvider) -> None:
    await linked(works.add("web-a"))
    await linked(works.add("web-b"))
    assert "rebuild works:p-web-a --build failed" in buttons(await say("rebuild web#failed")).values()


async def test_pipelines_that_nobody_linked_are_found_by_listing(say: Say, works: FakeProvider) -> None:
    works.build_of(works.add("billing"), 5)
    assert "#5" in said(await say("show bill#last"))
    works.add("billing-two")
    handled = await say("run works:billing")
    assert handled.outcome == "ok"
    await say("list pipelines --refresh")
    assert len(buttons(await say("run illing"))) == 2


async def test_a_wrong_name_is_answered_with_the_nearest(say: Say, works: FakeProvider) -> None:
    works.add("nightly")
    assert "`works:nightly`" in first(await say("show nigthly"))
    assert "`works:nightly`" in first(await say("show works:nigthly"))
    assert "`/build list pipelines`" in first(await say("show zzzzzz"))


async def test_without_connections_that_is_said(say: Say, connections: FakeConnections) -> None:
    connections.open.clear()
    assert "No CI system is connected" in first(await say("show web"))


async def test_a_short_kind_names_the_only_connection_of_it(
    say: Say, connections: FakeConnections, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "kind", "buildkite")
    works.build_of(app, 2)
    assert "#2" in said(await say("show bk:app"))
    other = FakeProvider("works2")
    other.add("app")
    connections.open["works2"] = other
    assert "No pipeline called" in first(await say("show bk:app"))


async def test_a_link_whose_connection_is_gone_says_so(say: Say, linked: Linked, connections: FakeConnections) -> None:
    await linked()
    connections.open.clear()
    handled = await say("run app")
    assert "The connection `works` is not there any more" in first(handled)
    assert "`/build list connections`" in first(handled)


async def test_another_workspace_sees_nothing_of_this_one(say: Say, works: FakeProvider, app: Pipeline) -> None:
    build = works.build_of(app, 4)
    for words in ("show works:app#4", f"show {build.web_url}", "show app"):
        handled = await say(words, team="T2")
        assert handled.outcome in {"failed", "refused"}
        assert "Change number 4" not in said(handled)


async def test_a_page_of_a_build_or_a_pipeline_names_it(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    build = works.build_of(app, 4)
    works.build_of(app, 5)
    assert "#4" in said(await say(f"show <{build.web_url}>"))
    await linked()
    assert "#4" in said(await say(f"show {build.web_url}"))
    assert "#5" in said(await say(f"show {app.web_url}"))
    assert "none of the connected" in first(await say("show https://elsewhere.example/1"))


async def test_a_page_of_a_job_shows_that_job(
    say: Say, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = works.build_of(app, 4, conclusion=Conclusion.FAILED)
    jobs = tuple(
        Job(id=f"j{n}", build=build.id, pipeline=app.id, name=name, status=Status.COMPLETED, conclusion=end)
        for n, name, end in ((1, "lint", Conclusion.FAILED), (2, "deploy", Conclusion.PASSED))
    )
    works.known_jobs[build.id] = jobs
    works.logs = {"j1": Log(text="error: one"), "j2": Log(text="error: two")}
    monkeypatch.setattr(works, "parse_url", lambda _url: Page(pipeline="app", build="b4", job="j2"))
    assert "error: two" in said(await say("logs https://ci.example/job"))
    assert "error: one" in said(await say("logs works:app#4"))


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("#2", 2),
        ("#last", 6),
        ("-1", 5),
        ("#-2", 4),
        ("failed", 4),
        ("green", 5),
        ("running", 6),
        ("@other", 3),
        ("@tag:v1", 2),
        ("@pr:42", 1),
        ("@0000005", 5),
        ("--id b3", 3),
    ],
)
async def test_builds_are_named_by_number_word_ref_or_id(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, words: str, number: int
) -> None:
    await linked()
    works.build_of(app, 1, branch=None, pull_request="42")
    works.build_of(app, 2, branch=None, tag="v1")
    works.build_of(app, 3, branch="other")
    works.build_of(app, 4, conclusion=Conclusion.FAILED)
    works.build_of(app, 5)
    works.running(app, 6)
    assert f"Change number {number}" in said(await say(f"show {words}"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("show running", "Nothing is running in App"),
        ("show failed", "None of the latest builds of App failed"),
        ("show green@x", "No pipeline called"),
        ("show @x#green", "None of the latest builds of App on x passed"),
        ("show @tag:v9", "App has no builds on tag:v9 yet"),
        ("approve", "Nothing waits for approval in App"),
        ("show #99", "99"),
    ],
)
async def test_builds_that_are_not_there_are_said_to_be_missing(
    say: Say, linked: Linked, works: FakeProvider, app: Pipeline, words: str, told: str
) -> None:
    await linked()
    works.build_of(app, 1, conclusion=Conclusion.CANCELLED)
    assert told in first(await say(words, user="UADMIN"))


async def test_a_number_is_looked_up_where_it_was_seen(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.build_of(app, 7))
    works.troubles["builds"] = Unavailable("It is down.", provider="The Works")
    assert "#7" in said(await say("show #7"))


async def test_stopping_on_a_branch_leaves_my_builds_of_other_branches_alone(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.running(app, 7, branch="other"), started_by=USER)
    works.running(app, 6)
    assert "Stop App #6" in first(await say("cancel @main"))
    await say("cancel @other")
    assert works.acts == [("cancel", "b7", None)]


async def test_a_job_without_branches_starts_without_one(say: Say, works: FakeProvider) -> None:
    works.add("docs", default_branch=None)
    assert "Would start Docs (The Works)" in first(await say("run docs --dry-run"))
    handled = await say("run docs", source=Source.TERMINAL)
    assert first(handled) == "The terminal started #1 of Docs"
    assert works.acts[0][2].ref is None


async def test_listing_says_what_went_wrong(say: Say, works: FakeProvider) -> None:
    works.troubles["pipelines"] = Unavailable("It is down.", provider="The Works")
    assert "It is down." in said(await say("list pipelines"))


async def test_a_pinned_branch_is_meant_before_the_default_one(say: Say, works: FakeProvider, linked: Linked) -> None:
    await linked(branch="release/2.1")
    await say("run")
    assert works.acts[0][2].ref.name == "release/2.1"


async def test_a_branch_that_does_not_exist_is_answered_with_its_neighbours(
    say: Say, works: FakeProvider, linked: Linked
) -> None:
    await linked()
    works.troubles["start"] = Rejected("No such branch.", provider="The Works")
    assert "`release/2.1`" in first(await say("run app@realease/2"))
    works.capabilities = EVERYTHING - {Capability.REFS}
    works.troubles["start"] = Rejected("No such branch.", provider="The Works")
    assert "Closest" not in first(await say("run app@realease/2"))


async def test_a_branch_that_is_nothing_like_another_is_answered_with_those_there_are(
    say: Say, works: FakeProvider, app: Pipeline
) -> None:
    works.known_refs[app.id] = tuple(branch(name) for name in ("zebra", "yak", "main", "xerus"))
    works.troubles["start"] = Rejected("There is no such branch.", provider="The Works")
    handled = await say("run app@nope A=1")
    assert "It has `main`, `zebra`, `yak`." in first(handled)
    assert buttons(handled)["main"] == "run works:p-app@main A=1"
    assert "Closest to `zebar`: `zebra`, `xerus`, `main`." in first(await say("run app@zebar"))


async def test_a_connection_alone_names_its_only_pipeline(say: Say, works: FakeProvider) -> None:
    assert (await say("run works@main")).outcome == "ok"
    assert works.acts[0][1] == "p-app"
    works.add("web")
    await say("list pipelines --refresh")
    assert sorted(buttons(await say("run works@main"))) == ["App (works)", "Web (works)"]
    assert len(works.acts) == 1


@pytest.mark.parametrize("words", ["run late:app@main", "run billing", "run https://ci.example/late/billing"])
async def test_a_connection_that_another_process_has_just_made_is_found(
    say: Say, connections: FakeConnections, words: str
) -> None:
    late = FakeProvider("late")
    late.add("billing")
    late.add("app", id="late-app")
    connections.made_elsewhere["late"] = late
    assert (await say(words)).outcome == "ok"
    assert [verb for verb, _pipeline, _details in late.acts] == ["start"]


async def test_a_link_of_a_connection_that_another_process_has_just_made_is_used(
    say: Say, connections: FakeConnections, linked: Linked
) -> None:
    late = FakeProvider("late")
    await linked(late.add("billing"), connection="late")
    connections.made_elsewhere["late"] = late
    assert (await say("run")).outcome == "ok"
    assert len(late.acts) == 1
