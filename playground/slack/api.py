"""Slack's Web API over a `Workspace`: one function per method, in the order of the alphabet of their families.

Those over channels are in `conversations`. A method takes the arguments of the call and returns the answer's members beside `ok`, or raises SlackError.
"""

from collections.abc import Callable

from playground.slack import conversations, posting
from playground.slack.arguments import need, page
from playground.slack.block_kit import message_problems, view_problems
from playground.slack.elements import with_ids
from playground.slack.model import Json, Message, Scheduled, SlackError, Upload, User, View
from playground.slack.posting import truth
from playground.slack.workspace import VIEW_STACK, Workspace

Method = Callable[[Workspace, Json], Json]

SCHEDULE_DAYS = 120


# api, apps, auth, blocks


def _api_test(_slack: Workspace, args: Json) -> Json:
    if args.get("error"):
        raise SlackError(str(args["error"]))
    return {"args": args}


def _auth_test(slack: Workspace, _args: Json) -> Json:
    return {
        "url": f"https://{slack.domain}.slack.com/", "team": slack.team_name, "user": slack.users[slack.bot_user].name,
        "team_id": slack.team_id, "user_id": slack.bot_user, "bot_id": slack.bot_id, "is_enterprise_install": False,
    }  # fmt: skip


def _auth_revoke(slack: Workspace, args: Json) -> Json:
    if not truth(args.get("test")):
        slack.installed = False
        slack.touch()
    return {"revoked": not slack.installed}


def _blocks_validate(_slack: Workspace, args: Json) -> Json:
    names = [name for name in ("blocks", "view", "message") if args.get(name)]
    if len(names) != 1:
        raise SlackError("invalid_arguments")
    what = args[names[0]]
    match names[0]:
        case "blocks":
            problems = message_problems(what)
        case "view":
            problems = view_problems(what)
        case _:
            problems = message_problems(what.get("blocks", []) if isinstance(what, dict) else what)
    if problems:
        errors = [
            {"code": "invalid_block", "message": it.split(" [json")[0], "pointer": it[:-1].split(":")[-1]}
            for it in problems
        ]
        raise SlackError("invalid_blocks", errors=errors)
    return {}


# chat


def _posted(slack: Workspace, message: Message) -> Json:
    shown = slack.message_json(message, metadata=True)
    return {"channel": message.channel, "ts": message.ts, "message": shown}


def _chat_post_message(slack: Workspace, args: Json) -> Json:
    need(args, "channel")
    return _posted(slack, posting.post(slack, args))


def _chat_update(slack: Workspace, args: Json) -> Json:
    need(args, "channel", "ts")
    message = posting.update(slack, args)
    return {**_posted(slack, message), "text": message.text}


def _chat_delete(slack: Workspace, args: Json) -> Json:
    channel, ts = need(args, "channel", "ts")
    message = slack.message(slack.seen_by_bot(channel).id, ts)
    if message is None or message.ephemeral_to:
        raise SlackError("message_not_found")
    if message.user != slack.bot_user:
        raise SlackError("cant_delete_message")
    slack.remove(message)
    return {"channel": channel, "ts": ts}


def _chat_post_ephemeral(slack: Workspace, args: Json) -> Json:
    need(args, "channel", "user")
    return {"message_ts": posting.ephemeral(slack, args).ts}


def _chat_get_permalink(slack: Workspace, args: Json) -> Json:
    channel, ts = need(args, "channel", "message_ts")
    message = slack.message(slack.seen_by_bot(channel).id, ts)
    if message is None or message.ephemeral_to:
        raise SlackError("message_not_found")
    link = f"{slack.base_url}/archives/{channel}/p{ts.replace('.', '')}"
    if message.thread_ts and message.thread_ts != message.ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel}"
    return {"channel": channel, "permalink": link}


def _chat_schedule(slack: Workspace, args: Json) -> Json:
    need(args, "channel", "post_at")
    channel = posting.writable(slack, str(args["channel"]))
    posting.content(args)
    try:
        post_at = int(args["post_at"])
    except ValueError as exc:
        raise SlackError("invalid_time") from exc
    if post_at <= slack.now():
        raise SlackError("time_in_past")
    if post_at > slack.now() + SCHEDULE_DAYS * 86400:
        raise SlackError("time_too_far")
    it = Scheduled(id=slack.new_id("Q"), channel=channel.id, post_at=post_at, args={**args, "channel": channel.id})
    slack.scheduled[it.id] = it
    return {"channel": channel.id, "scheduled_message_id": it.id, "post_at": post_at}


