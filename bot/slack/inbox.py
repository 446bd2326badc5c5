"""The durable inbox: what Slack delivers is written before its ack, done at most once, and answered once.

    received -> claimed -> [acting] -> [answering <-> unanswered] -> closed

Each arrow is a committed write. A process that dies leaves its rows open; when their lease ends another process (or
the same one after its restart) claims them. What had not begun to act is done then. What had may have taken effect:
its sender is told so, and it is not repeated. What was being answered is answered again, marked as possibly repeated.
An answer that Slack does not take now is given later, by whichever process.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.blocks.message import Message, sections
from bot.blocks.text import clip, escape
from bot.core.acting import before_acts
from bot.core.clock import Clock
from bot.core.errors import BotError, StoreError
from bot.core.tasks import Tasks
from bot.core.text import valid
from bot.core.tracing import traced
from bot.security.vault import Vault
from bot.slack.deliveries import Ack, Body, Identity, identify, is_addressed_to_us, is_attributed, needed, sender_of
from bot.slack.sender import Sender, SlackError, SlackLimited, SlackPassing, SlackUnsure
from bot.store import Store
from bot.store.inbox import InboxKind, InboxState, NewDelivery, OpenDelivery, Step
from bot.store.store import Transaction

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
TICK_SECONDS = 1.0
BATCH = 20
MOST_CLAIMS = 4
"""How often a delivery is claimed before it is given up: it may be what kills the process."""
LATEST = timedelta(minutes=15)
"""What was not begun by then is reported and not done: nobody expects it any more."""
RESPONSE_URL_FOR = timedelta(minutes=25)
ANSWER_FOR = timedelta(hours=6)
"""How long an answer is tried to be given that Slack does not take."""
LONGEST_PAUSE_SECONDS = 60.0
WORDS_LENGTH = 300

_current: ContextVar["Delivery | None"] = ContextVar("delivery", default=None)


class TakenOverError(BaseException):
    """Another process has claimed this delivery since: whatever would follow here is that one's to do.

    No Exception, so that nothing on the way turns it into an answer.
    """


Dispatch = Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[Ack]]
Resume = Callable[[Mapping[str, Any]], Awaitable[None]]


class Delivery:
    """A claimed row of the inbox, in the hands of this process."""

    def __init__(self, inbox: "Inbox", *, row_id: int, fence: int, kind: InboxKind, state: InboxState) -> None:
        self._inbox = inbox
        self.id = row_id
        self.fence = fence
        self.kind = kind
        self.state = state
        self.is_started = False
        self._answer = ""
        self._is_doubtful = state is InboxState.ANSWERING

    async def begin_act(self) -> None:
        """Write that the act begins, once. Raises TakenOverError where another process has it, StoreError."""
        if self.state is InboxState.CLAIMED:
            await self._advance(InboxState.ACTING)

    async def begin_answer(self, text: str) -> None:
        """Write what is about to be answered, once, to be said again after a crash. Raises TakenOverError.

        Where the database is away the answer is given all the same: its loss would be worse than its repetition.
        """
        if not self._answer:
            self._answer = text
        if self.state in {InboxState.ANSWERING, InboxState.CLOSED}:
            return
        with suppress(StoreError):
            await self._advance(InboxState.ANSWERING, answer=text)

    async def close(self, outcome: str) -> None:
        """Write that it is done. Where the database is away it stays open, and is explained when it is back."""
        await self._end(Step(id=self.id, fence=self.fence, state=InboxState.CLOSED, outcome=outcome))

    async def forget(self) -> None:
        """Let the same delivery come again: nothing came of this one, and its sender knows."""
        await self._end(Step(id=self.id, fence=self.fence, state=InboxState.CLOSED, is_gone=True))

    async def postpone(self, exc: SlackPassing) -> bool:
        """Have the answer given later, as Slack did not take it now; return False where there is none to give.

        Only where it may have arrived nevertheless, it will be marked as possibly repeated.
        """
        if self.state is not InboxState.ANSWERING or not self._answer:
            return False
        log.info("an answer is given later", extra={"delivery": self.id, "code": exc.code})
        if not isinstance(exc, SlackUnsure) and not self._is_doubtful:
            with suppress(StoreError):
                await self._advance(InboxState.UNANSWERED, answer=self._answer)
        pause = exc.retry_after if isinstance(exc, SlackLimited) else 0.0
        await self.release(max(pause, min(2.0**self.fence, LONGEST_PAUSE_SECONDS)))
        return True

    async def release(self, after_seconds: float = 0.0) -> None:
        """Give it to another process, at once or after a while."""
        lease_until = self._inbox.clock() + timedelta(seconds=after_seconds)
        step = Step(id=self.id, fence=self.fence, state=self.state, lease_until=lease_until)
        with suppress(StoreError):
            await self._inbox.store.inbox.advance(step)
        self._inbox.held.discard(self.id)

    async def run(self, work: Awaitable[None]) -> None:
        """Await the work of this delivery, and close it at the end whatever comes of it.

        Work that raises SlackPassing while it answers is not at its end: the answer is given later.
        """
        self.is_started = True
        try:
            with self.current():
                log.info("a delivery is begun", extra={"delivery": self.id, "kind": self.kind.value})
                await work
        except TakenOverError:
            log.warning("another process has taken over a delivery", extra={"delivery": self.id})
            self._inbox.held.discard(self.id)
        except asyncio.CancelledError:
            await asyncio.shield(self.release())
            raise
        except SlackPassing as exc:
            if not await self.postpone(exc):
                log.info("Slack was not there for what was to be done", extra={"delivery": self.id, "code": exc.code})
                await self.close("broke")
        except Exception:
            await self.close("broke")
            raise
        else:
            await self.close("done")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the delivery that acts and answers in the block, and in tasks started there, belong to."""
        token = _current.set(self)
        try:
            with before_acts(self.begin_act), traced(f"d{self.id}"):
                yield
        finally:
            _current.reset(token)

    async def _advance(self, state: InboxState, *, answer: str = "") -> None:
        step = Step(id=self.id, fence=self.fence, state=state, answer=self._inbox.sealed(answer, self.id))
        if not await self._inbox.store.inbox.advance(step):
            raise TakenOverError
        self.state = state

    async def _end(self, step: Step) -> None:
        if self.state is InboxState.CLOSED:
            return
        self.state = InboxState.CLOSED
        closing = step if step.is_gone else replace(step, closed_at=self._inbox.clock())
        try:
            await self._inbox.store.inbox.advance(closing)
        except StoreError as exc:
            log.warning("a delivery could not be closed", extra={"delivery": self.id, "why": str(exc)})
        self._inbox.held.discard(self.id)


