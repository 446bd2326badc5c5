"""Bolt's listeners: one for each kind of payload and name. The only module that imports Bolt.

A listener acks at once and has the work done beside it; `dispatch` takes a verified, parsed body, from HTTP and from
Socket Mode alike. What a listener needs of a payload becomes a `Context`; what comes of it is delivered by `Delivery`.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ParamSpec

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult

from bot.blocks.message import section, suggestions
from bot.core.backlog import Backlog
from bot.core.tasks import Tasks
from bot.slack.deliveries import Ack
from bot.slack.inbox import tracked
from bot.slack.sender import Sender, SlackError, SlackPassing
from commands.core import executor
from commands.core.channel import channel_of_row
from commands.core.context import Context, Services, Source
from commands.core.executor import Handled
from commands.core.forms import CHANNEL, THREAD, FieldError, Form, fields_of, unpacked, values_of
from commands.slack.delivery import Delivery

log = logging.getLogger(__name__)

bolt_log = logging.getLogger("slack_bolt.app")
bolt_log.setLevel(logging.WARNING)
"""Bolt looks at its loggers' own levels: with the usual one it writes each of its steps out, for nobody to read."""

P = ParamSpec("P")
Body = Mapping[str, Any]
Event = Callable[[Body], Awaitable[None]]
Shortcut = Callable[[Body, Context], Awaitable[None]]

COMMAND_BUTTON = re.compile(r"^build\.")
FORM_FIELD = re.compile(r"^(?!build\.)")
ANY = re.compile(r"")
MENTION = re.compile(r"^\s*<@[A-Z0-9]+(?:\|[^>]*)?>")
AT_ONCE = 64
BESIDE_ACKS = 1
"""How much work is under way at once, and while many deliveries wait for their ack."""
DRAIN_SECONDS = 20.0
INLINE_SECONDS = 2.0
NOT_USED = "xoxb-each-call-brings-its-own"
UNHANDLED = 404


