"""Validly signed payloads of odd shapes: refused, or made valid, never an error of ours."""

import asyncio
import copy
import json
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bot.web.payloads import MOST_FIELDS, _form_fields, read_payload
from commands.slack.app import SlackApp
from tests.bot.slack.test_deliveries import CLICK, COMMAND, FORM, MENTION, SHORTCUT
from tests.bot.web.test_app import FORM as FORM_TYPE
from tests.bot.web.test_app import JSON, Silence, WebHarness
from tests.set_clock import SetClock

OPTIONS = {
    "type": "block_suggestion",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "action_id": "a",
    "block_id": "b",
    "value": "w",
    "view": {"id": "V1", "callback_id": "run", "private_metadata": "{}", "state": {"values": {}}},
}
MESSAGE_SHORTCUT = {
    "type": "message_action",
    "callback_id": "status",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "channel": {"id": "C1", "name": "ios"},
    "message": {"ts": "1.1", "text": "see <https://ci.example/1>", "user": "U2"},
    "trigger_id": "1.6",
    "response_url": "https://hooks.example/2",
}
JSON_BODIES = (CLICK, FORM, MENTION, SHORTCUT, OPTIONS, MESSAGE_SHORTCUT)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 2**80, "", "x" * 300_000, "\0", "a\0b", "\ud83d", "\udc00x", [], [None], [[]], {}, {"": None},
    {"id": 7}, {"id": None}, [{"id": []}], ["text"], {"values": []}, {"values": {"a": 1}},
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside of one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [step for name, one in inner for step in ((*path, name), *paths(one, (*path, name)))]


def with_at(body: Any, path: tuple[Any, ...], odd: Any, *, missing: bool) -> Any:
    changed = copy.deepcopy(body)
    target = changed
    for step in path[:-1]:
        target = target[step]
    if missing:
        del target[path[-1]]
    else:
        target[path[-1]] = odd
    return changed


class Front(WebHarness):
    """The web with Bolt's side behind it, which itself fails whatever it is asked."""

    @override
    def __post_init__(self) -> None:
        silence = Silence(self.clock)
        self.front = SlackApp(cast("Any", silence), cast("Any", silence), bot_user=lambda: "UBOT")
        super().__post_init__()

    @override
    async def take(self, body: Any, headers: Any, *, fallback: str) -> Any:
        json.dumps(body).encode()
        str(body.get("text")).encode()
        return await self.front.dispatch(body, headers)


CASES = [(body, path) for body in JSON_BODIES for path in paths(body)]


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(case=st.sampled_from(CASES), odd=st.sampled_from(ODD), missing=st.booleans())
def test_every_field_may_be_missing_or_anything(case: Any, odd: Any, *, missing: bool) -> None:
    body, path = case
    changed = with_at(body, path, odd, missing=missing)

    async def ask() -> int:
        front = Front(SetClock())
        if body is MENTION:
            answer = await front.send(json.dumps(changed).encode(), kind=JSON)
        else:
            answer = await front.send(urlencode({"payload": json.dumps(changed)}).encode(), kind=FORM_TYPE)
        return answer.status_code

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(ask()) in {200, 400}
    finally:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.mark.parametrize("name", sorted(COMMAND))
@pytest.mark.parametrize("value", ["", "\0", "x" * 100_000, "ü\ud83d".encode("utf-8", "surrogatepass")])
async def test_every_field_of_a_command_may_be_anything(name: str, value: str | bytes, set_clock: SetClock) -> None:
    front = Front(set_clock)
    for fields in ({**COMMAND, name: value}, {key: kept for key, kept in COMMAND.items() if key != name}):
        assert (await front.send(urlencode(fields).encode())).status_code in {200, 400}
    await front.http.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {"command": 5},
        {"command": "/build", "text": ["x"]},
        {"type": []},
        {"type": "event_callback", "event": {"type": {}}},
        {"type": "event_callback", "event": {"type": "message", "channel": 5}},
        {"type": "block_actions", "actions": [7]},
        {"type": "block_actions", "actions": [{"value": {}}]},
        {"type": "view_submission", "view": {"state": {"values": {"a": {"b": 1}}}}},
        {"type": "view_submission", "view": {"private_metadata": {}}},
        {"user": "U1"},
        {"type": "workflow_step_edit", "callback_id": "run", "user": {"id": "U1"}},
        {"type": "view_submission", "view": {"callback_id": "run", "type": "workflow_step"}, "user": {"id": "U1"}},
        {"type": "event_callback", "event": {"type": "workflow_step_execute"}},
    ],
)
def test_wrong_types_are_refused(body: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_payload(json.dumps(body).encode(), JSON)


def test_texts_are_made_valid_where_they_enter() -> None:
    body = {"type": "event_callback", "event": {"type": "message", "text": "half \ud83d of\0 it \ud83d\ude00"}}
    read = read_payload(json.dumps(body).encode(), JSON)
    assert read["event"]["text"] == "half � of it 😀"
    command = read_payload(b"command=%2Fbuild&text=a%00b", FORM_TYPE)
    assert command["text"] == "ab"


def test_what_is_nested_without_end_is_refused() -> None:
    body = b'{"type": "shortcut", "x": ' + b"[" * 400_000 + b'"\\u0000"' + b"]" * 400_000 + b"}"
    with pytest.raises(ValueError, match="deep"):
        read_payload(body, JSON)


@given(st.text("ab=&+%20e3C;é\u2028\x00", max_size=60))
def test_a_forms_fields_are_read_as_the_standard_library_reads_them(text: str) -> None:
    try:
        expected = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            _form_fields(text)
    else:
        assert _form_fields(text) == expected


def test_a_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        _form_fields("&".join(["a=b"] * (MOST_FIELDS + 1)))
