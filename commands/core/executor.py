"""The executor: every command goes through `execute`, whatever it came in by.

parse -> resolve -> authorize -> run -> audit, each exactly once, for typed text, buttons, forms, shortcuts, mentions,
schedules and the terminal.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from bot.blocks.error import error_message, surprise_message
from bot.blocks.message import Message, View, actions, button, section
from bot.core.errors import Ambiguous, BotError, NotAllowed, NotLinked, ProviderError, UsageError
from bot.security.redaction import redact
from bot.store.rows import NewAudit
from commands.core.context import Answer, Context, Source
from commands.core.first_steps import tick_off
from commands.core.forms import Form, Submission, Values
from commands.core.grammar import clean, without_switch
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.permissions import check, may_somewhere
from commands.core.registry import Command

log = logging.getLogger(__name__)

T = TypeVar("T")

REFERENCE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEPT_WORDS = 300
PRESSABLE = frozenset({Source.SLASH, Source.BUTTON, Source.MENTION, Source.DIRECT, Source.SHORTCUT})
"""Where an answer can hold a button that opens a form."""
AS_WRITTEN = frozenset({Source.BUTTON, Source.SCHEDULE, Source.MCP})
"""Where the words are ours, or were cleaned when they were stored."""


class Outcome(StrEnum):
    """How a command went; the word of its audit row."""

    OK = "ok"
    ASKED = "asked"
    REFUSED = "refused"
    FAILED = "failed"
    BROKE = "broke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """A command's answer and how it came about. `error` is what a form shows instead of the answer."""

    answer: Answer
    outcome: Outcome
    verb: str
    error: BotError | None = None


@dataclass(slots=True)
class _Progress:
    """How far a command has come: what the audit row and the error message need wherever it stops."""

    words: str
    command: Command[Any, Any] | None = None
    changes: bool = True
    wants_form: bool = False
    match: PipelineMatch | BuildMatch | None = None
    recorded: Callable[[], str | None] | None = None

    @property
    def verb(self) -> str:
        return self.command.verb if self.command else ""


async def execute(command: str | Submission, context: Context) -> Handled:
    """Run a command and return the answer for the person. Writes one audit row where it acts or is refused. Never raises.

    `command` is a line as typed after the slash command, or what a form's fields stand for.
    """
    progress = _Progress(words=command if isinstance(command, str) else command.verb)
    try:
        answer = await _run(command, context, progress)
    except BotError as exc:
        outcome = _outcome_of(exc)
        if progress.command is not None and (progress.changes or isinstance(exc, NotAllowed)):
            await _audit(progress, context, outcome, str(exc))
        if isinstance(exc, ProviderError):
            log.info("a CI system refused", extra={"verb": progress.verb, "why": str(exc)})
        message = error_message(exc, command=context.command)
        return Handled(answer=Answer(message=message), outcome=outcome, verb=progress.verb, error=exc)
    except Exception:
        reference = _reference()
        log.exception("a command broke", extra={"reference": reference, "verb": progress.verb})
        acted = progress.command is not None and progress.changes
        if acted:
            await _audit(progress, context, Outcome.BROKE, f"reference {reference}")
        return Handled(
            answer=Answer(message=_broken(reference, acted=acted)),
            outcome=Outcome.BROKE,
            verb=progress.verb,
            error=BotError(
                f"Something broke on my side. Reference {reference}, logged.",
                hint="I can't say whether it took effect: look before you repeat it."
                if acted
                else "Nothing was changed.",
            ),
        )
    if progress.changes:
        outcome = Outcome.ASKED if answer.is_question or answer.form is not None else Outcome.OK
        await _audit(progress, context, outcome, "", answer)
        if outcome is Outcome.OK:
            await _tick_off(progress.verb, context)
    return Handled(answer=answer, outcome=Outcome.OK, verb=progress.verb)


