"""The class of a failure's cause: code, test, infrastructure, time-out or configuration. Pure; a guess, not a verdict."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.core.models import Build, Conclusion, Issue, IssueKind, Job


class Cause(StrEnum):
    """What a failure is likely to come from."""

    CODE = "code"
    TEST = "test"
    INFRASTRUCTURE = "infrastructure"
    TIMEOUT = "time-out"
    CONFIGURATION = "configuration"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A failure's likely cause. `because` is what the CI system's words speak of, empty where they speak of nothing."""

    cause: Cause
    because: str = ""


# What each speaks of is what a reader is told. Words are looked for as whole words, in what systems write about
# themselves (reasons of jobs, states) and in errors; never in what a test says, which quotes the code it tests.
INFRASTRUCTURE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (told, re.compile(rf"\b(?:{words})\b"))
    for told, words in (
        (
            "the machine or agent was lost",
            (
                r"agent (?:was |has been )?(?:lost|stopped|disconnected|terminated|died)|lost agent|agent lost contact"
                r"|lost (?:contact|communication|connection) (?:with|to) (?:the )?(?:agent|runner|server|node|executor|machine|host)"
                r"|runner (?:system failure|has received a shutdown signal|was lost|lost|disconnected|unsupported|died)"
                r"|(?:agent|runner|node|worker|machine|host|executor|channel) (?:is |was |went |has gone )?(?:offline|unreachable|disconnected|lost)"
                r"|channel is already closed|closedchannelexception|removed or offline|stopped hearing from agent"
                r"|did not hear from the agent|infrastructure fail(?:ure|ed)?|machine error|machine (?:failure|crashed)"
                r"|preempted|evicted|spot instance|node shutdown|host (?:failure|error)|stale schedule|scheduler failure"
                r"|unmet prerequisites|data integrity failure|could not (?:start|provision) (?:the )?(?:agent|machine|runner|container|executor)"
                r"|no (?:agents?|runners?|executors?) (?:available|online|could be found)|system failure|internal error in (?:ci|the ci)"
            ),
        ),
        (
            "no space was left",
            r"no space left on device|disk (?:is )?full|enospc|out of disk(?: space)?|disk quota exceeded|not enough (?:disk )?space",
        ),
        ("memory ran out", r"out of memory|oom[ -]?kill(?:ed|er)?|oomkilled|cannot allocate memory"),
        (
            "the network failed",
            (
                r"connection (?:reset|refused|aborted|timed out|closed by (?:remote|peer))|network (?:is )?(?:unreachable|error|failure|timeout)"
                r"|could not resolve host(?:name)?|temporary failure in name resolution|name or service not known|no route to host"
                r"|econnreset|econnrefused|etimedout|enotfound|eai_again|getaddrinfo|tls handshake timeout|i/o timeout"
                r"|(?:502 bad gateway|503 service unavailable|504 gateway time-?out)|service unavailable|bad gateway|unexpected disconnect"
                r"|the remote end hung up unexpectedly|early eof|ssl error syscall|dial tcp"
            ),
        ),
    )
)
TIMEOUT = re.compile(
    r"\b(?:job execution timeout|stuck or timeout failure|execution expired|build timed out|job timed out|exceeded the (?:maximum|time) (?:execution )?(?:time|limit)"
    r"|maximum execution time|exceeded the timeout|timed out after|time limit exceeded)\b"
)
CONFIGURATION = re.compile(
    r"\b(?:invalid (?:yaml|workflow|configuration|config|pipeline)|yaml (?:syntax|error|parse)|ya?ml(?: file)? (?:is )?invalid|config(?:uration)? error"
    r"|configuration failure|unauthori[sz]ed|permission denied|access denied|authentication (?:failed|required)|credentials?|forbidden"
    r"|no such file or directory|command not found|missing (?:secret|variable|environment variable|dependency failure)"
    r"|environment variable \S{1,80} (?:is )?not set|provisioning profile|code ?sign(?:ing)?|no signing certificate|image not found|manifest unknown|unknown (?:job|stage|image))\b"
)
READ = 2000
MOST_ISSUES = 20


def diagnose(
    build: Build, issues: Sequence[Issue] = (), red_jobs: Sequence[Job] = (), *, same_commit_passed: bool = False
) -> Diagnosis:
    """Return the likely cause of a red build.

    `red_jobs` are the jobs that failed. What the system says of its own machines comes first, then time-outs, then tests,
    then what errors say. Without any of them, a commit that passed in another build did not break this one: then it is
    infrastructure.
    """
    errors = [issue for issue in issues[:MOST_ISSUES] if issue.kind is not IssueKind.TEST_FAILURE]
    system = _words(*((job.reason or "") for job in red_jobs), build.raw_state or "")
    written = _words(*(issue.message for issue in errors))
    if why := _infrastructure(system):
        return Diagnosis(cause=Cause.INFRASTRUCTURE, because=why)
    if build.conclusion is Conclusion.TIMEOUT or TIMEOUT.search(system):
        return Diagnosis(cause=Cause.TIMEOUT)
    if failed_tests(build, issues):
        return Diagnosis(cause=Cause.TEST)
    if why := _infrastructure(written):
        return Diagnosis(cause=Cause.INFRASTRUCTURE, because=why)
    if TIMEOUT.search(written):
        return Diagnosis(cause=Cause.TIMEOUT)
    if same_commit_passed:
        return Diagnosis(cause=Cause.INFRASTRUCTURE)
    if CONFIGURATION.search(f"{system}\n{written}"):
        return Diagnosis(cause=Cause.CONFIGURATION)
    return Diagnosis(cause=Cause.CODE) if issues else Diagnosis(cause=Cause.UNKNOWN)


def failed_tests(build: Build, issues: Sequence[Issue]) -> int:
    """Return how many tests of a build failed, as far as is known."""
    tests = sum(issue.kind is IssueKind.TEST_FAILURE for issue in issues)
    return max(tests, build.issues.test_failures or 0)


def _words(*texts: str) -> str:
    return "\n".join(text[:READ].replace("_", " ").lower() for text in texts if text)


def _infrastructure(text: str) -> str:
    """Return what of the infrastructure a text speaks of, empty for nothing."""
    return next((told for told, pattern in INFRASTRUCTURE if pattern.search(text)), "")
