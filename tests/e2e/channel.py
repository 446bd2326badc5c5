"""What tests do to a pipeline of #web, and what everybody in a channel sees then."""

from typing import Any

from bot.blocks.plain import as_text
from tests.e2e.stage import Stage


def posted(stage: Stage, channel: str = "web", *, in_thread: bool = False) -> list[str]:
    """Return what everybody in a channel sees of the bot's messages, oldest first: in the channel, or in its threads."""
    messages: list[Any] = list(stage.playground.workspace.messages.get(stage.channels[channel], {}).values())
    return [
        as_text({"text": message.text, "blocks": message.blocks or [], "attachments": message.attachments or []})
        for message in messages
        if not message.ephemeral_to and message.is_root is not in_thread
    ]


def has_posts(stage: Stage, count: int) -> bool:
    return len(posted(stage)) == count


async def linked(stage: Stage, filters: str, pipeline: str = "web") -> int:
    """Link a pipeline to #web with a filter and return how many posts stand there then."""
    await stage.says(f"link demo-buildkite:{pipeline}", "web")
    await stage.sees("is linked", "web")
    await stage.says(f"subscribe {pipeline} {filters}", "web")
    await stage.sees("set the notifications", "web")
    return len(posted(stage))


async def push(stage: Stage, outcome: str = "pass", pipeline: str = "web", branch: str = "main") -> dict[str, Any]:
    return await stage.ci("push", system="buildkite", pipeline=pipeline, branch=branch, outcome=outcome)


async def ends(stage: Stage, outcome: str = "pass", pipeline: str = "web", branch: str = "main") -> dict[str, Any]:
    """Push a commit and let its build end."""
    pushed = await push(stage, outcome, pipeline, branch)
    await stage.ci("advance", seconds=6)
    await stage.ci("finish", system="buildkite", build=pushed["id"], outcome=outcome)
    return pushed


def other_member(stage: Stage) -> str:
    """Return somebody else of the workspace."""
    users = stage.playground.workspace.users.values()
    return next(user.id for user in users if user.id != stage.me and not user.is_bot)
