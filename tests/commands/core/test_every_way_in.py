"""Nobody acts without the right, whatever the command and whatever way it came in by. Generated from the registry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.core.models import Approval, Build, Commit, Conclusion, Pipeline
from bot.store import Store
from bot.store.rows import AuditRow, NewHold
from commands.act import cancel, decision, erase, rebuild, retry, run
from commands.core.context import Access, Context, Role, Services, Source
from commands.core.executor import Handled, Outcome, execute
from commands.core.forms import Submission
from commands.core.grammar import Target
from commands.core.memory import keep_for_undo
from commands.core.registry import Command, Registry, anyone
from commands.follow import digest, quiet, schedule, subscribe, unsubscribe
from commands.registry import REGISTRY
from commands.setup import connect, credentials, disconnect, doctor, link, product, unlink, workflow
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import HEADERS
from tests.commands.reading import Linked, Recorded, first

TYPED: dict[str, str] = {
    "run": "run app@main",
    "cancel": "cancel app#3 --yes",
    "retry": "retry app#2",
    "rebuild": "rebuild app#2",
    "approve": "approve app#3",
    "reject": "reject app#3",
    "erase": "erase app#2 --yes",
    "subscribe": "subscribe app failures",
    "unsubscribe": "unsubscribe app --yes",
    "quiet": "quiet 22:00-07:00",
    "digest": "digest daily 9:00",
    "schedule": 'schedule "daily 9:00" status',
    "undo": "undo 0123456789abcdef",
    "link": "link app",
    "unlink": "unlink app --yes",
    "connect": "connect buildkite",
    "disconnect": "disconnect works --yes",
    "credentials": "credentials works --test",
    "doctor": "doctor",
    "audit": "audit",
    "feeds": "feeds new",
    "export": "export",
    "import": "import --apply 0123456789abcdef",
    "workflow": "workflow disable app --yes",
    "product": "product delete Works --confirm Works",
    "mute": "mute 1h",
    "unmute": "unmute",
    "chains": "chains remove 1",
    "hold": "hold app",
    "approvals": "approvals --remind 30m",
    "bisect": f"bisect app --good {'1' * 40} --bad {'2' * 40}",
    "release": "release app --steal --yes",
    "claim": "claim app#2",
    "unclaim": "unclaim app#2",
}
"""Words that each act is refused by, for somebody who holds nothing. A new act has to be added here."""
PERSONAL = frozenset({"watch", "unwatch", "follow", "unfollow", "me", "access"})
"""Acts on a person's own settings, and asking for a role."""
ACTS = [command for command in REGISTRY.commands if not command.reads and command.verb not in PERSONAL]
TEXT_SOURCES = [Source.SLASH, Source.MENTION, Source.DIRECT, Source.BUTTON, Source.SHORTCUT, Source.SCHEDULE]
GUEST = "UGUEST"


@dataclass(frozen=True)
class Setup:
    """A channel with a pipeline, a failed build, a build that waits, and a guest who holds nothing."""

    services: Services
    works: FakeProvider
    store: Store
    context_of: Callable[..., Context]

    async def execute(self, command: str | Submission, source: Source, **fields: Any) -> Handled:
        given = {"services": self.services, "user": GUEST, "source": source, **fields}
        return await execute(command, self.context_of(**given))

    async def audit(self) -> list[AuditRow]:
        return await self.store.audit.since(TEAM, since=NOW)


@pytest.fixture
async def setup(
    services: Services,
    works: FakeProvider,
    app: Pipeline,
    store: Store,
    sender: RecordingSender,
    linked: Linked,
    recorded: Recorded,
    context_of: Callable[..., Context],
) -> Setup:
    sender.person(GUEST, "Gus", is_restricted=True)
    works.compared["1" * 40, "2" * 40] = (Commit(sha="2" * 40),)
    await linked()
    build = works.build_of(app, 2, conclusion=Conclusion.FAILED)
    waits = works.running(app, 3, waiting=True)
    await recorded(build, waits)
    works.open_approvals[waits.id] = (
        Approval(id="g1", build=waits.id, pipeline=app.id, name="Production", can_reject=True),
    )
    await store.holds.take(
        NewHold(
            team=TEAM, connection=works.connection, pipeline=app.id, environment="elsewhere", user=USER, made_at=NOW
        )
    )
    return Setup(services=services, works=works, store=store, context_of=context_of)


def test_every_act_has_words_to_be_refused_by() -> None:
    assert {command.verb for command in ACTS} == TYPED.keys()


@pytest.mark.parametrize("command", ACTS, ids=lambda command: command.verb)
async def test_a_guest_is_refused_whatever_way_the_words_came(setup: Setup, command: Command[Any, Any]) -> None:
    for source in TEXT_SOURCES:
        token = await _undo_token(setup) if command.verb == "undo" else ""
        words = f"undo {token}" if token else TYPED[command.verb]
        handled = await setup.execute(words, source)
        assert handled.outcome is Outcome.REFUSED, (source, first(handled))
        assert "You are a guest in this workspace" in first(handled), source
        assert setup.works.acts == [], source
    assert sorted((row.verb, row.outcome, row.user, row.source) for row in await setup.audit()) == sorted(
        (command.verb, "refused", GUEST, source.value) for source in TEXT_SOURCES
    )


