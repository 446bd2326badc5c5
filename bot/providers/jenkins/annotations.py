"""What plugins recorded about a build: tests and warnings."""

from collections.abc import Iterable, Iterator

from bot.core.models import Issue, IssueCounts, IssueKind, Outcome, TestCase
from bot.providers.jenkins import urls, wire
from bot.providers.jenkins.client import Server
from bot.providers.jenkins.convert import members

TOOLS = 10
NESTED = 3
COMPILERS = frozenset(
    {
        "acu-cobol",
        "armcc",
        "armcc5",
        "cargo",
        "clang",
        "cmake",
        "diabc",
        "erlc",
        "gcc",
        "gcc3",
        "gcc4",
        "ghs-multi",
        "gnat",
        "go-build",
        "groovyc",
        "iar",
        "intel",
        "java",
        "javac",
        "kotlin",
        "maven",
        "maven-warnings",
        "metrowerks",
        "msbuild",
        "nag-fortran",
        "rust",
        "sbt-scala-compiler",
        "scala",
        "scalac",
        "sunc",
        "swift",
        "swiftc",
        "tasking-vx",
        "ti-ccs",
        "tsc",
        "typescript",
        "xcode",
        "xlc",
    }
)
"""The tools of the Warnings plugin that compile; all others analyze."""


class Reports:
    """Reads the tests and warnings of one server's builds."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def tests(self, pipeline: str, number: str) -> tuple[TestCase, ...]:
        """Return the recorded tests, failed ones first; none where none were recorded."""
        report = await self._server.recorded(pipeline, number, "testReport", wire.TESTS)
        cases = cases_of(wire.Report.of(report), NESTED) if report is not None else ()
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    async def test_counts(self, pipeline: str, number: str) -> IssueCounts:
        """Return how many tests there were and failed."""
        report = await self._server.recorded(pipeline, number, "testReport", wire.TEST_COUNTS)
        return report_counts(wire.Report.of(report)) if report is not None else IssueCounts()

    async def tools(self, pipeline: str, number: str) -> list[wire.Tool]:
        """Return the tools whose warnings were recorded, with their counts."""
        raw = await self._server.recorded(pipeline, number, "warnings-ng", wire.TOOLS)
        return members(wire.Tools.of(raw).tools, wire.Tool.of) if raw is not None else []

    async def findings(self, pipeline: str, number: str) -> list[Issue]:
        """Return the recorded warnings, of ten tools at most. Costs a request, and one for each of those tools."""
        issues: list[Issue] = []
        for tool in [tool for tool in await self.tools(pipeline, number) if tool.size][:TOOLS]:
            raw = await self._server.of_build(pipeline, number, wire.ISSUES, tool.id, "all")
            kind = IssueKind.WARNING if is_compiler(tool.id) else IssueKind.ANALYZER_WARNING
            page = f"{urls.below(self._server.build_page(pipeline, number), tool.id)}/"
            findings = members(wire.Findings.of(raw).issues, wire.Finding.of)
            issues += [
                Issue(
                    kind=IssueKind.ERROR if finding.severity == "ERROR" else kind,
                    message=wire.html_text(finding.message) or finding.type or "a warning without a message",
                    job=tool.name or tool.id,
                    file=finding.file_name,
                    line=finding.line_start or None,
                    url=page,
                )
                for finding in findings
                if finding.message or finding.file_name or finding.type
            ]
        return issues


def cases_of(report: wire.Report, deep: int) -> Iterator[TestCase]:
    """Yield a report's tests, and those of its parts."""
    for suite in members(report.suites, wire.Suite.of):
        for case in members(suite.cases, wire.CaseWire.of):
            if case.name or case.class_name or case.status:
                yield _case(case, suite.name)
    for child in members(report.child_reports, wire.ChildReport.of) if deep else ():
        if child.result is not None:
            yield from cases_of(child.result, deep - 1)


def _case(raw: wire.CaseWire, suite: str | None) -> TestCase:
    match raw.status:
        case "FAILED" | "REGRESSION":
            outcome = Outcome.FAILED
        case "PASSED" | "FIXED":
            outcome = Outcome.PASSED
        case "SKIPPED":
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    return TestCase(
        name=raw.name or "a test without a name",
        outcome=outcome,
        class_name=raw.class_name or None,
        detail=suite if suite and suite != raw.class_name else None,
        seconds=raw.duration,
        message=raw.error_details or raw.skipped_message or None,
    )


def report_counts(raw: wire.Report) -> IssueCounts:
    """Return a report's counts; some kinds count all tests, others the passed ones."""
    total = raw.total_count
    if total is None and raw.pass_count is not None:
        total = raw.pass_count + (raw.fail_count or 0) + (raw.skip_count or 0)
    return IssueCounts(test_failures=raw.fail_count, tests_total=total)


def is_compiler(tool: str) -> bool:
    """Return whether a tool's warnings are a compiler's rather than an analyzer's."""
    return tool.lower() in COMPILERS or "compiler" in tool.lower()


def warning_counts(tools: Iterable[wire.Tool]) -> IssueCounts:
    """Return the recorded warnings, each counted once: what compilers warn of apart from what analyzers find.

    Older versions of the plugin report only how many a tool found: then all of them are warnings, and how many are errors
    is unknown.
    """
    listed = list(tools)
    if not listed:
        return IssueCounts()
    compilers = [tool for tool in listed if is_compiler(tool.id)]
    analyzers = [tool for tool in listed if not is_compiler(tool.id)]
    return IssueCounts(
        errors=_total(map(_errors, listed)),
        warnings=_total(map(_warnings, compilers)),
        analyzer_warnings=_total(map(_warnings, analyzers)),
    )


def _errors(tool: wire.Tool) -> int | None:
    if tool.error_size is None and (tool.size == 0 or _lesser(tool)):
        return 0
    return tool.error_size


def _warnings(tool: wire.Tool) -> int | None:
    """Return how many warnings a tool found, None where it reports nothing."""
    lesser = _lesser(tool)
    if lesser or tool.size is None:
        return sum(lesser) if lesser else None
    return max(tool.size - (tool.error_size or 0), 0)


def _lesser(tool: wire.Tool) -> list[int]:
    """Return the counts of all severities below an error that a tool reports."""
    return [size for size in (tool.high_size, tool.normal_size, tool.low_size) if size is not None]


def _total(counts: Iterable[int | None]) -> int | None:
    """Return a sum, None where a part of it is unknown."""
    known = list(counts)
    return None if None in known else sum(filter(None, known))


def test_issues(cases: Iterable[TestCase], page: str) -> list[Issue]:
    """Return the tests that failed as issues; `page` is the build's."""
    return [
        Issue(
            kind=IssueKind.TEST_FAILURE,
            message=f"{case.name}: {case.message}" if case.message else case.name,
            job=case.class_name,
            url=f"{page}testReport/",
        )
        for case in cases
        if case.outcome is Outcome.FAILED
    ]
