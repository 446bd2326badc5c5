"""Show answers where the person is: a modal, the thread, the response_url, a message, a file."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.blocks.message import Message, View, section
from bot.blocks.plain import plainly
from bot.blocks.text import escape, mention
from bot.core.errors import BotError
from bot.slack.inbox import begin_answer
from bot.slack.sender import GONE, Sender, SlackError, SlackPassing
from commands.core import executor
from commands.core.context import Answer, Context, File, Opening, Services, Source
from commands.core.executor import Handled
from commands.core.forms import CHANNEL, packed
from commands.setup.me import settings_of

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 4.0
MODAL_SECONDS = 1.5
"""How long an answer may take before a modal opens empty: a trigger lives three seconds."""
MOST_MODAL_BLOCKS = 99
UNKNOWN_BLOCKS = frozenset({"invalid_blocks", "invalid_attachments", "invalid_blocks_format"})
NO_CHARTS_SECONDS = 7 * 86_400.0
"""How long a workspace that refused charts is not sent any: Slack hands new blocks out workspace by workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Where a message stands."""

    channel: str
    ts: str


class Delivery:
    """Delivers what commands answer."""

    def __init__(self, services: Services, sender: Sender) -> None:
        self._services = services
        self._sender = sender

    async def answer(self, text: str, context: Context, *, from_ephemeral: bool = False) -> None:
        """Run a command and deliver its answer. Raises SlackPassing where Slack may take it later, no other refusal."""
        work = asyncio.ensure_future(executor.execute(text, context))
        waiting = await self._say_that_it_takes_time(text, context, work)
        handled = await work
        try:
            await self.deliver(context, handled.answer, from_ephemeral=from_ephemeral)
        except SlackPassing:
            raise
        except SlackError as exc:
            log.warning("an answer could not be delivered", extra={"code": exc.code, "verb": handled.verb})
        finally:
            await self._take_back(waiting, context)

    async def answer_in_modal(self, text: str, context: Context, *, view_id: str) -> None:
        """Run a command whose button stood in App Home or in a modal, and show its answer in a modal.

        `view_id` is the modal to change, "" to open one.
        """
        work = asyncio.ensure_future(executor.execute(text, context))
        await asyncio.wait({work}, timeout=MODAL_SECONDS)
        if not view_id and not work.done():
            view_id = await self._opened(
                context, _modal(Message(text="Loading…", blocks=(section("Loading…"),)), context)
            )
        handled = await work
        await begin_answer(_told_again(handled.answer))
        opening = handled.answer.form
        if opening is not None and not view_id:
            await self._open(context, opening)
        elif opening is not None:
            await self._fill(context, opening, view_id)
        elif handled.answer.file is not None or (handled.answer.message is None and not handled.answer.silent):
            await self.deliver(context, handled.answer)
        else:
            message = handled.answer.message or Message(text="Done.", blocks=(section("✓ Done."),))
            view = _modal(await self._as_preferred(context, message), context)
            if view_id:
                await self.show(context.team, view_id, view)
            elif not await self._opened(context, view):
                await self.deliver(context, handled.answer)

    async def deliver_quietly(self, context: Context, answer: Answer) -> None:
        """Deliver an answer; where Slack refuses, only the log says so. Raises SlackPassing."""
        try:
            await self.deliver(context, answer)
        except SlackPassing:
            raise
        except SlackError as exc:
            log.warning("an answer could not be delivered", extra={"code": exc.code})

    async def deliver(self, context: Context, answer: Answer, *, from_ephemeral: bool = False) -> None:
        """Show an answer where the person is. Raises SlackError."""
        await begin_answer(_told_again(answer))
        if answer.form is not None and context.trigger:
            await self._open(context, answer.form)
        if answer.file is not None:
            await self._upload(context, answer.file)
        if from_ephemeral and (answer.public or answer.silent) and context.response_url:
            with contextlib.suppress(SlackPassing):
                await self._sender.withdraw(context.response_url)
        if answer.message is None or answer.silent:
            return
        message = answer.message if answer.public else await self._as_preferred(context, answer.message)
        await self._say(context, answer, message)

    async def show(self, team: str, view_id: str, view: View, *, version: str = "") -> None:
        """Change an open view; nothing is lost where the person has closed it meanwhile."""
        arguments: dict[str, object] = {"view_id": view_id, "view": view.payload()}
        if version:
            arguments["hash"] = version
        try:
            await self._sender.call(team, "views.update", arguments)
        except SlackError as exc:
            log.info("a form was not changed", extra={"form": view.callback_id, "code": exc.code})

    async def _open(self, context: Context, opening: Opening) -> None:
        """Open a form at once, empty, and fill it then: a trigger lives three seconds."""
        form = self._services.registry.forms[opening.form]
        view_id = await self._opened(context, form.loading(opening.arguments))
        if view_id:
            await self._fill(context, opening, view_id)

    async def _opened(self, context: Context, view: View) -> str:
        """Open a view and return its id; "" where Slack refused, which is reported to the person."""
        try:
            opened: Mapping[str, Any] = await self._sender.call(
                context.team, "views.open", {"trigger_id": context.trigger, "view": view.payload()}
            )
        except SlackError as exc:
            log.info("a form was not opened", extra={"form": view.callback_id, "code": exc.code})
            await self._not_opened(context, exc)
            return ""
        return str((opened.get("view") or {}).get("id") or "")

    async def _fill(self, context: Context, opening: Opening, view_id: str) -> None:
        form = self._services.registry.forms[opening.form]
        view, error = await executor.draw(form, form.fill(opening.arguments, context))
        if view is None:
            view = form.failed(opening.arguments, error or BotError("There is nothing to fill in."))
        await self.show(context.team, view_id, view)

    async def _not_opened(self, context: Context, exc: SlackError) -> None:
        late = "trigger" in exc.code
        why = "Slack opens forms within three seconds only, and that time was over" if late else exc.message
        text = f"The form did not open: {escape(why.rstrip('.'))}. Nothing was changed; please try again."
        message = Message(text=text, blocks=(section(text),))
        await self._say(context, Answer(message=message), message)

    async def _as_preferred(self, context: Context, message: Message) -> Message:
        """Return what only the person sees as they want it: plain text for who asked for that."""
        person = await self._services.store.people.get(context.team, context.user)
        if settings_of(person).get("plain") != "on":
            return message
        return plainly(message, command=self._services.command)

    async def _say(self, context: Context, answer: Answer, message: Message) -> None:
        """Show a message where the person is; without charts and tables where their workspace refuses those."""
        if not message.fallback:
            await self._show(context, answer, message)
            return
        refused = f"no charts:{context.team}"
        if await self._services.store.tokens.value(refused) is None:
            try:
                await self._show(context, answer, message)
            except SlackError as exc:
                if exc.code not in UNKNOWN_BLOCKS:
                    raise
                log.info("a workspace takes no charts", extra={"team": context.team})
                await self._services.store.tokens.add(refused, seconds=NO_CHARTS_SECONDS)
            else:
                return
        await self._show(context, answer, message.simple)

    async def _show(self, context: Context, answer: Answer, message: Message) -> None:
        if context.source is Source.DIRECT:
            await self._sender.post(context.team, context.channel, message, thread=context.thread)
            return
        if context.source is Source.MENTION:
            await self._reply(context, answer, message)
            return
        if context.source in {Source.MODAL, Source.SCHEDULE, Source.SHORTCUT} or not context.response_url:
            await self._aside(context, answer, message)
            return
        replaces = answer.replace and not answer.public
        if await self._sender.respond(context.response_url, message, public=answer.public, replace=replaces):
            return
        await self._post(context, answer, message, channel=context.channel)

    async def _reply(self, context: Context, answer: Answer, message: Message) -> None:
        """Answer a mention: in its thread, or for the person only."""
        if answer.public:
            thread = context.thread or context.message
            await self._sender.post(context.team, context.channel, message, thread=thread)
        else:
            await self._sender.ephemeral(context.team, context.channel, context.user, message, thread=context.thread)

    async def _aside(self, context: Context, answer: Answer, message: Message) -> None:
        """Answer where there is no response_url: in the channel, for the person only, or by direct message."""
        channel = context.channel or context.user
        try:
            await self._post(context, answer, message, channel=channel)
        except SlackPassing:
            raise
        except SlackError:
            if channel == context.user:
                raise
            await self._sender.post(context.team, context.user, message)

    async def _post(self, context: Context, answer: Answer, message: Message, *, channel: str) -> None:
        if answer.public or context.source is Source.SCHEDULE or channel == context.user:
            await self._sender.post(context.team, channel, message, thread=context.thread)
        else:
            await self._sender.ephemeral(context.team, channel, context.user, message, thread=context.thread)

    async def _upload(self, context: Context, file: File) -> None:
        """Put a file into the channel, or into the person's direct messages. A refusal is reported to the person."""
        thread = context.thread or (context.message if context.source is Source.BUTTON else "")
        try:
            channel = context.channel
            if file.private or not channel:
                channel, thread = await self._direct_channel(context), ""
            await self._sender.upload(
                context.team, channel, name=file.name, content=file.content, title=file.title, thread=thread
            )
        except SlackError as exc:
            hint = " Invite me first: `/invite @Buildbell`." if exc.code in GONE else ""
            place = "send you a file" if file.private else "put a file into this channel"
            message = Message(text=f"I can't {place} ({exc.code.replace('_', ' ')}).{hint}")
            await self._say(context, Answer(message=message), message)
            return
        if file.private and not context.is_direct:
            message = Message(text=f"I sent you {escape(file.name)} by direct message.")
            await self._say(context, Answer(message=message), message)

    async def _direct_channel(self, context: Context) -> str:
        opened = await self._sender.call(context.team, "conversations.open", {"users": context.user})
        channel: Any = opened.get("channel") or {}
        return str(channel.get("id") or context.user)

    async def _say_that_it_takes_time(
        self, text: str, context: Context, work: asyncio.Future[Handled]
    ) -> Posted | None:
        """Post after a few seconds that a slash command is being worked on; return that message, to be deleted.

        A message for one person only cannot be taken away again, so a channel is told of acts alone, whose effect it
        sees too; a direct message of everything.
        """
        if context.source is not Source.SLASH or not context.channel:
            return None
        done, _waiting = await asyncio.wait({work}, timeout=PATIENCE_SECONDS)
        if done or not (context.is_direct or executor.may_change(text, context)):
            return None
        line = escape("The CI system takes its time. The answer follows.")
        words = line if context.is_direct else f"{mention(context.user)} {line}"
        try:
            channel, ts = await self._sender.post(context.team, context.channel, Message(text=words))
        except SlackError as exc:
            log.info("nobody could be told to wait", extra={"code": exc.code})
            return None
        return Posted(channel=channel, ts=ts)

    async def _take_back(self, posted: Posted | None, context: Context) -> None:
        """Delete the message that said to wait; where Slack refuses, only the log says so."""
        if posted is None:
            return
        try:
            await self._sender.call(context.team, "chat.delete", {"channel": posted.channel, "ts": posted.ts})
        except SlackError as exc:
            log.info("a message that said to wait stays", extra={"code": exc.code})


def _told_again(answer: Answer) -> str:
    """Return the message about an answer that may not have reached the person."""
    if answer.form is not None:
        return "The form did not open, because I was restarted. Nothing was changed; please try again."
    return "" if answer.message is None or answer.silent else answer.message.text


def _modal(message: Message, context: Context) -> View:
    """Return a message as a modal whose buttons act in the same channel; charts stand in messages only."""
    message = message.simple
    blocks = (*message.blocks, *message.attached) or (section(message.text),)
    return View(
        title="Buildbell",
        blocks=tuple(blocks[:MOST_MODAL_BLOCKS]),
        callback_id="answer",
        close="Close",
        private_metadata=packed({CHANNEL: context.channel}),
    )
