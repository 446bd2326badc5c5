"""What Buildkite refuses and why, and what its limit headers mean."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import msgspec

from bot.core.errors import AuthFailed, ProviderError, RateLimited
from bot.http.errors import message_of
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.wire import Wire

LABEL = "Buildkite"
QUOTAS = ("RateLimit-", "RateLimit-User-")
"""The two sets of limit headers: the organization's and the user's. Both hold."""
FALLBACK_WAIT_SECONDS = 60.0
SCOPES = (
    ("/analytics/", "read_suites"),
    ("/log", "read_build_logs"),
    ("/artifacts", "read_artifacts"),
    ("/cancel", "write_builds"),
    ("/rebuild", "write_builds"),
    ("/retry", "write_builds"),
    ("/unblock", "write_builds"),
    ("/builds", "read_builds (write_builds to start one)"),
    ("/jobs", "read_builds"),
    ("/pipelines", "read_pipelines"),
)


CANNOT = frozenset(
    {
        Capability.PARAMETERS,
        Capability.COMMITS,
        Capability.RETRY_ALL,
        Capability.REJECT,
        Capability.ERASE,
        Capability.ERASE_JOB,
        Capability.LIVE_LOG,
        Capability.PIPELINE_ADMIN,
        Capability.UPLOADS,
    }
)
"""What Buildkite's API cannot do, or does not document."""
REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.PARAMETERS: (
        "Buildkite does not tell which variables a pipeline reads.",
        "Give them as KEY=VALUE; they become environment variables of the build.",
    ),
    Capability.RETRY_ALL: (
        "Buildkite can run a job again only if it did not pass.",
        "To run all of them, build the same again: `/build rebuild`.",
    ),
    Capability.REJECT: (
        "Buildkite can unblock a step, but not reject it.",
        "Leave it waiting; its page can cancel the build.",
    ),
    Capability.TESTS: (
        "Buildkite's Test Engine has no tests of this build for me.",
        "It needs Test Engine in the organization and a token with the scope `read_suites`.",
    ),
    Capability.ERASE: (
        "Buildkite deletes logs and artifacts one by one, and I don't do that.",
        "Delete them on the build's page.",
    ),
    Capability.PIPELINE_ADMIN: (
        "Buildkite's pipelines are managed on their own pages.",
        "Open the pipeline's settings.",
    ),
}


class LimitBody(Wire):
    """What a 429 says in its body."""

    reset: float | None = None


def map_error(reply: Reply) -> ProviderError | None:
    """Return the error for a 429, whose wait stands in its body, and for a 403, which means a missing scope."""
    match reply.status:
        case 429:
            return RateLimited(
                f"{LABEL} asks me to slow down.", provider=LABEL, status=429, retry_after=wait_seconds(reply)
            )
        case 403:
            reason = message_of(reply)
            return AuthFailed(
                f"{LABEL} does not let this connection do that{f': {reason}' if reason else ''}.",
                provider=LABEL,
                status=403,
                hint=f"The token may lack the scope {scope_of(reply.url)}. An admin can replace it in App Home.",
            )
        case _:
            return None


def read_quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return the set of limit headers that runs out first."""
    sets = [quota for prefix in QUOTAS if (quota := _quota(headers, prefix, now)) is not None]
    return min(sets, key=lambda quota: quota.remaining / max(quota.limit, 1), default=None)


def _quota(headers: httpx.Headers, prefix: str, now: datetime) -> Quota | None:
    """Return one set of the limit headers. `Reset` is in seconds from now."""
    limit, remaining, reset = (_whole(headers.get(f"{prefix}{name}")) for name in ("Limit", "Remaining", "Reset"))
    if limit is None or remaining is None:
        return None
    resets_at = None if reset is None else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


def wait_seconds(reply: Reply) -> float:
    """Return how long a 429 asks to wait: the longest of its body and of the exhausted sets, and a second more."""
    waits = [
        float(reset)
        for prefix in QUOTAS
        if _whole(reply.headers.get(f"{prefix}Remaining")) == 0
        and (reset := _whole(reply.headers.get(f"{prefix}Reset"))) is not None
    ]
    try:
        reset_in_body = msgspec.json.decode(reply.content, type=LimitBody).reset
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        reset_in_body = None
    if reset_in_body is not None and 0 <= reset_in_body <= 3600:
        waits.append(reset_in_body)
    return max(waits) + 1 if waits else FALLBACK_WAIT_SECONDS


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 10 else None


def scope_of(url: str) -> str:
    """Return the scope that a refused request would have needed, from its address."""
    route = urlsplit(url).path
    return next((scope for part, scope in SCOPES if part in route), "read_organizations")
