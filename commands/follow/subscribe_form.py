"""The form for a channel's notifications of a pipeline, with a preview of what it would have posted in the last days."""

import json
import re
from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.blocks.message import (
    Block,
    View,
    checkboxes,
    divider,
    input_block,
    multi_select,
    person_select,
    radios,
    section,
    select,
    text_field,
)
from bot.blocks.message import context as small_print
from bot.blocks.text import harmless, plural
from bot.core.errors import NotLinked
from bot.notifications.cards import Cards
from bot.notifications.filters import EVENTS, PRESETS, Filter, filter_of
from bot.notifications.notification import Event, Extra
from bot.store.rows import LinkRow, NewNotification
from commands.core.context import Context
from commands.core.fields import target_of
from commands.core.forms import FieldError, Form, Submission, Values, picked, renewed, text
from commands.core.grammar import Target
from commands.core.replay import Past, judged, posted, replayed
from commands.core.resolve import resolve_pipeline
from commands.follow.filter_words import Conditions, merged
from commands.follow.subscribe import Args

PIPELINE, LINK, PRESET, RESULT, CHANGE = "pipeline", "link", "preset", "results", "changes"
BRANCH, TRIGGER, MENTION, PERSON = "branch", "trigger", "mention", "person"
THREAD, ESCALATE, SIGNAL, GROUP = "thread", "escalate", "signals", "group"
CHOSEN, CONDITIONS = "chosen", "conditions"
AUTHOR, NOBODY, SOMEBODY = "author", "none", "person"
PRESET_WORDS = {
    "all": "Every finished build",
    "edges": "Only changes: newly broken, fixed, waiting for approval, stuck",
    "failures": "Only failures",
    "release": "Releases: changes, and tags that passed",
    "quiet": "Nothing; digests only",
    CHOSEN: "Custom",
}
RESULT_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "cancelled": "cancelled",
    "timeout": "timed out",
    "skipped": "skipped",
    "partial": "partly passed",
    "unknown": "ended in another way",
}
CHANGE_WORDS = {
    "broken": "newly broken",
    "fixed": "fixed",
    "still-failing": "still failing",
    "worse": "more issues than before",
    "better": "fewer issues than before",
    "blocked": "waits for approval",
}
SIGNAL_WORDS = {
    "stuck": "is stuck",
    "slow": "is slow",
    "queued-long": "waits unusually long for a machine",
}
THREAD_WORDS = {
    "preset": "as usual for the choice above",
    "branch": "one thread for each red branch",
    "build": "each build in the channel",
}
GROUP_WORDS = {
    "build": "a card for each build",
    "commit": "one card for each commit, with other systems of the repository",
}
ESCALATE_WORDS = {
    "off": "never",
    "30m": "30 minutes",
    "60m": "1 hour",
    "120m": "2 hours",
    "1440m": "1 day",
}
TRIGGER_WORDS = {
    "push": "a push",
    "merge_request": "a merge request",
    "api": "the API (this bot too)",
    "cron": "a schedule",
    "web": "the CI system's pages",
}
_PERSON = re.compile(r"[UW][A-Z0-9]+")