async def _tick_off(verb: str, context: Context) -> None:
    """Tick a step of the installer's checklist off; where that fails only the log says so."""
    try:
        await tick_off(verb, context)
    except Exception:
        log.exception("the checklist was not kept", extra={"verb": verb})


async def _run(request: str | Submission, context: Context, progress: _Progress) -> Answer:
    args = _parsed(request, context, progress)
    command = progress.command
    if command is None:  # _parsed has set it, or raised
        raise UsageError("There is no command.")
    progress.changes = command.changes(args)
    if progress.changes and not context.may_act:
        raise NotAllowed(
            f"{_doing(command)} changes something, and this token may only read. Nothing was done.",
            hint=f"A token that may act: `{context.command} me token new NAME --act`.",
        )
    if progress.wants_form:
        return await _form(command, args, context)
    opening = command.opens(args, context) if context.can_open_form else None
    if opening is not None:
        role = command.role if command.form_role is None else command.form_role
        await may_somewhere(role, _doing(command), context)
        return Answer(form=opening)
    resolved = await _or_again(partial(command.resolve, args, context), context)
    if isinstance(resolved, Answer):
        await may_somewhere(command.role, _doing(command), context)
        return replace(resolved, is_question=True)
    progress.match = _match_of(resolved)
    if command.recorded is not None:
        progress.recorded = partial(command.recorded, args, resolved)
    for requirement in command.authorize(args, resolved, context):
        await check(requirement, context)
    return await command.run(args, resolved, context)


async def _or_again(resolve: Callable[[], Awaitable[T]], context: Context) -> T:
    """Resolve words, and again where nothing fits and another process has just made a connection."""
    try:
        return await resolve()
    except NotLinked:
        if not await context.services.connections.catch_up(context.team):
            raise
    return await resolve()


def _parsed(request: str | Submission, context: Context, progress: _Progress) -> Any:
    """Return the typed arguments; what is known of the command so far goes into `progress`."""
    registry = context.services.registry
    if isinstance(request, Submission):
        command = registry.find(request.verb)
        if command is None:
            raise UsageError(f"There is no command {request.verb}.")
        progress.command = command
        progress.words = f"{command.verb} {command.spoken(request.args)}".strip()
        return request.args
    typed = request if context.source in AS_WRITTEN else clean(request)
    progress.command, words = registry.split(typed, context.command)
    progress.changes = not progress.command.reads
    if progress.command.form is not None:
        words, progress.wants_form = without_switch(words, "form")
    return progress.command.parse(words)


async def _form(command: Command[Any, Any], args: Any, context: Context) -> Answer:
    """Return the form that was asked for; where none can be opened, a button that opens it. Raises UsageError."""
    if command.form is None:
        raise UsageError(f"`{command.verb}` has no form.", usage=command.usage)
    await may_somewhere(command.role if command.form_role is None else command.form_role, _doing(command), context)
    opening = command.form(args, context)
    if context.can_open_form:
        return Answer(form=opening)
    if context.source not in PRESSABLE:
        raise UsageError("A form can't be opened from here. Nothing was done.", usage=command.usage)
    text = f"The form of `{command.verb}` opens with a press. Nothing was done yet."
    button_words = f"{command.verb} {command.spoken(args)} --form"
    return Answer(
        message=Message(
            text=text, blocks=(section(text), actions(button("Open the form", button_words, style="primary")))
        ),
        is_question=True,
    )


def may_change(text: str, context: Context) -> bool:
    """Return whether a line names a command that changes something. Never raises."""
    try:
        command, _words = context.services.registry.split(clean(text), context.command)
    except BotError:
        return False
    return not command.reads


def _match_of(resolved: object) -> PipelineMatch | BuildMatch | None:
    """Return the match that a resolution is about, for the audit row: itself, or its `match`."""
    subject = getattr(resolved, "match", resolved)
    return subject if isinstance(subject, PipelineMatch | BuildMatch) else None


def _doing(command: Command[Any, Any]) -> str:
    return f"`{command.verb}`"