class SlackApp:
    """Bolt's app with our listeners, and the work behind them."""

    def __init__(
        self, services: Services, sender: Sender, *, bot_user: Callable[[], str], backlog: Backlog | None = None
    ) -> None:
        self._services = services
        self._forms = services.registry.forms
        self._bot_user = bot_user
        self._tasks = Tasks()
        self._home_pressed: Event | None = None
        self._backlog = backlog or Backlog(most=AT_ONCE, beside=BESIDE_ACKS)
        self.handled_events = {"app_mention", "message"}
        self._delivery = Delivery(services, sender)
        self.deliver = self._delivery.deliver
        self.answer = self._delivery.answer
        with _slack_variables_hidden():
            self.app = AsyncApp(
                name="buildbell",  # without one Bolt reads every frame of the stack to name itself after a file
                signing_secret="verified-before-bolt",  # noqa: S106 - requests are verified on their bytes in bot.web
                token=None,
                authorize=_authorize,
                process_before_response=True,
                request_verification_enabled=False,
                ignoring_self_events_enabled=False,
                url_verification_enabled=False,
                ssl_check_enabled=False,
                attaching_function_token_enabled=False,
                attaching_conversation_kwargs_enabled=False,
                logger=bolt_log,
            )
        # Bolt tries its listeners one after the other: the ones that people wait for come first.
        self.app.command(services.command)(self._command)
        self.app.action(COMMAND_BUTTON)(self._button)
        self.app.action(FORM_FIELD)(self._field_changed)
        self.app.event("message")(self._messaged)
        self.app.event("app_mention")(self._mentioned)
        self.app.view(_any_of(self._forms))(self._submitted)
        self.app.options(ANY)(self._options)
        self.app.view_closed(ANY)(self._acked)

    def listen(
        self,
        *,
        events: Mapping[str, Event],
        shortcuts: Mapping[str, Shortcut],
        actions: Mapping[str, Event] | None = None,
        home_pressed: Event | None = None,
    ) -> None:
        """Add listeners for events by name, for shortcuts by callback id, and for actions that are no commands (`x`, and `x:2` of one row).

        `home_pressed` is called after a button in a person's App Home has acted.
        """
        self._home_pressed = home_pressed
        for name, action in (actions or {}).items():
            numbered = re.compile(rf"^{re.escape(name)}(?::\d+)?$")
            self.app.action(numbered)(self._event_listener(name, action))
        for name, shortcut in shortcuts.items():
            self.app.shortcut(name)(self._shortcut_listener(shortcut))
        self.handled_events |= events.keys()
        for name, event in events.items():
            self.app.event(name)(self._event_listener(name, event))

    async def dispatch(self, body: Body, headers: Mapping[str, str]) -> Ack:
        """Return the ack of a verified payload. No vendor and no Slack call is made before it."""
        answer = await self.app.async_dispatch(
            AsyncBoltRequest(
                mode="socket_mode", body=dict(body), headers={name: [value] for name, value in headers.items()}
            )
        )
        if answer.status == UNHANDLED:
            # A payload that nothing is registered for is acked all the same: Slack would send it again.
            return Ack()
        kinds = answer.headers.get("content-type") or ["text/plain;charset=utf-8"]
        return Ack(status=answer.status, body=answer.body, content_type=kinds[0])

    async def drain(self) -> None:
        """Let the work end that was acked."""
        await self._tasks.drain(DRAIN_SECONDS)

    async def settle(self) -> None:
        """Wait until all work has ended, however long it takes."""
        await self._tasks.drain()

    # listeners

    async def _command(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        context = Context(
            services=self._services,
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            is_enterprise_install=str(body.get("is_enterprise_install")) == "true",
            channel=str(body.get("channel_id") or ""),
            channel_name=_channel_name(str(body.get("channel_name") or "")),
            user=str(body.get("user_id") or ""),
            trigger=str(body.get("trigger_id") or ""),
            response_url=str(body.get("response_url") or ""),
            source=Source.SLASH,
            now=self._services.clock(),
        )
        self._start("command", self._delivery.answer, str(body.get("text") or ""), context)

    async def _button(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        action = (body.get("actions") or [{}])[0]
        text = _command_of(action)
        if not text:
            return
        context = self._context(body, source=Source.BUTTON)
        if context.is_direct and (channel := channel_of_row(action)):
            context = context.in_channel(channel)
        view = body.get("view")
        if isinstance(view, dict):
            view_id = str(view.get("id") or "") if view.get("type") == "modal" else ""
            pressed = body if view.get("type") == "home" else None
            self._start("button", self._answer_in_view, text, context, view_id, pressed)
        else:
            is_ephemeral = bool((body.get("container") or {}).get("is_ephemeral"))
            self._start("button", self._delivery.answer, text, context, from_ephemeral=is_ephemeral)

    async def _field_changed(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        form = self._form(body)
        if form is not None:
            action = (body.get("actions") or [{}])[0]
            self._start("form", self._redraw, form, body, str(action.get("action_id")))

    async def _submitted(self, ack: AsyncAck, body: Body) -> None:
        form = self._form(body)
        if form is None:
            await ack()
            return
        view = body["view"]
        arguments = unpacked(str(view.get("private_metadata") or ""))
        context = self._context(body, arguments=arguments, source=Source.MODAL)
        values = values_of(view.get("state") or {})
        work = asyncio.ensure_future(executor.submit(form, values, arguments, context))
        done, _waiting = await asyncio.wait({work}, timeout=INLINE_SECONDS)
        if not done:
            await ack(response_action="update", view=form.loading(arguments, "Working on it…").payload())
            self._start("form", self._finish, form, view, arguments, context, work)
            return
        handled = work.result()
        error = handled.error
        if error is None:
            await ack()
            self._start("form", self._delivery.deliver_quietly, context, handled.answer)
        elif isinstance(error, FieldError) and error.errors.keys() <= (fields := fields_of(view)).keys():
            await ack(
                response_action="errors",
                errors={fields[name]: message.replace("`", "") for name, message in error.errors.items()},
            )
        else:
            await ack(response_action="update", view=form.again(view, arguments, error).payload())

    async def _options(self, ack: AsyncAck, body: Body) -> None:
        form = self._form(body)
        offered: Sequence[tuple[str, str]] = ()
        if form is not None:
            view = body["view"]
            arguments = unpacked(str(view.get("private_metadata") or ""))
            context = self._context(body, arguments=arguments, source=Source.MODAL)
            values = values_of(view.get("state") or {})
            field, typed = str(body.get("action_id") or ""), str(body.get("value") or "")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INLINE_SECONDS + 0.4):
                    offered = await executor.suggest(form, form.options(field, typed, values, arguments, context))
        await ack(**suggestions(offered))

    async def _acked(self, ack: AsyncAck) -> None:
        await ack()

    async def _mentioned(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        text = MENTION.sub("", str((body.get("event") or {}).get("text") or ""))
        self._spoken(body, text, Source.MENTION)

    async def _messaged(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        event = body.get("event") or {}
        if event.get("channel_type") != "im" or event.get("subtype"):
            return
        self._spoken(body, str(event.get("text") or ""), Source.DIRECT)

    def _spoken(self, body: Body, text: str, source: Source) -> None:
        event = body["event"]
        user = str(event.get("user") or "")
        if not user or user == self._bot_user() or event.get("bot_id"):
            return
        context = Context(
            services=self._services,
            team=str(body.get("team_id") or ""),
            enterprise=str(body.get("enterprise_id") or ""),
            channel=str(event.get("channel") or ""),
            user=user,
            thread=str(event.get("thread_ts") or ""),
            message=str(event.get("ts") or ""),
            source=source,
            now=self._services.clock(),
        )
        self._start("message", self._delivery.answer, text, context)

    def _shortcut_listener(self, shortcut: Shortcut) -> Callable[..., Awaitable[None]]:
        async def listener(ack: AsyncAck, body: Body) -> None:
            await ack()
            self._start("shortcut", shortcut, body, self._context(body, source=Source.SHORTCUT))

        return listener

    def _event_listener(self, name: str, event: Event) -> Callable[..., Awaitable[None]]:
        async def listener(ack: AsyncAck, body: Body) -> None:
            await ack()
            self._start(f"event {name}", event, body)

        return listener

    # the work behind them

    def _start(self, name: str, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have some work done beside the ack, at most `AT_ONCE` at a time."""
        self._tasks.start(tracked(self._guarded(partial(work, *args, **kwargs))), name)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._backlog.turn():
                await work()
        except SlackPassing:
            raise  # the inbox has an answer given later
        except SlackError as exc:
            log.info("Slack refused while an event was handled", extra={"code": exc.code})

    async def _answer_in_view(self, text: str, context: Context, view_id: str, pressed: Body | None) -> None:
        """Answer a button of a view in a modal; one of App Home (`pressed`) has that drawn anew afterwards."""
        await self._delivery.answer_in_modal(text, context, view_id=view_id)
        if pressed is not None and self._home_pressed is not None:
            # Apart from the backlog: it may wait for the time that has to pass between two Homes.
            self._tasks.start(self._quietly(self._home_pressed, pressed), "home")

    async def _quietly(self, event: Event, body: Body) -> None:
        try:
            await event(body)
        except SlackError as exc:
            log.info("Slack refused an App Home", extra={"code": exc.code})

    async def _finish(
        self,
        form: Form,
        view: Body,
        arguments: Mapping[str, str],
        context: Context,
        work: asyncio.Future[Handled],
    ) -> None:
        """Show in the open form what came of a slow submission."""
        handled = await work
        done = form.view((section("✓ Done. You can close this."),), arguments, ready=False)
        shown = done if handled.error is None else form.again(view, arguments, handled.error)
        await self._delivery.show(context.team, str(view.get("id") or ""), shown)
        if handled.error is None:
            await self._delivery.deliver_quietly(context, handled.answer)

    async def _redraw(self, form: Form, body: Body, field: str) -> None:
        view = body["view"]
        arguments = unpacked(str(view.get("private_metadata") or ""))
        context = self._context(body, arguments=arguments, source=Source.MODAL)
        values = values_of(view.get("state") or {})
        drawn, error = await executor.draw(form, form.changed(field, values, arguments, context))
        if error is not None:
            drawn = form.again(view, arguments, error)
        if drawn is not None:
            version = str(view.get("hash") or "")
            await self._delivery.show(context.team, str(view.get("id") or ""), drawn, version=version)

    def _form(self, body: Body) -> Form | None:
        return self._forms.get(str((body.get("view") or {}).get("callback_id") or ""))

    def _context(self, body: Body, *, source: Source, arguments: Mapping[str, str] | None = None) -> Context:
        """Return the context of an interactive payload; a form's arguments name the channel it was opened in."""
        opened = arguments or {}
        message = body.get("message") or {}
        container = body.get("container") or {}
        view = body.get("view") or {}
        if arguments is None and view.get("type") == "modal":
            opened = unpacked(str(view.get("private_metadata") or ""))
        channel = body.get("channel") or {}
        return Context(
            services=self._services,
            team=str(view.get("app_installed_team_id") or "") or _team(body),
            enterprise=str((body.get("enterprise") or {}).get("id") or ""),
            is_enterprise_install=bool(body.get("is_enterprise_install")),
            channel=opened.get(CHANNEL) or str(channel.get("id") or container.get("channel_id") or ""),
            channel_name=_channel_name(str(channel.get("name") or "")),
            user=str((body.get("user") or {}).get("id") or ""),
            thread=opened.get(THREAD) or str(message.get("thread_ts") or container.get("thread_ts") or ""),
            message=str(container.get("message_ts") or message.get("ts") or ""),
            trigger=str(body.get("trigger_id") or ""),
            response_url=str(body.get("response_url") or ""),
            source=source,
            now=self._services.clock(),
        )


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    # Each later call brings its own token from the store; asking for it here would cost the ack a query.
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=NOT_USED)


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


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for exactly these names: one listener costs Bolt as much as another, whatever it matches."""
    return re.compile(rf"^(?:{'|'.join(map(re.escape, names))})$")


def _command_of(action: Mapping[str, Any]) -> str:
    """Return the command that a button or a menu's entry stands for, "" for a button that only opens a page."""
    chosen = action.get("selected_option") or {}
    if str(action.get("action_id") or "").startswith("build.open"):
        return ""
    return str(action.get("value") or chosen.get("value") or "")


def _team(body: Body) -> str:
    return str((body.get("team") or {}).get("id") or (body.get("user") or {}).get("team_id") or "")


def _channel_name(name: str) -> str:
    return "" if name in {"directmessage", "privategroup"} else name