async def begin_answer(text: str) -> None:
    """Write what the present delivery is about to be answered; nothing outside of any. Raises TakenOverError."""
    delivery = _current.get()
    if delivery is not None:
        await delivery.begin_answer(text)


def tracked(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """Return work that belongs to the present delivery and closes it at its end."""
    delivery = _current.get()
    if delivery is None:
        return work
    delivery.is_started = True
    return delivery.run(work)


class Inbox:
    """Deliveries of Slack and of the clock. `dispatch` does one and returns its ack; it starts no call before that.

    `handles` returns whether an event has a listener. `resume` has the handlers of kinds that do not come from Slack.
    """

    def __init__(
        self,
        store: Store,
        *,
        dispatch: Dispatch,
        sender: Sender,
        vault: Vault,
        clock: Clock,
        owner: str,
        handles: Callable[[str], bool],
        command: str = "/build",
        urgent: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.store = store
        self.clock = clock
        self.held: set[int] = set()
        self.resume: dict[InboxKind, Resume] = {}
        self._dispatch = dispatch
        self._sender = sender
        self._vault = vault
        self._owner = owner
        self._handles = handles
        self._command = command
        self._urgent = urgent
        self._tasks = Tasks()
        self._renewed_at: datetime | None = None

    async def take(self, body: Body, headers: Mapping[str, str], *, fallback: str) -> Ack:
        """Write a delivery and have it begun, and return its ack; one that was here before is acked and left alone.

        A delivery that can't be written is not acked (503): Slack shows that it failed, or sends it again.
        """
        with self._urgent():
            return await self._taken(body, headers, fallback=fallback)

    async def _taken(self, body: Body, headers: Mapping[str, str], *, fallback: str) -> Ack:
        if not is_attributed(body):
            return Ack(400, "it does not say who sent it")
        identity = identify(body, fallback=fallback, handles=self._handles)
        if identity is None:
            return await self._dispatch(body, headers)
        now = self.clock()
        try:
            received = await self.store.inbox.receive(self._new(identity, body, now))
        except StoreError as exc:
            log.warning("a delivery could not be written", extra={"kind": identity.kind, "why": str(exc)})
            return Ack(503, "try again later")
        if not received.is_new:
            log.info("a delivery came again", extra={"kind": identity.kind, "state": received.state})
            return Ack(200)
        delivery = self._delivery(received.id, 1, identity.kind, InboxState.CLAIMED)
        return await self._begin(delivery, body, headers)

    async def adopt(self, tx: Transaction, kind: InboxKind, body: Body) -> Delivery:
        """Write something due within the transaction that claims it, so that it is done or reported whichever process dies."""
        identity = Identity(kind=kind, key=f"{kind.value}:{secrets.token_hex(16)}")
        received = await tx.inbox.receive(self._new(identity, body, self.clock()))
        return self._delivery(received.id, 1, kind, InboxState.CLAIMED)

    async def run(self) -> None:
        """Keep the leases of what is open here, and take over what others left, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except BotError as exc:
                log.warning("the inbox can't be read", extra={"why": str(exc)})

    async def tick(self) -> None:
        """Do what `run` does, once; what is taken over goes on beside."""
        now = self.clock()
        if self.held and (self._renewed_at is None or (now - self._renewed_at).total_seconds() >= RENEW_SECONDS):
            await self.store.inbox.renew(self._owner, self.held, now + LEASE)
            self._renewed_at = now
        if not await self.store.inbox.is_waiting(now):
            return
        rows = await self.store.inbox.claim_abandoned(self._owner, now=now, lease_until=now + LEASE, limit=BATCH)
        for row in rows:
            self._tasks.start(self._resume(row), "resume")

    async def settle(self, seconds: float | None = None) -> None:
        """Wait for what was taken over, at most so long, and for the last writes."""
        await self._tasks.drain(seconds)
        await self.store.inbox.drain()

    def sealed(self, text: str, row_id: int) -> str:
        """Return an answer as it is kept."""
        text = valid(text)
        return self._vault.seal(text, about=f"inbox/{row_id}/answer") if text and self._vault.can_seal else text

    def _new(self, identity: Identity, body: Body, now: datetime) -> NewDelivery:
        return NewDelivery(
            key=identity.key,
            kind=identity.kind,
            body=self._packed(identity, body),
            owner=self._owner,
            now=now,
            lease_until=now + LEASE,
        )

    def _packed(self, identity: Identity, body: Body) -> str:
        """Return what is kept of a body: sealed where there is a key. Without one a form's fields are kept nowhere."""
        fields = dict(needed(identity.kind, body))
        if self._vault.can_seal:
            return self._vault.seal(json.dumps(fields), about=f"inbox/{identity.key}")
        if identity.kind is InboxKind.FORM:
            view = fields.get("view")
            fields["view"] = (
                {name: view[name] for name in ("id", "title") if name in view} if isinstance(view, dict) else {}
            )
        return json.dumps(fields)

    def _unpacked(self, row: OpenDelivery) -> dict[str, Any]:
        plain = row.body if row.body.startswith("{") else self._vault.open(row.body, about=f"inbox/{row.key}")
        body: dict[str, Any] = json.loads(plain)
        return body

    def _delivery(self, row_id: int, fence: int, kind: InboxKind, state: InboxState) -> Delivery:
        self.held.add(row_id)
        return Delivery(self, row_id=row_id, fence=fence, kind=kind, state=state)

    async def _begin(self, delivery: Delivery, body: Body, headers: Mapping[str, str]) -> Ack:
        try:
            with delivery.current():
                reply = await self._dispatch(body, headers)
        except TakenOverError:
            self.held.discard(delivery.id)
            return Ack(200)
        except BaseException:
            await asyncio.shield(delivery.release())
            raise
        if delivery.is_started:
            return reply
        if reply.status >= 500 or (delivery.kind is InboxKind.FORM and _keeps_form_open(reply)):
            await delivery.forget()
        else:
            await delivery.close("nothing to do")
        return reply

    async def _resume(self, row: OpenDelivery) -> None:
        delivery = self._delivery(row.id, row.fence, row.kind, row.state)
        try:
            body = self._unpacked(row)
        except (BotError, ValueError) as exc:
            log.warning("a delivery can't be read here", extra={"delivery": row.id, "why": str(exc)})
            self.held.discard(row.id)
            if row.fence > MOST_CLAIMS:
                await delivery.close("unreadable")
            return  # else its lease ends, and a process that has the key may read it
        log.info("a delivery is taken over", extra={"delivery": row.id, "kind": row.kind, "state": row.state})
        try:
            await self._go_on(delivery, row, body)
        except TakenOverError:
            self.held.discard(row.id)

    async def _go_on(self, delivery: Delivery, row: OpenDelivery, body: dict[str, Any]) -> None:
        match row.state:
            case InboxState.ANSWERING | InboxState.UNANSWERED:
                await self._answer_again(delivery, row, body)
            case InboxState.ACTING:
                await self._explain(delivery, row, body, MAY_HAVE_STARTED, "may have started")
            case _ if row.kind not in self.resume and self.clock() - row.received_at > LATEST:
                await self._explain(delivery, row, body, TOO_LATE, "too late")
            case _ if row.fence > MOST_CLAIMS:
                await self._explain(delivery, row, body, GIVEN_UP, "given up")
            case _ if row.kind is InboxKind.FORM and "state" not in (body.get("view") or {}):
                await self._explain(delivery, row, body, FORM_LOST, "form lost", again=True)
            case _ if row.kind in self.resume:
                await delivery.run(self.resume[row.kind](body))
            case _:
                reply = await self._begin(delivery, body, {})
                if row.kind is InboxKind.FORM and _keeps_form_open(reply):
                    await self._report(row, body, FORM_REFUSED)

    async def _explain(
        self, delivery: Delivery, row: OpenDelivery, body: Body, text: str, outcome: str, *, again: bool = False
    ) -> None:
        """Tell the sender the state of a delivery that is not done any more; with `again`, suggest to send it again."""
        if outcome == "may have started" or is_addressed_to_us(row.kind, body):
            told = self._worded(row, body, text)
            await delivery.begin_answer(told)
            if not await self._is_answered(delivery, row, body, told):
                return
        log.warning("a delivery was not done to its end", extra={"delivery": row.id, "outcome": outcome})
        await (delivery.forget() if again else delivery.close(outcome))

    async def _answer_again(self, delivery: Delivery, row: OpenDelivery, body: Body) -> None:
        answer = row.answer
        if answer and self._vault.can_seal:
            with suppress(BotError):
                answer = self._vault.open(answer, about=f"inbox/{row.id}/answer")
        if answer and self.clock() - row.received_at < ANSWER_FOR:
            note = REPEATED if row.state is InboxState.ANSWERING else ""
            await delivery.begin_answer(answer)
            if not await self._is_answered(delivery, row, body, answer, note=note):
                return
        await delivery.close("answered later" if answer else "done")

    async def _is_answered(
        self, delivery: Delivery, row: OpenDelivery, body: Body, text: str, *, note: str = ""
    ) -> bool:
        """Answer, and return False where Slack does not take it now: then it is given later."""
        try:
            await self._answer(row, body, text, note=note)
        except SlackPassing as exc:
            return not await delivery.postpone(exc)
        return True

    async def _report(self, row: OpenDelivery, body: Body, text: str) -> None:
        with suppress(SlackPassing):
            await self._answer(row, body, self._worded(row, body, text))

    def _worded(self, row: OpenDelivery, body: Body, text: str) -> str:
        words = escape(clip(" ".join(sender_of(row.kind, body).words.split()), WORDS_LENGTH).replace("`", "'"))
        return text.format(what=f"`{words}`" if words else "what you asked for")

    async def _answer(self, row: OpenDelivery, body: Body, text: str, *, note: str = "") -> None:
        """Tell the sender only, in the way that is still open. Raises SlackPassing where Slack may take it later."""
        whole = f"{note}\n{text}" if note else text
        message = Message(text=whole, blocks=tuple(sections(whole.splitlines())))
        sender = sender_of(row.kind, body)
        is_fresh = self.clock() - row.received_at < RESPONSE_URL_FOR
        if sender.response_url and is_fresh and await self._sender.respond(sender.response_url, message):
            return
        event = body.get("event")
        is_direct = isinstance(event, dict) and event.get("channel_type") == "im"
        try:
            if sender.channel and sender.user and not is_direct and row.kind not in self.resume:
                try:
                    await self._sender.ephemeral(
                        sender.team, sender.channel, sender.user, message, thread=sender.thread
                    )
                except SlackPassing:
                    raise
                except SlackError:
                    log.info("an answer goes to the person", extra={"delivery": row.id})
                else:
                    return
            place = sender.channel if is_direct or row.kind in self.resume else sender.user
            if place or sender.user:
                await self._sender.post(sender.team, place or sender.user, message)
        except SlackPassing:
            raise
        except SlackError as exc:
            log.warning("an answer can't be delivered", extra={"delivery": row.id, "code": exc.code})


MAY_HAVE_STARTED = (
    "I was restarted while I was doing {what}. It may have started, and I can't say whether it did: look before you"
    " repeat it."
)
TOO_LATE = "I was away when you sent {what}, and it is too late to do it now. Nothing was done: send it again."
GIVEN_UP = "I tried {what} several times and was stopped each time before I began. Nothing was done."
FORM_LOST = "I was restarted before I could do what your form “{what}” says. Nothing was done: send it again."
FORM_REFUSED = "I was restarted while your form {what} was on its way, and now it needs a correction. Nothing was done: open it again."
REPEATED = "_Possibly repeated: I can't tell whether my first answer reached you._"


def _keeps_form_open(reply: Ack) -> bool:
    return "response_action" in reply.body
