"""What GitLab refuses and why, and what its limit headers mean."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import httpx

from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected
from bot.http.errors import message_of
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.times import parse_time

LABEL = "GitLab"
REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.RETRY_ALL: (
        "GitLab can't run all jobs of a pipeline again.",
        "`/build rebuild` starts a new pipeline on the same ref.",
    ),
    Capability.REJECT: (
        "A manual job of GitLab can't be rejected, it just waits.",
        "`/build cancel` stops the whole build.",
    ),
    Capability.PARAMETERS: (
        "This GitLab does not tell which variables and inputs a pipeline takes.",
        "Give them by name: `KEY=VALUE` for a variable, `input.NAME=VALUE` for an input.",
    ),
}

OLD_REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.RETRY_ALL: ("A build of a GitLab this old is one job.", "`/build retry` runs it again."),
    Capability.REJECT: REFUSALS[Capability.REJECT],
    Capability.PARAMETERS: (
        "A GitLab this old does not tell which variables a build takes.",
        "Give them by name: `KEY=VALUE`. They need a trigger token.",
    ),
    Capability.TESTS: ("A GitLab this old reports no tests.", "The build's log has them."),
}
"""What API v3 cannot do."""


def partly(refused: Sequence[ProviderError], whole: int, done: str) -> ProviderError:
    """Return the error for jobs of which some refused: the first refusal where all did."""
    if len(refused) == whole:
        return refused[0]
    return Rejected(
        f"GitLab {done} {whole - len(refused)} of {whole} jobs. The rest: {refused[0].message}",
        provider=LABEL,
        status=refused[0].status,
    )


def still_running() -> Rejected:
    """Return the error for a cancel that was taken and shows no effect."""
    return Rejected(
        "GitLab took the request to cancel, but the build still runs.",
        provider=LABEL,
        hint="Its jobs may not be interruptible, or the token's role is too small.",
    )


def variables_unreadable(cause: AuthFailed) -> AuthFailed:
    """Return the error for a rebuild whose old variables are not for this token."""
    return AuthFailed(
        "I may not read that build's variables, so I can't build the same again.",
        provider=LABEL,
        status=cause.status,
        hint="`/build run` starts the ref with variables of your own.",
    )


def map_error(reply: Reply) -> ProviderError | None:
    """Return the error where GitLab words a refusal in its own way."""
    reason = message_of(reply) or ""
    words = reason.lower()
    if reply.status == 400 and "reference not found" in words:
        return NotFound(
            "GitLab has no such branch or tag.",
            provider=LABEL,
            status=400,
            hint="`/build run` takes the name of a branch or a tag.",
        )
    if reply.status == 400 and "will not run for the selected trigger" in words:
        return Rejected(
            "GitLab would run no job: the pipeline's `rules` leave out builds started from outside.",
            provider=LABEL,
            status=400,
            hint="Allow the sources `api` and `trigger` in `.gitlab-ci.yml`.",
        )
    if reply.status == 403 and "insufficient_scope" in reply.text[:2000]:
        return AuthFailed(
            "The token's scope is too small for that.",
            provider=LABEL,
            status=403,
            hint="Reading needs the scope `read_api`, acting needs `api`.",
        )
    # Retryable, erasable: the job's state, not our rights. API v3 calls a job a build.
    if any(state in words for state in ("job is not", "build is not", "unplayable job")):
        state = reason.rpartition(" - ")[2].rstrip("!.")
        return Rejected(f"GitLab refused: {state}.", provider=LABEL, status=reply.status)
    return None


def read_quota(headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Return what the limit headers say; `Reset` is seconds since the epoch."""
    limit, left, reset = (headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset"))
    if not (_is_number(limit) and _is_number(left)):
        return None
    resets_at = parse_time(float(reset)) if _is_number(reset) else None
    return Quota(limit=int(limit), remaining=int(left), resets_at=resets_at)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12
