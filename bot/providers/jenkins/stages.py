"""A build's stages and their logs, from whichever plugin is there: graph view, stage view, Blue Ocean."""

import html
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from urllib.parse import quote

from bot.core.clock import Clock
from bot.core.errors import NotFound, Rejected
from bot.core.models import Job
from bot.http.client import Api
from bot.providers.jenkins import parts, wire
from bot.providers.jenkins.urls import blue_path, build_path

TEXT = {"Accept": "text/plain"}
ABSENT_FOR = timedelta(hours=1)
"""How long a plugin that was not there is not asked for again."""
STEPS_READ = 6

Reader = Callable[[str, str, str], Awaitable[list[Job]]]


class Stages:
    """Reads stages by the best plugin a server has; remembers which it lacks."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._absent: dict[str, datetime] = {}

    async def jobs(self, pipeline: str, number: str, page: str) -> list[Job]:
        """Return a pipeline build's stages, or nothing where no plugin tells them.

        Costs one request once it is known which plugin is there.
        """
        readers: dict[str, Reader] = {"graph": self._graph, "stage view": self._stage_view, "blue ocean": self._blue}
        for name, reader in readers.items():
            if self._lacks(name):
                continue
            try:
                return await reader(pipeline, number, page)
            except NotFound:
                self._absent[name] = self._clock()
        return []

    async def log(self, job: Job, tail_bytes: int) -> tuple[bytes | str, bool] | None:
        """Return the end of a stage's log and whether there is more above it; None where no plugin has it."""
        at = build_path(job.pipeline, job.build)
        if not self._lacks("graph"):
            try:
                return await self._api.tail(f"{at}/stages/log", {"nodeId": job.id}, keep=tail_bytes, headers=TEXT)
            except (NotFound, Rejected):
                pass  # no such plugin, or no log of this stage: the next one may have it
        if not self._lacks("stage view"):
            try:
                return await self._steps_log(at, job.id)
            except NotFound:
                pass
        return None

    def _lacks(self, name: str) -> bool:
        since = self._absent.get(name)
        return since is not None and self._clock() - since < ABSENT_FOR

    async def _graph(self, pipeline: str, number: str, page: str) -> list[Job]:
        it = wire.Graph.of((await self._api.get(f"{build_path(pipeline, number)}/stages/tree")).raw)
        return list(parts.graph_jobs(it.data.stages or (), build=number, pipeline=pipeline, page=page))

    async def _stage_view(self, pipeline: str, number: str, page: str) -> list[Job]:
        reply = await self._api.get(f"{build_path(pipeline, number)}/wfapi/describe", {"fullStages": True})
        stages = wire.Described.of(reply.raw).stages or ()
        return [parts.stage_job(it, build=number, pipeline=pipeline, page=page) for it in stages]

    async def _blue(self, pipeline: str, number: str, page: str) -> list[Job]:
        reply = await self._api.get(f"{blue_path(pipeline, number)}/nodes/")
        nodes = map(wire.BlueNode.of, reply.items())
        return [parts.blue_job(it, build=number, pipeline=pipeline, page=page) for it in nodes]

    async def _steps_log(self, at: str, node: str) -> tuple[str, bool] | None:
        """Return the logs of a stage's steps: those that failed, or else the last few."""
        stage = wire.Stage.of((await self._api.get(f"{at}/execution/node/{quote(node, safe='')}/wfapi/describe")).raw)
        steps = stage.stage_flow_nodes or []
        told = [it for it in steps if it.status in {"FAILED", "ABORTED", "UNSTABLE"}] or steps
        texts: list[str] = []
        cut = len(told) > STEPS_READ
        for step in told[-STEPS_READ:]:
            try:
                reply = await self._api.get(f"{at}/execution/node/{quote(step.id, safe='')}/wfapi/log")
            except NotFound:
                continue
            log = wire.NodeLog.of(reply.raw)
            cut = cut or bool(log.has_more)
            texts.append(html.unescape(re.sub(r"<[^<>]*>", "", log.text or "")))
        return ("\n".join(text.rstrip("\n") for text in texts if text), cut) if any(texts) else None
