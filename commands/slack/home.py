"""App Home: a person's builds, what waits for them, their channels, and what an admin should know."""

from collections.abc import Mapping, Sequence

from bot.blocks.build import build_line
from bot.blocks.credentials import expiry_line
from bot.blocks.message import Block, View, actions, button, divider, header, section, sections
from bot.blocks.message import context as small_print
from bot.blocks.text import code, escape, harmless, plural, when
from bot.blocks.welcome import Step, checklist_lines
from bot.core.models import Build
from bot.monitoring.credentials import days_left, step_of
from bot.providers.base.provider import AnyProvider
from bot.store.rows import LinkRow
from commands.core.available_actions import verbs_of
from commands.core.channel import channel_to_decide_in, judged_in
from commands.core.context import Context, Role
from commands.core.listings import pipeline_names
from commands.core.permissions import role_of
from commands.core.stories import Stories, stories_of
from commands.look.list import filter_words
from commands.slack.shortcuts import target_of

MINE = 8
WAITING = 8
CONSIDERED = 24
LINKS = 12
FRESH_SECONDS = 10.0
MOST_STARTED = 30
MOST_BLOCKS = 95
WITH_BUTTONS = 10
"""How many connections have buttons of their own; the others are lines."""


async def home(context: Context) -> View:
    """Return a person's Home. Costs a few queries, what a role costs in each channel, and no request to any CI system."""
    visible = {provider.connection: provider for provider in context.providers()}
    role = await role_of(context)
    links = [link for link in await context.store.links.all(context.team) if link.connection in visible]
    started = await context.store.builds.started_by(context.team, context.user, MOST_STARTED)
    mine = [build for build in started if build.connection in visible]
    linked = {(link.connection, link.pipeline) for link in links}
    unfinished = await context.store.builds.unfinished(list(visible))
    waiting = [build for build in unfinished if build.waiting and (build.connection, build.pipeline) in linked]
    names = await pipeline_names([*mine, *waiting], context)
    stories = await stories_of([*mine[:MINE], *waiting[:WAITING]], context)
    blocks: list[Block] = await _banners(context, visible, role)
    if not visible or not (links or mine):
        blocks += _first_steps(context, has_connection=bool(visible), has_link=bool(links))
    blocks += _own_builds(stories.builds[: len(mine[:MINE])], stories, names, context)
    blocks += await _waiting(waiting, stories, links, names, visible, context)
    blocks += await _watches(context)
    blocks += _own_links([link for link in links if link.created_by == context.user])
    blocks += [
        header("Me"),
        actions(
            button("Who I am", "me"),
            button("My builds", "status mine"),
            button("Help", "help"),
            *([button("Tokens for programs", "me token")] if context.services.has_mcp else []),
        ),
    ]
    if role >= Role.ADMIN:
        blocks += await _admin(context, visible)
    return View(title="Home", kind="home", blocks=tuple(blocks[:MOST_BLOCKS]))


def _own_builds(
    builds: Sequence[Build], stories: Stories, names: Mapping[tuple[str, str], str], context: Context
) -> list[Block]:
    if not builds:
        return [header("Mine"), small_print("You have started nothing yet.")]
    lines = [
        build_line(build, label=names[build.connection, build.pipeline], now=context.now, facts=stories.of(build))
        for build in builds
    ]
    more = [small_print(f"`{context.command} status mine` shows more.")] if len(builds) >= MINE else []
    return [header("Mine"), *sections(lines), *more]


async def _waiting(
    waiting: Sequence[Build],
    stories: Stories,
    links: Sequence[LinkRow],
    names: Mapping[tuple[str, str], str],
    visible: Mapping[str, AnyProvider],
    context: Context,
) -> list[Block]:
    """Return the builds that the person may decide, with buttons; of several steps they are asked which.

    A button acts as if it were pressed in the channel where the person has the right.
    """
    channels = {
        build.key: await channel_to_decide_in(build, links, Role.APPROVE, context) for build in waiting[:CONSIDERED]
    }
    builds = [build for build in waiting[:CONSIDERED] if channels[build.key] is not None]
    if not builds:
        return []
    blocks: list[Block] = [header("Waiting for approval")]
    for build in builds[:WAITING]:
        offered = verbs_of(visible[build.connection], build)
        target = target_of(build)
        blocks += [
            section(
                build_line(
                    build, label=names[build.connection, build.pipeline], now=context.now, facts=stories.of(build)
                )
            ),
            judged_in(
                actions(
                    *([button("Approve", f"approve {target}", style="primary")] if "approve" in offered else []),
                    *([button("Reject", f"reject {target}", style="danger")] if "reject" in offered else []),
                    button("Details", f"show {target}"),
                ),
                channels[build.key] or "",
                f"{build.connection}:{build.pipeline}:{build.id}",
            ),
        ]
    if len(builds) > WAITING:
        blocks.append(small_print(f"… {len(builds) - WAITING} more: `{context.command} approvals`"))
    return blocks


