"""A channel's set-up goes out as YAML and comes back: shown first, applied once, by admins, all or nothing."""

import pytest
import yaml

from bot.core.errors import UsageError
from bot.core.models import Parameter, ParameterType, Pipeline
from bot.store import Store
from commands.core.context import Source
from commands.core.executor import Handled
from commands.core.forms import Submission
from commands.setup.config import Document, LinkEntry, RoleEntry, ScheduleEntry, read_documents, written
from commands.setup.import_config import Args
from tests.commands.fakes import ADMIN, CHANNEL, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import Modal
from tests.commands.reading import Linked, Say, buttons, first

DOCUMENT = """\
version: 1
links:
  - pipeline: works:app
    alias: ios
    default: true
    filters: --on failures --branch main,release/*
    protected: main
    presets: {beta: {LANE: beta, FLAG: "yes"}}
  - pipeline: works:web
roles:
  - {role: approver, subject: "user:U2", refs: "release/*"}
schedules:
  - times: weekdays 7:00
    command: run works:app@main
"""


@pytest.fixture
async def channel(works: FakeProvider, linked: Linked) -> None:
    """Let the channel follow app, and a pipeline be there that it does not follow."""
    works.add("web")
    await linked()


def imported(say: Say, **fields: object) -> "Import":
    return Import(say, fields)


class Import:
    """Somebody who pastes documents into the form."""

    def __init__(self, say: Say, fields: dict[str, object]) -> None:
        self._say = say
        self._fields = {"user": ADMIN, "source": Source.MODAL, **fields}

    async def shown(self, *texts: str) -> Handled:
        """Return the difference."""
        return await self._say(Submission(verb="import", args=Args(texts=texts)), **self._fields)

    async def applied(self, *texts: str) -> Handled:
        """Press Apply below the difference."""
        asked = await self.shown(*texts)
        assert asked.answer.is_question, first(asked)
        return await self._say(buttons(asked)["Apply"], **{**self._fields, "source": Source.BUTTON})


async def exported(say: Say) -> str:
    handled = await say("export", user=ADMIN)
    assert handled.answer.file is not None
    assert handled.answer.file.private
    return handled.answer.file.content.decode()


@pytest.mark.usefixtures("channel")
async def test_the_difference_is_shown_and_nothing_done_before_it_is_confirmed(say: Say, store: Store) -> None:
    text = first(await imported(say).shown(DOCUMENT))
    for line in (
        "~ link works:app: alias (none) → ios, default off → on",
        "+ link works:web",
        "+ role approver for user:U2 refs release/*",
        '+ schedule "weekdays 7:00" run works:app@main',
        "new preset beta: LANE=beta FLAG=yes",
    ):
        assert line in text, line
    (row,) = await store.links.of_channel(TEAM, CHANNEL)
    assert row.alias == ""
    assert await store.grants.all(TEAM) == []
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


@pytest.mark.usefixtures("channel")
async def test_what_was_imported_is_exported_and_imports_as_no_change(
    say: Say, store: Store, works: FakeProvider, app: Pipeline
) -> None:
    done = await imported(say).applied(DOCUMENT)
    assert (done.outcome, done.answer.public) == ("ok", True)
    links = {row.pipeline: row for row in await store.links.of_channel(TEAM, CHANNEL)}
    assert links[app.id].alias == "ios"
    assert links[app.id].is_default
    assert links[app.id].filters == "--on failures --branch main,release/*"
    assert links[app.id].created_by == USER
    assert links["p-web"].created_by == ADMIN
    assert await store.presets.of_pipeline(TEAM, CHANNEL, works.connection, app.id) == {
        "beta": {"LANE": "beta", "FLAG": "yes"}
    }
    (schedule,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert (schedule.user, schedule.command) == (ADMIN, "run works:app@main")
    text = await exported(say)
    assert yaml.safe_load(text)["roles"] == [{"role": "approver", "subject": "user:U2", "refs": "release/*"}]
    assert "Nothing would change" in first(await imported(say).shown(text))


@pytest.mark.usefixtures("channel")
async def test_a_named_part_replaces_what_is_stored_and_the_others_stay(say: Say, store: Store) -> None:
    await imported(say).applied(DOCUMENT)
    text = first(await imported(say).shown("links: []"))
    assert "- link works:app" in text
    assert "schedule" not in text
    await imported(say).applied("links: [{pipeline: 'works:web', alias: ios}]", "roles: []")
    assert [row.alias for row in await store.links.of_channel(TEAM, CHANNEL)] == ["ios"]
    assert await store.grants.all(TEAM) == []
    assert len(await store.schedules.of_channel(TEAM, CHANNEL)) == 1


@pytest.mark.usefixtures("channel")
async def test_two_links_may_change_their_aliases_with_each_other(say: Say, store: Store) -> None:
    await imported(say).applied("links: [{pipeline: 'works:app', alias: a}, {pipeline: 'works:web', alias: b}]")
    await imported(say).applied("links: [{pipeline: 'works:app', alias: b}, {pipeline: 'works:web', alias: a}]")
    assert {row.path: row.alias for row in await store.links.of_channel(TEAM, CHANNEL)} == {"app": "b", "web": "a"}


@pytest.mark.usefixtures("channel")
async def test_a_difference_is_applied_once_by_who_saw_it_and_only_if_it_still_holds(
    say: Say, store: Store, linked: Linked
) -> None:
    asked = await imported(say).shown("links: [{pipeline: 'works:app', alias: a}]")
    apply = buttons(asked)["Apply"]
    assert (await say(apply, user=USER)).outcome == "refused"
    await linked(alias="other")
    changed = await say(apply, user=ADMIN)
    assert "changed meanwhile" in str(changed.answer.message)
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].alias == "other"
    again = buttons(changed)["Apply"]
    assert (await say(again, user=ADMIN)).outcome == "ok"
    assert "applied already" in first(await say(again, user=ADMIN))


