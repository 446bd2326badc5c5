"""The desk where every request is handled the same way, whoever brings it: parse, run, answer, one audit row.

Slash commands, buttons, mentions, direct messages, modals, schedules and the terminal all end here.
"""

import logging
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.blocks.error import error_message, surprise_message
from bot.blocks.message import Message, View
from bot.core.errors import BotError, NotAllowed, ProviderError, UsageError
from bot.security.redaction import redact
from bot.store.tables import AuditRow
from commands.core.context import Answer, Command, Request, Role, Services, Source
from commands.core.forms import Form, Values
from commands.core.grammar import clean
from commands.registry import split_verb

log = logging.getLogger(__name__)

REFERENCE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEPT_WORDS = 300
WRITTEN = frozenset({Source.BUTTON, Source.SCHEDULE})
"""Where the words are ours, or were cleaned when they were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """An answer, and how it came about: `ok`, `refused`, `failed` or `broke`."""

    answer: Answer
    outcome: str
    verb: str


async def handle(request: Request, services: Services) -> Handled:
    """Do what the request's text says and return what to tell the person. Never raises."""
    command: Command[Any] | None = None
    changes = True
    try:
        typed = request.text if request.source in WRITTEN else clean(request.text)
        command, words = split_verb(typed, services.command)
        changes = not command.reads
        ask = command.parse(words)
        changes = command.changes(ask)
        answer = await command.run(ask, request, services)
    except BotError as exc:
        outcome = "refused" if isinstance(exc, NotAllowed | UsageError) else "failed"
        if changes or isinstance(exc, NotAllowed):
            await _audit(request, services, command, outcome, str(exc))
        if isinstance(exc, ProviderError):
            log.info("a CI system refused", extra={"verb": command.verb if command else "", "why": str(exc)})
        message = error_message(exc, command=services.command)
        return Handled(answer=Answer(message=message), outcome=outcome, verb=command.verb if command else "")
    except Exception:
        reference = _reference()
        log.exception("a request broke", extra={"reference": reference, "verb": command.verb if command else ""})
        if changes:
            await _audit(request, services, command, "broke", f"reference {reference}")
        return Handled(
            answer=Answer(message=broken(reference, acted=command is not None and changes)),
            outcome="broke",
            verb=command.verb if command else "",
        )
    if changes:
        said_more = answer.message is not None and not answer.public and not answer.silent and command.role > Role.VIEW
        asked = answer.form is not None or said_more
        await _audit(request, services, command, "asked" if asked else "ok", "", answer)
    return Handled(answer=answer, outcome="ok", verb=command.verb)


async def submit(
    form: Form, values: Values, arguments: Mapping[str, str], request: Request, services: Services
) -> tuple[Answer, BotError | None]:
    """Do what a form says; return the answer, or what to show in the form. Never raises."""
    try:
        answer = await form.submit(values, arguments, request, services)
    except BotError as exc:
        await _audit_form(form, request, services, "refused" if isinstance(exc, NotAllowed) else "failed", str(exc))
        return Answer(), exc
    except Exception:
        reference = _reference()
        log.exception("a form broke", extra={"reference": reference, "form": form.name})
        await _audit_form(form, request, services, "broke", f"reference {reference}")
        return Answer(), BotError(
            f"Something broke on my side. Reference {reference}, logged.",
            hint="I can't say whether it took effect: look before you repeat it.",
        )
    await _audit_form(form, request, services, "ok", "", answer)
    return answer, None


async def draw(form: Form, drawing: Awaitable[View | None]) -> tuple[View | None, BotError | None]:
    """Return the form as drawn, or why it could not be drawn. Never raises."""
    try:
        return await drawing, None
    except BotError as exc:
        return None, exc
    except Exception:
        reference = _reference()
        log.exception("a form could not be drawn", extra={"reference": reference, "form": form.name})
        said = f"Something broke on my side. Reference {reference}, logged."
        return None, BotError(said, hint="Nothing was changed.")


async def suggest(form: Form, found: Awaitable[Sequence[tuple[str, str]]]) -> Sequence[tuple[str, str]]:
    """Return what a list offers while a person types, nothing where that fails. Never raises."""
    try:
        return await found
    except BotError as exc:
        log.info("a list could not be filled", extra={"form": form.name, "why": str(exc)})
    except Exception:
        log.exception("a list could not be filled", extra={"form": form.name})
    return ()


def broken(reference: str, *, acted: bool) -> Message:
    """Return what a person reads when something broke on our side; `acted` says that something may have been done."""
    if not acted:
        return surprise_message(reference, "Nothing was changed.")
    return surprise_message(reference, "I can't say whether it took effect: look before you repeat it.")


def _reference() -> str:
    return "".join(secrets.choice(REFERENCE_LETTERS) for _ in range(4))


async def _audit_form(
    form: Form, request: Request, services: Services, outcome: str, detail: str, answer: Answer | None = None
) -> None:
    await _written(
        AuditRow(
            at=request.now,
            team=request.team,
            channel=request.channel,
            user=request.user,
            verb=form.name,
            words="(form)",
            connection=answer.connection if answer else "",
            pipeline=answer.pipeline if answer else "",
            build=answer.build if answer else "",
            outcome=outcome,
            detail=redact(detail[: 10 * KEPT_WORDS])[:KEPT_WORDS],
            source=request.source.value,
        ),
        services,
    )


async def _audit(
    request: Request,
    services: Services,
    command: Command[Any] | None,
    outcome: str,
    detail: str,
    answer: Answer | None = None,
) -> None:
    if command is None:
        return
    await _written(
        AuditRow(
            at=request.now,
            team=request.team,
            channel=request.channel,
            user=request.user,
            verb=command.verb,
            words=redact(request.text[: 10 * KEPT_WORDS])[:KEPT_WORDS],
            connection=answer.connection if answer else "",
            pipeline=answer.pipeline if answer else "",
            build=answer.build if answer else "",
            outcome=outcome,
            detail=redact(detail[: 10 * KEPT_WORDS])[:KEPT_WORDS],
            source=request.source.value,
        ),
        services,
    )


async def _written(row: AuditRow, services: Services) -> None:
    """Write an audit row; where that fails the person still gets their answer, and the log keeps the row's words."""
    try:
        await services.store.audit.add(row)
    except Exception:
        log.exception("an audit row was not written", extra={"verb": row.verb, "outcome": row.outcome})
