"""App Home: a person's builds, favourites, what waits for them, their channels, and what an admin should know.

Each list is paged; the pages shown travel in the values of the page buttons (`links=2,mine=1`). Whatever there is, a
view stays below Slack's hundred blocks: each list has its share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from bot.blocks.build import build_line
from bot.blocks.credentials import end_words, expiry_line
from bot.blocks.message import Block, View, actions, button, divider, header, link_button, section, sections
from bot.blocks.message import context as small_print
from bot.blocks.status import StatusRow, status_text
from bot.blocks.text import code, escape, harmless, plural, roughly, since, when
from bot.blocks.welcome import Step, checklist_lines
from bot.core.models import Build, Conclusion, Ref, RefKind, spoken
from bot.monitoring.credentials import days_left, step_of
from bot.providers.base.provider import AnyProvider
from bot.store.rows import LinkRow, PollTargetRow
from commands.core.available_actions import verbs_of
from commands.core.channel import channel_to_decide_in, judged_in
from commands.core.context import Context, Role
from commands.core.listings import pipeline_names
from commands.core.permissions import role_of
from commands.core.stories import stories_of
from commands.look.list import filter_words
from commands.setup.me import favourites_of, settings_of
from commands.slack.shortcuts import target_of

T = TypeVar("T")

MINE = 6
FAVOURITES = 5
WAITING = 6
CONSIDERED = 24
LINKS = 8
CONNECTIONS = 10
EXPORTS = 4
BANNERS = 4
FRESH_SECONDS = 10.0
MOST_STARTED = 48
RECENT = 12
POSTS_SINCE = timedelta(days=7)
MOST_BLOCKS = 99
TURN = "home.page"
"""The action of the buttons that turn a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Which page of each list is shown, from 0."""

    numbers: Mapping[str, int]

    @classmethod
    def read(cls, text: str) -> "Pages":
        """Return what `turned` wrote; words that are none are left out."""
        parts = [part.partition("=") for part in text.split(",")]
        return cls(numbers={name: int(page) for name, _equals, page in parts if page.isascii() and page.isdigit()})

    def of(self, name: str) -> int:
        """Return the page of a list."""
        return self.numbers.get(name, 0)

    def turned(self, name: str, page: int) -> str:
        """Return the pages with another one of a list, as text."""
        return ",".join(f"{other}={number}" for other, number in {**self.numbers, name: page}.items())


FIRST_PAGES = Pages(numbers={})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """What the parts of a Home are drawn from."""

    context: Context
    pages: Pages
    visible: Mapping[str, AnyProvider]
    role: Role
    links: Sequence[LinkRow]
    names: Mapping[tuple[str, str], str]
    troubles: Sequence[PollTargetRow]


async def home(context: Context, pages: Pages = FIRST_PAGES) -> View:
    """Return a person's Home. Costs a few queries, what a role costs in each channel, and no request to any CI system."""
    visible = {provider.connection: provider for provider in context.providers()}
    links = [link for link in await context.store.links.all(context.team) if link.connection in visible]
    started = await context.store.builds.started_by(context.team, context.user, MOST_STARTED)
    mine = sorted((build for build in started if build.connection in visible), key=_urgency)
    linked = {(link.connection, link.pipeline) for link in links}
    unfinished = await context.store.builds.unfinished(list(visible))
    waiting = [build for build in unfinished if build.waiting and (build.connection, build.pipeline) in linked]
    troubles = [row for row in await context.store.polling.targets() if row.failing_since is not None]
    parts = _Home(
        context=context,
        pages=pages,
        visible=visible,
        role=await role_of(context),
        links=links,
        names=await pipeline_names([*mine, *waiting], context),
        troubles=[row for row in troubles if row.connection in visible],
    )
    blocks = await _banners(parts)
    if not visible or not (links or mine):
        blocks += _first_steps(parts, has_started=bool(mine))
    blocks += await _own_builds(mine, parts)
    blocks += await _favourites(parts)
    blocks += await _waiting(waiting, parts)
    blocks += await _watches(context)
    blocks += await _own_links(parts)
    blocks += [
        header("Me"),
        actions(
            button("Who I am", "me"),
            button("My builds", "status mine"),
            button("Help", "help"),
            *([button("Tokens for programs", "me token")] if context.services.has_mcp else []),
        ),
    ]
    if parts.role >= Role.ADMIN:
        blocks += await _admin(parts)
    return View(title="Home", kind="home", blocks=tuple(blocks[:MOST_BLOCKS]))