@pytest.mark.usefixtures("channel")
async def test_only_admins_export_and_import(say: Say, modal: Modal, sender: RecordingSender) -> None:
    assert (await say("export")).outcome == "refused"
    assert (await imported(say, user=USER).shown(DOCUMENT)).outcome == "refused"
    await modal.open("import")
    assert not sender.of("views.open")


@pytest.mark.usefixtures("channel")
async def test_the_form_takes_a_document_and_its_difference_appears_in_the_channel(
    modal: Modal, sender: RecordingSender, store: Store
) -> None:
    modal.user = ADMIN
    await modal.open("import")
    modal.fill({"document": "links: [{pipeline: 'works:app', alias: a}]", "document2": "roles: []"})
    await modal.submit()
    assert "alias (none) → a" in sender.last.text
    assert (await store.links.of_channel(TEAM, CHANNEL))[0].alias == ""


@pytest.mark.usefixtures("channel")
async def test_a_fault_in_the_middle_leaves_everything_as_it_was(
    say: Say, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object, **_fields: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bot.store.schedules.Schedules.add", broken)
    assert (await imported(say).applied(DOCUMENT)).outcome == "broke"
    assert [row.alias for row in await store.links.of_channel(TEAM, CHANNEL)] == [""]
    assert await store.grants.all(TEAM) == []


@pytest.mark.usefixtures("channel")
async def test_a_preset_with_a_secret_of_the_ci_system_is_refused(say: Say, works: FakeProvider) -> None:
    works.known_parameters["p-app"] = (Parameter(name="LANE", type=ParameterType.SECRET),)
    handled = await imported(say).shown(DOCUMENT)
    assert "The preset `beta` holds a secret: `LANE`" in first(handled)


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("links: [{pipeline: 'works:nope'}]", "nope"),
        ("links: [{pipeline: 'works:app', alias: 'a b'}]", "alias"),
        ("links: [{pipeline: 'works:app', filters: --on sunshine}]", "sunshine"),
        ("links: [{pipeline: 'works:app'}, {pipeline: 'works:p-app'}]", "twice"),
        ("roles: [{role: king, subject: 'user:U1'}]", "king"),
        ("roles: [{role: runner, subject: U1}]", "U1"),
        ("schedules: [{times: sometimes, command: status}]", "time"),
        ("schedules: [{times: 'daily 7:00', command: 'cancel #1'}]", "can't schedule"),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_is_shown(say: Say, text: str, words: str) -> None:
    handled = await imported(say).shown(text)
    assert handled.error is not None
    assert words in first(handled)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nlinks: *x", "Anchors"),
        ("links: [", "no YAML in line"),
        ("links: !!python/object/apply:os.system [ls]", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("- 1", "another shape"),
        ("surprise: 1", "surprise"),
        ("version: 2", "version 2"),
        ("links: [{pipeline: a, presets: {p: {FLAG: yes}}}]", "another shape"),
        ("links: [{pipeline: a}, {pipeline: a}]", "stands there twice"),
        ("links: [{pipeline: a, alias: X}, {pipeline: b, alias: x}]", "stands there twice"),
        ("links: [{pipeline: a, default: true}, {pipeline: b, default: true}]", "one default"),
        ("schedules: [{times: 'daily 7:00', command: 'run a TOKEN=ghp_" + "a1B2" * 9 + "'}]", "password or token"),
        ("x" * 20_001, "characters"),
        ("  ", "nothing to import"),
    ],
)
def test_a_document_that_is_none_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_documents([text])
    assert words in str(caught.value)


def test_a_document_reads_back_as_it_was_written() -> None:
    link = LinkEntry(pipeline="a:b", alias="yes", filters="--on all", presets={"n": {"A": "1.20", "B": "ü: #"}})
    document = Document(
        links=(link,),
        roles=(RoleEntry(role="runner", subject="user:U1"),),
        schedules=(ScheduleEntry(times="daily 7:00", command='run "a b"'),),
    )
    assert read_documents([written(document)]) == document
    assert read_documents([written(Document())]) == Document()


async def test_a_direct_message_has_no_set_up(say: Say) -> None:
    for words in ("export", "import --apply x"):
        assert "in the channel" in str((await say(words, user=ADMIN, channel="D1")).answer.message)
