import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from bot.manifest import EVENTS, GLOBAL_SHORTCUTS, MESSAGE_SHORTCUTS, SCOPES, manifest
from commands.slack import shortcuts
from commands.slack.events import HANDLED

ROOT = Path(__file__).parents[2]
SPECS = Path(os.environ.get("BUILDBELL_SPECS", str(ROOT.parent / "shared" / "specs"))) / "slack"  # noqa: TID251 - where the descriptions are, for tests alone
needs_specs = pytest.mark.skipif(not SPECS.is_dir(), reason="Slack's descriptions are not beside this checkout")

MADE = [
    manifest(),
    manifest(url="https://bot.acme.example/", oauth=True, unfurl_domains=["ci.acme.example"], command="/ci"),
    manifest(socket=True),
]
# What Slack sends only to those who have the scope (docs.slack.dev, each event's page).
NEEDED = {
    "app_mention": {"app_mentions:read"},
    "channel_archive": {"channels:read"},
    "channel_rename": {"channels:read"},
    "channel_unarchive": {"channels:read"},
    "group_archive": {"groups:read"},
    "group_rename": {"groups:read"},
    "group_unarchive": {"groups:read"},
    "link_shared": {"links:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    "message.im": {"im:history"},
    "reaction_added": {"reactions:read"},
}
FREE = {"app_home_opened", "app_uninstalled", "tokens_revoked"}
CALL = re.compile(
    r"[\"']((?:auth|bookmarks|chat|conversations|files|reactions|team|usergroups|users|views)\.[a-zA-Z.]+)[\"']"
)


@needs_specs
@pytest.mark.parametrize("made", MADE)
def test_slack_takes_the_manifest(made: dict[str, Any]) -> None:
    folder = SPECS / "manifest"

    def read(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
        return found

    def near(uri: str) -> dict[str, Any]:
        return read(uri.rsplit("/", 1)[-1])

    for name in ("manifest.schema.json", "manifest.schema.1.0.0.json"):
        validator = jsonschema_rs.Draft7Validator(read(name), retriever=near)
        assert [error.message for error in validator.iter_errors(made)] == []
    with_more = {**made, "surprise": 1}
    assert not jsonschema_rs.Draft7Validator(read("manifest.schema.json"), retriever=near).is_valid(with_more)


def test_over_http_every_address_is_the_bots_own() -> None:
    made = MADE[1]
    url = "https://bot.acme.example/slack/events"
    assert made["features"]["slash_commands"][0]["url"] == url
    assert made["features"]["slash_commands"][0]["command"] == "/ci"
    assert made["settings"]["event_subscriptions"]["request_url"] == url
    assert made["settings"]["interactivity"] == {
        "is_enabled": True,
        "request_url": url,
        "message_menu_options_url": url,
    }
    assert made["oauth_config"]["redirect_urls"] == ["https://bot.acme.example/slack/oauth_redirect"]
    assert made["features"]["unfurl_domains"] == ["ci.acme.example"]


def test_over_a_socket_there_is_no_address_at_all() -> None:
    made = manifest(socket=True, oauth=True, url="https://bot.acme.example")
    assert made["settings"]["socket_mode_enabled"]
    assert "http" not in json.dumps({**made, "features": {**made["features"], "unfurl_domains": []}})


def test_slack_escapes_what_people_type() -> None:
    assert all(made["features"]["slash_commands"][0]["should_escape"] for made in MADE)


def test_the_events_are_those_that_are_handled() -> None:
    handled = {*HANDLED, "app_mention", "message.im"}
    assert set(EVENTS) == handled


def test_every_event_has_the_scopes_it_needs() -> None:
    assert set(EVENTS) == NEEDED.keys() | FREE
    for event, scopes in NEEDED.items():
        assert scopes <= set(SCOPES), event


def test_the_shortcuts_are_those_that_are_handled() -> None:
    ids = [id_ for id_, _name, _words in (*GLOBAL_SHORTCUTS, *MESSAGE_SHORTCUTS)]
    assert len(set(ids)) == len(ids)
    source = Path(shortcuts.__file__).read_text(encoding="utf-8")
    assert [id_ for id_ in ids if f'"{id_}"' not in source] == []


def called() -> set[str]:
    """Return the Web API methods that the bot's own code names."""
    folders = [ROOT / "bot", ROOT / "commands"]
    files = [path for folder in folders for path in folder.rglob("*.py") if "playground" not in path.parts]
    return {found for path in files for found in CALL.findall(path.read_text(encoding="utf-8"))}


@needs_specs
def test_the_scopes_cover_every_method_that_is_called() -> None:
    methods = json.loads((SPECS / "web_api_methods.json").read_text(encoding="utf-8"))["methods"]
    names = called() & methods.keys()
    assert {"chat.postMessage", "views.open", "conversations.history", "users.lookupByEmail"} <= names
    for name in sorted(names):
        wanted = set(methods[name]["bot_scopes"] or ())
        assert not wanted or wanted & set(SCOPES), f"{name} needs one of {sorted(wanted)}"


def test_the_scopes_are_sorted_and_listed_once() -> None:
    assert list(SCOPES) == sorted(set(SCOPES))
    assert list(EVENTS) == sorted(set(EVENTS))