async def _watches(context: Context) -> list[Block]:
    watched = await context.store.watches.of_user(context.team, context.user)
    if not watched:
        return []
    follows = sum(1 for row in watched if not row.build)
    builds = len(watched) - follows
    return [
        small_print(f"You watch {plural(builds, 'build')} and follow {plural(follows, 'pipeline')}."),
        actions(button("Stop watching", "unwatch all"), button("Unfollow everything", "unfollow all")),
    ]


def _own_links(links: Sequence[LinkRow]) -> list[Block]:
    if not links:
        return []
    blocks: list[Block] = [header("Channels I set up")]
    for link in links[:LINKS]:
        state = f" · paused: {harmless(link.paused_reason, styles=False)}" if link.paused_reason else ""
        state += "" if link.subscribed else " · unsubscribed"
        blocks.append(
            section(
                f"<#{link.channel}> · *{escape(link.alias or link.name)}*: {harmless(filter_words(link), styles=False)}{state}"
            )
        )
    if len(links) > LINKS:
        blocks.append(small_print(f"… {len(links) - LINKS} more"))
    return blocks


async def _banners(context: Context, visible: Mapping[str, AnyProvider], role: Role) -> list[Block]:
    blocks: list[Block] = []
    for poll_target in await context.store.polling.targets():
        if poll_target.connection in visible and poll_target.failing_since is not None:
            what = f"{visible[poll_target.connection].label} ({code(poll_target.connection)})"
            blocks.append(
                section(
                    f"⚠ {what} has not answered since {when(poll_target.failing_since)}: {harmless(poll_target.last_error, styles=False)}"
                )
            )
    if role >= Role.ADMIN:
        blocks += await _ending_credentials(context, visible)
        paused = [link for link in await context.store.links.all(context.team) if link.paused_reason]
        blocks += [
            section(
                f"⏸ <#{link.channel}> gets no notifications of {escape(link.name)}: {harmless(link.paused_reason, styles=False)}"
            )
            for link in paused[:5]
        ]
    return blocks


async def _ending_credentials(context: Context, visible: Mapping[str, AnyProvider]) -> list[Block]:
    """Return whose credentials end within 30 days, as last checked."""
    blocks: list[Block] = []
    for name, health in (await context.store.health.all()).items():
        if name not in visible or health.expires_at is None or step_of(health.expires_at, context.now) is None:
            continue
        days = days_left(health.expires_at, context.now)
        blocks.append(section(f"⚠ {expiry_line(name, visible[name].label, health.expires_at, days)}"))
    return blocks


def _first_steps(context: Context, *, has_connection: bool, has_link: bool) -> list[Block]:
    done = {step for step, is_done in ((Step.CONNECT, has_connection), (Step.LINK, has_link)) if is_done}
    return [header("Three steps"), section("\n".join(checklist_lines(context.command, done))), divider()]


async def _admin(context: Context, visible: Mapping[str, AnyProvider]) -> list[Block]:
    failing = {
        poll_target.connection: poll_target
        for poll_target in await context.store.polling.targets()
        if poll_target.failing_since is not None
    }
    lines: list[tuple[str, str]] = []
    for name, provider in visible.items():
        state = "✕ failing" if name in failing else "✓"
        left = f" · {provider.quota.remaining} of {provider.quota.limit} requests left" if provider.quota else ""
        lines.append((name, f"{state} {code(name)} {escape(provider.label)}{left}"))
    rows: list[Block] = []
    for name, line in lines[:WITH_BUTTONS]:
        is_ours = context.services.connections.from_slack(name)
        renew = [button("New credentials", f"credentials {name}")] if is_ours else []
        rows += [section(line), actions(button("Test", f"credentials {name} --test"), *renew)]
    return [
        header("Admin"),
        *rows,
        *sections([line for _name, line in lines[WITH_BUTTONS:]] or ([] if lines else ["No CI system is connected."])),
        actions(
            button("Connect a CI system", "connect"),
            button("Check up", "doctor"),
            button("Roles", "access"),
            button("Audit", "audit"),
            button("Feeds", "feeds"),
        ),
    ]
