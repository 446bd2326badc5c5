"""What acts share: the public line, the live card, the question before an act, polling again afterwards."""

import shlex
from dataclasses import replace

from bot.blocks.message import Message, actions, button, section
from bot.blocks.message import context as small_print
from bot.blocks.text import Markup, bold, escape, mention
from bot.core.acting import is_presumed
from bot.core.errors import Unavailable, UsageError
from bot.core.models import Build, Status
from bot.core.text import folded
from bot.core.tracing import current_trace
from bot.notifications.decisions import started_row
from bot.providers.base.capabilities import Capability
from bot.store.recorded import AlreadyStarted
from bot.store.rows import NewWatch
from bot.store.states import NoteKind
from commands.core.context import Answer, Context, Source
from commands.core.matches import BuildMatch, PipelineMatch, name_of, state_of
from commands.core.memory import keep_for_undo


def must_be_able(pipeline: PipelineMatch, capability: Capability, build: Build | None = None) -> None:
    """Raise Unsupported in the provider's own words where it cannot do a thing."""
    if not pipeline.provider.can(capability):
        raise pipeline.provider.unsupported(capability, build.web_url if build else None)


def check_attempt(match: BuildMatch, attempt: int | None) -> None:
    """Raise UsageError where a button belongs to an earlier attempt of the build than the present one."""
    if attempt is None or attempt >= match.attempt_no:
        return
    raise UsageError(
        f"This card is from attempt {attempt}; attempt {match.attempt_no} is {state_of(match.build)}.",
        hint=f"Open it: {match.build.web_url}" if match.build.web_url else "Use the newest card.",
    )


async def is_own(build: Build, context: Context) -> bool:
    """Return whether a person started a build themselves through the bot."""
    stored = await context.store.builds.get(build.key)
    return stored is not None and bool(context.user) and stored[1].started_by == context.user


async def starter_of(build: Build, context: Context) -> Markup:
    """Return who started a build, as a sentence names them: the Slack person first, else as the CI system names them."""
    stored = await context.store.builds.get(build.key)
    if stored is not None and stored[1].started_by:
        return mention(stored[1].started_by)
    return escape(build.triggered_by or (build.author.name if build.author else None) or "somebody else")


def asks_first(question: str, effect: str, words: str, *, yes: str, danger: bool = True) -> Answer:
    """Return the question that stands before an act, with a button for the same command and `--yes`.

    Question and effect are escaped, unless they are `Markup` already.
    """
    question, effect = (text if isinstance(text, Markup) else escape(text) for text in (question, effect))
    return Answer(
        message=Message(
            text=f"{question} {effect}".strip(),
            blocks=(
                section(f"{question}\n{effect}" if effect else question),
                actions(
                    button(yes, f"{words} --yes", style="danger" if danger else "primary"),
                    button("Never mind", "help --dismiss"),
                ),
            ),
        ),
        is_question=True,
    )


async def announce(
    build: Build,
    pipeline: PipelineMatch,
    context: Context,
    *,
    headline: str,
    watch: bool = True,
    retried: BuildMatch | None = None,
    has_card: bool = False,
    note: str = "",
) -> Answer:
    """Post the live card of a build that a person started here, and watch it to its end.

    `retried` is the same build as it had ended, where it runs again. With `has_card` a card of the build stands here already, which shows the new attempt: nothing is posted.
    `note` is shown to the person alone: what could not be checked before the act. So is which pipeline was taken, and
    why, where none was named.
    """
    conversation = context.channel or context.user
    note = "\n".join(filter(None, (default_words(pipeline), note)))
    started = Answer(silent=True, connection=pipeline.connection, pipeline=build.pipeline, build=build.id)
    if context.source is Source.TERMINAL:
        return replace(started, silent=False, message=Message(text=f"{headline}\n{note}".strip()))

    card = started_row(
        build,
        team=context.team,
        channel=conversation,
        user=context.user,
        headline=headline,
        response_url=context.response_url,
        thread=context.thread if context.source is Source.MENTION else "",
        trace=current_trace(),
        now=context.now,
    )
    watches = [
        NewWatch(
            team=context.team,
            channel=conversation,
            user=context.user,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            why="started",
            created_at=context.now,
        )
    ]
    try:
        await context.store.recording.record_start(
            build,
            team=context.team,
            channel=conversation,
            user=context.user,
            notifications=[] if has_card else [card],
            watches=watches if watch else [],
            now=context.now,
            before=retried.build if retried else None,
            after_attempt=retried.attempt_no if retried else None,
            is_presumed=is_presumed(),
        )
    except AlreadyStarted:
        raise started_by_another(build, pipeline) from None
    target = pipeline.provider.poll_target(build.pipeline)
    await context.store.polling.ensure(pipeline.connection, target, now=context.now)
    await poll_again(build, pipeline, context)
    context.services.wake_outbox()
    if note:
        return replace(started, silent=False, message=Message(text=note, blocks=(section(note),)))
    return started


def started_by_another(build: Build, pipeline: PipelineMatch) -> Unavailable:
    """Return the error for a start without an answer of which only another command's build can be seen."""
    return Unavailable(
        f"{pipeline.provider.label} did not answer, and I can't see whether it acted. I did not try again."
        f" {name_of(build, pipeline.name)} looks like it, but another command started it.",
        provider=pipeline.provider.label,
        hint="Look at its page before you repeat this.",
        acted=True,
    )


