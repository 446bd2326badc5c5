"""The only module that imports Bolt: acks at once, then has the work done beside it, and delivers the answers.

One listener for each kind of payload with a pattern that fits all (Bolt asks its listeners in turn); what a payload
is about is looked up here. `dispatch` takes a verified, parsed body, from HTTP and from Socket Mode alike.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult

from bot.blocks.message import Message, View, section, suggestions
from bot.blocks.plain import plainly
from bot.blocks.text import escape
from bot.core.errors import BotError
from bot.core.tasks import Tasks
from bot.slack.inbox import begin_answer, tracked
from bot.slack.sender import SlackError
from commands.core import executor
from commands.core.context import Answer, File, Opening, Request, Services, Source
from commands.core.forms import CHANNEL, THREAD, FieldError, Form, fields_of, unpacked, values_of
from commands.forms import FORMS
from commands.setup.me import settings_of

log = logging.getLogger(__name__)

Body = Mapping[str, Any]
EVERYTHING = re.compile(".*", re.DOTALL)
AT_ONCE = 64
DRAIN_SECONDS = 20.0
INLINE_SECONDS = 2.0
PATIENCE_SECONDS = 4.0
NOT_USED = "xoxb-each-call-brings-its-own"


class Deliver(Protocol):
    """What delivery needs of `bot.slack.sender.Sender`."""

    async def respond(self, url: str, message: Message, *, public: bool = False, replace: bool = False) -> bool:
        """Answer through a response_url."""
        ...

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        """Post a message."""
        ...

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        """Show a message to one person."""
        ...

    async def upload(self, team: str, channel: str, *, name: str, content: bytes, title: str, thread: str = "") -> None:
        """Put a file into a channel."""
        ...

    async def call(self, team: str, method: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        """Call a Web API method."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back on the wire as the ack."""

    status: int
    body: str
    content_type: str


Event = Callable[[Body], Awaitable[None]]
Shortcut = Callable[[Body, Request], Awaitable[None]]


