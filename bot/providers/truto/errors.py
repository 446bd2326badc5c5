"""What Truto and the systems behind it refuse, in words, and what Truto reports about its limits."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import msgspec

from bot.core.errors import AuthFailed, ProviderError, RateLimited, Unsupported
from bot.http.errors import message_of
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.truto import wire
from bot.providers.truto.options import LABEL, Integration

RECONNECT = "Whoever owns the connection has to reconnect it at Truto; until then I stop asking."
FALLBACK_WAIT_SECONDS = 10.0
ELSEWHERE = "Do it on the system's own page, or connect the system directly."


def read_quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what is left of the limit: `ratelimit-limit` is `N;w=seconds`, `ratelimit-reset` seconds from now."""
    limit, remaining, reset = (
        _whole(headers.get(f"ratelimit-{name}", "").partition(";")[0]) for name in ("limit", "remaining", "reset")
    )
    if limit is None or remaining is None:
        return None
    resets_at = None if reset is None else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


def wait_seconds(headers: httpx.Headers) -> float:
    """Return how long to wait: `Retry-After` in seconds, else `ratelimit-reset`, else what Truto's own limit takes."""
    waits = (_whole(headers.get(name, "")) for name in ("retry-after", "ratelimit-reset"))
    return next((float(wait) for wait in waits if wait), FALLBACK_WAIT_SECONDS)


def is_remote(reply: Reply) -> bool:
    """Return whether the system behind Truto refused, and not Truto."""
    try:
        return msgspec.json.decode(reply.content, type=wire.ErrorWire).truto_is_remote_error is True
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return False


def map_error(reply: Reply) -> ProviderError | None:
    """Return the error for refusals that Truto marks in its own way; None for the usual ones."""
    words = message_of(reply)
    tail = f": {words}." if words else "."
    of_system, is_passed_on = is_remote(reply), "/custom/" in urlsplit(reply.url).path
    match reply.status:
        case 401 if of_system:
            return AuthFailed(
                f"The CI system behind Truto refused the connection's credentials{tail}",
                provider=LABEL,
                status=401,
                hint=RECONNECT,
            )
        case 403 if of_system and reply.headers.get("ratelimit-remaining") != "0":
            return AuthFailed(
                f"The CI system behind Truto does not let the connection do that{tail}",
                provider=LABEL,
                status=403,
                hint="The connection at Truto lacks a right; reconnect it with the scopes for builds.",
            )
        case 403 | 429 if of_system or reply.status == 429:
            return RateLimited(
                "Truto asks me to slow down.",
                provider=LABEL,
                status=reply.status,
                retry_after=wait_seconds(reply.headers),
            )
        case 404 | 405 | 501 if is_passed_on and not of_system:
            return Unsupported(
                f"Truto does not pass this request on to the CI system{tail}",
                provider=LABEL,
                status=reply.status,
                hint=f"{ELSEWHERE} I try it again in half an hour.",
            )
        case _:
            return None


def not_passed_on(system: str) -> Unsupported:
    """Return the refusal for an operation that Truto answered as absent within the last half hour."""
    return Unsupported(
        f"Truto does not pass requests of this kind on to {system}.",
        provider=LABEL,
        hint=f"{ELSEWHERE} I try it again in half an hour.",
    )


def _whole(value: str) -> int | None:
    return int(value) if value.isdecimal() and len(value) < 10 else None


NEVER: Mapping[Capability, tuple[str, str]] = {
    Capability.COMMITS: (
        "Truto's API does not compare commits.",
        "`/build changes` lists the commits that the builds in between name.",
    ),
    Capability.UPLOADS: (
        "Truto does not tell what a build handed to an app store.",
        "See it in the store's own console.",
    ),
    Capability.PARAMETERS: (
        "Truto does not tell which parameters a build takes.",
        "Give them as KEY=VALUE where the system takes any.",
    ),
    Capability.DOWNLOAD: (
        "The artifacts of this system lie where Truto's credentials don't reach.",
        "Open the artifact's address in the browser.",
    ),
    Capability.ERASE: ("Truto deletes nothing of a build.", "Do it on the build's page."),
    Capability.TESTS: (
        "Truto's model holds no tests.",
        "Look at the build's page, or connect the system directly.",
    ),
    Capability.APPROVALS: (
        "Truto's model does not tell which steps wait.",
        "Decide on the build's page, or connect the system directly.",
    ),
    Capability.DECIDE: (
        "Truto can't approve a waiting step.",
        "Do it on the build's page, or connect the system directly.",
    ),
    Capability.REJECT: (
        "Truto can't reject a waiting step.",
        "Do it on the build's page, or connect the system directly.",
    ),
    Capability.PIPELINE_ADMIN: ("Pipelines are managed at the system itself, not through Truto.", "Do it there."),
    Capability.LIVE_LOG: ("The log can be read when the job has ended.", "Until then it is on the job's page."),
    Capability.ACCOUNT_POLL: ("Truto has no list of a whole account's builds.", "I ask for each pipeline."),
}
"""What no system can do through Truto."""

