"""Workflows and products: shown, made, changed, switched and deleted, by words and by forms."""

import shlex
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.models import Pipeline
from bot.core.workflows import ConditionKind, Patterns, StartCondition, WorkflowAction
from bot.store import Store
from bot.store.rows import NewGrant
from commands.core.context import Source
from commands.slack.app import SlackApp
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import Modal
from tests.commands.reading import Say, buttons, first, said


def posted(sender: RecordingSender) -> str:
    """Return what a person can read of the newest message."""
    return next(call.text for call in reversed(sender.said) if call.message is not None)


@pytest.mark.parametrize(
    ("words", "button", "act"),
    [
        ("workflow disable app", "Disable", ("disable", "p-app", {"enabled": False})),
        ("workflow enable app", "Enable", ("enable", "p-app", {"enabled": True})),
        ('workflow rename app "Ana\'s app"', "Rename", ("rename", "p-app", {"name": "Ana's app"})),
        ("workflow duplicate app beta", "Duplicate", ("duplicate", "p-app", "beta")),
    ],
)
async def test_workflows_are_administered_after_a_question(
    say: Say, works: FakeProvider, app: Pipeline, words: str, button: str, act: tuple[str, str, object]
) -> None:
    asked = await say(words, user=ADMIN)
    assert works.acts == []
    done = await say(buttons(asked)[button], user=ADMIN, source=Source.BUTTON)
    assert done.answer.public, first(done)
    assert works.acts == [act]


@pytest.mark.parametrize(
    "words",
    [
        "workflow",
        "workflow fly app",
        "workflow rename app",
        "workflow enable",
        "workflow update app colour=red",
        "workflow update app clean=perhaps",
        "workflow update app product=Other",
        "workflow update app branch='a*b'",
        "workflow update app schedule='every now and then'",
        "workflow update app --action 'dance scheme=App'",
        "workflow update app --without-action Nobody",
        "workflow update app --without-action 'Test - iOS'",
        "workflow create --product Nope Smoke --action 'test scheme=App'",
        "workflow create Smoke container=App.xcodeproj",
    ],
)
async def test_workflow_words_that_make_no_sense_are_refused(
    say: Say, works: FakeProvider, app: Pipeline, words: str
) -> None:
    assert (await say(words, user=ADMIN)).outcome == "refused"
    assert works.acts == []


async def test_a_mistyped_act_is_guessed_and_not_done(say: Say, works: FakeProvider, app: Pipeline) -> None:
    assert "Did you mean `delete`?" in first(await say("workflow delet app --confirm App", user=ADMIN))
    assert works.acts == []


async def test_anybody_sees_a_workflow_and_only_an_admin_the_buttons_that_change_it(say: Say, app: Pipeline) -> None:
    shown = await say("workflow show app")
    for part in (
        "a branch changes",
        "`any`",
        "cancels older builds",
        "Test - iOS",
        "Xcode 16.2",
        "App.xcodeproj",
        "acme/app",
    ):
        assert part in said(shown)
    assert "Change" not in buttons(shown)
    assert {"Change", "Disable", "Duplicate"} <= buttons(await say("workflow show app", user=ADMIN)).keys()
    assert (await say("workflow update app clean=yes")).outcome == "refused"