class SlackApp:
    """Bolt's app with our listeners, and the work behind them."""

    def __init__(self, services: Services, sender: Deliver, *, bot_user: Callable[[], str]) -> None:
        self._services = services
        self._sender = sender
        self._bot_user = bot_user
        self._tasks = Tasks()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.shortcuts: dict[str, Shortcut] = {}
        self.events: dict[str, Event] = {"app_mention": self._mentioned, "message": self._messaged}
        with _slack_variables_hidden():
            self.app = AsyncApp(
                signing_secret="verified-before-bolt",  # noqa: S106 - requests are verified on their bytes in bot.web.app
                token=None,
                authorize=_authorize,
                process_before_response=True,
                request_verification_enabled=False,
                ignoring_self_events_enabled=False,
                url_verification_enabled=False,
                ssl_check_enabled=False,
            )
        self.app.command(EVERYTHING)(self._command)
        self.app.action(EVERYTHING)(self._action)
        self.app.view(EVERYTHING)(self._submission)
        self.app.view_closed(EVERYTHING)(self._closed)
        self.app.options(EVERYTHING)(self._options)
        self.app.shortcut(EVERYTHING)(self._shortcut)
        self.app.event(EVERYTHING)(self._event)

    async def dispatch(self, body: Body, headers: Mapping[str, str]) -> Reply:
        """Return the ack of a verified payload. No vendor and no Slack call is made before it."""
        answer = await self.app.async_dispatch(
            AsyncBoltRequest(
                mode="socket_mode", body=dict(body), headers={name: [value] for name, value in headers.items()}
            )
        )
        kinds = answer.headers.get("content-type") or ["text/plain;charset=utf-8"]
        return Reply(status=answer.status, body=answer.body, content_type=kinds[0])

    async def drain(self) -> None:
        """Let the work end that was acked."""
        await self._tasks.drain(DRAIN_SECONDS)

    async def settle(self) -> None:
        """Wait until all work has ended, however long it takes."""
        await self._tasks.drain()

    async def _command(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        request = Request(
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            is_enterprise_install=str(body.get("is_enterprise_install")) == "true",
            channel=str(body.get("channel_id") or ""),
            channel_name=_channel_name(str(body.get("channel_name") or "")),
            user=str(body.get("user_id") or ""),
            text=str(body.get("text") or ""),
            trigger=str(body.get("trigger_id") or ""),
            response_url=str(body.get("response_url") or ""),
            source=Source.SLASH,
            now=self._services.clock(),
        )
        self._work(request)

    async def _action(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        action = (body.get("actions") or [{}])[0]
        form = _form(body)
        if form is not None and not str(action.get("action_id")).startswith("build."):
            self._tasks.start(tracked(self._guarded(self._redraw(form, body, str(action.get("action_id"))))), "form")
            return
        text = _typed(action)
        if not text:
            return
        container = body.get("container") or {}
        message = body.get("message") or {}
        request = Request(
            team=_team(body),
            enterprise=str((body.get("enterprise") or {}).get("id") or ""),
            is_enterprise_install=bool(body.get("is_enterprise_install")),
            channel=str((body.get("channel") or {}).get("id") or container.get("channel_id") or ""),
            channel_name=_channel_name(str((body.get("channel") or {}).get("name") or "")),
            user=str((body.get("user") or {}).get("id") or ""),
            text=text,
            thread=str(message.get("thread_ts") or container.get("thread_ts") or ""),
            message=str(container.get("message_ts") or message.get("ts") or ""),
            trigger=str(body.get("trigger_id") or ""),
            response_url=str(body.get("response_url") or ""),
            source=Source.BUTTON,
            now=self._services.clock(),
        )
        self._work(request, from_ephemeral=bool(container.get("is_ephemeral")))

    async def _submission(self, ack: AsyncAck, body: Body) -> None:
        form = _form(body)
        if form is None:
            await ack()
            return
        view = body["view"]
        arguments = unpacked(str(view.get("private_metadata") or ""))
        request = self._form_request(body, arguments)
        work = asyncio.ensure_future(self._submitted(form, view, arguments, request))
        done, _waiting = await asyncio.wait({work}, timeout=INLINE_SECONDS)
        if not done:
            await ack(response_action="update", view=form.loading(arguments, "Working on it…").payload())
            self._tasks.start(tracked(self._finish(form, view, arguments, request, work)), "form")
            return
        answer, error = work.result()
        if error is None:
            await ack()
            self._tasks.start(tracked(self._guarded(self._delivered(request, answer))), "form")
        elif isinstance(error, FieldError) and error.errors.keys() <= (fields := fields_of(view)).keys():
            await ack(
                response_action="errors",
                errors={fields[name]: said.replace("`", "") for name, said in error.errors.items()},
            )
        else:
            await ack(response_action="update", view=form.again(view, arguments, error).payload())

    async def _submitted(
        self, form: Form, view: Body, arguments: Mapping[str, str], request: Request
    ) -> tuple[Answer, BotError | None]:
        values = values_of(view.get("state") or {})
        return await executor.submit(form, values, arguments, request, self._services)

    async def _finish(
        self,
        form: Form,
        view: Body,
        arguments: Mapping[str, str],
        request: Request,
        work: asyncio.Future[tuple[Answer, BotError | None]],
    ) -> None:
        answer, error = await work
        done = form.view((section("✓ Done. You can close this."),), arguments, ready=False)
        shown = form.again(view, arguments, error) if error is not None else done
        async with self._gate:
            await self._show(request.team, str(view.get("id") or ""), shown)
            if error is None:
                await self._delivered(request, answer)

    async def _delivered(self, request: Request, answer: Answer) -> None:
        try:
            await self.deliver(request, answer)
        except SlackError as exc:
            log.warning("an answer could not be delivered", extra={"code": exc.code})

    async def _redraw(self, form: Form, body: Body, field: str) -> None:
        view = body["view"]
        arguments = unpacked(str(view.get("private_metadata") or ""))
        request = self._form_request(body, arguments)
        values = values_of(view.get("state") or {})
        drawn, error = await executor.draw(form, form.changed(field, values, arguments, request, self._services))
        if error is not None:
            drawn = form.again(view, arguments, error)
        if drawn is not None:
            await self._show(request.team, str(view.get("id") or ""), drawn, version=str(view.get("hash") or ""))

    async def _show(self, team: str, view_id: str, view: View, *, version: str = "") -> None:
        """Show something else in an open view; nobody misses it where the person has closed it meanwhile."""
        arguments = {"view_id": view_id, "view": view.payload()} | ({"hash": version} if version else {})
        try:
            await self._sender.call(team, "views.update", arguments)
        except SlackError as exc:
            log.info("a form was not changed", extra={"form": view.callback_id, "code": exc.code})

    async def _options(self, ack: AsyncAck, body: Body) -> None:
        form = _form(body)
        found: Sequence[tuple[str, str]] = ()
        if form is not None:
            view = body["view"]
            arguments = unpacked(str(view.get("private_metadata") or ""))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INLINE_SECONDS + 0.4):
                    offered = form.options(
                        str(body.get("action_id") or ""),
                        str(body.get("value") or ""),
                        values_of(view.get("state") or {}),
                        arguments,
                        self._form_request(body, arguments),
                        self._services,
                    )
                    found = await executor.suggest(form, offered)
        await ack(**suggestions(found))

    async def _closed(self, ack: AsyncAck) -> None:
        await ack()

    async def _shortcut(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        handler = self.shortcuts.get(str(body.get("callback_id") or ""))
        if handler is not None:
            request = replace(self._form_request(body, {}), source=Source.SHORTCUT)
            self._tasks.start(tracked(self._guarded(handler(body, request))), "shortcut")

    def _form_request(self, body: Body, arguments: Mapping[str, str]) -> Request:
        message = body.get("message") or {}
        return Request(
            team=str((body.get("view") or {}).get("app_installed_team_id") or "") or _team(body),
            enterprise=str((body.get("enterprise") or {}).get("id") or ""),
            is_enterprise_install=bool(body.get("is_enterprise_install")),
            channel=arguments.get(CHANNEL) or str((body.get("channel") or {}).get("id") or ""),
            channel_name=_channel_name(str((body.get("channel") or {}).get("name") or "")),
            user=str((body.get("user") or {}).get("id") or ""),
            thread=arguments.get(THREAD) or str(message.get("thread_ts") or ""),
            message=str(message.get("ts") or ""),
            trigger=str(body.get("trigger_id") or ""),
            response_url=str(body.get("response_url") or ""),
            source=Source.MODAL,
            now=self._services.clock(),
        )

    async def _open(self, request: Request, opening: Opening) -> None:
        """Open a form at once, empty, and fill it then: a trigger lives three seconds."""
        form = FORMS[opening.form]
        loading = form.loading(opening.arguments).payload()
        try:
            said = await self._sender.call(request.team, "views.open", {"trigger_id": request.trigger, "view": loading})
        except SlackError as exc:
            log.info("a form was not opened", extra={"form": form.name, "code": exc.code})
            await self._not_opened(request, exc)
            return
        view_id = str((said.get("view") or {}).get("id") or "")
        drawn, error = await executor.draw(form, form.fill(opening.arguments, request, self._services))
        if drawn is None:
            drawn = form.failed(opening.arguments, error or BotError("There is nothing to fill in."))
        await self._show(request.team, view_id, drawn)

    async def _not_opened(self, request: Request, exc: SlackError) -> None:
        late = "trigger" in exc.code
        why = "I was too slow for Slack, which opens forms within three seconds only" if late else exc.message
        text = f"The form did not open: {escape(why.rstrip('.'))}. Nothing was changed; please try again."
        said = Message(text=text, blocks=(section(text),))
        await self._say(request, Answer(message=said), said, from_ephemeral=False)

    async def _event(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        event = body.get("event") or {}
        handler = self.events.get(str(event.get("type") or ""))
        if handler is not None:
            self._tasks.start(tracked(self._guarded(handler(body))), f"event {event.get('type')}")

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            async with self._gate:
                await work
        except SlackError as exc:
            log.info("Slack refused while an event was handled", extra={"code": exc.code})

    async def _mentioned(self, body: Body) -> None:
        event = body["event"]
        text = re.sub(r"^\s*<@[A-Z0-9]+(?:\|[^>]*)?>", "", str(event.get("text") or ""))
        await self._spoken(body, text, Source.MENTION)

    async def _messaged(self, body: Body) -> None:
        event = body["event"]
        if event.get("channel_type") != "im" or event.get("subtype") or event.get("bot_id"):
            return
        await self._spoken(body, str(event.get("text") or ""), Source.DIRECT)

    async def _spoken(self, body: Body, text: str, source: Source) -> None:
        event = body["event"]
        user = str(event.get("user") or "")
        if not user or user == self._bot_user() or event.get("bot_id"):
            return
        request = Request(
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            channel=str(event.get("channel") or ""),
            user=user,
            text=text,
            thread=str(event.get("thread_ts") or ""),
            message=str(event.get("ts") or ""),
            source=source,
            now=self._services.clock(),
        )
        await self.answer(request)

    def _work(self, request: Request, *, from_ephemeral: bool = False) -> None:
        self._tasks.start(tracked(self._job(request, from_ephemeral=from_ephemeral)), "request")

    async def _job(self, request: Request, *, from_ephemeral: bool) -> None:
        async with self._gate:
            await self.answer(request, from_ephemeral=from_ephemeral)

    async def answer(self, request: Request, *, from_ephemeral: bool = False) -> None:
        """Handle a request and deliver what comes of it."""
        work = asyncio.ensure_future(executor.handle(request, self._services))
        asked_for_patience = await self._ask_for_patience(request, work)
        handled = await work
        answer = replace(handled.answer, replace=True) if asked_for_patience else handled.answer
        try:
            await self.deliver(request, answer, from_ephemeral=from_ephemeral or asked_for_patience)
        except SlackError as exc:
            log.warning("an answer could not be delivered", extra={"code": exc.code, "verb": handled.verb})

    async def _ask_for_patience(self, request: Request, work: asyncio.Future[executor.Handled]) -> bool:
        """Say after a few seconds that a slash command is being worked on; return whether that was said."""
        if request.source is not Source.SLASH or not request.response_url:
            return False
        done, _waiting = await asyncio.wait({work}, timeout=PATIENCE_SECONDS)
        if done:
            return False
        waiting = Message(text="The CI system takes its time. I'm on it, and will answer here.")
        return await self._sender.respond(request.response_url, waiting)

    async def deliver(self, request: Request, answer: Answer, *, from_ephemeral: bool = False) -> None:
        """Show an answer where the person is: a modal, the thread, the response_url, a message."""
        await begin_answer(_said_again(answer))
        if answer.form is not None and request.trigger:
            await self._open(request, answer.form)
        if answer.file is not None:
            await self._upload(request, answer.file)
        if from_ephemeral and (answer.public or answer.silent) and request.response_url:
            done = Message(text="Done.")
            await self._sender.respond(request.response_url, done, replace=True)
        if answer.message is None or answer.silent:
            return
        message = answer.message if answer.public else await self._as_wanted(request, answer.message)
        await self._say(request, answer, message, from_ephemeral=from_ephemeral)

    async def _as_wanted(self, request: Request, message: Message) -> Message:
        """Return what only the person sees as they want it: plain text for who asked for that."""
        person = await self._services.store.people.get(request.team, request.user)
        if settings_of(person).get("plain") != "on":
            return message
        return plainly(message, command=self._services.command)

    async def _say(self, request: Request, answer: Answer, message: Message, *, from_ephemeral: bool) -> None:
        if request.source is Source.DIRECT:
            await self._sender.post(request.team, request.channel, message, thread=request.thread)
            return
        if request.source is Source.MENTION:
            thread = request.thread or request.message
            if answer.public:
                await self._sender.post(request.team, request.channel, message, thread=thread)
            else:
                await self._sender.ephemeral(
                    request.team, request.channel, request.user, message, thread=request.thread
                )
            return
        if request.source in {Source.MODAL, Source.SCHEDULE, Source.SHORTCUT} or not request.response_url:
            await self._aside(request, answer, message)
            return
        replaces = answer.replace and not answer.public
        if request.response_url and await self._sender.respond(
            request.response_url, message, public=answer.public, replace=replaces
        ):
            return
        if answer.public:
            await self._sender.post(request.team, request.channel, message, thread=request.thread)
        else:
            await self._sender.ephemeral(request.team, request.channel, request.user, message, thread=request.thread)

    async def _aside(self, request: Request, answer: Answer, message: Message) -> None:
        """Say something where there is no response_url: in the channel, for the person only, or by direct message."""
        where = request.channel or request.user
        try:
            if answer.public or request.source is Source.SCHEDULE or where == request.user:
                await self._sender.post(request.team, where, message, thread=request.thread)
            else:
                await self._sender.ephemeral(request.team, where, request.user, message, thread=request.thread)
        except SlackError:
            if where == request.user:
                raise
            await self._sender.post(request.team, request.user, message)

    async def _upload(self, request: Request, file: File) -> None:
        thread = request.thread or (request.message if request.source is Source.BUTTON else "")
        try:
            await self._sender.upload(
                request.team, request.channel, name=file.name, content=file.content, title=file.title, thread=thread
            )
        except SlackError as exc:
            hint = (
                " Invite me first: `/invite @Buildbell`." if exc.code in {"not_in_channel", "channel_not_found"} else ""
            )
            said = Message(text=f"I can't put a file into this channel ({exc.code.replace('_', ' ')}).{hint}")
            await self._say(request, Answer(message=said), said, from_ephemeral=False)


@contextlib.contextmanager
def _slack_variables_hidden() -> Iterator[None]:
    """Hide the SLACK_* environment variables while Bolt is constructed.

    Bolt's constructor reads them whatever arguments it gets: SLACK_BOT_TOKEN makes it log a warning that the token
    "will be ignored", SLACK_CLIENT_ID with SLACK_CLIENT_SECRET makes it open installation stores in the home folder.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}  # noqa: TID251 - hidden, not read
    try:
        yield
    finally:
        os.environ.update(hidden)  # noqa: TID251 - put back


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    # Each later call brings its own token from the store; asking for it here would cost the ack a query.
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=NOT_USED)


def _said_again(answer: Answer) -> str:
    """Return what a person is told of an answer that may not have reached them."""
    if answer.form is not None:
        return "The form did not open, because I was restarted. Nothing was changed; please try again."
    return "" if answer.message is None or answer.silent else answer.message.text


def _form(body: Body) -> Form | None:
    return FORMS.get(str((body.get("view") or {}).get("callback_id") or ""))


def _typed(action: Mapping[str, Any]) -> str:
    chosen = action.get("selected_option") or {}
    name = str(action.get("action_id") or "")
    if not name.startswith("build.") or name.startswith("build.open"):
        return ""
    return str(action.get("value") or chosen.get("value") or "")


def _team(body: Body) -> str:
    return str((body.get("team") or {}).get("id") or (body.get("user") or {}).get("team_id") or "")


def _channel_name(name: str) -> str:
    return "" if name in {"directmessage", "privategroup"} else name
