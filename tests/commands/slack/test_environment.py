"""Bolt is constructed apart from the SLACK_* variables of the environment, which are the bot's own settings."""

import logging
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.registry import REGISTRY
from commands.slack.app import SlackApp


def test_slacks_variables_in_the_environment_cause_no_warning_and_no_stores(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-a-token")
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "a-secret")
    services = cast("Any", SimpleNamespace(registry=REGISTRY, command="/build"))
    with caplog.at_level(logging.INFO):
        app = SlackApp(services, cast("Any", None), bot_user=lambda: "UBOT")
    assert caplog.messages == []
    assert app.app.oauth_flow is None
    assert app.app.installation_store is None
    assert os.environ["SLACK_BOT_TOKEN"] == "xoxb-a-token"  # noqa: TID251
    assert os.environ["SLACK_CLIENT_SECRET"] == "a-secret"  # noqa: TID251