async def test_an_admin_of_one_workflow_changes_that_one_and_makes_none(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    works.add("web")
    await store.grants.add(
        NewGrant(
            team=TEAM,
            channel=CHANNEL,
            role="admin",
            subject=f"user:{USER}",
            pipelines="works:app",
            granted_by=ADMIN,
            granted_at=NOW,
        )
    )
    assert (await say("workflow update app clean=yes")).outcome == "ok"
    assert (await say("workflow update web clean=yes")).outcome == "refused"
    made = await say("workflow create Smoke container=App.xcodeproj --action 'test scheme=App'")
    assert "needs the admin role" in first(made)


async def test_a_change_shows_the_difference_and_sends_what_was_shown(
    say: Say, works: FakeProvider, app: Pipeline
) -> None:
    asked = await say("workflow update app clean=yes branch='main, release/*' schedule='daily 4:30 UTC'", user=ADMIN)
    for part in (
        "Clean: `no` → `yes`",
        "Branch changes: `any` → `main, release/*`",
        "Schedule: `off` → `daily 04:30 UTC`",
    ):
        assert part in said(asked)
    assert works.acts == []
    done = await say(buttons(asked)["Change"], user=ADMIN, source=Source.BUTTON)
    assert done.answer.public, first(done)
    ((verb, pipeline, found),) = works.acts
    assert (verb, pipeline) == ("update", "p-app")
    assert [(difference.label, difference.after) for difference in found] == [
        ("Clean", "yes"),
        ("Branch changes", "main, release/*"),
        ("Schedule", "daily 04:30 UTC"),
    ]
    again = await say("workflow update app clean=yes", user=ADMIN)
    assert "Nothing would change" in first(again)


async def test_a_change_that_somebody_else_overtook_is_not_sent(say: Say, works: FakeProvider, app: Pipeline) -> None:
    asked = await say("workflow update app clean=yes", user=ADMIN)
    definition = await works.pipeline_admin().definition("p-app")
    works.definitions["p-app"] = replace(definition, modified_at=NOW + timedelta(seconds=1))
    refused = await say(buttons(asked)["Change"], user=ADMIN, source=Source.BUTTON)
    assert "Somebody changed App meanwhile" in first(refused)
    assert works.acts == []


async def test_one_action_is_changed_added_and_left_out_by_its_name(
    say: Say, works: FakeProvider, app: Pipeline
) -> None:
    words = (
        "workflow update app --action \"name='Test - iOS' required=no plan=Smoke\" "
        "--action 'archive scheme=App audience=internal'"
    )
    asked = await say(words, user=ADMIN)
    await say(buttons(asked)["Change"], user=ADMIN, source=Source.BUTTON)
    changed = works.definitions["p-app"]
    assert changed.actions == (
        WorkflowAction(kind="TEST", name="Test - iOS", platform="IOS", scheme="App", plan="Smoke", required=False),
        WorkflowAction(
            kind="ARCHIVE",
            name="Archive - iOS",
            platform="IOS",
            scheme="App",
            destination="ANY_IOS_DEVICE",
            audience="INTERNAL_ONLY",
        ),
    )
    asked = await say("workflow update app --without-action 'test - ios'", user=ADMIN)
    await say(buttons(asked)["Change"], user=ADMIN, source=Source.BUTTON)
    assert [action.name for action in works.definitions["p-app"].actions] == ["Archive - iOS"]


async def test_a_workflow_is_made_from_nothing_with_all_that_was_typed(say: Say, works: FakeProvider) -> None:
    asked = await say(
        "workflow create Smoke tests container=App.xcodeproj tag='v*' manual_branch=off --action 'test scheme=App'",
        user=ADMIN,
    )
    assert "Create the workflow Smoke tests in Works?" in said(asked)
    assert works.acts == []
    done = await say(buttons(asked)["Create"], user=ADMIN, source=Source.BUTTON)
    assert done.answer.public, first(done)
    ((verb, product, made),) = works.acts
    assert (verb, product, made.name, made.container) == ("create", "Works", "Smoke tests", "App.xcodeproj")
    assert dict(made.conditions) == {ConditionKind.TAG: StartCondition(source=Patterns(names=("v*",)), cancels=True)}
    assert [action.name for action in made.actions] == ["Test - iOS"]


async def test_a_change_too_long_for_a_button_is_kept_for_the_one_who_asked(
    say: Say, works: FakeProvider, app: Pipeline
) -> None:
    names = ", ".join(f"feature/with-a-rather-long-name-{number}" for number in range(60))
    asked = await say(f"workflow update app branch={shlex.quote(names)}", user=ADMIN)
    command = buttons(asked)["Change"]
    assert "--draft" in command
    assert "an hour ago, or by somebody else" in first(await say(command, source=Source.BUTTON))
    await say(command, user=ADMIN, source=Source.BUTTON)
    condition = works.definitions["p-app"].conditions[ConditionKind.BRANCH]
    assert len(condition.source.names) == 60


async def test_a_workflow_goes_only_when_its_name_was_typed(say: Say, works: FakeProvider, app: Pipeline) -> None:
    asked = await say("workflow delete app", user=ADMIN)
    assert "--confirm App" in said(asked)
    assert "Its name is `App`" in first(await say("workflow delete app --confirm Web", user=ADMIN))
    assert (await say("workflow delete app --yes", user=ADMIN)).answer.is_question
    assert works.acts == []
    assert (await say("workflow delete app --confirm App", user=ADMIN)).answer.public
    assert works.acts == [("delete", "p-app", None)]


async def test_products_are_listed_shown_and_deleted_by_name(
    say: Say, works: FakeProvider, app: Pipeline, store: Store
) -> None:
    assert "dev.works.app" in said(await say("product list"))
    shown = said(await say("product show Works"))
    for part in ("dev.works.app", "acme/app", "Workflows: App"):
        assert part in shown
    assert (await say("product delete Works --confirm Works")).outcome == "refused"
    assert (await say("product delete Works", user=ADMIN)).answer.is_question
    assert "Its name is `Works`" in first(await say("product delete Works --confirm Work", user=ADMIN))
    assert works.acts == []
    assert (await say("product delete Works --confirm works", user=ADMIN)).answer.public
    assert works.acts == [("delete product", "P1", None)]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("list products", "no workflow"),
        ("list repositories", "acme/app"),
        ("list references", "refs/heads/main"),
        ("list pulls", "`dark` → `main`"),
        ("list pull requests acme/app", "#7 Dark mode"),
        ("list providers", "GITHUB_CLOUD"),
        ("list versions", "Xcode 16.1"),
        ("workflow choices app", "iPhone 17 (iOS 26.1)"),
    ],
)
async def test_what_stands_around_workflows_is_listed(say: Say, app: Pipeline, words: str, part: str) -> None:
    assert part in said(await say(words))


