"""Who may do what, who did, and who one is: access, audit, me."""

import csv
import io

import pytest

from bot.store import Store
from bot.store.rows import NewGrant
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, RecordingSender
from tests.commands.reading import Linked, Say, first, said


async def grants(store: Store) -> list[tuple[str, str, str, str, str]]:
    return [(row.role, row.subject, row.channel, row.pipelines, row.refs) for row in await store.grants.all(TEAM)]


async def test_roles_are_given_shown_and_taken(say: Say, store: Store) -> None:
    assert "You are a runner here" in first(await say("access"))
    given = await say("access grant approver <@U2|bo> deploy* --refs main", user=ADMIN)
    assert given.answer.public
    await say("access grant runner <!subteam^S1|@mobile> --everywhere", user=ADMIN)
    await say("access grant admin <#C9|ops>", user=ADMIN)
    assert await grants(store) == [
        ("approver", "user:U2", CHANNEL, "deploy*", "main"),
        ("runner", "group:S1", "", "*", "*"),
        ("admin", "channel:C9", CHANNEL, "*", "*"),
    ]
    shown = said(await say("access"))
    for part in ("<@U2>", "<!subteam^S1>", "the members of <#C9>", "everywhere", "`deploy*`", "`main`"):
        assert part in shown
    await say("access revoke approver <@U2> deploy* --refs main", user=ADMIN)
    assert "There is no such grant" in first(await say("access revoke approver <@U2>", user=ADMIN))
    assert len(await grants(store)) == 2


async def test_an_alias_is_granted_as_the_pipeline_it_stands_for(say: Say, store: Store, linked: Linked) -> None:
    await linked(alias="deploy")
    await say("access grant approver <@U2> deploy", user=ADMIN)
    assert [row[3] for row in await grants(store)] == ["works:app"]


async def test_the_admin_of_one_channel_gives_and_reads_nothing_beyond_it(say: Say, store: Store) -> None:
    await store.grants.add(
        NewGrant(team=TEAM, channel=CHANNEL, role="admin", subject=f"user:{USER}", granted_by=ADMIN, granted_at=NOW)
    )
    assert (await say("access grant admin <@U2> --everywhere")).outcome == "refused"
    assert (await say("access grant runner <@U2>")).outcome == "ok"
    await say("mute 1h", channel="C9", user="U3")
    text = said(await say("audit"))
    assert "U3" not in text
    assert "access grant runner" in text
    assert "U3" in said(await say("audit", user=ADMIN))


@pytest.mark.parametrize(
    "words",
    [
        "access give",
        "access grant runner",
        "access grant king <@U2>",
        "access grant runner bo",
        "audit --by bo",
        "audit --since x",
    ],
)
async def test_words_that_make_no_sense_are_refused(say: Say, store: Store, words: str) -> None:
    assert (await say(words, user=ADMIN)).outcome == "refused"
    assert await grants(store) == []


async def test_the_audit_is_narrowed_and_exported_without_formulas(say: Say) -> None:
    await say("run =cmd()")
    await say("mute 1h", user="U2")
    assert "Nothing was done" in first(await say("audit --since 1s --by <@U9>", user=ADMIN))
    assert "mute 1h" not in said(await say(f"audit --by <@{USER}>", user=ADMIN))
    file = (await say("audit --csv", user=ADMIN)).answer.file
    assert file is not None
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert {row["verb"] for row in rows} >= {"run", "mute", "audit"}
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


# me


async def test_me_shows_and_changes_what_is_known(say: Say, store: Store) -> None:
    text = said(await say("me"))
    assert "Ana" in text
    assert "ana@works.example" in text
    await say("me email ANA@acme.example")
    await say("me link gh:ana-b")
    await say("me mentions off")
    text = said(await say("me hours 9-18"))
    for part in ("ana@acme.example", "gh:ana-b", "mentions in channels: off", "9-18"):
        assert part in text
    assert "gh:ana-b" not in said(await say("me forget gh:ana-b"))
    assert "ana@acme.example" not in said(await say("me forget ana@acme.example"))
    assert (await say("me --form", trigger="t")).answer.form is not None


async def test_nobody_takes_or_forgets_what_is_somebody_elses(say: Say, store: Store, sender: RecordingSender) -> None:
    sender.person("U2", "Bo", email="bo@works.example")
    assert "somebody else's address" in first(await say("me email bo@works.example"))
    await say("me link gh:bo", user="U2")
    assert "belongs to <@U2> already" in first(await say("me link gh:bo"))
    assert "I know no `gh:bo` of yours" in first(await say("me forget gh:bo"))
    identity = await store.people.identity(TEAM, "gh", "bo")
    assert identity is not None
    assert identity.user == "U2"


@pytest.mark.parametrize(
    "words",
    [
        "me x",
        "me email a",
        "me hours 9-25",
        "me hours 9",
        "me link gh",
        "me mentions maybe",
        "me forget",
        "me forget gh:nobody",
    ],
)
async def test_what_me_does_not_understand_is_refused(say: Say, words: str) -> None:
    assert (await say(words)).outcome == "refused"


async def test_a_person_is_forgotten_by_an_admin_who_was_asked_first(say: Say, store: Store) -> None:
    await say("access grant approver <@U0BEN88> deploy", user=ADMIN)
    assert (await say("access forget <@U0BEN88> --yes")).outcome == "refused"
    question = said(await say("access forget <@U0BEN88>", user=ADMIN))
    assert "1 grant" in question
    assert "access forget <@U0BEN88> --yes" in question
    assert len(await grants(store)) == 1
    assert (await say("access forget <@U0BEN88> --yes", user=ADMIN)).outcome == "ok"
    assert await grants(store) == []
    assert "U0BEN88" not in str([row.words + row.detail for row in await store.audit.since(TEAM, since=NOW)])
    assert (await say("access forget ben", user=ADMIN)).outcome == "refused"