class SubscribeForm(Form):
    """Choose the channel's notifications."""

    name = "subscribe"
    title = "Notifications"
    submit_label = "Save"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form for the pipeline that was named or is meant, else for the first one linked."""
        links = await _links(context)
        chosen = links[0]
        target = target_of(arguments.get(PIPELINE, ""))
        if not target.empty or len(links) == 1 or context.thread or context.message:
            pipeline = await resolve_pipeline(target, context, acting=False, verb="subscribe")
            if pipeline.link is None and not target.empty:
                raise NotLinked(
                    f"{pipeline.name} is not linked to this channel.",
                    hint=f"First: {context.command} link {pipeline.typed}",
                )
            chosen = pipeline.link or chosen
        else:
            chosen = next((link for link in links if link.is_default), chosen)
        typed: Conditions = json.loads(arguments.get(CONDITIONS) or "{}")
        before = merged(filter_of(chosen), typed)
        return await self._drawn(links, chosen, before, arguments, context)

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form with the preview of what stands in it, or of another pipeline."""
        links = await _links(context)
        chosen = _chosen(links, text(values, LINK))
        before = filter_of(chosen)
        if field == LINK:
            return await self._drawn(links, chosen, before, arguments, context)
        custom = text(values, PRESET) == CHOSEN
        conditions = _conditions(values)
        if custom and not conditions["on"]:
            events = [event for event in before.passing_events if event in EVENTS] if field == PRESET else []
            conditions["on"] = events or ["quiet"]
        new_filter = merged(before, conditions)
        return await self._drawn(
            links,
            chosen,
            new_filter,
            arguments,
            context,
            custom=custom,
            somebody=text(values, MENTION) == SOMEBODY,
        )

    async def _drawn(
        self,
        links: Sequence[LinkRow],
        chosen: LinkRow,
        link_filter: Filter,
        arguments: Mapping[str, str],
        context: Context,
        *,
        custom: bool = False,
        somebody: bool = False,
    ) -> View:
        shown = CHOSEN if link_filter.events or custom else link_filter.preset
        listed = [(link.alias or link.name, str(link.id)) for link in links]
        fields = [
            input_block("Notify about", radios(_turned(PRESET_WORDS), initial=shown), name=PRESET, dispatch=True),
        ]
        if shown == CHOSEN:
            fields += _event_fields(link_filter)
        default = chosen.branch or chosen.default_branch
        fields += [
            input_block(
                "Branches",
                text_field(initial=", ".join(link_filter.branches) or None, placeholder=default or "every branch"),
                name=BRANCH,
                optional=True,
                dispatch=True,
                hint="main, release/*; !wip/* leaves out. tag:* and pr:* for tags and pull requests. Enter shows the effect.",
            ),
            input_block(
                "Only when started by",
                multi_select(_turned(TRIGGER_WORDS), initial=link_filter.triggers, placeholder="anything"),
                name=TRIGGER,
                optional=True,
                dispatch=True,
            ),
            *_mention_fields(link_filter.mention, somebody=somebody),
            *_red_fields(link_filter),
        ]
        times, newest = await _preview(chosen, link_filter, context)
        blocks = [
            input_block("Pipeline", select(listed, initial=str(chosen.id)), name=LINK, dispatch=True),
            times,
            *renewed(fields, str(chosen.id)),
            divider(),
            *newest,
        ]
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `subscribe` with the filter of the fields."""
        chosen = _chosen(await _links(context), text(values, LINK))
        if text(values, PRESET) == CHOSEN and not _events(values):
            raise FieldError(RESULT, "Tick at least one, here or below.")
        if text(values, MENTION) == SOMEBODY and not text(values, PERSON):
            raise FieldError(PERSON, "Whom?")
        target = Target(pipeline=f"{chosen.connection}:{chosen.pipeline}")
        return Submission(verb="subscribe", args=Args(target=target, conditions=_conditions(values)))


async def _links(context: Context) -> list[LinkRow]:
    visible = context.services.connections.labels(context.team)
    links = [
        link
        for link in await context.store.links.of_channel(context.team, context.channel)
        if link.connection in visible
    ]
    if not links:
        raise NotLinked(
            "No pipeline is linked to this channel yet.", hint=f"First: {context.command} link, with a page's address."
        )
    return links[:100]


def _chosen(links: Sequence[LinkRow], number: str) -> LinkRow:
    for link in links:
        if str(link.id) == number:
            return link
    raise FieldError(LINK, "It is not linked here any more.")


def _turned(words: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(label, value) for value, label in words.items()]


def _event_fields(link_filter: Filter) -> list[Block]:
    ticked = link_filter.events or PRESETS[link_filter.preset]
    return [
        input_block(
            "When a build …",
            checkboxes(_turned(RESULT_WORDS), initial=ticked),
            name=RESULT,
            optional=True,
            dispatch=True,
        ),
        input_block(
            "… or its branch is …",
            checkboxes(_turned(CHANGE_WORDS), initial=ticked),
            name=CHANGE,
            optional=True,
            dispatch=True,
        ),
        input_block(
            "… or it …",
            checkboxes(_turned(SIGNAL_WORDS), initial=ticked),
            name=SIGNAL,
            optional=True,
            dispatch=True,
        ),
    ]


def _mention_fields(mention: str, *, somebody: bool) -> list[Block]:
    is_person = bool(_PERSON.fullmatch(mention))
    options = [("the author of the change", AUTHOR), ("nobody", NOBODY), ("a person", SOMEBODY)]
    if mention and mention != NOBODY and not is_person:
        options.append(("the group, as before", mention))
    person = person_select(initial=mention if is_person else "")
    whom = input_block(
        "Mention when it newly breaks",
        select(options, initial=SOMEBODY if is_person or somebody else mention or AUTHOR),
        name=MENTION,
        dispatch=True,
    )
    return [whom, input_block("Person", person, name=PERSON)] if is_person or somebody else [whom]


def _red_fields(link_filter: Filter) -> list[Block]:
    """Return the fields about red branches: where further failures go, and when to call somebody."""
    words = dict(ESCALATE_WORDS)
    chosen = link_filter.escalation_words or "off"
    if chosen not in words:  # typed: another time, or somebody to call
        words[chosen] = f"as before: {harmless(chosen.replace(',', ', '), styles=False)}"
    return [
        input_block(
            "While a branch is red",
            select(_turned(THREAD_WORDS), initial=link_filter.thread or "preset"),
            name=THREAD,
            dispatch=True,
        ),
        input_block(
            "Builds of one commit",
            select(_turned(GROUP_WORDS), initial=link_filter.group or "build"),
            name=GROUP,
            dispatch=True,
        ),
        input_block(
            "Call the author when nobody is on it for",
            select(_turned(words), initial=chosen),
            name=ESCALATE,
            hint="Somebody else: /build subscribe --escalate 30m @user",
        ),
    ]


def _events(values: Values) -> list[str]:
    return [*picked(values, RESULT), *picked(values, CHANGE), *picked(values, SIGNAL)]


def _conditions(values: Values) -> dict[str, Sequence[str]]:
    """Return the conditions that stand in the fields; an empty one ends what stood there."""
    preset = text(values, PRESET) or "all"
    mention = text(values, MENTION) or AUTHOR
    branches = [part for part in re.split(r"[,\s]+", text(values, BRANCH)) if part]
    conditions: dict[str, Sequence[str]] = {
        "on": _events(values) if preset == CHOSEN else [preset],
        "branch": branches,
        "trigger": picked(values, TRIGGER),
        "mention": [text(values, PERSON) or AUTHOR if mention == SOMEBODY else mention],
    }
    thread = text(values, THREAD)
    if thread:
        conditions["thread"] = [] if thread == "preset" else [thread]
    if group := text(values, GROUP):
        conditions["group"] = [] if group == "build" else [group]
    if escalate := text(values, ESCALATE):
        conditions["escalate"] = [] if escalate == "off" else escalate.split(",")
    return conditions


async def _preview(link: LinkRow, link_filter: Filter, context: Context) -> tuple[Block, list[Block]]:
    """Return how often the filter would have posted, and one real build as it would look."""
    default = link.branch or link.default_branch
    pasts = await replayed(link, context, starters=bool(link_filter.by))
    hits = posted(pasts, link, link_filter)
    times = plural(len(hits), "time", "times")
    summary = section(
        f"*{harmless(link_filter.in_words(default), styles=False)}*\nWould have posted *{times}* in the last 7 days."
    )
    if not pasts:
        return summary, [small_print("Nothing ended there in these days.")]
    if not hits:
        return summary, [
            small_print(
                f"Not even the newest build: {harmless(judged(pasts[-1], link, link_filter).reason, styles=False)}."
            )
        ]
    shown = hits[-1]
    drawn = await _drawn_notification(shown, link, judged(shown, link, link_filter).reason, context)
    return summary, [small_print("The newest of them:"), *drawn]


async def _drawn_notification(shown: Past, link: LinkRow, reason: str, context: Context) -> list[Block]:
    """Return a notification as the channel would see it, without its buttons: they would act."""
    cards = Cards(
        context.store,
        provider_of=context.services.connections.get,
        people=context.services.people,
        offers=False,
        clock=context.services.clock,
    )
    row = NewNotification(
        team=context.team,
        channel=context.channel,
        link=link.id,
        connection=link.connection,
        pipeline=link.pipeline,
        build=shown.build.id,
        attempt_no=shown.attempt.attempt_no,
        event=Event.FINISHED,
        reason=reason,
        extra=Extra(transition=shown.transition).as_json(),
        due_at=context.now,
        created_at=context.now,
    )
    drawn = await cards.draw(row, repeated=False)
    if drawn is None:
        return []
    blocks = (*drawn.message.blocks, *drawn.message.attached)
    return [block for block in blocks if block["type"] in {"section", "context"}]