@pytest.mark.parametrize("command", ACTS, ids=lambda command: command.verb)
async def test_a_guest_is_refused_where_there_is_no_channel(setup: Setup, command: Command[Any, Any]) -> None:
    for channel in ("", "D1"):  # App Home, and a direct message
        words = TYPED[command.verb]
        if command.verb == "undo":
            kept = {"kind": "unsubscribe", "fields": {"link": 1}}
            words = f"undo {await keep_for_undo(kept, setup.context_of(channel=channel))}"
        handled = await setup.execute(words.replace(" app", " works:app"), Source.BUTTON, channel=channel)
        assert handled.outcome in {Outcome.REFUSED, Outcome.FAILED}, (channel, first(handled))
        assert "You are a guest" in first(handled) or "not linked" in first(handled), channel
        assert setup.works.acts == [], channel


@pytest.mark.parametrize("command", ACTS, ids=lambda command: command.verb)
async def test_nobody_acts_whom_slack_does_not_report(
    setup: Setup, sender: RecordingSender, command: Command[Any, Any]
) -> None:
    sender.refusals["users.info"] = "internal_error"
    for source in (Source.SLASH, Source.SCHEDULE):
        token = await _undo_token(setup) if command.verb == "undo" else ""
        handled = await setup.execute(f"undo {token}" if token else TYPED[command.verb], source)
        assert handled.outcome is Outcome.REFUSED, (source, first(handled))
        assert "Try again in a minute." in first(handled), source
        assert setup.works.acts == [], source


async def test_the_terminal_acts_with_all_rights(setup: Setup) -> None:
    for words in ("run app@main", "cancel app#3 --yes", "erase app#2 --yes"):
        assert (await setup.execute(words, Source.TERMINAL, user="")).outcome is Outcome.OK
    assert [verb for verb, _build, _details in setup.works.acts] == ["start", "cancel", "erase"]


async def _undo_token(setup: Setup) -> str:
    """Return a token that brings something back."""
    return await keep_for_undo({"kind": "unsubscribe", "fields": {"link": 1}}, setup.context_of())


SUBMITTED: dict[str, Callable[[Pipeline, Build, Build], object]] = {
    "run": lambda app, build, waits: run.Args(target=_target(app)),
    "cancel": lambda app, build, waits: cancel.Args(targets=(_target(app, waits),), confirmed=True),
    "retry": lambda app, build, waits: retry.Args(target=_target(app, build)),
    "rebuild": lambda app, build, waits: rebuild.Args(target=_target(app, build)),
    "approve": lambda app, build, waits: decision.Args(target=_target(app, waits), approve=True),
    "reject": lambda app, build, waits: decision.Args(target=_target(app, waits), approve=False),
    "erase": lambda app, build, waits: erase.Args(target=_target(app, build), confirmed=True),
    "subscribe": lambda app, build, waits: subscribe.Args(target=_target(app), conditions={"on": ["failures"]}),
    "unsubscribe": lambda app, build, waits: unsubscribe.Args(target=_target(app), confirmed=True),
    "quiet": lambda app, build, waits: quiet.Args(hours="22:00-07:00"),
    "digest": lambda app, build, waits: digest.Args(act=digest.Act.NOW),
    "schedule": lambda app, build, waits: schedule.Args(act=schedule.Act.ADD, times="daily 9:00", command="status"),
    "link": lambda app, build, waits: link.Args(target=_target(app)),
    "unlink": lambda app, build, waits: unlink.Args(target=_target(app), confirmed=True),
    "connect": lambda app, build, waits: connect.Args(kind="buildkite", name="bk", settings={"token": "x"}),
    "credentials": lambda app, build, waits: credentials.Args(name="works", test=True),
    "disconnect": lambda app, build, waits: disconnect.Args(name="works", confirmed=True),
    "doctor": lambda app, build, waits: doctor.Args(),
    "workflow": lambda app, build, waits: workflow.Args(act=workflow.Act.DELETE, target=_target(app), confirm="App"),
    "product": lambda app, build, waits: product.Args(act=product.Act.DELETE, name="Works", confirm="Works"),
}


def _target(app: Pipeline, build: Build | None = None) -> Target:
    return Target(pipeline=f"works:{app.id}", id=build.id if build else None)


@pytest.mark.parametrize("verb", SUBMITTED)
async def test_a_guest_is_refused_in_a_form(setup: Setup, app: Pipeline, works: FakeProvider, verb: str) -> None:
    build, waits = works.history[app.id][1], works.history[app.id][0]
    args = SUBMITTED[verb](app, build, waits)
    handled = await setup.execute(Submission(verb=verb, args=args), Source.MODAL)
    assert handled.outcome is Outcome.REFUSED, first(handled)
    assert works.acts == []
    assert [(row.verb, row.outcome) for row in await setup.audit()] == [(verb, "refused")]


