"""What plugins recorded about a build: tests and warnings; and the build's own log."""

from urllib.parse import quote

from bot.core.errors import UnexpectedResponse
from bot.core.models import Issue, IssueCounts, IssueKind, Outcome, TestCase
from bot.providers.jenkins import convert, parts, wire
from bot.providers.jenkins.client import Server, keep
from bot.providers.jenkins.stages import TEXT
from bot.providers.jenkins.urls import build_path

TOOLS = 10
NESTED = 3


class Reports:
    """Reads tests, warnings and whole logs of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._log_ends: dict[str, int] = {}

    async def tests(self, pipeline: str, number: str) -> tuple[TestCase, ...]:
        """Return the recorded tests, failed ones first; none where none were recorded."""
        report = await self._server.recorded(pipeline, number, "testReport", wire.TESTS)
        cases = parts.cases_of(wire.Report.of(report), NESTED) if report is not None else ()
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    async def test_counts(self, pipeline: str, number: str) -> IssueCounts:
        """Return how many tests there were and failed."""
        report = await self._server.recorded(pipeline, number, "testReport", wire.TEST_COUNTS)
        return parts.report_counts(wire.Report.of(report)) if report is not None else IssueCounts()

    async def tools(self, pipeline: str, number: str) -> list[wire.Tool]:
        """Return the tools whose warnings were recorded, with their counts."""
        raw = await self._server.recorded(pipeline, number, "warnings-ng", wire.TOOLS)
        return wire.Tools.of(raw).tools or [] if raw is not None else []

    async def findings(self, pipeline: str, number: str) -> list[Issue]:
        """Return the recorded warnings, of ten tools at most. Costs a request, and one for each of those tools."""
        found: list[Issue] = []
        for tool in [tool for tool in await self.tools(pipeline, number) if tool.size][:TOOLS]:
            name = quote(tool.id, safe="")
            raw = await self._server.json(f"{build_path(pipeline, number)}/{name}/all", wire.ISSUES)
            kind = IssueKind.WARNING if parts.is_compiler(tool.id) else IssueKind.ANALYZER_WARNING
            found += [
                Issue(
                    kind=IssueKind.ERROR if it.severity == "ERROR" else kind,
                    message=convert.plain(it.message) or it.type or "a warning without a message",
                    job=tool.name or tool.id,
                    file=it.file_name,
                    line=it.line_start or None,
                    url=f"{self._server.page(pipeline)}{number}/{name}/",
                )
                for it in wire.Findings.of(raw).issues or ()
            ]
        return found

    async def console(self, at: str, tail_bytes: int) -> tuple[bytes, bool]:
        """Return the end of a log from where it ended at the last look, less the wanted part; and whether more is above."""
        start = max(self._log_ends.get(at, 0) - tail_bytes, 0)
        try:
            reply = await self._server.api.get(f"{at}/logText/progressiveText", {"start": start}, headers=TEXT)
        except UnexpectedResponse:  # larger than one answer may be
            return await self._server.api.tail(f"{at}/consoleText", keep=tail_bytes, headers=TEXT)
        end = reply.headers.get("x-text-size", "")
        if end.isdecimal():
            keep(self._log_ends, at, int(end))
        return reply.content, start > 0
