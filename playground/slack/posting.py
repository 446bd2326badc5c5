"""What the bot posts: arguments of chat.* calls, response URLs and command answers become messages."""

from playground.slack.block_kit import message_problems
from playground.slack.elements import with_ids
from playground.slack.model import Channel, Json, Message, ResponseUrl, SlackError
from playground.slack.workspace import RESPONSE_URL_SECONDS, RESPONSE_URL_USES, Workspace

LONGEST_TEXT = 40_000
LONGEST_UPDATE = 4_000
LONGEST_MARKDOWN = 12_000
LONGEST_METADATA = 8_000
MOST_ATTACHMENTS = 100


def content(args: Json, *, kept: bool = False) -> Json:
    """Return the checked text, blocks, attachments and metadata of a call. `kept` allows a call without any.

    Raises no_text, invalid_blocks, invalid_attachments, too_many_attachments, msg_too_long and the metadata errors.
    """
    markdown = args.get("markdown_text")
    if markdown is not None and (args.get("text") or args.get("blocks")):
        raise SlackError("markdown_text_conflict")
    if markdown is not None and len(str(markdown)) > LONGEST_MARKDOWN:
        raise SlackError("msg_too_long")
    blocks = args.get("blocks") or []
    attachments = args.get("attachments") or []
    text = str(args.get("text") or markdown or "")
    if not (text.strip() or blocks or attachments or kept):
        raise SlackError("no_text")
    _refuse("invalid_blocks", message_problems(blocks) if blocks else [])
    if not isinstance(attachments, list) or not all(isinstance(it, dict) for it in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    for number, attachment in enumerate(attachments):
        problems = (
            message_problems(attachment["blocks"], f"/attachments/{number}/blocks") if "blocks" in attachment else []
        )
        _refuse("invalid_attachments", problems)
    fields: Json = {
        "text": text[:LONGEST_TEXT],
        "blocks": with_ids({"blocks": blocks})["blocks"],
        "attachments": [with_ids(attachment) for attachment in attachments],
    }
    if markdown is not None:
        fields["blocks"] = [{"type": "markdown", "text": markdown, "block_id": "markdown"}]
    if "metadata" in args:
        fields["metadata"] = _metadata(args["metadata"])
    return fields


def _refuse(code: str, problems: list[str]) -> None:
    if problems:
        raise SlackError(code, errors=problems, response_metadata={"messages": problems})


def _metadata(metadata: object) -> Json | None:
    if metadata in ({}, None, ""):
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    if len(str(metadata)) > LONGEST_METADATA:
        raise SlackError("metadata_too_large")
    return metadata


def writable(workspace: Workspace, channel_id: str) -> Channel:
    """Return where the bot may post: a user's id stands for the direct message. Raises Slack's refusals."""
    if channel_id in workspace.users:
        if workspace.users[channel_id].is_bot:
            raise SlackError("cannot_dm_bot")
        return workspace.dm(channel_id)
    by_name = [it for it in workspace.channels.values() if not it.is_im and it.name == channel_id.removeprefix("#")]
    channel = workspace.seen_by_bot(by_name[0].id if by_name else channel_id)
    if channel.is_archived:
        raise SlackError("is_archived")
    if workspace.bot_user not in channel.members and "chat:write.public" not in workspace.scopes:
        raise SlackError("not_in_channel")
    return channel


def in_thread(workspace: Workspace, channel: Channel, args: Json) -> str:
    """Return the thread a call names, or nothing. A reply cannot have replies."""
    thread = str(args.get("thread_ts") or "")
    if thread:
        parent = workspace.message(channel.id, thread)
        if parent is None or (parent.thread_ts and parent.thread_ts != thread):
            raise SlackError("cannot_reply_to_message")
    return thread


def post(workspace: Workspace, args: Json, *, method: str = "chat.postMessage") -> Message:
    """Post a message of the bot."""
    channel = writable(workspace, str(args.get("channel") or ""))
    fields = content(args)
    return workspace.add(
        Message(
            channel=channel.id,
            ts=workspace.new_ts(),
            user=workspace.bot_user,
            thread_ts=in_thread(workspace, channel, args),
            broadcast=truth(args.get("reply_broadcast")),
            username=str(args.get("username") or ""),
            icon_emoji=str(args.get("icon_emoji") or ""),
            sent=[{"method": method, "args": args}],
            **fields,
        )
    )


def update(workspace: Workspace, args: Json) -> Message:
    """Change a message of the bot: text without blocks removes them, attachments and metadata left out stay."""
    channel = workspace.seen_by_bot(str(args.get("channel") or ""))
    if channel.is_archived:
        raise SlackError("is_inactive")
    message = workspace.message(channel.id, str(args.get("ts") or ""))
    if message is None or message.ephemeral_to:
        raise SlackError("message_not_found")
    if message.user != workspace.bot_user:
        raise SlackError("cant_update_message")
    if len(str(args.get("text") or "")) > LONGEST_UPDATE:
        raise SlackError("msg_too_long")
    change(workspace, message, content(args, kept="attachments" in args), args, "chat.update")
    return message


def change(workspace: Workspace, message: Message, fields: Json, args: Json, method: str) -> None:
    """Put checked content into a message that is already there."""
    message.text = fields["text"]
    message.blocks = fields["blocks"]
    if "attachments" in args:
        message.attachments = fields["attachments"]
    if "metadata" in fields:
        message.metadata = fields["metadata"]
    if not message.blocks:
        message.edited_ts = workspace.new_ts()
    message.sent = [*message.sent, {"method": method, "args": args}][-20:]
    workspace.touch()


def ephemeral(workspace: Workspace, args: Json) -> Message:
    """Post a message that one person sees. The bot and the person must both be in the channel."""
    channel = writable(workspace, str(args.get("channel") or ""))
    if workspace.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    user = str(args.get("user") or "")
    if user not in workspace.users or user not in channel.members:
        raise SlackError("user_not_in_channel")
    fields = content(args)
    fields.pop("metadata", None)
    return workspace.add(
        Message(
            channel=channel.id,
            ts=workspace.new_ts(),
            user=workspace.bot_user,
            thread_ts=in_thread(workspace, channel, args),
            ephemeral_to=user,
            sent=[{"method": "chat.postEphemeral", "args": args}],
            **fields,
        )
    )


def answer(workspace: Workspace, url: ResponseUrl, args: Json, method: str) -> Message | None:
    """Post, replace or delete what an answer to an interaction says. Raises SlackError."""
    source = workspace.message(url.channel, url.message_ts) if url.message_ts else None
    if truth(args.get("delete_original")):
        if source is not None:
            workspace.remove(source)
        return None
    fields = content(args)
    public = args.get("response_type") == "in_channel"
    if truth(args.get("replace_original")) and source is not None:
        change(workspace, source, fields, {"attachments": [], **args}, method)
        return source
    thread = str(args.get("thread_ts") or ("" if public else url.thread_ts))
    return workspace.add(
        Message(
            channel=url.channel,
            ts=workspace.new_ts(),
            user=workspace.bot_user,
            thread_ts="" if thread == url.message_ts and not public else thread,
            ephemeral_to="" if public else url.user,
            sent=[{"method": method, "args": args}],
            **fields,
        )
    )


def spend(workspace: Workspace, key: str) -> ResponseUrl:
    """Count one use of a response URL. Raises SlackError when it is unknown, too old or used up."""
    url = workspace.response_urls.get(key)
    if url is None:
        raise SlackError("invalid_url")
    if workspace.now() - url.issued_at > RESPONSE_URL_SECONDS:
        raise SlackError("expired_url")
    if url.uses >= RESPONSE_URL_USES:
        raise SlackError("used_url")
    url.uses += 1
    return url


def post_due(workspace: Workspace) -> None:
    """Post the scheduled messages whose time has come."""
    for message in [it for it in workspace.scheduled.values() if it.post_at <= workspace.now()]:
        del workspace.scheduled[message.id]
        try:
            post(workspace, message.args, method="chat.scheduleMessage")
        except SlackError:
            # Slack drops a scheduled message whose channel has gone, without telling the app.
            continue


def truth(value: object) -> bool:
    """Return what a flag of a form or of JSON says."""
    return value in (True, 1, "1", "true", "True")
