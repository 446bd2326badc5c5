"""A program acts as the person whose token it holds: with their rights, under their name, no further than the token goes."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.models import Conclusion, Pipeline
from bot.store import Store
from bot.store.rows import NewGrant, PersonalTokenRow
from commands.core.context import Access, Answer, Context, Role, Services, Source
from commands.mcp.calls import Calls
from tests.commands.fakes import ADMIN, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said
from tests.set_clock import SetClock

ROOM = "C0000001"


@pytest.fixture
def services(services: Services) -> Services:
    return replace(services, has_mcp=True)


class Delivered:
    """What was shown in Slack."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []

    async def __call__(self, context: Context, answer: Answer) -> None:
        assert answer.message is not None
        self.answers.append((context.channel or context.user, answer.message.text))


@pytest.fixture
def delivered() -> Delivered:
    return Delivered()


@pytest.fixture
def calls(services: Services, delivered: Delivered) -> Calls:
    return Calls(services, delivered)


@pytest.fixture
async def red(works: FakeProvider, app: Pipeline, recorded: Recorded, linked: Linked) -> None:
    await linked()
    await recorded(works.build_of(app, 5, conclusion=Conclusion.FAILED))


async def secret_of(say: Say, words: str, **fields: Any) -> str:
    handled = await say(f"me token new {words}", **fields)
    assert handled.outcome == "ok", handled.error
    assert handled.answer.message is not None
    (block,) = [block for block in handled.answer.message.blocks if "```" in str(block)]
    secret: str = block["text"]["text"].strip("`")
    return secret


async def owner(calls: Calls, say: Say, words: str, **fields: Any) -> PersonalTokenRow:
    token = await calls.owner(await secret_of(say, words, **fields))
    assert token is not None
    return token


async def test_a_token_is_shown_once_and_kept_as_a_digest(say: Say, store: Store, calls: Calls) -> None:
    secret = await secret_of(say, "laptop --act")
    (row,) = await store.personal_tokens.of_user(TEAM, USER)
    assert secret.startswith("bbp_")
    assert len(secret) == 68
    assert secret not in str(row)
    assert await calls.owner(secret) == row
    assert await calls.owner(secret[:-1]) is None
    assert await calls.owner("") is None
    listed = await say("me token")
    assert secret not in said(listed)
    assert buttons(listed)["Revoke"] == "me token revoke laptop"
    assert [(row.words, row.outcome) for row in await store.audit.since(TEAM, since=NOW, limit=9)] == [
        ("me token new laptop --act", "ok")
    ]


async def test_a_revoked_token_ends_at_once(say: Say, calls: Calls) -> None:
    secret = await secret_of(say, "laptop")
    assert await calls.owner(secret) is not None
    assert (await say("me token revoke laptop", user="U2")).outcome == "refused"
    assert await calls.owner(secret) is not None
    assert (await say("me token revoke laptop")).outcome == "ok"
    assert await calls.owner(secret) is None


@pytest.mark.parametrize("source", [Source.MENTION, Source.DIRECT, Source.SHORTCUT, Source.SCHEDULE, Source.MCP])
async def test_no_token_is_shown_where_it_would_stay_or_to_a_program(say: Say, store: Store, source: Source) -> None:
    handled = await say("me token new laptop --act", source=source)
    assert handled.outcome == "refused"
    assert await store.personal_tokens.of_user(TEAM, USER) == []


async def test_tokens_are_made_only_where_the_operator_wants_them(say: Say, services: Services, store: Store) -> None:
    handled = await say("me token new laptop", services=replace(services, has_mcp=False))
    assert "switched off" in first(handled)
    assert await store.personal_tokens.of_user(TEAM, USER) == []


async def test_a_token_ends_by_itself(say: Say, calls: Calls, set_clock: SetClock) -> None:
    secret = await secret_of(say, "laptop")
    assert "ends <!date" in said(await say("me token"))
    set_clock.go(days=179)
    assert await calls.owner(secret) is not None
    set_clock.go(days=1)
    assert await calls.owner(secret) is None
    assert "ended <!date" in said(await say("me token"))


async def test_the_token_of_a_deactivated_person_counts_for_nothing(
    say: Say, calls: Calls, sender: RecordingSender, services: Services
) -> None:
    secret = await secret_of(say, "laptop")
    sender.person(USER, "Ana", deleted=True)
    await services.people.standing(TEAM, USER, fresh=True)
    assert await calls.owner(secret) is None


@pytest.mark.usefixtures("red")
async def test_a_program_reads_what_the_person_may_read(say: Say, calls: Calls, store: Store) -> None:
    token = await owner(calls, say, "laptop")
    shown = await calls.call("show", {"pipeline": "app", "build": "5"}, token)
    assert shown.outcome == "ok"
    assert "#5" in shown.text
    assert "FAILED" in shown.text
    (used,) = await store.personal_tokens.of_user(TEAM, USER)
    assert used.used_at == NOW


