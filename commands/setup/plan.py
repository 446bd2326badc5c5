"""What an import would change in a channel, and doing it: all of it in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bot.core.errors import UsageError
from bot.core.models import Pipeline
from bot.core.recurrence import zone_of
from bot.core.recurrence_words import parse_recurrence
from bot.security.redaction import without_secrets
from bot.store.rows import GrantRow, LinkRow, NewGrant, NewLink, NewSchedule, ScheduleRow
from bot.store.store import Transaction
from commands.act.presets import MOST as MOST_PRESETS
from commands.act.presets import check_name
from commands.act.run import parameters_of, secret_names
from commands.core.context import Context, Role
from commands.core.grammar import Target
from commands.core.matches import PipelineMatch
from commands.core.resolve import resolve_pipeline
from commands.follow.schedule import MOST as MOST_SCHEDULES
from commands.follow.schedule_checks import check_scheduled
from commands.setup.config import (
    Act,
    Difference,
    Document,
    LinkEntry,
    RoleEntry,
    ScheduleEntry,
    changed_fields,
    normal_filters,
)
from commands.setup.link import check_alias, seed

ROLES = frozenset(role.word for role in Role)
SUBJECTS = frozenset({"user", "group", "channel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A channel's set-up as stored, as rows and as entries in the same order."""

    links: tuple[tuple[LinkRow, LinkEntry], ...]
    roles: tuple[tuple[GrantRow, RoleEntry], ...]
    schedules: tuple[tuple[ScheduleRow, ScheduleEntry], ...]

    @property
    def document(self) -> Document:
        """Return the set-up as a document."""
        return Document(
            links=tuple(entry for _row, entry in self.links),
            roles=tuple(entry for _row, entry in self.roles),
            schedules=tuple(entry for _row, entry in self.schedules),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWrite:
    """A link to write. `before` is the entry as stored, None for a new one, whose pipeline was just read."""

    row: NewLink
    entry: LinkEntry
    before: LinkEntry | None = None
    link_id: int = 0
    match: PipelineMatch | None = None
    pipeline: Pipeline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an import does, and the same in words."""

    links: tuple[LinkWrite, ...]
    removed_links: tuple[LinkRow, ...]
    roles: tuple[RoleEntry, ...]
    removed_roles: tuple[GrantRow, ...]
    schedules: tuple[ScheduleEntry, ...]
    removed_schedules: tuple[ScheduleRow, ...]
    differences: tuple[Difference, ...]


async def stored(context: Context) -> Stored:
    """Return a channel's set-up as stored."""
    links = []
    for row in await context.store.links.of_channel(context.team, context.channel):
        presets = await context.store.presets.of_pipeline(context.team, context.channel, row.connection, row.pipeline)
        entry = LinkEntry(
            pipeline=f"{row.connection}:{row.path}",
            alias=row.alias,
            default=row.is_default,
            branch=row.branch,
            notifications=row.subscribed,
            filters=row.filters,
            protected=row.protected,
            presets=presets,
        )
        links.append((row, entry))
    grants = [row for row in await context.store.grants.all(context.team) if row.channel == context.channel]
    schedules = await context.store.schedules.of_channel(context.team, context.channel)
    return Stored(
        links=tuple(links),
        roles=tuple(
            (row, RoleEntry(role=row.role, subject=row.subject, pipelines=row.pipelines, refs=row.refs))
            for row in grants
        ),
        schedules=tuple((row, ScheduleEntry(times=row.words, command=row.command)) for row in schedules),
    )


async def planned(document: Document, context: Context) -> Plan:
    """Return what a document would change. Raises UsageError for what can't be done.

    Costs a request for each pipeline that is not linked yet, one for each with new presets, and what checking each new
    schedule costs.
    """
    now = await stored(context)
    writes, removed_links = await _links(document.links, now, context)
    held_roles = {entry: row for row, entry in now.roles}
    held_schedules = {entry: row for row, entry in now.schedules}
    roles = held_roles if document.roles is None else dict.fromkeys(document.roles)
    schedules = held_schedules if document.schedules is None else dict.fromkeys(document.schedules)
    new_roles = tuple(entry for entry in roles if entry not in held_roles)
    new_schedules = tuple(entry for entry in schedules if entry not in held_schedules)
    for role in new_roles:
        _check_role(role)
    if len(schedules) > MOST_SCHEDULES:
        raise UsageError(f"A channel has up to {MOST_SCHEDULES} schedules.")
    for schedule in new_schedules:
        parse_recurrence(schedule.times)
        await check_scheduled(schedule.command, schedule.times, context)
    removed_roles = tuple((entry, row) for entry, row in held_roles.items() if entry not in roles)
    removed_schedules = tuple((entry, row) for entry, row in held_schedules.items() if entry not in schedules)
    differences = (
        *(Difference(act=Act.REMOVE, words=f"link {row.connection}:{row.path}") for row in removed_links),
        *(_link_difference(write) for write in writes),
        *(Difference(act=Act.REMOVE, words=_role_words(entry)) for entry, _row in removed_roles),
        *(Difference(act=Act.ADD, words=_role_words(entry)) for entry in new_roles),
        *(Difference(act=Act.REMOVE, words=_schedule_words(entry)) for entry, _row in removed_schedules),
        *(Difference(act=Act.ADD, words=_schedule_words(entry)) for entry in new_schedules),
    )
    return Plan(
        links=writes,
        removed_links=removed_links,
        roles=new_roles,
        removed_roles=tuple(row for _entry, row in removed_roles),
        schedules=new_schedules,
        removed_schedules=tuple(row for _entry, row in removed_schedules),
        differences=differences,
    )


def _link_difference(write: LinkWrite) -> Difference:
    changes = ", ".join(changed_fields(write.before or LinkEntry(pipeline=""), write.entry))
    words = f"link {write.row.connection}:{write.row.path}{f': {changes}' if changes else ''}"
    return Difference(act=Act.ADD if write.before is None else Act.CHANGE, words=words)


def _role_words(entry: RoleEntry) -> str:
    narrowed = "".join(
        f" {name} {value}" for name, value in (("on", entry.pipelines), ("refs", entry.refs)) if value != "*"
    )
    return f"role {entry.role} for {entry.subject}{narrowed}"


def _schedule_words(entry: ScheduleEntry) -> str:
    return f'schedule "{entry.times}" {entry.command}'


def _check_role(entry: RoleEntry) -> None:
    kind, _, name = entry.subject.partition(":")
    if entry.role not in ROLES:
        raise UsageError(f"There is no role `{entry.role}`.")
    if kind not in SUBJECTS or not name.isalnum():
        raise UsageError(f"`{entry.subject}` is no `user:U…`, `group:S…` or `channel:C…`.")
    if not entry.pipelines or not entry.refs:
        raise UsageError("The pipelines and refs of a role are patterns; `*` stands for all.")


async def _links(
    entries: Sequence[LinkEntry] | None, now: Stored, context: Context
) -> tuple[tuple[LinkWrite, ...], tuple[LinkRow, ...]]:
    """Return the links to write, and those to remove."""
    if entries is None:
        return (), ()
    held = {(row.connection, row.pipeline): (row, entry) for row, entry in now.links}
    by_name = {entry.pipeline: row for row, entry in now.links}
    writes: list[LinkWrite] = []
    kept: set[tuple[str, str]] = set()
    for requested in entries:
        if requested.alias:
            check_alias(requested.alias)
        row = by_name.get(requested.pipeline)
        match: PipelineMatch | None = None
        if row is None:
            match = await resolve_pipeline(Target(pipeline=requested.pipeline), context, acting=True, verb="import")
        key = (row.connection, row.pipeline) if row is not None else (match.connection, match.id) if match else ("", "")
        if key in kept:
            raise UsageError(f"`{requested.pipeline}` names a pipeline that stands there twice.")
        kept.add(key)
        write = await _link(requested, key, held, match, context)
        if write is not None:
            writes.append(write)
    return tuple(writes), tuple(row for key, (row, _entry) in held.items() if key not in kept)


async def _link(
    requested: LinkEntry,
    key: tuple[str, str],
    held: dict[tuple[str, str], tuple[LinkRow, LinkEntry]],
    match: PipelineMatch | None,
    context: Context,
) -> LinkWrite | None:
    """Return how a link is written, None where it stands so already."""
    row, before = held.get(key, (None, None))
    entry = LinkEntry(
        pipeline=before.pipeline if before is not None else requested.pipeline,
        alias=requested.alias,
        default=requested.default,
        branch=requested.branch,
        notifications=requested.notifications,
        filters=normal_filters(requested.filters),
        protected=requested.protected,
        presets=requested.presets,
    )
    if before is not None and not changed_fields(_normal(before), entry):
        return None
    details: Pipeline | None = None
    if row is None:
        if match is None:  # what is not linked was resolved
            raise UsageError(f"There is no pipeline `{requested.pipeline}`.")
        details = await match.provider.pipeline(match.id)
    await _check_presets(entry, before, match, row, context)
    return LinkWrite(
        row=NewLink(
            team=context.team,
            channel=context.channel,
            connection=key[0],
            pipeline=details.id if details is not None else key[1],
            path=details.path if details is not None else row.path if row is not None else "",
            name=details.full_name if details is not None else row.name if row is not None else "",
            alias=entry.alias,
            is_default=entry.default,
            default_branch=(details.default_branch or "") if details is not None else row.default_branch if row else "",
            branch=entry.branch,
            filters=entry.filters,
            subscribed=entry.notifications,
            protected=entry.protected,
            created_by=row.created_by if row is not None else context.user,
            created_at=row.created_at if row is not None else context.now,
            paused_reason=row.paused_reason if row is not None else "",
        ),
        entry=entry,
        before=_normal(before) if before is not None else None,
        link_id=row.id if row is not None else 0,
        match=match,
        pipeline=details,
    )


def _normal(entry: LinkEntry) -> LinkEntry:
    """Return a stored entry with its filters as a document's are; words that can't be read stay."""
    try:
        filters = normal_filters(entry.filters)
    except UsageError:
        return entry
    return LinkEntry(
        **{name: getattr(entry, name) for name in entry.__struct_fields__ if name != "filters"}, filters=filters
    )


async def _check_presets(
    entry: LinkEntry, before: LinkEntry | None, match: PipelineMatch | None, row: LinkRow | None, context: Context
) -> None:
    """Raise UsageError for presets that can't be kept: their names, their number, secrets in them."""
    if entry.presets == (before.presets if before is not None else {}):
        return
    if len(entry.presets) > MOST_PRESETS:
        raise UsageError(f"`{entry.pipeline}` may have {MOST_PRESETS} presets.")
    if match is None and row is not None:
        match = await resolve_pipeline(
            Target(pipeline=f"{row.connection}:{row.pipeline}"), context, acting=True, verb="import"
        )
    secret = secret_names((await parameters_of(match, None))[0]) if match is not None else frozenset()
    for name, values in entry.presets.items():
        check_name(name)
        leaked = sorted({*(set(values) - set(without_secrets(values))), *(secret & set(values))})
        if leaked:
            raise UsageError(f"The preset `{name}` holds a secret: {', '.join(f'`{key}`' for key in leaked)}.")


async def carried_out(plan: Plan, context: Context) -> None:
    """Do what a plan says, all or nothing; then remember what the new pipelines have built so far."""
    zone = zone_of(await context.zone())
    async with context.store.transaction() as tx:
        await _write_links(plan, tx, context)
        await _write_roles(plan, tx, context)
        await _write_schedules(plan, tx, context, zone)
    added = [write for write in plan.links if write.match is not None and write.pipeline is not None]
    for write in added:
        if write.match is None or write.pipeline is None:
            continue
        await context.store.pipelines.save(write.row.connection, [write.pipeline], context.now)
        target = write.match.provider.poll_target(write.pipeline.id)
        await context.store.polling.ensure(write.row.connection, target, now=context.now)
    await asyncio.gather(
        *(seed(write.match, write.pipeline, context) for write in added if write.match and write.pipeline)
    )
    if added:
        context.services.wake_poller()


async def _write_links(plan: Plan, tx: Transaction, context: Context) -> None:
    for row in plan.removed_links:
        await tx.links.delete(row.id)
    for write in plan.links:
        if write.link_id:  # two links may change aliases with each other
            await tx.links.update(write.link_id, alias="")
    for write in plan.links:
        await tx.links.save(write.row)
        place = (context.team, context.channel, write.row.connection, write.row.pipeline)
        before = write.before.presets if write.before is not None else {}
        for name in before.keys() - write.entry.presets.keys():
            await tx.presets.remove(*place, name)
        for name, values in write.entry.presets.items():
            if before.get(name) != values:
                await tx.presets.save(*place, name=name, parameters=values, most=MOST_PRESETS)


async def _write_roles(plan: Plan, tx: Transaction, context: Context) -> None:
    for row in plan.removed_roles:
        await tx.grants.remove(
            context.team, row.role, row.subject, channel=row.channel, pipelines=row.pipelines, refs=row.refs
        )
    for entry in plan.roles:
        await tx.grants.add(
            NewGrant(
                team=context.team,
                channel=context.channel,
                role=entry.role,
                subject=entry.subject,
                pipelines=entry.pipelines,
                refs=entry.refs,
                granted_by=context.user,
                granted_at=context.now,
            )
        )


async def _write_schedules(plan: Plan, tx: Transaction, context: Context, zone: ZoneInfo) -> None:
    for row in plan.removed_schedules:
        await tx.schedules.remove(row.id, context.team, context.channel)
    for entry in plan.schedules:
        rule = parse_recurrence(entry.times)
        await tx.schedules.add(
            NewSchedule(
                team=context.team,
                channel=context.channel,
                user=context.user,
                words=entry.times,
                cron=str(rule),
                tz=zone.key,
                command=entry.command,
                next_at=rule.next_after(context.now, zone),
                created_at=context.now,
            )
        )