def made_from(after: Build, before: Build) -> Build:
    """Return a new build with what is known of the one it repeats: in a history they stand together, by their commit."""
    if after.key == before.key or after.pipeline != before.pipeline:
        return after
    is_same_commit = bool(after.commit and before.commit) and folded(after.commit or "") == folded(before.commit or "")
    first_built_at = before.first_built_at or before.created_at if is_same_commit else None
    return replace(after, rebuilt_from=after.rebuilt_from or before.id, first_built_at=first_built_at)


async def poll_again(build: Build, pipeline: PipelineMatch, context: Context) -> None:
    """Have the poller read a build again now, so that its cards follow."""
    await context.store.polling.request(
        pipeline.connection,
        pipeline.provider.poll_target(build.pipeline),
        [(build.pipeline, build.id)],
        full=False,
        now=context.now,
    )
    context.services.wake_poller()


def as_reopened(build: Build) -> Build:
    """Return a build whose jobs run again as queued: systems that answer before they act still show the old end."""
    if not build.completed:
        return build
    return replace(build, status=Status.QUEUED, conclusion=None, completed_at=None, started_at=None)


async def has_card_here(build: Build, context: Context) -> bool:
    """Return whether a message of this conversation is a card of a build."""
    cards = await context.store.cards.showing(build.key)
    return any((card.team, card.channel) == (context.team, context.channel) for card in cards)


async def is_pressed_on_card(build: Build, context: Context) -> bool:
    """Return whether the act is a button of a card that shows this very build."""
    if context.source is not Source.BUTTON or not context.message:
        return False
    place = (context.team, context.channel, context.message)
    return any((card.team, card.channel, card.ts) == place for card in await context.store.cards.showing(build.key))


async def note_on_cards(
    match: BuildMatch, context: Context, *, did: str, kind: NoteKind = NoteKind.ACT, by: Build | None = None
) -> None:
    """Write on a build's cards what the person did about it; `did` is mrkdwn that goes after a name ("cancelled it").

    `by` is the build that replaced it.
    """
    by_terminal = context.source is Source.TERMINAL
    await context.store.cards.note(
        match.build.key,
        match.attempt_no,
        team=context.team,
        text=f"{actor(context)} {did}" if by_terminal else did,
        user="" if by_terminal else context.user,
        kind=kind,
        url=(by.web_url or "") if by is not None else "",
        at=context.now,
    )
    context.services.wake_outbox()


async def redraw_cards(match: BuildMatch, context: Context) -> None:
    """Have a build's cards drawn anew: what they show of it beside its state has changed."""
    await context.store.cards.redraw(match.build.key, team=context.team, at=context.now)
    context.services.wake_outbox()


async def answered(match: BuildMatch, context: Context, *, line: str) -> Answer:
    """Return how a person is answered whose act the cards of a build show; `line` is the sentence about it, mrkdwn.

    A button of a card is answered by the card itself; other ways in are answered to the person where the conversation
    has a card, else by one public line.
    """
    build = match.build
    answer = public_line(line, build, match.pipeline)
    if answer.message is not None:
        answer = replace(answer, message=noted(answer.message, match.pipeline))
    if not await has_card_here(build, context):
        return answer
    if await is_pressed_on_card(build, context):
        return replace(answer, message=None, public=False, silent=True)
    return replace(answer, public=False, replace=True)


def public_line(
    text: str, build: Build | None = None, pipeline: PipelineMatch | None = None, *, undo: str = ""
) -> Answer:
    """Return the one public line that an act leaves; `undo` is the token that takes the act back."""
    back = (actions(button("Undo", f"undo {shlex.quote(undo)}")),) if undo else ()
    return Answer(
        message=Message(text=text, blocks=(section(text), *back)),
        public=True,
        connection=pipeline.connection if pipeline else "",
        pipeline=build.pipeline if build else pipeline.id if pipeline else "",
        build=build.id if build else "",
    )


async def undo_token(kind: str, fields: dict[str, object], context: Context) -> str:
    """Keep what an act removes, so that `undo` brings it back within a day."""
    return await keep_for_undo({"kind": kind, "fields": fields}, context)


def noted(message: Message, pipeline: PipelineMatch) -> Message:
    """Return an answer that says which pipeline was taken where none, or a name that fits several, was typed."""
    if not pipeline.note:
        return message
    line = small_print(pipeline.note)
    fallback = (*message.fallback, line) if message.fallback else ()
    return replace(message, blocks=(*message.blocks, line), fallback=fallback)


def default_words(pipeline: PipelineMatch) -> str:
    """Return which pipeline an act took where none was named, and why; an empty text where one was. Mrkdwn."""
    return f"{pipeline.note}: {bold(pipeline.name)}" if pipeline.note else ""


def actor(context: Context) -> str:
    """Return the acting person as a mention, and that a program acted for them where that is so."""
    if context.source is Source.TERMINAL:
        return "The terminal"
    return f"<@{context.user}> (by mcp)" if context.source is Source.MCP else f"<@{context.user}>"


def number_words(build: Build) -> str:
    """Return `#41`, or `a build` where it has no number."""
    if build.label:
        return f"#{escape(build.label)}"
    return f"#{build.number}" if build.number is not None else "a build"
