"""A stand-in of Slack for one machine: its Web API, its requests to an app, and what its users do."""

from playground.slack.app import Call, Fault, SlackApp, slack_app
from playground.slack.delivery import Answer, Delivery, signature
from playground.slack.model import Channel, Message, SlackError, User, View
from playground.slack.user_actions import UserActions
from playground.slack.workspace import Workspace

__all__ = [
    "Answer",
    "Call",
    "Channel",
    "Delivery",
    "Fault",
    "Message",
    "SlackApp",
    "SlackError",
    "User",
    "UserActions",
    "View",
    "Workspace",
    "signature",
    "slack_app",
]  # fmt: skip
