"""App Home: a person's builds, what waits for them, their channels, and what an admin should know."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.blocks.build import build_line
from bot.blocks.message import Block, View, actions, button, context, divider, header, section, sections
from bot.blocks.text import code, escape, harmless, plural, when
from bot.core.models import Build
from bot.notifications.filters import Filter, read_filter
from commands.core.context import Request, Role, Services
from commands.core.permissions import role_of
from commands.look.status import labels

MINE = 8
WAITING = 8
LINKS = 12
FRESH_SECONDS = 10.0


async def home(request: Request, services: Services) -> View:
    """Return a person's Home. Costs a few queries and no request to any CI system."""
    visible = {provider.connection: provider for provider in services.connections.visible(request.team)}
    role = await role_of(request, services)
    blocks: list[Block] = []
    blocks += await _banners(request, services, visible, role)
    links = [link for link in await services.store.links.all(request.team) if link.connection in visible]
    own = [link for link in links if link.created_by == request.user]
    mine = [
        one
        for one in await services.store.builds.started_by(request.team, request.user, 30)
        if one.connection in visible
    ]
    if not visible or not (links or mine):
        blocks += _first_steps(services, has_connection=bool(visible), has_link=bool(links))
    named = await labels(mine, request, services)
    for link in links:
        named[link.connection, link.pipeline] = link.alias or link.name
    blocks += _builds("Mine", mine[:MINE], named, request, none="You have started nothing yet.", services=services)
    linked = {(link.connection, link.pipeline) for link in links}
    open_ = [
        one for one in await services.store.builds.unfinished(list(visible)) if (one.connection, one.pipeline) in linked
    ]
    waiting = [one for one in open_ if one.waiting]
    if waiting and role >= Role.APPROVE:
        blocks += _builds("Waiting for approval", waiting[:WAITING], named, request, none="", services=services)
    watched = await services.store.watches.of_user(request.team, request.user)
    if watched:
        follows = [row for row in watched if not row.build]
        builds = len(watched) - len(follows)
        blocks.append(context(f"You watch {plural(builds, 'build')} and follow {plural(len(follows), 'pipeline')}."))
        blocks.append(
            actions(button("Forget all watches", "unwatch all"), button("Unfollow everything", "unfollow all"))
        )
    if own:
        blocks += [header("Channels I set up")]
        for link in own[:LINKS]:
            heard = (read_filter(link.filters) if link.filters else Filter()).in_words(
                link.branch or link.default_branch
            )
            state = f" · paused: {harmless(link.paused_reason, styles=False)}" if link.paused_reason else ""
            state += "" if link.subscribed else " · unsubscribed"
            blocks.append(
                section(
                    f"<#{link.channel}> · *{escape(link.alias or link.name)}*: {harmless(heard, styles=False)}{state}"
                )
            )
        if len(own) > LINKS:
            blocks.append(context(f"… {len(own) - LINKS} more"))
    blocks += [
        header("Me"),
        actions(button("Who I am", "me"), button("My builds", "status mine"), button("Help", "help")),
    ]
    if role >= Role.ADMIN:
        blocks += await _admin(services, visible)
    return View(title="Home", kind="home", blocks=tuple(blocks[:95]))


async def _banners(request: Request, services: Services, visible: Mapping[str, Any], role: Role) -> list[Block]:
    blocks: list[Block] = []
    for poll_target in await services.store.polling.targets():
        if poll_target.connection in visible and poll_target.failing_since is not None:
            what = f"{visible[poll_target.connection].label} ({code(poll_target.connection)})"
            blocks.append(
                section(
                    f"⚠ {what} has not answered since {when(poll_target.failing_since)}: {harmless(poll_target.last_error, styles=False)}"
                )
            )
    if role >= Role.ADMIN:
        paused = [link for link in await services.store.links.all(request.team) if link.paused_reason]
        blocks += [
            section(
                f"⏸ <#{link.channel}> hears nothing of {escape(link.name)}: {harmless(link.paused_reason, styles=False)}"
            )
            for link in paused[:5]
        ]
    return blocks


def _builds(
    title: str,
    builds: Sequence[Build],
    named: Mapping[tuple[str, str], str],
    request: Request,
    *,
    none: str,
    services: Services,
) -> list[Block]:
    if not builds:
        return [header(title), context(none)] if none else []
    lines = [
        build_line(one, label=named.get((one.connection, one.pipeline), one.pipeline), now=request.now)
        for one in builds
    ]
    more = context(f"`{services.command} status mine` shows more.") if len(builds) >= MINE else None
    return [header(title), *sections(lines), *((more,) if more else ())]


def _first_steps(services: Services, *, has_connection: bool, has_link: bool) -> list[Block]:
    done = {True: "✓", False: "◌"}
    steps = (
        f"{done[has_connection]} Connect a CI system: {code(f'{services.command} connect')}",
        f"{done[has_link]} Link a pipeline in a channel: {code(f'{services.command} link <URL>')}",
        f"◌ Start a build: {code(f'{services.command} run <pipeline>@main')}",
    )
    return [header("Three steps"), section("\n".join(steps)), divider()]


async def _admin(services: Services, visible: Mapping[str, Any]) -> list[Block]:
    failing = {
        poll_target.connection: poll_target
        for poll_target in await services.store.polling.targets()
        if poll_target.failing_since is not None
    }
    lines = []
    for name, provider in visible.items():
        state = "✕ failing" if name in failing else "✓"
        left = f" · {provider.quota.remaining} of {provider.quota.limit} requests left" if provider.quota else ""
        lines.append(f"{state} {code(name)} {escape(provider.label)}{left}")
    return [
        header("Admin"),
        *sections(lines or ["No CI system is connected."]),
        actions(button("Connect a CI system", "connect"), button("Roles", "access"), button("Audit", "audit")),
    ]