@pytest.mark.usefixtures("red")
@pytest.mark.parametrize("tool", ["retry", "rebuild", "cancel", "run"])
async def test_a_token_that_reads_never_acts_and_the_audit_log_says_that_it_was_tried(
    say: Say, calls: Calls, works: FakeProvider, store: Store, tool: str
) -> None:
    token = await owner(calls, say, "laptop")
    result = await calls.call(tool, {"pipeline": "app"}, token)
    assert result.outcome == "refused"
    assert result.is_error
    assert "may only read" in result.text
    assert works.acts == []
    newest = (await store.audit.since(TEAM, since=NOW, limit=1))[0]
    assert (newest.user, newest.verb, newest.outcome, newest.source) == (USER, tool, "refused", "mcp")


@pytest.mark.usefixtures("red")
async def test_a_retry_is_done_as_the_person_and_the_audit_log_says_by_mcp(
    say: Say, calls: Calls, works: FakeProvider, store: Store, app: Pipeline
) -> None:
    token = await owner(calls, say, "laptop --act")
    result = await calls.call("retry", {"pipeline": "app", "build": "5"}, token)
    assert (result.outcome, result.connection, result.build) == ("ok", "works", "b5")
    assert "#5" in result.text
    assert works.acts == [("retry", "b5", "failed")]
    newest = (await store.audit.since(TEAM, since=NOW, limit=1))[0]
    assert (newest.user, newest.verb, newest.outcome, newest.source) == (USER, "retry", "ok", "mcp")
    assert "<@U1> by mcp" in said(await say("audit", user=ADMIN))
    started = [
        row for row in await store.notifications.of_build(works.history[app.id][0].key) if row.event == "started"
    ]
    assert [(row.channel, row.user) for row in started] == [(USER, USER)]


@pytest.mark.usefixtures("red")
async def test_somebody_elses_build_is_stopped_only_after_a_confirmation(
    say: Say, calls: Calls, works: FakeProvider, app: Pipeline, recorded: Recorded, delivered: Delivered
) -> None:
    token = await owner(calls, say, "laptop --act")
    await recorded(works.running(app, 6))
    asked = await calls.call("cancel", {"pipeline": "app", "build": "6"}, token)
    assert (asked.outcome, asked.is_error) == ("asked", True)
    assert "Nothing was done yet. Call it again with `confirm`" in asked.text
    assert works.acts == []
    assert delivered.answers == []
    done = await calls.call("cancel", {"pipeline": "app", "build": "6", "confirm": True}, token)
    assert done.outcome == "ok", done.text
    assert [act[:2] for act in works.acts] == [("cancel", "b6")]


@pytest.mark.usefixtures("red")
async def test_a_program_has_no_more_rights_than_the_person(
    say: Say, calls: Calls, works: FakeProvider, services: Services, delivered: Delivered, store: Store
) -> None:
    token = await owner(calls, say, "laptop --act")
    strict = Calls(replace(services, access=Access(members=Role.VIEW)), delivered)
    result = await strict.call("retry", {"pipeline": "app", "build": "5"}, token)
    assert result.outcome == "refused"
    assert "needs the runner role" in result.text
    assert works.acts == []
    await store.grants.add(NewGrant(team=TEAM, role="runner", subject=f"user:{USER}", granted_by=ADMIN, granted_at=NOW))
    assert (await strict.call("retry", {"pipeline": "app", "build": "5"}, token)).outcome == "ok"


async def test_a_channel_counts_only_for_who_is_in_it(
    say: Say, calls: Calls, linked: Linked, sender: RecordingSender, works: FakeProvider, app: Pipeline
) -> None:
    works.put(works.build_of(app, 7))
    await linked(channel=ROOM)
    sender.members[ROOM] = [USER]
    inside = await owner(calls, say, "laptop")
    outside = await owner(calls, say, "laptop", user="U2")
    assert (await calls.call("status", {"channel": ROOM}, inside)).outcome == "ok"
    refused = await calls.call("status", {"channel": ROOM}, outside)
    assert refused.outcome == "refused"
    assert "not known to be in that channel" in refused.text
    assert (await calls.call("status", {"channel": "C1 or so"}, inside)).outcome == "refused"


async def test_a_tool_that_is_none_is_refused(say: Say, calls: Calls) -> None:
    token = await owner(calls, say, "laptop --act")
    result = await calls.call("approve", {}, token)
    assert (result.outcome, result.text) == ("refused", "There is no tool called `approve`.")


@pytest.mark.usefixtures("red")
async def test_a_dry_run_starts_nothing_and_is_no_question(say: Say, calls: Calls, works: FakeProvider) -> None:
    token = await owner(calls, say, "laptop --act")
    result = await calls.call("run", {"pipeline": "app", "ref": "main", "dry_run": True}, token)
    assert (result.outcome, result.is_error) == ("ok", False)
    assert works.acts == []


@pytest.mark.parametrize("words", ["new", "new a b", "new --yes", "new ../x", "revoke", "drop laptop", "--act"])
async def test_words_that_name_no_token_make_none(say: Say, store: Store, words: str) -> None:
    assert (await say(f"me token {words}")).outcome == "refused"
    assert await store.personal_tokens.of_user(TEAM, USER) == []
