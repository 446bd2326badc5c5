"""The output of a job's steps, which only v1.1 hands out."""

from collections.abc import Iterable

from bot.core.errors import NotFound, UnexpectedResponse
from bot.core.models import Job, Log
from bot.http.client import ApiClient
from bot.providers.base.listing import parse_items
from bot.providers.base.logs import cleaned_log
from bot.providers.circleci import urls, wire
from bot.providers.circleci.errors import LABEL
from bot.providers.circleci.urls import Urls

LOG_STEPS = 3


async def log_of(api: ApiClient, addresses: Urls, job: Job, tail_bytes: int) -> Log:
    """Return the output of the step that failed, else of the last three. Costs one request, and one for each step.

    Raises NotFound for a job that has not started, and where no step has any output.
    """
    if not urls.is_number(job.id):
        raise NotFound(f"{job.name} has not started, so it has no log.", provider=LABEL)
    raw = wire.V1Job.of((await api.get(addresses.v1_job(job.pipeline, job.id))).raw)
    actions, is_more = telling(parse_items(raw.steps or (), wire.V1Step.of), LOG_STEPS)
    if not actions:
        raise NotFound(f"{job.name} has no log yet.", provider=LABEL)
    parts = [
        f"== {action.name or 'a step without a name'} ==\n{await _step(api, addresses, job, action, tail_bytes)}".rstrip()
        for action in actions
    ]
    whole = "\n\n".join(parts).encode()
    text = whole[-tail_bytes:].decode("utf-8", "ignore")
    is_cut = len(whole) > tail_bytes
    return Log(
        text=text.partition("\n")[2] if is_cut and "\n" in text else text,
        truncated=is_cut or is_more,
        job=job.name,
        url=job.web_url,
    )


async def _step(api: ApiClient, addresses: Urls, job: Job, action: wire.V1Action, keep: int) -> str:
    """Return a step's output. Its signed address needs no token; what does not read there is asked for as text."""
    if action.output_url:
        try:
            pieces = (await api.get(action.output_url)).items()
            return await cleaned_log("".join(wire.Output.of(piece).message or "" for piece in pieces))
        except (NotFound, UnexpectedResponse):
            if action.step is None:
                raise
    if action.step is None:
        return ""
    route = addresses.v1_job(job.pipeline, job.id, "output", action.step, action.index or 0)
    data, _ = await api.tail(route, {"file": True}, keep=keep)
    return await cleaned_log(data)


def telling(steps: Iterable[wire.V1Step], most: int) -> tuple[list[wire.V1Action], bool]:
    """Return the actions with the most useful output, and whether there are others before them.

    The last one that failed, on the first machine where one did; else the last `most` of the first machine.
    """
    actions = [action for step in steps for action in step.actions or () if action.output_url or action.has_output]
    failed = [action for action in actions if action.failed]
    machine = min((action.index or 0 for action in failed or actions), default=0)
    here = [action for action in actions if (action.index or 0) == machine]
    chosen = [action for action in failed if (action.index or 0) == machine][-1:] or here[-most:]
    return chosen, len(here) > len(chosen)