def _chat_scheduled_list(slack: Workspace, args: Json) -> Json:
    wanted = [it for it in slack.scheduled.values() if args.get("channel") in (None, "", it.channel)]
    items, cursor = page(sorted(wanted, key=lambda it: it.post_at), args)
    shown = [
        {"id": it.id, "channel_id": it.channel, "post_at": it.post_at, "text": it.args.get("text", "")} for it in items
    ]
    return {"scheduled_messages": shown, "response_metadata": {"next_cursor": cursor}}


def _chat_delete_scheduled(slack: Workspace, args: Json) -> Json:
    channel, key = need(args, "channel", "scheduled_message_id")
    if key not in slack.scheduled or slack.scheduled[key].channel != channel:
        raise SlackError("invalid_scheduled_message_id")
    del slack.scheduled[key]
    return {}


def _chat_unfurl(slack: Workspace, args: Json) -> Json:
    unfurls = args.get("unfurls")
    if not isinstance(unfurls, dict) or not unfurls:
        raise SlackError("missing_unfurls")
    message = None
    if args.get("unfurl_id"):
        every = (it for messages in slack.messages.values() for it in messages.values())
        message = next((it for it in every if str(args["unfurl_id"]) in it.unfurl_ids), None)
    else:
        channel, ts = need(args, "channel", "ts")
        message = slack.message(channel, ts)
    if message is None:
        raise SlackError("cannot_unfurl_message")
    shared = {url for urls in message.unfurl_ids.values() for url in urls}
    for url, unfurl in unfurls.items():
        if url not in shared or not isinstance(unfurl, dict):
            raise SlackError("cannot_unfurl_url")
        if "blocks" in unfurl and (problems := message_problems(unfurl["blocks"], "/blocks")):
            raise SlackError("invalid_blocks", errors=problems, response_metadata={"messages": problems})
    message.unfurls |= {url: with_ids(unfurl) for url, unfurl in unfurls.items()}
    message.sent = [*message.sent, {"method": "chat.unfurl", "args": args}]
    slack.touch()
    return {}


# files


def _files_get_upload_url(slack: Workspace, args: Json) -> Json:
    name, length = need(args, "filename", "length")
    if not length.isdigit() or length == "0":
        raise SlackError("invalid_arguments")
    upload = Upload(id=slack.new_id("F"), name=name, length=int(length), title=name)
    slack.uploads[upload.id] = upload
    return {"upload_url": f"{slack.base_url}/upload/{upload.id}", "file_id": upload.id}


def _files_complete_upload(slack: Workspace, args: Json) -> Json:
    files = args.get("files")
    if not isinstance(files, list) or not files:
        raise SlackError("invalid_arguments")
    uploads: list[Upload] = []
    for entry in files:
        upload = slack.uploads.get(str(entry.get("id"))) if isinstance(entry, dict) else None
        if upload is None or upload.content is None:
            raise SlackError("file_not_found")
        upload.title = str(entry.get("title") or upload.name)
        uploads.append(upload)
    shown = [_file_json(slack, upload) for upload in uploads]
    given_channels = str(args.get("channel_id") or args.get("channels") or "")
    for channel_id in filter(None, given_channels.split(",")):
        channel = posting.writable(slack, channel_id)
        if slack.bot_user not in channel.members:
            raise SlackError("not_in_channel")
        comment = {"text": args.get("initial_comment", ""), "blocks": args.get("blocks")}
        fields = posting.content(comment, kept=True)
        slack.add(
            Message(
                channel=channel.id,
                ts=slack.new_ts(),
                user=slack.bot_user,
                files=shown,
                thread_ts=posting.in_thread(slack, channel, args),
                sent=[{"method": "files.completeUploadExternal", "args": args}],
                **fields,
            )
        )
        for upload in uploads:
            upload.channels.append(channel.id)
    return {"files": shown}


def _file_json(slack: Workspace, upload: Upload) -> Json:
    preview = (upload.content or b"")[:6000].decode("utf-8", "replace")
    link = f"{slack.base_url}/files/{upload.id}/{upload.name}"
    return {
        "id": upload.id, "name": upload.name, "title": upload.title, "size": upload.length, "mode": "hosted",
        "filetype": upload.name.rsplit(".", 1)[-1], "user": slack.bot_user, "url_private": link, "permalink": link,
        "preview": preview,
    }  # fmt: skip


def _files_info(slack: Workspace, args: Json) -> Json:
    (key,) = need(args, "file")
    if key not in slack.uploads:
        raise SlackError("file_not_found")
    return {"file": {**_file_json(slack, slack.uploads[key]), "channels": slack.uploads[key].channels}}


