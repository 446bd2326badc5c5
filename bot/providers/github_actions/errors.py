"""GitHub's refusals: its limits, what a token lacks, and what a refused start or rerun most likely means.

Page: "Rate limits for the REST API", read in August 2026. Both limits, the primary (by the hour) and the secondary (bursts,
not reported in advance), answer 403 or 429.
"""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from bot.core.errors import AuthFailed, ProviderError, RateLimited, Rejected
from bot.core.models import Approval
from bot.http.errors import message_of
from bot.http.quota import Quota, retry_after
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability

LABEL = "GitHub Actions"
VERSION_HEADER = "x-github-api-version"
SECONDARY_SECONDS = 60.0
"""How long to wait where GitHub does not say: at least a minute."""
CANNOT = frozenset(
    {
        Capability.LIVE_LOG,
        Capability.TESTS,
        Capability.PIPELINE_ADMIN,
        Capability.ACCOUNT_POLL,
        Capability.ERASE_JOB,
        Capability.UPLOADS,
    }
)
"""What GitHub Actions has no way to do."""
REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.REJECT: (
        "A GitHub App can't review a deployment: GitHub's reviewers are people and teams.",
        "A reviewer decides on the run's page, or the run is cancelled.",
    ),
    Capability.LIVE_LOG: (
        "GitHub hands out a job's log only after the job has ended.",
        "Watch it on the job's page.",
    ),
    Capability.TESTS: (
        "GitHub Actions knows no tests, only jobs and their annotations.",
        "See what failed with `/build issues`, or read the report among the artifacts.",
    ),
    Capability.PIPELINE_ADMIN: (
        "GitHub's workflows are files of the repository, and I don't change those.",
        "Edit the file under .github/workflows; a workflow is switched off on its page under Actions.",
    ),
    Capability.ACCOUNT_POLL: (
        "GitHub has no list of all runs of an owner, so each watched repository is asked by itself.",
        "With a webhook for `workflow_run` changes are known at once.",
    ),
}


def map_error(reply: Reply) -> ProviderError | None:
    """Return an error for a limit, which GitHub answers with 403 too, and for a refusal for lack of permission."""
    wait = limited(reply)
    if wait is not None:
        return RateLimited(f"{LABEL} asks me to slow down.", provider=LABEL, status=reply.status, retry_after=wait)
    if reply.status != httpx.codes.FORBIDDEN:
        return None
    message = message_of(reply)
    return AuthFailed(
        f"{LABEL} does not let this connection do that{f': {message}' if message else ''}.",
        provider=LABEL,
        status=reply.status,
        hint=lacking(reply.headers),
    )


def start_hint(message: str) -> str | None:
    """Return what to do about a refused start."""
    if "workflow_dispatch" in message:
        return "Its file needs `workflow_dispatch:` under `on:`, on the default branch and on the one to build."
    if "nputs" in message or "nput " in message:
        return "The file declares what it takes, under `on: workflow_dispatch: inputs:`."
    return None


def rerun_refused(exc: AuthFailed) -> ProviderError:
    """Return the error for a 403 to a rerun: GitHub uses it for runs that are too old or still at work, too."""
    message = str(exc).lower()
    is_permission = any(word in message for word in ("accessible", "admin", "permission"))
    if exc.status != httpx.codes.FORBIDDEN or is_permission:
        return exc
    return Rejected(str(exc), provider=LABEL, status=exc.status, hint="A run can run again for 30 days.")


def review_refused(exc: Rejected | AuthFailed, approval: Approval) -> ProviderError:
    """Return the error for a refused review: who may decide, and where."""
    if exc.status == httpx.codes.UNAUTHORIZED:
        return exc
    reviewers = f"{', '.join(approval.approvers)} may" if approval.approvers else "Only its reviewers may"
    hint = f"{reviewers} decide, on the run's page: {approval.url or ''}".strip()
    return Rejected(str(exc), provider=LABEL, status=exc.status, hint=hint)


def read_quota(headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Return what is left of the hour's requests; None where a server has no limits."""
    limit, remaining = _whole(headers.get("x-ratelimit-limit")), _whole(headers.get("x-ratelimit-remaining"))
    if limit is None or remaining is None or headers.get("x-ratelimit-resource", "core") != "core":
        return None
    reset = _whole(headers.get("x-ratelimit-reset"))
    resets_at = datetime.fromtimestamp(reset, UTC) if reset is not None else None
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


def limited(reply: Reply) -> float | None:
    """Return how many seconds a limit asks to wait, or None where the answer is no limit but a refusal."""
    headers = reply.headers
    if reply.status not in {403, 429}:
        return None
    at = _sent_at(headers)
    wait = retry_after(headers, at or datetime.fromtimestamp(0, UTC))
    if wait is not None:
        return max(wait, 1.0)
    if headers.get("x-ratelimit-remaining") == "0":
        reset = _whole(headers.get("x-ratelimit-reset"))
        if reset is None or at is None:
            return SECONDARY_SECONDS
        return max(reset - at.timestamp() + 1, 1.0)
    if reply.status == 429 or "rate limit" in (message_of(reply) or "").lower():
        return SECONDARY_SECONDS
    return None


def lacking(headers: httpx.Headers) -> str:
    """Return the hint for a refusal: the permission that would have been enough, where GitHub names it."""
    needed = headers.get("x-accepted-github-permissions", "").strip()
    if needed:
        return f"It takes the permission {needed.replace(';', ' or ').replace(',', ', ')}. An admin can grant it."
    return "The token's scopes or the App's permissions are too small."


def _sent_at(headers: httpx.Headers) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError, IndexError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 12 else None
