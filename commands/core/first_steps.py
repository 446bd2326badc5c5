"""The checklist that a workspace's installer gets: posted once, and the same message edited as steps are done.

Where it stands is kept for a month under a token of the workspace; what is finished is forgotten.
"""

import json
import logging
from collections.abc import Collection, Mapping

from bot.blocks.welcome import Step, welcome
from bot.slack.sender import SlackError
from bot.store import Store
from commands.core.context import Context, Services

log = logging.getLogger(__name__)

KEPT_SECONDS = 30 * 86_400.0
VERBS: Mapping[str, Step] = {
    "connect": Step.CONNECT,
    "link": Step.LINK,
    "run": Step.RUN,
    "rebuild": Step.RUN,
    "retry": Step.RUN,
}


async def begin(team: str, user: str, services: Services) -> None:
    """Post the checklist to who installed the bot, in place of an older one. Raises SlackError."""
    done = {Step.CONNECT} if services.connections.visible(team) else set()
    done |= {Step.LINK} if await services.store.links.all(team) else set()
    channel, ts = await services.sender.post(team, user, welcome(services.command, done))
    await services.store.tokens.take(_key(team))
    await _keep(team, channel, ts, done, services.store)


async def tick_off(verb: str, context: Context) -> None:
    """Edit the checklist where a command was the first to do one of its steps. Costs one look-up for those commands."""
    step = VERBS.get(verb)
    if step is None:
        return
    kept = await context.store.tokens.value(_key(context.team))
    if kept is None or step.value in json.loads(kept)["done"]:
        return
    # Taken by one process, which writes it anew: two steps at once leave both ticks.
    kept = await context.store.tokens.take(_key(context.team))
    if kept is None:
        return
    state = json.loads(kept)
    done = {Step(word) for word in state["done"]} | {step}
    # A step that another process ticks off at this moment shows in the store.
    done |= {Step.CONNECT} if context.services.connections.visible(context.team) else set()
    done |= {Step.LINK} if await context.store.links.all(context.team) else set()
    if done < set(Step):
        await _keep(context.team, state["channel"], state["ts"], done, context.store)
    try:
        message = welcome(context.command, done)
        await context.services.sender.update(context.team, state["channel"], state["ts"], message)
    except SlackError as exc:
        log.info("the checklist was not edited", extra={"team": context.team, "code": exc.code})


async def _keep(team: str, channel: str, ts: str, done: Collection[Step], store: Store) -> None:
    state = {"channel": channel, "ts": ts, "done": sorted(step.value for step in done)}
    await store.tokens.add(_key(team), seconds=KEPT_SECONDS, value=json.dumps(state))


def _key(team: str) -> str:
    return f"first-steps:{team}"
