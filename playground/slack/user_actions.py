"""What users do in the local Slack: type, click, choose, submit, open, react, invite or remove the bot.

Each act becomes the payload Slack sends for it, goes to the bot, and what the bot answers is applied to the workspace. An act returns `{"ok": true, ...}` or the error that Slack shows when the bot did not answer.
"""

import secrets
from collections.abc import Iterator
from typing import Any

from playground.slack import posting
from playground.slack.block_kit import option_problems, view_problems
from playground.slack.delivery import Answer, Delivery
from playground.slack.elements import CHOICE_OF, elements, find_element, form_values
from playground.slack.model import Channel, Json, Message, ResponseUrl, SlackError, User, View
from playground.slack.workspace import VIEW_STACK, Workspace


class UserActions:
    """What the users of the page can do. `user` is always the id of the one who acts."""

    def __init__(self, workspace: Workspace, delivery: Delivery) -> None:
        self._slack = workspace
        self._bot = delivery

    # Typing

    async def command(
        self, *, user: str, channel: str, text: str, command: str = "/build", thread_ts: str = ""
    ) -> Json:
        """Type a slash command; `text` is what follows it, with @names and #names as typed."""
        slack = self._slack
        who, conversation = slack.user(user), self._in(user, channel)
        if thread_ts:
            return {"ok": False, "error": f"{command} is not supported in threads. Sorry!"}
        definition = next((it for it in slack.commands if it["command"] == command), None)
        if definition is None:
            return {"ok": False, "error": f"{command} is not a valid command."}
        response_url = slack.new_response_url("commands", conversation.id, user)
        answer = await self._bot.command(
            {
                "token": "playground",
                "team_id": slack.team_id,
                "team_domain": slack.domain,
                "channel_id": conversation.id,
                "channel_name": "privategroup"
                if conversation.is_private and not conversation.is_im
                else conversation.name,
                "user_id": who.id,
                "user_name": who.name,
                "command": command,
                "text": slack.typed(text) if definition.get("should_escape") else text,
                "api_app_id": slack.app_id,
                "is_enterprise_install": "false",
                "response_url": response_url,
                "trigger_id": slack.new_trigger(user),
            }
        )
        if answer.error:
            return self._failed(conversation, user, f"{command} failed with the error “{answer.error}”", answer.error)
        if not answer.body:
            return {"ok": True}
        if answer.body.get("response_type") == "in_channel":
            self._post_as_user(who, conversation, f"{command} {text}".strip())
        url = ResponseUrl(channel=conversation.id, user=user, issued_at=slack.now())
        try:
            posting.answer(slack, url, answer.body, "answer to the command")
        except SlackError as exc:
            error = f"{command} failed with the error “invalid_command_response” ({exc.code})"
            return self._failed(conversation, user, error, "invalid_command_response", detail=exc.more)
        return {"ok": True, "answer": answer.body}

    async def message(self, *, user: str, channel: str, text: str, thread_ts: str = "") -> Json:
        """Write a message. The bot gets events of mentions, direct messages and links it may unfurl."""
        slack = self._slack
        conversation = self._in(user, channel)
        message = self._post_as_user(slack.user(user), conversation, text, thread_ts)
        event: Json = {
            "client_msg_id": secrets.token_hex(16), "user": user, "ts": message.ts, "text": message.text,
            "team": slack.team_id, "blocks": message.blocks, "channel": conversation.id, "event_ts": message.ts,
        }  # fmt: skip
        if thread_ts:
            event["thread_ts"] = thread_ts
        answers: list[Answer] = []
        if conversation.is_im:
            answers += await self._send_event("message.im", {"type": "message", "channel_type": "im", **event})
        elif slack.bot_user in conversation.members:
            kind = "group" if conversation.is_private else "channel"
            if f"<@{slack.bot_user}" in message.text:
                answers += await self._send_event("app_mention", {"type": "app_mention", **event})
            answers += await self._send_event(f"message.{kind}s", {"type": "message", "channel_type": kind, **event})
        if links := slack.shared_links(text):
            unfurl_id = f"{conversation.id}.{message.ts}.{secrets.token_hex(16)}"
            message.unfurl_ids[unfurl_id] = [link["url"] for link in links]
            shared: Json = {
                "type": "link_shared", "channel": conversation.id, "user": user, "message_ts": message.ts, "links": links,
                "is_bot_user_member": slack.bot_user in conversation.members, "unfurl_id": unfurl_id,
                "source": "conversations_history", "user_locale": "en-US",
            }  # fmt: skip
            if thread_ts:
                shared["thread_ts"] = thread_ts
            answers += await self._send_event("link_shared", shared)
        error = next((answer.error for answer in answers if answer.error), "")
        return {"ok": True, "ts": message.ts} | ({"error": error} if error else {})

    # Clicking

    async def action(
        self, *, user: str, action_id: str, channel: str = "", ts: str = "", view_id: str = "", block_id: str = "",
        choice: Any = None, state: Json | None = None, text: str = "",
    ) -> Json:  # fmt: skip
        """Press a button or make a choice in a message (`channel`, `ts`), a modal or the App Home (`view_id`).

        `choice` is the option object, id, list of them, or text that was chosen. `text` finds a button by its label
        when several share an action id.
        """
        slack = self._slack
        who = slack.user(user)
        message, view = self._target(user, channel, ts, view_id)
        blocks = _blocks_of(message) if message else view.spec.get("blocks", []) if view else []
        block, element = find_element(blocks, action_id, block_id, text)
        values = form_values(blocks, {**(view.values if view else {}), **(state or {})})
        act: Json = {"action_id": element["action_id"], "block_id": block["block_id"], "type": element["type"]}
        if element["type"] in ("button", "icon_button"):
            act |= {member: element[member] for member in ("text", "value", "style", "url") if member in element}
        else:
            member = CHOICE_OF[element["type"]]
            act[member] = choice
            act |= {"placeholder": element["placeholder"]} if "placeholder" in element else {}
            if element["type"] != "overflow":
                values[block["block_id"]][element["action_id"]] = {"type": element["type"], member: choice}
        act["action_ts"] = slack.new_ts()
        payload: Json = {
            "type": "block_actions",
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": slack.team_id},
            "api_app_id": slack.app_id,
            "token": "playground",
            "container": self._container(message, view),
            "trigger_id": slack.new_trigger(user),
            "team": {"id": slack.team_id, "domain": slack.domain},
            "enterprise": None,
            "is_enterprise_install": False,
            "state": {"values": values},
            "actions": [act],
        }
        if message:
            payload["channel"] = self._channel_json(message.channel)
            if not message.ephemeral_to:
                payload["message"] = slack.message_json(message)
            payload["response_url"] = slack.new_response_url("actions", message.channel, user, message)
        if view:
            view.values = values
            payload["view"] = slack.view_json(view)
        answer = await self._bot.interaction(payload)
        return {"ok": not answer.error, "error": answer.error} if answer.error else {"ok": True}

    async def options(
        self, *, user: str, action_id: str, value: str = "", channel: str = "", ts: str = "", view_id: str = "",
        block_id: str = "", state: Json | None = None,
    ) -> Json:  # fmt: skip
        """Type into an external select and return the `options` or `option_groups` the bot offers."""
        slack = self._slack
        who = slack.user(user)
        message, view = self._target(user, channel, ts, view_id)
        blocks = _blocks_of(message) if message else view.spec.get("blocks", []) if view else []
        block, element = find_element(blocks, action_id, block_id, "")
        payload: Json = {
            "type": "block_suggestion",
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": slack.team_id},
            "container": self._container(message, view),
            "api_app_id": slack.app_id,
            "token": "playground",
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "value": value,
            "team": {"id": slack.team_id, "domain": slack.domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }
        if message:
            payload |= {"channel": self._channel_json(message.channel), "message": slack.message_json(message)}
        if view:
            view.values = form_values(blocks, {**view.values, **(state or {})})
            payload["view"] = slack.view_json(view)
        answer = await self._bot.interaction(payload)
        if answer.error:
            return {"ok": False, "error": answer.error}
        if problems := option_problems(answer.body):
            return {"ok": False, "error": "invalid_options", "problems": problems}
        return {"ok": True} | {key: answer.body[key] for key in ("options", "option_groups") if key in answer.body}

    async def shortcut(self, *, user: str, callback_id: str, channel: str = "", ts: str = "") -> Json:
        """Use a shortcut: a global one, or on the message `ts` of `channel`."""
        slack = self._slack
        who = slack.user(user)
        payload: Json = {
            "type": "message_action" if ts else "shortcut",
            "token": "playground",
            "action_ts": slack.new_ts(),
            "team": {"id": slack.team_id, "domain": slack.domain},
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": slack.team_id},
            "is_enterprise_install": False,
            "enterprise": None,
            "callback_id": callback_id,
            "trigger_id": slack.new_trigger(user),
        }
        if ts:
            message, _ = self._target(user, channel, ts, "")
            if message is None:
                raise SlackError("message_not_found")
            payload |= {
                "channel": self._channel_json(message.channel),
                "message_ts": message.ts,
                "message": slack.message_json(message),
                "response_url": slack.new_response_url("app", message.channel, user, message),
            }
        answer = await self._bot.interaction(payload)
        return {"ok": not answer.error, "error": answer.error} if answer.error else {"ok": True}

    # Modals

    async def submit(self, *, user: str, view_id: str, state: Json | None = None) -> Json:
        """Submit a modal. Returns `errors` by block id when the bot refuses a field."""
        slack = self._slack
        who = slack.user(user)
        _, view = self._target(user, "", "", view_id)
        if view is None or view.spec["type"] != "modal":
            raise SlackError("view_not_found")
        blocks = view.spec.get("blocks", [])
        view.values = form_values(blocks, {**view.values, **(state or {})})
        missing = {
            block["block_id"]: "Please complete this required field."
            for block, element in elements(blocks)
            if block["type"] == "input" and not block.get("optional")
            if not view.values.get(block["block_id"], {})
            .get(element["action_id"], {})
            .get(CHOICE_OF.get(element["type"], ""))
        }
        if missing:
            return {"ok": False, "errors": missing}
        answer = await self._bot.interaction(
            {
                "type": "view_submission",
                "team": {"id": slack.team_id, "domain": slack.domain},
                "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": slack.team_id},
                "api_app_id": slack.app_id,
                "token": "playground",
                "trigger_id": slack.new_trigger(user),
                "view": slack.view_json(view),
                "response_urls": list(self._response_urls(user, view)),
                "is_enterprise_install": False,
                "enterprise": None,
            }
        )
        if answer.error:
            return {"ok": False, "error": answer.error}
        return self._after_submit(view, answer.body)

    def _after_submit(self, view: View, body: Json) -> Json:
        stack = self._slack.views.get(view.user, [])
        match body.get("response_action"):
            case None:
                if view in stack:
                    stack.remove(view)
            case "clear":
                stack.clear()
            case "errors":
                errors = body.get("errors")
                known = {block.get("block_id") for block in view.spec.get("blocks", []) if block["type"] == "input"}
                if not isinstance(errors, dict) or not errors or not set(errors) <= known:
                    return {
                        "ok": False,
                        "error": "invalid_errors",
                        "problems": ["errors must name input blocks of the view"],
                    }
                return {"ok": False, "errors": errors}
            case "update" | "push" as how:
                if problems := view_problems(body.get("view")):
                    return {"ok": False, "error": "invalid_view", "problems": problems}
                if how == "update":
                    self._slack.refill(view, body["view"])
                elif len(stack) >= VIEW_STACK:
                    return {"ok": False, "error": "push_limit_reached"}
                else:
                    stack.append(self._slack.new_view(view.user, body["view"], view))
            case _:
                return {"ok": False, "error": "invalid_response_action"}
        self._slack.touch()
        return {"ok": True}

    async def close(self, *, user: str, view_id: str, clear: bool = False) -> Json:
        """Close a modal by its cross or its close button; `clear` closes the whole stack."""
        slack = self._slack
        who = slack.user(user)
        _, view = self._target(user, "", "", view_id)
        stack = slack.views.get(user, [])
        if view is None or view not in stack:
            raise SlackError("view_not_found")
        if clear or view.spec.get("clear_on_close"):
            stack.clear()
        else:
            stack.remove(view)
        slack.touch()
        if not view.spec.get("notify_on_close"):
            return {"ok": True}
        answer = await self._bot.interaction(
            {
                "type": "view_closed",
                "team": {"id": slack.team_id, "domain": slack.domain},
                "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": slack.team_id},
                "api_app_id": slack.app_id,
                "token": "playground",
                "view": slack.view_json(view),
                "is_cleared": clear,
                "is_enterprise_install": False,
                "enterprise": None,
            }
        )
        return {"ok": True, "error": answer.error} if answer.error else {"ok": True}

    # Around messages

    async def home(self, *, user: str, tab: str = "home") -> Json:
        """Open the App Home, or its messages tab."""
        slack = self._slack
        slack.user(user)
        event: Json = {"type": "app_home_opened", "user": user, "channel": slack.dm(user).id, "tab": tab}
        if tab == "home" and user in slack.homes:
            event["view"] = slack.view_json(slack.homes[user])
        answers = await self._send_event("app_home_opened", event)
        error = next((answer.error for answer in answers if answer.error), "")
        return {"ok": not error} | ({"error": error} if error else {})

    async def reaction(self, *, user: str, channel: str, ts: str, name: str) -> Json:
        """Add a reaction, or take it back when it is there."""
        message, _ = self._target(user, channel, ts, "")
        if message is None:
            raise SlackError("message_not_found")
        users = message.reactions.setdefault(name, [])
        added = user not in users
        if added:
            users.append(user)
        else:
            users.remove(user)
            if not users:
                del message.reactions[name]
        self._slack.touch()
        kind = "reaction_added" if added else "reaction_removed"
        if self._slack.bot_user in self._slack.channel(channel).members:
            await self._send_event(
                kind,
                {
                    "type": kind,
                    "user": user,
                    "reaction": name,
                    "item_user": message.user,
                    "item": {"type": "message", "channel": channel, "ts": ts},
                },
            )
        return {"ok": True, "added": added}

    async def channel(self, *, user: str, channel: str, change: str, name: str = "") -> Json:
        """Rename, archive, unarchive or delete a channel, or invite or remove the bot."""
        slack = self._slack
        conversation = self._in(user, channel)
        kind = "group" if conversation.is_private else "channel"
        member: Json = {
            "user": slack.bot_user, "channel": conversation.id, "channel_type": "G" if conversation.is_private else "C",
            "team": slack.team_id,
        }  # fmt: skip
        is_notified = slack.bot_user in conversation.members
        match change:
            case "rename":
                conversation.name = name.strip().lower().replace(" ", "-")[:80] or conversation.name
                renamed = {
                    "id": conversation.id, "is_channel": not conversation.is_private, "is_mpim": False, "name": conversation.name,
                    "name_normalized": conversation.name, "created": conversation.created,
                }  # fmt: skip
                event: Json = {"type": f"{kind}_rename", "channel": renamed}
            case "archive" | "unarchive":
                conversation.is_archived = change == "archive"
                event = {"type": f"{kind}_{change}", "channel": conversation.id, "user": user, "is_moved": 0}
            case "delete":
                del slack.channels[conversation.id]
                event = {"type": f"{kind}_deleted", "channel": conversation.id, "actor_id": user}
            case "invite":
                conversation.members.add(slack.bot_user)
                is_notified = True
                event = {"type": "member_joined_channel", "inviter": user, **member}
            case "remove":
                conversation.members.discard(slack.bot_user)
                event = {"type": "member_left_channel", **member}
            case _:
                raise SlackError("unknown_change")
        slack.touch()
        # Slack sends events of public channels without membership, of private ones to members only.
        if is_notified or not conversation.is_private:
            await self._send_event(event["type"], event)
        return {"ok": True}

    async def uninstall(self) -> Json:
        """Remove the app: its token ends, and the bot gets the events of that."""
        self._slack.installed = False
        tokens: Json = {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [self._slack.bot_user]}}
        await self._send_event("tokens_revoked", tokens)
        await self._send_event("app_uninstalled", {"type": "app_uninstalled"})
        self._slack.touch()
        return {"ok": True}

    # Shared

    def _in(self, user: str, channel: str) -> Channel:
        conversation = self._slack.channel(channel)
        if user not in conversation.members:
            raise SlackError("not_in_channel")
        return conversation

    def _post_as_user(self, who: User, conversation: Channel, text: str, thread_ts: str = "") -> Message:
        if conversation.is_archived:
            raise SlackError("is_archived")
        blocks: list[Json] = [
            {
                "type": "rich_text",
                "block_id": secrets.token_urlsafe(3),
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}],
            }
        ]
        message = Message(
            channel=conversation.id, ts=self._slack.new_ts(), user=who.id, text=self._slack.typed(text), blocks=blocks,
            thread_ts=thread_ts,
        )  # fmt: skip
        return self._slack.add(message)

    def _failed(self, conversation: Channel, user: str, text: str, error: str, detail: Json | None = None) -> Json:
        self._slack.add(
            Message(
                channel=conversation.id,
                ts=self._slack.new_ts(),
                user="USLACKBOT",
                text=text,
                ephemeral_to=user,
                sent=[{"method": "what went wrong", "args": detail or {"error": error}}],
            )
        )
        return {"ok": False, "error": error}

    def _target(self, user: str, channel: str, ts: str, view_id: str) -> tuple[Message | None, View | None]:
        slack = self._slack
        if view_id:
            candidates = [*slack.views.get(user, []), *([slack.homes[user]] if user in slack.homes else [])]
            view = next((it for it in candidates if it.id == view_id), None)
            if view is None:
                raise SlackError("view_not_found")
            return None, view
        message = slack.message(channel, ts)
        if message is None or user not in slack.channel(channel).members:
            raise SlackError("message_not_found")
        if message.ephemeral_to not in ("", user):
            raise SlackError("message_not_found")
        return message, None

    def _container(self, message: Message | None, view: View | None) -> Json:
        if view:
            return {"type": "view", "view_id": view.id}
        if message is None:
            return {}
        container: Json = {
            "type": "message", "message_ts": message.ts, "channel_id": message.channel,
            "is_ephemeral": bool(message.ephemeral_to),
        }  # fmt: skip
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        return container

    def _channel_json(self, channel_id: str) -> Json:
        channel = self._slack.channel(channel_id)
        return {"id": channel.id, "name": "privategroup" if channel.is_private and not channel.is_im else channel.name}

    def _response_urls(self, user: str, view: View) -> Iterator[Json]:
        for block, element in elements(view.spec.get("blocks", [])):
            if not element.get("response_url_enabled"):
                continue
            chosen = view.values[block["block_id"]][element["action_id"]].get(CHOICE_OF[element["type"]])
            if chosen:
                url = self._slack.new_response_url("app", chosen, user)
                yield {
                    "block_id": block["block_id"], "action_id": element["action_id"], "channel_id": chosen,
                    "response_url": url,
                }  # fmt: skip

    async def _send_event(self, name: str, event: Json) -> list[Answer]:
        """Send an event if the app has subscribed to it."""
        return [await self._bot.event(event)] if name in self._slack.events else []


def _blocks_of(message: Message) -> list[Json]:
    """Return all blocks of a message: its own, its attachments' and its previews'."""
    inner = [*message.attachments, *message.unfurls.values()]
    return [*message.blocks, *(block for holder in inner for block in holder.get("blocks", []))]
