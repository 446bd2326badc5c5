"""The output of jobs: issues, test results, logs, artifacts. All come from a seed of the job, so they stay the same."""

import hashlib
import io
import random
import uuid
import zipfile
from dataclasses import dataclass
from functools import lru_cache

from playground.ci.model import Artifact, Build, Issue, IssueKind, Job, JobState, Outcome, Test, stamp

_RED, _GREEN, _YELLOW, _CYAN, _GREY, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[90m", "\x1b[0m"

_WARNINGS = {
    "swift": (
        "Variable 'token' was never mutated; consider changing to 'let' constant",
        "'UIScreen.main' was deprecated in iOS 26.0",
        "Capture of 'self' with non-sendable type in a '@Sendable' closure",
        "Result of call to 'insert' is unused",
        "Conformance of 'CartItem' to 'Sendable' is inferred",
    ),
    "typescript": (
        "'session' is assigned a value but never used",
        "Unexpected any. Specify a different type",
        "React Hook useEffect has a missing dependency: 'cart'",
        "Chunk vendor-4f2a.js is larger than 500 kB after minification",
    ),
    "ruby": (
        "`BigDecimal.new` is deprecated; use BigDecimal() instead",
        "literal in condition",
        "method redefined; discarding old total",
        "Metrics/AbcSize: too high for process! [31.4/23]",
    ),
    "go": (
        "should use strings.EqualFold instead",
        "result of http.NewRequest call not checked",
        "exported func Serve should have comment or be unexported",
    ),
    "java": (
        "[deprecation] getYear() in Date has been deprecated",
        "[unchecked] unchecked conversion to List<Order>",
        "[rawtypes] found raw type: Map",
    ),
}
_ERRORS = {
    "swift": (
        "Cannot find 'CheckoutFlow' in scope",
        "Value of type 'Basket' has no member 'discount'",
        "Missing argument for parameter 'locale' in call",
    ),
    "typescript": (
        "TS2345: Argument of type 'string' is not assignable to parameter of type 'Money'.",
        "TS2307: Cannot find module './basket' or its corresponding type declarations.",
        "TS2532: Object is possibly 'undefined'.",
    ),
    "ruby": (
        "NameError: uninitialized constant Billing::Invoice",
        "SyntaxError: unexpected end-of-input, expecting `end'",
        "LoadError: cannot load such file -- pg_ext",
    ),
    "go": (
        "undefined: gateway.NewLimiter",
        "cannot use cfg (variable of type Config) as *Config value in argument to Start",
        "missing return",
    ),
    "java": (
        "error: cannot find symbol: class OrderRepository",
        "error: incompatible types: String cannot be converted to Instant",
        "error: unreported exception IOException; must be caught or declared to be thrown",
    ),
}
_ANALYZER = (
    "Value stored to 'result' during its initialization is never read",
    "Potential leak of an object stored into 'context'",
    "Null pointer argument in call to string comparison function",
)
_FILES = {
    "swift": ("Aurora/Checkout/BasketView.swift", "Aurora/Login/SessionStore.swift", "AuroraKit/Sources/Money.swift"),
    "typescript": ("src/checkout/basket.ts", "src/session/store.ts", "src/components/Price.tsx"),
    "ruby": ("app/models/invoice.rb", "app/services/billing/charge.rb", "lib/importer/csv.rb"),
    "go": ("internal/gateway/limiter.go", "internal/proxy/proxy.go", "cmd/gateway/main.go"),
    "java": ("src/main/java/demo/orders/OrderService.java", "src/main/java/demo/stock/Stock.java"),
}
_SUBJECTS = (
    "empty basket",
    "expired session",
    "two currencies",
    "a lost connection",
    "very long names",
    "a leap day",
    "an unknown voucher",
    "parallel logins",
    "right-to-left text",
    "a full disk",
    "a slow network",
    "the old format",
)
_VERBS = ("handles", "refuses", "survives", "shows", "remembers", "reports")
_TEST_MESSAGES = (
    "expected 3, got 4",
    "expected status 200, got 503",
    "timed out after 5.0 seconds waiting for the basket to settle",
    "expected 'Zürich', got 'ZÃ¼rich'",
    "lists differ: first extra element at index 7",
)

_BUNDLE_KINDS = {"LOG_BUNDLE", "RESULT_BUNDLE", "ARCHIVE", "ARCHIVE_EXPORT", "TEST_PRODUCTS"}
_MIMES = {
    "zip": "application/zip",
    "xml": "application/xml",
    "json": "application/json",
    "html": "text/html",
    "txt": "text/plain",
    "log": "text/plain",
    "gz": "application/gzip",
    "png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log: `kind` is section, command, out, warning, error or good; `share` of the job's time when it comes."""

    kind: str
    text: str
    share: float

    @property
    def coloured(self) -> str:
        """Return the line as a terminal shows it."""
        colour = {"command": _GREEN, "warning": _YELLOW, "error": _RED, "good": _GREEN, "section": _CYAN}.get(self.kind)
        return f"{colour}{self.text}{_RESET}" if colour else self.text


def _rng(*parts: object) -> random.Random:
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - a simulation


def _uid(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def issues(build: Build, job: Job) -> tuple[Issue, ...]:
    """Return the errors and warnings of a job that has just ended; its tests must be set already."""
    step, language = job.step, build.pipeline.language
    rng = _rng("issues", build.uid, job.uid)
    messages: list[tuple[IssueKind, str, str]] = []
    warnings = max(step.warnings + rng.choice((-1, 0, 0, 1, 2)), 0) if step.warnings else 0
    if build.outcome is Outcome.WARNINGS and (step.warnings or step.tolerated):
        warnings += rng.randint(3, 7)
    messages += [(IssueKind.WARNING, rng.choice(_WARNINGS[language]), "Compiler Warning") for _ in range(warnings)]
    if step.analyzer_warnings:
        count = max(step.analyzer_warnings + rng.choice((-1, 0, 1)), 0)
        messages += [(IssueKind.ANALYZER_WARNING, rng.choice(_ANALYZER), "Static Analyzer") for _ in range(count)]
    if job.state is JobState.FAILED and not step.tolerated and not any(test.outcome == "failed" for test in job.tests):
        if job.reason == "infrastructure":
            messages.append((IssueKind.ERROR, "The machine that ran this job stopped answering", "Infrastructure"))
        else:
            messages += [
                (IssueKind.ERROR, text, "Compiler Error")
                for text in rng.sample(_ERRORS[language], rng.randint(1, len(_ERRORS[language])))
            ]
    made = [
        Issue(
            uid=_uid(job.uid, "issue", index),
            kind=kind,
            message=message,
            file=None if category == "Infrastructure" else rng.choice(_FILES[language]),
            line=None if category == "Infrastructure" else rng.randint(3, 240),
            category=category,
        )
        for index, (kind, message, category) in enumerate(messages)
    ]
    made += [
        Issue(
            uid=_uid(job.uid, "failure", test.uid),
            kind=IssueKind.TEST_FAILURE,
            message=f"{test.name}: {test.message}",
            file=test.file,
            line=test.line,
            category="Test Failure",
        )
        for test in job.tests
        if test.outcome == "failed"
    ]
    return tuple(made)


def tests(build: Build, job: Job) -> tuple[Test, ...]:
    """Return the tests of a job that has just ended; those of a job that never got so far are none."""
    step, pipeline = job.step, build.pipeline
    if not step.tests or job.state not in {JobState.PASSED, JobState.FAILED} or job.reason == "infrastructure":
        return ()
    rng = _rng("tests", build.uid, job.uid)
    total = step.tests + build.number // 5
    failing: set[int] = set()
    if job.state is JobState.FAILED:
        # The first few are the pipeline's fragile ones: failures come back, as they do in life.
        failing = set(rng.sample(range(min(8, total)), rng.randint(1, 4)))
    skipped = {total - 1} if total > 10 else set()
    titles = _test_titles(pipeline.uid, pipeline.path, pipeline.language, step.name, total)
    made = []
    for index in range(total):
        class_name, file = pipeline.test_classes[index % len(pipeline.test_classes)]
        uid, name = titles[index]
        outcome = "failed" if index in failing else "skipped" if index in skipped else "passed"
        line = 10 + 7 * index
        message = rng.choice(_TEST_MESSAGES) if outcome == "failed" else None
        made.append(
            Test(
                uid=uid,
                class_name=class_name,
                name=name,
                file=file,
                line=line,
                outcome=outcome,
                seconds=0.0 if outcome == "skipped" else round(rng.uniform(0.002, 0.4), 3),
                message=message,
                trace=f"{file}:{line}: {message}\n{file}:{line + 2}: in {name}" if message else None,
            )
        )
    return tuple(made)


@lru_cache(maxsize=256)
def _test_titles(pipeline: str, path: str, language: str, step: str, total: int) -> tuple[tuple[str, str], ...]:
    """Return the id and the name of each test of a step: the same in each build of a pipeline, which is a uid and a path."""
    rng = _rng("names", path, step)
    subjects = [f"{rng.choice(_VERBS)} {_SUBJECTS[index % len(_SUBJECTS)]}" for index in range(total)]
    return tuple(
        (_uid(pipeline, step, index), _test_name(language, subject, index // len(_SUBJECTS)))
        for index, subject in enumerate(subjects)
    )


def _test_name(language: str, subject: str, again: int) -> str:
    suffix = f" {again + 1}" if again else ""
    words = f"{subject}{suffix}".split()
    if language == "swift":
        return "test" + "".join(word.capitalize() for word in words) + "()"
    if language == "go":
        return "Test" + "".join(word.capitalize() for word in words)
    if language == "java":
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return " ".join(words)


def artifacts(build: Build, job: Job, first_number: int) -> tuple[Artifact, ...]:
    """Return the files of a job that has just ended."""
    made = []
    for index, wanted in enumerate(job.step.artifacts):
        kind, _, path = wanted.rpartition(":")
        name = path.replace("{number}", str(build.number)).replace("{sha}", build.commit.sha[:8])
        ending = name.rpartition(".")[2]
        made.append(
            Artifact(
                uid=_uid(job.uid, "artifact", index),
                number=first_number + index,
                path=name,
                kind=kind,
                mime=_MIMES.get(ending, "application/octet-stream"),
                content=_content(build, job, kind, name, ending),
            )
        )
    return tuple(made)


def _content(build: Build, job: Job, kind: str, name: str, ending: str) -> bytes:
    if kind == "LOG_BUNDLE":
        return log_bundle(build, job)
    if ending == "zip" or kind in _BUNDLE_KINDS:
        return _zip({"Info.txt": f"{name}\nbuild {build.number}\n{build.commit.sha}\n", "data.bin": _noise(job, 4096)})
    if ending == "xml":
        return junit_xml(job).encode()
    if ending in {"txt", "log", "json", "html"}:
        return f"{build.pipeline.name} #{build.number} {job.step.name} {build.commit.sha}\n".encode()
    return _noise(job, 20_000)


def _noise(job: Job, size: int) -> bytes:
    return _rng("noise", job.uid).randbytes(size)


def _zip(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def log_bundle(build: Build, job: Job) -> bytes:
    """Return a job's whole log as a zip of a few text files, the long one named after xcodebuild."""
    whole = "\n".join(line.text for line in lines(build, job)) + "\n"
    return _zip(
        {
            "ci_logs/xcodebuild-build.log": whole,
            "ci_logs/resolve-dependencies.log": "Resolved 14 packages\n",
            "ci_logs/environment.txt": f"CI=TRUE\nCI_BUILD_NUMBER={build.number}\nCI_COMMIT={build.commit.sha}\n",
        }
    )


def junit_xml(job: Job) -> str:
    """Return a job's tests as JUnit's XML."""
    cases = "".join(
        f'<testcase classname="{test.class_name}" name="{test.name}" time="{test.seconds}">'
        + (f'<failure message="failed">{test.line}</failure>' if test.outcome == "failed" else "")
        + ("<skipped/>" if test.outcome == "skipped" else "")
        + "</testcase>"
        for test in job.tests
    )
    failed = sum(test.outcome == "failed" for test in job.tests)
    return f'<testsuite name="{job.step.name}" tests="{len(job.tests)}" failures="{failed}">{cases}</testsuite>'


def lines(build: Build, job: Job) -> list[Line]:
    """Return a job's log as it is, or will be, at its end."""
    rng = _rng("log", job.uid)
    sha, step = build.commit.sha, job.step
    output = [
        ("section", "Preparing the machine"),
        (
            "out",
            f"Runner demo-runner-{rng.randint(1, 9)} ({rng.choice(('arm64', 'x86_64'))}), {rng.randint(4, 16)} cores",
        ),
        ("section", "Fetching the code"),
        ("out", f"Checking out {sha[:8]} ({build.ref}): {build.commit.title}"),
        ("section", f"Running {step.name}"),
        ("command", f"$ {step.command}"),
    ]
    body = rng.randint(25, 60)
    files = _FILES[build.pipeline.language]
    for index in range(body):
        digest = hashlib.blake2s(f"{job.uid}/{index}".encode(), digest_size=3).hexdigest()
        output.append(("out", f"[{index + 1}/{body}] {rng.choice(files)} {_GREY}{digest}{_RESET}"))
    for issue in job.issues:
        location = f"{issue.file}:{issue.line}: " if issue.file else ""
        kind = "warning" if issue.kind in {IssueKind.WARNING, IssueKind.ANALYZER_WARNING} else "error"
        output.append((kind, f"{location}{kind}: {issue.message}"))
    if job.tests:
        failed = sum(test.outcome == "failed" for test in job.tests)
        output.append(("error" if failed else "good", f"{len(job.tests)} tests, {failed} failures"))
    shares = [(at + 1) / (len(output) + 1) for at in range(len(output))]
    written = [Line(kind, text, share) for (kind, text), share in zip(output, shares, strict=True)]
    if job.state.final:
        written.append(Line(*_last_word(job), 1.0))
    return written


def _last_word(job: Job) -> tuple[str, str]:
    match job.state:
        case JobState.PASSED | JobState.UNBLOCKED:
            return "good", "Done."
        case JobState.CANCELED:
            return "error", "Canceled."
        case JobState.TIMEOUT:
            return "error", "The job took longer than it may and was stopped."
        case JobState.SKIPPED:
            return "out", "Skipped."
        case _:
            return "error", "The job failed with exit status 1."


def visible(build: Build, job: Job, now: float) -> list[Line]:
    """Return the part of a job's log that is written by `now`; nothing before it starts."""
    if job.started_at is None or job.erased_at is not None:
        return []
    whole = lines(build, job)
    if job.finished_at is not None:
        ran = job.finished_at - job.started_at
        planned = (job.ends_at or job.finished_at) - job.started_at
        share = 1.0 if job.state is not JobState.CANCELED or planned <= 0 else min(ran / planned, 1.0)
        return [line for line in whole if line.share <= share or line is whole[-1]]
    share = (now - job.started_at) / max((job.ends_at or now) - job.started_at, 0.001)
    return [line for line in whole if line.share <= share]


def sections(shown: list[Line]) -> list[tuple[str, list[Line]]]:
    """Return the lines of a log in its sections, each with its title; the last word belongs to the last one."""
    made: list[tuple[str, list[Line]]] = []
    for line in shown:
        if line.kind == "section":
            made.append((line.text, []))
        elif made:
            made[-1][1].append(line)
    return made


def log_times(build: Build, job: Job, now: float) -> list[str]:
    """Return when each visible line was written."""
    start = job.started_at or 0.0
    end = job.finished_at or job.ends_at or now
    return [stamp(start + line.share * (end - start)) for line in visible(build, job, now)]
