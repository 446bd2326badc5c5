"""What the bot knows of an attempt beside its build: who started it, what people did about it, what replaced it. Pure."""

from collections.abc import Sequence

from bot.blocks.available_actions import available_actions
from bot.blocks.lines import Facts, Note
from bot.blocks.text import DOT, Markup, clean_url, link, markup, mention, when
from bot.core.models import Build
from bot.providers.base.provider import AnyProvider
from bot.store import retention
from bot.store.rows import BuildRow, CardNoteRow, ClaimRow
from bot.store.states import NoteKind


def facts_of(
    team: str,
    stored: BuildRow,
    notes: Sequence[CardNoteRow],
    claim: ClaimRow | None,
    *,
    attempt_no: int,
) -> Facts:
    """Return what the bot knows of an attempt beside its build, as one workspace may read it."""
    is_current = stored.attempt_no == attempt_no
    replaced = next((_replaced_words(note) for note in reversed(notes) if note.kind == NoteKind.REPLACED), "")
    if not replaced and not is_current:
        replaced = f"Attempt {stored.attempt_no} has replaced it"
    cancelled = next((note.user for note in notes if note.kind == NoteKind.CANCELLED), "")
    acts = [
        Note(text=note.text, at=note.at, user=note.user)
        for note in notes
        if note.kind in {NoteKind.ACT, NoteKind.CANCELLED}
    ]
    if claim is not None and is_current:
        acts.append(Note(text="is on it", at=claim.until - retention.CLAIMS, user=claim.user))
    return Facts(
        starter=stored.started_by if stored.started_team == team and is_current else "",
        cancelled_by=cancelled,
        waiting_since=stored.waiting_since if is_current else None,
        approval_seconds=stored.approval_seconds if is_current else 0.0,
        notes=tuple(acts),
        is_claimed=claim is not None and is_current,
        replaced=replaced,
    )


def offered(provider: AnyProvider, build: Build, facts: Facts, *, has_approvals: bool) -> frozenset[str]:
    """Return the verbs that a card of a build offers."""
    return available_actions(
        build,
        provider.capabilities,
        cancels_waiting=provider.cancels_waiting,
        has_approvals=has_approvals,
        is_claimed=facts.is_claimed,
        is_replaced=bool(facts.replaced),
    )


def _replaced_words(note: CardNoteRow) -> Markup:
    who = f"{mention(note.user)} " if note.user else ""
    at = f"{DOT}{when(note.at)}" if note.user else ""
    page = f"{DOT}{link(note.url, 'Open it')}" if clean_url(note.url) else ""
    return Markup(f"{who}{markup(note.text, 300)}{at}{page}")