_SAME_BUILD = "`/build retry` runs it again."
_ON_PAGE = "Do it on the build's page."
WHY_NOT: Mapping[Integration, Mapping[Capability, tuple[str, str]]] = {
    Integration.AZURE: {
        Capability.RETRY_ALL: (
            "Azure DevOps can run only the failed jobs of a build again.",
            "To run all of them, build the same again: `/build rebuild`.",
        ),
        Capability.RETRY_JOB: ("Azure DevOps can't run one job again.", "Run the failed ones: `/build retry`."),
        Capability.LOG: ("Truto does not tell which log belongs to a job of Azure DevOps.", "Open the build's page."),
    },
    Integration.BITBUCKET: {
        Capability.RETRY_ALL: (
            "Bitbucket lets no program run a pipeline again.",
            "A new one of the same commit: `/build rebuild`.",
        ),
        Capability.RETRY_FAILED: (
            "Bitbucket lets no program run failed steps again.",
            "Run them on its page, or build the same again: `/build rebuild`.",
        ),
        Capability.RETRY_JOB: ("Bitbucket lets no program run a step again.", "Run it on the pipeline's page."),
        Capability.ARTIFACTS: ("Truto lists no artifacts of Bitbucket.", "They are on the pipeline's page."),
    },
    Integration.CIRCLECI: {
        Capability.REFS: ("Truto lists no branches of CircleCI.", "Type the branch's name after `@`."),
        Capability.REBUILD: ("CircleCI starts a branch's newest commit, not the same again.", _SAME_BUILD),
        Capability.RETRY_JOB: (
            "Truto does not tell which workflow a job of CircleCI is in.",
            "Run the failed ones: `/build retry`.",
        ),
        Capability.LOG: ("CircleCI's logs can't be read through Truto.", "Open the job's page."),
    },
    Integration.GITHUB: {
        Capability.REBUILD: ("GitHub runs the same again under the same number.", "That is `/build retry --all`."),
    },
    Integration.JENKINS: {
        Capability.REFS: ("Truto lists no branches of Jenkins.", "A branch of a multibranch project is a job."),
        Capability.START: (
            "Jenkins answers a start with a place in its queue; Truto keeps that, so I could not tell what I started.",
            "Start it on the job's page, or connect this Jenkins directly (`kind = jenkins`).",
        ),
        Capability.REBUILD: (
            "Jenkins answers a rebuild with a place in its queue, and Truto does not hand that on.",
            "Do it on the build's page, or connect this Jenkins directly (`kind = jenkins`).",
        ),
        Capability.RETRY_ALL: ("Jenkins can't run a build again under the same number.", _ON_PAGE),
        Capability.RETRY_FAILED: ("Truto does not tell the stages of a Jenkins build.", _ON_PAGE),
        Capability.RETRY_JOB: ("Truto does not tell the stages of a Jenkins build.", _ON_PAGE),
        Capability.JOBS: ("Truto does not tell the stages of a Jenkins build.", "Open the build's page."),
        Capability.LOG: ("Truto does not tell the stages of a Jenkins build, so I have no log of one.", _ON_PAGE),
        Capability.ISSUES: ("Truto does not tell the stages of a Jenkins build, so I know of no issues.", _ON_PAGE),
        Capability.COUNTS: ("Truto does not tell the stages of a Jenkins build, so I can't count issues.", _ON_PAGE),
    },
    Integration.TRAVIS: {
        Capability.REBUILD: ("Travis CI runs the same again under the same number.", "That is `/build retry --all`."),
        Capability.ARTIFACTS: ("Travis CI keeps no artifacts.", "They are where the build sends them."),
    },
}
"""Why one system can't do what another behind Truto can, and the nearest thing to do."""
