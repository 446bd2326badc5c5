"""Test results: runs as they were published, and the count of all of a build's tests."""

from bot.core.models import IssueCounts
from bot.http.client import Query
from bot.providers.azure_devops import convert, wire
from bot.providers.azure_devops.client import GONE, Service
from bot.providers.base.listing import parse_items

RESULTS = 1000
FAILED_OUTCOMES = "Failed,Error,Timeout,Aborted"


class Tests:
    """The tests of builds."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def counts(self, project: str, build: str) -> IssueCounts:
        """Return the tests as counted for the whole build, by a preview; older servers have only the runs."""
        path = self._service.test_results(project, "resultsummarybybuild")
        try:
            summary = wire.TestSummary.of((await self._service.get(path, {"buildId": build}, preview=True)).raw)
        except GONE:
            return convert.run_counts(await self.runs(project, build))
        return convert.summary_counts(summary)

    async def runs(self, project: str, build: str) -> list[wire.TestRun]:
        """Return the runs that a build published, with their statistics."""
        query: Query = {"buildUri": f"vstfs:///Build/Build/{build}", "includeRunDetails": True}
        listed = await self._service.get(self._service.at(project, "test/runs"), query)
        return list(parse_items(listed.items("value"), wire.TestRun.of))

    async def results(self, project: str, run: wire.TestRun, outcomes: str | None = None) -> list[wire.TestResult]:
        """Return a run's tests, the first thousand, or those that ended in some ways."""
        path = self._service.at(project, "test/Runs", str(run.id), "results")
        listed = await self._service.get(path, {"outcomes": outcomes, "$top": RESULTS})
        return list(parse_items(listed.items("value"), wire.TestResult.of))