def _urgency(build: Build) -> int:
    """Return where a build of one's own stands: what is open first, then what is red, then the rest; by age within."""
    if not build.completed:
        return 0
    return 1 if build.conclusion is not None and build.conclusion.is_red else 2


def _page(items: Sequence[T], name: str, size: int, parts: _Home) -> tuple[Sequence[T], list[Block]]:
    """Return the items of a list's page, and the row that turns it; none where all fit."""
    last = max((len(items) - 1) // size, 0)
    page = min(parts.pages.of(name), last)
    shown = items[page * size : (page + 1) * size]
    if not last:
        return shown, []
    turns = [("‹ Back", page - 1)] if page else []
    turns += [("More ›", page + 1)] if page < last else []
    row = actions(
        *({**button(label, "help"), "action_id": TURN, "value": parts.pages.turned(name, to)} for label, to in turns)
    )
    return shown, [small_print(f"Page {page + 1} of {last + 1}"), {**row, "block_id": f"page:{name}"}]


async def _own_builds(builds: Sequence[Build], parts: _Home) -> list[Block]:
    if not builds:
        return [header("Mine"), small_print("You have started nothing yet.")]
    shown, turn = _page(builds, "mine", MINE, parts)
    lines = await _lines(shown, parts)
    return [header("Mine"), *sections(lines), *turn]


async def _lines(builds: Sequence[Build], parts: _Home) -> list[str]:
    """Return a line about each build, with the times of its present attempt and its wait for people."""
    stories = await stories_of(builds, parts.context)
    return [
        build_line(
            build,
            label=parts.names[build.connection, build.pipeline],
            now=parts.context.now,
            facts=stories.of(build),
        )
        for build in stories.builds
    ]


async def _favourites(parts: _Home) -> list[Block]:
    """Return the person's favourite pipelines as last seen, each with its last ten results."""
    context = parts.context
    settings = settings_of(await context.store.people.get(context.team, context.user))
    keys = [key for key in favourites_of(settings) if key[0] in parts.visible]
    if not keys:
        return []
    shown, turn = _page(keys, "favourites", FAVOURITES, parts)
    blocks: list[Block] = [header("Favourites")]
    for connection, pipeline in shown:
        row, page = await _status_row(connection, pipeline, parts)
        ref = Ref(kind=RefKind.BRANCH, name=row.branch) if row.branch else None
        target = spoken(connection, pipeline)
        run = [button("Run", f"run {spoken(connection, pipeline, ref=ref)} --form")] if "run" in row.actions else []
        away = button("Remove", f"me favourite {target} off")
        buttons = actions(*run, link_button("Open", page), away)
        channel = next(
            (link.channel for link in parts.links if (link.connection, link.pipeline) == (connection, pipeline)), ""
        )
        blocks += [section(status_text(row, context.now)), judged_in(buttons, channel, f"favourite:{target}")]
    return [*blocks, *turn]


async def _status_row(connection: str, pipeline: str, parts: _Home) -> tuple[StatusRow, str | None]:
    """Return how a pipeline's default branch stood when it was last seen, and its page."""
    store = parts.context.store
    listed = await store.pipelines.get(connection, pipeline)
    link = next((link for link in parts.links if (link.connection, link.pipeline) == (connection, pipeline)), None)
    branch = (link.branch or link.default_branch if link else "") or (listed.default_branch if listed else "")
    builds = await store.builds.of_pipeline(connection, pipeline, branch=branch or None, limit=RECENT)
    recent = tuple(build for build in builds if build.completed)
    green = next((build for build in recent if build.conclusion is Conclusion.PASSED), None)
    row = StatusRow(
        label=(listed.name if listed else "") or (link.name if link else "") or pipeline,
        connection=connection,
        pipeline=pipeline,
        path=listed.path if listed else pipeline,
        branch=branch,
        open=tuple(build for build in builds if not build.completed),
        recent=recent,
        green_at=green.completed_at if green else None,
        actions=verbs_of(parts.visible[connection], recent[0] if recent else None),
    )
    return row, (builds[0].web_url if builds else None) or (listed.web_url if listed else None)


async def _waiting(waiting: Sequence[Build], parts: _Home) -> list[Block]:
    """Return the builds that the person may decide, with buttons; of several steps they are asked which.

    A button acts as if it were pressed in the channel where the person has the right.
    """
    channels = {
        build.key: await channel_to_decide_in(build, parts.links, Role.APPROVE, parts.context)
        for build in waiting[:CONSIDERED]
    }
    builds = [build for build in waiting[:CONSIDERED] if channels[build.key] is not None]
    if not builds:
        return []
    shown, turn = _page(builds, "waiting", WAITING, parts)
    blocks: list[Block] = [header("Waiting for approval")]
    for build, line in zip(shown, await _lines(shown, parts), strict=True):
        offered = verbs_of(parts.visible[build.connection], build)
        target = target_of(build)
        reject = button("Reject", f"reject {target} --form", style="danger")
        blocks += [
            section(line),
            judged_in(
                actions(
                    *([button("Approve", f"approve {target}", style="primary")] if "approve" in offered else []),
                    *([reject] if "reject" in offered else []),
                    button("Details", f"show {target}"),
                ),
                channels[build.key] or "",
                f"{build.connection}:{build.pipeline}:{build.id}",
            ),
        ]
    return [*blocks, *turn]


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


async def _own_links(parts: _Home) -> list[Block]:
    """Return the links that the person made: what is posted, how often it was, and buttons to change that."""
    context = parts.context
    links = [link for link in parts.links if link.created_by == context.user]
    if not links:
        return []
    shown, turn = _page(links, "links", LINKS, parts)
    posts = await context.store.notifications.sent_by_link(context.team, shown, context.now - POSTS_SINCE)
    blocks: list[Block] = [header("Channels I set up")]
    for link in shown:
        target = spoken(link.connection, link.pipeline)
        state = f" · paused: {harmless(link.paused_reason, styles=False)}" if link.paused_reason else ""
        state += "" if link.subscribed else " · paused by you or others"
        words = harmless(filter_words(link), styles=False)
        count = f"{plural(posts.get(link.id, 0), 'post')} in 7 days"
        resume = button("Resume", f"subscribe {target} {link.filters or 'all'}")
        pause = button("Pause", f"unsubscribe {target}") if link.subscribed else resume
        blocks += [
            section(f"<#{link.channel}> · *{escape(link.alias or link.name)}*: {words} · {count}{state}"),
            judged_in(actions(button("Edit", f"subscribe {target}"), pause), link.channel, f"link:{link.id}"),
        ]
    return [*blocks, *turn]


async def _banners(parts: _Home) -> list[Block]:
    """Return what is wrong: connections that do not answer or are used up, and paused links of one's own (of all, for admins)."""
    is_admin = parts.role >= Role.ADMIN
    lines: list[Block] = []
    for row in parts.troubles:
        what = f"{parts.visible[row.connection].label} ({code(row.connection)})"
        failing_since = when(row.failing_since) if row.failing_since else ""
        error = harmless(row.last_error, styles=False)
        fix = button("Fix", "connect") if is_admin else None
        lines.append(section(f"⚠ {what} has not answered since {failing_since}: {error}", accessory=fix))
    if is_admin:
        lines += await _ending_credentials(parts)
    for name, provider in parts.visible.items():
        quota = provider.quota
        is_over = quota is not None and quota.resets_at is not None and quota.resets_at <= parts.context.now
        if quota is not None and quota.limit and quota.remaining <= 0 and not is_over:
            until = f" until {when(quota.resets_at)}" if quota.resets_at else ""
            lines.append(
                section(f"⏳ {provider.label} ({code(name)}) takes no more requests{until}. Builds are seen later.")
            )
    paused = [
        link for link in parts.links if link.paused_reason and (is_admin or link.created_by == parts.context.user)
    ]
    lines += [
        section(
            f"⏸ <#{link.channel}> gets no notifications of {escape(link.name)}: {harmless(link.paused_reason, styles=False)}"
        )
        for link in paused
    ]
    more = [small_print(f"… {len(lines) - BANNERS} more")] if len(lines) > BANNERS else []
    return [*lines[:BANNERS], *more]


async def _ending_credentials(parts: _Home) -> list[Block]:
    """Return whose credentials end within 30 days, as last checked."""
    blocks: list[Block] = []
    now = parts.context.now
    for name, health in (await parts.context.store.health.all()).items():
        if name not in parts.visible or health.expires_at is None or step_of(health.expires_at, now) is None:
            continue
        days = days_left(health.expires_at, now)
        blocks.append(section(f"⚠ {expiry_line(name, parts.visible[name].label, health.expires_at, days)}"))
    return blocks


def _first_steps(parts: _Home, *, has_started: bool) -> list[Block]:
    steps = ((Step.CONNECT, bool(parts.visible)), (Step.LINK, bool(parts.links)), (Step.RUN, has_started))
    done = {step for step, is_done in steps if is_done}
    row = [button("Connect a CI system", "connect")] if not parts.visible else []
    row += [button("Start a build", "run --form")] if parts.links and not has_started else []
    text = "\n".join(checklist_lines(parts.context.command, done))
    return [header("Three steps"), section(text), actions(*row, button("Help", "help")), divider()]


async def _admin(parts: _Home) -> list[Block]:
    """Return the connections with their health and credentials, what waits to be posted, the channels' set-ups, and where the rest is."""
    now, health = parts.context.now, await parts.context.store.health.all()
    failing = {row.connection for row in parts.troubles}
    shown, turn = _page(list(parts.visible.items()), "connections", CONNECTIONS, parts)
    rows: list[Block] = []
    for name, provider in shown:
        state = "✕ failing" if name in failing else "✓"
        left = f" · {provider.quota.remaining} of {provider.quota.limit} requests left" if provider.quota else ""
        row = health.get(name)
        ends = (
            f" · {end_words(row.expires_at, days_left(row.expires_at, now))}"
            if row is not None and row.expires_at is not None
            else ""
        )
        is_ours = parts.context.services.connections.from_slack(name)
        renew = [button("New credentials", f"credentials {name}")] if is_ours else []
        rows += [
            section(f"{state} {code(name)} {escape(provider.label)}{left}{ends}"),
            actions(button("Test", f"credentials {name} --test"), *renew),
        ]
    return [
        header("Admin"),
        *(rows or [section("No CI system is connected.")]),
        *turn,
        small_print(await _delivery(parts)),
        *_exports(parts),
        actions(
            button("Connect a CI system", "connect"),
            button("Check up", "doctor"),
            button("Roles", "access"),
            button("Audit", "audit"),
            button("Feeds", "feeds"),
        ),
    ]


async def _delivery(parts: _Home) -> str:
    """Return how far behind the posts to the workspace are."""
    now = parts.context.now
    waiting = await parts.context.store.notifications.waiting([parts.context.team], now)
    if waiting.since is None:
        return "Delivery: nothing is late."
    return f"Delivery: {plural(waiting.count, 'post')} late, the oldest by {roughly(since(waiting.since, now))}."


def _exports(parts: _Home) -> list[Block]:
    """Return each channel's set-up with the button that sends it as a file, judged in that channel."""
    counts = Counter(link.channel for link in parts.links)
    shown, turn = _page(sorted(counts), "exports", EXPORTS, parts)
    rows = [
        judged_in(
            section(f"<#{channel}>: {plural(counts[channel], 'pipeline')}", accessory=button("Export", "export")),
            channel,
            "export",
        )
        for channel in shown
    ]
    return [*rows, *turn]
