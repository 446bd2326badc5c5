"""The Web API's methods over channels and what was written in them."""

from playground.slack import posting
from playground.slack.arguments import need, page
from playground.slack.model import Channel, Json, Message, SlackError
from playground.slack.posting import truth
from playground.slack.workspace import Workspace, ts_key


def _channel_json(slack: Workspace, channel: Channel) -> Json:
    shown: Json = {
        "id": channel.id,
        "created": channel.created,
        "creator": channel.creator,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_mpim": False,
        "is_org_shared": False,
        "context_team_id": slack.team_id,
    }
    if channel.is_im:
        return {**shown, "user": channel.user, "is_open": True}
    return {
        **shown,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": channel.is_private,
        "is_private": channel.is_private,
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_member": slack.bot_user in channel.members,
        "num_members": len(channel.members),
        "topic": {"value": channel.topic, "creator": channel.creator, "last_set": channel.created},
        "purpose": {"value": channel.topic, "creator": channel.creator, "last_set": channel.created},
    }


def info(slack: Workspace, args: Json) -> Json:
    """Return a channel."""
    (channel,) = need(args, "channel")
    return {"channel": _channel_json(slack, slack.seen_by_bot(channel))}


def _matching_channels(slack: Workspace, args: Json) -> list[Channel]:
    kinds = {kind.strip() for kind in str(args.get("types") or "public_channel").split(",")}
    if not kinds <= {"public_channel", "private_channel", "im", "mpim"}:
        raise SlackError("invalid_types")
    channels = []
    for channel in slack.channels.values():
        kind = "im" if channel.is_im else "private_channel" if channel.is_private else "public_channel"
        hidden = channel.is_private and slack.bot_user not in channel.members
        if kind in kinds and not hidden and not (channel.is_archived and truth(args.get("exclude_archived"))):
            channels.append(channel)
    return channels


def listing(slack: Workspace, args: Json) -> Json:
    """Return a page of the channels that the bot may see."""
    items, cursor = page(_matching_channels(slack, args), args)
    return {"channels": [_channel_json(slack, it) for it in items], "response_metadata": {"next_cursor": cursor}}


def of_user(slack: Workspace, args: Json) -> Json:
    """Return a page of the channels that a person is in."""
    user = str(args.get("user") or slack.bot_user)
    items, cursor = page([it for it in _matching_channels(slack, args) if user in it.members], args)
    return {"channels": [_channel_json(slack, it) for it in items], "response_metadata": {"next_cursor": cursor}}


def members(slack: Workspace, args: Json) -> Json:
    """Return a page of a channel's members."""
    (channel,) = need(args, "channel")
    items, cursor = page(sorted(slack.seen_by_bot(channel).members), args)
    return {"members": items, "response_metadata": {"next_cursor": cursor}}


def joined(slack: Workspace, channel_id: str) -> Channel:
    """Return a channel that the bot is in. Raises not_in_channel."""
    channel = slack.seen_by_bot(channel_id)
    if slack.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _between(messages: list[Message], args: Json) -> list[Message]:
    inclusive = truth(args.get("inclusive"))
    try:
        oldest = ts_key(str(args.get("oldest") or "0"))
        latest = ts_key(str(args.get("latest") or "99999999999"))
    except ValueError as exc:
        raise SlackError("invalid_ts_oldest") from exc
    return [
        it
        for it in messages
        if oldest < ts_key(it.ts) < latest or (inclusive and ts_key(it.ts) in (oldest, latest))
    ]  # fmt: skip


def history(slack: Workspace, args: Json) -> Json:
    """Return a page of a channel's messages, newest first, without replies."""
    (channel,) = need(args, "channel")
    every = [it for it in slack.listed(joined(slack, channel).id) if it.is_root and not it.ephemeral_to]
    items, cursor = page(_between(every, args)[::-1], args, most=999)
    metadata = truth(args.get("include_all_metadata"))
    return {
        "messages": [slack.message_json(it, metadata=metadata) for it in items],
        "has_more": bool(cursor),
        "pin_count": 0,
        "response_metadata": {"next_cursor": cursor},
    }


def replies(slack: Workspace, args: Json) -> Json:
    """Return a page of a thread, oldest first."""
    channel, ts = need(args, "channel", "ts")
    parent = slack.message(joined(slack, channel).id, ts)
    if parent is None or parent.ephemeral_to:
        raise SlackError("thread_not_found")
    root = parent.thread_ts or parent.ts
    replies = [it for it in slack.replies(channel, root) if not it.ephemeral_to]
    first = slack.message(channel, root)
    kept = ([first] if first else []) + _between(replies, args)
    items, cursor = page(kept, args, most=1000)
    metadata = truth(args.get("include_all_metadata"))
    return {
        "messages": [slack.message_json(it, metadata=metadata) for it in items],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def open_direct(slack: Workspace, args: Json) -> Json:
    """Return the direct channel with a person; no groups."""
    if args.get("channel"):
        return {"channel": {"id": slack.seen_by_bot(str(args["channel"])).id}}
    (names,) = need(args, "users")
    users = names.split(",")
    if len(users) != 1:
        raise SlackError("not_enough_users")
    slack.user(users[0])
    channel = posting.writable(slack, users[0])
    return {"channel": {"id": channel.id}, "no_op": False, "already_open": True}


def join(slack: Workspace, args: Json) -> Json:
    """Make the bot a member of a public channel."""
    (channel_id,) = need(args, "channel")
    channel = slack.seen_by_bot(channel_id)
    if channel.is_archived:
        raise SlackError("is_archived")
    if channel.is_private:
        raise SlackError("method_not_supported_for_channel_type")
    channel.members.add(slack.bot_user)
    slack.touch()
    return {"channel": _channel_json(slack, channel)}


def leave(slack: Workspace, args: Json) -> Json:
    """Take the bot out of a channel."""
    (channel_id,) = need(args, "channel")
    channel = slack.seen_by_bot(channel_id)
    channel.members.discard(slack.bot_user)
    slack.touch()
    return {}