@pytest.mark.parametrize("command", ACTS, ids=lambda command: command.verb)
async def test_somebody_who_is_not_in_the_channel_is_refused(
    setup: Setup, sender: RecordingSender, command: Command[Any, Any]
) -> None:
    sender.outside.add("U2")
    token = await _undo_token(setup) if command.verb == "undo" else ""
    words = f"undo {token}" if token else TYPED[command.verb]
    handled = await setup.execute(words, Source.BUTTON, user="U2")
    assert handled.outcome is Outcome.REFUSED, first(handled)
    assert setup.works.acts == []


@pytest.mark.parametrize(
    "fields",
    [{"is_stranger": True}, {"is_ultra_restricted": True}, {"team_id": "TELSEWHERE"}, {"deleted": True}],
    ids=["a stranger", "a single-channel guest", "somebody of another workspace", "a deactivated account"],
)
async def test_who_is_no_full_member_starts_nothing(
    setup: Setup, sender: RecordingSender, fields: dict[str, Any]
) -> None:
    sender.person("U9", "Nobody", **fields)
    handled = await setup.execute("run app@main", Source.SLASH, user="U9")
    assert handled.outcome is Outcome.REFUSED
    assert setup.works.acts == []


async def test_a_guest_who_was_granted_a_role_may_act_and_reads_without_one(setup: Setup) -> None:
    assert (await setup.execute("show app#2", Source.SLASH)).outcome is Outcome.OK
    granted = await setup.execute(f"access grant runner <@{GUEST}>", Source.SLASH, user=ADMIN)
    assert granted.outcome is Outcome.OK
    assert (await setup.execute("run app@main", Source.SLASH)).outcome is Outcome.OK


async def test_a_deactivated_account_keeps_no_grant(setup: Setup, sender: RecordingSender) -> None:
    await setup.execute("access grant runner <@U9>", Source.SLASH, user=ADMIN)
    sender.person("U9", "Gone", deleted=True)
    handled = await setup.execute("run app@main", Source.SCHEDULE, user="U9")
    assert handled.outcome is Outcome.REFUSED
    assert "deactivated" in first(handled)


async def test_a_demoted_admin_has_no_rights_left_at_the_next_act(setup: Setup, sender: RecordingSender) -> None:
    assert (await setup.execute("audit", Source.SLASH, user=ADMIN)).outcome is Outcome.OK
    sender.person(ADMIN, "Boss", is_admin=False)
    assert (await setup.execute("audit", Source.SLASH, user=ADMIN)).outcome is Outcome.REFUSED


async def test_a_button_in_slack_is_judged_on_who_presses_it(
    setup: Setup, slack_app: Any, sender: RecordingSender
) -> None:
    body = {
        "type": "block_actions",
        "user": {"id": GUEST},
        "team": {"id": TEAM},
        "container": {"type": "message", "message_ts": "1.2", "channel_id": CHANNEL},
        "channel": {"id": CHANNEL, "name": "ios"},
        "trigger_id": "1.2.x",
        "response_url": "https://hooks.slack.example/actions/1",
        "actions": [{"action_id": "build.retry", "type": "button", "value": "retry app#2", "action_ts": "1.3"}],
    }
    await slack_app.dispatch(body, HEADERS)
    await slack_app.settle()
    assert setup.works.acts == []
    assert "guest" in sender.last.text


async def test_the_refusal_offers_to_ask_who_can_grant(setup: Setup, sender: RecordingSender) -> None:
    named = replace(setup.services, access=Access(admins=frozenset({ADMIN})))
    handled = await setup.execute("run app@main", Source.SLASH, services=named)
    assert handled.error is not None
    assert handled.error.choices == (("Ask for it", "access ask runner works:app"),)
    asked = await setup.execute("access ask runner works:app", Source.BUTTON, services=named)
    assert f"I have asked <@{ADMIN}>" in first(asked)
    grant = next(one for one in sender.said if one.arguments.get("channel") == ADMIN)
    assert f"access grant runner <@{GUEST}> works:app --in {CHANNEL}" in grant.text
    granted = await setup.execute(
        f"access grant runner <@{GUEST}> works:app --in {CHANNEL}",
        Source.BUTTON,
        services=named,
        user=ADMIN,
        channel="DADMIN",
    )
    assert granted.outcome is Outcome.OK
    assert (await setup.execute("run app@main", Source.SLASH, services=named)).outcome is Outcome.OK


def test_a_command_that_authorizes_nothing_does_not_register() -> None:
    command = REGISTRY.find("erase")
    assert command is not None
    with pytest.raises(TypeError, match="authorizes anyone"):
        Registry([replace(command, authorize=anyone)])
    with pytest.raises(TypeError, match="declares no authorize"):
        Registry([replace(command, authorize=cast("Any", None))])
    assert command.role is Role.APPROVE
    assert USER != GUEST
