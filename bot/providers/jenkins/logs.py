"""Logs: of a stage where a plugin reports it, of a combination of a matrix, else of the whole build."""

import html
import re

from cachetools import LRUCache

from bot.core.errors import NotFound, Rejected, UnexpectedResponse
from bot.core.models import Job, Log
from bot.http.client import ApiClient
from bot.providers.base.logs import cleaned_log
from bot.providers.jenkins import urls, wire
from bot.providers.jenkins.errors import LABEL
from bot.providers.jenkins.stages import GRAPH, STAGE_VIEW, WHOLE, Stages

TEXT = {"Accept": "text/plain"}
STEPS_READ = 6
ENDS_KEPT = 1000
ODD_STEPS = frozenset({"FAILED", "ABORTED", "UNSTABLE"})


class Logs:
    """Reads the logs of one server."""

    def __init__(self, api: ApiClient, stages: Stages) -> None:
        self._api = api
        self._stages = stages
        self._ends: LRUCache[tuple[str, ...], int] = LRUCache(ENDS_KEPT)

    async def log(self, job: Job, tail_bytes: int) -> Log:
        """Return the end of a job's log; that of the whole build where no plugin reports a stage's own.

        Costs one request, for a stage without the graph view up to eight.
        """
        is_cell = urls.is_axes(job.id)
        tail: tuple[bytes | str, bool] | None = None
        if not is_cell and job.id != WHOLE:
            if not urls.is_number(job.id):
                raise NotFound(f"{job.name} is no stage that Jenkins could have.", provider=LABEL)
            tail = await self._of_stage(job, tail_bytes)
        is_stages_own = tail is not None
        data, is_cut = tail if tail is not None else await self._console(job, tail_bytes)
        kept = data[-tail_bytes:]
        truncated = is_cut or len(kept) < len(data)
        text = await cleaned_log(kept)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name if is_stages_own or is_cell or job.id == WHOLE else None,
            url=job.web_url,
        )

    async def _of_stage(self, job: Job, tail_bytes: int) -> tuple[bytes | str, bool] | None:
        """Return the end of a stage's log and whether there is more above it; None where no plugin has it."""
        if GRAPH not in self._stages.absent:
            route = urls.build_path(job.pipeline, job.build, "stages", "log")
            try:
                return await self._api.tail(route, {"nodeId": job.id}, keep=tail_bytes, headers=TEXT)
            except (NotFound, Rejected):
                pass  # no such plugin, or no log of this stage: the next one may have it
        if STAGE_VIEW not in self._stages.absent:
            try:
                return await self._steps(job)
            except NotFound:
                pass
        return None

    async def _steps(self, job: Job) -> tuple[str, bool] | None:
        """Return the logs of a stage's steps: those that failed, or else the last few."""
        stage = wire.Stage.of((await self._api.get(self._node(job, job.id, "describe"))).raw)
        steps = stage.stage_flow_nodes or []
        chosen = [step for step in steps if step.status in ODD_STEPS] or steps
        texts: list[str] = []
        is_cut = len(chosen) > STEPS_READ
        for step in chosen[-STEPS_READ:]:
            try:
                raw = wire.NodeLog.of((await self._api.get(self._node(job, step.id, "log"))).raw)
            except NotFound:
                continue
            is_cut = is_cut or bool(raw.has_more)
            texts.append(html.unescape(re.sub(r"<[^<>]*>", "", raw.text or "")))
        return ("\n".join(text.rstrip("\n") for text in texts if text), is_cut) if any(texts) else None

    @staticmethod
    def _node(job: Job, node: str, what: str) -> str:
        return urls.build_path(job.pipeline, job.build, "execution", "node", node, "wfapi", what)

    async def _console(self, job: Job, tail_bytes: int) -> tuple[bytes, bool]:
        """Return the end of a whole log, read from where it ended at the last time less `tail_bytes`."""
        cell = (job.id,) if urls.is_axes(job.id) else ()
        key = (job.pipeline, *cell, job.build)
        start = max(self._ends.get(key, 0) - tail_bytes, 0)
        try:
            route = self._route(job, "logText", "progressiveText")
            reply = await self._api.get(route, {"start": start}, headers=TEXT)
        except UnexpectedResponse:  # larger than one answer may be
            return await self._api.tail(self._route(job, "consoleText"), keep=tail_bytes, headers=TEXT)
        end = reply.headers.get("x-text-size", "")
        if end.isdecimal():
            self._ends[key] = int(end)
        return reply.content, start > 0

    @staticmethod
    def _route(job: Job, *rest: str) -> str:
        if urls.is_axes(job.id):
            return urls.cell_path(job.pipeline, job.id, job.build, *rest)
        return urls.build_path(job.pipeline, job.build, *rest)
