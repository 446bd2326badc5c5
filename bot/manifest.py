"""The Slack app's manifest, for HTTP and for Socket Mode, from one source."""

from collections.abc import Sequence
from typing import Any

NAME = "Buildbell"
DESCRIPTION = "Start, stop, retry, approve and read builds of any CI system, and get notified when they end."
LONG_DESCRIPTION = (
    "Buildbell shows the builds of Xcode Cloud, Buildkite, GitLab, GitHub Actions, Azure DevOps, Bitbucket, CircleCI, "
    "Jenkins and Travis CI in one way. Channels get one notification for each build they follow, with the counts "
    "of errors, warnings, analyzer warnings and test failures and how they changed."
)
SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "chat:write.public",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "links:read",
    "links:write",
    "reactions:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)
EVENTS = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_archive",
    "channel_rename",
    "channel_unarchive",
    "group_archive",
    "group_rename",
    "group_unarchive",
    "link_shared",
    "member_joined_channel",
    "member_left_channel",
    "message.im",
    "reaction_added",
    "tokens_revoked",
)
GLOBAL_SHORTCUTS = (
    ("start_build", "Start a build", "Choose a pipeline, a branch and its parameters"),
    ("my_builds", "My builds", "What you started, and what waits for you"),
    ("approvals", "Approvals", "Steps that wait for a person"),
    ("connect_ci", "Connect a CI system", "Add an account of a CI system"),
)
MESSAGE_SHORTCUTS = (
    ("retry_build", "Retry this build", "Run the failed jobs again"),
    ("why_failed", "Why did this fail?", "Errors of the build in this message"),
    ("follow_build", "Follow this build", "Notify me when it ends"),
    ("show_logs", "Show logs", "The errors in its log"),
)
HOSTS = ("buildkite.com", "gitlab.com", "github.com", "app.circleci.com", "dev.azure.com")


def manifest(
    *,
    command: str = "/build",
    url: str = "",
    socket: bool = False,
    unfurl_domains: Sequence[str] = (),
    oauth: bool = False,
) -> dict[str, Any]:
    """Return the manifest. `url` is the bot's public address; without it a placeholder stands for it."""
    root = (url or "https://buildbell.example.com").rstrip("/")
    events_url = f"{root}/slack/events"
    slash: dict[str, Any] = {
        "command": command,
        "description": "Builds: status, run, logs, retry, approve …",
        "usage_hint": "run nightly@main",
        "should_escape": True,
    }
    made: dict[str, Any] = {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": NAME,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
            "background_color": "#1d3b2f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "shortcuts": [
                {"name": name, "type": kind, "callback_id": id_, "description": description}
                for kind, shortcuts in (("global", GLOBAL_SHORTCUTS), ("message", MESSAGE_SHORTCUTS))
                for id_, name, description in shortcuts
            ],
            "slash_commands": [slash if socket else {**slash, "url": events_url}],
            "unfurl_domains": list(unfurl_domains or HOSTS),
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": True,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": False,
        },
    }
    if oauth and not socket:
        made["oauth_config"]["redirect_urls"] = [f"{root}/slack/oauth_redirect"]
    if not socket:
        made["settings"]["event_subscriptions"]["request_url"] = events_url
        made["settings"]["interactivity"] |= {"request_url": events_url, "message_menu_options_url": events_url}
    return made