# reactions, team, usergroups, users


def _reacted(slack: Workspace, args: Json) -> tuple[Message, str]:
    channel, ts, name = need(args, "channel", "timestamp", "name")
    message = slack.message(conversations.joined(slack, channel).id, ts)
    if message is None:
        raise SlackError("message_not_found")
    return message, name.strip(":")


def _reactions_add(slack: Workspace, args: Json) -> Json:
    message, name = _reacted(slack, args)
    users = message.reactions.setdefault(name, [])
    if slack.bot_user in users:
        raise SlackError("already_reacted")
    users.append(slack.bot_user)
    slack.touch()
    return {}


def _reactions_remove(slack: Workspace, args: Json) -> Json:
    message, name = _reacted(slack, args)
    users = message.reactions.get(name, [])
    if slack.bot_user not in users:
        raise SlackError("no_reaction")
    users.remove(slack.bot_user)
    if not users:
        del message.reactions[name]
    slack.touch()
    return {}


def _team_info(slack: Workspace, _args: Json) -> Json:
    return {"team": {"id": slack.team_id, "name": slack.team_name, "domain": slack.domain}}


def _usergroups_list(slack: Workspace, args: Json) -> Json:
    with_users = truth(args.get("include_users"))
    return {
        "usergroups": [
            {"id": key, "team_id": slack.team_id, "handle": it["handle"], "name": it["name"], "is_usergroup": True}
            | ({"users": it["users"]} if with_users else {})
            for key, it in slack.usergroups.items()
        ]
    }


def _usergroups_users(slack: Workspace, args: Json) -> Json:
    (key,) = need(args, "usergroup")
    if key not in slack.usergroups:
        raise SlackError("no_such_subteam")
    return {"users": slack.usergroups[key]["users"]}


def user_json(slack: Workspace, user: User) -> Json:
    """Return a user as users.info shows one."""
    profile = {
        "real_name": user.real_name, "display_name": user.name, "real_name_normalized": user.real_name,
        "display_name_normalized": user.name, "team": slack.team_id,
    }  # fmt: skip
    if user.email and "users:read.email" in slack.scopes:
        profile["email"] = user.email
    return {
        "id": user.id, "team_id": slack.team_id, "name": user.name, "deleted": user.deleted, "real_name": user.real_name,
        "color": user.color.lstrip("#"), "tz": user.tz, "tz_label": user.tz_label, "tz_offset": user.tz_offset,
        "profile": profile, "is_admin": user.is_admin, "is_owner": user.is_owner, "is_primary_owner": user.is_owner,
        "is_restricted": False, "is_ultra_restricted": False, "is_bot": user.is_bot, "is_app_user": False, "updated": 0,
    }  # fmt: skip


def _users_info(slack: Workspace, args: Json) -> Json:
    (key,) = need(args, "user")
    return {"user": user_json(slack, slack.user(key))}


def _users_list(slack: Workspace, args: Json) -> Json:
    items, cursor = page(list(slack.users.values()), args)
    return {"members": [user_json(slack, it) for it in items], "response_metadata": {"next_cursor": cursor}}


def _users_lookup(slack: Workspace, args: Json) -> Json:
    (email,) = need(args, "email")
    user = next((it for it in slack.users.values() if it.email and it.email == email.lower()), None)
    if user is None:
        raise SlackError("users_not_found")
    return {"user": user_json(slack, user)}


# views


def _spec(args: Json, kind: str) -> Json:
    view = args.get("view")
    problems = view_problems(view)
    if not isinstance(view, dict) or problems or view["type"] != kind:
        messages = problems or [f"[ERROR] must be a {kind} view [json-pointer:/view/type]"]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    return view


def _unique(slack: Workspace, spec: Json, but: View | None = None) -> None:
    key = spec.get("external_id")
    if key and any(it.spec.get("external_id") == key for it in slack.open_views() if it is not but):
        raise SlackError("duplicate_external_id")


def _views_open(slack: Workspace, args: Json) -> Json:
    (trigger,) = need(args, "trigger_id")
    spec = _spec(args, "modal")
    _unique(slack, spec)
    view = slack.new_view(slack.use_trigger(trigger), spec)
    slack.views[view.user] = [view]
    slack.touch()
    return {"view": slack.view_json(view)}