async def test_a_connection_without_such_lists_is_not_asked(say: Say, works: FakeProvider) -> None:
    works.capabilities = frozenset()
    assert "lists products or repositories" in first(await say("list products"))
    assert "can manage workflows" in first(await say("workflow create X", user=ADMIN))


# the forms


@pytest.fixture
def modal(slack_app: SlackApp, sender: RecordingSender) -> Modal:
    made = Modal(slack_app, sender)
    made.user = ADMIN
    return made


async def test_the_form_of_a_workflow_changes_what_was_changed_in_it_and_nothing_else(
    modal: Modal, works: FakeProvider, app: Pipeline, say: Say, sender: RecordingSender
) -> None:
    await modal.open("workflow update app")
    assert modal.value("name") == "App"
    assert modal.value("branch") == "any"
    assert modal.value("action0.kind") == "TEST"
    assert modal.value("action0.flags") == ["required"]
    errors = await modal.submit({"switches": ["enabled", "clean"], "pull_request": "any -> main", "action0.flags": []})
    assert errors == {}
    assert works.acts == []
    asked = posted(sender)
    for part in ("Clean: `no` → `yes`", "Pull request changes: `off` → `any -&gt; main`", "required=no"):
        assert part in asked


async def test_an_untouched_form_changes_nothing(
    modal: Modal, works: FakeProvider, app: Pipeline, sender: RecordingSender
) -> None:
    definition = await works.pipeline_admin().definition("p-app")
    works.definitions["p-app"] = replace(
        definition,
        conditions={
            ConditionKind.BRANCH: StartCondition(source=Patterns(names=("main", "release/*")), cancels=False),
            ConditionKind.MANUAL_TAG: StartCondition(),
        },
        actions=(
            WorkflowAction(kind="TEST", name="Unit", platform="IOS", plan="Smoke", devices=("iPhone 17 (iOS 26.1)",)),
            WorkflowAction(kind="ARCHIVE", name="Ship", platform="MACOS", destination="ANY_MAC", required=False),
        ),
    )
    await modal.open("workflow update app")
    assert await modal.submit() == {}
    assert "Nothing would change" in posted(sender)


async def test_what_cannot_be_read_is_said_under_its_field(modal: Modal, works: FakeProvider, app: Pipeline) -> None:
    await modal.open("workflow update app")
    assert "at the end only" in (await modal.submit({"branch": "a*b"}))["branch"]
    assert "I don't understand the schedule" in (await modal.submit({"branch": "any", "schedule": "now"}))["schedule"]


async def test_actions_are_added_in_the_form_and_their_fields_follow_their_kind(
    modal: Modal, works: FakeProvider, app: Pipeline, sender: RecordingSender
) -> None:
    await modal.open("workflow create")
    await modal.change("action0.kind", "TEST")
    assert "action0.plan" in modal.fields()
    assert modal.value("action0.name") == "Test - iOS"
    await modal.change("add", "ARCHIVE")
    assert modal.value("action1.name") == "Archive - iOS"
    assert modal.value("add") is None
    errors = await modal.submit(
        {
            "name": "Smoke",
            "container": "App.xcodeproj",
            "action0.scheme": "App",
            "action0.device": ["iPhone 17 (iOS 26.1)"],
            "action1.scheme": "App",
            "action1.audience": "internal",
        }
    )
    assert errors == {}
    shown = posted(sender)
    assert "Create the workflow Smoke in Works?" in shown
    assert "iPhone 17 (iOS 26.1)" in shown
    assert "audience=internal" in shown


async def test_more_actions_than_the_form_shows_stay_as_they_are(
    modal: Modal, works: FakeProvider, app: Pipeline, sender: RecordingSender
) -> None:
    actions = tuple(
        WorkflowAction(kind="BUILD", name=f"Part {number}", platform="IOS", destination="ANY_IOS_DEVICE")
        for number in range(10)
    )
    definition = await works.pipeline_admin().definition("p-app")
    works.definitions["p-app"] = replace(definition, actions=actions)
    await modal.open("workflow update app")
    assert "2 more actions stay as they are" in modal.text
    assert await modal.submit({"action0.flags": ["required", "remove"]}) == {}
    shown = posted(sender)
    assert "Action Part 0" in shown
    assert "Action Part 9" not in shown


async def test_a_deletion_asks_for_the_name_in_a_form(modal: Modal, works: FakeProvider, app: Pipeline) -> None:
    await modal.open("workflow delete app")
    assert "all its builds" in modal.text
    assert "Its name is" in (await modal.submit({"confirm": "Ap"}))["confirm"]
    assert await modal.submit({"confirm": "App"}) == {}
    assert works.acts == [("delete", "p-app", None)]


async def test_a_product_is_deleted_in_a_form_that_names_what_goes_with_it(
    modal: Modal, works: FakeProvider, app: Pipeline
) -> None:
    await modal.open("product delete Works")
    assert "its workflows (App)" in modal.text
    assert await modal.submit({"confirm": "Works"}) == {}
    assert works.acts == [("delete product", "P1", None)]
