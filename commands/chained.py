"""Run commands that waited for a build to pass, each once, whichever process claims it first."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bot.blocks.message import Message, section
from bot.blocks.text import code, escape
from bot.core.models import Conclusion
from bot.slack.inbox import Delivery, Inbox
from bot.slack.sender import SlackError, SlackPassing
from bot.store.inbox import InboxKind
from bot.store.rows import ChainRow
from commands.core.context import Answer, Context, Services, Source
from commands.core.executor import execute
from commands.core.matches import state_of

log = logging.getLogger(__name__)

BATCH = 20
GAVE_UP = "did not end in time"

Deliver = Callable[[Context, Answer], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A claimed chain, and how its build ended ("" where it passed), in words."""

    row: ChainRow
    refused: str


class ChainedCommands:
    """Runs chained commands whose build has passed, with the rights their author has then, and reports the others."""

    def __init__(self, services: Services, deliver: Deliver, inbox: Inbox) -> None:
        self._services = services
        self._deliver = deliver
        self._inbox = inbox
        inbox.resume[InboxKind.CHAIN] = self._resume

    async def tick(self) -> None:
        """Do everything that is due, one after the other; at most `BATCH`."""
        for _turn in range(BATCH):
            if (claimed := await self._claim()) is None:
                return
            due, delivery = claimed
            await delivery.run(self._run(due))

    async def _claim(self) -> tuple[_Due, Delivery] | None:
        """Take one chain away and write its run into the inbox, together: a killed process leaves a trace of it."""
        async with self._services.store.transaction() as tx:
            claimed = await tx.chains.claim(self._services.clock())
            if claimed is None:
                return None
            row, build = claimed
            refused = GAVE_UP
            if build is not None:
                refused = "" if build.conclusion is Conclusion.PASSED else f"ended as {state_of(build)}"
            body = {**msgspec.to_builtins(row), "refused": refused}
            return _Due(row=row, refused=refused), await self._inbox.adopt(tx, InboxKind.CHAIN, body)

    async def _resume(self, body: Mapping[str, Any]) -> None:
        """Run a chain that was claimed by a process that died before it began."""
        row = {name: value for name, value in body.items() if name != "refused"}
        await self._run(_Due(row=msgspec.convert(row, ChainRow), refused=str(body.get("refused") or "")))

    async def _run(self, due: _Due) -> None:
        row = due.row
        context = Context(
            services=self._services,
            team=row.team,
            channel=row.channel,
            user=row.user,
            source=Source.SCHEDULE,
            now=self._services.clock(),
        )
        try:
            if due.refused:
                text = f"{escape(row.label)} {due.refused}, so {code(row.command)} of <@{row.user}> was not run."
                await self._deliver(context, Answer(message=Message(text=text, blocks=(section(text),)), public=True))
                return
            handled = await execute(row.command, context)
            log.info("a chained command ran", extra={"chain": row.id, "outcome": handled.outcome})
            await self._deliver(context, handled.answer)
        except SlackPassing:
            raise  # the inbox has it given later
        except SlackError as exc:
            log.warning("a chained command's answer was not delivered", extra={"chain": row.id, "code": exc.code})
        except Exception:
            log.exception("a chained command broke", extra={"chain": row.id})
