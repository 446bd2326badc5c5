"""How much a channel is posted to, and what a tighter preset would have made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.blocks.message import Block, Message, actions, button, section
from bot.blocks.message import context as small_print
from bot.blocks.text import Markup, bold, escape, harmless, plural
from bot.core.models import spoken
from bot.notifications.filters import Filter, filter_of
from bot.store.rows import LinkRow, NotificationRow
from bot.store.states import NotificationEvent, NotificationState
from commands.core.context import Context
from commands.core.replay import WINDOW, posted, replayed

TIGHTER = {"all": ("edges", "failures"), "failures": ("edges",)}
"""The presets that tell less than a present one, the one that tells most first."""
LABELS = {"edges": "Only changes", "failures": "Only failures"}
WORTH = 0.5
"""A tighter preset is proposed where it leaves at most this part of the posts."""
MOST_LINKS = 15
MOST_CAUSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A preset, and how many posts it would have left of those that the present filter makes."""

    preset: str
    posts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkNoise:
    """What one link of a channel posted in the last seven days, builds' ends alone, and what would be enough."""

    link: LinkRow
    link_filter: Filter
    posts: int
    proposal: Proposal | None


async def noise_of(link: LinkRow, context: Context) -> LinkNoise:
    """Return a link's noise, its filter judged on what ended in the last seven days."""
    before = filter_of(link)
    pasts = await replayed(link, context, starters=bool(before.by))
    posts = len(posted(pasts, link, before))
    proposal = None
    present = "all" if before.events else before.preset
    for preset in TIGHTER.get(present, ()) if link.subscribed else ():
        left = len(posted(pasts, link, replace(before, preset=preset, events=())))
        if posts and left <= posts * WORTH:
            proposal = Proposal(preset=preset, posts=left)
            break
    return LinkNoise(link=link, link_filter=before, posts=posts, proposal=proposal)


async def noise_report(context: Context) -> Message:
    """Return how often the channel was posted to in seven days, by pipeline, with a button for each tighter preset."""
    rows = await context.store.notifications.in_channel(context.team, context.channel, context.now - WINDOW)
    sent = [row for row in rows if row.state == NotificationState.SENT]
    links = await context.store.links.of_channel(context.team, context.channel)
    noises = [await noise_of(link, context) for link in links[:MOST_LINKS]]
    noises.sort(key=lambda noise: -noise.posts)
    title = f"{plural(len(sent), 'post')} here in the last {WINDOW // timedelta(days=1)} days"
    blocks: list[Block] = [section(f"{bold(title)}{_causes(sent)}")]
    for noise in noises:
        blocks += _link_blocks(noise)
    if len(links) > MOST_LINKS:
        blocks.append(small_print(f"… {len(links) - MOST_LINKS} more pipelines"))
    if not any(noise.proposal for noise in noises):
        blocks.append(small_print("No tighter preset would have halved the posts of a pipeline."))
    return Message(text=title, blocks=tuple(blocks))


def _link_blocks(noise: LinkNoise) -> list[Block]:
    link = noise.link
    name = escape(link.alias or link.name)
    words = harmless(noise.link_filter.in_words(link.branch or link.default_branch), styles=False)
    line = f"*{name}*: {plural(noise.posts, 'build')} to post about, with {words}"
    if noise.proposal is None:
        return [section(Markup(line))]
    label, left = LABELS[noise.proposal.preset], noise.proposal.posts
    effect = f"{label}: would have posted {left} instead of {noise.posts}"
    command = f"subscribe {spoken(link.connection, link.pipeline)} --on {noise.proposal.preset}"
    return [section(Markup(f"{line}\n{effect}")), actions(button(label, command))]


def _causes(sent: Sequence[NotificationRow]) -> str:
    """Return what the posts were, beside the ends of builds."""
    words = {
        NotificationEvent.STARTED: "live card",
        NotificationEvent.BLOCKED: "approval",
        NotificationEvent.SUMMARY: "summary",
        NotificationEvent.DIGEST: "digest",
    }
    counts = {word: sum(1 for row in sent if row.event is event) for event, word in words.items()}
    named = sorted(((count, word) for word, count in counts.items() if count), reverse=True)[:MOST_CAUSES]
    if not named:
        return ""
    plurals = {"summary": "summaries"}
    return ", among them " + ", ".join(plural(count, word, plurals.get(word)) for count, word in named)
