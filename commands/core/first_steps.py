"""The checklist of who set the bot up in a workspace: posted once, and the same message edited as steps are done.

Where it stands is kept for a month under a token of the workspace; what is finished is forgotten. That it was posted is
kept for good: no restart, second process or reinstallation posts it again.
"""

import json
import logging
from collections.abc import Collection, Iterable, Mapping

from bot.blocks.welcome import Step, welcome
from bot.slack.sender import SlackError, SlackPassing, SlackUnsure
from bot.store import Store
from commands.core.context import Context, Services

log = logging.getLogger(__name__)

KEPT_SECONDS = 30 * 86_400.0
FOR_GOOD_SECONDS = 100 * 365 * 86_400.0
VERBS: Mapping[str, Step] = {
    "connect": Step.CONNECT,
    "link": Step.LINK,
    "run": Step.RUN,
    "rebuild": Step.RUN,
    "retry": Step.RUN,
}


async def is_due(team: str, services: Services) -> bool:
    """Return whether a workspace has neither had the checklist nor got over it: no channel follows a pipeline yet."""
    return await services.store.tokens.value(_begun(team)) is None and not await services.store.links.all(team)


async def begin(team: str, receivers: Iterable[str], services: Services) -> bool:
    """Post the checklist to the first of these people whom Slack can reach; return whether it was posted now.

    A workspace gets it once, and none where a channel follows a pipeline already. Raises SlackPassing where it may be
    tried again later; nothing is claimed then.
    """
    if not await is_due(team, services) or not await services.store.tokens.add(_begun(team), seconds=FOR_GOOD_SECONDS):
        return False
    done = await _done(team, services)
    for user in receivers:
        try:
            channel, ts = await services.sender.post(team, user, welcome(services.command, done))
        except SlackUnsure:  # it may have arrived: better none than two
            return False
        except SlackPassing:
            await services.store.tokens.take(_begun(team))
            raise
        except SlackError as exc:
            log.info("the checklist was not posted", extra={"team": team, "user": user, "code": exc.code})
            continue
        await _keep(team, channel, ts, done, services.store)
        return True
    await services.store.tokens.take(_begun(team))
    return False


async def catch_up(team: str, services: Services) -> None:
    """Tick off what was done in no command, such as a connection written into the configuration. Costs one look-up."""
    kept = await services.store.tokens.value(_key(team))
    if kept is not None and await _done(team, services) - {Step(word) for word in json.loads(kept)["done"]}:
        await _edit(team, set(), services)


async def tick_off(verb: str, context: Context) -> None:
    """Edit the checklist where a command was the first to do one of its steps. Costs one look-up for those commands."""
    step = VERBS.get(verb)
    if step is None:
        return
    kept = await context.store.tokens.value(_key(context.team))
    if kept is None or step.value in json.loads(kept)["done"]:
        return
    await _edit(context.team, {step}, context.services)


async def _edit(team: str, steps: Collection[Step], services: Services) -> None:
    # Taken by one process, which writes it anew: two steps at once leave both ticks.
    kept = await services.store.tokens.take(_key(team))
    if kept is None:
        return
    state = json.loads(kept)
    # A step that another process ticks off at this moment shows in the store.
    done = {Step(word) for word in state["done"]} | set(steps) | await _done(team, services)
    if done < set(Step):
        await _keep(team, state["channel"], state["ts"], done, services.store)
    try:
        await services.sender.update(team, state["channel"], state["ts"], welcome(services.command, done))
    except SlackError as exc:
        log.info("the checklist was not edited", extra={"team": team, "code": exc.code})


async def _done(team: str, services: Services) -> set[Step]:
    """Return the steps that the store and the connections show as done."""
    done = {Step.CONNECT} if services.connections.visible(team) else set()
    return done | {Step.LINK} if await services.store.links.all(team) else done


async def _keep(team: str, channel: str, ts: str, done: Collection[Step], store: Store) -> None:
    state = {"channel": channel, "ts": ts, "done": sorted(step.value for step in done)}
    await store.tokens.add(_key(team), seconds=KEPT_SECONDS, value=json.dumps(state))


def _key(team: str) -> str:
    return f"first-steps:{team}"


def _begun(team: str) -> str:
    return f"first-steps-begun:{team}"
