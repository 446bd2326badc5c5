"""The local Slack answers the Web API as Slack does."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.playground.fake_bot import APP_TOKEN, BOT_TOKEN, Stage, actions, button, field, modal, section


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    it = Stage()
    yield it
    await it.close()


async def test_auth_test_names_the_bot(stage: Stage) -> None:
    answer = await stage.api("auth.test")
    assert answer["ok"]
    assert answer["user_id"] == stage.workspace.bot_user
    assert answer["team_id"] == stage.workspace.team_id


async def test_tokens_are_checked(stage: Stage) -> None:
    assert (await stage.http.post("/api/auth.test")).json() == {"ok": False, "error": "not_authed"}
    assert (await stage.api("auth.test", token="xoxb-other"))["error"] == "invalid_auth"
    assert (await stage.api("auth.test", token=APP_TOKEN))["error"] == "not_allowed_token_type"
    await stage.api("auth.revoke")
    assert (await stage.api("auth.test"))["error"] == "token_revoked"


async def test_unknown_methods_and_broken_json_are_refused_with_http_200(stage: Stage) -> None:
    assert (await stage.api("chat.shout"))["error"] == "unknown_method"
    headers = {"Authorization": f"Bearer {BOT_TOKEN}", "Content-Type": "application/json"}
    answer = await stage.http.post("/api/auth.test", content=b"{", headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"ok": False, "error": "invalid_json"}


async def test_a_form_may_carry_json_in_its_fields(stage: Stage) -> None:
    form = {"channel": stage.ios, "text": "hi", "blocks": json.dumps([section("hi")]), "token": BOT_TOKEN}
    answer = (await stage.http.post("/api/chat.postMessage", data=form)).json()
    assert answer["ok"]
    assert answer["message"]["blocks"][0]["text"]["text"] == "hi"


async def test_missing_arguments_are_named(stage: Stage) -> None:
    answer = await stage.api("chat.postMessage", text="to nobody")
    assert answer["error"] == "invalid_arguments"
    assert "channel" in answer["response_metadata"]["messages"][0]


async def test_timestamps_are_unique_and_rise(stage: Stage) -> None:
    stamps = [await stage.post() for _ in range(5)]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize(
    ("channel", "error"),
    [("C0NOWHERE", "channel_not_found"), ("release-crew", "channel_not_found"), ("archived", "is_archived")],
)
async def test_posts_to_where_the_bot_cannot_write_are_refused(stage: Stage, channel: str, error: str) -> None:
    if channel == "archived":
        await stage.ui("channel", channel=stage.ios, change="archive")
        channel = stage.ios
    elif channel == "release-crew":
        channel = stage.channel(channel)
    assert (await stage.api("chat.postMessage", channel=channel, text="hi"))["error"] == error


async def test_public_channels_take_posts_without_membership_only_by_scope(stage: Stage) -> None:
    random = stage.channel("random")
    assert (await stage.api("chat.postMessage", channel=random, text="hi"))["ok"]
    stage.workspace.scopes -= {"chat:write.public"}
    assert (await stage.api("chat.postMessage", channel=random, text="hi"))["error"] == "not_in_channel"


async def test_a_missing_scope_is_named(stage: Stage) -> None:
    stage.workspace.scopes = frozenset({"chat:write"})
    answer = await stage.api("users.lookupByEmail", email="ana@playground.test")
    assert (answer["error"], answer["needed"], answer["provided"]) == (
        "missing_scope",
        "users:read.email",
        "chat:write",
    )


async def test_a_users_id_stands_for_the_direct_message(stage: Stage) -> None:
    answer = await stage.api("chat.postMessage", channel=stage.mika, text="psst")
    assert answer["channel"].startswith("D")
    assert (await stage.api("conversations.open", users=stage.mika))["channel"]["id"] == answer["channel"]


async def test_a_message_needs_content(stage: Stage) -> None:
    assert (await stage.api("chat.postMessage", channel=stage.ios))["error"] == "no_text"


BAD_BLOCKS: list[tuple[str, list[Any], str]] = [
    ("51 blocks", [section("x")] * 51, "/blocks"),
    ("a long section", [section("x" * 3001)], "/blocks/0/text/text"),
    ("an empty section", [{"type": "section"}], "/blocks/0"),
    ("an unknown type", [{"type": "banner"}], "/blocks/0/type"),
    ("no type", [{}], "/blocks/0"),
    ("a modal's block", [{"type": "alert", "text": {"type": "plain_text", "text": "x"}}], "/blocks/0/type"),
    ("a long header", [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "/blocks/0/text/text"),
    ("a long label", [actions(button("a", "x" * 76))], "/blocks/0/elements/0/text/text"),
    ("a long value", [actions(button("a", value="x" * 2001))], "/blocks/0/elements/0/value"),
    ("26 buttons", [actions(*(button(f"a{n}") for n in range(26)))], "/blocks/0/elements"),
    ("one action twice", [actions(button("a"), button("a"))], "/blocks/0"),
    ("one block id twice", [actions(button("a")), actions(button("b"))], "/blocks/1/block_id"),
    ("six overflow options", [actions({"type": "overflow", "action_id": "o", "options": [
        {"text": {"type": "plain_text", "text": "x"}, "value": str(n)} for n in range(6)]})], "/blocks/0/elements/0/options"),
    ("a text field too much", [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}}], "/blocks/0/text"),
    ("an empty text", [section("")], "/blocks/0/text/text"),
    ("two tables", [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}] * 2, "/blocks"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "blocks", "pointer"), BAD_BLOCKS, ids=[it[0] for it in BAD_BLOCKS])
async def test_blocks_beyond_the_limits_are_refused(stage: Stage, what: str, blocks: list[Any], pointer: str) -> None:
    answer = await stage.api("chat.postMessage", channel=stage.ios, text="x", blocks=blocks)
    assert answer["error"] == "invalid_blocks", what
    assert f"[json-pointer:{pointer}]" in answer["response_metadata"]["messages"][0]


async def test_blocks_at_the_limits_pass(stage: Stage) -> None:
    blocks = [section("x" * 3000)] * 49 + [actions(*(button(f"a{n}", "x" * 75, value="v" * 2000) for n in range(25)))]
    assert (await stage.api("chat.postMessage", channel=stage.ios, text="x", blocks=blocks))["ok"]


async def test_blocks_in_attachments_are_checked_too(stage: Stage) -> None:
    answer = await stage.api(
        "chat.postMessage", channel=stage.ios, text="x", attachments=[{"color": "#000000", "blocks": [{"type": "x"}]}]
    )
    assert answer["error"] == "invalid_attachments"


async def test_slack_gives_ids_to_blocks_without(stage: Stage) -> None:
    without = {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]}
    ts = await stage.post(blocks=[without])
    message = stage.workspace.message(stage.ios, ts)
    assert message
    assert message.blocks[0]["block_id"]
    assert message.blocks[0]["elements"][0]["action_id"]


async def test_an_update_keeps_what_is_left_out_except_blocks(stage: Stage) -> None:
    metadata = {"event_type": "notification", "event_payload": {"key": "1"}}
    ts = await stage.post(blocks=[section("one")], attachments=[{"color": "#1b7f4b", "text": "bar"}], metadata=metadata)
    answer = await stage.api("chat.update", channel=stage.ios, ts=ts, text="two")
    assert "blocks" not in answer["message"]
    assert answer["message"]["edited"]
    assert answer["message"]["attachments"][0]["text"] == "bar"
    assert answer["message"]["metadata"] == metadata
    answer = await stage.api(
        "chat.update", channel=stage.ios, ts=ts, text="three", blocks=[section("three")], attachments=[], metadata={}
    )
    assert "attachments" not in answer["message"]
    assert "metadata" not in answer["message"]


async def test_only_own_messages_that_stand_can_be_updated(stage: Stage) -> None:
    said = (await stage.ui("message", channel=stage.ios, text="mine"))["ts"]
    refused = await stage.api("chat.update", channel=stage.ios, ts=said, text="yours")
    assert refused["error"] == "cant_update_message"
    assert (await stage.api("chat.delete", channel=stage.ios, ts=said))["error"] == "cant_delete_message"
    missing = await stage.api("chat.update", channel=stage.ios, ts="1.000000", text="x")
    assert missing["error"] == "message_not_found"
    ts = await stage.post()
    assert (await stage.api("chat.update", channel=stage.ios, ts=ts, text="x" * 4001))["error"] == "msg_too_long"
    assert (await stage.api("chat.delete", channel=stage.ios, ts=ts))["ok"]
    assert (await stage.api("chat.delete", channel=stage.ios, ts=ts))["error"] == "message_not_found"


async def test_history_pages_newest_first_and_hides_replies_and_ephemeral_ones(stage: Stage) -> None:
    first = await stage.post(text="first")
    await stage.post(text="reply", thread_ts=first)
    await stage.api("chat.postEphemeral", channel=stage.ios, user=stage.ana, text="only you")
    second = await stage.post(text="second", metadata={"event_type": "notification", "event_payload": {"key": "k"}})
    page = await stage.api("conversations.history", channel=stage.ios, limit=1)
    assert [it["ts"] for it in page["messages"]] == [second]
    assert page["messages"][0]["metadata"] == {"event_type": "notification"}
    assert page["has_more"]
    cursor = page["response_metadata"]["next_cursor"]
    rest = await stage.api("conversations.history", channel=stage.ios, cursor=cursor, limit=10)
    assert [it["ts"] for it in rest["messages"]] == [first]
    assert rest["messages"][0]["reply_count"] == 1
    whole = await stage.api("conversations.history", channel=stage.ios, oldest=first, include_all_metadata=True)
    assert [it["metadata"]["event_payload"] for it in whole["messages"]] == [{"key": "k"}]


async def test_history_needs_membership(stage: Stage) -> None:
    answer = await stage.api("conversations.history", channel=stage.channel("random"))
    assert answer["error"] == "not_in_channel"


async def test_replies_come_with_their_parent(stage: Stage) -> None:
    parent = await stage.post()
    reply = await stage.post(thread_ts=parent)
    answer = await stage.api("conversations.replies", channel=stage.ios, ts=parent)
    assert [it["ts"] for it in answer["messages"]] == [parent, reply]
    refused = await stage.api("chat.postMessage", channel=stage.ios, text="x", thread_ts=reply)
    assert refused["error"] == "cannot_reply_to_message"
    assert (await stage.api("conversations.replies", channel=stage.ios, ts="1.0"))["error"] == "thread_not_found"


async def test_an_ephemeral_message_is_its_persons_only_and_cannot_be_changed(stage: Stage) -> None:
    answer = await stage.api("chat.postEphemeral", channel=stage.ios, user=stage.ana, text="only you")
    changed = await stage.api("chat.update", channel=stage.ios, ts=answer["message_ts"], text="x")
    assert changed["error"] == "message_not_found"
    assert [it["text"] for it in stage.slack.state(stage.ana)["messages"][stage.ios]] == ["only you"]
    assert stage.slack.state(stage.mika)["messages"][stage.ios] == []
    outside = await stage.api("chat.postEphemeral", channel=stage.ios, user="U0STRANGER", text="x")
    assert outside["error"] == "user_not_in_channel"
    away = await stage.api("chat.postEphemeral", channel=stage.channel("random"), user=stage.ana, text="x")
    assert away["error"] == "not_in_channel"


async def test_scheduled_messages_appear_in_time(stage: Stage) -> None:
    later = int(stage.time) + 60
    answer = await stage.api("chat.scheduleMessage", channel=stage.ios, text="later", post_at=later)
    assert answer["ok"]
    listed = await stage.api("chat.scheduledMessages.list")
    assert [it["post_at"] for it in listed["scheduled_messages"]] == [later]
    stage.time += 61
    history = await stage.api("conversations.history", channel=stage.ios)
    assert [it["text"] for it in history["messages"]] == ["later"]
    past = await stage.api("chat.scheduleMessage", channel=stage.ios, text="x", post_at=int(stage.time) - 1)
    assert past["error"] == "time_in_past"


async def test_people_are_found_by_id_and_address(stage: Stage) -> None:
    found = await stage.api("users.lookupByEmail", email="mika@playground.test")
    assert found["user"]["id"] == stage.mika
    assert (await stage.api("users.lookupByEmail", email="no@playground.test"))["error"] == "users_not_found"
    info = await stage.api("users.info", user=stage.ana)
    assert info["user"]["is_admin"]
    assert info["user"]["tz"] == "Europe/Madrid"
    assert (await stage.api("users.info", user="U0NOBODY"))["error"] == "user_not_found"
    assert len((await stage.api("users.list"))["members"]) == len(stage.workspace.users)
    groups = await stage.api("usergroups.list", include_users=True)
    assert groups["usergroups"][0]["users"] == [stage.mika, stage.bo]


async def test_private_channels_are_hidden_until_the_bot_is_invited(stage: Stage) -> None:
    crew = stage.channel("release-crew")
    kinds = "public_channel,private_channel"
    listed = await stage.api("conversations.list", types=kinds)
    assert crew not in [it["id"] for it in listed["channels"]]
    await stage.ui("channel", channel=crew, change="invite")
    listed = await stage.api("conversations.list", types=kinds)
    assert crew in [it["id"] for it in listed["channels"]]
    assert stage.bot.last("member_joined_channel")["event"]["inviter"] == stage.ana
    members = await stage.api("conversations.members", channel=crew, limit=2)
    assert len(members["members"]) == 2
    assert members["response_metadata"]["next_cursor"]


async def test_joining_works_in_public_channels(stage: Stage) -> None:
    random = stage.channel("random")
    assert not (await stage.api("conversations.info", channel=random))["channel"]["is_member"]
    assert (await stage.api("conversations.join", channel=random))["channel"]["is_member"]


async def test_files_go_up_in_three_steps(stage: Stage) -> None:
    log = b"line one\nline two\n"
    place = await stage.api("files.getUploadURLExternal", filename="build.log", length=len(log))
    too_early = await stage.api("files.completeUploadExternal", files=[{"id": place["file_id"]}])
    assert too_early["error"] == "file_not_found"
    assert (await stage.http.post(place["upload_url"], content=log + b"more")).status_code == 400
    assert (await stage.http.post(place["upload_url"], content=log)).status_code == 200
    done = await stage.api(
        "files.completeUploadExternal", files=[{"id": place["file_id"], "title": "Log"}], channel_id=stage.ios
    )
    assert done["files"][0]["title"] == "Log"
    shown = await stage.http.get(done["files"][0]["url_private"])
    assert shown.content == log
    history = await stage.api("conversations.history", channel=stage.ios)
    assert history["messages"][0]["files"][0]["name"] == "build.log"


async def test_a_file_may_come_as_a_multipart_form(stage: Stage) -> None:
    place = await stage.api("files.getUploadURLExternal", filename="build.log", length=5)
    answer = await stage.http.post(place["upload_url"], files={"file": ("build.log", b"hello")})
    assert answer.text == "OK - 5"


async def test_permalinks_lead_to_the_message(stage: Stage) -> None:
    ts = await stage.post()
    link = (await stage.api("chat.getPermalink", channel=stage.ios, message_ts=ts))["permalink"]
    answer = await stage.http.get(link)
    assert answer.headers["location"] == f"/#/{stage.ios}/{ts}"


async def test_a_trigger_opens_one_view_within_three_seconds(stage: Stage) -> None:
    form = modal(section("hello"))
    trigger = stage.workspace.new_trigger(stage.ana)
    assert (await stage.api("views.open", trigger_id="never", view=form))["error"] == "invalid_trigger_id"
    assert (await stage.api("views.open", trigger_id=trigger, view=form))["ok"]
    assert (await stage.api("views.open", trigger_id=trigger, view=form))["error"] == "exchanged_trigger_id"
    late = stage.workspace.new_trigger(stage.ana)
    stage.time += 3.1
    assert (await stage.api("views.open", trigger_id=late, view=form))["error"] == "expired_trigger_id"


async def test_views_stack_three_deep_and_update_by_id_hash_or_external_id(stage: Stage) -> None:
    def trigger() -> str:
        return stage.workspace.new_trigger(stage.ana)

    first = (await stage.api("views.open", trigger_id=trigger(), view=modal(section("1"), external_id="one")))["view"]
    second = (await stage.api("views.push", trigger_id=trigger(), view=modal(section("2"))))["view"]
    assert (second["previous_view_id"], second["root_view_id"]) == (first["id"], first["id"])
    taken = await stage.api("views.push", trigger_id=trigger(), view=modal(section("x"), external_id="one"))
    assert taken["error"] == "duplicate_external_id"
    await stage.api("views.push", trigger_id=trigger(), view=modal(section("3")))
    full = await stage.api("views.push", trigger_id=trigger(), view=modal(section("4")))
    assert full["error"] == "push_limit_reached"
    changed = await stage.api("views.update", external_id="one", view=modal(section("1b")), hash=first["hash"])
    assert changed["view"]["blocks"][0]["text"]["text"] == "1b"
    stale = await stage.api("views.update", view_id=first["id"], view=modal(section("1c")), hash=first["hash"])
    assert stale["error"] == "hash_conflict"
    assert (await stage.api("views.update", view_id="V0NONE", view=modal(section("x"))))["error"] == "not_found"


@pytest.mark.parametrize(
    "view",
    [
        modal(section("x"), title={"type": "plain_text", "text": "x" * 25}),
        modal(section("x"), private_metadata="x" * 3001),
        modal(*[section("x")] * 101),
        {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [
            field("a", "A", {"type": "plain_text_input", "action_id": "a"})]},
        {"type": "home", "blocks": []},
    ],
    ids=["long title", "long metadata", "101 blocks", "input without submit", "home"],
)  # fmt: skip
async def test_views_beyond_the_limits_are_refused(stage: Stage, view: Any) -> None:
    answer = await stage.api("views.open", trigger_id=stage.workspace.new_trigger(stage.ana), view=view)
    assert answer["error"] == "invalid_arguments"


async def test_a_home_is_published_for_each_person(stage: Stage) -> None:
    home = {"type": "home", "blocks": [section("Hello Ana")]}
    first = await stage.api("views.publish", user_id=stage.ana, view=home)
    again = await stage.api("views.publish", user_id=stage.ana, view=home, hash=first["view"]["hash"])
    assert again["view"]["id"] == first["view"]["id"]
    stale = await stage.api("views.publish", user_id=stage.ana, view=home, hash=first["view"]["hash"])
    assert stale["error"] == "hash_conflict"
    assert stage.slack.state(stage.mika)["home"] is None


async def test_reactions_are_added_once(stage: Stage) -> None:
    ts = await stage.post()
    given = {"channel": stage.ios, "timestamp": ts, "name": "eyes"}
    assert (await stage.api("reactions.add", **given))["ok"]
    assert (await stage.api("reactions.add", **given))["error"] == "already_reacted"
    assert (await stage.api("reactions.remove", **given))["ok"]
    assert (await stage.api("reactions.remove", **given))["error"] == "no_reaction"


async def test_blocks_can_be_checked_without_a_token(stage: Stage) -> None:
    assert (await stage.http.post("/api/blocks.validate", json={"blocks": [section("x")]})).json() == {"ok": True}
    answer = (await stage.http.post("/api/blocks.validate", json={"blocks": [{"type": "x"}]})).json()
    assert answer["errors"][0]["pointer"] == "/blocks/0/type"


async def test_installing_exchanges_a_code_once(stage: Stage) -> None:
    back = "http://127.0.0.1:9/slack/oauth_redirect"
    sent = await stage.http.get("/oauth/v2/authorize", params={"redirect_uri": back, "state": "s"})
    assert sent.headers["location"].startswith(back)
    assert sent.headers["location"].endswith("&state=s")
    code = sent.headers["location"].split("code=")[1].split("&")[0]
    given = {"client_id": "1", "client_secret": "2", "code": code}
    answer = (await stage.http.post("/api/oauth.v2.access", data=given)).json()
    assert answer["access_token"] == BOT_TOKEN
    assert (await stage.http.post("/api/oauth.v2.access", data=given)).json()["error"] == "invalid_code"
    outside = await stage.http.get("/oauth/v2/authorize", params={"redirect_uri": "https://elsewhere.test/"})
    assert outside.status_code == 400


async def test_faults_meet_the_next_calls_of_their_method(stage: Stage) -> None:
    fault = {"kind": "429", "method": "chat.postMessage", "count": 2, "retry_after": 7}
    assert (await stage.http.post("/control/slack/fault", json=fault)).status_code == 200
    assert (await stage.api("auth.test"))["ok"]
    headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
    for _ in range(2):
        answer = await stage.http.post(
            "/api/chat.postMessage", json={"channel": stage.ios, "text": "x"}, headers=headers
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert await stage.post()
    await stage.http.post("/control/slack/fault", json={"kind": "500"})
    assert (await stage.http.post("/api/auth.test", headers=headers)).status_code == 500
    await stage.http.post("/control/slack/fault", json={"kind": "slow", "seconds": 9})
    assert (await stage.api("auth.test"))["ok"]
    assert stage.slept == [9]
    await stage.http.post("/control/slack/fault", json={"kind": "error", "error": "account_inactive", "count": 5})
    assert (await stage.api("auth.test"))["error"] == "account_inactive"
    await stage.http.delete("/control/slack/faults")
    assert (await stage.api("auth.test"))["ok"]
    assert (await stage.http.post("/control/slack/fault", json={"kind": "flood"})).status_code == 400


async def test_calls_are_recorded_with_their_refusals(stage: Stage) -> None:
    await stage.api("chat.postMessage", channel="C0NOWHERE", text="x")
    call = stage.slack.calls[-1]
    assert (call.method, call.args["text"], call.error) == ("chat.postMessage", "x", "channel_not_found")