def _views_push(slack: Workspace, args: Json) -> Json:
    (trigger,) = need(args, "trigger_id")
    spec = _spec(args, "modal")
    _unique(slack, spec)
    user = slack.use_trigger(trigger)
    stack = slack.views.setdefault(user, [])
    if not stack:
        raise SlackError("no_active_view")
    if len(stack) >= VIEW_STACK:
        raise SlackError("push_limit_reached")
    stack.append(slack.new_view(user, spec, stack[-1]))
    slack.touch()
    return {"view": slack.view_json(stack[-1])}


def _views_update(slack: Workspace, args: Json) -> Json:
    if not args.get("view_id") and not args.get("external_id"):
        need(args, "view_id")
    spec = _spec(args, "modal")
    key, external = args.get("view_id"), args.get("external_id")
    view = next(
        (
            it
            for it in slack.open_views()
            if (key and it.id == key) or (external and it.spec.get("external_id") == external)
        ),
        None,
    )
    if view is None:
        raise SlackError("not_found")
    _unique(slack, spec, view)
    if args.get("hash") not in (None, "", view.hash):
        raise SlackError("hash_conflict")
    slack.refill(view, spec)
    return {"view": slack.view_json(view)}


def _views_publish(slack: Workspace, args: Json) -> Json:
    (user,) = need(args, "user_id")
    slack.user(user)
    spec = _spec(args, "home")
    home = slack.homes.get(user)
    if home is None:
        home = slack.homes[user] = slack.new_view(user, spec)
        slack.touch()
    elif args.get("hash") not in (None, "", home.hash):
        raise SlackError("hash_conflict")
    else:
        slack.refill(home, spec)
    return {"view": slack.view_json(home)}


# What each method is, and the scopes of which the token needs one
METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "api.test": (_api_test, ()),
    "auth.revoke": (_auth_revoke, ()),
    "auth.test": (_auth_test, ()),
    "blocks.validate": (_blocks_validate, ()),
    "chat.delete": (_chat_delete, ("chat:write",)),
    "chat.deleteScheduledMessage": (_chat_delete_scheduled, ("chat:write",)),
    "chat.getPermalink": (_chat_get_permalink, ()),
    "chat.postEphemeral": (_chat_post_ephemeral, ("chat:write",)),
    "chat.postMessage": (_chat_post_message, ("chat:write",)),
    "chat.scheduleMessage": (_chat_schedule, ("chat:write",)),
    "chat.scheduledMessages.list": (_chat_scheduled_list, ()),
    "chat.unfurl": (_chat_unfurl, ("links:write",)),
    "chat.update": (_chat_update, ("chat:write",)),
    "conversations.history": (
        conversations.history,
        ("channels:history", "groups:history", "im:history"),
    ),
    "conversations.info": (conversations.info, ("channels:read", "groups:read", "im:read")),
    "conversations.join": (conversations.join, ("channels:join",)),
    "conversations.leave": (conversations.leave, ("channels:join", "channels:manage", "groups:write")),
    "conversations.list": (conversations.listing, ("channels:read", "groups:read", "im:read")),
    "conversations.members": (conversations.members, ("channels:read", "groups:read", "im:read")),
    "conversations.open": (conversations.open_direct, ("im:write",)),
    "conversations.replies": (
        conversations.replies,
        ("channels:history", "groups:history", "im:history"),
    ),
    "files.completeUploadExternal": (_files_complete_upload, ("files:write",)),
    "files.getUploadURLExternal": (_files_get_upload_url, ("files:write",)),
    "files.info": (_files_info, ("files:read",)),
    "reactions.add": (_reactions_add, ("reactions:write",)),
    "reactions.remove": (_reactions_remove, ("reactions:write",)),
    "team.info": (_team_info, ()),
    "usergroups.list": (_usergroups_list, ("usergroups:read",)),
    "usergroups.users.list": (_usergroups_users, ("usergroups:read",)),
    "users.conversations": (conversations.of_user, ("channels:read", "groups:read", "im:read")),
    "users.info": (_users_info, ("users:read",)),
    "users.list": (_users_list, ("users:read",)),
    "users.lookupByEmail": (_users_lookup, ("users:read.email",)),
    "views.open": (_views_open, ()),
    "views.publish": (_views_publish, ()),
    "views.push": (_views_push, ()),
    "views.update": (_views_update, ()),
}


def call(slack: Workspace, method: str, args: Json) -> Json:
    """Return the answer of one Web API method. Raises SlackError."""
    if method not in METHODS:
        raise SlackError("unknown_method", req_method=method)
    run, needed = METHODS[method]
    if needed and not slack.scopes.intersection(needed):
        raise SlackError("missing_scope", needed=needed[0], provided=",".join(sorted(slack.scopes)))
    return run(slack, args)
