"""What acting verbs share: one public line, the live card, asking first, and looking again afterwards."""

from dataclasses import replace

from bot.blocks.message import Message, actions, button, context, section
from bot.blocks.text import Markup, escape
from bot.core.errors import UsageError
from bot.core.models import Build, Status
from bot.notifications.decisions import started_row
from bot.providers.base.capabilities import Capability
from bot.store.tables import BuildRow, NotificationRow, WatchRow
from commands.core.context import Answer, Request, Role, Services, Source
from commands.core.grammar import ParsedArgs
from commands.core.permissions import require
from commands.core.resolve import BuildMatch, PipelineMatch

DOUBLE_CLICK_SECONDS = 5.0


def must_be_able(place: PipelineMatch, capability: Capability, build: Build | None = None) -> None:
    """Raise Unsupported in the system's own words where it can't do a thing."""
    if not place.provider.can(capability):
        raise place.provider.unsupported(capability, build.web_url if build else None)


def check_attempt(found: BuildMatch, ask: ParsedArgs) -> None:
    """Raise UsageError where a button belongs to an earlier attempt of the build than the present one."""
    given = ask.flag("round")
    if given is None or not given.isdigit() or int(given) >= found.attempt_no:
        return
    state = found.build.conclusion.value if found.build.conclusion else found.build.status.value.replace("_", " ")
    raise UsageError(
        f"This card is from attempt {given}; attempt {found.attempt_no} is {state}.",
        hint=f"Open it: {found.build.web_url}" if found.build.web_url else "Use the newest card.",
    )


async def first_click(what: str, request: Request, services: Services) -> bool:
    """Return False where the same person asked for the same a moment ago (a double click)."""
    if request.source is not Source.BUTTON:
        return True
    key = f"click:{request.team}:{request.user}:{request.channel}:{what}"
    return await services.store.tokens.add(key, seconds=DOUBLE_CLICK_SECONDS)


async def is_own(build: Build, request: Request, services: Services) -> bool:
    """Return whether a person started a build themselves through the bot."""
    known = await services.store.builds.get(build.key)
    return known is not None and known[1].started_by == request.user


def asks_first(question: str, effect: str, words: str, *, yes: str, danger: bool = True) -> Answer:
    """Return the question that stands before an act, with a button that types the same words and `--yes`.

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
        )
    )


async def announce(
    build: Build,
    place: PipelineMatch,
    request: Request,
    services: Services,
    *,
    headline: str,
    watch: bool = True,
    reopened: bool = False,
) -> Answer:
    """Post the live card of a build that a person started here, and watch it to its end."""
    where = request.channel or request.user
    if request.source is Source.TERMINAL:
        return Answer(
            message=Message(text=headline), connection=place.connection, pipeline=place.pipeline, build=build.id
        )

    def card(row: BuildRow) -> list[NotificationRow]:
        return [
            started_row(
                build,
                team=request.team,
                channel=where,
                user=request.user,
                attempt_no=row.attempt_no,
                headline=headline,
                response_url=request.response_url,
                thread=request.thread if request.source is Source.MENTION else "",
                now=request.now,
            )
        ]

    watches = [
        WatchRow(
            team=request.team,
            channel=where,
            user=request.user,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            why="started",
            created_at=request.now,
        )
    ]
    await services.store.recording.record_start(
        build,
        team=request.team,
        channel=where,
        user=request.user,
        notifications=card,
        watches=watches if watch else [],
        now=request.now,
        reopened=reopened,
    )
    await services.store.polling.ensure(place.connection, place.provider.poll_target(place.pipeline), now=request.now)
    await look_again(build, place, services, request)
    services.wake_outbox()
    return Answer(silent=True, connection=place.connection, pipeline=place.pipeline, build=build.id)


async def look_again(build: Build, place: PipelineMatch, services: Services, request: Request) -> None:
    """Have the poller read a build again now, so that its cards follow."""
    await services.store.polling.request(
        place.connection,
        place.provider.poll_target(place.pipeline),
        [(build.pipeline, build.id)],
        full=False,
        now=request.now,
    )
    services.wake_poller()


def reopened(build: Build) -> Build:
    """Return a build whose jobs run again as queued: systems that answer before they act still show the old end."""
    if not build.completed:
        return build
    return replace(build, status=Status.QUEUED, conclusion=None, completed_at=None, started_at=None)


def public_line(text: str, build: Build | None = None, place: PipelineMatch | None = None) -> Answer:
    """Return the one public line that an act leaves."""
    return Answer(
        message=Message(text=text, blocks=(section(text),)),
        public=True,
        connection=place.connection if place else "",
        pipeline=place.pipeline if place else "",
        build=build.id if build else "",
    )


def noted(message: Message, place: PipelineMatch) -> Message:
    """Return an answer that says which pipeline was meant where none, or a name that fits several, was typed."""
    if not place.guessed:
        return message
    return replace(
        message, blocks=(*message.blocks, context(f"Shown: {escape(place.label)}, {escape(place.guessed)}."))
    )


def who(request: Request) -> str:
    """Return the acting person as a mention."""
    return f"<@{request.user}>" if request.source is not Source.TERMINAL else "The terminal"


async def may_act_on(found: BuildMatch, doing: str, request: Request, services: Services) -> None:
    """Raise NotAllowed unless the person may cancel, retry or rebuild this build here."""
    await require(Role.RUN, doing, request, services, found.place, found.build.branch or found.build.tag)