def _outcome_of(error: BotError) -> Outcome:
    if isinstance(error, Ambiguous):
        return Outcome.ASKED
    return Outcome.REFUSED if isinstance(error, NotAllowed | UsageError) else Outcome.FAILED


async def submit(form: Form, values: Values, arguments: dict[str, str], context: Context) -> Handled:
    """Run the command that a submitted form stands for. `error`, where there is one, is for the form to show."""
    try:
        submission = await _or_again(partial(form.submitted, values, arguments, context), context)
    except BotError as exc:
        return Handled(answer=Answer(), outcome=_outcome_of(exc), verb=form.name, error=exc)
    except Exception:
        reference = _reference()
        log.exception("a form could not be read", extra={"reference": reference, "form": form.name})
        error = BotError(f"Something broke on my side. Reference {reference}, logged.", hint="Nothing was changed.")
        return Handled(answer=Answer(), outcome=Outcome.BROKE, verb=form.name, error=error)
    handled = await execute(submission, context)
    if handled.error is None:
        return handled
    return replace(handled, error=form.at_field(handled.error, values))


async def draw(form: Form, drawing: Awaitable[View | None]) -> tuple[View | None, BotError | None]:
    """Return the form as drawn, or why it could not be drawn. Never raises."""
    try:
        return await drawing, None
    except BotError as exc:
        return None, exc
    except Exception:
        reference = _reference()
        log.exception("a form could not be drawn", extra={"reference": reference, "form": form.name})
        message = f"Something broke on my side. Reference {reference}, logged."
        return None, BotError(message, hint="Nothing was changed.")


async def suggest(form: Form, offered: Awaitable[Sequence[tuple[str, str]]]) -> Sequence[tuple[str, str]]:
    """Return what a list offers while a person types, nothing where that fails. Never raises."""
    try:
        return await offered
    except BotError as exc:
        log.info("a list could not be filled", extra={"form": form.name, "why": str(exc)})
    except Exception:
        log.exception("a list could not be filled", extra={"form": form.name})
    return ()


def _broken(reference: str, *, acted: bool) -> Message:
    if not acted:
        return surprise_message(reference, "Nothing was changed.")
    return surprise_message(reference, "I can't say whether it took effect: look before you repeat it.")


def _reference() -> str:
    return "".join(secrets.choice(REFERENCE_LETTERS) for _ in range(4))


async def _audit(
    progress: _Progress, context: Context, outcome: Outcome, detail: str, answer: Answer | None = None
) -> None:
    """Write the audit row; where that fails the person still gets their answer, and the log says so."""
    connection, pipeline, build = _subject(progress.match, answer)
    recorded = progress.recorded() if progress.recorded is not None else None
    words = progress.words if recorded is None else f"{progress.verb} {recorded}"
    row = NewAudit(
        at=context.now,
        team=context.team,
        channel=context.channel,
        user=context.user,
        verb=progress.verb,
        words=redact(words[: 10 * KEPT_WORDS])[:KEPT_WORDS],
        connection=connection,
        pipeline=pipeline,
        build=build,
        outcome=outcome.value,
        detail=redact(detail[: 10 * KEPT_WORDS])[:KEPT_WORDS],
        source=context.source.value,
    )
    try:
        await context.store.audit.add(row)
    except Exception:
        log.exception("an audit row was not written", extra={"verb": row.verb, "outcome": row.outcome})


def _subject(match: PipelineMatch | BuildMatch | None, answer: Answer | None) -> tuple[str, str, str]:
    """Return the connection, pipeline and build that an audit row names: the answer's, else what the words resolved to."""
    if answer is not None and answer.connection:
        return answer.connection, answer.pipeline, answer.build
    if isinstance(match, BuildMatch):
        return match.build.connection, match.build.pipeline, match.build.id
    if match is not None:
        return match.connection, match.id, ""
    return "", "", ""
